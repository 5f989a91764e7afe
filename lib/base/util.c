/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation that aborts, closing that is harmless. Runs on: any thread. */
#include "base/util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"

void *
xmalloc(size_t n)
{
    void *p = malloc(n == 0 ? 1 : n);

    if (p == NULL)
        ais_bug("out of memory: %zu bytes", n);
    return p;
}

void *
xcalloc(size_t n, size_t size)
{
    void *p = calloc(n == 0 ? 1 : n, size == 0 ? 1 : size);

    if (p == NULL)
        ais_bug("out of memory: %zu * %zu bytes", n, size);
    return p;
}

void *
xrealloc(void *old, size_t n)
{
    void *p = realloc(old, n == 0 ? 1 : n);

    if (p == NULL)
        ais_bug("out of memory: %zu bytes", n);
    return p;
}

char *
xstrndup(const char *s, size_t n)
{
    char *p = xmalloc(n + 1);

    memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

char *
xstrdup(const char *s)
{
    return xstrndup(s, strlen(s));
}

char *
xasprintf(const char *fmt, ...)
{
    char   *p = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&p, fmt, ap) < 0)
        ais_bug("out of memory in vasprintf");
    va_end(ap);
    return p;
}

void
fd_close(int *fd)
{
    int e = errno;

    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = e;
}
