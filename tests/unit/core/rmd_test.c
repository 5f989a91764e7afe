/* SPDX-License-Identifier: Apache-2.0 */
/* Rebalance metadata: who owned a name before, what a rebalance settles, JSON both ways. */
#include "unit.h"

#include "core/rmd.c"

#include "base/sbuf.h"
#include "core/bmd.h"

static const struct bck old_bck = { .provider = PROV_AIS, .name = STR_LIT("old"), .bid = BID_AIS | 3 };
static const struct bck new_bck = { .provider = PROV_AIS, .name = STR_LIT("new"), .bid = BID_AIS | 9 };

/* Targets t1.. of that many, version v; those of `dead` (a bit each) are dead. */
static struct smap *
map_of(unsigned n, uint64_t v, unsigned dead)
{
    struct smap *m = smap_new("uuid-of-it");

    for (unsigned i = 0; i < n; i++) {
        struct snode sn = { .role = ROLE_TARGET, .flags = dead & 1u << i ? SNODE_DEAD : 0 };
        struct smap *nw;

        snprintf(sn.id, sizeof(sn.id), "target%02u", i);
        snode_finish(&sn, false);
        nw = smap_with_node(m, &sn);
        smap_put(m);
        m = nw;
    }
    m->version = v;
    return m;
}

static void
exchange(struct rmd **r, struct rmd *nw)
{
    rmd_put(*r);
    *r = nw;
}

/* Three targets at Smap 10 and BMD 7, then a fourth. */
static struct rmd *
grown(void)
{
    struct rmd  *r = rmd_new("uuid-of-it");
    struct smap *three = map_of(3, 10, 0);

    exchange(&r, rmd_push(r, three, 7));
    exchange(&r, rmd_begin(r, 11, STR_LIT("target03"), STR_NULL, STR_NULL));
    smap_put(three);
    return r;
}

static void
former_owners_are_those_of_the_old_map(void **state)
{
    struct rmd              *r = grown();
    struct smap             *three = map_of(3, 10, 0);
    const struct rmd_target *out[8];

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        auto_free char     *name = xasprintf("o%u", i);
        const struct snode *owner = smap_hrw(three, bck_obj_digest(&old_bck, str_z(name)));

        assert_int_equal(1, rmd_former(r, &old_bck, str_z(name), "target03", out, 8));
        assert_string_equal(owner->id, out[0]->id);
        assert_int_equal(0, rmd_former(r, &old_bck, str_z(name), owner->id, out, 8));
        assert_int_equal(0, rmd_former(r, &new_bck, str_z(name), "target03", out, 8)); /* made after that map */
    }
    assert_true(rmd_unsettled(r, &old_bck));
    assert_false(rmd_unsettled(r, &new_bck));
    smap_put(three);
    rmd_put(r);
}

static void
former_owners_come_newest_map_first_and_once(void **state)
{
    struct rmd              *r = rmd_new("uuid-of-it");
    struct smap             *one = map_of(1, 5, 0), *two = map_of(2, 6, 0);
    const struct rmd_target *out[8];
    unsigned                 both = 0;

    (void)state;
    exchange(&r, rmd_push(r, one, 7));
    exchange(&r, rmd_push(r, two, 7));
    exchange(&r, rmd_push(r, one, 7));
    exchange(&r, rmd_push(r, two, 7));
    for (unsigned i = 0; i < 64; i++) {
        auto_free char *name = xasprintf("o%u", i);
        unsigned        n = rmd_former(r, &old_bck, str_z(name), "", out, 8);

        if (n == 2) {
            both++;
            assert_string_equal("target01", out[0]->id);
        }
        assert_string_equal("target00", out[n - 1]->id);
        assert_in_range(n, 1, 2);
    }
    assert_in_range(both, 10, 54);
    smap_put(one);
    smap_put(two);
    rmd_put(r);
}

static void
a_finished_rebalance_settles_the_maps_before_it(void **state)
{
    struct rmd  *r = grown();
    struct smap *four = map_of(4, 11, 0);
    uint64_t     id = r->reb_id;

    (void)state;
    exchange(&r, rmd_push(r, four, 7)); /* the map has changed again meanwhile */
    exchange(&r, rmd_end(r, false, four));
    assert_int_equal(RMD_IDLE, r->state);
    assert_int_equal(id, r->reb_id);
    assert_true(r->version > id);
    assert_int_equal(1, r->nchain);
    assert_int_equal(11, r->chain[0].smap_ver);
    smap_put(four);
    rmd_put(r);
}

static void
an_aborted_or_partial_rebalance_settles_nothing(void **state)
{
    struct rmd  *r = grown();
    struct smap *four = map_of(4, 11, 0);

    (void)state;
    exchange(&r, rmd_end(r, true, four));
    assert_int_equal(RMD_ABORTED, r->state);
    assert_int_equal(1, r->nchain);
    exchange(&r, rmd_begin(r, 11, STR_NULL, STR_LIT("ais/@#/old"), STR_LIT("a/")));
    exchange(&r, rmd_end(r, false, four));
    assert_int_equal(1, r->nchain);
    smap_put(four);
    rmd_put(r);
}

static void
a_map_with_a_dead_target_waits_for_it(void **state)
{
    struct rmd  *r = grown();
    struct smap *dead = map_of(4, 12, 1u << 1), *gone = map_of(1, 13, 0);

    (void)state;
    exchange(&r, rmd_end(r, false, dead));
    assert_int_equal(1, r->nchain);
    exchange(&r, rmd_begin(r, 13, STR_NULL, STR_NULL, STR_NULL));
    exchange(&r, rmd_end(r, false, gone));
    assert_int_equal(0, r->nchain);
    smap_put(dead);
    smap_put(gone);
    rmd_put(r);
}

static void
a_long_chain_folds_and_forgets_nobody(void **state)
{
    struct rmd              *r = rmd_new("uuid-of-it");
    const struct rmd_target *out[256];
    bool                     seen[RMD_CHAIN_MAX + 3] = { false };
    unsigned                 n;

    (void)state;
    for (unsigned i = 0; i < RMD_CHAIN_MAX + 3; i++) { /* map i has the targets i and i + 1 only */
        struct smap *m = map_of(1, i + 1, 0);

        snprintf(m->nodes[0].id, sizeof(m->nodes[0].id), "target%02u", i);
        exchange(&r, rmd_push(r, m, 7));
        smap_put(m);
    }
    assert_int_equal(RMD_CHAIN_MAX, r->nchain);
    n = rmd_former(r, &old_bck, STR_LIT("x"), "", out, 256);
    assert_int_equal(RMD_CHAIN_MAX + 3, n);
    for (unsigned i = 0; i < n; i++) {
        uint64_t at;

        assert_true(str_u64(str_z(out[i]->id + 6), &at));
        seen[at] = true;
    }
    for (unsigned i = 0; i < n; i++)
        assert_true(seen[i]);
    rmd_put(r);
}

static char *
text_of(const struct rmd *r)
{
    struct sbuf b;
    struct jw   w;

    sbuf_init(&b, 1u << 20);
    jw_init(&w, &b, 0);
    rmd_json(r, &w);
    assert_true(sbuf_ok(&b));
    sbuf_putc(&b, '\0');
    return b.p;
}

static struct rmd *
parse(const char *text, int want)
{
    json_t     *j = NULL;
    struct rmd *r = NULL;
    struct err  e;

    err_clear(&e);
    assert_int_equal(0, json_read(str_z(text), &j, NULL));
    assert_int_equal(want, rmd_from_json(j, &r, &e));
    json_decref(j);
    return r;
}

static void
json_goes_both_ways(void **state)
{
    struct rmd     *r = grown(), *back;
    auto_free char *a = NULL, *b = NULL;

    (void)state;
    exchange(&r, rmd_begin(r, 12, STR_NULL, STR_LIT("ais/@#/old"), STR_LIT("a/")));
    a = text_of(r);
    back = parse(a, 0);
    b = text_of(back);
    assert_string_equal(a, b);
    rmd_put(r);
    rmd_put(back);
}

static void
aistores_own_form_is_taken(void **state)
{
    struct rmd *r = parse("{\"cluster_id\":\"abc\",\"target_ids\":[\"t1aaaaaa\"],\"version\":17}", 0);

    (void)state;
    assert_int_equal(17, r->version);
    assert_int_equal(17, r->reb_id);
    assert_int_equal(0, r->nchain);
    assert_int_equal(RMD_IDLE, r->state);
    rmd_put(r);
}

static void
malformed_metadata_is_refused(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"version\":\"x\"}",
        "{\"version\":1,\"target_ids\":7}",
        "{\"version\":1,\"target_ids\":[7]}",
        "{\"version\":1,\"ext\":{\"state\":\"dancing\",\"reb\":1,\"smap\":1}}",
        "{\"version\":1,\"ext\":{\"state\":\"idle\",\"reb\":1}}",
        "{\"version\":1,\"ext\":{\"state\":\"idle\",\"reb\":1,\"smap\":1,\"chain\":[{\"smap\":1,\"ids\":[]}]}}",
        "{\"version\":1,\"ext\":{\"state\":\"idle\",\"reb\":1,\"smap\":1,\"chain\":[{\"smap\":1,\"bmd\":1,\"ids\":[\"a\"]}]}}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_null(parse(bad[i], -AIS_E_BADREQ));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(former_owners_are_those_of_the_old_map),
        cmocka_unit_test(former_owners_come_newest_map_first_and_once),
        cmocka_unit_test(a_finished_rebalance_settles_the_maps_before_it),
        cmocka_unit_test(an_aborted_or_partial_rebalance_settles_nothing),
        cmocka_unit_test(a_map_with_a_dead_target_waits_for_it),
        cmocka_unit_test(a_long_chain_folds_and_forgets_nobody),
        cmocka_unit_test(json_goes_both_ways),
        cmocka_unit_test(aistores_own_form_is_taken),
        cmocka_unit_test(malformed_metadata_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
