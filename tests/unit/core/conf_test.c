/* SPDX-License-Identifier: Apache-2.0 */
/* Cluster configuration: `set`, bounds, scopes, former names, JSON both ways. */
#include "unit.h"

#include "core/conf.c"

#include <jansson.h>

#include "base/sbuf.h"
#include "codec/jw.h"

static int
setup(void **state)
{
    *state = conf_default();
    return 0;
}

static int
teardown(void **state)
{
    conf_put(*state);
    return 0;
}

static char *
text_of(const struct cluster_conf *c)
{
    struct sbuf b;
    struct jw   w;

    sbuf_init(&b, 1 << 20);
    jw_init(&w, &b, 0);
    conf_json(c, &w);
    assert_true(sbuf_ok(&b));
    return b.p;
}

static int
set(struct cluster_conf *c, const char *key, const char *value, struct err *e)
{
    int rc;

    err_clear(e);
    rc = conf_set(c, str_z(key), str_z(value), e);
    return rc < 0 ? rc : conf_validate(c, e);
}

static void
defaults_are_valid_and_survive_json(void **state)
{
    struct cluster_conf *c = *state, *d = conf_default();
    struct err           e = { .code = 0 };
    char                *a = text_of(c), *b;
    json_t              *j = NULL;

    assert_int_equal(0, json_read(str_z(a), &j, NULL));
    assert_int_equal(0, conf_merge_json(d, j, true, &e));
    b = text_of(d);
    assert_string_equal(a, b);
    json_decref(j);
    free(a);
    free(b);
    conf_put(d);
}

static void
what_is_set_is_shown_in_gos_form(void **state)
{
    static const struct {
        const char *key, *value, *shown;
    } cases[] = {
        { "rebalance.enabled", "false", "\"enabled\":false" },
        { "Rebalance.Dest_Retry_Time", "150s", "\"dest_retry_time\":\"2m30s\"" },
        { "log.max_size", "32mb", "\"max_size\":\"32MiB\"" },
        { "periodic.stats_time", "1m0s", "\"stats_time\":\"1m\"" },
        { "checksum.type", "md5", "\"type\":\"md5\"" },
        { "features", "Fsync-PUT", "\"features\":\"16\"" },
        { "mirror.copies", "4", "\"copies\":4" },
        { "auth.enabled", "false", "\"client_auth_required\":false" },
    };
    struct err e;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *t;

        if (set(*state, cases[i].key, cases[i].value, &e) < 0)
            fail_msg("%s=%s: %s", cases[i].key, cases[i].value, e.text);
        t = text_of(*state);
        if (strstr(t, cases[i].shown) == NULL)
            fail_msg("%s=%s: no %s", cases[i].key, cases[i].value, cases[i].shown);
        free(t);
    }
}

static void
bad_settings_are_refused_by_name(void **state)
{
    static const struct {
        const char *key, *value, *text;
    } cases[] = {
        { "nonsense.x", "1", "unknown property \"nonsense.x\"" },
        { "mirror", "1", "mirror" },
        { "mirror.copies", "many", "mirror.copies" },
        { "mirror.copies", "99", "mirror.copies" },
        { "rebalance.enabled", "perhaps", "enabled" },
        { "periodic.stats_time", "soon", "stats_time" },
        { "log.level", "loud", "level" },
        { "space.out_of_space", "50", "space" },
        { "checksum.type", "crc9", "crc9" },
        { "keepalivetracker.proxy.interval", "1ms", "interval" },
        { "uuid", "x", "uuid" },
        { "config_version", "7", "config_version" },
        { "features", "No-Such-Feature", "No-Such-Feature" },
    };
    struct err e;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cluster_conf *c = conf_copy(*state);

        if (set(c, cases[i].key, cases[i].value, &e) == 0)
            fail_msg("accepted: %s=%s", cases[i].key, cases[i].value);
        if (strstr(e.text, cases[i].text) == NULL)
            fail_msg("%s=%s: says \"%s\"", cases[i].key, cases[i].value, e.text);
        conf_put(c);
    }
}

static void
some_sections_are_for_the_whole_cluster(void **state)
{
    struct err e;

    (void)state;
    assert_int_equal(0, conf_check_scope(STR_LIT("log.level"), true, false, &e));
    assert_true(conf_check_scope(STR_LIT("checksum.type"), true, false, &e) < 0);
    assert_int_equal(0, conf_check_scope(STR_LIT("checksum.type"), false, false, &e));
}

static void
some_sections_cannot_be_transient(void **state)
{
    static const char *const keys[] = { "auth.client_auth_required", "net.http.use_https",        "memsys.min_free",
                                        "tracing.enabled",           "timeout.max_keepalive",     "timeout.cplane_operation",
                                        "keepalivetracker.num_retries" };
    struct err e;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (conf_check_scope(str_z(keys[i]), false, true, &e) != -AIS_E_NOTIMPL && e.status != 501)
            fail_msg("%s may be transient", keys[i]);
    assert_int_equal(0, conf_check_scope(STR_LIT("timeout.send_file_time"), false, true, &e));
}

static void
a_client_sees_no_secret(void **state)
{
    struct cluster_conf *c = *state;
    struct err           e = { .code = 0 };
    json_t              *j = NULL;
    struct sbuf          b;
    struct jw            w;

    assert_int_equal(0, json_read(STR_LIT("{\"auth\":{\"signature\":{\"key\":\"topsecret\",\"method\":\"HS256\"}}}"), &j, NULL));
    assert_int_equal(0, conf_merge_json(c, j, true, &e));
    json_decref(j);
    sbuf_init(&b, 1 << 20);
    jw_init(&w, &b, 0);
    conf_json_public(c, &w);
    assert_null(strstr(b.p, "topsecret"));
    assert_non_null(strstr(b.p, "**********"));
    sbuf_fini(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_are_valid_and_survive_json, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_set_is_shown_in_gos_form, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_settings_are_refused_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(some_sections_are_for_the_whole_cluster, setup, teardown),
        cmocka_unit_test_setup_teardown(some_sections_cannot_be_transient, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_sees_no_secret, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
