/* SPDX-License-Identifier: Apache-2.0 */
/* Generations, tombstones and moved-stubs: what a transfer may change and what it must not. */
#include "fixture.h"

static struct gen
gen_of(const char *name, enum obj_state want)
{
    enum obj_state is;
    struct gen     g;
    struct err     e = { .code = 0 };

    assert_int_equal(0, obj_gen(st, &bk, str_z(name), &g, &is, &e));
    assert_int_equal(want, is);
    return g;
}

static int
moved(const char *name, struct gen g)
{
    struct err e = { .code = 0 };

    return obj_moved(st, &bk, str_z(name), &g, 9, &e);
}

static int
arrives(const char *name, const char *text, struct gen g)
{
    struct put_attrs a = { .from_peer = true, .gen = g, .version = STR_LIT("7"), .mtime_ns = SEC_NS(1000), .atime_ns = SEC_NS(2000),
                           .custom = &(struct kv){ STR_LIT("colour"), STR_LIT("red") }, .ncustom = 1 };
    struct err       e = { .code = 0 };

    cksum_of(CKSUM_MD5, text, strlen(text), &a.expect);
    return put_with(name, text, strlen(text), &a, &e);
}

/* The row of a name: is there one, and is it a stub? */
static int
listed(const char *name, struct lent *out)
{
    struct list_cur   *c;
    const struct lent *l;
    struct err         e = { .code = 0 };
    int                found = 0;

    assert_int_equal(0, store_list_open_gens(st, &bk, LIST_ALL, str_z(name), STR_LIT(""), 8, &c, &e));
    while (store_list_next(c, &l, &e) > 0)
        if (str_eqz(l->name, name)) {
            *out = *l;
            out->name = out->version = STR_NULL;
            found = l->moved ? 2 : 1;
        }
    store_list_close(c);
    return found;
}

/* --- tombstones in listings --- */

/* All rows of a listing with generations as "a b-" (deleted) "c>" (moved). */
static void
expect_gens(uint64_t tombs_after, unsigned mpath, const char *want)
{
    struct list_cur   *c;
    const struct lent *l;
    struct err         e = { .code = 0 };
    struct sbuf        got;

    sbuf_init(&got, 4096);
    assert_int_equal(0, store_list_open_gens(st, &bk, mpath, STR_LIT("tl/"), STR_LIT(""), tombs_after, &c, &e));
    while (store_list_next(c, &l, &e) > 0)
        sbuf_printf(&got, "%.*s%s ", STR_FMT(str_from_off(l->name, 3)), l->tomb ? "-" : l->moved ? ">" : "");
    store_list_close(c);
    if (!str_eqz(sbuf_str(&got), want))
        fail_msg("got \"%.*s\", want \"%s\"", STR_FMT(sbuf_str(&got)), want);
    sbuf_fini(&got);
}

static void
list_tombs(void)
{
    struct gen g = { .smap_ver = 7, .counter = 1 };
    struct err e = { .code = 0 };

    put_z("tl/a", "one");
    put_z("tl/b", "two");
    put_z("tl/c", "three");
    assert_int_equal(0, moved("tl/c", gen_of("tl/c", OBJ_HERE)));
    assert_int_equal(0, obj_delete(st, &bk, STR_LIT("tl/b"), &e));
    assert_int_equal(0, obj_tomb(st, &bk, STR_LIT("tl/d"), &g, &e));
    expect_gens(6, LIST_ALL, "a c> d- ");
    expect_gens(7, LIST_ALL, "a c> ");
    expect_gens(9, LIST_ALL, "a "); /* of a rebalance that is long over: whatever became of the object since, it says nothing */
    assert_int_equal(-AIS_E_NOMPATH, store_list_open_gens(st, &bk, 99, STR_LIT(""), STR_LIT(""), 0, NULL, &e));
}

static void
deletions_under_newer_maps_are_listed_where_generations_count(void **state)
{
    UNUSED(state);
    on_fiber(list_tombs);
}

/* --- stubs --- */

static void
move_away(void)
{
    struct lent l;
    struct gen  g, old;

    put_z("a", "one");
    old = gen_of("a", OBJ_HERE);
    put_z("a", "three");
    g = gen_of("a", OBJ_HERE);
    assert_true(gen_cmp(&g, &old) > 0);
    assert_int_equal(-AIS_E_CONFLICT, moved("a", old));
    expect("a", "three");
    assert_int_equal(-AIS_E_CONFLICT, moved("nothing", old));
    assert_int_equal(0, moved("a", g));
    expect("a", NULL);
    assert_int_equal(0, moved("a", g)); /* asked twice */
    assert_int_equal(2, listed("a", &l));
    assert_int_equal(5, l.size);
    assert_int_equal(0, gen_cmp(&g, &l.gen));
    assert_int_equal(CKSUM_XXHASH2, l.cksum.type);
    old = gen_of("a", OBJ_MOVED);
    assert_int_equal(0, gen_cmp(&g, &old));
}

static void
a_moved_object_leaves_a_stub_in_listings_only(void **state)
{
    UNUSED(state);
    on_fiber(move_away);
    assert_int_equal(0, files_in("@ais/bucket/%ob"));
}

static struct gen kept;

static void
move_b(void)
{
    put_z("b", "bbbb");
    kept = gen_of("b", OBJ_HERE);
    assert_int_equal(0, moved("b", kept));
}

static void
b_is_moved(void)
{
    struct lent    l;
    struct bck_sum sum;
    struct err     e = { .code = 0 };

    (void)gen_of("b", OBJ_MOVED);
    expect("b", NULL);
    assert_int_equal(2, listed("b", &l));
    assert_int_equal(4, l.size);
    assert_int_equal(0, store_bck_summary(st, &bk, STR_LIT(""), &sum, &e));
    assert_int_equal(0, sum.objects);
}

static void
stubs_survive_a_restart_a_kill_and_a_power_cut(void **state)
{
    UNUSED(state);
    on_fiber(move_b);
    close_store();
    open_store();
    on_fiber(b_is_moved);
    die_after(move_b);
    open_store();
    on_fiber(b_is_moved);
    die_after(move_b);
    other_boot();
    open_store();
    on_fiber(b_is_moved);
}

static void
move_b_and_die(void)
{
    put_z("b", "bbbb");
    kept = gen_of("b", OBJ_HERE);
    assert_int_equal(0, failpoint_arm(STR_LIT("commit.after_journal=0:1:kill")));
    (void)moved("b", kept);
}

static void
a_move_that_was_recorded_is_done_after_a_kill(void **state)
{
    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    die_after(move_b_and_die);
    open_store();
    on_fiber(b_is_moved);
    assert_int_equal(0, files_in("@ais/bucket/%ob"));
}

static void
put_over_stub(void)
{
    struct obj *o;
    struct err  e = { .code = 0 };
    struct gen  g;

    put_z("c", "1");
    put_z("c", "2");
    g = gen_of("c", OBJ_HERE);
    assert_int_equal(0, moved("c", g));
    put_z("c", "3");
    expect("c", "3");
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("c"), 0, &o, &e));
    assert_true(str_eqz(obj_info(o)->version, "3"));
    assert_true(gen_cmp(&obj_info(o)->gen, &g) > 0);
    obj_close(o);
}

static void
a_put_over_a_stub_goes_on_with_its_version_and_generation(void **state)
{
    UNUSED(state);
    on_fiber(put_over_stub);
}

static void
come_back(void)
{
    struct gen g, older;

    put_z("d", "dd");
    g = older = gen_of("d", OBJ_HERE);
    older.counter--;
    assert_int_equal(0, moved("d", g));
    assert_int_equal(-AIS_E_CONFLICT, arrives("d", "old", older));
    expect("d", NULL);
    assert_int_equal(0, arrives("d", "dd", g)); /* the same: it comes back */
    expect("d", "dd");
    assert_int_equal(-AIS_E_CONFLICT, arrives("d", "dd", g)); /* and is here now */
}

static void
what_moved_away_may_come_back_but_nothing_older(void **state)
{
    UNUSED(state);
    on_fiber(come_back);
}

static void
purge(void)
{
    struct err  e = { .code = 0 };
    struct lent l;

    for (int i = 0; i < 50; i++) {
        char name[20];

        snprintf(name, sizeof(name), "p%02d", i);
        put_z(name, "x");
        if (i % 2 == 0)
            assert_int_equal(0, moved(name, gen_of(name, OBJ_HERE)));
    }
    put_z("p00", "again");
    assert_int_equal(0, store_moved_purge(st, NULL, &e));
    assert_int_equal(1, listed("p00", &l));
    assert_int_equal(1, listed("p01", &l));
    assert_int_equal(0, listed("p02", &l));
    (void)gen_of("p48", OBJ_NONE);
    assert_int_equal(0, moved("p01", gen_of("p01", OBJ_HERE)));
    assert_int_equal(0, store_moved_purge(st, &bk, &e));
    assert_int_equal(0, listed("p01", &l));
}

static void
stay_purged(void)
{
    (void)gen_of("p48", OBJ_NONE);
    (void)gen_of("p03", OBJ_HERE);
}

static void
purged_stubs_do_not_come_back_after_a_kill(void **state)
{
    UNUSED(state);
    on_fiber(purge);
    on_fiber(stay_purged);
    die_after(purge);
    open_store();
    on_fiber(stay_purged);
}

/* --- tombstones --- */

static void
tombs(void)
{
    struct err  e = { .code = 0 };
    struct gen  g = { .counter = 0 }, g2, newer;
    struct lent l;

    /* where nothing is: made, and told */
    assert_int_equal(0, obj_tomb(st, &bk, STR_LIT("t"), &g, &e));
    assert_true(g.counter > 0);
    g2 = gen_of("t", OBJ_TOMB);
    assert_int_equal(0, gen_cmp(&g, &g2));
    assert_int_equal(-AIS_E_CONFLICT, arrives("t", "late", g));
    g2.counter--;
    assert_int_equal(-AIS_E_CONFLICT, arrives("t", "late", g2));
    expect("t", NULL);
    /* a client's object is newer whatever generation the tombstone has */
    newer = g;
    newer.smap_ver = 1000;
    assert_int_equal(0, obj_tomb(st, &bk, STR_LIT("t"), &newer, &e));
    put_z("t", "new");
    g2 = gen_of("t", OBJ_HERE);
    assert_true(gen_cmp(&g2, &newer) > 0);
    /* an object that is not older stays */
    assert_int_equal(-AIS_E_CONFLICT, obj_tomb(st, &bk, STR_LIT("t"), &newer, &e));
    expect("t", "new");
    assert_int_equal(0, obj_delete_older(st, &bk, STR_LIT("t"), &g2, &e)); /* the same generation: not older */
    expect("t", "new");
    g2.counter++;
    assert_int_equal(0, obj_delete_older(st, &bk, STR_LIT("t"), &g2, &e));
    expect("t", NULL);
    newer = gen_of("t", OBJ_TOMB);
    assert_int_equal(0, gen_cmp(&newer, &g2));
    /* nothing here: nothing is left */
    assert_int_equal(0, obj_delete_older(st, &bk, STR_LIT("u"), &g2, &e));
    (void)gen_of("u", OBJ_NONE);
    /* a stub goes */
    put_z("v", "v");
    g = gen_of("v", OBJ_HERE);
    assert_int_equal(0, moved("v", g));
    g.counter++;
    assert_int_equal(0, obj_delete_older(st, &bk, STR_LIT("v"), &g, &e));
    assert_int_equal(0, listed("v", &l));
    (void)gen_of("v", OBJ_TOMB);
}

static void
tombstones_hold_off_what_is_older_and_nothing_else(void **state)
{
    UNUSED(state);
    on_fiber(tombs);
}

static void
tomb_and_die(void)
{
    struct err e = { .code = 0 };

    put_z("w", "w");
    kept = gen_of("w", OBJ_HERE);
    kept.counter += 5;
    assert_int_equal(0, failpoint_arm(STR_LIT("commit.after_journal=0:1:kill")));
    (void)obj_delete_older(st, &bk, STR_LIT("w"), &kept, &e);
}

static void
w_is_deleted(void)
{
    (void)gen_of("w", OBJ_TOMB);
    expect("w", NULL);
}

static void
a_deletion_of_what_is_older_is_done_after_a_kill(void **state)
{
    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    die_after(tomb_and_die);
    open_store();
    on_fiber(w_is_deleted);
}

/* Checkpoint thread: a look around is due. */
static int
due(struct mpath *m, void *unused)
{
    UNUSED(unused);
    m->checked_at = 0;
    return 0;
}

static void
look_around_twice(void)
{
    struct err e = { .code = 0 };

    for (unsigned i = 0; i < st->n; i++)
        (void)checkpoint_call(st->mpaths[i], due, NULL);
    assert_int_equal(0, store_flush(st, &e)); /* it comes behind the job that asked */
    assert_int_equal(0, store_flush(st, &e));
}

static void
hold(void)
{
    struct err e = { .code = 0 };

    put_z("x", "x");
    delete_z("x");
    store_tomb_hold(st, true);
    assert_int_equal(0, store_flush(st, &e));
    look_around_twice();
    (void)gen_of("x", OBJ_TOMB);
    store_tomb_hold(st, false);
    look_around_twice();
    (void)gen_of("x", OBJ_NONE);
}

static void
held_tombstones_outlive_their_time(void **state)
{
    UNUSED(state);
    close_store();
    conf.tomb_ttl_ns = 1;
    open_store();
    on_fiber(hold);
}

/* --- transfers --- */

static void
transfer(void)
{
    struct gen             g = { .smap_ver = 5, .counter = 77 };
    const struct obj_info *i;
    struct obj            *o;
    struct err             e = { .code = 0 };
    char                   big[200000];
    struct put_attrs       a = { .from_peer = true, .gen = g };

    assert_int_equal(0, arrives("m", "content", g));
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("m"), OBJ_NO_LRU, &o, &e));
    i = obj_info(o);
    assert_true(str_eqz(i->version, "7"));
    assert_int_equal(CKSUM_MD5, i->cksum.type);
    assert_int_equal(SEC_NS(1000), i->mtime_ns);
    assert_int_equal(SEC_NS(2000), obj_info_atime(i));
    assert_int_equal(1, i->ncustom);
    assert_true(str_eqz(i->custom[0].v, "red"));
    assert_int_equal(0, gen_cmp(&g, &i->gen));
    assert_int_equal(0, obj_verify(o, &e));
    obj_close(o);
    /* without version and checksum it stays without */
    memset(big, 'z', sizeof(big));
    assert_int_equal(0, put_with("n", big, sizeof(big), &a, &e));
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("n"), 0, &o, &e));
    assert_int_equal(0, obj_info(o)->version.n);
    assert_int_equal(CKSUM_NONE, obj_info(o)->cksum.type);
    obj_close(o);
    /* wrong content is refused */
    cksum_of(CKSUM_MD5, "other", 5, &a.expect);
    a.gen.counter++;
    assert_int_equal(-AIS_E_CKSUM, put_with("n", big, sizeof(big), &a, &e));
}

static void
a_transfer_keeps_what_the_source_says_of_the_object(void **state)
{
    UNUSED(state);
    on_fiber(transfer);
}

static void
scan_one(void)
{
    unsigned seen[2] = { 0, 0 };

    for (int i = 0; i < 40; i++) {
        char name[20];

        snprintf(name, sizeof(name), "s%02d", i);
        put_z(name, "x");
    }
    for (unsigned m = 0; m < 2; m++) {
        struct list_cur   *c;
        const struct lent *l;
        struct err         e = { .code = 0 };
        char               last[20] = "s09";

        assert_int_equal(0, store_list_open_on(st, &bk, m, STR_LIT("s"), str_z(last), &c, &e));
        while (store_list_next(c, &l, &e) > 0) {
            assert_true(str_cmp(l->name, str_z(last)) > 0);
            assert_int_equal(m, l->mpath);
            (void)str_copyz(l->name, last, sizeof(last));
            seen[m]++;
        }
        store_list_close(c);
    }
    assert_int_equal(30, seen[0] + seen[1]);
    assert_true(seen[0] > 0 && seen[1] > 0);
}

static void
one_mountpath_can_be_scanned_from_a_name_on(void **state)
{
    struct list_cur *c;
    struct err       e = { .code = 0 };

    UNUSED(state);
    on_fiber(scan_one);
    assert_int_equal(-AIS_E_NOMPATH, store_list_open_on(st, &bk, 9, STR_LIT(""), STR_LIT(""), &c, &e));
}

/* --- leave to commit --- */

static _Atomic bool     closed;
static _Atomic unsigned asked;

static int
leave(void *ctx, const struct bck *b, struct str name)
{
    UNUSED(ctx);
    UNUSED(name);
    assert_int_equal(bk.bid, b->bid);
    atomic_fetch_add(&asked, 1);
    return atomic_load(&closed) ? -AIS_E_UNAVAIL : 0;
}

static void
refuse(void)
{
    struct err       e = { .code = 0 };
    struct put_attrs a = { .length = 0 };
    struct kv        kv = { STR_LIT("k"), STR_LIT("v") };
    struct gen       none = { .counter = 0 }, g;
    char             big[200000] = { 1 }, names[200];
    unsigned         n;

    put_z("k", "kept");
    g = gen_of("k", OBJ_HERE);
    assert_true(atomic_load(&asked) > 0);
    atomic_store(&closed, true);
    assert_int_equal(-AIS_E_UNAVAIL, put_with("k", "lost", 4, &a, &e));
    assert_int_equal(-AIS_E_UNAVAIL, put_with("k2", big, sizeof(big), &a, &e));
    assert_int_equal(-AIS_E_UNAVAIL, obj_delete(st, &bk, STR_LIT("k"), &e));
    assert_int_equal(-AIS_E_UNAVAIL, obj_set_custom(st, &bk, STR_LIT("k"), &kv, 1, false, &e));
    assert_int_equal(-AIS_E_UNAVAIL, obj_rename(st, &bk, STR_LIT("k"), STR_LIT("k3"), &e));
    assert_int_equal(-AIS_E_UNAVAIL, obj_tomb(st, &bk, STR_LIT("k"), &none, &e));
    expect("k", "kept");
    list("k", names, sizeof(names));
    assert_string_equal("k ", names);
    assert_int_equal(0, files_in("@ais/bucket/%wk"));
    n = atomic_load(&asked);
    /* transfers and moves are nobody's new change */
    g.counter++;
    assert_int_equal(0, arrives("k", "moved here", g));
    expect("k", "moved here");
    assert_int_equal(0, moved("k", g));
    g.counter++;
    assert_int_equal(0, obj_delete_older(st, &bk, STR_LIT("k"), &g, &e));
    assert_int_equal(n, atomic_load(&asked));
    atomic_store(&closed, false);
}

static void
without_leave_no_change_of_a_client_becomes_visible(void **state)
{
    UNUSED(state);
    for (int durable = 0; durable < 2; durable++) {
        close_store();
        conf.may_commit = leave;
        bk.durable = durable != 0;
        open_store();
        on_fiber(refuse);
    }
}

/* --- whose is it now? --- */

static _Atomic bool mine;

static int
may_move(void *ctx, const struct bck *b, struct str name)
{
    UNUSED(ctx);
    assert_int_equal(bk.bid, b->bid);
    assert_true(str_eqz(name, "k"));
    return atomic_load(&mine) ? -AIS_E_CONFLICT : 0;
}

static void
comes_back(void)
{
    struct gen     g = { .epoch = 1, .term = 1, .smap_ver = 2, .counter = 3 }, now;
    struct err     e = { .code = 0 };
    enum obj_state state;

    assert_int_equal(0, arrives("k", "content", g));
    atomic_store(&mine, true);
    assert_int_equal(-AIS_E_CONFLICT, moved("k", g));
    expect("k", "content");
    assert_int_equal(0, obj_gen_settled(st, &bk, STR_LIT("k"), &now, &state, &e));
    assert_int_equal(OBJ_HERE, state);
    atomic_store(&mine, false);
    assert_int_equal(0, moved("k", g));
    assert_int_equal(0, obj_gen_settled(st, &bk, STR_LIT("k"), &now, &state, &e));
    assert_int_equal(OBJ_MOVED, state);
}

static void
the_source_of_a_move_stays_when_it_belongs_here_again(void **state)
{
    UNUSED(state);
    close_store();
    conf.may_move = may_move;
    open_store();
    on_fiber(comes_back);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_moved_object_leaves_a_stub_in_listings_only),
        T(stubs_survive_a_restart_a_kill_and_a_power_cut),
        T(a_move_that_was_recorded_is_done_after_a_kill),
        T(a_put_over_a_stub_goes_on_with_its_version_and_generation),
        T(what_moved_away_may_come_back_but_nothing_older),
        T(purged_stubs_do_not_come_back_after_a_kill),
        T(tombstones_hold_off_what_is_older_and_nothing_else),
        T(a_deletion_of_what_is_older_is_done_after_a_kill),
        T(held_tombstones_outlive_their_time),
        T(a_transfer_keeps_what_the_source_says_of_the_object),
        T(one_mountpath_can_be_scanned_from_a_name_on),
        T(deletions_under_newer_maps_are_listed_where_generations_count),
        T(without_leave_no_change_of_a_client_becomes_visible),
        T(the_source_of_a_move_stays_when_it_belongs_here_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
