/* SPDX-License-Identifier: Apache-2.0 */
/* Leases by hand: what is granted, when a map comes into force, and who may serve what. */
#include "unit.h"

#include <jansson.h>

#include "core/core_impl.h"
#include "core/lease.h"
#include "codec/cksum.h"
#include "codec/jw.h"
#include "base/util.h"

#define T0 SEC_NS(1000)

static const struct bck B = { .provider = PROV_AIS, .name = STR_LIT("b"), .bid = 1 };

static struct smap *
map_of(uint64_t version, unsigned n, const char *const *ids)
{
    struct smap *m = smap_new("cluster-id");

    for (unsigned i = 0; i < n; i++) {
        struct snode s = { .role = ROLE_TARGET };
        struct smap *next;

        str_copyz(str_z(ids[i]), s.id, sizeof(s.id));
        snode_finish(&s, false);
        next = smap_with_node(m, &s);
        smap_put(m);
        m = next;
    }
    m->version = version;
    return m;
}

#define MAP(v, ...) map_of(v, sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), (const char *[]){ __VA_ARGS__ })

static void
take_map(struct lease *l, struct smap *m, struct rmd *r)
{
    lease_map(l, m, r);
    smap_put(m);
}

static struct lease *
giver(bool fresh, uint64_t version)
{
    struct lease *l = lease_new();
    struct rmd   *r = rmd_new("cluster-id");

    take_map(l, MAP(version, "target-1", "target-2"), r);
    lease_lead(l, 1, fresh, T0);
    rmd_put(r);
    return l;
}

static json_t *
said(void (*fn)(struct lease *l, struct jw *w, void *arg), struct lease *l, void *arg)
{
    struct sbuf b;
    struct jw   w;
    json_t     *j = NULL;

    sbuf_init(&b, 64 * KIB);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    fn(l, &w, arg);
    jw_obj_end(&w);
    assert_int_equal(0, json_read(sbuf_str(&b), &j, NULL));
    sbuf_fini(&b);
    return j;
}

struct grant_args {
    const char *id;
    uint64_t    under;
    int64_t     now;
};

static void
say_grant(struct lease *l, struct jw *w, void *arg)
{
    struct grant_args *g = arg;

    lease_force_json(l, w);
    lease_grant(l, g->id, g->under, g->now, w);
}

static json_t *
granted(struct lease *l, const char *id, uint64_t under, int64_t now)
{
    struct grant_args g = { id, under, now };

    return said(say_grant, l, &g);
}

static void
grant_to_nobody(struct lease *l, const char *id, uint64_t under, int64_t now)
{
    json_decref(granted(l, id, under, now));
}

static void
a_map_is_in_force_when_all_that_may_hold_a_lease_have_it(void **state)
{
    struct lease *l = giver(true, 5);
    struct rmd   *r = rmd_new("cluster-id");

    (void)state;
    assert_int_equal(5, lease_force(l)); /* nobody holds anything */
    grant_to_nobody(l, "target-1", 5, T0);
    grant_to_nobody(l, "target-2", 5, T0);
    take_map(l, MAP(6, "target-1", "target-2", "target-3"), r);
    assert_false(lease_tick(l, T0 + 1));
    assert_int_equal(5, lease_force(l));
    assert_false(lease_acked(l, "target-1", 6, T0 + 2));
    assert_true(lease_acked(l, "target-2", 6, T0 + 3));
    assert_int_equal(6, lease_force(l));
    rmd_put(r);
    lease_free(l);
}

static void
a_silent_target_holds_a_map_up_until_its_lease_has_run_out(void **state)
{
    struct lease *l = giver(true, 5);
    struct rmd   *r = rmd_new("cluster-id");

    (void)state;
    grant_to_nobody(l, "target-1", 5, T0);
    grant_to_nobody(l, "target-2", 5, T0 + SEC_NS(1));
    take_map(l, MAP(6, "target-1"), r); /* the other one is not even in it any more */
    assert_false(lease_acked(l, "target-1", 6, T0 + SEC_NS(2)));
    assert_true(lease_given_left(l, "target-2", T0 + SEC_NS(2)) > SEC_NS(3));
    assert_false(lease_tick(l, T0 + SEC_NS(1) + LEASE_GIVEN - 1));
    assert_int_equal(5, lease_force(l));
    assert_true(lease_tick(l, T0 + SEC_NS(1) + LEASE_GIVEN));
    assert_int_equal(6, lease_force(l));
    assert_int_equal(0, lease_given_left(l, "target-2", T0 + SEC_NS(6)));
    rmd_put(r);
    lease_free(l);
}

static void
a_grant_under_the_new_map_does_not_hold_it_up(void **state)
{
    struct lease *l = giver(true, 5);
    struct rmd   *r = rmd_new("cluster-id");

    (void)state;
    grant_to_nobody(l, "target-1", 5, T0);
    take_map(l, MAP(6, "target-1", "target-2"), r);
    for (int i = 1; i <= 20; i++) /* it asks and asks, and never says that it has the map */
        grant_to_nobody(l, "target-1", 6, T0 + i * SEC_NS(1));
    assert_true(lease_tick(l, T0 + LEASE_GIVEN));
    assert_int_equal(6, lease_force(l));
    for (uint64_t v = 7; v < 40; v++) /* more maps than are told apart: still the older one counts */
        grant_to_nobody(l, "target-1", v, T0 + SEC_NS(30));
    take_map(l, MAP(40, "target-1", "target-2"), r);
    assert_false(lease_tick(l, T0 + SEC_NS(30) + LEASE_GIVEN - 1) && lease_force(l) > 7);
    assert_true(lease_tick(l, T0 + SEC_NS(30) + LEASE_GIVEN) || lease_force(l) == 40);
    rmd_put(r);
    lease_free(l);
}

static void
a_new_primary_waits_for_grants_that_it_does_not_know(void **state)
{
    struct lease *l = giver(false, 5);
    json_t       *j = json_pack("{s:{s:i,s:i}}", "force", "epoch", 1, "smap", 4);

    (void)state;
    assert_int_equal(0, lease_force(l));
    assert_false(lease_acked(l, "target-1", 5, T0 + 1));
    assert_false(lease_acked(l, "target-2", 3, T0 + 1) && lease_force(l) > 3);
    assert_true(lease_reported(l, j, T0 + 2)); /* what was in force once is */
    assert_int_equal(4, lease_force(l));
    assert_false(lease_tick(l, T0 + LEASE_GIVEN - 1));
    assert_true(lease_tick(l, T0 + LEASE_GIVEN));
    assert_int_equal(5, lease_force(l));
    json_decref(j);
    lease_free(l);
}

static void
what_all_have_adopted_is_in_force_also_under_a_new_primary(void **state)
{
    struct lease *l = giver(false, 5);
    struct rmd   *r = rmd_new("cluster-id"), *pushed;
    struct smap  *before = MAP(5, "target-1", "target-2", "target-3");

    (void)state;
    assert_false(lease_acked(l, "target-1", 5, T0 + 1));
    assert_true(lease_acked(l, "target-2", 5, T0 + 1));
    assert_int_equal(5, lease_force(l));

    /* who was taken away a moment ago, and cannot say anything, is waited for */
    pushed = rmd_push(r, before, 1);
    take_map(l, MAP(6, "target-1", "target-2"), pushed);
    assert_false(lease_acked(l, "target-1", 6, T0 + 2) || lease_acked(l, "target-2", 6, T0 + 2));
    assert_true(lease_tick(l, T0 + LEASE_GIVEN));
    assert_int_equal(6, lease_force(l));
    smap_put(before);
    rmd_put(pushed);
    rmd_put(r);
    lease_free(l);
}

static void
in_a_new_recovery_epoch_nothing_is_granted_before_the_old_leases_ran_out(void **state)
{
    struct lease *l = giver(false, 5);
    json_t       *j;

    (void)state;
    lease_lead(l, 2, false, T0);
    j = granted(l, "target-1", 5, T0 + LEASE_GIVEN - 1);
    assert_null(json_object_get(j, "lease"));
    json_decref(j);
    j = granted(l, "target-1", 5, T0 + LEASE_GIVEN);
    assert_non_null(json_object_get(j, "lease"));
    json_decref(j);
    lease_free(l);
}

static void
what_other_epochs_report_is_no_fact(void **state)
{
    struct lease *l = giver(false, 5);
    json_t       *j = json_pack("{s:{s:i,s:i}}", "force", "epoch", 7, "smap", 5);

    (void)state;
    assert_false(lease_reported(l, j, T0));
    assert_int_equal(0, lease_force(l));
    json_decref(j);
    lease_free(l);
}

static void
a_lease_counts_from_when_it_was_asked_for_and_needs_the_map(void **state)
{
    struct lease *g = giver(true, 5), *h = lease_new();
    struct rmd   *r = rmd_new("cluster-id");
    json_t       *j = granted(g, "target-1", 5, T0);

    (void)state;
    lease_learn(h, j, T0 - SEC_NS(1)); /* it has no map at all */
    assert_true(lease_left(h, T0) <= 0);
    take_map(h, MAP(4, "target-1"), r);
    lease_learn(h, j, T0 - SEC_NS(1)); /* an older one */
    assert_true(lease_left(h, T0) <= 0);
    take_map(h, MAP(5, "target-1"), r);
    lease_learn(h, j, T0 - SEC_NS(1));
    assert_int_equal(LEASE_NS - SEC_NS(1), lease_left(h, T0));
    assert_int_equal(5, lease_force(h));
    lease_learn(h, j, 0); /* what it did not ask for is no lease */
    assert_int_equal(LEASE_NS - SEC_NS(1), lease_left(h, T0));
    lease_learn(h, j, T0 - SEC_NS(2)); /* an answer that was overtaken does not shorten it */
    assert_int_equal(LEASE_NS - SEC_NS(1), lease_left(h, T0));
    json_decref(j);
    j = json_pack("{s:{s:i,s:i}}", "force", "epoch", 2, "smap", 1); /* another epoch: what was granted is void */
    lease_learn(h, j, 0);
    assert_true(lease_left(h, T0) <= 0);
    assert_int_equal(1, lease_force(h));
    json_decref(j);
    rmd_put(r);
    lease_free(g);
    lease_free(h);
}

/* --- ownership --- */
/* A target's node with a lease of an hour. */
static struct node *
holder(const char *id, struct smap *m, struct rmd *r, uint64_t in_force)
{
    struct node *n = xcalloc(1, sizeof(*n));
    json_t      *j = json_pack("{s:{s:i,s:i},s:{s:I,s:i}}", "force", "epoch", 1, "smap", (int)in_force, "lease", "ns",
                               (json_int_t)LEASE_NS, "under", 0);

    str_copyz(str_z(id), n->id, sizeof(n->id));
    snprintf(n->name, sizeof(n->name), "t[%s]", id);
    n->role = ROLE_TARGET;
    n->lease = lease_new();
    lease_map(n->lease, m, r);
    lease_learn(n->lease, j, clock_mono() + SEC_NS(3600));
    json_decref(j);
    return n;
}

static void
holder_free(struct node *n)
{
    lease_free(n->lease);
    free(n);
}

/* A name that the first map gives to `a` and the second one to `b`. */
static void
name_between(const struct smap *was, const struct smap *now, const char *a, const char *b, char name[32])
{
    for (int i = 0;; i++) {
        snprintf(name, 32, "object-%d", i);
        if (strcmp(smap_hrw(was, bck_obj_digest(&B, str_z(name)))->id, a) == 0 &&
            strcmp(smap_hrw(now, bck_obj_digest(&B, str_z(name)))->id, b) == 0)
            return;
    }
}

static void
without_a_lease_nothing_is_served(void **state)
{
    struct smap *m = MAP(5, "target-1");
    struct rmd  *r = rmd_new("cluster-id");
    struct node *n = holder("target-1", m, r, 5);
    struct err   e = { .code = 0 };

    (void)state;
    assert_int_equal(0, lease_check(n, &e));
    assert_int_equal(0, lease_check_obj(n, m, r, &B, STR_LIT("x"), &e));
    assert_int_equal(0, lease_may_commit(n, &B, STR_LIT("x")));
    lease_drop(n->lease);
    assert_int_equal(-AIS_E_UNAVAIL, lease_check(n, &e));
    assert_non_null(strstr(e.text, "no lease"));
    assert_int_equal(-AIS_E_UNAVAIL, lease_check_obj(n, m, r, &B, STR_LIT("x"), &e));
    assert_int_equal(-AIS_E_UNAVAIL, lease_may_commit(n, &B, STR_LIT("x")));
    holder_free(n);
    smap_put(m);
    rmd_put(r);
}

static void
an_old_owner_and_one_that_is_not_yet_refuse(void **state)
{
    struct smap *was = MAP(5, "target-1"), *now = MAP(6, "target-1", "target-2");
    struct rmd  *r0 = rmd_new("cluster-id"), *r = rmd_push(r0, was, 9);
    struct node *t1 = holder("target-1", now, r, 5), *t2 = holder("target-2", now, r, 5);
    struct err   e = { .code = 0 };
    json_t      *j = json_pack("{s:{s:i,s:i}}", "force", "epoch", 1, "smap", 6);
    struct bck   later = B;
    char         moves[32], stays[32];

    (void)state;
    name_between(was, now, "target-1", "target-2", moves);
    name_between(was, now, "target-1", "target-1", stays);
    assert_int_equal(0, lease_may_commit(t1, &B, str_z(stays)));
    assert_int_equal(-AIS_E_NOTOWNER, lease_may_commit(t1, &B, str_z(moves)));
    assert_int_equal(-AIS_E_NOTOWNER, lease_check_obj(t1, now, r, &B, str_z(moves), &e));
    assert_non_null(strstr(e.text, "belongs to t[target-2]"));
    assert_int_equal(-AIS_E_UNAVAIL, lease_may_commit(t2, &B, str_z(moves)));
    assert_int_equal(-AIS_E_UNAVAIL, lease_check_obj(t2, now, r, &B, str_z(moves), &e));
    assert_non_null(strstr(e.text, "not in force yet"));
    later.bid = 9; /* a bucket that came after the old map: nobody has anything of it */
    assert_true(lease_may_commit(t2, &later, str_z(moves)) == 0 || strcmp(smap_hrw(now, bck_obj_digest(&later, str_z(moves)))->id,
                                                                          "target-2") != 0);
    lease_learn(t2->lease, j, 0);
    assert_int_equal(0, lease_may_commit(t2, &B, str_z(moves)));
    assert_int_equal(0, lease_check_obj(t2, now, r, &B, str_z(moves), &e));
    json_decref(j);
    holder_free(t1);
    holder_free(t2);
    smap_put(was);
    smap_put(now);
    rmd_put(r0);
    rmd_put(r);
}

/*
 * Maps flip to and fro, targets lag behind each other in maps and in what they know to be in force: at no time two of them serve the same
 * object. All that a primary can have said by then is tried.
 */
static void
no_two_targets_serve_the_same_object(void **state)
{
    enum { NMAPS = 6 };
    struct smap *m[NMAPS] = { MAP(1, "target-1", "target-2"), MAP(2, "target-1", "target-2", "target-3"), MAP(3, "target-1", "target-2"),
                              MAP(4, "target-2", "target-3"), MAP(5, "target-1", "target-3"), MAP(6, "target-1", "target-2", "target-3") };
    struct rmd  *r[NMAPS];
    unsigned     served = 0;

    (void)state;
    r[0] = rmd_new("cluster-id");
    for (int i = 1; i < NMAPS; i++)
        r[i] = rmd_push(r[i - 1], m[i - 1], 9);
    for (uint64_t force = 1; force <= NMAPS; force++) /* in truth; each target has that map or a newer one, and knows that or less */
        for (uint64_t cur1 = force; cur1 <= NMAPS; cur1++)
            for (uint64_t cur2 = force; cur2 <= NMAPS; cur2++)
                for (uint64_t known1 = 0; known1 <= force; known1++)
                    for (uint64_t known2 = 0; known2 <= force; known2++) {
                        struct node *a = holder("target-1", m[cur1 - 1], r[cur1 - 1], known1);
                        struct node *b = holder("target-3", m[cur2 - 1], r[cur2 - 1], known2);

                        for (int i = 0; i < 12; i++) {
                            char name[16];
                            bool sa, sb;

                            snprintf(name, sizeof(name), "o%d", i);
                            sa = lease_may_commit(a, &B, str_z(name)) == 0;
                            sb = lease_may_commit(b, &B, str_z(name)) == 0;
                            assert_false(sa && sb);
                            served += sa || sb;
                        }
                        holder_free(a);
                        holder_free(b);
                    }
    assert_true(served > 1000);
    for (int i = 0; i < NMAPS; i++) {
        smap_put(m[i]);
        rmd_put(r[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_is_in_force_when_all_that_may_hold_a_lease_have_it),
        cmocka_unit_test(a_silent_target_holds_a_map_up_until_its_lease_has_run_out),
        cmocka_unit_test(a_grant_under_the_new_map_does_not_hold_it_up),
        cmocka_unit_test(a_new_primary_waits_for_grants_that_it_does_not_know),
        cmocka_unit_test(what_all_have_adopted_is_in_force_also_under_a_new_primary),
        cmocka_unit_test(in_a_new_recovery_epoch_nothing_is_granted_before_the_old_leases_ran_out),
        cmocka_unit_test(what_other_epochs_report_is_no_fact),
        cmocka_unit_test(a_lease_counts_from_when_it_was_asked_for_and_needs_the_map),
        cmocka_unit_test(without_a_lease_nothing_is_served),
        cmocka_unit_test(an_old_owner_and_one_that_is_not_yet_refuse),
        cmocka_unit_test(no_two_targets_serve_the_same_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
