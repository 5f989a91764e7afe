/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promote: files that the targets can see become objects. The proxy asks the targets; each stores what it finds at its owner.
 *
 * Runs on: the request's fiber. Parks.
 * Wire:    POST /v1/objects/BUCKET {"action":"promote"} (native-api.md 4.7)
 */
#include <jansson.h>

#include "base/util.h"
#include "proxy/proxy_impl.h"

static void
act_promote(struct req *r, struct actmsg *m)
{
    struct err    e = { .code = 0 };
    struct bck    b;
    struct bcast *c;
    struct sbuf   path;
    unsigned      n = 0;
    int           rc = req_bck(r, r->item[0], &b, NULL, &e);

    UNUSED(m);
    if (rc == 0)
        rc = access_check(&b, ACC_PROMOTE, &e);
    if (rc == 0) {
        sbuf_init(&path, 64 * KIB);
        lso_path(&path, &b, "_promote");
        rc = ask_targets(r, M_POST, sbuf_str(&path), r->body, 1 * MIB, &c, &n, &e);
        sbuf_fini(&path);
        if (rc == 0)
            rc = first_failure(c, n, &e);
    }
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        resp_empty(r, 200);
}

void
h_proxy_promote(struct req *r)
{
    static const struct action acts[] = {
        { "promote", act_promote, NULL },
        { "blob-download", NULL, "blob download" },
    };

    act_dispatch(r, acts, ARRAY_SIZE(acts));
}
