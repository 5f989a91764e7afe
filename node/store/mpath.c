/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mountpaths: opening, identity, space, trash, and rebuilding an index from the files.
 *
 * Runs on: threads that may block, unless a function is pure.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"
#include "store/store_impl.h"

int
mkdirs(const char *path)
{
    auto_free char *p = xstrdup(path);

    if (mkdir(path, 0755) == 0 || errno == EEXIST)
        return 0;
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

/* --- placement --- */

struct mpath *
mpath_of_digest(struct store *s, uint64_t digest)
{
    struct mpath *best = NULL;
    uint64_t      max = 0;

    for (unsigned i = 0; i < s->n; i++) {
        struct mpath *m = s->mpaths[i];
        uint64_t      w;

        if (m == NULL || atomic_load_explicit(&m->state, memory_order_relaxed) != MPATH_OK)
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

void
work_name(struct mpath *m, const struct bck *b, const char *prefix, struct str name, char out[FQN_MAX])
{
    static const char tie[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t          seq = atomic_fetch_add(&m->seq, 1);
    char              hex[17];
    int               n = layout_ct(m->path, b, CT_WORK, out);

    ASSERT(n > 0);
    str_from_u64(hash_bytes(name.p, name.n, rand_u64()), 16, hex); /* seq comes round: in a day or two, and after a restart */
    snprintf(out + n, (size_t)(FQN_MAX - n), "/%s.%s.%c%c%c.%x", prefix, hex, tie[seq & 63], tie[seq >> 6 & 63],
             tie[seq >> 12 & 63], (unsigned)getpid());
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

/* Which file-system facilities work here? */
static void
probe(struct mpath *m)
{
    char           dir[512], name[600];
    auto_close int fd = -1;

    snprintf(dir, sizeof(dir), "%s/" STORE_DIR, m->path);
    snprintf(name, sizeof(name), "%s/probe", dir);
    (void)unlink(name);
    fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
    m->tmpfile = fd >= 0;
    if (fd >= 0)
        m->at_empty = linkat(fd, "", AT_FDCWD, name, AT_EMPTY_PATH) == 0;
    (void)unlink(name);
}

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

static int
write_state(struct mpath *m, const char *state)
{
    char           path[512], boot[64] = "?", line[128];
    auto_close int fd = -1;
    int            n;

    (void)read_line("/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
    snprintf(path, sizeof(path), "%s/" STORE_DIR "/state", m->path);
    n = snprintf(line, sizeof(line), "%s %s\n", state, boot);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, (size_t)n) != n || fsync(fd) < 0)
        return err_from_errno(errno);
    return 0;
}

/* Was the machine restarted while this mountpath was in use? Then the index cannot be believed. */
static bool
unclean_boot(struct mpath *m)
{
    char path[512], line[128], boot[64] = "?";

    (void)read_line("/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
    snprintf(path, sizeof(path), "%s/" STORE_DIR "/state", m->path);
    if (!read_line(path, line, sizeof(line)))
        return false;
    return strncmp(line, "open ", 5) == 0 && strcmp(line + 5, boot) != 0;
}

int
mpath_open(struct store *s, const char *path, const char *label, struct mpath **out, struct err *e)
{
    struct mpath *m = xcalloc(1, sizeof(*m));
    char          dir[512];
    bool          fresh = false;
    struct stat   st;
    int           rc;

    m->store = s;
    m->jfd = m->rootfd = -1;
    snprintf(m->path, sizeof(m->path), "%s", path);
    while (strlen(m->path) > 1 && m->path[strlen(m->path) - 1] == '/')
        m->path[strlen(m->path) - 1] = '\0';
    snprintf(m->label, sizeof(m->label), "%s", label == NULL ? "" : label);
    m->digest = hrw_digest(m->path, strlen(m->path));
    if (stat(m->path, &st) < 0 || !S_ISDIR(st.st_mode)) {
        rc = err_set(e, AIS_E_NOMPATH, "mountpath %s does not exist or is not a directory", m->path);
        goto fail;
    }
    rc = check_id(m, e);
    if (rc < 0)
        goto fail;
    m->rootfd = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(dir, sizeof(dir), "%s/" STORE_DIR, m->path);
    rc = mkdirs(dir);
    if (rc == 0) {
        snprintf(dir, sizeof(dir), "%s/" TRASH_DIR, m->path);
        rc = mkdirs(dir);
    }
    if (rc < 0 || m->rootfd < 0) {
        rc = err_set(e, rc < 0 ? -rc : AIS_E_IO, "mountpath %s: cannot be written: %s", m->path, err_text(rc));
        goto fail;
    }
    probe(m);
    fs_of(m);
    mpath_stat(m);
    snprintf(dir, sizeof(dir), "%s/" STORE_DIR "/index", m->path);
    m->rebuild = unclean_boot(m);
    rc = index_open(dir, m->rebuild, &m->index, &fresh, e);
    if (rc < 0)
        goto fail;
    snprintf(dir, sizeof(dir), "%s/" STORE_DIR "/journal", m->path);
    m->jfd = open(dir, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    rc = m->jfd < 0 ? err_set(e, -err_from_errno(errno), "cannot open the journal %s: %s", dir, strerror(errno)) : 0;
    if (rc == 0)
        rc = write_state(m, "open");
    if (rc == 0)
        rc = worker_new(s->run, "committer", commit_batch, m, 0, &m->committer);
    if (rc < 0)
        goto fail;
    *out = m;
    return 0;
fail:
    index_close(m->index);
    fd_close(&m->jfd);
    fd_close(&m->rootfd);
    free(m);
    return err_fill(e, rc);
}

void
mpath_close(struct mpath *m)
{
    if (m == NULL)
        return;
    worker_free(m->committer);
    if (m->rootfd >= 0)
        (void)syncfs(m->rootfd);
    index_close(m->index);
    (void)write_state(m, "closed");
    fd_close(&m->jfd);
    fd_close(&m->rootfd);
    free(m);
}

/* --- trash --- */

static int
rm_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    UNUSED(st);
    UNUSED(type);
    UNUSED(f);
    (void)remove(path);
    return 0;
}

struct sweep {
    struct store *s;
};

static void
sweep_blocking(void *arg)
{
    struct store *s = arg;

    for (unsigned i = 0; i < s->n; i++) {
        char           dir[512], path[1024];
        DIR           *d;
        struct dirent *de;

        if (s->mpaths[i] == NULL)
            continue;
        snprintf(dir, sizeof(dir), "%s/" TRASH_DIR, s->mpaths[i]->path);
        d = opendir(dir);
        while (d != NULL && (de = readdir(d)) != NULL) {
            if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
                continue;
            snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
            (void)nftw(path, rm_one, 32, FTW_DEPTH | FTW_PHYS);
        }
        if (d != NULL)
            closedir(d);
        mpath_stat(s->mpaths[i]);
    }
    atomic_fetch_sub(&s->trash_busy, 1);
}

void
trash_sweep(struct store *s)
{
    atomic_fetch_add(&s->trash_busy, 1);
    offload_async(s->run, sweep_blocking, s);
}

void
trash_dir(struct mpath *m, const char *path)
{
    char        to[FQN_MAX];
    const char *base = strrchr(path, '/');

    snprintf(to, sizeof(to), "%s/" TRASH_DIR "/%s.%llx.%x", m->path, base == NULL ? path : base + 1,
             (unsigned long long)clock_real(), (unsigned)atomic_fetch_add(&m->seq, 1));
    if (rename(path, to) < 0 && errno != ENOENT)
        log_warn("cannot move to trash", { "path", LZ(path) }, { "error", LZ(strerror(errno)) });
}

/* --- rebuilding --- */

struct rebuild {
    struct mpath     *m;
    const struct bck *b;
    struct index_txn *txn;
    unsigned          in_txn;
    uint64_t          objects, skipped;
    size_t            base; /* length of ".../%ob/" */
    int               rc;
    char              path[FQN_MAX];
};

static void
rebuild_file(struct rebuild *rb)
{
    auto_close int fd = open(rb->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct str     name = str_z(rb->path + rb->base);
    char           raw[LMETA_MAX], real[OBJ_NAME_MAX + 1];
    struct lmeta   meta;
    struct obj    *o = NULL;
    struct ientry  en;
    ssize_t        n;

    if (fd < 0)
        return;
    n = fgetxattr(fd, LMETA_XATTR, raw, sizeof(raw));
    if (n <= 0 || lmeta_decode(raw, (size_t)n, &meta) < 0) {
        rb->skipped++;
        return;
    }
    for (unsigned i = 0; i < meta.ncustom; i++)
        if (str_eqz(meta.custom[i].k, "orig_fntl") && layout_name_of_orig(meta.custom[i].v).n > 0) {
            if (!str_copyz(layout_name_of_orig(meta.custom[i].v), real, sizeof(real)))
                return;
            name = str_z(real);
        }
    /* A mirror copy lists where the main replica lies; only the file at the mountpath that owns the name is indexed. */
    if (mpath_of(rb->m->store, rb->b, name) != rb->m)
        return;
    if (obj_load_fd(rb->m, rb->b, name, rb->path, fd, &o) < 0) {
        rb->skipped++;
        return;
    }
    entry_of(o, &en);
    if (rb->txn == NULL)
        rb->rc = index_begin(rb->m->index, &rb->txn);
    if (rb->rc == 0)
        rb->rc = index_put(rb->txn, rb->b->bid, name, &en);
    obj_close(o);
    if (rb->rc == 0 && ++rb->in_txn >= 4096) {
        rb->rc = index_commit(rb->txn);
        rb->txn = NULL;
        rb->in_txn = 0;
    }
    rb->objects++;
}

static void
rebuild_dir(struct rebuild *rb)
{
    size_t         n = strlen(rb->path);
    DIR           *d = opendir(rb->path);
    struct dirent *de;

    while (d != NULL && rb->rc == 0 && (de = readdir(d)) != NULL) {
        struct stat st;
        int         type = de->d_type;

        if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0 ||
            (size_t)snprintf(rb->path + n, sizeof(rb->path) - n, "/%s", de->d_name) >= sizeof(rb->path) - n)
            continue;
        if (type == DT_UNKNOWN && lstat(rb->path, &st) == 0)
            type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG : DT_UNKNOWN;
        if (type == DT_DIR)
            rebuild_dir(rb);
        else if (type == DT_REG)
            rebuild_file(rb);
        rb->path[n] = '\0';
    }
    if (d != NULL)
        closedir(d);
}

int
rebuild_bck(struct mpath *m, const struct bck *b, uint64_t *objects, struct err *e)
{
    struct rebuild rb = { .m = m, .b = b };
    bool           left = true;
    int            n = layout_ct(m->path, b, CT_OBJ, rb.path);

    rb.base = (size_t)n + 1;
    while (rb.rc == 0 && left) {
        rb.rc = index_begin(m->index, &rb.txn);
        if (rb.rc == 0)
            rb.rc = index_del_some(rb.txn, b->bid, 10000, &left);
        if (rb.rc == 0) {
            rb.rc = index_commit(rb.txn);
            rb.txn = NULL;
        }
    }
    if (rb.rc == 0)
        rebuild_dir(&rb);
    if (rb.rc == 0 && rb.txn == NULL)
        rb.rc = index_begin(m->index, &rb.txn);
    if (rb.rc == 0)
        rb.rc = index_bck_mark(rb.txn, b->bid, true);
    if (rb.rc == 0) {
        rb.rc = index_commit(rb.txn);
        rb.txn = NULL;
    }
    if (rb.txn != NULL)
        index_abort(rb.txn);
    if (rb.rc < 0)
        return err_set(e, -rb.rc, "cannot rebuild the index of %.*s on %s: %s", STR_FMT(b->name), m->path, err_text(rb.rc));
    if (rb.objects > 0 || rb.skipped > 0)
        log_info("index rebuilt", { "mountpath", LZ(m->path) }, { "bucket", LSTR(b->name) }, { "objects", LU64(rb.objects) },
                 { "unreadable", LU64(rb.skipped) });
    atomic_fetch_add(&m->store->rebuilt, rb.objects);
    *objects = rb.objects;
    return 0;
}
