/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DELETE, PATCH and the POST actions of one object.
 *
 * Runs on: the request's fiber. May park. Wire: native-api.md 4.7; golden/wire/object-{delete,custom-props,rename}*.
 */
#include <jansson.h>

#include "base/util.h"
#include "codec/jw.h"
#include "target/target_impl.h"

static void
bad_action(struct req *r, struct str action)
{
    struct err e = { .code = 0 };

    err_set(&e, AIS_E_BADREQ, "invalid action \"%.*s\"", STR_FMT(action));
    resp_err(r, -AIS_E_BADREQ, &e);
}

/* --- DELETE --- */

/* What lies with a former owner is not brought here to be deleted: a tombstone does. */
static int
delete_anywhere(const struct copier *c, const struct bck *b, struct str name, struct err *e)
{
    struct gen next = { .counter = 0 };
    uint64_t   version;
    bool       there;
    int        rc = obj_look_away(c, b, name, &there, &version, e);

    if (rc < 0)
        return rc;
    if (!there)
        return obj_delete(c->n->store, b, name, e);
    rc = obj_tomb(c->n->store, b, name, &next, e);
    if (rc != -AIS_E_CONFLICT)
        return rc;
    err_clear(e); /* it came here meanwhile */
    return obj_delete(c->n->store, b, name, e);
}

static void
delete_object(struct req *r, struct objreq *o)
{
    struct node  *n = req_node(r);
    struct copier c = copier_of(r);
    struct err    e = { .code = 0 };
    int           rc;

    rc = delete_anywhere(&c, &o->b, o->name, &e);
    if (rc == -AIS_E_NOOBJ && o->b.ec) { /* what slices could bring back is there, and has to be deleted for good */
        err_clear(&e);
        rc = frag_restore(&c, &o->b, o->name, &e);
        if (rc == 0)
            rc = obj_delete(n->store, &o->b, o->name, &e);
    }
    if (rc == 0) {
        obj_deleted_tell(&c, &o->b, o->name);
        frag_outdated(r, &o->b, o->name);
        stat_inc(n->stats, STAT_DEL_N);
        return resp_empty(r, 200);
    }
    if (rc == -AIS_E_NOOBJ) {
        err_clear(&e);
        err_set(&e, AIS_E_NOOBJ, "%.*s doesn't exist", STR_FMT(obj_display(r, &o->b, o->name)));
        err_tcode(&e, "");
    } else {
        count_error(n, rc, STAT_ERR_DEL_N, STAT_ERR_IO_DEL_N);
    }
    resp_err(r, rc, &e);
}

/* Nothing to evict in a bucket whose only copy is here. */
static void
delete_evict(struct req *r, struct objreq *o)
{
    struct err e = { .code = 0 };

    resp_err(r, err_not_remote(&e, "evict-listrange", &o->b), &e);
}

/* clang-format off */
static const struct {
    const char *action;
    void      (*fn)(struct req *r, struct objreq *o);
} delete_actions[] = {
    { "",                delete_object },
    { "mpt-abort",       act_mpt_abort },
    { "evict-listrange", delete_evict },
};
/* clang-format on */

void
h_target_obj_delete(struct req *r)
{
    struct objreq o;
    struct actmsg m = { .root = NULL };
    struct err    e = { .code = 0 };
    unsigned      i;
    int           rc = 0;

    if (r->body.n > 0)
        rc = actmsg_read(r, &m, &e);
    if (rc == 0)
        rc = objreq_init(r, &o, false, &e);
    if (rc < 0) {
        objreq_refuse(r, rc, &e);
        goto out;
    }
    for (i = 0; i < ARRAY_SIZE(delete_actions) && !str_eqz(m.action, delete_actions[i].action); i++)
        ;
    if (i == ARRAY_SIZE(delete_actions))
        bad_action(r, m.action); /* what is not understood deletes nothing */
    else
        delete_actions[i].fn(r, &o);
out:
    actmsg_free(&m);
}

/* --- PATCH: custom metadata --- */

static int
custom_from_json(struct req *r, json_t *value, struct kv **out, unsigned *n, struct err *e)
{
    const char *key;
    json_t     *v;
    struct kv  *kv;
    unsigned    i = 0;

    if (!json_is_object(value) || json_object_size(value) > LMETA_MAX_CUSTOM)
        return err_set(e, AIS_E_BADREQ, "%s: failed to unmarshal set-custom: expecting an object of strings, at most %d",
                       req_node(r)->name, LMETA_MAX_CUSTOM);
    kv = arena_alloc(r->arena, (json_object_size(value) + 1) * sizeof(*kv));
    if (kv == NULL)
        return err_set(e, AIS_E_TOOBIG, "too much custom metadata");
    json_object_foreach(value, key, v) {
        if (!json_is_string(v))
            return err_set(e, AIS_E_BADREQ, "%s: failed to unmarshal set-custom: value of \"%s\" is not a string",
                           req_node(r)->name, key);
        kv[i++] = (struct kv){ str_z(key), str_from(json_string_value(v), json_string_length(v)) };
    }
    *out = kv;
    *n = i;
    return 0;
}

static int
patch_custom(struct req *r, struct objreq *o, const struct actmsg *m, struct err *e)
{
    struct copier c = copier_of(r);
    struct kv    *kv = NULL;
    unsigned      n = 0;
    int           rc;

    rc = custom_from_json(r, m->value, &kv, &n, e);
    if (rc < 0)
        return rc;
    rc = custom_check(kv, n, e);
    if (rc < 0) {
        struct str name = obj_display(r, &o->b, o->name);

        return err_wrap(e, "%.*s", STR_FMT(name));
    }
    rc = obj_settle(&c, &o->b, o->name, e);
    if (rc < 0)
        return rc;
    rc = obj_set_custom(req_node(r)->store, &o->b, o->name, kv, n, o->q.new_custom, e);
    if (rc == -AIS_E_NOOBJ)
        err_noobj(r, e, &o->b, o->name);
    return rc;
}

void
h_target_obj_patch(struct req *r)
{
    struct objreq o;
    struct actmsg m = { .root = NULL };
    struct err    e = { .code = 0 };
    int           rc;

    rc = objreq_init(r, &o, false, &e);
    if (rc == 0)
        rc = actmsg_read(r, &m, &e);
    if (rc == 0)
        rc = patch_custom(r, &o, &m, &e);
    if (rc < 0)
        objreq_refuse(r, rc, &e);
    else
        resp_empty(r, 200);
    actmsg_free(&m);
}

/* --- POST actions --- */

/*
 * The new name belongs to another target: the object goes there under its new name, then the old name goes. Readers see it under one of
 * the names at any time; if the object changed meanwhile the old name stays and the answer says so.
 */
static int
rename_away(struct req *r, struct objreq *o, struct str to, struct err *e)
{
    struct store *s = req_node(r)->store;
    struct copier c = copier_of(r);
    struct obj   *obj = NULL;
    int           rc;

    rc = obj_open(s, &o->b, o->name, 0, &obj, e);
    if (rc < 0)
        return rc;
    rc = obj_copy_to(&c, obj, &o->b, to, e);
    if (rc == 0) {
        rc = obj_delete_if(s, &o->b, o->name, &obj_info(obj)->gen, e);
        if (rc == -AIS_E_CONFLICT) {
            err_clear(e);
            err_set(e, AIS_E_CONFLICT, "%.*s was overwritten while it was renamed", STR_FMT(obj_display(r, &o->b, o->name)));
        }
    }
    obj_close(obj);
    return rc;
}

static int
rename_object(struct req *r, struct objreq *o, struct str to, struct err *e)
{
    struct node        *n = req_node(r);
    struct str          from = obj_display(r, &o->b, o->name);
    struct copier       c = copier_of(r);
    const struct snode *owner;
    int                 rc;

    rc = obj_name_check(to, false, e);
    if (rc < 0)
        return rc;
    if (!bck_is_local(&o->b))
        return err_set(e, AIS_E_UNSUPP, "%s: cannot rename object %.*s from remote bucket", n->name, STR_FMT(from));
    if (o->b.ec)
        return err_set(e, AIS_E_UNSUPP, "%s: cannot rename erasure-coded object %.*s", n->name, STR_FMT(from));
    if (str_eq(to, o->name))
        return err_set(e, AIS_E_BADREQ, "%s: cannot rename/move object %.*s onto itself", n->name, STR_FMT(from));
    rc = obj_settle(&c, &o->b, o->name, e);
    if (rc < 0)
        return rc;
    if (obj_is_mine(&c, &o->b, to, &owner))
        rc = obj_rename(n->store, &o->b, o->name, to, e);
    else
        rc = rename_away(r, o, to, e);
    if (rc == 0)
        obj_deleted_tell(&c, &o->b, o->name);
    if (rc == -AIS_E_NOOBJ)
        err_noobj(r, e, &o->b, o->name);
    return rc;
}

static void
act_rename_obj(struct req *r, struct objreq *o, const struct actmsg *m)
{
    struct node *n = req_node(r);
    struct err   e = { .code = 0 };
    int          rc;

    rc = rename_object(r, o, m->name, &e);
    if (rc < 0) {
        stat_inc(n->stats, STAT_ERR_REN_N);
        return resp_err(r, rc, &e);
    }
    stat_inc(n->stats, STAT_REN_N);
    resp_empty(r, 200);
}

static void
act_check_lock(struct req *r, struct objreq *o, const struct actmsg *m)
{
    static const int status[] = { 200, 202, 423 }; /* unlocked, read, write */
    int              state = obj_lock_state(req_node(r)->store, &o->b, o->name);

    (void)m;
    resp_empty(r, status[state >= 0 && state <= 2 ? state : 0]);
}

/* clang-format off */
static const struct {
    const char *action;
    void      (*fn)(struct req *r, struct objreq *o, const struct actmsg *m);
} post_actions[] = {
    { "rename-obj",   act_rename_obj },
    { "check-lock",   act_check_lock },
    { "mpt-upload",   act_mpt_upload },
    { "mpt-complete", act_mpt_complete },
};
/* clang-format on */

void
h_target_obj_post(struct req *r)
{
    struct objreq o;
    struct actmsg m = { .root = NULL };
    struct err    e = { .code = 0 };
    unsigned      i;
    int           rc;

    rc = actmsg_read(r, &m, &e);
    if (rc == 0)
        rc = objreq_init(r, &o, false, &e);
    if (rc < 0) {
        objreq_refuse(r, rc, &e);
        goto out;
    }
    for (i = 0; i < ARRAY_SIZE(post_actions) && !str_eqz(m.action, post_actions[i].action); i++)
        ;
    if (i == ARRAY_SIZE(post_actions))
        bad_action(r, m.action);
    else
        post_actions[i].fn(r, &o, &m);
out:
    actmsg_free(&m);
}

/* POST /v1/objects/BUCKET: blob downloads arrive here; promotion stops at the proxy. */
void
h_target_objs_post(struct req *r)
{
    struct actmsg m = { .root = NULL };
    struct err    e = { .code = 0 };
    int           rc;

    rc = actmsg_read(r, &m, &e);
    if (rc < 0)
        resp_err(r, rc, &e);
    else if (str_eqz(m.action, "blob-download"))
        h_not_implemented(r, "blob download");
    else
        bad_action(r, m.action);
    actmsg_free(&m);
}
