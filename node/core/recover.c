/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backup of the cluster's metadata, and its recovery when the log is lost: a majority of the voters for good, or a single proxy's disk.
 *
 * Recovery is one explicit request to one proxy. It takes the newest state that is known to anybody who can be reached (every node keeps what it
 * adopted last) or to a backup file, and begins a log of this proxy alone with it, in a new recovery epoch. Everybody follows the newer epoch:
 * targets take over what its primary says, whatever versions they had; voters of older epochs put their logs aside and vote anew. Changes
 * that only the lost voters knew are lost; so versions jump, and no version or bucket id is given twice.
 *
 * Runs on: the request's fiber. May park. Wire: docs/operations.md, "Recovery".
 */
#include <jansson.h>
#include <stdlib.h>

#include "core/core_impl.h"

#include "run/offload.h"
#include "codec/jw.h"
#include "base/log.h"
#include "base/util.h"

#define BACKUP_FORMAT 1
#define VERSION_JUMP  1000 /* more changes than anybody makes between two pushes */
#define ANSWER_MAX    (256u << 20)
#define ASK_TIMEOUT   SEC_NS(3)
#define LEAD_WAIT     SEC_NS(10)

/* --- what a node has --- */
/* {"format","epoch","term","leads","uuid","set":{...}}: the newest that this node has adopted. */
static bool
backup_text(struct node *n, struct sbuf *out)
{
    struct mset      *m = member_cur(n);
    struct cons_fence f = node_fence(n);
    struct sbuf       set;
    struct jw         w;
    bool              ok = cstate_text(m, &set);

    sbuf_init(out, ANSWER_MAX);
    jw_init(&w, out, 0);
    jw_obj(&w);
    jw_ku64(&w, "format", BACKUP_FORMAT);
    jw_ku64(&w, "epoch", f.epoch);
    jw_ku64(&w, "term", f.term);
    jw_kbool(&w, "leads", node_may_grant(n));
    jw_kstrz(&w, "uuid", m->smap->uuid);
    jw_key(&w, "set");
    jw_raw(&w, sbuf_str(&set));
    jw_obj_end(&w);
    sbuf_fini(&set);
    mset_put(m);
    return ok && sbuf_ok(out);
}

/* GET /v1/daemon?what=metadata */
void
h_node_metadata(struct req *r)
{
    struct sbuf b;

    if (backup_text(req_node(r), &b))
        ais_send_json(r, &b);
    else
        resp_err(r, -AIS_E_NOMEM, NULL);
    sbuf_fini(&b);
}

/* --- states to choose from --- */
struct found {
    struct mset *best;
    char         from[NODE_ID_MAX + 16]; /* whose it is */
    uint32_t     epoch;                  /* highest that anybody knows */
    unsigned     asked, answered, voters, voters_up;
    char         leader[NODE_ID_MAX + 1];
};

/* In one epoch history is one line: what has the higher versions is newer. */
static uint64_t
newness(const struct mset *m)
{
    uint64_t sum = 0;

    for (int i = 0; i < MI_COUNT; i++)
        sum += mset_version(m, (enum mitem)i);
    return sum;
}

/* Takes m. */
static void
found_add(struct found *f, struct mset *m, const char *from)
{
    bool same = f->best == NULL || strcmp(f->best->smap->uuid, m->smap->uuid) == 0;

    if (m->smap->uuid[0] != '\0' && same && (f->best == NULL || newness(m) > newness(f->best))) {
        mset_put(f->best);
        f->best = m;
        str_copyz(str_z(from), f->from, sizeof(f->from));
        return;
    }
    mset_put(m);
}

/* A backup's text, from a file or a node. */
static int
found_text(struct found *f, const json_t *j, const char *from, struct err *e)
{
    struct mset *m;
    uint64_t     format = 0, epoch = 0;
    unsigned     have = 0;
    int          rc;

    if (!json_u64(json_object_get(j, "format"), &format) || format != BACKUP_FORMAT)
        return err_set(e, AIS_E_BADREQ, "%s: not a backup of cluster metadata of format %d", from, BACKUP_FORMAT);
    m = mset_new(conf_default());
    rc = mset_from_json(m, json_object_get(j, "set"), &have, e);
    if (rc == 0 && have != ITEMS_ALL)
        rc = err_set(e, AIS_E_BADREQ, "%s: incomplete", from);
    if (rc == 0 && (!json_u64(json_object_get(j, "epoch"), &epoch) || epoch >= UINT32_MAX))
        rc = err_set(e, AIS_E_BADREQ, "%s: no recovery epoch", from);
    if (rc < 0) {
        mset_put(m);
        return rc;
    }
    f->epoch = MAX(f->epoch, (uint32_t)epoch);
    found_add(f, m, from);
    return 0;
}

static bool
votes(struct node *n, const char *id)
{
    struct cons_server s[CONS_VOTERS];
    unsigned           k = n->cons != NULL ? cons_voters(n->cons, s, CONS_VOTERS) : 0;

    for (unsigned i = 0; i < k; i++) {
        if (strcmp(s[i].node, id) == 0)
            return true;
    }
    return false;
}

static void
found_ask(struct node *n, struct found *f, const struct smap *m)
{
    struct arena *mem = arena_new(64 * KIB, ANSWER_MAX + MIB);
    struct bcast *b = xcalloc(m->nnodes + 1, sizeof(*b));
    struct err    e;
    unsigned      nb = 0;

    for (unsigned i = 0; i < m->nnodes; i++) {
        if (strcmp(m->nodes[i].id, n->id) != 0)
            b[nb++].to = &m->nodes[i];
    }
    (void)node_bcast(n, b, nb, M_GET, STR_LIT("/v1/daemon?what=metadata"), STR_NULL, mem, ANSWER_MAX, ASK_TIMEOUT);
    for (unsigned i = 0; i < nb; i++) {
        json_t *j = NULL;

        f->asked++;
        if (b[i].rc < 0)
            continue;
        f->answered++;
        f->voters_up += votes(n, b[i].to->id);
        err_clear(&e);
        if (json_read(b[i].resp.body, &j, &e) < 0 || found_text(f, j, b[i].to->name, &e) < 0)
            log_warn("what a node has cannot be used", { "node", LZ(b[i].to->name) }, { "error", LZ(e.text) });
        else if (json_is_true(json_object_get(j, "leads")))
            str_copyz(str_z(b[i].to->id), f->leader, sizeof(f->leader));
        json_decref(j);
    }
    free(b);
    arena_free(mem);
}

/* A node's own state: adopted or, when it votes, agreed on. A new cluster that nobody has joined is none. */
static void
found_own(struct node *n, struct found *f)
{
    struct mset *m = member_cur(n);

    f->epoch = node_fence(n).epoch;
    if (!node_leads(n) || m->bmd->n > 0 || m->smap->ntargets > 0) {
        found_add(f, mset_ref(m), n->name);
        if (n->cons != NULL && !cons_passive(n->cons))
            found_add(f, cstate_get(n->member->cstate), n->name);
    }
    mset_put(m);
}

/* The map of a node somewhere: ?from=URL. */
static int
map_of(struct node *n, struct str url, struct smap **out, struct err *e)
{
    struct arena  *mem = arena_new(64 * KIB, 64 * MIB);
    struct hc_req  q = { .method = M_GET, .base = url, .target = STR_LIT("/v1/daemon?what=smap"), .timeout_ns = ASK_TIMEOUT };
    struct hc_resp resp;
    json_t        *j = NULL;
    int            rc = hc_call(n->hc_plain, &q, mem, 32 * MIB, &resp, e);

    if (rc == 0 && resp.status != 200)
        rc = err_set(e, AIS_E_UNAVAIL, "%.*s: status %d", STR_FMT(url), resp.status);
    if (rc == 0)
        rc = json_read(resp.body, &j, e);
    if (rc == 0)
        rc = smap_from_json(j, out, e);
    json_decref(j);
    arena_free(mem);
    return rc < 0 ? err_fill(e, rc) : 0;
}

/* --- refusals --- */
static int
may_recover(struct node *n, const struct found *f, bool force, struct err *e)
{
    struct cons_server s[CONS_VOTERS];
    unsigned           voters = n->cons != NULL ? cons_voters(n->cons, s, CONS_VOTERS) : 0, up;
    struct mset       *m;
    bool               works;

    if (f->leader[0] != '\0')
        return err_set(e, AIS_E_CONFLICT, "%s: p[%s] is primary: there is nothing to recover", n->name, f->leader);
    m = member_cur(n);
    works = node_leads(n) && (m->bmd->n > 0 || m->smap->ntargets > 0);
    mset_put(m);
    if (works)
        return err_set(e, AIS_E_CONFLICT, "%s is primary of a cluster that works: there is nothing to recover", n->name);
    up = f->voters_up + votes(n, n->id);
    if (!force && !node_leads(n) && voters > 1 && up > voters / 2)
        return err_set(e, AIS_E_CONFLICT, "%s: %u of %u voters answer: they elect a primary by themselves (force=true if they do not)",
                       n->name, up, voters);
    if (f->best == NULL)
        return err_set(e, AIS_E_NOENT, "%s: nobody who can be reached has the cluster's metadata (a backup, or from=URL of a target)",
                       n->name);
    return 0;
}

/* --- the new beginning --- */
static bool
ep_taken(const struct snode *a, const struct snode *b)
{
    return (strcmp(a->pub.host, b->pub.host) == 0 && a->pub.port == b->pub.port) ||
           (strcmp(a->control.host, b->control.host) == 0 && a->control.port == b->control.port);
}

/* An older node at this one's addresses is this one's former self. */
static void
former_self_goes(struct node *n, struct mset *m)
{
    for (unsigned i = 0; i < m->smap->nnodes; i++) {
        const struct snode *s = &m->smap->nodes[i];

        if (strcmp(s->id, n->id) != 0 && ep_taken(s, &n->self)) {
            mset_set_smap(m, smap_without_node(m->smap, str_z(s->id)));
            i = (unsigned)-1;
        }
    }
}

/* A set of our own, through its text: nobody else holds these snapshots. */
static int
state_of(struct node *n, struct mset *best, struct sbuf *out, struct err *e)
{
    struct mset *m = mset_new(conf_default());
    json_t      *j = NULL;
    unsigned     have;
    int          rc = cstate_text(best, out) ? json_read(sbuf_str(out), &j, e) : err_set(e, AIS_E_TOOBIG, "metadata too large");

    if (rc == 0)
        rc = mset_from_json(m, j, &have, e);
    json_decref(j);
    sbuf_fini(out);
    sbuf_init(out, 0);
    if (rc == 0) {
        former_self_goes(n, m);
        m->smap->version += VERSION_JUMP;
        m->bmd->version += VERSION_JUMP;
        m->conf->version += VERSION_JUMP;
        m->rmd->version += VERSION_JUMP;
        if (!cstate_text(m, out))
            rc = err_set(e, AIS_E_TOOBIG, "metadata too large");
    }
    mset_put(m);
    return rc;
}

struct open_job {
    struct node *n;
    struct err  *e;
    int          rc;
};

static void
open_run(void *arg)
{
    struct open_job *j = arg;

    j->rc = voter_open(j->n, false, j->e);
}

static int
begin_epoch(struct node *n, const struct found *f, struct err *e)
{
    struct open_job job = { .n = n, .e = e };
    struct sbuf     text;
    int64_t         until = deadline_in(clock_mono(), LEAD_WAIT);
    int             rc = state_of(n, f->best, &text, e);

    if (rc == 0 && n->cons == NULL) {
        offload(open_run, &job);
        rc = job.rc;
    }
    if (rc == 0) {
        log_warn("the cluster is recovered", { "from", LZ(f->from) }, { "epoch", LU64(f->epoch + 1) },
                 { "smap", LU64(f->best->smap->version) }, { "bmd", LU64(f->best->bmd->version) }, { "buckets", LU64(f->best->bmd->n) });
        rc = cons_renew(n->cons, sbuf_str(&text), f->epoch + 1, e);
    }
    sbuf_fini(&text);
    while (rc == 0 && !(node_leads(n) && primary_fence(n).epoch > f->epoch)) {
        rc = fiber_sleep(MSEC_NS(10));
        if (rc == 0 && clock_mono() > until)
            rc = err_set(e, AIS_E_TIMEOUT, "%s: recovered, but not primary yet: see its log", n->name);
    }
    return rc;
}

static int
recover_from(struct node *n, const json_t *backup, struct str url, bool force, struct found *f, struct err *e)
{
    struct smap *m = NULL;
    struct mset *cur;
    int          rc = 0;

    found_own(n, f);
    if (json_object_get(backup, "set") != NULL)
        rc = found_text(f, backup, "the backup", e);
    if (rc == 0 && url.n > 0)
        rc = map_of(n, url, &m, e);
    if (rc < 0)
        return rc;
    if (m != NULL)
        found_ask(n, f, m);
    smap_put(m);
    cur = f->best != NULL ? mset_ref(f->best) : member_cur(n);
    found_ask(n, f, cur->smap); /* everybody in the newest map that is known by now */
    mset_put(cur);
    rc = may_recover(n, f, force, e);
    return rc == 0 ? begin_epoch(n, f, e) : rc;
}

static void
answer(struct req *r, const struct found *f)
{
    struct sbuf b;
    struct jw   w;

    sbuf_init(&b, 64 * KIB);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    jw_ku64(&w, "epoch", f->epoch + 1);
    jw_kstrz(&w, "from", f->from);
    jw_ku64(&w, "asked", f->asked);
    jw_ku64(&w, "answered", f->answered);
    jw_ku64(&w, "buckets", f->best->bmd->n);
    jw_kstrz(&w, "uuid", f->best->smap->uuid);
    jw_obj_end(&w);
    ais_send_json(r, &b);
    sbuf_fini(&b);
}

/* PUT /v1/daemon/recover[?from=URL][&force=true], body: a backup or nothing. */
void
h_node_recover(struct req *r)
{
    struct node *n = req_node(r);
    struct found f = { .best = NULL };
    struct str   url = STR_NULL;
    json_t      *j = NULL;
    struct err   e;
    int          rc = 0;

    err_clear(&e);
    (void)req_query(r, STR_LIT("from"), &url);
    if (n->role != ROLE_PROXY || (n->self.flags & SNODE_NON_ELECTABLE))
        rc = err_set(&e, AIS_E_BADREQ, "%s cannot be primary: recover at a proxy that can", n->name);
    if (rc == 0 && r->body.n > 0)
        rc = json_read(r->body, &j, &e);
    if (rc == 0)
        rc = recover_from(n, j, url, req_query_bool(r, STR_LIT("force")), &f, &e);
    if (rc == 0)
        answer(r, &f);
    else
        resp_err(r, rc, &e);
    json_decref(j);
    mset_put(f.best);
}
