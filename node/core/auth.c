/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node-to-node authentication: HMAC-SHA256 over both nonces and both names, keyed with the cluster key, one proof each way.
 *
 *   client                                      server
 *   hello  {id, nonce, keys}             ->
 *                                        <-     {id, nonce, key, mac = HMAC(key, "server" || ...)}
 *   prove  {mac = HMAC(key, "client" || ...)} ->
 *                                        <-     200: the connection belongs to node id
 *
 * Nonces are fresh on both sides, so a recorded proof is worth nothing on another connection; the directions have labels, so a proof
 * cannot be reflected. A hello is good for one prove.
 *
 * The key file is read again when it changes: keys rotate by adding a line with a higher version on every node, then removing the old
 * one. The highest version that both sides have is used. Connections that were opened before go on.
 *
 * Runs on: fibers of any loop. May park.
 */
#include "core/auth.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#include "codec/jw.h"
#include "core/core_impl.h"
#include "run/disk.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"

#define NONCE_LEN     32
#define MAC_LEN       32
#define AUTH_BODY_MAX 4096
#define LOG_EVERY     SEC_NS(10)
#define AUTH_TIMEOUT  SEC_NS(5)

struct key {
    uint32_t      version;
    unsigned char k[AUTH_KEY_LEN];
};

struct auth {
    char           *path;
    char            id[NODE_ID_MAX + 1];
    bool            keyless;
    pthread_mutex_t mtx; /* protects what follows */
    unsigned        nkeys;
    struct key      keys[AUTH_KEYS_MAX]; /* highest version first */
    struct timespec mtime;
    off_t           size;
    ino_t           ino;
    int64_t         logged; /* clock_mono of the last line about a refusal */
};

enum conn_state { CONN_HELLO, CONN_PEER };

/* What hangs on a server connection. */
struct auth_conn {
    enum conn_state state;
    char            id[NODE_ID_MAX + 1];
    struct key      key;
    unsigned char   cnonce[NONCE_LEN], snonce[NONCE_LEN];
};

/* --- keys --- */
static int
key_cmp(const void *a, const void *b)
{
    uint32_t x = ((const struct key *)a)->version, y = ((const struct key *)b)->version;

    return x < y ? 1 : x > y ? -1 : 0;
}

static int
keys_parse(struct str text, struct key *keys, unsigned *n, struct err *e)
{
    struct str line;
    unsigned   nr = 0;

    *n = 0;
    while (str_split(&text, '\n', &line)) {
        ptrdiff_t colon;
        uint64_t  version;

        nr++;
        line = str_trim(line);
        if (line.n == 0 || line.p[0] == '#')
            continue;
        colon = str_chr(line, ':');
        if (*n == AUTH_KEYS_MAX)
            return err_set(e, AIS_E_INVAL, "more than %d keys", AUTH_KEYS_MAX);
        if (colon < 0 || !str_u64(str_from(line.p, (size_t)colon), &version) || version == 0 || version > UINT32_MAX ||
            !str_unhex(str_from_off(line, (size_t)colon + 1), keys[*n].k, AUTH_KEY_LEN))
            return err_set(e, AIS_E_INVAL, "line %u is not \"version:64 hex digits\"", nr);
        keys[(*n)++].version = (uint32_t)version;
    }
    if (*n == 0)
        return err_set(e, AIS_E_INVAL, "no key in it");
    qsort(keys, *n, sizeof(*keys), key_cmp);
    for (unsigned i = 1; i < *n; i++) {
        if (keys[i].version == keys[i - 1].version)
            return err_set(e, AIS_E_INVAL, "version %u is there twice", keys[i].version);
    }
    return 0;
}

/* Read the file if it is another than before. May park or block. */
static int
keys_load(struct auth *a, struct err *e)
{
    auto_free char *text = NULL;
    struct key      keys[AUTH_KEYS_MAX];
    struct stat     st;
    unsigned        nkeys;
    size_t          n = 0;
    bool            same;
    int             rc;

    rc = disk_stat(a->path, &st);
    if (rc < 0)
        return err_set(e, -rc, "%s: %s", a->path, err_text(rc));
    MUST(pthread_mutex_lock(&a->mtx));
    same = a->nkeys > 0 && st.st_ino == a->ino && st.st_size == a->size && st.st_mtim.tv_sec == a->mtime.tv_sec &&
           st.st_mtim.tv_nsec == a->mtime.tv_nsec;
    MUST(pthread_mutex_unlock(&a->mtx));
    if (same)
        return 0;
    rc = disk_read_file(a->path, 64 * KIB, &text, &n);
    if (rc < 0)
        return err_set(e, -rc, "%s: %s", a->path, err_text(rc));
    rc = keys_parse(str_from(text, n), keys, &nkeys, e);
    OPENSSL_cleanse(text, n);
    if (rc < 0) {
        OPENSSL_cleanse(keys, sizeof(keys));
        return err_wrap(e, "%s", a->path);
    }
    if ((st.st_mode & 077) != 0)
        log_warn("cluster key can be read by others than its owner", { "file", LZ(a->path) });
    MUST(pthread_mutex_lock(&a->mtx));
    memcpy(a->keys, keys, sizeof(a->keys[0]) * nkeys);
    a->nkeys = nkeys;
    a->ino = st.st_ino;
    a->size = st.st_size;
    a->mtime = st.st_mtim;
    MUST(pthread_mutex_unlock(&a->mtx));
    OPENSSL_cleanse(keys, sizeof(keys));
    log_info("cluster key read", { "file", LZ(a->path) }, { "keys", LU64(nkeys) });
    return 0;
}

/* Not more often than every ten seconds: whatever a stranger does must not fill the log. */
static bool
may_log(struct auth *a)
{
    int64_t now = clock_mono();
    bool    say;

    MUST(pthread_mutex_lock(&a->mtx));
    say = now - a->logged >= LOG_EVERY;
    if (say)
        a->logged = now;
    MUST(pthread_mutex_unlock(&a->mtx));
    return say;
}

/*
 * Take over new keys. A file that is being edited, or gone, changes nothing: the keys that are known go on. Without a key from the
 * start it takes a restart to get one, since the listeners are bound to loopback. May park.
 */
static void
auth_refresh(struct auth *a)
{
    struct err e;

    err_clear(&e);
    if (!a->keyless && keys_load(a, &e) < 0 && may_log(a))
        log_error("the cluster key cannot be read again, the known one stays", { "error", LZ(e.text) });
}

int
auth_new(const char *confdir, const char *self_id, struct auth **out, struct err *e)
{
    struct auth *a = xcalloc(1, sizeof(*a));
    struct stat  st;
    int          rc = 0;

    MUST(pthread_mutex_init(&a->mtx, NULL));
    a->path = xasprintf("%s/.ais.cluster_key", confdir);
    str_copyz(str_z(self_id), a->id, sizeof(a->id));
    a->logged = -LOG_EVERY;
    a->keyless = stat(a->path, &st) < 0 && errno == ENOENT; /* one that is there but cannot be read is an error */
    if (a->keyless) {
        /* The same exchange with a key that everybody knows, version 0: it keeps nodes with and without a key apart. */
        a->nkeys = 1;
        log_warn("no cluster key: this node talks to nodes on the same machine only (loopback)", { "file", LZ(a->path) });
    } else {
        rc = keys_load(a, e);
        if (rc < 0) {
            auth_free(a);
            return rc;
        }
    }
    *out = a;
    return 0;
}

void
auth_free(struct auth *a)
{
    if (a == NULL)
        return;
    OPENSSL_cleanse(a->keys, sizeof(a->keys));
    pthread_mutex_destroy(&a->mtx);
    free(a->path);
    free(a);
}

bool
auth_keyless(const struct auth *a)
{
    return a->keyless;
}

static bool
key_find(struct auth *a, uint64_t version, struct key *out)
{
    unsigned i;
    bool     found = false;

    MUST(pthread_mutex_lock(&a->mtx));
    for (i = 0; i < a->nkeys && !found; i++) {
        if (a->keys[i].version == version) {
            *out = a->keys[i];
            found = true;
        }
    }
    MUST(pthread_mutex_unlock(&a->mtx));
    return found;
}

/* --- proofs --- */
static bool
proof(const struct key *k, const char *direction, const unsigned char *cnonce, const unsigned char *snonce, const char *client,
      const char *server, unsigned char out[MAC_LEN])
{
    char         msg[512];
    unsigned     len = 0;
    int          n;
    size_t       at;

    n = snprintf(msg, sizeof(msg), "ais-node-auth-v1 %s key=%u client=%s server=%s ", direction, k->version, client, server);
    if (n < 0 || (size_t)n + 2 * NONCE_LEN > sizeof(msg))
        return false;
    at = (size_t)n;
    memcpy(msg + at, cnonce, NONCE_LEN);
    memcpy(msg + at + NONCE_LEN, snonce, NONCE_LEN);
    at += 2 * NONCE_LEN;
    return HMAC(EVP_sha256(), k->k, AUTH_KEY_LEN, (const unsigned char *)msg, at, out, &len) != NULL && len == MAC_LEN;
}

static bool
jhex(const json_t *j, const char *key, unsigned char *out, size_t n)
{
    const json_t *v = json_object_get(j, key);

    return json_is_string(v) && str_unhex(str_from(json_string_value(v), json_string_length(v)), out, n);
}

static bool
jid(const json_t *j, char out[NODE_ID_MAX + 1])
{
    const json_t *v = json_object_get(j, "id");
    struct str    s = json_is_string(v) ? str_from(json_string_value(v), json_string_length(v)) : STR_NULL;

    return node_id_valid(s) && str_copyz(s, out, NODE_ID_MAX + 1);
}

static void
jw_khex(struct jw *w, const char *key, const unsigned char *p, size_t n)
{
    char hex[2 * 64 + 1];

    ASSERT(n <= 64);
    str_hex(p, n, hex);
    jw_kstrz(w, key, hex);
}

/* --- client --- */
static int
auth_exchange(struct hcall *raw, const char *target, struct str body, struct arena *mem, json_t **out, struct err *e)
{
    const struct hdr hdrs[] = { { STR_LIT("Content-Type"), STR_LIT("application/json") } };
    struct hc_req    q = { .method = M_POST, .target = str_z(target), .hdrs = hdrs, .nhdrs = 1, .body = body,
                           .timeout_ns = AUTH_TIMEOUT };
    struct hc_resp   resp;
    int              rc = hc_on(raw, &q, mem, AUTH_BODY_MAX, &resp, e);

    if (rc < 0)
        return rc;
    if (resp.status != 200) {
        rc = node_peer_err(&resp, e);
        err_wrap(e, "node-to-node authentication refused");
        return rc;
    }
    return json_read(resp.body, out, e);
}

static int
connect_hello(struct auth *a, struct hcall *raw, struct arena *mem, const unsigned char *cnonce, json_t **answer, struct err *e)
{
    struct sbuf b;
    struct jw   w;
    unsigned    i;
    int         rc;

    sbuf_init(&b, AUTH_BODY_MAX);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    jw_kstrz(&w, "id", a->id);
    jw_khex(&w, "nonce", cnonce, NONCE_LEN);
    jw_key(&w, "keys");
    jw_arr(&w);
    MUST(pthread_mutex_lock(&a->mtx));
    for (i = 0; i < a->nkeys; i++)
        jw_u64(&w, a->keys[i].version);
    MUST(pthread_mutex_unlock(&a->mtx));
    jw_arr_end(&w);
    jw_obj_end(&w);
    rc = sbuf_ok(&b) ? auth_exchange(raw, "/v1/auth/hello", sbuf_str(&b), mem, answer, e) : -AIS_E_NOMEM;
    sbuf_fini(&b);
    return rc;
}

/* The server's half: it has the key and is whom we wanted. Leaves our own proof in mac. */
static int
connect_verify(struct auth *a, const struct snode *want, const json_t *j, const unsigned char *cnonce,
               unsigned char mac[MAC_LEN], struct err *e)
{
    unsigned char snonce[NONCE_LEN], theirs[MAC_LEN], good[MAC_LEN];
    char          server[NODE_ID_MAX + 1];
    struct key    k;
    uint64_t      version;
    int           rc = 0;

    if (!jid(j, server) || !jhex(j, "nonce", snonce, NONCE_LEN) || !jhex(j, "mac", theirs, MAC_LEN) ||
        !json_u64(json_object_get(j, "key"), &version) || !key_find(a, version, &k))
        return err_set(e, AIS_E_UNAUTH, "malformed answer to the challenge");
    if (!proof(&k, "server", cnonce, snonce, a->id, server, good) || CRYPTO_memcmp(good, theirs, MAC_LEN) != 0)
        rc = err_set(e, AIS_E_UNAUTH, "node \"%s\" does not have the cluster key", server);
    else if (want != NULL && want->id[0] != '\0' && strcmp(want->id, server) != 0)
        rc = err_set(e, AIS_E_UNAUTH, "\"%s\" answers where \"%s\" was expected", server, want->id);
    else if (!proof(&k, "client", cnonce, snonce, a->id, server, mac))
        rc = -AIS_E_INTERNAL;
    OPENSSL_cleanse(&k, sizeof(k));
    return rc;
}

int
auth_connect(void *ctx, struct hcall *raw, struct err *e)
{
    struct auth  *a = ctx;
    struct arena *mem = arena_new(8 * KIB, 256 * KIB);
    unsigned char cnonce[NONCE_LEN], mac[MAC_LEN];
    json_t       *hello = NULL, *done = NULL;
    char          body[2 * MAC_LEN + 16], hex[2 * MAC_LEN + 1];
    int           rc;

    rand_bytes(cnonce, sizeof(cnonce));
    auth_refresh(a);
    rc = connect_hello(a, raw, mem, cnonce, &hello, e);
    if (rc == 0)
        rc = connect_verify(a, hc_peer(raw), hello, cnonce, mac, e);
    if (rc == 0) {
        str_hex(mac, MAC_LEN, hex);
        snprintf(body, sizeof(body), "{\"mac\":\"%s\"}", hex);
        rc = auth_exchange(raw, "/v1/auth/prove", str_z(body), mem, &done, e);
    }
    json_decref(hello);
    json_decref(done);
    arena_free(mem);
    return rc;
}

/* --- server --- */
/* Whoever is not a node yet gets no more memory than this. */
static int
small_body(struct req *r, char *buf, size_t cap, json_t **out, struct err *e)
{
    size_t n = 0;

    for (;;) {
        ssize_t k = req_read(r, buf + n, cap - n);

        if (k < 0)
            return (int)k;
        if (k == 0)
            return json_read(str_from(buf, n), out, e);
        n += (size_t)k;
        if (n == cap)
            return err_set(e, AIS_E_TOOBIG, "body too large");
    }
}

static int
auth_refuse(struct req *r, struct auth *a, const char *id, const char *why, struct err *e)
{
    if (may_log(a))
        log_warn("node-to-node authentication refused", { "from", LSTR(req_remote(r)) }, { "id", LZ(id) }, { "why", LZ(why) });
    return err_set(e, AIS_E_UNAUTH, "%s", why);
}

static bool
common_key(struct auth *a, const json_t *versions, struct key *out)
{
    uint64_t best = 0, v;
    bool     any = false;
    size_t   i;

    for (i = 0; i < json_array_size(versions) && i < 4 * AUTH_KEYS_MAX; i++) {
        if (json_u64(json_array_get(versions, i), &v) && (!any || v > best) && key_find(a, v, out)) {
            best = v;
            any = true;
        }
    }
    return any && key_find(a, best, out);
}

static int
hello(struct req *r, struct auth *a, const json_t *j, struct sbuf *answer, struct err *e)
{
    struct auth_conn *c = xcalloc(1, sizeof(*c));
    unsigned char     mac[MAC_LEN];
    struct jw         w;

    if (!jid(j, c->id) || !jhex(j, "nonce", c->cnonce, NONCE_LEN)) {
        free(c);
        return err_set(e, AIS_E_BADREQ, "malformed challenge");
    }
    if (!common_key(a, json_object_get(j, "keys"), &c->key)) {
        int rc = auth_refuse(r, a, c->id, a->keyless ? "this node has no cluster key" : "no cluster key in common", e);

        free(c);
        return rc;
    }
    rand_bytes(c->snonce, NONCE_LEN);
    auth_conn_closed(conn_user(r->conn));
    conn_set_user(r->conn, c);
    c->state = CONN_HELLO;
    if (!proof(&c->key, "server", c->cnonce, c->snonce, c->id, a->id, mac))
        return -AIS_E_INTERNAL;
    jw_init(&w, answer, 0);
    jw_obj(&w);
    jw_kstrz(&w, "id", a->id);
    jw_khex(&w, "nonce", c->snonce, NONCE_LEN);
    jw_ku64(&w, "key", c->key.version);
    jw_khex(&w, "mac", mac, MAC_LEN);
    jw_obj_end(&w);
    return sbuf_ok(answer) ? 0 : -AIS_E_NOMEM;
}

static int
prove(struct req *r, struct auth *a, const json_t *j, struct err *e)
{
    struct auth_conn *c = conn_user(r->conn);
    unsigned char     theirs[MAC_LEN], good[MAC_LEN];
    bool              ok;

    if (c == NULL || c->state != CONN_HELLO)
        return auth_refuse(r, a, "", "a proof without a challenge", e);
    ok = jhex(j, "mac", theirs, MAC_LEN) && proof(&c->key, "client", c->cnonce, c->snonce, c->id, a->id, good) &&
         CRYPTO_memcmp(good, theirs, MAC_LEN) == 0;
    OPENSSL_cleanse(&c->key, sizeof(c->key));
    if (!ok) {
        char id[NODE_ID_MAX + 1];

        memcpy(id, c->id, sizeof(id));
        conn_set_user(r->conn, NULL);
        free(c);
        return auth_refuse(r, a, id, "wrong proof", e);
    }
    c->state = CONN_PEER;
    return 0;
}

static void
auth_answer(struct req *r, bool is_hello)
{
    struct auth *a = ((struct node *)r->ctx)->auth;
    char        *buf = arena_alloc(r->arena, AUTH_BODY_MAX);
    json_t      *j = NULL;
    struct sbuf  answer;
    struct err   e;
    int          rc;

    err_clear(&e);
    sbuf_init(&answer, AUTH_BODY_MAX);
    rc = buf == NULL ? -AIS_E_NOMEM : small_body(r, buf, AUTH_BODY_MAX, &j, &e);
    if (rc == 0 && a->keyless && !req_is_loopback(r))
        rc = auth_refuse(r, a, "", "this node has no cluster key and talks to its own machine only", &e);
    if (rc == 0) {
        auth_refresh(a);
        rc = is_hello ? hello(r, a, j, &answer, &e) : prove(r, a, j, &e);
    }
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        resp_send(r, 200, "application/json; charset=utf-8", is_hello ? sbuf_str(&answer) : STR_LIT("{}"));
    sbuf_fini(&answer);
    json_decref(j);
}

void
h_auth_hello(struct req *r)
{
    auth_answer(r, true);
}

void
h_auth_prove(struct req *r)
{
    auth_answer(r, false);
}

void
auth_conn_closed(void *p)
{
    struct auth_conn *c = p;

    if (c == NULL)
        return;
    OPENSSL_cleanse(&c->key, sizeof(c->key));
    free(c);
}

const char *
auth_peer(const struct conn *conn)
{
    const struct auth_conn *c = conn_user(conn);

    return c != NULL && c->state == CONN_PEER ? c->id : NULL;
}
