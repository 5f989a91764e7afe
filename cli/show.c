/* SPDX-License-Identifier: Apache-2.0 */
/* ais show ...: cluster, config, storage, bucket. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"


static const struct flag flags[] = { FLAG_JSON, FLAG_END };

json_t *
get_smap(void)
{
    struct api_req q = { .method = "GET", .path = strdup("/v1/daemon?what=smap") };

    return api_json(&q);
}

/* GET at a node through the gateway; NULL when it does not answer. */
json_t *
node_get(const char *id, const char *what)
{
    struct api_req  q = { .method = "GET", .path = path_fmt("/v1/reverse/daemon?what=%s", what) };
    struct api_resp r;
    char           *hdr = path_fmt("Ais-Node-Id: %s", id);
    json_error_t    je;
    json_t         *j = NULL;

    q.hdrs[0] = hdr;
    if (api_call(&q, &r) == 0)
        j = json_loadb(r.body.p, r.body.n, 0, &je);
    api_resp_free(&r);
    free(hdr);
    return j;
}

static void
node_row(struct table *t, const char *id, const json_t *sn, const char *primary)
{
    json_t     *st = node_get(id, "node_status");
    const char *url = json_text(json_object_get(sn, "public_net"), "direct_url");
    char       *name = path_fmt("%c[%s]%s", json_text(sn, "daemon_type")[0], id, strcmp(id, primary) == 0 ? "[P]" : "");
    char       *mem, *load, *up, *status;
    double      used = 0, l1 = 0;
    uint64_t    ns = 0;

    if (st == NULL) {
        table_row(t, name, url, "-", "-", "-", "-", "unreachable");
        return;
    }
    {
        const json_t *sys = json_object_get(st, "sys_info"), *la = json_object_get(sys, "load_avg"),
                     *tr = json_object_get(st, "tracker"), *upv = json_object_get(tr, "up.ns.time");

        used = json_real_value(json_object_get(sys, "pct_mem_used"));
        l1 = json_number_value(json_object_get(la, "One"));
        ns = json_is_object(upv) ? json_num(upv, "v") : json_num(tr, "up.ns.time");
    }
    mem = path_fmt("%.2f%%", used);
    load = path_fmt("%.2f", l1);
    up = ns > 0 ? path_fmt("%llum%llus", (unsigned long long)(ns / 60000000000ULL), (unsigned long long)(ns / 1000000000ULL % 60))
                : strdup("-");
    status = strdup(json_text(st, "status")[0] != '\0' ? json_text(st, "status") : "online");
    table_row(t, name, url, mem, load, up, json_text(st, "ais_version"), status);
    json_decref(st);
}

static int
show_cluster(const struct args *a)
{
    json_t       *m = get_smap(), *sn;
    const char   *primary = json_text(json_object_get(m, "proxy_si"), "daemon_id"), *id;
    struct table  t;

    if (arg_json(a)) {
        print_json(m);
        return 0;
    }
    table_init(&t, 7, "PROXY", "URL", "MEM USED", "LOAD", "UPTIME", "VERSION", "STATUS");
    json_object_foreach(json_object_get(m, "pmap"), id, sn) node_row(&t, id, sn, primary);
    table_print(&t);
    printf("\n");
    table_init(&t, 7, "TARGET", "URL", "MEM USED", "LOAD", "UPTIME", "VERSION", "STATUS");
    json_object_foreach(json_object_get(m, "tmap"), id, sn) node_row(&t, id, sn, primary);
    table_print(&t);
    printf("\nCluster: %s, map version %s, %zu proxies, %zu targets\n", json_text(m, "uuid"), json_text(m, "version"),
           json_object_size(json_object_get(m, "pmap")), json_object_size(json_object_get(m, "tmap")));
    return 0;
}

static int
show_smap(const struct args *a)
{
    (void)a;
    print_json(get_smap());
    return 0;
}

static int
show_bmd(const struct args *a)
{
    struct api_req q = { .method = "GET", .path = strdup("/v1/daemon?what=bmd") };

    (void)a;
    print_json(api_json(&q));
    return 0;
}

static void
flatten(struct table *t, const char *prefix, json_t *j, const char *only)
{
    const char *k;
    json_t     *v;

    json_object_foreach(j, k, v)
    {
        char *name = path_fmt("%s%s%s", prefix, prefix[0] != '\0' ? "." : "", k);

        if (json_is_object(v) && json_object_size(v) > 0) {
            flatten(t, name, v, only);
        } else if (only == NULL || strncmp(name, only, strlen(only)) == 0) {
            char *text = json_is_string(v) ? strdup(json_string_value(v)) : json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);

            table_row(t, name, text);
            free(text);
        }
        free(name);
    }
}

static int
show_config(const struct args *a)
{
    struct api_req q = { .method = "GET" };
    struct table   t;
    const char    *who = a->n > 0 ? a->v[0] : "cluster", *only = a->n > 1 ? a->v[1] : NULL;
    json_t        *j;

    if (strcmp(who, "cluster") == 0) {
        q.path = strdup("/v1/cluster?what=cluster_config");
        j = api_json(&q);
    } else {
        char *id = strdup(strchr(who, '[') != NULL ? strchr(who, '[') + 1 : who);

        id[strcspn(id, "]")] = '\0';
        j = node_get(id, "config");
        if (j == NULL)
            return fail("node \"%s\" does not answer: is that its id? See 'ais show cluster'", who);
    }
    if (arg_json(a)) {
        print_json(j);
        return 0;
    }
    table_init(&t, 2, "PROPERTY", "VALUE");
    flatten(&t, "", j, only);
    if (t.rows == 1)
        return fail("no configuration key starts with \"%s\"", only);
    table_print(&t);
    return 0;
}

static int
show_storage(const struct args *a)
{
    json_t      *m = get_smap(), *sn, *all = json_object();
    struct table t;
    const char  *id;

    table_init(&t, 6, "TARGET", "MOUNTPATH", "FS", "USED", "AVAIL", "USED %");
    json_object_foreach(json_object_get(m, "tmap"), id, sn)
    {
        json_t     *st = node_get(id, "node_stats"), *mp;
        json_t     *cap = json_object_get(st, "capacity"), *mps = json_object_get(cap, "mountpaths");
        const char *path;

        json_object_set(all, id, cap);
        if (st == NULL)
            table_row(&t, id, "unreachable", "-", "-", "-", "-");
        json_object_foreach(mps, path, mp)
        {
            char *fs = path_fmt("%s(%s)", json_text(json_object_get(mp, "fs"), "Fs"), json_text(json_object_get(mp, "fs"), "FsType"));

            table_row(&t, id, path, fs, human(json_num(mp, "used")), human(json_num(mp, "avail")), fmt_u64(json_num(mp, "pct_used")));
            free(fs);
        }
    }
    if (arg_json(a))
        print_json(all);
    else
        table_print(&t);
    return 0;
}

const struct cmd cmds_show[] = {
    { "show cluster", "cluster show", "", "nodes of the cluster and how they are", NULL, flags, 0, 0, show_cluster },
    { "show cluster smap", "show smap|cluster smap", "", "the cluster map", NULL, flags, 0, 0, show_smap },
    { "show cluster bmd", "show bmd|cluster bmd", "", "bucket metadata", NULL, flags, 0, 0, show_bmd },
    { "show config", "config show|show cluster config", "[cluster|NODE] [KEY-PREFIX]", "configuration of the cluster or a node", NULL, flags, 0, 2,
      show_config },
    { "show storage", "storage show|show storage mountpath", "", "mountpaths and their space", NULL, flags, 0, 0, show_storage },
    { "show bucket", NULL, "BUCKET [SECTION]", "properties of a bucket", NULL, flags, 1, 2, bucket_props_show },
};
const unsigned ncmds_show = sizeof(cmds_show) / sizeof(cmds_show[0]);
