/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to node/store: mountpaths, cached objects, commits.
 *
 * Who may write: an object's files, its xattrs, its index row and its cache entry are changed by the committer thread of its
 * mountpath and by nobody else; that is also what orders concurrent changes of one name.
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
#include "store/index.h"
#include "store/layout.h"
#include "store/store.h"

#define STORE_DIR   ".ais.c"      /* ours, on every mountpath: index, journal, state */
#define TRASH_DIR   ".$deleted"
#define OWN_XATTR   "user.ais.c"  /* generation: README.md, "Own xattr" */
#define DAEMON_XATTR "user.ais.daemon_id"
#define SMALL_BODY  (64u << 10)   /* bodies up to this stay in memory until the commit */
#define SHARDS      64
#define MAX_MPATHS  64

struct mpath {
    struct store  *store;
    unsigned       idx;
    char           path[256], label[64];
    uint64_t       digest;
    _Atomic int    state; /* enum mpath_state */
    struct index  *index;
    struct worker *committer;
    int            jfd;       /* journal: the intent of the group being committed; committer only */
    int            rootfd;
    _Atomic uint64_t used, avail, total;
    char           fs[128], fs_type[16], fs_id[40], disk[32];
    bool           tmpfile;   /* the file system has O_TMPFILE */
    bool           at_empty;  /* linkat with AT_EMPTY_PATH is allowed */
    bool           rebuild;   /* the index must be rebuilt from the files */
    _Atomic uint64_t seq;     /* names of work files */
};

struct chunk {
    char    *path;
    uint64_t size, off;
    int      fd;
};

/* A cached object, and the handle that callers hold. Immutable but for refs, fd, atime and the cache's own fields. */
struct obj {
    unsigned magic;
#define OBJ_MAGIC 0x0b7ec700u
    struct hnode     node;
    TAILQ_ENTRY(obj) lru;
    struct store    *store;
    _Atomic unsigned refs;  /* one of them is the cache's while `cached` */
    bool             cached; /* protected by the shard */
    bool             used;   /* since the clock hand came by; racy on purpose */
    uint64_t         bid;
    struct str       name;
    struct obj_info  info;
    bool             long_form;  /* the file has the long-name form */
    pthread_mutex_t  fd_mtx;     /* protects opening of descriptors; never held across a park */
    _Atomic int      fd;
    char            *fqn;
    struct chunk    *chunks;
    size_t           bytes; /* memory of this entry */
    struct kv        custom[LMETA_MAX_CUSTOM];
    char             mem[]; /* name, fqn, strings of the metadata */
};

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
    char            *mem;         /* a small body */
    size_t           mem_n, mem_cap;
    int              fd;          /* a large one */
    char             work[FQN_MAX]; /* its name; "" when unnamed */
    uint64_t         size;
    char            *part_path;   /* a part of a multipart upload: where it goes */
    unsigned         part_num;
    char             part_id[40];
};

struct shard {
    pthread_mutex_t mtx; /* protects what follows */
    struct hmap     map;
    TAILQ_HEAD(, obj) clock;
    uint64_t        epoch; /* bumped by every invalidation: a loader that overlapped one does not insert */
    size_t          bytes;
    unsigned        n, fds;
};

struct store {
    struct store_conf conf;
    struct run       *run;
    char              node_id[40];
    unsigned          n;
    struct mpath     *mpaths[MAX_MPATHS];
    pthread_mutex_t   mp_mtx; /* protects the list: changes of mpaths[] and n */
    struct shard      shards[SHARDS];
    uint64_t          shard_bytes;
    unsigned          shard_fds, shard_entries;
    _Atomic uint32_t  epoch;
    _Atomic uint64_t  term, smap_ver, counter;
    _Atomic unsigned  wm[4];
    _Atomic int64_t   cap_at;
    _Atomic int       trash_busy;
    _Atomic uint64_t  hits, misses, evicted, commits, groups, io_errors, recovered, rebuilt;
    pthread_mutex_t   up_mtx; /* protects uploads */
    struct hmap       uploads;
};

/* --- mpath.c --- */
struct mpath *mpath_of(struct store *s, const struct bck *b, struct str name);
struct mpath *mpath_of_digest(struct store *s, uint64_t digest); /* NULL when there is none */
int           mpath_open(struct store *s, const char *path, const char *label, struct mpath **out, struct err *e);
void          mpath_close(struct mpath *m);
void          mpath_stat(struct mpath *m);
void          trash_dir(struct mpath *m, const char *path); /* rename away now, remove in the background; blocks shortly */
void          trash_sweep(struct store *s);
int           mkdirs(const char *path); /* like mkdir -p; blocks */
int           rebuild_bck(struct mpath *m, const struct bck *b, uint64_t *objects, struct err *e); /* blocks */
void          work_name(struct mpath *m, const struct bck *b, const char *prefix, struct str name, char out[FQN_MAX]);

/* --- cache.c --- */
void        cache_init(struct store *s);
void        cache_fini(struct store *s);
struct obj *cache_get(struct store *s, uint64_t bid, struct str name, uint64_t *epoch); /* counted, or NULL */
/* Insert o (taking the caller's reference over and giving one back) unless the shard's epoch moved since. epoch 0: always, dropping
 * what was there. */
void        cache_put(struct obj *o, uint64_t epoch);
void        cache_drop(struct store *s, uint64_t bid, struct str name);
void        cache_drop_bck(struct store *s, uint64_t bid);
struct obj *obj_ref(struct obj *o);
/* Build an object from decoded metadata; strings are copied. NULL when out of memory. */
struct obj *obj_new(struct store *s, const struct bck *b, struct str name, const char *fqn, const struct lmeta *m);
/* Find the file of an object and read its metadata; *fd_keep: the descriptor is left open in the object. Blocks. */
int         obj_load(struct mpath *m, const struct bck *b, struct str name, bool keep_fd, struct obj **out, struct err *e);
int         obj_load_fd(struct mpath *m, const struct bck *b, struct str name, const char *fqn, int fd, struct obj **out);

/* --- commit.c: jobs of a mountpath's committer --- */
enum cop { COP_PUT, COP_DELETE, COP_CUSTOM, COP_MOVE, COP_CHUNKED, COP_FN };

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
    const char   *work;        /* path of the work file; "" when unnamed */
    struct lmeta  meta;        /* filled by the caller but for version and lid */
    const struct put_attrs *attrs;
    int64_t       atime_ns;
    /* CUSTOM */
    const struct kv *kv;
    unsigned      nkv;
    bool          replace;
    /* MOVE */
    struct str    to;
    /* CHUNKED: the manifest, and where chunk 1 lies now */
    struct ufest *ufest;
    const char   *chunk1;
    /* FN */
    int         (*fn)(struct cjob *j);
    void         *arg;
    /* results */
    int           rc;
    struct err    e;
    struct obj   *out;         /* new object, counted */
    /* index rows to write: filled while the files are handled */
    struct obj   *row_put;     /* borrowed from out */
    bool          row_del;
    struct str    row_name;
};
int  commit_call(struct cjob *j); /* submit and park; j->rc */
void commit_batch(void *ctx, struct wjobs *batch);
int  journal_redo(struct mpath *m, const struct bck *b); /* after a kill: rows of the last group, for this bucket. Blocks */
void entry_of(const struct obj *o, struct ientry *en);
struct gen gen_next(struct store *s);
void  gen_pack(const struct gen *g, unsigned char out[32]);
bool  gen_unpack(const void *p, size_t n, struct gen *g);
int   lmeta_write(int fd, const struct bck *b, struct lmeta *meta, const struct gen *g); /* both xattrs; blocks */

/* --- put.c, mpt.c, store.c --- */
struct put *put_new(struct store *s, struct mpath *m, const struct bck *b, struct str name, const struct put_attrs *a);
int         obj_each_piece(struct obj *o, int (*fn)(void *ctx, const void *p, size_t n), void *ctx, struct err *e);
int         mpt_part_done(struct put *p, const struct cksum *ck, struct err *e);
void        mpt_fini(struct store *s);
bool        store_oos(struct store *s, struct store_cap *cap);

#endif
