/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client against a server that follows a script: what is repeated, what is pooled, what is an error. */
#include "unit_net.h"

#include <pthread.h>

static struct run     *run;
static struct hclient *hc, *greeter;

/* --- a server that follows a script --- */

struct step {
    bool        fresh;  /* on a new connection, else on the one of the step before */
    const char *expect; /* how the request begins */
    const char *answer; /* NULL: close the connection without a word */
    bool        closes; /* after the answer */
};

static struct {
    int                listener, conn;
    uint16_t           port;
    pthread_t          thread;
    const struct step *steps;
    size_t             nsteps;
    const char        *wrong;
} script;

static bool
read_request(int fd, const char *expect)
{
    char   buf[8192];
    size_t n = 0, body = 0, head;

    for (;;) {
        ssize_t k = recv(fd, buf + n, sizeof(buf) - 1 - n, 0);
        char   *end, *cl;

        if (k <= 0)
            return false;
        n += (size_t)k;
        buf[n] = '\0';
        end = strstr(buf, "\r\n\r\n");
        if (end == NULL)
            continue;
        cl = strstr(buf, "Content-Length: ");
        body = cl == NULL ? 0 : strtoul(cl + 16, NULL, 10);
        head = (size_t)(end + 4 - buf);
        if (n >= head + body)
            return strncmp(buf, expect, strlen(expect)) == 0;
    }
}

static void *
follow_script(void *arg)
{
    UNUSED(arg);
    for (size_t i = 0; i < script.nsteps; i++) {
        const struct step *s = &script.steps[i];

        if (s->fresh) {
            fd_close(&script.conn);
            script.conn = accept(script.listener, NULL, NULL);
        }
        if (!read_request(script.conn, s->expect)) {
            script.wrong = s->expect;
            break;
        }
        if (s->answer != NULL)
            say(script.conn, s->answer, strlen(s->answer));
        if (s->answer == NULL || s->closes)
            fd_close(&script.conn);
    }
    return NULL;
}

static void
script_start(const struct step *steps, size_t n)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    socklen_t          len = sizeof(a);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    script.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, bind(script.listener, (struct sockaddr *)&a, sizeof(a)));
    assert_int_equal(0, listen(script.listener, 8));
    assert_int_equal(0, getsockname(script.listener, (struct sockaddr *)&a, &len));
    script.port = ntohs(a.sin_port);
    script.steps = steps;
    script.nsteps = n;
    script.conn = -1;
    script.wrong = NULL;
    assert_int_equal(0, pthread_create(&script.thread, NULL, follow_script, NULL));
}

/* The script was followed to its end, and no further connection came. */
static void
script_end(void)
{
    struct pollfd p = { .fd = script.listener, .events = POLLIN };

    pthread_join(script.thread, NULL);
    assert_null(script.wrong);
    assert_int_equal(0, poll(&p, 1, 0));
    fd_close(&script.conn);
    fd_close(&script.listener);
}

/* --- calls --- */

static int
call(struct arena *a, enum method m, const char *body, struct hc_resp *out)
{
    struct hc_req q = { .method = m, .target = STR_LIT("/x"), .body = str_z(body), .timeout_ns = SEC_NS(5) };
    struct err    e = { .code = 0 };
    int           rc;

    q.base = arena_printf(a, "http://127.0.0.1:%u", script.port);
    rc = hc_call(hc, &q, a, 100000, out, &e);
    assert_int_equal(rc, -e.code);
    return rc;
}

static void
ok(struct arena *a, enum method m, const char *body, const char *want)
{
    struct hc_resp r;

    assert_int_equal(0, call(a, m, body, &r));
    assert_int_equal(200, r.status);
    assert_true(str_eqz(r.body, want));
}

#define OK_A "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
#define OK_B "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n"

static int
setup(void **state)
{
    struct run_conf     c = { .nloops = 1, .tag = "test" };
    struct hclient_conf k = { .user_agent = "test" };

    UNUSED(state);
    assert_int_equal(0, run_new(&c, &run));
    run_start(run);
    assert_int_equal(0, hclient_new(run, &k, &hc));
    return 0;
}

static int
teardown(void **state)
{
    UNUSED(state);
    run_stop(run, SEC_NS(5));
    hclient_free(hc);
    hclient_free(greeter);
    greeter = NULL;
    run_free(run);
    return 0;
}

/* --- tests --- */

static void
two_gets_and_a_post(struct arena *a)
{
    ok(a, M_GET, "", "a");
    ok(a, M_GET, "", "b");
    ok(a, M_POST, "text", "a");
}

static void
one_connection_serves_many_calls(void **state)
{
    static const struct step steps[] = { { true, "GET /x HTTP/1.1\r\nHost: 127.0.0.1:", OK_A, false },
                                         { false, "GET ", OK_B, false },
                                         { false, "POST ", OK_A, false } };

    UNUSED(state);
    script_start(steps, ARRAY_SIZE(steps));
    on_fiber(run, two_gets_and_a_post);
    script_end();
}

static void
get_then_put(struct arena *a)
{
    ok(a, M_GET, "", "a");
    ok(a, M_PUT, "text", "b");
}

static void
an_idempotent_call_on_a_stale_connection_is_repeated_once(void **state)
{
    static const struct step steps[] = { { true, "GET ", OK_A, false }, { false, "PUT ", NULL, false }, { true, "PUT ", OK_B, false } };

    UNUSED(state);
    script_start(steps, ARRAY_SIZE(steps));
    on_fiber(run, get_then_put);
    script_end();
}

static void
get_then_put_twice_lost(struct arena *a)
{
    struct hc_resp r;

    ok(a, M_GET, "", "a");
    assert_int_equal(-AIS_E_CLOSED, call(a, M_PUT, "text", &r));
}

static void
but_not_twice(void **state)
{
    static const struct step steps[] = { { true, "GET ", OK_A, false }, { false, "PUT ", NULL, false }, { true, "PUT ", NULL, false } };

    UNUSED(state);
    script_start(steps, ARRAY_SIZE(steps));
    on_fiber(run, get_then_put_twice_lost);
    script_end();
}

static void
get_then_post_lost(struct arena *a)
{
    struct hc_resp r;

    ok(a, M_GET, "", "a");
    assert_int_equal(-AIS_E_CLOSED, call(a, M_POST, "text", &r));
}

static void
a_post_that_may_have_been_done_is_not_repeated(void **state)
{
    static const struct step steps[] = { { true, "GET ", OK_A, false }, { false, "POST ", NULL, false } };

    UNUSED(state);
    script_start(steps, ARRAY_SIZE(steps));
    on_fiber(run, get_then_post_lost);
    script_end();
}

static void
get_wait_post(struct arena *a)
{
    ok(a, M_GET, "", "a");
    fiber_sleep(MSEC_NS(30)); /* the server's end arrives */
    ok(a, M_POST, "text", "b");
}

static void
a_connection_that_its_server_closed_is_not_used(void **state)
{
    static const struct step steps[] = { { true, "GET ", OK_A, true }, { true, "POST ", OK_B, false } };

    UNUSED(state);
    script_start(steps, ARRAY_SIZE(steps));
    on_fiber(run, get_wait_post);
    script_end();
}

static void
four_gets(struct arena *a)
{
    ok(a, M_GET, "", "a");
    ok(a, M_GET, "", "to the end");
    ok(a, M_GET, "", "c");
    ok(a, M_GET, "", "b");
}

static void
connections_that_end_or_say_too_much_are_not_pooled(void **state)
{
    static const struct step steps[] = {
        { true, "GET ", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na", false },
        { true, "GET ", "HTTP/1.0 200 OK\r\n\r\nto the end", true },
        { true, "GET ", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ncHTTP/1.1 200 OK\r\n", false },
        { true, "GET ", OK_B, false },
    };

    UNUSED(state);
    script_start(steps, ARRAY_SIZE(steps));
    on_fiber(run, four_gets);
    script_end();
}

static void
heads_and_errors(struct arena *a)
{
    struct hc_resp r;

    assert_int_equal(0, call(a, M_HEAD, "", &r));
    assert_int_equal(77, r.head->content_length);
    assert_int_equal(0, r.body.n);
    ok(a, M_GET, "", "a");
    assert_int_equal(-AIS_E_BADHTTP, call(a, M_GET, "", &r));
    assert_int_equal(-AIS_E_BADHTTP, call(a, M_GET, "", &r));
    assert_int_equal(-AIS_E_CLOSED, call(a, M_GET, "", &r));
    assert_int_equal(-AIS_E_TOOBIG, call(a, M_GET, "", &r));
}

static void
answers_are_parsed_strictly(void **state)
{
    static const struct step steps[] = {
        { true, "HEAD ", "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n", false },
        { false, "GET ", OK_A, false },
        { false, "GET ", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", false },
        { true, "GET ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", false },
        { true, "GET ", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", true },
        { true, "GET ", "HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n", false },
    };

    UNUSED(state);
    script_start(steps, ARRAY_SIZE(steps));
    on_fiber(run, heads_and_errors);
    script_end();
}

static void
nobody_answers(struct arena *a)
{
    struct hc_resp r;
    struct hc_req  q = { .method = M_GET, .target = STR_LIT("/"), .timeout_ns = MSEC_NS(100) };
    struct err     e = { .code = 0 };
    int64_t        t0 = clock_mono();

    q.base = arena_printf(a, "http://localhost:%u", script.port);
    assert_int_equal(-AIS_E_TIMEOUT, hc_call(hc, &q, a, 100, &r, &e));
    assert_true(clock_mono() - t0 < SEC_NS(4));
    q.base = STR_LIT("http://no-such-host.invalid:1");
    q.timeout_ns = SEC_NS(8);
    assert_int_equal(-AIS_E_PEER, hc_call(hc, &q, a, 100, &r, &e));
    q.base = STR_LIT("http://[x");
    assert_int_equal(-AIS_E_INVAL, hc_call(hc, &q, a, 100, &r, &e));
}

static void
calls_end_in_time_and_bad_names_are_errors(void **state)
{
    UNUSED(state);
    script_start(NULL, 0);
    on_fiber(run, nobody_answers);
    pthread_join(script.thread, NULL);
    fd_close(&script.listener);
}

/* --- what every connection begins with --- */

static int hellos;

static int
greet(void *ctx, struct hcall *raw, struct err *e)
{
    struct hc_req  q = { .method = M_POST, .target = STR_LIT("/greet"), .body = STR_LIT("hi") };
    struct hc_resp r;
    struct arena  *a = arena_new(4096, 1 << 20);
    int            rc = hc_on(raw, &q, a, 1000, &r, e);

    assert_ptr_equal(&hellos, ctx);
    assert_string_equal("who", hc_peer(raw));
    hellos++;
    if (rc == 0 && r.status != 200)
        rc = err_set(e, AIS_E_FORBIDDEN, "not known here");
    arena_free(a);
    return rc;
}

static void
greeted_calls(struct arena *a)
{
    struct hclient_conf k = { .on_connect = greet, .ctx = &hellos };
    char                who[] = "who";
    struct hc_req       q = { .method = M_GET, .target = STR_LIT("/x"), .peer = who };
    struct hc_resp      r;
    struct err          e = { .code = 0 };

    assert_int_equal(0, hclient_new(run, &k, &greeter));
    q.base = arena_printf(a, "http://127.0.0.1:%u", script.port);
    assert_int_equal(0, hc_call(greeter, &q, a, 1000, &r, &e));
    assert_int_equal(0, hc_call(greeter, &q, a, 1000, &r, &e));
    assert_int_equal(1, hellos);
    fiber_sleep(MSEC_NS(30));
    assert_int_equal(-AIS_E_FORBIDDEN, hc_call(greeter, &q, a, 1000, &r, &e));
    assert_int_equal(2, hellos);
}

static void
every_connection_is_greeted_once(void **state)
{
    static const struct step steps[] = { { true, "POST /greet ", OK_A, false },
                                         { false, "GET /x ", OK_B, false },
                                         { false, "GET /x ", OK_B, true },
                                         { true, "POST /greet ", "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", false } };

    UNUSED(state);
    hellos = 0;
    script_start(steps, ARRAY_SIZE(steps));
    on_fiber(run, greeted_calls);
    script_end();
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(one_connection_serves_many_calls),
        T(an_idempotent_call_on_a_stale_connection_is_repeated_once),
        T(but_not_twice),
        T(a_post_that_may_have_been_done_is_not_repeated),
        T(a_connection_that_its_server_closed_is_not_used),
        T(connections_that_end_or_say_too_much_are_not_pooled),
        T(answers_are_parsed_strictly),
        T(calls_end_in_time_and_bad_names_are_errors),
        T(every_connection_is_greeted_once),
    };

    return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
