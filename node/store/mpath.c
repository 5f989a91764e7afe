/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mountpaths: opening, identity, space, health.
 *
 * Runs on: threads that may block, unless a function says otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"
#include "store/store_impl.h"

int
mkdirs(const char *path)
{
    auto_free char *p = NULL;

    if (mkdir(path, 0755) == 0 || errno == EEXIST)
        return 0;
    if (errno != ENOENT)
        return err_from_errno(errno);
    p = xstrdup(path);
    for (char *q = p + 1; *q != '\0'; q++) {
        if (*q != '/')
            continue;
        *q = '\0';
        if (mkdir(p, 0755) < 0 && errno != EEXIST)
            return err_from_errno(errno);
        *q = '/';
    }
    return mkdir(path, 0755) < 0 && errno != EEXIST ? err_from_errno(errno) : 0;
}

int
mkdirs_parent(const char *path)
{
    const char     *slash = strrchr(path, '/');
    auto_free char *dir = xstrndup(path, (size_t)(slash - path));

    return mkdirs(dir);
}

/* --- placement --- */

struct mpath *
mpath_of_digest(struct store *s, uint64_t digest)
{
    struct mpath *best = NULL;
    uint64_t      max = 0;

    for (unsigned i = 0; i < s->n; i++) {
        struct mpath *m = s->mpaths[i];
        uint64_t      w;

        if (atomic_load_explicit(&m->state, memory_order_relaxed) != MPATH_OK)
            continue;
        w = hrw_mix(m->digest ^ digest);
        if (best == NULL || w > max) {
            best = m;
            max = w;
        }
    }
    return best;
}

struct mpath *
mpath_of(struct store *s, const struct bck *b, struct str name)
{
    return mpath_of_digest(s, bck_obj_digest(b, name));
}

uint64_t
work_hash(struct str name)
{
    return hash_bytes(name.p, name.n, 5);
}

void
work_name(struct mpath *m, const struct bck *b, const char *prefix, struct str name, char out[FQN_MAX])
{
    static const char tie[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t          seq = atomic_fetch_add(&m->seq, 1);
    int               n = layout_ct(m->path, b, CT_WORK, out);

    ASSERT(n > 0);
    /* The rest tells apart what is of the same name; seq comes round: in a day or two, and after a restart. */
    snprintf(out + n, (size_t)(FQN_MAX - n), "/%s.%016llx%08x.%c%c%c.%x", prefix, (unsigned long long)work_hash(name),
             (unsigned)rand_u64(), tie[seq & 63], tie[seq >> 6 & 63], tie[seq >> 12 & 63], (unsigned)getpid());
}

/* --- opening --- */

void
mpath_stat(struct mpath *m)
{
    struct statvfs v;

    if (statvfs(m->path, &v) < 0)
        return;
    atomic_store(&m->total, (uint64_t)v.f_blocks * v.f_frsize);
    atomic_store(&m->avail, (uint64_t)v.f_bavail * v.f_frsize);
    atomic_store(&m->used, (uint64_t)(v.f_blocks - v.f_bavail) * v.f_frsize); /* what is not ours to fill counts as used */
}

/* The whole disk behind a device: "vda" for /dev/vda1. */
static void
disk_of(dev_t dev, char out[32])
{
    char    link[64], target[256];
    ssize_t n;
    char   *last;

    snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(dev), minor(dev));
    out[0] = '\0';
    n = readlink(link, target, sizeof(target) - 1);
    if (n <= 0)
        return;
    target[n] = '\0';
    snprintf(link, sizeof(link), "/sys/dev/block/%u:%u/partition", major(dev), minor(dev));
    last = strrchr(target, '/');
    if (last != NULL && access(link, F_OK) == 0) {
        *last = '\0';
        last = strrchr(target, '/');
    }
    if (last != NULL)
        snprintf(out, 32, "%.31s", last + 1);
}

static void
fs_of(struct mpath *m)
{
    FILE          *f = setmntent("/proc/self/mounts", "r");
    struct mntent *e;
    size_t         best = 0;
    struct stat    st;
    struct statfs  sf;

    while (f != NULL && (e = getmntent(f)) != NULL) {
        size_t n = strlen(e->mnt_dir);

        if (strncmp(m->path, e->mnt_dir, n) == 0 && (m->path[n] == '/' || m->path[n] == '\0' || n == 1) && n >= best) {
            best = n;
            snprintf(m->fs, sizeof(m->fs), "%s", e->mnt_fsname);
            snprintf(m->fs_type, sizeof(m->fs_type), "%.15s", e->mnt_type);
        }
    }
    if (f != NULL)
        endmntent(f);
    if (statfs(m->path, &sf) == 0) {
        int id[2];

        memcpy(id, &sf.f_fsid, sizeof(id));
        snprintf(m->fs_id, sizeof(m->fs_id), "%d,%d", id[0], id[1]);
    }
    if (stat(m->path, &st) == 0)
        disk_of(st.st_dev, m->disk);
}

static int
check_id(struct mpath *m, struct err *e)
{
    char    id[64];
    ssize_t n = getxattr(m->path, DAEMON_XATTR, id, sizeof(id) - 1);

    if (n >= 0) {
        id[n] = '\0';
        if (strcmp(id, m->store->node_id) != 0)
            return err_set(e, AIS_E_CONFLICT, "mountpath %s belongs to another target: its id is %s, not %s", m->path, id,
                           m->store->node_id);
        return 0;
    }
    if (errno != ENODATA)
        return err_set(e, -err_from_errno(errno), "mountpath %s: cannot read extended attributes: %s", m->path,
                       strerror(errno));
    if (setxattr(m->path, DAEMON_XATTR, m->store->node_id, strlen(m->store->node_id), 0) < 0)
        return err_set(e, -err_from_errno(errno), "mountpath %s: cannot write extended attributes: %s", m->path,
                       strerror(errno));
    return 0;
}

/* The most bytes that one xattr of a file may have, by halves: ext4 has about a block for all of them together. */
static size_t
probe_xattr(int fd)
{
    static const char bytes[16 * 1024];
    size_t            lo = 0, hi = sizeof(bytes);

    while (hi - lo > 16) {
        size_t mid = (lo + hi) / 2;

        if (fsetxattr(fd, "user.ais.probe", bytes, mid, 0) == 0)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* Which file-system facilities work here? */
static void
probe(struct mpath *m)
{
    char           dir[512], a[600], b[600];
    auto_close int fd = -1, fd2 = -1;

    snprintf(dir, sizeof(dir), "%s/" STORE_DIR, m->path);
    snprintf(a, sizeof(a), "%s/probe", dir);
    snprintf(b, sizeof(b), "%s/probe2", dir);
    (void)unlink(a);
    fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
    m->tmpfile = fd >= 0;
    if (fd >= 0)
        m->at_empty = linkat(fd, "", AT_FDCWD, a, AT_EMPTY_PATH) == 0;
    fd_close(&fd);
    fd = open(a, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    fd2 = open(b, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    m->exchange = fd >= 0 && fd2 >= 0 && renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0;
    m->xattr_max = fd >= 0 ? probe_xattr(fd) : 0;
    (void)unlink(a);
    (void)unlink(b);
    FAIL_POINT("probe.tmpfile", m->tmpfile = false);
    FAIL_POINT("probe.exchange", m->exchange = false);
    FAIL_POINT("probe.empty_path", m->at_empty = false);
}

/* --- space for the index on a full disk --- */

static void
reserve_path(const struct mpath *m, char out[512])
{
    snprintf(out, 512, "%s/" STORE_DIR "/reserve", m->path);
}

void
reserve_make(struct mpath *m)
{
    char           path[512];
    uint64_t       want = MIN(8 * MIB, atomic_load(&m->total) / 128 & ~4095ULL);
    struct stat    st;
    auto_close int fd = -1;

    reserve_path(m, path);
    if (stat(path, &st) == 0 && (uint64_t)st.st_size >= want)
        return;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && fallocate(fd, 0, 0, (off_t)want) < 0 && ftruncate(fd, 0) < 0)
        log_warn("no reserve for a full disk", { "mountpath", LZ(m->path) });
}

bool
reserve_free(struct mpath *m)
{
    char        path[512];
    struct stat st;

    reserve_path(m, path);
    if (stat(path, &st) < 0 || st.st_size == 0)
        return false;
    log_warn("disk is full: the reserve is used", { "mountpath", LZ(m->path) });
    return truncate(path, 0) == 0;
}

/* --- health --- */

/* Is the mountpath what it was? Another inode: it was unmounted, or removed and made again. */
static bool
still_there(const struct mpath *m)
{
    struct stat st;

    FAIL_POINT("mpath.vanish", return false);
    return stat(m->path, &st) == 0 && st.st_dev == m->dev && st.st_ino == m->ino && access(m->store_dir, F_OK) == 0;
}

bool
mpath_alive(struct mpath *m)
{
    if (still_there(m))
        return true;
    mpath_trouble(m, -AIS_E_NOENT);
    return false;
}

/* Can it be read at all? A read-only one stays: what it has can be served. */
static bool
readable(const struct mpath *m)
{
    char           path[512];
    auto_close int fd = -1;
    char           c;

    snprintf(path, sizeof(path), "%s/state", m->store_dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && pread(fd, &c, 1, 0) >= 0;
}

/* Nothing of it is touched again: descriptors go, placement passes it over. */
static void
mpath_fail(struct mpath *m, const char *why)
{
    int ok = MPATH_OK, leaving = MPATH_DETACHING;

    if (!atomic_compare_exchange_strong(&m->state, &ok, MPATH_FAILED) &&
        !atomic_compare_exchange_strong(&m->state, &leaving, MPATH_FAILED))
        return;
    log_error("mountpath failed", { "mountpath", LZ(m->path) }, { "why", LZ(why) });
    cache_drop_all(m->store, 0, m);
    layout_failed(m->store);
}

void
mpath_check(struct mpath *m)
{
    if (index_failed(m->index))
        mpath_fail(m, "bus error in the index");
    else if (!still_there(m))
        mpath_fail(m, "it is gone");
    else if (!readable(m))
        mpath_fail(m, "it cannot be read");
}

static void
check_blocking(void *arg)
{
    struct mpath *m = arg;

    mpath_check(m);
    if (atomic_load(&m->suspect) && mpath_readable(m) && !m->leaving)
        (void)fshc_run(m);
    atomic_store(&m->checking, false); /* mpath_close waits for it: m may be gone now */
}

void
mpath_trouble(struct mpath *m, int rc)
{
    if (rc == -AIS_E_IO) {
        atomic_fetch_add(&m->store->io_errors, 1);
        (void)fshc_count(m);
    }
    if (rc != -AIS_E_IO && rc != -AIS_E_NOENT && rc != -AIS_E_READONLY)
        return;
    if (m->leaving || atomic_load(&m->shut) || !mpath_readable(m) || atomic_exchange(&m->checking, true))
        return;
    offload_async(m->store->run, check_blocking, m);
}

/* --- identity --- */

static bool read_line(const char *path, char *out, size_t n);

static void
id_path(const struct mpath *m, char out[512])
{
    snprintf(out, 512, "%s/id", m->store_dir);
}

static int
id_make(struct mpath *m)
{
    char           path[512], tmp[520], line[48];
    auto_close int fd = -1;
    int            n;

    snprintf(m->uuid, sizeof(m->uuid), "%016llx%016llx", (unsigned long long)rand_u64(), (unsigned long long)rand_u64());
    n = snprintf(line, sizeof(line), "%s\n", m->uuid);
    id_path(m, path);
    snprintf(tmp, sizeof(tmp), "%s.new", path);
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, (size_t)n) != n || fsync(fd) < 0 || rename(tmp, path) < 0)
        return err_from_errno(errno);
    return 0;
}

/*
 * Is it the disk that we knew by that name? A folder without the id may be where the disk would be mounted: nothing may be written
 * there. On the same file system it is the disk, emptied.
 */
static int
id_check(struct mpath *m, const char *known_fs, struct err *e)
{
    char path[512], id[40];

    id_path(m, path);
    if (!read_line(path, id, sizeof(id)))
        id[0] = '\0';
    if (m->uuid[0] != '\0' && strcmp(id, m->uuid) != 0) {
        if (id[0] == '\0' && strcmp(known_fs, m->fs_id) == 0) {
            log_error("mountpath was emptied: what it had is lost", { "mountpath", LZ(m->path) });
            m->uuid[0] = '\0';
            return 0;
        }
        return err_set(e, AIS_E_CONFLICT,
                       "mountpath %s: the file system there (%s, %s, id %s) is not the one that this target knows by that path: is the disk "
                       "mounted? To use another one detach the mountpath first",
                       m->path, m->fs, m->fs_type, id[0] == '\0' ? "none" : id);
    }
    snprintf(m->uuid, sizeof(m->uuid), "%s", id);
    return 0;
}

/* --- state file --- */

static bool
read_line(const char *path, char *out, size_t n)
{
    FILE *f = fopen(path, "re");
    bool  ok = f != NULL && fgets(out, (int)n, f) != NULL;

    if (f != NULL)
        fclose(f);
    if (ok)
        out[strcspn(out, "\n")] = '\0';
    return ok;
}

static void
boot_id(char out[64])
{
    snprintf(out, 64, "?");
    (void)read_line("/proc/sys/kernel/random/boot_id", out, 64);
}

/*
 * Written beside and renamed: a half-written state would be taken for none. The name is flushed too: when the power fails right after the
 * start, an old "closed" would say that there is nothing to verify.
 */
static int
write_state(struct mpath *m, const char *state)
{
    char           path[512], tmp[520], boot[64], line[128];
    auto_close int fd = -1, dir = -1;
    int            n;

    boot_id(boot);
    snprintf(path, sizeof(path), "%s/state", m->store_dir);
    snprintf(tmp, sizeof(tmp), "%s.new", path);
    n = snprintf(line, sizeof(line), "%s %s\n", state, boot);
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, (size_t)n) != n || fsync(fd) < 0 || rename(tmp, path) < 0)
        return err_from_errno(errno);
    dir = open(m->store_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || fsync(dir) < 0)
        return err_from_errno(errno);
    return 0;
}

/* Did the machine go down while this mountpath was in use? Then what the journal names is verified. */
static bool
unclean_boot(struct mpath *m)
{
    char path[512], line[128], boot[64];

    boot_id(boot);
    snprintf(path, sizeof(path), "%s/state", m->store_dir);
    if (!read_line(path, line, sizeof(line)))
        return true; /* new, or nobody knows */
    return strncmp(line, "closed ", 7) != 0 && (strncmp(line, "open ", 5) != 0 || strcmp(line + 5, boot) != 0);
}

/* --- opening --- */

static int
open_dirs(struct mpath *m, const char *known_fs, struct err *e)
{
    char        trash[512];
    struct stat st;
    int         rc;

    if (stat(m->path, &st) < 0 || !S_ISDIR(st.st_mode))
        return err_set(e, AIS_E_NOMPATH, "mountpath %s does not exist or is not a directory", m->path);
    m->dev = st.st_dev;
    m->ino = st.st_ino;
    fs_of(m);
    rc = id_check(m, known_fs, e);
    if (rc == 0)
        rc = check_id(m, e);
    if (rc < 0)
        return rc;
    snprintf(trash, sizeof(trash), "%s/" TRASH_DIR, m->path);
    m->rootfd = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rc = m->rootfd < 0 ? err_from_errno(errno) : mkdirs(m->store_dir);
    if (rc == 0)
        rc = mkdirs(trash);
    if (rc == 0 && m->uuid[0] == '\0')
        rc = id_make(m);
    return rc < 0 ? err_set(e, -rc, "mountpath %s: cannot be written: %s", m->path, err_text(rc)) : 0;
}

/* The counter of generations goes on from what was given out before, also when the clock was set back. */
static int
counter_from_index(struct mpath *m)
{
    struct store *s = m->store;
    uint64_t      was, now = atomic_load(&s->counter);
    int           rc = index_number_get(m->index, "counter", &was);

    was += 1ULL << 32; /* more than was given out after that was noted */
    while (rc == 0 && was > now && was > (1ULL << 32) && !atomic_compare_exchange_weak(&s->counter, &now, was))
        ;
    return rc;
}

static int
open_index(struct mpath *m, struct err *e)
{
    char dir[512];
    bool fresh;
    int  rc;

    snprintf(dir, sizeof(dir), "%s/index", m->store_dir);
    m->unclean = unclean_boot(m);
    rc = index_open(dir, &m->index, &fresh, e);
    if (rc < 0)
        return rc;
    rc = counter_from_index(m);
    if (rc < 0)
        return err_set(e, -rc, "index of %s: %s", m->path, err_text(rc));
    m->rows = rows_new(m->index);
    rc = journal_open(m->store_dir, atomic_load(&m->total), &m->journal, e);
    m->journal.salt = hash_bytes(m->uuid, strlen(m->uuid), 11);
    return rc;
}

struct mpath *
mpath_new(struct store *s, const struct lay_entry *as)
{
    struct mpath *m = xcalloc(1, sizeof(*m));

    m->store = s;
    m->mode = as->mode;
    m->by_api = as->by_api;
    snprintf(m->uuid, sizeof(m->uuid), "%s", as->uuid);
    snprintf(m->fs_id, sizeof(m->fs_id), "%s", as->fs_id);
    m->rootfd = m->journal.seg.fd = -1;
    atomic_store(&m->moved, true); /* nobody knows yet */
    snprintf(m->path, sizeof(m->path), "%s", as->path);
    while (strlen(m->path) > 1 && m->path[strlen(m->path) - 1] == '/')
        m->path[strlen(m->path) - 1] = '\0';
    snprintf(m->store_dir, sizeof(m->store_dir), "%s/" STORE_DIR, m->path);
    snprintf(m->label, sizeof(m->label), "%s", as->label);
    m->digest = hrw_digest(m->path, strlen(m->path));
    m->arena = arena_new(64 * KIB, 256 * MIB);
    sbuf_init(&m->group, 256 * MIB);
    checkpoint_init(m);
    return m;
}

static void
mpath_free(struct mpath *m)
{
    checkpoint_fini(m);
    recover_done(m);
    journal_close(&m->journal);
    rows_free(m->rows);
    index_close(m->index);
    fd_close(&m->rootfd);
    sbuf_fini(&m->group);
    arena_free(m->arena);
    free(m);
}

int
mpath_open(struct store *s, const struct lay_entry *as, struct mpath **out, struct err *e)
{
    struct mpath *m = mpath_new(s, as);
    int           rc = open_dirs(m, as->fs_id, e);

    if (rc == 0) {
        probe(m);
        mpath_stat(m);
        rc = open_index(m, e);
    }
    if (rc == 0) {
        reserve_make(m);
        rc = write_state(m, "open");
    }
    if (rc == 0)
        rc = worker_new(s->run, "committer", commit_batch, m, 0, &m->committer);
    if (rc == 0)
        rc = worker_new(s->run, "checkpoint", checkpoint_batch, m, MAX(s->conf.fast_flush_ns * 3 / 4, MSEC_NS(1)),
                        &m->checkpointer);
    if (rc < 0) {
        worker_free(m->committer);
        mpath_free(m);
        return err_fill(e, rc);
    }
    *out = m;
    return 0;
}

void
mpath_close(struct mpath *m)
{
    struct timespec ms = { .tv_nsec = NSEC_PER_MSEC };
    bool            clean;

    worker_free(m->committer);
    worker_free(m->checkpointer);
    /* Nobody else is left but a check that was started before; the last checkpoint starts none. */
    m->leaving = true;
    while (atomic_load(&m->checking))
        nanosleep(&ms, NULL);
    clean = !m->shut && atomic_load(&m->adopted) && checkpoint_run(m, NULL) >= 0;
    if (clean && atomic_load(&m->state) != MPATH_FAILED)
        (void)write_state(m, "closed");
    mpath_free(m);
}

/* --- closing while the process goes on --- */

/* Committer: from here on it does nothing for this mountpath. */
static int
retire_commits(struct cjob *j)
{
    atomic_store(&j->m->shut, true);
    return 0;
}

/* Checkpoint thread: the last checkpoint, then everything is closed. Who looks at rows meanwhile waits, or is told that they are gone. */
static int
retire_files(struct mpath *m, void *arg)
{
    bool *healthy = arg;

    *healthy = *healthy && checkpoint_run(m, NULL) >= 0 && !m->closing && write_state(m, "closed") == 0;
    recover_done(m);
    pthread_mutex_lock(&m->seg_mtx);
    journal_close(&m->journal);
    pthread_mutex_unlock(&m->seg_mtx);
    index_retire(m->index);
    fd_close(&m->rootfd);
    return 0;
}

void
mpath_retire(struct mpath *m, bool healthy)
{
    struct timespec ms = { .tv_nsec = NSEC_PER_MSEC };

    ASSERT(!mpath_readable(m)); /* nobody begins anything there */
    if (atomic_load(&m->shut))
        return;
    cache_drop_all(m->store, 0, m);
    atimes_wait(m->store);
    healthy = healthy && atomic_load(&m->adopted);
    (void)commit_fn(m, retire_commits, NULL);
    (void)checkpoint_call(m, retire_files, &healthy);
    while (atomic_load(&m->checking))
        nanosleep(&ms, NULL);
    log_info("mountpath closed", { "mountpath", LZ(m->path) }, { "clean", LBOOL(healthy) });
}
