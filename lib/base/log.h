/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key=value log lines, one event a line (style.md 10).
 *
 *     log_info("evicted", "bck", LSTR(bck), "obj", LSTR(name), "bytes", LU64(n));
 *
 * gives:  I 2026-11-24T10:00:00.123456Z t[abc] evicted bck=b obj=o bytes=12
 *
 * The sink is process-wide (one process has one standard error and one log directory); who is speaking is a property of the
 * thread (log_set_tag), so that several nodes can live in one process. Thread-safe; a line is one write(2). May block for that
 * write: loops therefore log state changes, never per request. Values with spaces, quotes or control bytes are quoted.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

enum log_kind { LOGV_STR, LOGV_U64, LOGV_I64, LOGV_F64, LOGV_BOOL, LOGV_HEX };

struct log_val {
    enum log_kind kind;
    struct str    s;
    uint64_t      u;
    double        f;
};

struct log_kv {
    const char    *key;
    struct log_val val;
};

#define LSTR(x)  { .kind = LOGV_STR, .s = (x) }
#define LZ(x)    { .kind = LOGV_STR, .s = str_z(x) }
#define LU64(x)  { .kind = LOGV_U64, .u = (uint64_t)(x) }
#define LI64(x)  { .kind = LOGV_I64, .u = (uint64_t)(int64_t)(x) }
#define LF64(x)  { .kind = LOGV_F64, .f = (x) }
#define LBOOL(x) { .kind = LOGV_BOOL, .u = (x) }
#define LHEX(x)  { .kind = LOGV_HEX, .u = (uint64_t)(x) }

/* Pairs are written {"key", LSTR(v)}: log_info("event", { "k", LU64(1) }, { "s", LZ("x") }). */
#define log_at(level, event, ...)                                                                                      \
    do {                                                                                                               \
        if (log_enabled(level)) {                                                                                      \
            const struct log_kv kv_[] = { { NULL, { .kind = LOGV_STR } }, ##__VA_ARGS__ };                            \
            log_write(level, event, kv_ + 1, sizeof(kv_) / sizeof(kv_[0]) - 1);                                        \
        }                                                                                                              \
    } while (0)
#define log_error(event, ...) log_at(LOG_ERROR, event, ##__VA_ARGS__)
#define log_warn(event, ...)  log_at(LOG_WARN, event, ##__VA_ARGS__)
#define log_info(event, ...)  log_at(LOG_INFO, event, ##__VA_ARGS__)
#define log_debug(event, ...) log_at(LOG_DEBUG, event, ##__VA_ARGS__)

struct log_conf {
    const char *dir;       /* directory of the log files; NULL = standard error only */
    const char *name;      /* program and role: files are <dir>/<name>.INFO and <dir>/<name>.ERROR (errors and warnings) */
    bool        to_stderr; /* also (or only, without dir) to standard error */
    uint64_t    max_size;  /* bytes of one file before it is rotated to <file>.1; 0 = never */
    uint64_t    max_total; /* bytes of all rotated files kept */
};

int  log_open(const struct log_conf *conf); /* 0 or -AIS_E_*. May block */
void log_close(void);
int  log_rotate(void); /* the rotate-logs action. May block */
/* Path of the current file for severity 'i' or 'e'; "" when logging to standard error only. */
void log_path(char severity, char *buf, size_t n);

void           log_set_level(enum log_level level); /* run-time verbosity */
enum log_level log_get_level(void);
bool           log_enabled(enum log_level level);
void           log_set_tag(const char *tag); /* this thread speaks as e.g. "t[abc]"; copied (31 bytes) */
void log_write(enum log_level level, const char *event, const struct log_kv *kv, size_t n);

#endif
