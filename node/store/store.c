/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of a target: opening, buckets, space, listing.
 *
 * Runs on: fibers; what blocks goes to the offload pool or to a committer.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"
#include "store/store_impl.h"

#define LIST_BATCH 1000
#define CAP_TTL    SEC_NS(1)

static void
conf_defaults(struct store *s)
{
    struct store_conf *c = &s->conf;
    struct rlimit      rl;

    if (c->cache_entries == 0)
        c->cache_entries = 65536;
    if (c->cache_bytes == 0)
        c->cache_bytes = 24 * MIB;
    if (c->cache_fds == 0) {
        c->cache_fds = 4096;
        if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur != RLIM_INFINITY)
            c->cache_fds = (uint32_t)MIN(rl.rlim_cur / 4, (rlim_t)16384);
    }
    s->shard_bytes = MAX(c->cache_bytes / SHARDS, (uint64_t)8192);
    s->shard_entries = MAX(c->cache_entries / SHARDS, 8u);
    s->shard_fds = MAX(c->cache_fds / SHARDS, 2u);
    store_set_watermarks(s, c->cleanupwm > 0 ? c->cleanupwm : 65, c->lowwm > 0 ? c->lowwm : 75,
                         c->highwm > 0 ? c->highwm : 90, c->oos > 0 ? c->oos : 95);
}

/* Is one of the paths inside another, or on the same file system where that is not allowed? */
static int
check_paths(const struct store_conf *c, struct err *e)
{
    struct stat a, b;

    for (unsigned i = 0; i < c->npaths; i++)
        for (unsigned k = 0; k < c->npaths; k++) {
            size_t n = strlen(c->paths[i].path);

            if (i == k)
                continue;
            if (strncmp(c->paths[i].path, c->paths[k].path, n) == 0 &&
                (c->paths[k].path[n] == '/' || c->paths[k].path[n] == '\0'))
                return err_set(e, AIS_E_INVAL, "mountpath %s lies inside mountpath %s", c->paths[k].path, c->paths[i].path);
            if (!c->allow_shared_fs && stat(c->paths[i].path, &a) == 0 && stat(c->paths[k].path, &b) == 0 &&
                a.st_dev == b.st_dev && (c->paths[i].label == NULL || c->paths[i].label[0] == '\0'))
                return err_set(e, AIS_E_INVAL, "mountpaths %s and %s are on the same file system", c->paths[i].path,
                               c->paths[k].path);
        }
    return 0;
}

int
store_open(const struct store_conf *c, struct store **out, struct err *e)
{
    struct store *s = xcalloc(1, sizeof(*s));
    int           rc;

    ASSERT_MAY_BLOCK();
    s->conf = *c;
    s->run = c->run;
    snprintf(s->node_id, sizeof(s->node_id), "%s", c->node_id);
    conf_defaults(s);
    cache_init(s);
    MUST(pthread_mutex_init(&s->mp_mtx, NULL));
    MUST(pthread_mutex_init(&s->up_mtx, NULL));
    atomic_store(&s->counter, (uint64_t)clock_real());
    rc = c->npaths == 0 ? err_set(e, AIS_E_INVAL, "a target needs at least one mountpath") : check_paths(c, e);
    for (unsigned i = 0; rc == 0 && i < c->npaths && i < MAX_MPATHS; i++) {
        struct mpath *m;

        rc = mpath_open(s, c->paths[i].path, c->paths[i].label, &m, e);
        if (rc < 0 && c->start_with_lost_mpath && s->n + 1 < c->npaths) {
            log_error("mountpath is lost, starting without it", { "mountpath", LZ(c->paths[i].path) });
            rc = 0;
            continue;
        }
        if (rc == 0) {
            m->idx = s->n;
            s->mpaths[s->n++] = m;
        }
    }
    if (rc < 0) {
        store_close(s);
        return rc;
    }
    (void)store_cap_refresh(s);
    trash_sweep(s);
    *out = s;
    return 0;
}

void
store_close(struct store *s)
{
    struct timespec ms = { .tv_nsec = NSEC_PER_MSEC };

    if (s == NULL)
        return;
    ASSERT_MAY_BLOCK();
    while (atomic_load(&s->trash_busy) > 0)
        nanosleep(&ms, NULL);
    for (unsigned i = 0; i < s->n; i++)
        mpath_close(s->mpaths[i]);
    mpt_fini(s);
    cache_fini(s);
    pthread_mutex_destroy(&s->mp_mtx);
    pthread_mutex_destroy(&s->up_mtx);
    free(s);
}

void
store_set_fence(struct store *s, uint32_t epoch, uint64_t term, uint64_t smap_ver)
{
    atomic_store(&s->epoch, epoch);
    atomic_store(&s->term, term);
    atomic_store(&s->smap_ver, smap_ver);
}

/* --- buckets --- */

struct bck_job {
    struct store     *s;
    const struct bck *b;
    struct err       *e;
    int               rc;
    bool              adopt;
};

static int
bck_dirs(struct mpath *m, const struct bck *b, struct err *e)
{
    char path[FQN_MAX];

    for (int ct = 0; ct < CT_NTYPES; ct++) {
        int rc = layout_ct(m->path, b, (enum ct)ct, path);

        if (rc > 0)
            rc = mkdirs(path);
        if (rc < 0)
            return err_set(e, -rc, "cannot make %s: %s", path, err_text(rc));
    }
    return 0;
}

/* Left over from a process that is gone: nobody was answered. */
static void
sweep_work(struct mpath *m, const struct bck *b)
{
    char path[FQN_MAX];

    if (layout_ct(m->path, b, CT_WORK, path) < 0)
        return;
    trash_dir(m, path);
    (void)mkdirs(path);
}

static int
mark_known(struct mpath *m, uint64_t bid)
{
    struct index_txn *t;
    int               rc = index_begin(m->index, &t);

    if (rc < 0)
        return rc;
    rc = index_bck_mark(t, bid, true);
    if (rc == 0)
        return index_commit(t);
    index_abort(t);
    return rc;
}

static int
bck_open_on(struct mpath *m, struct bck_job *j)
{
    uint64_t n;
    int      known, rc;

    if (j->adopt)
        sweep_work(m, j->b);
    rc = bck_dirs(m, j->b, j->e);
    if (rc < 0)
        return rc;
    known = index_bck_known(m->index, j->b->bid);
    if (known < 0)
        return err_set(j->e, -known, "index of %s: %s", m->path, err_text(known));
    if (known)
        return j->adopt ? journal_redo(m, j->b) : 0;
    return j->adopt ? rebuild_bck(m, j->b, &n, j->e) : mark_known(m, j->b->bid);
}

/* On the committer, so that no transaction of the index overlaps. */
static int
bck_open_fn(struct cjob *c)
{
    return bck_open_on(c->m, c->arg);
}

static int
bck_open_all(struct store *s, const struct bck *b, bool adopt, struct err *e)
{
    struct bck_job j = { .s = s, .b = b, .e = e, .adopt = adopt };
    int            rc = 0;

    for (unsigned i = 0; rc == 0 && i < s->n; i++) {
        struct cjob c = { .op = COP_FN, .m = s->mpaths[i], .fn = bck_open_fn, .arg = &j, .b = b };

        if (s->mpaths[i] != NULL)
            rc = commit_call(&c);
    }
    return rc;
}

int
store_bck_create(struct store *s, const struct bck *b, struct err *e)
{
    return bck_open_all(s, b, false, e);
}

int
store_bck_adopt(struct store *s, const struct bck *b, struct err *e)
{
    return bck_open_all(s, b, true, e);
}

struct forget {
    struct store *s;
    uint64_t      bid;
};

static int
forget_some(struct cjob *c)
{
    struct index_txn *t;
    bool              left = false;
    int               rc = index_begin(c->m->index, &t);

    if (rc < 0)
        return rc;
    rc = index_del_some(t, *(uint64_t *)c->arg, 20000, &left);
    if (rc == 0 && !left)
        rc = index_bck_mark(t, *(uint64_t *)c->arg, false);
    if (rc < 0) {
        index_abort(t);
        return rc;
    }
    rc = index_commit(t);
    return rc < 0 ? rc : left;
}

/* Rows of a destroyed bucket go in pieces, so that commits of other buckets get in between. */
static void
forget_blocking(void *arg)
{
    struct forget *f = arg;

    for (unsigned i = 0; i < f->s->n; i++) {
        int rc = 1;

        while (f->s->mpaths[i] != NULL && rc > 0) {
            struct cjob c = { .op = COP_FN, .m = f->s->mpaths[i], .fn = forget_some, .arg = &f->bid };

            rc = commit_call(&c);
        }
    }
    atomic_fetch_sub(&f->s->trash_busy, 1);
    free(f);
}

static int
destroy_fn(struct cjob *c)
{
    char path[FQN_MAX];

    if (layout_bck(c->m->path, c->b, path) > 0)
        trash_dir(c->m, path);
    return 0;
}

int
store_bck_destroy(struct store *s, const struct bck *b, struct err *e)
{
    struct forget *f = xmalloc(sizeof(*f));
    int            rc = 0;

    for (unsigned i = 0; i < s->n; i++) {
        struct cjob c = { .op = COP_FN, .m = s->mpaths[i], .fn = destroy_fn, .b = b };

        if (s->mpaths[i] != NULL)
            rc = commit_call(&c);
    }
    cache_drop_bck(s, b->bid);
    *f = (struct forget){ .s = s, .bid = b->bid };
    atomic_fetch_add(&s->trash_busy, 1);
    offload_async(s->run, forget_blocking, f);
    trash_sweep(s);
    return rc < 0 ? err_fill(e, rc) : 0;
}

/* --- listing --- */

/* Rows of one mountpath, read ahead. */
struct lsrc {
    struct mpath *m;
    struct sbuf   rows;
    size_t        at;
    struct str    name, value;   /* the present row */
    char          last[OBJ_NAME_MAX + 1]; /* name of the last row of the batch before */
    bool          have, more, done;
};

struct list_cur {
    struct store *s;
    uint64_t      bid;
    struct arena *a;
    struct str    prefix;
    unsigned      n, cur;
    bool          began;
    struct lent   ent;
    struct lsrc   src[];
};

struct fetch {
    struct list_cur *c;
    struct lsrc     *l;
    struct str       from;
    bool             after;
    int              rc;
};

static void
fetch_blocking(void *arg)
{
    struct fetch *f = arg;
    unsigned      n;

    sbuf_reset(&f->l->rows);
    f->l->at = 0;
    f->rc = index_scan(f->l->m->index, f->c->bid, f->c->prefix, f->from, f->after, LIST_BATCH, &f->l->rows, &n, &f->l->more);
}

/* The next row of the batch, if there is one. */
static bool
row_next(struct lsrc *l)
{
    uint32_t head[2];

    if (l->at + sizeof(head) > l->rows.n)
        return false;
    memcpy(head, l->rows.p + l->at, sizeof(head));
    l->name = str_from(l->rows.p + l->at + sizeof(head), head[0]);
    l->value = str_from(l->name.p + head[0], head[1]);
    l->at += sizeof(head) + head[0] + head[1];
    l->have = true;
    return true;
}

static int
src_fill(struct list_cur *c, struct lsrc *l, struct str from, bool after)
{
    struct fetch f = { .c = c, .l = l, .from = from, .after = after };

    l->have = false;
    offload(fetch_blocking, &f);
    if (f.rc < 0)
        return f.rc;
    if (!row_next(l))
        l->done = true;
    return 0;
}

static int
src_advance(struct list_cur *c, struct lsrc *l)
{
    struct str last = l->name;

    l->have = false;
    if (row_next(l))
        return 0;
    if (!l->more) {
        l->done = true;
        return 0;
    }
    (void)str_copyz(last, l->last, sizeof(l->last));
    return src_fill(c, l, str_z(l->last), true);
}

int
store_list_open(struct store *s, const struct bck *b, struct str prefix, struct str after, struct list_cur **out, struct err *e)
{
    struct list_cur *c = calloc(1, sizeof(*c) + s->n * sizeof(struct lsrc));
    int              rc = 0;

    if (c == NULL)
        return err_set(e, AIS_E_NOMEM, "out of memory");
    c->s = s;
    c->bid = b->bid;
    c->a = arena_new(256, 64 * KIB);
    c->prefix = arena_str(c->a, prefix);
    for (unsigned i = 0; i < s->n; i++) {
        struct lsrc *l = &c->src[c->n];

        if (s->mpaths[i] == NULL || atomic_load(&s->mpaths[i]->state) != MPATH_OK)
            continue;
        l->m = s->mpaths[i];
        sbuf_init(&l->rows, 64 * MIB);
        c->n++;
        rc = src_fill(c, l, after, after.n > 0);
        if (rc < 0)
            break;
    }
    if (rc < 0) {
        store_list_close(c);
        return err_set(e, -rc, "listing: %s", err_text(rc));
    }
    *out = c;
    return 0;
}

static int
to_lent(struct list_cur *c, struct lsrc *l)
{
    struct ientry en;
    struct lent  *t = &c->ent;
    int           rc = ientry_decode(l->value.p, l->value.n, &en);

    if (rc < 0)
        return rc;
    t->name = l->name;
    t->size = en.size;
    t->atime_ns = en.atime_ns;
    t->mtime_ns = en.mtime_ns;
    t->cksum = en.cksum;
    t->version = en.version;
    t->copies = en.copies;
    t->chunked = en.flags & IENT_CHUNKED;
    t->mpath = (uint16_t)l->m->idx;
    t->ncustom = en.ncustom;
    for (unsigned i = 0; i < en.ncustom; i++)
        t->custom[i] = en.custom[i];
    return 0;
}

int
store_list_next(struct list_cur *c, const struct lent **out, struct err *e)
{
    struct lsrc *best = NULL;
    int          rc;

    if (c->began) {
        rc = src_advance(c, &c->src[c->cur]);
        if (rc < 0)
            return err_set(e, -rc, "listing: %s", err_text(rc));
    }
    for (unsigned i = 0; i < c->n; i++) {
        if (c->src[i].done || (best != NULL && str_cmp(c->src[i].name, best->name) >= 0))
            continue;
        best = &c->src[i];
        c->cur = i;
    }
    c->began = best != NULL;
    if (best == NULL)
        return 0;
    rc = to_lent(c, best);
    if (rc < 0)
        return err_set(e, -rc, "listing: a row of the index is damaged: %.*s", STR_FMT(best->name));
    *out = &c->ent;
    return 1;
}

int
store_list_seek(struct list_cur *c, struct str key, struct err *e)
{
    char copy[OBJ_NAME_MAX + 8];

    (void)str_copyz(key, copy, sizeof(copy));
    key = str_z(copy);
    c->began = false;
    for (unsigned i = 0; i < c->n; i++) {
        struct lsrc *l = &c->src[i];
        int          rc = 0;

        /* Near: walk; far: ask the index. */
        while (!l->done && l->have && str_cmp(l->name, key) < 0) {
            if (!row_next(l)) {
                l->have = false;
                if (l->more)
                    rc = src_fill(c, l, key, false);
                else
                    l->done = true;
            }
        }
        if (rc < 0)
            return err_set(e, -rc, "listing: %s", err_text(rc));
    }
    return 0;
}

void
store_list_close(struct list_cur *c)
{
    if (c == NULL)
        return;
    for (unsigned i = 0; i < c->n; i++)
        sbuf_fini(&c->src[i].rows);
    arena_free(c->a);
    free(c);
}

int
store_bck_summary(struct store *s, const struct bck *b, struct str prefix, struct bck_sum *out, struct err *e)
{
    struct list_cur   *c;
    const struct lent *l;
    unsigned           n = 0;
    int                rc = store_list_open(s, b, prefix, STR_LIT(""), &c, e);

    if (rc < 0)
        return rc;
    *out = (struct bck_sum){ .min_size = UINT64_MAX };
    while ((rc = store_list_next(c, &l, e)) > 0) {
        out->objects++;
        out->bytes += l->size;
        out->on_disk += ALIGN_UP(l->size, (uint64_t)4096);
        out->min_size = MIN(out->min_size, l->size);
        out->max_size = MAX(out->max_size, l->size);
        if (++n % 4096 == 0)
            fiber_yield();
    }
    if (out->objects == 0)
        out->min_size = 0;
    store_list_close(c);
    return rc;
}

/* --- space and mountpaths --- */

const char *
store_mpath_path(const struct store *s, unsigned mpath)
{
    return mpath < s->n && s->mpaths[mpath] != NULL ? s->mpaths[mpath]->path : "";
}

static void
stat_blocking(void *arg)
{
    struct store *s = arg;

    for (unsigned i = 0; i < s->n; i++)
        if (s->mpaths[i] != NULL)
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
        if (s->mpaths[k] != NULL && atomic_load(&s->mpaths[k]->state) == MPATH_OK &&
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

        if (s->mpaths[i] == NULL || atomic_load(&s->mpaths[i]->state) != MPATH_OK)
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

/* Space as known, looked at again when that is old. */
bool
store_oos(struct store *s, struct store_cap *cap)
{
    int64_t now = loop_now(), at = atomic_load(&s->cap_at);

    if (now - at > CAP_TTL && atomic_compare_exchange_strong(&s->cap_at, &at, now))
        offload_async(s->run, stat_blocking, s);
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

        if (m == NULL)
            continue;
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
        if (s->mpaths[i] != NULL && str_eqz(path, s->mpaths[i]->path))
            return s->mpaths[i];
    return NULL;
}

static int
set_state(struct store *s, struct str path, enum mpath_state to, bool *was_noop, struct err *e)
{
    struct mpath *m = find_mpath(s, path);
    unsigned      ok = 0;

    if (m == NULL)
        return err_set(e, AIS_E_NOMPATH, "mountpath %.*s does not exist", STR_FMT(path));
    *was_noop = atomic_load(&m->state) == (int)to;
    if (*was_noop)
        return 0;
    for (unsigned i = 0; i < s->n; i++)
        ok += s->mpaths[i] != NULL && atomic_load(&s->mpaths[i]->state) == MPATH_OK;
    if (to != MPATH_OK && ok <= 1)
        return err_set(e, AIS_E_INVAL, "cannot disable %s: it is the last available mountpath", m->path);
    atomic_store(&m->state, to);
    cache_drop_bck(s, 0); /* placement changed; descriptors of the disabled one go */
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

int
store_mpath_attach(struct store *s, struct str path, struct str label, struct err *e)
{
    char          p[256], l[64];
    struct attach a = { .s = s, .path = p, .label = l, .e = e };
    struct mpath *m = find_mpath(s, path);

    if (m != NULL) {
        bool noop;

        if (atomic_load(&m->state) == MPATH_OK)
            return err_set(e, AIS_E_EXISTS, "mountpath %s is already attached", m->path);
        return set_state(s, path, MPATH_OK, &noop, e);
    }
    if (!str_copyz(path, p, sizeof(p)) || !str_copyz(label, l, sizeof(l)) || p[0] != '/')
        return err_set(e, AIS_E_INVAL, "bad mountpath \"%.*s\": an absolute path is needed", STR_FMT(path));
    for (unsigned i = 0; i < s->n; i++) {
        size_t n = s->mpaths[i] == NULL ? 0 : strlen(s->mpaths[i]->path);

        if (n > 0 && ((strncmp(p, s->mpaths[i]->path, n) == 0 && p[n] == '/') ||
                      (strncmp(p, s->mpaths[i]->path, strlen(p)) == 0 && s->mpaths[i]->path[strlen(p)] == '/')))
            return err_set(e, AIS_E_INVAL, "mountpath %s and mountpath %s are nested", p, s->mpaths[i]->path);
    }
    if (s->n == MAX_MPATHS)
        return err_set(e, AIS_E_INVAL, "no more than %u mountpaths", MAX_MPATHS);
    offload(attach_blocking, &a);
    if (a.rc < 0)
        return a.rc;
    pthread_mutex_lock(&s->mp_mtx);
    a.m->idx = s->n;
    s->mpaths[s->n] = a.m;
    s->n++;
    pthread_mutex_unlock(&s->mp_mtx);
    cache_drop_bck(s, 0);
    return 0;
}

struct rebuilding {
    const struct bck *b;
    uint64_t          n;
    struct err       *e;
};

int
store_mpath_rebuild(struct store *s, struct str path, uint64_t *objects, struct err *e)
{
    UNUSED(objects);
    if (find_mpath(s, path) == NULL)
        return err_set(e, AIS_E_NOMPATH, "mountpath %.*s does not exist", STR_FMT(path));
    return err_set(e, AIS_E_NOTIMPL, "rebuilding the index of a mountpath in use is not implemented: restart the target "
                                     "without the index directory to have it rebuilt");
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
                                 .rebuilt = atomic_load(&s->rebuilt) };
    for (unsigned i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&s->shards[i].mtx);
        out->cache_entries += s->shards[i].n;
        out->cache_fds += s->shards[i].fds;
        pthread_mutex_unlock(&s->shards[i].mtx);
    }
}

static int
flush_fn(struct cjob *c)
{
    if (syncfs(c->m->rootfd) < 0)
        return err_from_errno(errno);
    return index_sync(c->m->index);
}

int
store_flush(struct store *s, struct err *e)
{
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < s->n; i++) {
        struct cjob c = { .op = COP_FN, .m = s->mpaths[i], .fn = flush_fn };

        if (s->mpaths[i] != NULL)
            rc = commit_call(&c);
    }
    return rc < 0 ? err_set(e, -rc, "flush: %s", err_text(rc)) : 0;
}
