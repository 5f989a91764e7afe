/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a node takes metadata over: one fiber on the control loop, the adopter, does it for the whole node, in order: the role's hooks,
 * publication to all loops, then (behind the answer) the files in the configuration directory.
 *
 * Runs on: the control loop; adopt() on any fiber.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/core_impl.h"
#include "core/lease.h"

#include "run/disk.h"
#include "run/offload.h"
#include "codec/jw.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"

#define PERSIST_RETRY SEC_NS(10)

struct adopt_req {
    TAILQ_ENTRY(adopt_req) link;
    struct park       park;
    struct mset      *offer; /* the requester's reference; NULL: only publish the configuration again */
    unsigned          items; /* what of it counts */
    struct cons_fence fence; /* whose state the offer is */
    bool              first;
    struct err       *e;
};

/* --- fence --- */
static bool
fence_older(struct cons_fence a, struct cons_fence b)
{
    return a.epoch != b.epoch ? a.epoch < b.epoch : a.term < b.term;
}

static void
persist_wake(void *arg)
{
    struct node *n = arg;

    waitq_wake_all(&n->member->persist_q);
    member_fiber_done(n);
}

bool
fence_check(struct node *n, struct cons_fence f)
{
    struct member *m = n->member;
    bool           older, newer;

    MUST(pthread_mutex_lock(&m->mtx));
    older = fence_older(f, m->fence);
    newer = fence_older(m->fence, f);
    if (newer)
        m->fence = f;
    MUST(pthread_mutex_unlock(&m->mtx));
    if (newer) { /* perhaps no item comes with it, and yet it must never be forgotten */
        atomic_store(&m->dirty_fence, true);
        member_fiber(n, "fence", persist_wake);
    }
    if (newer && m->hooks.on_fence != NULL)
        m->hooks.on_fence(n, f);
    return older;
}

struct cons_fence
node_fence(struct node *n)
{
    struct member    *m = n->member;
    struct cons_fence f;

    MUST(pthread_mutex_lock(&m->mtx));
    f = m->fence;
    MUST(pthread_mutex_unlock(&m->mtx));
    return f;
}

bool
fence_parse(struct str s, struct cons_fence *out)
{
    ptrdiff_t dot = str_chr(s, '.');
    uint64_t  epoch, term;

    if (dot < 0 || !str_u64(str_from(s.p, (size_t)dot), &epoch) || epoch > UINT32_MAX ||
        !str_u64(str_from_off(s, (size_t)dot + 1), &term))
        return false;
    *out = (struct cons_fence){ .epoch = (uint32_t)epoch, .term = term };
    return true;
}

/* --- configuration as it is effective on this node --- */
struct cluster_conf *
conf_effective(struct node *n, const struct mset *m)
{
    struct member       *mb = n->member;
    struct cluster_conf *c;
    json_t              *layer[2];
    struct err           e;
    int                  i;

    MUST(pthread_mutex_lock(&mb->mtx));
    layer[0] = json_incref(mb->conf_override);
    layer[1] = json_incref(mb->conf_transient);
    MUST(pthread_mutex_unlock(&mb->mtx));
    if (layer[0] == NULL && layer[1] == NULL)
        return conf_ref(m->conf);
    c = conf_copy(m->conf);
    c->version = m->conf->version;
    for (i = 0; i < 2; i++) {
        err_clear(&e);
        if (layer[i] != NULL && conf_merge_json(c, layer[i], true, &e) < 0)
            log_error("a setting of this node alone is ignored", { "error", LZ(e.text) });
        json_decref(layer[i]);
    }
    return c;
}

static void
conf_apply_process(const struct cluster_conf *c)
{
    uint64_t level;

    /* AIStore's 3 is normal; 4 and 5 are verbose. */
    if (str_u64(str_z(c->log.level), &level))
        log_set_level(level >= 4 ? LOG_DEBUG : LOG_INFO);
}

/* --- persistence --- */
static int
fence_store(struct node *n)
{
    auto_free char   *path = xasprintf("%s/.ais.fence", nodecfg_confdir(n));
    struct cons_fence f = node_fence(n);
    char              text[64];
    int               len = snprintf(text, sizeof(text), "%u.%llu\n", f.epoch, (unsigned long long)f.term);

    return disk_write_file_atomic(path, text, (size_t)len, 0640);
}

static bool
persisted(int rc, const char *what)
{
    if (rc < 0)
        log_error("metadata cannot be stored, will be tried again", { "what", LZ(what) }, { "error", LZ(err_text(rc)) });
    return rc == 0;
}

/*
 * AIStore keeps a target's buckets on its mountpaths, and refuses those that it finds on disk but not there: with a current copy it can
 * take the disks over again. For us it is no truth; a mountpath that is lost is reported elsewhere and skipped here.
 */
static bool
bmd_to_mpaths(struct node *n, const struct mset *cur)
{
    bool ok = true;

    for (unsigned i = 0; n->role == ROLE_TARGET && i < n->local.nfspaths; i++)
        if (access(n->local.fspaths[i].path, W_OK) == 0)
            ok &= persisted(mset_store(cur, MI_BMD, n->local.fspaths[i].path), "bmd on a mountpath");
    return ok;
}

/* Writes what changed since the last round. False: some of it is still to be written. */
static bool
persist_round(struct node *n)
{
    struct member *m = n->member;
    struct mset   *cur;
    unsigned       dirty = m->dirty, failed = 0;
    int            i;

    m->dirty = 0;
    if (atomic_exchange(&m->dirty_fence, false) && !persisted(fence_store(n), "fence")) {
        atomic_store(&m->dirty_fence, true);
        m->dirty |= dirty;
        return false;
    }
    cur = member_cur(n);
    for (i = 0; i < MI_COUNT; i++) {
        if (dirty & 1u << i && !persisted(mset_store(cur, (enum mitem)i, nodecfg_confdir(n)), mitem_name[i]))
            failed |= 1u << i;
    }
    if (dirty & 1u << MI_BMD && !bmd_to_mpaths(n, cur))
        failed |= 1u << MI_BMD;
    mset_put(cur);
    m->dirty |= failed;
    return failed == 0;
}

/* What changes while a round is being written goes with the next one, many changes as one. */
static void
persist_loop(void *arg)
{
    struct node   *n = arg;
    struct member *m = n->member;

    for (;;) {
        bool written = persist_round(n);

        if (written && (m->dirty != 0 || atomic_load(&m->dirty_fence)))
            continue;
        if (member_stopping(n))
            break;
        (void)waitq_wait(&m->persist_q, deadline_in(clock_mono(), written ? SEC_NS(60) : PERSIST_RETRY));
    }
    member_fiber_done(n);
}

/* --- the adopter --- */
/* What a node has before it first heard of a cluster is no predecessor: its disks may know buckets that it does not. */
static bool
is_blank(const struct mset *m, enum mitem i)
{
    return mset_version(m, i) == 0 || (i == MI_BMD && m->bmd->uuid[0] == '\0');
}

static int
hook(struct node *n, enum mitem i, struct mset *old, struct mset *nw, struct err *e)
{
    const struct meta_hooks *h = &n->member->hooks;

    if (old != NULL && is_blank(old, i))
        old = NULL;
    switch (i) {
    case MI_CONF:
        return h->on_conf != NULL ? h->on_conf(n, old == NULL ? NULL : old->conf, nw->conf, e) : 0;
    case MI_SMAP:
        return h->on_smap != NULL ? h->on_smap(n, old == NULL ? NULL : old->smap, nw->smap, e) : 0;
    case MI_BMD:
        return h->on_bmd != NULL ? h->on_bmd(n, old == NULL ? NULL : old->bmd, nw->bmd, e) : 0;
    case MI_RMD:
    case MI_COUNT:
        return 0;
    }
    return 0;
}

static bool
item_wanted(const struct member *m, const struct adopt_req *q, enum mitem i)
{
    if (!(q->items & 1u << i))
        return false;
    if (q->first)
        return mset_version(q->offer, i) > 0;
    if (mset_same_item(m->cur, q->offer, i) || fence_older(q->fence, m->from[i]))
        return false;
    return fence_older(m->from[i], q->fence) || mset_version(q->offer, i) > mset_version(m->cur, i);
}

static void
set_current(struct node *n, struct mset *m)
{
    struct member *mb = n->member;
    struct mset   *old;

    MUST(pthread_mutex_lock(&mb->mtx));
    old = mb->cur;
    mb->cur = m;
    MUST(pthread_mutex_unlock(&mb->mtx));
    mset_put(old);
}

static void
publish(struct node *n, const struct mset *m)
{
    struct cluster_conf *conf = conf_effective(n, m);

    conf_apply_process(conf);
    views_publish(n, m, conf);
}

/*
 * Returns the first failure of a hook. All items are adopted all the same: what is agreed is agreed, and the role goes on trying; who asked for
 * the change is told and may take it back.
 */
static int
adopt_one(struct node *n, const struct adopt_req *q)
{
    struct member *mb = n->member;
    struct mset   *cur = mb->cur, *next = mset_copy(cur);
    unsigned       changed = 0;
    int            i, one, rc = 0;
    bool           new_primary;
    struct err     e;

    for (i = 0; i < MI_COUNT; i++) {
        if (!item_wanted(mb, q, (enum mitem)i))
            continue;
        err_clear(&e);
        one = hook(n, (enum mitem)i, q->first ? NULL : cur, q->offer, &e);
        if (one < 0) {
            log_error("new metadata cannot be followed at once", { "what", LZ(mitem_name[i]) },
                      { "version", LU64(mset_version(q->offer, (enum mitem)i)) }, { "error", LZ(err_fill(&e, one) < 0 ? e.text : "") });
            if (rc == 0 && q->e != NULL)
                *q->e = e;
            rc = rc == 0 ? one : rc;
        }
        mset_take_item(next, (enum mitem)i, q->offer);
        mb->from[i] = q->fence;
        changed |= 1u << i;
    }
    if (changed == 0) {
        mset_put(next);
        return rc;
    }
    if (changed & (1u << MI_SMAP | 1u << MI_RMD))
        lease_map(n->lease, next->smap, next->rmd);
    if (n->role == ROLE_TARGET && lease_left(n->lease, clock_mono()) <= 0)
        waitq_wake_all(&mb->naps); /* perhaps it is given one now: it asks */
    new_primary = next->smap->primary != NULL &&
                  (cur->smap->primary == NULL || strcmp(cur->smap->primary->id, next->smap->primary->id) != 0);
    publish(n, next);
    set_current(n, next);
    if (new_primary)
        waitq_wake_all(&mb->naps); /* ask it for a lease at once: nobody knows how long the former one had been silent */
    if (!q->first && !mb->standby && smap_find(next->smap, str_z(n->id)) != NULL && next->smap->primary != NULL)
        atomic_fetch_or(&n->flags, NODE_NODE_STARTED); /* others have this map, too, and send clients here */
    mb->dirty |= changed;
    atomic_store(&mb->dirty_fence, true);
    waitq_wake_all(&mb->persist_q);
    if (changed & 1u << MI_SMAP)
        peers_update(n);
    peers_kick(n);
    return rc;
}

static struct adopt_req *
adopt_next(struct node *n)
{
    struct member    *m = n->member;
    struct adopt_req *q;
    struct park       park;

    for (;;) {
        MUST(pthread_mutex_lock(&m->mtx));
        q = TAILQ_FIRST(&m->adopts);
        if (q != NULL)
            TAILQ_REMOVE(&m->adopts, q, link);
        if (q != NULL || m->stopping) {
            MUST(pthread_mutex_unlock(&m->mtx));
            return q;
        }
        park_init(&park);
        m->adopt_park = &park;
        MUST(pthread_mutex_unlock(&m->mtx));
        (void)park_wait(&park, NO_DEADLINE);
        MUST(pthread_mutex_lock(&m->mtx));
        m->adopt_park = NULL;
        MUST(pthread_mutex_unlock(&m->mtx));
    }
}

static void
adopter(void *arg)
{
    struct node      *n = arg;
    struct adopt_req *q;

    fiber_shield();
    while ((q = adopt_next(n)) != NULL) {
        int rc = 0;

        if (q->offer != NULL)
            rc = adopt_one(n, q);
        else
            publish(n, n->member->cur);
        park_wake(&q->park, rc);
    }
    fiber_unshield();
    member_fiber_done(n);
}

static int
adopt_submit(struct node *n, struct adopt_req *q)
{
    struct member *m = n->member;
    bool           gone;
    int            rc;

    ASSERT_MAY_PARK();
    park_init(&q->park);
    MUST(pthread_mutex_lock(&m->mtx));
    gone = m->stopping;
    if (!gone) {
        TAILQ_INSERT_TAIL(&m->adopts, q, link);
        if (m->adopt_park != NULL)
            park_wake(m->adopt_park, 0);
    }
    MUST(pthread_mutex_unlock(&m->mtx));
    if (gone)
        return err_set(q->e, AIS_E_UNAVAIL, "%s is stopping", n->name);
    fiber_shield(); /* the request lies on this stack until the adopter is done with it */
    rc = park_wait(&q->park, NO_DEADLINE);
    fiber_unshield();
    return rc;
}

int
adopt(struct node *n, struct mset *m, unsigned items, struct cons_fence f, struct err *e)
{
    struct adopt_req q = { .offer = m, .items = items, .fence = f, .e = e };

    return adopt_submit(n, &q);
}

int
adopt_first(struct node *n, struct mset *m, struct err *e)
{
    struct adopt_req q = { .offer = m, .items = ITEMS_ALL, .first = true, .e = e };

    return adopt_submit(n, &q);
}

int
adopt_conf_again(struct node *n)
{
    struct adopt_req q = { .offer = NULL };

    return adopt_submit(n, &q);
}

/* --- messages --- */
void
msg_versions_json(struct jw *w, const struct mset *m)
{
    int i;

    jw_key(w, "versions");
    jw_obj(w);
    for (i = 0; i < MI_COUNT; i++)
        jw_ku64(w, mitem_name[i], mset_version(m, (enum mitem)i));
    jw_obj_end(w);
}

void
msg_versions_read(const json_t *j, uint64_t vers[MI_COUNT])
{
    const json_t *o = json_object_get(j, "versions");
    int           i;

    for (i = 0; i < MI_COUNT; i++) {
        vers[i] = 0;
        (void)json_u64(json_object_get(o, mitem_name[i]), &vers[i]);
    }
}

void
msg_meta_json(struct node *n, struct jw *w, const struct mset *m, unsigned items)
{
    struct cons_fence f = primary_fence(n); /* not the newest that it has heard of: this is what it says itself */
    int               i;

    jw_key(w, "fence");
    jw_obj(w);
    jw_ku64(w, "epoch", f.epoch);
    jw_ku64(w, "term", f.term);
    jw_obj_end(w);
    jw_kstrz(w, "uuid", m->smap->uuid);
    lease_force_json(n->lease, w);
    jw_ki64(w, "cluster_up", atomic_load(&n->cluster_mono) == 0 ? -1 : clock_mono() - atomic_load(&n->cluster_mono));
    for (i = 0; i < MI_COUNT; i++) {
        if (items & 1u << i) {
            jw_key(w, mitem_name[i]);
            mset_item_json(m, (enum mitem)i, w);
        }
    }
}

/* A set of another cluster must never mix with ours. */
static int
uuid_check(struct node *n, const struct mset *cur, const json_t *j, struct err *e)
{
    const char *theirs = json_string_value(json_object_get(j, "uuid"));

    if (cur->smap->uuid[0] == '\0' || theirs == NULL || theirs[0] == '\0' || strcmp(theirs, cur->smap->uuid) == 0)
        return 0;
    return err_set(e, AIS_E_CONFLICT, "cluster integrity error: %s belongs to cluster \"%s\", this is \"%s\"", n->name,
                   cur->smap->uuid, theirs);
}

static void
cluster_up_learn(struct node *n, const json_t *j)
{
    int64_t up = -1, since;

    if (!json_i64(json_object_get(j, "cluster_up"), &up) || up < 0)
        return;
    since = clock_mono() - up;
    if (atomic_load(&n->cluster_mono) == 0) {
        atomic_store(&n->cluster_mono, since > 0 ? since : 1);
        atomic_fetch_or(&n->flags, NODE_CLUSTER_STARTED);
    }
}

struct parse_job {
    struct str   text;
    struct mset *m;
    json_t      *j;
    unsigned     have;
    struct err  *e;
    int          rc;
};

static void
parse_run(void *arg)
{
    struct parse_job *p = arg;

    p->rc = json_read(p->text, &p->j, p->e);
    if (p->rc == 0)
        p->rc = mset_from_json(p->m, p->j, &p->have, p->e);
}

/* The term that a message is of, which must not be older than what we know. */
static int
msg_fence(struct node *n, const json_t *j, struct cons_fence *out, struct err *e)
{
    const json_t *fj = json_object_get(j, "fence");
    uint64_t      epoch, term;

    if (!json_u64(json_object_get(fj, "epoch"), &epoch) || epoch > UINT32_MAX || !json_u64(json_object_get(fj, "term"), &term))
        return err_set(e, AIS_E_BADREQ, "metadata without a term");
    *out = (struct cons_fence){ .epoch = (uint32_t)epoch, .term = term };
    if (fence_check(n, *out))
        return err_set(e, AIS_E_CONFLICT, "metadata from an older term (%u.%llu)", out->epoch, (unsigned long long)term);
    return 0;
}

/* Leases and the map in force are of the same term; whether the items are all adopted does not matter to them. */
int
msg_lease_learn(struct node *n, const json_t *j, int64_t asked_at, struct err *e)
{
    struct cons_fence f;
    int               rc = msg_fence(n, j, &f, e);

    if (rc == 0)
        lease_learn(n->lease, j, asked_at);
    return rc;
}

int
msg_meta_adopt(struct node *n, struct str body, int64_t asked_at, struct err *e)
{
    struct mset      *cur = member_cur(n);
    struct parse_job  p = { .text = body, .m = mset_copy(cur), .e = e };
    struct cons_fence f;
    int               rc;

    if (body.n > 64 * KIB)
        offload(parse_run, &p);
    else
        parse_run(&p);
    rc = p.rc;
    if (rc == 0)
        rc = uuid_check(n, cur, p.j, e);
    if (rc == 0)
        rc = msg_fence(n, p.j, &f, e);
    if (rc == 0) {
        if (p.have != 0)
            rc = adopt(n, p.m, p.have, f, e);
        lease_learn(n->lease, p.j, asked_at);
    }
    if (rc == 0) {
        cluster_up_learn(n, p.j);
        voter_learn(n, p.j);
    }
    json_decref(p.j);
    mset_put(p.m);
    mset_put(cur);
    return rc;
}

/* --- life --- */
struct mset *
member_cur(struct node *n)
{
    struct member *m = n->member;
    struct mset   *s;

    MUST(pthread_mutex_lock(&m->mtx));
    s = mset_ref(m->cur);
    MUST(pthread_mutex_unlock(&m->mtx));
    return s;
}

bool
member_stopping(struct node *n)
{
    struct member *m = n->member;
    bool           s;

    MUST(pthread_mutex_lock(&m->mtx));
    s = m->stopping;
    MUST(pthread_mutex_unlock(&m->mtx));
    return s;
}

void
member_nap(struct node *n, int64_t ns)
{
    int64_t until = deadline_in(clock_mono(), ns);

    if (!member_stopping(n))
        (void)waitq_wait(&n->member->naps, until);
}

void
member_fiber(struct node *n, const char *name, fiber_f *fn)
{
    atomic_fetch_add(&n->member->fibers, 1);
    if (fiber_spawn(n->member->loop, name, fn, n) < 0) {
        atomic_fetch_sub(&n->member->fibers, 1);
        log_error("a background fiber cannot be started", { "name", LZ(name) });
    }
}

void
member_fiber_done(struct node *n)
{
    atomic_fetch_sub(&n->member->fibers, 1);
}

struct fiber_call {
    struct node *n;
    void (*fn)(struct node *n, void *arg);
    void           *arg;
    pthread_mutex_t mtx;
    pthread_cond_t  cond;
    bool            done;
};

static void
fiber_call_run(void *arg)
{
    struct fiber_call *c = arg;

    c->fn(c->n, c->arg);
    MUST(pthread_mutex_lock(&c->mtx));
    c->done = true;
    MUST(pthread_cond_signal(&c->cond));
    MUST(pthread_mutex_unlock(&c->mtx));
}

void
fiber_call(struct node *n, const char *name, void (*fn)(struct node *n, void *arg), void *arg)
{
    struct fiber_call c = { .n = n, .fn = fn, .arg = arg };

    ASSERT_MAY_BLOCK();
    MUST(pthread_mutex_init(&c.mtx, NULL));
    MUST(pthread_cond_init(&c.cond, NULL));
    MUST(fiber_spawn(n->member->loop, name, fiber_call_run, &c));
    MUST(pthread_mutex_lock(&c.mtx));
    while (!c.done)
        MUST(pthread_cond_wait(&c.cond, &c.mtx));
    MUST(pthread_mutex_unlock(&c.mtx));
    pthread_cond_destroy(&c.cond);
    pthread_mutex_destroy(&c.mtx);
}

int
member_new(struct node *n, const struct node_opts *o, struct mset *cur, struct cons_fence f)
{
    struct member *m = xcalloc(1, sizeof(*m));
    const char    *ep = getenv("AIS_PRIMARY_EP");

    m->n = n;
    m->loop = run_loop(n->run, 0);
    m->cur = cur;
    m->fence = f;
    m->hooks = o->impl->hooks;
    m->ntargets = o->ntargets;
    m->skip_startup = o->skip_startup;
    m->standby = o->standby;
    str_copyz(str_z(ep), m->primary_ep, sizeof(m->primary_ep));
    MUST(pthread_mutex_init(&m->mtx, NULL));
    TAILQ_INIT(&m->adopts);
    TAILQ_INIT(&m->peers);
    TAILQ_INIT(&m->waits);
    waitq_init(&m->persist_q);
    waitq_init(&m->naps);
    fmutex_init(&m->lead_mtx);
    n->member = m;
    n->lease = lease_new();
    lease_map(n->lease, cur->smap, cur->rmd);
    return 0;
}

void
member_start(struct node *n)
{
    member_fiber(n, "adopter", adopter);
    member_fiber(n, "persist", persist_loop);
}

static void
stop_on_loop(void *arg)
{
    struct node   *n = arg;
    struct member *m = n->member;

    MUST(pthread_mutex_lock(&m->mtx));
    m->stopping = true;
    if (m->adopt_park != NULL)
        park_wake(m->adopt_park, 0);
    MUST(pthread_mutex_unlock(&m->mtx));
    waitq_wake_all(&m->persist_q);
    waitq_wake_all(&m->naps);
    if (m->joiner != NULL)
        fiber_cancel(m->joiner);
    peers_cancel(n);
    member_fiber_done(n);
}

void
member_stop(struct node *n)
{
    int i;

    if (n->member == NULL)
        return;
    member_fiber(n, "stop", stop_on_loop);
    for (i = 0; i < 2000 && atomic_load(&n->member->fibers) > 0; i++)
        usleep(5000);
}

void
member_free(struct node *n)
{
    struct member *m = n->member;

    if (m == NULL)
        return;
    peers_free(n);
    voter_close(n);
    mset_put(m->cur);
    json_decref(m->conf_override);
    json_decref(m->conf_transient);
    mset_put(m->boot);
    cstate_free(m->cstate);
    pthread_mutex_destroy(&m->mtx);
    free(m);
    n->member = NULL;
    lease_free(n->lease);
    n->lease = NULL;
}

void
meta_set_hooks(struct node *n, const struct meta_hooks *h)
{
    n->member->hooks = *h;
}
