/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What AIStore's metadata has no room for: our own xattr beside it, and side records for custom metadata that the file system's
 * xattrs cannot hold. README.md, "Own xattr" and "Side records". Pure: bytes in, bytes out; fuzzed. Any thread.
 */
#ifndef STORE_OWN_H
#define STORE_OWN_H

#include "base/sbuf.h"
#include "store/store_types.h"

#define OWN_MAX       256 /* bytes of the longest own xattr */
#define OWN_ID_MAX    128
#define SIDE_MAX      (1u << 20)

struct own {
    struct gen gen;
    bool       side;     /* custom metadata lies in the side record of this generation */
    uint32_t   side_crc; /* CRC32C of the whole side record */
    unsigned char side_name[32]; /* SHA-256 of the object's name: what the side record is called */
    struct str upload;   /* chunked: id of the manifest that belongs to this content; "" = unknown */
};

size_t own_encode(const struct own *o, unsigned char out[OWN_MAX]);
int    own_decode(const void *p, size_t n, struct own *o); /* 0 or -AIS_E_CORRUPT; strs point into p */

/* All custom metadata of one object. */
void side_encode(const struct kv *kv, unsigned n, struct sbuf *out);
int  side_decode(const void *p, size_t n, struct kv kv[LMETA_MAX_CUSTOM], unsigned *nkv);

/* Generations: 28 bytes, big-endian. */
#define GEN_BYTES 28
void gen_pack(const struct gen *g, unsigned char out[GEN_BYTES]);
void gen_unpack(const void *p, struct gen *g);
int  gen_cmp(const struct gen *a, const struct gen *b); /* < 0, 0, > 0 */

#endif
