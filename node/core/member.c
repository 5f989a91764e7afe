/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Being a member: finding the primary, joining, keepalives; on the primary: taking nodes in.
 *
 * A node that starts asks every address it knows for whom the primary is (GET /v1/health?cii=true, on any network), then joins over an
 * authenticated connection to the primary's control network. From then on it reports once a second what it has; the answer brings
 * what is newer. The primary asks a node that has gone silent.
 *
 * Runs on: fibers of the control loop; handlers on any loop. internals.md 3.3, 3.5.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/core_impl.h"
#include "core/lease.h"

#include "codec/jw.h"
#include "codec/url.h"
#include "run/offload.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"

#define JOIN_FIRST     MSEC_NS(20) /* pauses between rounds of joining: first, and at most */
#define JOIN_MAX       SEC_NS(1)
#define KEEPALIVE_MAX  SEC_NS(1)
#define KEEPALIVE_TRY  3           /* failures before the primary is looked for elsewhere */
#define SUCCESSION    SEC_NS(1)   /* a primary that stops: for its successor to show */
#define CALL_TIMEOUT   SEC_NS(2)
#define MAX_CANDIDATES 16
#define REPLY_MAX      (128u << 20)

/* --- finding the primary --- */
bool
url_is_self(const struct node *n, struct str url)
{
    struct url u;

    if (url.n == 0 || url_parse(url, &u) < 0)
        return false;
    return nodecfg_is_self(n, u.host, u.port);
}

static void
cand_add(char (*cand)[300], unsigned *n, const char *url)
{
    unsigned i;

    if (url == NULL || url[0] == '\0' || *n == MAX_CANDIDATES)
        return;
    for (i = 0; i < *n; i++) {
        if (strcmp(cand[i], url) == 0)
            return;
    }
    str_copyz(str_z(url), cand[(*n)++], sizeof(cand[0]));
}

/* Whom to ask, best first. */
static unsigned
candidates(struct node *n, char (*cand)[300])
{
    struct views v;
    unsigned     nc = 0, i;

    cand_add(cand, &nc, n->member->primary_ep);
    views_get(n, &v);
    if (v.smap->primary != NULL)
        cand_add(cand, &nc, v.smap->primary->control.url);
    cand_add(cand, &nc, v.conf->proxy.primary_url);
    cand_add(cand, &nc, v.conf->proxy.discovery_url);
    cand_add(cand, &nc, v.conf->proxy.original_url);
    for (i = 0; i < v.smap->nnodes && v.smap->nodes[i].role == ROLE_PROXY; i++)
        cand_add(cand, &nc, v.smap->nodes[i].control.url);
    views_put(&v);
    return nc;
}

/* Ask one address who is primary: id and control URL into *to. */
int
ask_primary(struct node *n, const char *url, struct arena *mem, struct snode *to, char uuid[40], struct err *e)
{
    struct hc_req  q = { .method = M_GET, .base = str_z(url), .target = STR_LIT("/v1/health?cii=true"),
                         .timeout_ns = CALL_TIMEOUT };
    struct hc_resp resp;
    json_t        *j = NULL;
    const json_t  *smap, *p;
    int            rc = hc_call(n->hc_plain, &q, mem, 256 * KIB, &resp, e);

    if (rc < 0)
        return err_fill(e, rc);
    if (resp.status != 200)
        return err_set(e, AIS_E_UNAVAIL, "%s: status %d", url, resp.status);
    rc = json_read(resp.body, &j, e);
    if (rc < 0)
        return rc;
    smap = json_object_get(j, "smap");
    p = json_object_get(smap, "Primary");
    memset(to, 0, sizeof(*to));
    to->role = ROLE_PROXY;
    if (!node_id_valid(json_text(p, "id")) || !str_copyz(json_text(p, "id"), to->id, sizeof(to->id)) ||
        !str_copyz(json_text(p, "control_url"), to->control.url, sizeof(to->control.url)) || to->control.url[0] == '\0')
        rc = err_set(e, AIS_E_UNAVAIL, "%s: knows no primary", url);
    snprintf(to->name, sizeof(to->name), "p[%s]", to->id);
    str_copyz(json_text(smap, "uuid"), uuid, 40);
    json_decref(j);
    return rc;
}

/* --- joining --- */
void
member_more_json(const struct snode *s, struct jw *w)
{
    jw_kstrz(w, "storage", s->storage);
    jw_ku64(w, "level", s->level);
}

int
member_from_json(const json_t *j, struct snode *out, struct err *e)
{
    uint64_t level = 0;
    int      rc = snode_from_json(json_object_get(j, "si"), out, e);

    (void)str_copyz(json_text(j, "storage"), out->storage, sizeof(out->storage));
    if (json_u64(json_object_get(j, "level"), &level) && level <= UINT32_MAX)
        out->level = (unsigned)level;
    return rc;
}

static void
join_body(struct node *n, struct sbuf *b)
{
    struct mset *cur = member_cur(n);
    struct jw    w;

    sbuf_init(b, 1 * MIB);
    jw_init(&w, b, 0);
    jw_obj(&w);
    jw_key(&w, "si");
    snode_json(&n->self, &w);
    member_more_json(&n->self, &w);
    jw_kstrz(&w, "uuid", cur->smap->uuid);
    msg_versions_json(&w, cur);
    lease_report(n->lease, &w);
    voter_report(n, &w);
    jw_ku64(&w, "flags", atomic_load(&n->flags));
    jw_obj_end(&w);
    mset_put(cur);
}

static int
join_via(struct node *n, const char *url, struct err *e)
{
    struct arena  *mem = arena_new(16 * KIB, REPLY_MAX);
    struct snode  *to = xcalloc(1, sizeof(*to));
    struct hc_resp resp;
    struct sbuf    b;
    char           uuid[40];
    int64_t        asked_at = 0;
    int            rc = ask_primary(n, url, mem, to, uuid, e);

    if (rc == 0 && strcmp(to->id, n->id) == 0)
        rc = err_set(e, AIS_E_NOTPRIMARY, "%s: names this node as primary", url);
    if (rc == 0) {
        join_body(n, &b);
        asked_at = clock_mono();
        rc = node_call(n, to, M_POST, STR_LIT("/v1/cluster/autoreg"), sbuf_str(&b), mem, REPLY_MAX, SEC_NS(20), &resp, e);
        sbuf_fini(&b);
    }
    if (rc == 0)
        rc = msg_meta_adopt(n, resp.body, asked_at, e);
    free(to);
    arena_free(mem);
    return rc;
}

static bool
join_round(struct node *n, struct err *e)
{
    char (*cand)[300] = xcalloc(MAX_CANDIDATES, sizeof(*cand));
    unsigned nc = candidates(n, cand), i;
    bool     joined = false;

    for (i = 0; i < nc && !joined && !member_stopping(n); i++) {
        if (url_is_self(n, str_z(cand[i])))
            continue;
        err_clear(e);
        joined = join_via(n, cand[i], e) == 0;
    }
    free(cand);
    return joined;
}

/* Whoever leads, or is about to, joins nobody. */
static bool
leads(struct node *n)
{
    struct cons *c = n->cons;

    return c != NULL && cons_is_leader(c);
}

static void
join(struct node *n)
{
    int64_t    pause = JOIN_FIRST, said = 0, began = clock_mono();
    struct err e;

    err_clear(&e);
    while (!member_stopping(n) && !leads(n)) {
        if (join_round(n, &e)) {
            struct views v;

            views_get(n, &v);
            log_info("joined", { "cluster", LZ(v.smap->uuid) }, { "primary", LZ(v.smap->primary ? v.smap->primary->id : "") },
                     { "smap", LU64(v.smap->version) }, { "ms", LI64((clock_mono() - began) / NSEC_PER_MSEC) });
            views_put(&v);
            atomic_fetch_or(&n->flags, NODE_NODE_STARTED);
            return;
        }
        if (clock_mono() - began > SEC_NS(2) && clock_mono() - said > SEC_NS(10)) {
            said = clock_mono();
            log_warn("cannot join yet", { "error", LZ(e.text) });
        }
        member_nap(n, pause);
        pause = MIN(pause * 3 / 2, JOIN_MAX);
    }
}

/* --- keepalive --- */
/* What a keepalive was answered, on its way into this node: that may take longer than the next one may be put off. */
struct catch_up {
    struct node *n;
    int64_t      asked_at;
    struct str   body; /* heap */
};

static void
catch_up_run(void *arg)
{
    struct catch_up *c = arg;
    struct node     *n = c->n;
    struct err       e;

    err_clear(&e);
    if (msg_meta_adopt(n, c->body, c->asked_at, &e) < 0)
        log_warn("what the primary sent is not adopted", { "error", LZ(e.text) });
    n->member->catching_up = false;
    free((void *)(uintptr_t)c->body.p);
    free(c);
    member_fiber_done(n);
}

static void
catch_up_start(struct node *n, struct str body, int64_t asked_at)
{
    struct catch_up *c = xmalloc(sizeof(*c));

    *c = (struct catch_up){ .n = n, .asked_at = asked_at, .body = str_from(xstrndup(body.p, body.n), body.n) };
    atomic_fetch_add(&n->member->fibers, 1);
    n->member->catching_up = true;
    if (fiber_spawn(n->member->loop, "catch up", catch_up_run, c) == 0)
        return;
    n->member->catching_up = false;
    free((void *)(uintptr_t)c->body.p);
    free(c);
    member_fiber_done(n);
}

static bool
has_items(const json_t *j)
{
    for (int i = 0; i < MI_COUNT; i++) {
        if (json_object_get(j, mitem_name[i]) != NULL)
            return true;
    }
    return false;
}

/* The lease counts at once, if it was granted under a map that this node has; new metadata one answer at a time. */
static int
keepalive_answered(struct node *n, struct str body, int64_t asked_at, struct err *e)
{
    json_t *j = NULL;
    int     rc;

    if (body.n > 64 * KIB) { /* a large map: not on this fiber */
        if (!n->member->catching_up)
            catch_up_start(n, body, asked_at);
        return 0;
    }
    rc = json_read(body, &j, e);
    if (rc == 0)
        rc = msg_lease_learn(n, j, asked_at, e);
    if (rc == 0 && !has_items(j))
        rc = msg_meta_adopt(n, body, asked_at, e);
    else if (rc == 0 && !n->member->catching_up)
        catch_up_start(n, body, asked_at);
    json_decref(j);
    return rc;
}

static int
keepalive(struct node *n, struct err *e)
{
    struct arena  *mem = arena_new(16 * KIB, REPLY_MAX);
    struct mset   *cur = member_cur(n);
    struct hc_resp resp;
    struct sbuf    b;
    struct jw      w;
    int64_t        asked_at = clock_mono();
    int            rc;

    sbuf_init(&b, 64 * KIB);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    jw_kstrz(&w, "uuid", cur->smap->uuid);
    msg_versions_json(&w, cur);
    lease_report(n->lease, &w);
    voter_report(n, &w);
    jw_ku64(&w, "flags", atomic_load(&n->flags));
    jw_obj_end(&w);
    if (cur->smap->primary == NULL)
        rc = err_set(e, AIS_E_NOTPRIMARY, "no primary");
    else
        rc = node_call(n, cur->smap->primary, M_POST, STR_LIT("/v1/cluster/keepalive"), sbuf_str(&b), mem, REPLY_MAX, CALL_TIMEOUT,
                       &resp, e);
    if (rc == 0)
        rc = keepalive_answered(n, resp.body, asked_at, e);
    sbuf_fini(&b);
    mset_put(cur);
    arena_free(mem);
    return rc;
}

static int64_t
keepalive_interval(struct node *n)
{
    struct views v;
    int64_t      ns;

    views_get(n, &v);
    ns = n->role == ROLE_PROXY ? v.conf->keepalive.proxy.interval : v.conf->keepalive.target.interval;
    views_put(&v);
    return ns > 0 && ns < KEEPALIVE_MAX ? ns : KEEPALIVE_MAX;
}

struct voter_job {
    struct node *n;
    struct err   e;
    int          rc;
};

static void
voter_job_run(void *arg)
{
    struct voter_job *j = arg;

    j->rc = voter_open(j->n, false, &j->e);
}

/* The primary wants it to be a voter. */
static bool
become_voter(struct node *n)
{
    struct voter_job j = { .n = n };

    if (n->cons != NULL || !atomic_exchange(&n->member->vote_asked, false))
        return false;
    err_clear(&j.e);
    offload(voter_job_run, &j);
    if (j.rc < 0)
        log_error("cannot be a voter", { "error", LZ(j.e.text) });
    else
        primary_kick(n); /* it may lead already */
    return j.rc == 0;
}

/* True: ask again at once, there is something to be told or to be heard. */
static bool
member_turn(struct node *n, unsigned *failures)
{
    struct err e;
    int        rc;

    err_clear(&e);
    rc = keepalive(n, &e);
    *failures = rc < 0 ? *failures + 1 : 0;
    if (rc < 0 && *failures == 1)
        log_warn("keepalive failed", { "error", LZ(e.text) });
    if (rc == 0)
        return become_voter(n);
    if (rc != -AIS_E_NONODE && rc != -AIS_E_NOTPRIMARY && *failures < KEEPALIVE_TRY)
        return false;
    join(n); /* the primary does not know us, or is another one by now */
    *failures = 0;
    return true; /* it waits to hear that its map is adopted */
}

void
join_loop(void *arg)
{
    struct node *n = arg;
    unsigned     failures = 0;
    bool         again = false;

    n->member->joiner = fiber_self();
    if (!n->member->standby) {
        join(n);
        again = true;
    }
    while (!member_stopping(n)) {
        if (!again)
            member_nap(n, keepalive_interval(n));
        again = false;
        (void)voter_follow_epoch(n);
        if (leads(n))
            failures = 0;
        else if (!member_stopping(n) && !n->member->standby && (atomic_load(&n->flags) & NODE_NODE_STARTED))
            again = member_turn(n, &failures);
    }
    n->member->joiner = NULL;
    member_fiber_done(n);
}

/* --- leaving --- */
struct leave {
    struct err e;
    int        rc;
};

static void
leave_run(struct node *n, void *arg)
{
    struct leave   *l = arg;
    struct arena   *mem = arena_new(4 * KIB, 256 * KIB);
    struct hc_resp  resp;
    struct views    v;

    views_get(n, &v);
    l->rc = node_call(n, v.smap->primary, M_DELETE, arena_printf(mem, "/v1/cluster/daemon/%s", n->id), STR_NULL, mem, 64 * KIB, CALL_TIMEOUT,
                      &resp, &l->e);
    views_put(&v);
    arena_free(mem);
}

/* Until the successor has said that it is primary; not for long: it may be none. */
static void
succession_run(struct node *n, void *arg)
{
    int64_t until = deadline_in(clock_mono(), SUCCESSION);
    bool    self = true;

    UNUSED(arg);
    while (self && clock_mono() < until && fiber_sleep(MSEC_NS(10)) == 0) {
        struct views v;

        views_get(n, &v);
        self = v.smap->primary == NULL || strcmp(v.smap->primary->id, n->id) == 0;
        views_put(&v);
    }
}

void
node_leave(struct node *n)
{
    struct leave l = { .rc = 0 };
    struct views v;
    bool         member;

    ASSERT_MAY_BLOCK();
    if (node_ending(n) == 0 && node_leads(n)) {
        primary_leave(n);
        fiber_call(n, "succession", succession_run, NULL);
    }
    views_get(n, &v);
    member = v.smap->primary != NULL && smap_find(v.smap, str_z(n->id)) != NULL && !node_is_primary(n, v.smap);
    views_put(&v);
    if (!member || node_ending(n) != 0 || !(atomic_load(&n->flags) & NODE_NODE_STARTED) || atomic_exchange(&n->member->standby, true))
        return;
    err_clear(&l.e);
    fiber_call(n, "leave", leave_run, &l);
    if (l.rc < 0)
        log_info("the cluster cannot be told that this node stops", { "error", LZ(l.e.text) });
}

/* --- handlers --- */
/* The sender is who the connection belongs to; this node is the primary and ready. */
static int
member_request(struct req *r, json_t **body, struct err *e)
{
    struct node *n = req_node(r);

    if (!node_leads(n) || !(atomic_load(&n->flags) & NODE_NODE_STARTED))
        return err_set(e, AIS_E_NOTPRIMARY, "%s is not primary", n->name);
    return json_read(r->body, body, e);
}

/* A lease goes to each target of the map that is not counted as dead. */
static void
grant(struct node *n, const struct smap *m, const char *id, struct jw *w)
{
    const struct snode *s = smap_find(m, str_z(id));

    if (s != NULL && s->role == ROLE_TARGET && !(s->flags & SNODE_DEAD) && node_may_grant(n))
        lease_grant(n->lease, id, m->version, clock_mono(), w);
}

static void
reply_meta(struct req *r, const char *to, const uint64_t have[MI_COUNT])
{
    struct node *n = req_node(r);
    struct mset *cur = member_cur(n);
    struct sbuf  b;
    struct jw    w;
    unsigned     items = 0;
    int          i;

    for (i = 0; i < MI_COUNT; i++) {
        if (have == NULL || mset_version(cur, (enum mitem)i) > have[i])
            items |= 1u << i;
    }
    sbuf_init(&b, REPLY_MAX);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    msg_meta_json(n, &w, cur, items);
    grant(n, cur->smap, to, &w);
    voter_asked_json(n, to, &w);
    jw_obj_end(&w);
    if (sbuf_ok(&b))
        ais_send_json(r, &b);
    else
        resp_err(r, -AIS_E_NOMEM, NULL);
    sbuf_fini(&b);
    mset_put(cur);
}

/* Does the node belong to this cluster, as far as it knows? */
static int
uuid_same(struct node *n, const json_t *j, const char *who, struct err *e)
{
    struct str   theirs = json_text(j, "uuid");
    struct mset *cur = member_cur(n);
    int          rc = 0;

    if (theirs.n > 0 && !str_eqz(theirs, cur->smap->uuid))
        rc = err_set(e, AIS_E_CONFLICT, "cluster integrity error: \"%s\" belongs to cluster \"%.*s\", this is \"%s\"", who,
                     STR_FMT(theirs), cur->smap->uuid);
    mset_put(cur);
    return rc;
}

/*
 * The map has a node of this id at another address. It moved, unless somebody still answers there as that node: then there are two,
 * perhaps disks that were copied, and only one can be right. Whom nobody hears is not asked for long.
 */
int
member_id_taken(struct node *n, const struct snode *sn, struct err *e)
{
    struct mset        *cur = member_cur(n);
    const struct snode *old = smap_find(cur->smap, str_z(sn->id));
    struct arena       *mem;
    struct hc_resp      resp;
    struct err          ignored;
    int                 rc = 0;

    if (old != NULL && strcmp(old->control.url, sn->control.url) != 0) {
        mem = arena_new(4 * KIB, 256 * KIB);
        err_clear(&ignored);
        if (node_call(n, old, M_GET, STR_LIT("/v1/daemon?what=snode"), STR_NULL, mem, 64 * KIB, CALL_TIMEOUT, &resp, &ignored) == 0)
            rc = err_set(e, AIS_E_CONFLICT, "%s at %s: the id is in use by the node at %s", sn->name, sn->control.url,
                         old->control.url);
        arena_free(mem);
    }
    mset_put(cur);
    return rc;
}

/* A refused node asks again every second; one line in ten seconds says enough. */
static void
refused_log(struct node *n, const char *id, const struct err *e)
{
    struct member *m = n->member;
    int64_t        now = clock_mono();
    bool           say;

    MUST(pthread_mutex_lock(&m->mtx));
    say = m->refused_at == 0 || now - m->refused_at > SEC_NS(10) || strcmp(m->refused_id, id) != 0;
    if (say) {
        m->refused_at = now;
        str_copyz(str_z(id), m->refused_id, sizeof(m->refused_id));
    }
    MUST(pthread_mutex_unlock(&m->mtx));
    if (say)
        log_warn("node refused", { "node", LZ(id) }, { "error", LZ(e->text) });
}

void
h_node_autoreg(struct req *r)
{
    struct node  *n = req_node(r);
    struct snode *sn = xcalloc(1, sizeof(*sn));
    const char   *peer = auth_peer(r->conn);
    json_t       *j = NULL;
    struct err    e;
    int           rc;

    err_clear(&e);
    rc = member_request(r, &j, &e);
    if (rc == 0)
        rc = member_from_json(j, sn, &e);
    if (rc == 0 && (peer == NULL || strcmp(peer, sn->id) != 0))
        rc = err_set(&e, AIS_E_FORBIDDEN, "node \"%s\" cannot register \"%s\"", peer != NULL ? peer : "", sn->id);
    if (rc == 0)
        rc = uuid_same(n, j, sn->id, &e);
    if (rc == 0)
        rc = member_id_taken(n, sn, &e);
    if (rc == 0)
        rc = meta_node_add(n, sn, NULL, &e);
    if (rc == 0) {
        uint64_t vers[MI_COUNT] = { 0 };

        peer_left(n, str_z(sn->id), false);
        peer_heard(n, str_z(sn->id), vers, j);
        MUST(pthread_mutex_lock(&n->member->mtx));
        n->member->last_join = clock_mono();
        MUST(pthread_mutex_unlock(&n->member->mtx));
        log_info("node joined", { "node", LZ(sn->name) }, { "url", LZ(sn->pub.url) });
        reply_meta(r, sn->id, NULL);
    } else {
        refused_log(n, sn->id, &e);
        resp_err(r, rc, &e);
    }
    json_decref(j);
    free(sn);
}

void
h_node_keepalive(struct req *r)
{
    struct node *n = req_node(r);
    const char  *peer = auth_peer(r->conn);
    json_t      *j = NULL;
    struct err   e;
    uint64_t     vers[MI_COUNT];
    int          rc;

    err_clear(&e);
    rc = member_request(r, &j, &e);
    if (rc == 0 && (peer == NULL || smap_find(req_views(r)->smap, str_z(peer)) == NULL))
        rc = err_set(&e, AIS_E_NONODE, "node \"%s\" is not in the cluster map", peer != NULL ? peer : "");
    if (rc == 0)
        rc = uuid_same(n, j, peer, &e);
    if (rc < 0) {
        resp_err(r, rc, &e);
    } else {
        msg_versions_read(j, vers);
        peer_heard(n, str_z(peer), vers, j);
        reply_meta(r, peer, vers);
    }
    json_decref(j);
}

void
h_node_metasync(struct req *r)
{
    struct node *n = req_node(r);
    struct mset *cur;
    struct sbuf  b;
    struct jw    w;
    struct err   e;
    int          rc;

    err_clear(&e);
    rc = msg_meta_adopt(n, r->body, 0, &e); /* a primary that does not know yet that it is none any more learns it here */
    if (rc < 0) {
        resp_err(r, rc, &e);
        return;
    }
    cur = member_cur(n);
    sbuf_init(&b, 64 * KIB);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    msg_versions_json(&w, cur);
    jw_obj_end(&w);
    mset_put(cur);
    ais_send_json(r, &b);
    sbuf_fini(&b);
}
