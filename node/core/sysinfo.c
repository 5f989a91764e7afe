/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node says about itself and its machine: memory, CPU, load, state.
 *
 * Runs on: sysinfo_* read /proc and may block (the offload pool); node_info_json on any fiber.
 * Wire: native-api.md 5.2 (MemCPU), 5.6 (NodeStateInfo); golden/wire/state-daemon-sysinfo.txt.
 */
#include <stdio.h>
#include <unistd.h>

#include "core/core_impl.h"

#include "codec/jw.h"
#include "run/disk.h"
#include "base/util.h"

struct meminfo {
    uint64_t total, free, avail, buffers, cached, swap_total, swap_free, swap_cached, reclaimable;
};

static void
meminfo_read(struct meminfo *m)
{
    /* clang-format off */
    const struct { const char *key; uint64_t *v; } want[] = {
        { "MemTotal:",     &m->total },     { "MemFree:",    &m->free },       { "MemAvailable:", &m->avail },
        { "Buffers:",      &m->buffers },   { "Cached:",     &m->cached },     { "SwapTotal:",    &m->swap_total },
        { "SwapFree:",     &m->swap_free }, { "SReclaimable:", &m->reclaimable },
    };
    /* clang-format on */
    auto_free char *text = NULL;
    size_t          n = 0, i;
    struct str      rest, line;

    memset(m, 0, sizeof(*m));
    if (disk_read_file("/proc/meminfo", 64 * KIB, &text, &n) < 0)
        return;
    rest = str_from(text, n);
    while (str_split(&rest, '\n', &line)) {
        for (i = 0; i < ARRAY_SIZE(want); i++) {
            struct str key = str_z(want[i].key), num;
            ptrdiff_t  unit;

            if (!str_starts(line, key))
                continue;
            num = str_trim(str_from_off(line, key.n));
            unit = str_chr(num, ' ');
            if (unit > 0)
                num.n = (size_t)unit;
            if (str_u64(num, want[i].v))
                *want[i].v *= KIB;
        }
    }
}

static void
loadavg_read(double load[3])
{
    auto_free char *text = NULL;
    size_t          n = 0;
    struct str      rest, tok;
    int             i;

    load[0] = load[1] = load[2] = 0;
    if (disk_read_file("/proc/loadavg", 4 * KIB, &text, &n) < 0)
        return;
    rest = str_from(text, n);
    for (i = 0; i < 3 && str_split(&rest, ' ', &tok); i++)
        (void)str_f64(tok, &load[i]);
}

struct procinfo {
    uint64_t user_ms, system_ms, size, resident, share;
};

/* Field nr (1-based, as in proc(5)) of /proc/self/stat; the name in field 2 may contain anything, so count from behind it. */
static uint64_t
stat_field(struct str text, unsigned nr)
{
    ptrdiff_t  paren = str_rchr(text, ')');
    struct str rest, tok;
    unsigned   i;
    uint64_t   v = 0;

    if (paren < 0)
        return 0;
    rest = str_from_off(text, (size_t)paren + 2);
    for (i = 3; str_split(&rest, ' ', &tok); i++) {
        if (i == nr)
            return str_u64(tok, &v) ? v : 0;
    }
    return 0;
}

static void
procinfo_read(struct procinfo *p)
{
    auto_free char *stat = NULL, *statm = NULL;
    size_t          n = 0;
    uint64_t        hz = (uint64_t)sysconf(_SC_CLK_TCK), page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t       *out[3] = { &p->size, &p->resident, &p->share };
    struct str      rest, tok;
    int             i;

    memset(p, 0, sizeof(*p));
    if (disk_read_file("/proc/self/stat", 4 * KIB, &stat, &n) == 0) {
        p->user_ms = stat_field(str_from(stat, n), 14) * 1000 / hz;
        p->system_ms = stat_field(str_from(stat, n), 15) * 1000 / hz;
    }
    if (disk_read_file("/proc/self/statm", 4 * KIB, &statm, &n) == 0) {
        rest = str_from(statm, n);
        for (i = 0; i < 3 && str_split(&rest, ' ', &tok); i++) {
            if (str_u64(tok, out[i]))
                *out[i] *= page;
        }
    }
}

void
sysinfo_json_members(struct node *n, struct jw *w)
{
    struct meminfo  m;
    struct procinfo p;
    double          load[3], up_ms = (double)(clock_mono() - n->started_mono) / NSEC_PER_MSEC, cpu;
    long            cpus = sysconf(_SC_NPROCESSORS_ONLN);

    meminfo_read(&m);
    loadavg_read(load);
    procinfo_read(&p);
    cpu = up_ms < 1 ? 0 : (double)(p.user_ms + p.system_ms) * 100 / up_ms / (double)(cpus > 0 ? cpus : 1);

    jw_ku64(w, "mem_used", p.resident);
    jw_ku64(w, "mem_avail", m.avail);
    jw_kf64(w, "pct_mem_used", m.total == 0 ? 0 : (double)p.resident * 100 / (double)m.total);
    jw_kf64(w, "pct_cpu_used", cpu);
    jw_key(w, "load_avg");
    jw_obj(w);
    jw_kf64(w, "One", load[0]);
    jw_kf64(w, "Five", load[1]);
    jw_kf64(w, "Fifteen", load[2]);
    jw_obj_end(w);
    jw_ki64(w, "cpu_util", 0);
    jw_key(w, "mem");
    jw_obj(w);
    jw_ku64(w, "Total", m.total);
    jw_ku64(w, "Used", m.total - m.free);
    jw_ku64(w, "Free", m.free);
    jw_ku64(w, "BuffCache", m.buffers + m.cached + m.reclaimable);
    jw_ku64(w, "ActualFree", m.avail);
    jw_ku64(w, "ActualUsed", m.total - m.avail);
    jw_ku64(w, "SwapTotal", m.swap_total);
    jw_ku64(w, "SwapFree", m.swap_free);
    jw_ku64(w, "SwapUsed", m.swap_total - m.swap_free);
    jw_obj_end(w);
    jw_key(w, "proc");
    jw_obj(w);
    jw_key(w, "CPU");
    jw_obj(w);
    jw_ku64(w, "User", p.user_ms);
    jw_ku64(w, "System", p.system_ms);
    jw_ku64(w, "Total", p.user_ms + p.system_ms);
    jw_ku64(w, "LastTime", 0);
    jw_kf64(w, "Percent", cpu);
    jw_obj_end(w);
    jw_key(w, "Mem");
    jw_obj(w);
    jw_ku64(w, "Size", p.size);
    jw_ku64(w, "Resident", p.resident);
    jw_ku64(w, "Share", p.share);
    jw_obj_end(w);
    jw_obj_end(w);
}

/* --- state --- */
unsigned
node_state_flags(struct node *n)
{
    unsigned            flags = atomic_load(&n->flags);
    struct views        v;
    const struct snode *self;

    views_get(n, &v);
    self = smap_find(v.smap, str_z(n->id));
    if (self != NULL && (self->flags & (SNODE_MAINT | SNODE_DECOMM)))
        flags |= NODE_MAINTENANCE;
    views_put(&v);
    return n->impl->state_flags != NULL ? flags | n->impl->state_flags(n) : flags;
}

static void
kver(struct jw *w, const char *key, const char *uuid, uint64_t version)
{
    jw_key(w, key);
    jw_obj(w);
    if (uuid != NULL)
        jw_kstrz(w, "uuid", uuid);
    jw_ku64s(w, "version", version);
    jw_obj_end(w);
}

void
node_info_json(struct node *n, struct jw *w)
{
    struct views        v;
    const struct snode *p;

    views_get(n, &v);
    p = v.smap->primary;
    jw_obj(w);
    jw_key(w, "smap");
    jw_obj(w);
    jw_key(w, "Primary");
    jw_obj(w);
    jw_kstrz(w, "pub_url", p != NULL ? p->pub.url : "");
    jw_kstrz(w, "control_url", p != NULL ? p->control.url : "");
    jw_kstrz(w, "id", p != NULL ? p->id : "");
    jw_obj_end(w);
    jw_kstrz(w, "uuid", v.smap->uuid);
    jw_ku64s(w, "version", v.smap->version);
    jw_obj_end(w);
    kver(w, "bmd", v.bmd->uuid, v.bmd->version);
    kver(w, "rmd", NULL, v.rmd->version);
    kver(w, "config", NULL, v.conf->version);
    kver(w, "etlmd", NULL, v.etlmd_version);
    jw_ku64(w, "flags", node_state_flags(n));
    jw_obj_end(w);
    views_put(&v);
}
