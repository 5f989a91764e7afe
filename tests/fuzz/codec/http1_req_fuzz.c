/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/util.h"
#include "codec/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static bool
inside(struct str s, const char *p, size_t n)
{
    return s.n == 0 || (s.p >= p && s.p + s.n <= p + n);
}

/* A head that comes byte by byte means what it means in one piece, and nothing of it lies outside. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct http1_head whole, slow;
    const char              *z = (const char *)p;
    size_t                   scan = 0, i;
    int                      used = http1_parse_req(z, n, &scan, &whole), rc = 0;

    if (used > 0) {
        ASSERT_CMP((size_t)used, <=, n, "zu");
        ASSERT_CMP(whole.nhdrs, <=, (unsigned)HTTP1_MAX_HDRS, "u");
        for (i = 0; i < whole.nhdrs; i++)
            ASSERT(inside(whole.hdrs[i].name, z, n) && inside(whole.hdrs[i].value, z, n));
        ASSERT(whole.body != HTTP1_TO_EOF);
        ASSERT(whole.body != HTTP1_CHUNKED || http1_hdr(&whole, STR_LIT("Content-Length")).p == NULL);
        ASSERT(memchr(p, '\0', (size_t)used) == NULL);
        (void)http1_accepts(whole.accept, STR_LIT("application/msgpack"));
    }
    for (i = 0, scan = 0; i <= n && rc == 0; i++)
        rc = http1_parse_req(z, i, &scan, &slow);
    if (used > 0)
        ASSERT(rc == used && slow.method == whole.method && slow.nhdrs == whole.nhdrs && slow.content_length == whole.content_length);
    else
        ASSERT_CMP(rc, <=, 0, "d"); /* what is wrong may be seen sooner or later, but it is never taken */
    return 0;
}
