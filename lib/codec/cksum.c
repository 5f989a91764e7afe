/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums and placement hashes. Runs on: any thread; pure CPU. native-api.md 4.8, internals.md 2. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "codec/cksum.h"

#include <isa-l/crc.h>
#include <limits.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/util.h"

_Static_assert(sizeof(XXH64_state_t) <= sizeof(((struct cksum_run *)0)->u.xx), "cksum_run has room for XXH64's state");

static const char *const names[] = {
    [CKSUM_NONE] = "none",     [CKSUM_XXHASH] = "xxhash", [CKSUM_XXHASH2] = "xxhash2", [CKSUM_MD5] = "md5",
    [CKSUM_CRC32C] = "crc32c", [CKSUM_SHA256] = "sha256", [CKSUM_SHA512] = "sha512",
};

const char *
cksum_name(enum cksum_type t)
{
    return (unsigned)t < CKSUM_NTYPES ? names[t] : "unknown";
}

bool
cksum_by_name(struct str name, enum cksum_type *out)
{
    for (unsigned i = 0; i < CKSUM_NTYPES; i++) {
        if (str_eqz(name, names[i])) {
            *out = (enum cksum_type)i;
            return true;
        }
    }
    return false;
}

bool
cksum_eq(const struct cksum *a, const struct cksum *b)
{
    return a->type == b->type && str_ieq(str_z(a->value), str_z(b->value));
}

/* ---- primitives ---- */

uint64_t
xxh64(const void *p, size_t n, uint64_t seed)
{
    return XXH64(p, n, seed);
}

void
xxh64_init(struct xxh64_run *r, uint64_t seed)
{
    _Static_assert(sizeof(XXH64_state_t) <= sizeof(r->u.xx), "xxh64_run has room for XXH64's state");
    XXH64_reset((XXH64_state_t *)(void *)r->u.xx, seed);
}

void
xxh64_update(struct xxh64_run *r, const void *p, size_t n)
{
    XXH64_update((XXH64_state_t *)(void *)r->u.xx, p, n);
}

uint64_t
xxh64_final(const struct xxh64_run *r)
{
    return XXH64_digest((const XXH64_state_t *)(const void *)r->u.xx);
}

uint32_t
crc32c(uint32_t crc, const void *p, size_t n)
{
    /* isa-l takes a non-const pointer (it only reads) and an int length, and leaves both inversions to the caller. */
    union {
        const void    *c;
        unsigned char *m;
    } u = { .c = p };

    crc = ~crc;
    while (n > 0) {
        int take = (int)MIN(n, (size_t)1 << 30);

        crc = crc32_iscsi(u.m, take, crc);
        u.m += take;
        n -= (size_t)take;
    }
    return ~crc;
}

uint64_t
hrw_digest(const void *p, size_t n)
{
    return XXH64(p, n, AIS_HASH_SEED);
}

uint64_t
hrw_mix(uint64_t s)
{
    uint64_t z = s + 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    z = (z ^ z >> 31) + 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    z = (z ^ z >> 31) * 5;
    return (z << 7 | z >> 57) * 9;
}

/* ---- OpenSSL's ---- */

/* Fetched once: EVP_md5() and its like look the algorithm up, under a lock, at every EVP_DigestInit. */
static EVP_MD        *evp[CKSUM_NTYPES];
static pthread_once_t evp_once = PTHREAD_ONCE_INIT;

static void
evp_fetch(void)
{
    evp[CKSUM_MD5] = EVP_MD_fetch(NULL, "MD5", NULL);
    evp[CKSUM_SHA256] = EVP_MD_fetch(NULL, "SHA256", NULL);
    evp[CKSUM_SHA512] = EVP_MD_fetch(NULL, "SHA512", NULL);
}

static int
evp_start(struct cksum_run *r)
{
    EVP_MD_CTX *ctx;

    MUST(pthread_once(&evp_once, evp_fetch));
    r->u.evp = ctx = evp[r->type] == NULL ? NULL : EVP_MD_CTX_new();
    if (ctx != NULL && EVP_DigestInit_ex(ctx, evp[r->type], NULL) == 1)
        return 0;
    EVP_MD_CTX_free(ctx);
    r->u.evp = NULL;
    return -AIS_E_NOMEM;
}

static void
evp_value(const struct cksum_run *r, char *hex)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned      n = 0;
    EVP_MD_CTX   *copy = EVP_MD_CTX_new();

    /* A copy, so that the run can go on. Failing here means that a few hundred bytes were not to be had. */
    ASSERT(copy != NULL && EVP_MD_CTX_copy_ex(copy, r->u.evp) == 1 && EVP_DigestFinal_ex(copy, md, &n) == 1);
    EVP_MD_CTX_free(copy);
    str_hex(md, n, hex);
}

/* ---- running ---- */

static XXH64_state_t *
xx(struct cksum_run *r)
{
    return (XXH64_state_t *)(void *)r->u.xx; /* aligned by the union's uint64_t */
}

static const XXH64_state_t *
xxc(const struct cksum_run *r)
{
    return (const XXH64_state_t *)(const void *)r->u.xx;
}

int
cksum_init(struct cksum_run *r, enum cksum_type t)
{
    r->type = t;
    r->u.evp = NULL;
    switch (t) {
    case CKSUM_XXHASH:
    case CKSUM_XXHASH2:
        XXH64_reset(xx(r), 0);
        return 0;
    case CKSUM_CRC32C:
        r->u.crc = 0;
        return 0;
    case CKSUM_MD5:
    case CKSUM_SHA256:
    case CKSUM_SHA512:
        return evp_start(r);
    case CKSUM_NONE:
    case CKSUM_NTYPES:
        break;
    }
    return 0;
}

void
cksum_update(struct cksum_run *r, const void *p, size_t n)
{
    if (n == 0)
        return;
    switch (r->type) {
    case CKSUM_XXHASH:
    case CKSUM_XXHASH2:
        XXH64_update(xx(r), p, n);
        break;
    case CKSUM_CRC32C:
        r->u.crc = crc32c(r->u.crc, p, n);
        break;
    case CKSUM_MD5:
    case CKSUM_SHA256:
    case CKSUM_SHA512:
        ASSERT(r->u.evp != NULL && EVP_DigestUpdate(r->u.evp, p, n) == 1);
        break;
    case CKSUM_NONE:
    case CKSUM_NTYPES:
        break;
    }
}

static void
hex_u64(uint64_t v, char *out)
{
    unsigned char b[8];

    be64_put(b, v);
    str_hex(b, sizeof(b), out);
}

void
cksum_final(struct cksum_run *r, struct cksum *out)
{
    unsigned char b[4];

    out->type = r->type;
    out->value[0] = '\0';
    switch (r->type) {
    case CKSUM_XXHASH:
    case CKSUM_XXHASH2:
        hex_u64(XXH64_digest(xxc(r)), out->value);
        break;
    case CKSUM_CRC32C:
        be32_put(b, r->u.crc);
        str_hex(b, sizeof(b), out->value);
        break;
    case CKSUM_MD5:
    case CKSUM_SHA256:
    case CKSUM_SHA512:
        evp_value(r, out->value);
        break;
    case CKSUM_NONE:
    case CKSUM_NTYPES:
        break;
    }
}

void
cksum_fini(struct cksum_run *r)
{
    if (r->type == CKSUM_MD5 || r->type == CKSUM_SHA256 || r->type == CKSUM_SHA512) {
        EVP_MD_CTX_free(r->u.evp);
        r->u.evp = NULL;
    }
}

void
cksum_of(enum cksum_type t, const void *p, size_t n, struct cksum *out)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned      len = 0;
    unsigned char b[4];

    out->type = t;
    out->value[0] = '\0';
    switch (t) {
    case CKSUM_XXHASH:
    case CKSUM_XXHASH2:
        hex_u64(XXH64(p, n, 0), out->value);
        break;
    case CKSUM_CRC32C:
        be32_put(b, crc32c(0, p, n));
        str_hex(b, sizeof(b), out->value);
        break;
    case CKSUM_MD5:
    case CKSUM_SHA256:
    case CKSUM_SHA512:
        MUST(pthread_once(&evp_once, evp_fetch));
        ASSERT(evp[t] != NULL && EVP_Digest(p, n, md, &len, evp[t], NULL) == 1);
        str_hex(md, len, out->value);
        break;
    case CKSUM_NONE:
    case CKSUM_NTYPES:
        break;
    }
}

/* ---- saved runs ---- */

/*
 * The saved form travels through clients (append handles), so it is our own and every value of it is legal: version,
 * type, then total length, four accumulators and the 32 pending bytes of XXH64, or the CRC. How many pending bytes
 * count follows from the length and is not stored: a forged one could have pointed outside the state.
 */
enum { SAVE_VERSION = 1, SAVE_XX = 2 + 8 + 4 * 8 + 32, SAVE_CRC = 2 + 4 };

int
cksum_save(const struct cksum_run *r, void *out, size_t cap, size_t *n)
{
    const XXH64_state_t *s = xxc(r);
    unsigned char       *o = out;
    bool                 is_xx = r->type == CKSUM_XXHASH || r->type == CKSUM_XXHASH2;

    if (!is_xx && r->type != CKSUM_CRC32C)
        return -AIS_E_UNSUPP;
    if (cap < (size_t)(is_xx ? SAVE_XX : SAVE_CRC))
        return -AIS_E_TOOBIG;
    o[0] = SAVE_VERSION;
    o[1] = (unsigned char)r->type;
    if (!is_xx) {
        be32_put(o + 2, r->u.crc);
        *n = SAVE_CRC;
        return 0;
    }
    be64_put(o + 2, s->total_len);
    for (unsigned i = 0; i < 4; i++)
        be64_put(o + 10 + 8 * i, s->v[i]);
    memset(o + 42, 0, 32);
    memcpy(o + 42, s->mem64, s->memsize);
    *n = SAVE_XX;
    return 0;
}

int
cksum_load(struct cksum_run *r, enum cksum_type t, const void *p, size_t n)
{
    const unsigned char *in = p;
    bool                 is_xx = t == CKSUM_XXHASH || t == CKSUM_XXHASH2;
    XXH64_state_t       *s;

    if (!is_xx && t != CKSUM_CRC32C)
        return -AIS_E_UNSUPP;
    if (n != (size_t)(is_xx ? SAVE_XX : SAVE_CRC) || in[0] != SAVE_VERSION || in[1] != (unsigned char)t)
        return -AIS_E_INVAL;
    r->type = t;
    if (!is_xx) {
        r->u.crc = be32_get(in + 2);
        return 0;
    }
    s = xx(r);
    XXH64_reset(s, 0);
    s->total_len = be64_get(in + 2);
    for (unsigned i = 0; i < 4; i++)
        s->v[i] = be64_get(in + 10 + 8 * i);
    memcpy(s->mem64, in + 42, 32);
    s->memsize = (uint32_t)(s->total_len & 31);
    return 0;
}
