/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragments: what AIStore's erasure coding left on this target. A slice (%ec), or a replica (%ob) of an object that another target
 * owns; beside each, and beside the owner's object, a record (%mt). They are read where they lie; we do not make new ones.
 * internals.md 1.4, 6.
 *
 * Runs on: fibers; files are read in the offload pool, removed by the committer.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "store/store_impl.h"

#define RECORD_MAX (64 * KIB)
#define HASH_STEP  (256 * KIB)
#define WALK_DEPTH 128

void
frag_close(struct frag *f)
{
    if (f == NULL)
        return;
    fd_close(&f->fd);
    arena_free(f->mem);
    free(f->image);
    free(f);
}

/* The object is whole here and the record is the owner's, or it is a replica and the owner is another target. */
static bool
is_replica_of(const struct mpath *m, const struct ecmd *md)
{
    return md->slice_id == 0 && md->is_copy && !str_eqz(md->full_replica, m->store->node_id);
}

static int
record_read(struct mpath *m, const struct bck *b, struct str name, struct frag *f)
{
    char path[FQN_MAX];
    int  rc = -AIS_E_NOENT;

    for (int hashed = 0; rc == -AIS_E_NOENT && hashed < 2; hashed++)
        if (layout_aux(m->path, b, CT_MT, name, hashed != 0, path) > 0)
            rc = file_slurp(path, RECORD_MAX, &f->image, &f->n);
    return rc < 0 ? rc : ecmd_decode(f->mem, f->image, f->n, &f->md);
}

/* Where the content of a fragment lies on its mountpath; hashed: the form for names that are no path. */
static int
content_path(const struct mpath *m, const struct bck *b, struct str name, const struct ecmd *md, bool hashed, char out[FQN_MAX])
{
    char orig[FQN_MAX + 64];

    if (md->slice_id > 0)
        return layout_aux(m->path, b, CT_EC, name, hashed, out);
    return hashed ? layout_long(m->path, b, name, out, orig) : layout_obj(m->path, b, CT_OBJ, name, out);
}

static int
content_open(struct mpath *m, const struct bck *b, struct str name, struct frag *f)
{
    char        path[FQN_MAX];
    struct stat st;
    ssize_t     n;

    for (int hashed = 0; f->fd < 0 && hashed < 2; hashed++)
        if (content_path(m, b, name, &f->md, hashed != 0, path) > 0)
            f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (f->fd < 0)
        return -AIS_E_NOENT;
    if (fstat(f->fd, &st) < 0)
        return err_from_errno(errno);
    f->size = (uint64_t)st.st_size;
    n = f->md.slice_id > 0 ? 0 : fgetxattr(f->fd, LMETA_XATTR, f->lmeta, sizeof(f->lmeta));
    f->nlmeta = n > 0 ? (size_t)n : 0;
    return 0;
}

/* Is the content what the record says? */
static int
content_verify(const struct frag *f)
{
    struct str        want = f->md.slice_id > 0 ? f->md.slice_cksum : f->md.obj_cksum;
    struct cksum_run  run;
    struct cksum      sum;
    enum cksum_type   type;
    auto_free char   *buf = NULL;
    uint64_t          off = 0;
    ssize_t           k = 1;

    if (want.n == 0 || !cksum_by_name(f->md.cksum_type, &type) || type == CKSUM_NONE)
        return 0;
    buf = malloc(HASH_STEP);
    if (buf == NULL || cksum_init(&run, type) < 0)
        return -AIS_E_NOMEM;
    while (off < f->size && (k = pread(f->fd, buf, HASH_STEP, (off_t)off)) > 0) {
        cksum_update(&run, buf, (size_t)k);
        off += (uint64_t)k;
    }
    cksum_final(&run, &sum);
    cksum_fini(&run);
    if (k < 0)
        return err_from_errno(errno);
    return str_eqz(want, sum.value) ? 0 : -AIS_E_CKSUM;
}

struct frag_job {
    struct store     *s;
    const struct bck *b;
    struct str        name;
    bool              verify;
    struct frag      *f;
    int               rc;
    bool              yes;
};

static struct frag *
frag_new(void)
{
    struct frag *f = calloc(1, sizeof(*f));

    if (f != NULL) {
        f->fd = -1;
        f->mem = arena_new(1024, MIB);
    }
    return f;
}

static int
frag_at(struct mpath *m, struct frag_job *j)
{
    struct frag *f = frag_new();
    int          rc = f == NULL ? -AIS_E_NOMEM : record_read(m, j->b, j->name, f);

    if (rc == 0 && (f->md.slice_id > 0 || is_replica_of(m, &f->md)))
        rc = content_open(m, j->b, j->name, f);
    if (rc == 0 && f->fd >= 0 && j->verify)
        rc = content_verify(f);
    if (rc < 0)
        frag_close(f);
    else
        j->f = f;
    return rc;
}

static void
open_blocking(void *arg)
{
    struct frag_job *j = arg;

    j->rc = -AIS_E_NOENT;
    for (unsigned i = 0; i < j->s->n && j->f == NULL; i++) {
        struct mpath *m = j->s->mpaths[i];
        int           rc;

        if (!mpath_readable(m))
            continue;
        rc = frag_at(m, j);
        if (rc != -AIS_E_NOENT)
            j->rc = rc;
    }
}

int
frag_open(struct store *s, const struct bck *b, struct str name, bool verify, struct frag **out, struct err *e)
{
    struct frag_job j = { .s = s, .b = b, .name = name, .verify = verify };

    offload(open_blocking, &j);
    if (j.f != NULL) {
        *out = j.f;
        return 0;
    }
    if (j.rc == -AIS_E_NOENT)
        j.rc = -AIS_E_NOOBJ;
    else
        log_error("a slice or replica cannot be used", { "bucket", LSTR(b->name) }, { "object", LSTR(name) }, { "error", LZ(err_text(j.rc)) });
    return err_set(e, -j.rc, "fragment of %.*s: %s", STR_FMT(name), err_text(j.rc));
}

/* --- is there any, was there a deletion? --- */

static void
none_blocking(void *arg)
{
    struct frag_job *j = arg;
    char             path[FQN_MAX];

    j->yes = true;
    for (unsigned i = 0; i < j->s->n; i++) {
        bool           is = mpath_readable(j->s->mpaths[i]);
        DIR           *d = is && layout_ct(j->s->mpaths[i]->path, j->b, CT_MT, path) > 0 ? opendir(path) : NULL;
        struct dirent *de;

        while (d != NULL && j->yes && (de = readdir(d)) != NULL)
            j->yes = strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0;
        if (d != NULL)
            closedir(d);
    }
}

bool
frag_none(struct store *s, const struct bck *b)
{
    struct frag_job j = { .s = s, .b = b };

    offload(none_blocking, &j);
    return j.yes;
}

static void
deleted_blocking(void *arg)
{
    struct frag_job *j = arg;
    struct found     f;

    j->yes = where_is(j->s, j->b, j->name, &f) == 0 && f.state == OBJ_TOMB;
    sbuf_fini(&f.row);
}

bool
obj_was_deleted(struct store *s, const struct bck *b, struct str name)
{
    struct frag_job j = { .s = s, .b = b, .name = name };

    offload(deleted_blocking, &j);
    return j.yes;
}

/* --- removing --- */

static int
drop_on(struct cjob *c)
{
    struct frag_job *j = c->arg;
    struct frag     *f = frag_new();
    char             path[FQN_MAX];
    int              rc = f == NULL ? -AIS_E_NOMEM : record_read(c->m, j->b, j->name, f);

    if (rc == 0 && (f->md.slice_id > 0 || is_replica_of(c->m, &f->md)))
        for (int hashed = 0; hashed < 2; hashed++)
            if (content_path(c->m, j->b, j->name, &f->md, hashed != 0, path) > 0)
                (void)unlink(path);
    /* The record last, so that a drop that was cut short can be repeated. A damaged one goes, too. */
    for (int hashed = 0; rc != -AIS_E_NOENT && hashed < 2; hashed++)
        if (layout_aux(c->m->path, j->b, CT_MT, j->name, hashed != 0, path) > 0 && unlink(path) < 0 && errno != ENOENT)
            rc = err_from_errno(errno);
    frag_close(f);
    return rc == -AIS_E_NOENT || rc == -AIS_E_CORRUPT ? 0 : rc;
}

int
frag_drop(struct store *s, const struct bck *b, struct str name, struct err *e)
{
    struct frag_job j = { .s = s, .b = b, .name = name };
    int             rc = 0;

    for (unsigned i = 0; rc == 0 && i < s->n; i++)
        if (mpath_readable(s->mpaths[i]))
            rc = commit_fn(s->mpaths[i], drop_on, &j);
    return rc < 0 ? err_set(e, -rc, "cannot remove what belongs to %.*s: %s", STR_FMT(name), err_text(rc)) : 0;
}

/* --- the owner's record, after its object was made again --- */

struct record_job {
    struct store      *s;
    const struct bck  *b;
    struct str         name;
    const struct ecmd *md;
    int                rc;
};

static int
record_write(struct mpath *m, struct record_job *j)
{
    struct ecmd md = *j->md;
    char        path[FQN_MAX], work[FQN_MAX];
    struct sbuf image;
    int         rc = layout_aux(m->path, j->b, CT_MT, j->name, !layout_is_path(j->name), path), fd = -1;

    if (rc < 0)
        return rc;
    md.slice_id = 0;
    md.slice_cksum = STR_LIT("");
    md.full_replica = str_z(m->store->node_id);
    sbuf_init(&image, RECORD_MAX);
    rc = ecmd_encode(&md, &image);
    work_name(m, j->b, "w-slice-meta", j->name, work);
    if (rc == 0)
        rc = mkdirs_parent(path);
    if (rc == 0)
        fd = open(work, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (rc == 0 && fd < 0)
        rc = err_from_errno(errno);
    if (rc == 0)
        rc = write_all(fd, image.p, image.n);
    fd_close(&fd);
    if (rc == 0 && rename(work, path) < 0)
        rc = err_from_errno(errno);
    sbuf_fini(&image);
    return rc;
}

static void
record_blocking(void *arg)
{
    struct record_job *j = arg;
    struct mpath      *m = mpath_of(j->s, j->b, j->name);

    j->rc = m == NULL ? -AIS_E_IO : record_write(m, j);
}

int
frag_record(struct store *s, const struct bck *b, struct str name, const struct ecmd *md, struct err *e)
{
    struct record_job j = { .s = s, .b = b, .name = name, .md = md };

    offload(record_blocking, &j);
    return j.rc < 0 ? err_set(e, -j.rc, "record of %.*s: %s", STR_FMT(name), err_text(j.rc)) : 0;
}

/* --- for the rebuild of an index --- */

bool
frag_is_replica(struct mpath *m, const struct bck *b, struct str name)
{
    struct frag *f = b->ec ? frag_new() : NULL;
    bool         yes = f != NULL && record_read(m, b, name, f) == 0 && is_replica_of(m, &f->md);

    frag_close(f);
    return yes;
}

/* --- all records of a bucket --- */

struct frag_walk {
    struct store *s;
    struct bck    b;
    unsigned      mp, end;   /* the mountpath that is read next; the one that is not read any more */
    unsigned      depth;
    struct {
        DIR   *d;
        size_t len;          /* of path, up to this folder */
    } at[WALK_DEPTH];
    size_t        base;      /* length of ".../%mt/" */
    char          path[FQN_MAX];
};

struct frag_walk *
frag_walk_new(struct store *s, const struct bck *b)
{
    struct frag_walk *w = xcalloc(1, sizeof(*w));

    w->s = s;
    w->b = *b;
    w->end = s->n;
    return w;
}

void
frag_walk_free(struct frag_walk *w)
{
    while (w->depth > 0)
        closedir(w->at[--w->depth].d);
    free(w);
}

static void
walk_into(struct frag_walk *w)
{
    DIR *d = w->depth < WALK_DEPTH ? opendir(w->path) : NULL;

    if (d == NULL)
        return;
    w->at[w->depth].d = d;
    w->at[w->depth++].len = strlen(w->path);
}

/* One entry of the folder on top. */
static void
walk_step(struct frag_walk *w, struct sbuf *out, unsigned *n)
{
    size_t         len = w->at[w->depth - 1].len;
    struct dirent *de = readdir(w->at[w->depth - 1].d);
    struct stat    st;

    if (de == NULL) {
        closedir(w->at[--w->depth].d);
        return;
    }
    if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0 ||
        (size_t)snprintf(w->path + len, sizeof(w->path) - len, "/%s", de->d_name) >= sizeof(w->path) - len ||
        lstat(w->path, &st) < 0)
        return;
    if (S_ISDIR(st.st_mode)) {
        walk_into(w);
    } else if (S_ISREG(st.st_mode) && strncmp(w->path + w->base, ".x", 2) != 0) { /* a hash does not tell the name */
        scan_emit(out, str_z(w->path + w->base), STR_LIT(""));
        (*n)++;
    }
}

struct walk_job {
    struct frag_walk *w;
    struct sbuf      *out;
    unsigned          n;
};

static void
walk_blocking(void *arg)
{
    struct walk_job  *j = arg;
    struct frag_walk *w = j->w;

    while (j->n < FRAG_BATCH) {
        if (w->depth > 0) {
            walk_step(w, j->out, &j->n);
            continue;
        }
        if (w->mp == w->end)
            return;
        if (!mpath_readable(w->s->mpaths[w->mp])) {
            w->mp++;
            continue;
        }
        if (layout_ct(w->s->mpaths[w->mp++]->path, &w->b, CT_MT, w->path) < 0)
            continue;
        w->base = strlen(w->path) + 1;
        walk_into(w);
    }
}

unsigned
frag_walk_next(struct frag_walk *w, struct sbuf *out)
{
    struct walk_job j = { .w = w, .out = out };

    sbuf_reset(out);
    offload(walk_blocking, &j);
    return j.n;
}

bool
frag_name_next(const struct sbuf *names, size_t *at, struct str *name)
{
    struct str none;

    return scan_row(names, at, name, &none);
}

/* --- to another mountpath of this target --- */

static int
copy_xattrs(int from, int to)
{
    static const char *const xattrs[] = { LMETA_XATTR, OWN_XATTR };
    char                     val[LMETA_MAX];

    for (unsigned i = 0; i < ARRAY_SIZE(xattrs); i++) {
        ssize_t k = fgetxattr(from, xattrs[i], val, sizeof(val));

        if (k > 0 && fsetxattr(to, xattrs[i], val, (size_t)k, 0) < 0)
            return err_from_errno(errno);
    }
    return 0;
}

/* A file of the fragment under a work name, on stable storage, then under its own. */
static int
place_file(struct mpath *m, const struct bck *b, struct str name, const char *path, int (*fill)(void *ctx, int fd), void *ctx)
{
    char           work[FQN_MAX];
    auto_close int fd = -1;
    int            rc;

    work_name(m, b, "copy", name, work);
    fd = open(work, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    rc = fd < 0 ? err_from_errno(errno) : fill(ctx, fd);
    if (rc == 0 && fsync(fd) < 0)
        rc = err_from_errno(errno);
    if (rc == 0)
        rc = mkdirs_parent(path);
    if (rc == 0 && rename(work, path) < 0)
        rc = err_from_errno(errno);
    if (rc < 0)
        (void)unlink(work);
    return rc;
}

struct frag_copy {
    struct homing *h;
    struct frag   *f;
};

static int
fill_content(void *ctx, int fd)
{
    struct frag_copy *c = ctx;
    struct cksum      none = { .type = CKSUM_NONE };
    int               rc = content_verify(c->f);

    if (rc == 0)
        rc = home_copy(c->h, c->f->fd, fd, c->f->size, &none);
    return rc == 0 && c->f->md.slice_id == 0 ? copy_xattrs(c->f->fd, fd) : rc;
}

static int
fill_record(void *ctx, int fd)
{
    struct frag_copy *c = ctx;

    return write_all(fd, c->f->image, c->f->n);
}

/* Content first, the record last: without it there is no fragment. */
static int
frag_bring(struct homing *h, const struct bck *b, struct str name, struct mpath *from, struct mpath *to)
{
    struct frag_copy c = { .h = h };
    struct frag_job  j = { .s = h->s, .b = b, .name = name };
    bool             hashed = !layout_is_path(name);
    char             path[FQN_MAX];
    int              rc = frag_at(from, &j);

    if (rc < 0)
        return rc;
    c.f = j.f;
    if (c.f->fd >= 0) {
        rc = content_path(to, b, name, &c.f->md, hashed, path) > 0 ? 0 : -AIS_E_INVAL;
        if (rc == 0)
            rc = place_file(to, b, name, path, fill_content, &c);
    }
    if (rc == 0)
        rc = layout_aux(to->path, b, CT_MT, name, hashed, path) > 0 ? 0 : -AIS_E_INVAL;
    if (rc == 0)
        rc = place_file(to, b, name, path, fill_record, &c);
    if (rc == 0 && syncfs(to->rootfd) < 0) /* the names, before the source goes */
        rc = err_from_errno(errno);
    if (rc == 0)
        rc = commit_fn(from, drop_on, &j);
    frag_close(c.f);
    return rc;
}

static int
frag_one(struct homing *h, const struct bck *b, struct str name, struct mpath *m)
{
    struct mpath *to = mpath_of(h->s, b, name);
    struct nhold  hold;
    int           rc;

    if (to == NULL || to == m)
        return 0;
    rc = nlock(&h->s->names, b->bid, name, true, &hold);
    if (rc < 0)
        return rc;
    rc = frag_bring(h, b, name, m, to);
    nunlock(&h->s->names, &hold);
    if (rc < 0 && rc != -AIS_E_CANCELED)
        log_warn("a slice or replica stays where it is", { "mountpath", LZ(m->path) }, { "object", LSTR(name) }, { "error", LZ(err_text(rc)) });
    return rc;
}

int
frag_home(struct homing *h, const struct bck *b, struct mpath *m)
{
    struct frag_walk *w = frag_walk_new(h->s, b);
    struct sbuf       names;
    struct walk_job   j = { .w = w, .out = &names };
    int               rc = 0, rc2;

    w->mp = m->idx;
    w->end = m->idx + 1;
    sbuf_init(&names, 16 * MIB);
    do {
        struct str name;

        sbuf_reset(&names);
        j.n = 0;
        walk_blocking(&j);
        for (size_t at = 0; rc != -AIS_E_CANCELED && frag_name_next(&names, &at, &name);) {
            rc2 = h->stop != NULL && atomic_load(h->stop) ? -AIS_E_CANCELED : frag_one(h, b, name, m);
            rc = rc2 < 0 ? rc2 : rc;
        }
    } while (rc != -AIS_E_CANCELED && j.n > 0);
    sbuf_fini(&names);
    frag_walk_free(w);
    return rc;
}
