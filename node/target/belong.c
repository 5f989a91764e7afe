/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose is an object at this moment, for a client that was sent here under a map that may be replaced by now.
 *
 * While a map is being replaced there are moments in which nobody may serve an object: the old owner has given it up, the new one waits
 * until nobody can act under the old map. They are short, and clients do not know of them: their requests wait here. Who was sent to a former
 * owner is sent on. Only what lasts longer is an error (503).
 *
 * Runs on: the request's fiber. Parks.
 */
#include "base/util.h"
#include "core/lease.h"
#include "core/smap.h"
#include "run/fiber.h"
#include "target/target_impl.h"

#define WAIT_MINE   SEC_NS(3)     /* for a lease, or for the map to be in force */
#define WAIT_MAP    MSEC_NS(100)  /* for the map under which a proxy sent the client here, when it is not here yet */
#define NAP_FIRST   MSEC_NS(1)
#define NAP_MOST    MSEC_NS(32)

struct patience {
    int64_t began, nap;
};

/* Is it worth while to ask again? Then some time has passed. */
static bool
again(struct patience *p, int rc)
{
    int64_t now = clock_mono(), limit = rc == -AIS_E_NOTOWNER ? WAIT_MAP : rc == -AIS_E_UNAVAIL ? WAIT_MINE : 0;

    if (p->began == 0)
        p->began = now;
    if (now - p->began >= limit)
        return false;
    p->nap = p->nap == 0 ? NAP_FIRST : MIN(2 * p->nap, NAP_MOST);
    return fiber_sleep(p->nap) == 0;
}

static void
views_renew(struct req *r)
{
    struct views now;

    views_get(req_node(r), &now);
    views_put(req_views(r));
    *req_views(r) = now;
}

int
belong_wait(struct req *r, struct str bck, struct str name, struct bck *b, struct err *e)
{
    struct patience p = { 0 };
    bool            asked = false;
    int             rc;

    do {
        if (asked)
            views_renew(r);
        asked = true;
        err_clear(e);
        rc = req_bck(r, bck, b, NULL, e);
        if (rc < 0 || req_is_intra(r)) /* nodes ask former owners, too; what they change is checked by the commit */
            return rc;
        rc = lease_check_obj(req_node(r), req_views(r)->smap, req_views(r)->rmd, b, name, e);
    } while (rc < 0 && again(&p, rc));
    return rc;
}

int
belong_still(struct req *r, const struct bck *b, struct str name, struct err *e)
{
    struct patience p = { 0 };
    int             rc;

    if (req_is_intra(r))
        return 0;
    do {
        struct views v;

        err_clear(e);
        views_get(req_node(r), &v);
        rc = lease_check_obj(req_node(r), v.smap, v.rmd, b, name, e);
        views_put(&v);
    } while (rc < 0 && again(&p, rc));
    return rc;
}

/* By the newest map, whatever the request's is. */
static bool
owner_url(struct req *r, struct str *url)
{
    const struct snode *owner = NULL;
    struct bck          b;
    struct err          e;

    err_clear(&e);
    views_renew(r); /* the answer is all that is left of the request */
    if (req_bck(r, r->item[0], &b, NULL, &e) == 0)
        owner = smap_hrw(req_views(r)->smap, bck_obj_digest(&b, r->item[1]));
    if (owner != NULL && strcmp(owner->id, req_node(r)->id) != 0)
        *url = arena_printf(r->arena, "%s%.*s%s%.*s", owner->pub.url, STR_FMT(r->path_raw), r->query_raw.n > 0 ? "?" : "",
                            STR_FMT(r->query_raw));
    return url->n > 0;
}

bool
belong_redirect(struct req *r)
{
    struct str url = STR_NULL;

    if (!req_on_public(r) || !owner_url(r, &url))
        return false;
    resp_hdr(r, "Location", url);
    resp_empty(r, r->method == M_GET ? 301 : 307);
    return true;
}
