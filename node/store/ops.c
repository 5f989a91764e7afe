/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the committer does with files: PUT, DELETE, custom metadata, rename, completion of chunked objects. Each in three steps:
 * prepare (before the journal record), apply (the name), finish (rows). README.md, "A commit".
 *
 * Runs on: the mountpath's committer. Blocks.
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

int
job_fail(struct cjob *j, int rc, const char *what)
{
    mpath_trouble(j->m, rc);
    return err_set(&j->e, -rc, "%.*s: %s: %s", STR_FMT(j->name), what, err_text(rc));
}

int
write_all(int fd, const char *p, size_t n)
{
    FAIL_POINT("disk.write", return failpoint_error(-AIS_E_IO));
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

static char *
keep(struct cjob *j, const char *z)
{
    return arena_strdup(j->m->arena, str_z(z));
}

/* --- metadata --- */

static int
set_xattr(int fd, const char *name, const void *p, size_t n)
{
    FAIL_POINT("disk.setxattr", return failpoint_error(-AIS_E_IO));
    if (fsetxattr(fd, name, p, n, 0) < 0)
        return errno == E2BIG || errno == ERANGE ? -AIS_E_NOSPACE : err_from_errno(errno);
    return 0;
}

/* Write all custom metadata to a file of its own, named by the generation; *path: malloc'd. */
static int
side_stage(struct mpath *m, const struct bck *b, struct str name, const struct lmeta *meta, struct own *own, char **path)
{
    char           fqn[FQN_MAX];
    auto_close int fd = -1;
    struct sbuf    s;
    int            rc = layout_side(m->path, b, name, own->gen.counter, fqn);

    if (rc < 0)
        return rc;
    sbuf_init(&s, SIDE_MAX);
    side_encode(meta->custom, meta->ncustom, &s);
    rc = sbuf_ok(&s) ? mkdirs_parent(fqn) : -AIS_E_TOOBIG;
    if (rc == 0) {
        fd = open(fqn, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        rc = fd < 0 ? err_from_errno(errno) : write_all(fd, s.p, s.n);
        if (rc == 0 && b->durable && fdatasync(fd) < 0)
            rc = err_from_errno(errno);
        if (rc < 0 && fd >= 0)
            (void)unlink(fqn);
    }
    own->side = true;
    layout_name_sha(name, own->side_name);
    own->side_crc = rc == 0 ? crc32c(0, s.p, s.n) : 0;
    sbuf_fini(&s);
    if (rc == 0)
        *path = xstrdup(fqn);
    return rc;
}

/* What stays in AIStore's xattr when the custom metadata moved out: nothing but the long name, if that fits. */
static int
encode_trimmed(struct lmeta *meta, size_t max, void *raw)
{
    unsigned  all = meta->ncustom;
    struct kv first = meta->custom[0];
    int       n = -AIS_E_TOOBIG;

    for (unsigned i = 0; i < all && n < 0; i++) {
        if (!str_eqz(meta->custom[i].k, ORIG_NAME))
            continue;
        meta->custom[0] = meta->custom[i];
        meta->ncustom = 1;
        n = lmeta_encode(meta, raw);
        n = n > (int)max ? -AIS_E_TOOBIG : n;
    }
    if (n == -AIS_E_TOOBIG) {
        meta->ncustom = 0;
        n = lmeta_encode(meta, raw);
    }
    meta->ncustom = all;
    meta->custom[0] = first;
    return n;
}

/*
 * Both xattrs. The side record, if there is one, takes effect by our own xattr: that goes first then, else last. *used: it did, though
 * the other xattr may have failed.
 */
static int
xattrs_set(int fd, const void *raw, size_t n, const struct own *own, bool *used)
{
    unsigned char o[OWN_MAX];
    size_t        on = own_encode(own, o);
    int           rc = own->side ? set_xattr(fd, OWN_XATTR, o, on) : set_xattr(fd, LMETA_XATTR, raw, n);

    *used = rc == 0 && own->side;
    if (rc < 0)
        return rc;
    return own->side ? set_xattr(fd, LMETA_XATTR, raw, n) : set_xattr(fd, OWN_XATTR, o, on);
}

int
meta_write(struct mpath *m, const struct bck *b, struct str name, int fd, struct lmeta *meta, struct own *own, char **side)
{
    unsigned char raw[LMETA_MAX];
    size_t        max = m->xattr_max > OWN_MAX + 64 ? m->xattr_max - OWN_MAX - 64 : 0;
    bool          used = false;
    int           n, rc;

    meta->lid = (meta->lid & (LID_CHUNKED | LID_LONG)) | LID_BID(b->bid) | (b->bid & BID_AIS ? LID_AIS_BCK : 0);
    n = lmeta_encode(meta, raw);
    if (n < 0 && n != -AIS_E_TOOBIG)
        return n;
    if (n > 0 && ((size_t)n <= max || meta->ncustom == 0)) {
        own->side = false;
        rc = xattrs_set(fd, raw, (size_t)n, own, &used);
        if (rc != -AIS_E_NOSPACE || meta->ncustom == 0)
            return rc; /* with custom metadata: out of space, or less room in the inode than was thought */
    }
    rc = side_stage(m, b, name, meta, own, side);
    if (rc < 0)
        return rc;
    n = encode_trimmed(meta, max, raw);
    rc = n < 0 ? n : xattrs_set(fd, raw, (size_t)n, own, &used);
    if (rc < 0 && !used) { /* else the file would be left with a side record that is not there */
        (void)unlink(*side);
        free(*side);
        *side = NULL;
    }
    return rc;
}

/* For a job: the path of a staged side record lives in the arena. */
static int
job_meta_write(struct cjob *j)
{
    char *side = NULL;
    int   rc = meta_write(j->m, j->b, j->name, j->fd, j->meta, &j->own, &side);

    if (side != NULL)
        j->side_path = keep(j, side);
    free(side);
    return rc;
}

/* --- looking --- */

/* What the row says of the name. An unreadable one may stand for anything: the file decides. */
static void
look_at_row(struct cjob *j)
{
    struct ientry en;
    struct sbuf   v;
    int           rc;

    sbuf_init(&v, 64 * KIB);
    rc = rows_get(j->m->rows, j->b->bid, j->name, &v);
    j->was = rc == -AIS_E_NOENT ? OBJ_NONE : OBJ_HERE;
    if (rc == 0 && ientry_decode(v.p, v.n, &en) == 0 && row_state(&en) != OBJ_HERE) {
        j->was = row_state(&en);
        j->was_gen = en.gen;
        j->was_version = arena_str(j->m->arena, en.version);
    }
    if (j->was == OBJ_PASSED)
        j->was = OBJ_NONE;
    sbuf_fini(&v);
}

/* Is there something newer on another mountpath? Then that is what the name was; what this one has is only in the way. */
static int
look_away(struct cjob *j)
{
    struct ientry en;
    struct found  f;
    int           rc = where_is(j->m->store, j->b, j->name, &f);

    if (rc == 0 && f.m != NULL && f.m != j->m && row_cmp(f.state, &f.gen, j->was, &j->was_gen) > 0) {
        rc = f.state == OBJ_HERE ? obj_load(f.m, j->b, j->name, false, &j->away, NULL) : 0;
        if (rc == 0 && ientry_decode(f.row.p, f.row.n, &en) == 0) {
            j->was = f.state;
            j->was_gen = f.gen;
            j->was_version = arena_str(j->m->arena, en.version);
        }
        if (rc == -AIS_E_NOOBJ || rc == -AIS_E_CORRUPT) /* a row without a file, or one that cannot be read */
            rc = 0;
    }
    sbuf_fini(&f.row);
    return rc;
}

/*
 * What is there now (j->old, j->was...): from the cache, else from row and file; where there is no object by the row, the file is only
 * looked for to be sure. Only while objects are scattered can it fail.
 */
static int
look(struct cjob *j, bool sure)
{
    bool scattered = atomic_load(&j->m->store->scattered) && !j->home;

    j->was_version = STR_LIT("");
    j->was_gen = (struct gen){ .counter = 0 };
    j->old = cache_get(j->m->store, j->b->bid, j->name, NULL);
    if (j->old != NULL && j->old->info.mpath != j->m->idx) { /* of another mountpath */
        obj_close(j->old);
        j->old = NULL;
    }
    if (j->old == NULL) {
        look_at_row(j);
        if ((sure || j->was == OBJ_HERE) && obj_load(j->m, j->b, j->name, false, &j->old, NULL) < 0)
            j->old = NULL;
    }
    if (j->old != NULL) {
        j->was = OBJ_HERE;
        j->was_gen = j->old->info.gen;
        j->was_version = j->old->info.version;
    } else if (j->was == OBJ_HERE) { /* a row without a file, or one that cannot be read */
        j->was = OBJ_NONE;
    }
    return scattered ? look_away(j) : 0;
}

/* The object that the name has, wherever; NULL = none. */
static struct obj *
present(const struct cjob *j)
{
    return j->was != OBJ_HERE ? NULL : j->away != NULL ? j->away : j->old;
}

static int
look_failed(struct cjob *j, int rc)
{
    return job_fail(j, rc, "cannot look on all mountpaths");
}

/* The generation to be followed; NULL = none. */
static const struct gen *
was_gen(const struct cjob *j)
{
    return j->was == OBJ_NONE ? NULL : &j->was_gen;
}

static int
check_conditions(struct cjob *j)
{
    const struct put_attrs *a = j->attrs;
    const struct obj       *o = present(j);
    int                     cmp;

    if (a->if_none_match_any && o != NULL)
        return -AIS_E_PRECOND;
    if (a->if_match.n > 0 && (o == NULL || !str_eqz(a->if_match, o->info.cksum.value)))
        return -AIS_E_PRECOND;
    if (!a->from_peer || j->was == OBJ_NONE)
        return 0;
    cmp = gen_cmp(&a->gen, &j->was_gen);
    return cmp > 0 || (cmp == 0 && (j->was == OBJ_MOVED || j->home)) ? 0 : -AIS_E_CONFLICT;
}

static void
set_version(struct cjob *j, char out[68])
{
    uint64_t v = 0;

    out[0] = '\0';
    if (j->attrs->version.n > 0 || j->attrs->from_peer) {
        j->meta->version = j->attrs->version;
        return;
    }
    if (j->b->versioning) {
        if (j->was == OBJ_HERE || j->was == OBJ_MOVED)
            (void)str_u64(j->was_version, &v);
        str_from_u64(MAX(v, j->attrs->prior) + 1, 10, out);
    }
    j->meta->version = str_z(out);
}

static void
set_gen(struct cjob *j)
{
    if (!j->attrs->from_peer) {
        j->gen = gen_after(j->m->store, was_gen(j));
        return;
    }
    j->gen = j->attrs->gen;
    gen_seen(j->m->store, &j->gen);
}

/* --- names --- */

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

/* A name that must not exist yet; folders are made when they are missing. */
int
name_new(struct mpath *m, int fd, const char *work, const char *path)
{
    int rc = 0;

    FAIL_POINT("disk.link", return -EIO);
    for (int attempt = 0; attempt < 2; attempt++) {
        if (work == NULL)
            rc = link_fd(m, fd, path);
        else
            rc = renameat2(AT_FDCWD, work, AT_FDCWD, path, RENAME_NOREPLACE) < 0 ? -errno : 0;
        if (rc == -EINVAL && work != NULL) /* no NOREPLACE here; names are ours alone, so looking first will do */
            rc = access(path, F_OK) == 0 ? -EEXIST : rename(work, path) < 0 ? -errno : 0;
        if (rc != -ENOENT || attempt > 0)
            return rc;
        if (mkdirs_parent(path) < 0)
            return errno == ENOTDIR || errno == EEXIST ? -ENOTDIR : -errno;
    }
    return rc;
}

/* The new one, which is called j->prev, and the old one change places in two steps: the old one gets a second name first. */
static int
swap_by_link(struct cjob *j)
{
    char tmp[FQN_MAX];
    int  rc;

    work_name(j->m, j->b, "put", j->name, tmp);
    if (rename(j->prev, tmp) < 0)
        return -errno;
    rc = link(j->path, j->prev) < 0 || rename(tmp, j->path) < 0 ? -errno : 0;
    if (rc < 0 && rename(tmp, j->prev) < 0)
        (void)unlink(tmp);
    return rc;
}

/*
 * A name that exists: new and old change places in one step, so that the old one is kept until the epoch is on stable storage. A work
 * file keeps its own name until that is done: it may be a part of an upload that goes on when this fails.
 */
static int
name_over(struct cjob *j)
{
    struct mpath *m = j->m;
    int           rc;

    FAIL_POINT("disk.rename", return -EIO);
    if (j->work == NULL)
        rc = link_fd(m, j->fd, j->prev);
    else
        rc = link(j->work, j->prev) < 0 ? -errno : 0;
    if (rc < 0)
        return rc;
    FAIL_POINT("name.exchange", rc = -EIO);
    if (rc == 0 && m->exchange)
        rc = renameat2(AT_FDCWD, j->prev, AT_FDCWD, j->path, RENAME_EXCHANGE) < 0 ? -errno : 0;
    else if (rc == 0)
        rc = swap_by_link(j);
    if (rc == -ENOENT) { /* somebody removed the old one by hand */
        rc = name_new(m, -1, j->prev, j->path);
        if (rc == 0)
            j->prev = NULL;
    }
    if (rc < 0)
        (void)unlink(j->prev);
    else if (j->work != NULL)
        (void)unlink(j->work);
    return rc;
}

/* The path of an object that does not exist yet; the long-name form where the plain one cannot be. */
static int
choose_path(struct cjob *j)
{
    char path[FQN_MAX], orig[FQN_MAX + 64];
    int  rc;

    if (j->old != NULL) {
        j->path = keep(j, j->old->fqn);
        j->long_form = j->old->long_form;
    } else if (!j->long_form && layout_obj(j->m->path, j->b, CT_OBJ, j->name, path) > 0) {
        j->path = keep(j, path);
    } else {
        j->long_form = true;
    }
    if (j->long_form) {
        rc = layout_long(j->m->path, j->b, j->name, path, orig);
        if (rc < 0 || j->meta->ncustom == LMETA_MAX_CUSTOM)
            return -AIS_E_INVAL;
        j->path = keep(j, path);
        j->meta->lid |= LID_LONG;
        j->meta->custom[j->meta->ncustom++] = (struct kv){ STR_LIT(ORIG_NAME), str_z(keep(j, orig)) };
    }
    return j->path == NULL ? -AIS_E_NOMEM : 0;
}

/* Can nobody else have that name as a file? A folder of that name, or a file where a folder would have to be. */
static bool
plain_is_taken(const char *path)
{
    struct stat st;
    char        dir[FQN_MAX], *slash;

    if (lstat(path, &st) == 0)
        return S_ISDIR(st.st_mode);
    if (errno == ENOTDIR)
        return true;
    if (errno != ENOENT)
        return false;
    /* The nearest ancestor that exists is a folder, or else. */
    snprintf(dir, sizeof(dir), "%s", path);
    while ((slash = strrchr(dir, '/')) != NULL && slash != dir) {
        *slash = '\0';
        if (lstat(dir, &st) == 0)
            return !S_ISDIR(st.st_mode);
    }
    return false;
}

static int
name_give(struct cjob *j)
{
    char *side = NULL;
    int   rc;

    if (j->prev != NULL)
        return name_over(j);
    rc = name_new(j->m, j->fd, j->work, j->path);
    if (j->long_form || (rc != -EEXIST && rc != -ENOTDIR && rc != -EISDIR && rc != -ENAMETOOLONG))
        return rc;
    if (rc == -EEXIST && !plain_is_taken(j->path))
        return rc;
    /* Only now is it known that the plain form cannot be: the metadata has to carry the name. */
    j->long_form = true;
    rc = choose_path(j);
    if (rc == 0)
        rc = meta_write(j->m, j->b, j->name, j->fd, j->meta, &j->own, &side);
    if (side != NULL)
        j->side_path = keep(j, side);
    free(side);
    if (rc < 0)
        return rc == -AIS_E_NOSPACE ? -ENOSPC : -EIO;
    return name_new(j->m, j->fd, j->work, j->path);
}

static char *
prev_name(struct cjob *j)
{
    char prev[FQN_MAX];

    work_name(j->m, j->b, "prev", j->name, prev);
    return keep(j, prev);
}

/* --- what is left of an object that was replaced or removed; seg_mtx is held --- */

/* AIStore's mirror copies: the same name on other mountpaths. */
static void
drop_copies(struct cjob *j, const struct obj *o)
{
    struct store *s = j->m->store;
    char          path[FQN_MAX], orig[FQN_MAX + 64];

    for (unsigned i = 0; i < s->n; i++) {
        if (s->mpaths[i] == j->m)
            continue;
        if (layout_obj(s->mpaths[i]->path, j->b, CT_OBJ, o->name, path) > 0)
            later_add(j->m, path, NULL, 0);
        if (o->long_form && layout_long(s->mpaths[i]->path, j->b, o->name, path, orig) > 0)
            later_add(j->m, path, NULL, 0);
    }
}

/* Does the new object have that chunk, too? One that was only brought here does. */
static bool
keeps_chunk(const struct cjob *j, const char *path)
{
    for (unsigned i = 1; j->ufest != NULL && i < j->ufest->n; i++)
        if (str_eqz(j->ufest->chunks[i].path, path))
            return true;
    return false;
}

/* Side records are called by the generation: one that comes home finds its own name. */
static bool
same_side(const struct cjob *j, const struct obj *o)
{
    return j->side_path != NULL && o->info.gen.counter == j->gen.counter;
}

static void
drop_parts(struct cjob *j, const struct obj *o, bool with_manifest)
{
    char     path[FQN_MAX];
    uint64_t key;

    if (o == NULL)
        return;
    key = parts_key(o);
    for (unsigned i = 1; i < o->info.nchunks; i++)
        if (!keeps_chunk(j, o->chunks[i].path))
            later_add(j->m, o->chunks[i].path, NULL, key);
    if (o->side && !same_side(j, o) && layout_side(j->m->path, j->b, o->name, o->info.gen.counter, path) > 0)
        later_add(j->m, path, NULL, 0);
    if (o->staged != NULL && !(j->manifest_kept != NULL && strcmp(j->manifest_kept, o->staged) == 0))
        later_add(j->m, o->staged, NULL, 0);
    if (o->info.copies > 1 && !j->home)
        drop_copies(j, o);
    for (int hashed = 0; with_manifest && o->info.nchunks > 0 && hashed < 2; hashed++)
        if (layout_aux(j->m->path, j->b, CT_UFEST, o->name, hashed != 0, path) > 0)
            later_add(j->m, path, NULL, 0);
}

/* --- PUT --- */

/* An unnamed file with the body, or a work file where the file system has no unnamed ones (j->work then names it). */
static int
body_file(struct cjob *j)
{
    char path[FQN_MAX];

    if (j->fd >= 0)
        return 0;
    FAIL_POINT("disk.open", return failpoint_error(-AIS_E_IO));
    if (j->m->tmpfile) {
        if (layout_ct(j->m->path, j->b, CT_WORK, path) < 0)
            return -AIS_E_INVAL;
        j->fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
    } else {
        work_name(j->m, j->b, "put", j->name, path);
        j->fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
        if (j->fd >= 0)
            j->work = keep(j, path);
    }
    if (j->fd < 0)
        return err_from_errno(errno);
    j->small = true;
    return j->n == 0 ? 0 : write_all(j->fd, j->data, j->n);
}

static int
set_times(struct cjob *j)
{
    struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT } };

    if (j->attrs->mtime_ns == 0)
        return 0;
    if (j->attrs->from_peer && j->attrs->atime_ns > 0)
        ts[0] = (struct timespec){ .tv_sec = j->attrs->atime_ns / NSEC_PER_SEC, .tv_nsec = j->attrs->atime_ns % NSEC_PER_SEC };
    ts[1] = (struct timespec){ .tv_sec = j->attrs->mtime_ns / NSEC_PER_SEC, .tv_nsec = j->attrs->mtime_ns % NSEC_PER_SEC };
    return futimens(j->fd, ts) < 0 ? err_from_errno(errno) : 0;
}

/* What PUT and the completion of a chunked object have in common before the record. */
static int
prepare_meta(struct cjob *j)
{
    char version[68];
    int  rc = check_conditions(j);

    if (rc < 0)
        return rc;
    set_version(j, version);
    rc = choose_path(j);
    if (rc == 0)
        rc = job_meta_write(j);
    if (rc == 0)
        rc = set_times(j);
    if (rc == 0 && j->old != NULL)
        j->prev = prev_name(j);
    j->meta->version = str_z(keep(j, version[0] != '\0' ? version : ""));
    if (j->attrs->version.n > 0)
        j->meta->version = j->attrs->version;
    return rc;
}

/* The client says what it sends, and we have just that. */
static bool
same_content(const struct cjob *j)
{
    const struct put_attrs *a = j->attrs;
    const struct obj       *o = present(j);

    return a->same_is_noop && a->expect.type != CKSUM_NONE && o != NULL && o->info.nchunks == 0 && o->info.size == j->meta->size &&
           cksum_eq(&o->info.cksum, &a->expect);
}

static int
put_prepare(struct cjob *j)
{
    int rc = look(j, false);

    if (rc < 0)
        return look_failed(j, rc);
    set_gen(j);
    j->own = (struct own){ .gen = j->gen };
    if (same_content(j)) {
        j->noop = true;
        j->out = obj_ref(present(j));
        return 0;
    }
    rc = body_file(j);
    if (rc < 0)
        return job_fail(j, rc, "cannot write");
    FAIL_POINT("put.after_body", return job_fail(j, failpoint_error(-AIS_E_IO), "injected"));
    rc = prepare_meta(j);
    /* Large bodies are on stable storage before the record says so; small ones ride in it. */
    if (rc == 0 && j->b->durable && !j->small && fdatasync(j->fd) < 0)
        rc = err_from_errno(errno);
    if (rc < 0)
        return job_fail(j, rc, rc == -AIS_E_PRECOND || rc == -AIS_E_CONFLICT ? "condition" : "cannot write metadata");
    return 0;
}

/* The object as it is after the commit, from what was just written. */
static int
make_out(struct cjob *j)
{
    struct stat st;

    j->out = obj_new(j->m->store, j->b, j->name, j->path, j->meta);
    if (j->out == NULL)
        return -AIS_E_NOMEM;
    j->out->long_form = j->long_form;
    j->out->side = j->own.side;
    if (fstat(j->fd, &st) == 0)
        j->out->info.mtime_ns = st.st_mtim.tv_sec * NSEC_PER_SEC + st.st_mtim.tv_nsec;
    j->out->info.atime_ns = j->out->atime_disk = j->atime_ns;
    j->out->info.mpath = (uint16_t)j->m->idx;
    j->out->info.gen = j->gen;
    atomic_store(&j->out->fd, j->fd);
    j->out->nfds = 1;
    j->fd = -1;
    return 0;
}

/* The name, also where there is a file after all: no row told of it, or it cannot be read. */
static int
name_settle(struct cjob *j)
{
    int rc = name_give(j);

    if (rc != -EEXIST || j->prev != NULL)
        return rc;
    if (j->old == NULL && obj_load(j->m, j->b, j->name, false, &j->old, NULL) < 0)
        j->old = NULL;
    j->prev = prev_name(j);
    return name_over(j);
}

static int
put_apply(struct cjob *j)
{
    int rc;

    FAIL_POINT("put.before_name", return job_fail(j, failpoint_error(-AIS_E_IO), "injected"));
    rc = name_settle(j);
    if (rc < 0)
        return job_fail(j, err_from_errno(-rc), "cannot name the file");
    j->work = NULL;
    rc = make_out(j);
    return rc < 0 ? job_fail(j, rc, "cannot read back") : 0;
}

static int
put_row(struct cjob *j, struct str name)
{
    struct ientry en;

    entry_of(j->out, &en);
    return rows_put(j->m->rows, j->b->bid, name, &en);
}

static int
put_finish(struct cjob *j)
{
    if (j->prev != NULL)
        later_add(j->m, j->prev, NULL, 0);
    drop_parts(j, j->old, true);
    return put_row(j, j->name);
}

/* --- DELETE --- */

/* A file whose metadata is damaged can still be deleted. */
static char *
unreadable(struct cjob *j)
{
    char        path[FQN_MAX], orig[FQN_MAX + 64];
    struct stat st;

    if (layout_obj(j->m->path, j->b, CT_OBJ, j->name, path) > 0 && lstat(path, &st) == 0 && S_ISREG(st.st_mode))
        return keep(j, path);
    if (layout_long(j->m->path, j->b, j->name, path, orig) > 0 && lstat(path, &st) == 0 && S_ISREG(st.st_mode))
        return keep(j, path);
    return NULL;
}

static int
delete_prepare(struct cjob *j)
{
    struct sbuf v;
    bool        is;
    int         rc = look(j, true);

    if (rc < 0)
        return look_failed(j, rc);
    j->gen = gen_after(j->m->store, was_gen(j));
    j->path = j->old != NULL ? keep(j, j->old->fqn) : unreadable(j);
    if (j->old != NULL && present(j) == NULL) /* what is here was deleted on another mountpath */
        return err_set(&j->e, AIS_E_NOOBJ, "%.*s does not exist", STR_FMT(j->name));
    is = j->path != NULL || j->away != NULL;
    if (is && j->only != NULL && (j->was != OBJ_HERE || gen_cmp(&j->was_gen, j->only) != 0))
        return err_set(&j->e, AIS_E_CONFLICT, "%.*s has changed", STR_FMT(j->name));
    if (is)
        return 0;
    /* A row without a file is no object; it goes. */
    sbuf_init(&v, 64 * KIB);
    if (rows_get(j->m->rows, j->b->bid, j->name, &v) == 0 && !ientry_is_tomb(sbuf_str(&v)) &&
        !ientry_is_moved(sbuf_str(&v)))
        (void)rows_del(j->m->rows, j->b->bid, j->name);
    sbuf_fini(&v);
    return err_set(&j->e, AIS_E_NOOBJ, "%.*s does not exist", STR_FMT(j->name));
}

static int
delete_apply(struct cjob *j)
{
    FAIL_POINT("disk.unlink", return job_fail(j, failpoint_error(-AIS_E_IO), "injected"));
    if (j->path == NULL) /* on another mountpath, or nothing at all: only the row says so */
        return 0;
    if (unlink(j->path) < 0 && errno != ENOENT)
        return job_fail(j, err_from_errno(errno), "cannot remove");
    return 0;
}

static int
tomb_row(struct cjob *j, struct str name)
{
    struct ientry en = { .flags = IENT_TOMB, .gen = j->gen, .cksum = { .type = CKSUM_NONE }, .version = STR_LIT("") };

    return rows_put(j->m->rows, j->b->bid, name, &en);
}

static int
delete_finish(struct cjob *j)
{
    drop_parts(j, j->old, true);
    return tomb_row(j, j->name);
}

/* --- the object is another target's now --- */

static int
moved_prepare(struct cjob *j)
{
    int rc = look(j, true);

    if (rc < 0)
        return look_failed(j, rc);
    j->gen = *j->only;
    j->noop = j->was == OBJ_MOVED && gen_cmp(&j->was_gen, j->only) == 0;
    if (!j->noop && (j->old == NULL || j->old != present(j) || gen_cmp(&j->was_gen, j->only) != 0))
        return err_set(&j->e, AIS_E_CONFLICT, "%.*s has changed", STR_FMT(j->name));
    j->path = j->noop ? NULL : keep(j, j->old->fqn);
    return 0;
}

static int
moved_finish(struct cjob *j)
{
    struct ientry en;

    drop_parts(j, j->old, true);
    entry_of_stub(j, &en);
    atomic_store(&j->m->moved, true);
    return rows_put(j->m->rows, j->b->bid, j->name, &en);
}

/* --- a tombstone of a given generation --- */

static int
tomb_prepare(struct cjob *j)
{
    int rc = look(j, true);

    if (rc < 0)
        return look_failed(j, rc);
    if (j->only->counter == 0) {
        j->gen = gen_after(j->m->store, was_gen(j));
    } else {
        j->gen = *j->only;
        gen_seen(j->m->store, &j->gen);
    }
    j->path = j->old != NULL ? keep(j, j->old->fqn) : unreadable(j);
    if (j->was != OBJ_NONE && gen_cmp(&j->was_gen, &j->gen) >= 0) {
        j->noop = true;
        return j->older || j->was == OBJ_TOMB ? 0 : err_set(&j->e, AIS_E_CONFLICT, "%.*s has changed", STR_FMT(j->name));
    }
    j->noop = j->older && j->was == OBJ_NONE && j->path == NULL;
    return 0;
}

/* --- custom metadata --- */

/* Far more than clients may send at once; what is merged many times must still fit into a row. */
#define CUSTOM_MAX (32 * KIB)

static int
merge_custom(struct cjob *j, struct lmeta *m)
{
    size_t total = 0;

    if (j->replace) {
        unsigned n = 0;

        for (unsigned i = 0; i < m->ncustom; i++)
            if (str_eqz(m->custom[i].k, ORIG_NAME))
                m->custom[n++] = m->custom[i];
        m->ncustom = n;
    }
    for (unsigned i = 0; i < j->nkv; i++) {
        unsigned k = 0;

        while (k < m->ncustom && !str_eq(m->custom[k].k, j->kv[i].k))
            k++;
        if (k == LMETA_MAX_CUSTOM)
            return -AIS_E_TOOBIG;
        m->custom[k] = j->kv[i];
        m->ncustom = MAX(m->ncustom, k + 1);
    }
    for (unsigned i = 0; i < m->ncustom; i++)
        total += m->custom[i].k.n + m->custom[i].v.n;
    return total <= CUSTOM_MAX ? 0 : -AIS_E_TOOBIG;
}

static int
custom_prepare(struct cjob *j)
{
    int rc = look(j, true);

    if (rc < 0)
        return look_failed(j, rc);
    j->gen = gen_after(j->m->store, was_gen(j));
    if (present(j) == NULL)
        return err_set(&j->e, AIS_E_NOOBJ, "%.*s does not exist", STR_FMT(j->name));
    if (j->away != NULL) /* it was brought here before, and now it is gone again: mountpaths come and go */
        return err_set(&j->e, AIS_E_UNAVAIL, "%.*s: mountpaths have changed, try again", STR_FMT(j->name));
    j->path = keep(j, j->old->fqn);
    j->fd = open(j->path, O_RDONLY | O_CLOEXEC);
    return j->fd < 0 ? job_fail(j, err_from_errno(errno), "cannot open") : 0;
}

static int
custom_apply(struct cjob *j)
{
    struct objmeta *om = arena_alloc(j->m->arena, sizeof(*om));
    char           *side = NULL;
    int             rc = om == NULL ? -AIS_E_NOMEM : meta_load(j->m, j->b, j->fd, om);

    if (rc == 0)
        rc = merge_custom(j, &om->meta);
    if (rc == 0) {
        om->own.gen = j->gen;
        rc = meta_write(j->m, j->b, j->name, j->fd, &om->meta, &om->own, &side);
        free(side);
    }
    if (om != NULL)
        meta_free(om);
    if (rc == 0)
        rc = obj_load(j->m, j->b, j->name, true, &j->out, NULL);
    if (rc < 0)
        return job_fail(j, rc, rc == -AIS_E_TOOBIG || rc == -AIS_E_NOSPACE ? "custom metadata is too large" :
                                                                             "cannot update metadata");
    __atomic_store_n(&j->out->info.atime_ns, obj_info_atime(&j->old->info), __ATOMIC_RELAXED);
    return 0;
}

static int
custom_finish(struct cjob *j)
{
    char path[FQN_MAX];

    if (j->old->side && layout_side(j->m->path, j->b, j->name, j->old->info.gen.counter, path) > 0)
        later_add(j->m, path, NULL, 0);
    return put_row(j, j->name);
}

/* --- rename within the mountpath, of what is one file in the plain form; the rest is copied (obj_rename) --- */

static int
move_prepare(struct cjob *j)
{
    struct cjob to = { .m = j->m, .b = j->b, .name = j->to };
    char        path[FQN_MAX];

    int rc = look(j, true);

    if (rc == 0)
        rc = look(&to, true);
    j->over = to.old;
    obj_close(to.away);
    if (rc < 0)
        return look_failed(j, rc);
    j->gen = gen_after(j->m->store, was_gen(j));
    if (to.was != OBJ_NONE && gen_cmp(&j->gen, &to.was_gen) <= 0)
        j->gen = gen_after(j->m->store, &to.was_gen);
    if (present(j) == NULL)
        return err_set(&j->e, AIS_E_NOOBJ, "%.*s does not exist", STR_FMT(j->name));
    if (j->away != NULL)
        return err_set(&j->e, AIS_E_UNAVAIL, "%.*s: mountpaths have changed, try again", STR_FMT(j->name));
    if (j->old->long_form || j->old->side || j->old->info.nchunks > 0 || (j->over != NULL && j->over->long_form) ||
        layout_obj(j->m->path, j->b, CT_OBJ, j->to, path) < 0 || (j->over == NULL && plain_is_taken(path)))
        return -AIS_E_UNSUPP;
    j->path = keep(j, path);
    j->prev = j->over != NULL ? prev_name(j) : NULL;
    return j->path == NULL ? -AIS_E_NOMEM : 0;
}

static int
move_apply(struct cjob *j)
{
    struct own     own = { .gen = j->gen };
    unsigned char  raw[OWN_MAX];
    auto_close int fd = open(j->old->fqn, O_RDONLY | O_CLOEXEC);
    int            rc = fd < 0 ? err_from_errno(errno) : set_xattr(fd, OWN_XATTR, raw, own_encode(&own, raw));

    if (rc == 0 && j->prev != NULL && link(j->path, j->prev) < 0)
        rc = err_from_errno(errno);
    if (rc == 0)
        rc = mkdirs_parent(j->path);
    if (rc == 0 && rename(j->old->fqn, j->path) < 0)
        rc = err_from_errno(errno);
    if (rc == 0)
        rc = obj_load(j->m, j->b, j->to, true, &j->out, &j->e);
    return rc < 0 ? job_fail(j, rc, "cannot rename") : 0;
}

static int
move_finish(struct cjob *j)
{
    int rc = tomb_row(j, j->name);

    if (j->prev != NULL)
        later_add(j->m, j->prev, NULL, 0);
    drop_parts(j, j->over, true);
    return rc < 0 ? rc : put_row(j, j->to);
}

/* --- completion of a chunked object: chunk 1 takes the object's name; the manifest waits beside its place for the checkpoint --- */

static int
manifest_stage(struct cjob *j)
{
    char           path[FQN_MAX], work[FQN_MAX];
    struct sbuf    image;
    auto_close int fd = -1;
    int            rc = layout_manifest(j->m->path, j->b, j->name, j->ufest->id, path);

    if (rc < 0)
        return rc;
    sbuf_init(&image, 64 * MIB);
    rc = ufest_encode(j->ufest, &image);
    if (rc == 0)
        rc = mkdirs_parent(path);
    if (rc == 0) { /* beside and renamed: of one that comes home the name may be taken */
        work_name(j->m, j->b, "ufest", j->name, work);
        fd = open(work, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        rc = fd < 0 ? err_from_errno(errno) : write_all(fd, image.p, image.n);
        if (rc == 0 && rename(work, path) < 0)
            rc = err_from_errno(errno);
        if (rc < 0)
            (void)unlink(work);
    }
    sbuf_fini(&image);
    j->manifest = j->manifest_kept = keep(j, path);
    return rc;
}

static int
chunked_prepare(struct cjob *j)
{
    int rc = look(j, true);

    if (rc < 0)
        return look_failed(j, rc);
    set_gen(j);
    j->own = (struct own){ .gen = j->gen, .upload = j->ufest->id };
    j->meta->lid |= LID_CHUNKED;
    j->fd = open(j->work, O_RDWR | O_CLOEXEC);
    rc = j->fd < 0 ? err_from_errno(errno) : prepare_meta(j);
    if (rc == 0) {
        j->ufest->chunks[0].path = str_z(j->path);
        rc = manifest_stage(j);
    }
    return rc < 0 ? job_fail(j, rc, "cannot complete") : 0;
}

static int
chunked_apply(struct cjob *j)
{
    int rc;

    FAIL_POINT("chunked.before_name", return job_fail(j, failpoint_error(-AIS_E_IO), "injected"));
    rc = name_settle(j);
    rc = rc < 0 ? err_from_errno(-rc) : obj_load(j->m, j->b, j->name, true, &j->out, NULL);
    if (rc < 0)
        return job_fail(j, rc, "cannot complete");
    __atomic_store_n(&j->out->info.atime_ns, j->atime_ns, __ATOMIC_RELAXED);
    j->manifest = NULL;
    return 0;
}

static int
chunked_finish(struct cjob *j)
{
    char staged[FQN_MAX], path[FQN_MAX];

    if (j->prev != NULL)
        later_add(j->m, j->prev, NULL, 0);
    drop_parts(j, j->old, false);
    if (layout_manifest(j->m->path, j->b, j->name, j->ufest->id, staged) > 0 &&
        layout_aux(j->m->path, j->b, CT_UFEST, j->name, !layout_is_path(j->name), path) > 0)
        later_add(j->m, staged, path, 0);
    return put_row(j, j->name);
}

/* --- FN: one step --- */

static int
fn_apply(struct cjob *j)
{
    return j->fn(j);
}

void
job_undo(struct cjob *j)
{
    if (j->side_path != NULL)
        (void)unlink(j->side_path);
    if (j->manifest != NULL)
        (void)unlink(j->manifest);
    if (j->op == COP_PUT && j->work != NULL)
        (void)unlink(j->work);
}

/* clang-format off */
const struct cop_def cop_defs[COP_NOPS] = {
    [COP_PUT]     = { put_prepare,     put_apply,     put_finish },
    [COP_DELETE]  = { delete_prepare,  delete_apply,  delete_finish },
    [COP_MOVED]   = { moved_prepare,   delete_apply,  moved_finish },
    [COP_TOMB]    = { tomb_prepare,    delete_apply,   delete_finish },
    [COP_CUSTOM]  = { custom_prepare,  custom_apply,  custom_finish },
    [COP_MOVE]    = { move_prepare,    move_apply,    move_finish },
    [COP_CHUNKED] = { chunked_prepare, chunked_apply, chunked_finish },
    [COP_FN]      = { NULL,            fn_apply,      NULL },
};
/* clang-format on */
