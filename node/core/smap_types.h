/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster map: who is in the cluster. Immutable once published. native-api.md 7.1, 7.2; internals.md 2, 3. */
#ifndef CORE_SMAP_TYPES_H
#define CORE_SMAP_TYPES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define NODE_ID_MAX 32

/* Snode flags, as on the wire. */
#define SNODE_NON_ELECTABLE (1u << 0)
#define SNODE_IC            (1u << 1)
#define SNODE_MAINT         (1u << 2)
#define SNODE_DECOMM        (1u << 3)
#define SNODE_MAINT_POSTREB (1u << 4)
/* Ours: not heard for too long. Stays in the map, so that what it holds is not forgotten; owns nothing. On the wire under "ext". */
#define SNODE_DEAD          (1u << 16)
/* Ours: what a node that leaves still owes or is owed, so that whoever is primary then goes on with it (proxy/life.c). */
#define SNODE_WAIT_REB      (1u << 17) /* a target: what it has is to be moved away by a rebalance first */
#define SNODE_STOP          (1u << 18) /* then shut down */
#define SNODE_RM_DATA       (1u << 19) /* being decommissioned: users' objects are removed too */
#define SNODE_KEEP_CONF     (1u << 20) /* being decommissioned: the files it was first started with stay */
#define SNODE_STAY_UP       (1u << 21) /* being decommissioned: the process stays, without a cluster */
#define SNODE_LIFE          (SNODE_WAIT_REB | SNODE_STOP | SNODE_RM_DATA | SNODE_KEEP_CONF | SNODE_STAY_UP)

enum role { ROLE_PROXY, ROLE_TARGET };

struct net_ep {
    char     host[256];
    uint16_t port;
    char     url[300]; /* direct_url: "http://host:port" */
};

#define SNODE_MAX_EXTRA 7

struct snode {
    enum role     role;
    char          id[NODE_ID_MAX + 1];
    char          name[NODE_ID_MAX + 4]; /* "p[id]" or "t[id]" */
    struct net_ep pub, control, data;
    unsigned      nextra;
    struct net_ep extra[SNODE_MAX_EXTRA]; /* pub_extra: more public addresses */
    uint64_t      flags;
    uint64_t      digest;                 /* id_digest */
    char          vkey[64];               /* verifying_key, base64; "" = none */
    /* Ours, on the wire in the map's "ext" only. */
    unsigned      level;                   /* feature level of what runs there; 0 = it said none, or has not joined since it was asked for */
    char          storage[16];            /* a target: which set of disks it has (nodecfg_storage); "" = not known */
    int64_t       dead_since;             /* Unix ns; 0 = it is not dead */
};

/*
 * The feature level of this program: what it can read of the replicated state, of its commands, and of what nodes tell each other. It goes up by
 * one when something is added that an older program would misread. The cluster's level is that of its oldest node, and never goes down: nothing
 * of a level may be used before the cluster has it. A program of a lower level than its cluster's does not start, and does not join.
 */
#define FEATURE_LEVEL 1u

struct smap {
    _Atomic unsigned refs;
    unsigned         level;       /* the cluster's feature level */
    uint64_t         version;
    char             uuid[40];
    char             created[32]; /* "2026-08-01 10:00:00" UTC */
    unsigned         nnodes;      /* all, dead ones too; proxies first, each group sorted by id */
    unsigned         nproxies, ntargets; /* those that are not dead */
    unsigned         ndead;
    unsigned         nactive;     /* targets neither dead nor in maintenance nor being decommissioned */
    struct snode    *nodes;
    struct snode   **active;      /* those targets */
    struct snode    *primary;     /* one of nodes; NULL while there is none */
};

#endif
