/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration, bucket properties and maps beside what a real AIStore 5.0 answered (tests/golden/wire). */
#include "unit.h"

#include "base/util.h"
#include "codec/jw.h"
#include "core/bmd.h"
#include "core/conf.h"
#include "core/smap.h"

#include "golden.h"

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

static void
a_recorded_configuration_comes_back_byte_for_byte(void **state)
{
    json_t              *j = golden_json("state-cluster-config");
    struct cluster_conf *c = conf_default();
    char                *want = json_dumps(j, JSON_COMPACT), *got;
    struct err           e;

    (void)state;
    err_clear(&e);
    if (conf_merge_json(c, j, true, &e) < 0 || conf_validate(c, &e) < 0)
        fail_msg("%s", e.text);
    got = text_of(c);
    assert_string_equal(want, got);
    free(got);
    free(want);
    json_decref(j);
    conf_put(c);
}

/* What the recorded cluster had been told; everything else is a default. */
static const char *const told[] = { "auth.", "backend", "uuid", "config_version", "lastupdate_time", "proxy.", "log.", "net.", "memsys.", "ext",
                                    "space.", "timeout.", "disk.", "resilver.", "versioning.", "client.", "periodic." };

static bool
was_told(const char *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(told); i++)
        if (strncmp(key, told[i], strlen(told[i])) == 0)
            return true;
    return false;
}

static unsigned
compare(const char *prefix, json_t *want, json_t *got)
{
    const char *k;
    json_t     *v;
    unsigned    n = 0;

    json_object_foreach(want, k, v)
    {
        char    key[200];
        json_t *g = json_object_get(got, k);

        snprintf(key, sizeof(key), "%s%s", prefix, k);
        if (g == NULL) {
            fail_msg("%s is missing", key);
        } else if (json_is_object(v)) {
            snprintf(key, sizeof(key), "%s%s.", prefix, k);
            n += compare(key, v, g);
        } else if (!was_told(key)) {
            if (!json_equal(v, g))
                fail_msg("%s: %s, AIStore has %s", key, json_dumps(g, JSON_ENCODE_ANY), json_dumps(v, JSON_ENCODE_ANY));
            n++;
        }
    }
    return n;
}

static void
defaults_are_aistores(void **state)
{
    json_t              *want = golden_json("state-cluster-config"), *got = NULL;
    struct cluster_conf *c = conf_default();
    char                *text = text_of(c);

    (void)state;
    assert_int_equal(0, json_read(str_z(text), &got, NULL));
    assert_true(compare("", want, got) > 80);
    assert_int_equal(0, conf_validate(c, NULL));
    free(text);
    json_decref(want);
    json_decref(got);
    conf_put(c);
}

static void
dotted_keys_set_one_value(void **state)
{
    static const struct {
        const char *key, *value, *section, *member, *reads;
    } cases[] = {
        { "rebalance.enabled", "false", "rebalance", "enabled", "false" },
        { "log.level", "4", "log", "level", "\"4\"" },
        { "lru.dont_evict_time", "90m", "lru", "dont_evict_time", "\"1h30m\"" },
        { "checksum.type", "md5", "checksum", "type", "\"md5\"" },
        { "mirror.copies", "3", "mirror", "copies", "3" },
        { "space.cleanupwm", "60", "space", "cleanupwm", "60" },
        { "timeout.send_file_time", "10m", "timeout", "send_file_time", "\"10m\"" },
        { "ec.objsize_limit", "1048576", "ec", "objsize_limit", "1048576" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cluster_conf *c = conf_default();
        json_t              *j = NULL;
        char                *text, *got;
        struct err           e;

        err_clear(&e);
        if (conf_set(c, str_z(cases[i].key), str_z(cases[i].value), &e) < 0 || conf_validate(c, &e) < 0)
            fail_msg("%s=%s: %s", cases[i].key, cases[i].value, e.text);
        text = text_of(c);
        assert_int_equal(0, json_read(str_z(text), &j, &e));
        got = json_dumps(json_object_get(json_object_get(j, cases[i].section), cases[i].member), JSON_ENCODE_ANY);
        assert_string_equal(cases[i].reads, got);
        free(got);
        free(text);
        json_decref(j);
        conf_put(c);
    }
}

static void
wrong_settings_are_refused_in_aistores_words(void **state)
{
    static const struct {
        const char *key, *value, *text;
    } cases[] = {
        { "nonsense.x", "1", "unknown property \"nonsense.x\"" },
        { "checksum.type", "nonsense", "invalid checksum type \"nonsense\" (expecting [crc32c md5 sha256 sha512 xxhash xxhash2 none])" },
        { "write_policy.md", "often", "invalid write policy \"often\" (expecting one of [immediate delayed never])" },
        { "tcb.bundle_multiplier", "17", "invalid bundle_multiplier: 17 (expecting range [1, 16] or zero for default)" },
        { "tcb.burst_buffer", "20", "invalid burst_buffer: 20 (expecting range [32, 10000] or zero for default)" },
        { "rate_limit.frontend.interval", "0.5s", "rate limit: invalid frontend.interval 500ms (min=1s, max=1h0m0s)" },
        { "rebalance.enabled", "perhaps", NULL },
        { "mirror.copies", "many", NULL },
        { "lru.dont_evict_time", "soon", NULL },
        { "", "1", NULL },
        { ".", "1", NULL },
        { "rebalance", "true", NULL },
        { "rebalance.enabled.x", "true", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cluster_conf *c = conf_default();
        struct err           e;
        int                  rc;

        err_clear(&e);
        rc = conf_set(c, str_z(cases[i].key), str_z(cases[i].value), &e);
        if (rc == 0)
            rc = conf_validate(c, &e);
        if (rc == 0)
            fail_msg("%s=%s was taken", cases[i].key, cases[i].value);
        assert_int_equal(400, err_http(rc));
        if (cases[i].text != NULL)
            assert_string_equal(cases[i].text, e.text);
        assert_true(e.text[0] != '\0');
        conf_put(c);
    }
}

static void
values_that_contradict_each_other_are_refused(void **state)
{
    static const char *const cases[] = {
        "{\"space\":{\"cleanupwm\":91}}",
        "{\"space\":{\"lowwm\":96}}",
        "{\"space\":{\"out_of_space\":50}}",
        "{\"disk\":{\"disk_util_low_wm\":90}}",
        "{\"features\":\"6144\"}", /* Disable-Cold-GET with Streaming-Cold-GET */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cluster_conf *c = conf_default();
        json_t              *j = NULL;
        struct err           e;
        int                  rc;

        err_clear(&e);
        assert_int_equal(0, json_read(str_z(cases[i]), &j, &e));
        rc = conf_merge_json(c, j, false, &e);
        if (rc == 0)
            rc = conf_validate(c, &e);
        if (rc == 0)
            fail_msg("%s was taken", cases[i]);
        json_decref(j);
        conf_put(c);
    }
}

static void
unknown_members_are_skipped_in_files_and_refused_in_requests(void **state)
{
    struct cluster_conf *c = conf_default();
    json_t              *j = NULL;
    struct err           e;

    (void)state;
    err_clear(&e);
    assert_int_equal(0, json_read(STR_LIT("{\"no_such_section\":{\"x\":1},\"log\":{\"level\":\"5\"}}"), &j, &e));
    assert_int_equal(0, conf_merge_json(c, j, true, &e));
    assert_true(conf_merge_json(c, j, false, &e) < 0);
    json_decref(j);
    conf_put(c);
}

static struct bprops
props_default(void)
{
    struct cluster_conf *c = conf_default();
    struct bprops        p;

    bprops_default(&p, c, PROV_AIS);
    conf_put(c);
    return p;
}

static void
default_properties_are_those_that_aistore_sends(void **state)
{
    char         *want = golden_header("bucket-head", "Ais-Bucket-Props");
    struct bprops p = props_default(), q;
    struct sbuf   b;
    struct jw     w;
    json_t       *j = NULL;

    (void)state;
    p.bid = 9223372036854775809ull;
    p.created = 1795389409209955277;
    sbuf_init(&b, 65536);
    jw_init(&w, &b, 0);
    bprops_json(&p, &w);
    assert_string_equal(want, b.p);
    assert_int_equal(0, json_read(str_z(want), &j, NULL)); /* and there again */
    assert_int_equal(0, bprops_from_json(&q, j, NULL));
    sbuf_reset(&b);
    jw_init(&w, &b, 0);
    bprops_json(&q, &w);
    assert_string_equal(want, b.p);
    sbuf_fini(&b);
    json_decref(j);
    free(want);
}

static void
malformed_bucket_maps_are_refused(void **state)
{
    static const char *const cases[] = {
        "{}", "{\"providers\":[],\"version\":\"1\"}", "{\"providers\":{\"ais\":{}}}", "{\"providers\":{\"ais\":{\"@#\":[]}},\"version\":\"1\"}",
        "{\"providers\":{\"nobody\":{\"@#\":{\"b\":{}}}},\"version\":\"1\"}", "{\"providers\":{\"ais\":{\"@#\":{\"../x\":{}}}},\"version\":\"1\"}",
        "{\"providers\":{\"ais\":{\"@../x#\":{\"b\":{}}}},\"version\":\"1\"}", "{\"providers\":{},\"version\":\"x\"}",
        "{\"providers\":{\"ais\":{\"@#\":{\"b\":7}}},\"version\":\"1\"}",
        "{\"providers\":{\"ais\":{\"@#\":{\"b\":{}},\"#\":{\"b\":{}}}},\"version\":\"1\"}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct bmd *m = NULL;
        json_t     *j = NULL;
        struct err  e;

        err_clear(&e);
        assert_int_equal(0, json_read(str_z(cases[i]), &j, NULL));
        if (bmd_from_json(j, &m, &e) == 0)
            fail_msg("%s was taken", cases[i]);
        assert_null(m);
        assert_true(e.text[0] != '\0');
        json_decref(j);
    }
}

/* AIStore's digests are above 2^63 half of the time: they come back whole. */
static void
a_recorded_map_comes_back(void **state)
{
    char        *text = golden_response("state-daemon-smap"), *again;
    json_t      *j = NULL;
    struct smap *m = NULL;
    struct sbuf  b;
    struct jw    w;
    struct err   e;

    (void)state;
    err_clear(&e);
    assert_int_equal(0, json_read(str_z(strstr(text, "\n\n") + 2), &j, &e));
    if (smap_from_json(j, &m, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(3, m->ntargets);
    assert_non_null(m->primary);
    for (unsigned i = 0; i < m->nnodes; i++)
        assert_true(m->nodes[i].digest == hrw_digest(m->nodes[i].id, strlen(m->nodes[i].id)));
    sbuf_init(&b, 1 << 20);
    jw_init(&w, &b, 0);
    smap_json(m, &w);
    again = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    j = NULL;
    {
        json_t *mine = NULL, *theirs = NULL;

        assert_int_equal(0, json_read(sbuf_str(&b), &mine, &e));
        assert_int_equal(0, json_read(str_z(again), &theirs, &e));
        if (!json_equal(mine, theirs))
            fail_msg("%s\n%s", b.p, again);
        json_decref(mine);
        json_decref(theirs);
    }
    free(again);
    free(text);
    sbuf_fini(&b);
    smap_put(m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recorded_configuration_comes_back_byte_for_byte),
        cmocka_unit_test(defaults_are_aistores),
        cmocka_unit_test(dotted_keys_set_one_value),
        cmocka_unit_test(wrong_settings_are_refused_in_aistores_words),
        cmocka_unit_test(values_that_contradict_each_other_are_refused),
        cmocka_unit_test(unknown_members_are_skipped_in_files_and_refused_in_requests),
        cmocka_unit_test(default_properties_are_those_that_aistore_sends),
        cmocka_unit_test(malformed_bucket_maps_are_refused),
        cmocka_unit_test(a_recorded_map_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
