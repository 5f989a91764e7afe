/* SPDX-License-Identifier: Apache-2.0 */
/* A job as the information centre sees it, and as its members tell it each other. */
#include "unit.h"

#include "base/sbuf.h"
#include "base/util.h"
#include "proxy/listener.c"

static const struct bck bucket = { .provider = PROV_AIS, .name = STR_LIT("b"), .ns_uuid = STR_LIT("u"), .ns_name = STR_LIT("n") };

static struct listener *
of_three(const char *id)
{
    struct listener *l = listener_new(id, X_PROMOTE, "cause", &bucket, 3);

    for (unsigned i = 0; i < 3; i++) {
        char t[8];

        snprintf(t, sizeof(t), "target%u", i);
        listener_src_add(l, str_z(t), i < 2);
    }
    return l;
}

static struct listener *
told(const struct listener *l)
{
    struct listener *out;
    struct sbuf      b;
    struct jw        w;
    json_t          *j;

    sbuf_init(&b, 1 << 20);
    jw_init(&w, &b, 0);
    listener_json(l, &w);
    assert_int_equal(0, json_read(sbuf_str(&b), &j, NULL));
    out = listener_read(j);
    json_decref(j);
    sbuf_fini(&b);
    return out;
}

static void
what_one_member_tells_another_arrives(void **state)
{
    struct listener *l = of_three("Xk3bZ9qLm"), *m;

    (void)state;
    listener_err(l, STR_LIT("first"));
    listener_err(l, STR_LIT("second"));
    l->aborted = true;
    l->ended = 123;
    m = told(l);
    assert_non_null(m);
    assert_string_equal("Xk3bZ9qLm", m->id);
    assert_int_equal(X_PROMOTE, m->kind);
    assert_string_equal("cause", m->cause);
    assert_true(m->has_bck);
    assert_string_equal("b", m->bck.name);
    assert_string_equal("u", m->bck.ns_uuid);
    assert_int_equal(3, m->nsrcs);
    assert_int_equal(2, m->nactive);
    assert_false(listener_src(m, STR_LIT("target2"))->active);
    assert_int_equal(2, m->nerrs);
    assert_true(m->aborted);
    assert_int_equal(123, m->ended);
    listener_free(l);
    listener_free(m);
}

static void
nonsense_is_no_listener(void **state)
{
    static const char *const forms[] = { "{}", "[]", "7", "null", "{\"uuid\":\"x\",\"kind\":\"lru\",\"srcs\":[\"t\"]}",
                                         "{\"uuid\":\"Xk3bZ9qLm\",\"kind\":\"zz\",\"srcs\":[\"t\"]}",
                                         "{\"uuid\":\"Xk3bZ9qLm\",\"kind\":\"lru\",\"srcs\":[]}",
                                         "{\"uuid\":\"Xk3bZ9qLm\",\"kind\":\"lru\",\"srcs\":[\"\",7]}",
                                         "{\"uuid\":\"Xk3bZ9qLm\",\"kind\":\"lru\",\"srcs\":\"t\"}" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        json_t *j;

        assert_int_equal(0, json_read(str_z(forms[i]), &j, NULL));
        assert_null(listener_read(j));
        json_decref(j);
    }
}

static void
odd_members_are_borne(void **state)
{
    json_t          *j;
    struct listener *l;

    (void)state;
    assert_int_equal(0, json_read(STR_LIT("{\"uuid\":\"Xk3bZ9qLm\",\"kind\":\"lru\",\"srcs\":[7,\"t\",null],\"over\":[\"t\",\"t\",\"z\",{}],"
                                          "\"errs\":[1,\"e\",\"e\"],\"bck\":{\"name\":\"a/b\"},\"end_time\":\"x\"}"), &j, NULL));
    l = listener_read(j);
    json_decref(j);
    assert_non_null(l);
    assert_int_equal(1, l->nsrcs);
    assert_int_equal(0, l->nactive);
    assert_int_equal(1, l->nerrs);
    assert_false(l->has_bck);
    assert_int_equal(0, l->ended);
    listener_free(l);
}

static void
members_learn_what_they_missed(void **state)
{
    struct listener *mine = of_three("Xk3bZ9qLm"), *theirs = of_three("Xk3bZ9qLm");

    (void)state;
    listener_src(theirs, STR_LIT("target0"))->active = false;
    theirs->nactive--;
    listener_err(theirs, STR_LIT("lost"));
    listener_merge(mine, theirs);
    assert_int_equal(1, mine->nactive);
    assert_int_equal(1, mine->nerrs);
    assert_int_equal(0, mine->ended);
    theirs->ended = 9;
    listener_merge(mine, theirs);
    listener_merge(mine, theirs);
    assert_int_equal(9, mine->ended);
    assert_int_equal(1, mine->nactive);
    listener_free(mine);
    listener_free(theirs);
}

static void
a_status_is_as_clients_know_it(void **state)
{
    struct listener *l = of_three("Xk3bZ9qLm");
    struct sbuf      b;
    struct jw        w;

    (void)state;
    sbuf_init(&b, 1 << 16);
    for (unsigned i = 0; i < 9; i++) {
        char t[16];

        snprintf(t, sizeof(t), "error %u", i);
        listener_err(l, str_z(t));
        listener_err(l, str_z(t));
    }
    l->ended = 5;
    jw_init(&w, &b, 0);
    listener_status_json(l, &w);
    assert_string_equal("{\"kind\":\"promote\",\"uuid\":\"Xk3bZ9qLm\",\"err\":\"error 0 (and 3 more errors)\",\"end_time\":5,\"aborted\":false}", b.p);
    sbuf_fini(&b);
    listener_free(l);
}

static void
queries_select_by_id_kind_bucket_and_state(void **state)
{
    struct listener *l = of_three("Xk3bZ9qLm");

    (void)state;
    assert_true(listener_matches(l, &(struct xmsg){ .kind = X_ANY }));
    assert_true(listener_matches(l, &(struct xmsg){ .kind = X_ANY, .id = STR_LIT("Xk3bZ9qLm") }));
    assert_false(listener_matches(l, &(struct xmsg){ .kind = X_PROMOTE, .id = STR_LIT("AAAAAAAAA") }));
    assert_true(listener_matches(l, &(struct xmsg){ .kind = X_PROMOTE, .has_bck = true, .bck = bucket }));
    assert_false(listener_matches(l, &(struct xmsg){ .kind = X_LRU }));
    assert_false(listener_matches(l, &(struct xmsg){ .kind = X_ANY, .has_bck = true, .bck = { .name = STR_LIT("b") } }));
    assert_true(listener_matches(l, &(struct xmsg){ .kind = X_ANY, .active = 1 }));
    l->ended = 1;
    assert_false(listener_matches(l, &(struct xmsg){ .kind = X_ANY, .active = 1 }));
    listener_free(l);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_member_tells_another_arrives),
        cmocka_unit_test(nonsense_is_no_listener),
        cmocka_unit_test(odd_members_are_borne),
        cmocka_unit_test(members_learn_what_they_missed),
        cmocka_unit_test(a_status_is_as_clients_know_it),
        cmocka_unit_test(queries_select_by_id_kind_bucket_and_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
