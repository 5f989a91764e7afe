/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target's role: its routes, its store's life, and what it does when cluster metadata changes.
 *
 * Wire: native-api.md 1.3.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/util.h"
#include "core/conf.h"
#include "core/lease.h"
#include "xact/rebalance.h"
#include "xact/xact.h"
#include "target/target_impl.h"

#define ANY_NET (R_PUB | R_CONTROL | R_DATA)
#define INTRA   (R_CONTROL | R_DATA | R_INTRA)

/* clang-format off */
static const struct route routes[] = {
    { M_GET,    "/v1/objects/:bck/*obj",       h_target_obj_get,       ANY_NET },
    { M_HEAD,   "/v1/objects/:bck/*obj",       h_target_obj_head,      ANY_NET },
    { M_PUT,    "/v1/objects/:bck/*obj",       h_target_obj_put,       ANY_NET | R_STREAM },
    { M_DELETE, "/v1/objects/:bck/*obj",       h_target_obj_delete,    ANY_NET },
    { M_POST,   "/v1/objects/:bck/*obj",       h_target_obj_post,      ANY_NET },
    { M_PATCH,  "/v1/objects/:bck/*obj",       h_target_obj_patch,     ANY_NET },
    { M_POST,   "/v1/objects/:bck",            h_target_objs_post,     ANY_NET },
    { M_GET,    "/v1/fragments/:bck/*obj",     h_target_frag_get,      INTRA },
    { M_DELETE, "/v1/fragments/:bck/*obj",     h_target_frag_delete,   INTRA },
    { M_GET,    "/v1/moves/:bck/*obj",         h_target_moves_get,     INTRA },
    { M_DELETE, "/v1/moves/:bck/*obj",         h_target_moves_delete,  INTRA },
    { M_PUT,    "/v1/moves",                   h_target_moves_flush,   INTRA },
    { M_POST,   "/v1/buckets/:bck/_list",      h_target_bck_list,      INTRA },
    { M_POST,   "/v1/buckets/:bck/_summary",   h_target_bck_summary,   INTRA },
    { M_POST,   "/v1/buckets/:bck/_promote",   h_target_promote,       INTRA },
    { M_HEAD,   "/v1/buckets/:bck",            h_target_bck_head,      ANY_NET | R_INTRA },
    { M_GET,    "/v1/buckets",                 h_target_bck_get,       ANY_NET | R_INTRA },
    { M_GET,    "/v1/buckets/:bck",            h_target_bck_get,       ANY_NET | R_INTRA },
    { M_POST,   "/v1/buckets/:bck",            h_target_bck_refuse,    R_PUB },
    { M_DELETE, "/v1/buckets/:bck",            h_target_bck_refuse,    R_PUB },
    { M_GET,    "/v1/daemon",                  h_target_daemon_get,    R_PUB | R_CONTROL | R_EARLY | R_NOFENCE },
    { M_PUT,    "/v1/daemon/mountpaths",       h_target_mountpaths,    R_PUB | R_CONTROL | R_INTRA },
    { M_POST,   "/v1/daemon/mountpaths",       h_target_mountpaths,    R_PUB | R_CONTROL | R_INTRA },
    { M_DELETE, "/v1/daemon/mountpaths",       h_target_mountpaths,    R_PUB | R_CONTROL | R_INTRA },
    { M_GET,    "/v1/xactions",                h_target_xactions_get,  R_CONTROL | R_INTRA },
    { M_PUT,    "/v1/xactions",                h_target_xactions_put,  R_CONTROL | R_INTRA },
};
/* clang-format on */

/* --- start and stop --- */

/* Mountpaths out of the local configuration, where core has put those of test_fspaths, too. */
static struct store_conf *
store_conf_new(struct node *n)
{
    const struct local_conf *lc = &n->local;
    struct store_conf       *c = xcalloc(1, sizeof(*c));
    unsigned                 i;

    c->run = n->run;
    c->node_id = n->id;
    c->may_commit = lease_may_commit;
    c->may_move = move_may_go;
    c->may_ctx = n;
    c->start_with_lost_mpath = n->start_with_lost_mpath;
    c->npaths = lc->nfspaths;
    c->allow_shared_fs = n->testing;
    for (i = 0; i < lc->nfspaths; i++) {
        c->paths[i].path = lc->fspaths[i].path;
        c->paths[i].label = lc->fspaths[i].label;
        c->allow_shared_fs |= lc->fspaths[i].label[0] != '\0';
    }
    return c;
}

static void
watermarks(struct store *s, const struct cluster_conf *c)
{
    store_set_watermarks(s, (unsigned)c->space.cleanupwm, (unsigned)c->space.lowwm, (unsigned)c->space.highwm,
                         (unsigned)c->space.out_of_space);
}

static void
health_limits(struct store *s, const struct cluster_conf *c)
{
    const struct fshc_conf f = { .enabled = c->fshc.enabled,
                                 .test_files = (unsigned)c->fshc.test_files,
                                 .error_limit = (unsigned)c->fshc.error_limit,
                                 .io_err_limit = (unsigned)c->fshc.io_err_limit,
                                 .io_err_ns = c->fshc.io_err_time };

    store_set_fshc(s, &f);
}

static void
store_limits(struct store *s, const struct cluster_conf *c)
{
    watermarks(s, c);
    health_limits(s, c);
}

/*
 * Take over what is on the disks. Not before a cluster said which buckets there are: adoption is done once, and a target whose
 * configuration is new, or AIStore's, knows none until it has joined.
 */
static int
adopt_all(struct node *n, const struct bmd *m, struct err *e)
{
    unsigned i;
    int      rc;

    if (m->uuid[0] == '\0')
        return 0;
    store_set_cluster(n->store, m->uuid);
    for (i = 0; i < m->n; i++) {
        rc = store_bck_adopt(n->store, &m->sorted[i]->bck, e);
        if (rc < 0)
            return rc;
    }
    rc = store_adopted(n->store, e);
    if (rc == 0)
        store_bck_sweep(n->store, m->version);
    return rc;
}

/* What new generations begin with. smap_ver: of a map that was adopted, 0 = none came; versions rise within an epoch only. */
static void
fence_to_store(struct node *n, uint64_t smap_ver)
{
    struct target    *t = target_of(n);
    struct cons_fence f = node_fence(n);

    MUST(pthread_mutex_lock(&t->mtx));
    if (smap_ver > 0)
        t->smap_ver = smap_ver;
    store_set_fence(n->store, f.epoch, f.term, t->smap_ver);
    MUST(pthread_mutex_unlock(&t->mtx));
}

static int
start_store(struct node *n, struct err *e)
{
    struct store_conf *c = store_conf_new(n);
    struct views       v;
    int                rc;

    rc = store_open(c, &n->store, e);
    free(c);
    if (rc < 0)
        return rc;
    views_get(n, &v);
    if (v.conf != NULL)
        store_limits(n->store, v.conf);
    if (v.smap != NULL)
        fence_to_store(n, v.smap->version);
    if (v.bmd != NULL)
        rc = adopt_all(n, v.bmd, e);
    views_put(&v);
    return rc;
}

static void
target_stop(struct node *n)
{
    struct target *t = n->priv;
    unsigned       i;

    if (t == NULL)
        return;
    frag_stop(t);
    bckwork_stop(t);
    reb_free(t->reb);
    xreg_free(n->jobs);
    n->jobs = NULL;
    if (n->store != NULL)
        store_close(n->store);
    n->store = NULL;
    for (i = 0; i < ARRAY_SIZE(t->old); i++)
        free(t->old[i]);
    settler_free(t->settler);
    free(t->places);
    free(t->disks);
    pthread_mutex_destroy(&t->mtx);
    free(t);
    n->priv = NULL;
}

static int
target_start(struct node *n, struct err *e)
{
    struct target *t = xcalloc(1, sizeof(*t));
    int            rc;

    t->n = n;
    t->settler = settler_new();
    MUST(pthread_mutex_init(&t->mtx, NULL));
    n->priv = t;
    n->jobs = xreg_new(n->run, n->name, n);
    rc = start_store(n, e);
    if (rc == 0)
        rc = places_refresh(t);
    if (rc == 0)
        rc = moves_start(n);
    if (rc == 0)
        t->reb = reb_new(n);
    if (rc < 0)
        target_stop(n);
    return rc;
}

/* --- cluster metadata changes --- */

static int
target_on_bmd(struct node *n, struct bmd *old, struct bmd *nw, struct err *e)
{
    if (n->store == NULL) /* not started yet: start adopts what is current then */
        return 0;
    return old == NULL ? adopt_all(n, nw, e) : bckwork_follow(n, old, nw, e);
}

static int
target_on_smap(struct node *n, struct smap *old, struct smap *nw, struct err *e)
{
    (void)old;
    (void)e;
    if (n->store != NULL)
        fence_to_store(n, nw->version);
    frag_settle(n);
    return 0;
}

/* Any thread. */
static void
target_on_fence(struct node *n, struct cons_fence f)
{
    (void)f; /* and perhaps there is a newer one by now */
    if (n->store != NULL)
        fence_to_store(n, 0);
}

static int
target_on_conf(struct node *n, struct cluster_conf *old, struct cluster_conf *nw, struct err *e)
{
    (void)old;
    (void)e;
    if (n->store != NULL)
        store_limits(n->store, nw);
    return 0;
}

static unsigned
disk_rates(struct node *n, struct diskrate *out, unsigned max)
{
    return iostat_rates(target_of(n), out, max);
}

/* What the disks say, and what runs. */
static unsigned
state_flags(struct node *n)
{
    static const struct {
        enum xkind kind;
        unsigned   flag;
    } table[] = { { X_REBALANCE, NODE_REBALANCING }, { X_RESILVER, NODE_RESILVERING } };
    unsigned flags = mpath_state_flags(n);

    for (size_t i = 0; n->jobs != NULL && i < ARRAY_SIZE(table); i++) {
        struct xact *x = xreg_running(n->jobs, table[i].kind, NULL);

        flags |= x != NULL ? table[i].flag : 0;
        xact_put(x);
    }
    return flags;
}

const struct node_role target_role = {
    .role = ROLE_TARGET,
    .routes = routes,
    .nroutes = ARRAY_SIZE(routes),
    .hooks = { .on_bmd = target_on_bmd, .on_smap = target_on_smap, .on_conf = target_on_conf, .on_fence = target_on_fence },
    .start = target_start,
    .stop = target_stop,
    .capacity_json = mpath_capacity_json,
    .sysinfo_json = mpath_sysinfo_json,
    .state_flags = state_flags,
    .disk_rates = disk_rates,
};
