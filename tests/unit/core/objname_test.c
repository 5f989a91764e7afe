/* SPDX-License-Identifier: Apache-2.0 */
/* Object names: what is allowed. */
#include "unit.h"

#include "base/err.h"
#include "base/util.h"
#include "core/bmd.h"

static void
object_names_that_could_escape_or_confuse_are_refused(void **state)
{
    struct err e;

    UNUSED(state);
    assert_int_equal(0, obj_name_check(STR_LIT("a/b"), false, &e));
    assert_int_equal(0, obj_name_check(STR_LIT("a/b/"), true, &e));
    assert_int_equal(-AIS_E_INVAL, obj_name_check(STR_LIT("a/b/"), false, &e));
    assert_int_equal(-AIS_E_INVAL, obj_name_check(STR_LIT("a/../b"), false, &e));
    assert_int_equal(-AIS_E_INVAL, obj_name_check(STR_LIT("~/b"), false, &e));
    assert_int_equal(-AIS_E_INVAL, obj_name_check(str_from("a\0b", 3), false, &e));
    assert_int_equal(-AIS_E_INVAL, obj_name_check(STR_LIT("\xff"), false, &e));
    assert_int_equal(-AIS_E_INVAL, obj_name_check(STR_LIT(""), false, &e));
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(object_names_that_could_escape_or_confuse_are_refused) };

    return cmocka_run_group_tests_name("objname", tests, NULL, NULL);
}
