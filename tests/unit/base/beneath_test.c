/* SPDX-License-Identifier: Apache-2.0 */
/* Paths below a root: what is opened, and the links and dots that lead nowhere. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/util.h"

static char root[] = "/tmp/beneath.XXXXXX";

static const char *
at(const char *rel)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s%s", root, rel);
    return path;
}

static void
file(const char *rel)
{
    int fd = open(at(rel), O_CREAT | O_EXCL | O_WRONLY, 0600);

    assert_true(fd >= 0);
    close(fd);
}

static int
setup(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(root));
    assert_int_equal(0, mkdir(at("/in"), 0700));
    assert_int_equal(0, mkdir(at("/in/deep"), 0700));
    assert_int_equal(0, mkdir(at("/inside"), 0700));
    file("/in/deep/a");
    file("/in/b");
    file("/inside/c");
    assert_int_equal(0, symlink("deep", at("/in/link")));
    assert_int_equal(0, symlink("b", at("/in/filelink")));
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    unlink(at("/in/filelink"));
    unlink(at("/in/link"));
    unlink(at("/inside/c"));
    unlink(at("/in/b"));
    unlink(at("/in/deep/a"));
    rmdir(at("/in/deep"));
    rmdir(at("/inside"));
    rmdir(at("/in"));
    return rmdir(root);
}

static int
opened(const char *rel, int flags)
{
    char below[256];
    int  fd;

    snprintf(below, sizeof(below), "%s", at("/in"));
    fd = beneath_open(below, at(rel), flags);
    if (fd < 0)
        return fd;
    assert_int_equal(FD_CLOEXEC, fcntl(fd, F_GETFD));
    close(fd);
    return 0;
}

static void
what_lies_below_the_root_is_opened(void **state)
{
    (void)state;
    assert_int_equal(0, opened("/in/b", O_RDONLY));
    assert_int_equal(0, opened("/in/deep/a", O_RDONLY));
    assert_int_equal(0, opened("/in//deep///a", O_RDONLY));
    assert_int_equal(0, opened("/in/deep", O_RDONLY | O_DIRECTORY));
    assert_int_equal(0, opened("/in", O_RDONLY | O_DIRECTORY));
    assert_int_equal(0, opened("/in/", O_RDONLY | O_DIRECTORY));
    assert_int_equal(-ENOENT, opened("/in/nothing", O_RDONLY));
    assert_int_equal(-ENOENT, opened("/in/nothing/a", O_RDONLY));
    assert_int_equal(-ENOTDIR, opened("/in/b/a", O_RDONLY));
}

static void
links_are_not_followed(void **state)
{
    int rc;

    (void)state;
    assert_int_equal(-ELOOP, opened("/in/filelink", O_RDONLY));
    rc = opened("/in/link/a", O_RDONLY);
    assert_true(rc == -ENOTDIR || rc == -ELOOP);
    rc = beneath_unlink(at("/in"), "/nowhere/in/link/a");
    assert_int_equal(-EXDEV, rc);
}

static void
what_is_not_below_the_root_is_refused(void **state)
{
    (void)state;
    assert_int_equal(-EXDEV, opened("/inside/c", O_RDONLY)); /* the root's name is only its beginning */
    assert_int_equal(-EXDEV, opened("/in/../inside/c", O_RDONLY));
    assert_int_equal(-EXDEV, opened("/in/deep/../b", O_RDONLY));
    assert_int_equal(-EXDEV, opened("/in/deep/..", O_RDONLY));
    assert_int_equal(-EXDEV, opened("/in/./b", O_RDONLY));
    assert_int_equal(-EXDEV, opened("/in/deep/", O_RDONLY));
}

static void
a_name_that_no_file_can_have(void **state)
{
    char *path = xasprintf("%s/%0300d/a", root, 1);

    (void)state;
    assert_int_equal(-ENAMETOOLONG, beneath_open(root, path, O_RDONLY));
    free(path);
}

static void
a_file_is_removed_but_not_through_a_link(void **state)
{
    char below[256], path[256];
    int  rc;

    (void)state;
    snprintf(below, sizeof(below), "%s", at("/in"));
    file("/in/deep/gone");
    snprintf(path, sizeof(path), "%s", at("/in/link/gone"));
    rc = beneath_unlink(below, path);
    assert_true(rc == -ENOTDIR || rc == -ELOOP);
    assert_int_equal(0, access(at("/in/deep/gone"), F_OK));
    snprintf(path, sizeof(path), "%s", at("/in/deep/gone"));
    assert_int_equal(0, beneath_unlink(below, path));
    assert_int_equal(-1, access(at("/in/deep/gone"), F_OK));
    assert_int_equal(-ENOENT, beneath_unlink(below, path));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lies_below_the_root_is_opened),
        cmocka_unit_test(links_are_not_followed),
        cmocka_unit_test(what_is_not_below_the_root_is_refused),
        cmocka_unit_test(a_name_that_no_file_can_have),
        cmocka_unit_test(a_file_is_removed_but_not_through_a_link),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
