/* SPDX-License-Identifier: Apache-2.0 */
/* Names of buckets and objects as people type them. */
#include "unit.h"

#include "cli/uri.c"

static const char *
shown(const struct uri *u, char *buf, size_t n, bool path)
{
    struct sbuf b;

    sbuf_init(&b, 8192);
    if (path)
        uri_put_path(&b, "objects", u, true);
    else
        uri_put(&b, u);
    str_copyz(sbuf_str(&b), buf, n);
    sbuf_fini(&b);
    return buf;
}

static void
a_uri_is_provider_namespace_bucket_and_object(void **state)
{
    static const struct {
        const char *in, *provider, *ns, *bucket, *object, *shown;
    } cases[] = {
        { "b", "ais", "", "b", "", "ais://b" },
        { "b/o", "ais", "", "b", "o", "ais://b/o" },
        { "ais://b", "ais", "", "b", "", "ais://b" },
        { "ais://b/", "ais", "", "b", "", "ais://b" },
        { "ais://b/a/b/c", "ais", "", "b", "a/b/c", "ais://b/a/b/c" },
        { "ais://b//x", "ais", "", "b", "/x", "ais://b//x" },
        { "ais://b/a//b", "ais", "", "b", "a//b", "ais://b/a//b" },
        { "ais://b/dir/", "ais", "", "b", "dir/", "ais://b/dir/" },
        { "s3://b/o", "aws", "", "b", "o", "s3://b/o" },
        { "aws://b/o", "aws", "", "b", "o", "s3://b/o" },
        { "gs://b", "gcp", "", "b", "", "gs://b" },
        { "azure://b", "azure", "", "b", "", "az://b" },
        { "oc://b", "oci", "", "b", "", "oc://b" },
        { "ais://#ml/b/o", "ais", "#ml", "b", "o", "ais://#ml/b/o" },
        { "ais://@u1/b", "ais", "@u1", "b", "", "ais://@u1/b" },
        { "ais://@u1#ml/b/x", "ais", "@u1#ml", "b", "x", "ais://@u1#ml/b/x" },
        { "b/http://x", "ais", "", "b", "http://x", "ais://b/http://x" },
        { "ais://b/100%?#", "ais", "", "b", "100%?#", "ais://b/100%?#" },
    };
    char buf[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct uri u;

        assert_int_equal(CLI_OK, uri_parse(cases[i].in, URI_BUCKET_ANY, &u, NULL));
        assert_string_equal(cases[i].provider, u.provider);
        assert_true(str_eqz(u.ns, cases[i].ns));
        assert_true(str_eqz(u.bucket, cases[i].bucket));
        assert_true(str_eqz(u.object, cases[i].object));
        assert_string_equal(cases[i].shown, shown(&u, buf, sizeof(buf), false));
    }
}

static void
what_is_no_uri_is_wrong_usage_and_is_named(void **state)
{
    static const struct {
        const char   *in;
        enum uri_want want;
        const char   *says;
    } cases[] = {
        { "", URI_BUCKET_ANY, "names no bucket" },
        { "ais://", URI_BUCKET_ANY, "names no bucket" },
        { "/x", URI_BUCKET_ANY, "names no bucket" },
        { "ftp://b", URI_BUCKET_ANY, "unknown provider \"ftp\"" },
        { "ais://#ml", URI_BUCKET_ANY, "must be followed by /BUCKET" },
        { "ais://#ml/", URI_BUCKET_ANY, "names no bucket" },
        { "ais://b/o", URI_BUCKET, "names an object" },
        { "ais://b", URI_OBJECT, "names no object" },
        { "ais://b/", URI_OBJECT, "names no object" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = { .code = 0 };
        struct uri   u;

        assert_int_equal(CLI_USAGE, uri_parse(cases[i].in, cases[i].want, &u, &f));
        assert_non_null(strstr(f.text, cases[i].says));
        assert_non_null(strstr(f.text, cases[i].in));
    }
}

static void
a_path_on_the_wire_is_encoded(void **state)
{
    static const struct {
        const char *in, *path;
    } cases[] = {
        { "b/o", "/v1/objects/b/o?provider=ais" },
        { "b", "/v1/objects/b?provider=ais" },
        { "s3://b/o", "/v1/objects/b/o?provider=aws" },
        { "b/a b", "/v1/objects/b/a%20b?provider=ais" },
        { "b/50%", "/v1/objects/b/50%25?provider=ais" },
        { "b/what?", "/v1/objects/b/what%3F?provider=ais" },
        { "b/a#1", "/v1/objects/b/a%231?provider=ais" },
        { "b/a//b", "/v1/objects/b/a//b?provider=ais" },
        { "b/\xc3\xbc", "/v1/objects/b/%C3%BC?provider=ais" },
        { "ais://#ml/b/o", "/v1/objects/b/o?provider=ais&namespace=%23ml" },
    };
    char buf[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct uri u;

        assert_int_equal(CLI_OK, uri_parse(cases[i].in, URI_BUCKET_ANY, &u, NULL));
        assert_string_equal(cases[i].path, shown(&u, buf, sizeof(buf), true));
    }
}

static void
only_a_provider_with_its_colon_is_a_provider(void **state)
{
    (void)state;
    assert_string_equal("ais", uri_provider_only("ais:"));
    assert_string_equal("ais", uri_provider_only("ais://"));
    assert_string_equal("aws", uri_provider_only("s3://"));
    assert_null(uri_provider_only("ais"));
    assert_null(uri_provider_only("ais://b"));
    assert_null(uri_provider_only("ftp:"));
    assert_null(uri_provider_only(""));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uri_is_provider_namespace_bucket_and_object),
        cmocka_unit_test(what_is_no_uri_is_wrong_usage_and_is_named),
        cmocka_unit_test(a_path_on_the_wire_is_encoded),
        cmocka_unit_test(only_a_provider_with_its_colon_is_a_provider),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
