/* SPDX-License-Identifier: Apache-2.0 */
/* Private to lib/net: pools, connections and what a request is served with. */
#ifndef NET_IMPL_H
#define NET_IMPL_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/queue.h>

#include "base/sbuf.h"
#include "net/http.h"
#include "net/stream.h"
#include "net/tls.h"
#include "net/upgrade.h"

#define NET_SLOT_POOLS 0 /* loop_slot: buffers and request contexts of this loop */

#define HEAD_BUF   (16u << 10)  /* first size of a connection's input buffer */
#define COPY_BUF   (64u << 10)  /* files that go through memory */
#define BODY_BUF   (256u << 10) /* input buffer while a large body comes in; relays */
#define SMALL_FILE (16u << 10)  /* ranges up to this are read into the same send as the head; above, sendfile costs less (bench) */
#define SMALL_BODY (4u << 10)  /* bodies in memory up to this are copied behind the head */
#define HELD_MAX   (16u << 10) /* answers to pipelined requests that may wait for each other */
#define DRAIN_MAX  (256u << 10) /* body bytes that a handler left and that are still read for the sake of the connection */

/* Everything a request needs while it is served; kept on a per-loop free list. */
struct reqctx {
    struct req         req;
    struct http1_head  head;
    struct sbuf        hdrs, out;
    size_t             held;      /* this much of out is earlier answers of the connection: they leave together with the next */
    struct http1_chunk chunk;
    uint64_t           body_left; /* announced bytes of the body not yet consumed */
    bool               body_chunked, body_done, continue_due;
    uint64_t           body_came;   /* bytes read from the socket for it */
    int64_t            body_waited; /* ns spent waiting for them */
    int                body_error; /* what ended the body early: -AIS_E_*, or 0 */
    int                resp_error; /* what made the response fail before its head left, or 0 */
    bool               cut;        /* the response broke in a way that only a reset tells the client */
    char              *old_buf;    /* the buffer with the head, when the body moved to a larger one */
    size_t             old_cap, head_end; /* the head ends at buf[head_end] */
    char              *peeked;     /* decoded bytes of the current chunk piece in the input buffer */
    size_t             npeeked;
    SLIST_ENTRY(reqctx) link;
};

union peer_addr {
    struct sockaddr     sa;
    struct sockaddr_in  in;
    struct sockaddr_in6 in6;
};

enum conn_state {
    CONN_IDLE,   /* no fiber, no buffer */
    CONN_ACTIVE, /* a fiber reads a head or serves a request */
    CONN_LINGER, /* answered for the last time; what still comes is thrown away so that the answer is not */
    CONN_STATES
};

struct conn {
    unsigned magic;
#define CONN_MAGIC 0xc0bbec70u
    enum conn_state     state;
    struct stream       s;
    struct http_server *srv;
    struct per_loop    *home;
    struct fiber       *fiber; /* CONN_ACTIVE */
    struct reqctx      *rc;
    char               *buf;   /* input, while active */
    size_t              cap, off, len; /* unread bytes: buf[off .. off+len) */
    bool                close;         /* after this response */
    bool                handshake_due;
    bool                in_request;    /* a handler is at work: a client that goes away cancels it */
    bool                cancelled;
    struct raw         *raw;   /* the handler took the connection over; in its request's arena */
    int64_t             since; /* idle: when it became so; lingering: when the last byte came */
    int64_t             until; /* lingering: not beyond this */
    void               *user;
    union peer_addr     remote;
    TAILQ_ENTRY(conn)   link;  /* of home->conns[state] */
};
TAILQ_HEAD(connq, conn);

/* A server's share of one loop. Only that loop touches it. */
struct per_loop {
    struct http_server *srv;
    struct loop        *loop;
    struct iowatch      listener;
    int                 listen_fd;
    int                 spare_fd;  /* given up to accept and refuse when descriptors run out */
    struct connq        conns[CONN_STATES]; /* each by the time its connections came to it */
    unsigned            nconns, nactive;
    struct timer        reaper;
    struct timer        resume; /* armed while accepting is suspended for want of descriptors */
    int64_t             complained; /* of that */
};

struct http_server {
    unsigned         magic;
#define HSRV_MAGIC 0x45e8f00du
    struct run      *run;
    struct http_conf conf; /* with defaults filled in */
    struct routes   *routes;
    uint16_t         port;
    struct per_loop *loops;
    _Atomic unsigned nconns;
    _Atomic int      draining;
};

/* --- pool.c: per loop, bounded, trimmed when a loop has been quiet --- */
char          *buf_take(size_t size); /* HEAD_BUF, COPY_BUF, BODY_BUF; NULL when out of memory */
void           buf_give(char *p, size_t size);
struct reqctx *reqctx_take(void);
void           reqctx_give(struct reqctx *c);
void           net_pools_free(struct run *run); /* after run_stop; may be called again */

/* --- route.c --- */
struct routes      *routes_compile(const struct route *rows, unsigned n);
void                routes_free(struct routes *t);
/* The row, with captures in r->item; or NULL: *allowed then has a bit per method that the path would take. */
const struct route *routes_find(const struct routes *t, struct req *r, unsigned *allowed);

/* --- conn.c --- */
/* A new connection, over a stream that is open: c->s, c->remote and c->handshake_due are set. Does not park. */
void conn_begin(struct per_loop *h, struct conn *c);
/* The same for one that was answered already and only has to be got rid of politely. */
void conn_begin_lingering(struct per_loop *h, struct conn *c);
void conn_event(struct stream *s, unsigned what);
void conns_reap(struct timer *t);        /* of per_loop.reaper */
void conns_drain(struct per_loop *h);    /* idle ones close, those that were taken over are told */
void conns_forget(struct per_loop *h);   /* after run_stop */
extern const char conn_busy_text[];      /* a whole answer: 503 with Retry-After */

/* --- request.c --- */
enum request_end {
    REQUEST_NEXT,   /* answered; the next one may follow */
    REQUEST_LAST,   /* answered; the connection ends */
    REQUEST_BROKEN, /* the answer did not come to its end */
};
/* Serve the request whose head is in c->rc. */
enum request_end request_serve(struct conn *c);

/* --- body.c --- */
void body_begin(struct reqctx *c);
int  body_read_whole(struct req *r);
/* Will the connection be of use when the handler reads no further? */
bool body_keeps_connection(const struct reqctx *x);
/* The same, made sure of before the head says so: nobody knows how much of a chunked body comes, so it is read on, shortly. */
bool body_settle(struct req *r);
/* After the handler: true when the next request can follow in the stream. */
bool body_finish(struct req *r);

/* --- resp.c --- */
/* Send the answers that still wait (x->held). Parks. To be called before the connection waits for its client or a slow handler runs. */
int    resp_flush(struct conn *c);
size_t http_date(char *out); /* "Date: ...\r\n", cached a second per thread; at most 64 bytes */

/* --- upgrade.c --- */
/* A connection that left HTTP. Input that was read with the head is still in its buffer. */
struct raw {
    unsigned magic;
#define RAW_MAGIC 0x4a370f00u
    struct stream *s;
    char         **buf;  /* the connection's: unread bytes are buf[off .. off+len) */
    size_t        *off, *len;
    struct req    *r;    /* servers */
    struct hcall  *call; /* clients */
    bool           ended;
};
bool raw_reset(struct conn *c); /* the peer reset a connection that was taken over */
void raw_drain(struct conn *c);

/* --- tls.c --- */
struct ssl_st *tls_accept_new(struct tls_ctx *t, int fd);
struct ssl_st *tls_connect_new(struct tls_ctx *t, int fd, const char *host);

static inline struct reqctx *
rctx(struct req *r)
{
    return (struct reqctx *)(void *)((char *)r - offsetof(struct reqctx, req));
}

static inline const struct reqctx *
rctx_const(const struct req *r)
{
    return (const struct reqctx *)(const void *)((const char *)r - offsetof(struct reqctx, req));
}

#endif
