/* SPDX-License-Identifier: Apache-2.0 */
/* ais bucket ...: create, rm, ls, props, summary. */
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"

static int
simple_bck(const char *method, const char *arg, const char *body, const char *done)
{
    struct api_resp r;
    struct api_req  q = { .method = method, .body = body };
    struct uri      u;
    int             rc;

    if (!uri_parse(arg, &u))
        return 2;
    if (u.object[0] != '\0')
        return fail("\"%s\" names an object, expecting a bucket", arg);
    q.path = uri_path(&u, "buckets", NULL);
    rc = api_call(&q, &r);
    if (rc < 0)
        rc = fail("%s", r.err);
    else if (done != NULL)
        printf("\"%s://%s\" %s\n", u.provider, u.bucket, done);
    api_resp_free(&r);
    return rc;
}

/* "a.b=c" into the nested object that the cluster expects; numbers and booleans by look. */
static void
set_dotted(json_t *o, const char *key, const char *val)
{
    const char *dot = strchr(key, '.');
    char       *end;
    json_t     *sub;
    long long   n;

    if (dot != NULL) {
        char *head = strndup(key, (size_t)(dot - key));

        sub = json_object_get(o, head);
        if (sub == NULL)
            json_object_set_new(o, head, sub = json_object());
        set_dotted(sub, dot + 1, val);
        free(head);
        return;
    }
    n = strtoll(val, &end, 10);
    if (strcmp(key, "access") == 0 || strcmp(key, "features") == 0) {
        if (strcmp(val, "ro") == 0)
            val = "771"; /* GET, HEAD-OBJECT, HEAD-BUCKET, LIST-OBJECTS */
        else if (strcmp(val, "rw") == 0)
            val = "831";
        else if (strcmp(val, "su") == 0)
            val = "18446744073709551615";
        json_object_set_new(o, key, json_string(val));
    } else if (strcmp(val, "true") == 0 || strcmp(val, "on") == 0) {
        json_object_set_new(o, key, json_true());
    } else if (strcmp(val, "false") == 0 || strcmp(val, "off") == 0) {
        json_object_set_new(o, key, json_false());
    } else if (*val != '\0' && *end == '\0') {
        json_object_set_new(o, key, json_integer(n));
    } else {
        json_object_set_new(o, key, json_string(val));
    }
}

static json_t *
props_of(const struct args *a, int from)
{
    json_t *o = json_object();

    for (int i = from; i < a->n; i++) {
        const char *eq = strchr(a->v[i], '=');
        char       *key;

        if (a->v[i][0] == '{') {
            json_error_t je;
            json_t      *j = json_loads(a->v[i], 0, &je);

            if (j == NULL)
                die("properties are not JSON: %s", je.text);
            json_object_update_recursive(o, j);
            json_decref(j);
            continue;
        }
        if (eq == NULL) {
            if (i + 1 == a->n)
                die("\"%s\": expecting KEY=VALUE, KEY VALUE or JSON", a->v[i]);
            set_dotted(o, a->v[i], a->v[i + 1]);
            i++;
            continue;
        }
        key = strndup(a->v[i], (size_t)(eq - a->v[i]));
        set_dotted(o, key, eq + 1);
        free(key);
    }
    return o;
}

static char *
action(const char *name, json_t *value)
{
    json_t *o = json_pack("{s:s,s:o}", "action", name, "value", value == NULL ? json_null() : value);
    char   *s = json_dumps(o, 0);

    json_decref(o);
    return s;
}

static const struct flag create_flags[] = {
    { "ignore-error", NULL, false, "success when the bucket exists already" },
    { "props", NULL, true, "properties: \"mirror.enabled=true mirror.copies=2\" or JSON" },
    FLAG_END,
};

static int
bucket_create(const struct args *a)
{
    const char *props = arg_get(a, "props", NULL);
    json_t     *value = NULL;
    int         rc = 0;

    if (props != NULL) {
        const char *words[32];
        struct args pa = { .v = words };
        char       *copy = strdup(props), *save = NULL;

        if (props[0] == '{')
            words[pa.n++] = props;
        else
            for (char *w = strtok_r(copy, " ", &save); w != NULL && pa.n < 32; w = strtok_r(NULL, " ", &save))
                words[pa.n++] = w;
        value = props_of(&pa, 0);
    }
    for (int i = 0; i < a->n; i++) {
        char           *body = action("create-bck", value == NULL ? NULL : json_incref(value));
        struct api_resp r;
        struct uri      u;
        struct api_req  q = { .method = "POST", .body = body };

        if (!uri_parse(a->v[i], &u))
            return 2;
        q.path = uri_path(&u, "buckets", NULL);
        if (api_call(&q, &r) == 0)
            printf("\"%s://%s\" created\n", u.provider, u.bucket);
        else if (r.status == 409 && arg_has(a, "ignore-error"))
            printf("\"%s://%s\" already exists\n", u.provider, u.bucket);
        else
            rc = fail("%s", r.err);
        api_resp_free(&r);
        free(body);
    }
    json_decref(value);
    return rc;
}

static bool
confirm(const struct args *a, const char *what)
{
    char line[16];

    if (arg_has(a, "yes"))
        return true;
    printf("Proceed to remove %s? [Y/N]: ", what);
    fflush(stdout);
    return fgets(line, sizeof(line), stdin) != NULL && (line[0] == 'y' || line[0] == 'Y');
}

static const struct flag rm_flags[] = {
    { "yes", "y", false, "do not ask" },
    { "ignore-error", NULL, false, "success when the bucket does not exist" },
    FLAG_END,
};

static int
bucket_rm(const struct args *a)
{
    int rc = 0;

    for (int i = 0; i < a->n; i++) {
        struct api_resp r;
        struct uri      u;
        struct api_req  q = { .method = "DELETE", .body = "{\"action\":\"destroy-bck\"}" };

        if (!uri_parse(a->v[i], &u))
            return 2;
        if (!confirm(a, a->v[i]))
            continue;
        q.path = uri_path(&u, "buckets", NULL);
        if (api_call(&q, &r) == 0)
            printf("\"%s://%s\" destroyed\n", u.provider, u.bucket);
        else if (r.status != 404 || !arg_has(a, "ignore-error"))
            rc = fail("%s", r.err);
        api_resp_free(&r);
    }
    return rc;
}

/* --- props --- */

static json_t *
head_props(const struct uri *u)
{
    struct api_req  q = { .method = "HEAD", .path = uri_path(u, "buckets", NULL) };
    struct api_resp r;
    json_error_t    je;
    json_t         *j;

    if (api_call(&q, &r) < 0)
        die("%s", r.err);
    j = json_loads(api_hdr(&r, "Ais-Bucket-Props") == NULL ? "" : api_hdr(&r, "Ais-Bucket-Props"), 0, &je);
    if (j == NULL)
        die("bad properties: %s", je.text);
    api_resp_free(&r);
    return j;
}

/* Leaves of a JSON object as "a.b  value" rows. */
static void
flatten(struct table *t, const char *prefix, json_t *j)
{
    const char *k;
    json_t     *v;

    json_object_foreach(j, k, v)
    {
        char *name = path_fmt("%s%s%s", prefix, prefix[0] != '\0' ? "." : "", k), *text;

        if (json_is_object(v)) {
            flatten(t, name, v);
        } else if (json_is_string(v)) {
            table_row(t, name, json_string_value(v));
        } else {
            text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
            table_row(t, name, text);
            free(text);
        }
        free(name);
    }
}

static const struct flag props_flags[] = { FLAG_JSON, FLAG_END };

int
bucket_props_show(const struct args *a)
{
    struct uri   u;
    struct table t;
    json_t      *j;

    if (!uri_parse(a->v[0], &u))
        return 2;
    j = head_props(&u);
    if (a->n > 1) { /* one section, or one property */
        json_t *sub = j;
        char   *copy = strdup(a->v[1]), *save = NULL;

        for (char *w = strtok_r(copy, ".", &save); w != NULL && sub != NULL; w = strtok_r(NULL, ".", &save))
            sub = json_object_get(sub, w);
        if (sub == NULL)
            return fail("bucket property \"%s\" does not exist", a->v[1]);
        j = json_is_object(sub) ? sub : json_pack("{s:O}", a->v[1], sub);
    }
    if (arg_json(a)) {
        print_json(j);
        return 0;
    }
    table_init(&t, 2, "PROPERTY", "VALUE");
    flatten(&t, "", j);
    table_print(&t);
    return 0;
}

static int
bucket_props_set(const struct args *a)
{
    char *body = action("set-bprops", props_of(a, 1));

    return simple_bck("PATCH", a->v[0], body, "properties updated");
}

static int
bucket_props_reset(const struct args *a)
{
    return simple_bck("PATCH", a->v[0], "{\"action\":\"reset-bprops\"}", "properties reset to the cluster's defaults");
}

/* --- summary --- */

static json_t *
summary(const char *path, const char *prefix)
{
    char           *body = path_fmt("{\"action\":\"summary-bck\",\"value\":{\"uuid\":\"\",\"prefix\":\"%s\"}}", prefix);
    struct api_req  q = { .method = "GET", .path = strdup(path), .body = body };
    struct api_resp r;
    char           *id;
    struct timespec pause = { .tv_nsec = 20000000 };

    if (api_call(&q, &r) < 0)
        die("%s", r.err);
    id = strndup(r.body.p, r.body.n);
    for (;;) {
        json_error_t je;
        json_t      *j;

        api_resp_free(&r);
        q.path = strdup(path);
        q.body = path_fmt("{\"action\":\"summary-bck\",\"value\":{\"uuid\":\"%s\",\"prefix\":\"%s\"}}", id, prefix);
        if (api_call(&q, &r) < 0)
            die("%s", r.err);
        if (r.status == 200) {
            j = json_loadb(r.body.p, r.body.n, 0, &je);
            if (j == NULL)
                die("bad summary: %s", je.text);
            return j;
        }
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 500000000)
            pause.tv_nsec *= 2;
    }
}

static const struct flag summary_flags[] = {
    { "prefix", NULL, true, "only objects whose names start with this" },
    FLAG_JSON,
    FLAG_END,
};

int
bucket_summary(const struct args *a)
{
    struct table t;
    struct uri   u;
    json_t      *j, *o;
    size_t       i;

    if (a->n > 0) {
        if (!uri_parse(a->v[0], &u))
            return 2;
        j = summary(uri_path(&u, "buckets", NULL), arg_get(a, "prefix", u.object));
    } else {
        j = summary("/v1/buckets", arg_get(a, "prefix", ""));
    }
    if (arg_json(a)) {
        print_json(j);
        return 0;
    }
    table_init(&t, 6, "NAME", "OBJECTS", "SIZE", "MIN", "AVG", "MAX");
    json_array_foreach(j, i, o)
    {
        char         *name = path_fmt("%s://%s", json_text(o, "provider"), json_text(o, "name"));
        const json_t *c = json_object_get(o, "ObjCount"), *s = json_object_get(o, "ObjSize"),
                     *z = json_object_get(o, "TotalSize");

        table_row(&t, name, fmt_u64(json_num(c, "obj_count_present")), human(json_num(z, "size_all_present_objs")),
                  human(json_num(s, "obj_min_size")), human(json_num(s, "obj_avg_size")), human(json_num(s, "obj_max_size")));
        free(name);
    }
    table_print(&t);
    return 0;
}

/* --- list buckets --- */

static const struct flag lsb_flags[] = {
    { "summary", NULL, false, "with numbers of objects and sizes" },
    FLAG_JSON,
    FLAG_END,
};

int
list_buckets(const struct args *a, const char *provider)
{
    struct api_req q = { .method = "GET",
                         .path = path_fmt("/v1/buckets%s%s", provider[0] != '\0' ? "?provider=" : "", provider),
                         .body = "{\"action\":\"list\",\"value\":null}" };
    struct table   t;
    json_t        *j, *o;
    size_t         i;

    if (arg_has(a, "summary"))
        return bucket_summary(&(struct args){ .cmd = a->cmd });
    j = api_json(&q);
    if (arg_json(a)) {
        print_json(j);
        return 0;
    }
    if (json_array_size(j) == 0) {
        printf("No buckets in the cluster. To create one: ais bucket create ais://NAME\n");
        return 0;
    }
    table_init(&t, 1, "NAME");
    json_array_foreach(j, i, o)
    {
        char *name = path_fmt("%s://%s", json_text(o, "provider"), json_text(o, "name"));

        table_row(&t, name);
        free(name);
    }
    table_print(&t);
    return 0;
}

static int
bucket_ls(const struct args *a)
{
    char *p = strdup(a->n > 0 ? a->v[0] : "");

    p[strcspn(p, ":")] = '\0';
    return list_buckets(a, p);
}

const struct cmd cmds_bucket[] = {
    { "bucket create", "create", "BUCKET [BUCKET...]", "create buckets",
      "Example:\n   ais bucket create ais://data --props \"versioning.enabled=false\"", create_flags, 1, -1, bucket_create },
    { "bucket rm", "rmb|bucket destroy", "BUCKET [BUCKET...]", "destroy buckets with everything in them", NULL, rm_flags, 1, -1,
      bucket_rm },
    { "bucket ls", NULL, "[PROVIDER]", "list buckets", NULL, lsb_flags, 0, 1, bucket_ls },
    { "bucket props show", "bucket props", "BUCKET [SECTION]", "show bucket properties", NULL, props_flags, 1, 2,
      bucket_props_show },
    { "bucket props set", NULL, "BUCKET KEY=VALUE [KEY=VALUE...] | JSON", "change bucket properties",
      "Example:\n   ais bucket props set ais://data checksum.type=md5 lru.enabled=false", NULL, 2, -1, bucket_props_set },
    { "bucket props reset", NULL, "BUCKET", "set all properties to the cluster's defaults", NULL, NULL, 1, 1,
      bucket_props_reset },
    { "bucket summary", "bucket show summary|storage summary", "[BUCKET[/PREFIX]]", "count objects and bytes", NULL, summary_flags, 0, 1,
      bucket_summary },
};
const unsigned ncmds_bucket = sizeof(cmds_bucket) / sizeof(cmds_bucket[0]);
