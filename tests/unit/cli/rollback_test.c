/* SPDX-License-Identifier: Apache-2.0 */
/* Which objects a Go AIStore could not read. */
#include "unit.h"

#include "cli/rollback.c"

static char *
repeat(char ch, size_t n, char *out)
{
    memset(out, ch, n);
    out[n] = '\0';
    return out;
}

static void
ordinary_objects_need_no_export(void **state)
{
    static const char *const names[] = { "a", "dir/sub/a", ".hidden", "..a", "sp ace+&?%41", "\xd0\xba/\xe6\x97\xa5", ".x12" };
    char                     max[256], longer[400];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_null(alone_reason(str_z(names[i]), true, 100));
    assert_null(alone_reason(str_z(repeat('n', 255, max)), true, 0));
    assert_null(alone_reason(str_z(repeat('n', 300, longer)), false, 0)); /* in AIStore's long form, which it finds */
}

static void
names_that_go_does_not_find_are_told(void **state)
{
    static const char *const names[] = { "a//b", "/a", "a/", "a/../b", "./a",
                                         ".x0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" };
    char                     buf[700], part[400];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_non_null(alone_reason(str_z(names[i]), false, 0));
    snprintf(buf, sizeof(buf), "d/%s", repeat('n', 256, part));
    assert_non_null(alone_reason(str_z(buf), false, 0));
    snprintf(buf, sizeof(buf), "%s/b", repeat('n', 256, part));
    assert_non_null(alone_reason(str_z(buf), false, 0));
    assert_non_null(alone_reason(str_z(repeat('n', 300, part)), true, 0));
    assert_non_null(alone_reason(STR_LIT("a"), false, GO_CUSTOM_MAX + 1));
}

/* A sorted listing, and which of its names lie below which. */
static void
an_object_that_is_another_ones_folder_is_found(void **state)
{
    static const struct {
        const char *name, *parent;
    } rows[] = {
        { "a", NULL },   { "a!", NULL },  { "a!/x", "a!" }, { "a-", NULL },    { "a/b", "a" },     { "a/b/c", "a/b" },
        { "a/bc", "a" }, { "ab", NULL },  { "b/c", NULL },  { "b/c!d", NULL }, { "b/c/d", "b/c" }, { "b/cc/d", NULL },
        { "c", NULL },
    };
    struct parents ps = { .n = 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct parent *p = parent_of(&ps, str_z(rows[i].name));

        if (rows[i].parent == NULL)
            assert_null(p);
        else
            assert_string_equal(rows[i].parent, p->name);
        parent_push(&ps, str_z(rows[i].name), 0, false);
    }
    parents_fini(&ps);
}

static void
deep_nesting_of_names_forgets_nobody(void **state)
{
    struct parents ps = { .n = 0 };
    char           name[300];

    (void)state;
    parent_push(&ps, STR_LIT("a"), 0, false);
    for (size_t n = 1; n < 200; n++) {
        name[0] = 'a';
        memset(name + 1, '-', n);
        assert_null(parent_of(&ps, str_from(name, n + 1)));
        parent_push(&ps, str_from(name, n + 1), 0, false);
    }
    assert_string_equal("a", parent_of(&ps, STR_LIT("a/b"))->name);
    parents_fini(&ps);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_objects_need_no_export),
        cmocka_unit_test(names_that_go_does_not_find_are_told),
        cmocka_unit_test(an_object_that_is_another_ones_folder_is_found),
        cmocka_unit_test(deep_nesting_of_names_forgets_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
