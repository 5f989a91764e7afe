/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to lib/net: a byte stream on a loop, plain TCP or TLS, for server connections and client calls alike.
 *
 * Readiness is edge-triggered and remembered here: a call tries first and parks only when the socket said no. One reader and one
 * writer at a time. Runs on: the stream's loop; calls park.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "run/fiber.h"
#include "run/run.h"

struct ssl_st;

struct stream {
    struct iowatch w;
    struct loop   *loop;
    int            fd; /* -1 when closed */
    struct ssl_st *ssl;
    bool           ktls_tx;  /* SSL_sendfile works */
    bool           readable; /* an edge came since the last drained read */
    bool           hup;      /* the peer closed its side, or the connection broke */
    struct park   *rpark, *wpark;
    /* Called on every event after the waiters were woken: idle connections, cancellation. May be NULL. */
    void (*event)(struct stream *s, unsigned what);
};

int     stream_open(struct stream *s, struct loop *l, int fd, void (*event)(struct stream *, unsigned));
void    stream_close(struct stream *s);
/* Bytes (> 0), 0 at the end, -AIS_E_CLOSED, -AIS_E_TIMEOUT, -AIS_E_CANCELED. */
ssize_t stream_recv(struct stream *s, void *p, size_t n, int64_t deadline);
/* All of it or an error. iov is changed. more: something follows at once. stall_ns: longest time without progress. */
int     stream_send(struct stream *s, struct iovec *iov, int n, bool more, int64_t stall_ns);
int     stream_sendfile(struct stream *s, int fd, uint64_t off, uint64_t len, int64_t stall_ns);
/* Throw away what comes, without copying, until the end, the deadline or max bytes. */
void    stream_discard(struct stream *s, uint64_t max, int64_t deadline);
/* TLS handshake (the SSL is attached already). */
int     stream_handshake(struct stream *s, int64_t deadline);

#endif
