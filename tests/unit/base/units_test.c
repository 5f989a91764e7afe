/* SPDX-License-Identifier: Apache-2.0 */
/* Durations, sizes and times as AIStore writes them. */
#include "unit.h"

#include <stdlib.h>
#include <time.h>

#include "base/units.c"

#define S  NSEC_PER_SEC
#define MS NSEC_PER_MSEC
#define US NSEC_PER_USEC
#define M  (60 * S)
#define H  (60 * M)

static void
durations_are_read_as_go_reads_them(void **state)
{
    static const struct {
        const char *in;
        int64_t     ns;
    } cases[] = {
        { "0", 0 },
        { "-0", 0 },
        { "+0", 0 },
        { "0s", 0 },
        { "5s", 5 * S },
        { "30s", 30 * S },
        { "1478s", 1478 * S },
        { "-5s", -5 * S },
        { "+5s", 5 * S },
        { "5.0s", 5 * S },
        { "5.6s", 5 * S + 600 * MS },
        { "5.s", 5 * S },
        { ".5s", 500 * MS },
        { "1.004s", S + 4 * MS },
        { "1.0040s", S + 4 * MS },
        { "100.00100s", 100 * S + MS },
        { "10ns", 10 },
        { "11us", 11 * US },
        { "12\xc2\xb5s", 12 * US },
        { "12\xce\xbcs", 12 * US },
        { "13ms", 13 * MS },
        { "1h30m", H + 30 * M },
        { "1.5h", H + 30 * M },
        { "1m30s", M + 30 * S },
        { "10.5s4m", 4 * M + 10 * S + 500 * MS },
        { "-2m3.4s", -(2 * M + 3 * S + 400 * MS) },
        { "1h2m3s4ms5us6ns", H + 2 * M + 3 * S + 4 * MS + 5 * US + 6 },
        { "52763797000ns", 52763797000 },
        { "0.3333333333333333333h", 20 * M },
        { "9007199254740993ns", 9007199254740993 },
        { "9223372036854775807ns", INT64_MAX },
        { "9223372036854775.807us", INT64_MAX },
        { "9223372036s854ms775us807ns", INT64_MAX },
        { "-9223372036854775808ns", INT64_MIN },
        { "0.100000000000000000000h", 6 * M },
        { "0.830103483285477580700h", 49 * M + 48 * S + 372539827 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t ns;

        if (!dur_parse(str_z(cases[i].in), &ns) || ns != cases[i].ns)
            fail_msg("%s", cases[i].in);
    }
}

static void
what_go_refuses_as_a_duration_is_refused(void **state)
{
    static const char *const cases[] = {
        "",        "3",      "-",      "s",      ".",     "-.",    ".s",     "+.s",   "1 s",   " 1s",
        "1s ",     "1d",     "1S",     "--1s",   "1e3s",  "0x1s",  "1.2.3s", "1s2",   "00",    "3000000h",
        "9223372036854775808ns", "9223372036854775.808us", "9223372036854ms775us808ns", "-9223372036854775809ns",
        "\x85\x85", "\xff",  "1\xc2s",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t ns = 77;

        if (dur_parse(str_z(cases[i]), &ns))
            fail_msg("%s", cases[i]);
        assert_int_equal(77, ns);
    }
}

static void
durations_are_written_with_aistores_shortening(void **state)
{
    static const struct {
        int64_t     ns;
        const char *out;
    } cases[] = {
        { 0, "0s" },
        { 1, "1ns" },
        { 1100, "1.1\xc2\xb5s" },
        { 2200 * US, "2.2ms" },
        { 100 * MS, "100ms" },
        { 3300 * MS, "3.3s" },
        { 10 * S, "10s" },
        { M, "1m" },
        { 2 * M, "2m" },
        { 10 * M, "10m" },
        { 2 * M + 30 * S, "2m30s" },
        { 2 * M + 1, "2m0.000000001s" },
        { H, "1h0m" },
        { 30 * H, "30h0m" },
        { H + 5 * S, "1h0m5s" },
        { H + M, "1h1m" },
        { -5 * S, "-5s" },
        { -H, "-1h0m" },
        { 4 * M + 5 * S + MS, "4m5.001s" },
        { INT64_MAX, "2562047h47m16.854775807s" },
        { INT64_MIN, "-2562047h47m16.854775808s" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char    out[UNITS_MAX];
        int64_t back;

        assert_int_equal(strlen(cases[i].out), dur_format(cases[i].ns, out));
        assert_string_equal(cases[i].out, out);
        assert_true(dur_parse(str_z(out), &back));
        assert_true(back == cases[i].ns);
    }
}

static void
sizes_are_binary_whatever_the_suffix(void **state)
{
    static const struct {
        const char *in;
        uint64_t    bytes;
    } cases[] = {
        { "0", 0 },
        { "0B", 0 },
        { "1048576", MIB },
        { "10MiB", 10 * MIB },
        { "10mb", 10 * MIB },
        { "10m", 10 * MIB },
        { "10Mi", 10 * MIB },
        { "10 MB", 10 * MIB },
        { " 7k ", 7 * KIB },
        { "1.5GiB", 3 * GIB / 2 },
        { "0.1k", 102 },
        { "2T", 2 * TIB },
        { "3p", 3 * 1024 * TIB },
        { "15E", 15ull << 60 },
        { "100GB", 100 * GIB },
        { "18446744073709551615", UINT64_MAX },
        { "0.99999999999999999999k", 1023 },
    };
    static const char *const bad[] = { "",    "k",    "MiB", "-1",   "+1",  "1.",   ".5k", "1.k",  "1kk",  "1kbb",
                                       "1bk", "1z",   "1,5k", "0x10", "1e3", "nan", "16E", "18446744073709551616", "1k 2" };
    uint64_t                 v;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (!size_parse(str_z(cases[i].in), &v) || v != cases[i].bytes)
            fail_msg("%s", cases[i].in);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (size_parse(str_z(bad[i]), &v))
            fail_msg("%s", bad[i]);
}

static void
sizes_are_written_by_threshold(void **state)
{
    static const struct {
        uint64_t    bytes;
        const char *config, *human;
    } cases[] = {
        { 0, "0B", "0B" },
        { 1023, "1023B", "1023B" },
        { KIB, "1KiB", "1.00KiB" },
        { 1536, "2KiB", "1.50KiB" },
        { 64 * MIB, "64MiB", "64.00MiB" },
        { MIB - 1, "1024KiB", "1024.00KiB" },
        { GIB, "1GiB", "1.00GiB" },
        { 5 * TIB / 4, "1TiB", "1.25TiB" },
        { 5000 * TIB, "5000TiB", "5000.00TiB" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char out[UNITS_MAX];

        assert_int_equal(strlen(cases[i].config), size_format(cases[i].bytes, out));
        assert_string_equal(cases[i].config, out);
        assert_int_equal(strlen(cases[i].human), size_format_human(cases[i].bytes, out));
        assert_string_equal(cases[i].human, out);
    }
}

static void
times_have_the_forms_of_the_wire(void **state)
{
    char out[UNITS_MAX];

    (void)state;
    assert_int_equal(29, time_http(784111777 * S, out));
    assert_string_equal("Sun, 06 Nov 1994 08:49:37 GMT", out);
    time_rfc822(784111777 * S, out);
    assert_string_equal("06 Nov 94 08:49 UTC", out);
    time_rfc3339(784111777 * S, out);
    assert_string_equal("1994-11-06T08:49:37Z", out);
    time_rfc3339(784111777 * S + 120000000, out);
    assert_string_equal("1994-11-06T08:49:37.12Z", out);
    time_rfc3339(784111777 * S + 1, out);
    assert_string_equal("1994-11-06T08:49:37.000000001Z", out);
    assert_int_equal(20, time_rfc3339(0, out));
    assert_string_equal("0001-01-01T00:00:00Z", out);
    time_datetime(1785578400 * S, out);
    assert_string_equal("2026-08-01 10:00:00", out);
    time_http(-1, out);
    assert_string_equal("Wed, 31 Dec 1969 23:59:59 GMT", out);
    assert_true(time_rfc3339(INT64_MAX, out) < UNITS_MAX);
    assert_string_equal("2262-04-11T23:47:16.854775807Z", out);
    time_rfc3339(INT64_MIN, out);
    assert_string_equal("1677-09-21T00:12:43.145224192Z", out);
}

static void
the_calendar_agrees_with_libc(void **state)
{
    (void)state;
    for (int64_t t = -9000000000; t < 9000000000; t += 86399 * 31 + 12345) {
        struct civil c = civil_of(t * S);
        time_t       tt = (time_t)t;
        struct tm    tm;

        assert_non_null(gmtime_r(&tt, &tm));
        assert_int_equal(tm.tm_year + 1900, c.year);
        assert_int_equal(tm.tm_mon + 1, c.month);
        assert_int_equal(tm.tm_mday, c.day);
        assert_int_equal(tm.tm_yday + 1, c.yday);
        assert_int_equal(tm.tm_wday, c.wday);
        assert_int_equal(tm.tm_hour, c.hour);
        assert_int_equal(tm.tm_min, c.min);
        assert_int_equal(tm.tm_sec, c.sec);
    }
}

static void
go_layouts_are_followed(void **state)
{
    static const struct {
        const char *layout, *out;
    } cases[] = {
        { "", "" },
        { "02 Jan 06 15:04 MST", "04 Feb 09 21:00 UTC" },
        { "02 Jan 06 15:04 -0700", "04 Feb 09 21:00 +0000" },
        { "Mon Jan _2 15:04:05 2006", "Wed Feb  4 21:00:57 2009" },
        { "Monday, 02-Jan-06 15:04:05 MST", "Wednesday, 04-Feb-09 21:00:57 UTC" },
        { "2006-01-02T15:04:05Z07:00", "2009-02-04T21:00:57Z" },
        { "2006-01-02T15:04:05.999999999Z07:00", "2009-02-04T21:00:57.0123456Z" },
        { "3:04PM", "9:00PM" },
        { "03:4:5 pm January 1/2", "09:0:57 pm February 2/4" },
        { "Jan _2 15:04:05.000", "Feb  4 21:00:57.012" },
        { "15:04:05,000000", "21:00:57,012345" },
        { "05.00 05.99", "57.01 57.01" },
        { "002 __2", "035  35" },
        { "_2006", "_2009" },
        { "-07:00 -07 -070000", "+00:00 +00 +000000" },
        { "Janet Month", "Janet Month" },
        { "20060102", "20090204" },
        { "@@ xyz \xc3\xbc", "@@ xyz \xc3\xbc" },
    };
    int64_t t = 1233781257 * S + 12345600; /* 2009-02-04 21:00:57.0123456 */

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char out[64];

        assert_int_equal(strlen(cases[i].out), time_go_layout(t, str_z(cases[i].layout), out, sizeof(out)));
        assert_string_equal(cases[i].out, out);
    }
}

static void
a_layout_that_does_not_fit_is_cut(void **state)
{
    (void)state;
    for (size_t cap = 1; cap < 30; cap++) {
        char *out = malloc(cap);

        assert_int_equal(MIN(cap - 1, (size_t)19), time_go_layout(0, STR_LIT("2006-01-02 15:04:05"), out, cap));
        assert_int_equal('\0', out[MIN(cap - 1, (size_t)19)]);
        free(out);
    }
    assert_int_equal(0, time_go_layout(0, STR_LIT("2006"), NULL, 0));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_as_go_reads_them),
        cmocka_unit_test(what_go_refuses_as_a_duration_is_refused),
        cmocka_unit_test(durations_are_written_with_aistores_shortening),
        cmocka_unit_test(sizes_are_binary_whatever_the_suffix),
        cmocka_unit_test(sizes_are_written_by_threshold),
        cmocka_unit_test(times_have_the_forms_of_the_wire),
        cmocka_unit_test(the_calendar_agrees_with_libc),
        cmocka_unit_test(go_layouts_are_followed),
        cmocka_unit_test(a_layout_that_does_not_fit_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
