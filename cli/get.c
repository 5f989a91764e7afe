/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ais get, ais cat: an object, a range of it, or all objects of a prefix; to a file, a directory, standard output.
 *
 * A file has its name only when all bytes are there and, with --checksum, are the right ones. Wire: native-api.md 4.2, 4.4, 4.8.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "base/units.h"
#include "base/util.h"
#include "cli/batch.h"
#include "cli/files.h"
#include "cli/groups.h"

#define PART_SIZE (16 * MIB)

/* --- one transfer --- */

struct incoming {
    struct batch     *b;
    struct session   *s;
    struct http_resp *r;
    struct outfile   *o;
    int64_t           at;     /* where the next bytes go, when parts are written side by side; -1 = one after the other */
    int64_t           got;
    bool              verify;
    bool              hashing;
    struct cksum_run  run;
};

/* The type of the checksum stands in the answer's head: known with the first bytes. */
static int
hash_begin(struct incoming *in)
{
    const char     *name = http_hdr(in->s, in->r, "Ais-Checksum-Type");
    enum cksum_type t;

    if (name == NULL || !cksum_by_name(str_z(name), &t) || t == CKSUM_NONE)
        return 0; /* said at the end */
    in->hashing = cksum_init(&in->run, t) == 0;
    return in->hashing ? 0 : -1;
}

static int
on_bytes(void *ctx, const char *p, size_t n)
{
    struct incoming *in = ctx;

    if (in->verify && in->got == 0 && hash_begin(in) < 0)
        return -1;
    if (in->hashing)
        cksum_update(&in->run, p, n);
    if ((in->at < 0 ? outfile_write(in->o, p, n) : outfile_pwrite(in->o, p, n, in->at + in->got)) < 0)
        return -1;
    in->got += (int64_t)n;
    batch_moved(in->b, (int64_t)n);
    return 0;
}

static int
compare(const char *name, const struct cksum *have, const char *want, struct fault *f)
{
    struct cksum w = { .type = have->type };

    if (want == NULL || !str_copyz(str_z(want), w.value, sizeof(w.value)))
        return fault_set(f, CLI_FAILED, "%s: the cluster has no checksum of it to compare with", name);
    if (!cksum_eq(have, &w))
        return fault_set(f, CLI_FAILED, "%s: checksum mismatch: %s is %s, expected %s", name, cksum_name(have->type), have->value,
                         w.value);
    return CLI_OK;
}

static int
verify(struct incoming *in, const char *name, struct fault *f)
{
    struct cksum have = { .type = CKSUM_NONE };
    const char  *want = http_hdr(in->s, in->r, "Ais-Checksum-Value");

    if (!in->verify)
        return CLI_OK;
    if (in->got == 0 && hash_begin(in) < 0)
        return fault_set(f, CLI_FAILED, "out of memory");
    if (!in->hashing)
        return fault_set(f, CLI_FAILED, "%s: the cluster has no checksum of it to compare with", name);
    cksum_final(&in->run, &have);
    return compare(name, &have, want, f);
}

/* What all objects of one command share. */
struct get {
    bool            range;
    uint64_t        off, len; /* len 0 = to the end */
    bool            checksum;
    struct outfile *shared; /* parts of one object write here */
    const char     *version; /* the object's, at the first look; parts must have the same */
};

static const char *
range_hdr(struct session *s, const struct get *g, const struct item *it)
{
    uint64_t off = it->part > 0 ? (uint64_t)it->off : g->off, len = it->part > 0 ? (uint64_t)it->size : g->len;

    if (!g->range && it->part == 0)
        return NULL;
    if (len == 0)
        return arena_printf(s->mem, "Range: bytes=%llu-", (unsigned long long)off).p;
    return arena_printf(s->mem, "Range: bytes=%llu-%llu", (unsigned long long)off, (unsigned long long)(off + len - 1)).p;
}

static int
receive(struct batch *b, struct session *s, const struct item *it, struct outfile *o, struct fault *f)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct get                *g = b->arg;
    struct incoming            in = { .b = b, .s = s, .r = &r, .o = o, .at = it->part > 0 ? it->off : -1 };
    struct sink                sink = { on_bytes, &in };
    struct http_req            q = { .method = "GET", .sink = &sink, .path = api_obj_path(s, &b->u, str_z(it->name)) };
    const char                *version;
    int                        rc;

    in.verify = g->checksum && it->part == 0;
    q.hdr[0] = range_hdr(s, g, it);
    rc = http_do(s, &q, &r, f);
    version = rc == CLI_OK && it->part > 0 ? http_hdr(s, &r, "Ais-Version") : NULL;
    if (rc == CLI_OK && it->part > 0 && (r.status != 206 || in.got != it->size))
        rc = fault_set(f, CLI_FAILED, "%s: asked for %lld bytes at %lld, got %lld", it->name, (long long)it->size, (long long)it->off,
                       (long long)in.got);
    if (rc == CLI_OK && version != NULL && g->version != NULL && strcmp(version, g->version) != 0)
        rc = fault_set(f, CLI_FAILED, "%s was overwritten while it was read", it->name);
    if (rc == CLI_OK)
        rc = verify(&in, it->name, f);
    if (in.hashing)
        cksum_fini(&in.run);
    if (rc != CLI_OK)
        batch_moved(b, -in.got);
    return rc;
}

static int
get_one(struct batch *b, struct session *s, const struct item *it, struct fault *f)
{
    struct get    *g = b->arg;
    struct outfile o;
    int            rc;

    if (it->file == NULL)
        return fault_set(f, CLI_FAILED, "\"%s\" cannot be the name of a file here: get it by itself and say where to", it->name);
    if (it->part > 0)
        return receive(b, s, it, g->shared, f);
    rc = outfile_open(&o, it->file, true, f);
    if (rc != CLI_OK)
        return rc;
    rc = receive(b, s, it, &o, f);
    if (rc == CLI_OK)
        return outfile_commit(&o, f);
    outfile_abort(&o);
    return rc;
}

/* --- one object --- */

/* "FILE", "DIR", "DIR/", "-", or nothing: then the object's last name, here. */
static const char *
destination(struct ctx *c, const struct uri *u, const char *dst)
{
    struct str  base = base_name(u->object);
    struct stat st;
    size_t      n;

    if (dst == NULL)
        return path_below(c->mem, ".", base);
    n = strlen(dst);
    if ((n > 0 && dst[n - 1] == '/') || (stat(dst, &st) == 0 && S_ISDIR(st.st_mode)))
        return path_below(c->mem, dst, base);
    return dst;
}

static int
head_object(struct ctx *c, const struct uri *u, struct http_resp *r, struct fault *f)
{
    struct http_req q = { .method = "HEAD" };

    q.path = out_fmt(c, "%s&props=size,checksum,version", api_obj_path(c->s, u, u->object));
    return http_do(c->s, &q, r, f);
}

/* --mpd: ranges in parallel into one file. */
static int
get_parts(struct ctx *c, struct batch *b, const char *file, uint64_t part, struct fault *f)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct get                *g = b->arg;
    struct outfile             o;
    struct item                it = { .file = file, .name = arena_strdup(c->mem, b->u.object) };
    struct cksum               have = { .type = CKSUM_NONE };
    const char                *type, *want;
    uint64_t                   size = 0;
    int                        rc = head_object(c, &b->u, &r, f);

    if (rc != CLI_OK)
        return rc;
    if (http_hdr(c->s, &r, "Content-Length") == NULL || !str_u64(str_z(http_hdr(c->s, &r, "Content-Length")), &size))
        return fault_set(f, CLI_FAILED, "%s: the cluster does not say how large it is", it.name);
    g->version = http_hdr(c->s, &r, "Ais-Version");
    type = http_hdr(c->s, &r, "Ais-Checksum-Type");
    want = http_hdr(c->s, &r, "Ais-Checksum-Value");
    rc = outfile_open(&o, file, true, f);
    if (rc != CLI_OK)
        return rc;
    g->shared = &o;
    for (it.part = 1; (uint64_t)it.off < size; it.off += (int64_t)part, it.part++) {
        it.size = (int64_t)MIN(part, size - (uint64_t)it.off);
        batch_add(b, &it);
    }
    if (b->n > 0 && batch_run(b, true) != CLI_OK) {
        *f = b->first;
        rc = f->code;
    }
    if (rc == CLI_OK && g->checksum && o.tmp != NULL) {
        if (type == NULL || !cksum_by_name(str_z(type), &have.type) || have.type == CKSUM_NONE)
            want = NULL;
        rc = have.type == CKSUM_NONE ? CLI_OK : file_cksum(o.tmp, have.type, &have, f);
        if (rc == CLI_OK)
            rc = compare(it.name, &have, want, f);
    }
    if (rc == CLI_OK)
        return outfile_commit(&o, f);
    outfile_abort(&o);
    return rc;
}

static int
get_single(struct ctx *c, struct batch *b, const char *dst)
{
    const char  *file = destination(c, &b->u, dst);
    bool         parts = flag_on(c, "mpd") && file != NULL && strcmp(file, "-") != 0;
    struct item  it = { .file = file, .name = arena_strdup(c->mem, b->u.object), .size = -1 };
    struct fault f = { .code = CLI_OK };
    int          rc;

    if (parts) {
        rc = get_parts(c, b, file, MAX(flag_u64(c, "chunk-size", PART_SIZE), (uint64_t)4096), &f);
    } else {
        b->stop_at_first = true;
        batch_add(b, &it);
        rc = batch_run(b, true);
        f = b->first;
    }
    if (rc != CLI_OK)
        return cmd_fail(c, &f);
    if (strcmp(file, "-") != 0)
        printf("GET %s => %s (%s)\n", api_uri(c->mem, &b->u), file, out_size(c, b->p.bytes));
    return CLI_OK;
}

/* --- many objects --- */

static int
list_all(struct ctx *c, struct batch *b, const char *prefix, const char *dst, struct fault *f)
{
    const char   *slash = strrchr(prefix, '/');
    size_t        strip = slash == NULL ? 0 : (size_t)(slash - prefix) + 1; /* the directory that was asked for is not repeated */
    bool          discard = dst != NULL && (strcmp(dst, "-") == 0 || strcmp(dst, "/dev/null") == 0);
    struct lister l = { .u = &b->u, .prefix = prefix, .props = "name,size" };
    uint64_t      limit = flag_u64(c, "limit", 0);
    int           rc = CLI_OK;

    while (rc == CLI_OK && !l.done && (limit == 0 || b->n < limit)) {
        auto_json json_t *page = NULL;
        json_t           *e;
        size_t            i;

        rc = list_next(c->s, &l, &page, f);
        json_array_foreach(json_object_get(page, "entries"), i, e)
        {
            struct item it = { .name = arena_strdup(c->mem, str_z(get_text(e, "name"))), .size = (int64_t)get_u64(e, "size") };

            if (limit > 0 && b->n == limit)
                break;
            it.file = discard ? dst : path_below(c->mem, dst != NULL ? dst : ".", str_z(it.name + strip));
            batch_add(b, &it);
        }
    }
    list_fini(&l);
    return rc;
}

/* Standard output takes one after the other, in the order of their names. */
static int
cat_all(struct ctx *c, struct batch *b)
{
    struct fault f;
    int          rc = CLI_OK;

    progress_begin(&b->p, b->what, b->total, b->n, false);
    for (size_t i = 0; i < b->n && rc == CLI_OK; i++)
        rc = get_one(b, c->s, &b->v[i], &f);
    progress_end(&b->p);
    return rc == CLI_OK ? CLI_OK : cmd_fail(c, &f);
}

static int
get_many(struct ctx *c, struct batch *b, const char *prefix, const char *dst)
{
    struct fault f;
    struct stat  st;
    struct uri   bck = b->u;
    int          rc;

    bck.object = STR_NULL;
    if (dst != NULL && strcmp(dst, "-") != 0 && stat(dst, &st) == 0 && S_ISREG(st.st_mode))
        return usage(c, "%s is a file: many objects need a directory", dst);
    if (list_all(c, b, prefix, dst, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (b->n == 0) {
        fault_set(&f, CLI_NOTFOUND, "no objects in %s start with \"%s\"", api_uri(c->mem, &bck), prefix);
        return cmd_fail(c, &f);
    }
    if (dst != NULL && strcmp(dst, "-") == 0)
        return cat_all(c, b);
    rc = batch_run(b, false);
    if (b->tally.done > 0)
        printf("GET %lu of %zu objects from %s => %s: %s\n", b->tally.done, b->n, api_uri(c->mem, &bck), dst != NULL ? dst : ".",
               progress_text(c, &b->p));
    return rc;
}

/* --- the commands --- */

/* clang-format off */
#define RANGE_FLAGS \
    { "offset", NULL, "SIZE", "first byte of a range" }, \
    { "length", NULL, "SIZE", "bytes of a range" }, \
    { "checksum", NULL, NULL, "compare what comes with the cluster's checksum" }

static const struct flag get_flags[] = {
    { "prefix", NULL, "PREFIX", "all objects whose names start with this (\"\": the whole bucket)" },
    { "recursive", "r", NULL, "all objects below the given name, or the whole bucket" },
    { "limit", NULL, "N", "with --prefix: no more than so many" },
    RANGE_FLAGS,
    { "mpd", NULL, NULL, "one large object by parallel ranges" },
    { "chunk-size", NULL, "SIZE", "with --mpd: bytes of a range (default: 16MiB)" },
    FLAG_WORKERS,
    FLAG_PROGRESS,
    FLAG_YES,
    FLAG_UNITS,
    FLAG_END,
};
static const struct flag cat_flags[] = { RANGE_FLAGS, FLAG_END };
/* clang-format on */

static int
range_setup(struct ctx *c, struct get *g)
{
    g->range = flag_on(c, "offset") || flag_on(c, "length");
    g->off = flag_u64(c, "offset", 0);
    g->len = flag_u64(c, "length", 0);
    g->checksum = flag_on(c, "checksum");
    if (g->range && g->checksum)
        return usage(c, "--checksum is about whole objects: it cannot be used with --offset and --length");
    if (flag_on(c, "length") && g->len == 0)
        return usage(c, "--length must be at least 1");
    if (g->range && flag_on(c, "mpd"))
        return usage(c, "--mpd is about whole objects: it cannot be used with --offset and --length");
    return CLI_OK;
}

static int
cmd_get(struct ctx *c)
{
    struct get   g = { .range = false };
    struct batch b = { .c = c, .what = "GET", .fn = get_one, .arg = &g };
    const char  *dst = c->nargs > 1 ? c->arg[1] : NULL, *prefix = flag_str(c, "prefix", NULL);
    struct fault f;
    int          rc = range_setup(c, &g);

    if (rc != CLI_OK)
        return rc;
    if (uri_parse(c->arg[0], URI_BUCKET_ANY, &b.u, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (prefix == NULL && flag_on(c, "recursive"))
        prefix = out_fmt(c, "%.*s%s", STR_FMT(b.u.object), b.u.object.n > 0 && !str_ends(b.u.object, STR_LIT("/")) ? "/" : "");
    if (prefix != NULL)
        return get_many(c, &b, prefix, dst);
    if (b.u.object.n == 0)
        return usage(c, "\"%s\" names no object: --recursive or --prefix PREFIX gets many", c->arg[0]);
    return get_single(c, &b, dst);
}

static int
cmd_cat(struct ctx *c)
{
    struct get   g = { .range = false };
    struct batch b = { .c = c, .what = "GET", .fn = get_one, .arg = &g };
    struct fault f;
    int          rc = range_setup(c, &g);

    if (rc != CLI_OK)
        return rc;
    if (uri_parse(c->arg[0], URI_OBJECT, &b.u, &f) != CLI_OK)
        return cmd_fail(c, &f);
    return get_single(c, &b, "-");
}

/* clang-format off */
const struct cmd get_cmds[] = {
    { "object get", "get", "BUCKET[/OBJECT_NAME] [OUT_FILE|OUT_DIR|-]", "fetch objects into files",
      "A file appears under its name only when it is whole. Many objects keep their directories below OUT_DIR.\n"
      "Examples:\n"
      "   ais get ais://data/README.md\n"
      "   ais get ais://data/README.md /tmp/readme --checksum\n"
      "   ais get ais://data/README.md - --offset 10 --length 1KiB\n"
      "   ais get ais://data --prefix docs/ /tmp/docs\n"
      "   ais get ais://data/docs /tmp/docs --recursive\n"
      "   ais get ais://data/big.bin /tmp/big.bin --mpd --num-workers 8",
      get_flags, 1, 2, cmd_get, { ARG_BUCKET, ARG_FILE } },
    { "object cat", "cat", "BUCKET/OBJECT_NAME", "print an object",
      "Examples:\n"
      "   ais cat ais://data/README.md\n"
      "   ais cat ais://data/README.md --offset 0 --length 100",
      cat_flags, 1, 1, cmd_cat, { ARG_BUCKET, ARG_NONE } },
};
/* clang-format on */
DEFINE_GROUP_SIZE(get);
