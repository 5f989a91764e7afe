/* SPDX-License-Identifier: Apache-2.0 */
/* Local files: see files.h. Threads: any; one owner a struct. */
#include "cli/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/util.h"
#include "cli/session.h"

#define IO_SIZE (256 * KIB)

/* --- walking --- */

static int
not_dots(const struct dirent *d)
{
    return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

static int
by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int
visit(const char *path, bool recursive, walk_f *fn, void *arg, struct fault *f)
{
    struct stat st;

    if (atomic_load(&session_interrupted))
        return fault_set(f, CLI_INTERRUPTED, "interrupted");
    if (lstat(path, &st) < 0)
        return fault_errno(f, path);
    if (S_ISDIR(st.st_mode))
        return recursive ? walk_dir(path, true, fn, arg, f) : CLI_OK;
    return S_ISREG(st.st_mode) ? fn(arg, path, st.st_size) : CLI_OK;
}

int
walk_dir(const char *dir, bool recursive, walk_f *fn, void *arg, struct fault *f)
{
    struct dirent **names = NULL;
    const char     *slash = dir[0] != '\0' && dir[strlen(dir) - 1] == '/' ? "" : "/";
    int             n = scandir(dir, &names, not_dots, by_bytes), rc = CLI_OK;

    if (n < 0)
        return fault_errno(f, dir);
    for (int i = 0; i < n; i++) {
        auto_free char *path = xasprintf("%s%s%s", dir, slash, names[i]->d_name);

        if (rc == CLI_OK)
            rc = visit(path, recursive, fn, arg, f);
        free(names[i]);
    }
    free(names);
    return rc;
}

/* --- reading --- */

int
file_cksum(const char *path, enum cksum_type t, struct cksum *out, struct fault *f)
{
    auto_close int   fd = open(path, O_RDONLY | O_CLOEXEC);
    auto_free char  *buf = xmalloc(IO_SIZE);
    struct cksum_run run;
    ssize_t          n;

    if (fd < 0)
        return fault_errno(f, path);
    if (cksum_init(&run, t) < 0)
        return fault_set(f, CLI_FAILED, "out of memory");
    while ((n = read(fd, buf, IO_SIZE)) > 0)
        cksum_update(&run, buf, (size_t)n);
    if (n == 0)
        cksum_final(&run, out);
    cksum_fini(&run);
    return n == 0 ? CLI_OK : fault_errno(f, path);
}

/* --- writing --- */

static int
make_parents(const char *path)
{
    auto_free char *p = xstrdup(path);

    for (char *q = p + 1; *q != '\0'; q++)
        if (*q == '/') {
            *q = '\0';
            if (mkdir(p, 0777) < 0 && errno != EEXIST)
                return -1;
            *q = '/';
        }
    return 0;
}

static pthread_once_t umask_once = PTHREAD_ONCE_INIT;
static mode_t         umask_value = 022;

/* Not umask(): that would change it for a moment, for all threads. */
static void
umask_read(void)
{
    FILE *fp = fopen("/proc/self/status", "re");
    char  line[128];

    while (fp != NULL && fgets(line, sizeof(line), fp) != NULL)
        if (strncmp(line, "Umask:", 6) == 0)
            umask_value = (mode_t)strtoul(line + 6, NULL, 8);
    if (fp != NULL)
        fclose(fp);
}

/* mkostemp is for secrets: ours is a plain file. */
static mode_t
usual_mode(void)
{
    MUST(pthread_once(&umask_once, umask_read));
    return 0666 & ~umask_value;
}

/* The template of a name beside the path. */
static char *
tmp_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return xasprintf("%.*s.ais-XXXXXX.part", slash == NULL ? 0 : (int)(slash - path) + 1, path);
}

static int
open_tmp(struct outfile *o, bool mkdirs, struct fault *f)
{
    o->tmp = tmp_name(o->path);
    o->fd = mkostemps(o->tmp, 5, O_CLOEXEC);
    if (o->fd < 0 && errno == ENOENT && mkdirs && make_parents(o->path) == 0) {
        free(o->tmp); /* the first try has spoiled it */
        o->tmp = tmp_name(o->path);
        o->fd = mkostemps(o->tmp, 5, O_CLOEXEC);
    }
    if (o->fd < 0) {
        free(o->tmp);
        o->tmp = NULL;
        return fault_errno(f, o->path);
    }
    (void)fchmod(o->fd, usual_mode());
    return CLI_OK;
}

int
outfile_open(struct outfile *o, const char *path, bool mkdirs, struct fault *f)
{
    struct stat st;

    *o = (struct outfile){ .fd = -1, .path = path };
    if (strcmp(path, "-") == 0) {
        o->fd = STDOUT_FILENO;
        o->borrow = true;
        return CLI_OK;
    }
    if (stat(path, &st) < 0 || S_ISREG(st.st_mode))
        return open_tmp(o, mkdirs, f);
    if (S_ISDIR(st.st_mode))
        return fault_set(f, CLI_FAILED, "%s: is a directory", path);
    o->fd = open(path, O_WRONLY | O_CLOEXEC); /* a device, a pipe: no name to give */
    return o->fd >= 0 ? CLI_OK : fault_errno(f, path);
}

int
outfile_write(struct outfile *o, const void *p, size_t n)
{
    const char *s = p;

    while (n > 0) {
        ssize_t k = write(o->fd, s, n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -1;
        s += k;
        n -= (size_t)k;
    }
    return 0;
}

int
outfile_pwrite(struct outfile *o, const void *p, size_t n, int64_t off)
{
    const char *s = p;

    while (n > 0) {
        ssize_t k = pwrite(o->fd, s, n, off);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -1;
        s += k;
        off += k;
        n -= (size_t)k;
    }
    return 0;
}

int
outfile_commit(struct outfile *o, struct fault *f)
{
    int fd = o->fd;

    if (o->borrow)
        return CLI_OK;
    o->fd = -1;
    if (close(fd) < 0 || (o->tmp != NULL && rename(o->tmp, o->path) < 0)) {
        int rc = fault_errno(f, o->path);

        outfile_abort(o);
        return rc;
    }
    free(o->tmp);
    o->tmp = NULL;
    return CLI_OK;
}

void
outfile_abort(struct outfile *o)
{
    if (!o->borrow)
        fd_close(&o->fd);
    if (o->tmp != NULL)
        unlink(o->tmp);
    free(o->tmp);
    o->tmp = NULL;
}

/* --- names --- */

const char *
path_below(struct arena *mem, const char *dir, struct str rel)
{
    struct str  rest = rel, part;
    const char *slash = dir[0] == '\0' || dir[strlen(dir) - 1] == '/' ? "" : "/";

    while (str_split(&rest, '/', &part))
        if (part.n == 0 || str_eqz(part, ".") || str_eqz(part, "..") || memchr(part.p, '\0', part.n) != NULL)
            return NULL;
    return arena_printf(mem, "%s%s%.*s", dir, slash, STR_FMT(rel)).p;
}

struct str
base_name(struct str name)
{
    ptrdiff_t slash = str_rchr(name, '/');

    return slash < 0 || (size_t)slash + 1 == name.n ? name : str_from_off(name, (size_t)slash + 1);
}
