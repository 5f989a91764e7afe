/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: limits, time-outs, clients that go away or do not listen, the end of a server. Each test has a server of its own. */
#include "unit_net.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/time.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

static struct run         *run;
static struct http_server *srv;
static _Atomic int         entered, cancelled, client_closed, timed_out, broken, go;

/* --- handlers --- */

static void
h_hello(struct req *r)
{
    resp_send(r, 200, "text/plain", STR_LIT("hello"));
}

static void
h_redirect(struct req *r)
{
    resp_hdr(r, "Location", STR_LIT("http://elsewhere/"));
    resp_empty(r, 307);
}

static void
h_quick(struct req *r)
{
    resp_send(r, 200, NULL, r->item[0]);
}

/* Stays until it is told to go on, or cancelled. */
static void
h_wait(struct req *r)
{
    int rc = 0;

    entered++;
    while (rc == 0 && !go)
        rc = fiber_sleep(MSEC_NS(2));
    if (rc == -AIS_E_CANCELED) {
        cancelled++;
        resp_err(r, rc, NULL);
        return;
    }
    resp_send(r, 200, NULL, STR_LIT("waited"));
}

static void
h_upload(struct req *r)
{
    const void *p;
    ssize_t     n;

    entered++;
    while ((n = req_peek(r, &p)) > 0)
        req_consume(r, (size_t)n);
    if (n == 0) {
        resp_empty(r, 200);
        return;
    }
    client_closed += n == -AIS_E_CLOSED;
    timed_out += n == -AIS_E_TIMEOUT;
    resp_err(r, (int)n, NULL);
}

/* Far more than the sockets take. */
static void
h_download(struct req *r)
{
    static char piece[64 << 10];
    int         rc = resp_start(r, 200, (int64_t)1 << 30);

    entered++;
    for (int i = 0; i < 1 << 14 && rc == 0; i++)
        rc = resp_write(r, piece, sizeof(piece));
    if (rc == 0)
        resp_end(r);
    else
        broken++;
}

/* An answer without a length that breaks in the middle. */
static void
h_breaks(struct req *r)
{
    if (resp_start(r, 200, -1) == 0 && resp_write(r, "half", 4) == 0)
        resp_abort(r);
}

/* A file that is shorter than announced. */
static void
h_short_file(struct req *r)
{
    uint64_t len = str_eqz(r->item[0], "large") ? 1 << 20 : 1000;
    int      fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    resp_hdr(r, "ETag", STR_LIT("\"x\""));
    if (resp_start(r, 200, (int64_t)len) == 0 && resp_file(r, fd, 0, len) == 0)
        resp_end(r);
    close(fd);
}

static const struct route routes[] = {
    { M_GET, "/hello", h_hello, 0 },
    { M_DELETE, "/hello", h_hello, 0 },
    { M_POST, "/hello", h_hello, 0 },
    { M_GET, "/quick/:item", h_quick, R_QUICK },
    { M_GET, "/wait", h_wait, 0 },
    { M_PUT, "/wait", h_wait, R_STREAM },
    { M_PUT, "/upload", h_upload, R_STREAM },
    { M_PUT, "/redirect", h_redirect, R_STREAM },
    { M_GET, "/download", h_download, 0 },
    { M_GET, "/breaks", h_breaks, 0 },
    { M_GET, "/short/:size", h_short_file, 0 },
};

/* --- set-up --- */

static void
serve(unsigned loops, const struct http_conf *conf)
{
    struct run_conf  c = { .nloops = loops, .tag = "test" };
    struct http_conf h = conf == NULL ? (struct http_conf){ .name = "test" } : *conf;

    entered = cancelled = client_closed = timed_out = broken = go = 0;
    h.routes = routes;
    h.nroutes = ARRAY_SIZE(routes);
    assert_int_equal(0, run_new(&c, &run));
    run_start(run);
    assert_int_equal(0, http_listen(run, "127.0.0.1", 0, &h, &srv, NULL));
}

static int
finish(void **state)
{
    UNUSED(state);
    if (run == NULL)
        return 0;
    http_server_drain(srv);
    run_stop(run, SEC_NS(5));
    http_server_free(srv);
    run_free(run);
    run = NULL;
    return 0;
}

static int
dial(void)
{
    return dial_port(http_server_port(srv));
}

static unsigned
fibers(void)
{
    struct run_stats st;

    run_stats(run, &st);
    return (unsigned)st.fibers_live;
}

#define HELLO "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"

/* --- limits --- */

static void
connections_beyond_the_limit_get_503_and_the_others_stay(void **state)
{
    struct http_conf h = { .name = "test", .max_conns = 2 };
    int              fd[3];

    UNUSED(state);
    serve(1, &h);
    for (int i = 0; i < 2; i++) {
        fd[i] = dial();
        sayz(fd[i], HELLO);
        assert_non_null(strstr(hear(fd[i], "hello"), "200 OK"));
    }
    fd[2] = dial();
    sayz(fd[2], HELLO); /* what it says is not lost on it: no reset before the answer was read */
    assert_non_null(strstr(hear(fd[2], NULL), "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"));
    close(fd[2]);
    sayz(fd[0], HELLO);
    assert_non_null(strstr(hear(fd[0], "hello"), "200 OK"));
    close(fd[0]);
    WITHIN(http_server_conns(srv) == 1);
    fd[0] = dial();
    sayz(fd[0], HELLO);
    assert_non_null(strstr(hear(fd[0], "hello"), "200 OK"));
    close(fd[0]);
    close(fd[1]);
}

static void
requests_beyond_the_limit_get_503(void **state)
{
    struct http_conf h = { .name = "test", .max_active = 1 };
    int              busy, fd;

    UNUSED(state);
    serve(1, &h);
    busy = dial();
    sayz(busy, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    WITHIN(entered == 1);
    fd = dial();
    sayz(fd, HELLO);
    assert_non_null(strstr(hear(fd, NULL), "HTTP/1.1 503 Service Unavailable\r\n"));
    close(fd);
    go = 1;
    assert_non_null(strstr(hear(busy, "waited"), "200 OK"));
    fd = dial();
    sayz(fd, HELLO);
    assert_non_null(strstr(hear(fd, "hello"), "200 OK"));
    close(fd);
    close(busy);
}

static int64_t
cpu_ns(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * NSEC_PER_SEC + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * NSEC_PER_USEC;
}

static void
without_descriptors_clients_are_told_and_the_loop_neither_spins_nor_ends(void **state)
{
    struct rlimit old, few;
    int           fds[80], n = 0, waiting[3], k;
    int64_t       cpu;
    char         *a;

    UNUSED(state);
    serve(1, NULL);
    for (int i = 0; i < 3; i++)
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, getrlimit(RLIMIT_NOFILE, &old));
    while (n < 64 && (k = dup(0)) >= 0 && k < 200)
        fds[n++] = k;
    few = old;
    few.rlim_cur = (rlim_t)fds[n - 1] + 1; /* none is free below */
    assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &few));
    for (int i = 0; i < 3; i++) {
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(http_server_port(srv)) };

        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        assert_int_equal(0, connect(waiting[i], (struct sockaddr *)&to, sizeof(to)));
        a = hear(waiting[i], NULL);
        assert_non_null(strstr(a, "HTTP/1.1 503 "));
        close(waiting[i]);
        fds[n] = dup(0); /* what the client gave back is taken again */
        if (fds[n] >= 0)
            n++;
    }
    cpu = cpu_ns();
    poll(NULL, 0, 200);
    assert_true(cpu_ns() - cpu < MSEC_NS(100));
    while (n > 0)
        close(fds[--n]);
    assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &old));
    k = dial();
    sayz(k, HELLO);
    assert_non_null(strstr(hear(k, "hello"), "200 OK"));
    close(k);
}

static long
rss_anon_kib(void)
{
    FILE *f = fopen("/proc/self/status", "re");
    char  line[256];
    long  kib = -1;

    while (f != NULL && kib < 0 && fgets(line, sizeof(line), f) != NULL)
        (void)sscanf(line, "RssAnon: %ld", &kib);
    if (f != NULL)
        fclose(f);
    return kib;
}

static void
an_idle_connection_costs_less_than_a_kibibyte_and_no_fiber(void **state)
{
    struct http_conf h = { .name = "test", .idle_ns = SEC_NS(300) };
    struct rlimit    lim;
    long             before, each;
    int             *fds;
    size_t           n;

    UNUSED(state);
    assert_int_equal(0, getrlimit(RLIMIT_NOFILE, &lim));
    lim.rlim_cur = lim.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &lim);
#ifdef SANITIZED
    n = 500;
#else
    n = MIN((size_t)9000, (size_t)lim.rlim_cur / 2 - 100);
#endif
    fds = calloc(n, sizeof(*fds));
    serve(2, &h);
    before = -1;
    for (size_t i = 0; i < n; i++) {
        fds[i] = dial();
        sayz(fds[i], HELLO);
        assert_non_null(strstr(hear(fds[i], "hello"), "200 OK"));
        if (i == 100)
            before = rss_anon_kib(); /* pools and stacks are there */
    }
    WITHIN(fibers() == 0);
    assert_int_equal(n, http_server_conns(srv));
    each = (rss_anon_kib() - before) * 1024 / (long)(n - 100);
    print_message("%zu idle connections, %ld bytes each\n", n, each);
#ifndef SANITIZED
    assert_true(each < 1024);
#endif
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    WITHIN(http_server_conns(srv) == 0);
    free(fds);
}

/* --- time-outs --- */

static void
an_idle_connection_is_closed_in_time_and_a_used_one_is_not(void **state)
{
    struct http_conf h = { .name = "test", .idle_ns = MSEC_NS(300) };
    int              idle, used;

    UNUSED(state);
    serve(1, &h);
    idle = dial();
    used = dial();
    for (int i = 0; i < 5; i++) {
        sayz(used, HELLO);
        assert_non_null(strstr(hear(used, "hello"), "200 OK"));
        poll(NULL, 0, 100);
    }
    assert_int_equal(0, end_of(idle));
    assert_int_equal(0, end_of(used)); /* later */
    close(idle);
    close(used);
}

/* A byte now and then does not keep a head alive. */
static void
a_head_that_trickles_is_408(void **state)
{
    struct http_conf h = { .name = "test", .head_ns = MSEC_NS(200) };
    int              fd;
    int64_t          t0 = clock_mono();

    UNUSED(state);
    serve(1, &h);
    fd = dial();
    while (clock_mono() - t0 < SEC_NS(5)) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        if (!sayz(fd, "A") || poll(&p, 1, 20) > 0)
            break;
    }
    assert_non_null(strstr(hear(fd, NULL), "HTTP/1.1 408 "));
    assert_true(clock_mono() - t0 < SEC_NS(3));
    close(fd);
}

static void
a_body_that_stalls_is_408_and_ends_the_connection(void **state)
{
    struct http_conf h = { .name = "test", .stall_ns = MSEC_NS(100) };
    static const char *const texts[] = { "PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
                                         "PUT /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabc",
                                         "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc" };

    UNUSED(state);
    serve(1, &h);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        int   fd = dial();
        char *a;

        sayz(fd, texts[i]);
        a = hear(fd, NULL);
        assert_non_null(strstr(a, "HTTP/1.1 408 "));
        assert_non_null(strstr(a, "Connection: close\r\n"));
        close(fd);
    }
    assert_int_equal(2, timed_out);
}

static void
a_body_that_trickles_is_408_too(void **state)
{
    struct http_conf h = { .name = "test", .stall_ns = MSEC_NS(100) };
    int              fd;
    int64_t          t0 = clock_mono();

    UNUSED(state);
    serve(1, &h);
    fd = dial();
    sayz(fd, "PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
    while (clock_mono() - t0 < SEC_NS(5)) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        if (!sayz(fd, "A") || poll(&p, 1, 20) > 0)
            break;
    }
    assert_non_null(strstr(hear(fd, NULL), "HTTP/1.1 408 "));
    assert_true(clock_mono() - t0 < SEC_NS(3));
    close(fd);
}

static void
a_client_that_takes_nothing_is_cut(void **state)
{
    struct http_conf h = { .name = "test", .stall_ns = MSEC_NS(200) };
    int              fd;

    UNUSED(state);
    serve(1, &h);
    fd = dial();
    sayz(fd, "GET /download HTTP/1.1\r\nHost: x\r\n\r\n");
    WITHIN(broken == 1);
    WITHIN(http_server_conns(srv) == 0);
    assert_int_equal(ECONNRESET, end_of(fd));
    close(fd);
}

/* --- clients that go away --- */

static void
a_client_that_goes_away_during_an_upload_ends_it(void **state)
{
    UNUSED(state);
    serve(1, NULL);
    for (int reset = 0; reset < 2; reset++) {
        struct linger hard = { .l_onoff = reset, .l_linger = 0 };
        int           fd = dial();

        sayz(fd, "PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc");
        WITHIN(entered == reset + 1);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        close(fd);
        WITHIN(fibers() == 0);
        WITHIN(http_server_conns(srv) == 0);
    }
    assert_int_equal(2, entered);
}

static void
a_client_that_goes_away_during_a_download_ends_it(void **state)
{
    int  fd;
    char some[100];

    UNUSED(state);
    serve(1, NULL);
    fd = dial();
    sayz(fd, "GET /download HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(sizeof(some), recv(fd, some, sizeof(some), MSG_WAITALL));
    close(fd);
    WITHIN(broken == 1);
    WITHIN(http_server_conns(srv) == 0);
    WITHIN(fibers() == 0);
}

static void
a_reset_cancels_a_handler_that_reads_nothing(void **state)
{
    struct linger hard = { .l_onoff = 1, .l_linger = 0 };
    int           fd;

    UNUSED(state);
    serve(1, NULL);
    fd = dial();
    sayz(fd, "PUT /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    WITHIN(entered == 1);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(fd);
    WITHIN(cancelled == 1);
    WITHIN(http_server_conns(srv) == 0);
}

static void
requests_behind_a_slow_one_are_not_taken_for_a_departure(void **state)
{
    int   fd;
    char *a;

    UNUSED(state);
    serve(1, NULL);
    fd = dial();
    sayz(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    WITHIN(entered == 1);
    sayz(fd, "GET /hello HTTP/1.1\r\n" CLOSE_HDRS "\r\n");
    shutdown(fd, SHUT_WR);
    poll(NULL, 0, 20);
    go = 1;
    a = hear(fd, NULL);
    assert_non_null(strstr(a, "waited"));
    assert_non_null(strstr(a, "hello"));
    assert_int_equal(0, cancelled);
    close(fd);
}

/* --- early answers --- */

/* A client that writes its whole body before it reads sees the redirect all the same. */
static void
a_redirect_is_seen_by_a_client_that_writes_first(void **state)
{
    static const size_t sizes[] = { 0, 1000, 256 << 10, 1 << 20, 32 << 20 };

    UNUSED(state);
    serve(1, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        char  head[128], *body = calloc(1, sizes[i] + 1), *a;
        int   fd = dial();
        bool  stays = sizes[i] <= 256 << 10;

        snprintf(head, sizeof(head), "PUT /redirect HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", sizes[i]);
        sayz(fd, head);
        assert_true(say(fd, body, sizes[i]));
        a = hear(fd, "\r\n\r\n");
        assert_non_null(strstr(a, "HTTP/1.1 307 "));
        assert_true((strstr(a, "Connection: close") == NULL) == stays);
        if (stays) {
            sayz(fd, HELLO);
            assert_non_null(strstr(hear(fd, "hello"), "200 OK"));
        } else {
            assert_int_equal(0, end_of(fd));
        }
        close(fd);
        free(body);
    }
    WITHIN(http_server_conns(srv) == 0);
}

static void
a_client_that_waits_for_100_is_told_at_once_when_the_body_is_not_wanted(void **state)
{
    int   fd;
    char *a;

    UNUSED(state);
    serve(1, NULL);
    fd = dial();
    sayz(fd, "PUT /redirect HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n");
    a = hear(fd, NULL);
    assert_int_equal(0, strncmp(a, "HTTP/1.1 307 ", 13));
    assert_non_null(strstr(a, "Connection: close\r\n"));
    close(fd);
}

static void
refused_requests_close_and_lose_no_answer(void **state)
{
    static const char *const heads[] = { "GET /hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
                                         "GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
                                         "GET /hello HTTP/2.0\r\nHost: x\r\n\r\n", "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
                                         "GET /hello HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n" };
    char *junk = calloc(1, 1 << 20);

    UNUSED(state);
    serve(1, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
        int   fd = dial();
        char *a;

        sayz(fd, heads[i]);
        (void)say(fd, junk, 1 << 20);
        a = hear(fd, NULL);
        assert_non_null(strstr(a, "HTTP/1.1 400 "));
        assert_non_null(strstr(a, "Connection: close\r\n"));
        assert_null(strstr(a, "200 OK"));
        close(fd);
    }
    free(junk);
}

static void
bodies_of_delete_are_read_over(void **state)
{
    int fd;

    UNUSED(state);
    serve(1, NULL);
    fd = dial();
    for (int i = 0; i < 2; i++) {
        sayz(fd, "DELETE /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{\"a\":\"GET /\"}"
                 "DELETE /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: t\r\n\r\n"
                 HELLO);
        for (int k = 0, seen = 0; k < 3; k++) {
            char *a = hear(fd, "hello");

            for (; (a = strstr(a, "hello")) != NULL; a++)
                seen++;
            if (seen == 3)
                break;
        }
    }
    sayz(fd, "GET /hello HTTP/1.1\r\n" CLOSE_HDRS "\r\n");
    assert_non_null(strstr(hear(fd, NULL), "Connection: close"));
    close(fd);
}

/* --- broken answers --- */

static void
an_answer_whose_source_fails_early_is_an_error_answer(void **state)
{
    char *a;
    int   fd;

    UNUSED(state);
    serve(1, NULL);
    fd = dial();
    sayz(fd, "GET /short/small HTTP/1.1\r\n" CLOSE_HDRS "\r\n");
    a = hear(fd, NULL);
    assert_int_equal(0, strncmp(a, "HTTP/1.1 500 ", 13));
    assert_null(strstr(a, "ETag")); /* nothing of the answer that it was to be */
    close(fd);
    fd = dial();
    sayz(fd, "GET /short/large HTTP/1.1\r\n" CLOSE_HDRS "\r\n");
    a = hear(fd, NULL);
    assert_true(strlen(a) < 4096); /* an error, or a head and a cut: never a whole answer */
    close(fd);
}

static void
a_broken_answer_without_a_length_ends_with_a_reset(void **state)
{
    int fd;

    UNUSED(state);
    serve(1, NULL);
    fd = dial();
    sayz(fd, "GET /breaks HTTP/1.0\r\n\r\n");
    assert_int_equal(ECONNRESET, end_of(fd));
    close(fd);
    fd = dial();
    sayz(fd, "GET /breaks HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_null(strstr(hear(fd, NULL), "\r\n0\r\n"));
    close(fd);
}

/* --- the end --- */

static void
draining_answers_what_is_in_flight_and_closes_the_rest(void **state)
{
    int   idle, busy, fd;
    char *a;

    UNUSED(state);
    serve(2, NULL);
    idle = dial();
    sayz(idle, HELLO);
    assert_non_null(strstr(hear(idle, "hello"), "200 OK"));
    busy = dial();
    sayz(busy, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    WITHIN(entered == 1);
    http_server_drain(srv);
    assert_int_equal(0, end_of(idle));
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    {
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(http_server_port(srv)) };

        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        assert_int_equal(-1, connect(fd, (struct sockaddr *)&to, sizeof(to)));
    }
    go = 1;
    a = hear(busy, NULL);
    assert_non_null(strstr(a, "waited"));
    assert_non_null(strstr(a, "Connection: close\r\n"));
    WITHIN(http_server_conns(srv) == 0);
    close(idle);
    close(busy);
    close(fd);
}

/* --- quick answers to pipelined requests: together, but never behind something that takes time --- */

#define QUICK(item) "GET /quick/" item " HTTP/1.1\r\nHost: x\r\n\r\n"

static void
quick_answers_do_not_wait_for_a_slow_handler(void **state)
{
    int fd;

    UNUSED(state);
    serve(1, NULL);
    fd = dial();
    sayz(fd, QUICK("one") QUICK("two") "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(hear(fd, "\r\n\r\ntwo"), "\r\n\r\none"));
    assert_int_equal(0, go);
    go = 1;
    assert_non_null(strstr(hear(fd, "waited"), "200 OK"));
    close(fd);
}

static void
quick_answers_do_not_wait_for_the_client(void **state)
{
    int fd;

    UNUSED(state);
    serve(1, NULL);
    fd = dial();
    sayz(fd, QUICK("one") QUICK("two") "PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n");
    assert_non_null(strstr(hear(fd, "\r\n\r\ntwo"), "\r\n\r\none"));
    sayz(fd, "body" QUICK("three") "GET /quick/fo");
    assert_non_null(strstr(hear(fd, "\r\n\r\nthree"), "200 OK"));
    sayz(fd, "ur HTTP/1.1\r\nHost: x\r\n\r\n" QUICK("five") "rubbish\r\n\r\n");
    assert_non_null(strstr(hear(fd, " 400 "), "\r\n\r\nfive"));
    close(fd);
}

static void
many_quick_answers_come_in_order(void **state)
{
    enum { N = 700 };
    static char ask[N * 64];
    char       *a, want[32];
    size_t      n = 0;
    int         fd;

    UNUSED(state);
    serve(1, NULL);
    fd = dial();
    for (int i = 0; i < N; i++)
        n += (size_t)snprintf(ask + n, sizeof(ask) - n, "GET /quick/%dx HTTP/1.1\r\nHost: x\r\n\r\n", i);
    sayz(fd, ask);
    a = hear(fd, "\r\n\r\n699x");
    for (int i = 0; i < N; i++) {
        snprintf(want, sizeof(want), "\r\n\r\n%dx", i);
        a = strstr(a, want);
        assert_non_null(a);
    }
    close(fd);
}

static void
a_port_that_is_taken_is_an_error(void **state)
{
    struct http_conf    h = { .name = "other", .routes = routes, .nroutes = ARRAY_SIZE(routes) };
    struct http_server *other = NULL;
    struct err          e = { .code = 0 };

    UNUSED(state);
    serve(1, NULL);
    assert_int_equal(-AIS_E_EXISTS, http_listen(run, "127.0.0.1", http_server_port(srv), &h, &other, &e));
    assert_null(other);
    assert_int_equal(-AIS_E_INVAL, http_listen(run, "not an address", 0, &h, &other, &e));
}

int
main(void)
{
#define T(f) cmocka_unit_test_teardown(f, finish)
    const struct CMUnitTest tests[] = {
        T(an_idle_connection_costs_less_than_a_kibibyte_and_no_fiber),
        T(connections_beyond_the_limit_get_503_and_the_others_stay),
        T(requests_beyond_the_limit_get_503),
        T(without_descriptors_clients_are_told_and_the_loop_neither_spins_nor_ends),
        T(an_idle_connection_is_closed_in_time_and_a_used_one_is_not),
        T(a_head_that_trickles_is_408),
        T(a_body_that_stalls_is_408_and_ends_the_connection),
        T(a_body_that_trickles_is_408_too),
        T(a_client_that_takes_nothing_is_cut),
        T(a_client_that_goes_away_during_an_upload_ends_it),
        T(a_client_that_goes_away_during_a_download_ends_it),
        T(a_reset_cancels_a_handler_that_reads_nothing),
        T(requests_behind_a_slow_one_are_not_taken_for_a_departure),
        T(a_redirect_is_seen_by_a_client_that_writes_first),
        T(a_client_that_waits_for_100_is_told_at_once_when_the_body_is_not_wanted),
        T(refused_requests_close_and_lose_no_answer),
        T(bodies_of_delete_are_read_over),
        T(an_answer_whose_source_fails_early_is_an_error_answer),
        T(a_broken_answer_without_a_length_ends_with_a_reset),
        T(draining_answers_what_is_in_flight_and_closes_the_rest),
        T(quick_answers_do_not_wait_for_a_slow_handler),
        T(quick_answers_do_not_wait_for_the_client),
        T(many_quick_answers_come_in_order),
        T(a_port_that_is_taken_is_an_error),
    };

    return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}
