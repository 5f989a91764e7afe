/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rebalance metadata: JSON, former owners, and what the state machine does to the chain.
 *
 * Runs on: any thread. Nothing parks or blocks.
 */
#include "core/rmd.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/util.h"
#include "codec/cksum.h"
#include "codec/jw.h"
#include "core/smap.h"

#define TARGETS_MAX 4096

static const char *const state_name[] = { [RMD_IDLE] = "idle", [RMD_RUNNING] = "running", [RMD_ABORTED] = "aborted" };

/* ---- life ---- */

struct rmd *
rmd_new(const char *cluster_id)
{
    struct rmd *r = xcalloc(1, sizeof(*r));

    atomic_init(&r->refs, 1);
    str_copyz(str_z(cluster_id), r->cluster_id, sizeof(r->cluster_id));
    r->bck = r->prefix = STR_LIT("");
    return r;
}

struct rmd *
rmd_ref(struct rmd *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

static void
str_drop(struct str *s)
{
    if (s->n > 0)
        free((void *)(uintptr_t)s->p);
    *s = STR_LIT("");
}

static void
str_take_copy(struct str *to, struct str from)
{
    *to = from.n > 0 ? str_from(xstrndup(from.p, from.n), from.n) : STR_LIT("");
}

static void
map_drop(struct rmd_map *m)
{
    free(m->t);
    m->t = NULL;
}

void
rmd_put(struct rmd *r)
{
    if (r == NULL || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < r->nchain; i++)
        map_drop(&r->chain[i]);
    free(r->chain);
    free(r->joined);
    str_drop(&r->bck);
    str_drop(&r->prefix);
    free(r);
}

static struct rmd_map
map_copy(const struct rmd_map *m)
{
    struct rmd_map c = *m;

    c.t = xcalloc(m->n + 1, sizeof(*c.t));
    memcpy(c.t, m->t, m->n * sizeof(*c.t));
    return c;
}

/* A copy, version + 1, with `extra` empty maps at the head of its chain. */
static struct rmd *
copy_with_room(const struct rmd *r, unsigned extra)
{
    struct rmd *c = rmd_new(r->cluster_id);

    c->version = r->version + 1;
    c->reb_id = r->reb_id;
    c->state = r->state;
    c->smap_ver = r->smap_ver;
    c->njoined = r->njoined;
    c->joined = xcalloc(r->njoined + 1, sizeof(*c->joined));
    if (r->njoined > 0)
        memcpy(c->joined, r->joined, r->njoined * sizeof(*c->joined));
    str_take_copy(&c->bck, r->bck);
    str_take_copy(&c->prefix, r->prefix);
    c->nchain = r->nchain + extra;
    c->chain = xcalloc(c->nchain + 1, sizeof(*c->chain));
    for (unsigned i = 0; i < r->nchain; i++)
        c->chain[i + extra] = map_copy(&r->chain[i]);
    return c;
}

/* ---- former owners ---- */

const struct rmd_target *
rmd_owner(const struct rmd_map *m, uint64_t digest)
{
    const struct rmd_target *best = NULL;
    uint64_t                 max = 0;

    for (unsigned i = 0; i < m->n; i++) {
        uint64_t w = hrw_mix(m->t[i].digest ^ digest);

        if (best == NULL || w > max) {
            max = w;
            best = &m->t[i];
        }
    }
    return best;
}

static unsigned
add_distinct(const struct rmd_target *t, const char *self, const struct rmd_target **out, unsigned n, unsigned max)
{
    if (t == NULL || strcmp(t->id, self) == 0 || n == max)
        return n;
    for (unsigned i = 0; i < n; i++)
        if (strcmp(out[i]->id, t->id) == 0)
            return n;
    out[n] = t;
    return n + 1;
}

unsigned
rmd_former(const struct rmd *r, const struct bck *b, struct str name, const char *self, const struct rmd_target **out, unsigned max)
{
    uint64_t digest = r->nchain > 0 ? bck_obj_digest(b, name) : 0;
    unsigned n = 0;

    for (unsigned i = 0; i < r->nchain; i++) {
        const struct rmd_map *m = &r->chain[i];

        if (rmd_map_skips(m, b))
            continue;
        if (i + 1 < RMD_CHAIN_MAX) {
            n = add_distinct(rmd_owner(m, digest), self, out, n, max);
            continue;
        }
        for (unsigned k = 0; k < m->n; k++) /* several maps in one: anybody may have owned it */
            n = add_distinct(&m->t[k], self, out, n, max);
    }
    return n;
}

bool
rmd_unsettled(const struct rmd *r, const struct bck *b)
{
    for (unsigned i = 0; i < r->nchain; i++)
        if (!rmd_map_skips(&r->chain[i], b))
            return true;
    return false;
}

uint64_t
rmd_newest(const struct rmd *r, const struct bck *b)
{
    for (unsigned i = 0; i < r->nchain; i++)
        if (!rmd_map_skips(&r->chain[i], b))
            return r->chain[i].smap_ver;
    return 0;
}

uint64_t
rmd_oldest(const struct rmd *r, const struct bck *b)
{
    for (unsigned i = r->nchain; i-- > 0;)
        if (!rmd_map_skips(&r->chain[i], b))
            return r->chain[i].smap_ver;
    return 0;
}

static bool
map_has(const struct rmd_map *m, const char *id)
{
    for (unsigned i = 0; i < m->n; i++)
        if (strcmp(m->t[i].id, id) == 0)
            return true;
    return false;
}

bool
rmd_names(const struct rmd *r, const char *id, uint64_t since)
{
    for (unsigned i = 0; i < r->nchain; i++)
        if (r->chain[i].smap_ver >= since && map_has(&r->chain[i], id))
            return true;
    return false;
}

/* ---- builders ---- */

/* Fold the two oldest maps into one that has the targets of both. */
static void
fold_oldest(struct rmd *r)
{
    struct rmd_map *to = &r->chain[r->nchain - 2], *from = &r->chain[r->nchain - 1];

    to->t = xrealloc(to->t, (size_t)(to->n + from->n + 1) * sizeof(*to->t));
    for (unsigned i = 0; i < from->n; i++)
        if (!map_has(to, from->t[i].id))
            to->t[to->n++] = from->t[i];
    map_drop(from);
    r->nchain--;
}

struct rmd *
rmd_push(const struct rmd *r, const struct smap *old, uint64_t bmd_ver)
{
    struct rmd     *c = copy_with_room(r, 1);
    struct rmd_map *m = &c->chain[0];

    m->smap_ver = old->version;
    m->bmd_ver = bmd_ver;
    m->t = xcalloc(old->nactive + 1, sizeof(*m->t));
    for (unsigned i = 0; i < old->nactive; i++) {
        struct rmd_target *t = &m->t[m->n++];

        memcpy(t->id, old->active[i]->id, sizeof(t->id));
        t->digest = old->active[i]->digest;
    }
    if (c->nchain > RMD_CHAIN_MAX)
        fold_oldest(c);
    return c;
}

struct rmd *
rmd_begin(const struct rmd *r, uint64_t smap_ver, struct str joined, struct str bck, struct str prefix)
{
    struct rmd *c = copy_with_room(r, 0);

    c->reb_id = c->version;
    c->state = RMD_RUNNING;
    c->smap_ver = smap_ver;
    c->due = false;
    c->njoined = joined.n > 0;
    c->joined = xrealloc(c->joined, 2 * sizeof(*c->joined));
    if (joined.n > 0)
        str_copyz(joined, c->joined[0], sizeof(c->joined[0]));
    str_drop(&c->bck);
    str_drop(&c->prefix);
    str_take_copy(&c->bck, bck);
    str_take_copy(&c->prefix, prefix);
    return c;
}

struct rmd *
rmd_set_due(const struct rmd *r)
{
    struct rmd *c = copy_with_room(r, 0);

    c->due = true;
    return c;
}

/* A target of the map that is dead in `now` keeps what it has until it comes back or is removed. */
static bool
map_waits(const struct rmd_map *m, const struct smap *now)
{
    for (unsigned i = 0; i < m->n; i++) {
        const struct snode *n = smap_find(now, str_z(m->t[i].id));

        if (n != NULL && (n->flags & SNODE_DEAD))
            return true;
    }
    return false;
}

struct rmd *
rmd_end(const struct rmd *r, bool aborted, const struct smap *now)
{
    struct rmd *c = copy_with_room(r, 0);
    unsigned    keep = 0;

    c->state = aborted ? RMD_ABORTED : RMD_IDLE;
    if (aborted || c->bck.n > 0 || c->prefix.n > 0)
        return c;
    for (unsigned i = 0; i < c->nchain; i++) {
        if (c->chain[i].smap_ver >= c->smap_ver || map_waits(&c->chain[i], now))
            c->chain[keep++] = c->chain[i];
        else
            map_drop(&c->chain[i]);
    }
    c->nchain = keep;
    return c;
}

/* ---- JSON ---- */

static void
map_json(const struct rmd_map *m, struct jw *w)
{
    jw_obj(w);
    jw_ku64(w, "smap", m->smap_ver);
    jw_ku64(w, "bmd", m->bmd_ver);
    jw_key(w, "ids");
    jw_arr(w);
    for (unsigned i = 0; i < m->n; i++)
        jw_strz(w, m->t[i].id);
    jw_arr_end(w);
    jw_obj_end(w);
}

static void
ext_json(const struct rmd *r, struct jw *w)
{
    jw_obj(w);
    jw_ku64(w, "reb", r->reb_id);
    jw_kstrz(w, "state", state_name[r->state]);
    jw_ku64(w, "smap", r->smap_ver);
    if (r->due)
        jw_kbool(w, "due", true);
    if (r->bck.n > 0)
        jw_kstr(w, "bck", r->bck);
    if (r->prefix.n > 0)
        jw_kstr(w, "prefix", r->prefix);
    jw_key(w, "chain");
    jw_arr(w);
    for (unsigned i = 0; i < r->nchain; i++)
        map_json(&r->chain[i], w);
    jw_arr_end(w);
    jw_obj_end(w);
}

void
rmd_json(const struct rmd *r, struct jw *w)
{
    jw_obj(w);
    if (r->smap_ver > 0 || r->nchain > 0 || r->due) {
        jw_key(w, "ext");
        ext_json(r, w);
    }
    jw_kstrz(w, "cluster_id", r->cluster_id);
    if (r->njoined > 0) {
        jw_key(w, "target_ids");
        jw_arr(w);
        for (unsigned i = 0; i < r->njoined; i++)
            jw_strz(w, r->joined[i]);
        jw_arr_end(w);
    }
    jw_ku64(w, "version", r->version);
    jw_obj_end(w);
}

static bool
joined_from_json(const json_t *ids, struct rmd *r)
{
    size_t n = json_array_size(ids);

    if (ids == NULL || json_is_null(ids))
        return true;
    if (!json_is_array(ids) || n > TARGETS_MAX)
        return false;
    r->joined = xcalloc(n + 1, sizeof(*r->joined));
    for (size_t i = 0; i < n; i++) {
        const char *id = json_string_value(json_array_get(ids, i));

        if (id == NULL || !str_copyz(str_z(id), r->joined[r->njoined++], sizeof(r->joined[0])))
            return false;
    }
    return true;
}

static bool
map_from_json(const json_t *j, struct rmd_map *m)
{
    const json_t *ids = json_object_get(j, "ids");
    size_t        n = json_array_size(ids);

    if (!json_u64(json_object_get(j, "smap"), &m->smap_ver) || !json_u64(json_object_get(j, "bmd"), &m->bmd_ver) ||
        !json_is_array(ids) || n > (size_t)TARGETS_MAX)
        return false;
    m->t = xcalloc(n + 1, sizeof(*m->t));
    for (size_t i = 0; i < n; i++) {
        const json_t      *v = json_array_get(ids, i);
        struct str         id = str_from(json_string_value(v), json_string_length(v));
        struct rmd_target *t = &m->t[m->n++];

        if (!node_id_valid(id) || !str_copyz(id, t->id, sizeof(t->id)))
            return false;
        t->digest = hrw_digest(id.p, id.n);
    }
    return true;
}

static bool
ext_from_json(const json_t *ext, struct rmd *r)
{
    const json_t *chain = json_object_get(ext, "chain");
    struct str    state = json_text(ext, "state");
    size_t        n = json_array_size(chain);
    unsigned      s;

    r->reb_id = r->version; /* as AIStore has it */
    if (ext == NULL || json_is_null(ext))
        return true;
    for (s = 0; s < ARRAY_SIZE(state_name) && !str_eqz(state, state_name[s]); s++)
        ;
    if (s == ARRAY_SIZE(state_name) || !json_u64(json_object_get(ext, "smap"), &r->smap_ver) ||
        !json_u64(json_object_get(ext, "reb"), &r->reb_id) || n > RMD_CHAIN_MAX ||
        json_text(ext, "prefix").n > RMD_PREFIX_MAX)
        return false;
    r->state = (enum rmd_state)s;
    r->due = json_is_true(json_object_get(ext, "due"));
    str_take_copy(&r->bck, json_text(ext, "bck"));
    str_take_copy(&r->prefix, json_text(ext, "prefix"));
    r->chain = xcalloc(n + 1, sizeof(*r->chain));
    for (size_t i = 0; i < n; i++)
        if (!map_from_json(json_array_get(chain, i), &r->chain[r->nchain++]))
            return false;
    return true;
}

int
rmd_from_json(const json_t *j, struct rmd **out, struct err *e)
{
    struct rmd *r = rmd_new("");

    if (!json_u64(json_object_get(j, "version"), &r->version) ||
        !str_copyz(json_text(j, "cluster_id"), r->cluster_id, sizeof(r->cluster_id)) ||
        !joined_from_json(json_object_get(j, "target_ids"), r) || !ext_from_json(json_object_get(j, "ext"), r)) {
        rmd_put(r);
        return err_set(e, AIS_E_BADREQ, "rebalance metadata is malformed");
    }
    *out = r;
    return 0;
}
