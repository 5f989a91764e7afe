/* SPDX-License-Identifier: Apache-2.0 */
/* The mutual challenge: who has the key gets in, once, in one direction; nobody else does. */
#include "unit.h"

#include <fcntl.h>

#include "core/auth.c"

#include "on_fiber.h"

#define KEY_A "1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define KEY_B "1:ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define KEY_2 "2:aa0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

/* A server node and a client node, each with a key file of its own. */
struct fixture {
    char               *sdir, *cdir;
    struct run         *run;
    struct node         server;
    struct auth        *client;
    struct http_server *srv;
    struct hclient     *hc, *forger; /* freed after the loops have stopped */
    char                base[64];
    int                 rc, status;
    struct err          err;
    char                who[64];
    const char         *want;
    /* what a forger does on his connection */
    char                hello_body[AUTH_BODY_MAX + 200], prove_body[256], answer[1024];
    bool                skip_hello;
};

static void
h_who(struct req *r)
{
    const char *peer = auth_peer(r->conn);

    resp_send(r, 200, "text/plain", str_z(peer != NULL ? peer : "-"));
}

static const struct route routes[] = {
    { M_POST, "/v1/auth/hello", h_auth_hello, R_STREAM },
    { M_POST, "/v1/auth/prove", h_auth_prove, R_STREAM },
    { M_GET, "/who", h_who, 0 },
};

static void
key_write(const char *dir, const char *text)
{
    auto_free char *path = xasprintf("%s/.ais.cluster_key", dir), *tmp = xasprintf("%s/tmp", dir);
    FILE           *f = fopen(tmp, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    chmod(tmp, 0600);
    assert_int_equal(0, rename(tmp, path)); /* another inode: noticed whatever the clock says */
}

static void
fx_begin(struct fixture *f, const char *skey, const char *ckey)
{
    struct http_conf    c = { .name = "control", .routes = routes, .nroutes = ARRAY_SIZE(routes), .ctx = &f->server,
                              .conn_closed = auth_conn_closed };
    struct hclient_conf h = { .on_connect = auth_connect };

    memset(f, 0, sizeof(*f));
    f->sdir = test_dir_new();
    f->cdir = test_dir_new();
    if (skey != NULL)
        key_write(f->sdir, skey);
    if (ckey != NULL)
        key_write(f->cdir, ckey);
    f->run = test_run_new(1);
    assert_int_equal(0, auth_new(f->sdir, "server-01", &f->server.auth, &f->err));
    assert_int_equal(0, auth_new(f->cdir, "client-01", &f->client, &f->err));
    assert_int_equal(0, http_listen(f->run, "127.0.0.1", 0, &c, &f->srv, &f->err));
    snprintf(f->base, sizeof(f->base), "http://127.0.0.1:%u", http_server_port(f->srv));
    h.ctx = f->client;
    assert_int_equal(0, hclient_new(f->run, &h, &f->hc));
}

static void
fx_end(struct fixture *f)
{
    http_server_drain(f->srv);
    run_stop(f->run, SEC_NS(5));
    http_server_free(f->srv);
    hclient_free(f->hc);
    hclient_free(f->forger);
    run_free(f->run);
    auth_free(f->server.auth);
    auth_free(f->client);
    test_dir_free(f->sdir);
    test_dir_free(f->cdir);
}

static void
call_who(void *arg)
{
    struct fixture *f = arg;
    struct arena   *a = arena_new(4096, 1 << 20);
    struct snode    want = { .role = ROLE_PROXY };
    struct hc_req   q = { .method = M_GET, .base = str_z(f->base), .target = STR_LIT("/who"), .timeout_ns = SEC_NS(5) };
    struct hc_resp  resp;

    str_copyz(str_z(f->want), want.id, sizeof(want.id));
    q.peer = &want;
    err_clear(&f->err);
    f->who[0] = '\0';
    f->rc = hc_call(f->hc, &q, a, 4096, &resp, &f->err);
    if (f->rc == 0)
        str_copyz(resp.body, f->who, sizeof(f->who));
    arena_free(a);
}

static int
fx_call(struct fixture *f)
{
    on_fiber(f->run, 0, call_who, f);
    return f->rc;
}

/* --- a forger: speaks the protocol by hand, with bodies given; records the last status and the answer to hello --- */
static int
forge(void *ctx, struct hcall *raw, struct err *e)
{
    struct fixture *f = ctx;
    struct arena   *a = arena_new(4096, 1 << 20);
    struct hc_req   q = { .method = M_POST, .target = STR_LIT("/v1/auth/hello"), .body = str_z(f->hello_body),
                          .timeout_ns = SEC_NS(5) };
    struct hc_resp  resp;
    int             rc = 0;

    if (!f->skip_hello) {
        rc = hc_on(raw, &q, a, 4096, &resp, e);
        if (rc == 0) {
            f->status = resp.status;
            str_copyz(resp.body, f->answer, sizeof(f->answer));
        }
    }
    if (rc == 0 && f->prove_body[0] != '\0') {
        q.target = STR_LIT("/v1/auth/prove");
        q.body = str_z(f->prove_body);
        rc = hc_on(raw, &q, a, 4096, &resp, e);
        if (rc == 0)
            f->status = resp.status;
    }
    arena_free(a);
    return rc < 0 ? rc : -AIS_E_UNAUTH;
}

static void
forge_run(void *arg)
{
    struct fixture     *f = arg;
    struct hclient_conf h = { .on_connect = forge, .ctx = f };
    struct hc_req       q = { .method = M_GET, .base = str_z(f->base), .target = STR_LIT("/who"), .timeout_ns = SEC_NS(5) };
    struct arena       *a = arena_new(4096, 1 << 20);
    struct hc_resp      resp;

    f->status = 0;
    if (f->forger == NULL)
        assert_int_equal(0, hclient_new(f->run, &h, &f->forger));
    (void)hc_call(f->forger, &q, a, 4096, &resp, &f->err);
    arena_free(a);
}

static int
fx_forge(struct fixture *f, const char *hello, const char *prove)
{
    str_copyz(str_z(hello), f->hello_body, sizeof(f->hello_body));
    str_copyz(str_z(prove), f->prove_body, sizeof(f->prove_body));
    on_fiber(f->run, 0, forge_run, f);
    return f->status;
}

#define NONCE "1111111111111111111111111111111111111111111111111111111111111111"
#define HELLO "{\"id\":\"client-01\",\"nonce\":\"" NONCE "\",\"keys\":[1]}"

/* Mac of the client's direction for the challenge that the server just sent (in f->answer). */
static void
good_proof(struct fixture *f, char out[256])
{
    json_t       *j = NULL;
    unsigned char snonce[NONCE_LEN], cnonce[NONCE_LEN], mac[MAC_LEN];
    char          hex[2 * MAC_LEN + 1];
    struct key    k;

    assert_int_equal(0, json_read(str_z(f->answer), &j, NULL));
    assert_true(jhex(j, "nonce", snonce, NONCE_LEN));
    assert_true(str_unhex(STR_LIT(NONCE), cnonce, NONCE_LEN));
    assert_true(key_find(f->client, 1, &k));
    assert_true(proof(&k, "client", cnonce, snonce, "client-01", "server-01", mac));
    str_hex(mac, MAC_LEN, hex);
    snprintf(out, 256, "{\"mac\":\"%s\"}", hex);
    json_decref(j);
}

/* --- tests --- */
static void
nodes_with_the_same_key_know_each_other(void **state)
{
    struct fixture f;

    (void)state;
    fx_begin(&f, KEY_A, KEY_A);
    f.want = "server-01";
    assert_int_equal(0, fx_call(&f));
    assert_string_equal("client-01", f.who);
    assert_int_equal(0, fx_call(&f)); /* the pooled connection stays authenticated */
    assert_string_equal("client-01", f.who);
    fx_end(&f);
}

static void
a_wrong_key_is_refused(void **state)
{
    struct fixture f;

    (void)state;
    fx_begin(&f, KEY_A, KEY_B);
    assert_int_equal(-AIS_E_UNAUTH, fx_call(&f));
    assert_non_null(strstr(f.err.text, "does not have the cluster key"));
    assert_int_equal(401, fx_forge(&f, HELLO, "{\"mac\":\"" NONCE "\"}"));
    fx_end(&f);
}

static void
another_node_than_expected_is_refused_by_the_caller(void **state)
{
    struct fixture f;

    (void)state;
    fx_begin(&f, KEY_A, KEY_A);
    f.want = "server-99";
    assert_int_equal(-AIS_E_UNAUTH, fx_call(&f));
    assert_non_null(strstr(f.err.text, "expected"));
    fx_end(&f);
}

static void
nodes_with_and_without_a_key_never_talk(void **state)
{
    struct fixture f;

    (void)state;
    fx_begin(&f, NULL, KEY_A);
    assert_true(auth_keyless(f.server.auth));
    assert_int_equal(-AIS_E_UNAUTH, fx_call(&f));
    fx_end(&f);
    fx_begin(&f, KEY_A, NULL);
    assert_int_equal(-AIS_E_UNAUTH, fx_call(&f));
    fx_end(&f);
}

static void
without_keys_nodes_on_one_machine_talk(void **state)
{
    struct fixture f;

    (void)state;
    fx_begin(&f, NULL, NULL);
    assert_int_equal(0, fx_call(&f));
    assert_string_equal("client-01", f.who);
    fx_end(&f);
}

static void
a_good_proof_by_hand_is_accepted_only_with_its_own_challenge(void **state)
{
    struct fixture f;
    char           recorded[256];

    (void)state;
    fx_begin(&f, KEY_A, KEY_A);
    assert_int_equal(200, fx_forge(&f, HELLO, ""));
    good_proof(&f, recorded); /* belongs to a connection that is closed by now */
    assert_int_equal(401, fx_forge(&f, HELLO, recorded));
    fx_end(&f);
}

static void
the_servers_proof_cannot_be_reflected(void **state)
{
    struct fixture f;
    json_t        *j = NULL;
    char           body[256];

    (void)state;
    fx_begin(&f, KEY_A, KEY_A);
    assert_int_equal(200, fx_forge(&f, HELLO, ""));
    assert_int_equal(0, json_read(str_z(f.answer), &j, NULL));
    snprintf(body, sizeof(body), "{\"mac\":\"%s\"}", json_string_value(json_object_get(j, "mac")));
    json_decref(j);
    assert_int_equal(401, fx_forge(&f, HELLO, body));
    fx_end(&f);
}

static void
a_proof_without_a_challenge_is_refused(void **state)
{
    struct fixture f;

    (void)state;
    fx_begin(&f, KEY_A, KEY_A);
    f.skip_hello = true;
    assert_int_equal(401, fx_forge(&f, "", "{\"mac\":\"" NONCE "\"}"));
    fx_end(&f);
}

static void
malformed_challenges_are_bad_requests(void **state)
{
    static const char *const bad[] = {
        "", "nonsense", "[]", "{}", "{\"id\":\"client-01\"}", "{\"id\":\"../etc\",\"nonce\":\"" NONCE "\",\"keys\":[1]}",
        "{\"id\":\"client-01\",\"nonce\":\"11\",\"keys\":[1]}", "{\"id\":7,\"nonce\":7,\"keys\":7}",
    };
    struct fixture f;

    (void)state;
    fx_begin(&f, KEY_A, KEY_A);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(400, fx_forge(&f, bad[i], ""));
    assert_int_equal(401, fx_forge(&f, "{\"id\":\"client-01\",\"nonce\":\"" NONCE "\",\"keys\":[0,7,99]}", ""));
    fx_end(&f);
}

static void
a_stranger_gets_no_memory(void **state)
{
    struct fixture  f;
    auto_free char *big = xmalloc(AUTH_BODY_MAX + 100);

    (void)state;
    fx_begin(&f, KEY_A, KEY_A);
    memset(big, ' ', AUTH_BODY_MAX + 99);
    big[AUTH_BODY_MAX + 99] = '\0';
    assert_int_equal(413, fx_forge(&f, big, ""));
    fx_end(&f);
}

static void
keys_rotate_without_a_restart(void **state)
{
    struct fixture f;
    struct key     k;

    (void)state;
    fx_begin(&f, KEY_A, KEY_A);
    key_write(f.sdir, KEY_A KEY_2);
    assert_int_equal(0, fx_call(&f));
    assert_true(key_find(f.server.auth, 2, &k));
    assert_false(key_find(f.client, 2, &k));
    fx_end(&f);

    fx_begin(&f, KEY_A KEY_2, KEY_B); /* version 1 differs */
    assert_int_equal(-AIS_E_UNAUTH, fx_call(&f));
    key_write(f.cdir, KEY_B KEY_2); /* the highest in common counts */
    assert_int_equal(0, fx_call(&f));
    fx_end(&f);
}

/* An editor truncates, then writes: whoever connects in between is not turned away. */
static void
a_key_file_that_is_being_written_changes_nothing(void **state)
{
    struct fixture f;
    struct key     k;

    (void)state;
    fx_begin(&f, KEY_A, KEY_A);
    key_write(f.sdir, "2:00112233");
    assert_int_equal(0, fx_call(&f));
    key_write(f.sdir, "");
    auth_refresh(f.server.auth);
    assert_true(key_find(f.server.auth, 1, &k));
    key_write(f.sdir, KEY_A KEY_2);
    auth_refresh(f.server.auth);
    assert_true(key_find(f.server.auth, 2, &k));
    fx_end(&f);
}

static void
a_key_that_cannot_be_read_is_not_no_key(void **state)
{
    char           *dir = test_dir_new();
    auto_free char *file = xasprintf("%s/f", dir);
    struct auth    *a = NULL;
    struct err      e;
    FILE           *f = fopen(file, "w");

    (void)state;
    fclose(f);
    err_clear(&e);
    assert_true(auth_new(file, "n", &a, &e) < 0); /* f/.ais.cluster_key: not a directory */
    assert_null(a);
    test_dir_free(dir);
}

static void
key_files_are_read_strictly(void **state)
{
    struct key keys[AUTH_KEYS_MAX];
    unsigned   n;

    (void)state;
    assert_int_equal(0, keys_parse(STR_LIT("# comment\n\n" KEY_A KEY_2), keys, &n, NULL));
    assert_int_equal(2, n);
    assert_int_equal(2, keys[0].version);
    assert_true(keys_parse(STR_LIT(""), keys, &n, NULL) < 0);
    assert_true(keys_parse(STR_LIT(KEY_A KEY_2 KEY_A), keys, &n, NULL) < 0);
    assert_true(keys_parse(STR_LIT("0:00"), keys, &n, NULL) < 0);
    assert_true(keys_parse(STR_LIT("1:0011"), keys, &n, NULL) < 0);
    assert_true(keys_parse(STR_LIT("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"), keys, &n, NULL) < 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_with_the_same_key_know_each_other),
        cmocka_unit_test(a_wrong_key_is_refused),
        cmocka_unit_test(another_node_than_expected_is_refused_by_the_caller),
        cmocka_unit_test(nodes_with_and_without_a_key_never_talk),
        cmocka_unit_test(without_keys_nodes_on_one_machine_talk),
        cmocka_unit_test(a_good_proof_by_hand_is_accepted_only_with_its_own_challenge),
        cmocka_unit_test(the_servers_proof_cannot_be_reflected),
        cmocka_unit_test(a_proof_without_a_challenge_is_refused),
        cmocka_unit_test(malformed_challenges_are_bad_requests),
        cmocka_unit_test(a_stranger_gets_no_memory),
        cmocka_unit_test(keys_rotate_without_a_restart),
        cmocka_unit_test(a_key_file_that_is_being_written_changes_nothing),
        cmocka_unit_test(a_key_that_cannot_be_read_is_not_no_key),
        cmocka_unit_test(key_files_are_read_strictly),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
