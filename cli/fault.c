/* SPDX-License-Identifier: Apache-2.0 */
/* Faults and exit codes: see fault.h. Threads: any. */
#include "cli/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
fault_set(struct fault *f, int code, const char *fmt, ...)
{
    va_list ap;

    if (f == NULL)
        return code;
    f->code = code;
    va_start(ap, fmt);
    vsnprintf(f->text, sizeof(f->text), fmt, ap);
    va_end(ap);
    return code;
}

int
fault_errno(struct fault *f, const char *what)
{
    return fault_set(f, CLI_FAILED, "%s: %s", what, strerror(errno));
}

int
fault_print(const struct fault *f)
{
    fprintf(stderr, "Error: %s\n", f->text);
    return f->code;
}

void
tally_add(struct tally *t, int rc)
{
    if (rc == CLI_OK) {
        t->done++;
        return;
    }
    if (t->failed++ == 0)
        t->first = rc;
}

int
tally_exit(const struct tally *t)
{
    if (t->failed == 0)
        return CLI_OK;
    if (t->done == 0 || t->first == CLI_INTERRUPTED)
        return t->first;
    return CLI_PARTIAL;
}
