/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promote: files that this target can see become objects, each on its owner.
 *
 * POST /v1/buckets/BUCKET/_promote from the proxy, body
 *     {"src": "/abs/path", "obj": name or prefix, "rcr": recursive, "ovw": overwrite, "dls": delete source, "mine": bool, "probe": bool}
 * "probe": only look. "mine": only what this target owns, for a source that every target sees. The answer:
 *     {"found": bool, "files": "N", "names": "hash", "objects": "N", "bytes": "M"}
 * files and names say what is at the source, the same at every target that sees the same; objects and bytes what was stored. Only
 * below PROMOTE_ROOT, without following symbolic links.
 *
 * Runs on: the request's fiber; directories are read in the offload pool. Wire: native-api.md 4.7.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/util.h"
#include "codec/jw.h"
#include "run/disk.h"
#include "run/offload.h"
#include "target/target_impl.h"

#define PROMOTE_ROOT "/var/lib/ais/promote"
#define LIST_MAX     (64 * MIB) /* bytes of file names of one promotion */
#define DEPTH_MAX    64

struct promote {
    char        src[PATH_MAX];
    struct str  obj;
    bool        recursive, overwrite, delete_src, mine, probe;
    bool        found, is_dir;
    struct sbuf files;         /* paths, NUL after each */
    uint64_t    nfiles, names; /* how many; sum of the hashes of their paths: the order does not matter */
    uint64_t    objects, bytes;
    int         rc;            /* of the scan */
    struct copier copy;        /* its arena is emptied after each file */
};

/* --- finding the files: in the offload pool --- */

static int scan_dir(struct promote *p, const char *dir, unsigned depth);

static int
scan_add(struct promote *p, const char *path)
{
    size_t n = strlen(path);

    sbuf_put(&p->files, path, n + 1);
    p->nfiles++;
    p->names += xxh64(path, n, 0);
    return sbuf_ok(&p->files) ? 0 : -AIS_E_TOOBIG;
}

static int
scan_entry(struct promote *p, const char *dir, const struct dirent *de, unsigned depth)
{
    auto_free char *path = NULL;
    struct stat     st;

    if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
        return 0;
    path = xasprintf("%s/%s", dir, de->d_name);
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : err_from_errno(errno);
    if (S_ISDIR(st.st_mode))
        return p->recursive ? scan_dir(p, path, depth + 1) : 0;
    return S_ISREG(st.st_mode) ? scan_add(p, path) : 0;
}

static int
scan_dir(struct promote *p, const char *dir, unsigned depth)
{
    const struct dirent *de;
    DIR                 *d;
    int                  rc = 0;

    if (depth > DEPTH_MAX)
        return -AIS_E_TOOBIG;
    d = opendir(dir);
    if (d == NULL)
        return err_from_errno(errno);
    for (errno = 0; rc == 0 && (de = readdir(d)) != NULL; errno = 0)
        rc = scan_entry(p, dir, de, depth);
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

    if (realpath(p->src, real) == NULL) {
        p->rc = errno == ENOENT ? 0 : err_from_errno(errno);
        return;
    }
    if (!str_starts(str_z(real), STR_LIT(PROMOTE_ROOT)) || (real[sizeof(PROMOTE_ROOT) - 1] != '/' &&
                                                             real[sizeof(PROMOTE_ROOT) - 1] != '\0')) {
        p->rc = -AIS_E_FORBIDDEN;
        return;
    }
    if (lstat(real, &st) != 0) {
        p->rc = err_from_errno(errno);
        return;
    }
    str_copyz(str_z(real), p->src, sizeof(p->src));
    p->found = true;
    p->is_dir = S_ISDIR(st.st_mode);
    if (p->is_dir)
        p->rc = scan_dir(p, real, 0);
    else if (S_ISREG(st.st_mode))
        p->rc = scan_add(p, real);
}

/* --- one file --- */

/*
 * A directory: prefix and the path below it. A file: the name given, or, when that is empty or ends in '/', with the file's own name
 * behind it.
 */
static struct str
object_name(const struct promote *p, const char *path)
{
    const char *base = p->is_dir ? path + strlen(p->src) + 1 : strrchr(path, '/') + 1;

    if (!p->is_dir && p->obj.n > 0 && p->obj.p[p->obj.n - 1] != '/')
        return p->obj;
    return arena_printf(p->copy.arena, "%.*s%s", STR_FMT(p->obj), base);
}

static int
promote_open(const char *path, uint64_t *size, struct err *e)
{
    struct stat st;
    int         fd = disk_open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0), rc;

    if (fd < 0)
        return fd == -AIS_E_NOENT ? fd : err_set(e, -fd, "failed to open %s: %s", path, err_text(fd));
    rc = disk_fstat(fd, &st);
    if (rc == 0 && !S_ISREG(st.st_mode))
        rc = err_set(e, AIS_E_BADREQ, "%s is not a regular file", path);
    if (rc < 0) {
        disk_close(&fd);
        return rc;
    }
    *size = (uint64_t)st.st_size;
    return fd;
}

static int
promote_file(struct promote *p, const struct bck *b, const char *path, struct err *e)
{
    struct str          name = object_name(p, path);
    const struct snode *owner;
    uint64_t            size = 0;
    int                 fd, rc;

    rc = obj_name_check(name, false, e);
    if (rc < 0)
        return rc;
    if (!obj_is_mine(&p->copy, b, name, &owner) && p->mine)
        return 0;
    if (!p->overwrite) {
        rc = obj_exists(&p->copy, b, name, e);
        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
    fd = promote_open(path, &size, e);
    if (fd < 0)
        return fd == -AIS_E_NOENT ? 0 : fd; /* gone since the scan: another target was faster, or its owner */
    rc = file_copy_to(&p->copy, fd, size, b, name, e);
    disk_close(&fd);
    if (rc < 0)
        return rc;
    p->objects++;
    p->bytes += size;
    return p->delete_src ? disk_unlink(path) : 0;
}

static int
promote_all(struct promote *p, const struct bck *b, struct err *e)
{
    const char *path, *end;
    int         rc = 0;

    offload(scan, p);
    if (p->rc < 0)
        return err_set(e, -p->rc, "cannot promote %s: %s", p->src, err_text(p->rc));
    if (p->probe)
        return 0;
    path = p->files.p;
    end = path + p->files.n;
    while (rc == 0 && path < end) {
        rc = promote_file(p, b, path, e);
        path += strlen(path) + 1;
        arena_reset(p->copy.arena);
    }
    return rc < 0 ? err_fill(e, rc) : 0;
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
    const json_t *src = json_get_fold(j, "src"), *obj = json_get_fold(j, "obj");

    if (!json_is_string(src) || !str_copyz(str_z(json_string_value(src)), p->src, sizeof(p->src)))
        return err_set(e, AIS_E_BADREQ, "promote: invalid source");
    if (json_is_string(obj))
        p->obj = str_z(json_string_value(obj));
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
    struct promote *p = arena_zalloc(r->arena, sizeof(*p));
    json_t         *root = NULL;
    struct bck      b;
    struct err      e = { .code = 0 };
    int             rc;

    if (p == NULL)
        return resp_err(r, -AIS_E_NOMEM, NULL);
    sbuf_init(&p->files, LIST_MAX);
    p->copy = copier_of(r);
    p->copy.arena = arena_new(16 * KIB, 1 * MIB);
    rc = req_bck(r, r->item[0], &b, NULL, &e);
    if (rc == 0)
        rc = json_read(r->body, &root, &e);
    if (rc == 0)
        rc = promote_read(p, root, &e);
    if (rc == 0)
        rc = promote_all(p, &b, &e);
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        promote_answer(r, p);
    arena_free(p->copy.arena);
    sbuf_fini(&p->files);
    json_decref(root);
}
