/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of a target's jobs: who may start beside whom, who is found, who is forgotten.
 *
 * Every job is in one list, oldest first, and in a map by id, from its start until it is forgotten: quiet kinds a minute after their
 * end, others an hour after it and only while more than 1,024 are held; never more than 16,384 finished ones.
 *
 * Runs on: any thread. The list's lock is a leaf: work on jobs is done on counted copies of it. Wire: jobs-and-services.md 1.3, 1.6.
 */
#include <stdio.h>

#include "xact/xact_impl.h"

#include "base/log.h"
#include "base/units.h"
#include "base/util.h"
#include "codec/jw.h"
#include "core/conf.h"
#include "core/node.h"

#define KEEP_MANY    1024
#define KEEP_MOST    16384
#define KEEP_NS      SEC_NS(3600)
#define KEEP_QUIET   SEC_NS(60)
#define TICK_NS      SEC_NS(2)
#define IDLE_DEFAULT SEC_NS(60)
#define COEXIST_WAIT SEC_NS(5) /* a conflicting job has so long to end */
#define COEXIST_POLL MSEC_NS(250)
#define PREV_WAIT    SEC_NS(10) /* an aborted predecessor, too */
#define FEAT_IGNORE_COEXISTENCE (1ull << 8)

/* --- the list --- */

static uint64_t
id_hash(struct str id)
{
    return hash_bytes(id.p, id.n, 8);
}

static void
list_locked(struct xreg *g, struct xact *x)
{
    TAILQ_INSERT_TAIL(&g->all, x, link);
    hmap_add(&g->by_id, &x->by_id, id_hash(str_z(x->id)));
    x->listed = true;
    g->nall++;
}

static void
unlist_locked(struct xreg *g, struct xact *x)
{
    TAILQ_REMOVE(&g->all, x, link);
    hmap_del(&g->by_id, &x->by_id);
    x->listed = false;
    g->nall--;
}

/* A rebalance may run again under its id: the one that runs, else the youngest. */
static struct xact *
find_locked(struct xreg *g, struct str id)
{
    struct xact *best = NULL;
    uint64_t     h = id_hash(id);

    for (struct hnode *n = hmap_first(&g->by_id, h); n != NULL; n = hmap_next_same(n, h)) {
        struct xact *x = CONTAINER_OF(n, struct xact, by_id);

        if (!str_eqz(id, x->id))
            continue;
        if (best == NULL || atomic_load(&x->ended) == 0 || (atomic_load(&best->ended) != 0 && x->started > best->started))
            best = x;
    }
    return best;
}

struct xact *
xreg_find(struct xreg *g, struct str id)
{
    struct xact *x;

    pthread_mutex_lock(&g->mtx);
    x = find_locked(g, id);
    if (x != NULL)
        xact_ref(x);
    pthread_mutex_unlock(&g->mtx);
    return x;
}

static bool
bck_matches(const struct xact *x, const struct bck *b)
{
    return b == NULL || (x->bck.set && xbck_same(&x->bck.b, b));
}

static struct xact *
running_locked(struct xreg *g, enum xkind kind, const struct bck *b)
{
    struct xact *x;

    TAILQ_FOREACH(x, &g->all, link)
        if (x->kind == kind && xact_running(x) && bck_matches(x, b))
            return x;
    return NULL;
}

struct xact *
xreg_running(struct xreg *g, enum xkind kind, const struct bck *b)
{
    struct xact *x;

    pthread_mutex_lock(&g->mtx);
    x = running_locked(g, kind, b);
    if (x != NULL)
        xact_ref(x);
    pthread_mutex_unlock(&g->mtx);
    return x;
}

struct xact *
xreg_last(struct xreg *g, enum xkind kind)
{
    struct xact *x;

    pthread_mutex_lock(&g->mtx);
    TAILQ_FOREACH_REVERSE(x, &g->all, xacts, link)
        if (x->kind == kind)
            break;
    if (x != NULL)
        xact_ref(x);
    pthread_mutex_unlock(&g->mtx);
    return x;
}

/* Counted copies of what matches; *n how many. Freed with picked_free. */
typedef bool xpick_f(const struct xact *x, const void *arg);

static struct xact **
pick(struct xreg *g, xpick_f *match, const void *arg, unsigned *n)
{
    struct xact **out, *x;

    *n = 0;
    pthread_mutex_lock(&g->mtx);
    out = xcalloc(g->nall + 1, sizeof(*out)); /* at most what KEEP_MOST and the running ones are */
    TAILQ_FOREACH(x, &g->all, link)
        if (match(x, arg))
            out[(*n)++] = xact_ref(x);
    pthread_mutex_unlock(&g->mtx);
    return out;
}

static void
picked_free(struct xact **x, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        xact_put(x[i]);
    free(x);
}

/* --- selection --- */

/* A bucket selects among the jobs on one bucket; jobs of a wider scope are not asked for theirs (as in AIStore). */
static bool
filter_match(const struct xact *x, const void *arg)
{
    const struct xfilter *f = arg;

    if (f->running != XR_ALL && (f->running == XR_RUNNING) != xact_running(x))
        return false;
    if (f->kind != X_ANY && x->kind != f->kind)
        return false;
    return xact_desc(x)->scope != XS_BCK || bck_matches(x, f->bck);
}

/* Of a finished rebalance its successors are told, too, if they did not fail. */
static bool
later_rebalance(const struct xact *x, const void *arg)
{
    uint64_t v;

    return x->kind == X_REBALANCE && xid_rebalance(str_z(x->id), &v) && v >= *(const uint64_t *)arg && atomic_load(&x->ended) != 0 &&
           !xact_aborted(x);
}

static void
put_snaps(struct xact **x, unsigned n, struct jw *w)
{
    jw_arr(w);
    for (unsigned i = 0; i < n; i++)
        xact_snap(x[i], w);
    jw_arr_end(w);
}

static int
query_one(struct xreg *g, struct str id, const struct xfilter *f, struct jw *w, struct err *e)
{
    struct xact  *x, **later;
    uint64_t      v;
    unsigned      n;

    if (!xid_valid(id))
        return err_set(e, AIS_E_BADREQ, "invalid xaction (job) UUID \"%.*s\"", STR_FMT(id));
    x = xreg_find(g, id);
    if (x == NULL && f->running == XR_ALL && f->kind == X_REBALANCE && xid_rebalance(id, &v)) {
        later = pick(g, later_rebalance, &v, &n);
        put_snaps(later, n, w);
        picked_free(later, n);
        return 0;
    }
    if (x == NULL)
        return err_set(e, AIS_E_NOXACT, "xaction ID=%.*s not found", STR_FMT(id));
    if ((f->running == XR_RUNNING && atomic_load(&x->ended) != 0) || (f->kind != X_ANY && f->kind != x->kind)) {
        xact_put(x);
        return err_set(e, AIS_E_NOXACT, "xaction [%.*s is finished or of another kind] not found", STR_FMT(id));
    }
    put_snaps(&x, 1, w);
    xact_put(x);
    return 0;
}

int
xreg_query(struct xreg *g, const struct xfilter *f, struct jw *w, struct err *e)
{
    struct str    ids = f->id, id;
    struct xact **x;
    unsigned      n;
    int           rc = -AIS_E_NOXACT;

    if (ids.n == 0) {
        x = pick(g, filter_match, f, &n);
        put_snaps(x, n, w);
        picked_free(x, n);
        return 0;
    }
    while (rc < 0 && str_split(&ids, ',', &id)) {
        err_clear(e);
        rc = query_one(g, id, f, w, e);
    }
    return rc;
}

static int
cmp_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void
xreg_running_names(struct xreg *g, enum xkind kind, struct jw *w)
{
    const struct xfilter f = { .kind = kind, .running = XR_RUNNING };
    unsigned             n;
    struct xact        **x = pick(g, filter_match, &f, &n);
    char               **names = xcalloc(n + 1, sizeof(*names));

    for (unsigned i = 0; i < n; i++)
        names[i] = xasprintf("%s[%s]", xact_desc(x[i])->kind, x[i]->id);
    qsort(names, n, sizeof(*names), cmp_names);
    jw_arr(w);
    for (unsigned i = 0; i < n; i++) {
        jw_strz(w, names[i]);
        free(names[i]);
    }
    jw_arr_end(w);
    free(names);
    picked_free(x, n);
}

static unsigned
abort_all(struct xact **x, unsigned n, const char *why)
{
    unsigned done = 0;

    for (unsigned i = 0; i < n; i++)
        done += xact_abort(x[i], why);
    picked_free(x, n);
    return done;
}

/* By bucket, jobs of any scope that work on it are meant. */
static bool
stop_match(const struct xact *x, const void *arg)
{
    const struct xfilter *f = arg;

    return xact_running(x) && (f->kind == X_ANY || x->kind == f->kind) && bck_matches(x, f->bck);
}

unsigned
xreg_stop(struct xreg *g, const struct xfilter *f, const char *why)
{
    struct xact  *x, **all;
    unsigned      n;
    bool          done;

    if (f->id.n == 0) {
        all = pick(g, stop_match, f, &n);
        return abort_all(all, n, why);
    }
    x = xreg_find(g, f->id);
    if (x == NULL)
        return 0;
    done = (f->kind == X_ANY || f->kind == x->kind) && xact_abort(x, why);
    xact_put(x);
    return done;
}

static bool
yields_to_rebalance(const struct xact *x, const void *arg)
{
    UNUSED(arg);
    return xact_running(x) && (xact_desc(x)->flags & XF_ABORT_REB);
}

unsigned
xreg_stop_for_rebalance(struct xreg *g, const char *why)
{
    unsigned      n;
    struct xact **x = pick(g, yields_to_rebalance, NULL, &n);

    return abort_all(x, n, why);
}

/* --- coexistence --- */

struct coexist {
    enum xkind        kind; /* X_ANY: an administrator's change */
    const struct bck *b, *dst;
};

static bool
touches(const struct xact *x, const struct coexist *c)
{
    const struct xbck *side[3] = { &x->bck, &x->src, &x->dst };

    for (unsigned i = 0; i < 3; i++)
        if (side[i]->set && ((c->b != NULL && xbck_same(&side[i]->b, c->b)) || (c->dst != NULL && xbck_same(&side[i]->b, c->dst))))
            return true;
    return false;
}

static bool
in_the_way(const struct xact *x, const void *arg)
{
    const struct coexist *c = arg;
    unsigned              theirs = xact_desc(x)->flags;

    if (!xact_running(x))
        return false;
    if (c->kind == X_ANY)
        return (theirs & XF_CONFLICTS) != 0;
    if ((theirs & (XF_REBALANCE | XF_RESILVER)) && (xact_table[c->kind].flags & XF_CONFLICTS))
        return true;
    return c->kind == X_MOVE_BCK && (theirs & XF_CONFLICTS) && touches(x, c);
}

static bool
ignore_conflicts(const struct xreg *g)
{
    struct views v;
    bool         ignore;

    if (g->n == NULL)
        return false;
    views_get(g->n, &v);
    ignore = v.conf != NULL && (v.conf->features & FEAT_IGNORE_COEXISTENCE);
    views_put(&v);
    return ignore;
}

int
xreg_coexist(struct xreg *g, enum xkind kind, const char *action, const struct bck *b, const struct bck *dst, struct err *e)
{
    const struct coexist c = { .kind = kind, .b = b, .dst = dst };
    int64_t              deadline = clock_mono() + COEXIST_WAIT;
    char                 name[XNAME_MAX], disp[BCK_DISPLAY_MAX];
    struct xact        **x;
    unsigned             n;
    int                  rc;

    if (ignore_conflicts(g))
        return 0;
    for (;;) {
        x = pick(g, in_the_way, &c, &n);
        if (n == 0) {
            picked_free(x, n);
            return 0;
        }
        if (fiber_self() == NULL || clock_mono() >= deadline)
            break;
        picked_free(x, n);
        rc = fiber_sleep(COEXIST_POLL);
        if (rc < 0)
            return rc;
    }
    rc = err_set(e, AIS_E_BUSY, "%s: %s is currently running, cannot run \"%s\"(%s) concurrently", g->name, xact_name(x[0], name),
                 kind == X_ANY ? action : xact_table[kind].kind, b != NULL ? bck_display(b, disp) : "");
    (void)err_tcode(e, "ErrLimitedCoexistence");
    picked_free(x, n);
    return rc;
}

/* --- starting --- */

static struct xact *
xact_new(struct xreg *g, const struct xact_args *a)
{
    struct xact *x = xcalloc(1, sizeof(*x));

    x->magic = XACT_MAGIC;
    atomic_init(&x->refs, 1);
    x->g = g;
    x->kind = a->kind;
    if (a->id.n > 0)
        (void)str_copyz(a->id, x->id, sizeof(x->id));
    else
        uuid_gen(x->id);
    xbck_set(&x->bck, a->bck);
    xbck_set(&x->src, a->src);
    xbck_set(&x->dst, a->dst);
    (void)str_copyz(a->ctlmsg, x->ctl, sizeof(x->ctl));
    x->started = clock_real();
    x->started_mono = clock_mono();
    x->idle_ns = a->idle_ns > 0 ? a->idle_ns : IDLE_DEFAULT;
    atomic_init(&x->idle_since, x->started_mono);
    atomic_init(&x->sampled, x->started_mono);
    atomic_init(&x->reported, x->started_mono);
    MUST(pthread_mutex_init(&x->mtx, NULL));
    TAILQ_INIT(&x->fibers);
    TAILQ_INIT(&x->waiters);
    return x;
}

/* Whom the new job meets: the same id, else the same kind (of the same bucket). An aborted one that still winds down is met, too,
 * by those that must not run beside it. */
static struct xact *
previous_locked(struct xreg *g, const struct xact_args *a)
{
    const struct xdesc *d = &xact_table[a->kind];
    const struct bck   *b = d->scope == XS_BCK ? a->bck : NULL;
    struct xact        *x = a->id.n > 0 ? find_locked(g, a->id) : NULL;

    if (x != NULL && xact_running(x))
        return x;
    if (d->prev == XP_NEW)
        return NULL;
    TAILQ_FOREACH(x, &g->all, link)
        if (x->kind == a->kind && atomic_load(&x->ended) == 0 && bck_matches(x, b) && (xact_running(x) || d->prev == XP_ABORT))
            return x;
    return NULL;
}

/* A rebalance that is newer than the one asked for runs. */
static bool
overtaken(const struct xact *prev, const struct xact_args *a)
{
    uint64_t mine, theirs;

    return a->kind == X_REBALANCE && xid_rebalance(a->id, &mine) && xid_rebalance(str_z(prev->id), &theirs) && theirs > mine;
}

static int
refuse(const struct xact *prev, struct err *e)
{
    char name[XNAME_MAX];
    int  rc = err_set(e, AIS_E_BADREQ, "%s is already running - not starting", xact_name(prev, name));

    (void)err_tcode(e, "ErrXactUsePrev");
    return rc;
}

/* One attempt: 0 and a new one; 1 and one to use; 2 and one that must end first; negative. *out is counted. */
static int
try_begin(struct xreg *g, const struct xact_args *a, struct xact **out, struct err *e)
{
    struct xact *prev;
    int          rc = 0;

    pthread_mutex_lock(&g->mtx);
    prev = previous_locked(g, a);
    if (prev == NULL) {
        *out = xact_new(g, a);
        list_locked(g, xact_ref(*out));
    } else {
        *out = xact_ref(prev);
        if (xact_running(prev) && str_eqz(a->id, prev->id))
            rc = 1;
        else if (xact_table[a->kind].prev == XP_USE)
            rc = 1;
        else if (xact_table[a->kind].prev == XP_REFUSE || overtaken(prev, a))
            rc = refuse(prev, e);
        else
            rc = 2;
    }
    pthread_mutex_unlock(&g->mtx);
    return rc;
}

/* The predecessor goes first, as far as the caller can wait. */
static int
see_off(struct xact *prev, struct err *e)
{
    char name[XNAME_MAX];
    int  rc = 0;

    (void)xact_abort(prev, XABORT_RENEW);
    if (fiber_self() == NULL)
        rc = atomic_load(&prev->ended) != 0 ? 0 : -AIS_E_TIMEOUT;
    else
        rc = xact_wait_over(prev, deadline_in(clock_mono(), PREV_WAIT));
    if (rc == -AIS_E_TIMEOUT)
        rc = err_set(e, AIS_E_BUSY, "%s has been aborted and is still ending", xact_name(prev, name));
    return rc;
}

int
xact_begin(struct xreg *g, const struct xact_args *a, struct xact **out, struct err *e)
{
    struct xact *x = NULL;
    int          rc = 0;

    ASSERT(a->kind < X_NKINDS);
    if (a->id.n > 0 && !xid_valid(a->id))
        return err_set(e, AIS_E_BADREQ, "invalid xaction (job) UUID \"%.*s\"", STR_FMT(a->id));
    if (atomic_load(&g->stopping))
        return err_set(e, AIS_E_UNAVAIL, "%s is shutting down", g->name);
    if (!a->no_check)
        rc = xreg_coexist(g, a->kind, NULL, a->bck, a->dst, e);
    while (rc == 0) {
        rc = try_begin(g, a, &x, e);
        if (rc == 0 || rc == 1) {
            *out = x;
            break;
        }
        if (rc == 2)
            rc = see_off(x, e);
        xact_put(x);
    }
    if (rc == 0 && !(xact_table[a->kind].flags & XF_QUIET))
        log_info("job started", { "job", LZ((*out)->id) }, { "kind", LZ(xact_table[a->kind].kind) });
    return rc;
}

/* --- housekeeping --- */

static bool
forgettable(const struct xact *x, int64_t real, bool many)
{
    int64_t ended = atomic_load(&x->ended);

    if (ended == 0)
        return false;
    if (xact_desc(x)->flags & XF_QUIET)
        return real - ended >= KEEP_QUIET;
    return many && real - ended >= KEEP_NS;
}

static void
forget_old(struct xreg *g, int64_t real)
{
    struct xacts gone = TAILQ_HEAD_INITIALIZER(gone);
    struct xact *x, *next;
    unsigned     loud = 0;

    pthread_mutex_lock(&g->mtx);
    TAILQ_FOREACH(x, &g->all, link)
        loud += !(xact_desc(x)->flags & XF_QUIET);
    for (x = TAILQ_FIRST(&g->all); x != NULL; x = next) {
        bool over = atomic_load(&x->ended) != 0;

        next = TAILQ_NEXT(x, link);
        if (!forgettable(x, real, loud > KEEP_MANY) && !(over && g->nall > KEEP_MOST))
            continue;
        loud -= !(xact_desc(x)->flags & XF_QUIET);
        unlist_locked(g, x);
        TAILQ_INSERT_TAIL(&gone, x, link);
    }
    pthread_mutex_unlock(&g->mtx);
    while ((x = TAILQ_FIRST(&gone)) != NULL) {
        TAILQ_REMOVE(&gone, x, link);
        xact_put(x);
    }
}

/* Jobs on demand end by themselves: idle for their time, or aborted. */
static bool
done_idling(const struct xact *x, const void *now)
{
    if (!(xact_desc(x)->flags & XF_IDLES) || atomic_load(&x->ended) != 0 || atomic_load(&x->busy) > 0)
        return false;
    return xact_aborted(x) || *(const int64_t *)now - atomic_load(&x->idle_since) >= x->idle_ns;
}

static bool
reports(const struct xact *x, const void *arg)
{
    UNUSED(arg);
    return xact_running(x) && (xact_desc(x)->flags & XF_IC_PROG);
}

void
xreg_housekeep(struct xreg *g, int64_t now, int64_t real)
{
    unsigned      n;
    struct xact **x = pick(g, done_idling, &now, &n);

    for (unsigned i = 0; i < n; i++)
        xact_end(xact_ref(x[i]), 0, NULL);
    picked_free(x, n);
    x = pick(g, reports, NULL, &n);
    for (unsigned i = 0; i < n; i++)
        xact_tell_progress(x[i]);
    picked_free(x, n);
    forget_old(g, real);
}

static void
housekeeper(void *arg)
{
    struct xreg *g = arg;

    while (fiber_sleep(TICK_NS) == 0) {
        xreg_housekeep(g, clock_mono(), clock_real());
        xreg_auto(g, clock_mono());
    }
}

/* --- life --- */

struct xreg *
xreg_new(struct run *run, const char *name, struct node *n)
{
    struct xreg *g = xcalloc(1, sizeof(*g));

    g->run = run;
    g->n = n;
    (void)str_copyz(str_z(name), g->name, sizeof(g->name));
    MUST(pthread_mutex_init(&g->mtx, NULL));
    TAILQ_INIT(&g->all);
    if (n != NULL)
        (void)fiber_spawn(run_loop(run, 0), "job registry", housekeeper, g);
    return g;
}

void
xreg_free(struct xreg *g)
{
    struct xact *x;

    if (g == NULL)
        return;
    atomic_store(&g->stopping, true);
    while ((x = TAILQ_FIRST(&g->all)) != NULL) {
        unlist_locked(g, x);
        xact_put(x);
    }
    hmap_fini(&g->by_id);
    pthread_mutex_destroy(&g->mtx);
    free(g);
}
