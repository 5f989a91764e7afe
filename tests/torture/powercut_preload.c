/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a target: writes down in $POWERCUT_LOG, in order, all that is done to the files below $POWERCUT_ROOTS (paths, ':' between)
 * and which flushes began and ended. powercut.py reads it and makes of it what a disk may hold after the power failed.
 *
 * A change and its record are one step under a mutex, so that a SIGKILL leaves a log that is true up to some moment. A flush is two records
 * with $POWERCUT_FLUSH_MS of time between them: it covers what was before the first, and counts when the second is there. Nothing is really
 * flushed. What could go past the log ends the process: io_uring, writable shared mappings (but LMDB's table of readers, which it makes anew),
 * calls that are not known here.
 *
 * $POWERCUT_BOOT: a file with the boot id. $POWERCUT_DROP: a flush that does nothing (syncfs, fsync, fdatasync, osync): the test of the test.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

enum op { OP_CREATE = 1, OP_LINK, OP_UNLINK, OP_RENAME, OP_WRITE, OP_TRUNC, OP_FALLOC, OP_SETX, OP_RMX, OP_FLUSH, OP_FLUSHED, OP_SYNCFS };

/* flags: of CREATE: 1 directory, 2 without a name; of WRITE: 1 durable when it returned; of FLUSH: 1 data only; of RENAME: renameat2's */
struct rec {
    uint32_t len; /* of all */
    uint8_t  op, root;
    uint16_t flags;
    uint64_t a, b, c, d;
    uint16_t n1, n2;
    uint32_t data;
};

#define NROOTS 8

static struct {
    char   path[PATH_MAX];
    size_t n;
} roots[NROOTS];
static int             nroots, log_fd = -1;
static pthread_mutex_t mtx = PTHREAD_MUTEX_INITIALIZER;
static const char     *drop = "", *boot;
static int             flush_ms = 2;
static uint64_t        tokens;

#define REAL(name)                                                         \
    static __typeof__(&name) real;                                         \
    if (real == NULL)                                                      \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

static void
die(const char *why, const char *what)
{
    dprintf(2, "POWERCUT: %s: %s\n", why, what);
    abort();
}

/* --- what is watched --- */

static int
root_of_path(const char *path)
{
    for (int i = 0; i < nroots; i++)
        if (strncmp(path, roots[i].path, roots[i].n) == 0 && (path[roots[i].n] == '/' || path[roots[i].n] == '\0'))
            return i;
    return -1;
}

static int
root_of_fd(int fd, struct stat *st)
{
    char    link[64], path[PATH_MAX];
    ssize_t n;

    if (log_fd < 0 || fstat(fd, st) < 0 || (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)))
        return -1;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    if (n <= 0)
        return -1;
    path[n] = '\0';
    return root_of_path(path);
}

/* The folder and the last component of a path. -1: not watched. */
struct entry {
    int      root;
    uint64_t dir;
    char     name[256];
};

static int
entry_of(int dirfd, const char *path, struct entry *e)
{
    char        whole[PATH_MAX], *slash;
    const char *dir = whole;
    struct stat st;
    size_t      n = strlen(path);

    e->root = -1;
    e->name[0] = '\0';
    while (n > 1 && path[n - 1] == '/')
        n--;
    if (log_fd < 0 || n >= sizeof(whole) || (path[0] == '/' && root_of_path(path) < 0))
        return -1;
    memcpy(whole, path, n);
    whole[n] = '\0';
    slash = strrchr(whole, '/');
    if (strlen(slash == NULL ? whole : slash + 1) >= sizeof(e->name))
        return -1; /* the call will fail */
    memcpy(e->name, slash == NULL ? whole : slash + 1, strlen(slash == NULL ? whole : slash + 1) + 1);
    if (slash == NULL)
        dir = ".";
    else
        *slash = '\0';
    if (path[0] != '/') {
        if (dirfd == AT_FDCWD)
            return -1; /* the working folder of a node is none of the roots */
        e->root = root_of_fd(dirfd, &st);
    } else
        e->root = root_of_path(dir);
    if (e->root < 0 || fstatat(dirfd, dir, &st, 0) < 0)
        return e->root = -1;
    e->dir = st.st_ino;
    return e->root;
}

/* --- the log --- */

static void
put(enum op op, int root, unsigned flags, uint64_t a, uint64_t b, uint64_t c, uint64_t d, const char *s1, const char *s2, const struct iovec *iov,
    int niov, size_t ndata)
{
    static const char zero[8];
    struct rec        r = { .op = (uint8_t)op, .root = (uint8_t)root, .flags = (uint16_t)flags, .a = a, .b = b, .c = c, .d = d };
    struct iovec      v[64];
    int               n = 3;
    ssize_t           k;

    r.n1 = s1 == NULL ? 0 : (uint16_t)strlen(s1);
    r.n2 = s2 == NULL ? 0 : (uint16_t)strlen(s2);
    r.data = (uint32_t)ndata;
    r.len = (uint32_t)(sizeof(r) + r.n1 + r.n2 + ndata);
    v[0] = (struct iovec){ &r, sizeof(r) };
    v[1] = (struct iovec){ (void *)(uintptr_t)(s1 == NULL ? zero : s1), r.n1 };
    v[2] = (struct iovec){ (void *)(uintptr_t)(s2 == NULL ? zero : s2), r.n2 };
    for (int i = 0; i < niov && ndata > 0; i++) {
        size_t take = iov[i].iov_len < ndata ? iov[i].iov_len : ndata;

        if (n == 64)
            die("too many pieces", "writev");
        v[n++] = (struct iovec){ iov[i].iov_base, take };
        ndata -= take;
    }
    k = syscall(SYS_writev, log_fd, v, n);
    if (k != (ssize_t)r.len)
        die("cannot write the log", strerror(errno));
}

static void
put0(enum op op, int root, unsigned flags, uint64_t a, uint64_t b, uint64_t c, uint64_t d, const char *s1, const char *s2)
{
    put(op, root, flags, a, b, c, d, s1, s2, NULL, 0, 0);
}

static void
lock(void)
{
    pthread_mutex_lock(&mtx);
}

static void
unlock(void)
{
    int e = errno;

    pthread_mutex_unlock(&mtx);
    errno = e;
}

/* --- the start --- */

static void
on_sigsys(int sig)
{
    (void)sig;
    die("io_uring goes past the log", "run with AIS_DISK=threads");
}

static void
forbid_uring(void)
{
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog p = { .len = sizeof(f) / sizeof(f[0]), .filter = f };

    signal(SIGSYS, on_sigsys);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) < 0)
        die("cannot forbid io_uring", strerror(errno));
}

__attribute__((constructor)) static void
start(void)
{
    const char *log = getenv("POWERCUT_LOG"), *list = getenv("POWERCUT_ROOTS"), *ms = getenv("POWERCUT_FLUSH_MS");
    char       *copy, *save = NULL;
    int         fd;

    if (log == NULL || list == NULL || strcmp(program_invocation_short_name, "aisnode") != 0)
        return; /* the shell that starts it, and its tools */
    if (getenv("POWERCUT_DROP") != NULL)
        drop = getenv("POWERCUT_DROP");
    boot = getenv("POWERCUT_BOOT");
    if (ms != NULL)
        flush_ms = (int)strtol(ms, NULL, 10);
    copy = strdup(list);
    for (char *p = strtok_r(copy, ":", &save); p != NULL; p = strtok_r(NULL, ":", &save)) {
        if (nroots == NROOTS || realpath(p, roots[nroots].path) == NULL)
            die("cannot watch", p);
        roots[nroots].n = strlen(roots[nroots].path);
        nroots++;
    }
    free(copy);
    forbid_uring();
    fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        die("cannot write", log);
    log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 900);
    syscall(SYS_close, fd);
}

/* --- names --- */

static int
open_at(int dirfd, const char *path, int flags, mode_t mode)
{
    struct entry e;
    struct stat  st;
    int          fd, there, root;

    if ((flags & (O_CREAT | O_TRUNC)) == 0 && (flags & O_TMPFILE) != O_TMPFILE)
        return (int)syscall(SYS_openat, dirfd, path, flags, mode);
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        lock();
        fd = (int)syscall(SYS_openat, dirfd, path, flags, mode);
        if (fd >= 0 && (root = root_of_fd(fd, &st)) >= 0)
            put0(OP_CREATE, root, 2, 0, st.st_ino, st.st_mode, 0, NULL, NULL);
        unlock();
        return fd;
    }
    lock();
    entry_of(dirfd, path, &e);
    there = e.root >= 0 && fstatat(dirfd, path, &st, 0) == 0;
    fd = (int)syscall(SYS_openat, dirfd, path, flags, mode);
    if (fd >= 0 && e.root >= 0) {
        if (!there && fstat(fd, &st) == 0)
            put0(OP_CREATE, e.root, 0, e.dir, st.st_ino, st.st_mode, 0, e.name, NULL);
        else if ((flags & O_TRUNC) != 0)
            put0(OP_TRUNC, e.root, 0, st.st_ino, 0, 0, 0, NULL, NULL);
    }
    unlock();
    return fd;
}

static mode_t
mode_arg(int flags, va_list ap)
{
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;
}

#define OPEN(fn, dirfd, ...)                    \
    int fn(__VA_ARGS__, int flags, ...)         \
    {                                           \
        va_list ap;                             \
        mode_t  mode;                           \
                                                \
        va_start(ap, flags);                    \
        mode = mode_arg(flags, ap);             \
        va_end(ap);                             \
        return open_at(dirfd, path, flags, mode); \
    }

OPEN(open, AT_FDCWD, const char *path)
OPEN(open64, AT_FDCWD, const char *path)
OPEN(openat, dirfd, int dirfd, const char *path)
OPEN(openat64, dirfd, int dirfd, const char *path)

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);

int
__open_2(const char *path, int flags)
{
    return open_at(AT_FDCWD, path, flags, 0);
}

int
__open64_2(const char *path, int flags)
{
    return open_at(AT_FDCWD, path, flags, 0);
}

int
__openat_2(int dirfd, const char *path, int flags)
{
    return open_at(dirfd, path, flags, 0);
}

int
__openat64_2(int dirfd, const char *path, int flags)
{
    return open_at(dirfd, path, flags, 0);
}

int
creat(const char *path, mode_t mode)
{
    return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* What stdio writes does not come by here: such files get a stream over our own write. */
static ssize_t
cookie_write(void *arg, const char *p, size_t n)
{
    return write((int)(intptr_t)arg, p, n);
}

static int
cookie_close(void *arg)
{
    return close((int)(intptr_t)arg);
}

FILE *
fopen(const char *path, const char *mode)
{
    static const cookie_io_functions_t io = { .write = cookie_write, .close = cookie_close };
    int                                fd;

    REAL(fopen);
    if (boot != NULL && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0)
        return real(boot, mode);
    if (log_fd < 0 || root_of_path(path) < 0 || mode[0] == 'r') {
        if (log_fd >= 0 && root_of_path(path) >= 0 && strchr(mode, '+') != NULL)
            die("fopen for reading and writing", path);
        return real(path, mode);
    }
    if (mode[0] != 'w')
        die("fopen for appending", path);
    fd = open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return fd < 0 ? NULL : fopencookie((void *)(intptr_t)fd, "w", io);
}

int
mkdirat(int dirfd, const char *path, mode_t mode)
{
    struct entry e;
    struct stat  st;
    int          rc;

    lock();
    entry_of(dirfd, path, &e);
    rc = (int)syscall(SYS_mkdirat, dirfd, path, mode);
    if (rc == 0 && e.root >= 0 && fstatat(dirfd, path, &st, 0) == 0)
        put0(OP_CREATE, e.root, 1, e.dir, st.st_ino, st.st_mode, 0, e.name, NULL);
    unlock();
    return rc;
}

int
mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

int
linkat(int from, const char *path, int to, const char *path2, int flags)
{
    struct entry e;
    struct stat  st;
    int          rc;

    lock();
    entry_of(to, path2, &e);
    rc = (int)syscall(SYS_linkat, from, path, to, path2, flags);
    if (rc == 0 && e.root >= 0 && fstatat(to, path2, &st, AT_SYMLINK_NOFOLLOW) == 0)
        put0(OP_LINK, e.root, 0, e.dir, st.st_ino, 0, 0, e.name, NULL);
    unlock();
    return rc;
}

int
link(const char *path, const char *path2)
{
    return linkat(AT_FDCWD, path, AT_FDCWD, path2, 0);
}

int
unlinkat(int dirfd, const char *path, int flags)
{
    struct entry e;
    int          rc;

    lock();
    entry_of(dirfd, path, &e);
    rc = (int)syscall(SYS_unlinkat, dirfd, path, flags);
    if (rc == 0 && e.root >= 0)
        put0(OP_UNLINK, e.root, 0, e.dir, 0, 0, 0, e.name, NULL);
    unlock();
    return rc;
}

int
unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int
rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int
remove(const char *path)
{
    die("not known to the log", path);
    return -1;
}

int
renameat2(int from, const char *path, int to, const char *path2, unsigned flags)
{
    struct entry e, e2;
    int          rc;

    lock();
    entry_of(from, path, &e);
    entry_of(to, path2, &e2);
    if (e.root != e2.root)
        rc = -1, errno = EXDEV; /* each root counts as a disk */
    else
        rc = (int)syscall(SYS_renameat2, from, path, to, path2, flags);
    if (rc == 0 && e.root >= 0)
        put0(OP_RENAME, e.root, flags, e.dir, e2.dir, 0, 0, e.name, e2.name);
    unlock();
    return rc;
}

int
renameat(int from, const char *path, int to, const char *path2)
{
    return renameat2(from, path, to, path2, 0);
}

int
rename(const char *path, const char *path2)
{
    return renameat2(AT_FDCWD, path, AT_FDCWD, path2, 0);
}

/* --- contents --- */

static void
wrote(int root, int fd, const struct stat *st, off_t at, const struct iovec *v, int n, ssize_t k)
{
    int durable = (fcntl(fd, F_GETFL) & O_DSYNC) != 0 && strcmp(drop, "osync") != 0;

    if (k > 0)
        put(OP_WRITE, root, (unsigned)durable, st->st_ino, 0, (uint64_t)at, 0, NULL, NULL, v, n, (size_t)k);
}

ssize_t
write(int fd, const void *p, size_t n)
{
    struct iovec v = { (void *)(uintptr_t)p, n };
    struct stat  st;
    ssize_t      k;
    int          root = root_of_fd(fd, &st);

    if (root < 0)
        return syscall(SYS_write, fd, p, n);
    lock();
    k = syscall(SYS_write, fd, p, n);
    wrote(root, fd, &st, lseek(fd, 0, SEEK_CUR) - k, &v, 1, k);
    unlock();
    return k;
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
    struct stat st;
    ssize_t     k;
    int         root = root_of_fd(fd, &st);

    if (root < 0)
        return syscall(SYS_writev, fd, v, n);
    lock();
    k = syscall(SYS_writev, fd, v, n);
    wrote(root, fd, &st, lseek(fd, 0, SEEK_CUR) - k, v, n, k);
    unlock();
    return k;
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
    struct iovec v = { (void *)(uintptr_t)p, n };
    struct stat  st;
    ssize_t      k;
    int          root = root_of_fd(fd, &st);

    if (root < 0)
        return syscall(SYS_pwrite64, fd, p, n, at);
    lock();
    k = syscall(SYS_pwrite64, fd, p, n, at);
    wrote(root, fd, &st, at, &v, 1, k);
    unlock();
    return k;
}

ssize_t
pwrite64(int fd, const void *p, size_t n, off_t at)
{
    return pwrite(fd, p, n, at);
}

ssize_t
pwritev(int fd, const struct iovec *v, int n, off_t at)
{
    struct stat st;
    ssize_t     k;
    int         root = root_of_fd(fd, &st);

    lock();
    k = syscall(SYS_pwritev, fd, v, n, at, 0);
    if (root >= 0)
        wrote(root, fd, &st, at, v, n, k);
    unlock();
    return k;
}

ssize_t
pwritev64(int fd, const struct iovec *v, int n, off_t at)
{
    return pwritev(fd, v, n, at);
}

ssize_t
pwritev2(int fd, const struct iovec *v, int n, off_t at, int flags)
{
    struct stat st;

    REAL(pwritev2);
    if (root_of_fd(fd, &st) >= 0)
        die("not known to the log", "pwritev2");
    return real(fd, v, n, at, flags);
}

ssize_t
sendfile(int out, int in, off_t *at, size_t n)
{
    struct stat st;

    if (root_of_fd(out, &st) >= 0)
        die("not known to the log", "sendfile to a file");
    return syscall(SYS_sendfile, out, in, at, n);
}

ssize_t
copy_file_range(int in, off_t *at, int out, off_t *at2, size_t n, unsigned flags)
{
    struct stat st;

    if (root_of_fd(out, &st) < 0)
        return syscall(SYS_copy_file_range, in, at, out, at2, n, flags);
    errno = EOPNOTSUPP; /* as some file systems say: it is read and written then */
    return -1;
}

int
ftruncate(int fd, off_t len)
{
    struct stat st;
    int         rc, root = root_of_fd(fd, &st);

    lock();
    rc = (int)syscall(SYS_ftruncate, fd, len);
    if (rc == 0 && root >= 0)
        put0(OP_TRUNC, root, 0, st.st_ino, 0, (uint64_t)len, 0, NULL, NULL);
    unlock();
    return rc;
}

int
ftruncate64(int fd, off_t len)
{
    return ftruncate(fd, len);
}

int
truncate(const char *path, off_t len)
{
    struct stat st;
    int         rc;

    lock();
    rc = (int)syscall(SYS_truncate, path, len);
    if (rc == 0 && log_fd >= 0 && root_of_path(path) >= 0 && stat(path, &st) == 0)
        put0(OP_TRUNC, root_of_path(path), 0, st.st_ino, 0, (uint64_t)len, 0, NULL, NULL);
    unlock();
    return rc;
}

int
fallocate(int fd, int mode, off_t at, off_t n)
{
    struct stat st;
    int         rc, root = root_of_fd(fd, &st);

    if (root >= 0 && (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) != 0)
        die("not known to the log", "a mode of fallocate");
    lock();
    rc = (int)syscall(SYS_fallocate, fd, mode, at, n);
    if (rc == 0 && root >= 0)
        put0(OP_FALLOC, root, (unsigned)mode, st.st_ino, 0, (uint64_t)at, (uint64_t)n, NULL, NULL);
    unlock();
    return rc;
}

/* --- xattrs --- */

int
fsetxattr(int fd, const char *name, const void *p, size_t n, int flags)
{
    struct iovec v = { (void *)(uintptr_t)p, n };
    struct stat  st;
    int          rc, root = root_of_fd(fd, &st);

    lock();
    rc = (int)syscall(SYS_fsetxattr, fd, name, p, n, flags);
    if (rc == 0 && root >= 0)
        put(OP_SETX, root, 0, st.st_ino, 0, 0, 0, name, NULL, &v, 1, n);
    unlock();
    return rc;
}

int
setxattr(const char *path, const char *name, const void *p, size_t n, int flags)
{
    struct iovec v = { (void *)(uintptr_t)p, n };
    struct stat  st;
    int          rc;

    lock();
    rc = (int)syscall(SYS_setxattr, path, name, p, n, flags);
    if (rc == 0 && log_fd >= 0 && stat(path, &st) == 0) {
        char real[PATH_MAX]; /* it may be /proc/self/fd/N */
        ssize_t k = strncmp(path, "/proc/self/fd/", 14) == 0 ? readlink(path, real, sizeof(real) - 1) : -1;

        if (k > 0)
            real[k] = '\0';
        if (root_of_path(k > 0 ? real : path) >= 0)
            put(OP_SETX, root_of_path(k > 0 ? real : path), 0, st.st_ino, 0, 0, 0, name, NULL, &v, 1, n);
    }
    unlock();
    return rc;
}

int
fremovexattr(int fd, const char *name)
{
    struct stat st;
    int         rc, root = root_of_fd(fd, &st);

    lock();
    rc = (int)syscall(SYS_fremovexattr, fd, name);
    if (rc == 0 && root >= 0)
        put0(OP_RMX, root, 0, st.st_ino, 0, 0, 0, name, NULL);
    unlock();
    return rc;
}

int
removexattr(const char *path, const char *name)
{
    struct stat st;
    int         rc;

    lock();
    rc = (int)syscall(SYS_removexattr, path, name);
    if (rc == 0 && log_fd >= 0 && root_of_path(path) >= 0 && stat(path, &st) == 0)
        put0(OP_RMX, root_of_path(path), 0, st.st_ino, 0, 0, 0, name, NULL);
    unlock();
    return rc;
}

/* --- flushes --- */

static int
flush(int fd, const char *what, enum op op, unsigned flags)
{
    struct stat st;
    int         root = root_of_fd(fd, &st);
    uint64_t    token;

    if (root < 0)
        return 1;
    if (strcmp(drop, what) == 0)
        return 0;
    lock();
    token = ++tokens;
    put0(op, root, flags, st.st_ino, 0, 0, token, NULL, NULL);
    unlock();
    (void)poll(NULL, 0, flush_ms); /* the time that a disk takes */
    lock();
    put0(OP_FLUSHED, root, 0, 0, 0, 0, token, NULL, NULL);
    unlock();
    return 0;
}

int
fsync(int fd)
{
    int rc = flush(fd, "fsync", OP_FLUSH, 0);

    return rc > 0 ? (int)syscall(SYS_fsync, fd) : rc;
}

int
fdatasync(int fd)
{
    int rc = flush(fd, "fdatasync", OP_FLUSH, 1);

    return rc > 0 ? (int)syscall(SYS_fdatasync, fd) : rc;
}

int
syncfs(int fd)
{
    int rc = flush(fd, "syncfs", OP_SYNCFS, 0);

    return rc > 0 ? (int)syscall(SYS_syncfs, fd) : rc;
}

/* A promise of less than it seems: the data of a range, without what is needed to find it. Nothing counts as flushed. */
int
sync_file_range(int fd, off_t at, off_t n, unsigned flags)
{
    return (int)syscall(SYS_sync_file_range, fd, at, n, flags);
}

/* --- mappings --- */

static void *
map(void *addr, size_t n, int prot, int flags, int fd, off_t at)
{
    char        link[64], path[PATH_MAX];
    struct stat st;
    ssize_t     k;

    if (log_fd >= 0 && fd >= 0 && (flags & MAP_TYPE) != MAP_PRIVATE && (prot & PROT_WRITE) != 0 && root_of_fd(fd, &st) >= 0) {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        k = readlink(link, path, sizeof(path) - 1);
        path[k > 0 ? k : 0] = '\0';
        if (k < 9 || strcmp(path + k - 9, "/lock.mdb") != 0)
            die("a writable mapping goes past the log", path);
    }
    return (void *)syscall(SYS_mmap, addr, n, prot, flags, fd, at);
}

void *
mmap(void *addr, size_t n, int prot, int flags, int fd, off_t at)
{
    return map(addr, n, prot, flags, fd, at);
}

void *
mmap64(void *addr, size_t n, int prot, int flags, int fd, off_t at)
{
    return map(addr, n, prot, flags, fd, at);
}
