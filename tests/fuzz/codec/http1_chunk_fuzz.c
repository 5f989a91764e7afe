/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/util.h"
#include "codec/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Decode in pieces of `step` bytes; the body goes to out. 1 = the end was reached, 0 = more is needed, or what went wrong. */
static int
decode(const uint8_t *p, size_t n, size_t step, char *out, size_t *len, size_t *used)
{
    struct http1_chunk c = { .state = 0 };
    char              *piece = malloc(step);
    int                rc = 0;

    *len = *used = 0;
    while (rc == 0 && *used < n) {
        size_t k = MIN(step, n - *used), u, o;

        memcpy(piece, p + *used, k);
        rc = http1_chunk_decode(&c, piece, k, &u, &o);
        if (rc < 0)
            break;
        ASSERT(u <= k && o <= u && (u > 0 || rc == 1));
        memcpy(out + *len, piece, o);
        *len += o;
        *used += u;
    }
    free(piece);
    return rc;
}

/* However the bytes are cut, the body is the same; a range header is inside the size or refused. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    char    *a, *b;
    size_t   na, nb, ua, ub;
    uint64_t off, len, size;
    int      ra, rb;

    if (n < 2)
        return 0;
    size = p[0];
    if (http1_range(str_from((const char *)p + 1, n - 1), size, &off, &len) == 0)
        ASSERT(off < size && len > 0 && len <= size - off);
    a = malloc(n);
    b = malloc(n);
    ra = decode(p + 1, n - 1, n - 1, a, &na, &ua);
    rb = decode(p + 1, n - 1, 1 + p[0] % 7, b, &nb, &ub);
    ASSERT(ra == rb);
    if (ra >= 0)
        ASSERT(na == nb && ua == ub && memcmp(a, b, na) == 0);
    free(a);
    free(b);
    return 0;
}
