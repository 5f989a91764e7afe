/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Being primary: who may begin a cluster; what happens when the log says that this node leads, and when it does not any more; when the
 * cluster counts as started; handing over.
 *
 * A node that leads has everything that was agreed on. It adopts that under its own term, which makes it count for more than what anybody
 * said before, writes its name into the map, and tells everybody. From then on it is primary. It stops the moment that the log says so: what
 * it says after that is of an old term, and nobody who knows the new one listens.
 *
 * Runs on: fibers of the control loop, one turn of events at a time (lead_mtx); primary_on_lead on the consensus thread.
 */
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/core_impl.h"
#include "core/lease.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"

#define QUIET         MSEC_NS(300) /* a new cluster: no more joins for so long */
#define MISSING_WAIT  SEC_NS(5)    /* a known cluster: longest wait for targets that do not come back */
#define LEAD_RETRY    MSEC_NS(500)
#define LEAVE_LIMIT   SEC_NS(2)    /* a node that stops: for its successor */
#define CHANGE_LIMIT  SEC_NS(10)   /* set-primary: until the other is a voter that is up to date */
#define FOLLOW_LIMIT  SEC_NS(10)   /* and until it is primary in our eyes */
#define POLL          MSEC_NS(10)

/* --- may it begin a cluster? --- */
/* Somebody at the discovery addresses is primary of a running cluster: then this node is not. On a fiber. */
struct rival {
    struct node *n;
    bool         found;
};

static void
rival_ask(struct node *n, void *arg)
{
    struct rival *x = arg;
    struct views  v;
    const char   *urls[2];
    struct snode *to = xcalloc(1, sizeof(*to));
    struct arena *mem = arena_new(16 * KIB, 1 * MIB);
    char          uuid[40];
    struct err    e;
    int           i;

    views_get(n, &v);
    urls[0] = v.conf->proxy.discovery_url;
    urls[1] = v.conf->proxy.original_url;
    for (i = 0; i < 2; i++) {
        err_clear(&e);
        if (urls[i][0] == '\0' || url_is_self(n, str_z(urls[i])))
            continue;
        if (ask_primary(n, urls[i], mem, to, uuid, &e) == 0 && uuid[0] != '\0' && strcmp(to->id, n->id) != 0)
            x->found = true;
    }
    views_put(&v);
    arena_free(mem);
    free(to);
}

/* The cluster lives on elsewhere, as far as the configuration lets us ask. */
static bool
has_rival(struct node *n)
{
    struct rival x = { n, false };

    fiber_call(n, "rival", rival_ask, &x);
    return x.found;
}

/* Others may have what this one has lost: then it joins them, and votes anew. */
static bool
lost_its_log(struct node *n, const struct mset *m)
{
    unsigned others = 0;

    for (unsigned i = 0; i < m->smap->nnodes && m->smap->nodes[i].role == ROLE_PROXY; i++)
        others += !(m->smap->nodes[i].flags & SNODE_NON_ELECTABLE) && strcmp(m->smap->nodes[i].id, n->id) != 0;
    if (node_fence(n).epoch == 0 || others == 0)
        return false;
    log_warn("the metadata log is lost: waiting for a primary to join; when all proxies have lost it, recover the cluster explicitly");
    return true;
}

/* May this node, whose log is empty, begin a cluster? internals.md 3.5. */
static bool
may_begin(struct node *n, const struct mset *m)
{
    if (n->role != ROLE_PROXY || lost_its_log(n, m))
        return false;
    if (n->member->primary_ep[0] != '\0')
        return url_is_self(n, str_z(n->member->primary_ep)) && !has_rival(n);
    if (m->smap->primary != NULL)
        return strcmp(m->smap->primary->id, n->id) == 0;
    return url_is_self(n, str_z(m->conf->proxy.primary_url)) && !has_rival(n);
}

/* --- when the cluster counts as started --- */
static bool
cluster_complete(struct node *n, int64_t began)
{
    struct member *m = n->member;
    struct views   v;
    int64_t        now = clock_mono(), last, limit;
    unsigned       active, missing;

    views_get(n, &v);
    active = v.smap->nactive;
    limit = v.conf->timeout.startup_time;
    views_put(&v);
    MUST(pthread_mutex_lock(&m->mtx));
    last = m->last_join;
    MUST(pthread_mutex_unlock(&m->mtx));
    if (m->skip_startup || now - began > limit)
        return true;
    missing = peers_missing(n);
    if (active == 0)
        return false;
    if (missing > 0) /* known from before and not back: those that are do not wait for them for long */
        return missing < active && now - began > MISSING_WAIT;
    return m->ntargets > 0 ? active >= m->ntargets : now - last > QUIET;
}

static void
startup_watch(void *arg)
{
    struct node *n = arg;
    int64_t      began = clock_mono();

    while (!member_stopping(n) && node_leads(n) && !cluster_complete(n, began))
        member_nap(n, MSEC_NS(20));
    n->member->watching = false;
    if (!member_stopping(n) && node_leads(n)) {
        struct views v;

        atomic_store(&n->cluster_mono, clock_mono());
        atomic_fetch_or(&n->flags, NODE_CLUSTER_STARTED);
        views_get(n, &v);
        log_info("cluster started", { "cluster", LZ(v.smap->uuid) }, { "proxies", LU64(v.smap->nproxies) },
                 { "targets", LU64(v.smap->nactive) }, { "smap", LU64(v.smap->version) },
                 { "ms", LI64((clock_mono() - n->started_mono) / NSEC_PER_MSEC) });
        if (v.smap->nactive == 0)
            log_warn("the cluster has no targets");
        views_put(&v);
        peers_announce(n);
    }
    member_fiber_done(n);
}

/* --- leading --- */
bool
node_leads(const struct node *n)
{
    return atomic_load(&n->member->leads);
}

struct cons_fence
primary_fence(struct node *n)
{
    struct cons_fence f;

    MUST(pthread_mutex_lock(&n->member->mtx));
    f = n->member->lead.epoch != 0 ? n->member->lead : n->member->fence;
    MUST(pthread_mutex_unlock(&n->member->mtx));
    return f;
}

/* What the log says now. */
static bool
lead_state(struct node *n, struct cons_fence *f)
{
    bool told;

    MUST(pthread_mutex_lock(&n->member->mtx));
    told = n->member->lead_told;
    *f = n->member->lead;
    MUST(pthread_mutex_unlock(&n->member->mtx));
    return told;
}

/* A log without any command: the cluster begins, from nothing or from what lay in the configuration directory. */
static int
cluster_begin(struct node *n, struct err *e)
{
    const struct mset *s = n->member->boot;
    const char        *id;
    char               uuid[16];

    if (s == NULL)
        return err_set(e, AIS_E_INTERNAL, "the metadata log is empty");
    id = s->smap->uuid[0] != '\0' ? s->smap->uuid : s->bmd->uuid;
    uuid_gen(uuid);
    log_info(id[0] != '\0' ? "cluster metadata adopted from the configuration directory" : "new cluster",
             { "cluster", LZ(id[0] != '\0' ? id : uuid) }, { "smap", LU64(s->smap->version) }, { "bmd", LU64(s->bmd->version) },
             { "buckets", LU64(s->bmd->n) });
    return meta_init(n, id[0] != '\0' ? id : uuid, s, n->member->boot_have | 1u << MI_CONF, e);
}

static int
lead_adopt(struct node *n, struct cons_fence f, struct err *e)
{
    struct member *m = n->member;
    struct mset   *s = cstate_get(m->cstate);
    struct err     ignored;
    int            rc = 0;

    err_clear(&ignored);
    if (m->adopted)
        (void)adopt(n, s, ITEMS_ALL, f, &ignored); /* what a hook does not manage it goes on trying */
    else
        rc = adopt_first(n, s, e);
    m->adopted = rc == 0;
    mset_put(s);
    return rc;
}

static void
watch_start(struct node *n)
{
    if (n->member->watching || (atomic_load(&n->flags) & NODE_CLUSTER_STARTED))
        return;
    n->member->watching = true;
    member_fiber(n, "cluster start", startup_watch);
}

static int
lead_begin(struct node *n, struct cons_fence f, struct err *e)
{
    struct member *m = n->member;
    bool           fresh = cons_applied(n->cons) == 0;
    int            rc = 0;

    m->acting = true;
    m->acting_term = f.term;
    if (fence_check(n, f))
        return err_set(e, AIS_E_CONFLICT, "the metadata log is of an older term (%u.%llu) than what this node has seen; recover the cluster "
                       "explicitly", f.epoch, (unsigned long long)f.term);
    if (fresh)
        rc = cluster_begin(n, e);
    if (rc < 0)
        return rc;
    lease_lead(n->lease, f.epoch, fresh, clock_mono());
    rc = lead_adopt(n, f, e);
    if (rc < 0)
        return rc;
    peers_reset(n);
    atomic_store(&m->leads, true);
    peers_update(n);
    if (!m->standby)
        rc = meta_node_add(n, &n->self, NULL, e);
    if (rc == 0)
        rc = meta_primary(n, str_z(n->id), e);
    if (rc < 0)
        return rc;
    atomic_fetch_or(&n->flags, NODE_NODE_STARTED);
    peers_kick(n);
    watch_start(n);
    voters_review(n);
    log_info("is primary", { "epoch", LU64(f.epoch) }, { "term", LU64(f.term) });
    return 0;
}

static void
lead_end(struct node *n)
{
    struct member *m = n->member;

    atomic_store(&m->leads, false);
    m->acting = false;
    lease_unlead(n->lease);
    MUST(pthread_mutex_lock(&m->mtx));
    m->nwant = 0;
    MUST(pthread_mutex_unlock(&m->mtx));
}

/* Bring this node to what the log says, under lead_mtx. once: the first failure ends it. */
static int
lead_turns(struct node *n, bool once, struct err *e)
{
    struct member    *m = n->member;
    struct cons_fence f;
    int               rc = 0;

    while (!member_stopping(n)) {
        bool told = lead_state(n, &f);

        if (m->acting && (!told || f.term != m->acting_term)) {
            lead_end(n);
            continue;
        }
        if (told == m->acting)
            break;
        rc = lead_begin(n, f, e);
        if (rc == 0)
            continue; /* it may be lost again by now */
        lead_end(n);
        if (once)
            break;
        if (rc != -AIS_E_NOTPRIMARY)
            log_error("this node leads, but cannot be primary", { "error", LZ(e->text) });
        err_clear(e);
        member_nap(n, LEAD_RETRY);
    }
    return rc;
}

static int
lead_follow(struct node *n, bool once, struct err *e)
{
    int rc = fmutex_lock(&n->member->lead_mtx, NO_DEADLINE);

    if (rc < 0)
        return rc;
    rc = lead_turns(n, once, e);
    fmutex_unlock(&n->member->lead_mtx);
    return rc;
}

static void
lead_turn(void *arg)
{
    struct node *n = arg;
    struct err   e;

    err_clear(&e);
    (void)lead_follow(n, false, &e);
    member_fiber_done(n);
}

void
primary_kick(struct node *n)
{
    struct member *m = n->member;
    bool           stopping;

    MUST(pthread_mutex_lock(&m->mtx));
    stopping = m->stopping;
    if (!stopping)
        member_fiber(n, "lead", lead_turn);
    MUST(pthread_mutex_unlock(&m->mtx));
}

void
primary_on_lead(void *node, bool leading, struct cons_fence fence)
{
    struct node   *n = node;
    struct member *m = n->member;

    MUST(pthread_mutex_lock(&m->mtx));
    m->lead_told = leading;
    if (leading)
        m->lead = fence;
    MUST(pthread_mutex_unlock(&m->mtx));
    if (!leading)
        atomic_store(&m->leads, false); /* at once; the rest follows */
    if (n->cons != NULL)
        primary_kick(n);
}

/* --- start --- */
struct start_job {
    struct err *e;
    int         rc;
};

static void
start_run(struct node *n, void *arg)
{
    struct start_job *j = arg;

    j->rc = lead_follow(n, true, j->e);
}

/* Whoever remembers a term and has no log does not begin anew: what was agreed on must not be forgotten. */
static int
log_lost(struct node *n, struct err *e)
{
    if (node_fence(n).epoch == 0)
        return 0;
    return err_set(e, AIS_E_CONFLICT, "%s/.ais.raft: the metadata log is empty, but this node has been in a cluster; recover the cluster "
                   "explicitly", nodecfg_confdir(n));
}

/* A server that belongs to a group waits for it. One that is empty waits to be added to one, or begins one. */
static int
server_open(struct node *n, const struct mset *stored, struct err *e)
{
    auto_free char *vote = xasprintf("%s/.ais.raft/vote", nodecfg_confdir(n));
    bool            has = access(vote, F_OK) == 0, begin = false;
    int             rc = has ? voter_open(n, false, e) : 0;

    if (rc < 0 || (has && !cons_passive(n->cons)))
        return rc;
    begin = may_begin(n, stored);
    if (begin)
        voter_close(n);
    if (begin || (!has && n->role == ROLE_PROXY && !(n->self.flags & SNODE_NON_ELECTABLE)))
        rc = voter_open(n, begin, e);
    return rc;
}

int
primary_start(struct node *n, struct mset *stored, unsigned have, struct err *e)
{
    struct member   *m = n->member;
    struct start_job j = { .e = e };
    int              rc;

    m->boot = mset_ref(stored);
    m->boot_have = have;
    rc = server_open(n, stored, e);
    if (rc < 0 || n->cons == NULL || !cons_is_leader(n->cons))
        return rc;
    if (cons_applied(n->cons) == 0)
        rc = log_lost(n, e);
    if (rc == 0) {
        fiber_call(n, "primary start", start_run, &j);
        rc = j.rc;
    }
    return rc < 0 ? err_wrap(e, "metadata log") : 0;
}

/* --- handing over --- */
static bool
is_voter(struct node *n, const char *id)
{
    struct cons_server s[CONS_VOTERS];
    unsigned           k = cons_voters(n->cons, s, CONS_VOTERS);

    for (unsigned i = 0; i < k; i++) {
        if (strcmp(s[i].node, id) == 0)
            return true;
    }
    return false;
}

/* AIStore's clients compute who comes next, so it is who takes over when there is a choice. NULL: it cannot. */
static const char *
heir(struct node *n, const struct smap *m)
{
    const struct snode *s = smap_next_primary(m, str_z(n->id));

    return s != NULL && is_voter(n, s->id) ? s->id : NULL;
}

static void
leave_run(struct node *n, void *arg)
{
    struct cons_server s[CONS_VOTERS];
    struct views       v;
    struct err         e;

    UNUSED(arg);
    if (cons_voters(n->cons, s, CONS_VOTERS) < 2)
        return;
    err_clear(&e);
    views_get(n, &v);
    if (cons_transfer(n->cons, heir(n, v.smap), deadline_in(clock_mono(), LEAVE_LIMIT), &e) < 0)
        log_warn("nobody takes over at once", { "error", LZ(e.text) });
    views_put(&v);
}

void
primary_leave(struct node *n)
{
    if (node_leads(n))
        fiber_call(n, "leave", leave_run, NULL);
}

static bool
primary_is(struct node *n, const char *id)
{
    struct views v;
    bool         is;

    views_get(n, &v);
    is = v.smap->primary != NULL && strcmp(v.smap->primary->id, id) == 0;
    views_put(&v);
    return is;
}

static void
prefer(struct node *n, const char *id)
{
    MUST(pthread_mutex_lock(&n->member->mtx));
    str_copyz(str_z(id), n->member->prefer, sizeof(n->member->prefer));
    MUST(pthread_mutex_unlock(&n->member->mtx));
    voters_review(n);
}

int
meta_set_primary(struct node *n, const char *id, struct err *e)
{
    int64_t until = deadline_in(clock_mono(), CHANGE_LIMIT);
    int     rc = 0;

    if (!node_leads(n))
        return err_set(e, AIS_E_NOTPRIMARY, "%s is not primary", n->name);
    prefer(n, id);
    while (rc == 0 && !is_voter(n, id) && clock_mono() < until)
        rc = fiber_sleep(POLL);
    if (rc == 0)
        rc = cons_transfer(n->cons, id, until, e);
    prefer(n, "");
    until = deadline_in(clock_mono(), FOLLOW_LIMIT);
    while (rc == 0 && !primary_is(n, id)) {
        rc = fiber_sleep(POLL);
        if (rc == 0 && clock_mono() >= until)
            rc = err_set(e, AIS_E_TIMEOUT, "%s: p[%s] was elected, but does not say so", n->name, id);
    }
    return rc < 0 ? err_fill(e, rc) : 0;
}
