/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer with a maximum, for text and frames that are built piece by piece.
 *
 * After the first failure (out of memory, over the maximum) every call is a no-op and sbuf_ok() is false: callers check once,
 * at the end. Heap memory; not thread-safe.
 */
#ifndef BASE_SBUF_H
#define BASE_SBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct sbuf {
    char  *p;   /* always NUL-terminated once something was put; NULL before */
    size_t n;   /* bytes in use, without the NUL */
    size_t cap; /* bytes allocated */
    size_t max; /* limit of n */
    bool   failed;
};

void  sbuf_init(struct sbuf *b, size_t max);
void  sbuf_fini(struct sbuf *b);
void  sbuf_reset(struct sbuf *b); /* empty, memory kept */
char *sbuf_reserve(struct sbuf *b, size_t n); /* room for n more bytes, not yet in use; NULL on failure */
void  sbuf_added(struct sbuf *b, size_t n);   /* n bytes were written where sbuf_reserve pointed */
void  sbuf_put(struct sbuf *b, const void *p, size_t n);
void  sbuf_puts(struct sbuf *b, struct str s);
void  sbuf_putz(struct sbuf *b, const char *z);
void  sbuf_putc(struct sbuf *b, char c);
void  sbuf_printf(struct sbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool  sbuf_ok(const struct sbuf *b);

static inline struct str
sbuf_str(const struct sbuf *b)
{
    return str_from(b->p, b->n);
}

#endif
