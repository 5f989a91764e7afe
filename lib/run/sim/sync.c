/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks, conditions and futexes of simulated threads. A mutex is libc's own, only that a thread which would wait gives the baton away
 * instead; a condition is nothing but a key to wait for.
 *
 * Runs on: simulated threads.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/util.h"
#include "impl.h"

REAL(int, pthread_mutex_trylock, pthread_mutex_t *m);

/* An absolute time of this host's monotonic or real clock (they are decades apart) in virtual time. */
static int64_t
deadline_of(const struct timespec *ts)
{
    int64_t v = ts->tv_sec * NSEC_PER_SEC + ts->tv_nsec;

    return v - (ts->tv_sec > 1000000000 ? sim.cur->host->real_off : sim.cur->host->mono_off);
}

WRAP(int, pthread_mutex_lock, pthread_mutex_t *m)
{
    int rc;

    if (!sim.on)
        return __real_pthread_mutex_lock(m);
    while ((rc = __real_pthread_mutex_trylock(m)) == EBUSY)
        (void)sim_block(m, NEVER);
    return rc;
}

WRAP(int, pthread_mutex_unlock, pthread_mutex_t *m)
{
    int rc = __real_pthread_mutex_unlock(m);

    if (sim.on) {
        sim_wake(m, 1);
        sim_preempt();
    }
    return rc;
}

/* What a mutex does, for locks that many may hold to read. Whoever lets go wakes all: they see who gets it. */
REAL(int, pthread_rwlock_tryrdlock, pthread_rwlock_t *l);
REAL(int, pthread_rwlock_trywrlock, pthread_rwlock_t *l);

WRAP(int, pthread_rwlock_rdlock, pthread_rwlock_t *l)
{
    int rc;

    if (!sim.on)
        return __real_pthread_rwlock_rdlock(l);
    while ((rc = __real_pthread_rwlock_tryrdlock(l)) == EBUSY)
        (void)sim_block(l, NEVER);
    return rc;
}

WRAP(int, pthread_rwlock_wrlock, pthread_rwlock_t *l)
{
    int rc;

    if (!sim.on)
        return __real_pthread_rwlock_wrlock(l);
    while ((rc = __real_pthread_rwlock_trywrlock(l)) == EBUSY)
        (void)sim_block(l, NEVER);
    return rc;
}

WRAP(int, pthread_rwlock_unlock, pthread_rwlock_t *l)
{
    int rc = __real_pthread_rwlock_unlock(l);

    if (sim.on) {
        sim_wake(l, UINT32_MAX);
        sim_preempt();
    }
    return rc;
}

static int
cond_wait(pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline)
{
    int rc;

    (void)__real_pthread_mutex_unlock(m);
    sim_wake(m, 1);
    rc = sim_block(c, deadline);
    (void)__wrap_pthread_mutex_lock(m);
    return rc;
}

WRAP(int, pthread_cond_wait, pthread_cond_t *c, pthread_mutex_t *m)
{
    return sim.on ? cond_wait(c, m, NEVER) : __real_pthread_cond_wait(c, m);
}

WRAP(int, pthread_cond_timedwait, pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *ts)
{
    return sim.on ? cond_wait(c, m, deadline_of(ts)) : __real_pthread_cond_timedwait(c, m, ts);
}

WRAP(int, pthread_cond_signal, pthread_cond_t *c)
{
    if (!sim.on)
        return __real_pthread_cond_signal(c);
    sim_wake(c, 1);
    sim_preempt();
    return 0;
}

WRAP(int, pthread_cond_broadcast, pthread_cond_t *c)
{
    if (!sim.on)
        return __real_pthread_cond_broadcast(c);
    sim_wake(c, UINT32_MAX);
    sim_preempt();
    return 0;
}

static long
futex(int *addr, int op, int val, const struct timespec *ts)
{
    switch (op & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME)) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
        if (*(volatile int *)addr != val) {
            errno = EAGAIN;
            return -1;
        }
        if (sim_block(addr, ts == NULL ? NEVER : deadline_of(ts)) != 0) {
            errno = ETIMEDOUT;
            return -1;
        }
        return 0;
    case FUTEX_WAKE:
        sim_wake(addr, (unsigned)val);
        sim_preempt();
        return 1;
    default:
        sim_die("futex operation %d is not simulated", op);
    }
}

WRAP(long, syscall, long nr, ...)
{
    va_list ap;
    long    a[6];

    va_start(ap, nr);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    if (sim.on && nr == SYS_futex)
        return futex((int *)a[0], (int)a[1], (int)a[2], (const struct timespec *)a[3]);
    if (sim.on && nr == SYS_openat2)
        return sys_openat2((int)a[0], (const char *)a[1], (const void *)a[2], (size_t)a[3]);
    return __real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}
