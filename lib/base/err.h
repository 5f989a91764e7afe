/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: one table of codes (err.def), negative returns, and a detail text for people.
 *
 * A function that can fail returns 0 or a negative AIS_E_*. Low layers return codes only; where a failure is discovered with
 * context the text goes into a struct err, which upper layers wrap.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

enum ais_err {
    AIS_OK = 0,
    AIS_E_BASE = 4096, /* errno values lie below: a code is never confused with one */
#define X(sym, status, tcode, text) sym,
#include "base/err.def"
#undef X
    AIS_E_END
};

struct err {
    int  code;       /* positive AIS_E_*, 0 = no error */
    int  status;     /* HTTP status; from the table unless err_status() changed it */
    char tcode[40];  /* Go error type name for the error document, "" = none; from the table unless changed */
    char text[1024]; /* NUL-terminated, cut when too long */
};

/* All return the negative code, so that `return err_set(e, AIS_E_NOBCK, ...)` reads well. e may be NULL (text is dropped). */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_vset(struct err *e, int code, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));
/* Put a prefix before the text: "while doing X: old text". */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Fill e for a code that came without one (rc is negative): the table's sentence. No-op if e is filled already. */
int err_fill(struct err *e, int rc);
/* Override the HTTP status / tcode of a filled error. Returns -e->code. */
int err_status(struct err *e, int status);
int err_tcode(struct err *e, const char *tcode);
void err_clear(struct err *e);

/* errno (positive) to negative AIS_E_*: ENOENT -> NOENT, ENOSPC/EDQUOT -> NOSPACE, EROFS -> READONLY, ... else IO. */
int         err_from_errno(int errnum);
const char *err_name(int rc);   /* "AIS_E_NOBCK"; sign does not matter */
const char *err_text(int rc);   /* the table's sentence */
int         err_http(int rc);   /* the table's HTTP status */
const char *err_tcode_of(int rc);

#endif
