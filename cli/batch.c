/* SPDX-License-Identifier: Apache-2.0 */
/* Parallel workers: see batch.h. */
#include "cli/batch.h"

#include <unistd.h>

#include "base/assert.h"
#include "base/util.h"

#define DEFAULT_WORKERS 10
#define MAX_WORKERS     128
#define WORKER_MEM      (64 * MIB)

void
batch_add(struct batch *b, const struct item *it)
{
    if (b->n == b->cap) {
        size_t       cap = b->cap == 0 ? 64 : b->cap * 2;
        struct item *v = arena_alloc(b->c->mem, cap * sizeof(*v));

        if (b->n > 0)
            memcpy(v, b->v, b->n * sizeof(*v));
        b->v = v;
        b->cap = cap;
    }
    b->v[b->n++] = *it;
    b->total += it->size > 0 ? (uint64_t)it->size : 0;
}

void
batch_moved(struct batch *b, int64_t bytes)
{
    progress_add(&b->p, bytes, 0);
}

static const struct item *
take(struct batch *b)
{
    const struct item *it = NULL;

    MUST(pthread_mutex_lock(&b->p.mtx));
    if (b->next < b->n && !atomic_load(&session_interrupted) && !(b->stop_at_first && b->tally.failed > 0))
        it = &b->v[b->next++];
    MUST(pthread_mutex_unlock(&b->p.mtx));
    return it;
}

static void
settle(struct batch *b, int rc, const struct fault *f, bool quiet)
{
    MUST(pthread_mutex_lock(&b->p.mtx));
    if (rc != CLI_OK && b->tally.failed == 0)
        b->first = *f;
    tally_add(&b->tally, rc);
    MUST(pthread_mutex_unlock(&b->p.mtx));
    if (rc != CLI_OK && rc != CLI_INTERRUPTED && !quiet)
        fault_print(f);
    if (rc == CLI_OK)
        progress_add(&b->p, 0, 1);
}

struct worker {
    pthread_t     thread;
    struct batch *b;
    bool          quiet;
};

static void *
work(void *arg)
{
    struct worker     *w = arg;
    const struct item *it;
    struct session     s;
    struct fault       f;
    int                rc;

    rc = session_init(&s, arena_new(64 * KIB, WORKER_MEM), &f);
    while (rc == CLI_OK && (it = take(w->b)) != NULL) {
        f = (struct fault){ .code = CLI_OK };
        settle(w->b, w->b->fn(w->b, &s, it, &f), &f, w->quiet);
        arena_reset(s.mem);
    }
    if (rc != CLI_OK)
        settle(w->b, rc, &f, w->quiet);
    session_fini(&s);
    arena_free(s.mem);
    return NULL;
}

int
batch_run(struct batch *b, bool quiet)
{
    struct worker w[MAX_WORKERS];
    size_t        n = (size_t)flag_u64(b->c, "num-workers", DEFAULT_WORKERS), started = 0;
    bool          big = b->n > 1 || b->total > 64 * MIB;
    bool          bar = !b->no_bar && (flag_on(b->c, "progress") || (isatty(STDERR_FILENO) && big));

    n = MAX(MIN(MIN(n, (size_t)MAX_WORKERS), b->n), (size_t)1);
    progress_begin(&b->p, b->what, b->total, b->n, bar);
    for (; started < n; started++) {
        w[started] = (struct worker){ .b = b, .quiet = quiet };
        if (pthread_create(&w[started].thread, NULL, work, &w[started]) != 0)
            break; /* fewer do it too */
    }
    if (started == 0)
        work(&(struct worker){ .b = b, .quiet = quiet });
    for (size_t i = 0; i < started; i++)
        MUST(pthread_join(w[i].thread, NULL));
    progress_end(&b->p);
    if (atomic_load(&session_interrupted))
        return fault_set(&b->first, CLI_INTERRUPTED, "interrupted");
    return tally_exit(&b->tally);
}
