/* SPDX-License-Identifier: Apache-2.0 */
/* Fair locks on object names. */
#include "store/nlock.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/util.h"

TAILQ_HEAD(nholds, nhold);

/* A name that somebody holds or waits for. */
struct nname {
    struct hnode  node;
    uint64_t      bid;
    struct nholds holders, waiters;
    struct nhold *upgrader; /* a holder that waits to be the only one */
    size_t        n;
    char          name[];
};

void
nlocks_init(struct nlocks *l)
{
    for (unsigned i = 0; i < NLOCK_SHARDS; i++)
        MUST(pthread_mutex_init(&l->shard[i].mtx, NULL));
}

void
nlocks_fini(struct nlocks *l)
{
    for (unsigned i = 0; i < NLOCK_SHARDS; i++) {
        ASSERT(l->shard[i].names.n == 0);
        hmap_fini(&l->shard[i].names);
        pthread_mutex_destroy(&l->shard[i].mtx);
    }
}

static struct nlock_shard *
shard_of(struct nlocks *l, uint64_t hash)
{
    return &l->shard[(hash >> 48) % NLOCK_SHARDS];
}

static struct nname *
find_locked(struct nlock_shard *sh, uint64_t hash, uint64_t bid, struct str name)
{
    for (struct hnode *n = hmap_first(&sh->names, hash); n != NULL; n = hmap_next_same(n, hash)) {
        struct nname *x = CONTAINER_OF(n, struct nname, node);

        if (x->bid == bid && str_eq(str_from(x->name, x->n), name))
            return x;
    }
    return NULL;
}

static struct nname *
add_locked(struct nlock_shard *sh, uint64_t hash, uint64_t bid, struct str name)
{
    struct nname *x = malloc(sizeof(*x) + name.n);

    if (x == NULL)
        return NULL;
    x->bid = bid;
    x->n = name.n;
    x->upgrader = NULL;
    memcpy(x->name, name.p, name.n);
    TAILQ_INIT(&x->holders);
    TAILQ_INIT(&x->waiters);
    hmap_add(&sh->names, &x->node, hash);
    return x;
}

static bool
held_excl(const struct nname *x)
{
    const struct nhold *h = TAILQ_FIRST(&x->holders);

    return h != NULL && h->excl;
}

/* To the first in the queue. One that gave up meanwhile is taken off; it will not look at the name again. */
static void
grant_locked(struct nname *x, struct nhold *h)
{
    TAILQ_REMOVE(&x->waiters, h, link);
    TAILQ_INSERT_TAIL(&x->holders, h, link);
    h->granted = true;
    if (park_wake(&h->park, 0))
        return;
    TAILQ_REMOVE(&x->holders, h, link);
    h->granted = false;
    h->off = true;
}

/* An upgrade goes before the queue: true while it is waited for, or has just got what it wants. */
static bool
upgrade_locked(struct nname *x)
{
    struct nhold *h = x->upgrader;

    if (h == NULL)
        return false;
    if (TAILQ_FIRST(&x->holders) != h || TAILQ_NEXT(h, link) != NULL)
        return true;
    x->upgrader = NULL;
    h->excl = true;
    if (park_wake(&h->park, 0))
        return true;
    h->excl = false; /* gave up */
    return false;
}

/* Somebody left: who is next? As many sharers as stand at the front of the queue, or one writer. */
static void
next_locked(struct nlock_shard *sh, struct nname *x)
{
    struct nhold *h;

    if (upgrade_locked(x))
        return;
    while ((h = TAILQ_FIRST(&x->waiters)) != NULL) {
        if (held_excl(x) || (h->excl && !TAILQ_EMPTY(&x->holders)))
            return;
        grant_locked(x, h);
    }
    if (TAILQ_EMPTY(&x->holders)) {
        hmap_del(&sh->names, &x->node);
        free(x);
    }
}

int
nlock(struct nlocks *l, uint64_t bid, struct str name, bool excl, struct nhold *h)
{
    uint64_t            hash = hash_bytes(name.p, name.n, bid ^ 0x6e616d65);
    struct nlock_shard *sh = shard_of(l, hash);
    struct nname       *x;
    int                 rc;

    h->excl = excl;
    h->granted = h->off = false;
    pthread_mutex_lock(&sh->mtx);
    x = find_locked(sh, hash, bid, name);
    if (x == NULL)
        x = add_locked(sh, hash, bid, name);
    if (x == NULL) {
        pthread_mutex_unlock(&sh->mtx);
        return -AIS_E_NOMEM;
    }
    h->on = x;
    if (TAILQ_EMPTY(&x->waiters) && x->upgrader == NULL && !held_excl(x) && (!excl || TAILQ_EMPTY(&x->holders))) {
        TAILQ_INSERT_TAIL(&x->holders, h, link);
        h->granted = true;
        pthread_mutex_unlock(&sh->mtx);
        return 0;
    }
    park_init(&h->park);
    TAILQ_INSERT_TAIL(&x->waiters, h, link);
    pthread_mutex_unlock(&sh->mtx);
    rc = park_wait(&h->park, NO_DEADLINE);
    if (rc == 0)
        return 0;
    pthread_mutex_lock(&sh->mtx);
    ASSERT(!h->granted); /* granted means that the wake decided the wait */
    if (!h->off) {
        TAILQ_REMOVE(&x->waiters, h, link);
        next_locked(sh, x); /* those behind may have waited for us only */
    }
    pthread_mutex_unlock(&sh->mtx);
    return rc;
}

void
nunlock(struct nlocks *l, struct nhold *h)
{
    struct nname       *x = h->on;
    struct nlock_shard *sh = shard_of(l, x->node.hash);

    pthread_mutex_lock(&sh->mtx);
    ASSERT(h->granted && x->upgrader != h);
    h->granted = false;
    TAILQ_REMOVE(&x->holders, h, link);
    next_locked(sh, x);
    pthread_mutex_unlock(&sh->mtx);
}

int
nlock_upgrade(struct nlocks *l, struct nhold *h)
{
    struct nname       *x = h->on;
    struct nlock_shard *sh = shard_of(l, x->node.hash);
    int                 rc;

    pthread_mutex_lock(&sh->mtx);
    ASSERT(h->granted && !h->excl);
    if (x->upgrader != NULL) {
        pthread_mutex_unlock(&sh->mtx);
        return -AIS_E_BUSY;
    }
    if (TAILQ_FIRST(&x->holders) == h && TAILQ_NEXT(h, link) == NULL) {
        h->excl = true;
        pthread_mutex_unlock(&sh->mtx);
        return 0;
    }
    x->upgrader = h;
    park_init(&h->park);
    pthread_mutex_unlock(&sh->mtx);
    rc = park_wait(&h->park, NO_DEADLINE);
    if (rc == 0)
        return 0;
    pthread_mutex_lock(&sh->mtx);
    ASSERT(!h->excl);
    if (x->upgrader == h) {
        x->upgrader = NULL;
        next_locked(sh, x);
    }
    pthread_mutex_unlock(&sh->mtx);
    return rc;
}

int
nlock_state(struct nlocks *l, uint64_t bid, struct str name)
{
    uint64_t            hash = hash_bytes(name.p, name.n, bid ^ 0x6e616d65);
    struct nlock_shard *sh = shard_of(l, hash);
    struct nname       *x;
    int                 state = 0;

    pthread_mutex_lock(&sh->mtx);
    x = find_locked(sh, hash, bid, name);
    if (x != NULL && !TAILQ_EMPTY(&x->holders))
        state = held_excl(x) ? 2 : 1;
    pthread_mutex_unlock(&sh->mtx);
    return state;
}
