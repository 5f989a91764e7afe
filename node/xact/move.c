/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving objects between targets: see move.h.
 *
 * Runs on: fibers. May park.
 */
#include "xact/move.h"

#include <stdlib.h>

#include "base/util.h"
#include "codec/mp.h"
#include "codec/url.h"
#include "core/lease.h"
#include "core/smap.h"
#include "core/strm.h"
#include "xact/xact.h"

#define HEAD_VERSION 1
#define HEAD_MEMBERS 7
#define REC_VERSION 1
#define REC_MEMBERS 11 /* and two for each pair of custom metadata */
#define BUF_MAX     (256 * KIB)
#define ANSWER_MAX  (16 * KIB)
#define SLOWEST_NS  4000 /* a byte of a body may take so long, or something is wrong */

/* --- generations --- */

static void
gen_bytes(const struct gen *g, unsigned char out[GEN_HEX / 2])
{
    be32_put(out, g->epoch);
    be64_put(out + 4, g->term);
    be64_put(out + 12, g->smap_ver);
    be64_put(out + 20, g->counter);
}

static struct gen
gen_of_bytes(const void *p)
{
    const char *b = p;

    return (struct gen){ .epoch = be32_get(b), .term = be64_get(b + 4), .smap_ver = be64_get(b + 12), .counter = be64_get(b + 20) };
}

int
gen_order(const struct gen *a, const struct gen *b)
{
    unsigned char x[GEN_HEX / 2], y[GEN_HEX / 2];

    gen_bytes(a, x);
    gen_bytes(b, y);
    return memcmp(x, y, sizeof(x));
}

void
gen_to_hex(const struct gen *g, char out[GEN_HEX + 1])
{
    static const char digit[] = "0123456789abcdef";
    unsigned char     b[GEN_HEX / 2];

    gen_bytes(g, b);
    for (unsigned i = 0; i < sizeof(b); i++) {
        out[2 * i] = digit[b[i] >> 4];
        out[2 * i + 1] = digit[b[i] & 15];
    }
    out[GEN_HEX] = '\0';
}

bool
gen_from_hex(struct str hex, struct gen *g)
{
    unsigned char b[GEN_HEX / 2];
    uint64_t      v;

    if (hex.n != GEN_HEX)
        return false;
    for (unsigned i = 0; i < sizeof(b); i++) {
        if (!str_u64_base(str_from(hex.p + 2 * i, 2), 16, &v))
            return false;
        b[i] = (unsigned char)v;
    }
    *g = gen_of_bytes(b);
    return true;
}

/* --- the record --- */

void
move_of_obj(const struct bck *b, struct str name, const struct obj_info *oi, struct move *m)
{
    *m = (struct move){ .gen = oi->gen,         .bid = b->bid,          .size = oi->size,
                        .mtime_ns = oi->mtime_ns, .atime_ns = obj_info_atime(oi), .cksum = oi->cksum,
                        .name = name,           .version = oi->version, .ncustom = oi->ncustom,
                        .custom = oi->custom };
}

void
move_encode(const struct move *m, struct sbuf *out)
{
    unsigned char g[GEN_HEX / 2];

    gen_bytes(&m->gen, g);
    mp_arr(out, REC_MEMBERS + 2 * m->ncustom);
    mp_u64(out, REC_VERSION);
    mp_bin(out, str_from((char *)g, sizeof(g)));
    mp_u64(out, m->bid);
    mp_u64(out, m->size);
    mp_i64(out, m->mtime_ns);
    mp_i64(out, m->atime_ns);
    mp_strz(out, cksum_name(m->cksum.type));
    mp_strz(out, m->cksum.type == CKSUM_NONE ? "" : m->cksum.value);
    mp_bin(out, m->name);
    mp_bin(out, m->version);
    mp_u64(out, m->ncustom);
    for (unsigned i = 0; i < m->ncustom; i++) {
        mp_bin(out, m->custom[i].k);
        mp_bin(out, m->custom[i].v);
    }
}

static int
custom_decode(struct mp_in *in, struct move *m, struct kv kv[LMETA_MAX_CUSTOM])
{
    for (unsigned i = 0; i < m->ncustom; i++)
        if (mp_get_str(in, &kv[i].k) < 0 || mp_get_str(in, &kv[i].v) < 0)
            return -AIS_E_BADREQ;
    m->custom = kv;
    return 0;
}

int
move_decode(struct str rec, struct move *m, struct kv kv[LMETA_MAX_CUSTOM])
{
    struct mp_in in;
    struct str   gen, type, value;
    uint64_t     version, ncustom;
    uint32_t     n;

    *m = (struct move){ .size = 0 };
    if (rec.n == 0)
        return -AIS_E_BADREQ;
    in = (struct mp_in){ (const unsigned char *)rec.p, (const unsigned char *)rec.p + rec.n };
    if (mp_get_arr(&in, &n) < 0 || mp_get_u64(&in, &version) < 0 || version != REC_VERSION || mp_get_str(&in, &gen) < 0 ||
        gen.n != GEN_HEX / 2 || mp_get_u64(&in, &m->bid) < 0 || mp_get_u64(&in, &m->size) < 0 || mp_get_i64(&in, &m->mtime_ns) < 0 ||
        mp_get_i64(&in, &m->atime_ns) < 0 || mp_get_str(&in, &type) < 0 || mp_get_str(&in, &value) < 0 ||
        mp_get_str(&in, &m->name) < 0 || mp_get_str(&in, &m->version) < 0 || mp_get_u64(&in, &ncustom) < 0)
        return -AIS_E_BADREQ;
    if (ncustom > LMETA_MAX_CUSTOM || n != REC_MEMBERS + 2 * ncustom || m->name.n == 0 || m->name.n > OBJ_NAME_MAX ||
        m->size > INT64_MAX || !cksum_by_name(type, &m->cksum.type) || !str_copyz(value, m->cksum.value, sizeof(m->cksum.value)))
        return -AIS_E_BADREQ;
    m->gen = gen_of_bytes(gen.p);
    m->ncustom = (unsigned)ncustom;
    return custom_decode(&in, m, kv);
}

void
move_head_encode(const struct move_head *h, struct sbuf *out)
{
    mp_arr(out, HEAD_MEMBERS);
    mp_u64(out, HEAD_VERSION);
    mp_u64(out, h->smap_ver);
    mp_strz(out, provider_name(h->b.provider));
    mp_bin(out, h->b.ns_uuid);
    mp_bin(out, h->b.ns_name);
    mp_bin(out, h->b.name);
    mp_bin(out, h->rec);
}

int
move_head_decode(struct str s, struct move_head *h)
{
    struct mp_in in;
    struct str   provider;
    uint64_t     version;
    uint32_t     n;

    *h = (struct move_head){ .smap_ver = 0 };
    if (s.n == 0)
        return -AIS_E_BADREQ;
    in = (struct mp_in){ (const unsigned char *)s.p, (const unsigned char *)s.p + s.n };
    if (mp_get_arr(&in, &n) < 0 || n != HEAD_MEMBERS || mp_get_u64(&in, &version) < 0 || version != HEAD_VERSION ||
        mp_get_u64(&in, &h->smap_ver) < 0 || mp_get_str(&in, &provider) < 0 || !provider_by_name(provider, &h->b.provider) ||
        mp_get_str(&in, &h->b.ns_uuid) < 0 || mp_get_str(&in, &h->b.ns_name) < 0 || mp_get_str(&in, &h->b.name) < 0 ||
        mp_get_str(&in, &h->rec) < 0 || in.p != in.end)
        return -AIS_E_BADREQ;
    return 0;
}

/* --- taking in --- */

int
move_may_go(void *ctx, const struct bck *b, struct str name)
{
    return lease_owns(ctx, b, name) ? -AIS_E_CONFLICT : 0;
}

struct intake {
    struct node       *n;
    const struct bck  *b;
    const struct move *m;
    struct put_attrs   a;
    move_read_f       *rd;
    void              *ctx;
    char              *buf;
    size_t             cap;
    struct err        *e;
};

/* len bytes of the content into one file. */
static int
fill(struct intake *in, struct put *p, uint64_t len)
{
    int rc = 0;

    while (rc == 0 && len > 0) {
        ssize_t k = in->rd(in->ctx, in->buf, (size_t)MIN(len, (uint64_t)in->cap));

        if (k <= 0)
            rc = err_set(in->e, k < 0 ? (int)-k : AIS_E_CLOSED, "%.*s: the content ended early", STR_FMT(in->m->name));
        else
            rc = put_write(p, in->buf, (size_t)k, in->e);
        len -= k > 0 ? (uint64_t)k : 0;
    }
    if (rc < 0)
        put_abort(p);
    return rc;
}

static int
take_whole(struct intake *in)
{
    struct put *p;
    int         rc = put_begin(in->n->store, in->b, in->m->name, &in->a, &p, in->e);

    if (rc == 0)
        rc = fill(in, p, in->m->size);
    return rc < 0 ? rc : put_commit(p, NULL, in->e);
}

static int
take_chunk(struct intake *in, struct str id, unsigned num, uint64_t len)
{
    struct put_attrs a = { .length = (int64_t)len };
    struct put      *p;
    int              rc = mpt_part(in->n->store, in->b, in->m->name, id, num, &a, &p, in->e);

    if (rc == 0)
        rc = fill(in, p, len);
    return rc < 0 ? rc : put_commit(p, NULL, in->e);
}

/* As PUT does with bodies larger than the bucket's max_monolithic. */
static int
take_chunked(struct intake *in, unsigned n)
{
    struct store        *s = in->n->store;
    uint64_t             size = in->b->chunk_size, total = in->m->size;
    struct mpt_part_ref *refs = xcalloc(n, sizeof(*refs));
    char                 id[40];
    int                  rc = mpt_create(s, in->b, in->m->name, &in->a, id, in->e);

    if (rc < 0) {
        free(refs);
        return rc;
    }
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        refs[i].num = i + 1;
        rc = take_chunk(in, str_z(id), i + 1, MIN(size, total - i * size));
    }
    if (rc == 0)
        rc = mpt_complete_as(s, in->b, in->m->name, str_z(id), refs, n, &in->a, NULL, in->e);
    if (rc < 0)
        (void)mpt_abort(s, in->b, in->m->name, str_z(id), NULL);
    free(refs);
    return rc;
}

static int
take(struct intake *in)
{
    uint64_t size = in->b->chunk_size, n = size == 0 ? 0 : (in->m->size + size - 1) / size;

    if (in->b->max_monolithic == 0 || in->m->size <= in->b->max_monolithic || n < 2 || n > UFEST_MAX_CHUNKS)
        return take_whole(in);
    return take_chunked(in, (unsigned)n);
}

/* A rebalance that runs here counts what comes in. */
static void
count_in(struct node *n, uint64_t size)
{
    struct xact *x = n->jobs != NULL ? xreg_running(n->jobs, X_REBALANCE, NULL) : NULL;

    if (x != NULL)
        xact_count(x, XC_IN, 1, size);
    xact_put(x);
}

/*
 * Is what is here as new? A move away that is under way is waited for; one that comes later asks whose the object is, and learns that it is
 * this target's.
 */
static bool
have_it(struct node *n, const struct bck *b, const struct move *m)
{
    enum obj_state state;
    struct gen     g;

    return obj_gen_settled(n->store, b, m->name, &g, &state, NULL) == 0 && (state == OBJ_HERE || state == OBJ_TOMB) && gen_order(&g, &m->gen) >= 0;
}

static int
not_mine(struct node *n, const struct move *m, struct err *e)
{
    return err_set(e, AIS_E_UNAVAIL, "%s: %.*s is not this target's, please try again", n->name, STR_FMT(m->name));
}

/* 0: it is here now; 1: it was. */
static int
receive(struct intake *in)
{
    int rc;

    if (have_it(in->n, in->b, in->m))
        return 1;
    in->cap = (size_t)MAX(MIN(in->m->size, (uint64_t)BUF_MAX), (uint64_t)1);
    in->buf = malloc(in->cap);
    rc = in->buf == NULL ? err_set(in->e, AIS_E_NOMEM, "no memory to take in an object") : take(in);
    free(in->buf);
    if (rc == -AIS_E_CONFLICT) {
        err_clear(in->e);
        return 1;
    }
    return rc;
}

int
move_receive(struct node *n, const struct bck *b, const struct move *m, move_read_f *rd, void *ctx, struct err *e)
{
    struct intake     in = { .n = n, .b = b, .m = m, .rd = rd, .ctx = ctx, .e = e };
    struct lease_stay stay;
    int               rc;

    in.a = (struct put_attrs){ .length = (int64_t)m->size, .expect = m->cksum,  .version = m->version,   .atime_ns = m->atime_ns,
                               .mtime_ns = m->mtime_ns,    .custom = m->custom, .ncustom = m->ncustom, .from_peer = true,
                               .gen = m->gen };
    if (m->bid != b->bid)
        return err_nobck(e, b);
    lease_stay(n, &stay);
    rc = lease_owns(n, b, m->name) ? receive(&in) : not_mine(n, m, e);
    /* A map that came meanwhile may have asked here in vain: the sender must not let go of it. */
    if (rc >= 0 && !lease_owns(n, b, m->name))
        rc = not_mine(n, m, e);
    lease_go(n, &stay);
    if (rc == 0)
        count_in(n, m->size);
    return rc;
}

/* --- sending --- */

struct str
obj_path(struct arena *a, const char *prefix, const struct bck *b, struct str name)
{
    struct sbuf sb;
    struct str  path;

    sbuf_init(&sb, 64 * KIB);
    sbuf_putz(&sb, prefix);
    url_encode_path(&sb, b->name);
    sbuf_putc(&sb, '/');
    url_encode_path(&sb, name);
    sbuf_printf(&sb, "?provider=%s", provider_name(b->provider));
    if (b->ns_uuid.n > 0 || b->ns_name.n > 0) {
        sbuf_putz(&sb, "&namespace=%40");
        url_encode_query(&sb, b->ns_uuid);
        sbuf_putz(&sb, "%23");
        url_encode_query(&sb, b->ns_name);
    }
    path = sbuf_ok(&sb) ? arena_str(a, sbuf_str(&sb)) : STR_NULL;
    sbuf_fini(&sb);
    return path;
}

const char *const move_streams[MOVE_STREAMS] = { "move-0", "move-1", "move-2", "move-3", "move-4", "move-5", "move-6", "move-7" };

/* An object that is being sent. */
struct sending {
    struct strm_obj so;
    struct obj     *o;
    struct str      front; /* what comes before the content */
    struct opiece   piece;
    bool            open;  /* piece is */
    uint64_t        off;
    struct err     *e;
};

static void
piece_done(struct sending *s)
{
    if (s->open)
        obj_piece_done(&s->piece);
    s->open = false;
}

static int
next_piece(struct strm_obj *so, struct strm_piece *out)
{
    struct sending *s = CONTAINER_OF(so, struct sending, so);
    int             rc;

    piece_done(s);
    *out = (struct strm_piece){ .fd = -1 };
    if (s->front.n > 0) {
        *out = (struct strm_piece){ .mem = s->front.p, .fd = -1, .len = s->front.n };
        s->front = STR_NULL;
        return 0;
    }
    if (s->off == obj_info(s->o)->size)
        return 0;
    rc = obj_piece(s->o, s->off, &s->piece, s->e);
    if (rc < 0)
        return rc;
    s->open = true;
    s->off += s->piece.len;
    *out = (struct strm_piece){ .fd = s->piece.fd, .off = s->piece.off, .len = s->piece.len };
    return 0;
}

/* Small objects share one connection; large ones are written one after the other on each, so they have several. */
static const char *
stream_for(struct node *n, uint64_t size, unsigned *flags)
{
    struct views v;
    unsigned     width;

    views_get(n, &v);
    width = (unsigned)MAX(MIN(v.conf->rebalance.s.bundle_multiplier, (int64_t)MOVE_STREAMS), (int64_t)1);
    *flags = strcmp(v.conf->rebalance.s.compression, "always") == 0 ? STRM_LZ4 : 0;
    views_put(&v);
    return move_streams[size <= STRM_SMALL ? 0 : rand_u64() % width];
}

/* Header, and what of it goes in front of the content: rec, which begins with room for its length, when it does not fit. */
static int
put_head(struct node *n, const struct bck *b, struct sbuf *rec, struct sbuf *head, struct str *front)
{
    struct move_head h = { .b = *b, .rec = str_from(rec->p + 4, rec->n - 4) };
    struct views     v;

    views_get(n, &v);
    h.smap_ver = v.smap->version;
    views_put(&v);
    move_head_encode(&h, head);
    if (sbuf_ok(head))
        return 0;
    sbuf_fini(head);
    sbuf_init(head, STRM_HDR_MAX);
    h.rec = STR_LIT("");
    move_head_encode(&h, head);
    be32_put(rec->p, (uint32_t)(rec->n - 4));
    *front = sbuf_str(rec);
    return sbuf_ok(head) ? 0 : -AIS_E_TOOBIG;
}

static int
send_over(struct node *n, const struct snode *to, struct sending *s, uint64_t size, struct err *e)
{
    const char *name = stream_for(n, size, &s->so.flags);
    char        why[STRM_REPLY_MAX];
    size_t      nwhy = sizeof(why);
    int64_t     limit = MOVE_STALL_NS + (int64_t)MIN(size, (uint64_t)INT64_MAX / SLOWEST_NS / 2) * SLOWEST_NS;
    int         rc;

    if (obj_info(s->o)->cksum.type != CKSUM_NONE && s->front.n == 0)
        s->so.flags |= STRM_OWN_SUM;
    rc = strm_call(n, to, name, &s->so, why, &nwhy, deadline_in(clock_mono(), limit));
    piece_done(s);
    if (rc < 0 && nwhy > 0 && nwhy < sizeof(why) && (e == NULL || e->code == 0))
        return err_set(e, -rc, "%.*s", (int)nwhy, why);
    return rc < 0 ? err_fill(e, rc) : 0;
}

int
move_send(struct node *n, const struct snode *to, const struct bck *b, struct str name, struct obj *o, struct err *e)
{
    const struct obj_info *oi = obj_info(o);
    struct sending         s = { .o = o, .e = e, .so = { .next = next_piece } };
    struct sbuf            rec, head;
    struct move            m;
    int                    rc;

    move_of_obj(b, name, oi, &m);
    sbuf_init(&rec, MOVE_REC_MAX);
    sbuf_init(&head, STRM_HDR_MAX);
    sbuf_put(&rec, (char[4]){ 0 }, 4);
    move_encode(&m, &rec);
    rc = sbuf_ok(&rec) ? put_head(n, b, &rec, &head, &s.front) : -AIS_E_TOOBIG;
    if (rc < 0) {
        rc = err_set(e, -rc, "%.*s: too much metadata to be sent", STR_FMT(name));
    } else {
        s.so.hdr = sbuf_str(&head);
        s.so.size = s.front.n + oi->size;
        rc = send_over(n, to, &s, s.so.size, e);
    }
    sbuf_fini(&rec);
    sbuf_fini(&head);
    return rc;
}

int
move_tomb(struct node *n, const struct snode *to, const struct bck *b, struct str name, const struct gen *g, struct arena *a, struct err *e)
{
    struct hc_resp resp;
    char           hex[GEN_HEX + 1];
    struct str     path = obj_path(a, "/v1/moves/", b, name);

    gen_to_hex(g, hex);
    path = path.p == NULL ? path : arena_printf(a, "%.*s&gen=%s", STR_FMT(path), hex);
    if (path.p == NULL)
        return err_set(e, AIS_E_NOMEM, "no memory to send a deletion");
    return node_call(n, to, M_DELETE, path, STR_NULL, a, ANSWER_MAX, MOVE_STALL_NS, &resp, e);
}

int
move_flush(struct node *n, const struct snode *to, struct arena *a, struct err *e)
{
    struct hc_resp resp;

    return node_call(n, to, M_PUT, STR_LIT("/v1/moves"), STR_NULL, a, ANSWER_MAX, MOVE_STALL_NS, &resp, e);
}
