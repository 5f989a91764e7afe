/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing: a merge over the rows of all mountpaths, in byte order, read ahead in batches.
 *
 * While objects are scattered a name may have rows on several mountpaths: the newest counts. An object that is brought to another
 * mountpath leaves its row behind, "passed", until all is settled: a cursor that read the one mountpath before and the other one after
 * that sees it still. When the set of mountpaths changes, or passed rows are about to go, a cursor begins anew where it stands.
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
    unsigned      n, cur;
    bool          began;
    bool          one;     /* of one mountpath only */
    bool          all;     /* tombstones, stubs and passed rows are read, too: they say what other rows are worth */
    bool          gens;    /* tombstones and stubs of newer maps than this are given out, too */
    uint64_t      gone_after;
    unsigned      layout;  /* store.layout when the sources were opened */
    char          pos[OBJ_NAME_MAX + 8]; /* where it stands: */
    bool          after;   /* behind that name, or at it */
    struct lent   ent;
    struct lsrc  *src[MAX_MPATHS];
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

/* Is this row one to give out? Of what went away, only what did so since: a stub that outlived its rebalance says nothing any more. */
static bool
row_wanted(const struct list_cur *c, struct str value)
{
    struct ientry en;
    bool          tomb = ientry_is_tomb(value);

    if (!tomb && !ientry_is_moved(value))
        return true;
    return c->gens && ientry_decode(value.p, value.n, &en) == 0 && (tomb ? en.gen.smap_ver : en.moved_under) > c->gone_after;
}

/* Is it one to look at? */
static bool
row_counts(const struct list_cur *c, struct str value)
{
    if (value.n == 0)
        return false;
    return c->all || (!ientry_is_passed(value) && row_wanted(c, value));
}

/* The next row of the batch that matters, if there is one: tombstones that are not wanted and rows that are gone are passed over. */
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
cur_new(struct store *s, const struct bck *b, struct str prefix, struct str after)
{
    struct list_cur *c = xcalloc(1, sizeof(*c));

    c->s = s;
    c->bid = b->bid;
    c->a = arena_new(256, 64 * KIB);
    c->prefix = arena_str(c->a, prefix);
    (void)str_copyz(after, c->pos, sizeof(c->pos));
    c->after = after.n > 0;
    return c;
}

static int
cur_add(struct list_cur *c, struct mpath *m)
{
    struct lsrc *l = xcalloc(1, sizeof(*l));

    c->src[c->n++] = l;
    l->m = m;
    sbuf_init(&l->rows, 64 * MIB);
    return src_fill(c, l, str_z(c->pos), c->after);
}

static void
cur_drop(struct list_cur *c)
{
    for (unsigned i = 0; i < c->n; i++) {
        sbuf_fini(&c->src[i]->rows);
        free(c->src[i]);
    }
    c->n = 0;
}

/* All mountpaths that can be read, from where the cursor stands. */
static int
cur_fill(struct list_cur *c)
{
    int rc = 0;

    cur_drop(c);
    c->began = false;
    c->layout = atomic_load(&c->s->layout);
    c->all = atomic_load(&c->s->scattered);
    for (unsigned i = 0; rc == 0 && i < c->s->n; i++)
        if (mpath_readable(c->s->mpaths[i]))
            rc = cur_add(c, c->s->mpaths[i]);
    return rc;
}

/* Did mountpaths change since the sources were opened? Then what they say may be too little, and errors are their leaving. */
static bool
cur_outdated(const struct list_cur *c)
{
    return !c->one && atomic_load(&c->s->layout) != c->layout;
}

/* Sources that are of now. */
static int
cur_renew(struct list_cur *c)
{
    int rc;

    do
        rc = cur_fill(c);
    while (cur_outdated(c));
    return rc;
}

/* Position all sources; takes c. */
static int
cur_start(struct list_cur *c, unsigned mpath, struct list_cur **out, struct err *e)
{
    int rc;

    c->one = mpath != LIST_ALL;
    if (c->one && (mpath >= c->s->n || !mpath_readable(c->s->mpaths[mpath]))) {
        store_list_close(c);
        return err_set(e, AIS_E_NOMPATH, "listing: mountpath %u cannot be read", mpath);
    }
    rc = c->one ? cur_add(c, c->s->mpaths[mpath]) : cur_renew(c);
    if (rc < 0) {
        store_list_close(c);
        return err_set(e, -rc, "listing: %s", err_text(rc));
    }
    *out = c;
    return 0;
}

int
store_list_open_on(struct store *s, const struct bck *b, unsigned mpath, struct str prefix, struct str after, struct list_cur **out,
                   struct err *e)
{
    return cur_start(cur_new(s, b, prefix, after), mpath, out, e);
}

int
store_list_open(struct store *s, const struct bck *b, struct str prefix, struct str after, struct list_cur **out, struct err *e)
{
    return cur_start(cur_new(s, b, prefix, after), LIST_ALL, out, e);
}

int
store_list_open_gens(struct store *s, const struct bck *b, unsigned mpath, struct str prefix, struct str after, uint64_t gone_after,
                     struct list_cur **out, struct err *e)
{
    struct list_cur *c = cur_new(s, b, prefix, after);

    c->gens = true;
    c->gone_after = gone_after;
    return cur_start(c, mpath, out, e);
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

/* Of two rows of one name: is a to be believed rather than b? */
static bool
newer_row(struct str a, struct str b)
{
    struct ientry ea, eb;

    if (ientry_decode(a.p, a.n, &ea) < 0 || ientry_decode(b.p, b.n, &eb) < 0)
        return false;
    return row_cmp(row_state(&ea), &ea.gen, row_state(&eb), &eb.gen) > 0;
}

/* Step over the row that was given out, wherever it is: an object that has moved may still have a row where it was. */
static int
step(struct list_cur *c)
{
    struct lsrc *was = c->src[c->cur];
    int          rc = 0;

    for (unsigned i = 0; rc == 0 && i < c->n; i++)
        if (c->src[i] != was && !c->src[i]->done && str_eq(c->src[i]->name, was->name))
            rc = src_advance(c, c->src[i]);
    return rc < 0 ? rc : src_advance(c, was);
}

/* The first name, and the row of it that counts; NULL at the end. */
static struct lsrc *
best_row(struct list_cur *c)
{
    struct lsrc *best = NULL;

    for (unsigned i = 0; i < c->n; i++) {
        struct lsrc *l = c->src[i];
        int          cmp = l->done ? 1 : best == NULL ? -1 : str_cmp(l->name, best->name);

        if (cmp > 0 || (cmp == 0 && !newer_row(l->value, best->value)))
            continue;
        best = l;
        c->cur = i;
    }
    return best;
}

static int
next_row(struct list_cur *c, struct lsrc **best)
{
    int rc = 0;

    if (c->began)
        rc = step(c);
    while (rc == 0) {
        *best = best_row(c);
        c->began = *best != NULL;
        if (*best == NULL || row_wanted(c, (*best)->value))
            break;
        rc = step(c);
    }
    return rc;
}

int
store_list_next(struct list_cur *c, const struct lent **out, struct err *e)
{
    struct lsrc *best = NULL;
    int          rc = next_row(c, &best);

    while (cur_outdated(c)) {
        rc = cur_renew(c);
        if (rc == 0)
            rc = next_row(c, &best);
    }
    if (rc < 0)
        return err_set(e, -rc, "listing: %s", err_text(rc));
    if (best == NULL)
        return 0;
    rc = to_lent(c, best);
    if (rc < 0)
        return err_set(e, -rc, "listing: a row of the index is damaged: %.*s", STR_FMT(best->name));
    (void)str_copyz(best->name, c->pos, sizeof(c->pos));
    c->after = true;
    *out = &c->ent;
    return 1;
}

int
store_list_seek(struct list_cur *c, struct str key, struct err *e)
{
    (void)str_copyz(key, c->pos, sizeof(c->pos));
    c->after = false;
    key = str_z(c->pos);
    c->began = false;
    for (unsigned i = 0; i < c->n; i++) {
        struct lsrc *l = c->src[i];
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
        if (rc < 0 && !cur_outdated(c))
            return err_set(e, -rc, "listing: %s", err_text(rc));
    }
    return 0;
}

void
store_list_close(struct list_cur *c)
{
    if (c == NULL)
        return;
    cur_drop(c);
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
