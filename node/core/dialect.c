/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AIStore's dialect of HTTP: error documents, JSON and text answers, action messages, how a bucket is named in a request.
 *
 * Runs on: the request's fiber. Only the senders park. Wire: native-api.md 2.1, 2.2, 2.6, 3.1.
 */
#include <jansson.h>

#include "base/util.h"
#include "codec/jw.h"
#include "core/core_impl.h"
#include "core/node.h"

#define DOC_MAX (64 * KIB)

/* --- errors --- */
static void
err_doc(struct req *r, const struct err *e, struct jw *w)
{
    struct str caller = req_hdr(r, STR_LIT("Ais-Caller-Name"));

    jw_obj(w);
    if (e->tcode[0] != '\0')
        jw_kstrz(w, "tcode", e->tcode);
    jw_kstrz(w, "message", e->text);
    jw_kstrz(w, "method", method_name(r->method));
    jw_kstr(w, "url_path", r->path);
    jw_kstr(w, "remote_addr", req_remote(r));
    jw_kstr(w, "caller", caller);
    jw_kstrz(w, "node", req_node(r)->name);
    jw_ki64(w, "status", e->status);
    jw_obj_end(w);
}

void
ais_render_err(struct req *r, int rc, struct err *e)
{
    struct err  own = { .code = 0 };
    struct sbuf b;
    struct jw   w;

    if (e == NULL)
        e = &own;
    err_fill(e, rc);
    sbuf_init(&b, DOC_MAX);
    jw_init(&w, &b, 0);
    err_doc(r, e, &w);
    resp_hdr(r, "X-Content-Type-Options", STR_LIT("nosniff"));
    if (e->status == 503)
        resp_hdr(r, "Retry-After", STR_LIT("1"));
    if (r->method == M_HEAD) {
        if (sbuf_ok(&b))
            resp_hdr(r, "Hdr-Error", sbuf_str(&b));
        resp_send(r, e->status, "application/json", STR_NULL);
    } else {
        sbuf_putc(&b, '\n');
        resp_send(r, e->status, "application/json", sbuf_ok(&b) ? sbuf_str(&b) : STR_NULL);
    }
    sbuf_fini(&b);
}

int
err_nobck(struct err *e, const struct bck *b)
{
    char disp[BCK_DISPLAY_MAX];

    return err_set(e, bck_is_local(b) ? AIS_E_NOBCK : AIS_E_NORBCK, "bucket \"%s\" does not exist", bck_display(b, disp));
}

int
err_not_remote(struct err *e, const char *what, const struct bck *b)
{
    char disp[BCK_DISPLAY_MAX];

    err_set(e, AIS_E_BADREQ, "%s: expecting remote bucket (have %s)", what, bck_display(b, disp));
    return err_tcode(e, "ErrNotRemoteBck");
}

int
err_noobj(struct req *r, struct err *e, const struct bck *b, struct str name)
{
    char disp[BCK_DISPLAY_MAX];

    return err_set(e, AIS_E_NOOBJ, "%s: %s/%.*s does not exist", req_node(r)->name, bck_display(b, disp),
                   (int)MIN(name.n, (size_t)700), name.p);
}

void
h_not_implemented(struct req *r, const char *feature)
{
    struct err e;

    err_set(&e, AIS_E_NOTIMPL, "%s is not implemented yet", feature);
    resp_err(r, -AIS_E_NOTIMPL, &e);
}

/* --- answers --- */
bool
req_is_browser(const struct req *r)
{
    return str_starts(req_hdr(r, STR_LIT("User-Agent")), STR_LIT("Mozilla/5.0"));
}

void
ais_send_json(struct req *r, struct sbuf *json)
{
    struct sbuf pretty;

    sbuf_init(&pretty, 512 * MIB);
    if (req_is_browser(r)) {
        resp_hdr(r, "Strict-Transport-Security", STR_LIT("max-age=31536000; includeSubDomains"));
        json_indent(sbuf_str(json), 4, &pretty);
        json = &pretty;
    }
    sbuf_putc(json, '\n');
    if (!sbuf_ok(json)) {
        resp_err(r, -AIS_E_NOMEM, NULL);
        sbuf_fini(&pretty);
        return;
    }
    resp_send(r, 200, "application/json; charset=utf-8", sbuf_str(json));
    sbuf_fini(&pretty);
}

void
ais_send_text(struct req *r, struct str text)
{
    resp_send(r, 200, "text/plain; charset=utf-8", text);
}

/* --- action messages --- */
int
actmsg_read(struct req *r, struct actmsg *m, struct err *e)
{
    json_t *v;
    int     rc;

    memset(m, 0, sizeof(*m));
    if (r->body.n == 0)
        return err_set(e, AIS_E_BADREQ, "%s: failed to unmarshal [*apc.ActMsg] (%s), err: the request has no body",
                       req_node(r)->name, method_name(r->method));
    rc = json_read(r->body, &m->root, e);
    if (rc == 0 && !json_is_object(m->root))
        rc = err_set(e, AIS_E_BADREQ, "expecting an object");
    if (rc < 0) {
        actmsg_free(m);
        return rc == -AIS_E_BADREQ
                   ? err_wrap(e, "%s: failed to unmarshal [*apc.ActMsg] (%s), err", req_node(r)->name, method_name(r->method))
                   : rc;
    }
    v = json_get_fold(m->root, "action");
    if (json_is_string(v))
        m->action = str_from(json_string_value(v), json_string_length(v));
    v = json_get_fold(m->root, "name");
    if (json_is_string(v))
        m->name = str_from(json_string_value(v), json_string_length(v));
    v = json_get_fold(m->root, "value");
    m->value = v == NULL || json_is_null(v) ? NULL : v;
    return 0;
}

void
actmsg_free(struct actmsg *m)
{
    json_decref(m->root);
    memset(m, 0, sizeof(*m));
}

/* --- buckets --- */
static int
provider_of(struct str s, enum provider *out, struct err *e)
{
    *out = PROV_AIS;
    if (s.n == 0 || provider_by_name(s, out))
        return 0;
    return err_set(e, AIS_E_BADPROVIDER, "invalid backend provider \"%.*s\"", (int)MIN(s.n, (size_t)64), s.p);
}

int
req_bck_id(struct req *r, struct str name, struct bck *out, struct err *e)
{
    struct str prov = STR_NULL, ns = STR_NULL;
    int        rc;

    memset(out, 0, sizeof(*out));
    req_query(r, STR_LIT("provider"), &prov);
    req_query(r, STR_LIT("namespace"), &ns);
    rc = provider_of(prov, &out->provider, e);
    if (rc == 0)
        rc = bck_name_check(name, e);
    if (rc < 0)
        return rc;
    out->name = name;
    ns_parse(ns, &out->ns_uuid, &out->ns_name);
    return bck_ns_check(out->ns_uuid, out->ns_name, e);
}

int
req_bck(struct req *r, struct str name, struct bck *out, const struct bucket **bk, struct err *e)
{
    const struct bucket *found;
    struct bck           id;
    int                  rc = req_bck_id(r, name, &id, e);

    if (rc < 0)
        return rc;
    found = bmd_find(req_views(r)->bmd, &id);
    if (found == NULL)
        return err_nobck(e, &id);
    *out = found->bck;
    if (bk != NULL)
        *bk = found;
    return 0;
}

int
uname_parse(struct str uname, struct bck *b, struct str *object, struct err *e)
{
    struct str rest = uname, prov, ns, name;
    int        rc;

    memset(b, 0, sizeof(*b));
    if (!str_split(&rest, '/', &prov) || !str_split(&rest, '/', &ns) || !str_split(&rest, '/', &name))
        return err_set(e, AIS_E_INVAL, "invalid bucket uname \"%.*s\" (expecting provider/@uuid#namespace/bucket/[object])",
                       (int)MIN(uname.n, (size_t)256), uname.p);
    rc = provider_of(prov, &b->provider, e);
    if (rc == 0)
        rc = bck_name_check(name, e);
    if (rc < 0)
        return rc;
    ns_parse(ns, &b->ns_uuid, &b->ns_name);
    rc = bck_ns_check(b->ns_uuid, b->ns_name, e);
    if (rc < 0)
        return rc;
    b->name = name;
    *object = rest.p != NULL ? rest : STR_LIT("");
    return 0;
}
