/* SPDX-License-Identifier: Apache-2.0 */
/* Destinations have their names only when whole; names of objects cannot leave the directory. */
#include "unit.h"

#include "cli/files.c"

static char dir[] = "/tmp/ais-files-test.XXXXXX";

static int
make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
remove_dir(void **state)
{
    auto_free char *cmd = xasprintf("rm -rf %s", dir);

    (void)state;
    return system(cmd);
}

static unsigned
entries(void)
{
    struct dirent **names;
    int             n = scandir(dir, &names, not_dots, by_bytes);

    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return (unsigned)n;
}

static void
names_stay_below_the_directory(void **state)
{
    static const struct {
        const char *rel, *want;
    } cases[] = {
        { "a", "/d/a" },   { "a/b", "/d/a/b" }, { "a b", "/d/a b" }, { "...", "/d/..." }, { "", NULL },       { "..", NULL }, { "../a", NULL },
        { "a/..", NULL },  { "/a", NULL },      { "a//b", NULL },    { "a/", NULL },      { "a/./b", NULL },  { ".", NULL },
    };
    struct arena *mem = arena_new(4096, 1 * MIB);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *got = path_below(mem, "/d", str_z(cases[i].rel));

        if (cases[i].want == NULL)
            assert_null(got);
        else
            assert_string_equal(cases[i].want, got);
    }
    assert_string_equal("a/b", path_below(mem, "", STR_LIT("a/b")));
    arena_free(mem);
}

static void
a_base_name_is_what_follows_the_last_slash(void **state)
{
    (void)state;
    assert_true(str_eqz(base_name(STR_LIT("a/b")), "b"));
    assert_true(str_eqz(base_name(STR_LIT("b")), "b"));
    assert_true(str_eqz(base_name(STR_LIT("a/")), "a/"));
}

static void
an_aborted_file_leaves_nothing_and_the_old_one_alone(void **state)
{
    auto_free char *path = xasprintf("%s/f", dir);
    struct outfile  o;
    struct fault    f;
    struct stat     st;
    unsigned        before;

    (void)state;
    assert_int_equal(CLI_OK, outfile_open(&o, path, false, &f));
    assert_int_equal(0, outfile_write(&o, "old", 3));
    assert_int_equal(CLI_OK, outfile_commit(&o, &f));
    before = entries();
    assert_int_equal(CLI_OK, outfile_open(&o, path, false, &f));
    assert_int_equal(0, outfile_write(&o, "newer", 5));
    assert_int_equal(before + 1, entries());
    assert_int_equal(0, stat(path, &st));
    assert_int_equal(3, st.st_size); /* still the old one */
    outfile_abort(&o);
    outfile_abort(&o);
    assert_int_equal(before, entries());
    assert_int_equal(0, stat(path, &st));
    assert_int_equal(3, st.st_size);
}

static void
parents_are_made_only_when_asked(void **state)
{
    auto_free char *path = xasprintf("%s/x/y/z", dir);
    struct outfile  o;
    struct fault    f;
    struct stat     st;

    (void)state;
    assert_int_equal(CLI_FAILED, outfile_open(&o, path, false, &f));
    assert_int_equal(CLI_OK, outfile_open(&o, path, true, &f));
    assert_int_equal(0, outfile_pwrite(&o, "b", 1, 1));
    assert_int_equal(0, outfile_pwrite(&o, "a", 1, 0));
    assert_int_equal(CLI_OK, outfile_commit(&o, &f));
    assert_int_equal(0, stat(path, &st));
    assert_int_equal(2, st.st_size);
    assert_int_equal(0, st.st_mode & 0111);
}

static void
a_directory_is_no_destination(void **state)
{
    struct outfile o;
    struct fault   f;

    (void)state;
    assert_int_equal(CLI_FAILED, outfile_open(&o, dir, false, &f));
    assert_non_null(strstr(f.text, "is a directory"));
}

static int
count(void *arg, const char *path, int64_t size)
{
    (void)path, (void)size;
    ++*(unsigned *)arg;
    return 0;
}

static void
a_walk_sees_files_and_follows_no_links(void **state)
{
    auto_free char *l1 = xasprintf("%s/loop", dir), *l2 = xasprintf("%s/link", dir), *to = xasprintf("%s/f", dir);
    struct fault    f;
    unsigned        flat = 0, deep = 0;

    (void)state;
    assert_int_equal(0, symlink(dir, l1));
    assert_int_equal(0, symlink(to, l2));
    assert_int_equal(CLI_OK, walk_dir(dir, false, count, &flat, &f));
    assert_int_equal(CLI_OK, walk_dir(dir, true, count, &deep, &f));
    assert_int_equal(1, flat);
    assert_int_equal(2, deep);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_stay_below_the_directory),
        cmocka_unit_test(a_base_name_is_what_follows_the_last_slash),
        cmocka_unit_test(an_aborted_file_leaves_nothing_and_the_old_one_alone),
        cmocka_unit_test(parents_are_made_only_when_asked),
        cmocka_unit_test(a_directory_is_no_destination),
        cmocka_unit_test(a_walk_sees_files_and_follows_no_links),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
