/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The consensus thread: libraft's core, driven by a worker in steps that are handed the time.
 *
 * A step takes what is queued (messages, proposals, wishes), lets libraft have it, writes what it appended with one flush, and then looks
 * at what has become of it: leader or not any more, voters to be changed, leadership to be handed over, the next group of proposals.
 * Proposals go into the log in groups: the next one when the last is committed, so the cost of a flush is shared.
 *
 * What a step leaves is published for other threads: view under mtx, and the few things that are asked often as atomics.
 *
 * libraft may become unavailable (the disk failed): it is closed and started again from the disk, with a growing pause. The state
 * machine does not notice: what it has applied is not applied again.
 */
#include "core/consensus.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/queue.h>

#include "core/raftio.h"
#include "run/offload.h"
#include "codec/jw.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"

#define CMD_MAX       (64u << 20)
#define GROUP_BYTES   (1u << 20) /* of proposals, about */
#define GROUP_MAX     256u
#define SNAP_ENTRIES  1024u
#define SNAP_TRAILING 256u       /* entries kept behind a snapshot, for followers that lag a little */
#define SNAP_HEAD     8u         /* before the state's JSON: index of the last command in it */
#define INBOX_MAX     (256u << 20)
#define TICK          MSEC_NS(50)
#define ELECTION_MS   1000u
#define HEARTBEAT_MS  150u
#define LEASE_MS      800u
#define RETRY_MAX     SEC_NS(2)
#define CHANGE_PAUSE  SEC_NS(1)  /* after a change of voters that failed */
#define UNKNOWN_MAX   SEC_NS(5)  /* longest wait for the outcome of what a lost leader proposed */
#define WITNESS_TRY   MSEC_NS(100)

enum cjob_kind { CJ_PROPOSE, CJ_RECV, CJ_WANT, CJ_TRANSFER, CJ_RENEW };

struct cjob {
    struct wjob    job;
    enum cjob_kind kind;
};

struct proposal {
    struct cjob j;
    struct str  cmd;
    int64_t     deadline;
    struct err *e;
};

struct inmsg {
    struct cjob j;
    char        from[CONS_NODE_MAX];
    size_t      n;
    char        p[];
};

struct wish {
    struct cjob        j;
    struct cons_server s[CONS_VOTERS];
    unsigned           n;
};

struct xfer {
    struct cjob j;
    char        node[CONS_NODE_MAX]; /* "" = any */
    int64_t     deadline;
    struct err *e;
    uint64_t    sid;  /* whom it was handed to; 0 = not yet */
};

struct renew {
    struct cjob j;
    struct str  state; /* p NULL: an empty server */
    uint32_t    epoch;
    struct err *e;
};

/* Proposals that went into the log together. */
struct pgroup {
    TAILQ_ENTRY(pgroup) link;
    uint64_t           base, term;
    unsigned           n, left;
    int64_t            lost_at; /* this server does not lead any more; 0 = it does */
    struct proposal   *p[];     /* NULL = answered */
};

struct view_server {
    struct cons_server s;
    int                role;
    uint64_t           match, acked;
};

struct view {
    struct cons_fence  fence;
    int                state;
    bool               passive;
    char               leader[CONS_NODE_MAX];
    uint64_t           commit, applied, last, snap;
    struct view_server servers[RAFT_SERVERS];
    unsigned           nservers;
};

struct cons {
    struct cons_conf   conf;
    char               id[CONS_NODE_MAX], addr[RAFT_ADDR_MAX];
    struct worker     *worker;
    struct raftlog    *log;
    struct raftio      io;
    struct raft        raft;
    struct raft_fsm    fsm;
    bool               up;       /* libraft runs */
    bool               closing;
    int64_t            retry_at; /* down: when to start again */
    unsigned           retries;
    int64_t            ticked;
    struct err         err;      /* why libraft did not start */

    uint64_t           lead_term; /* libraft leads in this term; 0 = it does not */
    bool               ready;     /* the barrier is applied */
    bool               told;      /* on_lead(true) was said */
    bool               handed;    /* leadership of this term was given away: no lease any more */
    struct raft_barrier barrier;
    struct raft_apply  apply;
    struct wjobs       props;     /* not in the log yet */
    struct pgroup      *cur;       /* in the log, not committed */
    TAILQ_HEAD(, pgroup) lost;     /* of former leadership */

    struct wish        want;
    bool               changing;
    int64_t            change_at; /* not before */
    struct raft_change change;
    struct raft_transfer transfer;
    bool               transferring; /* libraft has our request */
    struct xfer       *xfer;
    int64_t            witness_at;

    _Atomic uint64_t   sid;       /* of the log */
    _Atomic uint64_t   applied;   /* index of the last command */
    _Atomic int64_t    lease;
    _Atomic bool       leader;
    _Atomic size_t     inbox;
    pthread_mutex_t    mtx;       /* protects view */
    struct view        view;
};

static unsigned
or_default(unsigned v, unsigned dflt)
{
    return v > 0 ? v : dflt;
}

static uint64_t
last_index(const struct cons *c)
{
    return c->up ? raft_last_index((struct raft *)(uintptr_t)&c->raft) : 0;
}

static bool
raft_leads(const struct cons *c)
{
    return c->up && c->raft.state == RAFT_LEADER;
}

/* --- proposals --- */
static void
proposal_done(struct proposal *p, int rc)
{
    worker_done(&p->j.job, rc);
}

static void
pgroup_answer(struct pgroup *g, unsigned i, int rc, const struct err *e)
{
    struct proposal *p = g->p[i];

    if (p == NULL)
        return;
    g->p[i] = NULL;
    g->left--;
    if (rc < 0 && p->e != NULL && e != NULL)
        *p->e = *e;
    proposal_done(p, rc);
}

static void
pgroup_fail(struct pgroup *g, int code, const char *why)
{
    struct err e;
    unsigned   i;

    err_clear(&e);
    err_set(&e, code, "metadata log: %s", why);
    for (i = 0; i < g->n; i++)
        pgroup_answer(g, i, -code, &e);
}

/* The command at index was applied: whose was it? */
static void
pgroup_applied(struct cons *c, struct pgroup *g, uint64_t index, int rc, const struct err *e)
{
    if (g == NULL || index < g->base || index >= g->base + g->n || raftio_term_of(&c->raft, index) != g->term)
        return;
    pgroup_answer(g, (unsigned)(index - g->base), rc, e);
}

static void
pgroup_lost(struct cons *c)
{
    if (c->cur == NULL)
        return;
    c->cur->lost_at = c->io.now;
    TAILQ_INSERT_TAIL(&c->lost, c->cur, link);
    c->cur = NULL;
}

/* What happened to the proposals of a lost leadership? Another entry at their place says that they are not in the log. */
static void
lost_settle(struct cons *c)
{
    struct pgroup *g, *next;

    for (g = TAILQ_FIRST(&c->lost); g != NULL; g = next) {
        next = TAILQ_NEXT(g, link);
        if (g->left > 0 && c->up && c->raft.last_applied >= g->base + g->n - 1) {
            if (c->raft.log.snapshot.last_index >= g->base)
                pgroup_fail(g, AIS_E_TIMEOUT, "leadership was lost; what became of the change is not known");
            else
                pgroup_fail(g, AIS_E_NOTPRIMARY, "leadership was lost before the change was agreed on");
        } else if (g->left > 0 && c->io.now - g->lost_at > UNKNOWN_MAX) {
            pgroup_fail(g, AIS_E_TIMEOUT, "leadership was lost; what became of the change is not known");
        }
        if (g->left == 0) {
            TAILQ_REMOVE(&c->lost, g, link);
            free(g);
        }
    }
}

static void
props_fail(struct cons *c, int code, const char *why)
{
    while (!STAILQ_EMPTY(&c->props)) {
        struct proposal *p = (struct proposal *)STAILQ_FIRST(&c->props);

        STAILQ_REMOVE_HEAD(&c->props, link);
        err_set(p->e, code, "metadata log: %s", why);
        proposal_done(p, -code);
    }
}

static void
props_expire(struct cons *c)
{
    struct wjobs keep;

    STAILQ_INIT(&keep);
    while (!STAILQ_EMPTY(&c->props)) {
        struct wjob     *j = STAILQ_FIRST(&c->props);
        struct proposal *p = (struct proposal *)j;

        STAILQ_REMOVE_HEAD(&c->props, link);
        if (c->io.now >= p->deadline) {
            err_set(p->e, AIS_E_TIMEOUT, "metadata log: timed out");
            proposal_done(p, -AIS_E_TIMEOUT);
        } else {
            STAILQ_INSERT_TAIL(&keep, j, link);
        }
    }
    STAILQ_CONCAT(&c->props, &keep);
}

static void
on_group(struct raft_apply *req, int status, void *result)
{
    struct cons *c = req->data;

    (void)result;
    if (status != 0)
        pgroup_lost(c);
}

/* The next group, as far as it fits. Its proposals leave the queue. */
static struct pgroup *
pgroup_take(struct cons *c, size_t *bytes)
{
    struct pgroup *g = xcalloc(1, sizeof(*g) + GROUP_MAX * sizeof(g->p[0]));

    *bytes = 0;
    while (!STAILQ_EMPTY(&c->props) && g->n < GROUP_MAX && *bytes < GROUP_BYTES) {
        struct proposal *p = (struct proposal *)STAILQ_FIRST(&c->props);

        STAILQ_REMOVE_HEAD(&c->props, link);
        g->p[g->n++] = p;
        *bytes += p->cmd.n + 64;
    }
    g->left = g->n;
    return g;
}

/* True: the queue is shorter now. */
static bool
pgroup_start(struct cons *c)
{
    struct raft_buffer bufs[GROUP_MAX];
    struct pgroup      *g;
    size_t             bytes;
    unsigned           i;
    int                rc;

    if (!c->ready || c->cur != NULL || c->xfer != NULL || c->transferring || STAILQ_EMPTY(&c->props) ||
        c->raft.commit_index < last_index(c))
        return false;
    g = pgroup_take(c, &bytes);
    rc = raftlog_reserve(c->log, bytes);
    if (rc < 0) {
        pgroup_fail(g, -rc, err_text(rc));
        free(g);
        return true;
    }
    for (i = 0; i < g->n; i++) {
        bufs[i].len = g->p[i]->cmd.n;
        bufs[i].base = raft_malloc(bufs[i].len);
        if (bufs[i].base == NULL)
            ais_bug("out of memory");
        memcpy(bufs[i].base, g->p[i]->cmd.p, bufs[i].len);
    }
    g->base = last_index(c) + 1;
    g->term = c->raft.current_term;
    c->cur = g;
    c->apply.data = c;
    rc = raft_apply(&c->raft, &c->apply, bufs, g->n, on_group);
    if (rc != 0) {
        c->cur = NULL;
        pgroup_fail(g, AIS_E_INTERNAL, raft_strerror(rc));
        free(g);
    }
    return true;
}

/* --- the state machine --- */
static int
fsm_apply(struct raft_fsm *fsm, const struct raft_buffer *buf, void **result)
{
    struct cons  *c = fsm->data;
    uint64_t      index = c->raft.last_applied + 1; /* libraft counts it when this returns */
    struct pgroup *g;
    struct err    e;
    int           rc;

    *result = NULL;
    if (index <= atomic_load(&c->applied))
        return 0; /* started again: it knows */
    err_clear(&e);
    rc = c->conf.apply(c->conf.ctx, index, str_from(buf->base, buf->len), &e); /* refused here, refused everywhere */
    atomic_store(&c->applied, index);
    pgroup_applied(c, c->cur, index, rc, &e);
    if (c->cur != NULL && c->cur->left == 0) {
        free(c->cur);
        c->cur = NULL;
    }
    TAILQ_FOREACH(g, &c->lost, link)
        pgroup_applied(c, g, index, rc, &e);
    return 0;
}

/* libraft takes an error other than "busy" for the end of everything. */
static int
fsm_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n)
{
    struct cons *c = fsm->data;
    char        *json = NULL, *p;
    size_t       len = 0;
    int          rc;

    if (c->io.now < c->io.snap_after || c->raft.configuration_uncommitted_index != 0)
        return RAFT_BUSY;
    rc = c->conf.snapshot(c->conf.ctx, &json, &len);
    if (rc < 0) {
        raftio_snapshot_failed(&c->io, rc);
        return RAFT_BUSY;
    }
    p = raft_malloc(SNAP_HEAD + len);
    *bufs = raft_malloc(sizeof(**bufs));
    if (p == NULL || *bufs == NULL)
        ais_bug("out of memory");
    be64_put(p, atomic_load(&c->applied));
    memcpy(p + SNAP_HEAD, json, len);
    free(json);
    (*bufs)[0] = (struct raft_buffer){ .base = p, .len = SNAP_HEAD + len };
    *n = 1;
    return 0;
}

static int
fsm_restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
    struct cons *c = fsm->data;
    uint64_t     index;
    int          rc;

    if (buf->len < SNAP_HEAD) {
        err_set(&c->err, AIS_E_CORRUPT, "%s/snap: too short", c->conf.dir);
        return RAFT_CORRUPT;
    }
    index = be64_get(buf->base);
    if (index > atomic_load(&c->applied) || atomic_load(&c->applied) == 0) {
        rc = c->conf.restore(c->conf.ctx, str_from((char *)buf->base + SNAP_HEAD, buf->len - SNAP_HEAD), &c->err);
        if (rc < 0) {
            log_error("metadata snapshot does not load", { "dir", LZ(c->conf.dir) }, { "error", LZ(c->err.text) });
            err_wrap(&c->err, "%s/snap", c->conf.dir);
            return RAFT_CORRUPT;
        }
        atomic_store(&c->applied, index);
    }
    raft_free(buf->base);
    return 0;
}

/* By entries, or by bytes when they are big. */
static void
snapshot_pace(struct cons *c)
{
    bool big = c->log->grown >= RAFTLOG_SNAP_BYTES;

    c->raft.snapshot.threshold = big ? 1 : or_default(c->conf.snap_every, SNAP_ENTRIES);
    c->raft.snapshot.trailing = big ? 16 : MIN(SNAP_TRAILING, or_default(c->conf.snap_every, SNAP_ENTRIES));
}

/* --- up and down --- */
static void
on_closed(struct raft *r)
{
    (void)r;
}

static int
cons_up(struct cons *c)
{
    int rc;

    memset(&c->raft, 0, sizeof(c->raft));
    err_clear(&c->err);
    c->io.broken = 0;
    rc = raft_init(&c->raft, &c->io.io, &c->fsm, c->log->sid, c->addr);
    if (rc != 0)
        ais_bug("raft_init: %s", raft_strerror(rc));
    raft_set_election_timeout(&c->raft, or_default(c->conf.election_ms, ELECTION_MS));
    raft_set_heartbeat_timeout(&c->raft, or_default(c->conf.heartbeat_ms, HEARTBEAT_MS));
    raft_set_install_snapshot_timeout(&c->raft, 10 * or_default(c->conf.election_ms, ELECTION_MS));
    raft_set_pre_vote(&c->raft, true);
    c->raft.snapshot.threshold = or_default(c->conf.snap_every, SNAP_ENTRIES);
    rc = raft_start(&c->raft);
    if (rc == 0) {
        c->up = true;
        return 0;
    }
    if (c->err.code == 0 && c->io.err.code != 0)
        c->err = c->io.err;
    if (c->err.code == 0)
        err_set(&c->err, AIS_E_IO, "%s: %s", c->conf.dir, raft_strerror(rc));
    raft_close(&c->raft, on_closed);
    return -c->err.code;
}

static void publish(struct cons *c);

static void
lead_lost(struct cons *c)
{
    struct cons_fence fence = { c->log->epoch, c->lead_term };
    bool              told = c->told;

    c->ready = c->told = c->changing = false;
    c->lead_term = 0;
    atomic_store(&c->leader, false);
    atomic_store(&c->lease, 0);
    pgroup_lost(c);
    props_fail(c, AIS_E_NOTPRIMARY, "leadership was lost");
    if (told) {
        publish(c);
        log_info("does not lead any more", { "term", LU64(fence.term) });
        if (c->conf.on_lead != NULL && !c->closing)
            c->conf.on_lead(c->conf.node, false, fence);
    }
}

/* Close libraft; start it again from the disk after a pause that grows. */
static void
cons_down(struct cons *c)
{
    bool alone = c->up && c->raft.state == RAFT_LEADER && c->raft.configuration.n == 1;
    int  rc = c->io.broken;

    if (rc == 0)
        log_error("metadata log: the core gave up", { "dir", LZ(c->conf.dir) }, { "error", LZ(raft_errmsg(&c->raft)) });
    c->up = false;
    c->transferring = false;
    raft_close(&c->raft, on_closed);
    if (alone && c->cur != NULL && rc < 0) /* nobody else has it */
        pgroup_fail(c->cur, -rc, err_text(rc));
    if (c->lead_term != 0)
        lead_lost(c);
    c->retry_at = c->io.now + MIN(c->retries * MSEC_NS(100), RETRY_MAX);
    c->retries++;
}

/* --- leading --- */
static void
on_barrier(struct raft_barrier *req, int status)
{
    struct cons *c = req->data;

    c->ready = status == 0 && c->lead_term == c->raft.current_term;
}

static void
lead_gained(struct cons *c)
{
    int rc;

    c->lead_term = c->raft.current_term;
    c->ready = c->told = c->handed = c->changing = false;
    raftio_lead(&c->io);
    c->barrier.data = c;
    rc = raft_barrier(&c->raft, &c->barrier, on_barrier);
    if (rc != 0)
        ais_bug("raft_barrier: %s", raft_strerror(rc));
}

static void
lead_tell(struct cons *c)
{
    struct cons_fence fence = { c->log->epoch, c->lead_term };

    if (!c->ready || c->told || c->handed || c->conf.witness)
        return;
    c->told = true;
    c->retries = 0;
    publish(c);
    atomic_store(&c->leader, true);
    log_info("leads", { "epoch", LU64(fence.epoch) }, { "term", LU64(fence.term) }, { "voters", LU64(c->view.nservers) });
    if (c->conf.on_lead != NULL)
        c->conf.on_lead(c->conf.node, true, fence);
}

/*
 * After every call into libraft: a new leader's barrier is on its disk before anything else is heard, a leader's entries are written, and
 * what changed is noticed.
 */
static void
settle(struct cons *c, bool flush)
{
    bool again;

    do {
        again = false;
        if (c->up && (c->io.broken != 0 || c->raft.state == RAFT_UNAVAILABLE))
            cons_down(c);
        if (c->up)
            raftio_conf_settled(&c->raft);
        if (c->lead_term != 0 && (!raft_leads(c) || c->raft.current_term != c->lead_term))
            lead_lost(c);
        if (raft_leads(c) && c->lead_term == 0)
            lead_gained(c);
        if (c->up && (flush || raft_leads(c)) && !STAILQ_EMPTY(&c->io.done)) {
            raftio_flush(&c->io);
            again = true;
        }
    } while (again);
    lead_tell(c);
}

/* --- voters --- */
static const struct raft_server *
conf_find(const struct cons *c, uint64_t sid)
{
    unsigned i;

    for (i = 0; i < c->raft.configuration.n; i++) {
        if (c->raft.configuration.servers[i].id == sid)
            return &c->raft.configuration.servers[i];
    }
    return NULL;
}

static const struct cons_server *
want_find(const struct cons *c, uint64_t sid, const char *node)
{
    unsigned i;

    for (i = 0; i < c->want.n; i++) {
        if ((sid == 0 || c->want.s[i].sid == sid) && (node == NULL || strcmp(c->want.s[i].node, node) == 0))
            return &c->want.s[i];
    }
    return NULL;
}

static void
on_change(struct raft_change *req, int status)
{
    struct cons *c = req->data;

    c->changing = false;
    c->change_at = status != 0 ? c->io.now + CHANGE_PAUSE : 0;
    if (status != 0 && status != RAFT_LEADERSHIPLOST)
        log_warn("a change of voters failed", { "error", LZ(raft_strerror(status)) });
}

static void
change_done(struct cons *c, int rc, const char *what, const char *node)
{
    if (rc == 0) {
        log_info("voters change", { "what", LZ(what) }, { "node", LZ(node) });
        return;
    }
    c->changing = false;
    c->change_at = c->io.now + CHANGE_PAUSE;
    log_warn("a change of voters failed", { "what", LZ(what) }, { "node", LZ(node) }, { "error", LZ(raft_strerror(rc)) });
}

static void
change_add(struct cons *c, const struct cons_server *s)
{
    char addr[RAFT_ADDR_MAX];

    snprintf(addr, sizeof(addr), "%c:%s", s->witness ? 'w' : 'v', s->node);
    c->changing = true;
    change_done(c, raft_add(&c->raft, &c->change, s->sid, addr, on_change), "add", s->node);
}

static void
change_assign(struct cons *c, const struct raft_server *s)
{
    char node[RAFT_ADDR_MAX];

    snprintf(node, sizeof(node), "%s", raftaddr_node(s->address)); /* the configuration is exchanged */
    c->changing = true;
    change_done(c, raft_assign(&c->raft, &c->change, s->id, RAFT_VOTER, on_change), "voter", node);
}

static void
change_remove(struct cons *c, const struct raft_server *s)
{
    char node[RAFT_ADDR_MAX];

    snprintf(node, sizeof(node), "%s", raftaddr_node(s->address));
    c->changing = true;
    change_done(c, raft_remove(&c->raft, &c->change, s->id, on_change), "remove", node);
}

/* A server that must go before others come: no voter, or the former self of one that is wanted. */
static const struct raft_server *
stale_server(const struct cons *c)
{
    unsigned i;

    for (i = 0; i < c->raft.configuration.n; i++) {
        const struct raft_server *s = &c->raft.configuration.servers[i];
        const char               *node = raftaddr_node(s->address);

        if (s->id == c->log->sid || want_find(c, s->id, node) != NULL)
            continue;
        if (s->role != RAFT_VOTER || want_find(c, 0, node) != NULL)
            return s;
    }
    return NULL;
}

static const struct raft_server *
extra_voter(const struct cons *c)
{
    unsigned i;

    for (i = 0; i < c->raft.configuration.n; i++) {
        const struct raft_server *s = &c->raft.configuration.servers[i];

        if (s->id != c->log->sid && want_find(c, s->id, NULL) == NULL)
            return s;
    }
    return NULL;
}

/* Has the server been heard lately? One that is away is not made a voter: the group would wait for it. */
static bool
heard(const struct cons *c, uint64_t sid)
{
    uint64_t at = raftio_acked(&c->io, sid);

    return at > 0 && c->io.now - (int64_t)at < c->io.timeout_ns;
}

/* A wanted server that is none yet: the next one after the last that was tried. */
static bool
want_next(struct cons *c)
{
    unsigned i;

    for (i = 0; i < c->want.n; i++) {
        const struct raft_server *s = conf_find(c, c->want.s[i].sid);

        if (s == NULL) {
            change_add(c, &c->want.s[i]);
            return true;
        }
    }
    for (i = 0; i < c->want.n; i++) {
        const struct raft_server *s = conf_find(c, c->want.s[i].sid);

        if (s->role != RAFT_VOTER) {
            struct cons_server last = c->want.s[i];

            change_assign(c, s);
            /* Whoever does not answer must not keep the others waiting: it is tried last the next time. */
            memmove(c->want.s + i, c->want.s + i + 1, (c->want.n - i - 1) * sizeof(last));
            c->want.s[c->want.n - 1] = last;
            return true;
        }
    }
    return false;
}

static void transfer_begin(struct cons *c, const struct raft_server *s);
static const struct raft_server *transferee(struct cons *c, const char *node, bool *known);

static void
reconcile(struct cons *c)
{
    const struct raft_server *s;
    bool                      known;

    if (!c->ready || c->handed || c->changing || c->transferring || c->want.n == 0 || c->io.now < c->change_at ||
        c->raft.configuration_uncommitted_index != 0 || c->raft.leader_state.promotee_id != 0 || c->conf.witness)
        return;
    s = stale_server(c);
    if (s != NULL) {
        change_remove(c, s);
        return;
    }
    if (want_next(c))
        return;
    s = extra_voter(c);
    if (s != NULL) {
        change_remove(c, s);
        return;
    }
    if (want_find(c, c->log->sid, NULL) == NULL && c->cur == NULL) {
        s = transferee(c, NULL, &known);
        if (s != NULL)
            transfer_begin(c, s);
    }
}

/* --- handing over --- */
static uint64_t
match_of(const struct cons *c, uint64_t sid)
{
    unsigned i;

    for (i = 0; i < c->raft.configuration.n; i++) {
        if (c->raft.configuration.servers[i].id == sid)
            return c->raft.leader_state.progress[i].match_index;
    }
    return 0;
}

/* The voter to hand over to: it has the whole log and answers. known: there is such a voter at all. */
static const struct raft_server *
transferee(struct cons *c, const char *node, bool *known)
{
    unsigned i;

    *known = false;
    for (i = 0; i < c->raft.configuration.n; i++) {
        const struct raft_server *s = &c->raft.configuration.servers[i];

        if (s->role != RAFT_VOTER || s->id == c->log->sid)
            continue;
        if (node != NULL ? strcmp(raftaddr_node(s->address), node) != 0 : raftaddr_witness(s->address))
            continue;
        *known = true;
        if (match_of(c, s->id) == last_index(c) && heard(c, s->id))
            return s;
    }
    return NULL;
}

static void
on_transfer(struct raft_transfer *req)
{
    struct cons *c = req->data;

    c->transferring = false;
}

/* The lease ends here, for the rest of this term, before the other is asked. */
static void
transfer_begin(struct cons *c, const struct raft_server *s)
{
    struct cons_fence fence = { c->log->epoch, c->lead_term };
    uint64_t          sid = s->id;
    int               rc;

    c->handed = true;
    atomic_store(&c->leader, false);
    atomic_store(&c->lease, 0);
    log_info("hands over", { "to", LZ(raftaddr_node(s->address)) }, { "term", LU64(fence.term) });
    if (c->told) {
        c->told = false;
        if (c->conf.on_lead != NULL)
            c->conf.on_lead(c->conf.node, false, fence);
    }
    c->transferring = true;
    c->transfer.data = c;
    rc = raft_transfer(&c->raft, &c->transfer, sid, on_transfer);
    if (rc != 0) {
        c->transferring = false;
        log_warn("cannot hand over", { "error", LZ(raft_strerror(rc)) });
    }
    if (c->xfer != NULL)
        c->xfer->sid = sid;
}

static void
xfer_done(struct cons *c, int code, const char *why)
{
    struct xfer *x = c->xfer;

    c->xfer = NULL;
    if (code != 0)
        err_set(x->e, code, "%s", why);
    worker_done(&x->j.job, -code);
}

static uint64_t
leader_sid(struct cons *c, const char **addr)
{
    raft_id id = 0;

    *addr = NULL;
    if (c->up)
        raft_leader(&c->raft, &id, addr);
    return *addr != NULL ? id : 0;
}

static void
xfer_step(struct cons *c)
{
    struct xfer              *x = c->xfer;
    const struct raft_server *s;
    const char               *addr;
    uint64_t                  leader;
    bool                      known;

    if (x == NULL)
        return;
    if (x->sid != 0) {
        leader = leader_sid(c, &addr);
        if (leader == x->sid)
            xfer_done(c, 0, NULL);
        else if (c->lead_term == 0 && leader != 0)
            xfer_done(c, AIS_E_CONFLICT, "another node was elected");
        else if (c->io.now >= x->deadline)
            xfer_done(c, AIS_E_TIMEOUT, "the other node did not take over in time");
        return;
    }
    if (!c->ready || c->handed) {
        xfer_done(c, AIS_E_NOTPRIMARY, "this node does not lead");
        return;
    }
    s = transferee(c, x->node[0] != '\0' ? x->node : NULL, &known);
    if (!known)
        xfer_done(c, AIS_E_NONODE, "no such voter");
    else if (s != NULL && c->cur == NULL && !c->changing && !c->transferring)
        transfer_begin(c, s);
    else if (c->io.now >= x->deadline)
        xfer_done(c, AIS_E_TIMEOUT, "the other node does not answer or lags behind");
}

/* Whoever gave up its lease and still leads: the other did not take over. And a witness does not stay leader when it can help it. */
static void
stale_leader(struct cons *c)
{
    const struct raft_server *s;
    bool                      known;

    if (c->ready && c->handed && !c->transferring) {
        raftio_step_down(&c->io);
        return;
    }
    if (!c->conf.witness || !c->ready || c->handed || c->transferring || c->io.now < c->witness_at)
        return;
    c->witness_at = c->io.now + WITNESS_TRY;
    s = transferee(c, NULL, &known);
    if (s != NULL)
        transfer_begin(c, s);
}

/* --- what others see --- */
static void
view_servers(const struct cons *c, struct view *v)
{
    unsigned i;

    v->nservers = 0;
    for (i = 0; c->up && i < c->raft.configuration.n && i < RAFT_SERVERS; i++) {
        const struct raft_server *s = &c->raft.configuration.servers[i];
        struct view_server       *o = &v->servers[v->nservers++];

        memset(o, 0, sizeof(*o));
        str_copyz(str_z(raftaddr_node(s->address)), o->s.node, sizeof(o->s.node));
        o->s.sid = s->id;
        o->s.witness = raftaddr_witness(s->address);
        o->role = s->role;
        if (raft_leads(c)) {
            o->match = s->id == c->log->sid ? c->raft.last_stored : c->raft.leader_state.progress[i].match_index;
            o->acked = s->id == c->log->sid ? (uint64_t)c->io.now : raftio_acked(&c->io, s->id);
        }
    }
}

static void
publish(struct cons *c)
{
    struct view *v = &c->view;
    const char  *addr = NULL;

    MUST(pthread_mutex_lock(&c->mtx));
    v->fence = (struct cons_fence){ c->log->epoch, c->lead_term != 0 ? c->lead_term : c->log->term };
    v->state = c->up ? c->raft.state : RAFT_UNAVAILABLE;
    v->passive = c->log->nconfs == 0;
    v->leader[0] = '\0';
    if (leader_sid(c, &addr) != 0 && strlen(addr) > 2)
        str_copyz(str_z(raft_leads(c) ? c->id : raftaddr_node(addr)), v->leader, sizeof(v->leader));
    v->commit = c->raft.commit_index;
    v->applied = c->raft.last_applied;
    v->last = last_index(c);
    v->snap = c->log->snap_index;
    view_servers(c, v);
    MUST(pthread_mutex_unlock(&c->mtx));
    if (atomic_load(&c->leader))
        atomic_store(&c->lease, raftio_lease(&c->io, MSEC_NS(or_default(c->conf.lease_ms, LEASE_MS))));
}

/* --- steps --- */
static void
take_msg(struct cons *c, struct inmsg *m)
{
    const char     *p = m->p;
    size_t          left = m->n, len;
    struct raftwire w;

    while (c->up && (len = raftwire_len(p, left)) > 0) {
        if (raftwire_get(str_from(p, len), &w) == 0)
            raftio_recv(&c->io, m->from, &w);
        else
            log_warn("malformed metadata message", { "from", LZ(m->from) });
        settle(c, false);
        p += len;
        left -= len;
    }
    if (c->up && left > 0)
        log_warn("metadata message of another format or cut short", { "from", LZ(m->from) }, { "bytes", LU64(left) });
    atomic_fetch_sub(&c->inbox, m->n);
    free(m);
}

static void
take_proposal(struct cons *c, struct proposal *p)
{
    if (!c->ready || c->handed || c->conf.witness) {
        err_set(p->e, AIS_E_NOTPRIMARY, "this node does not lead");
        proposal_done(p, -AIS_E_NOTPRIMARY);
        return;
    }
    STAILQ_INSERT_TAIL(&c->props, &p->j.job, link);
}

static void
take_transfer(struct cons *c, struct xfer *x)
{
    if (c->xfer != NULL) {
        err_set(x->e, AIS_E_BUSY, "leadership is being handed over already");
        worker_done(&x->j.job, -AIS_E_BUSY);
        return;
    }
    if (strcmp(x->node, c->id) == 0) {
        worker_done(&x->j.job, c->ready ? 0 : err_set(x->e, AIS_E_NOTPRIMARY, "this node does not lead"));
        return;
    }
    c->xfer = x;
}

/* --- another log in place of this one --- */
/* Nobody waits for what was in it any more. */
static void
log_forget(struct cons *c)
{
    if (c->up) {
        c->up = false;
        raft_close(&c->raft, on_closed);
    }
    c->transferring = false;
    if (c->lead_term != 0)
        lead_lost(c);
    pgroup_lost(c);
    while (!TAILQ_EMPTY(&c->lost)) {
        struct pgroup *g = TAILQ_FIRST(&c->lost);

        TAILQ_REMOVE(&c->lost, g, link);
        pgroup_fail(g, AIS_E_TIMEOUT, "the log was replaced; what became of the change is not known");
        free(g);
    }
    if (c->xfer != NULL)
        xfer_done(c, AIS_E_CANCELED, "the log was replaced");
    c->want.n = 0;
}

static int
server_files(struct cons *c, struct err *e)
{
    int rc = raftlog_open(c->conf.dir, c->id, &c->log, e);

    if (rc < 0)
        return rc;
    atomic_store(&c->sid, c->log->sid);
    raftio_init(&c->io, &c->raft, c->log);
    c->io.ctx = c->conf.node;
    c->io.send = c->conf.send;
    c->io.timeout_ns = MSEC_NS(or_default(c->conf.election_ms, ELECTION_MS));
    c->io.now = c->ticked;
    return 0;
}

/* Out of the way, but kept. Nobody has it open. */
static int
dir_keep(const char *dir, struct err *e)
{
    auto_free char *old = xasprintf("%s.old-%016" PRIx64, dir, rand_u64());

    if (rename(dir, old) < 0 && errno != ENOENT)
        return err_set(e, AIS_E_IO, "%s cannot be kept as %s: %s", dir, old, strerror(errno));
    return 0;
}

static void
take_renew(struct cons *c, struct renew *x)
{
    int rc;

    log_forget(c);
    raftio_fini(&c->io);
    raftlog_close(c->log);
    c->log = NULL;
    c->ticked = c->io.now;
    rc = x->state.p != NULL ? cons_recover(c->conf.dir, c->id, x->state, x->epoch, x->e) : dir_keep(c->conf.dir, x->e);
    if (rc == 0)
        rc = server_files(c, x->e);
    if (rc < 0) /* there may be no log at all: this node cannot go on and say what it says by it */
        ais_bug("the metadata log in %s cannot be replaced: %s", c->conf.dir, x->e->text);
    atomic_store(&c->applied, 0);
    if (c->conf.clear != NULL)
        c->conf.clear(c->conf.ctx);
    rc = cons_up(c);
    if (rc < 0)
        *x->e = c->err;
    log_warn("the metadata log was replaced", { "dir", LZ(c->conf.dir) }, { "epoch", LU64(x->epoch) });
    worker_done(&x->j.job, rc);
}

static void
take_job(struct cons *c, struct wjob *job)
{
    struct cjob *j = (struct cjob *)job;

    switch (j->kind) {
    case CJ_PROPOSE:
        take_proposal(c, (struct proposal *)j);
        break;
    case CJ_RECV:
        take_msg(c, (struct inmsg *)j);
        break;
    case CJ_WANT:
        c->want = *(struct wish *)j;
        free(j);
        break;
    case CJ_TRANSFER:
        take_transfer(c, (struct xfer *)j);
        break;
    case CJ_RENEW:
        take_renew(c, (struct renew *)j);
        break;
    }
}

static void
time_passes(struct cons *c)
{
    if (!c->up && !c->log->failed && c->io.now >= c->retry_at && cons_up(c) < 0) {
        log_error("metadata log does not start", { "error", LZ(c->err.text) });
        c->retry_at = c->io.now + MIN(++c->retries * MSEC_NS(100), RETRY_MAX);
    }
    if (c->up && c->io.now - c->ticked >= TICK) {
        c->ticked = c->io.now;
        snapshot_pace(c);
        c->io.tick(&c->io.io);
    }
    settle(c, true);
}

/* One turn: everything that came, then everything that follows from it. */
static void
cons_step(struct cons *c, int64_t now, struct wjobs *batch)
{
    c->io.now = MAX(now, c->io.now);
    while (!STAILQ_EMPTY(batch)) {
        struct wjob *j = STAILQ_FIRST(batch);

        STAILQ_REMOVE_HEAD(batch, link);
        take_job(c, j);
    }
    settle(c, true);
    time_passes(c);
    props_expire(c);
    xfer_step(c);
    stale_leader(c);
    settle(c, true);
    reconcile(c);
    settle(c, true);
    while (pgroup_start(c))
        settle(c, true);
    lost_settle(c);
    raftio_follow(&c->io);
    publish(c);
}

static void
cons_work(void *ctx, struct wjobs *batch)
{
    struct cons *c = ctx;

    cons_step(c, clock_mono(), batch);
}

/* --- public --- */
/* No step comes any more. What waits is told so; nothing is written. */
static void
cons_end(struct cons *c)
{
    c->closing = true;
    if (c->up) {
        c->up = false;
        raft_close(&c->raft, on_closed);
    }
    pgroup_lost(c);
    while (!TAILQ_EMPTY(&c->lost)) {
        struct pgroup *g = TAILQ_FIRST(&c->lost);

        TAILQ_REMOVE(&c->lost, g, link);
        pgroup_fail(g, AIS_E_CANCELED, "the node stops");
        free(g);
    }
    props_fail(c, AIS_E_CANCELED, "the node stops");
    if (c->xfer != NULL)
        xfer_done(c, AIS_E_CANCELED, "the node stops");
    raftio_fini(&c->io);
    raftlog_close(c->log);
    pthread_mutex_destroy(&c->mtx);
    free((void *)(uintptr_t)c->conf.dir);
    free(c);
}

static int
bootstrap(struct cons *c, struct err *e)
{
    struct raft_configuration conf;
    int                       rc;

    raft_configuration_init(&conf);
    if (raft_configuration_add(&conf, c->log->sid, c->addr, RAFT_VOTER) != 0)
        return err_set(e, AIS_E_NOMEM, "out of memory");
    rc = raftlog_bootstrap(c->log, 1, &conf, e);
    raft_configuration_close(&conf);
    return rc;
}

/* Start libraft; a new directory that may begin a group does. */
static int
cons_begin(struct cons *c, struct err *e)
{
    int rc = cons_up(c);

    if (rc == 0 && c->conf.bootstrap && c->log->nconfs == 0 && c->log->last == 0) {
        c->up = false;
        raft_close(&c->raft, on_closed);
        rc = bootstrap(c, e);
        if (rc == 0)
            rc = cons_up(c);
    }
    if (rc < 0 && c->err.code != 0 && e != NULL)
        *e = c->err;
    if (rc < 0)
        return rc;
    settle(c, true);
    if (!c->up) {
        if (e != NULL)
            *e = c->io.err;
        return c->io.err.code != 0 ? -c->io.err.code : -AIS_E_IO;
    }
    return 0;
}

/* All of it but the thread. */
static int
cons_new(const struct cons_conf *conf, int64_t now, struct cons **out, struct err *e)
{
    struct cons *c = xcalloc(1, sizeof(*c));
    int          rc;

    ASSERT(or_default(conf->lease_ms, LEASE_MS) < or_default(conf->election_ms, ELECTION_MS));
    c->conf = *conf;
    c->conf.dir = xstrdup(conf->dir);
    str_copyz(str_z(conf->id), c->id, sizeof(c->id));
    snprintf(c->addr, sizeof(c->addr), "%c:%s", conf->witness ? 'w' : 'v', c->id);
    MUST(pthread_mutex_init(&c->mtx, NULL));
    STAILQ_INIT(&c->props);
    TAILQ_INIT(&c->lost);
    c->change.data = c;
    c->fsm = (struct raft_fsm){ .version = 1, .data = c, .apply = fsm_apply, .snapshot = fsm_snapshot, .restore = fsm_restore };
    c->ticked = now;
    rc = server_files(c, e);
    if (rc == 0)
        rc = cons_begin(c, e);
    if (rc < 0) {
        err_fill(e, rc);
        cons_end(c);
        return rc;
    }
    publish(c);
    *out = c;
    return 0;
}

int
cons_open(const struct cons_conf *conf, struct cons **out, struct err *e)
{
    struct cons *c;
    int          rc;

    ASSERT_MAY_BLOCK();
    rc = cons_new(conf, clock_mono(), &c, e);
    if (rc < 0)
        return rc;
    rc = worker_new(conf->run, "consensus", cons_work, c, TICK, &c->worker);
    if (rc < 0) {
        cons_end(c);
        return err_fill(e, rc);
    }
    *out = c;
    return 0;
}

void
cons_close(struct cons *c)
{
    if (c == NULL)
        return;
    worker_free(c->worker);
    cons_end(c);
}

bool
cons_is_leader(const struct cons *c)
{
    return atomic_load(&c->leader);
}

bool
cons_leader_id(struct cons *c, char id[CONS_NODE_MAX])
{
    MUST(pthread_mutex_lock(&c->mtx));
    memcpy(id, c->view.leader, CONS_NODE_MAX);
    MUST(pthread_mutex_unlock(&c->mtx));
    return id[0] != '\0';
}

uint64_t
cons_applied(const struct cons *c)
{
    return atomic_load(&c->applied);
}

uint64_t
cons_sid(const struct cons *c)
{
    return atomic_load(&c->sid);
}

bool
cons_passive(struct cons *c)
{
    bool passive;

    MUST(pthread_mutex_lock(&c->mtx));
    passive = c->view.passive;
    MUST(pthread_mutex_unlock(&c->mtx));
    return passive;
}

struct cons_fence
cons_fence(struct cons *c)
{
    struct cons_fence f;

    MUST(pthread_mutex_lock(&c->mtx));
    f = c->view.fence;
    MUST(pthread_mutex_unlock(&c->mtx));
    return f;
}

int64_t
cons_lease(const struct cons *c)
{
    return atomic_load(&c->lease);
}

static const char *
role_name(int role)
{
    return role == RAFT_VOTER ? "voter" : role == RAFT_STANDBY ? "standby" : "spare";
}

static void
status_servers(const struct view *v, struct jw *w, int64_t now)
{
    unsigned i;

    jw_key(w, "servers");
    jw_arr(w);
    for (i = 0; i < v->nservers; i++) {
        const struct view_server *s = &v->servers[i];

        jw_obj(w);
        jw_kstrz(w, "node", s->s.node);
        jw_key(w, "raft_id");
        jw_u64s(w, s->s.sid);
        jw_kstrz(w, "role", role_name(s->role));
        jw_kbool(w, "witness", s->s.witness);
        if (v->state == RAFT_LEADER) {
            jw_ku64(w, "match", s->match);
            jw_ki64(w, "heard_ms", s->acked > 0 ? MAX(now - (int64_t)s->acked, 0) / NSEC_PER_MSEC : -1);
        }
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

void
cons_status(struct cons *c, struct sbuf *json)
{
    static const char *const states[] = { "unavailable", "follower", "candidate", "leader" };
    struct view             *v = xmalloc(sizeof(*v));
    int64_t                  lease = atomic_load(&c->lease), now = clock_mono();
    struct jw                w;

    MUST(pthread_mutex_lock(&c->mtx));
    *v = c->view;
    MUST(pthread_mutex_unlock(&c->mtx));
    jw_init(&w, json, 0);
    jw_obj(&w);
    jw_kstrz(&w, "node", c->id);
    jw_key(&w, "raft_id");
    jw_u64s(&w, cons_sid(c));
    jw_kstrz(&w, "role", v->passive ? "passive" : states[v->state]);
    jw_kbool(&w, "witness", c->conf.witness);
    jw_ku64(&w, "epoch", v->fence.epoch);
    jw_ku64(&w, "term", v->fence.term);
    jw_kstrz(&w, "leader", v->leader);
    jw_kbool(&w, "leads", atomic_load(&c->leader));
    jw_ki64(&w, "lease_ms", lease == NO_DEADLINE ? -1 : MAX(lease - now, 0) / NSEC_PER_MSEC); /* -1: alone, no end */
    jw_ku64(&w, "commit", v->commit);
    jw_ku64(&w, "applied", v->applied);
    jw_ku64(&w, "last", v->last);
    jw_ku64(&w, "snapshot", v->snap);
    status_servers(v, &w, now);
    jw_obj_end(&w);
    free(v);
}

void
cons_recv(struct cons *c, const char *from_node, const void *p, size_t n)
{
    struct inmsg *m;

    if (n == 0 || strlen(from_node) >= CONS_NODE_MAX)
        return;
    if (atomic_fetch_add(&c->inbox, n) > INBOX_MAX) { /* the disk hangs; the sender tries again */
        atomic_fetch_sub(&c->inbox, n);
        return;
    }
    m = xmalloc(sizeof(*m) + n);
    memset(m, 0, sizeof(*m));
    m->j.kind = CJ_RECV;
    snprintf(m->from, sizeof(m->from), "%s", from_node);
    m->n = n;
    memcpy(m->p, p, n);
    worker_submit(c->worker, &m->j.job);
}

int
cons_propose(struct cons *c, struct str cmd, int64_t deadline, struct err *e)
{
    struct proposal p = { .j.kind = CJ_PROPOSE, .cmd = cmd, .deadline = deadline, .e = e };

    ASSERT_MAY_PARK();
    if (!cons_is_leader(c))
        return err_set(e, AIS_E_NOTPRIMARY, "this node does not lead");
    if (cmd.n == 0 || cmd.n > CMD_MAX)
        return err_set(e, AIS_E_TOOBIG, "metadata command of %zu bytes", cmd.n);
    return worker_call(c->worker, &p.j.job);
}

void
cons_want(struct cons *c, const struct cons_server *s, unsigned n)
{
    struct wish *w = xcalloc(1, sizeof(*w));

    ASSERT(n <= CONS_VOTERS);
    w->j.kind = CJ_WANT;
    w->n = n;
    memcpy(w->s, s, n * sizeof(*s));
    worker_submit(c->worker, &w->j.job);
}

unsigned
cons_voters(struct cons *c, struct cons_server *out, unsigned max)
{
    unsigned i, n = 0;

    MUST(pthread_mutex_lock(&c->mtx));
    for (i = 0; i < c->view.nservers && n < max; i++) {
        if (c->view.servers[i].role == RAFT_VOTER)
            out[n++] = c->view.servers[i].s;
    }
    MUST(pthread_mutex_unlock(&c->mtx));
    return n;
}

int
cons_transfer(struct cons *c, const char *node, int64_t deadline, struct err *e)
{
    struct xfer x = { .j.kind = CJ_TRANSFER, .deadline = deadline, .e = e };

    ASSERT_MAY_PARK();
    if (node != NULL && !str_copyz(str_z(node), x.node, sizeof(x.node)))
        return err_set(e, AIS_E_NONODE, "no such voter");
    return worker_call(c->worker, &x.j.job);
}

/* --- recovery --- */
static int
recover_write(struct raftlog *l, struct str state, uint32_t epoch, struct err *e)
{
    struct raft_snapshot s = { .index = 1, .term = 1, .configuration_index = 1, .n_bufs = 1 };
    struct raft_buffer   buf = { xmalloc(SNAP_HEAD + state.n), SNAP_HEAD + state.n };
    struct raft_snapshot *snap = NULL;
    struct raft_entry    *entries = NULL;
    raft_index            start;
    size_t                n;
    char                  addr[RAFT_ADDR_MAX];
    int                   rc;

    be64_put(buf.base, 1);
    memcpy((char *)buf.base + SNAP_HEAD, state.p, state.n);
    s.bufs = &buf;
    snprintf(addr, sizeof(addr), "v:%s", l->id);
    raft_configuration_init(&s.configuration);
    rc = raftlog_load(l, &snap, &start, &entries, &n, e);
    if (rc == 0 && raft_configuration_add(&s.configuration, l->sid, addr, RAFT_VOTER) != 0)
        rc = err_set(e, AIS_E_NOMEM, "out of memory");
    if (rc == 0)
        rc = raftlog_vote(l, epoch, 1, 0);
    if (rc == 0)
        rc = raftlog_snap_put(l, &s, 0);
    raft_configuration_close(&s.configuration);
    free(buf.base);
    return rc < 0 ? err_fill(e, rc) : 0;
}

int
cons_recover(const char *dir, const char *id, struct str state, uint32_t epoch, struct err *e)
{
    struct raftlog *l = NULL;
    struct stat     st;
    int             rc;

    if (stat(dir, &st) == 0) {
        struct err ignored;

        err_clear(&ignored);
        rc = raftlog_open(dir, id, &l, &ignored); /* whatever is wrong with it: just not in use */
        raftlog_close(l);
        l = NULL;
        if (rc == -AIS_E_BUSY) {
            if (e != NULL)
                *e = ignored;
            return rc;
        }
        rc = dir_keep(dir, e);
        if (rc < 0)
            return rc;
    }
    rc = raftlog_open(dir, id, &l, e);
    if (rc == 0)
        rc = recover_write(l, state, epoch, e);
    raftlog_close(l);
    return rc;
}

int
cons_renew(struct cons *c, struct str state, uint32_t epoch, struct err *e)
{
    struct renew x = { .j.kind = CJ_RENEW, .state = state, .epoch = epoch, .e = e };

    ASSERT_MAY_PARK();
    ASSERT(e != NULL);
    return worker_call(c->worker, &x.j.job);
}
