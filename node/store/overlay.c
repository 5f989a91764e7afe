/* SPDX-License-Identifier: Apache-2.0 */
/* An ordered table in memory: a skip list keyed by (bucket id, name). */
#include "store/overlay.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/util.h"

#define LEVELS 16

struct onode {
    struct orow   row; /* first: a row is its node */
    size_t        cap; /* bytes for the value */
    char         *mem; /* name, then value; the value's own block once it outgrew the node */
    char         *big;
    struct onode *next[];
};

struct overlay {
    struct onode *head[LEVELS];
    uint64_t      seed;
    size_t        n, bytes;
};

struct overlay *
overlay_new(void)
{
    struct overlay *o = xcalloc(1, sizeof(*o));

    o->seed = 0x9e3779b97f4a7c15ULL;
    return o;
}

static void
node_free(struct onode *n)
{
    free(n->big);
    free(n);
}

void
overlay_free(struct overlay *o)
{
    struct onode *n, *next;

    if (o == NULL)
        return;
    for (n = o->head[0]; n != NULL; n = next) {
        next = n->next[0];
        node_free(n);
    }
    free(o);
}

static int
cmp(const struct orow *r, uint64_t bid, struct str name)
{
    return r->bid != bid ? (r->bid < bid ? -1 : 1) : str_cmp(r->name, name);
}

/* link[i]: the pointer at level i behind which (bid, name) belongs. */
static struct onode *
find(const struct overlay *o, uint64_t bid, struct str name, struct onode ***link)
{
    struct onode *const *at = o->head;
    struct onode        *hit = NULL;

    for (int i = LEVELS - 1; i >= 0; i--) {
        while (at[i] != NULL && cmp(&at[i]->row, bid, name) < 0)
            at = at[i]->next;
        if (link != NULL)
            link[i] = (struct onode **)(uintptr_t)&at[i];
        hit = at[i];
    }
    return hit;
}

static unsigned
pick_level(struct overlay *o)
{
    unsigned l = 1;

    o->seed = o->seed * 6364136223846793005ULL + 1442695040888963407ULL;
    for (uint64_t r = o->seed >> 33; l < LEVELS && (r & 3) == 0; r >>= 2)
        l++;
    return l;
}

static int
set_value(struct overlay *o, struct onode *n, struct str value)
{
    char *to = n->big != NULL ? n->big : n->mem + n->row.name.n;

    if (value.n > n->cap) {
        to = malloc(value.n);
        if (to == NULL)
            return -AIS_E_NOMEM;
        free(n->big);
        n->big = to;
        o->bytes += value.n;
        n->cap = value.n;
    }
    if (value.n > 0)
        memcpy(to, value.p, value.n);
    n->row.value = str_from(to, value.n);
    return 0;
}

int
overlay_put(struct overlay *o, uint64_t bid, struct str name, struct str value)
{
    struct onode **link[LEVELS], *n = find(o, bid, name, link);
    unsigned       level;
    size_t         size;

    if (n != NULL && cmp(&n->row, bid, name) == 0)
        return set_value(o, n, value);
    level = pick_level(o);
    size = sizeof(*n) + level * sizeof(n->next[0]) + name.n + value.n;
    n = malloc(size);
    if (n == NULL)
        return -AIS_E_NOMEM;
    n->mem = (char *)&n->next[level];
    n->big = NULL;
    n->cap = value.n;
    memcpy(n->mem, name.p, name.n);
    n->row = (struct orow){ .bid = bid, .name = str_from(n->mem, name.n) };
    (void)set_value(o, n, value);
    for (unsigned i = 0; i < level; i++) {
        n->next[i] = *link[i];
        *link[i] = n;
    }
    o->n++;
    o->bytes += size;
    return 0;
}

const struct orow *
overlay_seek(const struct overlay *o, uint64_t bid, struct str name, bool after)
{
    const struct onode *n = find(o, bid, name, NULL);

    if (after && n != NULL && cmp(&n->row, bid, name) == 0)
        n = n->next[0];
    return n == NULL ? NULL : &n->row;
}

const struct orow *
overlay_get(const struct overlay *o, uint64_t bid, struct str name)
{
    const struct onode *n = find(o, bid, name, NULL);

    return n != NULL && cmp(&n->row, bid, name) == 0 ? &n->row : NULL;
}

const struct orow *
overlay_first(const struct overlay *o)
{
    return o->head[0] == NULL ? NULL : &o->head[0]->row;
}

const struct orow *
overlay_next(const struct orow *r)
{
    const struct onode *n = (const struct onode *)(const void *)r;

    return n->next[0] == NULL ? NULL : &n->next[0]->row;
}

size_t
overlay_count(const struct overlay *o)
{
    return o->n;
}

size_t
overlay_bytes(const struct overlay *o)
{
    return o->bytes;
}
