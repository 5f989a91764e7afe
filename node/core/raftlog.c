/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A voter's files. The formats, and what counts as damage, are in raftlog.h.
 *
 * Runs on: the consensus thread, or the one that opens. Blocks.
 */
#include "core/raftlog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/raftwire.h"
#include "run/disk.h"
#include "run/run.h"
#include "codec/cksum.h"
#include "codec/jw.h"
#include "base/assert.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"

#define FORMAT        2
#define FRAME_MAGIC   0xa15c0f3bu
#define FRAME_HEAD    32u
#define FILE_HEAD     16u
#define ENTRY_HEAD    16u
#define SNAP_HEAD     56u
#define FRAME_MAX     (256u << 20)
#define FRAMES_MAX    (1u << 30)
#define SNAP_MAX      (512u << 20)
#define SNAP_FOREIGN  1u
#define RESERVE_STEP  (1u << 20)
#define SECTOR        512u /* what a disk writes whole or not at all */

static const char log_magic[8] = "AISLOG02", snap_magic[8] = "AISSNAP2";

struct raftlog_file {
    uint64_t first; /* in its name */
    uint64_t max;   /* highest index that ever was in it; first - 1: none */
};

struct raftlog_conf {
    uint64_t           index;
    struct raft_buffer buf;
};

/* --- small things --- */
static char *
path_of(const struct raftlog *l, const char *name)
{
    return xasprintf("%s/%s", l->dir, name);
}

static char *
log_path_of(const struct raftlog *l, uint64_t first)
{
    return xasprintf("%s/log-%020" PRIu64, l->dir, first);
}

/* Hash of a fixed head and what follows it, in two passes so that nothing is copied. */
static uint64_t
head_hash(const void *head, size_t nhead, const void *body, size_t nbody)
{
    return xxh64(body, nbody, xxh64(head, nhead, 0));
}

static int
dir_sync(const struct raftlog *l)
{
    auto_close int fd = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return err_from_errno(errno);
    return 0;
}

/* --- vote and identity --- */
static int
vote_parse(struct raftlog *l, const json_t *j, const char *path, struct err *e)
{
    const char *id = json_string_value(json_object_get(j, "id"));
    uint64_t    format = 0, epoch = 0;

    if (!json_u64(json_object_get(j, "format"), &format) || id == NULL)
        return err_set(e, AIS_E_CORRUPT, "%s does not parse", path);
    if (strcmp(id, l->id) != 0)
        return err_set(e, AIS_E_CONFLICT, "%s: the metadata log belongs to node \"%s\", this is \"%s\"", l->dir, id, l->id);
    if (format != FORMAT)
        return err_set(e, AIS_E_CORRUPT, "%s: format %" PRIu64 " is not one that this version reads", path, format);
    if (!json_u64(json_object_get(j, "epoch"), &epoch) || epoch > UINT32_MAX || !json_u64(json_object_get(j, "term"), &l->term) ||
        !json_u64(json_object_get(j, "voted"), &l->voted) || !json_u64(json_object_get(j, "raft"), &l->sid) || l->sid == 0)
        return err_set(e, AIS_E_CORRUPT, "%s does not parse", path);
    l->epoch = (uint32_t)epoch;
    return 0;
}

static int
vote_read(struct raftlog *l, struct err *e)
{
    auto_free char *path = path_of(l, "vote"), *text = NULL;
    size_t          n = 0;
    json_t         *j = NULL;
    int             rc = disk_read_file(path, 4096, &text, &n);

    if (rc == -AIS_E_NOENT)
        return rc;
    if (rc < 0)
        return err_set(e, -rc, "%s: %s", path, err_text(rc));
    rc = json_read(str_from(text, n), &j, e);
    if (rc == 0)
        rc = vote_parse(l, j, path, e);
    json_decref(j);
    return rc;
}

int
raftlog_vote(struct raftlog *l, uint32_t epoch, uint64_t term, uint64_t voted)
{
    auto_free char *path = path_of(l, "vote");
    char            text[320];
    int             n, rc;

    n = snprintf(text, sizeof(text), "{\"format\":%d,\"epoch\":%" PRIu32 ",\"term\":%" PRIu64 ",\"voted\":%" PRIu64
                 ",\"raft\":%" PRIu64 ",\"id\":\"%s\"}\n", FORMAT, epoch, term, voted, l->sid, l->id);
    FAIL_POINT("cons.vote", return failpoint_error(-AIS_E_IO));
    rc = disk_write_file_atomic(path, text, (size_t)n, 0640);
    if (rc < 0)
        return rc;
    l->epoch = epoch;
    l->term = term;
    l->voted = voted;
    return 0;
}

/* --- configurations --- */
static void
confs_drop(struct raftlog *l, uint64_t from)
{
    while (l->nconfs > 0 && l->confs[l->nconfs - 1].index >= from)
        free(l->confs[--l->nconfs].buf.base);
}

static void
confs_add(struct raftlog *l, uint64_t index, const void *p, size_t n)
{
    struct raftlog_conf *c;

    confs_drop(l, index);
    l->confs = xrealloc(l->confs, (l->nconfs + 1) * sizeof(*l->confs));
    c = &l->confs[l->nconfs++];
    c->index = index;
    c->buf.len = n;
    c->buf.base = xmalloc(MAX(n, 1));
    memcpy(c->buf.base, p, n);
}

/* What came before the snapshot's configuration cannot come back. */
static void
confs_base(struct raftlog *l, uint64_t index, const void *p, size_t n)
{
    size_t i, k = 0;

    for (i = 0; i < l->nconfs; i++) {
        if (l->confs[i].index > index)
            l->confs[k++] = l->confs[i];
        else
            free(l->confs[i].buf.base);
    }
    l->nconfs = k;
    l->confs = xrealloc(l->confs, (k + 1) * sizeof(*l->confs));
    memmove(l->confs + 1, l->confs, k * sizeof(*l->confs));
    l->nconfs++;
    l->confs[0] = (struct raftlog_conf){ .index = index, .buf = { xmalloc(MAX(n, 1)), n } };
    memcpy(l->confs[0].buf.base, p, n);
}

uint64_t
raftlog_conf(const struct raftlog *l, struct raft_configuration *c)
{
    const struct raftlog_conf *last;

    if (c != NULL)
        raft_configuration_init(c);
    if (l->nconfs == 0)
        return 0;
    last = &l->confs[l->nconfs - 1];
    if (c != NULL && raftconf_decode(str_from(last->buf.base, last->buf.len), c) < 0)
        ais_bug("a configuration that was checked does not decode");
    return last->index;
}

/* --- snapshot --- */
static void
snapshot_free(struct raft_snapshot *s)
{
    unsigned i;

    if (s == NULL)
        return;
    for (i = 0; i < s->n_bufs; i++)
        raft_free(s->bufs[i].base);
    raft_free(s->bufs);
    raft_configuration_close(&s->configuration);
    raft_free(s);
}

static int
snap_decode(const char *p, size_t n, struct raft_snapshot *s)
{
    size_t nconf, ndata;

    if (n < SNAP_HEAD || memcmp(p, snap_magic, 8) != 0)
        return -AIS_E_CORRUPT;
    nconf = be32_get(p + 32);
    ndata = be64_get(p + 40);
    if (nconf > n - SNAP_HEAD || ndata != n - SNAP_HEAD - nconf || be64_get(p + 48) != head_hash(p, 48, p + SNAP_HEAD, n - SNAP_HEAD))
        return -AIS_E_CORRUPT;
    s->index = be64_get(p + 8);
    s->term = be64_get(p + 16);
    s->configuration_index = be64_get(p + 24);
    if (s->index == 0 || s->term == 0 || s->configuration_index > s->index ||
        raftconf_decode(str_from(p + SNAP_HEAD, nconf), &s->configuration) < 0)
        return -AIS_E_CORRUPT;
    s->bufs = raft_calloc(1, sizeof(*s->bufs));
    s->n_bufs = 1;
    s->bufs[0].len = ndata;
    s->bufs[0].base = raft_malloc(MAX(ndata, 1));
    memcpy(s->bufs[0].base, p + SNAP_HEAD + nconf, ndata);
    return 0;
}

static int
snap_read(struct raftlog *l, struct raft_snapshot **out, bool *foreign, struct err *e)
{
    auto_free char       *path = path_of(l, "snap"), *p = NULL;
    struct raft_snapshot *s;
    size_t                n = 0;
    int                   rc;

    *out = NULL;
    rc = disk_read_file(path, SNAP_MAX, &p, &n);
    if (rc == -AIS_E_NOENT)
        return rc;
    if (rc < 0)
        return err_set(e, -rc, "%s: %s", path, err_text(rc));
    s = raft_calloc(1, sizeof(*s));
    rc = snap_decode(p, n, s);
    if (rc < 0) {
        snapshot_free(s);
        return err_set(e, -rc, "%s: bad checksum", path);
    }
    *foreign = be32_get(p + 36) & SNAP_FOREIGN;
    *out = s;
    return 0;
}

int
raftlog_snap_get(struct raftlog *l, struct raft_snapshot **out, struct err *e)
{
    bool foreign;

    return snap_read(l, out, &foreign, e);
}

static int
snap_write(struct raftlog *l, const struct raft_snapshot *s, const struct raft_buffer *conf, bool foreign)
{
    auto_free char *path = path_of(l, "snap");
    char            head[SNAP_HEAD] = { 0 };
    struct sbuf     b;
    size_t          ndata = 0;
    unsigned        i;
    int             rc;

    for (i = 0; i < s->n_bufs; i++)
        ndata += s->bufs[i].len;
    memcpy(head, snap_magic, 8);
    be64_put(head + 8, s->index);
    be64_put(head + 16, s->term);
    be64_put(head + 24, s->configuration_index);
    be32_put(head + 32, (uint32_t)conf->len);
    be32_put(head + 36, foreign ? SNAP_FOREIGN : 0);
    be64_put(head + 40, ndata);
    sbuf_init(&b, SNAP_MAX);
    sbuf_put(&b, head, sizeof(head));
    sbuf_put(&b, conf->base, conf->len);
    for (i = 0; i < s->n_bufs; i++)
        sbuf_put(&b, s->bufs[i].base, s->bufs[i].len);
    if (sbuf_ok(&b))
        be64_put(b.p + 48, head_hash(b.p, 48, b.p + SNAP_HEAD, b.n - SNAP_HEAD));
    FAIL_POINT("cons.snapshot", b.failed = true);
    rc = sbuf_ok(&b) ? disk_write_file_atomic(path, b.p, b.n, 0640) : -AIS_E_NOSPACE;
    sbuf_fini(&b);
    return rc;
}

/* --- log files --- */
static struct raftlog_file *
file_last(struct raftlog *l)
{
    return l->nfiles > 0 ? &l->files[l->nfiles - 1] : NULL;
}

static void
file_add(struct raftlog *l, uint64_t first)
{
    l->files = xrealloc(l->files, (l->nfiles + 1) * sizeof(*l->files));
    l->files[l->nfiles++] = (struct raftlog_file){ .first = first, .max = first - 1 };
}

static void
files_unlink(struct raftlog *l, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        auto_free char *path = log_path_of(l, l->files[i].first);

        unlink(path);
    }
    if (n > 0)
        memmove(l->files, l->files + n, (l->nfiles - n) * sizeof(*l->files));
    l->nfiles -= n;
}

/* A new file, which is the open one from now on. */
static int
log_create(struct raftlog *l, uint64_t first)
{
    auto_free char *path = log_path_of(l, first);
    char            head[FILE_HEAD];
    size_t          i;
    int             fd, rc;

    memcpy(head, log_magic, 8);
    be64_put(head + 8, first);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0)
        return err_from_errno(errno);
    rc = disk_pwrite(fd, head, sizeof(head), 0) < 0 ? -AIS_E_IO : disk_fsync(fd, 0);
    if (rc == 0)
        rc = dir_sync(l);
    if (rc < 0) {
        fd_close(&fd);
        unlink(path);
        return rc;
    }
    fd_close(&l->fd);
    l->fd = fd;
    l->off = l->reserved = FILE_HEAD;
    for (i = 0; i < l->nfiles; i++) { /* it may have taken the place of an older one */
        if (l->files[i].first == first)
            memmove(l->files + i, l->files + i + 1, (--l->nfiles - i) * sizeof(*l->files));
    }
    file_add(l, first);
    return 0;
}

/* A head whose own checksum is right: its length can be trusted. */
static bool
frame_head_ok(const char *p, size_t n)
{
    return n >= FRAME_HEAD && be32_get(p) == FRAME_MAGIC && be32_get(p + 20) == (uint32_t)xxh64(p, 20, 0) &&
           be32_get(p + 16) <= FRAME_MAX;
}

/* Is there a whole frame at p? Its bytes, or 0. */
static size_t
frame_at(const char *p, size_t n)
{
    size_t len;

    if (!frame_head_ok(p, n))
        return 0;
    len = be32_get(p + 16);
    if (len > n - FRAME_HEAD)
        return 0;
    return be64_get(p + 24) == head_hash(p, 24, p + FRAME_HEAD, len) ? FRAME_HEAD + len : 0;
}

/*
 * Is what lies at off, to the end of the file, a write that was cut short? A log file grows at its end only, so a sector that did not
 * get to the disk is a hole of zeros or missing.
 */
static bool
tail_is_torn(const char *p, size_t off, size_t n)
{
    size_t head = n - off, end = n, at, next, i;

    if (head < FRAME_HEAD)
        return true;
    if (frame_head_ok(p + off, head)) {
        size_t len = be32_get(p + off + 16);

        if (len > head - FRAME_HEAD)
            return true;
        end = off + FRAME_HEAD + len;
    }
    for (at = off; at < end; at = next) {
        next = MIN((at / SECTOR + 1) * SECTOR, end);
        for (i = at; i < next && p[i] == 0; i++)
            ;
        if (i == next)
            return true;
    }
    return false;
}

/* --- loading --- */
struct loading {
    struct raft_entry *entries;
    size_t             n, cap;
    uint64_t           start; /* index of entries[0] */
};

static void
loading_trim(struct loading *g, size_t n)
{
    while (g->n > n) {
        void *batch = g->entries[--g->n].batch;

        if (g->n == 0 || g->entries[g->n - 1].batch != batch)
            raft_free(batch);
    }
}

static void
loading_free(struct loading *g)
{
    loading_trim(g, 0);
    raft_free(g->entries);
    g->entries = NULL;
    g->cap = 0;
}

static struct raft_entry *
loading_add(struct loading *g)
{
    if (g->n == g->cap) {
        g->cap = MAX(g->cap * 2, 64);
        g->entries = raft_realloc(g->entries, g->cap * sizeof(*g->entries));
        if (g->entries == NULL)
            ais_bug("out of memory");
    }
    return &g->entries[g->n++];
}

/*
 * A frame's entries replace those from its first index on. Each keeps its own memory: libraft frees a batch when the last entry in the
 * log that names it goes, and an entry of a frame may go long before the others.
 */
static int
frame_load(struct raftlog *l, struct loading *g, const char *p, struct err *e)
{
    uint32_t    count = be32_get(p + 4), i;
    uint64_t    index = be64_get(p + 8);
    const char *q = p + FRAME_HEAD, *end = q + be32_get(p + 16);

    if (index == 0 || index > l->last + 1)
        return err_set(e, AIS_E_CORRUPT, "entries %" PRIu64 " to %" PRIu64 " are missing", l->last + 1, index - 1);
    if (index < g->start) { /* the file of what this frame replaced is gone: it was older than the snapshot */
        loading_trim(g, 0);
        g->start = index;
    }
    loading_trim(g, index - g->start);
    confs_drop(l, index);
    for (i = 0; i < count; i++, index++) {
        struct raft_entry        *en;
        struct raft_configuration c;
        uint32_t                  len, type;

        if ((size_t)(end - q) < ENTRY_HEAD || be32_get(q) > (size_t)(end - q) - ENTRY_HEAD)
            return err_set(e, AIS_E_CORRUPT, "entry %" PRIu64 " is malformed", index);
        len = be32_get(q);
        type = be32_get(q + 4) >> 16;
        if (type < RAFT_COMMAND || type > RAFT_CHANGE || be64_get(q + 8) == 0 ||
            (type == RAFT_CHANGE && raftconf_decode(str_from(q + ENTRY_HEAD, len), &c) < 0))
            return err_set(e, AIS_E_CORRUPT, "entry %" PRIu64 " is malformed", index);
        if (type == RAFT_CHANGE) {
            raft_configuration_close(&c);
            confs_add(l, index, q + ENTRY_HEAD, len);
        }
        en = loading_add(g);
        en->term = be64_get(q + 8);
        en->type = (unsigned short)type;
        en->buf.len = len;
        en->buf.base = en->batch = raft_malloc(MAX(len, 1));
        memcpy(en->buf.base, q + ENTRY_HEAD, len);
        q += ENTRY_HEAD + len;
    }
    l->last = index - 1;
    file_last(l)->max = MAX(file_last(l)->max, l->last);
    return 0;
}

/* The frames of one file. tail: the last file, whose end may be torn. */
static int
file_load(struct raftlog *l, struct loading *g, uint64_t first, bool tail, struct err *e)
{
    auto_free char *path = log_path_of(l, first), *p = NULL;
    size_t          n = 0, off, len, k;
    int             rc;

    rc = disk_read_file(path, SIZE_MAX, &p, &n);
    if (rc < 0)
        return err_set(e, -rc, "%s: %s", path, err_text(rc));
    if (n < FILE_HEAD && tail) /* a kill came while it was being created */
        return log_create(l, first) < 0 ? err_set(e, AIS_E_IO, "%s: cannot be created", path) : 0;
    if (n < FILE_HEAD || memcmp(p, log_magic, 8) != 0 || be64_get(p + 8) != first)
        return err_set(e, AIS_E_CORRUPT, "%s: not a log of this format", path);
    file_add(l, first);
    for (off = FILE_HEAD; (len = frame_at(p + off, n - off)) > 0; off += len) {
        rc = frame_load(l, g, p + off, e);
        if (rc < 0)
            return err_wrap(e, "%s", path);
    }
    for (k = off + 1; k < n; k++) {
        if (frame_at(p + k, n - k) > 0)
            return err_set(e, AIS_E_CORRUPT, "%s: damaged at byte %zu, with committed entries behind it", path, off);
    }
    if (off < n && (!tail || !tail_is_torn(p, off, n)))
        return err_set(e, AIS_E_CORRUPT, "%s: damaged at byte %zu", path, off);
    l->grown += off;
    if (!tail)
        return 0;
    l->fd = open(path, O_RDWR | O_CLOEXEC);
    if (l->fd < 0)
        return err_set(e, AIS_E_IO, "%s: %s", path, strerror(errno));
    if (off < n) {
        log_warn("metadata log: torn end cut off", { "file", LZ(path) }, { "at", LU64(off) }, { "bytes", LU64(n - off) });
        if (ftruncate(l->fd, (off_t)off) < 0 || disk_fsync(l->fd, 0) < 0)
            return err_set(e, AIS_E_IO, "%s: cannot be cut", path);
    }
    l->off = l->reserved = off;
    return 0;
}

static int
u64_cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* First indexes of the log files, ascending. */
static int
log_list(const struct raftlog *l, uint64_t **out, size_t *n)
{
    DIR           *d = opendir(l->dir);
    struct dirent *de;
    uint64_t       first;

    *out = NULL;
    *n = 0;
    if (d == NULL)
        return err_from_errno(errno);
    while ((de = readdir(d)) != NULL) {
        struct str name = str_z(de->d_name);

        if (!str_starts(name, STR_LIT("log-")) || !str_u64(str_from_off(name, 4), &first) || first == 0)
            continue;
        *out = xrealloc(*out, (*n + 1) * sizeof(**out));
        (*out)[(*n)++] = first;
    }
    closedir(d);
    if (*n > 1)
        qsort(*out, *n, sizeof(**out), u64_cmp);
    return 0;
}

/* A file that begins behind a gap: a snapshot that came from elsewhere made what was before it obsolete, and the log begins here. */
static int
gap(struct raftlog *l, struct loading *g, uint64_t first, struct err *e)
{
    if (first > l->snap_index + 1)
        return err_set(e, AIS_E_CORRUPT, "%s: entries %" PRIu64 " to %" PRIu64 " are missing", l->dir, l->last + 1, first - 1);
    files_unlink(l, l->nfiles);
    loading_trim(g, 0);
    confs_drop(l, l->snap_index + 1);
    l->last = first - 1;
    g->start = first;
    return 0;
}

static int
files_load(struct raftlog *l, struct loading *g, const uint64_t *first, size_t n, struct err *e)
{
    size_t i;
    int    rc;

    l->last = n > 0 ? MIN(first[0] - 1, l->snap_index) : 0;
    g->start = l->last + 1;
    for (i = 0; i < n; i++) {
        rc = first[i] > l->last + 1 ? gap(l, g, first[i], e) : 0;
        if (rc == 0)
            rc = file_load(l, g, first[i], i + 1 == n, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The log starts anew behind the snapshot. */
static int
log_restart(struct raftlog *l, struct loading *g, struct err *e)
{
    loading_trim(g, 0);
    confs_drop(l, l->snap_index + 1);
    l->last = l->snap_index;
    g->start = l->last + 1;
    if (log_create(l, l->last + 1) < 0)
        return err_set(e, AIS_E_IO, "%s: a log cannot be created", l->dir);
    files_unlink(l, l->nfiles - 1);
    return 0;
}

/*
 * Does the log go on from the snapshot? A kill may have come after a snapshot from elsewhere was put here and before the log it replaces
 * was gone: that one ends before it, or has an entry of another term at its index.
 */
static int
log_meets_snap(struct raftlog *l, struct loading *g, bool foreign, struct err *e)
{
    if (l->snap_index == 0)
        return 0;
    if (l->last < l->snap_index && !foreign)
        return err_set(e, AIS_E_CORRUPT, "%s: entries %" PRIu64 " to %" PRIu64 " are missing", l->dir, l->last + 1, l->snap_index);
    if (l->last < l->snap_index ||
        (g->start <= l->snap_index && g->entries[l->snap_index - g->start].term != l->snap_term))
        return log_restart(l, g, e);
    return 0;
}

static void
load_reset(struct raftlog *l)
{
    fd_close(&l->fd);
    confs_drop(l, 0);
    l->nfiles = 0;
    l->last = l->snap_index = l->snap_term = l->grown = 0;
    sbuf_reset(&l->frames);
}

static int
load_all(struct raftlog *l, struct loading *g, struct raft_snapshot **snap, struct err *e)
{
    auto_free uint64_t *first = NULL;
    bool                foreign = false;
    size_t              n;
    int                 rc;

    load_reset(l);
    rc = log_list(l, &first, &n);
    if (rc < 0)
        return err_set(e, -rc, "%s: %s", l->dir, err_text(rc));
    rc = snap_read(l, snap, &foreign, e);
    if (rc < 0 && rc != -AIS_E_NOENT)
        return rc;
    if (*snap != NULL) {
        struct raft_buffer conf;

        l->snap_index = (*snap)->index;
        l->snap_term = (*snap)->term;
        if (raft_configuration_encode(&(*snap)->configuration, &conf) != 0)
            return err_set(e, AIS_E_NOMEM, "out of memory");
        confs_base(l, (*snap)->configuration_index, conf.base, conf.len);
        raft_free(conf.base);
    }
    if (n == 0) /* the first log is made before the vote, and a log goes after the next was made */
        return err_set(e, AIS_E_CORRUPT, "%s: the metadata log is missing", l->dir);
    rc = files_load(l, g, first, n, e);
    if (rc == 0)
        rc = log_meets_snap(l, g, foreign, e);
    if (rc == 0 && l->fd < 0)
        rc = err_set(e, AIS_E_CORRUPT, "%s: the metadata log is missing", l->dir);
    if (rc == 0 && g->start > l->snap_index + 1)
        rc = err_set(e, AIS_E_CORRUPT, "%s: entries %" PRIu64 " to %" PRIu64 " are missing", l->dir, l->snap_index + 1, g->start - 1);
    if (rc == 0 && l->snap_index == 0 && g->n > 0 && g->entries[0].type != RAFT_CHANGE)
        rc = err_set(e, AIS_E_CORRUPT, "%s: the log does not begin with a configuration", l->dir);
    return rc;
}

int
raftlog_load(struct raftlog *l, struct raft_snapshot **snap, raft_index *start, struct raft_entry **entries, size_t *n, struct err *e)
{
    struct loading g = { .entries = NULL };
    int            rc;

    *snap = NULL;
    rc = load_all(l, &g, snap, e);
    if (rc < 0) {
        loading_free(&g);
        snapshot_free(*snap);
        *snap = NULL;
        load_reset(l);
        return rc;
    }
    *start = g.start;
    *entries = g.entries;
    *n = g.n;
    if (g.n == 0) {
        raft_free(g.entries);
        *entries = NULL;
    }
    return 0;
}

/* --- writing --- */
static void
frame_put(struct raftlog *l, uint64_t first, const struct raft_entry *entries, unsigned n)
{
    struct sbuf *b = &l->frames;
    char         head[FRAME_HEAD] = { 0 }, *p;
    size_t       at = b->n, len;
    unsigned     i;

    sbuf_put(b, head, sizeof(head));
    for (i = 0; i < n; i++) {
        char eh[ENTRY_HEAD];

        be32_put(eh, (uint32_t)entries[i].buf.len);
        be32_put(eh + 4, (uint32_t)entries[i].type << 16);
        be64_put(eh + 8, entries[i].term);
        sbuf_put(b, eh, sizeof(eh));
        sbuf_put(b, entries[i].buf.base, entries[i].buf.len);
    }
    if (!sbuf_ok(b))
        return;
    p = b->p + at;
    len = b->n - at - FRAME_HEAD;
    be32_put(p, FRAME_MAGIC);
    be32_put(p + 4, n);
    be64_put(p + 8, first);
    be32_put(p + 16, (uint32_t)len);
    be32_put(p + 20, (uint32_t)xxh64(p, 20, 0));
    be64_put(p + 24, head_hash(p, 24, p + FRAME_HEAD, len));
}

/* How many entries from i on make one frame. */
static unsigned
frame_take(const struct raft_entry *entries, unsigned i, unsigned n)
{
    size_t   bytes = 0;
    unsigned k;

    for (k = i; k < n; k++) {
        bytes += ENTRY_HEAD + entries[k].buf.len;
        if (k > i && bytes > FRAME_MAX / 4)
            break;
    }
    return k - i;
}

int
raftlog_append(struct raftlog *l, uint64_t first, const struct raft_entry *entries, unsigned n)
{
    unsigned i, k;

    ASSERT(first > 0 && first <= l->last + 1);
    confs_drop(l, first);
    for (i = 0; i < n; i += k) {
        k = frame_take(entries, i, n);
        frame_put(l, first + i, entries + i, k);
    }
    for (i = 0; i < n; i++) {
        if (entries[i].type == RAFT_CHANGE)
            confs_add(l, first + i, entries[i].buf.base, entries[i].buf.len);
    }
    l->last = first + n - 1;
    return sbuf_ok(&l->frames) ? 0 : -AIS_E_NOMEM;
}

static void
frames_reset(struct raftlog *l)
{
    if (l->frames.cap > 4 * RESERVE_STEP || l->frames.failed) {
        sbuf_fini(&l->frames);
        sbuf_init(&l->frames, FRAMES_MAX);
    } else {
        sbuf_reset(&l->frames);
    }
}

int
raftlog_flush(struct raftlog *l)
{
    struct sbuf *b = &l->frames;
    ssize_t      n;
    int          rc;

    if (l->failed)
        return -AIS_E_IO;
    if (!sbuf_ok(b))
        return -AIS_E_NOMEM;
    if (b->n == 0)
        return 0;
    FAIL_POINT("cons.before_write", return failpoint_error(-AIS_E_IO));
    n = disk_pwrite(l->fd, b->p, b->n, l->off);
    FAIL_POINT("cons.after_write", n = failpoint_error(-AIS_E_IO));
    if (n < 0) {
        if (ftruncate(l->fd, (off_t)l->off) < 0)
            l->failed = true;
        l->reserved = l->off;
        return (int)n;
    }
    rc = disk_fsync(l->fd, 1);
    FAIL_POINT("cons.sync", rc = failpoint_error(-AIS_E_IO));
    if (rc < 0) {
        /* After a failed flush the kernel may have dropped the pages: nobody knows what a restart will read. */
        l->failed = true;
        log_error("metadata log cannot be flushed: no more changes until restart", { "dir", LZ(l->dir) }, { "error", LZ(err_text(rc)) });
        return rc;
    }
    l->off += b->n;
    l->grown += b->n;
    file_last(l)->max = MAX(file_last(l)->max, l->last);
    frames_reset(l);
    return 0;
}

int
raftlog_reserve(struct raftlog *l, size_t n)
{
    uint64_t want = l->off + l->frames.n + n + FRAME_HEAD + ENTRY_HEAD;

    if (l->failed)
        return -AIS_E_IO;
    FAIL_POINT("cons.reserve", return failpoint_error(-AIS_E_NOSPACE));
    if (want <= l->reserved)
        return 0;
    if (fallocate(l->fd, FALLOC_FL_KEEP_SIZE, (off_t)l->off, (off_t)(want - l->off + RESERVE_STEP)) == 0) {
        l->reserved = want + RESERVE_STEP;
        return 0;
    }
    if (errno == EOPNOTSUPP || errno == ENOSYS)
        return 0;
    if (fallocate(l->fd, FALLOC_FL_KEEP_SIZE, (off_t)l->off, (off_t)(want - l->off)) == 0) {
        l->reserved = want;
        return 0;
    }
    return err_from_errno(errno);
}

void
raftlog_truncate(struct raftlog *l, uint64_t index)
{
    confs_drop(l, index);
    if (index <= l->last)
        l->last = index - 1;
}

int
raftlog_snap_put(struct raftlog *l, const struct raft_snapshot *s, unsigned trailing)
{
    struct raft_buffer conf;
    uint64_t           keep = s->index > trailing ? s->index - trailing : 0;
    size_t             n;
    int                rc;

    if (l->failed)
        return -AIS_E_IO;
    if (raft_configuration_encode(&s->configuration, &conf) != 0)
        return -AIS_E_NOMEM;
    rc = raftlog_flush(l);
    if (rc == 0)
        rc = snap_write(l, s, &conf, trailing == 0);
    if (rc == 0 && trailing == 0)
        rc = log_create(l, s->index + 1);
    else if (rc == 0 && file_last(l)->first < l->last + 1 && file_last(l)->max >= file_last(l)->first)
        rc = log_create(l, l->last + 1);
    if (rc == 0) {
        confs_base(l, s->configuration_index, conf.base, conf.len);
        if (trailing == 0) {
            confs_drop(l, s->index + 1);
            l->last = s->index;
            files_unlink(l, l->nfiles - 1);
        }
        for (n = 0; n + 1 < l->nfiles && l->files[n].max <= keep; n++)
            ;
        files_unlink(l, n);
        l->snap_index = s->index;
        l->snap_term = s->term;
        l->grown = 0;
    }
    raft_free(conf.base);
    return rc;
}

/* --- opening --- */
static int
dir_lock(struct raftlog *l, struct err *e)
{
    auto_free char *path = path_of(l, "lock");

    if (mkdir(l->dir, 0750) < 0 && errno != EEXIST)
        return err_set(e, AIS_E_IO, "%s: %s", l->dir, strerror(errno));
    l->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (l->lock_fd < 0)
        return err_set(e, AIS_E_IO, "%s: %s", path, strerror(errno));
    if (flock(l->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(e, AIS_E_BUSY, "%s: in use by another process", l->dir);
    return 0;
}

/* A new directory: an empty log, then the vote file, which makes it one. */
static int
dir_make(struct raftlog *l, struct err *e)
{
    auto_free uint64_t *first = NULL;
    size_t              n, i;
    int                 rc = log_list(l, &first, &n);

    for (i = 0; i < n; i++) {
        auto_free char *path = log_path_of(l, first[i]);
        struct stat     st;

        if (stat(path, &st) == 0 && st.st_size > (off_t)FILE_HEAD)
            return err_set(e, AIS_E_CORRUPT, "%s: there is a log, but the vote is missing", l->dir);
    }
    if (rc == 0)
        rc = log_create(l, 1);
    fd_close(&l->fd);
    while (l->sid == 0)
        l->sid = rand_u64();
    if (rc == 0)
        rc = raftlog_vote(l, 0, 0, 0);
    return rc < 0 ? err_set(e, -rc, "%s: %s", l->dir, err_text(rc)) : 0;
}

int
raftlog_open(const char *dir, const char *id, struct raftlog **out, struct err *e)
{
    struct raftlog *l = xcalloc(1, sizeof(*l));
    int             rc;

    l->dir = xstrdup(dir);
    l->lock_fd = l->fd = -1;
    str_copyz(str_z(id), l->id, sizeof(l->id));
    sbuf_init(&l->frames, FRAMES_MAX);
    rc = dir_lock(l, e);
    if (rc == 0)
        rc = vote_read(l, e);
    if (rc == -AIS_E_NOENT)
        rc = dir_make(l, e);
    if (rc < 0) {
        err_fill(e, rc);
        raftlog_close(l);
        return rc;
    }
    *out = l;
    return 0;
}

void
raftlog_close(struct raftlog *l)
{
    if (l == NULL)
        return;
    confs_drop(l, 0);
    free(l->confs);
    free(l->files);
    fd_close(&l->fd);
    fd_close(&l->lock_fd);
    sbuf_fini(&l->frames);
    free(l->dir);
    free(l);
}

int
raftlog_bootstrap(struct raftlog *l, uint32_t epoch, const struct raft_configuration *c, struct err *e)
{
    struct raft_entry     en = { .term = 1, .type = RAFT_CHANGE }, *entries = NULL;
    struct raft_snapshot *snap = NULL;
    raft_index            start;
    size_t                n;
    int                   rc = raftlog_load(l, &snap, &start, &entries, &n, e);

    if (rc < 0)
        return rc;
    if (snap != NULL || n > 0)
        ais_bug("bootstrap of a server that has a log");
    if (raft_configuration_encode(c, &en.buf) != 0)
        return err_set(e, AIS_E_NOMEM, "out of memory");
    rc = raftlog_vote(l, epoch, 1, 0);
    if (rc == 0)
        rc = raftlog_append(l, 1, &en, 1);
    if (rc == 0)
        rc = raftlog_flush(l);
    raft_free(en.buf.base);
    return rc < 0 ? err_set(e, -rc, "%s: %s", l->dir, err_text(rc)) : 0;
}
