/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access times on their way to the files: what is read from the cache changes the handle only, and a handle goes when the cache is full.
 *
 * An object that leaves the cache, and now and then one that stays, is queued when its file has an older time; a job of the pool writes
 * them. When more are queued than the disk takes, the rest is dropped: it is a hint for who evicts.
 *
 * Runs on: any thread; does not block but for atimes_write and atimes_wait.
 */
#include <sys/stat.h>
#include <time.h>

#include "base/util.h"
#include "store/store_impl.h"

#define QUEUE_MAX 1024          /* objects, each with a descriptor or more */
#define LEAVING_STEP SEC_NS(60) /* one that leaves: a smaller difference is not worth a write */
#define STAYING_STEP SEC_NS(3600)

static int
fd_of(const struct obj *o)
{
    return o->info.nchunks > 0 ? o->chunks[0].fd : atomic_load_explicit(&o->fd, memory_order_acquire);
}

/* Only a descriptor is certain to be this object's file. */
static bool
is_due(const struct obj *o, int64_t step)
{
    return obj_info_atime(&o->info) - __atomic_load_n(&o->atime_disk, __ATOMIC_RELAXED) > step && !o->stale && fd_of(o) >= 0;
}

void
atime_write(struct obj *o)
{
    int64_t         at = obj_info_atime(&o->info);
    struct timespec ts[2] = { { .tv_sec = at / NSEC_PER_SEC, .tv_nsec = at % NSEC_PER_SEC }, { .tv_nsec = UTIME_OMIT } };

    if (!is_due(o, LEAVING_STEP))
        return;
    if (futimens(fd_of(o), ts) == 0)
        __atomic_store_n(&o->atime_disk, at, __ATOMIC_RELAXED);
}

static void
write_blocking(void *arg)
{
    struct store *s = arg;
    struct obj   *o;

    for (;;) {
        pthread_mutex_lock(&s->at_mtx);
        o = s->at_n > 0 ? s->at_queue[--s->at_n] : NULL;
        s->at_writing = o != NULL;
        pthread_mutex_unlock(&s->at_mtx);
        if (o == NULL)
            break;
        atime_write(o);
        obj_close(o);
    }
    atomic_fetch_sub(&s->trash_busy, 1);
}

/* Takes the reference. */
static void
queue(struct store *s, struct obj *o)
{
    bool start = false, full;

    pthread_mutex_lock(&s->at_mtx);
    full = s->at_n == QUEUE_MAX || atomic_load(&s->stopping);
    if (!full) {
        if (s->at_queue == NULL)
            s->at_queue = xcalloc(QUEUE_MAX, sizeof(*s->at_queue));
        s->at_queue[s->at_n++] = o;
        start = !s->at_writing;
        s->at_writing = true;
    }
    if (start)
        atomic_fetch_add(&s->trash_busy, 1); /* store_close waits */
    pthread_mutex_unlock(&s->at_mtx);
    if (full)
        obj_close(o);
    else if (start)
        offload_async(s->run, write_blocking, s);
}

void
atime_leaving(struct obj *o)
{
    if (is_due(o, LEAVING_STEP) && !atomic_load(&o->store->stopping))
        return queue(o->store, o);
    if (loop_self() == NULL) /* the store is being closed */
        atime_write(o);
    obj_close(o);
}

void
atime_staying(struct obj *o)
{
    if (!is_due(o, STAYING_STEP))
        return;
    __atomic_store_n(&o->atime_disk, obj_info_atime(&o->info) - LEAVING_STEP - 1, __ATOMIC_RELAXED); /* queued once */
    queue(o->store, obj_ref(o));
}

struct noting {
    const struct bck *b;
    const struct obj *o;
};

/* Committer. */
static int
note_on(struct cjob *c)
{
    const struct noting *t = c->arg;
    struct ientry        en;
    struct sbuf          v;
    int                  rc;

    sbuf_init(&v, 128 * KIB);
    rc = rows_get(c->m->rows, t->b->bid, t->o->name, &v);
    if (rc == 0)
        rc = ientry_decode(v.p, v.n, &en);
    if (rc == 0 && row_state(&en) == OBJ_HERE && gen_cmp(&en.gen, &t->o->info.gen) == 0) {
        en.atime_ns = MAX(en.atime_ns, obj_info_atime(&t->o->info));
        rc = rows_put(c->m->rows, t->b->bid, t->o->name, &en);
        c->m->dirty = true;
    }
    sbuf_fini(&v);
    return rc == -AIS_E_NOENT ? 0 : rc;
}

int
obj_note_atime(struct store *s, const struct bck *b, struct obj *o)
{
    struct noting t = { .b = b, .o = o };
    struct mpath *m = s->mpaths[o->info.mpath];

    return commit_fn(m, note_on, &t);
}

void
atimes_wait(struct store *s)
{
    struct timespec ms = { .tv_nsec = NSEC_PER_MSEC };
    bool            busy = true;

    while (busy) {
        pthread_mutex_lock(&s->at_mtx);
        busy = s->at_writing;
        pthread_mutex_unlock(&s->at_mtx);
        if (busy)
            nanosleep(&ms, NULL);
    }
}
