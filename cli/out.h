/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What commands print: tables, JSON, sizes, a progress line. Standard output is for data, standard error for people.
 */
#ifndef CLI_OUT_H
#define CLI_OUT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/sbuf.h"
#include "cli/cmd.h"

#define TABLE_COLS 16

struct table {
    struct arena *mem;
    unsigned      cols;
    size_t        rows, cap;
    const char  **cell; /* rows * cols */
    bool          head; /* row 0 is the header line */
};

/* headers: cols strings. Strings are borrowed and must live as long as the arena. */
void table_init(struct table *t, struct ctx *c, unsigned cols, const char *const *headers);
void table_row(struct table *t, const char *const *cells);
void table_print(const struct table *t); /* nothing when there are no rows */
#define TABLE(t, c, ...) table_init(t, c, sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), (const char *[]){ __VA_ARGS__ })
#define ROW(t, ...)      table_row(t, (const char *[]){ __VA_ARGS__ })

/* Columns of text on a terminal, UTF-8 counted by characters. */
size_t text_width(const char *s);
/* Control bytes become \xNN, so that a name cannot break a table; the same pointer when there are none. */
const char *text_safe(struct arena *mem, const char *s);

/* In the command's memory: */
const char *out_size(struct ctx *c, uint64_t bytes); /* by --units */
const char *out_u64(struct ctx *c, uint64_t v);
const char *out_fmt(struct ctx *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* JSON text to standard output, indented; numbers stay as they are, however large. */
void json_print(struct str raw);
void json_pretty(struct sbuf *out, struct str raw);

/* A progress line on standard error. Thread-safe. */
struct progress {
    pthread_mutex_t mtx; /* protects everything below */
    const char     *what;
    uint64_t        bytes, total, items, all_items;
    int64_t         t0, drawn; /* ns */
    bool            on;
};
void    progress_begin(struct progress *p, const char *what, uint64_t total_bytes, uint64_t all_items, bool on);
void    progress_add(struct progress *p, int64_t bytes, uint64_t items); /* negative: those came to nothing */
void    progress_end(struct progress *p);
int64_t now_ns(void);
/* "12 objects (3.00MiB) in 0.5s, 6.00MiB/s" */
const char *progress_text(struct ctx *c, const struct progress *p);

#endif
