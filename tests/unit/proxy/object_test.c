/* SPDX-License-Identifier: Apache-2.0 */
/* Redirects: the target's address with the request's own path and query, nothing lost, nothing added but who sent it and when. */
#include "unit.h"

#include "proxy/object.c"

static struct req *
fake_req(enum method m, const char *path, const char *query)
{
    static struct req    r;
    static struct caller c;

    memset(&c, 0, sizeof(c));
    r = (struct req){ .magic = REQ_MAGIC, .arena = arena_new(4096, 1 * MIB), .method = m, .path = str_z(path), .query_raw = str_z(query),
                      .user = &c };
    return &r;
}

static void
paths_with_special_bytes_are_encoded_anew(void **state)
{
    (void)state;
    assert_false(must_rebuild(STR_LIT("/v1/objects/b/dir/o.tar")));
    assert_false(must_rebuild(STR_LIT("/v1/objects/b/gr\xc3\xbc\xc3\x9f")));
    assert_true(must_rebuild(STR_LIT("/v1/objects/b/100%")));
    assert_true(must_rebuild(STR_LIT("/v1/objects/b/a b")));
    assert_true(must_rebuild(STR_LIT("/v1/objects/b/a?b")));
    assert_true(must_rebuild(STR_LIT("/v1/objects/b/a#b")));
    assert_true(must_rebuild(STR_LIT("/v1/objects/b/a+b")));
}

static void
locations_are_copied(void **state)
{
    static const struct {
        const char *path, *query, *location;
    } cases[] = {
        { "/v1/objects/b/o", "", "http://t:1/v1/objects/b/o?pid=P&utm=U" },
        { "/v1/objects/b/o", "provider=ais", "http://t:1/v1/objects/b/o?provider=ais&pid=P&utm=U" },
        { "/v1/objects/b/gr%C3%BC%C3%9F", "a=%2F&b", "http://t:1/v1/objects/b/gr%C3%BC%C3%9F?a=%2F&b&pid=P&utm=U" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct req *r = fake_req(M_GET, cases[i].path, cases[i].query);
        struct str  got = build_copied(r, "http://t:1", str_z(cases[i].path), str_z(cases[i].query), "P", "U");

        if (!str_eqz(got, cases[i].location))
            fail_msg("%.*s", STR_FMT(got));
        arena_free(r->arena);
    }
}

static void
locations_are_encoded_with_sorted_pairs(void **state)
{
    static const struct {
        const char *path, *query, *location;
    } cases[] = {
        { "/v1/objects/b/a b", "", "http://t:1/v1/objects/b/a%20b?pid=P&utm=U" },
        { "/v1/objects/b/100%", "z=1&a=%2F", "http://t:1/v1/objects/b/100%25?a=%2F&pid=P&utm=U&z=1" },
        { "/v1/objects/b/a?b#c", "x", "http://t:1/v1/objects/b/a%3Fb%23c?pid=P&utm=U&x=" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct req *r = fake_req(M_GET, cases[i].path, cases[i].query);
        struct str  got = build_anew(r, "http://t:1", "P", "U");

        if (!str_eqz(got, cases[i].location))
            fail_msg("%.*s", STR_FMT(got));
        arena_free(r->arena);
    }
}

static void
the_page_beside_a_redirect_cannot_be_escaped_from(void **state)
{
    struct req *r = fake_req(M_GET, "/", "");
    struct str  p = moved_page(r->arena, STR_LIT("http://t/o?a=\"><script>'&b"));

    (void)state;
    assert_true(str_eqz(p, "<a href=\"http://t/o?a=&#34;&gt;&lt;script&gt;&#39;&amp;b\">Moved Permanently</a>.\n\n"));
    arena_free(r->arena);
}

static void
too_many_parameters_are_refused(void **state)
{
    char       q[600] = "";
    struct err e;

    (void)state;
    err_clear(&e);
    for (int i = 0; i < 100; i++)
        memcpy(q + 4 * i, "a=1&", 5);
    assert_int_equal(0, params_check(str_z(q), &e));
    memcpy(q + 400, "a=1", 4);
    assert_int_equal(-AIS_E_BADREQ, params_check(str_z(q), &e));
    assert_string_equal("number of query parameters exceeds 100", e.text);
    memset(q, '&', sizeof(q)); /* empty pairs do not count */
    assert_int_equal(0, params_check(str_from(q, sizeof(q)), &e));
}

static void
access_limits_changes_and_never_reading(void **state)
{
    struct bck b = { .provider = PROV_AIS, .name = STR_LIT("b"), .access = 0 };
    struct err e;

    (void)state;
    err_clear(&e);
    assert_int_equal(0, access_check(&b, ACC_GET, &e));
    assert_int_equal(0, access_check(&b, ACC_LIST, &e));
    assert_int_equal(0, access_check(&b, ACC_PATCH, &e));
    assert_true(access_check(&b, ACC_PUT, &e) < 0);
    assert_string_equal("bucket ais://b: PUT access denied (0x0)", e.text);
    assert_string_equal("ErrBucketAccessDenied", e.tcode);
    assert_int_equal(403, e.status);
    assert_true(access_check(&b, ACC_DELETE, &e) < 0);
    b.access = 1ULL << ACC_DELETE;
    assert_int_equal(0, access_check(&b, ACC_DELETE, &e));
    assert_true(access_check(&b, ACC_PUT, &e) < 0);
}

static struct smap *
map_of_three(void)
{
    static const char *const ids[] = { "t1aaaaaa", "t2bbbbbb", "t3cccccc" };
    struct smap             *m = smap_new("uuid"), *next;

    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        struct snode n = { .role = ROLE_TARGET };

        str_copyz(str_z(ids[i]), n.id, sizeof(n.id));
        snode_finish(&n, false);
        next = smap_with_node(m, &n);
        smap_put(m);
        m = next;
    }
    return m;
}

static void
an_append_goes_where_its_handle_says(void **state)
{
    static const struct {
        const char *query, *owner; /* NULL: refused */
    } cases[] = {
        { "append_type=append", "t1aaaaaa" }, /* by placement: the vector of internals.md 2 */
        { "append_type=append&append_handle=", "t1aaaaaa" },
        { "append_type=append&append_handle=t2bbbbbb%7Cx%7Cy%7Cz", "t2bbbbbb" },
        { "append_type=append&append_handle=t9%7Cx%7Cy%7Cz", NULL },
        { "append_type=append&append_handle=t2bbbbbb%7Cx%7Cy", NULL },
        { "append_type=append&append_handle=t2bbbbbb%7Cx%7Cy%7Cz%7Cw", NULL },
        { "append_type=append&append_handle=%7C%7C%7C", NULL },
    };
    struct bck   b = { .provider = PROV_AIS, .name = STR_LIT("mybck") };
    struct smap *m = map_of_three();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct req         *r = fake_req(M_PUT, "/v1/objects/mybck/dir/obj1", cases[i].query);
        const struct snode *t = NULL;
        struct err          e;
        int                 rc;

        err_clear(&e);
        req_views(r)->smap = m;
        rc = owner_of(r, &b, STR_LIT("dir/obj1"), &t, &e);
        if ((rc == 0) != (cases[i].owner != NULL) || (rc == 0 && strcmp(t->id, cases[i].owner) != 0))
            fail_msg("%s: %d %s", cases[i].query, rc, rc == 0 ? t->id : e.text);
        arena_free(r->arena);
    }
    smap_put(m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_with_special_bytes_are_encoded_anew),
        cmocka_unit_test(locations_are_copied),
        cmocka_unit_test(locations_are_encoded_with_sorted_pairs),
        cmocka_unit_test(the_page_beside_a_redirect_cannot_be_escaped_from),
        cmocka_unit_test(too_many_parameters_are_refused),
        cmocka_unit_test(access_limits_changes_and_never_reading),
        cmocka_unit_test(an_append_goes_where_its_handle_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
