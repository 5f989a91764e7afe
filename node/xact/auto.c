/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs that a target starts by itself: a resilver that is due, and when its disks fill up: cleanup above space.cleanupwm, eviction above
 * space.highwm.
 *
 * Of the latter each at most every ten minutes; eviction not before a cleanup has had its try. The information centre is told of them, as of any job.
 *
 * Runs on: the registry's fiber. May park. Spec: internals.md 7
 */
#include "xact/jobs.h"

#include "base/log.h"
#include "base/util.h"
#include "core/conf.h"
#include "core/node.h"
#include "store/store.h"

#define LOOK_NS  SEC_NS(10)
#define APART_NS SEC_NS(600)

/* What shall run now, given how full the fullest mountpath is. X_ANY: nothing. Notes in *a that it runs. Pure. */
static enum xkind
due(struct xauto *a, unsigned pct, unsigned cleanupwm, unsigned highwm, int64_t now)
{
    if (pct <= cleanupwm)
        return X_ANY;
    if (a->cleaned == 0 || now - a->cleaned >= APART_NS) {
        a->cleaned = now;
        return X_CLEANUP;
    }
    if (pct <= highwm || (a->evicted != 0 && now - a->evicted < APART_NS))
        return X_ANY;
    a->evicted = now;
    return X_LRU;
}

static void
begin(struct xreg *g, enum xkind kind)
{
    static const struct {
        enum xkind kind;
        xstart_f  *fn;
    } table[] = { { X_CLEANUP, cleanup_start }, { X_LRU, lru_start } };
    const struct xmsg   m = { .kind = kind, .active = -1 };
    const struct xstart s = { .msg = &m };
    char                id[XID_MAX] = "";
    struct err          e = { .code = 0 };
    struct xact        *x;

    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (table[i].kind == kind && table[i].fn(g->n, &s, id, &e) < 0)
            log_warn("job not started", { "kind", LZ(xact_table[kind].kind) }, { "error", LZ(e.text) });
    x = id[0] != '\0' ? xreg_find(g, str_z(id)) : NULL;
    if (x != NULL)
        xact_tell_begin(x);
    xact_put(x);
}

void
xreg_auto(struct xreg *g, int64_t now)
{
    struct store_cap cap;
    struct views     v;
    enum xkind       kind;

    if (g->n == NULL || g->n->store == NULL)
        return;
    resilver_auto(g, now);
    if (now - g->space.looked < LOOK_NS)
        return;
    g->space.looked = now;
    views_get(g->n, &v);
    store_cap(g->n->store, &cap);
    kind = v.smap == NULL || v.smap->primary == NULL
               ? X_ANY
               : due(&g->space, cap.pct_max, (unsigned)v.conf->space.cleanupwm, (unsigned)v.conf->space.highwm, now);
    views_put(&v);
    if (kind != X_ANY)
        begin(g, kind);
}
