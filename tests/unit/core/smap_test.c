/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster map: placement bit for bit as AIStore's, JSON both ways, who is active. */
#include "unit.h"

#include "core/smap.c"

#include <jansson.h>

#include "base/sbuf.h"
#include "codec/jw.h"

static struct snode
node(enum role role, const char *id, uint16_t port, uint64_t flags)
{
    struct snode n = { .role = role, .flags = flags };

    snprintf(n.id, sizeof(n.id), "%s", id);
    snprintf(n.pub.host, sizeof(n.pub.host), "10.0.0.1");
    n.pub.port = port;
    n.control = n.data = n.pub;
    n.control.port = (uint16_t)(port + 1000);
    n.data.port = (uint16_t)(port + 2000);
    snode_finish(&n, false);
    return n;
}

/* Adds to the map, which is replaced. */
static void
add(struct smap **m, struct snode n)
{
    struct smap *nw = smap_with_node(*m, &n);

    smap_put(*m);
    *m = nw;
}

static struct smap *
three_targets(void)
{
    struct smap *m = smap_new("uuid-of-it");

    add(&m, node(ROLE_PROXY, "p1aaaaaa", 8080, 0));
    add(&m, node(ROLE_TARGET, "t1aaaaaa", 8081, 0));
    add(&m, node(ROLE_TARGET, "t2bbbbbb", 8082, 0));
    add(&m, node(ROLE_TARGET, "t3cccccc", 8083, 0));
    return m;
}

/* internals.md 2, "Test vectors". */
static void
placement_is_aistores(void **state)
{
    const struct bck    b = { .provider = PROV_AIS, .name = STR_LIT("mybck") };
    struct smap        *m = three_targets();
    const struct snode *list[4];
    uint64_t            d = bck_obj_digest(&b, STR_LIT("dir/obj1"));

    (void)state;
    assert_true(hrw_mix(0) == 0x1a70a846bd9cc2a9u && hrw_mix(1) == 0xc5883e370b0926c3u);
    assert_true(hrw_digest("", 0) == 0xaaa3575891557d33u && hrw_digest("abc", 3) == 0xa89f935f7bdc1f8cu);
    assert_true(d == 0x7e5d33b644e76c1bu);
    assert_true(hrw_mix(smap_find(m, STR_LIT("t1aaaaaa"))->digest ^ d) == 0xbb637540d302ee83u);
    assert_true(hrw_mix(smap_find(m, STR_LIT("t2bbbbbb"))->digest ^ d) == 0x57eca2835f57fcdcu);
    assert_true(hrw_mix(smap_find(m, STR_LIT("t3cccccc"))->digest ^ d) == 0x5db387ceab027ab9u);
    assert_string_equal("t1aaaaaa", smap_hrw(m, d)->id);
    assert_int_equal(3, smap_hrw_list(m, d, list, 4));
    assert_string_equal("t1aaaaaa", list[0]->id);
    assert_string_equal("t3cccccc", list[1]->id);
    assert_string_equal("t2bbbbbb", list[2]->id);
    assert_true((hrw_mix(hrw_digest("/ais/disk0", 10) ^ d) == 0x86706976b42093f7u));
    assert_true((hrw_mix(hrw_digest("/ais/disk1", 10) ^ d) == 0xfe1c4f39886512fcu));
    smap_put(m);
}

static void
a_target_in_maintenance_owns_nothing(void **state)
{
    struct smap *m = three_targets(), *w = smap_with_flags(m, STR_LIT("t1aaaaaa"), SNODE_MAINT, 0);

    (void)state;
    assert_int_equal(2, w->nactive);
    assert_int_equal(3, w->ntargets);
    assert_int_equal(m->version + 1, w->version);
    assert_string_equal("t3cccccc", smap_hrw(w, 0x7e5d33b644e76c1bu)->id);
    smap_put(m);
    smap_put(w);
}

static void
without_targets_there_is_no_owner(void **state)
{
    struct smap *m = smap_new("u");

    (void)state;
    assert_null(smap_hrw(m, 1));
    assert_null(smap_find(m, STR_LIT("nobody00")));
    smap_put(m);
}

static void
namespaces_are_part_of_the_name(void **state)
{
    const struct bck g = { .provider = PROV_AIS, .name = STR_LIT("b") };
    const struct bck n = { .provider = PROV_AIS, .name = STR_LIT("b"), .ns_name = STR_LIT("ns"), .ns_uuid = STR_LIT("uuid") };

    (void)state;
    assert_true(bck_obj_digest(&g, STR_LIT("o")) == hrw_digest("ais/@#/b/o", 10));
    assert_true(bck_obj_digest(&n, STR_LIT("o")) == hrw_digest("ais/@uuid#ns/b/o", 16));
}

static void
a_map_survives_json(void **state)
{
    struct smap *m = three_targets(), *p = smap_with_primary(m, STR_LIT("p1aaaaaa")), *back = NULL;
    struct sbuf  a, b;
    struct jw    w;
    json_t      *j = NULL;

    (void)state;
    sbuf_init(&a, 1 << 20);
    sbuf_init(&b, 1 << 20);
    jw_init(&w, &a, 0);
    smap_json(p, &w);
    assert_int_equal(0, json_read(sbuf_str(&a), &j, NULL));
    assert_int_equal(0, smap_from_json(j, &back, NULL));
    jw_init(&w, &b, 0);
    smap_json(back, &w);
    assert_string_equal(a.p, b.p);
    assert_string_equal("p1aaaaaa", back->primary->id);
    json_decref(j);
    sbuf_fini(&a);
    sbuf_fini(&b);
    smap_put(back);
    smap_put(p);
    smap_put(m);
}

static void
maps_that_make_no_sense_are_refused(void **state)
{
    static const char *const bad[] = {
        "[]",
        "{\"pmap\":3}",
        "{\"uuid\":\"u\",\"version\":\"x\",\"pmap\":{},\"tmap\":{}}",
        "{\"uuid\":\"u\",\"version\":\"1\",\"pmap\":{\"abc\":{}},\"tmap\":{}}",
        "{\"uuid\":\"u\",\"version\":\"1\",\"pmap\":{\"aaaaaaaa\":{\"daemon_id\":\"bbbbbbbb\",\"daemon_type\":\"proxy\"}},\"tmap\":{}}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct smap *m = NULL;
        struct err   e = { .code = 0 };
        json_t      *j = NULL;

        assert_int_equal(0, json_read(str_z(bad[i]), &j, NULL));
        if (smap_from_json(j, &m, &e) == 0)
            fail_msg("accepted: %s", bad[i]);
        assert_true(e.text[0] != '\0');
        json_decref(j);
    }
}

static void
the_next_primary_has_the_greatest_digest(void **state)
{
    struct smap *m = smap_new("u");
    const char  *best = NULL;
    uint64_t     top = 0;

    (void)state;
    for (char c = 'a'; c < 'f'; c++) {
        char id[16];

        snprintf(id, sizeof(id), "proxy%c%c%c", c, c, c);
        add(&m, node(ROLE_PROXY, id, 9000, c == 'c' ? SNODE_NON_ELECTABLE : 0));
    }
    for (unsigned i = 0; i < m->nnodes; i++)
        if (!(m->nodes[i].flags & SNODE_NON_ELECTABLE) && m->nodes[i].digest > top) {
            top = m->nodes[i].digest;
            best = m->nodes[i].id;
        }
    assert_string_equal(best, smap_next_primary(m, STR_NULL)->id);
    assert_string_not_equal(best, smap_next_primary(m, str_z(best))->id);
    smap_put(m);
}

static void
ids_are_checked(void **state)
{
    static const struct {
        const char *id;
        bool        ok;
    } cases[] = {
        { "abcdefgh", true },  { "a-b_cdef", true },  { "abcdefg", false },   { "-abcdefg", false }, { "abcdefg_", false },
        { "abcd efg", false }, { "", false },         { "abcdefghabcdefghabcdefghabcdefgh", true },
        { "abcdefghabcdefghabcdefghabcdefghi", false },
    };
    char id[16];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(cases[i].ok, node_id_valid(str_z(cases[i].id)));
    for (int i = 0; i < 1000; i++) {
        uuid_gen(id);
        assert_true(uuid_valid(str_z(id)));
        node_id_gen(id);
        assert_true(node_id_valid(str_z(id)));
    }
}

/* A node in maintenance may be shut down: AIStore's clients go on seeing it. */
static void
the_dead_in_maintenance_stay_in_sight(void **state)
{
    struct smap   *m = three_targets(), *dead, *back = NULL;
    json_t        *j = NULL;
    struct sbuf    b;
    struct jw      w;
    struct err     e;

    (void)state;
    dead = smap_with_flags(m, STR_LIT("t2bbbbbb"), SNODE_DEAD | SNODE_MAINT, 0);
    sbuf_init(&b, 1 << 20);
    jw_init(&w, &b, 0);
    smap_json(dead, &w);
    assert_int_equal(0, json_read(sbuf_str(&b), &j, &e));
    assert_null(json_object_get(j, "ext"));
    assert_non_null(json_object_get(json_object_get(j, "tmap"), "t2bbbbbb"));
    assert_int_equal(0, smap_from_json(j, &back, &e));
    assert_int_equal(SNODE_DEAD | SNODE_MAINT, smap_find(back, STR_LIT("t2bbbbbb"))->flags);
    assert_int_equal(2, back->nactive);
    json_decref(j);
    sbuf_fini(&b);
    smap_put(back);
    smap_put(dead);
    smap_put(m);
}

/* To AIStore's clients a dead node is gone; to us it is remembered. */
static void
the_dead_are_kept_aside(void **state)
{
    struct smap   *m = three_targets(), *dead, *back = NULL;
    struct sbuf    b;
    struct jw      w;
    struct json_t *j = NULL;

    (void)state;
    dead = smap_with_flags(m, STR_LIT("t2bbbbbb"), SNODE_DEAD, 0);
    assert_int_equal(2, dead->nactive);
    assert_int_equal(2, dead->ntargets);
    assert_int_equal(1, dead->ndead);
    sbuf_init(&b, 1u << 20);
    jw_init(&w, &b, 0);
    smap_json(dead, &w);
    assert_int_equal(0, json_read(sbuf_str(&b), &j, NULL));
    assert_int_equal(2, json_object_size(json_object_get(j, "tmap")));
    assert_non_null(json_object_get(json_object_get(json_object_get(j, "ext"), "dead"), "t2bbbbbb"));
    assert_int_equal(0, smap_from_json(j, &back, NULL));
    assert_int_equal(2, back->nactive);
    assert_int_equal(1, back->ndead);
    assert_true((smap_find(back, STR_LIT("t2bbbbbb"))->flags & SNODE_DEAD) != 0);
    json_decref(j);
    sbuf_fini(&b);
    smap_put(m);
    smap_put(dead);
    smap_put(back);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placement_is_aistores),
        cmocka_unit_test(a_target_in_maintenance_owns_nothing),
        cmocka_unit_test(without_targets_there_is_no_owner),
        cmocka_unit_test(namespaces_are_part_of_the_name),
        cmocka_unit_test(a_map_survives_json),
        cmocka_unit_test(maps_that_make_no_sense_are_refused),
        cmocka_unit_test(the_next_primary_has_the_greatest_digest),
        cmocka_unit_test(ids_are_checked),
        cmocka_unit_test(the_dead_in_maintenance_stay_in_sight),
        cmocka_unit_test(the_dead_are_kept_aside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
