/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks on object names: shared or exclusive, for fibers and for threads that may block. Fair: who came first is served first, so
 * that a stream of readers cannot starve a writer, nor the other way round.
 *
 * Whoever changes an object holds its name exclusively from before it looks until it is acknowledged. Rank: two names are taken in
 * byte order (nlock_two); nothing else that parks is waited for in between but commits.
 */
#ifndef STORE_NLOCK_H
#define STORE_NLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/hmap.h"
#include "base/str.h"
#include "run/fiber.h"

#define NLOCK_SHARDS 64

/* One holder or waiter; the caller's memory from nlock to nunlock. The name is borrowed. */
struct nhold {
    TAILQ_ENTRY(nhold) link;
    struct nname *on;
    struct park   park;
    bool          excl, granted;
    bool          off; /* gave up, and was taken off the queue by somebody else */
};

struct nlock_shard {
    pthread_mutex_t mtx; /* protects the names hashed to it, their holders and waiters */
    struct hmap     names;
};
struct nlocks {
    struct nlock_shard shard[NLOCK_SHARDS];
};

void nlocks_init(struct nlocks *l);
void nlocks_fini(struct nlocks *l); /* nobody may hold or wait */
/* 0, -AIS_E_TIMEOUT, -AIS_E_CANCELED (the fiber's), -AIS_E_NOMEM. May park. */
int  nlock(struct nlocks *l, uint64_t bid, struct str name, bool excl, struct nhold *h);
void nunlock(struct nlocks *l, struct nhold *h);
/* Shared to exclusive: ahead of those that wait. -AIS_E_BUSY when another holder upgrades already (it would wait for us). */
int  nlock_upgrade(struct nlocks *l, struct nhold *h);
int  nlock_state(struct nlocks *l, uint64_t bid, struct str name); /* 0 free, 1 shared, 2 exclusive */

#endif
