/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/util.h"
#include "codec/cksum.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* States of running hashes come back from clients in append handles: nothing but a state is taken, and all of it is harmless. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct cksum_run r;
    struct cksum     a, b;
    enum cksum_type  t;
    char             saved[256];
    size_t           k;

    (void)cksum_by_name(str_from((const char *)p, n), &t);
    if (n < 2)
        return 0;
    t = (enum cksum_type)(p[0] % CKSUM_NTYPES);
    if (cksum_load(&r, t, p + 1, n - 1) == 0) {
        cksum_update(&r, p, n);
        cksum_final(&r, &a);
        ASSERT(cksum_save(&r, saved, sizeof(saved), &k) == 0);
        cksum_fini(&r);
        ASSERT(cksum_load(&r, t, saved, k) == 0);
        cksum_final(&r, &b);
        ASSERT(cksum_eq(&a, &b));
        cksum_fini(&r);
    }
    cksum_of(t, p, n, &a); /* one piece or three: the same */
    ASSERT(cksum_init(&r, t) == 0);
    cksum_update(&r, p, n / 3);
    cksum_update(&r, p + n / 3, n / 2 - n / 3);
    cksum_update(&r, p + n / 2, n - n / 2);
    cksum_final(&r, &b);
    cksum_fini(&r);
    ASSERT(cksum_eq(&a, &b));
    return 0;
}
