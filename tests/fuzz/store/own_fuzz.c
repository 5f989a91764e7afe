/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/util.h"
#include "store/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
side(const uint8_t *p, size_t n)
{
    static struct kv kv[LMETA_MAX_CUSTOM];
    unsigned char   *fixed = malloc(n + 1);
    struct sbuf      out;
    unsigned         nkv;

    /* With the right checksum, so that what is behind it is reached. */
    memcpy(fixed, p, n);
    if (n >= 12)
        be32_put(fixed + 4, crc32c(0, fixed + 8, n - 8));
    if (side_decode(fixed, n, kv, &nkv) == 0) {
        sbuf_init(&out, SIDE_MAX);
        side_encode(kv, nkv, &out);
        ASSERT(str_eq(sbuf_str(&out), str_from((char *)fixed, n)));
        sbuf_fini(&out);
    }
    free(fixed);
}

/* Our own xattr, and side records. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    unsigned char raw[OWN_MAX];
    struct own    o;
    static struct kv kv[LMETA_MAX_CUSTOM];
    unsigned      nkv;

    if (own_decode(p, n, &o) == 0 && p[0] == 2 && p[2] == 0 && p[3] == 0)
        ASSERT(str_eq(str_from((char *)raw, own_encode(&o, raw)), str_from((const char *)p, n)));
    (void)side_decode(p, n, kv, &nkv);
    side(p, n);
    return 0;
}
