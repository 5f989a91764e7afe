/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request bodies: pulled from the connection's buffer, announced or chunked, and what happens to the part a handler left.
 *
 * Runs on: the request's fiber.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/util.h"
#include "codec/url.h"
#include "net/net_impl.h"

static int64_t
stall_deadline(const struct req *r)
{
    int64_t ns = r->srv->conf.stall_ns;

    return deadline_in(clock_mono(), ns > 0 ? ns : SEC_NS(60));
}

void
body_begin(struct reqctx *x)
{
    x->body_chunked = x->head.body == HTTP1_CHUNKED;
    x->body_left = x->head.body == HTTP1_LENGTH ? x->head.content_length : 0;
    x->body_done = !x->body_chunked && x->body_left == 0;
    x->continue_due = x->head.expect_100 && !x->body_done;
    x->chunk = (struct http1_chunk){ .state = 0 };
    x->peeked = NULL;
    x->npeeked = 0;
}

int64_t
req_content_length(const struct req *r)
{
    return r->head->body == HTTP1_CHUNKED ? -1 : r->head->body == HTTP1_LENGTH ? (int64_t)r->head->content_length : 0;
}

static int
send_continue(struct req *r)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct iovec      iov = { (void *)(uintptr_t)text, sizeof(text) - 1 };

    rctx(r)->continue_due = false;
    return stream_send(&r->conn->s, &iov, 1, false, SEC_NS(10));
}

/* A large body is worth a large buffer. The head's strings point into the old one: it lives on until the request ends. */
static void
want_big_buffer(struct req *r)
{
    struct conn   *c = r->conn;
    struct reqctx *x = rctx(r);
    char          *b;

    if (c->len > 0 || c->cap >= BODY_BUF || (!x->body_chunked && x->body_left < 2 * HEAD_BUF) || x->old_buf != NULL)
        return;
    b = buf_take(BODY_BUF);
    if (b == NULL)
        return;
    x->old_buf = c->buf;
    x->old_cap = c->cap;
    c->buf = b;
    c->cap = BODY_BUF;
    c->off = 0;
}

/* Make sure that there is room behind the unread bytes without moving the head's strings. */
static int
fill(struct req *r)
{
    struct conn   *c = r->conn;
    struct reqctx *x = rctx(r);
    ssize_t        k;
    int            rc;

    if (x->continue_due && c->len == 0) {
        rc = send_continue(r);
        if (rc < 0)
            return rc;
    }
    x->continue_due = false;
    if (x->old_buf == NULL) {
        want_big_buffer(r);
        if (x->old_buf == NULL && c->len == 0 && c->off < x->head_end)
            c->off = x->head_end;
    }
    if (c->len == 0)
        c->off = x->old_buf != NULL ? 0 : x->head_end;
    if (c->off + c->len == c->cap) {
        size_t base = x->old_buf != NULL ? 0 : x->head_end;

        if (c->off == base) {
            char *b = buf_take(BODY_BUF); /* the head fills the buffer */

            if (b == NULL || x->old_buf != NULL)
                return -AIS_E_NOMEM;
            memcpy(b, c->buf + c->off, c->len);
            x->old_buf = c->buf;
            x->old_cap = c->cap;
            c->buf = b;
            c->cap = BODY_BUF;
            c->off = 0;
        } else {
            memmove(c->buf + base, c->buf + c->off, c->len);
            c->off = base;
        }
    }
    k = stream_recv(&c->s, c->buf + c->off + c->len, c->cap - c->off - c->len, stall_deadline(r));
    if (k < 0)
        return (int)k;
    if (k == 0)
        return -AIS_E_CLOSED;
    c->len += (size_t)k;
    return 0;
}

static ssize_t
peek_chunked(struct req *r)
{
    struct conn   *c = r->conn;
    struct reqctx *x = rctx(r);

    for (;;) {
        size_t used = 0, out = 0;
        int    rc;

        if (c->len > 0) {
            char *at = c->buf + c->off;

            rc = http1_chunk_decode(&x->chunk, at, c->len, &used, &out);
            if (rc < 0)
                return rc;
            c->off += used;
            c->len -= used;
            if (rc == 1)
                x->body_done = true;
            if (out > 0) {
                x->peeked = at;
                x->npeeked = out;
                return (ssize_t)out;
            }
            if (rc == 1)
                return 0;
        }
        rc = fill(r);
        if (rc < 0)
            return rc;
    }
}

ssize_t
req_peek(struct req *r, const void **p)
{
    struct conn   *c = r->conn;
    struct reqctx *x = rctx(r);
    int            rc;

    CHECK(r, REQ_MAGIC);
    if (x->npeeked > 0) {
        *p = x->peeked;
        return (ssize_t)x->npeeked;
    }
    if (x->body_done)
        return 0;
    if (x->body_chunked) {
        ssize_t n = peek_chunked(r);

        *p = x->peeked;
        return n;
    }
    if (c->len == 0) {
        rc = fill(r);
        if (rc < 0)
            return rc;
    }
    *p = c->buf + c->off;
    return (ssize_t)MIN((uint64_t)c->len, x->body_left);
}

void
req_consume(struct req *r, size_t n)
{
    struct conn   *c = r->conn;
    struct reqctx *x = rctx(r);

    if (x->body_chunked) {
        ASSERT_CMP(n, <=, x->npeeked, "zu");
        x->peeked += n;
        x->npeeked -= n;
        return;
    }
    ASSERT(n <= c->len && n <= x->body_left);
    c->off += n;
    c->len -= n;
    x->body_left -= n;
    if (x->body_left == 0)
        x->body_done = true;
}

ssize_t
req_read(struct req *r, void *p, size_t n)
{
    const void *at;
    ssize_t     k = req_peek(r, &at);

    if (k <= 0)
        return k;
    n = MIN(n, (size_t)k);
    memcpy(p, at, n);
    req_consume(r, n);
    return (ssize_t)n;
}

int
body_read_whole(struct req *r)
{
    struct reqctx *x = rctx(r);
    uint64_t       max = r->srv->conf.max_body > 0 ? r->srv->conf.max_body : 16 * MIB;
    size_t         cap, n = 0;
    char          *p, *bigger;

    if (x->body_done)
        return 0;
    if (!x->body_chunked && x->body_left > max)
        return -AIS_E_TOOBIG;
    cap = x->body_chunked ? 4096 : (size_t)x->body_left;
    p = arena_alloc(r->arena, cap);
    for (;;) {
        const void *at;
        ssize_t     k;

        if (p == NULL)
            return -AIS_E_TOOBIG;
        k = req_peek(r, &at);
        if (k < 0)
            return (int)k;
        if (k == 0)
            break;
        if (n + (size_t)k > max)
            return -AIS_E_TOOBIG;
        if (n + (size_t)k > cap) {
            cap = MAX(cap * 2, n + (size_t)k);
            bigger = arena_alloc(r->arena, cap);
            if (bigger != NULL)
                memcpy(bigger, p, n);
            p = bigger;
            continue;
        }
        memcpy(p + n, at, (size_t)k);
        req_consume(r, (size_t)k);
        n += (size_t)k;
    }
    r->body = str_from(p, n);
    return 0;
}

/* The client is still sending what nobody wants: let it see the answer before the connection goes. */
static void
linger(struct req *r)
{
    (void)shutdown(r->conn->s.fd, SHUT_WR);
    stream_discard(&r->conn->s, 64 * MIB, deadline_in(clock_mono(), SEC_NS(5)));
}

bool
body_finish(struct req *r)
{
    struct conn   *c = r->conn;
    struct reqctx *x = rctx(r);
    bool           ok = true;
    int64_t        until;

    x->npeeked = 0;
    if (!x->body_done && x->continue_due && c->len == 0) {
        ok = false; /* the client waits for a 100 that will not come: it may send the body or not, so start afresh */
    } else if (!x->body_done && (c->close || (!x->body_chunked && x->body_left > DRAIN_MAX))) {
        linger(r);
        ok = false;
    } else if (!x->body_done) {
        uint64_t left = DRAIN_MAX;

        until = fiber_set_deadline(deadline_in(clock_mono(), SEC_NS(2)));
        while (ok && !x->body_done) {
            const void *at;
            ssize_t     k = req_peek(r, &at);

            if (k < 0 || (uint64_t)k > left) {
                ok = false;
            } else {
                left -= (uint64_t)k;
                req_consume(r, (size_t)k);
            }
        }
        fiber_set_deadline(until);
        if (!ok)
            linger(r);
    }
    if (x->old_buf != NULL) {
        buf_give(x->old_buf, x->old_cap);
        x->old_buf = NULL;
    }
    if (ok && c->cap == BODY_BUF && c->len <= HEAD_BUF) { /* back to the small buffer between requests */
        char *b = buf_take(HEAD_BUF);

        if (b != NULL) {
            memcpy(b, c->buf + c->off, c->len);
            buf_give(c->buf, c->cap);
            c->buf = b;
            c->cap = HEAD_BUF;
            c->off = 0;
        }
    }
    return ok;
}

/* --- queries, headers, who calls --- */

struct str
req_hdr(const struct req *r, struct str name)
{
    return http1_hdr(r->head, name);
}

bool
req_query(struct req *r, struct str key, struct str *val)
{
    struct str rest = r->query_raw, k, v, dk;

    while (url_query_next(&rest, &k, &v)) {
        if (!str_eq(k, key)) {
            if (str_chr(k, '%') < 0 || url_decode_arena(r->arena, k, true, &dk) < 0 || !str_eq(dk, key))
                continue;
        }
        if (url_decode_arena(r->arena, v, true, val) < 0)
            *val = v;
        return true;
    }
    return false;
}

bool
req_query_bool(struct req *r, struct str key)
{
    struct str v;

    return req_query(r, key, &v) && str_query_bool(v);
}

void *
conn_user(const struct conn *c)
{
    return c->user;
}

void
conn_set_user(struct conn *c, void *p)
{
    c->user = p;
}

const struct http_conf *
conn_conf(const struct conn *c)
{
    return &c->srv->conf;
}
