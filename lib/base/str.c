/* SPDX-License-Identifier: Apache-2.0 */
/* Strings that are pointer and length. Runs on: any thread; pure. */
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>

#include "base/util.h"

static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool
str_istarts(struct str s, struct str prefix)
{
    if (s.n < prefix.n)
        return false;
    for (size_t i = 0; i < prefix.n; i++)
        if (lower(s.p[i]) != lower(prefix.p[i]))
            return false;
    return true;
}

bool
str_ieq(struct str a, struct str b)
{
    return a.n == b.n && str_istarts(a, b);
}

int
str_cmp(struct str a, struct str b)
{
    size_t n = MIN(a.n, b.n);
    int    c = n == 0 ? 0 : memcmp(a.p, b.p, n);

    if (c != 0)
        return c;
    return a.n < b.n ? -1 : a.n > b.n;
}

ptrdiff_t
str_chr(struct str s, char c)
{
    const char *q = s.n == 0 ? NULL : memchr(s.p, c, s.n);

    return q == NULL ? -1 : q - s.p;
}

ptrdiff_t
str_rchr(struct str s, char c)
{
    const char *q = s.n == 0 ? NULL : memrchr(s.p, c, s.n);

    return q == NULL ? -1 : q - s.p;
}

ptrdiff_t
str_find(struct str s, struct str what)
{
    const char *q;

    if (what.n == 0)
        return 0;
    q = s.n == 0 ? NULL : memmem(s.p, s.n, what.p, what.n);
    return q == NULL ? -1 : q - s.p;
}

struct str
str_trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool
str_split(struct str *rest, char sep, struct str *tok)
{
    ptrdiff_t i;

    if (rest->p == NULL)
        return false;
    i = str_chr(*rest, sep);
    if (i < 0) {
        *tok = *rest;
        *rest = STR_NULL;
        return true;
    }
    *tok = str_from(rest->p, (size_t)i);
    *rest = str_from(rest->p + i + 1, rest->n - (size_t)i - 1);
    return true;
}

static int
digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 10;
    return 99;
}

bool
str_u64_base(struct str s, unsigned base, uint64_t *out)
{
    uint64_t v = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned d = (unsigned)digit(s.p[i]);

        if (d >= base || __builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v))
            return false;
    }
    *out = v;
    return true;
}

bool
str_u64(struct str s, uint64_t *out)
{
    return str_u64_base(s, 10, out);
}

bool
str_i64(struct str s, int64_t *out)
{
    uint64_t v;
    bool     neg = s.n > 0 && s.p[0] == '-';

    if (neg || (s.n > 0 && s.p[0] == '+'))
        s = str_from_off(s, 1);
    if (!str_u64(s, &v) || v > (uint64_t)INT64_MAX + (neg ? 1 : 0))
        return false;
    *out = neg ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool
str_f64(struct str s, double *out)
{
    char   buf[64], *end;
    double v;

    if (s.n == 0 || !str_copyz(s, buf, sizeof(buf)))
        return false;
    if (strspn(buf, "+-.0123456789eE") != s.n) /* strtod also takes blanks, hex, "inf"; and a NUL ends it early */
        return false;
    errno = 0;
    v = strtod(buf, &end);
    if (*end != '\0' || errno != 0)
        return false;
    *out = v;
    return true;
}

bool
str_query_bool(struct str s)
{
    static const char *const yes[] = { "y", "yes", "on", "true", "1", "t" };

    for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
        if (str_ieq(s, str_z(yes[i])))
            return true;
    return false;
}

bool
str_copyz(struct str s, char *buf, size_t n)
{
    size_t len = MIN(s.n, n - 1);

    if (len > 0)
        memcpy(buf, s.p, len);
    buf[len] = '\0';
    return len == s.n;
}

void
str_hex(const void *bytes, size_t n, char *out)
{
    static const char    hex[] = "0123456789abcdef";
    const unsigned char *b = bytes;

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = hex[b[i] >> 4];
        out[2 * i + 1] = hex[b[i] & 15];
    }
    out[2 * n] = '\0';
}

bool
str_unhex(struct str s, void *bytes, size_t n)
{
    unsigned char *b = bytes;

    if (s.n != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int hi = digit(s.p[2 * i]), lo = digit(s.p[2 * i + 1]);

        if (hi > 15 || lo > 15)
            return false;
        b[i] = (unsigned char)(hi << 4 | lo);
    }
    return true;
}

size_t
str_from_u64(uint64_t v, unsigned base, char *out)
{
    char   tmp[66];
    size_t n = 0;

    do {
        tmp[n++] = "0123456789abcdefghijklmnopqrstuvwxyz"[v % base];
        v /= base;
    } while (v != 0);
    for (size_t i = 0; i < n; i++)
        out[i] = tmp[n - 1 - i];
    out[n] = '\0';
    return n;
}

bool
str_is_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p, *end = p + s.n;

    while (p < end) {
        unsigned      c = *p++, need, min, cp;

        if (c < 0x80)
            continue;
        if (c >= 0xc2 && c <= 0xdf) {
            need = 1, min = 0x80, cp = c & 0x1f;
        } else if ((c & 0xf0) == 0xe0) {
            need = 2, min = 0x800, cp = c & 0x0f;
        } else if (c >= 0xf0 && c <= 0xf4) {
            need = 3, min = 0x10000, cp = c & 0x07;
        } else {
            return false;
        }
        for (; need > 0; need--) {
            if (p == end || (*p & 0xc0) != 0x80)
                return false;
            cp = cp << 6 | (*p++ & 0x3fu);
        }
        if (cp < min || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
            return false;
    }
    return true;
}
