/* SPDX-License-Identifier: Apache-2.0 */
/* Trash: what a bucket leaves is removed in the background, however deep; a stopping node does not wait for it. */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>

#include "store/layout.h"

/* A tree of dirs levels with a file on each, in the trash of the first mountpath. */
static void
fill_trash(unsigned levels)
{
    char path[512];
    int  fd, next, file;

    while (atomic_load(&st->trash_busy) > 0) /* the sweep that every start begins with */
        sched_yield();
    snprintf(path, sizeof(path), "%s/" TRASH_DIR, st->mpaths[0]->path);
    (void)mkdir(path, 0755);
    fd = open(path, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < levels; i++) {
        file = openat(fd, "file", O_WRONLY | O_CREAT, 0644);
        assert_true(file >= 0);
        close(file);
        assert_int_equal(0, mkdirat(fd, "d", 0755));
        next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        assert_true(next >= 0);
        close(fd);
        fd = next;
    }
    close(fd);
}

static unsigned
trash_entries(unsigned mpath)
{
    char           path[512];
    DIR           *d;
    unsigned       n = 0;
    struct dirent *de;

    snprintf(path, sizeof(path), "%s/" TRASH_DIR, st->mpaths[mpath]->path);
    d = opendir(path);
    while (d != NULL && (de = readdir(d)) != NULL)
        n += de->d_name[0] != '.';
    if (d != NULL)
        closedir(d);
    return n;
}

static bool
empty_within(int64_t ns)
{
    int64_t until = clock_mono() + ns;

    while (trash_entries(0) + trash_entries(1) > 0)
        if (clock_mono() > until)
            return false;
    return true;
}

static void
deep_trees_are_removed(void **state)
{
    UNUSED(state);
    fill_trash(300);
    assert_int_equal(2, trash_entries(0));
    trash_sweep(st);
    assert_true(empty_within(SEC_NS(30)));
}

static void
destroy_some(void)
{
    char       name[32];
    struct err e = { .code = 0 };

    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "d%d/o%d", i % 10, i);
        put_z(name, "x");
    }
    assert_int_equal(0, store_bck_destroy(st, &bk, &e));
}

static void
files_of_a_destroyed_bucket_go_in_the_background(void **state)
{
    UNUSED(state);
    on_fiber(destroy_some);
    assert_true(empty_within(SEC_NS(30)));
}

static void
a_stopping_node_does_not_wait_and_the_next_start_goes_on(void **state)
{
    UNUSED(state);
    fill_trash(50);
    atomic_store(&st->stopping, true);
    trash_sweep(st);
    close_store(); /* returns although nothing was removed */
    open_store();  /* store_adopted sweeps */
    assert_true(empty_within(SEC_NS(30)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(deep_trees_are_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(files_of_a_destroyed_bucket_go_in_the_background, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stopping_node_does_not_wait_and_the_next_start_goes_on, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
