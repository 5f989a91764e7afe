/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The health of a mountpath (FSHC): after many I/O errors in a short time, or when asked, some files of it are read and written; when
 * too many of these fail it is told to leave: nothing new goes there, and the resilver brings away what can still be read.
 *
 * The last mountpath stays: a bad disk is more than none. Counting costs two atomics an error, nothing without.
 *
 * Runs on: threads that may block. Spec: internals.md 7 (FSHC)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"
#include "store/store_impl.h"

#define TEST_SIZE (1 * MIB)
#define READ_MAX  (8 * MIB) /* of each file */

struct fshc {
    struct mpath *m;
    char         *buf; /* TEST_SIZE */
    unsigned      read, written, read_errors, write_errors;
};

void
store_set_fshc(struct store *s, const struct fshc_conf *c)
{
    atomic_store(&s->fshc.enabled, c->enabled);
    atomic_store(&s->fshc.test_files, c->test_files);
    atomic_store(&s->fshc.error_limit, c->error_limit);
    atomic_store(&s->fshc.io_err_limit, c->io_err_limit);
    atomic_store(&s->fshc.io_err_ns, c->io_err_ns);
}

/* --- counting --- */

bool
fshc_count(struct mpath *m)
{
    struct store *s = m->store;
    int64_t       now = clock_mono();

    if (!atomic_load(&s->fshc.enabled))
        return false;
    if (now - atomic_load(&m->io_since) > atomic_load(&s->fshc.io_err_ns)) {
        atomic_store(&m->io_since, now);
        atomic_store(&m->io_count, 0);
    }
    if (atomic_fetch_add(&m->io_count, 1) + 1 == atomic_load(&s->fshc.io_err_limit))
        atomic_store(&m->suspect, true);
    return atomic_load(&m->suspect);
}

/* --- reading and writing --- */

static int
read_through(int fd, char *buf)
{
    uint64_t off = 0;
    ssize_t  k;

    FAIL_POINT("fshc.read", return failpoint_error(-AIS_E_IO));
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* from the disk, not from memory */
    do {
        k = pread(fd, buf, TEST_SIZE, (off_t)off);
        off += k > 0 ? (uint64_t)k : 0;
    } while (k > 0 && off < READ_MAX);
    return k < 0 ? err_from_errno(errno) : 0;
}

/* Some object's row, from a place that chance chose on; false when the bucket has none here. */
static bool
some_name(struct mpath *m, uint64_t bid, char name[OBJ_NAME_MAX + 1])
{
    char        from[5];
    uint64_t    r = rand_u64();
    struct str  found, value;
    struct sbuf rows;
    unsigned    n;
    bool        more, is = false;

    snprintf(from, sizeof(from), "%c%c", (char)('0' + r % 75), (char)('0' + r / 75 % 75));
    sbuf_init(&rows, 16 * MIB);
    for (int turn = 0; turn < 2 && !is; turn++) {
        size_t at = 0;

        sbuf_reset(&rows);
        if (rows_scan(m->rows, bid, STR_LIT(""), str_z(turn == 0 ? from : ""), false, 16, &rows, &n, &more) < 0)
            break;
        while (!is && scan_row(&rows, &at, &found, &value))
            is = value.n > 0 && ientry_is_object(value) && str_copyz(found, name, OBJ_NAME_MAX + 1);
    }
    sbuf_fini(&rows);
    return is;
}

static void
read_one(struct fshc *f, const struct bck *b)
{
    char        name[OBJ_NAME_MAX + 1];
    struct obj *o = NULL;
    int         rc, fd;

    if (!some_name(f->m, b->bid, name))
        return;
    rc = obj_load(f->m, b, str_z(name), true, &o, NULL);
    if (rc == 0) {
        fd = o->info.nchunks == 0 ? atomic_load(&o->fd) : o->chunks[0].fd;
        rc = read_through(fd, f->buf);
        obj_close(o);
    }
    f->read++;
    f->read_errors += rc == -AIS_E_IO; /* one that is gone meanwhile, or damaged, says nothing of the disk */
}

static void
read_some(struct fshc *f, unsigned files)
{
    unsigned    n;
    struct bck *all = bcks_now(f->m->store, &n);

    for (unsigned i = 0; n > 0 && i < files; i++) {
        const struct bck *b = bck_known(f->m->store, all[rand_u64() % n].bid);

        if (b != NULL)
            read_one(f, b);
    }
    free(all);
}

static int
write_test(struct fshc *f, const char *path)
{
    auto_close int fd = -1;
    int            rc;

    FAIL_POINT("fshc.write", return failpoint_error(-AIS_E_IO));
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_from_errno(errno);
    for (size_t i = 0; i + 8 <= TEST_SIZE; i += 4096)
        be64_put(f->buf + i, rand_u64());
    rc = write_all(fd, f->buf, TEST_SIZE);
    if (rc == 0 && fsync(fd) < 0)
        rc = err_from_errno(errno);
    return rc == 0 ? read_through(fd, f->buf) : rc;
}

static void
write_some(struct fshc *f, unsigned files)
{
    char path[400];
    int  rc;

    for (unsigned i = 0; i < files; i++) {
        snprintf(path, sizeof(path), "%s/fshc.%u", f->m->store_dir, i);
        rc = write_test(f, path);
        (void)unlink(path);
        if (rc == -AIS_E_NOSPACE)
            return; /* that is another matter */
        f->written++;
        f->write_errors += rc < 0;
    }
}

/* --- the verdict --- */

bool
fshc_run(struct mpath *m)
{
    struct store *s = m->store;
    struct fshc   f = { .m = m, .buf = xcalloc(1, TEST_SIZE) };
    unsigned      files = atomic_load(&s->fshc.test_files), limit = atomic_load(&s->fshc.error_limit);
    bool          bad;

    atomic_store(&m->suspect, false);
    atomic_store(&m->io_count, 0);
    read_some(&f, files);
    write_some(&f, files);
    free(f.buf);
    bad = f.read_errors >= limit || f.write_errors >= limit;
    if (bad)
        log_error("mountpath fails", { "mountpath", LZ(m->path) }, { "read", LU64(f.read) }, { "read_errors", LU64(f.read_errors) },
                  { "written", LU64(f.written) }, { "write_errors", LU64(f.write_errors) });
    else
        log_info("mountpath checked", { "mountpath", LZ(m->path) }, { "read", LU64(f.read) }, { "read_errors", LU64(f.read_errors) },
                 { "written", LU64(f.written) }, { "write_errors", LU64(f.write_errors) });
    if (bad && !mpath_give_up(m))
        log_error("mountpath fails, but stays: there is no other one, or mountpaths are being changed", { "mountpath", LZ(m->path) });
    return !bad;
}

struct check {
    struct mpath *m;
    bool          good;
};

static void
check_blocking(void *arg)
{
    struct check *c = arg;

    mpath_check(c->m);
    c->good = mpath_readable(c->m) && fshc_run(c->m);
    atomic_store(&c->m->checking, false);
}

int
store_mpath_check(struct store *s, struct str path, bool *good, struct err *e)
{
    struct check c = { .m = mpath_named(s, path) };

    if (c.m == NULL || !mpath_readable(c.m))
        return err_set(e, AIS_E_NOMPATH, "mountpath %.*s does not exist, or is not in use", STR_FMT(path));
    if (atomic_exchange(&c.m->checking, true))
        return err_set(e, AIS_E_BUSY, "mountpath %.*s is being checked", STR_FMT(path));
    offload(check_blocking, &c);
    *good = c.good;
    return 0;
}
