/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects at a proxy: find the bucket, compute the owner, redirect. No system call beyond the socket.
 *
 * Runs on: the request's fiber. Does not park.
 * Wire:    /v1/objects/BUCKET/OBJECT (native-api.md 1.5)
 */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "codec/url.h"
#include "core/rate.h"
#include "proxy/proxy_impl.h"
#include "run/run.h"

#define MAX_PARAMS 100 /* of a query */

int
access_check(const struct bck *b, enum access a, struct err *e)
{
    static const char *const names[] = { "GET",         "HEAD-OBJECT", "PUT",          "APPEND",       "DELETE-OBJECT",
                                         "MOVE-OBJECT", "PROMOTE",     "UPDATE-OBJECT", "HEAD-BUCKET",  "LIST-OBJECTS",
                                         "PATCH",       "SET-BUCKET-ACL", "LIST-BUCKETS", "SHOW-CLUSTER", "CREATE-BUCKET",
                                         "DESTROY-BUCKET", "MOVE-BUCKET", "ADMIN" };
    /* Without tokens a bucket's access limits what changes its content; reading, and opening it again, are always allowed. */
    static const uint64_t always = 1ULL << ACC_GET | 1ULL << ACC_HEAD_OBJ | 1ULL << ACC_HEAD_BCK | 1ULL << ACC_LIST | 1ULL << ACC_PATCH |
                                   1ULL << ACC_SET_ACL;
    char                  disp[BCK_DISPLAY_MAX];

    if ((b->access | always) & (1ULL << a))
        return 0;
    err_set(e, AIS_E_FORBIDDEN, "bucket %s: %s access denied (0x%llx)", bck_display(b, disp), names[a],
            (unsigned long long)b->access);
    return err_tcode(e, "ErrBucketAccessDenied");
}

/* The right that a method needs. */
static enum access
method_access(struct req *r)
{
    struct str v;

    switch (r->method) {
    case M_GET:
        return ACC_GET;
    case M_HEAD:
        return ACC_HEAD_OBJ;
    case M_PUT:
        return req_query(r, STR_LIT("append_type"), &v) ? ACC_APPEND : ACC_PUT;
    case M_DELETE:
        return ACC_DELETE;
    case M_PATCH:
        return ACC_UPDATE;
    case M_POST: /* by action */
    case M_OPTIONS:
    case M_OTHER:
        break;
    }
    return ACC_ADMIN;
}

/* Does the decoded path have bytes that must not be copied as they are? Then the URL is built anew. */
static bool
must_rebuild(struct str path)
{
    for (size_t i = 0; i < path.n; i++)
        switch (path.p[i]) {
        case '%':
        case '?':
        case '#':
        case ' ':
        case '+':
            return true;
        default:
            break;
        }
    return false;
}

struct pair {
    struct str k, v; /* encoded */
};

static int
pair_cmp(const void *a, const void *b)
{
    return str_cmp(((const struct pair *)a)->k, ((const struct pair *)b)->k);
}

/* Path encoded again, the query's pairs sorted with ours among them. */
static void
encode_anew(struct req *r, struct sbuf *b, const char *pid, const char *utm)
{
    struct pair p[MAX_PARAMS + 2];
    struct str  rest = r->query_raw, k, v;
    unsigned    n = 0;

    while (n < MAX_PARAMS && url_query_next(&rest, &k, &v))
        p[n++] = (struct pair){ k, v };
    p[n++] = (struct pair){ STR_LIT("pid"), str_z(pid) };
    p[n++] = (struct pair){ STR_LIT("utm"), str_z(utm) };
    qsort(p, n, sizeof(p[0]), pair_cmp);
    url_encode_path(b, r->path);
    for (unsigned i = 0; i < n; i++) {
        sbuf_putc(b, i == 0 ? '?' : '&');
        sbuf_puts(b, p[i].k);
        sbuf_putc(b, '=');
        sbuf_puts(b, p[i].v);
    }
}

/* What a byte becomes in an attribute's value; NULL: itself. */
static const char *
html_entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&#34;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

#define PAGE_HEAD "<a href=\""
#define PAGE_TAIL "\">Moved Permanently</a>.\n\n"

/* The little page that the original sends beside the header. */
static struct str
moved_page(struct arena *a, struct str location)
{
    const size_t longest = sizeof("&quot;") - 1;
    char        *page = arena_alloc(a, sizeof(PAGE_HEAD PAGE_TAIL) + location.n * longest), *p = page;

    if (page == NULL)
        return STR_LIT("");
    p = mempcpy(p, PAGE_HEAD, sizeof(PAGE_HEAD) - 1);
    for (size_t i = 0; i < location.n; i++) {
        const char *entity = html_entity(location.p[i]);

        if (entity == NULL)
            *p++ = location.p[i];
        else
            p = stpcpy(p, entity);
    }
    p = mempcpy(p, PAGE_TAIL, sizeof(PAGE_TAIL) - 1);
    return str_from(page, (size_t)(p - page));
}

/* Answer with the target's address. */
static void
send_redirect(struct req *r, struct str location)
{
    resp_hdr(r, "Location", location);
    if (r->method == M_GET)
        resp_send(r, 301, "text/html; charset=utf-8", moved_page(r->arena, location));
    else if (r->method == M_HEAD)
        resp_send(r, 307, "text/html; charset=utf-8", STR_LIT(""));
    else
        resp_empty(r, 307);
}

static const struct net_ep *
public_ep(const struct snode *t)
{
    static _Thread_local unsigned turn;

    if (t->nextra == 0)
        return &t->pub;
    turn++;
    return turn % (t->nextra + 1) == 0 ? &t->pub : &t->extra[turn % (t->nextra + 1) - 1];
}

/* The target's address, path and query as they came, our pairs behind. */
static struct str
build_copied(struct req *r, const char *url, struct str path_raw, struct str query_raw, const char *pid, const char *utm)
{
    const struct str parts[] = { str_z(url),      path_raw,   STR_LIT("?"),     query_raw,
                                 query_raw.n > 0 ? STR_LIT("&pid=") : STR_LIT("pid="),
                                 str_z(pid),      STR_LIT("&utm="), str_z(utm) };
    size_t           n = 0;
    char            *to, *p;

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        n += parts[i].n;
    to = p = arena_alloc(r->arena, n);
    if (to == NULL)
        return STR_NULL;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (parts[i].n > 0)
            p = mempcpy(p, parts[i].p, parts[i].n);
    return str_from(to, n);
}

/* The same with path and query encoded again. */
static struct str
build_anew(struct req *r, const char *url, const char *pid, const char *utm)
{
    struct sbuf b;
    struct str  location = STR_NULL;

    sbuf_init(&b, 64 * KIB);
    sbuf_putz(&b, url);
    encode_anew(r, &b, pid, utm);
    if (sbuf_ok(&b))
        location = arena_str(r->arena, sbuf_str(&b));
    sbuf_fini(&b);
    return location;
}

/* Location = target + path + query + who redirected and when. */
static void
redirect_to(struct req *r, const struct snode *t, struct str path_raw, struct str query_raw)
{
    struct node *n = req_node(r);
    const char  *url = public_ep(t)->url;
    char         utm[72];
    struct str   location;

    str_from_u64((uint64_t)clock_real(), 36, utm);
    if (must_rebuild(r->path))
        location = build_anew(r, url, n->id, utm);
    else
        location = build_copied(r, url, path_raw, query_raw, n->id, utm);
    if (location.n > 0)
        send_redirect(r, location);
    else
        resp_err(r, -AIS_E_URITOOLONG, NULL);
}

/* An append goes where its handle says. */
static int
owner_of(struct req *r, const struct bck *b, struct str obj, const struct snode **out, struct err *e)
{
    const struct smap *m = req_views(r)->smap;
    struct str         handle, tid, rest;
    unsigned           bars = 0;

    if (r->method == M_PUT && req_query(r, STR_LIT("append_handle"), &handle) && handle.n > 0) {
        for (size_t i = 0; i < handle.n; i++)
            bars += handle.p[i] == '|';
        rest = handle;
        if (bars != 3 || !str_split(&rest, '|', &tid))
            return err_set(e, AIS_E_INVAL, "invalid APPEND handle: \"%.*s\"", STR_FMT(handle));
        *out = smap_find(m, tid);
        if (*out == NULL || (*out)->role != ROLE_TARGET)
            return err_set(e, AIS_E_NONODE, "APPEND handle names an unknown target \"%.*s\"", STR_FMT(tid));
        return 0;
    }
    *out = smap_hrw(m, bck_obj_digest(b, obj));
    if (*out == NULL) {
        err_set(e, AIS_E_UNAVAIL, "%s: no available targets, %s", req_node(r)->name, "Smap has none that is active");
        return err_tcode(e, "ErrNoNodes");
    }
    return 0;
}

static int
params_check(struct str query, struct err *e)
{
    struct str k, v;
    unsigned   n = 0;

    if (query.n <= 2 * MAX_PARAMS) /* a parameter and what divides it from the next are two bytes at least */
        return 0;
    while (url_query_next(&query, &k, &v))
        if (++n > MAX_PARAMS)
            return err_set(e, AIS_E_BADREQ, "number of query parameters exceeds %d", MAX_PARAMS);
    return 0;
}

static void
count_redirect(struct req *r, bool failed)
{
    static const struct {
        enum method  method;
        enum stat_id ok, err;
    } table[] = {
        { M_GET, STAT_GET_N, STAT_ERR_GET_N },    { M_PUT, STAT_PUT_N, STAT_ERR_PUT_N },
        { M_HEAD, STAT_HEAD_N, STAT_ERR_HEAD_N }, { M_DELETE, STAT_DEL_N, STAT_ERR_DEL_N },
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (table[i].method == r->method)
            stat_inc(req_node(r)->stats, failed ? table[i].err : table[i].ok);
}

/* Reading, writing and deleting have a limit where the bucket has one. */
static int
rate_check(struct req *r, const struct bucket *bk, struct err *e)
{
    static const struct {
        enum method    method;
        enum rate_verb verb;
    } table[] = { { M_GET, RATE_GET }, { M_PUT, RATE_PUT }, { M_DELETE, RATE_DELETE } };
    int64_t wait = 0;

    if (bk->rate == NULL)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (table[i].method == r->method)
            wait = rate_gate_pass(bk->rate, table[i].verb, clock_mono(), req_views(r)->smap->nproxies);
    if (wait == 0)
        return 0;
    resp_hdr_u64(r, "Retry-After", (uint64_t)((wait + NSEC_PER_SEC - 1) / NSEC_PER_SEC));
    err_set(e, AIS_E_RATELIMIT, "Too Many Requests");
    return err_tcode(e, "ErrRateLimitFrontend");
}

/* /v1/objects/item[0]/item[1] to its owner, for who has the right. */
static void
redirect_object(struct req *r, enum access right)
{
    struct err           e = { .code = 0 };
    struct bck           b;
    const struct bucket *bk = NULL;
    const struct snode  *t = NULL;
    int                  rc = params_check(r->query_raw, &e);

    if (rc == 0)
        rc = req_bck(r, r->item[0], &b, &bk, &e);
    if (rc == 0)
        rc = access_check(&b, right, &e);
    if (rc == 0)
        rc = obj_name_check(r->item[1], r->method == M_HEAD, &e);
    if (rc == 0)
        rc = rate_check(r, bk, &e);
    if (rc == 0)
        rc = owner_of(r, &b, r->item[1], &t, &e);
    count_redirect(r, rc < 0);
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        redirect_to(r, t, r->path_raw, r->query_raw);
}

void
h_proxy_obj_redirect(struct req *r)
{
    redirect_object(r, method_access(r));
}

/* Actions on an object are the target's to do; which there are, and who may, is known here. */
static const struct {
    const char *action;
    enum access right;
} post_actions[] = {
    { "rename-obj",   ACC_MOVE },
    { "check-lock",   ACC_HEAD_OBJ },
    { "mpt-upload",   ACC_PUT },
    { "mpt-complete", ACC_PUT },
    { "mpt-abort",    ACC_PUT },
};

void
h_proxy_obj_post(struct req *r)
{
    struct actmsg m;
    struct err    e = { .code = 0 };
    size_t        i;
    int           rc = actmsg_read(r, &m, &e);

    if (rc < 0) {
        resp_err(r, rc, &e);
        return;
    }
    for (i = 0; i < ARRAY_SIZE(post_actions) && !str_eqz(m.action, post_actions[i].action); i++)
        ;
    if (i == ARRAY_SIZE(post_actions)) {
        err_set(&e, AIS_E_BADREQ, "invalid action \"%.*s\"", STR_FMT(m.action));
        resp_err(r, -AIS_E_BADREQ, &e);
    } else {
        redirect_object(r, post_actions[i].right);
    }
    actmsg_free(&m);
}
