/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table engine behind configuration and bucket properties: private to conf*.c and bprops.c.
 *
 * A structure is described by rows in the order in which its members appear in JSON. A row's key is the dotted path; sections
 * are what the paths have in common. Documents, defaults, `set`, bounds and the reference page come out of the rows.
 */
#ifndef CORE_CONF_IMPL_H
#define CORE_CONF_IMPL_H

#include <stddef.h>

#include "base/util.h"
#include "core/conf.h"

/* clang-format off */
enum ftype {
    F_BOOL, F_INT, F_U64,   /* JSON literal; JSON numbers: int64_t, uint64_t */
    F_U64S, F_I64S,         /* the same as decimal strings */
    F_FEAT, F_ACCESS,       /* F_U64S that also take names when set */
    F_DUR,                  /* int64_t nanoseconds, "1m" */
    F_SIZE, F_SSIZE,        /* uint64_t, int64_t (as uint64_t bits) bytes, "64MiB" */
    F_STR,                  /* char[] */
    F_CKSUM, F_PROV,        /* enums by name */
    F_BPROV,                /* enum provider followed by bool: "" = not set */
    F_JSON,                 /* char[]: one JSON value as text, "" = absent */
    F_LIST,                 /* JSON array of strings; virtual only */
    F_HOLDER,               /* char[]: JSON object whose members are the virtual rows at the same offset */
};
#define FF_ZERO  1u  /* zero or empty means the default */
#define FF_RO    2u  /* `set` by dotted key is refused: readonly */
#define FF_NOSET 4u  /* not part of what can be set at all */
#define FF_NODOT 8u  /* can be set as JSON, not by dotted key */
#define FF_OMIT  16u /* left out of JSON when zero or empty */
#define FF_VIRT  32u /* lives in the F_HOLDER of the same offset */
/* clang-format on */

struct field {
    const char *key;
    enum ftype  type;
    unsigned    flags;
    unsigned    off, size;
    const char *dflt;     /* text as in `set`; NULL = zero */
    const char *choices;  /* F_STR: "a|b|c", checked when set; "" is always accepted (with FF_ZERO: the default) */
    int64_t     min, max; /* numbers: checked by rows_check; min == max: no bounds */
    /* What is wrong with the value; {} as in JSON, {d} a duration as Go prints it, {n} the plain number, {q} quoted. */
    const char *msg;
};

struct table {
    const struct field *rows;
    unsigned n;
    const char *const (*alias)[2]; /* former name of a key or section, proper name; the more specific first */
    unsigned naliases;
};

#define ROW_FULL(S, k, t, m, fl, d, ch, lo, hi, ms)                                                                    \
    {                                                                                                                  \
        .key = (k), .type = (t), .flags = (fl), .off = offsetof(S, m), .size = sizeof(((S *)0)->m), .dflt = (d),       \
        .choices = (ch), .min = (lo), .max = (hi), .msg = (ms)                                                         \
    }
#define ROW(S, k, t, m, fl, d)                    ROW_FULL(S, k, t, m, fl, d, NULL, 0, 0, NULL)
#define ROW_IN(S, k, t, m, fl, d, lo, hi, ms)     ROW_FULL(S, k, t, m, fl, d, NULL, lo, hi, ms)
#define ROW_OF(S, k, m, fl, d, ch, ms)            ROW_FULL(S, k, F_STR, m, fl, d, ch, 0, 0, ms)

#define D_MS  (1000000LL)
#define D_SEC (1000000000LL)
#define D_MIN (60 * D_SEC)
#define D_HR  (60 * D_MIN)

/* Sections that a cluster and a bucket have in common. P: key prefix; m: member. */
/* clang-format off */
#define MSG_WP_MD "invalid write policy {q} (expecting one of [immediate delayed never])"
#define ROWS_WP(S, P, m)                                                                                               \
    ROW_OF(S, P "data", m.data, FF_ZERO | FF_RO, "immediate", "immediate|delayed|never", MSG_WP_MD),                   \
    ROW_OF(S, P "md",   m.md,   FF_ZERO,         "immediate", "immediate|delayed|never", MSG_WP_MD)
#define ROWS_CKSUM(S, P, m, zero)                                                                                      \
    ROW(S, P "type",              F_CKSUM, m.type,              zero, "xxhash2"),                                      \
    ROW(S, P "validate_cold_get", F_BOOL,  m.validate_cold_get, 0,    NULL),                                           \
    ROW(S, P "validate_warm_get", F_BOOL,  m.validate_warm_get, 0,    NULL),                                           \
    ROW(S, P "validate_obj_move", F_BOOL,  m.validate_obj_move, 0,    NULL),                                           \
    ROW(S, P "enable_read_range", F_BOOL,  m.enable_read_range, 0,    NULL)
#define ROWS_STREAM(S, P, m, mult, burst)                                                                              \
    ROW_OF(S, P "compression", m.compression, FF_ZERO, "never", "never|always",                                        \
           "invalid compression: {q} (expecting one of: [never always])"),                                             \
    ROW_IN(S, P "bundle_multiplier", F_INT, m.bundle_multiplier, FF_ZERO, mult, 1, 16,                                 \
           "invalid bundle_multiplier: {} (expecting range [1, 16] or zero for default)"),                             \
    ROW_IN(S, P "burst_buffer", F_INT, m.burst_buffer, FF_ZERO, burst, 32, 10000,                                      \
           "invalid burst_buffer: {} (expecting range [32, 10000] or zero for default)")
#define ROWS_RATE(S, P, side, m)                                                                                       \
    ROW(S, P side ".per_op_max_tokens", F_STR, m.per_op, FF_OMIT, NULL),                                               \
    ROW_IN(S, P side ".interval", F_DUR, m.interval, FF_ZERO, "1m", D_SEC, D_HR,                                       \
           "rate limit: invalid " side ".interval {d} (min=1s, max=1h0m0s)"),                                          \
    ROW_IN(S, P side ".max_tokens", F_INT, m.max_tokens, FF_ZERO, "1000", 1, INT32_MAX - 1,                            \
           "rate limit: invalid " side ".max_tokens {}"),                                                              \
    ROW(S, P side ".enabled", F_BOOL, m.enabled, 0, NULL)
#define ROWS_RATES(S, P, m)                                                                                            \
    ROWS_RATE(S, P, "backend", m.backend),                                                                             \
    ROW_IN(S, P "backend.num_retries", F_INT, m.backend.num_retries, FF_ZERO, "3", 1, 10,                              \
           "rate limit: invalid backend.num_retries {}"),                                                              \
    ROWS_RATE(S, P, "frontend", m.frontend),                                                                           \
    ROW(S, P "frontend.burst_size", F_INT, m.frontend.burst_size, FF_ZERO, "375")
#define ROWS_EC(S, P, m)                                                                                               \
    ROWS_STREAM(S, P, m.s, "2", "512"),                                                                                \
    ROW_IN(S, P "objsize_limit", F_INT, m.objsize_limit, 0, "262144", -1, INT64_MAX,                                   \
           "invalid ec.objsize_limit: {} (expecting an integer greater than or equal to -1)"),                         \
    ROW_IN(S, P "data_slices", F_INT, m.data_slices, FF_ZERO, "2", 1, 32,                                              \
           "invalid ec.data_slices: {} (expected value in range [1, 32])"),                                            \
    ROW_IN(S, P "parity_slices", F_INT, m.parity_slices, FF_ZERO, "2", 1, 32,                                          \
           "invalid ec.parity_slices: {} (expected value in range [1, 32])"),                                          \
    ROW(S, P "enabled",   F_BOOL, m.enabled,   0, NULL),                                                               \
    ROW(S, P "disk_only", F_BOOL, m.disk_only, 0, NULL)
#define ROWS_CHUNKS(S, P, m)                                                                                           \
    ROW_IN(S, P "objsize_limit", F_SIZE, m.objsize_limit, 0, NULL, 0, INT64_MAX,                                       \
           "invalid chunks.objsize_limit {n} (expecting a non-negative integer)"),                                     \
    ROW_IN(S, P "max_monolithic_size", F_SIZE, m.max_monolithic_size, FF_ZERO, "1TiB", (int64_t)GIB, (int64_t)TIB,     \
           "invalid chunks.max_monolithic_size: {n} ({}) - must be in range [1GiB, 1TiB]"),                            \
    ROW_IN(S, P "chunk_size", F_SIZE, m.chunk_size, FF_ZERO, "1GiB", (int64_t)KIB, (int64_t)(5 * GIB),                 \
           "expecting chunks.chunk_size in the range [1KiB, 5GiB], got {n} ({})"),                                     \
    ROW_IN(S, P "checkpoint_every", F_INT, m.checkpoint_every, FF_OMIT, NULL, 0, 1024,                                 \
           "chunks.checkpoint_every must be an integer in the range [0, 1024] (got {})"),                              \
    ROW(S, P "flags", F_U64, m.flags, FF_OMIT, NULL)
#define ROWS_MIRROR(S, P, m)                                                                                           \
    ROW_IN(S, P "copies", F_INT, m.copies, FF_ZERO, "2", 2, 32,                                                        \
           "invalid mirror.copies: {} (expected value in range [2, 32] or zero for default)"),                         \
    ROW_IN(S, P "burst_buffer", F_INT, m.burst_buffer, FF_ZERO, "512", 1, INT32_MAX,                                   \
           "invalid mirror.burst_buffer: {} (expected a positive integer or zero for default)"),                       \
    ROW(S, P "enabled", F_BOOL, m.enabled, 0, NULL)
#define ROWS_LRU(S, P, m)                                                                                              \
    ROW(S, P "dont_evict_time", F_DUR, m.dont_evict_time, FF_ZERO, "2h"),                                              \
    ROW(S, P "capacity_upd_time", F_DUR, m.capacity_upd_time, FF_ZERO, "10m"),                                         \
    ROW_IN(S, P "batch_size", F_INT, m.batch_size, FF_ZERO | FF_OMIT, "32768", 1024, 524288,                           \
           "invalid lru.batch_size={} (expecting range [1024 - 524288])"),                                             \
    ROW(S, P "enabled", F_BOOL, m.enabled, 0, NULL)
#define ROWS_VERS(S, P, m, dflt)                                                                                       \
    ROW(S, P "enabled",           F_BOOL, m.enabled,           0, dflt),                                               \
    ROW(S, P "validate_warm_get", F_BOOL, m.validate_warm_get, 0, NULL),                                               \
    ROW(S, P "synchronize",       F_BOOL, m.synchronize,       0, NULL)
/* clang-format on */

void rows_default(const struct table *t, void *base);
/* Replace zero by the default where that is what zero means; prefix NULL = all, else only keys beginning so. */
void rows_hydrate(const struct table *t, void *base);
/* The first value out of its bounds among keys that begin with prefix (NULL = all). */
int  rows_check(const struct table *t, const void *base, const char *prefix, struct err *e);
/* Members of the document, into the object that is open. */
void rows_json(const struct table *t, const void *base, struct jw *w);
/* strict: keys that do not exist or cannot be set are errors; otherwise they are skipped (or, if not settable, set). */
int  rows_merge(const struct table *t, void *base, const struct json_t *j, bool strict, struct err *e);
/* By dotted key, any case, with a textual value. */
int  rows_set(const struct table *t, void *base, struct str key, struct str value, struct err *e);
/* The row of a dotted key (any case, aliases resolved); NULL when there is none. */
const struct field *rows_find(const struct table *t, struct str key);
/* v as Go prints a time.Duration: with the zeros that dur_format drops. */
const char *go_dur(int64_t ns, char out[48]);

/* Shared checks between rows. */
int check_wp(const struct conf_wp *c, struct err *e);
int check_rate(const struct conf_rate *c, struct err *e);
int check_chunks(const struct conf_chunks *c, struct err *e);
int check_lru(const struct conf_lru *c, struct err *e);
int check_features(uint64_t f, bool proxy_mediation, struct err *e);

#endif
