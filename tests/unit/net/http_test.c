/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server and client over real loopback sockets. */
#include "unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "net/client.h"
#include "net/http.h"
#include "run/fiber.h"

static struct run         *run;
static struct http_server *srv;
static struct hclient     *hc;
static int                 file_fd = -1;
static _Atomic int         cancelled, saw_closed;

/* --- handlers --- */

static void
h_hello(struct req *r)
{
    resp_hdr(r, "X-Item", r->nitems > 0 ? r->item[0] : STR_LIT(""));
    resp_send(r, 200, "text/plain", STR_LIT("hello"));
}

static void
h_echo(struct req *r)
{
    resp_send(r, 200, NULL, r->body);
}

static void
h_stream(struct req *r)
{
    uint64_t    sum = 0;
    const void *p;
    ssize_t     n;

    while ((n = req_peek(r, &p)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            sum += ((const unsigned char *)p)[i];
        req_consume(r, (size_t)n);
    }
    if (n < 0) {
        if (n == -AIS_E_CLOSED)
            saw_closed++;
        resp_err(r, (int)n, NULL);
        return;
    }
    resp_send(r, 200, NULL, arena_printf(r->arena, "%llu", (unsigned long long)sum));
}

static void
h_file(struct req *r)
{
    struct str v;
    uint64_t   len = 1000;

    if (req_query(r, STR_LIT("len"), &v))
        str_u64(v, &len);
    if (resp_start(r, 200, (int64_t)len) == 0 && resp_file(r, file_fd, 0, len) == 0)
        resp_end(r);
}

static void
h_chunks(struct req *r)
{
    if (resp_start(r, 200, -1) < 0)
        return;
    for (int i = 0; i < 100; i++)
        if (resp_write(r, "0123456789", 10) < 0)
            return;
    resp_end(r);
}

static void
h_ignore(struct req *r)
{
    resp_send(r, 307, NULL, STR_LIT(""));
}

static void
h_wait(struct req *r)
{
    if (fiber_sleep(SEC_NS(30)) == -AIS_E_CANCELED)
        cancelled++;
    resp_err(r, -AIS_E_CANCELED, NULL);
}

static void
h_nothing(struct req *r)
{
    UNUSED(r);
}

static void
h_cut(struct req *r)
{
    if (resp_start(r, 200, 100) == 0 && resp_write(r, "half", 4) == 0)
        resp_abort(r);
}

static void
h_inject(struct req *r)
{
    resp_hdr(r, "X-Bad", STR_LIT("a\r\nX-Evil: 1"));
    resp_empty(r, 200);
}

static void
h_relay(struct req *r)
{
    struct str    base = arena_printf(r->arena, "http://127.0.0.1:%u", http_server_port(srv));
    struct hc_req q = { .method = r->method, .base = base, .target = arena_printf(r->arena, "/%.*s", STR_FMT(r->item[0])) };
    struct hcall *c;
    struct err    e = { .code = 0 };
    int           rc = hc_open(hc, &q, &c, &e);

    if (rc < 0) {
        resp_err(r, rc, &e);
        return;
    }
    (void)hc_relay(c, r);
    hc_close(c);
}

static const struct route routes[] = {
    { M_GET, "/hello", h_hello, 0 },
    { M_GET, "/v1/objects/:bck/*obj", h_hello, 0 },
    { M_GET, "/v1/objects/:bck", h_hello, 0 },
    { M_POST, "/echo", h_echo, 0 },
    { M_GET, "/echo", h_echo, 0 },
    { M_PUT, "/stream", h_stream, R_STREAM },
    { M_GET, "/file", h_file, 0 },
    { M_HEAD, "/file", h_file, 0 },
    { M_GET, "/chunks", h_chunks, 0 },
    { M_PUT, "/ignore", h_ignore, R_STREAM },
    { M_GET, "/wait", h_wait, 0 },
    { M_GET, "/nothing", h_nothing, 0 },
    { M_GET, "/cut", h_cut, 0 },
    { M_GET, "/inject", h_inject, 0 },
    { M_GET, "/relay/*rest", h_relay, 0 },
};

/* --- a raw client --- */

static int
dial(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(http_server_port(srv)) };
    int                fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(0, connect(fd, (struct sockaddr *)&a, sizeof(a)));
    return fd;
}

static void
say(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, text, n, MSG_NOSIGNAL);

        if (k <= 0)
            return;
        text += k;
        n -= (size_t)k;
    }
}

/* Everything until the peer closes, or until `want` was seen. */
static char *
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

/* One request on its own connection; the whole answer. */
static char *
ask(const char *text)
{
    int   fd = dial();
    char *a;

    say(fd, text, strlen(text));
    shutdown(fd, SHUT_WR);
    a = hear(fd, NULL);
    close(fd);
    return a;
}

#define CLOSE_HDRS "Host: x\r\nConnection: close\r\n"

static int
setup(void **state)
{
    struct run_conf     c = { .nloops = 2, .tag = "test" };
    struct http_conf    h = { .name = "test",   .routes = routes,         .nroutes = ARRAY_SIZE(routes),
                              .max_head = 8192, .head_ns = MSEC_NS(300), .max_body = 1000,
                              .idle_ns = SEC_NS(2), .stall_ns = MSEC_NS(500) };
    struct hclient_conf k = { .user_agent = "test" };
    char                path[] = "/tmp/ais-http-XXXXXX", block[4096];

    UNUSED(state);
    assert_int_equal(0, run_new(&c, &run));
    run_start(run);
    assert_int_equal(0, http_listen(run, "127.0.0.1", 0, &h, &srv, NULL));
    assert_int_equal(0, hclient_new(run, &k, &hc));
    file_fd = mkstemp(path);
    unlink(path);
    memset(block, 'f', sizeof(block));
    for (int i = 0; i < 300; i++)
        assert_int_equal(sizeof(block), write(file_fd, block, sizeof(block)));
    return 0;
}

static int
teardown(void **state)
{
    UNUSED(state);
    http_server_drain(srv);
    run_stop(run, SEC_NS(5));
    http_server_free(srv);
    hclient_free(hc);
    run_free(run);
    fd_close(&file_fd);
    return 0;
}

/* --- tests --- */

static void
a_request_is_answered_and_pipelined_ones_in_order(void **state)
{
    char *a;

    UNUSED(state);
    a = ask("GET /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/objects/b/a//c HTTP/1.1\r\nHost: x\r\n\r\n"
            "GET /v1/objects/b HTTP/1.1\r\n" CLOSE_HDRS "\r\n");
    assert_non_null(strstr(a, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(a, "Content-Length: 5\r\n"));
    assert_non_null(strstr(a, "Date: "));
    a = strstr(a, "hello") + 5;
    assert_non_null(strstr(a, "hello"));
    a = strstr(a, "hello") + 5;
    assert_non_null(strstr(a, "Connection: close"));
}

static void
what_no_route_takes_is_404_or_405_with_allow(void **state)
{
    UNUSED(state);
    assert_non_null(strstr(ask("GET /none HTTP/1.1\r\n" CLOSE_HDRS "\r\n"), "HTTP/1.1 404 "));
    assert_non_null(strstr(ask("DELETE /echo HTTP/1.1\r\n" CLOSE_HDRS "\r\n"), "Allow: GET, POST, OPTIONS\r\n"));
    assert_non_null(strstr(ask("OPTIONS /echo HTTP/1.1\r\n" CLOSE_HDRS "\r\n"), "HTTP/1.1 200 OK\r\nAllow: "));
    assert_non_null(strstr(ask("BREW /echo HTTP/1.1\r\n" CLOSE_HDRS "\r\n"), "HTTP/1.1 405 "));
    /* the resource knows the method, but not with these items */
    assert_non_null(strstr(ask("GET /v1/objects HTTP/1.1\r\n" CLOSE_HDRS "\r\n"), "HTTP/1.1 404 "));
    assert_non_null(strstr(ask("GET /echo/more HTTP/1.1\r\n" CLOSE_HDRS "\r\n"), "HTTP/1.1 404 "));
    assert_non_null(strstr(ask("PUT /v1/objects/b/o HTTP/1.1\r\n" CLOSE_HDRS "\r\n"), "Allow: GET, OPTIONS\r\n"));
}

static void
bodies_come_with_get_too_and_are_limited(void **state)
{
    UNUSED(state);
    assert_non_null(strstr(ask("GET /echo HTTP/1.1\r\n" CLOSE_HDRS "Content-Length: 4\r\n\r\nbody"), "\r\n\r\nbody"));
    assert_non_null(strstr(ask("POST /echo HTTP/1.1\r\n" CLOSE_HDRS "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
                           "\r\n\r\nabcde"));
    assert_non_null(strstr(ask("POST /echo HTTP/1.1\r\n" CLOSE_HDRS "Content-Length: 1001\r\n\r\n"), "HTTP/1.1 413 "));
}

static void
malformed_requests_are_refused(void **state)
{
    static const struct {
        const char *text, *status;
    } cases[] = {
        { "GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400" },
        { "GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400" },
        { "GET /hello HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", "400" },
        { "GET /hello HTTP/1.1\nHost: x\n\n", "400" },
        { "GET /hello\r\n\r\n", "400" },
        { "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400" },
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char want[32];

        snprintf(want, sizeof(want), "HTTP/1.1 %s ", cases[i].status);
        assert_non_null(strstr(ask(cases[i].text), want));
    }
}

static void
a_head_that_is_too_large_is_431_and_a_request_line_414(void **state)
{
    static char text[20000];
    size_t      n;

    UNUSED(state);
    n = (size_t)snprintf(text, sizeof(text), "GET /hello HTTP/1.1\r\nHost: x\r\nA: ");
    memset(text + n, 'a', 12000);
    text[n + 12000] = '\0';
    assert_non_null(strstr(ask(text), "HTTP/1.1 431 "));
    memset(text + 5, 'a', 15000);
    text[15000] = '\0';
    assert_non_null(strstr(ask(text), "HTTP/1.1 414 "));
}

static void
a_slow_head_gets_408(void **state)
{
    int fd = dial();

    UNUSED(state);
    say(fd, "GET /hel", 8);
    assert_non_null(strstr(hear(fd, NULL), "HTTP/1.1 408 "));
    close(fd);
}

static void
a_body_that_stalls_ends_the_request(void **state)
{
    int         fd = dial();
    const char *t = "PUT /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc";

    UNUSED(state);
    say(fd, t, strlen(t));
    assert_non_null(strstr(hear(fd, NULL), "HTTP/1.1 408 "));
    close(fd);
}

static void
a_short_body_is_seen_as_closed(void **state)
{
    const char *t = "PUT /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc";

    UNUSED(state);
    saw_closed = 0;
    (void)ask(t);
    assert_int_equal(1, saw_closed);
}

static void
expect_100_is_answered_when_the_body_is_asked_for(void **state)
{
    int         fd = dial();
    const char *t = "PUT /stream HTTP/1.1\r\n" CLOSE_HDRS "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n";

    UNUSED(state);
    say(fd, t, strlen(t));
    assert_non_null(strstr(hear(fd, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n"));
    say(fd, "abc", 3);
    assert_non_null(strstr(hear(fd, NULL), "\r\n\r\n294"));
    close(fd);
    fd = dial();
    t = "PUT /ignore HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    say(fd, t, strlen(t));
    assert_non_null(strstr(hear(fd, NULL), "HTTP/1.1 307 ")); /* and closed: the body may or may not come */
    close(fd);
}

static void
a_large_streamed_body_arrives_whole_and_the_connection_stays(void **state)
{
    int     fd = dial();
    size_t  n = 3 << 20;
    char   *body = malloc(n), head[128];
    int     hn = snprintf(head, sizeof(head), "PUT /stream HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", n);

    UNUSED(state);
    memset(body, 1, n);
    for (int i = 0; i < 3; i++) {
        say(fd, head, (size_t)hn);
        say(fd, body, n);
        assert_non_null(strstr(hear(fd, "3145728"), "\r\n\r\n3145728"));
    }
    free(body);
    close(fd);
}

static void
a_body_nobody_reads_does_not_break_the_next_request(void **state)
{
    int         fd = dial();
    const char *t = "PUT /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789"
                    "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";

    UNUSED(state);
    say(fd, t, strlen(t));
    assert_non_null(strstr(hear(fd, "hello"), "HTTP/1.1 200 OK"));
    close(fd);
    /* a large one: the answer is seen although nobody reads the body */
    fd = dial();
    t = "PUT /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    say(fd, t, strlen(t));
    {
        char *big = calloc(1, 1000000);

        say(fd, big, 1000000);
        free(big);
    }
    assert_non_null(strstr(hear(fd, NULL), "HTTP/1.1 307 "));
    close(fd);
}

/* Until the peer's kernel has all that was said. */
static void
taken(int fd)
{
    int left = 1;

    while (left > 0)
        assert_int_equal(0, ioctl(fd, SIOCOUTQ, &left));
}

static void
a_chunked_body_nobody_reads_keeps_the_connection_only_when_it_ends_soon(void **state)
{
    const char *head = "PUT /ignore HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    char       *big = calloc(1, 1 << 20), *a;
    int         fd = dial();

    UNUSED(state);
    say(fd, head, strlen(head));
    say(fd, "3\r\nabc\r\n", 8);
    taken(fd); /* the end comes in a packet of its own */
    say(fd, "0\r\n\r\n", 5);
    assert_null(strstr(hear(fd, "\r\n\r\n"), "Connection: close"));
    say(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", 32);
    assert_non_null(strstr(hear(fd, "hello"), "HTTP/1.1 200 OK"));
    close(fd);
    /* More than anybody would read on: the client has to know that the connection ends, or it sends its next request there. */
    fd = dial();
    say(fd, head, strlen(head));
    say(fd, "100000\r\n", 8);
    say(fd, big, 1 << 20);
    a = hear(fd, NULL);
    assert_non_null(strstr(a, "HTTP/1.1 307 "));
    assert_non_null(strstr(a, "Connection: close"));
    close(fd);
    /* Less, but the rest does not come. */
    fd = dial();
    say(fd, head, strlen(head));
    assert_non_null(strstr(hear(fd, NULL), "Connection: close"));
    close(fd);
    free(big);
}

static void
files_small_and_large_and_head_without_a_body(void **state)
{
    static const size_t sizes[] = { 1, 1000, 16384, 16385, 1000000 };
    char                text[128], want[64], *a;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        snprintf(text, sizeof(text), "GET /file?len=%zu HTTP/1.1\r\n" CLOSE_HDRS "\r\n", sizes[i]);
        snprintf(want, sizeof(want), "Content-Length: %zu\r\n", sizes[i]);
        a = ask(text);
        assert_non_null(strstr(a, want));
        assert_int_equal(sizes[i], strlen(strstr(a, "\r\n\r\n") + 4));
    }
    a = ask("HEAD /file?len=77 HTTP/1.1\r\n" CLOSE_HDRS "\r\n");
    assert_non_null(strstr(a, "Content-Length: 77\r\n"));
    assert_int_equal(0, strlen(strstr(a, "\r\n\r\n") + 4));
}

static void
chunked_answers_end_well_and_cut_ones_do_not(void **state)
{
    char *a;

    UNUSED(state);
    a = ask("GET /chunks HTTP/1.1\r\n" CLOSE_HDRS "\r\n");
    assert_non_null(strstr(a, "Transfer-Encoding: chunked\r\n"));
    assert_non_null(strstr(a, "0\r\n\r\n"));
    a = ask("GET /chunks HTTP/1.0\r\n\r\n");
    assert_null(strstr(a, "chunked"));
    assert_int_equal(1000, strlen(strstr(a, "\r\n\r\n") + 4));
    a = ask("GET /cut HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_string_equal("half", strstr(a, "\r\n\r\n") + 4);
}

static void
a_handler_without_an_answer_is_500_and_headers_cannot_be_injected(void **state)
{
    UNUSED(state);
    assert_non_null(strstr(ask("GET /nothing HTTP/1.1\r\n" CLOSE_HDRS "\r\n"), "HTTP/1.1 500 "));
    assert_null(strstr(ask("GET /inject HTTP/1.1\r\n" CLOSE_HDRS "\r\n"), "X-Evil"));
}

static void
a_client_that_goes_away_cancels_its_handler(void **state)
{
    int         fd = dial();
    const char *t = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n";
    int64_t     until = clock_mono() + SEC_NS(10);

    UNUSED(state);
    cancelled = 0;
    say(fd, t, strlen(t));
    poll(NULL, 0, 50);
    close(fd);
    while (cancelled == 0 && clock_mono() < until)
        poll(NULL, 0, 5);
    assert_int_equal(1, cancelled);
}

static void
many_idle_connections_cost_no_fiber(void **state)
{
    int              fds[500];
    struct run_stats st;
    int64_t          until = clock_mono() + SEC_NS(10);

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = dial();
        say(fds[i], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", 32);
    }
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        assert_non_null(strstr(hear(fds[i], "hello"), "200 OK"));
    do {
        run_stats(run, &st);
    } while (st.fibers_live > 2 && clock_mono() < until);
    assert_true(st.fibers_live <= 2);
    assert_true(http_server_conns(srv) >= 500);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close(fds[i]);
}

/* --- the client --- */

struct client_test {
    sem_t done;
    void (*fn)(struct client_test *);
    struct arena *a;
    struct str    base;
};

static void
client_main(void *arg)
{
    struct client_test *t = arg;

    t->fn(t);
    sem_post(&t->done);
}

static void
on_client(void (*fn)(struct client_test *))
{
    struct client_test t = { .fn = fn, .a = arena_new(4096, 8 << 20) };

    sem_init(&t.done, 0, 0);
    t.base = arena_printf(t.a, "http://127.0.0.1:%u", http_server_port(srv));
    fiber_spawn(run_loop(run, 0), "client", client_main, &t);
    while (sem_wait(&t.done) != 0)
        ;
    arena_free(t.a);
}

static void
calls(struct client_test *t)
{
    struct hc_req  q = { .method = M_GET, .base = t->base, .target = STR_LIT("/hello") };
    struct hc_resp r;
    struct err     e = { .code = 0 };

    for (int i = 0; i < 50; i++) {
        assert_int_equal(0, hc_call(hc, &q, t->a, 1 << 20, &r, &e));
        assert_int_equal(200, r.status);
        assert_true(str_eqz(r.body, "hello"));
    }
    q.target = STR_LIT("/chunks");
    assert_int_equal(0, hc_call(hc, &q, t->a, 1 << 20, &r, &e));
    assert_int_equal(1000, r.body.n);
    q.target = STR_LIT("/file?len=1000000");
    assert_int_equal(0, hc_call(hc, &q, t->a, 1 << 20, &r, &e));
    assert_int_equal(1000000, r.body.n);
    assert_int_equal(-AIS_E_TOOBIG, hc_call(hc, &q, t->a, 1000, &r, &e));
    q.target = STR_LIT("/cut");
    assert_int_equal(-AIS_E_CLOSED, hc_call(hc, &q, t->a, 1000, &r, &e));
    q.target = STR_LIT("/relay/file?x");
    assert_int_equal(0, hc_call(hc, &q, t->a, 10000, &r, &e));
    assert_int_equal(1000, r.body.n);
    q.method = M_POST;
    q.target = STR_LIT("/echo");
    q.body = STR_LIT("some text");
    assert_int_equal(0, hc_call(hc, &q, t->a, 10000, &r, &e));
    assert_true(str_eqz(r.body, "some text"));
    q.base = STR_LIT("http://127.0.0.1:1");
    assert_int_equal(-AIS_E_PEER, hc_call(hc, &q, t->a, 10000, &r, &e));
}

static void
calls_reuse_connections_and_tell_failures_apart(void **state)
{
    UNUSED(state);
    on_client(calls);
}

static void
streamed(struct client_test *t)
{
    struct hc_req            q = { .method = M_PUT, .base = t->base, .target = STR_LIT("/stream"), .length = -1 };
    const struct http1_head *h;
    struct hcall            *c;
    struct err               e = { .code = 0 };
    char                     buf[1000];

    memset(buf, 2, sizeof(buf));
    assert_int_equal(0, hc_open(hc, &q, &c, &e));
    for (int i = 0; i < 1000; i++)
        assert_int_equal(0, hc_write(c, buf, sizeof(buf)));
    assert_int_equal(0, hc_end_body(c));
    assert_int_equal(0, hc_head(c, &h));
    assert_int_equal(200, h->status);
    assert_int_equal(7, hc_read(c, buf, sizeof(buf)));
    assert_memory_equal("2000000", buf, 7);
    assert_int_equal(0, hc_read(c, buf, sizeof(buf)));
    hc_close(c);
}

static void
a_streamed_body_goes_out_chunked(void **state)
{
    UNUSED(state);
    on_client(streamed);
}

static void
waits(struct client_test *t)
{
    struct hc_req  q = { .method = M_GET, .base = t->base, .target = STR_LIT("/wait"), .timeout_ns = MSEC_NS(100) };
    struct hc_resp r;
    struct err     e = { .code = 0 };

    assert_int_equal(-AIS_E_TIMEOUT, hc_call(hc, &q, t->a, 1000, &r, &e));
}

static void
a_call_ends_at_its_deadline(void **state)
{
    UNUSED(state);
    on_client(waits);
}

int
main(void)
{
#define T(f) cmocka_unit_test(f)
    const struct CMUnitTest tests[] = {
        T(a_request_is_answered_and_pipelined_ones_in_order),
        T(what_no_route_takes_is_404_or_405_with_allow),
        T(bodies_come_with_get_too_and_are_limited),
        T(malformed_requests_are_refused),
        T(a_head_that_is_too_large_is_431_and_a_request_line_414),
        T(a_slow_head_gets_408),
        T(a_body_that_stalls_ends_the_request),
        T(a_short_body_is_seen_as_closed),
        T(expect_100_is_answered_when_the_body_is_asked_for),
        T(a_large_streamed_body_arrives_whole_and_the_connection_stays),
        T(a_body_nobody_reads_does_not_break_the_next_request),
        T(a_chunked_body_nobody_reads_keeps_the_connection_only_when_it_ends_soon),
        T(files_small_and_large_and_head_without_a_body),
        T(chunked_answers_end_well_and_cut_ones_do_not),
        T(a_handler_without_an_answer_is_500_and_headers_cannot_be_injected),
        T(a_client_that_goes_away_cancels_its_handler),
        T(many_idle_connections_cost_no_fiber),
        T(calls_reuse_connections_and_tell_failures_apart),
        T(a_streamed_body_goes_out_chunked),
        T(a_call_ends_at_its_deadline),
    };

    return cmocka_run_group_tests_name("http", tests, setup, teardown);
}
