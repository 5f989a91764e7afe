/* SPDX-License-Identifier: Apache-2.0 */
#include "../../../node/target/attrs.c"

#include "unit.h"

static void
custom_metadata_has_its_limits(void **state)
{
    static char big[CUSTOM_MAX + 1];
    struct kv   kv[2] = { { { "k", 1 }, { "v", 1 } }, { { "", 0 }, { "v", 1 } } };
    struct err  e = { .code = 0 };

    (void)state;
    assert_int_equal(custom_check(kv, 1, &e), 0);
    assert_true(custom_check(kv, 2, &e) < 0);
    assert_string_equal(e.text, "custom metadata: empty key (value=\"v\")");
    kv[0].v = STR_LIT("a\x01");
    assert_true(custom_check(kv, 1, &e) < 0);
    kv[0].v = STR_LIT("\xe3/\xbd");
    assert_true(custom_check(kv, 1, &e) < 0);
    memset(big, 'a', sizeof(big));
    kv[0].v = str_from(big, CUSTOM_MAX - 1);
    assert_int_equal(custom_check(kv, 1, &e), 0);
    kv[0].v.n++;
    assert_true(custom_check(kv, 1, &e) < 0);
    assert_string_equal(e.text, "custom metadata: total size 2049 exceeds max 2048 bytes");
    assert_int_equal(e.status, 400);
}

static void
a_key_given_twice_keeps_its_last_value(void **state)
{
    struct kv kv[3];
    unsigned  n = 0;

    (void)state;
    n = kv_set(kv, n, STR_LIT("a"), STR_LIT("1"));
    n = kv_set(kv, n, STR_LIT("b"), STR_LIT("2"));
    n = kv_set(kv, n, STR_LIT("a"), STR_LIT("3"));
    assert_int_equal(n, 2);
    assert_true(str_eqz(kv[0].v, "3"));
}

static void
a_checksum_error_names_the_object_once(void **state)
{
    struct err e = { .code = 0 };

    (void)state;
    err_set(&e, AIS_E_CKSUM, "BAD DATA CHECKSUM: md5(0 != 1)");
    cksum_context(&e, STR_LIT("ais://b/o"));
    assert_string_equal(e.text, "BAD DATA CHECKSUM: md5(0 != 1) (context: ais://b/o)");
    cksum_context(&e, STR_LIT("ais://b/o"));
    assert_string_equal(e.text, "BAD DATA CHECKSUM: md5(0 != 1) (context: ais://b/o)");
    assert_int_equal(e.status, 500);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(custom_metadata_has_its_limits),
        cmocka_unit_test(a_key_given_twice_keeps_its_last_value),
        cmocka_unit_test(a_checksum_error_names_the_object_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
