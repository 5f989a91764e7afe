/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive hash map. Runs on: the owner's thread. */
#include "base/hmap.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/util.h"

#define HMAP_MIN 16

uint64_t
hash_u64(uint64_t v)
{
    v ^= v >> 32;
    v *= 0xd6e8feb86659fd93ULL;
    v ^= v >> 32;
    v *= 0xd6e8feb86659fd93ULL;
    v ^= v >> 32;
    return v;
}

uint64_t
hash_bytes(const void *p, size_t n, uint64_t seed)
{
    const unsigned char *b = p;
    uint64_t             h = seed ^ (n * 0x9e3779b97f4a7c15ULL), w;

    for (; n >= 8; b += 8, n -= 8) {
        memcpy(&w, b, 8);
        h = (h ^ w) * 0xff51afd7ed558ccdULL;
        h ^= h >> 32;
    }
    w = 0;
    if (n > 0)
        memcpy(&w, b, n);
    return hash_u64(h ^ w);
}

void
hmap_fini(struct hmap *m)
{
    free(m->tab);
    *m = (struct hmap){ 0 };
}

static void
grow(struct hmap *m)
{
    size_t         size = m->tab == NULL ? HMAP_MIN : (m->mask + 1) * 2;
    struct hnode **tab = xcalloc(size, sizeof(*tab));

    for (size_t i = 0; m->tab != NULL && i <= m->mask; i++) {
        struct hnode *n = m->tab[i], *next;

        for (; n != NULL; n = next) {
            next = n->next;
            n->next = tab[n->hash & (size - 1)];
            tab[n->hash & (size - 1)] = n;
        }
    }
    free(m->tab);
    m->tab = tab;
    m->mask = size - 1;
}

void
hmap_add(struct hmap *m, struct hnode *n, uint64_t hash)
{
    if (m->tab == NULL || m->n > m->mask)
        grow(m);
    n->hash = hash;
    n->next = m->tab[hash & m->mask];
    m->tab[hash & m->mask] = n;
    m->n++;
}

void
hmap_del(struct hmap *m, struct hnode *n)
{
    struct hnode **pp = &m->tab[n->hash & m->mask];

    while (*pp != n) {
        ASSERT(*pp != NULL);
        pp = &(*pp)->next;
    }
    *pp = n->next;
    n->next = NULL;
    m->n--;
}

static struct hnode *
same(struct hnode *n, uint64_t hash)
{
    while (n != NULL && n->hash != hash)
        n = n->next;
    return n;
}

struct hnode *
hmap_first(const struct hmap *m, uint64_t hash)
{
    return m->tab == NULL ? NULL : same(m->tab[hash & m->mask], hash);
}

struct hnode *
hmap_next_same(const struct hnode *n, uint64_t hash)
{
    return same(n->next, hash);
}

struct hnode *
hmap_iter(const struct hmap *m, const struct hnode *it)
{
    size_t i = 0;

    if (m->tab == NULL)
        return NULL;
    if (it != NULL) {
        if (it->next != NULL)
            return it->next;
        i = (it->hash & m->mask) + 1;
    }
    for (; i <= m->mask; i++)
        if (m->tab[i] != NULL)
            return m->tab[i];
    return NULL;
}
