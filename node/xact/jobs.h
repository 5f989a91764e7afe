/* SPDX-License-Identifier: Apache-2.0 */
/* Private to node/xact: the functions behind the start table, one file per job, and what jobs over buckets share. */
#ifndef XACT_JOBS_H
#define XACT_JOBS_H

#include "xact/msg.h"
#include "xact/xact_impl.h"

/* What a start is asked with. */
struct xstart {
    const struct xmsg *msg;
    const struct bck  *bck; /* in the BMD; NULL = none given */
    struct str         name;
};
typedef int xstart_f(struct node *n, const struct xstart *s, char id[XID_MAX], struct err *e);

xstart_f lru_start;     /* lru.c */
xstart_f cleanup_start; /* cleanup.c */
xstart_f resilver_start; /* resilver.c */
/* One is due that nobody started: does so, and again some time after one failed. On the registry's fiber. */
void     resilver_auto(struct xreg *g, int64_t now);

/* --- overbcks.c: a job that works on buckets, mountpath by mountpath --- */
#define OVER_MPATHS 64
struct overbcks;
/* One bucket on one mountpath (index as in mpath_info). On a fiber of the job. An error other than -AIS_E_CANCELED is recorded and the
 * next one is done. */
typedef int over_f(struct xact *x, struct overbcks *o, const struct bck *b, unsigned mpath, struct err *e);
struct overbcks {
    struct node *n;
    over_f      *fn;
    void       (*last)(struct xact *x, struct overbcks *o); /* when all is done; may be NULL, may park */
    bool         named;      /* the caller named the buckets */
    bool         force;
    uint32_t     flags;      /* XM_* */
    int64_t      now;        /* Unix ns, of the start */
    unsigned     nbcks;
    struct xbck *bcks;
    void        *priv[OVER_MPATHS]; /* of fn: one for each mountpath; freed with free() */
};
/* Begin a job of the kind over the buckets asked for (none: all), and let it go; b of the start wins over its list. */
int overbcks_start(struct node *n, enum xkind kind, const struct xstart *s, over_f *fn,
                   void (*last)(struct xact *x, struct overbcks *o), char id[XID_MAX], struct err *e);

#endif
