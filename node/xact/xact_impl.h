/* SPDX-License-Identifier: Apache-2.0 */
/* Private to node/xact: what a job and the registry are. */
#ifndef XACT_XACT_IMPL_H
#define XACT_XACT_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "base/assert.h"
#include "base/hmap.h"
#include "core/bmd.h"
#include "run/fiber.h"
#include "xact/xact.h"

#define XERRS_MAX  8   /* different errors that are kept */
#define XCTL_MAX   512
#define SAMPLES    16

/* A bucket, with its names. */
struct xbck {
    bool       set;
    struct bck b;
    char       name[BCK_NAME_MAX + 1], ns_uuid[BCK_NAME_MAX + 1], ns_name[BCK_NAME_MAX + 1];
};
void xbck_set(struct xbck *x, const struct bck *b);
/* The same bucket, and not one that was made again under its name. */
bool xbck_same(const struct bck *a, const struct bck *b);
/* {"name","provider","namespace"}: as AIStore writes buckets; all empty for NULL. */
void xbck_json(struct jw *w, const struct bck *b);

/* A fiber of a job. */
struct xfiber {
    struct msg          msg;     /* its cancellation, on its way to the loop */
    struct xact        *x;
    struct loop        *loop;
    struct fiber       *f;       /* NULL before it runs and after; on the loop only */
    xact_f             *fn;
    void               *arg;
    bool                main;
    bool                cancelling; /* under x->mtx */
    _Atomic unsigned    refs;    /* the fiber's, the message's */
    TAILQ_ENTRY(xfiber) link;
};

struct xwaiter {
    struct park          park;
    TAILQ_ENTRY(xwaiter) link;
};

struct xsample {
    int64_t  at;
    uint64_t objs, bytes;
};

struct xact {
    unsigned           magic;
#define XACT_MAGIC 0x8ac7a11eu
    _Atomic unsigned   refs;
    struct xreg       *g;
    struct hnode       by_id;
    TAILQ_ENTRY(xact)  link;    /* under g->mtx */
    bool               listed;  /* in the registry; ditto */
    enum xkind         kind;
    char               id[XID_MAX];
    struct xbck        bck, src, dst;
    int64_t            started;       /* Unix ns */
    int64_t            started_mono;
    _Atomic int64_t    ended;         /* Unix ns; 0 = not over */
    _Atomic bool       aborted;
    _Atomic uint64_t   objs[3], bytes[3]; /* by enum xcount */
    _Atomic uint64_t   total_objs, total_bytes, done_objs, done_bytes;
    _Atomic uint64_t   packed;        /* glob.id */
    _Atomic unsigned   busy;          /* XF_IDLES: pieces of work at hand */
    _Atomic int64_t    idle_since;    /* mono */
    int64_t            idle_ns;

    pthread_mutex_t    mtx;           /* protects what follows; leaf */
    TAILQ_HEAD(, xfiber)  fibers;
    TAILQ_HEAD(, xwaiter) waiters;
    unsigned           nchildren;     /* fibers but the main one */
    char               ctl[XCTL_MAX];
    char               abort_err[256];
    unsigned           nerrs;         /* different ones seen, also those not kept */
    char              *errs[XERRS_MAX];
    void             (*on_abort)(struct xact *x, void *arg);
    void              *on_abort_arg;
    struct xsample     samples[SAMPLES]; /* a ring; nsamples counts all ever taken */
    unsigned           nsamples;
    _Atomic int64_t    sampled;       /* mono, of the last one */
    _Atomic int64_t    reported;      /* mono: last progress told to the information centre */
};

TAILQ_HEAD(xacts, xact);

/* When the jobs that begin by themselves did so last; the registry's fiber only. */
struct xauto {
    int64_t looked, cleaned, evicted; /* mono; 0 = never */
    int64_t resilver_after, resilver_pause; /* mono: not tried before; between this try and the next */
};

struct xreg {
    struct run      *run;
    struct node     *n;       /* NULL in tests */
    char             name[40];
    pthread_mutex_t  mtx;     /* protects what follows; leaf */
    struct xacts     all;     /* oldest first */
    struct hmap      by_id;
    unsigned         nall;
    _Atomic bool     stopping;
    struct xauto     space;
};

static inline const struct xdesc *
xact_desc(const struct xact *x)
{
    return &xact_table[x->kind];
}

/* "x-kind[id]-bucket": as error texts name a job. Into out[256]. */
#define XNAME_MAX 256
const char *xact_name(const struct xact *x, char out[XNAME_MAX]);
/* The job is over: tell the information centre, look at capacity. Does not park (a fiber does it). */
void xact_tell_end(struct xact *x);
/* A job that this target began by itself. Does not park. */
void xact_tell_begin(struct xact *x);
/* Begin those that are due. Parks. */
void xreg_auto(struct xreg *g, int64_t now);
/* ... how far it is. */
void xact_tell_progress(struct xact *x);
/* Forget what is old, end what idles, report progress: from time to time. Does not park. now: mono; real: Unix. */
void xreg_housekeep(struct xreg *g, int64_t now, int64_t real);
/* First error and how many more; "" when none. Under x->mtx. */
void xact_err_text_locked(const struct xact *x, char *buf, size_t n);

#endif
