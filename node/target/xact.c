/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs of this target, for its proxies: start, stop, query.
 *
 * Runs on: the request's fiber. May park.
 * Wire:    GET and PUT /v1/xactions on the control network (jobs-and-services.md 1.3, 1.4)
 */
#include <jansson.h>

#include "base/util.h"
#include "codec/jw.h"
#include "target/target_impl.h"
#include "xact/msg.h"

#define SNAPS_MAX (64 * MIB)

/* --- GET --- */

static void
send_or_fail(struct req *r, int rc, struct sbuf *out, struct err *e)
{
    if (rc == 0 && !sbuf_ok(out))
        rc = -AIS_E_TOOBIG;
    if (rc < 0)
        resp_err(r, rc, e);
    else
        ais_send_json(r, out);
    sbuf_fini(out);
}

static int
what_unknown(struct str what, struct err *e)
{
    return err_set(e, AIS_E_BADREQ, "unexpected query [what=%.*s]", STR_FMT(what));
}

/* ?what=getxstats&uuid=ID: one Snap. */
static void
get_one(struct req *r, struct str what, struct str id)
{
    struct err   e = { .code = 0 };
    struct sbuf  out;
    struct jw    w;
    struct xact *x = NULL;
    int          rc = 0;

    sbuf_init(&out, SNAPS_MAX);
    if (!str_eqz(what, "getxstats"))
        rc = what_unknown(what, &e);
    else if (!xid_valid(id))
        rc = err_set(&e, AIS_E_BADREQ, "invalid xaction (job) UUID \"%.*s\"", STR_FMT(id));
    if (rc == 0) {
        x = xreg_find(req_node(r)->jobs, id);
        if (x == NULL)
            rc = err_set(&e, AIS_E_NOXACT, "xaction [%.*s] not found", STR_FMT(id));
    }
    if (x != NULL) {
        jw_init(&w, &out, 0);
        xact_snap(x, &w);
        xact_put(x);
    }
    send_or_fail(r, rc, &out, &e);
}

static int
query(struct req *r, const struct xmsg *m, struct sbuf *out, struct err *e)
{
    const struct bucket *bk = NULL;
    struct xfilter       f = { .id = m->id, .kind = m->kind };
    struct jw            w;

    if (m->has_bck) {
        bk = bmd_find(req_views(r)->bmd, &m->bck);
        if (bk == NULL)
            return err_nobck(e, &m->bck);
        f.bck = &bk->bck;
    }
    f.running = m->active < 0 ? XR_ALL : m->active == 1 ? XR_RUNNING : XR_NOT_RUNNING;
    if (m->id.n > 0 && f.running == XR_NOT_RUNNING)
        f.running = XR_ALL;
    jw_init(&w, out, 0);
    return xreg_query(req_node(r)->jobs, &f, &w, e);
}

void
h_target_xactions_get(struct req *r)
{
    struct err  e = { .code = 0 };
    struct str  what = STR_LIT(""), id = STR_LIT("");
    json_t     *root = NULL;
    struct xmsg m;
    struct sbuf out;
    struct jw   w;
    int         rc;

    (void)req_query(r, STR_LIT("what"), &what);
    if (req_query(r, STR_LIT("uuid"), &id) && id.n > 0) {
        get_one(r, what, id);
        return;
    }
    sbuf_init(&out, SNAPS_MAX);
    rc = r->body.n > 0 ? json_read(r->body, &root, &e) : 0;
    if (rc == 0)
        rc = xmsg_read(root, r->arena, &m, &e);
    if (rc == 0 && str_eqz(what, "running_all")) {
        jw_init(&w, &out, 0);
        xreg_running_names(req_node(r)->jobs, m.kind, &w);
    } else if (rc == 0 && str_eqz(what, "qryxstats")) {
        rc = query(r, &m, &out, &e);
    } else if (rc == 0) {
        rc = what_unknown(what, &e);
    }
    send_or_fail(r, rc, &out, &e);
    json_decref(root);
}

/* --- PUT --- */

/* A bucket that is gone does not keep a job on it from being stopped. */
static int
bck_of(struct req *r, const struct xmsg *m, bool must, const struct bck **out, struct err *e)
{
    const struct bucket *bk;

    *out = NULL;
    if (!m->has_bck)
        return 0;
    bk = bmd_find(req_views(r)->bmd, &m->bck);
    if (bk == NULL && must)
        return err_nobck(e, &m->bck);
    *out = bk != NULL ? &bk->bck : &m->bck;
    return 0;
}

static void
act_start(struct req *r, const struct actmsg *a, const struct xmsg *m)
{
    struct err        e = { .code = 0 };
    const struct bck *b = NULL;
    char              id[XID_MAX] = "";
    int               rc = bck_of(r, m, true, &b, &e);

    if (rc == 0)
        rc = xact_start(req_node(r), m, b, a->name, id, &e);
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        ais_send_text(r, str_z(id));
}

static void
act_stop(struct req *r, const struct actmsg *a, const struct xmsg *m)
{
    struct err        e = { .code = 0 };
    const struct bck *b = NULL;
    char              text[256];
    int               rc = 0;

    if (m->id.n == 0 && m->kind == X_ANY)
        rc = err_set(&e, AIS_E_BADREQ, "cannot stop xaction given '%s' - expecting a valid kind and/or UUID",
                     xmsg_text(m, text, sizeof(text)));
    else if (m->id.n > 0 && !xid_valid(m->id))
        rc = err_set(&e, AIS_E_BADREQ, "invalid xaction (job) UUID \"%.*s\"", STR_FMT(m->id));
    if (rc == 0)
        rc = bck_of(r, m, false, &b, &e);
    if (rc < 0) {
        resp_err(r, rc, &e);
        return;
    }
    (void)xreg_stop(req_node(r)->jobs, &(struct xfilter){ .id = m->id, .kind = m->kind, .bck = b },
                    str_eqz(a->name, XABORT_IC) ? XABORT_IC : XABORT_USER);
    resp_empty(r, 200);
}

void
h_target_xactions_put(struct req *r)
{
    struct actmsg a = { .root = NULL };
    struct err    e = { .code = 0 };
    struct xmsg   m;
    int           rc = actmsg_read(r, &a, &e);

    if (rc == 0)
        rc = xmsg_read(a.value, r->arena, &m, &e);
    if (rc < 0)
        resp_err(r, rc, &e);
    else if (str_eqz(a.action, "start"))
        act_start(r, &a, &m);
    else if (str_eqz(a.action, "stop"))
        act_stop(r, &a, &m);
    else {
        rc = err_set(&e, AIS_E_BADREQ, "invalid action \"%.*s\"", STR_FMT(a.action));
        resp_err(r, rc, &e);
    }
    actmsg_free(&a);
}
