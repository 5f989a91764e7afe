/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers: a SO_REUSEPORT listener on each loop, accepting, refusing, draining.
 *
 * Runs on: each listener on its loop; http_* on the thread of the caller.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"
#include "net/net_impl.h"

#define ACCEPT_BATCH  64          /* then other connections have their turn */
#define LINGER_SPARE  256         /* refused connections of one loop that may linger above max_conns */
#define ACCEPT_PAUSE  MSEC_NS(100)

/* --- accepting --- */

/* One connection too many: 503, and time for the client to read it. It cannot be told by TLS, which would cost a handshake. */
static void
refuse(struct per_loop *h, int fd)
{
    struct conn *c;

    if (h->srv->conf.tls == NULL)
        (void)send(fd, conn_busy_text, strlen(conn_busy_text), MSG_NOSIGNAL | MSG_DONTWAIT);
    c = h->nconns < h->srv->conf.max_conns + LINGER_SPARE && h->srv->conf.tls == NULL ? calloc(1, sizeof(*c)) : NULL;
    if (c == NULL || stream_open(&c->s, h->loop, fd, conn_event) < 0) {
        free(c);
        close(fd);
        return;
    }
    conn_begin_lingering(h, c);
}

static void
accept_one(struct per_loop *h, int fd, const union peer_addr *from)
{
    struct tls_ctx *tls = h->srv->conf.tls;
    struct conn    *c;

    if (h->nconns >= h->srv->conf.max_conns) {
        refuse(h, fd);
        return;
    }
    c = calloc(1, sizeof(*c));
    if (c == NULL || stream_open(&c->s, h->loop, fd, conn_event) < 0) {
        free(c);
        close(fd);
        return;
    }
    c->remote = *from;
    if (tls != NULL && stream_tls_accept(&c->s, tls) < 0) {
        stream_close(&c->s);
        free(c);
        return;
    }
    c->handshake_due = tls != NULL;
    conn_begin(h, c);
}

static void
spare_open(struct per_loop *h)
{
    if (h->spare_fd < 0)
        h->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_accept(struct iowatch *w, unsigned what);

static void
accept_again(struct timer *t)
{
    struct per_loop *h = CONTAINER_OF(t, struct per_loop, resume);

    spare_open(h);
    if (h->spare_fd < 0 || iowatch_add_level(h->loop, &h->listener, h->listen_fd, on_accept) < 0)
        timer_arm(h->loop, &h->resume, loop_now() + ACCEPT_PAUSE);
}

/*
 * No descriptor is left. The one kept in reserve lets the connection in and out again, so that its client knows; when even that
 * one is lost to another thread, the listener, which is level-triggered and would keep the loop awake, rests for a while.
 */
static void
out_of_descriptors(struct per_loop *h)
{
    int fd;

    fd_close(&h->spare_fd);
    fd = accept4(h->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        if (h->srv->conf.tls == NULL)
            (void)send(fd, conn_busy_text, strlen(conn_busy_text), MSG_NOSIGNAL | MSG_DONTWAIT);
        close(fd);
    }
    spare_open(h);
    if (h->spare_fd < 0) {
        iowatch_del(&h->listener);
        timer_arm(h->loop, &h->resume, loop_now() + ACCEPT_PAUSE);
    }
}

static void
accept_failed(struct per_loop *h, int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
        if (clock_mono() - h->complained > SEC_NS(10)) {
            h->complained = clock_mono();
            log_error("out of file descriptors: connections are refused", { "server", LZ(h->srv->conf.name) });
        }
        out_of_descriptors(h);
        return;
    case ENOBUFS:
    case ENOMEM:
        iowatch_del(&h->listener);
        timer_arm(h->loop, &h->resume, loop_now() + ACCEPT_PAUSE);
        return;
    default: /* EAGAIN, or something about the connection that was lost, see accept(2) */
        return;
    }
}

static void
on_accept(struct iowatch *w, unsigned what)
{
    struct per_loop *h = CONTAINER_OF(w, struct per_loop, listener);

    UNUSED(what);
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        union peer_addr from;
        socklen_t       n = sizeof(from);
        int             fd;

        memset(&from, 0, sizeof(from));
        fd = accept4(h->listen_fd, &from.sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            accept_failed(h, errno);
            return;
        }
        accept_one(h, fd, &from);
    }
}

/* --- listening --- */

/* ai's address with that port; its length. */
static socklen_t
with_port(const struct addrinfo *ai, uint16_t port, union peer_addr *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out, ai->ai_addr, MIN((size_t)ai->ai_addrlen, sizeof(*out)));
    if (ai->ai_family == AF_INET)
        out->in.sin_port = htons(port);
    else
        out->in6.sin6_port = htons(port);
    return ai->ai_addrlen;
}

static int
bind_one(const struct addrinfo *ai, uint16_t *port, int *out)
{
    union peer_addr a;
    socklen_t       n = with_port(ai, *port, &a);
    auto_close int  fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int             one = 1, off = 0;

    if (fd < 0)
        return err_from_errno(errno);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (ai->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 || bind(fd, &a.sa, n) < 0 || listen(fd, 4096) < 0)
        return err_from_errno(errno);
    n = sizeof(a);
    if (getsockname(fd, &a.sa, &n) < 0)
        return err_from_errno(errno);
    *port = ntohs(a.sa.sa_family == AF_INET ? a.in.sin_port : a.in6.sin6_port);
    *out = fd;
    fd = -1;
    return 0;
}

/* Is somebody else listening there? SO_REUSEPORT would silently share the port with another program of the same user. */
static bool
port_taken(const struct addrinfo *ai, uint16_t port)
{
    union peer_addr a;
    socklen_t       n = with_port(ai, port, &a);
    auto_close int  fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int             one = 1;

    if (port == 0 || fd < 0)
        return false;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    return bind(fd, &a.sa, n) < 0 && errno == EADDRINUSE;
}

/* --- on every loop --- */

struct on_loop {
    struct msg       msg;
    struct per_loop *h;
    struct park      park;
};

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

static void
listen_on_loop(struct msg *m)
{
    struct on_loop *o = CONTAINER_OF(m, struct on_loop, msg);

    spare_open(o->h);
    park_wake(&o->park, iowatch_add_level(o->h->loop, &o->h->listener, o->h->listen_fd, on_accept));
}

static void
drain_on_loop(struct msg *m)
{
    struct on_loop  *o = CONTAINER_OF(m, struct on_loop, msg);
    struct per_loop *h = o->h;

    iowatch_del(&h->listener);
    timer_disarm(h->loop, &h->resume);
    fd_close(&h->listen_fd);
    fd_close(&h->spare_fd);
    conns_drain(h);
    park_wake(&o->park, 0);
}

/* --- servers --- */

static int64_t
or_default(int64_t v, int64_t d)
{
    return v > 0 ? v : d;
}

static void
conf_defaults(struct http_conf *f)
{
    f->max_head = f->max_head > 0 ? f->max_head : 64 * KIB;
    f->max_body = f->max_body > 0 ? f->max_body : 16 * MIB;
    f->head_ns = or_default(f->head_ns, SEC_NS(16));
    f->idle_ns = or_default(f->idle_ns, SEC_NS(30));
    f->stall_ns = or_default(f->stall_ns, SEC_NS(60));
    f->max_conns = f->max_conns > 0 ? f->max_conns : 32768;
    f->max_active = f->max_active > 0 ? f->max_active : 8192;
}

static struct http_server *
server_new(struct run *run, const struct http_conf *conf, uint16_t port)
{
    struct http_server *s = xcalloc(1, sizeof(*s));

    s->magic = HSRV_MAGIC;
    s->run = run;
    s->conf = *conf;
    conf_defaults(&s->conf);
    s->port = port;
    s->routes = routes_compile(conf->routes, conf->nroutes);
    s->loops = xcalloc(run_nloops(run), sizeof(*s->loops));
    for (unsigned i = 0; i < run_nloops(run); i++) {
        struct per_loop *h = &s->loops[i];

        h->srv = s;
        h->loop = run_loop(run, i);
        h->listen_fd = h->spare_fd = -1;
        h->reaper.fn = conns_reap;
        h->resume.fn = accept_again;
        for (unsigned k = 0; k < CONN_STATES; k++)
            TAILQ_INIT(&h->conns[k]);
    }
    return s;
}

static void
server_destroy(struct http_server *s)
{
    for (unsigned i = 0; i < run_nloops(s->run); i++) {
        conns_forget(&s->loops[i]);
        fd_close(&s->loops[i].listen_fd);
        fd_close(&s->loops[i].spare_fd);
    }
    routes_free(s->routes);
    free(s->loops);
    s->magic = 0;
    free(s);
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
    s = server_new(run, conf, port);
    for (unsigned i = 0; i < run_nloops(run) && rc == 0; i++)
        rc = bind_one(ai, &s->port, &s->loops[i].listen_fd);
    freeaddrinfo(ai);
    if (rc == 0)
        rc = on_each_loop(s, listen_on_loop);
    if (rc < 0) {
        err_set(e, -rc, "cannot listen on %s:%u: %s", addr, port, err_text(rc));
        (void)on_each_loop(s, drain_on_loop);
        server_destroy(s);
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
    CHECK(s, HSRV_MAGIC);
    net_pools_free(s->run);
    server_destroy(s);
}
