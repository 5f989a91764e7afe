/* SPDX-License-Identifier: Apache-2.0 */
/* Memory with one lifetime. Runs on: the owner's thread. */
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/util.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_PER_ALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_PER_ALLOC 1
#endif
#endif
#ifndef ARENA_PER_ALLOC
#define ARENA_PER_ALLOC 0
#endif

struct block {
    struct block *next;
    size_t        size; /* usable bytes after the header */
};

struct arena {
    unsigned magic;
#define ARENA_MAGIC 0xa4e4a000u
    struct block *head;  /* current block; older ones behind it */
    size_t        off;   /* used bytes of the current block */
    size_t        used;  /* bytes handed out */
    size_t        total; /* bytes of all blocks */
    size_t        first, max;
};

#define HDR ALIGN_UP(sizeof(struct block), (size_t)16)

static struct block *
block_add(struct arena *a, size_t size)
{
    struct block *b = malloc(HDR + size);

    if (b == NULL)
        return NULL;
    b->size = size;
    b->next = a->head;
    a->head = b;
    a->off = 0;
    a->total += size;
    return b;
}

struct arena *
arena_new(size_t first, size_t max)
{
    struct arena *a = xcalloc(1, sizeof(*a));

    a->magic = ARENA_MAGIC;
    a->first = ALIGN_UP(first, (size_t)16);
    a->max = MAX(max, a->first);
    return a;
}

void
arena_reset(struct arena *a)
{
    struct block *b, *keep = NULL;

    CHECK(a, ARENA_MAGIC);
    while ((b = a->head) != NULL) {
        a->head = b->next;
        if (b->next == NULL && b->size == a->first && !ARENA_PER_ALLOC)
            keep = b;
        else
            free(b);
    }
    a->off = a->used = a->total = 0;
    if (keep != NULL) {
        keep->next = NULL;
        a->head = keep;
        a->total = keep->size;
    }
}

void
arena_free(struct arena *a)
{
    if (a == NULL)
        return;
    arena_reset(a);
    free(a->head);
    a->magic = 0;
    free(a);
}

size_t
arena_used(const struct arena *a)
{
    return a->used;
}

void *
arena_alloc(struct arena *a, size_t n)
{
    struct block *b;
    size_t        want;
    char         *p;

    CHECK(a, ARENA_MAGIC);
    if (n > a->max)
        return NULL; /* also keeps the sums below from wrapping */
    n = ARENA_PER_ALLOC ? MAX(n, (size_t)1) : ALIGN_UP(MAX(n, (size_t)1), (size_t)16);
    b = a->head;
    if (b == NULL || ARENA_PER_ALLOC || b->size - a->off < n) {
        if (a->total + n > a->max)
            return NULL;
        want = ARENA_PER_ALLOC ? n : MAX(n, b == NULL ? a->first : MIN(b->size * 2, 256 * KIB));
        b = block_add(a, MIN(want, a->max - a->total));
        if (b == NULL)
            return NULL;
    }
    p = (char *)b + HDR + a->off;
    a->off += n;
    a->used += n;
    return p;
}

void *
arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);

    if (p != NULL)
        memset(p, 0, n);
    return p;
}

char *
arena_strdup(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);

    if (p == NULL)
        return NULL;
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

struct str
arena_str(struct arena *a, struct str s)
{
    char *p = arena_strdup(a, s);

    return p == NULL ? STR_NULL : str_from(p, s.n);
}

struct str
arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    va_list again;
    int     n;
    char   *p;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p == NULL)
        return STR_NULL;
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    return str_from(p, (size_t)n);
}

struct str
arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list    ap;
    struct str s;

    va_start(ap, fmt);
    s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}
