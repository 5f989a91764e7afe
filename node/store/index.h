/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ordered index of one mountpath: (bucket id, name) -> what listings, counts and scans need. LMDB behind this header.
 *
 * One writer (the mountpath's committer), any number of readers, all on threads that may block. A read covers a bounded number of
 * entries in one transaction and copies them out. The files are the truth: an index that is missing, damaged or from before an
 * unclean boot is rebuilt from them.
 *
 * Key: be64 bucket id, then the name; names over 490 bytes continue in groups (README.md, "Index"). Value: ientry, packed.
 */
#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include <stdbool.h>

#include "base/err.h"
#include "base/sbuf.h"
#include "store/store_types.h"

struct index;
struct index_txn;

struct ientry {
    uint64_t     size;
    int64_t      mtime_ns, atime_ns;
    struct cksum cksum;
    struct gen   gen;
    struct str   version;
    uint32_t     copies;
    uint8_t      flags;
#define IENT_CHUNKED 1u
#define IENT_TOMB    2u /* deleted: kept for its generation */
    unsigned     ncustom;
    struct kv    custom[LMETA_MAX_CUSTOM];
};

/* Pack and unpack a value (pure; fuzzed). ientry_decode: strs point into p. */
void ientry_encode(const struct ientry *e, struct sbuf *out);
int  ientry_decode(const void *p, size_t n, struct ientry *e); /* 0 or -AIS_E_CORRUPT */

/* *fresh: it was empty or unusable and starts from nothing. dir is made. May block. */
int  index_open(const char *dir, bool must_rebuild, struct index **out, bool *fresh, struct err *e);
void index_close(struct index *ix);
int  index_sync(struct index *ix); /* to stable storage */

/* Marks of the owner: is this bucket indexed completely? */
int  index_bck_known(struct index *ix, uint64_t bid);          /* 1, 0, or an error */
int  index_bck_mark(struct index_txn *t, uint64_t bid, bool known);

int  index_begin(struct index *ix, struct index_txn **out);    /* write */
int  index_put(struct index_txn *t, uint64_t bid, struct str name, const struct ientry *e);
int  index_del(struct index_txn *t, uint64_t bid, struct str name); /* 0 also when absent */
/* Delete up to max entries of the bucket; *left: there are more. */
int  index_del_some(struct index_txn *t, uint64_t bid, unsigned max, bool *left);
int  index_commit(struct index_txn *t);                        /* frees t */
void index_abort(struct index_txn *t);

/*
 * Scan: rows with names >= from (or > from with `after`) that start with prefix, at most max, appended to out as records
 * { u32 name length, u32 value length, name, value }. *more: the scan stopped at max. May block.
 */
int index_scan(struct index *ix, uint64_t bid, struct str prefix, struct str from, bool after, unsigned max, struct sbuf *out,
               unsigned *n, bool *more);
int index_get(struct index *ix, uint64_t bid, struct str name, struct sbuf *value); /* -AIS_E_NOENT */

#endif
