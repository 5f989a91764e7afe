/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Per-loop pools of buffers and request contexts.
 *
 * What a busy loop gave back is kept for the next request; what was never needed during a quiet period is freed, so that a peak
 * does not stay in memory. Runs on: the loop; no locks.
 */
#include <malloc.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/util.h"
#include "net/net_impl.h"

#define TRIM_NS SEC_NS(5)

enum { POOL_HEAD, POOL_COPY, POOL_BODY, NPOOLS };

static const struct {
    size_t   size;
    unsigned keep; /* most buffers kept free */
} classes[NPOOLS] = { { HEAD_BUF, 256 }, { COPY_BUF, 32 }, { BODY_BUF, 16 } };

#define KEEP_MAX  256
#define KEEP_REQS 256

struct pool {
    unsigned n, low; /* free now; fewest free since the last trim */
    void    *free[KEEP_MAX];
};

struct pools {
    struct pool  bufs[NPOOLS];
    SLIST_HEAD(, reqctx) reqs;
    unsigned     nreqs, reqs_low;
    struct timer trim;
};

static void
reqctx_destroy(struct reqctx *c)
{
    sbuf_fini(&c->hdrs);
    sbuf_fini(&c->out);
    arena_free(c->req.arena);
    free(c);
}

static struct reqctx *
reqctx_pop(struct pools *p)
{
    struct reqctx *c = SLIST_FIRST(&p->reqs);

    if (c == NULL)
        return NULL;
    SLIST_REMOVE_HEAD(&p->reqs, link);
    p->nreqs--;
    p->reqs_low = MIN(p->reqs_low, p->nreqs);
    return c;
}

/* Free what lay idle for the whole period; go on while something is left. */
static void
trim(struct timer *t)
{
    struct pools *p = CONTAINER_OF(t, struct pools, trim);
    unsigned      left = 0, freed = 0;

    for (unsigned i = 0; i < NPOOLS; i++) {
        struct pool *b = &p->bufs[i];

        for (; b->low > 0; b->low--, freed++)
            free(b->free[--b->n]);
        b->low = b->n;
        left += b->n;
    }
    for (unsigned n = p->reqs_low; n > 0; n--, freed++)
        reqctx_destroy(reqctx_pop(p));
    p->reqs_low = p->nreqs;
    left += p->nreqs;
    if (freed > 0)
        malloc_trim(0);
    if (left > 0)
        timer_arm(loop_self(), t, loop_now() + TRIM_NS);
}

static struct pools *
pools(void)
{
    struct pools *p = loop_slot(loop_self(), NET_SLOT_POOLS);

    if (UNLIKELY(p == NULL)) {
        p = xcalloc(1, sizeof(*p));
        p->trim.fn = trim;
        loop_set_slot(loop_self(), NET_SLOT_POOLS, p);
    }
    return p;
}

static unsigned
class_of(size_t size)
{
    for (unsigned i = 0; i < NPOOLS; i++)
        if (classes[i].size == size)
            return i;
    return NPOOLS; /* a head that outgrew its buffer */
}

char *
buf_take(size_t size)
{
    unsigned     i = class_of(size);
    struct pool *b;

    ASSERT(i < NPOOLS);
    b = &pools()->bufs[i];
    if (b->n == 0)
        return malloc(size);
    b->n--;
    b->low = MIN(b->low, b->n);
    return b->free[b->n];
}

static void
trim_later(struct pools *p)
{
    if (UNLIKELY(p->trim.heap_idx == 0))
        timer_arm(loop_self(), &p->trim, loop_now() + TRIM_NS);
}

void
buf_give(char *buf, size_t size)
{
    unsigned      i = class_of(size);
    struct pools *p = pools();

    if (buf == NULL)
        return;
    if (i == NPOOLS || p->bufs[i].n >= classes[i].keep) {
        free(buf);
        return;
    }
    p->bufs[i].free[p->bufs[i].n++] = buf;
    trim_later(p);
}

struct reqctx *
reqctx_take(void)
{
    struct reqctx *c = reqctx_pop(pools());

    if (c != NULL)
        return c;
    c = malloc(sizeof(*c));
    if (c == NULL)
        return NULL;
    c->req.magic = 0;
    c->held = 0;
    sbuf_init(&c->hdrs, 64 * KIB);
    sbuf_init(&c->out, 512 * KIB);
    c->req.arena = arena_new(2048, 64 * MIB);
    return c;
}

void
reqctx_give(struct reqctx *c)
{
    struct pools *p = pools();

    if (p->nreqs >= KEEP_REQS) {
        reqctx_destroy(c);
        return;
    }
    if (c->out.cap > 80 * KIB) { /* do not let one big answer pin memory */
        sbuf_fini(&c->out);
        sbuf_init(&c->out, 512 * KIB);
    }
    SLIST_INSERT_HEAD(&p->reqs, c, link);
    p->nreqs++;
    trim_later(p);
}

void
net_pools_free(struct run *run)
{
    for (unsigned l = 0; l < run_nloops(run); l++) {
        struct pools  *p = loop_slot(run_loop(run, l), NET_SLOT_POOLS);
        struct reqctx *c;

        if (p == NULL)
            continue;
        loop_set_slot(run_loop(run, l), NET_SLOT_POOLS, NULL);
        for (unsigned i = 0; i < NPOOLS; i++)
            while (p->bufs[i].n > 0)
                free(p->bufs[i].free[--p->bufs[i].n]);
        while ((c = reqctx_pop(p)) != NULL)
            reqctx_destroy(c);
        free(p);
    }
}
