/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks: real files below the root of the simulation (a memory file system is best), with simulated time, faults and time stamps.
 *
 * A call does its work at once and then, off the loops, takes as long as the seed says. Flushes flush nothing: a process that is
 * killed loses nothing that it wrote. Files carry virtual times, so that what is read from them is the same in each run. Of /proc
 * and /sys hosts see next to nothing.
 *
 * Runs on: simulated threads.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "impl.h"

#define FDS        65536
#define NOWAIT_PPM 100000 /* cached reads that would have had to wait after all */

enum what { READS = 1, GROWS = 2, FLUSHES = 4 };

static struct {
    struct shost *host;
    unsigned      incarnation;
    char         *path;
} fds[FDS];

REAL(long, syscall, long nr, ...);

/* --- descriptors --- */

static bool
inside(const char *path)
{
    return path != NULL && sim.conf.root != NULL && strncmp(path, sim.conf.root, strlen(sim.conf.root)) == 0;
}

static const char *
path_of(int fd)
{
    return fd >= 0 && fd < FDS ? fds[fd].path : NULL;
}

static void
fd_forget(int fd)
{
    if (fd < 0 || fd >= FDS)
        return;
    free(fds[fd].path);
    fds[fd].path = NULL;
    fds[fd].host = NULL;
}

/* The virtual time for a file that was just made or written. atime is later, so that the kernel leaves it alone. */
static void
stamp(int fd)
{
    int64_t         v = sim.now + sim.cur->host->real_off;
    struct timespec ts[2] = { { v / NSEC_PER_SEC, v % NSEC_PER_SEC }, { v / NSEC_PER_SEC, v % NSEC_PER_SEC } };

    ts[0].tv_sec += ts[0].tv_nsec == 999999999;
    ts[0].tv_nsec = (ts[0].tv_nsec + 1) % NSEC_PER_SEC;
    (void)futimens(fd, ts);
}

static int
fd_opened(int fd, const char *path, int dirfd, bool made)
{
    const char *dir = path_of(dirfd);

    if (fd < 0 || fd >= FDS)
        return fd;
    fd_forget(fd);
    fds[fd].host = sim.cur->host;
    fds[fd].incarnation = sim.cur->incarnation;
    fds[fd].path = path[0] == '/' || dir == NULL ? xstrdup(path) : xasprintf("%s/%s", dir, path);
    if (made && inside(fds[fd].path))
        stamp(fd);
    return fd;
}

REAL(int, close, int fd);

void
file_host_killed(struct shost *h)
{
    for (int fd = 0; fd < FDS; fd++)
        if (fds[fd].host == h) {
            (void)__real_close(fd);
            fd_forget(fd);
        }
}

/* --- time and faults --- */

/* Before a call: does it fail? 0 or an errno. */
static int
fault(const char *path, unsigned what)
{
    const struct shost *h = sim.cur->host;

    if (!h->disk_faulty || !inside(path) || (h->disk.under != NULL && strstr(path, h->disk.under) == NULL))
        return 0;
    if (h->disk.full && (what & GROWS))
        return ENOSPC;
    return srand_chance(&sim.rng_disk, h->disk.eio_ppm) ? EIO : 0;
}

/* After it: it took its time. A loop never waits: what it calls is in memory, or it would not have called. */
static void
took(const char *path, unsigned what)
{
    const struct shost *h = sim.cur->host;
    int64_t             ns;
    int                 error = errno;

    if (sim.cur->loop || !inside(path))
        return;
    ns = what & FLUSHES ? srand_range(&sim.rng_disk, 50000, sim.conf.flush_max)
         : (srand_next(&sim.rng_disk) & 3) == 0 ? srand_range(&sim.rng_disk, 2000, sim.conf.disk_max)
                                                : 0;
    if (h->disk_faulty && h->disk.slow > 0)
        ns += srand_range(&sim.rng_disk, 0, h->disk.slow);
    if (ns > 0)
        sim_sleep(ns);
    errno = error;
}

#define DISK(path, what, call)                                                                                                  \
    __extension__({                                                                                                             \
        int         error_ = sim.on ? fault((path), (what)) : 0;                                                                \
        __typeof__(call) rc_ = -1;                                                                                              \
        if (error_ != 0)                                                                                                        \
            errno = error_;                                                                                                     \
        else                                                                                                                    \
            rc_ = (call);                                                                                                       \
        if (sim.on)                                                                                                             \
            took((path), (what));                                                                                               \
        rc_;                                                                                                                    \
    })

/* --- opening and closing --- */

/* What hosts may see of /proc and /sys: their own descriptors, and the mounts. */
static bool
hidden(const char *path)
{
    if (!sim.on)
        return false;
    if (strncmp(path, "/sys/", 5) == 0)
        return true;
    return strncmp(path, "/proc/", 6) == 0 && strncmp(path, "/proc/self/fd", 13) != 0 && strcmp(path, "/proc/self/mounts") != 0 &&
           strcmp(path, "/proc/sys/kernel/random/boot_id") != 0;
}

static int
open_at(int dirfd, const char *path, int flags, mode_t mode)
{
    bool makes = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;

    if (hidden(path)) {
        errno = ENOENT;
        return -1;
    }
    if (!sim.on)
        return (int)__real_syscall(SYS_openat, dirfd, path, flags, mode);
    return fd_opened((int)DISK(path, makes ? GROWS : READS, __real_syscall(SYS_openat, dirfd, path, flags, mode)), path, dirfd, makes);
}

WRAP(int, open, const char *path, int flags, ...)
{
    va_list ap;
    mode_t  mode;

    va_start(ap, flags);
    mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return open_at(AT_FDCWD, path, flags, mode);
}

WRAP(int, openat, int dirfd, const char *path, int flags, ...)
{
    va_list ap;
    mode_t  mode;

    va_start(ap, flags);
    mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return open_at(dirfd, path, flags, mode);
}

/* What fortified code calls when the flags are not known to make a file. */
WRAP(int, __open_2, const char *path, int flags)
{
    return open_at(AT_FDCWD, path, flags, 0);
}

WRAP(int, __openat_2, int dirfd, const char *path, int flags)
{
    return open_at(dirfd, path, flags, 0);
}

/* The quick look into the dentry cache: sometimes it is not there. */
long
sys_openat2(int dirfd, const char *path, const void *p, size_t n)
{
    struct open_how how = *(const struct open_how *)p;

    UNUSED(n);
    if (hidden(path)) {
        errno = ENOENT;
        return -1;
    }
    if ((how.resolve & RESOLVE_CACHED) && srand_chance(&sim.rng_disk, NOWAIT_PPM)) {
        errno = EAGAIN;
        return -1;
    }
    how.resolve &= ~(uint64_t)RESOLVE_CACHED;
    return fd_opened((int)DISK(path, READS, __real_syscall(SYS_openat2, dirfd, path, &how, sizeof(how))), path, dirfd, false);
}

WRAP(FILE *, fopen, const char *path, const char *mode)
{
    if (hidden(path)) {
        errno = ENOENT;
        return NULL;
    }
    return __real_fopen(path, mode);
}

WRAP(ssize_t, readlink, const char *path, char *out, size_t n)
{
    if (hidden(path)) {
        errno = ENOENT;
        return -1;
    }
    return __real_readlink(path, out, n);
}

WRAP(int, mkostemp, char *path, int flags)
{
    int fd = __real_mkostemp(path, flags);

    return sim.on ? fd_opened(fd, path, AT_FDCWD, true) : fd;
}

WRAP(int, mkostemps, char *path, int suffix, int flags)
{
    int fd = __real_mkostemps(path, suffix, flags);

    return sim.on ? fd_opened(fd, path, AT_FDCWD, true) : fd;
}

WRAP(DIR *, fdopendir, int fd)
{
    fd_forget(fd); /* closedir closes it */
    return __real_fdopendir(fd);
}

WRAP(int, close, int fd)
{
    if (sock_fd(fd))
        return sock_close(fd);
    fd_forget(fd);
    return __real_close(fd);
}

/* --- reading and writing --- */

WRAP(ssize_t, pread, int fd, void *p, size_t n, off_t off)
{
    return DISK(path_of(fd), READS, __real_pread(fd, p, n, off));
}

WRAP(ssize_t, preadv2, int fd, const struct iovec *iov, int n, off_t off, int flags)
{
    if (!sim.on)
        return __real_preadv2(fd, iov, n, off, flags);
    if ((flags & RWF_NOWAIT) && srand_chance(&sim.rng_disk, NOWAIT_PPM)) {
        errno = EAGAIN;
        return -1;
    }
    return DISK(path_of(fd), READS, __real_preadv2(fd, iov, n, off, flags & ~RWF_NOWAIT));
}

static ssize_t
wrote(int fd, ssize_t k)
{
    if (sim.on && k > 0 && inside(path_of(fd)))
        stamp(fd);
    return k;
}

WRAP(ssize_t, pwrite, int fd, const void *p, size_t n, off_t off)
{
    return wrote(fd, DISK(path_of(fd), GROWS, __real_pwrite(fd, p, n, off)));
}

WRAP(ssize_t, read, int fd, void *p, size_t n)
{
    if (sock_fd(fd))
        return sock_read(fd, p, n);
    return DISK(path_of(fd), READS, __real_read(fd, p, n));
}

/* Standard error is what nodes log: a line of the record. */
static ssize_t
log_line(const void *p, size_t n)
{
    sim_note_bytes(p, n);
    sim_say("%.*s", (int)(n > 0 && ((const char *)p)[n - 1] == '\n' ? n - 1 : n), (const char *)p);
    return (ssize_t)n;
}

WRAP(ssize_t, write, int fd, const void *p, size_t n)
{
    if (sock_fd(fd))
        return sock_write(fd, p, n);
    if (sim.on && fd == STDERR_FILENO)
        return log_line(p, n);
    return wrote(fd, DISK(path_of(fd), GROWS, __real_write(fd, p, n)));
}

WRAP(int, fsync, int fd)
{
    return sim.on ? DISK(path_of(fd), FLUSHES, (int)0) : __real_fsync(fd);
}

WRAP(int, fdatasync, int fd)
{
    return sim.on ? DISK(path_of(fd), FLUSHES, (int)0) : __real_fdatasync(fd);
}

WRAP(int, syncfs, int fd)
{
    return sim.on ? DISK(path_of(fd), FLUSHES, (int)0) : __real_syncfs(fd);
}

WRAP(ssize_t, readahead, int fd, off64_t off, size_t n)
{
    return sim.on ? DISK(path_of(fd), READS, (ssize_t)0) : __real_readahead(fd, off, n);
}

REAL(int, ftruncate, int fd, off_t len);
REAL(int, fallocate, int fd, int mode, off_t off, off_t len);

/* Space that is only reserved would be real memory here: the file gets its size, and holes. */
static int
reserve(int fd, int mode, off_t off, off_t len)
{
    struct stat st;

    if (mode & ~FALLOC_FL_KEEP_SIZE)
        return __real_fallocate(fd, mode, off, len);
    if ((mode & FALLOC_FL_KEEP_SIZE) || fstat(fd, &st) != 0 || st.st_size >= off + len)
        return 0;
    return __real_ftruncate(fd, off + len);
}

WRAP(int, fallocate, int fd, int mode, off_t off, off_t len)
{
    return sim.on ? DISK(path_of(fd), GROWS, reserve(fd, mode, off, len)) : __real_fallocate(fd, mode, off, len);
}

WRAP(int, ftruncate, int fd, off_t len)
{
    int rc = DISK(path_of(fd), 0, __real_ftruncate(fd, len));

    if (rc == 0)
        (void)wrote(fd, 1);
    return rc;
}

/* --- names and attributes --- */

WRAP(int, rename, const char *a, const char *b)
{
    return DISK(a, 0, __real_rename(a, b));
}

WRAP(int, renameat2, int ad, const char *a, int bd, const char *b, unsigned flags)
{
    return DISK(a[0] == '/' ? a : path_of(ad), 0, __real_renameat2(ad, a, bd, b, flags));
}

WRAP(int, renameat, int ad, const char *a, int bd, const char *b)
{
    return DISK(a[0] == '/' ? a : path_of(ad), 0, __real_renameat(ad, a, bd, b));
}

WRAP(int, link, const char *a, const char *b)
{
    return DISK(b, GROWS, __real_link(a, b));
}

WRAP(int, linkat, int ad, const char *a, int bd, const char *b, int flags)
{
    return DISK(b[0] == '/' ? b : path_of(bd), GROWS, __real_linkat(ad, a, bd, b, flags));
}

WRAP(int, unlink, const char *path)
{
    return DISK(path, 0, __real_unlink(path));
}

WRAP(int, unlinkat, int dirfd, const char *path, int flags)
{
    return DISK(path[0] == '/' ? path : path_of(dirfd), 0, __real_unlinkat(dirfd, path, flags));
}

WRAP(int, mkdir, const char *path, mode_t mode)
{
    return DISK(path, GROWS, __real_mkdir(path, mode));
}

WRAP(int, fsetxattr, int fd, const char *name, const void *v, size_t n, int flags)
{
    return DISK(path_of(fd), GROWS, __real_fsetxattr(fd, name, v, n, flags));
}

WRAP(ssize_t, fgetxattr, int fd, const char *name, void *v, size_t n)
{
    return DISK(path_of(fd), READS, __real_fgetxattr(fd, name, v, n));
}

WRAP(int, setxattr, const char *path, const char *name, const void *v, size_t n, int flags)
{
    return DISK(path, GROWS, __real_setxattr(path, name, v, n, flags));
}

WRAP(ssize_t, getxattr, const char *path, const char *name, void *v, size_t n)
{
    return DISK(path, READS, __real_getxattr(path, name, v, n));
}

WRAP(int, lstat, const char *path, struct stat *st)
{
    if (hidden(path)) {
        errno = ENOENT;
        return -1;
    }
    return DISK(path, READS, __real_lstat(path, st));
}

WRAP(int, stat, const char *path, struct stat *st)
{
    if (hidden(path)) {
        errno = ENOENT;
        return -1;
    }
    return DISK(path, READS, __real_stat(path, st));
}

/* --- what the machine is like --- */

#define DISK_BLOCKS (256ULL << 20) /* of 4 KiB: 1 TiB */

static bool
disk_full(const char *path)
{
    return sim.on && fault(path, 0) == 0 && sim.cur->host->disk_faulty && sim.cur->host->disk.full;
}

WRAP(int, statfs, const char *path, struct statfs *f)
{
    int rc = __real_statfs(path, f);

    if (sim.on && rc == 0) {
        f->f_bsize = f->f_frsize = 4096;
        f->f_blocks = DISK_BLOCKS;
        f->f_bfree = f->f_bavail = disk_full(path) ? 0 : DISK_BLOCKS / 10 * 9;
    }
    return rc;
}

WRAP(int, statvfs, const char *path, struct statvfs *f)
{
    int rc = __real_statvfs(path, f);

    if (sim.on && rc == 0) {
        f->f_bsize = f->f_frsize = 4096;
        f->f_blocks = DISK_BLOCKS;
        f->f_bfree = f->f_bavail = disk_full(path) ? 0 : DISK_BLOCKS / 10 * 9;
    }
    return rc;
}

WRAP(int, sched_getaffinity, pid_t pid, size_t n, cpu_set_t *set)
{
    if (!sim.on)
        return __real_sched_getaffinity(pid, n, set);
    CPU_ZERO_S(n, set);
    CPU_SET_S(0, n, set);
    CPU_SET_S(1, n, set);
    return 0;
}

WRAP(int, sched_setaffinity, pid_t pid, size_t n, const cpu_set_t *set)
{
    return sim.on ? 0 : __real_sched_setaffinity(pid, n, set);
}

/* How deep stacks are depends on the machine. */
WRAP(int, mincore, void *p, size_t n, unsigned char *vec)
{
    if (!sim.on)
        return __real_mincore(p, n, vec);
    errno = ENOSYS;
    return -1;
}
