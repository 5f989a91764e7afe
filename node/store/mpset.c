/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of mountpaths: which there are, how they come and go, and the layout file that remembers it. README.md, "Layout file".
 *
 * A mountpath keeps its place in the list for as long as the process lives: places are what objects and listings name mountpaths by. One
 * that comes back gets a new struct in the old place; the old struct stays until the store is closed, as somebody may look at it still.
 *
 * Runs on: fibers, start-up; what blocks goes to the offload pool. One change at a time (store.attaching).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"
#include "store/store_impl.h"

struct mpath *
mpath_named(struct store *s, struct str path)
{
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    for (unsigned i = 0; i < s->n; i++)
        if (str_eqz(path, s->mpaths[i]->path))
            return s->mpaths[i];
    return NULL;
}

/* --- the layout file --- */

static enum mp_mode
mode_of(const struct mpath *m)
{
    switch ((enum mpath_state)atomic_load(&m->state)) {
    case MPATH_OK:
        return MP_ENABLED;
    case MPATH_DISABLED:
        return MP_DISABLED;
    case MPATH_DETACHING:
        return m->mode;
    case MPATH_FAILED:
        return MP_LOST;
    case MPATH_GONE:
        break;
    }
    return MP_DETACHED;
}

static void
layout_path(const char *mpath, char out[400])
{
    snprintf(out, 400, "%s/" STORE_DIR "/layout", mpath);
}

static int
layout_write(const struct mpath *m, struct str text)
{
    char           path[400], tmp[420];
    auto_close int fd = -1;
    int            rc;

    layout_path(m->path, path);
    snprintf(tmp, sizeof(tmp), "%s.new", path);
    FAIL_POINT("layout.write", return failpoint_error(-AIS_E_IO));
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    rc = fd < 0 ? err_from_errno(errno) : write_all(fd, text.p, text.n);
    if (rc == 0 && (fsync(fd) < 0 || rename(tmp, path) < 0))
        rc = err_from_errno(errno);
    return rc;
}

/* Entries of now, of the version that is. mp_mtx is held, or nobody else is there yet. */
static void
layout_make(struct store *s, struct layfile *l)
{
    l->version = atomic_load(&s->lay_version);
    l->scattered = atomic_load(&s->scattered);
    for (unsigned i = 0; i < s->n && l->n < LAY_MAX; i++) {
        const struct mpath *m = s->mpaths[i];
        struct lay_entry   *e = &l->e[l->n++];

        e->mode = mode_of(m);
        e->by_api = m->by_api;
        snprintf(e->path, sizeof(e->path), "%s", m->path);
        snprintf(e->label, sizeof(e->label), "%s", m->label);
        snprintf(e->uuid, sizeof(e->uuid), "%s", m->uuid);
        snprintf(e->fs_id, sizeof(e->fs_id), "%s", m->fs_id);
    }
}

/* To all that can be written. An error only when it is nowhere: then a restart would not know. */
static int
layout_save(struct store *s)
{
    struct layfile *l = xcalloc(1, sizeof(*l));
    struct sbuf     text;
    unsigned        good = 0;
    int             rc = 0, rc2;

    pthread_mutex_lock(&s->lay_mtx);
    pthread_mutex_lock(&s->mp_mtx);
    atomic_fetch_add(&s->lay_version, 1);
    layout_make(s, l);
    pthread_mutex_unlock(&s->mp_mtx);
    sbuf_init(&text, MIB);
    layfile_encode(l, &text);
    for (unsigned i = 0; i < s->n; i++) {
        if (atomic_load(&s->mpaths[i]->shut) || atomic_load(&s->mpaths[i]->state) == MPATH_FAILED)
            continue;
        rc2 = sbuf_ok(&text) ? layout_write(s->mpaths[i], sbuf_str(&text)) : -AIS_E_NOMEM;
        good += rc2 == 0;
        rc = rc2 < 0 ? rc2 : rc;
    }
    pthread_mutex_unlock(&s->lay_mtx);
    if (rc < 0)
        log_error("layout of mountpaths not written everywhere", { "error", LZ(err_text(rc)) }, { "written", LU64(good) });
    sbuf_fini(&text);
    free(l);
    return good > 0 ? 0 : rc;
}

void
layout_failed(struct store *s)
{
    atomic_fetch_add(&s->layout, 1);
    (void)layout_save(s);
}

struct saving {
    struct store *s;
    int           rc;
};

static void
save_blocking(void *arg)
{
    struct saving *v = arg;

    v->rc = layout_save(v->s);
}

static int
save(struct store *s, struct err *e)
{
    struct saving v = { .s = s };

    offload(save_blocking, &v);
    return v.rc < 0 ? err_set(e, -v.rc, "cannot note the change of mountpaths: %s", err_text(v.rc)) : 0;
}

void
layout_scatter(struct store *s)
{
    if (atomic_exchange(&s->scattered, true))
        return;
    atomic_fetch_add(&s->layout, 1);
    (void)layout_save(s);
}

/* Objects may lie anywhere from now on. Before the set changes, so that nobody who sees the new one looks at one place only. */
static void
scatter(struct store *s)
{
    atomic_store(&s->scattered, true);
    atomic_fetch_add(&s->layout, 1);
}

/* --- at the start --- */

static bool
layout_read(const char *mpath, struct layfile *l)
{
    char   path[400], *p;
    size_t n;
    bool   good;

    layout_path(mpath, path);
    if (file_slurp(path, MIB, &p, &n) < 0)
        return false;
    good = layfile_decode(str_from(p, n), l) == 0;
    if (!good)
        log_error("layout file is damaged", { "file", LZ(path) });
    free(p);
    return good;
}

/* The newest of all copies; version 0: none. Tells how many are of that version. */
static unsigned
layout_find(const struct store_conf *c, struct layfile *newest)
{
    struct layfile *l = xmalloc(sizeof(*l));
    unsigned        n = 0;

    newest->version = 0;
    newest->n = 0;
    newest->scattered = false;
    for (unsigned i = 0; i < c->npaths; i++) {
        *l = (struct layfile){ .n = 0 };
        if (!layout_read(c->paths[i].path, l) || l->version < newest->version)
            continue;
        n = l->version > newest->version ? 1 : n + 1;
        *newest = *l;
    }
    free(l);
    return n;
}

static struct lay_entry *
entry_find(struct layfile *l, const char *path)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/')
        n--;
    for (unsigned i = 0; i < l->n; i++)
        if (strlen(l->e[i].path) == n && memcmp(l->e[i].path, path, n) == 0)
            return &l->e[i];
    return NULL;
}

static void
place(struct store *s, struct mpath *m, enum mpath_state state)
{
    atomic_store(&m->state, (int)state);
    m->idx = s->n;
    s->mpaths[s->n] = m;
    s->n++;
}

/* One that is not opened: only its place and its name. */
static void
place_closed(struct store *s, const struct lay_entry *as, enum mpath_state state)
{
    struct mpath *m = mpath_new(s, as);

    atomic_store(&m->shut, true);
    place(s, m, state);
}

static bool
is_open_mode(enum mp_mode mode)
{
    return mode == MP_ENABLED || mode == MP_DISABLING || mode == MP_DETACHING || mode == MP_LOST;
}

/* last: no other mountpath is left to start with. */
static int
open_entry(struct store *s, const struct lay_entry *as, bool last, struct err *e)
{
    bool          leaving = as->mode == MP_DISABLING || as->mode == MP_DETACHING;
    struct mpath *m;
    int           rc;

    if (!is_open_mode(as->mode)) {
        place_closed(s, as, as->mode == MP_DISABLED ? MPATH_DISABLED : MPATH_GONE);
        return 0;
    }
    rc = mpath_open(s, as, &m, e);
    if (rc == 0) {
        if (as->mode == MP_LOST) /* it is back; meanwhile others had its names */
            scatter(s);
        place(s, m, leaving ? MPATH_DETACHING : MPATH_OK);
        return 0;
    }
    if (last || (!s->conf.start_with_lost_mpath && as->mode != MP_LOST))
        return rc;
    log_error("mountpath is lost, starting without it", { "mountpath", LZ(as->path) }, { "why", LZ(e == NULL ? "" : e->text) });
    place_closed(s, as, MPATH_FAILED);
    return 0;
}

/* Those of the configuration, then those that were attached while the target ran. */
static unsigned
entries_of(struct store *s, struct layfile *l, struct lay_entry *out)
{
    const struct store_conf *c = &s->conf;
    unsigned                 n = 0;

    for (unsigned i = 0; i < c->npaths && n < MAX_MPATHS; i++) {
        struct lay_entry *known = entry_find(l, c->paths[i].path), *e = &out[n++];

        *e = known != NULL ? *known : (struct lay_entry){ .mode = MP_ENABLED };
        if (known == NULL && l->version > 0)
            scatter(s); /* new in the configuration */
        if (known != NULL)
            known->path[0] = '\0'; /* dealt with */
        e->by_api = false;
        snprintf(e->path, sizeof(e->path), "%s", c->paths[i].path);
        snprintf(e->label, sizeof(e->label), "%s", c->paths[i].label == NULL ? "" : c->paths[i].label);
    }
    for (unsigned i = 0; i < l->n && n < MAX_MPATHS; i++) {
        if (l->e[i].path[0] == '\0' || l->e[i].mode == MP_DETACHED)
            continue;
        if (l->e[i].by_api)
            out[n++] = l->e[i];
        else
            log_warn("mountpath is not in the configuration any more: it is left alone", { "mountpath", LZ(l->e[i].path) });
    }
    return n;
}

/* Is what all mountpaths say what is? */
static bool
layout_same(struct store *s, const struct layfile *said, unsigned copies)
{
    struct layfile *now = xcalloc(1, sizeof(*now));
    struct sbuf     a, b;
    bool            same;

    sbuf_init(&a, MIB);
    sbuf_init(&b, MIB);
    layout_make(s, now);
    layfile_encode(said, &a);
    layfile_encode(now, &b);
    same = copies == s->n && sbuf_ok(&a) && sbuf_ok(&b) && str_eq(sbuf_str(&a), sbuf_str(&b));
    sbuf_fini(&a);
    sbuf_fini(&b);
    free(now);
    return same;
}

int
layout_open(struct store *s, struct err *e)
{
    struct layfile   *l = xcalloc(1, sizeof(*l));
    struct lay_entry *all = xcalloc(MAX_MPATHS, sizeof(*all));
    unsigned          n, copies, left = 0, usable = 0;
    int               rc = 0;

    copies = layout_find(&s->conf, l);
    atomic_store(&s->lay_version, l->version);
    atomic_store(&s->scattered, l->scattered);
    n = entries_of(s, l, all);
    for (unsigned i = 0; i < n; i++)
        left += is_open_mode(all[i].mode);
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        left -= is_open_mode(all[i].mode);
        rc = open_entry(s, &all[i], left == 0 && usable == 0 && is_open_mode(all[i].mode), e);
        usable += rc == 0 && mpath_readable(s->mpaths[s->n - 1]);
    }
    free(all);
    if (rc == 0 && !layout_same(s, l, copies))
        rc = layout_save(s);
    free(l);
    if (rc == 0 && atomic_load(&s->scattered))
        log_info("objects may lie on other mountpaths than they should: a resilver is due");
    return usable == 0 && rc == -AIS_E_IO ? 0 : rc;
}

/* --- opening one while the target runs --- */

struct attach {
    struct store           *s;
    const struct lay_entry *as;
    struct mpath           *m;
    struct err             *e;
    int                     rc;
};

static void
attach_blocking(void *arg)
{
    struct attach *a = arg;

    a->rc = mpath_open(a->s, a->as, &a->m, a->e);
}

/* All buckets get their folders there, and what is there already its rows. */
static int
attach_buckets(struct store *s, struct mpath *m, struct err *e)
{
    unsigned    n;
    struct bck *all = bcks_now(s, &n);
    int         rc = 0;

    for (unsigned i = 0; rc == 0 && i < n; i++) {
        const struct bck *b = bck_known(s, all[i].bid);

        if (b != NULL)
            rc = bck_adopt_on(m, b, e);
    }
    free(all);
    return rc < 0 ? rc : mpath_adopted(m);
}

/* In its old place, or in a new one. */
static void
publish(struct store *s, struct mpath *m, struct mpath *old)
{
    pthread_mutex_lock(&s->mp_mtx);
    s->mpaths[m->idx] = m;
    if (old == NULL) {
        s->n++;
    } else {
        old->next_gone = s->gone;
        s->gone = old;
    }
    pthread_mutex_unlock(&s->mp_mtx);
    cache_drop_all(s, 0, NULL); /* placement changed */
}

/* Opened, told of all buckets, then used. old: what has its place now, closed; NULL = nothing. */
static int
attach_open(struct store *s, const struct lay_entry *as, struct mpath *old, struct err *e)
{
    struct attach a = { .s = s, .as = as, .e = e };
    int           rc;

    offload(attach_blocking, &a);
    if (a.rc < 0)
        return a.rc;
    a.m->idx = old != NULL ? old->idx : s->n; /* not in the list yet: nobody looks for it there */
    rc = attach_buckets(s, a.m, e);
    scatter(s);
    if (rc < 0)
        atomic_store(&a.m->state, MPATH_FAILED); /* listed as such; placement passes it over */
    publish(s, a.m, old);
    if (rc == 0)
        rc = attach_buckets(s, a.m, e); /* again: those that were made before it was in the list */
    if (rc == 0)
        rc = save(s, e);
    log_info("mountpath attached", { "mountpath", LZ(a.m->path) }, { "error", LZ(rc < 0 ? err_text(rc) : "") });
    return rc;
}

/* Are a and b the same, or is one inside the other? */
static bool
nested(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);

    return strncmp(a, b, MIN(na, nb)) == 0 && (na == nb || (na < nb ? b[na] : a[nb]) == '/');
}

static int
attach_check(struct store *s, const char *path, const char *label, struct err *e)
{
    struct stat st, other;

    for (unsigned i = 0; i < s->n; i++)
        if (atomic_load(&s->mpaths[i]->state) != MPATH_GONE && nested(path, s->mpaths[i]->path))
            return err_set(e, AIS_E_INVAL, "mountpath %s and mountpath %s are nested", path, s->mpaths[i]->path);
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return err_set(e, AIS_E_NOMPATH, "mountpath %s does not exist or is not a directory", path);
    for (unsigned i = 0; i < s->n && !s->conf.allow_shared_fs && label[0] == '\0'; i++)
        if (atomic_load(&s->mpaths[i]->state) != MPATH_GONE && stat(s->mpaths[i]->path, &other) == 0 && other.st_dev == st.st_dev)
            return err_set(e, AIS_E_INVAL, "mountpaths %s and %s are on the same file system", path, s->mpaths[i]->path);
    return s->n == MAX_MPATHS ? err_set(e, AIS_E_INVAL, "no more than %u mountpaths", MAX_MPATHS) : 0;
}

/* --- what clients ask for; store.attaching is ours --- */

struct closing {
    struct mpath *m;
    bool          healthy;
};

static void
retire_blocking(void *arg)
{
    struct closing *c = arg;

    mpath_retire(c->m, c->healthy);
}

static void
retire(struct mpath *m, bool healthy)
{
    struct closing c = { .m = m, .healthy = healthy };

    offload(retire_blocking, &c);
}

/* What it was when it was closed, or failed: the same disk must be there, unless it was detached. */
static int
come_back(struct store *s, struct mpath *m, struct err *e)
{
    struct lay_entry as = { .mode = MP_ENABLED, .by_api = m->by_api };
    bool             failed = atomic_load(&m->state) == MPATH_FAILED;

    if (failed && m->index != NULL && index_failed(m->index))
        return err_set(e, AIS_E_IO, "mountpath %s failed while its index was read: restart the target when it is repaired", m->path);
    if (failed)
        retire(m, false);
    snprintf(as.path, sizeof(as.path), "%s", m->path);
    snprintf(as.label, sizeof(as.label), "%s", m->label);
    if (atomic_load(&m->state) != MPATH_GONE) {
        snprintf(as.uuid, sizeof(as.uuid), "%s", m->uuid);
        snprintf(as.fs_id, sizeof(as.fs_id), "%s", m->fs_id);
    }
    return attach_open(s, &as, m, e);
}

/* Under mp_mtx; false when it is in that state no more. */
static bool
change_state(struct store *s, struct mpath *m, int from, int to, enum mp_mode mode)
{
    bool is;

    pthread_mutex_lock(&s->mp_mtx);
    is = atomic_compare_exchange_strong(&m->state, &from, to);
    if (is)
        m->mode = mode;
    pthread_mutex_unlock(&s->mp_mtx);
    return is;
}

static int
enable(struct store *s, struct mpath *m, bool *noop, struct err *e)
{
    *noop = false;
    switch ((enum mpath_state)atomic_load(&m->state)) {
    case MPATH_OK:
        *noop = true;
        return 0;
    case MPATH_DETACHING: /* it stays after all */
        scatter(s);
        (void)change_state(s, m, MPATH_DETACHING, MPATH_OK, MP_ENABLED);
        cache_drop_all(s, 0, NULL);
        return save(s, e);
    case MPATH_DISABLED:
    case MPATH_FAILED:
    case MPATH_GONE:
        break;
    }
    return come_back(s, m, e);
}

static unsigned
available(struct store *s)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->n; i++)
        n += atomic_load(&s->mpaths[i]->state) == MPATH_OK;
    return n;
}

/* Out at once. What it has is not to be had until it is back. */
static int
leave_now(struct store *s, struct mpath *m, enum mpath_state to, struct err *e)
{
    int  was = atomic_load(&m->state);
    bool healthy = was == MPATH_OK || was == MPATH_DETACHING;
    int  rc;

    atomic_fetch_add(&s->layout, 1);
    while (!change_state(s, m, was, (int)to, MP_ENABLED))
        was = atomic_load(&m->state);
    rc = save(s, e); /* before it is closed: it gets its copy, too, if another one can be written */
    cache_drop_all(s, 0, NULL);
    retire(m, healthy);
    atomic_fetch_add(&s->layout, 1);
    log_info("mountpath left", { "mountpath", LZ(m->path) }, { "detached", LBOOL(to == MPATH_GONE) });
    return available(s) == 0 ? 0 : rc;
}

/* Nothing new goes there, and the resilver brings away what is there. */
static int
leave_later(struct store *s, struct mpath *m, enum mp_mode mode, struct err *e)
{
    if (available(s) <= 1) /* there is nowhere to bring it */
        return leave_now(s, m, mode == MP_DETACHING ? MPATH_GONE : MPATH_DISABLED, e);
    scatter(s);
    if (!change_state(s, m, MPATH_OK, MPATH_DETACHING, mode))
        return err_set(e, AIS_E_IO, "mountpath %s failed", m->path);
    cache_drop_all(s, 0, NULL);
    log_info("mountpath is to leave", { "mountpath", LZ(m->path) }, { "detached", LBOOL(mode == MP_DETACHING) });
    return save(s, e);
}

bool
mpath_give_up(struct mpath *m)
{
    struct store *s = m->store;
    bool          left = false;

    if (atomic_exchange(&s->attaching, true))
        return false;
    if (available(s) > 1) {
        scatter(s);
        left = change_state(s, m, MPATH_OK, MPATH_DETACHING, MP_DISABLING);
    }
    if (left) {
        cache_drop_all(s, 0, NULL);
        (void)layout_save(s);
    }
    atomic_store(&s->attaching, false);
    return left;
}

static int
leave(struct store *s, struct mpath *m, bool now, enum mpath_state to, bool *noop, struct err *e)
{
    enum mp_mode mode = to == MPATH_GONE ? MP_DETACHING : MP_DISABLING;

    *noop = false;
    switch ((enum mpath_state)atomic_load(&m->state)) {
    case MPATH_OK:
        return now ? leave_now(s, m, to, e) : leave_later(s, m, mode, e);
    case MPATH_DETACHING:
        if (now)
            return leave_now(s, m, to, e);
        *noop = m->mode == mode || to == MPATH_DISABLED;
        if (*noop)
            return 0;
        (void)change_state(s, m, MPATH_DETACHING, MPATH_DETACHING, mode);
        return save(s, e);
    case MPATH_DISABLED:
    case MPATH_FAILED:
        *noop = to == MPATH_DISABLED;
        return *noop ? 0 : leave_now(s, m, to, e);
    case MPATH_GONE:
        break;
    }
    return err_set(e, AIS_E_NOMPATH, "mountpath %s does not exist", m->path);
}

static int
begin(struct store *s, struct str path, struct mpath **m, struct err *e)
{
    *m = mpath_named(s, path);
    if (*m == NULL || atomic_load(&(*m)->state) == MPATH_GONE)
        return err_set(e, AIS_E_NOMPATH, "mountpath %.*s does not exist", STR_FMT(path));
    if (atomic_exchange(&s->attaching, true))
        return err_set(e, AIS_E_BUSY, "another mountpath is coming or going");
    *m = mpath_named(s, path); /* nobody else changes that now */
    return 0;
}

int
store_mpath_enable(struct store *s, struct str path, bool *was_noop, struct err *e)
{
    struct mpath *m;
    int           rc = begin(s, path, &m, e);

    if (rc < 0)
        return rc;
    rc = enable(s, m, was_noop, e);
    atomic_store(&s->attaching, false);
    return rc;
}

int
store_mpath_disable(struct store *s, struct str path, bool now, bool *was_noop, struct err *e)
{
    struct mpath *m;
    int           rc = begin(s, path, &m, e);

    if (rc < 0)
        return rc;
    rc = leave(s, m, now, MPATH_DISABLED, was_noop, e);
    atomic_store(&s->attaching, false);
    return rc;
}

int
store_mpath_detach(struct store *s, struct str path, bool now, struct err *e)
{
    struct mpath *m;
    bool          noop;
    int           rc = begin(s, path, &m, e);

    if (rc < 0)
        return rc;
    rc = leave(s, m, now, MPATH_GONE, &noop, e);
    atomic_store(&s->attaching, false);
    return rc;
}

static int
attach(struct store *s, const struct lay_entry *as, struct err *e)
{
    struct mpath *m = mpath_named(s, str_z(as->path));
    bool          noop;
    int           rc;

    if (m != NULL && atomic_load(&m->state) == MPATH_OK)
        return err_set(e, AIS_E_EXISTS, "mountpath %s is already attached", m->path);
    if (m != NULL && atomic_load(&m->state) != MPATH_GONE)
        return enable(s, m, &noop, e);
    if (m == NULL) {
        rc = attach_check(s, as->path, as->label, e);
        return rc < 0 ? rc : attach_open(s, as, NULL, e);
    }
    snprintf(m->label, sizeof(m->label), "%s", as->label);
    return come_back(s, m, e);
}

int
store_mpath_attach(struct store *s, struct str path, struct str label, struct err *e)
{
    struct lay_entry as = { .mode = MP_ENABLED, .by_api = true };
    int              rc;

    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    if (!str_copyz(path, as.path, sizeof(as.path)) || !str_copyz(label, as.label, sizeof(as.label)) || as.path[0] != '/')
        return err_set(e, AIS_E_INVAL, "bad mountpath \"%.*s\": an absolute path is needed", STR_FMT(path));
    if (atomic_exchange(&s->attaching, true))
        return err_set(e, AIS_E_BUSY, "another mountpath is coming or going");
    rc = attach(s, &as, e);
    atomic_store(&s->attaching, false);
    return rc;
}

/* --- the end of a resilver --- */

static void
left(struct store *s, struct mpath *m)
{
    int to = m->mode == MP_DISABLING ? MPATH_DISABLED : MPATH_GONE;

    if (change_state(s, m, MPATH_DETACHING, to, MP_ENABLED))
        log_info("mountpath left", { "mountpath", LZ(m->path) }, { "detached", LBOOL(to == MPATH_GONE) });
}

int
layout_settled(struct store *s, uint64_t version)
{
    bool gone[MAX_MPATHS] = { false };
    int  rc;

    if (atomic_exchange(&s->attaching, true))
        return -AIS_E_AGAIN;
    if (atomic_load(&s->lay_version) != version) {
        atomic_store(&s->attaching, false);
        return -AIS_E_AGAIN;
    }
    for (unsigned i = 0; i < s->n; i++) {
        gone[i] = atomic_load(&s->mpaths[i]->state) == MPATH_DETACHING;
        if (gone[i])
            left(s, s->mpaths[i]);
    }
    atomic_store(&s->scattered, false);
    rc = layout_save(s);
    if (rc < 0)
        atomic_store(&s->scattered, true); /* a restart would think so, too */
    for (unsigned i = 0; i < s->n; i++)
        if (gone[i])
            mpath_retire(s->mpaths[i], true);
    atomic_fetch_add(&s->layout, 1);
    cache_drop_all(s, 0, NULL);
    atomic_store(&s->attaching, false);
    return rc;
}
