/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "lso/lso.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Two sources out of one input, merged: whatever they claim, only bytes of theirs come out. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct str       page = str_from((const char *)p, n), half = str_from((const char *)p, n / 2);
    struct lso_src   src[2];
    unsigned         heap[2];
    struct lso_merge m;
    struct sbuf      out;
    bool             mp = n > 4 && p[4] == 1;

    if (lso_src_open(&src[0], page, mp) < 0)
        return 0;
    if (lso_src_open(&src[1], half, mp) < 0)
        src[1] = src[0];
    sbuf_init(&out, 1 << 20);
    lso_merge_init(&m, src, heap, 2, mp, 1000, &out);
    (void)lso_merge_run(&m);
    ASSERT_CMP(m.nout, <=, 1000u, "u");
    sbuf_fini(&out);
    return 0;
}
