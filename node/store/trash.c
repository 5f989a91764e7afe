/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trash: folders that were renamed away and are removed in the background.
 *
 * Runs on: threads that may block.
 */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "store/store_impl.h"

static int
rm_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    UNUSED(st);
    UNUSED(type);
    UNUSED(f);
    (void)remove(path);
    return 0;
}

static void
sweep_mpath(struct mpath *m)
{
    char           dir[512], path[1024];
    DIR           *d;
    struct dirent *de;

    snprintf(dir, sizeof(dir), "%s/" TRASH_DIR, m->path);
    d = opendir(dir);
    while (d != NULL && (de = readdir(d)) != NULL) {
        if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
        (void)nftw(path, rm_one, 32, FTW_DEPTH | FTW_PHYS);
    }
    if (d != NULL)
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
