/* SPDX-License-Identifier: Apache-2.0 */
/* Small things without a home of their own: sizes, byte order, attribute-based clean-up, allocation that may abort. */
#ifndef BASE_UTIL_H
#define BASE_UTIL_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_SIZE(a)           (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)               ((a) < (b) ? (a) : (b))
#define MAX(a, b)               ((a) > (b) ? (a) : (b))
#define ALIGN_UP(x, a)          (((x) + (a)-1) & ~((__typeof__(x))(a)-1))
#define CONTAINER_OF(p, t, mbr) ((t *)(void *)((char *)(p)-offsetof(t, mbr)))
#define UNUSED(x)               ((void)(x))
#define LIKELY(x)               __builtin_expect(!!(x), 1)
#define UNLIKELY(x)             __builtin_expect(!!(x), 0)

#define KIB             (1024ULL)
#define MIB             (1024ULL * KIB)
#define GIB             (1024ULL * MIB)
#define TIB             (1024ULL * GIB)
#define NSEC_PER_SEC    1000000000LL
#define NSEC_PER_MSEC   1000000LL
#define NSEC_PER_USEC   1000LL
#define SEC_NS(s)       ((int64_t)(s)*NSEC_PER_SEC)
#define MSEC_NS(ms)     ((int64_t)(ms)*NSEC_PER_MSEC)

/* Abort on failure: only for small control-plane allocations whose size no client chooses. */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Close *fd unless it is -1 and set it to -1. errno is kept. */
void fd_close(int *fd);

static inline void
auto_free_fn(void *pp)
{
    free(*(void **)pp);
}

#define auto_free  __attribute__((cleanup(auto_free_fn)))
#define auto_close __attribute__((cleanup(fd_close)))

static inline uint16_t
be16_get(const void *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return be16toh(v);
}

static inline uint32_t
be32_get(const void *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return be32toh(v);
}

static inline uint64_t
be64_get(const void *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return be64toh(v);
}

static inline void
be16_put(void *p, uint16_t v)
{
    v = htobe16(v);
    memcpy(p, &v, sizeof(v));
}

static inline void
be32_put(void *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, sizeof(v));
}

static inline void
be64_put(void *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, sizeof(v));
}

#endif
