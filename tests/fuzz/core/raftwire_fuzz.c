/* SPDX-License-Identifier: Apache-2.0 */
#include "core/raftwire.c"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* What libraft takes for granted. */
static void
trusted(const struct raftwire *w)
{
    const struct raft_append_entries *a = &w->m.append_entries;
    unsigned                          i;

    ASSERT(w->from != 0 && w->to != 0);
    if (w->m.type != RAFT_IO_APPEND_ENTRIES)
        return;
    ASSERT(a->term > 0 && a->prev_log_term <= a->term && a->leader_commit <= a->prev_log_index + a->n_entries);
    for (i = 0; i < a->n_entries; i++)
        ASSERT(a->entries[i].term > 0 && a->entries[i].term <= a->term && a->entries[i].batch == a->entries[0].batch);
}

static unsigned
entries_of(const struct raftwire *w)
{
    return w->m.type == RAFT_IO_APPEND_ENTRIES ? w->m.append_entries.n_entries : 0;
}

/* A long tail in two parts: each is a message by itself. */
static void
in_parts(const struct raftwire *w)
{
    unsigned        n = entries_of(w);
    struct sbuf     b;
    struct raftwire part;
    size_t          len;

    if (n < 2)
        return;
    sbuf_init(&b, RAFTWIRE_MAX);
    raftwire_put(&b, w, 0, n / 2);
    len = b.n;
    raftwire_put(&b, w, n / 2, n - n / 2);
    ASSERT(sbuf_ok(&b) && raftwire_len(b.p, b.n) == len);
    ASSERT(raftwire_get(str_from(b.p, len), &part) == 0);
    ASSERT(entries_of(&part) == n / 2);
    raftwire_free(&part);
    ASSERT(raftwire_get(str_from(b.p + len, b.n - len), &part) == 0);
    ASSERT(entries_of(&part) == n - n / 2);
    ASSERT(part.m.append_entries.prev_log_term == w->m.append_entries.entries[n / 2 - 1].term);
    raftwire_free(&part);
    sbuf_fini(&b);
}

/* One message whose envelope is put right first; what was taken is written and read again, and is the same. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    char           *m = xmalloc(n + 1);
    struct sbuf     b, c;
    struct raftwire w, back;

    memcpy(m, p, n);
    if (n >= RAFTWIRE_HEAD) {
        be32_put(m, WIRE_MAGIC);
        m[4] = WIRE_VERSION;
        be32_put(m + 12, (uint32_t)(n - RAFTWIRE_HEAD));
        be64_put(m + HASH_AT, wire_hash(m, n - RAFTWIRE_HEAD));
    }
    if (raftwire_get(str_from(m, n), &w) == 0) {
        trusted(&w);
        sbuf_init(&b, RAFTWIRE_MAX);
        sbuf_init(&c, RAFTWIRE_MAX);
        raftwire_put(&b, &w, 0, entries_of(&w));
        ASSERT(sbuf_ok(&b) && raftwire_len(b.p, b.n) == b.n);
        ASSERT(raftwire_get(sbuf_str(&b), &back) == 0);
        raftwire_put(&c, &back, 0, entries_of(&back));
        ASSERT(str_eq(sbuf_str(&b), sbuf_str(&c)));
        in_parts(&w);
        raftwire_free(&w);
        raftwire_free(&back);
        sbuf_fini(&b);
        sbuf_fini(&c);
    }
    ASSERT(raftwire_len((const char *)p, n) <= n);
    free(m);
    return 0;
}
