/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a name without its file: generations, tombstones, and the stubs of objects that another target has now.
 *
 * Runs on: fibers; rows are read in the offload pool, changed by the committer.
 */
#include <stdlib.h>

#include "base/util.h"
#include "store/store_impl.h"

#define PURGE_BATCH 1000

/* --- generations --- */

struct gen_job {
    struct store     *s;
    const struct bck *b;
    struct str        name;
    struct gen        gen;
    enum obj_state    state;
    int               rc;
};

static void
gen_blocking(void *arg)
{
    struct gen_job *g = arg;
    struct found    f;

    g->rc = where_is(g->s, g->b, g->name, &f);
    g->state = f.state;
    g->gen = f.gen;
    sbuf_fini(&f.row);
}

int
obj_gen(struct store *s, const struct bck *b, struct str name, struct gen *gen, enum obj_state *state, struct err *e)
{
    struct gen_job g = { .s = s, .b = b, .name = name };
    struct obj    *o = cache_get(s, b->bid, name, NULL);

    if (o != NULL) {
        g.state = OBJ_HERE;
        g.gen = o->info.gen;
        obj_close(o);
    } else {
        offload(gen_blocking, &g);
    }
    if (g.rc < 0)
        return err_set(e, -g.rc, "%.*s: %s", STR_FMT(name), err_text(g.rc));
    *gen = g.gen;
    *state = g.state;
    return 0;
}

int
obj_gen_settled(struct store *s, const struct bck *b, struct str name, struct gen *gen, enum obj_state *state, struct err *e)
{
    struct nhold h;
    int          rc = nlock(&s->names, b->bid, name, false, &h);

    if (rc < 0)
        return err_set(e, -rc, "%.*s: %s", STR_FMT(name), err_text(rc));
    rc = obj_gen(s, b, name, gen, state, e);
    nunlock(&s->names, &h);
    return rc;
}

void
store_tomb_hold(struct store *s, bool hold)
{
    atomic_store(&s->tomb_hold, hold);
}

/* --- stubs that are not needed any more --- */

struct purge {
    struct mpath     *m;
    const struct bck *b;
    struct sbuf       rows; /* a batch, as scanned */
};

/* On the committer: rows of the batch that are stubs still. */
static int
purge_rows(struct cjob *c)
{
    struct purge *p = c->arg;
    struct str    name, value;
    struct sbuf   now;
    int           rc = 0;

    sbuf_init(&now, 128 * KIB);
    for (size_t at = 0; rc == 0 && scan_row(&p->rows, &at, &name, &value);) {
        if (!ientry_is_moved(value))
            continue;
        /* a passed one goes, too: it was one when it was brought elsewhere */
        sbuf_reset(&now);
        if (rows_get(p->m->rows, p->b->bid, name, &now) == 0 && ientry_is_moved(sbuf_str(&now)))
            rc = rows_del(p->m->rows, p->b->bid, name);
        p->m->dirty = true;
    }
    sbuf_fini(&now);
    return rc;
}

static bool
has_stubs(const struct sbuf *rows)
{
    struct str name, value;

    for (size_t at = 0; scan_row(rows, &at, &name, &value);)
        if (ientry_is_moved(value))
            return true;
    return false;
}

static int
purge_bck(struct purge *p)
{
    char    *last = xmalloc(OBJ_NAME_MAX + 1);
    bool     more = true;
    unsigned n;
    int      rc = 0;

    last[0] = '\0';
    sbuf_init(&p->rows, 64 * MIB);
    while (rc == 0 && more) {
        struct str name, value;

        sbuf_reset(&p->rows);
        rc = rows_scan(p->m->rows, p->b->bid, STR_LIT(""), str_z(last), last[0] != '\0', PURGE_BATCH, &p->rows, &n, &more);
        if (rc == 0 && has_stubs(&p->rows))
            rc = commit_fn(p->m, purge_rows, p);
        for (size_t at = 0; scan_row(&p->rows, &at, &name, &value);)
            (void)str_copyz(name, last, OBJ_NAME_MAX + 1);
        more &= n > 0;
    }
    sbuf_fini(&p->rows);
    free(last);
    return rc;
}

static int
purge_mpath(struct mpath *m, const struct bck *only)
{
    unsigned      n;
    struct bck   *all = bcks_now(m->store, &n);
    struct purge  p = { .m = m };
    int           rc = 0;

    for (unsigned i = 0; rc == 0 && i < n; i++) {
        p.b = bck_known(m->store, all[i].bid);
        if (p.b != NULL && (only == NULL || only->bid == p.b->bid))
            rc = purge_bck(&p);
    }
    free(all);
    return rc == 0 ? checkpoint_call(m, checkpoint_run, NULL) : rc;
}

struct purge_job {
    struct store     *s;
    const struct bck *b;
    int               rc;
};

static void
purge_blocking(void *arg)
{
    struct purge_job *j = arg;

    for (unsigned i = 0; i < j->s->n; i++) {
        struct mpath *m = j->s->mpaths[i];
        int           rc;

        if (!mpath_readable(m) || !(j->b == NULL ? atomic_exchange(&m->moved, false) : atomic_load(&m->moved)))
            continue;
        rc = purge_mpath(m, j->b);
        if (rc == 0)
            continue;
        atomic_store(&m->moved, true);
        mpath_trouble(m, rc);
        j->rc = rc;
    }
}

int
store_moved_purge(struct store *s, const struct bck *b, struct err *e)
{
    struct purge_job j = { .s = s, .b = b };

    offload(purge_blocking, &j);
    return j.rc < 0 ? err_set(e, -j.rc, "cannot purge moved-stubs: %s", err_text(j.rc)) : 0;
}
