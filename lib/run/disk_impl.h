/* SPDX-License-Identifier: Apache-2.0 */
/* Private to lib/run: one disk operation, as both implementations see it. */
#ifndef RUN_DISK_IMPL_H
#define RUN_DISK_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;
struct park;

enum dop_kind {
    DOP_OPENAT,
    DOP_PREAD,
    DOP_PWRITE,
    DOP_FSYNC,
    DOP_FALLOCATE,
    DOP_STAT,
    DOP_UNLINK,
    DOP_RENAME,
    DOP_MKDIR,
    DOP_FGETXATTR,
    DOP_FSETXATTR,
    DOP_READAHEAD,
};

struct dop {
    enum dop_kind kind;
    int           fd, flags;
    mode_t        mode;
    const char   *path, *path2;
    void         *buf;
    const void   *cbuf;
    size_t        n;
    uint64_t      off;
    int64_t       res; /* >= 0 or -errno */
};

/* Run o on the loop's ring and park until it completed; false when the ring cannot do this kind (or is full). */
bool disk_uring_op(struct loop *l, struct dop *o);

#endif
