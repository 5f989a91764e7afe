/* SPDX-License-Identifier: Apache-2.0 */
/* Byte streams on a loop: waiting, sending whole pieces, files; and the plain TCP transport. Runs on: the stream's loop. */
#include "net/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/util.h"
#include "net/net_impl.h"
#include "run/disk.h"

#define FILE_WINDOW (4u << 20) /* bytes of a file that are brought into the page cache before they are sent */
#define BURST       (4u << 20) /* bytes a stream moves before other fibers run */
#define SHORT_WAIT  MSEC_NS(200)
#define DISCARD_ONE (1u << 20)
#define DISCARD_MAX 64 /* system calls in one go: other connections want their turn */

/* --- waiting --- */

static void
wake(struct park **slot, int rc)
{
    struct park *p = *slot;

    if (p == NULL)
        return;
    *slot = NULL;
    park_wake(p, rc);
}

void
stream_happened(struct stream *s, unsigned what)
{
    bool in = what & IOW_READ, out = what & (IOW_WRITE | IOW_HUP);

    if (in)
        s->readable = true;
    if (what & IOW_HUP)
        s->hup = true;
    if (in || (out && s->r_on_write))
        wake(&s->rpark, 0);
    if (out || (in && s->w_on_read))
        wake(&s->wpark, 0);
    if (s->event != NULL)
        s->event(s, what);
}

static void
on_ready(struct iowatch *w, unsigned what)
{
    stream_happened(CONTAINER_OF(w, struct stream, w), what);
}

static int
wait_on(struct park **slot, int64_t deadline)
{
    struct park p;
    int         rc;

    ASSERT(*slot == NULL);
    park_init(&p);
    *slot = &p;
    rc = park_wait(&p, deadline);
    *slot = NULL;
    return rc;
}

/* n bytes went through at once. A peer that is faster than we are would otherwise have the loop for itself. */
static void
moved(struct stream *s, size_t n)
{
    s->burst += n;
    if (s->burst >= BURST) {
        s->burst = 0;
        fiber_yield();
    }
}

static int
wait_readable(struct stream *s, int64_t deadline)
{
    while (!s->readable) {
        int rc = s->hup ? -AIS_E_CLOSED : s->told; /* after a hang-up no edge comes */

        s->told = s->hup ? s->told : 0;
        if (rc == 0)
            rc = wait_on(&s->rpark, deadline);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* For what TLS wants of the other direction. Whatever happens there may have been it: the caller tries again. */
static int
wait_crosswise(struct stream *s, enum stream_side who, int64_t deadline)
{
    bool *flag = who == STREAM_READER ? &s->r_on_write : &s->w_on_read;
    int   rc;

    if (who == STREAM_WRITER && s->readable)
        return 0;
    *flag = true;
    rc = wait_on(who == STREAM_READER ? &s->rpark : &s->wpark, deadline);
    *flag = false;
    return rc;
}

int
stream_wait(struct stream *s, enum stream_side who, ssize_t want, int64_t deadline)
{
    s->burst = 0;
    if (s->broken)
        return -AIS_E_CLOSED;
    if ((who == STREAM_READER) != (want == STREAM_WANT_READ))
        return wait_crosswise(s, who, deadline);
    return want == STREAM_WANT_WRITE ? wait_on(&s->wpark, deadline) : wait_readable(s, deadline);
}

/* --- plain TCP --- */

static ssize_t
plain_read(struct stream *s, void *p, size_t n)
{
    ssize_t k;

    do {
        k = recv(s->fd, p, n, MSG_DONTWAIT);
    } while (k < 0 && errno == EINTR);
    if (k < 0 && errno != EAGAIN)
        return -AIS_E_CLOSED;
    /* A short read drained the socket, the next edge tells of more; after a hang-up there may be no further edge. */
    if (k < 0 || ((size_t)k < n && k > 0 && !s->hup))
        s->readable = false;
    return k < 0 ? STREAM_WANT_READ : k;
}

static ssize_t
plain_writev(struct stream *s, const struct iovec *iov, int n, bool more)
{
    int     flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
    ssize_t k;

    do {
        if (n == 1) {
            k = send(s->fd, iov->iov_base, iov->iov_len, flags);
        } else {
            struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n };

            k = sendmsg(s->fd, &m, flags);
        }
    } while (k < 0 && errno == EINTR);
    return k >= 0 ? k : errno == EAGAIN ? STREAM_WANT_WRITE : -AIS_E_CLOSED;
}

static ssize_t
plain_sendfile(struct stream *s, int fd, uint64_t off, size_t len)
{
    off_t   o = (off_t)off;
    ssize_t k;

    do {
        k = sendfile(s->fd, fd, &o, len);
    } while (k < 0 && errno == EINTR);
    if (k >= 0)
        return k;
    switch (errno) {
    case EAGAIN:
        return STREAM_WANT_WRITE;
    case EIO:
        return -AIS_E_IO;
    case EINVAL:
    case ENOSYS:
        return -AIS_E_UNSUPP; /* a file system without it */
    default:
        return -AIS_E_CLOSED;
    }
}

static ssize_t
plain_discard(struct stream *s)
{
    ssize_t k = 1;

    for (int i = 0; i < DISCARD_MAX && k > 0; i++)
        k = recv(s->fd, NULL, DISCARD_ONE, MSG_TRUNC | MSG_DONTWAIT);
    return k > 0 || (k < 0 && (errno == EAGAIN || errno == EINTR)) ? STREAM_WANT_READ : 0;
}

static enum stream_peer
plain_peer(struct stream *s)
{
    struct pollfd p = { .fd = s->fd, .events = POLLIN };
    char          c;

    if (poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)))
        return STREAM_PEER_GONE;
    return recv(s->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0 ? STREAM_PEER_HALF : STREAM_PEER_HERE;
}

static void
plain_shutdown(struct stream *s)
{
    (void)shutdown(s->fd, SHUT_WR);
}

static void
plain_close(struct stream *s)
{
    if (s->loop != NULL)
        iowatch_del(&s->w);
    fd_close(&s->fd);
}

const struct stream_ops stream_plain_ops = {
    .read = plain_read,
    .writev = plain_writev,
    .sendfile = plain_sendfile,
    .short_is_full = true,
    .discard = plain_discard,
    .peer = plain_peer,
    .shutdown = plain_shutdown,
    .close = plain_close,
};

/* sendfile has no MSG_NOSIGNAL, and OpenSSL does not use it: a peer that went away is an error code, not a signal. */
static void
block_sigpipe(void)
{
    static _Thread_local bool blocked;
    sigset_t                  set;

    if (blocked)
        return;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    MUST(pthread_sigmask(SIG_BLOCK, &set, NULL));
    blocked = true;
}

int
stream_open(struct stream *s, struct loop *l, int fd, void (*event)(struct stream *, unsigned))
{
    int one = 1, rc;

    block_sigpipe();
    *s = (struct stream){ .loop = l, .fd = fd, .event = event };
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    rc = iowatch_add(l, &s->w, fd, on_ready);
    if (rc == 0)
        s->ops = &stream_plain_ops;
    else
        s->fd = -1;
    return rc;
}

/* The socket's first writable edge, or its error, ends the wait. */
static int
await_connected(struct stream *s, int64_t deadline)
{
    for (;;) {
        struct sockaddr_storage peer;
        socklen_t               n = sizeof(peer);
        int                     err = 0, rc;

        if (getpeername(s->fd, (struct sockaddr *)&peer, &n) == 0)
            return 0;
        n = sizeof(err);
        if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0 || err != 0)
            return -AIS_E_PEER;
        rc = wait_on(&s->wpark, deadline);
        if (rc < 0)
            return rc;
    }
}

int
stream_connect(struct stream *s, struct loop *l, const struct sockaddr *to, socklen_t n, int64_t deadline)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc;

    if (fd < 0)
        return -AIS_E_PEER;
    if ((connect(fd, to, n) < 0 && errno != EINPROGRESS) || stream_open(s, l, fd, NULL) < 0) {
        close(fd);
        return -AIS_E_PEER;
    }
    rc = await_connected(s, deadline);
    if (rc < 0)
        stream_close(s);
    return rc;
}

void
stream_cut(struct stream *s)
{
    struct linger hard = { .l_onoff = 1, .l_linger = 0 };

    s->cut = true;
    if (s->fd >= 0)
        (void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

void
stream_break(struct stream *s)
{
    s->broken = true;
    stream_cut(s);
    wake(&s->rpark, -AIS_E_CLOSED);
    wake(&s->wpark, -AIS_E_CLOSED);
}

void
stream_tell(struct stream *s, int code)
{
    if (s->rpark != NULL && !s->r_on_write)
        wake(&s->rpark, code);
    else
        s->told = code;
}

void
stream_close(struct stream *s)
{
    if (s->ops == NULL)
        return;
    ASSERT(s->rpark == NULL && s->wpark == NULL);
    s->ops->close(s);
    s->ops = NULL;
}

void
stream_forget(struct stream *s)
{
    s->loop = NULL;
    s->rpark = s->wpark = NULL;
    stream_close(s);
}

/* --- moving bytes --- */

ssize_t
stream_recv_now(struct stream *s, void *p, size_t n)
{
    return s->readable || s->hup ? s->ops->read(s, p, n) : STREAM_WANT_READ;
}

ssize_t
stream_recv(struct stream *s, void *p, size_t n, int64_t deadline)
{
    for (;;) {
        ssize_t k = s->broken ? -AIS_E_CLOSED : stream_recv_now(s, p, n);
        int     rc;

        if (k > 0)
            moved(s, (size_t)k);
        if (k != STREAM_WANT_READ && k != STREAM_WANT_WRITE)
            return k;
        rc = stream_wait(s, STREAM_READER, k, deadline);
        if (rc < 0)
            return rc;
    }
}

static void
iov_advance(struct iovec **iov, int *n, size_t k)
{
    while (*n > 0 && k >= (*iov)->iov_len) {
        k -= (*iov)->iov_len;
        (*iov)++;
        (*n)--;
    }
    if (k > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + k;
        (*iov)->iov_len -= k;
    }
}

int
stream_send(struct stream *s, struct iovec *iov, int n, bool more, int64_t stall_ns)
{
    iov_advance(&iov, &n, 0);
    while (n > 0) {
        ssize_t k;
        int     rc;

        while (n > 1 && iov[n - 1].iov_len == 0)
            n--;
        k = s->broken ? -AIS_E_CLOSED : s->ops->writev(s, iov, n, more);
        if (k >= 0) {
            s->sent += (uint64_t)k;
            iov_advance(&iov, &n, (size_t)k);
            moved(s, (size_t)k);
            continue;
        }
        if (k != STREAM_WANT_READ && k != STREAM_WANT_WRITE)
            return (int)k;
        rc = stream_wait(s, STREAM_WRITER, k, deadline_in(clock_mono(), stall_ns));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
window_ready(int fd, uint64_t off, size_t len)
{
    return disk_cached(fd, off, len) ? 0 : disk_readahead(fd, off, len);
}

int
stream_prefetch(int fd, uint64_t off, uint64_t len)
{
    return window_ready(fd, off, (size_t)MIN(len, (uint64_t)FILE_WINDOW));
}

/* Through memory: transports that cannot send files. */
static int
copy_file(struct stream *s, int fd, uint64_t off, uint64_t len, int64_t stall_ns)
{
    char *buf = buf_take(COPY_BUF);
    int   rc = buf == NULL ? -AIS_E_NOMEM : 0;

    while (rc == 0 && len > 0) {
        ssize_t      k = disk_pread(fd, buf, (size_t)MIN(len, (uint64_t)COPY_BUF), off);
        struct iovec iov = { buf, (size_t)MAX(k, 0) };

        if (k <= 0) {
            rc = k < 0 ? (int)k : -AIS_E_IO; /* the file is shorter than its metadata says */
            break;
        }
        rc = stream_send(s, &iov, 1, len > (uint64_t)k, stall_ns);
        off += (uint64_t)k;
        len -= (uint64_t)k;
    }
    buf_give(buf, COPY_BUF);
    return rc;
}

/* One step: bytes sent (0: try again), or an error. */
static ssize_t
sendfile_step(struct stream *s, int fd, uint64_t off, size_t want, int64_t stall_ns)
{
    ssize_t k = s->broken ? -AIS_E_CLOSED : s->ops->sendfile(s, fd, off, want);
    int64_t wait_ns = stall_ns;
    int     rc;

    if (k == 0)
        return -AIS_E_IO; /* the file is shorter than its metadata says */
    if (k == (ssize_t)want || (k > 0 && !s->ops->short_is_full) || (k < 0 && k != STREAM_WANT_READ && k != STREAM_WANT_WRITE))
        return k;
    if (k > 0)
        wait_ns = MIN(stall_ns, SHORT_WAIT); /* spares the call that would say so; if it is the file, the next call tells */
    rc = stream_wait(s, STREAM_WRITER, k > 0 ? STREAM_WANT_WRITE : k, deadline_in(clock_mono(), wait_ns));
    if (rc < 0 && !(rc == -AIS_E_TIMEOUT && k > 0))
        return rc;
    return MAX(k, 0);
}

/* Half a window is always known to be cached, so that a call of sendfile ends where the socket is full, not at a border of ours. */
static int
window_extend(int fd, uint64_t off, uint64_t len, uint64_t *ready_to)
{
    uint64_t end = off + MIN(len, (uint64_t)FILE_WINDOW), from = MAX(off, *ready_to);
    int      rc;

    if (*ready_to >= off + MIN(len, (uint64_t)FILE_WINDOW / 2))
        return 0;
    rc = window_ready(fd, from, (size_t)(end - from));
    if (rc == 0)
        *ready_to = end;
    return rc;
}

int
stream_sendfile(struct stream *s, int fd, uint64_t off, uint64_t len, bool prefetched, int64_t stall_ns)
{
    uint64_t ready_to = prefetched ? off + MIN(len, (uint64_t)FILE_WINDOW) : off;

    if (s->ops->sendfile == NULL)
        return copy_file(s, fd, off, len, stall_ns);
    while (len > 0) {
        ssize_t k;
        int     rc = window_extend(fd, off, len, &ready_to);

        if (rc < 0)
            return rc;
        k = sendfile_step(s, fd, off, (size_t)(ready_to - off), stall_ns);
        if (k == -AIS_E_UNSUPP)
            return copy_file(s, fd, off, len, stall_ns);
        if (k < 0)
            return (int)k;
        s->sent += (uint64_t)k;
        off += (uint64_t)k;
        len -= (uint64_t)k;
        moved(s, (size_t)k);
    }
    return 0;
}
