/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/util.h"
#include "codec/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
there_and_back(struct str s, void (*encode)(struct sbuf *b, struct str s), bool plus)
{
    struct sbuf b;
    char       *out;

    sbuf_init(&b, 4 * s.n + 16);
    encode(&b, s);
    ASSERT(sbuf_ok(&b));
    out = malloc(b.n + 1);
    ASSERT(url_decode(sbuf_str(&b), plus, out) == (ptrdiff_t)s.n && (s.n == 0 || memcmp(out, s.p, s.n) == 0));
    free(out);
    sbuf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct str    s = str_from((const char *)p, n), rest = s, k, v;
    struct arena *a = arena_new(256, 4096);
    struct url    u;
    char         *out = malloc(n + 1);
    size_t        pairs = 0;

    ASSERT(url_decode(s, true, out) <= (ptrdiff_t)n);
    ASSERT(url_decode(s, false, out) <= (ptrdiff_t)n);
    (void)url_decode_arena(a, s, true, &v);
    while (url_query_next(&rest, &k, &v))
        ASSERT(++pairs <= n + 1 && k.n + v.n <= n);
    if (url_parse(s, &u) == 0)
        ASSERT(u.host.n > 0 && u.host.n <= n && u.path.n <= n && u.query.n <= n);
    there_and_back(s, url_encode_path, false);
    there_and_back(s, url_encode_query, true);
    free(out);
    arena_free(a);
    return 0;
}
