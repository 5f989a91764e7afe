/* SPDX-License-Identifier: Apache-2.0 */
/* Counters: summed over loops and threads, reset, and under AIStore's names. */
#include "unit.h"

#include "core/stats.c"

#include "golden.h"
#include "on_fiber.h"

static void
count_thousand(void *arg)
{
    for (int i = 0; i < 1000; i++)
        stat_inc(arg, STAT_GET_N);
}

static void
what_loops_and_threads_count_is_summed(void **state)
{
    struct run   *run = test_run_new(2);
    struct stats *s;

    (void)state;
    assert_int_equal(0, stats_new(run, &s));
    on_fiber(run, 0, count_thousand, s);
    on_fiber(run, 1, count_thousand, s);
    stat_add(s, STAT_GET_N, 5);
    assert_int_equal(2005, stat_get(s, STAT_GET_N));
    assert_int_equal(0, stat_get(s, STAT_PUT_N));
    test_run_free(run);
    stats_free(s);
    stats_free(NULL);
}

static void
a_reset_hides_what_was_and_prometheus_goes_on(void **state)
{
    struct run   *run = test_run_new(1);
    struct stats *s;
    uint64_t      v[STAT_COUNT];

    (void)state;
    assert_int_equal(0, stats_new(run, &s));
    stat_add(s, STAT_GET_N, 7);
    stat_add(s, STAT_ERR_GET_N, 3);
    stats_reset(s, true);
    values(s, v);
    assert_int_equal(7, v[STAT_GET_N]);
    assert_int_equal(0, v[STAT_ERR_GET_N]);
    stats_reset(s, false);
    stat_add(s, STAT_GET_N, 2);
    values(s, v);
    assert_int_equal(2, v[STAT_GET_N]);
    assert_int_equal(9, stat_get(s, STAT_GET_N)); /* a Prometheus counter never goes back */
    test_run_free(run);
    stats_free(s);
}

static void
latency_is_the_mean_since_the_look_before(void **state)
{
    static struct snap then, now;
    const struct derived lat = { STAT_GET_NS, STAT_GET_NS_TOTAL, STAT_GET_N }, bw = { STAT_GET_BPS, STAT_GET_SIZE, STAT_COUNT };

    (void)state;
    then.v[STAT_GET_NS_TOTAL] = 1000;
    then.v[STAT_GET_N] = 10;
    now.v[STAT_GET_NS_TOTAL] = 7000;
    now.v[STAT_GET_N] = 12;
    assert_int_equal(3000, derive(&lat, &now, &then));
    assert_int_equal(0, derive(&lat, &now, &now));
    then.at = SEC_NS(1);
    now.at = SEC_NS(3);
    now.v[STAT_GET_SIZE] = 5000;
    assert_int_equal(2500, derive(&bw, &now, &then));
    assert_int_equal(0, derive(&bw, &now, &now));
}

/* Every metric that a fresh AIStore shows to Prometheus is ours, too, of the same type, but for what docs/compatibility.md lists. */
static bool
left_out(const char *name) /* docs/compatibility.md */
{
    return strstr(name, "_dsort_") != NULL || strstr(name, "err_lcache_count") != NULL || strstr(name, "lcache_collision_count") != NULL ||
           strstr(name, "lcache_flush_cold_count") != NULL;
}

static void
prometheus_has_aistores_names(enum role role, const char *recording)
{
    char    *text = golden_response(recording), *line, *save = NULL;
    unsigned n = 0;

    for (line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        char        name[200], type[40];
        const char *prefix = role == ROLE_PROXY ? "ais_proxy_" : "ais_target_";
        bool        found = false;

        if (sscanf(line, "# TYPE %199s %39s", name, type) != 2 || strncmp(name, prefix, strlen(prefix)) != 0 ||
            left_out(name))
            continue;
        for (unsigned i = 0; i < STAT_COUNT && !found; i++)
            found = strcmp(rows[i].prom, name + strlen(prefix)) == 0 && (rows[i].roles & (role == ROLE_PROXY ? P : T)) &&
                    strcmp(type, rows[i].kind == HISTOGRAM ? "histogram" : is_sum(rows[i].kind) ? "counter" : "gauge") == 0;
        for (unsigned i = 0; i < ARRAY_SIZE(disk_rows) && !found; i++)
            found = strcmp(disk_rows[i].prom, name + strlen(prefix)) == 0 && strcmp(type, "gauge") == 0;
        if (!found)
            fail_msg("%s: %s %s", recording, name, type);
        n++;
    }
    assert_true(n > 10);
    free(text);
}

static void
metrics_have_aistores_names(void **state)
{
    (void)state;
    prometheus_has_aistores_names(ROLE_PROXY, "state-prometheus-proxy");
    prometheus_has_aistores_names(ROLE_TARGET, "state-prometheus-target");
}

static void
kinds_are_aistores(void **state)
{
    json_t     *j = golden_json("state-daemon-metrics"), *v;
    const char *k;

    (void)state;
    json_object_foreach(j, k, v)
    {
        bool found = false;

        for (unsigned i = 0; i < STAT_COUNT && !found; i++)
            found = strcmp(rows[i].name, k) == 0 && (rows[i].roles & P) && strcmp(kind_names[rows[i].kind], json_string_value(v)) == 0;
        if (!found)
            fail_msg("%s: %s", k, json_string_value(v));
    }
    json_decref(j);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_loops_and_threads_count_is_summed),
        cmocka_unit_test(a_reset_hides_what_was_and_prometheus_goes_on),
        cmocka_unit_test(latency_is_the_mean_since_the_look_before),
        cmocka_unit_test(metrics_have_aistores_names),
        cmocka_unit_test(kinds_are_aistores),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
