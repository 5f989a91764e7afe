/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sentences about our own code, checked forever (style.md 6). Data from clients, peers and disks is never asserted.
 *
 * A failure prints expression, values, thread, what the thread was doing (assert_context) and a backtrace, then aborts.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include <inttypes.h>
#include <stddef.h>

#define ASSERT(x)                                                                                                      \
    do {                                                                                                               \
        if (__builtin_expect(!(x), 0))                                                                                 \
            ais_assert_fail(__FILE__, __LINE__, __func__, "%s", #x);                                                   \
    } while (0)

/* Prints both values: ASSERT_CMP(off, <=, size, PRIu64). */
#define ASSERT_CMP(a, op, b, fmt)                                                                                      \
    do {                                                                                                               \
        __typeof__(a) a_ = (a);                                                                                        \
        __typeof__(b) b_ = (b);                                                                                        \
        if (__builtin_expect(!(a_ op b_), 0))                                                                          \
            ais_assert_fail(__FILE__, __LINE__, __func__, "%s %s %s: %" fmt ", %" fmt, #a, #op, #b, a_, b_);           \
    } while (0)

/* Non-NULL and really what it claims to be: the struct's `magic` member has the right value. */
#define CHECK(p, m)                                                                                                    \
    do {                                                                                                               \
        if (__builtin_expect((p) == NULL || (p)->magic != (m), 0))                                                     \
            ais_assert_fail(__FILE__, __LINE__, __func__, "%s is not a valid %s (%p)", #p, #m, (const void *)(p));     \
    } while (0)

/* A call that cannot fail unless we are already broken. */
#define MUST(x)                                                                                                        \
    do {                                                                                                               \
        int rc_ = (x);                                                                                                 \
        if (__builtin_expect(rc_ != 0, 0))                                                                             \
            ais_assert_fail(__FILE__, __LINE__, __func__, "%s = %d", #x, rc_);                                         \
    } while (0)

#define ais_bug(...) ais_assert_fail(__FILE__, __LINE__, __func__, __VA_ARGS__)

#ifdef NDEBUG_COSTLY
#define DEBUG_ASSERT(x) ((void)sizeof(!(x)))
#else
#define DEBUG_ASSERT(x) ASSERT(x)
#endif

_Noreturn void ais_assert_fail(const char *file, int line, const char *func, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* A short text about what this thread is doing ("req 12 GET /v1/..."), printed when an assertion fails. Installed by run. */
typedef void assert_context_f(char *buf, size_t n);
void assert_set_context(assert_context_f *f);

#endif
