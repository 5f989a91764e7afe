/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bucket metadata: immutable snapshots that share their unchanged buckets, look-up, JSON; names of buckets.
 *
 * Runs on: any thread. Pure.
 * Wire: native-api.md 3.1, 7.3.
 */
#include "core/bmd.h"
#include "core/rate.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/sbuf.h"
#include "base/util.h"
#include "codec/jw.h"
#include "core/conf.h"

/* ---- names ---- */

static bool
ns_global(const struct bck *b)
{
    return b->ns_uuid.n == 0 && b->ns_name.n == 0;
}

const char *
bck_display(const struct bck *b, char out[BCK_DISPLAY_MAX])
{
    if (ns_global(b))
        snprintf(out, BCK_DISPLAY_MAX, "%s://%.*s", provider_scheme(b->provider), STR_FMT(b->name));
    else
        snprintf(out, BCK_DISPLAY_MAX, "%s://%s%.*s%s%.*s/%.*s", provider_scheme(b->provider), b->ns_uuid.n > 0 ? "@" : "",
                 STR_FMT(b->ns_uuid), b->ns_name.n > 0 ? "#" : "", STR_FMT(b->ns_name), STR_FMT(b->name));
    return out;
}

#define NAME_RULE "may only contain letters, numbers, dashes (-), underscores (_)"

static bool
is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Letters, digits, dashes, underscores, and dots that do not follow each other. */
static int
name_check(struct str s, const char *tag, struct err *e)
{
    if (s.n > BCK_NAME_MAX)
        return err_set(e, AIS_E_BADREQ, "%s is too long: %zu > %d(max length)", tag, s.n, BCK_NAME_MAX);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (is_alnum(c) || c == '-' || c == '_' || (c == '.' && (i + 1 == s.n || s.p[i + 1] != '.')))
            continue;
        return err_set(e, AIS_E_BADREQ, "%s is invalid: " NAME_RULE ", and dots (.)", tag);
    }
    return 0;
}

int
bck_name_check(struct str name, struct err *e)
{
    if (name.n == 0)
        return err_set(e, AIS_E_BADREQ, "bucket name is missing");
    if (name.p[0] == '.') {
        if (str_eqz(name, ".sys-inventory") || str_eqz(name, ".sys-shardidx"))
            return 0;
        return err_set(e, AIS_E_BADREQ, "reserved bucket name \"%.*s\" (unknown system bucket)", (int)MIN(name.n, 100),
                       name.p);
    }
    return name_check(name, "bucket name", e);
}

int
bck_ns_check(struct str uuid, struct str ns_name, struct err *e)
{
    bool nice = uuid.n <= 32;
    int  rc = name_check(ns_name, "namespace", e);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < uuid.n; i++)
        if (!is_alnum(uuid.p[i]) && ((uuid.p[i] != '-' && uuid.p[i] != '_') || i == 0 || i == uuid.n - 1))
            nice = false;
    if (nice)
        return 0;
    return err_set(e, AIS_E_BADREQ,
                   "bucket namespace (uuid: \"%.*s\", name: \"%.*s\") must be less than 32 characters and " NAME_RULE,
                   (int)MIN(uuid.n, 100), uuid.p, STR_FMT(ns_name));
}

void
ns_parse(struct str s, struct str *uuid, struct str *name)
{
    ptrdiff_t hash;

    if (s.n > 0 && s.p[0] == '@')
        s = str_from_off(s, 1);
    hash = str_chr(s, '#');
    *uuid = hash < 0 ? s : str_from(s.p, (size_t)hash);
    *name = hash < 0 ? STR_NULL : str_from_off(s, (size_t)hash + 1);
}

/* ---- buckets ---- */

static uint64_t
bck_hash(const struct bck *b)
{
    uint64_t h = hash_bytes(b->name.p, b->name.n, (uint64_t)b->provider);

    return ns_global(b) ? h : h ^ hash_bytes(b->ns_uuid.p, b->ns_uuid.n, hash_bytes(b->ns_name.p, b->ns_name.n, 1));
}

static bool
bck_same(const struct bck *a, const struct bck *b)
{
    return a->provider == b->provider && str_eq(a->name, b->name) && str_eq(a->ns_uuid, b->ns_uuid) &&
           str_eq(a->ns_name, b->ns_name);
}

/* As JSON documents sort their maps: provider, then "@uuid#name", then the name. */
static int
bck_cmp(const struct bck *a, const struct bck *b)
{
    char na[BCK_NS_MAX + 8], nb[BCK_NS_MAX + 8];
    int  c = strcmp(provider_name(a->provider), provider_name(b->provider));

    if (c != 0)
        return c;
    snprintf(na, sizeof(na), "@%.*s#%.*s", STR_FMT(a->ns_uuid), STR_FMT(a->ns_name));
    snprintf(nb, sizeof(nb), "@%.*s#%.*s", STR_FMT(b->ns_uuid), STR_FMT(b->ns_name));
    c = strcmp(na, nb);
    return c != 0 ? c : str_cmp(a->name, b->name);
}

/* Identity from id, settings from p; one reference. */
static struct bucket *
bucket_new(const struct bck *id, const struct bprops *p)
{
    struct bucket *b = xcalloc(1, sizeof(*b));
    struct sbuf    json;
    struct jw      w;

    atomic_init(&b->refs, 1);
    str_copyz(id->name, b->name, sizeof(b->name));
    str_copyz(id->ns_uuid, b->ns_uuid, sizeof(b->ns_uuid));
    str_copyz(id->ns_name, b->ns_name, sizeof(b->ns_name));
    b->props = *p;
    b->props.provider = id->provider;
    b->bck.provider = id->provider;
    b->bck.name = str_z(b->name);
    b->bck.ns_uuid = str_z(b->ns_uuid);
    b->bck.ns_name = str_z(b->ns_name);
    bck_apply_props(&b->bck, &b->props);
    b->hash = bck_hash(&b->bck);
    sbuf_init(&json, 64 << 10);
    jw_init(&w, &json, 0);
    bprops_json(&b->props, &w);
    b->head_json = xstrndup(json.p == NULL ? "" : json.p, json.n);
    sbuf_fini(&json);
    b->rate = rate_gate_new(&p->rate_limit.frontend);
    return b;
}

static struct bucket *
bucket_ref(struct bucket *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

static void
bucket_put(struct bucket *b)
{
    if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    rate_gate_free(b->rate);
    free(b->head_json);
    free(b);
}

/* ---- snapshots ---- */

static struct bmd *
bmd_alloc(unsigned room)
{
    struct bmd *m = xcalloc(1, sizeof(*m));

    atomic_init(&m->refs, 1);
    m->sorted = xcalloc(room + 1, sizeof(struct bucket *));
    return m;
}

struct bmd *
bmd_new(const char *uuid)
{
    struct bmd *m = bmd_alloc(0);

    str_copyz(str_z(uuid), m->uuid, sizeof(m->uuid));
    m->version = 1;
    return m;
}

struct bmd *
bmd_ref(struct bmd *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void
bmd_put(struct bmd *m)
{
    if (m == NULL || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < m->n; i++)
        bucket_put(m->sorted[i]);
    free(m->sorted);
    free(m->by_name);
    free(m->by_bid);
    free(m);
}

static int
sorted_cmp(const void *va, const void *vb)
{
    const struct bucket *const *a = va, *const *b = vb;

    return bck_cmp(&(*a)->bck, &(*b)->bck);
}

static void
tab_add(struct bucket **tab, unsigned mask, uint64_t hash, struct bucket *b)
{
    unsigned i = (unsigned)hash & mask;

    while (tab[i] != NULL)
        i = (i + 1) & mask;
    tab[i] = b;
}

/* Sort and index: two open-addressed tables, at most half full. */
static struct bmd *
bmd_finish(struct bmd *m)
{
    unsigned cap = 4;

    qsort(m->sorted, m->n, sizeof(m->sorted[0]), sorted_cmp);
    while (cap < 2 * m->n)
        cap *= 2;
    m->mask = cap - 1;
    m->by_name = xcalloc(cap, sizeof(struct bucket *));
    m->by_bid = xcalloc(cap, sizeof(struct bucket *));
    for (unsigned i = 0; i < m->n; i++) {
        tab_add(m->by_name, m->mask, m->sorted[i]->hash, m->sorted[i]);
        tab_add(m->by_bid, m->mask, hash_u64(m->sorted[i]->bck.bid), m->sorted[i]);
    }
    return m;
}

const struct bucket *
bmd_find(const struct bmd *m, const struct bck *b)
{
    uint64_t h = bck_hash(b);

    if (m->n == 0)
        return NULL;
    for (unsigned i = (unsigned)h & m->mask; m->by_name[i] != NULL; i = (i + 1) & m->mask)
        if (m->by_name[i]->hash == h && bck_same(&m->by_name[i]->bck, b))
            return m->by_name[i];
    return NULL;
}

const struct bucket *
bmd_find_bid(const struct bmd *m, uint64_t bid)
{
    if (m->n == 0)
        return NULL;
    for (unsigned i = (unsigned)hash_u64(bid) & m->mask; m->by_bid[i] != NULL; i = (i + 1) & m->mask)
        if (m->by_bid[i]->bck.bid == bid)
            return m->by_bid[i];
    return NULL;
}

/* A copy without the bucket `skip` (may be NULL), version + 1, room for one more. bmd_finish is the caller's. */
static struct bmd *
bmd_copy(const struct bmd *m, const struct bck *skip)
{
    struct bmd *c = bmd_alloc(m->n + 1);

    memcpy(c->uuid, m->uuid, sizeof(c->uuid));
    c->version = m->version + 1;
    for (unsigned i = 0; i < m->n; i++)
        if (skip == NULL || !bck_same(&m->sorted[i]->bck, skip))
            c->sorted[c->n++] = bucket_ref(m->sorted[i]);
    return c;
}

struct bmd *
bmd_with_bucket(const struct bmd *m, const struct bck *id, const struct bprops *p, int64_t now)
{
    struct bmd   *c = bmd_copy(m, id);
    struct bprops q = *p;

    q.bid = MAX(m->version, 1) | (id->provider == PROV_AIS && id->ns_uuid.n == 0 ? BID_AIS : 0);
    if (m->version == 0)
        c->version = 2;
    q.created = now;
    c->sorted[c->n++] = bucket_new(id, &q);
    return bmd_finish(c);
}

struct bmd *
bmd_without_bucket(const struct bmd *m, const struct bck *id)
{
    return bmd_finish(bmd_copy(m, id));
}

struct bmd *
bmd_with_props(const struct bmd *m, const struct bck *id, const struct bprops *p)
{
    const struct bucket *old = bmd_find(m, id);
    struct bmd          *c = bmd_copy(m, id);
    struct bprops        q = *p;

    if (old != NULL) {
        q.bid = old->props.bid;
        q.created = old->props.created;
        c->sorted[c->n++] = bucket_new(id, &q);
    }
    return bmd_finish(c);
}

/* ---- JSON ---- */

/* Keys of the levels above the bucket's name. */
static void
level_keys(const struct bck *b, const char **prov, char ns[BCK_NS_MAX + 8])
{
    *prov = provider_name(b->provider);
    snprintf(ns, BCK_NS_MAX + 8, "@%.*s#%.*s", STR_FMT(b->ns_uuid), STR_FMT(b->ns_name));
}

/* ais and its global namespace are always there, also when they are empty; they sort first. */
void
bmd_json(const struct bmd *m, struct jw *w)
{
    char        open_ns[BCK_NS_MAX + 8] = "@#", ns[BCK_NS_MAX + 8];
    const char *open_prov = "ais", *prov;

    jw_obj(w);
    jw_key(w, "providers");
    jw_obj(w);
    jw_key(w, "ais");
    jw_obj(w);
    jw_key(w, "@#");
    jw_obj(w);
    for (unsigned i = 0; i < m->n; i++) {
        const struct bucket *b = m->sorted[i];

        level_keys(&b->bck, &prov, ns);
        if (strcmp(prov, open_prov) != 0 || strcmp(ns, open_ns) != 0) {
            jw_obj_end(w);
            if (strcmp(prov, open_prov) != 0) {
                jw_obj_end(w);
                jw_key(w, prov);
                jw_obj(w);
            }
            jw_key(w, ns);
            jw_obj(w);
            open_prov = prov;
            memcpy(open_ns, ns, sizeof(open_ns));
        }
        jw_key(w, b->name);
        jw_raw(w, str_z(b->head_json));
    }
    jw_obj_end(w);
    jw_obj_end(w);
    jw_obj_end(w);
    jw_kstrz(w, "uuid", m->uuid);
    jw_ku64s(w, "version", m->version);
    jw_obj_end(w);
}

static int
bucket_from_json(struct bmd *m, struct bck *id, json_t *j, struct err *e)
{
    struct bprops p;
    int           rc = bck_name_check(id->name, e);

    if (rc == 0)
        rc = bprops_from_json(&p, j, e);
    if (rc == 0)
        m->sorted[m->n++] = bucket_new(id, &p);
    return rc;
}

/* How many buckets a document holds; -1 when its levels are not objects. */
static int64_t
count_buckets(json_t *provs)
{
    const char *k;
    json_t     *ns, *bcks;
    int64_t     n = 0;

    if (!json_is_object(provs))
        return -1;
    json_object_foreach(provs, k, ns)
    {
        const char *k2;

        if (!json_is_object(ns))
            return -1;
        json_object_foreach(ns, k2, bcks)
        {
            if (!json_is_object(bcks))
                return -1;
            n += (int64_t)json_object_size(bcks);
        }
    }
    return n;
}

static int
buckets_from_json(struct bmd *m, json_t *provs, struct err *e)
{
    const char *pk, *nk, *bk;
    json_t     *ns, *bcks, *j;
    struct bck  id;
    int         rc;

    memset(&id, 0, sizeof(id));
    json_object_foreach(provs, pk, ns)
    {
        if (!provider_by_name(str_z(pk), &id.provider) || strcmp(provider_name(id.provider), pk) != 0)
            return err_set(e, AIS_E_BADREQ, "bucket metadata: unknown provider \"%.40s\"", pk);
        json_object_foreach(ns, nk, bcks)
        {
            ns_parse(str_z(nk), &id.ns_uuid, &id.ns_name);
            rc = bck_ns_check(id.ns_uuid, id.ns_name, e);
            if (rc < 0)
                return rc;
            json_object_foreach(bcks, bk, j)
            {
                id.name = str_z(bk);
                rc = bucket_from_json(m, &id, j, e);
                if (rc < 0)
                    return err_wrap(e, "bucket metadata");
            }
        }
    }
    return 0;
}

/* Namespaces may be spelled in several ways: two spellings of one bucket are refused. */
static int
check_unique(const struct bmd *m, struct err *e)
{
    for (unsigned i = 1; i < m->n; i++)
        if (bck_same(&m->sorted[i - 1]->bck, &m->sorted[i]->bck))
            return err_set(e, AIS_E_BADREQ, "bucket metadata: bucket \"%s\" is there twice", m->sorted[i]->name);
    return 0;
}

int
bmd_from_json(const struct json_t *j, struct bmd **out, struct err *e)
{
    struct json_t *provs = json_get_fold(j, "providers"), *uuid = json_get_fold(j, "uuid");
    int64_t        n = count_buckets(provs);
    struct bmd    *m;
    int            rc = 0;

    if (n < 0)
        return err_set(e, AIS_E_BADREQ, "bucket metadata is malformed");
    m = bmd_alloc((unsigned)n);
    if (!json_u64(json_get_fold(j, "version"), &m->version) ||
        (json_is_string(uuid) && !str_copyz(str_z(json_string_value(uuid)), m->uuid, sizeof(m->uuid))))
        rc = err_set(e, AIS_E_BADREQ, "bucket metadata is malformed");
    if (rc == 0)
        rc = buckets_from_json(m, provs, e);
    if (rc == 0)
        rc = check_unique(bmd_finish(m), e);
    if (rc < 0)
        bmd_put(m);
    else
        *out = m;
    return rc;
}
