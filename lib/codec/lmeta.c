/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Object metadata in the xattr "user.ais.lom".
 *
 *     u8 version 2 | u8 1 (XXH64) | u64 XXH64(payload, seed) | payload
 *     payload = records joined by E3 2F BD; a record is u16 key, value
 *
 * Runs on: any thread; pure. internals.md 1.2.
 */
#include "codec/lmeta.h"

#include "base/err.h"
#include "base/util.h"

enum { HEAD = 10, META_V1 = 1, META_V2 = 2, CKSUM_IS_XXH64 = 1, SEP = 3 };
enum lmeta_key { K_CKSUM_TYPE, K_CKSUM_VALUE, K_VERSION, K_SIZE, K_COPIES, K_CUSTOM, K_LID, K_FLAGS, K_END };

static const char sep[SEP] = { '\xe3', '\x2f', '\xbd' };

/* ---- decoding ---- */

/* The record at the front of *in: its key and value; *in moves behind it and its separator. Numbers are 8 bytes,
 * whatever they contain; everything else ends at the separator. */
static int
next_record(struct str *in, unsigned *key, struct str *val)
{
    ptrdiff_t at;

    if (in->n < 2)
        return -AIS_E_CORRUPT;
    *key = be16_get(in->p);
    *in = str_from_off(*in, 2);
    if (*key == K_SIZE || *key == K_LID || *key == K_FLAGS) {
        if (in->n < 8)
            return -AIS_E_CORRUPT;
        at = 8;
    } else {
        at = str_find(*in, str_from(sep, SEP));
        if (at < 0)
            at = (ptrdiff_t)in->n;
    }
    *val = str_from(in->p, (size_t)at);
    *in = str_from_off(*in, (size_t)at);
    if (in->n == 0)
        return 0;
    /* Behind a separator there is a record. */
    if (in->n < SEP + 2 || memcmp(in->p, sep, SEP) != 0)
        return -AIS_E_CORRUPT;
    *in = str_from_off(*in, SEP);
    return 0;
}

static int
read_copies(struct lmeta *m, struct str v)
{
    struct str fqn;

    while (str_split(&v, '\0', &fqn)) {
        if (fqn.n == 0 || m->ncopies == LMETA_MAX_COPIES)
            return -AIS_E_CORRUPT;
        m->copies[m->ncopies++] = fqn;
    }
    return 0;
}

static int
read_custom(struct lmeta *m, struct str v)
{
    struct kv kv;

    while (str_split(&v, '\1', &kv.k)) {
        if (kv.k.n == 0 || m->ncustom == LMETA_MAX_CUSTOM || !str_split(&v, '\1', &kv.v))
            return -AIS_E_CORRUPT;
        m->custom[m->ncustom++] = kv;
    }
    return 0;
}

static int
read_record(struct lmeta *m, unsigned key, struct str v)
{
    switch ((enum lmeta_key)key) {
    case K_CKSUM_TYPE:
        return cksum_by_name(v, &m->cksum.type) ? 0 : -AIS_E_CORRUPT;
    case K_CKSUM_VALUE:
        if (!str_copyz(v, m->cksum.value, sizeof(m->cksum.value)) || strlen(m->cksum.value) != v.n)
            return -AIS_E_CORRUPT;
        return 0;
    case K_VERSION:
        m->version = v;
        return 0;
    case K_SIZE:
        m->size = be64_get(v.p);
        return 0;
    case K_COPIES:
        return read_copies(m, v);
    case K_CUSTOM:
        return read_custom(m, v);
    case K_LID:
        m->lid = be64_get(v.p);
        return 0;
    case K_FLAGS:
        m->flags = be64_get(v.p);
        return 0;
    case K_END:
        break;
    }
    return -AIS_E_CORRUPT;
}

static void
lmeta_init(struct lmeta *m)
{
    m->meta_version = META_V2;
    m->cksum.type = CKSUM_NONE;
    m->cksum.value[0] = '\0';
    m->version = STR_LIT("");
    m->size = m->lid = m->flags = 0;
    m->ncopies = m->ncustom = 0; /* the arrays are filled up to their counts, never cleared */
}

int
lmeta_decode(const void *p, size_t n, struct lmeta *m)
{
    const unsigned char *b = p;
    struct str           in, v;
    unsigned             seen = 0, key, legal;
    int                  rc;

    lmeta_init(m);
    if (n < HEAD + 2 || n > LMETA_MAX || (b[0] != META_V1 && b[0] != META_V2) || b[1] != CKSUM_IS_XXH64 ||
        be64_get(b + 2) != xxh64(b + HEAD, n - HEAD, AIS_HASH_SEED))
        return -AIS_E_CORRUPT;
    m->meta_version = b[0];
    legal = b[0] == META_V1 ? K_FLAGS : K_END;
    in = str_from((const char *)b + HEAD, n - HEAD);
    while (in.n > 0) {
        rc = next_record(&in, &key, &v);
        if (rc < 0)
            return rc;
        if (key >= legal || (seen & 1u << key))
            return -AIS_E_CORRUPT;
        seen |= 1u << key;
        rc = read_record(m, key, v);
        if (rc < 0)
            return rc;
    }
    if (!(seen & 1u << K_SIZE))
        return -AIS_E_CORRUPT;
    if (!(seen & 1u << K_CKSUM_TYPE) != !(seen & 1u << K_CKSUM_VALUE))
        return -AIS_E_CORRUPT;
    return 0;
}

/* ---- encoding ---- */

/* Where the next byte goes; p == NULL once something did not fit. */
struct out {
    unsigned char *p, *end;
};

static void
put(struct out *o, const void *p, size_t n)
{
    if (o->p == NULL || (size_t)(o->end - o->p) < n) {
        o->p = NULL;
        return;
    }
    if (n > 0)
        memcpy(o->p, p, n);
    o->p += n;
}

static void
put_key(struct out *o, enum lmeta_key key)
{
    unsigned char b[2];

    be16_put(b, (uint16_t)key);
    if (key != K_CKSUM_TYPE) /* the first record */
        put(o, sep, SEP);
    put(o, b, sizeof(b));
}

static void
put_strz(struct out *o, enum lmeta_key key, const char *z)
{
    put_key(o, key);
    put(o, z, strlen(z));
}

static void
put_u64(struct out *o, enum lmeta_key key, uint64_t v)
{
    unsigned char b[8];

    be64_put(b, v);
    put_key(o, key);
    put(o, b, sizeof(b));
}

static bool
has(struct str s, char delim)
{
    return str_find(s, str_from(sep, SEP)) >= 0 || str_chr(s, delim) >= 0;
}

/*
 * Can the format hold it? The original's reader takes the first separator it meets, also one made by the end of a value
 * and the separator behind it; this one cannot be: E3 2F BD does not overlap itself.
 */
static bool
encodable(const struct lmeta *m)
{
    if (m->ncopies > LMETA_MAX_COPIES || m->ncustom > LMETA_MAX_CUSTOM || (unsigned)m->cksum.type >= CKSUM_NTYPES)
        return false;
    if (str_find(m->version, str_from(sep, SEP)) >= 0)
        return false;
    for (unsigned i = 0; i < m->ncopies; i++)
        if (m->copies[i].n == 0 || has(m->copies[i], '\0'))
            return false;
    for (unsigned i = 0; i < m->ncustom; i++)
        if (m->custom[i].k.n == 0 || has(m->custom[i].k, '\1') || has(m->custom[i].v, '\1'))
            return false;
    return true;
}

int
lmeta_encode(const struct lmeta *m, void *out)
{
    unsigned char *b = out;
    struct out     o = { b + HEAD, b + LMETA_MAX };
    size_t         n;

    if (!encodable(m))
        return -AIS_E_INVAL;
    put_strz(&o, K_CKSUM_TYPE, cksum_name(m->cksum.type));
    put_strz(&o, K_CKSUM_VALUE, m->cksum.value);
    if (m->version.n > 0) {
        put_key(&o, K_VERSION);
        put(&o, m->version.p, m->version.n);
    }
    put_u64(&o, K_SIZE, m->size);
    put_u64(&o, K_LID, m->lid);
    put_u64(&o, K_FLAGS, m->flags);
    for (unsigned i = 0; i < m->ncopies; i++) {
        if (i == 0)
            put_key(&o, K_COPIES);
        else
            put(&o, "", 1);
        put(&o, m->copies[i].p, m->copies[i].n);
    }
    for (unsigned i = 0; i < m->ncustom; i++) {
        if (i == 0)
            put_key(&o, K_CUSTOM);
        else
            put(&o, "\1", 1);
        put(&o, m->custom[i].k.p, m->custom[i].k.n);
        put(&o, "\1", 1);
        put(&o, m->custom[i].v.p, m->custom[i].v.n);
    }
    if (o.p == NULL)
        return -AIS_E_TOOBIG;
    n = (size_t)(o.p - b);
    b[0] = META_V2;
    b[1] = CKSUM_IS_XXH64;
    be64_put(b + 2, xxh64(b + HEAD, n - HEAD, AIS_HASH_SEED));
    return (int)n;
}
