/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fibers: stackful coroutines that never leave their loop. Straight-line code that parks instead of blocking.
 *
 * Every wait takes an absolute deadline, is also bounded by the fiber's own deadline, and ends early with -AIS_E_CANCELED when
 * the fiber is cancelled (unless shielded). Stacks come from a per-loop pool, guard page below, most recently used first; no
 * arrays above 4 KiB on them.
 */
#ifndef RUN_FIBER_H
#define RUN_FIBER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "run/run.h"

struct fiber;
typedef void fiber_f(void *arg);

/*
 * Start a fiber on loop l. name: a string literal, shown in dumps. From the same loop it is queued and runs this turn or the
 * next; from any other thread it goes by mailbox. 0, or -AIS_E_OVERLOAD when the loop has max_fibers (same loop only;
 * from elsewhere the limit does not apply).
 */
int           fiber_spawn(struct loop *l, const char *name, fiber_f *fn, void *arg);
/* Run it now, on top of the caller (which must be the loop itself, not a fiber), until it first parks: no queueing. */
int           fiber_run(struct loop *l, const char *name, fiber_f *fn, void *arg);
struct fiber *fiber_self(void); /* NULL when not on a fiber */
void          fiber_label(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* 63 bytes, for dumps */

/* The whole fiber's deadline: waits end with -AIS_E_TIMEOUT beyond it. Returns the old one. */
int64_t fiber_set_deadline(int64_t deadline);
/* Cancel: the fiber's current and later waits return -AIS_E_CANCELED. Same loop only; the fiber must be alive. */
void    fiber_cancel(struct fiber *f);
bool    fiber_cancelled(void);
/* While shielded, cancellation and the fiber's deadline wait: for commits and clean-up. Nests. */
void    fiber_shield(void);
void    fiber_unshield(void);

void fiber_yield(void);                /* let others run; comes back this turn or the next */
int  fiber_sleep(int64_t ns);          /* 0, or -AIS_E_CANCELED / -AIS_E_TIMEOUT (fiber deadline) */
int  fiber_sleep_until(int64_t deadline);

/* ASSERT that the caller may park / may block (offload thread, worker thread, start-up). */
#define ASSERT_MAY_PARK()  fiber_assert_may_park(__func__)
#define ASSERT_MAY_BLOCK() fiber_assert_may_block(__func__)
#define ASSERT_ON_LOOP(l)  fiber_assert_on_loop((l), __func__)
void fiber_assert_may_park(const char *func);
void fiber_assert_may_block(const char *func);
void fiber_assert_on_loop(const struct loop *l, const char *func);

/*
 * The one way to park: a ticket on the waiter's stack. Somebody, on any thread, wakes it at most once with a result.
 *
 * park_wake returns true when this call decided the wait. When it returns false the waiter has already given up (deadline,
 * cancellation); whoever hands tickets out through a list therefore wakes under the list's lock, and a waiter that gave up
 * takes itself off under the same lock before the ticket leaves scope.
 */
struct park {
    struct msg    msg;
    struct fiber *fiber;
    _Atomic int   state;
    int           result;
};
void park_init(struct park *p);
int  park_wait(struct park *p, int64_t deadline); /* the waker's result, -AIS_E_TIMEOUT or -AIS_E_CANCELED */
bool park_wake(struct park *p, int result);       /* any thread */

/* Wait queue of one loop. Fair: first come, first woken. */
struct waiter {
    struct park park;
    TAILQ_ENTRY(waiter) link;
    bool queued;
};
struct waitq {
    TAILQ_HEAD(, waiter) head;
};
void waitq_init(struct waitq *q);
int  waitq_wait(struct waitq *q, int64_t deadline); /* 0, -AIS_E_TIMEOUT, -AIS_E_CANCELED */
bool waitq_wake_one(struct waitq *q);               /* false when nobody waits */
void waitq_wake_all(struct waitq *q);
bool waitq_empty(const struct waitq *q);

/* Mutual exclusion among fibers of one loop, fair. Holding it across a park is what it is for. */
struct fmutex {
    struct fiber *owner;
    struct waitq  q;
};
void fmutex_init(struct fmutex *m);
int  fmutex_lock(struct fmutex *m, int64_t deadline);
void fmutex_unlock(struct fmutex *m);

/*
 * Structured concurrency inside one request: children on the same loop; no child outlives the group. The first failure (negative
 * return of a child) cancels the rest if `fail_fast`. group_wait must be called exactly once.
 */
typedef int group_f(void *arg);
struct group {
    unsigned     live;
    int          first_error;
    bool         fail_fast;
    struct waitq q;
    TAILQ_HEAD(, group_child) children;
};
void group_init(struct group *g, bool fail_fast);
int  group_start(struct group *g, const char *name, group_f *fn, void *arg); /* 0 or -AIS_E_OVERLOAD */
int  group_wait(struct group *g); /* 0, or the first failure; returns when all children ended, cancelled or not */

#endif
