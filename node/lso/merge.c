/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading pages and merging them into the client's document.
 *
 * A heap of sources by the name of their present record. A source that ran dry while its target has more stays in the heap under
 * its last name: everything up to that name may go out, nothing behind it, until its next page is there. Pages come from peers and
 * are checked record by record.
 */
#include "lso/lso.h"

#include "base/assert.h"
#include "base/util.h"
#include "codec/jw.h"
#include "codec/mp.h"
#include "lso/page_impl.h"

static const char no_gen[LSO_GEN_BYTES];

int
lso_src_next(struct lso_src *s)
{
    const unsigned char *p = s->p;
    uint32_t             len;
    uint16_t             name_len, off;
    size_t               left = (size_t)(s->end - p), skip, head = REC_HEAD + (s->gens ? LSO_GEN_BYTES : 0);

    s->valid = false;
    if (left == 0)
        return 0;
    if (left < head)
        return -AIS_E_BADREQ;
    len = le32_get(p);
    name_len = le16_get(p + 4);
    off = le16_get(p + 6);
    if (len < head - 4 || len > left - 4)
        return -AIS_E_BADREQ;
    skip = off == NAME_AHEAD ? name_len : 0;
    len -= (uint32_t)head - 4;
    if (name_len == 0 || skip > len || (off != NAME_AHEAD && (size_t)off + name_len > len))
        return -AIS_E_BADREQ;
    s->flags = le16_get(p + 8);
    s->tomb = (s->flags & REC_TOMB) != 0;
    s->gen = s->gens ? (const char *)p + REC_HEAD : no_gen;
    p += head;
    s->name = str_from((const char *)p + (off == NAME_AHEAD ? 0 : off), name_len);
    s->ent = str_from((const char *)p + skip, len - skip);
    s->p = p + len;
    s->valid = true;
    return 0;
}

int
lso_src_open(struct lso_src *s, struct str page, bool msgpack)
{
    const unsigned char *p = (const unsigned char *)page.p, *tail;

    *s = (struct lso_src){ .valid = false };
    if (page.n < PAGE_HEAD + PAGE_TAIL || memcmp(p, PAGE_MAGIC, 4) != 0 || p[4] != (msgpack ? 1 : 0))
        return -AIS_E_BADREQ;
    tail = p + page.n - PAGE_TAIL;
    if (memcmp(tail + 28, PAGE_END, 4) != 0)
        return -AIS_E_BADREQ;
    s->p = p + PAGE_HEAD;
    s->end = tail;
    s->gens = p[5] != 0;
    s->state = (struct lso_state){ .flags = le32_get(tail + 4),
                                   .smap_ver = le64_get(tail + 8),
                                   .rmd_ver = le64_get(tail + 16),
                                   .more = tail[24] != 0 };
    if (s->state.more && s->p == s->end) /* asked again it would say the same */
        return -AIS_E_BADREQ;
    return lso_src_next(s);
}

/* Order of the heap: name, then an entry before a dry source, then the newer generation, then the better status. */
static bool
comes_first(const struct lso_src *a, const struct lso_src *b)
{
    int c = str_cmp(a->name, b->name);

    if (c != 0)
        return c < 0;
    if (a->valid != b->valid)
        return a->valid;
    c = a->valid ? memcmp(a->gen, b->gen, LSO_GEN_BYTES) : 0;
    if (c != 0)
        return c > 0;
    return (a->flags & LSE_STATUS) < (b->flags & LSE_STATUS);
}

static void
sift_down(struct lso_merge *m, unsigned i)
{
    unsigned child, tmp;

    for (;;) {
        child = 2 * i + 1;
        if (child >= m->nheap)
            return;
        if (child + 1 < m->nheap && comes_first(&m->src[m->heap[child + 1]], &m->src[m->heap[child]]))
            child++;
        if (!comes_first(&m->src[m->heap[child]], &m->src[m->heap[i]]))
            return;
        tmp = m->heap[i];
        m->heap[i] = m->heap[child];
        m->heap[child] = tmp;
        i = child;
    }
}

void
lso_merge_init(struct lso_merge *m, struct lso_src *src, unsigned *heap, unsigned n, bool msgpack, uint32_t max,
               struct sbuf *out)
{
    unsigned i;

    *m = (struct lso_merge){ .src = src, .n = n, .heap = heap, .msgpack = msgpack, .max = max, .out = out };
    for (i = 0; i < n; i++)
        if (src[i].valid)
            heap[m->nheap++] = i;
    for (i = m->nheap / 2; i-- > 0;)
        sift_down(m, i);
}

static void
drop_first(struct lso_merge *m)
{
    m->heap[0] = m->heap[--m->nheap];
    sift_down(m, 0);
}

static void
emit(struct lso_merge *m, const struct lso_src *s)
{
    char *w = sbuf_reserve(m->out, s->ent.n + 1);

    if (w == NULL)
        return;
    if (!m->msgpack && m->nout > 0)
        *w++ = ',';
    memcpy(w, s->ent.p, s->ent.n);
    sbuf_added(m->out, (size_t)(w + s->ent.n - (m->out->p + m->out->n)));
    m->last = s->name;
    m->nout++;
}

int
lso_merge_run(struct lso_merge *m)
{
    struct lso_src *s;
    int             rc;

    if (m->nheap > 0)
        sift_down(m, 0); /* the source that was named last has its new page now */
    while (m->nheap > 0) {
        if (m->nout >= m->max)
            return LSO_FULL;
        s = &m->src[m->heap[0]];
        if (!s->valid) {
            if (s->state.more)
                return (int)m->heap[0];
            drop_first(m);
            continue;
        }
        if (!str_eq(s->name, m->seen)) { /* else the same name from another target: the better one was looked at already */
            m->seen = s->name;
            if (!s->tomb)
                emit(m, s);
        }
        if (!sbuf_ok(m->out))
            return -AIS_E_TOOBIG;
        rc = lso_src_next(s);
        if (rc < 0)
            return rc;
        sift_down(m, 0);
    }
    return m->nout >= m->max ? LSO_FULL : LSO_END;
}

/* --- the document --- */

void
lso_res_head(struct sbuf *out, bool msgpack, struct str uuid, struct str token, uint32_t n)
{
    if (msgpack) {
        mp_map(out, 4);
        mp_strz(out, "UUID");
        mp_str(out, uuid);
        mp_strz(out, "ContinuationToken");
        mp_str(out, token);
        mp_strz(out, "Entries");
        mp_arr(out, n);
        return;
    }
    sbuf_putz(out, "{\"uuid\":");
    json_quote(out, uuid);
    sbuf_putz(out, ",\"continuation_token\":");
    json_quote(out, token);
    sbuf_putz(out, n > 0 ? ",\"entries\":[" : ",\"entries\":null");
}

void
lso_res_tail(struct sbuf *out, bool msgpack, uint32_t n, uint32_t flags)
{
    if (msgpack) {
        mp_strz(out, "Flags");
        mp_u64(out, flags);
        return;
    }
    sbuf_printf(out, "%s,\"flags\":%u}", n > 0 ? "]" : "", flags);
}
