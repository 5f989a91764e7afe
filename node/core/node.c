/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a node: from its files to serving, and back.
 *
 * Order of bring-up: configuration and identity, loops, what was known when it last ran, the role's own (disks), metadata (the primary
 * opens its log), listeners, then membership in the background. Tear-down is the reverse.
 *
 * Runs on: the starting thread; blocks. The hooks of the listeners run on requests' fibers.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/core_impl.h"
#include "core/version.h"

#include "codec/jw.h"
#include "net/tls.h"
#include "run/disk.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/units.h"
#include "base/util.h"

const char NET_PUBLIC[] = "public", NET_CONTROL[] = "control", NET_DATA[] = "data";

#define DRAIN_LIMIT   SEC_NS(10)
#define CANCEL_LIMIT  SEC_NS(5)
#define START_PATIENCE MSEC_NS(500)
#define CONTROL_BODY  (128u << 20) /* a whole BMD */
#define PUBLIC_BODY   (16u << 20)
#define CONFIG_MAX    (1u << 20)

/* --- requests --- */
bool
req_is_public(const struct req *r)
{
    return conn_conf(r->conn)->name == NET_PUBLIC;
}

/* A path that nobody serves is refused as such, whatever the state. */
static unsigned
route_flags(const struct req *r)
{
    return r->route != NULL ? r->route->flags : R_EARLY | R_NOFENCE;
}

/* On the control and data networks: who is it, and does it know the present term? */
static int
admit_intra(struct req *r, struct caller *c, struct err *e)
{
    struct node      *n = r->ctx;
    const char       *peer = auth_peer(r->conn);
    struct str        claim = req_hdr(r, STR_LIT("Ais-Caller-Id")), fence = req_hdr(r, STR_LIT("Ais-Fence"));
    struct cons_fence f;

    if (auth_keyless(n->auth) && !req_is_loopback(r))
        return err_set(e, AIS_E_FORBIDDEN, "%s has no cluster key and talks to its own machine only", n->name);
    if (claim.n > 0 && (peer == NULL || !str_eqz(claim, peer)))
        return err_set(e, AIS_E_FORBIDDEN, "%s: caller \"%.*s\" has not authenticated", n->name, STR_FMT(claim));
    if ((route_flags(r) & R_INTRA) && peer == NULL)
        return err_set(e, AIS_E_FORBIDDEN, "%s: %s %.*s is for nodes of this cluster", n->name, method_name(r->method),
                       STR_FMT(r->path));
    if (peer == NULL)
        return 0;
    c->intra = true;
    str_copyz(str_z(peer), c->id, sizeof(c->id));
    if ((route_flags(r) & R_NOFENCE) || (fence.n == 0 && !(route_flags(r) & R_INTRA)))
        return 0;
    if (!fence_parse(fence, &f))
        return err_set(e, AIS_E_BADREQ, "%s: request of \"%s\" says no term (Ais-Fence)", n->name, peer);
    if (fence_check(n, f))
        return err_set(e, AIS_E_CONFLICT, "%s: request of \"%s\" is from an older term (%u.%llu)", n->name, peer, f.epoch,
                       (unsigned long long)f.term);
    return 0;
}

/* Others may have the map that has this node in it a moment sooner than this node has. */
static bool
started(const struct node *n)
{
    int64_t until = 0;

    while (!(atomic_load_explicit(&n->flags, memory_order_relaxed) & NODE_NODE_STARTED)) {
        until = until == 0 ? clock_mono() + START_PATIENCE : until;
        if (clock_mono() >= until || fiber_sleep(MSEC_NS(5)) < 0)
            return false;
    }
    return true;
}

static int
node_admit(struct req *r, struct err *e)
{
    struct node   *n = r->ctx;
    struct caller *c = arena_zalloc(r->arena, sizeof(*c));
    int            rc = 0;

    if (c == NULL)
        return -AIS_E_NOMEM;
    if (!(route_flags(r) & R_EARLY) && !started(n))
        rc = err_set(e, AIS_E_UNAVAIL, "%s is starting up, please try again", n->name);
    r->user = c;
    views_get(n, &c->v);
    if (rc < 0)
        return rc;
    if (!req_is_public(r)) {
        rc = admit_intra(r, c, e);
        if (rc < 0)
            return rc;
    } else if (req_hdr(r, STR_LIT("Ais-Caller-Id")).n > 0) {
        return err_set(e, AIS_E_FORBIDDEN, "%s: intra-cluster request over the public network", n->name);
    }
    return 0;
}

static void
node_done(struct req *r)
{
    struct caller *c = r->user;

    if (c != NULL) {
        views_put(&c->v);
        r->user = NULL;
    }
}

/* --- listeners --- */
/* The rows of the role and the common ones that exist on a network. Appended to *out. */
static const struct route *
routes_for(struct route *out, const struct node *n, unsigned nets, unsigned *count)
{
    const struct route *tab[2] = { n->impl->routes, node_common_routes };
    unsigned            len[2] = { n->impl->nroutes, node_common_nroutes }, i, j, k = 0;

    for (i = 0; i < 2; i++) {
        for (j = 0; j < len[i]; j++) {
            if (tab[i][j].flags & nets)
                out[k++] = tab[i][j];
        }
    }
    *count = k;
    return out;
}

/* AIS_READ_HEADER_TIMEOUT is AIStore's; the others are its kin. Durations; unset or wrong: what http_conf says. */
static void
timeouts_from_env(struct http_conf *c)
{
    const struct {
        const char *env;
        int64_t    *ns;
    } rows[] = { { "AIS_READ_HEADER_TIMEOUT", &c->head_ns }, { "AIS_BODY_STALL_TIMEOUT", &c->stall_ns }, { "AIS_IDLE_TIMEOUT", &c->idle_ns } };
    int64_t ns;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *z = getenv(rows[i].env);

        if (z == NULL)
            continue;
        if (dur_parse(str_z(z), &ns) && ns > 0)
            *rows[i].ns = ns;
        else
            log_warn("not a duration", { "env", LZ(rows[i].env) }, { "value", LZ(z) });
    }
}

static int
listen_on(struct node *n, const char *name, const char *addr, uint16_t port, unsigned nets, struct route *space,
          struct http_server **out, struct err *e)
{
    struct http_conf c = { .name = name, .ctx = n, .admit = node_admit, .done = node_done, .render_err = ais_render_err,
                           .not_found = h_node_not_found, .conn_closed = auth_conn_closed };
    int              rc;

    c.routes = routes_for(space, n, nets, &c.nroutes);
    c.tls = name == NET_PUBLIC ? n->tls_pub : n->tls_srv;
    c.max_body = name == NET_PUBLIC ? PUBLIC_BODY : CONTROL_BODY;
    timeouts_from_env(&c);
    rc = http_listen(n->run, addr, port, &c, out, e);
    if (rc < 0)
        return err_wrap(e, "%s network, %s:%u", name, addr, port);
    log_info("listening", { "network", LZ(name) }, { "addr", LZ(addr) }, { "port", LU64(port) });
    return 0;
}

static int
listeners_open(struct node *n, struct err *e)
{
    unsigned max = n->impl->nroutes + node_common_nroutes;
    char     pub[64], control[64], data[64];
    bool     one = n->self.control.port == n->self.data.port;
    int      rc;

    nodecfg_bind(n, pub, control, data);
    n->routes = xcalloc(3 * (size_t)max, sizeof(*n->routes));
    rc = listen_on(n, NET_CONTROL, control, n->self.control.port, one ? R_CONTROL | R_DATA : R_CONTROL, n->routes + max,
                   &n->srv_control, e);
    if (rc == 0 && !one)
        rc = listen_on(n, NET_DATA, data, n->self.data.port, R_DATA, n->routes + 2 * (size_t)max, &n->srv_data, e);
    if (rc == 0)
        rc = listen_on(n, NET_PUBLIC, pub, n->self.pub.port, R_PUB, n->routes, &n->srv_pub, e);
    return rc;
}

/* --- configuration --- */
static int
conf_from_file(const char *path, struct cluster_conf *c, struct err *e)
{
    auto_free char *text = NULL;
    json_t         *j = NULL;
    size_t          len = 0;
    int             rc = disk_read_file(path, CONFIG_MAX, &text, &len);

    if (rc < 0)
        return err_set(e, -rc, "%s: %s", path, err_text(rc));
    rc = json_read(str_from(text, len), &j, e);
    if (rc == 0)
        rc = conf_merge_json(c, j, true, e);
    json_decref(j);
    return rc < 0 ? err_wrap(e, "%s", path) : 0;
}

/* Local configuration, directories, then the cluster's: what was stored wins over the file, which is for the first start. */
static int
config_load(struct node *n, const struct node_opts *o, struct mset **out, unsigned *have, struct err *e)
{
    struct mset *m;
    int          rc;

    if (o->config == NULL || o->local_config == NULL)
        return err_set(e, AIS_E_INVAL, "-config and -local_config are required");
    rc = local_conf_load(o->local_config, &n->local, e);
    if (rc < 0)
        return rc;
    n->testing = n->local.test_fspaths.count > 0;
    n->deployment = getenv("MY_NODE") != NULL ? "K8s" : n->testing ? "dev" : "linux";
    rc = mkdir_all(n->local.confdir);
    if (rc == 0 && n->local.log_dir[0] != '\0')
        rc = mkdir_all(n->local.log_dir);
    if (rc < 0)
        return err_set(e, -rc, "%s, %s: %s", n->local.confdir, n->local.log_dir, err_text(rc));
    m = mset_new(conf_default());
    rc = mset_load(m, n->local.confdir, have, e);
    if (rc == 0 && m->smap->level > node_level(o))
        rc = err_set(e, AIS_E_CONFLICT, "this version is of feature level %u, and the cluster that this node belongs to is at level %u already: "
                     "it needs a newer version", node_level(o), m->smap->level);
    if (rc == 0 && !(*have & 1u << MI_CONF))
        rc = conf_from_file(o->config, m->conf, e);
    if (rc < 0) {
        mset_put(m);
        return rc;
    }
    *out = m;
    return 0;
}

static void
logging_start(struct node *n, const struct cluster_conf *c)
{
    struct log_conf lc = { .dir = n->local.log_dir[0] != '\0' ? n->local.log_dir : NULL,
                           .name = n->role == ROLE_PROXY ? "aisproxy" : "aistarget",
                           .to_stderr = c->log.to_stderr || n->local.log_dir[0] == '\0',
                           .max_size = c->log.max_size, .max_total = c->log.max_total };
    int rc = log_open(&lc);

    if (rc < 0)
        log_error("log files cannot be opened, logging to standard error", { "dir", LZ(n->local.log_dir) },
                  { "error", LZ(err_text(rc)) });
}

/* No file: this node has never seen a term. One that cannot be read is not the same: to go on would be to forget. */
static int
fence_load(struct node *n, struct cons_fence *f, struct err *e)
{
    auto_free char *path = xasprintf("%s/.ais.fence", nodecfg_confdir(n)), *text = NULL;
    size_t          len = 0;
    int             rc = disk_read_file(path, 256, &text, &len);

    *f = (struct cons_fence){ 0, 0 };
    if (rc == -AIS_E_NOENT)
        return 0;
    if (rc < 0)
        return err_set(e, -rc, "%s: %s", path, err_text(rc));
    if (len > 0 && text[len - 1] == '\n')
        len--;
    if (!fence_parse(str_from(text, len), f))
        return err_set(e, AIS_E_CORRUPT, "%s: not \"epoch.term\"", path);
    return 0;
}

/* --- TLS --- */
static const char *
nz(const char *s)
{
    return s != NULL && s[0] != '\0' ? s : NULL;
}

/* net.http.pub: another certificate for the public network. */
static int
tls_pub_open(struct node *n, const struct cluster_conf *c, struct err *e)
{
    json_t         *j = NULL;
    struct tls_conf t = { 0 };
    int64_t         auth = 0;
    int             rc;

    n->tls_pub = n->tls_srv;
    if (c->net.pub[0] == '\0')
        return 0;
    rc = json_read(str_z(c->net.pub), &j, e);
    if (rc < 0)
        return rc;
    t.cert = nz(json_string_value(json_object_get(j, "server_crt")));
    t.key = nz(json_string_value(json_object_get(j, "server_key")));
    t.ca = nz(json_string_value(json_object_get(j, "client_ca_tls")));
    if (json_i64(json_object_get(j, "client_auth_tls"), &auth))
        t.client_auth = (enum tls_client_auth)auth;
    rc = t.cert != NULL ? tls_server_new(&t, &n->tls_pub, e) : 0;
    json_decref(j);
    return rc;
}

static int
tls_open(struct node *n, const struct cluster_conf *c, struct err *e)
{
    struct tls_conf srv = { .cert = nz(c->net.server_crt), .key = nz(c->net.server_key), .ca = nz(c->net.client_ca_tls),
                            .client_auth = (enum tls_client_auth)c->net.client_auth_tls };
    struct tls_conf cli = { .cert = srv.cert, .key = srv.key, .ca = srv.ca, .skip_verify = c->net.skip_verify };
    int             rc;

    if (!c->net.use_https)
        return 0;
    rc = tls_server_new(&srv, &n->tls_srv, e);
    if (rc == 0)
        rc = tls_client_new(&cli, &n->tls_cli, e);
    return rc == 0 ? tls_pub_open(n, c, e) : rc;
}

/* --- bring-up --- */
static int
clients_open(struct node *n, struct err *e)
{
    struct hclient_conf c = { .tls = n->tls_cli, .user_agent = "Ais-Node", .on_connect = auth_connect, .ctx = n->auth };
    int                 rc = hclient_new(n->run, &c, &n->hc);

    c.on_connect = NULL;
    if (rc == 0)
        rc = hclient_new(n->run, &c, &n->hc_plain);
    return rc < 0 ? err_set(e, -rc, "HTTP client: %s", err_text(rc)) : 0;
}

/* Everything a request or a fiber may touch, before the loops turn. */
static int
engine_new(struct node *n, const struct node_opts *o, struct mset *stored, struct err *e)
{
    struct run_conf   rc_conf = { .nloops = o->nloops, .tag = n->name };
    struct cons_fence fence;
    int               rc = run_new(&rc_conf, &n->run);

    if (rc == 0)
        rc = stats_new(n->run, &n->stats);
    if (rc < 0)
        return err_set(e, -rc, "cannot start the runtime: %s", err_text(rc));
    rc = fence_load(n, &fence, e);
    if (rc < 0)
        return rc;
    member_new(n, o, mset_ref(stored), fence);
    strms_init(n);
    conf_local_load(n);
    if (nz(o->config_custom) != NULL)
        rc = conf_local_custom(n, stored->conf, o->config_custom, o->transient, e);
    if (rc < 0)
        return rc;
    views_init(n, stored, conf_effective(n, stored));
    rc = nodecfg_net(n, o, e);
    if (rc == 0)
        rc = tls_open(n, stored->conf, e);
    return rc == 0 ? clients_open(n, e) : rc;
}

struct first_job {
    struct mset *m;
    struct err  *e;
    int          rc;
};

static void
first_run(struct node *n, void *arg)
{
    struct first_job *j = arg;

    struct member *m = n->member;

    MUST(fmutex_lock(&m->lead_mtx, NO_DEADLINE));
    if (!m->adopted) /* a voter may have been elected meanwhile */
        j->rc = adopt_first(n, j->m, j->e);
    m->adopted = j->rc == 0;
    fmutex_unlock(&m->lead_mtx);
}

static int
serve(struct node *n, struct mset *stored, unsigned have, struct err *e)
{
    struct first_job first = { .m = stored, .e = e };
    int              rc;

    member_start(n);
    rc = n->impl->start != NULL ? n->impl->start(n, e) : 0;
    if (rc < 0)
        return rc;
    rc = primary_start(n, stored, have, e);
    if (rc == 0 && !node_leads(n)) {
        fiber_call(n, "first metadata", first_run, &first);
        rc = first.rc;
    }
    if (rc == 0)
        rc = listeners_open(n, e);
    if (rc < 0)
        return rc;
    if (n->role == ROLE_PROXY) {
        member_fiber(n, "peers", peers_tick);
        member_fiber(n, "judge", peers_judge);
    }
    member_fiber(n, "member", join_loop);
    log_info("node started", { "version", LZ(ais_version()) }, { "role", LZ(n->role == ROLE_PROXY ? "proxy" : "target") },
             { "primary", LBOOL(node_leads(n)) }, { "url", LZ(n->self.pub.url) },
             { "disk", LZ(run_disk_kind(n->run) == DISK_URING ? "uring" : "threads") },
             { "ms", LI64((clock_mono() - n->started_mono) / NSEC_PER_MSEC) });
    return 0;
}

int
node_start(const struct node_opts *o, struct node **out, struct err *e)
{
    struct node *n = xcalloc(1, sizeof(*n));
    struct mset *stored = NULL;
    unsigned     have = 0;
    int          rc;

    ASSERT_MAY_BLOCK();
    n->impl = o->impl;
    n->role = o->impl->role;
    n->start_with_lost_mpath = o->start_with_lost_mountpath;
    n->ask_end = o->ask_end;
    n->started_mono = clock_mono();
    n->started_real = clock_real();
    rc = config_load(n, o, &stored, &have, e);
    if (rc == 0) {
        logging_start(n, stored->conf);
        rc = nodecfg_fspaths(n, e);
    }
    if (rc == 0)
        rc = nodecfg_id(n, o, e);
    if (rc == 0) {
        snprintf(n->name, sizeof(n->name), "%c[%s]", n->role == ROLE_PROXY ? 'p' : 't', n->id);
        log_set_tag(n->name);
        rc = auth_new(nodecfg_confdir(n), n->id, &n->auth, e);
    }
    if (rc == 0)
        rc = engine_new(n, o, stored, e);
    if (rc == 0) {
        run_start(n->run);
        n->turning = true;
        rc = serve(n, stored, have, e);
    }
    mset_put(stored);
    if (rc < 0) {
        err_fill(e, rc);
        (void)node_stop(n);
        return rc;
    }
    *out = n;
    return 0;
}

/* --- tear-down --- */
static void
drain(struct node *n)
{
    struct http_server *srv[] = { n->srv_pub, n->srv_data, n->srv_control };
    int64_t             limit = clock_mono() + DRAIN_LIMIT;
    unsigned            left;
    size_t              i;

    for (i = 0; i < ARRAY_SIZE(srv); i++) {
        if (srv[i] != NULL)
            http_server_drain(srv[i]);
    }
    do {
        for (i = 0, left = 0; i < ARRAY_SIZE(srv); i++)
            left += srv[i] != NULL ? http_server_conns(srv[i]) : 0;
        if (left > 0)
            usleep(5000);
    } while (left > 0 && clock_mono() < limit);
    if (left > 0)
        log_warn("requests are cut off", { "connections", LU64(left) });
}

/* Requests first, then what they use. */
static bool
halt(struct node *n)
{
    log_info("stopping");
    primary_leave(n);
    drain(n);
    member_stop(n);
    if (!run_cancel(n->run, CANCEL_LIMIT)) {
        log_error("something does not end, leaving all as it is");
        return false;
    }
    if (n->impl->stop != NULL)
        n->impl->stop(n);
    run_stop(n->run, 0);
    return true;
}

bool
node_stop(struct node *n)
{
    if (n == NULL)
        return true;
    if (n->turning && !halt(n))
        return false;
    if (n->member != NULL)
        voter_close(n);
    http_server_free(n->srv_pub);
    http_server_free(n->srv_data);
    http_server_free(n->srv_control);
    hclient_free(n->hc);
    hclient_free(n->hc_plain);
    strms_fini(n);
    views_fini(n);
    member_free(n);
    stats_free(n->stats);
    auth_free(n->auth);
    if (n->tls_pub != n->tls_srv)
        tls_free(n->tls_pub);
    tls_free(n->tls_srv);
    tls_free(n->tls_cli);
    if (n->run != NULL)
        run_free(n->run);
    free(n->routes);
    free(n);
    return true;
}
