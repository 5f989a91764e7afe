/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Responses: the head is built once, behind it goes a body from memory, from a file, or piece by piece.
 *
 * Runs on: the request's fiber.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/units.h"
#include "base/util.h"
#include "net/net_impl.h"
#include "run/disk.h"

size_t
http_date(char *out)
{
    static _Thread_local char    line[64];
    static _Thread_local size_t  n;
    static _Thread_local int64_t second;
    int64_t                      now = clock_real();

    if (now / NSEC_PER_SEC != second || n == 0) {
        char when[UNITS_MAX];

        time_http(now, when);
        n = (size_t)snprintf(line, sizeof(line), "Date: %s\r\n", when);
        ASSERT(n < sizeof(line));
        second = now / NSEC_PER_SEC;
    }
    memcpy(out, line, n);
    return n;
}

/* --- headers --- */

static bool
bad_value(struct str v)
{
    return v.n > 0 && (memchr(v.p, '\r', v.n) != NULL || memchr(v.p, '\n', v.n) != NULL || memchr(v.p, '\0', v.n) != NULL);
}

void
resp_hdr(struct req *r, const char *name, struct str value)
{
    struct sbuf *h = r->resp.hdrs;
    size_t       n = strlen(name);
    char        *p;

    CHECK(r, REQ_MAGIC);
    ASSERT(!r->resp.started);
    if (bad_value(value)) {
        log_warn("response header dropped: control bytes in its value", { "header", LZ(name) });
        return;
    }
    p = sbuf_reserve(h, n + value.n + 4);
    if (p == NULL)
        return;
    memcpy(p, name, n);
    memcpy(p + n, ": ", 2);
    if (value.n > 0)
        memcpy(p + n + 2, value.p, value.n);
    memcpy(p + n + 2 + value.n, "\r\n", 2);
    sbuf_added(h, n + value.n + 4);
}

void
resp_hdrf(struct req *r, const char *name, const char *fmt, ...)
{
    va_list    ap;
    struct str v;

    va_start(ap, fmt);
    v = arena_vprintf(r->arena, fmt, ap);
    va_end(ap);
    resp_hdr(r, name, v);
}

void
resp_hdr_u64(struct req *r, const char *name, uint64_t v)
{
    char   text[72];
    size_t n = str_from_u64(v, 10, text);

    resp_hdr(r, name, str_from(text, n));
}

void
resp_close(struct req *r)
{
    r->conn->close = true;
}

/* Say "close" when the connection will not be of use any more, and keep to it. */
static void
settle_connection(struct req *r)
{
    if (!body_settle(r) || atomic_load_explicit(&r->srv->draining, memory_order_relaxed))
        r->conn->close = true;
}

static char *
put(char *p, struct str s)
{
    return s.n > 0 ? mempcpy(p, s.p, s.n) : p;
}

static char *
put_status_line(char *p, int status)
{
    p = put(p, STR_LIT("HTTP/1.1 "));
    *p++ = (char)('0' + status / 100);
    *p++ = (char)('0' + status / 10 % 10);
    *p++ = (char)('0' + status % 10);
    *p++ = ' ';
    p = put(p, str_z(http1_reason(status)));
    return put(p, STR_LIT("\r\n"));
}

static char *
put_length(char *p, uint64_t len)
{
    p = put(p, STR_LIT("Content-Length: "));
    p += str_from_u64(len, 10, p);
    return put(p, STR_LIT("\r\n"));
}

#define OWN_HEAD 512 /* status line and our own headers, at most */

/*
 * The whole head into x->out, behind earlier answers that wait there: status line, the caller's headers, and ours. len: body length,
 * -1 = chunked, -2 = none at all.
 */
static void
build_head(struct req *r, int status, int64_t len)
{
    struct reqctx *x = rctx(r);
    struct sbuf   *o = &x->out;
    char          *head, *p;

    ASSERT(status >= 100 && status <= 999);
    settle_connection(r);
    r->resp.status = status;
    r->resp.started = true;
    o->n = x->held;
    head = p = sbuf_reserve(o, r->resp.hdrs->n + OWN_HEAD);
    if (p == NULL)
        return;
    p = put_status_line(p, status);
    p = put(p, sbuf_str(r->resp.hdrs));
    p += http_date(p);
    if (len >= 0)
        p = put_length(p, (uint64_t)len);
    else if (len == -1 && r->head->minor >= 1)
        p = put(p, STR_LIT("Transfer-Encoding: chunked\r\n"));
    if (r->conn->close)
        p = put(p, STR_LIT("Connection: close\r\n"));
    else if (r->head->minor == 0)
        p = put(p, STR_LIT("Connection: keep-alive\r\n"));
    p = put(p, STR_LIT("\r\n"));
    sbuf_added(o, (size_t)(p - head));
}

static bool
bodyless(const struct req *r, int status)
{
    return r->method == M_HEAD || status == 204 || status == 304 || (status >= 100 && status < 200);
}

/* The connection is broken, or the answer is: nothing more can be said on it. */
static int
broke(struct req *r, int rc)
{
    r->resp.failed = true;
    if (rc == -AIS_E_TIMEOUT) /* a client that takes nothing: do not keep megabytes in the kernel for it */
        rctx(r)->cut = true;
    return rc;
}

static bool
head_waits(struct req *r)
{
    return r->resp.started && !r->resp.failed && rctx(r)->out.n > rctx(r)->held;
}

/* What was to be sent is not there. As long as the head has not left, another answer can take its place (resp_err). */
static int
no_source(struct req *r, int rc)
{
    if (!head_waits(r))
        return broke(r, rc);
    rctx(r)->resp_error = rc;
    return rc;
}

static int
sendable(const struct req *r)
{
    CHECK(r, REQ_MAGIC);
    ASSERT(r->resp.started && !r->resp.finished);
    return r->resp.failed ? -AIS_E_CLOSED : rctx_const(r)->resp_error;
}

/* --- sending --- */

/* What waits in x->out, and n more pieces. */
static int
send_out(struct req *r, const struct iovec *more, int n, bool follows)
{
    struct reqctx *x = rctx(r);
    struct iovec   iov[5];
    int            k = 0, rc;

    if (x->out.n > 0)
        iov[k++] = (struct iovec){ x->out.p, x->out.n };
    for (int i = 0; i < n; i++)
        iov[k++] = more[i];
    if (k == 0)
        return 0;
    rc = stream_send(&r->conn->s, iov, k, follows, r->srv->conf.stall_ns);
    sbuf_reset(&x->out);
    x->held = 0;
    return rc < 0 ? broke(r, rc) : 0;
}

int
resp_flush(struct conn *c)
{
    struct reqctx *x = c->rc;
    struct iovec   iov = { x->out.p, x->held };
    int            rc;

    if (x->held == 0)
        return 0;
    rc = stream_send(&c->s, &iov, 1, false, c->srv->conf.stall_ns);
    x->out.n -= x->held; /* whatever came of it, it is not sent twice */
    memmove(x->out.p, x->out.p + x->held, x->out.n);
    x->held = 0;
    return rc;
}

/* May this answer wait for the next one? Only if that request is here already, and its handler does not wait for anything else. */
static bool
may_hold(const struct req *r)
{
    const struct reqctx *x = rctx_const(r);

    return r->route != NULL && (r->route->flags & R_QUICK) && r->conn->len > 0 && x->body_done && !r->conn->close &&
           x->out.n < HELD_MAX;
}

/* --- whole answers --- */

void
resp_send(struct req *r, int status, const char *content_type, struct str body)
{
    struct reqctx *x = rctx(r);
    struct iovec   iov;
    bool           none = bodyless(r, status);

    CHECK(r, REQ_MAGIC);
    ASSERT(!r->resp.started);
    if (content_type != NULL)
        resp_hdr(r, "Content-Type", str_z(content_type));
    build_head(r, status, status == 204 || status == 304 || (none && body.n == 0) ? -2 : (int64_t)body.n);
    if (none)
        body.n = 0;
    if (body.n <= SMALL_BODY)
        sbuf_puts(&x->out, body);
    if (!sbuf_ok(&x->out)) {
        broke(r, -AIS_E_TOOBIG);
        return;
    }
    iov = (struct iovec){ (void *)(uintptr_t)body.p, body.n };
    if (body.n <= SMALL_BODY && may_hold(r))
        x->held = x->out.n;
    else if (send_out(r, &iov, body.n > SMALL_BODY, false) < 0)
        return;
    r->resp.sent = body.n;
    r->resp.finished = true;
}

void
resp_empty(struct req *r, int status)
{
    resp_send(r, status, NULL, STR_LIT(""));
}

/* --- errors --- */

static void
render_plain(struct req *r, struct err *e)
{
    resp_send(r, e->status, "text/plain; charset=utf-8", arena_printf(r->arena, "%s\n", e->text));
}

/* Codes that mean one thing where they come up and another to the client. */
static int
code_for_client(struct req *r, int rc)
{
    bool from_client = rctx(r)->body_error == rc;

    switch (rc) {
    case -AIS_E_TIMEOUT:
        return from_client ? -AIS_E_REQTIMEOUT : rc;
    case -AIS_E_CLOSED:
        return -AIS_E_PEER; /* the client's own end never comes here: somebody else's did */
    case -AIS_E_CANCELED:
        return -AIS_E_UNAVAIL; /* not by the client: the node stops */
    default:
        return rc;
    }
}

static bool
client_gone(struct req *r, int rc)
{
    return r->conn->cancelled || (rc == -AIS_E_CLOSED && rctx(r)->body_error == rc);
}

void
resp_err(struct req *r, int rc, struct err *e)
{
    struct reqctx *x = rctx(r);
    struct err     mine = { .code = 0 };
    int            told;

    CHECK(r, REQ_MAGIC);
    if ((r->resp.started && !head_waits(r)) || client_gone(r, rc)) {
        resp_abort(r);
        return;
    }
    if (r->resp.started) { /* take the head back */
        r->resp.started = false;
        x->resp_error = 0;
        x->out.n = x->held;
        sbuf_reset(r->resp.hdrs);
    }
    if (e == NULL)
        e = &mine;
    told = code_for_client(r, rc);
    err_fill(e, told);
    if (told != rc)
        e->status = err_http(told);
    if (r->srv->conf.render_err != NULL)
        r->srv->conf.render_err(r, told, e);
    else
        render_plain(r, e);
}

/* --- answers piece by piece --- */

int
resp_start(struct req *r, int status, int64_t len)
{
    CHECK(r, REQ_MAGIC);
    ASSERT(!r->resp.started);
    if (len < 0 && r->head->minor == 0)
        r->conn->close = true; /* 1.0: the body ends with the connection */
    build_head(r, status, status == 204 || status == 304 ? -2 : len < 0 ? -1 : len);
    r->resp.left = bodyless(r, status) ? 0 : len;
    r->resp.chunked = len < 0 && r->head->minor >= 1 && !bodyless(r, status);
    return sbuf_ok(&rctx(r)->out) ? 0 : broke(r, -AIS_E_TOOBIG);
}

static void
count_down(struct req *r, uint64_t n)
{
    if (r->resp.left < 0)
        return;
    ASSERT_CMP(n, <=, (uint64_t)r->resp.left, PRIu64);
    r->resp.left -= (int64_t)n;
}

int
resp_write(struct req *r, const void *p, size_t n)
{
    char         head[20];
    struct iovec iov[3];
    int          k = 0, rc = sendable(r);

    if (rc < 0 || n == 0 || bodyless(r, r->resp.status))
        return rc;
    count_down(r, n);
    if (r->resp.chunked)
        iov[k++] = (struct iovec){ head, http1_chunk_head(n, head) };
    iov[k++] = (struct iovec){ (void *)(uintptr_t)p, n };
    if (r->resp.chunked)
        iov[k++] = (struct iovec){ (void *)(uintptr_t) "\r\n", 2 };
    rc = send_out(r, iov, k, false); /* not "more": who knows when the next piece comes */
    if (rc == 0)
        r->resp.sent += n;
    return rc;
}

/* Read a small range right behind the head, so that both leave with one system call. */
static int
small_file(struct req *r, int fd, uint64_t off, size_t len)
{
    struct reqctx *x = rctx(r);
    char          *p = sbuf_reserve(&x->out, len);
    ssize_t        k;

    if (p == NULL)
        return broke(r, -AIS_E_NOMEM);
    k = disk_pread(fd, p, len, off);
    if (k < 0 || (size_t)k != len)
        return no_source(r, k < 0 ? (int)k : -AIS_E_IO);
    sbuf_added(&x->out, len);
    return send_out(r, NULL, 0, r->resp.left > 0);
}

static int
large_file(struct req *r, int fd, uint64_t off, uint64_t len)
{
    char         head[20];
    struct iovec iov = { head, r->resp.chunked ? http1_chunk_head(len, head) : 0 };
    int          rc = stream_prefetch(fd, off, len);

    if (rc < 0)
        return no_source(r, rc);
    rc = send_out(r, &iov, iov.iov_len > 0, true);
    if (rc < 0)
        return rc;
    rc = stream_sendfile(&r->conn->s, fd, off, len, true, r->srv->conf.stall_ns);
    if (rc < 0)
        return broke(r, rc);
    iov = (struct iovec){ (void *)(uintptr_t) "\r\n", 2 };
    return r->resp.chunked ? send_out(r, &iov, 1, false) : 0;
}

int
resp_file(struct req *r, int fd, uint64_t off, uint64_t len)
{
    int rc = sendable(r);

    if (rc < 0 || len == 0 || bodyless(r, r->resp.status))
        return rc;
    count_down(r, len);
    if (!r->resp.chunked && len <= SMALL_FILE)
        rc = small_file(r, fd, off, (size_t)len);
    else
        rc = large_file(r, fd, off, len);
    if (rc == 0)
        r->resp.sent += len;
    return rc;
}

int
resp_end(struct req *r)
{
    struct iovec iov = { (void *)(uintptr_t) "0\r\n\r\n", r->resp.chunked ? 5 : 0 };
    int          rc = sendable(r);

    if (rc < 0)
        return rc;
    if (r->resp.left > 0)
        ais_bug("response ended %" PRId64 " bytes early", r->resp.left);
    rc = send_out(r, &iov, iov.iov_len > 0, false);
    if (rc == 0)
        r->resp.finished = true;
    return rc;
}

void
resp_abort(struct req *r)
{
    struct reqctx *x = rctx(r);

    if (r->resp.started && !r->resp.chunked && r->resp.left < 0)
        x->cut = true; /* this body ends with the connection: only a reset tells that it did not end */
    x->resp_error = 0;
    r->resp.started = true;
    r->resp.failed = true;
}
