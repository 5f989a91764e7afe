/* SPDX-License-Identifier: Apache-2.0 */
#include "core/strmwire.h"

#include <string.h>

#include "base/assert.h"
#include "base/util.h"
#include "codec/cksum.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* A frame that was taken is within its limits and is written as it was read. */
static void
frame(const char *p)
{
    struct strm_frame f;
    char              b[STRM_FRAME], again[STRM_FRAME];

    memcpy(b, p, sizeof(b));
    be32_put(b, 0x41695331u); /* or the fuzzer never gets past these */
    be64_put(b + 32, xxh64(b, 32, 0));
    if (strm_frame_get(b, &f) < 0)
        return;
    ASSERT(f.hlen <= STRM_HDR_MAX && f.plen <= f.rlen && f.rlen <= STRM_BLOCK_MAX);
    ASSERT(f.type == STRM_DATA || f.rlen <= STRM_SMALL);
    strm_frame_put(&f, again);
    ASSERT(memcmp(b, again, sizeof(b)) == 0);
}

static void
acks(struct str s)
{
    struct strm_credit c;
    struct strm_ack    a;
    char               b[STRM_ACK_MAX];
    int                rc;

    if (strm_credit_get(&s, &c) < 0)
        return;
    while ((rc = strm_ack_get(&s, &a)) == 1) {
        ASSERT(a.rc <= 0 && a.reply.n <= STRM_REPLY_MAX);
        ASSERT(strm_ack_put(&a, b) <= sizeof(b));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct str        s = str_from((const char *)p, n);
    struct strm_fence f;
    struct strm_frame raw;

    if (n >= STRM_FRAME) {
        (void)strm_frame_get(p, &raw);
        frame(s.p);
    }
    acks(s);
    (void)strm_fence_get(s, &f);
    return 0;
}
