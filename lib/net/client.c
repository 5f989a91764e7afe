/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 client with pooled connections. Runs on: fibers; a call stays on its loop, and so does the pool it uses.
 */
#include "net/client.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/hmap.h"
#include "base/util.h"
#include "net/net_impl.h"
#include "run/offload.h"

struct dest;

/* A connection, and the call that uses it. */
struct hcall {
    unsigned magic;
#define HCALL_MAGIC 0xca11ca11u
    struct stream      s;
    struct hclient    *hc;
    struct dest       *dest;
    char              *buf;       /* HEAD_BUF bytes of the loop's pool; NULL while idle */
    size_t             off, len;
    struct http1_head  head;
    char              *head_copy; /* the head's bytes: the buffer moves on */
    size_t             head_cap;
    struct http1_chunk chunk;
    uint64_t           left;      /* body bytes to come, when announced */
    enum http1_body    body;
    bool               is_head, have_head, done, broken, out_chunked;
    bool               in_pool, reused; /* came from the pool: its server may have closed it meanwhile */
    uint64_t           sent_before; /* s.sent when the exchange began */
    int64_t            timeout_ns, idle_since;
    void              *peer;
    TAILQ_ENTRY(hcall) link;
};
TAILQ_HEAD(callq, hcall);

struct dest {
    struct hnode node;
    char         host[256];
    uint16_t     port;
    bool         https;
    struct callq idle;
    unsigned     nidle;
};

struct cpool {
    struct hclient *hc;
    struct loop    *loop;
    struct hmap     dests;
    struct timer    reaper;
    unsigned        nidle;
};

struct hclient {
    struct hclient_conf conf;
    struct run         *run;
    char               *agent;
    struct cpool       *pools; /* one per loop */
};

int
hclient_new(struct run *run, const struct hclient_conf *c, struct hclient **out)
{
    struct hclient *hc = xcalloc(1, sizeof(*hc));

    hc->conf = *c;
    hc->run = run;
    if (hc->conf.max_idle == 0)
        hc->conf.max_idle = 32;
    if (hc->conf.idle_ns == 0)
        hc->conf.idle_ns = SEC_NS(20);
    if (hc->conf.connect_ns == 0)
        hc->conf.connect_ns = SEC_NS(5);
    hc->agent = xstrdup(c->user_agent == NULL ? "ais" : c->user_agent);
    hc->pools = xcalloc(run_nloops(run), sizeof(*hc->pools));
    for (unsigned i = 0; i < run_nloops(run); i++) {
        hc->pools[i].hc = hc;
        hc->pools[i].loop = run_loop(run, i);
    }
    *out = hc;
    return 0;
}

static void
call_destroy(struct hcall *c)
{
    CHECK(c, HCALL_MAGIC);
    stream_close(&c->s);
    buf_give(c->buf, HEAD_BUF);
    free(c->head_copy);
    c->magic = 0;
    free(c);
}

void
hclient_free(struct hclient *hc)
{
    if (hc == NULL)
        return;
    for (unsigned i = 0; i < run_nloops(hc->run); i++) {
        struct hnode *n, *next;

        for (n = hmap_iter(&hc->pools[i].dests, NULL); n != NULL; n = next) {
            struct dest  *d = CONTAINER_OF(n, struct dest, node);
            struct hcall *c;

            next = hmap_iter(&hc->pools[i].dests, n);
            while ((c = TAILQ_FIRST(&d->idle)) != NULL) {
                TAILQ_REMOVE(&d->idle, c, link);
                stream_forget(&c->s);
                free(c->head_copy);
                free(c);
            }
            free(d);
        }
        hmap_fini(&hc->pools[i].dests);
    }
    net_pools_free(hc->run);
    free(hc->pools);
    free(hc->agent);
    free(hc);
}

static struct dest *
dest_find(struct cpool *p, const struct url *u)
{
    uint64_t      h = hash_bytes(u->host.p, u->host.n, u->port + (u->https ? 1u << 20 : 0));
    struct hnode *n;
    struct dest  *d;

    for (n = hmap_first(&p->dests, h); n != NULL; n = hmap_next_same(n, h)) {
        d = CONTAINER_OF(n, struct dest, node);
        if (str_eqz(u->host, d->host) && d->port == u->port && d->https == u->https)
            return d;
    }
    d = xcalloc(1, sizeof(*d));
    str_copyz(u->host, d->host, sizeof(d->host));
    d->port = u->port;
    d->https = u->https;
    TAILQ_INIT(&d->idle);
    hmap_add(&p->dests, &d->node, h);
    return d;
}

static void
pool_remove(struct hcall *c)
{
    struct cpool *p = &c->hc->pools[loop_index(c->s.loop)];

    ASSERT(c->in_pool);
    TAILQ_REMOVE(&c->dest->idle, c, link);
    c->in_pool = false;
    c->dest->nidle--;
    p->nidle--;
}

/* The connection used last. sure: look whether the server closed it, because the call cannot be repeated. */
static struct hcall *
pool_take(struct dest *d, bool sure)
{
    struct hcall *c;

    while ((c = TAILQ_LAST(&d->idle, callq)) != NULL) {
        pool_remove(c);
        c->reused = true;
        if (!sure || (!c->s.hup && c->s.ops->peer(&c->s) == STREAM_PEER_HERE))
            return c;
        call_destroy(c);
    }
    return NULL;
}

/* Anything that happens on an idle connection means that it is of no use any more. */
static void
call_event(struct stream *s, unsigned what)
{
    struct hcall *c = CONTAINER_OF(s, struct hcall, s);

    if (c->in_pool && (what & (IOW_READ | IOW_HUP))) {
        pool_remove(c);
        call_destroy(c);
    }
}

static void
pool_reap(struct timer *t)
{
    struct cpool *p = CONTAINER_OF(t, struct cpool, reaper);
    int64_t       now = loop_now();

    for (struct hnode *n = hmap_iter(&p->dests, NULL); n != NULL; n = hmap_iter(&p->dests, n)) {
        struct dest  *d = CONTAINER_OF(n, struct dest, node);
        struct hcall *c;

        while ((c = TAILQ_FIRST(&d->idle)) != NULL && c->idle_since + p->hc->conf.idle_ns <= now) {
            pool_remove(c);
            call_destroy(c);
        }
    }
    if (p->nidle > 0)
        timer_arm(p->loop, &p->reaper, now + p->hc->conf.idle_ns);
}

/* --- connecting --- */

struct resolve {
    const char      *host;
    uint16_t         port;
    struct addrinfo *ai;
    int              rc;
};

static void
resolve_names(void *arg)
{
    struct resolve *q = arg;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    char            port[8];

    snprintf(port, sizeof(port), "%u", q->port);
    q->rc = getaddrinfo(q->host, port, &hints, &q->ai);
}

static int
resolve(const struct dest *d, struct addrinfo **out)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
    struct resolve  q = { .host = d->host, .port = d->port };
    char            port[8];

    snprintf(port, sizeof(port), "%u", d->port);
    if (getaddrinfo(d->host, port, &hints, out) == 0)
        return 0;
    offload(resolve_names, &q);
    *out = q.ai;
    return q.rc == 0 ? 0 : -AIS_E_PEER;
}

static int
call_connect(struct hcall *c, struct err *e)
{
    struct hclient  *hc = c->hc;
    int64_t          deadline = deadline_in(clock_mono(), hc->conf.connect_ns);
    struct addrinfo *ai = NULL;
    int              rc = resolve(c->dest, &ai);

    if (rc < 0)
        return err_set(e, AIS_E_PEER, "cannot resolve host %s", c->dest->host);
    rc = -AIS_E_PEER;
    for (struct addrinfo *a = ai; a != NULL && rc < 0; a = a->ai_next)
        rc = stream_connect(&c->s, loop_self(), a->ai_addr, a->ai_addrlen, deadline);
    freeaddrinfo(ai);
    if (rc < 0)
        return err_set(e, -rc, "cannot connect to %s:%u: %s", c->dest->host, c->dest->port,
                       rc == -AIS_E_PEER ? "connection refused" : err_text(rc));
    c->s.event = call_event;
    if (c->dest->https) {
        rc = hc->conf.tls == NULL ? -AIS_E_PEER : stream_tls_connect(&c->s, hc->conf.tls, c->dest->host);
        if (rc == 0)
            rc = stream_tls_handshake(&c->s, deadline);
        if (rc < 0)
            return err_set(e, AIS_E_PEER, "TLS handshake with %s:%u failed", c->dest->host, c->dest->port);
    }
    if (hc->conf.on_connect != NULL) {
        rc = hc->conf.on_connect(hc->conf.ctx, c, e);
        if (rc < 0)
            return err_fill(e, rc);
    }
    return 0;
}

/* May it be sent again when nobody knows whether it took effect the first time? RFC 9110, 9.2.2. */
static bool
idempotent(enum method m)
{
    return m != M_POST && m != M_PATCH && m != M_OTHER;
}

/* A pooled connection, or a new one. */
static int
call_get(struct hclient *hc, const struct hc_req *q, bool fresh, struct hcall **out, struct err *e)
{
    struct cpool *p = &hc->pools[loop_index(loop_self())];
    struct url    u;
    struct dest  *d;
    struct hcall *c;
    int           rc = url_parse(q->base, &u);

    if (rc < 0)
        return err_set(e, AIS_E_INVAL, "bad URL \"%.*s\"", STR_FMT(q->base));
    d = dest_find(p, &u);
    c = fresh ? NULL : pool_take(d, !idempotent(q->method));
    if (c != NULL) {
        c->peer = q->peer;
        *out = c;
        return 0;
    }
    c = calloc(1, sizeof(*c));
    if (c == NULL)
        return -AIS_E_NOMEM;
    c->magic = HCALL_MAGIC;
    c->hc = hc;
    c->dest = d;
    c->peer = q->peer;
    c->timeout_ns = SEC_NS(10);
    rc = call_connect(c, e);
    if (rc < 0) {
        call_destroy(c);
        return rc;
    }
    *out = c;
    return 0;
}

/* --- one exchange --- */

static int64_t
stall(const struct hcall *c)
{
    return deadline_in(clock_mono(), c->timeout_ns);
}

static int
broke(struct hcall *c, int rc)
{
    if (rc < 0)
        c->broken = true;
    return rc;
}

static int
send_head(struct hcall *c, const struct hc_req *q)
{
    struct sbuf  b;
    struct iovec iov[2];
    int          rc;

    sbuf_init(&b, 1 * MIB);
    sbuf_putz(&b, method_name(q->method));
    sbuf_putc(&b, ' ');
    sbuf_puts(&b, q->target);
    sbuf_printf(&b, strchr(c->dest->host, ':') != NULL ? " HTTP/1.1\r\nHost: [%s]:%u\r\n" : " HTTP/1.1\r\nHost: %s:%u\r\n",
                c->dest->host, c->dest->port);
    sbuf_printf(&b, "User-Agent: %s\r\n", c->hc->agent);
    for (unsigned i = 0; i < q->nhdrs; i++)
        sbuf_printf(&b, "%.*s: %.*s\r\n", STR_FMT(q->hdrs[i].name), STR_FMT(q->hdrs[i].value));
    c->out_chunked = q->length < 0;
    if (q->length < 0)
        sbuf_puts(&b, STR_LIT("Transfer-Encoding: chunked\r\n"));
    else if (q->length > 0 || q->body.n > 0 || q->method == M_PUT || q->method == M_POST)
        sbuf_printf(&b, "Content-Length: %llu\r\n", (unsigned long long)(q->length > 0 ? (uint64_t)q->length : q->body.n));
    sbuf_puts(&b, STR_LIT("\r\n"));
    if (!sbuf_ok(&b)) {
        sbuf_fini(&b);
        return -AIS_E_TOOBIG;
    }
    iov[0] = (struct iovec){ b.p, b.n };
    iov[1] = (struct iovec){ (void *)(uintptr_t)q->body.p, q->length != 0 ? 0 : q->body.n };
    rc = stream_send(&c->s, iov, 2, q->length > 0, c->timeout_ns);
    sbuf_fini(&b);
    return rc;
}

static void
exchange_begin(struct hcall *c, const struct hc_req *q)
{
    c->timeout_ns = q->timeout_ns > 0 ? q->timeout_ns : SEC_NS(10);
    c->is_head = q->method == M_HEAD;
    c->have_head = c->done = c->broken = false;
    c->sent_before = c->s.sent;
    c->off = c->len = 0;
    c->chunk = (struct http1_chunk){ .state = 0 };
}

static int
fill_more(struct hcall *c)
{
    ssize_t k;

    if (c->buf == NULL)
        c->buf = buf_take(HEAD_BUF);
    if (c->buf == NULL)
        return broke(c, -AIS_E_NOMEM);
    if (c->len == 0)
        c->off = 0;
    if (c->off > 0 && c->off + c->len == HEAD_BUF) {
        memmove(c->buf, c->buf + c->off, c->len);
        c->off = 0;
    }
    if (c->len == HEAD_BUF)
        return broke(c, -AIS_E_HEADTOOBIG);
    k = stream_recv(&c->s, c->buf + c->off + c->len, HEAD_BUF - c->off - c->len, stall(c));
    if (k <= 0)
        return broke(c, k == 0 ? -AIS_E_CLOSED : (int)k);
    c->len += (size_t)k;
    return 0;
}

static int
read_resp_head(struct hcall *c)
{
    size_t scan = 0;
    int    rc;

    while (!c->have_head) {
        rc = c->len == 0 ? 0 : http1_parse_resp(c->buf + c->off, c->len, &scan, c->is_head, &c->head);
        if (rc < 0)
            return broke(c, -AIS_E_BADHTTP);
        if (rc == 0) {
            rc = fill_more(c);
            if (rc < 0)
                return rc;
            scan = 0;
            continue;
        }
        if (c->head.status < 200 && c->head.status != 101) { /* 100 Continue and its like: read on */
            c->off += (size_t)rc;
            c->len -= (size_t)rc;
            scan = 0;
            continue;
        }
        if ((size_t)rc > c->head_cap) {
            c->head_copy = xrealloc(c->head_copy, (size_t)rc);
            c->head_cap = (size_t)rc;
        }
        memcpy(c->head_copy, c->buf + c->off, (size_t)rc);
        c->off += (size_t)rc;
        c->len -= (size_t)rc;
        scan = 0;
        (void)http1_parse_resp(c->head_copy, (size_t)rc, &scan, c->is_head, &c->head);
        c->have_head = true;
    }
    c->body = c->head.body;
    c->left = c->body == HTTP1_LENGTH ? c->head.content_length : 0;
    c->done = c->body == HTTP1_NONE || (c->body == HTTP1_LENGTH && c->left == 0);
    return 0;
}

/* A connection with the head (and the body that goes with it) on its way. fresh: not one from the pool. */
static int
exchange_start(struct hclient *hc, const struct hc_req *q, bool fresh, struct hcall **out, struct err *e)
{
    struct hcall *c = NULL;
    int           rc = call_get(hc, q, fresh, &c, e);

    if (rc < 0)
        return rc;
    exchange_begin(c, q);
    rc = send_head(c, q);
    if (rc < 0) {
        bool again = rc == -AIS_E_CLOSED && c->reused && (c->s.sent == c->sent_before || idempotent(q->method));

        call_destroy(c);
        return again ? exchange_start(hc, q, true, out, e)
                     : err_set(e, -rc, "cannot send to %.*s: %s", STR_FMT(q->base), err_text(rc));
    }
    *out = c;
    return 0;
}

int
hc_open(struct hclient *hc, const struct hc_req *q, struct hcall **out, struct err *e)
{
    ASSERT_MAY_PARK();
    return exchange_start(hc, q, false, out, e);
}

int
hc_write(struct hcall *c, const void *p, size_t n)
{
    char         head[20];
    struct iovec iov[3];
    int          k = 0;

    if (n == 0)
        return 0;
    if (c->out_chunked)
        iov[k++] = (struct iovec){ head, http1_chunk_head(n, head) };
    iov[k++] = (struct iovec){ (void *)(uintptr_t)p, n };
    if (c->out_chunked)
        iov[k++] = (struct iovec){ (void *)(uintptr_t) "\r\n", 2 };
    return broke(c, stream_send(&c->s, iov, k, false, c->timeout_ns));
}

int
hc_file(struct hcall *c, int fd, uint64_t off, uint64_t len)
{
    ASSERT(!c->out_chunked);
    return broke(c, stream_sendfile(&c->s, fd, off, len, false, c->timeout_ns));
}

int
hc_end_body(struct hcall *c)
{
    struct iovec iov = { (void *)(uintptr_t) "0\r\n\r\n", 5 };

    return c->out_chunked ? broke(c, stream_send(&c->s, &iov, 1, false, c->timeout_ns)) : 0;
}

int
hc_head(struct hcall *c, const struct http1_head **h)
{
    int rc = read_resp_head(c);

    if (rc == 0)
        *h = &c->head;
    return rc;
}

ssize_t
hc_read(struct hcall *c, void *p, size_t n)
{
    ssize_t k;
    int     rc;

    if (c->done)
        return 0;
    for (;;) {
        if (c->body == HTTP1_CHUNKED) {
            size_t used = 0, out = 0, take;

            if (c->len > 0) {
                take = MIN(c->len, n); /* what is decoded in place must fit p */
                rc = http1_chunk_decode(&c->chunk, c->buf + c->off, take, &used, &out);
                if (rc < 0)
                    return broke(c, rc);
                memcpy(p, c->buf + c->off, out);
                c->off += used;
                c->len -= used;
                c->done = rc == 1;
                if (out > 0 || c->done)
                    return (ssize_t)out;
            }
        } else if (c->len > 0) {
            n = MIN(n, c->len);
            if (c->body == HTTP1_LENGTH)
                n = (size_t)MIN((uint64_t)n, c->left);
            memcpy(p, c->buf + c->off, n);
            c->off += n;
            c->len -= n;
            c->left -= c->body == HTTP1_LENGTH ? n : 0;
            c->done = c->body == HTTP1_LENGTH && c->left == 0;
            return (ssize_t)n;
        } else if (c->body == HTTP1_LENGTH) {
            k = stream_recv(&c->s, p, (size_t)MIN((uint64_t)n, c->left), stall(c)); /* past our buffer */
            if (k <= 0)
                return broke(c, k == 0 ? -AIS_E_CLOSED : (int)k);
            c->left -= (uint64_t)k;
            c->done = c->left == 0;
            return k;
        }
        rc = fill_more(c);
        if (rc == -AIS_E_CLOSED && c->body == HTTP1_TO_EOF) {
            c->done = true;
            return 0;
        }
        if (rc < 0)
            return rc;
    }
}

void
hc_close(struct hcall *c)
{
    struct cpool *p;

    if (c == NULL)
        return;
    CHECK(c, HCALL_MAGIC);
    p = &c->hc->pools[loop_index(c->s.loop)];
    if (c->broken || !c->have_head || !c->done || c->len > 0 || !c->head.keep_alive || c->s.hup ||
        c->body == HTTP1_TO_EOF || c->dest->nidle >= c->hc->conf.max_idle) {
        call_destroy(c);
        return;
    }
    buf_give(c->buf, HEAD_BUF);
    c->buf = NULL;
    c->idle_since = loop_now();
    c->in_pool = true;
    TAILQ_INSERT_TAIL(&c->dest->idle, c, link);
    c->dest->nidle++;
    p->nidle++;
    if (p->reaper.heap_idx == 0) {
        p->reaper.fn = pool_reap;
        timer_arm(p->loop, &p->reaper, loop_now() + c->hc->conf.idle_ns);
    }
}

/* Head and body into the arena. */
static int
read_all(struct hcall *c, struct arena *a, size_t max, struct hc_resp *out)
{
    size_t cap, n = 0;
    char  *p, *bigger;
    int    rc = read_resp_head(c);

    if (rc < 0)
        return rc;
    if (c->body == HTTP1_LENGTH && c->left > max)
        return broke(c, -AIS_E_TOOBIG);
    cap = c->body == HTTP1_LENGTH ? (size_t)c->left : c->done ? 0 : 4096;
    p = arena_alloc(a, cap + 1);
    while (p != NULL && !c->done) {
        ssize_t k;

        if (n == cap) {
            if (cap >= max)
                return broke(c, -AIS_E_TOOBIG);
            cap = MIN(cap * 2, max);
            bigger = arena_alloc(a, cap + 1);
            if (bigger != NULL)
                memcpy(bigger, p, n);
            p = bigger;
            continue;
        }
        k = hc_read(c, p + n, cap - n);
        if (k < 0)
            return (int)k;
        n += (size_t)k;
    }
    if (p == NULL)
        return broke(c, -AIS_E_TOOBIG);
    p[n] = '\0';
    out->status = c->head.status;
    out->body = str_from(p, n);
    out->head = arena_alloc(a, sizeof(struct http1_head));
    if (out->head == NULL)
        return broke(c, -AIS_E_TOOBIG);
    p = arena_alloc(a, c->head_cap);
    if (p == NULL)
        return broke(c, -AIS_E_TOOBIG);
    memcpy(p, c->head_copy, c->head_cap);
    {
        size_t scan = 0;

        (void)http1_parse_resp(p, c->head_cap, &scan, c->is_head, out->head);
    }
    return 0;
}

int
hc_call(struct hclient *hc, const struct hc_req *q, struct arena *a, size_t max_body, struct hc_resp *out, struct err *e)
{
    int64_t end = deadline_in(clock_mono(), q->timeout_ns > 0 ? q->timeout_ns : SEC_NS(10)), old;
    bool    fresh = false, stale;
    int     rc;

    ASSERT_MAY_PARK();
    old = fiber_set_deadline(NO_DEADLINE);
    fiber_set_deadline(MIN(old, end));
    do {
        struct hcall *c;

        rc = exchange_start(hc, q, fresh, &c, e);
        if (rc < 0)
            break;
        rc = read_all(c, a, max_body, out);
        /* The server had closed the pooled connection, or closed it at this very moment. */
        stale = rc == -AIS_E_CLOSED && c->reused && !c->have_head && c->len == 0 && idempotent(q->method);
        if (rc < 0 && !stale)
            err_set(e, -rc, "no answer from %.*s: %s", STR_FMT(q->base), err_text(rc));
        fresh = true;
        hc_close(c);
    } while (stale);
    fiber_set_deadline(old);
    return rc;
}

/* --- connections that leave HTTP --- */

static bool
switched(const struct hcall *c, const char *proto)
{
    return c->head.status == 101 && str_ieq(http1_hdr(&c->head, STR_LIT("Upgrade")), str_z(proto));
}

static struct raw *
raw_of_call(struct hcall *c)
{
    struct raw *w = calloc(1, sizeof(*w));

    if (w == NULL)
        return NULL;
    *w = (struct raw){ .magic = RAW_MAGIC, .s = &c->s, .buf = &c->buf, .off = &c->off, .len = &c->len, .call = c };
    return w;
}

/* One exchange on a connection; *c is set when it was switched and is the caller's. */
static int
upgrade_once(struct hclient *hc, const struct hc_req *q, const char *proto, bool fresh, struct arena *a, size_t max_body,
             struct hc_resp *resp, struct hcall **out, bool *stale, struct err *e)
{
    struct hcall *c = NULL;
    int           rc = exchange_start(hc, q, fresh, &c, e);

    if (rc < 0)
        return rc;
    rc = read_resp_head(c);
    if (rc == 0 && switched(c, proto)) {
        *out = c;
        return 0;
    }
    if (rc == 0 && c->head.status == 101)
        rc = broke(c, -AIS_E_BADHTTP);
    if (rc == 0)
        rc = read_all(c, a, max_body, resp);
    *stale = rc == -AIS_E_CLOSED && c->reused && !c->have_head && c->len == 0;
    if (rc < 0 && !*stale)
        err_set(e, -rc, "no answer from %.*s: %s", STR_FMT(q->base), err_text(rc));
    hc_close(c);
    return rc;
}

int
hc_upgrade(struct hclient *hc, const struct hc_req *q, const char *proto, struct arena *a, size_t max_body, struct hc_resp *resp,
           struct raw **out, struct err *e)
{
    int64_t       end = deadline_in(clock_mono(), q->timeout_ns > 0 ? q->timeout_ns : SEC_NS(10)), old;
    struct hdr   *hdrs = arena_alloc(a, sizeof(*hdrs) * (q->nhdrs + 2));
    struct hc_req u = *q;
    struct hcall *c = NULL;
    bool          stale = false;
    int           rc;

    ASSERT_MAY_PARK();
    *out = NULL;
    if (hdrs == NULL)
        return err_set(e, AIS_E_NOMEM, "out of memory");
    if (q->nhdrs > 0)
        memcpy(hdrs, q->hdrs, sizeof(*hdrs) * q->nhdrs);
    hdrs[q->nhdrs] = (struct hdr){ STR_LIT("Connection"), STR_LIT("Upgrade") };
    hdrs[q->nhdrs + 1] = (struct hdr){ STR_LIT("Upgrade"), str_z(proto) };
    u.method = M_GET;
    u.hdrs = hdrs;
    u.nhdrs = q->nhdrs + 2;
    old = fiber_set_deadline(NO_DEADLINE);
    fiber_set_deadline(MIN(old, end));
    do {
        bool again = stale;

        stale = false;
        rc = upgrade_once(hc, &u, proto, again, a, max_body, resp, &c, &stale, e);
    } while (stale);
    fiber_set_deadline(old);
    if (c == NULL)
        return rc;
    *out = raw_of_call(c);
    if (*out != NULL)
        return 0;
    call_destroy(c);
    return err_set(e, AIS_E_NOMEM, "out of memory");
}

void
raw_close(struct raw *w)
{
    if (w == NULL)
        return;
    CHECK(w, RAW_MAGIC);
    ASSERT(w->call != NULL);
    call_destroy(w->call);
    w->magic = 0;
    free(w);
}

int
hc_on(struct hcall *c, const struct hc_req *q, struct arena *a, size_t max_body, struct hc_resp *out, struct err *e)
{
    int rc;

    exchange_begin(c, q);
    rc = send_head(c, q);
    if (rc == 0)
        rc = read_all(c, a, max_body, out);
    if (rc < 0)
        return err_set(e, -rc, "no answer from %s:%u: %s", c->dest->host, c->dest->port, err_text(rc));
    if (!c->head.keep_alive)
        return err_set(e, AIS_E_CLOSED, "%s:%u closes the connection", c->dest->host, c->dest->port);
    return 0;
}

void *
hc_peer(struct hcall *raw)
{
    return raw->peer;
}

static bool
hop_by_hop(struct str name)
{
    static const char *const names[] = { "Connection",          "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
                                         "TE",                  "Trailer",    "Transfer-Encoding",  "Upgrade",
                                         "Content-Length",      "Date" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (str_ieq(name, str_z(names[i])))
            return true;
    return false;
}

int
hc_relay(struct hcall *c, struct req *r)
{
    const struct http1_head *h = NULL;
    char                     name[256], *buf;
    int                      rc = hc_head(c, &h);

    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < h->nhdrs; i++)
        if (!hop_by_hop(h->hdrs[i].name) && str_copyz(h->hdrs[i].name, name, sizeof(name)))
            resp_hdr(r, name, h->hdrs[i].value);
    if (c->is_head && h->content_length > 0)
        rc = resp_start(r, h->status, (int64_t)h->content_length);
    else
        rc = resp_start(r, h->status, c->body == HTTP1_LENGTH ? (int64_t)c->left : c->done ? 0 : -1);
    buf = buf_take(COPY_BUF);
    while (rc == 0 && !c->done) {
        ssize_t k = buf == NULL ? -AIS_E_NOMEM : hc_read(c, buf, COPY_BUF);

        rc = k < 0 ? (int)k : resp_write(r, buf, (size_t)k);
    }
    buf_give(buf, COPY_BUF);
    if (rc < 0) {
        resp_abort(r);
        return rc;
    }
    return resp_end(r);
}
