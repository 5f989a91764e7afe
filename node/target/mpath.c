/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mountpaths: what they are called, what they hold, how they come and go; capacity of the target.
 *
 * Runs on: fibers; the members for node_stats and sysinfo do not park.
 * Wire: native-api.md 5.2, 5.4, 7.7; golden/wire/state-target-{disk,mountpaths,node_stats,sysinfo}, mountpath-attach-bad.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "codec/jw.h"
#include "target/target_impl.h"
#include "xact/resilver.h"

/* --- names for locations --- */

static const char *
media_of(const struct mpath_info *m)
{
    if (m->ndisks == 0)
        return ", unknown";
    if (strncmp(m->disks[0], "nvme", 4) == 0)
        return ", nvme";
    return disk_rotational(m->disks[0]) ? ", hdd" : ", ssd";
}

static void
place_format(const struct node *n, const struct mpath_info *m, char *out, size_t cap)
{
    char     disks[4 * 33 + 3] = "", label[72] = "";
    unsigned i;
    size_t   used = 0;

    if (m->label[0] != '\0')
        snprintf(label, sizeof(label), ", \"%s\"", m->label);
    for (i = 0; i < m->ndisks; i++)
        used += (size_t)snprintf(disks + used, sizeof(disks) - used, "%s%s", i > 0 ? " " : "", m->disks[i]);
    if (m->ndisks == 0)
        snprintf(out, cap, "%s:mp[%s, fs=%s/%s%s%s]", n->name, m->path, m->fs, m->fs_type, label, media_of(m));
    else if (m->ndisks == 1)
        snprintf(out, cap, "%s:mp[%s, %s%s%s]", n->name, m->path, disks, label, media_of(m));
    else
        snprintf(out, cap, "%s:mp[%s, [%s]%s%s/raid]", n->name, m->path, disks, label, media_of(m));
}

/* All mountpaths; heap, the caller frees. */
static struct mpath_info *
mpaths_get(struct node *n, unsigned *count)
{
    struct mpath_info *m = xcalloc(MAX_MPATHS, sizeof(*m));

    *count = MIN(store_mpaths(n->store, m, MAX_MPATHS), MAX_MPATHS);
    return m;
}

int
places_refresh(struct target *t)
{
    unsigned           count, i;
    struct mpath_info *m = mpaths_get(t->n, &count);
    struct places     *p = xcalloc(1, sizeof(*p)), *oldest;

    p->n = count;
    for (i = 0; i < count; i++)
        place_format(t->n, &m[i], p->text[i], sizeof(p->text[i]));
    free(m);
    pthread_mutex_lock(&t->mtx);
    oldest = t->old[t->nold % ARRAY_SIZE(t->old)]; /* 32 changes ago: nobody looks at it any more */
    t->old[t->nold++ % ARRAY_SIZE(t->old)] = t->places;
    __atomic_store_n(&t->places, p, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&t->mtx);
    free(oldest);
    return 0;
}

/* --- capacity --- */

static void
mpath_json(const struct mpath_info *m, struct jw *w)
{
    unsigned i;

    jw_key(w, m->path);
    jw_obj(w);
    jw_kstrz(w, "mountpath_label", m->label);
    jw_key(w, "fs");
    jw_obj(w);
    jw_kstrz(w, "Fs", m->fs);
    jw_kstrz(w, "FsType", m->fs_type);
    jw_kstrz(w, "FsID", m->fs_id);
    jw_obj_end(w);
    jw_key(w, "disks");
    jw_arr(w);
    for (i = 0; i < m->ndisks; i++)
        jw_strz(w, m->disks[i]);
    jw_arr_end(w);
    jw_ku64s(w, "used", m->used);
    jw_ku64s(w, "avail", m->avail);
    jw_ku64(w, "pct_used", m->used_pct);
    jw_obj_end(w);
}

/* The members of a Tcdf. */
static void
tcdf_members(struct node *n, struct jw *w)
{
    struct mpath_info *m;
    struct store_cap   cap;
    unsigned           count, i;

    m = mpaths_get(n, &count);
    store_cap(n->store, &cap);
    jw_key(w, "mountpaths");
    jw_obj(w);
    for (i = 0; i < count; i++)
        if (m[i].state == MPATH_OK)
            mpath_json(&m[i], w);
    jw_obj_end(w);
    jw_kstrz(w, "cs_err", cap.err);
    jw_ku64s(w, "total_used", cap.used);
    jw_ku64s(w, "total_avail", cap.avail);
    jw_ku64(w, "pct_max", cap.pct_max);
    jw_ku64(w, "pct_avg", cap.pct_avg);
    jw_ku64(w, "pct_min", cap.pct_min);
    free(m);
}

void
mpath_capacity_json(struct node *n, struct jw *w)
{
    jw_obj(w);
    tcdf_members(n, w);
    jw_obj_end(w);
}

void
mpath_sysinfo_json(struct node *n, struct jw *w)
{
    struct store_cap cap;

    store_cap(n->store, &cap);
    jw_ku64s(w, "fs_used", cap.used);
    jw_ku64s(w, "fs_capacity", cap.total);
    jw_kf64(w, "pct_fs_used", cap.total > 0 ? (double)(cap.used * 100 / cap.total) : 0);
}

unsigned
mpath_state_flags(struct node *n)
{
    struct mpath_info *m;
    struct store_cap   cap;
    unsigned           count, i, flags = 0;

    if (n->store == NULL)
        return 0;
    store_cap(n->store, &cap);
    if (cap.oos)
        flags |= NODE_OOS;
    else if (cap.high)
        flags |= NODE_LOW_CAPACITY;
    m = mpaths_get(n, &count);
    for (i = 0; i < count; i++)
        if (m[i].state == MPATH_FAILED)
            flags |= NODE_DISK_FAULT;
    free(m);
    return flags;
}

/* --- GET /v1/daemon?what= --- */

static int
cmp_paths(const void *a, const void *b)
{
    return strcmp(((const struct mpath_info *)a)->path, ((const struct mpath_info *)b)->path);
}

/* Mountpaths of some states as a sorted array of their paths. */
static void
paths_json(struct jw *w, const char *key, const struct mpath_info *m, unsigned n, unsigned states)
{
    unsigned i;

    jw_key(w, key);
    jw_arr(w);
    for (i = 0; i < n; i++)
        if (states & (1u << m[i].state))
            jw_strz(w, m[i].path);
    jw_arr_end(w);
}

static void
what_mountpaths(struct req *r, struct jw *w)
{
    unsigned           count;
    struct mpath_info *m = mpaths_get(req_node(r), &count);

    qsort(m, count, sizeof(*m), cmp_paths);
    jw_obj(w);
    paths_json(w, "available", m, count, 1u << MPATH_OK);
    paths_json(w, "waiting_dd", m, count, 1u << MPATH_DETACHING);
    paths_json(w, "disabled", m, count, 1u << MPATH_DISABLED | 1u << MPATH_FAILED);
    jw_obj_end(w);
    free(m);
}

static void
what_disk(struct req *r, struct jw *w)
{
    struct node     *n = req_node(r);
    struct diskrate *d = arena_alloc(r->arena, MAX_MPATHS * sizeof(*d));
    unsigned         nd, i;

    store_cap_refresh(n->store);
    nd = d != NULL ? iostat_rates(target_of(n), d, MAX_MPATHS) : 0;
    jw_obj(w);
    jw_key(w, "AllDiskStats");
    jw_obj(w);
    for (i = 0; i < nd; i++) {
        jw_key(w, d[i].name);
        jw_obj(w);
        jw_ki64(w, "RBps", d[i].rbps);
        jw_ki64(w, "Ravg", d[i].ravg);
        jw_ki64(w, "WBps", d[i].wbps);
        jw_ki64(w, "Wavg", d[i].wavg);
        jw_ki64(w, "Util", d[i].util);
        jw_obj_end(w);
    }
    jw_obj_end(w);
    tcdf_members(n, w);
    jw_obj_end(w);
}

/* Remote clusters: none can be attached yet. */
static void
what_remote(struct req *r, struct jw *w)
{
    (void)r;
    jw_obj(w);
    jw_key(w, "a");
    jw_null(w);
    jw_ki64(w, "ver", 0);
    jw_obj_end(w);
}

/* clang-format off */
static const struct {
    const char *what;
    void      (*fn)(struct req *r, struct jw *w);
} whats[] = {
    { "mountpaths", what_mountpaths },
    { "disk",       what_disk },
    { "remote",     what_remote },
};
/* clang-format on */

static handler_f *
common_daemon_get(void)
{
    unsigned i;

    for (i = 0; i < node_common_nroutes; i++)
        if (node_common_routes[i].method == M_GET && strcmp(node_common_routes[i].pattern, "/v1/daemon") == 0)
            return node_common_routes[i].fn;
    ais_bug("no common route for GET /v1/daemon");
}

/* What only a target knows; everything else is common to all nodes. */
void
h_target_daemon_get(struct req *r)
{
    struct str  what = STR_NULL;
    struct sbuf out;
    struct jw   w;
    unsigned    i;

    req_query(r, STR_LIT("what"), &what);
    for (i = 0; i < ARRAY_SIZE(whats) && !str_eqz(what, whats[i].what); i++)
        ;
    if (i == ARRAY_SIZE(whats))
        return common_daemon_get()(r);
    sbuf_init(&out, 1 * MIB);
    jw_init(&w, &out, 0);
    whats[i].fn(r, &w);
    ais_send_view(r, what, &out);
    sbuf_fini(&out);
}

/* --- PUT, POST, DELETE /v1/daemon/mountpaths --- */

typedef int mpath_act_f(struct req *r, struct str path, bool *noop, struct err *e);

/* "dntres=true": what a mountpath has stays there, and is not to be had until it is back. */
static bool
dont_resilver(struct req *r)
{
    struct str v = STR_NULL;

    req_query(r, STR_LIT("dntres"), &v);
    return str_query_bool(v);
}

static int
act_attach(struct req *r, struct str path, bool *noop, struct err *e)
{
    struct str label = STR_NULL;

    (void)noop;
    req_query(r, STR_LIT("mountpath_label"), &label);
    return store_mpath_attach(req_node(r)->store, path, label, e);
}

static int
act_detach(struct req *r, struct str path, bool *noop, struct err *e)
{
    (void)noop;
    return store_mpath_detach(req_node(r)->store, path, dont_resilver(r), e);
}

static int
act_enable(struct req *r, struct str path, bool *noop, struct err *e)
{
    return store_mpath_enable(req_node(r)->store, path, noop, e);
}

static int
act_disable(struct req *r, struct str path, bool *noop, struct err *e)
{
    return store_mpath_disable(req_node(r)->store, path, dont_resilver(r), noop, e);
}

static bool
mpath_available(struct node *n, struct str path)
{
    unsigned           count, i;
    struct mpath_info *m = mpaths_get(n, &count);

    for (i = 0; i < count && !(m[i].state == MPATH_OK && str_eqz(path, m[i].path)); i++)
        ;
    free(m);
    return i < count;
}

/* Look at the file system again: capacity, disks, media. */
static int
act_rescan(struct req *r, struct str path, bool *noop, struct err *e)
{
    (void)noop;
    if (!mpath_available(req_node(r), path))
        return err_set(e, AIS_E_NOMPATH, "mountpath %.*s does not exist", STR_FMT(path));
    return store_cap_refresh(req_node(r)->store);
}

static int
act_fshc(struct req *r, struct str path, bool *noop, struct err *e)
{
    bool good = true;
    int  rc;

    (void)noop;
    if (!mpath_available(req_node(r), path))
        return err_set(e, AIS_E_BADREQ, "%s: not starting FSHC: %.*s is not available", req_node(r)->name, STR_FMT(path));
    rc = store_mpath_check(req_node(r)->store, path, &good, e);
    return rc < 0 ? rc : store_cap_refresh(req_node(r)->store);
}

/* Ours, the original has no such action: 'ais storage rebuild-index'. */
static int
act_rebuild(struct req *r, struct str path, bool *noop, struct err *e)
{
    uint64_t objects = 0;

    (void)noop;
    return store_mpath_rebuild(req_node(r)->store, path, &objects, e);
}

/* clang-format off */
static const struct {
    const char  *action;
    mpath_act_f *fn;
    bool         moves; /* objects belong elsewhere afterwards */
} mpath_acts[] = {
    { "attach-mp",  act_attach,  true },
    { "detach-mp",  act_detach,  true },
    { "enable-mp",  act_enable,  true },
    { "disable-mp", act_disable, true },
    { "rescan-mp",  act_rescan,  false },
    { "fshc-mp",    act_fshc,    true },
    { "rebuild-mp", act_rebuild, false },
};
/* clang-format on */

static int
mpath_act(struct req *r, const struct actmsg *m, bool *noop, struct err *e)
{
    unsigned i;
    int      rc;

    if (!json_is_string(m->value))
        return err_set(e, AIS_E_BADREQ, "invalid mountpath value in request");
    if (json_string_length(m->value) == 0)
        return err_set(e, AIS_E_BADREQ, "mountpath is not defined");
    for (i = 0; i < ARRAY_SIZE(mpath_acts) && !str_eqz(m->action, mpath_acts[i].action); i++)
        ;
    if (i == ARRAY_SIZE(mpath_acts))
        return err_set(e, AIS_E_BADREQ, "invalid action \"%.*s\"", STR_FMT(m->action));
    rc = mpath_acts[i].fn(r, str_from(json_string_value(m->value), json_string_length(m->value)), noop, e);
    if (rc == 0)
        rc = places_refresh(target_of(req_node(r)));
    if (rc == 0 && mpath_acts[i].moves && !*noop)
        rc = resilver_begin(req_node(r), e);
    return rc < 0 ? err_fill(e, rc) : 0;
}

void
h_target_mountpaths(struct req *r)
{
    struct actmsg m = { .root = NULL };
    struct err    e = { .code = 0 };
    bool          noop = false;
    int           rc;

    if (req_on_public(r))
        rc = err_set(&e, AIS_E_FORBIDDEN, "%s: %s /v1/daemon/mountpaths is read-only on PUBLIC", req_node(r)->name,
                     method_name(r->method));
    else
        rc = actmsg_read(r, &m, &e);
    if (rc == 0)
        rc = mpath_act(r, &m, &noop, &e);
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        resp_empty(r, noop ? 204 : 200);
    actmsg_free(&m);
}
