/* SPDX-License-Identifier: Apache-2.0 */
/* Name locks: shared, exclusive, in order, with deadlines, upgrades. */
#include "fixture.h"

#define NAME STR_LIT("some/name")

static struct nlocks locks;
static char          order[64];

struct taker {
    bool         excl;
    char         mark;
    int          rc;
    int64_t      deadline;
};

static int
take(void *arg)
{
    struct taker *t = arg;
    struct nhold  h;

    if (t->deadline != 0)
        fiber_set_deadline(t->deadline);
    t->rc = nlock(&locks, 1, NAME, t->excl, &h);
    if (t->rc < 0)
        return 0;
    snprintf(order + strlen(order), sizeof(order) - strlen(order), "%c", t->mark);
    fiber_yield();
    fiber_yield();
    snprintf(order + strlen(order), sizeof(order) - strlen(order), "%c", t->mark - 'a' + 'A');
    nunlock(&locks, &h);
    return 0;
}

static void
start(struct group *g, struct taker *t, size_t n)
{
    group_init(g, false);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(0, group_start(g, "taker", take, &t[i]));
    fiber_yield();
}

static void
in_order(void)
{
    struct taker t[] = { { .excl = false, .mark = 'r' }, { .excl = false, .mark = 's' }, { .excl = true, .mark = 'w' },
                         { .excl = false, .mark = 't' }, { .excl = false, .mark = 'u' } };
    struct nhold h;
    struct group g;

    order[0] = '\0';
    assert_int_equal(0, nlock(&locks, 1, NAME, true, &h));
    assert_int_equal(2, nlock_state(&locks, 1, NAME));
    assert_int_equal(0, nlock_state(&locks, 2, NAME));
    start(&g, t, ARRAY_SIZE(t));
    nunlock(&locks, &h);
    assert_int_equal(0, group_wait(&g));
    assert_int_equal(0, nlock_state(&locks, 1, NAME));
    assert_true(strchr(order, 'w') > strchr(order, 'S') && strchr(order, 'w') > strchr(order, 'R')); /* sharers before it ended */
    assert_true(strchr(order, 't') > strchr(order, 'W') && strchr(order, 'u') > strchr(order, 'W')); /* later ones did not pass */
    assert_int_equal('W', strchr(order, 'w')[1]); /* alone */
}

static void
who_comes_first_is_served_first(void **state)
{
    UNUSED(state);
    on_fiber(in_order);
}

/* A writer that gives up lets the sharers behind it in. */
static void
timeouts(void)
{
    struct taker t[] = { { .excl = true, .mark = 'w' }, { .excl = false, .mark = 'r' } };
    struct nhold h;
    struct group g;

    order[0] = '\0';
    t[0].deadline = clock_mono() + MSEC_NS(20);
    assert_int_equal(0, nlock(&locks, 1, NAME, false, &h));
    start(&g, t, ARRAY_SIZE(t));
    assert_string_equal("", order);
    assert_int_equal(0, group_wait(&g));
    assert_int_equal(-AIS_E_TIMEOUT, t[0].rc);
    assert_string_equal("rR", order);
    assert_int_equal(1, nlock_state(&locks, 1, NAME));
    nunlock(&locks, &h);
}

static void
a_waiter_whose_deadline_passes_does_not_hold_up_the_others(void **state)
{
    UNUSED(state);
    on_fiber(timeouts);
}

static void
upgrades(void)
{
    struct taker t[] = { { .excl = true, .mark = 'w' } };
    struct nhold a, b;
    struct group g;

    order[0] = '\0';
    assert_int_equal(0, nlock(&locks, 1, NAME, false, &a));
    start(&g, t, 1);
    assert_int_equal(0, nlock_upgrade(&locks, &a)); /* alone: at once, before the writer that waits */
    assert_int_equal(2, nlock_state(&locks, 1, NAME));
    nunlock(&locks, &a);
    assert_int_equal(0, group_wait(&g));
    assert_string_equal("wW", order);
    assert_int_equal(0, nlock(&locks, 1, NAME, false, &a));
    assert_int_equal(0, nlock(&locks, 1, NAME, false, &b));
    fiber_set_deadline(clock_mono() + MSEC_NS(10));
    assert_int_equal(-AIS_E_TIMEOUT, nlock_upgrade(&locks, &a)); /* b does not go */
    fiber_set_deadline(NO_DEADLINE);
    nunlock(&locks, &b);
    assert_int_equal(0, nlock_upgrade(&locks, &a));
    nunlock(&locks, &a);
}

static void
an_upgrade_goes_before_the_queue_and_can_time_out(void **state)
{
    UNUSED(state);
    on_fiber(upgrades);
}

struct hammer {
    unsigned         id;
    _Atomic unsigned inside;
    unsigned         value; /* protected by the lock alone */
    unsigned         done;
};
static struct hammer hm;
static sem_t         ended;

static void
hammer_main(void *arg)
{
    UNUSED(arg);
    for (int i = 0; i < 500; i++) {
        struct nhold h;

        assert_int_equal(0, nlock(&locks, 1, NAME, i % 3 != 0, &h));
        if (i % 3 != 0) {
            assert_int_equal(0, atomic_fetch_add(&hm.inside, 1));
            hm.value++;
            if (i % 7 == 0)
                fiber_yield();
            atomic_fetch_sub(&hm.inside, 1);
        }
        nunlock(&locks, &h);
    }
    sem_post(&ended);
}

static void
exclusive_means_alone_on_two_loops(void **state)
{
    UNUSED(state);
    sem_init(&ended, 0, 0);
    hm.value = 0;
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(0, fiber_spawn(run_loop(run, i % 2), "hammer", hammer_main, NULL));
    for (unsigned i = 0; i < 8; i++)
        while (sem_wait(&ended) != 0)
            ;
    assert_int_equal(8 * 333, hm.value);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(who_comes_first_is_served_first),
        T(a_waiter_whose_deadline_passes_does_not_hold_up_the_others),
        T(an_upgrade_goes_before_the_queue_and_can_time_out),
        T(exclusive_means_alone_on_two_loops),
    };
    int rc;

    nlocks_init(&locks);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    nlocks_fini(&locks);
    return rc;
}
