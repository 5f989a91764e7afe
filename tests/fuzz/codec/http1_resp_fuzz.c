/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/util.h"
#include "codec/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct http1_head h;
    size_t                   scan = 0;
    int                      used;

    if (n == 0)
        return 0;
    used = http1_parse_resp((const char *)p + 1, n - 1, &scan, p[0] & 1, &h);
    if (used <= 0)
        return 0;
    ASSERT_CMP((size_t)used, <=, n - 1, "zu");
    ASSERT(h.status >= 100 && h.status <= 999);
    ASSERT(!(p[0] & 1) || h.body == HTTP1_NONE || (h.body == HTTP1_LENGTH && h.content_length == 0));
    return 0;
}
