/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A static server on lib/net alone, to be measured against nginx (bench/net_bench.sh).
 *
 *     net_server PORT DIR [CERT KEY]
 *
 * Serves what there is of DIR/4k .. DIR/16m as /f/NAME, and redirects /v1/objects/ as a proxy would. SIGTERM ends it; it then prints the requests served
 * and the CPU seconds spent.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/util.h"
#include "net/http.h"
#include "net/tls.h"
#include "run/fiber.h"

struct file {
    const char *name;
    int         fd;
    uint64_t    size;
};

static struct file      files[] = { { "4k", -1, 0 },   { "16k", -1, 0 },  { "32k", -1, 0 }, { "64k", -1, 0 },
                                    { "128k", -1, 0 }, { "256k", -1, 0 }, { "1m", -1, 0 },  { "16m", -1, 0 } };
static _Atomic uint64_t served;

static void
h_file(struct req *r)
{
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        const struct file *f = &files[i];

        if (f->fd < 0 || !str_eqz(r->item[0], f->name))
            continue;
        resp_hdr(r, "Content-Type", STR_LIT("application/octet-stream"));
        resp_hdr(r, "ETag", STR_LIT("\"65f1a2b3-1000\""));
        resp_hdr(r, "Last-Modified", STR_LIT("Tue, 24 Nov 2026 10:00:00 GMT"));
        if (resp_start(r, 200, (int64_t)f->size) == 0 && resp_file(r, f->fd, 0, f->size) == 0)
            resp_end(r);
        return;
    }
    resp_empty(r, 404);
}

static void
h_redirect(struct req *r)
{
    resp_hdrf(r, "Location", "http://127.0.0.1:51081/v1/objects/%.*s/%.*s?pid=abcdefgh&utm=%lld", STR_FMT(r->item[0]),
              STR_FMT(r->item[1]), (long long)loop_now());
    resp_empty(r, 301);
}

static void
count(struct req *r)
{
    UNUSED(r);
    atomic_fetch_add_explicit(&served, 1, memory_order_relaxed);
}

static const struct route routes[] = {
    { M_GET, "/f/:name", h_file, 0 },
    { M_GET, "/v1/objects/:bck/*obj", h_redirect, 0 },
};

int
main(int argc, char **argv)
{
    struct run_conf    rc = { .nloops = 1, .tag = "bench" };
    struct http_conf   hc = { .name = "bench", .routes = routes, .nroutes = ARRAY_SIZE(routes), .done = count };
    struct tls_conf    tc = { .cert = argc > 4 ? argv[3] : NULL, .key = argc > 4 ? argv[4] : NULL };
    struct run        *run;
    struct http_server *srv;
    struct rusage      ru;
    struct stat        st;
    struct err         e = { .code = 0 };
    sigset_t           set;
    int                sig;

    if (argc != 3 && argc != 5) {
        fprintf(stderr, "usage: net_server PORT DIR [CERT KEY]\n");
        return 2;
    }
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        char path[1024];

        snprintf(path, sizeof(path), "%s/%s", argv[2], files[i].name);
        files[i].fd = open(path, O_RDONLY | O_CLOEXEC);
        if (files[i].fd >= 0 && fstat(files[i].fd, &st) == 0)
            files[i].size = (uint64_t)st.st_size;
    }
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (tc.cert != NULL && tls_server_new(&tc, &hc.tls, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    MUST(run_new(&rc, &run));
    run_start(run);
    if (http_listen(run, "127.0.0.1", (uint16_t)strtoul(argv[1], NULL, 10), &hc, &srv, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    sigwait(&set, &sig);
    getrusage(RUSAGE_SELF, &ru);
    http_server_drain(srv);
    run_stop(run, SEC_NS(2));
    http_server_free(srv);
    run_free(run);
    tls_free(hc.tls);
    printf("requests=%llu user=%ld.%06ld sys=%ld.%06ld\n", (unsigned long long)served, (long)ru.ru_utime.tv_sec,
           (long)ru.ru_utime.tv_usec, (long)ru.ru_stime.tv_sec, (long)ru.ru_stime.tv_usec);
    return 0;
}
