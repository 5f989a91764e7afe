/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy's role: its routes and its bring-up. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/util.h"
#include "core/role_types.h"
#include "proxy/ic.h"
#include "proxy/proxy_impl.h"
#include "run/fiber.h"

bool
still_starting(struct req *r, int64_t wait_ns)
{
    struct node  *n = req_node(r);
    int64_t       deadline = clock_mono() + wait_ns;
    struct views *v = req_views(r);

    if (atomic_load_explicit(&n->flags, memory_order_relaxed) & NODE_CLUSTER_STARTED)
        return false;
    while (clock_mono() < deadline && fiber_sleep(MSEC_NS(20)) == 0)
        if (atomic_load(&n->flags) & NODE_CLUSTER_STARTED) {
            views_put(v); /* what it waited for is not in those of the beginning */
            views_get(n, v);
            return false;
        }
    resp_empty(r, 503);
    return true;
}

static void
h_feature(struct req *r)
{
    static const struct {
        const char *prefix, *feature;
    } table[] = {
        { "/v1/etl", "ETL" },           { "/v1/download", "downloader" }, { "/v1/sort", "dsort" },
        { "/v1/ml", "get-batch" },      { "/v1/tokens", "authentication tokens" },
        { "/s3", "S3" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (str_starts(r->path, str_z(table[i].prefix))) {
            h_not_implemented(r, table[i].feature);
            return;
        }
    h_not_implemented(r, "this request");
}

/* Browsers ask for it. */
static void
h_favicon(struct req *r)
{
    resp_empty(r, 200);
}

#define EASY_AT(m, scheme) { m, "/" scheme "/*rest", h_proxy_easy, R_PUB }
#define EASY(scheme)                                                                                       \
    { M_GET, "/" scheme, h_proxy_easy, R_PUB }, EASY_AT(M_GET, scheme), EASY_AT(M_HEAD, scheme),           \
        { M_PUT, "/" scheme "/*rest", h_proxy_easy, R_PUB | R_STREAM }, EASY_AT(M_DELETE, scheme),         \
        EASY_AT(M_PATCH, scheme), EASY_AT(M_POST, scheme)
#define LATER(m, path) { m, path, h_feature, R_PUB | R_STREAM }, { m, path "/*rest", h_feature, R_PUB | R_STREAM }

/* clang-format off */
static const struct route routes[] = {
    { M_GET,    "/v1/objects/:bck/*obj",   h_proxy_obj_redirect,          R_PUB | R_QUICK },
    { M_PUT,    "/v1/objects/:bck/*obj",   h_proxy_obj_redirect,          R_PUB | R_QUICK | R_STREAM },
    { M_HEAD,   "/v1/objects/:bck/*obj",   h_proxy_obj_redirect,          R_PUB | R_QUICK },
    { M_DELETE, "/v1/objects/:bck/*obj",   h_proxy_obj_redirect,          R_PUB | R_QUICK },
    { M_PATCH,  "/v1/objects/:bck/*obj",   h_proxy_obj_redirect,          R_PUB | R_QUICK },
    { M_POST,   "/v1/objects/:bck/*obj",   h_proxy_obj_post,              R_PUB },
    { M_POST,   "/v1/objects/:bck",        h_proxy_promote,               R_PUB },
    { M_GET,    "/v1/buckets",             h_proxy_bck_get,               R_PUB },
    { M_GET,    "/v1/buckets/:bck",        h_proxy_bck_get,               R_PUB },
    { M_HEAD,   "/v1/buckets/:bck",        h_proxy_bck_head,              R_PUB },
    { M_HEAD,   "/v1/buckets/:bck/*pfx",   h_proxy_bck_head,              R_PUB },
    { M_POST,   "/v1/buckets/:bck",        h_proxy_bck_post,              R_PUB },
    { M_PUT,    "/v1/buckets/:bck",        h_proxy_bck_put,               R_PUB },
    { M_DELETE, "/v1/buckets/:bck",        h_proxy_bck_delete,            R_PUB },
    { M_PATCH,  "/v1/buckets/:bck",        h_proxy_bck_patch,             R_PUB },
    { M_GET,    "/v1/cluster",             h_proxy_cluster_get,           R_PUB | R_CONTROL },
    { M_PUT,    "/v1/cluster",             h_proxy_cluster_put,           R_PUB | R_CONTROL },
    { M_PUT,    "/v1/cluster/:verb",       h_proxy_cluster_put_verb,      R_PUB | R_CONTROL },
    { M_PUT,    "/v1/cluster/:verb/:item", h_proxy_cluster_put_verb,      R_PUB | R_CONTROL },
    { M_GET,    "/v1/reverse/daemon",       h_proxy_reverse,              R_PUB },
    { M_PUT,    "/v1/reverse/daemon",       h_proxy_reverse,              R_PUB },
    { M_POST,   "/v1/reverse/daemon",       h_proxy_reverse,              R_PUB },
    { M_DELETE, "/v1/reverse/daemon",       h_proxy_reverse,              R_PUB },
    { M_GET,    "/v1/reverse/daemon/*rest", h_proxy_reverse,              R_PUB },
    { M_PUT,    "/v1/reverse/daemon/*rest", h_proxy_reverse,              R_PUB },
    { M_POST,   "/v1/reverse/daemon/*rest", h_proxy_reverse,              R_PUB },
    { M_DELETE, "/v1/reverse/daemon/*rest", h_proxy_reverse,              R_PUB },
    { M_POST,   "/v1/cluster/join-by-admin", h_proxy_join,                R_PUB },
    { M_DELETE, "/v1/cluster/daemon/:sid",   h_proxy_daemon_delete,       R_PUB | R_CONTROL },
    { M_POST,   "/v1/rebalance",             h_proxy_reb_finished,        R_CONTROL | R_INTRA },
    { M_GET,    "/v1/ic",                    h_proxy_ic_get,              R_CONTROL | R_INTRA },
    { M_POST,   "/v1/ic",                    h_proxy_ic_post,             R_CONTROL | R_INTRA },
    { M_POST,   "/v1/notifs/:what",          h_proxy_notifs,              R_CONTROL | R_INTRA },
    { M_GET,    "/favicon.ico",              h_favicon,                   R_PUB },
    EASY("ais"), EASY("gs"), EASY("az"),
    LATER(M_GET, "/v1/etl"), LATER(M_PUT, "/v1/etl"), LATER(M_POST, "/v1/etl"), LATER(M_DELETE, "/v1/etl"),
    { M_GET, "/v1/download", h_proxy_downloads, R_PUB }, { M_GET, "/v1/sort", h_proxy_dsorts, R_PUB },
    LATER(M_POST, "/v1/download"), LATER(M_DELETE, "/v1/download"),
    LATER(M_POST, "/v1/sort"), LATER(M_DELETE, "/v1/sort"),
    LATER(M_GET, "/v1/ml"), LATER(M_POST, "/v1/tokens"), LATER(M_DELETE, "/v1/tokens"),
    LATER(M_GET, "/s3"), LATER(M_HEAD, "/s3"), LATER(M_PUT, "/s3"), LATER(M_POST, "/s3"), LATER(M_DELETE, "/s3"),
};
/* clang-format on */

static int
proxy_start(struct node *n, struct err *e)
{
    struct proxy *p = xcalloc(1, sizeof(*p));

    UNUSED(e);
    p->n = n;
    MUST(pthread_mutex_init(&p->mtx, NULL));
    p->ic = ic_new(n);
    p->reb = reb_done_new();
    n->priv = p;
    n->can_rebalance = true;
    return fiber_spawn(run_loop(n->run, 0), "life", life_tick, n);
}

static void
proxy_stop(struct node *n)
{
    struct proxy *p = proxy_of(n);

    n->priv = NULL;
    summaries_free(p);
    ic_free(p->ic);
    reb_done_free(p->reb);
    pthread_mutex_destroy(&p->mtx);
    free(p);
}

static int
proxy_on_smap(struct node *n, struct smap *old, struct smap *nw, struct err *e)
{
    UNUSED(e);
    ic_on_smap(n, old, nw);
    return 0;
}

const struct node_role proxy_role = {
    .role = ROLE_PROXY,
    .routes = routes,
    .nroutes = ARRAY_SIZE(routes),
    .hooks = { .on_smap = proxy_on_smap },
    .start = proxy_start,
    .stop = proxy_stop,
};
