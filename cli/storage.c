/* SPDX-License-Identifier: Apache-2.0 */
/* ais storage mountpath: attach, detach, enable, disable, check; rebuild an index. Wire: native-api.md 5.4, "Mountpaths". */
#include <stdio.h>

#include "base/util.h"
#include "cli/api.h"
#include "cli/groups.h"
#include "cli/jobs.h"
#include "cli/out.h"
#include "codec/jw.h"
#include "codec/url.h"

/* clang-format off */
static const struct verb {
    const char *word;   /* last of the command's path */
    const char *method, *action;
    const char *done, *noop;
} verbs[] = {
    { "attach",        "PUT",    "attach-mp",  "attached",                     "is attached already" },
    { "detach",        "DELETE", "detach-mp",  "detached",                     "is detached already" },
    { "enable",        "POST",   "enable-mp",  "enabled",                      "is enabled already" },
    { "disable",       "POST",   "disable-mp", "disabled",                     "is disabled already" },
    { "rescan-disks",  "POST",   "rescan-mp",  "looked at again",              "looked at again" },
    { "fshc",          "POST",   "fshc-mp",    "checked",                      "checked" },
    { "rebuild-index", "POST",   "rebuild-mp", "index rebuilt from the files", "index rebuilt from the files" },
};
/* clang-format on */

static const struct verb *
verb_of(const struct ctx *c)
{
    const char *word = strrchr(c->cmd->path, ' ') + 1;

    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (strcmp(verbs[i].word, word) == 0)
            return &verbs[i];
    return NULL; /* not for rows of the table below */
}

static const char *
query_of(struct ctx *c)
{
    const char *label = flag_str(c, "label", NULL), *q;
    struct sbuf b;

    sbuf_init(&b, 4 * KIB);
    sbuf_putz(&b, "daemon/mountpaths");
    if (label != NULL) {
        sbuf_putz(&b, "?mountpath_label=");
        url_encode_query(&b, str_z(label));
    } else if (flag_on(c, "no-resilver")) {
        sbuf_putz(&b, "?dntres=true");
    }
    q = arena_strdup(c->mem, sbuf_str(&b));
    sbuf_fini(&b);
    return q;
}

/* The resilver that the target has begun by itself, if any. */
static int
wait_resilver(struct ctx *c, const char *tid)
{
    auto_jobs struct jobs j = { .doc = NULL };
    struct job_sel        s = { .word = "resilver", .kind = job_kind("resilver"), .node = tid, .top = 1 };
    struct fault          f;

    if (jobs_ask(c, &s, &j, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (j.n == 0)
        return CLI_OK;
    s.id = arena_strdup(c->mem, str_z(get_text(j.v[0].snap, "id")));
    return job_wait(c, &s);
}

static int
act(struct ctx *c, const char *target, const char *path)
{
    auto_resp struct http_resp r = { .status = 0 };
    const struct verb         *v = verb_of(c);
    struct http_req            q = { .method = v->method };
    struct sbuf                quoted;
    struct fault               f;
    const char                *id;
    bool                       is_target;

    if (path[0] != '/')
        return usage(c, "\"%s\" is not a path: expecting TARGET_ID=/PATH", path);
    if (api_node(c, target, &id, &is_target, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (!is_target)
        return usage(c, "\"%s\" is not a target", target);
    sbuf_init(&quoted, 64 * KIB);
    json_quote(&quoted, str_z(path));
    q.body = api_action(c->mem, v->action, quoted.p);
    sbuf_fini(&quoted);
    if (api_at_node(c->s, id, &q, query_of(c), &r, &f) != CLI_OK)
        return cmd_fail(c, &f);
    printf("t[%s]: mountpath %s %s\n", id, path, r.status == 204 ? v->noop : v->done);
    return flag_on(c, "wait") ? wait_resilver(c, id) : CLI_OK;
}

/* "TARGET=PATH" as often as wanted, or "TARGET PATH". */
static int
cmd_mountpath(struct ctx *c)
{
    struct tally t = { .done = 0 };

    if (c->nargs == 2 && strchr(c->arg[0], '=') == NULL)
        return act(c, c->arg[0], c->arg[1]);
    for (int i = 0; i < c->nargs; i++) {
        const char *eq = strchr(c->arg[i], '=');

        if (eq == NULL)
            return usage(c, "\"%s\": expecting TARGET_ID=MOUNTPATH", c->arg[i]);
        tally_add(&t, act(c, arena_strdup(c->mem, str_from(c->arg[i], (size_t)(eq - c->arg[i]))), eq + 1));
    }
    return tally_exit(&t);
}

#define WAIT_FLAGS                                                                                                     \
    { "wait", NULL, NULL, "wait until its objects are where they belong" },                                            \
    { "timeout", NULL, "TIME", "with --wait: no longer than that" }, FLAG_PROGRESS

static const struct flag enable_flags[] = { WAIT_FLAGS, FLAG_END };
static const struct flag attach_flags[] = {
    { "label", NULL, "LABEL", "what the disk is called in locations and metrics" },
    WAIT_FLAGS,
    FLAG_END,
};
static const struct flag detach_flags[] = {
    { "no-resilver", NULL, NULL, "at once, without moving what lies on it: that is not to be had until it is back" },
    WAIT_FLAGS,
    FLAG_END,
};

#define PAIRS "TARGET_ID=MOUNTPATH [TARGET_ID=MOUNTPATH...]"

/* clang-format off */
const struct cmd storage_cmds[] = {
    { "storage mountpath attach", NULL, PAIRS, "give a target another mountpath",
      "The target brings what belongs there to it by itself ('ais show job resilver'). A disk is known by the id that lies on it.", attach_flags, 1, -1, cmd_mountpath, { ARG_TARGET, ARG_TARGET } },
    { "storage mountpath detach", NULL, PAIRS, "take a mountpath from a target",
      "It serves what it has until that has been brought to the others; then it is closed and can be unmounted.", detach_flags, 1, -1, cmd_mountpath, { ARG_TARGET, ARG_TARGET } },
    { "storage mountpath enable", NULL, PAIRS, "use a disabled mountpath again", NULL, enable_flags, 1, -1, cmd_mountpath, { ARG_TARGET, ARG_TARGET } },
    { "storage mountpath disable", NULL, PAIRS, "stop using a mountpath",
      "It serves what it has until that has been brought to the others; then it is closed and can be unmounted.", detach_flags, 1, -1, cmd_mountpath, { ARG_TARGET, ARG_TARGET } },
    { "storage mountpath rescan-disks", NULL, PAIRS, "look at a mountpath's disks and space again", NULL, NULL, 1, -1, cmd_mountpath, { ARG_TARGET, ARG_TARGET } },
    { "storage mountpath fshc", NULL, PAIRS, "check a mountpath's health", NULL, NULL, 1, -1, cmd_mountpath, { ARG_TARGET, ARG_TARGET } },
    { "storage rebuild-index", "storage mountpath rebuild-index", PAIRS, "rebuild a mountpath's index from its files",
      "The files are the truth and the index follows them: this is for an index that is believed to be wrong.",
      NULL, 1, -1, cmd_mountpath, { ARG_TARGET, ARG_TARGET } },
};
/* clang-format on */
DEFINE_GROUP_SIZE(storage);
