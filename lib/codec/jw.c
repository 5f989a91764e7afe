/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text straight into an sbuf; reading through jansson with our limits. Runs on: any thread; pure. */
#include "codec/jw.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/util.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* ---- strings ---- */

/* The first byte at or after p that cannot be copied as it is: control, quote, backslash, above 0x7f. */
static inline const unsigned char *
scan_plain(const unsigned char *p, const unsigned char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(0x20);

    for (; end - p >= 16; p += 16) {
        __m128i  v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i  bad = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash));
        unsigned mask;

        /* signed "less than space" catches control bytes and everything above 0x7f */
        bad = _mm_or_si128(bad, _mm_cmplt_epi8(v, space));
        mask = (unsigned)_mm_movemask_epi8(bad);
        if (mask != 0)
            return p + __builtin_ctz(mask);
    }
#endif
    while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* Bytes of the valid UTF-8 sequence at p, or 0 (Go replaces one byte of an invalid one at a time). */
static unsigned
utf8_len(const unsigned char *p, const unsigned char *end)
{
    unsigned need = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;

    if (p[0] < 0xc2 || p[0] > 0xf4 || end - p < (ptrdiff_t)need)
        return 0;
    return str_is_utf8(str_from((const char *)p, need)) ? need : 0;
}

/* Escape what stands at p; how many bytes it was. At most 6 bytes are written. */
static size_t
escape_one(const unsigned char *p, const unsigned char *end, char **to)
{
    static const char hex[] = "0123456789abcdef";
    char             *o = *to;
    unsigned          n = 1;
    char              c;

    if (*p >= 0x80) {
        n = utf8_len(p, end);
        if (n == 0) {
            memcpy(o, "\\ufffd", 6);
            *to = o + 6;
            return 1;
        }
        /* U+2028 and U+2029 end a line in JavaScript */
        if (n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] & 0xfe) == 0xa8) {
            memcpy(o, "\\u202", 5);
            o[5] = hex[p[2] & 15];
            *to = o + 6;
            return n;
        }
        memcpy(o, p, n);
        *to = o + n;
        return n;
    }
    *o++ = '\\';
    c = *p == '\n' ? 'n' : *p == '\r' ? 'r' : *p == '\t' ? 't' : *p >= 0x20 ? (char)*p : 'u';
    *o++ = c;
    if (c == 'u') {
        *o++ = '0';
        *o++ = '0';
        *o++ = hex[*p >> 4];
        *o++ = hex[*p & 15];
    }
    *to = o;
    return n;
}

void
json_quote(struct sbuf *b, struct str s)
{
    const unsigned char *p = (const unsigned char *)(s.n > 0 ? s.p : ""), *end = p + s.n, *q;
    char                *to, *start;

    to = start = sbuf_reserve(b, s.n + 2);
    if (to == NULL)
        return;
    *to++ = '"';
    for (;;) {
        q = scan_plain(p, end);
        if (q > p) {
            memcpy(to, p, (size_t)(q - p));
            to += q - p;
            p = q;
        }
        if (p == end)
            break;
        sbuf_added(b, (size_t)(to - start)); /* the rest may grow: make room for it, the escape and the quote */
        to = start = sbuf_reserve(b, (size_t)(end - p) + 7);
        if (to == NULL)
            return;
        p += escape_one(p, end, &to);
    }
    *to++ = '"';
    sbuf_added(b, (size_t)(to - start));
}

/* ---- writer ---- */

void
jw_init(struct jw *w, struct sbuf *b, unsigned indent)
{
    *w = (struct jw){ .b = b, .indent = indent };
}

static void
newline(struct jw *w)
{
    size_t n = (size_t)w->depth * w->indent;
    char  *to = sbuf_reserve(w->b, n + 1);

    if (to == NULL)
        return;
    to[0] = '\n';
    memset(to + 1, ' ', n);
    sbuf_added(w->b, n + 1);
}

/* What stands before a value or key: a comma, a line end, or nothing after a key. */
static void
before(struct jw *w)
{
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (w->comma)
        sbuf_putc(w->b, ',');
    if (w->indent > 0 && w->depth > 0)
        newline(w);
    w->comma = true;
}

static void
begin(struct jw *w, char c)
{
    before(w);
    sbuf_putc(w->b, c);
    w->depth++;
    w->comma = false;
}

static void
finish(struct jw *w, char c)
{
    w->depth--;
    if (w->indent > 0 && w->comma)
        newline(w);
    sbuf_putc(w->b, c);
    w->comma = true;
}

void
jw_obj(struct jw *w)
{
    begin(w, '{');
}

void
jw_obj_end(struct jw *w)
{
    finish(w, '}');
}

void
jw_arr(struct jw *w)
{
    begin(w, '[');
}

void
jw_arr_end(struct jw *w)
{
    finish(w, ']');
}

void
jw_keys(struct jw *w, struct str key)
{
    before(w);
    json_quote(w->b, key);
    if (w->indent > 0)
        sbuf_put(w->b, ": ", 2);
    else
        sbuf_putc(w->b, ':');
    w->after_key = true;
}

void
jw_key(struct jw *w, const char *key)
{
    jw_keys(w, str_z(key));
}

void
jw_str(struct jw *w, struct str s)
{
    before(w);
    json_quote(w->b, s);
}

void
jw_strz(struct jw *w, const char *z)
{
    jw_str(w, str_z(z));
}

void
jw_raw(struct jw *w, struct str json)
{
    before(w);
    sbuf_puts(w->b, json);
}

static void
number(struct jw *w, uint64_t v, bool neg, bool quoted)
{
    char   buf[72];
    size_t n = 0;

    if (quoted)
        buf[n++] = '"';
    if (neg)
        buf[n++] = '-';
    n += str_from_u64(v, 10, buf + n);
    if (quoted)
        buf[n++] = '"';
    jw_raw(w, str_from(buf, n));
}

void
jw_u64(struct jw *w, uint64_t v)
{
    number(w, v, false, false);
}

void
jw_i64(struct jw *w, int64_t v)
{
    number(w, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0, false);
}

void
jw_u64s(struct jw *w, uint64_t v)
{
    number(w, v, false, true);
}

void
jw_i64s(struct jw *w, int64_t v)
{
    number(w, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0, true);
}

/*
 * Shortest scientific form that reads back: fifteen digits do for every number that had so few, seventeen always. (At
 * exact powers of two Go may find a sixteen-digit form that is not the nearest one; ours then has seventeen and reads
 * back the same.) Subnormals have fewer significant digits, so they are tried from one.
 */
static void
shortest(double v, char *buf, size_t n)
{
    for (int prec = v < 2.3e-308 ? 0 : 14; prec <= 16; prec++) {
        snprintf(buf, n, "%.*e", prec, v);
        if (strtod(buf, NULL) == v)
            return;
    }
}

/* "d.ddde[+-]xx" to Go's 'f' form: no exponent. */
static size_t
plain_form(const char *digits, size_t nd, int exp, char *out)
{
    size_t o = 0;

    if (exp < 0) {
        out[o++] = '0';
        out[o++] = '.';
        for (int i = -1; i > exp; i--)
            out[o++] = '0';
        memcpy(out + o, digits, nd);
        return o + nd;
    }
    for (int i = 0; i <= exp; i++)
        out[o++] = (size_t)i < nd ? digits[i] : '0';
    if (nd > (size_t)exp + 1) {
        out[o++] = '.';
        memcpy(out + o, digits + exp + 1, nd - (size_t)exp - 1);
        o += nd - (size_t)exp - 1;
    }
    return o;
}

/* As Go's encoding/json: 'f' form for 1e-6 <= |v| < 1e21, otherwise "de+21", "de-7". NaN and infinity: null. */
void
jw_f64(struct jw *w, double v)
{
    char   e[40], digits[20], out[64];
    size_t nd = 0, n = 0;
    int    exp;
    char  *q;

    if (!isfinite(v)) {
        jw_null(w);
        return;
    }
    if (signbit(v))
        out[n++] = '-';
    v = fabs(v);
    shortest(v, e, sizeof(e));
    for (q = e; *q != 'e'; q++)
        if (*q != '.')
            digits[nd++] = *q;
    exp = (int)strtol(q + 1, NULL, 10);
    while (nd > 1 && digits[nd - 1] == '0')
        nd--;
    if (v == 0 || (v >= 1e-6 && v < 1e21)) {
        n += plain_form(digits, nd, exp, out + n);
    } else {
        out[n++] = digits[0];
        if (nd > 1) {
            out[n++] = '.';
            memcpy(out + n, digits + 1, nd - 1);
            n += nd - 1;
        }
        n += (size_t)snprintf(out + n, sizeof(out) - n, "e%+d", exp);
    }
    jw_raw(w, str_from(out, n));
}

void
jw_bool(struct jw *w, bool v)
{
    jw_raw(w, v ? STR_LIT("true") : STR_LIT("false"));
}

void
jw_null(struct jw *w)
{
    jw_raw(w, STR_LIT("null"));
}

/* ---- indenting ---- */

static void
new_line(struct sbuf *out, unsigned blanks)
{
    sbuf_putc(out, '\n');
    while (blanks-- > 0)
        sbuf_putc(out, ' ');
}

/* The string that starts at p, quotes included: where it ends. */
static const char *
string_end(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\' && p + 1 < end)
            p++;
    return p < end ? p + 1 : end;
}

void
json_indent(struct str text, unsigned width, struct sbuf *out)
{
    const char *p = text.p, *end = p + text.n, *q;
    unsigned    depth = 0;

    for (; p < end; p = q) {
        q = p + 1;
        switch (*p) {
        case '"':
            q = string_end(p, end);
            sbuf_put(out, p, (size_t)(q - p));
            break;
        case '{':
        case '[':
            sbuf_putc(out, *p);
            if (q < end && (*q == '}' || *q == ']'))
                sbuf_putc(out, *q++);
            else
                new_line(out, ++depth * width);
            break;
        case '}':
        case ']':
            depth -= depth > 0;
            new_line(out, depth * width);
            sbuf_putc(out, *p);
            break;
        case ',':
            sbuf_putc(out, ',');
            new_line(out, depth * width);
            break;
        case ':':
            sbuf_putz(out, ": ");
            break;
        default:
            sbuf_putc(out, *p);
        }
    }
}

/* ---- reading ---- */

/* Jansson has no unsigned 64-bit numbers: is this run of digits one that only they can hold? */
static bool
is_big_number(struct str digits)
{
    uint64_t v;

    return digits.n >= 19 && digits.n <= 20 && str_u64(digits, &v) && v > INT64_MAX;
}

static inline bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/*
 * Bound the nesting before jansson recurses, and put integers between 2^63 and 2^64 in quotes (see json_u64). Text that
 * needs no change is not copied: *fixed stays empty then. The text may be any bytes; jansson judges them afterwards.
 */
static int
prescan(struct str text, struct sbuf *fixed, struct err *e)
{
    const char *p = text.p, *end = p + text.n, *done = p, *q;
    unsigned    depth = 0;

    while (p < end) {
        char c = *p;

        if (c == '"') {
            for (p++; p < end && *p != '"'; p++)
                if (*p == '\\' && p + 1 < end)
                    p++;
            if (p < end)
                p++;
        } else if (is_digit(c)) {
            bool part = p > text.p && (p[-1] == '-' || p[-1] == '+' || p[-1] == '.' || (p[-1] | 0x20) == 'e');

            for (q = p; q < end && is_digit(*q); q++)
                ;
            if (!part && (q == end || (*q != '.' && (*q | 0x20) != 'e')) &&
                is_big_number(str_from(p, (size_t)(q - p)))) {
                sbuf_put(fixed, done, (size_t)(p - done));
                sbuf_putc(fixed, '"');
                sbuf_put(fixed, p, (size_t)(q - p));
                sbuf_putc(fixed, '"');
                done = q;
            }
            p = q;
        } else {
            if ((c == '{' || c == '[') && ++depth > JSON_MAX_DEPTH)
                return err_set(e, AIS_E_BADREQ, "JSON: nested too deep (over %d levels)", JSON_MAX_DEPTH);
            if ((c == '}' || c == ']') && depth > 0)
                depth--;
            p++;
        }
    }
    if (fixed->n > 0)
        sbuf_put(fixed, done, (size_t)(end - done));
    return sbuf_ok(fixed) ? 0 : err_set(e, AIS_E_NOMEM, "JSON: out of memory");
}

int
json_read(struct str text, struct json_t **root, struct err *e)
{
    json_error_t je;
    struct sbuf  fixed;
    json_t      *j;
    int          rc;

    if (text.n == 0)
        return err_set(e, AIS_E_BADREQ, "JSON: empty text");
    sbuf_init(&fixed, text.n > SIZE_MAX / 2 ? SIZE_MAX / 2 : 2 * text.n);
    rc = prescan(text, &fixed, e);
    if (rc < 0)
        goto out;
    if (fixed.n > 0)
        text = sbuf_str(&fixed);
    j = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
    if (j == NULL) {
        rc = err_set(e, AIS_E_BADREQ, "JSON: %s (line %d, column %d)", je.text, je.line, je.column);
        goto out;
    }
    *root = j;
out:
    sbuf_fini(&fixed);
    return rc;
}

struct json_t *
json_get_fold(const struct json_t *obj, const char *key)
{
    json_t     *v = json_object_get(obj, key);
    void       *it;
    struct str  want = str_z(key);
    const char *k;

    if (v != NULL || !json_is_object(obj))
        return v;
    /* jansson's iterator takes a non-const object although it only looks */
    union {
        const json_t *c;
        json_t       *m;
    } o = { .c = obj };
    for (it = json_object_iter(o.m); it != NULL; it = json_object_iter_next(o.m, it)) {
        k = json_object_iter_key(it);
        if (str_ieq(str_z(k), want))
            return json_object_iter_value(it);
    }
    return NULL;
}

struct str
json_text(const struct json_t *obj, const char *key)
{
    const json_t *v = json_object_get(obj, key);

    return json_is_string(v) ? str_from(json_string_value(v), json_string_length(v)) : STR_NULL;
}

bool
json_u64(const struct json_t *v, uint64_t *out)
{
    if (json_is_string(v))
        return str_u64(str_from(json_string_value(v), json_string_length(v)), out);
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

bool
json_i64(const struct json_t *v, int64_t *out)
{
    if (json_is_string(v))
        return str_i64(str_from(json_string_value(v), json_string_length(v)), out);
    if (!json_is_integer(v))
        return false;
    *out = json_integer_value(v);
    return true;
}
