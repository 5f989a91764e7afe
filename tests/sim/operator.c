/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An administrator: takes targets out for maintenance and back, decommissions them and lets them join again, adds one, starts rebalances,
 * while all the rest goes on. Whatever an answer says, what counts is the map: a deed ends when the map has it.
 *
 * Runs on: a fiber of the clients.
 */
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "cluster.h"

#define AFTER  SEC_NS(120) /* after the last fault everything must have been put right within that */
#define REST   SEC_NS(60)  /* and the rebalances must have ended within that */

#define X(sym, name) name,
const char *const deed_names[NDEEDS] = { DEEDS(X) };
#undef X

static struct {
    unsigned deeds, spare; /* spare: a host that may still join; 0 = none */
    bool     stop, running;
    int64_t  until;
} op;

/* --- what the map says --- */

enum standing { UNKNOWN, AWAY, ACTIVE, MAINTAINED, LEAVING };

/* How the target stands in the map of the primary; UNKNOWN while there is none. */
static enum standing
standing(unsigned host)
{
    enum standing s = UNKNOWN;
    uint64_t      newest = 0;
    char          id[32];

    snprintf(id, sizeof(id), "t%u-target", host);
    for (unsigned p = 1; p <= cl.proxies; p++) {
        struct node        *n = cl_node(p)->ready ? cl_node(p)->node : NULL;
        const struct snode *t;
        struct views        v;

        if (n == NULL)
            continue;
        views_get(n, &v);
        if (n->cons != NULL && cons_is_leader(n->cons) && node_is_primary(n, v.smap) && v.smap->version > newest) {
            newest = v.smap->version;
            t = smap_find(v.smap, str_z(id));
            s = t == NULL ? AWAY : (t->flags & SNODE_DECOMM) ? LEAVING : (t->flags & SNODE_MAINT) ? MAINTAINED : ACTIVE;
        }
        views_put(&v);
    }
    return s;
}

/* Time for it? False: the faults are over, and so is the time to put things right. */
static bool
wait_a_bit(void)
{
    (void)fiber_sleep(MSEC_NS(100 + (int64_t)sim_rand_below(400)));
    if (op.stop && op.until == 0)
        op.until = sim_now() + AFTER;
    return op.until == 0 || sim_now() < op.until;
}

static void
some_rest(int64_t longest)
{
    int64_t until = sim_now() + (int64_t)sim_rand_below((uint64_t)longest);

    while (!op.stop && sim_now() < until)
        (void)fiber_sleep(MSEC_NS(100));
}

static int
tell(struct arena *a, struct str body, struct hc_resp *resp)
{
    int rc = ask(1 + (unsigned)sim_rand_below(cl.proxies), M_PUT, STR_LIT("/v1/cluster"), body, a, resp);

    sim_say("operator %.*s: %d %.*s", STR_FMT(body), rc, rc < 0 ? 0 : (int)MIN(resp->body.n, (size_t)160), resp->body.p);
    arena_reset(a);
    return rc;
}

static int
tell_of(struct arena *a, const char *action, unsigned host, const char *more)
{
    struct hc_resp resp;

    return tell(a, arena_printf(a, "{\"action\":\"%s\",\"value\":{\"sid\":\"t%u-target\"%s}}", action, host, more), &resp);
}

/* --- deeds --- */

static const char *
perhaps_skip(void)
{
    return sim_rand_below(3) == 0 ? ",\"skip_rebalance\":true" : "";
}

/* Until it runs and is active: end its maintenance; start it when it was told to end, perhaps with empty disks. */
static void
bring_back(unsigned host, bool wipe, struct arena *a)
{
    struct cl_node *n = cl_node(host);

    for (;;) {
        if (!sim_host_up(host) && n->told && !nemesis_cures(host)) {
            some_rest(SEC_NS(3));
            if (sim_host_up(host))
                continue;
            if (wipe)
                cl_wipe(host);
            cl_start(host);
        } else if (sim_host_up(host) && n->ready && !n->told) {
            enum standing s = standing(host);

            if (s == ACTIVE)
                return;
            if (s == MAINTAINED)
                (void)tell_of(a, "stop-maintenance", host, perhaps_skip());
        }
        if (!wait_a_bit()) {
            wrong("t%u neither leaves nor comes back (%s%s)", host, sim_host_up(host) ? "up" : "down", n->told ? ", told to end" : "");
            return;
        }
    }
}

static void
maintenance(unsigned host, struct arena *a)
{
    (void)tell_of(a, "start-maintenance", host, perhaps_skip());
    some_rest(SEC_NS(5));
    bring_back(host, false, a);
}

/* Its objects go to others; it is told to end; after a while it comes as a new one, or with what its disks still have. */
static void
decommission(unsigned host, struct arena *a)
{
    (void)tell_of(a, "decommission-node", host, sim_rand_below(2) == 0 ? ",\"rm_user_data\":true" : "");
    bring_back(host, sim_rand_below(2) == 0, a);
}

static void
join(void)
{
    unsigned host = op.spare;

    if (host == 0)
        return;
    op.spare = 0;
    cl.targets++;
    cl_start(host);
}

static void
deed(enum deed d, struct arena *a)
{
    unsigned       host = cl.proxies + 1 + (unsigned)sim_rand_below(cl.targets);
    struct hc_resp resp;

    switch (d) {
    case DEED_MAINTENANCE:
        maintenance(host, a);
        break;
    case DEED_DECOMMISSION:
        decommission(host, a);
        break;
    case DEED_JOIN:
        join();
        break;
    case DEED_REBALANCE:
        (void)tell(a, STR_LIT("{\"action\":\"start\",\"value\":{\"kind\":\"rebalance\"}}"), &resp);
        break;
    case NDEEDS:
        break;
    }
}

static void
op_main(void *arg)
{
    struct arena *a = arena_new(64 * KIB, 16 * MIB);

    UNUSED(arg);
    while (!op.stop) {
        enum deed d = (enum deed)sim_rand_below(NDEEDS);

        some_rest(SEC_NS(4));
        if (!op.stop && (op.deeds >> d & 1))
            deed(d, a);
    }
    for (unsigned h = cl.proxies + 1; h <= cl_nodes(); h++) /* what was not answered may have happened later */
        bring_back(h, false, a);
    arena_free(a);
    op.running = false;
}

void
operator_start(unsigned deeds)
{
    op.deeds = deeds;
    op.spare = cl_nodes() + 1;
    op.running = true;
    clients_spawn(op_main, NULL);
}

void
operator_stop(void)
{
    op.stop = true;
    while (op.running)
        sim_sleep(MSEC_NS(20));
}

/* --- afterwards --- */

static bool
settled(void)
{
    for (unsigned p = 1; p <= cl.proxies; p++) {
        struct views v;
        bool         is;

        if (!cl_node(p)->ready)
            return false;
        views_get(cl_node(p)->node, &v);
        is = v.rmd->state != RMD_RUNNING && v.rmd->nchain == 0;
        views_put(&v);
        if (!is)
            return false;
    }
    return true;
}

static void
settle(void *arg)
{
    struct arena  *a = arena_new(64 * KIB, 16 * MIB);
    int64_t        until = sim_now() + REST, asked = sim_now();
    struct hc_resp resp;

    UNUSED(arg);
    while (!settled() && sim_now() < until) {
        (void)fiber_sleep(MSEC_NS(200));
        if (sim_now() - asked > SEC_NS(10)) { /* an aborted one, or a return without one, has left something */
            (void)tell(a, STR_LIT("{\"action\":\"start\",\"value\":{\"kind\":\"rebalance\"}}"), &resp);
            asked = sim_now();
        }
    }
    if (!settled())
        wrong("no rebalance settles the maps within %lld s", (long long)(REST / NSEC_PER_SEC));
    arena_free(a);
}

void
operator_settle(void)
{
    clients_call(settle, NULL);
}
