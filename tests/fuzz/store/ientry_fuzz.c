/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "store/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Values of the index; what was decoded means the same when it is encoded and decoded again. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct ientry e, again;
    struct sbuf          out;
    uint64_t             group;

    (void)ientry_is_tomb(str_from((const char *)p, n));
    (void)index_group_of(str_from((const char *)p, n), &group);
    if (ientry_decode(p, n, &e) < 0)
        return 0;
    sbuf_init(&out, 1 << 20);
    ientry_encode(&e, &out);
    ASSERT(sbuf_ok(&out) && ientry_decode(out.p, out.n, &again) == 0);
    ASSERT(again.size == e.size && again.copies == e.copies && again.ncustom == e.ncustom && again.flags == e.flags);
    ASSERT(again.gen.counter == e.gen.counter && str_eq(again.version, e.version));
    sbuf_fini(&out);
    return 0;
}
