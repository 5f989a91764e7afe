/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects that lie with a former owner, while the bucket is unsettled (core/rmd.h): found, and brought here, when somebody wants them.
 *
 * Whoever owned the name under a map of the chain may have a newer generation than this target, until a rebalance has settled it. A local
 * object or deletion of a newer map than those is the newest there is. Otherwise the former owners are asked, newest first; each answers
 * only when it knows our map, and so cannot change the object any more. What is newer comes here and stays. One that cannot be asked makes the
 * answer a 503, never a 404. What was settled is remembered, in memory: then a request costs a look into a table.
 *
 * Runs on: the request's fiber. May park. Wire: xact/move.h.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/util.h"
#include "core/smap.h"
#include "core/strm.h"
#include "run/fiber.h"
#include "target/target_impl.h"
#include "xact/move.h"

#define FORMER_MAX   256
#define MAP_WAIT_NS  SEC_NS(2)  /* how long a question waits for this target to know the asker's map */
#define LOCK_WAIT_NS SEC_NS(10)
#define NAP_NS       MSEC_NS(5)
#define ANSWER_MAX   (16 * KIB)

/* --- what is known to be settled --- */

#define KNOWN_SLOTS (1u << 16) /* 512 KiB */

struct flight { /* somebody asks for the name now; the others wait */
    TAILQ_ENTRY(flight) link;
    uint64_t            key;
    TAILQ_HEAD(, fwait) waits;
};

struct fwait {
    TAILQ_ENTRY(fwait) link;
    struct park        park;
    bool               off; /* taken off the list by the leader */
};

struct settler {
    _Atomic uint64_t known[KNOWN_SLOTS]; /* by key; whatever was there before is forgotten */
    pthread_mutex_t  mtx;                /* protects flights; a leaf */
    TAILQ_HEAD(, flight) flights;
};

struct settler *
settler_new(void)
{
    struct settler *s = xcalloc(1, sizeof(*s));

    MUST(pthread_mutex_init(&s->mtx, NULL));
    TAILQ_INIT(&s->flights);
    return s;
}

void
settler_free(struct settler *s)
{
    if (s == NULL)
        return;
    pthread_mutex_destroy(&s->mtx);
    free(s);
}

/* Of a name under the newest map of the chain: a new one, and nothing is known. Never 0. */
static uint64_t
key_of(const struct rmd *r, const struct bck *b, struct str name)
{
    return hash_bytes(name.p, name.n, hash_u64(b->bid) ^ rmd_newest(r, b)) | 1;
}

static bool
known(struct settler *s, uint64_t key)
{
    return atomic_load_explicit(&s->known[key >> 48], memory_order_acquire) == key;
}

static void
learn(struct settler *s, uint64_t key)
{
    atomic_store_explicit(&s->known[key >> 48], key, memory_order_release);
}

/* --- one at a time --- */

static struct flight *
flight_find_locked(struct settler *s, uint64_t key)
{
    struct flight *f;

    TAILQ_FOREACH(f, &s->flights, link)
        if (f->key == key)
            return f;
    return NULL;
}

/* True: this fiber asks. False: somebody else did, look again. */
static bool
flight_begin(struct settler *s, struct flight *mine, int *rc)
{
    struct flight *f;
    struct fwait   w = { .off = false };

    *rc = 0;
    MUST(pthread_mutex_lock(&s->mtx));
    f = flight_find_locked(s, mine->key);
    if (f == NULL) {
        TAILQ_INIT(&mine->waits);
        TAILQ_INSERT_TAIL(&s->flights, mine, link);
        MUST(pthread_mutex_unlock(&s->mtx));
        return true;
    }
    park_init(&w.park);
    TAILQ_INSERT_TAIL(&f->waits, &w, link);
    MUST(pthread_mutex_unlock(&s->mtx));
    *rc = park_wait(&w.park, deadline_in(clock_mono(), MOVE_STALL_NS));
    MUST(pthread_mutex_lock(&s->mtx));
    if (!w.off) {
        f = flight_find_locked(s, mine->key);
        TAILQ_REMOVE(&f->waits, &w, link);
    }
    MUST(pthread_mutex_unlock(&s->mtx));
    return false;
}

static void
flight_end(struct settler *s, struct flight *mine)
{
    struct fwait *w;

    MUST(pthread_mutex_lock(&s->mtx));
    TAILQ_REMOVE(&s->flights, mine, link);
    while ((w = TAILQ_FIRST(&mine->waits)) != NULL) {
        TAILQ_REMOVE(&mine->waits, w, link);
        w->off = true;
        (void)park_wake(&w->park, 0);
    }
    MUST(pthread_mutex_unlock(&s->mtx));
}

/* --- who may have it --- */

/* The newest that is known of a name so far. */
struct newest {
    struct gen     gen;
    enum obj_state state;
    uint64_t       version; /* of an object at a former owner, as a number; 0 = none */
    bool           away;    /* it is there, not here */
};

struct former {
    const struct rmd_target *t;
    uint64_t                 until; /* the last map under which it owned the name */
};

static unsigned
former_add(struct former *f, unsigned n, const struct rmd_target *t, uint64_t until)
{
    for (unsigned i = 0; i < n; i++)
        if (strcmp(f[i].t->id, t->id) == 0)
            return n;
    if (n < FORMER_MAX)
        f[n++] = (struct former){ t, until };
    return n;
}

/* All but this target, newest first. Of the oldest map of a full chain, which is several in one, everybody. */
static unsigned
former_all(const struct copier *c, const struct bck *b, struct str name, struct former *f)
{
    uint64_t digest = bck_obj_digest(b, name);
    unsigned n = 0;

    for (unsigned i = 0; i < c->rmd->nchain; i++) {
        const struct rmd_map    *m = &c->rmd->chain[i];
        const struct rmd_target *o = rmd_owner(m, digest);

        if (rmd_map_skips(m, b))
            continue;
        if (i + 1 == RMD_CHAIN_MAX)
            for (unsigned k = 0; k < m->n; k++)
                n = strcmp(m->t[k].id, c->n->id) == 0 ? n : former_add(f, n, &m->t[k], m->smap_ver);
        else if (o != NULL && strcmp(o->id, c->n->id) != 0)
            n = former_add(f, n, o, m->smap_ver);
    }
    return n;
}

/* Can it have something newer than that? Map versions count within one recovery epoch only. */
static bool
may_be_newer(const struct copier *c, const struct former *f, const struct newest *have)
{
    return have->state == OBJ_NONE || have->gen.epoch != node_fence(c->n).epoch || f->until >= have->gen.smap_ver;
}

static int
here(const struct copier *c, const struct bck *b, struct str name, struct newest *have, struct err *e)
{
    int rc;

    *have = (struct newest){ .state = OBJ_NONE };
    rc = obj_gen(c->n->store, b, name, &have->gen, &have->state, e);
    if (have->state == OBJ_MOVED) { /* gone to one of those who are asked */
        have->state = OBJ_NONE;
        have->gen = (struct gen){ .epoch = 0 };
    }
    return rc;
}

/* --- asking one --- */

struct question {
    const struct copier *c;
    const struct bck    *b;
    struct str           name;
    bool                 pull; /* bring what is newer here, else only tell */
    struct newest        have;
    struct arena        *a;
    struct err          *e;
};

static ssize_t
read_body(void *ctx, void *p, size_t n)
{
    return hc_read(ctx, p, n);
}

static int
read_exactly(struct hcall *hc, char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = hc_read(hc, p, n);

        if (k <= 0)
            return k < 0 ? (int)k : -AIS_E_CLOSED;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

/* A newer one comes. */
static int
take_newer(struct question *q, struct hcall *hc)
{
    struct kv  *kv = arena_alloc(q->a, LMETA_MAX_CUSTOM * sizeof(*kv));
    struct move m;
    char        len[4], *rec;
    uint32_t    n;
    int         rc = read_exactly(hc, len, sizeof(len));

    if (rc < 0)
        return rc;
    n = be32_get(len);
    rec = n > MOVE_REC_MAX ? NULL : arena_alloc(q->a, n + 1);
    if (rec == NULL || kv == NULL)
        return err_set(q->e, AIS_E_TOOBIG, "no memory for metadata of %u bytes", n);
    rc = read_exactly(hc, rec, n);
    if (rc < 0)
        return rc;
    if (move_decode(str_from(rec, n), &m, kv) < 0 || !str_eq(m.name, q->name))
        return err_set(q->e, AIS_E_BADREQ, "a former owner sent damaged metadata");
    rc = move_receive(q->c->n, q->b, &m, read_body, hc, q->e);
    if (rc < 0)
        return rc;
    q->have = (struct newest){ .gen = m.gen, .state = OBJ_HERE };
    return 0;
}

/* It was deleted there later than what is here. */
static int
take_tomb(struct question *q, const struct gen *g)
{
    q->have = (struct newest){ .gen = *g, .state = OBJ_TOMB, .away = !q->pull };
    return q->pull ? obj_delete_older(q->c->n->store, q->b, q->name, g, q->e) : 0;
}

static int
take_answer(struct question *q, struct hcall *hc, const struct http1_head *h)
{
    struct str state = http1_hdr(h, STR_LIT(MOVE_STATE_HDR));
    struct gen g;

    if (str_eqz(state, "none") || str_eqz(state, "same") || str_eqz(state, "older"))
        return 0;
    if (!gen_from_hex(http1_hdr(h, STR_LIT(MOVE_GEN_HDR)), &g))
        return err_set(q->e, AIS_E_BADREQ, "a former owner answered \"%.*s\" without a generation", STR_FMT(state));
    if (str_eqz(state, "tomb"))
        return take_tomb(q, &g);
    if (q->pull)
        return take_newer(q, hc);
    q->have = (struct newest){ .gen = g, .state = OBJ_HERE, .away = true };
    (void)str_u64(http1_hdr(h, STR_LIT("Ais-Version")), &q->have.version);
    return 0;
}

static int
peer_error(struct question *q, struct hcall *hc, int status)
{
    struct hc_resp resp = { .status = status };
    char          *buf = arena_alloc(q->a, ANSWER_MAX);
    size_t         n = 0;
    ssize_t        k = buf == NULL ? 0 : 1;

    while (k > 0 && n < ANSWER_MAX) {
        k = hc_read(hc, buf + n, ANSWER_MAX - n);
        n += k > 0 ? (size_t)k : 0;
    }
    resp.body = str_from(buf, n);
    return node_peer_err(&resp, q->e);
}

static int
ask(struct question *q, const struct snode *to)
{
    struct hdr              *h = arena_alloc(q->a, NODE_HDRS * sizeof(*h));
    struct snode            *peer = arena_alloc(q->a, sizeof(*peer));
    struct hc_req            r = { .method = M_GET, .timeout_ns = MOVE_STALL_NS };
    struct str               path = obj_path(q->a, "/v1/moves/", q->b, q->name);
    const struct http1_head *head;
    struct hcall            *hc = NULL;
    char                     hex[GEN_HEX + 1];
    int                      rc;

    gen_to_hex(&q->have.gen, hex);
    if (h == NULL || peer == NULL || path.p == NULL)
        return err_set(q->e, AIS_E_NOMEM, "no memory to ask a former owner");
    *peer = *to;
    r.target = arena_printf(q->a, "%.*s&than=%s%s", STR_FMT(path), hex, q->pull ? "" : "&state=1");
    r.base = str_z(to->data.url[0] != '\0' ? to->data.url : to->control.url);
    r.hdrs = h;
    r.nhdrs = node_call_hdrs(q->c->n, q->a, h);
    r.peer = peer;
    rc = hc_open(q->c->n->hc, &r, &hc, q->e);
    if (rc < 0)
        return rc;
    rc = hc_head(hc, &head);
    if (rc == 0)
        rc = head->status == 200 ? take_answer(q, hc, head) : peer_error(q, hc, head->status);
    hc_close(hc);
    return rc;
}

static int
cannot_ask(struct question *q, const char *id, const char *why)
{
    char disp[BCK_DISPLAY_MAX], was[256];

    str_copyz(str_z(why), was, sizeof(was));
    err_clear(q->e);
    return err_set(q->e, AIS_E_UNAVAIL, "%s: t[%s] may have %s/%.*s and cannot be asked (%s), please try again", q->c->n->name, id,
                   bck_display(q->b, disp), STR_FMT(q->name), was);
}

/* Everybody who may have something newer. -AIS_E_UNAVAIL: one cannot be asked. */
static int
ask_all(struct question *q)
{
    struct former *f = arena_alloc(q->a, FORMER_MAX * sizeof(*f));
    unsigned       n = f == NULL ? 0 : former_all(q->c, q->b, q->name, f);

    if (f == NULL)
        return err_set(q->e, AIS_E_NOMEM, "no memory to ask former owners");
    for (unsigned i = 0; i < n; i++) {
        const struct snode *to = smap_find(q->c->smap, str_z(f[i].t->id));
        int                 rc;

        if (to == NULL || !may_be_newer(q->c, &f[i], &q->have)) /* who left the cluster took away what it had */
            continue;
        if (to->flags & SNODE_DEAD)
            return cannot_ask(q, to->id, "it is down");
        rc = ask(q, to);
        if (rc == -AIS_E_CORRUPT || rc == -AIS_E_CKSUM || rc == -AIS_E_NOSPACE || rc == -AIS_E_IO)
            return err_fill(q->e, rc);
        if (rc < 0)
            return cannot_ask(q, to->id, q->e->code != 0 ? q->e->text : err_text(rc));
    }
    return 0;
}

/* --- what handlers call --- */

static bool
unsettled(const struct copier *c, const struct bck *b, struct str name)
{
    const struct snode *owner;

    return c->rmd->nchain > 0 && rmd_unsettled(c->rmd, b) && obj_is_mine(c, b, name, &owner);
}

static int
settle_asking(const struct copier *c, const struct bck *b, struct str name, uint64_t key, struct err *e)
{
    struct question q = { .c = c, .b = b, .name = name, .pull = true, .a = arena_new(16 * KIB, 4 * MIB), .e = e };
    int             rc = here(c, b, name, &q.have, e);

    if (rc == 0)
        rc = ask_all(&q);
    if (rc == 0)
        learn(target_of(c->n)->settler, key);
    arena_free(q.a);
    return rc;
}

int
obj_settle(const struct copier *c, const struct bck *b, struct str name, struct err *e)
{
    struct settler *s = target_of(c->n)->settler;
    struct flight   f;
    int             rc = 0;

    if (LIKELY(c->rmd->nchain == 0) || !unsettled(c, b, name))
        return 0;
    f.key = key_of(c->rmd, b, name);
    while (rc == 0 && !known(s, f.key)) {
        if (!flight_begin(s, &f, &rc))
            continue;
        rc = settle_asking(c, b, name, f.key, e);
        flight_end(s, &f);
        if (rc == 0)
            return 0;
    }
    return rc < 0 ? err_fill(e, rc) : 0;
}

int
obj_look_away(const struct copier *c, const struct bck *b, struct str name, bool *there, uint64_t *version, struct err *e)
{
    struct question q = { .c = c, .b = b, .name = name, .a = NULL, .e = e };
    int             rc;

    *there = false;
    *version = 0;
    if (LIKELY(c->rmd->nchain == 0) || !unsettled(c, b, name) || known(target_of(c->n)->settler, key_of(c->rmd, b, name)))
        return 0;
    q.a = arena_new(16 * KIB, 4 * MIB);
    rc = here(c, b, name, &q.have, e);
    if (rc == 0)
        rc = ask_all(&q);
    arena_free(q.a);
    *there = rc == 0 && q.have.away && q.have.state == OBJ_HERE;
    *version = *there ? q.have.version : 0;
    return rc;
}

/* The tombstone here keeps older ones out in any case; this lets listings and directories forget them at once. */
void
obj_deleted_tell(const struct copier *c, const struct bck *b, struct str name)
{
    struct arena  *a;
    struct former *f;
    struct gen     g;
    enum obj_state state;
    unsigned       n;

    if (LIKELY(c->rmd->nchain == 0) || !rmd_unsettled(c->rmd, b) || obj_gen(c->n->store, b, name, &g, &state, NULL) < 0 || state != OBJ_TOMB)
        return;
    a = arena_new(32 * KIB, 4 * MIB);
    f = arena_alloc(a, FORMER_MAX * sizeof(*f));
    n = f == NULL ? 0 : former_all(c, b, name, f);
    for (unsigned i = 0; i < n; i++) {
        const struct snode *to = smap_find(c->smap, str_z(f[i].t->id));
        struct err          e = { .code = 0 };

        if (to != NULL && !(to->flags & SNODE_DEAD) && move_tomb(c->n, to, b, name, &g, a, &e) < 0)
            log_debug("a former owner was not told of a deletion", { "node", LZ(to->name) }, { "error", LZ(e.text) });
    }
    arena_free(a);
}

/* --- what former owners and sources ask --- */

/*
 * Answer only when this target knows the asker's map: then it commits nothing any more that is the asker's; and when nobody changes the
 * object at this moment: who does began before.
 */
static int
know_the_map(struct node *n, uint64_t asked, const struct bck *b, struct str name, struct err *e)
{
    int64_t until = deadline_in(clock_mono(), MAP_WAIT_NS);
    int     rc = 0;

    for (uint64_t mine = 0; mine < asked && rc == 0; rc = mine < asked ? fiber_sleep(NAP_NS) : 0) {
        struct views v;

        views_get(n, &v);
        mine = v.smap->version;
        views_put(&v);
        if (mine < asked && clock_mono() > until)
            return err_set(e, AIS_E_UNAVAIL, "%s: knows Smap v%" PRIu64 " only, not v%" PRIu64, n->name, mine, asked);
    }
    until = deadline_in(clock_mono(), LOCK_WAIT_NS);
    while (rc == 0 && obj_lock_state(n->store, b, name) == 2) {
        if (clock_mono() > until)
            return err_set(e, AIS_E_UNAVAIL, "%s: %.*s is being changed", n->name, STR_FMT(name));
        rc = fiber_sleep(NAP_NS);
    }
    return rc < 0 ? err_fill(e, rc) : 0;
}

static uint64_t
map_of_caller(const struct req *r)
{
    uint64_t v = 0;

    (void)str_u64(req_hdr(r, STR_LIT("Ais-Caller-Smap-Ver")), &v);
    return v;
}

static int
moves_begin(struct req *r, struct bck *b, struct err *e)
{
    int rc = obj_name_check(r->item[1], true, e);

    if (rc == 0)
        rc = req_bck(r, r->item[0], b, NULL, e);
    return rc;
}

static void
send_state(struct req *r, const char *state, const struct gen *g, struct str version)
{
    char hex[GEN_HEX + 1];

    gen_to_hex(g, hex);
    resp_hdr(r, MOVE_STATE_HDR, str_z(state));
    resp_hdr(r, MOVE_GEN_HDR, str_z(hex));
    if (version.n > 0)
        resp_hdr(r, "Ais-Version", version);
}

static int
send_object(struct req *r, const struct bck *b, struct obj *o, struct err *e)
{
    const struct obj_info *oi = obj_info(o);
    struct sbuf            rec;
    struct move            m;
    char                   len[4] = { 0 };
    uint64_t               off = 0;
    int                    rc;

    move_of_obj(b, r->item[1], oi, &m);
    sbuf_init(&rec, MOVE_REC_MAX);
    sbuf_put(&rec, len, sizeof(len));
    move_encode(&m, &rec);
    if (!sbuf_ok(&rec)) {
        sbuf_fini(&rec);
        return err_set(e, AIS_E_TOOBIG, "%.*s: too much metadata to be sent", STR_FMT(r->item[1]));
    }
    be32_put(rec.p, (uint32_t)(rec.n - sizeof(len)));
    send_state(r, "newer", &oi->gen, oi->version);
    rc = resp_start(r, 200, (int64_t)(rec.n + oi->size));
    if (rc == 0)
        rc = resp_write(r, rec.p, rec.n);
    sbuf_fini(&rec);
    while (rc == 0 && off < oi->size) {
        struct opiece piece;

        rc = obj_piece(o, off, &piece, e);
        if (rc < 0)
            return rc;
        rc = resp_file(r, piece.fd, piece.off, piece.len);
        off += piece.len;
        obj_piece_done(&piece);
    }
    return rc < 0 ? rc : resp_end(r);
}

/* GET /v1/moves/BUCKET/OBJECT */
static int
moves_answer(struct req *r, const struct bck *b, const struct gen *than, struct err *e)
{
    static const char *const none[] = { [OBJ_NONE] = "none", [OBJ_HERE] = "none", [OBJ_TOMB] = "tomb", [OBJ_MOVED] = "none" };
    struct node   *n = req_node(r);
    struct obj    *o = NULL;
    enum obj_state state;
    struct gen     g = { .epoch = 0 };
    struct str     v;
    int            rc = obj_open(n->store, b, r->item[1], OBJ_NO_LRU, &o, e);

    if (rc == -AIS_E_NOOBJ) {
        err_clear(e);
        rc = obj_gen(n->store, b, r->item[1], &g, &state, e);
        if (rc == 0) {
            send_state(r, state == OBJ_TOMB && gen_order(&g, than) <= 0 ? "older" : none[state], &g, STR_NULL);
            resp_empty(r, 200);
        }
    } else if (rc == 0 && gen_order(&obj_info(o)->gen, than) <= 0) {
        send_state(r, "older", &obj_info(o)->gen, STR_NULL);
        resp_empty(r, 200);
    } else if (rc == 0 && req_query(r, STR_LIT("state"), &v)) {
        send_state(r, "newer", &obj_info(o)->gen, obj_info(o)->version);
        resp_empty(r, 200);
    } else if (rc == 0) {
        rc = send_object(r, b, o, e);
    }
    obj_close(o);
    return rc;
}

void
h_target_moves_get(struct req *r)
{
    struct err e = { .code = 0 };
    struct bck b;
    struct gen than;
    struct str hex;
    int        rc = moves_begin(r, &b, &e);

    if (rc == 0 && (!req_query(r, STR_LIT("than"), &hex) || !gen_from_hex(hex, &than)))
        rc = err_set(&e, AIS_E_BADREQ, "no generation to compare with");
    if (rc == 0)
        rc = know_the_map(req_node(r), map_of_caller(r), &b, r->item[1], &e);
    if (rc == 0)
        rc = moves_answer(r, &b, &than, &e);
    if (rc < 0)
        resp_err(r, rc, &e);
}

/* --- what sources send: streams "move-..." --- */

struct arrival {
    struct strm_in *in;
    uint64_t        left; /* of the content */
};

static int
take_exactly(struct strm_in *in, char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = strm_read(in, p, n);

        if (k <= 0)
            return k < 0 ? (int)k : -AIS_E_BADREQ;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

/* Nothing is left, and what was read is whole. */
static int
is_over(struct strm_in *in)
{
    const void *p;
    ssize_t     k = strm_peek(in, &p);

    return k > 0 ? -AIS_E_BADREQ : (int)k;
}

/* The last bytes are only given when all of them are known to be whole: who has them commits. */
static ssize_t
read_content(void *ctx, void *p, size_t n)
{
    struct arrival *a = ctx;
    ssize_t         k = strm_read(a->in, p, n);
    int             rc;

    if (k <= 0)
        return k;
    a->left -= MIN((uint64_t)k, a->left);
    rc = a->left == 0 ? is_over(a->in) : 0;
    return rc < 0 ? rc : k;
}

/* The record, when it is not in the header. */
static int
read_record(struct strm_in *in, char **out, struct str *rec)
{
    char     len[4];
    uint32_t n;
    int      rc = take_exactly(in, len, sizeof(len));

    if (rc < 0)
        return rc;
    n = be32_get(len);
    *out = n > MOVE_REC_MAX ? NULL : malloc((size_t)n + 1);
    if (*out == NULL)
        return -AIS_E_TOOBIG;
    *rec = str_from(*out, n);
    return take_exactly(in, *out, n);
}

static int
arrive(struct node *n, const struct bmd *bmd, const struct move_head *h, struct str rec, struct arrival *a, struct err *e)
{
    const struct bucket *k = bmd_find(bmd, &h->b);
    struct kv           *kv = xmalloc(LMETA_MAX_CUSTOM * sizeof(*kv));
    struct move          m;
    int                  rc = move_decode(rec, &m, kv);

    if (rc < 0 || obj_name_check(m.name, true, NULL) < 0)
        rc = err_set(e, AIS_E_BADREQ, "malformed record of a move");
    else if (k == NULL)
        rc = err_nobck(e, &h->b);
    else
        rc = know_the_map(n, h->smap_ver, &k->bck, m.name, e);
    if (rc == 0) {
        a->left = m.size;
        rc = m.size == 0 ? is_over(a->in) : 0;
    }
    if (rc == 0)
        rc = move_receive(n, &k->bck, &m, read_content, a, e);
    free(kv);
    return rc;
}

static int
take_move(struct strm_in *in, void *ctx)
{
    struct err       e = { .code = 0 };
    struct arrival   a = { .in = in };
    struct move_head h;
    struct views     v;
    char            *mem = NULL;
    int              rc = move_head_decode(in->hdr, &h);

    (void)ctx;
    views_get(in->n, &v);
    if (rc < 0)
        rc = err_set(&e, AIS_E_BADREQ, "malformed header of a move");
    else if (h.rec.n == 0)
        rc = read_record(in, &mem, &h.rec);
    if (rc == 0)
        rc = arrive(in->n, v.bmd, &h, h.rec, &a, &e);
    views_put(&v);
    free(mem);
    if (rc < 0 && e.code != 0)
        (void)strm_reply(in, e.text, MIN(strlen(e.text), (size_t)STRM_REPLY_MAX - 1));
    return MIN(rc, 0);
}

int
moves_start(struct node *n)
{
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < MOVE_STREAMS; i++)
        rc = strm_handle(n, move_streams[i], take_move, NULL);
    return rc;
}

/* --- deletions, stable storage --- */

/* DELETE /v1/moves/BUCKET/OBJECT */
void
h_target_moves_delete(struct req *r)
{
    struct err e = { .code = 0 };
    struct bck b;
    struct gen g;
    struct str hex;
    int        rc = moves_begin(r, &b, &e);

    if (rc == 0 && (!req_query(r, STR_LIT("gen"), &hex) || !gen_from_hex(hex, &g)))
        rc = err_set(&e, AIS_E_BADREQ, "a deletion without a generation");
    if (rc == 0)
        rc = know_the_map(req_node(r), map_of_caller(r), &b, r->item[1], &e);
    if (rc == 0)
        rc = obj_delete_older(req_node(r)->store, &b, r->item[1], &g, &e);
    if (rc < 0)
        return resp_err(r, rc, &e);
    resp_empty(r, 200);
}

/* PUT /v1/moves */
void
h_target_moves_flush(struct req *r)
{
    struct err e = { .code = 0 };
    int        rc = store_flush(req_node(r)->store, &e);

    if (rc < 0)
        return resp_err(r, rc, &e);
    resp_empty(r, 200);
}
