/* SPDX-License-Identifier: Apache-2.0 */
/* What targets tell each other of an object that moves: header and record. What was taken is written and read again, and is the same. */
#include "xact/move.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/util.h"
#include "core/strm.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
record(struct str rec)
{
    struct kv  *kv = xcalloc(2 * LMETA_MAX_CUSTOM, sizeof(*kv));
    struct move m, back;
    struct sbuf a, b;

    if (move_decode(rec, &m, kv) == 0) {
        ASSERT(m.name.n > 0 && m.name.n <= OBJ_NAME_MAX && m.ncustom <= LMETA_MAX_CUSTOM);
        sbuf_init(&a, MIB);
        sbuf_init(&b, MIB);
        move_encode(&m, &a);
        ASSERT(sbuf_ok(&a) && move_decode(sbuf_str(&a), &back, kv + LMETA_MAX_CUSTOM) == 0);
        ASSERT(back.size == m.size && back.bid == m.bid && gen_order(&back.gen, &m.gen) == 0 && str_eq(back.name, m.name));
        move_encode(&back, &b);
        ASSERT(str_eq(sbuf_str(&a), sbuf_str(&b)));
        sbuf_fini(&a);
        sbuf_fini(&b);
    }
    free(kv);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct str       s;
    char            *copy;
    struct move_head h, back;
    struct sbuf      a, b;

    if (n > 256 * KIB)
        return 0;
    copy = xmalloc(n + 1);
    memcpy(copy, p, n);
    s = str_from(copy, n);
    record(s);
    if (move_head_decode(s, &h) == 0) {
        sbuf_init(&a, MIB);
        sbuf_init(&b, MIB);
        move_head_encode(&h, &a);
        ASSERT(sbuf_ok(&a) && move_head_decode(sbuf_str(&a), &back) == 0);
        move_head_encode(&back, &b);
        ASSERT(str_eq(sbuf_str(&a), sbuf_str(&b)));
        record(h.rec);
        sbuf_fini(&a);
        sbuf_fini(&b);
    }
    free(copy);
    return 0;
}
