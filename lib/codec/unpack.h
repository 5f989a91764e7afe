/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cursor over AIStore's packed records: big-endian numbers, strings after their length.
 *
 * After the first piece that is not there every call returns zeros and unpack_ok() is false: decoders check once.
 * Private to lib/codec. Pure.
 */
#ifndef CODEC_UNPACK_H
#define CODEC_UNPACK_H

#include <stdbool.h>

#include "base/str.h"
#include "base/util.h"

struct unpack {
    const char *p, *end; /* p NULL: failed */
};

static inline struct unpack
unpack_of(struct str s)
{
    return (struct unpack){ s.p == NULL ? "" : s.p, s.p == NULL ? "" : s.p + s.n };
}

static inline bool
unpack_ok(const struct unpack *u)
{
    return u->p != NULL;
}

static inline size_t
unpack_left(const struct unpack *u)
{
    return u->p == NULL ? 0 : (size_t)(u->end - u->p);
}

/* n bytes, or NULL */
static inline const char *
unpack_take(struct unpack *u, size_t n)
{
    const char *p = u->p;

    if (p == NULL || (size_t)(u->end - p) < n) {
        u->p = NULL;
        return NULL;
    }
    u->p += n;
    return p;
}

static inline uint8_t
unpack_u8(struct unpack *u)
{
    const char *p = unpack_take(u, 1);

    return p == NULL ? 0 : (uint8_t)*p;
}

static inline uint16_t
unpack_u16(struct unpack *u)
{
    const char *p = unpack_take(u, 2);

    return p == NULL ? 0 : be16_get(p);
}

static inline uint32_t
unpack_u32(struct unpack *u)
{
    const char *p = unpack_take(u, 4);

    return p == NULL ? 0 : be32_get(p);
}

static inline uint64_t
unpack_u64(struct unpack *u)
{
    const char *p = unpack_take(u, 8);

    return p == NULL ? 0 : be64_get(p);
}

static inline struct str
unpack_bytes(struct unpack *u, size_t n)
{
    const char *p = unpack_take(u, n);

    return p == NULL ? STR_LIT("") : str_from(p, n);
}

#endif
