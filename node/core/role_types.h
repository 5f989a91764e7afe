/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a role (proxy, target) brings to a node: its routes, its hooks and its own bring-up. One constant per role, exported by
 * node/proxy and node/target; node/main.c picks one by -role and passes it to node_start.
 */
#ifndef CORE_ROLE_TYPES_H
#define CORE_ROLE_TYPES_H

#include "core/meta.h"

/* Activity of one disk: bytes a second, average sizes in bytes, percent busy. */
struct diskrate {
    char    name[32];
    int64_t rbps, ravg, wbps, wavg, util;
};

struct node_role {
    enum role           role;
    const struct route *routes;   /* tried before the common ones, so that a role can take a common path over */
    unsigned            nroutes;
    struct meta_hooks   hooks;    /* members may be NULL */
    /*
     * Bring-up: the loops turn, identity, configuration and the last metadata of this node are known (views_get works), the
     * listeners are closed. Blocks. NULL = nothing to do.
     */
    int (*start)(struct node *n, struct err *e);
    /* Tear-down: no fiber runs any more, the loops still turn. Blocks. */
    void (*stop)(struct node *n);
    /*
     * Members of answers that only the role knows; each appends to an open JSON object and may be NULL. Must not park.
     * capacity: the value of "capacity" in node_stats; sysinfo: "fs_used" and its like.
     */
    void (*capacity_json)(struct node *n, struct jw *w);
    void (*sysinfo_json)(struct node *n, struct jw *w);
    /* Bits of NODE_* that the role adds to the node's state flags (out of space, disk faults). Must not park. */
    unsigned (*state_flags)(struct node *n);
    /* Rates of the node's disks since the last look, at most max. On a fiber; may park. */
    unsigned (*disk_rates)(struct node *n, struct diskrate *out, unsigned max);
};

extern const struct node_role proxy_role, target_role;

#endif
