/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The committer of a mountpath: takes what was queued as one group, prepares each change, writes the group's record to the journal,
 * gives the files their names, changes rows and cache, and only then acknowledges.
 *
 * Runs on: the mountpath's committer thread. Blocks. See README.md, "A commit".
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"
#include "store/store_impl.h"

#define LEAVE_NAP  MSEC_NS(1)
#define LEAVE_WAIT MSEC_NS(100)

/* The counter follows the clock, so that the age of a tombstone can be told from it, and never goes back or stands. */
static uint64_t
counter_next(struct store *s)
{
    uint64_t was = atomic_load(&s->counter), now = (uint64_t)clock_real(), next;

    do
        next = MAX(was + 1, now);
    while (!atomic_compare_exchange_weak(&s->counter, &was, next));
    return next;
}

struct gen
gen_next(struct store *s)
{
    return (struct gen){ .epoch = atomic_load(&s->epoch),
                         .term = atomic_load(&s->term),
                         .smap_ver = atomic_load(&s->smap_ver),
                         .counter = counter_next(s) };
}

struct gen
gen_after(struct store *s, const struct gen *old)
{
    struct gen g = gen_next(s);

    if (old != NULL && gen_cmp(&g, old) <= 0) {
        g = *old;
        g.counter++;
    }
    return g;
}

void
gen_seen(struct store *s, const struct gen *g)
{
    uint64_t now = atomic_load(&s->counter);

    while (now <= g->counter && !atomic_compare_exchange_weak(&s->counter, &now, g->counter + 1))
        ;
}

void
entry_of(const struct obj *o, struct ientry *en)
{
    en->size = o->info.size;
    en->mtime_ns = o->info.mtime_ns;
    en->atime_ns = obj_info_atime(&o->info);
    en->cksum = o->info.cksum;
    en->gen = o->info.gen;
    en->version = o->info.version;
    en->copies = o->info.copies;
    en->flags = o->info.nchunks > 0 ? IENT_CHUNKED : 0;
    en->ncustom = o->info.ncustom;
    for (unsigned i = 0; i < o->info.ncustom; i++)
        en->custom[i] = o->info.custom[i];
}

/* --- the group's record --- */

/* In durable mode a small body rides in the record: one flush of the journal covers many of them. Side records do not ride. */
static bool
rides(const struct cjob *j)
{
    return j->op == COP_PUT && j->b->durable && j->small && !j->own.side;
}

static struct str
base_name(const char *path)
{
    return path == NULL ? STR_LIT("") : str_z(strrchr(path, '/') + 1);
}

/* clang-format off */
static const enum jop jops[COP_NOPS] = {
    [COP_PUT] = JOP_PUT, [COP_CHUNKED] = JOP_PUT, [COP_DELETE] = JOP_DELETE, [COP_TOMB] = JOP_DELETE, [COP_MOVED] = JOP_MOVED,
    [COP_CUSTOM] = JOP_SYNC, [COP_MOVE] = JOP_SYNC, [COP_FN] = JOP_SYNC,
};
/* clang-format on */

void
entry_of_stub(const struct cjob *j, struct ientry *en)
{
    entry_of(j->old, en);
    en->flags |= IENT_MOVED;
    en->moved_under = j->moved_under;
}

/* The row of a moved-stub goes with the record: nothing else knows it after a kill. */
static void
record_stub(struct mpath *m, struct cjob *j, struct jrec *r)
{
    struct ientry en;
    struct sbuf   row;

    entry_of_stub(j, &en);
    sbuf_init(&row, 128 * KIB);
    ientry_encode(&en, &row);
    r->meta = sbuf_str(&row);
    jrec_encode(r, &m->group);
    sbuf_fini(&row);
}

static void
record(struct mpath *m, struct cjob *j)
{
    struct jrec   r = { .op = jops[j->op], .bid = j->b->bid, .gen = j->gen, .name = j->name, .prev = base_name(j->prev) };
    unsigned char own[OWN_MAX], *raw;
    int           n;

    if (j->op == COP_MOVE) {
        r.prev = STR_LIT("");
        jrec_encode(&r, &m->group);
        r.name = j->to;
        r.prev = base_name(j->prev);
    }
    if (rides(j)) {
        raw = arena_alloc(m->arena, LMETA_MAX);
        n = raw == NULL ? -AIS_E_NOMEM : lmeta_encode(j->meta, raw);
        if (n > 0) {
            r.has_body = true;
            r.meta = str_from((char *)raw, (size_t)n);
            r.own = str_from((char *)own, own_encode(&j->own, own));
            r.body = str_from(j->data, j->n);
        }
    }
    if (j->op == COP_MOVED)
        record_stub(m, j, &r);
    else
        jrec_encode(&r, &m->group);
}

/* The disk is full, or rows pile up: let a checkpoint run, which gives a fresh segment and empties the overlay. seg_mtx is held. */
static void
wait_checkpoint_locked(struct mpath *m)
{
    struct timespec until;

    checkpoint_due(m);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 5;
    (void)pthread_cond_timedwait(&m->seg_cond, &m->seg_mtx, &until);
}

/*
 * A map that is not in force yet will be in a moment: that is no reason to send away who has sent a whole body. patience: how long this
 * group may still be held up, ns.
 */
static int
leave(const struct store_conf *c, const struct bck *b, struct str name, int64_t *patience)
{
    struct timespec nap = { .tv_nsec = LEAVE_NAP };
    int             rc = c->may_commit == NULL ? 0 : c->may_commit(c->may_ctx, b, name);

    for (; rc == -AIS_E_UNAVAIL && *patience > 0; *patience -= LEAVE_NAP) {
        (void)nanosleep(&nap, NULL);
        rc = c->may_commit(c->may_ctx, b, name);
    }
    return rc;
}

static int
leave_for(const struct store_conf *c, const struct cjob *j, int64_t *patience)
{
    int rc;

    if (j->op == COP_MOVED)
        return c->may_move == NULL ? 0 : c->may_move(c->may_ctx, j->b, j->name);
    if (j->peer || (j->attrs != NULL && j->attrs->from_peer))
        return 0;
    rc = leave(c, j->b, j->name, patience);
    return rc == 0 && j->op == COP_MOVE ? leave(c, j->b, j->to, patience) : rc;
}

/* May the changes of the group become visible? As late as can be, but before the journal has them. */
static void
ask_leave(struct mpath *m, struct wjobs *batch)
{
    const struct store_conf *c = &m->store->conf;
    struct wjob             *w;
    int64_t                  patience = LEAVE_WAIT;

    STAILQ_FOREACH(w, batch, link)
    {
        struct cjob *j = CONTAINER_OF(w, struct cjob, w);

        if (!j->ready || j->noop || j->op == COP_FN)
            continue;
        j->rc = leave_for(c, j, &patience);
        if (j->rc == 0)
            continue;
        j->rc = err_set(&j->e, -j->rc, "%.*s: %s", STR_FMT(j->name), err_text(j->rc));
        j->ready = false;
        job_undo(j);
    }
}

/* False: there is nothing to record. */
static bool
group_make(struct mpath *m, struct wjobs *batch, bool *flush)
{
    struct wjob *w;
    bool         any = false;

    ask_leave(m, batch);
    *flush = false;
    jgroup_begin(&m->group);
    STAILQ_FOREACH(w, batch, link)
    {
        struct cjob *j = CONTAINER_OF(w, struct cjob, w);

        if (!j->ready || j->op == COP_FN || j->noop)
            continue;
        record(m, j);
        any = true;
        *flush |= rides(j);
    }
    jgroup_end(&m->group, m->journal.seg.nr, m->journal.salt);
    return any;
}

static int
journal_group(struct mpath *m, struct wjobs *batch, bool *flush)
{
    int rc;

    if (!group_make(m, batch, flush))
        return 0;
    rc = journal_append(&m->journal, &m->group);
    if (rc == -AIS_E_NOSPACE) {
        wait_checkpoint_locked(m);
        if (!group_make(m, batch, flush)) /* that took long: leave is asked for again */
            return 0;
        rc = journal_append(&m->journal, &m->group);
    }
    if (rc == 0 && *flush)
        rc = journal_flush(&m->journal);
    atomic_fetch_add_explicit(&m->store->journal_bytes, m->group.n, memory_order_relaxed);
    return rc;
}

/* --- groups --- */

/*
 * May the object be changed here? While a body was on its way its bucket may have been destroyed, or mountpaths have come and gone, so
 * that nobody would look for the object here: then nothing is acknowledged.
 */
static int
belongs(struct mpath *m, struct cjob *j)
{
    if (atomic_load(&m->state) == MPATH_FAILED)
        return err_set(&j->e, AIS_E_IO, "mountpath %s failed", m->path);
    if (atomic_load(&m->shut))
        return err_set(&j->e, AIS_E_UNAVAIL, "%.*s: mountpaths have changed, try again", STR_FMT(j->name));
    if (bck_known(m->store, j->b->bid) == NULL)
        return err_set(&j->e, AIS_E_NOBCK, "bucket %.*s does not exist", STR_FMT(j->b->name));
    if (!j->anywhere && mpath_of(m->store, j->b, j->name) != m)
        return err_set(&j->e, AIS_E_UNAVAIL, "%.*s: mountpaths have changed, try again", STR_FMT(j->name));
    return 0;
}

static void
prepare(struct mpath *m, struct cjob *j)
{
    j->ready = true;
    j->e.code = 0;
    if (j->op == COP_FN) {
        j->ready = !atomic_load(&m->shut);
        j->rc = j->ready ? 0 : -AIS_E_NOMPATH;
        return;
    }
    j->rc = belongs(m, j);
    if (j->rc == 0)
        j->rc = cop_defs[j->op].prepare(j);
    j->ready = j->rc == 0;
    if (!j->ready)
        job_undo(j);
}

static void
apply(struct cjob *j)
{
    j->rc = cop_defs[j->op].apply(j);
    if (j->rc < 0) {
        job_undo(j);
        return;
    }
    if (cop_defs[j->op].finish == NULL)
        return;
    j->rc = cop_defs[j->op].finish(j);
    if (j->rc < 0)
        (void)job_fail(j, j->rc, "row");
    j->m->dirty = true;
}

/* From the record to the rows: one epoch. */
static void
change_all(struct mpath *m, struct wjobs *batch, bool *flush)
{
    struct wjob *w;
    bool         flushed = false;
    int          rc;

    pthread_mutex_lock(&m->seg_mtx);
    if (rows_bytes(m->rows) > OVERLAY_MAX)
        wait_checkpoint_locked(m);
    rc = journal_group(m, batch, &flushed);
    FAIL_POINT("commit.after_journal", (void)0);
    STAILQ_FOREACH(w, batch, link)
    {
        struct cjob *j = CONTAINER_OF(w, struct cjob, w);

        if (!j->ready || j->noop)
            continue;
        if (rc < 0 && j->op != COP_FN) {
            j->rc = job_fail(j, rc, "journal");
            job_undo(j);
            continue;
        }
        apply(j);
        *flush |= j->rc == 0 && j->op != COP_FN && j->b->durable && !rides(j);
    }
    FAIL_POINT("commit.before_ack", (void)0);
    if (m->journal.seg.at > SEGMENT_MAX)
        checkpoint_due(m);
    pthread_mutex_unlock(&m->seg_mtx);
}

static void
publish(struct cjob *j)
{
    if (j->op == COP_FN || j->noop || j->rc < 0)
        return;
    if (j->op == COP_MOVE || j->op == COP_DELETE || j->op == COP_MOVED || j->op == COP_TOMB)
        cache_drop(j->m->store, j->b->bid, j->name);
    if (j->home) /* hot or not: the next reader will tell */
        cache_drop(j->m->store, j->b->bid, j->name);
    else if (j->out != NULL)
        cache_put(j->out, 0);
}

void
commit_batch(void *ctx, struct wjobs *batch)
{
    struct mpath *m = ctx;
    struct wjob  *w;
    bool          flush = false;
    int           rc = 0;

    arena_reset(m->arena);
    STAILQ_FOREACH(w, batch, link)
        prepare(m, CONTAINER_OF(w, struct cjob, w));
    change_all(m, batch, &flush);
    FAIL_POINT("disk.syncfs", rc = failpoint_error(-AIS_E_IO));
    if (flush && rc == 0 && syncfs(m->rootfd) < 0)
        rc = err_from_errno(errno);
    STAILQ_FOREACH(w, batch, link)
    {
        struct cjob *j = CONTAINER_OF(w, struct cjob, w);

        publish(j);
        if (rc < 0 && j->rc == 0 && j->op != COP_FN && j->b->durable && !rides(j))
            j->rc = job_fail(j, rc, "cannot flush");
        obj_close(j->old);
        obj_close(j->over);
        obj_close(j->away);
        j->old = j->over = j->away = NULL;
    }
    atomic_fetch_add_explicit(&m->store->groups, 1, memory_order_relaxed);
    worker_done_all(batch, 0);
}

int
commit_call(struct cjob *j)
{
    atomic_fetch_add_explicit(&j->m->store->commits, 1, memory_order_relaxed);
    (void)worker_call(j->m->committer, &j->w);
    return j->rc;
}

int
commit_fn(struct mpath *m, int (*fn)(struct cjob *j), void *arg)
{
    struct cjob j = { .op = COP_FN, .m = m, .fn = fn, .arg = arg };

    (void)worker_call(m->committer, &j.w);
    return j.rc;
}
