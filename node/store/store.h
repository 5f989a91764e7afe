/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The object store of one target: mountpaths, objects, listings, commits. design.md 5; internals.md 1, 4.
 *
 * Objects are plain files in AIStore's layout with AIStore's xattr beside one of our own; each mountpath has an ordered index
 * (index.h) and a committer (commit.h) with a journal. Work that native and S3 front ends share lives here, once.
 *
 * Runs on: fibers of any loop, unless a function says otherwise; every function may park. Errors: 0 or -AIS_E_*, with a text in e
 * (may be NULL). Names are validated by the caller (obj_name_check in core/bmd.h) except for length.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <sys/types.h>

#include "base/err.h"
#include "base/sbuf.h"
#include "core/bck_types.h"
#include "run/run.h"
#include "store/store_types.h"

struct store_conf {
    struct run *run;
    const char *node_id;          /* target's daemon id: written to and checked against each mountpath's user.ais.daemon_id */
    unsigned    npaths;
    struct {
        const char *path, *label;
    } paths[64];
    bool        allow_shared_fs;  /* test_fspaths, or labels: several mountpaths on one file system */
    bool        start_with_lost_mpath;
    uint32_t    cache_entries;    /* metadata cache: most entries; 0 = 64k */
    uint32_t    cache_fds;        /* most open descriptors kept; 0 = a quarter of RLIMIT_NOFILE, at most 16k */
    uint64_t    cache_bytes;      /* hard limit of the cache's memory; 0 = 24 MiB */
    /* space watermarks, percent of the fullest mountpath; store_set_watermarks changes them later */
    unsigned    cleanupwm, lowwm, highwm, oos;
    int64_t     tomb_ttl_ns;      /* how long the generation of a deleted object is remembered; 0 = a day */
    int64_t     fast_flush_ns;    /* `fast` mode: longest time until a commit is on stable storage; 0 = 1 s */
    /* Asked by the committer for each change of a client (no transfer, nothing of the store's own) right before it becomes visible. An
     * error refuses it: nothing has changed; for -AIS_E_UNAVAIL it is asked again for a moment. Must not block. NULL = everything is allowed. */
    int       (*may_commit)(void *ctx, const struct bck *b, struct str name);
    /* The same for obj_moved: may the source go? It may not when the object belongs here after all: whoever asked for it in the meantime
     * was told that it is here. */
    int       (*may_move)(void *ctx, const struct bck *b, struct str name);
    void       *may_ctx;
};

/*
 * Open the mountpaths, recover (journal roll-forward, orphaned work files), open or rebuild the indexes. Blocks: start-up only, on
 * no loop. Needs the loops running. Buckets are told with store_bck_* before objects are touched.
 */
int  store_open(const struct store_conf *c, struct store **out, struct err *e);
/* Flush, checkpoint, close. Blocks; after the fibers ended. */
void store_close(struct store *s);

/* The fencing part of generations of new commits; see struct gen. Any thread. */
void store_set_fence(struct store *s, uint32_t epoch, uint64_t term, uint64_t smap_ver);

/* Whose buckets these are; before the first of them is told. Any thread. */
void store_set_cluster(struct store *s, const char *uuid);

/* --- buckets --- */
/* Make the bucket's directories on every mountpath and register its id. Idempotent. */
int store_bck_create(struct store *s, const struct bck *b, struct err *e);
/* Forget the bucket at once: rename its directories into the trash, drop it from caches and index; space is freed in the
 * background. Idempotent. */
int store_bck_destroy(struct store *s, const struct bck *b, struct err *e);
/* Register an existing bucket at start-up: directories are made if missing; if the mountpath's index does not know it (new,
 * lost, or written by Go AIStore) it is rebuilt from the files before this returns. May take long. */
int store_bck_adopt(struct store *s, const struct bck *b, struct err *e);
/* After the last adopt: recovery is over, checkpoints begin; nothing is changed before. Rows of buckets that nobody told us of are
 * forgotten, their directories are logged and left alone. Idempotent. */
int store_adopted(struct store *s, struct err *e);
/* Remove the folders of buckets that were destroyed, but could not be removed then: known by their stamp to be of this recovery epoch and
 * not younger than that BMD, which has told of all its buckets. */
void store_bck_sweep(struct store *s, uint64_t bmd_ver);
struct bck_sum {
    uint64_t objects, bytes;         /* objects and their sizes, by the index */
    uint64_t on_disk;                /* sizes in blocks of 4 KiB; neither copies nor metadata are counted yet */
    uint64_t min_size, max_size;
};
int store_bck_summary(struct store *s, const struct bck *b, struct str prefix, struct bck_sum *out, struct err *e);

/* --- reading --- */
#define OBJ_NO_FD  1u /* metadata only: HEAD */
#define OBJ_NO_LRU 2u /* do not touch the access time */
/*
 * Find an object: cache hit costs no system call. A counted handle: obj_close. -AIS_E_NOOBJ; -AIS_E_CORRUPT (left alone);
 * -AIS_E_IO. The handle pins the version that was current when it was opened: later PUTs and DELETEs do not disturb it.
 */
int                    obj_open(struct store *s, const struct bck *b, struct str name, unsigned flags, struct obj **out,
                                struct err *e);
const struct obj_info *obj_info(const struct obj *o); /* does not park */
/* The file behind byte `off`, all contiguous bytes from there. Whole objects are one piece; chunked ones several. Does not park when the
 * descriptor is open already. An object keeps few descriptors of chunks open: those of more belong to the piece. */
int                    obj_piece(struct obj *o, uint64_t off, struct opiece *out, struct err *e);
void                   obj_piece_done(struct opiece *p); /* does not park */
ssize_t                obj_read(struct obj *o, void *p, size_t n, uint64_t off, struct err *e);
/* The index is told when the object was read: it knows of commits only. Nothing happens when that is not what the name has. May park. */
int                    obj_note_atime(struct store *s, const struct bck *b, struct obj *o);
/* Re-hash the content and compare (validate_warm_get). -AIS_E_CKSUM. */
int                    obj_verify(struct obj *o, struct err *e);
void                   obj_close(struct obj *o); /* NULL is fine. Does not park */
/* The version of the layout file: it changes with the set of mountpaths and when a resilver has ended, not with a restart. 0: objects may
 * lie where they should not, a resilver is due or at work. Does not park. */
uint64_t               store_layout(const struct store *s);
const char            *store_mpath_path(const struct store *s, unsigned mpath); /* does not park */

/* --- writing --- */
/* Start a PUT; put_write takes the body in pieces as they come; then exactly one of put_commit and put_abort, which free p. A small
 * body stays in memory until the commit. -AIS_E_NOSPACE before anything is written when the node is out of space. */
int  put_begin(struct store *s, const struct bck *b, struct str name, const struct put_attrs *a, struct put **out, struct err *e);
int  put_write(struct put *p, const void *data, size_t n, struct err *e);
/*
 * Verify checksum and length, give the object its metadata and name, atomically for readers; returns when it is acknowledged in the
 * bucket's mode. *out (may be NULL) is the new object. -AIS_E_CKSUM, -AIS_E_NOSPACE, -AIS_E_PRECOND, -AIS_E_IO. Shielded from
 * cancellation.
 */
int  put_commit(struct put *p, struct obj **out, struct err *e);
void put_abort(struct put *p);

int obj_delete(struct store *s, const struct bck *b, struct str name, struct err *e); /* -AIS_E_NOOBJ */
/* The same, unless the object has changed since it had that generation: -AIS_E_CONFLICT. */
int obj_delete_if(struct store *s, const struct bck *b, struct str name, const struct gen *gen, struct err *e);
/*
 * The same, for an object that another target has now: a moved-stub stays in the index, which listings with generations give, until it
 * is purged or the name gets an object or a tombstone here. under: the map for which it moved. Reading the name is -AIS_E_NOOBJ. 0 also when the stub is there already. Stubs
 * survive restarts; a rebuild of the index at the start (lost or damaged) loses them. What the receiver has only in its page cache is
 * lost when its power goes: in fast mode let it store_flush() before the source goes.
 */
int obj_moved(struct store *s, const struct bck *b, struct str name, const struct gen *gen, uint64_t under, struct err *e);
/* Delete what is older than gen here, object or stub, and leave a tombstone of that generation. 0 when nothing older is here. */
int obj_delete_older(struct store *s, const struct bck *b, struct str name, const struct gen *gen, struct err *e);
/* A tombstone, also where no object is: gen, or with counter 0 the next one, which is then told. What is older here is deleted;
 * -AIS_E_CONFLICT when an object or stub here is not older. */
int obj_tomb(struct store *s, const struct bck *b, struct str name, struct gen *gen, struct err *e);
/* What is known of the name, by the index: at most one look-up, no file is opened. *gen: zero for OBJ_NONE. */
int obj_gen(struct store *s, const struct bck *b, struct str name, struct gen *gen, enum obj_state *state, struct err *e);
/* The same when no change of the name is under way: what it tells stays true until the next change, which asks for leave after that. */
int obj_gen_settled(struct store *s, const struct bck *b, struct str name, struct gen *gen, enum obj_state *state, struct err *e);
/* Drop the moved-stubs of a bucket, or (NULL) of all: the rebalance is over. On stable storage when it returns. */
int store_moved_purge(struct store *s, const struct bck *b, struct err *e);
/* While held, tombstones are kept whatever their age. Not persistent. Any thread; does not park. */
void store_tomb_hold(struct store *s, bool hold);
/* Merge (or with replace: set) custom metadata; a new generation of the metadata, the content untouched. */
int obj_set_custom(struct store *s, const struct bck *b, struct str name, const struct kv *kv, unsigned n, bool replace,
                   struct err *e);
/* Rename within this target, atomically: the destination is replaced. Another target as owner: the caller copies and deletes. */
int obj_rename(struct store *s, const struct bck *b, struct str from, struct str to, struct err *e);
/* 0 unlocked, 1 read-locked, 2 write-locked. Any thread; does not park. */
int obj_lock_state(struct store *s, const struct bck *b, struct str name);

/* --- append (native-api.md 4.5) --- */
/* handle: "" starts (with a copy of the existing object, if any). *out_handle: malloc'd, for the next call. The body is written
 * through the callback: it is asked for bytes until it returns 0. */
typedef ssize_t body_f(void *ctx, void *p, size_t n);
int append_data(struct store *s, const struct bck *b, struct str name, struct str handle, body_f *body, void *ctx,
                char **out_handle, struct err *e);
int append_flush(struct store *s, const struct bck *b, struct str name, struct str handle, const struct cksum *expect,
                 struct err *e);

/* --- multipart (native-api.md 4.9; jobs-and-services.md 5) --- */
/* a->expect: of the whole content, compared at completion. */
int mpt_create(struct store *s, const struct bck *b, struct str name, const struct put_attrs *a, char id[40], struct err *e);
/* A part: written with put_write, ended with put_commit (out must be NULL) or put_abort. The same number again replaces. */
int mpt_part(struct store *s, const struct bck *b, struct str name, struct str id, unsigned num, const struct put_attrs *a,
             struct put **out, struct err *e);
struct mpt_part_ref {
    unsigned   num;
    struct str etag; /* parts have none yet: not checked */
};
int mpt_complete(struct store *s, const struct bck *b, struct str name, struct str id, const struct mpt_part_ref *parts,
                 unsigned n, struct obj **out, struct err *e);
/* The same for an object that came from another target: a as for its PUT (from_peer), and as mpt_create was given. */
int mpt_complete_as(struct store *s, const struct bck *b, struct str name, struct str id, const struct mpt_part_ref *parts, unsigned n,
                    const struct put_attrs *a, struct obj **out, struct err *e);
int mpt_abort(struct store *s, const struct bck *b, struct str name, struct str id, struct err *e);

/* --- listing --- */
struct list_cur;
/* Objects of the bucket with names >= prefix's first and > after, in byte order over all mountpaths. Read-ahead by batches of at most
 * 1,000 in the index threads; the cursor holds no transaction between calls. */
int  store_list_open(struct store *s, const struct bck *b, struct str prefix, struct str after, struct list_cur **out,
                     struct err *e);
/* The same of one mountpath (index as in obj_info, mpath_info), in whatever state it can be read: what scans its objects in batches.
 * -AIS_E_NOMPATH when there is no such mountpath. */
int  store_list_open_on(struct store *s, const struct bck *b, unsigned mpath, struct str prefix, struct str after,
                        struct list_cur **out, struct err *e);
/*
 * The same with tombstones and moved-stubs, of those mountpaths (LIST_ALL) or one: what was deleted, or moved away, under a map newer
 * than gone_after. For comparing generations with those of other targets. Of a name that has rows on several mountpaths the newest one
 * comes.
 */
#define LIST_ALL UINT32_MAX
int  store_list_open_gens(struct store *s, const struct bck *b, unsigned mpath, struct str prefix, struct str after,
                          uint64_t gone_after, struct list_cur **out, struct err *e);
/* Next row: 1, 0 at the end, or an error. Moved-stubs come, too: who counts or shows objects passes them over. */
int  store_list_next(struct list_cur *c, const struct lent **out, struct err *e);
/* Continue at the first name >= key (forward only): skips virtual directories in O(log n). */
int  store_list_seek(struct list_cur *c, struct str key, struct err *e);
void store_list_close(struct list_cur *c);

/* --- fragments: what AIStore's erasure coding left on this target (frag.c); all of them may park --- */
struct frag {
    struct ecmd   md;      /* strs point into the image */
    char         *image;   /* the record's file */
    size_t        n;
    char          lmeta[LMETA_MAX]; /* a replica's metadata as on disk */
    size_t        nlmeta;
    int           fd;      /* the slice or replica; -1: this target owns the object and the record is the owner's */
    uint64_t      size;
    struct arena *mem;
};
/* -AIS_E_NOOBJ; verify: the content is hashed, -AIS_E_CKSUM. *out: frag_close. */
int  frag_open(struct store *s, const struct bck *b, struct str name, bool verify, struct frag **out, struct err *e);
void frag_close(struct frag *f); /* NULL is fine */
int  frag_drop(struct store *s, const struct bck *b, struct str name, struct err *e); /* 0 also when there is none */
/* Write the owner's record of an object that was made again from fragments. */
int  frag_record(struct store *s, const struct bck *b, struct str name, const struct ecmd *md, struct err *e);
bool frag_none(struct store *s, const struct bck *b); /* nothing of this bucket, certainly */
bool obj_was_deleted(struct store *s, const struct bck *b, struct str name); /* a tombstone has the name */
/* Names of all records, FRAG_BATCH at a time, in no order; 0 at the end. out is emptied first; read it with frag_name_next. */
#define FRAG_BATCH 256
struct frag_walk *frag_walk_new(struct store *s, const struct bck *b);
unsigned          frag_walk_next(struct frag_walk *w, struct sbuf *out);
void              frag_walk_free(struct frag_walk *w);
bool              frag_name_next(const struct sbuf *names, size_t *at, struct str *name); /* *at: 0 to begin */

/* --- mountpaths, space, state --- */
unsigned store_mpaths(struct store *s, struct mpath_info *out, unsigned max); /* how many there are; places of detached ones count */
/*
 * Mountpaths come and go. What they have is found wherever it is from the moment the call returns; to bring it to where HRW says is
 * the resilver's: after each of these calls store_resilver_due() tells whether it has to run (again). A disk is known by the id that lies
 * on it, not by device or path: another file system under a known path is refused (-AIS_E_CONFLICT). -AIS_E_NOMPATH: no such
 * mountpath; -AIS_E_BUSY: another one is coming or going.
 */
int store_mpath_attach(struct store *s, struct str path, struct str label, struct err *e);
int store_mpath_enable(struct store *s, struct str path, bool *was_noop, struct err *e);
/* now: at once, without bringing away what it has: that is not to be had until it is back. Else it serves what it has until the resilver
 * is through; then it is closed, so that it can be unmounted. The last one always goes at once. */
int store_mpath_disable(struct store *s, struct str path, bool now, bool *was_noop, struct err *e);
int store_mpath_detach(struct store *s, struct str path, bool now, struct err *e);
/*
 * FSHC: when a mountpath has io_err_limit I/O errors within io_err_ns, test_files files of it are read and written; with error_limit errors
 * of one of these kinds it leaves, like one that is disabled, unless it is the last one. Off until set. Any thread; does not park.
 */
struct fshc_conf {
    bool     enabled;
    unsigned test_files, error_limit, io_err_limit;
    int64_t  io_err_ns;
};
void store_set_fshc(struct store *s, const struct fshc_conf *c);
/* Check one now, whatever is enabled. *good: false when it fails. -AIS_E_NOMPATH; -AIS_E_BUSY: one is under way. */
int  store_mpath_check(struct store *s, struct str path, bool *good, struct err *e);
/* Rows from the files, while the mountpath is in use. *objects: files seen. */
int      store_mpath_rebuild(struct store *s, struct str path, uint64_t *objects, struct err *e);

/*
 * The resilver: brings everything to the mountpath that HRW says, and lets those go that are to leave. The caller's fiber waits, for long.
 * After a crash it goes on where it was. 0: all is where it should be. -AIS_E_AGAIN: mountpaths have changed meanwhile, begin again;
 * -AIS_E_CANCELED: go_on said no, or the fiber was cancelled; -AIS_E_BUSY: one is running, or not all buckets have been told; else some objects could not be brought (their
 * source is damaged, there is no space): it stays due, and what is to leave stays.
 */
struct resilver_prog {
    uint64_t total;  /* rows to look at, by the indexes */
    uint64_t seen;   /* of them; each is looked at twice */
    uint64_t brought, bytes;
    uint64_t failed;
};
struct resilver_args {
    bool   (*go_on)(void *ctx, const struct resilver_prog *p); /* some times a second, on the caller's fiber; NULL = always */
    void    *ctx;
    unsigned inflight; /* objects of a mountpath at a time; 0 = 4 */
};
bool     store_resilver_due(const struct store *s); /* and all buckets have been told; does not park */
int      store_resilver(struct store *s, const struct resilver_args *a, struct resilver_prog *out, struct err *e);

void     store_cap(struct store *s, struct store_cap *out); /* cached, refreshed in the background; does not park */
int      store_cap_refresh(struct store *s);
void     store_set_watermarks(struct store *s, unsigned cleanupwm, unsigned lowwm, unsigned highwm, unsigned oos);
void     store_stats(struct store *s, struct store_stats *out); /* does not park */
/* Remove what was left behind in the bucket's work directory on a mountpath and has not changed since `before` (Unix ns). stop, asked
 * from another thread, ends it early; may be NULL. -AIS_E_NOMPATH: not there, or not in use. */
struct store_cleaned {
    uint64_t seen, files, bytes; /* work files seen; removed; their blocks */
};
int      store_clean(struct store *s, const struct bck *b, unsigned mpath, int64_t before, bool (*stop)(void *arg), void *arg,
                     struct store_cleaned *out);
/* Go on removing what was destroyed, in the background. Any thread; does not park. */
void     store_trash_sweep(struct store *s);
/* Wait until everything acknowledged so far is on stable storage. */
int      store_flush(struct store *s, struct err *e);

#endif
