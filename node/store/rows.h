/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of a mountpath: the index and, over it, what was committed since the last checkpoint.
 *
 * Changes go to an overlay in memory; a checkpoint freezes it, folds it into the index in one synchronous transaction or a few, and
 * drops it. Readers see frozen and active overlay over the index. Threads: changes by the committer, fold by the checkpoint thread,
 * reads by anybody who may block.
 */
#ifndef STORE_ROWS_H
#define STORE_ROWS_H

#include "store/index.h"

struct rows;

struct rows *rows_new(struct index *ix);
void         rows_free(struct rows *r); /* the index stays */
int          rows_put(struct rows *r, uint64_t bid, struct str name, const struct ientry *e); /* 0, -AIS_E_NOMEM */
int          rows_del(struct rows *r, uint64_t bid, struct str name);
int          rows_get(struct rows *r, uint64_t bid, struct str name, struct sbuf *value); /* tombstones too; -AIS_E_NOENT */
/* As index_scan; a deleted row that is not folded in yet comes with an empty value. */
int          rows_scan(struct rows *r, uint64_t bid, struct str prefix, struct str from, bool after, unsigned max,
                       struct sbuf *out, unsigned *n, bool *more);

void   rows_freeze(struct rows *r);  /* nothing may be frozen */
bool   rows_frozen(struct rows *r);
struct rows_note {
    const char *number;
    uint64_t    v;
};
int    rows_fold(struct rows *r, const struct rows_note *notes, unsigned nnotes); /* and note numbers with the last of them */
void   rows_thaw(struct rows *r);    /* drop what was folded */
size_t rows_bytes(struct rows *r);
size_t rows_count(struct rows *r);   /* in the overlays */

/* One row of a scan's output at *at: false at the end. */
bool scan_row(const struct sbuf *rows, size_t *at, struct str *name, struct str *value);
void scan_emit(struct sbuf *out, struct str name, struct str value);

#endif
