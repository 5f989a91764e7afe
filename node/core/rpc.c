/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to other nodes, and relays of clients' requests.
 *
 * Every call says who calls and carries the fence (recovery epoch, term) and the Smap version; the connection is authenticated when it
 * opens (auth.c). Errors that the peer rendered keep their status, code and text.
 *
 * Runs on: fibers. May park. Wire: native-api.md 1.6, 1.7, 2.6.
 */
#include <jansson.h>
#include <stdio.h>

#include "core/core_impl.h"

#include "codec/jw.h"
#include "base/log.h"
#include "base/util.h"

#define RELAY_STALL  SEC_NS(60)
#define PRIMARY_WAIT SEC_NS(4) /* for somebody to be elected */
#define PRIMARY_POLL MSEC_NS(20)

unsigned
node_call_hdrs(struct node *n, struct arena *a, struct hdr out[NODE_HDRS])
{
    struct cons_fence f = node_fence(n);
    struct views      v;
    unsigned          i = 0;

    views_get(n, &v);
    out[i++] = (struct hdr){ STR_LIT("Ais-Caller-Id"), str_z(n->id) };
    out[i++] = (struct hdr){ STR_LIT("Ais-Caller-Name"), str_z(n->name) };
    out[i++] = (struct hdr){ STR_LIT("Ais-Caller-Smap-Ver"), arena_printf(a, "%llu", (unsigned long long)v.smap->version) };
    out[i++] = (struct hdr){ STR_LIT("Ais-Fence"), arena_printf(a, "%u.%llu", f.epoch, (unsigned long long)f.term) };
    if (node_is_primary(n, v.smap))
        out[i++] = (struct hdr){ STR_LIT("Ais-Caller-Is-Primary"), STR_LIT("true") };
    views_put(&v);
    return i;
}

/* Our code for what a peer said: by Go type name and status, by status, else by class. */
static int
peer_code(int status, struct str tcode)
{
    int c, by_status = 0;

    for (c = AIS_E_BASE + 1; c < AIS_E_END; c++) {
        if (err_http(-c) != status)
            continue;
        if (by_status == 0)
            by_status = c;
        if (tcode.n > 0 && str_eqz(tcode, err_tcode_of(-c)))
            return c;
    }
    if (by_status != 0)
        return by_status;
    return status < 500 ? AIS_E_BADREQ : AIS_E_INTERNAL;
}

int
node_peer_err(const struct hc_resp *resp, struct err *e)
{
    json_t    *j = NULL;
    struct str text = STR_NULL, tcode = STR_NULL;
    int        rc;

    if (json_read(resp->body, &j, NULL) == 0) {
        const json_t *m = json_object_get(j, "message"), *t = json_object_get(j, "tcode");

        if (json_is_string(m))
            text = str_z(json_string_value(m));
        if (json_is_string(t))
            tcode = str_z(json_string_value(t));
    }
    if (text.n == 0)
        text = resp->body.n > 0 ? resp->body : str_z(http1_reason(resp->status));
    rc = err_set(e, peer_code(resp->status, tcode), "%.*s", (int)MIN(text.n, (size_t)900), text.p);
    err_status(e, resp->status);
    if (e != NULL && tcode.n > 0)
        str_copyz(tcode, e->tcode, sizeof(e->tcode));
    json_decref(j);
    return rc;
}

int
node_call(struct node *n, const struct snode *to, enum method m, struct str target, struct str body, struct arena *a,
          size_t max_body, int64_t timeout_ns, struct hc_resp *out, struct err *e)
{
    struct hdr    *hdrs = arena_alloc(a, sizeof(*hdrs) * (NODE_HDRS + 1));
    struct snode  *peer = arena_alloc(a, sizeof(*peer)); /* the connection may outlive the caller's map */
    struct hc_req  q = { .method = m, .base = str_z(to->control.url), .target = target, .body = body, .timeout_ns = timeout_ns };
    int            rc;

    if (hdrs == NULL || peer == NULL)
        return err_set(e, AIS_E_NOMEM, "out of memory");
    *peer = *to;
    q.peer = peer;
    q.hdrs = hdrs;
    q.nhdrs = node_call_hdrs(n, a, hdrs);
    if (body.n > 0)
        hdrs[q.nhdrs++] = (struct hdr){ STR_LIT("Content-Type"), STR_LIT("application/json") };
    rc = hc_call(n->hc, &q, a, max_body, out, e);
    if (rc < 0) {
        err_fill(e, rc);
        err_wrap(e, "%s: %s %s", n->name, method_name(m), to->name);
        return rc;
    }
    return out->status < 400 ? 0 : node_peer_err(out, e);
}

/* --- to many --- */
struct bcast_child {
    struct node  *n;
    struct bcast *b;
    enum method   m;
    struct str    target, body;
    struct arena *a; /* of the caller: children are on its loop and take turns only when they park */
    size_t        max_body;
    int64_t       timeout_ns;
};

static int
bcast_one(void *arg)
{
    struct bcast_child *c = arg;

    err_clear(&c->b->err);
    c->b->rc = node_call(c->n, c->b->to, c->m, c->target, c->body, c->a, c->max_body, c->timeout_ns, &c->b->resp, &c->b->err);
    return 0;
}

int
node_bcast(struct node *n, struct bcast *b, unsigned nb, enum method m, struct str target, struct str body, struct arena *a,
           size_t max_body, int64_t timeout_ns)
{
    struct bcast_child *c = xcalloc(nb > 0 ? nb : 1, sizeof(*c));
    struct group        g;
    unsigned            i;
    int                 rc;

    group_init(&g, false);
    for (i = 0; i < nb; i++) {
        c[i] = (struct bcast_child){ n, &b[i], m, target, body, a, max_body, timeout_ns };
        rc = group_start(&g, "bcast", bcast_one, &c[i]);
        if (rc < 0)
            b[i].rc = err_set(&b[i].err, -rc, "%s", err_text(rc));
    }
    rc = group_wait(&g);
    free(c);
    return rc;
}

/* --- relays --- */
static bool
hop_header(struct str name)
{
    static const char *const hop[] = { "Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding",
                                       "Upgrade", "Host", "Content-Length", "Expect", "Ais-Node-Id" };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(hop); i++) {
        if (str_ieq(name, str_z(hop[i])))
            return true;
    }
    return false;
}

static bool
caller_header(struct str name)
{
    return str_istarts(name, STR_LIT("Ais-Caller-")) || str_ieq(name, STR_LIT("Ais-Fence"));
}

/* The client's end-to-end headers behind the n that are in out already. */
static unsigned
relay_hdrs(const struct req *r, struct hdr *out, unsigned n, unsigned max)
{
    unsigned i;

    for (i = 0; i < r->head->nhdrs && n < max; i++) {
        if (!hop_header(r->head->hdrs[i].name) && !caller_header(r->head->hdrs[i].name))
            out[n++] = r->head->hdrs[i];
    }
    return n;
}

/* Send the request to q->base and the answer back. Negative: nothing was answered. -AIS_E_PEER: nobody has seen the request. */
static int
relay_try(struct req *r, struct hclient *hc, struct hc_req *q, struct err *e)
{
    struct hcall *c = NULL;
    int           rc;

    q->method = r->method;
    q->body = r->body;
    q->timeout_ns = RELAY_STALL;
    rc = hc_open(hc, q, &c, e);
    if (rc == 0) {
        rc = hc_relay(c, r);
        hc_close(c);
        rc = rc == -AIS_E_PEER ? -AIS_E_CLOSED : rc;
    }
    return r->resp.started ? 0 : rc;
}

static void
relay_failed(struct req *r, int rc, const struct err *e, const char *to)
{
    log_warn("relay failed", { "to", LZ(to) }, { "path", LSTR(r->path) }, { "error", LZ(e->code != 0 ? e->text : err_text(rc)) });
    resp_empty(r, 502);
}

/* Once: to p. False: nobody listens there. */
static bool
relay_to(struct req *r, const struct snode *p)
{
    struct node  *n = req_node(r);
    struct hdr   *hdrs = arena_alloc(r->arena, sizeof(*hdrs) * (HTTP1_MAX_HDRS + 1));
    struct hc_req q = { .base = str_z(p->pub.url), .target = r->head->target, .hdrs = hdrs };
    struct err    e;
    int           rc;

    if (hdrs == NULL) {
        resp_err(r, -AIS_E_NOMEM, NULL);
        return true;
    }
    err_clear(&e);
    hdrs[0] = (struct hdr){ STR_LIT("Ais-Relayed"), str_z(n->id) };
    q.nhdrs = relay_hdrs(r, hdrs, 1, HTTP1_MAX_HDRS + 1);
    rc = relay_try(r, n->hc_plain, &q, &e);
    if (rc < 0 && rc != -AIS_E_PEER)
        relay_failed(r, rc, &e, p->name);
    return rc != -AIS_E_PEER;
}

/* The newest snapshots, in the middle of a request that has looked at nothing yet. */
static void
views_renew(struct req *r)
{
    struct views *v = req_views(r);

    views_put(v);
    views_get(req_node(r), v);
}

bool
relay_to_primary(struct req *r)
{
    struct node *n = req_node(r);
    bool         relayed = req_hdr(r, STR_LIT("Ais-Relayed")).n > 0;
    int64_t      until = deadline_in(clock_mono(), PRIMARY_WAIT);
    struct err   e;

    for (;;) {
        const struct snode *p = req_views(r)->smap->primary;
        bool                self = p != NULL && strcmp(p->id, n->id) == 0;

        if (self && node_may_grant(n))
            return false;
        if (!relayed && p != NULL && !self && relay_to(r, p))
            return true;
        /* Nobody is primary, or this node was (what it has may be old), or two disagree about who is: soon there is one. */
        if (relayed || clock_mono() >= until || fiber_sleep(PRIMARY_POLL) < 0)
            break;
        views_renew(r);
    }
    err_set(&e, AIS_E_NOTPRIMARY, "%s: no primary, please try again", n->name);
    resp_err(r, -AIS_E_NOTPRIMARY, &e);
    return true;
}

void
relay_to_node(struct req *r, const struct snode *to, struct str target)
{
    struct node  *n = req_node(r);
    struct hdr   *hdrs = arena_alloc(r->arena, sizeof(*hdrs) * (HTTP1_MAX_HDRS + NODE_HDRS));
    struct snode *peer = arena_alloc(r->arena, sizeof(*peer));
    struct hc_req q = { .target = target };
    struct err    e;
    int           rc;

    err_clear(&e);
    if (hdrs == NULL || peer == NULL) {
        resp_err(r, -AIS_E_NOMEM, NULL);
        return;
    }
    *peer = *to;
    q.base = str_z(peer->control.url);
    q.peer = peer;
    q.hdrs = hdrs;
    q.nhdrs = relay_hdrs(r, hdrs, node_call_hdrs(n, r->arena, hdrs), HTTP1_MAX_HDRS + NODE_HDRS);
    rc = relay_try(r, n->hc, &q, &e);
    if (rc < 0)
        relay_failed(r, rc, &e, peer->name);
}
