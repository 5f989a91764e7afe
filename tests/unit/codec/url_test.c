/* SPDX-License-Identifier: Apache-2.0 */
/* Percent coding, queries and URLs. */
#include "unit.h"

#include "codec/url.c"
#include "hex.h"

static void
percent_decoding_takes_either_case_and_any_byte(void **state)
{
    static const struct {
        const char *in;
        bool        plus;
        const char *out;
    } cases[] = {
        { "", false, "" },         { "plain", false, "plain" },
        { "a%20b", false, "a b" }, { "%d0%BA", false, "\xd0\xba" },
        { "a+b", false, "a+b" },   { "a+b", true, "a b" },
        { "a%2Bb", true, "a+b" },  { "%25%32%35", false, "%25" },
        { "%fF", false, "\xff" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char     *in = copy_of(cases[i].in, strlen(cases[i].in)), out[64];
        ptrdiff_t n = url_decode(str_from(in, strlen(cases[i].in)), cases[i].plus, out);

        assert_true(n >= 0);
        assert_str(cases[i].out, str_from(out, (size_t)n));
        free(in);
    }
}

static void
malformed_escapes_are_refused(void **state)
{
    static const char *const cases[] = { "%", "a%", "%2", "%g0", "%0g", "%%20", "% 20", "%+1", "%\xc3\xbc" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *in = copy_of(cases[i], strlen(cases[i])), out[64];

        assert_int_equal(-1, url_decode(str_from(in, strlen(cases[i])), false, out));
        free(in);
    }
}

static void
decoding_into_an_arena_copies_only_what_is_encoded(void **state)
{
    struct arena *a = arena_new(64, 128);
    struct str    in = STR_LIT("a+b"), out;
    char          big[512];

    (void)state;
    assert_int_equal(0, url_decode_arena(a, in, false, &out));
    assert_ptr_equal(in.p, out.p);
    assert_int_equal(0, url_decode_arena(a, in, true, &out));
    assert_ptr_not_equal(in.p, out.p);
    assert_str("a b", out);
    assert_int_equal(-AIS_E_BADREQ, url_decode_arena(a, STR_LIT("%zz"), true, &out));
    memset(big, '%', sizeof(big));
    assert_int_equal(-AIS_E_TOOBIG, url_decode_arena(a, str_from(big, sizeof(big)), true, &out));
    arena_free(a);
}

static void
encoding_follows_path_and_query_rules(void **state)
{
    static const struct {
        const char *in, *path, *query;
    } cases[] = {
        { "", "", "" },
        { "dir/a-b_c.d~e", "dir/a-b_c.d~e", "dir%2Fa-b_c.d~e" },
        { "a b", "a%20b", "a+b" },
        { "a+b&c=d;e", "a+b&c=d;e", "a%2Bb%26c%3Dd%3Be" },
        { "?#%[]", "%3F%23%25%5B%5D", "%3F%23%25%5B%5D" },
        { "!$'()*,:@", "!$'()*,:@", "%21%24%27%28%29%2A%2C%3A%40" },
        { "\xd0\xba\x01\x7f\"<>\\^`{|}", "%D0%BA%01%7F%22%3C%3E%5C%5E%60%7B%7C%7D",
          "%D0%BA%01%7F%22%3C%3E%5C%5E%60%7B%7C%7D" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sbuf b;

        sbuf_init(&b, 1024);
        url_encode_path(&b, str_z(cases[i].in));
        assert_str(cases[i].path, sbuf_str(&b));
        sbuf_reset(&b);
        url_encode_query(&b, str_z(cases[i].in));
        assert_str(cases[i].query, sbuf_str(&b));
        sbuf_fini(&b);
    }
}

static void
every_byte_survives_encoding(void **state)
{
    char        all[600], out[1800];
    struct sbuf b;

    (void)state;
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char)i;
    sbuf_init(&b, 1 << 16);
    url_encode_path(&b, str_from(all, sizeof(all)));
    assert_int_equal(sizeof(all), url_decode(sbuf_str(&b), false, out));
    assert_memory_equal(all, out, sizeof(all));
    sbuf_reset(&b);
    url_encode_query(&b, str_from(all, sizeof(all)));
    assert_int_equal(sizeof(all), url_decode(sbuf_str(&b), true, out));
    assert_memory_equal(all, out, sizeof(all));
    sbuf_fini(&b);
}

static void
a_query_is_walked_pair_by_pair(void **state)
{
    static const char *const want[][2] = { { "a", "b" }, { "c", "" },    { "d", "" },
                                           { "", "x" },  { "e", "f=g" }, { "?h", "%20" } };
    struct str               rest = STR_LIT("a=b&&c&d=&=x&e=f=g&?h=%20&"), k, v;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        assert_true(url_query_next(&rest, &k, &v));
        assert_str(want[i][0], k);
        assert_str(want[i][1], v);
    }
    assert_false(url_query_next(&rest, &k, &v));
    assert_false(url_query_next(&rest, &k, &v));
    rest = STR_LIT("");
    assert_false(url_query_next(&rest, &k, &v));
    rest = STR_NULL;
    assert_false(url_query_next(&rest, &k, &v));
}

static void
urls_are_taken_apart(void **state)
{
    static const struct {
        const char *in;
        bool        https;
        const char *host;
        uint16_t    port;
        const char *path, *query;
    } cases[] = {
        { "http://h", false, "h", 80, "", "" },
        { "HTTPS://h.example.com/", true, "h.example.com", 443, "/", "" },
        { "http://h:8080/p/q?r=/s&t", false, "h", 8080, "/p/q", "r=/s&t" },
        { "http://h?x", false, "h", 80, "", "x" },
        { "http://h:/p#frag?no", false, "h", 80, "/p", "" },
        { "https://[fe80::1%25eth0]:1/", true, "fe80::1%25eth0", 1, "/", "" },
        { "[::1]:65535", false, "::1", 65535, "", "" },
        { "h:51080", false, "h", 51080, "", "" },
        { "127.0.0.1", false, "127.0.0.1", 80, "", "" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct url u;
        char      *in = copy_of(cases[i].in, strlen(cases[i].in));

        if (url_parse(str_from(in, strlen(cases[i].in)), &u) != 0)
            fail_msg("%s", cases[i].in);
        assert_int_equal(cases[i].https, u.https);
        assert_str(cases[i].host, u.host);
        assert_int_equal(cases[i].port, u.port);
        assert_str(cases[i].path, u.path);
        assert_str(cases[i].query, u.query);
        free(in);
    }
}

static void
bad_urls_are_refused(void **state)
{
    static const char *const cases[] = { "",
                                         "http://",
                                         "http:///p",
                                         "http://:80",
                                         "h:0",
                                         "h:65536",
                                         "h:8o",
                                         "h:-1",
                                         "h:123456",
                                         "http://u@h/",
                                         "http://u:p@h/",
                                         "[::1",
                                         "[]:80",
                                         "[::1]80",
                                         "http://a b/",
                                         "http://h/a b",
                                         "http://h/\r\nX: y",
                                         "http://h\n",
                                         "ftp://h/",
                                         "::1" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct url u;

        if (url_parse(str_z(cases[i]), &u) != -AIS_E_INVAL)
            fail_msg("%s", cases[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percent_decoding_takes_either_case_and_any_byte),
        cmocka_unit_test(malformed_escapes_are_refused),
        cmocka_unit_test(decoding_into_an_arena_copies_only_what_is_encoded),
        cmocka_unit_test(encoding_follows_path_and_query_rules),
        cmocka_unit_test(every_byte_survives_encoding),
        cmocka_unit_test(a_query_is_walked_pair_by_pair),
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(bad_urls_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
