/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Job "resilver": what a target has goes to the mountpaths that its present set of them wants.
 *
 * The work is the store's (store_resilver); here is who starts it, how it is told, and when it is tried again. It begins by itself when
 * mountpaths have changed, also before a restart; one that somebody stopped waits for the next change, one that failed is tried again.
 *
 * Runs on: a fiber of the job. Wire: jobs-and-services.md 2.3 (resilver); internals.md 6
 */
#include "xact/jobs.h"

#include "base/log.h"
#include "base/util.h"
#include "core/conf.h"
#include "core/node.h"
#include "store/store.h"
#include "xact/resilver.h"

#define BUSY_NAP MSEC_NS(50)
#define AGAIN_MIN SEC_NS(60) /* after one that failed; each time twice as long: */
#define AGAIN_MAX SEC_NS(3600)

struct told {
    struct xact         *x;
    struct resilver_prog p; /* what was told already */
};

/* Each row is looked at twice, in two passes. */
static uint64_t
looked(const struct resilver_prog *p)
{
    return MIN(p->seen / 2, p->total);
}

static void
tell(struct told *t, const struct resilver_prog *p)
{
    xact_total(t->x, p->total, 0);
    if (looked(p) > looked(&t->p) || p->bytes > t->p.bytes)
        xact_done(t->x, looked(p) - MIN(looked(&t->p), looked(p)), p->bytes - t->p.bytes);
    xact_count(t->x, XC_LOC, p->brought - t->p.brought, p->bytes - t->p.bytes);
    t->p = *p;
}

static bool
go_on(void *ctx, const struct resilver_prog *p)
{
    struct told *t = ctx;

    tell(t, p);
    return !xact_aborted(t->x);
}

static int
resilver_run(struct xact *x, void *arg, struct err *e)
{
    struct node         *n = arg;
    struct told          t = { .x = x };
    struct resilver_args a = { .go_on = go_on, .ctx = &t };
    struct resilver_prog p;
    int                  rc;

    do {
        err_clear(e);
        t.p = (struct resilver_prog){ .total = 0 };
        p = t.p;
        rc = store_resilver(n->store, &a, &p, e);
        if (rc != -AIS_E_BUSY)
            tell(&t, &p);
        else if (xact_sleep(x, BUSY_NAP) < 0) /* the one before is on its way out */
            rc = -AIS_E_CANCELED;
    } while (!xact_aborted(x) && (rc == -AIS_E_AGAIN || rc == -AIS_E_BUSY));
    if (rc == 0)
        (void)store_cap_refresh(n->store);
    return rc;
}

int
resilver_start(struct node *n, const struct xstart *s, char id[XID_MAX], struct err *e)
{
    struct xact_args a = { .kind = X_RESILVER, .id = s->msg->id };
    struct xact     *x = NULL;
    int              rc = xact_begin(n->jobs, &a, &x, e);

    if (rc < 0)
        return rc;
    (void)str_copyz(str_z(xact_id(x)), id, XID_MAX);
    rc = xact_go(x, resilver_run, n);
    return rc < 0 ? err_set(e, -rc, "cannot start the resilver: %s", err_text(rc)) : 0;
}

static bool
enabled(struct node *n)
{
    struct views v;
    bool         yes;

    views_get(n, &v);
    yes = v.conf->resilver_enabled;
    views_put(&v);
    return yes;
}

int
resilver_begin(struct node *n, struct err *e)
{
    const struct xmsg   m = { .kind = X_RESILVER, .active = -1 };
    const struct xstart s = { .msg = &m };
    char                id[XID_MAX];

    if (n->jobs == NULL || !store_resilver_due(n->store) || !enabled(n))
        return 0;
    return resilver_start(n, &s, id, e);
}

/* The last one: does it run, and if not, did somebody want it to stop? */
enum last { LAST_NONE, LAST_RUNS, LAST_ABORTED, LAST_OVER };

static enum last
last_one(struct xreg *g)
{
    struct xact *x = xreg_last(g, X_RESILVER);
    enum last    l = x == NULL ? LAST_NONE : atomic_load(&x->ended) == 0 ? LAST_RUNS : xact_aborted(x) ? LAST_ABORTED : LAST_OVER;

    xact_put(x);
    return l;
}

void
resilver_auto(struct xreg *g, int64_t now)
{
    struct err e = { .code = 0 };
    enum last  l;

    if (!store_resilver_due(g->n->store)) {
        g->space.resilver_pause = g->space.resilver_after = 0;
        return;
    }
    if (now < g->space.resilver_after)
        return;
    l = last_one(g);
    if (l == LAST_RUNS || l == LAST_ABORTED)
        return;
    g->space.resilver_pause = MAX(AGAIN_MIN, MIN(AGAIN_MAX, 2 * g->space.resilver_pause));
    g->space.resilver_after = now + g->space.resilver_pause;
    if (resilver_begin(g->n, &e) < 0)
        log_warn("resilver not started", { "error", LZ(e.text) });
}
