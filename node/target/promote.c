/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promote: files that this target can see become objects, each on its owner.
 *
 * POST /v1/buckets/BUCKET/_promote from the proxy, body
 *     {"src": "/abs/path", "obj": name or prefix, "rcr": recursive, "ovw": overwrite, "dls": delete source, "mine": bool, "probe": bool,
 *      "job": id}
 * "probe": only look. "mine": only what this target owns, for a source that every target sees. "job": as a job of that id, which goes on
 * when this is answered. The answer:
 *     {"found": bool, "files": "N", "names": "hash", "objects": "N", "bytes": "M"}
 * files and names say what is at the source, the same at every target that sees the same; objects and bytes what was stored. Only
 * below PROMOTE_ROOT, without following symbolic links.
 *
 * Runs on: the request's fiber, or fibers of a job; directories are read in the offload pool. Wire: native-api.md 4.7.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/util.h"
#include "codec/jw.h"
#include "run/disk.h"
#include "run/offload.h"
#include "target/target_impl.h"
#include "xact/xact.h"

#define PROMOTE_ROOT "/var/lib/ais/promote"
#define LIST_MAX     (64 * MIB) /* bytes of file names of one promotion */
#define DEPTH_MAX    64

#define JOB_FIBERS   8

struct promote {
    char        src[PATH_MAX];
    char        obj[OBJ_NAME_MAX + 1];
    bool        recursive, overwrite, delete_src, mine, probe;
    bool        found, is_dir;
    struct sbuf files;         /* paths, NUL after each */
    size_t      next;          /* of them: the first one that nobody has taken yet */
    uint64_t    nfiles, names; /* how many; sum of the hashes of their paths: the order does not matter */
    uint64_t    objects, bytes;
    int         rc;            /* of the scan */
    struct node *n;
};

/* --- finding the files: in the offload pool --- */

static int scan_dir(struct promote *p, int fd, const char *dir, unsigned depth);

static int
scan_add(struct promote *p, const char *path)
{
    size_t n = strlen(path);

    sbuf_put(&p->files, path, n + 1);
    p->nfiles++;
    p->names += xxh64(path, n, 0);
    return sbuf_ok(&p->files) ? 0 : -AIS_E_TOOBIG;
}

/* Through the folder's descriptor: whatever becomes of its path meanwhile. */
static int
scan_entry(struct promote *p, int dirfd, const char *dir, const struct dirent *de, unsigned depth)
{
    auto_free char *path = NULL;
    struct stat     st;
    int             fd;

    if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
        return 0;
    if (fstatat(dirfd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : err_from_errno(errno);
    path = xasprintf("%s/%s", dir, de->d_name);
    if (S_ISREG(st.st_mode))
        return scan_add(p, path);
    if (!S_ISDIR(st.st_mode) || !p->recursive)
        return 0;
    fd = openat(dirfd, de->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ELOOP || errno == ENOTDIR ? 0 : err_from_errno(errno);
    return scan_dir(p, fd, path, depth + 1);
}

/* Takes fd. */
static int
scan_dir(struct promote *p, int fd, const char *dir, unsigned depth)
{
    const struct dirent *de;
    DIR                 *d = depth > DEPTH_MAX ? NULL : fdopendir(fd);
    int                  rc = 0;

    if (d == NULL) {
        rc = depth > DEPTH_MAX ? -AIS_E_TOOBIG : err_from_errno(errno);
        close(fd);
        return rc;
    }
    for (errno = 0; rc == 0 && (de = readdir(d)) != NULL; errno = 0)
        rc = scan_entry(p, fd, dir, de, depth);
    if (rc == 0 && errno != 0)
        rc = err_from_errno(errno);
    closedir(d);
    return rc;
}

/* The source with every link resolved must still lie below the root. */
static void
scan(void *arg)
{
    struct promote *p = arg;
    char            real[PATH_MAX];
    struct stat     st;
    int             fd;

    if (realpath(p->src, real) == NULL) {
        p->rc = errno == ENOENT ? 0 : err_from_errno(errno);
        return;
    }
    fd = beneath_open(PROMOTE_ROOT, real, O_RDONLY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        p->rc = fd == -EXDEV || fd == -ELOOP ? -AIS_E_FORBIDDEN : err_from_errno(fd < 0 ? -fd : errno);
        fd_close(&fd);
        return;
    }
    str_copyz(str_z(real), p->src, sizeof(p->src));
    p->found = true;
    p->is_dir = S_ISDIR(st.st_mode);
    if (p->is_dir) {
        p->rc = scan_dir(p, fd, real, 0);
        return;
    }
    if (S_ISREG(st.st_mode))
        p->rc = scan_add(p, real);
    fd_close(&fd);
}

/* --- one file --- */

/*
 * A directory: prefix and the path below it. A file: the name given, or, when that is empty or ends in '/', with the file's own name
 * behind it.
 */
static struct str
object_name(const struct promote *p, const char *path, struct arena *a)
{
    const char *base = p->is_dir ? path + strlen(p->src) + 1 : strrchr(path, '/') + 1;
    size_t      n = strlen(p->obj);

    if (!p->is_dir && n > 0 && p->obj[n - 1] != '/')
        return str_z(p->obj);
    return arena_printf(a, "%s%s", p->obj, base);
}

struct at {
    const char *path;
    int         rc; /* a descriptor, 0, or -errno */
};

static void
open_at(void *arg)
{
    struct at *at = arg;

    at->rc = beneath_open(PROMOTE_ROOT, at->path, O_RDONLY | O_NONBLOCK);
}

static void
unlink_at(void *arg)
{
    struct at *at = arg;

    at->rc = beneath_unlink(PROMOTE_ROOT, at->path);
}

static int
promote_open(const char *path, uint64_t *size, struct err *e)
{
    struct at   at = { .path = path };
    struct stat st;
    int         rc;

    offload(open_at, &at);
    if (at.rc < 0) {
        rc = err_from_errno(-at.rc);
        return rc == -AIS_E_NOENT ? rc : err_set(e, -rc, "failed to open %s: %s", path, err_text(rc));
    }
    rc = disk_fstat(at.rc, &st);
    if (rc == 0 && !S_ISREG(st.st_mode))
        rc = err_set(e, AIS_E_BADREQ, "%s is not a regular file", path);
    if (rc < 0) {
        disk_close(&at.rc);
        return rc;
    }
    *size = (uint64_t)st.st_size;
    return at.rc;
}

static int
promote_unlink(const char *path)
{
    struct at at = { .path = path };

    offload(unlink_at, &at);
    return at.rc < 0 ? err_from_errno(-at.rc) : 0;
}

/* 1: stored, *size bytes; 0: not needed, or another target's. */
static int
promote_file(const struct promote *p, const struct copier *c, const struct bck *b, const char *path, uint64_t *size, struct err *e)
{
    struct str          name = object_name(p, path, c->arena);
    const struct snode *owner;
    int                 fd, rc;

    rc = obj_name_check(name, false, e);
    if (rc < 0)
        return rc;
    if (!obj_is_mine(c, b, name, &owner) && p->mine)
        return 0;
    if (!p->overwrite) {
        rc = obj_exists(c, b, name, e);
        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
    fd = promote_open(path, size, e);
    if (fd < 0)
        return fd == -AIS_E_NOENT ? 0 : fd; /* gone since the scan: another target was faster, or its owner */
    rc = file_copy_to(c, fd, *size, b, name, e);
    disk_close(&fd);
    if (rc == 0 && p->delete_src)
        rc = promote_unlink(path);
    return rc < 0 ? rc : 1;
}

/* The next path that nobody has taken; NULL when there is none. All takers are on one loop. */
static const char *
take(struct promote *p)
{
    const char *path = p->files.p + p->next;

    if (p->next >= p->files.n)
        return NULL;
    p->next += strlen(path) + 1;
    return path;
}

static int
promote_scan(struct promote *p, struct err *e)
{
    offload(scan, p);
    return p->rc < 0 ? err_set(e, -p->rc, "cannot promote %s: %s", p->src, err_text(p->rc)) : 0;
}

/* In the request: all of them, until one fails. */
static int
promote_now(struct promote *p, struct req *r, const struct bck *b, struct err *e)
{
    struct copier c = copier_of(r);
    const char   *path;
    uint64_t      size = 0;
    int           rc = promote_scan(p, e);

    if (rc < 0 || p->probe)
        return rc;
    c.arena = arena_new(16 * KIB, 1 * MIB);
    while (rc >= 0 && (path = take(p)) != NULL) {
        rc = promote_file(p, &c, b, path, &size, e);
        if (rc > 0) {
            p->objects++;
            p->bytes += size;
        }
        arena_reset(c.arena);
    }
    arena_free(c.arena);
    return rc < 0 ? err_fill(e, rc) : 0;
}

/* --- as a job --- */

static void
promote_free(struct promote *p)
{
    sbuf_fini(&p->files);
    free(p);
}

/* Each with the map of its moment: the job may be long. */
static int
job_file(struct promote *p, struct xact *x, struct arena *a, const char *path, struct err *e)
{
    struct views  v;
    struct copier c = { .n = p->n, .arena = a };
    uint64_t      size = 0;
    int           rc;

    views_get(p->n, &v);
    c.smap = v.smap;
    c.rmd = v.rmd;
    rc = promote_file(p, &c, xact_bck(x), path, &size, e);
    views_put(&v);
    if (rc > 0)
        xact_count(x, XC_LOC, 1, size);
    xact_done(x, 1, size);
    return rc;
}

static int
job_fiber(struct xact *x, void *arg, struct err *e)
{
    struct promote *p = arg;
    struct arena   *a = arena_new(16 * KIB, 1 * MIB);
    const char     *path;
    int             rc = 0;

    while (!xact_aborted(x) && (path = take(p)) != NULL) {
        err_clear(e);
        rc = job_file(p, x, a, path, e);
        if (rc == -AIS_E_CANCELED)
            break;
        if (rc < 0)
            xact_err(x, rc, e); /* the others are done all the same */
        arena_reset(a);
    }
    arena_free(a);
    return 0;
}

static int
job_run(struct xact *x, void *arg, struct err *e)
{
    struct promote *p = arg;
    int             rc = promote_scan(p, e);

    if (rc == 0) {
        xact_total(x, p->nfiles, 0);
        xact_workers(x, 0, JOB_FIBERS);
        for (unsigned i = 0; rc == 0 && i < JOB_FIBERS; i++)
            rc = xact_spawn(x, NULL, "promote", job_fiber, p);
        xact_join(x);
    }
    promote_free(p);
    return rc;
}

/* Takes p. */
static int
promote_job(struct promote *p, const struct bck *b, struct str id, struct err *e)
{
    struct xact_args a = { .kind = X_PROMOTE, .id = id, .bck = b, .ctlmsg = str_z(p->src) };
    struct xact     *x = NULL;
    int              rc = xact_begin(p->n->jobs, &a, &x, e);

    if (rc == 0) {
        rc = xact_go(x, job_run, p);
        if (rc < 0)
            promote_free(p);
        return rc < 0 ? err_fill(e, rc) : 0;
    }
    if (rc == 1)
        xact_put(x);
    promote_free(p);
    return rc < 0 ? rc : 0;
}

/* --- the request --- */

static bool
flag(const json_t *j, const char *key)
{
    return json_is_true(json_get_fold(j, key));
}

static int
promote_read(struct promote *p, const json_t *j, struct err *e)
{
    struct str src = json_text(j, "src"), obj = json_text(j, "obj");

    if (src.n == 0 || !str_copyz(src, p->src, sizeof(p->src)))
        return err_set(e, AIS_E_BADREQ, "promote: invalid source");
    if (!str_copyz(obj, p->obj, sizeof(p->obj)))
        return err_set(e, AIS_E_BADREQ, "promote: the object name or prefix is too long");
    p->recursive = flag(j, "rcr");
    p->overwrite = flag(j, "ovw");
    p->delete_src = flag(j, "dls");
    p->mine = flag(j, "mine");
    p->probe = flag(j, "probe");
    return 0;
}

static void
promote_answer(struct req *r, const struct promote *p)
{
    struct sbuf out;
    struct jw   w;

    sbuf_init(&out, 4 * KIB);
    jw_init(&w, &out, 0);
    jw_obj(&w);
    jw_kbool(&w, "found", p->found);
    jw_ku64s(&w, "files", p->nfiles);
    jw_ku64s(&w, "names", p->names);
    jw_ku64s(&w, "objects", p->objects);
    jw_ku64s(&w, "bytes", p->bytes);
    jw_obj_end(&w);
    ais_send_json(r, &out);
    sbuf_fini(&out);
}

void
h_target_promote(struct req *r)
{
    struct promote *p = xcalloc(1, sizeof(*p));
    json_t         *root = NULL;
    struct bck      b;
    struct err      e = { .code = 0 };
    int             rc;

    p->n = req_node(r);
    sbuf_init(&p->files, LIST_MAX);
    rc = req_bck(r, r->item[0], &b, NULL, &e);
    if (rc == 0)
        rc = json_read(r->body, &root, &e);
    if (rc == 0)
        rc = promote_read(p, root, &e);
    if (rc == 0 && json_text(root, "job").n > 0) {
        rc = promote_job(p, &b, json_text(root, "job"), &e);
        p = NULL;
        if (rc == 0)
            resp_empty(r, 200);
    } else if (rc == 0) {
        rc = promote_now(p, r, &b, &e);
        if (rc == 0)
            promote_answer(r, p);
    }
    if (rc < 0)
        resp_err(r, rc, &e);
    if (p != NULL)
        promote_free(p);
    json_decref(root);
}
