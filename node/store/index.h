/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ordered index of one mountpath: (bucket id, name) -> what listings, counts and scans need. LMDB behind this header.
 *
 * Commits are synchronous: after a power cut it is as of some commit. What is newer is in the overlay (rows.h) and the journal. One
 * writer (the mountpath's checkpoint thread), any number of readers, all on threads that may block. A read covers a bounded number
 * of entries in one transaction and copies them out. The files are the truth: a missing or damaged index is rebuilt from them.
 *
 * A bus error while the map is read is -AIS_E_IO, from then on always: the index is not touched again (index_failed).
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
    uint64_t     moved_under; /* IENT_MOVED: the map that it was moved for */
    uint8_t      flags;
#define IENT_CHUNKED 1u
#define IENT_TOMB    2u /* deleted: kept for its generation */
#define IENT_MOVED   4u /* another target's now */
#define IENT_PASSED  8u /* on another mountpath now: resilver.c */
    unsigned     ncustom;
    struct kv    custom[LMETA_MAX_CUSTOM];
};

/* Pack and unpack a value (pure; fuzzed). ientry_decode: strs point into p. */
void ientry_encode(const struct ientry *e, struct sbuf *out);
int  ientry_decode(const void *p, size_t n, struct ientry *e); /* 0 or -AIS_E_CORRUPT */
bool ientry_is_tomb(struct str value);                         /* without decoding the rest */
bool ientry_is_moved(struct str value);
bool ientry_is_passed(struct str value);
bool ientry_is_object(struct str value); /* none of the three */

/* *fresh: it was empty or unusable and starts from nothing. dir is made. May block. */
int  index_open(const char *dir, struct index **out, bool *fresh, struct err *e);
void index_close(struct index *ix);
bool index_failed(const struct index *ix);
/* Close the files; whoever asks later gets -AIS_E_IO. The thread that writes. */
void index_retire(struct index *ix);
uint64_t index_count(struct index *ix); /* entries, of all buckets; groups of long names count, too. 0 when not to be had */

/* Marks of the owner. */
#define IMARK_BCK   'b' /* this bucket is indexed completely */
int  index_mark_get(struct index *ix, char kind, uint64_t id); /* 1, 0, or an error */
int  index_mark_next(struct index *ix, char kind, uint64_t *id); /* the first at or behind *id: 1, 0, or an error */
int  index_mark(struct index_txn *t, char kind, uint64_t id, bool on);
int  index_number_get(struct index *ix, const char *name, uint64_t *v); /* 0 with *v = 0 when there is none */
int  index_number_set(struct index_txn *t, const char *name, uint64_t v);

int  index_begin(struct index *ix, struct index_txn **out);    /* write */
int  index_put(struct index_txn *t, uint64_t bid, struct str name, struct str value);
int  index_del(struct index_txn *t, uint64_t bid, struct str name); /* 0 also when absent */
/* Delete up to max entries of the bucket; *left: there are more. */
int  index_del_some(struct index_txn *t, uint64_t bid, unsigned max, bool *left);
/* Remove up to max tombstones whose generation's counter is below the given one. */
int  index_purge_tombs(struct index_txn *t, uint64_t counter, unsigned max);
int  index_commit(struct index_txn *t);                        /* to stable storage; frees t */
void index_abort(struct index_txn *t);

/*
 * Scan: rows with names >= from (or > from with `after`) that start with prefix, at most max, appended to out as records
 * { u32 name length, u32 value length, name, value }. *more: the scan stopped at max. May block.
 */
int index_scan(struct index *ix, uint64_t bid, struct str prefix, struct str from, bool after, unsigned max, struct sbuf *out,
               unsigned *n, bool *more);
int index_get(struct index *ix, uint64_t bid, struct str name, struct sbuf *value); /* -AIS_E_NOENT */

/* Walk the groups of a value that is a pointer (fuzzed): false unless it is one. */
bool index_group_of(struct str value, uint64_t *group);

#endif
