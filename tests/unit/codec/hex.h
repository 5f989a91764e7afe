/* SPDX-License-Identifier: Apache-2.0 */
/* Golden bytes as hex text; copies have exactly the right size, so that reading past the end shows under
 * AddressSanitizer. */
#ifndef UNIT_CODEC_HEX_H
#define UNIT_CODEC_HEX_H

#include <stdlib.h>

#include "base/str.h"

#define assert_str(want, s)                                                                                            \
    do {                                                                                                               \
        struct str s_ = (s);                                                                                           \
        assert_int_equal(strlen(want), s_.n);                                                                          \
        assert_memory_equal(want, s_.p, s_.n);                                                                         \
    } while (0)

static inline unsigned char *
unhex(const char *hex, size_t *n)
{
    unsigned char *p;

    *n = strlen(hex) / 2;
    p = malloc(*n + (*n == 0));
    assert_true(p != NULL && str_unhex(str_z(hex), p, *n));
    return p;
}

static inline void *
copy_of(const void *p, size_t n)
{
    void *c = malloc(n + (n == 0));

    assert_non_null(c);
    memcpy(c, p, n);
    return c;
}

#endif
