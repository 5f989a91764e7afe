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
#include <unistd.h>

#include "base/assert.h"
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

    if (layout_ct(m->path, b, CT_WORK, path) < 0 || rmdir(path) == 0)
        return; /* nearly always empty */
    trash_dir(m, path);
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
    if (!known)
        rc = rebuild_bck(m, j->b, true, &n, j->e);
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
    int             rc;

    rc = j->adopt && !atomic_load(&c->m->adopted) ? adopt_on(c->m, j) : bck_dirs(c->m, j->b, j->e);
    return rc;
}

static int
open_on(struct mpath *m, struct bck_job *j)
{
    int rc;

    if (atomic_load(&m->state) == MPATH_FAILED)
        return 0;
    rc = commit_fn(m, bck_open_fn, j);
    if (rc == 0 && !(j->adopt && !atomic_load(&m->adopted))) {
        rc = checkpoint_call(m, mark_new, j);
        if (rc < 0)
            err_set(j->e, -rc, "index of %s: %s", m->path, err_text(rc));
    }
    return rc;
}

static int
open_all(struct store *s, const struct bck *b, bool adopt, struct err *e)
{
    struct bck_job j = { .b = b, .e = e, .adopt = adopt };
    int            rc = 0;

    know(s, b);
    for (unsigned i = 0; rc == 0 && i < s->n; i++) {
        rc = open_on(s->mpaths[i], &j);
        if (rc == 0 && adopt)
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
            if (f->m == NULL || f->m == s->mpaths[i])
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

    if (layout_bck(c->m->path, b, path) > 0)
        trash_dir(c->m, path);
    return 0;
}

int
store_bck_destroy(struct store *s, const struct bck *b, struct err *e)
{
    int rc, first = 0;

    unknow(s, b->bid); /* before the folders go: what is committed later would make them again */
    for (unsigned i = 0; i < s->n; i++) {
        if (atomic_load(&s->mpaths[i]->state) == MPATH_FAILED)
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
