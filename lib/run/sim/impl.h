/* SPDX-License-Identifier: Apache-2.0 */
/* Private to lib/run/sim: threads, events, hosts. */
#ifndef RUN_SIM_IMPL_H
#define RUN_SIM_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "sim.h"

/* A function that stands where libc's was: __wrap_f is what the program calls, __real_f is libc's. */
#define WRAP(ret, name, ...)                                                                                                    \
    ret __real_##name(__VA_ARGS__);                                                                                             \
    ret __wrap_##name(__VA_ARGS__);                                                                                             \
    ret __wrap_##name(__VA_ARGS__)
#define REAL(ret, name, ...) ret __real_##name(__VA_ARGS__)

#define SIM_FD 0x100000 /* descriptors of simulated things start here */
#define NEVER  INT64_MAX

enum tstate { T_RUNNABLE, T_BLOCKED, T_DONE, T_DEAD };

struct shost;

struct sthread {
    unsigned     id;
    struct shost *host;
    unsigned     incarnation; /* of the host: a thread of an older one is dead */
    pthread_t    pt;
    _Atomic int  baton;
    enum tstate  state;
    bool         detached;
    bool         loop;     /* has called epoll_wait: never sleeps in a disk call */
    uint64_t     gen;      /* of its waits */
    const void  *key;      /* waited for, NULL = time only */
    int          result;   /* of the wait: 0 or ETIMEDOUT */
    void *(*fn)(void *);
    void *arg;
    TAILQ_ENTRY(sthread) wait; /* in its bucket of waiters */
    TAILQ_ENTRY(sthread) all;
};

struct shost {
    unsigned        index, incarnation;
    char            name[32];
    bool            up, powered; /* powered: answers packets, if only with resets */
    int64_t         mono_off, real_off;
    uint64_t        rng;
    struct sim_disk disk;
    bool            disk_faulty;
    uint64_t        sent, pid;
};

struct sim {
    struct sim_conf conf;
    bool            on;
    int64_t         now;
    uint64_t        hash, steps;
    uint64_t        rng_sched, rng_net, rng_disk, rng_app;
    struct sthread *cur;
    struct shost    host[SIM_HOSTS];
};
extern struct sim sim;

/* --- sched.c --- */
uint64_t srand_next(uint64_t *state);
int64_t  srand_range(uint64_t *state, int64_t lo, int64_t hi);
bool     srand_chance(uint64_t *state, uint32_t ppm);
/* Events: fn(p, v) when the time has come, on whichever thread is at hand; it must not wait. */
void sim_at(int64_t when, void (*fn)(void *p, uint64_t v), void *p, uint64_t v);
/* Park the calling thread until woken by key or until deadline: 0 or ETIMEDOUT. */
int  sim_block(const void *key, int64_t deadline);
void sim_wake(const void *key, unsigned n);
void sim_preempt(void); /* perhaps let another thread go on */
void sim_note(unsigned kind, uint64_t a, uint64_t b); /* into the hash */
void sim_note_bytes(const void *p, size_t n);
void sim_die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn)); /* the simulation itself is broken */

/* --- sock.c --- */
void sock_host_killed(struct shost *h, bool silent);
void sock_unstall(void); /* a link or a machine is back */
bool sock_fd(int fd);
int  sock_close(int fd);
long sock_read(int fd, void *p, size_t n);
long sock_write(int fd, const void *p, size_t n);

/* --- file.c --- */
void file_host_killed(struct shost *h);
long sys_openat2(int dirfd, const char *path, const void *how, size_t n);

#endif
