/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What simulated clients do, and what they check.
 *
 * Objects of the lasting buckets are registers: a value tells which write it was, and the body is made of it, so that a body that is
 * not whole is seen at once. Buckets that come and go are registers, too. A refusal (503 and its like) or a broken exchange says
 * nothing about a read; a write may then have happened or not.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/sbuf.h"
#include "base/util.h"
#include "cluster.h"

#define BODY_MAX   (192 * 1024)
#define SETTLE     SEC_NS(60) /* after the last fault, within which everything must be answered again */
#define LIST_PAGE  7 /* small, so that a listing takes several pages */

struct object {
    struct history h;
    char           bucket[16], name[24];
    int            writer; /* the only client that changes it: it has at most one change under way */
};

struct churn {
    struct history h;
    char           name[16];
};

static struct {
    struct workload_conf c;
    struct object       *obj;
    struct churn        *churn;
    unsigned             nobj, running;
    bool                 stop;
    uint64_t             values;
} w;

struct workload_stats wstats;

/* --- bodies --- */

/* The body of a value: its length and each byte follow from it. */
static size_t
body_len(uint64_t value)
{
    uint64_t r = hash_u64(value * 7919);

    if (r % 16 == 0)
        return 24 + (size_t)(r >> 8) % (BODY_MAX - 24);
    return 24 + (size_t)(r >> 8) % 3000;
}

static char *
body_make(uint64_t value, size_t *n)
{
    size_t   len = body_len(value);
    char    *p = xmalloc(len + 8);
    uint64_t x = value;

    for (size_t i = 24; i < len; i += 8) {
        x = x * 6364136223846793005ULL + 1442695040888963407ULL;
        memcpy(p + i, &x, 8);
    }
    snprintf(p, 24, "value %016llx", (unsigned long long)value);
    p[23] = '\n';
    *n = len;
    return p;
}

/* Which value is it? 0: not a whole body that a client wrote. */
static uint64_t
body_read(struct str b)
{
    char            head[24];
    uint64_t        value;
    size_t          n;
    auto_free char *want = NULL;

    if (b.n < 24)
        return 0;
    memcpy(head, b.p, 24);
    head[23] = '\0';
    if (strncmp(head, "value ", 6) != 0)
        return 0;
    value = strtoull(head + 6, NULL, 16);
    want = body_make(value, &n);
    return n == b.n && memcmp(want, b.p, n) == 0 ? value : 0;
}

/* --- one operation --- */

static unsigned
any_proxy(void)
{
    return 1 + (unsigned)sim_rand_below(cl.proxies);
}

static bool
refused(int status)
{
    wstats.ops++;
    if (status >= 200 && status != 503 && status != 429 && status < 500 && status != 409 && status != 408 && status != 403 &&
        status != 301 && status != 307) {
        wstats.ok++;
        return false;
    }
    wstats.refused++;
    return true;
}

static struct str
obj_target(struct object *o, struct arena *a)
{
    return arena_printf(a, "/v1/objects/%s/%s?provider=ais", o->bucket, o->name);
}

static void
obj_put(struct object *o, int client, struct arena *a)
{
    uint64_t        value = ++w.values;
    size_t          n, i = hist_begin(&o->h, H_WRITE, value, client);
    auto_free char *body = body_make(value, &n);
    struct hc_resp  resp;
    int             rc = ask(any_proxy(), M_PUT, obj_target(o, a), str_from(body, n), a, &resp);

    sim_say("client %d PUT %s = %llu: %d", client, o->h.name, (unsigned long long)value, rc);
    if (!refused(rc) && rc == 200)
        hist_end(&o->h, i, H_WRITE, value);
}

static void
obj_delete(struct object *o, int client, struct arena *a)
{
    size_t         i = hist_begin(&o->h, H_WRITE, 0, client);
    struct hc_resp resp;
    int            rc = ask(any_proxy(), M_DELETE, obj_target(o, a), STR_NULL, a, &resp);

    sim_say("client %d DELETE %s: %d", client, o->h.name, rc);
    if (!refused(rc) && (rc == 200 || rc == 204 || rc == 404))
        hist_end(&o->h, i, H_WRITE, 0);
}

/* Read it through that proxy. False: refused. */
static bool
obj_get(struct object *o, int client, unsigned proxy, struct arena *a, uint64_t *out)
{
    size_t         i = hist_begin(&o->h, H_READ, 0, client);
    struct hc_resp resp;
    int            rc = ask(proxy, M_GET, obj_target(o, a), STR_NULL, a, &resp);
    uint64_t       value = 0;

    if (rc == 200) {
        value = body_read(resp.body);
        if (value == 0)
            wrong("GET %s: a body of %zu bytes that is no whole value: \"%.*s\"", o->h.name, resp.body.n,
                  (int)MIN(resp.body.n, (size_t)40), resp.body.p);
    }
    sim_say("client %d GET %s via %u: %d = %llu", client, o->h.name, proxy, rc, (unsigned long long)value);
    if (refused(rc) || (rc != 200 && rc != 404) || (rc == 200 && value == 0)) {
        hist_drop(&o->h, i);
        return false;
    }
    hist_end(&o->h, i, H_READ, value);
    if (out != NULL)
        *out = value;
    return true;
}

/* Create or destroy a bucket that comes and goes. AIStore answers 409 and 404 when there is nothing to do. */
static void
bck_change(struct churn *b, int client, struct arena *a)
{
    bool           make = sim_rand_below(2) == 0;
    size_t         i = hist_begin(&b->h, make ? H_CREATE : H_DESTROY, 0, client);
    struct hc_resp resp;
    int            rc = ask(any_proxy(), make ? M_POST : M_DELETE, arena_printf(a, "/v1/buckets/%s?provider=ais", b->name),
                            make ? STR_LIT("{\"action\":\"create-bck\"}") : STR_LIT("{\"action\":\"destroy-bck\"}"), a, &resp);

    sim_say("client %d %s %s: %d", client, make ? "create" : "destroy", b->name, rc);
    if (rc == 200)
        hist_end(&b->h, i, make ? H_CREATE : H_DESTROY, 0);
    else if (make && rc == 409 && memmem(resp.body.p, resp.body.n, "already exists", 14) != NULL)
        hist_end(&b->h, i, H_CREATE_EXISTS, 0);
    else if (!make && rc == 404)
        hist_end(&b->h, i, H_DESTROY_NONE, 0);
    else if (make) { /* it may have been made, and unmade because a target could not follow */
        size_t undone = hist_begin(&b->h, H_DESTROY, 0, client);

        b->h.op[undone].inv = b->h.op[i].inv;
    }
    (void)refused(rc);
}

/* --- listings --- */

struct listing {
    char   **name;
    size_t   n, cap;
};

static void
listing_free(struct listing *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->name[i]);
    free(l->name);
}

static void
listing_add(struct listing *l, const char *name)
{
    if (l->n == l->cap) {
        l->cap = MAX(2 * l->cap, (size_t)32);
        l->name = xrealloc(l->name, l->cap * sizeof(char *));
    }
    l->name[l->n++] = xstrdup(name);
}

static bool
listed(const struct listing *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->name[i], name) == 0)
            return true;
    return false;
}

/* All pages. False: refused on the way. */
static bool
list_all(const char *bucket, unsigned proxy, struct arena *a, struct listing *out)
{
    char token[256] = "";

    for (int page = 0; page < 1000; page++) {
        struct str     body = arena_printf(a, "{\"action\":\"list\",\"value\":{\"props\":\"name\",\"pagesize\":%d,\"continuation_token\":\"%s\"}}",
                                           LIST_PAGE, token);
        struct hc_resp resp;
        int            rc = ask(proxy, M_GET, arena_printf(a, "/v1/buckets/%s?provider=ais", bucket), body, a, &resp);
        json_t        *j, *e;
        size_t         i;

        if (refused(rc) || rc != 200)
            return false;
        j = json_loadb(resp.body.p, resp.body.n, 0, NULL);
        json_array_foreach(json_object_get(j, "entries"), i, e)
            listing_add(out, json_string_value(json_object_get(e, "name")));
        snprintf(token, sizeof(token), "%s", json_string_value(json_object_get(j, "continuation_token")) == NULL
                                                 ? "" : json_string_value(json_object_get(j, "continuation_token")));
        if (j == NULL)
            wrong("listing of %s is not JSON: %.*s", bucket, (int)MIN(resp.body.n, (size_t)100), resp.body.p);
        json_decref(j);
        if (token[0] == '\0')
            return true;
    }
    wrong("listing of %s does not end", bucket);
    return false;
}

/* What a register surely held, without a break, from t0 to now: its value, or UINT64_MAX when that cannot be told. */
static uint64_t
surely(const struct history *h, int64_t t0)
{
    uint64_t v = 0;
    int64_t  when = -1;

    for (size_t i = 0; i < h->n; i++) {
        const struct hop *o = &h->op[i];

        if (o->inv < 0 || o->kind != H_WRITE)
            continue;
        if (o->ret == INT64_MAX || o->ret > t0)
            return UINT64_MAX; /* the writer is one client: a later settled write does not settle an unknown one */
        if (o->ret > when) {
            when = o->ret;
            v = o->value;
        }
    }
    return v;
}

/*
 * While things go on: a listing has every name that surely was there all the time, none that surely was not, and none twice.
 * False: refused.
 */
static bool
bck_list(const char *bucket, int client, unsigned proxy, struct arena *a)
{
    struct listing l = { 0 };
    int64_t        t0 = sim_now();
    bool           whole = list_all(bucket, proxy, a, &l);

    sim_say("client %d LIST %s via %u: %s, %zu names", client, bucket, proxy, whole ? "whole" : "refused", l.n);
    for (unsigned k = 0; k < w.nobj && whole; k++) {
        struct object *o = &w.obj[k];
        uint64_t       v;

        if (strcmp(o->bucket, bucket) != 0)
            continue;
        v = surely(&o->h, t0);
        if (v != UINT64_MAX && (v != 0) != listed(&l, o->name))
            wrong("listing of %s by proxy %u %s %s", bucket, proxy, v != 0 ? "lacks" : "has", o->name);
    }
    for (size_t i = 0; i + 1 < l.n; i++)
        if (strcmp(l.name[i], l.name[i + 1]) >= 0)
            wrong("listing of %s by proxy %u is out of order or doubled at %s", bucket, proxy, l.name[i]);
    listing_free(&l);
    return whole;
}

/* --- clients --- */

static void
client_step(int me, struct arena *a)
{
    uint64_t       r = sim_rand_below(100);
    struct object *o = &w.obj[sim_rand_below(w.nobj)];

    if (r < 30 || r >= 98 || w.c.churn == 0) {
        for (int i = 0; i < 50 && o->writer != me; i++)
            o = &w.obj[sim_rand_below(w.nobj)];
        if (o->writer == me && r % 4 == 0)
            obj_delete(o, me, a);
        else if (o->writer == me)
            obj_put(o, me, a);
    } else if (r < 75) {
        (void)obj_get(o, me, any_proxy(), a, NULL);
    } else if (r < 83) {
        bck_change(&w.churn[sim_rand_below(w.c.churn)], me, a);
    } else {
        (void)bck_list(o->bucket, me, any_proxy(), a);
    }
}

static void
client_main(void *arg)
{
    int           me = (int)(intptr_t)arg;
    struct arena *a = arena_new(64 * KIB, 64 * MIB);

    while (!w.stop) {
        client_step(me, a);
        arena_reset(a);
        (void)fiber_sleep(MSEC_NS(1) + (int64_t)sim_rand_below((uint64_t)MSEC_NS(250)));
    }
    arena_free(a);
    w.running--;
}

static void
make_buckets(void *arg)
{
    struct arena *a = arena_new(64 * KIB, 16 * MIB);
    bool         *ok = arg;

    *ok = true;
    for (unsigned b = 0; b < w.c.buckets; b++) {
        struct hc_resp resp;
        int            rc = -1;

        for (int tries = 0; tries < 5 && rc < 0; tries++) /* the network of this seed may break connections */
            rc = ask(1, M_POST, arena_printf(a, "/v1/buckets/b%u?provider=ais", b), STR_LIT("{\"action\":\"create-bck\"}"), a, &resp);
        sim_say("create b%u: %d", b, rc);
        *ok = *ok && (rc == 200 || rc == 409);
    }
    arena_free(a);
}

bool
workload_start(const struct workload_conf *c)
{
    bool ok = false;

    w.c = *c;
    w.nobj = c->buckets * c->objects;
    w.obj = xcalloc(w.nobj, sizeof(*w.obj));
    w.churn = xcalloc(c->churn, sizeof(*w.churn));
    for (unsigned i = 0; i < w.nobj; i++) {
        struct object *o = &w.obj[i];

        snprintf(o->bucket, sizeof(o->bucket), "b%u", i % c->buckets);
        snprintf(o->name, sizeof(o->name), "%s%03u", i % 3 == 0 ? "dir/" : "", i);
        snprintf(o->h.name, sizeof(o->h.name), "%s/%s", o->bucket, o->name);
        o->writer = (int)(i / c->buckets % c->clients);
    }
    for (unsigned i = 0; i < c->churn; i++) {
        snprintf(w.churn[i].name, sizeof(w.churn[i].name), "churn%u", i);
        snprintf(w.churn[i].h.name, sizeof(w.churn[i].h.name), "bucket %s", w.churn[i].name);
    }
    clients_call(make_buckets, &ok);
    w.running = ok ? c->clients : 0;
    for (unsigned i = 0; i < w.running; i++)
        clients_spawn(client_main, (void *)(intptr_t)i);
    return ok;
}

void
workload_stop(void)
{
    w.stop = true;
    while (w.running > 0)
        sim_sleep(MSEC_NS(20));
}

/* --- afterwards --- */

static void
check(const struct history *h)
{
    if (hist_check(h))
        return;
    wrong("%s: no order explains this history", h->name);
    hist_print(h);
}

/* Does the bucket exist, as seen through that proxy? False: refused. */
static bool
churn_read(struct churn *b, unsigned proxy, struct arena *a)
{
    struct hc_resp resp;
    size_t         i = hist_begin(&b->h, H_READ, 0, 99);
    int            rc = ask(proxy, M_HEAD, arena_printf(a, "/v1/buckets/%s?provider=ais", b->name), STR_NULL, a, &resp);

    if (rc == 200 || rc == 404)
        hist_end(&b->h, i, H_READ, rc == 200);
    else
        hist_drop(&b->h, i);
    return rc == 200 || rc == 404;
}

/* Again, for a while, when refused: nodes need a moment to find each other. */
#define SETTLED(a, call, ...)                                                                                                   \
    do {                                                                                                                        \
        int64_t since_ = sim_now();                                                                                             \
        while (!(call) && sim_now() < until)                                                                                    \
            (void)fiber_sleep(MSEC_NS(200));                                                                                    \
        if (sim_now() >= until && since_ < until)                                                                               \
            wrong(__VA_ARGS__);                                                                                                 \
        arena_reset(a);                                                                                                         \
    } while (0)

static void
verify(void *arg)
{
    struct arena *a = arena_new(64 * KIB, 64 * MIB);
    int64_t       until = sim_now() + SETTLE;

    UNUSED(arg);
    for (unsigned p = 1; p <= cl.proxies; p++) {
        for (unsigned i = 0; i < w.nobj; i++)
            SETTLED(a, obj_get(&w.obj[i], 99, p, a, NULL), "GET %s via proxy %u is refused though all is well", w.obj[i].h.name, p);
        for (unsigned i = 0; i < w.c.churn; i++)
            SETTLED(a, churn_read(&w.churn[i], p, a), "HEAD of %s via proxy %u is refused though all is well", w.churn[i].h.name, p);
        for (unsigned b = 0; b < w.c.buckets; b++) {
            char name[16];

            snprintf(name, sizeof(name), "b%u", b);
            SETTLED(a, bck_list(name, 99, p, a), "listing of %s via proxy %u is refused though all is well", name, p);
        }
    }
    arena_free(a);
}

void
workload_verify(void)
{
    clients_call(verify, NULL);
    for (unsigned i = 0; i < w.nobj; i++)
        check(&w.obj[i].h);
    for (unsigned i = 0; i < w.c.churn; i++)
        check(&w.churn[i].h);
}
