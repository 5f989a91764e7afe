/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a node leaves its cluster, and how an administrator brings it (back) in: what the primary tells a node to do.
 *
 * A node that is told to end asks the process it lives in (node_opts.ask_end); that stops it gracefully, and when it has been
 * decommissioned removes what it kept: everything of ours in the configuration directory and on the mountpaths, users' objects only
 * when the administrator said so.
 *
 * Runs on: the request's fiber; wipe_run on a thread that may block, after node_stop. Wire: native-api.md 5.4.
 */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/core_impl.h"

#include "codec/jw.h"
#include "run/offload.h"
#include "base/log.h"
#include "base/util.h"

#define XATTR_DAEMON_ID "user.ais.daemon_id"
#define KEY_FILE        ".ais.cluster_key"

/* --- told by the primary --- */
/* Nodes do as the primary says and as nobody else does. */
static int
only_primary(struct req *r, struct str action, struct err *e)
{
    const struct caller *c = r->user;

    if (c->intra && req_hdr(r, STR_LIT("Ais-Caller-Is-Primary")).n > 0)
        return 0;
    return err_set(e, AIS_E_FORBIDDEN, "%s: \"%.*s\" is for the primary to say", req_node(r)->name, STR_FMT(action));
}

static void
end(struct node *n, unsigned how)
{
    log_info("told to leave", { "shutdown", LBOOL(how & END_STOP) }, { "decommission", LBOOL(how & END_WIPE) },
             { "remove-user-data", LBOOL(how & END_RM_DATA) });
    if (atomic_fetch_or(&n->ending, how) == 0 && n->ask_end != NULL)
        n->ask_end();
}

int
act_node_shutdown(struct req *r, const struct actmsg *m, struct err *e)
{
    int rc = only_primary(r, m->action, e);

    if (rc == 0)
        end(req_node(r), END_STOP);
    return rc;
}

int
act_node_decommission(struct req *r, const struct actmsg *m, struct err *e)
{
    static const struct {
        const char *key;
        unsigned    bit;
    } opts[] = { { "rm_user_data", END_RM_DATA }, { "keep_initial_config", END_KEEP_CONF }, { "no_shutdown", END_STAY_UP } };
    unsigned how = END_WIPE;
    int      rc = only_primary(r, m->action, e);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < ARRAY_SIZE(opts); i++)
        how |= json_is_true(json_get_fold(m->value, opts[i].key)) ? opts[i].bit : 0;
    end(req_node(r), how);
    return 0;
}

/* The map says what there is to know of it. */
int
act_node_maintenance(struct req *r, const struct actmsg *m, struct err *e)
{
    return only_primary(r, m->action, e);
}

/* Taken out of the map with all it has: it stays up and waits for an administrator. */
int
act_node_removed(struct req *r, const struct actmsg *m, struct err *e)
{
    int rc = only_primary(r, m->action, e);

    if (rc < 0)
        return rc;
    atomic_store(&req_node(r)->member->standby, true);
    log_warn("removed from the cluster, standing by");
    return 0;
}

/* POST /v1/daemon/join-by-admin: the cluster's metadata but for the map, which follows when this node is in it. */
void
h_node_join(struct req *r)
{
    struct node *n = req_node(r);
    struct sbuf  b;
    struct jw    w;
    struct err   e;
    int          rc;

    err_clear(&e);
    rc = only_primary(r, STR_LIT("join-by-admin"), &e);
    if (rc == 0 && n->role == ROLE_PROXY && node_is_primary(n, req_views(r)->smap) && !atomic_load(&n->member->standby))
        rc = err_set(&e, AIS_E_CONFLICT, "%s is the primary of a cluster itself", n->name);
    if (rc == 0)
        rc = msg_meta_adopt(n, r->body, 0, &e);
    if (rc < 0) {
        resp_err(r, rc, &e);
        return;
    }
    atomic_store(&n->member->standby, false);
    atomic_fetch_or(&n->flags, NODE_NODE_STARTED);
    log_info("brought into the cluster by an administrator");
    sbuf_init(&b, 64 * KIB);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    jw_key(&w, "si");
    snode_json(&n->self, &w);
    member_more_json(&n->self, &w);
    jw_obj_end(&w);
    ais_send_json(r, &b);
    sbuf_fini(&b);
}

/* --- the primary's side of it --- */
int
member_invite(struct node *n, const struct snode *to, struct snode *self, struct err *e)
{
    struct arena  *mem = arena_new(16 * KIB, 1 * MIB);
    struct mset   *cur = member_cur(n);
    struct hc_resp resp;
    struct sbuf    b;
    struct jw      w;
    json_t        *j = NULL;
    int            rc;

    sbuf_init(&b, 128u << 20);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    msg_meta_json(n, &w, cur, ITEMS_ALL & ~(1u << MI_SMAP));
    jw_obj_end(&w);
    rc = !sbuf_ok(&b) ? err_set(e, AIS_E_TOOBIG, "metadata too large")
                      : node_call(n, to, M_POST, STR_LIT("/v1/daemon/join-by-admin"), sbuf_str(&b), mem, 64 * KIB, SEC_NS(10), &resp, e);
    if (rc == 0)
        rc = json_read(resp.body, &j, e);
    if (rc == 0)
        rc = member_from_json(j, self, e);
    json_decref(j);
    sbuf_fini(&b);
    mset_put(cur);
    arena_free(mem);
    return rc;
}

/* --- what a decommissioned node leaves behind: nothing --- */
struct wipe {
    bool  rm_data;
    char *confdir;
    bool  keep_key;
    char *files[2]; /* NULL = none */
    unsigned n;
    char   **mpaths;
};

/* The file, when it lies in the node's own directory: what several nodes were started with is not one node's to remove. */
static char *
own_file(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    return path != NULL && strncmp(path, dir, n) == 0 && path[n] == '/' && strchr(path + n + 1, '/') == NULL ? xstrdup(path) : NULL;
}

struct wipe *
wipe_plan(const struct node *n, const struct node_opts *o)
{
    unsigned     how = atomic_load(&n->ending);
    struct wipe *w;

    if (!(how & END_WIPE))
        return NULL;
    w = xcalloc(1, sizeof(*w));
    w->rm_data = how & END_RM_DATA;
    w->keep_key = how & (END_KEEP_CONF | END_STAY_UP);
    w->confdir = xstrdup(nodecfg_confdir(n));
    if (!w->keep_key) {
        w->files[0] = own_file(o->config, w->confdir);
        w->files[1] = own_file(o->local_config, w->confdir);
    }
    w->n = n->role == ROLE_TARGET ? n->local.nfspaths : 0;
    w->mpaths = xcalloc(w->n + 1, sizeof(*w->mpaths));
    for (unsigned i = 0; i < w->n; i++)
        w->mpaths[i] = xstrdup(n->local.fspaths[i].path);
    return w;
}

static void
say_failed(const char *path)
{
    log_error("cannot be removed", { "path", LZ(path) }, { "error", LZ(strerror(errno)) });
}

/* A file, or a folder with all that is in it; links are removed, not followed. Depth is that of object names: bounded. */
static void
remove_tree(const char *path)
{
    struct dirent *d;
    DIR           *dir;

    if (unlink(path) == 0 || errno == ENOENT)
        return;
    dir = opendir(path);
    if (dir == NULL) {
        say_failed(path);
        return;
    }
    while ((d = readdir(dir)) != NULL) {
        auto_free char *below = NULL;

        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        below = xasprintf("%s/%s", path, d->d_name);
        remove_tree(below);
    }
    closedir(dir);
    if (rmdir(path) < 0)
        say_failed(path);
}

/* Our own files and folders in dir, and with users' data the providers' folders, "@ais" and its like. */
static void
wipe_dir(const char *path, bool keep_key, bool users)
{
    DIR           *dir = opendir(path);
    struct dirent *d;

    if (dir == NULL) {
        if (errno != ENOENT)
            say_failed(path);
        return;
    }
    while ((d = readdir(dir)) != NULL) {
        bool ours = strncmp(d->d_name, ".ais.", 5) == 0 || strcmp(d->d_name, ".$deleted") == 0;

        if (keep_key && strcmp(d->d_name, KEY_FILE) == 0)
            continue;
        if (ours || (users && d->d_name[0] == '@')) {
            auto_free char *below = xasprintf("%s/%s", path, d->d_name);

            remove_tree(below);
        }
    }
    closedir(dir);
}

void
wipe_run(struct wipe *w)
{
    if (w == NULL)
        return;
    ASSERT_MAY_BLOCK();
    for (unsigned i = 0; i < w->n; i++) {
        wipe_dir(w->mpaths[i], false, w->rm_data);
        if (removexattr(w->mpaths[i], XATTR_DAEMON_ID) < 0 && errno != ENODATA && errno != ENOENT)
            say_failed(w->mpaths[i]);
        free(w->mpaths[i]);
    }
    wipe_dir(w->confdir, w->keep_key, false);
    for (size_t i = 0; i < ARRAY_SIZE(w->files); i++) {
        if (w->files[i] != NULL && unlink(w->files[i]) < 0 && errno != ENOENT)
            say_failed(w->files[i]);
        free(w->files[i]);
    }
    log_info("decommissioned", { "users-data-removed", LBOOL(w->rm_data) });
    free(w->mpaths);
    free(w->confdir);
    free(w);
}

unsigned
node_ending(const struct node *n)
{
    return atomic_load(&n->ending);
}
