/* SPDX-License-Identifier: Apache-2.0 */
/* EC metadata of Go AIStore: a real slice's and a real replica's, damage. */
#include "unit.h"

#include "codec/ecmd.c"
#include "hex.h"

/* ec/large, slice 2 of 1+1 */
static const char golden_slice[] =
    "00000001000003a4afde4707000000000000c35000010001000200000000096150587433383038330000001035373566"
    "323739613638626332386532000000013100000007787868617368320000001035373566323739613638626332386532"
    "000000030000000976474574333830383200020000000961505874333830383300000000000978414e74333830383100"
    "013c12a8097bfa5bbc";
/* ec/small, replicated */
static const char golden_replica[] =
    "00000001000003a4afc26cc900000000000003e800010001000001000000097647457433383038320000001061623535"
    "393661613738303938376339000000013100000007787868617368320000000000000002000000097647457433383038"
    "3200000000000978414e74333830383100007a124c4c2d29cfd6";

static void
a_real_slice_is_described(void **state)
{
    static const struct {
        const char *id;
        uint16_t    slice;
    } nodes[] = { { "vGEt38082", 2 }, { "aPXt38083", 0 }, { "xANt38081", 1 } };
    struct arena  *a = arena_new(4096, 1 << 20);
    struct ecmd    m;
    size_t         n;
    unsigned char *image = unhex(golden_slice, &n);

    (void)state;
    assert_int_equal(0, ecmd_decode(a, image, n, &m));
    assert_int_equal(1, m.version);
    assert_true(m.generation == 4005860099847);
    assert_int_equal(50000, m.size);
    assert_int_equal(1, m.data);
    assert_int_equal(1, m.parity);
    assert_int_equal(2, m.slice_id);
    assert_false(m.is_copy);
    assert_str("aPXt38083", m.full_replica);
    assert_str("575f279a68bc28e2", m.obj_cksum);
    assert_str("1", m.obj_version);
    assert_str("xxhash2", m.cksum_type);
    assert_str("575f279a68bc28e2", m.slice_cksum); /* one data slice: the slice is the object */
    assert_int_equal(3, m.nnodes);
    for (unsigned i = 0; i < 3; i++) {
        assert_str(nodes[i].id, m.nodes[i].id);
        assert_int_equal(nodes[i].slice, m.nodes[i].slice);
    }
    free(image);
    arena_free(a);
}

static void
a_real_replica_is_described(void **state)
{
    struct arena  *a = arena_new(4096, 1 << 20);
    struct ecmd    m;
    size_t         n;
    unsigned char *image = unhex(golden_replica, &n);

    (void)state;
    assert_int_equal(0, ecmd_decode(a, image, n, &m));
    assert_int_equal(1000, m.size);
    assert_true(m.is_copy);
    assert_int_equal(0, m.slice_id);
    assert_str("vGEt38082", m.full_replica);
    assert_int_equal(0, m.slice_cksum.n);
    assert_int_equal(2, m.nnodes);
    free(image);
    arena_free(a);
}

static void
every_flipped_bit_and_every_cut_is_noticed(void **state)
{
    struct arena  *a = arena_new(4096, 1 << 20);
    struct ecmd    m;
    size_t         n;
    unsigned char *image = unhex(golden_slice, &n);

    (void)state;
    for (size_t i = 0; i < 8 * n; i++) {
        image[i / 8] ^= (unsigned char)(1 << i % 8);
        assert_int_equal(-AIS_E_CORRUPT, ecmd_decode(a, image, n, &m));
        image[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char *cut = copy_of(image, i);

        assert_int_equal(-AIS_E_CORRUPT, ecmd_decode(a, cut, i, &m));
        free(cut);
    }
    free(image);
    arena_free(a);
}

/* Set bytes of the golden slice, make the sum right again, decode. */
static int
decode_with(size_t off, const char *bytes, size_t n)
{
    struct arena  *a = arena_new(4096, 1 << 20);
    struct ecmd    m;
    size_t         size;
    unsigned char *image = unhex(golden_slice, &size);
    int            rc;

    memcpy(image + off, bytes, n);
    be64_put(image + size - 8, xxh64(image, size - 8, AIS_HASH_SEED));
    rc = ecmd_decode(a, image, size, &m);
    free(image);
    arena_free(a);
    return rc;
}

static void
forged_lengths_and_counts_are_corrupt(void **state)
{
    (void)state;
    assert_int_equal(0, decode_with(0, "\0\0\0\1", 4));
    assert_int_equal(-AIS_E_CORRUPT, decode_with(0, "\0\0\0\2", 4));          /* version */
    assert_int_equal(-AIS_E_CORRUPT, decode_with(12, "\xff", 1));             /* size */
    assert_int_equal(-AIS_E_CORRUPT, decode_with(27, "\xff\xff\xff\xff", 4)); /* length of a name */
    assert_int_equal(-AIS_E_CORRUPT, decode_with(96, "\xff\xff\xff\xff", 4)); /* nodes */
    assert_int_equal(-AIS_E_CORRUPT, decode_with(96, "\0\0\0\2", 4));         /* something behind */
}

static void
what_is_encoded_is_what_go_wrote(void **state)
{
    const char *const golden[] = { golden_slice, golden_replica };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct arena  *a = arena_new(4096, 1 << 20);
        struct ecmd    m;
        struct sbuf    out;
        size_t         n;
        unsigned char *image = unhex(golden[i], &n);

        sbuf_init(&out, 1 << 20);
        assert_int_equal(0, ecmd_decode(a, image, n, &m));
        assert_int_equal(0, ecmd_encode(&m, &out));
        assert_int_equal(n, out.n);
        assert_memory_equal(image, out.p, n);
        sbuf_fini(&out);
        free(image);
        arena_free(a);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_real_slice_is_described),
        cmocka_unit_test(a_real_replica_is_described),
        cmocka_unit_test(what_is_encoded_is_what_go_wrote),
        cmocka_unit_test(every_flipped_bit_and_every_cut_is_noticed),
        cmocka_unit_test(forged_lengths_and_counts_are_corrupt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
