/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a history of one register linearizable? Search for an order that respects real time, in the manner of Wing and Gong: take any
 * operation that began before every other pending one ended, if the register allows it; remember (taken, value) that led nowhere.
 *
 * Operations whose outcome nobody knows may be taken at any time after they began, or never. At most HIST_MAX that are not settled.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hmap.h"
#include "base/util.h"
#include "cluster.h"

#define MASK_WORDS 8 /* operations of one register: 512 */

size_t
hist_begin(struct history *h, enum hkind kind, uint64_t value, int client)
{
    if (h->n == h->cap) {
        h->cap = MAX(h->cap * 2, (size_t)32);
        h->op = xrealloc(h->op, h->cap * sizeof(*h->op));
    }
    h->op[h->n] = (struct hop){ .kind = kind, .value = value, .inv = sim_now(), .ret = INT64_MAX, .client = client };
    return h->n++;
}

void
hist_end(struct history *h, size_t i, enum hkind kind, uint64_t value)
{
    h->op[i].kind = kind;
    h->op[i].value = value;
    h->op[i].ret = sim_now();
}

void
hist_drop(struct history *h, size_t i)
{
    h->op[i].inv = -1;
}

/* The register after the operation; false: it could not have gone so. */
static bool
step(const struct hop *o, uint64_t *v)
{
    switch (o->kind) {
    case H_WRITE:
        *v = o->value;
        return true;
    case H_READ:
        return *v == o->value;
    case H_CREATE:
        if (*v != 0)
            return o->ret == INT64_MAX; /* unknown: it may have been refused */
        *v = 1;
        return true;
    case H_CREATE_EXISTS:
        return *v != 0;
    case H_DESTROY:
        if (*v == 0)
            return o->ret == INT64_MAX;
        *v = 0;
        return true;
    case H_DESTROY_NONE: /* perhaps it was there: the client's own first try, whose answer was lost, destroyed it */
        *v = 0;
        return true;
    }
    return false;
}

struct seen {
    struct hnode node;
    uint64_t     value, mask[MASK_WORDS];
};

struct search {
    const struct hop **op;
    size_t             n, left; /* left: settled ones not taken yet */
    uint64_t           mask[MASK_WORDS];
    struct hmap        seen;
    uint64_t           budget;
};

static bool
taken(const struct search *s, size_t i)
{
    return (s->mask[i / 64] >> (i % 64) & 1) != 0;
}

static bool
been_here(struct search *s, uint64_t value)
{
    uint64_t      h = hash_bytes(s->mask, sizeof(s->mask), value);
    struct hnode *n;
    struct seen  *e;

    for (n = hmap_first(&s->seen, h); n != NULL; n = hmap_next_same(n, h)) {
        e = CONTAINER_OF(n, struct seen, node);
        if (e->value == value && memcmp(e->mask, s->mask, sizeof(s->mask)) == 0)
            return true;
    }
    e = xcalloc(1, sizeof(*e));
    e->value = value;
    memcpy(e->mask, s->mask, sizeof(s->mask));
    hmap_add(&s->seen, &e->node, h);
    return false;
}

static bool
search(struct search *s, uint64_t value)
{
    int64_t first_end = INT64_MAX;

    if (s->left == 0)
        return true;
    if (s->budget-- == 0 || been_here(s, value))
        return s->budget > UINT64_MAX / 2; /* out of budget: no verdict is no failure */
    for (size_t i = 0; i < s->n; i++)
        if (!taken(s, i))
            first_end = MIN(first_end, s->op[i]->ret);
    for (size_t i = 0; i < s->n && s->op[i]->inv <= first_end; i++) {
        uint64_t v = value;
        bool     settled = s->op[i]->ret != INT64_MAX, ok;

        if (taken(s, i) || !step(s->op[i], &v))
            continue;
        s->mask[i / 64] |= 1ULL << (i % 64);
        s->left -= settled;
        ok = search(s, v);
        s->left += settled;
        s->mask[i / 64] &= ~(1ULL << (i % 64));
        if (ok)
            return true;
    }
    return false;
}

static int
by_start(const void *a, const void *b)
{
    const struct hop *x = *(const struct hop *const *)a, *y = *(const struct hop *const *)b;

    return x->inv != y->inv ? (x->inv < y->inv ? -1 : 1) : x < y ? -1 : 1;
}

bool
hist_check(const struct history *h)
{
    struct search s = { .budget = 200000 };
    struct hnode *n, *next;
    bool          ok;

    s.op = xcalloc(h->n + 1, sizeof(const struct hop *));
    for (size_t i = 0; i < h->n; i++)
        if (h->op[i].inv >= 0 && !(h->op[i].ret == INT64_MAX && h->op[i].kind == H_READ))
            s.op[s.n++] = &h->op[i];
    ASSERT(s.n <= (size_t)64 * MASK_WORDS);
    qsort(s.op, s.n, sizeof(const struct hop *), by_start);
    for (size_t i = 0; i < s.n; i++)
        s.left += s.op[i]->ret != INT64_MAX;
    ok = search(&s, 0);
    for (n = hmap_iter(&s.seen, NULL); n != NULL; n = next) {
        next = hmap_iter(&s.seen, n);
        hmap_del(&s.seen, n);
        free(CONTAINER_OF(n, struct seen, node));
    }
    hmap_fini(&s.seen);
    free(s.op);
    return ok;
}

void
hist_print(const struct history *h)
{
    static const char *const names[] = { "write", "read", "create", "create: exists", "destroy", "destroy: none" };

    for (size_t i = 0; i < h->n; i++) {
        const struct hop *o = &h->op[i];

        if (o->inv < 0)
            continue;
        fprintf(stderr, "    %10.6f .. ", (double)o->inv / 1e9);
        if (o->ret == INT64_MAX)
            fprintf(stderr, "  unknown  ");
        else
            fprintf(stderr, "%10.6f ", (double)o->ret / 1e9);
        fprintf(stderr, "client %d %s %llu\n", o->client, names[o->kind], (unsigned long long)o->value);
    }
}
