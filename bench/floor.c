/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor: what this kernel takes for a request at all. One epoll loop that reads whatever comes with one recv and answers it with
 * one send of the same bytes; it parses nothing. A server that needs one system call more, or any time for itself, cannot be faster.
 *
 *     bench_floor PORT FILE       FILE: the whole answer, head and body
 */
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static char   answer[64 << 10];
static size_t answer_len;

static void
watch(int ep, int fd, unsigned events)
{
    struct epoll_event e = { .events = events, .data.fd = fd };

    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0)
        err(1, "epoll_ctl");
}

static void
greet(int ep, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), one = 1;

    if (fd < 0)
        return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    watch(ep, fd, EPOLLIN | EPOLLET | EPOLLRDHUP);
}

static void
serve(int fd)
{
    char    in[4096];
    ssize_t k = recv(fd, in, sizeof(in), 0);

    if (k == 0)
        close(fd);
    else if (k > 0)
        (void)send(fd, answer, answer_len, MSG_NOSIGNAL);
}

static int
listen_at(int port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int                fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 512) < 0)
        err(1, "port %d", port);
    return fd;
}

int
main(int argc, char **argv)
{
    struct epoll_event ev[128];
    FILE              *f;
    int                ep, listener;

    if (argc != 3)
        errx(2, "usage: %s PORT FILE", argv[0]);
    f = fopen(argv[2], "r");
    if (f == NULL)
        err(1, "%s", argv[2]);
    answer_len = fread(answer, 1, sizeof(answer), f);
    fclose(f);
    listener = listen_at((uint16_t)strtoul(argv[1], NULL, 10));
    ep = epoll_create1(0);
    watch(ep, listener, EPOLLIN);
    for (;;) {
        int n = epoll_wait(ep, ev, 128, -1);

        for (int i = 0; i < n; i++)
            if (ev[i].data.fd == listener)
                greet(ep, listener);
            else
                serve(ev[i].data.fd);
    }
}
