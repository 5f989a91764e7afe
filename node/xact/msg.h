/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients and proxies say about jobs: ArgsMsg of start and stop, QueryMsg of queries. One structure serves both, for their members
 * differ by name only. And how a target starts a job.
 *
 * Wire: jobs-and-services.md 1.3, 1.4
 */
#ifndef XACT_MSG_H
#define XACT_MSG_H

#include "base/arena.h"
#include "xact/xact.h"

struct xmsg {
    struct str  id, node;       /* node: "DaemonID", "node" */
    enum xkind  kind;           /* X_ANY = not given */
    bool        has_bck;
    struct bck  bck;            /* identity only */
    unsigned    nbcks;
    struct bck *bcks;           /* "Buckets"; in the arena */
    uint32_t    flags;          /* XM_* */
    bool        force;
    int         active;         /* "show_active", "OnlyRunning": 1, 0; -1 = not given */
};
#define XM_ZERO_SIZE        (1u << 0)
#define XM_LATEST           (1u << 1)
#define XM_SYNC             (1u << 2)
#define XM_KEEP_MISPLACED   (1u << 3)
#define XM_REMOVE_MISPLACED (1u << 4)

/* v: the object, borrowed (strings point into it); NULL = nothing given. 0, or -AIS_E_BADREQ with a text. Pure. */
int  xmsg_read(const struct json_t *v, struct arena *a, struct xmsg *m, struct err *e);
/* As a value: ArgsMsg, QueryMsg. */
void xmsg_args_json(const struct xmsg *m, struct jw *w);
void xmsg_query_json(const struct xmsg *m, struct jw *w);
/* "x-kind[id]-ais://b-only-running": as error texts name a query. */
const char *xmsg_text(const struct xmsg *m, char *buf, size_t n);

/*
 * Start a job on this target: the table kind -> function is in start.c. id: of the job that runs now, which may be one that ran already.
 * b: m->bck found in the BMD, NULL when none is given. name: of the action (an object's, for blob-download). -AIS_E_NOTIMPL: a kind that
 * is not built yet; -AIS_E_BADREQ; what the kind's own function says. May park.
 */
int xact_start(struct node *n, const struct xmsg *m, const struct bck *b, struct str name, char id[XID_MAX], struct err *e);

#endif
