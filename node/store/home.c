/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One name brought to the mountpath that HRW says: copied, verified on the way, committed there with its generation; then, when that is on
 * stable storage, removed where it was. In between both have it, of the same generation, and the one at home counts; after a crash
 * there are one or both, never none. README.md, "Resilver".
 *
 * Chunks of a chunked object may lie on any mountpath that stays (the manifest says where): only those on one that leaves are copied.
 *
 * Runs on: threads that may block, for a caller that holds the name exclusively.
 */
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
#include "store/store_impl.h"

/* --- bytes --- */

static int
copy_bytes(struct homing *h, int from, int to, uint64_t size, struct cksum_run *run)
{
    uint64_t off = 0;

    FAIL_POINT("home.copy", return failpoint_error(-AIS_E_IO));
    while (off < size) {
        ssize_t k = pread(from, h->buf, (size_t)MIN((uint64_t)HOME_BUF, size - off), (off_t)off);

        if (h->stop != NULL && atomic_load(h->stop))
            return -AIS_E_CANCELED;
        if (k <= 0)
            return k < 0 ? err_from_errno(errno) : -AIS_E_CORRUPT;
        cksum_update(run, h->buf, (size_t)k);
        if (write_all(to, h->buf, (size_t)k) < 0)
            return err_from_errno(errno == 0 ? EIO : errno);
        off += (uint64_t)k;
    }
    h->bytes += size;
    return 0;
}

int
home_copy(struct homing *h, int from, int to, uint64_t size, const struct cksum *want)
{
    struct cksum_run run;
    struct cksum     got;
    int              rc = cksum_init(&run, want->type);

    if (rc < 0)
        return rc;
    rc = copy_bytes(h, from, to, size, &run);
    cksum_final(&run, &got);
    cksum_fini(&run);
    return rc == 0 && want->type != CKSUM_NONE && !cksum_eq(&got, want) ? -AIS_E_CKSUM : rc;
}

/* An unnamed file of m, or a work file (*work: its name, malloc'd). */
static int
file_new(struct mpath *m, const struct bck *b, struct str name, bool named, char **work)
{
    char path[FQN_MAX];
    int  fd;

    *work = NULL;
    if (m->tmpfile && !named) {
        if (layout_ct(m->path, b, CT_WORK, path) < 0)
            return -AIS_E_INVAL;
        fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
    } else {
        work_name(m, b, "copy", name, path);
        fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
        if (fd >= 0)
            *work = xstrdup(path);
    }
    return fd < 0 ? err_from_errno(errno) : fd;
}

static bool
fits(const struct mpath *m, uint64_t size)
{
    return size + 64 * MIB / 4 <= atomic_load(&m->avail) || size + (atomic_load(&m->total) >> 6) <= atomic_load(&m->avail);
}

/* --- metadata --- */

struct carry {
    struct homing    *h;
    const struct bck *b;
    struct str        name;
    struct mpath     *from, *home;
    struct obj       *o;     /* as it lies on `from` */
    struct objmeta   *om;    /* its metadata */
    struct arena     *mem;
    struct bck        quick; /* the bucket, without a flush for each object: one comes before the source goes */
    struct put_attrs  attrs;
};

/* The long name is the business of the new place; copies lie where they were, but for one that had just that name. */
static void
adapt_meta(struct carry *c)
{
    struct lmeta *m = &c->om->meta;
    char          to[FQN_MAX];
    unsigned      n = 0, k = 0;

    for (unsigned i = 0; i < m->ncustom; i++)
        if (!str_eqz(m->custom[i].k, ORIG_NAME))
            m->custom[n++] = m->custom[i];
    m->ncustom = n;
    m->lid &= ~(LID_LONG | LID_CHUNKED);
    if (m->ncopies == 0 || layout_obj(c->home->path, c->b, CT_OBJ, c->name, to) < 0)
        return;
    for (unsigned i = 0; i < m->ncopies; i++)
        if (!str_eqz(m->copies[i], to) && !str_eqz(m->copies[i], c->o->fqn))
            m->copies[k++] = m->copies[i];
    m->copies[k++] = arena_str(c->mem, str_z(to));
    m->ncopies = k > 1 ? k : 0;
}

static int
carry_meta(struct carry *c, int fd)
{
    int rc = meta_load(c->from, c->b, fd, c->om);

    if (rc < 0)
        return rc;
    adapt_meta(c);
    c->quick = *c->b;
    c->quick.durable = false;
    c->attrs = (struct put_attrs){ .length = (int64_t)c->o->info.size, .from_peer = true, .gen = c->o->info.gen,
                                   .version = c->o->info.version, .mtime_ns = c->o->info.mtime_ns,
                                   .atime_ns = obj_info_atime(&c->o->info) };
    return 0;
}

static struct cjob
carry_job(struct carry *c, enum cop op)
{
    return (struct cjob){ .op = op, .m = c->home, .b = &c->quick, .name = c->name, .fd = -1, .attrs = &c->attrs, .meta = &c->om->meta,
                          .atime_ns = c->attrs.atime_ns, .peer = true, .home = true };
}

static int
carry_commit(struct carry *c, struct cjob *j)
{
    int rc;

    FAIL_POINT("home.commit", return failpoint_error(-AIS_E_IO));
    rc = commit_call(j);
    fd_close(&j->fd);
    obj_close(j->out);
    c->h->to |= 1ULL << c->home->idx;
    return rc;
}

/* --- an object that is one file --- */

static int
carry_whole(struct carry *c)
{
    struct cjob     j = { .fd = -1 };
    auto_free char *work = NULL;
    int             from = atomic_load(&c->o->fd), to, rc;

    if (!fits(c->home, c->o->info.size))
        return -AIS_E_NOSPACE;
    rc = carry_meta(c, from);
    if (rc < 0)
        return rc;
    to = file_new(c->home, c->b, c->name, false, &work);
    if (to < 0)
        return to;
    rc = home_copy(c->h, from, to, c->o->info.size, &c->o->info.cksum);
    if (rc == 0) {
        j = carry_job(c, COP_PUT);
        j.fd = to;
        j.work = work;
        rc = carry_commit(c, &j);
    } else {
        fd_close(&to);
    }
    if (rc < 0 && work != NULL)
        (void)unlink(work);
    return rc;
}

/* --- a chunked one --- */

static const struct mpath *
mpath_of_path(struct store *s, struct str path)
{
    for (unsigned i = 0; i < s->n; i++) {
        struct mpath *m = s->mpaths[i];
        size_t        n = strlen(m->path);

        if (str_starts(path, str_z(m->path)) && path.n > n && path.p[n] == '/')
            return m;
    }
    return NULL;
}

/* May a chunk stay where it is? */
static bool
stays(struct store *s, struct str path)
{
    const struct mpath *m = mpath_of_path(s, path);

    return m != NULL && atomic_load(&m->state) == MPATH_OK;
}

static bool
chunks_stay(struct store *s, const struct obj *o)
{
    for (unsigned i = 1; i < o->info.nchunks; i++)
        if (!stays(s, str_z(o->chunks[i].path)))
            return false;
    return true;
}

/* The manifest, whole: the object knows only part of it. The image is in the arena. */
static int
manifest_load(struct carry *c, struct ufest *u)
{
    char   path[FQN_MAX], *image = NULL, *copy;
    size_t n = 0;
    int    rc = -AIS_E_NOENT;

    if (c->o->staged != NULL)
        rc = file_slurp(c->o->staged, 16 * MIB, &image, &n);
    for (int hashed = 0; rc == -AIS_E_NOENT && hashed < 2; hashed++)
        if (layout_aux(c->from->path, c->b, CT_UFEST, c->name, hashed != 0, path) > 0)
            rc = file_slurp(path, 16 * MIB, &image, &n);
    if (rc < 0)
        return rc == -AIS_E_NOENT ? -AIS_E_CORRUPT : rc;
    copy = arena_alloc(c->mem, n);
    if (copy != NULL) {
        memcpy(copy, image, n);
        rc = ufest_decode(c->mem, copy, n, u);
    }
    free(image);
    return copy == NULL ? -AIS_E_NOMEM : rc == 0 && u->n != c->o->info.nchunks ? -AIS_E_CORRUPT : rc;
}

static int
copy_chunk(struct carry *c, struct mpath *m, const char *from, const struct uchunk *u, int to)
{
    auto_close int fd = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return err_from_errno(errno);
    if (!fits(m, u->size))
        return -AIS_E_NOSPACE;
    return home_copy(c->h, fd, to, u->size, &u->cksum);
}

/* To where chunks of that number go now; the old one is left for its time. */
static int
carry_chunk(struct carry *c, const struct ufest *man, struct uchunk *u)
{
    struct mpath   *m = part_mpath(c->h->s, c->b, c->name, man->id, u->num);
    auto_free char *from = xstrndup(u->path.p, u->path.n), *work = NULL;
    char            path[FQN_MAX];
    int             fd, rc;

    if (m == NULL || layout_part(m->path, c->b, c->name, man->id, u->num, path) < 0)
        return -AIS_E_INVAL;
    fd = file_new(m, c->b, c->name, true, &work);
    if (fd < 0)
        return fd;
    rc = copy_chunk(c, m, from, u, fd);
    fd_close(&fd);
    if (rc == 0)
        rc = mkdirs_parent(path);
    if (rc == 0 && rename(work, path) < 0)
        rc = err_from_errno(errno);
    if (rc < 0) {
        (void)unlink(work);
        return rc;
    }
    u->path = str_z(arena_strdup(c->mem, str_z(path)));
    c->h->to |= 1ULL << m->idx;
    return 0;
}

/* The first chunk has the object's name and metadata: as a work file, for the commit to name. */
static int
carry_first(struct carry *c, const struct uchunk *u, char **work)
{
    char path[FQN_MAX];
    int  fd, rc;

    if (c->from == c->home) { /* the file itself stays */
        work_name(c->home, c->b, "copy", c->name, path);
        *work = xstrdup(path);
        return link(c->o->fqn, path) < 0 ? err_from_errno(errno) : 0;
    }
    fd = file_new(c->home, c->b, c->name, true, work);
    if (fd < 0)
        return fd;
    rc = copy_chunk(c, c->home, c->o->fqn, u, fd);
    fd_close(&fd);
    return rc;
}

static int
carry_chunked(struct carry *c)
{
    struct ufest    man;
    struct cjob     j;
    auto_free char *work = NULL;
    int             rc = carry_meta(c, c->o->chunks[0].fd);

    if (rc == 0)
        rc = manifest_load(c, &man);
    for (unsigned i = 1; rc == 0 && i < man.n; i++)
        if (!stays(c->h->s, man.chunks[i].path))
            rc = carry_chunk(c, &man, &man.chunks[i]);
    if (rc < 0)
        return rc;
    rc = carry_first(c, &man.chunks[0], &work);
    if (rc == 0) {
        j = carry_job(c, COP_CHUNKED);
        j.work = work;
        j.ufest = &man;
        rc = carry_commit(c, &j);
    }
    if (rc < 0 && work != NULL)
        (void)unlink(work);
    return rc;
}

static int
carry(struct homing *h, const struct bck *b, struct str name, struct mpath *from, struct mpath *home, struct obj *o)
{
    struct carry c = { .h = h, .b = b, .name = name, .from = from, .home = home, .o = o };
    int          rc;

    c.om = calloc(1, sizeof(*c.om));
    if (c.om == NULL)
        return -AIS_E_NOMEM;
    c.mem = arena_new(4096, 64 * MIB);
    rc = o->info.nchunks > 0 ? carry_chunked(&c) : carry_whole(&c);
    meta_free(c.om);
    free(c.om);
    arena_free(c.mem);
    return rc;
}

/* --- rows without files: tombstones, and stubs of what is another target's --- */

struct row_job {
    const struct bck *b;
    struct str        name, value;
};

static int
row_put_on(struct cjob *c)
{
    struct row_job *j = c->arg;
    struct ientry   en;
    int             rc = ientry_decode(j->value.p, j->value.n, &en);

    c->m->dirty = true;
    atomic_store(&c->m->moved, true);
    return rc < 0 ? rc : rows_put(c->m->rows, j->b->bid, j->name, &en);
}

static int
carry_row(struct homing *h, const struct bck *b, struct str name, const struct found *f, struct mpath *home)
{
    struct cjob    j = { .op = COP_TOMB, .m = home, .b = b, .name = name, .only = &f->gen, .peer = true, .home = true, .fd = -1 };
    struct row_job r = { .b = b, .name = name, .value = sbuf_str(&f->row) };
    int            rc;

    h->to |= 1ULL << home->idx;
    if (f->state == OBJ_MOVED)
        return commit_fn(home, row_put_on, &r);
    rc = f->gen.counter == 0 ? commit_fn(home, row_put_on, &r) : commit_call(&j);
    obj_close(j.out);
    return rc;
}

/* A row without a file. */
static int
row_forget_on(struct cjob *c)
{
    struct row_job *j = c->arg;

    return row_follow(c->m, j->b, j->name);
}

/* --- bringing --- */

/* 1: look again. */
static int
bring_object(struct homing *h, const struct bck *b, struct str name, const struct found *f, struct mpath *home, bool *brought)
{
    struct row_job r = { .b = b, .name = name };
    struct obj    *o;
    int            rc = obj_load(f->m, b, name, true, &o, NULL);

    if (rc == -AIS_E_NOOBJ) {
        rc = commit_fn(f->m, row_forget_on, &r);
        return rc < 0 ? rc : 1;
    }
    if (rc < 0)
        return rc;
    *brought = f->m != home || !chunks_stay(h->s, o);
    rc = *brought ? carry(h, b, name, f->m, home, o) : 0;
    obj_close(o);
    return rc;
}

int
home_bring(struct homing *h, const struct bck *b, struct str name, bool *brought)
{
    struct mpath *home = mpath_of(h->s, b, name);
    struct found  f;
    int           rc = 1;

    *brought = false;
    if (home == NULL)
        return -AIS_E_UNAVAIL;
    for (int i = 0; i < MAX_MPATHS && rc == 1; i++) {
        rc = where_is(h->s, b, name, &f);
        if (rc == 0 && f.state == OBJ_HERE) {
            rc = bring_object(h, b, name, &f, home, brought);
        } else if (rc == 0 && f.m != NULL && f.m != home) {
            *brought = true;
            rc = carry_row(h, b, name, &f, home);
        }
        sbuf_fini(&f.row);
    }
    h->to |= 1ULL << home->idx; /* whatever is there is on stable storage before something goes elsewhere */
    return rc == 1 ? -AIS_E_CORRUPT : rc;
}

bool
home_needs(struct homing *h, const struct bck *b, struct str name, const struct ientry *en, struct mpath *m)
{
    struct obj *o;
    bool        needs = false;

    if (row_state(en) == OBJ_PASSED)
        return false;
    if (mpath_of(h->s, b, name) != m)
        return true;
    if (!(en->flags & IENT_CHUNKED) || row_state(en) != OBJ_HERE || obj_load(m, b, name, false, &o, NULL) < 0)
        return false;
    needs = !chunks_stay(h->s, o);
    obj_close(o);
    return needs;
}

/* --- leaving --- */

struct leaving {
    struct homing    *h;
    const struct bck *b;
    struct str        name;
    struct found     *f;
};

static bool
has_chunk(const struct obj *o, const char *path)
{
    for (unsigned i = 1; o != NULL && i < o->info.nchunks; i++)
        if (strcmp(o->chunks[i].path, path) == 0)
            return true;
    return false;
}

/* seg_mtx is held. Chunks that the object at home has, too, stay. */
static void
leave_parts(struct mpath *m, struct leaving *l, const struct obj *o)
{
    struct obj *now = NULL;
    char        path[FQN_MAX];
    uint64_t    key = parts_key(o);

    if (l->f->state == OBJ_HERE && o->info.nchunks > 0 && obj_load(l->f->m, l->b, l->name, false, &now, NULL) < 0)
        return; /* nobody knows which chunks are whose */
    for (unsigned i = 1; i < o->info.nchunks; i++)
        if (!has_chunk(now, o->chunks[i].path))
            later_add(m, o->chunks[i].path, NULL, key);
    if (o->staged != NULL)
        later_add(m, o->staged, NULL, 0);
    for (int hashed = 0; o->info.nchunks > 0 && hashed < 2; hashed++)
        if (layout_aux(m->path, l->b, CT_UFEST, l->name, hashed != 0, path) > 0)
            later_add(m, path, NULL, 0);
    if (o->side && layout_side(m->path, l->b, l->name, o->info.gen.counter, path) > 0)
        later_add(m, path, NULL, 0);
    obj_close(now);
}

static int
leave_file(struct mpath *m, struct leaving *l)
{
    struct obj *o;
    int         rc = obj_load(m, l->b, l->name, false, &o, NULL);

    if (rc == -AIS_E_NOOBJ)
        return 0;
    if (rc < 0)
        return rc;
    if (gen_cmp(&o->info.gen, &l->f->gen) > 0) /* newer than its row said: as of now it is not what was brought */
        rc = -AIS_E_CONFLICT;
    FAIL_POINT("home.unlink", rc = failpoint_error(-AIS_E_IO));
    if (rc == 0 && unlink(o->fqn) < 0 && errno != ENOENT)
        rc = err_from_errno(errno);
    if (rc == 0)
        leave_parts(m, l, o);
    obj_close(o);
    return rc;
}

/* Committer of the mountpath that is left. */
static int
leave_on(struct cjob *c)
{
    struct leaving *l = c->arg;
    struct ientry   en;
    struct sbuf     v;
    int             rc;

    sbuf_init(&v, 128 * KIB);
    rc = rows_get(c->m->rows, l->b->bid, l->name, &v);
    if (rc == 0)
        rc = ientry_decode(v.p, v.n, &en);
    if (rc == 0 && row_state(&en) != OBJ_PASSED && row_cmp(l->f->state, &l->f->gen, row_state(&en), &en.gen) >= 0) {
        rc = row_state(&en) == OBJ_HERE ? leave_file(c->m, l) : 0;
        if (rc == 0 && row_state(&en) == OBJ_TOMB) {
            rc = rows_del(c->m->rows, l->b->bid, l->name);
        } else if (rc == 0) {
            en.flags |= IENT_PASSED;
            rc = rows_put(c->m->rows, l->b->bid, l->name, &en);
        }
        c->m->dirty = true;
    }
    sbuf_fini(&v);
    return rc == -AIS_E_NOENT ? 0 : rc;
}

int
home_leave(struct homing *h, const struct bck *b, struct str name, struct mpath *from)
{
    struct found   f;
    struct leaving l = { .h = h, .b = b, .name = name, .f = &f };
    int            rc = where_is(h->s, b, name, &f);

    if (rc == 0 && f.m == NULL)
        rc = -AIS_E_AGAIN;
    if (rc == 0 && f.m != from)
        rc = commit_fn(from, leave_on, &l);
    sbuf_fini(&f.row);
    return rc;
}

/* --- for a change --- */

struct for_change {
    struct homing     h;
    const struct bck *b;
    struct str        name;
    int               rc;
};

static void
change_blocking(void *arg)
{
    struct for_change *c = arg;
    bool               brought;

    c->h.buf = malloc(HOME_BUF);
    c->rc = c->h.buf == NULL ? -AIS_E_NOMEM : home_bring(&c->h, c->b, c->name, &brought);
    free(c->h.buf);
}

int
home_for_change(struct store *s, const struct bck *b, struct str name)
{
    struct for_change c = { .h = { .s = s }, .b = b, .name = name };

    if (!atomic_load(&s->scattered))
        return 0;
    offload(change_blocking, &c);
    return c.rc;
}
