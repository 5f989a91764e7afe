/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Responses: the head is built once, behind it goes a body from memory, from a file, or piece by piece.
 *
 * Runs on: the request's fiber.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"
#include "net/net_impl.h"
#include "run/disk.h"

static int64_t
stall_ns(const struct req *r)
{
    int64_t ns = r->srv->conf.stall_ns;

    return ns > 0 ? ns : SEC_NS(60);
}

static bool
bad_value(struct str v)
{
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] == '\r' || v.p[i] == '\n' || v.p[i] == '\0')
            return true;
    return false;
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

/* The whole head into x->out: status line, the caller's headers, and ours. len: body length, -1 = chunked, -2 = none at all. */
static void
build_head(struct req *r, int status, int64_t len)
{
    struct reqctx *x = rctx(r);
    struct sbuf   *o = &x->out;
    char          *p, num[72];
    size_t         n;

    sbuf_reset(o);
    if (status == 200)
        sbuf_puts(o, STR_LIT("HTTP/1.1 200 OK\r\n"));
    else
        sbuf_printf(o, "HTTP/1.1 %d %s\r\n", status, http1_reason(status));
    sbuf_puts(o, sbuf_str(r->resp.hdrs));
    p = sbuf_reserve(o, 64);
    if (p != NULL)
        sbuf_added(o, http_date(p));
    if (len >= 0) {
        n = str_from_u64((uint64_t)len, 10, num);
        sbuf_puts(o, STR_LIT("Content-Length: "));
        sbuf_put(o, num, n);
        sbuf_puts(o, STR_LIT("\r\n"));
    } else if (len == -1 && r->head->minor >= 1) {
        sbuf_puts(o, STR_LIT("Transfer-Encoding: chunked\r\n"));
    }
    if (r->conn->close)
        sbuf_puts(o, STR_LIT("Connection: close\r\n"));
    else if (r->head->minor == 0)
        sbuf_puts(o, STR_LIT("Connection: keep-alive\r\n"));
    sbuf_puts(o, STR_LIT("\r\n"));
    r->resp.status = status;
    r->resp.started = true;
}

static bool
bodyless(const struct req *r, int status)
{
    return r->method == M_HEAD || status == 204 || status == 304 || (status >= 100 && status < 200);
}

/* Body bytes that nobody will read decide whether the connection can stay: say so in the head. */
static void
settle_connection(struct req *r)
{
    struct reqctx *x = rctx(r);

    if (x->body_done)
        return;
    if (x->continue_due || (!x->body_chunked && x->body_left > DRAIN_MAX))
        r->conn->close = true;
}

static int
failed(struct req *r, int rc)
{
    if (rc < 0)
        r->resp.failed = true;
    return rc;
}

void
resp_send(struct req *r, int status, const char *content_type, struct str body)
{
    struct reqctx *x = rctx(r);
    struct iovec   iov[2];
    bool           none = bodyless(r, status);

    CHECK(r, REQ_MAGIC);
    ASSERT(!r->resp.started);
    if (content_type != NULL)
        resp_hdr(r, "Content-Type", str_z(content_type));
    settle_connection(r);
    build_head(r, status, status == 204 || status == 304 || (none && body.n == 0) ? -2 : (int64_t)body.n);
    if (!sbuf_ok(&x->out)) {
        r->resp.failed = true;
        return;
    }
    iov[0] = (struct iovec){ x->out.p, x->out.n };
    iov[1] = (struct iovec){ (void *)(uintptr_t)body.p, none ? 0 : body.n };
    if (failed(r, stream_send(&r->conn->s, iov, 2, false, stall_ns(r))) < 0)
        return;
    r->resp.sent = none ? 0 : body.n;
    r->resp.finished = true;
}

void
resp_empty(struct req *r, int status)
{
    resp_send(r, status, NULL, STR_LIT(""));
}

static void
render_plain(struct req *r, int rc, struct err *e)
{
    int         status = e != NULL && e->code != 0 ? e->status : err_http(rc);
    const char *text = e != NULL && e->code != 0 ? e->text : err_text(rc);

    resp_send(r, status, "text/plain; charset=utf-8", arena_printf(r->arena, "%s\n", text));
}

void
resp_err(struct req *r, int rc, struct err *e)
{
    struct err mine = { .code = 0 };

    CHECK(r, REQ_MAGIC);
    if (r->resp.started) {
        resp_abort(r);
        return;
    }
    if (rc == -AIS_E_CLOSED || rc == -AIS_E_CANCELED) {
        /* the client is gone: nobody to tell */
        if (r->conn->s.hup) {
            resp_abort(r);
            return;
        }
        rc = -AIS_E_BADREQ;
        if (e != NULL && e->code != 0)
            e->status = 400;
    }
    if (e == NULL)
        e = &mine;
    err_fill(e, rc);
    if (r->srv->conf.render_err != NULL)
        r->srv->conf.render_err(r, rc, e);
    else
        render_plain(r, rc, e);
}

int
resp_start(struct req *r, int status, int64_t len)
{
    CHECK(r, REQ_MAGIC);
    ASSERT(!r->resp.started);
    if (len < 0 && r->head->minor == 0)
        r->conn->close = true; /* 1.0: the body ends with the connection */
    settle_connection(r);
    build_head(r, status, status == 204 || status == 304 ? -2 : len < 0 ? -1 : len);
    r->resp.left = bodyless(r, status) ? 0 : len;
    r->resp.chunked = len < 0 && r->head->minor >= 1 && !bodyless(r, status);
    return sbuf_ok(&rctx(r)->out) ? 0 : failed(r, -AIS_E_TOOBIG);
}

/* The head, if it still waits in x->out, and n more pieces. */
static int
send_with_head(struct req *r, struct iovec *more, int n, bool follows)
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
    rc = stream_send(&r->conn->s, iov, k, follows, stall_ns(r));
    sbuf_reset(&x->out);
    return failed(r, rc);
}

int
resp_write(struct req *r, const void *p, size_t n)
{
    char         head[20];
    struct iovec iov[3];
    int          k = 0, rc;

    CHECK(r, REQ_MAGIC);
    ASSERT(r->resp.started && !r->resp.finished);
    if (r->resp.failed)
        return -AIS_E_CLOSED;
    if (n == 0 || bodyless(r, r->resp.status))
        return 0;
    if (r->resp.left >= 0) {
        ASSERT_CMP((int64_t)n, <=, r->resp.left, PRId64);
        r->resp.left -= (int64_t)n;
    }
    if (r->resp.chunked)
        iov[k++] = (struct iovec){ head, http1_chunk_head(n, head) };
    iov[k++] = (struct iovec){ (void *)(uintptr_t)p, n };
    if (r->resp.chunked)
        iov[k++] = (struct iovec){ (void *)(uintptr_t) "\r\n", 2 };
    rc = send_with_head(r, iov, k, r->resp.left > 0);
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
        return failed(r, -AIS_E_NOMEM);
    k = disk_pread(fd, p, len, off);
    if (k < 0 || (size_t)k != len)
        return failed(r, k < 0 ? (int)k : -AIS_E_IO);
    sbuf_added(&x->out, len);
    return send_with_head(r, NULL, 0, r->resp.left > 0);
}

int
resp_file(struct req *r, int fd, uint64_t off, uint64_t len)
{
    char         head[20];
    struct iovec iov;
    int          rc;

    CHECK(r, REQ_MAGIC);
    ASSERT(r->resp.started && !r->resp.finished);
    if (r->resp.failed)
        return -AIS_E_CLOSED;
    if (len == 0 || bodyless(r, r->resp.status))
        return 0;
    if (r->resp.left >= 0) {
        ASSERT_CMP((int64_t)len, <=, r->resp.left, PRId64);
        r->resp.left -= (int64_t)len;
    }
    if (!r->resp.chunked && len <= SMALL_FILE) {
        rc = small_file(r, fd, off, (size_t)len);
    } else {
        iov = (struct iovec){ head, r->resp.chunked ? http1_chunk_head(len, head) : 0 };
        rc = send_with_head(r, &iov, iov.iov_len > 0, true);
        if (rc == 0)
            rc = failed(r, stream_sendfile(&r->conn->s, fd, off, len, stall_ns(r)));
        if (rc == 0 && r->resp.chunked) {
            iov = (struct iovec){ (void *)(uintptr_t) "\r\n", 2 };
            rc = failed(r, stream_send(&r->conn->s, &iov, 1, false, stall_ns(r)));
        }
    }
    if (rc == 0)
        r->resp.sent += len;
    return rc;
}

int
resp_end(struct req *r)
{
    struct iovec iov = { (void *)(uintptr_t) "0\r\n\r\n", r->resp.chunked ? 5 : 0 };
    int          rc;

    CHECK(r, REQ_MAGIC);
    ASSERT(r->resp.started && !r->resp.finished);
    if (r->resp.failed)
        return -AIS_E_CLOSED;
    if (r->resp.left > 0)
        ais_bug("response ended %" PRId64 " bytes early", r->resp.left);
    rc = send_with_head(r, &iov, iov.iov_len > 0, false);
    if (rc == 0)
        r->resp.finished = true;
    return rc;
}

void
resp_abort(struct req *r)
{
    r->resp.started = true;
    r->resp.failed = true;
}

/* --- who calls --- */

struct str
req_remote(struct req *r)
{
    const struct sockaddr_storage *ss = &r->conn->remote;
    char                           ip[INET6_ADDRSTRLEN] = "?";

    if (ss->ss_family == AF_INET6) {
        const struct sockaddr_in6 *s6 = (const struct sockaddr_in6 *)ss;

        if (IN6_IS_ADDR_V4MAPPED(&s6->sin6_addr)) {
            inet_ntop(AF_INET, &s6->sin6_addr.s6_addr[12], ip, sizeof(ip));
            return arena_printf(r->arena, "%s:%u", ip, ntohs(s6->sin6_port));
        }
        inet_ntop(AF_INET6, &s6->sin6_addr, ip, sizeof(ip));
        return arena_printf(r->arena, "[%s]:%u", ip, ntohs(s6->sin6_port));
    }
    if (ss->ss_family == AF_INET) {
        const struct sockaddr_in *s4 = (const struct sockaddr_in *)ss;

        inet_ntop(AF_INET, &s4->sin_addr, ip, sizeof(ip));
        return arena_printf(r->arena, "%s:%u", ip, ntohs(s4->sin_port));
    }
    return STR_LIT("local");
}

bool
req_is_loopback(const struct req *r)
{
    const struct sockaddr_storage *ss = &r->conn->remote;

    if (ss->ss_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)ss)->sin_addr.s_addr) >> 24) == 127;
    if (ss->ss_family == AF_INET6) {
        const struct in6_addr *a = &((const struct sockaddr_in6 *)ss)->sin6_addr;

        return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
    }
    return ss->ss_family == AF_UNIX;
}
