/* SPDX-License-Identifier: Apache-2.0 */
/* A proxy and two targets in this process, in a folder of their own: nodes with no role's work in them. */
#ifndef CLUSTER_H
#define CLUSTER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "core/core_impl.h"
#include "core/lease.h"
#include "on_fiber.h"

#define CL_KEY   "1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define CL_NODES 3 /* 0: the proxy */

struct cluster {
    char        *dir;
    const char  *more; /* of the configuration: members, each with a comma before it */
    uint16_t     port[CL_NODES][3];
    struct node *node[CL_NODES];
    struct err   err;
};

static const struct node_role cl_proxy = { .role = ROLE_PROXY };
static const struct node_role cl_target = { .role = ROLE_TARGET };

static inline uint16_t
cl_free_port(int *keep)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t          n = sizeof(a);

    *keep = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, bind(*keep, (struct sockaddr *)&a, sizeof(a)));
    assert_int_equal(0, getsockname(*keep, (struct sockaddr *)&a, &n));
    return ntohs(a.sin_port);
}

static inline void
cl_file(const char *dir, const char *name, const char *text, mode_t mode)
{
    auto_free char *path = xasprintf("%s/%s", dir, name);
    FILE           *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    chmod(path, mode);
}

static inline void
cl_files(struct cluster *c, int i)
{
    auto_free char *d = xasprintf("%s/%d", c->dir, i);
    auto_free char *conf = xasprintf("{\"proxy\":{\"primary_url\":\"http://127.0.0.1:%u\",\"original_url\":\"\"},"
                                     "\"timeout\":{\"startup_time\":\"30s\"}%s}", c->port[0][1], c->more != NULL ? c->more : "");
    auto_free char *local = xasprintf(
        "{\"confdir\":\"%s\",\"log_dir\":\"%s/log\",\"fspaths\":{},\"test_fspaths\":{\"root\":\"%s/data\",\"count\":1,\"instance\":%d},"
        "\"host_net\":{\"hostname\":\"127.0.0.1\",\"hostname_intra_control\":\"\",\"hostname_intra_data\":\"\",\"port\":\"%u\","
        "\"port_intra_control\":\"%u\",\"port_intra_data\":\"%u\"}}",
        d, d, c->dir, i, c->port[i][0], c->port[i][1], c->port[i][2]);

    mkdir(d, 0755);
    cl_file(d, "ais.json", conf, 0644);
    cl_file(d, "ais_local.json", local, 0644);
    cl_file(d, ".ais.cluster_key", CL_KEY, 0600);
}

static inline bool
cl_is_up(struct node *n)
{
    const unsigned up = NODE_NODE_STARTED | NODE_CLUSTER_STARTED;
    struct views   v;
    bool           all;

    views_get(n, &v);
    all = v.smap->nnodes == CL_NODES;
    views_put(&v);
    return all && (atomic_load(&n->flags) & up) == up;
}

static inline void
cl_up(struct cluster *c, int i)
{
    auto_free char  *config = xasprintf("%s/%d/ais.json", c->dir, i), *local = xasprintf("%s/%d/ais_local.json", c->dir, i);
    auto_free char  *id = xasprintf("%s-node-%d", i == 0 ? "proxy" : "target", i);
    struct node_opts o = { .impl = i == 0 ? &cl_proxy : &cl_target, .config = config, .local_config = local, .daemon_id = id, .nloops = 1 };

    err_clear(&c->err);
    if (node_start(&o, &c->node[i], &c->err) < 0)
        fail_msg("node %d: %s", i, c->err.text);
}

static inline void
cl_down(struct cluster *c, int i)
{
    node_stop(c->node[i]);
    c->node[i] = NULL;
    log_open(&(struct log_conf){ .to_stderr = true });
}

/* more: what the configuration has beside the rest. */
static inline struct cluster *
cl_new(const char *more)
{
    struct cluster *c = xcalloc(1, sizeof(*c));
    int             keep[CL_NODES * 3], k = 0;

    c->dir = test_dir_new();
    c->more = more;
    for (int i = 0; i < CL_NODES; i++)
        for (int j = 0; j < 3; j++)
            c->port[i][j] = cl_free_port(&keep[k++]);
    while (k > 0)
        close(keep[--k]);
    for (int i = 0; i < CL_NODES; i++) {
        cl_files(c, i);
        cl_up(c, i);
    }
    for (int i = 0; i < CL_NODES; i++)
        WITHIN(cl_is_up(c->node[i]));
    return c;
}

static inline void
cl_free(struct cluster *c)
{
    for (int i = CL_NODES - 1; i >= 0; i--)
        cl_down(c, i);
    test_dir_free(c->dir);
    free(c);
}

#endif
