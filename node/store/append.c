/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appends: content collects in a work file until the flush commits it. native-api.md 4.5.
 *
 * The handle is all there is: node id, work file, checksum so far and of how many bytes (hexadecimal, before a dot). What a dead process
 * left is swept when the bucket is adopted.
 * Runs on: fibers.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"
#include "run/disk.h"
#include "store/store_impl.h"

struct handle {
    struct str      tid, path;
    enum cksum_type type;
    uint64_t        size;  /* bytes that the state is of */
    struct str      state; /* base64 */
};

static int
handle_parse(struct str h, struct handle *out, struct err *e)
{
    struct str f[4], rest = h;
    unsigned   n = 0;
    ptrdiff_t  dot;

    while (n < 4 && str_split(&rest, '|', &f[n]))
        n++;
    dot = n == 4 ? str_chr(f[3], '.') : -1;
    if (dot < 0 || rest.p != NULL || !cksum_by_name(f[2], &out->type) ||
        !str_u64_base(str_from(f[3].p, (size_t)dot), 16, &out->size))
        return err_set(e, AIS_E_INVAL, "invalid APPEND handle: \"%.*s\"", STR_FMT(h));
    out->tid = f[0];
    out->path = f[1];
    out->state = str_from_off(f[3], (size_t)dot + 1);
    return 0;
}

/* Only files that could be ours: in the bucket's work directory of one of our mountpaths, no way up. */
static struct mpath *
handle_mpath(struct store *s, const struct bck *b, struct str path)
{
    char dir[FQN_MAX];

    for (unsigned i = 0; i < s->n; i++) {
        int n = layout_ct(s->mpaths[i]->path, b, CT_WORK, dir);

        if (n > 0 && str_starts(path, str_from(dir, (size_t)n)) && path.n > (size_t)n + 1 && path.p[n] == '/' &&
            str_chr(str_from_off(path, (size_t)n + 1), '/') < 0)
            return s->mpaths[i];
    }
    return NULL;
}

static int
hash_fd(int fd, struct cksum_run *h)
{
    char    *buf = malloc(256 * KIB);
    uint64_t off = 0;
    ssize_t  n = buf == NULL ? -AIS_E_NOMEM : 1;

    while (n > 0 && (n = disk_pread(fd, buf, 256 * KIB, off)) > 0) {
        cksum_update(h, buf, (size_t)n);
        off += (uint64_t)n;
    }
    free(buf);
    return n < 0 ? (int)n : 0;
}

/* A handle that is not the last one (its answer was lost) does not know all bytes: they are hashed again then. */
static int
state_load(struct handle *h, int fd, uint64_t size, struct cksum_run *run)
{
    unsigned char raw[256];
    int           n;

    if (h->size == size && h->state.n > 0 && h->state.n <= 256 && h->state.n % 4 == 0) {
        n = EVP_DecodeBlock(raw, (const unsigned char *)h->state.p, (int)h->state.n);
        while (n > 0 && h->state.n > 2 && n % 3 == 0 && raw[n - 1] == 0 &&
               (h->state.p[h->state.n - 1] == '=' || h->state.p[h->state.n - 2] == '=')) {
            n -= h->state.p[h->state.n - 2] == '=' ? 2 : 1; /* what the padding stands for */
            break;
        }
        if (n > 0 && cksum_load(run, h->type, raw, (size_t)n) == 0)
            return 0;
    }
    if (cksum_init(run, h->type) < 0)
        return -AIS_E_NOMEM;
    return hash_fd(fd, run);
}

static char *
handle_make(struct store *s, const char *work, uint64_t size, struct cksum_run *run)
{
    unsigned char raw[128], b64[200] = "";
    size_t        n = 0;

    if (cksum_save(run, raw, sizeof(raw), &n) == 0)
        EVP_EncodeBlock(b64, raw, (int)n);
    return xasprintf("%s|%s|%s|%llx.%s", s->node_id, work, cksum_name(run->type), (unsigned long long)size, b64);
}

struct appending {
    int               fd;
    uint64_t          off;
    struct cksum_run *run;
    struct err       *e;
};

static int
append_piece(void *ctx, const void *p, size_t n)
{
    struct appending *a = ctx;
    ssize_t           k = disk_pwrite(a->fd, p, n, a->off);

    if (k < 0)
        return err_set(a->e, (int)-k, "cannot append: %s", err_text((int)k));
    cksum_update(a->run, p, n);
    a->off += n;
    return 0;
}

/* Start: a work file with what the object has now. */
static int
append_start(struct store *s, const struct bck *b, struct str name, char work[FQN_MAX], struct appending *a, struct err *e)
{
    struct mpath *m = mpath_of(s, b, name);
    struct obj   *o;
    int           rc;

    if (m == NULL)
        return err_set(e, AIS_E_IO, "no mountpaths are available");
    work_name(m, b, "append", name, work);
    a->fd = disk_open(work, O_CREAT | O_EXCL | O_RDWR, 0644);
    if (a->fd < 0)
        return err_set(e, -a->fd, "cannot make a work file: %s", err_text(a->fd));
    rc = cksum_init(a->run, b->cksum);
    if (rc < 0)
        return rc;
    rc = obj_open(s, b, name, OBJ_NO_LRU, &o, NULL);
    if (rc == -AIS_E_NOOBJ)
        return 0;
    if (rc < 0)
        return err_set(e, -rc, "%.*s: %s", STR_FMT(name), err_text(rc));
    rc = obj_each_piece(o, append_piece, a, e);
    obj_close(o);
    return rc;
}

static int
append_resume(struct store *s, const struct bck *b, struct str handle, char work[FQN_MAX], struct appending *a, struct err *e)
{
    struct handle h;
    struct stat   st;
    int           rc = handle_parse(handle, &h, e);

    if (rc < 0)
        return rc;
    if (!str_eqz(h.tid, s->node_id) || handle_mpath(s, b, h.path) == NULL || !str_copyz(h.path, work, FQN_MAX))
        return err_set(e, AIS_E_INVAL, "invalid APPEND handle: \"%.*s\"", STR_FMT(handle));
    a->fd = disk_open(work, O_RDWR, 0);
    if (a->fd < 0)
        return err_set(e, AIS_E_NOENT, "APPEND handle: work file %s does not exist", work);
    rc = disk_fstat(a->fd, &st);
    a->off = (uint64_t)st.st_size;
    if (rc == 0)
        rc = state_load(&h, a->fd, a->off, a->run);
    return rc < 0 ? err_set(e, -rc, "APPEND handle: %s", err_text(rc)) : 0;
}

struct cut {
    int      fd;
    uint64_t size;
};

static void
cut_blocking(void *arg)
{
    const struct cut *c = arg;

    if (ftruncate(c->fd, (off_t)c->size) < 0)
        log_warn("half of an append stays", { "error", LZ(strerror(errno)) });
}

int
append_data(struct store *s, const struct bck *b, struct str name, struct str handle, body_f *body, void *ctx,
            char **out_handle, struct err *e)
{
    struct cksum_run run = { .type = CKSUM_NONE };
    struct appending a = { .fd = -1, .run = &run, .e = e };
    struct store_cap cap;
    char            *buf = malloc(64 * KIB), work[FQN_MAX];
    struct cut       before;
    ssize_t          n = 0;
    int              rc;

    if (buf == NULL || store_oos(s, &cap)) {
        free(buf);
        return err_set(e, AIS_E_NOSPACE, "out of space or memory");
    }
    rc = handle.n == 0 ? append_start(s, b, name, work, &a, e) : append_resume(s, b, handle, work, &a, e);
    before = (struct cut){ .fd = a.fd, .size = a.off };
    while (rc == 0 && (n = body(ctx, buf, 64 * KIB)) > 0)
        rc = append_piece(&a, buf, (size_t)n);
    if (rc == 0 && n < 0)
        rc = err_fill(e, (int)n);
    if (rc == 0)
        *out_handle = handle_make(s, work, a.off, &run);
    else if (handle.n == 0 && a.fd >= 0)
        (void)disk_unlink(work);
    else if (a.off > before.size)
        offload(cut_blocking, &before); /* the client sends it again */
    cksum_fini(&run);
    disk_close(&a.fd);
    free(buf);
    return rc;
}

/* Mountpaths have come or gone since the append began: the content goes where the object is looked for now. */
static int
flush_elsewhere(struct store *s, const struct bck *b, struct str name, int fd, uint64_t size, const struct cksum *cksum,
                struct err *e)
{
    struct put_attrs a = { .length = (int64_t)size, .expect = *cksum };
    struct put      *p;
    char            *buf = malloc(256 * KIB);
    uint64_t         off = 0;
    int              rc = buf == NULL ? err_set(e, AIS_E_NOMEM, "out of memory") : put_begin(s, b, name, &a, &p, e);

    while (rc == 0 && off < size) {
        ssize_t n = disk_pread(fd, buf, 256 * KIB, off);

        rc = n > 0 ? put_write(p, buf, (size_t)n, e) : err_set(e, AIS_E_IO, "%.*s: cannot read the work file", STR_FMT(name));
        off += n > 0 ? (uint64_t)n : 0;
        if (rc < 0)
            put_abort(p);
    }
    free(buf);
    return rc < 0 ? rc : put_commit(p, NULL, e);
}

int
append_flush(struct store *s, const struct bck *b, struct str name, struct str handle, const struct cksum *expect,
             struct err *e)
{
    struct cksum_run run = { .type = CKSUM_NONE };
    struct appending a = { .fd = -1, .run = &run, .e = e };
    struct put_attrs attrs = { .length = -1 };
    struct lmeta     meta = { .cksum = { .type = CKSUM_NONE } };
    char             work[FQN_MAX];
    struct cjob      j = { .op = COP_PUT, .b = b, .name = name, .work = work, .attrs = &attrs, .meta = &meta };
    int              rc;

    if (handle.n == 0)
        return err_set(e, AIS_E_INVAL, "missing APPEND handle");
    rc = append_resume(s, b, handle, work, &a, e);
    if (rc == 0) {
        lmeta_clear(&meta);
        cksum_final(&run, &meta.cksum);
        meta.size = a.off;
        if (expect->type != CKSUM_NONE) {
            struct cksum     got = meta.cksum;
            struct cksum_run other;

            if (expect->type != run.type && cksum_init(&other, expect->type) == 0) {
                rc = hash_fd(a.fd, &other);
                cksum_final(&other, &got);
                cksum_fini(&other);
            }
            if (rc == 0 && !cksum_eq(&got, expect))
                rc = err_set(e, AIS_E_CKSUM, "BAD DATA CHECKSUM: %s(%s != %s) (context: %.*s)", cksum_name(expect->type),
                             expect->value, got.value, STR_FMT(name));
        }
    }
    cksum_fini(&run);
    if (rc < 0) {
        disk_close(&a.fd);
        return rc;
    }
    j.m = handle_mpath(s, b, str_z(work));
    if (j.m != mpath_of(s, b, name)) {
        rc = flush_elsewhere(s, b, name, a.fd, a.off, &meta.cksum, e);
        disk_close(&a.fd);
        if (rc == 0)
            (void)disk_unlink(work);
        return rc;
    }
    j.fd = a.fd;
    j.atime_ns = clock_real();
    rc = commit_locked(&j, e);
    obj_close(j.out);
    return rc;
}
