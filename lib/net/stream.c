/* SPDX-License-Identifier: Apache-2.0 */
/* A byte stream on a loop. Runs on: the stream's loop; parks. */
#include "net/stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/util.h"
#include "run/disk.h"

#define FILE_WINDOW (1u << 20) /* bytes of a file that are known to be cached before they are sent */

static void
on_event(struct iowatch *w, unsigned what)
{
    struct stream *s = CONTAINER_OF(w, struct stream, w);
    struct park   *p;

    if (what & IOW_READ)
        s->readable = true;
    if (what & IOW_HUP)
        s->hup = true;
    if ((what & IOW_READ) && s->rpark != NULL) {
        p = s->rpark;
        s->rpark = NULL;
        park_wake(p, 0);
    }
    if ((what & (IOW_WRITE | IOW_HUP)) && s->wpark != NULL) {
        p = s->wpark;
        s->wpark = NULL;
        park_wake(p, 0);
    }
    if (s->event != NULL)
        s->event(s, what);
}

int
stream_open(struct stream *s, struct loop *l, int fd, void (*event)(struct stream *, unsigned))
{
    int rc;

    *s = (struct stream){ .loop = l, .fd = fd, .event = event };
    rc = iowatch_add(l, &s->w, fd, on_event);
    if (rc < 0)
        s->fd = -1;
    return rc;
}

void
stream_close(struct stream *s)
{
    if (s->fd < 0)
        return;
    if (s->ssl != NULL) {
        (void)SSL_shutdown(s->ssl);
        SSL_free(s->ssl);
        s->ssl = NULL;
    }
    iowatch_del(&s->w);
    fd_close(&s->fd);
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

static int
wait_readable(struct stream *s, int64_t deadline)
{
    while (!s->readable) {
        int rc = wait_on(&s->rpark, deadline);

        if (rc < 0)
            return rc;
    }
    return 0;
}

/* What an SSL_* call that returned rc wants: 0 = try again (after parking), 1 = clean end, or an error. */
static int
tls_wait(struct stream *s, int rc, int64_t deadline)
{
    int err = SSL_get_error(s->ssl, rc);

    ERR_clear_error();
    switch (err) {
    case SSL_ERROR_WANT_READ:
        s->readable = false;
        return wait_readable(s, deadline);
    case SSL_ERROR_WANT_WRITE:
        return wait_on(&s->wpark, deadline);
    case SSL_ERROR_ZERO_RETURN:
        return 1;
    default:
        return -AIS_E_CLOSED;
    }
}

int
stream_handshake(struct stream *s, int64_t deadline)
{
    for (;;) {
        int rc = SSL_do_handshake(s->ssl);

        if (rc == 1)
            break;
        rc = tls_wait(s, rc, deadline);
        if (rc != 0)
            return rc < 0 ? rc : -AIS_E_CLOSED;
    }
    s->ktls_tx = BIO_get_ktls_send(SSL_get_wbio(s->ssl));
    return 0;
}

static ssize_t
tls_recv(struct stream *s, void *p, size_t n, int64_t deadline)
{
    for (;;) {
        int rc = SSL_read(s->ssl, p, (int)MIN(n, (size_t)INT32_MAX));

        if (rc > 0)
            return rc;
        rc = tls_wait(s, rc, deadline);
        if (rc != 0)
            return rc == 1 ? 0 : rc;
    }
}

ssize_t
stream_recv(struct stream *s, void *p, size_t n, int64_t deadline)
{
    if (s->ssl != NULL)
        return tls_recv(s, p, n, deadline);
    for (;;) {
        ssize_t k;
        int     rc;

        if (!s->readable && !s->hup) {
            rc = wait_readable(s, deadline);
            if (rc < 0)
                return rc;
        }
        k = recv(s->fd, p, n, 0);
        if (k > 0) {
            /* A short read drained the socket: the next edge tells of more. After a hang-up there may be no further edge. */
            if ((size_t)k < n && !s->hup)
                s->readable = false;
            return k;
        }
        if (k == 0)
            return 0;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -AIS_E_CLOSED;
        s->readable = false;
        rc = wait_readable(s, deadline);
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

static int
tls_send(struct stream *s, struct iovec *iov, int n, int64_t stall_ns)
{
    while (n > 0) {
        int rc;

        if (iov->iov_len == 0) {
            iov++;
            n--;
            continue;
        }
        rc = SSL_write(s->ssl, iov->iov_base, (int)MIN(iov->iov_len, (size_t)INT32_MAX));
        if (rc > 0) {
            iov_advance(&iov, &n, (size_t)rc);
            continue;
        }
        rc = tls_wait(s, rc, deadline_in(clock_mono(), stall_ns));
        if (rc != 0)
            return rc < 0 ? rc : -AIS_E_CLOSED;
    }
    return 0;
}

int
stream_send(struct stream *s, struct iovec *iov, int n, bool more, int64_t stall_ns)
{
    if (s->ssl != NULL)
        return tls_send(s, iov, n, stall_ns);
    iov_advance(&iov, &n, 0);
    while (n > 0) {
        struct msghdr m = { .msg_iov = iov, .msg_iovlen = (size_t)n };
        ssize_t       k = sendmsg(s->fd, &m, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
        int           rc;

        if (k >= 0) {
            iov_advance(&iov, &n, (size_t)k);
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -AIS_E_CLOSED;
        rc = wait_on(&s->wpark, deadline_in(clock_mono(), stall_ns));
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* TLS without kTLS: through a buffer. */
static int
copy_file(struct stream *s, int fd, uint64_t off, uint64_t len, int64_t stall_ns)
{
    size_t cap = 64 * KIB;
    char  *buf = malloc(cap);
    int    rc = buf == NULL ? -AIS_E_NOMEM : 0;

    while (rc == 0 && len > 0) {
        ssize_t      k = disk_pread(fd, buf, MIN(len, cap), off);
        struct iovec iov = { buf, (size_t)MAX(k, 0) };

        if (k <= 0) {
            rc = k < 0 ? (int)k : -AIS_E_IO; /* the file is shorter than its metadata says */
            break;
        }
        rc = stream_send(s, &iov, 1, len > (uint64_t)k, stall_ns);
        off += (uint64_t)k;
        len -= (uint64_t)k;
    }
    free(buf);
    return rc;
}

static ssize_t
sendfile_some(struct stream *s, int fd, uint64_t off, size_t len)
{
    off_t o = (off_t)off;

    if (s->ssl != NULL)
        return SSL_sendfile(s->ssl, fd, o, len, 0);
    return sendfile(s->fd, fd, &o, len);
}

int
stream_sendfile(struct stream *s, int fd, uint64_t off, uint64_t len, int64_t stall_ns)
{
    uint64_t cached_to = off;

    if (s->ssl != NULL && !s->ktls_tx)
        return copy_file(s, fd, off, len, stall_ns);
    while (len > 0) {
        size_t  want;
        ssize_t k;
        int     rc;

        if (off >= cached_to) {
            want = MIN(len, (uint64_t)FILE_WINDOW);
            if (!disk_cached(fd, off, want)) {
                rc = disk_readahead(fd, off, want);
                if (rc < 0)
                    return rc;
            }
            cached_to = off + want;
        }
        want = cached_to - off;
        k = sendfile_some(s, fd, off, want);
        if (k > 0) {
            off += (uint64_t)k;
            len -= (uint64_t)k;
            continue;
        }
        if (k == 0)
            return -AIS_E_IO; /* the file is shorter than its metadata says */
        if (s->ssl == NULL && errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -AIS_E_CLOSED;
        rc = wait_on(&s->wpark, deadline_in(clock_mono(), stall_ns));
        if (rc < 0)
            return rc;
    }
    return 0;
}

void
stream_discard(struct stream *s, uint64_t max, int64_t deadline)
{
    char buf[4096];

    while (max > 0) {
        ssize_t k;

        if (s->ssl != NULL) {
            k = tls_recv(s, buf, sizeof(buf), deadline);
        } else {
            k = recv(s->fd, NULL, MIN(max, (uint64_t)1 << 20), MSG_TRUNC);
            if (k < 0 && errno == EAGAIN) {
                s->readable = false;
                if (s->hup || wait_readable(s, deadline) < 0)
                    return;
                continue;
            }
        }
        if (k <= 0)
            return;
        max -= MIN(max, (uint64_t)k);
    }
}
