/* SPDX-License-Identifier: Apache-2.0 */
/* ais bucket: create, rm, props, summary. Wire: native-api.md 3. */
#include <stdio.h>
#include <time.h>

#include "base/util.h"
#include "cli/api.h"
#include "cli/groups.h"
#include "cli/kv.h"
#include "cli/out.h"
#include "codec/jw.h"

/* One request about a bucket, with an action and maybe a value as its body. */
static int
bck_action(struct ctx *c, const struct uri *u, const char *method, const char *action, const char *value, struct fault *f)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct http_req            q = { .method = method, .path = api_bck_path(c->s, u) };

    q.body = api_action(c->mem, action, value);
    return http_do(c->s, &q, &r, f);
}

static const char *
dump(struct ctx *c, const json_t *j)
{
    auto_free char *s = json_dumps(j, JSON_COMPACT);

    return arena_strdup(c->mem, str_z(s));
}

/* --- create, rm --- */

static const struct flag create_flags[] = {
    { "ignore-error", NULL, NULL, "a bucket that exists already is no failure" },
    { "props", NULL, "PROPS", "bucket properties: \"mirror.enabled=true mirror.copies=2\" or JSON" },
    FLAG_END,
};

static int
create_one(struct ctx *c, const char *arg, const char *value)
{
    struct fault f;
    struct uri   u;
    int          rc = uri_parse(arg, URI_BUCKET, &u, &f);

    if (rc == CLI_OK)
        rc = bck_action(c, &u, "POST", "create-bck", value, &f);
    if (rc == CLI_OK)
        printf("\"%s\" created\n", api_uri(c->mem, &u));
    else if (c->s->last_status == 409 && rc == CLI_FAILED && flag_on(c, "ignore-error")) {
        printf("\"%s\" exists already\n", api_uri(c->mem, &u));
        rc = CLI_OK;
    } else
        cmd_fail(c, &f);
    return rc;
}

static int
cmd_bucket_create(struct ctx *c)
{
    auto_json json_t *o = json_object();
    const char       *props = flag_str(c, "props", NULL);
    struct tally      t = { .done = 0 };
    struct fault      f;

    if (props != NULL && (kv_read_line(o, props, &f) != CLI_OK || kv_bucket(o, &f) != CLI_OK))
        return cmd_fail(c, &f);
    for (int i = 0; i < c->nargs; i++)
        tally_add(&t, create_one(c, c->arg[i], props != NULL ? dump(c, o) : NULL));
    return tally_exit(&t);
}

static const struct flag rm_flags[] = {
    FLAG_YES,
    { "ignore-error", NULL, NULL, "a bucket that does not exist is no failure" },
    FLAG_END,
};

static int
rm_one(struct ctx *c, const char *arg)
{
    struct fault f;
    struct uri   u;
    int          rc = uri_parse(arg, URI_BUCKET, &u, &f);

    if (rc == CLI_OK && !confirm(c, &rc, "Destroy %s with everything in it", api_uri(c->mem, &u)))
        return rc;
    if (rc == CLI_OK)
        rc = bck_action(c, &u, "DELETE", "destroy-bck", NULL, &f);
    if (rc == CLI_OK)
        printf("\"%s\" destroyed\n", api_uri(c->mem, &u));
    else if (rc == CLI_NOTFOUND && flag_on(c, "ignore-error"))
        rc = CLI_OK;
    else
        cmd_fail(c, &f);
    return rc;
}

static int
cmd_bucket_rm(struct ctx *c)
{
    struct tally t = { .done = 0 };

    for (int i = 0; i < c->nargs; i++)
        tally_add(&t, rm_one(c, c->arg[i]));
    return tally_exit(&t);
}

/* --- props --- */

static const struct flag props_flags[] = { FLAG_JSON, FLAG_NOHEAD, FLAG_END };

static int
head_props(struct ctx *c, const struct uri *u, json_t **j, struct str *raw, struct fault *f)
{
    auto_resp struct http_resp r = { .status = 0 };
    int rc = http_do(c->s, &(struct http_req){ .method = "HEAD", .path = api_bck_path(c->s, u) }, &r, f);

    if (rc != CLI_OK)
        return rc;
    *raw = str_z(http_hdr(c->s, &r, "Ais-Bucket-Props"));
    if (raw->n == 0 || json_read(*raw, j, NULL) < 0)
        return fault_set(f, CLI_FAILED, "the cluster sent no bucket properties");
    return CLI_OK;
}

static int
cmd_bucket_props_show(struct ctx *c)
{
    auto_json json_t *j = NULL;
    const char       *below = c->nargs > 1 ? c->arg[1] : "";
    struct str        raw;
    struct table      t;
    struct fault      f;
    struct uri        u;

    if (uri_parse(c->arg[0], URI_BUCKET, &u, &f) != CLI_OK || head_props(c, &u, &j, &raw, &f) != CLI_OK)
        return cmd_fail(c, &f);
    TABLE(&t, c, "PROPERTY", "VALUE");
    if (kv_rows(&t, c, j, below) == 0) {
        fault_set(&f, CLI_NOTFOUND, "bucket property \"%s\" does not exist", below);
        return cmd_fail(c, &f);
    }
    if (!flag_on(c, "json")) {
        table_print(&t);
    } else if (below[0] == '\0') {
        json_print(raw);
    } else {
        auto_free char *s = json_dumps(kv_find(j, below), JSON_ENCODE_ANY);

        json_print(str_z(s));
    }
    return CLI_OK;
}

static const struct flag props_set_flags[] = {
    { "force", "f", NULL, "skip the checks that can be skipped" },
    FLAG_END,
};

static int
cmd_bucket_props_set(struct ctx *c)
{
    auto_json json_t *o = json_object();
    struct fault      f;
    struct uri        u;

    if (uri_parse(c->arg[0], URI_BUCKET, &u, &f) != CLI_OK || kv_read(o, c->nargs - 1, c->arg + 1, true, &f) != CLI_OK ||
        kv_bucket(o, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (flag_on(c, "force"))
        json_object_set_new(o, "force", json_true());
    if (bck_action(c, &u, "PATCH", "set-bprops", dump(c, o), &f) != CLI_OK)
        return cmd_fail(c, &f);
    printf("\"%s\": properties updated\n", api_uri(c->mem, &u));
    return CLI_OK;
}

static int
cmd_bucket_props_reset(struct ctx *c)
{
    struct fault f;
    struct uri   u;

    if (uri_parse(c->arg[0], URI_BUCKET, &u, &f) != CLI_OK || bck_action(c, &u, "PATCH", "reset-bprops", NULL, &f) != CLI_OK)
        return cmd_fail(c, &f);
    printf("\"%s\": properties are the cluster's defaults again\n", api_uri(c->mem, &u));
    return CLI_OK;
}

/* --- summary --- */

static const char *
summary_body(struct ctx *c, const char *uuid, const char *prefix)
{
    struct sbuf b;
    struct jw   w;
    const char *body;

    sbuf_init(&b, 64 * KIB);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    jw_kstrz(&w, "uuid", uuid);
    jw_kstrz(&w, "prefix", prefix);
    jw_kbool(&w, "cached", true);
    jw_kbool(&w, "present", true);
    jw_obj_end(&w);
    body = api_action(c->mem, "summary-bck", b.p);
    sbuf_fini(&b);
    return body;
}

/* The cluster answers 202 with a job's id, then 202 or 206 until it has counted all. */
static int
summary_get(struct ctx *c, const char *path, const char *prefix, struct http_resp *r, struct fault *f)
{
    struct timespec pause = { .tv_nsec = 5 * NSEC_PER_MSEC };
    struct http_req q = { .method = "GET", .path = path, .body = summary_body(c, "", prefix) };
    int             rc = http_do(c->s, &q, r, f);

    if (rc == CLI_OK)
        q.body = summary_body(c, arena_strdup(c->mem, str_trim(sbuf_str(&r->body))), prefix);
    while (rc == CLI_OK && r->status != 200) {
        if (atomic_load(&session_interrupted))
            return fault_set(f, CLI_INTERRUPTED, "interrupted");
        rc = http_do(c->s, &q, r, f);
        if (r->status == 202 || r->status == 206)
            nanosleep(&pause, NULL);
        pause.tv_nsec = MIN(pause.tv_nsec * 2, 500 * NSEC_PER_MSEC);
    }
    return rc;
}

static const char *
bck_name(struct ctx *c, const json_t *o)
{
    const json_t *ns = json_object_get(o, "namespace");
    const char   *uuid = get_text(ns, "uuid"), *name = get_text(ns, "name");

    return out_fmt(c, "%s://%s%s%s%s%s%s", uri_scheme(get_text(o, "provider")), uuid[0] != '\0' ? "@" : "", uuid,
                   name[0] != '\0' ? "#" : "", name, uuid[0] != '\0' || name[0] != '\0' ? "/" : "", get_text(o, "name"));
}

int
summary_print(struct ctx *c, const struct uri *u, const char *prefix)
{
    auto_resp struct http_resp r = { .status = 0 };
    auto_json json_t          *j = NULL;
    struct table               t;
    struct fault               f;
    json_t                    *o;
    size_t                     i;

    if (summary_get(c, u != NULL ? api_bck_path(c->s, u) : "/v1/buckets", prefix, &r, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (flag_on(c, "json")) {
        json_print(sbuf_str(&r.body));
        return CLI_OK;
    }
    if (json_read(sbuf_str(&r.body), &j, NULL) < 0) {
        fault_set(&f, CLI_FAILED, "the summary is not JSON");
        return cmd_fail(c, &f);
    }
    TABLE(&t, c, "NAME", "OBJECTS", "SIZE (apparent, on disk)", "USAGE(%)", "OBJECT SIZE (min, avg, max)");
    json_array_foreach(j, i, o)
    {
        const json_t *s = json_object_get(o, "ObjSize"), *z = json_object_get(o, "TotalSize");

        ROW(&t, bck_name(c, o), out_u64(c, get_u64(json_object_get(o, "ObjCount"), "obj_count_present")),
            out_fmt(c, "%s %s", out_size(c, get_u64(z, "size_all_present_objs")), out_size(c, get_u64(z, "size_on_disk"))),
            out_fmt(c, "%llu%%", (unsigned long long)get_u64(o, "used_pct")),
            out_fmt(c, "%s %s %s", out_size(c, get_u64(s, "obj_min_size")), out_size(c, get_u64(s, "obj_avg_size")),
                    out_size(c, get_u64(s, "obj_max_size"))));
    }
    table_print(&t);
    return CLI_OK;
}

static const struct flag summary_flags[] = {
    { "prefix", NULL, "PREFIX", "count only objects whose names start with this" },
    FLAG_UNITS,
    FLAG_NOHEAD,
    FLAG_JSON,
    FLAG_END,
};

static int
cmd_bucket_summary(struct ctx *c)
{
    struct fault f;
    struct uri   u;

    if (c->nargs == 0)
        return summary_print(c, NULL, flag_str(c, "prefix", ""));
    if (uri_parse(c->arg[0], URI_BUCKET_ANY, &u, &f) != CLI_OK)
        return cmd_fail(c, &f);
    return summary_print(c, &u, flag_str(c, "prefix", arena_strdup(c->mem, u.object)));
}

/* clang-format off */
const struct cmd bucket_cmds[] = {
    { "bucket create", "create", "BUCKET [BUCKET...]", "create buckets",
      "Names are ais://NAME, or ais://#NAMESPACE/NAME.\n"
      "Examples:\n"
      "   ais bucket create ais://data\n"
      "   ais create ais://a ais://b --ignore-error\n"
      "   ais create ais://safe --props \"mirror.enabled=true mirror.copies=2\"",
      create_flags, 1, -1, cmd_bucket_create, { ARG_NONE, ARG_NONE } },
    { "bucket rm", "rmb|bucket destroy", "BUCKET [BUCKET...]", "destroy buckets with everything in them",
      "Examples:\n"
      "   ais bucket rm ais://data\n"
      "   ais rmb ais://a ais://b --yes --ignore-error",
      rm_flags, 1, -1, cmd_bucket_rm, { ARG_BUCKET, ARG_BUCKET } },
    { "bucket summary", "bucket show summary|storage summary|show storage summary", "[BUCKET[/PREFIX]]", "count objects and bytes",
      "Examples:\n"
      "   ais bucket summary\n"
      "   ais bucket summary ais://data --prefix train/ --units raw",
      summary_flags, 0, 1, cmd_bucket_summary, { ARG_BUCKET, ARG_NONE } },
    { "bucket props show", "bucket show|show bucket", "BUCKET [PROPERTY|SECTION]", "show a bucket's properties",
      "Examples:\n"
      "   ais bucket props show ais://data\n"
      "   ais show bucket ais://data checksum --json",
      props_flags, 1, 2, cmd_bucket_props_show, { ARG_BUCKET, ARG_NONE } },
    { "bucket props set", NULL, "BUCKET KEY=VALUE [KEY=VALUE...] | JSON", "change a bucket's properties",
      "Examples:\n"
      "   ais bucket props set ais://data checksum.type=md5 lru.enabled=false\n"
      "   ais bucket props set ais://data access=ro\n"
      "   ais bucket props set ais://data '{\"versioning\": {\"enabled\": false}}'",
      props_set_flags, 2, -1, cmd_bucket_props_set, { ARG_BUCKET, ARG_NONE } },
    { "bucket props reset", NULL, "BUCKET", "give a bucket the cluster's default properties",
      "Example:\n"
      "   ais bucket props reset ais://data",
      NULL, 1, 1, cmd_bucket_props_reset, { ARG_BUCKET, ARG_NONE } },
};
/* clang-format on */
DEFINE_GROUP_SIZE(bucket);
