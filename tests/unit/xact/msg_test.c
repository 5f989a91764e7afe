/* SPDX-License-Identifier: Apache-2.0 */
/* What clients say about jobs, in the forms in which they say it. */
#include "unit.h"

#include <jansson.h>

#include "base/sbuf.h"
#include "base/util.h"
#include "xact/msg.c"

static struct arena *arena;
static json_t       *root;

static int
read_msg(const char *json, struct xmsg *m, struct err *e)
{
    err_clear(e);
    json_decref(root);
    root = NULL;
    assert_int_equal(0, json_read(str_z(json), &root, e));
    return xmsg_read(root, arena, m, e);
}

static int
setup(void **state)
{
    (void)state;
    arena = arena_new(4096, 1 << 20);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    json_decref(root);
    root = NULL;
    arena_free(arena);
    return 0;
}

static void
go_and_python_spellings_are_the_same(void **state)
{
    static const char *const forms[] = {
        "{\"ID\":\"Xk3bZ9qLm\",\"Kind\":\"cleanup\",\"DaemonID\":\"t1\",\"Bck\":{\"name\":\"b\",\"provider\":\"s3\","
        "\"namespace\":{\"uuid\":\"u\",\"name\":\"n\"}},\"flags\":9,\"Force\":true,\"OnlyRunning\":true}",
        "{\"id\":\"Xk3bZ9qLm\",\"kind\":\"cleanup-store\",\"node\":\"t1\",\"bck\":{\"name\":\"b\",\"provider\":\"aws\","
        "\"namespace\":{\"uuid\":\"u\",\"name\":\"n\"}},\"flags\":\"9\",\"force\":true,\"show_active\":true}",
    };
    struct xmsg m;
    struct err  e;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        assert_int_equal(0, read_msg(forms[i], &m, &e));
        assert_true(str_eqz(m.id, "Xk3bZ9qLm"));
        assert_int_equal(X_CLEANUP, m.kind);
        assert_true(str_eqz(m.node, "t1"));
        assert_true(m.has_bck);
        assert_true(str_eqz(m.bck.name, "b") && str_eqz(m.bck.ns_uuid, "u") && str_eqz(m.bck.ns_name, "n"));
        assert_int_equal(PROV_AWS, m.bck.provider);
        assert_int_equal(9, m.flags);
        assert_true(m.force);
        assert_int_equal(1, m.active);
    }
}

static void
nothing_is_nothing(void **state)
{
    static const char *const forms[] = { "{}", "null", "{\"ID\":\"\",\"Kind\":\"\",\"DaemonID\":\"\",\"Bck\":null,\"Buckets\":null}",
                                         "{\"bck\":{\"name\":\"\",\"provider\":\"\",\"namespace\":{\"uuid\":\"\",\"name\":\"\"}}}",
                                         "{\"id\":7,\"kind\":[],\"bck\":\"b\",\"show_active\":null}" };
    struct xmsg m;
    struct err  e;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        assert_int_equal(0, read_msg(forms[i], &m, &e));
        assert_int_equal(0, m.id.n);
        assert_int_equal(X_ANY, m.kind);
        assert_false(m.has_bck);
        assert_int_equal(0, m.nbcks);
        assert_int_equal(-1, m.active);
    }
}

static void
nonsense_is_refused(void **state)
{
    static const char *const forms[] = { "[]", "7", "\"start\"", "{\"kind\":\"no-such\"}", "{\"bck\":{\"name\":\"a/b\"}}",
                                         "{\"bck\":{\"name\":\"a\",\"provider\":\"zz\"}}", "{\"buckets\":[{\"name\":\"..\"}]}" };
    struct xmsg m;
    struct err  e;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        assert_true(read_msg(forms[i], &m, &e) < 0);
        assert_int_equal(400, e.status);
    }
}

static void
what_is_written_reads_back(void **state)
{
    struct xmsg a, b;
    struct err  e;
    struct sbuf out;
    struct jw   w;
    char        text[256];

    (void)state;
    assert_int_equal(0, read_msg("{\"id\":\"Xk3bZ9qLm\",\"kind\":\"lru\",\"buckets\":[{\"name\":\"x\"},{\"name\":\"y\",\"provider\":\"gs\"}],"
                                 "\"flags\":3,\"force\":true}", &a, &e));
    sbuf_init(&out, 1 << 16);
    jw_init(&w, &out, 0);
    xmsg_args_json(&a, &w);
    {
        json_t *keep = root;

        root = NULL;
        assert_int_equal(0, read_msg(out.p, &b, &e));
        assert_true(str_eq(a.id, b.id));
        assert_int_equal(a.kind, b.kind);
        assert_int_equal(2, b.nbcks);
        assert_true(str_eqz(b.bcks[1].name, "y"));
        assert_int_equal(PROV_GCP, b.bcks[1].provider);
        assert_int_equal(3, b.flags);
        assert_true(b.force);
        json_decref(keep);
    }
    sbuf_reset(&out);
    jw_init(&w, &out, 0);
    xmsg_query_json(&(struct xmsg){ .kind = X_LRU, .active = 1, .has_bck = true, .bck = { .name = STR_LIT("b") } }, &w);
    assert_string_equal("{\"id\":\"\",\"kind\":\"lru\",\"bck\":{\"name\":\"b\",\"provider\":\"ais\",\"namespace\":{\"uuid\":\"\",\"name\":\"\"}},"
                        "\"show_active\":true}", out.p);
    sbuf_fini(&out);
    assert_string_equal("x-lru[Xk3bZ9qLm]-ais://b-node[t1]-only-running",
                        xmsg_text(&(struct xmsg){ .kind = X_LRU, .id = STR_LIT("Xk3bZ9qLm"), .has_bck = true, .bck = { .name = STR_LIT("b") },
                                                  .node = STR_LIT("t1"), .active = 1 }, text, sizeof(text)));
    assert_string_equal("x-", xmsg_text(&(struct xmsg){ .kind = X_ANY, .active = -1 }, text, sizeof(text)));
    assert_string_equal("x-l", xmsg_text(&(struct xmsg){ .kind = X_LRU, .active = -1 }, text, 4)); /* cut */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(go_and_python_spellings_are_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_written_reads_back, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
