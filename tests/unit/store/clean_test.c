/* SPDX-License-Identifier: Apache-2.0 */
/* Work files that were left behind go when they are old enough, and nothing else does. */
#include "fixture.h"

#include <fcntl.h>

#include "store/layout.h"

static struct store_cleaned cleaned;
static int64_t              before;
static bool                 stop_at_once;
static int                  clean_rc;

static bool
stops(void *arg)
{
    UNUSED(arg);
    return stop_at_once;
}

static void
do_clean(void)
{
    clean_rc = store_clean(st, &bk, 0, before, stops, NULL, &cleaned);
}

static void
work_path(const char *name, char out[FQN_MAX])
{
    int n = layout_ct(st->mpaths[0]->path, &bk, CT_WORK, out);

    assert_true(n > 0);
    snprintf(out + n, (size_t)(FQN_MAX - n), "/%s", name);
}

static void
left_behind(const char *name)
{
    char  path[FQN_MAX];
    FILE *f;

    work_path(name, path);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("0123456789", f);
    fclose(f);
}

static bool
there(const char *name)
{
    char path[FQN_MAX];

    work_path(name, path);
    return access(path, F_OK) == 0;
}

static void
old_files_go_and_young_ones_stay(void **state)
{
    char dir[FQN_MAX];

    UNUSED(state);
    work_path("folder", dir);
    assert_int_equal(0, mkdir(dir, 0755));
    left_behind("put.a");
    left_behind("folder/put.b");
    before = clock_real() - SEC_NS(60);
    on_fiber(do_clean);
    assert_int_equal(0, clean_rc);
    assert_int_equal(2, cleaned.seen);
    assert_int_equal(0, cleaned.files);
    before = clock_real() + SEC_NS(60);
    on_fiber(do_clean);
    assert_int_equal(2, cleaned.files);
    assert_true(cleaned.bytes > 0);
    assert_false(there("put.a"));
    assert_false(there("folder/put.b"));
    assert_int_equal(0, access(dir, F_OK));
}

static void
what_is_no_file_stays(void **state)
{
    char link[FQN_MAX];

    UNUSED(state);
    work_path("link", link);
    assert_int_equal(0, symlink("/etc/passwd", link));
    before = clock_real() + SEC_NS(60);
    on_fiber(do_clean);
    assert_int_equal(0, cleaned.files);
    assert_int_equal(0, unlink(link));
}

static void
it_ends_when_it_shall(void **state)
{
    UNUSED(state);
    left_behind("put.a");
    stop_at_once = true;
    before = clock_real() + SEC_NS(60);
    on_fiber(do_clean);
    stop_at_once = false;
    assert_int_equal(0, cleaned.files);
    assert_true(there("put.a"));
}

static void
a_mountpath_that_is_not_there_is_an_error(void **state)
{
    UNUSED(state);
    assert_int_equal(-AIS_E_NOMPATH, store_clean(st, &bk, 7, before, NULL, NULL, &cleaned));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(old_files_go_and_young_ones_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_file_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(it_ends_when_it_shall, setup, teardown),
        cmocka_unit_test_setup_teardown(a_mountpath_that_is_not_there_is_an_error, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
