/* SPDX-License-Identifier: Apache-2.0 */
#include "../../../node/lso/page.c"

#include "unit.h"

static const struct lso_ask ask_json = { .max = 100, .props = LSP_SIZE };
static const struct lso_ask ask_mp = { .max = 100, .props = LSP_SIZE, .msgpack = true };

/* The client's bytes of one entry. */
static struct str
encode(struct sbuf *sb, const struct lso_ask *ask, const struct lent *le)
{
    static struct lso_src s;
    struct lso_page       p;

    sbuf_reset(sb);
    lso_page_begin(&p, sb, ask);
    lso_page_ent(&p, le, STR_LIT("t[x]:mp[/m, vda, hdd]"));
    lso_page_end(&p, &(struct lso_state){ .more = false });
    assert_true(sbuf_ok(sb));
    assert_int_equal(lso_src_open(&s, sbuf_str(sb), ask->msgpack), 0);
    assert_true(s.valid);
    assert_true(str_eq(s.name, le->name));
    return s.ent;
}

static void
expect_json(const struct lso_ask *ask, const struct lent *le, const char *want)
{
    struct sbuf sb;
    struct str  got;

    sbuf_init(&sb, 64 * KIB);
    got = encode(&sb, ask, le);
    if (!str_eqz(got, want))
        fail_msg("got %.*s, want %s", STR_FMT(got), want);
    sbuf_fini(&sb);
}

static struct lent
named(const char *name, uint64_t size)
{
    return (struct lent){ .name = str_z(name), .size = size, .copies = 1 };
}

static void
json_entries_have_the_original_s_keys_and_leave_zeros_out(void **state)
{
    struct lent le = named("app", 17);

    (void)state;
    expect_json(&ask_json, &le, "{\"name\":\"app\",\"size\":\"17\",\"flags\":64}");
    le.size = 0;
    expect_json(&ask_json, &le, "{\"name\":\"app\",\"flags\":64}");
    le.chunked = true;
    expect_json(&ask_json, &le, "{\"name\":\"app\",\"flags\":8256}");
}

static void
all_properties_come_in_the_original_s_order(void **state)
{
    const struct lso_ask ask = { .max = 1, .props = ~0u };
    struct lent          le = named("dir/o1", 1001);

    (void)state;
    le.cksum = (struct cksum){ CKSUM_XXHASH2, "832ac537e6e48057" };
    le.atime_ns = 1795389409250683667;
    le.version = STR_LIT("2");
    le.ncustom = 4;
    le.custom[0] = (struct kv){ STR_LIT("color"), STR_LIT("red") };
    le.custom[1] = (struct kv){ STR_LIT("orig_fntl"), STR_LIT("x") };
    le.custom[2] = (struct kv){ STR_LIT("n"), STR_LIT("1") };
    le.custom[3] = (struct kv){ STR_LIT("ETag"), STR_LIT("e") };
    expect_json(&ask, &le,
                "{\"name\":\"dir/o1\",\"checksum\":\"832ac537e6e48057\",\"atime\":\"22 Nov 26 23:16 UTC\",\"version\":\"2\","
                "\"location\":\"t[x]:mp[/m, vda, hdd]\",\"custom-md\":\"[ETag:e color:red n:1]\",\"size\":\"1001\",\"copies\":1,"
                "\"flags\":64}");
}

static void
name_only_gives_names_and_flags(void **state)
{
    const struct lso_ask ask = { .max = 1, .props = ~0u, .flags = LS_NAME_ONLY };
    struct lent          le = named("a", 5);

    (void)state;
    expect_json(&ask, &le, "{\"name\":\"a\",\"flags\":64}");
}

static void
names_that_need_escaping_are_escaped_and_still_compare(void **state)
{
    struct lent le = named("a\"b\\c\x01", 1);

    (void)state;
    expect_json(&ask_json, &le, "{\"name\":\"a\\\"b\\\\c\\u0001\",\"size\":\"1\",\"flags\":64}");
    le = named("\xd0\xba\xd0\xbb/\xe6\x97\xa5", 1);
    expect_json(&ask_json, &le, "{\"name\":\"\xd0\xba\xd0\xbb/\xe6\x97\xa5\",\"size\":\"1\",\"flags\":64}");
    le = named("ab\xff", 1);
    expect_json(&ask_json, &le, "{\"name\":\"ab\\ufffd\",\"size\":\"1\",\"flags\":64}");
}

static void
every_position_of_a_special_byte_is_seen(void **state)
{
    char     s[40];
    unsigned n, i, k;

    (void)state;
    for (n = 1; n < sizeof(s); n++) {
        memset(s, 'a', n);
        assert_true(is_plain(str_from(s, n)));
        for (i = 0; i < n; i++)
            for (k = 0; k < 256; k++) {
                s[i] = (char)k;
                assert_int_equal(is_plain(str_from(s, n)), k >= 0x20 && k < 0x80 && k != '"' && k != '\\');
                s[i] = 'a';
            }
    }
}

static void
msgpack_entries_are_byte_for_byte_the_original_s(void **state)
{
    static const unsigned char app[] = { 0x83, 0xa1, 'n', 0xa3, 'a', 'p', 'p', 0xa1, 's', 0x11, 0xa1, 'f', 0x40 };
    static const unsigned char o1[] = { 0x83, 0xa1, 'n', 0xa6, 'd', 'i', 'r', '/', 'o', '1', 0xa1, 's', 0xd1, 3, 0xe9, 0xa1, 'f', 0x40 };
    static const unsigned char l0[] = { 0x82, 0xa1, 'n', 0xa5, 'l', '/', '0', '0', '0', 0xa1, 'f', 0x40 };
    struct lent                le = named("app", 17);
    struct sbuf                sb;
    struct str                 got;
    char                       lng[301];

    (void)state;
    sbuf_init(&sb, 64 * KIB);
    got = encode(&sb, &ask_mp, &le);
    assert_int_equal(got.n, sizeof(app));
    assert_memory_equal(got.p, app, sizeof(app));
    le = named("dir/o1", 1001);
    got = encode(&sb, &ask_mp, &le);
    assert_int_equal(got.n, sizeof(o1));
    assert_memory_equal(got.p, o1, sizeof(o1));
    le = named("l/000", 0);
    got = encode(&sb, &ask_mp, &le);
    assert_int_equal(got.n, sizeof(l0));
    assert_memory_equal(got.p, l0, sizeof(l0));
    memset(lng, 'n', 300);
    lng[300] = '\0';
    le = named(lng, 1);
    got = encode(&sb, &ask_mp, &le);
    assert_memory_equal(got.p, "\x83\xa1n\xda\x01\x2cnnn", 9);
    sbuf_fini(&sb);
}

static void
a_name_that_matches_no_layout_cache_still_formats(void **state)
{
    const struct lso_ask ask = { .max = 1, .props = LSP_ATIME, .time_format = { "2006-01-02", 10 } };
    struct lent          le = named("a", 5);

    (void)state;
    le.atime_ns = 1795389409250683667;
    expect_json(&ask, &le, "{\"name\":\"a\",\"atime\":\"2026-11-22\",\"flags\":64}");
}

static void
a_full_buffer_fails_the_page_and_nothing_else(void **state)
{
    struct lso_page p;
    struct sbuf     sb;
    struct lent     le = named("abcdefgh\"", 1);
    unsigned        i;

    (void)state;
    sbuf_init(&sb, 600);
    lso_page_begin(&p, &sb, &ask_json);
    for (i = 0; i < 100; i++)
        lso_page_ent(&p, &le, STR_NULL);
    lso_page_end(&p, &(struct lso_state){ .more = true });
    assert_false(sbuf_ok(&sb));
    sbuf_fini(&sb);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_entries_have_the_original_s_keys_and_leave_zeros_out),
        cmocka_unit_test(all_properties_come_in_the_original_s_order),
        cmocka_unit_test(name_only_gives_names_and_flags),
        cmocka_unit_test(names_that_need_escaping_are_escaped_and_still_compare),
        cmocka_unit_test(every_position_of_a_special_byte_is_seen),
        cmocka_unit_test(msgpack_entries_are_byte_for_byte_the_original_s),
        cmocka_unit_test(a_name_that_matches_no_layout_cache_still_formats),
        cmocka_unit_test(a_full_buffer_fails_the_page_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
