/* SPDX-License-Identifier: Apache-2.0 */
/* Private to lib/net: connections and what a request is served with. */
#ifndef NET_IMPL_H
#define NET_IMPL_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "base/sbuf.h"
#include "net/http.h"
#include "net/stream.h"
#include "net/tls.h"

#define NET_SLOT_SERVER 0
#define NET_SLOT_CLIENT 1

#define HEAD_BUF  (16u << 10)  /* first size of a connection's input buffer */
#define BODY_BUF  (256u << 10) /* size while a large body comes in */
#define SMALL_FILE (32u << 10) /* ranges up to this are read into the same send as the head */
#define DRAIN_MAX (256u << 10) /* body bytes that a handler left and that are still read for the sake of the connection */

struct listener {
    struct iowatch      w;
    struct http_server *srv;
    int                 fd;
};

/* Everything a request needs while it is served; kept on a per-loop free list. */
struct reqctx {
    struct req          req;
    struct http1_head   head;
    struct sbuf         hdrs, out;
    struct http1_chunk  chunk;
    uint64_t            body_left;  /* bytes of the body not yet read; chunked: 1 until the end */
    bool                body_chunked, body_done, continue_due;
    char               *old_buf;    /* the buffer with the head, when the body moved to a larger one */
    size_t              old_cap, head_end; /* the head ends at buf[head_end] */
    char               *peeked;     /* decoded bytes of the current chunk piece in the input buffer */
    size_t              npeeked;
    SLIST_ENTRY(reqctx) link;
};

struct conn {
    unsigned magic;
#define CONN_MAGIC 0xc0bbec70u
    struct stream       s;
    struct http_server *srv;
    struct fiber       *fiber;  /* serving; NULL while idle */
    struct reqctx      *rc;
    char               *buf;    /* input, while a fiber serves */
    size_t              cap, off, len; /* unread bytes: buf[off .. off+len) */
    bool                close;  /* after this response */
    bool                cancelled;
    int64_t             idle_since;
    void               *user;
    struct sockaddr_storage remote;
    uint64_t            nreqs;
    TAILQ_ENTRY(conn)   link;   /* of the server's per-loop list, least recently used first */
};
TAILQ_HEAD(connq, conn);
#define TAILQ_FOREACH_SAFE_(v, head, field, tmp)                                                                       \
    for ((v) = TAILQ_FIRST(head); (v) != NULL && ((tmp) = TAILQ_NEXT(v, field), 1); (v) = (tmp))

struct per_loop {
    struct listener listener;
    struct connq    conns;
    struct timer    reaper;
    unsigned        nconns, nactive;
    struct http_server *srv;
    struct loop    *loop;
};

struct http_server {
    unsigned         magic;
#define HSRV_MAGIC 0x45e8f00du
    struct run      *run;
    struct http_conf conf;
    struct routes   *routes;
    uint16_t         port;
    struct per_loop *loops;
    _Atomic unsigned nconns;
    _Atomic int      draining;
};

/* routes */
struct routes;
struct routes      *routes_compile(const struct route *rows, unsigned n);
void                routes_free(struct routes *t);
/* The row, with captures in r->item; or NULL: *allowed then has a bit per method that the path would take. */
const struct route *routes_find(const struct routes *t, struct req *r, unsigned *allowed);

/* per-loop pools */
char          *buf_take(size_t size); /* HEAD_BUF or BODY_BUF */
void           buf_give(char *p, size_t size);
struct reqctx *reqctx_take(void);
void           reqctx_give(struct reqctx *c);

static inline struct reqctx *
rctx(struct req *r)
{
    return (struct reqctx *)(void *)((char *)r - offsetof(struct reqctx, req));
}

/* request bodies */
void body_begin(struct reqctx *c);
int  body_read_whole(struct req *r);
/* After the handler: true when the connection can serve another request. */
bool body_finish(struct req *r);

/* More input into c->buf behind what is there (room must exist); > 0, 0 at the end, or an error. */
ssize_t conn_fill(struct conn *c, int64_t deadline);
/* tls.c */
struct ssl_st *tls_accept_new(struct tls_ctx *t, int fd);
struct ssl_st *tls_connect_new(struct tls_ctx *t, int fd, const char *host);

uint64_t http_next_id(void);
size_t   http_date(char *out); /* "Date: ...\r\n", cached a second per thread */

#endif
