/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trash: folders that were renamed away and are removed in the background.
 *
 * What a sweep leaves because the node stops is swept after the next start.
 *
 * Runs on: threads that may block.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"
#include "store/store_impl.h"

#define MAX_DEPTH 64 /* descriptors held by one sweep; what lies deeper is brought up first */

struct sweep {
    struct mpath *m;
    int           root; /* the trash folder */
    bool          more; /* folders were brought up into it */
};

static void rm_entries(struct sweep *s, DIR *d, unsigned depth);

static void
bring_up(struct sweep *s, int dirfd, const char *name)
{
    char to[64];

    snprintf(to, sizeof(to), "deep.%llx.%x", (unsigned long long)clock_real(), (unsigned)atomic_fetch_add(&s->m->seq, 1));
    if (renameat(dirfd, name, s->root, to) == 0)
        s->more = true;
}

static void
rm_dir(struct sweep *s, int dirfd, const char *name, unsigned depth)
{
    int  fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

    if (d == NULL) {
        fd_close(&fd);
        return;
    }
    rm_entries(s, d, depth);
    closedir(d);
    (void)unlinkat(dirfd, name, AT_REMOVEDIR);
}

/* Entries of one folder, read before they are removed: in the order of their inodes, which is several times faster than readdir's. */
#define BATCH 65536u

struct batch {
    struct entry {
        ino_t    ino;
        uint32_t name; /* where in names */
        bool     dir;
    }          *e;
    unsigned    n;
    struct sbuf names;
};

static int
entry_cmp(const void *va, const void *vb)
{
    const struct entry *a = va, *b = vb;

    return a->ino < b->ino ? -1 : a->ino > b->ino;
}

/* The next entries of the folder; false at its end. */
static bool
batch_fill(struct batch *b, DIR *d)
{
    struct dirent *de;

    b->n = 0;
    b->names.n = 0;
    while (b->n < BATCH && (de = readdir(d)) != NULL) {
        if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
            continue;
        if ((b->n & (b->n - 1)) == 0) /* full: one, two, four, ... */
            b->e = xrealloc(b->e, MAX(2 * b->n, 1u) * sizeof(*b->e));
        b->e[b->n++] = (struct entry){ .ino = de->d_ino, .name = (uint32_t)b->names.n, .dir = de->d_type == DT_DIR };
        sbuf_put(&b->names, de->d_name, strlen(de->d_name) + 1);
    }
    if (!sbuf_ok(&b->names)) /* no memory: the rest is swept at the next start */
        return false;
    if (b->n > 0)
        qsort(b->e, b->n, sizeof(*b->e), entry_cmp);
    return b->n > 0;
}

static void
rm_entries(struct sweep *s, DIR *d, unsigned depth)
{
    struct batch b = { .e = NULL };
    int          fd = dirfd(d);

    sbuf_init(&b.names, BATCH * (NAME_MAX + 1));
    while (!atomic_load(&s->m->store->stopping) && batch_fill(&b, d)) {
        for (unsigned i = 0; i < b.n && !atomic_load(&s->m->store->stopping); i++) {
            const char *name = b.names.p + b.e[i].name;

            if (!b.e[i].dir && unlinkat(fd, name, 0) == 0)
                continue;
            if (depth < MAX_DEPTH)
                rm_dir(s, fd, name, depth + 1);
            else
                bring_up(s, fd, name);
        }
    }
    sbuf_fini(&b.names);
    free(b.e);
}

static void
sweep_mpath(struct mpath *m)
{
    struct sweep s = { .m = m };
    char         path[512];
    DIR         *d;

    snprintf(path, sizeof(path), "%s/" TRASH_DIR, m->path);
    d = opendir(path);
    if (d == NULL)
        return;
    s.root = dirfd(d);
    do {
        s.more = false;
        rewinddir(d);
        rm_entries(&s, d, 0);
    } while (s.more && !atomic_load(&m->store->stopping));
    closedir(d);
    mpath_stat(m);
}

static void
sweep_blocking(void *arg)
{
    struct store *s = arg;
    unsigned      asked;

    do {
        asked = atomic_load(&s->sweeps);
        for (unsigned i = 0; i < s->n; i++)
            if (mpath_readable(s->mpaths[i]))
                sweep_mpath(s->mpaths[i]);
    } while (!atomic_compare_exchange_strong(&s->sweeps, &asked, 0));
    atomic_fetch_sub(&s->trash_busy, 1);
}

/* One sweep at a time, which looks again when it was asked meanwhile: many buckets that go must not take all threads of the pool. */
void
trash_sweep(struct store *s)
{
    if (atomic_fetch_add(&s->sweeps, 1) > 0)
        return;
    atomic_fetch_add(&s->trash_busy, 1);
    offload_async(s->run, sweep_blocking, s);
}

int
trash_dir(struct mpath *m, const char *path)
{
    char        to[FQN_MAX], dir[FQN_MAX + 1];
    const char *base = strrchr(path, '/');

    snprintf(dir, sizeof(dir), "%s/", path); /* a folder or nothing: a file of that name is not ours */
    snprintf(to, sizeof(to), "%s/" TRASH_DIR "/%s.%llx.%x", m->path, base == NULL ? path : base + 1,
             (unsigned long long)clock_real(), (unsigned)atomic_fetch_add(&m->seq, 1));
    FAIL_POINT("trash.rename", return failpoint_error(-AIS_E_IO));
    if (rename(dir, to) == 0 || errno == ENOENT || errno == ENOTDIR)
        return 0;
    log_warn("cannot move to trash", { "path", LZ(path) }, { "error", LZ(strerror(errno)) });
    return err_from_errno(errno);
}
