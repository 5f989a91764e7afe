/* SPDX-License-Identifier: Apache-2.0 */
/* ais show cluster, show storage: what the nodes say of themselves. Wire: native-api.md 5.2, 7. */
#include <stdio.h>

#include "base/units.h"
#include "base/util.h"
#include "cli/groups.h"
#include "cli/kv.h"
#include "cli/nodes.h"
#include "codec/jw.h"

static const struct flag table_flags[] = { FLAG_UNITS, FLAG_NOHEAD, FLAG_JSON, FLAG_END };

/* --- cluster --- */

static const char *
uptime_text(struct ctx *c, const json_t *doc)
{
    uint64_t ns = get_u64(json_object_get(doc, "tracker"), "up.ns.time");
    char     buf[UNITS_MAX];

    dur_format((int64_t)(ns / NSEC_PER_SEC) * NSEC_PER_SEC, buf);
    return ns > 0 ? arena_strdup(c->mem, str_z(buf)) : "-";
}

/* Bits of "flags" in a node's state; everything but "started" is something to say. */
/* clang-format off */
static const struct { unsigned bit; const char *word; } state_words[] = {
    { 3, "rebalancing" }, { 4, "rebalance-interrupted" }, { 5, "resilvering" }, { 6, "resilver-interrupted" }, { 7, "restarted" },
    { 8, "out-of-space" }, { 9, "out-of-memory" }, { 10, "maintenance" }, { 11, "low-capacity" }, { 12, "low-memory" },
    { 13, "disk-fault" }, { 16, "certificate-will-expire" }, { 17, "certificate-expired" }, { 18, "certificate-invalid" },
    { 19, "keepalive-errors" }, { 20, "out-of-cpu" }, { 21, "low-cpu" }, { 22, "disk-out-of-space" }, { 23, "disk-low-capacity" },
};
/* clang-format on */
#define STATE_STARTED 6u /* cluster started, node started */

static const char *
state_text(struct ctx *c, const json_t *doc)
{
    const char *status = get_text(doc, "status"), *out = status;
    uint64_t    flags = get_u64(json_object_get(doc, "cluster"), "flags");

    for (size_t i = 0; i < ARRAY_SIZE(state_words); i++)
        if (flags & (1ULL << state_words[i].bit))
            out = out_fmt(c, "%s%s%s", out, out[0] != '\0' ? "," : "", state_words[i].word);
    if (out[0] != '\0')
        return out;
    return (flags & STATE_STARTED) == STATE_STARTED ? "online" : "starting";
}

static const char *
capacity_text(struct ctx *c, const json_t *doc, bool target)
{
    const json_t *cap = json_object_get(doc, "capacity");

    return target ? out_fmt(c, "%llu%%", (unsigned long long)get_u64(cap, "pct_avg")) : "-";
}

static void
node_row(struct table *t, struct ctx *c, const struct node_doc *d)
{
    const json_t *sys = json_object_get(d->doc, "sys_info"), *la = json_object_get(sys, "load_avg");

    if (d->doc == NULL) {
        ROW(t, d->name, "-", "-", "-", "-", "-", d->url, "unreachable");
        return;
    }
    ROW(t, d->name, out_size(c, get_u64(sys, "mem_used")), out_size(c, get_u64(sys, "mem_avail")),
        capacity_text(c, d->doc, d->target),
        out_fmt(c, "[%.1f %.1f %.1f]", json_number_value(json_object_get(la, "One")), json_number_value(json_object_get(la, "Five")),
                json_number_value(json_object_get(la, "Fifteen"))),
        uptime_text(c, d->doc), d->url, state_text(c, d->doc));
}

static void
nodes_table(struct ctx *c, const struct nodes *ns, bool targets)
{
    struct table t;
    size_t       n = 0;

    TABLE(&t, c, targets ? "TARGET" : "PROXY", "MEM USED", "MEM AVAIL", "CAP USED", "LOAD AVERAGE", "UPTIME", "URL", "STATUS");
    for (size_t i = 0; i < ns->n; i++)
        if (ns->v[i].target == targets) {
            node_row(&t, c, &ns->v[i]);
            n++;
        }
    if (n > 0)
        table_print(&t);
}

static void
cluster_footer(const struct nodes *ns)
{
    const char *version = "?";

    for (size_t i = 0; i < ns->n; i++)
        if (ns->v[i].doc != NULL)
            version = get_text(ns->v[i].doc, "ais_version");
    printf("\nCluster:  %s, %zu %s, %zu targets\nVersion:  %s\nMap:      version %s, primary %s\n", get_text(ns->smap, "uuid"),
           json_object_size(json_object_get(ns->smap, "pmap")),
           json_object_size(json_object_get(ns->smap, "pmap")) == 1 ? "proxy" : "proxies",
           json_object_size(json_object_get(ns->smap, "tmap")), version, get_text(ns->smap, "version"),
           get_text(json_object_get(ns->smap, "proxy_si"), "daemon_id"));
}

/* Who votes, by the primary's word; a cluster that does not tell has no such line. */
static void
voters_footer(struct ctx *c, const struct nodes *ns)
{
    auto_resp struct http_resp r = { .status = 0 };
    auto_json json_t          *j = NULL;
    struct http_req            q = { .method = "GET" };
    const json_t              *s;
    struct sbuf                who;
    struct fault               f;
    size_t                     i;

    if (api_at_node(c->s, get_text(json_object_get(ns->smap, "proxy_si"), "daemon_id"), &q, "daemon?what=raft", &r, &f) != CLI_OK)
        return;
    j = json_loadb(r.body.p, r.body.n, 0, NULL);
    sbuf_init(&who, 4 * KIB);
    json_array_foreach(json_object_get(j, "servers"), i, s)
    {
        if (strcmp(get_text(s, "role"), "voter") == 0)
            sbuf_printf(&who, "%s%s%s", who.n > 0 ? ", " : "", get_text(s, "node"), json_is_true(json_object_get(s, "witness")) ? " (witness)" : "");
    }
    if (who.n > 0)
        printf("Voters:   %s; recovery epoch %llu, term %llu\n", who.p, (unsigned long long)get_u64(j, "epoch"),
               (unsigned long long)get_u64(j, "term"));
    sbuf_fini(&who);
}

/* Nodes that are not heard any more: in the map's "ext". */
static void
dead_footer(const struct nodes *ns)
{
    json_t     *dead = json_object_get(json_object_get(ns->smap, "ext"), "dead");
    const char *id, *sep = "Dead:     ";
    json_t     *v;

    json_object_foreach(dead, id, v)
    {
        printf("%s%s", sep, id);
        sep = ", ";
    }
    if (json_object_size(dead) > 0)
        printf("\n");
}

static int
show_nodes(struct ctx *c, enum node_sel sel, const char *typed)
{
    auto_nodes struct nodes ns = { .n = 0 };
    struct fault            f;

    if (nodes_ask(c, sel, typed, "daemon?what=node_status", &ns, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (flag_on(c, "json")) {
        nodes_json(&ns);
        return nodes_exit(&ns);
    }
    nodes_table(c, &ns, false);
    if (sel == NODES_ALL && typed == NULL && !flag_on(c, "no-headers"))
        printf("\n");
    nodes_table(c, &ns, true);
    if (sel == NODES_ALL && typed == NULL && !flag_on(c, "no-headers")) {
        cluster_footer(&ns);
        voters_footer(c, &ns);
        dead_footer(&ns);
    }
    return nodes_exit(&ns);
}

static int
cmd_show_cluster(struct ctx *c)
{
    return show_nodes(c, NODES_ALL, c->nargs > 0 ? c->arg[0] : NULL);
}

static int
cmd_show_proxies(struct ctx *c)
{
    return show_nodes(c, NODES_PROXIES, c->nargs > 0 ? c->arg[0] : NULL);
}

static int
cmd_show_targets(struct ctx *c)
{
    return show_nodes(c, NODES_TARGETS, c->nargs > 0 ? c->arg[0] : NULL);
}

/* A document that every node has a copy of: the primary's, or the one of a node named. */
static int
cluster_doc(struct ctx *c, const char *what, struct http_resp *r, json_t **j, struct fault *f)
{
    struct http_req q = { .method = "GET" };
    const char     *id;

    if (c->nargs == 0)
        return api_get(c->s, out_fmt(c, "/v1/daemon?what=%s", what), r, j, f);
    if (api_node(c, c->arg[0], &id, NULL, f) != CLI_OK || api_at_node(c->s, id, &q, out_fmt(c, "daemon?what=%s", what), r, f) != CLI_OK)
        return f->code;
    return json_read(sbuf_str(&r->body), j, NULL) < 0 ? fault_set(f, CLI_FAILED, "%s did not answer with JSON", id) : CLI_OK;
}

static void
smap_rows(struct table *t, struct ctx *c, json_t *m, const char *map)
{
    const char *primary = get_text(json_object_get(m, "proxy_si"), "daemon_id"), *id;
    json_t     *sn;

    json_object_foreach(json_object_get(m, map), id, sn)
        ROW(t, out_fmt(c, "%c[%s]%s", map[0], id, strcmp(id, primary) == 0 ? "[P]" : ""), map[0] == 'p' ? "proxy" : "target",
            out_fmt(c, "%s", get_text(json_object_get(sn, "public_net"), "direct_url")),
            out_fmt(c, "%s", get_text(json_object_get(sn, "intra_control_net"), "direct_url")),
            out_fmt(c, "%s", get_text(json_object_get(sn, "intra_data_net"), "direct_url")),
            get_u64(sn, "flags") & 1 ? "non-electable" : get_u64(sn, "flags") & 4 ? "maintenance" : "");
}

static int
cmd_show_smap(struct ctx *c)
{
    auto_resp struct http_resp r = { .status = 0 };
    auto_json json_t          *m = NULL;
    struct table               t;
    struct fault               f;

    if (cluster_doc(c, "smap", &r, &m, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (flag_on(c, "json")) {
        json_print(sbuf_str(&r.body));
        return CLI_OK;
    }
    TABLE(&t, c, "NODE", "TYPE", "PUBLIC URL", "CONTROL URL", "DATA URL", "FLAGS");
    smap_rows(&t, c, m, "pmap");
    smap_rows(&t, c, m, "tmap");
    table_print(&t);
    if (!flag_on(c, "no-headers"))
        printf("\nMap version %s, cluster %s\n", get_text(m, "version"), get_text(m, "uuid"));
    return CLI_OK;
}

static void
bmd_rows(struct table *t, struct ctx *c, json_t *m)
{
    const char *prov, *ns, *name;
    json_t     *in_prov, *in_ns, *p;
    char        buf[UNITS_MAX];

    json_object_foreach(json_object_get(m, "providers"), prov, in_prov)
        json_object_foreach(in_prov, ns, in_ns)
            json_object_foreach(in_ns, name, p)
    {
        const json_t *mi = json_object_get(p, "mirror"), *ec = json_object_get(p, "ec");

        buf[0] = '\0';
        if (get_u64(p, "created") > 0)
            time_rfc822((int64_t)get_u64(p, "created"), buf);
        ROW(t, out_fmt(c, "%s", uri_scheme(prov)), strcmp(ns, "@#") == 0 ? "" : out_fmt(c, "%s", ns), out_fmt(c, "%s", name),
            json_is_true(json_object_get(mi, "enabled")) ? out_u64(c, get_u64(mi, "copies")) : "",
            json_is_true(json_object_get(ec, "enabled"))
                ? out_fmt(c, "%llu:%llu", (unsigned long long)get_u64(ec, "data_slices"), (unsigned long long)get_u64(ec, "parity_slices"))
                : "",
            out_fmt(c, "%s", buf));
    }
}

static int
cmd_show_bmd(struct ctx *c)
{
    auto_resp struct http_resp r = { .status = 0 };
    auto_json json_t          *m = NULL;
    struct table               t;
    struct fault               f;

    if (cluster_doc(c, "bmd", &r, &m, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (flag_on(c, "json")) {
        json_print(sbuf_str(&r.body));
        return CLI_OK;
    }
    TABLE(&t, c, "PROVIDER", "NAMESPACE", "NAME", "COPIES", "EC(D:P)", "CREATED");
    bmd_rows(&t, c, m);
    table_print(&t);
    if (!flag_on(c, "no-headers"))
        printf("\nVersion %s, cluster %s\n", get_text(m, "version"), get_text(m, "uuid"));
    return CLI_OK;
}

static const struct flag stats_flags[] = {
    { "all", NULL, NULL, "also counters that are zero" },
    { "filter", NULL, "TEXT", "only names with this in them" },
    FLAG_NOHEAD,
    FLAG_JSON,
    FLAG_END,
};

static int
cmd_show_stats(struct ctx *c)
{
    auto_nodes struct nodes ns = { .n = 0 };
    const char             *filter = flag_str(c, "filter", ""), *k;
    struct table            t;
    struct fault            f;
    json_t                 *v;

    if (nodes_ask(c, NODES_ALL, c->nargs > 0 ? c->arg[0] : NULL, "daemon?what=node_stats", &ns, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (flag_on(c, "json")) {
        nodes_json(&ns);
        return nodes_exit(&ns);
    }
    TABLE(&t, c, "NODE", "NAME", "VALUE");
    for (size_t i = 0; i < ns.n; i++)
        json_object_foreach(json_object_get(ns.v[i].doc, "tracker"), k, v)
            if (strstr(k, filter) != NULL && (flag_on(c, "all") || json_number_value(v) != 0))
                ROW(&t, ns.v[i].name, k, out_u64(c, get_u64(json_object_get(ns.v[i].doc, "tracker"), k)));
    table_print(&t);
    return nodes_exit(&ns);
}

/* --- storage --- */

static int
cmd_show_mountpaths(struct ctx *c)
{
    auto_nodes struct nodes ns = { .n = 0 };
    static const struct {
        const char *key, *word;
    } lists[] = { { "available", "available" }, { "waiting_dd", "detaching" }, { "disabled", "disabled" } };
    struct table t;
    struct fault f;
    json_t      *p;
    size_t       k;

    if (nodes_ask(c, NODES_TARGETS, c->nargs > 0 ? c->arg[0] : NULL, "daemon?what=mountpaths", &ns, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (flag_on(c, "json")) {
        nodes_json(&ns);
        return nodes_exit(&ns);
    }
    TABLE(&t, c, "TARGET", "MOUNTPATH", "STATE");
    for (size_t i = 0; i < ns.n; i++)
        for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
            json_array_foreach(json_object_get(ns.v[i].doc, lists[l].key), k, p)
                ROW(&t, ns.v[i].name, json_string_value(p), lists[l].word);
    table_print(&t);
    return nodes_exit(&ns);
}

static const char *
disks_text(struct ctx *c, const json_t *disks)
{
    const char *out = "";
    json_t     *d;
    size_t      i;

    json_array_foreach(disks, i, d)
        out = out_fmt(c, "%s%s%s", out, i > 0 ? "," : "", json_string_value(d));
    return out;
}

static int
cmd_show_capacity(struct ctx *c)
{
    auto_nodes struct nodes ns = { .n = 0 };
    struct table            t;
    struct fault            f;
    const char             *path;
    json_t                 *m;

    if (nodes_ask(c, NODES_TARGETS, c->nargs > 0 ? c->arg[0] : NULL, "daemon?what=disk", &ns, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (flag_on(c, "json")) {
        nodes_json(&ns);
        return nodes_exit(&ns);
    }
    TABLE(&t, c, "TARGET", "MOUNTPATH", "FILESYSTEM", "DISKS", "USED", "AVAIL", "USED(%)", "STATUS");
    for (size_t i = 0; i < ns.n; i++)
        json_object_foreach(json_object_get(ns.v[i].doc, "mountpaths"), path, m)
        {
            const json_t *fs = json_object_get(m, "fs");
            const char   *err = get_text(ns.v[i].doc, "cs_err");

            ROW(&t, ns.v[i].name, path, out_fmt(c, "%s(%s)", get_text(fs, "FsType"), get_text(fs, "Fs")),
                disks_text(c, json_object_get(m, "disks")), out_size(c, get_u64(m, "used")), out_size(c, get_u64(m, "avail")),
                out_fmt(c, "%llu%%", (unsigned long long)get_u64(m, "pct_used")), err[0] != '\0' ? err : "ok");
        }
    table_print(&t);
    return nodes_exit(&ns);
}

static int
cmd_show_disk(struct ctx *c)
{
    auto_nodes struct nodes ns = { .n = 0 };
    struct table            t;
    struct fault            f;
    const char             *disk;
    json_t                 *d;

    if (nodes_ask(c, NODES_TARGETS, c->nargs > 0 ? c->arg[0] : NULL, "daemon?what=disk", &ns, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (flag_on(c, "json")) {
        nodes_json(&ns);
        return nodes_exit(&ns);
    }
    TABLE(&t, c, "TARGET", "DISK", "READ", "AVG READ", "WRITE", "AVG WRITE", "UTIL(%)");
    for (size_t i = 0; i < ns.n; i++)
        json_object_foreach(json_object_get(ns.v[i].doc, "AllDiskStats"), disk, d)
            ROW(&t, ns.v[i].name, disk, out_fmt(c, "%s/s", out_size(c, get_u64(d, "RBps"))), out_size(c, get_u64(d, "Ravg")),
                out_fmt(c, "%s/s", out_size(c, get_u64(d, "WBps"))), out_size(c, get_u64(d, "Wavg")),
                out_fmt(c, "%llu%%", (unsigned long long)get_u64(d, "Util")));
    table_print(&t);
    return nodes_exit(&ns);
}

/* clang-format off */
const struct cmd show_cmds[] = {
    { "show cluster", "cluster show", "[NODE_ID]", "nodes of the cluster and how they are",
      "Examples:\n"
      "   ais show cluster\n"
      "   ais show cluster --json",
      table_flags, 0, 1, cmd_show_cluster, { ARG_NODE, ARG_NONE } },
    { "show cluster proxy", "cluster show proxy", "[NODE_ID]", "proxies only", NULL, table_flags, 0, 1, cmd_show_proxies, { ARG_NODE, ARG_NONE } },
    { "show cluster target", "cluster show target", "[NODE_ID]", "targets only", NULL, table_flags, 0, 1, cmd_show_targets, { ARG_TARGET, ARG_NONE } },
    { "show cluster smap", "cluster show smap|show smap", "[NODE_ID]", "the cluster map, as the primary or a node has it", NULL, table_flags, 0, 1,
      cmd_show_smap, { ARG_NODE, ARG_NONE } },
    { "show cluster bmd", "cluster show bmd|show bmd", "[NODE_ID]", "bucket metadata, as the primary or a node has it", NULL, table_flags, 0, 1,
      cmd_show_bmd, { ARG_NODE, ARG_NONE } },
    { "show cluster stats", "cluster show stats|show stats", "[NODE_ID]", "counters of the nodes",
      "Examples:\n"
      "   ais show cluster stats --filter get",
      stats_flags, 0, 1, cmd_show_stats, { ARG_NODE, ARG_NONE } },
    { "show storage", "storage show|show storage capacity", "[TARGET_ID]", "mountpaths and their space",
      "Example:\n"
      "   ais show storage --units raw",
      table_flags, 0, 1, cmd_show_capacity, { ARG_TARGET, ARG_NONE } },
    { "show storage mountpath", "storage mountpath show|storage mountpath", "[TARGET_ID]", "mountpaths and whether they are in use", NULL, table_flags,
      0, 1, cmd_show_mountpaths, { ARG_TARGET, ARG_NONE } },
    { "show storage disk", "storage disk|storage show disk", "[TARGET_ID]", "what the disks are doing", NULL, table_flags, 0, 1, cmd_show_disk,
      { ARG_TARGET, ARG_NONE } },
};
/* clang-format on */
DEFINE_GROUP_SIZE(show);
