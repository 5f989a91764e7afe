/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding and decoding of Raft messages. Pure functions over bytes.
 *
 * libraft trusts its peers: what it is handed must be whole, in range and consistent in itself. All of that is checked here.
 */
#include "core/raftwire.h"

#include <stdlib.h>
#include <string.h>

#include "codec/cksum.h"
#include "base/assert.h"
#include "base/err.h"
#include "base/util.h"

#define WIRE_MAGIC   0xa15c4af7u
#define WIRE_VERSION 1
#define ENTRY_HEAD   16u
#define HASH_AT      (RAFTWIRE_HEAD - 8)
#define INDEX_MAX    (UINT64_MAX / 4) /* beyond it somebody is lying, and sums would wrap */

/* --- writing --- */
static void
put8(struct sbuf *b, unsigned v)
{
    sbuf_putc(b, (char)v);
}

static void
put32(struct sbuf *b, uint32_t v)
{
    char p[4];

    be32_put(p, v);
    sbuf_put(b, p, sizeof(p));
}

static void
put64(struct sbuf *b, uint64_t v)
{
    char p[8];

    be64_put(p, v);
    sbuf_put(b, p, sizeof(p));
}

static void
put_append(struct sbuf *b, const struct raft_append_entries *a, unsigned at, unsigned n)
{
    uint64_t prev = a->prev_log_index + at, end = prev + n;
    unsigned i;

    put64(b, a->term);
    put64(b, prev);
    put64(b, at > 0 ? a->entries[at - 1].term : a->prev_log_term);
    put64(b, MIN(a->leader_commit, end));
    put32(b, n);
    for (i = at; i < at + n; i++) {
        const struct raft_entry *e = &a->entries[i];

        put32(b, (uint32_t)e->buf.len);
        put32(b, (uint32_t)e->type << 16);
        put64(b, e->term);
        sbuf_put(b, e->buf.base, e->buf.len);
    }
}

static void
put_append_result(struct sbuf *b, const struct raft_append_entries_result *r)
{
    put64(b, r->term);
    put64(b, r->rejected);
    put64(b, r->last_log_index);
}

static void
put_vote(struct sbuf *b, const struct raft_request_vote *v)
{
    put64(b, v->term);
    put64(b, v->candidate_id);
    put64(b, v->last_log_index);
    put64(b, v->last_log_term);
    put8(b, v->disrupt_leader);
    put8(b, v->pre_vote);
}

static void
put_vote_result(struct sbuf *b, const struct raft_request_vote_result *r)
{
    put64(b, r->term);
    put8(b, r->vote_granted);
    put8(b, r->pre_vote == raft_tribool_unknown ? 0 : r->pre_vote == raft_tribool_true ? 1 : 2);
}

static void
put_snapshot(struct sbuf *b, const struct raft_install_snapshot *s)
{
    struct raft_buffer conf;

    if (raft_configuration_encode(&s->conf, &conf) != 0) {
        b->failed = true;
        return;
    }
    put64(b, s->term);
    put64(b, s->last_index);
    put64(b, s->last_term);
    put64(b, s->conf_index);
    put32(b, (uint32_t)conf.len);
    sbuf_put(b, conf.base, conf.len);
    put64(b, s->data.len);
    sbuf_put(b, s->data.base, s->data.len);
    raft_free(conf.base);
}

static void
put_timeout_now(struct sbuf *b, const struct raft_timeout_now *t)
{
    put64(b, t->term);
    put64(b, t->last_log_index);
    put64(b, t->last_log_term);
}

static uint64_t
wire_hash(const char *p, size_t body)
{
    return xxh64(p + RAFTWIRE_HEAD, body, xxh64(p, HASH_AT, 0));
}

void
raftwire_put(struct sbuf *b, const struct raftwire *w, unsigned at, unsigned n)
{
    size_t start = b->n, body;
    char  *p;

    put32(b, WIRE_MAGIC);
    put8(b, WIRE_VERSION);
    put8(b, w->m.type);
    put8(b, 0);
    put8(b, 0);
    put32(b, w->epoch);
    put32(b, 0);
    put64(b, w->from);
    put64(b, w->to);
    put64(b, w->stamp);
    put64(b, w->echo_term);
    put64(b, w->echo_stamp);
    put64(b, 0);
    switch (w->m.type) {
    case RAFT_IO_APPEND_ENTRIES:
        put_append(b, &w->m.append_entries, at, n);
        break;
    case RAFT_IO_APPEND_ENTRIES_RESULT:
        put_append_result(b, &w->m.append_entries_result);
        break;
    case RAFT_IO_REQUEST_VOTE:
        put_vote(b, &w->m.request_vote);
        break;
    case RAFT_IO_REQUEST_VOTE_RESULT:
        put_vote_result(b, &w->m.request_vote_result);
        break;
    case RAFT_IO_INSTALL_SNAPSHOT:
        put_snapshot(b, &w->m.install_snapshot);
        break;
    case RAFT_IO_TIMEOUT_NOW:
        put_timeout_now(b, &w->m.timeout_now);
        break;
    default:
        ais_bug("raft message of type %u", w->m.type);
    }
    if (!sbuf_ok(b))
        return;
    body = b->n - start - RAFTWIRE_HEAD;
    p = b->p + start;
    be32_put(p + 12, (uint32_t)body);
    be64_put(p + HASH_AT, wire_hash(p, body));
}

/* --- reading --- */
struct rd {
    const char *p, *end;
    bool        bad;
};

static const char *
rd_bytes(struct rd *r, size_t n)
{
    const char *p = r->p;

    if (r->bad || (size_t)(r->end - p) < n) {
        r->bad = true;
        return NULL;
    }
    r->p += n;
    return p;
}

static uint8_t
rd8(struct rd *r)
{
    const char *p = rd_bytes(r, 1);

    return p != NULL ? (uint8_t)*p : 0;
}

static uint32_t
rd32(struct rd *r)
{
    const char *p = rd_bytes(r, 4);

    return p != NULL ? be32_get(p) : 0;
}

static uint64_t
rd64(struct rd *r)
{
    const char *p = rd_bytes(r, 8);

    return p != NULL ? be64_get(p) : 0;
}

/* An index or a term. */
static uint64_t
rd_index(struct rd *r)
{
    uint64_t v = rd64(r);

    if (v > INDEX_MAX)
        r->bad = true;
    return v;
}

static uint64_t
rd_term(struct rd *r)
{
    uint64_t v = rd_index(r);

    if (v == 0)
        r->bad = true;
    return v;
}

static bool
rd_bool(struct rd *r)
{
    uint8_t v = rd8(r);

    if (v > 1)
        r->bad = true;
    return v == 1;
}

static bool
entry_ok(const struct raft_entry *e, uint64_t prev_term, uint64_t term)
{
    struct raft_configuration c;

    if (e->term < prev_term || e->term > term || e->type < RAFT_COMMAND || e->type > RAFT_CHANGE)
        return false;
    if (e->type != RAFT_CHANGE)
        return true;
    if (raftconf_decode(str_from(e->buf.base, e->buf.len), &c) < 0)
        return false;
    raft_configuration_close(&c);
    return true;
}

/* One allocation for the array and one for all data: the batch that libraft frees. */
static void
rd_entries(struct rd *r, struct raft_append_entries *a, unsigned n)
{
    struct raft_entry *es;
    char              *batch, *q;
    uint64_t           prev = a->prev_log_term;
    unsigned           i;

    if ((size_t)(r->end - r->p) / ENTRY_HEAD < n) {
        r->bad = true;
        return;
    }
    es = raft_calloc(n, sizeof(*es));
    q = batch = raft_malloc((size_t)(r->end - r->p));
    if (es == NULL || batch == NULL)
        r->bad = true;
    for (i = 0; i < n && !r->bad; i++) {
        uint32_t    len = rd32(r), type = rd32(r);
        uint64_t    term = rd_term(r);
        const char *p = rd_bytes(r, len);

        if (p == NULL)
            break;
        memcpy(q, p, len);
        es[i] = (struct raft_entry){ .term = term, .type = (unsigned short)(type >> 16), .batch = batch, .buf = { q, len } };
        q += len;
        if ((type & 0xffff) != 0 || !entry_ok(&es[i], prev, a->term))
            r->bad = true;
        prev = term;
    }
    if (r->bad) {
        raft_free(es);
        raft_free(batch);
        return;
    }
    a->entries = es;
    a->n_entries = n;
}

static void
rd_append(struct rd *r, struct raft_append_entries *a)
{
    uint32_t n;

    a->term = rd_term(r);
    a->prev_log_index = rd_index(r);
    a->prev_log_term = rd_index(r);
    a->leader_commit = rd_index(r);
    n = rd32(r);
    if (r->bad || (a->prev_log_index == 0) != (a->prev_log_term == 0) || a->prev_log_term > a->term ||
        a->prev_log_index > INDEX_MAX - n || a->leader_commit > a->prev_log_index + n) {
        r->bad = true;
        return;
    }
    if (n > 0)
        rd_entries(r, a, n);
}

static void
rd_snapshot(struct rd *r, struct raft_install_snapshot *s)
{
    struct str  conf, data;
    const char *p;

    s->term = rd_term(r);
    s->last_index = rd_term(r);
    s->last_term = rd_term(r);
    s->conf_index = rd_term(r);
    conf.n = rd32(r);
    conf.p = rd_bytes(r, conf.n);
    data.n = rd64(r);
    data.p = rd_bytes(r, data.n);
    if (r->bad || r->p != r->end || s->last_term > s->term || s->conf_index > s->last_index || raftconf_decode(conf, &s->conf) < 0) {
        r->bad = true;
        return;
    }
    s->data.base = raft_malloc(MAX(data.n, 1));
    s->data.len = data.n;
    p = data.p;
    if (s->data.base == NULL) {
        raft_configuration_close(&s->conf);
        r->bad = true;
        return;
    }
    memcpy(s->data.base, p, data.n);
}

static void
rd_vote(struct rd *r, struct raft_request_vote *v)
{
    v->term = rd_term(r);
    v->candidate_id = rd64(r); /* any number but 0 */
    v->last_log_index = rd_index(r);
    v->last_log_term = rd_index(r);
    v->disrupt_leader = rd_bool(r);
    v->pre_vote = rd_bool(r);
    if (v->last_log_term > v->term || v->candidate_id == 0)
        r->bad = true;
}

static void
rd_vote_result(struct rd *r, struct raft_request_vote_result *v)
{
    static const raft_tribool tri[] = { raft_tribool_unknown, raft_tribool_true, raft_tribool_false };
    uint8_t                   pre;

    v->term = rd_term(r);
    v->vote_granted = rd_bool(r);
    pre = rd8(r);
    if (pre > 2)
        r->bad = true;
    else
        v->pre_vote = tri[pre];
}

static void
rd_body(struct rd *r, struct raft_message *m)
{
    switch (m->type) {
    case RAFT_IO_APPEND_ENTRIES:
        rd_append(r, &m->append_entries);
        break;
    case RAFT_IO_APPEND_ENTRIES_RESULT:
        m->append_entries_result.term = rd_term(r);
        m->append_entries_result.rejected = rd_index(r);
        m->append_entries_result.last_log_index = rd_index(r);
        break;
    case RAFT_IO_REQUEST_VOTE:
        rd_vote(r, &m->request_vote);
        break;
    case RAFT_IO_REQUEST_VOTE_RESULT:
        rd_vote_result(r, &m->request_vote_result);
        break;
    case RAFT_IO_INSTALL_SNAPSHOT:
        rd_snapshot(r, &m->install_snapshot);
        break;
    case RAFT_IO_TIMEOUT_NOW:
        m->timeout_now.term = rd_term(r);
        m->timeout_now.last_log_index = rd_index(r);
        m->timeout_now.last_log_term = rd_index(r);
        break;
    default:
        r->bad = true;
    }
}

size_t
raftwire_len(const char *p, size_t n)
{
    size_t body;

    if (n < RAFTWIRE_HEAD || be32_get(p) != WIRE_MAGIC || p[4] != WIRE_VERSION)
        return 0;
    body = be32_get(p + 12);
    return body <= RAFTWIRE_MAX && body <= n - RAFTWIRE_HEAD ? RAFTWIRE_HEAD + body : 0;
}

int
raftwire_get(struct str s, struct raftwire *w)
{
    struct rd r = { s.p + RAFTWIRE_HEAD, s.p + s.n, false };

    memset(w, 0, sizeof(*w));
    if (s.n == 0 || raftwire_len(s.p, s.n) != s.n || be64_get(s.p + HASH_AT) != wire_hash(s.p, s.n - RAFTWIRE_HEAD))
        return -AIS_E_CORRUPT;
    w->m.type = (uint8_t)s.p[5];
    w->epoch = be32_get(s.p + 8);
    w->from = be64_get(s.p + 16);
    w->to = be64_get(s.p + 24);
    w->stamp = be64_get(s.p + 32);
    w->echo_term = be64_get(s.p + 40);
    w->echo_stamp = be64_get(s.p + 48);
    if (w->from == 0 || w->to == 0)
        return -AIS_E_CORRUPT;
    rd_body(&r, &w->m);
    if (!r.bad && r.p == r.end)
        return 0;
    if (!r.bad)
        raftwire_free(w);
    return -AIS_E_CORRUPT;
}

void
raftwire_free(struct raftwire *w)
{
    struct raft_append_entries *a = &w->m.append_entries;

    if (w->m.type == RAFT_IO_APPEND_ENTRIES && a->entries != NULL) {
        raft_free(a->entries[0].batch);
        raft_free(a->entries);
        a->entries = NULL;
        a->n_entries = 0;
    } else if (w->m.type == RAFT_IO_INSTALL_SNAPSHOT) {
        raft_configuration_close(&w->m.install_snapshot.conf);
        raft_free(w->m.install_snapshot.data.base);
        w->m.install_snapshot.data.base = NULL;
    }
}

/* --- configurations --- */
/* u8 format (1), u64 servers, then u64 id, address with its NUL, u8 role for each; little-endian; padding. libraft does not look at the end. */
static uint64_t
le64_get(const char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

/* "v:" or "w:", and the id of a node. */
static bool
addr_ok(const char *p, size_t n)
{
    return n > 2 && n <= RAFT_ADDR_MAX && (p[0] == 'v' || p[0] == 'w') && p[1] == ':';
}

int
raftconf_decode(struct str s, struct raft_configuration *c)
{
    const char *p = s.p + 9, *end = s.p + s.n;
    uint64_t    n, i;

    raft_configuration_init(c);
    if (s.n < 9 || s.p[0] != 1)
        return -AIS_E_CORRUPT;
    n = le64_get(s.p + 1);
    if (n == 0 || n > RAFT_SERVERS)
        return -AIS_E_CORRUPT;
    for (i = 0; i < n; i++) {
        const char *nul = end - p > 8 ? memchr(p + 8, '\0', (size_t)(end - p) - 8) : NULL;
        uint64_t    id;

        if (nul == NULL || nul + 1 == end || !addr_ok(p + 8, (size_t)(nul - p) - 8) || (unsigned char)nul[1] > RAFT_SPARE)
            goto corrupt;
        id = le64_get(p);
        if (id == 0 || raft_configuration_add(c, id, p + 8, (unsigned char)nul[1]) != 0)
            goto corrupt;
        p = nul + 2;
    }
    return 0;
corrupt:
    raft_configuration_close(c);
    raft_configuration_init(c);
    return -AIS_E_CORRUPT;
}

int
raftconf_copy(const struct raft_configuration *from, struct raft_configuration *to)
{
    unsigned i;

    raft_configuration_init(to);
    for (i = 0; i < from->n; i++) {
        const struct raft_server *s = &from->servers[i];

        if (raft_configuration_add(to, s->id, s->address, s->role) != 0) {
            raft_configuration_close(to);
            return -AIS_E_NOMEM;
        }
    }
    return 0;
}
