/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Object HEAD on a target: v1 (everything) and v2 (the properties that `props` names).
 *
 * Runs on: the request's fiber. May park. Wire: native-api.md 4.3, 4.4; golden/wire/object-head*, mpt-head.
 */
#include "base/units.h"
#include "base/util.h"
#include "target/target_impl.h"

/* Values of `presence`. */
enum { FLT_EXISTS, FLT_EXISTS_NO_PROPS, FLT_PRESENT, FLT_PRESENT_NO_PROPS, FLT_PRESENT_CLUSTER, FLT_OUTSIDE };

struct head {
    struct req            *r;
    const struct objreq   *o;
    const struct obj_info *oi;
};

static void
head_copies(struct req *r, const struct obj_info *oi, bool brackets)
{
    const char *path = store_mpath_path(req_node(r)->store, oi->mpath);

    resp_hdr_u64(r, "Ais-Mirror-Copies", oi->copies);
    resp_hdrf(r, "Ais-Mirror-Paths", "%s%s%s", brackets ? "[" : "", path, brackets ? "]" : "");
}

static void
head_v1(struct head *h)
{
    struct req *r = h->r;

    attrs_to_headers(r, h->oi, NULL);
    resp_hdr(r, "Ais-Bucket-Name", h->o->b.name);
    resp_hdr(r, "Ais-Bucket-Provider", str_z(provider_name(h->o->b.provider)));
    if (h->o->b.ns_uuid.n > 0)
        resp_hdr(r, "Ais-Bucket-Namespace-Uuid", h->o->b.ns_uuid);
    if (h->o->b.ns_name.n > 0)
        resp_hdr(r, "Ais-Bucket-Namespace-Name", h->o->b.ns_name);
    resp_hdr(r, "Ais-Name", h->o->name);
    resp_hdr(r, "Ais-Location", mpath_place(req_node(r), h->oi->mpath));
    head_copies(r, h->oi, true);
    resp_hdr(r, "Ais-Present", STR_LIT("true"));
}

/* --- v2: one function a property --- */

typedef void prop_f(struct head *h);

static void
prop_none(struct head *h)
{
    (void)h; /* name and size are always there; ec: nothing for objects that are not erasure-coded */
}

static void
prop_checksum(struct head *h)
{
    cksum_to_headers(h->r, &h->oi->cksum);
}

static void
prop_atime(struct head *h)
{
    if (obj_info_atime(h->oi) != 0)
        resp_hdr_u64(h->r, "Ais-Atime", (uint64_t)obj_info_atime(h->oi));
}

static void
prop_version(struct head *h)
{
    if (h->oi->version.n > 0)
        resp_hdr(h->r, "Ais-Version", h->oi->version);
}

static void
prop_custom(struct head *h)
{
    custom_to_headers(h->r, h->oi, false);
}

static struct str
custom_value(const struct obj_info *oi, const char *key)
{
    unsigned i;

    for (i = 0; i < oi->ncustom; i++)
        if (str_eqz(oi->custom[i].k, key))
            return oi->custom[i].v;
    return STR_NULL;
}

static void
prop_last_modified(struct head *h)
{
    struct str v = custom_value(h->oi, "Last-Modified");
    char       buf[UNITS_MAX];

    if (v.n == 0)
        v = str_from(buf, time_http(h->oi->mtime_ns, buf));
    resp_hdr(h->r, "Last-Modified", v);
}

/* The custom one, else the content's MD5, else made of checksum and time; none without a checksum. */
static void
prop_etag(struct head *h)
{
    const struct cksum *c = &h->oi->cksum;
    struct str          v = custom_value(h->oi, "ETag");
    char                mtime[72];

    if (v.n > 0)
        resp_hdrf(h->r, "ETag", "\"%.*s\"", STR_FMT(v));
    else if (c->type == CKSUM_NONE || c->value[0] == '\0')
        return;
    else if (c->type == CKSUM_MD5 && h->oi->nchunks == 0)
        resp_hdrf(h->r, "ETag", "\"%s\"", c->value);
    else {
        str_from_u64((uint64_t)h->oi->mtime_ns, 36, mtime);
        resp_hdrf(h->r, "ETag", "\"v1-%s-%s\"", c->value, mtime);
    }
}

static void
prop_location(struct head *h)
{
    resp_hdr(h->r, "Ais-Location", mpath_place(req_node(h->r), h->oi->mpath));
}

static void
prop_copies(struct head *h)
{
    head_copies(h->r, h->oi, false);
}

static void
prop_chunked(struct head *h)
{
    if (h->oi->nchunks == 0)
        return;
    resp_hdr_u64(h->r, "Ais-Chunks-Count", h->oi->nchunks);
    resp_hdr_u64(h->r, "Ais-Chunks-Max-Chunk-Size", h->oi->max_chunk);
}

/* clang-format off */
static const struct {
    const char *name;
    prop_f     *fn;
} props[] = {
    { "name",          prop_none },
    { "size",          prop_none },
    { "checksum",      prop_checksum },
    { "atime",         prop_atime },
    { "version",       prop_version },
    { "custom",        prop_custom },
    { "last-modified", prop_last_modified },
    { "etag",          prop_etag },
    { "location",      prop_location },
    { "copies",        prop_copies },
    { "ec",            prop_none },
    { "chunked",       prop_chunked },
};
/* clang-format on */

#define PROPS_MAX 32

/* All names first, so that a bad one finds no header written. */
static int
props_find(struct str text, prop_f *fns[PROPS_MAX], unsigned *nfns, struct err *e)
{
    struct str tok;
    unsigned   i;

    *nfns = 0;
    while (str_split(&text, ',', &tok)) {
        tok = str_trim(tok);
        if (tok.n == 0)
            continue;
        for (i = 0; i < ARRAY_SIZE(props) && !str_eqz(tok, props[i].name); i++)
            ;
        if (i == ARRAY_SIZE(props) || *nfns == PROPS_MAX)
            return err_set(e, AIS_E_BADREQ, "invalid property \"%.*s\" in props list", STR_FMT(tok));
        fns[(*nfns)++] = props[i].fn;
    }
    return 0;
}

static int
head_v2(struct head *h, struct err *e)
{
    prop_f  *fns[PROPS_MAX];
    unsigned n, i, k;
    int      rc;

    rc = props_find(h->o->q.props, fns, &n, e);
    if (rc < 0)
        return rc;
    resp_hdr(h->r, "Ais-Present", STR_LIT("true"));
    for (i = 0; i < n; i++) {
        for (k = 0; k < i && fns[k] != fns[i]; k++)
            ;
        if (k == i) /* a property named twice is answered once */
            fns[i](h);
    }
    return 0;
}

static int
head_answer(struct req *r, const struct objreq *o, const struct obj_info *oi, struct err *e)
{
    struct head h = { r, o, oi };
    uint64_t    presence = FLT_EXISTS;
    int         rc;

    if (o->q.presence.n > 0 && !str_u64(o->q.presence, &presence))
        return err_set(e, AIS_E_BADREQ, "%s: invalid presence \"%.*s\"", req_node(r)->name, STR_FMT(o->q.presence));
    if (presence == FLT_OUTSIDE)
        return err_set(e, AIS_E_BADREQ, "%.*s is present (vs requested 'flt-outside'(%d))",
                       STR_FMT(obj_display(r, &o->b, o->name)), FLT_OUTSIDE);
    if (presence == FLT_EXISTS_NO_PROPS || presence == FLT_PRESENT_NO_PROPS) {
        resp_empty(r, 200);
        return 0;
    }
    if (o->q.props.n > 0) {
        rc = head_v2(&h, e);
        if (rc < 0)
            return rc;
    } else {
        head_v1(&h);
    }
    rc = resp_start(r, 200, (int64_t)oi->size);
    return rc < 0 ? rc : resp_end(r);
}

void
h_target_obj_head(struct req *r)
{
    struct node  *n = req_node(r);
    struct objreq o;
    struct obj   *obj = NULL;
    struct err    e = { .code = 0 };
    int           rc;

    rc = objreq_init(r, &o, true, &e);
    if (rc < 0)
        return objreq_refuse(r, rc, &e);
    rc = obj_open_or_restore(r, &o, OBJ_NO_FD | OBJ_NO_LRU, &obj, &e);
    if (rc == 0 || rc == -AIS_E_NOOBJ)
        frag_say(r, &o, rc == 0);
    if (rc == 0)
        rc = head_answer(r, &o, obj_info(obj), &e);
    else if (rc == -AIS_E_NOOBJ)
        err_noobj(r, &e, &o.b, o.name);
    if (rc < 0) {
        resp_err(r, rc, &e);
    } else {
        stat_inc(n->stats, STAT_HEAD_N);
        stat_add(n->stats, STAT_HEAD_NS_TOTAL, (uint64_t)(clock_mono() - r->start));
    }
    obj_close(obj);
}
