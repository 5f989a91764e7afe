/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters: one row of 64-bit cells per loop, and one for everybody else; a reader sums them.
 *
 * A loop adds to its own row with a plain load and store (nobody else writes there), other threads to the last row atomically. Latencies
 * and bandwidths are differences between two looks at least WINDOW_NS apart, so that an idle node keeps no timer.
 *
 * Runs on: anything; the writers of documents on a fiber (disk rates may park). Wire: jobs-and-services.md 9, native-api.md 7.7.
 */
#include "core/stats.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/util.h"
#include "codec/jw.h"
#include "core/node.h"
#include "core/core_impl.h"

#define WINDOW_NS    SEC_NS(10)
#define MAX_DISKS    64
#define LE_HISTOGRAM "0.05", "0.2", "5"

enum stat_kind { COUNTER, SIZE, TOTAL, LATENCY, THROUGHPUT, SPECIAL, FLAGS, HISTOGRAM };
enum stat_roles { P = 1, T = 2, PT = 3 };

static const struct row {
    const char     *name; /* "" = internal: what a latency is made of */
    enum stat_kind  kind;
    const char     *prom;
    enum stat_roles roles;
    const char     *help;
} rows[STAT_COUNT] = {
#define S(sym, name, kind, prom, roles, help) [sym] = { name, kind, prom, roles, help },
#include "core/stats.def"
#undef S
};

static const char *const kind_names[] = {
    [COUNTER] = "counter", [SIZE] = "size",       [TOTAL] = "total", [LATENCY] = "latency",     [THROUGHPUT] = "bw",
    [SPECIAL] = "special", [FLAGS] = "gauge", [HISTOGRAM] = "histogram",
};

/* What derived values come from: LATENCY = total / count, THROUGHPUT = total / second. */
static const struct derived {
    enum stat_id id, total, count;
} derived[] = {
    { STAT_GET_NS, STAT_GET_NS_TOTAL, STAT_GET_N },          { STAT_LST_NS, STAT_LST_NS_TOTAL, STAT_LST_N },
    { STAT_KALIVE_NS, STAT_KALIVE_NS_TOTAL, STAT_KALIVE_N }, { STAT_PUT_NS, STAT_PUT_NS_TOTAL, STAT_PUT_N },
    { STAT_APPEND_NS, STAT_APPEND_NS_TOTAL, STAT_APPEND_N }, { STAT_GET_REDIR, STAT_GET_REDIR_NS, STAT_GET_REDIR_N },
    { STAT_PUT_REDIR, STAT_PUT_REDIR_NS, STAT_PUT_REDIR_N }, { STAT_GET_BPS, STAT_GET_SIZE, STAT_COUNT },
    { STAT_PUT_BPS, STAT_PUT_SIZE, STAT_COUNT },
};

struct snap {
    int64_t  at; /* clock_mono */
    uint64_t v[STAT_COUNT];
};

struct cells {
    _Alignas(64) _Atomic uint64_t v[STAT_COUNT];
};

struct stats {
    struct run     *run;
    unsigned        nloops;
    struct cells   *cells; /* nloops + 1 */
    pthread_mutex_t mtx;   /* protects what follows; never held across a park */
    uint64_t        base[STAT_COUNT]; /* values at the last reset: what node_stats counts from */
    struct snap     older, newer;     /* two looks */
};

int
stats_new(struct run *run, struct stats **out)
{
    struct stats *s = xcalloc(1, sizeof(*s));

    s->run = run;
    s->nloops = run_nloops(run);
    s->cells = aligned_alloc(64, (s->nloops + 1) * sizeof(*s->cells));
    if (s->cells == NULL) {
        free(s);
        return -AIS_E_NOMEM;
    }
    memset(s->cells, 0, (s->nloops + 1) * sizeof(*s->cells));
    MUST(pthread_mutex_init(&s->mtx, NULL));
    s->older.at = s->newer.at = clock_mono();
    *out = s;
    return 0;
}

void
stats_free(struct stats *s)
{
    if (s == NULL)
        return;
    MUST(pthread_mutex_destroy(&s->mtx));
    free(s->cells);
    free(s);
}

void
stat_add(struct stats *s, enum stat_id id, uint64_t v)
{
    struct loop      *l = loop_self();
    _Atomic uint64_t *c;

    if (l != NULL && loop_run(l) == s->run) {
        c = &s->cells[loop_index(l)].v[id];
        atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + v, memory_order_relaxed);
    } else {
        atomic_fetch_add_explicit(&s->cells[s->nloops].v[id], v, memory_order_relaxed);
    }
}

uint64_t
stat_get(struct stats *s, enum stat_id id)
{
    uint64_t sum = 0;
    unsigned i;

    for (i = 0; i <= s->nloops; i++)
        sum += atomic_load_explicit(&s->cells[i].v[id], memory_order_relaxed);
    return sum;
}

static bool
is_sum(enum stat_kind k)
{
    return k == COUNTER || k == SIZE || k == TOTAL;
}

void
stats_reset(struct stats *s, int errors_only)
{
    unsigned i;

    MUST(pthread_mutex_lock(&s->mtx));
    for (i = 0; i < STAT_COUNT; i++)
        if (is_sum(rows[i].kind) && (!errors_only || strncmp(rows[i].name, "err.", 4) == 0))
            s->base[i] = stat_get(s, i);
    MUST(pthread_mutex_unlock(&s->mtx));
}

static void
look(struct stats *s, struct snap *out)
{
    unsigned i;

    out->at = clock_mono();
    for (i = 0; i < STAT_COUNT; i++)
        out->v[i] = stat_get(s, i);
}

static uint64_t
derive(const struct derived *d, const struct snap *now, const struct snap *then)
{
    uint64_t total = now->v[d->total] - then->v[d->total];
    uint64_t n = d->count < STAT_COUNT ? now->v[d->count] - then->v[d->count] : 0;
    int64_t  ns = now->at - then->at;

    if (d->count < STAT_COUNT)
        return n > 0 ? total / n : 0;
    return ns > 0 ? (uint64_t)((double)total * 1e9 / (double)ns) : 0;
}

/* Values of all rows as node_stats shows them: since the last reset, derived ones since the look before. */
static void
values(struct stats *s, uint64_t out[STAT_COUNT])
{
    struct snap now;
    unsigned    i;

    look(s, &now);
    MUST(pthread_mutex_lock(&s->mtx));
    if (now.at - s->newer.at >= WINDOW_NS) {
        s->older = s->newer;
        s->newer = now;
    }
    for (i = 0; i < STAT_COUNT; i++)
        out[i] = now.v[i] - s->base[i];
    for (i = 0; i < ARRAY_SIZE(derived); i++)
        out[derived[i].id] = derive(&derived[i], &now, &s->older);
    MUST(pthread_mutex_unlock(&s->mtx));
}

static bool
has_row(const struct node *n, unsigned i)
{
    return (rows[i].roles & (n->role == ROLE_PROXY ? P : T)) != 0;
}

/* Rows are written in alphabetical order, as Go prints its maps. */
static int
by_name(const void *a, const void *b)
{
    return strcmp(rows[*(const unsigned *)a].name, rows[*(const unsigned *)b].name);
}

static void
sorted(unsigned ids[STAT_COUNT])
{
    unsigned i;

    for (i = 0; i < STAT_COUNT; i++)
        ids[i] = i;
    qsort(ids, STAT_COUNT, sizeof(ids[0]), by_name);
}

/* Is the i-th of the sorted rows the one that "disk.NAME..." stands before? */
static bool
first_behind_disks(const unsigned ids[STAT_COUNT], unsigned i)
{
    return strcmp(rows[ids[i]].name, "disk.") > 0 && (i == 0 || strcmp(rows[ids[i - 1]].name, "disk.") < 0);
}

/* Disk rows by AIStore's name and by Prometheus's. */
static const struct disk_row {
    const char *name, *prom, *help;
    size_t      off;
} disk_rows[] = {
    { "avg.rsize", "disk_avg_rsize", "mean bytes of a disk read", offsetof(struct diskrate, ravg) },
    { "avg.wsize", "disk_avg_wsize", "mean bytes of a disk write", offsetof(struct diskrate, wavg) },
    { "read.bps", "disk_read_bps", "bytes a second read from the disk", offsetof(struct diskrate, rbps) },
    { "util", "disk_util", "percent of the time that the disk was busy", offsetof(struct diskrate, util) },
    { "write.bps", "disk_write_bps", "bytes a second written to the disk", offsetof(struct diskrate, wbps) },
};

static int64_t
disk_value(const struct diskrate *d, const struct disk_row *row)
{
    return *(const int64_t *)(const void *)((const char *)d + row->off);
}

static unsigned
disk_rates(struct node *n, struct diskrate **out)
{
    *out = NULL;
    if (n->impl == NULL || n->impl->disk_rates == NULL)
        return 0;
    *out = xcalloc(MAX_DISKS, sizeof(**out));
    return n->impl->disk_rates(n, *out, MAX_DISKS);
}

static void
disk_members(struct node *n, struct jw *w, bool kinds)
{
    struct diskrate *d;
    unsigned         nd = disk_rates(n, &d), i, k;
    char             key[64];

    for (i = 0; i < nd; i++)
        for (k = 0; k < ARRAY_SIZE(disk_rows); k++) {
            snprintf(key, sizeof(key), "disk.%s.%s", d[i].name, disk_rows[k].name);
            jw_key(w, key);
            if (kinds)
                jw_strz(w, "gauge");
            else
                jw_i64(w, disk_value(&d[i], &disk_rows[k]));
        }
    free(d);
}

/* Sums that are zero are left out, but for those that a bandwidth stands beside. */
static bool
shown_at_zero(unsigned id)
{
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(derived); i++)
        if (derived[i].total == id && rows[derived[i].id].kind == THROUGHPUT)
            return true;
    return !is_sum(rows[id].kind);
}

static uint64_t
uptime_ns(const struct node *n)
{
    return (uint64_t)(clock_mono() - n->started_mono);
}

void
stats_tracker_json(struct node *n, struct jw *w)
{
    uint64_t *v = xcalloc(STAT_COUNT, sizeof(*v));
    unsigned *ids = xcalloc(STAT_COUNT, sizeof(*ids));
    unsigned  i;

    values(n->stats, v);
    v[STAT_STATE_FLAGS] = node_state_flags(n);
    v[STAT_UPTIME] = uptime_ns(n);
    sorted(ids);
    jw_obj(w);
    for (i = 0; i < STAT_COUNT; i++) {
        const struct row *row = &rows[ids[i]];

        if (first_behind_disks(ids, i))
            disk_members(n, w, false);
        if (has_row(n, ids[i]) && row->name[0] != '\0' && (v[ids[i]] != 0 || shown_at_zero(ids[i])))
            jw_ku64(w, row->name, v[ids[i]]);
    }
    jw_obj_end(w);
    free(ids);
    free(v);
}

void
stats_metrics_json(struct node *n, struct jw *w)
{
    unsigned *ids = xcalloc(STAT_COUNT, sizeof(*ids));
    unsigned  i;

    sorted(ids);
    jw_obj(w);
    for (i = 0; i < STAT_COUNT; i++) {
        if (first_behind_disks(ids, i))
            disk_members(n, w, true);
        if (has_row(n, ids[i]) && rows[ids[i]].name[0] != '\0')
            jw_kstrz(w, rows[ids[i]].name, kind_names[rows[ids[i]].kind]);
    }
    jw_obj_end(w);
    free(ids);
}

static void
prom_head(struct sbuf *out, const char *full, const char *help, const char *type)
{
    sbuf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", full, help, full, type);
}

static void
prom_histogram(struct sbuf *out, const char *full, const char *id)
{
    static const char *const le[] = { LE_HISTOGRAM, "+Inf" };
    unsigned                 i;

    for (i = 0; i < ARRAY_SIZE(le); i++)
        sbuf_printf(out, "%s_bucket{node_id=\"%s\",le=\"%s\"} 0\n", full, id, le[i]);
    sbuf_printf(out, "%s_sum{node_id=\"%s\"} 0\n%s_count{node_id=\"%s\"} 0\n", full, id, full, id);
}

static void
prom_disks(struct node *n, struct sbuf *out)
{
    struct diskrate *d;
    unsigned         nd = disk_rates(n, &d), i, k;
    char             full[80];

    for (k = 0; k < ARRAY_SIZE(disk_rows) && nd > 0; k++) {
        snprintf(full, sizeof(full), "ais_target_%s", disk_rows[k].prom);
        prom_head(out, full, disk_rows[k].help, "gauge");
        for (i = 0; i < nd; i++)
            sbuf_printf(out, "%s{disk=\"%s\",node_id=\"%s\"} %lld\n", full, d[i].name, n->id,
                        (long long)disk_value(&d[i], &disk_rows[k]));
    }
    free(d);
}

static void
prom_row(struct node *n, unsigned id, struct sbuf *out)
{
    const struct row *row = &rows[id];
    char              full[80];
    uint64_t          v = stat_get(n->stats, id);

    snprintf(full, sizeof(full), "ais_%s_%s", n->role == ROLE_PROXY ? "proxy" : "target", row->prom);
    switch (row->kind) {
    case HISTOGRAM:
        prom_head(out, full, row->help, "histogram");
        prom_histogram(out, full, n->id);
        return;
    case FLAGS:
        v = node_state_flags(n);
        break;
    case SPECIAL:
        v = uptime_ns(n) / NSEC_PER_SEC;
        break;
    case COUNTER:
    case SIZE:
    case TOTAL:
    case LATENCY:
    case THROUGHPUT:
        break;
    }
    prom_head(out, full, row->help, is_sum(row->kind) ? "counter" : "gauge");
    sbuf_printf(out, "%s{node_id=\"%s\"} %llu\n", full, n->id, (unsigned long long)v);
}

/* What the runtime knows of itself: names of our own, beside AIStore's. */
static void
prom_run(struct node *n, struct sbuf *out)
{
    struct run_stats s;

    run_stats(n->run, &s);
    const struct {
        const char *name, *type, *help;
        uint64_t    v;
    } own[] = {
        { "ais_node_fibers", "gauge", "fibers alive", s.fibers_live },
        { "ais_node_fiber_stack_peak_bytes", "gauge", "deepest fiber stack seen", s.stack_peak_bytes },
        { "ais_node_loop_stalls_total", "counter", "times a loop did not turn in time", s.loop_stalls },
        { "ais_node_offloads_total", "counter", "jobs given to the offload pool", s.offloads },
        { "ais_node_disk_inline_total", "counter", "disk operations answered from caches on the loop", s.disk_inline },
        { "ais_node_disk_async_total", "counter", "disk operations that went to io_uring or a worker", s.disk_async },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(own); i++) {
        prom_head(out, own[i].name, own[i].help, own[i].type);
        sbuf_printf(out, "%s{node_id=\"%s\"} %llu\n", own[i].name, n->id, (unsigned long long)own[i].v);
    }
}

void
stats_prometheus(struct node *n, struct sbuf *out)
{
    struct views v;
    unsigned     i;

    views_get(n, &v);
    prom_head(out, "ais_node_primary_info", "the primary proxy as this node knows it; always 1", "gauge");
    sbuf_printf(out, "ais_node_primary_info{node_id=\"%s\",primary_id=\"%s\"} 1\n", n->id,
                v.smap->primary != NULL ? v.smap->primary->id : "");
    views_put(&v);
    for (i = 0; i < STAT_COUNT; i++)
        if (has_row(n, i) && rows[i].prom[0] != '\0')
            prom_row(n, i, out);
    prom_disks(n, out);
    prom_run(n, out);
}
