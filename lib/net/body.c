/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request bodies: pulled from the connection's buffer, announced or chunked, and what happens to the part a handler left.
 *
 * While a request is served its head stays where it was parsed, because the strings of req->head point into it; the body is read
 * behind it, or, when it is a large one, into a buffer of its own.
 *
 * Runs on: the request's fiber.
 */
#include <string.h>

#include "base/assert.h"
#include "base/util.h"
#include "net/net_impl.h"

#define CONTINUE_STALL SEC_NS(10)
#define SLOWEST        256       /* bytes a second: a client that sends less in the long run holds a fiber on purpose */
#define AHEAD_NS       MSEC_NS(50) /* the same, before the answer */
#define DRAIN_NS       SEC_NS(2) /* longest time spent on a body that nobody wants before the connection is given up */

void
body_begin(struct reqctx *x)
{
    x->body_chunked = x->head.body == HTTP1_CHUNKED;
    x->body_left = x->head.body == HTTP1_LENGTH ? x->head.content_length : 0;
    x->body_done = !x->body_chunked && x->body_left == 0;
    x->continue_due = x->head.expect_100 && !x->body_done;
    x->body_error = 0;
    x->body_came = 0;
    x->body_waited = 0;
    x->chunk = (struct http1_chunk){ .state = 0 };
    x->peeked = NULL;
    x->npeeked = 0;
    x->old_buf = NULL;
}

bool
body_keeps_connection(const struct reqctx *x)
{
    if (x->body_done)
        return true;
    if (x->body_error < 0 || (x->continue_due && x->req.conn->len == 0))
        return false; /* a client that waits for a 100 may send the body or not: nobody knows what comes next */
    return x->body_chunked || x->body_left <= DRAIN_MAX;
}

/* --- the input buffer --- */

static int
send_continue(struct conn *c)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct iovec      iov = { (void *)(uintptr_t)text, sizeof(text) - 1 };

    return stream_send(&c->s, &iov, 1, false, CONTINUE_STALL);
}

/* Where input may begin: behind the head, unless the head stayed in the buffer before. */
static size_t
input_base(const struct reqctx *x)
{
    return x->old_buf != NULL ? 0 : x->head_end;
}

static int
move_to_body_buffer(struct conn *c, struct reqctx *x)
{
    char *b = buf_take(BODY_BUF);

    if (b == NULL)
        return -AIS_E_NOMEM;
    ASSERT(x->old_buf == NULL && c->len <= BODY_BUF);
    memcpy(b, c->buf + c->off, c->len);
    x->old_buf = c->buf;
    x->old_cap = c->cap;
    c->buf = b;
    c->cap = BODY_BUF;
    c->off = 0;
    return 0;
}

/* Room behind the unread bytes. */
static int
make_room(struct conn *c, struct reqctx *x)
{
    bool large = x->body_chunked || x->body_left >= 2 * HEAD_BUF;

    if (x->old_buf == NULL && c->len == 0 && large && c->cap < BODY_BUF && move_to_body_buffer(c, x) == 0)
        return 0;
    if (c->len == 0)
        c->off = input_base(x);
    if (c->off + c->len < c->cap)
        return 0;
    if (c->off == input_base(x)) /* the head fills the buffer */
        return x->old_buf == NULL ? move_to_body_buffer(c, x) : -AIS_E_TOOBIG;
    memmove(c->buf + input_base(x), c->buf + c->off, c->len);
    c->off = input_base(x);
    return 0;
}

/* How long the client may take for the next bytes: stall_ns, unless it used up what its bytes so far are worth. */
static int64_t
patience(const struct req *r, const struct reqctx *x)
{
    int64_t stall = r->srv->conf.stall_ns;
    int64_t earned = (int64_t)(MIN(x->body_came, (uint64_t)GIB) * (uint64_t)NSEC_PER_SEC / SLOWEST);

    return MIN(stall, stall + earned - x->body_waited);
}

static int
fill(struct req *r)
{
    struct conn   *c = r->conn;
    struct reqctx *x = rctx(r);
    int64_t        t0;
    ssize_t        k;
    int            rc = resp_flush(c);

    if (rc == 0 && x->continue_due && c->len == 0)
        rc = send_continue(c);
    x->continue_due = false;
    if (rc == 0)
        rc = make_room(c, x);
    if (rc < 0)
        return rc;
    t0 = clock_mono();
    k = stream_recv(&c->s, c->buf + c->off + c->len, c->cap - c->off - c->len, deadline_in(t0, patience(r, x)));
    if (k <= 0)
        return k < 0 ? (int)k : -AIS_E_CLOSED;
    x->body_waited += clock_mono() - t0;
    x->body_came += (uint64_t)k;
    c->len += (size_t)k;
    return 0;
}

/* --- reading --- */

/* Decode until there are body bytes, the body ended, or an error. */
static int
next_chunk_piece(struct req *r)
{
    struct conn   *c = r->conn;
    struct reqctx *x = rctx(r);

    while (x->npeeked == 0 && !x->body_done) {
        size_t used = 0;
        int    rc = c->len == 0 ? fill(r) : 0;

        if (rc < 0)
            return rc;
        x->peeked = c->buf + c->off;
        rc = http1_chunk_decode(&x->chunk, x->peeked, c->len, &used, &x->npeeked);
        if (rc < 0)
            return rc;
        c->off += used;
        c->len -= used;
        x->body_done = rc == 1;
        if (used == 0 && rc == 0) {
            rc = fill(r);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

ssize_t
req_peek(struct req *r, const void **p)
{
    struct conn   *c = r->conn;
    struct reqctx *x = rctx(r);
    int            rc = 0;

    CHECK(r, REQ_MAGIC);
    if (x->body_error < 0)
        return x->body_error;
    if (x->body_chunked)
        rc = next_chunk_piece(r);
    else if (c->len == 0 && !x->body_done)
        rc = fill(r);
    if (rc < 0) {
        x->body_error = rc;
        return rc;
    }
    *p = x->body_chunked ? x->peeked : c->buf + c->off;
    return x->body_chunked ? (ssize_t)x->npeeked : (ssize_t)MIN((uint64_t)c->len, x->body_left);
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
    x->body_done = x->body_left == 0;
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
    uint64_t       max = r->srv->conf.max_body;
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

/* --- afterwards --- */

/* Read on for the sake of the connection; false when that takes too much or too long. */
static bool
drain(struct req *r, int64_t ns)
{
    int64_t  old = fiber_set_deadline(deadline_in(clock_mono(), ns));
    uint64_t left = DRAIN_MAX;
    ssize_t  k;

    do {
        const void *at;

        k = req_peek(r, &at);
        if (k > 0 && (uint64_t)k > left)
            k = -AIS_E_TOOBIG;
        if (k > 0) {
            left -= (uint64_t)k;
            req_consume(r, (size_t)k);
        }
    } while (k > 0);
    fiber_set_deadline(old);
    return k == 0;
}

bool
body_settle(struct req *r)
{
    struct reqctx *x = rctx(r);

    if (!body_keeps_connection(x))
        return false;
    return x->body_done || !x->body_chunked || drain(r, AHEAD_NS);
}

/* Between requests a connection has the small buffer, unless what is pipelined behind does not fit. */
static void
back_to_head_buffer(struct conn *c)
{
    char *b;

    if (c->cap != BODY_BUF || c->len > HEAD_BUF)
        return;
    b = buf_take(HEAD_BUF);
    if (b == NULL)
        return;
    memcpy(b, c->buf + c->off, c->len);
    buf_give(c->buf, c->cap);
    c->buf = b;
    c->cap = HEAD_BUF;
    c->off = 0;
}

bool
body_finish(struct req *r)
{
    struct conn   *c = r->conn;
    struct reqctx *x = rctx(r);
    bool           ok = x->body_done || (!c->close && !r->resp.failed && body_keeps_connection(x) && drain(r, DRAIN_NS));

    x->npeeked = 0;
    if (x->old_buf != NULL) {
        buf_give(x->old_buf, x->old_cap);
        x->old_buf = NULL;
    }
    if (ok)
        back_to_head_buffer(c);
    return ok;
}
