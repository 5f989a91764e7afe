/* SPDX-License-Identifier: Apache-2.0 */
/* The object xattr: images from the disks of a real cluster, and damage. */
#include "unit.h"

#include "codec/lmeta.c"
#include "hex.h"

/* plain/custom: three custom pairs, one empty */
static const char golden_custom[] =
    "0201a6b08a6d1b2e1c1f000078786861736832e32fbd000139383762353065663932636164633063e32fbd000231e32f"
    "bd00030000000000000014e32fbd00068000000000000001e32fbd00070000000000000000e32fbd0005656d70747901"
    "01756e69636f646501c3bc01636f6c6f7201726564";
/* mirror/a: two copies */
static const char golden_mirrored[] =
    "0201211c6bca722aa96b000078786861736832e32fbd000134346638363034656265656234363031e32fbd000231e32f"
    "bd00030000000000000064e32fbd00068000000000000004e32fbd00070000000000000000e32fbd00042f6169732f64"
    "6174612f6d70322f322f406169732f6d6972726f722f256f622f61002f6169732f646174612f6d70312f322f40616973"
    "2f6d6972726f722f256f622f61";
/* plain/chunked */
static const char golden_chunked[] =
    "02012ceb6da9e698fce8000078786861736832e32fbd000136393430353734653439393634333636e32fbd000231e32f"
    "bd0003000000000000c357e32fbd00062000000000000000e32fbd00070000000000000000";
/* nock/a: a bucket without checksums */
static const char golden_no_cksum[] =
    "02014ede6fd999c893f800006e6f6e65e32fbd0001e32fbd000231e32fbd00030000000000000064e32fbd0006000000"
    "0000000000e32fbd00070000000000000000";
/* md5/a */
static const char golden_md5[] =
    "02018b8373ea6326f61100006d6435e32fbd000137313037316334393066316638383961323364356330333330663830"
    "33326134e32fbd000231e32fbd00030000000000000064e32fbd00060000000000000000e32fbd000700000000000000"
    "00";

static void
decode_golden(const char *hex, struct lmeta *m, unsigned char **image)
{
    unsigned char out[LMETA_MAX];
    size_t        n;

    *image = unhex(hex, &n);
    memset(m, 0xa5, sizeof(*m));
    assert_int_equal(0, lmeta_decode(*image, n, m));
    assert_int_equal(2, m->meta_version);
    assert_int_equal(n, lmeta_encode(m, out));
    assert_memory_equal(*image, out, n);
}

static void
custom_metadata_of_a_real_object_is_read(void **state)
{
    static const char *const want[][2] = { { "empty", "" }, { "unicode", "\xc3\xbc" }, { "color", "red" } };
    struct lmeta             m;
    unsigned char           *image;

    (void)state;
    decode_golden(golden_custom, &m, &image);
    assert_int_equal(20, m.size);
    assert_int_equal(CKSUM_XXHASH2, m.cksum.type);
    assert_string_equal("987b50ef92cadc0c", m.cksum.value);
    assert_str("1", m.version);
    assert_true(m.lid == (1 | LID_AIS_BCK));
    assert_int_equal(1, LID_BID(m.lid));
    assert_int_equal(0, m.flags);
    assert_int_equal(0, m.ncopies);
    assert_int_equal(3, m.ncustom);
    for (unsigned i = 0; i < 3; i++) {
        assert_str(want[i][0], m.custom[i].k);
        assert_str(want[i][1], m.custom[i].v);
    }
    free(image);
}

static void
copies_of_a_real_mirrored_object_are_read(void **state)
{
    struct lmeta   m;
    unsigned char *image;

    (void)state;
    decode_golden(golden_mirrored, &m, &image);
    assert_int_equal(100, m.size);
    assert_int_equal(2, m.ncopies);
    assert_str("/ais/data/mp2/2/@ais/mirror/%ob/a", m.copies[0]);
    assert_str("/ais/data/mp1/2/@ais/mirror/%ob/a", m.copies[1]);
    assert_int_equal(0, m.ncustom);
    free(image);
}

static void
other_real_objects_are_read(void **state)
{
    struct lmeta   m;
    unsigned char *image;

    (void)state;
    decode_golden(golden_chunked, &m, &image);
    assert_int_equal(50007, m.size);
    assert_true(m.lid == LID_CHUNKED);
    assert_string_equal("6940574e49964366", m.cksum.value);
    free(image);
    decode_golden(golden_no_cksum, &m, &image);
    assert_int_equal(CKSUM_NONE, m.cksum.type);
    assert_string_equal("", m.cksum.value);
    assert_int_equal(0, m.lid);
    free(image);
    decode_golden(golden_md5, &m, &image);
    assert_int_equal(CKSUM_MD5, m.cksum.type);
    assert_string_equal("71071c490f1f889a23d5c0330f8032a4", m.cksum.value);
    free(image);
}

/* A payload with the right head before it. */
static int
decode_payload(int version, const char *payload, size_t n, struct lmeta *m)
{
    unsigned char *b = malloc(HEAD + n);
    int            rc;

    b[0] = (unsigned char)version;
    b[1] = 1;
    memcpy(b + HEAD, payload, n);
    be64_put(b + 2, xxh64(b + HEAD, n, AIS_HASH_SEED));
    rc = lmeta_decode(b, HEAD + n, m);
    free(b);
    return rc;
}

#define S            "\xe3\x2f\xbd"
#define SIZE_REC     "\0\3\0\0\0\0\0\0\0\5"
#define DECODE(v, t) decode_payload(v, t, sizeof(t) - 1, &m)

static void
sizes_that_contain_the_separator_are_read_right(void **state)
{
    static const uint64_t values[] = { 0xE32FBD, 0xE32FBDull << 40, 0xE32FBDE32FBD, 0xBDE32FBDE32Full, UINT64_MAX };
    struct lmeta          m = { .version = STR_LIT("7") }, r;
    unsigned char         out[LMETA_MAX];
    int                   n;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        m.size = values[i];
        m.lid = values[(i + 1) % ARRAY_SIZE(values)];
        m.flags = values[(i + 2) % ARRAY_SIZE(values)];
        n = lmeta_encode(&m, out);
        assert_true(n > 0);
        assert_int_equal(0, lmeta_decode(out, (size_t)n, &r));
        assert_true(r.size == m.size && r.lid == m.lid && r.flags == m.flags);
        assert_str("7", r.version);
    }
}

static void
version_1_records_are_read(void **state)
{
    struct lmeta m;

    (void)state;
    assert_int_equal(0, DECODE(1, "\0\0md5" S "\0\1ab" S SIZE_REC));
    assert_int_equal(1, m.meta_version);
    assert_int_equal(5, m.size);
    assert_int_equal(0, m.lid);
    assert_int_equal(-AIS_E_CORRUPT, DECODE(1, SIZE_REC S "\0\7\0\0\0\0\0\0\0\0"));
}

static void
records_may_come_in_any_order(void **state)
{
    struct lmeta m;

    (void)state;
    assert_int_equal(0, DECODE(2, "\0\5a\1b\1c\1d" S SIZE_REC S "\0\1ab" S "\0\4/x\0/y" S "\0\0md5"));
    assert_int_equal(2, m.ncustom);
    assert_int_equal(2, m.ncopies);
    assert_str("/y", m.copies[1]);
}

static void
what_breaks_the_rules_is_corrupt(void **state)
{
    static const struct {
        const char *what, *t;
        size_t      n;
    } cases[] = {
#define C(what, t) { what, t, sizeof(t) - 1 }
        C("no size", "\0\2"
                     "1"),
        C("size twice", SIZE_REC S SIZE_REC),
        C("version twice", SIZE_REC S "\0\2"
                                      "1" S "\0\2"
                                      "1"),
        C("unknown key", SIZE_REC S "\0\x8x"),
        C("high key", SIZE_REC S "\1\2x"),
        C("short size", "\0\3\0\0\0\0\0\0\5"),
        C("long size", SIZE_REC "\0"),
        C("separator at the end", SIZE_REC S),
        C("separator and one byte", SIZE_REC S "\0"),
        C("separator first", S SIZE_REC),
        C("two separators", SIZE_REC S S "\0\2"
                                         "1"),
        C("type without value", "\0\0md5" S SIZE_REC),
        C("value without type", "\0\1ab" S SIZE_REC),
        C("unknown type", "\0\0md6" S "\0\1ab" S SIZE_REC),
        C("NUL in value", "\0\0md5" S "\0\1a\0b" S SIZE_REC),
        C("key without value", SIZE_REC S "\0\5a"),
        C("odd parts", SIZE_REC S "\0\5a\1b\1c"),
        C("empty key", SIZE_REC S "\0\5\1b"),
        C("empty copy", SIZE_REC S "\0\4/x\0"),
        C("no copies", SIZE_REC S "\0\4"),
        C("one byte", "\0"),
#undef C
    };
    struct lmeta m;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (decode_payload(2, cases[i].t, cases[i].n, &m) != -AIS_E_CORRUPT)
            fail_msg("%s", cases[i].what);
    assert_int_equal(-AIS_E_CORRUPT, DECODE(0, SIZE_REC));
    assert_int_equal(-AIS_E_CORRUPT, DECODE(3, SIZE_REC));
}

static void
too_long_a_checksum_value_is_corrupt(void **state)
{
    char         t[300];
    struct lmeta m;
    size_t       n = sizeof("\0\0md5" S "\0\1") - 1;

    (void)state;
    memcpy(t, "\0\0md5" S "\0\1", n);
    memset(t + n, 'a', 200);
    memcpy(t + n + 200, S SIZE_REC, sizeof(S SIZE_REC) - 1);
    assert_int_equal(-AIS_E_CORRUPT, decode_payload(2, t, n + 200 + sizeof(S SIZE_REC) - 1, &m));
}

static void
every_flipped_bit_and_every_cut_is_noticed(void **state)
{
    static const char *const images[] = { golden_custom, golden_mirrored, golden_chunked };
    struct lmeta             m;

    (void)state;
    for (size_t k = 0; k < ARRAY_SIZE(images); k++) {
        size_t         n;
        unsigned char *image = unhex(images[k], &n);

        for (size_t i = 0; i < 8 * n; i++) {
            image[i / 8] ^= (unsigned char)(1 << i % 8);
            /* version 2 to 3, the algorithm, the sum and the payload: all of it is covered */
            assert_int_equal(-AIS_E_CORRUPT, lmeta_decode(image, n, &m));
            image[i / 8] ^= (unsigned char)(1 << i % 8);
        }
        for (size_t i = 0; i < n; i++) {
            unsigned char *cut = copy_of(image, i);

            assert_int_equal(-AIS_E_CORRUPT, lmeta_decode(cut, i, &m));
            free(cut);
        }
        free(image);
    }
}

static void
what_the_format_cannot_hold_is_not_written(void **state)
{
    unsigned char out[LMETA_MAX];
    char          big[LMETA_MAX];
    struct lmeta  m = { .version = STR_LIT(""), .ncustom = 1 };

    (void)state;
    m.custom[0] = (struct kv){ STR_LIT("k"), STR_LIT("v") };
    assert_true(lmeta_encode(&m, out) > 0);
    m.custom[0].v = STR_LIT("a\1b");
    assert_int_equal(-AIS_E_INVAL, lmeta_encode(&m, out));
    m.custom[0].v = STR_LIT("a" S "b");
    assert_int_equal(-AIS_E_INVAL, lmeta_encode(&m, out));
    m.custom[0] = (struct kv){ STR_LIT("k\1"), STR_LIT("v") };
    assert_int_equal(-AIS_E_INVAL, lmeta_encode(&m, out));
    m.custom[0].k = STR_LIT("");
    assert_int_equal(-AIS_E_INVAL, lmeta_encode(&m, out));
    m.custom[0].k = STR_LIT("k");
    m.version = STR_LIT(S);
    assert_int_equal(-AIS_E_INVAL, lmeta_encode(&m, out));
    m.version = STR_LIT("");
    m.ncopies = 1;
    m.copies[0] = STR_LIT("/a\0b");
    assert_int_equal(-AIS_E_INVAL, lmeta_encode(&m, out));
    m.ncopies = LMETA_MAX_COPIES + 1;
    assert_int_equal(-AIS_E_INVAL, lmeta_encode(&m, out));
    m.ncopies = 0;
    memset(big, 'x', sizeof(big));
    m.custom[0].v = str_from(big, sizeof(big));
    assert_int_equal(-AIS_E_TOOBIG, lmeta_encode(&m, out));
}

static void
the_largest_record_that_fits_reads_back(void **state)
{
    unsigned char out[LMETA_MAX];
    char          big[LMETA_MAX];
    struct lmeta  m = { .version = STR_LIT(""), .ncustom = 1 }, r;
    int           n = 0;

    (void)state;
    memset(big, 'x', sizeof(big));
    m.custom[0].k = STR_LIT("k");
    for (size_t len = 3900; n != -AIS_E_TOOBIG; len++) {
        m.custom[0].v = str_from(big, len);
        n = lmeta_encode(&m, out);
        if (n > 0)
            assert_int_equal(0, lmeta_decode(out, (size_t)n, &r));
        assert_true(n <= LMETA_MAX && len < LMETA_MAX);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(custom_metadata_of_a_real_object_is_read),
        cmocka_unit_test(copies_of_a_real_mirrored_object_are_read),
        cmocka_unit_test(other_real_objects_are_read),
        cmocka_unit_test(sizes_that_contain_the_separator_are_read_right),
        cmocka_unit_test(version_1_records_are_read),
        cmocka_unit_test(records_may_come_in_any_order),
        cmocka_unit_test(what_breaks_the_rules_is_corrupt),
        cmocka_unit_test(too_long_a_checksum_value_is_corrupt),
        cmocka_unit_test(every_flipped_bit_and_every_cut_is_noticed),
        cmocka_unit_test(what_the_format_cannot_hold_is_not_written),
        cmocka_unit_test(the_largest_record_that_fits_reads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
