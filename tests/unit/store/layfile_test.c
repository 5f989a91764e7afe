/* SPDX-License-Identifier: Apache-2.0 */
/* The layout file: what is written is read; damage in any byte is seen. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/util.h"
#include "store/layfile.h"

static struct layfile in, out;

static void
two_mountpaths(void)
{
    in = (struct layfile){ .version = 12, .scattered = true, .n = 2 };
    in.e[0] = (struct lay_entry){ .path = "/mp one/\xc3\xa4", .label = "fast nvme", .uuid = "00112233", .fs_id = "ff:1", .mode = MP_DISABLING };
    in.e[1] = (struct lay_entry){ .path = "/2", .mode = MP_LOST, .by_api = true };
}

static void
what_is_written_is_read(void **state)
{
    struct sbuf b;

    (void)state;
    two_mountpaths();
    sbuf_init(&b, MIB);
    layfile_encode(&in, &b);
    assert_int_equal(0, layfile_decode(sbuf_str(&b), &out));
    assert_int_equal(12, out.version);
    assert_true(out.scattered);
    assert_int_equal(2, out.n);
    assert_string_equal(in.e[0].path, out.e[0].path);
    assert_string_equal(in.e[0].label, out.e[0].label);
    assert_string_equal(in.e[0].uuid, out.e[0].uuid);
    assert_string_equal(in.e[0].fs_id, out.e[0].fs_id);
    assert_int_equal(MP_DISABLING, out.e[0].mode);
    assert_false(out.e[0].by_api);
    assert_string_equal("/2", out.e[1].path);
    assert_string_equal("", out.e[1].uuid);
    assert_int_equal(MP_LOST, out.e[1].mode);
    assert_true(out.e[1].by_api);
    sbuf_fini(&b);
}

static void
damage_in_any_byte_is_seen(void **state)
{
    struct sbuf b;

    (void)state;
    two_mountpaths();
    sbuf_init(&b, MIB);
    layfile_encode(&in, &b);
    for (size_t i = 0; i < b.n; i++) {
        b.p[i] ^= 1;
        assert_int_equal(-AIS_E_CORRUPT, layfile_decode(sbuf_str(&b), &out));
        b.p[i] ^= 1;
        assert_int_equal(-AIS_E_CORRUPT, layfile_decode(str_from(b.p, i), &out));
    }
    sbuf_fini(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(damage_in_any_byte_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
