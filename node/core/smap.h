/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cluster map functions: look-up, placement, JSON.
 *
 * A struct smap is immutable and counted. Threads: any. None parks.
 */
#ifndef CORE_SMAP_H
#define CORE_SMAP_H

#include "base/err.h"
#include "base/sbuf.h"
#include "core/bck_types.h"
#include "core/smap_types.h"

struct json_t;
struct jw;

struct smap        *smap_ref(struct smap *m);
void                smap_put(struct smap *m); /* NULL is fine */
const struct snode *smap_find(const struct smap *m, struct str id); /* NULL when absent */
/* Owner of the object: highest weight of active targets. NULL when there is none. */
const struct snode *smap_hrw(const struct smap *m, uint64_t digest);
/* The n best, best first, into out; returns how many there are. */
unsigned            smap_hrw_list(const struct smap *m, uint64_t digest, const struct snode **out, unsigned n);

void smap_json(const struct smap *m, struct jw *w);
void snode_json(const struct snode *n, struct jw *w);
int  smap_from_json(const struct json_t *j, struct smap **out, struct err *e);
int  snode_from_json(const struct json_t *j, struct snode *out, struct err *e);

/* Builders for the state machine: copies with a change, version + 1. */
struct smap *smap_new(const char *uuid); /* version 0, no nodes, created now */
void         smap_set_created(struct smap *m, int64_t unix_ns); /* before it is published: replicas must agree */
struct smap *smap_with_node(const struct smap *m, const struct snode *n);             /* added or replaced */
struct smap *smap_without_node(const struct smap *m, struct str id);
struct smap *smap_with_flags(const struct smap *m, struct str id, uint64_t set, uint64_t clear);
struct smap *smap_with_primary(const struct smap *m, struct str id);
struct smap *smap_with_level(const struct smap *m, unsigned level);
unsigned     smap_common_level(const struct smap *m); /* the lowest of all nodes, also those that are away; 0 = there are none */

/* Fill name ("p[id]"), digest and, where empty, the URLs of a node whose role, id and end points are set. */
void snode_finish(struct snode *n, bool https);
/* The proxy that takes over when `failed` is gone: electable, active, greatest id_digest. NULL when there is none. */
const struct snode *smap_next_primary(const struct smap *m, struct str failed);
/* Takes part in placement (a target), may lead (a proxy). */
static inline bool
snode_active(const struct snode *n)
{
    return (n->flags & (SNODE_MAINT | SNODE_DECOMM | SNODE_DEAD)) == 0;
}

bool node_id_valid(struct str id); /* native-api.md 1.1 */
bool uuid_valid(struct str id);
void uuid_gen(char out[16]);       /* shortid-style: 9 or more of [A-Za-z0-9_-], not starting or ending with - or _ */
/* 8 letters/digits for new nodes. */
void node_id_gen(char out[9]);

#endif
