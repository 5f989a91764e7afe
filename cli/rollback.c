/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ais advanced export-to-go: what a Go AIStore that takes these disks over again could not read, as plain files.
 *
 * Nearly everything is written as AIStore writes it and needs no export. What is left is told by an object's name, its custom metadata
 * and whether it is in chunks; docs/compatibility.md, "What cannot roll back", has the list and why.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "cli/api.h"
#include "cli/files.h"
#include "cli/groups.h"
#include "cli/out.h"
#include "codec/jw.h"

#define GO_NAME_MAX    255  /* longest file name */
#define GO_CUSTOM_MAX  3500 /* AIStore's xattr ends at 4096 bytes; what else is in it takes less than the rest */
#define HASH_NAME      66   /* ".x" and 64 hexadecimal digits */
#define MANY_CUSTOM    64

/* --- which --- */

static bool
is_hash_name(struct str name)
{
    if (name.n != HASH_NAME || !str_starts(name, STR_LIT(".x")))
        return false;
    for (size_t i = 2; i < name.n; i++)
        if (strchr("0123456789abcdef", name.p[i]) == NULL)
            return false;
    return true;
}

/* Why Go AIStore cannot find or read the object, judged by itself alone; NULL: it can. custom: bytes of custom metadata. */
static const char *
alone_reason(struct str name, bool chunked, size_t custom)
{
    struct str rest = name, item, last = STR_NULL;

    if (custom > GO_CUSTOM_MAX)
        return "custom metadata is larger than AIStore can store";
    if (is_hash_name(name))
        return "the name looks like one that AIStore made";
    while (str_split(&rest, '/', &item)) {
        if (item.n == 0 || str_eqz(item, ".") || str_eqz(item, ".."))
            return "the name cannot be a path";
        if (rest.n > 0 && item.n > GO_NAME_MAX)
            return "a folder in the name is too long";
        last = item;
    }
    if (name.n > 0 && name.p[name.n - 1] == '/')
        return "the name cannot be a path";
    if (last.n <= GO_NAME_MAX)
        return NULL;
    if (last.n < name.n)
        return "AIStore does not find long names behind a slash";
    return chunked ? "AIStore does not find the chunks of a long name" : NULL;
}

/* Objects whose names the present one begins with, in a listing in order: few. */
struct parent {
    char    *name;
    size_t   n;
    uint64_t size;
    bool     told;
};
struct parents {
    struct parent *v; /* heap */
    unsigned       n, cap;
};

/* The object that the name of this one lies below, as if it were a folder: "a" for "a/b". NULL when there is none. */
static struct parent *
parent_of(struct parents *ps, struct str name)
{
    while (ps->n > 0 && !str_starts(name, str_from(ps->v[ps->n - 1].name, ps->v[ps->n - 1].n)))
        free(ps->v[--ps->n].name);
    for (unsigned i = ps->n; i-- > 0;)
        if (name.n > ps->v[i].n && name.p[ps->v[i].n] == '/')
            return &ps->v[i];
    return NULL;
}

static void
parents_fini(struct parents *ps)
{
    while (ps->n > 0)
        free(ps->v[--ps->n].name);
    free(ps->v);
}

static void
parent_push(struct parents *ps, struct str name, uint64_t size, bool told)
{
    if (ps->n == ps->cap) {
        ps->cap = MAX(16u, 2 * ps->cap);
        ps->v = xrealloc(ps->v, ps->cap * sizeof(*ps->v));
    }
    ps->v[ps->n++] = (struct parent){ .name = xstrndup(name.p, name.n), .n = name.n, .size = size, .told = told };
}

/* --- writing --- */

struct export {
    struct ctx    *c;
    const char    *dir; /* NULL: only say which */
    struct outfile index;
    uint64_t       found, bytes, failed;
};

static int
to_file(void *ctx, const char *p, size_t n)
{
    return outfile_write(ctx, p, n);
}

static void
custom_json(struct session *s, const struct http_resp *r, struct jw *w)
{
    const char *h;

    jw_key(w, "custom");
    jw_obj(w);
    for (unsigned i = 0; i < MANY_CUSTOM && (h = http_hdr_nth(s, r, "Ais-Custom-Md", i)) != NULL; i++) {
        const char *eq = strchr(h, '=');

        if (eq == NULL)
            continue;
        jw_keys(w, str_from(h, (size_t)(eq - h)));
        jw_strz(w, eq + 1);
    }
    jw_obj_end(w);
}

/* A line of the index. */
static int
index_line(struct export *x, const struct uri *u, struct str name, const char *file, const char *reason, const struct http_resp *r)
{
    struct session *s = x->c->s;
    struct sbuf     line, bck;
    struct jw       w;
    const char     *v;
    int             rc;

    sbuf_init(&line, 1 * MIB);
    sbuf_init(&bck, 4 * KIB);
    uri_put_bucket(&bck, u);
    jw_init(&w, &line, 0);
    jw_obj(&w);
    jw_kstrz(&w, "file", file);
    jw_kstr(&w, "bucket", sbuf_str(&bck));
    jw_kstr(&w, "name", name);
    jw_kstrz(&w, "reason", reason);
    v = http_hdr(s, r, "Ais-Version");
    jw_kstrz(&w, "version", v == NULL ? "" : v);
    v = http_hdr(s, r, "Ais-Checksum-Type");
    jw_kstrz(&w, "checksum_type", v == NULL ? "" : v);
    v = http_hdr(s, r, "Ais-Checksum-Value");
    jw_kstrz(&w, "checksum_value", v == NULL ? "" : v);
    custom_json(s, r, &w);
    jw_obj_end(&w);
    sbuf_putc(&line, '\n');
    rc = sbuf_ok(&line) ? outfile_write(&x->index, line.p, line.n) : -1;
    sbuf_fini(&bck);
    sbuf_fini(&line);
    return rc;
}

static int
fetch(struct export *x, const struct uri *u, struct str name, const char *reason, struct fault *f)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct outfile             o;
    struct sink                sink = { to_file, &o };
    struct http_req            q = { .method = "GET", .sink = &sink, .path = api_obj_path(x->c->s, u, name) };
    const char                *file = out_fmt(x->c, "objects/%08llu", (unsigned long long)x->found);
    int                        rc = outfile_open(&o, out_fmt(x->c, "%s/%s", x->dir, file), true, f);

    if (rc != CLI_OK)
        return rc;
    rc = http_do(x->c->s, &q, &r, f);
    if (rc == CLI_OK)
        rc = outfile_commit(&o, f);
    outfile_abort(&o);
    if (rc == CLI_OK && index_line(x, u, name, file, reason, &r) < 0)
        rc = fault_set(f, CLI_FAILED, "cannot write %s: %s", x->index.path, strerror(errno));
    return rc;
}

static void
one(struct export *x, const struct uri *u, struct str name, uint64_t size, const char *reason)
{
    struct fault f;
    struct uri   o = *u;

    o.object = name;
    x->found++;
    x->bytes += size;
    if (x->dir == NULL || flag_on(x->c, "verbose"))
        printf("%s: %s\n", text_safe(x->c->mem, api_uri(x->c->mem, &o)), reason);
    if (x->dir != NULL && fetch(x, u, name, reason, &f) != CLI_OK) {
        fault_print(&f);
        x->failed++;
    }
}

/* --- looking --- */

static void
look_at(struct export *x, const struct uri *u, struct parents *ps, const json_t *e)
{
    static const char clash[] = "one object's name is a folder in another's";
    struct str        name = str_z(get_text(e, "name"));
    struct parent    *p = parent_of(ps, name);
    const char       *reason = alone_reason(name, (get_u64(e, "flags") & LS_ENT_CHUNKED) != 0, strlen(get_text(e, "custom-md")));

    if (reason == NULL && p != NULL)
        reason = clash;
    if (p != NULL && !p->told) { /* which of the two AIStore would see depends on which came first */
        p->told = true;
        one(x, u, str_from(p->name, p->n), p->size, clash);
    }
    if (reason != NULL)
        one(x, u, name, get_u64(e, "size"), reason);
    parent_push(ps, name, get_u64(e, "size"), reason != NULL);
}

static int
look_at_bucket(struct export *x, const struct uri *u, struct fault *f)
{
    struct arena  *mem = x->c->mem;
    struct lister  ls = { .u = u, .prefix = "", .props = "name,size,custom" };
    struct parents ps = { .n = 0 };
    int            rc = CLI_OK;

    x->c->mem = x->c->s->mem = arena_new(1 * MIB, 4 * GIB);
    while (rc == CLI_OK && !ls.done) {
        auto_json json_t *page = NULL;
        json_t           *e;
        size_t            i;

        rc = list_next(x->c->s, &ls, &page, f);
        if (rc == CLI_OK)
            json_array_foreach(json_object_get(page, "entries"), i, e)
                look_at(x, u, &ps, e);
        arena_reset(x->c->mem);
    }
    arena_free(x->c->mem);
    x->c->mem = x->c->s->mem = mem;
    parents_fini(&ps);
    list_fini(&ls);
    return rc;
}

static int
all_buckets(struct export *x, struct fault *f)
{
    auto_resp struct http_resp r = { .status = 0 };
    auto_json json_t          *j = NULL;
    struct http_req            q = { .method = "GET", .path = "/v1/buckets?presence=2", .body = "{\"action\":\"list\",\"value\":null}" };
    json_t                    *o;
    size_t                     i;
    int                        rc = api_json(x->c->s, &q, &r, &j, f);

    if (rc != CLI_OK)
        return rc;
    json_array_foreach(j, i, o)
    {
        const json_t *ns = json_object_get(o, "namespace");
        const char   *uuid = get_text(ns, "uuid"), *name = get_text(ns, "name");
        struct uri    u = { .provider = get_text(o, "provider"), .bucket = str_z(get_text(o, "name")) };

        if (uuid[0] != '\0' || name[0] != '\0')
            u.ns = str_z(out_fmt(x->c, "%s%s%s%s", uuid[0] != '\0' ? "@" : "", uuid, name[0] != '\0' ? "#" : "", name));
        rc = look_at_bucket(x, &u, f);
        if (rc != CLI_OK)
            return rc;
    }
    return CLI_OK;
}

static int
look(struct export *x, struct fault *f)
{
    struct uri u;
    int        rc = CLI_OK;

    if (x->c->nargs == 0)
        return all_buckets(x, f);
    for (int i = 0; rc == CLI_OK && i < x->c->nargs; i++) {
        rc = uri_parse(x->c->arg[i], URI_BUCKET, &u, f);
        if (rc == CLI_OK)
            rc = look_at_bucket(x, &u, f);
    }
    return rc;
}

static int
cmd_export_to_go(struct ctx *c)
{
    struct export x = { .c = c, .dir = flag_str(c, "to", NULL), .index = { .fd = -1 } };
    struct fault  f;
    int           rc;

    if (x.dir != NULL && outfile_open(&x.index, out_fmt(c, "%s/index.jsonl", x.dir), true, &f) != CLI_OK)
        return cmd_fail(c, &f);
    rc = look(&x, &f);
    if (rc == CLI_OK && x.dir != NULL && x.failed == 0)
        rc = outfile_commit(&x.index, &f);
    if (x.dir != NULL)
        outfile_abort(&x.index);
    if (rc != CLI_OK)
        return cmd_fail(c, &f);
    fprintf(stderr, "%llu objects (%s) cannot be read by a Go AIStore%s\n", (unsigned long long)x.found, out_size(c, x.bytes),
            x.dir == NULL ? "" : x.failed > 0 ? "; not all of them could be exported, there is no index" : "; exported");
    return x.failed > 0 ? CLI_PARTIAL : CLI_OK;
}

static const struct flag export_flags[] = {
    { "to", NULL, "FILE", "folder for the objects and their index; without it they are only named" },
    { "verbose", "v", NULL, "name the objects while exporting them, too" },
    FLAG_UNITS,
    FLAG_END,
};

/* clang-format off */
const struct cmd rollback_cmds[] = {
    { "advanced export-to-go", NULL, "[BUCKET...]", "export what a Go AIStore could not read on these disks",
      "Before these disks go back to a Go AIStore: the few objects that it would not find or read there are written to\n"
      "DIR/objects, with a line each in DIR/index.jsonl (file, bucket, name, version, checksum, custom metadata, reason).\n"
      "All others need nothing. What they are and why: docs/compatibility.md, \"What cannot roll back\".\n"
      "Examples:\n"
      "   ais advanced export-to-go                    - name them, in all buckets\n"
      "   ais advanced export-to-go ais://b --to /tmp/b",
      export_flags, 0, -1, cmd_export_to_go, { ARG_BUCKET, ARG_BUCKET } },
};
/* clang-format on */
DEFINE_GROUP_SIZE(rollback);
