/* SPDX-License-Identifier: Apache-2.0 */
/* Headers and records of objects that move: what is written is read, what is cut or has too much is refused; generations as text. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "xact/move.h"

static const struct kv custom[2] = { { { "color", 5 }, { "blue", 4 } }, { { "empty", 5 }, { "", 0 } } };

static struct move
a_move(void)
{
    return (struct move){ .gen = { .epoch = 1, .term = 2, .smap_ver = 3, .counter = 4 },
                          .bid = 77,
                          .size = 5000000000ull,
                          .mtime_ns = -5,
                          .atime_ns = 1700000000000000000,
                          .cksum = { .type = CKSUM_MD5, .value = "9e107d9d372bb6826bd81d3542a419d6" },
                          .name = STR_LIT("dir/\xc3\xa4 name"),
                          .version = STR_LIT("12"),
                          .ncustom = 2,
                          .custom = custom };
}

static void
a_record_is_read_as_it_was_written(void **state)
{
    struct move m = a_move(), back;
    struct kv  *kv = xcalloc(LMETA_MAX_CUSTOM, sizeof(*kv));
    struct sbuf b;

    (void)state;
    sbuf_init(&b, MOVE_REC_MAX);
    move_encode(&m, &b);
    assert_int_equal(0, move_decode(sbuf_str(&b), &back, kv));
    assert_int_equal(0, gen_order(&m.gen, &back.gen));
    assert_true(back.bid == 77 && back.size == m.size && back.mtime_ns == -5 && back.atime_ns == m.atime_ns);
    assert_int_equal(CKSUM_MD5, back.cksum.type);
    assert_string_equal(m.cksum.value, back.cksum.value);
    assert_true(str_eq(m.name, back.name) && str_eq(m.version, back.version));
    assert_int_equal(2, back.ncustom);
    assert_true(str_eqz(back.custom[0].k, "color") && str_eqz(back.custom[0].v, "blue") && back.custom[1].v.n == 0);
    for (size_t n = 0; n < b.n; n++) /* cut anywhere */
        assert_int_equal(-AIS_E_BADREQ, move_decode(str_from(b.p, n), &back, kv));
    sbuf_fini(&b);
    free(kv);
}

static void
a_header_is_read_as_it_was_written(void **state)
{
    struct move_head h = { .smap_ver = 9, .b = { .provider = PROV_AIS, .name = STR_LIT("b"), .ns_uuid = STR_LIT("u"), .ns_name = STR_LIT("n") },
                           .rec = STR_LIT("record") },
                     back;
    struct sbuf b;

    (void)state;
    sbuf_init(&b, MOVE_REC_MAX);
    move_head_encode(&h, &b);
    assert_int_equal(0, move_head_decode(sbuf_str(&b), &back));
    assert_int_equal(9, back.smap_ver);
    assert_true(back.b.provider == PROV_AIS && str_eqz(back.b.name, "b") && str_eqz(back.b.ns_uuid, "u") && str_eqz(back.b.ns_name, "n"));
    assert_true(str_eqz(back.rec, "record"));
    for (size_t n = 0; n < b.n; n++)
        assert_int_equal(-AIS_E_BADREQ, move_head_decode(str_from(b.p, n), &back));
    sbuf_putc(&b, 0);
    assert_int_equal(-AIS_E_BADREQ, move_head_decode(sbuf_str(&b), &back)); /* something behind it */
    sbuf_fini(&b);
}

static void
generations_as_text_keep_their_order(void **state)
{
    const struct gen older = { .epoch = 1, .term = 2, .smap_ver = 3, .counter = UINT64_MAX }, newer = { .epoch = 1, .term = 2, .smap_ver = 4 };
    char             a[GEN_HEX + 1], b[GEN_HEX + 1];
    struct gen       back;

    (void)state;
    gen_to_hex(&older, a);
    gen_to_hex(&newer, b);
    assert_true(gen_order(&older, &newer) < 0 && strcmp(a, b) < 0);
    assert_true(gen_from_hex(str_z(a), &back));
    assert_int_equal(0, gen_order(&older, &back));
    a[3] = 'x';
    assert_false(gen_from_hex(str_z(a), &back));
    assert_false(gen_from_hex(STR_LIT("12"), &back));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_read_as_it_was_written),
        cmocka_unit_test(a_header_is_read_as_it_was_written),
        cmocka_unit_test(generations_as_text_keep_their_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
