/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk operations by io_uring: one ring per loop, completions through an eventfd in the loop's epoll set.
 *
 * The only file that sees an SQE. Operations are not cancellable: the waiting fiber is shielded, so the memory that the kernel holds
 * stays in scope until the completion arrived.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "base/util.h"
#include "run/disk.h"
#include "run/disk_impl.h"
#include "run/impl.h"

#define RING_ENTRIES 128

struct uring {
    struct io_uring ring;
    struct iowatch  w;
    int             evfd;
    unsigned        inflight;
};

struct uop {
    struct park park;
    struct dop *op;
};

static int
ring_open(struct io_uring *ring)
{
    struct io_uring_params p = { .flags = IORING_SETUP_COOP_TASKRUN };
    int                    rc;

    rc = io_uring_queue_init_params(RING_ENTRIES, ring, &p);
    if (rc == -EINVAL) { /* an older kernel */
        memset(&p, 0, sizeof(p));
        rc = io_uring_queue_init_params(RING_ENTRIES, ring, &p);
    }
    return rc;
}

bool
disk_uring_probe(void)
{
    struct io_uring        ring;
    struct io_uring_probe *probe;
    bool                   ok;

    if (ring_open(&ring) < 0)
        return false;
    probe = io_uring_get_probe_ring(&ring);
    ok = probe != NULL && io_uring_opcode_supported(probe, IORING_OP_READ) &&
         io_uring_opcode_supported(probe, IORING_OP_WRITE) && io_uring_opcode_supported(probe, IORING_OP_FSYNC) &&
         io_uring_opcode_supported(probe, IORING_OP_OPENAT);
    io_uring_free_probe(probe);
    io_uring_queue_exit(&ring);
    return ok;
}

static void
completions(struct iowatch *w, unsigned events)
{
    struct uring        *u = CONTAINER_OF(w, struct uring, w);
    struct io_uring_cqe *cqe;
    uint64_t             v;

    UNUSED(events);
    if (read(u->evfd, &v, sizeof(v)) < 0 && errno != EAGAIN)
        ais_bug("eventfd read: %s", strerror(errno));
    while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
        struct uop *uo = io_uring_cqe_get_data(cqe);

        uo->op->res = cqe->res;
        io_uring_cqe_seen(&u->ring, cqe);
        u->inflight--;
        park_wake(&uo->park, 0);
    }
}

int
disk_uring_loop_init(struct loop *l)
{
    struct uring *u = xcalloc(1, sizeof(*u));
    int           rc = ring_open(&u->ring);

    if (rc < 0) {
        free(u);
        return err_from_errno(-rc);
    }
    u->evfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (u->evfd < 0 || io_uring_register_eventfd(&u->ring, u->evfd) < 0 ||
        iowatch_add_level(l, &u->w, u->evfd, completions) < 0) {
        fd_close(&u->evfd);
        io_uring_queue_exit(&u->ring);
        free(u);
        return -AIS_E_IO;
    }
    l->uring = u;
    return 0;
}

void
disk_uring_loop_fini(struct loop *l)
{
    struct uring *u = l->uring;

    if (u == NULL)
        return;
    l->uring = NULL;
    iowatch_del(&u->w);
    io_uring_queue_exit(&u->ring);
    fd_close(&u->evfd);
    free(u);
}

static bool
prep(struct io_uring_sqe *sqe, const struct dop *o)
{
    switch (o->kind) {
    case DOP_OPENAT:
        io_uring_prep_openat(sqe, o->fd, o->path, o->flags | O_CLOEXEC, o->mode);
        return true;
    case DOP_PREAD:
        io_uring_prep_read(sqe, o->fd, o->buf, (unsigned)MIN(o->n, 1u << 30), o->off);
        return true;
    case DOP_PWRITE:
        io_uring_prep_write(sqe, o->fd, o->cbuf, (unsigned)MIN(o->n, 1u << 30), o->off);
        return true;
    case DOP_FSYNC:
        io_uring_prep_fsync(sqe, o->fd, o->flags ? IORING_FSYNC_DATASYNC : 0);
        return true;
    case DOP_FALLOCATE:
        io_uring_prep_fallocate(sqe, o->fd, o->flags, (off_t)o->off, (off_t)o->n);
        return true;
    case DOP_STAT:
    case DOP_UNLINK:
    case DOP_RENAME:
    case DOP_MKDIR:
    case DOP_FGETXATTR:
    case DOP_FSETXATTR:
    case DOP_READAHEAD:
        return false; /* the kernel runs these on a thread of its own anyway: the pool is no slower and bounded */
    }
    return false;
}

bool
disk_uring_op(struct loop *l, struct dop *o)
{
    struct uring        *u = l->uring;
    struct uop           uo = { .op = o };
    struct io_uring_sqe *sqe;
    int                  rc;

    if (o->kind > DOP_FALLOCATE || u->inflight >= RING_ENTRIES)
        return false;
    ASSERT_MAY_PARK();
    sqe = io_uring_get_sqe(&u->ring);
    if (sqe == NULL || !prep(sqe, o))
        return false;
    io_uring_sqe_set_data(sqe, &uo);
    park_init(&uo.park);
    fiber_shield();
    u->inflight++;
    do {
        rc = io_uring_submit(&u->ring);
    } while (rc == -EINTR || rc == -EAGAIN || rc == -EBUSY);
    ASSERT_CMP(rc, >=, 0, "d");
    (void)park_wait(&uo.park, NO_DEADLINE);
    fiber_unshield();
    return true;
}
