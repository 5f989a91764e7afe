/* SPDX-License-Identifier: Apache-2.0 */
/* URLs: percent coding, queries, "http://host:port/path". Runs on: any thread; pure. RFC 3986, native-api.md 1.1. */
#include "codec/url.h"

#include "base/err.h"
#include "base/util.h"

enum { C_UNRESERVED = 1, C_PATH = 2, C_HOST = 4 };

/* clang-format off */
static const unsigned char class_of[256] = {
    ['0' ... '9'] = 7, ['A' ... 'Z'] = 7, ['a' ... 'z'] = 7, ['-'] = 7, ['.'] = 7, ['_'] = 7, ['~'] = 7,
    ['!'] = C_PATH, ['$'] = C_PATH, ['&'] = C_PATH, ['\''] = C_PATH, ['('] = C_PATH, [')'] = C_PATH, ['*'] = C_PATH,
    ['+'] = C_PATH, [','] = C_PATH, [';'] = C_PATH, ['='] = C_PATH, [':'] = C_PATH, ['@'] = C_PATH, ['/'] = C_PATH,
};
/* clang-format on */

static int
hex(char ch)
{
    unsigned char c = (unsigned char)ch;

    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

ptrdiff_t
url_decode(struct str s, bool plus, char *out)
{
    size_t o = 0;
    int    hi, lo;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%') {
            if (s.n - i < 3)
                return -1;
            hi = hex(s.p[i + 1]);
            lo = hex(s.p[i + 2]);
            if (hi < 0 || lo < 0)
                return -1;
            out[o++] = (char)(hi << 4 | lo);
            i += 2;
        } else {
            out[o++] = plus && s.p[i] == '+' ? ' ' : s.p[i];
        }
    }
    return (ptrdiff_t)o;
}

int
url_decode_arena(struct arena *a, struct str s, bool plus, struct str *out)
{
    ptrdiff_t n;
    char     *p;

    if (str_chr(s, '%') < 0 && !(plus && str_chr(s, '+') >= 0)) {
        *out = s;
        return 0;
    }
    p = arena_alloc(a, s.n + 1);
    if (p == NULL)
        return -AIS_E_TOOBIG;
    n = url_decode(s, plus, p);
    if (n < 0)
        return -AIS_E_BADREQ;
    p[n] = '\0';
    *out = str_from(p, (size_t)n);
    return 0;
}

static void
encode(struct sbuf *b, struct str s, unsigned char keep, bool plus)
{
    static const char digits[] = "0123456789ABCDEF";
    char             *to, *start;

    if (s.n > SIZE_MAX / 3) {
        b->failed = true;
        return;
    }
    for (size_t i = 0; i < s.n;) {
        size_t run = MIN(s.n - i, (size_t)256);

        to = start = sbuf_reserve(b, 3 * run);
        if (to == NULL)
            return;
        for (size_t stop = i + run; i < stop; i++) {
            unsigned char c = (unsigned char)s.p[i];

            if (class_of[c] & keep) {
                *to++ = (char)c;
            } else if (plus && c == ' ') {
                *to++ = '+';
            } else {
                *to++ = '%';
                *to++ = digits[c >> 4];
                *to++ = digits[c & 15];
            }
        }
        sbuf_added(b, (size_t)(to - start));
    }
}

void
url_encode_path(struct sbuf *b, struct str s)
{
    encode(b, s, C_PATH, false);
}

void
url_encode_query(struct sbuf *b, struct str s)
{
    encode(b, s, C_UNRESERVED, true);
}

bool
url_query_next(struct str *rest, struct str *key, struct str *val)
{
    struct str pair;
    ptrdiff_t  eq;

    while (str_split(rest, '&', &pair)) {
        if (pair.n == 0)
            continue;
        eq = str_chr(pair, '=');
        *key = eq < 0 ? pair : str_from(pair.p, (size_t)eq);
        *val = eq < 0 ? str_from(pair.p + pair.n, 0) : str_from_off(pair, (size_t)eq + 1);
        return true;
    }
    return false;
}

/* ":8080", "" or ":" (the default stays). */
static int
parse_port(struct str s, uint16_t *port)
{
    uint64_t v;

    if (s.n == 0)
        return 0;
    if (s.p[0] != ':')
        return -AIS_E_INVAL;
    s = str_from_off(s, 1);
    if (s.n == 0)
        return 0;
    if (s.n > 5 || !str_u64(s, &v) || v == 0 || v > UINT16_MAX)
        return -AIS_E_INVAL;
    *port = (uint16_t)v;
    return 0;
}

/* "host:port" or "[v6]:port" */
static int
parse_authority(struct str s, struct url *u)
{
    ptrdiff_t end;
    bool      v6 = s.n > 0 && s.p[0] == '[';

    if (v6) {
        end = str_chr(s, ']');
        if (end < 0)
            return -AIS_E_INVAL;
        u->host = str_from(s.p + 1, (size_t)end - 1);
        s = str_from_off(s, (size_t)end + 1);
    } else {
        end = str_chr(s, ':');
        u->host = end < 0 ? s : str_from(s.p, (size_t)end);
        s = str_from_off(s, u->host.n);
    }
    if (u->host.n == 0)
        return -AIS_E_INVAL;
    for (size_t i = 0; i < u->host.n; i++) {
        unsigned char c = (unsigned char)u->host.p[i];

        if (!(class_of[c] & C_HOST) && !(v6 && (c == ':' || c == '%')))
            return -AIS_E_INVAL;
    }
    return parse_port(s, &u->port);
}

/* Where the authority ends: the first of "/?#". */
static size_t
authority_len(struct str s)
{
    size_t i = 0;

    while (i < s.n && s.p[i] != '/' && s.p[i] != '?' && s.p[i] != '#')
        i++;
    return i;
}

int
url_parse(struct str s, struct url *u)
{
    struct url v = { .port = 80 };
    ptrdiff_t  i;
    size_t     n;
    int        rc;

    if (str_istarts(s, STR_LIT("http://"))) {
        s = str_from_off(s, 7);
    } else if (str_istarts(s, STR_LIT("https://"))) {
        s = str_from_off(s, 8);
        v.https = true;
        v.port = 443;
    }
    n = authority_len(s);
    if (n > 0 && s.p[n - 1] == ':' && str_starts(str_from_off(s, n), STR_LIT("//"))) /* another scheme */
        return -AIS_E_INVAL;
    rc = parse_authority(str_from(s.p, n), &v);
    if (rc < 0)
        return rc;
    s = str_from_off(s, n);
    for (size_t k = 0; k < s.n; k++)
        if ((unsigned char)s.p[k] <= 0x20 || s.p[k] == 0x7f)
            return -AIS_E_INVAL;
    i = str_chr(s, '#'); /* a fragment is the client's own business */
    if (i >= 0)
        s.n = (size_t)i;
    i = str_chr(s, '?');
    v.path = i < 0 ? s : str_from(s.p, (size_t)i);
    v.query = i < 0 ? STR_NULL : str_from_off(s, (size_t)i + 1);
    *u = v;
    return 0;
}
