/* SPDX-License-Identifier: Apache-2.0 */
/* Local configuration files: what is read, and what is refused by name. */
#include "unit.h"

#include "core/conffile.c"

#include <unistd.h>

#include "base/sbuf.h"

static char path[] = "/tmp/ais-conffile-XXXXXX";

static int
setup(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    fd_close(&fd);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static int
load(const char *text, struct local_conf *c, struct err *e)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    memset(c, 0, sizeof(*c));
    err_clear(e);
    return local_conf_load(path, c, e);
}

#define NET "\"host_net\":{\"hostname\":\"h\",\"port\":\"51081\",\"port_intra_control\":51082,\"port_intra_data\":\"\"}"

static void
a_file_is_read_and_shown_again(void **state)
{
    static const char  text[] = "{\"confdir\":\"/etc/ais\",\"log_dir\":\"/var/log/ais\",\"fspaths\":{\"/ais/1\":\"\",\"/ais/2\":\"L\"}," NET "}";
    struct local_conf *c = xcalloc(1, sizeof(*c));
    struct err         e;
    struct sbuf        b;
    struct jw          w;

    (void)state;
    assert_int_equal(0, load(text, c, &e));
    assert_string_equal("/etc/ais", c->confdir);
    assert_int_equal(2, c->nfspaths);
    assert_string_equal("L", c->fspaths[1].label);
    assert_string_equal("51082", c->host_net.port_control);
    sbuf_init(&b, 1 << 16);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    local_conf_json_members(c, &w);
    jw_obj_end(&w);
    assert_string_equal("{\"fspaths\":{\"/ais/1\":\"\",\"/ais/2\":\"L\"},\"confdir\":\"/etc/ais\",\"log_dir\":\"/var/log/ais\",\"test_fspaths\":{"
                        "\"root\":\"\",\"count\":0,\"instance\":0},\"host_net\":{\"hostname\":\"h\",\"hostname_intra_control\":\"\",\"hostname_intra_data\":\"\","
                        "\"port\":\"51081\",\"port_intra_control\":\"51082\",\"port_intra_data\":\"\"}}",
                        b.p);
    sbuf_fini(&b);
    free(c);
}

static void
the_operators_form_of_mountpaths_is_read(void **state)
{
    struct local_conf *c = xcalloc(1, sizeof(*c));
    struct err         e;

    (void)state;
    assert_int_equal(0, load("{\"confdir\":\"/c\",\"fspaths\":{\"paths\":{\"/ais/1\":\"\"}}," NET "}", c, &e));
    assert_int_equal(1, c->nfspaths);
    assert_string_equal("/ais/1", c->fspaths[0].path);
    free(c);
}

static void
mistakes_are_named(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "", "" },
        { "{", "" },
        { "[]", "object" },
        { "{" NET "}", "confdir is missing" },
        { "{\"confdir\":\"\"," NET "}", "confdir is empty" },
        { "{\"confdir\":[]," NET "}", "confdir: expecting a string" },
        { "{\"confdir\":\"/c\"}", "host_net.port is missing" },
        { "{\"confdir\":\"/c\",\"host_net\":{\"port\":\"http\"}}", "host_net.port: \"http\" is not a port" },
        { "{\"confdir\":\"/c\",\"host_net\":{\"port\":\"70000\"}}", "not a port" },
        { "{\"confdir\":\"/c\",\"fspaths\":[1]," NET "}", "fspaths" },
        { "{\"confdir\":\"/c\",\"fspaths\":{\"relative\":\"\"}," NET "}", "\"relative\"" },
    };
    struct local_conf *c = xcalloc(1, sizeof(*c));
    struct err         e;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        if (load(cases[i].text, c, &e) == 0)
            fail_msg("accepted: %s", cases[i].text);
        if (strstr(e.text, cases[i].says) == NULL || strstr(e.text, path) == NULL)
            fail_msg("%s: says \"%s\"", cases[i].text, e.text);
    }
    assert_true(local_conf_load("/nonexistent/ais.json", c, &e) < 0);
    assert_non_null(strstr(e.text, "/nonexistent/ais.json"));
    free(c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_and_shown_again),
        cmocka_unit_test(the_operators_form_of_mountpaths_is_read),
        cmocka_unit_test(mistakes_are_named),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
