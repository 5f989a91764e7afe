/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects and their files: building one from metadata, reading it from disk, opening its content.
 *
 * Runs on: threads that may block; obj_open, obj_piece: fibers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/failpoint.h"
#include "base/util.h"
#include "store/store_impl.h"

#define FREE_ON_LOOP (4 * MIB) /* files up to that are closed where the last user is */
#define OPEN_CHUNKS  32        /* descriptors of chunks that an object keeps open */

/* --- life --- */

/* By where the chunks lie: what is brought to other mountpaths keeps its generation. */
uint64_t
parts_key(const struct obj *o)
{
    uint64_t h = hash_bytes(o->name.p, o->name.n, o->bid ^ o->info.gen.counter);

    for (unsigned i = 1; i < o->info.nchunks; i++)
        h = hash_bytes(o->chunks[i].path, strlen(o->chunks[i].path), h);
    return h | 1;
}

/* Objects with parts are known while somebody holds them: their files are not removed under a reader. */
static void
live_add(struct obj *o)
{
    struct store *s = o->store;

    o->parts = parts_key(o);
    pthread_mutex_lock(&s->live_mtx);
    hmap_add(&s->live, &o->live, o->parts);
    o->is_live = true;
    pthread_mutex_unlock(&s->live_mtx);
}

bool
parts_in_use(struct store *s, uint64_t key)
{
    bool is;

    pthread_mutex_lock(&s->live_mtx);
    is = hmap_first(&s->live, key) != NULL;
    pthread_mutex_unlock(&s->live_mtx);
    return is;
}

static void
obj_free(struct obj *o)
{
    int fd = atomic_load(&o->fd);

    CHECK(o, OBJ_MAGIC);
    if (o->is_live) {
        pthread_mutex_lock(&o->store->live_mtx);
        hmap_del(&o->store->live, &o->live);
        pthread_mutex_unlock(&o->store->live_mtx);
    }
    fd_close(&fd);
    for (unsigned i = 0; i < o->info.nchunks; i++) {
        fd_close(&o->chunks[i].fd);
        free(o->chunks[i].path);
    }
    free(o->chunks);
    free(o->staged);
    pthread_mutex_destroy(&o->fd_mtx);
    o->magic = 0;
    free(o);
}

static void
free_blocking(void *arg)
{
    struct obj   *o = arg;
    struct store *s = o->store;

    obj_free(o);
    atomic_fetch_sub(&s->trash_busy, 1); /* store_close waits */
}

/* Closing the last descriptor of a large file that has no name any more frees its blocks: that takes time, and no loop's. */
static bool
frees_much(const struct obj *o)
{
    return o->stale && o->nfds > 0 && o->info.size >= FREE_ON_LOOP && loop_self() != NULL;
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
    if (atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (frees_much(o)) {
        atomic_fetch_add(&o->store->trash_busy, 1);
        offload_async(o->store->run, free_blocking, o);
    } else {
        obj_free(o);
    }
}

const struct obj_info *
obj_info(const struct obj *o)
{
    return &o->info;
}

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
    size_t      fixed = sizeof(struct obj) + m->ncustom * sizeof(struct kv);
    size_t      n = fixed + name.n + 1 + strlen(fqn) + 1 + m->version.n + 1;
    struct kv  *custom;
    struct obj *o;
    char       *at;

    for (unsigned i = 0; i < m->ncustom; i++)
        n += m->custom[i].k.n + m->custom[i].v.n + 2;
    o = malloc(n);
    if (o == NULL)
        return NULL;
    memset(o, 0, sizeof(*o));
    custom = (struct kv *)(void *)(o + 1);
    at = (char *)o + fixed;
    o->magic = OBJ_MAGIC;
    o->store = s;
    o->refs = 1;
    o->fd = -1;
    MUST(pthread_mutex_init(&o->fd_mtx, NULL));
    o->bid = b->bid;
    o->bytes = n + 64;
    o->name = put_str(&at, name);
    o->fqn = at;
    (void)put_str(&at, str_z(fqn));
    o->info.size = m->size;
    o->info.cksum = m->cksum;
    o->info.version = put_str(&at, m->version);
    o->info.copies = MAX(m->ncopies, 1u);
    o->info.custom = custom;
    for (unsigned i = 0; i < m->ncustom; i++) {
        if (str_eqz(m->custom[i].k, ORIG_NAME))
            continue;
        custom[o->info.ncustom].k = put_str(&at, m->custom[i].k);
        custom[o->info.ncustom++].v = put_str(&at, m->custom[i].v);
    }
    return o;
}

void
lmeta_clear(struct lmeta *m)
{
    m->meta_version = 2;
    m->version = STR_LIT("");
    m->size = m->lid = m->flags = 0;
    m->ncopies = m->ncustom = 0; /* the arrays are filled up to their counts */
}

/* --- reading metadata --- */

/* A whole small file. */
int
file_slurp(const char *path, size_t max, char **out, size_t *n)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat    st;
    char          *p;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_from_errno(errno);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max)
        return -AIS_E_CORRUPT;
    p = malloc((size_t)st.st_size + 1);
    if (p == NULL)
        return -AIS_E_NOMEM;
    if (read(fd, p, (size_t)st.st_size) != st.st_size) {
        free(p);
        return -AIS_E_IO;
    }
    *out = p;
    *n = (size_t)st.st_size;
    return 0;
}

static int
chunks_of(struct obj *o, const struct ufest *u)
{
    uint64_t off = 0;

    o->chunks = calloc(u->n, sizeof(*o->chunks));
    if (o->chunks == NULL)
        return -AIS_E_NOMEM;
    for (unsigned i = 0; i < u->n; i++) {
        struct chunk *c = &o->chunks[i];

        c->fd = -1;
        /* The first chunk lies under the object's own name, wherever that is now. */
        c->path = i == 0 ? strdup(o->fqn) : strndup(u->chunks[i].path.p, u->chunks[i].path.n);
        c->size = u->chunks[i].size;
        c->off = off;
        off += c->size;
        o->info.max_chunk = MAX(o->info.max_chunk, c->size);
        o->info.nchunks = i + 1;
        if (c->path == NULL)
            return -AIS_E_NOMEM;
        o->bytes += sizeof(*c) + strlen(c->path) + 1;
    }
    return off == o->info.size ? 0 : -AIS_E_CORRUPT;
}

/* The manifest at path, if it is complete and (id given) the one of this upload. */
static int
manifest_at(struct obj *o, const char *path, struct str id)
{
    struct arena *a;
    struct ufest  u;
    char         *image;
    size_t        n;
    int           rc = file_slurp(path, 16 * MIB, &image, &n);

    if (rc < 0)
        return rc;
    a = arena_new(4096, 64 * MIB);
    rc = ufest_decode(a, image, n, &u);
    if (rc == 0 && (u.n == 0 || !(u.flags & UFEST_COMPLETED)))
        rc = -AIS_E_CORRUPT;
    if (rc == 0 && id.n > 0 && !str_eq(id, u.id))
        rc = -AIS_E_NOENT;
    if (rc == 0)
        rc = chunks_of(o, &u);
    arena_free(a);
    free(image);
    return rc;
}

struct obj *
manifest_parts(struct store *s, const struct bck *b, struct str name, const char *path)
{
    struct lmeta none;
    struct obj  *o;

    lmeta_clear(&none);
    none.cksum.type = CKSUM_NONE;
    o = obj_new(s, b, name, "", &none);
    if (o != NULL)
        (void)manifest_at(o, path, STR_LIT("")); /* sizes do not add up to nothing: the parts are there all the same */
    return o;
}

/*
 * Chunks of a chunked object, from its manifest: at its place, or still under the name that it had before the last checkpoint.
 * Objects of AIStore do not say which upload they are of.
 */
static int
load_chunks(struct mpath *m, const struct bck *b, struct obj *o, struct str id)
{
    char path[FQN_MAX];
    int  rc = -AIS_E_NOENT;

    if (id.n > 0 && layout_manifest(m->path, b, o->name, id, path) > 0)
        rc = manifest_at(o, path, id);
    if (rc == 0)
        o->staged = xstrdup(path);
    for (int hashed = 0; rc == -AIS_E_NOENT && hashed < 2; hashed++)
        if (layout_aux(m->path, b, CT_UFEST, o->name, hashed != 0, path) > 0)
            rc = manifest_at(o, path, id);
    if (rc == 0)
        live_add(o);
    return rc == -AIS_E_NOENT ? -AIS_E_CORRUPT : rc;
}

/* All custom metadata, from the side record, in place of what the xattr has. *mem: what the strings point into. */
static int
load_side(struct mpath *m, const struct bck *b, const struct own *own, struct lmeta *meta, char **mem)
{
    char   path[FQN_MAX];
    size_t n;
    int    rc = layout_side_of(m->path, b, own->side_name, own->gen.counter, path);

    if (rc < 0)
        return rc;
    rc = file_slurp(path, SIDE_MAX, mem, &n);
    if (rc == -AIS_E_NOENT || (rc == 0 && crc32c(0, *mem, n) != own->side_crc))
        return -AIS_E_CORRUPT;
    return rc < 0 ? rc : side_decode(*mem, n, meta->custom, &meta->ncustom);
}

static const struct kv *
orig_of(const struct lmeta *m)
{
    for (unsigned i = 0; i < m->ncustom; i++)
        if (str_eqz(m->custom[i].k, ORIG_NAME))
            return &m->custom[i];
    return NULL;
}

struct str
orig_name(const struct lmeta *m)
{
    const struct kv *kv = orig_of(m);

    return kv == NULL ? STR_NULL : layout_name_of_orig(kv->v);
}

int
meta_load(struct mpath *m, const struct bck *b, int fd, struct objmeta *om)
{
    ssize_t n = fgetxattr(fd, LMETA_XATTR, om->raw, sizeof(om->raw));
    int     rc;

    om->side = NULL;
    om->own = (struct own){ .side = false };
    if (n < 0)
        return errno == ENODATA ? -AIS_E_CORRUPT : err_from_errno(errno);
    rc = lmeta_decode(om->raw, (size_t)n, &om->meta);
    if (rc < 0)
        return rc;
    n = fgetxattr(fd, OWN_XATTR, om->raw_own, sizeof(om->raw_own));
    if (n > 0)
        rc = own_decode(om->raw_own, (size_t)n, &om->own);
    else if (n < 0 && errno != ENODATA)
        rc = err_from_errno(errno);
    if (rc == 0 && om->own.side)
        rc = load_side(m, b, &om->own, &om->meta, &om->side);
    return rc;
}

void
meta_free(struct objmeta *om)
{
    free(om->side);
    om->side = NULL;
}

/* Does the file belong to this bucket and this name? */
static bool
is_ours(const struct lmeta *m, const struct bck *b, struct str name, bool long_form)
{
    struct str orig = orig_name(m);

    /* Of another bucket with the same name, destroyed and made again by the original. */
    if (m->meta_version >= 2 && LID_BID(m->lid) != 0 && LID_BID(m->lid) != LID_BID(b->bid))
        return false;
    return !long_form || orig.n == 0 || str_eq(orig, name);
}

int
obj_load_fd(struct mpath *m, const struct bck *b, struct str name, const char *fqn, int fd, struct obj **out)
{
    struct objmeta om;
    struct stat    st;
    struct obj    *o;
    bool           long_form = layout_is_long(str_z(fqn));
    int            rc;

    FAIL_POINT("obj.load", return failpoint_error(-AIS_E_IO));
    if (fstat(fd, &st) < 0)
        return err_from_errno(errno);
    if (!S_ISREG(st.st_mode))
        return -AIS_E_NOENT;
    rc = meta_load(m, b, fd, &om);
    if (rc == 0 && !is_ours(&om.meta, b, name, long_form))
        rc = -AIS_E_NOENT;
    if (rc == 0 && !(om.meta.lid & LID_CHUNKED) && (uint64_t)st.st_size != om.meta.size)
        rc = -AIS_E_CORRUPT;
    o = rc == 0 ? obj_new(m->store, b, name, fqn, &om.meta) : NULL;
    if (o == NULL) {
        meta_free(&om);
        return rc < 0 ? rc : -AIS_E_NOMEM;
    }
    o->long_form = long_form;
    o->side = om.own.side;
    o->info.gen = om.own.gen;
    o->info.mpath = (uint16_t)m->idx;
    o->info.mtime_ns = st.st_mtim.tv_sec * NSEC_PER_SEC + st.st_mtim.tv_nsec;
    o->info.atime_ns = o->atime_disk = st.st_atim.tv_sec * NSEC_PER_SEC + st.st_atim.tv_nsec;
    if (om.meta.lid & LID_CHUNKED)
        rc = load_chunks(m, b, o, om.own.upload);
    meta_free(&om);
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

/* The object at one path. -AIS_E_NOENT when there is none. */
static int
load_at(struct mpath *m, const struct bck *b, struct str name, const char *path, bool keep_fd, struct obj **out)
{
    int fd = try_open(path), rc;

    if (fd < 0)
        return fd;
    rc = obj_load_fd(m, b, name, path, fd, out);
    if (rc == 0 && keep_fd) {
        /* Opened later by its name it might be another object's: the next version's. */
        if ((*out)->info.nchunks == 0)
            atomic_store(&(*out)->fd, fd);
        else
            (*out)->chunks[0].fd = fd;
        (*out)->nfds = 1;
        return 0;
    }
    fd_close(&fd);
    return rc;
}

int
obj_load(struct mpath *m, const struct bck *b, struct str name, bool keep_fd, struct obj **out, struct err *e)
{
    char path[FQN_MAX], plain[FQN_MAX + 64];
    int  rc = -AIS_E_NOENT;

    if (layout_obj(m->path, b, CT_OBJ, name, path) > 0)
        rc = load_at(m, b, name, path, keep_fd, out);
    if (rc == -AIS_E_NOENT && layout_long(m->path, b, name, path, plain) > 0)
        rc = load_at(m, b, name, path, keep_fd, out);
    if (rc == 0)
        return 0;
    if (rc == -AIS_E_NOENT)
        rc = mpath_alive(m) ? -AIS_E_NOOBJ : -AIS_E_IO; /* a mountpath that is gone says nothing about its objects */
    else
        mpath_trouble(m, rc);
    return err_set(e, -rc, "%.*s: %s", STR_FMT(name), err_text(rc));
}

struct load {
    struct store     *s;
    const struct bck *b;
    struct str        name;
    bool              keep_fd;
    struct obj       *out;
    struct err       *e;
    int               rc;
};

/* While it is looked for, an object may be brought to another mountpath, and mountpaths come and go: then again. */
#define LOOKS 4

static void
load_blocking(void *arg)
{
    struct load *l = arg;

    l->rc = -AIS_E_NOOBJ;
    for (int i = 0; i < LOOKS && l->rc == -AIS_E_NOOBJ; i++) {
        struct mpath *m = mpath_find(l->s, l->b, l->name);

        if (m == NULL) {
            l->rc = err_set(l->e, AIS_E_IO, "no mountpaths are available");
            break;
        }
        l->rc = obj_load(m, l->b, l->name, l->keep_fd, &l->out, l->e);
        if (!atomic_load_explicit(&l->s->scattered, memory_order_acquire) && m == mpath_of(l->s, l->b, l->name))
            break;
    }
}

/* The one member that changes while others may read it: one aligned word. */
static void
touch(struct obj *o)
{
    __atomic_store_n(&o->info.atime_ns, clock_real(), __ATOMIC_RELAXED);
    atime_staying(o);
}

/* Does the handle pin its content? What is opened by name later may be the next version. */
static bool
pinned(const struct obj *o)
{
    return (o->info.nchunks > 0 ? o->chunks[0].fd : atomic_load_explicit(&o->fd, memory_order_acquire)) >= 0;
}

int
obj_open(struct store *s, const struct bck *b, struct str name, unsigned flags, struct obj **out, struct err *e)
{
    struct load l = { .s = s, .b = b, .name = name, .keep_fd = !(flags & OBJ_NO_FD), .e = e };
    uint64_t    epoch;
    struct obj *o = cache_get(s, b->bid, name, &epoch);

    if (o != NULL && (!l.keep_fd || pinned(o))) {
        atomic_fetch_add_explicit(&s->hits, 1, memory_order_relaxed);
        if (!(flags & OBJ_NO_LRU) && l.keep_fd)
            touch(o);
        *out = o;
        return 0;
    }
    obj_close(o);
    atomic_fetch_add_explicit(&s->misses, 1, memory_order_relaxed);
    offload(load_blocking, &l);
    if (l.rc < 0)
        return l.rc;
    if (!(flags & OBJ_NO_LRU) && l.keep_fd)
        touch(l.out);
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

/*
 * Open a chunk, once for all users of the object; whoever comes second closes its own. The number of chunks is the client's choice: when
 * the object has enough descriptors the piece keeps its own.
 */
static int
chunk_open(struct obj *o, struct chunk *c, struct opiece *out)
{
    struct opening op = { .path = c->path };
    bool           kept = false;

    offload(open_blocking, &op);
    if (op.fd < 0)
        return op.fd;
    pthread_mutex_lock(&o->fd_mtx);
    if (c->fd < 0 && o->nopen < OPEN_CHUNKS) {
        c->fd = op.fd;
        op.fd = -1;
        o->nopen++;
        kept = true;
    }
    out->own = c->fd < 0;
    out->fd = out->own ? op.fd : c->fd;
    pthread_mutex_unlock(&o->fd_mtx);
    if (kept)
        cache_fd_opened(o);
    if (!out->own)
        fd_close(&op.fd);
    return 0;
}

static struct chunk *
chunk_at(const struct obj *o, uint64_t off)
{
    unsigned lo = 0, hi = o->info.nchunks;

    while (hi - lo > 1) {
        unsigned mid = (lo + hi) / 2;

        if (o->chunks[mid].off <= off)
            lo = mid;
        else
            hi = mid;
    }
    return &o->chunks[lo];
}

static int
chunk_piece(struct obj *o, uint64_t off, struct opiece *out)
{
    struct chunk *c = chunk_at(o, off);

    pthread_mutex_lock(&o->fd_mtx);
    out->fd = c->fd;
    pthread_mutex_unlock(&o->fd_mtx);
    out->off = off - c->off;
    out->len = c->size - out->off;
    return out->fd >= 0 ? 0 : chunk_open(o, c, out);
}

int
obj_piece(struct obj *o, uint64_t off, struct opiece *out, struct err *e)
{
    int rc;

    ASSERT_CMP(off, <, o->info.size, PRIu64);
    *out = (struct opiece){ .fd = -1, .off = off, .len = o->info.size - off };
    if (o->info.nchunks > 0) {
        rc = chunk_piece(o, off, out);
        return rc < 0 ? err_set(e, -rc, "cannot open the content of %.*s: %s", STR_FMT(o->name), err_text(rc)) : 0;
    }
    out->fd = atomic_load_explicit(&o->fd, memory_order_acquire);
    return out->fd >= 0 ? 0 : err_set(e, AIS_E_INTERNAL, "%.*s was opened for its metadata only", STR_FMT(o->name));
}

void
obj_piece_done(struct opiece *p)
{
    if (p->own)
        fd_close(&p->fd);
    p->own = false;
    p->fd = -1;
}
