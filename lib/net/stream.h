/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to lib/net: a byte stream on a loop, for server connections and client calls alike.
 *
 * A transport (plain TCP, TLS, or memory in tests and simulations) only says what can be done without waiting; the functions
 * here do the waiting. Readiness is edge-triggered and remembered: a call tries first and parks only when the transport said
 * no, or when it moved so much without parking that others on the loop must have their turn. One reader and one writer at a
 * time.
 *
 * Runs on: the stream's loop; calls park unless they say otherwise.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "run/fiber.h"
#include "run/run.h"

struct stream;
struct tls_ctx;

/* Not now: ask again after the stream became readable or writable. Beside these the codes are 0, > 0 and -AIS_E_*. */
#define STREAM_WANT_READ  (-1)
#define STREAM_WANT_WRITE (-2)

enum stream_peer {
    STREAM_PEER_HERE, /* or something that it sent is still unread */
    STREAM_PEER_HALF, /* it ended its side and all of it was read: gone, or patiently listening */
    STREAM_PEER_GONE, /* reset, or both sides ended */
};

struct stream_ops {
    /* > 0, 0 = end, STREAM_WANT_*, -AIS_E_CLOSED. Clears s->readable when it knows that nothing more is there. */
    ssize_t (*read)(struct stream *s, void *p, size_t n);
    /* more: something follows at once. */
    ssize_t (*writev)(struct stream *s, const struct iovec *iov, int n, bool more);
    /* NULL, or -AIS_E_UNSUPP for this connection: files go through memory. 0 = the file ended. */
    ssize_t (*sendfile)(struct stream *s, int fd, uint64_t off, size_t len);
    bool short_is_full; /* a short count of sendfile means that the socket is full, almost always */
    /* Throw away what came. 0 = end or broken; STREAM_WANT_READ: it may go on. */
    ssize_t (*discard)(struct stream *s);
    enum stream_peer (*peer)(struct stream *s);
    void (*shutdown)(struct stream *s); /* end our side */
    void (*close)(struct stream *s);    /* NULL loop: the loops have ended, only memory and descriptors are left to free */
};

struct stream {
    const struct stream_ops *ops; /* NULL when closed */
    struct iowatch           w;
    struct loop             *loop;
    int                      fd; /* -1 for memory transports */
    void                    *priv;     /* of the transport: SSL, a pipe */
    bool                     readable; /* an edge came since the last read that drained it */
    bool                     hup;      /* the peer ended its side, or the connection broke */
    bool                     cut;      /* the next close resets */
    bool                     broken;   /* by stream_break */
    bool                     r_on_write, w_on_read; /* what the reader, the writer waits for is the other direction (TLS) */
    int                      told;     /* what the next read that would wait returns instead, once; 0 = nothing */
    uint64_t                 sent;     /* bytes that the transport took */
    size_t                   burst;    /* bytes moved since the fiber last let others run */
    struct park             *rpark, *wpark;
    /* Called on every event after the waiters were woken: idle connections, cancellation. May be NULL. Must not park. */
    void (*event)(struct stream *s, unsigned what);
};

/* Take over a connected non-blocking socket. 0, or an error (then fd stays the caller's). Does not park. */
int  stream_open(struct stream *s, struct loop *l, int fd, void (*event)(struct stream *, unsigned));
int  stream_connect(struct stream *s, struct loop *l, const struct sockaddr *to, socklen_t n, int64_t deadline);
void stream_close(struct stream *s); /* fine when closed already; does not park */
void stream_cut(struct stream *s);   /* let the next close reset the connection: the peer sees an error, never an end */
/* Reads and writes end with -AIS_E_CLOSED, those that wait and all later ones; the close resets. Does not park. */
void stream_break(struct stream *s);
/* The next read that would wait returns code (negative) instead, once. Does not park. */
void stream_tell(struct stream *s, int code);
/* After run_stop: free what the stream holds. */
void stream_forget(struct stream *s);
/* For transports: IOW_* happened. On the loop, not on a fiber. */
void stream_happened(struct stream *s, unsigned what);

/* Bytes (> 0), 0 at the end, -AIS_E_CLOSED, -AIS_E_TIMEOUT, -AIS_E_CANCELED. */
ssize_t stream_recv(struct stream *s, void *p, size_t n, int64_t deadline);
/* The same without waiting: STREAM_WANT_READ when there is nothing. Costs no system call when no edge came. */
ssize_t stream_recv_now(struct stream *s, void *p, size_t n);
/* All of it or an error. iov is changed. more: something follows at once. stall_ns: longest time without progress. */
int     stream_send(struct stream *s, struct iovec *iov, int n, bool more, int64_t stall_ns);
/* A range of a file. -AIS_E_IO when the file is shorter. prefetched: stream_prefetch was just called for it. */
int     stream_sendfile(struct stream *s, int fd, uint64_t off, uint64_t len, bool prefetched, int64_t stall_ns);
/* Bring the first window of a range into the page cache: errors show before anything is sent. */
int     stream_prefetch(int fd, uint64_t off, uint64_t len);

/* TLS over an open stream (stream_tls.c): attach, then shake hands. */
int         stream_tls_accept(struct stream *s, struct tls_ctx *t);
int         stream_tls_connect(struct stream *s, struct tls_ctx *t, const char *host);
int         stream_tls_handshake(struct stream *s, int64_t deadline);
bool        stream_is_tls(const struct stream *s);
const char *stream_tls_peer(const struct stream *s); /* subject of the verified certificate, or NULL */

/* Private to the transports. */
extern const struct stream_ops stream_plain_ops;
enum stream_side { STREAM_READER, STREAM_WRITER };
int stream_wait(struct stream *s, enum stream_side who, ssize_t want, int64_t deadline); /* want: STREAM_WANT_* */

#endif
