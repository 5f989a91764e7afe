/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space and mountpaths as the node sees them: capacity states, attach, detach, enable, disable, statistics.
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

static struct mpath *
find_mpath(struct store *s, struct str path)
{
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    for (unsigned i = 0; i < s->n; i++)
        if (str_eqz(path, s->mpaths[i]->path))
            return s->mpaths[i];
    return NULL;
}

/* mp_mtx is held. 1: nothing to do. A failed one stays failed until the target starts anew: what it had in memory is worth nothing. */
static int
set_state_locked(struct store *s, struct mpath *m, int to, struct err *e)
{
    unsigned ok = 0;
    int      was = atomic_load(&m->state);

    for (unsigned i = 0; i < s->n; i++)
        ok += atomic_load(&s->mpaths[i]->state) == MPATH_OK;
    do {
        if (was == to || (was == MPATH_FAILED && to != MPATH_OK))
            return 1;
        if (was == MPATH_FAILED)
            return err_set(e, AIS_E_IO, "mountpath %s failed: restart the target when it is repaired", m->path);
        if (was == MPATH_OK && ok <= 1)
            return err_set(e, AIS_E_INVAL, "cannot disable %s: it is the last available mountpath", m->path);
    } while (!atomic_compare_exchange_weak(&m->state, &was, to));
    return 0;
}

static int
set_state(struct store *s, struct str path, enum mpath_state to, bool *was_noop, struct err *e)
{
    struct mpath *m = find_mpath(s, path);
    int           rc;

    if (m == NULL)
        return err_set(e, AIS_E_NOMPATH, "mountpath %.*s does not exist", STR_FMT(path));
    pthread_mutex_lock(&s->mp_mtx);
    rc = set_state_locked(s, m, (int)to, e);
    pthread_mutex_unlock(&s->mp_mtx);
    if (rc < 0)
        return rc;
    *was_noop = rc > 0;
    if (*was_noop)
        return 0;
    cache_drop_all(s, 0, NULL); /* placement changed; descriptors of the disabled one go */
    log_info("mountpath state", { "mountpath", LZ(m->path) }, { "enabled", LBOOL(to == MPATH_OK) });
    return 0;
}

int
store_mpath_enable(struct store *s, struct str path, bool *was_noop, struct err *e)
{
    return set_state(s, path, MPATH_OK, was_noop, e);
}

int
store_mpath_disable(struct store *s, struct str path, bool *was_noop, struct err *e)
{
    return set_state(s, path, MPATH_DISABLED, was_noop, e);
}

int
store_mpath_detach(struct store *s, struct str path, struct err *e)
{
    bool noop;

    return set_state(s, path, MPATH_DETACHING, &noop, e);
}

struct attach {
    struct store *s;
    const char   *path, *label;
    struct mpath *m;
    struct err   *e;
    int           rc;
};

static void
attach_blocking(void *arg)
{
    struct attach *a = arg;

    a->rc = mpath_open(a->s, a->path, a->label, &a->m, a->e);
}

/* Are a and b the same, or is one inside the other? */
static bool
nested(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);

    return strncmp(a, b, MIN(na, nb)) == 0 && (na == nb || (na < nb ? b[na] : a[nb]) == '/');
}

static int
attach_check(struct store *s, const char *path, struct err *e)
{
    for (unsigned i = 0; i < s->n; i++)
        if (nested(path, s->mpaths[i]->path))
            return err_set(e, AIS_E_INVAL, "mountpath %s and mountpath %s are nested", path, s->mpaths[i]->path);
    return s->n == MAX_MPATHS ? err_set(e, AIS_E_INVAL, "no more than %u mountpaths", MAX_MPATHS) : 0;
}

/* All buckets get their folders there, and what is there already its rows. */
static int
attach_buckets(struct store *s, struct mpath *m, struct err *e)
{
    unsigned    n;
    struct bck *all = bcks_now(s, &n);
    int         rc = 0;

    for (unsigned i = 0; rc == 0 && i < n; i++) {
        const struct bck *b = bck_known(s, all[i].bid);

        if (b != NULL)
            rc = bck_adopt_on(m, b, e);
    }
    free(all);
    return rc < 0 ? rc : mpath_adopted(m);
}

/* A new mountpath: opened, told of all buckets, then used. */
static int
attach_new(struct store *s, const char *path, const char *label, struct err *e)
{
    struct attach a = { .s = s, .path = path, .label = label, .e = e };
    int           rc = attach_check(s, path, e);

    if (rc < 0)
        return rc;
    offload(attach_blocking, &a);
    if (a.rc < 0)
        return a.rc;
    a.m->idx = s->n; /* not in the list yet: nobody looks for it there */
    rc = attach_buckets(s, a.m, e);
    if (rc < 0)
        atomic_store(&a.m->state, MPATH_FAILED); /* listed as such; placement passes it over */
    pthread_mutex_lock(&s->mp_mtx);
    s->mpaths[s->n] = a.m;
    s->n++;
    pthread_mutex_unlock(&s->mp_mtx);
    cache_drop_all(s, 0, NULL);
    return rc < 0 ? rc : attach_buckets(s, a.m, e); /* again: those that were made before it was in the list */
}

int
store_mpath_attach(struct store *s, struct str path, struct str label, struct err *e)
{
    char          p[256], l[64];
    struct mpath *m = find_mpath(s, path);
    int           rc;

    if (m != NULL) {
        bool noop;

        if (atomic_load(&m->state) == MPATH_OK)
            return err_set(e, AIS_E_EXISTS, "mountpath %s is already attached", m->path);
        return set_state(s, path, MPATH_OK, &noop, e);
    }
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    if (!str_copyz(path, p, sizeof(p)) || !str_copyz(label, l, sizeof(l)) || p[0] != '/')
        return err_set(e, AIS_E_INVAL, "bad mountpath \"%.*s\": an absolute path is needed", STR_FMT(path));
    if (atomic_exchange(&s->attaching, true))
        return err_set(e, AIS_E_BUSY, "another mountpath is being attached");
    rc = attach_new(s, p, l, e);
    atomic_store(&s->attaching, false);
    return rc;
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

    r->rc = rebuild_bck(r->m, r->b, false, &r->n, r->e);
}

int
store_mpath_rebuild(struct store *s, struct str path, uint64_t *objects, struct err *e)
{
    struct rebuilding r = { .m = find_mpath(s, path), .e = e };
    struct bck       *all;
    unsigned          n, i;

    if (r.m == NULL)
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
        out->overlay_entries += rows_count(s->mpaths[i]->rows);
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
        if (atomic_load(&s->mpaths[i]->state) != MPATH_FAILED)
            rc = checkpoint_call(s->mpaths[i], checkpoint_run, NULL);
    return rc < 0 ? err_set(e, -rc, "cannot flush: %s", err_text(rc)) : 0;
}
