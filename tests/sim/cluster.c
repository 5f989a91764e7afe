/* SPDX-License-Identifier: Apache-2.0 */
/* The hosts of a simulated cluster: files, start, stop, kill. Runs on: the thread of the scenario, and each node's main thread. */
#include "cluster.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/role_types.h"
#include "base/assert.h"
#include "base/util.h"

#define PORT(host, net) (10000 + 10000 * (net) + (host))
#define KEY "1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

struct cl_conf cl;

static struct cl_node nodes[SIM_HOSTS];
static char           urls[SIM_HOSTS][32];
static unsigned       nwrong;

void
wrong(const char *fmt, ...)
{
    char    buf[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    fprintf(stderr, "sim: seed %llu at %.3f s: %s\n", (unsigned long long)cl.seed, (double)sim_now() / 1e9, buf);
    nwrong++;
}

unsigned
wrongs(void)
{
    return nwrong;
}

unsigned
cl_nodes(void)
{
    return cl.proxies + cl.targets;
}

struct cl_node *
cl_node(unsigned host)
{
    return &nodes[host];
}

const char *
cl_url(unsigned host)
{
    return urls[host];
}

/* --- files --- */

static void
file_write(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");

    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0 || chmod(path, mode) != 0)
        ais_bug("cannot write %s", path);
}

static void
node_files(unsigned host)
{
    auto_free char *dir = xasprintf("%s/%u", SIM_ROOT, host), *local = xasprintf("%s/local.json", dir);
    auto_free char *key = xasprintf("%s/.ais.cluster_key", dir);
    auto_free char *text = xasprintf(
        "{\"confdir\":\"%s\",\"log_dir\":\"\",\"fspaths\":{},\"test_fspaths\":{\"root\":\"" SIM_ROOT "/data\",\"count\":%u,\"instance\":%u},"
        "\"host_net\":{\"hostname\":\"127.0.0.1\",\"hostname_intra_control\":\"\",\"hostname_intra_data\":\"\",\"port\":\"%u\","
        "\"port_intra_control\":\"%u\",\"port_intra_data\":\"%u\"}}",
        dir, nodes[host].proxy ? 0 : cl.mountpaths, host, PORT(host, 0), PORT(host, 1), PORT(host, 2));

    (void)mkdir(dir, 0755);
    file_write(local, text, 0644);
    file_write(key, KEY, 0600);
}

void
cl_init(const struct cl_conf *c)
{
    auto_free char *conf = xasprintf("{\"proxy\":{\"primary_url\":\"http://127.0.0.1:%u\",\"original_url\":\"http://127.0.0.1:%u\"},"
                                     "\"timeout\":{\"startup_time\":\"30s\"},\"versioning\":{\"enabled\":true}}",
                                     PORT(1, 1), PORT(1, 1));

    cl = *c;
    file_write(SIM_ROOT "/ais.json", conf, 0644);
    (void)mkdir(SIM_ROOT "/data", 0755);
    for (unsigned h = 1; h <= cl_nodes(); h++) {
        nodes[h].host = h;
        nodes[h].proxy = h <= cl.proxies;
        snprintf(urls[h], sizeof(urls[h]), "http://127.0.0.1:%u", PORT(h, 0));
        node_files(h);
    }
}

static int
rm_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    UNUSED(st);
    UNUSED(type);
    UNUSED(f);
    return remove(path);
}

void
cl_wipe(unsigned host)
{
    auto_free char *dir = xasprintf("%s/%u", SIM_ROOT, host);

    for (unsigned i = 0; i < cl.mountpaths; i++) {
        auto_free char *mp = xasprintf("%s/data/%u/mp%u", SIM_ROOT, host, i + 1);

        (void)nftw(mp, rm_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    (void)nftw(dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
    node_files(host);
}

/* --- life --- */

/* The node wants to end. Called on a thread of its host. */
static void
ask_end(void)
{
    struct cl_node *n = &nodes[sim_host_self()];

    n->told = n->stop = true;
}

static void
node_main(void *arg)
{
    struct cl_node  *n = arg;
    auto_free char  *local = xasprintf("%s/%u/local.json", SIM_ROOT, n->host), *id = NULL;
    struct node_opts o = { .config = SIM_ROOT "/ais.json", .local_config = local, .nloops = 1, .ntargets = n->proxy ? MIN(cl.targets, 3u) : 0 };
    struct err       e;
    struct node     *node = NULL;
    struct wipe     *wipe;
    int              rc;

    id = xasprintf("%c%u-%s", n->proxy ? 'p' : 't', n->host, n->proxy ? "proxy" : "target");
    o.daemon_id = id;
    o.ask_end = ask_end;
    o.impl = n->proxy ? &proxy_role : &target_role;
    err_clear(&e);
    rc = node_start(&o, &node, &e);
    if (rc < 0) {
        snprintf(n->why, sizeof(n->why), "%.200s", e.text);
        sim_say("cannot start: %s", e.text);
        n->ended = sim_now();
        n->failed = true;
        return;
    }
    n->node = node;
    n->ready = true;
    while (!n->stop)
        sim_sleep(MSEC_NS(50));
    n->ready = false;
    n->node = NULL;
    wipe = wipe_plan(node, &o);
    if (!node_stop(node))
        wrong("host %u does not stop", n->host);
    wipe_run(wipe);
}

void
cl_start(unsigned host)
{
    struct cl_node *n = &nodes[host];
    char            name[16];

    ASSERT(!sim_host_up(host));
    n->ready = n->stop = n->failed = n->told = false;
    n->node = NULL;
    n->starts++;
    node_files(host); /* a decommissioned one removed them */
    snprintf(name, sizeof(name), "%c%u", n->proxy ? 'p' : 't', host);
    sim_say("%s starts", name);
    sim_host_start(host, name, node_main, n);
}

void
cl_stop(unsigned host)
{
    nodes[host].stop = true;
}

void
cl_kill(unsigned host, bool silent)
{
    nodes[host].ready = false;
    nodes[host].node = NULL;
    sim_host_kill(host, silent);
}

void
cl_supervise(void)
{
    for (unsigned h = 1; h <= cl_nodes(); h++)
        if (nodes[h].failed && !sim_host_up(h) && !nemesis_cures(h) && sim_now() - nodes[h].ended > SEC_NS(1))
            cl_start(h);
}

static bool
all_ready(void)
{
    for (unsigned h = 1; h <= cl_nodes(); h++) {
        unsigned want = NODE_NODE_STARTED | NODE_CLUSTER_STARTED;
        struct views v;
        bool         all;

        if (!nodes[h].ready || (atomic_load(&nodes[h].node->flags) & want) != want)
            return false;
        views_get(nodes[h].node, &v);
        all = v.smap->nactive == cl.targets;
        views_put(&v);
        if (!all)
            return false;
    }
    return true;
}

bool
cl_ready(int64_t ns)
{
    int64_t until = sim_now() + ns;

    while (!all_ready()) {
        if (sim_now() > until)
            return false;
        sim_sleep(MSEC_NS(2));
    }
    return true;
}
