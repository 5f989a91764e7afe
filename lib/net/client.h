/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 client on the loops with pooled keep-alive connections: node to node, and whatever speaks plain HTTP.
 *
 * One pool per loop and destination. A call that finds its pooled connection dead before the first byte of an answer is repeated
 * once on a fresh one, when nothing of a streamed body was consumed. Names are resolved in the offload pool.
 *
 * Runs on: fibers. Everything here may park.
 */
#ifndef NET_CLIENT_H
#define NET_CLIENT_H

#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "codec/http1.h"
#include "codec/url.h"
#include "run/run.h"

struct hclient;
struct hcall;
struct tls_ctx;

struct hclient_conf {
    struct tls_ctx *tls;            /* for https destinations; borrowed */
    unsigned        max_idle;       /* idle connections kept per loop and destination; 0 = 32 */
    int64_t         idle_ns;        /* 0 = 20 s */
    int64_t         connect_ns;     /* 0 = 5 s */
    const char     *user_agent;     /* e.g. "Ais-Node" */
    /*
     * Runs once on every new connection before its first request: the node-to-node challenge. It may use hc_on(); a negative
     * return closes the connection and fails the call.
     */
    int (*on_connect)(void *ctx, struct hcall *raw, struct err *e);
    void *ctx;
};
int  hclient_new(struct run *run, const struct hclient_conf *c, struct hclient **out);
void hclient_free(struct hclient *hc); /* after run_stop */

struct hc_req {
    enum method method;
    struct str  base;    /* "http://host:port" (scheme, host, port of a url) */
    struct str  target;  /* "/path?query" */
    const struct hdr *hdrs;
    unsigned    nhdrs;
    struct str  body;    /* sent with the head */
    int64_t     length;  /* streamed body instead: its length, -1 = chunked; 0 = none (then body is used) */
    int64_t     timeout_ns; /* of the whole call in hc_call; of each stall in streaming calls; 0 = 10 s */
    void       *peer;    /* passed to on_connect through hc_peer(): who should answer */
};

struct hc_resp {
    int         status;
    struct str  body;   /* in the arena */
    struct http1_head *head; /* in the arena */
};

/* Whole exchange; the answer's body is read into the arena, at most max_body bytes (-AIS_E_TOOBIG beyond). Any HTTP status is a
 * success of the call. Errors: -AIS_E_PEER (cannot connect), -AIS_E_CLOSED, -AIS_E_TIMEOUT, -AIS_E_BADHTTP, -AIS_E_CANCELED. */
int hc_call(struct hclient *hc, const struct hc_req *q, struct arena *a, size_t max_body, struct hc_resp *out, struct err *e);

/* Streaming: open sends the head (and q->body). Then write.. end_body, then head, then read until 0, then close. */
int     hc_open(struct hclient *hc, const struct hc_req *q, struct hcall **out, struct err *e);
int     hc_write(struct hcall *c, const void *p, size_t n);
int     hc_file(struct hcall *c, int fd, uint64_t off, uint64_t len);
int     hc_end_body(struct hcall *c);
int     hc_head(struct hcall *c, const struct http1_head **h); /* valid until hc_close */
ssize_t hc_read(struct hcall *c, void *p, size_t n);           /* 0 = end */
void    hc_close(struct hcall *c); /* back to the pool when the exchange was complete, else closed */

/* For on_connect: one exchange on the raw connection. */
int   hc_on(struct hcall *raw, const struct hc_req *q, struct arena *a, size_t max_body, struct hc_resp *out, struct err *e);
void *hc_peer(struct hcall *raw);
/* For relays: copy a response through. Streams status, end-to-end headers and body of c to r. */
struct req;
int   hc_relay(struct hcall *c, struct req *r);

#endif
