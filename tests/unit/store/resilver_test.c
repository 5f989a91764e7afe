/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mountpaths that leave and come back: everything of an object goes along, of whatever form, what was changed meanwhile counts, and a
 * crash at any step loses nothing. Health checks.
 */
#include "fixture.h"

#include "base/failpoint.h"

#define FEW 60

static char *
name_of(unsigned i)
{
    static char name[32];

    if (i % 5 == 4)
        snprintf(name, sizeof(name), "dir/%u/deep", i);
    else
        snprintf(name, sizeof(name), "n%u", i);
    return name;
}

static char *
content_of(unsigned i)
{
    static char text[64];

    snprintf(text, sizeof(text), "this is the content of object %u", i);
    return text;
}

static void
fill(void)
{
    for (unsigned i = 0; i < FEW; i++)
        put_z(name_of(i), content_of(i));
}

static void
all_there(void)
{
    char out[2000], want[2000] = "", *names[FEW];

    for (unsigned i = 0; i < FEW; i++) {
        expect(name_of(i), content_of(i));
        names[i] = xstrdup(name_of(i));
    }
    list("", out, sizeof(out));
    for (unsigned n = 0; n < FEW; n++) { /* in byte order */
        unsigned least = FEW;

        for (unsigned i = 0; i < FEW; i++)
            if (names[i] != NULL && (least == FEW || strcmp(names[i], names[least]) < 0))
                least = i;
        snprintf(want + strlen(want), sizeof(want) - strlen(want), "%s ", names[least]);
        free(names[least]);
        names[least] = NULL;
    }
    assert_string_equal(want, out);
}

static int
resilver(struct resilver_prog *p)
{
    const struct resilver_args a = { .inflight = 2 };
    struct err                 e = { .code = 0 };
    int                        rc;

    do
        rc = store_resilver(st, &a, p, &e);
    while (rc == -AIS_E_AGAIN);
    return rc;
}

static void
settle(void)
{
    struct resilver_prog p;

    assert_true(store_resilver_due(st));
    assert_int_equal(0, resilver(&p));
    assert_false(store_resilver_due(st));
}

static void
leave(unsigned i)
{
    struct err e = { .code = 0 };
    bool       noop;

    if (store_mpath_disable(st, str_z(st->mpaths[i]->path), false, &noop, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(MPATH_DETACHING, atomic_load(&st->mpaths[i]->state));
}

static void
come(unsigned i)
{
    struct err e = { .code = 0 };
    bool       noop;

    if (store_mpath_enable(st, str_z(st->mpaths[i]->path), &noop, &e) < 0)
        fail_msg("%s", e.text);
}

/* --- forms of objects --- */

static const struct kv custom[2] = { { { "color", 5 }, { "blue", 4 } }, { { "shape", 5 }, { "round", 5 } } };

static void
put_parts(const char *name)
{
    const struct mpt_part_ref refs[3] = { { .num = 1 }, { .num = 2 }, { .num = 3 } };
    struct put_attrs          a = { .length = -1 };
    struct err                e = { .code = 0 };
    char                      id[40];

    assert_int_equal(0, mpt_create(st, &bk, str_z(name), &a, id, &e));
    for (unsigned i = 1; i <= 3; i++) {
        struct put *p;
        char        text[8];

        snprintf(text, sizeof(text), "part%u ", i);
        assert_int_equal(0, mpt_part(st, &bk, str_z(name), str_z(id), i, &a, &p, &e));
        assert_int_equal(0, put_write(p, text, strlen(text), &e));
        assert_int_equal(0, put_commit(p, NULL, &e));
    }
    if (mpt_complete(st, &bk, str_z(name), str_z(id), refs, 3, NULL, &e) < 0)
        fail_msg("%s", e.text);
}

static char long_name[700];

static void
put_forms(void)
{
    struct err e = { .code = 0 };

    memset(long_name, 'x', sizeof(long_name) - 1);
    fill();
    for (unsigned i = 0; i < 8; i++) {
        char name[20];

        snprintf(name, sizeof(name), "parts%u", i);
        put_parts(name);
        snprintf(name, sizeof(name), "custom%u", i);
        put_z(name, "with metadata");
        assert_int_equal(0, obj_set_custom(st, &bk, str_z(name), custom, 2, false, &e));
        long_name[0] = (char)('0' + i);
        put_z(long_name, "long");
    }
}

static void
forms_are_there(void)
{
    for (unsigned i = 0; i < FEW; i++)
        expect(name_of(i), content_of(i));
    for (unsigned i = 0; i < 8; i++) {
        const struct obj_info *info;
        struct obj            *o;
        struct err             e = { .code = 0 };
        char                   name[20];

        snprintf(name, sizeof(name), "parts%u", i);
        expect(name, "part1 part2 part3 ");
        snprintf(name, sizeof(name), "custom%u", i);
        expect(name, "with metadata");
        assert_int_equal(0, obj_open(st, &bk, str_z(name), 0, &o, &e));
        info = obj_info(o);
        assert_int_equal(2, info->ncustom);
        assert_true(str_eqz(info->custom[0].v, "blue") || str_eqz(info->custom[1].v, "blue"));
        obj_close(o);
        long_name[0] = (char)('0' + i);
        expect(long_name, "long");
    }
}

static void
there_and_back(void)
{
    put_forms();
    for (unsigned i = 0; i < 2; i++) {
        leave(i);
        forms_are_there();
        settle();
        assert_int_equal(MPATH_DISABLED, atomic_load(&st->mpaths[i]->state));
        forms_are_there();
        come(i);
        forms_are_there();
        settle();
        forms_are_there();
    }
}

static unsigned
files_on(unsigned i, const char *dir)
{
    char path[300];

    counted = 0;
    snprintf(path, sizeof(path), "%s/mp%u/%s", root, i + 1, dir);
    nftw(path, count_one, 16, FTW_PHYS);
    return counted;
}

static void
objects_of_all_forms_go_and_come_back(void **state)
{
    UNUSED(state);
    on_fiber(there_and_back);
    assert_int_equal(0, files_in("@ais/bucket/%wk"));
    close_store();
    open_store();
    on_fiber(forms_are_there);
}

static void
one_leaves(void)
{
    put_forms();
    leave(0);
    settle();
}

static void
a_mountpath_that_has_left_has_nothing(void **state)
{
    UNUSED(state);
    on_fiber(one_leaves);
    assert_int_equal(0, files_on(0, "@ais/bucket/%ob"));
    assert_int_equal(0, files_on(0, "@ais/bucket/%ch"));
    on_fiber(forms_are_there);
}

/* --- changes meanwhile --- */

static void
change_while_scattered(void)
{
    char out[2000];

    fill();
    leave(0);
    for (unsigned i = 0; i < FEW; i += 2)
        put_z(name_of(i), "newer");
    for (unsigned i = 1; i < FEW; i += 4)
        delete_z(name_of(i));
    for (int turn = 0; turn < 3; turn++) {
        for (unsigned i = 0; i < FEW; i++)
            expect(name_of(i), i % 2 == 0 ? "newer" : i % 4 == 1 ? NULL : content_of(i));
        list("", out, sizeof(out));
        for (unsigned i = 1; i < FEW; i += 4) {
            char word[40];

            snprintf(word, sizeof(word), " %s ", name_of(i));
            assert_null(strstr(out, word));
        }
        if (turn == 0) {
            settle();
        } else if (turn == 1) {
            come(0); /* what lies there is old */
            settle();
        }
    }
}

static void
what_was_changed_meanwhile_counts(void **state)
{
    UNUSED(state);
    on_fiber(change_while_scattered);
}

static void
stays_after_all(void)
{
    fill();
    leave(0);
    come(0);
    assert_int_equal(MPATH_OK, atomic_load(&st->mpaths[0]->state));
    all_there();
    settle();
    all_there();
}

static void
a_mountpath_that_is_to_leave_may_stay_after_all(void **state)
{
    UNUSED(state);
    on_fiber(stays_after_all);
}

/* --- stopped, failed --- */

static unsigned looks;

static bool
say_no(void *ctx, const struct resilver_prog *p)
{
    UNUSED(ctx);
    UNUSED(p);
    looks++;
    return false;
}

static void
stop_it(void)
{
    struct resilver_args a = { .go_on = say_no };
    struct resilver_prog p;
    struct err           e = { .code = 0 };

    fill();
    leave(0);
    assert_int_equal(0, failpoint_arm(STR_LIT("resilver.slow=1"))); /* or it might be over before it is asked */
    assert_int_equal(-AIS_E_CANCELED, store_resilver(st, &a, &p, &e));
    assert_true(looks > 0);
    assert_int_equal(0, failpoint_arm(STR_LIT("")));
    assert_true(store_resilver_due(st));
    all_there();
    settle();
    all_there();
}

static void
a_resilver_that_was_stopped_stays_due(void **state)
{
    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    on_fiber(stop_it);
}

static void
fail_some(void)
{
    struct resilver_prog p;

    fill();
    leave(0);
    assert_int_equal(0, failpoint_arm(STR_LIT("home.copy=3")));
    assert_int_equal(-AIS_E_IO, resilver(&p));
    assert_true(p.failed > 0);
    assert_int_equal(0, failpoint_arm(STR_LIT("")));
    assert_true(store_resilver_due(st));
    assert_int_equal(MPATH_DETACHING, atomic_load(&st->mpaths[0]->state));
    all_there();
    settle();
    all_there();
}

static void
what_cannot_be_brought_stays_readable_and_is_tried_again(void **state)
{
    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    on_fiber(fail_some);
}

/* --- going down --- */

static const char *step;

static void
die_in_a_resilver(void)
{
    struct resilver_prog p;

    fill();
    flush();
    leave(0);
    assert_int_equal(0, failpoint_arm(str_z(step)));
    (void)resilver(&p);
    come(0); /* if that step was not reached on the way out, on the way back */
    (void)resilver(&p);
    _exit(1); /* never reached */
}

static void
go_on_after_it(void)
{
    struct resilver_prog p;

    all_there();
    if (store_resilver_due(st))
        assert_int_equal(0, resilver(&p));
    all_there();
}

static void
a_crash_at_any_step_loses_nothing(void **state)
{
    static const char *const steps[] = { "home.copy=7:1:kill", "resilver.flushed=0:1:kill", "resilver.settle=0:1:kill", "layout.write=1:1:kill",
                                         "resilver.flushed=1:1:kill", "resilver.settle=1:1:kill" };

    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        step = steps[i];
        die_after(die_in_a_resilver);
        open_store();
        on_fiber(go_on_after_it);
        assert_int_equal(0, files_in("@ais/bucket/%wk"));
        teardown(NULL);
        setup(NULL);
    }
}

/* --- health --- */

static const struct fshc_conf health = { .enabled = true, .test_files = 4, .error_limit = 2, .io_err_limit = 10, .io_err_ns = SEC_NS(10) };

static void
check_both(void)
{
    struct err e = { .code = 0 };
    bool       good = false;

    fill();
    store_set_fshc(st, &health);
    assert_int_equal(0, store_mpath_check(st, str_z(st->mpaths[0]->path), &good, &e));
    assert_true(good);
    assert_int_equal(0, failpoint_arm(STR_LIT("fshc.write=1:1")));
    assert_int_equal(0, store_mpath_check(st, str_z(st->mpaths[0]->path), &good, &e));
    assert_true(good); /* one error is below the limit */
    assert_int_equal(0, failpoint_arm(STR_LIT("fshc.write=0:9")));
    assert_int_equal(0, store_mpath_check(st, str_z(st->mpaths[0]->path), &good, &e));
    assert_false(good);
    assert_int_equal(MPATH_DETACHING, atomic_load(&st->mpaths[0]->state));
    all_there();
    assert_int_equal(0, store_mpath_check(st, str_z(st->mpaths[1]->path), &good, &e));
    assert_false(good);
    assert_int_equal(MPATH_OK, atomic_load(&st->mpaths[1]->state)); /* the last one stays */
    assert_int_equal(0, failpoint_arm(STR_LIT("")));
    settle();
    all_there();
    assert_int_equal(-AIS_E_NOMPATH, store_mpath_check(st, STR_LIT("/nowhere"), &good, &e));
}

static void
a_mountpath_that_fails_its_check_leaves(void **state)
{
    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    on_fiber(check_both);
    assert_int_equal(0, files_on(0, ".ais.c/fshc.0") + files_on(1, ".ais.c/fshc.0"));
}

static void
many_errors(void)
{
    int64_t until = clock_mono() + SEC_NS(20);

    fill();
    assert_int_equal(0, failpoint_arm(STR_LIT("fshc.read=0:9")));
    for (unsigned i = 0; i < 50; i++)
        mpath_trouble(st->mpaths[0], -AIS_E_IO); /* not enabled */
    store_set_fshc(st, &health);
    for (unsigned i = 0; i < 9; i++)
        mpath_trouble(st->mpaths[0], -AIS_E_IO);
    assert_false(atomic_load(&st->mpaths[0]->suspect));
    while (atomic_load(&st->mpaths[0]->state) == MPATH_OK && clock_mono() < until) {
        mpath_trouble(st->mpaths[0], -AIS_E_IO);
        (void)fiber_sleep(MSEC_NS(1));
    }
    assert_int_equal(MPATH_DETACHING, atomic_load(&st->mpaths[0]->state));
    assert_int_equal(0, failpoint_arm(STR_LIT("")));
    settle();
    all_there();
}

static void
many_errors_in_a_short_time_have_a_mountpath_checked(void **state)
{
    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    on_fiber(many_errors);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(objects_of_all_forms_go_and_come_back),
        T(a_mountpath_that_has_left_has_nothing),
        T(what_was_changed_meanwhile_counts),
        T(a_mountpath_that_is_to_leave_may_stay_after_all),
        T(a_resilver_that_was_stopped_stays_due),
        T(what_cannot_be_brought_stays_readable_and_is_tried_again),
        T(a_crash_at_any_step_loses_nothing),
        T(a_mountpath_that_fails_its_check_leaves),
        T(many_errors_in_a_short_time_have_a_mountpath_checked),
    };

    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
