/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replicated state machine: a table of operations over {Smap, BMD, RMD, config}.
 *
 * Each operation looks at the present set and either refuses or exchanges snapshots of a copy, which then becomes the present one. No
 * clock, no randomness, no node's own settings in here.
 */
#include "core/cstate.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "codec/jw.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/units.h"
#include "base/util.h"

#define CSTATE_FORMAT 1
#define IC_MEMBERS    3 /* proxies of the information centre (internals.md 3.7) */

struct cstate {
    pthread_mutex_t mtx; /* protects cur */
    struct mset    *cur;
};

/* One operation: refuse (negative, *m untouched as far as anyone sees: it is thrown away) or change the copy *m. */
typedef int op_f(struct mset *m, const json_t *cmd, struct err *e);

static unsigned
cmd_level(const json_t *cmd)
{
    uint64_t level = 0;

    return json_u64(json_object_get(cmd, "level"), &level) && level <= UINT32_MAX ? (unsigned)level : 0;
}

static int64_t
cmd_now(const json_t *cmd)
{
    int64_t now = 0;

    (void)json_i64(json_object_get(cmd, "now"), &now);
    return now;
}

/* --- cluster --- */
/* {"op":"init","uuid","now","level"?,"smap"?,"bmd"?,"conf"?,"rmd"?}: the beginning, from nothing or from an adopted configuration. */
static int
op_init(struct mset *m, const json_t *cmd, struct err *e)
{
    struct str uuid = json_text(cmd, "uuid");
    char       uuidz[40];
    unsigned   have;
    int        rc;

    if (m->smap->uuid[0] != '\0')
        return err_set(e, AIS_E_CONFLICT, "cluster %s exists already", m->smap->uuid);
    if (!uuid_valid(uuid) || !str_copyz(uuid, uuidz, sizeof(uuidz)))
        return err_set(e, AIS_E_INVAL, "invalid cluster id \"%.*s\"", STR_FMT(uuid));
    rc = mset_from_json(m, cmd, &have, e);
    if (rc < 0)
        return rc;
    if (!(have & 1u << MI_SMAP)) {
        struct smap *s = smap_new(uuidz);

        smap_set_created(s, cmd_now(cmd));
        s->level = cmd_level(cmd); /* there are no nodes of a lower one */
        mset_set_smap(m, s);
    }
    if (!(have & 1u << MI_BMD)) {
        struct bmd *b = bmd_new(uuidz);

        b->version = 1;
        mset_set_bmd(m, b);
    }
    if (!(have & 1u << MI_RMD))
        mset_set_rmd(m, rmd_new(uuidz));
    mset_set_conf(m, conf_copy(m->conf));
    str_copyz(str_z(m->smap->uuid), m->conf->uuid, sizeof(m->conf->uuid));
    m->conf->version++;
    return 0;
}

/* Who comes first as a member of the information centre: the primary, then members of now, so that a new proxy changes nothing, then
 * other electable proxies. Negative: not at all. */
static int
ic_rank(const struct smap *m, const struct snode *n)
{
    if (n == m->primary)
        return 0;
    if (!snode_active(n) || (n->flags & SNODE_NON_ELECTABLE))
        return -1;
    return n->flags & SNODE_IC ? 1 : 2;
}

static bool
ic_chosen(const struct smap *m, const struct snode *n)
{
    int      rank = ic_rank(m, n);
    unsigned ahead = 0;

    for (unsigned i = 0; i < m->nnodes && m->nodes[i].role == ROLE_PROXY; i++) {
        int other = ic_rank(m, &m->nodes[i]);

        ahead += other >= 0 && (other < rank || (other == rank && &m->nodes[i] < n));
    }
    return rank >= 0 && ahead < IC_MEMBERS;
}

/* The decision is about the map as it is before: flags set on the way would change ranks. */
static void
smap_staff_ic(struct mset *m)
{
    struct smap *before = smap_ref(m->smap);

    for (unsigned i = 0; i < before->nnodes && before->nodes[i].role == ROLE_PROXY; i++) {
        const struct snode *n = &before->nodes[i];
        bool                ic = ic_chosen(before, n);

        if (ic == !!(n->flags & SNODE_IC))
            continue;
        mset_set_smap(m, smap_with_flags(m->smap, str_z(n->id), ic ? SNODE_IC : 0, ic ? 0 : SNODE_IC));
        m->smap->version = before->version; /* part of the same change */
    }
    smap_put(before);
}

static bool
ep_same(const struct net_ep *a, const struct net_ep *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static bool
snode_same(const struct snode *a, const struct snode *b)
{
    unsigned i;

    if (a->role != b->role || a->level != b->level || !ep_same(&a->pub, &b->pub) || !ep_same(&a->control, &b->control) ||
        !ep_same(&a->data, &b->data) || strcmp(a->pub.url, b->pub.url) != 0 || a->nextra != b->nextra ||
        strcmp(a->control.url, b->control.url) != 0 || strcmp(a->data.url, b->data.url) != 0 || strcmp(a->storage, b->storage) != 0)
        return false;
    for (i = 0; i < a->nextra; i++) {
        if (!ep_same(&a->extra[i], &b->extra[i]))
            return false;
    }
    return true;
}

/* Nobody else may have this id in another role, or these addresses. */
static int
snode_check_unique(const struct smap *s, const struct snode *n, struct err *e)
{
    unsigned i;

    for (i = 0; i < s->nnodes; i++) {
        const struct snode *o = &s->nodes[i];

        if (strcmp(o->id, n->id) == 0) {
            if (o->role != n->role)
                return err_set(e, AIS_E_CONFLICT, "node id \"%s\" belongs to %s already", n->id, o->name);
            continue;
        }
        if (ep_same(&o->pub, &n->pub) || ep_same(&o->control, &n->control))
            return err_set(e, AIS_E_CONFLICT, "%s cannot join at %s: the address belongs to %s%s", n->name, n->pub.url, o->name,
                           o->flags & SNODE_DEAD ? ", which is dead: if it will not come back remove it ('rm-unsafe')" : "");
    }
    return 0;
}

/* proxy.primary_url is where the primary listens. */
static void
conf_follow_primary(struct mset *m)
{
    const struct snode *p = m->smap->primary;

    if (p == NULL || strcmp(m->conf->proxy.primary_url, p->control.url) == 0)
        return;
    mset_set_conf(m, conf_copy(m->conf));
    str_copyz(str_z(p->control.url), m->conf->proxy.primary_url, sizeof(m->conf->proxy.primary_url));
    m->conf->version++;
}

/*
 * A known target with other disks than it had: what it held is gone, perhaps for good, and nobody shall take its silence about that for the
 * truth. An administrator has to say so, by taking it out of the map first.
 */
static int
storage_check(const struct mset *m, const struct snode *old, struct snode *n, struct err *e)
{
    if (old == NULL)
        return 0;
    n->dead_since = old->dead_since;
    if (n->storage[0] == '\0')
        memcpy(n->storage, old->storage, sizeof(n->storage));
    if (old->storage[0] == '\0' || strcmp(old->storage, n->storage) == 0 || m->bmd->n == 0)
        return 0;
    return err_set(e, AIS_E_CONFLICT, "%s has other disks than before (storage id \"%s\", it was \"%s\"): what it held may be lost. "
                   "If that is meant, remove it from the cluster map first ('rm-unsafe'), then it joins as a new target",
                   n->name, n->storage, old->storage);
}

/* A proxy that lost its disk comes back under another id: what it was is dead, at the same address, and held nothing. */
static void
former_self_goes(struct mset *m, const struct snode *n)
{
    uint64_t version = m->smap->version;
    unsigned i = 0;

    while (n->role == ROLE_PROXY && i < m->smap->nnodes) {
        const struct snode *o = &m->smap->nodes[i++];

        if (o->role != ROLE_PROXY || !(o->flags & SNODE_DEAD) || o == m->smap->primary || strcmp(o->id, n->id) == 0 ||
            !ep_same(&o->pub, &n->pub) || !ep_same(&o->control, &n->control))
            continue;
        mset_set_smap(m, smap_without_node(m->smap, str_z(o->id)));
        m->smap->version = version; /* part of the same change */
        i = 0;
    }
}

static int
level_check(const struct mset *m, const struct snode *n, struct err *e)
{
    if (n->level >= m->smap->level)
        return 0;
    return err_set(e, AIS_E_CONFLICT, "%s runs a version of feature level %u, and the cluster is at level %u already: it needs a newer version", n->name,
                   n->level, m->smap->level);
}

/* {"op":"node-add","node":Snode,"storage"?,"level"?}: a new node, or a known one that came back, perhaps with other addresses. */
static int
op_node_add(struct mset *m, const json_t *cmd, struct err *e)
{
    struct snode       *n = xcalloc(1, sizeof(*n));
    const struct snode *old;
    int                 rc;

    rc = snode_from_json(json_object_get(cmd, "node"), n, e);
    (void)str_copyz(json_text(cmd, "storage"), n->storage, sizeof(n->storage));
    n->level = cmd_level(cmd);
    if (rc == 0)
        rc = level_check(m, n, e);
    if (rc == 0)
        former_self_goes(m, n);
    if (rc == 0)
        rc = snode_check_unique(m->smap, n, e);
    if (rc < 0)
        goto out;
    old = smap_find(m->smap, str_z(n->id));
    rc = storage_check(m, old, n, e);
    if (rc < 0 || (old != NULL && snode_same(old, n)))
        goto out; /* as before: no new version */
    if (old != NULL)
        n->flags |= old->flags & ~(uint64_t)SNODE_NON_ELECTABLE;
    mset_set_smap(m, smap_with_node(m->smap, n));
    smap_staff_ic(m);
    conf_follow_primary(m);
out:
    free(n);
    return rc;
}

static int
cmd_node(const struct mset *m, const json_t *cmd, const struct snode **out, struct err *e)
{
    struct str id = json_text(cmd, "id");

    *out = smap_find(m->smap, id);
    return *out != NULL ? 0 : err_set(e, AIS_E_NONODE, "node \"%.*s\" does not exist", STR_FMT(id));
}

/* "ids": [...] or "id": who the command is about. Every node once, in the order of the command. */
static int
cmd_ids(const json_t *cmd, size_t i, struct str *id)
{
    const json_t *ids = json_object_get(cmd, "ids"), *v = json_array_get(ids, i);

    *id = ids == NULL && i == 0 ? json_text(cmd, "id") : str_from(json_string_value(v), json_string_length(v));
    return id->n > 0;
}

/* {"op":"node-remove","id"|"ids"}: those that are not there (any more) are no error, as long as one is. */
static int
op_node_remove(struct mset *m, const json_t *cmd, struct err *e)
{
    uint64_t   version = m->smap->version;
    struct str id = STR_NULL;

    for (size_t i = 0; cmd_ids(cmd, i, &id); i++) {
        const struct snode *n = smap_find(m->smap, id);

        if (n == NULL)
            continue;
        if (n == m->smap->primary)
            return err_set(e, AIS_E_BADREQ, "%s is primary, cannot be removed", n->name);
        mset_set_smap(m, smap_without_node(m->smap, id));
    }
    if (m->smap->version == version)
        return err_set(e, AIS_E_NONODE, "node \"%.*s\" does not exist", STR_FMT(json_text(cmd, "id")));
    m->smap->version = version + 1;
    smap_staff_ic(m);
    return 0;
}

/* {"op":"node-flags","id","set":u64,"clear":u64} */
static int
op_node_flags(struct mset *m, const json_t *cmd, struct err *e)
{
    const struct snode *n;
    uint64_t            set = 0, clear = 0;
    int                 rc = cmd_node(m, cmd, &n, e);

    if (rc < 0)
        return rc;
    (void)json_u64(json_object_get(cmd, "set"), &set);
    (void)json_u64(json_object_get(cmd, "clear"), &clear);
    if (((n->flags & ~clear) | set) == n->flags)
        return 0;
    mset_set_smap(m, smap_with_flags(m->smap, json_text(cmd, "id"), set, clear));
    smap_staff_ic(m);
    return 0;
}

/* --- nodes that leave and come back --- */
static bool
cmd_flag(const json_t *cmd, const char *key)
{
    return json_is_true(json_object_get(cmd, key));
}

static void
node_flags(struct mset *m, uint64_t old_version, struct str id, uint64_t set, uint64_t clear)
{
    const struct snode *n = smap_find(m->smap, id);

    if (n == NULL || ((n->flags & ~clear) | set) == n->flags)
        return;
    mset_set_smap(m, smap_with_flags(m->smap, id, set, clear));
    m->smap->version = old_version + 1; /* one command is one version, however many nodes it is about */
}

/* How many of the targets that are active now would be left. */
static unsigned
active_without(const struct mset *m, const json_t *cmd)
{
    unsigned   left = m->smap->nactive;
    struct str id;

    for (size_t i = 0; cmd_ids(cmd, i, &id); i++) {
        const struct snode *n = smap_find(m->smap, id);

        left -= n != NULL && n->role == ROLE_TARGET && snode_active(n);
    }
    return left;
}

/* May this target have objects that nobody else has, and can they still be moved? */
static bool
has_objects(const struct mset *m, const struct snode *n)
{
    return n->role == ROLE_TARGET && !(n->flags & SNODE_DEAD) && (snode_active(n) || rmd_names(m->rmd, n->id, 0));
}

static int
node_leaves(struct mset *m, const json_t *cmd, uint64_t version, const struct snode *n, bool move, struct err *e)
{
    static const struct {
        const char *key;
        uint64_t    flag;
    } opts[] = { { "stop", SNODE_STOP }, { "rm_data", SNODE_RM_DATA }, { "keep_conf", SNODE_KEEP_CONF }, { "stay_up", SNODE_STAY_UP } };
    bool     decomm = cmd_flag(cmd, "decomm");
    uint64_t set = decomm ? SNODE_DECOMM : SNODE_MAINT, clear = 0;

    if (n == m->smap->primary)
        return err_set(e, AIS_E_BADREQ, "%s is primary, cannot be taken out of service", n->name);
    if (!decomm && (n->flags & SNODE_DECOMM))
        return err_set(e, AIS_E_BADREQ, "%s is currently being decommissioned", n->name);
    for (size_t i = 0; i < ARRAY_SIZE(opts); i++)
        set |= cmd_flag(cmd, opts[i].key) ? opts[i].flag : 0;
    if (move && has_objects(m, n)) {
        set |= SNODE_WAIT_REB;
        clear |= SNODE_MAINT_POSTREB;
    } else if (!move) {
        clear |= SNODE_WAIT_REB;
    }
    node_flags(m, version, str_z(n->id), set, clear);
    return 0;
}

static int
node_returns(struct mset *m, uint64_t version, const struct snode *n, struct err *e)
{
    /* Whoever still waits for its objects to be moved can turn back; one that has been told to forget them cannot. */
    if ((n->flags & SNODE_DECOMM) && !(n->flags & SNODE_WAIT_REB))
        return err_set(e, AIS_E_BADREQ, "%s is currently being decommissioned", n->name);
    node_flags(m, version, str_z(n->id), 0, SNODE_MAINT | SNODE_DECOMM | SNODE_MAINT_POSTREB | SNODE_LIFE);
    return 0;
}

/*
 * {"op":"node-maint","ids":[],"on":bool,"rebalance":bool,"decomm"?,"stop"?,"rm_data"?,"keep_conf"?,"stay_up"?}: nodes go into
 * maintenance, or are to be decommissioned, or (on false) are active again; all of them or none. With "rebalance" what the targets
 * have is moved first, by the rebalance that begins with this entry.
 */
static int
op_node_maint(struct mset *m, const json_t *cmd, struct err *e)
{
    uint64_t   version = m->smap->version;
    bool       on = cmd_flag(cmd, "on");
    bool       move = cmd_flag(cmd, "rebalance") && m->conf->rebalance.enabled && active_without(m, cmd) > 0;
    struct str id;
    int        rc = 0;

    for (size_t i = 0; rc == 0 && cmd_ids(cmd, i, &id); i++) {
        const struct snode *n = smap_find(m->smap, id);

        if (n == NULL)
            rc = err_set(e, AIS_E_NONODE, "node \"%.*s\" does not exist", STR_FMT(id));
        else
            rc = on ? node_leaves(m, cmd, version, n, move, e) : node_returns(m, version, n, e);
    }
    if (rc == 0)
        smap_staff_ic(m);
    return rc;
}

/* --- rebalance --- */
/* {"op":"reb-start","bck"?:uname,"prefix"?}: an administrator wants one. */
static int
op_reb_start(struct mset *m, const json_t *cmd, struct err *e)
{
    struct str bck = json_text(cmd, "bck"), prefix = json_text(cmd, "prefix");

    if (m->rmd->state == RMD_RUNNING)
        return err_set(e, AIS_E_BUSY, "rebalance[g%llu] is running", (unsigned long long)m->rmd->reb_id);
    if (m->smap->nactive < 2)
        return err_set(e, AIS_E_BADREQ, "not enough active targets (%u), need at least 2", m->smap->nactive);
    if (prefix.n > RMD_PREFIX_MAX)
        return err_set(e, AIS_E_BADREQ, "prefix is too long");
    mset_set_rmd(m, rmd_begin(m->rmd, m->smap->version, STR_NULL, bck, prefix));
    return 0;
}

/* {"op":"reb-settle"}: the cluster has started: what is due begins. */
static int
op_reb_settle(struct mset *m, const json_t *cmd, struct err *e)
{
    UNUSED(cmd);
    UNUSED(e);
    if (m->rmd->due)
        mset_set_rmd(m, rmd_begin(m->rmd, m->smap->version, STR_NULL, STR_NULL, STR_NULL));
    return 0;
}

/* What was to be moved off the nodes that leave is moved: except off those that left too late for this rebalance. */
static void
leaving_are_empty(struct mset *m)
{
    uint64_t version = m->smap->version;

    for (unsigned i = 0; i < m->smap->nnodes; i++) {
        const struct snode *n = &m->smap->nodes[i];

        if (n->role != ROLE_TARGET || (n->flags & SNODE_DEAD) || snode_active(n) ||
            rmd_names(m->rmd, n->id, m->rmd->smap_ver))
            continue;
        node_flags(m, version, str_z(n->id), n->flags & SNODE_MAINT ? SNODE_MAINT_POSTREB : 0, SNODE_WAIT_REB);
    }
}

static int
reb_end(struct mset *m, const json_t *cmd, bool aborted)
{
    uint64_t id = 0;
    bool     whole = m->rmd->bck.n == 0 && m->rmd->prefix.n == 0;

    if (!json_u64(json_object_get(cmd, "reb"), &id) || id != m->rmd->reb_id || m->rmd->state != RMD_RUNNING)
        return 0; /* an old one, or said twice */
    mset_set_rmd(m, rmd_end(m->rmd, aborted, m->smap));
    if (!aborted && whole)
        leaving_are_empty(m);
    return 0;
}

/* {"op":"reb-done","reb":N}: all that takes part has finished. */
static int
op_reb_done(struct mset *m, const json_t *cmd, struct err *e)
{
    UNUSED(e);
    return reb_end(m, cmd, false);
}

static int
op_reb_abort(struct mset *m, const json_t *cmd, struct err *e)
{
    UNUSED(e);
    return reb_end(m, cmd, true);
}

/* --- the dead --- */
static void
dead_since(struct smap *s, struct str id, int64_t unix_ns)
{
    for (unsigned i = 0; i < s->nnodes; i++) {
        if (str_eqz(id, s->nodes[i].id))
            s->nodes[i].dead_since = unix_ns;
    }
}

/* {"op":"node-dead","id","now"}: it was silent for too long. {"op":"node-alive","id"}: it is back. */
static int
op_node_dead(struct mset *m, const json_t *cmd, struct err *e)
{
    const struct snode *n;
    int                 rc = cmd_node(m, cmd, &n, e);

    if (rc == 0 && n == m->smap->primary)
        return err_set(e, AIS_E_BADREQ, "%s is primary, cannot be dead", n->name);
    if (rc < 0 || (n->flags & SNODE_DEAD))
        return rc;
    mset_set_smap(m, smap_with_flags(m->smap, json_text(cmd, "id"), SNODE_DEAD, 0));
    dead_since(m->smap, json_text(cmd, "id"), cmd_now(cmd));
    smap_staff_ic(m);
    return 0;
}

/*
 * {"op":"node-left","id","now"}: it says that it stops. As if it were dead, only known at once; and when it was in maintenance that ends
 * with it: whoever set it aside has it start afresh (so the Kubernetes operator restarts nodes).
 */
static int
op_node_left(struct mset *m, const json_t *cmd, struct err *e)
{
    const struct snode *n;
    uint64_t            version = m->smap->version;
    int                 rc = cmd_node(m, cmd, &n, e);

    if (rc == 0 && !(n->flags & (SNODE_DECOMM | SNODE_LIFE)))
        node_flags(m, version, str_z(n->id), 0, SNODE_MAINT | SNODE_MAINT_POSTREB);
    if (rc == 0)
        rc = op_node_dead(m, cmd, e);
    if (rc == 0 && m->smap->version > version)
        m->smap->version = version + 1;
    return rc;
}

static int
op_node_alive(struct mset *m, const json_t *cmd, struct err *e)
{
    const struct snode *n;
    int                 rc = cmd_node(m, cmd, &n, e);

    if (rc < 0 || !(n->flags & SNODE_DEAD))
        return rc;
    mset_set_smap(m, smap_with_flags(m->smap, json_text(cmd, "id"), 0, SNODE_DEAD));
    dead_since(m->smap, json_text(cmd, "id"), 0);
    smap_staff_ic(m);
    return 0;
}

/* {"op":"level","level":N}: all nodes, the absent ones too, are able to. It never goes down. */
static int
op_level(struct mset *m, const json_t *cmd, struct err *e)
{
    unsigned level = cmd_level(cmd);

    if (level > smap_common_level(m->smap))
        return err_set(e, AIS_E_BADREQ, "not all nodes have feature level %u: the lowest is %u", level, smap_common_level(m->smap));
    if (level > m->smap->level)
        mset_set_smap(m, smap_with_level(m->smap, level));
    return 0;
}

static int
op_primary(struct mset *m, const json_t *cmd, struct err *e)
{
    const struct snode *n;
    int                 rc = cmd_node(m, cmd, &n, e);

    if (rc < 0 || n == m->smap->primary)
        return rc;
    if (n->role != ROLE_PROXY)
        return err_set(e, AIS_E_BADREQ, "%s is not a proxy", n->name);
    mset_set_smap(m, smap_with_primary(m->smap, json_text(cmd, "id")));
    smap_staff_ic(m);
    conf_follow_primary(m);
    return 0;
}

/* --- buckets --- */
static int
cmd_bck_get(const json_t *cmd, struct bck *b, struct err *e)
{
    const json_t *j = json_object_get(cmd, "bck");
    int           rc;

    memset(b, 0, sizeof(*b));
    b->name = json_text(j, "name");
    b->ns_uuid = json_text(j, "ns_uuid");
    b->ns_name = json_text(j, "ns_name");
    if (b->name.n == 0 || !provider_by_name(json_text(j, "provider"), &b->provider))
        return err_set(e, AIS_E_BADREQ, "command without a bucket");
    /* The proposer has checked; but what gets into the state must come out of a snapshot again. */
    rc = bck_name_check(b->name, e);
    return rc < 0 ? rc : bck_ns_check(b->ns_uuid, b->ns_name, e);
}

void
cmd_bck(struct jw *w, const struct bck *b)
{
    jw_key(w, "bck");
    jw_obj(w);
    jw_kstrz(w, "provider", provider_name(b->provider));
    jw_kstr(w, "name", b->name);
    if (b->ns_uuid.n > 0)
        jw_kstr(w, "ns_uuid", b->ns_uuid);
    if (b->ns_name.n > 0)
        jw_kstr(w, "ns_name", b->ns_name);
    jw_obj_end(w);
}

static int
err_no_bucket(struct err *e, const struct bck *b)
{
    char name[BCK_DISPLAY_MAX];

    return err_set(e, AIS_E_NOBCK, "bucket \"%s\" does not exist", bck_display(b, name));
}

/* The bucket that the command is about, as it is now. */
static int
cmd_bucket(const struct mset *m, const json_t *cmd, struct bck *b, const struct bucket **out, struct err *e)
{
    int rc = cmd_bck_get(cmd, b, e);

    if (rc < 0)
        return rc;
    *out = bmd_find(m->bmd, b);
    return *out != NULL ? 0 : err_no_bucket(e, b);
}

/* {"op":"bck-create","bck","props":BpropsToSet?,"now"}: settings are the cluster's defaults of this moment of the log. */
static int
op_bck_create(struct mset *m, const json_t *cmd, struct err *e)
{
    struct bck    b;
    struct bprops p;
    char          name[BCK_DISPLAY_MAX];
    bool          force = false;
    const json_t *toset = json_object_get(cmd, "props");
    int           rc = cmd_bck_get(cmd, &b, e);

    if (rc < 0)
        return rc;
    if (bmd_find(m->bmd, &b) != NULL)
        return err_set(e, AIS_E_BCKEXISTS, "bucket \"%s\" already exists", bck_display(&b, name));
    bprops_default(&p, m->conf, b.provider);
    if (json_is_object(toset)) {
        rc = bprops_set_json(&p, toset, m->smap->nactive, &force, e);
        if (rc < 0)
            return rc;
    }
    mset_set_bmd(m, bmd_with_bucket(m->bmd, &b, &p, cmd_now(cmd)));
    return 0;
}

/* {"op":"bck-destroy","bck","created":i64?}: with "created" only the bucket that was created then. */
static int
op_bck_destroy(struct mset *m, const json_t *cmd, struct err *e)
{
    const struct bucket *bk;
    struct bck           b;
    int64_t              created;
    int                  rc = cmd_bucket(m, cmd, &b, &bk, e);

    if (rc < 0)
        return rc;
    if (json_i64(json_object_get(cmd, "created"), &created) && created != bk->props.created)
        return err_no_bucket(e, &b);
    mset_set_bmd(m, bmd_without_bucket(m->bmd, &b));
    return 0;
}

static int
op_bck_set_props(struct mset *m, const json_t *cmd, struct err *e)
{
    const struct bucket *bk;
    struct bck           b;
    struct bprops        p;
    bool                 force = false;
    int                  rc = cmd_bucket(m, cmd, &b, &bk, e);

    if (rc < 0)
        return rc;
    p = bk->props;
    rc = bprops_set_json(&p, json_object_get(cmd, "props"), m->smap->nactive, &force, e);
    if (rc < 0)
        return rc;
    mset_set_bmd(m, bmd_with_props(m->bmd, &b, &p));
    return 0;
}

static int
op_bck_reset_props(struct mset *m, const json_t *cmd, struct err *e)
{
    const struct bucket *bk;
    struct bck           b;
    struct bprops        p;
    int                  rc = cmd_bucket(m, cmd, &b, &bk, e);

    if (rc < 0)
        return rc;
    bprops_default(&p, m->conf, b.provider);
    p.bid = bk->props.bid; /* what the bucket is, not how it is set */
    p.created = bk->props.created;
    p.backend = bk->props.backend;
    memcpy(p.renamed, bk->props.renamed, sizeof(p.renamed));
    mset_set_bmd(m, bmd_with_props(m->bmd, &b, &p));
    return 0;
}

/* --- configuration --- */
/* {"op":"conf-set","toset":ConfigToSet,"now"} */
static int
op_conf_set(struct mset *m, const json_t *cmd, struct err *e)
{
    struct cluster_conf *c = conf_copy(m->conf);
    uint64_t             version = m->conf->version;
    char                 t[UNITS_MAX];
    int                  rc = conf_merge_json(c, json_object_get(cmd, "toset"), false, e);

    if (rc == 0)
        rc = conf_validate(c, e);
    if (rc < 0) {
        conf_put(c);
        return rc;
    }
    c->version = version + 1;
    time_datetime(cmd_now(cmd), t);
    str_copyz(str_z(t), c->lastupdate_time, sizeof(c->lastupdate_time));
    mset_set_conf(m, c);
    return 0;
}

/* clang-format off */
static const struct {
    const char *name;
    op_f       *fn;
} ops[] = {
    { "init",            op_init },
    { "node-add",        op_node_add },
    { "node-remove",     op_node_remove },
    { "node-flags",      op_node_flags },
    { "node-maint",      op_node_maint },
    { "reb-start",       op_reb_start },
    { "reb-settle",      op_reb_settle },
    { "reb-done",        op_reb_done },
    { "reb-abort",       op_reb_abort },
    { "node-dead",       op_node_dead },
    { "node-left",       op_node_left },
    { "node-alive",      op_node_alive },
    { "level",           op_level },
    { "primary",         op_primary },
    { "bck-create",      op_bck_create },
    { "bck-destroy",     op_bck_destroy },
    { "bck-set-props",   op_bck_set_props },
    { "bck-reset-props", op_bck_reset_props },
    { "conf-set",        op_conf_set },
};
/* clang-format on */

/* --- the machine --- */
struct cstate *
cstate_new(void)
{
    struct cstate *s = xcalloc(1, sizeof(*s));

    MUST(pthread_mutex_init(&s->mtx, NULL));
    s->cur = mset_new(conf_default());
    return s;
}

void
cstate_free(struct cstate *s)
{
    if (s == NULL)
        return;
    mset_put(s->cur);
    pthread_mutex_destroy(&s->mtx);
    free(s);
}

struct mset *
cstate_get(struct cstate *s)
{
    struct mset *m;

    MUST(pthread_mutex_lock(&s->mtx));
    m = mset_ref(s->cur);
    MUST(pthread_mutex_unlock(&s->mtx));
    return m;
}

/* Takes m. */
static void
cstate_set(struct cstate *s, struct mset *m)
{
    struct mset *old;

    MUST(pthread_mutex_lock(&s->mtx));
    old = s->cur;
    s->cur = m;
    MUST(pthread_mutex_unlock(&s->mtx));
    mset_put(old);
}

void
cstate_clear(void *ctx)
{
    cstate_set(ctx, mset_new(conf_default()));
}

static op_f *
op_find(struct str name)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(ops); i++) {
        if (str_eqz(name, ops[i].name))
            return ops[i].fn;
    }
    return NULL;
}

static bool
same_owners(const struct smap *a, const struct smap *b)
{
    unsigned i;

    if (a->nactive != b->nactive)
        return false;
    for (i = 0; i < a->nactive; i++) {
        if (strcmp(a->active[i]->id, b->active[i]->id) != 0)
            return false;
    }
    return true;
}

/* Other targets own the names now: until a rebalance has settled it, objects may lie where they did before. */
static void
note_former_owners(const struct mset *before, struct mset *m)
{
    if (before->smap->nactive > 0 && m->bmd->n > 0 && !same_owners(before->smap, m->smap))
        mset_set_rmd(m, rmd_push(m->rmd, before->smap, m->bmd->version));
}

/* A target that is active now and was not. NULL when there is none. */
static const struct snode *
newly_active(const struct smap *before, const struct smap *now)
{
    for (unsigned i = 0; i < now->nactive; i++) {
        const struct snode *n = smap_find(before, str_z(now->active[i]->id));

        if (n == NULL || !snode_active(n))
            return now->active[i];
    }
    return NULL;
}

static bool
somebody_waits(const struct smap *now)
{
    for (unsigned i = 0; i < now->nnodes; i++)
        if (now->nodes[i].flags & SNODE_WAIT_REB)
            return true;
    return false;
}

/*
 * "rebalance": true in any command that changes the map: targets that came get what is theirs now, and what those that leave have is
 * moved, by a rebalance that begins in the same entry. One that runs is replaced by it: it moves to a map that is no more. "due": true: not
 * yet, the cluster is starting, and others will come; a map that does not lack anything needs none.
 */
static void
begin_rebalance(const struct mset *before, struct mset *m, const json_t *cmd)
{
    const struct snode *came = newly_active(before->smap, m->smap);
    bool                change = !same_owners(before->smap, m->smap), now = cmd_flag(cmd, "rebalance");

    if (!(now || (cmd_flag(cmd, "due") && m->rmd->nchain > 0)) || !m->conf->rebalance.enabled || m->smap->nactive == 0)
        return;
    if (somebody_waits(m->smap) ? !change && m->rmd->state == RMD_RUNNING : came == NULL || m->smap->nactive < 2)
        return;
    if (now)
        mset_set_rmd(m, rmd_begin(m->rmd, m->smap->version, came != NULL ? str_z(came->id) : STR_NULL, STR_NULL, STR_NULL));
    else if (!m->rmd->due)
        mset_set_rmd(m, rmd_set_due(m->rmd));
}

int
cstate_apply(void *ctx, uint64_t index, struct str cmd, struct err *result)
{
    struct cstate *s = ctx;
    json_t        *j = NULL;
    struct mset   *m;
    op_f          *fn;
    int            rc;

    rc = json_read(cmd, &j, result);
    if (rc < 0)
        return rc;
    fn = op_find(json_text(j, "op"));
    if (fn == NULL) {
        /* A newer version wrote this; the feature level will keep it from happening. Going on would be to differ in silence. */
        log_error("unknown metadata command", { "index", LU64(index) }, { "op", LSTR(json_text(j, "op")) });
        rc = err_set(result, AIS_E_NOTIMPL, "unknown metadata command");
        json_decref(j);
        return rc;
    }
    m = mset_copy(s->cur); /* only this thread exchanges cur */
    rc = fn(m, j, result);
    if (rc < 0) {
        json_decref(j);
        mset_put(m);
        return rc;
    }
    note_former_owners(s->cur, m);
    begin_rebalance(s->cur, m, j);
    json_decref(j);
    cstate_set(s, m);
    return 0;
}

bool
cstate_text(const struct mset *m, struct sbuf *out)
{
    struct jw w;

    sbuf_init(out, 256u << 20);
    jw_init(&w, out, 0);
    jw_obj(&w);
    jw_ku64(&w, "format", CSTATE_FORMAT);
    for (int i = 0; i < MI_COUNT; i++) {
        jw_key(&w, mitem_name[i]);
        mset_item_json(m, (enum mitem)i, &w);
    }
    jw_ku64(&w, "etlmd", m->etlmd_version);
    jw_obj_end(&w);
    return sbuf_ok(out);
}

int
cstate_snapshot(void *ctx, char **json, size_t *n)
{
    struct cstate *s = ctx;
    struct sbuf    b;

    if (!cstate_text(s->cur, &b)) {
        sbuf_fini(&b);
        return -AIS_E_TOOBIG;
    }
    *json = b.p;
    *n = b.n;
    return 0;
}

int
cstate_restore(void *ctx, struct str json, struct err *e)
{
    struct cstate *s = ctx;
    struct mset   *m;
    json_t        *j = NULL;
    uint64_t       format = 0;
    unsigned       have;
    int            rc;

    rc = json_read(json, &j, e);
    if (rc < 0)
        return rc;
    m = mset_copy(s->cur);
    if (!json_u64(json_object_get(j, "format"), &format) || format != CSTATE_FORMAT)
        rc = err_set(e, AIS_E_CORRUPT, "metadata snapshot of format %llu", (unsigned long long)format);
    else
        rc = mset_from_json(m, j, &have, e);
    json_decref(j);
    if (rc < 0)
        mset_put(m);
    else
        cstate_set(s, m);
    return rc;
}
