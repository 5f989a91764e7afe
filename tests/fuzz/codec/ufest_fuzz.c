/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/util.h"
#include "codec/lmeta.h"
#include "codec/lz4f.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
try(const void *p, size_t n)
{
    struct arena *a = arena_new(4096, 16 << 20);
    struct ufest  u, v;
    struct sbuf   out;

    sbuf_init(&out, 16 << 20);
    if (ufest_decode(a, p, n, &u) == 0) {
        ASSERT_CMP(u.n, <=, (unsigned)UFEST_MAX_CHUNKS, "u");
        if (ufest_encode(&u, &out) == 0) {
            ASSERT(ufest_decode(a, out.p, out.n, &v) == 0);
            ASSERT(v.n == u.n && str_eq(v.id, u.id) && v.created_ns == u.created_ns);
        }
    }
    sbuf_fini(&out);
    arena_free(a);
}

/* The input as the text of a manifest, in a frame with a checksum that is right; and as the file itself. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct sbuf file;
    char        sum[8];

    sbuf_init(&file, 2 * n + 1024);
    if (lz4f_encode(str_from((const char *)p, n), LZ4F_BLOCK_64K, &file) == 0) {
        be64_put(sum, xxh64(file.p, file.n, AIS_HASH_SEED));
        sbuf_put(&file, sum, sizeof(sum));
        ASSERT(sbuf_ok(&file));
        try(file.p, file.n);
    }
    sbuf_fini(&file);
    try(p, n);
    return 0;
}
