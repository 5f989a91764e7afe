/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published metadata: what a request takes at its start and uses to its end.
 *
 * Every loop has a box of its own that holds the present snapshots; taking and putting is one uncontended atomic each. A new set is
 * published by a message to every loop: between its turns the loop exchanges its box. Threads that are no loop share one more box
 * behind a mutex.
 */
#include <pthread.h>
#include <stdlib.h>

#include "core/core_impl.h"

#include "base/assert.h"
#include "base/util.h"

/* The snapshots themselves, shared by the boxes of all loops. */
struct vset {
    _Atomic unsigned     refs;
    struct smap         *smap;
    struct bmd          *bmd;
    struct cluster_conf *conf;
    struct rmd          *rmd;
    uint64_t             etlmd_version;
};

struct vbox {
    _Atomic unsigned refs;
    struct vset     *set;
};

struct vslot {
    struct vbox *cur;
    char         pad[64 - sizeof(void *)]; /* a cache line of its own */
};

struct views_box {
    pthread_mutex_t mtx;    /* protects the last slot, that of other threads */
    unsigned        nloops;
    struct vslot    slot[]; /* one a loop and one for the rest */
};

static struct vset *
vset_new(const struct mset *m, struct cluster_conf *conf)
{
    struct vset *s = xcalloc(1, sizeof(*s));

    atomic_init(&s->refs, 1);
    s->smap = smap_ref(m->smap);
    s->bmd = bmd_ref(m->bmd);
    s->conf = conf;
    s->rmd = rmd_ref(m->rmd);
    s->etlmd_version = m->etlmd_version;
    return s;
}

static void
vset_put(struct vset *s)
{
    if (atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    smap_put(s->smap);
    bmd_put(s->bmd);
    conf_put(s->conf);
    rmd_put(s->rmd);
    free(s);
}

static struct vbox *
vbox_new(struct vset *s)
{
    struct vbox *b = xcalloc(1, sizeof(*b));

    atomic_fetch_add(&s->refs, 1);
    atomic_init(&b->refs, 1);
    b->set = s;
    return b;
}

static void
vbox_put(struct vbox *b)
{
    if (b == NULL || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    vset_put(b->set);
    free(b);
}

static void
vbox_get(struct vbox *b, struct views *v)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    v->smap = b->set->smap;
    v->bmd = b->set->bmd;
    v->conf = b->set->conf;
    v->rmd = b->set->rmd;
    v->etlmd_version = b->set->etlmd_version;
    v->box = b;
}

void
views_get(struct node *n, struct views *v)
{
    struct views_box *x = n->views;
    struct loop      *l = loop_self();

    if (LIKELY(l != NULL && loop_run(l) == n->run)) {
        vbox_get(x->slot[loop_index(l)].cur, v);
        return;
    }
    MUST(pthread_mutex_lock(&x->mtx));
    vbox_get(x->slot[x->nloops].cur, v);
    MUST(pthread_mutex_unlock(&x->mtx));
}

void
views_put(struct views *v)
{
    vbox_put(v->box);
    v->box = NULL;
}

int
views_init(struct node *n, const struct mset *m, struct cluster_conf *conf)
{
    unsigned          nloops = run_nloops(n->run), i;
    struct views_box *x = xcalloc(1, sizeof(*x) + (nloops + 1) * sizeof(x->slot[0]));
    struct vset      *s = vset_new(m, conf);

    MUST(pthread_mutex_init(&x->mtx, NULL));
    x->nloops = nloops;
    for (i = 0; i <= nloops; i++)
        x->slot[i].cur = vbox_new(s);
    vset_put(s);
    n->views = x;
    return 0;
}

void
views_fini(struct node *n)
{
    unsigned i;

    if (n->views == NULL)
        return;
    for (i = 0; i <= n->views->nloops; i++)
        vbox_put(n->views->slot[i].cur);
    pthread_mutex_destroy(&n->views->mtx);
    free(n->views);
    n->views = NULL;
}

/* --- publication --- */
struct publish {
    struct park      park;
    _Atomic unsigned left;
};

struct swap {
    struct msg      msg;
    struct vslot   *slot;
    struct vbox    *box;
    struct publish *pub;
};

static void
swap_run(struct msg *msg)
{
    struct swap    *s = CONTAINER_OF(msg, struct swap, msg);
    struct publish *pub = s->pub;

    vbox_put(s->slot->cur);
    s->slot->cur = s->box;
    if (atomic_fetch_sub(&pub->left, 1) == 1)
        park_wake(&pub->park, 0);
}

void
views_publish(struct node *n, const struct mset *m, struct cluster_conf *conf)
{
    struct views_box *x = n->views;
    struct vset      *s = vset_new(m, conf);
    struct swap      *swaps = xcalloc(x->nloops, sizeof(*swaps));
    struct publish    pub;
    struct vbox      *old;
    unsigned          i;

    ASSERT_MAY_PARK();
    MUST(pthread_mutex_lock(&x->mtx));
    old = x->slot[x->nloops].cur;
    x->slot[x->nloops].cur = vbox_new(s);
    MUST(pthread_mutex_unlock(&x->mtx));
    vbox_put(old);

    fiber_shield();
    park_init(&pub.park);
    atomic_init(&pub.left, x->nloops);
    for (i = 0; i < x->nloops; i++) {
        swaps[i] = (struct swap){ .msg.fn = swap_run, .slot = &x->slot[i], .box = vbox_new(s), .pub = &pub };
        loop_post(run_loop(n->run, i), &swaps[i].msg);
    }
    vset_put(s);
    (void)park_wait(&pub.park, NO_DEADLINE);
    fiber_unshield();
    free(swaps);
}
