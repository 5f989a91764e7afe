/* SPDX-License-Identifier: Apache-2.0 */
/* Bucket metadata: ids that are never used again, look-up, names, JSON both ways. */
#include "unit.h"

#include "core/bmd.c"

#include <jansson.h>
#include <stdio.h>

#include "base/sbuf.h"
#include "codec/jw.h"
#include "core/conf.h"

static struct bprops props;

static int
setup(void **state)
{
    struct cluster_conf *c = conf_default();

    (void)state;
    bprops_default(&props, c, PROV_AIS);
    conf_put(c);
    return 0;
}

static struct bck
ais(const char *name)
{
    return (struct bck){ .provider = PROV_AIS, .name = str_z(name) };
}

static void
replace(struct bmd **m, struct bmd *nw)
{
    assert_non_null(nw);
    bmd_put(*m);
    *m = nw;
}

static void
ids_are_the_version_of_creation_and_never_come_back(void **state)
{
    struct bmd *m = bmd_new("u");
    struct bck  b = ais("one");
    uint64_t    first;

    (void)state;
    replace(&m, bmd_with_bucket(m, &b, &props, 5));
    first = bmd_find(m, &b)->bck.bid;
    assert_true(first == (1 | BID_AIS));
    assert_int_equal(2, m->version);
    assert_ptr_equal(bmd_find(m, &b), bmd_find_bid(m, first));
    replace(&m, bmd_without_bucket(m, &b));
    assert_null(bmd_find(m, &b));
    assert_null(bmd_find_bid(m, first));
    replace(&m, bmd_with_bucket(m, &b, &props, 6));
    assert_true(bmd_find(m, &b)->bck.bid != first);
    bmd_put(m);
}

static void
identity_is_provider_namespace_and_name(void **state)
{
    struct bmd *m = bmd_new("u");
    struct bck  g = ais("b"), n = ais("b"), s = ais("b");

    (void)state;
    n.ns_name = STR_LIT("ns");
    s.provider = PROV_AWS;
    replace(&m, bmd_with_bucket(m, &g, &props, 1));
    assert_null(bmd_find(m, &n));
    assert_null(bmd_find(m, &s));
    replace(&m, bmd_with_bucket(m, &n, &props, 1));
    replace(&m, bmd_with_bucket(m, &s, &props, 1));
    assert_int_equal(3, m->n);
    assert_true(bmd_find(m, &g) != bmd_find(m, &n) && bmd_find(m, &g) != bmd_find(m, &s));
    assert_true((bmd_find(m, &s)->bck.bid & BID_AIS) == 0);
    bmd_put(m);
}

static void
many_buckets_are_found_and_sorted(void **state)
{
    struct bmd *m = bmd_new("u");
    char        name[32];
    struct bck  b;

    (void)state;
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "bucket-%d", i * 7919 % 500);
        b = ais(name);
        replace(&m, bmd_with_bucket(m, &b, &props, i));
    }
    assert_int_equal(500, m->n);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "bucket-%d", i);
        b = ais(name);
        assert_string_equal(name, bmd_find(m, &b)->name);
        assert_ptr_equal(bmd_find(m, &b), bmd_find_bid(m, bmd_find(m, &b)->bck.bid));
        if (i > 0)
            assert_true(str_cmp(str_z(m->sorted[i - 1]->name), str_z(m->sorted[i]->name)) < 0);
    }
    bmd_put(m);
}

static void
metadata_survives_json(void **state)
{
    struct bmd *m = bmd_new("u-u-i-d"), *back = NULL;
    struct bck  a = ais("a"), n = ais("n");
    struct sbuf x, y;
    struct jw   w;
    json_t     *j = NULL;

    (void)state;
    n.ns_name = STR_LIT("space");
    n.ns_uuid = STR_LIT("cluster9");
    replace(&m, bmd_with_bucket(m, &a, &props, 11));
    replace(&m, bmd_with_bucket(m, &n, &props, 12));
    sbuf_init(&x, 1 << 20);
    sbuf_init(&y, 1 << 20);
    jw_init(&w, &x, 0);
    bmd_json(m, &w);
    assert_int_equal(0, json_read(sbuf_str(&x), &j, NULL));
    assert_int_equal(0, bmd_from_json(j, &back, NULL));
    jw_init(&w, &y, 0);
    bmd_json(back, &w);
    assert_string_equal(x.p, y.p);
    assert_non_null(strstr(x.p, "\"@cluster9#space\""));
    assert_non_null(bmd_find(back, &n));
    json_decref(j);
    sbuf_fini(&x);
    sbuf_fini(&y);
    bmd_put(back);
    bmd_put(m);
}

static void
names_are_checked(void **state)
{
    static const struct {
        const char *name;
        bool        ok;
    } cases[] = {
        { "b", true },    { "a.b-c_D9", true }, { "", false },    { "a b", false },  { "a/b", false }, { "a..b", false },
        { "..", false },  { ".hidden", false }, { ".sys-inventory", true },          { "\xc3\xa4", false },
        { "x123456789x123456789x123456789x123456789x123456789x123456789x123", true },
        { "x123456789x123456789x123456789x123456789x123456789x123456789x1234", false },
    };
    struct err e;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        err_clear(&e);
        if ((bck_name_check(str_z(cases[i].name), &e) == 0) != cases[i].ok)
            fail_msg("\"%s\": %s", cases[i].name, e.text);
    }
    assert_true(bck_name_check(STR_LIT("a b"), &e) < 0);
    assert_string_equal("bucket name is invalid: may only contain letters, numbers, dashes (-), underscores (_), and dots (.)", e.text);
}

static void
namespaces_are_parsed(void **state)
{
    static const struct {
        const char *text, *uuid, *name;
    } cases[] = {
        { "@uuid#ns", "uuid", "ns" }, { "uuid#ns", "uuid", "ns" }, { "@uuid", "uuid", "" }, { "#ns", "", "ns" },
        { "@#", "", "" },             { "", "", "" },
    };
    struct str uuid, name;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        ns_parse(str_z(cases[i].text), &uuid, &name);
        assert_true(str_eqz(uuid, cases[i].uuid) && str_eqz(name, cases[i].name));
    }
}

static void
buckets_are_displayed_as_aistore_does(void **state)
{
    struct bck b = ais("b");
    char       out[BCK_DISPLAY_MAX];

    (void)state;
    assert_string_equal("ais://b", bck_display(&b, out));
    b.ns_uuid = STR_LIT("u");
    b.ns_name = STR_LIT("n");
    assert_string_equal("ais://@u#n/b", bck_display(&b, out));
    b = (struct bck){ .provider = PROV_AWS, .name = STR_LIT("b") };
    assert_string_equal("s3://b", bck_display(&b, out));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_the_version_of_creation_and_never_come_back),
        cmocka_unit_test(identity_is_provider_namespace_and_name),
        cmocka_unit_test(many_buckets_are_found_and_sorted),
        cmocka_unit_test(metadata_survives_json),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(namespaces_are_parsed),
        cmocka_unit_test(buckets_are_displayed_as_aistore_does),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
