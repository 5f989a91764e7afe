/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk calls for fibers. Each first tries what needs no waiting (RWF_NOWAIT, RESOLVE_CACHED), then parks on io_uring or, where
 * that is not allowed, on the offload pool: same results either way. On a thread that may block they are plain system calls.
 *
 * All return >= 0 or -AIS_E_* (err_from_errno). They are not cancellable: the kernel owns the buffers until it is done. Short
 * reads and writes are retried: disk_pread returns less than n only at the end of the file; disk_pwrite all or an error.
 * May park.
 */
#ifndef RUN_DISK_H
#define RUN_DISK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

int     disk_open(const char *path, int flags, mode_t mode); /* O_CLOEXEC is implied; the descriptor */
int     disk_openat(int dirfd, const char *path, int flags, mode_t mode);
void    disk_close(int *fd); /* sets -1 */
ssize_t disk_pread(int fd, void *p, size_t n, uint64_t off);
ssize_t disk_pwrite(int fd, const void *p, size_t n, uint64_t off);
int     disk_fsync(int fd, int data_only);
int     disk_fallocate(int fd, int mode, uint64_t off, uint64_t len);
int     disk_fstat(int fd, struct stat *st);
int     disk_stat(const char *path, struct stat *st); /* does not follow a last symlink */
int     disk_unlink(const char *path);
int     disk_rename(const char *from, const char *to);
int     disk_mkdir(const char *path, mode_t mode);
/* Create the missing directories of path up to, not including, its last component. */
int     disk_mkdir_parents(const char *path, mode_t mode);
ssize_t disk_fgetxattr(int fd, const char *name, void *p, size_t n); /* -AIS_E_NOENT when there is none; -AIS_E_TOOBIG */
int     disk_fsetxattr(int fd, const char *name, const void *p, size_t n);
/* Is [off, off+len) in the page cache, as far as a cheap look can tell? 1, 0. Never parks. */
int     disk_cached(int fd, uint64_t off, size_t len);
/* Bring [off, off+len) into the page cache (so that a following sendfile does not block the loop). May park. */
int     disk_readahead(int fd, uint64_t off, size_t len);

/* Whole small files, for metadata: write = temporary name, fsync, rename, fsync of the directory. */
struct str;
int disk_write_file_atomic(const char *path, const void *p, size_t n, mode_t mode);
/* Reads at most max bytes into malloc'd memory (*out, NUL-terminated, caller frees); -AIS_E_TOOBIG beyond. */
int disk_read_file(const char *path, size_t max, char **out, size_t *n);

#endif
