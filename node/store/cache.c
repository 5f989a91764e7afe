/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata and descriptor cache: one for the node, sharded, with hard limits.
 *
 * A hit takes the shard's mutex for a look-up and a count: no system call. Eviction is by clock. An invalidation bumps the shard's
 * epoch, so that a load that overlapped a commit is used by its caller once and not kept.
 *
 * Runs on: any thread; nothing here blocks but for closing descriptors.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/util.h"
#include "store/store_impl.h"

static uint64_t
key_hash(uint64_t bid, struct str name)
{
    return hash_bytes(name.p, name.n, bid);
}

static struct shard *
shard_of(struct store *s, uint64_t hash)
{
    return &s->shards[(hash >> 48) % SHARDS];
}

void
cache_init(struct store *s)
{
    for (unsigned i = 0; i < SHARDS; i++) {
        MUST(pthread_mutex_init(&s->shards[i].mtx, NULL));
        TAILQ_INIT(&s->shards[i].clock);
        s->shards[i].epoch = 1;
    }
}

/* Take o out of the map; the caller drops the cache's reference after unlocking. */
static void
remove_locked(struct shard *sh, struct obj *o)
{
    hmap_del(&sh->map, &o->node);
    TAILQ_REMOVE(&sh->clock, o, lru);
    o->cached = false;
    sh->n--;
    sh->bytes -= o->bytes;
    sh->fds -= o->nfds;
}

/* For there is a newer one, or none. */
static void
outdate_locked(struct shard *sh, struct obj *o)
{
    remove_locked(sh, o);
    o->stale = true;
}

static struct obj *
find_locked(struct shard *sh, uint64_t hash, uint64_t bid, struct str name)
{
    for (struct hnode *n = hmap_first(&sh->map, hash); n != NULL; n = hmap_next_same(n, hash)) {
        struct obj *o = CONTAINER_OF(n, struct obj, node);

        if (o->bid == bid && str_eq(o->name, name))
            return o;
    }
    return NULL;
}

struct obj *
cache_get(struct store *s, uint64_t bid, struct str name, uint64_t *epoch)
{
    uint64_t      h = key_hash(bid, name);
    struct shard *sh = shard_of(s, h);
    struct obj   *o;

    pthread_mutex_lock(&sh->mtx);
    o = find_locked(sh, h, bid, name);
    if (o != NULL) {
        obj_ref(o);
        o->used = true;
    }
    if (epoch != NULL)
        *epoch = sh->epoch;
    pthread_mutex_unlock(&sh->mtx);
    return o;
}

/* Turn the clock until the limits hold: victims go to the list, their references are dropped by cache_evict without the lock. */
static void
evict_locked(struct store *s, struct shard *sh, struct olist *victims)
{
    unsigned looked = 0, most = 2 * sh->n;

    while ((sh->bytes > s->shard_bytes || sh->n > s->shard_entries || sh->fds > s->shard_fds) && looked++ < most) {
        struct obj *o = TAILQ_FIRST(&sh->clock);

        if (o->used) {
            o->used = false;
            TAILQ_REMOVE(&sh->clock, o, lru);
            TAILQ_INSERT_TAIL(&sh->clock, o, lru);
            continue;
        }
        remove_locked(sh, o);
        TAILQ_INSERT_TAIL(victims, o, lru);
    }
}

static unsigned
victims_close(struct olist *victims)
{
    struct obj *o;
    unsigned    n = 0;

    while ((o = TAILQ_FIRST(victims)) != NULL) {
        TAILQ_REMOVE(victims, o, lru);
        atime_leaving(o);
        n++;
    }
    return n;
}

void
cache_put(struct obj *o, uint64_t epoch)
{
    struct store *s = o->store;
    uint64_t      h = key_hash(o->bid, o->name);
    struct shard *sh = shard_of(s, h);
    struct olist  victims = TAILQ_HEAD_INITIALIZER(victims);
    struct obj   *old;

    pthread_mutex_lock(&sh->mtx);
    if (epoch != 0 && sh->epoch != epoch) {
        pthread_mutex_unlock(&sh->mtx);
        return;
    }
    old = find_locked(sh, h, o->bid, o->name);
    if (old != NULL)
        outdate_locked(sh, old);
    if (epoch == 0)
        sh->epoch++;
    obj_ref(o);
    o->cached = true;
    o->used = true;
    hmap_add(&sh->map, &o->node, h);
    TAILQ_INSERT_TAIL(&sh->clock, o, lru);
    sh->n++;
    sh->bytes += o->bytes;
    sh->fds += o->nfds;
    evict_locked(s, sh, &victims);
    pthread_mutex_unlock(&sh->mtx);
    obj_close(old);
    atomic_fetch_add_explicit(&s->evicted, victims_close(&victims), memory_order_relaxed);
}

void
cache_fd_opened(struct obj *o)
{
    struct shard *sh = shard_of(o->store, key_hash(o->bid, o->name));
    struct olist  victims = TAILQ_HEAD_INITIALIZER(victims);

    pthread_mutex_lock(&sh->mtx);
    o->nfds++;
    if (o->cached) {
        sh->fds++;
        evict_locked(o->store, sh, &victims);
    }
    pthread_mutex_unlock(&sh->mtx);
    atomic_fetch_add_explicit(&o->store->evicted, victims_close(&victims), memory_order_relaxed);
}

void
cache_drop(struct store *s, uint64_t bid, struct str name)
{
    uint64_t      h = key_hash(bid, name);
    struct shard *sh = shard_of(s, h);
    struct obj   *o;

    pthread_mutex_lock(&sh->mtx);
    sh->epoch++;
    o = find_locked(sh, h, bid, name);
    if (o != NULL)
        outdate_locked(sh, o);
    pthread_mutex_unlock(&sh->mtx);
    obj_close(o);
}

/* Everything of a bucket (bid, 0 = any) and of a mountpath (m, NULL = any). */
void
cache_drop_all(struct store *s, uint64_t bid, const struct mpath *m)
{
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *sh = &s->shards[i];
        struct olist  gone = TAILQ_HEAD_INITIALIZER(gone);
        struct obj   *o, *next;

        pthread_mutex_lock(&sh->mtx);
        sh->epoch++;
        for (o = TAILQ_FIRST(&sh->clock); o != NULL; o = next) {
            next = TAILQ_NEXT(o, lru);
            if ((bid != 0 && o->bid != bid) || (m != NULL && o->info.mpath != m->idx && o->info.nchunks == 0))
                continue;
            remove_locked(sh, o);
            o->stale = bid != 0;
            TAILQ_INSERT_TAIL(&gone, o, lru);
        }
        pthread_mutex_unlock(&sh->mtx);
        (void)victims_close(&gone);
    }
}

void
cache_fini(struct store *s)
{
    cache_drop_all(s, 0, NULL);
    for (unsigned i = 0; i < SHARDS; i++) {
        hmap_fini(&s->shards[i].map);
        pthread_mutex_destroy(&s->shards[i].mtx);
    }
}
