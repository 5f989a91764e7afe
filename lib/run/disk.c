/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk calls for fibers: what is cached is answered at once, the rest goes to io_uring or to the offload pool.
 *
 * Runs on: fibers (parks) and threads that may block (plain system calls).
 */
#include "run/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"
#include "base/util.h"
#include "run/disk_impl.h"
#include "run/impl.h"

/* The system call behind an operation, with everything it needs: runs on any thread that may block. */
static int64_t
op_do(struct dop *o)
{
    switch (o->kind) {
    case DOP_OPENAT:
        return openat(o->fd, o->path, o->flags | O_CLOEXEC, o->mode);
    case DOP_PREAD:
        return pread(o->fd, o->buf, o->n, (off_t)o->off);
    case DOP_PWRITE:
        return pwrite(o->fd, o->cbuf, o->n, (off_t)o->off);
    case DOP_FSYNC:
        return o->flags ? fdatasync(o->fd) : fsync(o->fd);
    case DOP_FALLOCATE:
        return fallocate(o->fd, o->flags, (off_t)o->off, (off_t)o->n);
    case DOP_STAT:
        return lstat(o->path, o->buf);
    case DOP_UNLINK:
        return unlink(o->path);
    case DOP_RENAME:
        return rename(o->path, o->path2);
    case DOP_MKDIR:
        return mkdir(o->path, o->mode);
    case DOP_FGETXATTR:
        return fgetxattr(o->fd, o->path, o->buf, o->n);
    case DOP_FSETXATTR:
        return fsetxattr(o->fd, o->path, o->cbuf, o->n, 0);
    case DOP_READAHEAD:
        return readahead(o->fd, (off64_t)o->off, o->n);
    }
    ais_bug("unknown disk operation %d", o->kind);
}

static void
op_blocking(void *arg)
{
    struct dop *o = arg;

    do {
        o->res = op_do(o);
    } while (o->res < 0 && errno == EINTR);
    if (o->res < 0)
        o->res = -errno;
}

/* Result as >= 0 or -AIS_E_*. */
static int64_t
op_run(struct dop *o)
{
    struct loop *l = tls_loop;

    if (l == NULL) {
        op_blocking(o);
    } else {
        atomic_fetch_add_explicit(&l->disk_async, 1, memory_order_relaxed);
        if (l->uring == NULL || !disk_uring_op(l, o))
            offload(op_blocking, o);
    }
    return o->res < 0 ? err_from_errno((int)-o->res) : o->res;
}

static void
count_inline(void)
{
    if (tls_loop != NULL)
        atomic_fetch_add_explicit(&tls_loop->disk_inline, 1, memory_order_relaxed);
}

int
disk_openat(int dirfd, const char *path, int flags, mode_t mode)
{
    struct dop      o = { .kind = DOP_OPENAT, .fd = dirfd, .path = path, .flags = flags, .mode = mode };
    struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_CACHED };

    if (tls_loop != NULL && (flags & (O_CREAT | O_TRUNC | O_TMPFILE)) == 0) {
        long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

        if (fd >= 0 || errno == ENOENT) {
            count_inline();
            return fd >= 0 ? (int)fd : -AIS_E_NOENT;
        }
    }
    return (int)op_run(&o);
}

int
disk_open(const char *path, int flags, mode_t mode)
{
    return disk_openat(AT_FDCWD, path, flags, mode);
}

void
disk_close(int *fd)
{
    fd_close(fd);
}

ssize_t
disk_pread(int fd, void *p, size_t n, uint64_t off)
{
    size_t done = 0;

    while (done < n) {
        struct dop   o = { .kind = DOP_PREAD, .fd = fd, .buf = (char *)p + done, .n = n - done, .off = off + done };
        struct iovec iov = { (char *)p + done, n - done };
        int64_t      k = -1;

        if (tls_loop != NULL) {
            k = preadv2(fd, &iov, 1, (off_t)(off + done), RWF_NOWAIT);
            if (k >= 0)
                count_inline();
        }
        if (k < 0)
            k = op_run(&o);
        if (k < 0)
            return (ssize_t)k;
        if (k == 0)
            break;
        done += (size_t)k;
    }
    return (ssize_t)done;
}

ssize_t
disk_pwrite(int fd, const void *p, size_t n, uint64_t off)
{
    size_t done = 0;

    while (done < n) {
        struct dop o = {
            .kind = DOP_PWRITE, .fd = fd, .cbuf = (const char *)p + done, .n = n - done, .off = off + done
        };
        int64_t k = op_run(&o);

        if (k < 0)
            return (ssize_t)k;
        if (k == 0)
            return -AIS_E_NOSPACE;
        done += (size_t)k;
    }
    return (ssize_t)done;
}

int
disk_fsync(int fd, int data_only)
{
    struct dop o = { .kind = DOP_FSYNC, .fd = fd, .flags = data_only };

    return (int)op_run(&o);
}

int
disk_fallocate(int fd, int mode, uint64_t off, uint64_t len)
{
    struct dop o = { .kind = DOP_FALLOCATE, .fd = fd, .flags = mode, .off = off, .n = len };

    return (int)op_run(&o);
}

int
disk_fstat(int fd, struct stat *st)
{
    /* The inode of an open file is in memory: never waits. */
    return fstat(fd, st) < 0 ? err_from_errno(errno) : 0;
}

int
disk_stat(const char *path, struct stat *st)
{
    struct dop o = { .kind = DOP_STAT, .path = path, .buf = st };

    return (int)op_run(&o);
}

int
disk_unlink(const char *path)
{
    struct dop o = { .kind = DOP_UNLINK, .path = path };

    return (int)op_run(&o);
}

int
disk_rename(const char *from, const char *to)
{
    struct dop o = { .kind = DOP_RENAME, .path = from, .path2 = to };

    return (int)op_run(&o);
}

int
disk_mkdir(const char *path, mode_t mode)
{
    struct dop o = { .kind = DOP_MKDIR, .path = path, .mode = mode };

    return (int)op_run(&o);
}

int
disk_mkdir_parents(const char *path, mode_t mode)
{
    auto_free char *dir = xstrdup(path);

    for (char *p = dir + 1; *p != '\0'; p++) {
        int rc;

        if (*p != '/')
            continue;
        *p = '\0';
        rc = disk_mkdir(dir, mode);
        *p = '/';
        if (rc < 0 && rc != -AIS_E_EXISTS)
            return rc;
    }
    return 0;
}

ssize_t
disk_fgetxattr(int fd, const char *name, void *p, size_t n)
{
    struct dop o = { .kind = DOP_FGETXATTR, .fd = fd, .path = name, .buf = p, .n = n };
    int64_t    rc = op_run(&o);

    if (o.res == -ENODATA)
        return -AIS_E_NOENT;
    if (o.res == -ERANGE)
        return -AIS_E_TOOBIG;
    return (ssize_t)rc;
}

int
disk_fsetxattr(int fd, const char *name, const void *p, size_t n)
{
    struct dop o = { .kind = DOP_FSETXATTR, .fd = fd, .path = name, .cbuf = p, .n = n };

    return (int)op_run(&o);
}

int
disk_cached(int fd, uint64_t off, size_t len)
{
    char         c;
    struct iovec iov = { &c, 1 };

    /* The last byte of a range that is read front to back and the first one: good enough to keep a loop from blocking. */
    if (len == 0)
        return 1;
    if (preadv2(fd, &iov, 1, (off_t)(off + len - 1), RWF_NOWAIT) < 0)
        return 0;
    return len == 1 || preadv2(fd, &iov, 1, (off_t)off, RWF_NOWAIT) >= 0;
}

int
disk_readahead(int fd, uint64_t off, size_t len)
{
    char       c;
    struct dop o = { .kind = DOP_READAHEAD, .fd = fd, .off = off, .n = len };
    int64_t    rc = op_run(&o);
    ssize_t    n;

    if (rc < 0 || len == 0)
        return (int)rc;
    n = disk_pread(fd, &c, 1, off + len - 1); /* readahead only starts the reading: wait for its end */
    return n < 0 ? (int)n : 0;
}

/* --- whole small files --- */

struct whole {
    const char *path;
    const void *p;
    size_t      n, max;
    mode_t      mode;
    char       *out;
    int         rc;
};

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

static void
write_whole(void *arg)
{
    struct whole   *w = arg;
    auto_free char *tmp = xasprintf("%s.tmp.%d", w->path, (int)getpid());
    auto_free char *dir = xstrdup(w->path);
    auto_close int  fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, w->mode);
    auto_close int  dfd = -1;
    char           *slash = strrchr(dir, '/');

    if (slash != NULL)
        slash[slash == dir] = '\0';
    w->rc = fd < 0 ? err_from_errno(errno) : write_all(fd, w->p, w->n);
    if (w->rc == 0 && (fsync(fd) < 0 || rename(tmp, w->path) < 0))
        w->rc = err_from_errno(errno);
    if (w->rc < 0) {
        if (fd >= 0)
            (void)unlink(tmp);
        return;
    }
    dfd = open(slash == NULL ? "." : dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dfd < 0 || fsync(dfd) < 0)
        w->rc = err_from_errno(errno);
}

int
disk_write_file_atomic(const char *path, const void *p, size_t n, mode_t mode)
{
    struct whole w = { .path = path, .p = p, .n = n, .mode = mode };

    offload(write_whole, &w);
    return w.rc;
}

static void
read_whole(void *arg)
{
    struct whole  *w = arg;
    auto_close int fd = open(w->path, O_RDONLY | O_CLOEXEC);
    struct stat    st;
    size_t         cap;
    ssize_t        k;

    if (fd < 0 || fstat(fd, &st) < 0) {
        w->rc = err_from_errno(errno);
        return;
    }
    cap = st.st_size > 0 ? (size_t)st.st_size : 4096; /* files in /proc say 0 */
    w->out = malloc(MIN(cap, w->max) + 1);
    w->rc = w->out == NULL ? -AIS_E_NOMEM : 0;
    while (w->rc == 0) {
        char *bigger;

        if (w->n == MIN(cap, w->max)) {
            char probe;

            k = read(fd, &probe, 1);
            if (k <= 0)
                break;
            if (w->n >= w->max) {
                w->rc = -AIS_E_TOOBIG;
                break;
            }
            cap *= 2;
            bigger = realloc(w->out, MIN(cap, w->max) + 1);
            if (bigger == NULL) {
                w->rc = -AIS_E_NOMEM;
                break;
            }
            w->out = bigger;
            w->out[w->n++] = probe;
            continue;
        }
        k = read(fd, w->out + w->n, MIN(cap, w->max) - w->n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            w->rc = err_from_errno(errno);
        if (k <= 0)
            break;
        w->n += (size_t)k;
    }
    if (w->rc < 0) {
        free(w->out);
        w->out = NULL;
    } else {
        w->out[w->n] = '\0';
    }
}

int
disk_read_file(const char *path, size_t max, char **out, size_t *n)
{
    struct whole w = { .path = path, .max = max };

    offload(read_whole, &w);
    if (w.rc == 0) {
        *out = w.out;
        if (n != NULL)
            *n = w.n;
    }
    return w.rc;
}
