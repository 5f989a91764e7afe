/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs and their registry, on real loops, without a node. */
#include "unit.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/sbuf.h"
#include "base/util.h"
#include "xact/xact_impl.h"
#include "xact/xreg.c"

static struct run  *run;
static struct xreg *reg;

static int
setup(void **state)
{
    struct run_conf c = { .nloops = 2, .tag = "test" };

    (void)state;
    assert_int_equal(0, run_new(&c, &run));
    run_start(run);
    reg = xreg_new(run, "t[test]", NULL);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    assert_true(run_cancel(run, SEC_NS(5)));
    xreg_free(reg);
    run_stop(run, SEC_NS(1));
    run_free(run);
    return 0;
}

/* --- on a fiber, and the end of it --- */
struct call {
    void (*fn)(void *);
    void *arg;
    sem_t done;
};

static void
call_main(void *arg)
{
    struct call *c = arg;

    c->fn(c->arg);
    sem_post(&c->done);
}

static void
on_fiber(void (*fn)(void *), void *arg)
{
    struct call c = { .fn = fn, .arg = arg };

    sem_init(&c.done, 0, 0);
    assert_int_equal(0, fiber_spawn(run_loop(run, 1), "test", call_main, &c));
    while (sem_wait(&c.done) != 0)
        ;
    sem_destroy(&c.done);
}

static void
wait_over(void *arg)
{
    (void)xact_wait_over(arg, clock_mono() + SEC_NS(10));
}

static const struct bck bucket_a = { .provider = PROV_AIS, .name = STR_LIT("a"), .bid = BID_AIS | 1 };
static const struct bck bucket_b = { .provider = PROV_AIS, .name = STR_LIT("b"), .bid = BID_AIS | 2 };
static const struct bck bucket_a_again = { .provider = PROV_AIS, .name = STR_LIT("a"), .bid = BID_AIS | 7 };

static struct xact *
begin(enum xkind kind, const char *id, const struct bck *b)
{
    struct xact_args a = { .kind = kind, .id = str_z(id), .bck = b };
    struct xact     *x = NULL;
    struct err       e = { .code = 0 };

    assert_int_equal(0, xact_begin(reg, &a, &x, &e));
    return x;
}

static int
begin_rc(enum xkind kind, const char *id, const struct bck *b, struct xact **x, struct err *e)
{
    struct xact_args a = { .kind = kind, .id = str_z(id), .bck = b };

    err_clear(e);
    return xact_begin(reg, &a, x, e);
}

/* The Snap, as text; the caller frees. */
static char *
snap_of(struct xact *x)
{
    struct sbuf b;
    struct jw   w;

    sbuf_init(&b, 1 << 20);
    jw_init(&w, &b, 0);
    xact_snap(x, &w);
    return b.p;
}

static void
assert_says(struct xact *x, const char *what)
{
    auto_free char *s = snap_of(x);

    if (strstr(s, what) == NULL)
        fail_msg("not in the snap: %s\n%s", what, s);
}

static char *
query(const struct xfilter *f, int *rc, struct err *e)
{
    struct sbuf b;
    struct jw   w;

    err_clear(e);
    sbuf_init(&b, 1 << 20);
    jw_init(&w, &b, 0);
    *rc = xreg_query(reg, f, &w, e);
    return b.p;
}

static unsigned
count_of(const char *s, const char *what)
{
    unsigned n = 0;

    for (; s != NULL && (s = strstr(s, what)) != NULL; s++)
        n++;
    return n;
}

/* --- tests --- */

static void
there_are_34_kinds_and_names_are_unique(void **state)
{
    enum xkind k;

    (void)state;
    assert_int_equal(34, X_NKINDS);
    for (unsigned i = 0; i < X_NKINDS; i++) {
        assert_non_null(xact_table[i].kind);
        assert_true(xkind_find(str_z(xact_table[i].kind), &k));
        assert_int_equal(i, k);
        assert_true(xkind_find(str_z(xact_table[i].display), &k));
        assert_int_equal(i, k);
    }
    assert_false(xkind_find(STR_LIT("no-such-kind"), &k));
    assert_false(xkind_find(STR_LIT(""), &k));
}

static void
ids_are_checked(void **state)
{
    uint64_t v = 0;

    (void)state;
    assert_true(xid_valid(STR_LIT("Xk3bZ9qLm")));
    assert_true(xid_valid(STR_LIT("g12")));
    assert_true(xid_valid(STR_LIT("dnl-abcdefgh1")));
    assert_false(xid_valid(STR_LIT("short")));
    assert_false(xid_valid(STR_LIT("-leadingdash")));
    assert_false(xid_valid(STR_LIT("trailingdash-")));
    assert_false(xid_valid(STR_LIT("has space in it")));
    assert_false(xid_valid(STR_LIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")));
    assert_false(xid_valid(STR_LIT("g")));
    assert_true(xid_rebalance(STR_LIT("g123"), &v));
    assert_int_equal(123, v);
    assert_false(xid_rebalance(STR_LIT("g12x"), &v));
    assert_false(xid_rebalance(STR_LIT("g99999999999999999999999"), &v));
    assert_false(xid_rebalance(STR_LIT("h1"), &v));
}

static void
a_snap_has_all_keys_of_the_wire(void **state)
{
    static const char *const keys[] = { "\"ext\":null", "\"start-time\":\"20", "\"end-time\":\"0001-01-01T00:00:00Z\"",
        "\"bck\":{\"name\":\"a\",\"provider\":\"ais\",\"namespace\":{\"uuid\":\"\",\"name\":\"\"}}",
        "\"src-bck\":{\"name\":\"\",\"provider\":\"\",\"namespace\":{\"uuid\":\"\",\"name\":\"\"}}", "\"dst-bck\":{\"name\":\"\"",
        "\"id\":\"Xk3bZ9qLm\"", "\"kind\":\"promote\"", "\"abort-err\":\"\"", "\"err\":\"\"", "\"glob.id\":\"4098\"",
        "\"stats\":{\"loc-objs\":\"3\",\"loc-bytes\":\"30\",\"out-objs\":\"2\",\"out-bytes\":\"20\",\"in-objs\":\"1\",\"in-bytes\":\"10\"}",
        "\"aborted\":false", "\"is_idle\":false" };
    struct xact *x = begin(X_PROMOTE, "Xk3bZ9qLm", &bucket_a);

    (void)state;
    xact_count(x, XC_LOC, 3, 30);
    xact_count(x, XC_OUT, 2, 20);
    xact_count(x, XC_IN, 1, 10);
    xact_workers(x, 2, 4);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        assert_says(x, keys[i]);
    xact_ref(x);
    xact_end(x, 0, NULL);
    assert_says(x, "\"is_idle\":true");
    assert_says(x, "\"end-time\":\"20");
    xact_put(x);
}

static void
progress_gives_rate_and_time_left(void **state)
{
    struct xact *x = begin(X_REBALANCE, "g1", NULL);

    (void)state;
    xact_total(x, 100, 1000);
    x->started_mono -= SEC_NS(5);
    xact_done(x, 50, 500);
    assert_says(x, "\"ext\":{\"done\":50,\"total\":100,\"done-bytes\":500,\"total-bytes\":1000,\"rate\":9,\"rate-bytes\":99,\"eta_ns\":5");
    xact_ref(x);
    xact_end(x, 0, NULL);
    assert_says(x, "\"eta_ns\":0");
    xact_put(x);
}

static void
errors_are_counted_once_and_bounded(void **state)
{
    struct xact *x = begin(X_PROMOTE, "", &bucket_a);
    struct err   e = { .code = 0 };
    char         text[1200];

    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        err_set(&e, AIS_E_IO, "disk %u", i / 2);
        xact_err(x, -AIS_E_IO, &e);
    }
    assert_int_equal(12, xact_nerrs(x)); /* the last ones are not kept, so each counts */
    pthread_mutex_lock(&x->mtx);
    xact_err_text_locked(x, text, sizeof(text));
    pthread_mutex_unlock(&x->mtx);
    assert_string_equal("disk 0 (and 11 more errors)", text);
    assert_true(xact_abort(x, NULL));
    xact_err(x, -AIS_E_IO, &e);
    assert_int_equal(12, xact_nerrs(x));
    assert_says(x, "\"abort-err\":\"user abort\"");
    assert_false(xact_abort(x, "again"));
    xact_end(x, 0, NULL);
}

static int
sleeper(struct xact *x, void *arg, struct err *e)
{
    (void)e;
    *(int *)arg = xact_sleep(x, SEC_NS(60));
    return *(int *)arg;
}

static void
abort_wakes_what_the_job_waits_in(void **state)
{
    struct xact *x = begin(X_RESILVER, "", NULL);
    int64_t      t0 = clock_mono();
    int          seen = 1;

    (void)state;
    xact_ref(x);
    assert_int_equal(0, xact_go(x, sleeper, &seen));
    assert_true(xact_abort(x, "because"));
    on_fiber(wait_over, x);
    assert_true(clock_mono() - t0 < SEC_NS(5));
    assert_int_not_equal(0, atomic_load(&x->ended));
    assert_int_not_equal(0, seen);
    assert_says(x, "\"aborted\":true");
    assert_says(x, "\"abort-err\":\"because\"");
    assert_says(x, "\"err\":\"\"");
    xact_put(x);
}

static int
child(struct xact *x, void *arg, struct err *e)
{
    int rc = xact_sleep(x, MSEC_NS(20));

    xact_count(x, XC_LOC, 1, 0);
    if (rc == 0 && arg != NULL)
        rc = err_set(e, AIS_E_IO, "child failed");
    return rc;
}

static int
parent(struct xact *x, void *arg, struct err *e)
{
    (void)arg;
    (void)e;
    for (unsigned i = 0; i < 10; i++)
        (void)xact_spawn(x, run_loop(run, i % 2), "child", child, i == 3 ? x : NULL);
    return 0;
}

static void
a_job_is_over_when_all_its_fibers_are(void **state)
{
    struct xact *x = begin(X_RESILVER, "", NULL);

    (void)state;
    xact_ref(x);
    assert_int_equal(0, xact_go(x, parent, NULL));
    on_fiber(wait_over, x);
    assert_says(x, "\"loc-objs\":\"10\"");
    assert_says(x, "\"err\":\"child failed\"");
    assert_says(x, "\"aborted\":false");
    xact_put(x);
}

static void
fibers_on_other_loops_are_cancelled(void **state)
{
    struct xact *x = begin(X_RESILVER, "", NULL);
    int          seen[2] = { 1, 1 };

    (void)state;
    xact_ref(x);
    assert_int_equal(0, xact_spawn(x, run_loop(run, 0), "a", sleeper, &seen[0]));
    assert_int_equal(0, xact_spawn(x, run_loop(run, 1), "b", sleeper, &seen[1]));
    assert_true(xact_abort(x, ""));
    assert_int_equal(0, xact_go(x, parent, NULL));
    on_fiber(wait_over, x);
    assert_int_not_equal(0, seen[0]);
    assert_int_not_equal(0, seen[1]);
    xact_put(x);
}

static void
who_runs_already_decides_who_starts(void **state)
{
    struct xact *x = begin(X_LRU, "", NULL), *y = NULL;
    struct err   e;

    (void)state;
    assert_int_equal(1, begin_rc(X_LRU, "", NULL, &y, &e)); /* the running one is used */
    assert_ptr_equal(x, y);
    xact_put(y);
    xact_end(x, 0, NULL);

    x = begin(X_COPY_BCK, "", &bucket_a);
    assert_int_equal(-AIS_E_BADREQ, begin_rc(X_COPY_BCK, "", &bucket_a, &y, &e));
    assert_non_null(strstr(e.text, "is already running - not starting"));
    assert_int_equal(1, begin_rc(X_COPY_BCK, xact_id(x), &bucket_a, &y, &e)); /* the same id again */
    xact_put(y);
    y = begin(X_COPY_BCK, "", &bucket_b); /* another bucket */
    xact_end(y, 0, NULL);
    y = begin(X_COPY_BCK, "", &bucket_a_again); /* another bucket of the same name */
    xact_end(y, 0, NULL);
    xact_end(x, 0, NULL);

    x = begin(X_PROMOTE, "", &bucket_a);
    y = begin(X_PROMOTE, "", &bucket_a);
    assert_ptr_not_equal(x, y);
    xact_end(x, 0, NULL);
    xact_end(y, 0, NULL);
    assert_int_equal(-AIS_E_BADREQ, begin_rc(X_PROMOTE, "not valid", NULL, &y, &e));
}

struct preempt {
    int          rc;
    struct xact *x;
};

static void
begin_rebalance(void *arg)
{
    struct preempt *p = arg;
    struct err      e;

    p->rc = begin_rc(X_REBALANCE, "g8", NULL, &p->x, &e);
}

static void
a_newer_rebalance_ends_the_older_one(void **state)
{
    struct xact   *old = begin(X_REBALANCE, "g7", NULL), *x;
    struct preempt p = { .rc = 99 };
    struct err     e;
    int            seen = 1;

    (void)state;
    xact_ref(old);
    assert_int_equal(0, xact_go(old, sleeper, &seen));
    on_fiber(begin_rebalance, &p);
    assert_int_equal(0, p.rc);
    assert_true(xact_aborted(old));
    assert_int_not_equal(0, atomic_load(&old->ended));
    assert_says(old, "renewal abort");
    assert_int_equal(-AIS_E_BADREQ, begin_rc(X_REBALANCE, "g6", NULL, &x, &e)); /* one that comes late */
    assert_int_equal(1, begin_rc(X_REBALANCE, "g8", NULL, &x, &e));
    xact_put(x);
    xact_end(p.x, 0, NULL);
    xact_put(old);
}

static void
jobs_that_move_data_and_others_keep_out_of_each_others_way(void **state)
{
    struct xact *reb = begin(X_REBALANCE, "g3", NULL), *x = NULL;
    struct err   e;

    (void)state;
    assert_int_equal(-AIS_E_BUSY, begin_rc(X_CLEANUP, "", NULL, &x, &e));
    assert_string_equal("t[test]: x-rebalance[g3] is currently running, cannot run \"cleanup-store\"() concurrently", e.text);
    assert_int_equal(409, e.status);
    assert_int_equal(-AIS_E_BUSY, begin_rc(X_COPY_BCK, "", &bucket_a, &x, &e));
    assert_int_equal(0, begin_rc(X_LRU, "", NULL, &x, &e)); /* does not conflict */
    xact_end(x, 0, NULL);
    assert_int_equal(0, begin_rc(X_RESILVER, "", NULL, &x, &e)); /* they sort it out themselves */
    xact_end(x, 0, NULL);
    xact_end(reb, 0, NULL);
    x = begin(X_CLEANUP, "", NULL);
    assert_int_equal(-AIS_E_BUSY, xreg_coexist(reg, X_ANY, "start-maintenance", NULL, NULL, &e));
    xact_end(x, 0, NULL);
    assert_int_equal(0, xreg_coexist(reg, X_ANY, "start-maintenance", NULL, NULL, &e));
    x = begin(X_CREATE_INVENTORY, "", &bucket_a);
    assert_int_equal(-AIS_E_BUSY, xreg_coexist(reg, X_MOVE_BCK, NULL, &bucket_b, &bucket_a, &e));
    assert_int_equal(0, xreg_coexist(reg, X_MOVE_BCK, NULL, &bucket_b, &bucket_b, &e));
    xact_end(x, 0, NULL);
}

static void
stop_selects_by_id_kind_and_bucket(void **state)
{
    struct xact *a = begin(X_PROMOTE, "", &bucket_a), *b = begin(X_PROMOTE, "", &bucket_b), *l = begin(X_LRU, "", NULL);

    (void)state;
    assert_int_equal(0, xreg_stop(reg, &(struct xfilter){ .id = STR_LIT("AAAAAAAAA"), .kind = X_ANY }, XABORT_USER));
    assert_int_equal(1, xreg_stop(reg, &(struct xfilter){ .kind = X_PROMOTE, .bck = &bucket_a }, XABORT_USER));
    assert_true(xact_aborted(a));
    assert_false(xact_aborted(b));
    assert_int_equal(1, xreg_stop(reg, &(struct xfilter){ .kind = X_ANY, .bck = &bucket_b }, XABORT_USER));
    assert_int_equal(0, xreg_stop(reg, &(struct xfilter){ .id = str_z(xact_id(l)), .kind = X_PROMOTE }, XABORT_USER));
    assert_int_equal(1, xreg_stop(reg, &(struct xfilter){ .id = str_z(xact_id(l)), .kind = X_ANY }, XABORT_IC));
    assert_says(l, "IC(notifications) abort");
    xact_end(a, 0, NULL);
    xact_end(b, 0, NULL);
    xact_end(l, 0, NULL);
}

static void
a_rebalance_stops_those_that_yield(void **state)
{
    struct xact *a = begin(X_RECHUNK, "", &bucket_a), *b = begin(X_LRU, "", NULL);

    (void)state;
    assert_int_equal(1, xreg_stop_for_rebalance(reg, "starting g9"));
    assert_true(xact_aborted(a));
    assert_false(xact_aborted(b));
    xact_end(a, 0, NULL);
    xact_end(b, 0, NULL);
}

static void
queries_say_what_is_there(void **state)
{
    struct xact    *a = begin(X_PROMOTE, "Promote-1", &bucket_a), *l = begin(X_LRU, "Lru-1-abc", NULL);
    struct err      e;
    int             rc;
    auto_free char *s1 = NULL, *s2 = NULL, *s3 = NULL, *s4 = NULL, *s5 = NULL, *s6 = NULL;

    (void)state;
    s1 = query(&(struct xfilter){ .kind = X_PROMOTE, .running = XR_RUNNING }, &rc, &e);
    assert_int_equal(0, rc);
    assert_int_equal(1, count_of(s1, "\"start-time\""));
    s2 = query(&(struct xfilter){ .kind = X_RECHUNK }, &rc, &e);
    assert_int_equal(0, rc);
    assert_string_equal("[]", s2);
    s3 = query(&(struct xfilter){ .kind = X_ANY, .id = STR_LIT("AAAAAAAAA") }, &rc, &e);
    assert_int_equal(-AIS_E_NOXACT, rc);
    assert_int_equal(404, e.status);
    s4 = query(&(struct xfilter){ .kind = X_ANY, .id = STR_LIT("AAAAAAAAA,Lru-1-abc") }, &rc, &e);
    assert_int_equal(0, rc);
    assert_int_equal(1, count_of(s4, "\"Lru-1-abc\""));
    s5 = query(&(struct xfilter){ .kind = X_ANY, .id = STR_LIT("bad id") }, &rc, &e);
    assert_int_equal(-AIS_E_BADREQ, rc);
    xact_end(a, 0, NULL);
    s6 = query(&(struct xfilter){ .kind = X_ANY, .id = STR_LIT("Promote-1"), .running = XR_RUNNING }, &rc, &e);
    assert_int_equal(-AIS_E_NOXACT, rc);
    xact_end(l, 0, NULL);
}

static void
a_finished_rebalance_is_answered_by_its_successors(void **state)
{
    struct xact    *x = begin(X_REBALANCE, "g12", NULL);
    struct err      e;
    int             rc;
    auto_free char *s1 = NULL, *s2 = NULL;

    (void)state;
    xact_end(x, 0, NULL);
    s1 = query(&(struct xfilter){ .kind = X_REBALANCE, .id = STR_LIT("g10") }, &rc, &e);
    assert_int_equal(0, rc);
    assert_int_equal(1, count_of(s1, "\"g12\""));
    s2 = query(&(struct xfilter){ .kind = X_REBALANCE, .id = STR_LIT("g13") }, &rc, &e);
    assert_int_equal(0, rc);
    assert_string_equal("[]", s2);
}

static void
running_names_are_sorted(void **state)
{
    struct xact *a = begin(X_PROMOTE, "Zromote-1", &bucket_a), *b = begin(X_LRU, "Lru-1-abc", NULL);
    struct sbuf  o;
    struct jw    w;

    (void)state;
    sbuf_init(&o, 1 << 16);
    jw_init(&w, &o, 0);
    xreg_running_names(reg, X_ANY, &w);
    assert_string_equal("[\"lru[Lru-1-abc]\",\"promote[Zromote-1]\"]", o.p);
    sbuf_fini(&o);
    xact_end(a, 0, NULL);
    xact_end(b, 0, NULL);
}

static void
idle_jobs_end_by_themselves_and_not_while_they_work(void **state)
{
    struct xact *x = begin(X_ARCHIVE, "", &bucket_a);

    (void)state;
    xact_busy(x);
    xreg_housekeep(reg, clock_mono() + SEC_NS(1000), clock_real());
    assert_int_equal(0, atomic_load(&x->ended));
    xact_unbusy(x);
    xreg_housekeep(reg, clock_mono() + SEC_NS(30), clock_real());
    assert_int_equal(0, atomic_load(&x->ended));
    xreg_housekeep(reg, clock_mono() + SEC_NS(61), clock_real());
    assert_int_not_equal(0, atomic_load(&x->ended));
    xact_put(x);
}

static void
history_is_kept_as_long_as_promised(void **state)
{
    struct xact *x, *quiet = begin(X_LIST, "Quiet-one", &bucket_a), *first;

    (void)state;
    xact_end(quiet, 0, NULL);
    for (unsigned i = 0; i < 1030; i++) {
        x = begin(X_PROMOTE, i == 0 ? "First-one" : "", &bucket_a);
        xact_end(x, 0, NULL);
    }
    xreg_housekeep(reg, clock_mono(), clock_real() + SEC_NS(59));
    quiet = xreg_find(reg, STR_LIT("Quiet-one"));
    assert_non_null(quiet);
    xact_put(quiet);
    xreg_housekeep(reg, clock_mono(), clock_real() + SEC_NS(61));
    assert_null(xreg_find(reg, STR_LIT("Quiet-one")));
    first = xreg_find(reg, STR_LIT("First-one"));
    assert_non_null(first);
    xact_put(first);
    xreg_housekeep(reg, clock_mono(), clock_real() + SEC_NS(3601));
    assert_null(xreg_find(reg, STR_LIT("First-one")));
    assert_int_equal(KEEP_MANY, reg->nall); /* down to what is always kept */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(there_are_34_kinds_and_names_are_unique),
        T(ids_are_checked),
        T(a_snap_has_all_keys_of_the_wire),
        T(progress_gives_rate_and_time_left),
        T(errors_are_counted_once_and_bounded),
        T(abort_wakes_what_the_job_waits_in),
        T(a_job_is_over_when_all_its_fibers_are),
        T(fibers_on_other_loops_are_cancelled),
        T(who_runs_already_decides_who_starts),
        T(a_newer_rebalance_ends_the_older_one),
        T(jobs_that_move_data_and_others_keep_out_of_each_others_way),
        T(stop_selects_by_id_kind_and_bucket),
        T(a_rebalance_stops_those_that_yield),
        T(queries_say_what_is_there),
        T(a_finished_rebalance_is_answered_by_its_successors),
        T(running_names_are_sorted),
        T(idle_jobs_end_by_themselves_and_not_while_they_work),
        T(history_is_kept_as_long_as_promised),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
