/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space and mountpaths as the node sees them: capacity states, statistics, rebuilding.
 *
 * Runs on: fibers; what blocks goes to the offload pool.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"
#include "store/store_impl.h"

#define CAP_TTL SEC_NS(1)

uint64_t
store_layout(const struct store *s)
{
    return atomic_load(&s->scattered) ? 0 : atomic_load(&s->lay_version);
}

const char *
store_mpath_path(const struct store *s, unsigned mpath)
{
    return mpath < s->n ? s->mpaths[mpath]->path : "";
}

static void
stat_blocking(void *arg)
{
    struct store *s = arg;

    for (unsigned i = 0; i < s->n; i++)
        if (mpath_readable(s->mpaths[i]))
            mpath_stat(s->mpaths[i]);
    atomic_store(&s->cap_at, clock_mono());
}

int
store_cap_refresh(struct store *s)
{
    offload(stat_blocking, s);
    return 0;
}

static unsigned
used_pct(const struct mpath *m)
{
    uint64_t total = atomic_load(&m->total), used = atomic_load(&m->used);

    return total == 0 ? 0 : (unsigned)(used * 100 / total);
}

/* Bytes of a file system count once, however many mountpaths lie in it. */
static bool
fs_counted(const struct store *s, unsigned i)
{
    for (unsigned k = 0; k < i; k++)
        if (atomic_load(&s->mpaths[k]->state) == MPATH_OK &&
            strcmp(s->mpaths[k]->fs_id, s->mpaths[i]->fs_id) == 0)
            return true;
    return false;
}

void
store_cap(struct store *s, struct store_cap *out)
{
    unsigned n = 0, sum = 0;

    *out = (struct store_cap){ .pct_min = 100 };
    for (unsigned i = 0; i < s->n; i++) {
        unsigned pct;

        if (atomic_load(&s->mpaths[i]->state) != MPATH_OK)
            continue;
        pct = used_pct(s->mpaths[i]);
        if (!fs_counted(s, i)) {
            out->used += atomic_load(&s->mpaths[i]->used);
            out->avail += atomic_load(&s->mpaths[i]->avail);
            out->total += atomic_load(&s->mpaths[i]->total);
        }
        out->pct_min = MIN(out->pct_min, pct);
        out->pct_max = MAX(out->pct_max, pct);
        sum += pct;
        n++;
    }
    out->pct_avg = n == 0 ? 0 : sum / n;
    out->pct_min = n == 0 ? 0 : out->pct_min;
    out->oos = out->pct_max > atomic_load(&s->wm[3]);
    out->high = out->pct_max > atomic_load(&s->wm[2]);
    if (out->oos)
        snprintf(out->err, sizeof(out->err), "out of space: the fullest mountpath is %u%% full (limit %u%%)", out->pct_max,
                 atomic_load(&s->wm[3]));
}

static void
stat_async(void *arg)
{
    struct store *s = arg;

    stat_blocking(s);
    atomic_fetch_sub(&s->trash_busy, 1);
}

/* Space as known, looked at again when that is old. */
bool
store_oos(struct store *s, struct store_cap *cap)
{
    int64_t now = loop_now(), at = atomic_load(&s->cap_at);

    if (now - at > CAP_TTL && atomic_compare_exchange_strong(&s->cap_at, &at, now)) {
        atomic_fetch_add(&s->trash_busy, 1);
        offload_async(s->run, stat_async, s);
    }
    store_cap(s, cap);
    return cap->oos;
}

void
store_set_watermarks(struct store *s, unsigned cleanupwm, unsigned lowwm, unsigned highwm, unsigned oos)
{
    atomic_store(&s->wm[0], cleanupwm);
    atomic_store(&s->wm[1], lowwm);
    atomic_store(&s->wm[2], highwm);
    atomic_store(&s->wm[3], oos);
}

unsigned
store_mpaths(struct store *s, struct mpath_info *out, unsigned max)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->n; i++) {
        struct mpath      *m = s->mpaths[i];
        struct mpath_info *o = &out[n];

        if (n++ >= max)
            continue;
        *o = (struct mpath_info){ .state = (enum mpath_state)atomic_load(&m->state),
                                  .used = atomic_load(&m->used),
                                  .avail = atomic_load(&m->avail),
                                  .total = atomic_load(&m->total),
                                  .used_pct = used_pct(m) };
        snprintf(o->path, sizeof(o->path), "%s", m->path);
        snprintf(o->label, sizeof(o->label), "%s", m->label);
        snprintf(o->fs, sizeof(o->fs), "%s", m->fs);
        snprintf(o->fs_type, sizeof(o->fs_type), "%s", m->fs_type);
        snprintf(o->fs_id, sizeof(o->fs_id), "%s", m->fs_id);
        if (m->disk[0] != '\0') {
            snprintf(o->disks[0], sizeof(o->disks[0]), "%s", m->disk);
            o->ndisks = 1;
        }
    }
    return n;
}

struct rebuilding {
    struct mpath     *m;
    const struct bck *b;
    uint64_t          n;
    struct err       *e;
    int               rc;
};

static void
rebuild_blocking(void *arg)
{
    struct rebuilding *r = arg;

    r->rc = rebuild_bck(r->m, r->b, REBUILD_IN_USE, &r->n, r->e);
}

int
store_mpath_rebuild(struct store *s, struct str path, uint64_t *objects, struct err *e)
{
    struct rebuilding r = { .m = mpath_named(s, path), .e = e };
    struct bck       *all;
    unsigned          n, i;

    if (r.m == NULL || !mpath_readable(r.m))
        return err_set(e, AIS_E_NOMPATH, "mountpath %.*s does not exist", STR_FMT(path));
    all = bcks_now(s, &n);
    for (i = 0; i < n && r.rc == 0; i++) {
        r.b = bck_known(s, all[i].bid);
        if (r.b != NULL)
            offload(rebuild_blocking, &r);
    }
    free(all);
    *objects = r.n;
    return r.rc;
}

void
store_stats(struct store *s, struct store_stats *out)
{
    *out = (struct store_stats){ .cache_hits = atomic_load(&s->hits),
                                 .cache_misses = atomic_load(&s->misses),
                                 .cache_evicted = atomic_load(&s->evicted),
                                 .commits = atomic_load(&s->commits),
                                 .groups = atomic_load(&s->groups),
                                 .io_errors = atomic_load(&s->io_errors),
                                 .recovered = atomic_load(&s->recovered),
                                 .rebuilt = atomic_load(&s->rebuilt),
                                 .rolled_forward = atomic_load(&s->rolled),
                                 .checkpoints = atomic_load(&s->checkpoints),
                                 .journal_bytes = atomic_load(&s->journal_bytes) };
    for (unsigned i = 0; i < s->n; i++)
        out->overlay_entries += s->mpaths[i]->rows == NULL ? 0 : rows_count(s->mpaths[i]->rows);
    for (unsigned i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&s->shards[i].mtx);
        out->cache_entries += s->shards[i].n;
        out->cache_fds += s->shards[i].fds;
        pthread_mutex_unlock(&s->shards[i].mtx);
    }
}

int
store_flush(struct store *s, struct err *e)
{
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < s->n; i++)
        if (mpath_readable(s->mpaths[i]))
            rc = checkpoint_call(s->mpaths[i], checkpoint_run, NULL);
    return rc < 0 ? err_set(e, -rc, "cannot flush: %s", err_text(rc)) : 0;
}
