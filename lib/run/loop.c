/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops: epoll, timers, mailboxes, and the runtime that owns them.
 *
 * A loop with nothing to do sleeps in epoll_wait without a time-out: idle costs nothing.
 *
 * Runs on: the loop's own thread, except loop_post (any) and run_* (the owner).
 */
#include "run/run.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/util.h"
#include "run/impl.h"

#define EVENTS 256

_Thread_local struct loop *tls_loop;
_Thread_local struct run  *tls_run;

/* --- clocks and randomness --- */

int64_t
clock_mono(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int64_t
clock_real(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int64_t
loop_now(void)
{
    return tls_loop != NULL ? tls_loop->now : clock_mono();
}

void
rand_bytes(void *p, size_t n)
{
    char   *at = p;
    ssize_t k;

    while (n > 0) {
        k = getrandom(at, n, 0);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            ais_bug("getrandom: %s", strerror(errno));
        at += k;
        n -= (size_t)k;
    }
}

uint64_t
rand_u64(void)
{
    static _Thread_local uint64_t pool[32];
    static _Thread_local unsigned left;

    if (left == 0) {
        rand_bytes(pool, sizeof(pool));
        left = ARRAY_SIZE(pool);
    }
    return pool[--left];
}

/* --- who am I --- */

struct loop *
loop_self(void)
{
    return tls_loop;
}

struct run *
loop_run(struct loop *l)
{
    return l->run;
}

unsigned
loop_index(const struct loop *l)
{
    return l->index;
}

void *
loop_slot(struct loop *l, unsigned slot)
{
    ASSERT(slot < LOOP_SLOTS);
    return l->slots[slot];
}

void
loop_set_slot(struct loop *l, unsigned slot, void *p)
{
    ASSERT(slot < LOOP_SLOTS);
    l->slots[slot] = p;
}

/* --- timers: a binary heap, 1-based --- */

static void
heap_put(struct loop *l, uint32_t i, struct timer *t)
{
    l->heap[i] = t;
    t->heap_idx = i;
}

static void
heap_up(struct loop *l, uint32_t i)
{
    struct timer *t = l->heap[i];

    for (; i > 1 && l->heap[i / 2]->at > t->at; i /= 2)
        heap_put(l, i, l->heap[i / 2]);
    heap_put(l, i, t);
}

static void
heap_down(struct loop *l, uint32_t i)
{
    struct timer *t = l->heap[i];

    for (uint32_t c; (c = 2 * i) <= l->nheap; i = c) {
        if (c + 1 <= l->nheap && l->heap[c + 1]->at < l->heap[c]->at)
            c++;
        if (l->heap[c]->at >= t->at)
            break;
        heap_put(l, i, l->heap[c]);
    }
    heap_put(l, i, t);
}

void
timer_arm(struct loop *l, struct timer *t, int64_t at)
{
    ASSERT_ON_LOOP(l);
    timer_disarm(l, t);
    if (l->nheap + 2 > l->cap_heap) {
        l->cap_heap = MAX(l->cap_heap * 2, 64u);
        l->heap = xrealloc(l->heap, l->cap_heap * sizeof(struct timer *));
    }
    t->at = at;
    l->heap[++l->nheap] = t;
    heap_up(l, l->nheap);
}

void
timer_disarm(struct loop *l, struct timer *t)
{
    uint32_t      i = t->heap_idx;
    struct timer *last;

    if (i == 0)
        return;
    ASSERT(l->heap[i] == t);
    last = l->heap[l->nheap--];
    t->heap_idx = 0;
    if (last == t)
        return;
    heap_put(l, i, last);
    heap_up(l, i);
    heap_down(l, last->heap_idx);
}

static void
timers_run(struct loop *l)
{
    while (l->nheap > 0 && l->heap[1]->at <= l->now) {
        struct timer *t = l->heap[1];

        timer_disarm(l, t);
        t->fn(t);
    }
}

/* --- mailbox --- */

void
loop_post(struct loop *l, struct msg *m)
{
    struct msg *head = atomic_load_explicit(&l->inbox, memory_order_relaxed);
    uint64_t    one = 1;

    do {
        m->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&l->inbox, &head, m, memory_order_seq_cst, memory_order_relaxed));
    if (atomic_load(&l->sleeping) && atomic_exchange(&l->sleeping, 0))
        if (write(l->evfd, &one, sizeof(one)) < 0 && errno != EAGAIN)
            ais_bug("eventfd write: %s", strerror(errno));
}

static bool
mailbox_run(struct loop *l)
{
    struct msg *m, *next, *fifo = NULL;

    if (atomic_load_explicit(&l->inbox, memory_order_relaxed) == NULL)
        return false;
    for (m = atomic_exchange(&l->inbox, NULL); m != NULL; m = next) {
        next = m->next;
        m->next = fifo;
        fifo = m;
    }
    for (m = fifo; m != NULL; m = next) {
        next = m->next;
        m->fn(m);
    }
    return true;
}

/* --- readiness --- */

static int
watch_add(struct loop *l, struct iowatch *w, int fd, void (*fn)(struct iowatch *, unsigned), uint32_t events)
{
    struct epoll_event ev = { .events = events, .data.ptr = w };

    ASSERT_ON_LOOP(l);
    w->fd = fd;
    w->fn = fn;
    w->loop = l;
    if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
        return err_from_errno(errno);
    return 0;
}

int
iowatch_add(struct loop *l, struct iowatch *w, int fd, void (*fn)(struct iowatch *, unsigned))
{
    return watch_add(l, w, fd, fn, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

int
iowatch_add_level(struct loop *l, struct iowatch *w, int fd, void (*fn)(struct iowatch *, unsigned))
{
    return watch_add(l, w, fd, fn, EPOLLIN);
}

void
iowatch_del(struct iowatch *w)
{
    struct loop *l = w->loop;

    if (l == NULL)
        return;
    epoll_ctl(l->epfd, EPOLL_CTL_DEL, w->fd, NULL);
    w->loop = NULL;
    /* Events of the same epoll_wait batch may still name it: forget them. */
    for (int i = l->ev_at; i < l->ev_n; i++)
        if (l->ev[i].data.ptr == w)
            l->ev[i].data.ptr = NULL;
}

static void
events_run(struct loop *l, int n)
{
    l->ev_n = n;
    for (l->ev_at = 0; l->ev_at < l->ev_n;) {
        struct iowatch *w = l->ev[l->ev_at].data.ptr;
        uint32_t        e = l->ev[l->ev_at].events;
        unsigned        what = 0;

        l->ev_at++;
        if (w == NULL)
            continue;
        if (e & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            what |= IOW_READ;
        if (e & (EPOLLOUT | EPOLLHUP | EPOLLERR))
            what |= IOW_WRITE;
        if (e & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            what |= IOW_HUP;
        w->fn(w, what);
    }
    l->ev_n = l->ev_at = 0;
}

static void
event_drain(struct iowatch *w, unsigned events)
{
    uint64_t v;

    UNUSED(events);
    if (read(w->fd, &v, sizeof(v)) < 0 && errno != EAGAIN)
        ais_bug("eventfd read: %s", strerror(errno));
}

/* --- the loop --- */

static void
ready_run(struct loop *l)
{
    struct fiberq batch = TAILQ_HEAD_INITIALIZER(batch);
    struct fiber *f;

    TAILQ_CONCAT(&batch, &l->ready, ready); /* what becomes ready meanwhile waits for the next round */
    while ((f = TAILQ_FIRST(&batch)) != NULL) {
        TAILQ_REMOVE(&batch, f, ready);
        fiber_resume(f);
    }
}

static int
wait_ms(struct loop *l)
{
    int64_t left;

    if (!TAILQ_EMPTY(&l->ready))
        return 0;
    if (l->nheap == 0)
        return -1;
    left = l->heap[1]->at - clock_mono();
    return left <= 0 ? 0 : (int)MIN((left + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC, 3600000);
}

static void
turn(struct loop *l)
{
    int ms = wait_ms(l), n;

    if (ms != 0) {
        atomic_store(&l->sleeping, 1);
        if (atomic_load(&l->inbox) != NULL) {
            atomic_store(&l->sleeping, 0);
            ms = 0;
        }
    }
    n = epoll_wait(l->epfd, l->ev, EVENTS, ms);
    if (ms != 0)
        atomic_store(&l->sleeping, 0);
    if (n < 0 && errno != EINTR)
        ais_bug("epoll_wait: %s", strerror(errno));
    l->now = clock_mono();
    atomic_store_explicit(&l->turns, atomic_load_explicit(&l->turns, memory_order_relaxed) + 1, memory_order_relaxed);
    if (n > 0)
        events_run(l, n);
    mailbox_run(l);
    timers_run(l);
    ready_run(l);
}

static void
pin(struct loop *l)
{
    cpu_set_t all, one;
    unsigned  seen = 0;

    if (!l->run->conf.pin || sched_getaffinity(0, sizeof(all), &all) != 0)
        return;
    for (int c = 0; c < CPU_SETSIZE; c++)
        if (CPU_ISSET(c, &all) && seen++ == l->index % (unsigned)CPU_COUNT(&all)) {
            CPU_ZERO(&one);
            CPU_SET(c, &one);
            (void)sched_setaffinity(0, sizeof(one), &one);
            return;
        }
}

static void *
loop_main(void *arg)
{
    struct loop *l = arg;
    char         name[16];

    tls_loop = l;
    tls_run = l->run;
    snprintf(name, sizeof(name), "loop%u", l->index);
    pthread_setname_np(pthread_self(), name);
    log_set_tag(l->run->tag);
    pin(l);
    l->now = clock_mono();
    l->ev = xcalloc(EVENTS, sizeof(*l->ev));
    MUST(iowatch_add_level(l, &l->evw, l->evfd, event_drain));
    if (l->run->disk == DISK_URING && disk_uring_loop_init(l) < 0)
        log_warn("no io_uring for this loop, using threads", { "loop", LU64(l->index) });
    while (atomic_load_explicit(&l->run->stopping, memory_order_relaxed) < 2)
        turn(l);
    disk_uring_loop_fini(l);
    fiber_loop_fini(l);
    free(l->heap);
    free(l->ev);
    tls_loop = NULL;
    return NULL;
}

/* --- the runtime --- */

/* The cores this process may use: a container or taskset may have left it fewer than the machine has. */
static unsigned
cores_usable(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        return (unsigned)MAX(CPU_COUNT(&set), 1);
    return (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
}

static void
conf_defaults(struct run_conf *c)
{
    unsigned cpus = cores_usable();

    if (c->nloops == 0)
        c->nloops = cpus;
    if (c->offload_threads == 0)
        c->offload_threads = MAX(2 * cpus, 4u);
    if (c->stack_size == 0)
        c->stack_size = 256 * KIB;
#if defined(RUN_ASAN) || defined(RUN_TSAN)
    c->stack_size *= 4;
#endif
    if (c->max_fibers == 0)
        c->max_fibers = 16384;
    if (c->watchdog_ns == 0)
        c->watchdog_ns = MSEC_NS(50);
}

static enum disk_kind
disk_choose(enum disk_kind want)
{
    const char *env = getenv("AIS_DISK");

    if (env != NULL && strcmp(env, "threads") == 0)
        want = DISK_THREADS;
    else if (env != NULL && strcmp(env, "uring") == 0)
        want = DISK_URING;
    if (want == DISK_THREADS)
        return want;
    return disk_uring_probe() ? DISK_URING : DISK_THREADS;
}

int
run_new(const struct run_conf *c, struct run **out)
{
    struct run *r = xcalloc(1, sizeof(*r));

    r->conf = *c;
    conf_defaults(&r->conf);
    snprintf(r->tag, sizeof(r->tag), "%s", c->tag == NULL ? "" : c->tag);
    r->nloops = r->conf.nloops;
    r->loops = xcalloc(r->nloops, sizeof(*r->loops));
    r->disk = disk_choose(r->conf.disk);
    pool_init(r);
    for (unsigned i = 0; i < r->nloops; i++) {
        struct loop *l = &r->loops[i];

        l->magic = LOOP_MAGIC;
        l->run = r;
        l->index = i;
        fiber_loop_init(l);
        l->epfd = epoll_create1(EPOLL_CLOEXEC);
        l->evfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (l->epfd < 0 || l->evfd < 0) {
            int rc = err_from_errno(errno);

            r->nloops = i + 1;
            run_free(r);
            return rc;
        }
    }
    *out = r;
    return 0;
}

void
run_start(struct run *r)
{
    r->started = true;
    for (unsigned i = 0; i < r->nloops; i++)
        MUST(pthread_create(&r->loops[i].thread, NULL, loop_main, &r->loops[i]));
}

static void
cancel_on_loop(struct msg *m)
{
    fibers_cancel_all(tls_loop);
    free(m);
}

static void
wake_on_loop(struct msg *m)
{
    free(m);
}

static void
post_all(struct run *r, void (*fn)(struct msg *))
{
    for (unsigned i = 0; i < r->nloops; i++) {
        struct msg *m = xmalloc(sizeof(*m));

        m->fn = fn;
        loop_post(&r->loops[i], m);
    }
}

static uint64_t
fibers_live(struct run *r)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < r->nloops; i++)
        n += atomic_load_explicit(&r->loops[i].live, memory_order_relaxed);
    return n;
}

bool
run_cancel(struct run *r, int64_t grace_ns)
{
    int64_t         until = deadline_in(clock_mono(), grace_ns);
    struct timespec ms = { .tv_nsec = NSEC_PER_MSEC };

    ASSERT_MAY_BLOCK();
    if (!r->started)
        return true;
    atomic_store(&r->stopping, 1);
    post_all(r, cancel_on_loop);
    while (fibers_live(r) > 0 && clock_mono() < until)
        nanosleep(&ms, NULL);
    return fibers_live(r) == 0;
}

void
run_stop(struct run *r, int64_t grace_ns)
{
    if (!r->started)
        return;
    if (!run_cancel(r, grace_ns))
        log_warn("fibers left behind at stop", { "fibers", LU64(fibers_live(r)) });
    atomic_store(&r->stopping, 2);
    post_all(r, wake_on_loop);
    for (unsigned i = 0; i < r->nloops; i++)
        MUST(pthread_join(r->loops[i].thread, NULL));
    r->started = false;
}

void
run_free(struct run *r)
{
    if (r == NULL)
        return;
    ASSERT(!r->started);
    pool_fini(r);
    for (unsigned i = 0; i < r->nloops; i++) {
        struct msg *m, *next;

        for (m = atomic_load(&r->loops[i].inbox); m != NULL; m = next) {
            next = m->next;
            if (m->fn == wake_on_loop || m->fn == cancel_on_loop)
                free(m);
        }
        fd_close(&r->loops[i].epfd);
        fd_close(&r->loops[i].evfd);
    }
    free(r->loops);
    free(r);
}

unsigned
run_nloops(const struct run *r)
{
    return r->nloops;
}

struct loop *
run_loop(struct run *r, unsigned i)
{
    ASSERT(i < r->nloops);
    return &r->loops[i];
}

enum disk_kind
run_disk_kind(const struct run *r)
{
    return r->disk;
}

void
run_stats(struct run *r, struct run_stats *out)
{
    *out = (struct run_stats){ .offloads = atomic_load(&r->offloads) };
    for (unsigned i = 0; i < r->nloops; i++) {
        struct loop *l = &r->loops[i];

        out->fibers_live += atomic_load(&l->live);
        out->fibers_peak += atomic_load(&l->peak);
        out->stack_peak_bytes = MAX(out->stack_peak_bytes, atomic_load(&l->stack_peak));
        out->loop_turns += atomic_load(&l->turns);
        out->loop_stalls += atomic_load(&l->stalls);
        out->disk_inline += atomic_load(&l->disk_inline);
        out->disk_async += atomic_load(&l->disk_async);
    }
    pthread_mutex_lock(&r->pool.mtx);
    out->offload_queue_peak = r->pool.peak;
    pthread_mutex_unlock(&r->pool.mtx);
}
