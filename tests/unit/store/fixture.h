/* SPDX-License-Identifier: Apache-2.0 */
/* A store with two mountpaths in a temporary folder, and what tests do with it on a fiber. */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include "unit.h"

#include <ftw.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/util.h"
#include "run/fiber.h"
#include "store/store_impl.h"

#define MAYBE_UNUSED __attribute__((unused))

static struct run       *run;
static struct store     *st;
static char              root[64];
static struct store_conf conf; /* tests change it before opening */
static struct bck bk = { .provider = PROV_AIS, .bid = BID_AIS | 7, .cksum = CKSUM_XXHASH2, .versioning = true, .copies = 1 };

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

static MAYBE_UNUSED void
on_fiber(void (*fn)(void))
{
    struct call c = { .fn = fn };

    sem_init(&c.done, 0, 0);
    assert_int_equal(0, fiber_spawn(run_loop(run, 0), "test", call_main, &c));
    while (sem_wait(&c.done) != 0)
        ;
}

static void
adopt(void)
{
    struct err e = { .code = 0 };

    if (store_bck_adopt(st, &bk, &e) < 0 || store_adopted(st, &e) < 0)
        fail_msg("%s", e.text);
}

static void
open_store(void)
{
    struct run_conf rc = { .nloops = 2, .tag = "test" };
    static char     paths[2][80];
    struct err      e = { .code = 0 };

    bk.name = STR_LIT("bucket");
    assert_int_equal(0, run_new(&rc, &run));
    run_start(run);
    conf.run = run;
    conf.node_id = "testnode1";
    conf.npaths = 2;
    conf.allow_shared_fs = true;
    conf.oos = conf.oos == 0 ? 100 : conf.oos;
    conf.highwm = 99;
    for (int i = 0; i < 2; i++) {
        snprintf(paths[i], sizeof(paths[i]), "%s/mp%d", root, i + 1);
        mkdir(paths[i], 0755);
        conf.paths[i].path = paths[i];
    }
    if (store_open(&conf, &st, &e) < 0)
        fail_msg("%s", e.text);
    on_fiber(adopt);
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

static MAYBE_UNUSED int
setup(void **state)
{
    UNUSED(state);
    snprintf(root, sizeof(root), "/tmp/ais-store-XXXXXX");
    assert_non_null(mkdtemp(root));
    conf = (struct store_conf){ .fast_flush_ns = SEC_NS(3600) }; /* checkpoints only when a test asks */
    bk.durable = false;
    bk.bid = BID_AIS | 7;
    open_store();
    return 0;
}

static MAYBE_UNUSED int
teardown(void **state)
{
    UNUSED(state);
    (void)failpoint_arm(STR_LIT(""));
    if (st != NULL)
        close_store();
    nftw(root, rm_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* --- on a fiber --- */

static int
put_with(const char *name, const void *p, size_t n, struct put_attrs *a, struct err *e)
{
    struct put *put;
    size_t      at = 0;
    int         rc;

    a->length = (int64_t)n;
    rc = put_begin(st, &bk, str_z(name), a, &put, e);
    while (rc == 0 && at < n) {
        size_t k = MIN(n - at, (size_t)100000);

        rc = put_write(put, (const char *)p + at, k, e);
        if (rc < 0) {
            put_abort(put);
            return rc;
        }
        at += k;
    }
    return rc < 0 ? rc : put_commit(put, NULL, e);
}

static MAYBE_UNUSED void
put_z(const char *name, const char *text)
{
    struct put_attrs a = { .length = 0 };
    struct err       e = { .code = 0 };

    if (put_with(name, text, strlen(text), &a, &e) < 0)
        fail_msg("%s", e.text);
}

static MAYBE_UNUSED void
expect(const char *name, const char *text)
{
    struct obj *o;
    struct err  e = { .code = 0 };
    char        buf[300];
    size_t      n = 0;

    if (text == NULL) {
        assert_int_equal(-AIS_E_NOOBJ, obj_open(st, &bk, str_z(name), 0, &o, &e));
        return;
    }
    if (obj_open(st, &bk, str_z(name), 0, &o, &e) < 0)
        fail_msg("%s", e.text);
    while (n < obj_info(o)->size) {
        ssize_t k = obj_read(o, buf + n, sizeof(buf) - n, n, &e);

        assert_true(k > 0);
        n += (size_t)k;
    }
    assert_int_equal(strlen(text), n);
    assert_memory_equal(text, buf, n);
    assert_int_equal(0, obj_verify(o, &e));
    obj_close(o);
}

/* Names, each with a blank behind. */
static MAYBE_UNUSED void
list(const char *prefix, char *out, size_t max)
{
    struct list_cur   *c;
    const struct lent *l;
    struct err         e = { .code = 0 };
    int                rc;

    out[0] = '\0';
    if (store_list_open(st, &bk, str_z(prefix), STR_LIT(""), &c, &e) < 0)
        fail_msg("%s", e.text);
    while ((rc = store_list_next(c, &l, &e)) > 0)
        snprintf(out + strlen(out), max - strlen(out), "%.*s ", STR_FMT(l->name));
    assert_int_equal(0, rc);
    store_list_close(c);
}

static MAYBE_UNUSED void
delete_z(const char *name)
{
    struct err e = { .code = 0 };

    if (obj_delete(st, &bk, str_z(name), &e) < 0)
        fail_msg("%s", e.text);
}

static MAYBE_UNUSED void
flush(void)
{
    struct err e = { .code = 0 };

    if (store_flush(st, &e) < 0)
        fail_msg("%s", e.text);
}

/* --- files --- */

/* Where the file of an object lies. */
static MAYBE_UNUSED void
file_of(const char *name, char path[FQN_MAX])
{
    struct stat s;

    for (int i = 1; i <= 2; i++) {
        snprintf(path, FQN_MAX, "%s/mp%d/@ais/bucket/%%ob/%s", root, i, name);
        if (stat(path, &s) == 0)
            return;
    }
    fail_msg("%s has no file", name);
}

static unsigned counted;

static int
count_one(const char *p, const struct stat *s, int t, struct FTW *f)
{
    UNUSED(p);
    UNUSED(s);
    UNUSED(f);
    counted += t == FTW_F;
    return 0;
}

/* Files below <mountpath>/<dir>, of both mountpaths. */
static MAYBE_UNUSED unsigned
files_in(const char *dir)
{
    char path[300];

    counted = 0;
    for (int i = 1; i <= 2; i++) {
        snprintf(path, sizeof(path), "%s/mp%d/%s", root, i, dir);
        nftw(path, count_one, 16, FTW_PHYS);
    }
    return counted;
}

/* --- going down --- */

/* Close here; do fn in a process that then dies without another word (or by a fail point); the page cache stays. */
static MAYBE_UNUSED void
die_after(void (*fn)(void))
{
    pid_t pid;
    int   status;

    close_store();
    pid = fork();
    if (pid == 0) {
        open_store();
        on_fiber(fn);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(SIGKILL, WTERMSIG(status));
}

/* As if the machine had gone down meanwhile. */
static MAYBE_UNUSED void
other_boot(void)
{
    for (int i = 1; i <= 2; i++) {
        char  path[300];
        FILE *f;

        snprintf(path, sizeof(path), "%s/mp%d/.ais.c/state", root, i);
        f = fopen(path, "w");
        assert_non_null(f);
        fprintf(f, "open 00000000-0000-0000-0000-000000000000\n");
        fclose(f);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
