/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/util.h"
#include "codec/mp.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int
any(struct mp_in *in)
{
    struct str s;
    uint32_t   k;
    int64_t    i;
    double     f;
    bool       b;

    switch (mp_peek(in)) {
    case MP_BOOL:
        return mp_get_bool(in, &b);
    case MP_INT:
        return mp_get_i64(in, &i);
    case MP_FLOAT:
        return mp_get_f64(in, &f);
    case MP_STR:
    case MP_BIN:
        return mp_get_str(in, &s);
    case MP_ARR:
        return mp_get_arr(in, &k);
    case MP_MAP:
        return mp_get_map(in, &k);
    case MP_NIL:
    case MP_EXT:
    case MP_END:
        break;
    }
    return mp_skip(in);
}

/* A cursor never leaves its bytes; a value that was read moves it, one that was not does not. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct mp_in in = { p, p + n }, was;

    for (;;) {
        was = in;
        if (any(&in) < 0) {
            uint64_t u;

            ASSERT(in.p == was.p);
            if (mp_get_u64(&in, &u) < 0 && mp_skip(&in) < 0)
                break;
        }
        ASSERT(in.p > was.p && in.p <= in.end && in.end == was.end);
    }
    return 0;
}
