/* SPDX-License-Identifier: Apache-2.0 */
/* Arenas, growing buffers, hash maps: limits above all. */
#include "unit.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/hmap.h"
#include "base/sbuf.h"
#include "base/util.h"

static void
an_arena_gives_aligned_memory_up_to_its_maximum(void **state)
{
    struct arena *a = arena_new(256, 4096);
    size_t        n = 0;
    char         *p;

    (void)state;
    assert_null(arena_alloc(a, 4097));
    assert_null(arena_alloc(a, SIZE_MAX));
    for (;; n += 64) {
        p = arena_alloc(a, 64);
        if (p == NULL)
            break;
        assert_int_equal(0, (uintptr_t)p % 16);
        memset(p, 'x', 64);
        assert_true(n <= 4096);
    }
    assert_int_equal(4096, arena_used(a));
    arena_reset(a);
    assert_int_equal(0, arena_used(a));
    assert_non_null(arena_alloc(a, 0)); /* nothing is something */
    arena_free(a);
    arena_free(NULL);
}

static void
an_arena_copies_strings(void **state)
{
    struct arena *a = arena_new(64, 128);
    struct str    s = arena_str(a, STR_LIT("a\0b"));
    char          big[200] = { 0 };

    (void)state;
    assert_int_equal(3, s.n);
    assert_memory_equal("a\0b", s.p, 4);
    assert_true(str_eqz(arena_printf(a, "%d-%s", 7, "x"), "7-x"));
    assert_null(arena_str(a, str_from(big, sizeof(big))).p);
    assert_null(arena_printf(a, "%200d", 7).p);
    assert_string_equal("z", arena_strdup(a, STR_LIT("z")));
    for (char *z = arena_zalloc(a, 8), *end = z + 8; z < end; z++)
        assert_int_equal(0, *z);
    arena_free(a);
}

static void
a_buffer_fails_once_and_stays_failed(void **state)
{
    struct sbuf b;

    (void)state;
    sbuf_init(&b, 10);
    sbuf_puts(&b, STR_LIT("01234"));
    sbuf_printf(&b, "%d", 56789);
    assert_true(sbuf_ok(&b));
    assert_true(str_eqz(sbuf_str(&b), "0123456789"));
    assert_int_equal('\0', b.p[b.n]);
    sbuf_putc(&b, 'x');
    assert_false(sbuf_ok(&b));
    assert_true(str_eqz(sbuf_str(&b), "0123456789"));
    assert_null(sbuf_reserve(&b, 0));
    sbuf_reset(&b);
    assert_true(sbuf_ok(&b));
    assert_null(sbuf_reserve(&b, SIZE_MAX));
    sbuf_fini(&b);
    sbuf_fini(&b);
}

static void
a_buffer_grows_as_needed(void **state)
{
    struct sbuf b;

    (void)state;
    sbuf_init(&b, 1 << 20);
    for (int i = 0; i < 100000; i++)
        sbuf_putc(&b, (char)('a' + i % 26));
    sbuf_put(&b, NULL, 0);
    assert_int_equal(100000, b.n);
    for (int i = 0; i < 100000; i++)
        assert_int_equal('a' + i % 26, b.p[i]);
    sbuf_fini(&b);
}

struct thing {
    struct hnode node;
    uint64_t     key;
};

static void
a_map_finds_what_was_added_and_not_what_was_deleted(void **state)
{
    enum { N = 5000 };
    struct hmap   m = { .tab = NULL };
    struct thing *t = calloc(N, sizeof(*t));
    size_t        seen = 0;

    (void)state;
    assert_null(hmap_first(&m, 1));
    assert_null(hmap_iter(&m, NULL));
    for (uint64_t i = 0; i < N; i++) {
        t[i].key = i;
        hmap_add(&m, &t[i].node, hash_u64(i % (N / 2))); /* every hash twice */
    }
    assert_int_equal(N, m.n);
    for (uint64_t i = 0; i < N; i += 3)
        hmap_del(&m, &t[i].node);
    for (uint64_t i = 0; i < N; i++) {
        uint64_t h = hash_u64(i % (N / 2));
        bool     found = false;

        for (struct hnode *n = hmap_first(&m, h); n != NULL; n = hmap_next_same(n, h))
            found |= CONTAINER_OF(n, struct thing, node)->key == i;
        assert_int_equal(i % 3 != 0, found);
    }
    for (struct hnode *n = hmap_iter(&m, NULL); n != NULL; n = hmap_iter(&m, n))
        seen++;
    assert_int_equal(m.n, seen);
    hmap_fini(&m);
    free(t);
}

static void
byte_hashes_depend_on_every_byte_and_the_seed(void **state)
{
    char     t[40] = { 0 };
    uint64_t h;

    (void)state;
    for (size_t n = 1; n <= sizeof(t); n++) {
        h = hash_bytes(t, n, 1);
        assert_true(h != hash_bytes(t, n, 2));
        assert_true(h != hash_bytes(t, n - 1, 1));
        for (size_t i = 0; i < n; i++) {
            t[i] ^= 1;
            assert_true(h != hash_bytes(t, n, 1));
            t[i] ^= 1;
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_arena_gives_aligned_memory_up_to_its_maximum),
        cmocka_unit_test(an_arena_copies_strings),
        cmocka_unit_test(a_buffer_fails_once_and_stays_failed),
        cmocka_unit_test(a_buffer_grows_as_needed),
        cmocka_unit_test(a_map_finds_what_was_added_and_not_what_was_deleted),
        cmocka_unit_test(byte_hashes_depend_on_every_byte_and_the_seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
