/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer with a maximum. Runs on: the owner's thread. */
#include "base/sbuf.h"

#include <stdio.h>

#include "base/util.h"

void
sbuf_init(struct sbuf *b, size_t max)
{
    *b = (struct sbuf){ .max = max };
}

void
sbuf_fini(struct sbuf *b)
{
    free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
}

void
sbuf_reset(struct sbuf *b)
{
    b->n = 0;
    b->failed = false;
}

bool
sbuf_ok(const struct sbuf *b)
{
    return !b->failed;
}

char *
sbuf_reserve(struct sbuf *b, size_t n)
{
    size_t cap;
    char  *p;

    if (b->failed || n > b->max || b->n > b->max - n) {
        b->failed = true;
        return NULL;
    }
    if (b->n + n + 1 > b->cap) {
        cap = MAX(b->cap * 2, (size_t)256);
        cap = MAX(cap, b->n + n + 1);
        p = realloc(b->p, cap);
        if (p == NULL) {
            b->failed = true;
            return NULL;
        }
        b->p = p;
        b->cap = cap;
    }
    return b->p + b->n;
}

void
sbuf_added(struct sbuf *b, size_t n)
{
    b->n += n;
    b->p[b->n] = '\0';
}

void
sbuf_put(struct sbuf *b, const void *p, size_t n)
{
    char *to = sbuf_reserve(b, n);

    if (to == NULL)
        return;
    if (n > 0)
        memcpy(to, p, n);
    sbuf_added(b, n);
}

void
sbuf_puts(struct sbuf *b, struct str s)
{
    sbuf_put(b, s.p, s.n);
}

void
sbuf_putz(struct sbuf *b, const char *z)
{
    sbuf_put(b, z, strlen(z));
}

void
sbuf_putc(struct sbuf *b, char c)
{
    sbuf_put(b, &c, 1);
}

void
sbuf_printf(struct sbuf *b, const char *fmt, ...)
{
    va_list ap;
    int     n;
    char   *to;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    to = n < 0 ? NULL : sbuf_reserve(b, (size_t)n);
    if (to == NULL)
        return;
    va_start(ap, fmt);
    vsnprintf(to, (size_t)n + 1, fmt, ap);
    va_end(ap);
    sbuf_added(b, (size_t)n);
}
