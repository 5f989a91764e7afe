/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buckets: create, destroy, properties, HEAD, list. What changes metadata goes to the primary.
 *
 * Runs on: the request's fiber. May park (relays, metadata changes).
 * Wire:    /v1/buckets (native-api.md 3)
 */
#include <jansson.h>

#include "base/util.h"
#include "codec/jw.h"
#include "core/meta.h"
#include "proxy/proxy_impl.h"

/* An action of a later issue: 501. When it is about a bucket, that the bucket is missing is told first. */
static void
not_yet(struct req *r, const char *feature)
{
    struct err e = { .code = 0 };
    struct bck b;
    int        rc = r->nitems > 0 ? req_bck(r, r->item[0], &b, NULL, &e) : 0;

    if (rc < 0)
        resp_err(r, rc, &e);
    else
        h_not_implemented(r, feature);
}

void
act_dispatch(struct req *r, const struct action *t, unsigned n)
{
    struct actmsg m;
    struct err    e = { .code = 0 };
    int           rc = actmsg_read(r, &m, &e);

    if (rc < 0) {
        resp_err(r, rc, &e);
        return;
    }
    for (unsigned i = 0; i < n; i++)
        if (str_eqz(m.action, t[i].name)) {
            if (t[i].fn != NULL)
                t[i].fn(r, &m);
            else
                not_yet(r, t[i].feature);
            actmsg_free(&m);
            return;
        }
    rc = err_set(&e, AIS_E_INVAL, "invalid action \"%.*s\"", STR_FMT(m.action));
    resp_err(r, rc, &e);
    actmsg_free(&m);
}

/* --- create --- */

static void
act_create(struct req *r, struct actmsg *m)
{
    struct err e = { .code = 0 };
    struct bck b;
    char       disp[BCK_DISPLAY_MAX];
    int        rc = req_bck_id(r, r->item[0], &b, &e);

    if (rc == 0 && !bck_is_local(&b)) {
        rc = err_set(&e, AIS_E_NOTIMPL, "cannot create %s: %s are not implemented yet", bck_display(&b, disp),
                     b.provider == PROV_AIS ? "remote AIS clusters" : "cloud backends");
    } else if (rc == 0) {
        if (relay_to_primary(r))
            return;
        rc = meta_bck_create(req_node(r), &b, m->value, &e);
    }
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        resp_empty(r, 200);
}

void
h_proxy_bck_post(struct req *r)
{
    static const struct action acts[] = {
        { "create-bck", act_create, NULL },
        { "move-bck", NULL, "bucket rename" },
        { "copy-bck", NULL, "bucket copy" },
        { "etl-bck", NULL, "bucket transform (ETL)" },
        { "copy-listrange", NULL, "multi-object copy" },
        { "etl-listrange", NULL, "multi-object transform (ETL)" },
        { "prefetch-listrange", NULL, "prefetch" },
        { "make-n-copies", NULL, "mirroring" },
        { "ec-encode", NULL, "erasure coding" },
        { "rechunk", NULL, "rechunk" },
        { "index-shard", NULL, "shard index" },
        { "create-inventory", NULL, "bucket inventory" },
    };

    if (!still_starting(r, BUCKETS_WAIT))
        act_dispatch(r, acts, ARRAY_SIZE(acts));
}

/* --- destroy --- */

static void
act_destroy(struct req *r, struct actmsg *m)
{
    struct err e = { .code = 0 };
    struct bck b;
    char       disp[BCK_DISPLAY_MAX];
    int        rc;

    UNUSED(m);
    if (relay_to_primary(r)) /* before anything is looked at: this proxy may have missed the bucket's creation */
        return;
    rc = req_bck(r, r->item[0], &b, NULL, &e);
    if (rc == 0 && b.provider != PROV_AIS)
        rc = err_set(&e, AIS_E_UNSUPPBCK, "destroy-bck is not supported for cloud bucket %s", bck_display(&b, disp));
    if (rc == 0)
        rc = access_check(&b, ACC_DESTROY, &e);
    if (rc == 0)
        rc = meta_bck_destroy(req_node(r), &b, &e);
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        resp_empty(r, 200);
}

/* Nothing can be evicted from an ais:// bucket: it is nowhere else. */
static void
act_evict(struct req *r, struct actmsg *m)
{
    struct err e = { .code = 0 };
    struct bck b;
    int        rc = req_bck(r, r->item[0], &b, NULL, &e);

    if ((rc == -AIS_E_NOBCK || rc == -AIS_E_NORBCK) && str_eqz(m->action, "evict-remote-bck")) {
        resp_empty(r, 200);
        return;
    }
    if (rc == 0)
        rc = err_not_remote(&e, arena_strdup(r->arena, m->action), &b);
    resp_err(r, rc, &e);
}

void
h_proxy_bck_delete(struct req *r)
{
    static const struct action acts[] = {
        { "destroy-bck", act_destroy, NULL },
        { "evict-remote-bck", act_evict, NULL },
        { "evict-listrange", act_evict, NULL },
        { "delete-listrange", NULL, "multi-object delete" },
        { "destroy-inventory", NULL, "bucket inventory" },
    };

    if (!still_starting(r, BUCKETS_WAIT))
        act_dispatch(r, acts, ARRAY_SIZE(acts));
}

void
h_proxy_bck_put(struct req *r)
{
    static const struct action acts[] = { { "archive", NULL, "archive: shards from many objects" } };

    if (!still_starting(r, BUCKETS_WAIT))
        act_dispatch(r, acts, ARRAY_SIZE(acts));
}

/* --- properties --- */

static void
set_props(struct req *r, const struct json_t *toset)
{
    struct err e = { .code = 0 };
    struct bck b;
    int        rc;

    if (relay_to_primary(r))
        return;
    rc = req_bck(r, r->item[0], &b, NULL, &e);
    if (rc == 0)
        rc = access_check(&b, ACC_PATCH, &e);
    if (rc == 0 && toset != NULL && json_get_fold(toset, "access") != NULL)
        rc = access_check(&b, ACC_SET_ACL, &e);
    if (rc == 0)
        rc = meta_bck_set_props(req_node(r), &b, toset, &e);
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        resp_empty(r, 200);
}

static void
act_set_props(struct req *r, struct actmsg *m)
{
    struct err e = { .code = 0 };

    if (m->value == NULL || !json_is_object(m->value)) {
        err_set(&e, AIS_E_INVAL, "set-bprops: properties to set are missing");
        resp_err(r, -AIS_E_INVAL, &e);
        return;
    }
    set_props(r, m->value);
}

static void
act_reset_props(struct req *r, struct actmsg *m)
{
    UNUSED(m);
    set_props(r, NULL);
}

void
h_proxy_bck_patch(struct req *r)
{
    static const struct action acts[] = {
        { "set-bprops", act_set_props, NULL },
        { "reset-bprops", act_reset_props, NULL },
    };

    if (!still_starting(r, BUCKETS_WAIT))
        act_dispatch(r, acts, ARRAY_SIZE(acts));
}

/* --- HEAD --- */

void
h_proxy_bck_head(struct req *r)
{
    const struct bucket *bk = NULL;
    struct err           e = { .code = 0 };
    struct bck           b;
    struct str           v, uuid = STR_LIT(""), prefix = r->nitems > 1 ? r->item[1] : STR_LIT("");
    bool                 summ = req_query(r, STR_LIT("bsumm_remote"), &v);
    uint64_t             presence;
    int                  rc;

    if (still_starting(r, BUCKETS_WAIT))
        return;
    if (prefix.n > 0 && !summ) {
        rc = err_set(&e, AIS_E_INVAL, "invalid request URI: a prefix needs bsumm_remote");
        resp_err(r, rc, &e);
        return;
    }
    if (req_query(r, STR_LIT("presence"), &v) && !str_u64(v, &presence)) {
        rc = err_set(&e, AIS_E_INVAL, "%s: invalid presence \"%.*s\"", req_node(r)->name, STR_FMT(v));
        resp_err(r, rc, &e);
        return;
    }
    rc = req_bck(r, r->item[0], &b, &bk, &e);
    if (rc == 0)
        rc = access_check(&b, ACC_HEAD_BCK, &e);
    if (rc < 0) {
        resp_err(r, rc, &e);
        return;
    }
    if (summ && relay_to_primary(r)) /* where summaries are */
        return;
    resp_hdr(r, "Ais-Bucket-Props", str_z(bk->head_json));
    if (!summ) {
        resp_empty(r, 200);
        return;
    }
    (void)req_query(r, STR_LIT("uuid"), &uuid);
    summary_head(r, &b, prefix, uuid);
}

/* --- list buckets --- */

void
put_bck_members(struct jw *w, const struct bck *b)
{
    jw_kstr(w, "name", b->name);
    jw_kstrz(w, "provider", provider_name(b->provider));
    jw_key(w, "namespace");
    jw_obj(w);
    jw_kstr(w, "uuid", b->ns_uuid);
    jw_kstr(w, "name", b->ns_name);
    jw_obj_end(w);
}

static void
put_bck(struct jw *w, const struct bck *b)
{
    jw_obj(w);
    put_bck_members(w, b);
    jw_obj_end(w);
}

/* Which buckets: of one provider or of all, of one namespace or of all, of one name or of all. */
struct bck_query {
    bool          all, any_remote, system;
    enum provider provider;
    struct str    ns_uuid, ns_name, name;
};

/* Only what is present? Values 2, 3 and 4 of `presence`. */
static bool
present_only(struct req *r)
{
    struct str v;
    uint64_t   presence = 0;

    return req_query(r, STR_LIT("presence"), &v) && str_u64(v, &presence) && presence >= 2 && presence <= 4;
}

/* Why the buckets of a cloud cannot be listed. */
static int
no_backend(const struct cluster_conf *c, enum provider p, struct err *e)
{
    if (!conf_has_backend(c, p))
        return err_set(e, AIS_E_NOBACKEND, "%s backend is missing in the cluster configuration", provider_title(p));
    err_set(e, AIS_E_NOTIMPL, "cannot initialize %s backend (present in the cluster configuration): not implemented yet",
            provider_title(p));
    return err_tcode(e, "ErrInitBackend");
}

static int
bck_query_read(struct req *r, struct str name, struct bck_query *q, struct err *e)
{
    struct str v = STR_NULL, ns = STR_NULL;

    *q = (struct bck_query){ .provider = PROV_AIS, .name = name, .system = req_query_bool(r, STR_LIT("sys")) };
    q->all = !req_query(r, STR_LIT("provider"), &v) || v.n == 0;
    if (!q->all && !provider_by_name(v, &q->provider))
        return err_set(e, AIS_E_BADPROVIDER, "invalid backend provider \"%.*s\"", STR_FMT(v));
    if (q->provider != PROV_AIS && !present_only(r))
        return no_backend(req_views(r)->conf, q->provider, e);
    (void)req_query(r, STR_LIT("namespace"), &ns);
    q->any_remote = str_eqz(ns, "@");
    ns_parse(ns, &q->ns_uuid, &q->ns_name);
    return bck_ns_check(q->ns_uuid, q->ns_name, e);
}

static bool
bck_query_has(const struct bck_query *q, const struct bck *b)
{
    bool global = q->ns_uuid.n == 0 && q->ns_name.n == 0; /* the global namespace holds all others */

    if ((!q->all && b->provider != q->provider) || (q->name.n > 0 && !str_eq(q->name, b->name)))
        return false;
    if (b->name.n > 0 && b->name.p[0] == '.' && !q->system)
        return false;
    if (q->any_remote)
        return b->ns_uuid.n > 0;
    return global || (str_eq(q->ns_uuid, b->ns_uuid) && str_eq(q->ns_name, b->ns_name));
}

static void
list_buckets(struct req *r, struct str only)
{
    const struct bmd *m = req_views(r)->bmd;
    struct err        e = { .code = 0 };
    struct bck_query  q;
    struct sbuf       out;
    struct jw         w;
    int               rc = bck_query_read(r, only, &q, &e);

    if (rc < 0) {
        resp_err(r, rc, &e);
        return;
    }
    sbuf_init(&out, 64 * MIB);
    jw_init(&w, &out, 0);
    jw_arr(&w);
    for (unsigned i = 0; i < m->n; i++)
        if (bck_query_has(&q, &m->sorted[i]->bck))
            put_bck(&w, &m->sorted[i]->bck);
    jw_arr_end(&w);
    ais_send_json(r, &out);
    sbuf_fini(&out);
}

/* --- GET: list and summary, by action --- */

static void
act_list(struct req *r, struct actmsg *m)
{
    struct err e = { .code = 0 };
    struct str name = r->nitems > 0 ? r->item[0] : STR_LIT("");

    if (m->value != NULL && name.n > 0) {
        list_objects(r, name, m->value);
        return;
    }
    if (m->value != NULL) {
        err_set(&e, AIS_E_INVAL, "bad list-objects request: the bucket is missing");
        resp_err(r, -AIS_E_INVAL, &e);
        return;
    }
    if (name.n > 0 && !str_eq(name, m->name)) {
        err_set(&e, AIS_E_INVAL, "bad list-buckets request: %.*s vs %.*s", STR_FMT(name), STR_FMT(m->name));
        resp_err(r, -AIS_E_INVAL, &e);
        return;
    }
    list_buckets(r, m->name);
}

static void
act_summary(struct req *r, struct actmsg *m)
{
    summary_get(r, r->nitems > 0 ? r->item[0] : STR_LIT(""), m->value);
}

/* No body and nothing that promises one: what a browser or curl sends. */
static bool
list_is_meant(struct req *r)
{
    return r->body.n == 0 && !str_istarts(req_hdr(r, STR_LIT("Content-Type")), STR_LIT("application/json"));
}

static void
list_plain(struct req *r)
{
    json_t *empty = json_object();

    if (r->nitems == 0)
        list_buckets(r, STR_LIT(""));
    else
        list_objects(r, r->item[0], empty);
    json_decref(empty);
}

void
h_proxy_bck_get(struct req *r)
{
    static const struct action acts[] = {
        { "list", act_list, NULL },
        { "summary-bck", act_summary, NULL },
        { "summary-shard", NULL, "shard index" },
        { "show-inventory", NULL, "bucket inventory" },
    };

    if (still_starting(r, BUCKETS_WAIT))
        return;
    if (list_is_meant(r))
        list_plain(r);
    else
        act_dispatch(r, acts, ARRAY_SIZE(acts));
}
