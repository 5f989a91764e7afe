/* SPDX-License-Identifier: Apache-2.0 */
/* Who counts as dead, by which clock, and how those are let in again that die again and again. */
#include "unit.h"

#include "core/peers.c"

static struct mset   *set;
static struct member *m;
static struct peer   *p;

static int
setup(void **state)
{
    (void)state;
    set = mset_new(conf_default());
    m = xcalloc(1, sizeof(*m));
    m->cur = set;
    p = xcalloc(1, sizeof(*p));
    p->sn.role = ROLE_TARGET;
    m->tick_at = clock_mono();
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    mset_put(set);
    free(m);
    free(p);
    return 0;
}

/* That much time, in ticks. */
static void
pass(int64_t ns)
{
    for (; ns > 0; ns -= TICK)
        run_clock_locked(m, m->tick_at + TICK);
}

static void
silence_counts_to_the_limit_and_no_further(void **state)
{
    (void)state;
    heard_locked(m, p);
    pass(SEC_NS(4));
    assert_false(has_died(m, p));
    pass(DEAD_MARGIN + TICK);
    assert_true(has_died(m, p)); /* half a second before max_keepalive (5 s): the rest is for telling everybody */
    heard_locked(m, p);
    assert_false(has_died(m, p));
    p->sn.flags |= SNODE_DEAD; /* nobody dies twice */
    pass(SEC_NS(60));
    assert_false(has_died(m, p));
}

static void
nobody_is_dead_before_its_lease_ran_out(void **state)
{
    (void)state;
    set->conf->timeout.max_keepalive = SEC_NS(1);
    assert_true(silence_limit(p, SEC_NS(1)) > LEASE_GIVEN);
    p->refused = true;
    assert_true(silence_limit(p, SEC_NS(30)) > LEASE_GIVEN);
    assert_true(silence_limit(p, SEC_NS(30)) < SEC_NS(5));
    p->refused = false;
    assert_int_equal(SEC_NS(30) - DEAD_MARGIN, silence_limit(p, SEC_NS(30)));
}

static void
who_stood_still_has_missed_nothing(void **state)
{
    (void)state;
    heard_locked(m, p);
    for (int i = 0; i < 10; i++)
        run_clock_locked(m, m->tick_at + SEC_NS(3600)); /* stopped for an hour, again and again */
    assert_false(has_died(m, p));
    pass(SEC_NS(5));
    assert_true(has_died(m, p));
}

static void
the_first_death_is_forgiven_at_once_and_others_take_longer(void **state)
{
    static const int wait[] = { 0, 5, 10, 20, 40, 80, 160, 300, 300, 300 };

    (void)state;
    p->sn.flags = SNODE_DEAD;
    for (size_t i = 0; i < ARRAY_SIZE(wait); i++) {
        p->deaths[p->ndeaths++ % DEATHS_KEPT] = clock_mono();
        pass(SEC_NS(30)); /* it is away */
        assert_false(has_returned(m, p));
        for (int s = 0; s < wait[i]; s++) {
            heard_locked(m, p);
            if (i < DEATHS_KEPT)
                assert_false(has_returned(m, p));
            pass(SEC_NS(1));
        }
        heard_locked(m, p);
        assert_true(has_returned(m, p));
    }
    for (unsigned i = 0; i < DEATHS_KEPT; i++) /* ten minutes later it is as good as new */
        p->deaths[i] -= FLAP_MEMORY;
    assert_int_equal(0, flap_penalty(p, clock_mono()));
}

static void
a_pause_begins_the_waiting_again(void **state)
{
    (void)state;
    p->sn.flags = SNODE_DEAD;
    p->deaths[0] = p->deaths[1] = clock_mono();
    p->ndeaths = 2;
    heard_locked(m, p);
    for (int i = 0; i < 4; i++) {
        pass(SEC_NS(1));
        heard_locked(m, p);
    }
    assert_false(has_returned(m, p));
    pass(DOWN_AFTER + TICK);
    heard_locked(m, p);
    pass(SEC_NS(1));
    assert_false(has_returned(m, p));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(silence_counts_to_the_limit_and_no_further, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_is_dead_before_its_lease_ran_out, setup, teardown),
        cmocka_unit_test_setup_teardown(who_stood_still_has_missed_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_first_death_is_forgiven_at_once_and_others_take_longer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pause_begins_the_waiting_again, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
