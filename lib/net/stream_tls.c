/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS transport: OpenSSL on a non-blocking socket. With kTLS the kernel encrypts and files go by SSL_sendfile.
 *
 * Runs on: the stream's loop.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/err.h"
#include "base/util.h"
#include "net/net_impl.h"

#define GATHER (16u << 10) /* one TLS record: small pieces leave together */

static const struct stream_ops tls_ops;

static SSL *
ssl_of(const struct stream *s)
{
    return s->priv;
}

/* What an SSL_* call that failed wants. */
static ssize_t
tls_outcome(struct stream *s, int rc)
{
    int err = SSL_get_error(ssl_of(s), rc);

    ERR_clear_error();
    switch (err) {
    case SSL_ERROR_WANT_READ:
        s->readable = false;
        return STREAM_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return STREAM_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return -AIS_E_CLOSED;
    }
}

static ssize_t
tls_read(struct stream *s, void *p, size_t n)
{
    size_t got = 0;
    int    rc = SSL_read_ex(ssl_of(s), p, n, &got);

    return rc == 1 ? (ssize_t)got : tls_outcome(s, rc);
}

static ssize_t
tls_write(struct stream *s, const void *p, size_t n)
{
    size_t  done = 0;
    int     rc = SSL_write_ex(ssl_of(s), p, n, &done);
    ssize_t k;

    if (rc == 1)
        return (ssize_t)done;
    k = tls_outcome(s, rc);
    return k == 0 ? -AIS_E_CLOSED : k;
}

/* A head and the start of its body leave as one record: gathered again, byte for byte, when OpenSSL wants the call repeated. */
static ssize_t
tls_writev(struct stream *s, const struct iovec *iov, int n, bool more)
{
    static _Thread_local char gather[GATHER];
    size_t                    at = 0, k;

    UNUSED(more);
    if (n == 1 || iov->iov_len >= GATHER)
        return tls_write(s, iov->iov_base, iov->iov_len);
    for (int i = 0; i < n && at < GATHER; i++) {
        k = MIN(iov[i].iov_len, GATHER - at);
        if (k > 0)
            memcpy(gather + at, iov[i].iov_base, k);
        at += k;
    }
    return tls_write(s, gather, at);
}

static ssize_t
tls_sendfile(struct stream *s, int fd, uint64_t off, size_t len)
{
    ossl_ssize_t k;
    ssize_t      rc;

    if (!BIO_get_ktls_send(SSL_get_wbio(ssl_of(s))))
        return -AIS_E_UNSUPP;
    k = SSL_sendfile(ssl_of(s), fd, (off_t)off, len, 0);
    if (k >= 0)
        return k;
    rc = tls_outcome(s, (int)k);
    return rc == 0 ? -AIS_E_CLOSED : rc;
}

static ssize_t
tls_discard(struct stream *s)
{
    return stream_plain_ops.discard(s); /* nobody wants to know what it was */
}

static enum stream_peer
tls_peer(struct stream *s)
{
    enum stream_peer p = stream_plain_ops.peer(s);

    /* The unread bytes before the end are the closing alert of a client that went away. */
    return p == STREAM_PEER_HERE && s->hup && SSL_pending(ssl_of(s)) == 0 ? STREAM_PEER_HALF : p;
}

static void
tls_shutdown(struct stream *s)
{
    (void)SSL_shutdown(ssl_of(s));
    ERR_clear_error();
    stream_plain_ops.shutdown(s);
}

static void
tls_close(struct stream *s)
{
    if (s->loop != NULL && SSL_is_init_finished(ssl_of(s)) && !s->hup && !s->cut)
        (void)SSL_shutdown(ssl_of(s));
    SSL_free(ssl_of(s));
    ERR_clear_error();
    s->priv = NULL;
    stream_plain_ops.close(s);
}

static const struct stream_ops tls_ops = {
    .read = tls_read,
    .writev = tls_writev,
    .sendfile = tls_sendfile,
    .discard = tls_discard,
    .peer = tls_peer,
    .shutdown = tls_shutdown,
    .close = tls_close,
};

static int
attach(struct stream *s, SSL *ssl)
{
    if (ssl == NULL)
        return -AIS_E_NOMEM;
    s->priv = ssl;
    s->ops = &tls_ops;
    return 0;
}

int
stream_tls_accept(struct stream *s, struct tls_ctx *t)
{
    return attach(s, tls_accept_new(t, s->fd));
}

int
stream_tls_connect(struct stream *s, struct tls_ctx *t, const char *host)
{
    return attach(s, tls_connect_new(t, s->fd, host));
}

int
stream_tls_handshake(struct stream *s, int64_t deadline)
{
    for (;;) {
        int     rc = SSL_do_handshake(ssl_of(s));
        ssize_t k;

        if (rc == 1)
            return 0;
        k = tls_outcome(s, rc);
        if (k != STREAM_WANT_READ && k != STREAM_WANT_WRITE)
            return -AIS_E_CLOSED;
        rc = stream_wait(s, k == STREAM_WANT_READ ? STREAM_READER : STREAM_WRITER, k, deadline);
        if (rc < 0)
            return rc;
    }
}

bool
stream_is_tls(const struct stream *s)
{
    return s->ops == &tls_ops;
}

const char *
stream_tls_peer(const struct stream *s)
{
    static _Thread_local char subject[512];
    X509                     *x;

    if (!stream_is_tls(s) || SSL_get_verify_result(ssl_of(s)) != X509_V_OK)
        return NULL;
    x = SSL_get0_peer_certificate(ssl_of(s));
    if (x == NULL)
        return NULL;
    X509_NAME_oneline(X509_get_subject_name(x), subject, sizeof(subject));
    return subject;
}
