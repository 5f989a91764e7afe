/* SPDX-License-Identifier: Apache-2.0 */
/* Reed-Solomon against what the library of Go AIStore computes, and against itself: any slices make up for any others. */
#include "unit.h"

#include "codec/rs.h"
#include "base/err.h"
#include "base/str.h"
#include "base/util.h"

#define LEN 16

/* Parity of data slices d[i][k] = 37i + 11k + 3k^2 + 1 by klauspost/reedsolomon 1.14.1 (NewStream, default matrix). */
static const struct {
    unsigned    data, parity, row;
    const char *hex;
} golden[] = {
    { 1, 1, 0, "010f233d5d83afe119579be5358be749" },  { 2, 1, 0, "4f79f583fed5593257012d26ebfd2c07" },
    { 2, 2, 0, "4f79f583fed5593257012d26ebfd2c07" },  { 2, 2, 1, "68429edc21fe22d5702a76c984c6c720" },
    { 3, 2, 0, "6c6206d878e682cc448abec010eedab4" },  { 3, 2, 1, "8523e544cd7fb90c3d1c6048cb97228a" },
    { 5, 3, 0, "fad083abb14457fd1875ebc9395c9fd2" },  { 5, 3, 1, "3f152decc2f9812bf94798674ae1b967" },
    { 5, 3, 2, "4c7a8de236be093f8095e8430eb6d164" },  { 10, 4, 0, "fa896f21f1c6c99d1556289fb767bd5d" },
    { 10, 4, 1, "ed812b0ada42016cda2afd10249dd44e" }, { 10, 4, 2, "9b7a9be8caa21c2e9cc5eba9aa687211" },
    { 10, 4, 3, "33182818ba513ee7554606282bbb4e18" },
};

static void
fill(uint8_t s[RS_MAX][LEN], uint8_t *p[RS_MAX], unsigned data)
{
    for (unsigned i = 0; i < RS_MAX; i++)
        p[i] = s[i];
    for (unsigned i = 0; i < data; i++)
        for (unsigned k = 0; k < LEN; k++)
            s[i][k] = (uint8_t)(i * 37 + k * 11 + k * k * 3 + 1);
}

static void
parity_is_what_go_computes(void **state)
{
    uint8_t s[RS_MAX][LEN], *p[RS_MAX], m[RS_MAX * RS_MAX], out[LEN];
    char    hex[2 * LEN + 1];

    UNUSED(state);
    for (unsigned i = 0; i < ARRAY_SIZE(golden); i++) {
        fill(s, p, golden[i].data);
        assert_int_equal(0, rs_matrix(golden[i].data, golden[i].parity, m));
        rs_combine(m + (golden[i].data + golden[i].row) * golden[i].data, golden[i].data, p, LEN, out);
        str_hex(out, LEN, hex);
        assert_string_equal(golden[i].hex, hex);
    }
}

/* Every choice of `data` slices out of all makes every slice. */
static void
any_slices_make_up_for_any_others(void **state)
{
    const unsigned data = 4, parity = 3, all = 7;
    uint8_t        s[RS_MAX][LEN], *p[RS_MAX], *src[RS_MAX], m[RS_MAX * RS_MAX], coef[RS_MAX], have[RS_MAX], out[LEN];
    unsigned       tried = 0;

    UNUSED(state);
    fill(s, p, data);
    assert_int_equal(0, rs_matrix(data, parity, m));
    for (unsigned i = data; i < all; i++)
        rs_combine(m + i * data, data, p, LEN, s[i]);
    for (unsigned set = 0; set < 1u << all; set++) {
        unsigned n = 0;

        if (__builtin_popcount(set) != (int)data)
            continue;
        for (unsigned i = 0; i < all; i++)
            if (set & 1u << i) {
                src[n] = s[i];
                have[n++] = (uint8_t)i;
            }
        for (unsigned want = 0; want < all; want++) {
            assert_int_equal(0, rs_row(data, parity, have, want, coef));
            rs_combine(coef, data, src, LEN, out);
            assert_memory_equal(s[want], out, LEN);
            tried++;
        }
    }
    assert_int_equal(35 * 7, tried);
}

static void
nonsense_is_refused(void **state)
{
    uint8_t m[RS_MAX * RS_MAX], coef[RS_MAX];

    UNUSED(state);
    assert_int_equal(-AIS_E_INVAL, rs_matrix(0, 1, m));
    assert_int_equal(-AIS_E_INVAL, rs_matrix(RS_MAX, 1, m));
    assert_int_equal(-AIS_E_INVAL, rs_row(2, 1, (uint8_t[]){ 0, 0 }, 1, coef));
    assert_int_equal(-AIS_E_INVAL, rs_row(2, 1, (uint8_t[]){ 0, 3 }, 1, coef));
    assert_int_equal(-AIS_E_INVAL, rs_row(2, 1, (uint8_t[]){ 0, 1 }, 3, coef));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parity_is_what_go_computes),
        cmocka_unit_test(any_slices_make_up_for_any_others),
        cmocka_unit_test(nonsense_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
