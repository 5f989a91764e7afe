/* SPDX-License-Identifier: Apache-2.0 */
/* Tables, JSON, sizes, progress: see out.h. */
#include "cli/out.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/units.h"
#include "base/util.h"

int64_t
now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return SEC_NS(ts.tv_sec) + ts.tv_nsec;
}

/* --- text --- */

size_t
text_width(const char *s)
{
    size_t n = 0;

    for (; *s != '\0'; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80; /* not a continuation byte */
    return n;
}

static bool
is_control(unsigned char ch)
{
    return ch < 0x20 || ch == 0x7f;
}

const char *
text_safe(struct arena *mem, const char *s)
{
    size_t bad = 0, n = strlen(s);
    char  *out, *p;

    for (size_t i = 0; i < n; i++)
        bad += is_control((unsigned char)s[i]);
    if (bad == 0)
        return s;
    p = out = arena_alloc(mem, n + 3 * bad + 1);
    for (; *s != '\0'; s++)
        if (is_control((unsigned char)*s))
            p += snprintf(p, 5, "\\x%02x", (unsigned char)*s);
        else
            *p++ = *s;
    *p = '\0';
    return out;
}

const char *
out_fmt(struct ctx *c, const char *fmt, ...)
{
    va_list    ap;
    struct str s;

    va_start(ap, fmt);
    s = arena_vprintf(c->mem, fmt, ap);
    va_end(ap);
    return s.p;
}

const char *
out_u64(struct ctx *c, uint64_t v)
{
    return out_fmt(c, "%llu", (unsigned long long)v);
}

static const char *
size_si(struct ctx *c, uint64_t bytes)
{
    static const char *const units[] = { "B", "KB", "MB", "GB", "TB", "PB", "EB" };
    double                   v = (double)bytes;
    unsigned                 u = 0;

    while (v >= 1000 && u + 1 < ARRAY_SIZE(units)) {
        v /= 1000;
        u++;
    }
    return out_fmt(c, u == 0 ? "%.0f%s" : "%.2f%s", v, units[u]);
}

const char *
out_size(struct ctx *c, uint64_t bytes)
{
    const char *units = flag_str(c, "units", "iec");
    char        buf[UNITS_MAX];

    if (strcmp(units, "raw") == 0)
        return out_u64(c, bytes);
    if (strcmp(units, "si") == 0)
        return size_si(c, bytes);
    size_format_human(bytes, buf);
    return arena_strdup(c->mem, str_z(buf));
}

/* --- tables --- */

void
table_init(struct table *t, struct ctx *c, unsigned cols, const char *const *headers)
{
    *t = (struct table){ .mem = c->mem, .cols = cols, .head = !flag_on(c, "no-headers") };
    table_row(t, headers);
}

void
table_row(struct table *t, const char *const *cells)
{
    if (t->rows == t->cap) {
        size_t       cap = t->cap == 0 ? 64 : t->cap * 2;
        const char **cell = arena_alloc(t->mem, cap * t->cols * sizeof(*cell));

        if (t->rows > 0)
            memcpy(cell, t->cell, t->rows * t->cols * sizeof(*cell));
        t->cell = cell;
        t->cap = cap;
    }
    for (unsigned i = 0; i < t->cols; i++)
        t->cell[t->rows * t->cols + i] = text_safe(t->mem, cells[i] == NULL ? "" : cells[i]);
    t->rows++;
}

void
table_print(const struct table *t)
{
    size_t w[TABLE_COLS] = { 0 };

    for (size_t r = t->head ? 0 : 1; r < t->rows; r++)
        for (unsigned k = 0; k < t->cols; k++)
            w[k] = MAX(w[k], text_width(t->cell[r * t->cols + k]));
    for (size_t r = t->head ? 0 : 1; r < t->rows; r++) {
        unsigned last = t->cols - 1;

        while (last > 0 && t->cell[r * t->cols + last][0] == '\0')
            last--; /* no blanks at the end of lines */
        for (unsigned k = 0; k < last; k++) {
            const char *s = t->cell[r * t->cols + k];

            printf("%s%*s", s, (int)(w[k] - text_width(s)) + 2, "");
        }
        printf("%s\n", t->cell[r * t->cols + last]);
    }
}

/* --- JSON --- */

static void
json_break(struct sbuf *out, unsigned depth)
{
    sbuf_putc(out, '\n');
    while (depth-- > 0)
        sbuf_putz(out, "    ");
}

/* Copy a string with its quotes; returns the index of the closing one. */
static size_t
json_string(struct sbuf *out, struct str raw, size_t i)
{
    size_t from = i++;

    while (i < raw.n && raw.p[i] != '"')
        i += raw.p[i] == '\\' ? 2 : 1;
    i = MIN(i, raw.n - 1);
    sbuf_put(out, raw.p + from, i - from + 1);
    return i;
}

static bool
json_empty(struct str raw, size_t *i)
{
    size_t k = *i + 1;

    while (k < raw.n && strchr(" \t\r\n", raw.p[k]) != NULL)
        k++;
    if (k == raw.n || (raw.p[k] != '}' && raw.p[k] != ']'))
        return false;
    *i = k;
    return true;
}

void
json_pretty(struct sbuf *out, struct str raw)
{
    unsigned depth = 0;

    for (size_t i = 0; i < raw.n; i++)
        switch (raw.p[i]) {
        case '"':
            i = json_string(out, raw, i);
            break;
        case '{':
        case '[':
            sbuf_putc(out, raw.p[i]);
            if (json_empty(raw, &i))
                sbuf_putc(out, raw.p[i]);
            else
                json_break(out, ++depth);
            break;
        case '}':
        case ']':
            depth -= depth > 0;
            json_break(out, depth);
            sbuf_putc(out, raw.p[i]);
            break;
        case ',':
            sbuf_putc(out, ',');
            json_break(out, depth);
            break;
        case ':':
            sbuf_putz(out, ": ");
            break;
        case ' ':
        case '\t':
        case '\r':
        case '\n':
            break;
        default:
            sbuf_putc(out, raw.p[i]);
            break;
        }
}

void
json_print(struct str raw)
{
    struct sbuf b;

    sbuf_init(&b, SIZE_MAX / 2);
    json_pretty(&b, raw);
    sbuf_putc(&b, '\n');
    fwrite(b.p, 1, b.n, stdout);
    sbuf_fini(&b);
}

/* --- progress --- */

void
progress_begin(struct progress *p, const char *what, uint64_t total_bytes, uint64_t all_items, bool on)
{
    *p = (struct progress){ .what = what, .total = total_bytes, .all_items = all_items, .t0 = now_ns(), .on = on };
    MUST(pthread_mutex_init(&p->mtx, NULL));
}

static void
draw(struct progress *p)
{
    static const char bar[] = "==============================";
    double            part = p->total > 0 ? (double)p->bytes / (double)p->total : (double)p->items / (double)MAX(p->all_items, 1);
    double            secs = (double)MAX(now_ns() - p->t0, NSEC_PER_MSEC) / 1e9;
    char              rate[UNITS_MAX];

    part = part > 1 ? 1 : part;
    size_format_human((uint64_t)((double)p->bytes / secs), rate);
    fprintf(stderr, "\r%s [%-30.*s] %3.0f%%  %s/s  %llu/%llu ", p->what, (int)(part * 30), bar, part * 100, rate,
            (unsigned long long)p->items, (unsigned long long)p->all_items);
    fflush(stderr);
    p->drawn = now_ns();
}

void
progress_add(struct progress *p, int64_t bytes, uint64_t items)
{
    MUST(pthread_mutex_lock(&p->mtx));
    p->bytes += (uint64_t)bytes;
    p->items += items;
    if (p->on && now_ns() - p->drawn > MSEC_NS(100))
        draw(p);
    MUST(pthread_mutex_unlock(&p->mtx));
}

void
progress_end(struct progress *p)
{
    if (p->on) {
        draw(p);
        fputc('\n', stderr);
    }
    MUST(pthread_mutex_destroy(&p->mtx));
}

const char *
progress_text(struct ctx *c, const struct progress *p)
{
    double secs = (double)MAX(now_ns() - p->t0, NSEC_PER_MSEC) / 1e9;

    return out_fmt(c, "%llu object%s (%s) in %.1fs, %s/s", (unsigned long long)p->items, p->items == 1 ? "" : "s",
                   out_size(c, p->bytes), secs, out_size(c, (uint64_t)((double)p->bytes / secs)));
}
