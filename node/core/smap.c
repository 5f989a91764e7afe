/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster map: building, searching, placement, JSON.
 *
 * A map is one allocation that never changes once it is published; the builders copy. Whoever reads it holds a reference.
 *
 * Runs on: any thread. Nothing parks or blocks.
 * Wire: native-api.md 7.1, 7.2. Placement: internals.md 2.
 */
#include "core/smap.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/units.h"
#include "base/util.h"
#include "codec/cksum.h"
#include "codec/jw.h"
#include "run/run.h"

#define SMAP_MAX_NODES 4096 /* of each role, in what comes from outside */

/* ---- life ---- */

/* Room for n nodes; the list of active targets lies behind them. */
static struct smap *
smap_alloc(unsigned n)
{
    struct smap *m = xcalloc(1, sizeof(*m) + (size_t)n * (sizeof(struct snode) + sizeof(struct snode *)));

    atomic_init(&m->refs, 1);
    m->nodes = (struct snode *)(void *)(m + 1);
    m->active = (struct snode **)(void *)(m->nodes + n);
    return m;
}

struct smap *
smap_ref(struct smap *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void
smap_put(struct smap *m)
{
    if (m != NULL && atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1)
        free(m);
}

static int
node_cmp(const void *va, const void *vb)
{
    const struct snode *a = va, *b = vb;

    if (a->role != b->role)
        return a->role == ROLE_PROXY ? -1 : 1;
    return strcmp(a->id, b->id);
}

/* Sort and count after the nodes were filled in; primary: id or "". */
static void
smap_finish(struct smap *m, const char *primary)
{
    qsort(m->nodes, m->nnodes, sizeof(m->nodes[0]), node_cmp);
    m->nproxies = m->ntargets = m->nactive = m->ndead = 0;
    m->primary = NULL;
    for (unsigned i = 0; i < m->nnodes; i++) {
        struct snode *n = &m->nodes[i];
        bool          dead = (n->flags & SNODE_DEAD) != 0;

        m->ndead += dead;
        if (n->role == ROLE_PROXY) {
            m->nproxies += !dead;
            if (strcmp(n->id, primary) == 0)
                m->primary = n;
        } else {
            m->ntargets += !dead;
            if (snode_active(n))
                m->active[m->nactive++] = n;
        }
    }
}

void
smap_set_created(struct smap *m, int64_t unix_ns)
{
    char buf[UNITS_MAX];

    time_datetime(unix_ns, buf);
    snprintf(m->created, sizeof(m->created), "%.*s", (int)sizeof(m->created) - 1, buf);
}

struct smap *
smap_new(const char *uuid)
{
    struct smap *m = smap_alloc(0);

    str_copyz(str_z(uuid), m->uuid, sizeof(m->uuid));
    smap_set_created(m, clock_real());
    return m;
}

/* A copy with room for `extra` more nodes, without the node `skip`, version + 1. smap_finish is the caller's. */
static struct smap *
smap_copy(const struct smap *m, unsigned extra, struct str skip)
{
    struct smap *c = smap_alloc(m->nnodes + extra);

    c->version = m->version + 1;
    c->level = m->level;
    memcpy(c->uuid, m->uuid, sizeof(c->uuid));
    memcpy(c->created, m->created, sizeof(c->created));
    for (unsigned i = 0; i < m->nnodes; i++)
        if (!str_eqz(skip, m->nodes[i].id))
            c->nodes[c->nnodes++] = m->nodes[i];
    return c;
}

static const char *
primary_id(const struct smap *m)
{
    return m->primary == NULL ? "" : m->primary->id;
}

struct smap *
smap_with_node(const struct smap *m, const struct snode *n)
{
    struct smap *c = smap_copy(m, 1, str_z(n->id));

    c->nodes[c->nnodes++] = *n;
    smap_finish(c, primary_id(m));
    return c;
}

struct smap *
smap_without_node(const struct smap *m, struct str id)
{
    struct smap *c = smap_copy(m, 0, id);

    smap_finish(c, primary_id(m));
    return c;
}

struct smap *
smap_with_flags(const struct smap *m, struct str id, uint64_t set, uint64_t clear)
{
    struct smap *c = smap_copy(m, 0, STR_NULL);

    for (unsigned i = 0; i < c->nnodes; i++)
        if (str_eqz(id, c->nodes[i].id))
            c->nodes[i].flags = (c->nodes[i].flags & ~clear) | set;
    smap_finish(c, primary_id(m));
    return c;
}

struct smap *
smap_with_primary(const struct smap *m, struct str id)
{
    struct smap *c = smap_copy(m, 0, STR_NULL);
    char         z[NODE_ID_MAX + 1];

    str_copyz(id, z, sizeof(z));
    smap_finish(c, z);
    return c;
}

struct smap *
smap_with_level(const struct smap *m, unsigned level)
{
    struct smap *c = smap_copy(m, 0, STR_NULL);

    c->level = level;
    smap_finish(c, primary_id(m));
    return c;
}

unsigned
smap_common_level(const struct smap *m)
{
    unsigned level = UINT_MAX;

    for (unsigned i = 0; i < m->nnodes; i++)
        level = MIN(level, m->nodes[i].level);
    return m->nnodes > 0 ? level : 0;
}

/* ---- search, placement ---- */

const struct snode *
smap_find(const struct smap *m, struct str id)
{
    for (unsigned i = 0; i < m->nnodes; i++)
        if (str_eqz(id, m->nodes[i].id))
            return &m->nodes[i];
    return NULL;
}

const struct snode *
smap_hrw(const struct smap *m, uint64_t digest)
{
    const struct snode *best = NULL;
    uint64_t            max = 0;

    for (unsigned i = 0; i < m->nactive; i++) {
        uint64_t w = hrw_mix(m->active[i]->digest ^ digest);

        if (best == NULL || w > max) {
            max = w;
            best = m->active[i];
        }
    }
    return best;
}

unsigned
smap_hrw_list(const struct smap *m, uint64_t digest, const struct snode **out, unsigned n)
{
    unsigned have = 0, j;

    for (unsigned i = 0; i < m->nactive && n > 0; i++) {
        uint64_t w = hrw_mix(m->active[i]->digest ^ digest);

        if (have == n && hrw_mix(out[n - 1]->digest ^ digest) >= w)
            continue;
        if (have < n)
            have++;
        for (j = have - 1; j > 0 && hrw_mix(out[j - 1]->digest ^ digest) < w; j--)
            out[j] = out[j - 1];
        out[j] = m->active[i];
    }
    return have;
}

const struct snode *
smap_next_primary(const struct smap *m, struct str failed)
{
    const struct snode *best = NULL;

    for (unsigned i = 0; i < m->nnodes; i++) {
        const struct snode *n = &m->nodes[i];

        if (n->role != ROLE_PROXY || !snode_active(n) || (n->flags & SNODE_NON_ELECTABLE) || str_eqz(failed, n->id))
            continue;
        if (best == NULL || n->digest > best->digest)
            best = n;
    }
    return best;
}

/* ---- JSON out ---- */

static void
net_members(const struct net_ep *ep, struct jw *w)
{
    char port[8];

    snprintf(port, sizeof(port), "%u", ep->port);
    jw_obj(w);
    jw_kstrz(w, "node_ip_addr", ep->host);
    jw_kstrz(w, "daemon_port", port);
    jw_kstrz(w, "direct_url", ep->url);
    jw_obj_end(w);
}

void
snode_json(const struct snode *n, struct jw *w)
{
    jw_obj(w);
    jw_key(w, "public_net");
    net_members(&n->pub, w);
    jw_key(w, "intra_data_net");
    net_members(&n->data, w);
    jw_key(w, "intra_control_net");
    net_members(&n->control, w);
    jw_kstrz(w, "daemon_type", n->role == ROLE_PROXY ? "proxy" : "target");
    jw_kstrz(w, "daemon_id", n->id);
    if (n->nextra > 0) {
        jw_key(w, "pub_extra");
        jw_arr(w);
        for (unsigned i = 0; i < n->nextra; i++)
            net_members(&n->extra[i], w);
        jw_arr_end(w);
    }
    jw_ku64(w, "flags", n->flags);
    jw_ku64(w, "id_digest", n->digest);
    if (n->vkey[0] != '\0')
        jw_kstrz(w, "verifying_key", n->vkey);
    jw_obj_end(w);
}

/* Dead, and gone for AIStore's clients; a dead one in maintenance they see, as they would with AIStore. */
static bool
is_gone(const struct snode *n)
{
    return (n->flags & SNODE_DEAD) && !(n->flags & (SNODE_MAINT | SNODE_DECOMM));
}

/* The nodes with that role that are in the cluster, or (role -1) those that are gone. */
static void
map_json(const struct smap *m, int role, struct jw *w)
{
    jw_obj(w);
    for (unsigned i = 0; i < m->nnodes; i++) {
        bool gone = is_gone(&m->nodes[i]);

        if (role < 0 ? !gone : gone || (int)m->nodes[i].role != role)
            continue;
        jw_key(w, m->nodes[i].id);
        snode_json(&m->nodes[i], w);
    }
    jw_obj_end(w);
}

static bool
some_gone(const struct smap *m)
{
    for (unsigned i = 0; i < m->nnodes; i++)
        if (is_gone(&m->nodes[i]))
            return true;
    return false;
}

static bool
knows_level(const struct smap *m)
{
    for (unsigned i = 0; i < m->nnodes; i++) {
        if (m->nodes[i].level != 0)
            return true;
    }
    return false;
}

static bool
knows_storage(const struct smap *m)
{
    for (unsigned i = 0; i < m->nnodes; i++) {
        if (m->nodes[i].storage[0] != '\0')
            return true;
    }
    return false;
}

/* Of the cluster, and of each node that has one. */
static void
levels_json(const struct smap *m, struct jw *w)
{
    jw_ku64(w, "level", m->level);
    jw_key(w, "levels");
    jw_obj(w);
    for (unsigned i = 0; i < m->nnodes; i++) {
        if (m->nodes[i].level != 0)
            jw_ku64(w, m->nodes[i].id, m->nodes[i].level);
    }
    jw_obj_end(w);
}

/*
 * What AIStore's clients do not look at: {"level": N, "levels":{id: N}, "dead":{id: Snode}, "dead_since":{id: ns}, "storage":{id: text}}, each if
 * there is any.
 */
static void
ext_json(const struct smap *m, struct jw *w)
{
    bool gone = some_gone(m), storage = knows_storage(m), levels = m->level != 0 || knows_level(m);

    if (!gone && !storage && !levels)
        return;
    jw_key(w, "ext");
    jw_obj(w);
    if (levels)
        levels_json(m, w);
    if (gone) {
        jw_key(w, "dead");
        map_json(m, -1, w);
        jw_key(w, "dead_since");
        jw_obj(w);
        for (unsigned i = 0; i < m->nnodes; i++) {
            if (m->nodes[i].dead_since != 0)
                jw_ki64s(w, m->nodes[i].id, m->nodes[i].dead_since);
        }
        jw_obj_end(w);
    }
    if (storage) {
        jw_key(w, "storage");
        jw_obj(w);
        for (unsigned i = 0; i < m->nnodes; i++) {
            if (m->nodes[i].storage[0] != '\0')
                jw_kstrz(w, m->nodes[i].id, m->nodes[i].storage);
        }
        jw_obj_end(w);
    }
    jw_obj_end(w);
}

void
smap_json(const struct smap *m, struct jw *w)
{
    jw_obj(w);
    ext_json(m, w);
    jw_key(w, "pmap");
    map_json(m, ROLE_PROXY, w);
    jw_key(w, "proxy_si");
    if (m->primary != NULL)
        snode_json(m->primary, w);
    else
        jw_null(w);
    jw_key(w, "tmap");
    map_json(m, ROLE_TARGET, w);
    jw_kstrz(w, "uuid", m->uuid);
    jw_kstrz(w, "creation_time", m->created);
    jw_ku64s(w, "version", m->version);
    jw_obj_end(w);
}

/* ---- JSON in ---- */

/* A string member into buf; absent is "". False when it is no string or too long. */
static bool
get_strz(const struct json_t *j, const char *key, char *buf, size_t n)
{
    const struct json_t *v = json_get_fold(j, key);

    buf[0] = '\0';
    if (v == NULL || json_is_null(v))
        return true;
    if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
        return false;
    return str_copyz(str_from(json_string_value(v), json_string_length(v)), buf, n);
}

static bool
net_from_json(const struct json_t *j, struct net_ep *ep)
{
    const struct json_t *port;
    uint64_t             v = 0;

    memset(ep, 0, sizeof(*ep));
    if (j == NULL || json_is_null(j))
        return true;
    if (!json_is_object(j) || !get_strz(j, "node_ip_addr", ep->host, sizeof(ep->host)) ||
        !get_strz(j, "direct_url", ep->url, sizeof(ep->url)))
        return false;
    port = json_get_fold(j, "daemon_port");
    if (port != NULL && !(json_is_string(port) && json_string_length(port) == 0) && (!json_u64(port, &v) || v > UINT16_MAX))
        return false;
    ep->port = (uint16_t)v;
    return true;
}

void
snode_finish(struct snode *n, bool https)
{
    struct net_ep *eps[3 + SNODE_MAX_EXTRA] = { &n->pub, &n->control, &n->data };
    unsigned       neps = 3;

    snprintf(n->name, sizeof(n->name), "%c[%s]", n->role == ROLE_PROXY ? 'p' : 't', n->id);
    n->digest = hrw_digest(n->id, strlen(n->id));
    for (unsigned i = 0; i < n->nextra; i++)
        eps[neps++] = &n->extra[i];
    for (unsigned i = 0; i < neps; i++) {
        bool v6 = strchr(eps[i]->host, ':') != NULL;

        if (eps[i]->url[0] == '\0' && eps[i]->port != 0)
            snprintf(eps[i]->url, sizeof(eps[i]->url), "http%s://%s%s%s:%u", https ? "s" : "", v6 ? "[" : "", eps[i]->host,
                     v6 ? "]" : "", eps[i]->port);
    }
}

/* pub_extra: an array of networks. */
static bool
extra_from_json(const struct json_t *j, struct snode *n)
{
    size_t nr = json_array_size(j);

    if (j == NULL || json_is_null(j))
        return true;
    if (!json_is_array(j) || nr > SNODE_MAX_EXTRA)
        return false;
    for (size_t i = 0; i < nr; i++)
        if (!net_from_json(json_array_get(j, i), &n->extra[i]))
            return false;
    n->nextra = (unsigned)nr;
    return true;
}

int
snode_from_json(const struct json_t *j, struct snode *out, struct err *e)
{
    struct snode        n;
    const struct json_t *v;
    char                 type[16];

    memset(&n, 0, sizeof(n));
    if (!json_is_object(j) || !get_strz(j, "daemon_id", n.id, sizeof(n.id)) ||
        !get_strz(j, "daemon_type", type, sizeof(type)))
        return err_set(e, AIS_E_BADREQ, "node description is malformed");
    if (!node_id_valid(str_z(n.id)))
        return err_set(e, AIS_E_BADREQ, "node ID \"%s\" is invalid", n.id);
    if (strcmp(type, "proxy") == 0)
        n.role = ROLE_PROXY;
    else if (strcmp(type, "target") == 0)
        n.role = ROLE_TARGET;
    else
        return err_set(e, AIS_E_BADREQ, "node %s: invalid daemon_type \"%s\"", n.id, type);
    if (!net_from_json(json_get_fold(j, "public_net"), &n.pub) ||
        !net_from_json(json_get_fold(j, "intra_control_net"), &n.control) ||
        !net_from_json(json_get_fold(j, "intra_data_net"), &n.data) ||
        !extra_from_json(json_get_fold(j, "pub_extra"), &n))
        return err_set(e, AIS_E_BADREQ, "node %s: malformed network", n.id);
    v = json_get_fold(j, "flags");
    if ((v != NULL && !json_u64(v, &n.flags)) || !get_strz(j, "verifying_key", n.vkey, sizeof(n.vkey)))
        return err_set(e, AIS_E_BADREQ, "node %s: malformed flags or key", n.id);
    snode_finish(&n, false);
    *out = n;
    return 0;
}

/* The nodes of pmap, tmap or (role -1) of the dead into m. */
static int
nodes_from_json(struct json_t *map, int role, struct smap *m, struct err *e)
{
    const char *key;
    json_t     *v;
    int         rc;

    json_object_foreach(map, key, v)
    {
        struct snode *n = &m->nodes[m->nnodes];

        rc = snode_from_json(v, n, e);
        if (rc < 0)
            return rc;
        if ((role >= 0 && (int)n->role != role) || strcmp(n->id, key) != 0)
            return err_set(e, AIS_E_BADREQ, "cluster map: node %s does not belong under key \"%.40s\"", n->id, key);
        if (role < 0)
            n->flags |= SNODE_DEAD;
        else if (is_gone(n))
            n->flags &= ~(uint64_t)SNODE_DEAD;
        m->nnodes++;
    }
    return 0;
}

static bool
map_valid(const struct json_t *map)
{
    return map == NULL || json_is_null(map) || (json_is_object(map) && json_object_size(map) <= SMAP_MAX_NODES);
}

static unsigned
level_from_json(const struct json_t *j)
{
    uint64_t v = 0;

    return json_u64(j, &v) && v <= UINT_MAX ? (unsigned)v : 0;
}

static void
ext_from_json(const struct json_t *ext, struct smap *m)
{
    m->level = level_from_json(json_object_get(ext, "level"));
    for (unsigned i = 0; i < m->nnodes; i++) {
        struct snode *n = &m->nodes[i];

        (void)str_copyz(json_text(json_object_get(ext, "storage"), n->id), n->storage, sizeof(n->storage));
        n->level = level_from_json(json_object_get(json_object_get(ext, "levels"), n->id));
        if (n->flags & SNODE_DEAD)
            (void)json_i64(json_object_get(json_object_get(ext, "dead_since"), n->id), &n->dead_since);
    }
}

int
smap_from_json(const struct json_t *j, struct smap **out, struct err *e)
{
    struct json_t *pmap = json_get_fold(j, "pmap"), *tmap = json_get_fold(j, "tmap");
    struct json_t *ext = json_get_fold(j, "ext"), *dead = json_object_get(ext, "dead");
    struct json_t *psi = json_get_fold(j, "proxy_si"), *ver = json_get_fold(j, "version");
    char           primary[NODE_ID_MAX + 1] = "";
    struct smap   *m;
    int            rc = 0;

    if (!json_is_object(j) || !map_valid(pmap) || !map_valid(tmap) || !map_valid(dead))
        return err_set(e, AIS_E_BADREQ, "cluster map is malformed");
    m = smap_alloc((unsigned)(json_object_size(pmap) + json_object_size(tmap) + json_object_size(dead)));
    if (!json_u64(ver, &m->version) || !get_strz(j, "uuid", m->uuid, sizeof(m->uuid)) ||
        !get_strz(j, "creation_time", m->created, sizeof(m->created)) ||
        (json_is_object(psi) && !get_strz(psi, "daemon_id", primary, sizeof(primary)))) {
        rc = err_set(e, AIS_E_BADREQ, "cluster map is malformed");
        goto out;
    }
    if (json_is_object(pmap))
        rc = nodes_from_json(pmap, ROLE_PROXY, m, e);
    if (rc == 0 && json_is_object(tmap))
        rc = nodes_from_json(tmap, ROLE_TARGET, m, e);
    if (rc == 0 && json_is_object(dead))
        rc = nodes_from_json(dead, -1, m, e);
    if (rc < 0)
        goto out;
    ext_from_json(ext, m);
    smap_finish(m, primary);
    for (unsigned i = 1; i < m->nnodes; i++) {
        const struct snode *other = &m->nodes[i];

        if (smap_find(m, str_z(other->id)) != other) {
            rc = err_set(e, AIS_E_BADREQ, "cluster map: node %s is in it twice", other->id);
            goto out;
        }
    }
    *out = m;
    return 0;
out:
    smap_put(m);
    return rc;
}

/* ---- ids ---- */

static bool
is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool
alpha_nice(struct str s, size_t min)
{
    if (s.n < min || s.n > NODE_ID_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && ((s.p[i] != '-' && s.p[i] != '_') || i == 0 || i == s.n - 1))
            return false;
    return true;
}

bool
node_id_valid(struct str id)
{
    return alpha_nice(id, 8);
}

bool
uuid_valid(struct str id)
{
    return alpha_nice(id, 9);
}

/* n random letters and digits; first and last as the rules want them: a letter, and no dash. */
static void
id_gen(char *out, unsigned n, bool dashes)
{
    static const char abc[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    unsigned char     rnd[16];

    rand_bytes(rnd, sizeof(rnd));
    for (unsigned i = 0; i < n; i++) {
        unsigned range = i == 0 ? 52 : i == n - 1 || !dashes ? 62 : 64;

        out[i] = abc[rnd[i] % range];
    }
    out[n] = '\0';
}

void
uuid_gen(char out[16])
{
    id_gen(out, 10, true);
    if (out[0] == 'g') /* "g12" is a rebalance */
        out[0] = 'G';
}

void
node_id_gen(char out[9])
{
    id_gen(out, 8, false);
}
