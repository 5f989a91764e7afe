/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpoint thread of a mountpath: closes the epoch, brings it to stable storage, folds its rows into the index, and then
 * removes what was kept for the case that it had failed. The only writer of the index. README.md, "Epochs".
 *
 * Runs on: its own thread, once a second while there were commits. Blocks.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"
#include "store/store_impl.h"

#define TOMBS_AT_ONCE 2000
#define CHECK_NS      SEC_NS(10)

/* --- what waits for stable storage --- */

void
later_add(struct mpath *m, const char *path, const char *to, uint64_t in_use)
{
    size_t        n = strlen(path) + 1, k = to == NULL ? 0 : strlen(to) + 1;
    struct later *l = xmalloc(sizeof(*l) + n + k);

    l->in_use = in_use;
    memcpy(l->path, path, n);
    l->to = NULL;
    if (to != NULL) {
        l->to = l->path + n;
        memcpy(l->to, to, k);
    }
    STAILQ_INSERT_TAIL(&m->laters, l, link);
}

static void
later_do(const struct later *l)
{
    if (l->to == NULL) {
        (void)unlink(l->path);
    } else if (rename(l->path, l->to) < 0 && errno == ENOENT) {
        if (mkdirs_parent(l->to) == 0)
            (void)rename(l->path, l->to);
    }
}

/* In order; what a reader still needs goes to the next epoch's list. */
static void
laters_do(struct mpath *m, struct laters *list)
{
    struct laters kept = STAILQ_HEAD_INITIALIZER(kept);
    struct later *l;

    while ((l = STAILQ_FIRST(list)) != NULL) {
        STAILQ_REMOVE_HEAD(list, link);
        if (l->in_use != 0 && parts_in_use(m->store, l->in_use)) {
            STAILQ_INSERT_TAIL(&kept, l, link);
            continue;
        }
        later_do(l);
        free(l);
    }
    if (STAILQ_EMPTY(&kept))
        return;
    pthread_mutex_lock(&m->seg_mtx);
    STAILQ_CONCAT(&kept, &m->laters);
    STAILQ_CONCAT(&m->laters, &kept);
    m->dirty = true;
    pthread_mutex_unlock(&m->seg_mtx);
}

/* --- checkpoints --- */

/* Close the epoch. 1: there was something; 0: nothing; or an error, and nothing has changed. */
static int
epoch_close(struct mpath *m)
{
    int rc;

    pthread_mutex_lock(&m->seg_mtx);
    rc = !m->dirty ? 0 : journal_rotate(&m->journal, &m->closed);
    if (m->dirty && rc == 0) {
        rows_freeze(m->rows);
        STAILQ_INIT(&m->closed_laters);
        STAILQ_CONCAT(&m->closed_laters, &m->laters);
        m->dirty = false;
        m->closing = true;
        m->closed_at = clock_real();
        rc = 1;
    }
    pthread_mutex_unlock(&m->seg_mtx);
    return rc;
}

static int
fold(struct mpath *m)
{
    const struct rows_note notes[] = { { "counter", atomic_load(&m->store->counter) }, { "closed_at", (uint64_t)m->closed_at } };
    int                    rc = rows_fold(m->rows, notes, ARRAY_SIZE(notes));

    if (rc == -AIS_E_NOSPACE && reserve_free(m))
        rc = rows_fold(m->rows, notes, ARRAY_SIZE(notes));
    return rc;
}

/* Bring the closed epoch to stable storage; it stays closed until that has succeeded. */
static int
epoch_settle(struct mpath *m)
{
    int rc = 0;

    FAIL_POINT("checkpoint.sync", return failpoint_error(-AIS_E_IO));
    if (syncfs(m->rootfd) < 0)
        return err_from_errno(errno);
    FAIL_POINT("checkpoint.fold", return failpoint_error(-AIS_E_IO));
    rc = fold(m);
    if (rc < 0)
        return rc;
    FAIL_POINT("checkpoint.done", (void)0);
    rows_thaw(m->rows);
    laters_do(m, &m->closed_laters);
    pthread_mutex_lock(&m->seg_mtx);
    journal_release(&m->journal, &m->closed);
    m->closing = false;
    pthread_mutex_unlock(&m->seg_mtx);
    reserve_make(m);
    atomic_fetch_add_explicit(&m->store->checkpoints, 1, memory_order_relaxed);
    return 0;
}

/* Also while something that is older may come back: from a mountpath that is away, or from another one that nobody has looked through. */
static bool
tombs_held(struct store *s)
{
    bool held = atomic_load(&s->tomb_hold) || atomic_load(&s->scattered);

    for (unsigned i = 0; i < s->n && !held; i++) {
        int state = atomic_load(&s->mpaths[i]->state);

        held = state != MPATH_OK && state != MPATH_GONE;
    }
    return held;
}

static int
purge_tombs(struct mpath *m)
{
    struct index_txn *t;
    int64_t           until = clock_real() - m->store->conf.tomb_ttl_ns;
    int               rc;

    if (tombs_held(m->store))
        return 0;
    rc = index_begin(m->index, &t);
    if (rc < 0)
        return rc;
    rc = index_purge_tombs(t, (uint64_t)MAX(until, (int64_t)0), TOMBS_AT_ONCE);
    if (rc == 0)
        return index_commit(t);
    index_abort(t);
    return rc;
}

int
checkpoint_run(struct mpath *m, void *unused)
{
    int rc = 0;

    UNUSED(unused);
    if (!atomic_load(&m->adopted) || atomic_load(&m->state) == MPATH_FAILED || m->journal.seg.fd < 0)
        return 0;
    if (index_failed(m->index))
        return -AIS_E_IO;
    if (m->closing)
        rc = epoch_settle(m);
    if (rc == 0)
        rc = epoch_close(m);
    if (rc == 1)
        rc = epoch_settle(m);
    pthread_mutex_lock(&m->seg_mtx);
    pthread_cond_broadcast(&m->seg_cond);
    pthread_mutex_unlock(&m->seg_mtx);
    if (rc < 0) {
        log_error("checkpoint failed", { "mountpath", LZ(m->path) }, { "error", LZ(err_text(rc)) });
        mpath_trouble(m, rc);
    }
    return rc;
}

int
checkpoint_fold_now(struct mpath *m, void *unused)
{
    int rc;

    UNUSED(unused);
    ASSERT(!m->closing);
    rows_freeze(m->rows);
    rc = rows_fold(m->rows, NULL, 0);
    if (rc == -AIS_E_NOSPACE && reserve_free(m))
        rc = rows_fold(m->rows, NULL, 0);
    rows_thaw(m->rows); /* what was not folded is folded after the next try: the journal and the files are still there */
    return rc;
}

/* --- the thread --- */

struct kjob {
    struct wjob   w;
    struct mpath *m;
    int         (*fn)(struct mpath *m, void *arg);
    void         *arg;
    int           rc;
};

int
checkpoint_call(struct mpath *m, int (*fn)(struct mpath *m, void *arg), void *arg)
{
    struct kjob k = { .m = m, .fn = fn, .arg = arg };

    (void)worker_call(m->checkpointer, &k.w);
    return k.rc;
}

void
checkpoint_due(struct mpath *m)
{
    if (!atomic_exchange(&m->tick_queued, true))
        worker_submit(m->checkpointer, &m->tick_job);
}

static void
look_around(struct mpath *m)
{
    int64_t now = clock_mono();

    if (now - m->checked_at < CHECK_NS || !mpath_readable(m))
        return;
    m->checked_at = now;
    mpath_stat(m);
    mpath_check(m);
    if (atomic_load(&m->adopted))
        (void)purge_tombs(m);
}

void
checkpoint_batch(void *ctx, struct wjobs *batch)
{
    struct mpath *m = ctx;
    struct wjob  *w, *next;
    struct kjob  *k;

    for (w = STAILQ_FIRST(batch); w != NULL; w = next) {
        next = STAILQ_NEXT(w, link);
        if (w == &m->tick_job) {
            atomic_store(&m->tick_queued, false);
            continue;
        }
        k = CONTAINER_OF(w, struct kjob, w);
        k->rc = k->fn(m, k->arg);
        worker_done(w, 0); /* its memory may be gone now */
    }
    (void)checkpoint_run(m, NULL);
    look_around(m);
}

void
checkpoint_init(struct mpath *m)
{
    pthread_condattr_t ca;

    MUST(pthread_mutex_init(&m->seg_mtx, NULL));
    MUST(pthread_condattr_init(&ca));
    MUST(pthread_condattr_setclock(&ca, CLOCK_MONOTONIC));
    MUST(pthread_cond_init(&m->seg_cond, &ca));
    MUST(pthread_condattr_destroy(&ca));
    STAILQ_INIT(&m->laters);
    STAILQ_INIT(&m->closed_laters);
    m->checked_at = clock_mono();
}

static void
laters_free(struct laters *list)
{
    struct later *l;

    while ((l = STAILQ_FIRST(list)) != NULL) {
        STAILQ_REMOVE_HEAD(list, link);
        free(l);
    }
}

void
checkpoint_fini(struct mpath *m)
{
    if (m->closing)
        fd_close(&m->closed.fd);
    laters_free(&m->laters);
    laters_free(&m->closed_laters);
    pthread_cond_destroy(&m->seg_cond);
    pthread_mutex_destroy(&m->seg_mtx);
}
