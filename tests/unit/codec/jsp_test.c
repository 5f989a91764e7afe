/* SPDX-License-Identifier: Apache-2.0 */
/* The container of cluster metadata: a real volume file, round trips, damage. */
#include "unit.h"

#include "codec/jsp.c"
#include "hex.h"

/* .ais.vmd of a target: 64 KiB blocks with back references */
static const char golden_vmd[] =
    "616973746f726503000000020000000351ca8828cbabe4e404224d186440a7c0000000f7127b226d6f756e7470617468"
    "73223a7b222f6169732f646174612f6d70312f31223a21002d223a1f00162c3f00f21b5f6c6162656c223a22222c2266"
    "73223a222f6465762f766461222c2266735f74797065223a22657874341100f91c6964223a2231303433353236303335"
    "2c373031363532393838222c22656e61626c6564223a747275657d2c96001f3296000b1f32960055f01a7d2c22646165"
    "6d6f6e5f6964223a2278414e743338303831222c2276657273696f6e223a2231227d0a0000000060b586ad";
static const char golden_vmd_json[] =
    "{\"mountpaths\":{\"/ais/data/mp1/1\":{\"mountpath\":\"/ais/data/mp1/1\",\"mountpath_label\":\"\",\"fs\":\"/dev/"
    "vda\","
    "\"fs_type\":\"ext4\",\"fs_id\":\"1043526035,701652988\",\"enabled\":true},\"/ais/data/mp2/1\":{\"mountpath\":"
    "\"/ais/data/mp2/1\",\"mountpath_label\":\"\",\"fs\":\"/dev/vda\",\"fs_type\":\"ext4\",\"fs_id\":"
    "\"1043526035,701652988\",\"enabled\":true}},\"daemon_id\":\"xANt38081\",\"version\":\"1\"}";

static void
a_real_file_is_unpacked(void **state)
{
    struct sbuf    json;
    uint32_t       version = 0;
    size_t         n;
    unsigned char *image = unhex(golden_vmd, &n);

    (void)state;
    sbuf_init(&json, 1 << 20);
    assert_int_equal(0, jsp_decode(str_from((char *)image, n), &version, &json));
    assert_int_equal(2, version);
    assert_str(golden_vmd_json, sbuf_str(&json));
    sbuf_fini(&json);
    free(image);
}

static void
packed_text_unpacks_to_itself(void **state)
{
    static char big[300000];
    size_t      sizes[] = { 0, 1, 100, 65535, 65536, sizeof(big) };

    (void)state;
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)('a' + i * i % 23);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct sbuf image, json;
        uint32_t    version;

        sbuf_init(&image, 1 << 20);
        sbuf_init(&json, 1 << 20);
        assert_int_equal(0, jsp_encode(str_from(big, sizes[i]), 4, &image));
        assert_int_equal(0, jsp_decode(sbuf_str(&image), &version, &json));
        assert_int_equal(4, version);
        assert_int_equal(sizes[i], json.n);
        assert_memory_equal(big, json.p, sizes[i]);
        sbuf_fini(&image);
        sbuf_fini(&json);
    }
}

static void
uncompressed_images_are_read(void **state)
{
    static const char text[] = "{\"a\":1}\n";
    unsigned char     image[24 + sizeof(text) - 1] = "aistore\3\0\0\0\1\0\0\0\2";
    struct sbuf       json;
    uint32_t          version;

    (void)state;
    be64_put(image + 16, xxh64(text, sizeof(text) - 1, 0));
    memcpy(image + 24, text, sizeof(text) - 1);
    sbuf_init(&json, 100);
    assert_int_equal(0, jsp_decode(str_from((char *)image, sizeof(image)), &version, &json));
    assert_str("{\"a\":1}", sbuf_str(&json));
    image[24]++;
    assert_int_equal(-AIS_E_CORRUPT, jsp_decode(str_from((char *)image, sizeof(image)), &version, &json));
    assert_str("{\"a\":1}", sbuf_str(&json)); /* what was there stays */
    sbuf_fini(&json);
}

static void
a_flipped_bit_or_a_cut_never_gives_another_text(void **state)
{
    size_t         n;
    unsigned char *image = unhex(golden_vmd, &n);
    struct sbuf    json;
    uint32_t       version;

    (void)state;
    sbuf_init(&json, 1 << 20);
    for (size_t i = 0; i < 8 * n; i++) {
        if (i / 8 >= 8 && i / 8 < 16) /* meta-version and flags are not covered by the sum */
            continue;
        image[i / 8] ^= (unsigned char)(1 << i % 8);
        sbuf_reset(&json);
        if (jsp_decode(str_from((char *)image, n), &version, &json) == 0) /* another back reference to the same text */
            assert_str(golden_vmd_json, sbuf_str(&json));
        image[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char *cut = copy_of(image, i);

        sbuf_reset(&json);
        assert_int_equal(-AIS_E_CORRUPT, jsp_decode(str_from((char *)cut, i), &version, &json));
        free(cut);
    }
    image[15] |= 4; /* a flag nobody knows */
    sbuf_reset(&json);
    assert_int_equal(-AIS_E_CORRUPT, jsp_decode(str_from((char *)image, n), &version, &json));
    free(image);
    sbuf_fini(&json);
}

static void
what_does_not_fit_is_too_big(void **state)
{
    static char zeros[1 << 20];
    struct sbuf image, json;
    uint32_t    version;
    int         rc;

    (void)state;
    sbuf_init(&image, 2 << 20);
    assert_int_equal(0, jsp_encode(str_from(zeros, sizeof(zeros)), 1, &image));
    sbuf_init(&json, 1000);
    assert_int_equal(-AIS_E_TOOBIG, jsp_decode(sbuf_str(&image), &version, &json));
    sbuf_fini(&json);
    sbuf_init(&json, sizeof(zeros) + 1); /* text and newline exactly */
    rc = jsp_decode(sbuf_str(&image), &version, &json);
    assert_int_equal(0, rc);
    sbuf_fini(&json);
    sbuf_fini(&image);
    sbuf_init(&image, 100);
    assert_int_equal(-AIS_E_TOOBIG, jsp_encode(str_from(zeros, sizeof(zeros)), 1, &image));
    sbuf_fini(&image);
}

static void
a_frame_is_not_believed_beyond_the_limit(void **state)
{
    static char zeros[1 << 20];
    struct sbuf frame, out;

    (void)state;
    sbuf_init(&frame, 2 << 20);
    sbuf_init(&out, 1 << 22);
    assert_int_equal(0, lz4f_encode(str_from(zeros, sizeof(zeros)), LZ4F_BLOCK_4M, &frame));
    assert_int_equal(-AIS_E_TOOBIG, lz4f_decode(sbuf_str(&frame), sizeof(zeros) - 1, &out));
    assert_int_equal(0, out.n);
    assert_int_equal(0, lz4f_decode(sbuf_str(&frame), sizeof(zeros), &out));
    assert_int_equal(sizeof(zeros), out.n);
    sbuf_putc(&frame, 'x'); /* something behind the frame */
    assert_int_equal(-AIS_E_CORRUPT, lz4f_decode(sbuf_str(&frame), sizeof(zeros), &out));
    assert_int_equal(sizeof(zeros), out.n);
    sbuf_fini(&frame);
    sbuf_fini(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_real_file_is_unpacked),
        cmocka_unit_test(packed_text_unpacks_to_itself),
        cmocka_unit_test(uncompressed_images_are_read),
        cmocka_unit_test(a_flipped_bit_or_a_cut_never_gives_another_text),
        cmocka_unit_test(what_does_not_fit_is_too_big),
        cmocka_unit_test(a_frame_is_not_believed_beyond_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
