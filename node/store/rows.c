/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a mountpath: overlays over the index. */
#include "store/rows.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/util.h"
#include "store/overlay.h"

#define VALUE_MAX (64 * KIB)
#define FOLD_ROWS 20000 /* most rows of one transaction */

struct rows {
    struct index   *ix;
    pthread_mutex_t mtx;     /* protects what follows; held for a batch at most, never over LMDB */
    struct overlay *active, *frozen;
    struct sbuf     scratch; /* the value being put */
};

struct rows *
rows_new(struct index *ix)
{
    struct rows *r = xcalloc(1, sizeof(*r));

    r->ix = ix;
    MUST(pthread_mutex_init(&r->mtx, NULL));
    r->active = overlay_new();
    sbuf_init(&r->scratch, VALUE_MAX);
    return r;
}

void
rows_free(struct rows *r)
{
    if (r == NULL)
        return;
    overlay_free(r->active);
    overlay_free(r->frozen);
    sbuf_fini(&r->scratch);
    pthread_mutex_destroy(&r->mtx);
    free(r);
}

int
rows_put(struct rows *r, uint64_t bid, struct str name, const struct ientry *e)
{
    int rc = -AIS_E_NOMEM;

    pthread_mutex_lock(&r->mtx);
    sbuf_reset(&r->scratch);
    ientry_encode(e, &r->scratch);
    if (sbuf_ok(&r->scratch)) {
        rc = overlay_put(r->active, bid, name, sbuf_str(&r->scratch));
    } else {
        sbuf_fini(&r->scratch);
        sbuf_init(&r->scratch, VALUE_MAX);
    }
    pthread_mutex_unlock(&r->mtx);
    return rc;
}

int
rows_del(struct rows *r, uint64_t bid, struct str name)
{
    int rc;

    pthread_mutex_lock(&r->mtx);
    rc = overlay_put(r->active, bid, name, STR_LIT(""));
    pthread_mutex_unlock(&r->mtx);
    return rc;
}

int
rows_get(struct rows *r, uint64_t bid, struct str name, struct sbuf *value)
{
    const struct orow *o;
    bool               known;

    pthread_mutex_lock(&r->mtx);
    o = overlay_get(r->active, bid, name);
    if (o == NULL && r->frozen != NULL)
        o = overlay_get(r->frozen, bid, name);
    known = o != NULL;
    if (known)
        sbuf_puts(value, o->value);
    pthread_mutex_unlock(&r->mtx);
    if (!known)
        return index_get(r->ix, bid, name, value);
    return !sbuf_ok(value) ? -AIS_E_NOMEM : value->n == 0 ? -AIS_E_NOENT : 0;
}

/* --- scanning --- */

void
scan_emit(struct sbuf *out, struct str name, struct str value)
{
    uint32_t head[2] = { (uint32_t)name.n, (uint32_t)value.n };

    sbuf_put(out, head, sizeof(head));
    sbuf_puts(out, name);
    sbuf_puts(out, value);
}

bool
scan_row(const struct sbuf *rows, size_t *at, struct str *name, struct str *value)
{
    uint32_t head[2];

    if (*at + sizeof(head) > rows->n)
        return false;
    memcpy(head, rows->p + *at, sizeof(head));
    *name = str_from(rows->p + *at + sizeof(head), head[0]);
    *value = str_from(name->p + head[0], head[1]);
    *at += sizeof(head) + head[0] + head[1];
    return true;
}

/* One ordered source of a merge: rows in a buffer, which ends at `end` when there are more. */
struct src {
    struct sbuf rows;
    size_t      at;
    bool        have, more;
    struct str  name, value, end;
};

static void
src_step(struct src *s)
{
    s->have = scan_row(&s->rows, &s->at, &s->name, &s->value);
}

static void
overlay_scan(const struct overlay *o, uint64_t bid, struct str prefix, struct str from, bool after, unsigned max, struct src *s)
{
    const struct orow *r;
    unsigned           n = 0;

    if (str_cmp(from, prefix) < 0) {
        from = prefix;
        after = false;
    }
    for (r = overlay_seek(o, bid, from, after); r != NULL && r->bid == bid && str_starts(r->name, prefix); r = overlay_next(r)) {
        if (n++ == max) {
            s->more = true;
            break;
        }
        scan_emit(&s->rows, r->name, r->value);
    }
}

/* The last name of a source that was cut off: what lies behind is not known from it. */
static void
src_open(struct src *s)
{
    struct str name, value;

    if (s->more)
        for (size_t at = 0; scan_row(&s->rows, &at, &name, &value);)
            s->end = name;
    src_step(s);
}

/* Earlier sources win where names are equal. */
static void
merge(struct src *src, unsigned nsrc, unsigned max, struct sbuf *out, unsigned *n, bool *more)
{
    for (unsigned i = 0; i < nsrc; i++)
        src_open(&src[i]);
    *n = 0;
    *more = false;
    for (;;) {
        struct src *best = NULL;

        for (unsigned i = 0; i < nsrc; i++)
            if (src[i].have && (best == NULL || str_cmp(src[i].name, best->name) < 0))
                best = &src[i];
        for (unsigned i = 0; i < nsrc; i++) {
            *more |= src[i].more;
            if (src[i].more && (best == NULL || str_cmp(best->name, src[i].end) > 0))
                return; /* beyond what this source knows */
        }
        if (best == NULL)
            return;
        if (*n == max) {
            *more = true;
            return;
        }
        scan_emit(out, best->name, best->value);
        (*n)++;
        for (unsigned i = 0; i < nsrc; i++)
            if (&src[i] != best && src[i].have && str_eq(src[i].name, best->name))
                src_step(&src[i]);
        src_step(best);
    }
}

int
rows_scan(struct rows *r, uint64_t bid, struct str prefix, struct str from, bool after, unsigned max, struct sbuf *out,
          unsigned *n, bool *more)
{
    struct src s[3] = { { .have = false } };
    unsigned   k;
    bool       any;
    int        rc;

    pthread_mutex_lock(&r->mtx);
    any = overlay_count(r->active) > 0 || (r->frozen != NULL && overlay_count(r->frozen) > 0);
    if (any) {
        for (unsigned i = 0; i < ARRAY_SIZE(s); i++)
            sbuf_init(&s[i].rows, 64 * MIB);
        overlay_scan(r->active, bid, prefix, from, after, max, &s[0]);
        if (r->frozen != NULL)
            overlay_scan(r->frozen, bid, prefix, from, after, max, &s[1]);
        any = s[0].rows.n > 0 || s[1].rows.n > 0;
    }
    pthread_mutex_unlock(&r->mtx);
    /* The index comes last: a row that is folded in meanwhile is seen twice, never not at all. */
    if (!any)
        return index_scan(r->ix, bid, prefix, from, after, max, out, n, more);
    rc = index_scan(r->ix, bid, prefix, from, after, max, &s[2].rows, &k, &s[2].more);
    if (rc == 0 && sbuf_ok(&s[0].rows) && sbuf_ok(&s[1].rows))
        merge(s, ARRAY_SIZE(s), max, out, n, more);
    for (unsigned i = 0; i < ARRAY_SIZE(s); i++) {
        if (rc == 0 && !sbuf_ok(&s[i].rows))
            rc = -AIS_E_NOMEM;
        sbuf_fini(&s[i].rows);
    }
    return rc < 0 ? rc : sbuf_ok(out) ? 0 : -AIS_E_NOMEM;
}

/* --- checkpoints --- */

void
rows_freeze(struct rows *r)
{
    struct overlay *fresh = overlay_new();

    pthread_mutex_lock(&r->mtx);
    ASSERT(r->frozen == NULL);
    r->frozen = r->active;
    r->active = fresh;
    pthread_mutex_unlock(&r->mtx);
}

bool
rows_frozen(struct rows *r)
{
    bool is;

    pthread_mutex_lock(&r->mtx);
    is = r->frozen != NULL;
    pthread_mutex_unlock(&r->mtx);
    return is;
}

/* Fold up to FOLD_ROWS from *at in one transaction; the notes go with the last. */
static int
fold_some(struct rows *r, const struct orow **at, const struct rows_note *notes, unsigned nnotes)
{
    struct index_txn  *t;
    const struct orow *o = *at;
    int                rc = index_begin(r->ix, &t);

    if (rc < 0)
        return rc;
    for (unsigned i = 0; rc == 0 && o != NULL && i < FOLD_ROWS; i++, o = overlay_next(o))
        rc = o->value.n > 0 ? index_put(t, o->bid, o->name, o->value) : index_del(t, o->bid, o->name);
    for (unsigned i = 0; rc == 0 && o == NULL && i < nnotes; i++)
        rc = index_number_set(t, notes[i].number, notes[i].v);
    if (rc < 0) {
        index_abort(t);
        return rc;
    }
    rc = index_commit(t);
    if (rc == 0)
        *at = o;
    return rc;
}

int
rows_fold(struct rows *r, const struct rows_note *notes, unsigned nnotes)
{
    /* Frozen: nobody changes it, so it is walked without the lock. */
    const struct orow *o = r->frozen == NULL ? NULL : overlay_first(r->frozen);
    int                rc;

    do
        rc = fold_some(r, &o, notes, nnotes);
    while (rc == 0 && o != NULL);
    return rc;
}

void
rows_thaw(struct rows *r)
{
    struct overlay *o;

    pthread_mutex_lock(&r->mtx);
    o = r->frozen;
    r->frozen = NULL;
    pthread_mutex_unlock(&r->mtx);
    overlay_free(o);
}

size_t
rows_bytes(struct rows *r)
{
    size_t n;

    pthread_mutex_lock(&r->mtx);
    n = overlay_bytes(r->active) + (r->frozen != NULL ? overlay_bytes(r->frozen) : 0);
    pthread_mutex_unlock(&r->mtx);
    return n;
}

size_t
rows_count(struct rows *r)
{
    size_t n;

    pthread_mutex_lock(&r->mtx);
    n = overlay_count(r->active) + (r->frozen != NULL ? overlay_count(r->frozen) : 0);
    pthread_mutex_unlock(&r->mtx);
    return n;
}
