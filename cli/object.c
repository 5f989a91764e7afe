/* SPDX-License-Identifier: Apache-2.0 */
/* ais object: rm, mv, show, set-custom, promote, multipart-upload. Wire: native-api.md 4.4, 4.7, 4.9. */
#include <stdio.h>
#include <stdlib.h>

#include "base/units.h"
#include "base/util.h"
#include "cli/batch.h"
#include "cli/groups.h"
#include "cli/kv.h"
#include "codec/jw.h"
#include "codec/url.h"

/* --- rm --- */

static int
rm_one(struct batch *b, struct session *s, const struct item *it, struct fault *f)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct http_req            q = { .method = "DELETE", .path = api_obj_path(s, &b->u, str_z(it->name)) };

    return http_do(s, &q, &r, f);
}

static int
collect_names(struct ctx *c, struct batch *b, const char *prefix, struct fault *f)
{
    struct lister l = { .u = &b->u, .prefix = prefix, .props = "name", .flags = flag_on(c, "non-recursive") ? LS_NO_RECURSE : 0 };
    int           rc = CLI_OK;

    while (rc == CLI_OK && !l.done) {
        auto_json json_t *page = NULL;
        json_t           *e;
        size_t            i;

        rc = list_next(c->s, &l, &page, f);
        json_array_foreach(json_object_get(page, "entries"), i, e)
        {
            struct item it = { .name = arena_strdup(c->mem, str_z(get_text(e, "name"))) };

            if ((get_u64(e, "flags") & LS_ENT_DIR) == 0)
                batch_add(b, &it);
        }
    }
    list_fini(&l);
    return rc;
}

static int
rm_prefix(struct ctx *c, struct batch *b, const char *prefix)
{
    struct fault f;
    int          rc;

    if (collect_names(c, b, prefix, &f) != CLI_OK)
        return cmd_fail(c, &f);
    b->u.object = STR_NULL;
    if (b->n == 0) {
        fault_set(&f, CLI_NOTFOUND, "no objects in %s start with \"%s\"", api_uri(c->mem, &b->u), prefix);
        return cmd_fail(c, &f);
    }
    if (!confirm(c, &rc, "Delete %zu objects from %s", b->n, api_uri(c->mem, &b->u)))
        return rc;
    rc = batch_run(b, false);
    printf("deleted %lu of %zu objects from %s\n", b->tally.done, b->n, api_uri(c->mem, &b->u));
    return rc;
}

static int
rm_arg(struct ctx *c, const char *arg)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct batch               b = { .c = c, .what = "DELETE", .fn = rm_one };
    const char                *prefix = flag_on(c, "all") ? "" : flag_str(c, "prefix", NULL);
    struct http_req            q = { .method = "DELETE" };
    struct fault               f;

    if (uri_parse(arg, URI_BUCKET_ANY, &b.u, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (prefix == NULL && str_ends(b.u.object, STR_LIT("/")))
        prefix = arena_strdup(c->mem, b.u.object); /* "a/b/" is a directory: no object is called so */
    if (prefix != NULL)
        return rm_prefix(c, &b, prefix);
    if (b.u.object.n == 0)
        return usage(c, "\"%s\" names no object: --all deletes everything in it", arg);
    q.path = api_obj_path(c->s, &b.u, b.u.object);
    if (http_do(c->s, &q, &r, &f) != CLI_OK)
        return cmd_fail(c, &f);
    printf("deleted \"%s\"\n", api_uri(c->mem, &b.u));
    return CLI_OK;
}

static const struct flag rm_flags[] = {
    { "prefix", NULL, "PREFIX", "all objects whose names start with this" },
    { "all", NULL, NULL, "all objects of the bucket" },
    { "non-recursive", "nr", NULL, "with a prefix: not in directories below it" },
    FLAG_WORKERS,
    FLAG_PROGRESS,
    FLAG_YES,
    FLAG_END,
};

static int
cmd_rm(struct ctx *c)
{
    struct tally t = { .done = 0 };

    for (int i = 0; i < c->nargs; i++)
        tally_add(&t, rm_arg(c, c->arg[i]));
    return tally_exit(&t);
}

/* --- mv --- */

static int
new_name(const char *arg, const struct uri *from, struct str *name, struct fault *f)
{
    struct uri to;

    *name = str_z(arg);
    if (strstr(arg, "://") == NULL)
        return CLI_OK;
    if (uri_parse(arg, URI_OBJECT, &to, f) != CLI_OK)
        return CLI_USAGE;
    if (!str_eq(to.bucket, from->bucket) || strcmp(to.provider, from->provider) != 0 || !str_eq(to.ns, from->ns))
        return fault_set(f, CLI_USAGE, "an object cannot be moved to another bucket");
    *name = to.object;
    return CLI_OK;
}

static int
cmd_mv(struct ctx *c)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct http_req            q = { .method = "POST" };
    struct sbuf                body;
    struct jw                  w;
    struct str                 to;
    struct fault               f;
    struct uri                 u;
    int                        rc;

    if (uri_parse(c->arg[0], URI_OBJECT, &u, &f) != CLI_OK || new_name(c->arg[1], &u, &to, &f) != CLI_OK)
        return cmd_fail(c, &f);
    sbuf_init(&body, 64 * KIB);
    jw_init(&w, &body, 0);
    jw_obj(&w);
    jw_kstrz(&w, "action", "rename-obj");
    jw_kstr(&w, "name", to);
    jw_obj_end(&w);
    q.body = body.p;
    q.path = api_obj_path(c->s, &u, u.object);
    rc = http_do(c->s, &q, &r, &f);
    sbuf_fini(&body);
    if (rc != CLI_OK)
        return cmd_fail(c, &f);
    printf("\"%s\" is now \"%.*s\"\n", api_uri(c->mem, &u), STR_FMT(to));
    return CLI_OK;
}

/* --- show --- */

static const char *
as_is(struct ctx *c, const char *v)
{
    UNUSED(c);
    return v;
}

static const char *
as_size(struct ctx *c, const char *v)
{
    uint64_t n;

    return str_u64(str_z(v), &n) ? out_size(c, n) : v;
}

static const char *
as_time(struct ctx *c, const char *v)
{
    char    buf[UNITS_MAX];
    int64_t ns;

    if (!str_i64(str_z(v), &ns))
        return v;
    time_rfc822(ns, buf);
    return arena_strdup(c->mem, str_z(buf));
}

/* clang-format off */
static const struct {
    const char *prop, *hdr;
    const char *(*fn)(struct ctx *c, const char *v);
    bool        number; /* in JSON */
} object_rows[] = {
    { "atime",         "Ais-Atime",                 as_time, true  },
    { "checksum",      "Ais-Checksum-Value",        as_is,   false },
    { "chunked",       "Ais-Chunks-Count",          as_is,   true  },
    { "copies",        "Ais-Mirror-Copies",         as_is,   true  },
    { "custom",        "Ais-Custom-Md",             as_is,   false },
    { "ec",            "Ais-Ec-Data",               as_is,   false },
    { "etag",          "Etag",                      as_is,   false },
    { "last-modified", "Last-Modified",             as_is,   false },
    { "location",      "Ais-Location",              as_is,   false },
    { "size",          "Content-Length",            as_size, true  },
    { "version",       "Ais-Version",               as_is,   false },
};
/* clang-format on */
#define OBJECT_PROPS_ALL "atime,checksum,chunked,copies,custom,ec,etag,last-modified,location,size,version"

static bool
wanted(const char *props, const char *prop)
{
    struct str rest = str_z(props), one;

    while (str_split(&rest, ',', &one))
        if (str_eqz(str_trim(one), prop))
            return true;
    return false;
}

/* One property's text, from one or more header lines; NULL when the object has none. */
static const char *
prop_text(struct ctx *c, const struct http_resp *r, size_t i)
{
    const char *v = http_hdr(c->s, r, object_rows[i].hdr), *more;

    if (v == NULL)
        return NULL;
    if (strcmp(object_rows[i].prop, "checksum") == 0)
        return out_fmt(c, "%s[%s]", http_hdr(c->s, r, "Ais-Checksum-Type"), v);
    if (strcmp(object_rows[i].prop, "ec") == 0)
        return out_fmt(c, "%s:%s", v, http_hdr(c->s, r, "Ais-Ec-Parity"));
    if (strcmp(object_rows[i].prop, "custom") == 0)
        for (unsigned n = 1; (more = http_hdr_nth(c->s, r, "Ais-Custom-Md", n)) != NULL; n++)
            v = out_fmt(c, "%s, %s", v, more);
    return v;
}

static void
show_json(struct ctx *c, const struct http_resp *r, const struct uri *u, const char *props)
{
    struct sbuf b;
    struct jw   w;
    uint64_t    n;

    sbuf_init(&b, 1 * MIB);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    jw_kstr(&w, "name", u->object);
    jw_kstrz(&w, "bucket", api_uri(c->mem, &(struct uri){ u->provider, u->ns, u->bucket, STR_NULL }));
    for (size_t i = 0; i < ARRAY_SIZE(object_rows); i++) {
        const char *v = wanted(props, object_rows[i].prop) ? prop_text(c, r, i) : NULL;

        if (v != NULL && object_rows[i].number && str_u64(str_z(v), &n))
            jw_ku64(&w, object_rows[i].prop, n);
        else if (v != NULL)
            jw_kstrz(&w, object_rows[i].prop, v);
    }
    jw_obj_end(&w);
    json_print(sbuf_str(&b));
    sbuf_fini(&b);
}

static const struct flag show_flags[] = {
    { "props", NULL, "PROPS", "only these: size,version,checksum,atime,location,copies,custom,chunked,etag,last-modified,ec" },
    { "all", NULL, NULL, "all properties (the default)" },
    FLAG_UNITS,
    FLAG_NOHEAD,
    FLAG_JSON,
    FLAG_END,
};

static int
props_check(struct ctx *c, const char *props)
{
    struct str rest = str_z(props), one;

    while (str_split(&rest, ',', &one)) {
        size_t i;

        one = str_trim(one);
        for (i = 0; i < ARRAY_SIZE(object_rows) && !str_eqz(one, object_rows[i].prop); i++)
            ;
        if (i == ARRAY_SIZE(object_rows) && !str_eqz(one, "name"))
            return usage(c, "--props: there is no \"%.*s\" (there are: name,%s)", STR_FMT(one), OBJECT_PROPS_ALL);
    }
    return CLI_OK;
}

static int
cmd_show(struct ctx *c)
{
    auto_resp struct http_resp r = { .status = 0 };
    const char                *props = flag_on(c, "all") ? OBJECT_PROPS_ALL : flag_str(c, "props", OBJECT_PROPS_ALL);
    struct http_req            q = { .method = "HEAD" };
    struct table               t;
    struct fault               f;
    struct uri                 u;

    if (strcmp(props, "all") == 0)
        props = OBJECT_PROPS_ALL;
    if (uri_parse(c->arg[0], URI_OBJECT, &u, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (props_check(c, props) != CLI_OK)
        return CLI_USAGE;
    q.path = out_fmt(c, "%s&props=%s", api_obj_path(c->s, &u, u.object), OBJECT_PROPS_ALL);
    if (http_do(c->s, &q, &r, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (flag_on(c, "json")) {
        show_json(c, &r, &u, props);
        return CLI_OK;
    }
    TABLE(&t, c, "PROPERTY", "VALUE");
    ROW(&t, "name", api_uri(c->mem, &u));
    for (size_t i = 0; i < ARRAY_SIZE(object_rows); i++) {
        const char *v = wanted(props, object_rows[i].prop) ? prop_text(c, &r, i) : NULL;

        if (v != NULL)
            ROW(&t, object_rows[i].prop, object_rows[i].fn(c, v));
    }
    table_print(&t);
    return CLI_OK;
}

/* --- set-custom --- */

static const struct flag custom_flags[] = {
    { "set-new-custom", NULL, NULL, "replace all custom metadata (default: add to it)" },
    FLAG_END,
};

static int
cmd_set_custom(struct ctx *c)
{
    auto_resp struct http_resp r = { .status = 0 };
    auto_json json_t          *o = json_object();
    struct http_req            q = { .method = "PATCH" };
    struct fault               f;
    struct uri                 u;
    char                      *value;

    if (uri_parse(c->arg[0], URI_OBJECT, &u, &f) != CLI_OK || kv_read(o, c->nargs - 1, c->arg + 1, false, &f) != CLI_OK)
        return cmd_fail(c, &f);
    value = json_dumps(o, JSON_COMPACT);
    q.body = api_action(c->mem, "", value);
    free(value);
    q.path = out_fmt(c, "%s%s", api_obj_path(c->s, &u, u.object), flag_on(c, "set-new-custom") ? "&set-new-custom=true" : "");
    if (http_do(c->s, &q, &r, &f) != CLI_OK)
        return cmd_fail(c, &f);
    printf("\"%s\": custom metadata updated\n", api_uri(c->mem, &u));
    return CLI_OK;
}

/* --- promote --- */

static const struct flag promote_flags[] = {
    { "recursive", "r", NULL, "directories with everything below them" },
    { "overwrite-dst", "o", NULL, "replace objects that exist" },
    { "not-file-share", NULL, NULL, "each target promotes what it sees, even when they seem to see the same" },
    { "delete-src", NULL, NULL, "remove the files afterwards" },
    { "target-id", NULL, "TARGET", "only this target" },
    FLAG_END,
};

static const char *
promote_body(struct ctx *c, const char *src, const struct uri *u, const char *tid)
{
    struct sbuf b;
    struct jw   w;
    const char *body;

    sbuf_init(&b, 64 * KIB);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    jw_kstrz(&w, "action", "promote");
    jw_kstrz(&w, "name", src);
    jw_key(&w, "value");
    jw_obj(&w);
    jw_kstrz(&w, "tid", tid);
    jw_kstrz(&w, "src", src);
    jw_kstr(&w, "obj", u->object);
    jw_kbool(&w, "rcr", flag_on(c, "recursive"));
    jw_kbool(&w, "ovw", flag_on(c, "overwrite-dst"));
    jw_kbool(&w, "notshr", flag_on(c, "not-file-share"));
    jw_kbool(&w, "dls", flag_on(c, "delete-src"));
    jw_obj_end(&w);
    jw_obj_end(&w);
    body = arena_strdup(c->mem, sbuf_str(&b));
    sbuf_fini(&b);
    return body;
}

static int
cmd_promote(struct ctx *c)
{
    auto_resp struct http_resp r = { .status = 0 };
    const char                *tid = "";
    struct http_req            q = { .method = "POST" };
    struct fault               f;
    struct uri                 u;

    if (uri_parse(c->arg[1], URI_BUCKET_ANY, &u, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (flag_on(c, "target-id") && api_node(c, flag_str(c, "target-id", ""), &tid, NULL, &f) != CLI_OK)
        return cmd_fail(c, &f);
    q.body = promote_body(c, c->arg[0], &u, tid);
    q.path = api_obj_path(c->s, &u, STR_NULL);
    if (http_do(c->s, &q, &r, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (r.body.n > 0)
        printf("promoting \"%s\" => %s: job %.*s\n", c->arg[0], api_uri(c->mem, &u), STR_FMT(str_trim(sbuf_str(&r.body))));
    else
        printf("promoted \"%s\" => %s\n", c->arg[0], api_uri(c->mem, &u));
    return CLI_OK;
}

/* --- multipart-upload: each step by hand --- */

static int
mpu_call(struct ctx *c, const char *method, const char *id, const char *action, const char *value, struct http_resp *r, struct fault *f)
{
    struct http_req q = { .method = method, .body = api_action(c->mem, action, value) };
    struct sbuf     b;
    struct uri      u;
    int             rc;

    if (uri_parse(c->arg[0], URI_OBJECT, &u, f) != CLI_OK)
        return CLI_USAGE;
    sbuf_init(&b, 64 * KIB);
    uri_put_path(&b, "objects", &u, true);
    if (id != NULL) {
        sbuf_putz(&b, "&uploadId=");
        url_encode_query(&b, str_z(id));
    }
    q.path = b.p;
    rc = http_do(c->s, &q, r, f);
    sbuf_fini(&b);
    return rc;
}

static int
cmd_mpu_create(struct ctx *c)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct fault               f;

    if (mpu_call(c, "POST", NULL, "mpt-upload", NULL, &r, &f) != CLI_OK)
        return cmd_fail(c, &f);
    printf("%.*s\n", STR_FMT(str_trim(sbuf_str(&r.body))));
    return CLI_OK;
}

static int
cmd_mpu_abort(struct ctx *c)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct fault               f;

    if (mpu_call(c, "DELETE", c->arg[1], "mpt-abort", NULL, &r, &f) != CLI_OK)
        return cmd_fail(c, &f);
    printf("upload %s of \"%s\" is given up\n", c->arg[1], c->arg[0]);
    return CLI_OK;
}

static int
cmd_mpu_complete(struct ctx *c)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct str                 rest = str_z(c->arg[2]), one;
    struct sbuf                b;
    struct jw                  w;
    struct fault               f;
    uint64_t                   n;
    int                        rc = CLI_OK;

    sbuf_init(&b, 1 * MIB);
    jw_init(&w, &b, 0);
    jw_arr(&w);
    while (rc == CLI_OK && str_split(&rest, ',', &one)) {
        if (!str_u64(str_trim(one), &n))
            rc = usage(c, "\"%.*s\" is not a part's number", STR_FMT(one));
        jw_obj(&w);
        jw_ku64(&w, "part-number", n);
        jw_kstrz(&w, "etag", "");
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    if (rc == CLI_OK && mpu_call(c, "POST", c->arg[1], "mpt-complete", b.p, &r, &f) != CLI_OK)
        rc = cmd_fail(c, &f);
    else if (rc == CLI_OK)
        printf("\"%s\" is complete\n", c->arg[0]);
    sbuf_fini(&b);
    return rc;
}

/* clang-format off */
const struct cmd object_cmds[] = {
    { "object rm", "rmo|object delete", "BUCKET/OBJECT_NAME [BUCKET/OBJECT_NAME...] | BUCKET --prefix PREFIX | BUCKET --all",
      "delete objects",
      "A name that ends with '/' is a directory: everything below it is deleted.\n"
      "Examples:\n"
      "   ais object rm ais://data/README.md\n"
      "   ais rmo ais://data/docs/ --yes\n"
      "   ais rmo ais://data --all --yes",
      rm_flags, 1, -1, cmd_rm, { ARG_BUCKET, ARG_BUCKET } },
    { "object mv", "object rename", "BUCKET/OBJECT_NAME NEW_OBJECT_NAME", "rename an object within its bucket",
      "Example:\n"
      "   ais object mv ais://data/README.md docs/readme.txt",
      NULL, 2, 2, cmd_mv, { ARG_BUCKET, ARG_NONE } },
    { "object show", "show object|object props", "BUCKET/OBJECT_NAME", "show what the cluster knows of an object",
      "Examples:\n"
      "   ais object show ais://data/README.md\n"
      "   ais show object ais://data/README.md --props size,checksum --json",
      show_flags, 1, 1, cmd_show, { ARG_BUCKET, ARG_NONE } },
    { "object set-custom", NULL, "BUCKET/OBJECT_NAME KEY=VALUE [KEY=VALUE...] | JSON", "set an object's custom metadata",
      "Example:\n"
      "   ais object set-custom ais://data/README.md language=en reviewed=yes",
      custom_flags, 2, -1, cmd_set_custom, { ARG_BUCKET, ARG_NONE } },
    { "object promote", "promote", "FILE|DIRECTORY BUCKET[/OBJECT_NAME_or_PREFIX]", "make objects of files that the targets can see",
      "The files must lie where the targets allow it: under /var/lib/ais/promote on their machines.\n"
      "Example:\n"
      "   ais object promote /var/lib/ais/promote/photos ais://data/photos/ --recursive",
      promote_flags, 2, 2, cmd_promote, { ARG_FILE, ARG_BUCKET } },
    { "object multipart-upload create", "mpu create", "BUCKET/OBJECT_NAME", "begin a multipart upload; prints its id",
      "'ais put --chunk-size' does all steps by itself. Parts by hand: PUT with partNumber and uploadId.\n"
      "Example:\n"
      "   ais mpu create ais://data/big.bin",
      NULL, 1, 1, cmd_mpu_create, { ARG_BUCKET, ARG_NONE } },
    { "object multipart-upload complete", "mpu complete", "BUCKET/OBJECT_NAME UPLOAD_ID PART_NUMBERS",
      "make one object of the parts, e.g. 1,2,3", NULL,
      NULL, 3, 3, cmd_mpu_complete, { ARG_BUCKET, ARG_NONE } },
    { "object multipart-upload abort", "mpu abort", "BUCKET/OBJECT_NAME UPLOAD_ID", "give a multipart upload up", NULL,
      NULL, 2, 2, cmd_mpu_abort, { ARG_BUCKET, ARG_NONE } },
};
/* clang-format on */
DEFINE_GROUP_SIZE(object);
