/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request on its connection's fiber: from the parsed head through its route to the handler, and what handlers ask about it.
 *
 * Runs on: the request's fiber.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"
#include "codec/url.h"
#include "net/net_impl.h"

static uint64_t
next_id(void)
{
    static _Atomic uint64_t       blocks;
    static _Thread_local uint64_t next, end;

    if (next == end) {
        next = atomic_fetch_add(&blocks, 1) << 16;
        end = next + (1u << 16);
        next += next == 0;
    }
    return next++;
}

static bool
split_target(struct req *r)
{
    struct str t = r->head->target;
    ptrdiff_t  q = str_chr(t, '?');

    r->path_raw = q < 0 ? t : str_from(t.p, (size_t)q);
    r->query_raw = q < 0 ? STR_NULL : str_from_off(t, (size_t)q + 1);
    if (url_decode_arena(r->arena, r->path_raw, false, &r->path) < 0)
        return false;
    return r->path.n == 0 || memchr(r->path.p, '\0', r->path.n) == NULL;
}

static void
allow_header(unsigned allowed, char *out, size_t n)
{
    size_t at = 0;

    out[0] = '\0';
    for (unsigned m = 0; m < M_OTHER; m++)
        if ((allowed & (1u << m)) && at < n)
            at += (size_t)snprintf(out + at, n - at, "%s%s", at > 0 ? ", " : "", method_name((enum method)m));
}

static void
no_route(struct req *r, unsigned allowed)
{
    char allow[128];

    if (allowed == 0) {
        if (r->srv->conf.not_found != NULL)
            r->srv->conf.not_found(r);
        else
            resp_send(r, 404, "text/plain; charset=utf-8", STR_LIT("not found\n"));
        return;
    }
    allow_header(allowed | 1u << M_OPTIONS, allow, sizeof(allow));
    resp_hdr(r, "Allow", str_z(allow));
    if (r->method == M_OPTIONS)
        resp_empty(r, 200);
    else
        resp_send(r, 405, "text/plain; charset=utf-8", STR_LIT("Method Not Allowed\n"));
}

static void
dispatch(struct req *r)
{
    const struct http_conf *f = &r->srv->conf;
    struct err              e = { .code = 0 };
    unsigned                allowed = 0;
    int                     rc;

    if (!split_target(r)) {
        resp_close(r);
        resp_err(r, -AIS_E_BADREQ, NULL);
        return;
    }
    r->route = routes_find(r->srv->routes, r, &allowed);
    if (r->route == NULL || !(r->route->flags & R_QUICK)) {
        rc = resp_flush(r->conn);
        if (rc < 0) {
            resp_abort(r);
            return;
        }
    }
    if (f->admit != NULL) {
        rc = f->admit(r, &e);
        if (rc < 0) {
            resp_err(r, rc, &e);
            return;
        }
    }
    if (r->route == NULL) {
        no_route(r, allowed);
        return;
    }
    if ((r->route->flags & R_STREAM) == 0) {
        rc = body_read_whole(r);
        if (rc < 0) {
            resp_close(r);
            resp_err(r, rc, NULL);
            return;
        }
    }
    r->route->fn(r);
}

static void
req_begin(struct conn *c)
{
    struct reqctx *x = c->rc;
    struct req    *r = &x->req;
    struct arena  *arena = r->arena;

    memset(r, 0, sizeof(*r));
    r->magic = REQ_MAGIC;
    r->conn = c;
    r->srv = c->srv;
    r->arena = arena;
    r->ctx = c->srv->conf.ctx;
    r->head = &x->head;
    r->method = x->head.method;
    r->id = next_id();
    r->start = loop_now();
    r->resp.hdrs = &x->hdrs;
    sbuf_reset(&x->hdrs);
    x->out.n = x->held;
    x->out.failed = false;
    x->resp_error = 0;
    x->cut = false;
    body_begin(x);
    c->close = !x->head.keep_alive;
}

/* A handler that gave up before anything of its answer left: tell the client why. */
static void
answer_anyway(struct req *r)
{
    struct reqctx *x = rctx(r);

    if (!r->resp.started && !r->resp.failed) {
        log_error("a handler left without an answer", { "path", LSTR(r->path_raw) });
        resp_err(r, -AIS_E_INTERNAL, NULL);
    } else if (x->resp_error < 0) {
        resp_err(r, x->resp_error, NULL);
    }
    if (!r->resp.finished)
        r->resp.failed = true;
}

enum request_end
request_serve(struct conn *c)
{
    struct req      *r = &c->rc->req;
    enum request_end end = REQUEST_NEXT;

    req_begin(c);
    c->in_request = true;
    dispatch(r);
    if (!r->resp.finished)
        answer_anyway(r);
    c->in_request = false;
    c->raw = NULL;
    if (c->srv->conf.done != NULL)
        c->srv->conf.done(r);
    if (!body_finish(r) || c->close)
        end = REQUEST_LAST;
    if (r->resp.failed)
        end = REQUEST_BROKEN;
    r->magic = 0;
    arena_reset(r->arena);
    return end;
}

/* --- what handlers ask --- */

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

int64_t
req_content_length(const struct req *r)
{
    return r->head->body == HTTP1_CHUNKED ? -1 : r->head->body == HTTP1_LENGTH ? (int64_t)r->head->content_length : 0;
}

struct str
req_remote(struct req *r)
{
    const union peer_addr *a = &r->conn->remote;
    char                   ip[INET6_ADDRSTRLEN] = "?";

    if (a->sa.sa_family == AF_INET) {
        inet_ntop(AF_INET, &a->in.sin_addr, ip, sizeof(ip));
        return arena_printf(r->arena, "%s:%u", ip, ntohs(a->in.sin_port));
    }
    if (a->sa.sa_family != AF_INET6)
        return STR_LIT("local");
    if (IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) {
        inet_ntop(AF_INET, &a->in6.sin6_addr.s6_addr[12], ip, sizeof(ip));
        return arena_printf(r->arena, "%s:%u", ip, ntohs(a->in6.sin6_port));
    }
    inet_ntop(AF_INET6, &a->in6.sin6_addr, ip, sizeof(ip));
    return arena_printf(r->arena, "[%s]:%u", ip, ntohs(a->in6.sin6_port));
}

bool
req_is_loopback(const struct req *r)
{
    const union peer_addr *a = &r->conn->remote;
    const struct in6_addr *a6 = &a->in6.sin6_addr;

    if (a->sa.sa_family == AF_INET)
        return (ntohl(a->in.sin_addr.s_addr) >> 24) == 127;
    if (a->sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(a6) || (IN6_IS_ADDR_V4MAPPED(a6) && a6->s6_addr[12] == 127);
    return a->sa.sa_family == AF_UNIX;
}
