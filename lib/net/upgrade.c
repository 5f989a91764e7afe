/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that leave HTTP: the server's side, and bytes in and out on either. Runs on: the connection's loop. */
#include "net/upgrade.h"

#include <string.h>

#include "base/assert.h"
#include "base/util.h"
#include "net/net_impl.h"

/* --- taking over --- */

/* Is word among the comma-separated items of the header? */
static bool
lists(const struct req *r, struct str name, struct str word)
{
    unsigned   it = 0;
    struct str v, item;

    while (http1_hdr_next(r->head, name, &it, &v))
        while (str_split(&v, ',', &item))
            if (str_ieq(str_trim(item), word))
                return true;
    return false;
}

bool
req_wants_upgrade(const struct req *r, const char *proto)
{
    return lists(r, STR_LIT("Connection"), STR_LIT("upgrade")) && lists(r, STR_LIT("Upgrade"), str_z(proto));
}

static struct raw *
raw_of_req(struct req *r)
{
    struct raw  *w = arena_zalloc(r->arena, sizeof(*w));
    struct conn *c = r->conn;

    if (w != NULL)
        *w = (struct raw){ .magic = RAW_MAGIC, .s = &c->s, .buf = &c->buf, .off = &c->off, .len = &c->len, .r = r };
    return w;
}

int
resp_upgrade(struct req *r, const char *proto, struct raw **out)
{
    struct conn *c = r->conn;
    struct raw  *w;

    CHECK(r, REQ_MAGIC);
    ASSERT(!r->resp.started);
    if (!req_wants_upgrade(r, proto) || r->head->minor == 0 || !rctx(r)->body_done)
        return -AIS_E_BADREQ;
    if (atomic_load_explicit(&r->srv->draining, memory_order_relaxed))
        return -AIS_E_UNAVAIL;
    w = raw_of_req(r);
    if (w == NULL)
        return -AIS_E_NOMEM;
    resp_hdr(r, "Connection", STR_LIT("Upgrade"));
    resp_hdr(r, "Upgrade", str_z(proto));
    c->raw = w; /* before it is sent: a drain in between is not missed */
    resp_send(r, 101, NULL, STR_LIT(""));
    c->close = true;
    if (r->resp.failed)
        return -AIS_E_CLOSED;
    *out = w;
    return 0;
}

bool
raw_reset(struct conn *c)
{
    /* After our own end its end completes the connection: no reset. */
    return !c->raw->ended && c->s.ops->peer(&c->s) == STREAM_PEER_GONE;
}

void
raw_drain(struct conn *c)
{
    stream_tell(&c->s, -AIS_E_UNAVAIL);
}

/* --- bytes --- */

static size_t
take_buffered(struct raw *w, void *p, size_t n)
{
    n = MIN(n, *w->len);
    if (n > 0)
        memcpy(p, *w->buf + *w->off, n);
    *w->off += n;
    *w->len -= n;
    return n;
}

ssize_t
raw_recv(struct raw *w, void *p, size_t n, int64_t deadline)
{
    CHECK(w, RAW_MAGIC);
    if (*w->len > 0)
        return (ssize_t)take_buffered(w, p, n);
    return stream_recv(w->s, p, n, deadline);
}

ssize_t
raw_recv_now(struct raw *w, void *p, size_t n)
{
    ssize_t k;

    CHECK(w, RAW_MAGIC);
    if (*w->len > 0)
        return (ssize_t)take_buffered(w, p, n);
    if (w->s->broken)
        return -AIS_E_CLOSED;
    k = stream_recv_now(w->s, p, n);
    return k == STREAM_WANT_READ || k == STREAM_WANT_WRITE ? -AIS_E_AGAIN : k;
}

int
raw_send(struct raw *w, struct iovec *iov, int n, bool more, int64_t stall_ns)
{
    CHECK(w, RAW_MAGIC);
    return stream_send(w->s, iov, n, more, stall_ns);
}

int
raw_file(struct raw *w, int fd, uint64_t off, uint64_t len, int64_t stall_ns)
{
    CHECK(w, RAW_MAGIC);
    return stream_sendfile(w->s, fd, off, len, false, stall_ns);
}

void
raw_end(struct raw *w)
{
    CHECK(w, RAW_MAGIC);
    if (!w->ended && !w->s->broken)
        w->s->ops->shutdown(w->s);
    w->ended = true;
}

void
raw_break(struct raw *w)
{
    CHECK(w, RAW_MAGIC);
    if (w->r != NULL)
        w->r->resp.failed = true;
    stream_break(w->s);
}
