/* SPDX-License-Identifier: Apache-2.0 */
/* The object store on real directories: objects, listings, recovery. */
#include "unit.h"

#include <ftw.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "run/fiber.h"
#include "store/store.h"

static struct run   *run;
static struct store *st;
static char          root[64];
static struct bck    bk = { .provider = PROV_AIS, .bid = BID_AIS | 7, .cksum = CKSUM_XXHASH2, .versioning = true, .copies = 1 };

struct call {
    void (*fn)(void);
    sem_t done;
};

static void
call_main(void *arg)
{
    struct call *c = arg;

    c->fn();
    sem_post(&c->done);
}

static void
on_fiber(void (*fn)(void))
{
    struct call c = { .fn = fn };

    sem_init(&c.done, 0, 0);
    assert_int_equal(0, fiber_spawn(run_loop(run, 0), "test", call_main, &c));
    while (sem_wait(&c.done) != 0)
        ;
}

static void
open_store(void)
{
    struct run_conf   rc = { .nloops = 2, .tag = "test" };
    static char       paths[2][80];
    struct store_conf c = { .node_id = "testnode1", .npaths = 2, .allow_shared_fs = true, .oos = 100, .highwm = 99 };
    struct err        e = { .code = 0 };

    bk.name = STR_LIT("bucket");
    assert_int_equal(0, run_new(&rc, &run));
    run_start(run);
    c.run = run;
    for (int i = 0; i < 2; i++) {
        snprintf(paths[i], sizeof(paths[i]), "%s/mp%d", root, i + 1);
        mkdir(paths[i], 0755);
        c.paths[i].path = paths[i];
    }
    if (store_open(&c, &st, &e) < 0)
        fail_msg("%s", e.text);
}

static void
adopt(void)
{
    struct err e = { .code = 0 };

    if (store_bck_adopt(st, &bk, &e) < 0 || store_adopted(st, &e) < 0)
        fail_msg("%s", e.text);
}

static void
close_store(void)
{
    run_stop(run, SEC_NS(5));
    store_close(st);
    run_free(run);
    st = NULL;
    run = NULL;
}

static int
rm_one(const char *p, const struct stat *s, int t, struct FTW *f)
{
    UNUSED(s);
    UNUSED(t);
    UNUSED(f);
    return remove(p);
}

static int
setup(void **state)
{
    UNUSED(state);
    snprintf(root, sizeof(root), "/tmp/ais-store-XXXXXX");
    assert_non_null(mkdtemp(root));
    open_store();
    on_fiber(adopt);
    return 0;
}

static int
teardown(void **state)
{
    UNUSED(state);
    close_store();
    nftw(root, rm_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* --- helpers, on a fiber --- */

static int
put_n(const char *name, const void *p, size_t n, struct put_attrs *a, struct err *e)
{
    struct put *put;
    size_t      at = 0;
    int         rc;

    a->length = (int64_t)n;
    rc = put_begin(st, &bk, str_z(name), a, &put, e);
    if (rc < 0)
        return rc;
    while (at < n) {
        size_t k = MIN(n - at, (size_t)100000);

        rc = put_write(put, (const char *)p + at, k, e);
        if (rc < 0) {
            put_abort(put);
            return rc;
        }
        at += k;
    }
    return put_commit(put, NULL, e);
}

static void
put_z(const char *name, const char *text)
{
    struct put_attrs a = { .length = 0 };
    struct err       e = { .code = 0 };

    if (put_n(name, text, strlen(text), &a, &e) < 0)
        fail_msg("%s", e.text);
}

static void
expect(const char *name, const char *text)
{
    struct obj *o;
    struct err  e = { .code = 0 };
    char        buf[300];
    ssize_t     n;

    if (text == NULL) {
        assert_int_equal(-AIS_E_NOOBJ, obj_open(st, &bk, str_z(name), 0, &o, &e));
        return;
    }
    if (obj_open(st, &bk, str_z(name), 0, &o, &e) < 0)
        fail_msg("%s", e.text);
    n = obj_read(o, buf, sizeof(buf), 0, &e);
    assert_int_equal(strlen(text), n);
    assert_memory_equal(text, buf, (size_t)n);
    assert_int_equal(0, obj_verify(o, &e));
    obj_close(o);
}

static void
list(const char *prefix, const char *after, char *out, size_t max)
{
    struct list_cur   *c;
    const struct lent *l;
    struct err         e = { .code = 0 };
    int                rc;

    out[0] = '\0';
    assert_int_equal(0, store_list_open(st, &bk, str_z(prefix), str_z(after), &c, &e));
    while ((rc = store_list_next(c, &l, &e)) > 0)
        snprintf(out + strlen(out), max - strlen(out), "%.*s ", STR_FMT(l->name));
    assert_int_equal(0, rc);
    store_list_close(c);
}

/* --- tests --- */

static void
basics(void)
{
    struct obj *o;
    struct err  e = { .code = 0 };

    put_z("a", "one");
    expect("a", "one");
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("a"), 0, &o, &e));
    assert_true(str_eqz(obj_info(o)->version, "1"));
    put_z("a", "second");
    expect("a", "second");
    { /* who reads the old one keeps it */
        char buf[10];

        assert_int_equal(3, obj_read(o, buf, sizeof(buf), 0, &e));
        assert_memory_equal("one", buf, 3);
    }
    obj_close(o);
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("a"), 0, &o, &e));
    assert_true(str_eqz(obj_info(o)->version, "2"));
    assert_int_equal(6, obj_info(o)->size);
    assert_int_equal(0, obj_delete(st, &bk, STR_LIT("a"), &e));
    obj_close(o);
    expect("a", NULL);
    assert_int_equal(-AIS_E_NOOBJ, obj_delete(st, &bk, STR_LIT("a"), &e));
    put_z("zero", "");
    expect("zero", "");
}

static void
objects_are_put_read_replaced_and_deleted(void **state)
{
    UNUSED(state);
    on_fiber(basics);
}

static void
names(void)
{
    char long1[301], long2[3001], out[8000];

    memset(long1, 'n', 300);
    long1[300] = '\0';
    memset(long2, 'm', 3000);
    long2[3000] = '\0';
    put_z("p", "file");
    put_z("p/q", "below");
    put_z("d/e/f", "deep");
    put_z("d/e", "dir and file");
    put_z("x//y", "two slashes");
    put_z("\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87 \xc3\xbc/\xe6\x97\xa5", "unicode");
    put_z(long1, "long");
    put_z(long2, "longer");
    expect("p", "file");
    expect("p/q", "below");
    expect("d/e/f", "deep");
    expect("d/e", "dir and file");
    expect("x//y", "two slashes");
    expect(long1, "long");
    expect(long2, "longer");
    put_z("p/q", "again");
    expect("p/q", "again");
    put_z(long2, "again");
    expect(long2, "again");
    list("", "", out, sizeof(out));
    assert_true(strncmp(out, "d/e d/e/f mmm", 13) == 0);
    assert_non_null(strstr(out, " p p/q x//y "));
    assert_non_null(strstr(out, long2));
    list("p", "p", out, sizeof(out));
    assert_string_equal("p/q ", out);
}

static void
every_name_works_and_is_listed_as_it_is(void **state)
{
    UNUSED(state);
    on_fiber(names);
}

static void
many(void)
{
    struct list_cur   *c;
    const struct lent *l;
    struct err         e = { .code = 0 };
    char               name[32], last[32] = "";
    int                n = 0;

    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof(name), "k/%05d", (i * 7919) % 3000);
        put_z(name, "v");
    }
    put_z("k-b", "1");
    put_z("k/zz/1", "1");
    put_z("k/zz/2", "2");
    assert_int_equal(0, store_list_open(st, &bk, STR_LIT("k/"), STR_LIT("k/00999"), &c, &e));
    while (store_list_next(c, &l, &e) > 0) {
        assert_true(str_cmp(l->name, str_z(last)) > 0);
        str_copyz(l->name, last, sizeof(last));
        if (str_eqz(l->name, "k/02500"))
            assert_int_equal(0, store_list_seek(c, STR_LIT("k/02900"), &e));
        n++;
    }
    store_list_close(c);
    assert_int_equal(1000 + 501 + 100 + 2, n);
}

static void
a_listing_is_in_byte_order_resumes_and_seeks(void **state)
{
    UNUSED(state);
    on_fiber(many);
}

static void
bad_sums(void)
{
    struct put_attrs a = { .expect = { .type = CKSUM_MD5, .value = "00000000000000000000000000000000" } };
    struct err       e = { .code = 0 };
    char             out[100];

    assert_int_equal(-AIS_E_CKSUM, put_n("ck", "hello", 5, &a, &e));
    assert_non_null(strstr(e.text, "BAD DATA CHECKSUM: md5(00000000000000000000000000000000 != 5d41402abc4b2a76b9719d911017c592)"));
    expect("ck", NULL);
    list("", "", out, sizeof(out));
    assert_string_equal("", out);
    snprintf(a.expect.value, sizeof(a.expect.value), "5d41402abc4b2a76b9719d911017c592");
    assert_int_equal(0, put_n("ck", "hello", 5, &a, &e));
    expect("ck", "hello");
}

static void
a_wrong_checksum_leaves_nothing_behind(void **state)
{
    UNUSED(state);
    on_fiber(bad_sums);
}

static void
large(void)
{
    size_t           n = 3 << 20;
    char            *p = malloc(n), *q = malloc(n);
    struct put_attrs a = { .length = 0 };
    struct err       e = { .code = 0 };
    struct obj      *o;

    for (size_t i = 0; i < n; i++)
        p[i] = (char)(i * 31 >> 3);
    assert_int_equal(0, put_n("big", p, n, &a, &e));
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("big"), 0, &o, &e));
    assert_int_equal(n, obj_read(o, q, n, 0, &e));
    assert_memory_equal(p, q, n);
    assert_int_equal(0, obj_verify(o, &e));
    obj_close(o);
    free(p);
    free(q);
}

static void
a_large_body_goes_through_a_work_file(void **state)
{
    UNUSED(state);
    on_fiber(large);
}

static void
custom(void)
{
    struct kv   kv[2] = { { STR_LIT("color"), STR_LIT("red") }, { STR_LIT("n"), STR_LIT("1") } };
    struct err  e = { .code = 0 };
    struct obj *o;

    put_z("c", "x");
    assert_int_equal(0, obj_set_custom(st, &bk, STR_LIT("c"), kv, 2, false, &e));
    kv[0].v = STR_LIT("blue");
    assert_int_equal(0, obj_set_custom(st, &bk, STR_LIT("c"), kv, 1, false, &e));
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("c"), 0, &o, &e));
    assert_int_equal(2, obj_info(o)->ncustom);
    assert_true(str_eqz(obj_info(o)->custom[0].v, "blue"));
    obj_close(o);
    assert_int_equal(0, obj_set_custom(st, &bk, STR_LIT("c"), kv + 1, 1, true, &e));
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("c"), 0, &o, &e));
    assert_int_equal(1, obj_info(o)->ncustom);
    obj_close(o);
    assert_int_equal(-AIS_E_NOOBJ, obj_set_custom(st, &bk, STR_LIT("none"), kv, 1, true, &e));
    expect("c", "x");
    for (int i = 0; i < 8; i++) { /* some land on the same mountpath, some do not */
        char to[16];

        snprintf(to, sizeof(to), "r/%d", i);
        put_z("from", "moved");
        assert_int_equal(0, obj_rename(st, &bk, STR_LIT("from"), str_z(to), &e));
        expect("from", NULL);
        expect(to, "moved");
    }
}

static void
custom_metadata_is_merged_or_replaced_and_names_change(void **state)
{
    UNUSED(state);
    on_fiber(custom);
}

struct src {
    const char *p;
};

static ssize_t
src_read(void *ctx, void *p, size_t n)
{
    struct src *s = ctx;
    size_t      k = MIN(n, strlen(s->p));

    memcpy(p, s->p, k);
    s->p += k;
    return (ssize_t)k;
}

static void
append(void)
{
    struct src   s = { "part one," };
    struct err   e = { .code = 0 };
    struct cksum none = { .type = CKSUM_NONE }, bad = { .type = CKSUM_MD5, .value = "00000000000000000000000000000000" };
    char        *h, *h2;

    assert_int_equal(0, append_data(st, &bk, STR_LIT("app"), STR_LIT(""), src_read, &s, &h, &e));
    s.p = "part two";
    assert_int_equal(0, append_data(st, &bk, STR_LIT("app"), str_z(h), src_read, &s, &h2, &e));
    expect("app", NULL);
    assert_int_equal(-AIS_E_CKSUM, append_flush(st, &bk, STR_LIT("app"), str_z(h2), &bad, &e));
    assert_int_equal(0, append_flush(st, &bk, STR_LIT("app"), str_z(h2), &none, &e));
    expect("app", "part one,part two");
    free(h);
    free(h2);
    s.p = "!";
    assert_int_equal(0, append_data(st, &bk, STR_LIT("app"), STR_LIT(""), src_read, &s, &h, &e));
    assert_int_equal(0, append_flush(st, &bk, STR_LIT("app"), str_z(h), &none, &e));
    expect("app", "part one,part two!");
    free(h);
    assert_int_equal(-AIS_E_INVAL,
                     append_flush(st, &bk, STR_LIT("app"), STR_LIT("testnode1|/etc/passwd|xxhash2|"), &none, &e));
    assert_int_equal(-AIS_E_INVAL, append_flush(st, &bk, STR_LIT("app"), STR_LIT("x"), &none, &e));
}

static void
read_often(void)
{
    struct obj *o;
    int64_t     last = 0;

    for (int i = 0; i < 500; i++) {
        assert_int_equal(0, obj_open(st, &bk, STR_LIT("read"), 0, &o, NULL));
        assert_true(obj_info_atime(obj_info(o)) >= last);
        last = obj_info_atime(obj_info(o));
        obj_close(o);
        fiber_yield();
    }
}

static void
put_read(void)
{
    put_z("read", "x");
}

/* For TSan: the access time of an object that two loops hold. */
static void
readers_on_two_loops_share_the_access_time(void **state)
{
    struct call c[2] = { { .fn = read_often }, { .fn = read_often } };

    UNUSED(state);
    on_fiber(put_read);
    for (unsigned i = 0; i < 2; i++) {
        sem_init(&c[i].done, 0, 0);
        assert_int_equal(0, fiber_spawn(run_loop(run, i), "reader", call_main, &c[i]));
    }
    for (unsigned i = 0; i < 2; i++)
        while (sem_wait(&c[i].done) != 0)
            ;
}

/* Work files of the same object that are there at the same time. */
static void
appends_at_once(void)
{
    struct src   s = { "" };
    struct err   e = { .code = 0 };
    struct cksum none = { .type = CKSUM_NONE };
    char        *h[100];

    for (size_t i = 0; i < ARRAY_SIZE(h); i++) {
        s.p = "x";
        if (append_data(st, &bk, STR_LIT("many"), STR_LIT(""), src_read, &s, &h[i], &e) < 0)
            fail_msg("append %zu: %s", i, e.text);
    }
    for (size_t i = 0; i < ARRAY_SIZE(h); i++) {
        assert_int_equal(0, append_flush(st, &bk, STR_LIT("many"), str_z(h[i]), &none, &e));
        free(h[i]);
    }
    expect("many", "x");
}

static void
many_appends_to_one_object_have_a_work_file_each(void **state)
{
    UNUSED(state);
    on_fiber(appends_at_once);
}

static void
appends_collect_in_a_work_file_until_the_flush(void **state)
{
    UNUSED(state);
    on_fiber(append);
}

static void
multipart(void)
{
    static const char  *const text[] = { "aaaa", "bb", "cccccc" };
    struct put_attrs          a = { .length = -1 };
    struct mpt_part_ref       refs[3] = { { .num = 2 }, { .num = 1 }, { .num = 3 } };
    struct err                e = { .code = 0 };
    struct put               *p;
    struct obj               *o;
    char                      id[40], out[100];

    assert_int_equal(0, mpt_create(st, &bk, STR_LIT("mp/obj"), &a, id, &e));
    for (unsigned i = 3; i >= 1; i--) {
        assert_int_equal(0, mpt_part(st, &bk, STR_LIT("mp/obj"), str_z(id), i, &a, &p, &e));
        assert_int_equal(0, put_write(p, text[i - 1], strlen(text[i - 1]), &e));
        assert_int_equal(0, put_commit(p, NULL, &e));
    }
    expect("mp/obj", NULL);
    list("", "", out, sizeof(out));
    assert_string_equal("", out);
    assert_int_equal(-AIS_E_INVAL, mpt_complete(st, &bk, STR_LIT("mp/obj"), str_z(id), refs, 2, NULL, &e));
    assert_int_equal(-AIS_E_NOENT, mpt_complete(st, &bk, STR_LIT("mp/obj"), STR_LIT("nosuchid"), refs, 3, NULL, &e));
    if (mpt_complete(st, &bk, STR_LIT("mp/obj"), str_z(id), refs, 3, NULL, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("mp/obj"), 0, &o, &e));
    assert_int_equal(12, obj_info(o)->size);
    assert_int_equal(3, obj_info(o)->nchunks);
    assert_int_equal(6, obj_info(o)->max_chunk);
    assert_int_equal(0, obj_verify(o, &e));
    assert_int_equal(6, obj_read(o, out, 100, 6, &e));
    assert_memory_equal("cccccc", out, 6);
    obj_close(o);
    put_z("mp/obj", "plain again");
    expect("mp/obj", "plain again");
    assert_int_equal(0, mpt_create(st, &bk, STR_LIT("mp/obj"), &a, id, &e));
    assert_int_equal(0, mpt_abort(st, &bk, STR_LIT("mp/obj"), str_z(id), &e));
    assert_int_equal(-AIS_E_NOENT, mpt_abort(st, &bk, STR_LIT("mp/obj"), str_z(id), &e));
}

/* The wording is AIStore's: its clients look for it. */
static void
multipart_refusals(void)
{
    const struct put_attrs    a = { .length = -1 };
    const struct mpt_part_ref twice[2] = { { .num = 1 }, { .num = 1 } }, beyond[2] = { { .num = 1 }, { .num = 3 } };
    const struct str          name = STR_LIT("mp/refused");
    const unsigned            nums[] = { 2, 1, 4 };
    struct err                e = { .code = 0 };
    struct put               *p;
    char                      id[40];

    assert_int_equal(0, mpt_create(st, &bk, name, &a, id, &e));
    assert_int_equal(-AIS_E_INVAL, mpt_complete(st, &bk, name, str_z(id), NULL, 0, NULL, &e));
    assert_non_null(strstr(e.text, "no chunks"));
    for (unsigned i = 0; i < ARRAY_SIZE(nums); i++) {
        if (i == 2) { /* two parts are there */
            err_clear(&e);
            assert_int_equal(-AIS_E_INVAL, mpt_complete(st, &bk, name, str_z(id), NULL, 0, NULL, &e));
            assert_non_null(strstr(e.text, "partial completion is not allowed: requested 0 parts, have 2"));
            err_clear(&e);
            assert_int_equal(-AIS_E_INVAL, mpt_complete(st, &bk, name, str_z(id), twice, 2, NULL, &e));
            assert_non_null(strstr(e.text, "parts must be exactly 1..2: got 1 at position 1"));
            err_clear(&e);
            assert_int_equal(-AIS_E_INVAL, mpt_complete(st, &bk, name, str_z(id), beyond, 2, NULL, &e));
            assert_non_null(strstr(e.text, "parts must be exactly 1..2: got 3 at position 1"));
        }
        err_clear(&e);
        assert_int_equal(0, mpt_part(st, &bk, name, str_z(id), nums[i], &a, &p, &e));
        assert_int_equal(0, put_write(p, "part", 4, &e));
        assert_int_equal(0, put_commit(p, NULL, &e));
    }
    assert_int_equal(-AIS_E_INVAL, mpt_complete(st, &bk, name, str_z(id), beyond, 2, NULL, &e));
    assert_non_null(strstr(e.text, "part 3 is missing"));
    err_clear(&e);
    assert_int_equal(0, mpt_abort(st, &bk, name, str_z(id), &e));
    expect("mp/refused", NULL);
}

/* A client repeats a part that it believes lost, then completes: the first attempt, still on its way, changes nothing any more. */
static void
late_part(void)
{
    const struct put_attrs    a = { .length = -1 };
    const struct mpt_part_ref refs[2] = { { .num = 1 }, { .num = 2 } };
    const struct str          name = STR_LIT("mp/late");
    struct err                e = { .code = 0 };
    struct put               *p, *late;
    struct obj               *o;
    char                      id[40], text[8];

    assert_int_equal(0, mpt_create(st, &bk, name, &a, id, &e));
    assert_int_equal(0, mpt_part(st, &bk, name, str_z(id), 2, &a, &late, &e));
    assert_int_equal(0, put_write(late, "LATE", 4, &e));
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(0, mpt_part(st, &bk, name, str_z(id), i, &a, &p, &e));
        assert_int_equal(0, put_write(p, i == 1 ? "one " : "two", i == 1 ? 4 : 3, &e));
        assert_int_equal(0, put_commit(p, NULL, &e));
    }
    assert_int_equal(0, mpt_complete(st, &bk, name, str_z(id), refs, 2, NULL, &e));
    assert_int_equal(-AIS_E_NOENT, put_commit(late, NULL, &e));
    assert_int_equal(0, obj_open(st, &bk, name, 0, &o, &e));
    assert_int_equal(0, obj_verify(o, &e));
    assert_int_equal(3, obj_read(o, text, sizeof(text), 4, &e)); /* a read ends with its chunk */
    assert_memory_equal("two", text, 3);
    obj_close(o);
}

static void
a_part_that_comes_after_the_completion_does_not_touch_the_object(void **state)
{
    UNUSED(state);
    on_fiber(late_part);
}

struct racing {
    const char *id, *text;
    struct err  e;
};

static int
race_part(void *arg)
{
    const struct put_attrs a = { .length = -1 };
    struct racing         *r = arg;
    struct put            *p;
    int                    rc = mpt_part(st, &bk, STR_LIT("mp/race"), str_z(r->id), 1, &a, &p, &r->e);

    if (rc == 0)
        rc = put_write(p, r->text, strlen(r->text), &r->e);
    return rc == 0 ? put_commit(p, NULL, &r->e) : rc;
}

/* Many at once with the same number and different lengths: what is noted is what the file holds. */
static void
racing_parts(void)
{
    static const char *const  texts[] = { "a", "bb", "ccc", "dddd", "eeeee", "ffffff" };
    const struct put_attrs    a = { .length = -1 };
    const struct mpt_part_ref refs[1] = { { .num = 1 } };
    struct racing             r[ARRAY_SIZE(texts)];
    struct err                e = { .code = 0 };
    struct group              g;
    struct obj               *o;
    char                      id[40];

    for (int round = 0; round < 20; round++) {
        assert_int_equal(0, mpt_create(st, &bk, STR_LIT("mp/race"), &a, id, &e));
        group_init(&g, false);
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
            r[i] = (struct racing){ .id = id, .text = texts[i] };
            assert_int_equal(0, group_start(&g, "part", race_part, &r[i]));
        }
        assert_int_equal(0, group_wait(&g));
        assert_int_equal(0, mpt_complete(st, &bk, STR_LIT("mp/race"), str_z(id), refs, 1, NULL, &e));
        assert_int_equal(0, obj_open(st, &bk, STR_LIT("mp/race"), 0, &o, &e));
        if (obj_verify(o, &e) < 0)
            fail_msg("round %d: %s", round, e.text);
        obj_close(o);
    }
}

static void
parts_of_the_same_number_at_once_leave_one_of_them_whole(void **state)
{
    UNUSED(state);
    on_fiber(racing_parts);
}

static void
a_multipart_upload_is_completed_with_exactly_its_parts(void **state)
{
    UNUSED(state);
    on_fiber(multipart_refusals);
}

static void
a_multipart_object_is_whole_or_not_there(void **state)
{
    UNUSED(state);
    on_fiber(multipart);
}

static void
fill_some(void)
{
    char name[16];

    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "f/%d", i);
        put_z(name, name);
    }
    put_z("t", "file");
    put_z("t/u", "below a file");
}

static void
check_some(void)
{
    char           name[16], out[8000];
    struct bck_sum sum;
    struct err     e = { .code = 0 };

    adopt();
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "f/%d", i);
        expect(name, name);
    }
    expect("t/u", "below a file");
    list("t", "", out, sizeof(out));
    assert_string_equal("t t/u ", out);
    assert_int_equal(0, store_bck_summary(st, &bk, STR_LIT("f/"), &sum, &e));
    assert_int_equal(200, sum.objects);
}

static void
a_restart_finds_everything_and_a_lost_index_is_rebuilt(void **state)
{
    char cmd[256];

    UNUSED(state);
    on_fiber(fill_some);
    close_store();
    open_store();
    on_fiber(check_some);
    close_store();
    snprintf(cmd, sizeof(cmd), "rm -r %s/mp1/.ais.c %s/mp2/.ais.c/index", root, root);
    assert_int_equal(0, system(cmd));
    open_store();
    on_fiber(check_some);
}

static void
destroy(void)
{
    struct err e = { .code = 0 };
    char       out[1000];

    fill_some();
    assert_int_equal(0, store_bck_destroy(st, &bk, &e));
    bk.bid++; /* as every new bucket has */
    assert_int_equal(0, store_bck_create(st, &bk, &e));
    expect("f/1", NULL);
    put_z("new", "x");
    expect("new", "x");
    UNUSED(out);
}

static void
a_destroyed_bucket_is_gone_at_once(void **state)
{
    UNUSED(state);
    on_fiber(destroy);
}

/* --- kill -9 --- */

static _Atomic uint64_t *acked; /* shared with the child: names below this are acknowledged */

static void
storm(void)
{
    char name[32], body[64];

    for (uint64_t i = 0;; i++) {
        snprintf(name, sizeof(name), "s/%llu", (unsigned long long)(i % 997));
        snprintf(body, sizeof(body), "body %llu of %s", (unsigned long long)i, name);
        put_z(name, body);
        atomic_store(acked, i + 1);
    }
}

static void
after_storm(void)
{
    uint64_t           n = atomic_load(acked), seen = 0;
    char               name[32], want[128], buf[64];
    struct list_cur   *c;
    const struct lent *l;
    struct err         e = { .code = 0 };
    struct obj        *o;

    adopt();
    for (uint64_t k = 0; k < MIN(n, (uint64_t)997); k++) {
        uint64_t last = k + (n - 1 - k) / 997 * 997;
        ssize_t  len;

        snprintf(name, sizeof(name), "s/%llu", (unsigned long long)k);
        if (obj_open(st, &bk, str_z(name), 0, &o, &e) < 0)
            fail_msg("acknowledged object is gone: %s", e.text);
        assert_int_equal(0, obj_verify(o, &e));
        len = obj_read(o, buf, sizeof(buf) - 1, 0, &e);
        buf[len] = '\0';
        snprintf(want, sizeof(want), "body %llu of %s", (unsigned long long)last, name);
        if (strcmp(want, buf) != 0) { /* a later one, written but not yet acknowledged, is fine */
            snprintf(want, sizeof(want), "body %llu of %s", (unsigned long long)(last + 997), name);
            assert_string_equal(want, buf);
        }
        obj_close(o);
    }
    assert_int_equal(0, store_list_open(st, &bk, STR_LIT(""), STR_LIT(""), &c, &e));
    while (store_list_next(c, &l, &e) > 0) { /* what is listed can be read */
        assert_int_equal(0, obj_open(st, &bk, l->name, 0, &o, &e));
        assert_int_equal(l->size, obj_info(o)->size);
        obj_close(o);
        seen++;
    }
    store_list_close(c);
    assert_true(seen >= MIN(n, (uint64_t)997));
}

static void
a_kill_loses_nothing_that_was_acknowledged(void **state)
{
    UNUSED(state);
    acked = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    close_store();
    for (int round = 0; round < 5; round++) {
        pid_t    pid;
        uint64_t from = 300 + (uint64_t)round * 411;
        int      status;

        atomic_store(acked, 0);
        pid = fork();
        if (pid == 0) {
            open_store();
            on_fiber(adopt);
            on_fiber(storm);
            _exit(0);
        }
        while (atomic_load(acked) < from && waitpid(pid, &status, WNOHANG) == 0)
            sched_yield();
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status));
        open_store();
        on_fiber(after_storm);
        close_store();
    }
    open_store();
    munmap((void *)(uintptr_t)acked, 4096);
}

static void
a_file_system_counts_once_however_many_mountpaths_it_holds(void **state)
{
    struct mpath_info m[2];
    struct store_cap  cap;

    UNUSED(state);
    assert_int_equal(2, store_mpaths(st, m, 2));
    store_cap(st, &cap);
    assert_string_equal(m[0].fs_id, m[1].fs_id);
    assert_int_not_equal(0, m[0].total);
    assert_int_equal(m[0].total, cap.total);
    assert_int_equal(m[0].total, m[0].used + m[0].avail); /* blocks that are reserved are not ours */
    assert_int_equal(cap.used * 100 / cap.total, cap.pct_max);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(objects_are_put_read_replaced_and_deleted),
        T(every_name_works_and_is_listed_as_it_is),
        T(a_listing_is_in_byte_order_resumes_and_seeks),
        T(a_wrong_checksum_leaves_nothing_behind),
        T(a_large_body_goes_through_a_work_file),
        T(custom_metadata_is_merged_or_replaced_and_names_change),
        T(appends_collect_in_a_work_file_until_the_flush),
        T(many_appends_to_one_object_have_a_work_file_each),
        T(readers_on_two_loops_share_the_access_time),
        T(a_multipart_object_is_whole_or_not_there),
        T(a_multipart_upload_is_completed_with_exactly_its_parts),
        T(a_part_that_comes_after_the_completion_does_not_touch_the_object),
        T(parts_of_the_same_number_at_once_leave_one_of_them_whole),
        T(a_restart_finds_everything_and_a_lost_index_is_rebuilt),
        T(a_destroyed_bucket_is_gone_at_once),
        T(a_kill_loses_nothing_that_was_acknowledged),
        T(a_file_system_counts_once_however_many_mountpaths_it_holds),
    };

    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
