/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifest of a chunked object (%ut).
 *
 *     LZ4 frame of the payload | u64 XXH64(frame, seed)
 *     payload = u8 1 | str id | u64 created | u16 count | u16 flags | chunks
 *     chunk   = u64 size | str path | cksum | u16 num | u16 flags | bytes md5 | str etag;  str = u16 length and bytes;
 *     cksum   = empty str, or str type and str value
 *
 * Runs on: any thread; LZ4 contexts and the unpacked text come from the heap. internals.md 1.3.
 */
#include "codec/lmeta.h"

#include "base/err.h"
#include "base/util.h"
#include "codec/lz4f.h"
#include "codec/unpack.h"

enum { UFEST_VERSION = 1, MD5_LEN = 16 };

#define UFEST_MAX_TEXT  (64u << 20)
#define CHUNK_MIN_BYTES (8 + 2 + 2 + 2 + 2 + 2 + 2)

static struct str
get_str(struct unpack *in)
{
    return unpack_bytes(in, unpack_u16(in));
}

static bool
get_cksum(struct unpack *in, struct cksum *c)
{
    struct str type = get_str(in), value;

    c->type = CKSUM_NONE;
    c->value[0] = '\0';
    if (type.n == 0)
        return true;
    value = get_str(in);
    return cksum_by_name(type, &c->type) && str_copyz(value, c->value, sizeof(c->value)) && strlen(c->value) == value.n;
}

static bool
get_chunk(struct unpack *in, struct uchunk *c)
{
    struct str md5;

    c->size = unpack_u64(in);
    c->path = get_str(in);
    if (!get_cksum(in, &c->cksum))
        return false;
    c->num = unpack_u16(in);
    c->flags = unpack_u16(in);
    md5 = get_str(in);
    if (md5.n != 0 && md5.n != MD5_LEN)
        return false;
    c->has_md5 = md5.n == MD5_LEN;
    memset(c->md5, 0, sizeof(c->md5));
    memcpy(c->md5, md5.p, md5.n);
    c->etag = get_str(in);
    return unpack_ok(in);
}

/* text lives in the arena. */
static int
unpack_manifest(struct arena *mem, struct str text, struct ufest *u)
{
    struct unpack in = unpack_of(text);
    struct ufest  v = { .n = 0 };
    uint8_t       version = unpack_u8(&in);

    v.id = get_str(&in);
    v.created_ns = (int64_t)unpack_u64(&in);
    v.n = unpack_u16(&in);
    v.flags = unpack_u16(&in);
    if (!unpack_ok(&in) || version != UFEST_VERSION || v.n > UFEST_MAX_CHUNKS ||
        v.n > unpack_left(&in) / CHUNK_MIN_BYTES)
        return -AIS_E_CORRUPT;
    v.chunks = arena_alloc(mem, v.n * sizeof(*v.chunks));
    if (v.chunks == NULL)
        return -AIS_E_TOOBIG;
    for (unsigned i = 0; i < v.n; i++)
        if (!get_chunk(&in, &v.chunks[i]))
            return -AIS_E_CORRUPT;
    if (unpack_left(&in) != 0)
        return -AIS_E_CORRUPT;
    *u = v;
    return 0;
}

int
ufest_decode(struct arena *mem, const void *p, size_t n, struct ufest *u)
{
    const char *b = p;
    struct sbuf text;
    struct str  copy;
    int         rc;

    if (n < 8 || be64_get(b + n - 8) != xxh64(b, n - 8, AIS_HASH_SEED))
        return -AIS_E_CORRUPT;
    sbuf_init(&text, UFEST_MAX_TEXT + 1);
    rc = lz4f_decode(str_from(b, n - 8), UFEST_MAX_TEXT, &text);
    if (rc < 0)
        goto out;
    copy = arena_str(mem, sbuf_str(&text));
    rc = copy.p == NULL ? -AIS_E_TOOBIG : unpack_manifest(mem, copy, u);
out:
    sbuf_fini(&text);
    return rc;
}

/* ---- encoding ---- */

static void
put_num(struct sbuf *b, uint64_t v, unsigned n)
{
    unsigned char be[8];

    be64_put(be, v);
    sbuf_put(b, be + 8 - n, n);
}

static void
put_str(struct sbuf *b, struct str s)
{
    if (s.n > UINT16_MAX) {
        b->failed = true;
        return;
    }
    put_num(b, s.n, 2);
    sbuf_puts(b, s);
}

static void
put_chunk(struct sbuf *b, const struct uchunk *c)
{
    put_num(b, c->size, 8);
    put_str(b, c->path);
    if (c->cksum.type == CKSUM_NONE) {
        put_num(b, 0, 2);
    } else {
        put_str(b, str_z(cksum_name(c->cksum.type)));
        put_str(b, str_z(c->cksum.value));
    }
    put_num(b, c->num, 2);
    put_num(b, c->flags, 2);
    put_str(b, c->has_md5 ? str_from((const char *)c->md5, MD5_LEN) : STR_LIT(""));
    put_str(b, c->etag);
}

static bool
encodable(const struct ufest *u)
{
    if (u->n > UFEST_MAX_CHUNKS || u->id.n > UINT16_MAX)
        return false;
    for (unsigned i = 0; i < u->n; i++)
        if (u->chunks[i].path.n > UINT16_MAX || u->chunks[i].etag.n > UINT16_MAX)
            return false;
    return true;
}

int
ufest_encode(const struct ufest *u, struct sbuf *out)
{
    struct sbuf text;
    size_t      start = out->n;
    int         rc = -AIS_E_NOMEM;

    if (!encodable(u))
        return -AIS_E_INVAL;
    sbuf_init(&text, UFEST_MAX_TEXT);
    put_num(&text, UFEST_VERSION, 1);
    put_str(&text, u->id);
    put_num(&text, (uint64_t)u->created_ns, 8);
    put_num(&text, u->n, 2);
    put_num(&text, u->flags, 2);
    for (unsigned i = 0; i < u->n; i++)
        put_chunk(&text, &u->chunks[i]);
    if (!sbuf_ok(&text))
        goto out;
    rc = lz4f_encode(sbuf_str(&text), LZ4F_BLOCK_4M, out);
    if (rc < 0)
        goto out;
    put_num(out, xxh64(out->p + start, out->n - start, AIS_HASH_SEED), 8);
    rc = sbuf_ok(out) ? 0 : -AIS_E_NOMEM;
out:
    sbuf_fini(&text);
    return rc;
}
