/* SPDX-License-Identifier: Apache-2.0 */
/* What may be promoted: the sources and names that are refused, in AIStore's words. */
#include "unit.h"

#include "proxy/promote.c"

static int
read_one(const char *name, const char *value, struct promote *p, struct err *e)
{
    static json_t *j;
    struct actmsg  m = { .name = str_z(name) };

    json_decref(j);
    j = NULL;
    memset(p, 0, sizeof(*p));
    err_clear(e);
    if (value != NULL)
        assert_int_equal(0, json_read(str_z(value), &j, NULL));
    m.value = j;
    return promote_read(p, &m, e);
}

static void
options_are_read(void **state)
{
    struct promote p;
    struct err     e;

    (void)state;
    if (read_one("", "{\"src\":\"" PROMOTE_ROOT "/x\",\"obj\":\"pre/fix\",\"rcr\":true,\"ovw\":true,\"dls\":false,\"notshr\":true}", &p, &e) < 0)
        fail_msg("%s", e.text);
    assert_true(str_eqz(p.src, PROMOTE_ROOT "/x") && str_eqz(p.obj, "pre/fix"));
    assert_true(p.recursive && p.overwrite && !p.delete_src && p.not_shared);
    assert_int_equal(0, read_one(PROMOTE_ROOT "/x", NULL, &p, &e));
    assert_false(p.recursive || p.overwrite);
}

static void
what_lies_elsewhere_is_refused(void **state)
{
    static const struct {
        const char *name, *value, *text;
    } cases[] = {
        { "", NULL, "invalid promote source: pathname is empty" },
        { "relative/x", NULL, "invalid promote source \"relative/x\": must be an absolute path" },
        { PROMOTE_ROOT "/../etc", NULL, "invalid promote source \"" PROMOTE_ROOT "/../etc\": must not contain '.' or '..' path elements" },
        { PROMOTE_ROOT "/a/./b", NULL, "invalid promote source \"" PROMOTE_ROOT "/a/./b\": must not contain '.' or '..' path elements" },
        { "/etc", NULL, "invalid promote source \"/etc\": must be under " PROMOTE_ROOT },
        { PROMOTE_ROOT "-not", NULL, "invalid promote source \"" PROMOTE_ROOT "-not\": must be under " PROMOTE_ROOT },
        { PROMOTE_ROOT "/x", "{\"src\":\"" PROMOTE_ROOT "/y\"}",
          "conflicting promote source: \"" PROMOTE_ROOT "/x\" vs \"" PROMOTE_ROOT "/y\"" },
        { PROMOTE_ROOT "/x", "{\"obj\":\"../out\"}", "object name or prefix: invalid prefix \"../out\"" },
        { PROMOTE_ROOT "/x", "{\"obj\":\"~/home\"}", "object name or prefix: invalid prefix \"~/home\"" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct promote p;
        struct err     e;

        if (read_one(cases[i].name, cases[i].value, &p, &e) == 0)
            fail_msg("%s %s was taken", cases[i].name, cases[i].value);
        assert_string_equal(cases[i].text, e.text);
        assert_int_equal(400, e.status);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(what_lies_elsewhere_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
