/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets, epoll, eventfd: a network of simulated hosts that speaks TCP as far as programs can tell.
 *
 * A connection has two directions. Each carries segments in order, every one with a time of arrival; what cannot cross a blocked link
 * waits and is sent again some time after the link is back. Reading gives the sender its window back, by a segment of its own the
 * other way: so a one-way partition also stops a sender that is not acknowledged. All addresses are loopback; who a packet is from
 * and for is told by the host that owns the socket.
 *
 * Runs on: simulated threads and events.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/util.h"
#include "impl.h"

#define SYN_RETRY SEC_NS(1)
#define RTO_MIN   MSEC_NS(200)
#define PORT_EPHEMERAL 40000

enum okind { O_EVENTFD, O_EPOLL, O_SOCK };
enum sstate { S_NEW, S_LISTEN, S_CONNECTING, S_CONN, S_FAILED };
enum segkind { SEG_DATA, SEG_FIN, SEG_RST, SEG_ESTAB, SEG_CREDIT };

struct watch {
    struct obj *ep, *target;
    uint32_t    events;
    epoll_data_t data;
    bool        ready;
    TAILQ_ENTRY(watch) rlink; /* the instance's ready list */
    TAILQ_ENTRY(watch) tlink; /* of the target */
    TAILQ_ENTRY(watch) elink; /* of the instance */
};

/* What a descriptor stands for. */
struct obj {
    enum okind    kind;
    int           fd;
    struct shost *host;
    bool          nonblock;
    TAILQ_HEAD(, watch) watches; /* by whom it is watched */
    union {
        uint64_t count; /* eventfd */
        struct {
            TAILQ_HEAD(, watch) all, ready;
        } ep;
        struct {
            enum sstate state;
            uint16_t    port;
            bool        reuse, linger0;
            int         error;
            struct conn *conn;
            unsigned    end;
            unsigned    nbacklog, max_backlog;
            TAILQ_HEAD(, obj) backlog;
        } so;
    };
    TAILQ_ENTRY(obj) link; /* listeners, or the backlog it waits in */
};

struct seg {
    int64_t      at;
    enum segkind kind;
    size_t       n; /* bytes, or window given back */
    STAILQ_ENTRY(seg) link;
    char         data[];
};

struct end {
    struct obj   *so; /* NULL = closed */
    struct shost *host;
    uint16_t      port;
    char         *rx; /* what came and was not read: [rx_at, rx_n) */
    size_t        rx_at, rx_n, rx_cap, unacked; /* unacked: read, and not yet told */
    bool          rx_fin, tx_fin, rst;
};

struct dir {
    STAILQ_HEAD(, seg) segs;
    int64_t last;      /* arrival of the newest segment */
    size_t  flight;    /* bytes that the window counts */
    bool    scheduled, stalled;
};

struct conn {
    uint64_t    id;
    struct end  e[2]; /* 0 connected, 1 accepted */
    struct dir  d[2]; /* d[i]: from e[i] */
    unsigned    events;
    int64_t     syn_wait;
    TAILQ_ENTRY(conn) link;
};

static struct {
    struct obj **tab;
    size_t       ntab, first_free;
    TAILQ_HEAD(, obj) listeners;
    TAILQ_HEAD(, conn) conns;
    uint64_t     nconns;
    uint16_t     next_port;
    uint8_t      blocked[SIM_HOSTS][SIM_HOSTS];
    struct sim_traffic traffic;
    bool         ready;
} n;

/* --- descriptors --- */

static void
net_init(void)
{
    if (n.ready)
        return;
    n.ready = true;
    TAILQ_INIT(&n.listeners);
    TAILQ_INIT(&n.conns);
    n.next_port = PORT_EPHEMERAL;
}

bool
sock_fd(int fd)
{
    return fd >= SIM_FD;
}

static struct obj *
obj_of(int fd)
{
    size_t i = (size_t)(fd - SIM_FD);

    return fd >= SIM_FD && i < n.ntab ? n.tab[i] : NULL;
}

static struct obj *
obj_new(enum okind kind)
{
    struct obj *o = xcalloc(1, sizeof(*o));
    size_t      i;

    net_init();
    for (i = n.first_free; i < n.ntab && n.tab[i] != NULL; i++)
        ;
    if (i >= n.ntab) {
        size_t more = MAX(n.ntab * 2, (size_t)256);

        n.tab = xrealloc(n.tab, more * sizeof(*n.tab));
        memset(n.tab + n.ntab, 0, (more - n.ntab) * sizeof(*n.tab));
        n.ntab = more;
    }
    n.tab[i] = o;
    n.first_free = i + 1;
    o->kind = kind;
    o->fd = SIM_FD + (int)i;
    o->host = sim.cur->host;
    TAILQ_INIT(&o->watches);
    return o;
}

/* --- readiness --- */

static size_t
space(const struct conn *c, unsigned end)
{
    size_t w = sim.conf.window;

    return c->d[end].flight < w ? w - c->d[end].flight : 0;
}

static uint32_t
sock_ready(const struct obj *o)
{
    const struct end *e;
    uint32_t          m = 0;

    switch (o->so.state) {
    case S_NEW:
        return EPOLLOUT | EPOLLHUP;
    case S_LISTEN:
        return o->so.nbacklog > 0 ? EPOLLIN : 0;
    case S_CONNECTING:
        return 0;
    case S_FAILED:
        return EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDHUP;
    case S_CONN:
        break;
    }
    e = &o->so.conn->e[o->so.end];
    if (e->rx_n > e->rx_at || e->rx_fin || e->rst)
        m |= EPOLLIN;
    if (e->rst || e->tx_fin || space(o->so.conn, o->so.end) > 0)
        m |= EPOLLOUT;
    if (e->rx_fin || e->rst)
        m |= EPOLLRDHUP;
    if (e->rst || (e->rx_fin && e->tx_fin))
        m |= EPOLLHUP;
    if (e->rst)
        m |= EPOLLERR;
    return m;
}

static uint32_t
obj_ready(const struct obj *o)
{
    switch (o->kind) {
    case O_EVENTFD:
        return EPOLLOUT | (o->count > 0 ? EPOLLIN : 0);
    case O_EPOLL:
        return TAILQ_EMPTY(&o->ep.ready) ? 0 : EPOLLIN;
    case O_SOCK:
        return sock_ready(o);
    }
    return 0;
}

/* Something happened: who watches looks again, who waits in a call goes on. */
static void
notify(struct obj *o)
{
    struct watch *w;

    TAILQ_FOREACH(w, &o->watches, tlink) {
        if (!w->ready) {
            w->ready = true;
            TAILQ_INSERT_TAIL(&w->ep->ep.ready, w, rlink);
        }
        sim_wake(w->ep, 1);
    }
    sim_wake(o, UINT32_MAX);
}

static void
watch_free(struct watch *w)
{
    if (w->ready)
        TAILQ_REMOVE(&w->ep->ep.ready, w, rlink);
    TAILQ_REMOVE(&w->target->watches, w, tlink);
    TAILQ_REMOVE(&w->ep->ep.all, w, elink);
    free(w);
}

/* --- segments --- */

static bool
unreachable(const struct shost *from, const struct shost *to)
{
    return n.blocked[from->index][to->index] > 0 || !to->powered;
}

static int64_t
link_delay(const struct shost *from, const struct shost *to)
{
    int64_t d;

    if (from == to)
        return srand_range(&sim.rng_net, 5000, 30000);
    d = srand_range(&sim.rng_net, sim.conf.delay_min, sim.conf.delay_max);
    if (srand_chance(&sim.rng_net, sim.conf.slow_ppm))
        d += srand_range(&sim.rng_net, 0, sim.conf.slow_max);
    if (srand_chance(&sim.rng_net, sim.conf.loss_ppm))
        d += srand_range(&sim.rng_net, RTO_MIN, 3 * RTO_MIN);
    return d;
}

static void dir_arrived(void *p, uint64_t i);

static void
dir_schedule(struct conn *c, unsigned i)
{
    struct seg *g = STAILQ_FIRST(&c->d[i].segs);

    if (g == NULL || c->d[i].scheduled || c->d[i].stalled)
        return;
    c->d[i].scheduled = true;
    c->events++;
    sim_at(g->at, dir_arrived, c, i);
}

static void
seg_send(struct conn *c, unsigned from, enum segkind kind, const struct iovec *iov, size_t bytes)
{
    struct dir   *d = &c->d[from];
    struct shost *a = c->e[from].host, *b = c->e[!from].host;
    struct seg   *g = xmalloc(sizeof(*g) + (iov != NULL ? bytes : 0));
    size_t        at = 0;

    g->kind = kind;
    g->n = bytes;
    for (; iov != NULL && at < bytes; iov++) {
        size_t k = MIN(bytes - at, iov->iov_len);

        memcpy(g->data + at, iov->iov_base, k);
        at += k;
    }
    g->at = MAX(sim.now + link_delay(a, b), d->last + 1);
    d->last = g->at;
    STAILQ_INSERT_TAIL(&d->segs, g, link);
    if (kind == SEG_DATA && a != b && a->index != 0 && b->index != 0) {
        n.traffic.segments++;
        n.traffic.bytes += bytes;
        a->sent += bytes;
    }
    if (kind == SEG_DATA)
        sim_note_bytes(g->data, bytes);
    sim_note('s', c->id << 1 | from, (uint64_t)kind << 32 | bytes);
    dir_schedule(c, from);
}

/* Both ends are closed and nothing is under way, or for ever held back. */
static void
conn_maybe_free(struct conn *c)
{
    struct seg *g;

    if (c->e[0].so != NULL || c->e[1].so != NULL || c->events > 0)
        return;
    for (unsigned i = 0; i < 2; i++) {
        while ((g = STAILQ_FIRST(&c->d[i].segs)) != NULL) {
            STAILQ_REMOVE_HEAD(&c->d[i].segs, link);
            free(g);
        }
        free(c->e[i].rx);
    }
    TAILQ_REMOVE(&n.conns, c, link);
    free(c);
}

static void
end_reset(struct conn *c, unsigned i)
{
    struct end *e = &c->e[i];

    if (e->so == NULL || e->rst)
        return;
    e->rst = true;
    if (e->so->so.state == S_CONNECTING) {
        e->so->so.state = S_FAILED;
        e->so->so.error = ECONNREFUSED;
    } else {
        e->so->so.error = ECONNRESET;
    }
    notify(e->so);
}

static void
rx_append(struct end *e, const char *p, size_t k)
{
    if (e->rx_at == e->rx_n)
        e->rx_at = e->rx_n = 0;
    if (e->rx_n + k > e->rx_cap) {
        e->rx_cap = MAX(e->rx_cap * 2, e->rx_n + k);
        e->rx = xrealloc(e->rx, e->rx_cap);
    }
    memcpy(e->rx + e->rx_n, p, k);
    e->rx_n += k;
}

static void
seg_arrive(struct conn *c, unsigned from, struct seg *g)
{
    unsigned    to = !from;
    struct end *e = &c->e[to];

    sim_note('r', c->id << 1 | from, (uint64_t)g->kind << 32 | g->n);
    if (g->kind == SEG_RST) {
        end_reset(c, to);
        return;
    }
    if (e->so == NULL) { /* closed: who still sends is told */
        if (g->kind == SEG_DATA || g->kind == SEG_ESTAB)
            seg_send(c, to, SEG_RST, NULL, 0);
        return;
    }
    if (e->rst)
        return;
    switch (g->kind) {
    case SEG_DATA:
        rx_append(e, g->data, g->n);
        break;
    case SEG_FIN:
        e->rx_fin = true;
        break;
    case SEG_ESTAB:
        if (e->so->so.state != S_CONNECTING)
            return;
        e->so->so.state = S_CONN;
        break;
    case SEG_CREDIT:
        c->d[to].flight -= MIN(g->n, c->d[to].flight);
        break;
    case SEG_RST:
        return;
    }
    notify(e->so);
}

static void
dir_arrived(void *p, uint64_t i)
{
    struct conn *c = p;
    struct dir  *d = &c->d[i];
    struct seg  *g;

    d->scheduled = false;
    c->events--;
    while ((g = STAILQ_FIRST(&d->segs)) != NULL && g->at <= sim.now) {
        if (unreachable(c->e[i].host, c->e[!i].host)) {
            d->stalled = true;
            conn_maybe_free(c);
            return;
        }
        STAILQ_REMOVE_HEAD(&d->segs, link);
        if (c->e[i].host != c->e[!i].host && srand_chance(&sim.rng_net, sim.conf.reset_ppm)) {
            end_reset(c, 0);
            end_reset(c, 1);
        }
        seg_arrive(c, (unsigned)i, g);
        free(g);
    }
    dir_schedule(c, (unsigned)i);
    conn_maybe_free(c);
}

/* What waited for a link, or a machine, is sent again some time after it is back. */
void
sock_unstall(void)
{
    struct conn *c;

    net_init();
    TAILQ_FOREACH(c, &n.conns, link)
        for (unsigned i = 0; i < 2; i++) {
            struct dir *d = &c->d[i];
            struct seg *g;
            int64_t     at = sim.now;

            if (!d->stalled || unreachable(c->e[i].host, c->e[!i].host))
                continue;
            d->stalled = false;
            at += srand_range(&sim.rng_net, MSEC_NS(1), 2 * RTO_MIN);
            STAILQ_FOREACH(g, &d->segs, link) {
                g->at = MAX(g->at, at);
                at = g->at + 1;
            }
            d->last = MAX(d->last, at);
            dir_schedule(c, i);
        }
}

void
sim_net_block(unsigned from, unsigned to, bool on)
{
    sim_note('N', from << 16 | to, on);
    n.blocked[from][to] = on;
    if (!on)
        sock_unstall();
}

bool
sim_net_blocked(unsigned from, unsigned to)
{
    return n.blocked[from][to] > 0;
}

void
sim_net_heal(void)
{
    sim_note('N', 0, 2);
    memset(n.blocked, 0, sizeof(n.blocked));
    sock_unstall();
}

void
sim_net_calm(void)
{
    sim.conf.slow_ppm = sim.conf.loss_ppm = sim.conf.reset_ppm = 0;
}

void
sim_net_traffic(struct sim_traffic *out)
{
    *out = n.traffic;
}

/* --- connections --- */

static struct obj *
listener_find(uint16_t port)
{
    struct obj *o, *found = NULL;
    unsigned    seen = 0;

    TAILQ_FOREACH(o, &n.listeners, link)
        if (o->so.port == port && srand_next(&sim.rng_net) % ++seen == 0)
            found = o;
    return found;
}

/* Whose port is it? So that packets for a host that is down, or cut off, go where they would. */
static uint8_t port_host[65536];

static void
conn_syn(void *p, uint64_t v)
{
    struct conn *c = p;
    struct obj  *l, *o;

    UNUSED(v);
    c->events--;
    if (c->e[0].so == NULL) {
        conn_maybe_free(c);
        return;
    }
    if (unreachable(c->e[0].host, c->e[1].host)) {
        c->syn_wait *= 2;
        c->events++;
        sim_at(sim.now + c->syn_wait, conn_syn, c, 0);
        return;
    }
    l = listener_find(c->e[1].port);
    if (l == NULL || l->so.nbacklog >= l->so.max_backlog) {
        seg_send(c, 1, SEG_RST, NULL, 0);
        return;
    }
    o = obj_new(O_SOCK);
    o->host = l->host;
    o->so.state = S_CONN;
    o->so.port = l->so.port;
    o->so.conn = c;
    o->so.end = 1;
    c->e[1].so = o;
    TAILQ_INSERT_TAIL(&l->so.backlog, o, link);
    l->so.nbacklog++;
    seg_send(c, 1, SEG_ESTAB, NULL, 0);
    notify(l);
}

static struct conn *
conn_new(struct obj *o, uint16_t port)
{
    struct conn *c = xcalloc(1, sizeof(*c));

    c->id = ++n.nconns;
    c->syn_wait = SYN_RETRY;
    c->e[0] = (struct end){ .so = o, .host = o->host, .port = n.next_port };
    c->e[1] = (struct end){ .host = &sim.host[port_host[port]], .port = port };
    n.next_port = n.next_port == 65535 ? PORT_EPHEMERAL : n.next_port + 1;
    STAILQ_INIT(&c->d[0].segs);
    STAILQ_INIT(&c->d[1].segs);
    TAILQ_INSERT_TAIL(&n.conns, c, link);
    c->events++;
    if (c->e[0].host != c->e[1].host && o->host->index != 0 && port_host[port] != 0)
        n.traffic.connects++;
    sim_note('c', c->id, (uint64_t)o->host->index << 32 | port);
    sim_at(sim.now + link_delay(c->e[0].host, c->e[1].host), conn_syn, c, 0);
    return c;
}

/* The program lets go of its end. hard: the peer sees a reset. */
static void
end_close(struct conn *c, unsigned i, bool hard, bool silent)
{
    struct end *e = &c->e[i];

    e->so = NULL;
    if (!silent && !e->rst) {
        if (hard || e->rx_n > e->rx_at)
            seg_send(c, i, SEG_RST, NULL, 0);
        else if (!e->tx_fin)
            seg_send(c, i, SEG_FIN, NULL, 0);
    }
    e->tx_fin = true;
    conn_maybe_free(c);
}

static void obj_free(struct obj *o, bool hard, bool silent);

static void
sock_free(struct obj *o, bool hard, bool silent)
{
    struct obj *b;

    if (o->so.state == S_LISTEN) {
        TAILQ_REMOVE(&n.listeners, o, link);
        while ((b = TAILQ_FIRST(&o->so.backlog)) != NULL) {
            TAILQ_REMOVE(&o->so.backlog, b, link);
            obj_free(b, true, silent);
        }
    }
    if (o->so.conn != NULL)
        end_close(o->so.conn, o->so.end, hard || o->so.linger0, silent);
}

static void
obj_free(struct obj *o, bool hard, bool silent)
{
    struct watch *w;
    size_t        i = (size_t)(o->fd - SIM_FD);

    while ((w = TAILQ_FIRST(&o->watches)) != NULL)
        watch_free(w);
    if (o->kind == O_EPOLL)
        while ((w = TAILQ_FIRST(&o->ep.all)) != NULL)
            watch_free(w);
    if (o->kind == O_SOCK)
        sock_free(o, hard, silent);
    n.tab[i] = NULL;
    n.first_free = MIN(n.first_free, i);
    free(o);
}

static bool
in_backlog(const struct obj *o)
{
    struct obj *l, *b;

    TAILQ_FOREACH(l, &n.listeners, link)
        TAILQ_FOREACH(b, &l->so.backlog, link)
            if (b == o)
                return true;
    return false;
}

void
sock_host_killed(struct shost *h, bool silent)
{
    for (size_t i = 0; i < n.ntab; i++)
        if (n.tab[i] != NULL && n.tab[i]->host == h && !(n.tab[i]->kind == O_SOCK && in_backlog(n.tab[i])))
            obj_free(n.tab[i], true, silent);
}

int
sock_close(int fd)
{
    struct obj *o = obj_of(fd);

    if (o == NULL) {
        errno = EBADF;
        return -1;
    }
    obj_free(o, false, false);
    return 0;
}

/* --- socket calls --- */

static int
fail(int error)
{
    errno = error;
    return -1;
}

static struct obj *
sock_of(int fd)
{
    struct obj *o = obj_of(fd);

    return o != NULL && o->kind == O_SOCK ? o : NULL;
}

WRAP(int, socket, int family, int type, int proto)
{
    struct obj *o;

    if (!sim.on || (family != AF_INET && family != AF_INET6))
        return __real_socket(family, type, proto);
    o = obj_new(O_SOCK);
    o->nonblock = (type & SOCK_NONBLOCK) != 0;
    TAILQ_INIT(&o->so.backlog);
    return o->fd;
}

static uint16_t
port_of(const struct sockaddr *a)
{
    return ntohs(a->sa_family == AF_INET ? ((const struct sockaddr_in *)(const void *)a)->sin_port
                                         : ((const struct sockaddr_in6 *)(const void *)a)->sin6_port);
}

WRAP(int, bind, int fd, const struct sockaddr *a, socklen_t len)
{
    struct obj *o = sock_of(fd), *l;
    uint16_t    port;

    if (o == NULL)
        return __real_bind(fd, a, len);
    port = port_of(a);
    TAILQ_FOREACH(l, &n.listeners, link)
        if (port != 0 && l->so.port == port && !(l->so.reuse && o->so.reuse && l->host == o->host))
            return fail(EADDRINUSE);
    if (port == 0) {
        port = n.next_port;
        n.next_port = n.next_port == 65535 ? PORT_EPHEMERAL : n.next_port + 1;
    }
    o->so.port = port;
    return 0;
}

WRAP(int, listen, int fd, int backlog)
{
    struct obj *o = sock_of(fd);

    if (o == NULL)
        return __real_listen(fd, backlog);
    o->so.state = S_LISTEN;
    o->so.max_backlog = (unsigned)MAX(backlog, 1);
    TAILQ_INSERT_TAIL(&n.listeners, o, link);
    port_host[o->so.port] = (uint8_t)o->host->index;
    sim_note('L', o->host->index, o->so.port);
    return 0;
}

static void
addr_out(uint16_t port, struct sockaddr *a, socklen_t *len)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    if (a == NULL || len == NULL)
        return;
    memcpy(a, &in, MIN((size_t)*len, sizeof(in)));
    *len = sizeof(in);
}

WRAP(int, accept4, int fd, struct sockaddr *a, socklen_t *len, int flags)
{
    struct obj *l = sock_of(fd), *o;

    if (l == NULL)
        return __real_accept4(fd, a, len, flags);
    while ((o = TAILQ_FIRST(&l->so.backlog)) == NULL) {
        if (l->nonblock)
            return fail(EAGAIN);
        (void)sim_block(l, NEVER);
    }
    TAILQ_REMOVE(&l->so.backlog, o, link);
    l->so.nbacklog--;
    o->nonblock = (flags & SOCK_NONBLOCK) != 0;
    TAILQ_INIT(&o->so.backlog);
    addr_out(o->so.conn->e[0].port, a, len);
    return o->fd;
}

WRAP(int, connect, int fd, const struct sockaddr *a, socklen_t len)
{
    struct obj *o = sock_of(fd);

    if (o == NULL)
        return __real_connect(fd, a, len);
    o->so.state = S_CONNECTING;
    o->so.conn = conn_new(o, port_of(a));
    o->so.end = 0;
    if (o->nonblock)
        return fail(EINPROGRESS);
    while (o->so.state == S_CONNECTING)
        (void)sim_block(o, NEVER);
    return o->so.state == S_CONN ? 0 : fail(o->so.error);
}

WRAP(int, getpeername, int fd, struct sockaddr *a, socklen_t *len)
{
    struct obj *o = sock_of(fd);

    if (o == NULL)
        return __real_getpeername(fd, a, len);
    if (o->so.state != S_CONN || o->so.conn->e[o->so.end].rst)
        return fail(ENOTCONN);
    addr_out(o->so.conn->e[!o->so.end].port, a, len);
    return 0;
}

WRAP(int, getsockname, int fd, struct sockaddr *a, socklen_t *len)
{
    struct obj *o = sock_of(fd);

    if (o == NULL)
        return __real_getsockname(fd, a, len);
    addr_out(o->so.conn != NULL ? o->so.conn->e[o->so.end].port : o->so.port, a, len);
    return 0;
}

WRAP(int, setsockopt, int fd, int level, int name, const void *v, socklen_t len)
{
    struct obj *o = sock_of(fd);

    if (o == NULL)
        return sock_fd(fd) ? fail(EBADF) : __real_setsockopt(fd, level, name, v, len);
    if (level == SOL_SOCKET && name == SO_LINGER)
        o->so.linger0 = ((const struct linger *)v)->l_onoff && ((const struct linger *)v)->l_linger == 0;
    if (level == SOL_SOCKET && name == SO_REUSEPORT)
        o->so.reuse = *(const int *)v != 0;
    return 0;
}

WRAP(int, getsockopt, int fd, int level, int name, void *v, socklen_t *len)
{
    struct obj *o = sock_of(fd);

    if (o == NULL)
        return sock_fd(fd) ? fail(EBADF) : __real_getsockopt(fd, level, name, v, len);
    if (level != SOL_SOCKET || name != SO_ERROR)
        return fail(ENOPROTOOPT);
    *(int *)v = o->so.error;
    *len = sizeof(int);
    o->so.error = 0;
    return 0;
}

/* Give the window back, not for every byte. */
static void
credit(struct conn *c, unsigned end, size_t k)
{
    struct end *e = &c->e[end];

    e->unacked += k;
    if (e->unacked < sim.conf.window / 4)
        return;
    seg_send(c, end, SEG_CREDIT, NULL, e->unacked);
    e->unacked = 0;
}

static ssize_t
conn_recv(struct obj *o, void *p, size_t k, int flags)
{
    struct conn *c = o->so.conn;
    struct end  *e;

    for (;;) {
        if (o->so.state == S_FAILED || o->so.state == S_NEW)
            return fail(ENOTCONN);
        e = c != NULL ? &c->e[o->so.end] : NULL;
        if (o->so.state == S_CONN && e->rx_n > e->rx_at) {
            k = MIN(k, e->rx_n - e->rx_at);
            if (p != NULL && k > 0)
                memcpy(p, e->rx + e->rx_at, k);
            if (!(flags & MSG_PEEK)) {
                e->rx_at += k;
                credit(c, o->so.end, k);
            }
            return (ssize_t)k;
        }
        if (o->so.state == S_CONN && e->rst)
            return fail(ECONNRESET);
        if (o->so.state == S_CONN && e->rx_fin)
            return 0;
        if (o->nonblock || (flags & MSG_DONTWAIT))
            return fail(EAGAIN);
        (void)sim_block(o, NEVER);
    }
}

static ssize_t
conn_send(struct obj *o, const struct iovec *iov, size_t total, int flags)
{
    struct conn *c = o->so.conn;
    size_t       k;

    for (;;) {
        if (o->so.state == S_FAILED || o->so.state == S_NEW)
            return fail(ENOTCONN);
        if (o->so.state == S_CONN) {
            if (c->e[o->so.end].rst || c->e[o->so.end].tx_fin)
                return fail(c->e[o->so.end].rst ? ECONNRESET : EPIPE);
            k = MIN(total, space(c, o->so.end));
            if (k > 0 || total == 0) {
                c->d[o->so.end].flight += k;
                if (k > 0)
                    seg_send(c, o->so.end, SEG_DATA, iov, k);
                return (ssize_t)k;
            }
        }
        if (o->nonblock || (flags & MSG_DONTWAIT))
            return fail(EAGAIN);
        (void)sim_block(o, NEVER);
    }
}

WRAP(ssize_t, recv, int fd, void *p, size_t k, int flags)
{
    struct obj *o = sock_of(fd);

    return o == NULL ? __real_recv(fd, p, k, flags) : conn_recv(o, p, k, flags);
}

WRAP(ssize_t, send, int fd, const void *p, size_t k, int flags)
{
    struct obj  *o = sock_of(fd);
    struct iovec iov = { (void *)(uintptr_t)p, k };

    return o == NULL ? __real_send(fd, p, k, flags) : conn_send(o, &iov, k, flags);
}

WRAP(ssize_t, sendmsg, int fd, const struct msghdr *m, int flags)
{
    struct obj *o = sock_of(fd);
    size_t      total = 0;

    if (o == NULL)
        return __real_sendmsg(fd, m, flags);
    for (size_t i = 0; i < m->msg_iovlen; i++)
        total += m->msg_iov[i].iov_len;
    return conn_send(o, m->msg_iov, total, flags);
}

REAL(ssize_t, pread, int fd, void *p, size_t k, off_t off);

WRAP(ssize_t, sendfile, int out, int in, off_t *off, size_t k)
{
    struct obj *o = sock_of(out);
    struct iovec iov;
    char        *buf;
    ssize_t      got;

    if (o == NULL)
        return __real_sendfile(out, in, off, k);
    if (o->so.state == S_CONN)
        k = MIN(k, MAX(space(o->so.conn, o->so.end), (size_t)1));
    buf = xmalloc(k + 1);
    got = __real_pread(in, buf, k, *off);
    iov = (struct iovec){ buf, got > 0 ? (size_t)got : 0 };
    if (got > 0)
        got = conn_send(o, &iov, (size_t)got, MSG_DONTWAIT);
    if (got > 0)
        *off += got;
    free(buf);
    return got;
}

WRAP(int, shutdown, int fd, int how)
{
    struct obj *o = sock_of(fd);
    struct end *e;

    if (o == NULL)
        return __real_shutdown(fd, how);
    if (o->so.state != S_CONN)
        return fail(ENOTCONN);
    e = &o->so.conn->e[o->so.end];
    if (how != SHUT_RD && !e->tx_fin && !e->rst) {
        e->tx_fin = true;
        seg_send(o->so.conn, o->so.end, SEG_FIN, NULL, 0);
    }
    return 0;
}

long
sock_read(int fd, void *p, size_t k)
{
    struct obj *o = obj_of(fd);

    if (o == NULL)
        return fail(EBADF);
    if (o->kind == O_SOCK)
        return conn_recv(o, p, k, 0);
    while (o->count == 0) {
        if (o->nonblock)
            return fail(EAGAIN);
        (void)sim_block(o, NEVER);
    }
    memcpy(p, &o->count, sizeof(o->count));
    o->count = 0;
    return sizeof(o->count);
}

long
sock_write(int fd, const void *p, size_t k)
{
    struct obj  *o = obj_of(fd);
    struct iovec iov = { (void *)(uintptr_t)p, k };
    uint64_t     v;

    if (o == NULL)
        return fail(EBADF);
    if (o->kind == O_SOCK)
        return conn_send(o, &iov, k, 0);
    memcpy(&v, p, sizeof(v));
    o->count += v;
    notify(o);
    sim_preempt();
    return sizeof(v);
}

/* --- epoll, poll, eventfd --- */

WRAP(int, eventfd, unsigned init, int flags)
{
    struct obj *o;

    if (!sim.on)
        return __real_eventfd(init, flags);
    o = obj_new(O_EVENTFD);
    o->count = init;
    o->nonblock = (flags & EFD_NONBLOCK) != 0;
    return o->fd;
}

WRAP(int, epoll_create1, int flags)
{
    struct obj *o;

    if (!sim.on)
        return __real_epoll_create1(flags);
    o = obj_new(O_EPOLL);
    TAILQ_INIT(&o->ep.all);
    TAILQ_INIT(&o->ep.ready);
    return o->fd;
}

WRAP(int, epoll_ctl, int epfd, int op, int fd, struct epoll_event *ev)
{
    struct obj   *ep = obj_of(epfd), *o = obj_of(fd);
    struct watch *w = NULL;

    if (ep == NULL)
        return __real_epoll_ctl(epfd, op, fd, ev);
    if (o == NULL)
        return fail(sock_fd(fd) ? EBADF : EPERM);
    TAILQ_FOREACH(w, &o->watches, tlink)
        if (w->ep == ep)
            break;
    if (op == EPOLL_CTL_ADD ? w != NULL : w == NULL)
        return fail(op == EPOLL_CTL_ADD ? EEXIST : ENOENT);
    if (op == EPOLL_CTL_DEL) {
        watch_free(w);
        return 0;
    }
    if (w == NULL) {
        w = xcalloc(1, sizeof(*w));
        w->ep = ep;
        w->target = o;
        TAILQ_INSERT_TAIL(&o->watches, w, tlink);
        TAILQ_INSERT_TAIL(&ep->ep.all, w, elink);
    }
    w->events = ev->events;
    w->data = ev->data;
    if (!w->ready && (obj_ready(o) & (w->events | EPOLLERR | EPOLLHUP))) {
        w->ready = true;
        TAILQ_INSERT_TAIL(&ep->ep.ready, w, rlink);
        sim_wake(ep, 1);
    }
    return 0;
}

static int
epoll_collect(struct obj *ep, struct epoll_event *ev, int max)
{
    TAILQ_HEAD(, watch) again = TAILQ_HEAD_INITIALIZER(again);
    struct watch *w;
    int           k = 0;

    while (k < max && (w = TAILQ_FIRST(&ep->ep.ready)) != NULL) {
        uint32_t m = obj_ready(w->target) & (w->events | EPOLLERR | EPOLLHUP);

        TAILQ_REMOVE(&ep->ep.ready, w, rlink);
        w->ready = false;
        if (m == 0)
            continue;
        ev[k].events = m;
        ev[k++].data = w->data;
        if (!(w->events & EPOLLET)) {
            w->ready = true;
            TAILQ_INSERT_TAIL(&again, w, rlink);
        }
    }
    while ((w = TAILQ_FIRST(&again)) != NULL) {
        TAILQ_REMOVE(&again, w, rlink);
        TAILQ_INSERT_TAIL(&ep->ep.ready, w, rlink);
    }
    return k;
}

WRAP(int, epoll_wait, int epfd, struct epoll_event *ev, int max, int ms)
{
    struct obj *ep = obj_of(epfd);
    int64_t     until = ms < 0 ? NEVER : sim.now + MSEC_NS(ms);
    int         k;

    if (ep == NULL)
        return __real_epoll_wait(epfd, ev, max, ms);
    sim.cur->loop = true;
    while ((k = epoll_collect(ep, ev, max)) == 0 && ms != 0)
        if (sim_block(ep, until) != 0)
            return epoll_collect(ep, ev, max);
    return k;
}

static int
poll_collect(struct pollfd *p, nfds_t np)
{
    int found = 0;

    for (nfds_t i = 0; i < np; i++) {
        struct obj *o = obj_of(p[i].fd);
        uint32_t    m = o == NULL ? (uint32_t)POLLNVAL : obj_ready(o);

        p[i].revents = (short)(m & ((uint32_t)p[i].events | POLLERR | POLLHUP | POLLNVAL));
        found += p[i].revents != 0;
    }
    return found;
}

/* Only of one descriptor when it may wait: more is not needed so far. */
WRAP(int, poll, struct pollfd *p, nfds_t np, int ms)
{
    int64_t until = ms < 0 ? NEVER : sim.now + MSEC_NS(ms);
    int     k;

    if (!sim.on || np == 0 || !sock_fd(p[0].fd))
        return __real_poll(p, np, ms);
    ASSERT(np == 1 || ms == 0);
    while ((k = poll_collect(p, np)) == 0 && ms != 0)
        if (sim_block(obj_of(p[0].fd), until) != 0)
            return poll_collect(p, np);
    return k;
}
