/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rebalance job of a target.
 *
 * It begins when the map it moves to is in force (from then on no target commits a client's change of what it does not own) and what other
 * targets sent here under older maps has come. One lane for each mountpath scans the index in name order, in batches. Of each batch: objects
 * that belong to others are sent, the receivers bring them to stable storage, and only then the sources go, if they are still what was sent
 * and do not belong here again by a newer map; a moved-stub stays in the index, so that listings miss nothing. Deletions under maps that are
 * not settled go to the owners, too, who may have an older object. What a peer refuses for the time being is sent again. When a batch is
 * done, the cursor is written: after a crash the lane goes on there. It never passes an object that was left behind, and it counts only while
 * mountpaths are what they were when it was written: what is behind it is done.
 *
 * An object that cannot be read or stored is an error of the job; the others are moved, and the rebalance ends as aborted, so that the chain
 * of unsettled maps stays and no read becomes a false 404.
 *
 * Clients first: how many objects are on their way at a time follows the delay of the loops while clients are served.
 *
 * Runs on: fibers: a watcher (loop 0), lanes, and workers of lanes.
 */
#include "xact/rebalance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "codec/jw.h"
#include "codec/mp.h"
#include "core/lease.h"
#include "core/rmd.h"
#include "core/smap.h"
#include "run/disk.h"
#include "xact/jobs.h"
#include "xact/move.h"

#define TICK        MSEC_NS(100)
#define REPORT_NS   SEC_NS(1)   /* how often the primary is told that this target has finished */
#define PURGE_AFTER SEC_NS(10)  /* how long stubs stay when the rebalance is over: pages that began before may still be read */
#define SCAN_MAX    1000        /* rows of a batch */
#define BATCH_MAX   256         /* objects of a batch that are sent */
#define BATCH_BYTES (64 * MIB)  /* ... and about how much they hold */
#define WORKERS     12          /* objects of a lane on their way at a time */
#define BUSY_START  2           /* ... when clients come */
#define PERM_TRIES  3
#define NAP_MIN     MSEC_NS(50)
#define NAP_MAX     SEC_NS(3)
#define CURSOR_NS   SEC_NS(1)
#define CURSOR_MAX  (8 * KIB)
#define ROUNDS_MAX  4
#define LAG_HIGH    MSEC_NS(2)
#define PACE_MAX    MSEC_NS(20)

struct reb {
    struct node     *n;
    _Atomic bool     stopping, running; /* running: the watcher lives */
    _Atomic unsigned jobs;              /* whose function has not returned */
    struct xact     *x;                 /* watcher's: the last job */
    uint64_t         id;                /* ... of this rebalance */
    int64_t          retry_at;
    _Atomic uint64_t finished;          /* the rebalance that this target has finished */
    _Atomic unsigned errors;            /* ... with so many objects left where they are */
    int64_t          reported, over_at;
    bool             purged;
};

struct rjob {
    struct reb      *r;
    struct node     *n;
    struct rmd      *rmd;
    uint64_t         id;
    uint64_t         layout; /* of the mountpaths, when this round began */
    unsigned         nbcks;
    struct xbck     *bcks; /* ascending by id */
    bool             fresh; /* cursors do not count */
    _Atomic unsigned errors, misplaced;
    _Atomic unsigned width;  /* workers of a lane that may work */
    _Atomic int64_t  pace;   /* ns between two objects of a worker */
    _Atomic unsigned lanes;  /* that are not at their end; one more while they are started */
};

/* --- cursors --- */

struct cursor {
    uint64_t id, layout, bid;
    bool     done;
    char     name[OBJ_NAME_MAX + 1];
};

static void
cursor_path(struct store *s, unsigned mpath, char *out, size_t n)
{
    snprintf(out, n, "%s/.ais.c/rebalance", store_mpath_path(s, mpath));
}

/* Nothing, or not of this rebalance: from the beginning. */
static void
cursor_load(struct rjob *j, unsigned mpath, struct cursor *c)
{
    char         path[512], *text = NULL;
    struct str   name;
    struct mp_in in;
    uint64_t     version;
    uint32_t     members;
    size_t       n = 0;

    *c = (struct cursor){ .id = j->id, .layout = j->layout };
    cursor_path(j->n->store, mpath, path, sizeof(path));
    if (j->fresh || j->layout == 0 || disk_read_file(path, CURSOR_MAX, &text, &n) < 0)
        return;
    in = (struct mp_in){ (unsigned char *)text, (unsigned char *)text + n };
    if (mp_get_arr(&in, &members) < 0 || members != 6 || mp_get_u64(&in, &version) < 0 || version != 2 || mp_get_u64(&in, &c->id) < 0 ||
        c->id != j->id || mp_get_u64(&in, &c->layout) < 0 || c->layout != j->layout || mp_get_u64(&in, &c->bid) < 0 || mp_get_bool(&in, &c->done) < 0 || mp_get_str(&in, &name) < 0 ||
        !str_copyz(name, c->name, sizeof(c->name)))
        *c = (struct cursor){ .id = j->id, .layout = j->layout };
    free(text);
}

static void
cursor_store(struct rjob *j, unsigned mpath, const struct cursor *c)
{
    char        path[512];
    struct sbuf b;
    int         rc;

    cursor_path(j->n->store, mpath, path, sizeof(path));
    sbuf_init(&b, CURSOR_MAX);
    mp_arr(&b, 6);
    mp_u64(&b, 2);
    mp_u64(&b, c->id);
    mp_u64(&b, c->layout);
    mp_u64(&b, c->bid);
    mp_bool(&b, c->done);
    mp_bin(&b, str_z(c->name));
    rc = sbuf_ok(&b) ? disk_write_file_atomic(path, b.p, b.n, 0640) : -AIS_E_TOOBIG;
    if (rc < 0)
        log_warn("the cursor of a rebalance cannot be stored", { "path", LZ(path) }, { "error", LZ(err_text(rc)) });
    sbuf_fini(&b);
}

/* --- a batch --- */

enum item_state { IT_TODO, IT_SENT, IT_DONE };

struct item {
    struct str      name;
    struct gen      gen; /* as sent; of a tombstone: its */
    uint64_t        size;
    enum item_state state;
    bool            tomb;
    unsigned        tries;
    char            to[NODE_ID_MAX + 1];
};

struct lane {
    struct rjob       *j;
    unsigned           mpath;
    struct cursor      at;
    bool               held;   /* something behind it was left: the cursor stays */
    int64_t            stored; /* when the cursor was */
};

struct batch {
    struct lane      *l;
    struct xact      *x;
    const struct bck *b;
    struct arena     *a;
    struct item       it[BATCH_MAX];
    unsigned          n;
    unsigned          next;    /* for the workers */
    unsigned          waiting; /* items that are to be tried again */
    int             (*fn)(struct batch *t, struct item *i, struct arena *a);
    char              last[OBJ_NAME_MAX + 1]; /* name of the last row looked at */
    bool              end;
};

/* Not the fault of an object: try again. */
static bool
passes(int rc)
{
    static const int perm[] = { AIS_E_CKSUM, AIS_E_CORRUPT, AIS_E_IO, AIS_E_NOSPACE, AIS_E_TOOBIG, AIS_E_BADREQ, AIS_E_INVAL };

    for (size_t i = 0; i < ARRAY_SIZE(perm); i++)
        if (rc == -perm[i])
            return false;
    return true;
}

static int
item_failed(struct batch *t, struct item *i, int rc, struct err *e)
{
    struct rjob *j = t->l->j;

    if (passes(rc) || ++i->tries < PERM_TRIES) {
        t->waiting++;
        return 0;
    }
    (void)err_fill(e, rc);
    log_error("an object cannot be moved", { "bucket", LSTR(t->b->name) }, { "object", LSTR(i->name) }, { "error", LZ(e->text) });
    xact_err(t->x, rc, e);
    atomic_fetch_add(&j->errors, 1);
    t->l->held = true;
    i->state = IT_DONE;
    return 0;
}

/* There is a row here but no object to be opened: deleted meanwhile, or on a mountpath where nobody looks for it. */
static void
item_gone(struct batch *t, struct item *i)
{
    struct gen     g;
    enum obj_state state;

    if (obj_gen(t->l->j->n->store, t->b, i->name, &g, &state, NULL) == 0 && state == OBJ_NONE) {
        atomic_fetch_add(&t->l->j->misplaced, 1);
        t->l->held = true;
    }
    i->state = IT_DONE;
}

static bool
bck_is_gone(struct node *n, const struct bck *b)
{
    const struct bucket *k;
    struct views         v;
    bool                 gone;

    views_get(n, &v);
    k = bmd_find(v.bmd, b);
    gone = k == NULL || k->bck.bid != b->bid;
    views_put(&v);
    return gone;
}

static int
send_item(struct batch *t, struct item *i, const struct snode *to, struct arena *a, struct err *e)
{
    struct node *n = t->l->j->n;
    struct obj  *o = NULL;
    int          rc;

    if (i->tomb) {
        rc = move_tomb(n, to, t->b, i->name, &i->gen, a, e);
        if (rc == 0)
            i->state = IT_DONE;
        return rc;
    }
    rc = obj_open(n->store, t->b, i->name, OBJ_NO_LRU, &o, e);
    if (rc == -AIS_E_NOOBJ) {
        item_gone(t, i);
        return 0;
    }
    if (rc < 0)
        return rc;
    rc = move_send(n, to, t->b, i->name, o, e);
    if (rc == 0) {
        i->gen = obj_info(o)->gen;
        i->size = obj_info(o)->size;
        i->state = IT_SENT;
    }
    obj_close(o);
    return rc;
}

/* To whom it belongs by the newest map. */
static int
do_send(struct batch *t, struct item *i, struct arena *a)
{
    struct node        *n = t->l->j->n;
    const struct snode *owner;
    struct views        v;
    struct err          e = { .code = 0 };
    int                 rc = 0;

    if (i->state != IT_TODO)
        return 0;
    views_get(n, &v);
    owner = smap_hrw(v.smap, bck_obj_digest(t->b, i->name));
    if (owner != NULL && strcmp(owner->id, n->id) == 0) {
        i->state = IT_DONE;
    } else if (owner == NULL) {
        rc = -AIS_E_UNAVAIL;
    } else {
        str_copyz(str_z(owner->id), i->to, sizeof(i->to));
        rc = send_item(t, i, owner, a, &e);
    }
    views_put(&v);
    if (rc == -AIS_E_CANCELED)
        return rc;
    if (rc == -AIS_E_NOBCK && bck_is_gone(n, t->b)) {
        i->state = IT_DONE;
        return 0;
    }
    return rc < 0 ? item_failed(t, i, rc, &e) : 0;
}

/* The source goes if it is still what was sent. */
static int
do_forget(struct batch *t, struct item *i, struct arena *a)
{
    struct err e = { .code = 0 };
    int        rc;

    (void)a;
    if (i->state != IT_SENT)
        return 0;
    rc = obj_moved(t->l->j->n->store, t->b, i->name, &i->gen, t->l->j->rmd->smap_ver, &e);
    if (rc == -AIS_E_CANCELED)
        return rc;
    i->state = IT_DONE;
    if (rc == 0) {
        xact_count(t->x, XC_OUT, 1, i->size);
    } else if (rc != -AIS_E_NOOBJ && !(rc == -AIS_E_NOBCK && bck_is_gone(t->l->j->n, t->b))) {
        i->state = IT_TODO; /* it has changed: what is there now has to go, too; if it was deleted that is seen then */
        return item_failed(t, i, rc == -AIS_E_CONFLICT ? -AIS_E_AGAIN : rc, &e);
    }
    return 0;
}

struct worker_arg {
    struct batch *t;
    unsigned      idx;
};

static int
wait_turn(struct batch *t, unsigned idx)
{
    struct rjob *j = t->l->j;
    int64_t      pace = atomic_load_explicit(&j->pace, memory_order_relaxed);
    int          rc = 0;

    if (pace > 0)
        rc = fiber_sleep(pace);
    while (rc == 0 && idx >= atomic_load_explicit(&j->width, memory_order_relaxed) && t->next < t->n)
        rc = fiber_sleep(MSEC_NS(10));
    return rc;
}

static int
worker(void *arg)
{
    const struct worker_arg *w = arg;
    struct batch            *t = w->t;
    struct arena            *a = arena_new(16 * KIB, 8 * MIB);
    int                      rc = 0;

    while (rc == 0 && t->next < t->n) {
        rc = wait_turn(t, w->idx);
        if (rc == 0 && xact_aborted(t->x))
            rc = -AIS_E_CANCELED;
        if (rc < 0 || t->next >= t->n)
            break;
        rc = t->fn(t, &t->it[t->next++], a);
        arena_reset(a);
    }
    arena_free(a);
    return rc;
}

/* fn for all items, several at a time. */
static int
for_all(struct batch *t, int (*fn)(struct batch *t, struct item *i, struct arena *a))
{
    struct worker_arg w[WORKERS];
    struct group      g;
    unsigned          n = MIN(t->n, (unsigned)WORKERS);
    int               rc = 0, failed;

    t->fn = fn;
    t->next = 0;
    group_init(&g, true);
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        w[i] = (struct worker_arg){ t, i };
        rc = group_start(&g, "rebalance", worker, &w[i]);
    }
    if (rc < 0)
        t->next = t->n;
    failed = group_wait(&g);
    return rc < 0 ? rc : failed;
}

/* Whoever got something brings it to stable storage; what a peer could not is sent again. */
static int
flush_peers(struct batch *t)
{
    struct node *n = t->l->j->n;

    for (unsigned i = 0; i < t->n; i++) {
        struct views        v;
        const struct snode *to;
        struct err          e = { .code = 0 };
        bool                seen = false;
        int                 rc;

        for (unsigned k = 0; k < i && !seen; k++)
            seen = t->it[k].state == IT_SENT && strcmp(t->it[k].to, t->it[i].to) == 0;
        if (t->it[i].state != IT_SENT || seen)
            continue;
        views_get(n, &v);
        to = smap_find(v.smap, str_z(t->it[i].to));
        rc = to == NULL ? -AIS_E_UNAVAIL : move_flush(n, to, t->a, &e);
        views_put(&v);
        if (rc == -AIS_E_CANCELED)
            return rc;
        for (unsigned k = t->n; rc < 0 && k-- > i;)
            if (t->it[k].state == IT_SENT && strcmp(t->it[k].to, t->it[i].to) == 0) {
                t->it[k].state = IT_TODO;
                t->waiting++;
            }
    }
    return 0;
}

static int
batch_run(struct batch *t)
{
    int64_t nap = NAP_MIN;
    int     rc = 0;

    for (;;) {
        t->waiting = 0;
        rc = for_all(t, do_send);
        if (rc == 0)
            rc = flush_peers(t);
        if (rc == 0)
            rc = for_all(t, do_forget);
        if (rc < 0 || t->waiting == 0)
            return rc;
        rc = xact_sleep(t->x, nap);
        if (rc < 0)
            return rc;
        nap = MIN(2 * nap, NAP_MAX);
    }
}

/* --- scanning --- */

static int
batch_add(struct batch *t, const struct lent *le)
{
    struct item *i = &t->it[t->n];

    *i = (struct item){ .name = arena_str(t->a, le->name), .gen = le->gen, .tomb = le->tomb, .size = le->size };
    if (i->name.p == NULL)
        return -AIS_E_NOMEM;
    t->n++;
    return 0;
}

/* The next rows behind t->last: what is to be sent of them. */
static int
batch_fill(struct batch *t, struct list_cur *c, const struct smap *map, struct err *e)
{
    const struct lent *le;
    uint64_t           bytes = 0, rows = 0, done = 0, size = 0;
    int                rc = 0;

    while (rows < SCAN_MAX && t->n < BATCH_MAX && bytes < BATCH_BYTES && (rc = store_list_next(c, &le, e)) > 0) {
        const struct snode *owner = le->moved ? NULL : smap_hrw(map, bck_obj_digest(t->b, le->name));

        rows++;
        if (!le->tomb && !le->moved) {
            done++;
            size += le->size;
        }
        (void)str_copyz(le->name, t->last, sizeof(t->last));
        if (le->moved || (owner != NULL && strcmp(owner->id, t->l->j->n->id) == 0))
            continue;
        rc = batch_add(t, le);
        if (rc < 0)
            break;
        bytes += le->tomb ? 0 : le->size;
    }
    t->end = rc == 0 && rows < SCAN_MAX && t->n < BATCH_MAX && bytes < BATCH_BYTES;
    xact_done(t->x, done, size);
    return MIN(rc, 0);
}

static int
batch_scan(struct batch *t, struct err *e)
{
    struct rjob     *j = t->l->j;
    struct list_cur *c;
    struct views     v;
    uint64_t         gone_after = rmd_unsettled(j->rmd, t->b) ? rmd_oldest(j->rmd, t->b) : UINT64_MAX;
    int              rc = store_list_open_gens(j->n->store, t->b, t->l->mpath, j->rmd->prefix, str_z(t->last), gone_after, &c, e);

    if (rc < 0)
        return rc;
    t->n = 0;
    views_get(j->n, &v);
    rc = batch_fill(t, c, v.smap, e);
    views_put(&v);
    store_list_close(c);
    return rc;
}

/* All up to that name is where it belongs, or the cursor stays. */
static void
lane_done(struct lane *l, uint64_t bid, const char *name)
{
    if (l->held)
        return;
    l->at.bid = bid;
    str_copyz(str_z(name), l->at.name, sizeof(l->at.name));
    if (clock_mono() - l->stored > CURSOR_NS) {
        cursor_store(l->j, l->mpath, &l->at);
        l->stored = clock_mono();
    }
}

static int
lane_bucket(struct xact *x, struct lane *l, const struct bck *b, struct err *e)
{
    struct batch *t = xcalloc(1, sizeof(*t));
    int           rc = 0;

    *t = (struct batch){ .l = l, .x = x, .b = b, .a = arena_new(64 * KIB, 64 * MIB) };
    if (l->at.bid == b->bid)
        str_copyz(str_z(l->at.name), t->last, sizeof(t->last));
    while (rc == 0 && !t->end && !xact_aborted(x) && !bck_is_gone(l->j->n, b)) {
        rc = batch_scan(t, e);
        if (rc == 0)
            rc = batch_run(t);
        arena_reset(t->a);
        if (rc < 0)
            break;
        lane_done(l, b->bid, t->last);
        fiber_yield();
    }
    arena_free(t->a);
    free(t);
    return rc;
}

static int
lane_run(struct xact *x, void *arg, struct err *e)
{
    struct lane *l = arg;
    struct rjob *j = l->j;
    int          rc = 0;

    cursor_load(j, l->mpath, &l->at);
    l->held = j->layout == 0;
    if (l->at.done)
        return 0;
    l->stored = clock_mono();
    for (unsigned i = 0; rc == 0 && i < j->nbcks && !xact_aborted(x); i++) {
        if (j->bcks[i].b.bid >= l->at.bid)
            rc = lane_bucket(x, l, &j->bcks[i].b, e);
    }
    if (xact_aborted(x) && rc == 0)
        rc = -AIS_E_CANCELED;
    if (rc == 0)
        l->at.done = !l->held;
    else if (rc != -AIS_E_CANCELED)
        atomic_fetch_add(&j->errors, 1);
    cursor_store(j, l->mpath, &l->at);
    return rc;
}

static int
lane_fiber(struct xact *x, void *arg, struct err *e)
{
    struct lane *l = arg;
    int          rc = lane_run(x, l, e);

    atomic_fetch_sub(&l->j->lanes, 1);
    return rc;
}

/* --- load --- */

static uint64_t
client_ops(const struct node *n)
{
    static const enum stat_id ids[] = { STAT_GET_N, STAT_PUT_N, STAT_HEAD_N, STAT_DEL_N, STAT_APPEND_N, STAT_LST_N };
    uint64_t                  sum = 0;

    for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
        sum += stat_get(n->stats, ids[i]);
    return sum;
}

/* How late a timer fires says how long a client's request waits for its turn. */
static void
adapt(struct rjob *j, int64_t lag, bool clients)
{
    unsigned width = atomic_load(&j->width);
    int64_t  pace = atomic_load(&j->pace);

    if (!clients) {
        width = WORKERS;
        pace = 0;
    } else if (lag > LAG_HIGH) {
        pace = width > 1 ? pace : MIN(pace * 2 + MSEC_NS(1), PACE_MAX);
        width = MAX(width / 2, 1u);
    } else if (pace > 0) {
        pace = pace > MSEC_NS(1) ? pace / 2 : 0;
    } else {
        width = width > BUSY_START ? width - 1 : BUSY_START;
    }
    atomic_store(&j->width, width);
    atomic_store(&j->pace, pace);
}

static int
governor(struct xact *x, void *arg, struct err *e)
{
    struct rjob *j = arg;
    uint64_t     ops = client_ops(j->n), now;
    unsigned     quiet = 0;

    (void)e;
    while (atomic_load(&j->lanes) > 0 && !xact_aborted(x)) {
        int64_t lag = 0;

        for (int i = 0; i < 4; i++) {
            int64_t t = clock_mono();

            if (fiber_sleep(MSEC_NS(10)) < 0)
                return -AIS_E_CANCELED;
            lag = MAX(lag, clock_mono() - t - MSEC_NS(10));
        }
        now = client_ops(j->n);
        quiet = now != ops ? 0 : quiet + 1;
        ops = now;
        adapt(j, lag, quiet < 5);
    }
    return 0;
}

/* --- the job --- */

static int
by_bid(const void *a, const void *b)
{
    const struct xbck *x = a, *y = b;

    return x->b.bid < y->b.bid ? -1 : x->b.bid > y->b.bid;
}

/* In the scope, and unsettled; without a chain an administrator wants all looked at. */
static bool
wanted(const struct rmd *m, const struct bck *b)
{
    struct bck id;
    struct str none = STR_NULL;

    if (m->bck.n > 0 && (uname_parse(m->bck, &id, &none, NULL) < 0 || id.provider != b->provider || !str_eq(id.name, b->name) ||
                         !str_eq(id.ns_uuid, b->ns_uuid) || !str_eq(id.ns_name, b->ns_name)))
        return false;
    return m->nchain == 0 || rmd_unsettled(m, b);
}

static void
choose_bcks(struct rjob *j)
{
    struct views v;

    views_get(j->n, &v);
    j->bcks = xcalloc(v.bmd->n + 1, sizeof(*j->bcks));
    for (unsigned i = 0; i < v.bmd->n; i++)
        if (wanted(j->rmd, &v.bmd->sorted[i]->bck))
            xbck_set(&j->bcks[j->nbcks++], &v.bmd->sorted[i]->bck);
    views_put(&v);
    qsort(j->bcks, j->nbcks, sizeof(*j->bcks), by_bid);
    for (unsigned i = 0; i < j->nbcks; i++) { /* they were moved: their names with them */
        struct xbck *x = &j->bcks[i];

        x->b.name = str_from(x->name, x->b.name.n);
        x->b.ns_uuid = str_from(x->ns_uuid, x->b.ns_uuid.n);
        x->b.ns_name = str_from(x->ns_name, x->b.ns_name.n);
    }
}

static bool
resilvering(struct node *n)
{
    struct xact *x = xreg_running(n->jobs, X_RESILVER, NULL);

    xact_put(x);
    return x != NULL;
}

/* Until the map is in force, what came in under older ones is here, and mountpaths are at rest. */
static int
wait_ready(struct xact *x, struct rjob *j)
{
    int rc = 0;

    while (rc == 0 && (lease_in_force(j->n) < j->rmd->smap_ver || lease_oldest_stay(j->n) < j->rmd->smap_ver || resilvering(j->n)))
        rc = xact_sleep(x, NAP_MIN);
    return rc;
}

/* What will be looked at, by the index. */
static void
count_total(struct xact *x, struct rjob *j)
{
    uint64_t objs = 0, bytes = 0;

    for (unsigned i = 0; i < j->nbcks && !xact_aborted(x); i++) {
        struct bck_sum sum;

        if (store_bck_summary(j->n->store, &j->bcks[i].b, j->rmd->prefix, &sum, NULL) < 0)
            continue;
        objs += sum.objects;
        bytes += sum.bytes;
    }
    xact_total(x, objs, bytes);
}

static int
all_lanes(struct xact *x, struct rjob *j, struct err *e)
{
    struct mpath_info *mi = xcalloc(OVER_MPATHS, sizeof(*mi));
    struct lane       *lanes = xcalloc(OVER_MPATHS, sizeof(*lanes));
    unsigned           n = MIN(store_mpaths(j->n->store, mi, OVER_MPATHS), (unsigned)OVER_MPATHS), started = 0;
    int                rc = 0;

    atomic_store(&j->lanes, 1);
    rc = xact_spawn(x, run_loop(j->n->run, 0), "rebalance governor", governor, j);
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        if (mi[i].state == MPATH_FAILED)
            continue;
        lanes[i] = (struct lane){ .j = j, .mpath = i };
        atomic_fetch_add(&j->lanes, 1);
        rc = xact_spawn(x, run_loop(j->n->run, i % run_nloops(j->n->run)), "rebalance lane", lane_fiber, &lanes[i]);
        started += rc == 0;
        if (rc < 0)
            atomic_fetch_sub(&j->lanes, 1);
    }
    atomic_fetch_sub(&j->lanes, 1);
    xact_workers(x, started, started * WORKERS);
    if (rc == 0 && started == 0)
        rc = err_set(e, AIS_E_NOMPATH, "no mountpaths");
    xact_join(x);
    free(lanes);
    free(mi);
    return rc;
}

static int
job_rounds(struct xact *x, struct rjob *j, struct err *e)
{
    int rc = 0;

    for (unsigned round = 0; rc == 0; round++) {
        bool moving;

        rc = wait_ready(x, j);
        if (rc == 0)
            rc = store_flush(j->n->store, e); /* what was committed under older maps is in the index */
        if (rc < 0)
            return rc;
        count_total(x, j);
        atomic_store(&j->misplaced, 0);
        j->layout = store_layout(j->n->store);
        rc = all_lanes(x, j, e);
        moving = atomic_load(&j->misplaced) > 0 || resilvering(j->n) || store_layout(j->n->store) != j->layout;
        if (rc < 0 || xact_aborted(x) || atomic_load(&j->errors) > 0 || !moving)
            return rc;
        /* Objects went from one mountpath to another while both were scanned, perhaps behind our backs. */
        if (round + 1 == ROUNDS_MAX) {
            atomic_fetch_add(&j->errors, atomic_load(&j->misplaced));
            return err_set(e, AIS_E_CONFLICT, "%u objects are on mountpaths where they do not belong: resilver first",
                           atomic_load(&j->misplaced));
        }
        j->fresh = true;
    }
    return rc;
}

static void
job_free(struct rjob *j)
{
    atomic_fetch_sub(&j->r->jobs, 1);
    rmd_put(j->rmd);
    free(j->bcks);
    free(j);
}

static int
job_run(struct xact *x, void *arg, struct err *e)
{
    struct rjob *j = arg;
    int          rc;

    choose_bcks(j);
    rc = job_rounds(x, j, e);
    if (rc == 0 && !xact_aborted(x)) {
        atomic_store(&j->r->errors, atomic_load(&j->errors));
        atomic_store(&j->r->finished, j->id);
        log_info("rebalance: finished here", { "id", LU64(j->id) }, { "errors", LU64(atomic_load(&j->errors)) });
    }
    job_free(j);
    return rc;
}

/* --- the watcher --- */

static void
job_begin(struct reb *r, struct rmd *m)
{
    struct rjob     *j = xcalloc(1, sizeof(*j));
    char             id[XID_MAX];
    struct xact_args a = { .kind = X_REBALANCE, .ctlmsg = m->prefix, .no_check = true };
    struct err       e = { .code = 0 };
    struct xact     *x = NULL;
    int              rc;

    snprintf(id, sizeof(id), "g%llu", (unsigned long long)m->reb_id);
    a.id = str_z(id);
    (void)xreg_stop_for_rebalance(r->n->jobs, "rebalance started");
    rc = xact_begin(r->n->jobs, &a, &x, &e);
    if (rc != 0) {
        if (rc < 0)
            log_warn("rebalance cannot start, will be tried again", { "id", LZ(id) }, { "error", LZ(e.text) });
        xact_put(x);
        free(j);
        r->retry_at = clock_mono() + SEC_NS(1);
        return;
    }
    *j = (struct rjob){ .r = r, .n = r->n, .rmd = rmd_ref(m), .id = m->reb_id, .width = BUSY_START };
    atomic_fetch_add(&r->jobs, 1);
    xact_put(r->x);
    r->x = xact_ref(x);
    r->id = m->reb_id;
    r->retry_at = clock_mono() + SEC_NS(1);
    log_info("rebalance", { "id", LZ(id) }, { "smap", LU64(m->smap_ver) }, { "chain", LU64(m->nchain) });
    rc = xact_go(x, job_run, j);
    if (rc < 0)
        job_free(j);
}

static int
report(struct reb *r)
{
    struct arena  *a = arena_new(4 * KIB, 1 * MIB);
    struct hc_resp resp;
    struct err     e = { .code = 0 };
    struct views   v;
    int            rc = 0;

    views_get(r->n, &v);
    if (v.smap->primary != NULL)
        rc = node_call(r->n, v.smap->primary, M_POST, STR_LIT("/v1/rebalance"),
                       arena_printf(a, "{\"reb\":%llu,\"errors\":%u}", (unsigned long long)atomic_load(&r->finished),
                                    atomic_load(&r->errors)),
                       a, 16 * KIB, SEC_NS(5), &resp, &e);
    views_put(&v);
    arena_free(a);
    return rc;
}

static void
while_running(struct reb *r, struct rmd *m, int64_t now)
{
    bool live = atomic_load(&r->jobs) > 0;

    r->purged = false;
    if (r->id != m->reb_id && live) {
        (void)xact_abort(r->x, "preempted by a newer rebalance");
    } else if (atomic_load(&r->finished) == m->reb_id) {
        if (now - r->reported > REPORT_NS) {
            r->reported = now;
            (void)report(r);
        }
    } else if (!live && (r->id != m->reb_id || now > r->retry_at)) {
        job_begin(r, m);
    }
}

static void
while_not(struct reb *r, const struct rmd *m, int64_t now)
{
    struct err e = { .code = 0 };

    if (atomic_load(&r->jobs) > 0) {
        (void)xact_abort(r->x, m->state == RMD_ABORTED ? XABORT_USER : "the rebalance is over");
        r->over_at = now;
        return;
    }
    if (r->purged || now - r->over_at < PURGE_AFTER)
        return;
    r->purged = true;
    if (store_moved_purge(r->n->store, NULL, &e) < 0) {
        log_warn("stubs of moved objects stay for now", { "error", LZ(e.text) });
        r->purged = false;
        r->over_at = now;
    }
}

static void
watch_once(struct reb *r)
{
    struct views v;
    struct rmd  *m;
    int64_t      now = clock_mono();

    views_get(r->n, &v);
    m = rmd_ref(v.rmd);
    views_put(&v);
    store_tomb_hold(r->n->store, m->nchain > 0);
    if (m->state == RMD_RUNNING) {
        r->over_at = now;
        if (atomic_load(&r->n->flags) & NODE_CLUSTER_STARTED) /* before that, owners have still to come */
            while_running(r, m, now);
    } else {
        while_not(r, m, now);
    }
    rmd_put(m);
}

static void
watcher(void *arg)
{
    struct reb *r = arg;

    while (!atomic_load(&r->stopping) && fiber_sleep(TICK) == 0)
        watch_once(r);
    if (r->x != NULL && atomic_load(&r->jobs) > 0)
        (void)xact_abort(r->x, "the node stops");
    atomic_store(&r->running, false);
}

struct reb *
reb_new(struct node *n)
{
    struct reb  *r = xcalloc(1, sizeof(*r));
    struct views v;

    r->n = n;
    views_get(n, &v);
    store_tomb_hold(n->store, v.rmd != NULL && v.rmd->nchain > 0);
    views_put(&v);
    atomic_store(&r->running, true);
    if (fiber_spawn(run_loop(n->run, 0), "rebalance watcher", watcher, r) < 0)
        atomic_store(&r->running, false);
    return r;
}

void
reb_free(struct reb *r)
{
    if (r == NULL)
        return;
    atomic_store(&r->stopping, true);
    while (atomic_load(&r->running) || atomic_load(&r->jobs) > 0)
        usleep(5000);
    xact_put(r->x);
    free(r);
}
