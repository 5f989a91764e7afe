/* SPDX-License-Identifier: Apache-2.0 */
/* A voter's files: what was flushed is there, a torn end is cut off, damage is noticed, and what was replaced stays replaced. */
#include "unit.h"

#include "core/raftlog.c"

#include "on_fiber.h"

struct fixture {
    char           *dir;
    struct raftlog *l;
    struct err      err;
    struct raft_snapshot *snap; /* of the last load */
    struct raft_entry    *entries;
    size_t                n;
    raft_index            start;
};

static void
fx_unload(struct fixture *f)
{
    for (size_t i = 0; i < f->n; i++)
        raft_free(f->entries[i].batch);
    raft_free(f->entries);
    snapshot_free(f->snap);
    f->snap = NULL;
    f->entries = NULL;
    f->n = 0;
}

static int
fx_load(struct fixture *f)
{
    fx_unload(f);
    err_clear(&f->err);
    return raftlog_load(f->l, &f->snap, &f->start, &f->entries, &f->n, &f->err);
}

static void
fx_close(struct fixture *f)
{
    fx_unload(f);
    raftlog_close(f->l);
    f->l = NULL;
}

static int
fx_reopen(struct fixture *f)
{
    int rc;

    if (f->l != NULL)
        fx_close(f);
    rc = raftlog_open(f->dir, "unit", &f->l, &f->err);
    if (rc == 0)
        rc = fx_load(f);
    return rc;
}

static struct raft_configuration
conf_of(uint64_t a, uint64_t b)
{
    struct raft_configuration c;

    raft_configuration_init(&c);
    assert_int_equal(0, raft_configuration_add(&c, a, "v:a", RAFT_VOTER));
    if (b != 0)
        assert_int_equal(0, raft_configuration_add(&c, b, "v:b", RAFT_VOTER));
    return c;
}

static int
fx_setup(void **state)
{
    struct fixture           *f = xcalloc(1, sizeof(*f));
    struct raft_configuration c = conf_of(7, 0);

    f->dir = test_dir_new();
    assert_int_equal(0, raftlog_open(f->dir, "unit", &f->l, &f->err));
    assert_int_equal(0, raftlog_bootstrap(f->l, 1, &c, &f->err));
    raft_configuration_close(&c);
    *state = f;
    return fx_load(f);
}

static int
fx_teardown(void **state)
{
    struct fixture *f = *state;

    fx_close(f);
    test_dir_free(f->dir);
    free(f);
    return 0;
}

/* One command at index, flushed. */
static void
put(struct fixture *f, uint64_t index, uint64_t term, const char *word)
{
    struct raft_entry e = { .term = term, .type = RAFT_COMMAND, .buf = { (void *)(uintptr_t)word, strlen(word) } };

    assert_int_equal(0, raftlog_append(f->l, index, &e, 1));
    assert_int_equal(0, raftlog_flush(f->l));
}

static void
expect(struct fixture *f, uint64_t index, uint64_t term, const char *word)
{
    struct raft_entry *e;

    assert_in_range(index, f->start, f->start + f->n - 1);
    e = &f->entries[index - f->start];
    assert_int_equal(term, e->term);
    assert_int_equal(RAFT_COMMAND, e->type);
    assert_int_equal(strlen(word), e->buf.len);
    assert_memory_equal(word, e->buf.base, e->buf.len);
}

static char *
image_of(struct fixture *f, char **path, size_t *len)
{
    char *image;

    *path = log_path_of(f->l, file_last(f->l)->first);
    assert_int_equal(0, disk_read_file(*path, 16 * MIB, &image, len));
    return image;
}

static void
file_is(const char *path, const char *p, size_t n)
{
    int fd = open(path, O_WRONLY | O_TRUNC);

    assert_true(fd >= 0);
    assert_int_equal(n, write(fd, p, n));
    close(fd);
}

/* --- tests --- */
static void
what_was_flushed_is_there(void **state)
{
    struct fixture *f = *state;
    uint64_t        sid = f->l->sid;

    put(f, 2, 1, "one");
    put(f, 3, 2, "two");
    assert_int_equal(0, raftlog_vote(f->l, 1, 9, 44));
    assert_int_equal(0, fx_reopen(f));
    assert_int_equal(1, f->start);
    assert_int_equal(3, f->n);
    expect(f, 2, 1, "one");
    expect(f, 3, 2, "two");
    assert_true(sid != 0 && sid == f->l->sid);
    assert_int_equal(9, f->l->term);
    assert_int_equal(44, f->l->voted);
}

/* Cut the log at every byte of its last frame: the first two commands stay, the third goes, and the log works on. */
static void
a_torn_end_is_cut_off(void **state)
{
    struct fixture *f = *state;
    auto_free char *log = NULL, *image = NULL;
    size_t          len, two, cut;

    put(f, 2, 1, "one");
    put(f, 3, 1, "two");
    two = f->l->off;
    put(f, 4, 1, "three");
    image = image_of(f, &log, &len);
    for (cut = two; cut < len; cut++) {
        fx_close(f);
        file_is(log, image, cut);
        assert_int_equal(0, fx_reopen(f));
        assert_int_equal(3, f->n);
        expect(f, 3, 1, "two");
        put(f, 4, 2, "again");
        assert_int_equal(0, fx_reopen(f));
        expect(f, 4, 2, "again");
    }
}

static void
damage_before_committed_entries_refuses_to_open(void **state)
{
    struct fixture *f = *state;
    auto_free char *log = NULL, *image = NULL;
    size_t          len, one;

    put(f, 2, 1, "one");
    one = f->l->off;
    put(f, 3, 1, "two");
    put(f, 4, 1, "three");
    image = image_of(f, &log, &len);
    fx_close(f);
    image[one + FRAME_HEAD + 5] ^= 1;
    file_is(log, image, len);
    assert_int_equal(-AIS_E_CORRUPT, fx_reopen(f));
    assert_non_null(strstr(f->err.text, "committed entries behind it"));
}

/* Any byte of the last frame changed, its length included: it is all there, so it was answered, and is not thrown away. */
static void
damage_to_the_last_entry_refuses_to_open(void **state)
{
    struct fixture *f = *state;
    auto_free char *log = NULL, *image = NULL;
    size_t          len, two, at;

    put(f, 2, 1, "one");
    two = f->l->off;
    put(f, 3, 1, "two");
    image = image_of(f, &log, &len);
    for (at = two; at < len; at++) {
        fx_close(f);
        image[at] ^= 0x55;
        file_is(log, image, len);
        assert_int_equal(-AIS_E_CORRUPT, fx_reopen(f));
        assert_non_null(strstr(f->err.text, "damaged at byte"));
        image[at] ^= 0x55;
    }
    file_is(log, image, len);
    assert_int_equal(0, fx_reopen(f));
    expect(f, 3, 1, "two");
}

/* A power cut: the file has its length, but a sector in the middle of the frame never got to the disk. */
static void
an_end_with_a_hole_is_cut_off(void **state)
{
    struct fixture *f = *state;
    auto_free char *log = NULL, *image = NULL, *big = xcalloc(1, 4096);
    size_t          len, one;

    memset(big, 'x', 4095);
    put(f, 2, 1, "one");
    one = f->l->off;
    put(f, 3, 1, big);
    image = image_of(f, &log, &len);
    fx_close(f);
    memset(image + 1024, 0, SECTOR);
    file_is(log, image, len);
    assert_int_equal(0, fx_reopen(f));
    assert_int_equal(2, f->n);
    assert_int_equal(one, f->l->off);
}

static void
a_frame_from_an_earlier_index_replaces_what_was_there(void **state)
{
    struct fixture *f = *state;

    for (uint64_t i = 2; i < 10; i++)
        put(f, i, 1, "old");
    raftlog_truncate(f->l, 5);
    put(f, 5, 2, "new");
    assert_int_equal(0, fx_reopen(f));
    assert_int_equal(5, f->n);
    expect(f, 4, 1, "old");
    expect(f, 5, 2, "new");
    put(f, 6, 2, "next");
    assert_int_equal(0, fx_reopen(f));
    expect(f, 6, 2, "next");
}

static void
a_configuration_that_is_replaced_gives_way_to_the_one_before(void **state)
{
    struct fixture           *f = *state;
    struct raft_configuration c = conf_of(7, 8);
    struct raft_entry         e = { .term = 1, .type = RAFT_CHANGE };

    assert_int_equal(0, raft_configuration_encode(&c, &e.buf));
    raft_configuration_close(&c);
    assert_int_equal(0, raftlog_append(f->l, 2, &e, 1));
    assert_int_equal(0, raftlog_flush(f->l));
    raft_free(e.buf.base);
    assert_int_equal(0, fx_reopen(f));
    assert_int_equal(2, raftlog_conf(f->l, &c));
    assert_int_equal(2, c.n);
    raft_configuration_close(&c);
    raftlog_truncate(f->l, 2);
    assert_int_equal(1, raftlog_conf(f->l, &c));
    assert_int_equal(1, c.n);
    raft_configuration_close(&c);
}

static void
snap(struct fixture *f, uint64_t index, uint64_t term, unsigned trailing)
{
    struct raft_buffer   b = { (void *)(uintptr_t) "state", 5 };
    struct raft_snapshot s = { .index = index, .term = term, .configuration = conf_of(7, 0), .configuration_index = 1, .bufs = &b,
                               .n_bufs = 1 };

    assert_int_equal(0, raftlog_snap_put(f->l, &s, trailing));
    raft_configuration_close(&s.configuration);
}

static void
a_snapshot_lets_old_files_go_but_keeps_what_trails(void **state)
{
    struct fixture *f = *state;

    for (uint64_t i = 2; i <= 100; i++) {
        put(f, i, 1, "word");
        if (i % 10 == 0)
            snap(f, i, 1, 15);
    }
    assert_in_range(f->l->nfiles, 2, 4);
    assert_int_equal(0, fx_reopen(f));
    assert_non_null(f->snap);
    assert_int_equal(100, f->snap->index);
    assert_in_range(f->start, 1, 86);
    assert_int_equal(100, f->start + f->n - 1);
    assert_int_equal(1, raftlog_conf(f->l, NULL));
    put(f, 101, 1, "more");
    assert_int_equal(0, fx_reopen(f));
    expect(f, 101, 1, "more");
}

/* Entry 4 is replaced when its file is full already; then that file goes, and the next one begins with an entry that is not its first. */
static void
a_file_may_begin_with_what_replaced_the_end_of_an_older_one(void **state)
{
    struct fixture *f = *state;

    put(f, 2, 1, "two");
    put(f, 3, 1, "three");
    put(f, 4, 1, "four");
    snap(f, 3, 1, 1);
    raftlog_truncate(f->l, 4);
    for (uint64_t i = 4; i <= 9; i++)
        put(f, i, 2, "again");
    snap(f, 8, 2, 2);
    assert_int_equal(0, fx_reopen(f));
    assert_int_equal(8, f->snap->index);
    expect(f, 4, 2, "again");
    expect(f, 9, 2, "again");
}

static void
a_snapshot_from_elsewhere_replaces_the_log(void **state)
{
    struct fixture *f = *state;

    for (uint64_t i = 2; i <= 20; i++)
        put(f, i, 1, "mine");
    snap(f, 50, 3, 0);
    assert_int_equal(0, fx_reopen(f));
    assert_int_equal(50, f->snap->index);
    assert_int_equal(0, f->n);
    assert_int_equal(51, f->start);
    put(f, 51, 3, "on");
    assert_int_equal(0, fx_reopen(f));
    expect(f, 51, 3, "on");
}

/* A kill between the snapshot's name and the new log: the old one, shorter or of another term, is dropped at the next start. */
static void
a_snapshot_from_elsewhere_survives_a_kill_before_its_log(void **state)
{
    struct fixture *f = *state;
    auto_free char *log = NULL, *image = NULL, *made = NULL;
    size_t          len;

    for (unsigned round = 0; round < 2; round++) {
        uint64_t at = round == 0 ? 50 : 55;

        for (uint64_t i = f->l->last + 1; i <= (round == 0 ? 20u : 60u); i++)
            put(f, i, 1 + round, "mine");
        free(log);
        free(image);
        free(made);
        image = image_of(f, &log, &len);
        snap(f, at, 9, 0);
        made = log_path_of(f->l, at + 1);
        fx_close(f);
        assert_int_equal(0, unlink(made));
        assert_int_equal(0, disk_write_file_atomic(log, image, len, 0640));
        assert_int_equal(0, fx_reopen(f));
        assert_int_equal(0, f->n);
        assert_int_equal(at + 1, f->start);
        assert_int_equal(at, f->l->last);
        put(f, at + 1, 9, "on");
        assert_int_equal(0, fx_reopen(f));
        expect(f, at + 1, 9, "on");
        assert_int_equal(1, f->l->nfiles);
    }
}

static void
a_log_that_ends_before_its_own_snapshot_is_refused(void **state)
{
    struct fixture *f = *state;
    auto_free char *log = NULL, *image = NULL;
    size_t          len, half = 0;

    for (uint64_t i = 2; i <= 20; i++) {
        put(f, i, 1, "word");
        if (i == 10)
            half = f->l->off;
    }
    image = image_of(f, &log, &len);
    snap(f, 20, 1, 30);
    for (size_t i = 1; i < f->l->nfiles; i++) {
        auto_free char *path = log_path_of(f->l, f->l->files[i].first);

        unlink(path);
    }
    fx_close(f);
    file_is(log, image, half);
    assert_int_equal(-AIS_E_CORRUPT, fx_reopen(f));
    assert_non_null(strstr(f->err.text, "are missing"));
}

static void
a_log_without_its_vote_is_refused(void **state)
{
    struct fixture *f = *state;
    auto_free char *vote = path_of(f->l, "vote");

    put(f, 2, 1, "one");
    fx_close(f);
    assert_int_equal(0, unlink(vote));
    assert_int_equal(-AIS_E_CORRUPT, fx_reopen(f));
    assert_non_null(strstr(f->err.text, "the vote is missing"));
}

static void
what_was_not_flushed_is_forgotten_by_a_load(void **state)
{
    struct fixture   *f = *state;
    struct raft_entry e = { .term = 1, .type = RAFT_COMMAND, .buf = { (void *)(uintptr_t) "x", 1 } };

    put(f, 2, 1, "one");
    assert_int_equal(0, raftlog_append(f->l, 3, &e, 1));
    assert_int_equal(0, fx_load(f));
    assert_int_equal(2, f->n);
    put(f, 3, 1, "two");
    assert_int_equal(0, fx_reopen(f));
    expect(f, 3, 1, "two");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, fx_setup, fx_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_was_flushed_is_there),
        T(a_torn_end_is_cut_off),
        T(damage_before_committed_entries_refuses_to_open),
        T(damage_to_the_last_entry_refuses_to_open),
        T(an_end_with_a_hole_is_cut_off),
        T(a_frame_from_an_earlier_index_replaces_what_was_there),
        T(a_configuration_that_is_replaced_gives_way_to_the_one_before),
        T(a_snapshot_lets_old_files_go_but_keeps_what_trails),
        T(a_file_may_begin_with_what_replaced_the_end_of_an_older_one),
        T(a_snapshot_from_elsewhere_replaces_the_log),
        T(a_snapshot_from_elsewhere_survives_a_kill_before_its_log),
        T(a_log_that_ends_before_its_own_snapshot_is_refused),
        T(a_log_without_its_vote_is_refused),
        T(what_was_not_flushed_is_forgotten_by_a_load),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
