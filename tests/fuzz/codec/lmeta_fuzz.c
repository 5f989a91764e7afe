/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/util.h"
#include "codec/lmeta.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* The checksum of a record is made right first: what lies behind it is to be tried, not XXH64. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct lmeta m, again;
    uint8_t             out[LMETA_MAX], *copy = malloc(n + 1);
    int                 k;

    memcpy(copy, p, n);
    if (n > 10) {
        be64_put(copy + 2, xxh64(copy + 10, n - 10, AIS_HASH_SEED));
        if (lmeta_decode(copy, n, &m) == 0) {
            k = lmeta_encode(&m, out);
            if (k > 0) {
                ASSERT(lmeta_decode(out, (size_t)k, &again) == 0);
                ASSERT(again.size == m.size && again.ncustom == m.ncustom && again.ncopies == m.ncopies);
                ASSERT(str_eq(again.version, m.version) && again.cksum.type == m.cksum.type);
            }
        }
    }
    memcpy(copy, p, n);
    (void)lmeta_decode(copy, n, &m);
    free(copy);
    return 0;
}
