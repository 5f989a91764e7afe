/* SPDX-License-Identifier: Apache-2.0 */
/* The last words of a process that doubts its own state. Runs on: any thread; never returns. */
#include "base/assert.h"

#include <execinfo.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static _Atomic(assert_context_f *) context_fn;

void
assert_set_context(assert_context_f *f)
{
    atomic_store(&context_fn, f);
}

void
ais_assert_fail(const char *file, int line, const char *func, const char *fmt, ...)
{
    char              thread[16] = "?", ctx[256] = "";
    void             *frames[64];
    va_list           ap;
    assert_context_f *f = atomic_load(&context_fn);

    prctl(PR_GET_NAME, thread);
    if (f != NULL)
        f(ctx, sizeof(ctx));
    fprintf(stderr, "ASSERTION FAILED %s:%d %s: ", file, line, func);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, " [thread %s] %s\n", thread, ctx);
    fflush(stderr);
    backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
    abort();
}
