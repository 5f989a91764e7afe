/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a name's object is while objects are scattered: mountpaths have come or gone and the resilver has not brought everything to
 * where HRW says. All mountpaths are asked, and what is newest counts: an object, or that there is none any more.
 *
 * Runs on: threads that may block.
 */
#include "base/util.h"
#include "store/store_impl.h"

bool
mpath_readable(const struct mpath *m)
{
    int state = atomic_load_explicit(&m->state, memory_order_acquire);

    return state == MPATH_OK || state == MPATH_DETACHING;
}

enum obj_state
row_state(const struct ientry *en)
{
    return en->flags & IENT_TOMB ? OBJ_TOMB : en->flags & IENT_PASSED ? OBJ_PASSED : en->flags & IENT_MOVED ? OBJ_MOVED : OBJ_HERE;
}

/* Of the same generation: an object rather than a note of it. */
static int
rank(enum obj_state s)
{
    switch (s) {
    case OBJ_HERE:
        return 4;
    case OBJ_TOMB:
        return 3;
    case OBJ_MOVED:
        return 2;
    case OBJ_PASSED:
        return 1;
    case OBJ_NONE:
        break;
    }
    return 0;
}

int
row_cmp(enum obj_state as, const struct gen *ag, enum obj_state bs, const struct gen *bg)
{
    int c;

    if (as == OBJ_NONE || bs == OBJ_NONE)
        return (as != OBJ_NONE) - (bs != OBJ_NONE);
    c = gen_cmp(ag, bg);
    return c != 0 ? c : rank(as) - rank(bs);
}

/* Ask one mountpath; what it has counts when it is newer than *f. */
static int
ask(struct mpath *m, const struct bck *b, struct str name, struct found *f)
{
    struct ientry  en;
    struct sbuf    v;
    enum obj_state state;
    int            rc;

    sbuf_init(&v, 128 * KIB);
    rc = rows_get(m->rows, b->bid, name, &v);
    if (rc == 0)
        rc = ientry_decode(v.p, v.n, &en);
    if (rc == 0) {
        state = row_state(&en);
        if (row_cmp(state, &en.gen, f->state, &f->gen) > 0) {
            struct sbuf was = f->row;

            *f = (struct found){ .m = m, .state = state, .gen = en.gen, .row = v };
            v = was;
        }
    }
    sbuf_fini(&v);
    mpath_trouble(m, rc == -AIS_E_NOENT ? 0 : rc);
    return rc == -AIS_E_NOENT ? 0 : rc;
}

int
where_is(struct store *s, const struct bck *b, struct str name, struct found *f)
{
    struct mpath *home = mpath_of(s, b, name);
    int           rc = home == NULL ? -AIS_E_IO : 0, rc2;

    *f = (struct found){ .state = OBJ_NONE };
    sbuf_init(&f->row, 128 * KIB);
    if (home != NULL)
        rc = ask(home, b, name, f);
    for (unsigned i = 0; atomic_load(&s->scattered) && i < s->n; i++) {
        struct mpath *m = s->mpaths[i];

        if (m == home || !mpath_readable(m))
            continue;
        rc2 = ask(m, b, name, f);
        if (rc2 < 0 && mpath_readable(m)) /* else it went meanwhile */
            rc = rc2;
    }
    if (f->state == OBJ_PASSED) { /* and where it went it is not any more */
        f->state = OBJ_NONE;
        f->m = NULL;
    }
    return rc;
}

struct mpath *
mpath_find(struct store *s, const struct bck *b, struct str name)
{
    struct found  f;
    struct mpath *m;

    if (!atomic_load_explicit(&s->scattered, memory_order_acquire))
        return mpath_of(s, b, name);
    (void)where_is(s, b, name, &f);
    m = f.m != NULL ? f.m : mpath_of(s, b, name);
    sbuf_fini(&f.row);
    return m;
}
