/* SPDX-License-Identifier: Apache-2.0 */
/* The gate of a bucket's rate limit, on a clock of our own. */
#include "unit.h"

#include <string.h>

#include "core/rate.h"

#define SEC INT64_C(1000000000)

/* 60 in a minute, 5 at once: one a second afterwards. */
static struct conf_rate_f
limit(const char *per_op)
{
    struct conf_rate_f c = { .interval = 60 * SEC, .max_tokens = 60, .enabled = true, .burst_size = 5 };

    strncpy(c.per_op, per_op, sizeof(c.per_op) - 1);
    return c;
}

static unsigned
passed(struct rate_gate *g, enum rate_verb v, int64_t now, unsigned proxies, unsigned tries)
{
    unsigned n = 0;

    while (tries-- > 0)
        n += rate_gate_pass(g, v, now, proxies) == 0;
    return n;
}

static void
a_burst_passes_then_one_a_step(void **state)
{
    struct conf_rate_f c = limit("");
    struct rate_gate  *g = rate_gate_new(&c);
    int64_t            now = 1000 * SEC;

    (void)state;
    assert_int_equal(5, passed(g, RATE_GET, now, 1, 100));
    assert_int_equal(SEC, rate_gate_pass(g, RATE_GET, now, 1)); /* how long to wait */
    assert_int_equal(0, passed(g, RATE_GET, now + SEC - 1, 1, 10));
    assert_int_equal(1, passed(g, RATE_GET, now + SEC, 1, 10));
    assert_int_equal(5, passed(g, RATE_GET, now + 3600 * SEC, 1, 100)); /* rest does not add up beyond a burst */
    rate_gate_free(g);
}

static void
verbs_do_not_disturb_each_other_and_may_have_limits_of_their_own(void **state)
{
    struct conf_rate_f c = limit("PUT:6 delete:600");
    struct rate_gate  *g = rate_gate_new(&c);
    int64_t            now = 1000 * SEC;

    (void)state;
    assert_int_equal(5, passed(g, RATE_GET, now, 1, 10));
    assert_int_equal(5, passed(g, RATE_PUT, now, 1, 10));
    assert_int_equal(10 * SEC, rate_gate_pass(g, RATE_PUT, now, 1));
    assert_int_equal(5, passed(g, RATE_DELETE, now, 1, 10));
    assert_int_equal(SEC / 10, rate_gate_pass(g, RATE_DELETE, now, 1));
    rate_gate_free(g);
}

static void
proxies_share_the_rate(void **state)
{
    struct conf_rate_f c = limit("");
    struct rate_gate  *g = rate_gate_new(&c);

    (void)state;
    assert_int_equal(5, passed(g, RATE_GET, 1000 * SEC, 3, 10));
    assert_int_equal(3 * SEC, rate_gate_pass(g, RATE_GET, 1000 * SEC, 3));
    rate_gate_free(g);
}

static void
without_a_limit_everything_passes(void **state)
{
    struct conf_rate_f c = limit("");

    (void)state;
    c.enabled = false;
    assert_null(rate_gate_new(&c));
    assert_int_equal(100, passed(NULL, RATE_GET, 0, 1, 100));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_passes_then_one_a_step),
        cmocka_unit_test(verbs_do_not_disturb_each_other_and_may_have_limits_of_their_own),
        cmocka_unit_test(proxies_share_the_rate),
        cmocka_unit_test(without_a_limit_everything_passes),
    };

    return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
