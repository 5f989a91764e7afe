/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fibers: stacks, switching, parking, and what is built on parking (queues, mutexes, groups).
 *
 * Runs on: the fiber's loop, except park_wake and fiber_spawn, which any thread may call.
 */
#include "run/fiber.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/sbuf.h"
#include "base/util.h"
#include "run/impl.h"
#include "run/switch.h"

#ifdef RUN_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef RUN_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#define FREE_KEEP 64 /* idle stacks kept mapped per loop; the rest is unmapped */

enum { PARK_WAITING, PARK_WOKEN, PARK_DELIVERED, PARK_GAVE_UP };

struct fiber *
fiber_self(void)
{
    return tls_loop == NULL ? NULL : tls_loop->current;
}

/* --- stacks --- */

static void
fiber_unmap(struct fiber *f)
{
#ifdef RUN_TSAN
    if (f->tsan != NULL)
        __tsan_destroy_fiber(f->tsan);
#endif
    munmap(f->map, f->map_size);
}

static struct fiber *
fiber_map(struct loop *l)
{
    size_t        page = (size_t)sysconf(_SC_PAGESIZE), size = ALIGN_UP(l->run->conf.stack_size, page) + page;
    char         *map;
    struct fiber *f;

    map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    if (mprotect(map, page, PROT_NONE) != 0) {
        munmap(map, size);
        return NULL;
    }
    f = (struct fiber *)(void *)(map + size - ALIGN_UP(sizeof(*f), (size_t)64));
    f->magic = FIBER_MAGIC;
    f->map = map;
    f->map_size = size;
    f->loop = l;
#ifdef RUN_TSAN
    f->tsan = __tsan_create_fiber(0);
#endif
    return f;
}

static struct fiber *
fiber_take(struct loop *l, bool force)
{
    struct fiber *f = TAILQ_FIRST(&l->free);

    if (l->nfibers >= l->run->conf.max_fibers && !force)
        return NULL;
    if (f != NULL) {
        TAILQ_REMOVE(&l->free, f, ready);
        l->nfree--;
    } else {
        f = fiber_map(l);
        if (f == NULL)
            return NULL;
    }
    l->nfibers++;
    atomic_store_explicit(&l->live, l->nfibers, memory_order_relaxed);
    if (l->nfibers > atomic_load_explicit(&l->peak, memory_order_relaxed))
        atomic_store_explicit(&l->peak, l->nfibers, memory_order_relaxed);
    TAILQ_INSERT_TAIL(&l->all, f, all);
    return f;
}

/* How deep did it go? Sampled on release, one page at a time, when the stack is deeper than a page: mincore is cheap enough. */
static void
stack_watermark(struct loop *l, struct fiber *f)
{
    size_t        page = 4096, n = f->map_size / page;
    unsigned char vec[128];
    uint64_t      deep = 0;

    if (n > ARRAY_SIZE(vec) || mincore(f->map, f->map_size, vec) != 0)
        return;
    for (size_t i = 1; i < n; i++)
        if (vec[i] & 1) {
            deep = (n - i) * page;
            break;
        }
    if (deep > atomic_load_explicit(&l->stack_peak, memory_order_relaxed))
        atomic_store_explicit(&l->stack_peak, deep, memory_order_relaxed);
}

static void
fiber_recycle(struct loop *l, struct fiber *f)
{
    f->state = F_FREE;
    TAILQ_REMOVE(&l->all, f, all);
    l->nfibers--;
    atomic_store_explicit(&l->live, l->nfibers, memory_order_relaxed);
    if (l->nfree >= FREE_KEEP) {
        stack_watermark(l, f);
        fiber_unmap(f);
        return;
    }
    TAILQ_INSERT_HEAD(&l->free, f, ready);
    l->nfree++;
}

void
fiber_loop_init(struct loop *l)
{
    TAILQ_INIT(&l->ready);
    TAILQ_INIT(&l->free);
    TAILQ_INIT(&l->all);
}

void
fiber_loop_fini(struct loop *l)
{
    struct fiber *f;

    while ((f = TAILQ_FIRST(&l->free)) != NULL) {
        TAILQ_REMOVE(&l->free, f, ready);
        stack_watermark(l, f);
        fiber_unmap(f);
    }
}

/* --- switching --- */

static void
switch_to_fiber(struct loop *l, struct fiber *f)
{
#ifdef RUN_ASAN
    __sanitizer_start_switch_fiber(&l->sched_asan_fake, f->map, f->map_size);
#endif
#ifdef RUN_TSAN
    l->sched_tsan = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(f->tsan, 0);
#endif
    ais_switch(&l->sched_sp, f->sp);
#ifdef RUN_ASAN
    __sanitizer_finish_switch_fiber(l->sched_asan_fake, NULL, NULL);
#endif
}

static void
switch_to_loop(struct loop *l, struct fiber *f, bool last)
{
    UNUSED(last);
#ifdef RUN_ASAN
    __sanitizer_start_switch_fiber(last ? NULL : &f->asan_fake, l->sched_stack, l->sched_stack_size);
#endif
#ifdef RUN_TSAN
    __tsan_switch_to_fiber(l->sched_tsan, 0);
#endif
    ais_switch(&f->sp, l->sched_sp);
#ifdef RUN_ASAN
    __sanitizer_finish_switch_fiber(f->asan_fake, &l->sched_stack, &l->sched_stack_size);
#endif
}

static void
fiber_main(void *arg)
{
    struct fiber *f = arg;
    struct loop  *l = f->loop;

#ifdef RUN_ASAN
    __sanitizer_finish_switch_fiber(NULL, &l->sched_stack, &l->sched_stack_size);
#endif
    f->fn(f->arg);
    l->dying = f;
    switch_to_loop(l, f, true);
    ais_bug("an ended fiber was resumed");
}

void
fiber_resume(struct fiber *f)
{
    struct loop *l = f->loop;
    int64_t      t0 = clock_mono(), t1;

    ASSERT(l->current == NULL);
    f->state = F_RUNNING;
    l->current = f;
    switch_to_fiber(l, f);
    l->current = NULL;
    if (l->run->conf.watchdog_ns > 0) {
        t1 = clock_mono();
        if (UNLIKELY(t1 - t0 > l->run->conf.watchdog_ns)) {
            atomic_fetch_add_explicit(&l->stalls, 1, memory_order_relaxed);
            log_warn("loop stalled", { "loop", LU64(l->index) }, { "fiber", LZ(f->name) }, { "label", LZ(f->label) },
                     { "ms", LI64((t1 - t0) / NSEC_PER_MSEC) });
        }
    }
    if (l->dying != NULL) {
        l->dying = NULL;
        fiber_recycle(l, f);
    }
}

void
fiber_make_ready(struct fiber *f)
{
    ASSERT(f->state == F_PARKED || f->state == F_RUNNING || f->state == F_FREE);
    f->state = F_READY;
    TAILQ_INSERT_TAIL(&f->loop->ready, f, ready);
}

static struct fiber *
fiber_new(struct loop *l, const char *name, fiber_f *fn, void *arg, bool force)
{
    struct fiber *f = fiber_take(l, force);

    if (f == NULL)
        return NULL;
    CHECK(f, FIBER_MAGIC);
    f->name = name;
    f->fn = fn;
    f->arg = arg;
    f->cancelled = atomic_load_explicit(&l->run->stopping, memory_order_relaxed) != 0;
    f->shield = 0;
    f->deadline = NO_DEADLINE;
    f->born = l->now;
    f->park = NULL;
    f->timer.heap_idx = 0;
    f->label[0] = '\0';
    f->sp = ais_stack_prepare(f, fiber_main, f);
    return f;
}

int
fiber_run(struct loop *l, const char *name, fiber_f *fn, void *arg)
{
    struct fiber *f;

    ASSERT_ON_LOOP(l);
    f = fiber_new(l, name, fn, arg, false);
    if (f == NULL)
        return -AIS_E_OVERLOAD;
    fiber_resume(f);
    return 0;
}

struct spawn_msg {
    struct msg  msg;
    struct loop *loop;
    const char  *name;
    fiber_f     *fn;
    void        *arg;
};

static void
spawn_arrived(struct msg *m)
{
    struct spawn_msg *s = CONTAINER_OF(m, struct spawn_msg, msg);
    struct fiber     *f;

    f = fiber_new(s->loop, s->name, s->fn, s->arg, true);
    if (f == NULL)
        ais_bug("no memory for a fiber stack");
    fiber_make_ready(f);
    free(s);
}

int
fiber_spawn(struct loop *l, const char *name, fiber_f *fn, void *arg)
{
    struct spawn_msg *s;
    struct fiber     *f;

    if (tls_loop == l) {
        f = fiber_new(l, name, fn, arg, false);
        if (f == NULL)
            return -AIS_E_OVERLOAD;
        fiber_make_ready(f);
        return 0;
    }
    s = xmalloc(sizeof(*s));
    *s = (struct spawn_msg){ .msg.fn = spawn_arrived, .loop = l, .name = name, .fn = fn, .arg = arg };
    loop_post(l, &s->msg);
    return 0;
}

void
fiber_label(const char *fmt, ...)
{
    struct fiber *f = fiber_self();
    va_list       ap;

    if (f == NULL)
        return;
    va_start(ap, fmt);
    vsnprintf(f->label, sizeof(f->label), fmt, ap);
    va_end(ap);
}

/* --- deadlines, cancellation --- */

int64_t
fiber_set_deadline(int64_t deadline)
{
    struct fiber *f = fiber_self();
    int64_t       old = f->deadline;

    f->deadline = deadline;
    return old;
}

bool
fiber_cancelled(void)
{
    struct fiber *f = fiber_self();

    return f != NULL && f->cancelled && f->shield == 0;
}

void
fiber_shield(void)
{
    struct fiber *f = fiber_self();

    if (f != NULL)
        f->shield++;
}

void
fiber_unshield(void)
{
    struct fiber *f = fiber_self();

    if (f != NULL) {
        ASSERT(f->shield > 0);
        f->shield--;
    }
}

/* The waiter gives up, unless a waker was faster. */
static void
give_up(struct fiber *f, int result)
{
    struct park *p = f->park;
    int          expect = PARK_WAITING;

    if (p == NULL || !atomic_compare_exchange_strong(&p->state, &expect, PARK_GAVE_UP))
        return;
    p->result = result;
    f->park = NULL;
    timer_disarm(f->loop, &f->timer);
    fiber_make_ready(f);
}

void
fiber_cancel(struct fiber *f)
{
    CHECK(f, FIBER_MAGIC);
    ASSERT_ON_LOOP(f->loop);
    f->cancelled = true;
    if (f->state == F_PARKED && f->shield == 0)
        give_up(f, -AIS_E_CANCELED);
}

void
fibers_cancel_all(struct loop *l)
{
    struct fiber *f;

    TAILQ_FOREACH(f, &l->all, all)
        fiber_cancel(f);
}

static void
wait_expired(struct timer *t)
{
    give_up(CONTAINER_OF(t, struct fiber, timer), -AIS_E_TIMEOUT);
}

/* --- parking --- */

void
park_init(struct park *p)
{
    p->fiber = fiber_self();
    p->result = 0;
    atomic_store_explicit(&p->state, PARK_WAITING, memory_order_release);
}

static void
futex(_Atomic int *addr, int op, int val, const struct timespec *ts)
{
    syscall(SYS_futex, addr, op | FUTEX_PRIVATE_FLAG, val, ts, NULL, FUTEX_BITSET_MATCH_ANY);
}

/* Threads off the loops wait on a futex instead. */
static int
park_wait_thread(struct park *p, int64_t deadline)
{
    struct timespec ts = { .tv_sec = deadline / NSEC_PER_SEC, .tv_nsec = deadline % NSEC_PER_SEC };

    for (;;) {
        int st = atomic_load(&p->state), expect = PARK_WAITING;

        if (st == PARK_DELIVERED)
            return p->result;
        if (st == PARK_WAITING && deadline != NO_DEADLINE && clock_mono() >= deadline &&
            atomic_compare_exchange_strong(&p->state, &expect, PARK_GAVE_UP))
            return -AIS_E_TIMEOUT;
        futex(&p->state, FUTEX_WAIT_BITSET, st, deadline == NO_DEADLINE ? NULL : &ts);
    }
}

static int
park_wait_fiber(struct fiber *f, struct park *p, int64_t deadline)
{
    struct loop *l = f->loop;
    int          expect = PARK_WAITING, st;

    if (f->shield == 0)
        deadline = MIN(deadline, f->deadline);
    if (f->shield == 0 && f->cancelled && atomic_compare_exchange_strong(&p->state, &expect, PARK_GAVE_UP))
        return -AIS_E_CANCELED;
    for (;;) {
        st = atomic_load_explicit(&p->state, memory_order_acquire);
        if (st == PARK_DELIVERED || st == PARK_GAVE_UP)
            break;
        f->park = p;
        f->state = F_PARKED;
        if (st == PARK_WAITING && deadline != NO_DEADLINE && f->timer.heap_idx == 0) {
            f->timer.fn = wait_expired;
            timer_arm(l, &f->timer, deadline);
        }
        switch_to_loop(l, f, false);
    }
    f->park = NULL;
    timer_disarm(l, &f->timer);
    return p->result;
}

int
park_wait(struct park *p, int64_t deadline)
{
    struct fiber *f = p->fiber;

    if (f == NULL)
        return park_wait_thread(p, deadline);
    ASSERT(f == fiber_self());
    return park_wait_fiber(f, p, deadline);
}

static void
park_deliver(struct park *p)
{
    struct fiber *f = p->fiber;

    atomic_store_explicit(&p->state, PARK_DELIVERED, memory_order_release);
    if (f->state == F_PARKED && f->park == p) {
        f->park = NULL;
        fiber_make_ready(f);
    }
}

static void
park_arrived(struct msg *m)
{
    park_deliver(CONTAINER_OF(m, struct park, msg));
}

bool
park_wake(struct park *p, int result)
{
    int expect = PARK_WAITING;

    if (atomic_load_explicit(&p->state, memory_order_acquire) != PARK_WAITING)
        return false;
    if (p->fiber == NULL) {
        /* result must be visible before DELIVERED; WOKEN keeps other wakers and the timeout out meanwhile */
        if (!atomic_compare_exchange_strong(&p->state, &expect, PARK_WOKEN))
            return false;
        p->result = result;
        atomic_store(&p->state, PARK_DELIVERED);
        futex(&p->state, FUTEX_WAKE, 1, NULL);
        return true;
    }
    if (!atomic_compare_exchange_strong(&p->state, &expect, PARK_WOKEN))
        return false;
    p->result = result;
    if (tls_loop == p->fiber->loop) {
        park_deliver(p);
    } else {
        p->msg.fn = park_arrived;
        loop_post(p->fiber->loop, &p->msg);
    }
    return true;
}

void
fiber_yield(void)
{
    struct fiber *f = fiber_self();

    ASSERT_MAY_PARK();
    fiber_make_ready(f);
    switch_to_loop(f->loop, f, false);
}

int
fiber_sleep_until(int64_t deadline)
{
    struct park p;
    int         rc;
    int64_t     own = fiber_self()->shield == 0 ? fiber_self()->deadline : NO_DEADLINE;

    ASSERT_MAY_PARK();
    park_init(&p);
    rc = park_wait(&p, deadline);
    return rc == -AIS_E_TIMEOUT && deadline <= own ? 0 : rc;
}

int
fiber_sleep(int64_t ns)
{
    return fiber_sleep_until(deadline_in(clock_mono(), ns));
}

/* --- queues and mutexes of one loop --- */

void
waitq_init(struct waitq *q)
{
    TAILQ_INIT(&q->head);
}

bool
waitq_empty(const struct waitq *q)
{
    return TAILQ_EMPTY(&q->head);
}

int
waitq_wait(struct waitq *q, int64_t deadline)
{
    struct waiter w = { .queued = true };
    int           rc;

    ASSERT_MAY_PARK();
    park_init(&w.park);
    TAILQ_INSERT_TAIL(&q->head, &w, link);
    rc = park_wait(&w.park, deadline);
    if (w.queued)
        TAILQ_REMOVE(&q->head, &w, link);
    return rc;
}

bool
waitq_wake_one(struct waitq *q)
{
    struct waiter *w;

    while ((w = TAILQ_FIRST(&q->head)) != NULL) {
        TAILQ_REMOVE(&q->head, w, link);
        w->queued = false;
        if (park_wake(&w->park, 0))
            return true;
    }
    return false;
}

void
waitq_wake_all(struct waitq *q)
{
    while (waitq_wake_one(q))
        ;
}

void
fmutex_init(struct fmutex *m)
{
    m->owner = NULL;
    waitq_init(&m->q);
}

int
fmutex_lock(struct fmutex *m, int64_t deadline)
{
    int rc;

    ASSERT_MAY_PARK();
    if (m->owner == NULL) {
        m->owner = fiber_self();
        return 0;
    }
    rc = waitq_wait(&m->q, deadline);
    if (rc == 0)
        m->owner = fiber_self(); /* handed over by unlock, which left owner set to keep others out */
    return rc;
}

void
fmutex_unlock(struct fmutex *m)
{
    ASSERT(m->owner == fiber_self());
    if (!waitq_wake_one(&m->q))
        m->owner = NULL;
}

/* --- groups --- */

struct group_child {
    struct group *group;
    group_f      *fn;
    void         *arg;
    struct fiber *fiber;
    TAILQ_ENTRY(group_child) link;
};

void
group_init(struct group *g, bool fail_fast)
{
    *g = (struct group){ .fail_fast = fail_fast };
    waitq_init(&g->q);
    TAILQ_INIT(&g->children);
}

static void
group_cancel(struct group *g)
{
    struct group_child *c;

    TAILQ_FOREACH(c, &g->children, link)
        if (c->fiber != NULL)
            fiber_cancel(c->fiber);
}

static void
group_main(void *arg)
{
    struct group_child *c = arg;
    struct group       *g = c->group;
    int                 rc;

    c->fiber = fiber_self();
    rc = g->fail_fast && g->first_error < 0 ? -AIS_E_CANCELED : c->fn(c->arg);
    TAILQ_REMOVE(&g->children, c, link);
    free(c);
    if (rc < 0 && g->first_error == 0) {
        g->first_error = rc;
        if (g->fail_fast)
            group_cancel(g);
    }
    if (--g->live == 0)
        waitq_wake_all(&g->q);
}

int
group_start(struct group *g, const char *name, group_f *fn, void *arg)
{
    struct group_child *c = xmalloc(sizeof(*c));
    int                 rc;

    *c = (struct group_child){ .group = g, .fn = fn, .arg = arg };
    rc = fiber_spawn(loop_self(), name, group_main, c);
    if (rc < 0) {
        free(c);
        return rc;
    }
    TAILQ_INSERT_TAIL(&g->children, c, link);
    g->live++;
    return 0;
}

int
group_wait(struct group *g)
{
    bool told = false;

    while (g->live > 0) {
        /* The parent's cancellation or deadline reaches the children; the parent still waits for them to end. */
        if (told)
            fiber_shield();
        if (waitq_wait(&g->q, NO_DEADLINE) < 0 && !told) {
            if (g->first_error == 0)
                g->first_error = -AIS_E_CANCELED;
            g->fail_fast = true; /* children that did not start yet end at once */
            group_cancel(g);
            told = true;
            continue;
        }
        if (told)
            fiber_unshield();
    }
    return g->first_error;
}

/* --- who may do what --- */

void
fiber_assert_may_park(const char *func)
{
    if (fiber_self() == NULL)
        ais_bug("%s may park: it must run on a fiber", func);
}

void
fiber_assert_may_block(const char *func)
{
    if (tls_loop != NULL)
        ais_bug("%s may block: it must not run on a loop", func);
}

void
fiber_assert_on_loop(const struct loop *l, const char *func)
{
    if (tls_loop != l)
        ais_bug("%s runs on the wrong loop", func);
}

/* --- dump --- */

struct dump_msg {
    struct msg   msg;
    struct loop *loop;
    struct sbuf *out;
    struct park  park;
};

static void
dump_on_loop(struct msg *m)
{
    static const char *const states[] = { "free", "ready", "running", "parked" };
    struct dump_msg         *d = CONTAINER_OF(m, struct dump_msg, msg);
    struct loop             *l = d->loop;
    struct fiber            *f;

    TAILQ_FOREACH(f, &l->all, all)
        sbuf_printf(d->out, "loop=%u fiber=%p name=%s state=%s age_ms=%lld stack_free=%zu label=%s\n", l->index, (void *)f,
                    f->name, states[f->state], (long long)((clock_mono() - f->born) / NSEC_PER_MSEC),
                    f->state == F_RUNNING ? (size_t)0 : (size_t)((char *)f->sp - (char *)f->map), f->label);
    park_wake(&d->park, 0);
}

void
run_dump_fibers(struct run *r, struct sbuf *out)
{
    for (unsigned i = 0; i < r->nloops; i++) {
        struct dump_msg d = { .msg.fn = dump_on_loop, .loop = &r->loops[i], .out = out };

        park_init(&d.park);
        fiber_shield();
        loop_post(d.loop, &d.msg);
        park_wait(&d.park, NO_DEADLINE);
        fiber_unshield();
    }
}
