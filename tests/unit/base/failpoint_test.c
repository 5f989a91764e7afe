/* SPDX-License-Identifier: Apache-2.0 */
/* Fail points, compiled in here whatever the build says. */
#include "unit.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef AIS_FAIL_POINTS
#define AIS_FAIL_POINTS 1
#endif
#include "base/failpoint.c"

static int
guarded(void)
{
    FAIL_POINT("test.guarded", return failpoint_error(-AIS_E_IO));
    return 0;
}

static void
the_environment_arms_once(void **state)
{
    (void)state;
    assert_true(failpoint_compiled_in());
    assert_true(failpoint_hit("from.env")); /* main() set AIS_FAIL=from.env=0:2 */
    assert_true(failpoint_hit("from.env"));
    assert_false(failpoint_hit("from.env"));
}

static void
skip_and_times_are_counted(void **state)
{
    static const struct {
        const char *spec;
        const char *fires; /* of six hits */
    } cases[] = { { "a=0:0", "yyyyyy" }, { "a=0", "yyyyyy" },  { "a=2", "nnyyyy" }, { "a=1:3", "nyyyn" "n" },
                  { "a=0:1", "ynnnnn" }, { "a=io", "yyyyyy" }, { "a=io:3:1", "nnnynn" }, { "b=0,a=5:1,c=0", "nnnnny" } };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(0, failpoint_arm(STR_LIT("")));
        assert_int_equal(0, failpoint_arm(str_z(cases[i].spec)));
        for (int k = 0; k < 6; k++)
            if (failpoint_hit("a") != (cases[i].fires[k] == 'y'))
                fail_msg("%s, hit %d", cases[i].spec, k);
        assert_false(failpoint_hit("other"));
    }
    assert_int_equal(0, failpoint_arm(STR_LIT("")));
    assert_false(failpoint_hit("a"));
}

static void
a_word_names_the_error(void **state)
{
    (void)state;
    assert_int_equal(0, failpoint_arm(STR_LIT("")));
    assert_int_equal(0, guarded());
    assert_int_equal(0, failpoint_arm(STR_LIT("test.guarded=0:1:nospace")));
    assert_int_equal(-AIS_E_NOSPACE, guarded());
    assert_int_equal(0, guarded());
    assert_int_equal(0, failpoint_arm(STR_LIT("test.guarded=0")));
    assert_int_equal(-AIS_E_IO, guarded());
}

static void
arming_again_replaces_and_others_stay(void **state)
{
    (void)state;
    assert_int_equal(0, failpoint_arm(STR_LIT("")));
    assert_int_equal(0, failpoint_arm(STR_LIT("a=0:1,b=0:1")));
    assert_int_equal(0, failpoint_arm(STR_LIT("a=0:2")));
    assert_true(failpoint_hit("a") && failpoint_hit("a") && !failpoint_hit("a"));
    assert_true(failpoint_hit("b") && !failpoint_hit("b"));
}

static void
a_bad_list_changes_nothing(void **state)
{
    static const char *const bad[] = { "a", "a=", "=1", "a=1:2:3", "a=nonsense", "a=1,", ",a=1", "a=-1", "a=1:",
                                       "name-that-is-much-longer-than-any-fail-point-needs=1" };

    (void)state;
    assert_int_equal(0, failpoint_arm(STR_LIT("")));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (failpoint_arm(str_z(bad[i])) != -AIS_E_INVAL)
            fail_msg("%s", bad[i]);
        assert_false(failpoint_hit("a"));
    }
}

static void
the_table_is_bounded(void **state)
{
    char spec[32];
    int  rc = 0;

    (void)state;
    assert_int_equal(0, failpoint_arm(STR_LIT("")));
    for (int i = 0; i < MAX_POINTS; i++) {
        snprintf(spec, sizeof(spec), "p%d=0", i);
        assert_int_equal(0, failpoint_arm(str_z(spec)));
    }
    rc = failpoint_arm(STR_LIT("one.more=0"));
    assert_int_equal(-AIS_E_INVAL, rc);
    assert_int_equal(0, failpoint_arm(STR_LIT("")));
}

static void
kill_kills_at_the_hit(void **state)
{
    int   status;
    pid_t pid;

    (void)state;
    assert_int_equal(0, failpoint_arm(STR_LIT("deadly=1:1:kill")));
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (failpoint_hit("deadly"))
            _exit(1);
        failpoint_hit("deadly");
        _exit(2);
    }
    assert_int_equal(pid, waitpid(pid, &status, 0));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(0, failpoint_arm(STR_LIT("")));
}

static void *
hit_many(void *arg)
{
    unsigned long *n = arg;

    for (int i = 0; i < 10000; i++)
        *n += failpoint_hit("shared");
    return NULL;
}

static void
threads_share_the_count(void **state)
{
    pthread_t     t[4];
    unsigned long n[4] = { 0 };

    (void)state;
    assert_int_equal(0, failpoint_arm(STR_LIT("shared=100:20000")));
    for (int i = 0; i < 4; i++)
        assert_int_equal(0, pthread_create(&t[i], NULL, hit_many, &n[i]));
    for (int i = 0; i < 4; i++)
        assert_int_equal(0, pthread_join(t[i], NULL));
    assert_int_equal(20000, n[0] + n[1] + n[2] + n[3]);
    assert_int_equal(0, failpoint_arm(STR_LIT("")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_arms_once),
        cmocka_unit_test(skip_and_times_are_counted),
        cmocka_unit_test(a_word_names_the_error),
        cmocka_unit_test(arming_again_replaces_and_others_stay),
        cmocka_unit_test(a_bad_list_changes_nothing),
        cmocka_unit_test(the_table_is_bounded),
        cmocka_unit_test(kill_kills_at_the_hit),
        cmocka_unit_test(threads_share_the_count),
    };

    setenv("AIS_FAIL", "from.env=0:2", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
