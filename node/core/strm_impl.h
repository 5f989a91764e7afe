/* SPDX-License-Identifier: Apache-2.0 */
/* Private to strm.c, strmtx.c, strmrx.c: what a node has of streams. */
#ifndef CORE_STRM_IMPL_H
#define CORE_STRM_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/hmap.h"
#include "core/core_impl.h"
#include "core/strmwire.h"
#include "net/upgrade.h"

#define STRM_NAMES   32
#define STRM_BEAT    SEC_NS(2)  /* a receiver with work shows a sign of life so often */
#define STRM_DEAD    SEC_NS(10) /* a receiver that shows none for so long is gone */
#define STRM_STALL   SEC_NS(60) /* a sender that stops in the middle for so long is gone; so is one that says nothing for so long at all */
#define STRM_LZ4_MIN 512        /* smaller is not worth trying */

/* A name that somebody handles here, or did. Never freed while the node lives. */
struct strm_handler {
    const char  *name;
    strm_recv_f *fn;   /* NULL: not any more */
    void        *ctx;
    unsigned     busy; /* objects that fn has */
    struct park *idle; /* waits for busy to become 0 */
};

/* The senders of one loop: only that loop touches it. */
struct strm_loop {
    struct hmap outs;
};

struct strms {
    struct node        *n;
    pthread_mutex_t     mtx; /* protects names and nnames */
    struct strm_handler names[STRM_NAMES];
    unsigned            nnames;
    _Atomic uint64_t    granted; /* bytes that all senders together may have under way to here */
    struct strm_loop   *loops;
};

struct strm_handler *strm_handler_find(struct strms *s, struct str name); /* NULL: nobody ever handled it */
/* Take it for one object: its function, or NULL when it is handled no more; give it back after the function returned. Any thread. */
strm_recv_f *strm_handler_enter(struct strms *s, struct strm_handler *h, void **ctx);
void         strm_handler_leave(struct strms *s, struct strm_handler *h);

/* strmtx.c: after the loops stopped. */
void strm_outs_free(struct strm_loop *l);

#endif
