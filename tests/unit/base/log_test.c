/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: one event a line whatever the values are, levels, tags, rotation, and the files' limits. */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.c"

static char dir[64];

static char *
read_file(const char *path)
{
    char   *text = calloc(1, 1 << 20);
    int     fd = open(path, O_RDONLY);
    ssize_t n;

    assert_true(fd >= 0);
    n = read(fd, text, (1 << 20) - 1);
    assert_true(n >= 0);
    close(fd);
    return text;
}

static char *
read_log(char severity)
{
    char path[600];

    log_path(severity, path, sizeof(path));
    return read_file(path);
}

static void
begin(uint64_t max_size, uint64_t max_total)
{
    struct log_conf c = { .dir = dir, .name = "t", .max_size = max_size, .max_total = max_total };

    snprintf(dir, sizeof(dir), "/tmp/ais-log.XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(0, log_open(&c));
    log_set_level(LOG_INFO);
}

static void
end(void)
{
    DIR           *d = opendir(dir);
    struct dirent *de;
    char           path[400];

    log_close();
    while ((de = readdir(d)) != NULL) {
        snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
        if (de->d_name[0] != '.')
            unlink(path);
    }
    closedir(d);
    assert_int_equal(0, rmdir(dir));
}

static void
an_event_is_one_line_of_keys_and_values(void **state)
{
    char *text, *line;

    (void)state;
    begin(0, 0);
    log_set_tag("t[abc]");
    log_info("evicted", { "bck", LZ("b") }, { "bytes", LU64(12) }, { "delta", LI64(-3) }, { "on", LBOOL(true) }, { "id", LHEX(255) });
    text = read_log('i');
    line = strstr(text, "evicted");
    assert_non_null(line);
    assert_string_equal("evicted bck=b bytes=12 delta=-3 on=true id=0xff\n", line);
    assert_non_null(strstr(text, " t[abc] evicted"));
    assert_true(text[0] == 'I' && text[1] == ' ' && text[6] == '-' && text[12] == 'T');
    free(text);
    log_set_tag("");
    end();
}

static void
no_value_can_forge_a_line(void **state)
{
    static const char *const evil[] = { "a b", "a\nE 2026-01-01T00:00:00.0Z forged", "q\"uote", "back\\slash", "tab\t", "\x1b[31m", "\x7f", "", "k=v" };
    char                    *text;
    size_t                   lines = 0;

    (void)state;
    begin(0, 0);
    for (size_t i = 0; i < ARRAY_SIZE(evil); i++)
        log_info("event", { "v", LZ(evil[i]) }, { "last", LZ("end") });
    log_info("nul", { "v", LSTR(str_from("a\0b", 3)) }, { "last", LZ("end") });
    text = read_log('i');
    for (char *p = text; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    assert_int_equal(ARRAY_SIZE(evil) + 1, lines);
    for (char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 && *p != '\n')
            fail_msg("control byte %d", *p);
    assert_null(strchr(text, 0x7f));
    free(text);
    end();
}

static void
a_line_that_is_too_long_is_cut_and_still_a_line(void **state)
{
    char  *big = malloc(1 << 18), *text;
    size_t n;

    (void)state;
    begin(0, 0);
    memset(big, 'x', 1 << 18);
    log_info("long", { "v", LSTR(str_from(big, 1 << 18)) });
    log_info("next");
    text = read_log('i');
    n = strlen(text);
    assert_true(n > 100 && n < 1 << 17);
    assert_string_equal("next\n", text + n - 5);
    free(text);
    free(big);
    end();
}

static void
levels_are_cut_at_run_time_and_errors_have_a_file_of_their_own(void **state)
{
    char *info, *error;

    (void)state;
    begin(0, 0);
    log_debug("unseen");
    log_set_level(LOG_DEBUG);
    log_debug("seen");
    log_set_level(LOG_ERROR);
    assert_int_equal(LOG_ERROR, log_get_level());
    assert_false(log_enabled(LOG_WARN));
    log_warn("quiet");
    log_error("broken", { "n", LU64(1) });
    log_set_level(LOG_INFO);
    log_warn("odd");
    info = read_log('i');
    error = read_log('e');
    assert_null(strstr(info, "unseen"));
    assert_non_null(strstr(info, "seen"));
    assert_null(strstr(info, "quiet"));
    assert_non_null(strstr(info, "broken"));
    assert_non_null(strstr(error, "broken n=1"));
    assert_non_null(strstr(error, "odd"));
    assert_null(strstr(error, "seen"));
    free(info);
    free(error);
    end();
}

static void
files_rotate_and_their_sum_is_bounded(void **state)
{
    DIR           *d;
    struct dirent *de;
    struct stat    st;
    off_t          sum = 0;
    unsigned       files = 0;

    (void)state;
    begin(4096, 16384);
    for (int i = 0; i < 2000; i++)
        log_info("filling", { "i", LU64(i) }, { "text", LZ("0123456789012345678901234567890123456789") });
    d = opendir(dir);
    while ((de = readdir(d)) != NULL) {
        char path[400];

        snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
        if (de->d_name[0] != '.' && stat(path, &st) == 0) {
            sum += st.st_size;
            files++;
        }
    }
    closedir(d);
    assert_true(files >= 2);
    assert_true(sum <= 16384 + 2 * 8192);
    assert_int_equal(0, log_rotate());
    log_info("after");
    {
        char *text = read_log('i');

        assert_non_null(strstr(text, "after"));
        free(text);
    }
    end();
}

static void *
write_many(void *arg)
{
    for (int i = 0; i < 500; i++)
        log_info("threaded", { "who", LU64((uintptr_t)arg) }, { "i", LU64(i) });
    return NULL;
}

static void
threads_do_not_mix_their_lines(void **state)
{
    pthread_t t[4];
    char     *text, *p, *q;
    size_t    n = 0;

    (void)state;
    begin(0, 0);
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(0, pthread_create(&t[i], NULL, write_many, (void *)i));
    for (int i = 0; i < 4; i++)
        assert_int_equal(0, pthread_join(t[i], NULL));
    text = read_log('i');
    for (p = text; (q = strchr(p, '\n')) != NULL; p = q + 1, n++)
        if (*p != 'I' || memchr(p, 'I', (size_t)(q - p)) != p || strstr(p, "threaded who=") > q)
            fail_msg("%.*s", (int)(q - p), p);
    assert_int_equal(2000, n);
    free(text);
    end();
}

static void
a_directory_that_is_not_there_is_an_error(void **state)
{
    struct log_conf c = { .dir = "/proc/no/such/dir", .name = "t" };
    char            path[600] = "x";

    (void)state;
    assert_true(log_open(&c) < 0);
    log_path('i', path, sizeof(path));
    assert_string_equal("", path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_one_line_of_keys_and_values),
        cmocka_unit_test(no_value_can_forge_a_line),
        cmocka_unit_test(a_line_that_is_too_long_is_cut_and_still_a_line),
        cmocka_unit_test(levels_are_cut_at_run_time_and_errors_have_a_file_of_their_own),
        cmocka_unit_test(files_rotate_and_their_sum_is_bounded),
        cmocka_unit_test(threads_do_not_mix_their_lines),
        cmocka_unit_test(a_directory_that_is_not_there_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
