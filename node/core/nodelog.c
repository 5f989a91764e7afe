/* SPDX-License-Identifier: Apache-2.0 */
/*
 * what=log: the current log file from an offset, or all files of a severity as one .tar.gz.
 *
 * Runs on: the request's fiber; packing in the offload pool. Wire: native-api.md 5.5.
 */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/core_impl.h"

#include "run/disk.h"
#include "run/offload.h"
#include "base/log.h"
#include "base/util.h"

struct pack {
    const char *current; /* path of the current file: its name is the prefix of the rotated ones */
    int         fd;      /* the finished archive, unnamed */
    int         rc;
};

static int
pack_file(struct archive *a, const char *path, const char *name)
{
    struct archive_entry *ent = archive_entry_new();
    auto_close int        fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat           st;
    auto_free char       *buf = xmalloc(64 * KIB);
    la_int64_t            left;
    int                   rc = fd < 0 || fstat(fd, &st) < 0 ? err_from_errno(errno) : 0;

    if (rc == 0) {
        archive_entry_copy_stat(ent, &st);
        archive_entry_set_pathname(ent, name);
        if (archive_write_header(a, ent) != ARCHIVE_OK)
            rc = -AIS_E_IO;
    }
    for (left = rc == 0 ? st.st_size : 0; left > 0 && rc == 0;) { /* the file grows meanwhile: as much as the header says */
        ssize_t k = read(fd, buf, (size_t)MIN(left, (la_int64_t)(64 * KIB)));

        if (k <= 0)
            break;
        if (archive_write_data(a, buf, (size_t)k) < 0)
            rc = -AIS_E_IO;
        left -= k;
    }
    archive_entry_free(ent);
    return rc;
}

static int
pack_all(struct archive *a, const char *current)
{
    const char     *slash = strrchr(current, '/');
    auto_free char *dir = xstrndup(current, (size_t)(slash - current));
    DIR            *d = opendir(dir);
    struct dirent  *de;
    int             rc = 0;

    if (d == NULL)
        return err_from_errno(errno);
    while (rc == 0 && (de = readdir(d)) != NULL) {
        auto_free char *path = xasprintf("%s/%s", dir, de->d_name);

        if (str_starts(str_z(de->d_name), str_z(slash + 1)))
            rc = pack_file(a, path, de->d_name);
        if (rc == -AIS_E_NOENT)
            rc = 0; /* rotated away */
    }
    closedir(d);
    return rc;
}

static void
pack_run(void *arg)
{
    struct pack    *p = arg;
    const char     *slash = strrchr(p->current, '/');
    auto_free char *tmp = xasprintf("%.*s/.pack-XXXXXX", (int)(slash - p->current), p->current);
    struct archive *a;

    p->fd = mkostemp(tmp, O_CLOEXEC);
    if (p->fd < 0) {
        p->rc = err_from_errno(errno);
        return;
    }
    unlink(tmp);
    a = archive_write_new();
    archive_write_add_filter_gzip(a);
    archive_write_set_format_ustar(a);
    p->rc = archive_write_open_fd(a, p->fd) == ARCHIVE_OK ? pack_all(a, p->current) : -AIS_E_IO;
    if (archive_write_close(a) != ARCHIVE_OK && p->rc == 0)
        p->rc = -AIS_E_IO;
    archive_write_free(a);
}

static void
send_fd(struct req *r, int fd, uint64_t from, const char *type)
{
    struct stat st;
    struct err  e;
    int         rc = disk_fstat(fd, &st);

    err_clear(&e);
    if (rc == 0 && from > (uint64_t)st.st_size)
        rc = err_set(&e, AIS_E_BADREQ, "offset %llu is beyond the end of the log (%lld bytes)", (unsigned long long)from,
                     (long long)st.st_size);
    if (rc < 0) {
        resp_err(r, rc, &e);
        return;
    }
    resp_hdr(r, "Content-Type", str_z(type));
    if (resp_start(r, 200, (int64_t)((uint64_t)st.st_size - from)) < 0)
        return;
    if ((uint64_t)st.st_size > from)
        (void)resp_file(r, fd, from, (uint64_t)st.st_size - from);
    (void)resp_end(r);
}

static void
send_all(struct req *r, const char *current)
{
    struct pack p = { .current = current, .fd = -1 };

    offload(pack_run, &p);
    if (p.rc < 0)
        resp_err(r, p.rc, NULL);
    else
        send_fd(r, p.fd, 0, "application/gzip");
    disk_close(&p.fd);
}

void
h_node_log(struct req *r)
{
    struct str severity = STR_NULL, offset = STR_NULL;
    char       path[1024], sev;
    uint64_t   from = 0;
    struct err e;
    int        fd;

    err_clear(&e);
    (void)req_query(r, STR_LIT("severity"), &severity);
    sev = severity.n == 0 ? 'i' : severity.p[0];
    if (sev != 'i' && sev != 'w' && sev != 'e') {
        err_set(&e, AIS_E_BADREQ, "invalid log severity \"%.*s\"", STR_FMT(severity));
        resp_err(r, -AIS_E_BADREQ, &e);
        return;
    }
    if (req_query(r, STR_LIT("offset"), &offset) && offset.n > 0 && !str_u64(offset, &from)) {
        err_set(&e, AIS_E_BADREQ, "invalid log offset \"%.*s\"", STR_FMT(offset));
        resp_err(r, -AIS_E_BADREQ, &e);
        return;
    }
    log_path(sev == 'i' ? 'i' : 'e', path, sizeof(path));
    if (strchr(path, '/') == NULL) {
        err_set(&e, AIS_E_NOENT, "%s logs to standard error only", req_node(r)->name);
        resp_err(r, -AIS_E_NOENT, &e);
        return;
    }
    if (req_query_bool(r, STR_LIT("all"))) {
        send_all(r, path);
        return;
    }
    fd = disk_open(path, O_RDONLY, 0);
    if (fd < 0) {
        resp_err(r, fd, NULL);
        return;
    }
    send_fd(r, fd, from, "text/plain; charset=utf-8");
    disk_close(&fd);
}
