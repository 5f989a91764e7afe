/* SPDX-License-Identifier: Apache-2.0 */
/* Tables, sizes, JSON, progress. */
#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

double
now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
add_row(struct table *t, va_list ap)
{
    if (t->rows == t->cap) {
        t->cap = t->cap == 0 ? 64 : t->cap * 2;
        t->cell = realloc(t->cell, (size_t)t->cap * (size_t)t->cols * sizeof(char *));
        if (t->cell == NULL)
            die("out of memory");
    }
    for (int i = 0; i < t->cols; i++)
        t->cell[t->rows * t->cols + i] = strdup(va_arg(ap, const char *));
    t->rows++;
}

void
table_init(struct table *t, int cols, ...)
{
    va_list ap;

    *t = (struct table){ .cols = cols };
    va_start(ap, cols);
    add_row(t, ap);
    va_end(ap);
}

void
table_row(struct table *t, ...)
{
    va_list ap;

    va_start(ap, t);
    add_row(t, ap);
    va_end(ap);
}

void
table_print(const struct table *t)
{
    size_t w[32] = { 0 };

    for (int r = 0; r < t->rows; r++)
        for (int c = 0; c < t->cols; c++) {
            size_t n = strlen(t->cell[r * t->cols + c]);

            w[c] = n > w[c] ? n : w[c];
        }
    for (int r = 0; r < t->rows; r++) {
        for (int c = 0; c < t->cols; c++)
            if (c + 1 < t->cols)
                printf("%-*s  ", (int)w[c], t->cell[r * t->cols + c]);
            else
                printf("%s\n", t->cell[r * t->cols + c]);
    }
}

static char *
slot(void)
{
    static _Thread_local char     bufs[32][40];
    static _Thread_local unsigned next;

    return bufs[next++ % 32];
}

const char *
human(uint64_t b)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    double                   v = (double)b;
    int                      u = 0;
    char                    *s = slot();

    while (v >= 1024 && u < 5) {
        v /= 1024;
        u++;
    }
    snprintf(s, 40, u == 0 ? "%.0f%s" : "%.2f%s", v, units[u]);
    return s;
}

const char *
fmt_u64(uint64_t v)
{
    char *s = slot();

    snprintf(s, 40, "%llu", (unsigned long long)v);
    return s;
}

void
print_json(const struct json_t *j)
{
    json_dumpf(j, stdout, JSON_INDENT(4) | JSON_ENCODE_ANY);
    putchar('\n');
}

uint64_t
json_num(const struct json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);

    if (json_is_integer(v))
        return (uint64_t)json_integer_value(v);
    if (json_is_real(v))
        return (uint64_t)json_real_value(v);
    return json_is_string(v) ? strtoull(json_string_value(v), NULL, 10) : 0;
}

const char *
json_text(const struct json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);

    return json_is_string(v) ? json_string_value(v) : "";
}

/* --- progress --- */

static pthread_mutex_t pmtx = PTHREAD_MUTEX_INITIALIZER;
static double          last_drawn;

void
progress_begin(struct progress *p, const char *what, uint64_t total_bytes, uint64_t all_items)
{
    *p = (struct progress){ .what = what, .total = total_bytes, .all_items = all_items, .t0 = now_s(),
                            .tty = isatty(STDERR_FILENO) };
}

static void
draw(const struct progress *p)
{
    static const char bar[] = "==============================";
    double            t = now_s() - p->t0, part = p->total > 0 ? (double)p->bytes / (double)p->total : 0;
    int               n = (int)(part * 30);

    n = n > 30 ? 30 : n;
    fprintf(stderr, "\r%s [%-30.*s] %3.0f%%  %s/s  %llu/%llu objects ", p->what, n, bar, part * 100,
            human((uint64_t)((double)p->bytes / (t > 0.001 ? t : 0.001))), (unsigned long long)p->items,
            (unsigned long long)p->all_items);
    fflush(stderr);
}

void
progress_add(struct progress *p, uint64_t bytes, uint64_t items)
{
    pthread_mutex_lock(&pmtx);
    p->bytes += bytes;
    p->items += items;
    if (p->tty && now_s() - last_drawn > 0.1) {
        last_drawn = now_s();
        draw(p);
    }
    pthread_mutex_unlock(&pmtx);
}

void
progress_end(struct progress *p)
{
    if (p->tty) {
        draw(p);
        fputc('\n', stderr);
    }
}
