/* SPDX-License-Identifier: Apache-2.0 */
/* Bucket properties: AIStore's defaults to the letter, what `set` takes, and the words with which it refuses. */
#include "unit.h"

#include "core/bprops.c"

#include <jansson.h>

#include "base/sbuf.h"
#include "codec/jw.h"

/* golden/wire/bucket-head.txt, with id and time of creation at zero */
static const char defaults[] =
    "{\"backend_bck\":{\"name\":\"\",\"provider\":\"\",\"namespace\":{\"uuid\":\"\",\"name\":\"\"}},\"write_policy\":{\"data\":\"i"
    "mmediate\",\"md\":\"immediate\"},\"provider\":\"ais\",\"Renamed\":\"\",\"checksum\":{\"type\":\"xxhash2\",\"validate_col"
    "d_get\":false,\"validate_warm_get\":false,\"validate_obj_move\":false,\"enable_read_range\":false},\"extra\":"
    "{\"aws\":{},\"gcp\":{},\"oci\":{}},\"rate_limit\":{\"backend\":{\"interval\":\"1m\",\"max_tokens\":1000,\"enabled\":fa"
    "lse,\"num_retries\":3},\"frontend\":{\"interval\":\"1m\",\"max_tokens\":1000,\"enabled\":false,\"burst_size\":375}"
    "},\"ec\":{\"compression\":\"never\",\"bundle_multiplier\":2,\"burst_buffer\":512,\"objsize_limit\":262144,\"data_"
    "slices\":2,\"parity_slices\":2,\"enabled\":false,\"disk_only\":false},\"chunks\":{\"objsize_limit\":\"0B\",\"max_m"
    "onolithic_size\":\"1TiB\",\"chunk_size\":\"1GiB\"},\"mirror\":{\"copies\":2,\"burst_buffer\":512,\"enabled\":false}"
    ",\"lru\":{\"dont_evict_time\":\"2h0m\",\"capacity_upd_time\":\"10m\",\"batch_size\":32768,\"enabled\":false},\"acce"
    "ss\":\"18446744073709551615\",\"features\":\"0\",\"bid\":\"0\",\"created\":\"0\",\"versioning\":{\"enabled\":true,\"vali"
    "date_warm_get\":false,\"synchronize\":false}}";

static json_t *
json(const char *text)
{
    json_t *j = NULL;

    assert_int_equal(0, json_read(str_z(text), &j, NULL));
    return j;
}

static char *
text_of(const struct bprops *p)
{
    struct sbuf b;
    struct jw   w;

    sbuf_init(&b, 1 << 20);
    jw_init(&w, &b, 0);
    bprops_json(p, &w);
    assert_true(sbuf_ok(&b));
    return b.p;
}

static int
setup(void **state)
{
    struct cluster_conf *c = conf_default();
    struct bprops       *p = xcalloc(1, sizeof(*p));

    bprops_default(p, c, PROV_AIS);
    p->bid = 0;
    p->created = 0;
    conf_put(c);
    *state = p;
    return 0;
}

static int
teardown(void **state)
{
    free(*state);
    return 0;
}

static int
set(struct bprops *p, const char *text, struct err *e)
{
    json_t *j = json(text);
    bool    force = false;
    int     rc;

    err_clear(e);
    rc = bprops_set_json(p, j, 3, &force, e);
    json_decref(j);
    return rc;
}

static void
defaults_are_aistores(void **state)
{
    char *t = text_of(*state);

    assert_string_equal(defaults, t);
    free(t);
}

static void
properties_survive_json(void **state)
{
    struct bprops *p = *state, *q = xcalloc(1, sizeof(*q));
    struct err     e;
    json_t        *j;
    char          *a, *b;

    assert_int_equal(0, set(p, "{\"mirror\":{\"enabled\":true,\"copies\":3},\"checksum\":{\"type\":\"md5\"},\"access\":\"3\","
                               "\"features\":\"16\",\"extra\":{\"custom\":\"x\"},\"lru\":{\"enabled\":true,\"dont_evict_time\":\"3h\"}}", &e));
    a = text_of(p);
    j = json(a);
    assert_int_equal(0, bprops_from_json(q, j, &e));
    b = text_of(q);
    assert_string_equal(a, b);
    assert_non_null(strstr(a, "\"dont_evict_time\":\"3h0m\""));
    json_decref(j);
    free(a);
    free(b);
    free(q);
}

static void
what_is_not_named_stays(void **state)
{
    struct bprops *p = *state;
    struct err     e;

    assert_int_equal(0, set(p, "{\"versioning\":{\"enabled\":false}}", &e));
    assert_false(p->versioning.enabled);
    assert_int_equal(CKSUM_XXHASH2, p->checksum.type);
    assert_int_equal(2, p->mirror.copies);
}

static void
bad_properties_are_refused_and_change_nothing(void **state)
{
    static const struct {
        const char *set, *text; /* text: part of what is said */
    } cases[] = {
        { "{\"checksum\":{\"type\":\"nonsense\"}}",
          "invalid checksum type \"nonsense\" (expecting [crc32c md5 sha256 sha512 xxhash xxhash2 none])" },
        { "{\"mirror\":{\"enabled\":true,\"copies\":33}}", "mirror.copies" },
        { "{\"mirror\":{\"copies\":\"many\"}}", "copies" },
        { "{\"ec\":{\"enabled\":true,\"data_slices\":-1}}", "ec.data_slices" },
        { "{\"ec\":{\"enabled\":true,\"data_slices\":30,\"parity_slices\":2}}", "target" },
        { "{\"mirror\":{\"enabled\":true},\"chunks\":{\"objsize_limit\":\"1MiB\"}}", "chunk" },
        { "{\"write_policy\":{\"md\":\"later\"}}", "write policy" },
        { "{\"rate_limit\":{\"frontend\":{\"enabled\":true,\"interval\":\"1ms\"}}}", "interval" },
        { "{\"lru\":{\"dont_evict_time\":\"soon\"}}", "dont_evict_time" },
        { "{\"ec\":{\"enabled\":true,\"data_slices\":1,\"parity_slices\":1}}", "ec.enabled: erasure coding" },
        { "{\"backend_bck\":{\"name\":\"x\",\"provider\":\"aws\"}}", "backend_bck: cloud backends" },
        { "{\"nonsense\":1}", "nonsense" },
        { "{\"checksum\":{\"nonsense\":1}}", "nonsense" },
        { "[]", "" },
    };
    struct bprops *p = *state;
    char          *before = text_of(p), *after;
    struct err     e;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        if (set(p, cases[i].set, &e) == 0)
            fail_msg("accepted: %s", cases[i].set);
        if (strstr(e.text, cases[i].text) == NULL)
            fail_msg("%s: says \"%s\"", cases[i].set, e.text);
        after = text_of(p);
        assert_string_equal(before, after);
        free(after);
    }
    free(before);
}

static void
the_data_path_sees_what_was_set(void **state)
{
    struct bprops *p = *state;
    struct bck     b = { .provider = PROV_AIS };
    struct err     e;

    bck_apply_props(&b, p);
    assert_false(b.durable);
    assert_int_equal(1, b.copies);
    assert_false(b.ec);
    assert_int_equal(0, set(p, "{\"features\":\"18\",\"checksum\":{\"type\":\"sha256\",\"validate_warm_get\":true}}", &e));
    bck_apply_props(&b, p);
    assert_true(b.durable && b.skip_vc && b.validate_warm_get);
    assert_int_equal(CKSUM_SHA256, b.cksum);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_are_aistores, setup, teardown),
        cmocka_unit_test_setup_teardown(properties_survive_json, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_named_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_properties_are_refused_and_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_data_path_sees_what_was_set, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
