/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory with one lifetime: allocate many, free all at once.
 *
 * An arena grows by blocks up to a maximum given at creation; beyond it allocation returns NULL, which callers turn into
 * -AIS_E_TOOBIG or -AIS_E_NOMEM. Under AddressSanitizer every allocation is its own malloc so that overflows show.
 * Not thread-safe: one owner.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "base/str.h"

struct arena;

/* first: bytes of the first block, kept over resets; max: limit of all blocks together. Aborts when out of memory. */
struct arena *arena_new(size_t first, size_t max);
void          arena_free(struct arena *a); /* NULL is fine */
void          arena_reset(struct arena *a);
size_t        arena_used(const struct arena *a);

void *arena_alloc(struct arena *a, size_t n);            /* 16-byte aligned, not cleared; NULL beyond the maximum */
void *arena_zalloc(struct arena *a, size_t n);           /* cleared */
char *arena_strdup(struct arena *a, struct str s);       /* NUL-terminated copy */
struct str arena_str(struct arena *a, struct str s);     /* copy (also NUL-terminated); {NULL,0} beyond the maximum */
struct str arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct str arena_vprintf(struct arena *a, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

#endif
