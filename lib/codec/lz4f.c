/* SPDX-License-Identifier: Apache-2.0 */
/* One LZ4 frame, whole, in memory. Runs on: any thread. */
#include "codec/lz4f.h"

#include <limits.h>
#include <lz4.h>
#include <lz4frame.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/util.h"

enum { STEP = 32 * 1024 };

/* Output grows by what the input really holds: a frame that promises much and brings little costs one STEP. */
int
lz4f_decode(struct str frame, size_t max, struct sbuf *out)
{
    LZ4F_dctx *ctx = NULL;
    size_t     start = out->n, left = 1, in, got, hint;
    char      *to;
    int        rc = -AIS_E_CORRUPT;

    if (LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION)))
        return -AIS_E_NOMEM;
    while (left > 0) {
        size_t room = MIN((size_t)STEP, max - (out->n - start) + 1); /* one more than allowed, to see the excess */

        room = MIN(room, out->max - out->n);
        to = sbuf_reserve(out, room); /* a full buffer may still see the frame's end */
        if (to == NULL) {
            rc = -AIS_E_NOMEM;
            goto out;
        }
        in = frame.n;
        got = room;
        hint = LZ4F_decompress(ctx, to, &got, frame.p, &in, NULL);
        if (LZ4F_isError(hint))
            goto out;
        frame = str_from_off(frame, in);
        sbuf_added(out, got);
        if (out->n - start > max) {
            rc = -AIS_E_TOOBIG;
            goto out;
        }
        left = hint;
        if (left > 0 && in == 0 && got == 0) { /* the frame is cut short, or the buffer is full */
            rc = room == 0 ? -AIS_E_TOOBIG : -AIS_E_CORRUPT;
            goto out;
        }
    }
    rc = frame.n == 0 ? 0 : -AIS_E_CORRUPT;
out:
    LZ4F_freeDecompressionContext(ctx);
    if (rc < 0)
        out->n = start;
    return rc;
}

int
lz4f_encode(struct str content, enum lz4f_block block, struct sbuf *out)
{
    LZ4F_preferences_t pref = { .frameInfo = { .blockSizeID = (LZ4F_blockSizeID_t)block,
                                               .blockMode = LZ4F_blockIndependent,
                                               .contentChecksumFlag = LZ4F_contentChecksumEnabled } };
    size_t             bound = LZ4F_compressFrameBound(content.n, &pref), n;
    char              *to = sbuf_reserve(out, bound);

    if (to == NULL)
        return out->n + bound > out->max ? -AIS_E_TOOBIG : -AIS_E_NOMEM;
    n = LZ4F_compressFrame(to, bound, content.p, content.n, &pref);
    if (LZ4F_isError(n))
        return -AIS_E_NOMEM;
    sbuf_added(out, n);
    return 0;
}

size_t
lz4_block_encode(const void *p, size_t n, void *out, size_t cap)
{
    int k;

    ASSERT(n <= 1 * MIB && cap <= INT_MAX);
    k = LZ4_compress_default(p, out, (int)n, (int)cap);
    return k > 0 ? (size_t)k : 0;
}

int
lz4_block_decode(const void *p, size_t len, void *out, size_t n)
{
    if (len > INT_MAX || n > INT_MAX || LZ4_decompress_safe(p, out, (int)len, (int)n) != (int)n)
        return -AIS_E_CORRUPT;
    return 0;
}
