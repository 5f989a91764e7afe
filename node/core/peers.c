/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primary's view of the other nodes: what each has adopted, who answers, and the pushing of new metadata.
 *
 * Every peer has at most one push under way; when it ends and something newer exists by then, the next one carries that: many changes
 * travel as one. Whoever made a change waits for the peers that are up; one that is not catches up by its next keepalive.
 *
 * Who is silent for too long is marked dead, and alive again when it is heard: both are commands. Silence is measured by a clock that stands
 * while this node does: one that was stopped, or whose loop was blocked, has heard nobody in that time and says nothing about them.
 *
 * Runs on: pushes, the tick and the judge on the control loop; peer_heard and peers_sync on any fiber. Locks: member.mtx.
 */
#include <jansson.h>
#include <stdlib.h>

#include "core/core_impl.h"
#include "core/lease.h"

#include "codec/jw.h"
#include "base/assert.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"

#define TICK        MSEC_NS(100)
#define PROBE_AFTER SEC_NS(2) /* silence after which the primary asks */
#define DOWN_AFTER  SEC_NS(3) /* silence after which nobody waits for a node any more */
#define BODY_MAX    (128u << 20)

#define DEAD_SOONEST (LEASE_GIVEN + MSEC_NS(100)) /* nobody is dead before its lease has run out */
#define DEAD_MARGIN  MSEC_NS(500)                 /* by which a silence is over before timeout.max_keepalive is */
#define BACK_HEARD   SEC_NS(2)                    /* a dead node is back when it was heard so lately */
#define FLAP_MEMORY  SEC_NS(600)                  /* how long a death is held against a node */
#define FLAP_FIRST   SEC_NS(5)                    /* how long it must be heard after the second one; then twice as long each time */
#define FLAP_MOST    SEC_NS(300)
#define DEATHS_KEPT  8

struct peer {
    TAILQ_ENTRY(peer) link;
    struct snode sn;
    uint64_t     acked[MI_COUNT];
    uint64_t     acked_seq;  /* everything up to this set was adopted there */
    uint64_t     failed_seq; /* a push of this set failed or was refused */
    int64_t      heard;      /* clock_mono of its last sign of life; 0 = none since this node started */
    int64_t      heard_run;  /* the same by the running clock */
    int64_t      steady;     /* running clock: since when it has been heard without a pause */
    int64_t      deaths[DEATHS_KEPT]; /* clock_mono of the last ones */
    unsigned     ndeaths;
    uint64_t     told_force; /* map in force that it has been told of */
    uint64_t     sid;        /* of its server of the metadata log; 0 = it has said nothing of one */
    bool         vote;       /* it is to have one */
    bool         up, inflight, gone;
    bool         left;       /* it said that it stops: only when it joins again is it back */
    bool         refused;    /* nobody listens at its address */
    bool         waiting;    /* it is back, and must be heard for some time: this was logged */
    struct err   refusal;    /* of failed_seq; code 0 = it did not answer */
    struct fiber *fiber;     /* of the push under way; control loop only */
};

struct sync_wait {
    TAILQ_ENTRY(sync_wait) link;
    struct park park;
    uint64_t    seq;
};

struct push {
    struct node *n;
    struct peer *p;     /* marked inflight: it stays until the push lets go */
    bool         probe; /* also when there is nothing to tell */
};

/* --- table --- */
static struct peer *
peer_find_locked(struct member *m, struct str id)
{
    struct peer *p;

    TAILQ_FOREACH(p, &m->peers, link)
    {
        if (!p->gone && str_eqz(id, p->sn.id))
            return p;
    }
    return NULL;
}

static bool
sync_done_locked(struct member *m, uint64_t seq)
{
    struct peer *p;

    TAILQ_FOREACH(p, &m->peers, link)
    {
        if (!p->gone && p->up && p->acked_seq < seq && p->failed_seq < seq)
            return false;
    }
    return true;
}

static void
sync_wake_locked(struct member *m)
{
    struct sync_wait *w, *next;

    for (w = TAILQ_FIRST(&m->waits); w != NULL; w = next) {
        next = TAILQ_NEXT(w, link);
        if (sync_done_locked(m, w->seq)) {
            TAILQ_REMOVE(&m->waits, w, link);
            w->seq = 0;
            park_wake(&w->park, 0);
        }
    }
}

static void
heard_locked(struct member *m, struct peer *p)
{
    if (p->heard == 0 || m->run_ns - p->heard_run > DOWN_AFTER)
        p->steady = m->run_ns;
    p->heard = clock_mono();
    p->heard_run = m->run_ns;
    p->refused = false;
}

static void
peer_up_locked(struct peer *p, bool up)
{
    if (p->up == up)
        return;
    p->up = up;
    if (up)
        log_info("node answers", { "node", LZ(p->sn.name) });
    else
        log_warn("node does not answer", { "node", LZ(p->sn.name) });
}

static void
peer_drop_locked(struct member *m, struct peer *p)
{
    if (p->inflight) {
        p->gone = true; /* its push frees it */
        return;
    }
    TAILQ_REMOVE(&m->peers, p, link);
    free(p);
}

void
peers_update(struct node *n)
{
    struct member     *m = n->member;
    const struct smap *s = m->cur->smap;
    struct peer       *p, *next;
    unsigned           i;

    if (!node_leads(n))
        return;
    MUST(pthread_mutex_lock(&m->mtx));
    for (p = TAILQ_FIRST(&m->peers); p != NULL; p = next) {
        next = TAILQ_NEXT(p, link);
        if (!p->gone && smap_find(s, str_z(p->sn.id)) == NULL)
            peer_drop_locked(m, p);
    }
    for (i = 0; i < s->nnodes; i++) {
        if (strcmp(s->nodes[i].id, n->id) == 0)
            continue;
        p = peer_find_locked(m, str_z(s->nodes[i].id));
        if (p == NULL) {
            p = xcalloc(1, sizeof(*p));
            p->heard_run = m->run_ns; /* it has as long as everybody to say something */
            TAILQ_INSERT_TAIL(&m->peers, p, link);
        }
        p->sn = s->nodes[i];
    }
    sync_wake_locked(m);
    MUST(pthread_mutex_unlock(&m->mtx));
}

/*
 * Everybody has as long as a new node to say something, and is told everything. Whoever was alive is taken to be up, so that the first change is
 * not answered before they have heard of it; all but the former primary, which is likely gone.
 */
void
peers_reset(struct node *n)
{
    struct member      *m = n->member;
    const struct snode *former = m->cur->smap->primary;
    struct peer        *p, *next;

    MUST(pthread_mutex_lock(&m->mtx));
    for (p = TAILQ_FIRST(&m->peers); p != NULL; p = next) {
        next = TAILQ_NEXT(p, link);
        if (!p->gone)
            peer_drop_locked(m, p);
    }
    for (unsigned i = 0; i < m->cur->smap->nnodes; i++) {
        const struct snode *s = &m->cur->smap->nodes[i];

        if (strcmp(s->id, n->id) == 0)
            continue;
        p = xcalloc(1, sizeof(*p));
        p->sn = *s;
        p->heard_run = m->run_ns;
        p->up = m->lead.term > 1 && !(s->flags & SNODE_DEAD) && s != former && (atomic_load(&n->flags) & NODE_CLUSTER_STARTED);
        TAILQ_INSERT_TAIL(&m->peers, p, link);
    }
    MUST(pthread_mutex_unlock(&m->mtx));
}

void
peers_cancel(struct node *n)
{
    struct peer *p;

    MUST(pthread_mutex_lock(&n->member->mtx));
    TAILQ_FOREACH(p, &n->member->peers, link)
    {
        if (p->fiber != NULL)
            fiber_cancel(p->fiber);
    }
    MUST(pthread_mutex_unlock(&n->member->mtx));
}

void
peers_free(struct node *n)
{
    struct peer *p;

    while ((p = TAILQ_FIRST(&n->member->peers)) != NULL) {
        TAILQ_REMOVE(&n->member->peers, p, link);
        free(p);
    }
}

static void force_tell(struct node *n);

void
peer_heard(struct node *n, struct str id, const uint64_t vers[MI_COUNT], const json_t *said)
{
    struct member *m = n->member;
    struct peer   *p;
    bool           rose = lease_reported(n->lease, said, clock_mono());
    uint64_t       sid = 0;

    (void)str_u64(json_text(said, "raft"), &sid);
    MUST(pthread_mutex_lock(&m->mtx));
    p = peer_find_locked(m, id);
    if (p != NULL) {
        p->sid = sid;
        heard_locked(m, p);
        memcpy(p->acked, vers, sizeof(p->acked));
        rose |= p->sn.role == ROLE_TARGET && lease_acked(n->lease, p->sn.id, vers[MI_SMAP], p->heard);
        peer_up_locked(p, true);
    }
    MUST(pthread_mutex_unlock(&m->mtx));
    if (rose)
        force_tell(n);
}

void
peer_left(struct node *n, struct str id, bool left)
{
    struct peer *p;

    MUST(pthread_mutex_lock(&n->member->mtx));
    p = peer_find_locked(n->member, id);
    if (p != NULL)
        p->left = left;
    MUST(pthread_mutex_unlock(&n->member->mtx));
}

/* --- servers of the metadata log --- */
uint64_t
peer_sid(struct node *n, const char *id)
{
    struct peer *p;
    uint64_t     sid;

    MUST(pthread_mutex_lock(&n->member->mtx));
    p = peer_find_locked(n->member, str_z(id));
    sid = p != NULL ? p->sid : 0;
    MUST(pthread_mutex_unlock(&n->member->mtx));
    return sid;
}

/* id NULL: all. */
void
peer_ask_vote(struct node *n, const char *id, bool ask)
{
    struct peer *p;

    MUST(pthread_mutex_lock(&n->member->mtx));
    TAILQ_FOREACH(p, &n->member->peers, link)
    {
        if (id == NULL || strcmp(p->sn.id, id) == 0)
            p->vote = ask;
    }
    MUST(pthread_mutex_unlock(&n->member->mtx));
}

bool
peer_vote_asked(struct node *n, const char *id)
{
    struct peer *p;
    bool         asked;

    MUST(pthread_mutex_lock(&n->member->mtx));
    p = peer_find_locked(n->member, str_z(id));
    asked = p != NULL && p->vote;
    MUST(pthread_mutex_unlock(&n->member->mtx));
    return asked;
}

unsigned
peers_missing(struct node *n)
{
    struct member *m = n->member;
    struct peer   *p;
    unsigned       missing = 0;

    MUST(pthread_mutex_lock(&m->mtx));
    TAILQ_FOREACH(p, &m->peers, link)
    {
        if (!p->gone && p->sn.role == ROLE_TARGET && p->heard == 0 && snode_active(&p->sn))
            missing++;
    }
    MUST(pthread_mutex_unlock(&m->mtx));
    return missing;
}

/* --- pushing --- */
static unsigned
items_newer(const struct mset *m, const uint64_t acked[MI_COUNT])
{
    unsigned items = 0;
    int      i;

    for (i = 0; i < MI_COUNT; i++) {
        if (mset_version(m, (enum mitem)i) > acked[i])
            items |= 1u << i;
    }
    return items;
}

static int
push_send(struct node *n, const struct snode *to, const struct mset *cur, unsigned items, uint64_t vers[MI_COUNT], struct err *e)
{
    struct arena  *mem = arena_new(4 * KIB, 1 * MIB);
    struct hc_resp resp;
    struct sbuf    b;
    struct jw      w;
    json_t        *j = NULL;
    int            rc;

    sbuf_init(&b, BODY_MAX);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    msg_meta_json(n, &w, cur, items);
    jw_obj_end(&w);
    rc = !sbuf_ok(&b) ? -AIS_E_TOOBIG
                      : node_call(n, to, M_PUT, STR_LIT("/v1/metasync"), sbuf_str(&b), mem, 64 * KIB,
                                  cur->conf->timeout.max_keepalive, &resp, e);
    if (rc == 0)
        rc = json_read(resp.body, &j, e);
    if (rc == 0)
        msg_versions_read(j, vers);
    json_decref(j);
    sbuf_fini(&b);
    arena_free(mem);
    return rc;
}

/*
 * Did the node say no to what it was sent, or is it just not there? Only a refusal goes back to whoever made the change; a node that is
 * away, stops, or cannot prove itself must not keep the others from changing anything.
 */
static void
push_failed_locked(struct peer *p, int rc)
{
    static const struct {
        int  code;
        bool away; /* nobody listens there, or somebody else: no need to wait for it */
    } silent[] = {
        { AIS_E_PEER, true },      { AIS_E_CLOSED, true },    { AIS_E_UNAUTH, true },    { AIS_E_FORBIDDEN, true },
        { AIS_E_TIMEOUT, false },  { AIS_E_CANCELED, false }, { AIS_E_UNAVAIL, false },
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(silent); i++) {
        if (rc != -silent[i].code)
            continue;
        p->refusal.code = 0;
        p->refused = silent[i].code == AIS_E_PEER;
        if (silent[i].away)
            peer_up_locked(p, false);
    }
}

static bool
force_untold(struct node *n, const struct peer *p)
{
    return p->sn.role == ROLE_TARGET && p->told_force < lease_force(n->lease);
}

/* What one push brought to a peer. */
struct pushed {
    bool     sent;
    uint64_t seq, vers[MI_COUNT], force;
};

/* The outcome of one push into the table. True: something newer is there by now, go on. */
static bool
push_result(struct node *n, struct peer *p, const struct pushed *d, int rc, const struct err *e)
{
    struct member *m = n->member;
    bool           more = false, rose = false;
    uint64_t       seq = d->seq;

    FAIL_POINT("peers.after_push", (void)0);
    MUST(pthread_mutex_lock(&m->mtx));
    if (rc == 0) {
        if (d->sent) {
            heard_locked(m, p);
            p->told_force = d->force;
            rose = p->sn.role == ROLE_TARGET && lease_acked(n->lease, p->sn.id, d->vers[MI_SMAP], p->heard);
            peer_up_locked(p, true);
        }
        memcpy(p->acked, d->vers, sizeof(p->acked));
        p->acked_seq = seq;
        more = (m->seq > seq || force_untold(n, p)) && !m->stopping;
    } else {
        p->failed_seq = seq;
        p->refusal = *e;
        push_failed_locked(p, rc);
    }
    sync_wake_locked(m);
    MUST(pthread_mutex_unlock(&m->mtx));
    if (rose)
        force_tell(n);
    return more;
}

static bool
push_round(struct push *a)
{
    struct member *m = a->n->member;
    struct peer   *p = a->p;
    struct pushed  d = { .sent = false };
    struct snode  *to = xcalloc(1, sizeof(*to));
    struct mset   *cur;
    unsigned       items;
    struct err     e;
    int            rc = 0;
    bool           more;

    MUST(pthread_mutex_lock(&m->mtx));
    cur = mset_ref(m->cur);
    d.seq = m->seq;
    *to = p->sn;
    items = items_newer(cur, p->acked);
    memcpy(d.vers, p->acked, sizeof(d.vers));
    d.force = lease_force(a->n->lease); /* or a newer one, by the time it is written */
    d.sent = items != 0 || a->probe || force_untold(a->n, p);
    MUST(pthread_mutex_unlock(&m->mtx));
    err_clear(&e);
    if (d.sent)
        rc = push_send(a->n, to, cur, items, d.vers, &e);
    a->probe = false;
    more = push_result(a->n, p, &d, rc, &e);
    mset_put(cur);
    free(to);
    return more;
}

static void
push_fiber(void *arg)
{
    struct push   *a = arg;
    struct member *m = a->n->member;

    a->p->fiber = fiber_self();
    while (!member_stopping(a->n) && node_leads(a->n) && push_round(a))
        ;
    a->p->fiber = NULL;
    MUST(pthread_mutex_lock(&m->mtx));
    a->p->inflight = false;
    if (a->p->gone)
        peer_drop_locked(m, a->p);
    MUST(pthread_mutex_unlock(&m->mtx));
    member_fiber_done(a->n);
    free(a);
}

static void
push_start_locked(struct node *n, struct peer *p, bool probe)
{
    struct push *a;

    if (p->inflight || p->gone)
        return;
    a = xcalloc(1, sizeof(*a));
    a->n = n;
    a->p = p;
    a->probe = probe;
    p->inflight = true;
    atomic_fetch_add(&n->member->fibers, 1);
    if (fiber_spawn(n->member->loop, "push", push_fiber, a) < 0) {
        atomic_fetch_sub(&n->member->fibers, 1);
        p->inflight = false;
        free(a);
    }
}

void
peers_kick(struct node *n)
{
    struct member *m = n->member;
    struct peer   *p;

    if (!node_leads(n))
        return;
    MUST(pthread_mutex_lock(&m->mtx));
    m->seq++;
    TAILQ_FOREACH(p, &m->peers, link)
        push_start_locked(n, p, false);
    MUST(pthread_mutex_unlock(&m->mtx));
}

void
peers_announce(struct node *n)
{
    struct member *m = n->member;
    struct peer   *p;

    MUST(pthread_mutex_lock(&m->mtx));
    TAILQ_FOREACH(p, &m->peers, link)
        push_start_locked(n, p, true);
    MUST(pthread_mutex_unlock(&m->mtx));
}

/* The map in force changed: every target that is up is told at once; the others by their next keepalive. */
static void
force_tell(struct node *n)
{
    struct member *m = n->member;
    struct peer   *p;

    MUST(pthread_mutex_lock(&m->mtx));
    TAILQ_FOREACH(p, &m->peers, link)
    {
        if (p->up && force_untold(n, p))
            push_start_locked(n, p, false);
    }
    MUST(pthread_mutex_unlock(&m->mtx));
}

/* The running clock goes on by what passed since the last tick, but not by more than two ticks: the rest of it this node slept through. */
static void
run_clock_locked(struct member *m, int64_t now)
{
    int64_t passed = m->tick_at == 0 ? 0 : now - m->tick_at;

    if (passed > SEC_NS(1))
        log_warn("this node stood still", { "ms", LI64(passed / NSEC_PER_MSEC) });
    m->run_ns += MIN(passed, 2 * TICK);
    m->tick_at = now;
}

void
peers_tick(void *arg)
{
    struct node   *n = arg;
    struct member *m = n->member;

    while (!member_stopping(n)) {
        struct peer *p;
        int64_t      now = clock_mono();

        MUST(pthread_mutex_lock(&m->mtx));
        run_clock_locked(m, now);
        for (p = node_leads(n) ? TAILQ_FIRST(&m->peers) : NULL; p != NULL; p = TAILQ_NEXT(p, link)) {
            int64_t silence = m->run_ns - p->heard_run;

            if (p->up && silence > DOWN_AFTER)
                peer_up_locked(p, false);
            if (silence > PROBE_AFTER)
                push_start_locked(n, p, true);
        }
        sync_wake_locked(m);
        MUST(pthread_mutex_unlock(&m->mtx));
        if (node_leads(n) && lease_tick(n->lease, now))
            force_tell(n);
        voters_review(n);
        member_nap(n, TICK);
    }
    member_fiber_done(n);
}

/* --- the dead and those that come back --- */
/* How long a node may be silent. Nobody at its address: then only its lease is waited for. */
static int64_t
silence_limit(const struct peer *p, int64_t max_keepalive)
{
    int64_t limit = p->refused ? DEAD_SOONEST : max_keepalive - DEAD_MARGIN;

    return MAX(limit, DEAD_SOONEST);
}

/* How long a node must be heard without a pause before it is alive again: it has died before. */
static int64_t
flap_penalty(const struct peer *p, int64_t now)
{
    int64_t  wait = 0;
    unsigned n = 0;

    for (unsigned i = 0; i < MIN(p->ndeaths, (unsigned)DEATHS_KEPT); i++)
        n += now - p->deaths[i] < FLAP_MEMORY;
    for (; n > 1; n--)
        wait = wait == 0 ? FLAP_FIRST : MIN(2 * wait, FLAP_MOST);
    return wait;
}

static bool
has_died(const struct member *m, const struct peer *p)
{
    return !(p->sn.flags & SNODE_DEAD) && m->run_ns - p->heard_run > silence_limit(p, m->cur->conf->timeout.max_keepalive);
}

static bool
has_returned(const struct member *m, struct peer *p)
{
    int64_t wait;

    if (!(p->sn.flags & SNODE_DEAD) || p->left || p->heard == 0 || m->run_ns - p->heard_run > BACK_HEARD)
        return false;
    wait = flap_penalty(p, clock_mono());
    if (m->run_ns - p->steady >= wait)
        return true;
    if (!p->waiting)
        log_warn("a node that died more than once is back, and will be taken in when it stays", { "node", LZ(p->sn.name) },
                 { "seconds", LI64(wait / NSEC_PER_SEC) });
    p->waiting = true;
    return false;
}

/* One verdict: whom, and what it is now. False: there is none to be given. */
static bool
verdict(struct node *n, char id[NODE_ID_MAX + 1], bool *dead)
{
    struct member *m = n->member;
    struct peer   *p;
    bool           any = false, started = atomic_load(&n->flags) & NODE_CLUSTER_STARTED;

    MUST(pthread_mutex_lock(&m->mtx));
    TAILQ_FOREACH(p, &m->peers, link)
    {
        if (p->gone || (!(started && has_died(m, p)) && !has_returned(m, p)))
            continue;
        *dead = !(p->sn.flags & SNODE_DEAD);
        memcpy(id, p->sn.id, NODE_ID_MAX + 1);
        any = true;
        log_warn(*dead ? "node is dead: it was silent for too long" : "node is back", { "node", LZ(p->sn.name) },
                 { "silent_ms", LI64((m->run_ns - p->heard_run) / NSEC_PER_MSEC) }, { "deaths", LU64(p->ndeaths + *dead) });
        if (*dead)
            p->deaths[p->ndeaths++ % DEATHS_KEPT] = clock_mono();
        p->waiting = false;
        break;
    }
    MUST(pthread_mutex_unlock(&m->mtx));
    return any;
}

/* All nodes are able to do more than the cluster does: from now on it does. */
static void
raise_level(struct node *n, const struct mset *cur)
{
    unsigned   all = smap_common_level(cur->smap), now = cur->smap->level;
    struct err e;

    if (all <= now)
        return;
    err_clear(&e);
    if (meta_level(n, all, &e) == 0)
        log_info("all nodes have a higher feature level: the cluster goes there", { "level", LU64(all) }, { "was", LU64(now) });
    else
        log_warn("feature level cannot be raised", { "error", LZ(e.text) });
}

/* What waited for the cluster's start. */
static void
when_started(struct node *n)
{
    struct mset *cur = member_cur(n);
    struct err   e;

    err_clear(&e);
    raise_level(n, cur);
    if (cur->rmd->due && meta_reb_settle(n, &e) < 0)
        log_warn("the rebalance that is due cannot begin", { "error", LZ(e.text) });
    mset_put(cur);
}

/* Fiber. Only who leads may judge, and nobody is dead before the cluster has started: that takes those who were dead and are back. */
void
peers_judge(void *arg)
{
    struct node *n = arg;
    char         id[NODE_ID_MAX + 1];
    struct err   e;
    bool         dead;

    while (!member_stopping(n)) {
        member_nap(n, TICK);
        if ((atomic_load(&n->flags) & NODE_CLUSTER_STARTED) && !member_stopping(n) && node_may_grant(n))
            when_started(n);
        while (!member_stopping(n) && node_may_grant(n) && verdict(n, id, &dead)) {
            err_clear(&e);
            if (meta_node_dead(n, str_z(id), dead, &e) == 0)
                continue;
            log_error("a node that died or came back cannot be marked", { "node", LZ(id) }, { "error", LZ(e.text) });
            member_nap(n, SEC_NS(1));
        }
    }
    member_fiber_done(n);
}

/* --- waiting --- */
static void
refusal_locked(struct member *m, uint64_t seq, struct err *out)
{
    struct peer *p;

    TAILQ_FOREACH(p, &m->peers, link)
    {
        if (!p->gone && p->failed_seq >= seq && p->refusal.code != 0) {
            *out = p->refusal;
            return;
        }
    }
}

void
peers_sync(struct node *n, struct err *refused)
{
    struct member   *m = n->member;
    struct sync_wait w;
    uint64_t         seq;
    int64_t          deadline;

    ASSERT_MAY_PARK();
    park_init(&w.park);
    MUST(pthread_mutex_lock(&m->mtx));
    seq = w.seq = m->seq;
    deadline = deadline_in(clock_mono(), m->cur->conf->timeout.max_keepalive);
    if (!sync_done_locked(m, seq)) {
        TAILQ_INSERT_TAIL(&m->waits, &w, link);
        MUST(pthread_mutex_unlock(&m->mtx));
        (void)park_wait(&w.park, deadline);
        MUST(pthread_mutex_lock(&m->mtx));
        if (w.seq != 0)
            TAILQ_REMOVE(&m->waits, &w, link);
    }
    if (refused != NULL)
        refusal_locked(m, seq, refused);
    MUST(pthread_mutex_unlock(&m->mtx));
}
