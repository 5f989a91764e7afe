/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replicated log for a group of one voter: a command is committed when its record is on stable storage.
 *
 * Everything that writes runs on one worker thread: it takes all proposals that came while the last group was being written, puts
 * them into one frame, one write, one fdatasync, then applies them in order and answers. So the cost of a flush is shared, and
 * the state machine needs no locks of its own.
 *
 * On disk (big-endian), in cons_conf.dir:
 *   vote          JSON {"format","epoch","term","id"}: written whole before a term is used
 *   snap          "AISSNAP1" u64 index, u64 term, u64 length, u64 XXH64(these 32 bytes + JSON), JSON
 *   log-<first>   "AISLOG01" u64 first index, then frames:
 *                 u32 magic, u32 entries, u64 first index, u64 term, u32 payload bytes, u32 0, u64 XXH64(these 32 bytes + payload),
 *                 payload: per entry u32 length and the command
 *   lock          held by the process that has the directory open
 *
 * A frame that does not verify ends the log when it looks like a write that was cut short (never answered): the file ends inside it,
 * or a whole sector of it was never written. It is cut off. Anything else is damage to something acknowledged: a whole frame behind
 * it, or a frame of full length with wrong bytes. Then the log refuses to open; so it does when the vote says that there was a log and
 * there is none, or when the directory is another node's.
 */
#include "core/consensus.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/disk.h"
#include "run/offload.h"
#include "codec/cksum.h"
#include "codec/jw.h"
#include "base/assert.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/sbuf.h"
#include "base/util.h"

#define FRAME_MAGIC   0xa15c0f3au
#define FRAME_HEAD    40u
#define FILE_HEAD     16u
#define SNAP_HEAD     40u
#define CMD_MAX       (64u << 20)
#define FRAME_MAX     (CMD_MAX + (1u << 20))
#define SNAP_MAX      (256u << 20)
#define SNAP_ENTRIES  1024u
#define SNAP_BYTES    (4u << 20)
#define FRAME_SOFTMAX (1u << 20) /* a group of proposals is cut into frames of about this size */
#define SECTOR        512u       /* what a disk writes whole or not at all */

static const char log_magic[8] = "AISLOG01", snap_magic[8] = "AISSNAP1";

struct cons {
    struct cons_conf conf;
    char            *dir;
    char             id[64];
    struct worker   *worker;
    int              lock_fd, log_fd;
    uint64_t         log_first; /* first index of the open log file */
    uint64_t         log_off;   /* end of its last good frame */
    uint64_t         last;      /* last index in the log */
    uint64_t         snap_index;
    uint64_t         snap_tried; /* last index when a snapshot failed: not again before there is more */
    uint32_t         epoch;
    uint64_t         term;
    struct sbuf      frame;
    _Atomic uint64_t applied;
    _Atomic bool     failed;    /* a flush failed: what is on disk is unknown, only a restart may find out */
};

struct proposal {
    struct wjob job;
    struct str  cmd;
    int64_t     deadline;
    struct err *e;
};

/* --- small things --- */
static char *
cons_path(const struct cons *c, const char *name)
{
    return xasprintf("%s/%s", c->dir, name);
}

static char *
log_path_of(const struct cons *c, uint64_t first)
{
    return xasprintf("%s/log-%020" PRIu64, c->dir, first);
}

/* Hash of a fixed head and what follows it, in two passes so that nothing is copied. */
static uint64_t
head_hash(const void *head, size_t nhead, const void *body, size_t nbody)
{
    return xxh64(body, nbody, xxh64(head, nhead, 0));
}

static int
dir_sync(const struct cons *c)
{
    auto_close int fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return err_from_errno(errno);
    return 0;
}

/* --- vote --- */
static int
vote_read(struct cons *c, struct err *e)
{
    auto_free char *path = cons_path(c, "vote"), *text = NULL;
    size_t          n = 0;
    json_t         *j = NULL;
    const char     *id;
    uint64_t        epoch = 0, term = 0;
    int             rc;

    c->epoch = 1;
    c->term = 0;
    rc = disk_read_file(path, 4096, &text, &n);
    if (rc == -AIS_E_NOENT)
        return 0;
    if (rc < 0)
        return err_set(e, -rc, "%s: %s", path, err_text(rc));
    rc = json_read(str_from(text, n), &j, e);
    if (rc == 0 && json_u64(json_object_get(j, "epoch"), &epoch) && json_u64(json_object_get(j, "term"), &term) &&
        epoch > 0 && epoch <= UINT32_MAX) {
        c->epoch = (uint32_t)epoch;
        c->term = term;
    } else {
        rc = err_set(e, AIS_E_CORRUPT, "%s does not parse", path);
    }
    id = json_string_value(json_object_get(j, "id"));
    if (rc == 0 && (id == NULL || strcmp(id, c->id) != 0))
        rc = err_set(e, AIS_E_CONFLICT, "%s: the metadata log belongs to node \"%s\", this is \"%s\"", c->dir, id != NULL ? id : "",
                     c->id);
    json_decref(j);
    return rc;
}

static int
vote_write(struct cons *c, struct err *e)
{
    auto_free char *path = cons_path(c, "vote");
    char            text[256];
    int             n, rc;

    n = snprintf(text, sizeof(text), "{\"format\":1,\"epoch\":%" PRIu32 ",\"term\":%" PRIu64 ",\"id\":\"%s\"}\n", c->epoch,
                 c->term, c->id);
    rc = disk_write_file_atomic(path, text, (size_t)n, 0640);
    return rc < 0 ? err_set(e, -rc, "%s: %s", path, err_text(rc)) : 0;
}

/* --- snapshot --- */
static int
snap_read(struct cons *c, struct err *e)
{
    auto_free char *path = cons_path(c, "snap"), *p = NULL;
    size_t          n = 0;
    int             rc;

    rc = disk_read_file(path, SNAP_MAX, &p, &n);
    if (rc == -AIS_E_NOENT)
        return 0;
    if (rc < 0)
        return err_set(e, -rc, "%s: %s", path, err_text(rc));
    if (n < SNAP_HEAD || memcmp(p, snap_magic, 8) != 0 || be64_get(p + 24) != n - SNAP_HEAD ||
        be64_get(p + 32) != head_hash(p, 32, p + SNAP_HEAD, n - SNAP_HEAD))
        return err_set(e, AIS_E_CORRUPT, "%s: bad checksum", path);
    rc = c->conf.restore(c->conf.ctx, str_from(p + SNAP_HEAD, n - SNAP_HEAD), e);
    if (rc < 0)
        return err_wrap(e, "%s", path);
    c->snap_index = c->last = be64_get(p + 8);
    atomic_store(&c->applied, c->last);
    return 0;
}

/* The state as of c->last. */
static int
snap_write(struct cons *c)
{
    auto_free char *path = cons_path(c, "snap"), *json = NULL;
    size_t          n = 0;
    char            head[SNAP_HEAD];
    struct sbuf     b;
    int             rc;

    rc = c->conf.snapshot(c->conf.ctx, &json, &n);
    if (rc < 0)
        return rc;
    memcpy(head, snap_magic, 8);
    be64_put(head + 8, c->last);
    be64_put(head + 16, c->term);
    be64_put(head + 24, n);
    be64_put(head + 32, head_hash(head, 32, json, n));
    sbuf_init(&b, SNAP_MAX);
    sbuf_put(&b, head, sizeof(head));
    sbuf_put(&b, json, n);
    rc = sbuf_ok(&b) ? disk_write_file_atomic(path, b.p, b.n, 0640) : -AIS_E_TOOBIG;
    sbuf_fini(&b);
    if (rc == 0)
        c->snap_index = c->last;
    return rc;
}

/* --- log files --- */
static int
log_create(struct cons *c, uint64_t first)
{
    auto_free char *path = log_path_of(c, first);
    char            head[FILE_HEAD];
    int             fd, rc;

    memcpy(head, log_magic, 8);
    be64_put(head + 8, first);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0)
        return err_from_errno(errno);
    rc = disk_pwrite(fd, head, sizeof(head), 0) < 0 ? -AIS_E_IO : disk_fsync(fd, 0);
    if (rc == 0)
        rc = dir_sync(c);
    if (rc < 0) {
        fd_close(&fd);
        unlink(path);
        return rc;
    }
    fd_close(&c->log_fd);
    c->log_fd = fd;
    c->log_first = first;
    c->log_off = FILE_HEAD;
    return 0;
}

/* Is there a whole frame at p? Its bytes, or 0. */
static size_t
frame_at(const char *p, size_t n)
{
    size_t len;

    if (n < FRAME_HEAD || be32_get(p) != FRAME_MAGIC)
        return 0;
    len = be32_get(p + 24);
    if (len > FRAME_MAX || len > n - FRAME_HEAD)
        return 0;
    return be64_get(p + 32) == head_hash(p, 32, p + FRAME_HEAD, len) ? FRAME_HEAD + len : 0;
}

/*
 * Is what lies at off, to the end of the file, a write that was cut short? A log file grows at its end only, so a sector that did not
 * get to the disk is a hole of zeros or missing. (A bad length field reads as "the file ends inside it": that much is taken on trust.)
 */
static bool
tail_is_torn(const char *p, size_t off, size_t n)
{
    size_t head = n - off, end = n, at, next, i;

    if (head < FRAME_HEAD)
        return true;
    if (be32_get(p + off) == FRAME_MAGIC) {
        size_t len = be32_get(p + off + 24);

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

static int
frame_replay(struct cons *c, const char *p, struct err *e)
{
    uint32_t    count = be32_get(p + 4), i;
    uint64_t    index = be64_get(p + 8);
    const char *q = p + FRAME_HEAD, *end = q + be32_get(p + 24);
    struct err  refused;

    if (index > c->last + 1)
        return err_set(e, AIS_E_CORRUPT, "entries %" PRIu64 " to %" PRIu64 " are missing", c->last + 1, index - 1);
    for (i = 0; i < count; i++, index++) {
        uint32_t len;

        if ((size_t)(end - q) < 4 || be32_get(q) > (size_t)(end - q) - 4)
            return err_set(e, AIS_E_CORRUPT, "entry %" PRIu64 " is malformed", index);
        len = be32_get(q);
        if (index > c->last) {
            err_clear(&refused);
            (void)c->conf.apply(c->conf.ctx, index, str_from(q + 4, len), &refused); /* refused then, refused now */
            c->last = index;
            atomic_store(&c->applied, index);
        }
        q += 4 + len;
    }
    return 0;
}

/* Apply the frames of one file. tail: the last file, whose end may be torn. */
static int
log_replay(struct cons *c, uint64_t first, bool tail, struct err *e)
{
    auto_free char *path = log_path_of(c, first), *p = NULL;
    size_t          n = 0, off, len, k;
    int             rc;

    rc = disk_read_file(path, SIZE_MAX, &p, &n);
    if (rc < 0)
        return err_set(e, -rc, "%s: %s", path, err_text(rc));
    if (n < FILE_HEAD && tail && first == c->last + 1) /* a kill came while it was being created */
        return log_create(c, first) < 0 ? err_set(e, AIS_E_IO, "%s: cannot be created", path) : 0;
    if (n < FILE_HEAD || memcmp(p, log_magic, 8) != 0 || be64_get(p + 8) != first)
        return err_set(e, AIS_E_CORRUPT, "%s: not a log of this format", path);
    for (off = FILE_HEAD; (len = frame_at(p + off, n - off)) > 0; off += len) {
        rc = frame_replay(c, p + off, e);
        if (rc < 0)
            return err_wrap(e, "%s", path);
    }
    for (k = off + 1; k < n; k++) {
        if (frame_at(p + k, n - k) > 0)
            return err_set(e, AIS_E_CORRUPT, "%s: damaged at byte %zu, with committed entries behind it", path, off);
    }
    if (off < n && (!tail || !tail_is_torn(p, off, n)))
        return err_set(e, AIS_E_CORRUPT, "%s: damaged at byte %zu", path, off);
    if (!tail)
        return 0;
    c->log_fd = open(path, O_RDWR | O_CLOEXEC);
    if (c->log_fd < 0)
        return err_set(e, AIS_E_IO, "%s: %s", path, strerror(errno));
    if (off < n) {
        log_warn("metadata log: torn end cut off", { "file", LZ(path) }, { "at", LU64(off) }, { "bytes", LU64(n - off) });
        if (ftruncate(c->log_fd, (off_t)off) < 0 || disk_fsync(c->log_fd, 0) < 0)
            return err_set(e, AIS_E_IO, "%s: cannot be cut", path);
    }
    c->log_first = first;
    c->log_off = off;
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
log_list(const struct cons *c, uint64_t **out, size_t *n)
{
    DIR           *d = opendir(c->dir);
    struct dirent *de;
    uint64_t       first;

    *out = NULL;
    *n = 0;
    if (d == NULL)
        return err_from_errno(errno);
    while ((de = readdir(d)) != NULL) {
        struct str name = str_z(de->d_name);

        if (!str_starts(name, STR_LIT("log-")) || !str_u64(str_from_off(name, 4), &first))
            continue;
        *out = xrealloc(*out, (*n + 1) * sizeof(**out));
        (*out)[(*n)++] = first;
    }
    closedir(d);
    if (*n > 1)
        qsort(*out, *n, sizeof(**out), u64_cmp);
    return 0;
}

static int
logs_replay(struct cons *c, struct err *e)
{
    auto_free uint64_t *first = NULL;
    size_t              n, i;
    int                 rc;

    rc = log_list(c, &first, &n);
    if (rc < 0)
        return err_set(e, -rc, "%s: %s", c->dir, err_text(rc));
    if (n == 0 && c->term > 0) /* a vote is written after the first log, and a log goes after the next was made */
        return err_set(e, AIS_E_CORRUPT, "%s: the metadata log is missing", c->dir);
    for (i = 0; i < n; i++) {
        if (first[i] > c->last + 1)
            return err_set(e, AIS_E_CORRUPT, "%s: entries %" PRIu64 " to %" PRIu64 " are missing", c->dir, c->last + 1,
                           first[i] - 1);
        rc = log_replay(c, first[i], i + 1 == n, e);
        if (rc < 0)
            return rc;
    }
    if (c->log_fd < 0 && log_create(c, c->last + 1) < 0)
        return err_set(e, AIS_E_IO, "%s: a log cannot be created", c->dir);
    return 0;
}

/* A snapshot, then a fresh log, then the old ones go: a kill between any two leaves something that replays to the same state. */
static void
cons_compact(struct cons *c)
{
    auto_free uint64_t *first = NULL;
    size_t              n, i;
    uint32_t            every = c->conf.snap_every > 0 ? c->conf.snap_every : SNAP_ENTRIES;
    int                 rc;

    if ((c->last - c->snap_index < every && c->log_off < SNAP_BYTES) || c->last == c->snap_tried)
        return;
    rc = snap_write(c);
    if (rc == 0)
        rc = log_create(c, c->last + 1);
    if (rc < 0) {
        c->snap_tried = c->last;
        log_error("metadata snapshot failed, the log goes on growing", { "dir", LZ(c->dir) }, { "error", LZ(err_text(rc)) });
        return;
    }
    if (log_list(c, &first, &n) < 0)
        return;
    for (i = 0; i < n; i++) {
        auto_free char *path = log_path_of(c, first[i]);

        if (first[i] < c->log_first)
            unlink(path);
    }
}

/* --- the worker --- */
static void
frame_begin(struct cons *c)
{
    char head[FRAME_HEAD] = { 0 };

    sbuf_reset(&c->frame);
    sbuf_put(&c->frame, head, sizeof(head));
}

static void
frame_add(struct cons *c, struct str cmd)
{
    char len[4];

    be32_put(len, (uint32_t)cmd.n);
    sbuf_put(&c->frame, len, sizeof(len));
    sbuf_puts(&c->frame, cmd);
}

/* Write and flush the frame. On failure nothing of it is in the log. */
static int
frame_commit(struct cons *c, uint32_t count)
{
    char   *p = c->frame.p;
    ssize_t n;
    int     rc;

    if (!sbuf_ok(&c->frame))
        return -AIS_E_NOMEM;
    be32_put(p, FRAME_MAGIC);
    be32_put(p + 4, count);
    be64_put(p + 8, c->last + 1);
    be64_put(p + 16, c->term);
    be32_put(p + 24, (uint32_t)(c->frame.n - FRAME_HEAD));
    be64_put(p + 32, head_hash(p, 32, p + FRAME_HEAD, c->frame.n - FRAME_HEAD));
    FAIL_POINT("cons.before_write", return -AIS_E_IO);
    n = disk_pwrite(c->log_fd, p, c->frame.n, c->log_off);
    FAIL_POINT("cons.after_write", n = -AIS_E_IO);
    if (n < 0) {
        if (ftruncate(c->log_fd, (off_t)c->log_off) < 0)
            atomic_store(&c->failed, true);
        return (int)n;
    }
    rc = disk_fsync(c->log_fd, 1);
    if (rc < 0) {
        /* After a failed flush the kernel may have dropped the pages: nobody knows what a restart will read. */
        atomic_store(&c->failed, true);
        log_error("metadata log cannot be flushed: no more changes until restart", { "dir", LZ(c->dir) },
                  { "error", LZ(err_text(rc)) });
        return rc;
    }
    c->log_off += c->frame.n;
    return 0;
}

/* Take proposals off the batch into one frame; the group is at *group. Returns how many. */
static uint32_t
group_take(struct cons *c, struct wjobs *batch, struct wjobs *group)
{
    uint32_t count = 0;

    STAILQ_INIT(group);
    frame_begin(c);
    while (!STAILQ_EMPTY(batch) && (count == 0 || c->frame.n < FRAME_SOFTMAX)) {
        struct wjob     *j = STAILQ_FIRST(batch);
        struct proposal *p = CONTAINER_OF(j, struct proposal, job);

        STAILQ_REMOVE_HEAD(batch, link);
        if (clock_mono() >= p->deadline) {
            worker_done(j, err_set(p->e, AIS_E_TIMEOUT, "metadata log: timed out"));
            continue;
        }
        frame_add(c, p->cmd);
        STAILQ_INSERT_TAIL(group, j, link);
        count++;
    }
    return count;
}

static void
group_finish(struct cons *c, struct wjobs *group, int rc)
{
    while (!STAILQ_EMPTY(group)) {
        struct wjob     *j = STAILQ_FIRST(group);
        struct proposal *p = CONTAINER_OF(j, struct proposal, job);
        int              one = rc;

        STAILQ_REMOVE_HEAD(group, link);
        if (rc == 0) {
            c->last++;
            one = c->conf.apply(c->conf.ctx, c->last, p->cmd, p->e);
            atomic_store(&c->applied, c->last);
        } else {
            err_set(p->e, -rc, "metadata log: %s", err_text(rc));
        }
        worker_done(j, one);
    }
}

static void
cons_work(void *ctx, struct wjobs *batch)
{
    struct cons *c = ctx;
    struct wjobs group;

    while (!STAILQ_EMPTY(batch)) {
        uint32_t count = group_take(c, batch, &group);

        if (count > 0)
            group_finish(c, &group, atomic_load(&c->failed) ? -AIS_E_IO : frame_commit(c, count));
    }
    if (c->frame.cap > FRAME_SOFTMAX * 2) {
        sbuf_fini(&c->frame);
        sbuf_init(&c->frame, FRAME_MAX + FRAME_HEAD);
    }
    if (!atomic_load(&c->failed))
        cons_compact(c);
}

/* --- public --- */
static void
cons_free(struct cons *c)
{
    fd_close(&c->log_fd);
    fd_close(&c->lock_fd);
    sbuf_fini(&c->frame);
    free(c->dir);
    free(c);
}

static int
cons_lock(struct cons *c, struct err *e)
{
    auto_free char *path = cons_path(c, "lock");

    if (mkdir(c->dir, 0750) < 0 && errno != EEXIST)
        return err_set(e, AIS_E_IO, "%s: %s", c->dir, strerror(errno));
    c->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (c->lock_fd < 0)
        return err_set(e, AIS_E_IO, "%s: %s", path, strerror(errno));
    if (flock(c->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(e, AIS_E_BUSY, "%s: in use by another process", c->dir);
    return 0;
}

int
cons_open(const struct cons_conf *conf, struct cons **out, struct err *e)
{
    struct cons *c = xcalloc(1, sizeof(*c));
    int          rc;

    ASSERT_MAY_BLOCK();
    c->conf = *conf;
    c->dir = xstrdup(conf->dir);
    c->lock_fd = c->log_fd = -1;
    str_copyz(str_z(conf->id), c->id, sizeof(c->id));
    sbuf_init(&c->frame, FRAME_MAX + FRAME_HEAD);
    rc = cons_lock(c, e);
    if (rc == 0)
        rc = vote_read(c, e);
    if (rc == 0)
        rc = snap_read(c, e);
    if (rc == 0)
        rc = logs_replay(c, e);
    if (rc == 0) {
        c->term++; /* alone in the group: elected by opening, in a term of its own */
        rc = vote_write(c, e);
    }
    if (rc == 0)
        rc = worker_new(conf->run, "consensus", cons_work, c, 0, &c->worker);
    if (rc < 0) {
        err_fill(e, rc);
        cons_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void
cons_close(struct cons *c)
{
    if (c == NULL)
        return;
    worker_free(c->worker);
    cons_free(c);
}

bool
cons_is_leader(const struct cons *c)
{
    return !atomic_load(&c->failed);
}

uint64_t
cons_applied(const struct cons *c)
{
    return atomic_load(&c->applied);
}

struct cons_fence
cons_fence(const struct cons *c)
{
    return (struct cons_fence){ .epoch = c->epoch, .term = c->term };
}

int
cons_propose(struct cons *c, struct str cmd, int64_t deadline, struct err *e)
{
    struct proposal p = { .cmd = cmd, .deadline = deadline, .e = e };

    ASSERT_MAY_PARK();
    if (!cons_is_leader(c))
        return err_set(e, AIS_E_NOTPRIMARY, "the metadata log has failed: restart this node");
    if (cmd.n == 0 || cmd.n > CMD_MAX)
        return err_set(e, AIS_E_TOOBIG, "metadata command of %zu bytes", cmd.n);
    return worker_call(c->worker, &p.job);
}
