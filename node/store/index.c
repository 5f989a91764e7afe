/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ordered index of one mountpath, on LMDB. Runs on: threads that may block (committer, offload pool).
 */
#include "store/index.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"

#define OBJ_NAME_BUF 4096 /* the longest name, with room */
#define PART      490 /* bytes of a name in one key */
#define MAPSIZE   (64ULL << 30)
#define GID_BIT   (1ULL << 62) /* prefixes of groups; bucket serials are below 2^60 */
#define VAL_GROUP 0x67         /* first byte of a group pointer; entries begin with their format version */
#define VAL_ENTRY 0x01

struct index {
    MDB_env     *env;
    MDB_dbi      main, meta, tombs;
    uint64_t     next_gid; /* writer only */
    pthread_rwlock_t lock; /* read: somebody uses the environment */
    bool         retired;  /* it is closed; the lock */
    _Atomic bool failed;   /* a bus error: LMDB's locks and transactions are in an unknown state */
    struct index *next;    /* abandoned ones */
};

/* Indexes that failed: never touched again, not even to free them. */
static _Atomic(struct index *) abandoned;

struct index_txn {
    struct index *ix;
    MDB_txn      *txn;
};

/* --- values --- */

static void
put_varint(struct sbuf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        sbuf_putc(b, (char)(v | 0x80));
    sbuf_putc(b, (char)v);
}

static void
put_blob(struct sbuf *b, struct str s)
{
    put_varint(b, s.n);
    sbuf_puts(b, s);
}

static bool
get_varint(struct str *in, uint64_t *v)
{
    *v = 0;
    for (unsigned shift = 0; shift < 64 && in->n > 0; shift += 7) {
        unsigned char c = (unsigned char)in->p[0];

        *in = str_from_off(*in, 1);
        *v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return true;
    }
    return false;
}

static bool
get_blob(struct str *in, struct str *s)
{
    uint64_t n;

    if (!get_varint(in, &n) || n > in->n)
        return false;
    *s = str_from(in->p, (size_t)n);
    *in = str_from_off(*in, (size_t)n);
    return true;
}

void
ientry_encode(const struct ientry *e, struct sbuf *b)
{
    unsigned char raw[CKSUM_HEX_MAX / 2];
    size_t        hex = strlen(e->cksum.value);

    sbuf_putc(b, VAL_ENTRY);
    sbuf_putc(b, (char)e->flags);
    sbuf_putc(b, (char)e->cksum.type);
    put_varint(b, e->size);
    put_varint(b, (uint64_t)e->mtime_ns);
    put_varint(b, (uint64_t)e->atime_ns);
    put_varint(b, e->copies);
    put_varint(b, e->gen.epoch);
    put_varint(b, e->gen.term);
    put_varint(b, e->gen.smap_ver);
    put_varint(b, e->gen.counter);
    if (hex % 2 == 0 && hex / 2 <= sizeof(raw) && str_unhex(str_from(e->cksum.value, hex), raw, hex / 2))
        put_blob(b, str_from((const char *)raw, hex / 2));
    else
        put_varint(b, 0);
    put_blob(b, e->version);
    put_varint(b, e->ncustom);
    for (unsigned i = 0; i < e->ncustom; i++) {
        put_blob(b, e->custom[i].k);
        put_blob(b, e->custom[i].v);
    }
    if (e->flags & IENT_MOVED)
        put_varint(b, e->moved_under);
}

int
ientry_decode(const void *p, size_t n, struct ientry *e)
{
    struct str in = str_from(p, n), raw;
    uint64_t   v[8], nc;

    if (n < 3 || in.p[0] != VAL_ENTRY || (unsigned char)in.p[2] >= CKSUM_NTYPES)
        return -AIS_E_CORRUPT;
    e->flags = (uint8_t)in.p[1];
    e->cksum.type = (enum cksum_type)in.p[2];
    in = str_from_off(in, 3);
    for (size_t i = 0; i < ARRAY_SIZE(v); i++)
        if (!get_varint(&in, &v[i]))
            return -AIS_E_CORRUPT;
    e->size = v[0];
    e->mtime_ns = (int64_t)v[1];
    e->atime_ns = (int64_t)v[2];
    e->copies = (uint32_t)v[3];
    e->gen = (struct gen){ .epoch = (uint32_t)v[4], .term = v[5], .smap_ver = v[6], .counter = v[7] };
    if (!get_blob(&in, &raw) || raw.n * 2 >= sizeof(e->cksum.value) || !get_blob(&in, &e->version) || !get_varint(&in, &nc) ||
        nc > LMETA_MAX_CUSTOM)
        return -AIS_E_CORRUPT;
    str_hex(raw.p, raw.n, e->cksum.value);
    e->ncustom = (unsigned)nc;
    for (unsigned i = 0; i < e->ncustom; i++)
        if (!get_blob(&in, &e->custom[i].k) || !get_blob(&in, &e->custom[i].v))
            return -AIS_E_CORRUPT;
    e->moved_under = 0;
    if ((e->flags & IENT_MOVED) && in.n > 0 && !get_varint(&in, &e->moved_under)) /* of an older version: without */
        return -AIS_E_CORRUPT;
    return in.n == 0 ? 0 : -AIS_E_CORRUPT;
}

bool
ientry_is_tomb(struct str value)
{
    return value.n >= 2 && value.p[0] == VAL_ENTRY && (value.p[1] & IENT_TOMB);
}

bool
ientry_is_moved(struct str value)
{
    return value.n >= 2 && value.p[0] == VAL_ENTRY && (value.p[1] & IENT_MOVED);
}

bool
ientry_is_passed(struct str value)
{
    return value.n >= 2 && value.p[0] == VAL_ENTRY && (value.p[1] & IENT_PASSED);
}

bool
ientry_is_object(struct str value)
{
    return value.n >= 2 && value.p[0] == VAL_ENTRY && !(value.p[1] & (IENT_TOMB | IENT_MOVED | IENT_PASSED));
}

bool
index_group_of(struct str value, uint64_t *group)
{
    if (value.n != 9 || (unsigned char)value.p[0] != VAL_GROUP)
        return false;
    *group = be64_get(value.p + 1);
    return (*group & GID_BIT) != 0;
}

/* --- bus errors --- */

static _Thread_local sigjmp_buf *bus_at;
static struct sigaction          bus_before;

static void
on_bus(int sig, siginfo_t *si, void *uc)
{
    if (bus_at != NULL)
        siglongjmp(*bus_at, 1);
    /* Not ours: as if we were not here. */
    if (bus_before.sa_flags & SA_SIGINFO && bus_before.sa_sigaction != NULL)
        bus_before.sa_sigaction(sig, si, uc);
    else
        signal(sig, SIG_DFL); /* the access is tried again, and ends the process */
}

/* A signal's disposition belongs to the process: every index that is opened sees to it that it is ours. */
static void
bus_install(void)
{
    static pthread_mutex_t mtx = PTHREAD_MUTEX_INITIALIZER;
    struct sigaction       sa = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK }, now;

    sigemptyset(&sa.sa_mask);
    pthread_mutex_lock(&mtx);
    if (sigaction(SIGBUS, NULL, &now) == 0 && now.sa_sigaction != on_bus) {
        bus_before = now;
        sigaction(SIGBUS, &sa, NULL);
    }
    pthread_mutex_unlock(&mtx);
}

/* Run fn, which touches the map. After a bus error nothing of LMDB is used again, not even to close it. */
static int
guarded(struct index *ix, int (*fn)(void *arg), void *arg)
{
    sigjmp_buf at;
    int        rc;

    if (atomic_load_explicit(&ix->failed, memory_order_relaxed))
        return -AIS_E_IO;
    pthread_rwlock_rdlock(&ix->lock);
    if (ix->retired) {
        pthread_rwlock_unlock(&ix->lock);
        return -AIS_E_IO;
    }
    if (sigsetjmp(at, 0) != 0) {
        bus_at = NULL;
        atomic_store(&ix->failed, true);
        pthread_rwlock_unlock(&ix->lock);
        log_error("bus error while reading the index");
        return -AIS_E_IO;
    }
    bus_at = &at;
    rc = fn(arg);
    bus_at = NULL;
    pthread_rwlock_unlock(&ix->lock);
    return rc;
}

static int
close_fn(void *arg)
{
    struct index *ix = arg;

    mdb_env_close(ix->env);
    return 0;
}

void
index_retire(struct index *ix)
{
    pthread_rwlock_wrlock(&ix->lock);
    if (!ix->retired && !ix->failed) {
        sigjmp_buf at;

        if (sigsetjmp(at, 0) == 0) { /* a disk that is gone: what is mapped of it may be gone, too */
            bus_at = &at;
            (void)close_fn(ix);
        }
        bus_at = NULL;
        ix->env = NULL;
    }
    ix->retired = true;
    pthread_rwlock_unlock(&ix->lock);
}

bool
index_failed(const struct index *ix)
{
    return atomic_load(&ix->failed);
}

/* --- opening --- */

static int
mdb_err(int rc)
{
    switch (rc) {
    case 0:
        return 0;
    case MDB_NOTFOUND:
        return -AIS_E_NOENT;
    case MDB_MAP_FULL:
    case ENOSPC:
        return -AIS_E_NOSPACE;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return -AIS_E_CORRUPT;
    default:
        return rc > 0 ? err_from_errno(rc) : -AIS_E_IO;
    }
}

static void
wipe(const char *dir)
{
    static const char *const files[] = { "data.mdb", "lock.mdb" };
    char                     path[4200];

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        (void)unlink(path);
    }
}

/* The tables, and the next group number. */
static int
tables_open(struct index *ix, MDB_txn *txn)
{
    static const char *const names[] = { "objects", "meta", "tombs" };
    MDB_dbi *const           to[] = { &ix->main, &ix->meta, &ix->tombs };
    MDB_val                  k = { 3, (void *)(uintptr_t) "gid" }, v;
    int                      rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(names); i++)
        rc = mdb_dbi_open(txn, names[i], MDB_CREATE, to[i]);
    ix->next_gid = GID_BIT;
    if (rc == 0 && mdb_get(txn, ix->meta, &k, &v) == 0 && v.mv_size == 8)
        memcpy(&ix->next_gid, v.mv_data, 8);
    return rc;
}

struct env_open {
    struct index *ix;
    const char   *dir;
};

static int
env_open_fn(void *arg)
{
    struct env_open *o = arg;
    struct index    *ix = o->ix;
    MDB_txn         *txn;
    int              dead, rc = mdb_env_create(&ix->env);

    if (rc != 0)
        return mdb_err(rc);
    mdb_env_set_maxdbs(ix->env, 4);
    mdb_env_set_maxreaders(ix->env, 512);
    mdb_env_set_mapsize(ix->env, MAPSIZE);
    rc = mdb_env_open(ix->env, o->dir, MDB_NOTLS | MDB_NORDAHEAD | MDB_NOMEMINIT, 0600);
    if (rc == 0)
        rc = mdb_reader_check(ix->env, &dead);
    if (rc == 0)
        rc = mdb_txn_begin(ix->env, NULL, 0, &txn);
    if (rc == 0) {
        rc = tables_open(ix, txn);
        if (rc == 0)
            rc = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    if (rc != 0) {
        mdb_env_close(ix->env);
        ix->env = NULL;
    }
    return mdb_err(rc);
}

static int
env_open(const char *dir, struct index *ix)
{
    struct env_open o = { .ix = ix, .dir = dir };
    int             rc = guarded(ix, env_open_fn, &o);

    if (ix->failed) { /* cut short: as good as damaged; the old environment leaks, once */
        ix->failed = false;
        ix->env = NULL;
        rc = -AIS_E_CORRUPT;
    }
    return rc;
}

int
index_open(const char *dir, struct index **out, bool *fresh, struct err *e)
{
    struct index *ix = xcalloc(1, sizeof(*ix));
    char          path[4200];
    struct stat   st;
    int           rc;

    bus_install();
    MUST(pthread_rwlock_init(&ix->lock, NULL));
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        pthread_rwlock_destroy(&ix->lock);
        free(ix);
        return err_set(e, -err_from_errno(errno), "cannot make the index directory %s: %s", dir, strerror(errno));
    }
    snprintf(path, sizeof(path), "%s/rebuild", dir);
    if (unlink(path) == 0) /* asked for by the one before: index_taint */
        wipe(dir);
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    *fresh = stat(path, &st) < 0;
    rc = env_open(dir, ix);
    if (rc == -AIS_E_CORRUPT) {
        log_warn("index is damaged, starting a new one", { "dir", LZ(dir) });
        wipe(dir);
        *fresh = true;
        rc = env_open(dir, ix);
    }
    if (rc < 0) {
        pthread_rwlock_destroy(&ix->lock);
        free(ix);
        return err_set(e, -rc, "cannot open the index %s: %s", dir, err_text(rc));
    }
    *out = ix;
    return 0;
}

void
index_close(struct index *ix)
{
    if (ix == NULL)
        return;
    if (!ix->failed || ix->retired) {
        if (!ix->retired)
            mdb_env_close(ix->env);
        pthread_rwlock_destroy(&ix->lock);
        free(ix);
        return;
    }
    ix->next = atomic_load(&abandoned);
    while (!atomic_compare_exchange_weak(&abandoned, &ix->next, ix))
        ;
}

struct counting {
    struct index *ix;
    uint64_t      n;
};

static int
count_fn(void *arg)
{
    struct counting *c = arg;
    MDB_stat         st;
    MDB_txn         *txn;
    int              rc = mdb_txn_begin(c->ix->env, NULL, MDB_RDONLY, &txn);

    if (rc != 0)
        return mdb_err(rc);
    rc = mdb_stat(txn, c->ix->main, &st);
    mdb_txn_abort(txn);
    c->n = rc == 0 ? st.ms_entries : 0;
    return mdb_err(rc);
}

uint64_t
index_count(struct index *ix)
{
    struct counting c = { .ix = ix };

    return guarded(ix, count_fn, &c) == 0 ? c.n : 0;
}

/* Damage was found while in use: the next start begins a new index. */
static int
taint(struct index *ix, int rc)
{
    const char *dir;
    char        path[4200];
    int         fd;

    if (rc != -AIS_E_CORRUPT || mdb_env_get_path(ix->env, &dir) != 0)
        return rc;
    log_error("index is damaged: the next start rebuilds it", { "dir", LZ(dir) });
    snprintf(path, sizeof(path), "%s/rebuild", dir);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    fd_close(&fd);
    return rc;
}

/* --- keys --- */

struct ikey {
    unsigned char p[8 + PART + 1];
    size_t        n;
};

/* The key of the first part of name under `prefix`; *rest: what did not fit (empty: the key is the entry's own). */
static void
key_make(uint64_t prefix, struct str name, struct ikey *k, struct str *rest)
{
    size_t n = MIN(name.n, (size_t)PART);

    be64_put(k->p, prefix);
    memcpy(k->p + 8, name.p, n);
    k->n = 8 + n;
    *rest = str_from_off(name, n);
    if (rest->n > 0)
        k->p[k->n++] = 0; /* sorts right behind the name that ends here */
}

static MDB_val
val(const void *p, size_t n)
{
    return (MDB_val){ n, (void *)(uintptr_t)p };
}

/* Walk the groups of a long name. create: make the missing ones (write transactions only). */
static int
key_resolve(struct index *ix, MDB_txn *txn, uint64_t bid, struct str name, bool create, struct ikey *k)
{
    uint64_t   prefix = bid;
    struct str rest;

    for (;;) {
        unsigned char ptr[9] = { VAL_GROUP };
        MDB_val       mk, mv;
        int           rc;

        key_make(prefix, name, k, &rest);
        if (rest.n == 0)
            return 0;
        mk = val(k->p, k->n);
        rc = mdb_get(txn, ix->main, &mk, &mv);
        if (rc == MDB_NOTFOUND && create) {
            uint64_t gid = ix->next_gid++;
            MDB_val  gk = val("gid", 3), gv = val(&ix->next_gid, 8);

            be64_put(ptr + 1, gid);
            mv = val(ptr, sizeof(ptr));
            rc = mdb_put(txn, ix->main, &mk, &mv, 0);
            if (rc == 0)
                rc = mdb_put(txn, ix->meta, &gk, &gv, 0);
            prefix = gid;
        } else if (rc == 0) {
            if (!index_group_of(str_from(mv.mv_data, mv.mv_size), &prefix))
                return -AIS_E_CORRUPT;
        }
        if (rc != 0)
            return mdb_err(rc);
        name = rest;
    }
}

/* --- writing --- */

static int
begin_fn(void *arg)
{
    struct index_txn *t = arg;

    return mdb_err(mdb_txn_begin(t->ix->env, NULL, 0, &t->txn));
}

int
index_begin(struct index *ix, struct index_txn **out)
{
    struct index_txn *t = xcalloc(1, sizeof(*t));
    int               rc;

    t->ix = ix;
    rc = guarded(ix, begin_fn, t);
    if (rc < 0) {
        free(t);
        return rc;
    }
    *out = t;
    return 0;
}

static int
commit_fn(void *arg)
{
    struct index_txn *t = arg;

    return mdb_err(mdb_txn_commit(t->txn));
}

int
index_commit(struct index_txn *t)
{
    int rc;

    FAIL_POINT("index.commit", {
        index_abort(t);
        return failpoint_error(-AIS_E_IO);
    });
    rc = guarded(t->ix, commit_fn, t);
    free(t);
    return rc;
}

void
index_abort(struct index_txn *t)
{
    if (!t->ix->failed)
        mdb_txn_abort(t->txn);
    free(t);
}

/* A tombstone is also found by age: its generation's counter is a time, or nearly. */
static int
tomb_note(struct index_txn *t, uint64_t bid, struct str name, struct str value)
{
    unsigned char key[16];
    struct ientry e;
    MDB_val       mk = val(key, sizeof(key)), mv = val(name.p, name.n);

    if (ientry_decode(value.p, value.n, &e) < 0)
        return -AIS_E_CORRUPT;
    be64_put(key, e.gen.counter);
    be64_put(key + 8, bid);
    return mdb_err(mdb_put(t->txn, t->ix->tombs, &mk, &mv, 0));
}

struct change {
    struct index_txn *t;
    uint64_t          bid;
    struct str        name, value;
};

static int
put_fn(void *arg)
{
    struct change *c = arg;
    struct ikey    k;
    MDB_val        mk, mv = val(c->value.p, c->value.n);
    int            rc = key_resolve(c->t->ix, c->t->txn, c->bid, c->name, true, &k);

    if (rc < 0)
        return rc;
    mk = val(k.p, k.n);
    rc = mdb_err(mdb_put(c->t->txn, c->t->ix->main, &mk, &mv, 0));
    return rc == 0 && ientry_is_tomb(c->value) ? tomb_note(c->t, c->bid, c->name, c->value) : rc;
}

int
index_put(struct index_txn *t, uint64_t bid, struct str name, struct str value)
{
    struct change c = { .t = t, .bid = bid, .name = name, .value = value };

    FAIL_POINT("index.put", return failpoint_error(-AIS_E_IO));
    return guarded(t->ix, put_fn, &c);
}

static int
del_fn(void *arg)
{
    struct change *c = arg;
    struct ikey    k;
    MDB_val        mk;
    int            rc = key_resolve(c->t->ix, c->t->txn, c->bid, c->name, false, &k);

    if (rc == 0) {
        mk = val(k.p, k.n);
        rc = mdb_err(mdb_del(c->t->txn, c->t->ix->main, &mk, NULL));
    }
    return rc == -AIS_E_NOENT ? 0 : rc;
}

int
index_del(struct index_txn *t, uint64_t bid, struct str name)
{
    struct change c = { .t = t, .bid = bid, .name = name };

    return guarded(t->ix, del_fn, &c);
}

/* One level of groups is one level of recursion: names end at 3,072 bytes, so seven at most. */
static int
del_prefix(struct index_txn *t, uint64_t prefix, unsigned *budget, unsigned depth)
{
    unsigned char from[8];
    MDB_cursor   *c;
    MDB_val       k, v;
    int           rc = depth > 8 ? MDB_CORRUPTED : mdb_cursor_open(t->txn, t->ix->main, &c);

    if (rc != 0)
        return mdb_err(rc);
    be64_put(from, prefix);
    k = val(from, 8);
    rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
    while (rc == 0 && k.mv_size >= 8 && be64_get(k.mv_data) == prefix && *budget > 0) {
        uint64_t group;

        if (index_group_of(str_from(v.mv_data, v.mv_size), &group)) {
            unsigned char key[8 + PART + 1];
            size_t        kn = k.mv_size;
            int           rc2;

            if (kn > sizeof(key))
                break;
            memcpy(key, k.mv_data, kn);
            rc2 = del_prefix(t, group, budget, depth + 1);
            if (rc2 < 0 || *budget == 0) {
                mdb_cursor_close(c);
                return rc2;
            }
            k = val(key, kn);
            rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
            if (rc != 0)
                break;
        }
        (*budget)--;
        rc = mdb_cursor_del(c, 0);
        if (rc == 0)
            rc = mdb_cursor_get(c, &k, &v, MDB_GET_CURRENT);
        if (rc == EINVAL) /* the last one went */
            rc = MDB_NOTFOUND;
    }
    mdb_cursor_close(c);
    return rc == MDB_NOTFOUND ? 0 : mdb_err(rc);
}

struct del_some {
    struct index_txn *t;
    uint64_t          bid;
    unsigned          budget;
};

static int
del_some_fn(void *arg)
{
    struct del_some *d = arg;

    return del_prefix(d->t, d->bid, &d->budget, 0);
}

int
index_del_some(struct index_txn *t, uint64_t bid, unsigned max, bool *left)
{
    struct del_some d = { .t = t, .bid = bid, .budget = max };
    int             rc = guarded(t->ix, del_some_fn, &d);

    *left = d.budget == 0;
    return rc;
}

/* Is the row still the tombstone that was noted with this counter? */
static bool
still_tomb(struct index_txn *t, uint64_t bid, struct str name, uint64_t counter)
{
    struct ientry e;
    struct ikey   k;
    MDB_val       mk, mv;

    if (key_resolve(t->ix, t->txn, bid, name, false, &k) < 0)
        return false;
    mk = val(k.p, k.n);
    return mdb_get(t->txn, t->ix->main, &mk, &mv) == 0 && ientry_decode(mv.mv_data, mv.mv_size, &e) == 0 &&
           (e.flags & IENT_TOMB) && e.gen.counter == counter;
}

struct purge {
    struct index_txn *t;
    uint64_t          counter;
    unsigned          max;
};

static int
purge_fn(void *arg)
{
    struct purge *p = arg;
    MDB_cursor   *c;
    MDB_val       k, v;
    int           rc = mdb_cursor_open(p->t->txn, p->t->ix->tombs, &c);

    if (rc != 0)
        return mdb_err(rc);
    for (unsigned i = 0; i < p->max; i++) {
        char          name[OBJ_NAME_BUF];
        struct change ch = { .t = p->t };
        uint64_t      counter;

        rc = mdb_cursor_get(c, &k, &v, MDB_FIRST);
        if (rc != 0 || k.mv_size != 16 || be64_get(k.mv_data) >= p->counter || v.mv_size > sizeof(name))
            break;
        counter = be64_get(k.mv_data);
        ch.bid = be64_get((char *)k.mv_data + 8);
        memcpy(name, v.mv_data, v.mv_size);
        ch.name = str_from(name, v.mv_size);
        rc = mdb_cursor_del(c, 0);
        if (rc == 0 && still_tomb(p->t, ch.bid, ch.name, counter))
            rc = del_fn(&ch) == 0 ? 0 : MDB_CORRUPTED;
        if (rc != 0)
            break;
    }
    mdb_cursor_close(c);
    return rc == MDB_NOTFOUND ? 0 : mdb_err(rc);
}

int
index_purge_tombs(struct index_txn *t, uint64_t counter, unsigned max)
{
    struct purge p = { .t = t, .counter = counter, .max = max };

    return guarded(t->ix, purge_fn, &p);
}

/* --- marks and numbers --- */

static void
mark_key(char kind, uint64_t id, unsigned char k[9])
{
    k[0] = (unsigned char)kind;
    be64_put(k + 1, id);
}

int
index_mark(struct index_txn *t, char kind, uint64_t id, bool on)
{
    unsigned char key[9];
    MDB_val       k, v = val("1", 1);
    int           rc;

    mark_key(kind, id, key);
    k = val(key, sizeof(key));
    rc = on ? mdb_put(t->txn, t->ix->meta, &k, &v, 0) : mdb_del(t->txn, t->ix->meta, &k, NULL);
    return rc == MDB_NOTFOUND ? 0 : mdb_err(rc);
}

int
index_number_set(struct index_txn *t, const char *name, uint64_t n)
{
    MDB_val k = val(name, strlen(name)), v = val(&n, sizeof(n));

    return mdb_err(mdb_put(t->txn, t->ix->meta, &k, &v, 0));
}

/* --- reading --- */

struct lookup {
    struct index *ix;
    MDB_dbi       dbi;
    uint64_t      bid;
    struct str    name;  /* with bid: of an object; without: the key */
    bool          range; /* the first key from there */
    struct sbuf  *key, *value;
};

static int
lookup_in(struct lookup *l, MDB_txn *txn)
{
    struct ikey key;
    MDB_cursor *c;
    MDB_val     k = val(l->name.p, l->name.n), v;
    int         rc = 0;

    if (l->bid != 0) {
        rc = key_resolve(l->ix, txn, l->bid, l->name, false, &key);
        k = val(key.p, key.n);
    }
    if (rc < 0)
        return rc;
    if (!l->range) {
        rc = mdb_get(txn, l->dbi, &k, &v);
    } else {
        rc = mdb_cursor_open(txn, l->dbi, &c);
        if (rc == 0) {
            rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
            mdb_cursor_close(c);
        }
    }
    if (rc == 0 && l->key != NULL)
        sbuf_put(l->key, k.mv_data, k.mv_size);
    if (rc == 0 && l->value != NULL)
        sbuf_put(l->value, v.mv_data, v.mv_size);
    return mdb_err(rc);
}

static int
lookup_fn(void *arg)
{
    struct lookup *l = arg;
    MDB_txn       *txn;
    int            rc = mdb_txn_begin(l->ix->env, NULL, MDB_RDONLY, &txn);

    if (rc != 0)
        return mdb_err(rc);
    rc = lookup_in(l, txn);
    mdb_txn_abort(txn);
    return rc;
}

int
index_get(struct index *ix, uint64_t bid, struct str name, struct sbuf *value)
{
    struct lookup l = { .ix = ix, .dbi = ix->main, .bid = bid, .name = name, .value = value };
    int           rc = guarded(ix, lookup_fn, &l);

    return rc == 0 && !sbuf_ok(value) ? -AIS_E_NOMEM : taint(ix, rc);
}

int
index_mark_get(struct index *ix, char kind, uint64_t id)
{
    unsigned char key[9];
    struct lookup l = { .ix = ix, .dbi = ix->meta, .name = str_from((const char *)key, sizeof(key)) };
    int           rc;

    mark_key(kind, id, key);
    rc = guarded(ix, lookup_fn, &l);
    return rc == 0 ? 1 : rc == -AIS_E_NOENT ? 0 : rc;
}

int
index_mark_next(struct index *ix, char kind, uint64_t *id)
{
    unsigned char from[9];
    struct sbuf   key;
    struct lookup l = { .ix = ix, .dbi = ix->meta, .name = str_from((const char *)from, sizeof(from)), .range = true, .key = &key };
    int           rc;

    mark_key(kind, *id, from);
    sbuf_init(&key, 64);
    rc = guarded(ix, lookup_fn, &l);
    if (rc == 0 && key.n == 9 && key.p[0] == kind) {
        *id = be64_get(key.p + 1);
        rc = 1;
    } else if (rc == 0 || rc == -AIS_E_NOENT) {
        rc = 0;
    }
    sbuf_fini(&key);
    return rc;
}

int
index_number_get(struct index *ix, const char *name, uint64_t *v)
{
    struct sbuf   value;
    struct lookup l = { .ix = ix, .dbi = ix->meta, .name = str_z(name), .value = &value };
    int           rc;

    sbuf_init(&value, 64);
    rc = guarded(ix, lookup_fn, &l);
    *v = 0;
    if (rc == 0 && value.n == sizeof(*v))
        memcpy(v, value.p, sizeof(*v));
    sbuf_fini(&value);
    return rc == -AIS_E_NOENT ? 0 : rc;
}

struct scan {
    struct index *ix;
    MDB_txn      *txn;
    struct sbuf  *out;
    struct str    prefix;
    unsigned      n, max;
    bool          after, more, done; /* done: past the prefix */
    char         *name;              /* bytes of the parts above */
};

static void
emit(struct scan *s, size_t depth, const MDB_val *k, const MDB_val *v)
{
    size_t   part = k->mv_size - 8;
    uint32_t head[2] = { (uint32_t)(depth + part), (uint32_t)v->mv_size };
    char    *p = sbuf_reserve(s->out, sizeof(head) + depth + part + v->mv_size);

    if (p == NULL)
        return;
    memcpy(p, head, sizeof(head));
    p += sizeof(head);
    if (depth > 0)
        memcpy(p, s->name, depth);
    memcpy(p + depth, (char *)k->mv_data + 8, part);
    memcpy(p + depth + part, v->mv_data, v->mv_size);
    sbuf_added(s->out, sizeof(head) + depth + part + v->mv_size);
    s->n++;
}

/* Does name[0..depth+part) agree with the prefix as far as both go? 1: in range, 0: not yet or never, by *past. */
static bool
in_prefix(struct scan *s, size_t depth, const char *part, size_t n, bool whole, bool *past)
{
    struct str p = str_from_off(s->prefix, MIN(depth, s->prefix.n));
    size_t     m = MIN(p.n, n);
    int        c = m == 0 ? 0 : memcmp(part, p.p, m);

    *past = c > 0;
    if (c != 0)
        return false;
    return !whole || depth + n >= s->prefix.n;
}

/* Rows under `prefix_id`, whose names begin with s->name[0..depth); from: lower bound for the remainder ("" = all). */
static int
scan_group(struct scan *s, uint64_t prefix_id, size_t depth, struct str from, bool bounded)
{
    struct ikey key;
    struct str  rest;
    MDB_cursor *c;
    MDB_val     k, v;
    int         rc = mdb_cursor_open(s->txn, s->ix->main, &c);

    if (rc != 0)
        return mdb_err(rc);
    key_make(prefix_id, from, &key, &rest);
    k = val(key.p, key.n);
    rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
    while (rc == 0 && k.mv_size >= 8 && be64_get(k.mv_data) == prefix_id && !s->done) {
        const char *part = (char *)k.mv_data + 8;
        size_t      n = k.mv_size - 8;
        uint64_t    gid;
        bool        group = index_group_of(str_from(v.mv_data, v.mv_size), &gid), past;
        bool        at_bound = bounded && k.mv_size == key.n && memcmp(k.mv_data, key.p, key.n) == 0;

        if (s->n >= s->max || !sbuf_ok(s->out)) {
            s->more = true;
            break;
        }
        if (group) {
            n--; /* the closing zero */
            if (in_prefix(s, depth, part, n, false, &past)) {
                int rc2;

                if (depth + n > OBJ_NAME_BUF - PART) { /* names end earlier: the index is damaged */
                    mdb_cursor_close(c);
                    return -AIS_E_CORRUPT;
                }
                memcpy(s->name + depth, part, n);
                rc2 = scan_group(s, gid, depth + n, at_bound ? rest : STR_LIT(""), at_bound);
                if (rc2 < 0 || s->more) {
                    mdb_cursor_close(c);
                    return rc2;
                }
            } else if (past) {
                s->done = true;
            }
        } else if (in_prefix(s, depth, part, n, true, &past)) {
            if (!(at_bound && rest.n == 0 && s->after))
                emit(s, depth, &k, &v);
        } else if (past) {
            s->done = true;
        }
        if (!s->done)
            rc = mdb_cursor_get(c, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(c);
    return rc == MDB_NOTFOUND ? 0 : mdb_err(rc);
}

struct scan_arg {
    struct scan *s;
    uint64_t     bid;
    struct str   from;
};

static int
scan_fn(void *arg)
{
    struct scan_arg *a = arg;
    int              rc = mdb_txn_begin(a->s->ix->env, NULL, MDB_RDONLY, &a->s->txn);

    if (rc != 0)
        return mdb_err(rc);
    rc = scan_group(a->s, a->bid, 0, a->from, true);
    mdb_txn_abort(a->s->txn);
    return rc;
}

int
index_scan(struct index *ix, uint64_t bid, struct str prefix, struct str from, bool after, unsigned max, struct sbuf *out,
           unsigned *n, bool *more)
{
    char            name[OBJ_NAME_BUF];
    struct scan     s = { .ix = ix, .out = out, .prefix = prefix, .max = max, .after = after, .name = name };
    struct scan_arg a = { .s = &s, .bid = bid, .from = from };
    int             rc;

    if (str_cmp(from, prefix) < 0) {
        a.from = prefix;
        s.after = false;
    }
    FAIL_POINT("index.scan", return failpoint_error(-AIS_E_IO));
    rc = guarded(ix, scan_fn, &a);
    *n = s.n;
    *more = s.more;
    return rc < 0 ? taint(ix, rc) : sbuf_ok(out) ? 0 : -AIS_E_NOMEM;
}
