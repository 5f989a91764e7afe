/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs ("xactions"): the table of kinds, the registry of a target, and what every job is made of: counters, progress, abort, errors.
 *
 * A job in five lines, on any fiber of the target:
 *
 *     rc = xact_begin(n->jobs, &(struct xact_args){ .kind = X_RESILVER }, &x, e);
 *     if (rc != 0)
 *         return rc;                      (1: one that does the same runs already; *out is that one, xact_put() it)
 *     return xact_go(x, resilver, arg);   (a fiber of its own, cancelled by abort; takes x, ends the job when resilver() returns)
 *
 * Threads: any, unless a function says otherwise. Locks are leaves and never held across a park.
 * Wire:    jobs-and-services.md 1
 */
#ifndef XACT_XACT_H
#define XACT_XACT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/bck_types.h"
#include "run/run.h"

struct node;
struct jw;
struct json_t;
struct xact;
struct xreg;

/* --- kinds --- */
enum xkind {
    X_ELECTION, X_REBALANCE, X_ETL_INLINE, X_LRU, X_CLEANUP, X_SUMMARY_BCK, X_SUMMARY_SHARD, X_RESILVER, X_RECHUNK, X_INDEX_SHARD,
    X_EC_GET, X_EC_PUT, X_EC_RESP, X_PUT_COPIES, X_ARCHIVE, X_COPY_LISTRANGE, X_ETL_LISTRANGE, X_BLOB_DOWNLOAD, X_DOWNLOAD, X_DSORT,
    X_PROMOTE, X_EVICT_LISTRANGE, X_EVICT_REMOTE_BCK, X_DELETE_LISTRANGE, X_PREFETCH_LISTRANGE, X_EC_ENCODE, X_MAKE_N_COPIES,
    X_MOVE_BCK, X_COPY_BCK, X_ETL_BCK, X_LIST, X_GET_BATCH, X_CREATE_INVENTORY, X_LOAD_LOM_CACHE,
    X_NKINDS, X_ANY = X_NKINDS /* in filters */
};

enum xscope { XS_GLOBAL, XS_BCK, XS_GLOBAL_BCK, XS_TARGET };

#define XF_STARTABLE  (1u << 0) /* by the generic "start" */
#define XF_IDLES      (1u << 1) /* on demand: stays for a while without work */
#define XF_REBALANCE  (1u << 2) /* moves data between nodes */
#define XF_RESILVER   (1u << 3) /* moves data between mountpaths */
#define XF_CONFLICTS  (1u << 4) /* does not start while a job of the two lines above runs */
#define XF_ABORT_REB  (1u << 5) /* aborted when a rebalance starts */
#define XF_CAP        (1u << 6) /* capacity is looked at again when it ends */
#define XF_METASYNC   (1u << 7) /* changes cluster metadata */
#define XF_QUIET      (1u << 8) /* many and short: little logging, forgotten after a minute */
#define XF_IC_TERM    (1u << 9) /* its end is reported to the information centre */
#define XF_IC_PROG    (1u << 10) /* its progress, too */
#define XF_IC         (XF_IC_TERM | XF_IC_PROG)

/* What happens when the same kind (of the same bucket, for XS_BCK) runs already. One with the same id is always used. */
enum xprev {
    XP_NEW,   /* another one starts */
    XP_USE,   /* that one is used */
    XP_ABORT, /* that one is aborted, then this one starts */
    XP_REFUSE /* -AIS_E_BADREQ "... is already running - not starting" */
};

struct xdesc {
    const char *kind, *display; /* as in {"action"}; the other name that clients may use */
    enum xscope scope;
    unsigned    flags;
    enum xprev  prev;
    uint64_t    access;         /* bits of struct bck.access that a client needs by default; 0 = none */
};
extern const struct xdesc xact_table[X_NKINDS];

/* Kind or display name; false when neither. */
bool xkind_find(struct str name, enum xkind *out);

/* --- ids --- */
#define XID_MAX 34 /* with the NUL */
bool xid_valid(struct str id);                      /* 9..32 characters, or a rebalance id */
bool xid_rebalance(struct str id, uint64_t *rmd_version); /* "g<N>" */

/* --- the registry: n->jobs of a target --- */
/* name: "t[id]" in error texts. n: configuration and capacity; NULL in tests. Blocks. */
struct xreg *xreg_new(struct run *run, const char *name, struct node *n);
/* After the fibers ended. */
void         xreg_free(struct xreg *g); /* NULL is fine */

/* --- one job --- */
struct xact_args {
    enum xkind        kind;
    struct str        id;            /* {NULL,0}: a new one is made */
    const struct bck *bck, *src, *dst; /* copied; may be NULL */
    struct str        ctlmsg;        /* what the job is about, for people */
    bool              no_check;      /* do not look for conflicting jobs */
    int64_t           idle_ns;       /* XF_IDLES: ends after so long without work; 0 = a minute */
};
/*
 * Register a job that starts now. 0: *out is it, running: give it to xact_go() or xact_end(). 1: *out is the one that runs already
 * (see enum xprev): xact_put() it. -AIS_E_BUSY (409): a rebalance or resilver runs, also after five seconds; -AIS_E_BADREQ: XP_REFUSE.
 * May park when it is on a fiber; elsewhere it does not wait.
 */
int  xact_begin(struct xreg *g, const struct xact_args *a, struct xact **out, struct err *e);
/*
 * The job's run: fn on a fiber of its own, on the calling loop (the first one when called off the loops). Waits of that fiber end with
 * -AIS_E_CANCELED once the job is aborted (shield what must be finished). When fn has returned and all that it spawned has ended, the job
 * ends with its result. Takes the reference. -AIS_E_OVERLOAD: the job has ended with that.
 */
typedef int xact_f(struct xact *x, void *arg, struct err *e);
int  xact_go(struct xact *x, xact_f *fn, void *arg);
/* More fibers of the job, on any loop (NULL: this one), cancelled by abort, too. What they return is added to the job's errors,
 * -AIS_E_CANCELED excepted. Only while the job's own fn runs, or from another of its fibers. */
int  xact_spawn(struct xact *x, struct loop *l, const char *name, xact_f *fn, void *arg);
/* Park until all spawned ones have ended, aborted or not. From fn only. */
void xact_join(struct xact *x);
/* The end, for jobs without xact_go: rc and e as a function returns them (0, NULL). Takes the reference. Once. Does not park. */
void xact_end(struct xact *x, int rc, const struct err *e);

struct xact *xact_ref(struct xact *x);
void         xact_put(struct xact *x); /* NULL is fine */

/* Abort: false when it is over or aborted already. why: "" = "user abort". Does not park. */
bool xact_abort(struct xact *x, const char *why);
bool xact_aborted(const struct xact *x);
/* Called once, at the abort, on the aborting thread; must not park. Set right after xact_begin. */
void xact_on_abort(struct xact *x, void (*fn)(struct xact *x, void *arg), void *arg);
/* Park until the job is aborted or over, or deadline. 0 or -AIS_E_TIMEOUT, -AIS_E_CANCELED (the caller's fiber). */
int  xact_wait(struct xact *x, int64_t deadline);
/* ... until it is over: after an abort, when its fibers have ended, too. */
int  xact_wait_over(struct xact *x, int64_t deadline);
/* Park for ns: 0, or -AIS_E_CANCELED when the job is aborted meanwhile. From a fiber of the job. */
int  xact_sleep(struct xact *x, int64_t ns);

/* Counters of the Snap. */
enum xcount { XC_LOC, XC_OUT, XC_IN };
void xact_count(struct xact *x, enum xcount what, uint64_t objs, uint64_t bytes);
/* Progress: what there is to do (absolute, may grow), and what more has been done. Zero: not known. Rate and time left come from it. */
void xact_total(struct xact *x, uint64_t objs, uint64_t bytes);
void xact_done(struct xact *x, uint64_t objs, uint64_t bytes);
/* Add an error; equal ones count once, none is added after an abort. Texts: e's, or the table's for rc. */
void     xact_err(struct xact *x, int rc, const struct err *e);
unsigned xact_nerrs(const struct xact *x);
void     xact_ctlmsg(struct xact *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void     xact_workers(struct xact *x, unsigned joggers, unsigned workers); /* glob.id */
/* XF_IDLES: work has come, has gone. A job that had none for idle_ns is ended by the registry; such jobs have no xact_go and no end of
 * their own: who made it drops the reference with xact_put. */
void     xact_busy(struct xact *x);
void     xact_unbusy(struct xact *x);

const char *xact_id(const struct xact *x);
enum xkind  xact_kind(const struct xact *x);
const struct bck *xact_bck(const struct xact *x); /* NULL: none */
struct xreg *xact_reg(const struct xact *x);
bool        xact_running(const struct xact *x); /* neither aborted nor over */
/* The Snap (1.4) as a JSON value. "ext" is null or {"done","total","done-bytes","total-bytes","rate","rate-bytes","eta_ns"}. */
void        xact_snap(struct xact *x, struct jw *w);

/* --- selection --- */
/* Which jobs: those of an id; else those of a kind and a bucket, each if given. */
struct xfilter {
    struct str        id;
    enum xkind        kind;         /* X_ANY */
    const struct bck *bck;          /* NULL = any */
    enum { XR_ALL, XR_RUNNING, XR_NOT_RUNNING } running;
};
struct xact *xreg_find(struct xreg *g, struct str id); /* counted; NULL */
/* One that runs; counted; NULL. */
struct xact *xreg_running(struct xreg *g, enum xkind kind, const struct bck *b);
/* The one that was started last, over or not; counted; NULL. */
struct xact *xreg_last(struct xreg *g, enum xkind kind);
/* Snaps of all that match, oldest first, as a JSON array. -AIS_E_NOXACT: an id that is not known (a list "a,b" has one that is). */
int      xreg_query(struct xreg *g, const struct xfilter *f, struct jw *w, struct err *e);
/* ["kind[id]", ...] sorted. */
void     xreg_running_names(struct xreg *g, enum xkind kind, struct jw *w);
/* Abort those that match and run; how many. */
unsigned xreg_stop(struct xreg *g, const struct xfilter *f, const char *why);
/* A rebalance starts: all XF_ABORT_REB. */
unsigned xreg_stop_for_rebalance(struct xreg *g, const char *why);
/*
 * May it run beside what runs? kind: a job of that kind; X_ANY: an administrator's change of a node (action names it). dst: of a
 * rename. 0 or -AIS_E_BUSY with AIStore's text. Parks up to five seconds on a fiber.
 */
int      xreg_coexist(struct xreg *g, enum xkind kind, const char *action, const struct bck *b, const struct bck *dst, struct err *e);

/* Fixed texts of aborts, as clients know them. */
#define XABORT_USER  "user abort"
#define XABORT_IC    "IC(notifications) abort"
#define XABORT_RENEW "renewal abort"

#endif
