/* SPDX-License-Identifier: Apache-2.0 */
/* ais cluster, ais version, ais search, ais alias. Wire: native-api.md 5.3, 5.6. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/units.h"
#include "base/util.h"
#include "cli/api.h"
#include "cli/files.h"
#include "cli/groups.h"
#include "cli/nodes.h"
#include "cli/out.h"
#include "codec/jw.h"
#include "codec/url.h"

#ifndef AIS_CLI_VERSION
#define AIS_CLI_VERSION "0"
#endif
#ifndef AIS_CLI_GIT
#define AIS_CLI_GIT ""
#endif

/* --- cluster --- */

static const struct flag health_flags[] = {
    { "wait", NULL, "TIME", "wait so long for it to become ready" },
    FLAG_JSON,
    FLAG_END,
};

static const char *
uptime(struct ctx *c, const struct http_resp *r, const char *hdr)
{
    const char *v = http_hdr(c->s, r, hdr);
    char        buf[UNITS_MAX];
    int64_t     ns;

    if (v == NULL || !str_i64(str_z(v), &ns))
        return "-";
    dur_format(ns / NSEC_PER_SEC * NSEC_PER_SEC, buf);
    return arena_strdup(c->mem, str_z(buf));
}

static int
cmd_health(struct ctx *c)
{
    static const struct timespec tenth = { .tv_nsec = 100 * NSEC_PER_MSEC };
    auto_resp struct http_resp   r = { .status = 0 };
    int64_t                      until = now_ns() + flag_dur(c, "wait", 0);
    struct fault                 f;
    int                          rc;

    for (;;) {
        rc = http_do(c->s, &(struct http_req){ .method = "GET", .path = "/v1/health?prr=true" }, &r, &f);
        if (rc != CLI_UNREACHABLE || now_ns() >= until || atomic_load(&session_interrupted))
            break;
        nanosleep(&tenth, NULL);
    }
    if (flag_on(c, "json"))
        printf("{\n    \"endpoint\": \"%s\",\n    \"ready\": %s\n}\n", session_endpoint(), rc == CLI_OK ? "true" : "false");
    if (rc != CLI_OK)
        return cmd_fail(c, &f);
    if (!flag_on(c, "json"))
        printf("ready: %s, up for %s\n", session_endpoint(), uptime(c, &r, "Ais-Cluster-Uptime"));
    return CLI_OK;
}

static int
cmd_set_primary(struct ctx *c)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct http_req            q = { .method = "PUT" };
    struct fault               f;
    const char                *id;
    bool                       is_target;

    if (api_node(c, c->arg[0], &id, &is_target, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (is_target)
        return usage(c, "\"%s\" is a target: only a proxy can be primary", c->arg[0]);
    q.path = out_fmt(c, "/v1/cluster/proxy/%s", id);
    if (http_do(c->s, &q, &r, &f) != CLI_OK)
        return cmd_fail(c, &f);
    printf("p[%s] is the primary\n", id);
    return CLI_OK;
}

/* --- metadata: backup and recovery --- */
#define BACKUP_MAX (256u << 20)

static int
cmd_backup(struct ctx *c)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct http_req            q = { .method = "GET", .path = "/v1/daemon?what=metadata" };
    struct outfile             o = { .fd = -1 };
    struct fault               f;

    if (http_do(c->s, &q, &r, &f) != CLI_OK || outfile_open(&o, c->arg[0], false, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (outfile_write(&o, r.body.p, r.body.n) < 0) {
        fault_errno(&f, c->arg[0]);
        outfile_abort(&o);
        return cmd_fail(c, &f);
    }
    if (outfile_commit(&o, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (strcmp(c->arg[0], "-") != 0)
        printf("the cluster's metadata is in %s\n", c->arg[0]);
    return CLI_OK;
}

static int
file_text(const char *path, struct sbuf *b, struct fault *f)
{
    FILE  *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    char   part[4096];
    size_t n;

    if (in == NULL)
        return fault_set(f, CLI_NOTFOUND, "%s: %s", path, strerror(errno));
    while ((n = fread(part, 1, sizeof(part), in)) > 0)
        sbuf_put(b, part, n);
    if (ferror(in) || !sbuf_ok(b) || b->n == 0)
        fault_set(f, CLI_FAILED, "%s: empty, too large, or not readable", path);
    else
        n = 1;
    if (in != stdin)
        fclose(in);
    return n == 1 ? CLI_OK : CLI_FAILED;
}

static const struct flag recover_flags[] = {
    { "from", NULL, "URL", "a node that has the metadata, when this proxy knows of none" },
    { "force", NULL, NULL, "also when a majority of the voters answers" },
    FLAG_YES,
    FLAG_END,
};

static int
cmd_recover(struct ctx *c)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct http_req            q = { .method = "PUT" };
    const char                *from = flag_str(c, "from", NULL);
    struct sbuf                path, body;
    auto_json json_t          *j = NULL;
    struct fault               f;
    int                        rc = CLI_OK;

    if (!confirm(c, &rc, "Begin the cluster's metadata anew at %s (changes that only the lost proxies knew are lost)", session_endpoint()))
        return rc;
    sbuf_init(&path, 64 * KIB);
    sbuf_init(&body, BACKUP_MAX);
    sbuf_printf(&path, "/v1/daemon/recover?force=%s", flag_on(c, "force") ? "true" : "false");
    if (from != NULL) {
        sbuf_putz(&path, "&from=");
        url_encode_query(&path, str_z(from));
    }
    q.path = path.p;
    if (c->nargs > 0)
        rc = file_text(c->arg[0], &body, &f);
    q.body = body.p;
    if (rc == CLI_OK)
        rc = api_json(c->s, &q, &r, &j, &f);
    sbuf_fini(&path);
    sbuf_fini(&body);
    if (rc != CLI_OK)
        return cmd_fail(c, &f);
    printf("recovered from %s in recovery epoch %llu: %llu buckets; %llu of %llu nodes answered\n", get_text(j, "from"),
           (unsigned long long)get_u64(j, "epoch"), (unsigned long long)get_u64(j, "buckets"),
           (unsigned long long)get_u64(j, "answered"), (unsigned long long)get_u64(j, "asked"));
    return CLI_OK;
}

static int
cluster_action(struct ctx *c, const char *action, const char *value, const char *done)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct http_req            q = { .method = "PUT", .path = "/v1/cluster" };
    struct fault               f;

    q.body = api_action(c->mem, action, value);
    if (http_do(c->s, &q, &r, &f) != CLI_OK)
        return cmd_fail(c, &f);
    printf("%s\n", done);
    return CLI_OK;
}

static int
cmd_shutdown(struct ctx *c)
{
    int rc;

    if (!confirm(c, &rc, "Shut down all nodes of the cluster"))
        return rc;
    return cluster_action(c, "shutdown", NULL, "the cluster is shutting down");
}

static int
cmd_reset_stats(struct ctx *c)
{
    auto_resp struct http_resp r = { .status = 0 };
    const char                *errors = flag_on(c, "errors-only") ? "true" : "false", *id;
    struct http_req            q = { .method = "PUT" };
    struct fault               f;

    if (c->nargs == 0)
        return cluster_action(c, "reset-stats", errors, "counters of all nodes are reset");
    q.body = api_action(c->mem, "reset-stats", errors);
    if (api_node(c, c->arg[0], &id, NULL, &f) != CLI_OK || api_at_node(c->s, id, &q, "daemon", &r, &f) != CLI_OK)
        return cmd_fail(c, &f);
    printf("counters of %s are reset\n", id);
    return CLI_OK;
}

static int
cmd_rotate_logs(struct ctx *c)
{
    return cluster_action(c, "rotate-logs", NULL, "all nodes have begun new log files");
}

/* --- version --- */

static int
cmd_version(struct ctx *c)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct fault               f = { .code = CLI_OK };
    struct sbuf                b;
    struct jw                  w;
    struct str                 cluster;
    int rc = http_do(c->s, &(struct http_req){ .method = "GET", .path = "/v1/daemon?what=software_version" }, &r, &f);

    cluster = rc == CLI_OK ? str_trim(sbuf_str(&r.body)) : STR_NULL;
    if (!flag_on(c, "json")) {
        printf("ais %s%s%s\n", AIS_CLI_VERSION, AIS_CLI_GIT[0] != '\0' ? "." : "", AIS_CLI_GIT);
        if (rc != CLI_OK)
            return cmd_fail(c, &f);
        printf("cluster %.*s at %s\n", STR_FMT(cluster), session_endpoint());
        return CLI_OK;
    }
    sbuf_init(&b, 64 * KIB);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    jw_kstrz(&w, "cli", AIS_CLI_VERSION);
    jw_kstrz(&w, "build", AIS_CLI_GIT);
    jw_kstrz(&w, "endpoint", session_endpoint());
    jw_key(&w, "cluster");
    if (rc == CLI_OK)
        jw_str(&w, cluster);
    else
        jw_null(&w);
    jw_obj_end(&w);
    json_print(sbuf_str(&b));
    sbuf_fini(&b);
    return rc == CLI_OK ? CLI_OK : cmd_fail(c, &f);
}

/* --- finding commands --- */

static bool
mentions(const struct cmd *k, const char *word)
{
    const char *const texts[] = { k->path, k->alias, k->help, k->more };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (texts[i] != NULL && strcasestr(texts[i], word) != NULL)
            return true;
    for (const struct flag *f = k->flags; f != NULL && f->name != NULL; f++)
        if (strcasestr(f->name, word) != NULL || strcasestr(f->help, word) != NULL)
            return true;
    return false;
}

static int
cmd_search(struct ctx *c)
{
    struct table t;
    size_t       n = 0;
    struct fault f;

    TABLE(&t, c, "COMMAND", "WHAT IT DOES");
    for (unsigned g = 0; g < ngroups; g++)
        for (unsigned i = 0; i < *groups[g].count; i++) {
            const struct cmd *k = &groups[g].cmds[i];
            int               a = 0;

            while (a < c->nargs && mentions(k, c->arg[a]))
                a++;
            if (a < c->nargs)
                continue;
            ROW(&t, out_fmt(c, "ais %s", k->path), k->help);
            n++;
        }
    if (n == 0) {
        fault_set(&f, CLI_NOTFOUND, "no command mentions \"%s\"", c->arg[0]);
        return cmd_fail(c, &f);
    }
    table_print(&t);
    return CLI_OK;
}

static int
cmd_alias(struct ctx *c)
{
    struct table t;

    TABLE(&t, c, "ALIAS", "COMMAND");
    for (unsigned g = 0; g < ngroups; g++)
        for (unsigned i = 0; i < *groups[g].count; i++) {
            struct str rest = str_z(groups[g].cmds[i].alias), one;

            while (rest.p != NULL && str_split(&rest, '|', &one))
                ROW(&t, out_fmt(c, "%.*s", STR_FMT(one)), groups[g].cmds[i].path);
        }
    table_print(&t);
    return CLI_OK;
}

static const struct flag stats_flags[] = {
    { "errors-only", NULL, NULL, "error counters only" },
    FLAG_END,
};
static const struct flag yes_flags[] = { FLAG_YES, FLAG_END };
static const struct flag json_flags[] = { FLAG_JSON, FLAG_END };
static const struct flag head_flags[] = { FLAG_NOHEAD, FLAG_END };

/* clang-format off */
const struct cmd cluster_cmds[] = {
    { "cluster health", "health", "", "is the cluster ready?",
      "Exit code 0 says yes, 4 no.\n"
      "Examples:\n"
      "   ais cluster health\n"
      "   ais cluster health --wait 30s",
      health_flags, 0, 0, cmd_health, { ARG_NONE, ARG_NONE } },
    { "cluster set-primary", NULL, "NODE_ID", "make another proxy the primary", NULL, NULL, 1, 1, cmd_set_primary, { ARG_NODE, ARG_NONE } },
    { "cluster backup", NULL, "FILE", "save the cluster's metadata: map, buckets, configuration",
      "\"-\" is standard output. Objects are not in it.",
      NULL, 1, 1, cmd_backup, { ARG_FILE, ARG_NONE } },
    { "cluster recover", NULL, "[FILE]", "begin the metadata anew, at the proxy that AIS_ENDPOINT names",
      "When a majority of the proxies is lost for good, or a single one its disk. The newest metadata that any node has is taken, or what\n"
      "\"ais cluster backup\" has saved. Refused while there is a primary.\n"
      "Examples:\n"
      "   ais cluster recover --yes\n"
      "   ais cluster recover --from http://target:51081\n"
      "   ais cluster recover saved.json",
      recover_flags, 0, 1, cmd_recover, { ARG_FILE, ARG_NONE } },
    { "cluster shutdown", NULL, "", "shut down all nodes", NULL, yes_flags, 0, 0, cmd_shutdown, { ARG_NONE, ARG_NONE } },
    { "cluster reset-stats", NULL, "[NODE_ID]", "set counters to zero", NULL, stats_flags, 0, 1, cmd_reset_stats, { ARG_NODE, ARG_NONE } },
    { "cluster rotate-logs", "advanced rotate-logs", "", "have all nodes begin new log files", NULL, NULL, 0, 0, cmd_rotate_logs, { ARG_NONE, ARG_NONE } },
};
const struct cmd misc_cmds[] = {
    { "version", NULL, "", "versions of this program and of the cluster", NULL, json_flags, 0, 0, cmd_version, { ARG_NONE, ARG_NONE } },
    { "search", NULL, "WORD [WORD...]", "find commands", "Example:\n   ais search bucket", head_flags, 1, -1, cmd_search, { ARG_NONE, ARG_NONE } },
    { "alias show", "alias", "", "list other spellings of commands", NULL, head_flags, 0, 0, cmd_alias, { ARG_NONE, ARG_NONE } },
};
/* clang-format on */
DEFINE_GROUP_SIZE(cluster);
DEFINE_GROUP_SIZE(misc);
