/* SPDX-License-Identifier: Apache-2.0 */
/* The folders of buckets: whose they are, and that nothing of an earlier bucket of the same name is ever taken for the new one's. */
#include "fixture.h"

#include <sys/xattr.h>

static struct err err;
static int        rc;
static struct bck other;

static bool
folder_there(const char *mp)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/%s/@ais/bucket", root, mp);
    return access(path, F_OK) == 0;
}

static void
stamp(const char *mp, const char *text)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/%s/@ais/bucket", root, mp);
    assert_int_equal(0, setxattr(path, "user.ais.bid", text, strlen(text), 0));
}

static void
put_one(void)
{
    rc = put_with("object", "old", 3, &(struct put_attrs){ .length = 3 }, &err);
}

static void
destroy_bk(void)
{
    rc = store_bck_destroy(st, &bk, &err);
}

static void
create_other(void)
{
    rc = store_bck_create(st, &other, &err);
}

static void
look_for_one(void)
{
    struct obj *o = NULL;

    rc = obj_open(st, &other, STR_LIT("object"), 0, &o, &err);
    obj_close(o);
}

static void
start(void)
{
    err = (struct err){ .code = 0 };
    store_set_fence(st, 1, 1, 1);
    other = bk;
    other.bid = BID_AIS | 9;
}

/* The tests' bucket under its cluster's stamp, with an object in it. */
static void
bucket_with_an_object(void)
{
    start();
    store_set_cluster(st, "cluster-1");
    stamp("mp1", "1 9223372036854775815 cluster-1");
    stamp("mp2", "1 9223372036854775815 cluster-1");
    on_fiber(put_one);
    assert_int_equal(0, rc);
}

static void
a_folder_that_could_not_be_thrown_away_goes_before_a_new_bucket_of_that_name(void **state)
{
    (void)state;
    bucket_with_an_object();
    assert_int_equal(0, failpoint_arm(STR_LIT("trash.rename=0:0:readonly")));
    on_fiber(destroy_bk);
    assert_int_equal(-AIS_E_READONLY, rc);
    assert_true(folder_there("mp1"));
    on_fiber(create_other);
    assert_int_equal(-AIS_E_READONLY, rc); /* rather than take it for the new one's */
    (void)failpoint_arm(STR_LIT(""));
    on_fiber(create_other);
    assert_int_equal(0, rc);
    on_fiber(look_for_one);
    assert_int_equal(-AIS_E_NOOBJ, rc);
    on_fiber(destroy_bk); /* the destruction that is tried again comes too late, and does no harm */
    assert_int_equal(0, rc);
    assert_true(folder_there("mp1") && folder_there("mp2"));
}

static void
sweep_9(void)
{
    store_bck_sweep(st, 9);
}

static void
sweep_6(void)
{
    store_bck_sweep(st, 6);
}

static void
a_folder_left_by_a_destruction_is_swept_at_the_start(void **state)
{
    (void)state;
    bucket_with_an_object();
    on_fiber(sweep_9);
    assert_true(folder_there("mp1")); /* it is known */
    assert_int_equal(0, failpoint_arm(STR_LIT("trash.rename=0:0:io")));
    on_fiber(destroy_bk);
    assert_true(rc < 0);
    (void)failpoint_arm(STR_LIT(""));
    on_fiber(sweep_6);
    assert_true(folder_there("mp1")); /* younger than the list of buckets */
    store_set_fence(st, 2, 1, 1);
    on_fiber(sweep_9);
    assert_true(folder_there("mp1")); /* from before a recovery: who knows */
    store_set_fence(st, 1, 1, 1);
    store_set_cluster(st, "cluster-2");
    on_fiber(sweep_9);
    assert_true(folder_there("mp1")); /* of another cluster */
    store_set_cluster(st, "cluster-1");
    on_fiber(sweep_9);
    assert_false(folder_there("mp1") || folder_there("mp2"));
}

static void
what_another_cluster_left_is_not_removed(void **state)
{
    (void)state;
    bucket_with_an_object();
    stamp("mp2", "1 9223372036854775815 cluster-2");
    on_fiber(create_other);
    assert_int_equal(-AIS_E_CONFLICT, rc);
    assert_non_null(strstr(err.text, "of cluster \"cluster-2\", recovery epoch 1): move it away"));
    assert_true(folder_there("mp2"));
}

static void
create_bk(void)
{
    rc = store_bck_create(st, &bk, &err);
}

static void
a_bucket_that_was_made_half_is_made_whole(void **state)
{
    char    path[300], text[100];
    ssize_t n;

    (void)state;
    start();
    store_set_cluster(st, "cluster-1");
    on_fiber(destroy_bk);
    bk.bid = other.bid;
    assert_int_equal(0, failpoint_arm(STR_LIT("bck.dirs=1:0:nospace"))); /* one mountpath has it then */
    on_fiber(create_bk);
    assert_int_equal(-AIS_E_NOSPACE, rc);
    (void)failpoint_arm(STR_LIT("bck.before_stamp=0:0:nospace"));
    on_fiber(create_bk);
    assert_int_equal(-AIS_E_NOSPACE, rc);
    (void)failpoint_arm(STR_LIT(""));
    on_fiber(create_bk);
    assert_int_equal(0, rc);
    snprintf(path, sizeof(path), "%s/mp2/@ais/bucket", root);
    n = getxattr(path, "user.ais.bid", text, sizeof(text));
    assert_true(n > 0);
    assert_memory_equal("1 9223372036854775817 cluster-1", text, (size_t)n);
    on_fiber(put_one);
    assert_int_equal(0, rc);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_folder_that_could_not_be_thrown_away_goes_before_a_new_bucket_of_that_name, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_left_by_a_destruction_is_swept_at_the_start, setup, teardown),
        cmocka_unit_test_setup_teardown(what_another_cluster_left_is_not_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bucket_that_was_made_half_is_made_whole, setup, teardown),
    };

    if (!failpoint_compiled_in())
        return 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
