/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections: from readable bytes to a fiber that reads heads and serves requests, and back to an idle connection that owns
 * nothing but its socket.
 *
 *     IDLE --bytes--> ACTIVE --nothing more came--> IDLE
 *                       |--last answer given, something may still come--> LINGER --end, or long enough--> closed
 *                       `--end, error, or last answer and nothing left unread--> closed
 *
 * A socket that is closed with unread bytes in it resets the connection, and a reset makes the client's kernel forget the answer
 * that was on its way. That is why LINGER exists; it costs no fiber and no buffer.
 *
 * Runs on: the connection's loop.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/util.h"
#include "net/net_impl.h"

#define LINGER_QUIET SEC_NS(5)  /* a lingering connection on which nothing comes */
#define LINGER_MAX   SEC_NS(30) /* and one on which something does */
#define SAY_STALL    SEC_NS(5)
#define PIPELINED    16         /* requests served in a row before other connections have their turn */

const char conn_busy_text[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/* How it goes on when the fiber leaves. */
enum after { AFTER_IDLE, AFTER_CLOSE, AFTER_LINGER, AFTER_CUT };

/* --- states --- */

static void
conn_list(struct conn *c, enum conn_state state)
{
    c->state = state;
    c->since = loop_now();
    TAILQ_INSERT_TAIL(&c->home->conns[state], c, link);
}

static void
conn_enter(struct conn *c, enum conn_state state)
{
    TAILQ_REMOVE(&c->home->conns[c->state], c, link);
    conn_list(c, state);
}

/* The reaper is armed whenever there is a connection, and never later than `at`. */
static void
reap_by(struct per_loop *h, int64_t at)
{
    if (h->reaper.heap_idx == 0 || at < h->reaper.at)
        timer_arm(h->loop, &h->reaper, at);
}

static void
conn_add(struct per_loop *h, struct conn *c, enum conn_state state)
{
    c->magic = CONN_MAGIC;
    c->home = h;
    c->srv = h->srv;
    conn_list(c, state);
    h->nconns++;
    atomic_fetch_add_explicit(&h->srv->nconns, 1, memory_order_relaxed);
}

static void
conn_forget(struct conn *c)
{
    const struct http_conf *f = &c->srv->conf;

    CHECK(c, CONN_MAGIC);
    TAILQ_REMOVE(&c->home->conns[c->state], c, link);
    c->home->nconns--;
    atomic_fetch_sub_explicit(&c->srv->nconns, 1, memory_order_relaxed);
    if (f->conn_closed != NULL && c->user != NULL)
        f->conn_closed(c->user);
    c->magic = 0;
}

static void
conn_free(struct conn *c)
{
    conn_forget(c);
    stream_close(&c->s);
    free(c);
}

static void
linger_on(struct conn *c)
{
    if (c->s.ops->discard(&c->s) == 0) {
        conn_free(c);
        return;
    }
    conn_enter(c, CONN_LINGER);
    reap_by(c->home, c->since + LINGER_QUIET);
}

static void
linger_begin(struct conn *c)
{
    c->s.ops->shutdown(&c->s);
    c->until = loop_now() + LINGER_MAX;
    linger_on(c);
}

/* --- heads --- */

/* An answer without a request object: what is refused before or instead of parsing. */
static void
say(struct conn *c, int status, const char *extra, const char *text)
{
    char         head[512];
    struct iovec iov = { head, 0 };
    int          n;

    n = snprintf(head, sizeof(head),
                 "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
                 status, http1_reason(status), extra, strlen(text) + 1, text);
    ASSERT(n > 0 && (size_t)n < sizeof(head));
    iov.iov_len = (size_t)n;
    (void)resp_flush(c);
    (void)stream_send(&c->s, &iov, 1, false, SAY_STALL);
}

static enum after
refuse_head(struct conn *c, int rc)
{
    say(c, err_http(rc), "", err_text(rc));
    return AFTER_LINGER;
}

/* Room for more input: move what is there to the front, or take a bigger buffer. False beyond max_head. */
static bool
make_room(struct conn *c)
{
    size_t cap = MIN(c->cap * 2, (size_t)c->srv->conf.max_head);
    char  *b;

    if (c->len == 0)
        c->off = 0;
    if (c->off + c->len < c->cap)
        return true;
    if (c->off > 0) {
        memmove(c->buf, c->buf + c->off, c->len);
        c->off = 0;
        return true;
    }
    if (c->len >= cap)
        return false;
    b = malloc(cap);
    if (b == NULL)
        return false;
    memcpy(b, c->buf, c->len);
    buf_give(c->buf, c->cap);
    c->buf = b;
    c->cap = cap;
    return true;
}

/* Read and parse one head. True: there is a request. False: *then tells how to leave. */
static bool
read_head(struct conn *c, enum after *then)
{
    const struct http_conf *f = &c->srv->conf;
    size_t                  scan = 0;
    int64_t                 deadline = 0;

    for (;;) {
        ssize_t k;

        if (c->len > 0) {
            int rc = http1_parse_req(c->buf + c->off, c->len, &scan, &c->rc->head);

            if (rc > 0) {
                c->off += (size_t)rc;
                c->len -= (size_t)rc;
                c->rc->head_end = c->off;
                return true;
            }
            if (rc < 0) {
                *then = refuse_head(c, rc);
                return false;
            }
        }
        if (c->len >= f->max_head || !make_room(c)) {
            *then = refuse_head(c, memchr(c->buf + c->off, '\n', c->len) == NULL ? -AIS_E_URITOOLONG : -AIS_E_HEADTOOBIG);
            return false;
        }
        if (resp_flush(c) < 0) {
            *then = AFTER_CLOSE;
            return false;
        }
        k = stream_recv_now(&c->s, c->buf + c->off + c->len, c->cap - c->off - c->len);
        if (k == STREAM_WANT_READ && c->len == 0) {
            *then = AFTER_IDLE;
            return false;
        }
        if (k == STREAM_WANT_READ || k == STREAM_WANT_WRITE) {
            if (deadline == 0)
                deadline = deadline_in(clock_mono(), f->head_ns);
            k = stream_recv(&c->s, c->buf + c->off + c->len, c->cap - c->off - c->len, deadline);
        }
        if (k == -AIS_E_TIMEOUT) {
            *then = refuse_head(c, -AIS_E_REQTIMEOUT);
            return false;
        }
        if (k <= 0) {
            *then = AFTER_CLOSE;
            return false;
        }
        c->len += (size_t)k;
    }
}

/* --- serving --- */

static enum after
serve_requests(struct conn *c)
{
    struct http_server *srv = c->srv;
    enum after          then = AFTER_CLOSE;
    unsigned            row = 0;

    if (c->handshake_due) {
        if (stream_tls_handshake(&c->s, deadline_in(clock_mono(), srv->conf.head_ns)) < 0)
            return AFTER_CLOSE;
        c->handshake_due = false;
    }
    while (read_head(c, &then)) {
        if (c->home->nactive > srv->conf.max_active) {
            say(c, 503, "Retry-After: 1\r\n", "too many requests in flight");
            return AFTER_LINGER;
        }
        switch (request_serve(c)) {
        case REQUEST_NEXT:
            if (++row % PIPELINED == 0)
                fiber_yield();
            break;
        case REQUEST_LAST:
            return c->len == 0 && c->rc->body_done && !c->s.readable ? AFTER_CLOSE : AFTER_LINGER;
        case REQUEST_BROKEN:
            return c->rc->cut ? AFTER_CUT : AFTER_CLOSE;
        }
    }
    return then == AFTER_IDLE && atomic_load_explicit(&srv->draining, memory_order_relaxed) ? AFTER_CLOSE : then;
}

static void
serve(void *arg)
{
    struct conn *c = arg;
    enum after   then = AFTER_CLOSE;

    CHECK(c, CONN_MAGIC);
    conn_enter(c, CONN_ACTIVE);
    c->home->nactive++;
    c->fiber = fiber_self();
    c->s.burst = 0; /* it comes from waiting */
    c->cancelled = false;
    c->buf = buf_take(HEAD_BUF);
    c->cap = HEAD_BUF;
    c->off = c->len = 0;
    c->rc = reqctx_take();
    if (c->buf != NULL && c->rc != NULL)
        then = serve_requests(c);
    if (c->rc != NULL) {
        (void)resp_flush(c);
        reqctx_give(c->rc);
    }
    buf_give(c->buf, c->cap);
    c->rc = NULL;
    c->buf = NULL;
    c->fiber = NULL;
    c->home->nactive--;
    switch (then) {
    case AFTER_IDLE:
        conn_enter(c, CONN_IDLE);
        return;
    case AFTER_LINGER:
        linger_begin(c);
        return;
    case AFTER_CUT:
        stream_cut(&c->s);
        conn_free(c);
        return;
    case AFTER_CLOSE:
        conn_free(c);
        return;
    }
}

/*
 * A client that ended its side and whose bytes were all read is taken for gone, although it might listen still: a request that it
 * no longer wants must not go on for minutes, and nobody else's server waits for it either (Go's cancels there, too). While its
 * body is being read the reader sees the end by itself.
 */
static bool
client_left(struct conn *c)
{
    if (c->raw != NULL)
        return raw_reset(c);
    switch (c->s.ops->peer(&c->s)) {
    case STREAM_PEER_GONE:
        return true;
    case STREAM_PEER_HALF:
        return c->len == 0 && c->rc->body_done;
    case STREAM_PEER_HERE:
        return false;
    }
    return false;
}

/* No fiber is left for it. */
static void
refuse(struct conn *c)
{
    struct iovec iov = { (void *)(uintptr_t)conn_busy_text, strlen(conn_busy_text) };

    if (c->handshake_due) {
        conn_free(c);
        return;
    }
    (void)c->s.ops->writev(&c->s, &iov, 1, false);
    linger_begin(c);
}

void
conn_event(struct stream *s, unsigned what)
{
    struct conn *c = CONTAINER_OF(s, struct conn, s);

    CHECK(c, CONN_MAGIC);
    switch (c->state) {
    case CONN_IDLE:
        if ((what & IOW_READ) && fiber_run(s->loop, "http", serve, c) < 0)
            refuse(c);
        return;
    case CONN_ACTIVE:
        if ((what & IOW_HUP) && c->in_request && !c->cancelled && client_left(c)) {
            c->cancelled = true;
            fiber_cancel(c->fiber);
        }
        return;
    case CONN_LINGER:
        if (what & IOW_READ)
            linger_on(c);
        return;
    case CONN_STATES:
        break;
    }
    ais_bug("connection in state %d", c->state);
}

void
conn_begin(struct per_loop *h, struct conn *c)
{
    conn_add(h, c, CONN_IDLE);
    reap_by(h, c->since + h->srv->conf.idle_ns);
}

void
conn_begin_lingering(struct per_loop *h, struct conn *c)
{
    conn_add(h, c, CONN_LINGER);
    linger_begin(c);
}

/* --- the end of connections --- */

void
conns_reap(struct timer *t)
{
    struct per_loop *h = CONTAINER_OF(t, struct per_loop, reaper);
    int64_t          idle_ns = h->srv->conf.idle_ns, now = loop_now(), next = now + idle_ns;
    struct conn     *c, *tmp;

    while ((c = TAILQ_FIRST(&h->conns[CONN_IDLE])) != NULL && c->since + idle_ns <= now)
        conn_free(c);
    if (c != NULL)
        next = c->since + idle_ns;
    for (c = TAILQ_FIRST(&h->conns[CONN_LINGER]); c != NULL; c = tmp) {
        int64_t end = MIN(c->since + LINGER_QUIET, c->until);

        tmp = TAILQ_NEXT(c, link);
        if (end <= now)
            conn_free(c);
        else
            next = MIN(next, end);
    }
    if (h->nconns > 0)
        reap_by(h, next);
}

void
conns_drain(struct per_loop *h)
{
    struct conn *c;

    TAILQ_FOREACH(c, &h->conns[CONN_ACTIVE], link)
        if (c->raw != NULL)
            raw_drain(c);
    while ((c = TAILQ_FIRST(&h->conns[CONN_IDLE])) != NULL)
        conn_free(c);
}

void
conns_forget(struct per_loop *h)
{
    for (unsigned i = 0; i < CONN_STATES; i++) {
        struct conn *c;

        while ((c = TAILQ_FIRST(&h->conns[i])) != NULL) {
            conn_forget(c);
            stream_forget(&c->s);
            free(c);
        }
    }
}

/* --- what the layers above see --- */

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

const char *
conn_tls_peer(const struct conn *c)
{
    return stream_tls_peer(&c->s);
}
