/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to node/store: mountpaths, cached objects, commits.
 *
 * Who may write: an object's files, its xattrs, its row and its cache entry are changed by the committer thread of its mountpath and
 * by nobody else, for a caller that holds the name exclusively (nlock.h). LMDB is written by the mountpath's checkpoint thread only.
 */
#ifndef STORE_IMPL_H
#define STORE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "base/arena.h"
#include "base/hmap.h"
#include "run/fiber.h"
#include "run/offload.h"
#include "store/journal.h"
#include "store/layfile.h"
#include "store/layout.h"
#include "store/nlock.h"
#include "store/own.h"
#include "store/rows.h"
#include "store/store.h"

#define STORE_DIR   ".ais.c"      /* ours, on every mountpath: index, journal, state */
#define TRASH_DIR   ".$deleted"
#define OWN_XATTR   "user.ais.c"  /* README.md, "Own xattr" */
#define DAEMON_XATTR "user.ais.daemon_id"
#define SMALL_BODY  (64u << 10)   /* bodies up to this stay in memory until the commit */
#define SHARDS      64
#define MAX_MPATHS  64
#define OVERLAY_MAX (64u << 20)   /* bytes of rows that wait for a checkpoint before commits wait too */
#define SEGMENT_MAX (16u << 20)   /* bytes of a journal segment before a checkpoint is due at once */

/* Work that waits until an epoch is on stable storage: what is left of predecessors. In order. */
struct later {
    STAILQ_ENTRY(later) link;
    uint64_t            in_use; /* parts_key: put off while somebody reads the object; 0 = never */
    char               *to;     /* rename `path` to it; NULL: unlink `path` */
    char                path[];
};
STAILQ_HEAD(laters, later);

struct mpath {
    struct store  *store;
    unsigned       idx;
    char           path[256], label[64];
    char           store_dir[280]; /* path/.ais.c */
    uint64_t       digest;
    _Atomic int    state; /* enum mpath_state */
    struct index  *index;
    struct rows   *rows;
    struct worker *committer, *checkpointer;
    int            rootfd;
    char           uuid[40];  /* what the disk calls itself: layfile.h */
    enum mp_mode   mode;      /* how it is listed while it is closed, and what a DETACHING one becomes; mp_mtx */
    bool           by_api;    /* attached while the target ran; mp_mtx */
    struct mpath  *next_gone; /* store.gone; mp_mtx */
    _Atomic bool   shut;      /* nothing of the disk is open any more; only the struct is left */
    dev_t          dev;       /* of the root when it was opened: another one now means that it vanished */
    ino_t          ino;
    _Atomic uint64_t used, avail, total;
    char           fs[128], fs_type[16], fs_id[40], disk[32];
    bool           tmpfile;   /* the file system has O_TMPFILE */
    bool           at_empty;  /* linkat with AT_EMPTY_PATH is allowed */
    bool           exchange;  /* renameat2 has RENAME_EXCHANGE */
    bool           unclean;   /* the machine went down while it was in use: what the journal names is verified */
    size_t         xattr_max; /* bytes of xattr values that one file may have */
    _Atomic uint64_t seq;     /* names of work files */
    _Atomic bool   checking; /* a check is queued or runs */
    _Atomic bool   suspect;  /* many I/O errors: the next check is a thorough one */
    _Atomic int64_t  io_since; /* mono: when io_count began */
    _Atomic unsigned io_count; /* I/O errors since then */
    bool           leaving;  /* being closed: no check is started any more */

    struct arena  *arena;     /* committer only: one group */
    struct sbuf    group;     /* committer only: the journal group being made */

    pthread_mutex_t seg_mtx;  /* epoch boundary: held by the committer from a group's journal record to its rows; protects: */
    pthread_cond_t  seg_cond; /* a checkpoint ended */
    struct journal  journal;
    struct laters   laters;   /* of the present epoch */
    bool            dirty;    /* the present epoch has commits */

    /* the checkpoint thread's */
    bool            closing;  /* an epoch was closed and is not yet folded in */
    struct jseg     closed;
    int64_t         closed_at; /* Unix: when the last epoch was closed */
    struct redo    *redo;     /* old segments in memory, while buckets are adopted; committer */
    struct laters   closed_laters;
    _Atomic bool    adopted;  /* all buckets are told: old segments are dealt with, checkpoints may begin */
    struct wjob     tick_job;
    _Atomic bool    tick_queued;
    int64_t         checked_at;
    _Atomic bool    moved;    /* there may be moved-stubs */
};

struct chunk {
    char    *path;
    uint64_t size, off;
    int      fd;
};

/* A cached object, and the handle that callers hold. Immutable but for refs, descriptors, atime and the cache's own fields. */
struct obj {
    unsigned magic;
#define OBJ_MAGIC 0x0b7ec700u
    struct hnode     node;
    TAILQ_ENTRY(obj) lru;
    struct store    *store;
    _Atomic unsigned refs;   /* one of them is the cache's while `cached` */
    bool             cached; /* these four: the shard's mutex */
    bool             stale;  /* replaced or removed: its file may be gone but for our descriptors */
    bool             used;   /* since the clock hand came by */
    unsigned         nfds;   /* descriptors open */
    unsigned         nopen;  /* of them, of chunks that were opened later; fd_mtx */
    uint64_t         bid;
    struct str       name;
    struct obj_info  info;
    bool             long_form;  /* the file has the long-name form */
    bool             side;       /* has a side record */
    bool             is_live;
    uint64_t         parts;      /* parts_key */
    struct hnode     live;       /* in store->live: objects with parts */
    pthread_mutex_t  fd_mtx;     /* protects opening of descriptors; never held across a park */
    _Atomic int      fd;
    char            *fqn;
    int64_t          atime_disk; /* of the file, as far as known: atime.c; __atomic */
    struct chunk    *chunks;
    char            *staged;  /* path of the manifest, while that is not at its place; NULL = it is */
    size_t           bytes; /* memory of this entry */
    /* behind it: custom pairs, name, fqn, strings of the metadata */
};
TAILQ_HEAD(olist, obj);

/* A body on its way to a commit. */
struct put {
    unsigned         magic;
#define PUT_MAGIC 0x9a7b0d7eu
    struct store    *s;
    struct mpath    *m;
    struct bck       bck;
    struct arena    *arena;
    struct str       name;
    struct put_attrs attrs;
    struct cksum_run hash, hash2; /* the bucket's type, and the client's when it differs */
    bool             two;
    bool             locked;      /* the caller holds the name */
    char            *mem;         /* a small body */
    size_t           mem_n, mem_cap;
    int              fd;          /* a large one */
    char            *work;        /* its name; NULL when unnamed */
    uint64_t         size;
    char            *part_path;   /* a part of a multipart upload: where it goes */
    unsigned         part_num;
    char             part_id[40];
};

struct shard {
    pthread_mutex_t mtx; /* protects what follows */
    struct hmap     map;
    struct olist    clock;
    uint64_t        epoch; /* bumped by every invalidation: a loader that overlapped one does not insert */
    size_t          bytes;
    unsigned        n, fds;
};

/* A bucket that we were told of. */
struct known_bck {
    struct bck    b;
    struct known_bck *next;
    char          mem[]; /* its names */
};

struct store {
    struct store_conf conf;
    struct run       *run;
    char              node_id[40];
    _Atomic unsigned  n;
    struct mpath *_Atomic mpaths[MAX_MPATHS];
    struct mpath     *gone;       /* replaced in the list, closed: somebody may still look at them; mp_mtx */
    pthread_mutex_t   lay_mtx; /* one writes the layout file at a time; before mp_mtx */
    pthread_mutex_t   mp_mtx; /* protects changes of mpaths[] and n, and the list of buckets */
    struct known_bck *bcks, *bcks_gone;
    struct forget    *forgets;    /* rows that go; mp_mtx */
    bool              forgetting; /* somebody works on that; mp_mtx */
    char              cluster[40]; /* whose buckets these are; mp_mtx */
    _Atomic unsigned  sweeps;     /* how often the trash was asked to be swept since the last sweep began */
    struct nlocks     names;
    struct shard      shards[SHARDS];
    uint64_t          shard_bytes;
    unsigned          shard_fds, shard_entries;
    _Atomic uint32_t  epoch;
    _Atomic uint64_t  term, smap_ver, counter;
    _Atomic unsigned  wm[4];
    _Atomic int64_t   cap_at;
    _Atomic bool      attaching;  /* a mountpath comes or goes: one at a time */
    _Atomic bool      resilvering; /* a resilver is running */
    _Atomic bool      scattered;  /* objects may lie on other mountpaths than HRW says: a resilver is due */
    _Atomic unsigned  layout;     /* counts changes of the set of mountpaths, and of where rows are */
    _Atomic uint64_t  lay_version;/* of the layout on disk */
    _Atomic int       trash_busy; /* jobs in the background that use the store: store_close waits for them */
    _Atomic bool      stopping;   /* they end early */
    _Atomic bool      tomb_hold;  /* tombstones are kept whatever their age */
    struct {
        _Atomic bool     enabled;
        _Atomic unsigned test_files, error_limit, io_err_limit;
        _Atomic int64_t  io_err_ns;
    } fshc;
    _Atomic uint64_t  hits, misses, evicted, commits, groups, io_errors, recovered, rolled, rebuilt, checkpoints, journal_bytes;
    pthread_mutex_t   at_mtx;     /* protects at_*: atime.c */
    struct obj      **at_queue;   /* whose access times are to be written */
    unsigned          at_n;
    bool              at_writing; /* somebody does that */
    pthread_mutex_t   up_mtx; /* protects uploads */
    struct hmap       uploads;
    pthread_mutex_t   live_mtx; /* protects live */
    struct hmap       live;   /* objects with parts that somebody holds */
};

/* --- fshc.c --- */
bool fshc_count(struct mpath *m); /* an I/O error; true: it is time for fshc_run. Does not block */
bool fshc_run(struct mpath *m);   /* for who has m->checking. False: it fails, and was told to leave. Blocks */
/* mpset.c: out of service, emptied as far as that goes. False: it is the last one, or another change is under way. Blocks. */
bool mpath_give_up(struct mpath *m);

/* --- mpath.c --- */
struct mpath *mpath_of(struct store *s, const struct bck *b, struct str name);
struct mpath *mpath_of_digest(struct store *s, uint64_t digest); /* NULL when there is none */
struct mpath *mpath_new(struct store *s, const struct lay_entry *as); /* not opened */
int           mpath_open(struct store *s, const struct lay_entry *as, struct mpath **out, struct err *e);
void          mpath_close(struct mpath *m);
/* Close all that is open of the disk; the struct stays. Its state says already that it is not used. Blocks. */
void          mpath_retire(struct mpath *m, bool healthy);
void          mpath_stat(struct mpath *m);
/* An operation failed: count it, and look in the background whether the mountpath is still there. Any thread. */
void          mpath_trouble(struct mpath *m, int rc);
void          mpath_check(struct mpath *m);    /* look now. Blocks */
bool          mpath_alive(struct mpath *m);    /* false: it is gone, and has been reported. Blocks shortly */
int           mkdirs(const char *path);        /* like mkdir -p; blocks */
int           mkdirs_parent(const char *path); /* the folders above path */
uint64_t      work_hash(struct str name); /* what names of its work files have behind the prefix: 16 hex digits */
void          work_name(struct mpath *m, const struct bck *b, const char *prefix, struct str name, char out[FQN_MAX]);
void          reserve_make(struct mpath *m);   /* space for the index on a full disk */
bool          reserve_free(struct mpath *m);   /* true when some was freed */

/* --- mpset.c: the set of mountpaths --- */
struct mpath *mpath_named(struct store *s, struct str path); /* NULL */
int           layout_open(struct store *s, struct err *e);   /* all mountpaths, at the start. Blocks */
void          layout_scatter(struct store *s); /* objects were found where HRW does not say. Blocks */
void          layout_failed(struct store *s);  /* a mountpath failed: noted on the others. Blocks */
/* The resilver is through: what was to leave leaves. -AIS_E_AGAIN: the set has changed since it had that version. Blocks. */
int           layout_settled(struct store *s, uint64_t version);

/* --- where.c: names while objects are scattered --- */
bool mpath_readable(const struct mpath *m); /* its rows and files can be read */
/* What the mountpaths know of a name: the newest, its row and where that is. */
struct found {
    struct mpath  *m;     /* NULL: nowhere */
    enum obj_state state;
    struct gen     gen;
    struct sbuf    row;   /* value of the row; the caller frees */
};
/* 0, or an error when a mountpath could not be asked and so nothing is sure. Blocks. Initializes f->row always. */
int           where_is(struct store *s, const struct bck *b, struct str name, struct found *f);
/* The mountpath to look for an object on: where its newest row is, else the one HRW says; NULL: there are no mountpaths. Blocks while
 * objects are scattered. */
struct mpath *mpath_find(struct store *s, const struct bck *b, struct str name);
enum obj_state row_state(const struct ientry *en);
/* Is a row of that state and generation to be believed rather than the other? > 0, 0, < 0 */
int           row_cmp(enum obj_state as, const struct gen *ag, enum obj_state bs, const struct gen *bg);

/* --- home.c: one name at a time; the caller holds it exclusively. Block --- */
struct homing {
    struct store *s;
    char         *buf;      /* HOME_BUF bytes */
#define HOME_BUF (1u << 20)
    _Atomic bool *stop;     /* NULL = never; copying ends early with -AIS_E_CANCELED */
    uint64_t      bytes;    /* copied; added to */
    uint64_t      to;       /* mountpaths that got something, by place; added to */
};
/* Bring what is newest of the name to where HRW says, and chunks of it that must not stay. The source is left. *brought: there was
 * something to do. */
int home_bring(struct homing *h, const struct bck *b, struct str name, bool *brought);
/* Remove what a mountpath has of a name that is on stable storage at home; its row stays, as passed. */
int home_leave(struct homing *h, const struct bck *b, struct str name, struct mpath *from);
/* Is there something to do for this row of m? */
bool home_needs(struct homing *h, const struct bck *b, struct str name, const struct ientry *en, struct mpath *m);
/* Copy bytes, and compare with what they should be. */
int home_copy(struct homing *h, int from, int to, uint64_t size, const struct cksum *want);
/* Before a change that needs the object at home. 0 when it is, or when there is none. */
int home_for_change(struct store *s, const struct bck *b, struct str name);

/* --- atime.c: access times --- */
void atime_leaving(struct obj *o); /* takes the reference of one that leaves the cache; its time is written if it has to be */
void atime_staying(struct obj *o); /* it was read; written now and then */
void atime_write(struct obj *o);   /* now. Blocks */
void atimes_wait(struct store *s); /* until what was queued is written: no descriptor of theirs is open any more. Blocks */

/* --- trash.c --- */
int trash_dir(struct mpath *m, const char *path); /* rename away now, remove in the background; blocks shortly. 0 also when it is not there */
void trash_sweep(struct store *s);

/* --- rebuild.c --- */
/* Rows follow the files. */
enum rebuild_how {
    REBUILD_ANEW,   /* at the start, on the committer, all at once: the rows that there are go */
    REBUILD_CHECK,  /* at the start: they stay where their files are, and what is newer than the last checkpoint is verified */
    REBUILD_IN_USE, /* later, on a thread that may block, in pieces */
};
int rebuild_bck(struct mpath *m, const struct bck *b, enum rebuild_how how, uint64_t *objects, struct err *e);

/* --- frag.c --- */
/* Is the file under this name here a replica that erasure coding made for another target's object? Blocks. */
/* Bring fragments of a mountpath to where HRW says. -AIS_E_CANCELED when stopped. Blocks. */
int  frag_home(struct homing *h, const struct bck *b, struct mpath *m);
bool frag_is_replica(struct mpath *m, const struct bck *b, struct str name);

/* --- bucket.c --- */
int               bck_adopt_on(struct mpath *m, const struct bck *b, struct err *e);
int               mpath_adopted(struct mpath *m);
const struct bck *bck_known(struct store *s, uint64_t bid); /* NULL; stays valid until the bucket is destroyed */
/* The buckets of now; heap. Only their ids are good for long: one may go meanwhile. */
struct bck       *bcks_now(struct store *s, unsigned *count);
void              bck_fini(struct store *s);

/* --- cache.c --- */
void        cache_init(struct store *s);
void        cache_fini(struct store *s);
struct obj *cache_get(struct store *s, uint64_t bid, struct str name, uint64_t *epoch); /* counted, or NULL; epoch may be NULL */
/* Insert o unless the shard's epoch moved since. epoch 0: always, dropping what was there. */
void        cache_put(struct obj *o, uint64_t epoch);
void        cache_drop(struct store *s, uint64_t bid, struct str name);
void        cache_drop_all(struct store *s, uint64_t bid, const struct mpath *m);
void        cache_fd_opened(struct obj *o); /* one more descriptor belongs to it */

/* --- objfile.c --- */
int         file_slurp(const char *path, size_t max, char **out, size_t *n); /* a whole small file, malloc'd. Blocks */
void        lmeta_clear(struct lmeta *m); /* all but the checksum */
struct obj *obj_ref(struct obj *o);
/* Build an object from decoded metadata; strings are copied. NULL when out of memory. */
struct obj *obj_new(struct store *s, const struct bck *b, struct str name, const char *fqn, const struct lmeta *m);
/* Find the file of an object and read its metadata; keep_fd: the descriptor is left open in the object. Blocks. */
int         obj_load(struct mpath *m, const struct bck *b, struct str name, bool keep_fd, struct obj **out, struct err *e);
int         obj_load_fd(struct mpath *m, const struct bck *b, struct str name, const char *fqn, int fd, struct obj **out);
/* Metadata of a file, side record included. Large: not on a fiber's stack. */
struct objmeta {
    struct lmeta meta;
    struct own   own;
    char        *side; /* what meta's custom strings point into, if any */
    char         raw[LMETA_MAX], raw_own[OWN_MAX];
};
int         meta_load(struct mpath *m, const struct bck *b, int fd, struct objmeta *om);
void        meta_free(struct objmeta *om);
struct str  orig_name(const struct lmeta *m); /* the real name by the metadata; {NULL,0} when it has none */
struct obj *manifest_parts(struct store *s, const struct bck *b, struct str name, const char *path); /* its chunks only */
uint64_t    parts_key(const struct obj *o);
bool        parts_in_use(struct store *s, uint64_t key);

/* --- commit.c: jobs of a mountpath's committer, in two steps around the journal record; ops.c does them --- */
enum cop { COP_PUT, COP_DELETE, COP_MOVED, COP_TOMB, COP_CUSTOM, COP_MOVE, COP_CHUNKED, COP_FN, COP_NOPS };

struct cjob {
    struct wjob   w;
    enum cop      op;
    struct mpath *m;
    const struct bck *b;
    struct str    name;
    /* PUT: content in memory or in an open unnamed or work file */
    const void   *data;
    size_t        n;
    int           fd;          /* -1 when in memory */
    const char   *work;        /* path of the work file; NULL when unnamed */
    struct lmeta *meta;        /* filled by the caller but for version and lid */
    const struct put_attrs *attrs;
    int64_t       atime_ns;
    /* CUSTOM */
    const struct kv *kv;
    unsigned      nkv;
    bool          replace;
    /* DELETE: of this generation only, NULL = any. MOVED: that one. TOMB: the tombstone's, counter 0 = the next */
    const struct gen *only;
    uint64_t      moved_under; /* MOVED */
    bool          older;       /* TOMB: only where something older is */
    bool          peer;        /* no client's change */
    bool          anywhere;    /* also where HRW does not say */
    bool          home;        /* the object comes from another mountpath, or its chunks do: nothing else changes */
    /* MOVE */
    struct str    to;
    /* CHUNKED: the manifest; `work` is where chunk 1 lies now */
    struct ufest *ufest;
    /* FN */
    int         (*fn)(struct cjob *j);
    void         *arg;
    /* results */
    int           rc;
    struct err    e;
    struct obj   *out;         /* new object, counted */
    /* between prepare and apply: the arena's */
    struct obj   *old, *over;  /* what has the name on this mountpath, counted; MOVE: what has the other one */
    struct obj   *away;        /* what has it on another one, and is newer, counted: objects are scattered */
    enum obj_state was;        /* what the name was, with its generation and version */
    struct gen    was_gen;
    struct str    was_version;
    struct gen    gen;
    struct own    own;
    char         *path;        /* the name to be given */
    char         *prev;        /* where the predecessor goes; NULL = none */
    char         *side_path;   /* a side record that was staged */
    char         *manifest;    /* CHUNKED: the staged manifest, until it is applied */
    char         *manifest_kept; /* and still */
    bool          long_form;
    bool          small;       /* the body came in memory: in durable mode it rides in the journal */
    bool          noop;        /* nothing to change */
    bool          ready;       /* prepared */
};
int  commit_call(struct cjob *j); /* submit and park; j->rc. Not for FN: the caller holds the name exclusively */
int  commit_locked(struct cjob *j, struct err *e); /* with the name held; closes j->fd */
int  commit_fn(struct mpath *m, int (*fn)(struct cjob *j), void *arg); /* run fn on the committer */
void commit_batch(void *ctx, struct wjobs *batch);
void entry_of(const struct obj *o, struct ientry *en);
void entry_of_stub(const struct cjob *j, struct ientry *en); /* of the old object of a COP_MOVED */
struct gen gen_next(struct store *s);
/* A local change's: newer than what it replaces (NULL: nothing), whoever gave that its generation. */
struct gen gen_after(struct store *s, const struct gen *old);
void gen_seen(struct store *s, const struct gen *g); /* of a peer: our own go on above it */

/* --- ops.c: committer only --- */
struct cop_def {
    /* Everything that needs no name: body, metadata, look-ups, conditions. Nothing that others could see. */
    int (*prepare)(struct cjob *j);
    /* Make it so. On failure the object is as before. */
    int (*apply)(struct cjob *j);
    /* Rows, and what is left of predecessors. Cannot fail but for memory. */
    int (*finish)(struct cjob *j);
};
extern const struct cop_def cop_defs[COP_NOPS];
int  job_fail(struct cjob *j, int rc, const char *what);
void job_undo(struct cjob *j); /* staged files of a job that failed */
int  meta_write(struct mpath *m, const struct bck *b, struct str name, int fd, struct lmeta *meta, struct own *own, char **side);
int  name_new(struct mpath *m, int fd, const char *work, const char *path); /* 0 or -errno */
int  write_all(int fd, const char *p, size_t n);

/* --- checkpoint.c --- */
void later_add(struct mpath *m, const char *path, const char *to, uint64_t in_use); /* seg_mtx held */
void checkpoint_due(struct mpath *m); /* do not wait for the second to end. Any thread */
void checkpoint_batch(void *ctx, struct wjobs *batch);
int  checkpoint_call(struct mpath *m, int (*fn)(struct mpath *m, void *arg), void *arg); /* run fn on its thread; parks or blocks */
int  checkpoint_run(struct mpath *m, void *unused); /* checkpoint thread */
int  checkpoint_fold_now(struct mpath *m, void *unused); /* checkpoint thread, before checkpoints begin: recovery and rebuild */
void checkpoint_init(struct mpath *m);
void checkpoint_fini(struct mpath *m);

/* --- recover.c --- */
/* A file that the journal may have said something about: as it was written, else its newest predecessor that is whole, else nothing. */
int  recover_file(struct mpath *m, const struct bck *b, struct str name, int64_t since); /* unless it is older than that */
bool recover_is_blind(const struct mpath *m, const struct bck *b); /* files may have changed that no record tells of. After recover_bck */
bool recover_has_gap(const struct mpath *m); /* blocks of the journal are missing. After recover_bck */
int  recover_bck(struct mpath *m, const struct bck *b); /* after a kill or a power cut. Committer, seg_mtx held */
int  row_follow(struct mpath *m, const struct bck *b, struct str name); /* the row as the file is. Committer, seg_mtx held */
void recover_done(struct mpath *m);
int  obj_verify_blocking(struct obj *o); /* re-hash; 0, -AIS_E_CKSUM, ... */

/* --- put.c, mpt.c, store.c --- */
int         custom_ours(const struct kv *kv, unsigned n, struct str name, struct err *e); /* -AIS_E_INVAL: a key that is the store's own */
struct put *put_new(struct store *s, struct mpath *m, const struct bck *b, struct str name, const struct put_attrs *a);
int         obj_each_piece(struct obj *o, int (*fn)(void *ctx, const void *p, size_t n), void *ctx, struct err *e);
int         cksum_feed(void *ctx, const void *p, size_t n); /* ctx: a struct cksum_run */
/* Chunk 1 lies on the object's own mountpath, the others where (upload id + number) falls. */
struct mpath *part_mpath(struct store *s, const struct bck *b, struct str name, struct str id, unsigned num);
int         mpt_part_done(struct put *p, const struct cksum *ck, struct err *e);
void        mpt_fini(struct store *s);
void        mpt_drop_bck(struct store *s, uint64_t bid);
int         mpt_recover(struct store *s, const struct bck *b, struct mpath *m); /* uploads that were under way. Blocks */
bool        store_oos(struct store *s, struct store_cap *cap);

#endif
