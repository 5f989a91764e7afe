/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On-disk object metadata in AIStore's formats: the xattr "user.ais.lom", the chunk manifest (%ut), EC metadata (%mt).
 * internals.md 1.2 to 1.4. Pure; all strs of a decoded record point into the image (or, for the manifest, into `mem`).
 */
#ifndef CODEC_LMETA_H
#define CODEC_LMETA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/sbuf.h"
#include "codec/cksum.h"

#define LMETA_XATTR      "user.ais.lom"
#define LMETA_MAX        4096
#define LMETA_MAX_CUSTOM 64
#define LMETA_MAX_COPIES 33

#define LID_AIS_BCK (1ULL << 63)
#define LID_CHUNKED (1ULL << 61)
#define LID_LONG    (1ULL << 60)
#define LID_BID(lid) ((lid) & ((1ULL << 60) - 1)) /* the bucket's serial; bucket id = serial | LID_AIS_BCK for ais:// */

struct kv {
    struct str k, v;
};

struct lmeta {
    uint8_t      meta_version; /* 1 or 2 when read */
    struct cksum cksum;
    struct str   version;      /* "" = none */
    uint64_t     size;
    uint64_t     lid;          /* 0 in version-1 records */
    uint64_t     flags;
    unsigned     ncopies;
    struct str   copies[LMETA_MAX_COPIES]; /* FQNs, the main replica included */
    unsigned     ncustom;
    struct kv    custom[LMETA_MAX_CUSTOM]; /* "orig_fntl" included */
};

/*
 * Decode. Fixed-size values are taken by length, not by the separator, so that sizes such as 0xE32FBD (a known flaw of the
 * original's reader) are read right. 0, or -AIS_E_CORRUPT (bad checksum, unknown or duplicate key, no size, over the limits).
 */
int lmeta_decode(const void *p, size_t n, struct lmeta *m);
/* Encode as the original would (version 2; order 0,1,[2],3,6,7,[4],[5]) into out[LMETA_MAX]. The length, or -AIS_E_TOOBIG /
 * -AIS_E_INVAL (a key or value that the format cannot hold: 0x01 or the separator in custom data). */
int lmeta_encode(const struct lmeta *m, void *out);

/* Chunk manifest. */
struct uchunk {
    uint64_t     size;
    struct str   path; /* absolute */
    struct cksum cksum;
    uint16_t     num, flags;
    bool         has_md5;
    uint8_t      md5[16];
    struct str   etag;
};
struct ufest {
    struct str     id;
    int64_t        created_ns;
    uint16_t       flags; /* bit 0: completed */
#define UFEST_COMPLETED 1u
    unsigned       n;
    struct uchunk *chunks; /* in the arena */
};
#define UFEST_MAX_CHUNKS 9999
int ufest_decode(struct arena *mem, const void *p, size_t n, struct ufest *u); /* 0, -AIS_E_CORRUPT, -AIS_E_TOOBIG */
int ufest_encode(const struct ufest *u, struct sbuf *out);                     /* 0, -AIS_E_NOMEM, -AIS_E_INVAL */

/* EC metadata of Go AIStore. */
struct ecmd_node {
    struct str id;
    uint16_t   slice; /* 0 = full replica */
};
struct ecmd {
    uint32_t          version;
    int64_t           generation;
    int64_t           size;
    uint16_t          data, parity, slice_id; /* slice_id 0: the full replica */
    bool              is_copy;                /* replicated, not sliced */
    struct str        full_replica;           /* node id */
    struct str        obj_cksum, obj_version;
    struct str        cksum_type, slice_cksum;
    unsigned          nnodes;
    struct ecmd_node *nodes;                  /* in the arena */
};
int ecmd_decode(struct arena *mem, const void *p, size_t n, struct ecmd *m);
int ecmd_encode(const struct ecmd *m, struct sbuf *out); /* 0, -AIS_E_NOMEM */

#endif
