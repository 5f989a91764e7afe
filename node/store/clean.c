/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nobody will ask for any more: work files that were left behind. Trash is swept, too, in the background.
 *
 * A work file is left behind when nothing has happened to it for a while: neither written nor renamed (its ctime). A PUT in progress is
 * written all the time, predecessors are kept for a second, an append handle lives as long as its caller was told (space.dont_cleanup_time).
 *
 * Runs on: the offload pool, for a fiber that parks.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "run/offload.h"
#include "store/store_impl.h"

#define DEPTH_MAX 32 /* AIStore's work files may lie in folders as their objects do */

struct cleaning {
    struct store         *s;
    struct mpath         *m;
    const struct bck     *b;
    int64_t               before; /* Unix ns */
    bool                (*stop)(void *arg);
    void                 *arg;
    struct store_cleaned *out;
};

static bool
stopped(const struct cleaning *c)
{
    return atomic_load(&c->s->stopping) || (c->stop != NULL && c->stop(c->arg));
}

static int64_t
changed_at(const struct stat *st)
{
    return (int64_t)st->st_ctim.tv_sec * NSEC_PER_SEC + st->st_ctim.tv_nsec;
}

static void clean_dir(struct cleaning *c, int dirfd, const char *name, unsigned depth);

static void
clean_entry(struct cleaning *c, int dirfd, const char *name, unsigned depth)
{
    struct stat st;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (S_ISDIR(st.st_mode)) {
        if (depth < DEPTH_MAX)
            clean_dir(c, dirfd, name, depth + 1);
        return;
    }
    c->out->seen++;
    if (!S_ISREG(st.st_mode) || changed_at(&st) >= c->before || unlinkat(dirfd, name, 0) < 0)
        return;
    c->out->files++;
    c->out->bytes += (uint64_t)st.st_blocks * 512;
}

static void
clean_dir(struct cleaning *c, int dirfd, const char *name, unsigned depth)
{
    int                  fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR                 *d = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *de;

    if (d == NULL) {
        fd_close(&fd);
        return;
    }
    while (!stopped(c) && (de = readdir(d)) != NULL)
        if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
            clean_entry(c, fd, de->d_name, depth);
    closedir(d);
}

static void
clean_blocking(void *arg)
{
    struct cleaning *c = arg;
    char             path[FQN_MAX];

    if (layout_ct(c->m->path, c->b, CT_WORK, path) > 0)
        clean_dir(c, AT_FDCWD, path, 0);
}

int
store_clean(struct store *s, const struct bck *b, unsigned mpath, int64_t before, bool (*stop)(void *arg), void *arg,
            struct store_cleaned *out)
{
    struct cleaning c = { .s = s, .b = b, .before = before, .stop = stop, .arg = arg, .out = out };

    *out = (struct store_cleaned){ .files = 0 };
    if (mpath >= s->n || atomic_load(&s->mpaths[mpath]->state) != MPATH_OK)
        return -AIS_E_NOMPATH;
    c.m = s->mpaths[mpath];
    offload(clean_blocking, &c);
    return 0;
}

void
store_trash_sweep(struct store *s)
{
    trash_sweep(s);
}
