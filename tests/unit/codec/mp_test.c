/* SPDX-License-Identifier: Apache-2.0 */
/* msgpack: bytes as the original writes them, and a reader that believes nothing. */
#include "unit.h"

#include "codec/mp.c"
#include "hex.h"

static void
integers_have_the_forms_of_the_original(void **state)
{
    static const struct {
        bool        is_signed;
        uint64_t    v;
        const char *hex;
    } cases[] = {
        { false, 0, "00" },
        { false, 127, "7f" },
        { false, 128, "cc80" },
        { false, 255, "ccff" },
        { false, 256, "cd0100" },
        { false, 65536, "ce00010000" },
        { false, 1ULL << 32, "cf0000000100000000" },
        { false, UINT64_MAX, "cfffffffffffffffff" },
        { true, 127, "7f" },
        { true, 128, "d10080" }, /* signed Go integers take signed forms */
        { true, 1001, "d103e9" },
        { true, 32768, "d200008000" },
        { true, 1ULL << 31, "d30000000080000000" },
        { true, (uint64_t)-1, "ff" },
        { true, (uint64_t)-32, "e0" },
        { true, (uint64_t)-33, "d0df" },
        { true, (uint64_t)-129, "d1ff7f" },
        { true, (uint64_t)-32769, "d2ffff7fff" },
        { true, (uint64_t)INT64_MIN, "d38000000000000000" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sbuf  b;
        char         hex[64];
        struct mp_in in;
        int64_t      got;
        uint64_t     ugot;

        sbuf_init(&b, 1024);
        if (cases[i].is_signed)
            mp_i64(&b, (int64_t)cases[i].v);
        else
            mp_u64(&b, cases[i].v);
        str_hex(b.p, b.n, hex);
        assert_string_equal(cases[i].hex, hex);
        in = (struct mp_in){ (unsigned char *)b.p, (unsigned char *)b.p + b.n };
        if (cases[i].is_signed) {
            assert_int_equal(0, mp_get_i64(&in, &got));
            assert_true(got == (int64_t)cases[i].v);
        } else {
            assert_int_equal(0, mp_get_u64(&in, &ugot));
            assert_true(ugot == cases[i].v);
        }
        assert_ptr_equal(in.end, in.p);
        sbuf_fini(&b);
    }
}

static void
lengths_take_the_shortest_head(void **state)
{
    static const struct {
        char        kind;
        uint32_t    n;
        const char *head;
    } cases[] = {
        { 's', 0, "a0" },
        { 's', 31, "bf" },
        { 's', 32, "d920" },
        { 's', 255, "d9ff" },
        { 's', 256, "da0100" },
        { 's', 65536, "db00010000" },
        { 'b', 0, "c400" },
        { 'b', 256, "c50100" },
        { 'b', 65536, "c600010000" },
        { 'a', 15, "9f" },
        { 'a', 16, "dc0010" },
        { 'a', 35, "dc0023" },
        { 'a', 65536, "dd00010000" },
        { 'm', 15, "8f" },
        { 'm', 16, "de0010" },
        { 'm', 65536, "df00010000" },
    };
    static char zeros[65536];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sbuf b;
        char        hex[16];

        sbuf_init(&b, 1 << 20);
        switch (cases[i].kind) {
        case 's':
            mp_str(&b, str_from(zeros, cases[i].n));
            break;
        case 'b':
            mp_bin(&b, str_from(zeros, cases[i].n));
            break;
        case 'a':
            mp_arr(&b, cases[i].n);
            break;
        default:
            mp_map(&b, cases[i].n);
            break;
        }
        str_hex(b.p, strlen(cases[i].head) / 2, hex);
        assert_string_equal(cases[i].head, hex);
        sbuf_fini(&b);
    }
}

/* The beginning of a listing that the original sent. */
static void
a_recorded_listing_reads_and_writes_the_same(void **state)
{
    static const char hex[] = "84a455554944aa593573546e4c6c61"
                              "4156b1436f6e74696e756174696f6e546f6b656ea0a7456e747269657393"
                              "83a16ea3617070a17311a16640"
                              "83a16ea66469722f6f31a173d103e9a16640"
                              "82a16ea56c2f303030a16640"
                              "a5466c61677300";
    size_t            n;
    unsigned char    *raw = unhex(hex, &n);
    struct mp_in      in = { raw, raw + n };
    struct sbuf       b;
    struct str        s;
    uint32_t          pairs, entries;
    int64_t           size;

    (void)state;
    assert_int_equal(MP_MAP, mp_peek(&in));
    assert_int_equal(0, mp_get_map(&in, &pairs));
    assert_int_equal(4, pairs);
    assert_int_equal(0, mp_get_str(&in, &s));
    assert_str("UUID", s);
    assert_int_equal(0, mp_skip(&in));
    assert_int_equal(0, mp_skip(&in));
    assert_int_equal(0, mp_skip(&in));
    assert_int_equal(0, mp_skip(&in));
    assert_int_equal(0, mp_get_arr(&in, &entries));
    assert_int_equal(3, entries);
    assert_int_equal(0, mp_skip(&in));
    assert_int_equal(0, mp_get_map(&in, &pairs));
    assert_int_equal(0, mp_skip(&in));
    assert_int_equal(0, mp_get_str(&in, &s));
    assert_str("dir/o1", s);
    assert_int_equal(0, mp_skip(&in));
    assert_int_equal(0, mp_get_i64(&in, &size));
    assert_int_equal(1001, size);
    free(raw);

    sbuf_init(&b, 1024);
    mp_map(&b, 4);
    mp_strz(&b, "UUID");
    mp_strz(&b, "Y5sTnLlaAV");
    mp_strz(&b, "ContinuationToken");
    mp_strz(&b, "");
    mp_strz(&b, "Entries");
    mp_arr(&b, 3);
    mp_map(&b, 3);
    mp_strz(&b, "n");
    mp_strz(&b, "app");
    mp_strz(&b, "s");
    mp_i64(&b, 17);
    mp_strz(&b, "f");
    mp_u64(&b, 64);
    mp_map(&b, 3);
    mp_strz(&b, "n");
    mp_strz(&b, "dir/o1");
    mp_strz(&b, "s");
    mp_i64(&b, 1001);
    mp_strz(&b, "f");
    mp_u64(&b, 64);
    mp_map(&b, 2);
    mp_strz(&b, "n");
    mp_strz(&b, "l/000");
    mp_strz(&b, "f");
    mp_u64(&b, 64);
    mp_strz(&b, "Flags");
    mp_u64(&b, 0);
    {
        char out[512];

        str_hex(b.p, b.n, out);
        assert_string_equal(hex, out);
    }
    sbuf_fini(&b);
}

static void
every_legal_width_is_read(void **state)
{
    static const struct {
        const char *hex;
        int64_t     v;
    } cases[] = { { "05", 5 },
                  { "cc05", 5 },
                  { "cd0005", 5 },
                  { "ce00000005", 5 },
                  { "cf0000000000000005", 5 },
                  { "d005", 5 },
                  { "d10005", 5 },
                  { "d200000005", 5 },
                  { "d30000000000000005", 5 },
                  { "fb", -5 },
                  { "d0fb", -5 },
                  { "d1fffb", -5 },
                  { "d2fffffffb", -5 },
                  { "d3fffffffffffffffb", -5 } };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t         n;
        unsigned char *raw = unhex(cases[i].hex, &n);
        struct mp_in   in = { raw, raw + n };
        int64_t        v;
        uint64_t       u;
        double         f;

        assert_int_equal(MP_INT, mp_peek(&in));
        assert_int_equal(cases[i].v < 0 ? -AIS_E_BADREQ : 0, mp_get_u64(&in, &u));
        in.p = raw;
        assert_int_equal(0, mp_get_f64(&in, &f));
        assert_true(f == (double)cases[i].v);
        in.p = raw;
        assert_int_equal(0, mp_get_i64(&in, &v));
        assert_true(v == cases[i].v);
        free(raw);
    }
}

static void
other_types_read_back(void **state)
{
    struct sbuf  b;
    struct mp_in in;
    struct str   s;
    uint32_t     n;
    double       f;
    bool         v;

    (void)state;
    sbuf_init(&b, 1024);
    mp_bool(&b, true);
    mp_bool(&b, false);
    mp_f64(&b, -1.5);
    mp_nil(&b);
    mp_nil(&b);
    mp_bin(&b, STR_LIT("\0\1"));
    sbuf_put(&b, "\xca\x3f\xc0\x00\x00", 5);     /* float32 1.5 */
    sbuf_put(&b, "\xd6\xff\x00\x00\x00\x01", 6); /* a timestamp */
    in = (struct mp_in){ (unsigned char *)b.p, (unsigned char *)b.p + b.n };
    assert_int_equal(0, mp_get_bool(&in, &v));
    assert_true(v);
    assert_int_equal(0, mp_get_bool(&in, &v));
    assert_false(v);
    assert_int_equal(MP_FLOAT, mp_peek(&in));
    assert_int_equal(0, mp_get_f64(&in, &f));
    assert_true(f == -1.5);
    assert_int_equal(0, mp_get_arr(&in, &n));
    assert_int_equal(0, n);
    assert_int_equal(-AIS_E_BADREQ, mp_get_bool(&in, &v));
    assert_int_equal(MP_NIL, mp_peek(&in));
    assert_int_equal(0, mp_skip(&in));
    assert_int_equal(0, mp_get_str(&in, &s));
    assert_int_equal(2, s.n);
    assert_int_equal(0, mp_get_f64(&in, &f));
    assert_true(f == 1.5);
    assert_int_equal(MP_EXT, mp_peek(&in));
    assert_int_equal(0, mp_skip(&in));
    assert_int_equal(MP_END, mp_peek(&in));
    sbuf_fini(&b);
}

static void
what_is_cut_or_promises_too_much_is_refused_and_nothing_moves(void **state)
{
    static const char *const cases[] = {
        "",   "c1",         "cc",         "cd00",   "ce000000",   "cf00000000000000", "d0",         "cb00",
        "a1", "a261",       "d905aabb",   "daffff", "dbffffffff", "c402aa",           "c6ffffffff", "d6ff000000",
        "91", "dd00000005", "ddffffffff", "8101",   "dfffffffff", "9101ff",           "c7",         "c90000000100",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t         n;
        unsigned char *raw = unhex(cases[i], &n);
        struct mp_in   in = { raw, raw + n };
        struct str     s;
        uint32_t       c;
        uint64_t       u;

        if (strcmp(cases[i], "9101ff") != 0) /* complete, with something behind it */
            assert_int_equal(-AIS_E_BADREQ, mp_skip(&in));
        assert_int_equal(-AIS_E_BADREQ, mp_get_u64(&in, &u));
        assert_int_equal(-AIS_E_BADREQ, mp_get_str(&in, &s));
        if (mp_peek(&in) == MP_MAP && n > 2)
            assert_int_equal(-AIS_E_BADREQ, mp_get_map(&in, &c));
        assert_ptr_equal(raw, in.p);
        free(raw);
    }
}

static void
skipping_is_bounded_in_depth(void **state)
{
    unsigned char t[200];
    struct mp_in  in;

    (void)state;
    memset(t, 0x91, sizeof(t));
    t[32] = 0xc0;
    in = (struct mp_in){ t, t + sizeof(t) };
    assert_int_equal(0, mp_skip(&in));
    assert_ptr_equal(t + 33, in.p);
    t[32] = 0x91;
    t[33] = 0xc0;
    in.p = t;
    assert_int_equal(-AIS_E_BADREQ, mp_skip(&in));
    assert_ptr_equal(t, in.p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_have_the_forms_of_the_original),
        cmocka_unit_test(lengths_take_the_shortest_head),
        cmocka_unit_test(a_recorded_listing_reads_and_writes_the_same),
        cmocka_unit_test(every_legal_width_is_read),
        cmocka_unit_test(other_types_read_back),
        cmocka_unit_test(what_is_cut_or_promises_too_much_is_refused_and_nothing_moves),
        cmocka_unit_test(skipping_is_bounded_in_depth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
