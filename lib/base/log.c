/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key=value log lines into files that rotate by size, and to standard error.
 *
 * Runs on: any thread. May block for one write(2).
 */
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/err.h"
#include "base/util.h"

#define LINE_MAX_BYTES 4096

struct log_file {
    char     path[512];
    int      fd;
    uint64_t size;
};

static struct {
    pthread_mutex_t mtx; /* protects everything below but level */
    struct log_file info, error;
    bool            to_stderr;
    uint64_t        max_size, max_total;
    _Atomic int     level;
} lg = {
    .mtx = PTHREAD_MUTEX_INITIALIZER, .info = { .fd = -1 }, .error = { .fd = -1 }, .to_stderr = true, .level = LOG_INFO
};

static _Thread_local char tag[32];

void
log_set_level(enum log_level level)
{
    atomic_store_explicit(&lg.level, (int)level, memory_order_relaxed);
}

enum log_level
log_get_level(void)
{
    return (enum log_level)atomic_load_explicit(&lg.level, memory_order_relaxed);
}

bool
log_enabled(enum log_level level)
{
    return level <= log_get_level();
}

void
log_set_tag(const char *t)
{
    snprintf(tag, sizeof(tag), "%s", t);
}

static int
file_open(struct log_file *f)
{
    struct stat st;

    fd_close(&f->fd);
    f->fd = open(f->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (f->fd < 0)
        return err_from_errno(errno);
    f->size = fstat(f->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    return 0;
}

/* <file> becomes <file>.1, .1 becomes .2, ...; what does not fit max_total is removed. */
static int
file_rotate_locked(struct log_file *f)
{
    char     from[600], to[600];
    unsigned keep = lg.max_size == 0 ? 1 : (unsigned)MIN(MAX(lg.max_total / lg.max_size, 1u), 99u);

    if (f->fd < 0)
        return 0;
    for (unsigned i = keep; i > 0; i--) {
        snprintf(to, sizeof(to), "%s.%u", f->path, i);
        if (i == 1)
            snprintf(from, sizeof(from), "%s", f->path);
        else
            snprintf(from, sizeof(from), "%s.%u", f->path, i - 1);
        (void)rename(from, to);
    }
    return file_open(f);
}

int
log_open(const struct log_conf *c)
{
    int rc = 0;

    pthread_mutex_lock(&lg.mtx);
    lg.to_stderr = c->to_stderr || c->dir == NULL;
    lg.max_size = c->max_size;
    lg.max_total = c->max_total;
    if (c->dir != NULL) {
        if (mkdir(c->dir, 0755) < 0 && errno != EEXIST)
            rc = err_from_errno(errno);
        snprintf(lg.info.path, sizeof(lg.info.path), "%s/%s.INFO", c->dir, c->name);
        snprintf(lg.error.path, sizeof(lg.error.path), "%s/%s.ERROR", c->dir, c->name);
        if (rc == 0)
            rc = file_open(&lg.info);
        if (rc == 0)
            rc = file_open(&lg.error);
    }
    pthread_mutex_unlock(&lg.mtx);
    return rc;
}

void
log_close(void)
{
    pthread_mutex_lock(&lg.mtx);
    fd_close(&lg.info.fd);
    fd_close(&lg.error.fd);
    lg.to_stderr = true;
    pthread_mutex_unlock(&lg.mtx);
}

int
log_rotate(void)
{
    int rc, rc2;

    pthread_mutex_lock(&lg.mtx);
    rc = file_rotate_locked(&lg.info);
    rc2 = file_rotate_locked(&lg.error);
    pthread_mutex_unlock(&lg.mtx);
    return rc < 0 ? rc : rc2;
}

void
log_path(char severity, char *buf, size_t n)
{
    const struct log_file *f = severity == 'i' ? &lg.info : &lg.error;

    pthread_mutex_lock(&lg.mtx);
    snprintf(buf, n, "%s", f->fd >= 0 ? f->path : "");
    pthread_mutex_unlock(&lg.mtx);
}

struct line {
    char   buf[LINE_MAX_BYTES];
    size_t n;
};

static void
put(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
put(struct line *l, const char *fmt, ...)
{
    va_list ap;
    int     k;

    va_start(ap, fmt);
    k = vsnprintf(l->buf + l->n, sizeof(l->buf) - l->n, fmt, ap);
    va_end(ap);
    if (k > 0)
        l->n = MIN(l->n + (size_t)k, sizeof(l->buf) - 2);
}

static bool
needs_quotes(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '"' || s.p[i] == '\\' || s.p[i] == 0x7f)
            return true;
    return s.n == 0;
}

static void
put_str(struct line *l, struct str s)
{
    if (!needs_quotes(s)) {
        put(l, "%.*s", STR_FMT(s));
        return;
    }
    put(l, "\"");
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c == '"' || c == '\\')
            put(l, "\\%c", c);
        else if (c < ' ' || c == 0x7f)
            put(l, "\\x%02x", c);
        else
            put(l, "%c", c);
    }
    put(l, "\"");
}

static void
put_val(struct line *l, const struct log_val *v)
{
    switch (v->kind) {
    case LOGV_STR:
        put_str(l, v->s);
        break;
    case LOGV_U64:
        put(l, "%" PRIu64, v->u);
        break;
    case LOGV_I64:
        put(l, "%" PRId64, (int64_t)v->u);
        break;
    case LOGV_F64:
        put(l, "%g", v->f);
        break;
    case LOGV_BOOL:
        put(l, "%s", v->u ? "true" : "false");
        break;
    case LOGV_HEX:
        put(l, "0x%" PRIx64, v->u);
        break;
    }
}

static void
file_write_locked(struct log_file *f, const char *p, size_t n)
{
    if (f->fd < 0)
        return;
    if (lg.max_size > 0 && f->size + n > lg.max_size)
        (void)file_rotate_locked(f);
    if (f->fd >= 0 && write(f->fd, p, n) > 0)
        f->size += n;
}

void
log_write(enum log_level level, const char *event, const struct log_kv *kv, size_t n)
{
    struct line     l = { .n = 0 };
    struct timespec ts;
    struct tm       tm;

    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    put(&l, "%c %04d-%02d-%02dT%02d:%02d:%02d.%06ldZ %s%s%s", "EWID"[level], tm.tm_year + 1900, tm.tm_mon + 1,
        tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000, tag, tag[0] == '\0' ? "" : " ", event);
    for (size_t i = 0; i < n; i++) {
        put(&l, " %s=", kv[i].key);
        put_val(&l, &kv[i].val);
    }
    l.buf[l.n++] = '\n';
    pthread_mutex_lock(&lg.mtx);
    file_write_locked(&lg.info, l.buf, l.n);
    if (level <= LOG_WARN)
        file_write_locked(&lg.error, l.buf, l.n);
    if ((lg.to_stderr || lg.info.fd < 0) && write(STDERR_FILENO, l.buf, l.n) < 0)
        UNUSED(0); /* nowhere left to complain */
    pthread_mutex_unlock(&lg.mtx);
}
