/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums and placement: published values, and those of internals.md 2. */
#include "unit.h"

#include "codec/cksum.c"
#include "hex.h"

/* clang-format off */
static const struct {
    enum cksum_type type;
    const char     *text, *value;
} golden[] = {
    { CKSUM_XXHASH,  "",          "ef46db3751d8e999" },
    { CKSUM_XXHASH2, "",          "ef46db3751d8e999" },
    { CKSUM_XXHASH2, "abc",       "44bc2cf5ad770999" },
    { CKSUM_CRC32C,  "",          "00000000" },
    { CKSUM_CRC32C,  "123456789", "e3069283" },
    { CKSUM_MD5,     "",          "d41d8cd98f00b204e9800998ecf8427e" },
    { CKSUM_MD5,     "abc",       "900150983cd24fb0d6963f7d28e17f72" },
    { CKSUM_SHA256,  "abc",       "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { CKSUM_SHA512,  "abc",       "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                                  "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
    { CKSUM_NONE,    "abc",       "" },
};
/* clang-format on */

static void
published_values_come_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(golden); i++) {
        struct cksum c;

        cksum_of(golden[i].type, golden[i].text, strlen(golden[i].text), &c);
        assert_int_equal(golden[i].type, c.type);
        assert_string_equal(golden[i].value, c.value);
    }
}

static void
a_running_hash_is_the_same_however_the_bytes_are_cut(void **state)
{
    static char data[5000];

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 + i / 256);
    for (int t = CKSUM_NONE; t < CKSUM_NTYPES; t++) {
        for (size_t step = 1; step < sizeof(data); step = step * 3 + 1) {
            struct cksum_run r;
            struct cksum     whole, got, part, part_want;

            cksum_of((enum cksum_type)t, data, sizeof(data), &whole);
            assert_int_equal(0, cksum_init(&r, (enum cksum_type)t));
            for (size_t off = 0; off < sizeof(data); off += step) {
                cksum_update(&r, data + off, MIN(step, sizeof(data) - off));
                if (off == 0) { /* looking does not disturb the run */
                    cksum_final(&r, &part);
                    cksum_of((enum cksum_type)t, data, step, &part_want);
                    assert_true(cksum_eq(&part_want, &part));
                }
            }
            cksum_update(&r, NULL, 0);
            cksum_final(&r, &got);
            cksum_fini(&r);
            cksum_fini(&r); /* harmless */
            assert_string_equal(whole.value, got.value);
        }
    }
}

static void
a_saved_run_goes_on(void **state)
{
    static const enum cksum_type types[] = { CKSUM_XXHASH, CKSUM_XXHASH2, CKSUM_CRC32C };
    static char                  data[300];

    (void)state;
    memset(data, 'x', sizeof(data));
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        for (size_t cut = 0; cut <= sizeof(data); cut++) {
            struct cksum_run a, b;
            struct cksum     want, got;
            char             saved[80];
            void            *exact;
            size_t           n;

            assert_int_equal(0, cksum_init(&a, types[i]));
            cksum_update(&a, data, cut);
            assert_int_equal(0, cksum_save(&a, saved, sizeof(saved), &n));
            exact = copy_of(saved, n);
            memset(&b, 0xff, sizeof(b));
            assert_int_equal(0, cksum_load(&b, types[i], exact, n));
            free(exact);
            cksum_update(&b, data + cut, sizeof(data) - cut);
            cksum_final(&b, &got);
            cksum_of(types[i], data, sizeof(data), &want);
            assert_true(cksum_eq(&want, &got));
        }
    }
}

static void
a_forged_saved_run_gives_a_wrong_hash_and_nothing_worse(void **state)
{
    unsigned char    saved[SAVE_XX];
    struct cksum_run r;
    struct cksum     c;

    (void)state;
    memset(saved, 0xff, sizeof(saved));
    assert_int_equal(-AIS_E_INVAL, cksum_load(&r, CKSUM_XXHASH2, saved, sizeof(saved)));
    saved[0] = SAVE_VERSION;
    saved[1] = CKSUM_XXHASH2;
    assert_int_equal(-AIS_E_INVAL, cksum_load(&r, CKSUM_XXHASH2, saved, sizeof(saved) - 1));
    assert_int_equal(-AIS_E_INVAL, cksum_load(&r, CKSUM_XXHASH, saved, sizeof(saved)));
    assert_int_equal(-AIS_E_INVAL, cksum_load(&r, CKSUM_XXHASH2, saved, 0));
    assert_int_equal(0, cksum_load(&r, CKSUM_XXHASH2, saved, sizeof(saved)));
    cksum_update(&r, saved, sizeof(saved));
    cksum_final(&r, &c);
    assert_int_equal(16, strlen(c.value));
}

static void
what_cannot_be_saved_says_so(void **state)
{
    static const enum cksum_type types[] = { CKSUM_NONE, CKSUM_MD5, CKSUM_SHA256, CKSUM_SHA512 };
    struct cksum_run             r;
    char                         buf[128];
    size_t                       n;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        assert_int_equal(0, cksum_init(&r, types[i]));
        assert_int_equal(-AIS_E_UNSUPP, cksum_save(&r, buf, sizeof(buf), &n));
        assert_int_equal(-AIS_E_UNSUPP, cksum_load(&r, types[i], buf, sizeof(buf)));
        cksum_fini(&r);
    }
    assert_int_equal(0, cksum_init(&r, CKSUM_XXHASH));
    assert_int_equal(-AIS_E_TOOBIG, cksum_save(&r, buf, 10, &n));
}

static void
names_are_aistores(void **state)
{
    enum cksum_type t;

    (void)state;
    for (int i = 0; i < CKSUM_NTYPES; i++) {
        assert_true(cksum_by_name(str_z(cksum_name((enum cksum_type)i)), &t));
        assert_int_equal(i, t);
    }
    assert_false(cksum_by_name(STR_LIT("XXHASH"), &t));
    assert_false(cksum_by_name(STR_LIT(""), &t));
}

static void
values_are_compared_within_one_type_and_in_any_case(void **state)
{
    struct cksum a = { CKSUM_XXHASH, "00ff" }, b = { CKSUM_XXHASH, "00FF" }, c = { CKSUM_XXHASH2, "00ff" };

    (void)state;
    assert_true(cksum_eq(&a, &b));
    assert_false(cksum_eq(&a, &c));
    b.value[0] = '1';
    assert_false(cksum_eq(&a, &b));
}

/* internals.md 2 */
static void
placement_hashes_are_aistores(void **state)
{
    static const struct {
        const char *id;
        uint64_t    weight;
    } nodes[] = { { "t1aaaaaa", 0xbb637540d302ee83 },
                  { "t2bbbbbb", 0x57eca2835f57fcdc },
                  { "t3cccccc", 0x5db387ceab027ab9 },
                  { "/ais/disk0", 0x86706976b42093f7 },
                  { "/ais/disk1", 0xfe1c4f39886512fc } };
    uint64_t d = hrw_digest("ais/@#/mybck/dir/obj1", 21);

    (void)state;
    assert_true(hrw_mix(0) == 0x1a70a846bd9cc2a9);
    assert_true(hrw_mix(1) == 0xc5883e370b0926c3);
    assert_true(hrw_digest("", 0) == 0xaaa3575891557d33);
    assert_true(hrw_digest("abc", 3) == 0xa89f935f7bdc1f8c);
    assert_true(d == 0x7e5d33b644e76c1b);
    for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
        assert_true(hrw_mix(hrw_digest(nodes[i].id, strlen(nodes[i].id)) ^ d) == nodes[i].weight);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_values_come_out),
        cmocka_unit_test(a_running_hash_is_the_same_however_the_bytes_are_cut),
        cmocka_unit_test(a_saved_run_goes_on),
        cmocka_unit_test(a_forged_saved_run_gives_a_wrong_hash_and_nothing_worse),
        cmocka_unit_test(what_cannot_be_saved_says_so),
        cmocka_unit_test(names_are_aistores),
        cmocka_unit_test(values_are_compared_within_one_type_and_in_any_case),
        cmocka_unit_test(placement_hashes_are_aistores),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
