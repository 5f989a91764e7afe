/* SPDX-License-Identifier: Apache-2.0 */
#include "../../../node/target/iostat.c"

#include "unit.h"

static const char line[] = "   8       0 sda 100 5 2000 30 200 6 8000 40 0 500 70 0 0 0 0 0 0";

static void
a_line_of_diskstats_is_read(void **state)
{
    struct diskstat d;

    (void)state;
    assert_true(parse_line(line, &d));
    assert_string_equal(d.name, "sda");
    assert_int_equal(d.reads, 100);
    assert_int_equal(d.rsectors, 2000);
    assert_int_equal(d.writes, 200);
    assert_int_equal(d.wsectors, 8000);
    assert_int_equal(d.busy_ms, 500);
    assert_false(parse_line("   8 0 sda 1 2", &d));
    assert_false(parse_line("", &d));
}

static void
rates_are_differences_over_time(void **state)
{
    struct diskstat then, now;

    (void)state;
    assert_true(parse_line(line, &then));
    assert_true(parse_line("   8  0 sda 110 5 2200 30 220 6 8400 40 0 1500 70", &now));
    rate_between(&now, &then, SEC_NS(2));
    assert_int_equal(now.rate.rbps, 100 * SECTOR);
    assert_int_equal(now.rate.ravg, 20 * SECTOR);
    assert_int_equal(now.rate.wbps, 200 * SECTOR);
    assert_int_equal(now.rate.wavg, 20 * SECTOR);
    assert_int_equal(now.rate.util, 50);
    rate_between(&now, &now, SEC_NS(2));
    assert_int_equal(now.rate.rbps + now.rate.ravg + now.rate.util, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_diskstats_is_read),
        cmocka_unit_test(rates_are_differences_over_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
