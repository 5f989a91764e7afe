/* SPDX-License-Identifier: Apache-2.0 */
/* ais config, log, storage mountpath, cluster, version. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"


static char *
node_id(const char *who)
{
    char *id = strdup(strchr(who, '[') != NULL ? strchr(who, '[') + 1 : who);

    id[strcspn(id, "]")] = '\0';
    return id;
}

static char *
query_of(const struct args *a, int from)
{
    char *q = strdup("");

    for (int i = from; i < a->n; i++) {
        const char *eq = strchr(a->v[i], '=');
        char       *k;

        if (eq == NULL) {
            if (i + 1 == a->n)
                die("\"%s\": expecting KEY=VALUE", a->v[i]);
            q = path_fmt("%s%s%s=%s", q, q[0] != '\0' ? "&" : "", enc(a->v[i], false), enc(a->v[i + 1], false));
            i++;
            continue;
        }
        k = strndup(a->v[i], (size_t)(eq - a->v[i]));
        q = path_fmt("%s%s%s=%s", q, q[0] != '\0' ? "&" : "", enc(k, false), enc(eq + 1, false));
    }
    return q;
}

static const struct flag config_flags[] = {
    { "transient", NULL, false, "in memory only: gone with a restart" },
    FLAG_END,
};

static int
call_and_say(struct api_req *q, const char *done)
{
    struct api_resp r;
    int             rc = api_call(q, &r);

    if (rc < 0)
        return fail("%s", r.err);
    if (r.body.n > 0)
        printf("%.*s\n", (int)r.body.n, r.body.p);
    else if (done != NULL)
        printf("%s\n", done);
    api_resp_free(&r);
    return 0;
}

static int
config_cluster(const struct args *a)
{
    struct api_req q = { .method = "PUT",
                         .path = path_fmt("/v1/cluster/set-config?%s%s", query_of(a, 0),
                                          arg_has(a, "transient") ? "&transient=true" : "") };

    return call_and_say(&q, "cluster config updated");
}

static int
config_node(const struct args *a)
{
    struct api_req q = { .method = "PUT", .path = path_fmt("/v1/reverse/daemon/set-config?%s%s", query_of(a, 1),
                                                           arg_has(a, "transient") ? "&transient=true" : "") };

    q.hdrs[0] = path_fmt("Ais-Node-Id: %s", node_id(a->v[0]));
    return call_and_say(&q, "node config updated");
}

static int
config_reset(const struct args *a)
{
    struct api_req q = { .method = "PUT", .path = strdup("/v1/cluster"), .body = "{\"action\":\"reset-config\"}" };

    (void)a;
    return call_and_say(&q, "config reset to the initial values");
}

static const struct flag log_flags[] = {
    { "severity", NULL, true, "info (default), warning or error" },
    FLAG_END,
};

static int
log_show(const struct args *a)
{
    struct api_req  q = { .method = "GET", .out = stdout };
    struct api_resp r;

    q.path = path_fmt("/v1/reverse/daemon?what=log&severity=%s", arg_get(a, "severity", "info"));
    q.hdrs[0] = path_fmt("Ais-Node-Id: %s", node_id(a->v[0]));
    return api_call(&q, &r) < 0 ? fail("%s", r.err) : 0;
}

static int
log_get(const struct args *a)
{
    struct api_req  q = { .method = "GET" };
    struct api_resp r;
    char           *id = node_id(a->v[0]);
    const char     *file = a->n > 1 ? a->v[1] : path_fmt("ais-log-%s.tar.gz", id);

    q.out = strcmp(file, "-") == 0 ? stdout : fopen(file, "wb");
    if (q.out == NULL)
        return fail("cannot write %s", file);
    q.path = path_fmt("/v1/reverse/daemon?what=log&all=true&severity=%s", arg_get(a, "severity", "info"));
    q.hdrs[0] = path_fmt("Ais-Node-Id: %s", id);
    if (api_call(&q, &r) < 0)
        return fail("%s", r.err);
    if (fclose(q.out) != 0)
        return fail("cannot write %s", file);
    if (strcmp(file, "-") != 0)
        printf("logs of %s => %s\n", id, file);
    return 0;
}

static int
mountpath(const struct args *a)
{
    static const struct {
        const char *verb, *method, *action;
    } t[] = { { "attach", "PUT", "attach-mp" },    { "detach", "DELETE", "detach-mp" }, { "enable", "POST", "enable-mp" },
              { "disable", "POST", "disable-mp" }, { "rescan", "POST", "rescan-mp" },   { "fshc", "POST", "fshc-mp" } };
    const char *verb = strrchr(a->cmd->path, ' ') + 1;

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        if (strcmp(verb, t[i].verb) == 0) {
            json_t        *o = json_pack("{s:s,s:s}", "action", t[i].action, "value", a->v[1]);
            struct api_req q = { .method = t[i].method, .path = strdup("/v1/reverse/daemon/mountpaths"),
                                 .body = json_dumps(o, 0) };

            q.hdrs[0] = path_fmt("Ais-Node-Id: %s", node_id(a->v[0]));
            return call_and_say(&q, "done");
        }
    return 2;
}

static int
version(const struct args *a)
{
    struct api_req  q = { .method = "GET", .path = strdup("/v1/daemon?what=software_version") };
    struct api_resp r;

    (void)a;
    printf("ais (C) %s\n", AIS_CLI_VERSION);
    if (api_call(&q, &r) == 0)
        printf("cluster %.*s at %s\n", (int)r.body.n, r.body.p, api_endpoint());
    else
        printf("cluster at %s: %s\n", api_endpoint(), r.err);
    return 0;
}

static int
cluster_health(const struct args *a)
{
    struct api_req q = { .method = "GET", .path = strdup("/v1/health?prr=true") };

    (void)a;
    return call_and_say(&q, "ready");
}

#define MP(verb, help) { "storage mountpath " verb, NULL, "TARGET PATH", help, NULL, NULL, 2, 2, mountpath }

const struct cmd cmds_cluster[] = {
    { "config cluster", "cluster config", "KEY=VALUE [KEY=VALUE...]", "change the cluster's configuration",
      "Example:\n   ais config cluster checksum.validate_warm_get=true", config_flags, 1, -1, config_cluster },
    { "config node", NULL, "NODE KEY=VALUE [KEY=VALUE...]", "change one node's configuration", NULL, config_flags, 2, -1, config_node },
    { "config reset", NULL, "", "undo all changes of the configuration", NULL, NULL, 0, 0, config_reset },
    { "log show", "show log", "NODE", "print a node's log", NULL, log_flags, 1, 1, log_show },
    { "log get", NULL, "NODE [FILE|-]", "fetch all logs of a node (.tar.gz)", NULL, log_flags, 1, 2, log_get },
    MP("attach", "give a target another mountpath"),
    MP("detach", "take a mountpath from a target"),
    MP("enable", "use a disabled mountpath again"),
    MP("disable", "stop using a mountpath"),
    MP("rescan", "check placement on a mountpath"),
    MP("fshc", "check a mountpath's health"),
    { "cluster health", "health", "", "is the cluster ready?", NULL, NULL, 0, 0, cluster_health },
    { "version", NULL, "", "versions of this program and of the cluster", NULL, NULL, 0, 0, version },
};
const unsigned ncmds_cluster = sizeof(cmds_cluster) / sizeof(cmds_cluster[0]);
