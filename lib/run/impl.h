/* SPDX-License-Identifier: Apache-2.0 */
/* Private to lib/run: what loops, fibers and the offload pool share. */
#ifndef RUN_IMPL_H
#define RUN_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "base/assert.h"
#include "run/fiber.h"
#include "run/offload.h"
#include "run/run.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RUN_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define RUN_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define RUN_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define RUN_TSAN 1
#endif

enum fstate { F_FREE, F_READY, F_RUNNING, F_PARKED };

/* Lives at the top of its own stack mapping: a fiber costs one allocation. */
struct fiber {
    unsigned magic;
#define FIBER_MAGIC 0xf1be4a11u
    void        *sp; /* saved stack pointer while not running */
    struct loop *loop;
    const char  *name;
    fiber_f     *fn;
    void        *arg;
    enum fstate  state;
    bool         cancelled;
    unsigned     shield;
    int64_t      deadline;
    int64_t      born;
    struct park *park; /* what it waits for while F_PARKED */
    struct timer timer;
    TAILQ_ENTRY(fiber) ready; /* run queue, or the free list */
    TAILQ_ENTRY(fiber) all;
    char  label[64];
    void *map; /* start of the mapping: the guard page */
    size_t map_size;
    void  *asan_fake, *tsan;
};
TAILQ_HEAD(fiberq, fiber);

struct uring;
struct epoll_event;

struct loop {
    unsigned      magic;
#define LOOP_MAGIC 0x100b100bu
    struct run   *run;
    unsigned      index;
    pthread_t     thread;
    int           epfd, evfd;
    _Atomic(struct msg *) inbox; /* LIFO; reversed when drained */
    _Atomic int   sleeping;
    int64_t       now;
    struct timer **heap; /* 1-based binary heap */
    uint32_t      nheap, cap_heap;
    struct fiberq ready, free, all;
    unsigned      nfree, nfibers;
    struct fiber *current;
    void         *sched_sp; /* the loop's own context while a fiber runs */
    void         *sched_asan_fake, *sched_tsan;
    const void   *sched_stack;
    size_t        sched_stack_size;
    struct fiber *dying; /* ended, to be recycled once its stack is left */
    void         *slots[LOOP_SLOTS];
    struct iowatch evw;
    struct epoll_event *ev; /* the batch being handled: [ev_at, ev_n) is still to come */
    int           ev_at, ev_n;
    struct uring  *uring;
    /* statistics: written by the loop, read by anyone */
    _Atomic uint64_t turns, stalls, peak, disk_inline, disk_async, stack_peak, live;
};

struct ojob {
    STAILQ_ENTRY(ojob) link;
    void (*fn)(void *);
    void        *arg;
    struct park *park; /* NULL: the job was malloc'd by offload_async */
};
STAILQ_HEAD(ojobs, ojob);

struct run {
    struct run_conf  conf;
    char             tag[32];
    unsigned         nloops;
    struct loop     *loops;
    _Atomic int      stopping; /* 0, 1 = fibers are being cancelled, 2 = loops leave */
    bool             started;
    enum disk_kind   disk;
    struct {
        pthread_mutex_t mtx; /* protects what follows */
        pthread_cond_t  cond;
        struct ojobs    q;
        unsigned        nq, peak, threads, idle;
        bool            stop;
    } pool;
    _Atomic uint64_t offloads;
};

extern _Thread_local struct loop *tls_loop;
extern _Thread_local struct run  *tls_run;

void  fiber_loop_init(struct loop *l);
void  fiber_loop_fini(struct loop *l);
void  fiber_resume(struct fiber *f);    /* from the loop's own context */
void  fiber_make_ready(struct fiber *f);
void  fibers_cancel_all(struct loop *l);
void  pool_init(struct run *r);
void  pool_fini(struct run *r);
bool  disk_uring_probe(void);
int   disk_uring_loop_init(struct loop *l);
void  disk_uring_loop_fini(struct loop *l);

#endif
