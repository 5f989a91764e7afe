/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Job "cleanup-store": work files that were left behind, the trash, on request objects without content.
 *
 * What changed within space.dont_cleanup_time is spared. Objects that are not where the map says are not this job's: they may be the
 * only ones there are, and the rebalance knows.
 *
 * Runs on: fibers of the job, one for each mountpath. Wire: jobs-and-services.md 2.3 (cleanup)
 */
#include "xact/jobs.h"

#include "base/util.h"
#include "core/conf.h"
#include "core/node.h"
#include "store/store.h"

static int64_t
spared_ns(struct node *n)
{
    struct views v;
    int64_t      ns;

    views_get(n, &v);
    ns = v.conf->space.dont_cleanup_time;
    views_put(&v);
    return ns;
}

static void
removed(struct xact *x, struct overbcks *o, uint64_t files, uint64_t bytes)
{
    xact_count(x, XC_LOC, files, bytes);
    stat_add(o->n->stats, STAT_CLEANUP_N, files);
    stat_add(o->n->stats, STAT_CLEANUP_SIZE, bytes);
}

static bool
is_aborted(void *x)
{
    return xact_aborted(x);
}

static int
remove_empty(struct xact *x, struct overbcks *o, const struct bck *b, unsigned mpath, int64_t before, struct err *e)
{
    struct list_cur   *c = NULL;
    const struct lent *l;
    int                rc = store_list_open_on(o->n->store, b, mpath, STR_LIT(""), STR_LIT(""), &c, e);

    if (rc < 0)
        return rc;
    while ((rc = store_list_next(c, &l, e)) == 1) {
        struct gen g = l->gen;

        if (xact_aborted(x)) {
            rc = -AIS_E_CANCELED;
            break;
        }
        if (l->size > 0 || l->mtime_ns >= before)
            continue;
        rc = obj_delete_if(o->n->store, b, l->name, &g, e);
        if (rc == 0)
            removed(x, o, 1, 0);
        else if (rc != -AIS_E_CONFLICT && rc != -AIS_E_NOOBJ)
            xact_err(x, rc, e);
        err_clear(e);
    }
    store_list_close(c);
    return rc;
}

static int
clean(struct xact *x, struct overbcks *o, const struct bck *b, unsigned mpath, struct err *e)
{
    int64_t              before = o->now - spared_ns(o->n);
    struct store_cleaned out;
    int                  rc = store_clean(o->n->store, b, mpath, before, is_aborted, x, &out);

    if (rc < 0)
        return rc;
    removed(x, o, out.files, out.bytes);
    if (o->flags & XM_ZERO_SIZE)
        rc = remove_empty(x, o, b, mpath, before, e);
    return rc;
}

static void
clean_last(struct xact *x, struct overbcks *o)
{
    UNUSED(x);
    store_trash_sweep(o->n->store);
    (void)store_cap_refresh(o->n->store);
}

int
cleanup_start(struct node *n, const struct xstart *s, char id[XID_MAX], struct err *e)
{
    return overbcks_start(n, X_CLEANUP, s, clean, clean_last, id, e);
}
