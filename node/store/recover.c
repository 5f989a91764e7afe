/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the journal says about a bucket after the process or the machine went down. README.md, "Recovery".
 *
 * After a kill the page cache is intact: every file is as the last system call left it, and rows follow the files; a DELETE that was
 * recorded is done. After a power cut each name since the last durable epoch is verified: forward from the record's body, else the
 * file as it is when its checksum is right, else the newest predecessor that is whole, else nothing. Blocks of the journal may be missing:
 * it is read on behind them, and since nobody knows what they said, all files that are newer than the last checkpoint are verified.
 *
 * Runs on: the committer, while buckets are adopted. Blocks.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"
#include "store/store_impl.h"

/* --- the old segments --- */

struct segment {
    char    *p;
    size_t   n;
    uint64_t nr;
};
struct redo {
    unsigned        n;
    struct segment *seg;
    bool            gap; /* some groups cannot be read, but others behind them can */
};

/* A name of the bucket: the last record of it, and all predecessors, oldest first. */
struct rname {
    struct hnode  node;
    struct rname *next; /* in order of first appearance */
    struct jrec   last;
    unsigned      nprev;
    struct str   *prev;
};
struct rnames {
    struct hmap    map;
    struct rname  *first, **tail;
    uint64_t       bid;
};

/* The next group of a segment, also behind a gap. */
static bool
group_next(struct mpath *m, struct redo *redo, struct str *rest, uint64_t segment, struct str *records)
{
    if (jgroup_next(rest, segment, records))
        return true;
    if (!jgroup_resync(rest, segment, m->journal.salt))
        return false;
    redo->gap = true;
    return jgroup_next(rest, segment, records);
}

static void
look_for_gaps(struct mpath *m, struct redo *r)
{
    for (unsigned i = 0; i < r->n; i++) {
        struct str rest = str_from(r->seg[i].p, r->seg[i].n), records;

        while (group_next(m, r, &rest, r->seg[i].nr, &records))
            ;
    }
    if (r->gap)
        log_error("blocks of the journal are missing: files that are newer than the last checkpoint are verified", { "mountpath", LZ(m->path) });
}

static int
redo_load(struct mpath *m)
{
    struct redo *r = xcalloc(1, sizeof(*r));

    r->seg = xcalloc(MAX(m->journal.nold, 1u), sizeof(*r->seg));
    m->redo = r;
    for (unsigned i = 0; i < m->journal.nold; i++) {
        struct segment *s = &r->seg[r->n];
        int             rc = journal_read(&m->journal, m->journal.old[i], &s->p, &s->n);

        if (rc == -AIS_E_NOENT)
            continue;
        if (rc < 0)
            return rc;
        s->nr = m->journal.old[i];
        r->n++;
    }
    look_for_gaps(m, r);
    return 0;
}

void
recover_done(struct mpath *m)
{
    if (m->redo == NULL)
        return;
    for (unsigned i = 0; i < m->redo->n; i++)
        free(m->redo->seg[i].p);
    free(m->redo->seg);
    free(m->redo);
    m->redo = NULL;
}

static void
names_add(struct rnames *names, const struct jrec *r)
{
    uint64_t      h = hash_bytes(r->name.p, r->name.n, 3);
    struct rname *x = NULL;

    for (struct hnode *n = hmap_first(&names->map, h); n != NULL && x == NULL; n = hmap_next_same(n, h))
        if (str_eq(CONTAINER_OF(n, struct rname, node)->last.name, r->name))
            x = CONTAINER_OF(n, struct rname, node);
    if (x == NULL) {
        x = xcalloc(1, sizeof(*x));
        *names->tail = x;
        names->tail = &x->next;
        x->last = *r;
        hmap_add(&names->map, &x->node, h);
    }
    x->last = *r;
    if (r->prev.n > 0) {
        x->prev = xrealloc(x->prev, (x->nprev + 1) * sizeof(*x->prev));
        x->prev[x->nprev++] = r->prev;
    }
}

static void
names_read(struct mpath *m, struct rnames *names)
{
    struct redo *redo = m->redo;


    for (unsigned i = 0; i < redo->n; i++) {
        struct str  rest = str_from(redo->seg[i].p, redo->seg[i].n), records;
        struct jrec r;

        while (group_next(m, redo, &rest, redo->seg[i].nr, &records))
            while (records.n > 0 && jrec_decode(&records, &r) == 0)
                if (r.bid == names->bid)
                    names_add(names, &r);
    }
}

static void
names_free(struct rnames *names)
{
    struct rname *x, *next;

    for (x = names->first; x != NULL; x = next) {
        next = x->next;
        free(x->prev);
        free(x);
    }
    hmap_fini(&names->map);
}

/* --- one name --- */

int
obj_verify_blocking(struct obj *o)
{
    struct cksum_run h;
    struct cksum     got;
    int              rc;

    rc = cksum_init(&h, o->info.cksum.type);
    if (rc < 0)
        return o->info.cksum.type == CKSUM_NONE ? 0 : rc;
    rc = obj_each_piece(o, cksum_feed, &h, NULL);
    cksum_final(&h, &got);
    cksum_fini(&h);
    if (rc == 0 && o->info.cksum.type != CKSUM_NONE && !cksum_eq(&got, &o->info.cksum))
        rc = -AIS_E_CKSUM;
    return rc;
}

static char *
object_path(struct mpath *m, const struct bck *b, struct str name, bool long_form)
{
    char path[FQN_MAX], orig[FQN_MAX + 64];
    int  n = long_form ? layout_long(m->path, b, name, path, orig) : layout_obj(m->path, b, CT_OBJ, name, path);

    return n > 0 ? xstrdup(path) : NULL;
}

/* Make the object again from the record: durable mode, whose small bodies ride in it. */
static int
remake(struct mpath *m, const struct bck *b, const struct jrec *r)
{
    struct lmeta  *meta = xmalloc(sizeof(*meta));
    char           work[FQN_MAX];
    auto_free char *path = NULL;
    auto_close int fd = -1;
    int            rc = lmeta_decode(r->meta.p, r->meta.n, meta);

    if (rc == 0)
        path = object_path(m, b, r->name, (meta->lid & LID_LONG) != 0);
    free(meta);
    if (rc < 0 || path == NULL)
        return rc < 0 ? rc : -AIS_E_INVAL;
    work_name(m, b, "redo", r->name, work);
    (void)mkdirs_parent(work); /* the bucket's folders may be younger than the last flush */
    fd = open(work, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
    rc = fd < 0 ? err_from_errno(errno) : write_all(fd, r->body.p, r->body.n);
    if (rc == 0 && (fsetxattr(fd, LMETA_XATTR, r->meta.p, r->meta.n, 0) < 0 ||
                    fsetxattr(fd, OWN_XATTR, r->own.p, r->own.n, 0) < 0 || fsync(fd) < 0))
        rc = err_from_errno(errno);
    if (rc == 0)
        rc = mkdirs_parent(path);
    if (rc == 0 && rename(work, path) < 0)
        rc = err_from_errno(errno);
    if (rc < 0)
        (void)unlink(work);
    return rc;
}

/* The newest predecessor that is whole gets the name back. */
static bool
roll_back(struct mpath *m, const struct bck *b, const struct rname *x)
{
    char dir[FQN_MAX], prev[FQN_MAX + 300];

    if (layout_ct(m->path, b, CT_WORK, dir) < 0)
        return false;
    for (unsigned i = x->nprev; i-- > 0;) {
        auto_close int fd = -1;
        struct obj    *o;
        auto_free char *path = NULL;
        bool           good;

        snprintf(prev, sizeof(prev), "%s/%.*s", dir, STR_FMT(x->prev[i]));
        fd = open(prev, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || obj_load_fd(m, b, x->last.name, prev, fd, &o) < 0)
            continue;
        if (o->info.nchunks > 0) {
            o->chunks[0].fd = fd;
            o->nfds = 1;
        } else {
            atomic_store(&o->fd, fd);
        }
        fd = -1;
        good = obj_verify_blocking(o) == 0;
        obj_close(o);
        path = object_path(m, b, x->last.name, false);
        if (path == NULL || access(path, F_OK) < 0) {
            free(path);
            path = object_path(m, b, x->last.name, true);
        }
        if (good && path != NULL && rename(prev, path) == 0)
            return true;
    }
    return false;
}

static void
remove_object(struct mpath *m, const struct bck *b, struct str name)
{
    for (int long_form = 0; long_form < 2; long_form++) {
        auto_free char *path = object_path(m, b, name, long_form != 0);
        struct stat     st;

        if (path != NULL && lstat(path, &st) == 0 && S_ISREG(st.st_mode))
            (void)unlink(path);
    }
}

static int
tomb_put(struct mpath *m, const struct bck *b, const struct jrec *r)
{
    struct ientry en = { .flags = IENT_TOMB, .gen = r->gen, .cksum = { .type = CKSUM_NONE }, .version = STR_LIT("") };

    return rows_put(m->rows, b->bid, r->name, &en);
}

int
row_follow(struct mpath *m, const struct bck *b, struct str name)
{
    struct obj   *o;
    struct ientry en;
    int           rc = obj_load(m, b, name, false, &o, NULL);

    m->dirty = true;
    if (rc == -AIS_E_NOOBJ || rc == -AIS_E_CORRUPT)
        return rows_del(m->rows, b->bid, name);
    if (rc < 0)
        return rc;
    entry_of(o, &en);
    rc = rows_put(m->rows, b->bid, name, &en);
    obj_close(o);
    return rc;
}

/* --- what predecessors left: the list of it died with the process --- */

static bool
has_part(const struct obj *o, const char *path)
{
    for (unsigned i = 1; o != NULL && i < o->info.nchunks; i++)
        if (strcmp(o->chunks[i].path, path) == 0)
            return true;
    return false;
}

static void
remove_parts(const struct obj *old, const struct obj *now)
{
    for (unsigned i = 1; i < old->info.nchunks; i++)
        if (!has_part(now, old->chunks[i].path))
            (void)unlink(old->chunks[i].path);
    if (old->staged != NULL && (now == NULL || now->staged == NULL || strcmp(now->staged, old->staged) != 0))
        (void)unlink(old->staged);
}

static void
remove_prev(struct mpath *m, const struct bck *b, struct str name, struct str base, const struct obj *now)
{
    char           dir[FQN_MAX], path[FQN_MAX + 300];
    auto_close int fd = -1;
    struct obj    *o;

    if (layout_ct(m->path, b, CT_WORK, dir) < 0)
        return;
    snprintf(path, sizeof(path), "%s/%.*s", dir, STR_FMT(base));
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || obj_load_fd(m, b, name, path, fd, &o) < 0)
        return;
    /* Newer than the object: the exchange of names never happened, and its parts are still those of an upload. */
    if (now == NULL || gen_cmp(&o->info.gen, &now->info.gen) < 0)
        remove_parts(o, now);
    if (o->side && layout_side(m->path, b, name, o->info.gen.counter, path) > 0)
        (void)unlink(path);
    obj_close(o);
    (void)unlink(path);
}

/* A manifest at its place, and the parts it names, without a chunked object: of one that was deleted or replaced. */
static void
remove_manifest(struct mpath *m, const struct bck *b, struct str name, const struct obj *now)
{
    char path[FQN_MAX];

    for (int hashed = 0; hashed < 2; hashed++) {
        struct obj *o;

        if (layout_aux(m->path, b, CT_UFEST, name, hashed != 0, path) < 0 || access(path, F_OK) < 0)
            continue;
        o = manifest_parts(m->store, b, name, path);
        if (o != NULL)
            remove_parts(o, now);
        obj_close(o);
        if (now == NULL || now->info.nchunks == 0)
            (void)unlink(path);
    }
}

static void
remove_leftovers(struct mpath *m, const struct bck *b, const struct rname *x, const struct obj *now)
{
    for (unsigned i = 0; i < x->nprev; i++)
        remove_prev(m, b, x->last.name, x->prev[i], now);
    remove_manifest(m, b, x->last.name, now);
}

static int
redo_delete(struct mpath *m, const struct bck *b, const struct rname *x)
{
    const struct jrec *r = &x->last;
    struct obj        *o = NULL;
    int                rc = obj_load(m, b, r->name, false, &o, NULL);

    if (rc == -AIS_E_CORRUPT || (rc == 0 && gen_cmp(&o->info.gen, &r->gen) < 0)) {
        remove_object(m, b, r->name);
        if (o != NULL)
            remove_parts(o, NULL);
    }
    obj_close(o);
    remove_leftovers(m, b, x, NULL);
    m->dirty = true;
    return tomb_put(m, b, r);
}

/* The file goes unless it is of a newer object; the row stays, as the record has it. */
static int
redo_moved(struct mpath *m, const struct bck *b, const struct rname *x)
{
    const struct jrec *r = &x->last;
    struct ientry      en;
    struct obj        *o = NULL;
    int                rc = obj_load(m, b, r->name, false, &o, NULL);
    bool               newer = rc == 0 && gen_cmp(&o->info.gen, &r->gen) > 0;

    if (rc == -AIS_E_CORRUPT || (rc == 0 && !newer)) {
        remove_object(m, b, r->name);
        if (o != NULL)
            remove_parts(o, NULL);
    }
    obj_close(o);
    if (newer || ientry_decode(r->meta.p, r->meta.n, &en) < 0)
        return row_follow(m, b, r->name);
    remove_leftovers(m, b, x, NULL);
    m->dirty = true;
    return rows_put(m->rows, b->bid, r->name, &en);
}

/* A manifest that waited for a checkpoint takes its place. */
static void
place_manifest(struct mpath *m, const struct bck *b, const struct obj *o)
{
    char path[FQN_MAX];

    if (o->staged == NULL || layout_aux(m->path, b, CT_UFEST, o->name, !layout_is_path(o->name), path) < 0)
        return;
    if (mkdirs_parent(path) == 0 && rename(o->staged, path) < 0)
        log_warn("manifest not placed", { "path", LZ(path) }, { "error", LZ(strerror(errno)) });
}

static int
redo_name(struct mpath *m, const struct bck *b, const struct rname *x)
{
    struct obj *o = NULL;
    bool        good, gone;
    int         rc;

    atomic_fetch_add(&m->store->recovered, 1);
    if (x->last.op == JOP_DELETE)
        return redo_delete(m, b, x);
    if (x->last.op == JOP_MOVED)
        return redo_moved(m, b, x);
    rc = obj_load(m, b, x->last.name, true, &o, NULL);
    good = rc == 0;
    gone = rc == -AIS_E_NOOBJ && x->last.op == JOP_SYNC; /* it was renamed: what it once replaced must not come back */
    if (good && m->unclean)
        good = obj_verify_blocking(o) == 0;
    if (x->last.has_body && (!good || gen_cmp(&o->info.gen, &x->last.gen) < 0)) {
        rc = remake(m, b, &x->last);
        if (rc < 0)
            log_error("acknowledged object cannot be made again", { "name", LSTR(x->last.name) }, { "error", LZ(err_text(rc)) });
        atomic_fetch_add(&m->store->rolled, 1);
    } else if (gone) {
        remove_leftovers(m, b, x, NULL);
    } else if (!good && m->unclean) {
        if (!roll_back(m, b, x))
            remove_object(m, b, x->last.name);
        atomic_fetch_add(&m->store->rolled, 1);
    } else if (good) {
        remove_leftovers(m, b, x, o);
        place_manifest(m, b, o);
    }
    obj_close(o);
    return row_follow(m, b, x->last.name);
}

bool
recover_has_gap(const struct mpath *m)
{
    return m->redo != NULL && m->redo->gap;
}

/*
 * In fast mode nothing is flushed before names change: after a power cut the last groups, or all, may be missing without a trace, though
 * the files that they told of have their names. Durable buckets have the record on the disk before anything else happens.
 */
bool
recover_is_blind(const struct mpath *m, const struct bck *b)
{
    return recover_has_gap(m) || (m->unclean && !b->durable);
}

/* A predecessor that was found by its name. */
struct prev {
    struct gen gen;
    char      *base;
};

static int
older_first(const void *va, const void *vb)
{
    const struct prev *a = va, *b = vb;

    return gen_cmp(&a->gen, &b->gen);
}

static bool
prev_load(struct mpath *m, const struct bck *b, struct str name, const char *dir, const char *base, struct prev *out)
{
    char           path[FQN_MAX + 300];
    auto_close int fd = -1;
    struct obj    *o;

    snprintf(path, sizeof(path), "%s/%s", dir, base);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || obj_load_fd(m, b, name, path, fd, &o) < 0)
        return false;
    *out = (struct prev){ .gen = o->info.gen, .base = xstrdup(base) };
    obj_close(o);
    return true;
}

/* Nobody knows what a record that is lost said: predecessors of the name, oldest first, by the names of their files. */
static struct prev *
prevs_find(struct mpath *m, const struct bck *b, struct str name, unsigned *n)
{
    char           dir[FQN_MAX], want[40];
    DIR           *d = layout_ct(m->path, b, CT_WORK, dir) < 0 ? NULL : opendir(dir);
    struct dirent *de;
    struct prev   *all = NULL;

    *n = 0;
    snprintf(want, sizeof(want), "prev.%016llx", (unsigned long long)work_hash(name));
    while (d != NULL && (de = readdir(d)) != NULL) {
        if (strncmp(de->d_name, want, strlen(want)) != 0)
            continue;
        all = xrealloc(all, (*n + 1) * sizeof(*all));
        *n += prev_load(m, b, name, dir, de->d_name, &all[*n]);
    }
    if (d != NULL)
        closedir(d);
    if (*n > 1)
        qsort(all, *n, sizeof(*all), older_first);
    return all;
}

static bool
changed_since(struct mpath *m, const struct bck *b, struct str name, int64_t since)
{
    bool is = false;

    for (int long_form = 0; long_form < 2 && !is; long_form++) {
        auto_free char *path = object_path(m, b, name, long_form != 0);
        struct stat     st;

        is = path != NULL && lstat(path, &st) == 0 && (int64_t)st.st_ctim.tv_sec * NSEC_PER_SEC >= since;
    }
    return is;
}

int
recover_file(struct mpath *m, const struct bck *b, struct str name, int64_t since)
{
    struct rname x = { .last = { .name = name } };
    struct prev *all;
    struct obj  *o = NULL;
    int          rc;

    if (!changed_since(m, b, name, since))
        return 0;
    rc = obj_load(m, b, name, true, &o, NULL);
    if (rc == 0)
        rc = obj_verify_blocking(o);
    obj_close(o);
    if (rc == 0 || rc == -AIS_E_IO || rc == -AIS_E_NOMEM || rc == -AIS_E_NOOBJ)
        return rc == -AIS_E_NOOBJ ? 0 : rc;
    all = prevs_find(m, b, name, &x.nprev);
    x.prev = xcalloc(x.nprev + 1, sizeof(*x.prev));
    for (unsigned i = 0; i < x.nprev; i++)
        x.prev[i] = str_z(all[i].base);
    if (!roll_back(m, b, &x))
        remove_object(m, b, name);
    atomic_fetch_add(&m->store->rolled, 1);
    for (unsigned i = 0; i < x.nprev; i++)
        free(all[i].base);
    free(all);
    free(x.prev);
    return 0;
}

int
recover_bck(struct mpath *m, const struct bck *b)
{
    struct rnames names = { .bid = b->bid, .tail = &names.first };
    int           rc = 0;
    unsigned      n = 0;

    if (m->redo == NULL)
        rc = redo_load(m);
    if (rc < 0)
        return rc;
    names_read(m, &names);
    for (struct rname *x = names.first; rc == 0 && x != NULL; x = x->next, n++)
        rc = redo_name(m, b, x);
    if (n > 0)
        log_info("journal replayed", { "mountpath", LZ(m->path) }, { "bucket", LSTR(b->name) }, { "names", LU64(n) },
                 { "verified", LBOOL(m->unclean) });
    names_free(&names);
    return rc;
}
