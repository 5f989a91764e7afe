/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata log: what was answered survives, what was not may vanish, damage is noticed. */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "core/consensus.c"

#include "run/disk.h"
#include "base/failpoint.h"

#include "on_fiber.h"

/* A state machine that remembers every command; "bad..." is refused. */
struct words {
    struct sbuf b;
    unsigned    applied, restored;
};

static int
words_apply(void *ctx, uint64_t index, struct str cmd, struct err *result)
{
    struct words *w = ctx;

    (void)index;
    w->applied++;
    if (str_starts(cmd, STR_LIT("bad")))
        return err_set(result, AIS_E_CONFLICT, "refused");
    sbuf_puts(&w->b, cmd);
    sbuf_putc(&w->b, '\n');
    return 0;
}

static int
words_snapshot(void *ctx, char **json, size_t *n)
{
    struct words *w = ctx;

    *json = xstrndup(w->b.p == NULL ? "" : w->b.p, w->b.n);
    *n = w->b.n;
    return 0;
}

static int
words_restore(void *ctx, struct str json, struct err *e)
{
    struct words *w = ctx;

    (void)e;
    w->restored++;
    sbuf_reset(&w->b);
    sbuf_puts(&w->b, json);
    return 0;
}

static uint64_t
words_count(const struct words *w)
{
    uint64_t n = 0;
    size_t   i;

    for (i = 0; i < w->b.n; i++)
        n += w->b.p[i] == '\n';
    return n;
}

struct fixture {
    char        *dir;
    struct run  *run;
    struct words words;
    struct cons *cons;
    uint32_t     snap_every;
    struct err   err;
};

static int
fx_open(struct fixture *f)
{
    struct cons_conf c = { .run = f->run, .dir = f->dir, .id = "unit", .bootstrap = true, .snap_every = f->snap_every, .ctx = &f->words,
                           .apply = words_apply, .snapshot = words_snapshot, .restore = words_restore };
    int              rc;

    memset(&f->words, 0, sizeof(f->words));
    sbuf_init(&f->words.b, 64 * MIB);
    err_clear(&f->err);
    rc = cons_open(&c, &f->cons, &f->err);
    if (rc < 0)
        sbuf_fini(&f->words.b);
    return rc;
}

static void
fx_close(struct fixture *f)
{
    cons_close(f->cons);
    f->cons = NULL;
    sbuf_fini(&f->words.b);
}

static void
fx_reopen(struct fixture *f)
{
    fx_close(f);
    assert_int_equal(0, fx_open(f));
}

static int
fx_setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));

    f->dir = test_dir_new();
    f->run = test_run_new(2);
    *state = f;
    return fx_open(f);
}

static int
fx_teardown(void **state)
{
    struct fixture *f = *state;

    if (f->cons != NULL)
        fx_close(f);
    else
        sbuf_fini(&f->words.b);
    test_run_free(f->run);
    test_dir_free(f->dir);
    free(f);
    return 0;
}

struct proposing {
    struct cons *c;
    const char  *word;
    int64_t      deadline; /* 0 = none */
    int          rc;
    struct err   e;
    _Atomic bool done;
};

static void
propose_fiber(void *arg)
{
    struct proposing *p = arg;

    err_clear(&p->e);
    p->rc = cons_propose(p->c, str_z(p->word), p->deadline > 0 ? p->deadline : NO_DEADLINE, &p->e);
    atomic_store(&p->done, true);
}

static int
fx_propose(struct fixture *f, const char *word)
{
    struct proposing p = { .c = f->cons, .word = word };

    on_fiber(f->run, 0, propose_fiber, &p);
    f->err = p.e;
    return p.rc;
}

/* First index of the newest log file; how many there are into *n. */
static uint64_t
fx_logs(struct fixture *f, unsigned *n)
{
    DIR           *d = opendir(f->dir);
    struct dirent *de;
    uint64_t       newest = 0, first;

    assert_non_null(d);
    *n = 0;
    while ((de = readdir(d)) != NULL) {
        if (str_starts(str_z(de->d_name), STR_LIT("log-")) && str_u64(str_z(de->d_name + 4), &first)) {
            newest = MAX(newest, first);
            (*n)++;
        }
    }
    closedir(d);
    return newest;
}

static uint64_t
fx_log_first(struct fixture *f)
{
    unsigned n;

    return fx_logs(f, &n);
}

static char *
fx_log(struct fixture *f)
{
    return xasprintf("%s/log-%020llu", f->dir, (unsigned long long)fx_log_first(f));
}

/* --- tests --- */
static void
commands_are_there_after_reopening(void **state)
{
    struct fixture *f = *state;

    uint64_t        applied;

    assert_int_equal(0, cons_applied(f->cons));
    assert_int_equal(0, fx_propose(f, "one"));
    assert_int_equal(0, fx_propose(f, "two"));
    applied = cons_applied(f->cons);
    assert_true(applied > 0);
    fx_reopen(f);
    assert_int_equal(applied, cons_applied(f->cons));
    assert_string_equal("one\ntwo\n", f->words.b.p);
}

static void
every_open_leads_in_a_term_of_its_own(void **state)
{
    struct fixture *f = *state;
    uint64_t        term;

    assert_int_equal(1, cons_fence(f->cons).epoch);
    term = cons_fence(f->cons).term;
    fx_reopen(f);
    assert_int_equal(1, cons_fence(f->cons).epoch);
    assert_int_equal(term + 1, cons_fence(f->cons).term);
    assert_true(cons_is_leader(f->cons));
}

static void
the_state_machines_refusal_reaches_the_proposer(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(-AIS_E_CONFLICT, fx_propose(f, "bad idea"));
    assert_string_equal("refused", f->err.text);
    assert_int_equal(0, fx_propose(f, "good"));
    fx_reopen(f);
    assert_int_equal(2, f->words.applied);
    assert_string_equal("good\n", f->words.b.p);
}

static void
many_proposals_share_a_flush_and_keep_their_order(void **state)
{
    struct fixture  *f = *state;
    enum { N = 200 };
    struct proposing p[N];
    char             word[N][16];

    for (int i = 0; i < N; i++) {
        snprintf(word[i], sizeof(word[i]), "w%d", i);
        p[i] = (struct proposing){ .c = f->cons, .word = word[i], .rc = 1, .done = false };
        assert_int_equal(0, fiber_spawn(run_loop(f->run, (unsigned)i % 2), "p", propose_fiber, &p[i]));
    }
    for (int i = 0; i < N; i++) {
        WITHIN(atomic_load(&p[i].done));
        assert_int_equal(0, p[i].rc);
    }
    assert_int_equal(N, f->words.applied);
    fx_reopen(f);
    assert_int_equal(N, f->words.applied);
}

static void
a_snapshot_replaces_the_log(void **state)
{
    struct fixture *f = *state;
    unsigned        n;
    char            w[16];

    fx_close(f);
    f->snap_every = 10;
    assert_int_equal(0, fx_open(f));
    for (int i = 0; i < 25; i++) {
        snprintf(w, sizeof(w), "%d", i);
        assert_int_equal(0, fx_propose(f, w));
    }
    fx_reopen(f);
    (void)fx_logs(f, &n);
    assert_in_range(n, 1, 3); /* what is kept for followers that lag a little, and what came after */
    assert_int_equal(1, f->words.restored);
    assert_in_range(f->words.applied, 0, 9); /* only what came after it */
    assert_true(str_ends(sbuf_str(&f->words.b), STR_LIT("23\n24\n")));
}

static void
a_log_that_vanished_is_not_begun_anew(void **state)
{
    struct fixture *f = *state;
    auto_free char *log = fx_log(f);

    assert_int_equal(0, fx_propose(f, "one"));
    fx_close(f);
    assert_int_equal(0, unlink(log));
    assert_int_equal(-AIS_E_CORRUPT, fx_open(f));
    assert_non_null(strstr(f->err.text, "is missing"));
}

static void
the_directory_of_another_node_is_refused(void **state)
{
    struct fixture *f = *state;
    auto_free char *vote = xasprintf("%s/vote", f->dir);
    const char      other[] = "{\"format\":2,\"epoch\":1,\"term\":1,\"voted\":0,\"raft\":7,\"id\":\"other\"}\n";

    fx_close(f);
    assert_int_equal(0, disk_write_file_atomic(vote, other, sizeof(other) - 1, 0640));
    assert_int_equal(-AIS_E_CONFLICT, fx_open(f));
    assert_non_null(strstr(f->err.text, "belongs to node \"other\""));
}

/* The disk takes a part of a record and no more: refused, and when there is room again the group goes on, whole. */
static void
a_write_that_fails_halfway_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct rlimit   was, lim;

    assert_int_equal(0, fx_propose(f, "one"));
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(0, getrlimit(RLIMIT_FSIZE, &was));
    lim = (struct rlimit){ .rlim_cur = f->cons->log->off + 20, .rlim_max = was.rlim_max };
    assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &lim));
    assert_true(fx_propose(f, "a record that does not fit") < 0);
    assert_non_null(strstr(f->err.text, "metadata log:"));
    assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &was));
    WITHIN(cons_is_leader(f->cons));
    assert_int_equal(0, fx_propose(f, "two"));
    assert_string_equal("one\ntwo\n", f->words.b.p);
    fx_reopen(f);
    assert_string_equal("one\ntwo\n", f->words.b.p);
}

/* No room for a record: refused before anything of it is in the log, and leadership stays. */
static void
a_full_disk_refuses_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t        term = cons_fence(f->cons).term;

    if (!failpoint_compiled_in())
        skip();
    assert_int_equal(0, failpoint_arm(STR_LIT("cons.reserve=nospace")));
    assert_int_equal(-AIS_E_NOSPACE, fx_propose(f, "one"));
    assert_true(cons_is_leader(f->cons));
    assert_int_equal(0, failpoint_arm(STR_NULL));
    assert_int_equal(0, fx_propose(f, "two"));
    assert_int_equal(term, cons_fence(f->cons).term);
    fx_reopen(f);
    assert_string_equal("two\n", f->words.b.p);
}

/* The kernel may have dropped what a failed flush was to write: nothing more until a restart has looked. */
static void
a_failed_flush_ends_it_until_a_restart(void **state)
{
    struct fixture *f = *state;

    if (!failpoint_compiled_in())
        skip();
    assert_int_equal(0, fx_propose(f, "one"));
    assert_int_equal(0, failpoint_arm(STR_LIT("cons.sync=0:1")));
    assert_true(fx_propose(f, "two") < 0);
    assert_int_equal(0, failpoint_arm(STR_NULL));
    assert_false(cons_is_leader(f->cons));
    assert_int_equal(-AIS_E_NOTPRIMARY, fx_propose(f, "three"));
    fx_reopen(f);
    assert_int_equal(0, fx_propose(f, "four"));
}

static void
a_proposal_past_its_deadline_never_happens(void **state)
{
    struct fixture  *f = *state;
    struct proposing p = { .c = f->cons, .word = "late", .deadline = 1 };

    on_fiber(f->run, 0, propose_fiber, &p);
    assert_int_equal(-AIS_E_TIMEOUT, p.rc);
    assert_int_equal(0, f->words.applied);
}

static void
a_damaged_snapshot_refuses_to_open(void **state)
{
    struct fixture *f = *state;
    auto_free char *snap = xasprintf("%s/snap", f->dir);
    char            c = 'X';
    int             fd;

    fx_close(f);
    f->snap_every = 1;
    assert_int_equal(0, fx_open(f));
    assert_int_equal(0, fx_propose(f, "one"));
    fx_close(f);
    fd = open(snap, O_WRONLY);
    assert_int_equal(1, pwrite(fd, &c, 1, 80));
    close(fd);
    assert_int_equal(-AIS_E_CORRUPT, fx_open(f));
}

static void
a_second_process_is_refused(void **state)
{
    struct fixture  *f = *state;
    struct cons_conf c = { .run = f->run, .dir = f->dir, .id = "other", .ctx = &f->words, .apply = words_apply,
                           .snapshot = words_snapshot, .restore = words_restore };
    struct cons     *other;
    struct err       e;

    assert_int_equal(-AIS_E_BUSY, cons_open(&c, &other, &e));
}

/* --- kill -9 --- */
static void
child_propose(const char *dir, int out)
{
    struct fixture f = { .dir = xstrdup(dir), .snap_every = 37 };
    char           w[16];

    f.run = test_run_new(1);
    if (fx_open(&f) != 0)
        _exit(3);
    for (uint64_t i = words_count(&f.words) + 1;; i++) {
        snprintf(w, sizeof(w), "%llu", (unsigned long long)i);
        if (fx_propose(&f, w) != 0 || write(out, &i, sizeof(i)) != sizeof(i))
            _exit(4);
    }
}

static void
what_was_answered_survives_kill_9(void **state)
{
    char          *dir = test_dir_new();
    uint64_t       acked = 0;
    struct fixture f;

    (void)state;
    for (int round = 0; round < 8; round++) {
        int      p[2], status;
        pid_t    pid;
        uint64_t i, expect = 1;
        char    *rest;

        assert_int_equal(0, pipe(p));
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(p[0]);
            child_propose(dir, p[1]);
        }
        close(p[1]);
        for (int k = 0; k < 20 + 13 * round && read(p[0], &i, sizeof(i)) == sizeof(i); k++)
            acked = i;
        kill(pid, SIGKILL); /* somewhere in the next one */
        assert_int_equal(pid, waitpid(pid, &status, 0));
        assert_true(WIFSIGNALED(status));
        while (read(p[0], &i, sizeof(i)) == sizeof(i))
            acked = i;
        close(p[0]);

        memset(&f, 0, sizeof(f));
        f.dir = dir;
        f.run = test_run_new(1);
        assert_int_equal(0, fx_open(&f));
        assert_true(words_count(&f.words) >= acked);
        for (rest = f.words.b.p; rest != NULL && *rest != '\0'; expect++)
            assert_int_equal(expect, strtoull(rest, &rest, 10)), rest++;
        assert_int_equal(expect - 1, words_count(&f.words));
        fx_close(&f);
        test_run_free(f.run);
    }
    assert_true(acked > 0);
    test_dir_free(dir);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, fx_setup, fx_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_answered_survives_kill_9), /* first: it forks, so no threads may run yet */
        T(commands_are_there_after_reopening),
        T(every_open_leads_in_a_term_of_its_own),
        T(the_state_machines_refusal_reaches_the_proposer),
        T(many_proposals_share_a_flush_and_keep_their_order),
        T(a_snapshot_replaces_the_log),
        T(a_log_that_vanished_is_not_begun_anew),
        T(the_directory_of_another_node_is_refused),
        T(a_write_that_fails_halfway_leaves_nothing_behind),
        T(a_full_disk_refuses_and_changes_nothing),
        T(a_failed_flush_ends_it_until_a_restart),
        T(a_proposal_past_its_deadline_never_happens),
        T(a_damaged_snapshot_refuses_to_open),
        T(a_second_process_is_refused),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
