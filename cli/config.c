/* SPDX-License-Identifier: Apache-2.0 */
/* ais config: show, change and reset the configuration of the cluster or of one node. Wire: native-api.md 5.1, 5.3. */
#include <stdio.h>

#include "base/util.h"
#include "cli/api.h"
#include "cli/groups.h"
#include "cli/kv.h"
#include "cli/out.h"
#include "codec/jw.h"
#include "codec/url.h"

/* --- show --- */

static int
print_doc(struct ctx *c, const struct http_resp *r, const char *below)
{
    auto_json json_t *j = NULL;
    struct table      t;
    struct fault      f;

    if (json_read(sbuf_str(&r->body), &j, NULL) < 0) {
        fault_set(&f, CLI_FAILED, "the configuration is not JSON");
        return cmd_fail(c, &f);
    }
    TABLE(&t, c, "PROPERTY", "VALUE");
    if (kv_rows(&t, c, j, below) == 0) {
        fault_set(&f, CLI_NOTFOUND, "there is no configuration key \"%s\"", below);
        return cmd_fail(c, &f);
    }
    if (!flag_on(c, "json")) {
        table_print(&t);
    } else if (below[0] == '\0') {
        json_print(sbuf_str(&r->body));
    } else {
        auto_free char *s = json_dumps(kv_find(j, below), JSON_ENCODE_ANY);

        json_print(str_z(s != NULL ? s : "null"));
    }
    return CLI_OK;
}

static int
show_cluster_config(struct ctx *c, const char *below)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct fault               f;

    if (http_do(c->s, &(struct http_req){ .method = "GET", .path = "/v1/cluster?what=cluster_config" }, &r, &f) != CLI_OK)
        return cmd_fail(c, &f);
    return print_doc(c, &r, below);
}

static int
show_node_config(struct ctx *c, const char *node, const char *below)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct http_req            q = { .method = "GET" };
    struct fault               f;
    const char                *id;

    if (api_node(c, node, &id, NULL, &f) != CLI_OK || api_at_node(c->s, id, &q, "daemon?what=config", &r, &f) != CLI_OK)
        return cmd_fail(c, &f);
    return print_doc(c, &r, below);
}

/* "local", "inherited" and "all" of the original select parts of one document: here a section does. */
static int
skip_scope(const struct ctx *c, int i)
{
    static const char *const words[] = { "inherited", "local", "all" };

    for (size_t k = 0; i < c->nargs && k < ARRAY_SIZE(words); k++)
        if (strcmp(c->arg[i], words[k]) == 0)
            return i + 1;
    return i;
}

static int
cmd_show_config(struct ctx *c)
{
    int i = skip_scope(c, 1);

    if (c->nargs == 0 || strcmp(c->arg[0], "cluster") == 0)
        return show_cluster_config(c, c->nargs > 1 ? c->arg[1] : "");
    return show_node_config(c, c->arg[0], i < c->nargs ? c->arg[i] : "");
}

static int
cmd_show_cluster_config(struct ctx *c)
{
    return show_cluster_config(c, c->nargs > 0 ? c->arg[0] : "");
}

/* --- set --- */

/* "a.b=c" and "a.b c" as a query; values keep their spelling, the cluster knows the types. */
static int
put_query(struct sbuf *b, int n, const char *const *words, struct fault *f)
{
    for (int i = 0; i < n; i++) {
        const char *eq = strchr(words[i], '='), *val = eq != NULL ? eq + 1 : NULL;
        struct str  key = eq != NULL ? str_from(words[i], (size_t)(eq - words[i])) : str_z(words[i]);

        if (eq == NULL && i + 1 == n)
            return fault_set(f, CLI_USAGE, "\"%s\": expecting KEY=VALUE", words[i]);
        if (eq == NULL)
            val = words[++i];
        if (key.n == 0)
            return fault_set(f, CLI_USAGE, "\"%s\": the key is missing", words[i]);
        sbuf_putc(b, b->n == 0 ? '?' : '&');
        url_encode_query(b, key);
        sbuf_putc(b, '=');
        url_encode_query(b, str_z(val));
    }
    return CLI_OK;
}

static int
set_query(struct ctx *c, int from, const char **out, struct fault *f)
{
    struct sbuf b;
    int         rc;

    sbuf_init(&b, 64 * KIB);
    rc = put_query(&b, c->nargs - from, c->arg + from, f);
    if (flag_on(c, "transient"))
        sbuf_putz(&b, "&transient=true");
    *out = arena_strdup(c->mem, sbuf_str(&b));
    sbuf_fini(&b);
    return rc;
}

/* One word without '=' asks; everything else sets. */
static bool
asks(const struct ctx *c, int from)
{
    return c->nargs == from || (c->nargs == from + 1 && strchr(c->arg[from], '=') == NULL && c->arg[from][0] != '{');
}

static int
cmd_config_cluster(struct ctx *c)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct http_req            q = { .method = "PUT" };
    struct fault               f;
    const char                *query;

    if (asks(c, 0))
        return show_cluster_config(c, c->nargs > 0 ? c->arg[0] : "");
    if (c->arg[0][0] == '{') {
        q.body = api_action(c->mem, "set-config", c->arg[0]);
        q.path = flag_on(c, "transient") ? "/v1/cluster?transient=true" : "/v1/cluster";
    } else {
        if (set_query(c, 0, &query, &f) != CLI_OK)
            return cmd_fail(c, &f);
        q.path = out_fmt(c, "/v1/cluster/set-config%s", query);
    }
    if (http_do(c->s, &q, &r, &f) != CLI_OK)
        return cmd_fail(c, &f);
    printf("cluster config updated\n");
    return CLI_OK;
}

static int
cmd_config_node(struct ctx *c)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct http_req            q = { .method = "PUT" };
    int                        from = skip_scope(c, 1);
    struct fault               f;
    const char                *query, *id;

    if (asks(c, from))
        return show_node_config(c, c->arg[0], from < c->nargs ? c->arg[from] : "");
    if (set_query(c, from, &query, &f) != CLI_OK || api_node(c, c->arg[0], &id, NULL, &f) != CLI_OK ||
        api_at_node(c->s, id, &q, out_fmt(c, "daemon/set-config%s", query), &r, &f) != CLI_OK)
        return cmd_fail(c, &f);
    printf("node \"%s\" config updated\n", id);
    return CLI_OK;
}

static int
cmd_config_reset(struct ctx *c)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct http_req            q = { .method = "PUT", .body = "{\"action\":\"reset-config\"}" };
    struct fault               f;
    const char                *id;
    int                        rc;

    if (c->nargs == 0 || strcmp(c->arg[0], "cluster") == 0) {
        q.path = "/v1/cluster";
        rc = http_do(c->s, &q, &r, &f);
    } else {
        rc = api_node(c, c->arg[0], &id, NULL, &f);
        if (rc == CLI_OK)
            rc = api_at_node(c->s, id, &q, "daemon", &r, &f);
    }
    if (rc != CLI_OK)
        return cmd_fail(c, &f);
    printf("%s the cluster's configuration again\n", c->nargs == 0 || strcmp(c->arg[0], "cluster") == 0 ? "all nodes follow" : "the node follows");
    return CLI_OK;
}

static const struct flag show_flags[] = { FLAG_NOHEAD, FLAG_JSON, FLAG_END };
static const struct flag set_flags[] = {
    { "transient", NULL, NULL, "in memory only: gone with the next restart" },
    FLAG_NOHEAD,
    FLAG_JSON,
    FLAG_END,
};

/* clang-format off */
const struct cmd config_cmds[] = {
    { "config show", "show config", "[cluster [SECTION] | NODE_ID [SECTION]]", "configuration of the cluster or of a node",
      "Examples:\n"
      "   ais show config cluster checksum\n"
      "   ais config show --json",
      show_flags, 0, 3, cmd_show_config, { ARG_NODE, ARG_NONE } },
    { "show cluster config", "cluster show config", "[SECTION]", "configuration of the cluster", NULL, show_flags, 0, 1, cmd_show_cluster_config,
      { ARG_NONE, ARG_NONE } },
    { "config cluster", "cluster configure", "[SECTION] | KEY=VALUE [KEY=VALUE...] | JSON", "show or change the cluster's configuration",
      "Examples:\n"
      "   ais config cluster checksum\n"
      "   ais config cluster checksum.validate_warm_get=true\n"
      "   ais config cluster log.level 4 --transient",
      set_flags, 0, -1, cmd_config_cluster, { ARG_NONE, ARG_NONE } },
    { "config node", NULL, "NODE_ID [SECTION] | NODE_ID KEY=VALUE [KEY=VALUE...]", "show or change one node's configuration",
      "The node gets its own value; the others keep the cluster's. 'ais config reset NODE_ID' undoes it.",
      set_flags, 1, -1, cmd_config_node, { ARG_NODE, ARG_NONE } },
    { "config reset", NULL, "[NODE_ID]", "forget what nodes were configured by themselves: all, or one",
      "The cluster's own configuration stays: change that with 'ais config cluster'.\n"
      "Example:\n"
      "   ais config reset",
      NULL, 0, 1, cmd_config_reset, { ARG_NODE, ARG_NONE } },
};
/* clang-format on */
DEFINE_GROUP_SIZE(config);
