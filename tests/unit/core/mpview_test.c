/* SPDX-License-Identifier: Apache-2.0 */
/* The msgpack form of node_stats, node_status and disk: keys, nesting, and what is made up. */
#include "unit.h"

#include <string.h>

#include "core/core_impl.h"
#include "codec/mp.h"

static struct sbuf out;

static struct mp_in
encoded(const char *what, const char *json)
{
    struct err e = { .code = 0 };

    sbuf_fini(&out);
    sbuf_init(&out, 1 << 20);
    assert_int_equal(0, mpview_encode(str_z(what), str_z(json), &out, &e));
    return (struct mp_in){ (const unsigned char *)out.p, (const unsigned char *)out.p + out.n };
}

static void
expect_map(struct mp_in *in, uint32_t want)
{
    uint32_t n = 0;

    assert_int_equal(0, mp_get_map(in, &n));
    assert_int_equal(want, n);
}

static void
expect_str(struct mp_in *in, const char *want)
{
    struct str s;

    assert_int_equal(0, mp_get_str(in, &s));
    assert_true(str_eqz(s, want));
}

static void
expect_u64(struct mp_in *in, const char *key, uint64_t want)
{
    uint64_t v = 0;

    expect_str(in, key);
    assert_int_equal(0, mp_get_u64(in, &v));
    assert_true(v == want);
}

static void
keys_are_short_and_numbers_are_numbers(void **state)
{
    struct mp_in in = encoded("node_stats",
                              "{\"snode\":{\"public_net\":{\"node_ip_addr\":\"1.2.3.4\",\"daemon_port\":\"80\",\"direct_url\":\"u\"},"
                              "\"daemon_type\":\"target\",\"daemon_id\":\"abcdefgh\",\"flags\":2,\"id_digest\":18446744073709551615},"
                              "\"tracker\":{\"get.n\":7},\"capacity\":{\"mountpaths\":null,\"total_used\":\"123\"}}");

    (void)state;
    expect_map(&in, 3);
    expect_str(&in, "n");
    expect_map(&in, 6); /* the networks that are missing are left out */
    expect_str(&in, "p");
    expect_map(&in, 4);
    expect_str(&in, "h");
    expect_str(&in, "1.2.3.4");
    expect_str(&in, "p");
    expect_str(&in, "80");
    expect_str(&in, "u");
    expect_str(&in, "u");
    expect_str(&in, "tcpEndpoint");
    expect_str(&in, "1.2.3.4:80");
    expect_str(&in, "t");
    expect_str(&in, "target");
    expect_str(&in, "i");
    expect_str(&in, "abcdefgh");
    expect_str(&in, "name");
    expect_str(&in, "t[abcdefgh]");
    expect_u64(&in, "f", 2);
    expect_u64(&in, "g", UINT64_MAX);
    expect_str(&in, "t");
    expect_map(&in, 1);
    expect_u64(&in, "get.n", 7);
    expect_str(&in, "x");
    expect_map(&in, 2);
    expect_str(&in, "m");
    expect_map(&in, 0);
    expect_u64(&in, "u", 123);
    assert_int_equal(MP_END, mp_peek(&in));
}

static void
a_mountpath_nests_its_capacity_and_splits_its_file_system_id(void **state)
{
    struct mp_in in = encoded("disk", "{\"AllDiskStats\":{\"sda\":{\"RBps\":1}},\"mountpaths\":{\"/m\":{\"fs\":{\"FsID\":\"12,-34\"},"
                                      "\"disks\":[\"sda\"],\"used\":\"5\"}}}");
    uint32_t     n = 0;
    int64_t      v = 0;

    (void)state;
    expect_map(&in, 2);
    expect_str(&in, "AllDiskStats");
    expect_map(&in, 1);
    expect_str(&in, "sda");
    expect_map(&in, 1);
    expect_u64(&in, "r", 1);
    expect_str(&in, "m");
    expect_map(&in, 1);
    expect_str(&in, "/m");
    expect_map(&in, 3);
    expect_str(&in, "f");
    expect_map(&in, 1);
    expect_str(&in, "i");
    assert_int_equal(0, mp_get_arr(&in, &n));
    assert_int_equal(2, n);
    assert_int_equal(0, mp_get_i64(&in, &v));
    assert_int_equal(12, v);
    assert_int_equal(0, mp_get_i64(&in, &v));
    assert_int_equal(-34, v);
    expect_str(&in, "d");
    assert_int_equal(0, mp_get_arr(&in, &n));
    assert_int_equal(1, n);
    expect_str(&in, "sda");
    expect_str(&in, "Capacity");
    expect_map(&in, 1);
    expect_u64(&in, "u", 5);
    assert_int_equal(MP_END, mp_peek(&in));
}

static void
other_answers_have_no_such_form(void **state)
{
    (void)state;
    assert_true(mpview_has(STR_LIT("node_status")));
    assert_false(mpview_has(STR_LIT("smap")));
    assert_false(mpview_has(STR_LIT("")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_short_and_numbers_are_numbers),
        cmocka_unit_test(a_mountpath_nests_its_capacity_and_splits_its_file_system_id),
        cmocka_unit_test(other_answers_have_no_such_form),
    };
    int failed = cmocka_run_group_tests_name("mpview", tests, NULL, NULL);

    sbuf_fini(&out);
    return failed;
}
