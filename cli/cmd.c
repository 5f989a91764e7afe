/* SPDX-License-Identifier: Apache-2.0 */
/* The command framework: finding rows, reading flags, near misses. Pure but for the printing at the end; see cmd.h. */
#include "cli/cmd.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "base/util.h"

/* --- words --- */

/* How many of the words spell this path; 0 when they do not spell all of it. */
static int
spells(struct str path, int n, char *const *words)
{
    struct str w;
    int        k = 0;

    while (str_split(&path, ' ', &w)) {
        if (k == n || !str_eqz(w, words[k]))
            return 0;
        k++;
    }
    return k;
}

/* The part of the path behind the n words that it begins with; {NULL,0} when it begins otherwise. */
static struct str
behind(struct str path, int n, char *const *words)
{
    struct str w;

    for (int k = 0; k < n; k++)
        if (!str_split(&path, ' ', &w) || !str_eqz(w, words[k]))
            return STR_NULL;
    return path.p == NULL ? STR_LIT("") : path;
}

/* Path and aliases of a row, one after the other. */
static bool
next_spelling(const struct cmd *c, int *i, struct str *out)
{
    struct str all = str_z(c->alias), one;
    int        k = 0;

    if ((*i)++ == 0) {
        *out = str_z(c->path);
        return true;
    }
    while (str_split(&all, '|', &one))
        if (++k == *i - 1) {
            *out = one;
            return true;
        }
    return false;
}

const struct cmd *
cmd_find(int n, char *const *words, int *used)
{
    const struct cmd *best = NULL;

    *used = 0;
    for (unsigned g = 0; g < ngroups; g++)
        for (unsigned i = 0; i < *groups[g].count; i++) {
            struct str one;
            int        at = 0;

            while (next_spelling(&groups[g].cmds[i], &at, &one)) {
                int k = spells(one, n, words);

                if (k > *used) {
                    *used = k;
                    best = &groups[g].cmds[i];
                }
            }
        }
    return best;
}

const char *
cmd_below(const struct cmd *c, int n, char *const *words)
{
    return behind(str_z(c->path), n, words).p;
}

/* Edit distance of short words, transpositions counting one. */
static unsigned
distance(struct str a, const char *bz)
{
    struct str b = str_z(bz);
    unsigned   d[3][34];

    if (a.n > 32 || b.n > 32)
        return 99;
    for (size_t j = 0; j <= b.n; j++)
        d[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a.n; i++) {
        unsigned *cur = d[i % 3], *up = d[(i + 2) % 3], *up2 = d[(i + 1) % 3];

        cur[0] = (unsigned)i;
        for (size_t j = 1; j <= b.n; j++) {
            unsigned best = up[j - 1] + (a.p[i - 1] != b.p[j - 1]);

            best = MIN(best, up[j] + 1);
            best = MIN(best, cur[j - 1] + 1);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                best = MIN(best, up2[j - 2] + 1);
            cur[j] = best;
        }
    }
    return d[a.n % 3][b.n];
}

const char *
cmd_suggest(int n, char *const *words, int at)
{
    static char best[33];
    unsigned    least = 3; /* farther than two edits is no near miss */

    UNUSED(n);
    for (unsigned g = 0; g < ngroups; g++)
        for (unsigned i = 0; i < *groups[g].count; i++) {
            struct str one, w;
            int        k = 0;

            while (next_spelling(&groups[g].cmds[i], &k, &one)) {
                struct str rest = behind(one, at, words);
                unsigned   d;

                if (rest.n == 0 || !str_split(&rest, ' ', &w) || w.n > 32)
                    continue;
                d = distance(w, words[at]);
                if (d < least && d < w.n) {
                    least = d;
                    str_copyz(w, best, sizeof(best));
                }
            }
        }
    return least < 3 ? best : NULL;
}

/* --- flags --- */

const struct flag *
flag_find(const struct cmd *c, struct str name, unsigned *at)
{
    for (unsigned i = 0; c->flags != NULL && c->flags[i].name != NULL; i++) {
        struct str all = str_z(c->flags[i].alias), one;

        *at = i;
        if (str_eqz(name, c->flags[i].name))
            return &c->flags[i];
        while (str_split(&all, ',', &one))
            if (str_eq(name, one))
                return &c->flags[i];
    }
    return NULL;
}

static bool
is_count(const char *s)
{
    uint64_t v;

    return str_u64(str_z(s), &v);
}

static bool
is_size(const char *s)
{
    uint64_t v;

    return size_parse(str_z(s), &v);
}

static bool
is_dur(const char *s)
{
    int64_t  ns;
    uint64_t v;

    return (dur_parse(str_z(s), &ns) && ns >= 0) || str_u64(str_z(s), &v);
}

static bool
is_units(const char *s)
{
    return strcmp(s, "iec") == 0 || strcmp(s, "si") == 0 || strcmp(s, "raw") == 0;
}

static bool
is_severity(const char *s)
{
    return s[0] == 'i' || s[0] == 'w' || s[0] == 'e';
}

/* clang-format off */
static const struct {
    const char *value;
    bool      (*ok)(const char *s);
    const char *what;
} flag_kinds[] = {
    { "N",        is_count,    "a number" },
    { "SIZE",     is_size,     "a size (1048576, 4mb, 1MiB ...)" },
    { "TIME",     is_dur,      "a time (10, 500ms, 2m ...)" },
    { "UNITS",    is_units,    "iec, si or raw" },
    { "SEVERITY", is_severity, "info, warning or error" },
};
/* clang-format on */

static int
value_check(const struct flag *fl, const char *v, struct fault *f)
{
    for (size_t i = 0; i < ARRAY_SIZE(flag_kinds); i++)
        if (strcmp(fl->value, flag_kinds[i].value) == 0 && !flag_kinds[i].ok(v))
            return fault_set(f, CLI_USAGE, "--%s: \"%s\" is not %s", fl->name, v, flag_kinds[i].what);
    return CLI_OK;
}

/* One flag at argv[*i]; moves *i over its value. */
static int
flag_take(struct ctx *c, int argc, char *const *argv, int *i, struct fault *f)
{
    const char        *name = argv[*i] + (argv[*i][1] == '-' ? 2 : 1), *eq = strchr(name, '=');
    const struct flag *fl;
    unsigned           at = 0;

    if (strcmp(name, "help") == 0 || strcmp(name, "h") == 0) {
        c->help = true;
        return CLI_OK;
    }
    fl = flag_find(c->cmd, str_from(name, eq == NULL ? strlen(name) : (size_t)(eq - name)), &at);
    if (fl == NULL)
        return fault_set(f, CLI_USAGE, "unknown flag %s", argv[*i]);
    if (fl->value == NULL) {
        if (eq != NULL && strcmp(eq, "=true") != 0 && strcmp(eq, "=false") != 0)
            return fault_set(f, CLI_USAGE, "flag --%s takes no value", fl->name);
        c->flag[at] = eq != NULL && strcmp(eq, "=false") == 0 ? NULL : "";
        return CLI_OK;
    }
    if (eq == NULL && *i + 1 == argc)
        return fault_set(f, CLI_USAGE, "flag --%s needs a value (%s)", fl->name, fl->value);
    c->flag[at] = eq != NULL ? eq + 1 : argv[++*i];
    return value_check(fl, c->flag[at], f);
}

int
args_parse(struct ctx *c, int argc, char *const *argv, struct fault *f)
{
    bool only_args = false;

    c->arg = arena_zalloc(c->mem, ((size_t)argc + 1) * sizeof(*c->arg));
    for (int i = 0; i < argc; i++) {
        if (only_args || argv[i][0] != '-' || argv[i][1] == '\0')
            c->arg[c->nargs++] = argv[i];
        else if (strcmp(argv[i], "--") == 0)
            only_args = true;
        else if (flag_take(c, argc, argv, &i, f) != CLI_OK)
            return CLI_USAGE;
    }
    if (c->help)
        return CLI_OK;
    if (c->nargs < c->cmd->min)
        return fault_set(f, CLI_USAGE, "missing argument%s: expecting %s", c->cmd->min - c->nargs > 1 ? "s" : "", c->cmd->args);
    if (c->cmd->max >= 0 && c->nargs > c->cmd->max)
        return fault_set(f, CLI_USAGE, "unexpected argument \"%s\"", c->arg[c->cmd->max]);
    return CLI_OK;
}

const char *
flag_str(const struct ctx *c, const char *name, const char *dflt)
{
    unsigned i;

    return flag_find(c->cmd, str_z(name), &i) != NULL && c->flag[i] != NULL ? c->flag[i] : dflt;
}

bool
flag_on(const struct ctx *c, const char *name)
{
    return flag_str(c, name, NULL) != NULL;
}

uint64_t
flag_u64(const struct ctx *c, const char *name, uint64_t dflt)
{
    const char *s = flag_str(c, name, NULL);
    uint64_t    v;

    return s != NULL && size_parse(str_z(s), &v) ? v : dflt;
}

int64_t
flag_dur(const struct ctx *c, const char *name, int64_t dflt)
{
    const char *s = flag_str(c, name, NULL);
    int64_t     ns;
    uint64_t    secs;

    if (s == NULL)
        return dflt;
    if (str_u64(str_z(s), &secs)) /* a bare number means seconds */
        return SEC_NS((int64_t)secs);
    return dur_parse(str_z(s), &ns) ? ns : dflt;
}

/* --- saying so --- */

int
cmd_fail(const struct ctx *c, const struct fault *f)
{
    fault_print(f);
    if (f->code == CLI_USAGE)
        fprintf(stderr, "See 'ais %s --help'.\n", c->cmd->path);
    return f->code;
}

int
usage(const struct ctx *c, const char *fmt, ...)
{
    struct fault f = { .code = CLI_USAGE };
    va_list      ap;

    va_start(ap, fmt);
    vsnprintf(f.text, sizeof(f.text), fmt, ap);
    va_end(ap);
    return cmd_fail(c, &f);
}

bool
confirm(const struct ctx *c, int *rc, const char *fmt, ...)
{
    char    line[16] = "", what[600];
    va_list ap;

    if (flag_on(c, "yes"))
        return true;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    if (!isatty(STDIN_FILENO)) {
        *rc = usage(c, "not asking \"%s?\" without a terminal: add --yes", what);
        return false;
    }
    printf("%s? [Y/N]: ", what);
    fflush(stdout);
    if (fgets(line, sizeof(line), stdin) != NULL && (line[0] == 'y' || line[0] == 'Y'))
        return true;
    *rc = CLI_OK;
    printf("Nothing done.\n");
    return false;
}
