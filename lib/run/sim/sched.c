/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads, virtual time, events, hosts: who runs when.
 *
 * Every simulated thread is a real one, but only the one that holds the baton runs. It gives the baton away where it would have waited
 * (sim_block) and, now and then, where others could have been faster (sim_preempt). The next one is drawn from those that can go on;
 * when nobody can, time moves to the next event.
 *
 * Runs on: simulated threads; whoever has the baton owns all state here, so there are no locks.
 */
#include <errno.h>
#include <execinfo.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/util.h"
#include "impl.h"

#define WAIT_BUCKETS 1024
#define MONO_BASE    SEC_NS(1000)
#define REAL_BASE    SEC_NS(1893456000) /* 2030-01-01 */

struct sim sim;

struct sevent {
    int64_t  at;
    uint64_t seq;
    void (*fn)(void *p, uint64_t v);
    void    *p;
    uint64_t v;
};

static struct {
    struct sevent   *heap; /* 1-based */
    size_t           n, cap;
    uint64_t         seq;
    struct sthread **run; /* who can go on, in no order */
    size_t           nrun, run_cap;
    unsigned         nthreads;
    TAILQ_HEAD(, sthread) all;
    TAILQ_HEAD(waiters, sthread) wait[WAIT_BUCKETS];
} s;

REAL(long, syscall, long nr, ...);
REAL(int, pthread_create, pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
REAL(int, pthread_join, pthread_t t, void **ret);
REAL(ssize_t, write, int fd, const void *p, size_t n);

/* --- randomness: splitmix64, one state for each use, so that one more draw here changes nothing there --- */

uint64_t
srand_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

int64_t
srand_range(uint64_t *state, int64_t lo, int64_t hi)
{
    return hi <= lo ? lo : lo + (int64_t)(srand_next(state) % (uint64_t)(hi - lo + 1));
}

bool
srand_chance(uint64_t *state, uint32_t ppm)
{
    return ppm > 0 && srand_next(state) % 1000000 < ppm;
}

uint64_t
sim_rand(void)
{
    return srand_next(&sim.rng_app);
}

uint64_t
sim_rand_below(uint64_t n)
{
    return srand_next(&sim.rng_app) % n;
}

bool
sim_chance(uint32_t ppm)
{
    return srand_chance(&sim.rng_app, ppm);
}

/* --- the record --- */

static void
mix(uint64_t v)
{
    sim.hash = (sim.hash ^ v) * 0x100000001b3ULL;
    sim.hash ^= sim.hash >> 29;
}

static const char *
who(void)
{
    return sim.cur == NULL ? "-" : sim.cur->host->name;
}

static void __attribute__((format(printf, 1, 0)))
print_line(const char *fmt, va_list ap)
{
    char buf[1024];
    int  n = snprintf(buf, sizeof(buf), "[%4lld.%06lld] %-5s ", (long long)(sim.now / NSEC_PER_SEC),
                      (long long)(sim.now % NSEC_PER_SEC / 1000), who());

    n += vsnprintf(buf + n, sizeof(buf) - (size_t)n - 1, fmt, ap);
    n = MIN(n, (int)sizeof(buf) - 2);
    buf[n++] = '\n';
    if (__real_write(STDERR_FILENO, buf, (size_t)n) < 0)
        UNUSED(0); /* nobody listens */
}

void
sim_trace(const char *fmt, ...)
{
    va_list ap;

    if (!sim.conf.trace)
        return;
    va_start(ap, fmt);
    print_line(fmt, ap);
    va_end(ap);
}

void
sim_say(const char *fmt, ...)
{
    va_list ap;

    if (!sim.conf.log && !sim.conf.trace)
        return;
    va_start(ap, fmt);
    print_line(fmt, ap);
    va_end(ap);
}

void
sim_note(unsigned kind, uint64_t a, uint64_t b)
{
    mix((uint64_t)sim.now);
    mix(kind ^ (sim.cur == NULL ? 0 : (uint64_t)sim.cur->id << 16));
    mix(a);
    mix(b);
    if (sim.conf.trace)
        sim_trace("%c thread=%u a=%llu b=%llu hash=%016llx", (char)kind, sim.cur == NULL ? 0 : sim.cur->id,
                  (unsigned long long)a, (unsigned long long)b, (unsigned long long)sim.hash);
}

void
sim_note_bytes(const void *p, size_t n)
{
    const unsigned char *b = p;
    uint64_t             w;

    for (; n >= 8; n -= 8, b += 8) {
        memcpy(&w, b, 8);
        mix(w);
    }
    for (; n > 0; n--)
        mix(*b++);
}

uint64_t
sim_hash(void)
{
    return sim.hash;
}

uint64_t
sim_steps(void)
{
    return sim.steps;
}

int64_t
sim_now(void)
{
    return sim.now;
}

static void
dump_threads(void)
{
    static const char *const states[] = { "runnable", "blocked", "done", "dead" };
    struct sthread          *t;

    TAILQ_FOREACH(t, &s.all, all)
        if (t->state != T_DONE && t->state != T_DEAD)
            fprintf(stderr, "  thread %u of %s: %s%s%s\n", t->id, t->host->name, states[t->state], t->loop ? ", a loop" : "",
                    t->key != NULL ? ", waits for somebody" : "");
}

void
sim_die(const char *fmt, ...)
{
    void   *frames[64];
    va_list ap;

    fprintf(stderr, "sim: seed %llu at %.6f s: ", (unsigned long long)sim.conf.seed, (double)sim.now / 1e9);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    dump_threads();
    backtrace_symbols_fd(frames, backtrace(frames, ARRAY_SIZE(frames)), STDERR_FILENO);
    _exit(3);
}

/* --- events: a binary heap by time, then by order of birth --- */

static bool
earlier(const struct sevent *a, const struct sevent *b)
{
    return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

void
sim_at(int64_t when, void (*fn)(void *p, uint64_t v), void *p, uint64_t v)
{
    struct sevent e = { .at = MAX(when, sim.now), .seq = s.seq++, .fn = fn, .p = p, .v = v };
    size_t        i;

    if (s.n + 2 > s.cap) {
        s.cap = MAX(s.cap * 2, (size_t)1024);
        s.heap = xrealloc(s.heap, s.cap * sizeof(*s.heap));
    }
    for (i = ++s.n; i > 1 && earlier(&e, &s.heap[i / 2]); i /= 2)
        s.heap[i] = s.heap[i / 2];
    s.heap[i] = e;
}

static struct sevent
event_pop(void)
{
    struct sevent top = s.heap[1], last = s.heap[s.n--];
    size_t        i = 1, c;

    for (; (c = 2 * i) <= s.n; i = c) {
        if (c + 1 <= s.n && earlier(&s.heap[c + 1], &s.heap[c]))
            c++;
        if (!earlier(&s.heap[c], &last))
            break;
        s.heap[i] = s.heap[c];
    }
    s.heap[i] = last;
    return top;
}

/* --- the baton --- */

static void
baton_pass(struct sthread *t)
{
    atomic_store(&t->baton, 1);
    __real_syscall(SYS_futex, &t->baton, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void
baton_await(struct sthread *t)
{
    while (atomic_load(&t->baton) == 0)
        __real_syscall(SYS_futex, &t->baton, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    atomic_store(&t->baton, 0);
}

static void
make_runnable(struct sthread *t)
{
    t->state = T_RUNNABLE;
    if (s.nrun == s.run_cap) {
        s.run_cap = MAX(s.run_cap * 2, (size_t)64);
        s.run = xrealloc(s.run, s.run_cap * sizeof(struct sthread *));
    }
    s.run[s.nrun++] = t;
}

/* Who goes on. Time passes: a little for what was done, or up to the next event when nobody can. */
static struct sthread *
pick(void)
{
    struct sthread *t;
    size_t          i;

    sim.now += 200 + (int64_t)(srand_next(&sim.rng_sched) & 2047);
    for (;;) {
        while (s.n > 0 && s.heap[1].at <= sim.now) {
            struct sevent e = event_pop();

            e.fn(e.p, e.v);
        }
        if (s.nrun > 0)
            break;
        if (s.n == 0)
            sim_die("every thread waits for ever");
        sim.now = s.heap[1].at;
    }
    i = s.nrun == 1 ? 0 : srand_next(&sim.rng_sched) % s.nrun;
    t = s.run[i];
    s.run[i] = s.run[--s.nrun];
    sim.steps++;
    return t;
}

/* Let somebody else run until this thread's turn comes again; never, when it has ended or was killed. */
static void
switch_away(void)
{
    struct sthread *me = sim.cur, *next = pick();

    sim.cur = next;
    if (next == me)
        return;
    sim_note('T', next->id, 0);
    baton_pass(next);
    if (me->state == T_DONE)
        return;
    baton_await(me);
}

static struct waiters *
bucket(const void *key)
{
    return &s.wait[((uintptr_t)key >> 3) * 0x9e3779b97f4a7c15ULL >> 54];
}

static void
unblock(struct sthread *t, int result)
{
    if (t->key != NULL)
        TAILQ_REMOVE(bucket(t->key), t, wait);
    t->key = NULL;
    t->gen++;
    t->result = result;
    make_runnable(t);
}

static void
block_expired(void *p, uint64_t gen)
{
    struct sthread *t = p;

    if (t->state == T_BLOCKED && t->gen == gen)
        unblock(t, ETIMEDOUT);
}

int
sim_block(const void *key, int64_t deadline)
{
    struct sthread *me = sim.cur;

    if (deadline <= sim.now)
        return ETIMEDOUT;
    me->state = T_BLOCKED;
    me->key = key;
    if (key != NULL)
        TAILQ_INSERT_TAIL(bucket(key), me, wait);
    if (deadline != NEVER)
        sim_at(deadline, block_expired, me, me->gen);
    switch_away();
    return me->result;
}

void
sim_wake(const void *key, unsigned n)
{
    struct waiters *q = bucket(key);
    struct sthread *t, *next;

    for (t = TAILQ_FIRST(q); t != NULL && n > 0; t = next) {
        next = TAILQ_NEXT(t, wait);
        if (t->key == key) {
            unblock(t, 0);
            n--;
        }
    }
}

void
sim_preempt(void)
{
    if (!srand_chance(&sim.rng_sched, sim.conf.preempt_ppm))
        return;
    make_runnable(sim.cur);
    switch_away();
}

void
sim_sleep(int64_t ns)
{
    (void)sim_block(NULL, sim.now + MAX(ns, (int64_t)1));
}

/* --- threads --- */

static struct sthread *
thread_new(struct shost *h, void *(*fn)(void *), void *arg)
{
    struct sthread *t = xcalloc(1, sizeof(*t));

    t->id = s.nthreads++;
    t->host = h;
    t->incarnation = h->incarnation;
    t->fn = fn;
    t->arg = arg;
    t->state = T_RUNNABLE;
    TAILQ_INSERT_TAIL(&s.all, t, all);
    return t;
}

static void *
thread_main(void *arg)
{
    struct sthread *t = arg;
    void           *ret;

    baton_await(t);
    ret = t->fn(t->arg);
    t->state = T_DONE;
    if (t->detached)
        TAILQ_REMOVE(&s.all, t, all);
    sim_wake(t, UINT32_MAX);
    switch_away();
    return ret;
}

static int
thread_start(struct sthread *t, const pthread_attr_t *attr)
{
    int rc = __real_pthread_create(&t->pt, attr, thread_main, t), state = PTHREAD_CREATE_JOINABLE;

    if (attr != NULL)
        (void)pthread_attr_getdetachstate(attr, &state);
    t->detached = state == PTHREAD_CREATE_DETACHED;
    if (rc != 0)
        sim_die("pthread_create: %s", strerror(rc));
    make_runnable(t);
    return rc;
}

WRAP(int, pthread_create, pthread_t *out, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    struct sthread *t;

    if (!sim.on)
        return __real_pthread_create(out, attr, fn, arg);
    t = thread_new(sim.cur->host, fn, arg);
    sim_note('C', t->id, 0);
    (void)thread_start(t, attr);
    *out = t->pt;
    sim_preempt();
    return 0;
}

WRAP(int, pthread_join, pthread_t pt, void **ret)
{
    struct sthread *t;

    if (!sim.on)
        return __real_pthread_join(pt, ret);
    TAILQ_FOREACH(t, &s.all, all)
        if (t->state != T_DEAD && pthread_equal(t->pt, pt) && t->incarnation == sim.cur->incarnation)
            break;
    if (t == NULL)
        return ESRCH;
    while (t->state != T_DONE)
        (void)sim_block(t, NEVER);
    TAILQ_REMOVE(&s.all, t, all); /* not freed: deadlines of its waits may still point at it */
    return __real_pthread_join(pt, ret);
}

/* --- hosts --- */

struct start {
    struct shost *h;
    sim_main_f   *fn;
    void         *arg;
};

/* The process is no more: its threads, but the one that says so, never run again. */
static bool
host_down(struct shost *h, bool silent)
{
    struct sthread *t;
    bool            self = false;
    size_t          i, k;

    TAILQ_FOREACH(t, &s.all, all) {
        if (t->host != h || t->incarnation != h->incarnation || t->state == T_DONE || t->state == T_DEAD)
            continue;
        self |= t == sim.cur;
        if (t->state == T_BLOCKED && t->key != NULL)
            TAILQ_REMOVE(bucket(t->key), t, wait);
        t->gen++;
        t->state = T_DEAD;
    }
    for (i = k = 0; i < s.nrun; i++)
        if (s.run[i]->state != T_DEAD)
            s.run[k++] = s.run[i];
    s.nrun = k;
    h->incarnation++;
    h->up = false;
    h->powered = !silent;
    sock_host_killed(h, silent);
    file_host_killed(h);
    sim_wake(h, UINT32_MAX);
    return self;
}

static void *
host_main(void *arg)
{
    struct start b = *(struct start *)arg;

    free(arg);
    b.fn(b.arg);
    sim_note('E', b.h->index, 0);
    (void)host_down(b.h, false);
    return NULL;
}

void
sim_host_start(unsigned host, const char *name, sim_main_f *fn, void *arg)
{
    struct shost  *h = &sim.host[host];
    struct start  *b = xmalloc(sizeof(*b));
    pthread_attr_t attr;

    ASSERT(host < SIM_HOSTS && !h->up);
    h->index = host;
    snprintf(h->name, sizeof(h->name), "%s", name);
    h->incarnation++;
    h->up = h->powered = true;
    h->pid = 1000 + host * 1000 + h->incarnation;
    h->rng = sim.conf.seed * 1000003 + host * 8191 + h->incarnation;
    *b = (struct start){ h, fn, arg };
    sim_note('H', host, h->incarnation);
    sock_unstall();
    MUST(pthread_attr_init(&attr));
    MUST(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED));
    (void)thread_start(thread_new(h, host_main, b), &attr);
    MUST(pthread_attr_destroy(&attr));
}

void
sim_host_kill(unsigned host, bool silent)
{
    struct shost *h = &sim.host[host];

    if (!h->up)
        return;
    sim_note('K', host, silent);
    if (host_down(h, silent))
        switch_away(); /* killed itself: never comes back */
}

bool
sim_host_up(unsigned host)
{
    return sim.host[host].up;
}

unsigned
sim_host_self(void)
{
    return sim.cur->host->index;
}

bool
sim_host_wait(unsigned host, int64_t ns)
{
    int64_t until = sim.now + ns;

    while (sim.host[host].up)
        if (sim_block(&sim.host[host], until) != 0)
            return !sim.host[host].up;
    return true;
}

uint64_t
sim_host_sent(unsigned host)
{
    return sim.host[host].sent;
}

void
sim_clock_jump(unsigned host, int64_t ns)
{
    sim_note('J', host, (uint64_t)ns);
    sim.host[host].real_off += ns;
}

void
sim_disk_fault(unsigned host, const struct sim_disk *f)
{
    struct shost *h = &sim.host[host];

    sim_note('D', host, f != NULL);
    h->disk_faulty = f != NULL;
    if (f != NULL)
        h->disk = *f;
}

/* --- begin, end --- */

void
sim_begin(const struct sim_conf *c)
{
    uint64_t z = c->seed;

    sim.conf = *c;
    sim.hash = 0xcbf29ce484222325ULL;
    sim.rng_sched = srand_next(&z);
    sim.rng_net = srand_next(&z);
    sim.rng_disk = srand_next(&z);
    sim.rng_app = srand_next(&z);
    TAILQ_INIT(&s.all);
    for (size_t i = 0; i < WAIT_BUCKETS; i++)
        TAILQ_INIT(&s.wait[i]);
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        /* No two machines agree on either clock. */
        sim.host[i].mono_off = MONO_BASE + srand_range(&z, 0, SEC_NS(100000));
        sim.host[i].real_off = REAL_BASE + srand_range(&z, -MSEC_NS(500), MSEC_NS(500));
    }
    snprintf(sim.host[0].name, sizeof(sim.host[0].name), "world");
    sim.host[0].up = sim.host[0].powered = true;
    sim.host[0].rng = srand_next(&z);
    sim.cur = thread_new(&sim.host[0], NULL, NULL);
    sim.on = true;
}

void
sim_end(void)
{
    sim.on = false;
}

/* --- clocks and chance, as libc gives them --- */

WRAP(int, clock_gettime, clockid_t id, struct timespec *ts)
{
    int64_t v;

    if (!sim.on)
        return __real_clock_gettime(id, ts);
    sim.now += 20; /* who asks over and over sees time pass */
    v = sim.now + (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE ? sim.cur->host->real_off : sim.cur->host->mono_off);
    ts->tv_sec = v / NSEC_PER_SEC;
    ts->tv_nsec = v % NSEC_PER_SEC;
    return 0;
}

WRAP(time_t, time, time_t *out)
{
    time_t v;

    if (!sim.on)
        return __real_time(out);
    v = (time_t)((sim.now + sim.cur->host->real_off) / NSEC_PER_SEC);
    if (out != NULL)
        *out = v;
    return v;
}

WRAP(int, nanosleep, const struct timespec *ts, struct timespec *left)
{
    if (!sim.on)
        return __real_nanosleep(ts, left);
    sim_sleep(ts->tv_sec * NSEC_PER_SEC + ts->tv_nsec);
    return 0;
}

WRAP(int, usleep, useconds_t us)
{
    if (!sim.on)
        return __real_usleep(us);
    sim_sleep((int64_t)us * 1000);
    return 0;
}

WRAP(int, sched_yield, void)
{
    if (!sim.on)
        return __real_sched_yield();
    sim_sleep(1000);
    return 0;
}

WRAP(ssize_t, getrandom, void *p, size_t n, unsigned flags)
{
    unsigned char *at = p;

    if (!sim.on)
        return __real_getrandom(p, n, flags);
    for (size_t i = 0; i < n; i += 8) {
        uint64_t v = srand_next(&sim.cur->host->rng);

        memcpy(at + i, &v, MIN(n - i, (size_t)8));
    }
    return (ssize_t)n;
}

WRAP(pid_t, getpid, void)
{
    return sim.on ? (pid_t)sim.cur->host->pid : __real_getpid();
}
