/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strings that are pointer and length. Not NUL-terminated unless a name ends in z.
 *
 * All functions are pure; none allocates. Threads: any.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t      n;
};

#define STR_LIT(s) ((struct str){ "" s, sizeof(s) - 1 })
#define STR_NULL   ((struct str){ NULL, 0 })
#define STR_FMT(s) (int)(s).n, (s).p /* for "%.*s" */
#define PRIstr     ".*s"

static inline struct str
str_from(const char *p, size_t n)
{
    return (struct str){ p, n };
}

static inline struct str
str_z(const char *z)
{
    return (struct str){ z, z == NULL ? 0 : strlen(z) };
}

static inline bool
str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool
str_eqz(struct str a, const char *z)
{
    return str_eq(a, str_z(z));
}

static inline bool
str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool
str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

/* The part from byte `from` (clamped) to the end. */
static inline struct str
str_from_off(struct str s, size_t from)
{
    if (from > s.n)
        from = s.n;
    return (struct str){ s.p + from, s.n - from };
}

bool      str_ieq(struct str a, struct str b); /* ASCII case-insensitive */
bool      str_istarts(struct str s, struct str prefix);
int       str_cmp(struct str a, struct str b);     /* byte order; a prefix sorts first */
ptrdiff_t str_chr(struct str s, char c);           /* index, or -1 */
ptrdiff_t str_rchr(struct str s, char c);          /* index, or -1 */
ptrdiff_t str_find(struct str s, struct str what); /* index, or -1 */
struct str str_trim(struct str s);                 /* spaces and tabs off both ends */

/*
 * Take the part before the first sep off *rest into *tok. Returns false when *rest is used up. "a,b" gives a, b;
 * "a," gives a and an empty token; the empty string gives one empty token; a NULL pointer gives nothing.
 */
bool str_split(struct str *rest, char sep, struct str *tok);

/* Whole-string numbers: false (and *out untouched) unless every byte is part of one number that fits. */
bool str_u64(struct str s, uint64_t *out);
bool str_i64(struct str s, int64_t *out);
bool str_u64_base(struct str s, unsigned base, uint64_t *out); /* base 2..36, either case */
bool str_f64(struct str s, double *out);
/* AIStore's lenient query boolean (native-api.md 1.1): anything unknown is false. */
bool str_query_bool(struct str s);

/* NUL-terminated copy into buf (cut to n-1). Returns false when cut. */
bool str_copyz(struct str s, char *buf, size_t n);
/* Lower-case hex of n bytes into out[2*n+1], NUL-terminated. */
void str_hex(const void *bytes, size_t n, char *out);
/* Hex text to bytes: exactly 2*n digits. */
bool str_unhex(struct str s, void *bytes, size_t n);
/* v in the given base into out (at least 66 bytes), NUL-terminated; returns the length. */
size_t str_from_u64(uint64_t v, unsigned base, char *out);

bool str_is_utf8(struct str s);

#endif
