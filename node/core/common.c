/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every node answers: health, its own state, settings of its own, metrics.
 *
 * Runs on: the request's fiber. Wire: native-api.md 5.2, 5.3, 5.6; golden/wire/state-*.
 */
#include <jansson.h>
#include <stdlib.h>

#include "core/core_impl.h"
#include "core/rmd.h"
#include "core/version.h"

#include "codec/jw.h"
#include "net/tls.h"
#include "run/offload.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"

#define ANSWER_MAX (256u << 20)

/* --- pieces of answers --- */
struct sys_job {
    struct node *n;
    struct sbuf  b;
    bool         only_mem; /* MemCPU alone, as in node_status */
};

static void
sys_run(void *arg)
{
    struct sys_job *j = arg;
    struct jw       w;

    jw_init(&w, &j->b, 0);
    jw_obj(&w);
    sysinfo_json_members(j->n, &w);
    if (!j->only_mem && j->n->impl->sysinfo_json != NULL)
        j->n->impl->sysinfo_json(j->n, &w);
    jw_obj_end(&w);
}

static void
sysinfo_json(struct node *n, struct jw *w, bool only_mem)
{
    struct sys_job j = { .n = n, .only_mem = only_mem };

    sbuf_init(&j.b, 64 * KIB);
    offload(sys_run, &j);
    jw_raw(w, sbuf_ok(&j.b) ? sbuf_str(&j.b) : STR_LIT("{}"));
    sbuf_fini(&j.b);
}

static void
no_capacity_json(struct jw *w)
{
    jw_obj(w);
    jw_key(w, "mountpaths");
    jw_null(w);
    jw_kstrz(w, "cs_err", "");
    jw_ku64s(w, "total_used", 0);
    jw_ku64s(w, "total_avail", 0);
    jw_ki64(w, "pct_max", 0);
    jw_ki64(w, "pct_avg", 0);
    jw_ki64(w, "pct_min", 0);
    jw_obj_end(w);
}

static void
stats_members(struct node *n, struct jw *w)
{
    jw_key(w, "snode");
    snode_json(&n->self, w);
    jw_key(w, "tracker");
    stats_tracker_json(n, w);
    jw_key(w, "capacity");
    if (n->impl->capacity_json != NULL)
        n->impl->capacity_json(n, w);
    else
        no_capacity_json(w);
}

static const char *
lifecycle_status(const struct smap *m, const char *id)
{
    const struct snode *s = smap_find(m, str_z(id));

    if (s == NULL)
        return "";
    return s->flags & SNODE_DECOMM ? "decommission" : s->flags & SNODE_MAINT ? "maintenance" : "";
}

/* --- GET /v1/daemon?what= --- */
static void
what_smap(struct req *r, struct jw *w)
{
    smap_json(req_views(r)->smap, w);
}

static void
what_bmd(struct req *r, struct jw *w)
{
    bmd_json(req_views(r)->bmd, w);
}

/* Ours: the last rebalance, and the maps that are not settled. */
static void
what_rmd(struct req *r, struct jw *w)
{
    rmd_json(req_views(r)->rmd, w);
}

static void
what_config(struct req *r, struct jw *w)
{
    jw_obj(w);
    local_conf_json_members(&req_node(r)->local, w);
    conf_json_members(req_views(r)->conf, w);
    jw_obj_end(w);
}

static void
what_snode(struct req *r, struct jw *w)
{
    snode_json(&req_node(r)->self, w);
}

static void
what_node_stats(struct req *r, struct jw *w)
{
    jw_obj(w);
    stats_members(req_node(r), w);
    jw_obj_end(w);
}

static void
what_node_status(struct req *r, struct jw *w)
{
    struct node *n = req_node(r);
    const char  *pod = getenv("MY_POD");

    jw_obj(w);
    jw_kstrz(w, "status", lifecycle_status(req_views(r)->smap, n->id));
    jw_kstrz(w, "deployment", n->deployment);
    jw_kstrz(w, "ais_version", ais_version());
    jw_kstrz(w, "build_time", ais_build_time());
    jw_kstrz(w, "k8s_pod_name", pod != NULL ? pod : "");
    stats_members(n, w);
    jw_key(w, "cluster");
    node_info_json(n, w);
    jw_key(w, "sys_info");
    sysinfo_json(n, w, true);
    jw_ku64s(w, "smap_version", req_views(r)->smap->version);
    jw_obj_end(w);
}

static void
what_sysinfo(struct req *r, struct jw *w)
{
    sysinfo_json(req_node(r), w, false);
}

static void
what_metrics(struct req *r, struct jw *w)
{
    stats_metrics_json(req_node(r), w);
}

/* This node's server of the metadata log (cons_status); ours. */
static void
what_raft(struct req *r, struct jw *w)
{
    struct cons *c = req_node(r)->cons;
    struct sbuf  b;

    sbuf_init(&b, 64 * KIB);
    if (c != NULL)
        cons_status(c, &b);
    else
        sbuf_putz(&b, "{\"role\":\"none\"}");
    jw_raw(w, sbuf_str(&b));
    sbuf_fini(&b);
}

static void
h_software_version(struct req *r)
{
    ais_send_text(r, str_z(ais_version()));
}

static void
h_smapvote(struct req *r)
{
    h_not_implemented(r, "what=smapvote");
}

static void
h_tls_certificate(struct req *r)
{
    struct node *n = req_node(r);
    struct sbuf  b;
    struct err   e;

    if (n->tls_srv == NULL) {
        err_set(&e, AIS_E_NOENT, "no TLS certificate loaders configured");
        e.tcode[0] = '\0';
        resp_err(r, -AIS_E_NOENT, &e);
        return;
    }
    sbuf_init(&b, 64 * KIB);
    if (tls_cert_json(n->tls_srv, &b) < 0)
        resp_err(r, -AIS_E_INTERNAL, NULL);
    else
        ais_send_json(r, &b);
    sbuf_fini(&b);
}

/* clang-format off */
static const struct {
    const char *what;
    void      (*json)(struct req *r, struct jw *w); /* the whole value, or: */
    handler_f  *handler;
    bool        member; /* only a node that has joined can tell */
} whats[] = {
    { "smap",             what_smap,        NULL,               true },
    { "bmd",              what_bmd,         NULL,               true },
    { "rmd",              what_rmd,         NULL,               true },
    { "config",           what_config,      NULL,               false },
    { "snode",            what_snode,       NULL,               false },
    { "smapvote",         NULL,             h_smapvote,         false },
    { "node_stats",       what_node_stats,  NULL,               false },
    { "node_status",      what_node_status, NULL,               false },
    { "sysinfo",          what_sysinfo,     NULL,               false },
    { "metrics",          what_metrics,     NULL,               false },
    { "raft",             what_raft,        NULL,               false },
    { "metadata",         NULL,             h_node_metadata,    true },
    { "log",              NULL,             h_node_log,         false },
    { "software_version", NULL,             h_software_version, false },
    { "tls_certificate",  NULL,             h_tls_certificate,  false },
};
/* clang-format on */

void
h_node_daemon_get(struct req *r)
{
    struct str  what = STR_LIT("");
    struct sbuf b;
    struct jw   w;
    struct err  e;
    size_t      i;

    (void)req_query(r, STR_LIT("what"), &what);
    for (i = 0; i < ARRAY_SIZE(whats) && !str_eqz(what, whats[i].what); i++)
        ;
    if (i == ARRAY_SIZE(whats)) {
        err_set(&e, AIS_E_BADREQ, "invalid '%.*s' request: unrecognized 'what=%.*s' query", STR_FMT(r->path), STR_FMT(what));
        resp_err(r, -AIS_E_BADREQ, &e);
        return;
    }
    if (whats[i].member && req_views(r)->smap->primary == NULL) {
        resp_empty(r, 503);
        return;
    }
    if (whats[i].handler != NULL) {
        whats[i].handler(r);
        return;
    }
    sbuf_init(&b, ANSWER_MAX);
    jw_init(&w, &b, 0);
    whats[i].json(r, &w);
    if (sbuf_ok(&b))
        ais_send_view(r, what, &b);
    else
        resp_err(r, -AIS_E_NOMEM, NULL);
    sbuf_fini(&b);
}

/* --- PUT /v1/daemon --- */
static bool
put_refused(struct req *r)
{
    struct node *n = req_node(r);
    struct err   e;

    if (n->role != ROLE_TARGET || !req_is_public(r))
        return false;
    err_set(&e, AIS_E_FORBIDDEN, "%s: %s %.*s is not allowed over the public network", n->name, method_name(r->method),
            STR_FMT(r->path));
    resp_err(r, -AIS_E_FORBIDDEN, &e);
    return true;
}

static void
done_or_err(struct req *r, int rc, struct err *e)
{
    if (rc < 0)
        resp_err(r, rc, e);
    else
        resp_empty(r, 200);
}

static int
act_set_config(struct req *r, const struct actmsg *m, struct err *e)
{
    bool for_all = auth_peer(r->conn) != NULL && req_query_bool(r, STR_LIT("cluster"));

    if (!json_is_object(m->value))
        return err_set(e, AIS_E_BADREQ, "set-config: no configuration given");
    return conf_local_set(req_node(r), m->value, req_query_bool(r, STR_LIT("transient")), !for_all, e);
}

static int
act_reset_config(struct req *r, const struct actmsg *m, struct err *e)
{
    (void)m;
    return conf_local_reset(req_node(r), e);
}

static void
rotate_run(void *arg)
{
    *(int *)arg = log_rotate();
}

static int
act_rotate_logs(struct req *r, const struct actmsg *m, struct err *e)
{
    int rc = 0;

    (void)r, (void)m;
    offload(rotate_run, &rc);
    return rc < 0 ? err_set(e, -rc, "cannot rotate logs: %s", err_text(rc)) : 0;
}

static int
act_reset_stats(struct req *r, const struct actmsg *m, struct err *e)
{
    if (m->value != NULL && !json_is_boolean(m->value))
        return err_set(e, AIS_E_BADREQ, "reset-stats: expecting true (errors only) or false");
    stats_reset(req_node(r)->stats, json_is_true(m->value));
    return 0;
}

/* clang-format off */
static const struct {
    const char *action;
    int       (*fn)(struct req *r, const struct actmsg *m, struct err *e);
} acts[] = {
    { "set-config",        act_set_config },
    { "reset-config",      act_reset_config },
    { "rotate-logs",       act_rotate_logs },
    { "reset-stats",       act_reset_stats },
    { "shutdown",          act_node_shutdown },
    { "shutdown-node",     act_node_shutdown },
    { "decommission",      act_node_decommission },
    { "decommission-node", act_node_decommission },
    { "start-maintenance", act_node_maintenance },
    { "rm-unsafe",         act_node_removed },
};
/* clang-format on */

void
h_node_daemon_put(struct req *r)
{
    struct actmsg m = { 0 };
    struct err    e;
    size_t        i;
    int           rc;

    if (put_refused(r))
        return;
    err_clear(&e);
    rc = actmsg_read(r, &m, &e);
    if (rc < 0) {
        resp_err(r, rc, &e);
        return;
    }
    for (i = 0; i < ARRAY_SIZE(acts) && !str_eqz(m.action, acts[i].action); i++)
        ;
    if (i < ARRAY_SIZE(acts))
        rc = acts[i].fn(r, &m, &e);
    else
        rc = err_set(&e, AIS_E_BADREQ, "invalid action \"%.*s\"", STR_FMT(m.action));
    done_or_err(r, rc, &e);
    actmsg_free(&m);
}

void
h_node_daemon_setconf(struct req *r)
{
    struct err e;
    json_t    *toset = NULL;
    bool       transient;
    int        rc;

    if (put_refused(r))
        return;
    err_clear(&e);
    rc = req_conf_toset(r, &toset, &transient, &e);
    if (rc == 0)
        rc = conf_local_set(req_node(r), toset, transient, true, &e);
    json_decref(toset);
    done_or_err(r, rc, &e);
}

/* --- GET /v1/health --- */
static void
health_ok(struct req *r, bool uptimes, bool info)
{
    struct node *n = req_node(r);
    int64_t      now = clock_mono(), since = atomic_load(&n->cluster_mono);
    struct sbuf  b;
    struct jw    w;

    if (uptimes) {
        resp_hdr_u64(r, "Ais-Cluster-Uptime", since == 0 ? 0 : (uint64_t)(now - since));
        resp_hdr_u64(r, "Ais-Node-Uptime", (uint64_t)(now - n->started_mono));
    }
    if (!info) {
        resp_empty(r, 200);
        return;
    }
    sbuf_init(&b, 64 * KIB);
    jw_init(&w, &b, 0);
    node_info_json(n, &w);
    ais_send_json(r, &b);
    sbuf_fini(&b);
}

static bool
node_ready(struct node *n, const struct smap *m)
{
    unsigned            flags = atomic_load(&n->flags);
    const struct snode *s = smap_find(m, str_z(n->id));

    if (!(flags & NODE_NODE_STARTED) || (s != NULL && !snode_active(s)))
        return false;
    return (flags & NODE_CLUSTER_STARTED) != 0 || node_is_primary(n, m);
}

static void
health_primary_ready(struct req *r)
{
    struct node *n = req_node(r);

    if (relay_to_primary(r))
        return;
    if (atomic_load(&n->flags) & NODE_CLUSTER_STARTED)
        health_ok(r, true, false);
    else
        resp_empty(r, 503);
}

void
h_node_health(struct req *r)
{
    struct node *n = req_node(r);
    const struct smap *m = req_views(r)->smap;
    bool proxy = n->role == ROLE_PROXY, pub = req_is_public(r);
    bool cii = req_query_bool(r, STR_LIT("cii")), apr = req_query_bool(r, STR_LIT("apr"));
    bool prr = req_query_bool(r, STR_LIT("prr")), cii_apr = req_query_bool(r, STR_LIT("cii-apr"));
    struct err e;

    if ((cii_apr && (cii || apr)) || (prr && (cii || cii_apr || !proxy))) {
        err_set(&e, AIS_E_BADREQ, "invalid health query \"%.*s\"", STR_FMT(r->query_raw));
        resp_err(r, -AIS_E_BADREQ, &e);
        return;
    }
    if (prr) {
        health_primary_ready(r);
        return;
    }
    if ((cii_apr || (apr && !pub)) && !node_is_primary(n, m)) {
        err_set(&e, AIS_E_BADREQ, "%s is not primary", n->name);
        resp_err(r, -AIS_E_BADREQ, &e);
        return;
    }
    if (cii || cii_apr) {
        health_ok(r, true, true);
        return;
    }
    if (req_query_bool(r, STR_LIT("readiness")) ? !node_ready(n, m) : !(atomic_load(&n->flags) & NODE_NODE_STARTED)) {
        resp_empty(r, 503);
        return;
    }
    health_ok(r, proxy || !pub, false);
}

/* --- /metrics, /debug/fibers --- */
void
h_node_metrics(struct req *r)
{
    struct sbuf b;

    sbuf_init(&b, 16 * MIB);
    stats_prometheus(req_node(r), &b);
    if (sbuf_ok(&b))
        resp_send(r, 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", sbuf_str(&b));
    else
        resp_err(r, -AIS_E_NOMEM, NULL);
    sbuf_fini(&b);
}

struct dump_job {
    struct run *run;
    struct sbuf b;
};

static void
dump_run(void *arg)
{
    struct dump_job *j = arg;

    run_dump_fibers(j->run, &j->b);
}

void
h_node_fibers(struct req *r)
{
    struct dump_job j = { .run = req_node(r)->run };
    struct err      e;

    if (!req_is_loopback(r)) {
        err_set(&e, AIS_E_FORBIDDEN, "from this machine only");
        resp_err(r, -AIS_E_FORBIDDEN, &e);
        return;
    }
    sbuf_init(&j.b, 16 * MIB);
    offload(dump_run, &j);
    resp_send(r, 200, "text/plain; charset=utf-8", sbuf_str(&j.b));
    sbuf_fini(&j.b);
}

/* PUT /debug/failpoints, body as in failpoint.h: for tests, in builds that have them, from this machine. */
void
h_node_failpoints(struct req *r)
{
    struct err e;
    int        rc = 0;

    if (!failpoint_compiled_in())
        return h_not_implemented(r, "fail points: not compiled in");
    if (!req_is_loopback(r))
        rc = err_set(&e, AIS_E_FORBIDDEN, "from this machine only");
    else if (failpoint_arm(r->body) < 0)
        rc = err_set(&e, AIS_E_BADREQ, "malformed list of fail points");
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        resp_empty(r, 200);
}

void
h_node_not_found(struct req *r)
{
    struct err e;

    err_set(&e, AIS_E_BADREQ, "invalid request URI: '%s %.*s' from %.*s", method_name(r->method), STR_FMT(r->path),
            STR_FMT(req_remote(r)));
    resp_err(r, -AIS_E_BADREQ, &e);
}

/* clang-format off */
#define R_ALL (R_PUB | R_CONTROL)
const struct route node_common_routes[] = {
    /* method   path                        handler                 flags */
    { M_GET,    "/v1/health",               h_node_health,          R_ALL | R_EARLY | R_NOFENCE },
    { M_HEAD,   "/v1/health",               h_node_health,          R_ALL | R_EARLY | R_NOFENCE },
    { M_GET,    "/v1/daemon",               h_node_daemon_get,      R_ALL | R_EARLY | R_NOFENCE },
    { M_PUT,    "/v1/daemon/set-config",    h_node_daemon_setconf,  R_ALL | R_INTRA },
    { M_PUT,    "/v1/daemon",               h_node_daemon_put,      R_ALL | R_INTRA },
    { M_PUT,    "/v1/daemon/recover",       h_node_recover,         R_PUB | R_EARLY | R_NOFENCE },
    { M_POST,   "/v1/daemon/join-by-admin", h_node_join,            R_CONTROL | R_INTRA | R_EARLY | R_NOFENCE },
    { M_GET,    "/metrics",                 h_node_metrics,         R_PUB | R_EARLY },
    { M_GET,    "/debug/fibers",            h_node_fibers,          R_PUB | R_EARLY },
    { M_PUT,    "/debug/failpoints",        h_node_failpoints,      R_PUB | R_EARLY },
    { M_POST,   "/v1/auth/hello",           h_auth_hello,           R_CONTROL | R_DATA | R_EARLY | R_NOFENCE | R_STREAM },
    { M_POST,   "/v1/auth/prove",           h_auth_prove,           R_CONTROL | R_DATA | R_EARLY | R_NOFENCE | R_STREAM },
    { M_GET,    "/v1/stream/:name",         h_node_stream,          R_DATA | R_INTRA },
    { M_POST,   "/v1/raft",                 h_node_raft,            R_CONTROL | R_INTRA | R_EARLY | R_NOFENCE },
    { M_PUT,    "/v1/metasync",             h_node_metasync,        R_CONTROL | R_INTRA | R_EARLY },
    { M_POST,   "/v1/cluster/autoreg",      h_node_autoreg,         R_CONTROL | R_INTRA | R_EARLY | R_NOFENCE },
    { M_POST,   "/v1/cluster/keepalive",    h_node_keepalive,       R_CONTROL | R_INTRA | R_EARLY | R_NOFENCE },
};
/* clang-format on */
const unsigned node_common_nroutes = ARRAY_SIZE(node_common_routes);
