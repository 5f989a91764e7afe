/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata and descriptor cache: one for the node, sharded, with hard limits; and how an object is read from its files.
 *
 * A hit takes the shard's mutex for a look-up and a count: no system call. Eviction is by clock. An invalidation bumps the shard's
 * epoch, so that a load that overlapped a commit is used by its caller once and not kept.
 *
 * Runs on: any thread; obj_load blocks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/util.h"
#include "store/store_impl.h"

static uint64_t
key_hash(uint64_t bid, struct str name)
{
    return hash_bytes(name.p, name.n, bid);
}

static struct shard *
shard_of(struct store *s, uint64_t hash)
{
    return &s->shards[(hash >> 48) % SHARDS];
}

void
cache_init(struct store *s)
{
    for (unsigned i = 0; i < SHARDS; i++) {
        MUST(pthread_mutex_init(&s->shards[i].mtx, NULL));
        TAILQ_INIT(&s->shards[i].clock);
        s->shards[i].epoch = 1;
    }
}

static void
obj_free(struct obj *o)
{
    int fd = atomic_load(&o->fd);

    CHECK(o, OBJ_MAGIC);
    fd_close(&fd);
    for (unsigned i = 0; i < o->info.nchunks; i++) {
        fd_close(&o->chunks[i].fd);
        free(o->chunks[i].path);
    }
    free(o->chunks);
    pthread_mutex_destroy(&o->fd_mtx);
    o->magic = 0;
    free(o);
}

struct obj *
obj_ref(struct obj *o)
{
    atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    return o;
}

void
obj_close(struct obj *o)
{
    if (o == NULL)
        return;
    CHECK(o, OBJ_MAGIC);
    if (atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1)
        obj_free(o);
}

const struct obj_info *
obj_info(const struct obj *o)
{
    return &o->info;
}

/* Take o out of the map; the caller drops the cache's reference after unlocking. */
static void
remove_locked(struct shard *sh, struct obj *o)
{
    hmap_del(&sh->map, &o->node);
    TAILQ_REMOVE(&sh->clock, o, lru);
    o->cached = false;
    sh->n--;
    sh->bytes -= o->bytes;
    if (atomic_load_explicit(&o->fd, memory_order_relaxed) >= 0 && sh->fds > 0)
        sh->fds--;
}

static struct obj *
find_locked(struct shard *sh, uint64_t hash, uint64_t bid, struct str name)
{
    for (struct hnode *n = hmap_first(&sh->map, hash); n != NULL; n = hmap_next_same(n, hash)) {
        struct obj *o = CONTAINER_OF(n, struct obj, node);

        if (o->bid == bid && str_eq(o->name, name))
            return o;
    }
    return NULL;
}

struct obj *
cache_get(struct store *s, uint64_t bid, struct str name, uint64_t *epoch)
{
    uint64_t      h = key_hash(bid, name);
    struct shard *sh = shard_of(s, h);
    struct obj   *o;

    pthread_mutex_lock(&sh->mtx);
    o = find_locked(sh, h, bid, name);
    if (o != NULL) {
        obj_ref(o);
        o->used = true;
    }
    *epoch = sh->epoch;
    pthread_mutex_unlock(&sh->mtx);
    return o;
}

/* One turn of the clock: victims go to the list, their references are dropped by the caller without the lock. */
static unsigned
evict_locked(struct store *s, struct shard *sh, struct obj **victims, unsigned max)
{
    unsigned n = 0, looked = 0, all = sh->n;

    while ((sh->bytes > s->shard_bytes || sh->n > s->shard_entries || sh->fds > s->shard_fds) && n < max &&
           looked++ < 2 * all) {
        struct obj *o = TAILQ_FIRST(&sh->clock);

        if (o == NULL)
            break;
        if (o->used) {
            o->used = false;
            TAILQ_REMOVE(&sh->clock, o, lru);
            TAILQ_INSERT_TAIL(&sh->clock, o, lru);
            continue;
        }
        remove_locked(sh, o);
        victims[n++] = o;
    }
    return n;
}

void
cache_put(struct obj *o, uint64_t epoch)
{
    struct store *s = o->store;
    uint64_t      h = key_hash(o->bid, o->name);
    struct shard *sh = shard_of(s, h);
    struct obj   *old, *victims[8];
    unsigned      n = 0;

    pthread_mutex_lock(&sh->mtx);
    if (epoch != 0 && sh->epoch != epoch) {
        pthread_mutex_unlock(&sh->mtx);
        return;
    }
    old = find_locked(sh, h, o->bid, o->name);
    if (old != NULL)
        remove_locked(sh, old);
    if (epoch == 0)
        sh->epoch++;
    obj_ref(o);
    o->cached = true;
    o->used = true;
    hmap_add(&sh->map, &o->node, h);
    TAILQ_INSERT_TAIL(&sh->clock, o, lru);
    sh->n++;
    sh->bytes += o->bytes;
    sh->fds += atomic_load_explicit(&o->fd, memory_order_relaxed) >= 0;
    n = evict_locked(s, sh, victims, ARRAY_SIZE(victims));
    pthread_mutex_unlock(&sh->mtx);
    obj_close(old);
    atomic_fetch_add_explicit(&s->evicted, n, memory_order_relaxed);
    while (n > 0)
        obj_close(victims[--n]);
}

void
cache_drop(struct store *s, uint64_t bid, struct str name)
{
    uint64_t      h = key_hash(bid, name);
    struct shard *sh = shard_of(s, h);
    struct obj   *o;

    pthread_mutex_lock(&sh->mtx);
    sh->epoch++;
    o = find_locked(sh, h, bid, name);
    if (o != NULL)
        remove_locked(sh, o);
    pthread_mutex_unlock(&sh->mtx);
    obj_close(o);
}

/* bid 0: everything. */
void
cache_drop_bck(struct store *s, uint64_t bid)
{
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *sh = &s->shards[i];
        struct obj   *o, *next;
        TAILQ_HEAD(, obj) gone = TAILQ_HEAD_INITIALIZER(gone);

        pthread_mutex_lock(&sh->mtx);
        sh->epoch++;
        for (o = TAILQ_FIRST(&sh->clock); o != NULL; o = next) {
            next = TAILQ_NEXT(o, lru);
            if (bid != 0 && o->bid != bid)
                continue;
            remove_locked(sh, o);
            TAILQ_INSERT_TAIL(&gone, o, lru);
        }
        pthread_mutex_unlock(&sh->mtx);
        while ((o = TAILQ_FIRST(&gone)) != NULL) {
            TAILQ_REMOVE(&gone, o, lru);
            obj_close(o);
        }
    }
}

void
cache_fini(struct store *s)
{
    cache_drop_bck(s, 0);
    for (unsigned i = 0; i < SHARDS; i++) {
        hmap_fini(&s->shards[i].map);
        pthread_mutex_destroy(&s->shards[i].mtx);
    }
}

/* --- objects from their files --- */

static struct str
put_str(char **at, struct str v)
{
    struct str s = str_from(*at, v.n);

    if (v.n > 0)
        memcpy(*at, v.p, v.n);
    (*at)[v.n] = '\0';
    *at += v.n + 1;
    return s;
}

struct obj *
obj_new(struct store *s, const struct bck *b, struct str name, const char *fqn, const struct lmeta *m)
{
    size_t      n = name.n + 1 + strlen(fqn) + 1 + m->version.n + 1;
    struct obj *o;
    char       *at;

    for (unsigned i = 0; i < m->ncustom; i++)
        n += m->custom[i].k.n + m->custom[i].v.n + 2;
    o = calloc(1, sizeof(*o) + n);
    if (o == NULL)
        return NULL;
    at = o->mem;
    o->magic = OBJ_MAGIC;
    o->store = s;
    o->refs = 1;
    o->fd = -1;
    MUST(pthread_mutex_init(&o->fd_mtx, NULL));
    o->bid = b->bid;
    o->bytes = sizeof(*o) + n + 64;
    o->name = put_str(&at, name);
    o->fqn = at;
    (void)put_str(&at, str_z(fqn));
    o->info.size = m->size;
    o->info.cksum = m->cksum;
    o->info.version = put_str(&at, m->version);
    o->info.copies = MAX(m->ncopies, 1u);
    o->info.custom = o->custom;
    for (unsigned i = 0; i < m->ncustom; i++) {
        if (str_eqz(m->custom[i].k, "orig_fntl")) {
            o->long_form = true;
            continue;
        }
        o->custom[o->info.ncustom].k = put_str(&at, m->custom[i].k);
        o->custom[o->info.ncustom++].v = put_str(&at, m->custom[i].v);
    }
    return o;
}

/* Chunks of a chunked object, from its manifest. */
static int
load_chunks(struct mpath *m, const struct bck *b, struct obj *o)
{
    char           path[FQN_MAX], *image = NULL;
    struct arena  *a = NULL;
    struct ufest   u;
    auto_close int fd = -1;
    struct stat    st;
    uint64_t       off = 0;
    int            rc = layout_obj(m->path, b, CT_UFEST, o->name, path);

    if (rc < 0)
        return -AIS_E_CORRUPT;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size > (off_t)(16 * MIB))
        return -AIS_E_CORRUPT;
    image = malloc((size_t)st.st_size + 1);
    rc = image == NULL ? -AIS_E_NOMEM : read(fd, image, (size_t)st.st_size) == st.st_size ? 0 : -AIS_E_IO;
    if (rc == 0) {
        a = arena_new(4096, 64 * MIB);
        rc = ufest_decode(a, image, (size_t)st.st_size, &u);
    }
    if (rc == 0 && (u.n == 0 || !(u.flags & UFEST_COMPLETED)))
        rc = -AIS_E_CORRUPT;
    if (rc == 0) {
        o->chunks = calloc(u.n, sizeof(*o->chunks));
        rc = o->chunks == NULL ? -AIS_E_NOMEM : 0;
    }
    for (unsigned i = 0; rc == 0 && i < u.n; i++) {
        struct chunk *c = &o->chunks[i];

        c->fd = -1;
        /* The first chunk lies under the object's own name, wherever that is now. */
        c->path = i == 0 ? strdup(o->fqn) : strndup(u.chunks[i].path.p, u.chunks[i].path.n);
        c->size = u.chunks[i].size;
        c->off = off;
        off += c->size;
        o->info.max_chunk = MAX(o->info.max_chunk, c->size);
        o->info.nchunks = i + 1;
        if (c->path == NULL)
            rc = -AIS_E_NOMEM;
    }
    if (rc == 0 && off != o->info.size)
        rc = -AIS_E_CORRUPT;
    arena_free(a);
    free(image);
    return rc;
}

int
obj_load_fd(struct mpath *m, const struct bck *b, struct str name, const char *fqn, int fd, struct obj **out)
{
    char         raw[LMETA_MAX];
    struct lmeta meta;
    struct stat  st;
    struct obj  *o;
    ssize_t      n;
    int          rc;

    if (fstat(fd, &st) < 0)
        return err_from_errno(errno);
    if (!S_ISREG(st.st_mode))
        return -AIS_E_NOENT;
    n = fgetxattr(fd, LMETA_XATTR, raw, sizeof(raw));
    if (n < 0)
        return errno == ENODATA ? -AIS_E_CORRUPT : err_from_errno(errno);
    rc = lmeta_decode(raw, (size_t)n, &meta);
    if (rc < 0)
        return rc;
    /* Of another bucket with the same name (destroyed and made again, by the original): not ours. */
    if (meta.meta_version >= 2 && LID_BID(meta.lid) != 0 && LID_BID(meta.lid) != LID_BID(b->bid))
        return -AIS_E_NOENT;
    if (!(meta.lid & LID_CHUNKED) && (uint64_t)st.st_size != meta.size)
        return -AIS_E_CORRUPT;
    o = obj_new(m->store, b, name, fqn, &meta);
    if (o == NULL)
        return -AIS_E_NOMEM;
    o->info.mpath = (uint16_t)m->idx;
    o->info.mtime_ns = st.st_mtim.tv_sec * NSEC_PER_SEC + st.st_mtim.tv_nsec;
    o->info.atime_ns = st.st_atim.tv_sec * NSEC_PER_SEC + st.st_atim.tv_nsec;
    n = fgetxattr(fd, OWN_XATTR, raw, sizeof(raw));
    if (n > 0)
        (void)gen_unpack(raw, (size_t)n, &o->info.gen);
    if (meta.lid & LID_CHUNKED)
        rc = load_chunks(m, b, o);
    if (rc < 0) {
        obj_close(o);
        return rc;
    }
    *out = o;
    return 0;
}

static int
try_open(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    return fd >= 0 ? fd : err_from_errno(errno);
}

int
obj_load(struct mpath *m, const struct bck *b, struct str name, bool keep_fd, struct obj **out, struct err *e)
{
    char path[FQN_MAX], plain[FQN_MAX + 64];
    int  fd = -AIS_E_NOENT, rc;

    rc = -AIS_E_NOENT;
    if (layout_is_path(name) && layout_obj(m->path, b, CT_OBJ, name, path) > 0) {
        fd = try_open(path);
        if (fd >= 0) {
            rc = obj_load_fd(m, b, name, path, fd, out);
            if (rc == -AIS_E_NOENT)
                fd_close(&fd); /* a directory */
        }
    }
    if (fd < 0 && layout_long(m->path, b, name, path, plain) > 0) {
        fd = try_open(path);
        if (fd >= 0)
            rc = obj_load_fd(m, b, name, path, fd, out);
    }
    if (fd < 0 && fd != -1 && fd != -AIS_E_NOENT && fd != -AIS_E_EXISTS)
        rc = fd;
    if (rc < 0) {
        if (fd >= 0)
            fd_close(&fd);
        if (rc == -AIS_E_NOENT)
            rc = -AIS_E_NOOBJ;
        else if (rc != -AIS_E_NOOBJ)
            atomic_fetch_add(&m->store->io_errors, rc == -AIS_E_IO);
        return err_set(e, -rc, "%.*s: %s", STR_FMT(name), err_text(rc));
    }
    if (keep_fd && (*out)->info.nchunks == 0)
        atomic_store(&(*out)->fd, fd);
    else
        fd_close(&fd);
    return 0;
}

struct load {
    struct mpath     *m;
    const struct bck *b;
    struct str        name;
    bool              keep_fd;
    struct obj       *out;
    struct err       *e;
    int               rc;
};

static void
load_blocking(void *arg)
{
    struct load *l = arg;

    l->rc = obj_load(l->m, l->b, l->name, l->keep_fd, &l->out, l->e);
}

int
obj_open(struct store *s, const struct bck *b, struct str name, unsigned flags, struct obj **out, struct err *e)
{
    struct load l = { .b = b, .name = name, .keep_fd = !(flags & OBJ_NO_FD), .e = e };
    uint64_t    epoch;
    struct obj *o = cache_get(s, b->bid, name, &epoch);

    if (o != NULL) {
        atomic_fetch_add_explicit(&s->hits, 1, memory_order_relaxed);
        if (!(flags & OBJ_NO_LRU) && l.keep_fd)
            o->info.atime_ns = clock_real();
        *out = o;
        return 0;
    }
    atomic_fetch_add_explicit(&s->misses, 1, memory_order_relaxed);
    l.m = mpath_of(s, b, name);
    if (l.m == NULL)
        return err_set(e, AIS_E_IO, "no mountpaths are available");
    offload(load_blocking, &l);
    if (l.rc < 0)
        return l.rc;
    if (!(flags & OBJ_NO_LRU) && l.keep_fd)
        l.out->info.atime_ns = clock_real();
    cache_put(l.out, epoch);
    *out = l.out;
    return 0;
}

/* --- content --- */

struct opening {
    const char *path;
    int         fd;
};

static void
open_blocking(void *arg)
{
    struct opening *o = arg;

    o->fd = try_open(o->path);
}

/* Open path once for all users of the object; whoever comes second closes its own. */
static int
open_shared(struct obj *o, const char *path, bool chunk, int *slot)
{
    struct opening op = { .path = path };
    int            fd;

    offload(open_blocking, &op);
    if (op.fd < 0)
        return op.fd;
    pthread_mutex_lock(&o->fd_mtx);
    fd = chunk ? *slot : atomic_load(&o->fd);
    if (fd < 0) {
        fd = op.fd;
        if (chunk)
            *slot = fd;
        else
            atomic_store(&o->fd, fd);
        op.fd = -1;
    }
    pthread_mutex_unlock(&o->fd_mtx);
    fd_close(&op.fd);
    return fd;
}

int
obj_piece(struct obj *o, uint64_t off, int *fd, uint64_t *fd_off, uint64_t *len, struct err *e)
{
    unsigned lo = 0, hi = o->info.nchunks;

    ASSERT_CMP(off, <, o->info.size, PRIu64);
    if (hi == 0) {
        *fd = atomic_load_explicit(&o->fd, memory_order_acquire);
        if (*fd < 0)
            *fd = open_shared(o, o->fqn, false, NULL);
        *fd_off = off;
        *len = o->info.size - off;
    } else {
        while (hi - lo > 1) {
            unsigned mid = (lo + hi) / 2;

            if (o->chunks[mid].off <= off)
                lo = mid;
            else
                hi = mid;
        }
        pthread_mutex_lock(&o->fd_mtx);
        *fd = o->chunks[lo].fd;
        pthread_mutex_unlock(&o->fd_mtx);
        if (*fd < 0)
            *fd = open_shared(o, o->chunks[lo].path, true, &o->chunks[lo].fd);
        *fd_off = off - o->chunks[lo].off;
        *len = o->chunks[lo].size - *fd_off;
    }
    if (*fd < 0)
        return err_set(e, -*fd, "cannot open the content of %.*s: %s", STR_FMT(o->name), err_text(*fd));
    return 0;
}
