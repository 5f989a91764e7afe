/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msgpack. Runs on: any thread; pure. native-api.md 2.9.
 *
 * The writer chooses the forms that tinylib/msgp chooses (signed integers in signed forms), so that recordings compare
 * equal.
 */
#include "codec/mp.h"

#include "base/err.h"
#include "base/util.h"

/* clang-format off */
enum {
    FIXMAP = 0x80, FIXARR = 0x90, FIXSTR = 0xa0, NIL = 0xc0, NEVER = 0xc1, FALSE_ = 0xc2, TRUE_ = 0xc3, BIN8 = 0xc4, BIN32 = 0xc6,
    EXT8 = 0xc7, EXT32 = 0xc9, F32 = 0xca, F64 = 0xcb, U8 = 0xcc, U16 = 0xcd, U32 = 0xce, U64 = 0xcf, I8 = 0xd0, I16 = 0xd1,
    I32 = 0xd2, I64 = 0xd3, FIXEXT1 = 0xd4, FIXEXT16 = 0xd8, STR8 = 0xd9, STR32 = 0xdb, ARR16 = 0xdc, ARR32 = 0xdd,
    MAP16 = 0xde, MAP32 = 0xdf, NEGFIX = 0xe0
};
/* clang-format on */

#define SKIP_DEPTH 32

/* ---- writer ---- */

/* A type byte and the low n bytes of v, big-endian. */
static void
put(struct sbuf *b, unsigned char type, uint64_t v, unsigned n)
{
    char *to = sbuf_reserve(b, 1 + n);

    if (to == NULL)
        return;
    to[0] = (char)type;
    for (unsigned i = 0; i < n; i++)
        to[1 + i] = (char)(v >> (8 * (n - 1 - i)));
    sbuf_added(b, 1 + n);
}

void
mp_map(struct sbuf *b, uint32_t n)
{
    if (n <= 15)
        put(b, (unsigned char)(FIXMAP | n), 0, 0);
    else if (n <= UINT16_MAX)
        put(b, MAP16, n, 2);
    else
        put(b, MAP32, n, 4);
}

void
mp_arr(struct sbuf *b, uint32_t n)
{
    if (n <= 15)
        put(b, (unsigned char)(FIXARR | n), 0, 0);
    else if (n <= UINT16_MAX)
        put(b, ARR16, n, 2);
    else
        put(b, ARR32, n, 4);
}

/* Type byte and length of 1, 2 or 4 bytes (types are neighbours), then the bytes. */
static void
put_bytes(struct sbuf *b, unsigned char type8, struct str s)
{
    if (s.n <= UINT8_MAX)
        put(b, type8, s.n, 1);
    else if (s.n <= UINT16_MAX)
        put(b, (unsigned char)(type8 + 1), s.n, 2);
    else if (s.n <= UINT32_MAX)
        put(b, (unsigned char)(type8 + 2), s.n, 4);
    else
        b->failed = true;
    sbuf_puts(b, s);
}

void
mp_str(struct sbuf *b, struct str s)
{
    if (s.n > 31) {
        put_bytes(b, STR8, s);
        return;
    }
    put(b, (unsigned char)(FIXSTR | s.n), 0, 0);
    sbuf_puts(b, s);
}

void
mp_strz(struct sbuf *b, const char *z)
{
    mp_str(b, str_z(z));
}

void
mp_bin(struct sbuf *b, struct str s)
{
    put_bytes(b, BIN8, s);
}

void
mp_u64(struct sbuf *b, uint64_t v)
{
    if (v <= 0x7f)
        put(b, (unsigned char)v, 0, 0);
    else if (v <= UINT8_MAX)
        put(b, U8, v, 1);
    else if (v <= UINT16_MAX)
        put(b, U16, v, 2);
    else if (v <= UINT32_MAX)
        put(b, U32, v, 4);
    else
        put(b, U64, v, 8);
}

void
mp_i64(struct sbuf *b, int64_t v)
{
    if (v >= -32 && v <= 0x7f)
        put(b, (unsigned char)v, 0, 0);
    else if (v >= INT8_MIN && v <= INT8_MAX)
        put(b, I8, (uint64_t)v, 1);
    else if (v >= INT16_MIN && v <= INT16_MAX)
        put(b, I16, (uint64_t)v, 2);
    else if (v >= INT32_MIN && v <= INT32_MAX)
        put(b, I32, (uint64_t)v, 4);
    else
        put(b, I64, (uint64_t)v, 8);
}

void
mp_bool(struct sbuf *b, bool v)
{
    put(b, v ? TRUE_ : FALSE_, 0, 0);
}

void
mp_f64(struct sbuf *b, double v)
{
    uint64_t u;

    memcpy(&u, &v, sizeof(u));
    put(b, F64, u, 8);
}

void
mp_nil(struct sbuf *b)
{
    put(b, NIL, 0, 0);
}

/* ---- reader ---- */

/* One value's head: what it is, its number or length, and where its content (if any) begins. */
struct item {
    enum mp_type         type;
    uint64_t             v; /* integer (two's complement), length, count, float's bits */
    bool                 neg, f32;
    const unsigned char *body;
};

static bool
take(const unsigned char **p, const unsigned char *end, unsigned n, uint64_t *v)
{
    if ((size_t)(end - *p) < n)
        return false;
    *v = 0;
    for (unsigned i = 0; i < n; i++)
        *v = *v << 8 | (*p)[i];
    *p += n;
    return true;
}

static void
item_signed(struct item *it, unsigned bits)
{
    if (bits < 64 && (it->v >> (bits - 1) & 1))
        it->v |= ~(uint64_t)0 << bits;
    it->neg = it->v >> 63;
}

/* Type bytes from 0xc0 to 0xdf. */
static bool
read_typed(unsigned char t, const unsigned char **p, const unsigned char *end, struct item *it)
{
    static const struct {
        uint8_t type, width; /* enum mp_type, bytes of the number that follows */
    } kinds[32] = {
        [NIL - NIL] = { MP_NIL, 0 },         [NEVER - NIL] = { MP_END, 0 },       [FALSE_ - NIL] = { MP_BOOL, 0 },
        [TRUE_ - NIL] = { MP_BOOL, 0 },      [BIN8 - NIL] = { MP_BIN, 1 },        [BIN8 + 1 - NIL] = { MP_BIN, 2 },
        [BIN32 - NIL] = { MP_BIN, 4 },       [EXT8 - NIL] = { MP_EXT, 1 },        [EXT8 + 1 - NIL] = { MP_EXT, 2 },
        [EXT32 - NIL] = { MP_EXT, 4 },       [F32 - NIL] = { MP_FLOAT, 4 },       [F64 - NIL] = { MP_FLOAT, 8 },
        [U8 - NIL] = { MP_INT, 1 },          [U16 - NIL] = { MP_INT, 2 },         [U32 - NIL] = { MP_INT, 4 },
        [U64 - NIL] = { MP_INT, 8 },         [I8 - NIL] = { MP_INT, 1 },          [I16 - NIL] = { MP_INT, 2 },
        [I32 - NIL] = { MP_INT, 4 },         [I64 - NIL] = { MP_INT, 8 },         [FIXEXT1 - NIL] = { MP_EXT, 0 },
        [FIXEXT1 + 1 - NIL] = { MP_EXT, 0 }, [FIXEXT1 + 2 - NIL] = { MP_EXT, 0 }, [FIXEXT1 + 3 - NIL] = { MP_EXT, 0 },
        [FIXEXT16 - NIL] = { MP_EXT, 0 },    [STR8 - NIL] = { MP_STR, 1 },        [STR8 + 1 - NIL] = { MP_STR, 2 },
        [STR32 - NIL] = { MP_STR, 4 },       [ARR16 - NIL] = { MP_ARR, 2 },       [ARR32 - NIL] = { MP_ARR, 4 },
        [MAP16 - NIL] = { MP_MAP, 2 },       [MAP32 - NIL] = { MP_MAP, 4 },
    };
    unsigned width = kinds[t - NIL].width;

    it->type = (enum mp_type)kinds[t - NIL].type;
    if (it->type == MP_END || !take(p, end, width, &it->v))
        return false;
    if (t == TRUE_)
        it->v = 1;
    if (t >= FIXEXT1 && t <= FIXEXT16)
        it->v = (uint64_t)1 << (t - FIXEXT1);
    if (t >= I8 && t <= I64)
        item_signed(it, 8 * width);
    it->f32 = t == F32;
    if (it->type == MP_EXT)
        it->v++; /* the application's type byte */
    return true;
}

/* The head at in->p; the bytes of strings and the like are there, too. Nothing moves. */
static bool
read_item(const struct mp_in *in, struct item *it)
{
    const unsigned char *p = in->p;
    unsigned char        t;

    *it = (struct item){ .type = MP_END };
    if (p >= in->end)
        return false;
    t = *p++;
    if (t < FIXMAP || t >= NEGFIX) {
        it->type = MP_INT;
        it->v = t;
        item_signed(it, 8);
    } else if (t < NIL) {
        it->type = t < FIXARR ? MP_MAP : t < FIXSTR ? MP_ARR : MP_STR;
        it->v = t & (t < FIXSTR ? 0x0f : 0x1f);
    } else if (!read_typed(t, &p, in->end, it)) {
        return false;
    }
    it->body = p;
    if (it->type == MP_STR || it->type == MP_BIN || it->type == MP_EXT)
        return it->v <= (uint64_t)(in->end - p);
    return true;
}

enum mp_type
mp_peek(const struct mp_in *in)
{
    struct item it;

    return read_item(in, &it) ? it.type : MP_END;
}

/* A count is only believed as far as that many values can follow: each takes a byte at least (a pair two). */
static int
get_count(struct mp_in *in, enum mp_type type, uint32_t *n)
{
    struct item it;
    uint64_t    left;

    if (!read_item(in, &it))
        return -AIS_E_BADREQ;
    if (it.type == MP_NIL) {
        it.v = 0;
        it.type = type;
    }
    left = (uint64_t)(in->end - it.body);
    if (it.type != type || it.v > (type == MP_MAP ? left / 2 : left))
        return -AIS_E_BADREQ;
    *n = (uint32_t)it.v;
    in->p = it.body;
    return 0;
}

int
mp_get_map(struct mp_in *in, uint32_t *n)
{
    return get_count(in, MP_MAP, n);
}

int
mp_get_arr(struct mp_in *in, uint32_t *n)
{
    return get_count(in, MP_ARR, n);
}

int
mp_get_str(struct mp_in *in, struct str *s)
{
    struct item it;

    if (!read_item(in, &it) || (it.type != MP_STR && it.type != MP_BIN))
        return -AIS_E_BADREQ;
    *s = str_from((const char *)it.body, (size_t)it.v);
    in->p = it.body + it.v;
    return 0;
}

int
mp_get_i64(struct mp_in *in, int64_t *v)
{
    struct item it;

    if (!read_item(in, &it) || it.type != MP_INT || (!it.neg && it.v > INT64_MAX))
        return -AIS_E_BADREQ;
    *v = (int64_t)it.v;
    in->p = it.body;
    return 0;
}

int
mp_get_u64(struct mp_in *in, uint64_t *v)
{
    struct item it;

    if (!read_item(in, &it) || it.type != MP_INT || it.neg)
        return -AIS_E_BADREQ;
    *v = it.v;
    in->p = it.body;
    return 0;
}

int
mp_get_bool(struct mp_in *in, bool *v)
{
    struct item it;

    if (!read_item(in, &it) || it.type != MP_BOOL)
        return -AIS_E_BADREQ;
    *v = it.v != 0;
    in->p = it.body;
    return 0;
}

int
mp_get_f64(struct mp_in *in, double *v)
{
    struct item it;
    uint32_t    u;
    float       f;

    if (!read_item(in, &it) || (it.type != MP_FLOAT && it.type != MP_INT))
        return -AIS_E_BADREQ;
    if (it.type == MP_INT) {
        *v = it.neg ? (double)(int64_t)it.v : (double)it.v;
    } else if (it.f32) {
        u = (uint32_t)it.v;
        memcpy(&f, &u, sizeof(f));
        *v = (double)f;
    } else {
        memcpy(v, &it.v, sizeof(*v));
    }
    in->p = it.body;
    return 0;
}

/* Without recursion: left[d] values are still to be skipped at depth d. */
int
mp_skip(struct mp_in *in)
{
    struct mp_in cur = *in;
    uint64_t     left[SKIP_DEPTH + 1] = { 1 };
    unsigned     d = 0;
    struct item  it;

    for (;;) {
        while (left[d] == 0) {
            if (d == 0) {
                *in = cur;
                return 0;
            }
            d--;
        }
        left[d]--;
        if (!read_item(&cur, &it))
            return -AIS_E_BADREQ;
        cur.p = it.body;
        if (it.type == MP_STR || it.type == MP_BIN || it.type == MP_EXT) {
            cur.p += it.v;
        } else if (it.type == MP_ARR || it.type == MP_MAP) {
            if (d == SKIP_DEPTH)
                return -AIS_E_BADREQ;
            left[++d] = it.type == MP_MAP ? 2 * it.v : it.v;
        }
    }
}
