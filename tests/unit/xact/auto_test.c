/* SPDX-License-Identifier: Apache-2.0 */
/* When jobs begin by themselves. */
#include "unit.h"

#include "xact/auto.c"

static void
nothing_below_the_watermarks(void **state)
{
    struct xauto a = { .looked = 0 };

    (void)state;
    assert_int_equal(X_ANY, due(&a, 0, 65, 90, SEC_NS(1)));
    assert_int_equal(X_ANY, due(&a, 65, 65, 90, SEC_NS(1)));
}

static void
first_cleanup_then_eviction_and_not_often(void **state)
{
    struct xauto a = { .looked = 0 };

    (void)state;
    assert_int_equal(X_CLEANUP, due(&a, 91, 65, 90, SEC_NS(1)));
    assert_int_equal(X_LRU, due(&a, 91, 65, 90, SEC_NS(11)));
    assert_int_equal(X_ANY, due(&a, 99, 65, 90, SEC_NS(21)));
    assert_int_equal(X_CLEANUP, due(&a, 99, 65, 90, SEC_NS(601)));
    assert_int_equal(X_ANY, due(&a, 99, 65, 90, SEC_NS(610)));
    assert_int_equal(X_LRU, due(&a, 99, 65, 90, SEC_NS(611)));
}

static void
between_the_watermarks_only_cleanup(void **state)
{
    struct xauto a = { .looked = 0 };

    (void)state;
    assert_int_equal(X_CLEANUP, due(&a, 70, 65, 90, SEC_NS(1)));
    assert_int_equal(X_ANY, due(&a, 70, 65, 90, SEC_NS(11)));
    assert_int_equal(X_ANY, due(&a, 90, 65, 90, SEC_NS(21)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_below_the_watermarks),
        cmocka_unit_test(first_cleanup_then_eviction_and_not_often),
        cmocka_unit_test(between_the_watermarks_only_cleanup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
