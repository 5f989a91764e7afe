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
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

static void
rm_entries(struct sweep *s, DIR *d, unsigned depth)
{
    struct dirent *de;
    int            fd = dirfd(d);

    while (!atomic_load(&s->m->store->stopping) && (de = readdir(d)) != NULL) {
        if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
            continue;
        if (de->d_type != DT_DIR && unlinkat(fd, de->d_name, 0) == 0)
            continue;
        if (depth < MAX_DEPTH)
            rm_dir(s, fd, de->d_name, depth + 1);
        else
            bring_up(s, fd, de->d_name);
    }
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
