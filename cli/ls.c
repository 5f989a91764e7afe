/* SPDX-License-Identifier: Apache-2.0 */
/* ais ls: buckets, or the objects of one. Prints page by page, so that a bucket of any size can be listed. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "cli/api.h"
#include "cli/groups.h"
#include "cli/out.h"
#include "codec/jw.h"

/* --- buckets --- */

static int
list_buckets(struct ctx *c, const char *provider)
{
    auto_resp struct http_resp r = { .status = 0 };
    auto_json json_t          *j = NULL;
    struct http_req            q = { .method = "GET", .body = "{\"action\":\"list\",\"value\":null}" };
    struct table               t;
    struct fault               f;
    json_t                    *o;
    size_t                     i;

    if (flag_on(c, "summary"))
        return summary_print(c, NULL, flag_str(c, "prefix", ""));
    q.path = provider == NULL ? "/v1/buckets?presence=2" : out_fmt(c, "/v1/buckets?provider=%s", provider);
    if (api_json(c->s, &q, &r, &j, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (flag_on(c, "json")) {
        json_print(sbuf_str(&r.body));
        return CLI_OK;
    }
    if (json_array_size(j) == 0) {
        fprintf(stderr, "No buckets. To make one: ais create ais://NAME\n");
        return CLI_OK;
    }
    TABLE(&t, c, "NAME");
    json_array_foreach(j, i, o)
    {
        const json_t *ns = json_object_get(o, "namespace");
        const char   *uuid = get_text(ns, "uuid"), *name = get_text(ns, "name");

        ROW(&t, out_fmt(c, "%s://%s%s%s%s%s%s", uri_scheme(get_text(o, "provider")), uuid[0] != '\0' ? "@" : "", uuid,
                        name[0] != '\0' ? "#" : "", name, uuid[0] != '\0' || name[0] != '\0' ? "/" : "", get_text(o, "name")));
    }
    table_print(&t);
    return CLI_OK;
}

/* --- objects --- */

static const char *
cell_text(struct ctx *c, const json_t *e, const char *key)
{
    UNUSED(c);
    return get_text(e, key);
}

static const char *
cell_size(struct ctx *c, const json_t *e, const char *key)
{
    return get_u64(e, "flags") & LS_ENT_DIR ? "" : out_size(c, get_u64(e, key));
}

static const char *
cell_number(struct ctx *c, const json_t *e, const char *key)
{
    return json_object_get(e, key) != NULL ? out_u64(c, get_u64(e, key)) : "";
}

static const char *
cell_cached(struct ctx *c, const json_t *e, const char *key)
{
    UNUSED(c), UNUSED(key);
    return get_u64(e, "flags") & LS_ENT_CACHED ? "yes" : "no";
}

static const char *
cell_chunked(struct ctx *c, const json_t *e, const char *key)
{
    UNUSED(c), UNUSED(key);
    return get_u64(e, "flags") & LS_ENT_CHUNKED ? "yes" : "no";
}

static const char *
cell_status(struct ctx *c, const json_t *e, const char *key)
{
    static const char *const words[] = { "ok", "misplaced(cluster)", "misplaced(mountpath)", "replica", "replica(object-is-missing)" };
    uint64_t                 v = get_u64(e, "flags") & 0x1f;

    UNUSED(c), UNUSED(key);
    return v < ARRAY_SIZE(words) ? words[v] : "?";
}

/* clang-format off */
static const struct column {
    const char *prop, *head, *key;
    const char *(*fn)(struct ctx *c, const json_t *e, const char *key);
    bool        asked; /* goes into the request's props; others come by themselves */
} columns[] = {
    { "name",     "NAME",     "name",      cell_text,    true  },
    { "size",     "SIZE",     "size",      cell_size,    true  },
    { "version",  "VERSION",  "version",   cell_text,    true  },
    { "checksum", "CHECKSUM", "checksum",  cell_text,    true  },
    { "atime",    "ATIME",    "atime",     cell_text,    true  },
    { "cached",   "CACHED",   "",          cell_cached,  true  },
    { "copies",   "COPIES",   "copies",    cell_number,  true  },
    { "ec",       "EC",       "ec",        cell_text,    true  },
    { "custom",   "CUSTOM",   "custom-md", cell_text,    true  },
    { "location", "LOCATION", "location",  cell_text,    true  },
    { "status",   "STATUS",   "",          cell_status,  true  },
    { "chunked",  "CHUNKED",  "",          cell_chunked, false },
};
/* clang-format on */
#define PROPS_ALL "name,size,version,checksum,atime,cached,copies,custom,location,status,chunked"

struct listing {
    struct ctx          *c;
    const struct column *col[TABLE_COLS];
    unsigned             ncols;
    char                 props[200];
    uint64_t             limit, max_pages, n, dirs, bytes, pages;
    bool                 json, quiet; /* quiet: count only */
};

static const struct column *
column_find(struct str prop)
{
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
        if (str_eqz(prop, columns[i].prop))
            return &columns[i];
    return NULL;
}

/* The columns asked for; the name is always the first. */
static int
columns_set(struct listing *l, const char *props, struct fault *f)
{
    struct str rest = str_z(props), one;

    l->col[l->ncols++] = &columns[0];
    snprintf(l->props, sizeof(l->props), "name");
    while (str_split(&rest, ',', &one)) {
        const struct column *col;

        one = str_trim(one);
        col = column_find(one);
        if (one.n == 0 || col == &columns[0])
            continue;
        if (col == NULL)
            return fault_set(f, CLI_USAGE, "--props: there is no \"%.*s\" (there are: %s, ec; all)", STR_FMT(one), PROPS_ALL);
        if (l->ncols == TABLE_COLS || strlen(l->props) + one.n + 2 > sizeof(l->props))
            return fault_set(f, CLI_USAGE, "--props: too many");
        l->col[l->ncols++] = col;
        if (col->asked) {
            strncat(l->props, ",", sizeof(l->props) - strlen(l->props) - 1);
            strncat(l->props, col->prop, sizeof(l->props) - strlen(l->props) - 1);
        }
    }
    return CLI_OK;
}

static void
print_json_page(struct listing *l, const json_t *ents, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        auto_free char *s = json_dumps(json_array_get(ents, i), JSON_COMPACT);

        printf("%s\n    %s", l->n + i > 0 ? "," : "", s);
    }
}

static void
print_table_page(struct listing *l, const json_t *ents, size_t n)
{
    const char  *cells[TABLE_COLS];
    struct table t;

    for (unsigned k = 0; k < l->ncols; k++)
        cells[k] = l->col[k]->head;
    table_init(&t, l->c, l->ncols, cells);
    t.head = t.head && l->n == 0; /* one header line for all pages */
    for (size_t i = 0; i < n; i++) {
        for (unsigned k = 0; k < l->ncols; k++)
            cells[k] = l->col[k]->fn(l->c, json_array_get(ents, i), l->col[k]->key);
        table_row(&t, cells);
    }
    if (n > 0)
        table_print(&t);
}

static void
print_page(struct listing *l, const json_t *page)
{
    const json_t *ents = json_object_get(page, "entries");
    size_t        n = json_array_size(ents);

    if (l->limit > 0)
        n = MIN(n, l->limit - l->n);
    if (l->json && l->pages == 0)
        printf("["); /* only now: an error is not to look like an empty list */
    if (l->json)
        print_json_page(l, ents, n);
    else if (!l->quiet)
        print_table_page(l, ents, n);
    for (size_t i = 0; i < n; i++) {
        l->bytes += get_u64(json_array_get(ents, i), "size");
        l->dirs += (get_u64(json_array_get(ents, i), "flags") & LS_ENT_DIR) != 0;
    }
    l->n += n;
    l->pages++;
}

/* For buckets that are not in a cloud AIStore lists directories whatever LS_NO_DIRS says. */
static void
drop_dirs(json_t *page)
{
    json_t *ents = json_object_get(page, "entries");

    for (size_t i = json_array_size(ents); i-- > 0;)
        if ((get_u64(json_array_get(ents, i), "flags") & LS_ENT_DIR) != 0)
            json_array_remove(ents, i);
}

/* Pages until the end or the limit. Memory is given back after each page: a listing may be long. */
static int
run(struct listing *l, struct lister *ls, struct fault *f)
{
    struct arena *main_mem = l->c->mem;
    int           rc = CLI_OK;

    l->c->mem = l->c->s->mem = arena_new(1 * MIB, 4 * GIB);
    while (rc == CLI_OK && !ls->done && (l->limit == 0 || l->n < l->limit) && (l->max_pages == 0 || l->pages < l->max_pages)) {
        auto_json json_t *page = NULL;

        if (l->limit > 0 && l->limit - l->n < 10000 && ls->page == 0)
            ls->page = l->limit - l->n; /* no more than is shown */
        rc = list_next(l->c->s, ls, &page, f);
        if (rc == CLI_OK && (ls->flags & LS_NO_DIRS) != 0)
            drop_dirs(page);
        if (rc == CLI_OK)
            print_page(l, page);
        if (flag_on(l->c, "paged"))
            fflush(stdout);
        arena_reset(l->c->mem);
    }
    arena_free(l->c->mem);
    l->c->mem = l->c->s->mem = main_mem;
    return rc;
}

static void
print_footer(struct listing *l, int64_t t0)
{
    if (l->json)
        printf("%s]\n", l->n > 0 ? "\n" : "");
    else if (l->quiet)
        printf("%llu objects, %s, %llu pages in %.3fs\n", (unsigned long long)(l->n - l->dirs), out_size(l->c, l->bytes),
               (unsigned long long)l->pages, (double)(now_ns() - t0) / 1e9);
    else if (!flag_on(l->c, "no-footers") && isatty(STDOUT_FILENO))
        printf("Listed %llu names\n", (unsigned long long)l->n);
}

static int
list_objects(struct ctx *c, const struct uri *u)
{
    struct listing l = { .c = c, .limit = flag_u64(c, "limit", 0), .max_pages = flag_u64(c, "max-pages", 0) };
    struct lister  ls = { .u = u, .page = flag_u64(c, "page-size", 0) };
    const char    *props = flag_str(c, "props", "size");
    struct fault   f;
    int64_t        t0 = now_ns();
    int            rc;

    if (flag_on(c, "all") || strcmp(props, "all") == 0)
        props = PROPS_ALL;
    if (flag_on(c, "name-only"))
        props = "name";
    if (columns_set(&l, props, &f) != CLI_OK)
        return cmd_fail(c, &f);
    l.json = flag_on(c, "json");
    l.quiet = flag_on(c, "count-only");
    ls.props = l.props;
    ls.prefix = flag_str(c, "prefix", arena_strdup(c->mem, u->object));
    ls.start_after = flag_str(c, "start-after", NULL);
    ls.flags = (flag_on(c, "non-recursive") ? LS_NO_RECURSE : 0) | (flag_on(c, "no-dirs") ? LS_NO_DIRS : 0) |
               (flag_on(c, "cached") ? LS_CACHED : 0);
    rc = run(&l, &ls, &f);
    list_fini(&ls);
    if (rc != CLI_OK)
        return cmd_fail(c, &f);
    print_footer(&l, t0);
    return CLI_OK;
}

static const struct flag ls_flags[] = {
    { "prefix", NULL, "PREFIX", "only names that start with this" },
    { "props", NULL, "PROPS", "columns, e.g. size,version,checksum,atime,copies,custom,location; or all (default: size)" },
    { "all", NULL, NULL, "same as --props all" },
    { "name-only", NULL, NULL, "names only: the fastest" },
    { "non-recursive", "nr", NULL, "one level: names up to the next '/', directories as such" },
    { "no-dirs", NULL, NULL, "with --nr: leave the directories out" },
    { "start-after", NULL, "NAME", "begin behind this name" },
    { "limit", NULL, "N", "stop after so many names (0 = all)" },
    { "page-size", NULL, "N", "names in one request (0 = the cluster decides)" },
    { "max-pages", NULL, "N", "stop after so many pages" },
    { "paged", NULL, NULL, "show each page as soon as it is there" },
    { "count-only", NULL, NULL, "only how many, how large, how long it took" },
    { "summary", NULL, NULL, "numbers of objects and sizes instead of names" },
    { "cached", NULL, NULL, "only objects that are in the cluster" },
    { "no-footers", "F", NULL, "no last line with the number of names" },
    FLAG_UNITS,
    FLAG_NOHEAD,
    FLAG_JSON,
    FLAG_END,
};

static int
cmd_ls(struct ctx *c)
{
    const char  *provider = c->nargs > 0 ? uri_provider_only(c->arg[0]) : NULL;
    struct fault f;
    struct uri   u;

    if (c->nargs == 0 || provider != NULL)
        return list_buckets(c, provider);
    if (uri_parse(c->arg[0], URI_BUCKET_ANY, &u, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (flag_on(c, "summary"))
        return summary_print(c, &u, flag_str(c, "prefix", arena_strdup(c->mem, u.object)));
    return list_objects(c, &u);
}

/* clang-format off */
const struct cmd ls_cmds[] = {
    { "bucket ls", "ls|object ls|bucket list|object list", "[PROVIDER: | BUCKET[/PREFIX]]", "list buckets, or objects of one",
      "Examples:\n"
      "   ais ls\n"
      "   ais ls ais://data\n"
      "   ais ls ais://data/train/ --nr\n"
      "   ais ls ais://data --props size,checksum,location --limit 10\n"
      "   ais ls ais://data --count-only\n"
      "   ais ls ais://data --name-only --json",
      ls_flags, 0, 1, cmd_ls, { ARG_BUCKET, ARG_NONE } },
};
/* clang-format on */
DEFINE_GROUP_SIZE(ls);
