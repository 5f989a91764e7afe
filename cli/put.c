/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ais put: standard input, a file, a directory, a pattern. Small objects in parallel, large ones in parallel parts.
 *
 * Wire: native-api.md 4.1, 4.8, 4.9.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "cli/batch.h"
#include "cli/files.h"
#include "cli/groups.h"
#include "codec/jw.h"
#include "codec/url.h"

#define BIG_FILE    (1 * GIB)  /* from here on in parts, when not said otherwise */
#define PART_SIZE   (64 * MIB)
#define MAX_PARTS   10000

/* What all objects of one command share. */
struct put {
    enum cksum_type type;        /* checksum to compute; CKSUM_NONE = none */
    const char     *given;       /* or its value as given, for a single object */
    bool            skip_vc;
    uint64_t        retries;
    const char     *upload_id;   /* multipart */
};

/* --- one body --- */

struct body {
    struct batch *b;
    int           fd;
    bool          stream; /* standard input: no seeking */
    int64_t       from, size, at;
};

/* Standard input may be a keyboard: waiting for it ends with the program's interruption, whichever thread the signal came to. */
static ssize_t
stream_read(int fd, char *p, size_t n)
{
    struct pollfd pfd = { .fd = fd, .events = POLLIN };

    while (poll(&pfd, 1, 100) == 0 || pfd.revents == 0)
        if (atomic_load(&session_interrupted)) {
            errno = EINTR;
            return -1;
        }
    return read(fd, p, n);
}

static ptrdiff_t
body_read(void *ctx, char *p, size_t n)
{
    struct body *y = ctx;
    ssize_t      k;

    if (y->size >= 0)
        n = MIN(n, (size_t)(y->size - y->at));
    do
        k = y->stream ? stream_read(y->fd, p, n) : pread(y->fd, p, n, y->from + y->at);
    while (k < 0 && errno == EINTR && !atomic_load(&session_interrupted));
    if (k == 0 && y->at < y->size) {
        errno = ENODATA; /* the file has become shorter */
        return -1;
    }
    if (k > 0) {
        y->at += k;
        batch_moved(y->b, k);
    }
    return k;
}

static int
body_rewind(void *ctx)
{
    struct body *y = ctx;

    if (y->stream && y->at > 0)
        return -1;
    batch_moved(y->b, -y->at);
    y->at = 0;
    return 0;
}

static int
body_open(struct body *y, struct batch *b, const struct item *it, struct fault *f)
{
    *y = (struct body){ .b = b, .fd = STDIN_FILENO, .from = it->off, .size = it->size };
    if (strcmp(it->file, "-") == 0) {
        y->stream = true;
        return CLI_OK;
    }
    y->fd = open(it->file, O_RDONLY | O_CLOEXEC);
    return y->fd >= 0 ? CLI_OK : fault_errno(f, it->file);
}

static const char *
query_of(struct session *s, const struct put *p, const struct item *it)
{
    struct sbuf b;
    const char *q;

    if (it->part == 0)
        return p->skip_vc ? "&skip_vc=true" : "";
    sbuf_init(&b, 4 * KIB);
    sbuf_printf(&b, "&partNumber=%u&uploadId=", it->part);
    url_encode_query(&b, str_z(p->upload_id));
    q = arena_strdup(s->mem, sbuf_str(&b));
    sbuf_fini(&b);
    return q;
}

static int
send_once(struct batch *b, struct session *s, const struct item *it, const struct cksum *ck, struct fault *f)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct put                *p = b->arg;
    struct body                y;
    struct src                 src = { body_read, body_rewind, &y, it->size };
    struct http_req            q = { .method = "PUT", .src = &src };
    int                        rc = body_open(&y, b, it, f);

    if (rc != CLI_OK)
        return rc;
    q.path = arena_printf(s->mem, "%s%s", api_obj_path(s, &b->u, str_z(it->name)), query_of(s, p, it)).p;
    if (ck != NULL) {
        q.hdr[0] = arena_printf(s->mem, "Ais-Checksum-Type: %s", cksum_name(ck->type)).p;
        q.hdr[1] = arena_printf(s->mem, "Ais-Checksum-Value: %s", ck->value).p;
    }
    rc = http_do(s, &q, &r, f);
    if (rc != CLI_OK)
        batch_moved(b, -y.at);
    if (!y.stream)
        fd_close(&y.fd);
    return rc;
}

static int
checksum_for(struct put *p, const struct item *it, struct cksum *ck, struct fault *f)
{
    if (p->given == NULL)
        return file_cksum(it->file, p->type, ck, f);
    ck->type = p->type;
    if (!str_copyz(str_z(p->given), ck->value, sizeof(ck->value)))
        return fault_set(f, CLI_USAGE, "\"%s\" is not a checksum", p->given);
    return CLI_OK;
}

static int
put_one(struct batch *b, struct session *s, const struct item *it, struct fault *f)
{
    struct put  *p = b->arg;
    struct cksum ck = { .type = CKSUM_NONE };
    bool         with_ck = p->type != CKSUM_NONE && it->part == 0;
    uint64_t     left = strcmp(it->file, "-") == 0 ? 0 : p->retries;
    int          rc;

    if (with_ck && checksum_for(p, it, &ck, f) != CLI_OK)
        return f->code;
    do
        rc = send_once(b, s, it, with_ck ? &ck : NULL, f);
    while (rc == CLI_UNREACHABLE && left-- > 0);
    if (rc != CLI_OK && rc != CLI_INTERRUPTED && strstr(f->text, it->name) == NULL) {
        struct fault inner = *f;

        fault_set(f, rc, "%s: %.1000s", strcmp(it->file, "-") == 0 ? it->name : it->file, inner.text);
    }
    return rc;
}

/* --- parts --- */

static int
mpt_call(struct batch *b, const struct item *it, const char *method, const char *action, const char *value, struct http_resp *r,
         struct fault *f)
{
    struct session *s = b->c->s;
    struct put     *p = b->arg;
    struct item     any = { .part = 1 };
    struct http_req q = { .method = method, .body = api_action(s->mem, action, value) };

    q.path = arena_printf(s->mem, "%s%s", api_obj_path(s, &b->u, str_z(it->name)), p->upload_id != NULL ? query_of(s, p, &any) : "").p;
    return http_do(s, &q, r, f);
}

static const char *
parts_json(struct arena *mem, size_t n)
{
    struct sbuf b;
    struct jw   w;
    const char *text;

    sbuf_init(&b, 4 * MIB);
    jw_init(&w, &b, 0);
    jw_arr(&w);
    for (size_t i = 1; i <= n; i++) {
        jw_obj(&w);
        jw_ku64(&w, "part-number", i);
        jw_kstrz(&w, "etag", "");
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    text = arena_strdup(mem, sbuf_str(&b));
    sbuf_fini(&b);
    return text;
}

/* A large file: a multipart upload whose parts go in parallel. Nothing stays in the cluster when one fails. */
static int
put_big(struct ctx *c, const struct uri *u, struct put *p, const struct item *it, uint64_t part, struct fault *f)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct put                 mine = *p;
    struct batch               b = { .c = c, .u = *u, .what = "PUT", .fn = put_one, .arg = &mine, .stop_at_first = true };
    struct item                one = *it;
    int                        rc;

    part = MAX(part, ((uint64_t)it->size + MAX_PARTS - 1) / MAX_PARTS);
    rc = mpt_call(&b, it, "POST", "mpt-upload", NULL, &r, f);
    if (rc != CLI_OK)
        return rc;
    mine.upload_id = arena_strdup(c->mem, str_trim(sbuf_str(&r.body)));
    for (one.off = 0, one.part = 1; one.off < it->size; one.off += (int64_t)part, one.part++) {
        one.size = MIN((int64_t)part, it->size - one.off);
        batch_add(&b, &one);
    }
    rc = batch_run(&b, true);
    if (rc == CLI_OK)
        return mpt_call(&b, it, "POST", "mpt-complete", parts_json(c->mem, b.n), &r, f);
    *f = b.first;
    atomic_store(&session_interrupted, false); /* one more request: leave nothing behind */
    (void)mpt_call(&b, it, "DELETE", "mpt-abort", NULL, &r, NULL);
    atomic_store(&session_interrupted, f->code == CLI_INTERRUPTED);
    return f->code;
}

/* --- what to put --- */

struct collect {
    struct batch *small, *big;
    struct arena *mem;
    const char   *prefix;  /* of object names */
    size_t        strip;   /* bytes of a path that do not become part of the name */
    const char   *pattern; /* NULL = all */
    uint64_t      big_from;
};

static int
collect_file(void *arg, const char *path, int64_t size)
{
    struct collect *k = arg;
    const char     *base = strrchr(path, '/');
    struct item     it = { .size = size };

    if (k->pattern != NULL && fnmatch(k->pattern, base != NULL ? base + 1 : path, 0) != 0)
        return 0;
    it.file = arena_strdup(k->mem, str_z(path));
    it.name = arena_printf(k->mem, "%s%s", k->prefix, path + k->strip).p;
    batch_add((uint64_t)size >= k->big_from ? k->big : k->small, &it);
    return 0;
}

/* A directory, or one with a pattern: object names are paths below the directory, with the prefix in front. */
static int
collect_tree(struct ctx *c, struct collect *k, const char *src, struct fault *f)
{
    const char *slash = strrchr(src, '/');
    struct stat st;
    char       *dir;
    size_t      n;

    dir = arena_strdup(c->mem, str_z(src));
    if (stat(src, &st) < 0) { /* a pattern */
        k->pattern = slash == NULL ? src : slash + 1;
        dir = slash == NULL ? arena_strdup(c->mem, STR_LIT(".")) : arena_strdup(c->mem, str_from(src, (size_t)(slash - src)));
        if (slash == src)
            dir = arena_strdup(c->mem, STR_LIT("/"));
    }
    for (n = strlen(dir); n > 1 && dir[n - 1] == '/'; n--)
        dir[n - 1] = '\0';
    k->strip = strcmp(dir, "/") == 0 ? 1 : strlen(dir) + 1;
    if (flag_on(c, "include-src-dir"))
        k->prefix = arena_printf(c->mem, "%s%.*s/", k->prefix, STR_FMT(base_name(str_z(dir)))).p;
    return walk_dir(dir, flag_on(c, "recursive"), collect_file, k, f);
}

static bool
is_pattern(const char *src)
{
    return strpbrk(src, "*?[") != NULL;
}

/* Standard input or one file. */
static int
collect_single(struct ctx *c, struct collect *k, const char *src, const struct stat *st, struct fault *f)
{
    struct item it = { .file = src, .size = -1 };
    size_t      n = strlen(k->prefix);

    it.name = k->prefix;
    if (st == NULL && (n == 0 || k->prefix[n - 1] == '/'))
        return fault_set(f, CLI_USAGE, "standard input needs an object name: %s%sNAME", c->arg[1], n == 0 ? "/" : "");
    if (st != NULL) {
        it.size = st->st_size;
        if (n == 0 || k->prefix[n - 1] == '/')
            it.name = arena_printf(c->mem, "%s%.*s", k->prefix, STR_FMT(base_name(str_z(src)))).p;
    }
    batch_add(it.size >= 0 && (uint64_t)it.size >= k->big_from ? k->big : k->small, &it);
    return CLI_OK;
}

static int
collect(struct ctx *c, struct collect *k, const char *src, struct fault *f)
{
    struct stat st;
    int         rc;

    if (strcmp(src, "-") == 0)
        return collect_single(c, k, src, NULL, f);
    rc = stat(src, &st);
    if (rc < 0 && !is_pattern(src))
        return fault_errno(f, src);
    if (rc == 0 && S_ISREG(st.st_mode))
        return collect_single(c, k, src, &st, f);
    if (rc == 0 && !S_ISDIR(st.st_mode))
        return fault_set(f, CLI_FAILED, "%s: neither a file nor a directory (a pipe goes to '-')", src);
    rc = collect_tree(c, k, src, f);
    if (rc == CLI_OK && k->small->n + k->big->n == 0)
        return fault_set(f, CLI_NOTFOUND, "%s: no files there%s", src,
                         flag_on(c, "recursive") ? "" : " (--recursive looks into its subdirectories)");
    return rc;
}

/* --- the command --- */

/* clang-format off */
static const struct flag put_flags[] = {
    { "recursive", "r", NULL, "directories with everything below them" },
    { "include-src-dir", NULL, NULL, "begin object names with the directory's own name" },
    { "checksum", "compute-checksum", NULL, "compute the bucket's checksum here and have the cluster compare" },
    { "xxhash", NULL, "HEX", "the object's xxhash, for the cluster to compare" },
    { "md5", NULL, "HEX", "its md5" },
    { "crc32c", NULL, "HEX", "its crc32c" },
    { "sha256", NULL, "HEX", "its sha256" },
    { "sha512", NULL, "HEX", "its sha512" },
    { "chunk-size", NULL, "SIZE", "send larger files in parallel parts of this size (default: 64MiB from 1GiB on)" },
    FLAG_WORKERS,
    FLAG_PROGRESS,
    { "retries", NULL, "N", "try again so often when the connection breaks (default: 1)" },
    { "skip-vc", NULL, NULL, "do not look at the object's earlier version and checksum" },
    { "dry-run", NULL, NULL, "say what would be done, do nothing" },
    { "verbose", "v", NULL, "one line for each object" },
    FLAG_YES,
    FLAG_UNITS,
    FLAG_END,
};
/* clang-format on */

/* The checksum to send: given, or of the type that the bucket has. */
static int
cksum_setup(struct ctx *c, struct put *p, const struct uri *u, struct fault *f)
{
    static const char *const   names[] = { "xxhash", "md5", "crc32c", "sha256", "sha512" };
    auto_resp struct http_resp r = { .status = 0 };
    auto_json json_t          *j = NULL;
    const char                *props, *type;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (flag_on(c, names[i])) {
            p->given = flag_str(c, names[i], NULL);
            cksum_by_name(str_z(names[i]), &p->type);
            return CLI_OK;
        }
    if (!flag_on(c, "checksum"))
        return CLI_OK;
    if (strcmp(c->arg[0], "-") == 0)
        return fault_set(f, CLI_USAGE, "--checksum needs a file: standard input can be read only once");
    if (http_do(c->s, &(struct http_req){ .method = "HEAD", .path = api_bck_path(c->s, u) }, &r, f) != CLI_OK)
        return f->code;
    props = http_hdr(c->s, &r, "Ais-Bucket-Props");
    if (props == NULL || json_read(str_z(props), &j, NULL) < 0)
        return fault_set(f, CLI_FAILED, "the cluster sent no bucket properties");
    type = get_text(json_object_get(j, "checksum"), "type");
    if (!cksum_by_name(str_z(type), &p->type) || p->type == CKSUM_NONE)
        return fault_set(f, CLI_FAILED, "%s has checksum type \"%s\": nothing to compare with", api_uri(c->mem, u), type);
    return CLI_OK;
}

static void
say(struct ctx *c, const struct batch *b)
{
    struct uri u = b->u;

    for (size_t i = 0; i < b->n; i++) {
        u.object = str_z(b->v[i].name);
        printf("%sPUT \"%s\" => %s\n", flag_on(c, "dry-run") ? "[dry-run] " : "", b->v[i].file, api_uri(c->mem, &u));
    }
}

static int
run_all(struct ctx *c, struct batch *small, struct batch *big, uint64_t part)
{
    struct tally t = { .done = 0 };
    struct fault f;
    struct uri   bck = small->u;

    bck.object = STR_NULL;
    if (small->n > 0) {
        batch_run(small, false);
        t = small->tally;
    }
    for (size_t i = 0; i < big->n && !atomic_load(&session_interrupted); i++) {
        int rc = put_big(c, &big->u, big->arg, &big->v[i], part, &f);

        if (rc != CLI_OK)
            fault_print(&f);
        tally_add(&t, rc);
    }
    if (atomic_load(&session_interrupted))
        return CLI_INTERRUPTED;
    if (small->n + big->n > 1 && t.done > 0)
        printf("PUT %lu of %zu objects => %s%s%s\n", t.done, small->n + big->n, api_uri(c->mem, &bck), big->n == 0 ? ": " : "",
               big->n == 0 ? progress_text(c, &small->p) : "");
    return tally_exit(&t);
}

static int
cmd_put(struct ctx *c)
{
    uint64_t       part = flag_u64(c, "chunk-size", 0);
    struct put     p = { .type = CKSUM_NONE, .skip_vc = flag_on(c, "skip-vc"), .retries = flag_u64(c, "retries", 1) };
    struct batch   small = { .c = c, .what = "PUT", .fn = put_one, .arg = &p }, big = small;
    struct collect k = { .small = &small, .big = &big, .mem = c->mem, .big_from = part > 0 ? part + 1 : BIG_FILE };
    struct fault   f;
    int            rc;

    if (uri_parse(c->arg[1], URI_BUCKET_ANY, &small.u, &f) != CLI_OK)
        return cmd_fail(c, &f);
    big.u = small.u;
    k.prefix = arena_strdup(c->mem, small.u.object);
    if (collect(c, &k, c->arg[0], &f) != CLI_OK || cksum_setup(c, &p, &small.u, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (p.given != NULL && small.n + big.n != 1)
        return usage(c, "a checksum's value is for one object, and here are %zu", small.n + big.n);
    if (flag_on(c, "dry-run")) {
        say(c, &small);
        say(c, &big);
        return CLI_OK;
    }
    rc = run_all(c, &small, &big, part > 0 ? part : PART_SIZE);
    if (rc == CLI_OK && (small.n + big.n == 1 || flag_on(c, "verbose"))) {
        say(c, &small);
        say(c, &big);
    }
    return rc;
}

/* clang-format off */
const struct cmd put_cmds[] = {
    { "object put", "put", "-|FILE|DIRECTORY[/PATTERN] BUCKET[/OBJECT_NAME_or_PREFIX]", "store files as objects",
      "A file goes to the given name, or under its own name into a bucket or \"directory/\". Files of a directory are named by their\n"
      "paths below it, with what follows the bucket put in front: end that with '/' to make it a directory.\n"
      "Examples:\n"
      "   ais put README.md ais://data\n"
      "   ais put README.md ais://data/docs/\n"
      "   ais put docs ais://data/docs/ --recursive\n"
      "   ais put \"docs/*.md\" ais://data/markdown/\n"
      "   tar c docs | ais put - ais://data/docs.tar\n"
      "   ais put big.bin ais://data --chunk-size 16MiB --progress",
      put_flags, 2, 2, cmd_put, { ARG_FILE, ARG_BUCKET } },
};
/* clang-format on */
DEFINE_GROUP_SIZE(put);
