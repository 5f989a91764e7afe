/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk rates out of /proc/diskstats, sampled when somebody asks: an idle node samples nothing.
 *
 * Runs on: fibers and start-up threads. May park. Wire: native-api.md 7.7, "TcdfExt".
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "run/disk.h"
#include "target/target_impl.h"

#define SECTOR     512
#define MIN_GAP_NS MSEC_NS(500)

struct diskstat {
    char     name[32];
    uint64_t reads, rsectors, writes, wsectors, busy_ms;
    struct diskrate rate; /* between the last two samples */
};

/* "   8  0 sda reads merged sectors ms writes merged sectors ms in-flight busy-ms ..." */
static bool
parse_line(const char *line, struct diskstat *d)
{
    return sscanf(line,
                  " %*u %*u %31s %" SCNu64 " %*u %" SCNu64 " %*u %" SCNu64 " %*u %" SCNu64 " %*u %*u %" SCNu64, d->name,
                  &d->reads, &d->rsectors, &d->writes, &d->wsectors, &d->busy_ms) == 6;
}

static bool
wanted(const struct mpath_info *mp, unsigned n, const char *name)
{
    unsigned i, k;

    for (i = 0; i < n; i++)
        for (k = 0; k < mp[i].ndisks; k++)
            if (strcmp(mp[i].disks[k], name) == 0)
                return true;
    return false;
}

static unsigned
sample(struct target *t, struct diskstat *out, unsigned max)
{
    struct mpath_info *mp = xcalloc(MAX_MPATHS, sizeof(*mp));
    unsigned           nmp = store_mpaths(t->n->store, mp, MAX_MPATHS), n = 0;
    char              *text = NULL, *save = NULL, *line;
    size_t             len;

    if (disk_read_file("/proc/diskstats", 1 * MIB, &text, &len) == 0) {
        for (line = strtok_r(text, "\n", &save); line != NULL && n < max; line = strtok_r(NULL, "\n", &save))
            if (parse_line(line, &out[n]) && wanted(mp, MIN(nmp, MAX_MPATHS), out[n].name))
                n++;
    }
    free(text);
    free(mp);
    return n;
}

static int64_t
per_sec(uint64_t now, uint64_t then, double sec)
{
    return now > then ? (int64_t)((double)(now - then) / sec) : 0;
}

static int64_t
ratio(uint64_t bytes, uint64_t ops)
{
    return ops > 0 ? (int64_t)(bytes / ops) : 0;
}

static void
rate_between(struct diskstat *now, const struct diskstat *then, int64_t gap_ns)
{
    double sec = (double)gap_ns / 1e9;

    str_copyz(str_z(now->name), now->rate.name, sizeof(now->rate.name));
    now->rate.rbps = per_sec(now->rsectors, then->rsectors, sec) * SECTOR;
    now->rate.wbps = per_sec(now->wsectors, then->wsectors, sec) * SECTOR;
    now->rate.ravg = ratio((now->rsectors - then->rsectors) * SECTOR, now->reads - then->reads);
    now->rate.wavg = ratio((now->wsectors - then->wsectors) * SECTOR, now->writes - then->writes);
    now->rate.util = MIN(per_sec(now->busy_ms, then->busy_ms, sec) / 10, 100);
}

/* The sample before, of the same disk; the first sample compares with itself and gives zeros. */
static void
rates_fill(struct target *t, struct diskstat *now, unsigned n, int64_t gap_ns)
{
    unsigned i, k;

    for (i = 0; i < n; i++) {
        for (k = 0; k < t->ndisks && strcmp(t->disks[k].name, now[i].name) != 0; k++)
            ;
        rate_between(&now[i], k < t->ndisks ? &t->disks[k] : &now[i], MAX(gap_ns, MIN_GAP_NS));
    }
}

unsigned
iostat_rates(struct target *t, struct diskrate *out, unsigned max)
{
    struct diskstat *now = NULL;
    int64_t          mono = clock_mono(), gap;
    unsigned         n = 0, i;

    pthread_mutex_lock(&t->mtx);
    gap = mono - t->sampled_mono;
    pthread_mutex_unlock(&t->mtx);
    if (gap >= MIN_GAP_NS) {
        now = xcalloc(MAX_MPATHS, sizeof(*now));
        n = sample(t, now, MAX_MPATHS);
    }
    pthread_mutex_lock(&t->mtx);
    if (now != NULL) {
        rates_fill(t, now, n, gap);
        free(t->disks);
        t->disks = now;
        t->ndisks = n;
        t->sampled_mono = mono;
    }
    for (i = 0; i < t->ndisks && i < max; i++)
        out[i] = t->disks[i].rate;
    n = MIN(t->ndisks, max);
    pthread_mutex_unlock(&t->mtx);
    return n;
}

bool
disk_rotational(const char *disk)
{
    auto_free char *path = xasprintf("/sys/block/%s/queue/rotational", disk);
    char           *text = NULL;
    size_t          n;
    bool            yes;

    if (disk_read_file(path, 64, &text, &n) < 0)
        return false;
    yes = n > 0 && text[0] == '1';
    free(text);
    return yes;
}
