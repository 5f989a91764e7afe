/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive hash map: entries embed a struct hnode; the caller supplies the 64-bit hash and compares keys itself.
 *
 *     for (n = hmap_first(&m, h); n != NULL; n = hmap_next_same(n, h))
 *         if (str_eq(CONTAINER_OF(n, struct thing, node)->name, name)) ...
 *
 * Grows by doubling (amortised, malloc of the bucket table only). Lists and queues: <sys/queue.h>. Not thread-safe.
 */
#ifndef BASE_HMAP_H
#define BASE_HMAP_H

#include <stddef.h>
#include <stdint.h>

struct hnode {
    struct hnode *next;
    uint64_t      hash;
};

struct hmap {
    struct hnode **tab;
    size_t         mask; /* buckets - 1; 0 with tab NULL: nothing allocated yet */
    size_t         n;    /* entries */
};

void          hmap_fini(struct hmap *m); /* frees the table, not the entries */
void          hmap_add(struct hmap *m, struct hnode *n, uint64_t hash);
void          hmap_del(struct hmap *m, struct hnode *n);
struct hnode *hmap_first(const struct hmap *m, uint64_t hash);
struct hnode *hmap_next_same(const struct hnode *n, uint64_t hash);
/* All entries in no order: start with it = NULL. To delete while iterating, fetch the next one first. */
struct hnode *hmap_iter(const struct hmap *m, const struct hnode *it);
uint64_t      hash_bytes(const void *p, size_t n, uint64_t seed); /* fast, in memory only: never on wire or disk */
uint64_t      hash_u64(uint64_t v);

#endif
