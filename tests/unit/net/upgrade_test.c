/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that leave HTTP: early bytes, refusals, both directions at once, ends and resets, drain; over TCP and TLS. */
#include "unit_net.h"

#include <fcntl.h>

#include "net/tls.h"
#include "net/upgrade.h"
#include "unit_tls.h"

#define PROTO "test/1"
#define BULK  (8u << 20)
#define ASK   "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: other, Test/1\r\n\r\n"

static struct run         *run;
static struct http_server *srv;
static struct hclient     *hc;
static struct tls_ctx     *server_tls, *client_tls;
static char                dir[] = "/tmp/ais-upgrade-XXXXXX";
static struct id           ca, server_id;
static bool                secure;
static _Atomic int         entered, left, drained, reset, sum_ok, closed;
static int                 file_fd = -1;

static int
put(struct raw *w, const void *p, size_t n)
{
    struct iovec iov = { (void *)(uintptr_t)p, n };

    return raw_send(w, &iov, 1, false, SEC_NS(10));
}

static int64_t
soon(void)
{
    return deadline_in(clock_mono(), SEC_NS(10));
}

/* --- handlers --- */

static struct raw *
take_over(struct req *r)
{
    struct raw *w = NULL;
    int         rc = resp_upgrade(r, PROTO, &w);

    entered++;
    if (rc < 0)
        resp_err(r, rc, NULL);
    return w;
}

/* Everything back, until the end. */
static void
h_echo(struct req *r)
{
    struct raw *w = take_over(r);
    char        buf[4096];
    ssize_t     k;

    if (w == NULL)
        return;
    while ((k = raw_recv(w, buf, sizeof(buf), soon())) > 0)
        if (put(w, buf, (size_t)k) < 0)
            break;
    drained += k == -AIS_E_UNAVAIL;
    left++;
}

/* Counts what comes, and answers when the other side has ended. */
static void
h_count(struct req *r)
{
    struct raw *w = take_over(r);
    char        buf[4096];
    size_t      n = 0;
    ssize_t     k;

    if (w == NULL)
        return;
    while ((k = raw_recv(w, buf, sizeof(buf), soon())) > 0)
        n += (size_t)k;
    snprintf(buf, sizeof(buf), "%zu", n);
    if (k == 0)
        put(w, buf, strlen(buf));
    left++;
}

struct pump {
    struct raw *w;
    size_t      n;
};

static int
pump_out(void *arg)
{
    struct pump *p = arg;
    char         buf[32 << 10];
    int          rc = 0;

    for (size_t at = 0; at < BULK && rc == 0; at += sizeof(buf)) {
        memset(buf, (int)(at >> 15), sizeof(buf));
        rc = put(p->w, buf, sizeof(buf));
    }
    return rc;
}

static int
pump_in(void *arg)
{
    struct pump *p = arg;
    char         buf[10000];

    while (p->n < BULK) {
        ssize_t k = raw_recv(p->w, buf, sizeof(buf), soon());

        if (k <= 0)
            return -AIS_E_CLOSED;
        for (ssize_t i = 0; i < k; i++)
            if (buf[i] != (char)((p->n + (size_t)i) >> 15))
                return -AIS_E_CKSUM;
        p->n += (size_t)k;
    }
    return 0;
}

/* Megabytes both ways at the same time. */
static int
both_ways(struct raw *w)
{
    struct pump  p = { w, 0 };
    struct group g;

    group_init(&g, true);
    assert_int_equal(0, group_start(&g, "out", pump_out, &p));
    assert_int_equal(0, group_start(&g, "in", pump_in, &p));
    return group_wait(&g);
}

static void
h_duplex(struct req *r)
{
    struct raw *w = take_over(r);

    if (w != NULL)
        sum_ok += both_ways(w) == 0;
    left++;
}

static void
h_sleep(struct req *r)
{
    struct raw *w = take_over(r);

    if (w != NULL)
        reset += fiber_sleep(SEC_NS(30)) == -AIS_E_CANCELED;
    left++;
}

static int
waits(void *arg)
{
    char c;

    closed += raw_recv(arg, &c, 1, soon()) == -AIS_E_CLOSED;
    return 0;
}

/* One fiber breaks what another one reads from. */
static void
h_break(struct req *r)
{
    struct raw  *w = take_over(r);
    struct group g;
    char         c;

    if (w == NULL)
        return;
    assert_int_equal(-AIS_E_AGAIN, raw_recv_now(w, &c, 1));
    group_init(&g, false);
    assert_int_equal(0, group_start(&g, "reader", waits, w));
    (void)fiber_sleep(MSEC_NS(10));
    raw_break(w);
    group_wait(&g);
    closed += put(w, "x", 1) == -AIS_E_CLOSED;
    closed += raw_recv_now(w, &c, 1) == -AIS_E_CLOSED;
    left++;
}

static void
h_file(struct req *r)
{
    struct raw *w = take_over(r);

    if (w != NULL)
        sum_ok += raw_file(w, file_fd, 10, BULK, SEC_NS(10)) == 0;
    left++;
}

static void
h_busy(struct req *r)
{
    resp_err(r, -AIS_E_UNAVAIL, NULL);
}

static const struct route routes[] = {
    { M_GET, "/echo", h_echo, 0 },   { M_PUT, "/echo", h_echo, R_STREAM }, { M_GET, "/count", h_count, 0 },
    { M_GET, "/duplex", h_duplex, 0 }, { M_GET, "/sleep", h_sleep, 0 },    { M_GET, "/break", h_break, 0 },
    { M_GET, "/file", h_file, 0 },   { M_GET, "/busy", h_busy, 0 },
};

/* --- set-up --- */

static int
prepare(void **state)
{
    char path[160];

    UNUSED(state);
    assert_non_null(mkdtemp(dir));
    issue(&ca, dir, "ca", NULL, NULL);
    issue(&server_id, dir, "server", &ca, "IP:127.0.0.1");
    snprintf(path, sizeof(path), "%s/file", dir);
    file_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    unlink(path);
    for (size_t at = 0; at < BULK + 4096; at += 4096) {
        char block[4096];

        memset(block, (int)(at >> 12), sizeof(block));
        assert_int_equal(sizeof(block), write(file_fd, block, sizeof(block)));
    }
    return 0;
}

static int
tidy(void **state)
{
    UNUSED(state);
    forget(&ca);
    forget(&server_id);
    fd_close(&file_fd);
    return rmdir(dir);
}

static void
serve(bool tls)
{
    struct run_conf     c = { .nloops = 1, .tag = "test" };
    struct tls_conf     ts = { .cert = server_id.cert, .key = server_id.key }, tc = { .ca = ca.cert };
    struct http_conf    h = { .name = "test", .routes = routes, .nroutes = ARRAY_SIZE(routes) };
    struct hclient_conf k = { .user_agent = "test" };
    struct err          e = { .code = 0 };

    entered = left = drained = reset = sum_ok = closed = 0;
    secure = tls;
    if (tls) {
        assert_int_equal(0, tls_server_new(&ts, &server_tls, &e));
        assert_int_equal(0, tls_client_new(&tc, &client_tls, &e));
    }
    h.tls = server_tls;
    k.tls = client_tls;
    assert_int_equal(0, run_new(&c, &run));
    run_start(run);
    assert_int_equal(0, http_listen(run, "127.0.0.1", 0, &h, &srv, &e));
    assert_int_equal(0, hclient_new(run, &k, &hc));
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
    hclient_free(hc);
    tls_free(server_tls);
    tls_free(client_tls);
    run_free(run);
    run = NULL;
    server_tls = client_tls = NULL;
    return 0;
}

static int
upgrade(struct arena *a, const char *path, struct hc_resp *resp, struct raw **w)
{
    struct hc_req q = { .target = str_z(path), .timeout_ns = SEC_NS(5) };
    struct err    e = { .code = 0 };

    q.base = arena_printf(a, "%s://127.0.0.1:%u", secure ? "https" : "http", http_server_port(srv));
    return hc_upgrade(hc, &q, PROTO, a, 4096, resp, w, &e);
}

static struct raw *
upgraded(struct arena *a, const char *path)
{
    struct hc_resp resp = { 0 };
    struct raw    *w = NULL;

    assert_int_equal(0, upgrade(a, path, &resp, &w));
    assert_non_null(w);
    return w;
}

static void
expect_bytes(struct raw *w, const char *want)
{
    char   buf[256];
    size_t n = 0;

    while (n < strlen(want)) {
        ssize_t k = raw_recv(w, buf + n, sizeof(buf) - n, soon());

        assert_true(k > 0);
        n += (size_t)k;
    }
    assert_int_equal(n, strlen(want));
    assert_memory_equal(want, buf, n);
}

/* --- tests --- */

static void
what_comes_right_behind_the_head_is_not_lost(void **state)
{
    int   fd;
    char *text;

    UNUSED(state);
    serve(false);
    fd = dial_port(http_server_port(srv));
    sayz(fd, ASK "early");
    text = hear(fd, "early");
    assert_true(str_starts(str_z(text), STR_LIT("HTTP/1.1 101 Switching Protocols\r\n")));
    assert_non_null(strstr(text, "Connection: Upgrade\r\n"));
    assert_non_null(strstr(text, "Upgrade: test/1\r\n"));
    assert_null(strstr(text, "Content-Length"));
    assert_non_null(strstr(text, "\r\n\r\nearly"));
    sayz(fd, "late");
    assert_string_equal("late", hear(fd, "late"));
    shutdown(fd, SHUT_WR);
    assert_int_equal(0, end_of(fd));
    WITHIN(left == 1);
    close(fd);
}

static void
who_does_not_ask_properly_is_answered_in_http(void **state)
{
    static const char *const asks[] = {
        "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: test/1\r\n\r\n",
        "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: test/2\r\n\r\n",
        "GET /echo HTTP/1.0\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: test/1\r\n\r\n",
        "PUT /echo HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: test/1\r\nContent-Length: 2\r\n\r\nxx",
    };

    UNUSED(state);
    serve(false);
    for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
        int fd = dial_port(http_server_port(srv));

        sayz(fd, asks[i]);
        if (strstr(hear(fd, "\r\n\r\n"), "400 Bad Request") == NULL)
            fail_msg("asked with: %s", asks[i]);
        close(fd);
    }
    assert_int_equal(0, left);
}

static void
echoes(struct arena *a)
{
    struct raw *w = upgraded(a, "/echo");
    char        c;

    assert_int_equal(0, put(w, "hello", 5));
    expect_bytes(w, "hello");
    assert_int_equal(-AIS_E_TIMEOUT, raw_recv(w, &c, 1, deadline_in(clock_mono(), MSEC_NS(20))));
    assert_int_equal(-AIS_E_AGAIN, raw_recv_now(w, &c, 1));
    assert_int_equal(0, put(w, "again", 5));
    expect_bytes(w, "again");
    raw_close(w);
    raw_close(NULL);
}

static void
a_client_gets_the_connection(void **state)
{
    UNUSED(state);
    for (int tls = 0; tls < 2; tls++) {
        serve(tls);
        on_fiber(run, echoes);
        WITHIN(left == 1);
        finish(NULL);
    }
}

static void
is_refused(struct arena *a)
{
    struct hc_resp resp = { 0 };
    struct raw    *w = (struct raw *)a;

    assert_int_equal(0, upgrade(a, "/busy", &resp, &w));
    assert_null(w);
    assert_int_equal(503, resp.status);
    assert_true(resp.body.n > 0);
    assert_int_equal(0, upgrade(a, "/nowhere", &resp, &w)); /* over the same connection */
    assert_null(w);
    assert_int_equal(404, resp.status);
    assert_int_equal(1, http_server_conns(srv));
}

static void
another_answer_is_the_callers_to_read(void **state)
{
    UNUSED(state);
    serve(false);
    on_fiber(run, is_refused);
}

static void
pumps(struct arena *a)
{
    struct raw *w = upgraded(a, "/duplex");

    assert_int_equal(0, both_ways(w));
    raw_close(w);
}

static void
one_fiber_reads_while_another_one_writes(void **state)
{
    UNUSED(state);
    for (int tls = 0; tls < 2; tls++) {
        serve(tls);
        on_fiber(run, pumps);
        WITHIN(left == 1);
        assert_int_equal(1, sum_ok);
        finish(NULL);
    }
}

static void
ends_its_side(struct arena *a)
{
    struct raw *w = upgraded(a, "/count");
    char        c;

    assert_int_equal(0, put(w, "0123456789", 10));
    raw_end(w);
    expect_bytes(w, "10");
    assert_int_equal(0, raw_recv(w, &c, 1, soon()));
    raw_close(w);
}

static void
one_side_may_end_while_the_other_goes_on(void **state)
{
    UNUSED(state);
    serve(false);
    on_fiber(run, ends_its_side);
    WITHIN(left == 1);
}

static void
a_reset_cancels_the_handler(void **state)
{
    struct linger hard = { .l_onoff = 1, .l_linger = 0 };
    int           fd;

    UNUSED(state);
    serve(false);
    fd = dial_port(http_server_port(srv));
    sayz(fd, "GET /sleep HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: test/1\r\n\r\n");
    hear(fd, "\r\n\r\n");
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(fd);
    WITHIN(left == 1);
    assert_int_equal(1, reset);
    WITHIN(http_server_conns(srv) == 0);
}

static void
what_is_broken_wakes_who_waits_and_resets(void **state)
{
    int fd;

    UNUSED(state);
    serve(false);
    fd = dial_port(http_server_port(srv));
    sayz(fd, "GET /break HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: test/1\r\n\r\n");
    assert_int_equal(ECONNRESET, end_of(fd));
    WITHIN(left == 1);
    assert_int_equal(3, closed);
    close(fd);
}

static void
gets_the_file(struct arena *a)
{
    struct raw *w = upgraded(a, "/file");
    size_t      n = 0;
    char        buf[10000];

    for (;;) {
        ssize_t k = raw_recv(w, buf, sizeof(buf), soon());

        assert_true(k >= 0);
        if (k == 0)
            break;
        for (ssize_t i = 0; i < k; i++)
            assert_int_equal(buf[i], (char)((10 + n + (size_t)i) >> 12));
        n += (size_t)k;
    }
    assert_int_equal(BULK, n);
    raw_close(w);
}

static void
files_go_through(void **state)
{
    UNUSED(state);
    for (int tls = 0; tls < 2; tls++) {
        serve(tls);
        on_fiber(run, gets_the_file);
        WITHIN(left == 1);
        assert_int_equal(1, sum_ok);
        finish(NULL);
    }
}

static void
a_server_that_drains_tells_who_reads_and_takes_nobody_over(void **state)
{
    int fd;

    UNUSED(state);
    serve(false);
    fd = dial_port(http_server_port(srv));
    sayz(fd, ASK "x");
    hear(fd, "x");
    http_server_drain(srv);
    assert_int_equal(0, end_of(fd));
    WITHIN(left == 1 && drained == 1);
    close(fd);
    WITHIN(http_server_conns(srv) == 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_teardown(f, finish)
    const struct CMUnitTest tests[] = {
        T(what_comes_right_behind_the_head_is_not_lost),
        T(who_does_not_ask_properly_is_answered_in_http),
        T(a_client_gets_the_connection),
        T(another_answer_is_the_callers_to_read),
        T(one_fiber_reads_while_another_one_writes),
        T(one_side_may_end_while_the_other_goes_on),
        T(a_reset_cancels_the_handler),
        T(what_is_broken_wakes_who_waits_and_resets),
        T(files_go_through),
        T(a_server_that_drains_tells_who_reads_and_takes_nobody_over),
    };

    return cmocka_run_group_tests_name("upgrade", tests, prepare, tidy);
}
