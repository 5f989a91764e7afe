/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multipart uploads. jobs-and-services.md 5, native-api.md 4.9.
 *
 * An upload lives in memory and in a log beside the index of its object's mountpath, which is read again when the bucket is adopted:
 * an acknowledged part outlives the process. Runs on: fibers.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"
#include "run/disk.h"
#include "store/store_impl.h"
#include "store/uplog.h"

struct part {
    unsigned     num;
    uint64_t     size;
    struct cksum cksum;
    char        *path;
};

struct upload {
    struct hnode  node;
    struct mpath *m;     /* where its log lies */
    char          id[40];
    uint64_t      bid;
    struct str    name;
    struct part  *parts; /* sorted by number */
    unsigned      n, cap;
    unsigned      ncustom;
    struct kv     custom[LMETA_MAX_CUSTOM];
    struct arena *arena; /* name, custom */
    int64_t       created;
    struct cksum  expect; /* of the whole content, by the client: compared at completion; not in the log */
};

/*
 * Whoever gives parts their names, completes or aborts holds the upload (its id, as a name of no bucket): a part that comes late
 * must not replace a chunk of the completed object, and two of the same number must leave the file and the note of the same one.
 */
#define UPLOADS_BID UINT64_MAX

static void
upload_free(struct upload *u)
{
    for (unsigned i = 0; i < u->n; i++)
        free(u->parts[i].path);
    free(u->parts);
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

static uint64_t
id_hash(struct str id)
{
    return hash_bytes(id.p, id.n, 7);
}

static struct upload *
find_locked(struct store *s, const struct bck *b, struct str name, struct str id)
{
    uint64_t h = id_hash(id);

    for (struct hnode *n = hmap_first(&s->uploads, h); n != NULL; n = hmap_next_same(n, h)) {
        struct upload *u = CONTAINER_OF(n, struct upload, node);

        if (str_eqz(id, u->id) && u->bid == b->bid && str_eq(name, u->name))
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

/* Wait until the upload is ours alone. -AIS_E_NOENT: there is none, or no longer. May park. */
static int
upload_hold(struct store *s, const struct bck *b, struct str name, struct str id, struct nhold *h, struct upload **out,
            struct err *e)
{
    int rc = nlock(&s->names, UPLOADS_BID, id, true, h);

    if (rc < 0)
        return err_set(e, -rc, "multipart upload \"%.*s\": %s", STR_FMT(id), err_text(rc));
    pthread_mutex_lock(&s->up_mtx);
    *out = find_locked(s, b, name, id);
    pthread_mutex_unlock(&s->up_mtx);
    if (*out != NULL)
        return 0;
    nunlock(&s->names, h);
    return no_upload(b, name, id, e);
}

/* The holder ends the upload; who waits for it learns that it is gone. */
static void
upload_drop(struct store *s, struct upload *u, struct nhold *h)
{
    pthread_mutex_lock(&s->up_mtx);
    hmap_del(&s->uploads, &u->node);
    pthread_mutex_unlock(&s->up_mtx);
    nunlock(&s->names, h);
    upload_free(u);
}

static struct upload *
upload_new(struct mpath *m, uint64_t bid, struct str name, const struct kv *custom, unsigned ncustom)
{
    struct upload *u = xcalloc(1, sizeof(*u));

    u->m = m;
    u->bid = bid;
    u->expect.type = CKSUM_NONE;
    u->arena = arena_new(256, 2 * MIB);
    u->name = arena_str(u->arena, name);
    for (unsigned i = 0; i < ncustom && i < LMETA_MAX_CUSTOM; i++)
        u->custom[u->ncustom++] = (struct kv){ arena_str(u->arena, custom[i].k), arena_str(u->arena, custom[i].v) };
    return u;
}

static void
upload_add(struct store *s, struct upload *u)
{
    pthread_mutex_lock(&s->up_mtx);
    hmap_add(&s->uploads, &u->node, id_hash(str_z(u->id)));
    pthread_mutex_unlock(&s->up_mtx);
}

/* Note a part that has its file; up_mtx held, or nobody else knows the upload. */
static void
part_note(struct upload *u, unsigned num, uint64_t size, const struct cksum *ck, struct str path)
{
    unsigned i = 0;

    while (i < u->n && u->parts[i].num < num)
        i++;
    if (i == u->n || u->parts[i].num != num) {
        if (u->n == u->cap) {
            u->cap = MAX(u->cap * 2, 8u);
            u->parts = xrealloc(u->parts, u->cap * sizeof(*u->parts));
        }
        memmove(&u->parts[i + 1], &u->parts[i], (u->n - i) * sizeof(*u->parts));
        u->parts[i] = (struct part){ .num = num };
        u->n++;
    }
    free(u->parts[i].path);
    u->parts[i].path = xstrndup(path.p, path.n);
    u->parts[i].size = size;
    u->parts[i].cksum = *ck;
}

/* --- the log --- */

#define UPLOADS_DIR "uploads"

static void
uplog_path(const struct mpath *m, const char *id, char out[400])
{
    snprintf(out, 400, "%s/" UPLOADS_DIR "/%s", m->store_dir, id);
}

static int
uplog_append(const struct mpath *m, const char *id, const struct uprec *r, int flags, bool durable)
{
    char           path[400];
    struct sbuf    b;
    auto_close int fd = -1;
    int            rc;

    FAIL_POINT("upload.log", return failpoint_error(-AIS_E_IO));
    uplog_path(m, id, path);
    sbuf_init(&b, 2 * SIDE_MAX);
    uprec_encode(r, &b);
    rc = !sbuf_ok(&b) ? -AIS_E_NOMEM : flags & O_CREAT ? mkdirs_parent(path) : 0;
    if (rc == 0) {
        fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | flags, 0600);
        rc = fd < 0 ? err_from_errno(errno) : write_all(fd, b.p, b.n);
    }
    if (rc == 0 && durable && fdatasync(fd) < 0)
        rc = err_from_errno(errno);
    sbuf_fini(&b);
    return rc;
}

struct log_new {
    struct upload    *u;
    const struct bck *b;
    int               rc;
};

static void
log_new_blocking(void *arg)
{
    struct log_new *l = arg;
    struct uprec    r = { .kind = UPREC_HEAD, .bid = l->u->bid, .created_ns = l->u->created, .name = l->u->name };
    struct sbuf     side;

    sbuf_init(&side, SIDE_MAX);
    side_encode(l->u->custom, l->u->ncustom, &side);
    r.custom = sbuf_str(&side);
    l->rc = uplog_append(l->u->m, l->u->id, &r, O_CREAT | O_EXCL, l->b->durable);
    sbuf_fini(&side);
}

static void
uplog_remove(const struct upload *u)
{
    char path[400];

    uplog_path(u->m, u->id, path);
    (void)unlink(path);
}

/* A part of the log, if its file is there and whole. */
static void
part_again(struct upload *u, const struct uprec *r)
{
    auto_free char *path = xstrndup(r->path.p, r->path.n);
    struct stat     st;

    if (stat(path, &st) == 0 && (uint64_t)st.st_size == r->size)
        part_note(u, r->num, r->size, &r->cksum, r->path);
}

/* The upload that a log tells of; NULL when it is of another bucket or unreadable. */
static struct upload *
upload_again(struct mpath *m, uint64_t bid, const char *id, struct str log)
{
    struct kv     *custom = xcalloc(LMETA_MAX_CUSTOM, sizeof(*custom));
    struct upload *u = NULL;
    struct uprec   r;
    unsigned       n;

    if (uprec_next(&log, &r) && r.kind == UPREC_HEAD && r.bid == bid && strlen(id) < sizeof(u->id) &&
        side_decode(r.custom.p, r.custom.n, custom, &n) == 0) {
        u = upload_new(m, bid, r.name, custom, n);
        u->created = r.created_ns;
        memcpy(u->id, id, strlen(id));
        while (uprec_next(&log, &r))
            if (r.kind == UPREC_PART)
                part_again(u, &r);
    }
    free(custom);
    return u;
}

/*
 * Was the upload completed, and only its log is left? The process went down before the log was removed, or the removal was lost with
 * the power. Its parts are the object's chunks now: nobody may replace or remove them.
 */
static bool
is_completed(const struct upload *u, const struct bck *b)
{
    struct obj *o;
    bool        is = false;

    if (obj_load(u->m, b, u->name, false, &o, NULL) < 0)
        return false;
    for (unsigned i = 1; i < o->info.nchunks && !is; i++)
        for (unsigned k = 0; k < u->n && !is; k++)
            is = strcmp(o->chunks[i].path, u->parts[k].path) == 0;
    obj_close(o);
    return is;
}

struct recovering {
    struct store     *s;
    const struct bck *b;
    struct mpath     *m;
};

static void
recover_blocking(void *arg)
{
    struct recovering *r = arg;
    char               dir[400], path[700];
    DIR               *d;
    struct dirent     *de;

    snprintf(dir, sizeof(dir), "%s/" UPLOADS_DIR, r->m->store_dir);
    d = opendir(dir);
    while (d != NULL && (de = readdir(d)) != NULL) {
        struct upload *u;
        char          *p;
        size_t         n;

        snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
        if (de->d_name[0] == '.' || file_slurp(path, 64 * MIB, &p, &n) < 0)
            continue;
        u = upload_again(r->m, r->b->bid, de->d_name, str_from(p, n));
        if (u != NULL && is_completed(u, r->b)) {
            if (u->parts[0].num == 1)
                (void)unlink(u->parts[0].path); /* a second name of the object's file */
            uplog_remove(u);
            upload_free(u);
        } else if (u != NULL) {
            upload_add(r->s, u);
        }
        free(p);
    }
    if (d != NULL)
        closedir(d);
}

int
mpt_recover(struct store *s, const struct bck *b, struct mpath *m)
{
    struct recovering r = { .s = s, .b = b, .m = m };

    if (!atomic_load(&m->adopted))
        offload(recover_blocking, &r);
    return 0;
}

static void
make_id(char id[40])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    uint64_t          r = 0;

    for (int i = 0; i < 12; i++, r /= sizeof(letters) - 1) {
        if (i % 6 == 0)
            r = rand_u64();
        id[i] = letters[r % (sizeof(letters) - 1)];
    }
}

int
mpt_create(struct store *s, const struct bck *b, struct str name, const struct put_attrs *a, char id[40], struct err *e)
{
    struct mpath  *m = mpath_of(s, b, name);
    struct log_new l = { .b = b };
    char           path[FQN_MAX];

    if (m == NULL)
        return err_set(e, AIS_E_IO, "no mountpaths are available");
    if (a->ncustom >= LMETA_MAX_CUSTOM)
        return err_set(e, AIS_E_TOOBIG, "%.*s: more than %d custom metadata entries", STR_FMT(name), LMETA_MAX_CUSTOM - 1);
    if (custom_ours(a->custom, a->ncustom, name, e) < 0)
        return -AIS_E_INVAL;
    l.u = upload_new(m, b->bid, name, a->custom, a->ncustom);
    make_id(l.u->id);
    l.u->created = clock_real();
    l.u->expect = a->expect;
    if (layout_part(m->path, b, name, str_z(l.u->id), 1, path) < 0)
        l.rc = -AIS_E_INVAL;
    else
        offload(log_new_blocking, &l);
    if (l.rc < 0) {
        upload_free(l.u);
        mpath_trouble(m, l.rc);
        return err_set(e, -l.rc, "%.*s: cannot begin an upload: %s", STR_FMT(name), err_text(l.rc));
    }
    memcpy(id, l.u->id, sizeof(l.u->id));
    upload_add(s, l.u);
    return 0;
}

struct mpath *
part_mpath(struct store *s, const struct bck *b, struct str name, struct str id, unsigned num)
{
    char key[64];
    int  n;

    if (num == 1)
        return mpath_of(s, b, name);
    n = snprintf(key, sizeof(key), "%.*s%04u", STR_FMT(id), num);
    return mpath_of_digest(s, hrw_digest(key, (size_t)n));
}

int
mpt_part(struct store *s, const struct bck *b, struct str name, struct str id, unsigned num, const struct put_attrs *a,
         struct put **out, struct err *e)
{
    char             path[FQN_MAX];
    struct mpath    *m;
    struct put      *p;
    bool             known;
    struct store_cap cap;

    pthread_mutex_lock(&s->up_mtx);
    known = find_locked(s, b, name, id) != NULL;
    pthread_mutex_unlock(&s->up_mtx);
    if (!known)
        return no_upload(b, name, id, e);
    if (num < 1 || num > UFEST_MAX_CHUNKS)
        return err_set(e, AIS_E_INTERNAL, "chunk-manifest[%s://%.*s/%.*s, id=%.*s]: invalid chunk number (%u)",
                       provider_scheme(b->provider), STR_FMT(b->name), STR_FMT(name), STR_FMT(id), num);
    if (store_oos(s, &cap))
        return err_set(e, AIS_E_NOSPACE, "%s", cap.err);
    m = part_mpath(s, b, name, id, num);
    if (m == NULL)
        return err_set(e, AIS_E_IO, "no mountpaths are available");
    if (layout_part(m->path, b, name, id, num, path) < 0)
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
    struct put          *p;
    const struct upload *u;
    const struct cksum  *ck;
    int                  rc;
};

/* Name, then log: what the log names is there. */
static void
part_done_blocking(void *arg)
{
    struct part_done *d = arg;
    struct put       *p = d->p;
    struct uprec      r = { .kind = UPREC_PART, .num = p->part_num, .size = p->size, .cksum = *d->ck, .path = str_z(p->part_path) };

    if (p->bck.durable && fdatasync(p->fd) < 0)
        d->rc = err_from_errno(errno);
    if (d->rc == 0)
        d->rc = mkdirs_parent(p->part_path);
    FAIL_POINT("part.rename", d->rc = failpoint_error(-AIS_E_IO));
    if (d->rc == 0 && rename(p->work, p->part_path) < 0)
        d->rc = err_from_errno(errno);
    if (d->rc == 0)
        d->rc = uplog_append(d->u->m, d->u->id, &r, 0, p->bck.durable);
}

/* The part's file is complete: give it its name and note it. */
int
mpt_part_done(struct put *p, const struct cksum *ck, struct err *e)
{
    struct part_done d = { .p = p, .ck = ck };
    struct store    *s = p->s;
    struct nhold     h;
    struct upload   *u;
    int              rc;

    if (p->size == 0)
        return err_set(e, AIS_E_INVAL, "%.*s: a part cannot be empty", STR_FMT(p->name));
    rc = upload_hold(s, &p->bck, p->name, str_z(p->part_id), &h, &u, e);
    if (rc < 0)
        return rc;
    d.u = u;
    offload(part_done_blocking, &d);
    if (d.rc == 0)
        part_note(u, p->part_num, p->size, ck, str_z(p->part_path));
    nunlock(&s->names, &h);
    if (d.rc == 0)
        return 0;
    mpath_trouble(p->m, d.rc);
    return err_set(e, -d.rc, "%.*s: cannot store part %u: %s", STR_FMT(p->name), p->part_num, err_text(d.rc));
}

struct removing {
    struct upload    *u;
    const struct bck *b;
};

/* Everything of an upload that will not be completed; also the manifest of a completion that failed. */
static void
remove_parts(void *arg)
{
    struct removing *r = arg;
    char             path[FQN_MAX];

    uplog_remove(r->u);
    for (unsigned i = 0; i < r->u->n; i++)
        (void)unlink(r->u->parts[i].path);
    if (layout_manifest(r->u->m->path, r->b, r->u->name, str_z(r->u->id), path) > 0)
        (void)unlink(path);
}

static void
remove_log(void *arg)
{
    FAIL_POINT("upload.unlog", return);
    uplog_remove(arg);
}

int
mpt_abort(struct store *s, const struct bck *b, struct str name, struct str id, struct err *e)
{
    struct removing r = { .b = b };
    struct nhold    h;
    int             rc = upload_hold(s, b, name, id, &h, &r.u, e);

    if (rc < 0)
        return rc;
    offload(remove_parts, &r);
    upload_drop(s, r.u, &h);
    return 0;
}

/* The id of an upload of the bucket; false when there is none. */
static bool
one_of(struct store *s, uint64_t bid, char id[40])
{
    bool is = false;

    pthread_mutex_lock(&s->up_mtx);
    for (struct hnode *n = hmap_iter(&s->uploads, NULL); n != NULL && !is; n = hmap_iter(&s->uploads, n)) {
        struct upload *u = CONTAINER_OF(n, struct upload, node);

        is = u->bid == bid;
        if (is)
            memcpy(id, u->id, sizeof(u->id));
    }
    pthread_mutex_unlock(&s->up_mtx);
    return is;
}

static struct upload *
by_id(struct store *s, const char *id)
{
    struct hnode *n;

    pthread_mutex_lock(&s->up_mtx);
    n = hmap_first(&s->uploads, id_hash(str_z(id)));
    pthread_mutex_unlock(&s->up_mtx);
    return n == NULL ? NULL : CONTAINER_OF(n, struct upload, node);
}

/* The bucket is gone, and the parts with it. */
void
mpt_drop_bck(struct store *s, uint64_t bid)
{
    struct nhold   h;
    struct upload *u;
    char           id[40];

    while (one_of(s, bid, id)) {
        if (nlock(&s->names, UPLOADS_BID, str_z(id), true, &h) < 0)
            return; /* cancelled; its log is of a bucket that nobody will adopt */
        u = by_id(s, id);
        if (u != NULL) {
            offload(remove_log, u);
            upload_drop(s, u, &h);
        } else {
            nunlock(&s->names, &h);
        }
    }
}

/* The whole object's checksum, over all parts in order. In durable mode they are brought to stable storage on the way. */
struct whole_hash {
    struct upload   *u;
    bool             durable;
    struct cksum_run h[2]; /* the bucket's type; the client's, when that is another one, else none */
    struct cksum     out[2];
    int              rc;
};

/* fsync: not only the bytes must be there after a power cut but also the name that the part got since they were synced. */
static int
hash_part(struct whole_hash *w, const struct part *p, char *buf, size_t cap)
{
    auto_close int fd = open(p->path, O_RDONLY | O_CLOEXEC);
    bool           hash = w->h[0].type != CKSUM_NONE || w->h[1].type != CKSUM_NONE;
    ssize_t        k = fd < 0 ? -1 : 1;
    uint64_t       n = 0;

    while (hash && k > 0 && (k = read(fd, buf, cap)) > 0) {
        cksum_update(&w->h[0], buf, (size_t)k);
        cksum_update(&w->h[1], buf, (size_t)k);
        n += (uint64_t)k;
    }
    if (k < 0 || (w->durable && fsync(fd) < 0))
        return err_from_errno(errno);
    return hash && n != p->size ? -AIS_E_IO : 0;
}

static void
hash_parts(void *arg)
{
    struct whole_hash *w = arg;
    size_t             cap = 256 * KIB;
    char              *buf = malloc(cap);

    w->rc = buf == NULL ? -AIS_E_NOMEM : 0;
    for (unsigned i = 0; w->rc == 0 && i < w->u->n; i++)
        w->rc = hash_part(w, &w->u->parts[i], buf, cap);
    free(buf);
}

/* out[0]: by the bucket's type. -AIS_E_CKSUM when the client told another checksum. May park. */
static int
whole_cksum(struct whole_hash *w, enum cksum_type type, struct err *e)
{
    const struct cksum *expect = &w->u->expect, *got;
    bool                two = expect->type != CKSUM_NONE && expect->type != type;
    int                 rc = cksum_init(&w->h[0], type);

    if (rc == 0) {
        rc = cksum_init(&w->h[1], two ? expect->type : CKSUM_NONE);
        if (rc < 0)
            cksum_fini(&w->h[0]);
    }
    if (rc < 0)
        return err_set(e, -rc, "cannot read the parts: %s", err_text(rc));
    if (type != CKSUM_NONE || two || w->durable)
        offload(hash_parts, w);
    for (int i = 0; i < 2; i++) {
        cksum_final(&w->h[i], &w->out[i]);
        cksum_fini(&w->h[i]);
    }
    if (w->rc < 0)
        return err_set(e, -w->rc, "cannot read the parts: %s", err_text(w->rc));
    got = &w->out[two];
    if (expect->type != CKSUM_NONE && !cksum_eq(got, expect))
        return err_set(e, AIS_E_CKSUM, "BAD DATA CHECKSUM: %s(%s != %s)", cksum_name(got->type), expect->value, got->value);
    return 0;
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

/* One commit: manifest and metadata from what is known of the parts. */
static int
complete(struct store *s, const struct bck *b, struct upload *u, const struct cksum *whole, const struct put_attrs *a, struct obj **out,
         struct err *e)
{
    struct lmeta                  meta = { .cksum = *whole };
    struct ufest                  man = { .id = str_z(u->id), .flags = UFEST_COMPLETED, .created_ns = u->created, .n = u->n };
    struct cjob                   j = { .op = COP_CHUNKED, .m = mpath_of(s, b, u->name), .b = b, .name = u->name, .fd = -1,
                                        .work = u->parts[0].path, .attrs = a, .ufest = &man, .meta = &meta };
    int                           rc;

    if (j.m == NULL)
        return err_set(e, AIS_E_IO, "no mountpaths are available");
    lmeta_clear(&meta);
    man.chunks = xcalloc(u->n, sizeof(*man.chunks));
    for (unsigned i = 0; i < u->n; i++) {
        man.chunks[i] = (struct uchunk){ .size = u->parts[i].size, .path = str_z(u->parts[i].path),
                                         .cksum = u->parts[i].cksum, .num = (uint16_t)u->parts[i].num };
        meta.size += u->parts[i].size;
    }
    meta.ncustom = u->ncustom;
    memcpy(meta.custom, u->custom, u->ncustom * sizeof(u->custom[0]));
    if (a->from_peer)
        meta.cksum = a->expect;
    j.atime_ns = a->atime_ns != 0 ? a->atime_ns : clock_real();
    rc = commit_locked(&j, e);
    free(man.chunks);
    if (rc == 0 && out != NULL)
        *out = j.out;
    else
        obj_close(j.out);
    return rc;
}

int
mpt_complete_as(struct store *s, const struct bck *b, struct str name, struct str id, const struct mpt_part_ref *parts, unsigned n,
                const struct put_attrs *a, struct obj **out, struct err *e)
{
    struct upload    *u;
    struct nhold      h;
    struct whole_hash w = { .durable = b->durable };
    int               rc = upload_hold(s, b, name, id, &h, &u, e);

    if (rc < 0)
        return rc;
    w.u = u;
    rc = check_parts(u, parts, n, e);
    if (rc == 0)
        rc = whole_cksum(&w, b->cksum, e);
    if (rc == 0)
        rc = complete(s, b, u, &w.out[0], a, out, e);
    if (rc < 0) {
        nunlock(&s->names, &h);
        return rc;
    }
    offload(remove_log, u);
    upload_drop(s, u, &h);
    return 0;
}

int
mpt_complete(struct store *s, const struct bck *b, struct str name, struct str id, const struct mpt_part_ref *parts, unsigned n,
             struct obj **out, struct err *e)
{
    static const struct put_attrs plain = { .length = -1 };

    return mpt_complete_as(s, b, name, id, parts, n, &plain, out, e);
}
