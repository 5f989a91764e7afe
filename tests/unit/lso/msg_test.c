/* SPDX-License-Identifier: Apache-2.0 */
#include "../../../node/lso/msg.c"

#include "unit.h"

static const struct bck ais_bck = { .provider = PROV_AIS, .name = { "gold", 4 } };

static int
read_msg(const char *text, struct lso_msg *m, struct err *e, json_t **root)
{
    assert_int_equal(json_read(str_z(text), root, e), 0);
    return lso_msg_read(m, *root, "p[x]", e);
}

static void
expect_check_error(const char *text, const char *want)
{
    struct lso_msg m;
    struct err     e = { .code = 0 };
    json_t        *root;

    assert_int_equal(read_msg(text, &m, &e, &root), 0);
    assert_true(lso_msg_check(&m, &ais_bck, "ais://gold", &e) < 0);
    assert_string_equal(e.text, want);
    json_decref(root);
}

static void
an_empty_message_gets_the_defaults(void **state)
{
    struct lso_msg m;
    struct err     e = { .code = 0 };
    json_t        *root;

    (void)state;
    assert_int_equal(read_msg("{}", &m, &e, &root), 0);
    assert_int_equal(lso_msg_check(&m, &ais_bck, "ais://gold", &e), 0);
    assert_int_equal(m.pagesize, LSO_PAGE_DFLT);
    assert_int_equal(m.props, LSP_SIZE | LSP_CACHED);
    assert_int_equal(m.flags, LS_NAME_SIZE);
    json_decref(root);
}

static void
cached_alone_asks_for_checksum_and_atime(void **state)
{
    struct lso_msg m;
    struct err     e = { .code = 0 };
    json_t        *root;

    (void)state;
    assert_int_equal(read_msg("{\"flags\":\"1\"}", &m, &e, &root), 0);
    assert_int_equal(lso_msg_check(&m, &ais_bck, "ais://gold", &e), 0);
    assert_int_equal(m.props, LSP_SIZE | LSP_CHECKSUM | LSP_ATIME);
    json_decref(root);
}

static void
props_are_read_and_unknown_ones_ignored(void **state)
{
    struct lso_msg m;
    struct err     e = { .code = 0 };
    json_t        *root;

    (void)state;
    assert_int_equal(read_msg("{\"Props\":\"name, version,nonsense,location\",\"flags\":2048,\"prefix\":\"a/*\","
                              "\"pagesize\":10000000,\"start_after\":\"s\",\"continuation_token\":\"t\"}", &m, &e, &root), 0);
    assert_int_equal(m.props, LSP_VERSION | LSP_LOCATION);
    assert_int_equal(m.flags, LS_NO_RECURSION);
    assert_int_equal(m.pagesize, LSO_PAGE_MAX);
    assert_true(str_eqz(m.prefix, "a/"));
    assert_true(str_eqz(lso_msg_after(&m), "t"));
    json_decref(root);
}

static void
bad_flags_are_refused_with_the_words_of_the_original(void **state)
{
    struct lso_msg m;
    struct err     e = { .code = 0 };
    json_t        *root;

    (void)state;
    assert_true(read_msg("{\"flags\":\"x\"}", &m, &e, &root) < 0);
    assert_string_equal(e.text, "p[x]: failed to unmarshal list (map[string]interface {}), err: apc.LsoMsg.Flags: readUint64: "
                                "unexpected character: x");
    json_decref(root);
    assert_true(read_msg("[]", &m, &e, &root) < 0);
    json_decref(root);
    assert_true(read_msg("{\"prefix\":1}", &m, &e, &root) < 0);
    json_decref(root);
    assert_true(read_msg("{\"pagesize\":-1}", &m, &e, &root) < 0);
    json_decref(root);
}

static void
what_cannot_be_asked_of_an_ais_bucket_is_refused(void **state)
{
    (void)state;
    expect_check_error("{\"flags\":\"512\"}", "ais://gold is not a remote bucket - cannot list 'not cached' objects");
    expect_check_error("{\"flags\":\"4096\"}", "cannot perform remote versions check (or diff vs remote bucket): bucket ais://gold "
                                               "does not provide remote versioning info");
    expect_check_error("{\"prefix\":\"a/../b\"}", "bad list-objects request: invalid prefix \"a/../b\"");
    expect_check_error("{\"prefix\":\"~/x\"}", "bad list-objects request: invalid prefix \"~/x\"");
    expect_check_error("{\"flags\":\"8\"}", "listing the content of archives is not implemented yet");
}

static void
a_question_survives_the_wire_whatever_bytes_it_has(void **state)
{
    struct lso_ask a = { .flags = 7, .props = 9, .max = 10, .msgpack = true, .prefix = { "p\xff", 2 }, .after = { "a\n\x80", 3 } };
    struct lso_ask b;
    struct sbuf    sb;
    size_t         n;

    (void)state;
    sbuf_init(&sb, 1024);
    lso_ask_encode(&a, &sb);
    assert_int_equal(lso_ask_decode(&b, sbuf_str(&sb)), 0);
    assert_int_equal(b.flags, 7);
    assert_int_equal(b.props, 9);
    assert_int_equal(b.max, 10);
    assert_true(b.msgpack);
    assert_true(str_eq(a.prefix, b.prefix) && str_eq(a.after, b.after) && b.time_format.n == 0);
    for (n = 0; n < sb.n; n++)
        assert_true(lso_ask_decode(&b, str_from(sb.p, n)) < 0);
    assert_true(lso_ask_decode(&b, STR_NULL) < 0); /* a request without a body */
    sbuf_fini(&sb);
}

static void
a_share_has_slack_but_never_exceeds_the_page(void **state)
{
    struct lso_msg m = { .pagesize = 10000 };

    (void)state;
    assert_int_equal(lso_share(&m, 1), 10000);
    assert_in_range(lso_share(&m, 3), 3334, 3700);
    assert_in_range(lso_share(&m, 100), 101, 200);
    m.pagesize = 5;
    assert_int_equal(lso_share(&m, 3), 5);
    m = (struct lso_msg){ .pagesize = 10000, .flags = LS_NO_RECURSION };
    assert_int_equal(lso_share(&m, 3), 10000);
}

static void
a_path_names_the_bucket_with_its_namespace(void **state)
{
    struct bck  b = ais_bck;
    struct sbuf sb;

    (void)state;
    sbuf_init(&sb, 1024);
    lso_path(&sb, &b, LSO_VERB_LIST);
    assert_string_equal(sb.p, "/v1/buckets/gold/_list?provider=ais");
    sbuf_reset(&sb);
    b.ns_name = STR_LIT("ns");
    lso_path(&sb, &b, LSO_VERB_SUMMARY);
    assert_string_equal(sb.p, "/v1/buckets/gold/_summary?provider=ais&namespace=%40%23ns");
    sbuf_fini(&sb);
}

static void
a_summary_reads_back(void **state)
{
    struct lso_sum s = { 1, 2, 3, 4, UINT64_MAX, 6 }, t;
    struct err     e = { .code = 0 };
    struct sbuf    sb;

    (void)state;
    sbuf_init(&sb, 1024);
    lso_sum_json(&s, &sb);
    assert_int_equal(lso_sum_read(&t, sbuf_str(&sb), &e), 0);
    assert_memory_equal(&s, &t, sizeof(s));
    assert_true(lso_sum_read(&t, STR_LIT("{\"objects\":1}"), &e) < 0);
    assert_true(lso_sum_read(&t, STR_LIT("[]"), &e) < 0);
    sbuf_fini(&sb);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_message_gets_the_defaults),
        cmocka_unit_test(cached_alone_asks_for_checksum_and_atime),
        cmocka_unit_test(props_are_read_and_unknown_ones_ignored),
        cmocka_unit_test(bad_flags_are_refused_with_the_words_of_the_original),
        cmocka_unit_test(what_cannot_be_asked_of_an_ais_bucket_is_refused),
        cmocka_unit_test(a_question_survives_the_wire_whatever_bytes_it_has),
        cmocka_unit_test(a_share_has_slack_but_never_exceeds_the_page),
        cmocka_unit_test(a_path_names_the_bucket_with_its_namespace),
        cmocka_unit_test(a_summary_reads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
