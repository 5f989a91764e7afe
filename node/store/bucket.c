/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buckets of the store: folders, adoption at the start, destruction.
 *
 * Runs on: fibers; what blocks goes to committers and to the offload pool.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"
#include "store/store_impl.h"

/* --- what we were told --- */

static struct known_bck *
known_locked(struct store *s, uint64_t bid)
{
    struct known_bck *k = s->bcks;

    while (k != NULL && k->b.bid != bid)
        k = k->next;
    return k;
}

const struct bck *
bck_known(struct store *s, uint64_t bid)
{
    struct known_bck *k;

    pthread_mutex_lock(&s->mp_mtx);
    k = known_locked(s, bid);
    pthread_mutex_unlock(&s->mp_mtx);
    return k == NULL ? NULL : &k->b;
}

struct bck *
bcks_now(struct store *s, unsigned *count)
{
    struct bck *all;
    unsigned    n = 0;

    pthread_mutex_lock(&s->mp_mtx);
    for (const struct known_bck *k = s->bcks; k != NULL; k = k->next)
        n++;
    all = xcalloc(n + 1, sizeof(*all));
    *count = n;
    for (const struct known_bck *k = s->bcks; k != NULL; k = k->next)
        all[--n] = k->b;
    pthread_mutex_unlock(&s->mp_mtx);
    return all;
}

static void
know(struct store *s, const struct bck *b)
{
    const struct str  part[] = { b->name, b->ns_uuid, b->ns_name };
    struct known_bck *k = xcalloc(1, sizeof(*k) + b->name.n + b->ns_uuid.n + b->ns_name.n);
    struct str       *to[] = { &k->b.name, &k->b.ns_uuid, &k->b.ns_name };
    char             *at = k->mem;

    k->b = *b;
    for (size_t i = 0; i < ARRAY_SIZE(part); i++) {
        *to[i] = str_from(at, part[i].n);
        if (part[i].n > 0)
            memcpy(at, part[i].p, part[i].n);
        at += part[i].n;
    }
    pthread_mutex_lock(&s->mp_mtx);
    if (known_locked(s, b->bid) == NULL) {
        k->next = s->bcks;
        s->bcks = k;
        k = NULL;
    }
    pthread_mutex_unlock(&s->mp_mtx);
    free(k);
}

static void
unknow(struct store *s, uint64_t bid)
{
    struct known_bck **at, *k = NULL;

    pthread_mutex_lock(&s->mp_mtx);
    for (at = &s->bcks; *at != NULL && (*at)->b.bid != bid; at = &(*at)->next)
        ;
    if (*at != NULL) { /* somebody may be using it: kept until the store closes */
        k = *at;
        *at = k->next;
        k->next = s->bcks_gone;
        s->bcks_gone = k;
    }
    pthread_mutex_unlock(&s->mp_mtx);
}

/* --- folders and adoption --- */

/*
 * A bucket's folder carries its id, the recovery epoch and the cluster that this is of: of two buckets that had the same name one after the other
 * it tells whose folder it is. None: Go AIStore made it, or we did before there were stamps.
 */
#define BID_XATTR "user.ais.bid"

struct stamp {
    uint32_t epoch;
    uint64_t bid;
    char     cluster[40];
};

/* What a folder of that bucket carries when it is made now. */
static struct stamp
stamp_now(struct store *s, uint64_t bid)
{
    struct stamp t = { .epoch = atomic_load(&s->epoch), .bid = bid };

    pthread_mutex_lock(&s->mp_mtx);
    memcpy(t.cluster, s->cluster, sizeof(t.cluster));
    pthread_mutex_unlock(&s->mp_mtx);
    return t;
}

/* False: no stamp, or no folder. */
static bool
stamp_get(const char *dir, struct stamp *t)
{
    char       text[128];
    ssize_t    n = getxattr(dir, BID_XATTR, text, sizeof(text));
    struct str rest = str_from(text, n > 0 ? (size_t)n : 0), part;
    uint64_t   epoch;

    *t = (struct stamp){ .epoch = 0 };
    if (!str_split(&rest, ' ', &part) || !str_u64(part, &epoch) || epoch > UINT32_MAX || !str_split(&rest, ' ', &part) ||
        !str_u64(part, &t->bid))
        return false;
    t->epoch = (uint32_t)epoch;
    return str_copyz(rest, t->cluster, sizeof(t->cluster));
}

static int
stamp_set(const char *dir, const struct stamp *t)
{
    char text[128];
    int  n = snprintf(text, sizeof(text), "%u %llu %s", t->epoch, (unsigned long long)t->bid, t->cluster);

    return setxattr(dir, BID_XATTR, text, (size_t)n, 0) < 0 ? err_from_errno(errno) : 0;
}

/* In the same history the id tells which one came first. */
static bool
same_history(const struct stamp *a, const struct stamp *b)
{
    return a->epoch == b->epoch && strcmp(a->cluster, b->cluster) == 0;
}

/*
 * What an earlier bucket of that name left here goes first: nothing of it must ever be taken for the new one's. What a cluster did not destroy,
 * as far as this one knows, is not removed.
 */
static int
folder_claim(struct mpath *m, const struct bck *b, struct err *e)
{
    struct stamp had, now = stamp_now(m->store, b->bid);
    char         path[FQN_MAX];
    int          rc = layout_bck(m->path, b, path);

    if (rc < 0 || !stamp_get(path, &had) || (had.bid == now.bid && strcmp(had.cluster, now.cluster) == 0))
        return 0;
    if (!same_history(&had, &now) || (had.bid & ~BID_AIS) > (now.bid & ~BID_AIS))
        return err_set(e, AIS_E_CONFLICT, "%s is of another bucket of that name (id %llx of cluster \"%s\", recovery epoch %u): move it away",
                       path, (unsigned long long)had.bid, had.cluster, had.epoch);
    log_warn("the folder of an earlier bucket of that name is removed", { "path", LZ(path) });
    rc = trash_dir(m, path);
    return rc < 0 ? err_set(e, -rc, "cannot remove %s: %s", path, err_text(rc)) : 0;
}

static int
folder_stamp(struct mpath *m, const struct bck *b, struct err *e)
{
    struct stamp t;
    char         path[FQN_MAX];
    int          rc = layout_bck(m->path, b, path);

    if (rc < 0 || stamp_get(path, &t))
        return 0;
    t = stamp_now(m->store, b->bid);
    rc = stamp_set(path, &t);
    return rc < 0 ? err_set(e, -rc, "cannot stamp %s: %s", path, err_text(rc)) : 0;
}

void
store_set_cluster(struct store *s, const char *uuid)
{
    pthread_mutex_lock(&s->mp_mtx);
    snprintf(s->cluster, sizeof(s->cluster), "%s", uuid);
    pthread_mutex_unlock(&s->mp_mtx);
}

static int
bck_dirs(struct mpath *m, const struct bck *b, struct err *e)
{
    char path[FQN_MAX];

    FAIL_POINT("bck.dirs", return err_set(e, -failpoint_error(-AIS_E_IO), "fail point"));
    for (int ct = 0; ct < CT_NTYPES; ct++) {
        int rc = layout_ct(m->path, b, (enum ct)ct, path);

        if (rc > 0)
            rc = mkdirs(path);
        if (rc < 0)
            return err_set(e, -rc, "cannot make %s: %s", path, err_text(rc));
    }
    FAIL_POINT("bck.before_stamp", return err_set(e, -failpoint_error(-AIS_E_IO), "fail point"));
    return folder_stamp(m, b, e);
}

/* Left over from a process that is gone: nobody was answered. */
static void
sweep_work(struct mpath *m, const struct bck *b)
{
    char path[FQN_MAX];

    if (layout_ct(m->path, b, CT_WORK, path) < 0 || rmdir(path) == 0)
        return; /* nearly always empty */
    (void)trash_dir(m, path);
}

struct bck_job {
    const struct bck *b;
    struct err       *e;
    bool              adopt;
};

static int
mark_new(struct mpath *m, void *arg)
{
    const struct bck_job *j = arg;
    struct index_txn     *t;
    int                   rc = index_begin(m->index, &t);

    if (rc < 0)
        return rc;
    rc = index_mark(t, IMARK_BCK, j->b->bid, true);
    if (rc == 0)
        return index_commit(t);
    index_abort(t);
    return rc;
}

static int
adopt_on(struct mpath *m, struct bck_job *j)
{
    uint64_t n = 0;
    int      known = index_mark_get(m->index, IMARK_BCK, j->b->bid), rc;

    if (known < 0)
        return err_set(j->e, -known, "index of %s: %s", m->path, err_text(known));
    rc = recover_bck(m, j->b);
    if (rc < 0)
        return err_set(j->e, -rc, "journal of %s: %s", m->path, err_text(rc));
    if (!known || recover_is_blind(m, j->b))
        rc = rebuild_bck(m, j->b, known ? REBUILD_CHECK : REBUILD_ANEW, &n, j->e);
    sweep_work(m, j->b);
    if (rc == 0)
        rc = bck_dirs(m, j->b, j->e);
    return rc;
}

/* On the committer, so that nothing else happens to the bucket. */
static int
bck_open_fn(struct cjob *c)
{
    struct bck_job *j = c->arg;
    int             rc = folder_claim(c->m, j->b, j->e);

    if (rc < 0)
        return rc;
    return j->adopt && !atomic_load(&c->m->adopted) ? adopt_on(c->m, j) : bck_dirs(c->m, j->b, j->e);
}

static int
open_on(struct mpath *m, struct bck_job *j)
{
    int rc;

    if (atomic_load(&m->state) == MPATH_FAILED || atomic_load(&m->shut))
        return 0;
    rc = commit_fn(m, bck_open_fn, j);
    if (rc == 0 && !(j->adopt && !atomic_load(&m->adopted))) {
        rc = checkpoint_call(m, mark_new, j);
        if (rc < 0)
            err_set(j->e, -rc, "index of %s: %s", m->path, err_text(rc));
    }
    return rc;
}

struct open_child {
    struct mpath  *m;
    struct bck_job j;
    struct err     e;
    int            rc;
};

static int
open_child(void *arg)
{
    struct open_child *c = arg;

    c->rc = open_on(c->m, &c->j);
    return 0;
}

/* A new bucket on all mountpaths at once: each has folders to make and an index to flush. */
static int
open_new(struct store *s, const struct bck *b, struct err *e)
{
    unsigned           i, n = s->n; /* those that are attached meanwhile open what is known by themselves */
    struct open_child *c = xcalloc(MAX(n, 1u), sizeof(*c));
    struct group       g;
    int                rc = 0;

    fiber_shield(); /* the jobs are the mountpaths' until they are done */
    group_init(&g, false);
    for (i = 0; i < n; i++) {
        err_clear(&c[i].e);
        c[i].m = s->mpaths[i];
        c[i].j = (struct bck_job){ .b = b, .e = &c[i].e };
        if (group_start(&g, "bucket", open_child, &c[i]) < 0)
            (void)open_child(&c[i]);
    }
    (void)group_wait(&g);
    fiber_unshield();
    for (i = 0; rc == 0 && i < n; i++) {
        rc = c[i].rc;
        if (rc < 0 && e != NULL)
            *e = c[i].e;
    }
    free(c);
    return rc;
}

static int
open_all(struct store *s, const struct bck *b, bool adopt, struct err *e)
{
    struct bck_job j = { .b = b, .e = e, .adopt = adopt };
    int            rc = 0;

    know(s, b);
    if (!adopt && fiber_self() != NULL)
        return open_new(s, b, e);
    for (unsigned i = 0; rc == 0 && i < s->n; i++) {
        rc = open_on(s->mpaths[i], &j);
        if (rc == 0 && adopt && mpath_readable(s->mpaths[i]))
            rc = mpt_recover(s, b, s->mpaths[i]);
    }
    return rc;
}

int
bck_adopt_on(struct mpath *m, const struct bck *b, struct err *e)
{
    struct bck_job j = { .b = b, .e = e, .adopt = true };

    return open_on(m, &j);
}

int
store_bck_create(struct store *s, const struct bck *b, struct err *e)
{
    return open_all(s, b, false, e);
}

int
store_bck_adopt(struct store *s, const struct bck *b, struct err *e)
{
    return open_all(s, b, true, e);
}

/* --- the end of adoption --- */

/* Folders of buckets that nobody told us of: logged and left alone. */
static void
log_strangers(struct mpath *m)
{
    char           dir[300];
    DIR           *d;
    struct dirent *de;
    unsigned       n = 0, known = 0;

    snprintf(dir, sizeof(dir), "%s/@ais", m->path);
    d = opendir(dir);
    while (d != NULL && (de = readdir(d)) != NULL)
        n += de->d_name[0] != '.' && de->d_name[0] != '#' && de->d_name[0] != '@';
    if (d != NULL)
        closedir(d);
    pthread_mutex_lock(&m->store->mp_mtx);
    for (const struct known_bck *k = m->store->bcks; k != NULL; k = k->next)
        known += k->b.provider == PROV_AIS && k->b.ns_name.n == 0 && k->b.ns_uuid.n == 0;
    pthread_mutex_unlock(&m->store->mp_mtx);
    if (n > known)
        log_warn("buckets on disk that the cluster does not know are left alone", { "mountpath", LZ(m->path) },
                 { "how_many", LU64(n - known) });
}

static int
adopted_fn(struct cjob *c)
{
    struct mpath *m = c->m;
    int           rc;

    recover_done(m);
    /* Rows of recovery first: only then are the old segments not needed any more. */
    rc = checkpoint_call(m, checkpoint_fold_now, NULL);
    if (rc < 0)
        return rc;
    journal_forget_old(&m->journal);
    m->unclean = false;
    atomic_store(&m->adopted, true);
    log_strangers(m);
    return 0;
}

static void forget_strangers(struct store *s, struct mpath *m);

int
mpath_adopted(struct mpath *m)
{
    int rc = atomic_load(&m->adopted) ? 0 : commit_fn(m, adopted_fn, NULL);

    if (rc == 0)
        forget_strangers(m->store, m);
    return rc;
}

int
store_adopted(struct store *s, struct err *e)
{
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < s->n; i++)
        if (mpath_readable(s->mpaths[i]))
            rc = mpath_adopted(s->mpaths[i]);
    trash_sweep(s);
    return rc < 0 ? err_set(e, -rc, "recovery: %s", err_text(rc)) : 0;
}

/* --- destruction --- */

struct forgetting {
    uint64_t bid;
    bool     left;
};

/* Checkpoint thread: the bucket's rows go in pieces, so that checkpoints get in between. */
static int
forget_some(struct mpath *m, void *arg)
{
    struct forgetting *f = arg;
    struct index_txn  *t;
    int                rc = index_begin(m->index, &t);

    if (rc < 0)
        return rc;
    rc = index_del_some(t, f->bid, 20000, &f->left);
    if (rc == 0 && !f->left)
        rc = index_mark(t, IMARK_BCK, f->bid, false);
    if (rc == 0)
        return index_commit(t);
    index_abort(t);
    return rc;
}

static void
forget_rows(struct mpath *m, uint64_t bid)
{
    struct forgetting f = { .bid = bid, .left = true };
    int               rc = checkpoint_call(m, checkpoint_run, NULL); /* what the overlay still has of it */

    while (rc == 0 && f.left)
        rc = checkpoint_call(m, forget_some, &f);
    if (rc < 0)
        log_warn("rows of a destroyed bucket are left", { "mountpath", LZ(m->path) }, { "error", LZ(err_text(rc)) });
}

struct forget {
    struct forget *next;
    struct mpath  *m; /* NULL: all */
    uint64_t       bid;
};

static struct forget *
forget_next(struct store *s)
{
    struct forget *f;

    pthread_mutex_lock(&s->mp_mtx);
    f = s->forgets;
    if (f != NULL)
        s->forgets = f->next;
    s->forgetting = f != NULL;
    pthread_mutex_unlock(&s->mp_mtx);
    return f;
}

static void
forget_blocking(void *arg)
{
    struct store  *s = arg;
    struct forget *f;

    while ((f = forget_next(s)) != NULL) {
        for (unsigned i = 0; i < s->n; i++)
            if ((f->m == NULL || f->m == s->mpaths[i]) && mpath_readable(s->mpaths[i]))
                forget_rows(s->mpaths[i], f->bid);
        free(f);
    }
    atomic_fetch_sub(&s->trash_busy, 1);
}

/* One bucket after the other, on one thread of the pool. */
static void
forget_start(struct store *s, struct mpath *m, uint64_t bid)
{
    struct forget *f = xmalloc(sizeof(*f));
    bool           runs;

    pthread_mutex_lock(&s->mp_mtx);
    *f = (struct forget){ .next = s->forgets, .m = m, .bid = bid };
    s->forgets = f;
    runs = s->forgetting;
    s->forgetting = true;
    pthread_mutex_unlock(&s->mp_mtx);
    if (runs)
        return;
    atomic_fetch_add(&s->trash_busy, 1);
    offload_async(s->run, forget_blocking, s);
}

/* Rows of buckets that nobody told us of: destroyed while this process, or the one before, was away or busy with it. */
static void
forget_strangers(struct store *s, struct mpath *m)
{
    for (uint64_t bid = 0; index_mark_next(m->index, IMARK_BCK, &bid) == 1; bid++)
        if (bck_known(s, bid) == NULL)
            forget_start(s, m, bid);
}

static int
destroy_fn(struct cjob *c)
{
    const struct bck *b = c->arg;
    char              path[FQN_MAX];
    struct stamp      t;

    if (layout_bck(c->m->path, b, path) < 0 || (stamp_get(path, &t) && t.bid != b->bid))
        return 0; /* another bucket of that name */
    return trash_dir(c->m, path);
}

int
store_bck_destroy(struct store *s, const struct bck *b, struct err *e)
{
    int rc, first = 0;

    unknow(s, b->bid); /* before the folders go: what is committed later would make them again */
    for (unsigned i = 0; i < s->n; i++) {
        if (!mpath_readable(s->mpaths[i]))
            continue;
        rc = commit_fn(s->mpaths[i], destroy_fn, (void *)(uintptr_t)b);
        first = first < 0 ? first : rc;
    }
    cache_drop_all(s, b->bid, NULL);
    mpt_drop_bck(s, b->bid);
    forget_start(s, NULL, b->bid);
    trash_sweep(s);
    return first < 0 ? err_fill(e, first) : 0;
}

/* --- what was destroyed and lies here still --- */
static void
sweep_folder(struct mpath *m, const char *path, uint64_t bmd_ver)
{
    struct stamp t, now = stamp_now(m->store, 0);

    if (!stamp_get(path, &t) || !same_history(&t, &now) || (t.bid & ~BID_AIS) > bmd_ver || bck_known(m->store, t.bid) != NULL)
        return;
    log_warn("the folder of a bucket that was destroyed is removed", { "path", LZ(path) });
    (void)trash_dir(m, path);
}

/* Folders in dir, and in those of namespaces: their names begin with '@' or '#'. */
static void
sweep_folders(struct mpath *m, const char *dir, bool top, uint64_t bmd_ver)
{
    DIR           *d = opendir(dir);
    struct dirent *de;
    char           path[FQN_MAX];

    while (d != NULL && (de = readdir(d)) != NULL) {
        if (de->d_name[0] == '.' || snprintf(path, sizeof(path), "%s/%s", dir, de->d_name) >= FQN_MAX)
            continue;
        if (top && (de->d_name[0] == '@' || de->d_name[0] == '#'))
            sweep_folders(m, path, false, bmd_ver);
        else
            sweep_folder(m, path, bmd_ver);
    }
    if (d != NULL)
        closedir(d);
}

static int
sweep_fn(struct cjob *c)
{
    char dir[FQN_MAX];

    for (int p = 0; p < PROV_NPROVS; p++) {
        snprintf(dir, sizeof(dir), "%s/@%s", c->m->path, provider_name((enum provider)p));
        sweep_folders(c->m, dir, true, *(const uint64_t *)c->arg);
    }
    return 0;
}

void
store_bck_sweep(struct store *s, uint64_t bmd_ver)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (atomic_load(&s->mpaths[i]->state) == MPATH_OK)
            (void)commit_fn(s->mpaths[i], sweep_fn, &bmd_ver);
    }
    trash_sweep(s);
}

void
bck_fini(struct store *s)
{
    struct known_bck *k;

    while (s->bcks != NULL)
        unknow(s, s->bcks->b.bid);
    while ((k = s->bcks_gone) != NULL) {
        s->bcks_gone = k->next;
        free(k);
    }
}
