/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rebalance metadata: the number of the last rebalance, and the chain of maps that no rebalance has settled yet. design.md 6;
 * native-api.md 7; internals.md 6.1.
 *
 * While the chain is not empty an object may lie with whoever owned its name under one of these maps, and a miss at the present owner
 * says nothing. Immutable, counted; placement is HRW over the ids of a map. Threads: any. Nothing parks.
 *
 * JSON: AIStore's {"cluster_id","target_ids","version"}, ours under "ext": {"reb","state","smap","bck","prefix","chain":[{"smap","bmd","ids"}]}.
 */
#ifndef CORE_RMD_H
#define CORE_RMD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/bck_types.h"
#include "core/smap_types.h"

struct json_t;
struct jw;

/* A map before a change of the active targets: who owned what. */
struct rmd_map {
    uint64_t smap_ver;
    uint64_t bmd_ver; /* when the map was replaced: buckets that came later have nothing there */
    unsigned n;
    struct rmd_target {
        char     id[NODE_ID_MAX + 1];
        uint64_t digest;
    } *t;
};

enum rmd_state { RMD_IDLE, RMD_RUNNING, RMD_ABORTED };

#define RMD_CHAIN_MAX  64 /* maps; what is older is folded into the oldest: its targets are asked one and all */
#define RMD_PREFIX_MAX 1024

struct rmd {
    _Atomic unsigned refs;
    uint64_t         version;        /* + 1 with every change */
    uint64_t         reb_id;         /* the last rebalance is "g<reb_id>": the version that began it; 0 = there was none */
    char             cluster_id[40];
    unsigned         njoined;        /* target_ids: who joined with this rebalance */
    char           (*joined)[NODE_ID_MAX + 1];
    enum rmd_state   state;
    uint64_t         smap_ver;       /* the map that this rebalance moves objects to */
    bool             due;            /* another is to begin when the cluster has started: targets came back while it had not */
    struct str       bck;            /* scope, as "provider/@uuid#ns/bucket"; "" = all */
    struct str       prefix;
    unsigned         nchain;         /* newest first */
    struct rmd_map  *chain;
};

struct rmd *rmd_new(const char *cluster_id); /* version 0, idle, settled */
struct rmd *rmd_ref(struct rmd *r);
void        rmd_put(struct rmd *r); /* NULL is fine */
void        rmd_json(const struct rmd *r, struct jw *w);
int         rmd_from_json(const struct json_t *j, struct rmd **out, struct err *e);

/* The map has nothing of this bucket: it was replaced before the bucket came. */
static inline bool
rmd_map_skips(const struct rmd_map *m, const struct bck *b)
{
    return (b->bid & ~BID_AIS) >= m->bmd_ver;
}

/* Who owned the object under that map; NULL for a map without targets. */
const struct rmd_target *rmd_owner(const struct rmd_map *m, uint64_t digest);

/*
 * The distinct former owners of an object of the bucket, newest map first, without `self`; at most max. May the object lie with one
 * of them? Then the answer is not 0.
 */
unsigned rmd_former(const struct rmd *r, const struct bck *b, struct str name, const char *self, const struct rmd_target **out,
                    unsigned max);
/* Is there a map in the chain that may have something of the bucket? */
bool rmd_unsettled(const struct rmd *r, const struct bck *b);
/*
 * Does a map of the chain, of that version or newer, name this target: may it have objects that are not where the present map says?
 */
bool rmd_names(const struct rmd *r, const char *id, uint64_t since);
/* Versions of the newest and the oldest such map; 0 when there is none. */
uint64_t rmd_newest(const struct rmd *r, const struct bck *b);
uint64_t rmd_oldest(const struct rmd *r, const struct bck *b);

/* Builders for the state machine: new values with a change, version + 1. */
/* The active targets of `old`, which another map replaces now, at the head of the chain. */
struct rmd *rmd_push(const struct rmd *r, const struct smap *old, uint64_t bmd_ver);
/* The next rebalance, running, towards that map; joined: who is new, NULL = nobody. bck, prefix: scope, "" = all. */
struct rmd *rmd_begin(const struct rmd *r, uint64_t smap_ver, struct str joined, struct str bck, struct str prefix);
/* One is due. */
struct rmd *rmd_set_due(const struct rmd *r);
/*
 * The rebalance ended. If it was of everything (no scope) and not aborted, what it settled leaves the chain: the maps before the one it
 * moved to, except those with a target that did not take part: one that `now` has as dead. Targets that are not in `now` at all were
 * taken away with what they had.
 */
struct rmd *rmd_end(const struct rmd *r, bool aborted, const struct smap *now);

#endif
