/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of cluster metadata, for handlers and membership: each is one command through the consensus gate, then the new snapshots
 * are published here and sent to every node; the call returns when all reachable active nodes have adopted them (bounded by
 * timeout.max_keepalive; a node that lags is brought up by its next keepalive).
 *
 * Only on the primary: -AIS_E_NOTPRIMARY elsewhere (handlers relay to the primary first, see relay_to_primary). May park.
 */
#ifndef CORE_META_H
#define CORE_META_H

#include "core/node.h"

struct json_t;

/* toset: BpropsToSet or NULL. 409 `bucket "ais://b" already exists`. */
int meta_bck_create(struct node *n, const struct bck *b, const struct json_t *toset, struct err *e);
int meta_bck_destroy(struct node *n, const struct bck *b, struct err *e);
/* toset NULL = reset to the cluster's defaults. */
int meta_bck_set_props(struct node *n, const struct bck *b, const struct json_t *toset, struct err *e);
/* A ConfigToSet. transient: in memory of every node, not persisted. */
int meta_conf_set(struct node *n, const struct json_t *toset, bool transient, struct err *e);
int meta_conf_reset(struct node *n, struct err *e);
/*
 * The query of a set-config request, "?rebalance.enabled=false&transient=true", as a ConfigToSet: keys in any case, checked one by one
 * with AIStore's texts, -AIS_E_BADREQ when there is none. *toset is new (json_decref).
 */
int req_conf_toset(struct req *r, struct json_t **toset, bool *transient, struct err *e);
/* --- membership --- */
/* A node that joins. In a cluster that has started a target is given what is its own: *reb = the rebalance that began, 0 = none. */
int meta_node_add(struct node *n, const struct snode *sn, uint64_t *reb, struct err *e);
/* Out of the map. Those that are not in it are no error, as long as one is. */
int meta_node_left(struct node *n, struct str id, struct err *e); /* it says itself that it stops; like death, but nobody waits for it */
int meta_nodes_remove(struct node *n, const struct str *ids, size_t nids, struct err *e);
/* Nodes that leave service (on) or come back: all of them or none, one version of the map. cstate.c, "node-maint". */
struct node_maint {
    const struct str *ids;
    size_t            nids;
    bool              on;
    bool              rebalance; /* move what the targets have, or what is theirs, if the configuration lets us */
    bool              decomm, stop, rm_data, keep_conf, stay_up; /* what becomes of them when that is done (smap_types.h) */
};
int meta_node_maint(struct node *n, const struct node_maint *c, uint64_t *reb, struct err *e);
/* set-primary: hand over to that proxy, which becomes a voter first if it is none. Returns when it is primary in this node's eyes, too. */
int meta_set_primary(struct node *n, const char *id, struct err *e);
/* What was owed to nodes that leave has been done: their flags in `clear` are cleared. */
int meta_node_flags(struct node *n, struct str id, uint64_t set, uint64_t clear, struct err *e);

/*
 * Hand the cluster's metadata, but for the map, to a node that an administrator wants in; self = what it says of itself. 409 when it
 * belongs to another cluster. May park.
 */
int member_invite(struct node *n, const struct snode *to, struct snode *self, struct err *e);
/* The map has a node of this id at another address, and it answers there: 409. May park. */
int member_id_taken(struct node *n, const struct snode *sn, struct err *e);

/* --- rebalance --- */
/* An administrator starts one; bck: uname, prefix: "" = everything. *reb: it is "g<*reb>". 409 while one runs. */
int meta_reb_start(struct node *n, struct str bck, struct str prefix, uint64_t *reb, struct err *e);
/* The cluster has started: one that is due begins. */
int meta_reb_settle(struct node *n, struct err *e);
/* All that take part have finished, or it was given up. One that has ended already is no error. */
int meta_reb_end(struct node *n, uint64_t reb, bool aborted, struct err *e);

/*
 * What a role does when a new snapshot is adopted, before it is published to requests: a target makes and destroys bucket
 * directories when the BMD changes. Set once, before the node joins. May park. old is NULL when this node knew none before: at its start,
 * and at its first join. A target then takes its disks as they are (buckets may lie on them already: store_bck_adopt).
 *
 * What fails is reported to whoever made the change, and adopted all the same: the hook's owner has to go on trying.
 */
struct meta_hooks {
    int (*on_bmd)(struct node *n, struct bmd *old, struct bmd *nw, struct err *e);
    int (*on_smap)(struct node *n, struct smap *old, struct smap *nw, struct err *e);
    int (*on_conf)(struct node *n, struct cluster_conf *old, struct cluster_conf *nw, struct err *e);
    /* The fence rose (the primary started anew, without any map changing). Any thread; must not park. */
    void (*on_fence)(struct node *n, struct cons_fence f);
};
void meta_set_hooks(struct node *n, const struct meta_hooks *h);

/* Non-primary proxies relay a control-plane request to the primary, transparently (native-api.md 1.7): true when the request was
 * answered by relaying (or by an error), false when this node is the primary and should go on. The body must be in r->body. */
bool relay_to_primary(struct req *r);
/* Relay to any node's control network (reverse proxy): target is the path and query to ask there. */
void relay_to_node(struct req *r, const struct snode *to, struct str target);

/* --- the life of a node --- */
struct node_opts {
    const struct node_role *impl;  /* role_types.h: proxy_role or target_role; its ->role is the node's */
    const char *config, *local_config; /* files */
    const char *daemon_id;             /* NULL = environment, disk, generated */
    const char *config_custom;         /* "k=v,k=v" */
    bool        transient;             /* config_custom is not persisted */
    bool        standby, skip_startup, start_with_lost_mountpath, loopback;
    unsigned    ntargets;              /* targets to wait for before the cluster counts as started; 0 = not given */
    unsigned    nloops;                /* 0 = one per CPU */
    unsigned    level;                 /* 0 = FEATURE_LEVEL; tests play older and newer programs */
    /*
     * The primary told the node to leave (node_ending says how): whoever started it is to node_stop it, soon. Any thread; must
     * not block. NULL = it is only remembered.
     */
    void      (*ask_end)(void);
};
#define END_STOP      (1u << 0)
#define END_WIPE      (1u << 1) /* decommissioned: after node_stop, wipe_run what wipe_plan said before it */
#define END_RM_DATA   (1u << 2) /* users' objects, too */
#define END_KEEP_CONF (1u << 3) /* but not the files that it was first started with, and the cluster key */
#define END_STAY_UP   (1u << 4) /* then it is to be started again, standing by */
unsigned node_ending(const struct node *n);
/*
 * The process is to end, and nobody in the cluster has asked for it: have the primary take this node out of the map's active ones at once,
 * rather than when it is missed. Blocks, for two seconds at most. Then node_stop.
 */
void node_leave(struct node *n);
struct wipe;
struct wipe *wipe_plan(const struct node *n, const struct node_opts *o); /* NULL: it was not decommissioned */
void         wipe_run(struct wipe *w);                                   /* takes; NULL is fine. Blocks */
/* Configuration, identity, loops, metadata, listeners, join. Blocks until the node serves (readiness may come later). */
int  node_start(const struct node_opts *o, struct node **out, struct err *e);
/*
 * Graceful: listeners drain, what does not end in time is cut off, the store closes. Blocks, well under 30 seconds. False when something
 * would not end (a disk call that does not return): then nothing was freed that it may use, and only the end of the process helps.
 */
bool node_stop(struct node *n);
/* Routes every node has: health, daemon, metasync, keepalive, challenge; tried after the role's own. */
extern const struct route node_common_routes[];
extern const unsigned     node_common_nroutes;

#endif
