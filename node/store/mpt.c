/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multipart uploads and appends. jobs-and-services.md 5, native-api.md 4.5, 4.9.
 *
 * An upload lives in memory; its parts are files. What a dead process left is swept when the bucket is adopted. Runs on: fibers.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/util.h"
#include "run/disk.h"
#include "store/store_impl.h"

struct part {
    unsigned     num;
    uint64_t     size;
    struct cksum cksum;
    char        *path;
};

/*
 * Whoever gives parts their names, completes or aborts holds the upload: a part that comes late must not replace a chunk of the
 * completed object, and two of the same number must leave the file and the note of the same one. Waiters come in order.
 */
struct up_waiter {
    struct park park;
    TAILQ_ENTRY(up_waiter) link;
    bool queued;
};

struct upload {
    struct hnode node;
    char         id[40];
    uint64_t     bid;
    char        *name;
    struct part *parts; /* sorted by number */
    unsigned     n, cap;
    unsigned     ncustom;
    struct kv    custom[LMETA_MAX_CUSTOM];
    struct arena *arena;
    int64_t      created;
    bool         held;
    TAILQ_HEAD(, up_waiter) waiters; /* under up_mtx, like held */
};

#define UP_WAIT SEC_NS(60)

static void
upload_free(struct upload *u)
{
    for (unsigned i = 0; i < u->n; i++)
        free(u->parts[i].path);
    free(u->parts);
    free(u->name);
    arena_free(u->arena);
    free(u);
}

void
mpt_fini(struct store *s)
{
    struct hnode *n, *next;

    for (n = hmap_iter(&s->uploads, NULL); n != NULL; n = next) {
        next = hmap_iter(&s->uploads, n);
        upload_free(CONTAINER_OF(n, struct upload, node));
    }
    hmap_fini(&s->uploads);
}

static struct upload *
find_locked(struct store *s, const struct bck *b, struct str name, struct str id)
{
    uint64_t h = hash_bytes(id.p, id.n, 7);

    for (struct hnode *n = hmap_first(&s->uploads, h); n != NULL; n = hmap_next_same(n, h)) {
        struct upload *u = CONTAINER_OF(n, struct upload, node);

        if (str_eqz(id, u->id) && u->bid == b->bid && str_eqz(name, u->name))
            return u;
    }
    return NULL;
}

static int
no_upload(const struct bck *b, struct str name, struct str id, struct err *e)
{
    return err_set(e, AIS_E_NOENT, "multipart upload \"%.*s\" for object %s://%.*s/%.*s does not exist", STR_FMT(id),
                   provider_scheme(b->provider), STR_FMT(b->name), STR_FMT(name));
}

static struct up_waiter *
waiter_pop_locked(struct upload *u)
{
    struct up_waiter *w = TAILQ_FIRST(&u->waiters);

    if (w != NULL) {
        TAILQ_REMOVE(&u->waiters, w, link);
        w->queued = false;
    }
    return w;
}

/* Wait until the upload is ours alone. -AIS_E_NOENT: there is none, or no longer. May park. */
static int
upload_hold(struct store *s, const struct bck *b, struct str name, struct str id, struct upload **out, struct err *e)
{
    struct up_waiter w = { .queued = false };
    struct upload   *u;
    bool             wait = false;
    int              rc = 0;

    pthread_mutex_lock(&s->up_mtx);
    u = find_locked(s, b, name, id);
    if (u == NULL) {
        rc = -AIS_E_NOENT;
    } else if (!u->held) {
        u->held = true;
    } else {
        park_init(&w.park);
        wait = w.queued = true;
        TAILQ_INSERT_TAIL(&u->waiters, &w, link);
    }
    pthread_mutex_unlock(&s->up_mtx);
    if (wait) {
        rc = park_wait(&w.park, clock_mono() + UP_WAIT);
        pthread_mutex_lock(&s->up_mtx);
        if (w.queued) /* gave up; nobody took us off, so the upload is still there */
            TAILQ_REMOVE(&u->waiters, &w, link);
        pthread_mutex_unlock(&s->up_mtx);
    }
    if (rc == -AIS_E_NOENT)
        return no_upload(b, name, id, e);
    if (rc < 0)
        return err_set(e, -rc, "multipart upload \"%.*s\": %s", STR_FMT(id), err_text(rc));
    *out = u;
    return 0;
}

/* To the next in line. */
static void
upload_leave(struct store *s, struct upload *u)
{
    struct up_waiter *w;

    pthread_mutex_lock(&s->up_mtx);
    for (w = waiter_pop_locked(u); w != NULL && !park_wake(&w->park, 0); w = waiter_pop_locked(u))
        ;
    u->held = w != NULL;
    pthread_mutex_unlock(&s->up_mtx);
}

/* The holder ends the upload; who waits for it learns that it is gone. */
static void
upload_drop(struct store *s, struct upload *u)
{
    struct up_waiter *w;

    pthread_mutex_lock(&s->up_mtx);
    hmap_del(&s->uploads, &u->node);
    for (w = waiter_pop_locked(u); w != NULL; w = waiter_pop_locked(u))
        park_wake(&w->park, -AIS_E_NOENT);
    pthread_mutex_unlock(&s->up_mtx);
    upload_free(u);
}

int
mpt_create(struct store *s, const struct bck *b, struct str name, const struct put_attrs *a, char id[40], struct err *e)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    struct upload    *u;
    uint64_t          r = rand_u64();

    if (!layout_is_path(name))
        return err_set(e, AIS_E_UNSUPP, "%.*s: a multipart object needs a name that can be a path", STR_FMT(name));
    u = xcalloc(1, sizeof(*u));
    for (int i = 0; i < 12; i++, r /= sizeof(letters) - 1) {
        if (i == 6)
            r = rand_u64();
        u->id[i] = letters[r % (sizeof(letters) - 1)];
    }
    u->bid = b->bid;
    u->name = xstrndup(name.p, name.n);
    u->arena = arena_new(256, 64 * KIB);
    u->created = clock_real();
    TAILQ_INIT(&u->waiters);
    for (unsigned i = 0; i < a->ncustom && i < LMETA_MAX_CUSTOM; i++)
        u->custom[u->ncustom++] = (struct kv){ arena_str(u->arena, a->custom[i].k), arena_str(u->arena, a->custom[i].v) };
    memcpy(id, u->id, sizeof(u->id));
    pthread_mutex_lock(&s->up_mtx);
    hmap_add(&s->uploads, &u->node, hash_bytes(u->id, strlen(u->id), 7));
    pthread_mutex_unlock(&s->up_mtx);
    return 0;
}

/* Chunk 1 lies on the object's own mountpath, the others where (upload id + number) falls. */
static int
part_path(struct store *s, const struct bck *b, struct str name, const char *id, unsigned num, char out[FQN_MAX + 64],
          struct mpath **m)
{
    char key[64], dir[FQN_MAX];
    int  n;

    snprintf(key, sizeof(key), "%s%04u", id, num);
    *m = num == 1 ? mpath_of(s, b, name) : mpath_of_digest(s, hrw_digest(key, strlen(key)));
    if (*m == NULL || layout_obj((*m)->path, b, CT_CHUNK, name, dir) < 0)
        return -AIS_E_INVAL;
    n = snprintf(out, FQN_MAX + 64, "%s.%s.%04u", dir, id, num);
    return n < FQN_MAX ? 0 : -AIS_E_INVAL;
}

int
mpt_part(struct store *s, const struct bck *b, struct str name, struct str id, unsigned num, const struct put_attrs *a,
         struct put **out, struct err *e)
{
    char           path[FQN_MAX + 64], idz[40];
    struct mpath  *m;
    struct put    *p;
    bool           known;
    struct store_cap cap;

    pthread_mutex_lock(&s->up_mtx);
    known = find_locked(s, b, name, id) != NULL;
    pthread_mutex_unlock(&s->up_mtx);
    if (!known)
        return no_upload(b, name, id, e);
    if (num < 1 || num > UFEST_MAX_CHUNKS) {
        err_set(e, AIS_E_INTERNAL, "chunk-manifest[%s://%.*s/%.*s, id=%.*s]: invalid chunk number (%u)",
                provider_scheme(b->provider), STR_FMT(b->name), STR_FMT(name), STR_FMT(id), num);
        return -AIS_E_INTERNAL;
    }
    if (store_oos(s, &cap))
        return err_set(e, AIS_E_NOSPACE, "%s", cap.err);
    (void)str_copyz(id, idz, sizeof(idz));
    if (part_path(s, b, name, idz, num, path, &m) < 0)
        return err_set(e, AIS_E_INVAL, "%.*s: the name is too long for a multipart upload", STR_FMT(name));
    p = put_new(s, m, b, name, a);
    if (p == NULL)
        return err_set(e, AIS_E_NOMEM, "out of memory");
    p->part_path = xstrdup(path);
    p->part_num = num;
    (void)str_copyz(id, p->part_id, sizeof(p->part_id));
    *out = p;
    return 0;
}

struct part_done {
    struct put *p;
    int         rc;
};

static void
part_done_blocking(void *arg)
{
    struct part_done *d = arg;

    if (rename(d->p->work, d->p->part_path) < 0)
        d->rc = err_from_errno(errno);
}

static void
note_part(struct upload *u, const struct put *p, const struct cksum *ck)
{
    unsigned i = 0;

    while (i < u->n && u->parts[i].num < p->part_num)
        i++;
    if (i == u->n || u->parts[i].num != p->part_num) {
        if (u->n == u->cap) {
            u->cap = MAX(u->cap * 2, 8u);
            u->parts = xrealloc(u->parts, u->cap * sizeof(*u->parts));
        }
        memmove(&u->parts[i + 1], &u->parts[i], (u->n - i) * sizeof(*u->parts));
        u->parts[i] = (struct part){ .num = p->part_num, .path = xstrdup(p->part_path) };
        u->n++;
    }
    u->parts[i].size = p->size;
    u->parts[i].cksum = *ck;
}

/* The part's file is complete: give it its name and note it. */
int
mpt_part_done(struct put *p, const struct cksum *ck, struct err *e)
{
    struct part_done d = { .p = p };
    struct upload   *u = NULL;
    int              rc;

    if (p->fd < 0) /* an empty part */
        return err_set(e, AIS_E_INVAL, "%.*s: a part cannot be empty", STR_FMT(p->name));
    rc = upload_hold(p->s, &p->bck, p->name, str_z(p->part_id), &u, e);
    if (rc < 0)
        return rc;
    offload(part_done_blocking, &d);
    if (d.rc == 0)
        note_part(u, p, ck);
    upload_leave(p->s, u);
    return d.rc < 0 ? err_set(e, -d.rc, "%.*s: cannot store part %u: %s", STR_FMT(p->name), p->part_num, err_text(d.rc)) : 0;
}

static void
remove_parts(void *arg)
{
    struct upload *u = arg;

    for (unsigned i = 0; i < u->n; i++)
        if (u->parts[i].path != NULL)
            (void)unlink(u->parts[i].path);
}

int
mpt_abort(struct store *s, const struct bck *b, struct str name, struct str id, struct err *e)
{
    struct upload *u = NULL;
    int            rc = upload_hold(s, b, name, id, &u, e);

    if (rc < 0)
        return rc;
    offload(remove_parts, u);
    upload_drop(s, u);
    return 0;
}

/* The whole object's checksum, over all parts in order. */
struct whole_hash {
    struct upload  *u;
    enum cksum_type type;
    struct cksum    out;
    int             rc;
};

static void
hash_parts(void *arg)
{
    struct whole_hash *w = arg;
    struct cksum_run   h;
    size_t             cap = 256 * KIB;
    char              *buf = malloc(cap);

    w->rc = buf == NULL ? -AIS_E_NOMEM : cksum_init(&h, w->type);
    if (w->rc < 0) {
        free(buf);
        return;
    }
    for (unsigned i = 0; w->rc == 0 && i < w->u->n; i++) {
        auto_close int fd = open(w->u->parts[i].path, O_RDONLY | O_CLOEXEC);
        ssize_t        k = fd < 0 ? -1 : 1;

        while (k > 0 && (k = read(fd, buf, cap)) > 0)
            cksum_update(&h, buf, (size_t)k);
        if (k < 0)
            w->rc = err_from_errno(errno);
    }
    cksum_final(&h, &w->out);
    cksum_fini(&h);
    free(buf);
}

/* What was uploaded must be 1..n without a gap, and the client's list must name exactly that, in any order. */
static int
check_parts(const struct upload *u, const struct mpt_part_ref *parts, unsigned n, struct err *e)
{
    uint64_t seen[UFEST_MAX_CHUNKS / 64 + 1] = { 0 };

    if (u->n == 0)
        return err_set(e, AIS_E_INVAL, "multipart upload \"%s\": no chunks", u->id);
    for (unsigned i = 0; i < u->n; i++)
        if (u->parts[i].num != i + 1)
            return err_set(e, AIS_E_INVAL, "multipart upload \"%s\": part %u is missing", u->id, i + 1);
    if (n != u->n)
        return err_set(e, AIS_E_INVAL, "multipart upload \"%s\": partial completion is not allowed: requested %u parts, have %u",
                       u->id, n, u->n);
    for (unsigned k = 0; k < n; k++) {
        unsigned num = parts[k].num;

        if (num < 1 || num > n || (seen[num / 64] & (UINT64_C(1) << (num % 64))) != 0)
            return err_set(e, AIS_E_INVAL, "multipart upload \"%s\": parts must be exactly 1..%u: got %u at position %u", u->id,
                           n, num, k);
        seen[num / 64] |= UINT64_C(1) << (num % 64);
    }
    return 0;
}

int
mpt_complete(struct store *s, const struct bck *b, struct str name, struct str id, const struct mpt_part_ref *parts, unsigned n,
             struct obj **out, struct err *e)
{
    struct upload    *u = NULL;
    struct whole_hash w = { .type = b->cksum };
    struct put_attrs  attrs = { .length = -1 };
    struct ufest      man = { .id = id, .flags = UFEST_COMPLETED };
    struct cjob       j = { .op = COP_CHUNKED, .m = mpath_of(s, b, name), .b = b, .name = name, .fd = -1, .work = "",
                            .attrs = &attrs, .ufest = &man };
    int               rc;

    rc = upload_hold(s, b, name, id, &u, e);
    if (rc < 0)
        return rc;
    w.u = u;
    rc = check_parts(u, parts, n, e);
    if (rc == 0 && b->cksum != CKSUM_NONE) {
        offload(hash_parts, &w);
        rc = w.rc < 0 ? err_set(e, -w.rc, "cannot read the parts: %s", err_text(w.rc)) : 0;
    }
    if (rc < 0) {
        upload_leave(s, u);
        return rc;
    }
    man.created_ns = u->created;
    man.n = u->n;
    man.chunks = xcalloc(u->n, sizeof(*man.chunks));
    for (unsigned i = 0; i < u->n; i++) {
        man.chunks[i] = (struct uchunk){ .size = u->parts[i].size, .path = str_z(u->parts[i].path),
                                         .cksum = u->parts[i].cksum, .num = (uint16_t)u->parts[i].num };
        j.meta.size += u->parts[i].size;
    }
    j.meta.cksum = w.out;
    j.meta.ncustom = u->ncustom;
    for (unsigned i = 0; i < u->ncustom; i++)
        j.meta.custom[i] = u->custom[i];
    j.chunk1 = u->parts[0].path;
    j.atime_ns = clock_real();
    rc = commit_call(&j);
    free(man.chunks);
    if (rc < 0) {
        if (e != NULL)
            *e = j.e;
        upload_leave(s, u);
        return rc;
    }
    upload_drop(s, u);
    if (out != NULL)
        *out = j.out;
    else
        obj_close(j.out);
    return 0;
}

/* --- append --- */

struct handle {
    struct str      tid, path;
    enum cksum_type type;
    struct str      state; /* base64 */
};

static int
handle_parse(struct str h, struct handle *out, struct err *e)
{
    struct str f[4], rest = h;
    unsigned   n = 0;

    while (n < 4 && str_split(&rest, '|', &f[n]))
        n++;
    if (n != 4 || rest.p != NULL || !cksum_by_name(f[2], &out->type))
        return err_set(e, AIS_E_INVAL, "invalid APPEND handle: \"%.*s\"", STR_FMT(h));
    out->tid = f[0];
    out->path = f[1];
    out->state = f[3];
    return 0;
}

/* Only files that could be ours: in the bucket's work directory of one of our mountpaths, no way up. */
static struct mpath *
handle_mpath(struct store *s, const struct bck *b, struct str path)
{
    char dir[FQN_MAX];

    for (unsigned i = 0; i < s->n; i++) {
        int n = s->mpaths[i] == NULL ? -1 : layout_ct(s->mpaths[i]->path, b, CT_WORK, dir);

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

static int
state_load(struct handle *h, int fd, struct cksum_run *run)
{
    unsigned char raw[256];
    int           n;

    if (h->state.n > 0 && h->state.n <= 256 && h->state.n % 4 == 0) {
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
handle_make(struct store *s, const char *work, struct cksum_run *run)
{
    unsigned char raw[128], b64[200] = "";
    size_t        n = 0;

    if (cksum_save(run, raw, sizeof(raw), &n) == 0)
        EVP_EncodeBlock(b64, raw, (int)n);
    return xasprintf("%s|%s|%s|%s", s->node_id, work, cksum_name(run->type), b64);
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
        rc = state_load(&h, a->fd, a->run);
    return rc < 0 ? err_set(e, -rc, "APPEND handle: %s", err_text(rc)) : 0;
}

int
append_data(struct store *s, const struct bck *b, struct str name, struct str handle, body_f *body, void *ctx,
            char **out_handle, struct err *e)
{
    struct cksum_run run = { .type = CKSUM_NONE };
    struct appending a = { .fd = -1, .run = &run, .e = e };
    struct store_cap cap;
    char            *buf = malloc(64 * KIB), work[FQN_MAX];
    ssize_t          n = 0;
    int              rc;

    if (buf == NULL || store_oos(s, &cap)) {
        free(buf);
        return err_set(e, AIS_E_NOSPACE, "out of space or memory");
    }
    rc = handle.n == 0 ? append_start(s, b, name, work, &a, e) : append_resume(s, b, handle, work, &a, e);
    while (rc == 0 && (n = body(ctx, buf, 64 * KIB)) > 0)
        rc = append_piece(&a, buf, (size_t)n);
    if (rc == 0 && n < 0)
        rc = err_fill(e, (int)n);
    if (rc == 0)
        *out_handle = handle_make(s, work, &run);
    else if (handle.n == 0 && a.fd >= 0)
        (void)disk_unlink(work);
    cksum_fini(&run);
    disk_close(&a.fd);
    free(buf);
    return rc;
}

int
append_flush(struct store *s, const struct bck *b, struct str name, struct str handle, const struct cksum *expect,
             struct err *e)
{
    struct cksum_run run = { .type = CKSUM_NONE };
    struct appending a = { .fd = -1, .run = &run, .e = e };
    struct put_attrs attrs = { .length = -1 };
    char             work[FQN_MAX];
    struct cjob      j = { .op = COP_PUT, .b = b, .name = name, .work = work, .attrs = &attrs };
    int              rc;

    if (handle.n == 0)
        return err_set(e, AIS_E_INVAL, "missing APPEND handle");
    rc = append_resume(s, b, handle, work, &a, e);
    if (rc == 0) {
        cksum_final(&run, &j.meta.cksum);
        j.meta.size = a.off;
        if (expect->type != CKSUM_NONE) {
            struct cksum     got = j.meta.cksum;
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
    j.fd = a.fd;
    j.atime_ns = clock_real();
    rc = commit_call(&j);
    fd_close(&j.fd);
    obj_close(j.out);
    if (rc < 0 && e != NULL)
        *e = j.e;
    return rc;
}
