/* SPDX-License-Identifier: Apache-2.0 */
/* Names, side records, tombstones, limits of the cache, disks that fail, fill up or vanish, rebuilding. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/xattr.h>

/* What a bus error cuts short inside LMDB is never freed, on purpose: nothing of that index is touched again. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
    return "leak:mdb_txn_begin";
}

/* --- side records --- */

static char big[60][200];

static void
big_custom(struct put_attrs *a, struct kv *kv, unsigned n)
{
    static char keys[60][16];

    for (unsigned i = 0; i < n; i++) {
        snprintf(keys[i], sizeof(keys[i]), "key-%02u", i);
        memset(big[i], 'a' + (int)(i % 26), sizeof(big[i]) - 1);
        kv[i] = (struct kv){ str_z(keys[i]), str_z(big[i]) };
    }
    a->custom = kv;
    a->ncustom = n;
}

static void
check_custom(const char *name, unsigned n)
{
    struct obj *o;
    struct err  e = { .code = 0 };

    if (obj_open(st, &bk, str_z(name), 0, &o, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(n, obj_info(o)->ncustom);
    for (unsigned i = 0; i < n; i++)
        assert_true(str_eqz(obj_info(o)->custom[i].v, big[i]));
    obj_close(o);
}

static char longest[3073];

static void
side_put(void)
{
    struct put_attrs a = { .length = 0 };
    struct kv        kv[60];
    struct err       e = { .code = 0 };

    memset(longest, 'L', 3072);
    big_custom(&a, kv, 60);
    if (put_with("big", "content", 7, &a, &e) < 0)
        fail_msg("%s", e.text);
    a.ncustom = 10; /* 2 KiB, and a name of 3 KiB */
    if (put_with(longest, "long", 4, &a, &e) < 0)
        fail_msg("%s", e.text);
    check_custom("big", 60);
    check_custom(longest, 10);
}

static void
side_there(void)
{
    char *names = malloc(8000);

    expect("big", "content");
    expect(longest, "long");
    check_custom("big", 60);
    check_custom(longest, 10);
    list("", names, 8000);
    assert_int_equal(3072 + 1 + 4, strlen(names));
    free(names);
}

static void
side_changes(void)
{
    struct kv  kv = { STR_LIT("key-00"), STR_LIT("x") };
    struct err e = { .code = 0 };

    assert_int_equal(0, obj_rename(st, &bk, STR_LIT("big"), STR_LIT("moved/big"), &e));
    check_custom("moved/big", 60);
    expect("big", NULL);
    flush();
    assert_int_equal(2, files_in("@ais/bucket/%cs"));
    assert_int_equal(0, obj_set_custom(st, &bk, STR_LIT("moved/big"), &kv, 1, true, &e));
    flush();
    assert_int_equal(1, files_in("@ais/bucket/%cs")); /* small again */
    delete_z(longest);
    flush();
    assert_int_equal(0, files_in("@ais/bucket/%cs"));
    expect("moved/big", "content");
}

static void
lose_index(void)
{
    char cmd[256];

    close_store();
    snprintf(cmd, sizeof(cmd), "rm -r %s/mp1/.ais.c %s/mp2/.ais.c/index", root, root);
    assert_int_equal(0, system(cmd));
    open_store();
}

static void
metadata_beyond_the_xattr_limit_moves_and_dies_with_its_object(void **state)
{
    UNUSED(state);
    on_fiber(side_put);
    on_fiber(side_there);
    close_store();
    open_store();
    on_fiber(side_there);
    lose_index();
    on_fiber(side_there);
    on_fiber(side_changes);
}

static void
too_many(void)
{
    struct put_attrs a = { .length = 0 };
    struct kv        kv[64];
    struct err       e = { .code = 0 };

    for (int i = 0; i < 64; i++)
        kv[i] = (struct kv){ STR_LIT("k"), STR_LIT("v") };
    a.custom = kv;
    a.ncustom = 64;
    assert_int_equal(-AIS_E_TOOBIG, put_with("o", "x", 1, &a, &e));
}

static void
more_custom_metadata_than_can_be_kept_is_refused(void **state)
{
    UNUSED(state);
    on_fiber(too_many);
}

/* --- names --- */

static void
aliases(void)
{
    char path[FQN_MAX], orig[FQN_MAX + 64], out[500];

    put_z("x//y", "two slashes");
    for (int i = 0; i < 2; i++) {
        const char *base;

        assert_true(layout_long(st->mpaths[i]->path, &bk, STR_LIT("x//y"), path, orig) > 0);
        base = strrchr(path, '/') + 1;
        expect(base, NULL); /* the file is no object of that name */
        put_z(base, "an object that is called so");
        expect("x//y", "two slashes");
        expect(base, "an object that is called so");
        delete_z(base);
        expect("x//y", "two slashes");
    }
    list("", out, sizeof(out));
    assert_string_equal("x//y ", out);
}

static void
the_file_of_a_long_name_is_no_object_itself(void **state)
{
    UNUSED(state);
    on_fiber(aliases);
}

static void
odd_names(void)
{
    static const char *const names[] = { "a", "a/b", "a/b/", "a/b/c", "/a", "//", "a//b", ".", "..", "a/../b", "a/./b", "z/" };
    char                     out[500], want[500] = "";
    const char *const        sorted[] = { ".", "..", "/a", "//", "a", "a/../b", "a/./b", "a//b", "a/b", "a/b/", "a/b/c", "z/" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        put_z(names[i], names[i]);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        put_z(names[i], names[ARRAY_SIZE(names) - 1 - i]);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        expect(names[i], names[ARRAY_SIZE(names) - 1 - i]);
    list("", out, sizeof(out));
    for (size_t i = 0; i < ARRAY_SIZE(sorted); i++)
        snprintf(want + strlen(want), sizeof(want) - strlen(want), "%s ", sorted[i]);
    /* "//" sorts before "/a" */
    assert_non_null(strstr(out, "// /a a a/../b a/./b a//b a/b a/b/ a/b/c z/ "));
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        delete_z(names[i]);
    list("", out, sizeof(out));
    assert_string_equal("", out);
}

static void
names_that_cannot_be_paths_are_objects_like_others(void **state)
{
    UNUSED(state);
    on_fiber(odd_names);
    on_fiber(flush);
    assert_int_equal(0, files_in("@ais/bucket/%ob"));
}

/* --- generations --- */

static void
tombs(void)
{
    struct put_attrs a = { .from_peer = true };
    struct err       e = { .code = 0 };
    struct obj      *o;
    struct gen       before, g;
    char             out[100];

    put_z("o", "first");
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("o"), 0, &o, &e));
    before = obj_info(o)->gen;
    obj_close(o);
    a.gen = before;
    assert_int_equal(-AIS_E_CONFLICT, put_with("o", "same", 4, &a, &e));
    delete_z("o");
    assert_int_equal(-AIS_E_CONFLICT, put_with("o", "back", 4, &a, &e));
    flush();
    assert_int_equal(-AIS_E_CONFLICT, put_with("o", "back", 4, &a, &e)); /* now from the index */
    expect("o", NULL);
    list("", out, sizeof(out));
    assert_string_equal("", out);
    g = before;
    g.epoch = 1; /* a recovery epoch outweighs every counter */
    a.gen = g;
    assert_int_equal(0, put_with("o", "newer", 5, &a, &e));
    expect("o", "newer");
    a.gen = before;
    assert_int_equal(-AIS_E_CONFLICT, put_with("o", "older", 5, &a, &e));
    expect("o", "newer");
    delete_z("o"); /* by us, whose own epoch is the older one: the tombstone is newer all the same */
    a.gen = g;
    assert_int_equal(-AIS_E_CONFLICT, put_with("o", "newer", 5, &a, &e));
    expect("o", NULL);
}

static void
a_transfer_applies_only_what_is_newer_also_than_a_tombstone(void **state)
{
    UNUSED(state);
    on_fiber(tombs);
}

static void
make_tombs(void)
{
    char name[20];

    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "t/%d", i);
        put_z(name, "x");
        delete_z(name);
    }
    put_z("t/7", "again");
    flush();
}

static unsigned
rows_of(struct mpath *m)
{
    struct sbuf rows;
    struct str  name, value;
    unsigned    n, all = 0;
    bool        more;

    sbuf_init(&rows, 1 << 20);
    assert_int_equal(0, index_scan(m->index, bk.bid, STR_LIT(""), STR_LIT(""), false, 1000, &rows, &n, &more));
    for (size_t at = 0; scan_row(&rows, &at, &name, &value);)
        all++;
    sbuf_fini(&rows);
    return all;
}

static void
tombstones_are_purged_when_they_are_old(void **state)
{
    struct index_txn *t;
    unsigned          all = 0;

    UNUSED(state);
    on_fiber(make_tombs);
    for (int i = 0; i < 2; i++)
        all += rows_of(st->mpaths[i]);
    assert_int_equal(50, all);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(0, index_begin(st->mpaths[i]->index, &t));
        assert_int_equal(0, index_purge_tombs(t, 1000, 1000)); /* none is that old */
        assert_int_equal(0, index_purge_tombs(t, UINT64_MAX, 1000));
        assert_int_equal(0, index_commit(t));
    }
    assert_int_equal(1, rows_of(st->mpaths[0]) + rows_of(st->mpaths[1])); /* the one that is an object again */
}

static void
noop(void)
{
    struct put_attrs a = { .same_is_noop = true, .expect = { .type = CKSUM_XXHASH2 } };
    struct err       e = { .code = 0 };
    struct obj      *o;

    put_z("o", "content");
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("o"), 0, &o, &e));
    a.expect = obj_info(o)->cksum;
    obj_close(o);
    assert_int_equal(0, put_with("o", "content", 7, &a, &e));
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("o"), 0, &o, &e));
    assert_true(str_eqz(obj_info(o)->version, "1"));
    obj_close(o);
    put_z("o", "content");
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("o"), 0, &o, &e));
    assert_true(str_eqz(obj_info(o)->version, "2"));
    obj_close(o);
}

static void
a_put_of_what_is_there_already_changes_nothing(void **state)
{
    UNUSED(state);
    on_fiber(noop);
}

/* --- the cache --- */

static void
many_open(void)
{
    struct store_stats ss;
    struct obj        *o[300];
    struct err         e = { .code = 0 };
    char               name[20];

    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "o/%d", i);
        put_z(name, name);
        assert_int_equal(0, obj_open(st, &bk, str_z(name), 0, &o[i], &e));
    }
    store_stats(st, &ss);
    assert_true(ss.cache_fds <= 128); /* 64 shards of two, the least there is */
    assert_true(ss.cache_entries <= 512);
    for (int i = 0; i < 300; i++) { /* evicted, and yet there for who holds it */
        char buf[20];

        snprintf(name, sizeof(name), "o/%d", i);
        assert_int_equal(strlen(name), obj_read(o[i], buf, sizeof(buf), 0, &e));
        obj_close(o[i]);
    }
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "o/%d", i);
        assert_int_equal(0, obj_open(st, &bk, str_z(name), OBJ_NO_FD, &o[0], &e));
        obj_close(o[0]);
    }
    store_stats(st, &ss);
    assert_true(ss.cache_fds <= 128);
}

/* --- access times --- */

static int64_t ago; /* seconds */

/* The file was last read a while ago, by its own time; the handle says that it is read now. */
static void
read_again(void)
{
    const struct timespec old[2] = { { .tv_sec = clock_real() / NSEC_PER_SEC - ago }, { .tv_nsec = UTIME_OMIT } };
    struct obj           *o;
    struct err            e = { .code = 0 };
    char                  path[FQN_MAX];

    file_of("read", path);
    assert_int_equal(0, utimensat(AT_FDCWD, path, old, 0));
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("read"), OBJ_NO_LRU, &o, &e));
    assert_int_equal(old[0].tv_sec, obj_info_atime(obj_info(o)) / NSEC_PER_SEC);
    obj_close(o);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(0, obj_open(st, &bk, STR_LIT("read"), 0, &o, &e));
        obj_close(o);
    }
}

static void
crowd_out(void)
{
    struct obj *o;
    struct err  e = { .code = 0 };
    char        name[20];

    for (int turn = 0; turn < 2; turn++)
        for (int i = 0; i < 600; i++) {
            snprintf(name, sizeof(name), "o/%d", i);
            if (turn == 0)
                put_z(name, name);
            assert_int_equal(0, obj_open(st, &bk, str_z(name), 0, &o, &e));
            obj_close(o);
        }
    offload((void (*)(void *))atimes_wait, st);
}

static int64_t
file_atime(const char *name)
{
    char        path[FQN_MAX];
    struct stat s;

    file_of(name, path);
    assert_int_equal(0, stat(path, &s));
    return s.st_atim.tv_sec;
}

static void
put_it(void)
{
    put_z("read", "content");
}

static void
small_cache(void)
{
    close_store();
    conf.cache_fds = 64;
    conf.cache_entries = 64;
    open_store();
}

static void
when_an_object_was_read_is_known_when_it_left_the_cache(void **state)
{
    int64_t now = clock_real() / NSEC_PER_SEC;

    UNUSED(state);
    small_cache();
    on_fiber(put_it);
    small_cache();
    ago = 600;
    on_fiber(read_again);
    assert_true(file_atime("read") < now - 500); /* not worth a write yet */
    on_fiber(crowd_out);
    assert_true(file_atime("read") >= now - 1);
}

static void
when_an_object_was_read_is_known_after_a_restart(void **state)
{
    int64_t now = clock_real() / NSEC_PER_SEC;

    UNUSED(state);
    on_fiber(put_it);
    close_store();
    open_store();
    ago = 600;
    on_fiber(read_again);
    close_store();
    assert_true(file_atime("read") >= now - 1);
    open_store();
    ago = 7200;
    on_fiber(read_again);
    atimes_wait(st);
    assert_true(file_atime("read") >= now - 1); /* now and then also while it is in the cache: a kill must not lose days */
}

static int64_t
row_atime(const char *name)
{
    struct list_cur   *c;
    const struct lent *l;
    struct err         e = { .code = 0 };
    int64_t            at;

    assert_int_equal(0, store_list_open(st, &bk, str_z(name), STR_LIT(""), &c, &e));
    assert_int_equal(1, store_list_next(c, &l, &e));
    at = l->atime_ns;
    store_list_close(c);
    return at;
}

static void
note_atime(void)
{
    struct obj *o;
    struct err  e = { .code = 0 };
    int64_t     was;

    put_z("read", "content");
    was = row_atime("read");
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("read"), 0, &o, &e));
    assert_int_equal(was, row_atime("read"));
    assert_int_equal(0, obj_note_atime(st, &bk, o));
    assert_int_equal(obj_info_atime(obj_info(o)), row_atime("read"));
    was = row_atime("read");
    assert_true(was > 0);
    put_z("read", "another one");
    was = row_atime("read");
    assert_int_equal(0, obj_note_atime(st, &bk, o)); /* of what is not there any more: nothing happens */
    assert_int_equal(was, row_atime("read"));
    obj_close(o);
}

static void
the_index_is_told_when_an_object_was_read_when_somebody_asks(void **state)
{
    UNUSED(state);
    on_fiber(note_atime);
}

static void
the_cache_keeps_its_limits(void **state)
{
    UNUSED(state);
    close_store();
    conf.cache_fds = 64;
    conf.cache_entries = 512;
    open_store();
    on_fiber(many_open);
}

static void
pinned_content(void)
{
    struct obj *o;
    struct err  e = { .code = 0 };
    char        buf[20];

    put_z("o", "first");
    cache_drop_all(st, 0, NULL);
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("o"), OBJ_NO_FD, &o, &e)); /* HEAD fills the cache, without descriptor */
    obj_close(o);
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("o"), 0, &o, &e));
    put_z("o", "second");
    assert_int_equal(5, obj_read(o, buf, sizeof(buf), 0, &e));
    assert_memory_equal("first", buf, 5);
    obj_close(o);
}

static void
a_handle_pins_content_also_after_a_head(void **state)
{
    UNUSED(state);
    on_fiber(pinned_content);
}

/* --- file systems with less --- */

static void
some_of_everything(void)
{
    char out[500];

    put_z("a", "1");
    put_z("a", "2");
    put_z("a/b", "3");
    put_z("a/b", "4");
    put_z("d/e/f", "5");
    expect("a", "2");
    expect("a/b", "4");
    delete_z("a");
    put_z("a", "6");
    list("", out, sizeof(out));
    assert_string_equal("a a/b d/e/f ", out);
    flush();
    expect("a", "6");
}

static void
file_systems_without_unnamed_files_or_exchange_work_too(void **state)
{
    static const char *const less[] = { "probe.tmpfile=0", "probe.exchange=0", "probe.empty_path=0",
                                        "probe.tmpfile=0,probe.exchange=0" };

    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(less); i++) {
        close_store();
        assert_int_equal(0, failpoint_arm(str_z(less[i])));
        open_store();
        on_fiber(some_of_everything);
        (void)failpoint_arm(STR_LIT(""));
        assert_int_equal(0, files_in("@ais/bucket/%wk"));
    }
}

/* --- failing disks --- */

static const char *failing;
static unsigned    failures;

/* Every call of that kind fails once, one after the other; whatever happens, an object is the old or the new one, whole. */
static void
one_failure(unsigned nth)
{
    struct put_attrs a = { .length = 0 };
    struct err       e = { .code = 0 };
    struct kv        kv = { STR_LIT("k"), STR_LIT("v") };
    char             spec[100], out[100];
    struct obj      *o;
    int              rc, i = 0;

    put_z("o", "old");
    snprintf(spec, sizeof(spec), "%s=%u:1", failing, nth);
    assert_int_equal(0, failpoint_arm(str_z(spec)));
    rc = put_with("o", "new", 3, &a, &e);
    failures += rc < 0;
    i += rc == 0;
    rc = put_with("fresh", "new", 3, &a, &e);
    failures += rc < 0;
    failures += obj_set_custom(st, &bk, STR_LIT("o"), &kv, 1, false, &e) < 0;
    failures += rc == 0 && obj_delete(st, &bk, STR_LIT("fresh"), &e) < 0;
    (void)failpoint_arm(STR_LIT(""));
    expect("o", i == 1 ? "new" : "old");
    if (obj_open(st, &bk, STR_LIT("fresh"), 0, &o, &e) == 0) {
        assert_int_equal(0, obj_verify(o, &e));
        obj_close(o);
        delete_z("fresh");
    }
    list("", out, sizeof(out));
    assert_string_equal("o ", out);
}

static void
all_failures(void)
{
    failures = 0;
    for (unsigned nth = 0; nth < 8; nth++)
        one_failure(nth);
    assert_true(failures > 0);
}

static void
a_failing_call_leaves_the_old_or_the_new_object(void **state)
{
    static const char *const points[] = { "disk.open", "disk.write", "disk.setxattr", "disk.link", "disk.rename", "disk.unlink",
                                          "journal.append", "obj.load" };

    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
        failing = points[i];
        on_fiber(all_failures);
    }
    on_fiber(flush);
    assert_int_equal(0, files_in("@ais/bucket/%wk"));
}

static void
states(enum mpath_state out[2])
{
    struct mpath_info m[2];

    store_mpaths(st, m, 2);
    out[0] = m[0].state;
    out[1] = m[1].state;
}

/* A name that lies on mountpath i. */
static void
name_on(unsigned i, char name[20])
{
    for (int k = 0;; k++) {
        snprintf(name, 20, "n%d", k);
        if (mpath_of(st, &bk, str_z(name)) == st->mpaths[i])
            return;
    }
}

/* The check runs in the background. */
static void
wait_failed(unsigned i)
{
    enum mpath_state s[2];
    int64_t          until = clock_mono() + SEC_NS(10);

    do {
        states(s);
        if (s[i] == MPATH_FAILED)
            return;
        fiber_sleep(MSEC_NS(2));
    } while (clock_mono() < until);
    fail_msg("mountpath %u did not fail", i);
}

static void
vanish(void)
{
    enum mpath_state s[2];
    struct err       e = { .code = 0 };
    struct obj      *o;
    char             lost[20], kept[20], cmd[200], out[100];

    name_on(0, lost);
    name_on(1, kept);
    put_z(lost, "lost");
    put_z(kept, "kept");
    cache_drop_all(st, 0, NULL);
    snprintf(cmd, sizeof(cmd), "rm -rf %s/mp1", root);
    assert_int_equal(0, system(cmd));
    assert_int_equal(-AIS_E_IO, obj_open(st, &bk, str_z(lost), 0, &o, &e)); /* not: does not exist */
    wait_failed(0);
    states(s);
    assert_int_equal(MPATH_OK, s[1]);
    expect(kept, "kept");
    put_z(lost, "again"); /* falls to the other one now */
    expect(lost, "again");
    list("", out, sizeof(out));
    assert_non_null(strstr(out, kept));
    assert_non_null(strstr(out, lost));
}

static void
a_mountpath_that_vanishes_is_disabled_and_the_other_goes_on(void **state)
{
    UNUSED(state);
    on_fiber(vanish);
}

static void
bus_error(void)
{
    char              path[200], name[20], out[100];
    struct list_cur  *c;
    struct err        e = { .code = 0 };
    enum mpath_state  s[2];
    int               rc;

    put_z("a", "1");
    put_z("b", "2");
    flush();
    snprintf(path, sizeof(path), "%s/mp1/.ais.c/index/data.mdb", root);
    assert_int_equal(0, truncate(path, 0));
    /* An error, or, where the mountpath is out before the listing ends, a listing of what is left. */
    rc = store_list_open(st, &bk, STR_LIT(""), STR_LIT(""), &c, &e);
    if (rc == 0)
        store_list_close(c);
    else
        assert_int_equal(-AIS_E_IO, rc);
    wait_failed(0);
    states(s);
    assert_int_equal(MPATH_OK, s[1]);
    name_on(1, name);
    put_z(name, "goes on");
    expect(name, "goes on");
    list("", out, sizeof(out));
    assert_non_null(strstr(out, name));
}

static void
a_bus_error_in_the_index_fails_the_mountpath_not_the_node(void **state)
{
    UNUSED(state);
    close_store(); /* cmocka took the signal for itself meanwhile */
    open_store();
    on_fiber(bus_error);
    close_store();
    open_store(); /* a new index, from the files */
    on_fiber(flush);
}

/* --- disks that are small: mounted for the test --- */

static bool
mounted(const char *options)
{
    char path[100];

    close_store();
    for (int i = 1; i <= 2; i++) {
        snprintf(path, sizeof(path), "%s/mp%d", root, i);
        nftw(path, rm_one, 16, FTW_DEPTH | FTW_PHYS);
        mkdir(path, 0755);
        if (geteuid() != 0 || mount("ais-test", path, "tmpfs", 0, options) < 0) {
            if (i == 2) {
                snprintf(path, sizeof(path), "%s/mp1", root);
                (void)umount2(path, MNT_DETACH);
            }
            return false;
        }
    }
    open_store();
    return true;
}

static void
unmounted(void)
{
    char path[100];

    close_store();
    for (int i = 1; i <= 2; i++) {
        snprintf(path, sizeof(path), "%s/mp%d", root, i);
        assert_int_equal(0, umount2(path, MNT_DETACH));
    }
}

#define PIECE (300 * 1024)

static unsigned
fill_up(void)
{
    static char      content[PIECE];
    struct put_attrs a = { .length = 0 };
    struct err       e = { .code = 0 };
    char             name[20];
    unsigned         n = 0, refused = 0;

    for (unsigned i = 0; i < 400 && refused < 5; i++) {
        int rc;

        snprintf(name, sizeof(name), "f/%03u", i);
        rc = put_with(name, content, i % 2 == 0 ? PIECE : 5000, &a, &e);
        if (rc == 0) {
            n++;
            continue;
        }
        if (rc != -AIS_E_NOSPACE)
            fail_msg("%s", e.text);
        refused++;
    }
    assert_int_equal(5, refused);
    return n;
}

static void
full(void)
{
    char      *out = malloc(8000);
    unsigned   n = fill_up(), listed = 0;
    struct err e = { .code = 0 };

    for (int round = 0; round < 2; round++) {
        char name[20];

        list("", out, 8000);
        listed = 0;
        for (char *p = out, *q; (q = strchr(p, ' ')) != NULL; p = q + 1) {
            struct obj *o;

            *q = '\0';
            assert_int_equal(0, obj_open(st, &bk, str_z(p), 0, &o, &e));
            assert_int_equal(0, obj_verify(o, &e));
            obj_close(o);
            listed++;
            snprintf(name, sizeof(name), "%s", p);
            if (round == 1)
                delete_z(name);
        }
        assert_int_equal(n, listed);
    }
    assert_int_equal(0, files_in("@ais/bucket/%ob"));
    assert_int_equal(0, files_in("@ais/bucket/%wk"));
    flush();
    store_cap_refresh(st);
    assert_true(fill_up() + 5 > n); /* all of it is back */
    free(out);
}

static void
a_full_disk_refuses_puts_and_takes_deletes(void **state)
{
    UNUSED(state);
    if (!mounted("size=12m")) {
        print_message("[ SKIPPED ] no right to mount a small file system\n");
        open_store();
        skip();
    }
    on_fiber(full);
    unmounted();
}

/* As a file system that the kernel made read-only under us: files that are open for writing forbid a plain remount. */
static void
read_only(void)
{
    struct put_attrs a = { .length = 0 };
    struct err       e = { .code = 0 };
    char             out[100];
    enum mpath_state s[2];

    put_z("o", "content");
    flush();
    assert_int_equal(0, failpoint_arm(STR_LIT("disk.open=0:0:readonly,disk.unlink=0:0:readonly,journal.append=0:0:readonly,"
                                              "checkpoint.sync=0:0:readonly")));
    assert_int_equal(-AIS_E_READONLY, put_with("p", "x", 1, &a, &e));
    assert_non_null(strstr(e.text, "read-only"));
    assert_int_equal(-AIS_E_READONLY, obj_delete(st, &bk, STR_LIT("o"), &e));
    cache_drop_all(st, 0, NULL);
    expect("o", "content");
    expect("p", NULL);
    list("", out, sizeof(out));
    assert_string_equal("o ", out);
    states(s);
    assert_int_equal(MPATH_OK, s[0]);
    assert_int_equal(MPATH_OK, s[1]);
    (void)failpoint_arm(STR_LIT(""));
    put_z("p", "x");
    delete_z("o");
    expect("p", "x");
}

static void
a_read_only_mountpath_serves_what_it_has(void **state)
{
    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    on_fiber(read_only);
}

/* --- rebuilding --- */

static void
prepare_rebuild(void)
{
    char path[FQN_MAX];

    put_z("stays", "1");
    put_z("removed/by/hand", "2");
    put_z("x//long", "3");
    flush();
    cache_drop_all(st, 0, NULL);
    file_of("removed/by/hand", path);
    assert_int_equal(0, unlink(path));
    for (int i = 0; i < 2; i++) /* rows that were lost */
        (void)rows_del(st->mpaths[i]->rows, bk.bid, STR_LIT("x//long"));
}

static void
rebuild(void)
{
    struct err e = { .code = 0 };
    uint64_t   n, all = 0;
    char       out[200];

    prepare_rebuild();
    list("", out, sizeof(out));
    assert_string_equal("removed/by/hand stays ", out);
    for (int i = 0; i < 2; i++) {
        if (store_mpath_rebuild(st, str_z(st->mpaths[i]->path), &n, &e) < 0)
            fail_msg("%s", e.text);
        all += n;
    }
    assert_int_equal(2, all);
    list("", out, sizeof(out));
    assert_string_equal("stays x//long ", out);
    flush();
    list("", out, sizeof(out));
    assert_string_equal("stays x//long ", out);
    assert_int_equal(-AIS_E_NOMPATH, store_mpath_rebuild(st, STR_LIT("/nowhere"), &n, &e));
}

static void
rows_follow_the_files_when_the_index_is_rebuilt_in_use(void **state)
{
    UNUSED(state);
    on_fiber(rebuild);
}

static void
damaged_index_list(void)
{
    char out[200];

    list("", out, sizeof(out));
    assert_string_equal("a b c d e ", out);
}

static void
put_five(void)
{
    static const char *const names[] = { "a", "b", "c", "d", "e" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        put_z(names[i], names[i]);
}

static void
a_damaged_index_is_rebuilt_at_the_start(void **state)
{
    char path[200];

    UNUSED(state);
    on_fiber(put_five);
    close_store();
    for (int i = 1; i <= 2; i++) {
        FILE *f;

        snprintf(path, sizeof(path), "%s/mp%d/.ais.c/index/data.mdb", root, i);
        f = fopen(path, "r+");
        for (int k = 0; k < 8192; k++)
            fputc(i == 1 ? 0xff : 0, f);
        fclose(f);
    }
    open_store();
    on_fiber(damaged_index_list);
}

static void
attach(void)
{
    struct err e = { .code = 0 };
    char       path[100], name[20];

    snprintf(path, sizeof(path), "%s/mp3", root);
    mkdir(path, 0755);
    if (store_mpath_attach(st, str_z(path), STR_LIT(""), &e) < 0)
        fail_msg("%s", e.text);
    name_on(2, name);
    put_z(name, "on the new one");
    expect(name, "on the new one");
    snprintf(path, sizeof(path), "%s/mp3/inside", root);
    assert_int_equal(-AIS_E_INVAL, store_mpath_attach(st, str_z(path), STR_LIT(""), &e));
}

static void
an_attached_mountpath_takes_objects_at_once(void **state)
{
    UNUSED(state);
    on_fiber(attach);
}

static void
rename_race_a(void)
{
    struct err e = { .code = 0 };
    char       to[20];

    for (int i = 0; i < 20; i++) {
        snprintf(to, sizeof(to), "to/%d", i);
        put_z("from", "content");
        put_z(to, "overwritten");
        assert_int_equal(0, obj_rename(st, &bk, STR_LIT("from"), str_z(to), &e));
        expect("from", NULL);
        expect(to, "content");
        assert_int_equal(0, obj_lock_state(st, &bk, STR_LIT("from")));
    }
    assert_int_equal(-AIS_E_INVAL, obj_rename(st, &bk, STR_LIT("to/1"), STR_LIT("to/1"), &e));
    assert_int_equal(-AIS_E_NOOBJ, obj_rename(st, &bk, STR_LIT("none"), STR_LIT("to/1"), &e));
    expect("to/1", "content");
}

static void
a_rename_replaces_its_destination(void **state)
{
    UNUSED(state);
    on_fiber(rename_race_a);
    on_fiber(flush);
    assert_int_equal(0, files_in("@ais/bucket/%wk"));
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(metadata_beyond_the_xattr_limit_moves_and_dies_with_its_object),
        T(more_custom_metadata_than_can_be_kept_is_refused),
        T(the_file_of_a_long_name_is_no_object_itself),
        T(names_that_cannot_be_paths_are_objects_like_others),
        T(a_transfer_applies_only_what_is_newer_also_than_a_tombstone),
        T(tombstones_are_purged_when_they_are_old),
        T(a_put_of_what_is_there_already_changes_nothing),
        T(the_cache_keeps_its_limits),
        T(when_an_object_was_read_is_known_when_it_left_the_cache),
        T(when_an_object_was_read_is_known_after_a_restart),
        T(the_index_is_told_when_an_object_was_read_when_somebody_asks),
        T(a_handle_pins_content_also_after_a_head),
        T(file_systems_without_unnamed_files_or_exchange_work_too),
        T(a_failing_call_leaves_the_old_or_the_new_object),
        T(a_mountpath_that_vanishes_is_disabled_and_the_other_goes_on),
        T(a_bus_error_in_the_index_fails_the_mountpath_not_the_node),
        T(a_full_disk_refuses_puts_and_takes_deletes),
        T(a_read_only_mountpath_serves_what_it_has),
        T(rows_follow_the_files_when_the_index_is_rebuilt_in_use),
        T(a_damaged_index_is_rebuilt_at_the_start),
        T(an_attached_mountpath_takes_objects_at_once),
        T(a_rename_replaces_its_destination),
    };

    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
