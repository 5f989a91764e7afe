/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor under a PUT: what the file system, or receiving, hashing and writing, costs without a server around it.
 *
 *     fswork files DIR SIZE XATTR N     create, write, fsetxattr, rename, N times; prints ns of CPU per file
 *     fswork sink PORT DIR              a bare HTTP sink: each PUT is received, hashed (XXH64) and written to a file that gets the
 *                                       name of the path's last part; a thread per connection
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "codec/cksum.h"

#define PIECE (256 * 1024)

static void
die(const char *what)
{
    perror(what);
    exit(1);
}

static long long
cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int
files(const char *dir, size_t size, size_t xattr, int n)
{
    char     *body = calloc(1, size + 1), *attr = calloc(1, xattr + 1), work[512], path[512];
    long long t0;

    mkdir(dir, 0755);
    t0 = cpu_ns();
    for (int i = 0; i < n; i++) {
        int fd;

        snprintf(work, sizeof(work), "%s/.w%d", dir, i);
        snprintf(path, sizeof(path), "%s/k%d", dir, i);
        fd = open(work, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
        if (fd < 0 || write(fd, body, size) != (ssize_t)size || fsetxattr(fd, "user.ais.lom", attr, xattr, 0) < 0 ||
            rename(work, path) < 0)
            die(path);
        close(fd);
    }
    printf("%lld\n", (cpu_ns() - t0) / n);
    return 0;
}

/* --- the sink --- */

static const char *sink_dir;

/* The head of a request: its length and the body's; 0 at the end of the connection. */
static size_t
read_head(int fd, char *buf, size_t cap, size_t *have, size_t *length, char name[256])
{
    char *end, *cl, *slash, *sp;

    for (;;) {
        ssize_t k;

        buf[*have] = '\0';
        end = strstr(buf, "\r\n\r\n");
        if (end != NULL)
            break;
        k = *have + 1 < cap ? recv(fd, buf + *have, cap - 1 - *have, 0) : 0;
        if (k <= 0)
            return 0;
        *have += (size_t)k;
    }
    cl = strcasestr(buf, "\r\ncontent-length:");
    *length = cl == NULL ? 0 : strtoull(cl + 17, NULL, 10);
    sp = strchr(buf, ' ');
    sp = sp == NULL ? NULL : strpbrk(sp + 1, " ?");
    if (sp == NULL)
        return 0;
    *sp = '\0';
    slash = strrchr(buf, '/');
    snprintf(name, 256, "%s", slash == NULL ? "x" : slash + 1);
    return (size_t)(end + 4 - buf);
}

static void *
serve(void *arg)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    int               fd = (int)(intptr_t)arg;
    char             *buf = malloc(PIECE + 1), *head = malloc(8192), name[256], path[512];
    size_t            have = 0, length, used;

    while ((used = read_head(fd, head, 8192, &have, &length, name)) > 0) {
        struct cksum_run h;
        struct cksum     ck;
        size_t           got = have - used, first = got < length ? got : length;
        int              out;

        snprintf(path, sizeof(path), "%s/%s", sink_dir, name);
        out = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644);
        if (out < 0 || cksum_init(&h, CKSUM_XXHASH2) < 0)
            die(path);
        cksum_update(&h, head + used, first);
        if (write(out, head + used, first) != (ssize_t)first)
            die("write");
        for (got = first; got < length;) {
            size_t  want = length - got < PIECE ? length - got : PIECE;
            ssize_t k = recv(fd, buf, want, 0);

            if (k <= 0)
                goto end;
            cksum_update(&h, buf, (size_t)k);
            if (write(out, buf, (size_t)k) != k)
                die("write");
            got += (size_t)k;
        }
        cksum_final(&h, &ck);
        cksum_fini(&h);
        close(out);
        memmove(head, head + used + first, have - used - first);
        have -= used + first;
        if (send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0)
            break;
    }
end:
    close(fd);
    free(buf);
    free(head);
    return NULL;
}

static _Noreturn void
sink(int port, const char *dir)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int                l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    sink_dir = dir;
    mkdir(dir, 0755);
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(l, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(l, 128) < 0)
        die("listen");
    for (;;) {
        pthread_t t;
        int       fd = accept(l, NULL, NULL);

        if (fd < 0)
            die("accept");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (pthread_create(&t, NULL, serve, (void *)(intptr_t)fd) != 0)
            die("pthread_create");
        pthread_detach(t);
    }
}

int
main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "files") == 0)
        return files(argv[2], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10), (int)strtol(argv[5], NULL, 10));
    if (argc == 4 && strcmp(argv[1], "sink") == 0)
        sink((int)strtol(argv[2], NULL, 10), argv[3]);
    fprintf(stderr, "usage: fswork files DIR SIZE XATTR N | fswork sink PORT DIR\n");
    return 2;
}
