/* SPDX-License-Identifier: Apache-2.0 */
#include "core/raftlog.c"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Frame by frame; lengths and checksums are put right first, so that the fuzzer gets behind them. */
static void
frames(struct raftlog *l, struct loading *g, char *p, size_t n)
{
    size_t     off = 0, len;
    struct err e;

    while (n - off >= FRAME_HEAD) {
        be32_put(p + off, FRAME_MAGIC);
        len = MIN(be32_get(p + off + 16) % 512, n - off - FRAME_HEAD);
        be32_put(p + off + 16, (uint32_t)len);
        be32_put(p + off + 20, (uint32_t)xxh64(p + off, 20, 0));
        be64_put(p + off + 24, head_hash(p + off, 24, p + off + FRAME_HEAD, len));
        ASSERT(frame_at(p + off, n - off) == FRAME_HEAD + len);
        if (frame_load(l, g, p + off, &e) < 0)
            break;
        ASSERT(g->n == 0 || g->start + g->n - 1 == l->last);
        off += FRAME_HEAD + len;
    }
}

/* What was loaded is what a log that has it written again says. */
static void
again(const struct loading *g)
{
    struct raftlog l = { .fd = -1, .last = g->start - 1 };
    struct loading back = { .start = g->start };
    struct err     e;
    size_t         off, i;

    sbuf_init(&l.frames, FRAMES_MAX);
    file_add(&l, 1);
    ASSERT(raftlog_append(&l, g->start, g->entries, (unsigned)g->n) == 0);
    for (off = 0; off < l.frames.n; off += frame_at(l.frames.p + off, l.frames.n - off)) {
        ASSERT(frame_at(l.frames.p + off, l.frames.n - off) > 0);
        l.last = back.start + back.n - 1;
        ASSERT(frame_load(&l, &back, l.frames.p + off, &e) == 0);
    }
    ASSERT(back.n == g->n);
    for (i = 0; i < g->n; i++) {
        const struct raft_entry *a = &g->entries[i], *b = &back.entries[i];

        ASSERT(a->term == b->term && a->type == b->type && str_eq(str_from(a->buf.base, a->buf.len), str_from(b->buf.base, b->buf.len)));
    }
    loading_free(&back);
    confs_drop(&l, 0);
    free(l.confs);
    free(l.files);
    sbuf_fini(&l.frames);
}

static void
snapshot(char *p, size_t n)
{
    struct raft_snapshot *s = raft_calloc(1, sizeof(*s));

    if (n >= SNAP_HEAD) {
        memcpy(p, snap_magic, 8);
        be32_put(p + 32, be32_get(p + 32) % (uint32_t)(n - SNAP_HEAD + 1));
        be64_put(p + 40, n - SNAP_HEAD - be32_get(p + 32));
        be64_put(p + 48, head_hash(p, 48, p + SNAP_HEAD, n - SNAP_HEAD));
    }
    if (snap_decode(p, n, s) == 0)
        ASSERT(s->index > 0 && s->term > 0 && s->configuration_index <= s->index && s->configuration.n > 0);
    snapshot_free(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct raftlog l = { .fd = -1 };
    struct loading g = { .start = 1 };
    char          *image = xmalloc(n + 1);

    (void)frame_at((const char *)p, n);
    (void)tail_is_torn((const char *)p, 0, n);
    memcpy(image, p, n);
    file_add(&l, 1);
    frames(&l, &g, image, n);
    again(&g);
    loading_free(&g);
    confs_drop(&l, 0);
    free(l.confs);
    free(l.files);
    memcpy(image, p, n);
    snapshot(image, n);
    free(image);
    return 0;
}
