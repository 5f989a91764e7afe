/* SPDX-License-Identifier: Apache-2.0 */
/* A run for tests, and calls on its fibers. */
#ifndef ON_FIBER_H
#define ON_FIBER_H

#include <ftw.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "run/fiber.h"

/* Wait for a condition, at most ten seconds. */
#define WITHIN(cond)                                                                                                   \
    do {                                                                                                               \
        int w_;                                                                                                        \
        for (w_ = 0; w_ < 5000 && !(cond); w_++)                                                                       \
            (void)poll(NULL, 0, 2);                                                                                    \
        assert_true(cond);                                                                                             \
    } while (0)

struct fiber_test_call {
    void (*fn)(void *);
    void *arg;
    sem_t done;
};

static inline void
fiber_test_main(void *arg)
{
    struct fiber_test_call *c = arg;

    c->fn(c->arg);
    sem_post(&c->done);
}

/* Run fn(arg) on a fiber of loop i and wait for its end. */
static inline void
on_fiber(struct run *run, unsigned i, void (*fn)(void *), void *arg)
{
    struct fiber_test_call c = { .fn = fn, .arg = arg };

    sem_init(&c.done, 0, 0);
    assert_int_equal(0, fiber_spawn(run_loop(run, i), "test", fiber_test_main, &c));
    while (sem_wait(&c.done) != 0)
        ;
    sem_destroy(&c.done);
}

static inline struct run *
test_run_new(unsigned nloops)
{
    struct run_conf c = { .nloops = nloops, .tag = "test", .watchdog_ns = -1 };
    struct run     *r;

    assert_int_equal(0, run_new(&c, &r));
    run_start(r);
    return r;
}

static inline void
test_run_free(struct run *r)
{
    run_stop(r, SEC_NS(5));
    run_free(r);
}

static inline int
test_rm(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st, (void)type, (void)f;
    return remove(path);
}

static inline char *
test_dir_new(void)
{
    const char *tmp = getenv("TMPDIR");
    char       *d = xasprintf("%s/ais-unit-XXXXXX", tmp != NULL ? tmp : "/tmp");

    assert_non_null(mkdtemp(d));
    return d;
}

static inline void
test_dir_free(char *d)
{
    nftw(d, test_rm, 16, FTW_DEPTH | FTW_PHYS);
    free(d);
}

#endif
