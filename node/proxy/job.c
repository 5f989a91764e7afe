/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs for clients: start, stop, status, snapshots.
 *
 * A start goes to all targets (or to the one that is meant) under one id, after the information centre was told of it (ic.h). Status is a
 * member's to answer: other proxies relay. Snapshots and names of what runs are asked of the targets.
 *
 * Runs on: the request's fiber. Parks.
 * Wire:    PUT /v1/cluster {"action":"start"|"stop"}, GET /v1/cluster?what=status|status_all|qryxstats|running_all
 *          (jobs-and-services.md 1.3, 1.4)
 */
#include <jansson.h>
#include <stdio.h>

#include "base/util.h"
#include "codec/jw.h"
#include "core/meta.h"
#include "core/rmd.h"
#include "proxy/ic.h"
#include "proxy/proxy_impl.h"

#define ANSWER_MAX (64u << 20)

/* --- asking targets --- */

struct ask {
    struct bcast *c;
    unsigned      n;
};

/* All active targets, or the one given. */
static int
choose(struct req *r, const struct snode *one, struct ask *a, struct err *e)
{
    const struct smap *m = req_views(r)->smap;

    a->c = arena_zalloc(r->arena, (m->nactive + 1) * sizeof(*a->c));
    if (a->c == NULL)
        return err_set(e, AIS_E_NOMEM, "out of memory");
    if (one != NULL) {
        a->c[a->n++].to = one;
        return 0;
    }
    while (a->n < m->nactive) {
        a->c[a->n].to = m->active[a->n];
        a->n++;
    }
    return 0;
}

static int
ask_send(struct req *r, struct ask *a, enum method m, const char *path, struct str body, int64_t timeout, struct err *e)
{
    int rc;

    if (a->n == 0)
        return 0;
    rc = node_bcast(req_node(r), a->c, a->n, m, str_z(path), body, r->arena, ANSWER_MAX, timeout);
    return rc < 0 ? err_fill(e, rc) : 0;
}

/* {"action","name","value": ArgsMsg} to those targets; the first error is the answer. */
static int
send_act(struct req *r, struct ask *a, const char *action, struct str name, const struct xmsg *m, struct err *e)
{
    struct sbuf body;
    struct jw   w;
    int         rc;

    sbuf_init(&body, 4 * MIB);
    jw_init(&w, &body, 0);
    jw_obj(&w);
    jw_kstrz(&w, "action", action);
    jw_kstr(&w, "name", name);
    jw_key(&w, "value");
    xmsg_args_json(m, &w);
    jw_obj_end(&w);
    rc = ask_send(r, a, M_PUT, "/v1/xactions", sbuf_str(&body), req_views(r)->conf->client.long_timeout, e);
    sbuf_fini(&body);
    return rc < 0 ? rc : first_failure(a->c, a->n, e);
}

/* --- start --- */

static struct str
uname_of(struct req *r, const struct bck *b)
{
    return arena_printf(r->arena, "%s/@%.*s#%.*s/%.*s", provider_name(b->provider), STR_FMT(b->ns_uuid), STR_FMT(b->ns_name),
                        STR_FMT(b->name));
}

/*
 * A rebalance is a change of metadata; the targets begin when they see it. Its cleanup mode (remove what is not where it belongs) is what
 * every rebalance of ours does: sources go when the destination has committed.
 */
static int
start_rebalance(struct req *r, const struct actmsg *a, const struct xmsg *m, struct err *e)
{
    struct str   bck = STR_NULL;
    uint64_t     reb = 0;
    struct sbuf  id;
    int          rc;

    if (m->has_bck && bmd_find(req_views(r)->bmd, &m->bck) == NULL)
        return err_nobck(e, &m->bck);
    if (!m->has_bck && a->name.n > 0)
        return err_set(e, AIS_E_BADREQ, "invalid limited-scope \"rebalance\": (n/a bucket, \"%.*s\" prefix)", STR_FMT(a->name));
    if (m->has_bck)
        bck = uname_of(r, &m->bck);
    rc = meta_reb_start(req_node(r), bck, a->name, &reb, e);
    if (rc < 0)
        return rc;
    sbuf_init(&id, XID_MAX);
    sbuf_printf(&id, "g%llu", (unsigned long long)reb);
    ais_send_text(r, sbuf_str(&id));
    sbuf_fini(&id);
    return 0;
}

static int
resilver_target(struct req *r, const struct xmsg *m, const struct snode **out, struct err *e)
{
    if (m->node.n == 0)
        return err_set(e, AIS_E_UNSUPP, "cannot run resilver on all targets in the cluster - operation not supported");
    *out = smap_find(req_views(r)->smap, m->node);
    if (*out != NULL && (*out)->role == ROLE_TARGET)
        return 0;
    return err_set(e, AIS_E_NONODE, "%s: cannot resilver: node %.*s does not exist", req_node(r)->name, STR_FMT(m->node));
}

/* The owner of the object that is to be downloaded. */
static int
blob_target(struct req *r, const struct actmsg *a, const struct xmsg *m, const struct snode **out, struct err *e)
{
    const struct bucket *k = m->has_bck ? bmd_find(req_views(r)->bmd, &m->bck) : NULL;

    if (!m->has_bck)
        return err_set(e, AIS_E_BADREQ, "xaction \"blob-download\" requires a bucket to start");
    if (k == NULL)
        return err_nobck(e, &m->bck);
    if (bck_is_local(&k->bck))
        return err_not_remote(e, "blob-download", &k->bck);
    *out = smap_hrw(req_views(r)->smap, bck_obj_digest(&k->bck, a->name));
    return *out != NULL ? 0 : err_set(e, AIS_E_UNAVAIL, "%s: no available targets", req_node(r)->name);
}

/*
 * What the targets say they run: the id that was given out, or, where such a job runs already, that one's. All of them are known here,
 * the first is the client's answer.
 */
static struct str
id_of(const struct ask *a, struct str id)
{
    struct str said;

    for (unsigned i = 0; i < a->n; i++) {
        said = a->c[i].resp.body;
        if (said.n > 0 && !str_eq(said, id) && xid_valid(said))
            return said;
    }
    return id;
}

static int
start_on_targets(struct req *r, const struct actmsg *a, struct xmsg *m, const struct snode *one, struct err *e)
{
    struct node         *n = req_node(r);
    struct ask           ask = { .n = 0 };
    const struct snode **to;
    struct str           said;
    char                 id[16];
    int                  rc = choose(r, one, &ask, e);

    if (rc == 0 && ask.n == 0) {
        (void)err_set(e, AIS_E_UNAVAIL, "%s: no available targets", n->name);
        return err_tcode(e, "ErrNoNodes");
    }
    if (rc < 0)
        return rc;
    uuid_gen(id);
    m->id = str_z(id);
    to = arena_alloc(r->arena, ask.n * sizeof(struct snode *));
    if (to == NULL)
        return err_set(e, AIS_E_NOMEM, "out of memory");
    for (unsigned i = 0; i < ask.n; i++)
        to[i] = ask.c[i].to;
    rc = ic_watch(n, id, m->kind, "", m->has_bck ? &m->bck : NULL, to, ask.n, e);
    if (rc == 0)
        rc = send_act(r, &ask, "start", a->name, m, e);
    if (rc < 0) {
        ic_stop_and_forget(n, id);
        return rc;
    }
    said = id_of(&ask, str_z(id));
    if (!str_eqz(said, id)) { /* one of the same runs already */
        ic_unwatch(n, id);
        (void)ic_watch(n, arena_strdup(r->arena, said), m->kind, "", m->has_bck ? &m->bck : NULL, to, ask.n, e);
    }
    ais_send_text(r, said);
    return 0;
}

static int
start(struct req *r, const struct actmsg *a, struct xmsg *m, struct err *e)
{
    const struct snode *one = NULL;
    int                 rc = 0;

    if (m->kind == X_ANY)
        return err_set(e, AIS_E_BADREQ, "unspecified (empty) xaction kind");
    if (m->kind == X_REBALANCE)
        return start_rebalance(r, a, m, e);
    if (m->kind == X_RESILVER)
        rc = resilver_target(r, m, &one, e);
    else if (m->kind == X_BLOB_DOWNLOAD)
        rc = blob_target(r, a, m, &one, e);
    return rc < 0 ? rc : start_on_targets(r, a, m, one, e);
}

/* A bucket may also be named by the query. */
static int
args_read(struct req *r, const struct actmsg *a, struct xmsg *m, struct err *e)
{
    int rc = xmsg_read(a->value, r->arena, m, e);

    if (rc == 0)
        m->force |= req_query_bool(r, STR_LIT("frc"));
    return rc;
}

void
act_job_start(struct req *r, struct actmsg *a)
{
    struct err  e = { .code = 0 };
    struct xmsg m;
    int         rc = args_read(r, a, &m, &e);

    if (rc == 0 && m.kind == X_REBALANCE && relay_to_primary(r))
        return;
    if (rc == 0)
        rc = start(r, a, &m, &e);
    if (rc < 0)
        resp_err(r, rc, &e);
}

/* --- stop --- */

/* While a target leaves, the rebalance that empties it must not be stopped by accident. */
static int
check_leaving(struct req *r, const struct xmsg *m, struct err *e)
{
    const struct smap *map = req_views(r)->smap;
    char               text[256];

    for (unsigned i = 0; i < map->nnodes && !m->force; i++) {
        const struct snode *t = &map->nodes[i];
        const char         *what = NULL;

        if (t->role != ROLE_TARGET)
            continue;
        if ((t->flags & SNODE_MAINT) && !(t->flags & SNODE_MAINT_POSTREB))
            what = "transitions to maintenance mode";
        else if (t->flags & SNODE_DECOMM)
            what = "is being decommissioned";
        if (what != NULL)
            return err_set(e, AIS_E_BADREQ, "cannot abort %s: cluster is currently rebalancing while %s %s",
                           xmsg_text(m, text, sizeof(text)), t->name, what);
    }
    return 0;
}

/* The metadata says that it is over; the targets stop when they see that, or when they are told. */
static int
stop_rebalance(struct req *r, const struct xmsg *m, struct err *e)
{
    const struct rmd *rmd = req_views(r)->rmd;
    uint64_t          reb = 0;
    int               rc = check_leaving(r, m, e);

    if (rc < 0 || rmd == NULL || rmd->state != RMD_RUNNING)
        return rc;
    if (m->id.n > 0 && (!xid_rebalance(m->id, &reb) || reb != rmd->reb_id))
        return 0; /* another one: over */
    return meta_reb_end(req_node(r), rmd->reb_id, true, e);
}

void
act_job_stop(struct req *r, struct actmsg *a)
{
    struct err  e = { .code = 0 };
    struct ask  ask = { .n = 0 };
    struct xmsg m;
    uint64_t    reb;
    char        text[256];
    int         rc = args_read(r, a, &m, &e);

    if (rc == 0 && m.id.n == 0 && m.kind == X_ANY)
        rc = err_set(&e, AIS_E_BADREQ, "cannot stop xaction given '%s' - expecting a valid kind and/or UUID",
                     xmsg_text(&m, text, sizeof(text)));
    if (rc == 0 && m.kind == X_ANY && xid_rebalance(m.id, &reb))
        m.kind = X_REBALANCE;
    if (rc == 0 && m.kind == X_REBALANCE) {
        if (relay_to_primary(r))
            return;
        rc = stop_rebalance(r, &m, &e);
    }
    if (rc == 0)
        rc = choose(r, NULL, &ask, &e);
    if (rc == 0)
        rc = send_act(r, &ask, "stop", STR_NULL, &m, &e);
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        resp_empty(r, 200);
}

/* --- queries --- */

static int
query_read(struct req *r, struct xmsg *m, json_t **root, struct err *e)
{
    int rc;

    *root = NULL;
    rc = r->body.n > 0 ? json_read(r->body, root, e) : 0;
    return rc < 0 ? rc : xmsg_read(*root, r->arena, m, e);
}

/* Has a member of the information centre answered for this proxy, which is none? Members are tried until one is up. */
static bool
member_answers(struct req *r)
{
    const struct smap *m = req_views(r)->smap;
    struct hc_resp     resp;
    struct err         e;
    struct str         target;
    int                rc = -AIS_E_UNAVAIL;

    if (ic_member(req_node(r), m))
        return false;
    target = arena_printf(r->arena, "%.*s?%.*s", STR_FMT(r->path_raw), STR_FMT(r->query_raw));
    err_set(&e, AIS_E_UNAVAIL, "%s: no member of the information centre answers", req_node(r)->name);
    for (unsigned i = 0; i < m->nnodes; i++) {
        if (m->nodes[i].role != ROLE_PROXY || !(m->nodes[i].flags & SNODE_IC) || !snode_active(&m->nodes[i]))
            continue;
        err_clear(&e);
        rc = node_call(req_node(r), &m->nodes[i], M_GET, target, r->body, r->arena, ANSWER_MAX,
                       req_views(r)->conf->client.timeout, &resp, &e);
        if (rc == 0 || (rc != -AIS_E_PEER && rc != -AIS_E_TIMEOUT && rc != -AIS_E_CLOSED))
            break;
    }
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        resp_send(r, 200, "text/plain; charset=utf-8", resp.body);
    return true;
}

/* AIStore's status answers are JSON that does not say so, without a newline. */
static void
send_status(struct req *r, int rc, struct sbuf *out, struct err *e)
{
    if (rc < 0)
        resp_err(r, rc, e);
    else
        ais_send_text(r, sbuf_str(out));
    sbuf_fini(out);
}

void
what_job_status(struct req *r)
{
    struct err  e = { .code = 0 };
    json_t     *root = NULL;
    struct xmsg m;
    struct sbuf out;
    struct jw   w;
    char        text[256];
    int         rc;

    if (still_starting(r, 0))
        return;
    rc = query_read(r, &m, &root, &e);
    if (rc == 0 && m.id.n == 0 && m.kind == X_ANY)
        rc = err_set(&e, AIS_E_BADREQ, "invalid %s", xmsg_text(&m, text, sizeof(text)));
    if (rc == 0 && m.has_bck && bmd_find(req_views(r)->bmd, &m.bck) == NULL)
        rc = err_nobck(&e, &m.bck);
    if (rc < 0 || !member_answers(r)) {
        sbuf_init(&out, 64 * KIB);
        jw_init(&w, &out, 0);
        if (rc == 0)
            rc = ic_status(req_node(r), &m, &w, &e);
        send_status(r, rc, &out, &e);
    }
    json_decref(root);
}

void
what_job_status_all(struct req *r)
{
    struct err  e = { .code = 0 };
    json_t     *root = NULL;
    struct xmsg m;
    struct sbuf out;
    struct jw   w;
    int         rc;

    if (still_starting(r, 0))
        return;
    rc = query_read(r, &m, &root, &e);
    if (rc < 0 || !member_answers(r)) {
        sbuf_init(&out, ANSWER_MAX);
        jw_init(&w, &out, 0);
        if (rc == 0)
            ic_status_all(req_node(r), &m, m.force || req_query_bool(r, STR_LIT("frc")), &w);
        send_status(r, rc, &out, &e);
    }
    json_decref(root);
}

/* The query to all targets. */
static int
ask_all(struct req *r, const char *path, const struct xmsg *m, struct ask *a, struct err *e)
{
    const struct cluster_conf *c = req_views(r)->conf;
    struct sbuf                body;
    struct jw                  w;
    int                        rc = choose(r, NULL, a, e);

    sbuf_init(&body, 4 * MIB);
    jw_init(&w, &body, 0);
    xmsg_query_json(m, &w);
    if (rc == 0)
        rc = ask_send(r, a, M_GET, path, sbuf_str(&body), m->active == 1 ? c->client.timeout : c->client.long_timeout, e);
    sbuf_fini(&body);
    return rc;
}

/* "I do not know it" is no failure of the query. */
static unsigned
drop_unknown(struct ask *a)
{
    unsigned n = 0;

    for (unsigned i = 0; i < a->n; i++)
        if (a->c[i].rc == 0 || a->c[i].err.status != 404)
            a->c[n++] = a->c[i];
    return n;
}

static void
put_map(struct jw *w, const struct ask *a)
{
    jw_obj(w);
    for (unsigned i = 0; i < a->n; i++) {
        struct str body = a->c[i].resp.body;

        while (body.n > 0 && body.p[body.n - 1] == '\n')
            body.n--;
        jw_key(w, a->c[i].to->id);
        jw_raw(w, body);
    }
    jw_obj_end(w);
}

void
what_job_snaps(struct req *r)
{
    struct err  e = { .code = 0 };
    struct ask  a = { .n = 0 };
    json_t     *root = NULL;
    struct xmsg m;
    struct sbuf out;
    struct jw   w;
    char        text[256];
    unsigned    asked = 0;
    int         rc;

    if (still_starting(r, 0))
        return;
    rc = query_read(r, &m, &root, &e);
    if (rc == 0)
        rc = ask_all(r, "/v1/xactions?what=qryxstats", &m, &a, &e);
    if (rc == 0) {
        asked = a.n;
        a.n = drop_unknown(&a);
        rc = first_failure(a.c, a.n, &e);
    }
    if (rc == 0 && a.n == 0 && asked > 0) {
        rc = err_set(&e, AIS_E_NOXACT, "\"%s\" not found", xmsg_text(&m, text, sizeof(text)));
        (void)err_tcode(&e, "");
    }
    sbuf_init(&out, 4 * ANSWER_MAX);
    if (rc == 0) {
        jw_init(&w, &out, 0);
        put_map(&w, &a);
        if (!sbuf_ok(&out))
            rc = err_set(&e, AIS_E_TOOBIG, "too many jobs: ask for a kind or an id");
    }
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        ais_send_json(r, &out);
    sbuf_fini(&out);
    json_decref(root);
}

/* The union of what they say, each name once. */
static int
put_union(struct jw *w, const struct ask *a, struct err *e)
{
    json_t *seen = json_object();
    int     rc = 0;

    jw_arr(w);
    for (unsigned i = 0; rc == 0 && i < a->n; i++) {
        json_t *j = NULL;
        size_t  k;

        rc = json_read(a->c[i].resp.body, &j, e);
        for (k = 0; rc == 0 && k < json_array_size(j); k++) {
            const char *name = json_string_value(json_array_get(j, k));

            if (name == NULL || json_object_get(seen, name) != NULL)
                continue;
            (void)json_object_set_new(seen, name, json_true());
            jw_strz(w, name);
        }
        json_decref(j);
    }
    jw_arr_end(w);
    json_decref(seen);
    return rc;
}

void
what_jobs_running(struct req *r)
{
    struct err  e = { .code = 0 };
    struct ask  a = { .n = 0 };
    json_t     *root = NULL;
    struct xmsg m;
    struct sbuf out;
    struct jw   w;
    int         rc = query_read(r, &m, &root, &e);

    if (rc == 0)
        rc = ask_all(r, "/v1/xactions?what=running_all", &m, &a, &e);
    if (rc == 0)
        rc = first_failure(a.c, a.n, &e);
    sbuf_init(&out, ANSWER_MAX);
    jw_init(&w, &out, 0);
    if (rc == 0)
        rc = put_union(&w, &a, &e);
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        ais_send_json(r, &out);
    sbuf_fini(&out);
    json_decref(root);
}

/* --- lists of jobs that have an interface of their own; there are none yet --- */

/* GET /v1/download */
void
h_proxy_downloads(struct req *r)
{
    struct err  e = { .code = 0 };
    json_t     *msg = NULL;
    struct str  id;
    int         rc = r->body.n > 0 ? json_read(r->body, &msg, &e) : 0;

    id = json_text(msg, "id");
    if (rc == 0 && id.n > 0 && json_text(msg, "regex").n > 0)
        rc = err_set(&e, AIS_E_BADREQ, "regex and UUID are mutually exclusive");
    else if (rc == 0 && id.n > 0)
        rc = err_set(&e, AIS_E_NOENT, "%s: download job \"%.*s\" does not exist", req_node(r)->name, STR_FMT(id));
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        ais_send_text(r, STR_LIT("[]"));
    json_decref(msg);
}

/* GET /v1/sort */
void
h_proxy_dsorts(struct req *r)
{
    struct str id;

    if (req_query(r, STR_LIT("uuid"), &id) && id.n > 0)
        h_not_implemented(r, "dsort");
    else
        ais_send_text(r, STR_LIT("[]"));
}
