/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Easy URLs: /ais, /ais/BUCKET, /ais/BUCKET/OBJECT, and the same for gs and az.
 *
 * Runs on: the request's fiber.
 * Wire:    native-api.md 1.4. (The original drops slashes inside the object's name there; we keep them.)
 */
#include <jansson.h>

#include "base/util.h"
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

void
h_proxy_easy(struct req *r)
{
    struct str scheme, bck = STR_LIT(""), obj = STR_LIT(""), rest = r->path;
    struct err e = { .code = 0 };

    while (rest.n > 0 && rest.p[0] == '/')
        rest = str_from_off(rest, 1);
    (void)str_split(&rest, '/', &scheme);
    if (rest.n > 0)
        (void)str_split(&rest, '/', &bck);
    if (rest.n > 0)
        obj = rest;
    r->query_raw = easy_query(r, scheme);
    if (obj.n > 0) {
        struct sbuf path;

        sbuf_init(&path, 64 * KIB);
        sbuf_putz(&path, "/v1/objects/");
        sbuf_puts(&path, bck);
        sbuf_putc(&path, '/');
        sbuf_puts(&path, obj);
        r->path = arena_str(r->arena, sbuf_str(&path));
        sbuf_fini(&path);
        redirect_object(r, bck, obj, r->path, r->query_raw);
        return;
    }
    if (r->method != M_GET) {
        err_set(&e, AIS_E_INVAL, "%s of an easy URL needs an object name: \"%.*s\"", method_name(r->method),
                STR_FMT(r->path));
        resp_err(r, -AIS_E_INVAL, &e);
        return;
    }
    if (bck.n == 0) {
        list_buckets(r, STR_LIT(""));
    } else {
        json_t *empty = json_object();

        list_objects(r, bck, empty);
        json_decref(empty);
    }
}
