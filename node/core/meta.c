/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of cluster metadata on the primary: one command into the log, the new snapshots adopted here, then everybody else.
 *
 * Runs on: fibers of any loop. May park.
 */
#include "core/meta.h"

#include <jansson.h>
#include <stdio.h>

#include "core/core_impl.h"

#include "codec/jw.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"

#define CMD_MAX (64u << 20)

bool
node_is_primary(const struct node *n, const struct smap *m)
{
    return m->primary != NULL && strcmp(m->primary->id, n->id) == 0;
}

static void
cmd_begin_at(struct sbuf *b, struct jw *w, const char *op, int64_t now)
{
    sbuf_init(b, CMD_MAX);
    jw_init(w, b, 0);
    jw_obj(w);
    jw_kstrz(w, "op", op);
    jw_ki64(w, "now", now);
}

static void
cmd_begin(struct sbuf *b, struct jw *w, const char *op)
{
    cmd_begin_at(b, w, op, clock_real());
}

static void
jw_kjson(struct jw *w, const char *key, const json_t *j)
{
    char *text = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);

    jw_key(w, key);
    if (text != NULL)
        jw_raw(w, str_z(text));
    else
        jw_null(w);
    free(text);
}

/* Into the log and adopted here. Frees the command. */
static int
propose(struct node *n, struct sbuf *b, struct jw *w, struct err *e)
{
    struct cons_fence f = primary_fence(n);
    struct mset      *m;
    int               rc;

    jw_obj_end(w);
    if (n->cons == NULL || !cons_is_leader(n->cons))
        rc = err_set(e, AIS_E_NOTPRIMARY, "%s is not primary", n->name);
    else if (!sbuf_ok(b))
        rc = err_set(e, AIS_E_TOOBIG, "metadata change too large");
    else
        rc = cons_propose(n->cons, sbuf_str(b), deadline_in(clock_mono(), SEC_NS(10)), e);
    sbuf_fini(b);
    if (rc < 0)
        return rc;
    FAIL_POINT("meta.after_propose", return err_set(e, AIS_E_INTERNAL, "fail point"));
    m = cstate_get(n->member->cstate);
    rc = adopt(n, m, ITEMS_ALL, f, e); /* the term is of before: what another leader says by now counts for more */
    mset_put(m);
    FAIL_POINT("meta.after_adopt", return err_set(e, AIS_E_INTERNAL, "fail point"));
    return rc;
}

/* As above, and on every node that can be reached. A node that could not take it over is an error. */
static int
propose_all(struct node *n, struct sbuf *b, struct jw *w, struct err *e)
{
    struct err refused;
    int        rc = propose(n, b, w, e);

    if (rc < 0)
        return rc;
    err_clear(&refused);
    peers_sync(n, &refused);
    FAIL_POINT("meta.before_answer", return err_set(e, AIS_E_INTERNAL, "fail point"));
    if (refused.code != 0) {
        if (e != NULL)
            *e = refused;
        return -refused.code;
    }
    return 0;
}

int
meta_init(struct node *n, const char *uuid, const struct mset *from, unsigned have, struct err *e)
{
    struct sbuf b;
    struct jw   w;
    int         i;

    cmd_begin(&b, &w, "init");
    jw_kstrz(&w, "uuid", uuid);
    jw_ku64(&w, "level", n->self.level);
    for (i = 0; i < MI_COUNT; i++) {
        if (have & 1u << i) {
            jw_key(&w, mitem_name[i]);
            mset_item_json(from, (enum mitem)i, &w);
        }
    }
    jw_obj_end(&w);
    if (!sbuf_ok(&b)) {
        sbuf_fini(&b);
        return err_set(e, AIS_E_TOOBIG, "metadata too large");
    }
    i = cons_propose(n->cons, sbuf_str(&b), NO_DEADLINE, e);
    sbuf_fini(&b);
    return i;
}

/* As above for nodes and rebalances: what some node thinks of it does not undo it. *reb: the rebalance that began with it, or 0. */
static int
propose_told(struct node *n, struct sbuf *b, struct jw *w, uint64_t *reb, struct err *e)
{
    struct mset *m = member_cur(n);
    uint64_t     last = m->rmd->reb_id;
    int          rc = propose(n, b, w, e);

    mset_put(m);
    if (rc < 0)
        return rc;
    peers_sync(n, NULL);
    m = cstate_get(n->member->cstate);
    if (reb != NULL)
        *reb = m->rmd->reb_id > last ? m->rmd->reb_id : 0;
    mset_put(m);
    return 0;
}

/* --- membership --- */
/* A target comes: a rebalance begins, or is due while the cluster is starting. */
static void
rebalance_flag(struct node *n, struct jw *w)
{
    jw_kbool(w, atomic_load(&n->flags) & NODE_CLUSTER_STARTED ? "rebalance" : "due", n->can_rebalance);
}

int
meta_node_add(struct node *n, const struct snode *sn, uint64_t *reb, struct err *e)
{
    struct sbuf b;
    struct jw   w;

    cmd_begin(&b, &w, "node-add");
    jw_key(&w, "node");
    snode_json(sn, &w);
    if (sn->storage[0] != '\0')
        jw_kstrz(&w, "storage", sn->storage);
    jw_ku64(&w, "level", sn->level);
    rebalance_flag(n, &w);
    if (reb != NULL)
        return propose_told(n, &b, &w, reb, e);
    return propose(n, &b, &w, e); /* the answer brings the node its map */
}

int
meta_level(struct node *n, unsigned level, struct err *e)
{
    struct sbuf b;
    struct jw   w;

    cmd_begin(&b, &w, "level");
    jw_ku64(&w, "level", level);
    return propose(n, &b, &w, e);
}

int
meta_primary(struct node *n, struct str id, struct err *e)
{
    struct sbuf b;
    struct jw   w;

    cmd_begin(&b, &w, "primary");
    jw_kstr(&w, "id", id);
    return propose(n, &b, &w, e);
}

static void
cmd_ids_json(struct jw *w, const struct str *ids, size_t n)
{
    jw_key(w, "ids");
    jw_arr(w);
    for (size_t i = 0; i < n; i++)
        jw_str(w, ids[i]);
    jw_arr_end(w);
}

int
meta_nodes_remove(struct node *n, const struct str *ids, size_t nids, struct err *e)
{
    struct sbuf b;
    struct jw   w;

    cmd_begin(&b, &w, "node-remove");
    cmd_ids_json(&w, ids, nids);
    return propose_told(n, &b, &w, NULL, e);
}

int
meta_node_maint(struct node *n, const struct node_maint *c, uint64_t *reb, struct err *e)
{
    struct sbuf b;
    struct jw   w;

    cmd_begin(&b, &w, "node-maint");
    cmd_ids_json(&w, c->ids, c->nids);
    jw_kbool(&w, "on", c->on);
    jw_kbool(&w, "rebalance", c->rebalance);
    jw_kbool(&w, "decomm", c->decomm);
    jw_kbool(&w, "stop", c->stop);
    jw_kbool(&w, "rm_data", c->rm_data);
    jw_kbool(&w, "keep_conf", c->keep_conf);
    jw_kbool(&w, "stay_up", c->stay_up);
    return propose_told(n, &b, &w, reb, e);
}

int
meta_node_flags(struct node *n, struct str id, uint64_t set, uint64_t clear, struct err *e)
{
    struct sbuf b;
    struct jw   w;

    cmd_begin(&b, &w, "node-flags");
    jw_kstr(&w, "id", id);
    jw_ku64(&w, "set", set);
    jw_ku64(&w, "clear", clear);
    return propose(n, &b, &w, e);
}

/* --- rebalance --- */
int
meta_reb_start(struct node *n, struct str bck, struct str prefix, uint64_t *reb, struct err *e)
{
    struct sbuf b;
    struct jw   w;

    cmd_begin(&b, &w, "reb-start");
    jw_kstr(&w, "bck", bck);
    jw_kstr(&w, "prefix", prefix);
    return propose_told(n, &b, &w, reb, e);
}

int
meta_reb_settle(struct node *n, struct err *e)
{
    struct sbuf b;
    struct jw   w;

    cmd_begin(&b, &w, "reb-settle");
    return propose(n, &b, &w, e);
}

int
meta_reb_end(struct node *n, uint64_t reb, bool aborted, struct err *e)
{
    struct sbuf b;
    struct jw   w;

    cmd_begin(&b, &w, aborted ? "reb-abort" : "reb-done");
    jw_ku64(&w, "reb", reb);
    return propose_told(n, &b, &w, NULL, e);
}

int
meta_node_dead(struct node *n, struct str id, bool dead, struct err *e)
{
    struct sbuf b;
    struct jw   w;

    cmd_begin(&b, &w, dead ? "node-dead" : "node-alive");
    jw_kstr(&w, "id", id);
    if (!dead) /* what it has may belong elsewhere by now, and what is its own lies elsewhere */
        rebalance_flag(n, &w);
    return propose(n, &b, &w, e);
}

int
meta_node_left(struct node *n, struct str id, struct err *e)
{
    struct sbuf b;
    struct jw   w;

    cmd_begin(&b, &w, "node-left");
    jw_kstr(&w, "id", id);
    peer_left(n, id, true); /* before it is marked: what it still says then does not bring it back */
    return propose(n, &b, &w, e);
}

/* --- buckets --- */
static int
bck_command(struct node *n, const char *op, const struct bck *b, const json_t *props, struct err *e)
{
    struct sbuf buf;
    struct jw   w;

    cmd_begin(&buf, &w, op);
    cmd_bck(&w, b);
    if (props != NULL)
        jw_kjson(&w, "props", props);
    return propose_all(n, &buf, &w, e);
}

/* The bucket as it is known here: when it was created, 0 = it does not exist. */
static int64_t
bck_created(struct node *n, const struct bck *b)
{
    struct views         v;
    const struct bucket *bk;
    int64_t              created;

    views_get(n, &v);
    bk = bmd_find(v.bmd, b);
    created = bk == NULL ? 0 : bk->props.created;
    views_put(&v);
    return created;
}

/*
 * A target could not make it: what the client was refused must not stay behind. `created` says which one is meant: by now another
 * client may have made a bucket of the same name.
 */
static void
bck_create_undo(struct node *n, const struct bck *b, int64_t created, const struct err *why)
{
    char        name[BCK_DISPLAY_MAX];
    struct sbuf buf;
    struct jw   w;
    struct err  e;
    int         rc;

    err_clear(&e);
    FAIL_POINT("meta.before_undo", return);
    cmd_begin(&buf, &w, "bck-destroy");
    cmd_bck(&w, b);
    jw_ki64(&w, "created", created);
    rc = propose_all(n, &buf, &w, &e);
    if (rc < 0 && rc != -AIS_E_NOBCK)
        log_error("a bucket that could not be made everywhere stays", { "bucket", LZ(bck_display(b, name)) }, { "error", LZ(e.text) });
    else
        log_warn("bucket creation undone", { "bucket", LZ(bck_display(b, name)) }, { "error", LZ(why != NULL ? why->text : "") });
}

int
meta_bck_create(struct node *n, const struct bck *b, const json_t *toset, struct err *e)
{
    char        name[BCK_DISPLAY_MAX];
    struct sbuf buf;
    struct jw   w;
    int64_t     now = clock_real();
    int         rc;

    if (bck_created(n, b) != 0) /* the state machine would say the same, for the price of a flush */
        return err_set(e, AIS_E_BCKEXISTS, "bucket \"%s\" already exists", bck_display(b, name));
    cmd_begin_at(&buf, &w, "bck-create", now);
    cmd_bck(&w, b);
    if (toset != NULL)
        jw_kjson(&w, "props", toset);
    rc = propose_all(n, &buf, &w, e);
    if (rc < 0 && bck_created(n, b) == now)
        bck_create_undo(n, b, now, e);
    return rc;
}

int
meta_bck_destroy(struct node *n, const struct bck *b, struct err *e)
{
    return bck_command(n, "bck-destroy", b, NULL, e);
}

int
meta_bck_set_props(struct node *n, const struct bck *b, const json_t *toset, struct err *e)
{
    return bck_command(n, toset != NULL ? "bck-set-props" : "bck-reset-props", b, toset, e);
}

/* --- configuration --- */
/* The same request to every other node of the map and to this one; the first failure counts. */
static int
conf_everywhere(struct node *n, const char *action, const json_t *value, struct str target, struct err *e)
{
    struct arena *mem = arena_new(16 * KIB, 8 * MIB);
    struct views  v;
    struct bcast *b;
    struct sbuf   body;
    struct jw     w;
    unsigned      i, nb = 0;
    int           rc = 0;

    views_get(n, &v);
    sbuf_init(&body, 1 * MIB);
    jw_init(&w, &body, 0);
    jw_obj(&w);
    jw_kstrz(&w, "action", action);
    if (value != NULL)
        jw_kjson(&w, "value", value);
    jw_obj_end(&w);
    b = xcalloc(v.smap->nnodes + 1, sizeof(*b));
    for (i = 0; i < v.smap->nnodes; i++) {
        if (strcmp(v.smap->nodes[i].id, n->id) != 0)
            b[nb++].to = &v.smap->nodes[i];
    }
    if (sbuf_ok(&body))
        (void)node_bcast(n, b, nb, M_PUT, target, sbuf_str(&body), mem, 64 * KIB, v.conf->timeout.max_keepalive);
    else
        rc = err_set(e, AIS_E_TOOBIG, "%s: too large", action);
    for (i = 0; i < nb; i++) {
        if (b[i].rc < 0 && rc == 0) {
            rc = b[i].rc;
            if (e != NULL)
                *e = b[i].err;
        }
    }
    free(b);
    sbuf_fini(&body);
    views_put(&v);
    arena_free(mem);
    return rc;
}

int
meta_conf_set(struct node *n, const json_t *toset, bool transient, struct err *e)
{
    struct sbuf b;
    struct jw   w;
    int         rc;

    if (transient) {
        rc = conf_local_set(n, toset, true, false, e);
        return rc < 0 ? rc : conf_everywhere(n, "set-config", toset, STR_LIT("/v1/daemon?transient=true&cluster=true"), e);
    }
    cmd_begin(&b, &w, "conf-set");
    jw_kjson(&w, "toset", toset);
    return propose_all(n, &b, &w, e);
}

int
meta_conf_reset(struct node *n, struct err *e)
{
    int rc = conf_local_reset(n, e);

    return rc < 0 ? rc : conf_everywhere(n, "reset-config", NULL, STR_LIT("/v1/daemon"), e);
}
