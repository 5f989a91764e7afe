/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing objects: bodies on their way to a commit, deletes, custom metadata, renames; reading content for copies and checks.
 *
 * Runs on: fibers. Small bodies wait in memory for the committer; large ones go to a work file piece by piece, hashed on the way.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"
#include "run/disk.h"
#include "store/store_impl.h"

/* --- large bodies --- */

struct open_work {
    struct put *p;
    int         rc;
};

/* A part gets a name at once; another body is unnamed where the file system has such files. */
static void
open_work_blocking(void *arg)
{
    struct open_work *o = arg;
    struct put       *p = o->p;
    char              path[FQN_MAX];

    if (p->part_path == NULL && p->m->tmpfile && layout_ct(p->m->path, &p->bck, CT_WORK, path) > 0) {
        p->fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
    } else {
        work_name(p->m, &p->bck, p->part_path == NULL ? "put" : "part", p->name, path);
        p->work = xstrdup(path);
        p->fd = open(p->work, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
    }
    o->rc = p->fd < 0 ? err_from_errno(errno) : 0;
}

static int
spill(struct put *p, struct err *e)
{
    struct open_work o = { .p = p };
    ssize_t          n;

    if (p->fd >= 0)
        return 0;
    offload(open_work_blocking, &o);
    if (o.rc < 0) {
        mpath_trouble(p->m, o.rc);
        return err_set(e, -o.rc, "cannot make a work file for %.*s: %s", STR_FMT(p->name), err_text(o.rc));
    }
    if (p->mem_n > 0) {
        n = disk_pwrite(p->fd, p->mem, p->mem_n, 0);
        if (n < 0)
            return err_set(e, (int)-n, "%.*s: cannot write: %s", STR_FMT(p->name), err_text((int)n));
    }
    free(p->mem);
    p->mem = NULL;
    p->mem_n = p->mem_cap = 0;
    return 0;
}

int
custom_ours(const struct kv *kv, unsigned n, struct str name, struct err *e)
{
    for (unsigned i = 0; i < n; i++)
        if (str_eqz(kv[i].k, ORIG_NAME))
            return err_set(e, AIS_E_INVAL, "%.*s: custom metadata: key \"" ORIG_NAME "\" is reserved", STR_FMT(name));
    return 0;
}

struct put *
put_new(struct store *s, struct mpath *m, const struct bck *b, struct str name, const struct put_attrs *a)
{
    enum cksum_type type = a->from_peer ? a->expect.type : b->cksum; /* a transfer keeps the source's */
    struct put     *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return NULL;
    p->magic = PUT_MAGIC;
    p->s = s;
    p->m = m;
    p->bck = *b;
    p->attrs = *a;
    p->fd = -1;
    p->arena = arena_new(512, 64 * KIB);
    p->name = arena_str(p->arena, name);
    p->bck.name = arena_str(p->arena, b->name);
    p->bck.ns_uuid = arena_str(p->arena, b->ns_uuid);
    p->bck.ns_name = arena_str(p->arena, b->ns_name);
    (void)cksum_init(&p->hash, type);
    if (a->expect.type != CKSUM_NONE && a->expect.type != type) {
        (void)cksum_init(&p->hash2, a->expect.type);
        p->two = true;
    }
    return p;
}

int
put_begin(struct store *s, const struct bck *b, struct str name, const struct put_attrs *a, struct put **out, struct err *e)
{
    struct store_cap cap;
    struct mpath    *m;
    struct put      *p;

    if (store_oos(s, &cap))
        return err_set(e, AIS_E_NOSPACE, "%s", cap.err);
    if (a->ncustom >= LMETA_MAX_CUSTOM)
        return err_set(e, AIS_E_TOOBIG, "%.*s: more than %d custom metadata entries", STR_FMT(name), LMETA_MAX_CUSTOM - 1);
    if (custom_ours(a->custom, a->ncustom, name, e) < 0)
        return -AIS_E_INVAL;
    m = mpath_of(s, b, name);
    if (m == NULL)
        return err_set(e, AIS_E_IO, "no mountpaths are available");
    if (a->length > 0 && (uint64_t)a->length > atomic_load(&m->avail))
        return err_set(e, AIS_E_NOSPACE, "out of space: %lld bytes do not fit", (long long)a->length);
    p = put_new(s, m, b, name, a);
    if (p == NULL)
        return err_set(e, AIS_E_NOMEM, "out of memory");
    *out = p;
    return 0;
}

/* Keep a small body. A known length is taken at once. */
static int
keep_small(struct put *p, const void *data, size_t n, struct err *e)
{
    if (p->mem_n + n > p->mem_cap) {
        size_t cap = p->attrs.length > 0 ? (size_t)p->attrs.length : MAX(p->mem_cap * 2, (size_t)8192);
        char  *mem;

        cap = MAX(cap, p->mem_n + n);
        mem = realloc(p->mem, cap);
        if (mem == NULL)
            return err_set(e, AIS_E_NOMEM, "out of memory");
        p->mem = mem;
        p->mem_cap = cap;
    }
    memcpy(p->mem + p->mem_n, data, n);
    p->mem_n += n;
    return 0;
}

/* Does what is there and n bytes more stay in memory until the commit? */
static bool
stays_small(const struct put *p, size_t n)
{
    return p->fd < 0 && p->part_path == NULL && p->size + n <= SMALL_BODY && p->attrs.length <= (int64_t)SMALL_BODY;
}

int
put_write(struct put *p, const void *data, size_t n, struct err *e)
{
    int rc;

    CHECK(p, PUT_MAGIC);
    if (p->attrs.length >= 0 && p->size + n > (uint64_t)p->attrs.length)
        return err_set(e, AIS_E_BADREQ, "%.*s: the body is longer than announced (%lld bytes)", STR_FMT(p->name),
                       (long long)p->attrs.length);
    cksum_update(&p->hash, data, n);
    if (p->two)
        cksum_update(&p->hash2, data, n);
    rc = stays_small(p, n) ? keep_small(p, data, n, e) : spill(p, e);
    if (rc == 0 && p->fd >= 0) {
        ssize_t k = disk_pwrite(p->fd, data, n, p->size);

        if (k < 0) {
            mpath_trouble(p->m, (int)k);
            rc = err_set(e, (int)-k, "%.*s: cannot write: %s", STR_FMT(p->name), err_text((int)k));
        }
    }
    p->size += n;
    return rc;
}

static void
put_free(struct put *p)
{
    fd_close(&p->fd);
    free(p->mem);
    free(p->work);
    free(p->part_path);
    cksum_fini(&p->hash);
    if (p->two)
        cksum_fini(&p->hash2);
    arena_free(p->arena);
    p->magic = 0;
    free(p);
}

static void
unlink_blocking(void *arg)
{
    (void)unlink(arg);
}

void
put_abort(struct put *p)
{
    CHECK(p, PUT_MAGIC);
    if (p->work != NULL)
        offload(unlink_blocking, p->work);
    put_free(p);
}

static int
put_verify(struct put *p, struct cksum *own, struct err *e)
{
    struct cksum got;
    char         disp[512];

    cksum_final(&p->hash, own);
    got = *own;
    if (p->two)
        cksum_final(&p->hash2, &got);
    if (p->attrs.length >= 0 && p->size != (uint64_t)p->attrs.length)
        return err_set(e, AIS_E_BADREQ, "%.*s: the body ended after %llu of %lld bytes", STR_FMT(p->name),
                       (unsigned long long)p->size, (long long)p->attrs.length);
    if (p->attrs.expect.type != CKSUM_NONE && !cksum_eq(&got, &p->attrs.expect)) {
        snprintf(disp, sizeof(disp), "%s://%.*s/%.*s", provider_scheme(p->bck.provider), STR_FMT(p->bck.name),
                 (int)MIN(p->name.n, (size_t)300), p->name.p);
        return err_set(e, AIS_E_CKSUM, "BAD DATA CHECKSUM: %s(%s != %s) (context: %s)", cksum_name(got.type),
                       p->attrs.expect.value, got.value, disp);
    }
    return 0;
}

/* The caller holds the name. */
static int
commit_held(struct cjob *j, struct err *e)
{
    int rc = commit_call(j);

    fd_close(&j->fd);
    if (rc < 0 && e != NULL)
        *e = j->e;
    return rc;
}

int
commit_locked(struct cjob *j, struct err *e)
{
    struct nhold h;
    int          rc = nlock(&j->m->store->names, j->b->bid, j->name, true, &h);

    if (rc < 0) {
        fd_close(&j->fd);
        return err_set(e, -rc, "%.*s: %s", STR_FMT(j->name), err_text(rc));
    }
    if (j->op == COP_CUSTOM)
        rc = home_for_change(j->m->store, j->b, j->name);
    if (rc == 0) {
        rc = commit_held(j, e);
    } else {
        fd_close(&j->fd);
        err_set(e, -rc, "%.*s: %s", STR_FMT(j->name), err_text(rc));
    }
    nunlock(&j->m->store->names, &h);
    return rc;
}

/* The end of a part: it has a file, whatever its size. */
static int
part_commit(struct put *p, const struct cksum *own, struct err *e)
{
    int rc = spill(p, e);

    if (rc == 0)
        rc = mpt_part_done(p, own, e);
    if (rc < 0 && p->work != NULL)
        offload(unlink_blocking, p->work);
    return rc;
}

int
put_commit(struct put *p, struct obj **out, struct err *e)
{
    struct lmeta meta;
    struct cjob  j = { .op = COP_PUT, .m = p->m, .b = &p->bck, .name = p->name, .fd = -1, .attrs = &p->attrs, .meta = &meta };
    int          rc;

    CHECK(p, PUT_MAGIC);
    rc = put_verify(p, &meta.cksum, e);
    if (rc == 0 && p->part_path != NULL)
        rc = part_commit(p, &meta.cksum, e);
    else if (rc < 0 && p->work != NULL)
        offload(unlink_blocking, p->work);
    if (rc < 0 || p->part_path != NULL) {
        put_free(p);
        return rc;
    }
    j.data = p->mem;
    j.n = p->mem_n;
    j.fd = p->fd;
    j.work = p->work;
    j.atime_ns = p->attrs.atime_ns != 0 ? p->attrs.atime_ns : clock_real();
    lmeta_clear(&meta);
    meta.size = p->size;
    for (unsigned i = 0; i < p->attrs.ncustom; i++)
        meta.custom[meta.ncustom++] = p->attrs.custom[i];
    p->fd = -1; /* the committer owns it now */
    rc = p->locked ? commit_held(&j, e) : commit_locked(&j, e);
    if (rc < 0 && p->work != NULL)
        offload(unlink_blocking, p->work); /* also when the name was not to be had */
    if (rc == 0 && out != NULL)
        *out = j.out;
    else
        obj_close(j.out);
    put_free(p);
    return rc;
}

/* --- small changes --- */

static void
find_blocking(void *arg)
{
    struct cjob *j = arg;

    j->m = mpath_find(j->arg, j->b, j->name);
}

static int
simple(struct cjob *j, struct err *e)
{
    int rc;

    if (j->m == NULL)
        return err_set(e, AIS_E_IO, "no mountpaths are available");
    j->fd = -1;
    rc = commit_locked(j, e);
    obj_close(j->out);
    return rc;
}

int
obj_delete(struct store *s, const struct bck *b, struct str name, struct err *e)
{
    struct cjob j = { .op = COP_DELETE, .m = mpath_of(s, b, name), .b = b, .name = name };

    return simple(&j, e);
}

int
obj_delete_if(struct store *s, const struct bck *b, struct str name, const struct gen *gen, struct err *e)
{
    struct cjob j = { .op = COP_DELETE, .m = mpath_of(s, b, name), .b = b, .name = name, .only = gen };

    return simple(&j, e);
}

int
obj_moved(struct store *s, const struct bck *b, struct str name, const struct gen *gen, uint64_t under, struct err *e)
{
    struct cjob j = { .op = COP_MOVED, .b = b, .name = name, .only = gen, .moved_under = under, .peer = true, .anywhere = true, .arg = s };

    if (atomic_load(&s->scattered)) /* where it lies: when a resilver takes it away meanwhile, it has changed */
        offload(find_blocking, &j);
    else
        j.m = mpath_of(s, b, name);
    return simple(&j, e);
}

int
obj_delete_older(struct store *s, const struct bck *b, struct str name, const struct gen *gen, struct err *e)
{
    struct cjob j = { .op = COP_TOMB, .m = mpath_of(s, b, name), .b = b, .name = name, .only = gen, .older = true, .peer = true };

    return simple(&j, e);
}

int
obj_tomb(struct store *s, const struct bck *b, struct str name, struct gen *gen, struct err *e)
{
    struct cjob j = { .op = COP_TOMB, .m = mpath_of(s, b, name), .b = b, .name = name, .only = gen };
    int         rc = simple(&j, e);

    if (rc == 0 && gen->counter == 0)
        *gen = j.gen;
    return rc;
}

int
obj_set_custom(struct store *s, const struct bck *b, struct str name, const struct kv *kv, unsigned n, bool replace,
               struct err *e)
{
    struct cjob j = { .op = COP_CUSTOM, .m = mpath_of(s, b, name), .b = b, .name = name, .kv = kv, .nkv = n,
                      .replace = replace };

    return custom_ours(kv, n, name, e) < 0 ? -AIS_E_INVAL : simple(&j, e);
}

/* The whole content, in order, through a function. */
int
obj_each_piece(struct obj *o, int (*fn)(void *ctx, const void *p, size_t n), void *ctx, struct err *e)
{
    size_t   cap = 256 * KIB;
    char    *buf = malloc(cap);
    uint64_t off = 0;
    int      rc = buf == NULL ? -AIS_E_NOMEM : 0;

    while (rc == 0 && off < o->info.size) {
        ssize_t n = obj_read(o, buf, cap, off, e);

        if (n <= 0) {
            rc = n < 0 ? (int)n : -AIS_E_IO;
            break;
        }
        rc = fn(ctx, buf, (size_t)n);
        off += (uint64_t)n;
    }
    free(buf);
    return rc < 0 ? err_fill(e, rc) : 0;
}

ssize_t
obj_read(struct obj *o, void *p, size_t n, uint64_t off, struct err *e)
{
    struct opiece piece;
    ssize_t       k;
    int           rc;

    if (off >= o->info.size)
        return 0;
    rc = obj_piece(o, off, &piece, e);
    if (rc < 0)
        return rc;
    k = disk_pread(piece.fd, p, (size_t)MIN((uint64_t)n, piece.len), piece.off);
    obj_piece_done(&piece);
    if (k == 0)
        return err_set(e, AIS_E_IO, "%.*s: the file is shorter than its metadata says", STR_FMT(o->name));
    return k < 0 ? err_set(e, (int)-k, "%.*s: %s", STR_FMT(o->name), err_text((int)k)) : k;
}

int
cksum_feed(void *ctx, const void *p, size_t n)
{
    cksum_update(ctx, p, n);
    if (fiber_self() != NULL)
        fiber_yield();
    return 0;
}

int
obj_verify(struct obj *o, struct err *e)
{
    struct cksum_run h;
    struct cksum     got;
    int              rc;

    if (o->info.cksum.type == CKSUM_NONE)
        return 0;
    rc = cksum_init(&h, o->info.cksum.type);
    if (rc < 0)
        return err_fill(e, rc);
    rc = obj_each_piece(o, cksum_feed, &h, e);
    cksum_final(&h, &got);
    cksum_fini(&h);
    if (rc == 0 && !cksum_eq(&got, &o->info.cksum))
        return err_set(e, AIS_E_CKSUM, "BAD DATA CHECKSUM: %s(%s != %s) (context: %.*s)", cksum_name(got.type),
                       o->info.cksum.value, got.value, STR_FMT(o->name));
    return rc;
}

struct copying {
    struct put *p;
    struct err *e;
};

static int
copy_piece(void *ctx, const void *p, size_t n)
{
    struct copying *c = ctx;

    return put_write(c->p, p, n, c->e);
}

/* Copy content and metadata under another name, whose lock is held; the version starts anew. */
static int
obj_copy_here(struct store *s, const struct bck *b, struct obj *from, struct str to, struct err *e)
{
    struct put_attrs a = { .length = (int64_t)from->info.size, .atime_ns = obj_info_atime(&from->info),
                           .ncustom = from->info.ncustom,      .custom = from->info.custom,
                           .expect = from->info.cksum };
    struct copying   c = { .e = e };
    int              rc = put_begin(s, b, to, &a, &c.p, e);

    if (rc < 0)
        return rc;
    c.p->locked = true;
    rc = obj_each_piece(from, copy_piece, &c, e);
    if (rc < 0) {
        put_abort(c.p);
        return rc;
    }
    return put_commit(c.p, NULL, e);
}

static int
copy_and_delete(struct store *s, const struct bck *b, struct str from, struct str to, struct err *e)
{
    struct cjob del = { .op = COP_DELETE, .m = mpath_of(s, b, from), .b = b, .name = from, .fd = -1 };
    struct obj *o;
    int         rc = obj_open(s, b, from, OBJ_NO_LRU, &o, e);

    if (rc < 0)
        return rc;
    rc = obj_copy_here(s, b, o, to, e);
    obj_close(o);
    if (rc == 0)
        rc = commit_call(&del);
    if (rc < 0 && e != NULL && del.e.code != 0)
        *e = del.e;
    return rc;
}

/* Both names are held. */
static int
rename_held(struct store *s, const struct bck *b, struct str from, struct str to, struct err *e)
{
    struct cjob j = { .op = COP_MOVE, .m = mpath_of(s, b, from), .b = b, .name = from, .to = to, .fd = -1 };
    int         rc = home_for_change(s, b, from);

    if (rc < 0)
        return err_set(e, -rc, "%.*s: %s", STR_FMT(from), err_text(rc));
    if (j.m == NULL || j.m != mpath_of(s, b, to))
        return copy_and_delete(s, b, from, to, e);
    rc = commit_call(&j);
    obj_close(j.out);
    if (rc == -AIS_E_UNSUPP)
        return copy_and_delete(s, b, from, to, e);
    if (rc < 0 && e != NULL)
        *e = j.e;
    return rc;
}

int
obj_rename(struct store *s, const struct bck *b, struct str from, struct str to, struct err *e)
{
    bool         straight = str_cmp(from, to) < 0;
    struct nhold h[2];
    int          rc;

    if (str_eq(from, to))
        return err_set(e, AIS_E_INVAL, "%.*s: cannot be renamed to itself", STR_FMT(from));
    rc = nlock(&s->names, b->bid, straight ? from : to, true, &h[0]);
    if (rc == 0) {
        rc = nlock(&s->names, b->bid, straight ? to : from, true, &h[1]);
        if (rc < 0)
            nunlock(&s->names, &h[0]);
    }
    if (rc < 0)
        return err_set(e, -rc, "%.*s: %s", STR_FMT(from), err_text(rc));
    rc = rename_held(s, b, from, to, e);
    nunlock(&s->names, &h[1]);
    nunlock(&s->names, &h[0]);
    return rc;
}

int
obj_lock_state(struct store *s, const struct bck *b, struct str name)
{
    return nlock_state(&s->names, b->bid, name);
}
