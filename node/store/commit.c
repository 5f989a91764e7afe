/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The committer of a mountpath: takes what was queued as one group, writes the group's intent to the journal, gives the files their
 * metadata and names, changes the index in one transaction, brings the cache up to date, and only then acknowledges.
 *
 * Runs on: the mountpath's committer thread. Blocks. See README.md, "A commit".
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
#include "base/log.h"
#include "base/util.h"
#include "store/store_impl.h"

/* --- generations --- */

struct gen
gen_next(struct store *s)
{
    return (struct gen){ .epoch = atomic_load(&s->epoch),
                         .term = atomic_load(&s->term),
                         .smap_ver = atomic_load(&s->smap_ver),
                         .counter = atomic_fetch_add(&s->counter, 1) };
}

void
gen_pack(const struct gen *g, unsigned char out[32])
{
    out[0] = 1;
    out[1] = out[2] = out[3] = 0;
    be32_put(out + 4, g->epoch);
    be64_put(out + 8, g->term);
    be64_put(out + 16, g->smap_ver);
    be64_put(out + 24, g->counter);
}

bool
gen_unpack(const void *p, size_t n, struct gen *g)
{
    const unsigned char *b = p;

    if (n != 32 || b[0] != 1)
        return false;
    *g = (struct gen){ .epoch = be32_get(b + 4), .term = be64_get(b + 8), .smap_ver = be64_get(b + 16),
                       .counter = be64_get(b + 24) };
    return true;
}

void
entry_of(const struct obj *o, struct ientry *en)
{
    *en = (struct ientry){ .size = o->info.size,       .mtime_ns = o->info.mtime_ns, .atime_ns = o->info.atime_ns,
                           .cksum = o->info.cksum,     .gen = o->info.gen,           .version = o->info.version,
                           .copies = o->info.copies,   .flags = o->info.nchunks > 0 ? IENT_CHUNKED : 0,
                           .ncustom = o->info.ncustom };
    for (unsigned i = 0; i < o->info.ncustom; i++)
        en->custom[i] = o->info.custom[i];
}

/* --- files --- */

static int
fail(struct cjob *j, int rc, const char *what)
{
    if (rc == -AIS_E_IO)
        atomic_fetch_add(&j->m->store->io_errors, 1);
    return err_set(&j->e, -rc, "%.*s: %s: %s", STR_FMT(j->name), what, err_text(rc));
}

static int
write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, p, n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return err_from_errno(k == 0 ? ENOSPC : errno);
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

int
lmeta_write(int fd, const struct bck *b, struct lmeta *meta, const struct gen *g)
{
    unsigned char raw[LMETA_MAX], own[32];
    int           n;

    meta->lid = (meta->lid & (LID_CHUNKED | LID_LONG)) | LID_BID(b->bid) | (b->bid & BID_AIS ? LID_AIS_BCK : 0);
    n = lmeta_encode(meta, raw);
    if (n < 0)
        return n;
    gen_pack(g, own);
    if (fsetxattr(fd, LMETA_XATTR, raw, (size_t)n, 0) < 0 || fsetxattr(fd, OWN_XATTR, own, sizeof(own), 0) < 0)
        return errno == ENOSPC || errno == E2BIG || errno == ERANGE ? -AIS_E_NOSPACE : err_from_errno(errno);
    return 0;
}

/* An unnamed file with the body, or a work file where the file system has no unnamed ones (j->work then names it). */
static int
body_file(struct cjob *j, char work[FQN_MAX])
{
    char dir[FQN_MAX];
    int  rc;

    if (j->fd < 0) {
        if (j->m->tmpfile) {
            if (layout_ct(j->m->path, j->b, CT_WORK, dir) < 0)
                return -AIS_E_INVAL;
            j->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
            work[0] = '\0';
        } else {
            work_name(j->m, j->b, "put", j->name, work);
            j->fd = open(work, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
        }
        if (j->fd < 0)
            return err_from_errno(errno);
        j->work = work;
        rc = j->n == 0 ? 0 : write_all(j->fd, j->data, j->n);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Give an unnamed file its first name. */
static int
link_fd(struct mpath *m, int fd, const char *path)
{
    char proc[40];

    if (m->at_empty)
        return linkat(fd, "", AT_FDCWD, path, AT_EMPTY_PATH) < 0 ? -errno : 0;
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, proc, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/* A name that must not exist yet. 0, or -errno. */
static int
name_new(struct cjob *j, const char *path)
{
    char dir[FQN_MAX], *slash;
    int  rc = 0;

    for (int attempt = 0; attempt < 2; attempt++) {
        if (j->work[0] == '\0')
            rc = link_fd(j->m, j->fd, path);
        else
            rc = renameat2(AT_FDCWD, j->work, AT_FDCWD, path, RENAME_NOREPLACE) < 0 ? -errno : 0;
        if (rc != -ENOENT)
            return rc;
        snprintf(dir, sizeof(dir), "%s", path);
        slash = strrchr(dir, '/');
        *slash = '\0';
        if (mkdirs(dir) < 0)
            return errno == ENOTDIR || errno == EEXIST ? -ENOTDIR : -errno;
    }
    return rc;
}

/* A name that exists: replaced in one step. 0, or -errno. */
static int
name_over(struct cjob *j, const char *path)
{
    char work[FQN_MAX];
    int  rc;

    if (j->work[0] != '\0')
        return rename(j->work, path) < 0 ? -errno : 0;
    work_name(j->m, j->b, "over", j->name, work);
    rc = link_fd(j->m, j->fd, work);
    if (rc == 0 && rename(work, path) < 0) {
        rc = -errno;
        (void)unlink(work);
    }
    return rc;
}

/* What is there now: from the cache, the index or the files. NULL when nothing is. */
static struct obj *
present(struct cjob *j, bool sure)
{
    struct obj *o;
    uint64_t    epoch;
    struct sbuf v;
    int         rc;

    o = cache_get(j->m->store, j->b->bid, j->name, &epoch);
    if (o != NULL)
        return o;
    if (!sure) {
        sbuf_init(&v, 64 * KIB);
        rc = index_get(j->m->index, j->b->bid, j->name, &v);
        sbuf_fini(&v);
        if (rc == -AIS_E_NOENT)
            return NULL;
    }
    return obj_load(j->m, j->b, j->name, false, &o, NULL) == 0 ? o : NULL;
}

/* Files of an object other than the one that has its name. */
static void
drop_parts(struct cjob *j, const struct obj *o)
{
    char path[FQN_MAX];

    if (o == NULL || o->info.nchunks == 0)
        return;
    for (unsigned i = 1; i < o->info.nchunks; i++)
        (void)unlink(o->chunks[i].path);
    if (layout_obj(j->m->path, j->b, CT_UFEST, o->name, path) > 0)
        (void)unlink(path);
}

static void
next_version(struct cjob *j, const struct obj *old, char out[24])
{
    uint64_t v = 0;

    out[0] = '\0';
    if (j->attrs->version.n > 0 || !j->b->versioning)
        return;
    if (old != NULL)
        (void)str_u64(old->info.version, &v);
    str_from_u64(v + 1, 10, out);
}

static int
newer(const struct gen *a, const struct gen *b)
{
    if (a->epoch != b->epoch)
        return a->epoch > b->epoch;
    if (a->term != b->term)
        return a->term > b->term;
    if (a->smap_ver != b->smap_ver)
        return a->smap_ver > b->smap_ver;
    return a->counter > b->counter;
}

static int
check_conditions(struct cjob *j, const struct obj *old)
{
    const struct put_attrs *a = j->attrs;

    if (a->if_none_match_any && old != NULL)
        return -AIS_E_PRECOND;
    if (a->if_match.n > 0 && (old == NULL || !str_eqz(a->if_match, old->info.cksum.value)))
        return -AIS_E_PRECOND;
    if (a->from_peer && old != NULL && !newer(&a->gen, &old->info.gen))
        return -AIS_E_CONFLICT;
    return 0;
}

/* The object as it is after the commit, from what was just written. */
static int
make_out(struct cjob *j, const char *path, const struct gen *g)
{
    struct stat st;

    j->out = obj_new(j->m->store, j->b, j->name, path, &j->meta);
    if (j->out == NULL)
        return -AIS_E_NOMEM;
    if (fstat(j->fd, &st) == 0)
        j->out->info.mtime_ns = st.st_mtim.tv_sec * NSEC_PER_SEC + st.st_mtim.tv_nsec;
    j->out->info.atime_ns = j->atime_ns;
    j->out->info.mpath = (uint16_t)j->m->idx;
    j->out->info.gen = *g;
    atomic_store(&j->out->fd, j->fd);
    j->fd = -1;
    j->row_put = j->out;
    return 0;
}

/* The long-name form: the real name goes into the metadata. */
static int
name_long(struct cjob *j, char path[FQN_MAX], const struct gen *g)
{
    char orig[FQN_MAX + 64];
    int  rc = layout_long(j->m->path, j->b, j->name, path, orig);

    if (rc < 0 || j->meta.ncustom == LMETA_MAX_CUSTOM)
        return -EINVAL;
    j->meta.lid |= LID_LONG;
    j->meta.custom[j->meta.ncustom++] = (struct kv){ STR_LIT("orig_fntl"), str_z(orig) };
    rc = lmeta_write(j->fd, j->b, &j->meta, g);
    if (rc == 0) {
        rc = name_new(j, path);
        if (rc == -EEXIST)
            rc = name_over(j, path);
    } else {
        rc = -ENOSPC;
    }
    return rc;
}

static int
do_put(struct cjob *j)
{
    char        path[FQN_MAX] = "", work[FQN_MAX] = "", version[24];
    struct obj *old = NULL;
    struct gen  g = j->attrs->from_peer ? j->attrs->gen : gen_next(j->m->store);
    bool        is_path = layout_is_path(j->name) && layout_obj(j->m->path, j->b, CT_OBJ, j->name, path) > 0;
    int         rc = body_file(j, work);

    if (rc < 0)
        return fail(j, rc, "cannot write");
    FAIL_POINT("put.after_body", return fail(j, -AIS_E_IO, "injected"));
    old = present(j, false);
    for (int attempt = 0; attempt < 2; attempt++) {
        rc = check_conditions(j, old);
        if (rc < 0) {
            fail(j, rc, "condition");
            break;
        }
        next_version(j, old, version);
        j->meta.version = j->attrs->version.n > 0 ? j->attrs->version : str_z(version);
        rc = lmeta_write(j->fd, j->b, &j->meta, &g);
        if (rc < 0) {
            fail(j, rc, "cannot write metadata");
            break;
        }
        if (j->attrs->mtime_ns != 0) {
            struct timespec ts[2] = { { .tv_nsec = UTIME_NOW },
                                      { .tv_sec = j->attrs->mtime_ns / NSEC_PER_SEC,
                                        .tv_nsec = j->attrs->mtime_ns % NSEC_PER_SEC } };

            (void)futimens(j->fd, ts);
        }
        if (j->b->durable && fdatasync(j->fd) < 0) {
            rc = fail(j, err_from_errno(errno), "cannot flush");
            break;
        }
        FAIL_POINT("put.before_name", { rc = fail(j, -AIS_E_IO, "injected"); break; });
        if (old != NULL && !old->long_form) {
            snprintf(path, sizeof(path), "%s", old->fqn);
            rc = name_over(j, path);
        } else if (!is_path || old != NULL) {
            rc = name_long(j, path, &g);
        } else {
            rc = name_new(j, path);
            if (rc == -EEXIST && attempt == 0) {
                /* There after all: from this very group, or a directory of that name. */
                old = present(j, true);
                if (old != NULL)
                    continue;
                rc = name_long(j, path, &g);
            } else if (rc == -ENOTDIR || rc == -EISDIR || rc == -ENAMETOOLONG) {
                rc = name_long(j, path, &g);
            }
        }
        if (rc < 0)
            rc = fail(j, err_from_errno(-rc), "cannot name the file");
        break;
    }
    if (rc == 0) {
        rc = make_out(j, path, &g);
        drop_parts(j, old);
    } else if (work[0] != '\0' || j->work[0] != '\0') {
        (void)unlink(j->work);
    }
    obj_close(old);
    return rc;
}

static int
do_delete(struct cjob *j)
{
    struct obj *o = present(j, true);

    if (o == NULL) {
        /* Perhaps unreadable: a file whose metadata is damaged can still be deleted. */
        char path[FQN_MAX];

        j->row_del = true;
        if (layout_is_path(j->name) && layout_obj(j->m->path, j->b, CT_OBJ, j->name, path) > 0 && unlink(path) == 0)
            return 0;
        return err_set(&j->e, AIS_E_NOOBJ, "%.*s does not exist", STR_FMT(j->name));
    }
    if (unlink(o->fqn) < 0 && errno != ENOENT) {
        int rc = fail(j, err_from_errno(errno), "cannot remove");

        obj_close(o);
        return rc;
    }
    drop_parts(j, o);
    j->row_del = true;
    obj_close(o);
    return 0;
}

static void
merge_custom(struct cjob *j, struct lmeta *m)
{
    struct kv orig = { STR_NULL, STR_NULL };

    for (unsigned i = 0; i < m->ncustom; i++)
        if (str_eqz(m->custom[i].k, "orig_fntl"))
            orig = m->custom[i];
    if (j->replace) {
        m->ncustom = 0;
        if (orig.k.n > 0)
            m->custom[m->ncustom++] = orig;
    }
    for (unsigned i = 0; i < j->nkv; i++) {
        unsigned k = 0;

        while (k < m->ncustom && !str_eq(m->custom[k].k, j->kv[i].k))
            k++;
        if (k == LMETA_MAX_CUSTOM)
            continue;
        m->custom[k] = j->kv[i];
        m->ncustom = MAX(m->ncustom, k + 1);
    }
}

static int
do_custom(struct cjob *j)
{
    struct obj    *o = present(j, true);
    char           raw[LMETA_MAX];
    struct lmeta   m;
    struct gen     g = gen_next(j->m->store);
    auto_close int fd = -1;
    ssize_t        n;
    int            rc;

    if (o == NULL)
        return err_set(&j->e, AIS_E_NOOBJ, "%.*s does not exist", STR_FMT(j->name));
    fd = open(o->fqn, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : fgetxattr(fd, LMETA_XATTR, raw, sizeof(raw));
    rc = n < 0 ? err_from_errno(errno) : lmeta_decode(raw, (size_t)n, &m);
    if (rc == 0) {
        uint64_t flags = m.lid & (LID_CHUNKED | LID_LONG);

        merge_custom(j, &m);
        m.lid = flags;
        rc = lmeta_write(fd, j->b, &m, &g);
    }
    if (rc == 0 && j->b->durable && fsync(fd) < 0)
        rc = err_from_errno(errno);
    if (rc == 0)
        rc = obj_load(j->m, j->b, j->name, true, &j->out, NULL);
    if (rc == 0) {
        j->out->info.atime_ns = o->info.atime_ns;
        j->row_put = j->out;
    } else {
        fail(j, rc, rc == -AIS_E_TOOBIG || rc == -AIS_E_NOSPACE ? "custom metadata is too large" : "cannot update metadata");
    }
    obj_close(o);
    return rc;
}

/* Rename within the mountpath; both names have the plain form (obj_rename sees to it). */
static int
do_move(struct cjob *j)
{
    struct obj *o = present(j, true), *over;
    char        path[FQN_MAX], dir[FQN_MAX];
    struct cjob at_dst = *j;
    int         rc;

    if (o == NULL)
        return err_set(&j->e, AIS_E_NOOBJ, "%.*s does not exist", STR_FMT(j->name));
    if (o->long_form || o->info.nchunks > 0 || !layout_is_path(j->to) ||
        layout_obj(j->m->path, j->b, CT_OBJ, j->to, path) < 0) {
        obj_close(o);
        return -AIS_E_UNSUPP;
    }
    at_dst.name = j->to;
    over = present(&at_dst, true);
    if (over != NULL && (over->long_form || over->info.nchunks > 0)) {
        rc = -AIS_E_UNSUPP;
    } else {
        snprintf(dir, sizeof(dir), "%s", path);
        *strrchr(dir, '/') = '\0';
        (void)mkdirs(dir);
        rc = rename(o->fqn, path) < 0 ? errno == ENOTDIR || errno == EISDIR || errno == ENOTEMPTY ? -AIS_E_UNSUPP
                                                                                                  : err_from_errno(errno)
                                      : 0;
    }
    if (rc == 0)
        rc = obj_load(j->m, j->b, j->to, true, &j->out, &j->e);
    if (rc == 0) {
        j->row_put = j->out;
        j->row_name = j->to;
        j->row_del = true; /* the old name's row */
        cache_drop(j->m->store, j->b->bid, j->name);
    }
    obj_close(o);
    obj_close(over);
    return rc;
}

/* A chunked object: chunk 1 takes the object's name, the manifest its place beside. */
static int
do_chunked(struct cjob *j)
{
    char        path[FQN_MAX], mpath[FQN_MAX], tmp[FQN_MAX + 8], version[24];
    struct obj *old;
    struct gen  g = gen_next(j->m->store);
    struct sbuf image;
    int         rc, fd = -1;

    if (!layout_is_path(j->name) || layout_obj(j->m->path, j->b, CT_OBJ, j->name, path) < 0 ||
        layout_obj(j->m->path, j->b, CT_UFEST, j->name, mpath) < 0)
        return err_set(&j->e, AIS_E_UNSUPP, "%.*s: a multipart object needs a name that can be a path", STR_FMT(j->name));
    old = present(j, true);
    next_version(j, old, version);
    j->meta.version = j->attrs->version.n > 0 ? j->attrs->version : str_z(version);
    j->meta.lid |= LID_CHUNKED;
    j->ufest->chunks[0].path = str_z(path);
    sbuf_init(&image, 64 * MIB);
    rc = ufest_encode(j->ufest, &image);
    j->fd = open(j->chunk1, O_RDWR | O_CLOEXEC);
    if (rc == 0 && j->fd < 0)
        rc = err_from_errno(errno);
    if (rc == 0)
        rc = lmeta_write(j->fd, j->b, &j->meta, &g);
    if (rc == 0) {
        snprintf(tmp, sizeof(tmp), "%s", mpath);
        *strrchr(tmp, '/') = '\0';
        rc = mkdirs(tmp);
        work_name(j->m, j->b, "ufest", j->name, tmp);
    }
    if (rc == 0) {
        fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        rc = fd < 0 ? err_from_errno(errno) : write_all(fd, image.p, image.n);
        if (rc == 0 && j->b->durable && (fdatasync(fd) < 0 || fdatasync(j->fd) < 0))
            rc = err_from_errno(errno);
        fd_close(&fd);
    }
    sbuf_fini(&image);
    if (rc == 0) {
        j->work = j->chunk1;
        drop_parts(j, old);
        rc = rename(tmp, mpath) < 0 ? -errno : 0;
        if (rc == 0)
            rc = old != NULL ? name_over(j, path) : name_new(j, path);
        rc = rc < 0 ? err_from_errno(-rc) : 0;
    }
    fd_close(&j->fd);
    if (rc == 0)
        rc = obj_load(j->m, j->b, j->name, false, &j->out, NULL);
    obj_close(old);
    if (rc < 0)
        return fail(j, rc, "cannot complete");
    j->row_put = j->out;
    return 0;
}

static int
run_job(struct cjob *j)
{
    switch (j->op) {
    case COP_PUT:
        return do_put(j);
    case COP_DELETE:
        return do_delete(j);
    case COP_CUSTOM:
        return do_custom(j);
    case COP_MOVE:
        return do_move(j);
    case COP_CHUNKED:
        return do_chunked(j);
    case COP_FN:
        return j->fn(j);
    }
    ais_bug("unknown commit operation %d", j->op);
}

/* --- the journal: the names whose files and rows may disagree if we die now --- */

#define JOURNAL_MAGIC 0x41495331u

static void
journal_name(struct sbuf *b, uint64_t bid, struct str name)
{
    char head[10];

    be64_put(head, bid);
    be16_put(head + 8, (uint16_t)name.n);
    sbuf_put(b, head, sizeof(head));
    sbuf_puts(b, name);
}

static int
journal_write(struct mpath *m, struct wjobs *batch)
{
    struct wjob *w;
    struct sbuf  b;
    char         head[12] = { 0 };
    int          rc = 0;

    sbuf_init(&b, 16 * MIB);
    sbuf_put(&b, head, sizeof(head));
    STAILQ_FOREACH(w, batch, link)
    {
        struct cjob *j = CONTAINER_OF(w, struct cjob, w);

        if (j->op == COP_FN)
            continue;
        journal_name(&b, j->b->bid, j->name);
        if (j->op == COP_MOVE)
            journal_name(&b, j->b->bid, j->to);
    }
    if (b.n > sizeof(head)) {
        if (!sbuf_ok(&b)) {
            rc = -AIS_E_NOMEM;
        } else {
            be32_put(b.p, JOURNAL_MAGIC);
            be32_put(b.p + 4, (uint32_t)(b.n - sizeof(head)));
            be32_put(b.p + 8, crc32c(0, b.p + sizeof(head), b.n - sizeof(head)));
            if (pwrite(m->jfd, b.p, b.n, 0) != (ssize_t)b.n)
                rc = err_from_errno(errno);
        }
    }
    sbuf_fini(&b);
    return rc;
}

/* --- groups --- */

static int
index_rows(struct mpath *m, struct wjobs *batch)
{
    struct index_txn *t = NULL;
    struct wjob      *w;
    int               rc = 0;

    STAILQ_FOREACH(w, batch, link)
    {
        struct cjob  *j = CONTAINER_OF(w, struct cjob, w);
        struct ientry en;

        if (j->row_put == NULL && !j->row_del)
            continue;
        if (t == NULL)
            rc = index_begin(m->index, &t);
        if (rc == 0 && j->row_del)
            rc = index_del(t, j->b->bid, j->name);
        if (rc == 0 && j->row_put != NULL) {
            entry_of(j->row_put, &en);
            rc = index_put(t, j->b->bid, j->row_name.n > 0 ? j->row_name : j->name, &en);
        }
        if (rc < 0)
            break;
    }
    if (t == NULL)
        return rc;
    if (rc == 0)
        return index_commit(t);
    index_abort(t);
    return rc;
}

void
commit_batch(void *ctx, struct wjobs *batch)
{
    struct mpath *m = ctx;
    struct wjob  *w;
    bool          durable = false;
    int           rc = journal_write(m, batch), rows;

    STAILQ_FOREACH(w, batch, link)
    {
        struct cjob *j = CONTAINER_OF(w, struct cjob, w);

        /* The journal cannot be written on a full disk: a delete must still work there. */
        if (rc < 0 && j->op != COP_DELETE && j->op != COP_FN) {
            j->rc = fail(j, rc, "journal");
            continue;
        }
        j->rc = run_job(j);
        durable |= j->rc == 0 && j->op != COP_FN && j->b->durable;
    }
    FAIL_POINT("commit.before_index", (void)0);
    rows = index_rows(m, batch);
    if (rows < 0) {
        log_error("index cannot be written", { "mountpath", LZ(m->path) }, { "error", LZ(err_text(rows)) });
        atomic_fetch_add(&m->store->io_errors, 1);
    }
    if (durable && syncfs(m->rootfd) < 0)
        rows = rows < 0 ? rows : err_from_errno(errno);
    STAILQ_FOREACH(w, batch, link)
    {
        struct cjob *j = CONTAINER_OF(w, struct cjob, w);

        if (rows < 0 && j->rc == 0 && (j->row_put != NULL || j->row_del))
            j->rc = fail(j, rows, "index");
        if (j->out != NULL)
            cache_put(j->out, 0);
        else if (j->row_del)
            cache_drop(m->store, j->b->bid, j->name);
    }
    atomic_fetch_add_explicit(&m->store->groups, 1, memory_order_relaxed);
    worker_done_all(batch, 0);
}

int
commit_call(struct cjob *j)
{
    atomic_fetch_add_explicit(&j->m->store->commits, 1, memory_order_relaxed);
    (void)worker_call(j->m->committer, &j->w);
    return j->rc;
}

/* --- after a kill --- */

/* Bring the row of one name in line with its file. */
static int
redo_one(struct mpath *m, const struct bck *b, struct str name)
{
    struct index_txn *t;
    struct obj       *o = NULL;
    struct ientry     en;
    int               rc = index_begin(m->index, &t);

    if (rc < 0)
        return rc;
    if (obj_load(m, b, name, false, &o, NULL) == 0) {
        entry_of(o, &en);
        rc = index_put(t, b->bid, name, &en);
        obj_close(o);
    } else {
        rc = index_del(t, b->bid, name);
    }
    if (rc < 0) {
        index_abort(t);
        return rc;
    }
    atomic_fetch_add(&m->store->recovered, 1);
    return index_commit(t);
}

int
journal_redo(struct mpath *m, const struct bck *b)
{
    char       head[12], *p;
    struct str rest;
    uint32_t   n;
    int        rc = 0;

    if (pread(m->jfd, head, sizeof(head), 0) != sizeof(head) || be32_get(head) != JOURNAL_MAGIC)
        return 0;
    n = be32_get(head + 4);
    if (n > 16 * MIB)
        return 0;
    p = malloc(n == 0 ? 1 : n);
    if (p == NULL)
        return -AIS_E_NOMEM;
    /* A torn record means that its group was never begun: the journal is written first. */
    if (pread(m->jfd, p, n, sizeof(head)) == (ssize_t)n && crc32c(0, p, n) == be32_get(head + 8)) {
        for (rest = str_from(p, n); rc == 0 && rest.n >= 10;) {
            uint64_t bid = be64_get(rest.p);
            size_t   len = be16_get(rest.p + 8);

            if (len > rest.n - 10)
                break;
            if (bid == b->bid)
                rc = redo_one(m, b, str_from(rest.p + 10, len));
            rest = str_from_off(rest, 10 + len);
        }
    }
    free(p);
    return rc;
}
