/* SPDX-License-Identifier: Apache-2.0 */
/* Bucket summaries that are kept: not for ever, and not without limit. */
#include "unit.h"

#include "proxy/summary.c"

static struct proxy proxy;

static struct summary *
summary_add(const char *id, bool done, int64_t at)
{
    struct summary *s = xcalloc(1, sizeof(*s));

    str_copyz(str_z(id), s->id, sizeof(s->id));
    s->a = arena_new(1024, 1 * MIB);
    s->done = done;
    s->at = at;
    hmap_add(&proxy.summaries, &s->node, id_hash(str_z(s->id)));
    return s;
}

static int
setup(void **state)
{
    (void)state;
    memset(&proxy, 0, sizeof(proxy));
    return pthread_mutex_init(&proxy.mtx, NULL);
}

static int
teardown(void **state)
{
    (void)state;
    summaries_free(&proxy);
    return pthread_mutex_destroy(&proxy.mtx);
}

static void
a_result_is_forgotten_after_ten_minutes(void **state)
{
    (void)state;
    summary_add("old", true, clock_mono() - KEEP_NS - 1);
    summary_add("fresh", true, clock_mono());
    summary_add("running", false, 0);
    assert_true(room_locked(&proxy));
    assert_null(find_locked(&proxy, STR_LIT("old")));
    assert_non_null(find_locked(&proxy, STR_LIT("fresh")));
    assert_non_null(find_locked(&proxy, STR_LIT("running")));
}

static void
the_oldest_result_makes_room(void **state)
{
    char id[16];

    (void)state;
    for (int i = 0; i < KEEP_MAX; i++) {
        snprintf(id, sizeof(id), "s%d", i);
        summary_add(id, i % 2 == 0, clock_mono() + (i == 100 ? -SEC_NS(5) : 0));
    }
    assert_true(room_locked(&proxy));
    assert_null(find_locked(&proxy, STR_LIT("s100")));
    assert_int_equal(KEEP_MAX - 1, proxy.summaries.n);
    assert_true(room_locked(&proxy)); /* there is room: nothing goes */
    assert_int_equal(KEEP_MAX - 1, proxy.summaries.n);
}

static void
no_more_jobs_than_that_are_at_work(void **state)
{
    char id[16];

    (void)state;
    for (int i = 0; i < KEEP_MAX; i++) {
        snprintf(id, sizeof(id), "s%d", i);
        summary_add(id, false, 0);
    }
    assert_false(room_locked(&proxy));
    assert_int_equal(KEEP_MAX, proxy.summaries.n);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_result_is_forgotten_after_ten_minutes),
        T(the_oldest_result_makes_room),
        T(no_more_jobs_than_that_are_at_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
