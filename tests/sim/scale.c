/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How control traffic and the map grow with the cluster: one cluster that grows, measured at rest and while one more target joins.
 *
 * Prints a table, as in docs/scale.md. Runs on: the thread of the scenario.
 */
#include <stdio.h>

#include "base/util.h"
#include "cluster.h"

#define REST SEC_NS(30)

struct sample {
    struct sim_traffic t;
    uint64_t           primary; /* bytes that host 1 sent */
    int64_t            at;
};

static struct sample
sample(void)
{
    struct sample s = { .at = sim_now(), .primary = sim_host_sent(1) };

    sim_net_traffic(&s.t);
    return s;
}

struct sizes {
    size_t smap, bmd;
};

static size_t
size_of(const char *what)
{
    struct arena  *a = arena_new(64 * KIB, 64 * MIB);
    struct hc_resp resp;
    size_t         n = 0;

    if (ask(1, M_GET, arena_printf(a, "/v1/daemon?what=%s", what), STR_NULL, a, &resp) == 200)
        n = resp.body.n;
    arena_free(a);
    return n;
}

static void
sizes(void *arg)
{
    struct sizes *s = arg;

    s->smap = size_of("smap");
    s->bmd = size_of("bmd");
}

static bool
grow(unsigned targets)
{
    unsigned had = cl.targets;

    cl.targets = targets;
    for (unsigned h = cl.proxies + had + 1; h <= cl_nodes(); h++)
        cl_start(h);
    return cl_ready(SEC_NS(300));
}

static void
row(unsigned targets)
{
    struct sample a = sample(), b, c;
    struct sizes  z = { 0 };
    double        secs, ms;

    sim_sleep(REST);
    b = sample();
    secs = (double)(b.at - a.at) / 1e9;
    if (!grow(targets + 1)) {
        wrong("a target does not join %u others", targets);
        return;
    }
    c = sample();
    ms = (double)(c.at - b.at) / 1e6;
    sim_sleep(SEC_NS(3)); /* what it causes afterwards belongs to it, too; what would have been sent anyway does not */
    c = sample();
    clients_call(sizes, &z);
    secs = (double)(b.at - a.at) / 1e9;
    printf("| %u+%u | %.0f | %.1f | %.1f | %.0f | %.0f | %.0f | %.1f |\n", cl.proxies, targets,
           (double)(b.t.segments - a.t.segments) / secs, (double)(b.t.bytes - a.t.bytes) / secs / 1024,
           (double)(b.primary - a.primary) / secs / 1024,
           (double)(c.t.segments - b.t.segments) - (double)(b.t.segments - a.t.segments) / secs * (double)(c.at - b.at) / 1e9,
           ((double)(c.t.bytes - b.t.bytes) - (double)(b.t.bytes - a.t.bytes) / secs * (double)(c.at - b.at) / 1e9) / 1024, ms,
           (double)z.smap / 1024);
    fflush(stdout);
}

void
scale_run(unsigned targets)
{
    static const unsigned steps[] = { 3, 10, 50, 100, 200 };

    sim_net_calm();
    for (unsigned h = 1; h <= cl.proxies; h++)
        cl_start(h);
    cl.targets = 0;
    printf("| proxies+targets | messages/s at rest | KiB/s at rest | KiB/s from the primary | messages a join | KiB a join | ms a join | map KiB |\n"
           "|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < ARRAY_SIZE(steps) && steps[i] <= targets; i++) {
        if (!grow(steps[i])) {
            wrong("%u targets do not form a cluster within 300 s", steps[i]);
            return;
        }
        sim_sleep(SEC_NS(5));
        row(steps[i]);
    }
}
