/* SPDX-License-Identifier: Apache-2.0 */
/* What goes wrong: one fault after the other, drawn from the seed, for a while each; they overlap. Runs on: the scenario's thread. */
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "cluster.h"

#define X(sym, name) name,
const char *const fault_names[NFAULTS] = { FAULTS(X) };
#undef X

#define PENDING 16

/* What has to be put right, and when. */
struct cure {
    int64_t  at;
    unsigned host;
    enum { CURE_NONE, CURE_START, CURE_NET, CURE_DISK } kind;
};
static struct cure cures[PENDING];

static void
cure_later(int kind, unsigned host, int64_t ns)
{
    for (size_t i = 0; i < PENDING; i++)
        if (cures[i].kind == CURE_NONE) {
            cures[i].kind = kind;
            cures[i].host = host;
            cures[i].at = sim_now() + ns;
            return;
        }
}

static bool
curing(int kind, unsigned host)
{
    for (size_t i = 0; i < PENDING; i++)
        if ((int)cures[i].kind == kind && (cures[i].host == host || kind == CURE_NET))
            return true;
    return false;
}

bool
nemesis_cures(unsigned host)
{
    return curing(CURE_START, host);
}

static void
cure(struct cure *c)
{
    switch (c->kind) {
    case CURE_START:
        (void)sim_host_wait(c->host, SEC_NS(30));
        if (!sim_host_up(c->host))
            cl_start(c->host);
        break;
    case CURE_NET:
        sim_say("network is whole again");
        sim_net_heal();
        break;
    case CURE_DISK:
        sim_say("disk of host %u is well again", c->host);
        sim_disk_fault(c->host, NULL);
        break;
    case CURE_NONE:
        break;
    }
    c->kind = CURE_NONE;
}

static void
cures_due(bool all)
{
    for (size_t i = 0; i < PENDING; i++)
        if (cures[i].kind != CURE_NONE && (all || cures[i].at <= sim_now()))
            cure(&cures[i]);
}

static int64_t
some_time(void)
{
    static const int64_t longest[] = { 300, 2000, 8000, 15000 };

    return MSEC_NS(10 + (int64_t)sim_rand_below((uint64_t)longest[sim_rand_below(ARRAY_SIZE(longest))]));
}

static void
go_down(unsigned host, enum fault f)
{
    if (!sim_host_up(host) || curing(CURE_START, host))
        return;
    sim_say("%s: host %u", fault_names[f], host);
    if (f == FAULT_STOP)
        cl_stop(host);
    else
        cl_kill(host, f == FAULT_SILENT);
    if (f == FAULT_WIPE)
        cl_wipe(host);
    cure_later(CURE_START, host, some_time());
}

static void
both_ways(unsigned a, unsigned b)
{
    sim_net_block(a, b, true);
    sim_net_block(b, a, true);
}

/* Two camps that do not hear each other; clients hear all, or are in one of them. */
static void
camps(void)
{
    bool side[SIM_HOSTS];
    bool clients_too = sim_rand_below(4) == 0;

    for (unsigned h = 0; h <= cl_nodes(); h++)
        side[h] = sim_rand_below(2) == 0;
    for (unsigned a = clients_too ? 0 : 1; a <= cl_nodes(); a++)
        for (unsigned b = a + 1; b <= cl_nodes(); b++)
            if (side[a] != side[b])
                both_ways(a, b);
}

static void
cut(enum fault f)
{
    unsigned h = 1 + (unsigned)sim_rand_below(cl_nodes()), b;

    if (curing(CURE_NET, 0))
        return;
    sim_say("%s: host %u", fault_names[f], h);
    if (f == FAULT_PARTITION) {
        camps();
    } else if (f == FAULT_ISOLATE) {
        for (b = 1; b <= cl_nodes(); b++)
            if (b != h)
                both_ways(h, b);
    } else {
        bool in = sim_rand_below(2) == 0;

        for (b = 1; b <= cl_nodes(); b++)
            if (b != h && sim_rand_below(2) == 0)
                sim_net_block(in ? b : h, in ? h : b, true);
    }
    cure_later(CURE_NET, 0, some_time());
}

static void
spoil_disk(enum fault f)
{
    unsigned        h = 1 + (unsigned)sim_rand_below(cl_nodes());
    struct sim_disk d = { 0 };

    if (curing(CURE_DISK, h))
        return;
    if (f == FAULT_SLOW)
        d.slow = MSEC_NS(1 + (int64_t)sim_rand_below(60));
    else if (f == FAULT_EIO)
        d.eio_ppm = 20000;
    else
        d.full = true;
    sim_say("%s: host %u", fault_names[f], h);
    sim_disk_fault(h, &d);
    cure_later(CURE_DISK, h, some_time());
}

static void
strike(enum fault f)
{
    unsigned proxy = 1 + (unsigned)sim_rand_below(cl.proxies), target = cl.proxies + 1 + (unsigned)sim_rand_below(cl.targets);
    unsigned any = 1 + (unsigned)sim_rand_below(cl_nodes());

    switch (f) {
    case FAULT_KILL_TARGET:
        go_down(target, f);
        break;
    case FAULT_KILL_PROXY:
        go_down(proxy, f);
        break;
    case FAULT_STOP:
    case FAULT_SILENT:
        go_down(any, f);
        break;
    case FAULT_WIPE:
        go_down(proxy, f);
        break;
    case FAULT_PARTITION:
    case FAULT_ONEWAY:
    case FAULT_ISOLATE:
        cut(f);
        break;
    case FAULT_CLOCK:
        sim_say("clock: host %u", any);
        sim_clock_jump(any, (int64_t)sim_rand_below((uint64_t)SEC_NS(7200)) - SEC_NS(3600));
        break;
    case FAULT_SLOW:
    case FAULT_EIO:
    case FAULT_FULL:
        spoil_disk(f);
        break;
    case NFAULTS:
        break;
    }
}

void
nemesis_run(unsigned faults, int64_t until)
{
    while (sim_now() < until) {
        enum fault f = (enum fault)sim_rand_below(NFAULTS);

        cures_due(false);
        if (faults >> f & 1)
            strike(f);
        sim_sleep(MSEC_NS(20 + (int64_t)sim_rand_below(400)));
    }
    sim_say("the faults end");
    cures_due(true);
    for (unsigned h = 1; h <= cl_nodes(); h++)
        if (!sim_host_up(h))
            cl_start(h);
}
