/* SPDX-License-Identifier: Apache-2.0 */
/* How buckets and objects are named in requests: unames, providers, and the sentences that clients match on. */
#include "unit.h"

#include "core/dialect.c"

static void
unames_are_taken_apart(void **state)
{
    static const struct {
        const char   *uname;
        enum provider p;
        const char   *uuid, *ns, *bck, *obj;
    } cases[] = {
        { "ais/@#/b/o", PROV_AIS, "", "", "b", "o" },
        { "ais/@#/b/dir/o", PROV_AIS, "", "", "b", "dir/o" },
        { "ais/@#/b/", PROV_AIS, "", "", "b", "" },
        { "ais/@#/b", PROV_AIS, "", "", "b", "" },
        { "ais/@u#n/b/o", PROV_AIS, "u", "n", "b", "o" },
        { "aws/@#/my.b-1/a//b", PROV_AWS, "", "", "my.b-1", "a//b" },
        { "s3/@#/b/o", PROV_AWS, "", "", "b", "o" },
        { "gs/@#/b/o", PROV_GCP, "", "", "b", "o" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct bck b;
        struct str o;
        struct err e;

        if (uname_parse(str_z(cases[i].uname), &b, &o, &e) < 0)
            fail_msg("%s: %s", cases[i].uname, e.text);
        assert_int_equal(cases[i].p, b.provider);
        assert_true(str_eqz(b.ns_uuid, cases[i].uuid) && str_eqz(b.ns_name, cases[i].ns));
        assert_true(str_eqz(b.name, cases[i].bck) && str_eqz(o, cases[i].obj));
    }
}

static void
what_is_not_a_uname_is_refused(void **state)
{
    static const char *const bad[] = { "", "ais", "ais/@#", "nobody/@#/b/o", "ais/@#/a b/o", "ais/@#/../o", "ais/@../x#/b/o", "ais/@#//o" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct bck b;
        struct str o;
        struct err e;

        err_clear(&e);
        if (uname_parse(str_z(bad[i]), &b, &o, &e) == 0)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_true(e.text[0] != '\0');
    }
}

static void
a_missing_bucket_has_aistores_sentence_and_type(void **state)
{
    struct bck b = { .provider = PROV_AIS, .name = STR_LIT("nope") };
    struct err e;
    int        rc;

    (void)state;
    err_clear(&e);
    rc = err_nobck(&e, &b);
    assert_string_equal("bucket \"ais://nope\" does not exist", e.text);
    assert_int_equal(404, err_http(rc));
    assert_string_equal("ErrBckNotFound", err_tcode_of(rc));
    b.provider = PROV_AWS;
    rc = err_nobck(&e, &b);
    assert_string_equal("bucket \"s3://nope\" does not exist", e.text);
    assert_string_equal("ErrRemoteBckNotFound", err_tcode_of(rc));
    b.provider = PROV_AIS;
    rc = err_not_remote(&e, "prefetch-listrange", &b);
    assert_true(rc < 0);
    assert_string_equal("prefetch-listrange: expecting remote bucket (have ais://nope)", e.text);
    assert_string_equal("ErrNotRemoteBck", e.tcode);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unames_are_taken_apart),
        cmocka_unit_test(what_is_not_a_uname_is_refused),
        cmocka_unit_test(a_missing_bucket_has_aistores_sentence_and_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
