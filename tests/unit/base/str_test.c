/* SPDX-License-Identifier: Apache-2.0 */
/* Strings that are pointer and length. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/str.c"

static void
comparison_is_by_bytes_and_a_prefix_sorts_first(void **state)
{
    (void)state;
    assert_true(str_cmp(STR_LIT("a"), STR_LIT("b")) < 0);
    assert_true(str_cmp(STR_LIT("a"), STR_LIT("ab")) < 0);
    assert_true(str_cmp(STR_LIT("\xff"), STR_LIT("a")) > 0);
    assert_true(str_cmp(STR_LIT("a\0b"), STR_LIT("a\0a")) > 0);
    assert_int_equal(0, str_cmp(STR_NULL, STR_LIT("")));
    assert_true(str_eq(STR_NULL, STR_LIT("")));
    assert_true(str_ieq(STR_LIT("aZ[`"), STR_LIT("Az[`")));
    assert_false(str_ieq(STR_LIT("["), STR_LIT("{"))); /* letters only */
    assert_true(str_istarts(STR_LIT("HTTP://h"), STR_LIT("http://")));
    assert_false(str_istarts(STR_LIT("h"), STR_LIT("http://")));
}

static void
searching_returns_the_index_or_minus_one(void **state)
{
    (void)state;
    assert_int_equal(1, str_chr(STR_LIT("abca"), 'b'));
    assert_int_equal(3, str_rchr(STR_LIT("abca"), 'a'));
    assert_int_equal(-1, str_chr(STR_NULL, 'a'));
    assert_int_equal(-1, str_rchr(STR_NULL, 'a'));
    assert_int_equal(2, str_find(STR_LIT("abcd"), STR_LIT("cd")));
    assert_int_equal(0, str_find(STR_LIT("abcd"), STR_LIT("")));
    assert_int_equal(0, str_find(STR_NULL, STR_NULL));
    assert_int_equal(-1, str_find(STR_LIT("ab"), STR_LIT("abc")));
}

static void
splitting_gives_every_token_and_ends(void **state)
{
    static const struct {
        const char *in;
        const char *want[4];
        int         n;
    } cases[] = { { "a,b", { "a", "b" }, 2 },
                  { "a,", { "a", "" }, 2 },
                  { "", { "" }, 1 },
                  { ",", { "", "" }, 2 },
                  { ",a,,b", { "", "a", "", "b" }, 4 } };
    struct str tok, none = STR_NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct str rest = str_z(cases[i].in);
        int        n = 0;

        while (str_split(&rest, ',', &tok)) {
            assert_true(n < cases[i].n && str_eqz(tok, cases[i].want[n]));
            n++;
        }
        assert_int_equal(cases[i].n, n);
    }
    assert_false(str_split(&none, ',', &tok));
}

static void
numbers_are_whole_strings_that_fit(void **state)
{
    static const char *const bad_u64[] = { "", "-1", "+1", " 1", "1 ", "1x", "0x1", "18446744073709551616", "99999999999999999999" };
    static const char *const bad_i64[] = { "", "-", "+", "--1", "+-1", "9223372036854775808", "-9223372036854775809", "1.0" };
    static const char *const bad_f64[] = { "", " 1", "1 ", "nan", "inf", "0x1p3", "1,5", "1e999", "--1", "e", "." };
    uint64_t u = 5;
    int64_t  i = 5;
    double   f = 5;

    (void)state;
    for (size_t k = 0; k < ARRAY_SIZE(bad_u64); k++)
        assert_false(str_u64(str_z(bad_u64[k]), &u));
    for (size_t k = 0; k < ARRAY_SIZE(bad_i64); k++)
        assert_false(str_i64(str_z(bad_i64[k]), &i));
    for (size_t k = 0; k < ARRAY_SIZE(bad_f64); k++)
        assert_false(str_f64(str_z(bad_f64[k]), &f));
    assert_false(str_f64(STR_LIT("1\0"), &f)); /* a NUL is not the end of a str */
    assert_false(str_u64_base(STR_LIT("12"), 2, &u));
    assert_true(u == 5 && i == 5 && f == 5);
    assert_true(str_u64(STR_LIT("18446744073709551615"), &u) && u == UINT64_MAX);
    assert_true(str_i64(STR_LIT("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(str_i64(STR_LIT("+7"), &i) && i == 7);
    assert_true(str_u64_base(STR_LIT("fF"), 16, &u) && u == 255);
    assert_true(str_u64_base(STR_LIT("3w5e11264sgsf"), 36, &u) && u == UINT64_MAX);
    assert_true(str_f64(STR_LIT("-1.5e3"), &f) && f == -1500);
}

static void
query_booleans_are_lenient(void **state)
{
    static const char *const yes[] = { "y", "yes", "on", "true", "1", "t", "T", "TRUE", "True" };
    static const char *const no[] = { "", "n", "no", "off", "false", "0", "f", "2", "yess", "tru" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
        assert_true(str_query_bool(str_z(yes[i])));
    for (size_t i = 0; i < ARRAY_SIZE(no); i++)
        assert_false(str_query_bool(str_z(no[i])));
}

static void
hex_goes_both_ways(void **state)
{
    unsigned char b[4] = { 0, 0x1f, 0xa0, 0xff }, back[4];
    char          out[9];

    (void)state;
    str_hex(b, 4, out);
    assert_string_equal("001fa0ff", out);
    assert_true(str_unhex(STR_LIT("001FA0ff"), back, 4));
    assert_memory_equal(b, back, 4);
    assert_false(str_unhex(STR_LIT("001FA0f"), back, 4));
    assert_false(str_unhex(STR_LIT("001FA0fg"), back, 4));
    assert_false(str_unhex(STR_LIT("001FA0ff0"), back, 4));
    assert_true(str_unhex(STR_LIT(""), back, 0));
}

static void
numbers_print_in_any_base(void **state)
{
    char out[66];

    (void)state;
    assert_int_equal(1, str_from_u64(0, 10, out));
    assert_string_equal("0", out);
    assert_int_equal(20, str_from_u64(UINT64_MAX, 10, out));
    assert_string_equal("18446744073709551615", out);
    assert_int_equal(64, str_from_u64(UINT64_MAX, 2, out));
    assert_int_equal(13, str_from_u64(UINT64_MAX, 36, out));
    assert_string_equal("3w5e11264sgsf", out);
}

static void
copies_end_with_NUL_and_say_when_cut(void **state)
{
    char buf[4];

    (void)state;
    assert_true(str_copyz(STR_LIT("abc"), buf, 4));
    assert_string_equal("abc", buf);
    assert_false(str_copyz(STR_LIT("abcd"), buf, 4));
    assert_string_equal("abc", buf);
    assert_true(str_copyz(STR_NULL, buf, 1));
    assert_string_equal("", buf);
}

static void
utf8_is_judged_as_the_standard_says(void **state)
{
    static const struct {
        const char *s;
        bool        ok;
    } cases[] = {
        { "", true },
        { "abc", true },
        { "\x7f", true },
        { "\xc2\x80", true },
        { "\xdf\xbf", true },
        { "\xe0\xa0\x80", true },
        { "\xed\x9f\xbf", true },
        { "\xee\x80\x80", true },
        { "\xef\xbf\xbf", true },
        { "\xf0\x90\x80\x80", true },
        { "\xf4\x8f\xbf\xbf", true },
        { "\x80", false },
        { "\xbf", false },
        { "\xc0\x80", false },
        { "\xc1\xbf", false },
        { "\xc2", false },
        { "\xc2\x41", false },
        { "\xe0\x9f\xbf", false },
        { "\xe0\xa0", false },
        { "\xed\xa0\x80", false }, /* surrogates */
        { "\xed\xbf\xbf", false },
        { "\xf0\x8f\xbf\xbf", false },
        { "\xf0\x90\x80", false },
        { "\xf4\x90\x80\x80", false }, /* above U+10FFFF */
        { "\xf5\x80\x80\x80", false },
        { "\xff", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t n = strlen(cases[i].s);
        char  *copy = malloc(n + (n == 0)); /* exact: reading past the end shows */

        memcpy(copy, cases[i].s, n);
        if (str_is_utf8(str_from(copy, n)) != cases[i].ok)
            fail_msg("case %zu", i);
        free(copy);
    }
}

static void
trimming_takes_blanks_and_tabs(void **state)
{
    (void)state;
    assert_true(str_eqz(str_trim(STR_LIT(" \ta b\t ")), "a b"));
    assert_true(str_eqz(str_trim(STR_LIT(" \t ")), ""));
    assert_true(str_eqz(str_trim(STR_LIT("\n")), "\n"));
    assert_int_equal(0, str_from_off(STR_LIT("abc"), 7).n);
    assert_true(str_starts(STR_LIT("abc"), STR_LIT("")) && str_ends(STR_LIT("abc"), STR_LIT("bc")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparison_is_by_bytes_and_a_prefix_sorts_first),
        cmocka_unit_test(searching_returns_the_index_or_minus_one),
        cmocka_unit_test(splitting_gives_every_token_and_ends),
        cmocka_unit_test(numbers_are_whole_strings_that_fit),
        cmocka_unit_test(query_booleans_are_lenient),
        cmocka_unit_test(hex_goes_both_ways),
        cmocka_unit_test(numbers_print_in_any_base),
        cmocka_unit_test(copies_end_with_NUL_and_say_when_cut),
        cmocka_unit_test(utf8_is_judged_as_the_standard_says),
        cmocka_unit_test(trimming_takes_blanks_and_tabs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
