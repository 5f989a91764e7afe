/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows from files: for an index that is missing or damaged, for disks that AIStore wrote, and on command.
 *
 * Names are collected by a walk and handed on in batches; each row is made from its file by the committer, so that a rebuild and
 * commits do not disturb each other.
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

#define BATCH      256
#define FOLD_BYTES (16 * MIB)
#define CLOCK_SLACK SEC_NS(60) /* a group takes its time from its files to the journal; clocks are set */

struct rebuild {
    struct mpath     *m;
    const struct bck *b;
    enum rebuild_how  how;
    int64_t           verify; /* what has changed since then is verified: 0 = nothing */
    struct sbuf       names; /* u32 length, name; BATCH at most */
    unsigned          n;
    uint64_t          objects, skipped;
    bool              away;  /* some lie where HRW does not say */
    size_t            base;  /* length of ".../%ob/" */
    int               rc;
    char              path[FQN_MAX];
    struct objmeta    om;
};

/* On the committer: the rows of a batch. */
static int
batch_rows(struct cjob *c)
{
    struct rebuild *rb = c->arg;
    struct str      rest = sbuf_str(&rb->names);
    int             rc = 0;

    while (rc == 0 && rest.n >= 4) {
        uint32_t n;

        memcpy(&n, rest.p, 4);
        if (rb->verify != 0)
            rc = recover_file(rb->m, rb->b, str_from(rest.p + 4, n), rb->verify);
        if (rc == 0)
            rc = row_follow(rb->m, rb->b, str_from(rest.p + 4, n));
        rest = str_from_off(rest, 4 + (size_t)n);
    }
    return rc;
}

static void
batch_end(struct rebuild *rb)
{
    struct cjob c = { .arg = rb };

    if (rb->n > 0 && rb->rc == 0)
        rb->rc = rb->how != REBUILD_IN_USE ? batch_rows(&c) : commit_fn(rb->m, batch_rows, rb);
    if (rb->how != REBUILD_IN_USE && rb->rc == 0 && rows_bytes(rb->m->rows) > FOLD_BYTES)
        rb->rc = checkpoint_call(rb->m, checkpoint_fold_now, NULL);
    sbuf_reset(&rb->names);
    rb->n = 0;
}

static void
batch_add(struct rebuild *rb, struct str name)
{
    uint32_t n = (uint32_t)name.n;

    sbuf_put(&rb->names, &n, 4);
    sbuf_puts(&rb->names, name);
    rb->objects++;
    if (++rb->n == BATCH)
        batch_end(rb);
}

/* The real name of a file of the long form; an empty one when the file cannot be read. */
static void
real_name(struct rebuild *rb, char name[OBJ_NAME_MAX + 1])
{
    auto_close int fd = open(rb->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    name[0] = '\0';
    if (fd >= 0 && meta_load(rb->m, rb->b, fd, &rb->om) == 0)
        (void)str_copyz(orig_name(&rb->om.meta), name, OBJ_NAME_MAX + 1);
    meta_free(&rb->om);
}

/* Bytes and both xattrs of the file at rb->path into an unnamed file, or a work file, of m; the descriptor. */
static int
copy_file(struct rebuild *rb, struct mpath *m, char work[FQN_MAX])
{
    static const char *const xattrs[] = { LMETA_XATTR, OWN_XATTR };
    char                     val[LMETA_MAX];
    auto_close int           from = open(rb->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int                      to;
    ssize_t                  n = from < 0 ? -1 : 1;

    work_name(m, rb->b, "copy", str_z(rb->path + rb->base), work);
    to = open(work, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    while (to >= 0 && n > 0)
        n = copy_file_range(from, NULL, to, NULL, 1u << 30, 0);
    for (unsigned i = 0; to >= 0 && n == 0 && i < ARRAY_SIZE(xattrs); i++) {
        ssize_t k = fgetxattr(from, xattrs[i], val, sizeof(val));

        if (k > 0)
            n = fsetxattr(to, xattrs[i], val, (size_t)k, 0);
    }
    if (to >= 0 && n < 0) {
        (void)unlink(work);
        fd_close(&to);
    }
    return to < 0 ? err_from_errno(errno) : to;
}

/* A copy of a mirrored object serves nobody as long as the main one is there, and takes its place when that is lost. */
static void
copy_home(struct rebuild *rb, struct mpath *m, struct str name)
{
    char        to[FQN_MAX], work[FQN_MAX];
    struct stat st;
    int         fd, rc;

    if (rb->how == REBUILD_IN_USE || m == NULL || layout_is_long(str_z(rb->path)) || layout_obj(m->path, rb->b, CT_OBJ, name, to) < 0 ||
        lstat(to, &st) == 0 || errno != ENOENT)
        return;
    fd = copy_file(rb, m, work);
    rc = fd < 0 ? fd : name_new(m, fd, work, to) < 0 ? -AIS_E_IO : row_follow(m, rb->b, name);
    fd_close(&fd);
    log_warn("a lost object was made again from its copy", { "file", LZ(to) }, { "copy", LZ(rb->path) }, { "error", LZ(rc < 0 ? err_text(rc) : "") });
}

/* On another mountpath than HRW says: a mirror copy, or an object that a resilver has to bring home. */
static void
away_file(struct rebuild *rb, struct mpath *home, struct str name)
{
    auto_close int fd = open(rb->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct obj    *o;

    if (fd < 0 || obj_load_fd(rb->m, rb->b, name, rb->path, fd, &o) < 0)
        return;
    if (o->info.copies > 1 && rb->m->store->mpaths[rb->m->idx] == rb->m) {
        if (o->info.nchunks == 0)
            copy_home(rb, home, name);
    } else {
        batch_add(rb, name);
        rb->away = true;
    }
    obj_close(o);
}

static void
rebuild_file(struct rebuild *rb)
{
    struct str    name = str_z(rb->path + rb->base);
    char          real[OBJ_NAME_MAX + 1];
    struct mpath *home;

    if (layout_is_long(str_z(rb->path))) {
        real_name(rb, real);
        name = str_z(real);
        if (name.n == 0) {
            rb->skipped++;
            return;
        }
    }
    home = mpath_of(rb->m->store, rb->b, name);
    if (frag_is_replica(rb->m, rb->b, name))
        return;
    if (home != rb->m)
        away_file(rb, home, name);
    else
        batch_add(rb, name);
}

/* The files of a folder, and the names of its folders, a NUL after each. */
static void
rebuild_entries(struct rebuild *rb, size_t n, struct sbuf *dirs)
{
    DIR           *d = opendir(rb->path);
    struct dirent *de;

    if (d == NULL && errno != ENOENT)
        rb->rc = err_from_errno(errno);
    while (d != NULL && rb->rc == 0) {
        struct stat st;
        int         type;

        errno = 0;
        de = readdir(d);
        if (de == NULL) {
            rb->rc = errno != 0 ? err_from_errno(errno) : 0; /* half a walk is no rebuild */
            break;
        }
        type = de->d_type;
        if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0 ||
            (size_t)snprintf(rb->path + n, sizeof(rb->path) - n, "/%s", de->d_name) >= sizeof(rb->path) - n)
            continue;
        if (type == DT_UNKNOWN && lstat(rb->path, &st) == 0)
            type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG : DT_UNKNOWN;
        if (type == DT_DIR)
            sbuf_put(dirs, de->d_name, strlen(de->d_name) + 1);
        else if (type == DT_REG)
            rebuild_file(rb);
        rb->path[n] = '\0';
    }
    if (d != NULL)
        closedir(d);
}

/* Folders below are read when this one is closed: names may be very deep, descriptors are few. */
static void
rebuild_dir(struct rebuild *rb)
{
    size_t      n = strlen(rb->path);
    struct sbuf dirs;

    sbuf_init(&dirs, 256 * MIB);
    rebuild_entries(rb, n, &dirs);
    if (rb->rc == 0 && !sbuf_ok(&dirs))
        rb->rc = -AIS_E_NOMEM;
    for (size_t at = 0; rb->rc == 0 && at < dirs.n; at += strlen(dirs.p + at) + 1) {
        snprintf(rb->path + n, sizeof(rb->path) - n, "/%s", dirs.p + at);
        rebuild_dir(rb);
        rb->path[n] = '\0';
    }
    sbuf_fini(&dirs);
}

/* Checkpoint thread: an index that has part of the bucket starts anew. */
static int
forget_rows(struct mpath *m, void *arg)
{
    const struct bck *b = arg;
    bool              left = true;
    int               rc = 0;

    while (rc == 0 && left) {
        struct index_txn *t;

        rc = index_begin(m->index, &t);
        if (rc < 0)
            break;
        rc = index_del_some(t, b->bid, 10000, &left);
        if (rc < 0)
            index_abort(t);
        else
            rc = index_commit(t);
    }
    return rc;
}

static int
mark_known(struct mpath *m, void *arg)
{
    const struct bck *b = arg;
    struct index_txn *t;
    int               rc = index_begin(m->index, &t);

    if (rc < 0)
        return rc;
    rc = index_mark(t, IMARK_BCK, b->bid, true);
    if (rc == 0)
        return index_commit(t);
    index_abort(t);
    return rc;
}

/* Rows whose files are gone. */
static void
rebuild_stale(struct rebuild *rb)
{
    char       *last = xmalloc(OBJ_NAME_MAX + 1);
    struct sbuf rows;
    bool        more = true;
    unsigned    n;

    sbuf_init(&rows, 64 * MIB);
    last[0] = '\0';
    while (rb->rc == 0 && more) {
        struct str name, value;

        sbuf_reset(&rows);
        rb->rc = rows_scan(rb->m->rows, rb->b->bid, STR_LIT(""), str_z(last), last[0] != '\0', 1000, &rows, &n, &more);
        for (size_t at = 0; rb->rc == 0 && scan_row(&rows, &at, &name, &value);) {
            (void)str_copyz(name, last, OBJ_NAME_MAX + 1);
            if (value.n > 0 && !ientry_is_tomb(value) && !ientry_is_moved(value))
                batch_add(rb, name);
        }
        more &= n > 0;
    }
    batch_end(rb);
    sbuf_fini(&rows);
    free(last);
}

/* Blocks of the journal are missing: what happened after the last checkpoint is seen in the files only. */
static int
verify_since(struct rebuild *rb)
{
    uint64_t at;
    int      rc = index_number_get(rb->m->index, "closed_at", &at);

    rb->verify = at > (uint64_t)CLOCK_SLACK ? (int64_t)at - CLOCK_SLACK : 1;
    return rc;
}

int
rebuild_bck(struct mpath *m, const struct bck *b, enum rebuild_how how, uint64_t *objects, struct err *e)
{
    struct rebuild *rb = xcalloc(1, sizeof(*rb));
    void           *arg = (void *)(uintptr_t)b;
    int             n = layout_ct(m->path, b, CT_OBJ, rb->path), rc;

    rb->m = m;
    rb->b = b;
    rb->how = how;
    rb->base = (size_t)n + 1;
    sbuf_init(&rb->names, 4 * MIB);
    if (how == REBUILD_CHECK || recover_has_gap(m))
        rb->rc = verify_since(rb);
    if (rb->rc == 0 && how == REBUILD_ANEW)
        rb->rc = checkpoint_call(m, forget_rows, arg);
    else if (rb->rc == 0)
        rebuild_stale(rb);
    rb->objects = 0;
    if (rb->rc == 0)
        rebuild_dir(rb);
    batch_end(rb);
    if (rb->rc == 0 && how != REBUILD_IN_USE)
        rb->rc = checkpoint_call(m, checkpoint_fold_now, NULL);
    if (rb->rc == 0)
        rb->rc = checkpoint_call(m, mark_known, arg);
    rc = rb->rc;
    if (rb->away)
        layout_scatter(m->store);
    *objects += rb->objects;
    if (rc == 0 && (rb->objects > 0 || rb->skipped > 0))
        log_info("index rebuilt", { "mountpath", LZ(m->path) }, { "bucket", LSTR(b->name) }, { "objects", LU64(rb->objects) },
                 { "unreadable", LU64(rb->skipped) });
    atomic_fetch_add(&m->store->rebuilt, rb->objects);
    sbuf_fini(&rb->names);
    free(rb);
    return rc < 0 ? err_set(e, -rc, "cannot rebuild the index of %.*s on %s: %s", STR_FMT(b->name), m->path, err_text(rc)) : 0;
}
