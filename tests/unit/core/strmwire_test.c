/* SPDX-License-Identifier: Apache-2.0 */
/* The wire format of streams: golden bytes, limits, names of errors. */
#include "unit.h"

#include <string.h>

#include "core/strmwire.c"

static void
an_object_has_these_bytes(void **state)
{
    /* clang-format off */
    static const unsigned char want[] = {
        0x41, 0x69, 0x53, 0x31, 1, 0, 0, 3,  0, 0, 0, 0, 0, 0, 0, 7,  0, 0, 0, 2, 0, 0, 0, 2,
        0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
    };
    /* clang-format on */
    struct strm_frame f = { .type = STRM_OBJ, .hlen = 3, .seq = 7, .plen = 2, .rlen = 2, .psum = 0x1122334455667788 }, g;
    char              b[STRM_FRAME];

    (void)state;
    strm_frame_put(&f, b);
    assert_memory_equal(want, b, sizeof(want));
    assert_true(be64_get(b + 32) == xxh64(want, sizeof(want), 0));
    assert_int_equal(0, strm_frame_get(b, &g));
    assert_int_equal(2, g.size);
    f.size = 2;
    assert_memory_equal(&f, &g, sizeof(f));
}

static void
every_flipped_bit_is_noticed(void **state)
{
    struct strm_frame f = { .type = STRM_DATA, .flags = STRM_F_SUM | STRM_F_LAST, .seq = 3, .plen = 1000, .rlen = 1000 }, g;
    char              b[STRM_FRAME];

    (void)state;
    strm_frame_put(&f, b);
    for (unsigned bit = 0; bit < 8 * STRM_FRAME; bit++) {
        b[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(-AIS_E_CORRUPT, strm_frame_get(b, &g));
        b[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_int_equal(0, strm_frame_get(b, &g));
}

static void
lengths_and_flags_have_limits(void **state)
{
    /* clang-format off */
    static const struct { struct strm_frame f; bool ok; } rows[] = {
        { { .type = STRM_OBJ, .hlen = STRM_HDR_MAX, .plen = STRM_SMALL, .rlen = STRM_SMALL }, true },
        { { .type = STRM_OBJ, .hlen = STRM_HDR_MAX + 1 }, false },
        { { .type = STRM_OBJ, .plen = STRM_SMALL + 1, .rlen = STRM_SMALL + 1 }, false },
        { { .type = STRM_OBJ, .plen = 5, .rlen = 6 }, false },
        { { .type = STRM_OBJ, .flags = STRM_F_LZ4, .plen = 5, .rlen = 6 }, true },
        { { .type = STRM_OBJ, .flags = STRM_F_LZ4, .plen = 6, .rlen = 6 }, false },
        { { .type = STRM_OBJ, .flags = STRM_F_LZ4, .plen = 5, .rlen = STRM_SMALL + 1 }, false },
        { { .type = STRM_OBJ, .flags = STRM_F_LZ4 }, false },
        { { .type = STRM_OBJ, .flags = STRM_F_LAST }, false },
        { { .type = STRM_OBJ, .flags = STRM_F_STREAMED, .size = 1ULL << 50 }, true },
        { { .type = STRM_OBJ, .flags = STRM_F_STREAMED, .size = STRM_UNKNOWN }, true },
        { { .type = STRM_DATA, .plen = STRM_BLOCK_MAX, .rlen = STRM_BLOCK_MAX }, true },
        { { .type = STRM_DATA, .plen = STRM_BLOCK_MAX + 1, .rlen = STRM_BLOCK_MAX + 1 }, false },
        { { .type = STRM_DATA, .flags = STRM_F_SUM, .plen = STRM_SMALL + 1, .rlen = STRM_SMALL + 1 }, false },
        { { .type = STRM_DATA, .flags = STRM_F_SUM | STRM_F_LZ4 | STRM_F_LAST, .plen = 1, .rlen = STRM_SMALL }, true },
        { { .type = STRM_DATA, .flags = STRM_F_LAST }, true },
        { { .type = STRM_DATA, .flags = STRM_F_STREAMED, .size = 1 }, false },
        { { .type = STRM_DATA, .hlen = 1 }, false },
        { { .type = STRM_DATA, .flags = 16 }, false },
        { { .type = STRM_ABORT, .plen = 1, .rlen = 1 }, false },
        { { .type = STRM_ABORT }, true },
        { { .type = STRM_BYE }, true },
        { { .type = STRM_ACK, .plen = STRM_CTL_MAX, .rlen = STRM_CTL_MAX }, true },
        { { .type = STRM_ACK, .plen = STRM_CTL_MAX + 1, .rlen = STRM_CTL_MAX + 1 }, false },
        { { .type = STRM_FENCE, .plen = STRM_FENCE_LEN, .rlen = STRM_FENCE_LEN }, true },
        { { .type = (enum strm_type)0 }, false },
        { { .type = (enum strm_type)(STRM_ACK + 1) }, false },
    };
    /* clang-format on */
    struct strm_frame g;
    char              b[STRM_FRAME];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        strm_frame_put(&rows[i].f, b);
        if ((strm_frame_get(b, &g) == 0) != rows[i].ok)
            fail_msg("row %zu", i);
    }
}

static void
acknowledgements_come_back_as_they_were(void **state)
{
    static const struct strm_ack in[] = { { 1, 0, { "", 0 } }, { 5, -AIS_E_NOSPACE, { "why", 3 } }, { 6, -AIS_E_CKSUM, { "", 0 } } };
    struct strm_credit           c = { 77, 1ULL << 40 }, d;
    struct strm_ack              a;
    char                         b[1024];
    struct str                   s = { b, STRM_CREDIT_LEN }, cut;

    (void)state;
    strm_credit_put(&c, b);
    for (size_t i = 0; i < ARRAY_SIZE(in); i++)
        s.n += strm_ack_put(&in[i], b + s.n);
    cut = str_from(b, s.n - 1);
    assert_int_equal(0, strm_credit_get(&s, &d));
    assert_memory_equal(&c, &d, sizeof(c));
    for (size_t i = 0; i < ARRAY_SIZE(in); i++) {
        assert_int_equal(1, strm_ack_get(&s, &a));
        assert_int_equal(in[i].seq, a.seq);
        assert_int_equal(in[i].rc, a.rc);
        assert_true(str_eq(in[i].reply, a.reply));
    }
    assert_int_equal(0, strm_ack_get(&s, &a));
    assert_int_equal(0, strm_credit_get(&cut, &d));
    assert_int_equal(1, strm_ack_get(&cut, &a));
    assert_int_equal(1, strm_ack_get(&cut, &a));
    assert_int_equal(-AIS_E_CORRUPT, strm_ack_get(&cut, &a));
}

static void
every_error_has_a_name_and_an_unknown_one_is_internal(void **state)
{
    struct strm_ack a;
    char            b[STRM_ACK_MAX];
    struct str      s;

    (void)state;
    for (int c = AIS_E_BASE + 1; c < AIS_E_END; c++) {
        struct strm_ack in = { .seq = 9, .rc = -c };

        s = str_from(b, strm_ack_put(&in, b));
        assert_int_equal(1, strm_ack_get(&s, &a));
        assert_int_equal(-c, a.rc);
    }
    s = str_from(b, strm_ack_put(&(struct strm_ack){ .seq = 9, .rc = -AIS_E_IO }, b));
    b[11] = 'X';
    assert_int_equal(1, strm_ack_get(&s, &a));
    assert_int_equal(-AIS_E_INTERNAL, a.rc);
}

static void
a_fence_has_one_length(void **state)
{
    struct strm_fence f = { { 3, 1ULL << 33 }, 12 }, g;
    char              b[STRM_FENCE_LEN];

    (void)state;
    strm_fence_put(&f, b);
    assert_int_equal(0, strm_fence_get(str_from(b, sizeof(b)), &g));
    assert_true(g.f.epoch == 3 && g.f.term == 1ULL << 33 && g.smap == 12);
    assert_int_equal(-AIS_E_CORRUPT, strm_fence_get(str_from(b, sizeof(b) - 1), &g));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_has_these_bytes),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(lengths_and_flags_have_limits),
        cmocka_unit_test(acknowledgements_come_back_as_they_were),
        cmocka_unit_test(every_error_has_a_name_and_an_unknown_one_is_internal),
        cmocka_unit_test(a_fence_has_one_length),
    };

    return cmocka_run_group_tests_name("strmwire", tests, NULL, NULL);
}
