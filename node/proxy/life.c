/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lifecycle of nodes, on the primary: taken in, into maintenance and back, decommissioned, shut down, removed; and of the whole
 * cluster.
 *
 * What an administrator wants is one entry of the replicated state: flags of the nodes, the chain of maps, and the rebalance that moves
 * what they have. What follows when that rebalance is done (or at once, when there is none) is read off the flags: whoever is primary
 * then tells the nodes to stop or to forget, and takes the decommissioned ones out of the map. So it survives any primary, and
 * repeating a step does no harm.
 *
 * Runs on: the request's fiber; what follows on a fiber of the first loop. Parks.
 * Wire:    native-api.md 5.4
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/util.h"
#include "codec/jw.h"
#include "codec/url.h"
#include "core/meta.h"
#include "proxy/proxy_impl.h"
#include "run/fiber.h"

#define TELL_TRIES   3             /* a node that is up and does not take what it is told */
#define TELL_PAUSE   MSEC_NS(300)
#define TELL_TIMEOUT SEC_NS(2)
#define SETTLE_WAIT  SEC_NS(15)    /* a request waits so long for its nodes to be told */
#define PROBE_TRIES  5             /* stop-maintenance: a node that is starting */

/* --- one change at a time --- */
static int
err_busy(struct err *e, struct str what, const char *why)
{
    return err_set(e, AIS_E_BUSY, "cluster membership \"%.*s\" is currently busy%s, please try again", STR_FMT(what), why);
}

/* Only one change of the membership by an administrator, and none while a rebalance runs. 0: membership_end is due. */
static int
membership_begin(struct req *r, struct str what, struct err *e)
{
    const struct rmd *rmd = req_views(r)->rmd;
    char              why[64];

    if (rmd->state == RMD_RUNNING) {
        snprintf(why, sizeof(why), " (rebalance[g%llu] is running)", (unsigned long long)rmd->reb_id);
        return err_busy(e, what, why);
    }
    return atomic_exchange(&proxy_of(req_node(r))->membership, true) ? err_busy(e, what, "") : 0;
}

static void
membership_end(struct req *r)
{
    atomic_store(&proxy_of(req_node(r))->membership, false);
}

/* --- what the administrator says --- */
struct rm_args {
    struct str *ids; /* in the request's arena or its body */
    size_t      n;
    bool        skip_rebalance, rm_user_data, keep_initial_config, no_shutdown;
};

static int
id_check(const struct rm_args *a, struct str id, struct err *e)
{
    if (id.n < 8)
        return err_set(e, AIS_E_BADREQ, "node ID \"%.*s\" is too short", STR_FMT(id));
    if (!node_id_valid(id))
        return err_set(e, AIS_E_BADREQ, "node ID \"%.*s\" is invalid", STR_FMT(id));
    for (size_t i = 0; i < a->n; i++)
        if (str_eq(a->ids[i], id))
            return err_set(e, AIS_E_BADREQ, "invalid membership-change operation: duplicated node ID \"%.*s\"", STR_FMT(id));
    return 0;
}

/* {"sid": or "sids": [], "skip_rebalance", "rm_user_data", "keep_initial_config", "no_shutdown"} */
static int
rm_args_read(struct req *r, const struct actmsg *m, struct rm_args *a, struct err *e)
{
    static const char invalid[] = "invalid membership-change operation:";
    const json_t     *sids = json_get_fold(m->value, "sids");
    struct str        sid = json_text(m->value, "sid");
    size_t            n = json_array_size(sids);
    int               rc = 0;

    memset(a, 0, sizeof(*a));
    if (n > 0 && sid.n > 0)
        return err_set(e, AIS_E_BADREQ, "%s cannot specify both sid and sids", invalid);
    if (n == 0 && sid.n == 0)
        return err_set(e, AIS_E_BADREQ, "%s missing node IDs", invalid);
    a->ids = arena_alloc(r->arena, (n + 1) * sizeof(*a->ids));
    if (a->ids == NULL)
        return err_set(e, AIS_E_TOOBIG, "%s too many nodes", invalid);
    for (size_t i = 0; rc == 0 && i < (n > 0 ? n : 1); i++) {
        const json_t *v = json_array_get(sids, i);
        struct str    id = n > 0 ? str_from(json_string_value(v), json_string_length(v)) : sid;

        rc = id_check(a, id, e);
        if (rc == 0)
            a->ids[a->n++] = id;
    }
    a->skip_rebalance = json_is_true(json_get_fold(m->value, "skip_rebalance"));
    a->rm_user_data = json_is_true(json_get_fold(m->value, "rm_user_data"));
    a->keep_initial_config = json_is_true(json_get_fold(m->value, "keep_initial_config"));
    a->no_shutdown = json_is_true(json_get_fold(m->value, "no_shutdown"));
    return rc;
}

static int
err_no_node(struct req *r, struct str action, struct str id, struct err *e)
{
    return err_set(e, AIS_E_NONODE, "%s: %.*s node %.*s not present in Smap v%llu", req_node(r)->name, STR_FMT(action), STR_FMT(id),
                   (unsigned long long)req_views(r)->smap->version);
}

/* All known, none the primary; how many of them are targets. */
static int
nodes_check(struct req *r, struct str action, const struct rm_args *a, unsigned *targets, struct err *e)
{
    *targets = 0;
    for (size_t i = 0; i < a->n; i++) {
        const struct snode *s = smap_find(req_views(r)->smap, a->ids[i]);

        if (s == NULL)
            return err_no_node(r, action, a->ids[i], e);
        if (strcmp(s->id, req_node(r)->id) == 0)
            return err_set(e, AIS_E_BADREQ, "%s is the current primary, cannot perform action \"%.*s\" on itself", req_node(r)->name,
                           STR_FMT(action));
        *targets += s->role == ROLE_TARGET;
    }
    return 0;
}

static void
reply_rebalance(struct req *r, uint64_t reb)
{
    if (reb > 0)
        ais_send_text(r, arena_printf(r->arena, "g%llu", (unsigned long long)reb));
    else
        resp_empty(r, 200);
}

/* --- telling nodes --- */
struct tell {
    struct node       *n;
    const struct snode *to;
    struct str         body;
    int                rc;
};

static int
tell_one(void *arg)
{
    struct tell   *t = arg;
    struct arena  *mem = arena_new(4 * KIB, 256 * KIB);
    struct hc_resp resp;
    struct err     e;

    for (int i = 0; i < TELL_TRIES; i++) {
        err_clear(&e);
        t->rc = node_call(t->n, t->to, M_PUT, STR_LIT("/v1/daemon"), t->body, mem, 64 * KIB, TELL_TIMEOUT, &resp, &e);
        if (t->rc == 0 || t->rc == -AIS_E_PEER || (t->to->flags & SNODE_DEAD) || fiber_sleep(TELL_PAUSE) < 0)
            break;
    }
    if (t->rc < 0) /* it is away: what it was to hear it cannot hear */
        log_warn("node cannot be told to leave", { "node", LZ(t->to->name) }, { "error", LZ(e.text) });
    arena_free(mem);
    return 0;
}

/* Each its own word, all at once. Who does not hear it is not waited for. */
static void
tell_all(struct tell *t, unsigned n)
{
    struct group g;

    group_init(&g, false);
    for (unsigned i = 0; i < n; i++)
        if (group_start(&g, "tell", tell_one, &t[i]) < 0)
            t[i].rc = -AIS_E_OVERLOAD;
    (void)group_wait(&g);
}

/* --- what follows when nothing is left to be moved --- */
static bool
is_due(const struct snode *s)
{
    return (s->flags & (SNODE_DECOMM | SNODE_STOP)) && !(s->flags & SNODE_WAIT_REB);
}

static struct str
parting_words(struct arena *a, const struct snode *s)
{
    if (!(s->flags & SNODE_DECOMM))
        return STR_LIT("{\"action\":\"shutdown-node\"}");
    return arena_printf(a, "{\"action\":\"decommission-node\",\"value\":{\"sid\":\"%s\",\"rm_user_data\":%s,\"keep_initial_config\":%s,"
                        "\"no_shutdown\":%s}}", s->id, s->flags & SNODE_RM_DATA ? "true" : "false",
                        s->flags & SNODE_KEEP_CONF ? "true" : "false", s->flags & SNODE_STAY_UP ? "true" : "false");
}

/* The map after it: the decommissioned are gone, the others have been told. */
static int
parted(struct node *n, const struct tell *t, unsigned nt, struct err *e)
{
    struct str *gone = xcalloc(nt + 1, sizeof(*gone));
    size_t      k = 0;
    int         rc = 0;

    for (unsigned i = 0; i < nt && rc == 0; i++) {
        if (t[i].to->flags & SNODE_DECOMM)
            gone[k++] = str_z(t[i].to->id);
        else
            rc = meta_node_flags(n, str_z(t[i].to->id), 0, SNODE_STOP, e);
    }
    if (rc == 0 && k > 0)
        rc = meta_nodes_remove(n, gone, k, e);
    free(gone);
    return rc == -AIS_E_NONODE ? 0 : rc;
}

/* One look at the map and what it asks for. False: nothing is due (or this node is not the one to do it). */
static bool
settle(struct node *n)
{
    struct arena *mem = arena_new(4 * KIB, 1 * MIB);
    struct views  v;
    struct tell  *t;
    struct err    e;
    unsigned      nt = 0;
    int           rc = 0;

    views_get(n, &v);
    t = xcalloc(v.smap->nnodes + 1, sizeof(*t));
    for (unsigned i = 0; i < v.smap->nnodes && node_is_primary(n, v.smap); i++) {
        const struct snode *s = &v.smap->nodes[i];

        if (is_due(s))
            t[nt++] = (struct tell){ .n = n, .to = s, .body = parting_words(mem, s) };
    }
    err_clear(&e);
    if (nt > 0) {
        tell_all(t, nt);
        rc = parted(n, t, nt, &e);
    }
    if (rc < 0)
        log_warn("nodes that left are still in the map", { "error", LZ(e.text) });
    views_put(&v);
    free(t);
    arena_free(mem);
    return nt > 0;
}

static void
settle_fiber(void *arg)
{
    struct node  *n = arg;
    struct proxy *p = proxy_of(n);

    do {
        atomic_store(&p->settle_again, false);
        (void)settle(n);
    } while (atomic_load(&p->settle_again) && !fiber_cancelled());
    atomic_store(&p->settling, false);
}

/* The map has changed: look at it, soon. What is missed here the next tick sees. */
static void
settle_soon(struct node *n)
{
    struct proxy *p = proxy_of(n);

    atomic_store(&p->settle_again, true);
    if (atomic_exchange(&p->settling, true))
        return;
    if (fiber_spawn(run_loop(n->run, 0), "settle", settle_fiber, n) < 0)
        atomic_store(&p->settling, false);
}

static bool
something_due(struct node *n)
{
    struct views v;
    bool         due = false;

    views_get(n, &v);
    for (unsigned i = 0; i < v.smap->nnodes && !due && node_is_primary(n, v.smap); i++)
        due = is_due(&v.smap->nodes[i]);
    views_put(&v);
    return due;
}

void
life_tick(void *arg)
{
    struct node *n = arg;

    while (fiber_sleep(SEC_NS(1)) == 0)
        if (something_due(n))
            settle_soon(n);
}

/* Until none of these is due any more: an answer says what has happened, not what will. */
static void
settle_wait(struct req *r, const struct rm_args *a)
{
    struct node *n = req_node(r);
    int64_t      until = deadline_in(clock_mono(), SETTLE_WAIT);
    bool         due = true;

    settle_soon(n);
    while (due && clock_mono() < until) {
        struct views v;

        views_get(n, &v);
        due = false;
        for (size_t i = 0; i < a->n && !due; i++) {
            const struct snode *s = smap_find(v.smap, a->ids[i]);

            due = s != NULL && is_due(s);
        }
        views_put(&v);
        if (due && fiber_sleep(MSEC_NS(10)) < 0)
            return;
    }
}

/* --- leaving --- */
/* Targets that are active now, without those of the request. */
static unsigned
active_left(const struct smap *m, const struct rm_args *a)
{
    unsigned left = m->nactive;

    for (size_t i = 0; i < a->n; i++) {
        const struct snode *s = smap_find(m, a->ids[i]);

        left -= s != NULL && s->role == ROLE_TARGET && snode_active(s);
    }
    return left;
}

/* What the primary says no to before it is put to the replicated state. */
static int
leaving_check(struct req *r, const struct actmsg *m, const struct rm_args *a, struct err *e)
{
    const struct views *v = req_views(r);
    unsigned            targets;
    int                 rc = nodes_check(r, m->action, a, &targets, e);

    if (rc < 0 || targets == 0 || a->skip_rebalance)
        return rc;
    if (str_eqz(m->action, "decommission-node") && v->bmd->n > 0 && v->smap->nactive > 0 && active_left(v->smap, a) == 0)
        return err_set(e, AIS_E_BADREQ, "%s: no target would be left to take over the data; use \"skip_rebalance\" to lose it",
                       req_node(r)->name);
    if (v->conf->rebalance.enabled && !req_node(r)->can_rebalance)
        return err_set(e, AIS_E_NOTIMPL, "%s: moving a target's data is not there yet; use \"skip_rebalance\" to leave it where it is",
                       req_node(r)->name);
    return 0;
}

static int
leave(struct req *r, const struct actmsg *m, const struct rm_args *a, uint64_t *reb, struct err *e)
{
    bool              decomm = str_eqz(m->action, "decommission-node");
    struct node_maint c = { .ids = a->ids, .nids = a->n, .on = true, .rebalance = !a->skip_rebalance, .decomm = decomm,
                            .stop = str_eqz(m->action, "shutdown-node"), .rm_data = decomm && a->rm_user_data,
                            .keep_conf = decomm && a->keep_initial_config, .stay_up = decomm && a->no_shutdown };
    int               rc = leaving_check(r, m, a, e);

    if (rc == 0)
        rc = membership_begin(r, m->action, e);
    if (rc < 0)
        return rc;
    rc = meta_node_maint(req_node(r), &c, reb, e);
    if (rc == 0)
        log_info("nodes leave", { "action", LSTR(m->action) }, { "nodes", LU64(a->n) }, { "rebalance", LU64(*reb) });
    if (rc == 0 && *reb == 0)
        settle_wait(r, a);
    membership_end(r);
    return rc;
}

void
act_leave(struct req *r, struct actmsg *m)
{
    struct rm_args a;
    struct err     e = { .code = 0 };
    uint64_t       reb = 0;
    int            rc;

    if (relay_to_primary(r))
        return;
    rc = rm_args_read(r, m, &a, &e);
    if (rc == 0)
        rc = leave(r, m, &a, &reb, &e);
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        reply_rebalance(r, reb);
}

/* Told to stand by, then out of the map: what they have goes with them. */
static int
remove_unsafe(struct req *r, const struct actmsg *m, const struct rm_args *a, struct err *e)
{
    struct node *n = req_node(r);
    struct tell *t;
    unsigned     targets;
    int          rc = nodes_check(r, m->action, a, &targets, e);

    if (rc == 0 && !a->skip_rebalance)
        rc = err_set(e, AIS_E_BADREQ, "%s: \"%.*s\" moves no data: it wants \"skip_rebalance\"", n->name, STR_FMT(m->action));
    if (rc == 0)
        rc = membership_begin(r, m->action, e);
    if (rc < 0)
        return rc;
    t = xcalloc(a->n, sizeof(*t));
    for (size_t i = 0; i < a->n; i++)
        t[i] = (struct tell){ .n = n, .to = smap_find(req_views(r)->smap, a->ids[i]), .body = STR_LIT("{\"action\":\"rm-unsafe\"}") };
    tell_all(t, (unsigned)a->n);
    free(t);
    rc = meta_nodes_remove(n, a->ids, a->n, e);
    if (rc == 0)
        log_warn("nodes removed with all they have", { "nodes", LU64(a->n) });
    membership_end(r);
    return rc;
}

void
act_rm_unsafe(struct req *r, struct actmsg *m)
{
    struct rm_args a;
    struct err     e = { .code = 0 };
    int            rc;

    if (relay_to_primary(r))
        return;
    rc = rm_args_read(r, m, &a, &e);
    if (rc == 0)
        rc = remove_unsafe(r, m, &a, &e);
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        resp_empty(r, 200);
}

/* --- coming back --- */
/* Is it there? One that is starting (503) gets some time. */
static int
probe(struct req *r, const struct snode *s, struct err *e)
{
    struct hc_resp resp;
    int            rc = 0;

    for (int i = 0; i < PROBE_TRIES; i++) {
        err_clear(e);
        rc = node_call(req_node(r), s, M_GET, STR_LIT("/v1/health"), STR_NULL, r->arena, 64 * KIB, TELL_TIMEOUT, &resp, e);
        if (rc == 0 || e->status != 503 || fiber_sleep(SEC_NS(1)) < 0)
            break;
    }
    if (rc == 0 || e->status == 503)
        return 0; /* it will have the map when it has started */
    err_status(e, 400);
    return err_wrap(e, "%s is unreachable", s->name);
}

/* Those that are in maintenance, probed; active ones are left out. */
static int
returning_check(struct req *r, const struct actmsg *m, struct rm_args *a, struct err *e)
{
    unsigned targets;
    size_t   k = 0;
    int      rc = nodes_check(r, m->action, a, &targets, e);

    for (size_t i = 0; rc == 0 && i < a->n; i++) {
        const struct snode *s = smap_find(req_views(r)->smap, a->ids[i]);

        if (!(s->flags & (SNODE_MAINT | SNODE_DECOMM)))
            continue;
        rc = probe(r, s, e);
        a->ids[k++] = a->ids[i];
    }
    a->n = rc == 0 ? k : 0;
    return rc;
}

static int
come_back(struct req *r, const struct actmsg *m, struct rm_args *a, uint64_t *reb, struct err *e)
{
    struct node_maint c = { .rebalance = !a->skip_rebalance && req_node(r)->can_rebalance };
    int               rc = membership_begin(r, m->action, e);

    if (rc < 0)
        return rc;
    rc = returning_check(r, m, a, e);
    if (rc == 0 && a->n > 0) {
        c.ids = a->ids;
        c.nids = a->n;
        rc = meta_node_maint(req_node(r), &c, reb, e);
        if (rc == 0)
            log_info("nodes are active again", { "nodes", LU64(a->n) }, { "rebalance", LU64(*reb) });
    }
    membership_end(r);
    return rc;
}

void
act_stop_maintenance(struct req *r, struct actmsg *m)
{
    struct rm_args a;
    struct err     e = { .code = 0 };
    uint64_t       reb = 0;
    int            rc;

    if (relay_to_primary(r))
        return;
    rc = rm_args_read(r, m, &a, &e);
    if (rc == 0)
        rc = come_back(r, m, &a, &reb, &e);
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        reply_rebalance(r, reb);
}

/* --- joining by hand --- */
/* Where the administrator says that the node is: its control network, or whatever is given. */
static int
where_is(struct req *r, const json_t *j, struct str *base, struct err *e)
{
    static const char *const nets[] = { "intra_control_net", "public_net" };

    for (size_t i = 0; i < ARRAY_SIZE(nets); i++) {
        const json_t *net = json_get_fold(j, nets[i]);
        struct str    url = json_text(net, "direct_url"), host = json_text(net, "node_ip_addr"), port = json_text(net, "daemon_port");
        struct url    u;

        if (url.n == 0 && host.n > 0 && port.n > 0)
            url = arena_printf(r->arena, "http%s://%.*s:%.*s", req_views(r)->conf->net.use_https ? "s" : "", STR_FMT(host),
                               STR_FMT(port));
        if (url.n == 0)
            continue;
        *base = url;
        return url_parse(url, &u) < 0 ? err_set(e, AIS_E_BADREQ, "invalid node address \"%.*s\"", STR_FMT(url)) : 0;
    }
    return err_set(e, AIS_E_BADREQ, "join-by-admin: the node's address is missing");
}

/* The node's own description; what it is there is right. */
static int
ask_who(struct req *r, struct str base, struct snode *out, struct err *e)
{
    struct node   *n = req_node(r);
    struct hc_req  q = { .method = M_GET, .base = base, .target = STR_LIT("/v1/daemon?what=snode"), .timeout_ns = SEC_NS(5) };
    struct hc_resp resp;
    struct err     why;
    json_t        *j = NULL;
    int            rc;

    err_clear(&why);
    rc = hc_call(n->hc_plain, &q, r->arena, 64 * KIB, &resp, &why);
    if (rc < 0)
        err_fill(&why, rc);
    else if (resp.status != 200)
        rc = node_peer_err(&resp, &why);
    if (rc == 0)
        rc = json_read(resp.body, &j, &why);
    if (rc == 0)
        rc = snode_from_json(j, out, &why);
    json_decref(j);
    return rc == 0 ? 0 : err_set(e, AIS_E_BADREQ, "%s: failed to obtain node info from %.*s: %s", n->name, STR_FMT(base), why.text);
}

/* Ais-Node-Flags: electable or not, of a proxy, and nothing else. */
static int
flags_hdr(struct req *r, struct snode *s, struct err *e)
{
    struct str h = req_hdr(r, STR_LIT("Ais-Node-Flags"));
    uint64_t   flags = 0;

    s->flags = 0;
    if (h.n == 0)
        return 0;
    if (!str_u64(h, &flags) || (flags != 0 && (flags != SNODE_NON_ELECTABLE || s->role != ROLE_PROXY)))
        return err_set(e, AIS_E_BADREQ, "%s joining %s: expecting only 'non-electable' bit (and only proxies), got Ais-Node-Flags=\"%.*s\"",
                       req_node(r)->name, s->name, STR_FMT(h));
    s->flags = flags;
    return 0;
}

static int
join_check(struct req *r, const json_t *j, struct snode *s, struct err *e)
{
    struct str type = json_text(j, "daemon_type"), base = STR_NULL;
    int        rc = where_is(r, j, &base, e);

    if (rc == 0)
        rc = ask_who(r, base, s, e);
    if (rc == 0 && type.n > 0 && !str_eqz(type, s->role == ROLE_PROXY ? "proxy" : "target"))
        rc = err_set(e, AIS_E_BADREQ, "%s at %.*s is not a %.*s", s->name, STR_FMT(base), STR_FMT(type));
    if (rc == 0)
        rc = flags_hdr(r, s, e);
    return rc;
}

static int
join_by_admin(struct req *r, struct snode *s, uint64_t *reb, struct err *e)
{
    struct node  *n = req_node(r);
    struct snode *self;
    int           rc = membership_begin(r, STR_LIT("join-by-admin"), e);

    if (rc < 0)
        return rc;
    self = xcalloc(1, sizeof(*self));
    rc = member_id_taken(n, s, e);
    if (rc == 0)
        rc = member_invite(n, s, self, e);
    if (rc == 0 && strcmp(self->id, s->id) != 0)
        rc = err_set(e, AIS_E_CONFLICT, "%s answers as %s on its control network", s->name, self->name);
    if (rc == 0) {
        self->flags = s->flags;
        rc = meta_node_add(n, self, reb, e);
    }
    if (rc == 0)
        log_info("node joined by an administrator", { "node", LZ(self->name) }, { "url", LZ(self->pub.url) });
    free(self);
    membership_end(r);
    return rc;
}

void
h_proxy_join(struct req *r)
{
    struct snode *s;
    struct err    e = { .code = 0 };
    json_t       *j = NULL;
    struct sbuf   out;
    struct jw     w;
    uint64_t      reb = 0;
    char          rebz[32] = "";
    int           rc;

    if (still_starting(r, 0) || relay_to_primary(r))
        return;
    s = xcalloc(1, sizeof(*s));
    rc = json_read(r->body, &j, &e);
    if (rc == 0)
        rc = join_check(r, j, s, &e);
    if (rc == 0)
        rc = join_by_admin(r, s, &reb, &e);
    json_decref(j);
    if (rc < 0) {
        resp_err(r, rc, &e);
    } else {
        if (reb > 0)
            snprintf(rebz, sizeof(rebz), "g%llu", (unsigned long long)reb);
        sbuf_init(&out, 4 * KIB);
        jw_init(&w, &out, 0);
        jw_obj(&w);
        jw_kstrz(&w, "daemon_id", s->id);
        jw_kstrz(&w, "rebalance_id", rebz);
        jw_obj_end(&w);
        ais_send_json(r, &out);
        sbuf_fini(&out);
    }
    free(s);
}

/*
 * --- leaving by itself: on the control network, each for itself ---
 *
 * AIStore forgets the node then. Here it is marked as dead: what a target holds is not forgotten, and it comes back as itself.
 */
static int
self_removal(struct req *r, struct err *e)
{
    const struct caller *c = r->user;
    struct str           id = r->item[0];

    if (!c->intra)
        return err_set(e, AIS_E_FORBIDDEN, "%s: %s %.*s is for nodes of this cluster", req_node(r)->name, method_name(r->method),
                       STR_FMT(r->path));
    if (smap_find(req_views(r)->smap, id) == NULL)
        return err_no_node(r, STR_LIT("cannot remove"), id, e);
    if (!node_is_primary(req_node(r), req_views(r)->smap))
        return err_set(e, AIS_E_NOTPRIMARY, "%s is not primary", req_node(r)->name);
    if (str_eqz(id, req_node(r)->id))
        return err_set(e, AIS_E_BADREQ, "cannot remove primary proxy");
    if (!str_eqz(id, c->id))
        return err_set(e, AIS_E_BADREQ, "%s: node %s cannot remove %.*s", req_node(r)->name, c->id, STR_FMT(id));
    if (node_ending(req_node(r)) != 0) /* all stop: that changes nothing about who is in the cluster */
        return err_set(e, AIS_E_UNAVAIL, "%s is shutting down", req_node(r)->name);
    log_info("node says that it stops", { "node", LZ(c->id) });
    return meta_node_left(req_node(r), id, e);
}

void
h_proxy_daemon_delete(struct req *r)
{
    struct err e = { .code = 0 };
    int        rc = self_removal(r, &e);

    if (rc < 0)
        resp_err(r, rc, &e);
    else
        resp_empty(r, 200);
}

/* --- the whole cluster --- */
void
act_cluster_end(struct req *r, struct actmsg *m)
{
    struct node        *n = req_node(r);
    const struct smap  *map = req_views(r)->smap;
    struct tell        *t;
    struct err          e;
    unsigned            nt = 0;

    UNUSED(m);
    if (relay_to_primary(r))
        return;
    log_warn("the cluster ends", { "action", LSTR(m->action) });
    t = xcalloc(map->nnodes + 1, sizeof(*t));
    for (unsigned i = 0; i < map->nnodes; i++)
        if (strcmp(map->nodes[i].id, n->id) != 0 && !(map->nodes[i].flags & SNODE_DEAD))
            t[nt++] = (struct tell){ .n = n, .to = &map->nodes[i], .body = r->body };
    tell_all(t, nt);
    free(t);
    /* and this one, as everybody else */
    t = xcalloc(1, sizeof(*t));
    *t = (struct tell){ .n = n, .to = map->primary, .body = r->body };
    tell_all(t, 1);
    err_clear(&e);
    if (t->rc < 0)
        resp_err(r, t->rc, &e);
    else
        resp_empty(r, 200);
    free(t);
}
