/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Job "lru": objects that nobody has read for long go, where a disk is too full.
 *
 * A mountpath above space.highwm is brought down to space.lowwm: bucket by bucket, those objects that were read
 * longest ago, except what was read within lru.dont_evict_time. Only buckets with lru.enabled (or, with force, those that the caller
 * named) whose objects may be deleted. The oldest of a bucket are found by scans of its index that keep lru.batch_size of them each.
 *
 * Runs on: fibers of the job, one for each mountpath. Wire: jobs-and-services.md 2.3 (lru); internals.md 7
 */
#include "xact/jobs.h"

#include "base/log.h"
#include "base/util.h"
#include "core/conf.h"
#include "core/node.h"
#include "store/store.h"

#define EVICT_MIN   (10 * MIB) /* less than that is not worth a scan */
#define BATCH_MOST  32768u     /* objects held in memory at once */
#define ACCESS_DEL  (1u << 4)

/* One object on its way out. */
struct old {
    int64_t    atime;
    uint64_t   size;
    struct gen gen;
    char      *name;
};

/* The oldest so far: a heap with the youngest of them on top. */
struct oldest {
    struct old *v;
    unsigned    n, max;
};

static void
swap(struct old *a, struct old *b)
{
    struct old t = *a;

    *a = *b;
    *b = t;
}

static void
sift_up(struct oldest *h, unsigned i)
{
    for (; i > 0 && h->v[(i - 1) / 2].atime < h->v[i].atime; i = (i - 1) / 2)
        swap(&h->v[i], &h->v[(i - 1) / 2]);
}

static void
sift_down(struct oldest *h, unsigned i)
{
    for (;;) {
        unsigned k = 2 * i + 1;

        if (k >= h->n)
            return;
        if (k + 1 < h->n && h->v[k + 1].atime > h->v[k].atime)
            k++;
        if (h->v[k].atime <= h->v[i].atime)
            return;
        swap(&h->v[i], &h->v[k]);
        i = k;
    }
}

/* Keep it if it is among the oldest h->max. */
static void
oldest_add(struct oldest *h, int64_t atime, uint64_t size, const struct gen *g, struct str name)
{
    if (h->n == h->max && (h->max == 0 || atime >= h->v[0].atime))
        return;
    if (h->n == h->max) {
        free(h->v[0].name);
        h->v[0] = h->v[--h->n];
        sift_down(h, 0);
    }
    h->v[h->n] = (struct old){ .atime = atime, .size = size, .gen = *g, .name = xstrndup(name.p, name.n) };
    sift_up(h, h->n++);
}

static int
older_first(const void *a, const void *b)
{
    const struct old *x = a, *y = b;

    return x->atime < y->atime ? -1 : x->atime > y->atime;
}

static void
oldest_reset(struct oldest *h)
{
    while (h->n > 0)
        free(h->v[--h->n].name);
}

/* --- how much --- */

struct limits {
    unsigned low, high;
    int64_t  spare_ns;
    unsigned batch;
};

static void
limits_get(struct node *n, struct limits *l)
{
    struct views v;

    views_get(n, &v);
    l->low = (unsigned)v.conf->space.lowwm;
    l->high = (unsigned)v.conf->space.highwm;
    l->spare_ns = v.conf->lru.dont_evict_time;
    l->batch = v.conf->lru.batch_size > 0 ? (unsigned)MIN(v.conf->lru.batch_size, (int64_t)BATCH_MOST) : BATCH_MOST;
    views_put(&v);
}

/* Bytes that must go; 0 = below the high watermark. */
static uint64_t
to_evict(uint64_t used, uint64_t total, const struct limits *l)
{
    uint64_t low = total / 100 * l->low;

    if (total == 0 || used * 100 / total < l->high || used <= low)
        return 0;
    return used - low;
}

/* The state of one mountpath over its buckets. */
struct lru_lane {
    uint64_t left;   /* bytes still to go */
    bool     looked;
};

static struct lru_lane *
lane_of(struct overbcks *o, unsigned mpath, const struct limits *l)
{
    struct lru_lane   *ln = o->priv[mpath];
    struct mpath_info *mi;
    unsigned           n;

    if (ln != NULL)
        return ln;
    ln = o->priv[mpath] = xcalloc(1, sizeof(*ln));
    mi = xcalloc(OVER_MPATHS, sizeof(*mi));
    (void)store_cap_refresh(o->n->store);
    n = store_mpaths(o->n->store, mi, OVER_MPATHS);
    if (mpath < MIN(n, (unsigned)OVER_MPATHS))
        ln->left = to_evict(mi[mpath].used, mi[mpath].total, l);
    if (ln->left < EVICT_MIN)
        ln->left = 0;
    free(mi);
    return ln;
}

/* --- one bucket on one mountpath --- */

static int
collect(struct xact *x, struct overbcks *o, const struct bck *b, unsigned mpath, int64_t before, struct oldest *h, struct err *e)
{
    struct list_cur   *c = NULL;
    const struct lent *l;
    int                rc = store_list_open_on(o->n->store, b, mpath, STR_LIT(""), STR_LIT(""), &c, e);

    if (rc < 0)
        return rc;
    while ((rc = store_list_next(c, &l, e)) == 1) {
        if (xact_aborted(x)) {
            rc = -AIS_E_CANCELED;
            break;
        }
        if (l->atime_ns < before)
            oldest_add(h, l->atime_ns, l->size, &l->gen, l->name);
    }
    store_list_close(c);
    return rc;
}

/* The index does not know yet that an object was read a moment ago; it is told, so that the next scan finds others. */
static bool
still_old(struct overbcks *o, const struct bck *b, const struct old *v, int64_t before, bool *told)
{
    struct obj *obj = NULL;
    bool        old;

    *told = false;
    if (obj_open(o->n->store, b, str_z(v->name), OBJ_NO_FD | OBJ_NO_LRU, &obj, NULL) < 0)
        return false;
    old = obj_info_atime(obj_info(obj)) < before;
    if (!old)
        *told = obj_note_atime(o->n->store, b, obj) == 0;
    obj_close(obj);
    return old;
}

static int
evict_one(struct xact *x, struct overbcks *o, const struct bck *b, const struct old *v, struct err *e)
{
    int rc = obj_delete_if(o->n->store, b, str_z(v->name), &v->gen, e);

    if (rc == -AIS_E_CONFLICT || rc == -AIS_E_NOOBJ) /* changed meanwhile: not old any more */
        return 0;
    if (rc < 0)
        return rc;
    xact_count(x, XC_LOC, 1, v->size);
    xact_done(x, 1, v->size);
    stat_add(o->n->stats, STAT_LRU_EVICT_N, 1);
    stat_add(o->n->stats, STAT_LRU_EVICT_SIZE, v->size);
    return 1;
}

/* Oldest first, until enough is gone. How many went, or were not old after all. */
static int
evict_batch(struct xact *x, struct overbcks *o, const struct bck *b, struct oldest *h, int64_t before, struct lru_lane *ln,
            struct err *e)
{
    int gone = 0;

    qsort(h->v, h->n, sizeof(*h->v), older_first);
    for (unsigned i = 0; i < h->n && ln->left > 0; i++) {
        bool told;
        int  rc;

        if (xact_aborted(x))
            return -AIS_E_CANCELED;
        if (!still_old(o, b, &h->v[i], before, &told)) {
            gone += told;
            continue;
        }
        rc = evict_one(x, o, b, &h->v[i], e);
        if (rc < 0)
            return rc;
        gone += rc;
        if (rc > 0)
            ln->left -= MIN(ln->left, h->v[i].size);
    }
    return gone;
}

static bool
may_evict(struct overbcks *o, const struct bck *b)
{
    struct views         v;
    const struct bucket *k;
    bool                 ok;

    views_get(o->n, &v);
    k = bmd_find(v.bmd, b);
    ok = k != NULL && ((k->props.lru.enabled && (k->props.access & ACCESS_DEL)) || (o->named && o->force));
    views_put(&v);
    return ok;
}

static int
lru_bck(struct xact *x, struct overbcks *o, const struct bck *b, unsigned mpath, struct err *e)
{
    struct limits    l;
    struct lru_lane *ln;
    struct oldest    h = { .n = 0 };
    int64_t          before;
    int              rc = 0;

    limits_get(o->n, &l);
    ln = lane_of(o, mpath, &l);
    if (ln->left == 0 || !may_evict(o, b))
        return 0;
    before = o->now - l.spare_ns;
    h.max = l.batch;
    h.v = xcalloc(h.max, sizeof(*h.v));
    do {
        bool full;

        oldest_reset(&h);
        rc = collect(x, o, b, mpath, before, &h, e);
        full = h.n == h.max; /* there may be more behind the youngest of these */
        if (rc == 0)
            rc = evict_batch(x, o, b, &h, before, ln, e);
        if (rc > 0 && !full)
            break;
    } while (rc > 0 && ln->left > 0);
    oldest_reset(&h);
    free(h.v);
    return rc < 0 ? rc : 0;
}

static void
lru_last(struct xact *x, struct overbcks *o)
{
    UNUSED(x);
    (void)store_cap_refresh(o->n->store);
}

int
lru_start(struct node *n, const struct xstart *s, char id[XID_MAX], struct err *e)
{
    return overbcks_start(n, X_LRU, s, lru_bck, lru_last, id, e);
}
