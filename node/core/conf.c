/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cluster configuration: the document, `set`, and what makes a configuration valid.
 *
 * Bounds of single values are in the rows; what relates several values is here. All texts are AIStore's.
 *
 * Runs on: any thread. Pure.
 * Wire: native-api.md 5.3, 7.5; internals.md 10.
 */
#include "core/conf.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/sbuf.h"
#include "base/units.h"
#include "codec/jw.h"
#include "core/conf_impl.h"
#include "core/conf_rows.h"

static const struct table cluster = { cluster_rows, ARRAY_SIZE(cluster_rows), cluster_aliases,
                                      ARRAY_SIZE(cluster_aliases) };

/* ---- features ---- */

static const char *const features[] = {
    "Enforce-IntraCluster-Access",
    "Skip-Loading-VersionChecksum-MD",
    "Do-not-Auto-Detect-FileShare",
    "S3-API-via-Root",
    "Fsync-PUT",
    "LZ4-Block-1MB",
    "LZ4-Frame-Checksum",
    "Do-not-Allow-Passing-FQN-to-ETL",
    "Ignore-LimitedCoexistence-Conflicts",
    "S3-Presigned-Request",
    "Do-not-Optimize-Listing-Virtual-Dirs",
    "Disable-Cold-GET",
    "Streaming-Cold-GET",
    "S3-Reverse-Proxy",
    "S3-Use-Path-Style",
    "Do-not-Delete-When-Rebalancing",
    "Do-not-Set-Control-Plane-ToS",
    "Trust-Crypto-Safe-Checksums",
    "S3-ListObjectVersions",
    "Enable-Detailed-Prom-Metrics",
    "Force-Container-CPU-Mem",
    "Resume-Interrupted-MPU",
    "Keep-Unknown-FQN",
    "Load-Balance-GET",
    "Count-Object-NotFound-Stats",
    "Enable-Go-Runtime-Metrics",
    "Dload-Allow-Private-Egress",
    "S3-Redirect-Rebuild",
};

const char *
feature_name(unsigned bit)
{
    return bit < ARRAY_SIZE(features) ? features[bit] : NULL;
}

int
check_features(uint64_t f, bool proxy_mediation, struct err *e)
{
    static const unsigned exclusive[][2] = { { 11, 12 }, { 13, 27 } };

    for (size_t i = 0; i < ARRAY_SIZE(exclusive); i++) {
        unsigned a = exclusive[i][0], b = exclusive[i][1];

        if ((f & 1ULL << a) && (f & 1ULL << b))
            return err_set(e, AIS_E_BADREQ, "feature flags \"%s\" and \"%s\" are mutually exclusive", features[a],
                           features[b]);
    }
    if (proxy_mediation && (f & 1ULL << 27))
        return err_set(e, AIS_E_BADREQ,
                       "feature flag \"%s\" is incompatible with configuration that requires proxy mediation",
                       features[27]);
    return 0;
}

/* ---- life ---- */

/* Values that follow from others when they are zero. */
static void
derive(struct cluster_conf *c)
{
    int64_t l = c->disk.iostat_time_long;

    rows_hydrate(&cluster, c);
    if (c->disk.util_low_wm == 0 && c->disk.util_high_wm == 0 && c->disk.util_max_wm == 0) {
        c->disk.util_low_wm = 20;
        c->disk.util_high_wm = 80;
        c->disk.util_max_wm = 95;
    }
    if (c->space.cleanupwm == 0 && c->space.lowwm == 0 && c->space.highwm == 0 && c->space.out_of_space == 0) {
        c->space.cleanupwm = 65;
        c->space.lowwm = 75;
        c->space.highwm = 90;
        c->space.out_of_space = 95;
    }
    if (c->disk.iostat_time_smooth == 0 && l > 0 && l <= D_MIN)
        c->disk.iostat_time_smooth = l >= D_MIN / 2 ? l : l > 10 * D_SEC ? 2 * l : l > 5 * D_SEC ? 3 * l : 4 * l;
    if (c->transport.quiescent == 0 && c->transport.idle_teardown < D_HR)
        c->transport.quiescent = MAX(10 * D_SEC, 2 * c->transport.idle_teardown);
    if (c->get_batch.max_gfn == 0)
        c->get_batch.max_gfn = MIN(5, c->get_batch.max_soft_errs);
    if (c->backend[0] == '\0')
        memcpy(c->backend, "{}", 3);
}

struct cluster_conf *
conf_default(void)
{
    struct cluster_conf *c = xcalloc(1, sizeof(*c));

    atomic_init(&c->refs, 1);
    rows_default(&cluster, c);
    derive(c);
    return c;
}

_Static_assert(offsetof(struct cluster_conf, refs) == 0, "conf_copy takes what is behind the references");

struct cluster_conf *
conf_copy(const struct cluster_conf *c)
{
    const size_t         from = offsetof(struct cluster_conf, refs) + sizeof(c->refs); /* others count references meanwhile */
    struct cluster_conf *d = xmalloc(sizeof(*d));

    memcpy((char *)d + from, (const char *)c + from, sizeof(*d) - from);
    atomic_init(&d->refs, 1);
    return d;
}

struct cluster_conf *
conf_ref(struct cluster_conf *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void
conf_put(struct cluster_conf *c)
{
    if (c != NULL && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        free(c);
}

/* ---- JSON ---- */

void
conf_json(const struct cluster_conf *c, struct jw *w)
{
    jw_obj(w);
    rows_json(&cluster, c, w);
    jw_obj_end(w);
}

/* Is the token signature's key a shared secret (and not the public half of an RSA pair)? */
static bool
key_is_secret(const struct cluster_conf *c)
{
    json_t     *auth = c->auth.raw[0] == '\0' ? NULL : json_loads(c->auth.raw, 0, NULL);
    json_t     *sig = json_object_get(auth, "signature");
    const char *m = json_string_value(json_object_get(sig, "method"));
    bool        secret = json_object_get(sig, "key") != NULL &&
                  (m == NULL || !(str_istarts(str_z(m), STR_LIT("RS")) || str_ieq(str_z(m), STR_LIT("RSA"))));

    json_decref(auth);
    return secret;
}

void
conf_json_members(const struct cluster_conf *c, struct jw *w)
{
    struct cluster_conf *pub = NULL;

    if (key_is_secret(c)) {
        pub = conf_copy(c);
        if (rows_set(&cluster, pub, STR_LIT("auth.signature.key"), STR_LIT("**********"), NULL) < 0)
            pub->auth.raw[0] = '\0';
        c = pub;
    }
    rows_json(&cluster, c, w);
    conf_put(pub);
}

void
conf_json_public(const struct cluster_conf *c, struct jw *w)
{
    jw_obj(w);
    conf_json_members(c, w);
    jw_obj_end(w);
}

int
conf_merge_json(struct cluster_conf *c, const struct json_t *j, bool initial, struct err *e)
{
    int rc = rows_merge(&cluster, c, j, !initial, e);

    if (rc == 0)
        derive(c);
    return rc;
}

int
conf_set(struct cluster_conf *c, struct str dotted, struct str value, struct err *e)
{
    int rc = rows_set(&cluster, c, dotted, value, e);

    if (rc == 0)
        derive(c);
    return rc;
}

/* ---- scope ---- */

/* Sections that exist once for the cluster, with the name that AIStore's texts call them by. */
static const struct {
    const char *section, *name;
} cluster_scope[] = {
    { "checksum", "cksum" },         { "tcb", "tcb" },         { "tco", "tco" },
    { "arch", "arch" },              { "lso", "lso" },         { "rebalance", "rebalance" },
    { "ec", "ec" },                  { "chunks", "chunks" },   { "get_batch", "getbatch" },
    { "transport", "transport" },    { "mirror", "mirror" },   { "periodic", "periodic" },
    { "auth", "auth" },              { "backend", "backend" }, { "proxy", "proxy" },
    { "net", "net" },                { "features", "features" }, { "versioning", "versioning" },
};

static const char *const never_transient[] = {
    "auth", "net", "tracing", "memsys", "keepalivetracker", "timeout.max_keepalive", "timeout.cplane_operation",
};

static bool
within(const char *key, const char *section)
{
    size_t n = strlen(section);

    return strncmp(key, section, n) == 0 && (key[n] == '\0' || key[n] == '.');
}

int
conf_check_scope(struct str dotted, bool node_only, bool transient, struct err *e)
{
    const struct field *f = rows_find(&cluster, dotted);
    char                key[128];

    if (f != NULL)
        dotted = str_z(f->key);
    str_copyz(dotted, key, sizeof(key));
    for (size_t i = 0; transient && !node_only && i < ARRAY_SIZE(never_transient); i++)
        if (within(key, never_transient[i])) {
            err_set(e, AIS_E_UNSUPP, "cannot transiently update %s%s - operation not supported",
                    strchr(never_transient[i], '.') == NULL ? "config." : "", never_transient[i]);
            return -AIS_E_UNSUPP;
        }
    for (size_t i = 0; i < ARRAY_SIZE(cluster_scope); i++) {
        if (!within(key, cluster_scope[i].section))
            continue;
        if (transient)
            return err_set(e, AIS_E_BADREQ, "%s (cluster-scoped) configuration cannot be changed transiently",
                           cluster_scope[i].name);
        if (node_only)
            return err_set(e, AIS_E_BADREQ, "%s configuration can only be globally updated", cluster_scope[i].name);
    }
    return 0;
}

/* ---- validation across values ---- */

/* Formatted for a text; a pool so that one text can show several. */
static const char *
dur(int64_t ns, char buf[UNITS_MAX])
{
    dur_format(ns, buf);
    return buf;
}

static const char *
size(uint64_t n, char buf[UNITS_MAX])
{
    size_format(n, buf);
    return buf;
}

int
check_wp(const struct conf_wp *c, struct err *e)
{
    if (strcmp(c->data, "immediate") != 0)
        return err_set(e, AIS_E_BADREQ, "invalid write policy for data: \"%s\" not implemented yet", c->data);
    return 0;
}

/* "put:3500 get:5000" */
static int
check_verbs(const char *name, struct str s, struct err *e)
{
    struct str tok, verb, n;
    ptrdiff_t  colon;
    uint64_t   v;

    if (s.n == 0)
        return 0;
    while (str_split(&s, ' ', &tok)) {
        char up[80];

        tok = str_trim(tok);
        str_copyz(tok, up, sizeof(up));
        for (char *p = up; *p != '\0'; p++)
            if (*p >= 'a' && *p <= 'z')
                *p = (char)(*p & ~0x20);
        for (char *p = up; *p != '\0'; p++)
            if (*p == ':')
                *p = ' '; /* as Go shows the list of what is between the colons */
        colon = str_chr(tok, ':');
        if (colon < 0 || str_rchr(tok, ':') != colon)
            return err_set(e, AIS_E_BADREQ, "rate limit: invalid format %s (number of items in '[%s]')", name, up);
        verb = str_from(tok.p, (size_t)colon);
        n = str_trim(str_from_off(tok, verb.n + 1));
        if (!str_u64(n, &v))
            return err_set(e, AIS_E_BADREQ, "rate limit: invalid %s (number of tokens in '[%s]')", name, up);
        if (v == 0 || v > INT32_MAX)
            return err_set(e, AIS_E_BADREQ, "rate limit: invalid %s (number of tokens out of range in '[%s]')", name,
                           up);
    }
    return 0;
}

int
check_rate(const struct conf_rate *c, struct err *e)
{
    int rc;

    if (c->frontend.burst_size <= 0 || c->frontend.burst_size > c->frontend.max_tokens / 2)
        return err_set(e, AIS_E_BADREQ,
                       "rate limit: invalid frontend.burst_size %lld (expecting positive integer <= (50%% of maxTokens %lld)",
                       (long long)c->frontend.burst_size, (long long)c->frontend.max_tokens);
    rc = check_verbs("backend.per_op_max_tokens", str_z(c->backend.per_op), e);
    return rc < 0 ? rc : check_verbs("frontend.per_op_max_tokens", str_z(c->frontend.per_op), e);
}

int
check_chunks(const struct conf_chunks *c, struct err *e)
{
    char a[UNITS_MAX], b[UNITS_MAX];

    if (c->objsize_limit > c->max_monolithic_size)
        return err_set(e, AIS_E_BADREQ,
                       "invalid chunks.objsize_limit %llu (%s) - cannot be greater than chunks.max_monolithic_size %llu (%s)",
                       (unsigned long long)c->objsize_limit, size(c->objsize_limit, a),
                       (unsigned long long)c->max_monolithic_size, size(c->max_monolithic_size, b));
    return 0;
}

int
check_lru(const struct conf_lru *c, struct err *e)
{
    char        a[UNITS_MAX], b[UNITS_MAX], what[160] = "Disabled";
    const char *rule = c->capacity_upd_time < 10 * D_SEC ? "capacity_upd_time >= 10s"
                       : c->dont_evict_time < D_HR       ? "dont_evict_time >= 1h0m0s"
                                                         : NULL;

    if (rule == NULL)
        return 0;
    if (c->enabled)
        snprintf(what, sizeof(what), "lru: dont_evict_time=%s, capacity_upd_time=%s, batch_size=%lld",
                 dur(c->dont_evict_time, a), dur(c->capacity_upd_time, b), (long long)c->batch_size);
    return err_set(e, AIS_E_BADREQ, "invalid %s (expecting: lru.%s)", what, rule);
}

static int
check_space(const struct cluster_conf *c, struct err *e)
{
    const char *rule = NULL;

    if (c->space.cleanupwm <= 0 || c->space.lowwm < c->space.cleanupwm || c->space.highwm < c->space.lowwm ||
        c->space.out_of_space < c->space.highwm || c->space.out_of_space > 100)
        rule = "0 < cleanup < low < high < OOS < 100";
    else if (c->space.dont_cleanup_time < 15 * D_MIN)
        rule = "space.dont_cleanup_time >= 15m0s";
    if (rule == NULL)
        return 0;
    return err_set(e, AIS_E_BADREQ,
                   "invalid space config: cleanup=%lld%%, low=%lld%%, high=%lld%%, OOS=%lld%% (expecting: %s)",
                   (long long)c->space.cleanupwm, (long long)c->space.lowwm, (long long)c->space.highwm,
                   (long long)c->space.out_of_space, rule);
}

static int
check_disk(const struct cluster_conf *c, struct err *e)
{
    int64_t l = c->disk.iostat_time_long, s = c->disk.iostat_time_short, m = c->disk.iostat_time_smooth;
    char    a[UNITS_MAX], b[UNITS_MAX], d[UNITS_MAX];

    if (c->disk.util_low_wm <= 0 || c->disk.util_high_wm <= c->disk.util_low_wm ||
        c->disk.util_max_wm <= c->disk.util_high_wm || c->disk.util_max_wm > 100)
        return err_set(e, AIS_E_BADREQ,
                       "invalid (disk_util_lwm, disk_util_hwm, disk_util_maxwm) config &{DiskUtilLowWM:%lld "
                       "DiskUtilHighWM:%lld DiskUtilMaxWM:%lld IostatTimeLong:%s IostatTimeShort:%s IostatTimeSmooth:%s}",
                       (long long)c->disk.util_low_wm, (long long)c->disk.util_high_wm,
                       (long long)c->disk.util_max_wm, dur(l, a), dur(s, b), dur(m, d));
    if (l < s)
        return err_set(e, AIS_E_BADREQ, "disk.ios_time_long %s shorter than disk.ios_time_short %s", dur(l, a),
                       dur(s, b));
    if (m < 0 || m > 10 * l)
        return err_set(e, AIS_E_BADREQ,
                       "invalid disk.ios_time_smooth %s (must be a non-negative value <= 10*ios_time_long)", dur(m, a));
    return 0;
}

static int
check_keepalive(const struct cluster_conf *c, struct err *e)
{
    const struct {
        const char           *tag;
        const struct conf_ka *ka;
    } side[] = { { "proxy", &c->keepalive.proxy }, { "target", &c->keepalive.target } };
    char a[UNITS_MAX], b[UNITS_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(side); i++) {
        int64_t win = side[i].ka->interval * side[i].ka->factor;

        if (win > 2 * D_MIN)
            return err_set(e, AIS_E_BADREQ,
                           "invalid keepalivetracker.%s: detection window=%s (interval * factor) exceeds 2m0s",
                           side[i].tag, go_dur(win, a));
    }
    for (size_t i = 0; i < ARRAY_SIZE(side); i++)
        if (side[i].ka->interval < c->timeout.max_keepalive)
            return err_set(e, AIS_E_BADREQ, "keepalivetracker.%s.interval=%s should be >= timeout.max_keepalive=%s",
                           side[i].tag, dur(side[i].ka->interval, a), dur(c->timeout.max_keepalive, b));
    return 0;
}

static int
check_timeout(const struct cluster_conf *c, struct err *e)
{
    char a[UNITS_MAX], b[UNITS_MAX];

    if (c->timeout.max_keepalive / 2 < c->timeout.cplane_operation)
        return err_set(e, AIS_E_BADREQ, "invalid timeout.max_keepalive=%s, must be >= 2*(cplane_operation=%s)",
                       dur(c->timeout.max_keepalive, a), dur(c->timeout.cplane_operation, b));
    if (c->timeout.join_startup_time != 0 && c->timeout.join_startup_time / 2 < c->timeout.startup_time)
        return err_set(e, AIS_E_BADREQ, "invalid timeout.join_startup_time=%s, must be >= 2*(timeout.startup_time=%s)",
                       dur(c->timeout.join_startup_time, a), dur(c->timeout.startup_time, b));
    if (c->timeout.ec_streams_time > 0 && c->timeout.ec_streams_time < 5 * D_MIN)
        return err_set(e, AIS_E_BADREQ,
                       "invalid timeout.ec_streams_time=%s (no timeout: -1s; minimum: 5m0s; default: 10m0s)",
                       dur(c->timeout.ec_streams_time, a));
    if (c->timeout.object_md != 0 && (c->timeout.object_md < 20 * D_MIN || c->timeout.object_md > 16 * D_HR))
        return err_set(e, AIS_E_BADREQ,
                       "invalid timeout.object_md=%s (expecting 0 (zero) for system default or [20m0s, 16h0m0s] range)",
                       dur(c->timeout.object_md, a));
    if (c->timeout.cold_get_conflict != 0 &&
        (c->timeout.cold_get_conflict < D_SEC || c->timeout.cold_get_conflict > c->timeout.max_host_busy))
        return err_set(e, AIS_E_BADREQ,
                       "invalid timeout.cold_get_conflict=%s (expecting 0 (zero) for system default or [1s, "
                       "max_host_busy=%s] range)",
                       dur(c->timeout.cold_get_conflict, a), dur(c->timeout.max_host_busy, b));
    return 0;
}

static int
check_tls(const char *tag, const char *crt, const char *key, const char *ca, int64_t mode, struct err *e)
{
    if ((crt[0] == '\0') != (key[0] == '\0'))
        return err_set(e, AIS_E_BADREQ, "%s: both server_crt and server_key must be set (or neither)", tag);
    if (mode < 0 || mode > 4)
        return err_set(e, AIS_E_BADREQ, "%s: invalid client_auth_tls %lld (expecting range [0 - 4])", tag,
                       (long long)mode);
    if (mode >= 3 && ca[0] == '\0')
        return err_set(e, AIS_E_BADREQ, "%s: client_ca_tls required when client_auth_tls >= 3 (got %lld)", tag,
                       (long long)mode);
    return 0;
}

static const char *
member(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));

    return s == NULL ? "" : s;
}

/* net.http.pub: TLS of the public listener, all or nothing. */
static int
check_pub(const struct cluster_conf *c, struct err *e)
{
    json_t     *j = c->net.pub[0] == '\0' ? NULL : json_loads(c->net.pub, 0, NULL);
    const char *crt = member(j, "server_crt"), *key = member(j, "server_key"), *ca = member(j, "client_ca_tls");
    int64_t     mode = json_integer_value(json_object_get(j, "client_auth_tls"));
    int         rc = 0;

    if (crt[0] != '\0' || key[0] != '\0')
        rc = check_tls("net.http.pub", crt, key, ca, mode, e);
    else if (ca[0] != '\0' || mode != 0)
        rc = err_set(e, AIS_E_BADREQ,
                     "net.http.pub: client_ca_tls and/or client_auth_tls require pub server_crt and server_key");
    json_decref(j);
    return rc;
}

static int
check_net(const struct cluster_conf *c, struct err *e)
{
    static const char hint[] = " (set server_crt and server_key first, then enable use_https)";
    int64_t           most = MIN(c->net.idle_conns, 128);
    int               rc;

    if (strcmp(c->net.l4_proto, "tcp") != 0)
        return err_set(e, AIS_E_BADREQ, "l4 proto \"%s\" is not recognized (expecting tcp)", c->net.l4_proto);
    if (c->net.domain_tls[0] != '\0')
        return err_set(e, AIS_E_BADREQ,
                       "invalid domain_tls \"%s\": expecting empty (domain names/SANs should be set in X.509 cert)",
                       c->net.domain_tls);
    if (c->net.idle_conns_per_host != 0 && c->net.idle_conns_per_host > most)
        return err_set(e, AIS_E_BADREQ, "invalid idle_conns_per_host: %lld (expecting range [0 - %lld])",
                       (long long)c->net.idle_conns_per_host, (long long)most);
    if (c->net.use_https && c->net.server_crt[0] == '\0')
        return err_set(e, AIS_E_BADREQ, "net.http.server_crt required when use_https=true%s", hint);
    if (c->net.use_https && c->net.server_key[0] == '\0')
        return err_set(e, AIS_E_BADREQ, "net.http.server_key required when use_https=true%s", hint);
    rc = check_tls("net.http", c->net.server_crt, c->net.server_key, c->net.client_ca_tls, c->net.client_auth_tls, e);
    return rc < 0 ? rc : check_pub(c, e);
}

static int
check_memsys(const struct cluster_conf *c, struct err *e)
{
    char a[UNITS_MAX];

    if (c->memsys.min_free > 0 && c->memsys.min_free < 100 * MIB)
        return err_set(e, AIS_E_BADREQ,
                       "invalid memsys.min_free %s (cannot be less than 100MB, optimally at least 2GB)",
                       size(c->memsys.min_free, a));
    if (c->memsys.default_buf > 128 * KIB)
        return err_set(e, AIS_E_BADREQ, "invalid memsys.default_buf %s (must be a multiple of 4KB in range [4KB, 128KB]",
                       size(c->memsys.default_buf, a));
    if (c->memsys.default_buf % (4 * KIB) != 0)
        return err_set(e, AIS_E_BADREQ, "memsys.default_buf %s must a multiple of 4KB", size(c->memsys.default_buf, a));
    return 0;
}

static int
check_log(const struct cluster_conf *c, struct err *e)
{
    char     a[UNITS_MAX], b[UNITS_MAX];
    uint64_t v = 0;

    if (!str_u64(str_z(c->log.level), &v) || (v & 7) == 0 || (v & 7) > 5 || v >> 3 > 1 << 18) {
        char bits[66];

        str_from_u64(v >> 3, 2, bits);
        return err_set(e, AIS_E_BADREQ, "invalid log.level \"%s\" (%llu, %08llu)", c->log.level,
                       (unsigned long long)(v & 7), strlen(bits) > 18 ? 0ULL : strtoull(bits, NULL, 10));
    }
    if (c->log.max_size > c->log.max_total / 2)
        return err_set(e, AIS_E_BADREQ, "invalid log.max_total=%s, must be >= 2*(log.max_size=%s)",
                       size(c->log.max_total, a), size(c->log.max_size, b));
    return 0;
}

/* What is left: sections with one relation each. */
static int
check_rest(const struct cluster_conf *c, struct err *e)
{
    char     a[UNITS_MAX], b[UNITS_MAX];
    uint64_t lz4 = c->transport.lz4_block;

    if (c->lso.quiescent >= c->lso.idle_time)
        return err_set(e, AIS_E_BADREQ, "invalid lso.quiescent=%s: must be less than lso.idle_time=%s",
                       dur(c->lso.quiescent, a), dur(c->lso.idle_time, b));
    if (c->client.long_timeout < c->client.timeout)
        return err_set(e, AIS_E_BADREQ, "client_long_timeout=%s cannot be less than client_timeout=%s",
                       dur(c->client.long_timeout, a), dur(c->client.timeout, b));
    if (lz4 != 64 * KIB && lz4 != 256 * KIB && lz4 != MIB && lz4 != 4 * MIB)
        return err_set(e, AIS_E_BADREQ, "invalid transport.block_size %s, expecting one of: [64K, 256K, 1MB, 4MB]",
                       size(lz4, a));
    if (c->get_batch.max_gfn < -1 || c->get_batch.max_gfn > c->get_batch.max_soft_errs)
        return err_set(e, AIS_E_BADREQ,
                       "invalid get_batch.max_gfn=%lld (expecting -1 to disable, 0 for default, or range [1, %lld])",
                       (long long)c->get_batch.max_gfn, (long long)c->get_batch.max_soft_errs);
    if (!c->versioning.enabled && c->versioning.validate_warm_get)
        return err_set(e, AIS_E_BADREQ, "versioning.validate_warm_get requires versioning to be enabled");
    return 0;
}

static int
check_backend(const struct cluster_conf *c, struct err *e)
{
    json_t     *j = json_loads(c->backend, 0, NULL), *v, *urls;
    const char *prov, *alias;
    int         rc = 0;

    json_object_foreach(j, prov, v)
    {
        enum provider p;

        if (strcmp(prov, "ais") == 0) {
            json_object_foreach(v, alias, urls)
            {
                if (json_array_size(urls) == 0)
                    rc = err_set(e, AIS_E_BADREQ, "no URL(s) to connect to remote AIS cluster \"%.64s\"", alias);
            }
        } else if (prov[0] != '\0' && strcmp(prov, "ht") != 0 &&
                   (!provider_by_name(str_z(prov), &p) || strcmp(provider_name(p), prov) != 0)) {
            rc = err_set(e, AIS_E_BADREQ, "unknown backend provider \"%.64s\"", prov);
        }
    }
    json_decref(j);
    return rc;
}

/* ---- auth: kept as JSON ---- */

static int64_t
dur_member(const json_t *j, const char *key)
{
    int64_t v = 0;

    dur_parse(str_z(member(j, key)), &v);
    return v;
}

static int
check_signature(const json_t *sig, struct err *e)
{
    static const char *const methods[] = { "HMAC", "HS256", "HS384", "HS512", "RSA", "RS256", "RS384", "RS512" };
    struct str               m = str_z(member(sig, "method"));
    bool                     known = m.n == 0;

    if (member(sig, "key")[0] != '\0' && m.n == 0)
        return err_set(e, AIS_E_BADREQ, "invalid auth signature config, method is required if key provided");
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
        known = known || str_ieq(m, str_z(methods[i]));
    if (!known)
        return err_set(e, AIS_E_BADREQ,
                       "invalid auth signature config, provided method \"%.60s\" must be one of: "
                       "\"HMAC,HS256,HS384,HS512,RSA,RS256,RS384,RS512\"",
                       m.p);
    return 0;
}

static int
check_oidc(const json_t *oidc, struct err *e)
{
    static const char head[] = "failed to parse allowed issuer URL in auth OIDC config";
    const json_t     *iss = json_object_get(oidc, "allowed_iss"), *jwks = json_object_get(oidc, "jwks_cache");
    int64_t           bg = dur_member(jwks, "min_background_refresh"), rot = dur_member(jwks, "min_rotation_refresh");
    char              a[UNITS_MAX];

    for (size_t i = 0; i < json_array_size(iss); i++) {
        struct str u = str_z(json_string_value(json_array_get(iss, i)));

        if (!str_istarts(u, STR_LIT("https://")))
            return err_set(e, AIS_E_BADREQ, "%s: must use HTTPS: %.*s", head, (int)MIN(u.n, 200), u.p);
        if (u.n == 8 || u.p[8] == '/')
            return err_set(e, AIS_E_BADREQ, "%s: must have a host: %.*s", head, (int)MIN(u.n, 200), u.p);
    }
    if (bg != 0 && bg < 5 * D_MIN)
        return err_set(e, AIS_E_BADREQ,
                       "failed to validate OIDC JWKS cache config: invalid jwks_cache.min_background_refresh %s (must be "
                       "at least 5m)",
                       dur(bg, a));
    if (rot != 0 && rot < D_SEC)
        return err_set(e, AIS_E_BADREQ,
                       "failed to validate OIDC JWKS cache config: invalid jwks_cache.min_rotation_refresh %s (must be at "
                       "least 1s)",
                       dur(rot, a));
    return 0;
}

static int
check_intra(const json_t *ic, struct err *e)
{
    int64_t ttl = dur_member(ic, "ttl"), nw = dur_member(ic, "nonce_window"), rg = dur_member(ic, "rotation_grace");
    bool    on = json_is_true(json_object_get(ic, "request_auth"));
    char    a[UNITS_MAX];

    if (!on && member(ic, "node_join_secret_path")[0] == '\0')
        return 0;
    if (on && ttl < 0)
        return err_set(e, AIS_E_BADREQ, "invalid intra_cluster.ttl %s (expecting >= 0)", go_dur(ttl, a));
    if (on && ttl > 0 && ttl < D_HR)
        return err_set(e, AIS_E_BADREQ, "invalid intra_cluster.ttl %s (expecting >= 1h0m0s)", go_dur(ttl, a));
    if (nw < 0 || nw > 10 * D_MIN)
        return err_set(e, AIS_E_BADREQ, "invalid intra_cluster.nonce_window %s (expecting > 0 and <= 10m0s)",
                       go_dur(nw, a));
    if (on && (rg < 0 || rg > D_HR))
        return err_set(e, AIS_E_BADREQ, "invalid intra_cluster.rotation_grace %s (expecting > 0 and <= 1h0m0s)",
                       go_dur(rg, a));
    return 0;
}

static int
check_auth(const struct cluster_conf *c, struct err *e)
{
    json_t       *j = c->auth.raw[0] == '\0' ? NULL : json_loads(c->auth.raw, 0, NULL);
    const json_t *sig = json_object_get(j, "signature"), *oidc = json_object_get(j, "oidc");
    const json_t *ic = json_object_get(j, "intra_cluster");
    bool          has_sig = member(sig, "method")[0] != '\0', has_oidc = json_array_size(json_object_get(oidc, "allowed_iss")) > 0;
    int           rc = check_signature(sig, e);

    if (rc == 0)
        rc = check_oidc(oidc, e);
    if (rc == 0 && c->auth.client_auth_required && !has_sig && !has_oidc)
        rc = err_set(e, AIS_E_BADREQ,
                     "invalid auth config: must provide one of signature or OIDC config when client authentication is "
                     "required");
    if (rc == 0 && has_sig && has_oidc)
        rc = err_set(e, AIS_E_BADREQ, "invalid auth config: only one of signature or OIDC config should be provided");
    if (rc == 0)
        rc = check_intra(ic, e);
    if (rc == 0)
        rc = check_features(c->features,
                            c->auth.client_auth_required || json_is_true(json_object_get(ic, "request_auth")), e);
    json_decref(j);
    return rc;
}

bool
conf_has_backend(const struct cluster_conf *c, enum provider p)
{
    json_t *j = c->backend[0] == '\0' ? NULL : json_loads(c->backend, 0, NULL);
    bool    has = json_object_get(j, provider_name(p)) != NULL;

    json_decref(j);
    return has;
}

bool
conf_direct_access(const struct cluster_conf *c)
{
    json_t *j = c->auth.raw[0] == '\0' ? NULL : json_loads(c->auth.raw, 0, NULL);
    bool    signed_only = json_is_true(json_object_get(json_object_get(j, "intra_cluster"), "request_auth"));

    json_decref(j);
    return !c->auth.client_auth_required && !signed_only;
}

static int
check_tracing(const struct cluster_conf *c, struct err *e)
{
    json_t *j = c->tracing[0] == '\0' ? NULL : json_loads(c->tracing, 0, NULL);
    int     rc = 0;

    if (json_is_true(json_object_get(j, "enabled")) && member(j, "exporter_endpoint")[0] == '\0')
        rc = err_set(e, AIS_E_BADREQ, "tracing.exporter_endpoint can't be empty when tracing enabled");
    json_decref(j);
    return rc;
}

int
conf_validate(const struct cluster_conf *c, struct err *e)
{
    static int (*const checks[])(const struct cluster_conf *, struct err *) = {
        check_auth, check_tracing, check_keepalive, check_log,     check_space,   check_disk, check_rest,
        check_net,  check_timeout, check_memsys,    check_backend,
    };
    int rc = rows_check(&cluster, c, NULL, e);

    if (rc == 0)
        rc = check_wp(&c->write_policy, e);
    if (rc == 0)
        rc = check_rate(&c->rate_limit, e);
    if (rc == 0)
        rc = check_chunks(&c->chunks, e);
    if (rc == 0)
        rc = check_lru(&c->lru, e);
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(checks); i++)
        rc = checks[i](c, e);
    return rc;
}

/* ---- reference ---- */

static void
doc_bounds(const struct field *f, struct sbuf *b)
{
    char lo[UNITS_MAX], hi[UNITS_MAX];

    if (f->choices != NULL) {
        sbuf_putz(b, f->choices);
    } else if (f->min != f->max) {
        if (f->type == F_DUR) {
            dur_format(f->min, lo);
            dur_format(f->max, hi);
        } else if (f->type == F_SIZE) {
            size_format((uint64_t)f->min, lo);
            size_format((uint64_t)f->max, hi);
        } else {
            snprintf(lo, sizeof(lo), "%lld", (long long)f->min);
            snprintf(hi, sizeof(hi), "%lld", (long long)f->max);
        }
        if (f->max >= INT32_MAX && f->max != (int64_t)(f->type == F_SIZE ? GIB : 0) && (f->max == INT64_MAX || f->type == F_INT))
            sbuf_printf(b, ">= %s", lo);
        else
            sbuf_printf(b, "%s .. %s", f->min == INT64_MIN ? "" : lo, hi);
    }
}

void
conf_doc(struct sbuf *b)
{
    static const char *const names[] = {
        [F_BOOL] = "bool",     [F_INT] = "integer",   [F_U64] = "integer",  [F_U64S] = "integer", [F_I64S] = "integer",
        [F_FEAT] = "features", [F_ACCESS] = "access", [F_DUR] = "duration", [F_SIZE] = "size",    [F_SSIZE] = "size",
        [F_STR] = "string",    [F_CKSUM] = "checksum type", [F_PROV] = "provider", [F_BPROV] = "provider",
        [F_JSON] = "object",   [F_LIST] = "list",     [F_HOLDER] = "object",
    };

    sbuf_putz(b, "| key | type | default | bounds | may be set |\n|---|---|---|---|---|\n");
    for (unsigned i = 0; i < cluster.n; i++) {
        const struct field *f = &cluster.rows[i];
        const char         *how = "per node";

        if (f->type == F_HOLDER)
            continue;
        for (size_t k = 0; k < ARRAY_SIZE(cluster_scope); k++)
            if (within(f->key, cluster_scope[k].section))
                how = "cluster-wide";
        if (f->flags & FF_NOSET)
            how = "no";
        else if (f->flags & FF_RO)
            how = "initially";
        sbuf_printf(b, "| `%s` | %s | %s | ", f->key, names[f->type], f->dflt == NULL ? "" : f->dflt);
        doc_bounds(f, b);
        sbuf_printf(b, " | %s |\n", how);
    }
}
