/* SPDX-License-Identifier: Apache-2.0 */
/* Which objects are the oldest, and how much must go. */
#include "unit.h"

#include <stdio.h>

#include "xact/lru.c"

static void
the_oldest_are_kept_whatever_comes_in_which_order(void **state)
{
    struct oldest    h = { .max = 100, .v = xcalloc(100, sizeof(*h.v)) };
    const struct gen g = { .counter = 1 };
    char             name[32];

    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        unsigned age = i * 37 % 5000; /* a permutation */

        snprintf(name, sizeof(name), "o%u", age);
        oldest_add(&h, (int64_t)age + 1, age, &g, str_z(name));
    }
    assert_int_equal(100, h.n);
    qsort(h.v, h.n, sizeof(*h.v), older_first);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "o%u", i);
        assert_int_equal(i + 1, h.v[i].atime);
        assert_string_equal(name, h.v[i].name);
    }
    oldest_reset(&h);
    assert_int_equal(0, h.n);
    free(h.v);
}

static void
below_the_high_watermark_nothing_goes(void **state)
{
    const struct limits l = { .low = 75, .high = 90 };

    (void)state;
    assert_int_equal(0, to_evict(89, 100, &l));
    assert_int_equal(15, to_evict(90, 100, &l));
    assert_int_equal(25, to_evict(100, 100, &l));
    assert_int_equal(0, to_evict(0, 0, &l));
    assert_true(to_evict(1000 * TIB, 1000 * TIB, &l) >= 249 * TIB);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_are_kept_whatever_comes_in_which_order),
        cmocka_unit_test(below_the_high_watermark_nothing_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
