/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Easy URLs: /ais, /ais/BUCKET, /ais/BUCKET/OBJECT, and the same for gs and az: the /v1 request that they stand for, answered here.
 *
 * Runs on: the request's fiber. May park.
 * Wire:    native-api.md 1.4. (The original drops slashes inside the object's name there; we keep them.)
 */
#include "base/util.h"
#include "codec/url.h"
#include "proxy/proxy_impl.h"

/* The query with the scheme's provider, unless it names one. */
static struct str
easy_query(struct req *r, struct str scheme)
{
    enum provider p = PROV_AIS;
    struct str    v;

    (void)provider_by_name(scheme, &p);
    if (req_query(r, STR_LIT("provider"), &v))
        return r->query_raw;
    return arena_printf(r->arena, "provider=%s%s%.*s", provider_name(p), r->query_raw.n > 0 ? "&" : "",
                        STR_FMT(r->query_raw));
}

static void
easy_object(struct req *r, struct str bck, struct str obj)
{
    struct sbuf raw;

    r->path = arena_printf(r->arena, "/v1/objects/%.*s/%.*s", STR_FMT(bck), STR_FMT(obj));
    sbuf_init(&raw, 64 * KIB);
    url_encode_path(&raw, r->path);
    r->path_raw = arena_str(r->arena, sbuf_str(&raw));
    sbuf_fini(&raw);
    r->item[1] = obj;
    r->nitems = 2;
    if (r->method == M_POST)
        h_proxy_obj_post(r);
    else
        h_proxy_obj_redirect(r);
}

static void
easy_put_bucket(struct req *r)
{
    struct err e = { .code = 0 };

    err_set(&e, AIS_E_INVAL, "missing destination object name in the \"easy URL\"");
    resp_err(r, -AIS_E_INVAL, &e);
}

static void
easy_bucket(struct req *r)
{
    static const struct {
        enum method method;
        handler_f  *fn;
    } table[] = {
        { M_GET, h_proxy_bck_get },       { M_HEAD, h_proxy_bck_head },   { M_PUT, easy_put_bucket },
        { M_DELETE, h_proxy_bck_delete }, { M_PATCH, h_proxy_bck_patch }, { M_POST, h_proxy_bck_post },
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (table[i].method == r->method)
            table[i].fn(r);
}

void
h_proxy_easy(struct req *r)
{
    struct str scheme, bck = STR_LIT(""), obj = STR_LIT(""), rest = r->path;

    while (rest.n > 0 && rest.p[0] == '/')
        rest = str_from_off(rest, 1);
    (void)str_split(&rest, '/', &scheme);
    if (rest.n > 0)
        (void)str_split(&rest, '/', &bck);
    if (rest.n > 0)
        obj = rest;
    r->query_raw = easy_query(r, scheme);
    r->item[0] = bck;
    r->nitems = bck.n > 0 ? 1 : 0;
    if (obj.n > 0) {
        easy_object(r, bck, obj);
        return;
    }
    r->path = bck.n == 0 ? STR_LIT("/v1/buckets") : arena_printf(r->arena, "/v1/buckets/%.*s", STR_FMT(bck));
    easy_bucket(r);
}
