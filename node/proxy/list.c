/* SPDX-License-Identifier: Apache-2.0 */
/*
 * List objects: ask every target for a share of the page, merge what they encoded, ask again where a share ran out.
 *
 * Runs on: the request's fiber. Parks.
 * Wire:    GET /v1/buckets/BUCKET {"action":"list","value":{...}} (native-api.md 3.9)
 */
#include <jansson.h>
#include <stdio.h>

#include "base/util.h"
#include "core/smap.h"
#include "proxy/proxy_impl.h"
#include "run/fiber.h"

#define PAGE_BYTES (64u << 20) /* largest page of one target */
#define AGREE_NS   SEC_NS(5)   /* how long to wait until targets and this proxy know the same maps */
#define AGREE_NAP  MSEC_NS(20)

int
ask_targets(struct req *r, enum method m, struct str target, struct str body, size_t max_each, struct bcast **out, unsigned *n,
            struct err *e)
{
    struct node         *nd = req_node(r);
    struct views        *v = req_views(r);
    const struct smap   *map = v->smap;
    struct bcast        *b = arena_zalloc(r->arena, (map->nactive + 1) * sizeof(*b));

    if (map->nactive == 0 || b == NULL) {
        err_set(e, AIS_E_UNAVAIL, "%s: no available targets", nd->name);
        return err_tcode(e, "ErrNoNodes");
    }
    for (unsigned i = 0; i < map->nactive; i++)
        b[i].to = map->active[i];
    *out = b;
    *n = map->nactive;
    return node_bcast(nd, b, *n, m, target, body, r->arena, max_each, v->conf->client.list_timeout);
}

int
first_failure(struct bcast *b, unsigned n, struct err *e)
{
    for (unsigned i = 0; i < n; i++) {
        if (b[i].rc >= 0)
            continue;
        *e = b[i].err;
        err_fill(e, b[i].rc);
        return b[i].rc;
    }
    return 0;
}

static bool
asked(const struct bcast *b, unsigned n, const char *id)
{
    for (unsigned i = 0; i < n; i++)
        if (strcmp(b[i].to->id, id) == 0)
            return true;
    return false;
}

/* Those of a former map that are not asked anyway. A target that is in the cluster no more was taken away with what it had. */
static int
former_holders(struct node *n, const struct smap *map, const struct rmd_map *m, const struct bck *b, struct bcast *to, unsigned *nto,
               struct err *e)
{
    char disp[BCK_DISPLAY_MAX];

    for (unsigned i = 0; i < m->n; i++) {
        const struct snode *t = smap_find(map, str_z(m->t[i].id));

        if (t == NULL || asked(to, *nto, t->id))
            continue;
        if (t->flags & SNODE_DEAD)
            return err_set(e, AIS_E_UNAVAIL, "%s: %s may have objects of %s and is down, please try again", n->name, t->name,
                           bck_display(b, disp));
        to[(*nto)++].to = t;
    }
    return 0;
}

int
bck_holders(struct node *n, const struct views *v, const struct bck *b, struct arena *a, struct bcast **out, unsigned *nout,
            struct err *e)
{
    struct bcast *to = arena_zalloc(a, (v->smap->nnodes + 1) * sizeof(*to));
    unsigned      nto = 0;
    int           rc = 0;

    if (to == NULL)
        return err_set(e, AIS_E_NOMEM, "no memory to ask targets");
    for (unsigned i = 0; i < v->smap->nactive; i++)
        to[nto++].to = v->smap->active[i];
    for (unsigned i = 0; rc == 0 && i < v->rmd->nchain; i++)
        if (!rmd_map_skips(&v->rmd->chain[i], b))
            rc = former_holders(n, v->smap, &v->rmd->chain[i], b, to, &nto, e);
    if (rc < 0)
        return rc;
    if (nto == 0) {
        err_set(e, AIS_E_UNAVAIL, "%s: no available targets", n->name);
        return err_tcode(e, "ErrNoNodes");
    }
    *out = to;
    *nout = nto;
    return 0;
}

struct listing {
    struct req      *r;
    struct views     v;     /* may become newer than the request's */
    struct lso_msg   msg;
    struct bck       b;
    struct str       path;
    bool             msgpack;
    struct bcast    *pages;
    struct lso_src  *src;
    unsigned         n;
    uint32_t         flags;
};

/*
 * A page of one target. The pages of a listing must tell of the same maps: what has moved meanwhile might be in none of two pages of
 * different ones, and a map that this proxy does not know may have targets that were not asked. -AIS_E_AGAIN: it is not so.
 */
static int
page_open(struct listing *l, unsigned i, struct str page)
{
    const struct lso_state *st = &l->src[i].state;
    int                     rc = lso_src_open(&l->src[i], page, l->msgpack);

    if (rc < 0)
        return rc;
    l->flags |= st->flags;
    return st->smap_ver > l->v.smap->version || st->rmd_ver != l->v.rmd->version ? -AIS_E_AGAIN : 0;
}

/* The next page of one target, behind the last name that it gave. */
static int
refill(struct listing *l, unsigned i, uint32_t want, struct err *e)
{
    struct lso_ask ask;
    struct sbuf    body;
    struct hc_resp resp;
    int            rc;

    lso_ask_from(&ask, &l->msg, l->msgpack);
    ask.after = arena_str(l->r->arena, l->src[i].name);
    ask.max = want;
    sbuf_init(&body, 64 * KIB);
    lso_ask_encode(&ask, &body);
    rc = node_call(req_node(l->r), l->pages[i].to, M_POST, l->path, sbuf_str(&body), l->r->arena, PAGE_BYTES,
                   l->v.conf->client.list_timeout, &resp, e);
    sbuf_fini(&body);
    return rc == 0 ? page_open(l, i, resp.body) : rc;
}

/* Everybody's first page. */
static int
ask_all(struct listing *l, uint32_t share, struct err *e)
{
    struct lso_ask ask;
    struct sbuf    body;
    int            rc = bck_holders(req_node(l->r), &l->v, &l->b, l->r->arena, &l->pages, &l->n, e);

    if (rc < 0)
        return rc;
    lso_ask_from(&ask, &l->msg, l->msgpack);
    ask.max = share;
    sbuf_init(&body, 64 * KIB);
    lso_ask_encode(&ask, &body);
    rc = node_bcast(req_node(l->r), l->pages, l->n, M_POST, l->path, sbuf_str(&body), l->r->arena, PAGE_BYTES,
                    l->v.conf->client.list_timeout);
    sbuf_fini(&body);
    return rc;
}

static int
collect_once(struct listing *l, struct lso_merge *m, struct sbuf *entries, struct err *e)
{
    unsigned *heap;
    uint32_t  share = lso_share(&l->msg, MAX(l->v.smap->nactive, 1u));
    int       rc = ask_all(l, share, e);
    if (rc == 0)
        rc = first_failure(l->pages, l->n, e);
    if (rc < 0)
        return rc;
    l->src = arena_zalloc(l->r->arena, l->n * sizeof(*l->src));
    heap = arena_alloc(l->r->arena, l->n * sizeof(*heap));
    if (l->src == NULL || heap == NULL)
        return -AIS_E_TOOBIG;
    for (unsigned i = 0; rc == 0 && i < l->n; i++)
        rc = page_open(l, i, l->pages[i].resp.body);
    if (rc < 0)
        return rc == -AIS_E_AGAIN ? rc : err_set(e, AIS_E_INTERNAL, "a target answered with a damaged page");
    lso_merge_init(m, l->src, heap, l->n, l->msgpack, l->msg.pagesize, entries);
    while ((rc = lso_merge_run(m)) >= 0) {
        rc = refill(l, (unsigned)rc, MIN(share, l->msg.pagesize - m->nout + 1), e);
        if (rc < 0)
            return rc;
    }
    return rc == LSO_FULL || rc == LSO_END ? 0 : rc;
}

static int
collect(struct listing *l, struct lso_merge *m, struct sbuf *entries, struct err *e)
{
    struct node *n = req_node(l->r);
    int64_t      until = deadline_in(clock_mono(), AGREE_NS), nap = AGREE_NAP;
    int          rc;

    views_get(n, &l->v);
    while ((rc = collect_once(l, m, entries, e)) == -AIS_E_AGAIN && clock_mono() < until && fiber_sleep(nap) == 0) {
        nap *= 2; /* each try costs memory of the request */
        sbuf_reset(entries);
        err_clear(e);
        views_put(&l->v);
        views_get(n, &l->v);
    }
    views_put(&l->v);
    return rc == -AIS_E_AGAIN ? err_set(e, AIS_E_UNAVAIL, "%s: the cluster map is changing, please try again", n->name) : rc;
}

/* A person looks at it: one document, to be indented. */
static void
answer_person(struct req *r, const struct sbuf *head, const struct sbuf *entries, const struct sbuf *tail)
{
    struct sbuf all;

    sbuf_init(&all, 512 * MIB);
    sbuf_puts(&all, sbuf_str(head));
    sbuf_puts(&all, sbuf_str(entries));
    sbuf_puts(&all, sbuf_str(tail));
    ais_send_json(r, &all);
    sbuf_fini(&all);
}

static void
answer(struct listing *l, const struct lso_merge *m, const struct sbuf *entries)
{
    struct sbuf head, tail;
    char        uuid[16];
    struct str  token = m->nout >= l->msg.pagesize ? m->last : STR_LIT("");

    if (l->msg.uuid[0] == '\0')
        uuid_gen(uuid);
    sbuf_init(&head, 64 * KIB);
    sbuf_init(&tail, 4 * KIB);
    lso_res_head(&head, l->msgpack, str_z(l->msg.uuid[0] != '\0' ? l->msg.uuid : uuid), token, m->nout);
    lso_res_tail(&tail, l->msgpack, m->nout, l->flags);
    if (!l->msgpack && req_is_browser(l->r)) {
        answer_person(l->r, &head, entries, &tail);
        goto out;
    }
    if (!l->msgpack)
        sbuf_putc(&tail, '\n');
    resp_hdr(l->r, "Content-Type", l->msgpack ? STR_LIT("application/msgpack") : STR_LIT("application/json; charset=utf-8"));
    if (resp_start(l->r, 200, (int64_t)(head.n + entries->n + tail.n)) == 0 && resp_write(l->r, head.p, head.n) == 0 &&
        resp_write(l->r, entries->p, entries->n) == 0 && resp_write(l->r, tail.p, tail.n) == 0)
        (void)resp_end(l->r);
out:
    sbuf_fini(&head);
    sbuf_fini(&tail);
}

/* The target that a client wants asked: there must be such a one, though what is here is asked of all. */
static int
check_pinned(struct req *r, struct str sid, struct err *e)
{
    const struct snode *t = sid.n > 0 ? smap_find(req_views(r)->smap, sid) : NULL;

    if (sid.n == 0 || (t != NULL && t->role == ROLE_TARGET))
        return 0;
    err_set(e, AIS_E_BADREQ, "%s: list failure: node %.*s does not exist", req_node(r)->name, STR_FMT(sid));
    return err_tcode(e, "ErrNodeNotFound");
}

void
list_objects(struct req *r, struct str name, const struct json_t *value)
{
    struct node     *n = req_node(r);
    struct listing   l = { .r = r };
    struct lso_merge m = { .n = 0 };
    struct sbuf      entries, path;
    struct err       e = { .code = 0 };
    char             disp[BCK_DISPLAY_MAX];
    int              rc = req_bck(r, name, &l.b, NULL, &e);

    sbuf_init(&entries, 512 * MIB);
    sbuf_init(&path, 64 * KIB);
    if (rc == 0)
        rc = access_check(&l.b, ACC_LIST, &e);
    if (rc == 0)
        rc = lso_msg_read(&l.msg, value, n->name, &e);
    if (rc == 0)
        rc = lso_msg_check(&l.msg, &l.b, bck_display(&l.b, disp), &e);
    if (rc == 0)
        rc = check_pinned(r, l.msg.sid, &e);
    if (rc == 0) {
        l.msgpack = http1_accepts(r->head->accept, STR_LIT("application/msgpack"));
        lso_path(&path, &l.b, LSO_VERB_LIST);
        l.path = sbuf_str(&path);
        rc = collect(&l, &m, &entries, &e);
    }
    if (rc == 0 && !sbuf_ok(&entries))
        rc = err_set(&e, AIS_E_TOOBIG, "the page is too large");
    if (rc < 0) {
        stat_inc(n->stats, STAT_ERR_LST_N);
        resp_err(r, rc, &e);
    } else {
        stat_inc(n->stats, STAT_LST_N);
        answer(&l, &m, &entries);
    }
    sbuf_fini(&entries);
    sbuf_fini(&path);
}
