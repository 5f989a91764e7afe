/* SPDX-License-Identifier: Apache-2.0 */
#include "../../../node/target/list.c"

#include "unit.h"

static void
expect_dir(unsigned flags, const char *prefix, const char *name, const char *want)
{
    struct lso_ask a = { .flags = LS_NO_RECURSION | flags, .prefix = str_z(prefix) };
    struct str     d = virtual_dir(&a, str_z(name));

    if (!str_eqz(d, want))
        fail_msg("prefix \"%s\", name \"%s\": got \"%.*s\", want \"%s\"", prefix, name, STR_FMT(d), want);
}

static void
a_name_below_the_prefix_folds_at_the_next_slash(void **state)
{
    (void)state;
    expect_dir(0, "", "a", "");
    expect_dir(0, "", "a/b/c", "a/");
    expect_dir(0, "l/", "l/000", "");
    expect_dir(0, "l/", "l/a/b/c", "l/a/");
    expect_dir(0, "l/0", "l/0a/b", "l/0a/");
    expect_dir(0, "l", "lx/y", "lx/");
    expect_dir(0, "l", "l2", "");
}

static void
a_directory_without_its_slash_means_what_is_inside(void **state)
{
    (void)state;
    expect_dir(0, "img-test", "img-test/obj1", "");
    expect_dir(0, "img-test", "img-test/pics/obj01", "img-test/pics/");
    expect_dir(LS_IS_S3, "img-test", "img-test/obj1", "img-test/"); /* S3: the delimiter counts from the prefix */
}

static void
recursive_listings_have_no_directories(void **state)
{
    struct lso_ask a = { .flags = 0 };

    (void)state;
    assert_int_equal(virtual_dir(&a, STR_LIT("a/b")).n, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_below_the_prefix_folds_at_the_next_slash),
        cmocka_unit_test(a_directory_without_its_slash_means_what_is_inside),
        cmocka_unit_test(recursive_listings_have_no_directories),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
