/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of a target: opening and closing.
 *
 * Runs on: the thread that starts the node. Blocks.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"
#include "store/store_impl.h"


static void
conf_defaults(struct store *s)
{
    struct store_conf *c = &s->conf;
    struct rlimit      rl;

    if (c->cache_entries == 0)
        c->cache_entries = 65536;
    if (c->cache_bytes == 0)
        c->cache_bytes = 24 * MIB;
    if (c->cache_fds == 0) {
        c->cache_fds = 4096;
        if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur != RLIM_INFINITY)
            c->cache_fds = (uint32_t)MIN(rl.rlim_cur / 4, (rlim_t)16384);
    }
    if (c->fast_flush_ns == 0)
        c->fast_flush_ns = SEC_NS(1);
    if (c->tomb_ttl_ns == 0)
        c->tomb_ttl_ns = 24 * 3600 * SEC_NS(1);
    s->shard_bytes = MAX(c->cache_bytes / SHARDS, (uint64_t)8192);
    s->shard_entries = MAX(c->cache_entries / SHARDS, 8u);
    s->shard_fds = MAX(c->cache_fds / SHARDS, 2u);
    store_set_watermarks(s, c->cleanupwm > 0 ? c->cleanupwm : 65, c->lowwm > 0 ? c->lowwm : 75,
                         c->highwm > 0 ? c->highwm : 90, c->oos > 0 ? c->oos : 95);
}

/* Is one of the paths inside another, or on the same file system where that is not allowed? */
static int
check_paths(const struct store_conf *c, struct err *e)
{
    struct stat a, b;

    for (unsigned i = 0; i < c->npaths; i++)
        for (unsigned k = 0; k < c->npaths; k++) {
            size_t n = strlen(c->paths[i].path);

            if (i == k)
                continue;
            if (strncmp(c->paths[i].path, c->paths[k].path, n) == 0 &&
                (c->paths[k].path[n] == '/' || c->paths[k].path[n] == '\0'))
                return err_set(e, AIS_E_INVAL, "mountpath %s lies inside mountpath %s", c->paths[k].path, c->paths[i].path);
            if (!c->allow_shared_fs && stat(c->paths[i].path, &a) == 0 && stat(c->paths[k].path, &b) == 0 &&
                a.st_dev == b.st_dev && (c->paths[i].label == NULL || c->paths[i].label[0] == '\0'))
                return err_set(e, AIS_E_INVAL, "mountpaths %s and %s are on the same file system", c->paths[i].path,
                               c->paths[k].path);
        }
    return 0;
}

int
store_open(const struct store_conf *c, struct store **out, struct err *e)
{
    struct store *s = xcalloc(1, sizeof(*s));
    int           rc;

    ASSERT_MAY_BLOCK();
    s->conf = *c;
    s->run = c->run;
    snprintf(s->node_id, sizeof(s->node_id), "%s", c->node_id);
    conf_defaults(s);
    cache_init(s);
    nlocks_init(&s->names);
    MUST(pthread_mutex_init(&s->mp_mtx, NULL));
    MUST(pthread_mutex_init(&s->lay_mtx, NULL));
    MUST(pthread_mutex_init(&s->up_mtx, NULL));
    MUST(pthread_mutex_init(&s->live_mtx, NULL));
    MUST(pthread_mutex_init(&s->at_mtx, NULL));
    atomic_store(&s->counter, (uint64_t)clock_real());
    rc = c->npaths == 0 ? err_set(e, AIS_E_INVAL, "a target needs at least one mountpath") : check_paths(c, e);
    if (rc == 0)
        rc = layout_open(s, e);
    if (rc < 0) {
        store_close(s);
        return rc;
    }
    (void)store_cap_refresh(s);
    *out = s;
    return 0;
}

void
store_close(struct store *s)
{
    struct timespec ms = { .tv_nsec = NSEC_PER_MSEC };
    struct mpath   *m;

    if (s == NULL)
        return;
    ASSERT_MAY_BLOCK();
    atomic_store(&s->stopping, true);
    while (atomic_load(&s->trash_busy) > 0)
        nanosleep(&ms, NULL);
    cache_drop_all(s, 0, NULL);
    for (unsigned i = 0; i < s->n; i++)
        mpath_close(s->mpaths[i]);
    while ((m = s->gone) != NULL) {
        s->gone = m->next_gone;
        mpath_close(m);
    }
    mpt_fini(s);
    bck_fini(s);
    cache_fini(s);
    nlocks_fini(&s->names);
    hmap_fini(&s->live);
    pthread_mutex_destroy(&s->mp_mtx);
    pthread_mutex_destroy(&s->lay_mtx);
    pthread_mutex_destroy(&s->up_mtx);
    pthread_mutex_destroy(&s->live_mtx);
    pthread_mutex_destroy(&s->at_mtx);
    free(s->at_queue);
    free(s);
}

void
store_set_fence(struct store *s, uint32_t epoch, uint64_t term, uint64_t smap_ver)
{
    atomic_store(&s->epoch, epoch);
    atomic_store(&s->term, term);
    atomic_store(&s->smap_ver, smap_ver);
}
