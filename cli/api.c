/* SPDX-License-Identifier: Apache-2.0 */
/* Talking to the cluster, by libcurl; parsing bucket and object names; JSON answers. Thread-safe. */
#include <curl/curl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

void
buf_free(struct buf *b)
{
    free(b->p);
    *b = (struct buf){ 0 };
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
    if (b->n + n + 1 > b->cap) {
        b->cap = (b->n + n + 1) * 2;
        b->p = realloc(b->p, b->cap);
        if (b->p == NULL)
            die("out of memory");
    }
    memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = '\0';
}

const char *
api_endpoint(void)
{
    const char *e = getenv("AIS_ENDPOINT");

    return e != NULL && e[0] != '\0' ? e : "http://localhost:8080";
}

char *
path_fmt(const char *fmt, ...)
{
    char   *p = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&p, fmt, ap) < 0)
        die("out of memory");
    va_end(ap);
    return p;
}

char *
enc(const char *s, bool slash_ok)
{
    static const char ok[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
    char             *out = malloc(strlen(s) * 3 + 1), *p = out;

    if (out == NULL)
        die("out of memory");
    for (; *s != '\0'; s++)
        if (strchr(ok, *s) != NULL || (slash_ok && *s == '/'))
            *p++ = *s;
        else
            p += snprintf(p, 4, "%%%02X", (unsigned char)*s);
    *p = '\0';
    return out;
}

bool
uri_parse(const char *s, struct uri *u)
{
    const char *sep = strstr(s, "://"), *slash;

    *u = (struct uri){ .provider = strdup("ais"), .ns = strdup("") };
    if (sep != NULL) {
        u->provider = strndup(s, (size_t)(sep - s));
        s = sep + 3;
    }
    if (*s == '@' || *s == '#') { /* a namespace: @uuid#name/ */
        slash = strchr(s, '/');
        if (slash == NULL) {
            fprintf(stderr, "Error: \"%s\": a bucket is missing behind the namespace\n", s);
            return false;
        }
        u->ns = strndup(s, (size_t)(slash - s));
        s = slash + 1;
    }
    slash = strchr(s, '/');
    u->bucket = slash == NULL ? strdup(s) : strndup(s, (size_t)(slash - s));
    u->object = strdup(slash == NULL ? "" : slash + 1);
    if (u->bucket[0] == '\0') {
        fprintf(stderr, "Error: \"%s\" names no bucket: expecting ais://BUCKET or ais://BUCKET/OBJECT\n", s);
        return false;
    }
    return true;
}

char *
uri_path(const struct uri *u, const char *verb, const char *extra)
{
    bool obj = strcmp(verb, "objects") == 0 && u->object[0] != '\0';

    return path_fmt("/v1/%s/%s%s%s?provider=%s%s%s%s%s", verb, enc(u->bucket, false), obj ? "/" : "",
                    obj ? enc(u->object, true) : "", enc(u->provider, false), u->ns[0] != '\0' ? "&namespace=" : "",
                    u->ns[0] != '\0' ? enc(u->ns, false) : "", extra != NULL ? "&" : "", extra != NULL ? extra : "");
}

/* --- curl --- */

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* One handle a thread keeps its connections. */
static CURL *
handle(void)
{
    static _Thread_local CURL *h;

    pthread_once(&once, init_curl);
    if (h == NULL)
        h = curl_easy_init();
    else
        curl_easy_reset(h);
    if (h == NULL)
        die("libcurl cannot start");
    return h;
}

struct xfer {
    const struct api_req *q;
    struct api_resp      *r;
    CURL                 *h;
};

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
    struct xfer *x = arg;
    long         status = 0;

    n *= size;
    curl_easy_getinfo(x->h, CURLINFO_RESPONSE_CODE, &status);
    if (x->q->out != NULL && status >= 200 && status < 300) {
        if (fwrite(p, 1, n, x->q->out) != n)
            return 0;
        if (x->q->progress != NULL)
            x->q->progress(x->q->ctx, n);
    } else if (status < 300 || status >= 400) {
        buf_add(&x->r->body, p, n);
    }
    return n;
}

static size_t
on_head(char *p, size_t size, size_t n, void *arg)
{
    struct xfer *x = arg;

    n *= size;
    if (n > 5 && strncmp(p, "HTTP/", 5) == 0) { /* of the next answer */
        x->r->head.n = 0;
        x->r->body.n = 0;
    }
    buf_add(&x->r->head, p, n);
    return n;
}

static size_t
on_read(char *p, size_t size, size_t n, void *arg)
{
    struct xfer *x = arg;
    size_t       k = fread(p, 1, size * n, x->q->in);

    if (k == 0 && ferror(x->q->in))
        return CURL_READFUNC_ABORT;
    if (k > 0 && x->q->progress != NULL)
        x->q->progress(x->q->ctx, k);
    return k;
}

static int
on_seek(void *arg, curl_off_t off, int origin)
{
    struct xfer *x = arg;

    return fseeko(x->q->in, (off_t)off, origin) == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_CANTSEEK;
}

static void
error_text(struct api_resp *r)
{
    json_error_t je;
    json_t      *j = r->body.n > 0 ? json_loadb(r->body.p, r->body.n, 0, &je) : NULL;
    const char  *h = api_hdr(r, "Hdr-Error");

    if (j == NULL && h != NULL)
        j = json_loads(h, 0, &je);
    if (j != NULL && json_is_string(json_object_get(j, "message")))
        snprintf(r->err, sizeof(r->err), "%s", json_string_value(json_object_get(j, "message")));
    else if (r->body.n > 0)
        snprintf(r->err, sizeof(r->err), "%.*s", (int)strcspn(r->body.p, "\r\n"), r->body.p);
    else
        snprintf(r->err, sizeof(r->err), "HTTP status %d", r->status);
    json_decref(j);
}

int
api_call(const struct api_req *q, struct api_resp *r)
{
    struct xfer        x = { .q = q, .r = r, .h = handle() };
    char              *url = path_fmt("%s%s", api_endpoint(), q->path);
    struct curl_slist *hl = NULL;
    long               status = 0;
    CURLcode           rc;

    *r = (struct api_resp){ .status = 0 };
    curl_easy_setopt(x.h, CURLOPT_URL, url);
    curl_easy_setopt(x.h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(x.h, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(x.h, CURLOPT_POSTREDIR, (long)CURL_REDIR_POST_ALL);
    curl_easy_setopt(x.h, CURLOPT_CONNECTTIMEOUT, 10L);
    curl_easy_setopt(x.h, CURLOPT_USERAGENT, "ais/cli");
    curl_easy_setopt(x.h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(x.h, CURLOPT_WRITEDATA, &x);
    curl_easy_setopt(x.h, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(x.h, CURLOPT_HEADERDATA, &x);
    if (getenv("AIS_SKIP_VERIFY_CRT") != NULL) {
        curl_easy_setopt(x.h, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(x.h, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (getenv("AIS_CLIENT_CA") != NULL)
        curl_easy_setopt(x.h, CURLOPT_CAINFO, getenv("AIS_CLIENT_CA"));
    if (strcmp(q->method, "HEAD") == 0)
        curl_easy_setopt(x.h, CURLOPT_NOBODY, 1L);
    else if (strcmp(q->method, "GET") != 0 || q->body != NULL)
        curl_easy_setopt(x.h, CURLOPT_CUSTOMREQUEST, q->method);
    if (q->in != NULL) {
        curl_easy_setopt(x.h, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(x.h, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(x.h, CURLOPT_READDATA, &x);
        curl_easy_setopt(x.h, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(x.h, CURLOPT_SEEKDATA, &x);
        curl_easy_setopt(x.h, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
        if (q->in_size >= 0)
            curl_easy_setopt(x.h, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->in_size);
        hl = curl_slist_append(hl, "Expect: 100-continue"); /* the proxy redirects: do not send the body twice */
    } else if (q->body != NULL) {
        curl_easy_setopt(x.h, CURLOPT_POSTFIELDS, q->body);
        curl_easy_setopt(x.h, CURLOPT_POSTFIELDSIZE, (long)strlen(q->body));
        hl = curl_slist_append(hl, "Content-Type: application/json");
    }
    curl_easy_setopt(x.h, CURLOPT_BUFFERSIZE, 512L << 10);
    for (int i = 0; i < 8 && q->hdrs[i] != NULL; i++)
        hl = curl_slist_append(hl, q->hdrs[i]);
    if (getenv("AIS_AUTHN_TOKEN") != NULL) {
        char *t = path_fmt("Authorization: Bearer %s", getenv("AIS_AUTHN_TOKEN"));

        hl = curl_slist_append(hl, t);
        curl_easy_setopt(x.h, CURLOPT_UNRESTRICTED_AUTH, 1L);
        free(t);
    }
    curl_easy_setopt(x.h, CURLOPT_HTTPHEADER, hl);
    rc = curl_easy_perform(x.h);
    curl_easy_getinfo(x.h, CURLINFO_RESPONSE_CODE, &status);
    r->status = (int)status;
    if (rc != CURLE_OK) {
        snprintf(r->err, sizeof(r->err), "%s (endpoint %s)", curl_easy_strerror(rc), api_endpoint());
        r->status = r->status >= 400 ? r->status : 0;
    } else if (status >= 400) {
        error_text(r);
    }
    curl_slist_free_all(hl);
    free(url);
    free(q->path);
    return rc == CURLE_OK && status < 400 ? 0 : -1;
}

void
api_resp_free(struct api_resp *r)
{
    buf_free(&r->body);
    buf_free(&r->head);
}

const char *
api_hdr(const struct api_resp *r, const char *name)
{
    static _Thread_local char value[16384];
    size_t                    n = strlen(name);

    for (const char *p = r->head.p; p != NULL && *p != '\0';) {
        const char *eol = strpbrk(p, "\r\n");
        size_t      len = eol == NULL ? strlen(p) : (size_t)(eol - p);

        if (len > n && p[n] == ':' && strncasecmp(p, name, n) == 0) {
            p += n + 1;
            len -= n + 1;
            while (len > 0 && *p == ' ') {
                p++;
                len--;
            }
            snprintf(value, sizeof(value), "%.*s", (int)len, p);
            return value;
        }
        p += len;
        p += strspn(p, "\r\n");
    }
    return NULL;
}

struct json_t *
api_json(const struct api_req *q)
{
    struct api_resp r;
    json_error_t    je;
    json_t         *j;

    if (api_call(q, &r) < 0)
        die("%s", r.err);
    j = json_loadb(r.body.p == NULL ? "" : r.body.p, r.body.n, JSON_DECODE_ANY, &je);
    if (j == NULL)
        die("the answer is not JSON: %s", je.text);
    api_resp_free(&r);
    return j;
}
