/* SPDX-License-Identifier: Apache-2.0 */
/* Types of the object store that other layers embed. design.md 5. */
#ifndef STORE_STORE_TYPES_H
#define STORE_STORE_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "codec/cksum.h"
#include "codec/lmeta.h"

struct store;
struct obj;
struct put;

/* Which change is newer: compared member by member in this order. Persisted with every object and tombstone. */
struct gen {
    uint32_t epoch;    /* recovery epoch */
    uint32_t reserved;
    uint64_t term;
    uint64_t smap_ver;
    uint64_t counter;  /* the owner's, monotonic over restarts */
};

/* What a target knows of a name. */
enum obj_state {
    OBJ_NONE,  /* nothing */
    OBJ_HERE,  /* the object is here */
    OBJ_TOMB,  /* it was deleted: the generation of that is remembered */
    OBJ_MOVED, /* it was here and is another target's now: obj_moved */
    OBJ_PASSED, /* a mountpath's row of what was brought to another mountpath of this target; never told by obj_gen */
};

/* Metadata of one object. Read-only for everybody but the store; valid while the struct obj is held. */
struct obj_info {
    uint64_t         size;
    int64_t          mtime_ns;  /* Unix */
    int64_t          atime_ns;  /* Unix; 0 = never. Changes while the object is held: read it with obj_info_atime() */
    struct cksum     cksum;     /* type CKSUM_NONE = none */
    struct str       version;   /* "" = none */
    unsigned         ncustom;
    const struct kv *custom;    /* internal keys (orig_fntl) not included */
    struct gen       gen;
    uint32_t         copies;    /* valid mirror copies, this one included */
    uint32_t         nchunks;   /* 0 = monolithic */
    uint64_t         max_chunk; /* bytes of the largest chunk */
    uint16_t         mpath;     /* index of the mountpath of the main replica: store_mpath_path() */
};

/* Readers set the access time without a lock: the last one wins. */
static inline int64_t
obj_info_atime(const struct obj_info *oi)
{
    return __atomic_load_n(&oi->atime_ns, __ATOMIC_RELAXED);
}

/* A stretch of an object's content: bytes of one file. Given back with obj_piece_done. */
struct opiece {
    int      fd;
    uint64_t off, len; /* in that file */
    bool     own;      /* the descriptor is not the object's but ours */
};

/* What a PUT asks for. Zeroed = plain. */
struct put_attrs {
    int64_t          length;      /* bytes announced, -1 = unknown */
    struct cksum     expect;      /* client's checksum: verified; CKSUM_NONE = none */
    struct str       version;     /* "" = the store assigns the next one (versioning on) */
    int64_t          atime_ns;    /* 0 = now */
    int64_t          mtime_ns;    /* 0 = now; copies and transfers keep the source's */
    unsigned         ncustom;
    const struct kv *custom;
    uint64_t         prior;       /* another target had at least this version: the next one is above it */
    bool             skip_vc;     /* do not load the existing version and checksum */
    bool             same_is_noop;/* client checksum equals the stored one: keep the object as it is (internals.md 4.2) */
    /* A transfer: applied only if `gen` is newer than the object or tombstone here (or than a moved-stub, or equal to it: it comes
     * back), else -AIS_E_CONFLICT. Version, custom metadata, times and checksum (`expect`, also when it is none) are the source's. */
    bool             from_peer;
    struct gen       gen;
    /* Conditions checked inside the commit (S3): -AIS_E_PRECOND. */
    bool             if_none_match_any;
    struct str       if_match;    /* ETag without quotes */
};

enum mpath_state {
    MPATH_OK,
    MPATH_DISABLED,  /* closed: the disk can be unmounted */
    MPATH_DETACHING, /* read only, until the resilver has brought away what it has; then disabled or detached */
    MPATH_FAILED,    /* nothing of it is touched any more */
    MPATH_GONE,      /* detached, and closed: its place in lists stays empty */
};

struct mpath_info {
    char             path[256], label[64];
    char             fs[128], fs_type[16], fs_id[40]; /* device, "ext4", "a,b" */
    char             disks[4][32];
    unsigned         ndisks;
    enum mpath_state state;
    uint64_t         used, avail, total; /* bytes, of the file system */
    unsigned         used_pct;
    uint64_t         objects, bytes;     /* by the index */
};

struct store_cap {
    uint64_t used, avail, total;
    unsigned pct_min, pct_avg, pct_max;
    bool     oos;      /* out of space: PUT answers 507 */
    bool     high;     /* over the high watermark */
    char     err[128]; /* "" or why capacity is a problem */
};

struct store_stats {
    uint64_t cache_hits, cache_misses, cache_entries, cache_fds, cache_evicted;
    uint64_t commits, groups, checkpoints, journal_bytes, overlay_entries;
    uint64_t io_errors, recovered, rolled_forward, rebuilt;
};

/* One row of a listing. Valid until the next store_list_next. */
struct lent {
    struct str   name;   /* the real name, long ones too */
    uint64_t     size;
    int64_t      atime_ns, mtime_ns;
    struct cksum cksum;
    struct str   version;
    unsigned     ncustom;
    struct kv    custom[LMETA_MAX_CUSTOM];
    struct gen   gen;
    uint32_t     copies;
    bool         chunked;
    /* Not without store_list_open_gens: */
    bool         moved;  /* a moved-stub: the object is another target's now; all else as it was here */
    bool         tomb;   /* deleted; only its name and generation count */
    uint16_t     mpath;
};

#endif
