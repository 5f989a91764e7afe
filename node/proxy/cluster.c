/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /v1/cluster: what the whole cluster says of itself, and its configuration; /v1/reverse/daemon: any node through this one.
 *
 * Runs on: the request's fiber. Parks.
 * Wire:    native-api.md 1.7, 5.1, 5.3
 */
#include <jansson.h>

#include "base/util.h"
#include "codec/jw.h"
#include "core/meta.h"
#include "proxy/proxy_impl.h"

#define ANSWER_MAX (8u << 20)

static void
send_built(struct req *r, struct sbuf *out)
{
    ais_send_json(r, out);
    sbuf_fini(out);
}

/* --- GET what= --- */

static void
what_config(struct req *r)
{
    struct sbuf out;
    struct jw   w;

    sbuf_init(&out, 4 * MIB);
    jw_init(&w, &out, 0);
    conf_json_public(req_views(r)->conf, &w);
    send_built(r, &out);
}

static void
what_smap(struct req *r)
{
    struct sbuf out;
    struct jw   w;

    sbuf_init(&out, 64 * MIB);
    jw_init(&w, &out, 0);
    smap_json(req_views(r)->smap, &w);
    send_built(r, &out);
}

static void
what_bmd(struct req *r)
{
    struct sbuf out;
    struct jw   w;

    sbuf_init(&out, 256 * MIB);
    jw_init(&w, &out, 0);
    bmd_json(req_views(r)->bmd, &w);
    send_built(r, &out);
}

static void
what_snode(struct req *r)
{
    struct sbuf out;
    struct jw   w;

    sbuf_init(&out, 64 * KIB);
    jw_init(&w, &out, 0);
    snode_json(&req_node(r)->self, &w);
    send_built(r, &out);
}

static void
what_none(struct req *r, const char *json)
{
    struct sbuf out;

    sbuf_init(&out, 64 * KIB);
    sbuf_putz(&out, json);
    send_built(r, &out);
}

/* The clouds that the configuration names. */
static void
what_backends(struct req *r)
{
    struct sbuf out;
    struct jw   w;

    sbuf_init(&out, 64 * KIB);
    jw_init(&w, &out, 0);
    jw_arr(&w);
    for (unsigned p = 0; p < PROV_NPROVS; p++)
        if (p != PROV_AIS && conf_has_backend(req_views(r)->conf, (enum provider)p))
            jw_strz(&w, provider_name((enum provider)p));
    jw_arr_end(&w);
    send_built(r, &out);
}

static void
what_remote(struct req *r)
{
    what_none(r, "{\"a\":null,\"ver\":0}");
}

static void
what_smapvote(struct req *r)
{
    h_not_implemented(r, "what=smapvote");
}

static void
what_target_ips(struct req *r)
{
    const struct smap *m = req_views(r)->smap;
    struct sbuf        out;

    sbuf_init(&out, 1 * MIB);
    for (unsigned i = 0; i < m->nnodes; i++)
        if (m->nodes[i].role == ROLE_TARGET)
            sbuf_printf(&out, "%s%s,%s,%s", out.n > 0 ? "," : "", m->nodes[i].pub.host, m->nodes[i].control.host,
                        m->nodes[i].data.host);
    ais_send_text(r, sbuf_str(&out));
    sbuf_fini(&out);
}

/* What a node answered, without the newline at the end. */
static struct str
answer_of(const struct bcast *b)
{
    struct str body = b->resp.body;

    while (body.n > 0 && body.p[body.n - 1] == '\n')
        body.n--;
    return body;
}

/* key: {"ID": <what that node said>, ...} */
static void
put_answers(struct jw *w, const char *key, const struct bcast *b, unsigned n)
{
    jw_key(w, key);
    jw_obj(w);
    for (unsigned i = 0; i < n; i++) {
        if (b[i].rc < 0)
            continue;
        jw_key(w, b[i].to->id);
        jw_raw(w, answer_of(&b[i]));
    }
    jw_obj_end(w);
}

enum gather_proxies { GATHER_NONE, GATHER_SELF, GATHER_ALL };

struct gather {
    const char         *what, *targets_key;
    enum gather_proxies proxies; /* SELF: "proxy" is what this one says; ALL: a map, as the targets' */
};

/* The same question to this proxy or to all; one that does not answer is left out. */
static int
ask_proxies(struct req *r, const struct gather *g, struct str path, struct bcast **out, unsigned *n)
{
    const struct smap *m = req_views(r)->smap;
    struct bcast      *b = arena_zalloc(r->arena, (m->nnodes + 1) * sizeof(*b));

    *n = 0;
    *out = b;
    if (b == NULL)
        return -AIS_E_TOOBIG;
    for (unsigned i = 0; i < m->nnodes; i++) {
        bool self = strcmp(m->nodes[i].id, req_node(r)->id) == 0;

        if (m->nodes[i].role == ROLE_PROXY && (self || (g->proxies == GATHER_ALL && snode_active(&m->nodes[i]))))
            b[(*n)++].to = &m->nodes[i];
    }
    return *n == 0 ? 0
                   : node_bcast(req_node(r), b, *n, M_GET, path, STR_NULL, r->arena, ANSWER_MAX, req_views(r)->conf->client.timeout);
}

static void
gather(struct req *r, const struct gather *g)
{
    struct bcast *targets = NULL, *proxies = NULL;
    struct err    e = { .code = 0 };
    unsigned      nt = 0, np = 0;
    struct str    path = arena_printf(r->arena, "/v1/daemon?what=%s", g->what);
    struct sbuf   out;
    struct jw     w;
    int           rc = ask_targets(r, M_GET, path, STR_NULL, ANSWER_MAX, &targets, &nt, &e);

    if (rc == 0 && g->proxies != GATHER_NONE)
        rc = ask_proxies(r, g, path, &proxies, &np);
    if (rc == 0 && g->proxies == GATHER_SELF)
        rc = first_failure(proxies, np, &e);
    if (rc < 0) {
        resp_err(r, rc, &e);
        return;
    }
    sbuf_init(&out, 64 * MIB);
    jw_init(&w, &out, 0);
    jw_obj(&w);
    if (g->proxies == GATHER_SELF && np > 0) {
        jw_key(&w, "proxy");
        jw_raw(&w, answer_of(&proxies[0]));
    } else if (g->proxies == GATHER_ALL) {
        put_answers(&w, "proxy", proxies, np);
    }
    put_answers(&w, g->targets_key, targets, nt);
    jw_obj_end(&w);
    send_built(r, &out);
}

static void
what_node_stats(struct req *r)
{
    static const struct gather g = { "node_stats", "target", GATHER_SELF };

    gather(r, &g);
}

static void
what_sysinfo(struct req *r)
{
    static const struct gather g = { "sysinfo", "target", GATHER_ALL };

    gather(r, &g);
}

static void
what_mountpaths(struct req *r)
{
    static const struct gather g = { "mountpaths", "targets", GATHER_NONE };

    gather(r, &g);
}

void
h_proxy_cluster_get(struct req *r)
{
    static const struct {
        const char *what;
        void      (*fn)(struct req *r);
    } table[] = {
        { "cluster_config", what_config }, { "smap", what_smap },
        { "bmd", what_bmd },               { "snode", what_snode },
        { "backends", what_backends },     { "remote", what_remote },
        { "target_ips", what_target_ips }, { "node_stats", what_node_stats },
        { "sysinfo", what_sysinfo },       { "mountpaths", what_mountpaths },
        { "running_all", what_jobs_running }, { "status_all", what_job_status_all },
        { "status", what_job_status },     { "qryxstats", what_job_snaps },
        { "smapvote", what_smapvote },
    };
    struct str what = STR_LIT("");
    struct err e = { .code = 0 };

    (void)req_query(r, STR_LIT("what"), &what);
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (str_eqz(what, table[i].what)) {
            table[i].fn(r);
            return;
        }
    err_set(&e, AIS_E_BADREQ, "unexpected query [what=%.*s]", STR_FMT(what));
    resp_err(r, -AIS_E_BADREQ, &e);
}

/* --- PUT --- */

static void
finish(struct req *r, int rc, struct err *e)
{
    if (rc < 0)
        resp_err(r, rc, e);
    else
        resp_empty(r, 200);
}

static void
act_set_config(struct req *r, struct actmsg *m)
{
    struct err e = { .code = 0 };

    if (relay_to_primary(r))
        return;
    if (m->value == NULL)
        finish(r, err_set(&e, AIS_E_INVAL, "set-config: the values to set are missing"), &e);
    else
        finish(r, meta_conf_set(req_node(r), m->value, req_query_bool(r, STR_LIT("transient")), &e), &e);
}

static void
act_reset_config(struct req *r, struct actmsg *m)
{
    struct err e = { .code = 0 };

    UNUSED(m);
    if (!relay_to_primary(r))
        finish(r, meta_conf_reset(req_node(r), &e), &e);
}

/* The same action at every node. */
static void
act_everywhere(struct req *r, struct actmsg *m)
{
    const struct smap *map = req_views(r)->smap;
    struct bcast      *b = arena_zalloc(r->arena, (map->nnodes + 1) * sizeof(*b));
    struct err         e = { .code = 0 };
    int                rc;

    UNUSED(m);
    if (b == NULL) {
        resp_err(r, -AIS_E_TOOBIG, NULL);
        return;
    }
    for (unsigned i = 0; i < map->nnodes; i++)
        b[i].to = &map->nodes[i];
    rc = node_bcast(req_node(r), b, map->nnodes, M_PUT, STR_LIT("/v1/daemon"), r->body, r->arena, 64 * KIB,
                    req_views(r)->conf->client.timeout);
    if (rc == 0)
        rc = first_failure(b, map->nnodes, &e);
    finish(r, rc, &e);
}

void
h_proxy_cluster_put(struct req *r)
{
    static const struct action acts[] = {
        { "set-config", act_set_config, NULL },
        { "reset-config", act_reset_config, NULL },
        { "rotate-logs", act_everywhere, NULL },
        { "reset-stats", act_everywhere, NULL },
        { "clear-lcache", NULL, "clear-lcache" },
        { "reload-creds", NULL, "cloud backends" },
        { "start", act_job_start, NULL },
        { "stop", act_job_stop, NULL },
        { "shutdown", act_cluster_end, NULL },
        { "decommission", act_cluster_end, NULL },
        { "start-maintenance", act_leave, NULL },
        { "stop-maintenance", act_stop_maintenance, NULL },
        { "decommission-node", act_leave, NULL },
        { "shutdown-node", act_leave, NULL },
        { "rm-unsafe", act_rm_unsafe, NULL },
    };

    if (!still_starting(r, 0))
        act_dispatch(r, acts, ARRAY_SIZE(acts));
}

/* PUT /v1/cluster/set-config?k=v */
static void
verb_set_config(struct req *r)
{
    struct err     e = { .code = 0 };
    struct json_t *toset = NULL;
    bool           transient = false;
    int            rc;

    if (relay_to_primary(r))
        return;
    rc = req_conf_toset(r, &toset, &transient, &e);
    if (rc == 0) {
        rc = meta_conf_set(req_node(r), toset, transient, &e);
        json_decref(toset);
    }
    finish(r, rc, &e);
}

/* PUT /v1/cluster/proxy/ID: set-primary. There is nothing to be forced: whom a majority does not elect cannot be primary. */
static int
may_lead(struct req *r, struct str id, const struct snode *p, struct err *e)
{
    const char *self = req_node(r)->name;

    if (p == NULL)
        return err_set(e, AIS_E_NONODE, "%s: node %.*s is not present in the cluster map", self, STR_FMT(id));
    if (p->role != ROLE_PROXY)
        return err_set(e, AIS_E_BADREQ, "%s: node %.*s is not a proxy", self, STR_FMT(id));
    if ((p->flags & SNODE_NON_ELECTABLE) || !(snode_active(p) || (p->flags & SNODE_DEAD)))
        return err_set(e, AIS_E_BADREQ, "%s: %.*s is in maintenance or not electable: it cannot become primary", self, STR_FMT(id));
    if (p->flags & SNODE_DEAD)
        return err_set(e, AIS_E_UNAVAIL, "%s: %.*s does not answer: it cannot become primary", self, STR_FMT(id));
    return 0;
}

static void
verb_set_primary(struct req *r)
{
    const struct smap  *m = req_views(r)->smap;
    const struct snode *p = smap_find(m, r->item[1]);
    struct err          e = { .code = 0 };
    int                 rc;

    if (relay_to_primary(r))
        return;
    rc = may_lead(r, r->item[1], p, &e);
    if (rc == 0 && p != m->primary)
        rc = meta_set_primary(req_node(r), p->id, &e);
    finish(r, rc, &e);
}

struct verb {
    const char *name;
    bool        item;       /* /v1/cluster/VERB/ITEM */
    void      (*fn)(struct req *r);
    const char *feature;    /* or: 501 names it */
};

void
h_proxy_cluster_put_verb(struct req *r)
{
    static const struct verb verbs[] = {
        { "set-config", false, verb_set_config, NULL },
        { "proxy", true, verb_set_primary, NULL },
        { "attach", false, NULL, "attaching remote AIS clusters" },
        { "detach", false, NULL, "attaching remote AIS clusters" },
        { "enable-bend", true, NULL, "cloud backends" },
        { "disable-bend", true, NULL, "cloud backends" },
        { "load-x509", false, NULL, "reloading certificates" },
        { "load-x509", true, NULL, "reloading certificates" },
    };
    struct err e = { .code = 0 };

    if (still_starting(r, 0))
        return;
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        if (!str_eqz(r->item[0], verbs[i].name) || verbs[i].item != (r->nitems > 1))
            continue;
        if (verbs[i].fn != NULL)
            verbs[i].fn(r);
        else
            h_not_implemented(r, verbs[i].feature);
        return;
    }
    finish(r, err_set(&e, AIS_E_BADREQ, "invalid action \"%.*s\"", STR_FMT(r->item[0])), &e);
}

/* --- reverse --- */

void
h_proxy_reverse(struct req *r)
{
    struct str          id = req_hdr(r, STR_LIT("Ais-Node-Id"));
    const struct snode *to;
    struct err          e = { .code = 0 };
    struct str          rest = r->path_raw, target;
    ptrdiff_t           i;

    if (id.n == 0) {
        finish(r, err_set(&e, AIS_E_INVAL, "%s: missing \"Ais-Node-Id\" header", req_node(r)->name), &e);
        return;
    }
    to = smap_find(req_views(r)->smap, id);
    if (to == NULL) {
        finish(r, err_set(&e, AIS_E_NONODE, "%s: node %.*s does not exist", req_node(r)->name, STR_FMT(id)), &e);
        return;
    }
    i = str_find(rest, STR_LIT("/daemon"));
    if (i < 0) {
        finish(r, err_set(&e, AIS_E_INVAL, "invalid reverse-proxy request"), &e);
        return;
    }
    rest = str_from_off(rest, (size_t)i);
    target = arena_printf(r->arena, "/v1%.*s%s%.*s", STR_FMT(rest), r->query_raw.n > 0 ? "?" : "", STR_FMT(r->query_raw));
    relay_to_node(r, to, target);
}
