/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Talking HTTP by libcurl: environment, one request, the error document. See session.h.
 *
 * Wire: native-api.md 1.5 (redirects), 2.6 (errors).
 */
#include "cli/session.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/util.h"
#include "codec/jw.h"
#include "codec/url.h"

#define BODY_MAX    (1ULL << 30)
#define HEAD_MAX    (1ULL << 20)
#define TOKEN_MAX   (64 * KIB)
#define SEND_TWICE  (64 * (int64_t)KIB) /* bodies up to this go to the proxy, too */
#define CONNECT_MS  10000L
#define IDLE_SECS   120L /* a transfer that moves nothing for so long is over */

atomic_bool session_interrupted;

static struct {
    char *endpoint;
    char *auth; /* "Authorization: Bearer ..." or NULL */
    bool  skip_verify;
} env;

/* --- environment --- */

static bool
env_on(const char *name)
{
    const char *v = getenv(name);

    return v != NULL && str_query_bool(str_z(v));
}

static const char *
env_text(const char *name)
{
    const char *v = getenv(name);

    return v != NULL && v[0] != '\0' ? v : NULL;
}

static int
token_file(const char *path, struct fault *f)
{
    char   buf[TOKEN_MAX];
    FILE  *fp = fopen(path, "re");
    size_t n;

    if (fp == NULL)
        return fault_errno(f, path);
    n = fread(buf, 1, sizeof(buf), fp);
    fclose(fp);
    while (n > 0 && strchr(" \t\r\n", buf[n - 1]) != NULL)
        n--;
    if (n > 0)
        env.auth = xasprintf("Authorization: Bearer %.*s", (int)n, buf);
    return CLI_OK;
}

static int
endpoint_read(struct fault *f)
{
    const char *e = env_text("AIS_ENDPOINT");
    struct url  u;
    size_t      n;

    if (e == NULL)
        e = env_on("AIS_USE_HTTPS") ? "https://localhost:8080" : "http://localhost:8080";
    if (url_parse(str_z(e), &u) < 0 || u.host.n == 0)
        return fault_set(f, CLI_USAGE, "AIS_ENDPOINT=\"%s\" is not a URL: expecting http://HOST:PORT", e);
    env.endpoint = xasprintf("%s%s", strstr(e, "://") == NULL ? "http://" : "", e);
    for (n = strlen(env.endpoint); n > 0 && env.endpoint[n - 1] == '/'; n--)
        env.endpoint[n - 1] = '\0';
    return CLI_OK;
}

int
session_env(struct fault *f)
{
    const char *token = env_text("AIS_AUTHN_TOKEN"), *file = env_text("AIS_AUTHN_TOKEN_FILE");

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return fault_set(f, CLI_FAILED, "libcurl cannot start");
    env.skip_verify = env_on("AIS_SKIP_VERIFY_CRT");
    if (token != NULL)
        env.auth = xasprintf("Authorization: Bearer %s", token);
    else if (file != NULL && token_file(file, f) != CLI_OK)
        return CLI_FAILED;
    return endpoint_read(f);
}

void
session_env_fini(void)
{
    free(env.endpoint);
    free(env.auth);
    env.endpoint = env.auth = NULL;
    curl_global_cleanup();
}

const char *
session_endpoint(void)
{
    return env.endpoint;
}

int
session_init(struct session *s, struct arena *mem, struct fault *f)
{
    *s = (struct session){ .curl = curl_easy_init(), .mem = mem };
    return s->curl != NULL ? CLI_OK : fault_set(f, CLI_FAILED, "libcurl cannot start");
}

void
session_fini(struct session *s)
{
    curl_easy_cleanup(s->curl);
    s->curl = NULL;
}

/* --- one request --- */

struct xfer {
    const struct http_req *q;
    struct http_resp      *r;
    CURL                  *h;
    int                    src_errno, sink_errno;
};

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
    struct xfer *x = arg;
    long         status = 0;

    n *= size;
    curl_easy_getinfo(x->h, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 300 && status < 400)
        return n; /* of a redirect: nobody reads it */
    if (x->q->sink == NULL || status >= 400) {
        sbuf_put(&x->r->body, p, n);
        return sbuf_ok(&x->r->body) ? n : 0;
    }
    errno = 0;
    if (x->q->sink->write(x->q->sink->ctx, p, n) == 0)
        return n;
    x->sink_errno = errno != 0 ? errno : EIO;
    return 0;
}

static size_t
on_head(char *p, size_t size, size_t n, void *arg)
{
    struct xfer *x = arg;

    n *= size;
    if (str_starts(str_from(p, n), STR_LIT("HTTP/"))) { /* the next answer begins */
        sbuf_reset(&x->r->head);
        sbuf_reset(&x->r->body);
    }
    sbuf_put(&x->r->head, p, n);
    return sbuf_ok(&x->r->head) ? n : 0;
}

static size_t
on_read(char *p, size_t size, size_t n, void *arg)
{
    struct xfer *x = arg;
    ptrdiff_t    k;

    errno = 0;
    k = x->q->src->read(x->q->src->ctx, p, size * n);
    if (k >= 0)
        return (size_t)k;
    x->src_errno = errno != 0 ? errno : EIO;
    return CURL_READFUNC_ABORT;
}

static int
on_seek(void *arg, curl_off_t off, int origin)
{
    const struct src *s = ((struct xfer *)arg)->q->src;

    if (off != 0 || origin != SEEK_SET || s->rewind == NULL || s->rewind(s->ctx) < 0)
        return CURL_SEEKFUNC_CANTSEEK;
    return CURL_SEEKFUNC_OK;
}

static int
on_tick(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    UNUSED(arg), UNUSED(a), UNUSED(b), UNUSED(c), UNUSED(d);
    return atomic_load(&session_interrupted) ? 1 : 0;
}

/* What is the same for every request. */
static void
set_common(struct xfer *x)
{
    CURL *h = x->h;

    curl_easy_reset(h);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L); /* "a/../b" is an object's name, not for us to shorten */
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(h, CURLOPT_MAXREDIRS, 8L);
    curl_easy_setopt(h, CURLOPT_POSTREDIR, (long)CURL_REDIR_POST_ALL);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, IDLE_SECS);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "ais/cli");
    curl_easy_setopt(h, CURLOPT_BUFFERSIZE, (long)(512 * KIB));
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_tick);
    if (env_text("no_proxy") == NULL && env_text("NO_PROXY") == NULL)
        curl_easy_setopt(h, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
}

static void
set_tls(CURL *h)
{
    if (env.skip_verify) {
        curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (env_text("AIS_CLIENT_CA") != NULL)
        curl_easy_setopt(h, CURLOPT_CAINFO, env_text("AIS_CLIENT_CA"));
    if (env_text("AIS_CRT") != NULL)
        curl_easy_setopt(h, CURLOPT_SSLCERT, env_text("AIS_CRT"));
    if (env_text("AIS_CRT_KEY") != NULL)
        curl_easy_setopt(h, CURLOPT_SSLKEY, env_text("AIS_CRT_KEY"));
}

static struct curl_slist *
set_body(struct xfer *x, struct curl_slist *hl)
{
    const struct http_req *q = x->q;

    if (strcmp(q->method, "HEAD") == 0)
        curl_easy_setopt(x->h, CURLOPT_NOBODY, 1L);
    else if (strcmp(q->method, "GET") != 0 || q->body != NULL)
        curl_easy_setopt(x->h, CURLOPT_CUSTOMREQUEST, q->method);
    if (q->src != NULL) {
        curl_easy_setopt(x->h, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(x->h, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(x->h, CURLOPT_READDATA, x);
        curl_easy_setopt(x->h, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(x->h, CURLOPT_SEEKDATA, x);
        curl_easy_setopt(x->h, CURLOPT_UPLOAD_BUFFERSIZE, (long)(512 * KIB));
        curl_easy_setopt(x->h, CURLOPT_EXPECT_100_TIMEOUT_MS, CONNECT_MS);
        if (q->src->size >= 0)
            curl_easy_setopt(x->h, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->src->size);
        /* The proxy redirects: without asking first the body would be sent twice, and standard input cannot be. But a question that
         * stays unanswered costs the connection, since nobody knows whether the body still comes: a small body costs less. */
        if (q->src->rewind == NULL || q->src->size < 0 || q->src->size > SEND_TWICE)
            hl = curl_slist_append(hl, "Expect: 100-continue");
        else
            hl = curl_slist_append(hl, "Expect:"); /* libcurl asks by itself otherwise */
    } else if (q->body != NULL) {
        curl_easy_setopt(x->h, CURLOPT_POSTFIELDS, q->body);
        curl_easy_setopt(x->h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(q->body));
        hl = curl_slist_append(hl, "Content-Type: application/json");
    }
    return hl;
}

static struct curl_slist *
set_headers(struct xfer *x)
{
    struct curl_slist *hl = set_body(x, NULL);

    for (unsigned i = 0; i < REQ_MAX_HDRS && x->q->hdr[i] != NULL; i++)
        hl = curl_slist_append(hl, x->q->hdr[i]);
    if (env.auth != NULL) {
        hl = curl_slist_append(hl, env.auth);
        curl_easy_setopt(x->h, CURLOPT_UNRESTRICTED_AUTH, 1L); /* the target that we are sent to wants it too */
    }
    curl_easy_setopt(x->h, CURLOPT_HTTPHEADER, hl);
    return hl;
}

/* --- what went wrong --- */

static int
exit_of(int status)
{
    switch (status) {
    case 404:
    case 410:
        return CLI_NOTFOUND;
    case 502:
    case 503:
    case 504:
        return CLI_UNREACHABLE;
    default:
        return CLI_FAILED;
    }
}

/* The error document's message, or the text that came instead of one. */
static int
status_fault(struct session *s, const struct http_resp *r, struct fault *f)
{
    const char *hdr = http_hdr(s, r, "Hdr-Error");
    struct str  text = r->body.n > 0 ? sbuf_str(&r->body) : str_z(hdr);
    int         code = exit_of(r->status);
    json_t     *j = NULL;
    const char *msg;

    if (text.n > 0 && json_read(text, &j, NULL) < 0)
        j = NULL;
    msg = json_string_value(json_object_get(j, "message"));
    if (msg != NULL && msg[0] != '\0')
        fault_set(f, code, "%.*s", (int)strcspn(msg, "\r\n"), msg);
    else if (text.n > 0 && j == NULL)
        fault_set(f, code, "%.*s", (int)MIN(strcspn(text.p, "\r\n"), (size_t)1000), text.p);
    else if (r->status == 503)
        fault_set(f, code, "the cluster at %s is not ready: it is starting, or has lost its majority", session_endpoint());
    else
        fault_set(f, code, "the cluster answered with HTTP status %d", r->status);
    json_decref(j);
    return code;
}

static int
curl_fault(const struct xfer *x, CURLcode rc, struct fault *f)
{
    const char *url = NULL;

    if (atomic_load(&session_interrupted))
        return fault_set(f, CLI_INTERRUPTED, "interrupted");
    if (x->src_errno != 0)
        return fault_set(f, CLI_FAILED, "cannot read: %s", strerror(x->src_errno));
    if (x->sink_errno != 0)
        return fault_set(f, CLI_FAILED, "cannot write: %s", strerror(x->sink_errno));
    curl_easy_getinfo(x->h, CURLINFO_EFFECTIVE_URL, &url);
    switch ((int)rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return fault_set(f, CLI_UNREACHABLE, "cannot reach the cluster at %.*s: %s (AIS_ENDPOINT says where it is)",
                         url != NULL ? (int)strcspn(url, "?") : 0, url != NULL ? url : "", curl_easy_strerror(rc));
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return fault_set(f, CLI_UNREACHABLE, "the connection to the cluster broke: %s", curl_easy_strerror(rc));
    case CURLE_PARTIAL_FILE:
        return fault_set(f, CLI_FAILED, "the answer ended before its announced length");
    default:
        return fault_set(f, CLI_FAILED, "%s (endpoint %s)", curl_easy_strerror(rc), session_endpoint());
    }
}

/*
 * OpenSSL writes without MSG_NOSIGNAL: a server that goes away would end the program. The signal is held back meanwhile, not ignored:
 * "ais ls | head" is to end by it.
 */
static void
sigpipe_hold(sigset_t *old)
{
    sigset_t pipe;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, old);
}

static void
sigpipe_release(const sigset_t *old)
{
    static const struct timespec now;
    sigset_t                     pipe;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigtimedwait(&pipe, NULL, &now);
    pthread_sigmask(SIG_SETMASK, old, NULL);
}

static CURLcode
perform(CURL *h)
{
    bool     tls = strncmp(env.endpoint, "https:", 6) == 0;
    sigset_t old;
    CURLcode rc;

    if (tls)
        sigpipe_hold(&old);
    rc = curl_easy_perform(h);
    if (tls)
        sigpipe_release(&old);
    return rc;
}

int
http_do(struct session *s, const struct http_req *q, struct http_resp *r, struct fault *f)
{
    struct xfer        x = { .q = q, .r = r, .h = s->curl };
    struct curl_slist *hl;
    CURLcode           rc;
    long               status = 0;

    http_resp_fini(r);
    sbuf_init(&r->body, BODY_MAX);
    sbuf_init(&r->head, HEAD_MAX);
    set_common(&x);
    set_tls(x.h);
    hl = set_headers(&x);
    curl_easy_setopt(x.h, CURLOPT_URL, arena_printf(s->mem, "%s%s", session_endpoint(), q->path).p);
    rc = perform(x.h);
    curl_easy_getinfo(x.h, CURLINFO_RESPONSE_CODE, &status);
    s->last_status = r->status = (int)status;
    curl_easy_setopt(x.h, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(hl);
    if (status >= 400) /* an early refusal counts for more than the broken upload that follows it */
        return status_fault(s, r, f);
    return rc == CURLE_OK ? CLI_OK : curl_fault(&x, rc, f);
}

void
http_resp_fini(struct http_resp *r)
{
    sbuf_fini(&r->body);
    sbuf_fini(&r->head);
}

const char *
http_hdr_nth(struct session *s, const struct http_resp *r, const char *name, unsigned nth)
{
    struct str rest = sbuf_str(&r->head), line;
    size_t     n = strlen(name);

    while (rest.p != NULL && str_split(&rest, '\n', &line)) {
        if (line.n <= n || line.p[n] != ':' || strncasecmp(line.p, name, n) != 0 || nth-- > 0)
            continue;
        line = str_from_off(line, n + 1);
        while (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        return arena_strdup(s->mem, str_trim(line));
    }
    return NULL;
}

const char *
http_hdr(struct session *s, const struct http_resp *r, const char *name)
{
    return http_hdr_nth(s, r, name, 0);
}
