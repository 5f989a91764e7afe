/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests of chunked objects: a real one, round trips, damage. */
#include "unit.h"

#include "codec/ufest.c"
#include "hex.h"

/* plain/chunked: three chunks of 30000, 20000 and 7 bytes */
static const char golden[] =
    "04224d186470b9ac000000f44b010009786565557064784c4318ea8136fc7d8b6900030001000000000000753000262f"
    "6169732f646174612f6d70312f332f406169732f706c61696e2f256f622f6368756e6b65640006637263333263000834"
    "3163623565383344000202004f4e2000354a00092463684a00152e9000562e303030325900a233396361333161300002"
    "53000302001a0759001b32a3000f59000516335900f0013665356462333638000300000000000000000000ff7566995d"
    "b7cf8453ef9578";

static void
a_real_manifest_is_read(void **state)
{
    static const struct {
        uint64_t    size;
        const char *path, *crc;
    } want[] = {
        { 30000, "/ais/data/mp1/3/@ais/plain/%ob/chunked", "41cb5e83" },
        { 20000, "/ais/data/mp1/3/@ais/plain/%ch/chunked.xeeUpdxLC.0002", "39ca31a0" },
        { 7, "/ais/data/mp2/3/@ais/plain/%ch/chunked.xeeUpdxLC.0003", "6e5db368" },
    };
    struct arena  *a = arena_new(4096, 1 << 20);
    struct ufest   u;
    size_t         n;
    unsigned char *image = unhex(golden, &n);

    (void)state;
    assert_int_equal(0, ufest_decode(a, image, n, &u));
    free(image); /* the record lives in the arena */
    assert_str("xeeUpdxLC", u.id);
    assert_true(u.created_ns == 1795389474624867177);
    assert_int_equal(UFEST_COMPLETED, u.flags);
    assert_int_equal(3, u.n);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(want[i].size, u.chunks[i].size);
        assert_str(want[i].path, u.chunks[i].path);
        assert_int_equal(CKSUM_CRC32C, u.chunks[i].cksum.type);
        assert_string_equal(want[i].crc, u.chunks[i].cksum.value);
        assert_int_equal(i + 1, u.chunks[i].num);
        assert_int_equal(0, u.chunks[i].flags);
        assert_false(u.chunks[i].has_md5);
        assert_int_equal(0, u.chunks[i].etag.n);
    }
    arena_free(a);
}

static void
a_written_manifest_reads_back(void **state)
{
    struct arena  *a = arena_new(4096, 16 << 20);
    struct uchunk *chunks = calloc(UFEST_MAX_CHUNKS, sizeof(*chunks));
    struct ufest   u = { .id = STR_LIT("up"), .created_ns = -5, .flags = 0, .chunks = chunks }, r;
    struct sbuf    out;

    (void)state;
    for (unsigned i = 0; i < UFEST_MAX_CHUNKS; i++) {
        chunks[i] = (struct uchunk){
            .size = 5ull << 30, .path = STR_LIT("/p"), .num = (uint16_t)(i + 1), .etag = STR_LIT("e")
        };
        chunks[i].has_md5 = i % 2 == 0;
        memset(chunks[i].md5, chunks[i].has_md5 ? 0x77 : 0, sizeof(chunks[i].md5));
        chunks[i].etag = STR_LIT("tag");
        cksum_of((enum cksum_type)(i % CKSUM_NTYPES), "x", 1, &chunks[i].cksum);
    }
    sbuf_init(&out, 16 << 20);
    for (unsigned n = 0; n <= UFEST_MAX_CHUNKS; n += UFEST_MAX_CHUNKS / 3) {
        u.n = n;
        sbuf_reset(&out);
        arena_reset(a);
        assert_int_equal(0, ufest_encode(&u, &out));
        assert_int_equal(0, ufest_decode(a, out.p, out.n, &r));
        assert_str("up", r.id);
        assert_true(r.created_ns == -5);
        assert_int_equal(n, r.n);
        for (unsigned i = 0; i < n; i++) {
            assert_true(r.chunks[i].size == 5ull << 30);
            assert_true(cksum_eq(&chunks[i].cksum, &r.chunks[i].cksum));
            assert_int_equal(chunks[i].has_md5, r.chunks[i].has_md5);
            assert_memory_equal(chunks[i].md5, r.chunks[i].md5, 16);
            assert_str("tag", r.chunks[i].etag);
        }
    }
    u.n = UFEST_MAX_CHUNKS + 1;
    assert_int_equal(-AIS_E_INVAL, ufest_encode(&u, &out));
    sbuf_fini(&out);
    free(chunks);
    arena_free(a);
}

/* A payload in its frame with the right sum. */
static int
decode_payload(const char *t, size_t n)
{
    struct arena *a = arena_new(4096, 1 << 20);
    struct sbuf   image;
    unsigned char sum[8];
    struct ufest  u;
    int           rc;

    sbuf_init(&image, 1 << 20);
    assert_int_equal(0, lz4f_encode(str_from(t, n), LZ4F_BLOCK_4M, &image));
    be64_put(sum, xxh64(image.p, image.n, AIS_HASH_SEED));
    sbuf_put(&image, sum, 8);
    rc = ufest_decode(a, image.p, image.n, &u);
    sbuf_fini(&image);
    arena_free(a);
    return rc;
}

#define HEAD_OK "\1\0\2id\0\0\0\0\0\0\0\0"
#define SIZE_OK "\0\0\0\0\0\0\0\5"

static void
what_breaks_the_rules_is_corrupt(void **state)
{
    static const struct {
        const char *what, *t;
        size_t      n;
        int         rc;
    } cases[] = {
#define C(what, t, rc) { what, t, sizeof(t) - 1, rc }
        C("none", HEAD_OK "\0\0\0\0", 0),
        C("one", HEAD_OK "\0\1\0\1" SIZE_OK "\0\1p\0\0\0\1\0\0\0\0\0\0", 0),
        C("empty", "", -AIS_E_CORRUPT),
        C("version", "\2\0\2id\0\0\0\0\0\0\0\0\0\0\0\0", -AIS_E_CORRUPT),
        C("id too long", "\1\xff\xffid\0\0\0\0\0\0\0\0\0\0\0\0", -AIS_E_CORRUPT),
        C("more chunks than bytes", HEAD_OK "\x27\x0f\0\0", -AIS_E_CORRUPT),
        C("over 9999", HEAD_OK "\xff\xff\0\0", -AIS_E_CORRUPT),
        C("byte behind", HEAD_OK "\0\0\0\0x", -AIS_E_CORRUPT),
        C("cut chunk", HEAD_OK "\0\1\0\1" SIZE_OK "\0\1p\0\0\0\1\0\0\0\0\0", -AIS_E_CORRUPT),
        C("unknown checksum", HEAD_OK "\0\1\0\1" SIZE_OK "\0\1p\0\1x\0\1y\0\1\0\0\0\0\0\0", -AIS_E_CORRUPT),
        C("short md5", HEAD_OK "\0\1\0\1" SIZE_OK "\0\1p\0\0\0\1\0\0\0\1m\0\0", -AIS_E_CORRUPT),
#undef C
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (decode_payload(cases[i].t, cases[i].n) != cases[i].rc)
            fail_msg("%s", cases[i].what);
}

static void
every_flipped_bit_and_every_cut_is_noticed(void **state)
{
    struct arena  *a = arena_new(4096, 1 << 20);
    struct ufest   u;
    size_t         n;
    unsigned char *image = unhex(golden, &n);

    (void)state;
    for (size_t i = 0; i < 8 * n; i++) {
        image[i / 8] ^= (unsigned char)(1 << i % 8);
        assert_int_equal(-AIS_E_CORRUPT, ufest_decode(a, image, n, &u));
        image[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char *cut = copy_of(image, i);

        assert_int_equal(-AIS_E_CORRUPT, ufest_decode(a, cut, i, &u));
        free(cut);
    }
    free(image);
    arena_free(a);
}

static void
an_arena_that_is_too_small_is_reported(void **state)
{
    struct arena  *a = arena_new(64, 128);
    struct ufest   u;
    size_t         n;
    unsigned char *image = unhex(golden, &n);

    (void)state;
    assert_int_equal(-AIS_E_TOOBIG, ufest_decode(a, image, n, &u));
    free(image);
    arena_free(a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_real_manifest_is_read),
        cmocka_unit_test(a_written_manifest_reads_back),
        cmocka_unit_test(what_breaks_the_rules_is_corrupt),
        cmocka_unit_test(every_flipped_bit_and_every_cut_is_noticed),
        cmocka_unit_test(an_arena_that_is_too_small_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
