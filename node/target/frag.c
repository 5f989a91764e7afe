/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of AIStore's erasure coding whose main replica is lost: made again from slices or a replica on other targets.
 *
 * The owner of the name asks every target what it has (the holder verifies its own content), takes the newest generation, and commits
 * the object unless there is one by now; its checksum is the proof. A request does that when it misses; a fiber of each target does it
 * once for every fragment that it holds, so that listings become whole, too. When an object is replaced or deleted, its fragments go.
 *
 * Runs on: fibers; arithmetic in the offload pool. Wire, between targets only:
 *     GET    /v1/fragments/BUCKET/OBJECT                 u32 length of the record, record, a replica's metadata; 404 when there is none,
 *                                                        with Ais-Fragments: none (the bucket has none at all) or others
 *     GET    /v1/fragments/BUCKET/OBJECT?off=O&len=L     content
 *     DELETE /v1/fragments/BUCKET/OBJECT                 200 also when there is none
 *     HEAD   /v1/objects/BUCKET/OBJECT                   from a target: Ais-Fragments: none when they would be of an earlier version
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "codec/rs.h"
#include "core/conf.h"
#include "run/disk.h"
#include "run/offload.h"
#include "target/target_impl.h"

#define FRAG_CALL_NS  SEC_NS(60)
#define RECORD_BODY   (80 * KIB)
#define PIECE         (256 * KIB)
#define RETRY_NS      SEC_NS(1)
#define RETRY_MAX_NS  SEC_NS(60)
#define HDR_FRAGMENTS "Ais-Fragments"

/* --- what others ask --- */

static bool
query_u64(struct req *r, struct str key, uint64_t *v)
{
    struct str s;

    return req_query(r, key, &s) && str_u64(s, v);
}

static void
send_record(struct req *r, const struct frag *f)
{
    char n[4];

    be32_put(n, (uint32_t)f->n);
    if (resp_start(r, 200, (int64_t)(sizeof(n) + f->n + f->nlmeta)) == 0 && resp_write(r, n, sizeof(n)) == 0 &&
        resp_write(r, f->image, f->n) == 0 && resp_write(r, f->lmeta, f->nlmeta) == 0)
        (void)resp_end(r);
}

void
h_target_frag_get(struct req *r)
{
    struct store *s = req_node(r)->store;
    struct err    e = { .code = 0 };
    struct bck    b;
    struct frag  *f = NULL;
    uint64_t      off = 0, len = 0;
    bool          data = query_u64(r, STR_LIT("off"), &off) && query_u64(r, STR_LIT("len"), &len);
    int           rc = req_bck(r, r->item[0], &b, NULL, &e);

    if (rc == 0)
        rc = frag_open(s, &b, r->item[1], !data, &f, &e);
    if (rc == 0 && data && (f->fd < 0 || off > f->size || len > f->size - off))
        rc = err_set(&e, AIS_E_RANGE, "a fragment of %" PRIu64 " bytes has no %" PRIu64 " at %" PRIu64, f->size, len, off);
    if (rc == -AIS_E_NOOBJ)
        resp_hdr(r, HDR_FRAGMENTS, frag_none(s, &b) ? STR_LIT("none") : STR_LIT("others"));
    if (rc < 0)
        resp_err(r, rc, &e);
    else if (!data)
        send_record(r, f);
    else if (resp_start(r, 200, (int64_t)len) == 0 && resp_file(r, f->fd, off, len) == 0)
        (void)resp_end(r);
    frag_close(f);
}

void
h_target_frag_delete(struct req *r)
{
    struct err e = { .code = 0 };
    struct bck b;
    int        rc = req_bck(r, r->item[0], &b, NULL, &e);

    if (rc == 0)
        rc = frag_drop(req_node(r)->store, &b, r->item[1], &e);
    if (rc < 0)
        return resp_err(r, rc, &e);
    resp_empty(r, 200);
}

/* --- finding --- */

/* One fragment and who has it. */
struct piece {
    const struct snode *at;    /* NULL: this target */
    struct frag        *local;
    struct ecmd         md;
    struct str          lmeta; /* a replica's; of a slice nothing */
};

struct search {
    struct node       *n;
    const struct bck  *b;
    struct str         name, target; /* target: the path on the wire */
    struct arena      *a;            /* of the whole search */
    unsigned           np;
    struct piece      *p;
    unsigned           unanswered;
    bool               nowhere;      /* everybody says that the bucket has no fragments at all */
};

static bool
add_record(struct search *s, const struct snode *at, struct str body)
{
    struct piece *p = &s->p[s->np];
    uint32_t      n = body.n < 4 ? 0 : be32_get(body.p);

    if (body.n < 4 || n > body.n - 4 || ecmd_decode(s->a, body.p + 4, n, &p->md) < 0)
        return false;
    p->at = at;
    p->local = NULL;
    p->lmeta = str_from_off(body, 4 + (size_t)n);
    s->np++;
    return true;
}

static void
add_local(struct search *s)
{
    struct err    e = { .code = 0 };
    struct piece *p = &s->p[s->np];

    if (frag_open(s->n->store, s->b, s->name, true, &p->local, &e) < 0) {
        s->nowhere &= frag_none(s->n->store, s->b);
        return;
    }
    s->nowhere = false;
    p->at = NULL;
    p->md = p->local->md;
    p->lmeta = str_from(p->local->lmeta, p->local->nlmeta);
    s->np++;
}

static struct str
hdr_fragments(const struct hc_resp *resp)
{
    return resp->head == NULL ? STR_NULL : http1_hdr(resp->head, STR_LIT(HDR_FRAGMENTS));
}

static bool
says_none(const struct hc_resp *resp)
{
    return str_eqz(hdr_fragments(resp), "none");
}

static int
search_all(struct search *s, const struct smap *map, struct err *e)
{
    struct bcast *c = arena_zalloc(s->a, (map->nactive + 1) * sizeof(*c));
    unsigned      n = 0;

    s->p = arena_zalloc(s->a, (map->nactive + 1) * sizeof(*s->p));
    if (c == NULL || s->p == NULL)
        return err_set(e, AIS_E_NOMEM, "no memory to look for slices");
    s->nowhere = true;
    add_local(s);
    for (unsigned i = 0; i < map->nactive; i++)
        if (strcmp(map->active[i]->id, s->n->id) != 0)
            c[n++].to = map->active[i];
    (void)node_bcast(s->n, c, n, M_GET, s->target, STR_NULL, s->a, RECORD_BODY, FRAG_CALL_NS);
    for (unsigned i = 0; i < n; i++) {
        if (c[i].rc == 0)
            s->nowhere &= !add_record(s, c[i].to, c[i].resp.body);
        else
            s->nowhere &= says_none(&c[i].resp);
        /* A target that does not know the bucket yet has not looked. */
        s->unanswered += c[i].rc < 0 && hdr_fragments(&c[i].resp).n == 0;
    }
    return 0;
}

static void
search_end(struct search *s)
{
    for (unsigned i = 0; i < s->np; i++)
        frag_close(s->p[i].local);
}

/* --- reading --- */

static bool
has_content(const struct piece *p)
{
    return p->md.slice_id > 0 || p->lmeta.n > 0;
}

static int
piece_read(struct search *s, const struct piece *p, uint64_t off, size_t n, uint8_t *buf, struct err *e)
{
    struct arena  *a;
    struct hc_resp resp;
    int            rc;

    if (p->local != NULL) {
        ssize_t k = disk_pread(p->local->fd, buf, n, off);

        return k == (ssize_t)n ? 0 : err_set(e, AIS_E_IO, "a fragment ends early");
    }
    a = arena_new(PIECE + 16 * KIB, 2 * MIB);
    rc = node_call(s->n, p->at, M_GET, arena_printf(a, "%.*s&off=%" PRIu64 "&len=%zu", STR_FMT(s->target), off, n), STR_NULL, a, n,
                   FRAG_CALL_NS, &resp, e);
    if (rc == 0 && resp.body.n != n)
        rc = err_set(e, AIS_E_IO, "%s sent %zu bytes of a fragment, not %zu", p->at->id, resp.body.n, n);
    if (rc == 0)
        memcpy(buf, resp.body.p, n);
    arena_free(a);
    return rc;
}

/* The slices that make the object: one of each number. */
struct slices {
    unsigned            data, parity;
    uint64_t            size;          /* of a slice */
    const struct piece *by_nr[RS_MAX]; /* from 0; NULL = not there */
    uint8_t             have[RS_MAX];  /* the first `data` that are there */
    unsigned            n;
};

struct combine {
    const struct slices *sl;
    unsigned             want;
    size_t               n;
    uint8_t             *src[RS_MAX], *out;
    int                  rc;
};

static void
combine_blocking(void *arg)
{
    struct combine *c = arg;
    uint8_t         coef[RS_MAX];

    c->rc = rs_row(c->sl->data, c->sl->parity, c->sl->have, c->want, coef);
    if (c->rc == 0)
        rs_combine(coef, c->sl->data, c->src, c->n, c->out);
}

/* n bytes at off of slice nr into buf, which has room for one piece of every slice behind them. */
static int
slice_read(struct search *s, const struct slices *sl, unsigned nr, uint64_t off, size_t n, uint8_t *buf, struct err *e)
{
    struct combine c = { .sl = sl, .want = nr, .n = n, .out = buf };
    int            rc = 0;

    if (sl->by_nr[nr] != NULL)
        return piece_read(s, sl->by_nr[nr], off, n, buf, e);
    for (unsigned i = 0; rc == 0 && i < sl->data; i++) {
        c.src[i] = buf + (i + 1) * PIECE;
        rc = piece_read(s, sl->by_nr[sl->have[i]], off, n, c.src[i], e);
    }
    if (rc < 0)
        return rc;
    offload(combine_blocking, &c);
    return c.rc < 0 ? err_set(e, -c.rc, "slices cannot be combined") : 0;
}

/* The content: all data slices one after the other, less the padding. */
static int
write_slices(struct search *s, const struct slices *sl, uint64_t size, struct put *p, struct err *e)
{
    uint8_t *buf = malloc((sl->data + 1) * PIECE);
    uint64_t done = 0;
    int      rc = buf == NULL ? err_set(e, AIS_E_NOMEM, "no memory to combine slices") : 0;

    for (unsigned nr = 0; rc == 0 && nr < sl->data; nr++)
        for (uint64_t off = 0; rc == 0 && off < sl->size && done < size;) {
            size_t n = (size_t)MIN(MIN(sl->size - off, size - done), (uint64_t)PIECE);

            rc = slice_read(s, sl, nr, off, n, buf, e);
            if (rc == 0)
                rc = put_write(p, buf, n, e);
            off += n;
            done += n;
        }
    free(buf);
    return rc;
}

static int
write_replica(struct search *s, const struct piece *from, uint64_t size, struct put *p, struct err *e)
{
    uint8_t *buf = malloc(PIECE);
    int      rc = buf == NULL ? err_set(e, AIS_E_NOMEM, "no memory to copy a replica") : 0;

    for (uint64_t off = 0; rc == 0 && off < size;) {
        size_t n = (size_t)MIN(size - off, (uint64_t)PIECE);

        rc = piece_read(s, from, off, n, buf, e);
        if (rc == 0)
            rc = put_write(p, buf, n, e);
        off += n;
    }
    free(buf);
    return rc;
}

/* --- choosing --- */

/* A replica or enough slices of the newest generation. *best: whose record describes the object. */
static bool
choose(struct search *s, const struct piece **best, struct slices *sl)
{
    const struct piece *top = NULL;

    for (unsigned i = 0; i < s->np; i++)
        if (has_content(&s->p[i]) && (top == NULL || s->p[i].md.generation > top->md.generation))
            top = &s->p[i];
    *best = top;
    *sl = (struct slices){ .n = 0 };
    if (top == NULL)
        return false;
    for (unsigned i = 0; i < s->np; i++)
        if (s->p[i].md.generation == top->md.generation && s->p[i].md.slice_id == 0 && has_content(&s->p[i])) {
            *best = &s->p[i];
            return true;
        }
    if (top->md.data == 0 || top->md.data + top->md.parity > RS_MAX)
        return false;
    sl->data = top->md.data;
    sl->parity = top->md.parity;
    sl->size = ((uint64_t)top->md.size + sl->data - 1) / sl->data;
    for (unsigned i = 0; i < s->np; i++) {
        const struct ecmd *md = &s->p[i].md;
        unsigned           nr = md->slice_id - 1u;

        if (md->generation != top->md.generation || md->slice_id == 0 || nr >= sl->data + sl->parity || sl->by_nr[nr] != NULL)
            continue;
        sl->by_nr[nr] = &s->p[i];
        if (sl->n < sl->data)
            sl->have[sl->n] = (uint8_t)nr;
        sl->n++;
    }
    return sl->n >= sl->data;
}

static void
attrs_of(const struct piece *p, struct lmeta *m, struct put_attrs *a)
{
    enum cksum_type type;

    *a = (struct put_attrs){ .length = p->md.size, .if_none_match_any = true, .version = p->md.obj_version };
    a->expect.type = CKSUM_NONE;
    if (p->md.obj_cksum.n > 0 && cksum_by_name(p->md.cksum_type, &type) &&
        str_copyz(p->md.obj_cksum, a->expect.value, sizeof(a->expect.value)))
        a->expect.type = type;
    if (p->md.slice_id == 0 && lmeta_decode(p->lmeta.p, p->lmeta.n, m) == 0) {
        a->version = m->version;
        for (unsigned i = 0; i < m->ncustom; i++)
            if (!str_eqz(m->custom[i].k, "orig_fntl"))
                m->custom[a->ncustom++] = m->custom[i];
        a->custom = m->custom;
    }
}

static int
make_again(struct search *s, const struct piece *best, const struct slices *sl, struct err *e)
{
    struct lmeta    *m = arena_zalloc(s->a, sizeof(*m));
    struct put_attrs a;
    struct put      *p;
    int              rc;

    if (m == NULL)
        return err_set(e, AIS_E_NOMEM, "no memory to make an object again");
    attrs_of(best, m, &a);
    rc = put_begin(s->n->store, s->b, s->name, &a, &p, e);
    if (rc < 0)
        return rc;
    rc = sl->n > 0 ? write_slices(s, sl, (uint64_t)best->md.size, p, e) : write_replica(s, best, (uint64_t)best->md.size, p, e);
    if (rc < 0) {
        put_abort(p);
        return rc;
    }
    rc = put_commit(p, NULL, e);
    if (rc == -AIS_E_PRECOND) { /* somebody was faster, or wrote a new one */
        err_clear(e);
        return 0;
    }
    if (rc == 0) /* a slice that the owner had itself: the whole object is better */
        rc = frag_drop(s->n->store, s->b, s->name, e);
    if (rc == 0)
        rc = frag_record(s->n->store, s->b, s->name, &best->md, e);
    if (rc == 0)
        log_warn("a lost object was made again", { "bucket", LSTR(s->b->name) }, { "object", LSTR(s->name) },
                 { "from", LZ(sl->n > 0 ? "slices" : "replica") }, { "bytes", LU64((uint64_t)best->md.size) });
    return rc;
}

/* --- the bucket has none: known per bucket, until the map changes --- */

static bool
known_nowhere(struct target *t, uint64_t bid, uint64_t smap_ver)
{
    bool yes = false;

    MUST(pthread_mutex_lock(&t->mtx));
    for (unsigned i = 0; i < ARRAY_SIZE(t->nofrags); i++)
        yes |= t->nofrags[i].bid == bid && t->nofrags[i].smap_ver == smap_ver;
    MUST(pthread_mutex_unlock(&t->mtx));
    return yes;
}

static void
learn_nowhere(struct target *t, uint64_t bid, uint64_t smap_ver)
{
    MUST(pthread_mutex_lock(&t->mtx));
    t->nofrags[bid % ARRAY_SIZE(t->nofrags)].bid = bid;
    t->nofrags[bid % ARRAY_SIZE(t->nofrags)].smap_ver = smap_ver;
    MUST(pthread_mutex_unlock(&t->mtx));
}

static int
restore(struct search *s, const struct smap *map, struct err *e)
{
    const struct piece *best;
    struct slices       sl;
    int                 rc = search_all(s, map, e);

    if (rc < 0)
        return rc;
    if (choose(s, &best, &sl))
        return make_again(s, best, &sl, e);
    if (s->nowhere && s->unanswered == 0)
        learn_nowhere(target_of(s->n), s->b->bid, map->version);
    if (s->unanswered > 0)
        return err_set(e, AIS_E_UNAVAIL, "%.*s may have slices on targets that do not answer", STR_FMT(s->name));
    if (best != NULL)
        log_error("an object is lost: too few slices", { "bucket", LSTR(s->b->name) }, { "object", LSTR(s->name) },
                  { "slices", LU64(sl.n) }, { "needed", LU64(sl.data) });
    return -AIS_E_NOOBJ;
}

int
frag_restore(const struct copier *c, const struct bck *b, struct str name, struct err *e)
{
    struct search s = { .n = c->n, .b = b, .name = name };
    int           rc;

    if (known_nowhere(target_of(c->n), b->bid, c->smap->version) || obj_was_deleted(c->n->store, b, name))
        return -AIS_E_NOOBJ;
    s.a = arena_new(64 * KIB, 32 * MIB);
    s.target = obj_path(s.a, "/v1/fragments/", b, name);
    rc = s.target.p == NULL ? err_set(e, AIS_E_NOMEM, "no memory to look for slices") : restore(&s, c->smap, e);
    search_end(&s);
    arena_free(s.a);
    return rc;
}

/* A former owner of the object cannot be asked: slices do instead, unless there is an object here, which may be an older one. */
static int
restore_unasked(const struct copier *c, const struct objreq *o, unsigned flags, struct obj **out, struct err *e)
{
    struct err     why = *e;
    struct gen     g;
    enum obj_state state;
    int            rc = obj_gen(c->n->store, &o->b, o->name, &g, &state, e);

    if (rc == 0)
        rc = state == OBJ_HERE ? -AIS_E_UNAVAIL : frag_restore(c, &o->b, o->name, e);
    if (rc == 0) {
        err_clear(e);
        return obj_open(c->n->store, &o->b, o->name, flags, out, e);
    }
    *e = why;
    return -AIS_E_UNAVAIL;
}

int
obj_open_or_restore(struct req *r, const struct objreq *o, unsigned flags, struct obj **out, struct err *e)
{
    struct node        *n = req_node(r);
    struct copier       c = copier_of(r);
    const struct snode *owner;
    int                 rc = obj_settle(&c, &o->b, o->name, e);

    if (rc == -AIS_E_UNAVAIL && o->b.ec)
        return restore_unasked(&c, o, flags, out, e);
    if (rc == 0)
        rc = obj_open(n->store, &o->b, o->name, flags, out, e);
    if (rc != -AIS_E_NOOBJ || !o->b.ec || !obj_is_mine(&c, &o->b, o->name, &owner))
        return rc;
    err_clear(e);
    rc = frag_restore(&c, &o->b, o->name, e);
    return rc == 0 ? obj_open(n->store, &o->b, o->name, flags, out, e) : rc;
}

/* --- an object was replaced or deleted --- */

void
frag_outdated(struct req *r, const struct bck *b, struct str name)
{
    struct node       *n = req_node(r);
    const struct smap *map = req_views(r)->smap;
    struct frag       *f;
    struct err         e = { .code = 0 };
    struct bcast      *c;
    unsigned           k = 0;
    int                rc;

    if (!b->ec || frag_open(n->store, b, name, false, &f, &e) < 0)
        return;
    frag_close(f);
    c = arena_zalloc(r->arena, (map->nactive + 1) * sizeof(*c));
    for (unsigned i = 0; c != NULL && i < map->nactive; i++)
        if (strcmp(map->active[i]->id, n->id) != 0)
            c[k++].to = map->active[i];
    rc = c == NULL ? -AIS_E_NOMEM
                   : node_bcast(n, c, k, M_DELETE, obj_path(r->arena, "/v1/fragments/", b, name), STR_NULL, r->arena, RECORD_BODY, FRAG_CALL_NS);
    for (unsigned i = 0; rc == 0 && i < k; i++)
        rc = c[i].rc;
    /* Our own record last: as long as it is there, the next change of the object tries again. */
    if (rc == 0)
        rc = frag_drop(n->store, b, name, &e);
    if (rc < 0)
        log_warn("slices of an earlier version stay behind", { "bucket", LSTR(b->name) }, { "object", LSTR(name) }, { "error", LZ(err_text(rc)) });
}

/* --- once for all fragments: owners learn what they lost --- */

/* Is there an owner's record, which says that fragments elsewhere belong to the object that is here? */
static bool
has_record(struct store *s, const struct bck *b, struct str name)
{
    struct frag *f = NULL;
    struct err   e = { .code = 0 };
    int          rc = frag_open(s, b, name, false, &f, &e);
    bool         yes = rc == 0 ? f->fd < 0 : rc != -AIS_E_NOOBJ; /* unreadable: perhaps */

    frag_close(f);
    return yes;
}

static int
drop_outdated(struct store *s, const struct bck *b, struct str name, struct err *e)
{
    log_warn("a slice or replica of an earlier version is removed", { "bucket", LSTR(b->name) }, { "object", LSTR(name) });
    return frag_drop(s, b, name, e);
}

/* One of our own objects: is it there? */
static int
settle_mine(const struct copier *c, const struct bck *b, struct str name, struct err *e)
{
    struct store *s = c->n->store;
    struct obj   *o = NULL;
    int           rc = obj_settle(c, b, name, e);

    if (rc == 0)
        rc = obj_open(s, b, name, OBJ_NO_FD | OBJ_NO_LRU, &o, e);
    obj_close(o);
    if (rc == 0)
        return has_record(s, b, name) ? 0 : drop_outdated(s, b, name, e);
    if (rc != -AIS_E_NOOBJ)
        return rc;
    err_clear(e);
    return obj_was_deleted(s, b, name) ? drop_outdated(s, b, name, e) : frag_restore(c, b, name, e);
}

/* Another owner restores what it is asked for, or says that its object has no fragments any more: ours is of an earlier version. */
static int
settle_theirs(const struct copier *c, const struct snode *owner, const struct bck *b, struct str name, struct err *e)
{
    struct hc_resp resp = { .status = 0 };
    int            rc = node_call(c->n, owner, M_HEAD, obj_path(c->arena, "/v1/objects/", b, name), STR_NULL, c->arena, RECORD_BODY,
                                  FRAG_CALL_NS, &resp, e);

    if (!says_none(&resp))
        return rc < 0 && e->status == 404 ? -AIS_E_NOOBJ : rc;
    return drop_outdated(c->n->store, b, name, e);
}

static int
settle_one(struct node *n, const struct views *v, const struct bck *b, struct str name, struct err *e)
{
    struct copier       c = { .n = n, .smap = v->smap, .rmd = v->rmd, .arena = arena_new(4 * KIB, MIB) };
    const struct snode *owner;
    int                 rc;

    if (obj_is_mine(&c, b, name, &owner))
        rc = settle_mine(&c, b, name, e);
    else
        rc = owner == NULL ? -AIS_E_UNAVAIL : settle_theirs(&c, owner, b, name, e);
    arena_free(c.arena);
    return rc == -AIS_E_NOOBJ ? 0 : rc; /* lost for good, and logged by the owner */
}

void
frag_say(struct req *r, const struct objreq *o, bool exists)
{
    struct store *s = req_node(r)->store;

    if (!o->b.ec || !req_is_intra(r))
        return;
    if (exists ? !has_record(s, &o->b, o->name) : obj_was_deleted(s, &o->b, o->name))
        resp_hdr(r, HDR_FRAGMENTS, STR_LIT("none"));
}

/* Fragments of one bucket; how many owners could not be asked. */
static uint64_t
settle_bck(struct node *n, const struct views *v, const struct bck *b)
{
    struct target    *t = target_of(n);
    struct frag_walk *w = frag_walk_new(n->store, b);
    struct sbuf       names;
    uint64_t          failed = 0;

    sbuf_init(&names, 4 * MIB);
    while (!atomic_load(&t->stopping) && frag_walk_next(w, &names) > 0) {
        struct str name;
        size_t     at = 0;

        while (!atomic_load(&t->stopping) && frag_name_next(&names, &at, &name)) {
            struct err e = { .code = 0 };

            failed += settle_one(n, v, b, name, &e) < 0;
        }
    }
    sbuf_fini(&names);
    frag_walk_free(w);
    return failed;
}

static uint64_t
settle_all(struct node *n)
{
    struct target *t = target_of(n);
    struct views   v;
    uint64_t       failed = 0;

    views_get(n, &v);
    for (unsigned i = 0; v.bmd != NULL && v.smap != NULL && i < v.bmd->n && !atomic_load(&t->stopping); i++)
        if (v.bmd->sorted[i]->bck.ec && !frag_none(n->store, &v.bmd->sorted[i]->bck))
            failed += settle_bck(n, &v, &v.bmd->sorted[i]->bck);
    views_put(&v);
    return failed;
}

static bool
settle_nap(struct target *t, int64_t ns)
{
    for (int64_t until = deadline_in(clock_mono(), ns); !atomic_load(&t->stopping) && clock_mono() < until;)
        if (fiber_sleep(MSEC_NS(100)) < 0)
            return false;
    return !atomic_load(&t->stopping);
}

static void
settle_fiber(void *arg)
{
    struct node   *n = arg;
    struct target *t = target_of(n);
    int64_t        nap = RETRY_NS;
    uint64_t       failed;

    while (!(atomic_load(&n->flags) & NODE_CLUSTER_STARTED) && settle_nap(t, MSEC_NS(100)))
        ;
    while ((failed = settle_all(n)) > 0 && settle_nap(t, nap)) {
        log_warn("owners of fragments could not be asked, trying again", { "fragments", LU64(failed) });
        nap = MIN(2 * nap, RETRY_MAX_NS);
    }
    atomic_store(&t->settling, false);
}

void
frag_settle(struct node *n)
{
    struct target *t = target_of(n);

    if (t == NULL || n->store == NULL || atomic_exchange(&t->settled, true))
        return;
    atomic_store(&t->settling, true);
    if (fiber_spawn(run_loop(n->run, 0), "fragments", settle_fiber, n) < 0)
        atomic_store(&t->settling, false);
}

void
frag_stop(struct target *t)
{
    atomic_store(&t->stopping, true);
    while (atomic_load(&t->settling))
        usleep(5000);
}
