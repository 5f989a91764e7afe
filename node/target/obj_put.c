/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Object PUT on a target, and what else comes as a PUT: copies, parts, appends.
 *
 * The body is pulled from the connection straight into the store's writer; nothing is acknowledged before the commit.
 *
 * Runs on: the request's fiber. May park. Wire: native-api.md 4.1; golden/wire/object-put*.
 */
#include "base/util.h"
#include "codec/jw.h"
#include "target/target_impl.h"

static int
put_chunk(struct req *r, const struct objreq *o, struct str id, unsigned num, uint64_t len, struct err *e)
{
    struct put_attrs a = { .length = (int64_t)len };
    struct put      *p;
    uint64_t         got;
    int              rc;

    rc = mpt_part(req_node(r)->store, &o->b, o->name, id, num, &a, &p, e);
    if (rc < 0)
        return rc;
    rc = body_to_put(r, p, len, &got, e);
    if (rc == 0 && got < len)
        rc = err_set(e, AIS_E_BADREQ, "the body is shorter than announced");
    if (rc < 0) {
        put_abort(p);
        return rc;
    }
    return put_commit(p, NULL, e);
}

/* Bodies larger than the bucket's max_monolithic become chunked objects, as if the client had sent parts. */
static int
put_chunked(struct req *r, const struct objreq *o, const struct put_attrs *a, struct obj **out, struct err *e)
{
    struct store        *s = req_node(r)->store;
    uint64_t             total = (uint64_t)a->length, size = o->b.chunk_size;
    unsigned             n = (unsigned)MIN((total + size - 1) / size, UFEST_MAX_CHUNKS + 1), i;
    struct mpt_part_ref *refs;
    char                 id[40];
    int                  rc;

    if (n > UFEST_MAX_CHUNKS)
        return err_set(e, AIS_E_TOOBIG, "more than %d chunks of %" PRIu64 " bytes", UFEST_MAX_CHUNKS, size);
    refs = arena_zalloc(r->arena, n * sizeof(*refs));
    if (refs == NULL)
        return err_set(e, AIS_E_NOMEM, "no memory for a list of %u chunks", n);
    rc = mpt_create(s, &o->b, o->name, a, id, e);
    if (rc < 0)
        return rc;
    for (i = 0; rc == 0 && i < n; i++) {
        refs[i].num = i + 1;
        rc = put_chunk(r, o, str_z(id), i + 1, MIN(size, total - i * size), e);
    }
    if (rc == 0)
        rc = belong_still(r, &o->b, o->name, e);
    if (rc == 0)
        rc = mpt_complete_as(s, &o->b, o->name, str_z(id), refs, n, &(struct put_attrs){ .length = -1, .prior = a->prior }, out, e);
    if (rc < 0)
        mpt_abort(s, &o->b, o->name, str_z(id), NULL);
    return rc;
}

static int
put_whole(struct req *r, const struct objreq *o, const struct put_attrs *a, struct obj **out, struct err *e)
{
    struct put *p;
    uint64_t    nbytes;
    int         rc;

    rc = put_begin(req_node(r)->store, &o->b, o->name, a, &p, e);
    if (rc < 0)
        return rc;
    rc = body_to_put(r, p, UINT64_MAX, &nbytes, e);
    if (rc == 0)
        rc = belong_still(r, &o->b, o->name, e);
    if (rc < 0) {
        put_abort(p);
        return rc;
    }
    return put_commit(p, out, e);
}

/* Versions go on where a former owner's stopped, if that can be learnt: who is down keeps nobody from writing. */
static uint64_t
version_away(struct req *r, const struct objreq *o)
{
    struct copier c = copier_of(r);
    struct err    e = { .code = 0 };
    uint64_t      version = 0;
    bool          there;

    if (o->b.versioning)
        (void)obj_look_away(&c, &o->b, o->name, &there, &version, &e);
    return version;
}

static void
put_object(struct req *r, struct objreq *o)
{
    struct node     *n = req_node(r);
    struct put_attrs a;
    struct obj      *obj = NULL;
    struct err       e = { .code = 0 };
    int              rc;

    rc = attrs_from_headers(r, &a, &e);
    if (rc < 0)
        return resp_err(r, rc, &e);
    a.prior = version_away(r, o);
    a.skip_vc = o->b.skip_vc || o->q.skip_vc;
    a.same_is_noop = !a.skip_vc;
    if (o->b.max_monolithic > 0 && o->b.chunk_size > 0 && a.length > 0 && (uint64_t)a.length > o->b.max_monolithic)
        rc = put_chunked(r, o, &a, &obj, &e);
    else
        rc = put_whole(r, o, &a, &obj, &e);
    if (rc < 0) {
        cksum_context(&e, obj_display(r, &o->b, o->name));
        count_error(n, rc, STAT_ERR_PUT_N, STAT_ERR_IO_PUT_N);
        return objreq_refuse(r, rc, &e);
    }
    frag_outdated(r, &o->b, o->name);
    stat_inc(n->stats, STAT_PUT_N);
    stat_add(n->stats, STAT_PUT_SIZE, obj_info(obj)->size);
    stat_add(n->stats, STAT_PUT_NS_TOTAL, (uint64_t)(clock_mono() - r->start));
    attrs_to_headers(r, obj_info(obj), NULL);
    resp_empty(r, 200);
    obj_close(obj);
}

/* object_to: a copy under another name or in another bucket, made where the copy belongs. */
static void
put_copy(struct req *r, struct objreq *o)
{
    struct err  e = { .code = 0 };
    struct bck  id, to;
    struct str  name;
    struct obj *obj = NULL;
    const struct bucket *bk;
    struct copier c = copier_of(r);
    int         rc;

    if (o->q.etl_name.n > 0)
        return h_not_implemented(r, "inline transformation (etl_name)");
    rc = uname_parse(o->q.object_to, &id, &name, &e);
    if (rc == 0)
        rc = obj_name_check(name, false, &e);
    if (rc < 0)
        return resp_err(r, rc, &e);
    bk = bmd_find(req_views(r)->bmd, &id);
    if (bk == NULL)
        return resp_err(r, err_nobck(&e, &id), &e);
    to = bk->bck;
    rc = obj_open_or_restore(r, o, 0, &obj, &e);
    if (rc == -AIS_E_NOOBJ)
        err_noobj(r, &e, &o->b, o->name);
    if (rc == 0)
        rc = obj_copy_to(&c, obj, &to, name, &e);
    obj_close(obj);
    if (rc < 0)
        return resp_err(r, rc, &e);
    resp_empty(r, 200);
}

void
h_target_obj_put(struct req *r)
{
    struct objreq o;
    struct err    e = { .code = 0 };
    int           rc;

    rc = objreq_init(r, &o, false, &e);
    if (rc < 0)
        return objreq_refuse(r, rc, &e);
    if (o.q.object_to.n > 0)
        return put_copy(r, &o);
    if (o.q.upload_id.n > 0)
        return put_part(r, &o);
    if (o.q.archpath.n > 0)
        return h_not_implemented(r, "writing to archives (archpath)");
    if (o.q.append_type.n > 0)
        return put_append(r, &o);
    put_object(r, &o);
}
