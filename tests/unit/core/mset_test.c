/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of metadata: as messages, and as AIStore's files in the configuration directory. */
#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/mset.c"

#include "on_fiber.h"

static struct mset *
some(void)
{
    struct mset  *m = mset_new(conf_default());
    struct bprops p;
    struct bck    b = { .provider = PROV_AIS, .name = STR_LIT("b") };
    struct bmd   *empty = bmd_new("cluster");
    struct snode  n = { .role = ROLE_PROXY, .id = "p1aaaaaa" };
    struct smap  *none = smap_new("cluster");

    bprops_default(&p, m->conf, PROV_AIS);
    mset_set_bmd(m, bmd_with_bucket(empty, &b, &p, 7));
    snode_finish(&n, false);
    mset_set_smap(m, smap_with_node(none, &n));
    bmd_put(empty);
    smap_put(none);
    return m;
}

static char *
text_of(const struct mset *m, enum mitem i)
{
    struct sbuf b;
    struct jw   w;

    sbuf_init(&b, 1 << 20);
    jw_init(&w, &b, 0);
    mset_item_json(m, i, &w);
    assert_true(sbuf_ok(&b));
    return b.p;
}

static void
same(const struct mset *a, const struct mset *b, enum mitem i)
{
    char *x = text_of(a, i), *y = text_of(b, i);

    assert_string_equal(x, y);
    free(x);
    free(y);
}

struct files {
    char        *dir;
    struct mset *m;
};

static void
store_all(void *arg)
{
    struct files *f = arg;

    for (enum mitem i = MI_CONF; i <= MI_BMD; i++)
        assert_int_equal(0, mset_store(f->m, i, f->dir));
}

static void
what_is_stored_is_loaded(void **state)
{
    struct files f = { test_dir_new(), some() };
    struct run  *run = test_run_new(1);
    struct mset *m = mset_new(conf_default());
    unsigned     have = 0xff;
    struct err   e;

    (void)state;
    err_clear(&e);
    assert_int_equal(0, mset_load(m, f.dir, &have, &e)); /* nothing there is nothing wrong */
    assert_int_equal(0, have);
    on_fiber(run, 0, store_all, &f);
    if (mset_load(m, f.dir, &have, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal((1 << MI_CONF) | (1 << MI_SMAP) | (1 << MI_BMD), have);
    for (enum mitem i = MI_CONF; i <= MI_BMD; i++)
        same(f.m, m, i);
    test_run_free(run);
    mset_put(m);
    mset_put(f.m);
    test_dir_free(f.dir);
}

static void
damaged_files_are_errors_and_stay(void **state)
{
    struct files    f = { test_dir_new(), some() };
    struct run     *run = test_run_new(1);
    struct mset    *m = mset_new(conf_default());
    auto_free char *path = xasprintf("%s/%s", f.dir, mitem_file[MI_BMD].file);
    unsigned        have;
    struct err      e;
    off_t           size;
    int             fd;

    (void)state;
    err_clear(&e);
    on_fiber(run, 0, store_all, &f);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    size = lseek(fd, 0, SEEK_END);
    assert_int_equal(1, pwrite(fd, "\xff", 1, size / 2));
    assert_true(mset_load(m, f.dir, &have, &e) < 0);
    assert_non_null(strstr(e.text, mitem_file[MI_BMD].file));
    assert_int_equal(0, ftruncate(fd, size / 2));
    assert_true(mset_load(m, f.dir, &have, &e) < 0);
    assert_int_equal(0, ftruncate(fd, 0));
    assert_true(mset_load(m, f.dir, &have, &e) < 0);
    close(fd);
    assert_int_equal(0, access(path, F_OK));
    test_run_free(run);
    mset_put(m);
    mset_put(f.m);
    test_dir_free(f.dir);
}

static void
messages_replace_what_they_name(void **state)
{
    struct mset    *from = some(), *to = mset_new(conf_default());
    auto_free char *bmd = text_of(from, MI_BMD), *msg = xasprintf("{\"bmd\":%s,\"unknown\":1}", bmd);
    json_t         *j = NULL;
    unsigned        have = 0;
    uint64_t        before = mset_version(to, MI_SMAP);

    (void)state;
    assert_int_equal(0, json_read(str_z(msg), &j, NULL));
    assert_int_equal(0, mset_from_json(to, j, &have, NULL));
    assert_int_equal(1 << MI_BMD, have);
    same(from, to, MI_BMD);
    assert_int_equal(before, mset_version(to, MI_SMAP));
    assert_int_equal(mset_version(from, MI_BMD), mset_version(to, MI_BMD));
    json_decref(j);
    mset_put(from);
    mset_put(to);
}

static void
bad_items_change_nothing(void **state)
{
    static const char *const bad[] = { "{\"bmd\":{\"providers\":{}}}", "{\"smap\":{\"pmap\":7}}", "{\"rmd\":{}}", "{\"conf\":{\"mirror\":{\"copies\":\"x\"}}}" };
    struct mset             *m = some();
    auto_free char          *bmd = text_of(m, MI_BMD), *smap = text_of(m, MI_SMAP);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        auto_free char *b = NULL, *s = NULL;
        json_t         *j = NULL;
        unsigned        have = 0;
        struct err      e;

        err_clear(&e);
        assert_int_equal(0, json_read(str_z(bad[i]), &j, NULL));
        if (mset_from_json(m, j, &have, &e) == 0)
            fail_msg("%s was taken", bad[i]);
        b = text_of(m, MI_BMD);
        s = text_of(m, MI_SMAP);
        assert_string_equal(bmd, b);
        assert_string_equal(smap, s);
        json_decref(j);
    }
    mset_put(m);
}

static void
copies_share_until_they_differ(void **state)
{
    struct mset *a = some(), *b = mset_copy(a);

    (void)state;
    for (enum mitem i = MI_CONF; i < MI_COUNT; i++)
        assert_true(mset_same_item(a, b, i));
    mset_set_bmd(b, bmd_new("other"));
    assert_false(mset_same_item(a, b, MI_BMD));
    assert_true(mset_same_item(a, b, MI_SMAP));
    mset_take_item(b, MI_BMD, a);
    assert_true(mset_same_item(a, b, MI_BMD));
    mset_put(mset_ref(a));
    mset_put(a);
    mset_put(b);
    mset_put(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_stored_is_loaded),       cmocka_unit_test(damaged_files_are_errors_and_stay),
        cmocka_unit_test(messages_replace_what_they_name), cmocka_unit_test(bad_items_change_nothing),
        cmocka_unit_test(copies_share_until_they_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
