/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checksums by AIStore's names (native-api.md 4.8), streaming; placement hashes (internals.md 2).
 *
 * Values are lower-case hex of the big-endian digest. Pure CPU; above about 1 MiB a call belongs into offload().
 */
#ifndef CODEC_CKSUM_H
#define CODEC_CKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* clang-format off */
enum cksum_type { CKSUM_NONE, CKSUM_XXHASH, CKSUM_XXHASH2, CKSUM_MD5, CKSUM_CRC32C, CKSUM_SHA256, CKSUM_SHA512, CKSUM_NTYPES };
/* clang-format on */

#define CKSUM_HEX_MAX   129 /* hex digits of the longest, and NUL */
#define AIS_HASH_SEED   1103515245u

struct cksum {
    enum cksum_type type;
    char            value[CKSUM_HEX_MAX]; /* "" when none */
};

const char *cksum_name(enum cksum_type t);                       /* "none", "xxhash", ... */
bool        cksum_by_name(struct str name, enum cksum_type *out);
bool        cksum_eq(const struct cksum *a, const struct cksum *b); /* same type and value (hex digits in any case) */

/* A running hash; about 400 bytes, no heap for xxhash and crc32c (md5/sha use OpenSSL contexts: cksum_fini frees). */
struct cksum_run {
    enum cksum_type type;
    union {
        uint64_t align;
        char     xx[128];
        uint32_t crc;
        void    *evp;
    } u;
};
int  cksum_init(struct cksum_run *r, enum cksum_type t); /* 0 or -AIS_E_NOMEM */
void cksum_update(struct cksum_run *r, const void *p, size_t n);
void cksum_final(struct cksum_run *r, struct cksum *out); /* the run may go on being updated (for append handles) */
void cksum_fini(struct cksum_run *r);
void cksum_of(enum cksum_type t, const void *p, size_t n, struct cksum *out);
/* Serialise a running hash for append handles (at most 80 bytes): xxhash and crc32c only (-AIS_E_UNSUPP otherwise: the caller
 * re-reads). cksum_load trusts nothing: -AIS_E_INVAL for what cksum_save did not write; forged values only give wrong hashes. */
int cksum_save(const struct cksum_run *r, void *out, size_t cap, size_t *n);
int cksum_load(struct cksum_run *r, enum cksum_type t, const void *p, size_t n);

uint64_t xxh64(const void *p, size_t n, uint64_t seed);
/* The same, piece by piece. */
struct xxh64_run {
    union {
        uint64_t align;
        char     xx[128];
    } u;
};
void     xxh64_init(struct xxh64_run *r, uint64_t seed);
void     xxh64_update(struct xxh64_run *r, const void *p, size_t n);
uint64_t xxh64_final(const struct xxh64_run *r); /* may go on being updated */
uint32_t crc32c(uint32_t crc, const void *p, size_t n); /* start with 0; standard CRC-32C values */

/* HRW (internals.md 2): bit for bit AIStore's. */
uint64_t hrw_digest(const void *p, size_t n);  /* XXH64 with AIS_HASH_SEED */
uint64_t hrw_mix(uint64_t s);                  /* weight = hrw_mix(node digest ^ object digest) */

#endif
