/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ordered index of one mountpath, on LMDB. Runs on: threads that may block (committer, offload pool).
 */
#include "store/index.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

#define OBJ_NAME_BUF 4096 /* the longest name, with room */
#define PART      490 /* bytes of a name in one key */
#define MAPSIZE   (64ULL << 30)
#define GID_BIT   (1ULL << 62) /* prefixes of groups; bucket serials are below 2^60 */
#define VAL_GROUP 0x67         /* first byte of a group pointer; entries begin with their format version */
#define VAL_ENTRY 0x01

struct index {
    MDB_env *env;
    MDB_dbi  main, meta;
    uint64_t next_gid; /* writer only */
};

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
    return in.n == 0 ? 0 : -AIS_E_CORRUPT;
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

static int
env_open(const char *dir, struct index *ix)
{
    MDB_txn *txn;
    MDB_val  k, v;
    int      rc = mdb_env_create(&ix->env);

    if (rc != 0)
        return mdb_err(rc);
    mdb_env_set_maxdbs(ix->env, 4);
    mdb_env_set_maxreaders(ix->env, 512);
    mdb_env_set_mapsize(ix->env, MAPSIZE);
    /* No sync at a commit: the files are the truth and an unclean boot rebuilds; index_sync flushes when it matters. */
    rc = mdb_env_open(ix->env, dir, MDB_NOTLS | MDB_NOSYNC | MDB_NORDAHEAD | MDB_NOMEMINIT, 0600);
    if (rc == 0)
        rc = mdb_txn_begin(ix->env, NULL, 0, &txn);
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "objects", MDB_CREATE, &ix->main);
        if (rc == 0)
            rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &ix->meta);
        k = (MDB_val){ 3, (void *)(uintptr_t) "gid" };
        ix->next_gid = GID_BIT;
        if (rc == 0 && mdb_get(txn, ix->meta, &k, &v) == 0 && v.mv_size == 8)
            memcpy(&ix->next_gid, v.mv_data, 8);
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

int
index_open(const char *dir, bool must_rebuild, struct index **out, bool *fresh, struct err *e)
{
    struct index *ix = xcalloc(1, sizeof(*ix));
    char          path[4200];
    struct stat   st;
    int           rc;

    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        free(ix);
        return err_set(e, -err_from_errno(errno), "cannot make the index directory %s: %s", dir, strerror(errno));
    }
    if (must_rebuild)
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
    mdb_env_sync(ix->env, 1);
    mdb_env_close(ix->env);
    free(ix);
}

int
index_sync(struct index *ix)
{
    return mdb_err(mdb_env_sync(ix->env, 1));
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
            if (mv.mv_size != 9 || *(unsigned char *)mv.mv_data != VAL_GROUP)
                return -AIS_E_CORRUPT;
            prefix = be64_get((char *)mv.mv_data + 1);
        }
        if (rc != 0)
            return mdb_err(rc);
        name = rest;
    }
}

/* --- writing --- */

int
index_begin(struct index *ix, struct index_txn **out)
{
    struct index_txn *t = xcalloc(1, sizeof(*t));
    int               rc = mdb_txn_begin(ix->env, NULL, 0, &t->txn);

    if (rc != 0) {
        free(t);
        return mdb_err(rc);
    }
    t->ix = ix;
    *out = t;
    return 0;
}

int
index_commit(struct index_txn *t)
{
    int rc = mdb_txn_commit(t->txn);

    free(t);
    return mdb_err(rc);
}

void
index_abort(struct index_txn *t)
{
    mdb_txn_abort(t->txn);
    free(t);
}

int
index_put(struct index_txn *t, uint64_t bid, struct str name, const struct ientry *e)
{
    struct ikey k;
    struct sbuf b;
    MDB_val     mk, mv;
    int         rc = key_resolve(t->ix, t->txn, bid, name, true, &k);

    if (rc < 0)
        return rc;
    sbuf_init(&b, 64 * KIB);
    ientry_encode(e, &b);
    if (!sbuf_ok(&b)) {
        sbuf_fini(&b);
        return -AIS_E_NOMEM;
    }
    mk = val(k.p, k.n);
    mv = val(b.p, b.n);
    rc = mdb_put(t->txn, t->ix->main, &mk, &mv, 0);
    sbuf_fini(&b);
    return mdb_err(rc);
}

int
index_del(struct index_txn *t, uint64_t bid, struct str name)
{
    struct ikey k;
    MDB_val     mk;
    int         rc = key_resolve(t->ix, t->txn, bid, name, false, &k);

    if (rc == 0) {
        mk = val(k.p, k.n);
        rc = mdb_err(mdb_del(t->txn, t->ix->main, &mk, NULL));
    }
    return rc == -AIS_E_NOENT ? 0 : rc;
}

static int
del_prefix(struct index_txn *t, uint64_t prefix, unsigned *budget)
{
    unsigned char from[8];
    MDB_cursor   *c;
    MDB_val       k, v;
    int           rc = mdb_cursor_open(t->txn, t->ix->main, &c);

    if (rc != 0)
        return mdb_err(rc);
    be64_put(from, prefix);
    k = val(from, 8);
    rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
    while (rc == 0 && k.mv_size >= 8 && be64_get(k.mv_data) == prefix && *budget > 0) {
        if (v.mv_size == 9 && *(unsigned char *)v.mv_data == VAL_GROUP) {
            unsigned char key[8 + PART + 1];
            size_t        kn = k.mv_size;
            int           rc2;

            memcpy(key, k.mv_data, kn);
            rc2 = del_prefix(t, be64_get((char *)v.mv_data + 1), budget);
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

int
index_del_some(struct index_txn *t, uint64_t bid, unsigned max, bool *left)
{
    unsigned budget = max;
    int      rc = del_prefix(t, bid, &budget);

    *left = budget == 0;
    return rc;
}

static void
mark_key(uint64_t bid, unsigned char k[9])
{
    k[0] = 'b';
    be64_put(k + 1, bid);
}

int
index_bck_mark(struct index_txn *t, uint64_t bid, bool known)
{
    unsigned char key[9];
    MDB_val       k, v = val("1", 1);
    int           rc;

    mark_key(bid, key);
    k = val(key, sizeof(key));
    rc = known ? mdb_put(t->txn, t->ix->meta, &k, &v, 0) : mdb_del(t->txn, t->ix->meta, &k, NULL);
    return rc == MDB_NOTFOUND ? 0 : mdb_err(rc);
}

/* --- reading --- */

int
index_bck_known(struct index *ix, uint64_t bid)
{
    unsigned char key[9];
    MDB_txn      *txn;
    MDB_val       k, v;
    int           rc = mdb_txn_begin(ix->env, NULL, MDB_RDONLY, &txn);

    if (rc != 0)
        return mdb_err(rc);
    mark_key(bid, key);
    k = val(key, sizeof(key));
    rc = mdb_get(txn, ix->meta, &k, &v);
    mdb_txn_abort(txn);
    return rc == 0 ? 1 : rc == MDB_NOTFOUND ? 0 : mdb_err(rc);
}

int
index_get(struct index *ix, uint64_t bid, struct str name, struct sbuf *value)
{
    struct ikey key;
    MDB_txn    *txn;
    MDB_val     k, v;
    int         rc = mdb_txn_begin(ix->env, NULL, MDB_RDONLY, &txn);

    if (rc != 0)
        return mdb_err(rc);
    rc = key_resolve(ix, txn, bid, name, false, &key);
    if (rc == 0) {
        k = val(key.p, key.n);
        rc = mdb_err(mdb_get(txn, ix->main, &k, &v));
        if (rc == 0)
            sbuf_put(value, v.mv_data, v.mv_size);
    }
    mdb_txn_abort(txn);
    return rc;
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
        bool        group = v.mv_size == 9 && *(unsigned char *)v.mv_data == VAL_GROUP, past;
        bool        at_bound = bounded && k.mv_size == key.n && memcmp(k.mv_data, key.p, key.n) == 0;

        if (s->n >= s->max || !sbuf_ok(s->out)) {
            s->more = true;
            break;
        }
        if (group) {
            n--; /* the closing zero */
            if (in_prefix(s, depth, part, n, false, &past)) {
                int rc2;

                memcpy(s->name + depth, part, n);
                rc2 = scan_group(s, be64_get((char *)v.mv_data + 1), depth + n, at_bound ? rest : STR_LIT(""), at_bound);
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

int
index_scan(struct index *ix, uint64_t bid, struct str prefix, struct str from, bool after, unsigned max, struct sbuf *out,
           unsigned *n, bool *more)
{
    char        name[OBJ_NAME_BUF];
    struct scan s = { .ix = ix, .out = out, .prefix = prefix, .max = max, .after = after, .name = name };
    int         rc;

    if (str_cmp(from, prefix) < 0) {
        from = prefix;
        s.after = false;
    }
    rc = mdb_txn_begin(ix->env, NULL, MDB_RDONLY, &s.txn);
    if (rc != 0)
        return mdb_err(rc);
    rc = scan_group(&s, bid, 0, from, true);
    mdb_txn_abort(s.txn);
    *n = s.n;
    *more = s.more;
    return rc < 0 ? rc : sbuf_ok(out) ? 0 : -AIS_E_NOMEM;
}
