/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replicated state machine: commands in, metadata snapshots out. Private to core.
 *
 * A command is a JSON object {"op": name, ...}; applying it is deterministic: the time, new ids and everything else that is chosen
 * come inside it. What a command refuses it refuses on every voter alike. The table of operations is in cstate.c.
 *
 * Threads: apply, snapshot and restore on the consensus thread (or at start-up, before it runs); cstate_get on any.
 */
#ifndef CORE_CSTATE_H
#define CORE_CSTATE_H

#include "core/consensus.h"
#include "core/mset.h"

struct cstate;

struct cstate *cstate_new(void);
void           cstate_free(struct cstate *s);
struct mset   *cstate_get(struct cstate *s); /* one reference */

/* For struct cons_conf; ctx is the struct cstate. */
int cstate_apply(void *ctx, uint64_t index, struct str cmd, struct err *result);
int cstate_snapshot(void *ctx, char **json, size_t *n);
int cstate_restore(void *ctx, struct str json, struct err *e);
void cstate_clear(void *ctx);
/* The text of a snapshot, of any set. Returns false when it is too large. The caller frees it. */
bool cstate_text(const struct mset *m, struct sbuf *out);

/* A bucket's identity as a member "bck" of a command. */
void cmd_bck(struct jw *w, const struct bck *b);

#endif
