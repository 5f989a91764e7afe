/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of a mountpath: records, groups, segments. */
#include "store/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"
#include "store/own.h"

#define GROUP_MAGIC 0x41494a32u /* "AIJ2" */
#define REC_HEAD    (4 + 8 + GEN_BYTES + 20)
#define SEG_MAX     (1ULL << 30) /* nobody writes longer ones */
#define PREALLOC    (1 * MIB)

/* --- records: op, flags, u16 0 | bid | gen | u32 lengths of name, prev, meta, own, body | bytes --- */

void
jrec_encode(const struct jrec *r, struct sbuf *out)
{
    const struct str part[] = { r->name, r->prev, r->meta, r->own, r->body };
    unsigned char    head[REC_HEAD] = { (unsigned char)r->op, r->has_body };

    be64_put(head + 4, r->bid);
    gen_pack(&r->gen, head + 12);
    for (size_t i = 0; i < ARRAY_SIZE(part); i++)
        be32_put(head + 12 + GEN_BYTES + 4 * i, (uint32_t)part[i].n);
    sbuf_put(out, head, sizeof(head));
    for (size_t i = 0; i < ARRAY_SIZE(part); i++)
        sbuf_puts(out, part[i]);
}

int
jrec_decode(struct str *in, struct jrec *r)
{
    struct str *const part[] = { &r->name, &r->prev, &r->meta, &r->own, &r->body };
    const char       *head = in->p;
    struct str        rest;

    if (in->n < REC_HEAD || head[0] < JOP_PUT || head[0] >= JOP_NOPS || (head[1] & ~1) != 0 || head[2] != 0 || head[3] != 0)
        return -AIS_E_CORRUPT;
    *r = (struct jrec){ .op = (enum jop)head[0], .has_body = head[1] != 0, .bid = be64_get(head + 4) };
    gen_unpack(head + 12, &r->gen);
    rest = str_from_off(*in, REC_HEAD);
    for (size_t i = 0; i < ARRAY_SIZE(part); i++) {
        uint32_t n = be32_get(head + 12 + GEN_BYTES + 4 * i);

        if (n > rest.n)
            return -AIS_E_CORRUPT;
        *part[i] = str_from(rest.p, n);
        rest = str_from_off(rest, n);
    }
    if (r->name.n == 0 || r->name.n > 4096 || r->prev.n > 255 || str_chr(r->prev, '/') >= 0)
        return -AIS_E_CORRUPT;
    *in = rest;
    return 0;
}

/* --- groups: magic, length | crc32c of what follows, 0 | segment | salt | records --- */

void
jgroup_begin(struct sbuf *out)
{
    static const char head[JGROUP_HEAD];

    sbuf_reset(out);
    sbuf_put(out, head, sizeof(head));
}

void
jgroup_end(struct sbuf *out, uint64_t segment, uint64_t salt)
{
    if (!sbuf_ok(out))
        return;
    be32_put(out->p, GROUP_MAGIC);
    be32_put(out->p + 4, (uint32_t)(out->n - JGROUP_HEAD));
    be64_put(out->p + 16, segment);
    be64_put(out->p + 24, salt);
    be32_put(out->p + 8, crc32c(0, out->p + 12, out->n - 12));
}

bool
jgroup_next(struct str *in, uint64_t segment, struct str *records)
{
    uint32_t n;

    if (in->n < JGROUP_HEAD || be32_get(in->p) != GROUP_MAGIC || be64_get(in->p + 16) != segment)
        return false;
    n = be32_get(in->p + 4);
    if (n > in->n - JGROUP_HEAD || crc32c(0, in->p + 12, JGROUP_HEAD - 12 + (size_t)n) != be32_get(in->p + 8))
        return false;
    *records = str_from(in->p + JGROUP_HEAD, n);
    *in = str_from_off(*in, JGROUP_HEAD + (size_t)n);
    return true;
}

bool
jgroup_resync(struct str *in, uint64_t segment, uint64_t salt)
{
    unsigned char magic[4];
    struct str    rest = *in, at, records;
    const char   *p;

    be32_put(magic, GROUP_MAGIC);
    while (rest.n > JGROUP_HEAD) {
        rest = str_from_off(rest, 1);
        p = memmem(rest.p, rest.n, magic, sizeof(magic));
        if (p == NULL)
            return false;
        rest = str_from_off(rest, (size_t)(p - rest.p));
        at = rest;
        if (rest.n >= JGROUP_HEAD && be64_get(p + 24) == salt && jgroup_next(&at, segment, &records)) {
            *in = rest;
            return true;
        }
    }
    return false;
}

/* --- segments --- */

static void
seg_path(const struct journal *j, uint64_t nr, char out[340])
{
    snprintf(out, 340, "%s/journal.%016llx", j->dir, (unsigned long long)nr);
}

static void
spare_path(const struct journal *j, char out[340])
{
    snprintf(out, 340, "%s/journal.spare", j->dir);
}

/* A segment file with its space reserved: the spare one, or a new one. */
static int
seg_new(struct journal *j, uint64_t nr, struct jseg *s)
{
    char spare[340], path[340];

    spare_path(j, spare);
    seg_path(j, nr, path);
    if (rename(spare, path) < 0 && errno != ENOENT)
        return err_from_errno(errno);
    s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->fd < 0)
        return err_from_errno(errno);
    /* No reservation (some file systems cannot) is no failure: only a full disk is then harder to empty. */
    (void)fallocate(s->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)j->prealloc);
    s->nr = nr;
    s->at = 0;
    s->named = false;
    return 0;
}

static int
cmp_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static int
find_old(struct journal *j)
{
    DIR           *d = opendir(j->dir);
    struct dirent *de;

    if (d == NULL)
        return err_from_errno(errno);
    while ((de = readdir(d)) != NULL) {
        struct str name = str_z(de->d_name);
        uint64_t   nr;

        if (!str_starts(name, STR_LIT("journal.")) || !str_u64_base(str_from_off(name, 8), 16, &nr))
            continue;
        j->old = xrealloc(j->old, (j->nold + 1) * sizeof(*j->old));
        j->old[j->nold++] = nr;
    }
    closedir(d);
    if (j->nold > 0)
        qsort(j->old, j->nold, sizeof(*j->old), cmp_u64);
    return 0;
}

/* Two files exist at most times: the one being written and the spare one, or the one being folded in. */
static void
spare_make(struct journal *j)
{
    char spare[340];
    int  fd;

    spare_path(j, spare);
    fd = open(spare, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        (void)fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)j->prealloc);
    fd_close(&fd);
}

int
journal_open(const char *dir, uint64_t fs_bytes, struct journal *j, struct err *e)
{
    int rc;

    *j = (struct journal){ .seg = { .fd = -1 } };
    snprintf(j->dir, sizeof(j->dir), "%s", dir);
    j->prealloc = MIN(PREALLOC, MAX(fs_bytes / 1024 & ~4095ULL, 32 * KIB));
    rc = find_old(j);
    if (rc == 0)
        rc = seg_new(j, j->nold > 0 ? j->old[j->nold - 1] + 1 : 1, &j->seg);
    if (rc < 0) {
        journal_close(j);
        return err_set(e, -rc, "cannot open the journal in %s: %s", dir, err_text(rc));
    }
    spare_make(j);
    return 0;
}

void
journal_close(struct journal *j)
{
    char path[340];

    if (j->seg.fd >= 0 && j->seg.at == 0) {
        seg_path(j, j->seg.nr, path);
        (void)unlink(path);
    }
    fd_close(&j->seg.fd);
    free(j->old);
    j->old = NULL;
    j->nold = 0;
}

int
journal_append(struct journal *j, const struct sbuf *group)
{
    ssize_t n;

    if (!sbuf_ok(group))
        return -AIS_E_NOMEM;
    FAIL_POINT("journal.append", return failpoint_error(-AIS_E_IO));
    n = pwrite(j->seg.fd, group->p, group->n, (off_t)j->seg.at);
    if (n != (ssize_t)group->n)
        return n < 0 ? err_from_errno(errno) : -AIS_E_NOSPACE;
    j->seg.at += group->n;
    return 0;
}

/* The name too: a segment that is used again has its size already, so that syncing its data need not bring the new name along. */
int
journal_flush(struct journal *j)
{
    auto_close int dir = -1;

    if (fdatasync(j->seg.fd) < 0)
        return err_from_errno(errno);
    if (j->seg.named)
        return 0;
    dir = open(j->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || fsync(dir) < 0)
        return err_from_errno(errno);
    j->seg.named = true;
    return 0;
}

int
journal_rotate(struct journal *j, struct jseg *out)
{
    struct jseg next;
    int         rc;

    FAIL_POINT("journal.rotate", return failpoint_error(-AIS_E_IO));
    rc = seg_new(j, j->seg.nr + 1, &next);
    if (rc < 0)
        return rc;
    *out = j->seg;
    j->seg = next;
    return 0;
}

void
journal_release(struct journal *j, struct jseg *s)
{
    char path[340], spare[340];

    seg_path(j, s->nr, path);
    spare_path(j, spare);
    /* Its old groups carry the old number: whoever reads it under the next one sees nothing. */
    if ((s->at > j->prealloc && ftruncate(s->fd, (off_t)j->prealloc) < 0) || rename(path, spare) < 0)
        (void)unlink(path);
    fd_close(&s->fd);
}

int
journal_read(const struct journal *j, uint64_t nr, char **p, size_t *n)
{
    char           path[340];
    auto_close int fd = -1;
    struct stat    st;
    size_t         at = 0;

    seg_path(j, nr, path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_from_errno(errno);
    if ((uint64_t)st.st_size > SEG_MAX)
        return -AIS_E_CORRUPT;
    *p = malloc((size_t)st.st_size + 1);
    if (*p == NULL)
        return -AIS_E_NOMEM;
    while (at < (size_t)st.st_size) {
        ssize_t k = pread(fd, *p + at, (size_t)st.st_size - at, (off_t)at);

        if (k <= 0) {
            free(*p);
            return k < 0 ? err_from_errno(errno) : -AIS_E_IO;
        }
        at += (size_t)k;
    }
    *n = at;
    return 0;
}

void
journal_forget_old(struct journal *j)
{
    char path[340];

    for (unsigned i = 0; i < j->nold; i++) {
        seg_path(j, j->old[i], path);
        (void)unlink(path);
    }
    j->nold = 0;
}
