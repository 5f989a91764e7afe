/* SPDX-License-Identifier: Apache-2.0 */
/* TLS by OpenSSL: contexts, reload, certificate properties. Runs on: any thread; loading files may block. */
#include "net/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/sbuf.h"
#include "base/util.h"
#include "codec/jw.h"
#include "net/net_impl.h"

struct tls_ctx {
    pthread_mutex_t mtx; /* protects ctx: readers take a reference under it */
    SSL_CTX        *ctx;
    bool            server, skip_verify;
    char           *cert, *key, *ca;
    enum tls_client_auth client_auth;
};

static int
ssl_fail(struct err *e, const char *what, const char *name)
{
    char text[256];

    ERR_error_string_n(ERR_get_error(), text, sizeof(text));
    ERR_clear_error();
    return err_set(e, AIS_E_INVAL, "TLS: %s %s: %s", what, name == NULL ? "" : name, text);
}

static int
accept_any(int ok, X509_STORE_CTX *x)
{
    UNUSED(ok);
    UNUSED(x);
    return 1;
}

static int
verify_mode(const struct tls_ctx *t, SSL_verify_cb *cb)
{
    *cb = NULL;
    if (!t->server)
        return t->skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    switch (t->client_auth) {
    case TLS_CLIENT_NONE:
        return SSL_VERIFY_NONE;
    case TLS_CLIENT_REQUEST:
        *cb = accept_any;
        return SSL_VERIFY_PEER;
    case TLS_CLIENT_REQUIRE_ANY:
        *cb = accept_any;
        return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    case TLS_CLIENT_VERIFY_IF_GIVEN:
        return SSL_VERIFY_PEER;
    case TLS_CLIENT_REQUIRE_VERIFY:
        return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    return SSL_VERIFY_PEER;
}

static int
ctx_load(const struct tls_ctx *t, SSL_CTX **out, struct err *e)
{
    SSL_CTX      *c = SSL_CTX_new(t->server ? TLS_server_method() : TLS_client_method());
    SSL_verify_cb cb;
    int           mode, rc = 0;

    if (c == NULL)
        return ssl_fail(e, "cannot make a context", NULL);
    SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
    SSL_CTX_set_options(c, SSL_OP_ENABLE_KTLS | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    if (t->cert != NULL && t->cert[0] != '\0') {
        if (SSL_CTX_use_certificate_chain_file(c, t->cert) != 1)
            rc = ssl_fail(e, "cannot load the certificate", t->cert);
        else if (SSL_CTX_use_PrivateKey_file(c, t->key, SSL_FILETYPE_PEM) != 1)
            rc = ssl_fail(e, "cannot load the key", t->key);
        else if (SSL_CTX_check_private_key(c) != 1)
            rc = ssl_fail(e, "the key does not belong to the certificate", t->cert);
    }
    if (rc == 0 && t->ca != NULL && t->ca[0] != '\0') {
        if (SSL_CTX_load_verify_locations(c, t->ca, NULL) != 1)
            rc = ssl_fail(e, "cannot load the CA", t->ca);
        else if (t->server)
            SSL_CTX_set_client_CA_list(c, SSL_load_client_CA_file(t->ca));
    } else if (rc == 0 && !t->server && !t->skip_verify) {
        SSL_CTX_set_default_verify_paths(c);
    }
    if (rc < 0) {
        SSL_CTX_free(c);
        return rc;
    }
    mode = verify_mode(t, &cb);
    SSL_CTX_set_verify(c, mode, cb);
    *out = c;
    return 0;
}

static int
tls_new(const struct tls_conf *c, bool server, struct tls_ctx **out, struct err *e)
{
    struct tls_ctx *t = xcalloc(1, sizeof(*t));
    int             rc;

    MUST(pthread_mutex_init(&t->mtx, NULL));
    t->server = server;
    t->skip_verify = c->skip_verify;
    t->client_auth = c->client_auth;
    t->cert = c->cert == NULL ? NULL : xstrdup(c->cert);
    t->key = c->key == NULL ? NULL : xstrdup(c->key);
    t->ca = c->ca == NULL ? NULL : xstrdup(c->ca);
    rc = ctx_load(t, &t->ctx, e);
    if (rc < 0) {
        tls_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

int
tls_server_new(const struct tls_conf *c, struct tls_ctx **out, struct err *e)
{
    if (c->cert == NULL || c->key == NULL)
        return err_set(e, AIS_E_INVAL, "TLS: a server needs a certificate and its key");
    return tls_new(c, true, out, e);
}

int
tls_client_new(const struct tls_conf *c, struct tls_ctx **out, struct err *e)
{
    return tls_new(c, false, out, e);
}

int
tls_reload(struct tls_ctx *t, struct err *e)
{
    SSL_CTX *nw, *old;
    int      rc = ctx_load(t, &nw, e);

    if (rc < 0)
        return rc;
    pthread_mutex_lock(&t->mtx);
    old = t->ctx;
    t->ctx = nw;
    pthread_mutex_unlock(&t->mtx);
    SSL_CTX_free(old);
    return 0;
}

void
tls_free(struct tls_ctx *t)
{
    if (t == NULL)
        return;
    SSL_CTX_free(t->ctx);
    free(t->cert);
    free(t->key);
    free(t->ca);
    pthread_mutex_destroy(&t->mtx);
    free(t);
}

static SSL *
ssl_new(struct tls_ctx *t, int fd)
{
    SSL *ssl;

    pthread_mutex_lock(&t->mtx);
    ssl = SSL_new(t->ctx); /* holds a reference of its own */
    pthread_mutex_unlock(&t->mtx);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    return ssl;
}

struct ssl_st *
tls_accept_new(struct tls_ctx *t, int fd)
{
    SSL *ssl = ssl_new(t, fd);

    if (ssl != NULL)
        SSL_set_accept_state(ssl);
    return ssl;
}

static bool
is_address(const char *host)
{
    struct in6_addr any;

    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

struct ssl_st *
tls_connect_new(struct tls_ctx *t, int fd, const char *host)
{
    SSL *ssl = ssl_new(t, fd);

    if (ssl == NULL)
        return NULL;
    SSL_set_connect_state(ssl);
    if (!is_address(host)) /* RFC 6066, 3: names only */
        (void)SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, (void *)(uintptr_t)host);
    if (!t->skip_verify && SSL_set1_host(ssl, host) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

static void
put_name(struct jw *w, const char *key, const X509_NAME *name)
{
    char *text = X509_NAME_oneline(name, NULL, 0);

    jw_kstrz(w, key, text == NULL ? "" : text);
    OPENSSL_free(text);
}

static void
put_time(struct jw *w, const char *key, const ASN1_TIME *when)
{
    BIO       *b = BIO_new(BIO_s_mem());
    char      *p = NULL;
    long       n;
    struct str s = STR_LIT("");

    if (b != NULL && ASN1_TIME_print(b, when) == 1) {
        n = BIO_get_mem_data(b, &p);
        s = str_from(p, (size_t)n);
    }
    jw_kstr(w, key, s);
    BIO_free(b);
}

int
tls_cert_json(struct tls_ctx *t, struct sbuf *out)
{
    struct jw w;
    SSL_CTX  *c;
    X509     *x;

    pthread_mutex_lock(&t->mtx);
    c = t->ctx;
    SSL_CTX_up_ref(c);
    pthread_mutex_unlock(&t->mtx);
    x = SSL_CTX_get0_certificate(c);
    if (x == NULL) {
        SSL_CTX_free(c);
        return -AIS_E_NOENT;
    }
    jw_init(&w, out, 0);
    jw_obj(&w);
    put_name(&w, "subject", X509_get_subject_name(x));
    put_name(&w, "issued-by (CN)", X509_get_issuer_name(x));
    put_time(&w, "valid from", X509_get0_notBefore(x));
    put_time(&w, "valid till", X509_get0_notAfter(x));
    jw_kstrz(&w, "version", "3");
    jw_obj_end(&w);
    SSL_CTX_free(c);
    return 0;
}
