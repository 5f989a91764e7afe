/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times, durations and sizes as AIStore writes them. Runs on: any thread; pure. native-api.md 2.1.
 *
 * Calendar arithmetic is our own (proleptic Gregorian, UTC): libc's would take the time zone lock.
 */
#include "base/units.h"

#include <stdio.h>

#include "base/util.h"

/* ---- durations ---- */

struct unit {
    const char *name;
    uint64_t    n;
};

static const struct unit dur_units[] = {
    { "ns", 1 },
    { "us", NSEC_PER_USEC },
    { "\xc2\xb5s", NSEC_PER_USEC }, /* micro sign */
    { "\xce\xbcs", NSEC_PER_USEC }, /* Greek mu */
    { "ms", NSEC_PER_MSEC },
    { "s", NSEC_PER_SEC },
    { "m", 60 * NSEC_PER_SEC },
    { "h", 3600 * NSEC_PER_SEC },
};

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits at the front of *s; false on overflow of what a duration can hold. */
static bool
take_digits(struct str *s, uint64_t *v, size_t *n)
{
    *v = 0;
    for (*n = 0; *n < s->n && is_digit(s->p[*n]); (*n)++) {
        if (*v > ((uint64_t)1 << 63) / 10)
            return false;
        *v = *v * 10 + (uint64_t)(s->p[*n] - '0');
        if (*v > (uint64_t)1 << 63)
            return false;
    }
    *s = str_from_off(*s, *n);
    return true;
}

/* Digits after the point: as many as fit count, the rest is dropped, as Go does. */
static void
take_fraction(struct str *s, uint64_t *v, double *scale, size_t *n)
{
    bool over = false;

    *v = 0;
    *scale = 1;
    for (*n = 0; *n < s->n && is_digit(s->p[*n]); (*n)++) {
        uint64_t y;

        if (over || *v > (((uint64_t)1 << 63) - 1) / 10) {
            over = true;
            continue;
        }
        y = *v * 10 + (uint64_t)(s->p[*n] - '0');
        if (y > (uint64_t)1 << 63) {
            over = true;
            continue;
        }
        *v = y;
        *scale *= 10;
    }
    *s = str_from_off(*s, *n);
}

static const struct unit *
take_unit(struct str *s)
{
    size_t n = 0;

    while (n < s->n && s->p[n] != '.' && !is_digit(s->p[n]))
        n++;
    for (size_t i = 0; i < ARRAY_SIZE(dur_units); i++) {
        if (str_eqz(str_from(s->p, n), dur_units[i].name)) {
            *s = str_from_off(*s, n);
            return &dur_units[i];
        }
    }
    return NULL;
}

/* One "1.5h" off the front of *s, added to *total. */
static bool
take_duration(struct str *s, uint64_t *total)
{
    const struct unit *u;
    uint64_t           v, f = 0;
    double             scale = 1;
    size_t             before, after = 0;

    if (!take_digits(s, &v, &before))
        return false;
    if (s->n > 0 && s->p[0] == '.') {
        *s = str_from_off(*s, 1);
        take_fraction(s, &f, &scale, &after);
    }
    if (before == 0 && after == 0)
        return false;
    u = take_unit(s);
    if (u == NULL || v > ((uint64_t)1 << 63) / u->n)
        return false;
    v *= u->n;
    if (f > 0)
        v += (uint64_t)((double)f * ((double)u->n / scale));
    if (v > (uint64_t)1 << 63)
        return false;
    *total += v; /* both at most 2^63: no overflow */
    return *total <= (uint64_t)1 << 63;
}

bool
dur_parse(struct str s, int64_t *ns)
{
    uint64_t total = 0;
    bool     neg = s.n > 0 && s.p[0] == '-';

    if (neg || (s.n > 0 && s.p[0] == '+'))
        s = str_from_off(s, 1);
    if (str_eq(s, STR_LIT("0"))) {
        *ns = 0;
        return true;
    }
    if (s.n == 0)
        return false;
    while (s.n > 0) {
        /* Go's bound: 2^63 ns may be reached on the way only to be negated at the end */
        if (total > (uint64_t)1 << 63 || !take_duration(&s, &total))
            return false;
    }
    if (!neg && total > INT64_MAX)
        return false;
    *ns = neg ? (int64_t)(0 - total) : (int64_t)total;
    return true;
}

/* v / 10^prec with the zeros at the end of the fraction left out: 1500, 3 -> "1.5". */
static size_t
put_fraction(char *out, uint64_t v, unsigned prec)
{
    uint64_t pow = 1, f;
    size_t   n;

    for (unsigned i = 0; i < prec; i++)
        pow *= 10;
    n = str_from_u64(v / pow, 10, out);
    f = v % pow;
    if (f == 0)
        return n;
    n += (size_t)snprintf(out + n, 16, ".%0*llu", (int)prec, (unsigned long long)f);
    while (out[n - 1] == '0')
        n--;
    return n;
}

static size_t
put_z(char *out, const char *z)
{
    size_t n = strlen(z);

    memcpy(out, z, n);
    return n;
}

static size_t
put_below_second(char *out, uint64_t u)
{
    size_t n;

    if (u < (uint64_t)NSEC_PER_USEC) {
        n = str_from_u64(u, 10, out);
        return n + put_z(out + n, "ns");
    }
    if (u < (uint64_t)NSEC_PER_MSEC) {
        n = put_fraction(out, u, 3);
        return n + put_z(out + n, "\xc2\xb5s");
    }
    n = put_fraction(out, u, 6);
    return n + put_z(out + n, "ms");
}

size_t
dur_format(int64_t ns, char *out)
{
    uint64_t u = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns, minutes;
    size_t   n = 0;

    if (ns == 0) {
        memcpy(out, "0s", 3);
        return 2;
    }
    if (ns < 0)
        out[n++] = '-';
    if (u < (uint64_t)NSEC_PER_SEC) {
        n += put_below_second(out + n, u);
        out[n] = '\0';
        return n;
    }
    minutes = u / (60 * (uint64_t)NSEC_PER_SEC);
    u %= 60 * (uint64_t)NSEC_PER_SEC;
    if (minutes >= 60) {
        n += str_from_u64(minutes / 60, 10, out + n);
        out[n++] = 'h';
    }
    if (minutes > 0) {
        n += str_from_u64(minutes % 60, 10, out + n);
        out[n++] = 'm';
    }
    if (u > 0 || minutes == 0) { /* AIStore cuts "m0s" to "m" */
        n += put_fraction(out + n, u, 9);
        out[n++] = 's';
    }
    out[n] = '\0';
    return n;
}

/* ---- sizes ---- */

/* "", "b", "k", "kb", "ki", "kib" and so on up to E, any case: the power of 1024, or -1. */
static int
size_power(struct str s)
{
    static const char letters[] = "kmgtpe";
    const char       *at;
    int               power = 0;
    char              c;

    if (s.n == 0 || str_ieq(s, STR_LIT("b")))
        return 0;
    c = (char)(s.p[0] | 0x20);
    at = memchr(letters, c, sizeof(letters) - 1);
    if (at == NULL)
        return -1;
    power = (int)(at - letters) + 1;
    s = str_from_off(s, 1);
    if (s.n == 0 || str_ieq(s, STR_LIT("b")) || str_ieq(s, STR_LIT("i")) || str_ieq(s, STR_LIT("ib")))
        return power;
    return -1;
}

bool
size_parse(struct str s, uint64_t *bytes)
{
    uint64_t          whole = 0, frac = 0, scale = 1;
    size_t            i, point;
    int               power;
    unsigned __int128 v;

    s = str_trim(s);
    for (i = 0; i < s.n && is_digit(s.p[i]); i++)
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, (uint64_t)(s.p[i] - '0'), &whole))
            return false;
    point = i;
    if (i < s.n && s.p[i] == '.') {
        for (i++; i < s.n && is_digit(s.p[i]); i++) {
            if (scale < 1000000000000ULL) { /* more digits than that are less than a byte of a TiB */
                frac = frac * 10 + (uint64_t)(s.p[i] - '0');
                scale *= 10;
            }
        }
        if (i == point + 1)
            return false;
    }
    if (point == 0)
        return false;
    power = size_power(str_trim(str_from_off(s, i)));
    if (power < 0)
        return false;
    v = ((unsigned __int128)whole << (10 * power)) + (((unsigned __int128)frac << (10 * power)) / scale);
    if (v > UINT64_MAX)
        return false;
    *bytes = (uint64_t)v;
    return true;
}

static size_t
size_print(uint64_t bytes, int digits, char *out)
{
    static const struct unit units[] = { { "TiB", TIB }, { "GiB", GIB }, { "MiB", MIB }, { "KiB", KIB } };

    for (size_t i = 0; i < ARRAY_SIZE(units); i++)
        if (bytes >= units[i].n) /* single precision: it is what the original divides in */
            return (size_t)snprintf(out, UNITS_MAX, "%.*f%s", digits, (double)((float)bytes / (float)units[i].n),
                                    units[i].name);
    return (size_t)snprintf(out, UNITS_MAX, "%lluB", (unsigned long long)bytes);
}

size_t
size_format(uint64_t bytes, char *out)
{
    return size_print(bytes, 0, out);
}

size_t
size_format_human(uint64_t bytes, char *out)
{
    return size_print(bytes, 2, out);
}

/* ---- times ---- */

static const char *const month_names[] = { "January", "February", "March",     "April",   "May",      "June",
                                           "July",    "August",   "September", "October", "November", "December" };
static const char *const day_names[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" };

struct civil {
    int64_t  year;
    unsigned month, day, yday, wday, hour, min, sec, ns; /* month and day from 1, yday from 1, wday from Sunday = 0 */
};

static int64_t
floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days since 1970-01-01 to the calendar: years begin in March, eras are 400 years (146,097 days). */
static struct civil
civil_of(int64_t unix_ns)
{
    static const unsigned before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };

    int64_t      secs = floor_div(unix_ns, NSEC_PER_SEC), days = floor_div(secs, 86400), z = days + 719468;
    int64_t      era = floor_div(z, 146097);
    unsigned     doe = (unsigned)(z - era * 146097), yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned     doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    unsigned     sod = (unsigned)(secs - days * 86400);
    struct civil c;
    bool         leap;

    c.day = doy - (153 * mp + 2) / 5 + 1;
    c.month = mp < 10 ? mp + 3 : mp - 9;
    c.year = (int64_t)yoe + era * 400 + (c.month <= 2);
    leap = c.year % 4 == 0 && (c.year % 100 != 0 || c.year % 400 == 0);
    c.yday = before[c.month - 1] + c.day + (leap && c.month > 2);
    c.wday = (unsigned)(((days + 4) % 7 + 7) % 7);
    c.hour = sod / 3600;
    c.min = sod / 60 % 60;
    c.sec = sod % 60;
    c.ns = (unsigned)((unix_ns % NSEC_PER_SEC + NSEC_PER_SEC) % NSEC_PER_SEC); /* secs * NSEC_PER_SEC may not exist */
    return c;
}

size_t
time_http(int64_t unix_ns, char *out)
{
    struct civil c = civil_of(unix_ns);

    return (size_t)snprintf(out, UNITS_MAX, "%.3s, %02u %.3s %04d %02u:%02u:%02u GMT", day_names[c.wday], c.day,
                            month_names[c.month - 1], (int)c.year, c.hour, c.min, c.sec);
}

size_t
time_rfc822(int64_t unix_ns, char *out)
{
    struct civil c = civil_of(unix_ns);

    return (size_t)snprintf(out, UNITS_MAX, "%02u %.3s %02u %02u:%02u UTC", c.day, month_names[c.month - 1],
                            (unsigned)(c.year % 100), c.hour, c.min);
}

size_t
time_rfc3339(int64_t unix_ns, char *out)
{
    if (unix_ns == 0) /* Go's zero time stands for "never" */
        return (size_t)snprintf(out, UNITS_MAX, "0001-01-01T00:00:00Z");
    return time_go_layout(unix_ns, STR_LIT("2006-01-02T15:04:05.999999999Z07:00"), out, UNITS_MAX);
}

size_t
time_datetime(int64_t unix_ns, char *out)
{
    return time_go_layout(unix_ns, STR_LIT("2006-01-02 15:04:05"), out, UNITS_MAX);
}

/* Go's reference time, piece by piece. Longer pieces stand before those they begin with. */
/* clang-format off */
enum piece {
    P_MONTH, P_MON, P_WEEKDAY, P_WDAY, P_YEAR, P_YY, P_YDAY0, P_YDAY_, P_MM, P_M, P_DD, P_D_, P_D, P_HH, P_HH12, P_H12,
    P_MIN2, P_MIN, P_SEC2, P_SEC, P_PM_UPPER, P_PM_LOWER, P_MST, P_Z, P_OFF_SEC_COLON, P_OFF_SEC, P_OFF_COLON, P_OFF, P_OFF_H,
    P_NONE
};

static const struct {
    const char *text;
    enum piece  piece;
} pieces[] = {
    { "January", P_MONTH }, { "Jan", P_MON }, { "Monday", P_WEEKDAY }, { "Mon", P_WDAY }, { "MST", P_MST },
    { "2006", P_YEAR }, { "_2006", P_NONE }, { "002", P_YDAY0 }, { "__2", P_YDAY_ }, { "_2", P_D_ },
    { "01", P_MM }, { "02", P_DD }, { "03", P_HH12 }, { "04", P_MIN2 }, { "05", P_SEC2 }, { "06", P_YY }, { "15", P_HH },
    { "PM", P_PM_UPPER }, { "pm", P_PM_LOWER },
    { "Z07:00:00", P_Z }, { "Z070000", P_Z }, { "Z07:00", P_Z }, { "Z0700", P_Z }, { "Z07", P_Z },
    { "-07:00:00", P_OFF_SEC_COLON }, { "-070000", P_OFF_SEC }, { "-07:00", P_OFF_COLON }, { "-0700", P_OFF }, { "-07", P_OFF_H },
    { "1", P_M }, { "2", P_D }, { "3", P_H12 }, { "4", P_MIN }, { "5", P_SEC },
};
/* clang-format on */

/* ".000", ".999", ",000": Go's fraction of a second, only where no digit follows. Its length, 0 when there is none. */
static size_t
fraction_piece(struct str l)
{
    size_t n = 1;

    if (l.n < 2 || (l.p[0] != '.' && l.p[0] != ',') || (l.p[1] != '0' && l.p[1] != '9'))
        return 0;
    while (n < l.n && l.p[n] == l.p[1])
        n++;
    return n < l.n && is_digit(l.p[n]) ? 0 : n;
}

/* n - 1 digits of the fraction; nines drop the zeros at the end. */
static size_t
format_fraction(unsigned ns, struct str piece, char *tmp)
{
    char   digits[10];
    size_t n = MIN(piece.n - 1, (size_t)9);

    snprintf(digits, sizeof(digits), "%09u", ns % 1000000000u);
    if (piece.p[1] == '9') {
        while (n > 0 && digits[n - 1] == '0')
            n--;
        if (n == 0)
            return 0;
    }
    tmp[0] = piece.p[0];
    memcpy(tmp + 1, digits, n);
    return n + 1;
}

static size_t
format_piece(const struct civil *c, enum piece piece, char *tmp, size_t cap)
{
    unsigned h12 = c->hour % 12 == 0 ? 12 : c->hour % 12;
    int      n = 0;

    /* clang-format off */
    switch (piece) {
    case P_MONTH:         n = snprintf(tmp, cap, "%s", month_names[c->month - 1]); break;
    case P_MON:           n = snprintf(tmp, cap, "%.3s", month_names[c->month - 1]); break;
    case P_WEEKDAY:       n = snprintf(tmp, cap, "%s", day_names[c->wday]); break;
    case P_WDAY:          n = snprintf(tmp, cap, "%.3s", day_names[c->wday]); break;
    case P_YEAR:          n = snprintf(tmp, cap, "%04lld", (long long)c->year); break;
    case P_YY:            n = snprintf(tmp, cap, "%02u", (unsigned)(c->year % 100)); break;
    case P_YDAY0:         n = snprintf(tmp, cap, "%03u", c->yday); break;
    case P_YDAY_:         n = snprintf(tmp, cap, "%3u", c->yday); break;
    case P_MM:            n = snprintf(tmp, cap, "%02u", c->month); break;
    case P_M:             n = snprintf(tmp, cap, "%u", c->month); break;
    case P_DD:            n = snprintf(tmp, cap, "%02u", c->day); break;
    case P_D_:            n = snprintf(tmp, cap, "%2u", c->day); break;
    case P_D:             n = snprintf(tmp, cap, "%u", c->day); break;
    case P_HH:            n = snprintf(tmp, cap, "%02u", c->hour); break;
    case P_HH12:          n = snprintf(tmp, cap, "%02u", h12); break;
    case P_H12:           n = snprintf(tmp, cap, "%u", h12); break;
    case P_MIN2:          n = snprintf(tmp, cap, "%02u", c->min); break;
    case P_MIN:           n = snprintf(tmp, cap, "%u", c->min); break;
    case P_SEC2:          n = snprintf(tmp, cap, "%02u", c->sec); break;
    case P_SEC:           n = snprintf(tmp, cap, "%u", c->sec); break;
    case P_PM_UPPER:      n = snprintf(tmp, cap, "%s", c->hour >= 12 ? "PM" : "AM"); break;
    case P_PM_LOWER:      n = snprintf(tmp, cap, "%s", c->hour >= 12 ? "pm" : "am"); break;
    case P_MST:           n = snprintf(tmp, cap, "UTC"); break;
    case P_Z:             n = snprintf(tmp, cap, "Z"); break;
    case P_OFF_SEC_COLON: n = snprintf(tmp, cap, "+00:00:00"); break;
    case P_OFF_SEC:       n = snprintf(tmp, cap, "+000000"); break;
    case P_OFF_COLON:     n = snprintf(tmp, cap, "+00:00"); break;
    case P_OFF:           n = snprintf(tmp, cap, "+0000"); break;
    case P_OFF_H:         n = snprintf(tmp, cap, "+00"); break;
    case P_NONE:          break;
    }
    /* clang-format on */
    return (size_t)n;
}

/* Go: "Jan" is not a piece when a lower-case letter follows ("January" was tried before). */
static bool
piece_at(struct str l, size_t i)
{
    struct str text = str_z(pieces[i].text);

    if (!str_starts(l, text))
        return false;
    if ((pieces[i].piece == P_MON || pieces[i].piece == P_WDAY) && l.n > 3 && l.p[3] >= 'a' && l.p[3] <= 'z')
        return false;
    return true;
}

/* Append to out, keeping room for the NUL; what does not fit is cut. */
static size_t
append_cut(char *out, size_t o, size_t cap, const char *p, size_t n)
{
    size_t room = cap - 1 - o;

    n = MIN(n, room);
    memcpy(out + o, p, n);
    return o + n;
}

size_t
time_go_layout(int64_t unix_ns, struct str layout, char *out, size_t cap)
{
    struct civil c = civil_of(unix_ns);
    char         tmp[32];
    size_t       o = 0, n, i;

    if (cap == 0)
        return 0;
    while (layout.n > 0) {
        n = fraction_piece(layout);
        if (n > 0) {
            o = append_cut(out, o, cap, tmp, format_fraction(c.ns, str_from(layout.p, n), tmp));
            layout = str_from_off(layout, n);
            continue;
        }
        for (i = 0; i < ARRAY_SIZE(pieces) && !piece_at(layout, i); i++)
            ;
        if (i == ARRAY_SIZE(pieces)) {
            o = append_cut(out, o, cap, layout.p, 1);
            layout = str_from_off(layout, 1);
        } else if (pieces[i].piece == P_NONE) { /* "_2006" is an underscore and the year */
            o = append_cut(out, o, cap, "_", 1);
            layout = str_from_off(layout, 1);
        } else {
            o = append_cut(out, o, cap, tmp, format_piece(&c, pieces[i].piece, tmp, sizeof(tmp)));
            layout = str_from_off(layout, strlen(pieces[i].text));
        }
    }
    out[o] = '\0';
    return o;
}
