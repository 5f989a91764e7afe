/* SPDX-License-Identifier: Apache-2.0 */
#include "core/consensus.c"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int
apply_any(void *ctx, uint64_t index, struct str cmd, struct err *result)
{
    (void)index, (void)result;
    *(uint64_t *)ctx += xxh64(cmd.p, cmd.n, 0); /* reads every byte */
    return 0;
}

/* A log image, frame by frame; the input's checksums are put right first, so that the fuzzer gets behind them. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    uint64_t    sum = 0;
    struct cons c = { .conf = { .ctx = &sum, .apply = apply_any } };
    char       *image = xmalloc(n + 1);
    size_t      off = 0, len;
    struct err  e;

    memcpy(image, p, n);
    while (n - off >= FRAME_HEAD) {
        be32_put(image + off, FRAME_MAGIC);
        len = be32_get(image + off + 24) % 256;
        if (len > n - off - FRAME_HEAD)
            len = n - off - FRAME_HEAD;
        be32_put(image + off + 24, (uint32_t)len);
        be64_put(image + off + 8, c.last + 1);
        be64_put(image + off + 32, head_hash(image + off, 32, image + off + FRAME_HEAD, len));
        ASSERT(frame_at(image + off, n - off) == FRAME_HEAD + len);
        if (frame_replay(&c, image + off, &e) < 0)
            break;
        off += FRAME_HEAD + len;
    }
    (void)frame_at((const char *)p, n);
    free(image);
    return 0;
}
