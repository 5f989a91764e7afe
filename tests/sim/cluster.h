/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster under the simulator: its hosts, their files, their life; clients; what must hold.
 *
 * Hosts 1 .. proxies are proxies, the following ones targets. One of everything: a program runs one seed.
 */
#ifndef SIM_CLUSTER_H
#define SIM_CLUSTER_H

#include "core/node.h"
#include "net/client.h"
#include "run/fiber.h"
#include "run/sim/sim.h"

#define SIM_ROOT "/dev/shm/ais-sim" /* private to each run: placement depends on paths, so they must always be the same */

struct cl_conf {
    uint64_t seed;
    unsigned proxies, targets, mountpaths;
};

struct cl_node {
    unsigned     host;
    bool         proxy, ready, stop, failed;
    bool         told; /* the primary told it to end */
    struct node *node; /* while it runs */
    unsigned     starts;
    int64_t      ended; /* when it could not start */
    char         why[256];
};

extern struct cl_conf cl;

void            cl_init(const struct cl_conf *c); /* files of all nodes */
unsigned        cl_nodes(void);                   /* hosts 1 .. that */
struct cl_node *cl_node(unsigned host);
const char     *cl_url(unsigned host); /* public */
void            cl_start(unsigned host);
void            cl_stop(unsigned host); /* ask it to end well; does not wait */
void            cl_kill(unsigned host, bool silent);
void            cl_wipe(unsigned host); /* its disks are empty, its configuration is gone */
/* What a service manager does, called now and then: who could not start is started again after a while. */
void cl_supervise(void);
/* Every node runs and agrees that all are there, within ns. */
bool cl_ready(int64_t ns);

/* A broken promise: printed, counted; the run goes on to the end of its phase. */
void     wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
unsigned wrongs(void);

/* --- clients (client.c) --- */
void clients_init(void);
/* One exchange, on a fiber of the clients; redirects are followed. The status, or a negative code. */
int  ask(unsigned host, enum method m, struct str target, struct str body, struct arena *a, struct hc_resp *out);
void clients_spawn(fiber_f *fn, void *arg);
/* Run fn on a client fiber and wait for it. */
void clients_call(void (*fn)(void *arg), void *arg);

/* --- histories (history.c): is there an order in which one register could have done all this? --- */
enum hkind { H_WRITE, H_READ, H_CREATE, H_CREATE_EXISTS, H_DESTROY, H_DESTROY_NONE };
struct hop {
    enum hkind kind;
    uint64_t   value;    /* written or read; 0 = absent */
    int64_t    inv, ret; /* ret INT64_MAX: nobody knows whether it happened, or when */
    int        client;
};
struct history {
    struct hop *op;
    size_t      n, cap;
    char        name[64];
};
size_t hist_begin(struct history *h, enum hkind kind, uint64_t value, int client); /* index of the operation */
void   hist_end(struct history *h, size_t i, enum hkind kind, uint64_t value);
void   hist_drop(struct history *h, size_t i); /* it did not happen, or says nothing */
bool   hist_check(const struct history *h);    /* true: linearizable */
void   hist_print(const struct history *h);

/* --- workload.c --- */
struct workload_conf {
    unsigned clients, buckets, objects, churn; /* churn: buckets that come and go */
};
bool workload_start(const struct workload_conf *c); /* makes the buckets; false: could not */
void workload_stop(void);                           /* waits until every client has ended */
void workload_verify(void); /* after healing: read everything, list everything, check all histories */
struct workload_stats {
    uint64_t ops, ok, refused; /* refused: 503 and broken exchanges */
};
extern struct workload_stats wstats;

/* --- nemesis.c --- */
/* clang-format off */
#define FAULTS(X) \
    X(KILL_TARGET, "kill-target") X(KILL_PROXY, "kill-proxy") X(STOP, "stop") X(SILENT, "silent") X(PARTITION, "partition") \
    X(ONEWAY, "oneway") X(ISOLATE, "isolate") X(CLOCK, "clock") X(SLOW, "slow-disk") X(EIO, "eio") X(FULL, "full-disk") \
    X(WIPE, "wipe")
/* clang-format on */
#define X(sym, name) FAULT_##sym,
enum fault { FAULTS(X) NFAULTS };
#undef X
extern const char *const fault_names[NFAULTS];
/* Faults, one bit each, until that time; then everything is healed and started. */
void nemesis_run(unsigned faults, int64_t until);

/* Is it to put this host right later? */
bool nemesis_cures(unsigned host);

/* --- operator.c: an administrator --- */
/* clang-format off */
#define DEEDS(X) X(MAINTENANCE, "maintenance") X(DECOMMISSION, "decommission") X(JOIN, "join") X(REBALANCE, "rebalance")
/* clang-format on */
#define X(sym, name) DEED_##sym,
enum deed { DEEDS(X) NDEEDS };
#undef X
extern const char *const deed_names[NDEEDS];
/* Deeds, one bit each, one after the other; the host after the last one has files and is started when it is to join. */
void operator_start(unsigned deeds);
void operator_stop(void);   /* puts everything right, and waits for that */
void operator_settle(void); /* then all rebalances must end, and nothing be left to be moved */

/* --- scale.c: instead of a workload --- */
void scale_run(unsigned targets);

#endif
