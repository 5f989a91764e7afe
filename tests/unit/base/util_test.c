/* SPDX-License-Identifier: Apache-2.0 */
/* Byte order, clean-up, checked allocation; assertions that stop the process with their values. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/assert.h"
#include "base/util.h"

static void
numbers_are_big_endian_and_need_no_alignment(void **state)
{
    unsigned char b[9] = { 0 };

    (void)state;
    be64_put(b + 1, 0x0102030405060708ull);
    for (unsigned i = 1; i < 9; i++)
        assert_int_equal(i, b[i]);
    assert_true(be64_get(b + 1) == 0x0102030405060708ull);
    assert_int_equal(0x01020304, be32_get(b + 1));
    assert_int_equal(0x0203, be16_get(b + 2));
    be32_put(b, 0xfffefdfc);
    be16_put(b + 4, 0xabcd);
    assert_memory_equal("\xff\xfe\xfd\xfc\xab\xcd\x06", b, 7);
}

static void
rounding_and_bounds(void **state)
{
    (void)state;
    assert_int_equal(0, ALIGN_UP(0u, 16u));
    assert_int_equal(16, ALIGN_UP(1u, 16u));
    assert_int_equal(16, ALIGN_UP(16u, 16u));
    assert_true(SEC_NS(3) == 3000000000ll && MSEC_NS(2) == 2000000ll);
    assert_true(GIB == 1073741824ull);
}

static void
closing_twice_is_harmless_and_keeps_errno(void **state)
{
    int fd = open("/dev/null", O_RDONLY), was = fd;

    (void)state;
    errno = EXDEV;
    fd_close(&fd);
    assert_int_equal(-1, fd);
    assert_int_equal(EXDEV, errno);
    fd_close(&fd);
    assert_int_equal(-1, fcntl(was, F_GETFD));
}

static int
opened_and_left(void)
{
    auto_close int   fd = open("/dev/null", O_RDONLY);
    auto_free char  *z = xasprintf("%s-%d", "x", 7);

    assert_string_equal("x-7", z);
    return fd;
}

static void
what_is_automatic_is_cleaned_up(void **state)
{
    (void)state;
    assert_int_equal(-1, fcntl(opened_and_left(), F_GETFD));
}

static void
copies_are_terminated(void **state)
{
    char *z = xstrndup("abcdef", 3), *y = xstrdup("q");
    int  *n = xcalloc(3, sizeof(*n));

    (void)state;
    assert_string_equal("abc", z);
    assert_string_equal("q", y);
    assert_true(n[0] == 0 && n[2] == 0);
    n = xrealloc(n, 100 * sizeof(*n));
    n[99] = 1;
    free(n);
    free(y);
    free(z);
}

/* What fn says on standard error before it aborts. */
static char *
last_words(void (*fn)(void))
{
    char   *text = calloc(1, 65536);
    size_t  n = 0;
    int     p[2], status;
    pid_t   pid;
    ssize_t k;

    assert_int_equal(0, pipe(p));
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(p[1], 2);
        fn();
        _exit(0);
    }
    close(p[1]);
    while (n < 65535 && (k = read(p[0], text + n, 65535 - n)) > 0)
        n += (size_t)k;
    close(p[0]);
    assert_int_equal(pid, waitpid(pid, &status, 0));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    return text;
}

static void
compare_wrongly(void)
{
    size_t off = 12, size = 7;

    ASSERT_CMP(off, <=, size, "zu");
}

static void
check_wrongly(void)
{
    struct {
        unsigned magic;
    } x = { 0xbad };

    CHECK(&x, 0x600d);
}

static void
meet_a_bug(void)
{
    ais_bug("unreachable: step %d", 7);
}

static void
assertions_say_what_and_stop(void **state)
{
    const struct {
        void (*fn)(void);
        const char *says[3];
    } cases[] = {
        { compare_wrongly, { "off <= size", "12", "7" } },
        { check_wrongly, { "util_test.c", "is not a valid 0x600d", "" } },
        { meet_a_bug, { "unreachable: step 7", "util_test.c", "" } },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *text = last_words(cases[i].fn);

        for (unsigned k = 0; k < 3; k++)
            if (strstr(text, cases[i].says[k]) == NULL)
                fail_msg("case %zu: \"%s\" is not in: %s", i, cases[i].says[k], text);
        free(text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_big_endian_and_need_no_alignment),
        cmocka_unit_test(rounding_and_bounds),
        cmocka_unit_test(closing_twice_is_harmless_and_keeps_errno),
        cmocka_unit_test(what_is_automatic_is_cleaned_up),
        cmocka_unit_test(copies_are_terminated),
        cmocka_unit_test(assertions_say_what_and_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
