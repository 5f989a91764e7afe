/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases of targets, and the map in force: see lease.h.
 *
 * Why the chain is enough. Let F be the map in force. Whoever holds a lease has adopted F or a newer map; and what it knows of F is F or
 * older. So F is among the maps from the one it knows to be in force up to its own, and it serves only what it owns under all of those. Two
 * targets that serve the same object both own it under F: they are one. Maps with the same active targets as their successor are not in the
 * chain, and need not be. A rebalance takes a map out of the chain only when it began after its successor was in force.
 */
#include "core/lease.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/core_impl.h"

#include "codec/jw.h"
#include "base/assert.h"
#include "base/util.h"

#define UNDERS 8 /* maps that a target may hold grants under at one time: it asks once a second */

struct under {
    uint64_t smap_ver; /* the grant is worth nothing to a target with an older map */
    int64_t  until;
};

/* What the primary knows of one target. Stays when the target leaves the map, until its grants have run out. */
struct grantee {
    char           id[NODE_ID_MAX + 1];
    uint64_t       acked; /* newest map that it has adopted */
    unsigned       n;
    struct under   u[UNDERS]; /* oldest map first */
};

struct lease {
    _Atomic int64_t  until;    /* of this node's own lease; 0 = none */
    _Atomic uint64_t in_force; /* 0 = none known */
    pthread_mutex_t  mtx;      /* protects what follows; a leaf */
    uint32_t         epoch;    /* recovery epoch that in_force is of */
    struct smap     *smap;     /* adopted here */
    struct rmd      *rmd;
    TAILQ_HEAD(, lease_stay) stays; /* oldest map first */
    /* giver */
    bool             leads, fresh, hold; /* hold: nothing is granted before one lease's time has passed */
    int64_t          since;    /* when it began to lead */
    unsigned         ngrantees, cap;
    struct grantee  *grantees;
};

struct lease *
lease_new(void)
{
    struct lease *l = xcalloc(1, sizeof(*l));

    MUST(pthread_mutex_init(&l->mtx, NULL));
    TAILQ_INIT(&l->stays);
    return l;
}

void
lease_free(struct lease *l)
{
    if (l == NULL)
        return;
    smap_put(l->smap);
    rmd_put(l->rmd);
    free(l->grantees);
    pthread_mutex_destroy(&l->mtx);
    free(l);
}

/* --- the map in force --- */
/* False: it was in force already, or a newer one. A new recovery epoch begins with none. */
static bool
force_set_locked(struct lease *l, uint32_t epoch, uint64_t smap_ver)
{
    if (epoch < l->epoch)
        return false;
    if (epoch > l->epoch) {
        l->epoch = epoch;
        atomic_store(&l->in_force, 0);
    }
    if (smap_ver <= atomic_load(&l->in_force))
        return false;
    atomic_store(&l->in_force, smap_ver);
    return true;
}

/* The oldest map that the target may act under. */
static uint64_t
oldest_under(const struct grantee *g, int64_t now)
{
    uint64_t oldest = UINT64_MAX;

    for (unsigned i = 0; i < g->n; i++) {
        if (g->u[i].until > now)
            oldest = MIN(oldest, g->u[i].smap_ver);
    }
    return MAX(oldest, g->acked);
}

static uint64_t
acked_by(const struct lease *l, const char *id)
{
    for (unsigned i = 0; i < l->ngrantees; i++) {
        if (strcmp(l->grantees[i].id, id) == 0)
            return l->grantees[i].acked;
    }
    return 0;
}

/*
 * What an older primary granted may still count, and nobody knows what that was. But a target acts under the newest map that it has: so
 * what all have adopted is in force at once. Whoever left the map cannot say so, and is waited for.
 */
static uint64_t
adopted_by_all_locked(const struct lease *l)
{
    uint64_t v = l->smap->version;

    for (unsigned i = 0; i < l->smap->nnodes; i++) {
        if (l->smap->nodes[i].role == ROLE_TARGET)
            v = MIN(v, acked_by(l, l->smap->nodes[i].id));
    }
    for (unsigned i = 0; i < l->rmd->nchain; i++) {
        for (unsigned k = 0; k < l->rmd->chain[i].n; k++) {
            if (smap_find(l->smap, str_z(l->rmd->chain[i].t[k].id)) == NULL)
                return 0;
        }
    }
    return v;
}

static bool
force_compute_locked(struct lease *l, int64_t now)
{
    uint64_t v;

    if (!l->leads || l->smap == NULL)
        return false;
    if (!l->fresh && now - l->since < LEASE_GIVEN)
        return force_set_locked(l, l->epoch, adopted_by_all_locked(l));
    v = l->smap->version;
    for (unsigned i = 0; i < l->ngrantees; i++)
        v = MIN(v, oldest_under(&l->grantees[i], now));
    return force_set_locked(l, l->epoch, v);
}

void
lease_map(struct lease *l, struct smap *m, struct rmd *r)
{
    struct smap *was;
    struct rmd  *was_r;

    MUST(pthread_mutex_lock(&l->mtx));
    was = l->smap;
    was_r = l->rmd;
    l->smap = smap_ref(m);
    l->rmd = rmd_ref(r);
    MUST(pthread_mutex_unlock(&l->mtx));
    smap_put(was);
    rmd_put(was_r);
}

uint64_t
lease_force(struct lease *l)
{
    return atomic_load(&l->in_force);
}

void
lease_force_json(struct lease *l, struct jw *w)
{
    MUST(pthread_mutex_lock(&l->mtx));
    jw_key(w, "force");
    jw_obj(w);
    jw_ku64(w, "epoch", l->epoch);
    jw_ku64(w, "smap", atomic_load(&l->in_force));
    jw_obj_end(w);
    MUST(pthread_mutex_unlock(&l->mtx));
}

void
lease_report(struct lease *l, struct jw *w)
{
    lease_force_json(l, w);
}

static bool
force_read(const json_t *j, uint32_t *epoch, uint64_t *smap_ver)
{
    const json_t *f = json_object_get(j, "force");
    uint64_t      e;

    if (!json_u64(json_object_get(f, "epoch"), &e) || e > UINT32_MAX || !json_u64(json_object_get(f, "smap"), smap_ver))
        return false;
    *epoch = (uint32_t)e;
    return true;
}

/* --- the holder --- */
static void
until_raise(struct lease *l, int64_t until)
{
    int64_t was = atomic_load(&l->until);

    while (was < until && !atomic_compare_exchange_weak(&l->until, &was, until))
        ;
}

void
lease_learn(struct lease *l, const json_t *j, int64_t asked_at)
{
    const json_t *g = json_object_get(j, "lease");
    uint64_t      smap_ver, under, ns;
    uint32_t      epoch;

    MUST(pthread_mutex_lock(&l->mtx));
    if (force_read(j, &epoch, &smap_ver)) {
        if (epoch > l->epoch) /* what was granted before is of a state that is no more */
            atomic_store(&l->until, 0);
        (void)force_set_locked(l, epoch, smap_ver);
    }
    if (asked_at > 0 && json_u64(json_object_get(g, "ns"), &ns) && ns <= LEASE_NS && json_u64(json_object_get(g, "under"), &under) &&
        l->smap != NULL && l->smap->version >= under)
        until_raise(l, asked_at + (int64_t)ns);
    MUST(pthread_mutex_unlock(&l->mtx));
}

void
lease_drop(struct lease *l)
{
    atomic_store(&l->until, 0);
}

int64_t
lease_left(struct lease *l, int64_t now)
{
    return atomic_load(&l->until) - now;
}

int
lease_check(struct node *n, struct err *e)
{
    if (LIKELY(lease_left(n->lease, clock_mono()) > 0))
        return 0;
    return err_set(e, AIS_E_UNAVAIL, "%s: no lease from the primary at this time, please try again", n->name);
}

/*
 * Does `self` own it, under the map and under those replaced by it that are not known to be out of use? *why: whose it is, or was until now.
 */
enum owned { OWNED, OWNED_BY_OTHER, OWNED_UNSETTLED };

static enum owned
owned_by(const char *self, const struct smap *m, const struct rmd *r, uint64_t in_force, const struct bck *b, uint64_t digest,
         const char **whose)
{
    const struct snode *owner = smap_hrw(m, digest);

    *whose = owner == NULL ? "nobody" : owner->id;
    if (owner == NULL || strcmp(owner->id, self) != 0)
        return OWNED_BY_OTHER;
    for (unsigned i = 0; r != NULL && i < r->nchain && r->chain[i].smap_ver >= in_force; i++) {
        const struct rmd_target *was;

        if (rmd_map_skips(&r->chain[i], b))
            break; /* and the older ones all the more */
        was = rmd_owner(&r->chain[i], digest);
        if (was == NULL)
            continue;
        *whose = was->id;
        if (strcmp(was->id, self) != 0 || i + 1 == RMD_CHAIN_MAX) /* the last one may be several in one */
            return OWNED_UNSETTLED;
    }
    return OWNED;
}

int
lease_check_obj(struct node *n, const struct smap *m, const struct rmd *r, const struct bck *b, struct str name, struct err *e)
{
    char        disp[BCK_DISPLAY_MAX];
    const char *whose;

    /* Whose it is comes first: that is true, as far as this node knows, whether or not it may serve anything itself. */
    switch (owned_by(n->id, m, r, lease_in_force(n), b, bck_obj_digest(b, name), &whose)) {
    case OWNED:
        return lease_check(n, e);
    case OWNED_BY_OTHER:
        return err_set(e, AIS_E_NOTOWNER, "%s: %s/%.*s belongs to t[%s] by Smap v%llu, please try again", n->name, bck_display(b, disp),
                       STR_FMT(name), whose, (unsigned long long)m->version);
    case OWNED_UNSETTLED:
        break;
    }
    return err_set(e, AIS_E_UNAVAIL, "%s: %s/%.*s belonged to t[%s], and Smap v%llu is not in force yet, please try again", n->name,
                   bck_display(b, disp), STR_FMT(name), whose, (unsigned long long)m->version);
}

int
lease_may_commit(void *ctx, const struct bck *b, struct str name)
{
    struct node  *n = ctx;
    struct lease *l = n->lease;
    const char   *whose;
    enum owned    o = OWNED_BY_OTHER;

    MUST(pthread_mutex_lock(&l->mtx));
    if (l->smap != NULL)
        o = owned_by(n->id, l->smap, l->rmd, atomic_load(&l->in_force), b, bck_obj_digest(b, name), &whose);
    MUST(pthread_mutex_unlock(&l->mtx));
    if (o == OWNED && lease_left(l, clock_mono()) <= 0)
        return -AIS_E_UNAVAIL;
    return o == OWNED ? 0 : o == OWNED_BY_OTHER ? -AIS_E_NOTOWNER : -AIS_E_UNAVAIL;
}

uint64_t
lease_in_force(struct node *n)
{
    return atomic_load_explicit(&n->lease->in_force, memory_order_relaxed);
}

bool
lease_owns(struct node *n, const struct bck *b, struct str name)
{
    struct lease       *l = n->lease;
    uint64_t            digest = bck_obj_digest(b, name);
    const struct snode *owner;
    bool                owns;

    MUST(pthread_mutex_lock(&l->mtx));
    owner = l->smap == NULL ? NULL : smap_hrw(l->smap, digest);
    owns = owner != NULL && strcmp(owner->id, n->id) == 0;
    MUST(pthread_mutex_unlock(&l->mtx));
    return owns;
}

void
lease_stay(struct node *n, struct lease_stay *s)
{
    struct lease *l = n->lease;

    MUST(pthread_mutex_lock(&l->mtx));
    s->smap_ver = l->smap == NULL ? 0 : l->smap->version;
    TAILQ_INSERT_TAIL(&l->stays, s, link);
    MUST(pthread_mutex_unlock(&l->mtx));
}

void
lease_go(struct node *n, struct lease_stay *s)
{
    struct lease *l = n->lease;

    MUST(pthread_mutex_lock(&l->mtx));
    TAILQ_REMOVE(&l->stays, s, link);
    MUST(pthread_mutex_unlock(&l->mtx));
}

uint64_t
lease_oldest_stay(struct node *n)
{
    struct lease *l = n->lease;
    uint64_t      v;

    MUST(pthread_mutex_lock(&l->mtx));
    v = TAILQ_EMPTY(&l->stays) ? UINT64_MAX : TAILQ_FIRST(&l->stays)->smap_ver;
    MUST(pthread_mutex_unlock(&l->mtx));
    return v;
}

/* --- the giver --- */
bool
node_may_grant(const struct node *n)
{
    struct cons *c = n->cons;

    return node_leads(n) && cons_is_leader(c) && cons_lease(c) > clock_mono();
}

void
lease_lead(struct lease *l, uint32_t epoch, bool fresh, int64_t now)
{
    MUST(pthread_mutex_lock(&l->mtx));
    l->leads = true;
    l->fresh = fresh;
    l->hold = !fresh && epoch > l->epoch && l->epoch > 0;
    l->since = now;
    l->ngrantees = 0;
    (void)force_set_locked(l, epoch, 0);
    (void)force_compute_locked(l, now);
    MUST(pthread_mutex_unlock(&l->mtx));
}

void
lease_unlead(struct lease *l)
{
    MUST(pthread_mutex_lock(&l->mtx));
    l->leads = false;
    l->ngrantees = 0;
    MUST(pthread_mutex_unlock(&l->mtx));
}

static struct grantee *
grantee_locked(struct lease *l, const char *id)
{
    for (unsigned i = 0; i < l->ngrantees; i++) {
        if (strcmp(l->grantees[i].id, id) == 0)
            return &l->grantees[i];
    }
    if (l->ngrantees == l->cap) {
        l->cap = MAX(16u, 2 * l->cap);
        l->grantees = xrealloc(l->grantees, l->cap * sizeof(*l->grantees));
    }
    l->grantees[l->ngrantees] = (struct grantee){ .acked = 0 };
    str_copyz(str_z(id), l->grantees[l->ngrantees].id, sizeof(l->grantees[0].id));
    return &l->grantees[l->ngrantees++];
}

/* What has run out goes; who has left the map and holds nothing goes altogether. */
static void
grants_expire_locked(struct lease *l, int64_t now)
{
    unsigned i = 0, k, kept;

    while (i < l->ngrantees) {
        struct grantee *g = &l->grantees[i];

        for (k = kept = 0; k < g->n; k++) {
            if (g->u[k].until > now)
                g->u[kept++] = g->u[k];
        }
        g->n = kept;
        if (kept == 0 && l->smap != NULL && smap_find(l->smap, str_z(g->id)) == NULL)
            *g = l->grantees[--l->ngrantees];
        else
            i++;
    }
}

bool
lease_acked(struct lease *l, const char *id, uint64_t smap_ver, int64_t now)
{
    bool rose = false;

    MUST(pthread_mutex_lock(&l->mtx));
    if (l->leads) {
        struct grantee *g = grantee_locked(l, id);

        g->acked = MAX(g->acked, smap_ver);
        rose = force_compute_locked(l, now);
    }
    MUST(pthread_mutex_unlock(&l->mtx));
    return rose;
}

bool
lease_reported(struct lease *l, const json_t *j, int64_t now)
{
    uint32_t epoch;
    uint64_t smap_ver;
    bool     rose = false;

    (void)now;
    MUST(pthread_mutex_lock(&l->mtx));
    if (l->leads && force_read(j, &epoch, &smap_ver) && epoch == l->epoch && l->smap != NULL)
        rose = force_set_locked(l, epoch, MIN(smap_ver, l->smap->version));
    MUST(pthread_mutex_unlock(&l->mtx));
    return rose;
}

bool
lease_tick(struct lease *l, int64_t now)
{
    bool rose;

    MUST(pthread_mutex_lock(&l->mtx));
    grants_expire_locked(l, now);
    rose = force_compute_locked(l, now);
    MUST(pthread_mutex_unlock(&l->mtx));
    return rose;
}

static void
grant_note(struct grantee *g, uint64_t under, int64_t until)
{
    if (g->n > 0 && g->u[g->n - 1].smap_ver == under) {
        g->u[g->n - 1].until = MAX(g->u[g->n - 1].until, until);
        return;
    }
    if (g->n == UNDERS) { /* two in one: the older map, the longer time */
        g->u[1] = (struct under){ g->u[0].smap_ver, MAX(g->u[0].until, g->u[1].until) };
        g->n--;
        memmove(&g->u[0], &g->u[1], g->n * sizeof(g->u[0]));
    }
    g->u[g->n++] = (struct under){ under, until };
}

void
lease_grant(struct lease *l, const char *id, uint64_t under, int64_t now, struct jw *w)
{
    bool given;

    MUST(pthread_mutex_lock(&l->mtx));
    given = l->leads && !(l->hold && now - l->since < LEASE_GIVEN);
    if (given)
        grant_note(grantee_locked(l, id), under, now + LEASE_GIVEN);
    MUST(pthread_mutex_unlock(&l->mtx));
    if (!given)
        return;
    jw_key(w, "lease");
    jw_obj(w);
    jw_ku64(w, "ns", LEASE_NS);
    jw_ku64(w, "under", under);
    jw_obj_end(w);
}

int64_t
lease_given_left(struct lease *l, const char *id, int64_t now)
{
    int64_t left = 0;

    MUST(pthread_mutex_lock(&l->mtx));
    for (unsigned i = 0; i < l->ngrantees; i++) {
        const struct grantee *g = &l->grantees[i];

        for (unsigned k = 0; strcmp(g->id, id) == 0 && k < g->n; k++)
            left = MAX(left, g->u[k].until - now);
    }
    MUST(pthread_mutex_unlock(&l->mtx));
    return left;
}
