/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The offload pool and workers: threads that may block.
 *
 * Pool threads start when a job finds none idle, up to the configured number, and leave after ten idle seconds.
 */
#include "run/offload.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/log.h"
#include "base/util.h"
#include "run/impl.h"

#define POOL_IDLE_S 10

void
pool_init(struct run *r)
{
    pthread_condattr_t ca;

    MUST(pthread_mutex_init(&r->pool.mtx, NULL));
    MUST(pthread_condattr_init(&ca));
    MUST(pthread_condattr_setclock(&ca, CLOCK_MONOTONIC));
    MUST(pthread_cond_init(&r->pool.cond, &ca));
    MUST(pthread_condattr_destroy(&ca));
    STAILQ_INIT(&r->pool.q);
}

void
pool_fini(struct run *r)
{
    struct timespec ms = { .tv_nsec = NSEC_PER_MSEC };

    pthread_mutex_lock(&r->pool.mtx);
    r->pool.stop = true;
    pthread_cond_broadcast(&r->pool.cond);
    while (r->pool.threads > 0) {
        pthread_mutex_unlock(&r->pool.mtx);
        nanosleep(&ms, NULL);
        pthread_mutex_lock(&r->pool.mtx);
    }
    pthread_mutex_unlock(&r->pool.mtx);
    pthread_cond_destroy(&r->pool.cond);
    pthread_mutex_destroy(&r->pool.mtx);
}

static void
job_run(struct ojob *j)
{
    struct park *p = j->park;

    j->fn(j->arg);
    if (p != NULL)
        park_wake(p, 0); /* the job was on the waiter's stack: gone now */
    else
        free(j);
}

static void *
pool_main(void *arg)
{
    struct run     *r = arg;
    struct timespec ts;
    struct ojob    *j;

    tls_run = r;
    pthread_setname_np(pthread_self(), "offload");
    log_set_tag(r->tag);
    pthread_mutex_lock(&r->pool.mtx);
    for (;;) {
        j = STAILQ_FIRST(&r->pool.q);
        if (j != NULL) {
            STAILQ_REMOVE_HEAD(&r->pool.q, link);
            r->pool.nq--;
            pthread_mutex_unlock(&r->pool.mtx);
            job_run(j);
            pthread_mutex_lock(&r->pool.mtx);
            continue;
        }
        if (r->pool.stop)
            break;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        ts.tv_sec += POOL_IDLE_S;
        r->pool.idle++;
        if (pthread_cond_timedwait(&r->pool.cond, &r->pool.mtx, &ts) == ETIMEDOUT && STAILQ_EMPTY(&r->pool.q)) {
            r->pool.idle--;
            break;
        }
        r->pool.idle--;
    }
    r->pool.threads--;
    pthread_mutex_unlock(&r->pool.mtx);
    return NULL;
}

/* One more thread, counted already. When the system gives no more, those that are there do the work. */
static void
pool_grow(struct run *r)
{
    pthread_attr_t attr;
    pthread_t      t;
    int            rc;
    unsigned       left;

    MUST(pthread_attr_init(&attr));
    MUST(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED));
    MUST(pthread_attr_setstacksize(&attr, 512 * KIB));
    rc = pthread_create(&t, &attr, pool_main, r);
    MUST(pthread_attr_destroy(&attr));
    if (rc == 0)
        return;
    pthread_mutex_lock(&r->pool.mtx);
    left = --r->pool.threads;
    pthread_cond_signal(&r->pool.cond);
    pthread_mutex_unlock(&r->pool.mtx);
    if (left == 0)
        ais_bug("cannot start a single worker thread: %s", strerror(rc));
    log_error("no more worker threads", { "have", LU64(left) }, { "error", LZ(strerror(rc)) });
}

static void
pool_submit(struct run *r, struct ojob *j)
{
    bool start = false;

    atomic_fetch_add_explicit(&r->offloads, 1, memory_order_relaxed);
    pthread_mutex_lock(&r->pool.mtx);
    STAILQ_INSERT_TAIL(&r->pool.q, j, link);
    r->pool.nq++;
    r->pool.peak = MAX(r->pool.peak, r->pool.nq);
    if (r->pool.nq > r->pool.idle && r->pool.threads < r->conf.offload_threads) {
        r->pool.threads++;
        start = true;
    } else {
        pthread_cond_signal(&r->pool.cond);
    }
    pthread_mutex_unlock(&r->pool.mtx);
    if (start)
        pool_grow(r);
}

void
offload(void (*fn)(void *arg), void *arg)
{
    struct park p;
    struct ojob j = { .fn = fn, .arg = arg, .park = &p };

    if (tls_loop == NULL) {
        fn(arg);
        return;
    }
    ASSERT_MAY_PARK();
    park_init(&p);
    fiber_shield();
    pool_submit(tls_loop->run, &j);
    (void)park_wait(&p, NO_DEADLINE);
    fiber_unshield();
}

void
offload_async(struct run *r, void (*fn)(void *arg), void *arg)
{
    struct ojob *j = xmalloc(sizeof(*j));

    *j = (struct ojob){ .fn = fn, .arg = arg };
    pool_submit(r, j);
}

/* --- workers --- */

struct worker {
    struct run     *run;
    char            name[16];
    worker_f       *fn;
    void           *ctx;
    int64_t         idle_ns;
    pthread_t       thread;
    pthread_mutex_t mtx; /* protects what follows */
    pthread_cond_t  cond;
    struct wjobs    q;
    bool            stop, asleep;
};

/* Next batch; false when the worker is to end. */
static bool
worker_take(struct worker *w, struct wjobs *batch)
{
    struct timespec ts;
    int64_t         until = 0;
    int             rc = 0;

    STAILQ_INIT(batch);
    if (w->idle_ns > 0)
        until = clock_mono() + w->idle_ns;
    pthread_mutex_lock(&w->mtx);
    while (STAILQ_EMPTY(&w->q) && !w->stop && rc != ETIMEDOUT) {
        w->asleep = true;
        if (w->idle_ns > 0) {
            ts = (struct timespec){ .tv_sec = until / NSEC_PER_SEC, .tv_nsec = until % NSEC_PER_SEC };
            rc = pthread_cond_timedwait(&w->cond, &w->mtx, &ts);
        } else {
            pthread_cond_wait(&w->cond, &w->mtx);
        }
        w->asleep = false;
    }
    STAILQ_CONCAT(batch, &w->q);
    rc = w->stop && STAILQ_EMPTY(batch);
    pthread_mutex_unlock(&w->mtx);
    return !rc;
}

static void *
worker_main(void *arg)
{
    struct worker *w = arg;
    struct wjobs   batch;

    tls_run = w->run;
    pthread_setname_np(pthread_self(), w->name);
    log_set_tag(w->run->tag);
    while (worker_take(w, &batch))
        w->fn(w->ctx, &batch);
    return NULL;
}

int
worker_new(struct run *r, const char *name, worker_f *fn, void *ctx, int64_t idle_ns, struct worker **out)
{
    struct worker     *w = xcalloc(1, sizeof(*w));
    pthread_condattr_t ca;

    w->run = r;
    snprintf(w->name, sizeof(w->name), "%s", name);
    w->fn = fn;
    w->ctx = ctx;
    w->idle_ns = idle_ns;
    STAILQ_INIT(&w->q);
    MUST(pthread_mutex_init(&w->mtx, NULL));
    MUST(pthread_condattr_init(&ca));
    MUST(pthread_condattr_setclock(&ca, CLOCK_MONOTONIC));
    MUST(pthread_cond_init(&w->cond, &ca));
    MUST(pthread_condattr_destroy(&ca));
    if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
        free(w);
        return -AIS_E_NOMEM;
    }
    *out = w;
    return 0;
}

void
worker_free(struct worker *w)
{
    if (w == NULL)
        return;
    ASSERT_MAY_BLOCK();
    pthread_mutex_lock(&w->mtx);
    w->stop = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mtx);
    MUST(pthread_join(w->thread, NULL));
    pthread_cond_destroy(&w->cond);
    pthread_mutex_destroy(&w->mtx);
    free(w);
}

void
worker_submit(struct worker *w, struct wjob *j)
{
    bool wake;

    pthread_mutex_lock(&w->mtx);
    STAILQ_INSERT_TAIL(&w->q, j, link);
    wake = w->asleep;
    pthread_mutex_unlock(&w->mtx);
    if (wake)
        pthread_cond_signal(&w->cond);
}

int
worker_call(struct worker *w, struct wjob *j)
{
    struct park p;
    int         rc;

    park_init(&p);
    j->park = &p;
    fiber_shield();
    worker_submit(w, j);
    rc = park_wait(&p, NO_DEADLINE);
    fiber_unshield();
    return rc;
}

void
worker_done(struct wjob *j, int result)
{
    if (j->park != NULL)
        park_wake(j->park, result);
}

void
worker_done_all(struct wjobs *batch, int result)
{
    struct wjob *j;

    /* A loop that was woken for the first is awake for the rest: loop_post writes the eventfd only for a sleeping loop. */
    while ((j = STAILQ_FIRST(batch)) != NULL) {
        STAILQ_REMOVE_HEAD(batch, link);
        worker_done(j, result);
    }
}
