/* SPDX-License-Identifier: Apache-2.0 */
/* ais object ...: put, get, rm, ls, cat, mv, show, promote. Many objects go through parallel workers with a progress bar. */
#include <errno.h>
#include <ftw.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"


/* --- work for many --- */

struct item {
    char    *file; /* local path; "-" = standard input or output */
    char    *name; /* object */
    uint64_t size;
};

struct batch {
    struct item      *v;
    size_t            n, cap, next;
    pthread_mutex_t   mtx; /* protects next, failed */
    size_t            failed;
    struct uri        u;
    const struct args *a;
    struct progress   p;
    int             (*fn)(struct batch *b, struct item *it);
};

static void
batch_add(struct batch *b, const char *file, const char *name, uint64_t size)
{
    if (b->n == b->cap) {
        b->cap = b->cap == 0 ? 256 : b->cap * 2;
        b->v = realloc(b->v, b->cap * sizeof(*b->v));
        if (b->v == NULL)
            die("out of memory");
    }
    b->v[b->n++] = (struct item){ strdup(file), strdup(name), size };
    b->p.total += size;
}

static void
moved(void *ctx, uint64_t bytes)
{
    progress_add(ctx, bytes, 0);
}

static void *
worker(void *arg)
{
    struct batch *b = arg;

    for (;;) {
        struct item *it = NULL;

        pthread_mutex_lock(&b->mtx);
        if (b->next < b->n)
            it = &b->v[b->next++];
        pthread_mutex_unlock(&b->mtx);
        if (it == NULL)
            return NULL;
        if (b->fn(b, it) != 0) {
            pthread_mutex_lock(&b->mtx);
            b->failed++;
            pthread_mutex_unlock(&b->mtx);
        } else {
            progress_add(&b->p, 0, 1);
        }
    }
}

static int
batch_run(struct batch *b, const char *what)
{
    unsigned  nw = (unsigned)arg_u64(b->a, "num-workers", 8);
    pthread_t t[64];
    double    took;

    nw = nw < 1 ? 1 : nw > 64 ? 64 : nw;
    nw = nw > b->n ? (unsigned)b->n : nw;
    pthread_mutex_init(&b->mtx, NULL);
    progress_begin(&b->p, what, b->p.total, b->n);
    for (unsigned i = 0; i < nw; i++)
        if (pthread_create(&t[i], NULL, worker, b) != 0)
            die("cannot start a thread");
    for (unsigned i = 0; i < nw; i++)
        pthread_join(t[i], NULL);
    progress_end(&b->p);
    took = now_s() - b->p.t0;
    if (b->n > 1)
        printf("%s %zu objects (%s) in %.1fs: %s/s%s\n", what, b->n - b->failed, human(b->p.total), took,
               human((uint64_t)((double)b->p.total / (took > 0.001 ? took : 0.001))), b->failed > 0 ? "" : "");
    if (b->failed > 0)
        return fail("%zu of %zu failed", b->failed, b->n);
    return 0;
}

/* --- put --- */

static int
put_one(struct batch *b, struct item *it)
{
    struct uri      u = b->u;
    struct api_req  q = { .method = "PUT", .in_size = -1, .progress = moved, .ctx = &b->p };
    struct api_resp r;
    struct stat     st;
    bool            std = strcmp(it->file, "-") == 0;
    int             rc;

    q.in = std ? stdin : fopen(it->file, "rb");
    if (q.in == NULL)
        return fail("cannot open %s: %s", it->file, strerror(errno));
    if (fstat(fileno(q.in), &st) == 0 && S_ISREG(st.st_mode))
        q.in_size = st.st_size;
    u.object = it->name;
    q.path = uri_path(&u, "objects", NULL);
    rc = api_call(&q, &r);
    if (rc < 0)
        rc = fail("%s: %s", it->name, r.err);
    if (!std)
        fclose(q.in);
    api_resp_free(&r);
    return rc;
}

static struct batch *walking;
static size_t        walk_base;
static const char   *walk_prefix;
static bool          walk_recursive;

static int
walk_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    char *name;

    if (type == FTW_D && f->level > 0 && !walk_recursive)
        return FTW_SKIP_SUBTREE;
    if (type != FTW_F || !S_ISREG(st->st_mode))
        return FTW_CONTINUE;
    name = path_fmt("%s%s", walk_prefix, path + walk_base);
    batch_add(walking, path, name, (uint64_t)st->st_size);
    free(name);
    return FTW_CONTINUE;
}

static const struct flag put_flags[] = {
    { "recursive", "r", false, "directories with everything below them" },
    { "num-workers", "conc", true, "parallel transfers (default 8)" },
    { "progress", NULL, false, "show a progress bar (the default on a terminal)" },
    { "yes", "y", false, "do not ask" },
    FLAG_END,
};

static int
object_put(const struct args *a)
{
    struct batch b = { .a = a, .fn = put_one };
    struct stat  st;
    const char  *src = a->v[0];

    if (!uri_parse(a->v[1], &b.u))
        return 2;
    if (strcmp(src, "-") == 0) {
        if (b.u.object[0] == '\0')
            return usage_error(a, "standard input needs an object name: %s/NAME", a->v[1]);
        batch_add(&b, "-", b.u.object, 0);
    } else if (stat(src, &st) < 0) {
        return fail("%s: %s", src, strerror(errno));
    } else if (S_ISDIR(st.st_mode)) {
        char *dir = strdup(src);

        while (strlen(dir) > 1 && dir[strlen(dir) - 1] == '/')
            dir[strlen(dir) - 1] = '\0';
        walking = &b;
        walk_base = strlen(dir) + 1;
        walk_prefix = b.u.object[0] != '\0' && b.u.object[strlen(b.u.object) - 1] != '/' ? path_fmt("%s/", b.u.object)
                                                                                           : b.u.object;
        walk_recursive = arg_has(a, "recursive");
        nftw(dir, walk_one, 32, FTW_PHYS | FTW_ACTIONRETVAL);
        if (b.n == 0)
            return fail("no files in %s%s", src, walk_recursive ? "" : " (use --recursive for its subdirectories)");
    } else {
        const char *base = strrchr(src, '/');
        char       *name = strdup(b.u.object);

        base = base == NULL ? src : base + 1;
        if (name[0] == '\0' || name[strlen(name) - 1] == '/')
            name = path_fmt("%s%s", name, base);
        batch_add(&b, src, name, (uint64_t)st.st_size);
    }
    if (b.n == 1) {
        int rc = batch_run(&b, "PUT");

        if (rc == 0)
            printf("PUT \"%s\" => %s://%s/%s\n", src, b.u.provider, b.u.bucket, b.v[0].name);
        return rc;
    }
    return batch_run(&b, "PUT");
}

/* --- list --- */

struct lister {
    const struct uri *u;
    const char       *prefix, *props;
    uint64_t          flags, page;
    char             *token;
    bool              done;
};

static json_t *
next_page(struct lister *l)
{
    json_t        *msg = json_pack("{s:s,s:{s:s,s:s,s:s,s:o,s:I}}", "action", "list", "value", "props", l->props, "prefix",
                                   l->prefix, "continuation_token", l->token == NULL ? "" : l->token, "flags",
                                   json_string(fmt_u64(l->flags)), "pagesize", (json_int_t)l->page);
    char          *body = json_dumps(msg, 0);
    struct api_req q = { .method = "GET", .path = uri_path(l->u, "buckets", NULL), .body = body };
    json_t        *j;

    q.hdrs[0] = "Accept: application/json";
    j = api_json(&q);
    free(body);
    json_decref(msg);
    free(l->token);
    l->token = strdup(json_text(j, "continuation_token"));
    l->done = l->token[0] == '\0';
    return j;
}

static const struct flag ls_flags[] = {
    { "prefix", NULL, true, "only names that start with this" },
    { "props", NULL, true, "columns: size,version,checksum,atime,copies,location,custom,all (default: size)" },
    { "name-only", NULL, false, "names only: the fastest" },
    { "nr", "non-recursive", false, "one level: virtual directories as such" },
    { "no-dirs", NULL, false, "with --nr: leave directories out" },
    { "limit", NULL, true, "stop after so many" },
    { "page-size", NULL, true, "names in one request" },
    { "count-only", NULL, false, "only how many, and their sizes" },
    { "no-headers", "H", false, "no header line" },
    { "summary", NULL, false, "without a bucket: numbers and sizes" },
    FLAG_JSON,
    FLAG_END,
};

static int
object_ls(const struct args *a)
{
    struct uri    u;
    struct lister l = { .u = &u, .page = arg_u64(a, "page-size", 0) };
    const char   *props = arg_get(a, "props", "size"), *cols[10];
    uint64_t      limit = arg_u64(a, "limit", 0), n = 0, bytes = 0;
    int           nc = 0;
    bool          first = true;

    if (a->n == 0)
        return list_buckets(a, "");
    if (strlen(a->v[0]) > 3 && strcmp(a->v[0] + strlen(a->v[0]) - 3, "://") == 0) {
        char *p = strndup(a->v[0], strlen(a->v[0]) - 3);

        return list_buckets(a, p);
    }
    if (!uri_parse(a->v[0], &u))
        return 2;
    if (strcmp(props, "all") == 0)
        props = "size,version,checksum,atime,copies,location,custom";
    if (arg_has(a, "name-only"))
        props = "";
    l.prefix = arg_get(a, "prefix", u.object);
    l.props = path_fmt("name%s%s", props[0] != '\0' ? "," : "", props);
    l.flags = (arg_has(a, "nr") ? 1u << 11 : 0) | (arg_has(a, "no-dirs") ? 1u << 13 : 0);
    cols[nc++] = "name";
    for (char *save = NULL, *w = strtok_r(strdup(props), ",", &save); w != NULL && nc < 10; w = strtok_r(NULL, ",", &save))
        if (strcmp(w, "name") != 0)
            cols[nc++] = w;
    if (arg_json(a))
        printf("[");
    while (!l.done && (limit == 0 || n < limit)) {
        json_t      *page = next_page(&l), *ents = json_object_get(page, "entries"), *e;
        struct table t = { .cols = nc };
        size_t       i;

        json_array_foreach(ents, i, e)
        {
            const char *cell[10] = { "", "", "", "", "", "", "", "", "", "" };

            if (limit > 0 && n == limit)
                break;
            n++;
            bytes += json_num(e, "size");
            if (arg_has(a, "count-only"))
                continue;
            if (arg_json(a)) {
                char *s = json_dumps(e, JSON_COMPACT);

                printf("%s\n  %s", first ? "" : ",", s);
                first = false;
                free(s);
                continue;
            }
            for (int c = 0; c < nc; c++) {
                const char *key = strcmp(cols[c], "custom") == 0 ? "custom-md" : cols[c];

                if (strcmp(key, "size") == 0)
                    cell[c] = json_num(e, "flags") & (1u << 8) ? "" : human(json_num(e, "size"));
                else if (strcmp(key, "copies") == 0)
                    cell[c] = fmt_u64(json_num(e, "copies"));
                else
                    cell[c] = json_text(e, key);
            }
            if (t.rows == 0 && first && !arg_has(a, "no-headers")) {
                static const char *const names[][2] = { { "name", "NAME" },         { "size", "SIZE" },
                                                        { "version", "VERSION" },   { "checksum", "CHECKSUM" },
                                                        { "atime", "ATIME" },       { "copies", "COPIES" },
                                                        { "location", "LOCATION" }, { "custom", "CUSTOM" } };
                const char              *h[10] = { "", "", "", "", "", "", "", "", "", "" };

                for (int c = 0; c < nc; c++) {
                    h[c] = cols[c];
                    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
                        if (strcmp(names[k][0], cols[c]) == 0)
                            h[c] = names[k][1];
                }
                table_row(&t, h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7], h[8], h[9]);
                first = false;
            }
            table_row(&t, cell[0], cell[1], cell[2], cell[3], cell[4], cell[5], cell[6], cell[7], cell[8], cell[9]);
        }
        table_print(&t);
        for (int k = 0; k < t.rows * t.cols; k++)
            free(t.cell[k]);
        free(t.cell);
        json_decref(page);
    }
    if (arg_json(a))
        printf("%s]\n", first ? "" : "\n");
    else if (arg_has(a, "count-only"))
        printf("%llu objects, %s\n", (unsigned long long)n, human(bytes));
    return 0;
}

/* --- get, cat --- */

static void
make_parents(const char *path)
{
    char *p = strdup(path);

    for (char *q = p + 1; *q != '\0'; q++)
        if (*q == '/') {
            *q = '\0';
            mkdir(p, 0755);
            *q = '/';
        }
    free(p);
}

static int
get_one(struct batch *b, struct item *it)
{
    struct uri      u = b->u;
    struct api_req  q = { .method = "GET", .progress = moved, .ctx = &b->p };
    struct api_resp r;
    bool            std = strcmp(it->file, "-") == 0;
    const char     *off = arg_get(b->a, "offset", NULL), *len = arg_get(b->a, "length", NULL);
    char           *tmp = path_fmt("%s.ais-part", it->file), *range = NULL;
    int             rc;

    u.object = it->name;
    q.path = uri_path(&u, "objects", NULL);
    if (off != NULL || len != NULL) {
        unsigned long long o = off == NULL ? 0 : strtoull(off, NULL, 10);

        range = len == NULL ? path_fmt("Range: bytes=%llu-", o)
                            : path_fmt("Range: bytes=%llu-%llu", o, o + strtoull(len, NULL, 10) - 1);
        q.hdrs[0] = range;
    }
    if (!std && strcmp(it->file, "/dev/null") != 0)
        make_parents(it->file);
    q.out = std ? stdout : fopen(strcmp(it->file, "/dev/null") == 0 ? it->file : tmp, "wb");
    if (q.out == NULL)
        return fail("cannot write %s: %s", it->file, strerror(errno));
    rc = api_call(&q, &r);
    if (std ? fflush(q.out) != 0 : fclose(q.out) != 0)
        rc = fail("cannot write %s: %s", it->file, strerror(errno));
    if (rc < 0)
        rc = fail("%s", r.err);
    if (!std && strcmp(it->file, "/dev/null") != 0) { /* a file has its name only when it is whole */
        if (rc != 0)
            unlink(tmp);
        else if (rename(tmp, it->file) < 0)
            rc = fail("cannot write %s: %s", it->file, strerror(errno));
    }
    api_resp_free(&r);
    free(range);
    free(tmp);
    return rc;
}

static const struct flag get_flags[] = {
    { "prefix", NULL, true, "every object whose name starts with this" },
    { "recursive", "r", false, "every object below the name given" },
    { "offset", NULL, true, "first byte of a range" },
    { "length", NULL, true, "bytes of a range" },
    { "num-workers", "conc", true, "parallel transfers (default 8)" },
    { "progress", NULL, false, "show a progress bar (the default on a terminal)" },
    { "yes", "y", false, "do not ask" },
    FLAG_END,
};

static int
object_get(const struct args *a)
{
    struct batch b = { .a = a, .fn = get_one };
    const char  *dst = a->n > 1 ? a->v[1] : "", *prefix = arg_get(a, "prefix", NULL);
    struct stat  st;
    int          rc;

    if (!uri_parse(a->v[0], &b.u))
        return 2;
    if (prefix == NULL && (arg_has(a, "recursive") || b.u.object[0] == '\0'))
        prefix = b.u.object;
    if (prefix != NULL) {
        struct lister l = { .u = &b.u, .prefix = prefix, .props = "name,size" };

        while (!l.done) {
            json_t *page = next_page(&l), *e;
            size_t  i;

            json_array_foreach(json_object_get(page, "entries"), i, e)
            {
                const char *name = json_text(e, "name");
                char       *file = strcmp(dst, "/dev/null") == 0 ? strdup(dst)
                                                                 : path_fmt("%s%s%s", dst, dst[0] != '\0' ? "/" : "", name);

                if (strstr(name, "../") != NULL || name[0] == '/')
                    fprintf(stderr, "Warning: skipping \"%s\": not a safe file name\n", name);
                else
                    batch_add(&b, file, name, json_num(e, "size"));
                free(file);
            }
            json_decref(page);
        }
        if (b.n == 0)
            return fail("no objects \"%s\" in %s://%s", prefix, b.u.provider, b.u.bucket);
        return batch_run(&b, "GET");
    }
    {
        const char *base = strrchr(b.u.object, '/');
        char       *file = strdup(dst[0] != '\0' ? dst : base == NULL ? b.u.object : base + 1);

        if (strcmp(file, "-") != 0 && strcmp(file, "/dev/null") != 0 && stat(file, &st) == 0 && S_ISDIR(st.st_mode))
            file = path_fmt("%s/%s", file, base == NULL ? b.u.object : base + 1);
        batch_add(&b, file, b.u.object, 0);
        rc = get_one(&b, &b.v[0]);
        if (rc == 0 && strcmp(file, "-") != 0)
            printf("GET %s://%s/%s => %s (%s)\n", b.u.provider, b.u.bucket, b.u.object, file, human(b.p.bytes));
    }
    return rc;
}

static int
object_cat(const struct args *a)
{
    struct batch b = { .a = a };
    struct item  it = { .file = strdup("-") };

    if (!uri_parse(a->v[0], &b.u))
        return 2;
    if (b.u.object[0] == '\0')
        return usage_error(a, "\"%s\" names no object", a->v[0]);
    it.name = b.u.object;
    return get_one(&b, &it);
}

/* --- rm, mv --- */

static int
rm_one(struct batch *b, struct item *it)
{
    struct uri      u = b->u;
    struct api_req  q = { .method = "DELETE" };
    struct api_resp r;
    int             rc;

    u.object = it->name;
    q.path = uri_path(&u, "objects", NULL);
    rc = api_call(&q, &r);
    if (rc < 0)
        rc = fail("%s", r.err);
    api_resp_free(&r);
    return rc;
}

static const struct flag rmo_flags[] = {
    { "prefix", NULL, true, "every object whose name starts with this" },
    { "all", NULL, false, "every object of the bucket" },
    { "num-workers", "conc", true, "parallel requests (default 8)" },
    { "yes", "y", false, "do not ask" },
    FLAG_END,
};

static int
object_rm(const struct args *a)
{
    struct batch b = { .a = a, .fn = rm_one };
    int          rc = 0;

    for (int i = 0; i < a->n; i++) {
        const char *prefix = arg_has(a, "all") ? "" : arg_get(a, "prefix", NULL);

        if (!uri_parse(a->v[i], &b.u))
            return 2;
        b.n = b.next = 0;
        b.p.total = 0;
        if (prefix != NULL) {
            struct lister l = { .u = &b.u, .prefix = prefix, .props = "name" };
            char          line[8];

            while (!l.done) {
                json_t *page = next_page(&l), *e;
                size_t  k;

                json_array_foreach(json_object_get(page, "entries"), k, e) batch_add(&b, "", json_text(e, "name"), 0);
                json_decref(page);
            }
            if (b.n > 0 && !arg_has(a, "yes")) {
                printf("Delete %zu objects from %s://%s? [Y/N]: ", b.n, b.u.provider, b.u.bucket);
                fflush(stdout);
                if (fgets(line, sizeof(line), stdin) == NULL || (line[0] != 'y' && line[0] != 'Y'))
                    continue;
            }
            rc |= batch_run(&b, "DELETE");
            continue;
        }
        if (b.u.object[0] == '\0')
            return usage_error(a, "\"%s\" names no object; to remove all: --all", a->v[i]);
        batch_add(&b, "", b.u.object, 0);
        if (rm_one(&b, &b.v[0]) != 0)
            rc = 1;
        else
            printf("deleted %s://%s/%s\n", b.u.provider, b.u.bucket, b.u.object);
    }
    return rc;
}

static int
object_mv(const struct args *a)
{
    struct uri      from, to;
    struct api_req  q = { .method = "POST" };
    struct api_resp r;
    json_t         *o;
    int             rc;

    if (!uri_parse(a->v[0], &from))
        return 2;
    if (strstr(a->v[1], "://") != NULL) {
        if (!uri_parse(a->v[1], &to))
            return 2;
        if (strcmp(to.bucket, from.bucket) != 0 || strcmp(to.provider, from.provider) != 0)
            return fail("cannot move an object to another bucket");
    } else {
        to.object = strdup(a->v[1]);
    }
    o = json_pack("{s:s,s:s}", "action", "rename-obj", "name", to.object);
    q.body = json_dumps(o, 0);
    q.path = uri_path(&from, "objects", NULL);
    rc = api_call(&q, &r);
    if (rc < 0)
        return fail("%s", r.err);
    printf("%s://%s/%s moved to %s\n", from.provider, from.bucket, from.object, to.object);
    return 0;
}

/* --- show --- */

static const struct flag show_flags[] = { FLAG_JSON, FLAG_END };

static int
object_show(const struct args *a)
{
    static const struct {
        const char *hdr, *name;
    } rows[] = {
        { "Content-Length", "size" },        { "Ais-Version", "version" },
        { "Ais-Checksum-Type", "checksum" }, { "Ais-Atime", "atime" },
        { "Ais-Location", "location" },      { "Ais-Mirror-Copies", "copies" },
        { "Ais-Chunks-Count", "chunks" },    { "Etag", "etag" },
        { "Last-Modified", "last-modified" }, { "Ais-Custom-Md", "custom" },
        { "Ais-Present", "present" },
    };
    struct uri      u;
    struct api_req  q = { .method = "HEAD" };
    struct api_resp r;
    struct table    t;
    json_t         *j = json_object();

    if (!uri_parse(a->v[0], &u))
        return 2;
    if (u.object[0] == '\0')
        return usage_error(a, "\"%s\" names no object", a->v[0]);
    q.path = uri_path(&u, "objects", "props=size,version,checksum,atime,location,copies,custom,chunked,etag,last-modified");
    if (api_call(&q, &r) < 0)
        return fail("%s", r.err);
    table_init(&t, 2, "PROPERTY", "VALUE");
    table_row(&t, "name", path_fmt("%s://%s/%s", u.provider, u.bucket, u.object));
    json_object_set_new(j, "name", json_string(u.object));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *v = api_hdr(&r, rows[i].hdr);
        char       *text;

        if (v == NULL)
            continue;
        text = strdup(v);
        if (strcmp(rows[i].name, "checksum") == 0)
            text = path_fmt("%s[%s]", text, api_hdr(&r, "Ais-Checksum-Value"));
        json_object_set_new(j, rows[i].name, json_string(text));
        table_row(&t, rows[i].name, strcmp(rows[i].name, "size") == 0 ? human(strtoull(text, NULL, 10)) : text);
    }
    if (arg_json(a))
        print_json(j);
    else
        table_print(&t);
    return 0;
}

static const struct flag promote_flags[] = {
    { "recursive", "r", false, "directories with everything below them" },
    { "overwrite-dst", "o", false, "replace objects that exist" },
    { "delete-src", NULL, false, "remove the files afterwards" },
    { "target-id", NULL, true, "only this target" },
    FLAG_END,
};

static int
object_promote(const struct args *a)
{
    struct uri      u;
    struct api_req  q = { .method = "POST" };
    struct api_resp r;
    json_t         *o;

    if (!uri_parse(a->v[1], &u))
        return 2;
    o = json_pack("{s:s,s:s,s:{s:s,s:s,s:s,s:b,s:b,s:b}}", "action", "promote", "name", a->v[0], "value", "tid",
                  arg_get(a, "target-id", ""), "src", a->v[0], "obj", u.object, "rcr", arg_has(a, "recursive"), "ovw",
                  arg_has(a, "overwrite-dst"), "dls", arg_has(a, "delete-src"));
    q.body = json_dumps(o, 0);
    u.object = strdup("");
    q.path = uri_path(&u, "objects", NULL);
    if (api_call(&q, &r) < 0)
        return fail("%s", r.err);
    printf("promoted \"%s\" => %s\n", a->v[0], a->v[1]);
    return 0;
}

const struct cmd cmds_object[] = {
    { "object put", "put", "FILE|DIRECTORY|- BUCKET[/OBJECT|/PREFIX]", "store files as objects",
      "Examples:\n   ais put README.md ais://data\n   ais put -r /usr/share/doc ais://docs/debian/\n   tar c . | ais put - ais://data/all.tar",
      put_flags, 2, 2, object_put },
    { "object get", "get", "BUCKET[/OBJECT] [FILE|DIRECTORY|-]", "fetch objects into files",
      "Examples:\n   ais get ais://data/README.md -\n   ais get ais://docs --prefix debian/ /tmp/docs", get_flags, 1, 2, object_get },
    { "object cat", "cat", "BUCKET/OBJECT", "print an object", NULL, get_flags, 1, 1, object_cat },
    { "object ls", "ls|bucket list", "[BUCKET[/PREFIX]]", "list objects; without a bucket, buckets", NULL, ls_flags, 0, 1, object_ls },
    { "object rm", "rmo|object delete", "BUCKET/OBJECT... | BUCKET --prefix P | BUCKET --all", "delete objects", NULL, rmo_flags, 1, -1,
      object_rm },
    { "object mv", "object rename", "BUCKET/OBJECT NEWNAME", "rename an object", NULL, NULL, 2, 2, object_mv },
    { "object show", "show object|object props", "BUCKET/OBJECT", "show what the cluster knows of an object", NULL, show_flags, 1, 1,
      object_show },
    { "object promote", "promote", "FILE|DIRECTORY BUCKET[/NAME]", "make objects of files that the targets can see", NULL,
      promote_flags, 2, 2, object_promote },
};
const unsigned ncmds_object = sizeof(cmds_object) / sizeof(cmds_object[0]);
