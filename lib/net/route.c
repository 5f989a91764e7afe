/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Route tables: patterns are cut once into literal items and captures; a request walks the rows of its first two literals.
 *
 * Runs on: any loop; the compiled table is read-only.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/util.h"
#include "net/net_impl.h"

#define MAX_SEGS 8

enum seg_kind { SEG_LIT, SEG_ONE, SEG_REST };

struct seg {
    enum seg_kind kind;
    struct str    lit;
};

struct crow {
    const struct route *row;
    unsigned            nsegs;
    struct seg          segs[MAX_SEGS];
};

struct routes {
    unsigned    n;
    struct crow rows[];
};

static void
cut(struct crow *c, const struct route *row)
{
    struct str rest = str_z(row->pattern + 1), tok;

    c->row = row;
    ASSERT(row->pattern[0] == '/');
    while (rest.n > 0 && str_split(&rest, '/', &tok)) {
        struct seg *s = &c->segs[c->nsegs++];

        ASSERT(c->nsegs <= MAX_SEGS);
        s->lit = tok;
        s->kind = tok.p[0] == ':' ? SEG_ONE : tok.p[0] == '*' ? SEG_REST : SEG_LIT;
    }
}

struct routes *
routes_compile(const struct route *rows, unsigned n)
{
    struct routes *t = xcalloc(1, sizeof(*t) + n * sizeof(struct crow));

    t->n = n;
    for (unsigned i = 0; i < n; i++)
        cut(&t->rows[i], &rows[i]);
    return t;
}

void
routes_free(struct routes *t)
{
    free(t);
}

/* The next non-empty item of *rest. */
static bool
next_item(struct str *rest, struct str *item)
{
    ptrdiff_t i;

    while (rest->n > 0 && rest->p[0] == '/')
        *rest = str_from_off(*rest, 1);
    if (rest->n == 0)
        return false;
    i = str_chr(*rest, '/');
    *item = i < 0 ? *rest : str_from(rest->p, (size_t)i);
    *rest = str_from_off(*rest, item->n);
    return true;
}

static bool
match(const struct crow *c, struct str path, struct str *items, unsigned *nitems)
{
    struct str rest = path, item;

    *nitems = 0;
    for (unsigned i = 0; i < c->nsegs; i++) {
        const struct seg *s = &c->segs[i];

        if (s->kind == SEG_REST) {
            /* one slash separates it; the rest belongs to the name, further slashes included */
            if (rest.n < 2 || rest.p[0] != '/')
                return false;
            items[(*nitems)++] = str_from_off(rest, 1);
            return true;
        }
        if (!next_item(&rest, &item))
            return false;
        if (s->kind == SEG_ONE)
            items[(*nitems)++] = item;
        else if (!str_eq(item, s->lit))
            return false;
    }
    return !next_item(&rest, &item);
}

/* The literal items a pattern starts with, at most two, name a resource: does the path lie in that of c? */
static bool
in_resource(const struct crow *c, struct str path)
{
    struct str item;
    unsigned   i;

    for (i = 0; i < MIN(c->nsegs, 2u) && c->segs[i].kind == SEG_LIT; i++)
        if (!next_item(&path, &item) || !str_eq(item, c->segs[i].lit))
            return false;
    return i > 0;
}

/* What the resource of a path can do, whatever the items behind. */
static unsigned
resource_methods(const struct routes *t, struct str path)
{
    unsigned methods = 0;

    for (unsigned i = 0; i < t->n; i++)
        if (in_resource(&t->rows[i], path))
            methods |= 1u << t->rows[i].row->method;
    return methods;
}

const struct route *
routes_find(const struct routes *t, struct req *r, unsigned *allowed)
{
    *allowed = 0;
    for (unsigned i = 0; i < t->n; i++) {
        const struct crow *c = &t->rows[i];

        if (c->row->method == r->method && match(c, r->path, r->item, &r->nitems))
            return c->row;
    }
    r->nitems = 0;
    *allowed = resource_methods(t, r->path);
    if (*allowed & 1u << r->method) /* the method is right, the items are not */
        *allowed = 0;
    return NULL;
}
