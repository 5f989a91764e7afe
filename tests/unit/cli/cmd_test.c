/* SPDX-License-Identifier: Apache-2.0 */
/* Commands, flags, near misses; and that the tables themselves are in order. */
#include "unit.h"

#include "cli/cmd.c"

#define WORDS(...) ((char *[]){ __VA_ARGS__, NULL })
#define W(s)       ((char *)(uintptr_t)(s))

static struct ctx ctx;

static int
parse(const char *path, int argc, char *const *argv, struct fault *f)
{
    char           copy[128], *words[MAX_DEPTH + 1], *save = NULL;
    int            n = 0, used;

    str_copyz(str_z(path), copy, sizeof(copy));
    for (char *w = strtok_r(copy, " ", &save); w != NULL && n < MAX_DEPTH; w = strtok_r(NULL, " ", &save))
        words[n++] = w;
    arena_free(ctx.mem);
    ctx = (struct ctx){ .mem = arena_new(4096, 1 * MIB) };
    ctx.cmd = cmd_find(n, words, &used);
    assert_non_null(ctx.cmd);
    return args_parse(&ctx, argc, argv, f);
}

static int
free_ctx(void **state)
{
    (void)state;
    arena_free(ctx.mem);
    ctx.mem = NULL;
    return 0;
}

static void
the_longest_row_wins_and_aliases_lead_to_it(void **state)
{
    static const struct {
        const char *a, *b, *c, *path;
        int         used;
    } cases[] = {
        { "bucket", "ls", "ais:", "bucket ls", 2 },
        { "ls", "ais://b", NULL, "bucket ls", 1 },
        { "object", "ls", NULL, "bucket ls", 2 },
        { "put", "f", "b", "object put", 1 },
        { "rmb", "b", NULL, "bucket rm", 1 },
        { "rmo", "b", NULL, "object rm", 1 },
        { "create", "b", NULL, "bucket create", 1 },
        { "show", "cluster", NULL, "show cluster", 2 },
        { "show", "cluster", "smap", "show cluster smap", 3 },
        { "show", "cluster", "p[x]", "show cluster", 2 },
        { "bucket", "props", "set", "bucket props set", 3 },
        { "storage", "mountpath", "attach", "storage mountpath attach", 3 },
        { "storage", "mountpath", NULL, "show storage mountpath", 2 },
        { "mpu", "create", "b/o", "object multipart-upload create", 2 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *const       words[] = { W(cases[i].a), W(cases[i].b), W(cases[i].c) };
        int               used, n = cases[i].c != NULL ? 3 : 2;
        const struct cmd *c = cmd_find(n, words, &used);

        assert_non_null(c);
        assert_string_equal(cases[i].path, c->path);
        assert_int_equal(cases[i].used, used);
    }
}

static void
a_word_close_to_a_command_is_suggested(void **state)
{
    static const struct {
        const char *a, *b, *want;
        int         at;
    } cases[] = {
        { "bukcet", NULL, "bucket", 0 }, { "buckt", NULL, "bucket", 0 }, { "objet", NULL, "object", 0 },
        { "bucket", "lss", "ls", 1 },    { "bucket", "crate", "create", 1 }, { "pt", NULL, "put", 0 },
        { "xyzzy", NULL, NULL, 0 },      { "bucket", "frobnicate", NULL, 1 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *const words[] = { W(cases[i].a), W(cases[i].b) };
        const char *got = cmd_suggest(cases[i].b != NULL ? 2 : 1, words, cases[i].at);

        if (cases[i].want == NULL)
            assert_null(got);
        else
            assert_string_equal(cases[i].want, got);
    }
}

static void
flags_may_stand_anywhere_and_take_both_forms(void **state)
{
    struct fault f;

    (void)state;
    assert_int_equal(CLI_OK, parse("object get", 6, WORDS(W("--offset"), W("10"), W("b/o"), W("--length=1KiB"), W("-"), W("-y")), &f));
    assert_int_equal(2, ctx.nargs);
    assert_string_equal("b/o", ctx.arg[0]);
    assert_string_equal("-", ctx.arg[1]); /* a single dash is an argument */
    assert_int_equal(10, flag_u64(&ctx, "offset", 0));
    assert_int_equal(1024, flag_u64(&ctx, "length", 0));
    assert_true(flag_on(&ctx, "yes"));
    assert_false(flag_on(&ctx, "recursive"));
    assert_int_equal(7, flag_u64(&ctx, "num-workers", 7));
}

static void
two_dashes_end_the_flags(void **state)
{
    struct fault f;

    (void)state;
    assert_int_equal(CLI_OK, parse("object put", 3, WORDS(W("--"), W("-strange-file"), W("b")), &f));
    assert_string_equal("-strange-file", ctx.arg[0]);
}

static void
long_and_short_aliases_of_a_flag_are_the_flag(void **state)
{
    struct fault f;

    (void)state;
    assert_int_equal(CLI_OK, parse("bucket ls", 2, WORDS(W("b"), W("--nr")), &f));
    assert_true(flag_on(&ctx, "non-recursive"));
    assert_int_equal(CLI_OK, parse("object put", 3, WORDS(W("f"), W("b"), W("--compute-checksum")), &f));
    assert_true(flag_on(&ctx, "checksum"));
    assert_int_equal(CLI_OK, parse("object put", 3, WORDS(W("-r=false"), W("f"), W("b")), &f));
    assert_false(flag_on(&ctx, "recursive"));
}

static void
wrong_flags_and_arguments_are_named(void **state)
{
    static const struct {
        const char *cmd, *a, *b, *c, *says;
    } cases[] = {
        { "bucket ls", "--bogus", NULL, NULL, "unknown flag --bogus" },
        { "bucket ls", "--limit", NULL, NULL, "flag --limit needs a value (N)" },
        { "bucket ls", "--limit", "many", NULL, "--limit: \"many\" is not a number" },
        { "bucket ls", "--limit=-1", NULL, NULL, "--limit: \"-1\" is not a number" },
        { "bucket ls", "--json=please", NULL, NULL, "flag --json takes no value" },
        { "bucket ls", "--units", "feet", NULL, "--units: \"feet\" is not iec, si or raw" },
        { "object get", "--offset", "x", "b/o", "--offset: \"x\" is not a size" },
        { "log show", "--refresh", "soon", "n", "--refresh: \"soon\" is not a time" },
        { "log show", "--severity", "loud", "n", "--severity: \"loud\" is not info, warning or error" },
        { "bucket create", NULL, NULL, NULL, "missing argument: expecting BUCKET [BUCKET...]" },
        { "object put", NULL, NULL, NULL, "missing arguments: expecting" },
        { "bucket ls", "a", "b", NULL, "unexpected argument \"b\"" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = { .code = 0 };
        char *const  argv[] = { W(cases[i].a), W(cases[i].b), W(cases[i].c) };
        int          n = (cases[i].a != NULL) + (cases[i].b != NULL) + (cases[i].c != NULL);

        assert_int_equal(CLI_USAGE, parse(cases[i].cmd, n, argv, &f));
        assert_non_null(strstr(f.text, cases[i].says));
    }
}

static void
help_needs_no_arguments(void **state)
{
    struct fault f;

    (void)state;
    assert_int_equal(CLI_OK, parse("object put", 1, WORDS(W("--help")), &f));
    assert_true(ctx.help);
}

static void
times_are_go_durations_or_seconds(void **state)
{
    struct fault f;

    (void)state;
    assert_int_equal(CLI_OK, parse("log show", 3, WORDS(W("n"), W("--refresh"), W("10")), &f));
    assert_int_equal(SEC_NS(10), flag_dur(&ctx, "refresh", 0));
    assert_int_equal(CLI_OK, parse("log show", 3, WORDS(W("n"), W("--refresh"), W("500ms")), &f));
    assert_int_equal(MSEC_NS(500), flag_dur(&ctx, "refresh", 0));
}

/* Two rows with one spelling would hide one of them; a flag twice likewise. */
static void
no_spelling_and_no_flag_is_there_twice(void **state)
{
    char seen[400][64];
    int  n = 0;

    (void)state;
    for (unsigned g = 0; g < ngroups; g++)
        for (unsigned i = 0; i < *groups[g].count; i++) {
            const struct cmd *c = &groups[g].cmds[i];
            struct str        one;
            int               at = 0;
            unsigned          flags = 0, k;

            while (next_spelling(c, &at, &one)) {
                assert_true(one.n < sizeof(seen[0]) && n < (int)ARRAY_SIZE(seen));
                for (int s = 0; s < n; s++)
                    assert_false(str_eqz(one, seen[s]));
                str_copyz(one, seen[n++], sizeof(seen[0]));
            }
            for (const struct flag *f = c->flags; f != NULL && f->name != NULL; f++, flags++) {
                struct str all = str_z(f->alias), alias;

                assert_ptr_equal(f, flag_find(c, str_z(f->name), &k));
                while (str_split(&all, ',', &alias))
                    assert_ptr_equal(f, flag_find(c, alias, &k));
            }
            assert_true(flags <= MAX_FLAGS);
            assert_non_null(c->help);
            assert_non_null(c->fn);
        }
    assert_true(n > 60);
}

static void
a_tally_tells_none_some_and_all(void **state)
{
    struct tally t = { .done = 0 };

    (void)state;
    assert_int_equal(CLI_OK, tally_exit(&t));
    tally_add(&t, CLI_NOTFOUND);
    tally_add(&t, CLI_FAILED);
    assert_int_equal(CLI_NOTFOUND, tally_exit(&t)); /* nothing was done: the first reason */
    tally_add(&t, CLI_OK);
    assert_int_equal(CLI_PARTIAL, tally_exit(&t));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_row_wins_and_aliases_lead_to_it),
        cmocka_unit_test(a_word_close_to_a_command_is_suggested),
        cmocka_unit_test(flags_may_stand_anywhere_and_take_both_forms),
        cmocka_unit_test(two_dashes_end_the_flags),
        cmocka_unit_test(long_and_short_aliases_of_a_flag_are_the_flag),
        cmocka_unit_test(wrong_flags_and_arguments_are_named),
        cmocka_unit_test(help_needs_no_arguments),
        cmocka_unit_test(times_are_go_durations_or_seconds),
        cmocka_unit_test(no_spelling_and_no_flag_is_there_twice),
        cmocka_unit_test(a_tally_tells_none_some_and_all),
    };

    return cmocka_run_group_tests(tests, NULL, free_ctx);
}
