/* SPDX-License-Identifier: Apache-2.0 */
/* Text for terminals and JSON for programs. */
#include "unit.h"

#include "cli/out.c"

static void
json_is_indented_and_numbers_are_left_alone(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "{}", "{}" },
        { "[ ]", "[]" },
        { "1", "1" },
        { "{\"id_digest\":18446744073709551615}", "{\n    \"id_digest\": 18446744073709551615\n}" },
        { "[1,2]", "[\n    1,\n    2\n]" },
        { "{\"a\":{\"b\":[]}}", "{\n    \"a\": {\n        \"b\": []\n    }\n}" },
        { "{\"a\":\"x{,}\\\"y\"}", "{\n    \"a\": \"x{,}\\\"y\"\n}" },
        { "{\"unfinished", "{\n    \"unfinished" }, /* whatever comes, it ends */
        { "\"\\", "\"\\" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sbuf b;

        sbuf_init(&b, 4096);
        json_pretty(&b, str_z(cases[i].in));
        assert_string_equal(cases[i].out, b.p);
        sbuf_fini(&b);
    }
}

static void
control_bytes_cannot_break_a_table(void **state)
{
    struct arena *mem = arena_new(4096, 1 * MIB);
    const char   *plain = "plain \xc3\xbc";

    (void)state;
    assert_ptr_equal(plain, text_safe(mem, plain));
    assert_string_equal("a\\x0ab\\x1b[31m", text_safe(mem, "a\nb\x1b[31m"));
    arena_free(mem);
}

static void
width_counts_characters(void **state)
{
    (void)state;
    assert_int_equal(0, text_width(""));
    assert_int_equal(5, text_width("plain"));
    assert_int_equal(2, text_width("\xc3\xbc\xc3\xb6"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_indented_and_numbers_are_left_alone),
        cmocka_unit_test(control_bytes_cannot_break_a_table),
        cmocka_unit_test(width_counts_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
