/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multipart upload on a target: create, part, complete, abort.
 *
 * Runs on: the request's fiber. May park. Wire: native-api.md 4.9, jobs-and-services.md 5; golden/wire/mpt-*.
 */
#include <jansson.h>

#include "base/util.h"
#include "codec/jw.h"
#include "target/target_impl.h"

/* An upload that nobody knows: 404 with the name, which the SDK looks for. */
static void
unknown_upload(struct req *r, struct objreq *o, struct err *e)
{
    struct str name = obj_display(r, &o->b, o->name);

    err_clear(e);
    err_set(e, AIS_E_NOENT, "%.*s: %.*s does not exist", STR_FMT(name), STR_FMT(o->q.upload_id));
}

static int
part_number(struct req *r, struct objreq *o, unsigned *num, struct err *e)
{
    struct str name = obj_display(r, &o->b, o->name);
    int64_t    v;

    if (!str_i64(o->q.part_num, &v))
        return err_set(e, AIS_E_BADREQ, "%.*s: invalid part number \"%.*s\" for uploadID \"%.*s\"", STR_FMT(name),
                       STR_FMT(o->q.part_num), STR_FMT(o->q.upload_id));
    if (v < 1 || v > UFEST_MAX_CHUNKS) {
        err_set(e, AIS_E_INTERNAL, "chunk-manifest[%.*s, id=%.*s]: invalid chunk number (%" PRId64 ")", STR_FMT(name),
                STR_FMT(o->q.upload_id), v);
        return -AIS_E_INTERNAL;
    }
    *num = (unsigned)v;
    return 0;
}

static int
part_store(struct req *r, struct objreq *o, uint64_t *nbytes, struct err *e)
{
    struct put_attrs a;
    struct put      *p;
    unsigned         num = 0;
    int              rc;

    rc = part_number(r, o, &num, e);
    if (rc == 0)
        rc = attrs_from_headers(r, &a, e);
    if (rc < 0)
        return rc;
    if (a.length <= 0)
        return err_set(e, AIS_E_BADREQ, "%.*s: put-part invalid size (%" PRId64 ")", STR_FMT(obj_display(r, &o->b, o->name)),
                       a.length);
    rc = mpt_part(req_node(r)->store, &o->b, o->name, o->q.upload_id, num, &a, &p, e);
    if (rc == -AIS_E_NOENT)
        unknown_upload(r, o, e);
    if (rc < 0)
        return rc;
    rc = body_to_put(r, p, UINT64_MAX, nbytes, e);
    if (rc < 0) {
        put_abort(p);
        return rc;
    }
    return put_commit(p, NULL, e);
}

void
put_part(struct req *r, struct objreq *o)
{
    struct node *n = req_node(r);
    struct err   e = { .code = 0 };
    uint64_t     nbytes = 0;
    int          rc;

    rc = part_store(r, o, &nbytes, &e);
    if (rc < 0) {
        cksum_context(&e, obj_display(r, &o->b, o->name));
        count_error(n, rc, STAT_ERR_PUT_N, STAT_ERR_IO_PUT_N);
        return resp_err(r, rc, &e);
    }
    stat_add(n->stats, STAT_PUT_SIZE, nbytes);
    stat_add(n->stats, STAT_PUT_NS_TOTAL, (uint64_t)(clock_mono() - r->start));
    resp_empty(r, 200);
}

void
act_mpt_upload(struct req *r, struct objreq *o, const struct actmsg *m)
{
    struct put_attrs a;
    struct err       e = { .code = 0 };
    char             id[40];
    int              rc;

    (void)m;
    rc = attrs_from_headers(r, &a, &e);
    a.length = -1;
    a.expect.type = CKSUM_NONE; /* parts have checksums of their own */
    if (rc == 0)
        rc = mpt_create(req_node(r)->store, &o->b, o->name, &a, id, &e);
    if (rc < 0)
        return resp_err(r, rc, &e);
    ais_send_text(r, str_z(id));
}

/* [{"part-number":1,"etag":""},...] */
static int
parts_read(struct req *r, const json_t *value, struct mpt_part_ref **out, unsigned *n, struct err *e)
{
    struct mpt_part_ref *refs;
    const json_t        *v, *tag;
    uint64_t             num;
    size_t               i;

    if (value == NULL || json_is_null(value))
        return err_set(e, AIS_E_BADREQ, "nil parts list");
    if (!json_is_array(value) || json_array_size(value) > UFEST_MAX_CHUNKS)
        return err_set(e, AIS_E_BADREQ, "invalid parts list");
    *n = (unsigned)json_array_size(value);
    refs = arena_zalloc(r->arena, (*n + 1) * sizeof(*refs));
    if (refs == NULL)
        return err_set(e, AIS_E_TOOBIG, "too many parts");
    for (i = 0; i < *n; i++) {
        v = json_array_get(value, i);
        if (!json_is_object(v) || !json_u64(json_get_fold(v, "part-number"), &num) || num > UINT32_MAX)
            return err_set(e, AIS_E_BADREQ, "invalid part number at position %zu", i);
        refs[i].num = (unsigned)num;
        tag = json_get_fold(v, "etag");
        if (json_is_string(tag))
            refs[i].etag = str_from(json_string_value(tag), json_string_length(tag));
    }
    *out = refs;
    return 0;
}

void
act_mpt_complete(struct req *r, struct objreq *o, const struct actmsg *m)
{
    struct node         *n = req_node(r);
    struct err           e = { .code = 0 };
    struct mpt_part_ref *refs = NULL;
    struct copier        c = copier_of(r);
    unsigned             nrefs = 0;
    int                  rc;

    rc = parts_read(r, m->value, &refs, &nrefs, &e);
    if (rc == 0 && o->b.versioning)
        rc = obj_settle(&c, &o->b, o->name, &e);
    if (rc == 0)
        rc = mpt_complete(n->store, &o->b, o->name, o->q.upload_id, refs, nrefs, NULL, &e);
    if (rc == -AIS_E_NOENT)
        unknown_upload(r, o, &e);
    if (rc < 0) {
        count_error(n, rc, STAT_ERR_PUT_N, STAT_ERR_IO_PUT_N);
        return resp_err(r, rc, &e);
    }
    frag_outdated(r, &o->b, o->name);
    stat_inc(n->stats, STAT_PUT_N);
    resp_empty(r, 200);
}

void
act_mpt_abort(struct req *r, struct objreq *o)
{
    struct err e = { .code = 0 };
    int        rc;

    rc = mpt_abort(req_node(r)->store, &o->b, o->name, o->q.upload_id, &e);
    if (rc == -AIS_E_NOENT) {
        err_clear(&e);
        err_set(&e, AIS_E_NOENT, "failed to load partial chunk-manifest[%.*s, id=%.*s]: no such file or directory",
                STR_FMT(obj_display(r, &o->b, o->name)), STR_FMT(o->q.upload_id));
        err_tcode(&e, "wrapError");
    }
    if (rc < 0)
        return resp_err(r, rc, &e);
    resp_empty(r, 200);
}
