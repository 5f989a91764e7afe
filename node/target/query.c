/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query of an object request, read in one pass, and the checks that every object handler starts with.
 *
 * Runs on: the request's fiber; nothing here parks. Wire: native-api.md 1.5, 1.8, 2.4.
 */
#include <stddef.h>

#include "base/util.h"
#include "codec/url.h"
#include "target/target_impl.h"

#define MAX_PARAMS 100

enum qkind { Q_STR, Q_BOOL };

/* clang-format off */
static const struct {
    struct str key;
    enum qkind kind;
    size_t     off;
} params[] = {
    { { "pid", 3 },            Q_STR,  offsetof(struct objq, pid) },
    { { "utm", 3 },            Q_STR,  offsetof(struct objq, utm) },
    { { "uploadId", 8 },       Q_STR,  offsetof(struct objq, upload_id) },
    { { "partNumber", 10 },    Q_STR,  offsetof(struct objq, part_num) },
    { { "append_type", 11 },   Q_STR,  offsetof(struct objq, append_type) },
    { { "append_handle", 13 }, Q_STR,  offsetof(struct objq, append_handle) },
    { { "object_to", 9 },      Q_STR,  offsetof(struct objq, object_to) },
    { { "etl_name", 8 },       Q_STR,  offsetof(struct objq, etl_name) },
    { { "archpath", 8 },       Q_STR,  offsetof(struct objq, archpath) },
    { { "archmode", 8 },       Q_STR,  offsetof(struct objq, archmode) },
    { { "archregx", 8 },       Q_STR,  offsetof(struct objq, archregx) },
    { { "presence", 8 },       Q_STR,  offsetof(struct objq, presence) },
    { { "props", 5 },          Q_STR,  offsetof(struct objq, props) },
    { { "skip_vc", 7 },        Q_BOOL, offsetof(struct objq, skip_vc) },
    { { "latest-ver", 10 },    Q_BOOL, offsetof(struct objq, latest) },
    { { "set-new-custom", 14 }, Q_BOOL, offsetof(struct objq, new_custom) },
};
/* clang-format on */

static void
param_set(struct req *r, struct objq *q, unsigned i, struct str raw)
{
    struct str v = raw;

    if (url_decode_arena(r->arena, raw, true, &v) < 0)
        v = raw; /* malformed escapes stay as they are */
    if (params[i].kind == Q_STR)
        *(struct str *)(void *)((char *)q + params[i].off) = v;
    else
        *(bool *)((char *)q + params[i].off) = str_query_bool(v);
}

int
objq_parse(struct req *r, struct objq *q, struct err *e)
{
    struct str rest = r->query_raw, key, val;
    unsigned   n = 0, i;

    *q = (struct objq){ .skip_vc = false };
    while (url_query_next(&rest, &key, &val)) {
        if (++n > MAX_PARAMS)
            return err_set(e, AIS_E_BADREQ, "number of query parameters exceeds %d", MAX_PARAMS);
        for (i = 0; i < ARRAY_SIZE(params); i++)
            if (str_eq(key, params[i].key)) {
                param_set(r, q, i, val);
                break;
            }
    }
    return 0;
}

bool
req_is_intra(const struct req *r)
{
    return r->user != NULL && ((const struct caller *)r->user)->intra;
}

bool
req_on_public(const struct req *r)
{
    const struct node *n = r->ctx;

    return r->srv == n->srv_pub;
}

/*
 * Who may touch objects here: nodes of this cluster, and clients that a proxy has sent. On the public network clients may also read
 * without that, unless requests must pass a proxy for their tokens.
 */
static int
obj_access(struct req *r, const struct objq *q, struct err *e)
{
    struct node *n = req_node(r);

    if (req_is_intra(r) || (q->pid.n > 0 && q->utm.n > 0))
        return 0;
    if (!req_on_public(r) || !conf_direct_access(req_views(r)->conf))
        return err_set(e, AIS_E_FORBIDDEN, "direct target access denied");
    if (r->method == M_GET || r->method == M_HEAD)
        return 0;
    return err_set(e, AIS_E_BADREQ, "%s: %s(obj) is expected to be redirected", n->name, method_name(r->method));
}

int
objreq_init(struct req *r, struct objreq *o, bool dir_ok, struct err *e)
{
    int rc;

    rc = objq_parse(r, &o->q, e);
    if (rc < 0)
        return rc;
    rc = obj_access(r, &o->q, e);
    if (rc < 0)
        return rc;
    o->name = r->item[1];
    rc = obj_name_check(o->name, dir_ok, e);
    if (rc < 0)
        return rc;
    return belong_wait(r, r->item[0], o->name, &o->b, e);
}

void
objreq_refuse(struct req *r, int rc, struct err *e)
{
    if (rc != -AIS_E_NOTOWNER || !belong_redirect(r))
        resp_err(r, rc, e);
}

struct str
obj_display(struct req *r, const struct bck *b, struct str name)
{
    char buf[BCK_DISPLAY_MAX];

    return arena_printf(r->arena, "%s/%.*s", bck_display(b, buf), STR_FMT(name));
}
