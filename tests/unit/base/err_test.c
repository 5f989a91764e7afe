/* SPDX-License-Identifier: Apache-2.0 */
/* Error codes and their texts. */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.c"

static void
codes_have_name_status_and_sentence(void **state)
{
    (void)state;
    assert_string_equal("AIS_E_NOBCK", err_name(-AIS_E_NOBCK));
    assert_string_equal("AIS_E_NOBCK", err_name(AIS_E_NOBCK));
    assert_string_equal("bucket does not exist", err_text(-AIS_E_NOBCK));
    assert_int_equal(404, err_http(-AIS_E_NOBCK));
    assert_string_equal("ErrBckNotFound", err_tcode_of(-AIS_E_NOBCK));
    for (int c = AIS_E_BASE + 1; c < AIS_E_END; c++) {
        assert_true(err_http(c) >= 400 && err_http(c) < 600);
        assert_true(strlen(err_text(c)) > 0);
    }
    assert_non_null(err_name(-1)); /* not ours, and no crash */
    assert_non_null(err_text(0));
}

static void
a_text_is_set_wrapped_and_cut(void **state)
{
    struct err e;
    char       big[3000];

    (void)state;
    memset(big, 'x', sizeof(big));
    big[sizeof(big) - 1] = '\0';
    assert_int_equal(-AIS_E_NOOBJ, err_set(&e, AIS_E_NOOBJ, "%s", "ais://b/o"));
    assert_int_equal(AIS_E_NOOBJ, e.code);
    assert_int_equal(404, e.status);
    assert_non_null(strstr(e.text, "ais://b/o"));
    assert_int_equal(-AIS_E_NOOBJ, err_wrap(&e, "get %d", 7));
    assert_ptr_equal(e.text, strstr(e.text, "get 7: "));
    assert_non_null(strstr(e.text, "ais://b/o"));
    err_wrap(&e, "%s", big);
    assert_true(strlen(e.text) < sizeof(e.text));
    assert_int_equal(-AIS_E_NOOBJ, err_status(&e, 410));
    assert_int_equal(410, e.status);
    err_tcode(&e, "ErrOther");
    assert_string_equal("ErrOther", e.tcode);
    err_clear(&e);
    assert_int_equal(0, e.code);
    assert_int_equal(-AIS_E_IO, err_fill(&e, -AIS_E_IO));
    assert_string_equal(err_text(AIS_E_IO), e.text);
    err_fill(&e, -AIS_E_NOSPACE); /* filled already */
    assert_int_equal(AIS_E_IO, e.code);
    assert_int_equal(-AIS_E_BUSY, err_set(NULL, AIS_E_BUSY, "nobody listens"));
}

static void
errno_maps_to_codes(void **state)
{
    (void)state;
    assert_int_equal(-AIS_E_NOENT, err_from_errno(ENOENT));
    assert_int_equal(-AIS_E_NOSPACE, err_from_errno(ENOSPC));
    assert_int_equal(-AIS_E_NOSPACE, err_from_errno(EDQUOT));
    assert_int_equal(-AIS_E_READONLY, err_from_errno(EROFS));
    assert_int_equal(-AIS_E_IO, err_from_errno(EIO));
    assert_int_equal(-AIS_E_IO, err_from_errno(12345));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_name_status_and_sentence),
        cmocka_unit_test(a_text_is_set_wrapped_and_cut),
        cmocka_unit_test(errno_maps_to_codes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
