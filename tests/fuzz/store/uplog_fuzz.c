/* SPDX-License-Identifier: Apache-2.0 */
#include "base/util.h"
#include "store/uplog.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* The log of an upload as it is, and as one record with the right checksum. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct str   in = str_from((const char *)p, n);
    char        *framed = malloc(n + 8);
    struct uprec r;

    while (uprec_next(&in, &r))
        ;
    memcpy(framed + 8, p, n);
    be32_put(framed, (uint32_t)n);
    be32_put(framed + 4, crc32c(0, p, n));
    in = str_from(framed, n + 8);
    (void)uprec_next(&in, &r);
    free(framed);
    return 0;
}
