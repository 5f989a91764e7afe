/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 message heads and chunked bodies.
 *
 * One pass: every byte is classified once, sixteen at a time where the machine can. Line ends and control bytes stop
 * the scan, so that "CR LF exactly" and "no control byte" cost nothing extra. The first call parses what is there; only
 * when a head arrives in pieces is its end searched for (from where the last search stopped) before it is parsed again.
 *
 * Runs on: any thread; pure. RFC 9112, RFC 9110.
 */
#include "codec/http1.h"

#include "base/err.h"
#include "base/util.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* clang-format off */
/* RFC 9110 5.6.2: tchar. */
static const unsigned char is_token[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,
    ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1,
    ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

/* A host and port: RFC 3986 3.2.2 without user information and without the delimiters nobody needs in a name. */
static const unsigned char is_host[256] = {
    ['-'] = 1, ['.'] = 1, ['_'] = 1, ['~'] = 1, ['%'] = 1, [':'] = 1, ['['] = 1, [']'] = 1,
    ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

static const struct {
    const char *name;
    size_t      n;
} methods[] = {
    [M_GET] = { "GET", 3 },       [M_HEAD] = { "HEAD", 4 },   [M_PUT] = { "PUT", 3 },         [M_POST] = { "POST", 4 },
    [M_DELETE] = { "DELETE", 6 }, [M_PATCH] = { "PATCH", 5 }, [M_OPTIONS] = { "OPTIONS", 7 },
};
/* clang-format on */

const char *
method_name(enum method m)
{
    return (unsigned)m < ARRAY_SIZE(methods) ? methods[m].name : "OTHER";
}

/* ---- scanning ---- */

/* The first control byte (tab excepted) or DEL at or after p; end when there is none. Bytes above 0x7f pass. */
static inline const char *
scan_text(const char *p, const char *end)
{
    unsigned char c;

#ifdef __SSE2__
    const __m128i low = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8('\t'), del = _mm_set1_epi8(0x7f);

    for (; end - p >= 16; p += 16) {
        __m128i  v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i  ctl = _mm_cmpeq_epi8(_mm_min_epu8(v, low), v);
        __m128i  bad = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(v, tab), ctl), _mm_cmpeq_epi8(v, del));
        unsigned mask = (unsigned)_mm_movemask_epi8(bad);

        if (mask != 0)
            return p + __builtin_ctz(mask);
    }
#endif
    for (; p < end; p++) {
        c = (unsigned char)*p;
        if (UNLIKELY((c < 0x20 && c != '\t') || c == 0x7f))
            return p;
    }
    return end;
}

/* The first byte that cannot be part of a request target: space, control byte, DEL. */
static inline const char *
scan_target(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i low = _mm_set1_epi8(0x20), del = _mm_set1_epi8(0x7f);

    for (; end - p >= 16; p += 16) {
        __m128i  v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i  bad = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(v, low), v), _mm_cmpeq_epi8(v, del));
        unsigned mask = (unsigned)_mm_movemask_epi8(bad);

        if (mask != 0)
            return p + __builtin_ctz(mask);
    }
#endif
    while (p < end && (unsigned char)*p > 0x20 && *p != 0x7f)
        p++;
    return p;
}

static inline const char *
scan_token(const char *p, const char *end)
{
    while (p < end && is_token[(unsigned char)*p])
        p++;
    return p;
}

/*
 * For a head that came in pieces: 1 when its empty line is there, 0 when not yet, -AIS_E_BADHTTP at a bare LF. *scan is
 * the first byte not looked at. An empty line at the very start is not the end (http1_parse_req skips one).
 */
static int
head_complete(const char *p, size_t n, size_t *scan)
{
    const char *q = p + *scan, *end = p + n;

    while (q < end) {
        q = memchr(q, '\n', (size_t)(end - q));
        if (q == NULL)
            break;
        if (q == p || q[-1] != '\r')
            return -AIS_E_BADHTTP;
        if (q - p >= 3 && q[-2] == '\n') /* "\r\n" + "\r\n": the line before was ended properly, or refused above */
            return 1;
        q++;
    }
    *scan = n;
    return 0;
}

/* ---- fields ---- */

/* What the fields said about the framing, until the last one is read. */
struct framing {
    uint64_t length;
    bool     has_length, has_te, te_chunked, close, keep;
    unsigned nhost;
};

/* s is token characters; lower is lower-case letters and '-', of the same length. */
static inline bool
name_is(const char *s, const char *lower, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((s[i] | 0x20) != lower[i])
            return false;
    return true;
}

static bool
list_next(struct str *rest, struct str *item)
{
    if (!str_split(rest, ',', item))
        return false;
    *item = str_trim(*item);
    return true;
}

static void
field_connection(struct framing *f, struct str v)
{
    struct str item;

    while (list_next(&v, &item)) {
        if (str_ieq(item, STR_LIT("close")))
            f->close = true;
        else if (str_ieq(item, STR_LIT("keep-alive")))
            f->keep = true;
    }
}

static int
field_length(struct framing *f, struct str v)
{
    uint64_t n = 0;

    if (f->has_length || v.n == 0 || v.n > 19)
        return -AIS_E_BADHTTP;
    for (size_t i = 0; i < v.n; i++) {
        unsigned d = (unsigned char)v.p[i] - (unsigned)'0';

        if (d > 9)
            return -AIS_E_BADHTTP;
        n = n * 10 + d; /* 19 digits fit 64 bits */
    }
    if (n > INT64_MAX)
        return -AIS_E_BADHTTP;
    f->has_length = true;
    f->length = n;
    return 0;
}

static int
field_te(struct framing *f, struct str v)
{
    if (f->has_te)
        return -AIS_E_BADHTTP;
    f->has_te = true;
    f->te_chunked = str_ieq(v, STR_LIT("chunked"));
    return 0;
}

/* The empty host is allowed (RFC 9112 3.2). */
static bool
host_ok(struct str v)
{
    for (size_t i = 0; i < v.n; i++)
        if (!is_host[(unsigned char)v.p[i]])
            return false;
    return true;
}

static inline void
keep_first(struct str *to, struct str v)
{
    if (to->p == NULL)
        *to = v;
}

/* The fields every message is asked for, by length of the name and then by the name. */
static int
field_known(struct http1_head *h, struct framing *f, struct str k, struct str v)
{
    switch (k.n) {
    case 4:
        if (name_is(k.p, "host", 4)) {
            f->nhost++;
            keep_first(&h->host, v);
            return host_ok(v) ? 0 : -AIS_E_BADHTTP;
        }
        break;
    case 5:
        if (name_is(k.p, "range", 5))
            keep_first(&h->range, v);
        break;
    case 6:
        if (name_is(k.p, "accept", 6))
            keep_first(&h->accept, v);
        else if (name_is(k.p, "expect", 6))
            h->expect_100 |= str_ieq(v, STR_LIT("100-continue"));
        break;
    case 10:
        if (name_is(k.p, "connection", 10))
            field_connection(f, v);
        else if (name_is(k.p, "user-agent", 10))
            keep_first(&h->user_agent, v);
        break;
    case 12:
        if (name_is(k.p, "content-type", 12))
            keep_first(&h->content_type, v);
        break;
    case 13:
        if (name_is(k.p, "authorization", 13))
            keep_first(&h->authorization, v);
        break;
    case 14:
        if (name_is(k.p, "content-length", 14))
            return field_length(f, v);
        break;
    case 17:
        if (name_is(k.p, "transfer-encoding", 17))
            return field_te(f, v);
        break;
    default:
        break;
    }
    return 0;
}

static void
head_init(struct http1_head *h)
{
    h->method = M_OTHER;
    h->method_text = h->target = h->reason = STR_NULL;
    h->status = 0;
    h->minor = 1;
    h->keep_alive = h->expect_100 = false;
    h->body = HTTP1_NONE;
    h->content_length = 0;
    h->host = h->content_type = h->accept = h->range = h->user_agent = h->authorization = STR_NULL;
    h->nhdrs = 0; /* hdrs[] is filled up to nhdrs, never cleared */
}

/*
 * Fields up to and with the empty line. *pp moves behind it. 1 when complete, 0 when the bytes ran out, or an error.
 * The long function of this file: the loop is the hot path of every request.
 */
static int
parse_fields(const char **pp, const char *end, struct http1_head *h, struct framing *f)
{
    const char *p = *pp, *q, *t;
    struct str  k, v;
    int         rc;

    for (;;) {
        if (p == end)
            return 0;
        if (*p == '\r') {
            if (end - p < 2)
                return 0;
            if (p[1] != '\n')
                return -AIS_E_BADHTTP;
            *pp = p + 2;
            return 1;
        }
        q = scan_token(p, end);
        if (q == end)
            return 0;
        if (*q != ':' || q == p) /* also: obs-fold, blank before the colon, no name */
            return -AIS_E_BADHTTP;
        k = str_from(p, (size_t)(q - p));
        for (p = q + 1; p < end && (*p == ' ' || *p == '\t'); p++)
            ;
        q = scan_text(p, end);
        if (end - q < 2) {
            if (q < end && *q != '\r')
                return -AIS_E_BADHTTP;
            return 0;
        }
        if (q[0] != '\r' || q[1] != '\n')
            return -AIS_E_BADHTTP;
        for (t = q; t > p && (t[-1] == ' ' || t[-1] == '\t'); t--)
            ;
        v = str_from(p, (size_t)(t - p));
        if (h->nhdrs == HTTP1_MAX_HDRS)
            return -AIS_E_HEADTOOBIG;
        h->hdrs[h->nhdrs].name = k;
        h->hdrs[h->nhdrs].value = v;
        h->nhdrs++;
        rc = field_known(h, f, k, v);
        if (rc < 0)
            return rc;
        p = q + 2;
    }
}

/* Connection and body length from what the fields said. What has two readings is refused. */
static int
settle_framing(struct http1_head *h, const struct framing *f)
{
    if (f->nhost > 1)
        return -AIS_E_BADHTTP;
    if (f->has_te && (f->has_length || h->minor == 0))
        return -AIS_E_BADHTTP;
    if (f->has_te && !f->te_chunked)
        return -AIS_E_NOTIMPL;
    h->keep_alive = !f->close && (h->minor == 1 || f->keep);
    h->content_length = f->length;
    if (f->has_te)
        h->body = HTTP1_CHUNKED;
    else if (f->has_length)
        h->body = HTTP1_LENGTH;
    return 0;
}

/* ---- requests ---- */

static enum method
method_of(struct str s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(methods); i++)
        if (methods[i].n == s.n && memcmp(methods[i].name, s.p, s.n) == 0)
            return (enum method)i;
    return M_OTHER;
}

/* The path and query of "http://authority/path?query"; the authority replaces Host (RFC 9112 3.2.2). */
static int
target_absolute(struct str t, struct str *authority, struct str *target)
{
    ptrdiff_t slash;

    if (str_istarts(t, STR_LIT("http://")))
        t = str_from_off(t, 7);
    else if (str_istarts(t, STR_LIT("https://")))
        t = str_from_off(t, 8);
    else
        return -AIS_E_BADHTTP;
    slash = str_chr(t, '/');
    *authority = slash < 0 ? t : str_from(t.p, (size_t)slash);
    *target = slash < 0 ? STR_LIT("/") : str_from_off(t, (size_t)slash);
    if (authority->n == 0 || str_chr(*authority, '?') >= 0 || !host_ok(*authority))
        return -AIS_E_BADHTTP;
    return 0;
}

/* "METHOD target HTTP/1.x\r\n": 1, 0 when bytes are missing, or an error as early as it can be seen. */
static int
parse_request_line(const char **pp, const char *end, struct http1_head *h, struct str *authority)
{
    static const char version[] = "HTTP/1.";
    const char       *p = *pp, *q;
    int               rc;

    q = scan_token(p, end);
    if (q == end)
        return 0;
    if (*q != ' ' || q == p)
        return -AIS_E_BADHTTP;
    h->method_text = str_from(p, (size_t)(q - p));
    h->method = method_of(h->method_text);
    p = q + 1;
    q = scan_target(p, end);
    if (q == end)
        return 0;
    if (*q != ' ' || q == p)
        return -AIS_E_BADHTTP;
    h->target = str_from(p, (size_t)(q - p));
    p = q + 1;
    if (memcmp(p, version, MIN((size_t)(end - p), sizeof(version) - 1)) != 0)
        return -AIS_E_BADHTTP;
    if (end - p < 10)
        return 0;
    if ((p[7] != '0' && p[7] != '1') || p[8] != '\r' || p[9] != '\n')
        return -AIS_E_BADHTTP;
    h->minor = p[7] - '0';
    if (memchr(h->target.p, '#', h->target.n) != NULL)
        return -AIS_E_BADHTTP;
    if (h->target.p[0] != '/' && !(h->method == M_OPTIONS && str_eq(h->target, STR_LIT("*")))) {
        rc = target_absolute(h->target, authority, &h->target);
        if (rc < 0)
            return rc;
    }
    *pp = p + 10;
    return 1;
}

int
http1_parse_req(const char *p, size_t n, size_t *scan, struct http1_head *h)
{
    const char    *end = p + n, *q = p;
    struct framing f = { .length = 0 };
    struct str     authority = STR_NULL;
    int            rc;

    if (*scan > 0) {
        rc = head_complete(p, n, scan);
        if (rc <= 0)
            return rc;
    }
    head_init(h);
    /* RFC 9112 2.2: one empty line before the request line is ignored (left by sloppy clients after a POST body). */
    if (n > 0 && *q == '\r') {
        if (n > 1 && q[1] != '\n')
            return -AIS_E_BADHTTP;
        q += MIN(n, (size_t)2);
    }
    rc = parse_request_line(&q, end, h, &authority);
    if (rc == 1)
        rc = parse_fields(&q, end, h, &f);
    if (rc <= 0) {
        /* The last three bytes may be the beginning of the end. */
        if (rc == 0)
            *scan = n > 3 ? n - 3 : 0;
        return rc;
    }
    rc = settle_framing(h, &f);
    if (rc < 0)
        return rc;
    if (h->minor == 1 && f.nhost != 1)
        return -AIS_E_BADHTTP;
    if (h->minor == 0)
        h->expect_100 = false;
    if (authority.p != NULL)
        h->host = authority;
    return (int)(q - p);
}

/* ---- responses ---- */

/* "HTTP/1.x NNN[ reason]\r\n" */
static int
parse_status_line(const char **pp, const char *end, struct http1_head *h)
{
    static const char version[] = "HTTP/1.";
    const char       *p = *pp, *q;

    if (memcmp(p, version, MIN((size_t)(end - p), sizeof(version) - 1)) != 0)
        return -AIS_E_BADHTTP;
    if (end - p < 14)
        return 0;
    if ((p[7] != '0' && p[7] != '1') || p[8] != ' ')
        return -AIS_E_BADHTTP;
    h->minor = p[7] - '0';
    for (q = p + 9; q < p + 12; q++) {
        if (*q < '0' || *q > '9')
            return -AIS_E_BADHTTP;
        h->status = h->status * 10 + (*q - '0');
    }
    if (h->status < 100 || (*q != ' ' && *q != '\r'))
        return -AIS_E_BADHTTP;
    p = *q == ' ' ? q + 1 : q;
    q = scan_text(p, end);
    if (end - q < 2)
        return q == end || *q == '\r' ? 0 : -AIS_E_BADHTTP;
    if (q[0] != '\r' || q[1] != '\n')
        return -AIS_E_BADHTTP;
    h->reason = str_from(p, (size_t)(q - p));
    *pp = q + 2;
    return 1;
}

int
http1_parse_resp(const char *p, size_t n, size_t *scan, bool is_head, struct http1_head *h)
{
    const char    *q = p;
    struct framing f = { .length = 0 };
    int            rc;

    if (*scan > 0) {
        rc = head_complete(p, n, scan);
        if (rc <= 0)
            return rc;
    }
    head_init(h);
    rc = n == 0 ? 0 : parse_status_line(&q, p + n, h);
    if (rc == 1)
        rc = parse_fields(&q, p + n, h, &f);
    if (rc <= 0) {
        if (rc == 0)
            *scan = n > 3 ? n - 3 : 0;
        return rc;
    }
    rc = settle_framing(h, &f);
    if (rc < 0)
        return rc;
    if (is_head || h->status < 200 || h->status == 204 || h->status == 304) {
        h->body = HTTP1_NONE;
    } else if (h->body == HTTP1_NONE) {
        h->body = HTTP1_TO_EOF;
        h->keep_alive = false;
    }
    return (int)(q - p);
}

/* ---- fields by name ---- */

bool
http1_hdr_next(const struct http1_head *h, struct str name, unsigned *it, struct str *value)
{
    for (unsigned i = *it; i < h->nhdrs; i++) {
        if (h->hdrs[i].name.n == name.n && str_ieq(h->hdrs[i].name, name)) {
            *value = h->hdrs[i].value;
            *it = i + 1;
            return true;
        }
    }
    *it = h->nhdrs;
    return false;
}

struct str
http1_hdr(const struct http1_head *h, struct str name)
{
    struct str v = STR_NULL;
    unsigned   it = 0;

    http1_hdr_next(h, name, &it, &v);
    return v;
}

/* ---- chunked bodies ---- */

#define CHUNK_MAX_EXTRA  4096
#define CHUNK_MAX_DIGITS 16

/* clang-format off */
enum chunk_state {
    CH_SIZE, CH_EXT, CH_SIZE_LF, CH_DATA, CH_DATA_CR, CH_DATA_LF,
    CH_TRAILER, CH_TRAILER_TEXT, CH_TRAILER_LF, CH_END_LF, CH_DONE
};
/* clang-format on */

static int
hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
chunk_size_byte(struct http1_chunk *c, unsigned char b)
{
    int d = hex_digit(b);

    if (d >= 0) {
        if (++c->digits > CHUNK_MAX_DIGITS || c->left > (uint64_t)INT64_MAX >> 4)
            return -AIS_E_BADHTTP;
        c->left = c->left << 4 | (unsigned)d;
        return 0;
    }
    if (c->digits == 0)
        return -AIS_E_BADHTTP;
    if (b == '\r')
        c->state = CH_SIZE_LF;
    else if (b == ';')
        c->state = CH_EXT;
    else
        return -AIS_E_BADHTTP;
    return 0;
}

/* A byte of an extension or trailer, none of which we use: only its kind and the total are checked. */
static int
chunk_extra_byte(struct http1_chunk *c, unsigned char b, enum chunk_state after_cr)
{
    if (++c->extra > CHUNK_MAX_EXTRA)
        return -AIS_E_BADHTTP;
    if (b == '\r')
        c->state = (uint8_t)after_cr;
    else if ((b < 0x20 && b != '\t') || b == 0x7f)
        return -AIS_E_BADHTTP;
    return 0;
}

/* One byte that is not body data. */
static int
chunk_step(struct http1_chunk *c, unsigned char b)
{
    switch ((enum chunk_state)c->state) {
    case CH_SIZE:
        return chunk_size_byte(c, b);
    case CH_EXT:
        return chunk_extra_byte(c, b, CH_SIZE_LF);
    case CH_SIZE_LF:
        c->state = c->left > 0 ? CH_DATA : CH_TRAILER;
        return b == '\n' ? 0 : -AIS_E_BADHTTP;
    case CH_DATA_CR:
        c->state = CH_DATA_LF;
        return b == '\r' ? 0 : -AIS_E_BADHTTP;
    case CH_DATA_LF:
        c->state = CH_SIZE;
        c->digits = 0;
        return b == '\n' ? 0 : -AIS_E_BADHTTP;
    case CH_TRAILER: /* first byte of a trailer line */
        if (b == '\r') {
            c->state = CH_END_LF;
            return 0;
        }
        c->state = CH_TRAILER_TEXT;
        if (!is_token[b])
            return -AIS_E_BADHTTP;
        return chunk_extra_byte(c, b, CH_TRAILER_LF);
    case CH_TRAILER_TEXT:
        return chunk_extra_byte(c, b, CH_TRAILER_LF);
    case CH_TRAILER_LF:
        c->state = CH_TRAILER;
        return b == '\n' ? 0 : -AIS_E_BADHTTP;
    case CH_END_LF:
        c->state = CH_DONE;
        return b == '\n' ? 0 : -AIS_E_BADHTTP;
    case CH_DATA:
    case CH_DONE:
        break;
    }
    return -AIS_E_BADHTTP;
}

int
http1_chunk_decode(struct http1_chunk *c, char *p, size_t n, size_t *used, size_t *out)
{
    size_t i = 0, o = 0;
    int    rc = 0;

    while (i < n && c->state != CH_DONE && rc == 0) {
        if (c->state == CH_DATA) {
            size_t take = (size_t)MIN(c->left, (uint64_t)(n - i));

            if (o != i)
                memmove(p + o, p + i, take);
            i += take;
            o += take;
            c->left -= take;
            if (c->left == 0)
                c->state = CH_DATA_CR;
        } else {
            rc = chunk_step(c, (unsigned char)p[i++]);
        }
    }
    *used = i;
    *out = o;
    if (rc < 0)
        return rc;
    return c->state == CH_DONE;
}

size_t
http1_chunk_head(uint64_t n, char *out)
{
    static const char hex[] = "0123456789abcdef";
    unsigned          digits = n == 0 ? 1 : (unsigned)(67 - __builtin_clzll(n)) / 4;

    for (unsigned i = digits; i > 0; i--) {
        out[i - 1] = hex[n & 15];
        n >>= 4;
    }
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return digits + 2;
}

/* ---- values ---- */

/* Digits only; numbers beyond 64 bits become the largest one (RFC 9110 14.1.2 sets no limit). */
static bool
range_number(struct str s, uint64_t *out)
{
    uint64_t v = 0;
    bool     over = false;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned d = (unsigned char)s.p[i] - (unsigned)'0';

        if (d > 9)
            return false;
        over |= __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, d, &v);
    }
    *out = over ? UINT64_MAX : v;
    return true;
}

int
http1_range(struct str value, uint64_t size, uint64_t *off, uint64_t *len)
{
    struct str a, b;
    uint64_t   first, last = UINT64_MAX;
    ptrdiff_t  dash;

    if (!str_istarts(value, STR_LIT("bytes=")))
        return -AIS_E_RANGE;
    value = str_trim(str_from_off(value, 6));
    dash = str_chr(value, '-');
    if (dash < 0)
        return -AIS_E_RANGE;
    a = str_from(value.p, (size_t)dash);
    b = str_from_off(value, (size_t)dash + 1);
    if (a.n == 0) { /* the last b bytes */
        if (!range_number(b, &last) || last == 0 || size == 0)
            return -AIS_E_RANGE;
        *len = MIN(last, size);
        *off = size - *len;
        return 0;
    }
    if (!range_number(a, &first) || (b.n > 0 && !range_number(b, &last)) || first > last || first >= size)
        return -AIS_E_RANGE;
    *off = first;
    *len = MIN(last, size - 1) - first + 1;
    return 0;
}

bool
http1_accepts(struct str list, struct str media_type)
{
    struct str item;
    ptrdiff_t  semi;

    while (list_next(&list, &item)) {
        semi = str_chr(item, ';');
        if (semi >= 0)
            item = str_trim(str_from(item.p, (size_t)semi));
        if (str_ieq(item, media_type))
            return true;
    }
    return false;
}

/* clang-format off */
static const struct {
    int         status;
    const char *reason;
} reasons[] = {
    { 100, "Continue" }, { 101, "Switching Protocols" }, { 102, "Processing" }, { 103, "Early Hints" },
    { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 203, "Non-Authoritative Information" }, { 204, "No Content" },
    { 205, "Reset Content" }, { 206, "Partial Content" }, { 207, "Multi-Status" }, { 208, "Already Reported" },
    { 300, "Multiple Choices" }, { 301, "Moved Permanently" }, { 302, "Found" }, { 303, "See Other" }, { 304, "Not Modified" },
    { 305, "Use Proxy" }, { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" },
    { 400, "Bad Request" }, { 401, "Unauthorized" }, { 402, "Payment Required" }, { 403, "Forbidden" }, { 404, "Not Found" },
    { 405, "Method Not Allowed" }, { 406, "Not Acceptable" }, { 407, "Proxy Authentication Required" },
    { 408, "Request Timeout" }, { 409, "Conflict" }, { 410, "Gone" }, { 411, "Length Required" },
    { 412, "Precondition Failed" }, { 413, "Request Entity Too Large" }, { 414, "Request URI Too Long" },
    { 415, "Unsupported Media Type" }, { 416, "Requested Range Not Satisfiable" }, { 417, "Expectation Failed" },
    { 418, "I'm a teapot" }, { 421, "Misdirected Request" }, { 422, "Unprocessable Entity" }, { 423, "Locked" },
    { 424, "Failed Dependency" }, { 425, "Too Early" }, { 426, "Upgrade Required" }, { 428, "Precondition Required" },
    { 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" }, { 451, "Unavailable For Legal Reasons" },
    { 499, "Client Closed Request" },
    { 500, "Internal Server Error" }, { 501, "Not Implemented" }, { 502, "Bad Gateway" }, { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" }, { 505, "HTTP Version Not Supported" }, { 507, "Insufficient Storage" },
    { 508, "Loop Detected" }, { 511, "Network Authentication Required" },
};
/* clang-format on */

const char *
http1_reason(int status)
{
    if (status == 200) /* nearly always */
        return "OK";
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}
