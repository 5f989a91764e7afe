/* SPDX-License-Identifier: Apache-2.0 */
/* What was acknowledged stays, and what cannot be kept is not acknowledged: uploads, buckets and mountpaths that go, calls that fail. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

/* --- uploads --- */

static char upload_id[40];

static void
parts(const char *name, const struct put_attrs *a, const char *const *text, unsigned n)
{
    const struct put_attrs any = { .length = -1 };
    struct err             e = { .code = 0 };
    struct put            *p;

    assert_int_equal(0, mpt_create(st, &bk, str_z(name), a, upload_id, &e));
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(0, mpt_part(st, &bk, str_z(name), str_z(upload_id), i + 1, &any, &p, &e));
        assert_int_equal(0, put_write(p, text[i], strlen(text[i]), &e));
        if (put_commit(p, NULL, &e) < 0)
            fail_msg("%s", e.text);
    }
}

static int
finish(const char *name)
{
    const struct mpt_part_ref refs[3] = { { .num = 1 }, { .num = 2 }, { .num = 3 } };
    struct err                e = { .code = 0 };

    return mpt_complete(st, &bk, str_z(name), str_z(upload_id), refs, 3, NULL, &e);
}

static const char *const     text_a[] = { "aaaa", "AA", "a" }, *const text_b[] = { "b", "BBBB", "bb" };
static const struct put_attrs plain = { .length = -1 };

static void
complete_and_keep_the_log(void)
{
    parts("c", &plain, text_a, 3);
    assert_int_equal(0, failpoint_arm(STR_LIT("upload.unlog=0")));
    assert_int_equal(0, finish("c"));
    (void)failpoint_arm(STR_LIT(""));
}

static void
give_up_what_is_complete(void)
{
    struct err e = { .code = 0 };

    assert_int_equal(-AIS_E_NOENT, mpt_abort(st, &bk, STR_LIT("c"), str_z(upload_id), &e));
    expect("c", "aaaaAAa");
}

static void
parts_of_a_completed_object_are_not_those_of_an_upload_after_a_restart(void **state)
{
    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    on_fiber(complete_and_keep_the_log);
    close_store();
    open_store();
    on_fiber(give_up_what_is_complete);
    assert_int_equal(0, files_in(".ais.c/uploads"));
}

static void
complete_with_checksums(void)
{
    struct put_attrs a = { .length = -1 };

    for (int type = CKSUM_XXHASH; type < CKSUM_NTYPES; type++) {
        cksum_of((enum cksum_type)type, "aaaaAAb", 7, &a.expect);
        parts("c", &a, text_a, 3);
        assert_int_equal(-AIS_E_CKSUM, finish("c"));
        expect("c", type == CKSUM_XXHASH ? NULL : "aaaaAAa");
        cksum_of((enum cksum_type)type, "aaaaAAa", 7, &a.expect);
        parts("c", &a, text_a, 3);
        assert_int_equal(0, finish("c"));
        expect("c", "aaaaAAa");
    }
}

static void
a_checksum_that_was_told_at_the_start_of_an_upload_is_compared(void **state)
{
    UNUSED(state);
    on_fiber(complete_with_checksums);
}

static void
fail_over_and_again(void)
{
    parts("c", &plain, text_a, 3);
    assert_int_equal(0, finish("c"));
    parts("c", &plain, text_b, 3);
    assert_int_equal(0, failpoint_arm(STR_LIT("name.exchange=0:1")));
    assert_true(finish("c") < 0);
    (void)failpoint_arm(STR_LIT(""));
    expect("c", "aaaaAAa");
    assert_int_equal(0, finish("c"));
    expect("c", "bBBBBbb");
}

static void
an_upload_whose_completion_failed_can_be_completed(void **state)
{
    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    on_fiber(fail_over_and_again);
}

static void
die_in_the_exchange(void)
{
    assert_int_equal(0, failpoint_arm(STR_LIT("name.exchange=0:1:kill")));
    (void)finish("c");
}

static void
two_uploads(void)
{
    parts("c", &plain, text_a, 3);
    assert_int_equal(0, finish("c"));
    parts("c", &plain, text_b, 3);
}

static void
complete_after_all(void)
{
    expect("c", "aaaaAAa");
    assert_int_equal(0, finish("c"));
    expect("c", "bBBBBbb");
}

static void
an_upload_goes_on_after_a_kill_in_the_middle_of_its_completion(void **state)
{
    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    on_fiber(two_uploads);
    die_after(die_in_the_exchange);
    open_store();
    on_fiber(complete_after_all);
}

/* --- metadata --- */

static char long_name[1000];

static void
reserved(void)
{
    struct kv        kv = { STR_LIT("orig_fntl"), STR_LIT("/%ob/other") };
    struct put_attrs a = { .length = 0, .custom = &kv, .ncustom = 1 };
    struct err       e = { .code = 0 };

    memset(long_name, 'n', sizeof(long_name) - 1);
    put_z(long_name, "content");
    assert_int_equal(-AIS_E_INVAL, put_with(long_name, "x", 1, &a, &e));
    assert_int_equal(-AIS_E_INVAL, mpt_create(st, &bk, str_z(long_name), &a, upload_id, &e));
    assert_int_equal(-AIS_E_INVAL, obj_set_custom(st, &bk, str_z(long_name), &kv, 1, false, &e));
    cache_drop_all(st, 0, NULL);
    expect(long_name, "content");
}

static void
the_key_that_holds_a_long_name_is_refused_from_clients(void **state)
{
    UNUSED(state);
    on_fiber(reserved);
}

static char values[40][2000];

static void
fail_in_the_middle_of_metadata(void)
{
    struct kv  kv[8];
    struct err e = { .code = 0 };

    for (int i = 0; i < 8; i++) {
        memset(values[i], 'a' + i, sizeof(values[i]) - 1);
        kv[i] = (struct kv){ str_from(&"abcdefgh"[i], 1), str_z(values[i]) };
    }
    put_z("o", "content");
    for (int side = 0; side < 2; side++)
        for (int nth = 0; nth < 2; nth++) {
            assert_int_equal(0, failpoint_arm(nth == 0 ? STR_LIT("disk.setxattr=0:1") : STR_LIT("disk.setxattr=1:1")));
            assert_true(obj_set_custom(st, &bk, STR_LIT("o"), kv, side == 0 ? 1 : 8, false, &e) < 0);
            (void)failpoint_arm(STR_LIT(""));
            cache_drop_all(st, 0, NULL);
            expect("o", "content");
        }
}

static void
an_object_stays_readable_when_its_metadata_cannot_be_written_whole(void **state)
{
    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    on_fiber(fail_in_the_middle_of_metadata);
}

static void
merge_much(void)
{
    struct err e = { .code = 0 };
    struct kv  kv;
    char       key[8], out[20];
    int        rc = 0, i;

    put_z("o", "content");
    for (i = 0; i < 40 && rc == 0; i++) {
        memset(values[i], 'v', sizeof(values[i]) - 1);
        snprintf(key, sizeof(key), "k%02d", i);
        kv = (struct kv){ str_z(key), str_z(values[i]) };
        rc = obj_set_custom(st, &bk, STR_LIT("o"), &kv, 1, false, &e);
    }
    assert_int_equal(-AIS_E_TOOBIG, rc);
    expect("o", "content");
    kv = (struct kv){ STR_LIT("k00"), STR_LIT("short") };
    assert_int_equal(0, obj_set_custom(st, &bk, STR_LIT("o"), &kv, 1, false, &e));
    list("", out, sizeof(out));
    assert_string_equal("o ", out);
}

static void
custom_metadata_that_is_merged_many_times_has_a_limit(void **state)
{
    UNUSED(state);
    on_fiber(merge_much);
}

/* --- what changes while a request is under way --- */

static void
delete_one_generation(void)
{
    struct err e = { .code = 0 };
    struct obj *o;

    put_z("o", "first");
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("o"), 0, &o, &e));
    put_z("o", "second");
    assert_int_equal(-AIS_E_CONFLICT, obj_delete_if(st, &bk, STR_LIT("o"), &obj_info(o)->gen, &e));
    obj_close(o);
    expect("o", "second");
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("o"), 0, &o, &e));
    assert_int_equal(0, obj_delete_if(st, &bk, STR_LIT("o"), &obj_info(o)->gen, &e));
    obj_close(o);
    expect("o", NULL);
}

static void
a_delete_of_one_generation_spares_the_next(void **state)
{
    UNUSED(state);
    on_fiber(delete_one_generation);
}

static char body[200000];

static struct put *
half_a_put(const char *name)
{
    struct put_attrs a = { .length = sizeof(body) };
    struct err       e = { .code = 0 };
    struct put      *p;

    assert_int_equal(0, put_begin(st, &bk, str_z(name), &a, &p, &e));
    assert_int_equal(0, put_write(p, body, sizeof(body), &e));
    return p;
}

static void
destroy_under_a_put(void)
{
    struct err  e = { .code = 0 };
    struct put *p = half_a_put("o");

    assert_int_equal(0, store_bck_destroy(st, &bk, &e));
    assert_int_equal(-AIS_E_NOBCK, put_commit(p, NULL, &e));
}

static void
a_put_into_a_bucket_that_was_destroyed_meanwhile_is_refused(void **state)
{
    char        path[200];
    struct stat s;

    UNUSED(state);
    on_fiber(destroy_under_a_put);
    for (int i = 1; i <= 2; i++) {
        snprintf(path, sizeof(path), "%s/mp%d/@ais/bucket", root, i);
        assert_int_equal(-1, stat(path, &s));
    }
}

static void
disable_under_a_put(void)
{
    struct err  e = { .code = 0 };
    struct put *p = half_a_put("o");
    bool        noop;

    assert_int_equal(0, store_mpath_disable(st, str_z(p->m->path), true, &noop, &e));
    assert_int_equal(-AIS_E_UNAVAIL, put_commit(p, NULL, &e));
    put_z("o", "elsewhere");
    expect("o", "elsewhere");
}

static void
a_put_whose_mountpath_was_disabled_meanwhile_is_refused(void **state)
{
    UNUSED(state);
    on_fiber(disable_under_a_put);
}

static void
replace_a_removed_file(void)
{
    char path[FQN_MAX];

    put_z("dir/o", "old");
    file_of("dir/o", path);
    assert_int_equal(0, unlink(path));
    *strrchr(path, '/') = '\0';
    assert_int_equal(0, rmdir(path));
    put_z("dir/o", "new");
    cache_drop_all(st, 0, NULL);
    expect("dir/o", "new");
}

static void
an_object_whose_file_was_removed_by_hand_can_be_written_again(void **state)
{
    static const char *const less[] = { "probe.tmpfile=0", "probe.exchange=0", "probe.tmpfile=0,probe.exchange=0" };

    UNUSED(state);
    on_fiber(replace_a_removed_file);
    for (size_t i = 0; failpoint_compiled_in() && i < ARRAY_SIZE(less); i++) {
        close_store();
        assert_int_equal(0, failpoint_arm(str_z(less[i])));
        open_store();
        on_fiber(replace_a_removed_file);
        (void)failpoint_arm(STR_LIT(""));
    }
}

/* --- appends --- */

struct source {
    const char *p;
    int         end; /* what comes behind the bytes: 0, or an error */
};

static ssize_t
source_read(void *ctx, void *p, size_t n)
{
    struct source *s = ctx;
    size_t         k = MIN(n, strlen(s->p));

    memcpy(p, s->p, k);
    s->p += k;
    return k > 0 ? (ssize_t)k : s->end;
}

static char *
append_z(const char *handle, const char *text)
{
    struct source s = { .p = text };
    struct err    e = { .code = 0 };
    char         *h;

    if (append_data(st, &bk, STR_LIT("app"), str_z(handle), source_read, &s, &h, &e) < 0)
        fail_msg("%s", e.text);
    return h;
}

static const struct cksum none = { .type = CKSUM_NONE };

static void
append_cut(void)
{
    struct source s = { .p = "half of", .end = -AIS_E_CLOSED };
    struct err    e = { .code = 0 };
    char         *h = append_z("", "one,"), *h2 = NULL;

    assert_true(append_data(st, &bk, STR_LIT("app"), str_z(h), source_read, &s, &h2, &e) < 0);
    h2 = append_z(h, "two");
    assert_int_equal(0, append_flush(st, &bk, STR_LIT("app"), str_z(h2), &none, &e));
    expect("app", "one,two");
    free(h);
    free(h2);
}

static void
an_append_that_is_cut_leaves_nothing_of_it(void **state)
{
    UNUSED(state);
    on_fiber(append_cut);
}

static void
append_stale(void)
{
    struct err e = { .code = 0 };

    for (int type = CKSUM_XXHASH; type < CKSUM_NTYPES; type++) {
        char *h, *h2;

        bk.cksum = (enum cksum_type)type;
        h = append_z("", type == CKSUM_XXHASH ? "one," : ",one,");
        h2 = append_z(h, "two");
        assert_int_equal(0, append_flush(st, &bk, STR_LIT("app"), str_z(h), &none, &e));
        expect("app", type == CKSUM_XXHASH ? "one,two" : "one,two,one,two");
        delete_z("app");
        put_z("app", "one,two");
        free(h);
        free(h2);
    }
    bk.cksum = CKSUM_XXHASH2;
}

static void
an_old_append_handle_gives_no_wrong_checksum(void **state)
{
    UNUSED(state);
    on_fiber(append_stale);
}

static void
append_and_disable(void)
{
    struct err e = { .code = 0 };
    char      *h = append_z("", "content");
    bool       noop;

    assert_int_equal(0, store_mpath_disable(st, str_z(mpath_of(st, &bk, STR_LIT("app"))->path), false, &noop, &e));
    if (append_flush(st, &bk, STR_LIT("app"), str_z(h), &none, &e) < 0)
        fail_msg("%s", e.text);
    expect("app", "content");
    free(h);
}

static void
an_append_is_flushed_to_where_the_object_is_looked_for(void **state)
{
    UNUSED(state);
    on_fiber(append_and_disable);
    assert_int_equal(0, files_in("@ais/bucket/%wk"));
}

/* --- mountpaths --- */

static void
states(void)
{
    struct err e = { .code = 0 };
    struct str path = str_z(st->mpaths[0]->path), other = str_z(st->mpaths[1]->path);
    bool       noop = false;
    const struct mpath *was;

    assert_int_equal(0, store_mpath_disable(st, path, true, &noop, &e));
    assert_false(noop);
    assert_int_equal(0, store_mpath_disable(st, other, false, &noop, &e)); /* the last one: there is nowhere to bring what it has */
    assert_int_equal(MPATH_DISABLED, atomic_load(&st->mpaths[1]->state));
    assert_int_equal(0, store_mpath_enable(st, other, &noop, &e));
    assert_int_equal(0, store_mpath_enable(st, path, &noop, &e));
    was = st->mpaths[0];
    atomic_store(&st->mpaths[0]->state, MPATH_FAILED);
    assert_int_equal(0, store_mpath_disable(st, path, true, &noop, &e));
    assert_true(noop);
    assert_int_equal(0, store_mpath_detach(st, path, true, &e));
    assert_int_equal(MPATH_GONE, atomic_load(&st->mpaths[0]->state));
    assert_int_equal(-AIS_E_NOMPATH, store_mpath_enable(st, path, &noop, &e));
    assert_int_equal(0, store_mpath_attach(st, path, STR_LIT(""), &e));
    assert_int_equal(MPATH_OK, atomic_load(&st->mpaths[0]->state));
    assert_ptr_not_equal(was, st->mpaths[0]);
}

static void
a_failed_mountpath_comes_back_only_when_it_is_opened_anew(void **state)
{
    UNUSED(state);
    on_fiber(states);
}

static char third[100];

static int
attach_third(void *arg)
{
    struct err e = { .code = 0 };
    int       *rc = arg;

    *rc = store_mpath_attach(st, str_z(third), STR_LIT(""), &e);
    return 0;
}

static void
attach_at_once(void)
{
    struct group g;
    int          rc[4], good = 0;

    snprintf(third, sizeof(third), "%s/mp3", root);
    assert_int_equal(0, mkdir(third, 0755));
    group_init(&g, false);
    for (int i = 0; i < 4; i++)
        assert_int_equal(0, group_start(&g, "attach", attach_third, &rc[i]));
    assert_int_equal(0, group_wait(&g));
    for (int i = 0; i < 4; i++) {
        assert_true(rc[i] == 0 || rc[i] == -AIS_E_BUSY || rc[i] == -AIS_E_EXISTS);
        good += rc[i] == 0;
    }
    assert_int_equal(1, good);
    assert_int_equal(3, st->n);
}

static void
a_mountpath_that_is_attached_many_times_at_once_is_there_once(void **state)
{
    UNUSED(state);
    on_fiber(attach_at_once);
}

/* --- folders and files that go or are deep --- */

static char deep[1201];

static void
put_deep(void)
{
    for (size_t i = 0; i < sizeof(deep) - 1; i++)
        deep[i] = i % 2 == 0 ? 'd' : '/';
    deep[sizeof(deep) - 2] = 'o';
    put_z(deep, "deep");
}

static void
list_deep(void)
{
    static char out[sizeof(deep) + 10];

    expect(deep, "deep");
    list("", out, sizeof(out));
    assert_int_equal(strlen(deep) + 1, strlen(out));
}

static void
an_index_is_rebuilt_with_few_descriptors_however_deep_names_are(void **state)
{
    struct rlimit was, low;
    char          path[200];

    UNUSED(state);
    on_fiber(put_deep);
    close_store();
    for (int i = 1; i <= 2; i++) {
        snprintf(path, sizeof(path), "%s/mp%d/.ais.c/index/data.mdb", root, i);
        assert_int_equal(0, unlink(path));
    }
    assert_int_equal(0, getrlimit(RLIMIT_NOFILE, &was));
    low = was;
    low.rlim_cur = 200;
    assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &low));
    open_store();
    on_fiber(list_deep);
    assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &was));
}

static void
make_and_destroy(void)
{
    struct bck b = bk;
    struct err e = { .code = 0 };
    char       name[20];

    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "many-%u", i);
        b.name = str_z(name);
        b.bid = BID_AIS | (100 + i);
        assert_int_equal(0, store_bck_create(st, &b, &e));
        assert_int_equal(0, store_bck_destroy(st, &b, &e));
        assert_true(atomic_load(&st->trash_busy) <= 2);
    }
}

static void
many_buckets_go_on_two_threads_and_leave_nothing(void **state)
{
    UNUSED(state);
    on_fiber(make_and_destroy);
    close_store();
    open_store();
    assert_int_equal(0, files_in(".$deleted"));
    assert_null(st->forgets);
}

static unsigned
open_fds(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 4096; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static struct mpt_part_ref refs[500];

static void
read_many_chunks(void)
{
    const struct put_attrs a = { .length = -1 };
    struct err             e = { .code = 0 };
    struct put            *p;
    struct obj            *o;
    unsigned               before;

    assert_int_equal(0, mpt_create(st, &bk, STR_LIT("many"), &a, upload_id, &e));
    for (unsigned i = 0; i < ARRAY_SIZE(refs); i++) {
        refs[i].num = i + 1;
        assert_int_equal(0, mpt_part(st, &bk, STR_LIT("many"), str_z(upload_id), i + 1, &a, &p, &e));
        assert_int_equal(0, put_write(p, &"abcdefghij"[i % 10], 1, &e));
        assert_int_equal(0, put_commit(p, NULL, &e));
    }
    assert_int_equal(0, mpt_complete(st, &bk, STR_LIT("many"), str_z(upload_id), refs, ARRAY_SIZE(refs), NULL, &e));
    before = open_fds();
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("many"), 0, &o, &e));
    for (int round = 0; round < 2; round++) {
        if (obj_verify(o, &e) < 0)
            fail_msg("%s", e.text);
        assert_true(open_fds() <= before + 40);
    }
    obj_close(o);
}

static void
an_object_of_many_chunks_keeps_few_descriptors(void **state)
{
    UNUSED(state);
    on_fiber(read_many_chunks);
}

static char large[8 << 20];

static void
close_large(void)
{
    struct put_attrs a = { .length = 0 };
    struct err       e = { .code = 0 };
    struct obj      *o;
    int64_t          until;
    int              fd;

    assert_int_equal(0, put_with("large", large, sizeof(large), &a, &e));
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("large"), 0, &o, &e));
    fd = atomic_load(&o->fd);
    delete_z("large");
    assert_true(fcntl(fd, F_GETFD) >= 0);
    obj_close(o);
    for (until = clock_mono() + SEC_NS(20); atomic_load(&st->trash_busy) > 0 && clock_mono() < until;)
        fiber_yield();
    assert_int_equal(-1, fcntl(fd, F_GETFD));
}

static void
a_large_object_that_was_deleted_is_freed_off_the_loop(void **state)
{
    UNUSED(state);
    on_fiber(close_large);
}

/* --- journal and generations --- */

static void
a_journal_segment_has_its_name_on_disk_when_it_is_flushed(void **state)
{
    struct err     e = { .code = 0 };
    struct journal j;
    struct jseg    closed;
    struct sbuf    group;
    char           dir[100];

    UNUSED(state);
    snprintf(dir, sizeof(dir), "%s/journal", root);
    assert_int_equal(0, mkdir(dir, 0755));
    assert_int_equal(0, journal_open(dir, 1 << 30, &j, &e));
    sbuf_init(&group, 4096);
    for (int i = 0; i < 3; i++) { /* the spare segment, too: its size does not change */
        jgroup_begin(&group);
        jgroup_end(&group, j.seg.nr, 1);
        assert_int_equal(0, journal_append(&j, &group));
        assert_false(j.seg.named);
        assert_int_equal(0, journal_flush(&j));
        assert_true(j.seg.named);
        assert_int_equal(0, journal_rotate(&j, &closed));
        journal_release(&j, &closed);
    }
    sbuf_fini(&group);
    journal_close(&j);
}

static void
delete_after_a_week(void)
{
    struct ientry en;
    struct sbuf   v;
    uint64_t      now = (uint64_t)clock_real();

    put_z("o", "content");
    atomic_store(&st->counter, now - 7 * 24 * 3600 * (uint64_t)SEC_NS(1)); /* the node started a week ago */
    delete_z("o");
    sbuf_init(&v, 4096);
    assert_int_equal(0, rows_get(mpath_of(st, &bk, STR_LIT("o"))->rows, bk.bid, STR_LIT("o"), &v));
    assert_int_equal(0, ientry_decode(v.p, v.n, &en));
    assert_true(en.gen.counter >= now);
    sbuf_fini(&v);
}

static void
a_tombstone_is_as_young_as_it_is_however_long_the_node_runs(void **state)
{
    UNUSED(state);
    on_fiber(delete_after_a_week);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(parts_of_a_completed_object_are_not_those_of_an_upload_after_a_restart),
        T(a_checksum_that_was_told_at_the_start_of_an_upload_is_compared),
        T(an_upload_whose_completion_failed_can_be_completed),
        T(an_upload_goes_on_after_a_kill_in_the_middle_of_its_completion),
        T(the_key_that_holds_a_long_name_is_refused_from_clients),
        T(an_object_stays_readable_when_its_metadata_cannot_be_written_whole),
        T(custom_metadata_that_is_merged_many_times_has_a_limit),
        T(a_delete_of_one_generation_spares_the_next),
        T(a_put_into_a_bucket_that_was_destroyed_meanwhile_is_refused),
        T(a_put_whose_mountpath_was_disabled_meanwhile_is_refused),
        T(an_object_whose_file_was_removed_by_hand_can_be_written_again),
        T(an_append_that_is_cut_leaves_nothing_of_it),
        T(an_old_append_handle_gives_no_wrong_checksum),
        T(an_append_is_flushed_to_where_the_object_is_looked_for),
        T(a_failed_mountpath_comes_back_only_when_it_is_opened_anew),
        T(a_mountpath_that_is_attached_many_times_at_once_is_there_once),
        T(an_index_is_rebuilt_with_few_descriptors_however_deep_names_are),
        T(many_buckets_go_on_two_threads_and_leave_nothing),
        T(an_object_of_many_chunks_keeps_few_descriptors),
        T(a_large_object_that_was_deleted_is_freed_off_the_loop),
        T(a_journal_segment_has_its_name_on_disk_when_it_is_flushed),
        T(a_tombstone_is_as_young_as_it_is_however_long_the_node_runs),
    };

    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
