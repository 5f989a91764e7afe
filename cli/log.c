/* SPDX-License-Identifier: Apache-2.0 */
/* ais log: a node's log, once or followed; archives of all logs. Wire: native-api.md 5.5. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "cli/files.h"
#include "cli/groups.h"
#include "cli/nodes.h"

struct logsink {
    struct outfile *o;
    uint64_t        got;
};

static int
on_bytes(void *ctx, const char *p, size_t n)
{
    struct logsink *k = ctx;

    k->got += n;
    return outfile_write(k->o, p, n);
}

/* One answer of what=log into a file. */
static int
fetch(struct ctx *c, const char *id, const char *query, struct outfile *o, uint64_t *got, struct fault *f)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct logsink             k = { .o = o };
    struct sink                sink = { on_bytes, &k };
    struct http_req            q = { .method = "GET", .sink = &sink };
    int rc = api_at_node(c->s, id, &q, out_fmt(c, "daemon?what=log&severity=%s%s", flag_str(c, "severity", "info"), query), &r, f);

    *got = k.got;
    return rc;
}

static void
pause_for(int64_t ns)
{
    struct timespec ts = { .tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC };

    nanosleep(&ts, NULL); /* a signal ends it */
}

static int
cmd_log_show(struct ctx *c)
{
    struct outfile o;
    int64_t        refresh = flag_dur(c, "refresh", 0);
    uint64_t       off = 0, got;
    struct fault   f;
    const char    *id;
    int            rc;

    if (api_node(c, c->arg[0], &id, NULL, &f) != CLI_OK || outfile_open(&o, "-", false, &f) != CLI_OK)
        return cmd_fail(c, &f);
    do {
        rc = fetch(c, id, off > 0 ? out_fmt(c, "&offset=%llu", (unsigned long long)off) : "", &o, &got, &f);
        off += got;
        if (rc == CLI_OK && refresh > 0)
            pause_for(refresh);
        if (rc == CLI_FAILED && c->s->last_status == 400 && off > 0) { /* a new file has begun */
            off = 0;
            rc = CLI_OK;
        }
    } while (rc == CLI_OK && refresh > 0 && !atomic_load(&session_interrupted));
    if (rc != CLI_OK && rc != CLI_INTERRUPTED)
        return cmd_fail(c, &f);
    return atomic_load(&session_interrupted) ? CLI_INTERRUPTED : CLI_OK;
}

/* Where the log of a node goes: FILE, DIR/, or here. */
static const char *
log_file(struct ctx *c, const char *id, const char *dst, bool all)
{
    const char *name = out_fmt(c, "ais-%s%s", id, all ? ".tar.gz" : ".log");
    struct stat st;

    if (dst == NULL)
        return name;
    if (dst[strlen(dst) - 1] == '/' || (stat(dst, &st) == 0 && S_ISDIR(st.st_mode)))
        return path_below(c->mem, dst, str_z(name));
    return dst;
}

static int
get_one(struct ctx *c, const char *id, const char *file, bool all)
{
    struct outfile o;
    struct fault   f;
    uint64_t       got;
    int            rc = outfile_open(&o, file, true, &f);

    if (rc != CLI_OK)
        return cmd_fail(c, &f);
    rc = fetch(c, id, all ? "&all=true" : "", &o, &got, &f);
    if (rc == CLI_OK)
        rc = outfile_commit(&o, &f);
    else
        outfile_abort(&o);
    if (rc != CLI_OK)
        return cmd_fail(c, &f);
    if (strcmp(file, "-") != 0)
        printf("log of %s => %s (%s)\n", id, file, out_size(c, got));
    return CLI_OK;
}

/* All logs of all nodes, an archive each. */
static int
get_cluster(struct ctx *c, const char *dir)
{
    auto_nodes struct nodes ns = { .n = 0 };
    struct tally            t = { .done = 0 };
    struct fault            f;

    if (dir != NULL && strcmp(dir, "-") == 0)
        return usage(c, "logs of all nodes need a directory");
    if (dir != NULL && mkdir(dir, 0777) < 0 && errno != EEXIST) {
        fault_errno(&f, dir);
        return cmd_fail(c, &f);
    }
    if (nodes_ask(c, NODES_ALL, NULL, NULL, &ns, &f) != CLI_OK)
        return cmd_fail(c, &f);
    for (size_t i = 0; i < ns.n; i++)
        tally_add(&t, get_one(c, ns.v[i].id, log_file(c, ns.v[i].id, dir, true), true));
    return tally_exit(&t);
}

static int
cmd_log_get(struct ctx *c)
{
    const char  *dst = c->nargs > 1 ? c->arg[1] : NULL, *id;
    bool         all = flag_on(c, "all");
    struct fault f;

    if (dst != NULL && dst[0] == '\0')
        return usage(c, "the file's name is empty");
    if (strcmp(c->arg[0], "cluster") == 0)
        return get_cluster(c, dst);
    if (api_node(c, c->arg[0], &id, NULL, &f) != CLI_OK)
        return cmd_fail(c, &f);
    return get_one(c, id, log_file(c, id, dst, all), all);
}

static int
cmd_download_logs(struct ctx *c)
{
    return get_cluster(c, c->nargs > 0 ? c->arg[0] : NULL);
}

#define FLAG_SEVERITY { "severity", NULL, "SEVERITY", "info (default), warning or error" }

static const struct flag show_flags[] = {
    FLAG_SEVERITY,
    { "refresh", NULL, "TIME", "go on and print what is added, looking so often" },
    FLAG_END,
};
static const struct flag get_flags[] = {
    FLAG_SEVERITY,
    { "all", NULL, NULL, "all logs that are kept, as .tar.gz (default: the current one)" },
    FLAG_YES,
    FLAG_UNITS,
    FLAG_END,
};

/* clang-format off */
const struct cmd log_cmds[] = {
    { "log show", "show log", "NODE_ID", "print a node's log",
      "Example:\n"
      "   ais log show NODE_ID --severity error\n"
      "   ais log show NODE_ID --refresh 1s",
      show_flags, 1, 1, cmd_log_show, { ARG_NODE, ARG_NONE } },
    { "log get", NULL, "NODE_ID|cluster [OUT_FILE|OUT_DIR|-]", "save the log of a node, or all logs of all nodes",
      "Examples:\n"
      "   ais log get cluster /tmp/logs",
      get_flags, 1, 2, cmd_log_get, { ARG_NODE, ARG_FILE } },
    { "cluster download-logs", NULL, "[OUT_DIR]", "save all logs of all nodes, a .tar.gz each", NULL, get_flags, 0, 1, cmd_download_logs,
      { ARG_FILE, ARG_NONE } },
};
/* clang-format on */
DEFINE_GROUP_SIZE(log);
