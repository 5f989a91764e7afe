/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth.c"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* A key file; and the same bytes as a fence header. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct key        keys[AUTH_KEYS_MAX];
    struct cons_fence f;
    unsigned          nkeys;

    if (keys_parse(str_from((const char *)p, n), keys, &nkeys, NULL) == 0)
        ASSERT(nkeys > 0 && nkeys <= AUTH_KEYS_MAX && keys[0].version >= keys[nkeys - 1].version);
    (void)fence_parse(str_from((const char *)p, n), &f);
    return 0;
}
