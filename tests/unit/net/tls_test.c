/* SPDX-License-Identifier: Apache-2.0 */
/* TLS on both sides: certificates made on the spot, client certificates, strangers, reload. */
#include "unit_net.h"

#include <fcntl.h>

#include "base/sbuf.h"
#include "net/tls.h"
#include "unit_tls.h"

static struct run         *run;
static struct http_server *srv;
static struct hclient     *hc;
static struct tls_ctx     *server_tls, *client_tls;
static char                dir[] = "/tmp/ais-tls-XXXXXX";
static int                 file_fd = -1;
static _Atomic int         entered, cancelled;

#define FILE_LEN (3u << 20)

static struct id ca, server_id, other_id, client_id, stranger_id;

/* --- handlers --- */

static void
h_who(struct req *r)
{
    const char *peer = conn_tls_peer(r->conn);

    resp_send(r, 200, NULL, str_z(peer == NULL ? "nobody" : peer));
}

static void
h_file(struct req *r)
{
    if (resp_start(r, 200, FILE_LEN) == 0 && resp_file(r, file_fd, 0, FILE_LEN) == 0)
        resp_end(r);
}

static void
h_sum(struct req *r)
{
    uint64_t    sum = 0;
    const void *p;
    ssize_t     n;

    while ((n = req_peek(r, &p)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            sum += ((const unsigned char *)p)[i];
        req_consume(r, (size_t)n);
    }
    if (n < 0)
        resp_err(r, (int)n, NULL);
    else
        resp_send(r, 200, NULL, arena_printf(r->arena, "%llu", (unsigned long long)sum));
}

static void
h_wait(struct req *r)
{
    entered++;
    cancelled += fiber_sleep(SEC_NS(30)) == -AIS_E_CANCELED;
    resp_err(r, -AIS_E_CANCELED, NULL);
}

static void
h_redirect(struct req *r)
{
    resp_empty(r, 307);
}

static const struct route routes[] = {
    { M_GET, "/who", h_who, 0 },  { M_GET, "/file", h_file, 0 },          { M_PUT, "/sum", h_sum, R_STREAM },
    { M_GET, "/wait", h_wait, 0 }, { M_PUT, "/redirect", h_redirect, R_STREAM },
};

/* --- set-up --- */

static int
make_certificates(void **state)
{
    char path[160], block[4096];

    UNUSED(state);
    assert_non_null(mkdtemp(dir));
    issue(&ca, dir, "ca", NULL, NULL);
    issue(&server_id, dir, "server", &ca, "IP:127.0.0.1,DNS:localhost");
    issue(&other_id, dir, "other", &ca, "DNS:elsewhere.example");
    issue(&client_id, dir, "client", &ca, NULL);
    issue(&stranger_id, dir, "stranger", NULL, NULL);
    snprintf(path, sizeof(path), "%s/file", dir);
    file_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    unlink(path);
    memset(block, 'f', sizeof(block));
    for (unsigned i = 0; i < FILE_LEN / sizeof(block); i++)
        assert_int_equal(sizeof(block), write(file_fd, block, sizeof(block)));
    return 0;
}

static int
remove_certificates(void **state)
{
    UNUSED(state);
    forget(&ca);
    forget(&server_id);
    forget(&other_id);
    forget(&client_id);
    forget(&stranger_id);
    fd_close(&file_fd);
    return rmdir(dir);
}

static void
serve(const struct id *id, enum tls_client_auth auth)
{
    struct run_conf  c = { .nloops = 1, .tag = "test" };
    struct tls_conf  t = { .cert = id->cert, .key = id->key, .ca = ca.cert, .client_auth = auth };
    struct http_conf h = { .name = "tls", .routes = routes, .nroutes = ARRAY_SIZE(routes), .head_ns = SEC_NS(1) };
    struct err       e = { .code = 0 };

    entered = cancelled = 0;
    assert_int_equal(0, tls_server_new(&t, &server_tls, &e));
    h.tls = server_tls;
    assert_int_equal(0, run_new(&c, &run));
    run_start(run);
    assert_int_equal(0, http_listen(run, "127.0.0.1", 0, &h, &srv, &e));
}

static void
client(const struct id *id, const char *trusted, bool skip_verify)
{
    struct tls_conf     t = { .cert = id == NULL ? NULL : id->cert, .key = id == NULL ? NULL : id->key, .ca = trusted,
                              .skip_verify = skip_verify };
    struct hclient_conf k = { .user_agent = "test" };
    struct err          e = { .code = 0 };

    assert_int_equal(0, tls_client_new(&t, &client_tls, &e));
    k.tls = client_tls;
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
    hc = NULL;
    server_tls = client_tls = NULL;
    return 0;
}

static int
get(struct arena *a, const char *path, struct hc_resp *r)
{
    struct hc_req q = { .method = M_GET, .target = str_z(path), .timeout_ns = SEC_NS(5) };
    struct err    e = { .code = 0 };

    q.base = arena_printf(a, "https://127.0.0.1:%u", http_server_port(srv));
    return hc_call(hc, &q, a, 8 << 20, r, &e);
}

/* --- tests --- */

static void
traffic(struct arena *a)
{
    struct hc_req            q = { .method = M_PUT, .target = STR_LIT("/sum"), .length = 1000 * 1000 };
    const struct http1_head *h;
    struct hc_resp           r;
    struct hcall            *c;
    struct err               e = { .code = 0 };
    char                     piece[1000];

    for (int i = 0; i < 20; i++) {
        assert_int_equal(0, get(a, "/who", &r));
        assert_true(str_eqz(r.body, "nobody"));
    }
    assert_int_equal(0, get(a, "/file", &r));
    assert_int_equal(FILE_LEN, r.body.n);
    for (size_t i = 0; i < r.body.n; i++)
        assert_int_equal('f', r.body.p[i]);
    q.base = arena_printf(a, "https://127.0.0.1:%u", http_server_port(srv));
    memset(piece, 2, sizeof(piece));
    for (int round = 0; round < 2; round++) {
        assert_int_equal(0, hc_open(hc, &q, &c, &e));
        for (int i = 0; i < 1000; i++)
            assert_int_equal(0, hc_write(c, piece, sizeof(piece)));
        assert_int_equal(0, hc_end_body(c));
        assert_int_equal(0, hc_head(c, &h));
        assert_int_equal(7, hc_read(c, piece, sizeof(piece)));
        assert_memory_equal("2000000", piece, 7);
        memset(piece, 2, sizeof(piece));
        hc_close(c);
    }
    /* a body that nobody reads, larger than what is drained: the answer is seen all the same */
    q.target = STR_LIT("/redirect");
    assert_int_equal(0, hc_open(hc, &q, &c, &e));
    for (int i = 0; i < 1000; i++)
        assert_int_equal(0, hc_write(c, piece, sizeof(piece)));
    assert_int_equal(0, hc_head(c, &h));
    assert_int_equal(307, h->status);
    assert_false(h->keep_alive);
    hc_close(c);
    assert_int_equal(1, http_server_conns(srv) <= 1);
}

static void
small_and_large_bodies_go_both_ways(void **state)
{
    UNUSED(state);
    serve(&server_id, TLS_CLIENT_NONE);
    client(NULL, ca.cert, false);
    on_fiber(run, traffic);
}

static void
fails(struct arena *a)
{
    struct hc_resp r;

    assert_int_equal(-AIS_E_PEER, get(a, "/who", &r));
}

static void
a_server_that_nobody_vouches_for_is_refused(void **state)
{
    UNUSED(state);
    serve(&server_id, TLS_CLIENT_NONE);
    client(NULL, stranger_id.cert, false);
    on_fiber(run, fails);
}

static void
a_server_with_another_name_is_refused(void **state)
{
    UNUSED(state);
    serve(&other_id, TLS_CLIENT_NONE);
    client(NULL, ca.cert, false);
    on_fiber(run, fails);
}

static void
is_nobody(struct arena *a)
{
    struct hc_resp r;

    assert_int_equal(0, get(a, "/who", &r));
    assert_true(str_eqz(r.body, "nobody"));
}

static void
is_client(struct arena *a)
{
    struct hc_resp r;

    assert_int_equal(0, get(a, "/who", &r));
    assert_true(str_eqz(r.body, "/CN=client"));
}

/* With TLS 1.3 a client learns only from its first read that its certificate was not liked. */
static void
is_refused(struct arena *a)
{
    struct hc_resp r;

    assert_true(get(a, "/who", &r) < 0);
}

static void
unless_told_not_to_look(void **state)
{
    UNUSED(state);
    serve(&other_id, TLS_CLIENT_NONE);
    client(NULL, NULL, true);
    on_fiber(run, is_nobody);
}

static void
client_certificates_are_asked_for_as_configured(void **state)
{
    static const struct {
        enum tls_client_auth auth;
        const struct id     *id;
        void (*outcome)(struct arena *a);
    } cases[] = {
        { TLS_CLIENT_NONE, &client_id, is_nobody },
        { TLS_CLIENT_REQUEST, NULL, is_nobody },
        { TLS_CLIENT_REQUEST, &client_id, is_client },
        { TLS_CLIENT_REQUEST, &stranger_id, is_nobody },
        { TLS_CLIENT_REQUIRE_ANY, NULL, is_refused },
        { TLS_CLIENT_REQUIRE_ANY, &stranger_id, is_nobody },
        { TLS_CLIENT_VERIFY_IF_GIVEN, NULL, is_nobody },
        { TLS_CLIENT_VERIFY_IF_GIVEN, &client_id, is_client },
        { TLS_CLIENT_VERIFY_IF_GIVEN, &stranger_id, is_refused },
        { TLS_CLIENT_REQUIRE_VERIFY, NULL, is_refused },
        { TLS_CLIENT_REQUIRE_VERIFY, &stranger_id, is_refused },
        { TLS_CLIENT_REQUIRE_VERIFY, &client_id, is_client },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        serve(&server_id, cases[i].auth);
        client(cases[i].id, ca.cert, false);
        on_fiber(run, cases[i].outcome);
        finish(state);
    }
}

static void
strangers_to_tls_are_sent_away(void **state)
{
    int fd;

    UNUSED(state);
    serve(&server_id, TLS_CLIENT_NONE);
    fd = dial_port(http_server_port(srv));
    sayz(fd, "GET /who HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_null(strstr(hear(fd, NULL), "HTTP/1.1 200"));
    close(fd);
    fd = dial_port(http_server_port(srv)); /* says the beginning of a hello, and no more */
    say(fd, "\x16\x03\x01\x02\x00\x01", 6);
    assert_int_not_equal(-1, end_of(fd));
    close(fd);
    WITHIN(http_server_conns(srv) == 0);
}

static void
start_and_leave(struct arena *a)
{
    struct hc_req q = { .method = M_GET, .target = STR_LIT("/wait") };
    struct hcall *c;
    struct err    e = { .code = 0 };

    q.base = arena_printf(a, "https://127.0.0.1:%u", http_server_port(srv));
    assert_int_equal(0, hc_open(hc, &q, &c, &e));
    while (entered == 0)
        fiber_sleep(MSEC_NS(2));
    hc_close(c);
}

static void
a_client_that_goes_away_cancels_its_handler(void **state)
{
    UNUSED(state);
    serve(&server_id, TLS_CLIENT_NONE);
    client(NULL, ca.cert, false);
    on_fiber(run, start_and_leave);
    WITHIN(cancelled == 1);
    WITHIN(http_server_conns(srv) == 0);
}

static void
copy_file(const char *from, const char *to)
{
    char  buf[8192];
    FILE *in = fopen(from, "re"), *out = fopen(to, "we");
    size_t n = fread(buf, 1, sizeof(buf), in);

    assert_int_equal(n, fwrite(buf, 1, n, out));
    fclose(in);
    fclose(out);
}

static void
new_certificates_are_taken_without_a_restart_and_bad_ones_are_not(void **state)
{
    struct id   used;
    struct err  e = { .code = 0 };
    struct sbuf text;

    UNUSED(state);
    snprintf(used.cert, sizeof(used.cert), "%s/used.crt", dir);
    snprintf(used.key, sizeof(used.key), "%s/used.key", dir);
    copy_file(other_id.cert, used.cert);
    copy_file(other_id.key, used.key);
    serve(&used, TLS_CLIENT_NONE);
    client(NULL, ca.cert, false);
    on_fiber(run, fails);
    copy_file(server_id.cert, used.cert);
    assert_int_equal(-AIS_E_INVAL, tls_reload(server_tls, &e)); /* not the certificate of that key */
    on_fiber(run, fails);
    copy_file(server_id.key, used.key);
    assert_int_equal(0, tls_reload(server_tls, &e));
    on_fiber(run, is_nobody);
    sbuf_init(&text, 4096);
    assert_int_equal(0, tls_cert_json(server_tls, &text));
    assert_non_null(strstr(text.p, "CN=server"));
    sbuf_fini(&text);
    unlink(used.cert);
    unlink(used.key);
}

int
main(void)
{
#define T(f) cmocka_unit_test_teardown(f, finish)
    const struct CMUnitTest tests[] = {
        T(small_and_large_bodies_go_both_ways),
        T(a_server_that_nobody_vouches_for_is_refused),
        T(a_server_with_another_name_is_refused),
        T(unless_told_not_to_look),
        T(client_certificates_are_asked_for_as_configured),
        T(strangers_to_tls_are_sent_away),
        T(a_client_that_goes_away_cancels_its_handler),
        T(new_certificates_are_taken_without_a_restart_and_bad_ones_are_not),
    };

    return cmocka_run_group_tests_name("tls", tests, make_certificates, remove_certificates);
}
