/* SPDX-License-Identifier: Apache-2.0 */
#include "../../../node/target/obj_get.c"

#include "unit.h"

/* Just enough of a request to refuse a range. */
static struct req *
fake_req(void)
{
    static struct req  r;
    static struct sbuf hdrs;

    sbuf_init(&hdrs, 4096);
    r = (struct req){ .magic = REQ_MAGIC, .arena = arena_new(4096, 64 * KIB) };
    r.resp.hdrs = &hdrs;
    return &r;
}

static void
fake_free(struct req *r)
{
    arena_free(r->arena);
    sbuf_fini(r->resp.hdrs);
}

/* clang-format off */
static const struct {
    const char *range, *tcode, *text;
    bool        content_range;
} refused[] = {
    { "bytes=0-1,4-5", "ErrUnsupp", "cannot multi-range read ais://gold/dir/o1 - operation not supported", false },
    { "bytes=x", "", "read range \"bytes=x\" is invalid (-)", false },
    { "bytes=5000-", "ErrRangeNotSatisfiable", "size=1001: not satisfiable range [5000-]", true },
    { "bytes=1001-1002", "ErrRangeNotSatisfiable", "size=1001: not satisfiable range [1001-1002]", true },
    { "chars=1-2", "", "read range \"chars=1-2\" is invalid (prefix)", false },
    { "bytes=-", "", "read range \"-\" is invalid as per RFC 7233 Section 2.1", false },
    { "bytes=a-5", "", "read range \"a-5\" is invalid (start)", false },
    { "bytes=9-5", "", "read range \"9-5\" is invalid (end)", false },
    { "bytes=9-x", "", "read range \"9-x\" is invalid (end)", false },
};
/* clang-format on */

static void
every_bad_range_is_416_with_the_words_of_the_original(void **state)
{
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct req *r = fake_req();
        struct err  e = { .code = 0 };
        uint64_t    off, len;

        assert_true(http1_range(str_z(refused[i].range), 1001, &off, &len) < 0);
        assert_true(range_error(r, str_z(refused[i].range), 1001, STR_LIT("ais://gold/dir/o1"), &e) < 0);
        assert_int_equal(e.status, 416);
        assert_string_equal(e.text, refused[i].text);
        assert_string_equal(e.tcode, refused[i].tcode);
        assert_int_equal(r->resp.hdrs->n > 0, refused[i].content_range);
        if (refused[i].content_range)
            assert_string_equal(r->resp.hdrs->p, "Content-Range: bytes */1001\r\n");
        fake_free(r);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bad_range_is_416_with_the_words_of_the_original),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
