/* SPDX-License-Identifier: Apache-2.0 */
/* Properties as people type them, documents as people read them. */
#include "unit.h"

#include "cli/kv.c"

static void
expect(json_t *o, const char *want)
{
    auto_free char *got = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);

    assert_string_equal(want, got);
}

static void
keys_and_values_become_nested_objects(void **state)
{
    static const struct {
        const char *words[5];
        const char *want;
    } cases[] = {
        { { "a=1" }, "{\"a\":1}" },
        { { "mirror.enabled=true", "mirror.copies=2" }, "{\"mirror\":{\"copies\":2,\"enabled\":true}}" },
        { { "mirror.enabled", "on", "mirror.copies", "2" }, "{\"mirror\":{\"copies\":2,\"enabled\":true}}" },
        { { "lru.enabled=off" }, "{\"lru\":{\"enabled\":false}}" },
        { { "checksum.type=md5" }, "{\"checksum\":{\"type\":\"md5\"}}" },
        { { "x=" }, "{\"x\":\"\"}" },
        { { "x=a=b" }, "{\"x\":\"a=b\"}" },
        { { "x=-5" }, "{\"x\":-5}" },
        { { "x=10m" }, "{\"x\":\"10m\"}" },
        { { "features=18446744073709551615" }, "{\"features\":\"18446744073709551615\"}" },
        { { "{\"ec\": {\"enabled\": true}}", "ec.parity_slices=1" }, "{\"ec\":{\"enabled\":true,\"parity_slices\":1}}" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *o = json_object();
        int     n = 0;

        while (cases[i].words[n] != NULL)
            n++;
        assert_int_equal(CLI_OK, kv_read(o, n, cases[i].words, true, NULL));
        expect(o, cases[i].want);
        json_decref(o);
    }
}

static void
custom_metadata_stays_text_and_flat(void **state)
{
    static const char *const words[] = { "a.b=1", "c=true" };
    json_t                  *o = json_object();

    (void)state;
    assert_int_equal(CLI_OK, kv_read(o, 2, words, false, NULL));
    expect(o, "{\"a.b\":\"1\",\"c\":\"true\"}");
    json_decref(o);
}

static void
what_is_no_pair_is_refused(void **state)
{
    static const char *const bad[] = { "lonely", "=1", ".a=1", "a.=1", "a..b=1", "{\"a\":", "{]" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct fault f = { .code = 0 };
        json_t      *o = json_object();

        assert_int_equal(CLI_USAGE, kv_read(o, 1, &bad[i], true, &f));
        assert_true(f.text[0] != '\0');
        json_decref(o);
    }
}

static void
one_line_holds_many_pairs_or_json(void **state)
{
    json_t *o = json_object();

    (void)state;
    assert_int_equal(CLI_OK, kv_read_line(o, " mirror.enabled=true  mirror.copies=2 ", NULL));
    expect(o, "{\"mirror\":{\"copies\":2,\"enabled\":true}}");
    assert_int_equal(CLI_OK, kv_read_line(o, " {\"mirror\": {\"copies\": 3}}", NULL));
    expect(o, "{\"mirror\":{\"copies\":3,\"enabled\":true}}");
    json_decref(o);
}

static void
access_words_and_backend_buckets_become_what_the_wire_wants(void **state)
{
    static const struct {
        const char *in, *want;
    } cases[] = {
        { "access=ro", "{\"access\":\"771\"}" },
        { "access=su", "{\"access\":\"18446744073709551615\"}" },
        { "access=3", "{\"access\":\"3\"}" },
        { "backend_bck=gs://cloud", "{\"backend_bck\":{\"name\":\"cloud\",\"provider\":\"gcp\"}}" },
        { "backend_bck=none", "{\"backend_bck\":{\"name\":\"\",\"provider\":\"\"}}" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *o = json_object();

        assert_int_equal(CLI_OK, kv_read(o, 1, &cases[i].in, true, NULL));
        assert_int_equal(CLI_OK, kv_bucket(o, NULL));
        expect(o, cases[i].want);
        json_decref(o);
    }
}

static void
a_section_is_found_by_whole_words(void **state)
{
    (void)state;
    assert_true(is_below("checksum.type", "checksum"));
    assert_true(is_below("checksum.type", "checksum.type"));
    assert_true(is_below("checksum.type", "checksum."));
    assert_true(is_below("checksum.type", ""));
    assert_false(is_below("checksum.type", "check"));
    assert_false(is_below("checksum.type", "checksum.type.x"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_values_become_nested_objects),
        cmocka_unit_test(custom_metadata_stays_text_and_flat),
        cmocka_unit_test(what_is_no_pair_is_refused),
        cmocka_unit_test(one_line_holds_many_pairs_or_json),
        cmocka_unit_test(access_words_and_backend_buckets_become_what_the_wire_wants),
        cmocka_unit_test(a_section_is_found_by_whole_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
