/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs over buckets: which ones, and one fiber for each mountpath, which takes them in turn.
 *
 * Runs on: fibers of the job. Parks.
 */
#include <jansson.h>

#include "xact/jobs.h"

#include "base/util.h"
#include "core/node.h"
#include "store/store.h"

static void
over_free(struct overbcks *o)
{
    for (unsigned i = 0; i < OVER_MPATHS; i++)
        free(o->priv[i]);
    free(o->bcks);
    free(o);
}

static void
bcks_all(struct overbcks *o, const struct bmd *m)
{
    o->bcks = xcalloc(m->n + 1, sizeof(*o->bcks));
    for (unsigned i = 0; i < m->n; i++)
        xbck_set(&o->bcks[o->nbcks++], &m->sorted[i]->bck);
}

static int
bcks_named(struct overbcks *o, const struct bmd *m, const struct bck *b, unsigned n, struct err *e)
{
    o->bcks = xcalloc(n + 1, sizeof(*o->bcks));
    o->named = true;
    for (unsigned i = 0; i < n; i++) {
        const struct bucket *k = bmd_find(m, &b[i]);

        if (k == NULL)
            return err_nobck(e, &b[i]);
        xbck_set(&o->bcks[o->nbcks++], &k->bck);
    }
    return 0;
}

static int
bcks_choose(struct overbcks *o, const struct xstart *s, struct err *e)
{
    struct views v;
    int          rc = 0;

    views_get(o->n, &v);
    if (s->bck != NULL)
        rc = bcks_named(o, v.bmd, s->bck, 1, e);
    else if (s->msg->nbcks > 0)
        rc = bcks_named(o, v.bmd, s->msg->bcks, s->msg->nbcks, e);
    else
        bcks_all(o, v.bmd);
    views_put(&v);
    return rc;
}

struct lane {
    struct overbcks *o;
    unsigned         mpath;
};

static int
lane_run(struct xact *x, void *arg, struct err *e)
{
    const struct lane *l = arg;
    int                rc = 0;

    for (unsigned i = 0; i < l->o->nbcks && rc != -AIS_E_CANCELED; i++) {
        err_clear(e);
        rc = l->o->fn(x, l->o, &l->o->bcks[i].b, l->mpath, e);
        if (rc < 0 && rc != -AIS_E_CANCELED && rc != -AIS_E_NOBCK) /* a bucket may go meanwhile */
            xact_err(x, rc, e);
    }
    return rc == -AIS_E_CANCELED ? rc : 0;
}

static int
over_run(struct xact *x, void *arg, struct err *e)
{
    struct overbcks   *o = arg;
    struct mpath_info *mi = xcalloc(OVER_MPATHS, sizeof(*mi));
    struct lane       *lanes = xcalloc(OVER_MPATHS, sizeof(*lanes));
    unsigned           n = MIN(store_mpaths(o->n->store, mi, OVER_MPATHS), OVER_MPATHS), lane = 0;
    int                rc = 0;

    for (unsigned i = 0; rc == 0 && i < n; i++) {
        if (mi[i].state != MPATH_OK)
            continue;
        lanes[i] = (struct lane){ .o = o, .mpath = i };
        lane++;
        rc = xact_spawn(x, run_loop(o->n->run, i % run_nloops(o->n->run)), "job lane", lane_run, &lanes[i]);
    }
    xact_workers(x, lane, 0);
    if (lane == 0)
        rc = err_set(e, AIS_E_NOMPATH, "no mountpaths");
    xact_join(x);
    if (o->last != NULL && !xact_aborted(x))
        o->last(x, o);
    free(lanes);
    free(mi);
    over_free(o);
    return rc;
}

/* The message of the job: its buckets, as clients are shown them. */
static struct str
over_text(const struct overbcks *o, struct sbuf *b)
{
    char disp[BCK_DISPLAY_MAX];

    for (unsigned i = 0; o->named && i < o->nbcks && b->n < XCTL_MAX - BCK_DISPLAY_MAX; i++)
        sbuf_printf(b, "%s%s", i == 0 ? "buckets: " : ",", bck_display(&o->bcks[i].b, disp));
    if (o->force)
        sbuf_printf(b, "%sforce", b->n > 0 ? ", " : "");
    return sbuf_str(b);
}

int
overbcks_start(struct node *n, enum xkind kind, const struct xstart *s, over_f *fn,
               void (*last)(struct xact *x, struct overbcks *o), char id[XID_MAX], struct err *e)
{
    struct overbcks *o = xcalloc(1, sizeof(*o));
    struct xact_args a = { .kind = kind, .id = s->msg->id };
    struct xact     *x = NULL;
    struct sbuf      text;
    int              rc;

    *o = (struct overbcks){ .n = n, .fn = fn, .last = last, .force = s->msg->force, .flags = s->msg->flags, .now = clock_real() };
    sbuf_init(&text, XCTL_MAX);
    rc = bcks_choose(o, s, e);
    if (rc == 0) {
        a.ctlmsg = over_text(o, &text);
        rc = xact_begin(n->jobs, &a, &x, e);
    }
    sbuf_fini(&text);
    if (rc < 0) {
        over_free(o);
        return rc;
    }
    (void)str_copyz(str_z(xact_id(x)), id, XID_MAX);
    if (rc == 1) { /* one runs already */
        xact_put(x);
        over_free(o);
        return 0;
    }
    rc = xact_go(x, over_run, o);
    if (rc < 0) {
        over_free(o);
        return err_set(e, -rc, "cannot start the job: %s", err_text(rc));
    }
    return 0;
}
