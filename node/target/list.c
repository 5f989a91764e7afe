/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This target's part of a listing or a summary, for proxies; and what a client may ask a target about buckets directly.
 *
 * A page is scanned from the index in name order and encoded for the client on the way; virtual directories are skipped by seeking,
 * not by reading through them.
 *
 * Runs on: the request's fiber. May park. Wire: node/lso/README.md; native-api.md 1.8, 3.9.
 */
#include <jansson.h>

#include "base/util.h"
#include "codec/jw.h"
#include "core/lease.h"
#include "run/fiber.h"
#include "target/target_impl.h"

#define PAGE_BYTES_SOFT (8 * MIB)   /* a page ends early beyond this; the proxy asks on */
#define PAGE_BYTES_MAX  (64 * MIB)
#define YIELD_EVERY     2048        /* entries between two turns of the loop: about half a millisecond */

struct lister {
    struct node          *n;
    const struct lso_ask *ask;
    struct list_cur      *cur;
    struct lso_page       page;
    struct sbuf           out;
    struct lso_state      state;
    bool                  gens; /* other targets may have older or newer ones of the bucket's objects */
    char                  dir[OBJ_NAME_MAX + 2]; /* the present virtual directory */
};

/*
 * The part of a name that is a virtual directory under the prefix: up to the first slash behind it, that slash included; empty when
 * there is none. A prefix that names a directory without its slash means what is inside.
 */
static struct str
virtual_dir(const struct lso_ask *a, struct str name)
{
    size_t    from = a->prefix.n;
    ptrdiff_t slash;

    if ((a->flags & LS_NO_RECURSION) == 0 || name.n <= from)
        return STR_NULL;
    if (from > 0 && a->prefix.p[from - 1] != '/' && name.p[from] == '/' && (a->flags & LS_IS_S3) == 0)
        from++;
    slash = str_chr(str_from_off(name, from), '/');
    return slash < 0 ? STR_NULL : str_from(name.p, from + (size_t)slash + 1);
}

/* Go on behind everything in directory d (which ends in '/'): '0' is the byte after '/'. */
static int
skip_dir(struct lister *l, struct str d, struct err *e)
{
    memcpy(l->dir, d.p, d.n);
    l->dir[d.n - 1] = '/' + 1;
    return store_list_seek(l->cur, str_from(l->dir, d.n), e);
}

static int
add_dir(struct lister *l, struct str d, struct err *e)
{
    if (d.n > OBJ_NAME_MAX)
        return err_set(e, AIS_E_INTERNAL, "name too long");
    lso_page_dir(&l->page, d); /* with LS_NO_DIRS too, as AIStore does for buckets of its own: that flag is for clouds */
    return skip_dir(l, d, e);
}

/* A page that starts inside or right behind a directory: it was listed on the page before. */
static int
start_after_dir(struct lister *l, struct err *e)
{
    struct str d;

    if (!str_starts(l->ask->after, l->ask->prefix) || l->ask->after.n > OBJ_NAME_MAX)
        return 0;
    d = virtual_dir(l->ask, l->ask->after);
    return d.n > 0 ? skip_dir(l, d, e) : 0;
}

static int
list_scan(struct lister *l, struct err *e)
{
    bool               want_place = (l->ask->props & LSP_LOCATION) != 0;
    const struct lent *le;
    struct str         d;
    unsigned           steps = 0;
    int                rc;

    for (;;) {
        rc = store_list_next(l->cur, &le, e);
        if (rc <= 0)
            return rc;
        if (l->page.n >= l->ask->max || l->out.n > PAGE_BYTES_SOFT) {
            l->state.more = true;
            return 0;
        }
        if (l->gens)
            lso_page_gen(&l->page, &le->gen);
        d = virtual_dir(l->ask, le->name);
        if (le->tomb) {
            if (d.n == 0)
                lso_page_tomb(&l->page, le->name);
        } else if (d.n > 0) {
            rc = add_dir(l, d, e);
            if (rc < 0)
                return rc;
        } else {
            lso_page_ent(&l->page, le, want_place ? mpath_place(l->n, le->mpath) : STR_NULL);
        }
        if (++steps % YIELD_EVERY == 0)
            fiber_yield();
    }
}

static int
list_open(struct lister *l, const struct bck *b, const struct rmd *rmd, struct err *e)
{
    int rc;

    if (!l->gens)
        rc = store_list_open(l->n->store, b, l->ask->prefix, l->ask->after, &l->cur, e);
    else
        rc = store_list_open_gens(l->n->store, b, LIST_ALL, l->ask->prefix, l->ask->after, rmd_oldest(rmd, b), &l->cur, e);
    if (rc < 0)
        return rc;
    if (l->gens)
        lso_page_begin_gens(&l->page, &l->out, l->ask);
    else
        lso_page_begin(&l->page, &l->out, l->ask);
    return 0;
}

static int
list_page(struct req *r, const struct bck *b, struct lister *l, struct err *e)
{
    const struct views *v = req_views(r);
    int                 rc;

    l->state = (struct lso_state){ .smap_ver = v->smap->version, .rmd_ver = v->rmd->version };
    l->gens = rmd_unsettled(v->rmd, b);
    rc = list_open(l, b, v->rmd, e);
    if (rc < 0)
        return rc;
    rc = start_after_dir(l, e);
    if (rc == 0)
        rc = list_scan(l, e);
    lso_page_end(&l->page, &l->state);
    store_list_close(l->cur);
    if (rc == 0 && !sbuf_ok(&l->out))
        rc = err_set(e, AIS_E_TOOBIG, "a page of more than %llu bytes", PAGE_BYTES_MAX);
    if (rc == 0)
        resp_send(r, 200, "application/octet-stream", sbuf_str(&l->out));
    return rc;
}

/* POST /v1/buckets/BUCKET/_list */
void
h_target_bck_list(struct req *r)
{
    struct node   *n = req_node(r);
    struct lister *l = arena_zalloc(r->arena, sizeof(*l));
    struct lso_ask ask;
    struct bck     b;
    struct err     e = { .code = 0 };
    int            rc;

    rc = lease_check(n, &e);
    if (rc == 0)
        rc = req_bck(r, r->item[0], &b, NULL, &e);
    if (rc == 0 && (l == NULL || lso_ask_decode(&ask, r->body) < 0))
        rc = err_set(&e, AIS_E_BADREQ, "malformed question for a page");
    if (rc < 0)
        return resp_err(r, rc, &e);
    l->n = n;
    l->ask = &ask;
    sbuf_init(&l->out, PAGE_BYTES_MAX);
    rc = list_page(r, &b, l, &e);
    if (rc < 0) {
        count_error(n, rc, STAT_ERR_LST_N, STAT_ERR_IO_GET_N);
        resp_err(r, rc, &e);
    } else {
        stat_inc(n->stats, STAT_LST_N);
    }
    sbuf_fini(&l->out);
}

/* POST /v1/buckets/BUCKET/_summary, body: the prefix */
void
h_target_bck_summary(struct req *r)
{
    struct node     *n = req_node(r);
    struct store_cap cap;
    struct bck_sum   sum;
    struct lso_sum   ans;
    struct sbuf      out;
    struct bck       b;
    struct err       e = { .code = 0 };
    int              rc;

    rc = lease_check(n, &e);
    if (rc == 0)
        rc = req_bck(r, r->item[0], &b, NULL, &e);
    if (rc == 0)
        rc = store_bck_summary(n->store, &b, r->body, &sum, &e);
    if (rc < 0)
        return resp_err(r, rc, &e);
    store_cap(n->store, &cap);
    ans = (struct lso_sum){ .objects = sum.objects,
                            .bytes = sum.bytes,
                            .on_disk = sum.on_disk,
                            .min_size = sum.min_size,
                            .max_size = sum.max_size,
                            .capacity = cap.total };
    sbuf_init(&out, 4 * KIB);
    lso_sum_json(&ans, &out);
    ais_send_json(r, &out);
    sbuf_fini(&out);
}

/* --- what clients may ask a target directly --- */

static int
bck_access(struct req *r, struct err *e)
{
    struct str pid, utm;

    if ((req_query(r, STR_LIT("pid"), &pid) && pid.n > 0 && req_query(r, STR_LIT("utm"), &utm) && utm.n > 0) ||
        (!req_is_intra(r) && (!req_on_public(r) || !conf_direct_access(req_views(r)->conf))))
        return err_set(e, AIS_E_FORBIDDEN, "direct target access denied");
    return 0;
}

/* HEAD /v1/buckets/BUCKET */
void
h_target_bck_head(struct req *r)
{
    const struct bucket *bk;
    struct bck           b;
    struct err           e = { .code = 0 };
    int                  rc;

    rc = bck_access(r, &e);
    if (rc == 0)
        rc = req_bck(r, r->item[0], &b, &bk, &e);
    if (rc < 0)
        return resp_err(r, rc, &e);
    resp_hdr(r, "Ais-Bucket-Props", str_z(bk->head_json));
    resp_empty(r, 200);
}

/* GET /v1/buckets: the names; listing objects and summaries need the other targets and hence a proxy. */
void
h_target_bck_get(struct req *r)
{
    const struct bmd *m = req_views(r)->bmd;
    struct sbuf       out;
    struct jw         w;
    struct err        e = { .code = 0 };
    unsigned          i;
    int               rc;

    rc = bck_access(r, &e);
    if (rc == 0 && r->nitems > 0)
        rc = err_set(&e, AIS_E_BADREQ, "%s: %s(bucket) requires proxy mediation", req_node(r)->name, method_name(r->method));
    if (rc < 0)
        return resp_err(r, rc, &e);
    sbuf_init(&out, 16 * MIB);
    jw_init(&w, &out, 0);
    jw_arr(&w);
    for (i = 0; i < m->n; i++) {
        const struct bck *b = &m->sorted[i]->bck;

        jw_obj(&w);
        jw_kstr(&w, "name", b->name);
        jw_kstrz(&w, "provider", provider_name(b->provider));
        jw_key(&w, "namespace");
        jw_obj(&w);
        jw_kstr(&w, "uuid", b->ns_uuid);
        jw_kstr(&w, "name", b->ns_name);
        jw_obj_end(&w);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    ais_send_json(r, &out);
    sbuf_fini(&out);
}

void
h_target_bck_refuse(struct req *r)
{
    struct err e = { .code = 0 };

    err_set(&e, AIS_E_BADREQ, "%s: %s(bucket) requires proxy mediation", req_node(r)->name, method_name(r->method));
    resp_err(r, -AIS_E_BADREQ, &e);
}
