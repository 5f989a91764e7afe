/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners of jobs; see ic.h.
 *
 * A job is over when all its targets have said so, or one that it was aborted there: then the primary stops the others (a rebalance is
 * over when the metadata says so). A target that
 * leaves the map is recorded as an error; one that has not been heard of for periodic.notif_time is asked when somebody wants to know. A
 * target that does not know the job (it was restarted) ends it, unless the job is younger than that. What is over is kept for three minutes.
 *
 * Runs on: fibers. Parks where ic.h says so.
 */
#include <jansson.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"
#include "codec/jw.h"
#include "core/conf.h"
#include "core/rmd.h"
#include "proxy/ic.h"
#include "proxy/listener.h"
#include "proxy/proxy_impl.h"
#include "run/fiber.h"

#define KEEP_NS      SEC_NS(180)
#define KEEP_LIST_NS SEC_NS(10)
#define LISTENERS_MAX 32768
#define TICK_NS      SEC_NS(5)
#define POLL_ALL_NS  SEC_NS(60)  /* running ones are looked after that often even if nobody asks */
#define FRESH_NS     SEC_NS(2)   /* what a target said is good for that long when somebody asks; a report may have been lost */
#define APPEAR_POLL  MSEC_NS(100)
#define SNAP_MAX     (64 * KIB)
#define BUNDLE_MAX   (64 * MIB)

struct ic {
    struct node    *n;
    pthread_mutex_t mtx;   /* protects all */
    struct hmap     all;   /* by id */
    bool            syncing;
};

static struct ic *
ic_of(struct node *n)
{
    return proxy_of(n)->ic;
}

bool
ic_member(const struct node *n, const struct smap *m)
{
    const struct snode *s = smap_find(m, str_z(n->id));

    return s != NULL && (s->flags & SNODE_IC);
}

/* --- the table --- */

static uint64_t
id_hash(struct str id)
{
    return hash_bytes(id.p, id.n, 9);
}

static struct listener *
find_locked(struct ic *ic, struct str id)
{
    uint64_t h = id_hash(id);

    for (struct hnode *n = hmap_first(&ic->all, h); n != NULL; n = hmap_next_same(n, h))
        if (str_eqz(id, CONTAINER_OF(n, struct listener, node)->id))
            return CONTAINER_OF(n, struct listener, node);
    return NULL;
}

static void
forget_locked(struct ic *ic, struct listener *l)
{
    hmap_del(&ic->all, &l->node);
    listener_free(l);
}

/* Takes l. False: it is there already (or the table is full of running ones). */
static bool
add_locked(struct ic *ic, struct listener *l)
{
    if (find_locked(ic, str_z(l->id)) != NULL || ic->all.n >= LISTENERS_MAX) {
        listener_free(l);
        return false;
    }
    l->added = clock_mono();
    hmap_add(&ic->all, &l->node, id_hash(str_z(l->id)));
    return true;
}

/* --- the end of a job --- */

struct stopping {
    struct node *n;
    char         id[XID_MAX];
    enum xkind   kind; /* X_ANY */
    const char  *why;  /* XABORT_IC, "" = a user */
};

static void
stop_at_targets(const struct stopping *s)
{
    struct arena *a = arena_new(4 * KIB, 4 * MIB);
    struct bcast *c;
    struct views  v;
    struct sbuf   body;
    struct jw     w;

    views_get(s->n, &v);
    sbuf_init(&body, 64 * KIB);
    jw_init(&w, &body, 0);
    jw_obj(&w);
    jw_kstrz(&w, "action", "stop");
    jw_kstrz(&w, "name", s->why);
    jw_key(&w, "value");
    xmsg_args_json(&(struct xmsg){ .id = str_z(s->id), .kind = s->kind }, &w);
    jw_obj_end(&w);
    c = arena_zalloc(a, (v.smap->nactive + 1) * sizeof(*c));
    for (unsigned i = 0; c != NULL && i < v.smap->nactive; i++)
        c[i].to = v.smap->active[i];
    if (c != NULL && v.smap->nactive > 0)
        (void)node_bcast(s->n, c, v.smap->nactive, M_PUT, STR_LIT("/v1/xactions"), sbuf_str(&body), a, 64 * KIB,
                         v.conf->timeout.max_keepalive);
    sbuf_fini(&body);
    views_put(&v);
    arena_free(a);
}

/* It was aborted somewhere: it shall end everywhere. */
static void
stop_fiber(void *arg)
{
    struct stopping *s = arg;

    stop_at_targets(s);
    free(s);
}

/* One member does it: the primary, or, if that is none, whoever notices. */
static void
stop_elsewhere(struct ic *ic, const struct listener *l)
{
    struct stopping *s;
    struct views     v;
    bool             mine;

    views_get(ic->n, &v);
    mine = node_is_primary(ic->n, v.smap) || v.smap->primary == NULL || !(v.smap->primary->flags & SNODE_IC);
    views_put(&v);
    if (!mine || l->nsrcs < 2)
        return;
    s = xcalloc(1, sizeof(*s));
    *s = (struct stopping){ .n = ic->n, .kind = l->kind, .why = XABORT_IC };
    memcpy(s->id, l->id, sizeof(s->id));
    if (fiber_spawn(run_loop(ic->n->run, 0), "stop job", stop_fiber, s) < 0)
        free(s);
}

static void
end_locked(struct ic *ic, struct listener *l)
{
    if (l->ended != 0)
        return;
    l->ended = clock_real();
    if (l->aborted)
        stop_elsewhere(ic, l);
}

/* A target has said that its part is over. */
static void
src_over_locked(struct ic *ic, struct listener *l, struct src *s, bool aborted, struct str error)
{
    if (s->active) {
        s->active = false;
        l->nactive--;
    }
    if (aborted) {
        l->aborted = true;
        if (error.n == 0)
            error = STR_LIT("aborted");
    }
    listener_err(l, error);
    if (l->nactive == 0 || aborted)
        end_locked(ic, l);
}

/* --- reports of targets --- */

static bool
snap_over(const json_t *snap)
{
    struct str end = json_text(snap, "end-time");

    return end.n > 0 && !str_starts(end, STR_LIT("0001-01-01"));
}

static struct str
snap_error(const json_t *snap)
{
    struct str abort_err = json_text(snap, "abort-err");

    return abort_err.n > 0 ? abort_err : json_text(snap, "err");
}

/* A Snap of that target. */
static void
heard_locked(struct ic *ic, struct listener *l, struct src *s, const json_t *snap)
{
    bool aborted = json_is_true(json_object_get(snap, "aborted"));

    s->heard = clock_mono();
    if (s->active && (aborted || snap_over(snap)))
        src_over_locked(ic, l, s, aborted, snap_error(snap));
}

static int
report(struct req *r, const json_t *msg, bool finished, struct err *e)
{
    struct ic       *ic = ic_of(req_node(r));
    struct str       id = json_text(msg, "uuid"), from = str_z(((struct caller *)r->user)->id), text = json_text(msg, "err");
    struct listener *l;
    struct src      *s;
    int              rc = 0;

    if (!xid_valid(id))
        return err_set(e, AIS_E_BADREQ, "invalid xaction (job) UUID \"%.*s\"", STR_FMT(id));
    pthread_mutex_lock(&ic->mtx);
    l = find_locked(ic, id); /* jobs are registered before they start; those that a target starts by itself are nobody's */
    s = l != NULL ? listener_src(l, from) : NULL;
    if (s != NULL && !s->active) {
        rc = err_set(e, AIS_E_BADREQ, "%s: duplicate notification of %.*s from %.*s", ic->n->name, STR_FMT(id), STR_FMT(from));
    } else if (s != NULL) {
        s->heard = clock_mono();
        if (finished)
            src_over_locked(ic, l, s, json_is_true(json_object_get(msg, "aborted")), text);
        else
            listener_err(l, text);
    }
    pthread_mutex_unlock(&ic->mtx);
    return rc;
}

void
h_proxy_notifs(struct req *r)
{
    struct err e = { .code = 0 };
    json_t    *msg = NULL;
    bool       finished = str_eqz(r->item[0], "finished");
    int        rc = 0;

    if (!finished && !str_eqz(r->item[0], "progress"))
        rc = err_set(&e, AIS_E_BADREQ, "Invalid route /notifs/%.*s", STR_FMT(r->item[0]));
    if (rc == 0)
        rc = json_read(r->body, &msg, &e);
    if (rc == 0)
        rc = report(r, msg, finished, &e);
    json_decref(msg);
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        resp_empty(r, 200);
}

/* --- asking targets --- */

/* Those of a listener that have not been heard of for `ns`, as the map knows them. */
static unsigned
tardy_locked(struct listener *l, const struct smap *m, int64_t ns, struct bcast *out)
{
    int64_t  now = clock_mono();
    unsigned n = 0;

    for (unsigned i = 0; i < l->nsrcs; i++) {
        const struct snode *t = l->srcs[i].active ? smap_find(m, str_z(l->srcs[i].id)) : NULL;

        if (t != NULL && snode_active(t) && (l->srcs[i].heard == 0 || now - l->srcs[i].heard >= ns))
            out[n++].to = t;
    }
    return n;
}

static void
answer_locked(struct ic *ic, struct listener *l, const struct bcast *c, int64_t young_ns)
{
    struct src *s = listener_src(l, str_z(c->to->id));
    json_t     *snap = NULL;
    char        text[200];

    if (s == NULL || !s->active)
        return;
    if (c->rc == 0 && json_read(c->resp.body, &snap, NULL) == 0)
        heard_locked(ic, l, s, snap);
    json_decref(snap);
    if (c->rc == 0 || c->err.status != 404 || clock_mono() - l->added < young_ns || l->kind == X_REBALANCE)
        return; /* a rebalance goes on where a target was restarted; its end is in the metadata */
    snprintf(text, sizeof(text), "%s: %s[%s] at %s does not exist", c->to->name, xact_table[l->kind].kind, l->id, c->to->name);
    src_over_locked(ic, l, s, true, str_z(text)); /* started there and forgotten: restarted */
}

/* Ask the targets that have been silent for `ns`. Parks. */
static void
refresh(struct ic *ic, const char *id, int64_t ns)
{
    struct arena    *a = arena_new(16 * KIB, 64 * MIB);
    struct listener *l;
    struct bcast    *c = NULL;
    struct views     v;
    struct str       path = arena_printf(a, "/v1/xactions?what=getxstats&uuid=%s", id);
    unsigned         n = 0;

    views_get(ic->n, &v);
    pthread_mutex_lock(&ic->mtx);
    l = find_locked(ic, str_z(id));
    if (l != NULL && l->ended == 0) {
        c = arena_zalloc(a, (l->nsrcs + 1) * sizeof(*c));
        n = c == NULL ? 0 : tardy_locked(l, v.smap, ns, c);
        l->polled = clock_mono();
    }
    pthread_mutex_unlock(&ic->mtx);
    if (n > 0 && node_bcast(ic->n, c, n, M_GET, path, STR_NULL, a, SNAP_MAX, v.conf->timeout.max_host_busy) == 0) {
        pthread_mutex_lock(&ic->mtx);
        l = find_locked(ic, str_z(id));
        for (unsigned i = 0; l != NULL && i < n; i++)
            answer_locked(ic, l, &c[i], v.conf->periodic.notif_time);
        pthread_mutex_unlock(&ic->mtx);
    }
    views_put(&v);
    arena_free(a);
}

/* Nobody registered it, or nobody who did is left: do the targets know it? Then it is listened to from now on. Parks. */
static void
ask_targets_for(struct ic *ic, struct str id)
{
    struct arena    *a = arena_new(16 * KIB, 64 * MIB);
    struct listener *l = NULL;
    struct bcast    *c;
    struct views     v;
    struct str       path = arena_printf(a, "/v1/xactions?what=getxstats&uuid=%.*s", STR_FMT(id));
    unsigned         n;

    views_get(ic->n, &v);
    n = v.smap->nactive;
    c = arena_zalloc(a, (n + 1) * sizeof(*c));
    for (unsigned i = 0; c != NULL && i < n; i++)
        c[i].to = v.smap->active[i];
    if (c == NULL || n == 0 ||
        node_bcast(ic->n, c, n, M_GET, path, STR_NULL, a, SNAP_MAX, v.conf->timeout.cplane_operation) < 0)
        n = 0;
    pthread_mutex_lock(&ic->mtx);
    for (unsigned i = 0; i < n; i++) {
        enum xkind kind;
        json_t    *snap = NULL;

        if (c[i].rc < 0 || json_read(c[i].resp.body, &snap, NULL) < 0)
            continue;
        if (xkind_find(json_text(snap, "kind"), &kind)) {
            if (l == NULL)
                l = listener_new(arena_strdup(a, id), kind, "", NULL, n);
            listener_src_add(l, str_z(c[i].to->id), true);
            l->srcs[l->nsrcs - 1].heard = clock_mono();
            if (snap_over(snap) || json_is_true(json_object_get(snap, "aborted")))
                src_over_locked(ic, l, &l->srcs[l->nsrcs - 1], json_is_true(json_object_get(snap, "aborted")), snap_error(snap));
        }
        json_decref(snap);
    }
    if (l != NULL) {
        l->ended = l->nactive == 0 || l->aborted ? (l->ended != 0 ? l->ended : clock_real()) : 0;
        (void)add_locked(ic, l);
    }
    pthread_mutex_unlock(&ic->mtx);
    views_put(&v);
    arena_free(a);
}

/* What another member knows: what is new here, and ends that were not heard. Takes l. */
static void
merge_locked(struct ic *ic, struct listener *l)
{
    struct listener *mine = find_locked(ic, str_z(l->id));

    if (mine == NULL) {
        (void)add_locked(ic, l);
        return;
    }
    listener_merge(mine, l);
    listener_free(l);
}

static void
merge_table(struct ic *ic, const json_t *table)
{
    static const char *const lists[] = { "running", "finished" };

    for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
        const json_t *arr = json_object_get(table, lists[k]);

        for (size_t i = 0; i < json_array_size(arr); i++) {
            struct listener *l = listener_read(json_object_get(json_array_get(arr, i), "nl"));

            if (l == NULL)
                continue;
            pthread_mutex_lock(&ic->mtx);
            merge_locked(ic, l);
            pthread_mutex_unlock(&ic->mtx);
        }
    }
}

static void
put_table_locked(struct ic *ic, struct jw *w)
{
    jw_obj(w);
    for (int over = 0; over < 2; over++) {
        jw_key(w, over ? "finished" : "running");
        jw_arr(w);
        for (struct hnode *n = hmap_iter(&ic->all, NULL); n != NULL; n = hmap_iter(&ic->all, n)) {
            const struct listener *l = CONTAINER_OF(n, struct listener, node);

            if ((l->ended != 0) != over)
                continue;
            jw_obj(w);
            jw_kstrz(w, "type", xact_table[l->kind].kind);
            jw_key(w, "nl");
            listener_json(l, w);
            jw_obj_end(w);
        }
        jw_arr_end(w);
    }
    jw_obj_end(w);
}

/* --- between members --- */

/* Ask the others, in turn, for all they know; one answer is enough. Parks. */
static bool
sync_from_others(struct ic *ic)
{
    struct arena *a = arena_new(64 * KIB, 2 * BUNDLE_MAX);
    struct views  v;
    bool          done = false;

    views_get(ic->n, &v);
    for (unsigned i = 0; i < v.smap->nnodes && !done; i++) {
        const struct snode *p = &v.smap->nodes[i];
        struct hc_resp      resp;
        json_t             *j = NULL;

        if (p->role != ROLE_PROXY || !(p->flags & SNODE_IC) || !snode_active(p) || strcmp(p->id, ic->n->id) == 0)
            continue;
        if (node_call(ic->n, p, M_GET, STR_LIT("/v1/ic?what=ic_bundle"), STR_NULL, a, BUNDLE_MAX,
                      v.conf->timeout.cplane_operation, &resp, NULL) == 0 &&
            json_read(resp.body, &j, NULL) == 0) {
            merge_table(ic, json_object_get(j, "ownership_table"));
            done = true;
        }
        json_decref(j);
    }
    views_put(&v);
    arena_free(a);
    return done;
}

static void
sync_fiber(void *arg)
{
    struct ic *ic = arg;

    for (unsigned i = 0; i < 10 && !sync_from_others(ic); i++)
        if (fiber_sleep(MSEC_NS(500)) < 0)
            break;
    pthread_mutex_lock(&ic->mtx);
    ic->syncing = false;
    pthread_mutex_unlock(&ic->mtx);
}

static unsigned
members_but_me(const struct node *n, const struct smap *m, struct bcast *out)
{
    unsigned k = 0;

    for (unsigned i = 0; i < m->nnodes; i++)
        if (m->nodes[i].role == ROLE_PROXY && (m->nodes[i].flags & SNODE_IC) && snode_active(&m->nodes[i]) &&
            strcmp(m->nodes[i].id, n->id) != 0)
            out[k++].to = &m->nodes[i];
    return k;
}

/* {"action": ..., "value": ...} to all other members. */
static void
tell_members(struct node *n, const char *action, struct str value)
{
    struct arena *a = arena_new(4 * KIB, 4 * MIB);
    struct bcast *c;
    struct views  v;
    struct sbuf   body;
    unsigned      k;

    views_get(n, &v);
    c = arena_zalloc(a, (v.smap->nnodes + 1) * sizeof(*c));
    k = c == NULL ? 0 : members_but_me(n, v.smap, c);
    sbuf_init(&body, 4 * MIB);
    sbuf_printf(&body, "{\"action\":\"%s\",\"value\":%.*s}", action, STR_FMT(value));
    if (k > 0 && node_bcast(n, c, k, M_POST, STR_LIT("/v1/ic"), sbuf_str(&body), a, 64 * KIB, v.conf->timeout.cplane_operation) == 0)
        for (unsigned i = 0; i < k; i++)
            if (c[i].rc < 0)
                log_warn("information centre: member not told", { "member", LZ(c[i].to->id) }, { "error", LZ(c[i].err.text) });
    sbuf_fini(&body);
    views_put(&v);
    arena_free(a);
}

int
ic_watch(struct node *n, const char *id, enum xkind kind, const char *cause, const struct bck *b, const struct snode *const *targets,
         unsigned ntargets, struct err *e)
{
    struct ic       *ic = ic_of(n);
    struct listener *l;
    struct sbuf      value;
    struct views     v;
    struct jw        w;

    if (ntargets == 0)
        return err_set(e, AIS_E_BADREQ, "cannot add \"%s[%s]\" with no active notifiers", xact_table[kind].kind, id);
    l = listener_new(id, kind, cause, b, ntargets);
    for (unsigned i = 0; i < ntargets; i++)
        listener_src_add(l, str_z(targets[i]->id), true);
    sbuf_init(&value, 1 * MIB);
    jw_init(&w, &value, 0);
    listener_json(l, &w);
    views_get(n, &v);
    pthread_mutex_lock(&ic->mtx);
    if (ic_member(n, v.smap))
        (void)add_locked(ic, l);
    else
        listener_free(l);
    pthread_mutex_unlock(&ic->mtx);
    views_put(&v);
    tell_members(n, "watch-xaction", sbuf_str(&value));
    sbuf_fini(&value);
    return 0;
}

static void
unwatch_here(struct ic *ic, struct str id)
{
    struct listener *l;

    pthread_mutex_lock(&ic->mtx);
    l = find_locked(ic, id);
    if (l != NULL)
        forget_locked(ic, l);
    pthread_mutex_unlock(&ic->mtx);
}

void
ic_unwatch(struct node *n, const char *id)
{
    char value[XID_MAX + 16];

    unwatch_here(ic_of(n), str_z(id));
    snprintf(value, sizeof(value), "{\"uuid\":\"%s\"}", id);
    tell_members(n, "unwatch-xaction", str_z(value));
}

void
ic_stop_and_forget(struct node *n, const char *id)
{
    struct stopping s = { .n = n, .kind = X_ANY, .why = "" };

    (void)str_copyz(str_z(id), s.id, sizeof(s.id));
    stop_at_targets(&s);
    ic_unwatch(n, id);
}

/* GET /v1/ic?what=ic_bundle */
void
h_proxy_ic_get(struct req *r)
{
    struct ic  *ic = ic_of(req_node(r));
    struct str  what = STR_LIT("");
    struct err  e = { .code = 0 };
    struct sbuf out;
    struct jw   w;

    (void)req_query(r, STR_LIT("what"), &what);
    if (!str_eqz(what, "ic_bundle")) {
        err_set(&e, AIS_E_BADREQ, "unexpected query [what=%.*s]", STR_FMT(what));
        resp_err(r, -AIS_E_BADREQ, &e);
        return;
    }
    sbuf_init(&out, BUNDLE_MAX);
    jw_init(&w, &out, 0);
    jw_obj(&w);
    jw_key(&w, "smap");
    smap_json(req_views(r)->smap, &w);
    jw_key(&w, "ownership_table");
    pthread_mutex_lock(&ic->mtx);
    put_table_locked(ic, &w);
    pthread_mutex_unlock(&ic->mtx);
    jw_obj_end(&w);
    if (sbuf_ok(&out))
        ais_send_json(r, &out);
    else
        resp_err(r, -AIS_E_TOOBIG, NULL);
    sbuf_fini(&out);
}

static int
act_watch(struct ic *ic, const json_t *v, struct err *e)
{
    struct listener *l = listener_read(v);

    if (l == NULL)
        return err_set(e, AIS_E_BADREQ, "malformed listener");
    pthread_mutex_lock(&ic->mtx);
    merge_locked(ic, l);
    pthread_mutex_unlock(&ic->mtx);
    return 0;
}

static int
act_unwatch(struct ic *ic, const json_t *v, struct err *e)
{
    UNUSED(e);
    unwatch_here(ic, json_text(v, "uuid"));
    return 0;
}

static int
act_merge(struct ic *ic, const json_t *v, struct err *e)
{
    UNUSED(e);
    merge_table(ic, v);
    return 0;
}

/* POST /v1/ic */
void
h_proxy_ic_post(struct req *r)
{
    static const struct {
        const char *action;
        int       (*fn)(struct ic *ic, const json_t *v, struct err *e);
    } acts[] = {
        { "watch-xaction", act_watch },
        { "reg-global-xaction", act_watch }, /* of a target that began one by itself: the same members */
        { "unwatch-xaction", act_unwatch },
        { "ic-merge-own-tbl", act_merge },
    };
    struct actmsg m = { .root = NULL };
    struct err    e = { .code = 0 };
    int           rc = actmsg_read(r, &m, &e);
    size_t        i;

    for (i = 0; rc == 0 && i < ARRAY_SIZE(acts) && !str_eqz(m.action, acts[i].action); i++)
        ;
    if (rc == 0)
        rc = i < ARRAY_SIZE(acts) ? acts[i].fn(ic_of(req_node(r)), m.value, &e)
                                  : err_set(&e, AIS_E_BADREQ, "invalid action \"%.*s\"", STR_FMT(m.action));
    actmsg_free(&m);
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        resp_empty(r, 200);
}

/* --- Status --- */

/* One that runs, else the one that ended last. */
static struct listener *
best_locked(struct ic *ic, const struct xmsg *m)
{
    struct listener *best = NULL;

    if (m->id.n > 0)
        return find_locked(ic, m->id);
    for (struct hnode *n = hmap_iter(&ic->all, NULL); n != NULL; n = hmap_iter(&ic->all, n)) {
        struct listener *l = CONTAINER_OF(n, struct listener, node);

        if (listener_matches(l, m) && (best == NULL || l->ended == 0 || (best->ended != 0 && l->ended > best->ended)))
            best = l;
    }
    return best;
}

/* --- rebalances: the metadata says which one runs, and it needs nobody to register it --- */

/* Those that the metadata has left behind are over. */
static void
rebalances_over_locked(struct ic *ic, const struct rmd *m)
{
    for (struct hnode *n = hmap_iter(&ic->all, NULL); n != NULL; n = hmap_iter(&ic->all, n)) {
        struct listener *l = CONTAINER_OF(n, struct listener, node);
        uint64_t         reb;

        if (l->kind != X_REBALANCE || l->ended != 0 || !xid_rebalance(str_z(l->id), &reb) || m->reb_id < reb)
            continue;
        if (m->reb_id == reb && m->state == RMD_RUNNING)
            continue;
        l->aborted |= m->reb_id > reb || m->state == RMD_ABORTED;
        if (m->reb_id > reb)
            listener_err(l, STR_LIT("preempted by a newer rebalance"));
        else if (l->aborted)
            listener_err(l, STR_LIT(XABORT_USER));
        l->ended = clock_real();
    }
}

static void
know_rebalance(struct ic *ic)
{
    struct views     v;
    struct listener *l;
    char             id[XID_MAX];

    views_get(ic->n, &v);
    if (v.rmd == NULL || v.smap == NULL) {
        views_put(&v);
        return;
    }
    pthread_mutex_lock(&ic->mtx);
    rebalances_over_locked(ic, v.rmd);
    snprintf(id, sizeof(id), "g%llu", (unsigned long long)v.rmd->reb_id);
    if (v.rmd->state == RMD_RUNNING && v.smap->nactive > 0 && find_locked(ic, str_z(id)) == NULL) {
        l = listener_new(id, X_REBALANCE, "", NULL, v.smap->nactive);
        for (unsigned i = 0; i < v.smap->nactive; i++)
            listener_src_add(l, str_z(v.smap->active[i]->id), true);
        (void)add_locked(ic, l);
    }
    pthread_mutex_unlock(&ic->mtx);
    views_put(&v);
}

/* Its id, once it is there. Parks. */
static bool
appears(struct ic *ic, const struct xmsg *m, int64_t ns, char id[XID_MAX])
{
    int64_t          deadline = clock_mono() + ns;
    struct listener *l;

    for (unsigned i = 0;; i++) {
        know_rebalance(ic);
        pthread_mutex_lock(&ic->mtx);
        l = best_locked(ic, m);
        if (l != NULL)
            memcpy(id, l->id, XID_MAX);
        pthread_mutex_unlock(&ic->mtx);
        if (l != NULL)
            return true;
        if (i == 0) {
            (void)sync_from_others(ic);
        } else if (i == 1 && m->id.n > 0) {
            ask_targets_for(ic, m->id);
        } else if (clock_mono() >= deadline || fiber_sleep(APPEAR_POLL) < 0) {
            return false;
        }
    }
}

int
ic_status(struct node *n, const struct xmsg *m, struct jw *w, struct err *e)
{
    struct ic       *ic = ic_of(n);
    struct listener *l;
    struct views     v;
    int64_t          appear_ns, tardy_ns;
    char             id[XID_MAX], text[256];
    int              rc = 0;

    views_get(n, &v);
    appear_ns = v.conf->timeout.cplane_operation;
    tardy_ns = MIN(v.conf->periodic.notif_time, FRESH_NS);
    views_put(&v);
    if (!appears(ic, m, appear_ns, id))
        return err_set(e, AIS_E_NOENT, "%s: nl [%s] does not exist", n->name, xmsg_text(m, text, sizeof(text)));
    refresh(ic, id, tardy_ns);
    know_rebalance(ic);
    pthread_mutex_lock(&ic->mtx);
    l = find_locked(ic, str_z(id));
    if (l == NULL)
        rc = err_set(e, AIS_E_NOENT, "%s: nl [%s] does not exist", n->name, xmsg_text(m, text, sizeof(text)));
    else if (m->kind != X_ANY && m->kind != l->kind)
        rc = err_set(e, AIS_E_BADREQ, "kind mismatch: %s, expected kind=%s", xmsg_text(m, text, sizeof(text)),
                     xact_table[l->kind].kind);
    else
        listener_status_json(l, w);
    pthread_mutex_unlock(&ic->mtx);
    return rc;
}

/* Ids of all that match; heap. */
static char (*ids_of(struct ic *ic, const struct xmsg *m, unsigned *count))[XID_MAX]
{
    char (*ids)[XID_MAX];

    *count = 0;
    pthread_mutex_lock(&ic->mtx);
    ids = xcalloc(ic->all.n + 1, sizeof(*ids));
    for (struct hnode *n = hmap_iter(&ic->all, NULL); n != NULL; n = hmap_iter(&ic->all, n)) {
        const struct listener *l = CONTAINER_OF(n, struct listener, node);

        if (listener_matches(l, m))
            memcpy(ids[(*count)++], l->id, XID_MAX);
    }
    pthread_mutex_unlock(&ic->mtx);
    return ids;
}

void
ic_status_all(struct node *n, const struct xmsg *m, bool fresh, struct jw *w)
{
    struct ic   *ic = ic_of(n);
    struct views v;
    unsigned     count;
    char       (*ids)[XID_MAX];
    int64_t      tardy_ns;
    bool         any = false;

    views_get(n, &v);
    tardy_ns = MIN(v.conf->periodic.notif_time, FRESH_NS);
    views_put(&v);
    know_rebalance(ic);
    ids = ids_of(ic, m, &count);
    for (unsigned i = 0; fresh && i < count; i++)
        refresh(ic, ids[i], tardy_ns);
    for (unsigned i = 0; i < count; i++) {
        struct listener *l;

        pthread_mutex_lock(&ic->mtx);
        l = find_locked(ic, str_z(ids[i]));
        if (l != NULL && listener_matches(l, m)) {
            if (!any)
                jw_arr(w);
            any = true;
            listener_status_json(l, w);
        }
        pthread_mutex_unlock(&ic->mtx);
    }
    if (any)
        jw_arr_end(w);
    else
        jw_null(w);
    free(ids);
}

bool
ic_running(struct node *n, enum xkind kind, char id[XID_MAX])
{
    struct ic       *ic = ic_of(n);
    struct listener *l;

    know_rebalance(ic);
    pthread_mutex_lock(&ic->mtx);
    l = best_locked(ic, &(struct xmsg){ .kind = kind, .active = 1 });
    if (l != NULL)
        memcpy(id, l->id, XID_MAX);
    pthread_mutex_unlock(&ic->mtx);
    return l != NULL;
}

/* --- changes of the map, and of time --- */

/* Targets that will not report: gone is an error; being taken out of service is not, for a rebalance. */
static void
missing_locked(struct ic *ic, struct listener *l, const struct smap *m)
{
    char text[200];

    for (unsigned i = 0; i < l->nsrcs && l->ended == 0; i++) {
        struct src         *s = &l->srcs[i];
        const struct snode *t = s->active ? smap_find(m, str_z(s->id)) : NULL;

        if (!s->active || (t != NULL && snode_active(t)))
            continue;
        if (l->kind == X_REBALANCE && t != NULL) {
            src_over_locked(ic, l, s, false, STR_NULL);
            continue;
        }
        snprintf(text, sizeof(text), "%s: abort %s[%s] via 'smap-changed': node t[%s] is not present in the cluster map", ic->n->name,
                 xact_table[l->kind].kind, l->id, s->id);
        src_over_locked(ic, l, s, true, str_z(text));
    }
}

void
ic_on_smap(struct node *n, const struct smap *old, const struct smap *nw)
{
    struct ic *ic = n->priv != NULL ? ic_of(n) : NULL;
    bool       sync;

    if (ic == NULL)
        return;
    pthread_mutex_lock(&ic->mtx);
    for (struct hnode *h = hmap_iter(&ic->all, NULL); h != NULL; h = hmap_iter(&ic->all, h))
        missing_locked(ic, CONTAINER_OF(h, struct listener, node), nw);
    sync = ic_member(n, nw) && (old == NULL || !ic_member(n, old)) && !ic->syncing;
    ic->syncing |= sync;
    pthread_mutex_unlock(&ic->mtx);
    if (sync && fiber_spawn(run_loop(n->run, 0), "join information centre", sync_fiber, ic) < 0) {
        pthread_mutex_lock(&ic->mtx);
        ic->syncing = false;
        pthread_mutex_unlock(&ic->mtx);
    }
}

/* Forget what ended long ago; look after one that nobody asked for lately. */
static bool
housekeep(struct ic *ic, int64_t now, int64_t real, char id[XID_MAX])
{
    struct hnode *n, *next;
    bool          found = false;

    pthread_mutex_lock(&ic->mtx);
    for (n = hmap_iter(&ic->all, NULL); n != NULL; n = next) {
        struct listener *l = CONTAINER_OF(n, struct listener, node);

        next = hmap_iter(&ic->all, n);
        if (l->ended != 0 && real - l->ended > (l->kind == X_LIST ? KEEP_LIST_NS : KEEP_NS)) {
            forget_locked(ic, l);
        } else if (l->ended == 0 && !found && now - MAX(l->polled, l->added) > POLL_ALL_NS) {
            memcpy(id, l->id, XID_MAX);
            found = true;
        }
    }
    pthread_mutex_unlock(&ic->mtx);
    return found;
}

static void
housekeeper(void *arg)
{
    struct ic *ic = arg;
    char       id[XID_MAX];

    while (fiber_sleep(TICK_NS) == 0) {
        know_rebalance(ic);
        while (housekeep(ic, clock_mono(), clock_real(), id) && !fiber_cancelled())
            refresh(ic, id, POLL_ALL_NS / 2);
    }
}

/* --- life --- */

struct ic *
ic_new(struct node *n)
{
    struct ic *ic = xcalloc(1, sizeof(*ic));

    ic->n = n;
    MUST(pthread_mutex_init(&ic->mtx, NULL));
    (void)fiber_spawn(run_loop(n->run, 0), "information centre", housekeeper, ic);
    return ic;
}

void
ic_free(struct ic *ic)
{
    struct hnode *n;

    if (ic == NULL)
        return;
    while ((n = hmap_iter(&ic->all, NULL)) != NULL)
        forget_locked(ic, CONTAINER_OF(n, struct listener, node));
    hmap_fini(&ic->all);
    pthread_mutex_destroy(&ic->mtx);
    free(ic);
}
