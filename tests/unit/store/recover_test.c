/* SPDX-License-Identifier: Apache-2.0 */
/* What is there after a kill -9 and after a power cut. */
#include "fixture.h"

#include <sys/xattr.h>

#include <dirent.h>
#include <fcntl.h>

/* --- power cuts: the child dies, the files are made as a file system may leave them, the boot is another one --- */

static void
put_two(void)
{
    put_z("torn", "acknowledged within the last second");
    put_z("whole", "kept");
}

static void
torn_is_gone(void)
{
    char names[100];

    expect("torn", NULL);
    expect("whole", "kept");
    list("", names, sizeof(names));
    assert_string_equal("whole ", names);
    put_z("torn", "again");
    expect("torn", "again");
}

static void
a_torn_object_is_not_served_after_a_power_cut(void **state)
{
    char path[FQN_MAX];

    UNUSED(state);
    die_after(put_two);
    file_of("torn", path);
    assert_int_equal(0, truncate(path, 5));
    other_boot();
    open_store();
    on_fiber(torn_is_gone);
}

/* Same length, other bytes: only the checksum tells. */
static void
an_object_with_lost_blocks_is_not_served_after_a_power_cut(void **state)
{
    char path[FQN_MAX];
    int  fd;

    UNUSED(state);
    die_after(put_two);
    file_of("torn", path);
    fd = open(path, O_WRONLY);
    assert_int_equal(8, pwrite(fd, "\0\0\0\0\0\0\0\0", 8, 4));
    close(fd);
    other_boot();
    open_store();
    on_fiber(torn_is_gone);
}

static void
put_first(void)
{
    put_z("o", "the first");
}

static void
put_over(void)
{
    put_z("o", "the second");
    put_z("o", "the third");
}

static void
third_there(void)
{
    expect("o", "the third");
}

static void
second_there(void)
{
    expect("o", "the second");
}

static void
first_there(void)
{
    char names[100];

    expect("o", "the first");
    list("", names, sizeof(names));
    assert_string_equal("o ", names);
    flush();
    expect("o", "the first");
}

static void
spoil(const char *path)
{
    int fd = open(path, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(1, pwrite(fd, "#", 1, 0));
    close(fd);
}

/* Spoil the predecessors whose content is like this. */
static void
spoil_prev(const char *text)
{
    for (int i = 1; i <= 2; i++) {
        char           dir[200], path[500], buf[100];
        DIR           *d;
        struct dirent *de;

        snprintf(dir, sizeof(dir), "%s/mp%d/@ais/bucket/%%wk", root, i);
        d = opendir(dir);
        while (d != NULL && (de = readdir(d)) != NULL) {
            int     fd;
            ssize_t n;

            snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
            fd = open(path, O_RDONLY);
            n = read(fd, buf, sizeof(buf));
            close(fd);
            if (n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0)
                spoil(path);
        }
        closedir(d);
    }
}

static void
the_newest_whole_predecessor_comes_back_after_a_power_cut(void **state)
{
    char path[FQN_MAX];

    UNUSED(state);
    on_fiber(put_first);
    die_after(put_over);
    other_boot();
    open_store();
    on_fiber(third_there); /* nothing was torn */
    die_after(put_over);
    file_of("o", path);
    spoil(path);
    other_boot();
    open_store();
    on_fiber(second_there);
    on_fiber(put_first);
    on_fiber(flush);
    die_after(put_over);
    file_of("o", path);
    spoil(path);
    spoil_prev("the second");
    other_boot();
    open_store();
    on_fiber(first_there);
    assert_int_equal(0, files_in("@ais/bucket/%wk"));
}

static void
a_state_that_cannot_be_read_counts_as_a_power_cut(void **state)
{
    char path[FQN_MAX];

    UNUSED(state);
    die_after(put_two);
    file_of("torn", path);
    spoil(path);
    for (int i = 1; i <= 2; i++) {
        snprintf(path, sizeof(path), "%s/mp%d/.ais.c/state", root, i);
        assert_int_equal(0, truncate(path, 0));
    }
    open_store();
    on_fiber(torn_is_gone);
}

static void
put_durable(void)
{
    struct kv        kv = { STR_LIT("color"), STR_LIT("red") };
    struct put_attrs a = { .custom = &kv, .ncustom = 1 };
    struct err       e = { .code = 0 };

    bk.durable = true;
    put_z("over", "old");
    put_z("over", "new");
    assert_int_equal(0, put_with("d/fresh", "body", 4, &a, &e));
    put_z("gone", "x");
    delete_z("gone");
}

static void
durable_there(void)
{
    struct obj *o;
    struct err  e = { .code = 0 };
    char        names[100];

    expect("over", "new");
    expect("d/fresh", "body");
    expect("gone", NULL);
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("d/fresh"), 0, &o, &e));
    assert_int_equal(1, obj_info(o)->ncustom);
    assert_true(str_eqz(obj_info(o)->custom[0].v, "red"));
    obj_close(o);
    list("", names, sizeof(names));
    assert_string_equal("d/fresh over ", names);
}

/* Nothing but the journal was flushed: names are lost, an overwrite did not happen, a deleted file is back. */
static void
durable_objects_are_made_again_from_the_journal(void **state)
{
    char path[FQN_MAX], dir[FQN_MAX];

    UNUSED(state);
    die_after(put_durable);
    file_of("d/fresh", path);
    assert_int_equal(0, unlink(path));
    *strrchr(path, '/') = '\0';
    assert_int_equal(0, rmdir(path));
    file_of("over", path);
    snprintf(dir, sizeof(dir), "%s", path);
    assert_int_equal(0, truncate(path, 1));
    other_boot();
    open_store();
    on_fiber(durable_there);
    close_store();
    open_store();
    on_fiber(durable_there);
}

/* --- kills at chosen places --- */

static const char *point;

static void
armed_put(void)
{
    put_z("before", "x");
    assert_int_equal(0, failpoint_arm(str_z(point)));
    put_z("o", "never acknowledged");
}

static void
o_is_void(void)
{
    char names[100];

    expect("o", NULL);
    list("", names, sizeof(names));
    assert_string_equal("before ", names);
    expect("before", "x");
}

static void
o_is_either(void)
{
    struct obj *o;
    struct err  e = { .code = 0 };
    char        names[100];
    int         rc = obj_open(st, &bk, STR_LIT("o"), 0, &o, &e);

    list("", names, sizeof(names));
    if (rc == 0) {
        assert_int_equal(0, obj_verify(o, &e));
        obj_close(o);
        assert_string_equal("before o ", names);
    } else {
        o_is_void();
    }
}

static void
a_record_whose_file_got_no_name_is_void(void **state)
{
    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    point = "commit.after_journal=0:1:kill";
    die_after(armed_put);
    open_store();
    on_fiber(o_is_void);
}

static void
a_kill_anywhere_in_a_commit_leaves_all_or_nothing(void **state)
{
    static const char *const points[] = { "put.after_body=0:1:kill", "disk.setxattr=1:1:kill", "journal.append=0:1:kill",
                                          "put.before_name=0:1:kill", "commit.before_ack=0:1:kill" };

    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
        point = points[i];
        die_after(armed_put);
        open_store();
        on_fiber(o_is_either);
        close_store();
        nftw(root, rm_one, 16, FTW_DEPTH | FTW_PHYS);
        mkdir(root, 0755);
        open_store();
    }
}

static void
armed_delete(void)
{
    put_z("o", "x");
    flush();
    assert_int_equal(0, failpoint_arm(STR_LIT("disk.unlink=0:1:kill")));
    delete_z("o");
}

static void
nothing_there(void)
{
    char names[100];

    list("", names, sizeof(names));
    assert_string_equal("", names);
    expect("o", NULL);
}

static void
a_recorded_delete_is_done_after_a_kill(void **state)
{
    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    die_after(armed_delete);
    open_store();
    on_fiber(nothing_there);
    assert_int_equal(0, files_in("@ais/bucket/%ob"));
}

static void
fill(void)
{
    char name[20];

    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "f/%02d", i);
        put_z(name, name);
        if (i % 3 == 0)
            delete_z(name);
    }
}

static void
armed_checkpoint(void)
{
    struct err e;

    fill();
    assert_int_equal(0, failpoint_arm(str_z(point)));
    (void)store_flush(st, &e);
}

static void
filled(void)
{
    char name[20], names[2000], want[2000] = "";

    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "f/%02d", i);
        expect(name, i % 3 == 0 ? NULL : name);
        if (i % 3 != 0)
            snprintf(want + strlen(want), sizeof(want) - strlen(want), "%s ", name);
    }
    list("", names, sizeof(names));
    assert_string_equal(want, names);
}

static void
a_kill_anywhere_in_a_checkpoint_loses_no_row(void **state)
{
    static const char *const points[] = { "checkpoint.sync=0:1:kill", "checkpoint.fold=0:1:kill", "index.put=20:1:kill",
                                          "index.commit=0:1:kill", "checkpoint.done=0:1:kill", "checkpoint.done=1:1:kill" };

    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
        point = points[i];
        die_after(armed_checkpoint);
        open_store();
        on_fiber(filled);
    }
}

static void
checkpoint_errors(void)
{
    struct err e;

    fill();
    assert_int_equal(0, failpoint_arm(str_z(point)));
    assert_true(store_flush(st, &e) < 0);
    filled(); /* from the overlay */
    put_z("f/00", "f/00");
    delete_z("f/00");
    (void)failpoint_arm(STR_LIT(""));
    flush();
    filled();
}

static void
a_checkpoint_that_fails_is_tried_again(void **state)
{
    static const char *const points[] = { "checkpoint.sync=0:2", "journal.rotate=0:2", "index.put=10:1", "index.commit=0:2" };

    UNUSED(state);
    if (!failpoint_compiled_in())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
        point = points[i];
        on_fiber(checkpoint_errors);
        close_store();
        open_store();
        on_fiber(filled);
    }
}

/* --- a name that was overwritten and then renamed: its predecessor waits in %wk for the checkpoint --- */

static void
overwrite_and_rename(void)
{
    static const char *const to[] = { "to1", "to2", "to3", "to4", "to5", "to6", "to7", "to8" }; /* some are on the same mountpath */
    char                     from[12];
    struct err               e = { .code = 0 };

    for (unsigned i = 0; i < ARRAY_SIZE(to); i++) {
        snprintf(from, sizeof(from), "from%u", i);
        put_z(from, "the first");
        put_z(from, "the second");
        assert_int_equal(0, obj_rename(st, &bk, str_z(from), str_z(to[i]), &e));
    }
}

static void
renamed_is_gone(void)
{
    char name[12];

    for (unsigned i = 0; i < 8; i++) {
        snprintf(name, sizeof(name), "from%u", i);
        expect(name, NULL);
        snprintf(name, sizeof(name), "to%u", i + 1);
        expect(name, "the second");
    }
}

static void
what_a_renamed_object_once_replaced_does_not_come_back_after_a_power_cut(void **state)
{
    UNUSED(state);
    die_after(overwrite_and_rename);
    other_boot();
    open_store();
    on_fiber(renamed_is_gone);
}

/* --- the journal's end --- */

static void
a_torn_end_of_the_journal_is_ignored(void **state)
{
    UNUSED(state);
    die_after(fill);
    for (int i = 1; i <= 2; i++) {
        char           dir[200], path[500];
        DIR           *d;
        struct dirent *de;
        struct stat    s;

        snprintf(dir, sizeof(dir), "%s/mp%d/.ais.c", root, i);
        d = opendir(dir);
        while ((de = readdir(d)) != NULL) {
            snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
            if (strncmp(de->d_name, "journal.0", 9) != 0 || stat(path, &s) < 0 || s.st_size == 0)
                continue;
            assert_int_equal(0, truncate(path, s.st_size - 3));
        }
        closedir(d);
    }
    open_store();
}

/* --- blocks in the middle of the journal that never got to the disk --- */

static void
put_old_ones(void)
{
    put_z("o", "the first");
    put_z("gone", "deleted later");
    put_z("old", "nobody touches it");
    flush();
}

static void
change_them(void)
{
    char name[10];

    put_z("o", "the second");
    delete_z("gone");
    put_z("torn", "acknowledged within the last second");
    put_z("whole", "kept");
    for (int i = 0; i < 10; i++) { /* each mountpath gets some */
        snprintf(name, sizeof(name), "z/%d", i);
        put_z(name, name);
    }
}

/* All groups of the segment but the last: their heads are zero. Returns how many. */
static unsigned
lose_groups(const char *path, uint64_t nr)
{
    static const char zero[JGROUP_HEAD];
    char             *p;
    size_t            n;
    unsigned          lost = 0;
    struct str        in, records;
    int               fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(0, file_slurp(path, 16 * MIB, &p, &n));
    in = str_from(p, n);
    for (off_t at = 0; jgroup_next(&in, nr, &records); at = in.p - p) {
        struct str rest = in;

        if (!jgroup_next(&rest, nr, &records))
            break;
        assert_int_equal(sizeof(zero), pwrite(fd, zero, sizeof(zero), at));
        lost++;
    }
    free(p);
    close(fd);
    return lost;
}

static unsigned
lose_journal(void)
{
    unsigned lost = 0;

    for (int i = 1; i <= 2; i++) {
        char           dir[200], path[500];
        DIR           *d;
        struct dirent *de;

        snprintf(dir, sizeof(dir), "%s/mp%d/.ais.c", root, i);
        d = opendir(dir);
        while ((de = readdir(d)) != NULL) {
            snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
            if (strncmp(de->d_name, "journal.0", 9) == 0)
                lost += lose_groups(path, strtoull(de->d_name + 8, NULL, 16));
        }
        closedir(d);
    }
    return lost;
}

static void
nothing_torn(void)
{
    char names[200];

    expect("o", "the first");
    expect("gone", NULL);
    expect("torn", NULL);
    expect("whole", "kept");
    expect("z/9", "z/9");
    list("", names, sizeof(names));
    assert_string_equal("o old whole z/0 z/1 z/2 z/3 z/4 z/5 z/6 z/7 z/8 z/9 ", names);
}

static void
what_is_behind_a_gap_in_the_journal_counts_and_nothing_torn_is_served(void **state)
{
    char path[FQN_MAX];

    UNUSED(state);
    on_fiber(put_old_ones);
    die_after(change_them);
    assert_true(lose_journal() >= 8);
    file_of("o", path);
    spoil(path);
    file_of("torn", path);
    spoil(path);
    other_boot();
    open_store();
    on_fiber(nothing_torn);
    on_fiber(flush);
    close_store();
    open_store();
    on_fiber(nothing_torn);
}

static void
lose_all_groups(void)
{
    for (int i = 1; i <= 2; i++) {
        char           dir[200], path[500];
        DIR           *d;
        struct dirent *de;

        snprintf(dir, sizeof(dir), "%s/mp%d/.ais.c", root, i);
        d = opendir(dir);
        while ((de = readdir(d)) != NULL) {
            snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
            if (strncmp(de->d_name, "journal.", 8) == 0)
                assert_int_equal(0, truncate(path, 0));
        }
        closedir(d);
    }
}

/* No group is left that would show a gap: torn contents, a file without its xattrs, and nothing says that they are new. */
static void
without_its_journal_a_fast_bucket_serves_nothing_torn_after_a_power_cut(void **state)
{
    char path[FQN_MAX];

    UNUSED(state);
    on_fiber(put_old_ones);
    die_after(change_them);
    lose_all_groups();
    file_of("o", path);
    spoil(path);
    file_of("torn", path);
    assert_int_equal(0, removexattr(path, LMETA_XATTR));
    other_boot();
    open_store();
    on_fiber(nothing_torn);
    on_fiber(flush);
    close_store();
    open_store();
    on_fiber(nothing_torn);
}

/* A client's bytes in a torn group look like a group. */
static void
a_group_in_a_clients_body_is_none(void **state)
{
    struct sbuf inner, outer;
    struct jrec r = { .op = JOP_DELETE, .bid = 1, .name = STR_LIT("victim") };
    struct str  in, records;

    UNUSED(state);
    sbuf_init(&inner, MIB);
    sbuf_init(&outer, MIB);
    jgroup_begin(&inner);
    jrec_encode(&r, &inner);
    jgroup_end(&inner, 7, 1111); /* a client may guess the segment, not the salt */
    jgroup_begin(&outer);
    r.op = JOP_PUT;
    r.has_body = true;
    r.body = sbuf_str(&inner);
    jrec_encode(&r, &outer);
    jgroup_end(&outer, 7, 2222);
    in = sbuf_str(&outer);
    assert_true(jgroup_next(&in, 7, &records));
    memset(outer.p, 0, 4);
    in = sbuf_str(&outer);
    assert_false(jgroup_next(&in, 7, &records));
    assert_false(jgroup_resync(&in, 7, 2222));
    assert_true(jgroup_resync(&in, 7, 1111)); /* it is only the salt that tells */
    assert_true(jgroup_next(&in, 7, &records));
    assert_int_equal(0, in.n);
    assert_false(jgroup_resync(&in, 7, 1111));
    sbuf_fini(&inner);
    sbuf_fini(&outer);
}

/* --- chunked objects and uploads --- */

static char upload_id[40];

/* The memory of the process that began it is gone; its log's name is the id. */
static void
find_upload(void)
{
    for (int i = 1; i <= 2; i++) {
        char           dir[200];
        DIR           *d;
        struct dirent *de;

        snprintf(dir, sizeof(dir), "%s/mp%d/.ais.c/uploads", root, i);
        d = opendir(dir);
        while (d != NULL && (de = readdir(d)) != NULL)
            if (de->d_name[0] != '.')
                snprintf(upload_id, sizeof(upload_id), "%.39s", de->d_name);
        if (d != NULL)
            closedir(d);
    }
}

static void
parts(const char *name, const char *const *text, unsigned n)
{
    struct put_attrs a = { .length = -1 };
    struct err       e = { .code = 0 };
    struct put      *p;

    assert_int_equal(0, mpt_create(st, &bk, str_z(name), &a, upload_id, &e));
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(0, mpt_part(st, &bk, str_z(name), str_z(upload_id), i + 1, &a, &p, &e));
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

static const char *const text_a[] = { "aaaa", "AA", "a" }, *const text_b[] = { "b", "BBBB", "bb" };

static void
chunked_old(void)
{
    parts("c", text_a, 3);
    assert_int_equal(0, finish("c"));
    expect("c", "aaaaAAa");
}

static void
chunked_new(void)
{
    parts("c", text_b, 3);
    if (point != NULL)
        assert_int_equal(0, failpoint_arm(str_z(point)));
    assert_int_equal(0, finish("c"));
}

static void
old_there(void)
{
    expect("c", "aaaaAAa");
}

static void
give_up(void)
{
    struct err e = { .code = 0 };

    assert_int_equal(0, mpt_abort(st, &bk, STR_LIT("c"), str_z(upload_id), &e));
}

static void
new_there(void)
{
    expect("c", "bBBBBbb");
}

static void
a_chunked_object_is_replaced_whole_or_not_at_all(void **state)
{
    char path[FQN_MAX];

    UNUSED(state);
    on_fiber(chunked_old);
    on_fiber(flush);
    if (failpoint_compiled_in()) {
        point = "chunked.before_name=0:1:kill";
        die_after(chunked_new);
        find_upload();
        open_store();
        on_fiber(old_there);
        on_fiber(give_up);
    }
    point = NULL;
    die_after(chunked_new);
    open_store();
    on_fiber(new_there);
    on_fiber(flush);
    on_fiber(new_there);
    assert_int_equal(1, files_in("@ais/bucket/%ut"));
    assert_int_equal(2, files_in("@ais/bucket/%ch"));
    /* A power cut takes a chunk of the next one: back to this, chunks and manifest included. */
    die_after(chunked_old);
    file_of("c", path);
    spoil(path);
    other_boot();
    open_store();
    on_fiber(new_there);
}

static void
upload_parts(void)
{
    parts("dir/up", text_a, 3);
}

static void
upload_finish(void)
{
    assert_int_equal(0, finish("dir/up"));
    expect("dir/up", "aaaaAAa");
}

static void
an_upload_outlives_a_kill(void **state)
{
    UNUSED(state);
    die_after(upload_parts);
    find_upload();
    open_store();
    on_fiber(upload_finish);
    assert_int_equal(0, files_in(".ais.c/uploads"));
}

static void
read_while_replaced(void)
{
    struct obj *o;
    struct err  e = { .code = 0 };
    char        buf[20];

    chunked_old();
    flush();
    assert_int_equal(0, obj_open(st, &bk, STR_LIT("c"), 0, &o, &e));
    point = NULL;
    chunked_new();
    flush();
    flush();
    assert_int_equal(2, obj_read(o, buf, sizeof(buf), 4, &e)); /* chunk 2 is opened only now */
    assert_memory_equal("AA", buf, 2);
    assert_int_equal(0, obj_verify(o, &e));
    obj_close(o);
    new_there();
    flush();
    flush();
}

static void
a_reader_of_a_chunked_object_keeps_its_chunks(void **state)
{
    UNUSED(state);
    on_fiber(read_while_replaced);
    assert_int_equal(2, files_in("@ais/bucket/%ch"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_torn_object_is_not_served_after_a_power_cut),
        T(an_object_with_lost_blocks_is_not_served_after_a_power_cut),
        T(the_newest_whole_predecessor_comes_back_after_a_power_cut),
        T(a_state_that_cannot_be_read_counts_as_a_power_cut),
        T(durable_objects_are_made_again_from_the_journal),
        T(a_record_whose_file_got_no_name_is_void),
        T(a_kill_anywhere_in_a_commit_leaves_all_or_nothing),
        T(a_recorded_delete_is_done_after_a_kill),
        T(a_kill_anywhere_in_a_checkpoint_loses_no_row),
        T(a_checkpoint_that_fails_is_tried_again),
        T(a_torn_end_of_the_journal_is_ignored),
        T(what_a_renamed_object_once_replaced_does_not_come_back_after_a_power_cut),
        T(what_is_behind_a_gap_in_the_journal_counts_and_nothing_torn_is_served),
        T(without_its_journal_a_fast_bucket_serves_nothing_torn_after_a_power_cut),
        cmocka_unit_test(a_group_in_a_clients_body_is_none),
        T(a_chunked_object_is_replaced_whole_or_not_at_all),
        T(an_upload_outlives_a_kill),
        T(a_reader_of_a_chunked_object_keeps_its_chunks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
