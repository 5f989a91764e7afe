/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The narrow gate through which all cluster metadata changes: a replicated log of commands. design.md 6.
 *
 * A command is a JSON object {"op": ..., ...}; the state machine (cstate.c) applies it deterministically to {Smap, BMD, RMD, config,
 * EtlMD}. Proposers see only "committed and applied here". Behind it is libraft's core, on one thread of its own that may block; in the
 * simulator that thread is an actor (run/offload.h, worker). Time is handed to it; messages, proposals and wishes come through its queue.
 *
 * A server is a directory: its random raft id is made with it, so a voter whose disk was wiped is a new server. It is passive until the
 * leader of a group adds it, or the beginning of a group of one (bootstrap). A group of one elects itself when it opens.
 *
 * A leader leads (may propose, is primary) once everything of former terms has been applied here, and acts alone only under its lease.
 */
#ifndef CORE_CONSENSUS_H
#define CORE_CONSENSUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/sbuf.h"
#include "run/run.h"

struct cons;

#define CONS_NODE_MAX 64 /* bytes of a node id, with its NUL */
#define CONS_VOTERS   5

struct cons_fence {
    uint32_t epoch; /* recovery epoch */
    uint64_t term;
};

struct cons_conf {
    struct run *run;
    const char *dir; /* log, vote and snapshots live here; made when it is missing */
    const char *id;  /* of the node */
    bool        bootstrap;  /* an empty directory: begin a group of one. Otherwise wait to be added to a group */
    bool        witness;    /* votes and keeps the log; when elected it hands over at once */
    uint32_t    snap_every; /* entries of log between snapshots; 0 = 1024 */
    unsigned    election_ms, heartbeat_ms, lease_ms; /* 0 = 1000 (to 2000), 150, 800. lease < election */

    void *ctx; /* of the state machine */
    /* Apply a committed command; in log order, on the consensus thread; must not park. result: error for the proposer. */
    int (*apply)(void *ctx, uint64_t index, struct str cmd, struct err *result);
    /* Whole state as JSON text (malloc'd), and back. */
    int (*snapshot)(void *ctx, char **json, size_t *n);
    int (*restore)(void *ctx, struct str json, struct err *e);
    void (*clear)(void *ctx); /* as it was before the first command; NULL = the log is never replaced */

    void *node; /* of the two below; they may be NULL. On the consensus thread (on_lead also on the one that opens): must not block or park */
    /* One or more messages to another node's cons_recv; copied. Losing them is fine, delivering them in order is better. */
    void (*send)(void *node, const char *to, const void *p, size_t n);
    /* This node leads from now on, everything of former terms is applied; or it does not any more. In turns, the first is true. */
    void (*on_lead)(void *node, bool leading, struct cons_fence fence);
};

/* Open: load and, when alone, lead before this returns. -AIS_E_CORRUPT, -AIS_E_CONFLICT, -AIS_E_BUSY, ... May block. */
int  cons_open(const struct cons_conf *c, struct cons **out, struct err *e);
void cons_close(struct cons *c); /* may block; no callback comes any more */

/* Any thread, cheap. */
bool     cons_is_leader(const struct cons *c); /* leads, as on_lead said */
bool     cons_leader_id(struct cons *c, char id[CONS_NODE_MAX]); /* whom this server takes for the leader: false = nobody */
uint64_t cons_applied(const struct cons *c); /* index of the last command applied here; 0 = a new group that has no state yet */
uint64_t cons_sid(const struct cons *c);     /* raft id of this directory */
bool     cons_passive(struct cons *c);       /* belongs to no group yet */
struct cons_fence cons_fence(struct cons *c);
/* Until when (clock_mono) this leader may act without asking: NO_DEADLINE in a group of one, 0 when it does not lead. */
int64_t  cons_lease(const struct cons *c);
/* {"role","term","epoch","leader","leads","commit","applied","last","lease_ms","raft_id","servers":[...]} */
void     cons_status(struct cons *c, struct sbuf *json);

/* What another node's send was given. Copies; any thread. */
void cons_recv(struct cons *c, const char *from_node, const void *p, size_t n);

/*
 * Propose and wait until applied here; the state machine's own refusal comes back as result, with its text in e. deadline is about
 * getting into the log: once a record is being written the call waits for the outcome. -AIS_E_NOTPRIMARY when not leader (nothing
 * was applied, nor will be), -AIS_E_NOSPACE or -AIS_E_IO when the log cannot be written (likewise), -AIS_E_TIMEOUT when the leader was
 * lost meanwhile and nobody could tell what became of it. May park.
 */
int cons_propose(struct cons *c, struct str cmd, int64_t deadline, struct err *e);

/*
 * The voters that there should be, at most CONS_VOTERS: while this server leads it brings the group there, one change at a time, again
 * and again until it is so. A node whose raft id changed is removed and added. It never removes itself: it hands over, and the next
 * leader does. n = 0: leave the group as it is. Any thread.
 */
struct cons_server {
    char     node[CONS_NODE_MAX];
    uint64_t sid;
    bool     witness;
};
void cons_want(struct cons *c, const struct cons_server *s, unsigned n);
/* The voters that there are: at most max; returns how many. */
unsigned cons_voters(struct cons *c, struct cons_server *out, unsigned max);

/*
 * Hand leadership over to a voter (NULL: to whichever is best). The lease and leadership end before it is asked to take over; when it
 * does not, this server is an ordinary follower until the next election. 0 when the other leads. -AIS_E_NOTPRIMARY, -AIS_E_NONODE (no
 * such voter), -AIS_E_TIMEOUT. May park.
 */
int cons_transfer(struct cons *c, const char *node, int64_t deadline, struct err *e);

/*
 * A group that lost its majority for good: a new one of this server alone, with this state, in a recovery epoch higher than any that
 * nodes have seen. What lies in dir is kept beside it. Nobody may have it open. Blocks.
 */
int cons_recover(const char *dir, const char *id, struct str state, uint32_t epoch, struct err *e);
/*
 * The same for a server that runs; state {NULL,0}: an empty one with another raft id, that waits to be added to a group. What was proposed and
 * not answered may have happened or not. When there is no log in the end the process ends. May park.
 */
int cons_renew(struct cons *c, struct str state, uint32_t epoch, struct err *e);

#endif
