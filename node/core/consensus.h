/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The narrow gate through which all cluster metadata changes: a replicated log of commands. design.md 6.
 *
 * A command is a JSON object {"op": ..., ...}; the state machine (cstate.c) applies it deterministically to {Smap, BMD, RMD, config,
 * EtlMD}. Callers see only "committed and applied here". A group of one voter commits when its log record is on stable storage.
 */
#ifndef CORE_CONSENSUS_H
#define CORE_CONSENSUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "run/run.h"

struct cons;

struct cons_fence {
    uint32_t epoch; /* recovery epoch */
    uint64_t term;
};

struct cons_conf {
    struct run *run;
    const char *dir;   /* log, vote and snapshots live here */
    const char *id;
    uint32_t    snap_every; /* entries of log between snapshots; 0 = 1024 */
    void       *ctx;
    /* Apply a committed command; in log order, on the consensus thread; must not park. result: error for the proposer. */
    int (*apply)(void *ctx, uint64_t index, struct str cmd, struct err *result);
    /* Whole state as JSON text (malloc'd), and back. */
    int (*snapshot)(void *ctx, char **json, size_t *n);
    int (*restore)(void *ctx, struct str json, struct err *e);
};

/* Open (replaying snapshot and log through restore/apply) or, with an empty directory, start a new group of one. May block. */
int  cons_open(const struct cons_conf *c, struct cons **out, struct err *e);
void cons_close(struct cons *c); /* may block */
bool cons_is_leader(const struct cons *c);
/* Index of the last command committed and applied here; 0 = a new group that has no state yet. Any thread. */
uint64_t cons_applied(const struct cons *c);
struct cons_fence cons_fence(const struct cons *c);
/*
 * Propose and wait until applied here; the state machine's own refusal comes back as result, with its text in e. deadline is about
 * getting into the log: once a record is being written the call waits for the outcome. -AIS_E_NOTPRIMARY when not leader,
 * -AIS_E_NOSPACE or -AIS_E_IO when the log cannot be written (nothing was applied). May park.
 */
int  cons_propose(struct cons *c, struct str cmd, int64_t deadline, struct err *e);

#endif
