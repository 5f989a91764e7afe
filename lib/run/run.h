/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime: one loop a core, an offload pool, disk I/O, clocks and randomness. Who runs when.
 *
 * Everything above lib/run and lib/net gets time, randomness, disk and network only through them, so that the same code runs
 * under the deterministic simulator: there a run is created with other operations behind the same functions. No function here
 * needs a global: the current loop and fiber are properties of the thread.
 *
 * Threads: run_* by the thread that owns the run; the rest says so itself. design.md 4.
 */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct run;
struct loop;
struct sbuf;

#define NO_DEADLINE INT64_MAX /* deadlines are absolute, CLOCK_MONOTONIC nanoseconds */

enum disk_kind { DISK_AUTO, DISK_URING, DISK_THREADS };

struct run_conf {
    unsigned       nloops;          /* 0 = one for each core that the process may use */
    bool           pin;             /* pin loop i to the i-th CPU of the process's affinity mask */
    unsigned       offload_threads; /* most threads of the offload pool; 0 = 2 per CPU, at least 4. Started on demand */
    enum disk_kind disk;            /* DISK_AUTO probes io_uring once and logs the choice; env AIS_DISK=uring|threads wins */
    size_t         stack_size;      /* address space of a fiber stack; 0 = 256 KiB */
    unsigned       max_fibers;      /* per loop; 0 = 16384. Beyond it fiber_spawn returns -AIS_E_OVERLOAD */
    int64_t        watchdog_ns;     /* report a loop that did not turn for so long; 0 = 50 ms, negative = off */
    const char    *tag;             /* log tag of the threads, e.g. "t[abc]" */
};

struct run_stats {
    uint64_t fibers_live, fibers_peak, stack_peak_bytes, loop_turns, loop_stalls, offloads, offload_queue_peak;
    uint64_t disk_inline; /* operations answered from the page or dentry cache without leaving the loop */
    uint64_t disk_async;  /* operations that went to io_uring or a worker */
};

/* 0 or -AIS_E_*. The loops exist but do not turn yet. May block. */
int  run_new(const struct run_conf *c, struct run **out);
void run_start(struct run *r); /* starts the threads */
/*
 * Cancel all fibers, also those that are started from now on, and wait until they ended, at most grace_ns; the loops go on turning, so
 * that what fibers use can be taken down before run_stop. False: some are left (in a call that does not return). Blocks.
 */
bool run_cancel(struct run *r, int64_t grace_ns);
/* Ask the loops to stop: remaining fibers are cancelled and get until deadline to leave. Blocks until the threads ended. */
void run_stop(struct run *r, int64_t grace_ns);
void run_free(struct run *r);

unsigned       run_nloops(const struct run *r);
struct loop   *run_loop(struct run *r, unsigned i);
enum disk_kind run_disk_kind(const struct run *r);
void           run_stats(struct run *r, struct run_stats *out); /* any thread */
/* Every fiber: name, label, state, age, stack use. Any thread; may block. */
void           run_dump_fibers(struct run *r, struct sbuf *out);

struct loop *loop_self(void); /* NULL off the loops */
struct run  *loop_run(struct loop *l);
unsigned     loop_index(const struct loop *l);
/* Per-loop pointer slots for upper layers (net keeps its connection pools there). Only on the loop itself. */
#define LOOP_SLOTS 8
void *loop_slot(struct loop *l, unsigned slot);
void  loop_set_slot(struct loop *l, unsigned slot, void *p);

/* Clocks. loop_now is cached once a turn (good for deadlines); clock_* ask. Real time: Unix nanoseconds. Any thread. */
int64_t loop_now(void);
int64_t clock_mono(void);
int64_t clock_real(void);
static inline int64_t
deadline_in(int64_t now, int64_t ns)
{
    return ns >= NO_DEADLINE - now ? NO_DEADLINE : now + ns;
}

/* Randomness: unpredictable outside the simulator. Any thread. */
uint64_t rand_u64(void);
void     rand_bytes(void *p, size_t n);

/*
 * Messages between loops: pushed to the target's mailbox; the loop is woken only if it sleeps. The message is the sender's memory
 * until fn runs (on the target loop, not on a fiber: fn must not park). Any thread.
 */
struct msg {
    struct msg *next;
    void (*fn)(struct msg *m);
};
void loop_post(struct loop *l, struct msg *m);

/* One-shot callback timers, on the loop itself only; fn runs on the loop, not on a fiber. Fibers just sleep instead. */
struct timer {
    int64_t  at;
    uint32_t heap_idx; /* 0 = not armed */
    void (*fn)(struct timer *t);
};
void timer_arm(struct loop *l, struct timer *t, int64_t at);
void timer_disarm(struct loop *l, struct timer *t);

/*
 * Readiness of a descriptor, edge-triggered, registered once for read, write and hang-up together. fn runs on the loop, not on
 * a fiber. Only on the loop itself. After iowatch_del fn is not called again, not even for events of the same turn.
 */
#define IOW_READ  1u
#define IOW_WRITE 2u
#define IOW_HUP   4u /* peer closed or error */
struct iowatch {
    int fd;
    void (*fn)(struct iowatch *w, unsigned events);
    struct loop *loop;
    uint32_t     gen; /* internal */
};
int  iowatch_add(struct loop *l, struct iowatch *w, int fd, void (*fn)(struct iowatch *, unsigned));
void iowatch_del(struct iowatch *w);
/* Like iowatch_add, level-triggered and for reading only: listeners. */
int  iowatch_add_level(struct loop *l, struct iowatch *w, int fd, void (*fn)(struct iowatch *, unsigned));

#endif
