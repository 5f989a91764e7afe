/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 server on the loops: listeners, requests, responses, routes.
 *
 * An idle connection costs a small struct and no fiber. When bytes arrive the loop takes a fiber and buffers from its pools, reads
 * the head, finds the route and runs the handler as straight-line code; the same fiber goes on with what is pipelined behind, and
 * is given back when the connection is idle again. Bodies are pulled: nobody reads faster than the handler asks.
 *
 * Runs on: the loop that accepted the connection. Everything that takes a struct req may park unless it says otherwise.
 * Wire: native-api.md 1.1, 1.2, 2.6; RFC 9112.
 */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/err.h"
#include "codec/http1.h"
#include "run/run.h"

struct conn;
struct req;
struct tls_ctx;
struct http_server;

typedef void handler_f(struct req *r);

/*
 * A row of a route table. Patterns: literal items, ":name" for one item, "*name" for the rest, slashes included (the star must
 * be last and matches at least one byte: the rows for a bucket and for an object in it are two). Paths are percent-decoded
 * once, then split at '/', leading slashes and empty items before the "*" dropped. Captures are r->item[0..]. The first row
 * whose pattern and method match wins. Otherwise, the literal items that a pattern starts with (at most two) being its resource:
 * a method that no row of the path's resource has is 405 with Allow (plain text), OPTIONS is 200 with Allow; everything else, too few
 * or too many items among it, goes to conf->not_found.
 */
struct route {
    enum method method;
    const char *pattern;
    handler_f  *fn;
    unsigned    flags; /* R_*, and bits of the upper layers from R_USER up */
};
#define R_STREAM 1u        /* the handler reads the body itself; without it the body is read first, at most max_body, into r->body */
#define R_QUICK  2u        /* the handler answers from memory and waits for nothing: answers to pipelined requests may leave together */
#define R_USER   (1u << 8) /* first bit free for upper layers */

#define REQ_MAX_ITEMS 4

struct req {
    unsigned magic;
#define REQ_MAGIC 0x4e9e57aau
    struct conn        *conn;
    struct http_server *srv;
    struct arena       *arena;  /* freed when the response is complete */
    void               *ctx;    /* conf->ctx: the node */
    const struct route *route;
    struct http1_head  *head;   /* valid while the request is */
    enum method         method;
    struct str          path_raw, query_raw; /* as sent */
    struct str          path;                /* decoded */
    struct str          item[REQ_MAX_ITEMS]; /* captures, decoded */
    unsigned            nitems;
    struct str          body;                /* whole body, unless R_STREAM */
    uint64_t            id;                  /* unique in the process */
    int64_t             start;               /* clock_mono at the first byte */
    void               *user;                /* upper layers: e.g. the caller's identity, metadata snapshots */
    struct {
        int      status;
        bool     started, finished, failed; /* failed: the client is gone or the response broke; the connection will close */
        bool     chunked;
        int64_t  left;    /* body bytes still to be sent; -1 chunked */
        uint64_t sent;    /* body bytes given to the socket */
        struct sbuf *hdrs;
    } resp;
};

struct http_conf {
    const char         *name;   /* for logs and dumps: "public", "control" */
    const struct route *routes; /* borrowed */
    unsigned            nroutes;
    void               *ctx;
    struct tls_ctx     *tls;        /* NULL = plain; borrowed */
    uint32_t            max_head;   /* bytes of a request head; 0 = 64 KiB (431 beyond, 414 for the request line) */
    uint64_t            max_body;   /* of a body read whole, i.e. without R_STREAM; 0 = 16 MiB (413 beyond) */
    int64_t             head_ns;    /* from the first byte of a head to its end; 0 = 16 s (408, close) */
    int64_t             idle_ns;    /* keep-alive; 0 = 30 s */
    int64_t             stall_ns;   /* a body that moves no byte, either direction; 0 = 60 s. A request body must also come at
                                     * 256 B/s in the long run. Then 408 and close, or a cut */
    unsigned            max_conns;  /* per loop; 0 = 32768. Beyond it new connections get 503 with Retry-After and close */
    unsigned            max_active; /* requests in flight per loop; 0 = 8192. Beyond it 503 with Retry-After */
    /* Before routing's handler, after the route was found; negative = refused: the error is rendered and the handler not run. May park. */
    int (*admit)(struct req *r, struct err *e);
    /* After the response (or its failure): counters, access log. Must not park. */
    void (*done)(struct req *r);
    /* Render an error; default: plain text. Called by resp_err. */
    void (*render_err)(struct req *r, int rc, struct err *e);
    handler_f *not_found; /* default: 404 plain text */
    /* Connection closed: free what the upper layer hung on it. Must not park. */
    void (*conn_closed)(void *conn_user);
};

/* Listen on addr ("0.0.0.0", "::", "127.0.0.1"): one SO_REUSEPORT socket per loop. port 0 picks one (http_server_port). After
 * run_start. May block. */
int      http_listen(struct run *run, const char *addr, uint16_t port, const struct http_conf *c, struct http_server **out,
                     struct err *e);
uint16_t http_server_port(const struct http_server *s);
/* Stop accepting and close idle connections; requests in flight go on and are answered with "Connection: close". Any thread. */
void     http_server_drain(struct http_server *s);
unsigned http_server_conns(const struct http_server *s); /* open connections; any thread */
/* After run_stop. */
void     http_server_free(struct http_server *s);

/* --- request --- */
struct str req_hdr(const struct req *r, struct str name); /* {NULL,0} when absent. Does not park */
/* Query parameter, decoded ('+' and %XX) into the arena; false when absent. Malformed escapes stay as they are. Does not park. */
bool       req_query(struct req *r, struct str key, struct str *val);
bool       req_query_bool(struct req *r, struct str key);
/* R_STREAM: bytes of the body; 0 = end. -AIS_E_CLOSED (client gone before the end), -AIS_E_TIMEOUT, -AIS_E_BADHTTP (bad chunk).
 * The first call answers "Expect: 100-continue". */
ssize_t    req_read(struct req *r, void *p, size_t n);
/* Borrow the next bytes without copying: *p stays valid until the next req_ call on r. 0 = end. */
ssize_t    req_peek(struct req *r, const void **p);
void       req_consume(struct req *r, size_t n);
/* Content-Length, or -1 when chunked. */
int64_t    req_content_length(const struct req *r);
/* Peer's address "1.2.3.4:5678" ([v6]:port), into the arena. */
struct str req_remote(struct req *r);
bool       req_is_loopback(const struct req *r);
/* A pointer of the upper layer that lives with the connection (authenticated peer). */
void      *conn_user(const struct conn *c);
void       conn_set_user(struct conn *c, void *p);
const struct http_conf *conn_conf(const struct conn *c);
/* Subject of the verified client certificate; NULL without mTLS. */
const char *conn_tls_peer(const struct conn *c);

/* --- response: exactly one of the resp_* senders, or resp_start .. resp_end --- */
/* Headers, before the response starts. Values with CR, LF or NUL are refused (dropped with a warning counter). Do not park. */
void resp_hdr(struct req *r, const char *name, struct str value);
void resp_hdrf(struct req *r, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void resp_hdr_u64(struct req *r, const char *name, uint64_t v);
void resp_close(struct req *r); /* close the connection after this response */

/* Whole response from memory, one system call where the socket takes it. content_type NULL = none. For HEAD the body is counted,
 * not sent. */
void resp_send(struct req *r, int status, const char *content_type, struct str body);
void resp_empty(struct req *r, int status);
/* Render rc/e with conf->render_err. e may be NULL. After the response started: cut the connection instead. */
void resp_err(struct req *r, int rc, struct err *e);

/* Streaming. len: the exact body length, -1 = chunked (1.0 clients: to EOF). The head leaves with the first data. */
int  resp_start(struct req *r, int status, int64_t len);
int  resp_write(struct req *r, const void *p, size_t n); /* 0 or -AIS_E_CLOSED, -AIS_E_TIMEOUT, -AIS_E_CANCELED */
/* A range of a file. Small ranges (up to 16 KiB) are read into the same send as the head; larger ones go by sendfile, kTLS or
 * buffers; the loop never blocks on the disk. */
int  resp_file(struct req *r, int fd, uint64_t off, uint64_t len);
int  resp_end(struct req *r);
/* Give up in the middle: the connection is closed so that the client sees a cut, never a well-formed end. */
void resp_abort(struct req *r);

#endif
