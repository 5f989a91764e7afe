/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing: a merge over the rows of all mountpaths, in byte order, read ahead in batches.
 *
 * Runs on: fibers; batches are read in the offload pool. The cursor holds no transaction between calls.
 */
#include <stdlib.h>

#include "base/util.h"
#include "store/store_impl.h"

#define LIST_BATCH 1000

/* Rows of one mountpath, read ahead. */
struct lsrc {
    struct mpath *m;
    struct sbuf   rows;
    size_t        at;
    struct str    name, value;   /* the present row */
    char          last[OBJ_NAME_MAX + 1]; /* name of the last row of the batch before */
    bool          have, more, done;
    bool          seen; /* the batch had rows */
};

struct list_cur {
    struct store *s;
    uint64_t      bid;
    struct arena *a;
    struct str    prefix;
    unsigned      n, cur, max; /* max: room in src, the mountpaths there were when it was made */
    bool          began;
    bool          tombs;       /* tombstones of newer maps than this come, too */
    uint64_t      tombs_after;
    struct lent   ent;
    struct lsrc   src[];
};

struct fetch {
    struct list_cur *c;
    struct lsrc     *l;
    struct str       from;
    bool             after;
    int              rc;
};

static void
fetch_blocking(void *arg)
{
    struct fetch *f = arg;
    unsigned      n;

    sbuf_reset(&f->l->rows);
    f->l->at = 0;
    f->rc = rows_scan(f->l->m->rows, f->c->bid, f->c->prefix, f->from, f->after, LIST_BATCH, &f->l->rows, &n, &f->l->more);
}

static bool
row_gen(struct str value, struct gen *g)
{
    struct ientry en;

    if (ientry_decode(value.p, value.n, &en) < 0)
        return false;
    *g = en.gen;
    return true;
}

static bool
row_counts(const struct list_cur *c, struct str value)
{
    struct gen g;

    if (value.n == 0)
        return false;
    return !ientry_is_tomb(value) || (c->tombs && row_gen(value, &g) && g.smap_ver > c->tombs_after);
}

/* The next row of the batch that is given out, if there is one: tombstones that are not wanted and rows that are gone are passed over. */
static bool
row_next(const struct list_cur *c, struct lsrc *l)
{
    while (scan_row(&l->rows, &l->at, &l->name, &l->value)) {
        l->have = row_counts(c, l->value);
        if (l->have)
            return true;
        l->seen = true;
    }
    l->have = false;
    return false;
}

/* Read batches from there until one has an object, or all are read. */
static int
src_fill(struct list_cur *c, struct lsrc *l, struct str from, bool after)
{
    struct fetch f = { .c = c, .l = l, .from = from, .after = after };

    for (;;) {
        l->have = l->seen = false;
        offload(fetch_blocking, &f);
        if (f.rc < 0) {
            mpath_trouble(l->m, f.rc);
            return f.rc;
        }
        if (row_next(c, l))
            return 0;
        if (!l->more || !l->seen) {
            l->done = true;
            return 0;
        }
        (void)str_copyz(l->name, l->last, sizeof(l->last));
        f.from = str_z(l->last);
        f.after = true;
    }
}

static int
src_advance(struct list_cur *c, struct lsrc *l)
{
    if (row_next(c, l))
        return 0;
    if (!l->more) {
        l->done = true;
        return 0;
    }
    /* The name of the last row of the batch, object or not. */
    (void)str_copyz(l->name, l->last, sizeof(l->last));
    return src_fill(c, l, str_z(l->last), true);
}

static struct list_cur *
cur_new(struct store *s, const struct bck *b, struct str prefix)
{
    unsigned         n = s->n;
    struct list_cur *c = calloc(1, sizeof(*c) + n * sizeof(struct lsrc));

    if (c == NULL)
        return NULL;
    c->s = s;
    c->max = n;
    c->bid = b->bid;
    c->a = arena_new(256, 64 * KIB);
    c->prefix = arena_str(c->a, prefix);
    return c;
}

static int
cur_add(struct list_cur *c, struct mpath *m, struct str after)
{
    struct lsrc *l = &c->src[c->n++];

    l->m = m;
    sbuf_init(&l->rows, 64 * MIB);
    return src_fill(c, l, after, after.n > 0);
}

/* Position all sources; takes c, which may be NULL. */
static int
cur_start(struct list_cur *c, unsigned mpath, struct str after, struct list_cur **out, struct err *e)
{
    int rc = 0;

    if (c == NULL)
        return err_set(e, AIS_E_NOMEM, "out of memory");
    for (unsigned i = 0; rc == 0 && i < c->max; i++)
        if (mpath == i || (mpath == LIST_ALL && atomic_load(&c->s->mpaths[i]->state) == MPATH_OK))
            rc = cur_add(c, c->s->mpaths[i], after);
    if (rc < 0) {
        store_list_close(c);
        return err_set(e, -rc, "listing: %s", err_text(rc));
    }
    *out = c;
    return 0;
}

static bool
mpath_readable(struct store *s, unsigned mpath)
{
    return mpath == LIST_ALL || (mpath < s->n && atomic_load(&s->mpaths[mpath]->state) != MPATH_FAILED);
}

int
store_list_open_on(struct store *s, const struct bck *b, unsigned mpath, struct str prefix, struct str after, struct list_cur **out,
                   struct err *e)
{
    if (!mpath_readable(s, mpath))
        return err_set(e, AIS_E_NOMPATH, "listing: mountpath %u cannot be read", mpath);
    return cur_start(cur_new(s, b, prefix), mpath, after, out, e);
}

int
store_list_open(struct store *s, const struct bck *b, struct str prefix, struct str after, struct list_cur **out, struct err *e)
{
    return cur_start(cur_new(s, b, prefix), LIST_ALL, after, out, e);
}

int
store_list_open_gens(struct store *s, const struct bck *b, unsigned mpath, struct str prefix, struct str after, uint64_t tombs_after,
                     struct list_cur **out, struct err *e)
{
    struct list_cur *c;

    if (!mpath_readable(s, mpath))
        return err_set(e, AIS_E_NOMPATH, "listing: mountpath %u cannot be read", mpath);
    c = cur_new(s, b, prefix);
    if (c != NULL) {
        c->tombs = true;
        c->tombs_after = tombs_after;
    }
    return cur_start(c, mpath, after, out, e);
}

static int
to_lent(struct list_cur *c, struct lsrc *l)
{
    struct ientry en;
    struct lent  *t = &c->ent;
    int           rc = ientry_decode(l->value.p, l->value.n, &en);

    if (rc < 0)
        return rc;
    t->name = l->name;
    t->size = en.size;
    t->atime_ns = en.atime_ns;
    t->mtime_ns = en.mtime_ns;
    t->cksum = en.cksum;
    t->version = en.version;
    t->copies = en.copies;
    t->gen = en.gen;
    t->chunked = en.flags & IENT_CHUNKED;
    t->moved = en.flags & IENT_MOVED;
    t->tomb = en.flags & IENT_TOMB;
    t->mpath = (uint16_t)l->m->idx;
    t->ncustom = en.ncustom;
    for (unsigned i = 0; i < en.ncustom; i++)
        t->custom[i] = en.custom[i];
    return 0;
}

/* Step over the row that was given out, wherever it is: an object that has moved may still have a row where it was. */
static int
step(struct list_cur *c)
{
    struct lsrc *was = &c->src[c->cur];
    int          rc = 0;

    for (unsigned i = 0; rc == 0 && i < c->n; i++)
        if (&c->src[i] != was && !c->src[i].done && str_eq(c->src[i].name, was->name))
            rc = src_advance(c, &c->src[i]);
    return rc < 0 ? rc : src_advance(c, was);
}

/* Does a come before b? Of one name the newest generation, when those count. */
static bool
comes_before(const struct list_cur *c, const struct lsrc *a, const struct lsrc *b)
{
    int        d = str_cmp(a->name, b->name);
    struct gen ga, gb;

    if (d != 0 || !c->tombs)
        return d < 0;
    return row_gen(a->value, &ga) && row_gen(b->value, &gb) && gen_cmp(&ga, &gb) > 0;
}

int
store_list_next(struct list_cur *c, const struct lent **out, struct err *e)
{
    struct lsrc *best = NULL;
    int          rc;

    if (c->began) {
        rc = step(c);
        if (rc < 0)
            return err_set(e, -rc, "listing: %s", err_text(rc));
    }
    for (unsigned i = 0; i < c->n; i++) {
        if (c->src[i].done || (best != NULL && !comes_before(c, &c->src[i], best)))
            continue;
        best = &c->src[i];
        c->cur = i;
    }
    c->began = best != NULL;
    if (best == NULL)
        return 0;
    rc = to_lent(c, best);
    if (rc < 0)
        return err_set(e, -rc, "listing: a row of the index is damaged: %.*s", STR_FMT(best->name));
    *out = &c->ent;
    return 1;
}

int
store_list_seek(struct list_cur *c, struct str key, struct err *e)
{
    char copy[OBJ_NAME_MAX + 8];

    (void)str_copyz(key, copy, sizeof(copy));
    key = str_z(copy);
    c->began = false;
    for (unsigned i = 0; i < c->n; i++) {
        struct lsrc *l = &c->src[i];
        int          rc = 0;

        /* Near: walk; far: ask the index. */
        while (!l->done && l->have && str_cmp(l->name, key) < 0) {
            if (!row_next(c, l)) {
                l->have = false;
                if (l->more)
                    rc = src_fill(c, l, key, false);
                else
                    l->done = true;
            }
        }
        if (rc < 0)
            return err_set(e, -rc, "listing: %s", err_text(rc));
    }
    return 0;
}

void
store_list_close(struct list_cur *c)
{
    if (c == NULL)
        return;
    for (unsigned i = 0; i < c->n; i++)
        sbuf_fini(&c->src[i].rows);
    arena_free(c->a);
    free(c);
}

int
store_bck_summary(struct store *s, const struct bck *b, struct str prefix, struct bck_sum *out, struct err *e)
{
    struct list_cur   *c;
    const struct lent *l;
    unsigned           n = 0;
    int                rc = store_list_open(s, b, prefix, STR_LIT(""), &c, e);

    if (rc < 0)
        return rc;
    *out = (struct bck_sum){ .min_size = UINT64_MAX };
    while ((rc = store_list_next(c, &l, e)) > 0) {
        if (++n % 4096 == 0)
            fiber_yield();
        if (l->moved)
            continue;
        out->objects++;
        out->bytes += l->size;
        out->on_disk += ALIGN_UP(l->size, (uint64_t)4096);
        out->min_size = MIN(out->min_size, l->size);
        out->max_size = MAX(out->max_size, l->size);
    }
    if (out->objects == 0)
        out->min_size = 0;
    store_list_close(c);
    return rc;
}
