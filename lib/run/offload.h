/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where blocking is allowed: the offload pool (any job, any thread of the pool) and workers (one thread, one queue).
 *
 * In the simulator both are actors that run when the scheduler says so.
 */
#ifndef RUN_OFFLOAD_H
#define RUN_OFFLOAD_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "run/fiber.h"

/*
 * Run fn(arg) on a thread of the pool and park until it returned. Not cancellable: arg may live on the caller's stack. For
 * calls that block and for CPU work above about 1 ms. On a thread that may block itself it just calls fn.
 */
void offload(void (*fn)(void *arg), void *arg);

/* Fire and forget, from any thread. */
void offload_async(struct run *r, void (*fn)(void *arg), void *arg);

/*
 * A worker: one thread that takes everything queued so far as one batch. The mountpath's committer is one, an index's threads
 * are others: group commit is "what came while the last group was written".
 */
struct wjob {
    STAILQ_ENTRY(wjob) link;
    struct park *park; /* whom worker_done wakes; NULL = nobody */
};
STAILQ_HEAD(wjobs, wjob);

struct worker;
/* fn is called with a non-empty batch; it must worker_done() every job. idle_ns > 0: also called with an empty batch when
 * nothing came for so long. */
typedef void worker_f(void *ctx, struct wjobs *batch);
int  worker_new(struct run *r, const char *name, worker_f *fn, void *ctx, int64_t idle_ns, struct worker **out);
/* Drains the queue, then ends the thread. May block. */
void worker_free(struct worker *w);
void worker_submit(struct worker *w, struct wjob *j);            /* any thread */
int  worker_call(struct worker *w, struct wjob *j);              /* submit and park until done, not cancellable; the result */
void worker_done(struct wjob *j, int result);                    /* the job may be gone when this returns */
/* Wake many at once: the same as worker_done for each job, but at most one wake-up system call per loop. */
void worker_done_all(struct wjobs *batch, int result);

#endif
