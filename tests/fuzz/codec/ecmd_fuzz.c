/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/util.h"
#include "codec/lmeta.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* With a checksum that is right (the last eight bytes of the record), and as it is. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena *a = arena_new(4096, 1 << 20);
    struct ecmd   m;
    uint8_t      *copy = malloc(n + 1);

    if (ecmd_decode(a, p, n, &m) == 0)
        ASSERT(m.nnodes == 0 || m.nodes != NULL);
    memcpy(copy, p, n);
    if (n > 8) {
        be64_put(copy + n - 8, xxh64(copy, n - 8, AIS_HASH_SEED));
        (void)ecmd_decode(a, copy, n, &m);
    }
    free(copy);
    arena_free(a);
    return 0;
}
