/* SPDX-License-Identifier: Apache-2.0 */
/* Loops, fibers, parking, offload and disk: what the headers of lib/run promise. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/sbuf.h"
#include "base/util.h"
#include "run/disk.h"
#include "run/fiber.h"
#include "run/offload.h"

static struct run *run;

struct call {
    void (*fn)(void *);
    void *arg;
    sem_t done;
};

static void
call_main(void *arg)
{
    struct call *c = arg;

    c->fn(c->arg);
    sem_post(&c->done);
}

/* Run fn(arg) on a fiber of loop i and wait for its end. */
static void
on_fiber(unsigned i, void (*fn)(void *), void *arg)
{
    struct call c = { .fn = fn, .arg = arg };

    sem_init(&c.done, 0, 0);
    assert_int_equal(0, fiber_spawn(run_loop(run, i), "test", call_main, &c));
    while (sem_wait(&c.done) != 0)
        ;
    sem_destroy(&c.done);
}

static void
start(enum disk_kind disk)
{
    struct run_conf c = { .nloops = 2, .disk = disk, .tag = "test" };

    assert_int_equal(0, run_new(&c, &run));
    run_start(run);
}

static int
setup(void **state)
{
    UNUSED(state);
    start(DISK_AUTO);
    return 0;
}

static int
teardown(void **state)
{
    UNUSED(state);
    run_stop(run, SEC_NS(5));
    run_free(run);
    run = NULL;
    return 0;
}

/* --- fibers --- */

static char order[64];

static void
note(const char *s)
{
    strncat(order, s, sizeof(order) - strlen(order) - 1);
}

static void
child_a(void *arg)
{
    UNUSED(arg);
    note("a1 ");
    fiber_yield();
    note("a2 ");
}

static void
child_b(void *arg)
{
    UNUSED(arg);
    note("b1 ");
    fiber_yield();
    note("b2 ");
}

static void
spawn_two(void *arg)
{
    UNUSED(arg);
    order[0] = '\0';
    fiber_spawn(loop_self(), "a", child_a, NULL);
    fiber_spawn(loop_self(), "b", child_b, NULL);
    for (int i = 0; i < 4; i++)
        fiber_yield();
}

static void
fibers_take_turns_in_order(void **state)
{
    UNUSED(state);
    on_fiber(0, spawn_two, NULL);
    assert_string_equal("a1 b1 a2 b2 ", order);
}

static void
sleep_body(void *arg)
{
    int64_t  t0 = clock_mono();
    int64_t *took = arg;

    assert_int_equal(0, fiber_sleep(MSEC_NS(20)));
    *took = clock_mono() - t0;
}

static void
sleep_lasts_at_least_as_long_as_asked(void **state)
{
    int64_t took = 0;

    UNUSED(state);
    on_fiber(0, sleep_body, &took);
    assert_true(took >= MSEC_NS(20));
}

static void
timeout_body(void *arg)
{
    struct waitq q;
    int         *rc = arg;

    waitq_init(&q);
    rc[0] = waitq_wait(&q, clock_mono() + MSEC_NS(5));
    assert_true(waitq_empty(&q));
    fiber_set_deadline(clock_mono() + MSEC_NS(5));
    rc[1] = waitq_wait(&q, NO_DEADLINE);
    fiber_set_deadline(NO_DEADLINE);
}

static void
a_wait_ends_at_its_own_deadline_and_at_the_fibers(void **state)
{
    int rc[2] = { 0, 0 };

    UNUSED(state);
    on_fiber(0, timeout_body, rc);
    assert_int_equal(-AIS_E_TIMEOUT, rc[0]);
    assert_int_equal(-AIS_E_TIMEOUT, rc[1]);
}

struct victim {
    struct fiber *f;
    struct waitq  q;
    int           rc, shielded_rc;
    bool          ended;
};

static void
victim_main(void *arg)
{
    struct victim *v = arg;

    v->f = fiber_self();
    fiber_shield();
    v->shielded_rc = fiber_sleep(MSEC_NS(10));
    fiber_unshield();
    v->rc = waitq_wait(&v->q, NO_DEADLINE);
    v->ended = true;
}

static void
cancel_body(void *arg)
{
    struct victim *v = arg;

    waitq_init(&v->q);
    fiber_spawn(loop_self(), "victim", victim_main, v);
    fiber_yield();
    fiber_yield();
    fiber_cancel(v->f);
    while (!v->ended)
        fiber_yield();
}

static void
cancellation_waits_for_a_shield_and_then_ends_the_wait(void **state)
{
    struct victim v = { .rc = 0 };

    UNUSED(state);
    on_fiber(0, cancel_body, &v);
    assert_int_equal(0, v.shielded_rc);
    assert_int_equal(-AIS_E_CANCELED, v.rc);
}

static int
child_fails(void *arg)
{
    UNUSED(arg);
    fiber_yield();
    return -AIS_E_IO;
}

static int
child_waits(void *arg)
{
    int rc = fiber_sleep(SEC_NS(60));

    *(int *)arg = rc;
    return rc;
}

static void
group_body(void *arg)
{
    struct group g;
    int         *rc = arg;

    group_init(&g, true);
    group_start(&g, "waits", child_waits, &rc[1]);
    group_start(&g, "fails", child_fails, NULL);
    rc[0] = group_wait(&g);
}

static void
the_first_failure_of_a_group_cancels_the_rest(void **state)
{
    int rc[2] = { 0, 0 };

    UNUSED(state);
    on_fiber(0, group_body, rc);
    assert_int_equal(-AIS_E_IO, rc[0]);
    assert_int_equal(-AIS_E_CANCELED, rc[1]);
}

struct shared_mutex {
    struct fmutex m;
    int           inside, most, done;
};

static void
locker(void *arg)
{
    struct shared_mutex *s = arg;

    for (int i = 0; i < 20; i++) {
        assert_int_equal(0, fmutex_lock(&s->m, NO_DEADLINE));
        s->inside++;
        s->most = MAX(s->most, s->inside);
        fiber_yield();
        s->inside--;
        fmutex_unlock(&s->m);
    }
    s->done++;
}

static void
mutex_body(void *arg)
{
    struct shared_mutex *s = arg;

    fmutex_init(&s->m);
    for (int i = 0; i < 5; i++)
        fiber_spawn(loop_self(), "locker", locker, s);
    while (s->done < 5)
        fiber_yield();
}

static void
one_fiber_at_a_time_is_inside_a_mutex(void **state)
{
    struct shared_mutex s = { .inside = 0 };

    UNUSED(state);
    on_fiber(0, mutex_body, &s);
    assert_int_equal(1, s.most);
}

/* --- across threads --- */

struct race {
    pthread_mutex_t mtx;
    struct park    *ticket;
    _Atomic int     stop;
    uint64_t        woken, gave_up, wrong;
};

static void *
waker_main(void *arg)
{
    struct race *r = arg;

    while (!atomic_load(&r->stop)) {
        pthread_mutex_lock(&r->mtx);
        if (r->ticket != NULL && park_wake(r->ticket, 7))
            r->ticket = NULL;
        pthread_mutex_unlock(&r->mtx);
        if ((rand_u64() & 7) == 0)
            sched_yield();
    }
    return NULL;
}

static void
race_body(void *arg)
{
    struct race *r = arg;

    for (int i = 0; i < 5000; i++) {
        struct park p;
        int         rc;

        park_init(&p);
        pthread_mutex_lock(&r->mtx);
        r->ticket = &p;
        pthread_mutex_unlock(&r->mtx);
        rc = park_wait(&p, clock_mono() + (int64_t)(rand_u64() % 20000));
        pthread_mutex_lock(&r->mtx);
        r->ticket = NULL;
        pthread_mutex_unlock(&r->mtx);
        if (rc == 7)
            r->woken++;
        else if (rc == -AIS_E_TIMEOUT)
            r->gave_up++;
        else
            r->wrong++;
    }
}

static void
a_ticket_is_decided_exactly_once_however_waker_and_deadline_race(void **state)
{
    struct race r = { .mtx = PTHREAD_MUTEX_INITIALIZER };
    pthread_t   t;

    UNUSED(state);
    pthread_create(&t, NULL, waker_main, &r);
    on_fiber(0, race_body, &r);
    atomic_store(&r.stop, 1);
    pthread_join(t, NULL);
    assert_int_equal(0, r.wrong);
    assert_int_equal(5000, r.woken + r.gave_up);
    assert_true(r.woken > 0);
}

static _Atomic int mail_seen;

static void
mail_arrived(struct msg *m)
{
    atomic_fetch_add(&mail_seen, 1);
    free(m);
}

static void *
mail_main(void *arg)
{
    UNUSED(arg);
    for (int i = 0; i < 10000; i++) {
        struct msg *m = malloc(sizeof(*m));

        m->fn = mail_arrived;
        loop_post(run_loop(run, 1), m);
    }
    return NULL;
}

static void
wait_for_mail(void *arg)
{
    while (atomic_load(&mail_seen) < *(int *)arg)
        fiber_yield();
}

static void
no_message_is_lost_between_many_senders_and_a_sleeping_loop(void **state)
{
    pthread_t t[4];
    int       all = 40000;

    UNUSED(state);
    atomic_store(&mail_seen, 0);
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, mail_main, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    on_fiber(1, wait_for_mail, &all);
    assert_int_equal(40000, atomic_load(&mail_seen));
}

static void
job_main(void *arg)
{
    assert_null(loop_self());
    *(int *)arg += 1;
}

static void
offload_body(void *arg)
{
    for (int i = 0; i < 100; i++)
        offload(job_main, arg);
}

static void
offloaded_work_runs_off_the_loop_and_is_waited_for(void **state)
{
    int n = 0;

    UNUSED(state);
    on_fiber(0, offload_body, &n);
    assert_int_equal(100, n);
}

struct adder {
    struct wjob job;
    int        *sum;
};

static void
adder_fn(void *ctx, struct wjobs *batch)
{
    struct wjob *j;

    UNUSED(ctx);
    STAILQ_FOREACH(j, batch, link)
        *CONTAINER_OF(j, struct adder, job)->sum += 1;
    worker_done_all(batch, 42);
}

struct work {
    struct worker *w;
    int            sum;
};

static void
work_body(void *arg)
{
    struct work *k = arg;

    for (int i = 0; i < 200; i++) {
        struct adder a = { .sum = &k->sum };

        assert_int_equal(42, worker_call(k->w, &a.job));
    }
}

static void
a_worker_answers_fibers_and_threads(void **state)
{
    struct work  k = { .sum = 0 };
    struct adder a = { .sum = &k.sum };

    UNUSED(state);
    assert_int_equal(0, worker_new(run, "adder", adder_fn, NULL, 0, &k.w));
    on_fiber(0, work_body, &k);
    on_fiber(1, work_body, &k);
    assert_int_equal(42, worker_call(k.w, &a.job));
    worker_free(k.w);
    assert_int_equal(401, k.sum);
}

static void
many_parked(void *arg)
{
    struct waitq *q = arg;

    (void)waitq_wait(q, NO_DEADLINE);
}

static void
ten_thousand_body(void *arg)
{
    struct waitq     q;
    struct run_stats st;

    UNUSED(arg);
    waitq_init(&q);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(0, fiber_spawn(loop_self(), "many", many_parked, &q));
    fiber_yield();
    fiber_yield();
    run_stats(run, &st);
    assert_true(st.fibers_live >= 10000);
    waitq_wake_all(&q);
    fiber_yield();
    fiber_yield();
}

static void
ten_thousand_fibers_can_be_parked(void **state)
{
    UNUSED(state);
    on_fiber(0, ten_thousand_body, NULL);
}

static void
an_idle_loop_does_not_turn(void **state)
{
    struct run_stats a, b;
    int64_t          took = 0;

    UNUSED(state);
    run_stats(run, &a);
    on_fiber(0, sleep_body, &took);
    run_stats(run, &b);
    /* two loops, 20 ms: the spawn, the timer, and little else */
    assert_true(b.loop_turns - a.loop_turns < 20);
}

static void
dump_names_the_fiber_that_asks(void **state)
{
    struct sbuf b;

    UNUSED(state);
    sbuf_init(&b, 1 << 20);
    run_dump_fibers(run, &b);
    assert_true(sbuf_ok(&b));
    sbuf_fini(&b);
}

static uint64_t
eat_stack(int depth)
{
    volatile char page[3000];

    memset((void *)(uintptr_t)page, depth, sizeof(page));
    return depth > 1000000 ? 0 : eat_stack(depth + 1) + (uint64_t)page[5];
}

static void
overflow_body(void *arg)
{
    *(uint64_t *)arg = eat_stack(0);
}

static void
a_stack_that_is_too_deep_kills_the_process_instead_of_its_neighbour(void **state)
{
    pid_t pid = fork();
    int   st;

    UNUSED(state);
    if (pid == 0) {
        uint64_t x;

        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(3);
        start(DISK_THREADS);
        on_fiber(0, overflow_body, &x);
        _exit(0);
    }
    waitpid(pid, &st, 0);
    assert_true(WIFSIGNALED(st) || (WIFEXITED(st) && WEXITSTATUS(st) != 0));
}

/* --- disk, on both implementations --- */

static void
disk_body(void *arg)
{
    char        dir[] = "/tmp/ais-disk-XXXXXX", path[64], other[64], buf[64], *whole;
    struct stat st;
    size_t      n;
    int         fd;

    UNUSED(arg);
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/a", dir);
    snprintf(other, sizeof(other), "%s/x/y/b", dir);
    assert_int_equal(-AIS_E_NOENT, disk_open(path, O_RDONLY, 0));
    fd = disk_open(path, O_RDWR | O_CREAT, 0644);
    assert_true(fd >= 0);
    assert_int_equal(10, disk_pwrite(fd, "0123456789", 10, 0));
    assert_int_equal(0, disk_fsync(fd, 1));
    assert_int_equal(4, disk_pread(fd, buf, 64, 6)); /* short at the end of the file */
    assert_memory_equal("6789", buf, 4);
    assert_int_equal(0, disk_pread(fd, buf, 64, 100));
    assert_int_equal(1, disk_cached(fd, 0, 10));
    assert_int_equal(0, disk_readahead(fd, 0, 10));
    assert_int_equal(0, disk_fsetxattr(fd, "user.t", "v", 1));
    assert_int_equal(1, disk_fgetxattr(fd, "user.t", buf, sizeof(buf)));
    assert_int_equal(-AIS_E_NOENT, disk_fgetxattr(fd, "user.none", buf, sizeof(buf)));
    assert_int_equal(0, disk_fstat(fd, &st));
    assert_int_equal(10, st.st_size);
    disk_close(&fd);
    assert_int_equal(-1, fd);
    assert_int_equal(0, disk_mkdir_parents(other, 0755));
    assert_int_equal(0, disk_rename(path, other));
    assert_int_equal(-AIS_E_NOENT, disk_stat(path, &st));
    assert_int_equal(0, disk_stat(other, &st));
    assert_int_equal(0, disk_write_file_atomic(other, "hello", 5, 0600));
    assert_int_equal(0, disk_read_file(other, 100, &whole, &n));
    assert_int_equal(5, n);
    assert_string_equal("hello", whole);
    free(whole);
    assert_int_equal(-AIS_E_TOOBIG, disk_read_file(other, 4, &whole, &n));
    assert_int_equal(0, disk_unlink(other));
    assert_int_equal(-AIS_E_NOENT, disk_unlink(other));
    snprintf(path, sizeof(path), "%s/x/y", dir);
    rmdir(path);
    snprintf(path, sizeof(path), "%s/x", dir);
    rmdir(path);
    rmdir(dir);
}

static void
disk_calls_work_by(enum disk_kind kind)
{
    run_stop(run, SEC_NS(5));
    run_free(run);
    start(kind);
    on_fiber(0, disk_body, NULL);
}

static void
disk_calls_work_by_threads(void **state)
{
    UNUSED(state);
    disk_calls_work_by(DISK_THREADS);
    assert_int_equal(DISK_THREADS, run_disk_kind(run));
}

static void
disk_calls_work_by_io_uring(void **state)
{
    UNUSED(state);
    disk_calls_work_by(DISK_URING);
    if (run_disk_kind(run) != DISK_URING)
        print_message("io_uring is not allowed here: tried the worker pool only\n");
}

static void
disk_calls_off_the_loops_are_plain(void **state)
{
    UNUSED(state);
    disk_body(NULL);
}

static void
a_process_on_one_core_has_one_loop(void **state)
{
    struct run_conf c = { .tag = "test" };
    struct run     *r;
    cpu_set_t       all, one;

    UNUSED(state);
    assert_int_equal(0, sched_getaffinity(0, sizeof(all), &all));
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    assert_int_equal(0, sched_setaffinity(0, sizeof(one), &one));
    assert_int_equal(0, run_new(&c, &r));
    assert_int_equal(0, sched_setaffinity(0, sizeof(all), &all));
    assert_int_equal(1, run_nloops(r));
    run_free(r);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(fibers_take_turns_in_order),
        T(sleep_lasts_at_least_as_long_as_asked),
        T(a_wait_ends_at_its_own_deadline_and_at_the_fibers),
        T(cancellation_waits_for_a_shield_and_then_ends_the_wait),
        T(the_first_failure_of_a_group_cancels_the_rest),
        T(one_fiber_at_a_time_is_inside_a_mutex),
        T(a_ticket_is_decided_exactly_once_however_waker_and_deadline_race),
        T(no_message_is_lost_between_many_senders_and_a_sleeping_loop),
        T(offloaded_work_runs_off_the_loop_and_is_waited_for),
        T(a_worker_answers_fibers_and_threads),
        T(ten_thousand_fibers_can_be_parked),
        T(an_idle_loop_does_not_turn),
        T(dump_names_the_fiber_that_asks),
        T(a_stack_that_is_too_deep_kills_the_process_instead_of_its_neighbour),
        T(disk_calls_work_by_threads),
        T(disk_calls_work_by_io_uring),
        T(disk_calls_off_the_loops_are_plain),
        T(a_process_on_one_core_has_one_loop),
    };

    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
