/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners and connections: from readable bytes to a handler on a fiber, and back to an idle connection that owns nothing.
 *
 * Runs on: the connection's loop.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/units.h"
#include "base/util.h"
#include "codec/url.h"
#include "net/net_impl.h"

#define POOL_BUFS   64
#define POOL_BODIES 8
#define POOL_REQS   64

/* --- per-loop pools --- */

struct pools {
    void *head[POOL_BUFS], *body[POOL_BODIES];
    unsigned nhead, nbody, nreqs;
    SLIST_HEAD(, reqctx) reqs;
};

static struct pools *
pools(void)
{
    struct pools *p = loop_slot(loop_self(), NET_SLOT_SERVER);

    if (p == NULL) {
        p = xcalloc(1, sizeof(*p));
        loop_set_slot(loop_self(), NET_SLOT_SERVER, p);
    }
    return p;
}

char *
buf_take(size_t size)
{
    struct pools *p = pools();

    if (size == HEAD_BUF && p->nhead > 0)
        return p->head[--p->nhead];
    if (size == BODY_BUF && p->nbody > 0)
        return p->body[--p->nbody];
    return malloc(size);
}

void
buf_give(char *b, size_t size)
{
    struct pools *p = pools();

    if (b == NULL)
        return;
    if (size == HEAD_BUF && p->nhead < POOL_BUFS)
        p->head[p->nhead++] = b;
    else if (size == BODY_BUF && p->nbody < POOL_BODIES)
        p->body[p->nbody++] = b;
    else
        free(b);
}

struct reqctx *
reqctx_take(void)
{
    struct pools  *p = pools();
    struct reqctx *c = SLIST_FIRST(&p->reqs);

    if (c != NULL) {
        SLIST_REMOVE_HEAD(&p->reqs, link);
        p->nreqs--;
    } else {
        c = malloc(sizeof(*c));
        if (c == NULL)
            return NULL;
        sbuf_init(&c->hdrs, 64 * KIB);
        sbuf_init(&c->out, 512 * KIB);
        c->req.arena = arena_new(2048, 64 * MIB);
    }
    return c;
}

static void
reqctx_destroy(struct reqctx *c)
{
    sbuf_fini(&c->hdrs);
    sbuf_fini(&c->out);
    arena_free(c->req.arena);
    free(c);
}

void
reqctx_give(struct reqctx *c)
{
    struct pools *p = pools();

    if (p->nreqs >= POOL_REQS) {
        reqctx_destroy(c);
        return;
    }
    if (c->out.cap > 64 * KIB) { /* do not let one big answer pin memory */
        sbuf_fini(&c->out);
    }
    SLIST_INSERT_HEAD(&p->reqs, c, link);
    p->nreqs++;
}

static void
pools_free(struct loop *l, struct run *run)
{
    struct pools  *p = loop_slot(l, NET_SLOT_SERVER);
    struct reqctx *c;

    UNUSED(run);
    if (p == NULL)
        return;
    loop_set_slot(l, NET_SLOT_SERVER, NULL);
    while (p->nhead > 0)
        free(p->head[--p->nhead]);
    while (p->nbody > 0)
        free(p->body[--p->nbody]);
    while ((c = SLIST_FIRST(&p->reqs)) != NULL) {
        SLIST_REMOVE_HEAD(&p->reqs, link);
        reqctx_destroy(c);
    }
    free(p);
}

uint64_t
http_next_id(void)
{
    static _Atomic uint64_t      blocks;
    static _Thread_local uint64_t next, end;

    if (next == end) {
        next = atomic_fetch_add(&blocks, 1) << 16;
        end = next + (1u << 16);
        next += next == 0;
    }
    return next++;
}

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
        second = now / NSEC_PER_SEC;
    }
    memcpy(out, line, n);
    return n;
}

/* --- connections --- */

static struct per_loop *
conn_home(struct conn *c)
{
    return &c->srv->loops[loop_index(c->s.loop)];
}

static void
conn_free(struct conn *c)
{
    struct per_loop *h = conn_home(c);

    CHECK(c, CONN_MAGIC);
    TAILQ_REMOVE(&h->conns, c, link);
    h->nconns--;
    atomic_fetch_sub_explicit(&c->srv->nconns, 1, memory_order_relaxed);
    if (c->srv->conf.conn_closed != NULL && c->user != NULL)
        c->srv->conf.conn_closed(c->user);
    stream_close(&c->s);
    c->magic = 0;
    free(c);
}

ssize_t
conn_fill(struct conn *c, int64_t deadline)
{
    ssize_t k;

    if (c->len == 0)
        c->off = 0;
    if (c->off + c->len == c->cap && c->off > 0) {
        memmove(c->buf, c->buf + c->off, c->len);
        c->off = 0;
    }
    ASSERT(c->off + c->len < c->cap);
    k = stream_recv(&c->s, c->buf + c->off + c->len, c->cap - c->off - c->len, deadline);
    if (k > 0)
        c->len += (size_t)k;
    return k;
}

/* A bigger input buffer; false beyond max. */
static bool
conn_grow(struct conn *c, size_t max)
{
    size_t cap = c->cap * 2;
    char  *b;

    if (c->off > 0) {
        memmove(c->buf, c->buf + c->off, c->len);
        c->off = 0;
        return true;
    }
    if (c->cap >= max)
        return false;
    cap = MIN(cap, max);
    b = malloc(cap);
    if (b == NULL)
        return false;
    memcpy(b, c->buf, c->len);
    buf_give(c->buf, c->cap);
    c->buf = b;
    c->cap = cap;
    return true;
}

/* An answer without a request object: what is refused before or instead of parsing. */
static void
say(struct conn *c, int status, const char *extra, const char *text)
{
    char         head[512];
    size_t       tn = strlen(text);
    int          n;
    struct iovec iov;

    n = snprintf(head, sizeof(head),
                 "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
                 status, http1_reason(status), extra, tn + 1, text);
    iov = (struct iovec){ head, (size_t)n };
    (void)stream_send(&c->s, &iov, 1, false, SEC_NS(5));
    c->close = true;
}

static void
refuse_head(struct conn *c, int rc)
{
    char text[128];

    if (rc == -AIS_E_CLOSED || rc == -AIS_E_CANCELED)
        return;
    snprintf(text, sizeof(text), "%s", err_text(rc));
    say(c, err_http(rc), "", text);
}

static int64_t
or_default(int64_t v, int64_t d)
{
    return v > 0 ? v : d;
}

/*
 * Read and parse one head. 1 = there is a request; 0 = nothing more now: go idle; negative = close.
 */
static int
read_head(struct conn *c)
{
    const struct http_conf *f = &c->srv->conf;
    struct http1_head      *h = &c->rc->head;
    size_t                  scan = 0, max = f->max_head > 0 ? f->max_head : 64 * KIB;
    int64_t                 deadline = 0;

    for (;;) {
        ssize_t k;
        int     rc;

        if (c->len > 0) {
            rc = http1_parse_req(c->buf + c->off, c->len, &scan, h);
            if (rc > 0) {
                c->off += (size_t)rc;
                c->len -= (size_t)rc;
                c->rc->head_end = c->off;
                c->rc->old_buf = NULL;
                return 1;
            }
            if (rc < 0) {
                refuse_head(c, rc);
                return -1;
            }
            if (c->len >= max || (c->off + c->len == c->cap && !conn_grow(c, max))) {
                rc = memchr(c->buf + c->off, '\n', c->len) == NULL ? -AIS_E_URITOOLONG : -AIS_E_HEADTOOBIG;
                refuse_head(c, rc);
                return -1;
            }
            if (deadline == 0)
                deadline = deadline_in(clock_mono(), or_default(f->head_ns, SEC_NS(16)));
        } else if (!c->s.readable && !c->s.hup && c->s.ssl == NULL) {
            return 0;
        } else if (c->s.ssl != NULL && c->nreqs > 0) {
            /* TLS may hold a decrypted record back: one look that does not wait. */
            k = conn_fill(c, loop_now());
            if (k == -AIS_E_TIMEOUT)
                return 0;
            if (k <= 0)
                return -1;
            continue;
        } else if (deadline == 0) {
            deadline = deadline_in(clock_mono(), or_default(f->head_ns, SEC_NS(16)));
        }
        k = conn_fill(c, deadline);
        if (k == -AIS_E_TIMEOUT && c->len > 0)
            refuse_head(c, -AIS_E_REQTIMEOUT);
        if (k <= 0)
            return -1;
    }
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
    r->id = http_next_id();
    r->start = loop_now();
    r->resp.hdrs = &x->hdrs;
    sbuf_reset(&x->hdrs);
    sbuf_reset(&x->out);
    body_begin(x);
    c->close = !x->head.keep_alive || atomic_load_explicit(&c->srv->draining, memory_order_relaxed);
    c->cancelled = false;
}

/* One request; false when the connection is to be closed. */
static bool
serve_one(struct conn *c)
{
    struct req             *r = &c->rc->req;
    const struct http_conf *f = &c->srv->conf;
    bool                    again;

    req_begin(c);
    dispatch(r);
    if (!r->resp.started && !r->resp.failed) {
        log_error("a handler left without an answer", { "path", LSTR(r->path_raw) });
        resp_err(r, -AIS_E_INTERNAL, NULL);
    }
    if (r->resp.started && !r->resp.finished)
        r->resp.failed = true;
    if (f->done != NULL)
        f->done(r);
    again = !r->resp.failed && body_finish(r) && !c->close;
    r->magic = 0;
    arena_reset(r->arena);
    c->nreqs++;
    return again;
}

static void
serve(void *arg)
{
    struct conn     *c = arg;
    struct per_loop *h = conn_home(c);
    int              rc = 1;

    c->fiber = fiber_self();
    h->nactive++;
    c->buf = buf_take(HEAD_BUF);
    c->cap = HEAD_BUF;
    c->off = c->len = 0;
    c->rc = reqctx_take();
    if (c->buf == NULL || c->rc == NULL)
        rc = -1;
    if (rc > 0 && c->s.ssl != NULL && c->nreqs == 0 && c->idle_since == 0)
        rc = stream_handshake(&c->s, deadline_in(clock_mono(), or_default(c->srv->conf.head_ns, SEC_NS(16)))) < 0 ? -1 : 1;
    while (rc > 0) {
        rc = read_head(c);
        if (rc <= 0)
            break;
        if (h->nactive > or_default(c->srv->conf.max_active, 8192)) {
            say(c, 503, "Retry-After: 1\r\n", "too many requests in flight");
            rc = -1;
            break;
        }
        rc = serve_one(c) ? 1 : -1;
    }
    if (c->rc != NULL)
        reqctx_give(c->rc);
    buf_give(c->buf, c->cap);
    c->rc = NULL;
    c->buf = NULL;
    h->nactive--;
    c->fiber = NULL;
    if (rc < 0) {
        conn_free(c);
        return;
    }
    c->idle_since = loop_now();
    TAILQ_REMOVE(&h->conns, c, link);
    TAILQ_INSERT_TAIL(&h->conns, c, link);
}

/* Bytes for an idle connection start a fiber; a hang-up cancels the one that serves. */
static void
conn_event(struct stream *s, unsigned what)
{
    struct conn *c = CONTAINER_OF(s, struct conn, s);

    if (c->fiber == NULL) {
        if (!(what & IOW_READ))
            return;
        if (fiber_run(s->loop, "http", serve, c) < 0)
            conn_free(c);
        return;
    }
    if ((what & IOW_HUP) && !c->cancelled && c->rc != NULL && c->rc->req.magic == REQ_MAGIC && c->rc->body_done) {
        c->cancelled = true;
        fiber_cancel(c->fiber);
    }
}

static void
reap(struct timer *t)
{
    struct per_loop *h = CONTAINER_OF(t, struct per_loop, reaper);
    int64_t          idle = or_default(h->srv->conf.idle_ns, SEC_NS(30)), now = loop_now(), next;
    struct conn     *c, *tmp;
    bool             drain = atomic_load(&h->srv->draining);

    next = now + idle;
    TAILQ_FOREACH_SAFE_(c, &h->conns, link, tmp)
    {
        if (c->fiber != NULL)
            continue;
        if (!drain && c->idle_since + idle > now) {
            next = c->idle_since + idle;
            break; /* the list is in order of idle_since, busy ones aside */
        }
        conn_free(c);
    }
    if (h->nconns > 0)
        timer_arm(h->loop, &h->reaper, next + MSEC_NS(10));
}

static void
accept_one(struct per_loop *h, int fd, const struct sockaddr_storage *from)
{
    static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    struct conn      *c;
    int               one = 1;

    if (h->nconns >= or_default(h->srv->conf.max_conns, 32768) || (c = calloc(1, sizeof(*c))) == NULL) {
        (void)send(fd, busy, sizeof(busy) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    c->magic = CONN_MAGIC;
    c->srv = h->srv;
    c->remote = *from;
    if (stream_open(&c->s, h->loop, fd, conn_event) < 0) {
        close(fd);
        free(c);
        return;
    }
    if (h->srv->conf.tls != NULL)
        c->s.ssl = tls_accept_new(h->srv->conf.tls, fd);
    TAILQ_INSERT_TAIL(&h->conns, c, link);
    h->nconns++;
    atomic_fetch_add_explicit(&h->srv->nconns, 1, memory_order_relaxed);
    if (h->srv->conf.tls != NULL && c->s.ssl == NULL) {
        conn_free(c);
        return;
    }
    if (h->reaper.heap_idx == 0)
        timer_arm(h->loop, &h->reaper, loop_now() + or_default(h->srv->conf.idle_ns, SEC_NS(30)));
    c->idle_since = c->s.ssl == NULL ? loop_now() : 0;
}

static void
on_accept(struct iowatch *w, unsigned what)
{
    struct listener *l = CONTAINER_OF(w, struct listener, w);
    struct per_loop *h = CONTAINER_OF(l, struct per_loop, listener);

    UNUSED(what);
    for (int i = 0; i < 64; i++) {
        struct sockaddr_storage from;
        socklen_t               n = sizeof(from);
        int                     fd = accept4(l->fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                log_warn("accept", { "server", LZ(h->srv->conf.name) }, { "error", LZ(strerror(errno)) });
            return;
        }
        accept_one(h, fd, &from);
    }
}

/* --- servers --- */

static int
bind_one(const struct addrinfo *ai, uint16_t *port, int *out)
{
    struct sockaddr_storage ss;
    socklen_t               n = ai->ai_addrlen;
    auto_close int          fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int                     one = 1, off = 0;

    if (fd < 0)
        return err_from_errno(errno);
    memcpy(&ss, ai->ai_addr, n);
    if (ai->ai_family == AF_INET)
        ((struct sockaddr_in *)&ss)->sin_port = htons(*port);
    else
        ((struct sockaddr_in6 *)&ss)->sin6_port = htons(*port);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (ai->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 || bind(fd, (struct sockaddr *)&ss, n) < 0 ||
        listen(fd, 4096) < 0)
        return err_from_errno(errno);
    n = sizeof(ss);
    if (getsockname(fd, (struct sockaddr *)&ss, &n) < 0)
        return err_from_errno(errno);
    *port = ntohs(ss.ss_family == AF_INET ? ((struct sockaddr_in *)&ss)->sin_port : ((struct sockaddr_in6 *)&ss)->sin6_port);
    *out = fd;
    fd = -1;
    return 0;
}

struct on_loop {
    struct msg       msg;
    struct per_loop *h;
    struct park      park;
};

static void
listen_on_loop(struct msg *m)
{
    struct on_loop *o = CONTAINER_OF(m, struct on_loop, msg);

    park_wake(&o->park, iowatch_add_level(o->h->loop, &o->h->listener.w, o->h->listener.fd, on_accept));
}

static int
on_each_loop(struct http_server *s, void (*fn)(struct msg *))
{
    int rc = 0;

    for (unsigned i = 0; i < run_nloops(s->run); i++) {
        struct on_loop o = { .msg.fn = fn, .h = &s->loops[i] };
        int            rc2;

        park_init(&o.park);
        fiber_shield();
        loop_post(s->loops[i].loop, &o.msg);
        rc2 = park_wait(&o.park, NO_DEADLINE);
        fiber_unshield();
        rc = rc == 0 ? rc2 : rc;
    }
    return rc;
}

/* Is somebody else listening there? SO_REUSEPORT would silently share the port with another program of the same user. */
static bool
port_taken(const struct addrinfo *ai, uint16_t port)
{
    struct sockaddr_storage ss;
    auto_close int          fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int                     one = 1;

    if (port == 0 || fd < 0)
        return false;
    memcpy(&ss, ai->ai_addr, ai->ai_addrlen);
    if (ai->ai_family == AF_INET)
        ((struct sockaddr_in *)&ss)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)&ss)->sin6_port = htons(port);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    return bind(fd, (struct sockaddr *)&ss, ai->ai_addrlen) < 0 && errno == EADDRINUSE;
}

int
http_listen(struct run *run, const char *addr, uint16_t port, const struct http_conf *conf, struct http_server **out,
            struct err *e)
{
    struct addrinfo     hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM }, *ai = NULL;
    struct http_server *s;
    int                 rc = 0;

    if (getaddrinfo(addr, "0", &hints, &ai) != 0 || ai == NULL)
        return err_set(e, AIS_E_INVAL, "cannot resolve the address to listen on: %s", addr);
    if (port_taken(ai, port)) {
        freeaddrinfo(ai);
        return err_set(e, AIS_E_EXISTS, "port %u on %s is taken by another program", port, addr);
    }
    s = xcalloc(1, sizeof(*s));
    s->magic = HSRV_MAGIC;
    s->run = run;
    s->conf = *conf;
    s->port = port;
    s->routes = routes_compile(conf->routes, conf->nroutes);
    s->loops = xcalloc(run_nloops(run), sizeof(*s->loops));
    for (unsigned i = 0; i < run_nloops(run); i++) {
        s->loops[i].listener.fd = -1;
        s->loops[i].srv = s;
        s->loops[i].loop = run_loop(run, i);
        s->loops[i].reaper.fn = reap;
        TAILQ_INIT(&s->loops[i].conns);
    }
    for (unsigned i = 0; i < run_nloops(run) && rc == 0; i++)
        rc = bind_one(ai, &s->port, &s->loops[i].listener.fd);
    freeaddrinfo(ai);
    if (rc == 0)
        rc = on_each_loop(s, listen_on_loop);
    if (rc < 0) {
        err_set(e, -rc, "cannot listen on %s:%u: %s", addr, port, err_text(rc));
        http_server_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

uint16_t
http_server_port(const struct http_server *s)
{
    return s->port;
}

unsigned
http_server_conns(const struct http_server *s)
{
    return atomic_load_explicit(&s->nconns, memory_order_relaxed);
}

static void
drain_on_loop(struct msg *m)
{
    struct on_loop *o = CONTAINER_OF(m, struct on_loop, msg);

    if (o->h->listener.fd >= 0) {
        iowatch_del(&o->h->listener.w);
        fd_close(&o->h->listener.fd);
    }
    timer_disarm(o->h->loop, &o->h->reaper);
    reap(&o->h->reaper);
    park_wake(&o->park, 0);
}

void
http_server_drain(struct http_server *s)
{
    CHECK(s, HSRV_MAGIC);
    atomic_store(&s->draining, 1);
    (void)on_each_loop(s, drain_on_loop);
}

void
http_server_free(struct http_server *s)
{
    if (s == NULL)
        return;
    for (unsigned i = 0; i < run_nloops(s->run); i++) {
        struct conn *c, *tmp;

        fd_close(&s->loops[i].listener.fd);
        TAILQ_FOREACH_SAFE_(c, &s->loops[i].conns, link, tmp)
        {
            if (s->conf.conn_closed != NULL && c->user != NULL)
                s->conf.conn_closed(c->user);
            fd_close(&c->s.fd);
            free(c);
        }
        pools_free(s->loops[i].loop, s->run);
    }
    routes_free(s->routes);
    free(s->loops);
    s->magic = 0;
    free(s);
}
