/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ordered table in memory: changes of rows that are not in the index yet. A skip list; not thread-safe (rows.c locks).
 */
#ifndef STORE_OVERLAY_H
#define STORE_OVERLAY_H

#include "base/sbuf.h"

struct overlay;

struct orow {
    uint64_t   bid;
    struct str name;
    struct str value; /* "" = the row is deleted */
};

struct overlay    *overlay_new(void);
void               overlay_free(struct overlay *o); /* NULL is fine */
int                overlay_put(struct overlay *o, uint64_t bid, struct str name, struct str value); /* 0, -AIS_E_NOMEM */
const struct orow *overlay_get(const struct overlay *o, uint64_t bid, struct str name);
/* The first row at or (with after) behind (bid, name); NULL at the end. */
const struct orow *overlay_seek(const struct overlay *o, uint64_t bid, struct str name, bool after);
const struct orow *overlay_first(const struct overlay *o);
const struct orow *overlay_next(const struct orow *r);
size_t             overlay_count(const struct overlay *o);
size_t             overlay_bytes(const struct overlay *o);

#endif
