/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bucket properties: defaults from the cluster, the document, changes and what makes them valid.
 *
 * Runs on: any thread. Pure.
 * Wire: native-api.md 3.2, 3.5, 3.6.
 */
#include <jansson.h>
#include <stdio.h>

#include "base/units.h"
#include "codec/jw.h"
#include "codec/url.h"
#include "core/conf_impl.h"

/* clang-format off */
#define B struct bprops
static const struct field rows[] = {
    ROW(B, "backend_bck.name",           F_STR,   backend.name,     0, NULL),
    ROW(B, "backend_bck.provider",       F_BPROV, backend.provider, 0, NULL),
    ROW(B, "backend_bck.namespace.uuid", F_STR,   backend.ns_uuid,  0, NULL),
    ROW(B, "backend_bck.namespace.name", F_STR,   backend.ns_name,  0, NULL),
    ROWS_WP(B, "write_policy.", write_policy),
    ROW(B, "provider", F_PROV, provider, FF_NOSET, NULL),
    ROW(B, "Renamed",  F_STR,  renamed,  FF_NOSET, NULL),
    ROWS_CKSUM(B, "checksum.", checksum, 0),
    ROW(B, "extra.aws.cloud_region",       F_STR,   extra.aws_cloud_region,   FF_OMIT, NULL),
    ROW(B, "extra.aws.endpoint",           F_STR,   extra.aws_endpoint,       FF_OMIT, NULL),
    ROW(B, "extra.aws.profile",            F_STR,   extra.aws_profile,        FF_OMIT, NULL),
    ROW(B, "extra.aws.max_pagesize",       F_INT,   extra.aws_max_pagesize,   FF_OMIT, NULL),
    ROW(B, "extra.aws.multipart_size",     F_SSIZE, extra.aws_multipart_size, FF_OMIT, NULL),
    ROW(B, "extra.gcp.application_creds",  F_STR,   extra.gcp_creds,          FF_OMIT, NULL),
    ROW(B, "extra.oci.region",             F_STR,   extra.oci_region,         FF_OMIT, NULL),
    ROW(B, "extra.custom",                 F_STR,   extra.custom,             FF_OMIT, NULL),
    ROWS_RATES(B, "rate_limit.", rate_limit),
    ROWS_EC(B, "ec.", ec),
    ROWS_CHUNKS(B, "chunks.", chunks),
    ROWS_MIRROR(B, "mirror.", mirror),
    ROWS_LRU(B, "lru.", lru),
    ROW(B, "access",   F_ACCESS, access,   0,        "su"),
    ROW(B, "features", F_FEAT,   features, 0,        NULL),
    ROW(B, "bid",      F_U64S,   bid,      FF_NOSET, NULL),
    ROW(B, "created",  F_I64S,   created,  FF_NOSET, NULL),
    ROWS_VERS(B, "versioning.", versioning, "true"),
};
#undef B
/* clang-format on */

_Static_assert(offsetof(struct bprops, backend.set) == offsetof(struct bprops, backend.provider) + sizeof(enum provider),
               "F_BPROV: the flag follows the provider");

static const struct table table = { rows, ARRAY_SIZE(rows), NULL, 0 };

/* Features that a bucket may have of its own: 1, 4, 9, 11, 12, 14, 18, 21, 24. */
#define FEAT_BUCKET                                                                                                    \
    (1ULL << 1 | 1ULL << 4 | 1ULL << 9 | 1ULL << 11 | 1ULL << 12 | 1ULL << 14 | 1ULL << 18 | 1ULL << 21 | 1ULL << 24)
#define FEAT_SKIP_VC   (1ULL << 1)
#define FEAT_FSYNC_PUT (1ULL << 4)

void
bprops_default(struct bprops *p, const struct cluster_conf *c, enum provider prov)
{
    memset(p, 0, sizeof(*p));
    p->provider = prov;
    p->write_policy = c->write_policy;
    p->checksum = c->checksum;
    p->rate_limit = c->rate_limit;
    p->ec = c->ec;
    p->chunks = c->chunks;
    p->mirror = c->mirror;
    p->lru = c->lru;
    if (prov == PROV_AIS)
        p->lru.enabled = false;
    p->access = UINT64_MAX;
    p->features = c->features & FEAT_BUCKET;
    p->versioning = c->versioning;
}

void
bprops_json(const struct bprops *p, struct jw *w)
{
    jw_obj(w);
    rows_json(&table, p, w);
    jw_obj_end(w);
}

int
bprops_from_json(struct bprops *p, const struct json_t *j, struct err *e)
{
    struct bprops n;
    int           rc;

    memset(&n, 0, sizeof(n));
    rows_default(&table, &n);
    rc = rows_merge(&table, &n, j, false, e);
    if (rc == 0)
        *p = n;
    return rc;
}

void
bck_apply_props(struct bck *b, const struct bprops *p)
{
    b->bid = p->bid;
    b->cksum = p->checksum.type;
    b->validate_warm_get = p->checksum.validate_warm_get;
    b->validate_cold_get = p->checksum.validate_cold_get;
    b->validate_obj_move = p->checksum.validate_obj_move;
    b->range_cksum = p->checksum.enable_read_range;
    b->versioning = p->versioning.enabled;
    b->durable = (p->features & FEAT_FSYNC_PUT) != 0;
    b->skip_vc = (p->features & FEAT_SKIP_VC) != 0;
    b->copies = p->mirror.enabled ? (uint32_t)p->mirror.copies : 1;
    b->ec = p->ec.enabled;
    b->ec_data = (uint32_t)p->ec.data_slices;
    b->ec_parity = (uint32_t)p->ec.parity_slices;
    b->ec_limit = p->ec.objsize_limit;
    b->chunk_size = p->chunks.chunk_size;
    b->max_monolithic = p->chunks.max_monolithic_size;
    b->access = p->access;
    b->features = p->features;
}

/* ---- validation ---- */

static int
bad(struct err *e, const char *what, const char *why)
{
    return err_set(e, AIS_E_BADREQ, "invalid %s: %s", what, why);
}

static int
check_word(const char *what, const char *s, size_t max, struct err *e)
{
    struct str v = str_z(s);

    if (v.n > 0 && (strchr(" \t\n\v\f\r", v.p[0]) != NULL || strchr(" \t\n\v\f\r", v.p[v.n - 1]) != NULL))
        return bad(e, what, "leading/trailing whitespace");
    if (v.n > max)
        return err_set(e, AIS_E_BADREQ, "invalid %s: too long (%zu > %zu)", what, v.n, max);
    return 0;
}

static int
check_endpoint(const char *s, struct err *e)
{
    static const char tag[] = "invalid extra.aws.endpoint";
    struct str        v = str_z(s), scheme;
    struct url        u;
    ptrdiff_t         sep = str_find(v, STR_LIT("://"));

    if (v.n == 0)
        return 0;
    if (!str_eq(str_trim(v), v))
        return err_set(e, AIS_E_BADREQ, "%s \"%s\": leading/trailing whitespace", tag, s);
    scheme = str_from(v.p, sep < 0 ? 0 : (size_t)sep);
    if (!str_ieq(scheme, STR_LIT("http")) && !str_ieq(scheme, STR_LIT("https")))
        return err_set(e, AIS_E_BADREQ, "%s \"%s\": unsupported scheme \"%.*s\" (expecting http or https)", tag, s,
                       STR_FMT(scheme));
    if (url_parse(v, &u) < 0 || u.host.n == 0)
        return err_set(e, AIS_E_BADREQ, "%s \"%s\"", tag, s);
    return 0;
}

/* An absolute path without "." or ".." and without surplus slashes. */
static int
check_creds(const char *s, struct err *e)
{
    static const char tag[] = "invalid extra.gcp.application_creds";
    struct str        rest = str_z(s), tok;
    bool              first = true;

    if (s[0] == '\0')
        return 0;
    if (s[0] != '/')
        return err_set(e, AIS_E_BADREQ, "%s \"%s\" must be absolute", tag, s);
    while (str_split(&rest, '/', &tok)) {
        if (str_eqz(tok, ".") || str_eqz(tok, "..") || (tok.n == 0 && !first))
            return err_set(e, AIS_E_BADREQ, "%s \"%s\": expecting clean path", tag, s);
        first = false;
    }
    return 0;
}

static int
check_aws(const struct bprops *p, struct err *e)
{
    int64_t size = (int64_t)p->extra.aws_multipart_size, page = p->extra.aws_max_pagesize;
    int     rc;

    if (size != -1 && size != 0 && (size < (int64_t)(5 * MIB) || size > (int64_t)(5 * GIB)))
        return err_set(e, AIS_E_BADREQ,
                       "invalid extra.aws.multipart_size %lld (expecting -1 (single-part), 0 (default), or range 5MiB to 5GiB)",
                       (long long)size);
    if (page < 0 || page > 10000)
        return err_set(e, AIS_E_BADREQ, "invalid extra.aws.max_pagesize %lld (expecting 0 (default) or range 1..10000)",
                       (long long)page);
    rc = check_word("extra.aws.profile", p->extra.aws_profile, 256, e);
    if (rc == 0)
        rc = check_word("extra.aws.cloud_region", p->extra.aws_cloud_region, 64, e);
    if (rc == 0)
        rc = check_endpoint(p->extra.aws_endpoint, e);
    return rc;
}

static int
check_extra(const struct bprops *p, struct err *e)
{
    for (size_t i = 0; p->extra.custom[i] != '\0'; i++)
        if ((unsigned char)p->extra.custom[i] < 0x20 || p->extra.custom[i] == 0x7f)
            return err_set(e, AIS_E_BADREQ, "invalid extra.custom: control character at byte position %zu", i);
    switch (p->provider) {
    case PROV_AWS:
        return check_aws(p, e);
    case PROV_GCP:
        return check_creds(p->extra.gcp_creds, e);
    case PROV_OCI:
        return check_word("extra.oci.region", p->extra.oci_region, 64, e);
    case PROV_AIS:
    case PROV_AZURE:
    case PROV_HT:
    case PROV_NPROVS:
        break;
    }
    return 0;
}

static bool
has_backend(const struct bprops *p)
{
    return p->backend.name[0] != '\0' || p->backend.set || p->backend.ns_uuid[0] != '\0' || p->backend.ns_name[0] != '\0';
}

static int
check_bck_backend(const struct bprops *p, struct err *e)
{
    char        name[BCK_NAME_MAX + BCK_NS_MAX + 16];
    const char *ns = p->backend.ns_uuid[0] != '\0' || p->backend.ns_name[0] != '\0' ? "/" : "";

    if (!has_backend(p))
        return 0;
    snprintf(name, sizeof(name), "%s%s%s%s%s%s%s%s", p->backend.set ? provider_scheme(p->backend.provider) : "",
             p->backend.set ? "://" : "", p->backend.ns_uuid[0] != '\0' ? "@" : "", p->backend.ns_uuid,
             p->backend.ns_name[0] != '\0' ? "#" : "", p->backend.ns_name, ns, p->backend.name);
    if (p->provider != PROV_AIS)
        return err_set(e, AIS_E_BADREQ,
                       "invalid provider \"%s\": only ais:// buckets can have remote backend (\"%s\")",
                       provider_name(p->provider), name);
    if (!p->backend.set)
        return err_set(e, AIS_E_BADREQ, "backend bucket \"%s\": provider is empty", name);
    if (p->backend.name[0] == '\0')
        return err_set(e, AIS_E_BADREQ, "backend bucket \"%s\": name is empty", name);
    if (p->backend.provider == PROV_AIS && p->backend.ns_uuid[0] == '\0')
        return err_set(e, AIS_E_BADREQ, "backend bucket \"%s\" must be remote", name);
    return 0;
}

static int
check_targets(const struct bprops *p, unsigned ntargets, struct err *e)
{
    int64_t need = p->ec.parity_slices + 1 + (p->ec.objsize_limit == -1 ? 0 : p->ec.data_slices);

    if (!p->ec.enabled || need <= (int64_t)ntargets)
        return 0;
    err_set(e, AIS_E_BADREQ,
            "not enough target nodes: EC configuration (D = %lld, P = %lld) requires at least %lld targets (have %u)",
            (long long)p->ec.data_slices, (long long)p->ec.parity_slices, (long long)need, ntargets);
    err_tcode(e, "ErrNotEnoughTargets");
    return -AIS_E_BADREQ;
}

/* In AIStore's order; mirror and EC only where they are on. */
static int
validate(const struct bprops *p, struct err *e)
{
    static const char *const always[] = { "rate_limit.", "chunks.", "lru." };
    int                      rc = check_bck_backend(p, e);

    if (rc == 0 && p->mirror.enabled)
        rc = rows_check(&table, p, "mirror.", e);
    if (rc == 0 && p->ec.enabled)
        rc = rows_check(&table, p, "ec.", e);
    if (rc == 0)
        rc = check_extra(p, e);
    if (rc == 0)
        rc = check_wp(&p->write_policy, e);
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(always); i++)
        rc = rows_check(&table, p, always[i], e);
    if (rc == 0)
        rc = check_rate(&p->rate_limit, e);
    if (rc == 0)
        rc = check_chunks(&p->chunks, e);
    if (rc == 0)
        rc = check_lru(&p->lru, e);
    if (rc == 0)
        rc = check_features(p->features, false, e);
    if (rc == 0 && p->mirror.enabled && p->chunks.objsize_limit > 0)
        rc = err_set(e, AIS_E_BADREQ,
                     "n-way mirroring and chunking cannot be enabled at the same time on the same bucket (MPU chunking is "
                     "still allowed)");
    return rc;
}

/* ---- changes ---- */

/* What may not change while EC is on; zero slices at switching on mean one. */
static int
change_ec(const struct bprops *old, struct bprops *n, bool force, struct err *e)
{
    if (old->ec.enabled && n->ec.enabled) {
        if (old->ec.data_slices != n->ec.data_slices || old->ec.parity_slices != n->ec.parity_slices)
            return err_set(e, AIS_E_BADREQ,
                           "once enabled, EC data/parity slices cannot change (old D=%lld, P=%lld; new D=%lld, P=%lld)",
                           (long long)old->ec.data_slices, (long long)old->ec.parity_slices,
                           (long long)n->ec.data_slices, (long long)n->ec.parity_slices);
        if (old->ec.objsize_limit != n->ec.objsize_limit && !force)
            return err_set(e, AIS_E_BADREQ,
                           "cannot change EC object-size limit (%lld => %lld) while EC is enabled (tip: consider using "
                           "'--force')",
                           (long long)old->ec.objsize_limit, (long long)n->ec.objsize_limit);
    } else if (n->ec.enabled) {
        if (n->ec.data_slices == 0)
            n->ec.data_slices = 1;
        if (n->ec.parity_slices == 0)
            n->ec.parity_slices = 1;
    }
    return 0;
}

static void
change_mirror(const struct bprops *old, struct bprops *n)
{
    if (!old->mirror.enabled && n->mirror.enabled) {
        if (n->mirror.copies == 1)
            n->mirror.copies = 2;
    } else if (n->mirror.copies == 1) {
        n->mirror.enabled = false;
    }
}

/* toset without "force", which is not a property. Takes nothing; the caller drops the result. */
static json_t *
split_force(const struct json_t *toset, bool *force)
{
    union {
        const json_t *c;
        json_t       *m;
    } o = { .c = toset };
    json_t     *copy = json_copy(o.m);
    const char *name;
    json_t     *v;
    void       *tmp;

    json_object_foreach_safe(copy, tmp, name, v)
    {
        if (str_ieq(str_z(name), STR_LIT("force"))) {
            *force = json_is_true(v);
            json_object_del(copy, name);
        }
    }
    return copy;
}

/* What a property would promise and nothing keeps yet is refused: better than a bucket that looks protected. */
static int
check_kept(const struct bprops *old, const struct bprops *n, struct err *e)
{
    if (n->ec.enabled && !old->ec.enabled)
        return err_set(e, AIS_E_NOTIMPL, "ec.enabled: erasure coding of new objects is not implemented yet");
    if (n->backend.set && !old->backend.set)
        return err_set(e, AIS_E_NOTIMPL, "backend_bck: cloud backends are not implemented yet");
    return 0;
}

int
bprops_set_json(struct bprops *p, const struct json_t *toset, unsigned ntargets, bool *force, struct err *e)
{
    struct bprops n = *p;
    bool          forced = false;
    json_t       *j;
    int           rc;

    if (!json_is_object(toset))
        return err_set(e, AIS_E_BADREQ, "bucket properties: expecting a JSON object");
    j = split_force(toset, &forced);
    rc = rows_merge(&table, &n, j, true, e);
    json_decref(j);
    if (rc == 0)
        rc = change_ec(p, &n, forced, e);
    if (rc < 0)
        return rc;
    change_mirror(p, &n);
    rows_hydrate(&table, &n);
    rc = validate(&n, e);
    if (rc == 0 && !forced)
        rc = check_targets(&n, ntargets, e);
    if (rc == 0)
        rc = check_kept(p, &n, e);
    if (rc < 0)
        return rc;
    n.features &= FEAT_BUCKET;
    *p = n;
    if (force != NULL)
        *force = forced;
    return 0;
}
