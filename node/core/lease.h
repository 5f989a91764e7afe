/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases of targets, and the map in force. design.md 6; README.md, "Leases".
 *
 * A target serves clients only under a lease from the primary, and only what it owns under every map that somebody else may still act
 * under: its own, and those that were replaced but may be in use elsewhere. A map is *in force* when every target has adopted it, or a newer
 * one, or can hold no lease that was granted before it. The maps between the one in force and the newest are known from the chain of
 * unsettled maps, which comes with the map itself.
 *
 * Times are of clock_mono, each on its own machine: the holder counts from before it asked, the giver from when it answered, and 1 % more for
 * clocks that drift.
 *
 * Threads: any. Nothing parks or blocks but for a mutex that is a leaf.
 */
#ifndef CORE_LEASE_H
#define CORE_LEASE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/err.h"
#include "core/bck_types.h"
#include "core/rmd.h"
#include "core/smap_types.h"

struct json_t;
struct jw;
struct lease;
struct node;

#define LEASE_NS     4000000000LL /* how long one lasts, from when it was asked for */
#define LEASE_GIVEN  4040000000LL /* how long it may last by the giver's clock, from when it was granted */
#define LEASE_UNKNOWN UINT64_MAX

/* --- for roles --- */
/*
 * May this target serve clients now? -AIS_E_UNAVAIL with a text. One atomic load and the clock.
 */
int lease_check(struct node *n, struct err *e);
/*
 * The same, and does it own the object, under the request's map and under those that may still be in use? -AIS_E_NOTOWNER: it is another
 * target's; -AIS_E_UNAVAIL: not yet. For the start of a client's request; smap and rmd are the request's.
 */
int lease_check_obj(struct node *n, const struct smap *m, const struct rmd *r, const struct bck *b, struct str name, struct err *e);
/* The same under the newest map adopted here, for committers: ctx is the struct node. Does not block. */
int lease_may_commit(void *ctx, const struct bck *b, struct str name);
/* The version of the map in force, as far as this node knows; 0 = none known. */
uint64_t lease_in_force(struct node *n);
/*
 * Is it this target's by the newest map adopted here, in force or not? What loops see of a map (views) may come a moment later: what must
 * agree between two fibers asks here. Any thread; does not park.
 */
bool lease_owns(struct node *n, const struct bck *b, struct str name);
/*
 * Work that relies on the newest map adopted here from its begin to its end; the caller's memory. lease_oldest_stay: the map of the oldest
 * that goes on, UINT64_MAX: none does. Any thread; does not park.
 */
struct lease_stay {
    TAILQ_ENTRY(lease_stay) link;
    uint64_t smap_ver;
};
void     lease_stay(struct node *n, struct lease_stay *s);
void     lease_go(struct node *n, struct lease_stay *s);
uint64_t lease_oldest_stay(struct node *n);

/* --- for core --- */
struct lease *lease_new(void);
void          lease_free(struct lease *l); /* NULL is fine */
/* A map was adopted here, with the chain that belongs to it; before anybody acts on it. Both are referenced. */
void lease_map(struct lease *l, struct smap *m, struct rmd *r);

/* The holder: what the primary said, {"force":{"epoch","smap"},"lease":{"ns","under"}}; asked_at: when the node asked, 0 = it did not. */
void lease_learn(struct lease *l, const struct json_t *j, int64_t asked_at);
void lease_drop(struct lease *l); /* from now on it has none: until the next grant */
/* What it tells whoever is primary: "force". */
void lease_report(struct lease *l, struct jw *w);

/*
 * The giver. fresh: the cluster is new, nobody can hold a lease. An older primary's grants are unknown otherwise: for one lease's time only what
 * every target has adopted comes into force, and in a new recovery epoch nothing is granted.
 */
void lease_lead(struct lease *l, uint32_t epoch, bool fresh, int64_t now);
void lease_unlead(struct lease *l); /* it does not lead any more */
/* These say whether the map in force changed, so that everybody should be told. */
bool lease_acked(struct lease *l, const char *id, uint64_t smap_ver, int64_t now);
bool lease_reported(struct lease *l, const struct json_t *j, int64_t now);
bool lease_tick(struct lease *l, int64_t now);
/* Grant to a target, under a map that its answer carries or that it has: "lease" into the open object. */
void lease_grant(struct lease *l, const char *id, uint64_t under, int64_t now, struct jw *w);
void lease_force_json(struct lease *l, struct jw *w); /* "force" into the open object */
uint64_t lease_force(struct lease *l);
int64_t  lease_left(struct lease *l, int64_t now); /* of this node's own, ns; <= 0 = none */
/* The longest that a target may still act under an older lease, ns; 0 = it cannot. */
int64_t  lease_given_left(struct lease *l, const char *id, int64_t now);

#endif
