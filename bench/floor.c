/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor: what this kernel takes for a request at all. One epoll loop that reads whatever comes with one recv and answers it with
 * one send of the same bytes, and, if a file is given, one sendfile behind it; it parses nothing. A server that needs one system call
 * more, or any time for itself, cannot be faster.
 *
 *     bench_floor PORT ANSWER [BODY]      ANSWER: a file with the whole answer, or with its head; BODY: the file to send behind it
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FD 4096

static char   answer[64 << 10];
static size_t answer_len;
static int    body_fd = -1;
static off_t  body_len;
static off_t  body_at[MAX_FD]; /* of each connection; body_len: nothing left to send */

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
    if (fd >= MAX_FD)
        errx(1, "too many connections");
    body_at[fd] = body_len;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    watch(ep, fd, EPOLLIN | EPOLLET | EPOLLRDHUP | (body_fd >= 0 ? EPOLLOUT : 0));
}

/* False: the peer is gone. */
static bool
serve(int fd)
{
    char    in[4096];
    ssize_t k = recv(fd, in, sizeof(in), 0);

    if (k <= 0)
        return k < 0 && errno == EAGAIN;
    body_at[fd] = 0;
    return send(fd, answer, answer_len, MSG_NOSIGNAL | (body_fd >= 0 ? MSG_MORE : 0)) == (ssize_t)answer_len;
}

static void
send_body(int fd)
{
    while (body_at[fd] < body_len) {
        size_t  left = (size_t)(body_len - body_at[fd]);
        ssize_t k = sendfile(fd, body_fd, &body_at[fd], left);

        if (k < (ssize_t)left)
            return;
    }
}

static void
on_event(int fd, unsigned events)
{
    if ((events & EPOLLIN) && !serve(fd)) {
        close(fd);
        return;
    }
    send_body(fd);
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

static void
load(const char *answer_file, const char *body_file)
{
    FILE       *f = fopen(answer_file, "r");
    struct stat st;

    if (f == NULL)
        err(1, "%s", answer_file);
    answer_len = fread(answer, 1, sizeof(answer), f);
    fclose(f);
    if (body_file == NULL)
        return;
    body_fd = open(body_file, O_RDONLY);
    if (body_fd < 0 || fstat(body_fd, &st) < 0)
        err(1, "%s", body_file);
    body_len = st.st_size;
}

int
main(int argc, char **argv)
{
    struct epoll_event ev[128];
    int                ep, listener;

    if (argc != 3 && argc != 4)
        errx(2, "usage: %s PORT ANSWER [BODY]", argv[0]);
    load(argv[2], argv[3]);
    signal(SIGPIPE, SIG_IGN);
    listener = listen_at((uint16_t)strtoul(argv[1], NULL, 10));
    ep = epoll_create1(0);
    watch(ep, listener, EPOLLIN);
    for (;;) {
        int n = epoll_wait(ep, ev, 128, -1);

        for (int i = 0; i < n; i++)
            if (ev[i].data.fd == listener)
                greet(ep, listener);
            else
                on_event(ev[i].data.fd, ev[i].events);
    }
}
