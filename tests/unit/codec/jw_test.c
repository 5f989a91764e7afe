/* SPDX-License-Identifier: Apache-2.0 */
/* JSON out as Go writes it, JSON in with our limits. */
#include "unit.h"

#include "codec/jw.c"
#include "hex.h"

static void
strings_are_quoted_as_go_quotes_them(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "", "\"\"" },
        { "plain", "\"plain\"" },
        { "<a href=\"x\">&", "\"<a href=\\\"x\\\">&\"" }, /* HTML escaping is off */
        { "back\\slash/", "\"back\\\\slash/\"" },
        { "\n\r\t", "\"\\n\\r\\t\"" },
        { "\b\f\v\x01\x1f\x7f", "\"\\u0008\\u000c\\u000b\\u0001\\u001f\x7f\"" },
        { "\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87/\xe6\x97\xa5\xe6\x9c\xac \xc3\xbc \xf0\x9f\x98\x80",
          "\"\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87/\xe6\x97\xa5\xe6\x9c\xac \xc3\xbc \xf0\x9f\x98\x80\"" },
        { "\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", "\"\\u2028\\u2029\xe2\x80\xaa\"" },
        { "\xff", "\"\\ufffd\"" },
        { "a\xc3", "\"a\\ufffd\"" },
        { "\xe2\x82", "\"\\ufffd\\ufffd\"" },
        { "\xc0\xaf", "\"\\ufffd\\ufffd\"" },                       /* overlong */
        { "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" },            /* a surrogate */
        { "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" }, /* above U+10FFFF */
        { "0123456789abcdef0123456789abcde\"", "\"0123456789abcdef0123456789abcde\\\"\"" },
        { "0123456789abcdef\xc3\xbc", "\"0123456789abcdef\xc3\xbc\"" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sbuf b;
        char       *in = copy_of(cases[i].in, strlen(cases[i].in));

        sbuf_init(&b, 1024);
        json_quote(&b, str_from(in, strlen(cases[i].in)));
        assert_str(cases[i].out, sbuf_str(&b));
        sbuf_fini(&b);
        free(in);
    }
}

static void
a_NUL_in_a_string_is_escaped(void **state)
{
    struct sbuf b;

    (void)state;
    sbuf_init(&b, 1024);
    json_quote(&b, STR_LIT("a\0b"));
    assert_str("\"a\\u0000b\"", sbuf_str(&b));
    sbuf_fini(&b);
}

static void
every_text_reads_back(void **state)
{
    unsigned    seed = 1;
    struct sbuf b;

    (void)state;
    sbuf_init(&b, 1024);
    for (int round = 0; round < 20000; round++) {
        char    text[40];
        size_t  n = seed % sizeof(text);
        json_t *j;

        for (size_t i = 0; i < n; i++) {
            seed = seed * 1103515245u + 12345u;
            text[i] = (char)(seed >> 16 | 1); /* no NUL: jansson refuses it */
        }
        seed = seed * 1103515245u + 12345u;
        sbuf_reset(&b);
        json_quote(&b, str_from(text, n));
        assert_true(str_is_utf8(sbuf_str(&b)));
        assert_int_equal(0, json_read(sbuf_str(&b), &j, NULL));
        if (str_is_utf8(str_from(text, n))) {
            assert_int_equal(n, json_string_length(j));
            assert_memory_equal(text, json_string_value(j), n);
        }
        json_decref(j);
    }
    sbuf_fini(&b);
}

static void
objects_and_arrays_place_their_commas(void **state)
{
    struct sbuf b;
    struct jw   w;

    (void)state;
    sbuf_init(&b, 1024);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    jw_kstrz(&w, "a", "x");
    jw_key(&w, "b");
    jw_arr(&w);
    jw_u64(&w, UINT64_MAX);
    jw_i64(&w, INT64_MIN);
    jw_obj(&w);
    jw_obj_end(&w);
    jw_arr(&w);
    jw_arr_end(&w);
    jw_null(&w);
    jw_arr_end(&w);
    jw_ku64s(&w, "c", 18446744073709551615u);
    jw_ki64s(&w, "d", -1);
    jw_kbool(&w, "e", true);
    jw_kf64(&w, "f", 0.5);
    jw_key(&w, "g");
    jw_raw(&w, STR_LIT("{\"z\":1}"));
    jw_ki64(&w, "h", 0);
    jw_obj_end(&w);
    assert_str("{\"a\":\"x\",\"b\":[18446744073709551615,-9223372036854775808,{},[],null],"
               "\"c\":\"18446744073709551615\",\"d\":\"-1\",\"e\":true,\"f\":0.5,\"g\":{\"z\":1},\"h\":0}",
               sbuf_str(&b));
    sbuf_fini(&b);
}

static void
indented_text_looks_like_gos(void **state)
{
    struct sbuf b;
    struct jw   w;

    (void)state;
    sbuf_init(&b, 1024);
    jw_init(&w, &b, 4);
    jw_obj(&w);
    jw_ku64(&w, "a", 1);
    jw_key(&w, "b");
    jw_arr(&w);
    jw_bool(&w, false);
    jw_strz(&w, "x");
    jw_arr_end(&w);
    jw_key(&w, "c");
    jw_obj(&w);
    jw_obj_end(&w);
    jw_obj_end(&w);
    assert_str("{\n    \"a\": 1,\n    \"b\": [\n        false,\n        \"x\"\n    ],\n    \"c\": {}\n}", sbuf_str(&b));
    sbuf_fini(&b);
}

static void
floats_are_printed_as_go_prints_them(void **state)
{
    static const struct {
        double      v;
        const char *out;
    } cases[] = {
        { 0, "0" },
        { -0.0, "-0" },
        { 1, "1" },
        { -1.5, "-1.5" },
        { 0.1, "0.1" },
        { 0.1 + 0.2, "0.30000000000000004" },
        { 1.0 / 3, "0.3333333333333333" },
        { 100, "100" },
        { 123456789, "123456789" },
        { 1e20, "100000000000000000000" },
        { 1e21, "1e+21" },
        { 1.5e300, "1.5e+300" },
        { 1e-6, "0.000001" },
        { 1e-7, "1e-7" },
        { 1.25e-7, "1.25e-7" },
        { 9007199254740993.0, "9007199254740992" },
        { 5e-324, "5e-324" },
        { 2.2250738585072014e-308, "2.2250738585072014e-308" },
        { 1.7976931348623157e308, "1.7976931348623157e+308" },
        { 1024.0 * 1024 * 1024, "1073741824" },
        { 99.95, "99.95" },
        { NAN, "null" },
        { INFINITY, "null" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sbuf b;
        struct jw   w;

        sbuf_init(&b, 1024);
        jw_init(&w, &b, 0);
        jw_f64(&w, cases[i].v);
        assert_str(cases[i].out, sbuf_str(&b));
        sbuf_fini(&b);
    }
}

static void
over_the_maximum_nothing_is_written_and_it_shows(void **state)
{
    struct sbuf b;
    struct jw   w;

    (void)state;
    for (size_t max = 0; max < 80; max++) {
        sbuf_init(&b, max);
        jw_init(&w, &b, 2);
        jw_arr(&w);
        for (int i = 0; i < 5; i++)
            jw_str(&w, STR_LIT("ab\ncd\xff"));
        jw_arr_end(&w);
        assert_false(sbuf_ok(&b));
        assert_true(b.n <= max);
        sbuf_fini(&b);
    }
}

/* ---- reading ---- */

static void
any_value_may_stand_at_the_top(void **state)
{
    static const char *const cases[] = { "{}", "[]", "\"s\"", "1", "-1.5e3", "true", "null", " {\"a\" : [1 ,2]} \n" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *j = NULL;
        char   *in = copy_of(cases[i], strlen(cases[i]));

        assert_int_equal(0, json_read(str_from(in, strlen(cases[i])), &j, NULL));
        assert_non_null(j);
        json_decref(j);
        free(in);
    }
}

static void
bad_texts_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *in, *says;
    } cases[] = {
        { "", "empty" },
        { "   ", "JSON" },
        { "{", "'}'" },
        { "{\"a\":1,\"a\":2}", "duplicate" },
        { "{\"a\":1}x", "end of file" },
        { "{'a':1}", "line 1, column 2" },
        { "[1,]", "JSON" },
        { "\"\xff\"", "decode byte" },
        { "\"a\\u0000b\"", "\\u0000" },
        { "{\"a\\u0000\":1}", "\\u0000" },
        { "[18446744073709551616]", "too big" },
        { "[-9223372036854775809]", "too big" },
        { "1e999", "overflow" },
        { "\"abc", "premature" },
        { "\"abc\\", "invalid escape" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t    *j = NULL;
        struct err e = { .code = 0 };
        char      *in = copy_of(cases[i].in, strlen(cases[i].in));

        assert_int_equal(-AIS_E_BADREQ, json_read(str_from(in, strlen(cases[i].in)), &j, &e));
        assert_null(j);
        if (strstr(e.text, cases[i].says) == NULL)
            fail_msg("%s: %s", cases[i].in, e.text);
        free(in);
    }
}

static void
nesting_is_bounded_before_it_is_parsed(void **state)
{
    char    t[4000];
    json_t *j;

    (void)state;
    memset(t, '[', JSON_MAX_DEPTH);
    memset(t + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
    assert_int_equal(0, json_read(str_from(t, 2 * JSON_MAX_DEPTH), &j, NULL));
    json_decref(j);
    memset(t, '[', sizeof(t));
    assert_int_equal(-AIS_E_BADREQ, json_read(str_from(t, sizeof(t)), &j, NULL));
    memset(t, '{', sizeof(t));
    t[0] = '"'; /* in a string they do not count */
    t[sizeof(t) - 1] = '"';
    assert_int_equal(0, json_read(str_from(t, sizeof(t)), &j, NULL));
    json_decref(j);
}

static void
integers_of_64_bits_survive(void **state)
{
    static const char t[] = "{\"id_digest\":11400714819323198485,\"a\":[9223372036854775807,9223372036854775808],"
                            "\"s\":\"18446744073709551615\",\"n\":-5,\"f\":18446744073709551615.0,\"neg\":\"-7\","
                            "\"k9223372036854775808\":1,\"x\":1e19}";
    json_t           *j;
    uint64_t          u;
    int64_t           i;

    (void)state;
    assert_int_equal(0, json_read(str_z(t), &j, NULL));
    assert_true(json_u64(json_object_get(j, "id_digest"), &u) && u == 11400714819323198485u);
    assert_true(json_u64(json_array_get(json_object_get(j, "a"), 0), &u) && u == INT64_MAX);
    assert_true(json_u64(json_array_get(json_object_get(j, "a"), 1), &u) && u == 1ULL << 63);
    assert_true(json_u64(json_object_get(j, "s"), &u) && u == UINT64_MAX);
    assert_false(json_i64(json_object_get(j, "s"), &i));
    assert_false(json_u64(json_object_get(j, "n"), &u));
    assert_true(json_i64(json_object_get(j, "n"), &i) && i == -5);
    assert_true(json_i64(json_object_get(j, "neg"), &i) && i == -7);
    assert_false(json_u64(json_object_get(j, "f"), &u));
    assert_true(json_is_real(json_object_get(j, "f")));
    assert_true(json_is_real(json_object_get(j, "x")));
    assert_false(json_u64(json_object_get(j, "absent"), &u));
    assert_non_null(json_object_get(j, "k9223372036854775808"));
    json_decref(j);
}

static void
members_are_found_exactly_first_then_in_any_case(void **state)
{
    json_t *j;

    (void)state;
    assert_int_equal(0, json_read(STR_LIT("{\"ID\":1,\"id\":2,\"Kind\":3}"), &j, NULL));
    assert_int_equal(2, json_integer_value(json_get_fold(j, "id")));
    assert_int_equal(1, json_integer_value(json_get_fold(j, "ID")));
    assert_int_equal(3, json_integer_value(json_get_fold(j, "kind")));
    assert_null(json_get_fold(j, "kin"));
    json_decref(j);
    assert_null(json_get_fold(NULL, "x"));
    assert_int_equal(0, json_read(STR_LIT("[1]"), &j, NULL));
    assert_null(json_get_fold(j, "x"));
    json_decref(j);
}

static void
a_string_that_is_not_there_is_an_empty_one(void **state)
{
    struct sbuf out;

    (void)state;
    sbuf_init(&out, 64);
    json_quote(&out, STR_NULL);
    assert_true(str_eqz(sbuf_str(&out), "\"\""));
    sbuf_fini(&out);
}

static void
indented_json_is_what_go_prints(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "{}", "{}" },
        { "[]", "[]" },
        { "7", "7" },
        { "{\"a\":1,\"b\":[]}", "{\n  \"a\": 1,\n  \"b\": []\n}" },
        { "[1,{\"x\":{}}]", "[\n  1,\n  {\n    \"x\": {}\n  }\n]" },
        { "{\"a,:{\\\"[\":\"}\\\\\"}", "{\n  \"a,:{\\\"[\": \"}\\\\\"\n}" },
        { "[18446744073709551615]", "[\n  18446744073709551615\n]" },
    };
    struct sbuf out;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        sbuf_init(&out, 4096);
        json_indent(str_z(cases[i].in), 2, &out);
        assert_true(str_eqz(sbuf_str(&out), cases[i].out));
        sbuf_fini(&out);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indented_json_is_what_go_prints),
        cmocka_unit_test(a_string_that_is_not_there_is_an_empty_one),
        cmocka_unit_test(strings_are_quoted_as_go_quotes_them),
        cmocka_unit_test(a_NUL_in_a_string_is_escaped),
        cmocka_unit_test(every_text_reads_back),
        cmocka_unit_test(objects_and_arrays_place_their_commas),
        cmocka_unit_test(indented_text_looks_like_gos),
        cmocka_unit_test(floats_are_printed_as_go_prints_them),
        cmocka_unit_test(over_the_maximum_nothing_is_written_and_it_shows),
        cmocka_unit_test(any_value_may_stand_at_the_top),
        cmocka_unit_test(bad_texts_are_refused_with_a_reason),
        cmocka_unit_test(nesting_is_bounded_before_it_is_parsed),
        cmocka_unit_test(integers_of_64_bits_survive),
        cmocka_unit_test(members_are_found_exactly_first_then_in_any_case),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
