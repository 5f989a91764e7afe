/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rebalance on a target: what lies here and belongs elsewhere goes there. design.md 6; jobs-and-services.md 1.
 *
 * The metadata says what is to be done (core/rmd.h): while it says "running" every target that is alive runs job g<N>, also one that was
 * restarted meanwhile, and tells the primary again and again when it has finished; when all have, the primary changes the metadata.
 */
#ifndef XACT_REBALANCE_H
#define XACT_REBALANCE_H

struct node;
struct reb;

/* Follow the metadata from now on. The store is open. */
struct reb *reb_new(struct node *n);
/* After the fibers were cancelled. Blocks. NULL is fine. */
void        reb_free(struct reb *r);

#endif
