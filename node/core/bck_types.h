/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a bucket is, for every layer of the node: identity and the settings that the data path obeys.
 *
 * native-api.md 3.1, 3.5; internals.md 1.1, 2.
 */
#ifndef CORE_BCK_TYPES_H
#define CORE_BCK_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "codec/cksum.h"

/* clang-format off */
enum provider { PROV_AIS, PROV_AWS, PROV_GCP, PROV_AZURE, PROV_OCI, PROV_HT, PROV_NPROVS };
/* clang-format on */

#define BCK_NAME_MAX 64
#define BCK_NS_MAX   (64 + 64 + 3)
#define OBJ_NAME_MAX 3072 /* bytes; longer names are refused with 400 */

#define BID_AIS (1ULL << 63) /* set in the id of every ais:// bucket */

/*
 * A bucket as requests see it. Names are borrowed from the BMD snapshot (or from the request while it is being resolved); the
 * settings are copies, so that a request keeps the ones it started with.
 */
struct bck {
    enum provider provider;
    struct str    name;
    struct str    ns_uuid, ns_name; /* both empty: the global namespace */
    uint64_t      bid;              /* unique for the life of the cluster; 0 = not in the BMD */

    /* settings of the data path */
    enum cksum_type cksum;
    bool            validate_warm_get, validate_cold_get, validate_obj_move, range_cksum;
    bool            versioning;
    bool            durable;  /* Fsync-PUT / durable write mode */
    bool            skip_vc;  /* feature Skip-Loading-VersionChecksum-MD */
    uint32_t        copies;   /* mirror: 1 = none */
    bool            ec;
    uint32_t        ec_data, ec_parity;
    int64_t         ec_limit;
    uint64_t        chunk_size, max_monolithic; /* bytes */
    uint64_t        access;                     /* native-api.md 2.8 */
    uint64_t        features;
};

static const struct {
    const char *name;   /* as in paths and JSON */
    const char *alias;  /* also accepted */
    const char *scheme; /* for display, before "://" */
    const char *title;  /* for display, alone */
} provider_table[PROV_NPROVS] = {
    [PROV_AIS] = { "ais", "ais", "ais", "AIS" },      [PROV_AWS] = { "aws", "s3", "s3", "AWS" },
    [PROV_GCP] = { "gcp", "gs", "gs", "GCP" },        [PROV_AZURE] = { "azure", "az", "az", "Azure" },
    [PROV_OCI] = { "oci", "oc", "oc", "OCI" },        [PROV_HT] = { "ht", "ht", "ht", "ht" },
};

static inline const char *
provider_name(enum provider p)
{
    return provider_table[p].name;
}

static inline const char *
provider_scheme(enum provider p)
{
    return provider_table[p].scheme;
}

static inline const char *
provider_title(enum provider p)
{
    return provider_table[p].title;
}

/* A bucket of this cluster alone: ais://, and not another cluster's. */
static inline bool
bck_is_local(const struct bck *b)
{
    return b->provider == PROV_AIS && b->ns_uuid.n == 0;
}

/* Names and aliases (s3, gs, az, oc); false and *out untouched for anything else. */
static inline bool
provider_by_name(struct str s, enum provider *out)
{
    for (int i = 0; i < PROV_NPROVS; i++)
        if (str_eqz(s, provider_table[i].name) || str_eqz(s, provider_table[i].alias)) {
            *out = (enum provider)i;
            return true;
        }
    return false;
}

/* XXH64, with AIStore's seed, of the uname "provider/@uuid#ns/bucket/object": what placement is computed from (internals.md 2). */
static inline uint64_t
bck_obj_digest(const struct bck *b, struct str name)
{
    char             buf[16 + BCK_NS_MAX + BCK_NAME_MAX + OBJ_NAME_MAX + 8];
    const struct str part[] = { str_z(provider_name(b->provider)), STR_LIT("/@"), b->ns_uuid,   STR_LIT("#"), b->ns_name,
                                STR_LIT("/"),                      b->name,       STR_LIT("/"), name };
    size_t           n = 0;

    for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
        size_t k = part[i].n < sizeof(buf) - n ? part[i].n : sizeof(buf) - n;

        if (k > 0)
            memcpy(buf + n, part[i].p, k);
        n += k;
    }
    return hrw_digest(buf, n);
}

#endif
