/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deterministic simulator: many hosts in one process, on virtual time, under a seed.
 *
 * It stands below libc, not beside lib/run: a program that links it is linked with --wrap for every function through which our code
 * meets the world (wrap.list), and what is behind those functions is simulated: threads, locks, clocks, randomness, sockets, epoll.
 * So the code of the nodes, of lib/run and of lib/net runs as it is, threads and all. Exactly one thread runs at a time, and which
 * one comes next, how long everything takes, what is lost and what fails is drawn from the seed. README.md.
 *
 * All functions: on a simulated thread. Times are nanoseconds; virtual time starts at 0 and moves only when every thread waits.
 */
#ifndef RUN_SIM_H
#define RUN_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_HOSTS 256 /* host 0 is the outside world: whoever called sim_begin */

struct sim_conf {
    uint64_t seed;
    bool     trace;       /* print every event to standard error */
    bool     log;         /* print what nodes log */
    const char *root;     /* everything simulated hosts write lies below: disk faults and fake /proc files are told by it */
    /* Network, drawn anew for each segment. */
    int64_t  delay_min, delay_max; /* one way */
    uint32_t slow_ppm;    /* segments that take up to slow_max */
    int64_t  slow_max;
    uint32_t loss_ppm;    /* segments that have to be sent again: at least 200 ms */
    uint32_t reset_ppm;   /* segments that break their connection */
    uint32_t window;      /* bytes under way in one direction of a connection */
    /* Threads. */
    uint32_t preempt_ppm; /* a call that lets others go on (unlock, signal) is where another thread takes over */
    /* Disk. */
    int64_t  disk_max;    /* the longest ordinary call */
    int64_t  flush_max;   /* the longest fsync */
};

/* Become the first simulated thread, on host 0, until sim_end. Once a process. */
void sim_begin(const struct sim_conf *c);
void sim_end(void);

int64_t  sim_now(void);
uint64_t sim_hash(void);   /* of everything that happened so far: equal seeds give equal hashes */
uint64_t sim_steps(void);  /* thread changes so far */
void     sim_sleep(int64_t ns);
void     sim_trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A line for the history of this run, printed with its virtual time; also without trace. */
void     sim_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Randomness of the scenario: independent of what nodes and network draw. */
uint64_t sim_rand(void);
uint64_t sim_rand_below(uint64_t n); /* n > 0 */
bool     sim_chance(uint32_t ppm);   /* of a million */

/*
 * Hosts. A host runs one process; its main thread runs fn(arg) and may start others. When fn returns the process has ended well.
 * Killing it takes its threads and sockets away where they stand; its memory is not given back (a run is one process: it ends soon).
 */
typedef void sim_main_f(void *arg);
void sim_host_start(unsigned host, const char *name, sim_main_f *fn, void *arg);
/* silent: nobody is told, as when a machine loses power; otherwise peers see resets, as when a process is killed. */
void sim_host_kill(unsigned host, bool silent);
bool sim_host_up(unsigned host);
unsigned sim_host_self(void);
/* Wait until the process of the host has ended by itself. False: it still runs after ns. */
bool sim_host_wait(unsigned host, int64_t ns);

/* From now on nothing that `from` sends reaches `to`; connections stall. Unblocked, what was held back is sent again. */
void sim_net_block(unsigned from, unsigned to, bool on);
bool sim_net_blocked(unsigned from, unsigned to);
void sim_net_heal(void);
void sim_net_calm(void); /* from now on nothing is lost, slow or reset */

/* The real-time clock of a host jumps by so much (monotonic time never does). */
void sim_clock_jump(unsigned host, int64_t ns);

struct sim_disk {
    const char *under;     /* faults for paths that contain this; NULL = all of the host below root */
    uint32_t    eio_ppm;   /* reads, writes and flushes that fail */
    bool        full;      /* nothing grows: ENOSPC */
    int64_t     slow;      /* every call takes up to so much longer */
};
void sim_disk_fault(unsigned host, const struct sim_disk *f); /* NULL: healthy again */

/* What hosts sent each other so far, without host 0. */
struct sim_traffic {
    uint64_t segments, bytes, connects;
};
void sim_net_traffic(struct sim_traffic *out);
uint64_t sim_host_sent(unsigned host); /* bytes, to hosts other than 0 */

#endif
