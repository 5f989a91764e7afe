/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error table, and texts for people.
 *
 * Runs on: any thread. Never blocks.
 */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

static const struct {
    const char *name;
    const char *tcode;
    const char *text;
    int         status;
} table[] = {
    [0] = { "AIS_OK", "", "no error", 200 },
#define X(sym, st, tc, tx) [sym - AIS_E_BASE] = { #sym, tc, tx, st },
#include "base/err.def"
#undef X
};

static unsigned
row(int rc)
{
    unsigned code = (unsigned)(rc < 0 ? -rc : rc);

    if (code == 0)
        return 0;
    if (code <= AIS_E_BASE || code >= AIS_E_END)
        code = AIS_E_INTERNAL;
    return code - AIS_E_BASE;
}

const char *
err_name(int rc)
{
    return table[row(rc)].name;
}

const char *
err_text(int rc)
{
    return table[row(rc)].text;
}

int
err_http(int rc)
{
    return table[row(rc)].status;
}

const char *
err_tcode_of(int rc)
{
    return table[row(rc)].tcode;
}

static void
err_head(struct err *e, int code)
{
    e->code = code;
    e->status = err_http(code);
    snprintf(e->tcode, sizeof(e->tcode), "%s", err_tcode_of(code));
}

int
err_vset(struct err *e, int code, const char *fmt, va_list ap)
{
    if (code < 0)
        code = -code;
    if (e == NULL)
        return -code;
    err_head(e, code);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    return -code;
}

int
err_set(struct err *e, int code, const char *fmt, ...)
{
    va_list ap;
    int     rc;

    va_start(ap, fmt);
    rc = err_vset(e, code, fmt, ap);
    va_end(ap);
    return rc;
}

int
err_wrap(struct err *e, const char *fmt, ...)
{
    char    old[sizeof(e->text)];
    va_list ap;
    int     n;

    if (e == NULL)
        return -AIS_E_INTERNAL;
    memcpy(old, e->text, sizeof(old));
    va_start(ap, fmt);
    n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n + 2 < sizeof(e->text))
        snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %s", old);
    return -e->code;
}

int
err_fill(struct err *e, int rc)
{
    if (rc >= 0)
        return rc;
    if (e != NULL && e->code == 0)
        err_set(e, -rc, "%s", err_text(rc));
    return rc;
}

int
err_status(struct err *e, int status)
{
    if (e == NULL)
        return -AIS_E_INTERNAL;
    e->status = status;
    return -e->code;
}

int
err_tcode(struct err *e, const char *tcode)
{
    if (e == NULL)
        return -AIS_E_INTERNAL;
    snprintf(e->tcode, sizeof(e->tcode), "%s", tcode);
    return -e->code;
}

void
err_clear(struct err *e)
{
    e->code = 0;
    e->status = 0;
    e->tcode[0] = '\0';
    e->text[0] = '\0';
}

int
err_from_errno(int errnum)
{
    static const struct {
        int errnum, code;
    } map[] = {
        { ENOENT, AIS_E_NOENT },       { ENOTDIR, AIS_E_NOENT },      { ENOSPC, AIS_E_NOSPACE },
        { EDQUOT, AIS_E_NOSPACE },     { EROFS, AIS_E_READONLY },     { EEXIST, AIS_E_EXISTS },
        { ENOMEM, AIS_E_NOMEM },       { ETIMEDOUT, AIS_E_TIMEOUT },  { ECANCELED, AIS_E_CANCELED },
        { EAGAIN, AIS_E_AGAIN },       { ECONNRESET, AIS_E_CLOSED },  { EPIPE, AIS_E_CLOSED },
        { ECONNREFUSED, AIS_E_PEER },  { EHOSTUNREACH, AIS_E_PEER },  { ENETUNREACH, AIS_E_PEER },
        { EINVAL, AIS_E_INVAL },       { EACCES, AIS_E_FORBIDDEN },   { EPERM, AIS_E_FORBIDDEN },
        { ENAMETOOLONG, AIS_E_INVAL }, { EISDIR, AIS_E_EXISTS },
    };

    if (errnum == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(map); i++)
        if (map[i].errnum == errnum)
            return -map[i].code;
    return -AIS_E_IO;
}
