/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of lib/net: a server over real loopback sockets, a raw client that says exactly what a test wants, fibers to call from. */
#ifndef UNIT_NET_H
#define UNIT_NET_H

#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/util.h"
#include "net/client.h"
#include "net/http.h"
#include "run/fiber.h"

#define CLOSE_HDRS "Host: x\r\nConnection: close\r\n"

static inline int
dial_port(uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(0, connect(fd, (struct sockaddr *)&a, sizeof(a)));
    return fd;
}

/* All of it, or as much as the peer takes before it closes. False: it did not take all. */
static inline bool
say(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, text, n, MSG_NOSIGNAL);

        if (k <= 0)
            return false;
        text += k;
        n -= (size_t)k;
    }
    return true;
}

static inline bool
sayz(int fd, const char *text)
{
    return say(fd, text, strlen(text));
}

/* What came until the peer closed, or until `want` was seen, at most ten seconds. */
static inline char *
hear(int fd, const char *want)
{
    static char   buf[1 << 21];
    size_t        n = 0;
    struct pollfd p = { .fd = fd, .events = POLLIN };

    buf[0] = '\0';
    while (n < sizeof(buf) - 1 && poll(&p, 1, 10000) > 0) {
        ssize_t k = recv(fd, buf + n, sizeof(buf) - 1 - n, 0);

        if (k <= 0)
            break;
        n += (size_t)k;
        buf[n] = '\0';
        if (want != NULL && strstr(buf, want) != NULL)
            break;
    }
    return buf;
}

/* How the peer ends the connection, whatever comes before: 0 in order, ECONNRESET, or -1 not within ten seconds. */
static inline int
end_of(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    char          buf[4096];

    while (poll(&p, 1, 10000) > 0) {
        ssize_t k = recv(fd, buf, sizeof(buf), 0);

        if (k <= 0)
            return k == 0 ? 0 : errno;
    }
    return -1;
}

/* Wait for a condition, at most ten seconds. */
#define WITHIN(cond)                                                                                                   \
    do {                                                                                                               \
        int64_t until_ = clock_mono() + SEC_NS(10);                                                                    \
        while (!(cond) && clock_mono() < until_)                                                                       \
            poll(NULL, 0, 2);                                                                                          \
        assert_true(cond);                                                                                             \
    } while (0)

/* Run fn on a fiber of the run's first loop and wait for it. */
struct on_fiber {
    sem_t done;
    void (*fn)(struct arena *a);
    struct arena *a;
};

static inline void
on_fiber_main(void *arg)
{
    struct on_fiber *t = arg;

    t->fn(t->a);
    sem_post(&t->done);
}

static inline void
on_fiber(struct run *run, void (*fn)(struct arena *a))
{
    struct on_fiber t = { .fn = fn, .a = arena_new(4096, 8 << 20) };

    sem_init(&t.done, 0, 0);
    fiber_spawn(run_loop(run, 0), "test", on_fiber_main, &t);
    while (sem_wait(&t.done) != 0)
        ;
    sem_destroy(&t.done);
    arena_free(t.a);
}

#endif
