/* SPDX-License-Identifier: Apache-2.0 */
/* The command framework: look the words up in the tables, read flags, help, complete. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const struct {
    const struct cmd *cmds;
    const unsigned   *n;
} groups[] = {
    { cmds_bucket, &ncmds_bucket },
    { cmds_object, &ncmds_object },
    { cmds_show, &ncmds_show },
    { cmds_cluster, &ncmds_cluster },
};
#define NGROUPS (sizeof(groups) / sizeof(groups[0]))

void
die(const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "Error: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

int
fail(const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "Error: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return 1;
}

int
usage_error(const struct args *a, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "Incorrect usage of \"ais %s\": ", a->cmd->path);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, ".\nSee 'ais %s --help'.\n", a->cmd->path);
    return 2;
}

static int
flag_index(const struct cmd *c, const char *name, size_t n)
{
    for (int i = 0; c->flags != NULL && c->flags[i].name != NULL; i++) {
        const struct flag *f = &c->flags[i];

        if ((strlen(f->name) == n && strncmp(f->name, name, n) == 0) ||
            (f->alias != NULL && strlen(f->alias) == n && strncmp(f->alias, name, n) == 0))
            return i;
    }
    return -1;
}

bool
arg_has(const struct args *a, const char *flag)
{
    int i = flag_index(a->cmd, flag, strlen(flag));

    return i >= 0 && a->flag[i] != NULL;
}

const char *
arg_get(const struct args *a, const char *flag, const char *dflt)
{
    int i = flag_index(a->cmd, flag, strlen(flag));

    return i >= 0 && a->flag[i] != NULL ? a->flag[i] : dflt;
}

uint64_t
arg_u64(const struct args *a, const char *flag, uint64_t dflt)
{
    const char        *s = arg_get(a, flag, NULL);
    char              *end;
    unsigned long long v;

    if (s == NULL)
        return dflt;
    v = strtoull(s, &end, 10);
    switch (*end) {
    case 'k':
    case 'K':
        v <<= 10;
        end = strchr("", '\0');
        break;
    case 'm':
    case 'M':
        v <<= 20;
        end = strchr("", '\0');
        break;
    case 'g':
    case 'G':
        v <<= 30;
        end = strchr("", '\0');
        break;
    default:
        break;
    }
    if (*s == '\0' || *end != '\0')
        die("--%s: \"%s\" is not a number", flag, s);
    return v;
}

bool
arg_json(const struct args *a)
{
    return arg_has(a, "json");
}

/* Does `words` (n of them) begin with this path? Returns how many words it takes, 0 when it does not match. */
static int
path_match(const char *path, size_t len, int n, char **words)
{
    int k = 0;

    while (len > 0) {
        const char *sp = memchr(path, ' ', len);
        size_t      w = sp == NULL ? len : (size_t)(sp - path);

        if (k == n || strlen(words[k]) != w || strncmp(words[k], path, w) != 0)
            return 0;
        k++;
        path += w;
        len -= w;
        if (len > 0) {
            path++;
            len--;
        }
    }
    return k;
}

static int
cmd_match(const struct cmd *c, int n, char **words)
{
    int         best = path_match(c->path, strlen(c->path), n, words);
    const char *p = c->alias;

    while (p != NULL) {
        const char *bar = strchr(p, '|');
        size_t      len = bar == NULL ? strlen(p) : (size_t)(bar - p);
        int         k = path_match(p, len, n, words);

        best = k > best ? k : best;
        p = bar == NULL ? NULL : bar + 1;
    }
    return best;
}

static const struct cmd *
cmd_find(int n, char **words, int *used)
{
    const struct cmd *best = NULL;

    *used = 0;
    for (size_t g = 0; g < NGROUPS; g++)
        for (unsigned i = 0; i < *groups[g].n; i++) {
            int k = cmd_match(&groups[g].cmds[i], n, words);

            if (k > *used) {
                *used = k;
                best = &groups[g].cmds[i];
            }
        }
    return best;
}

static void
help_cmd(const struct cmd *c)
{
    printf("NAME:\n   ais %s - %s\n\nUSAGE:\n   ais %s%s %s\n", c->path, c->help, c->path, c->flags != NULL ? " [OPTIONS]" : "",
           c->args);
    if (c->alias != NULL)
        printf("\nALSO:\n   ais %s\n", c->alias);
    if (c->more != NULL)
        printf("\n%s\n", c->more);
    printf("\nOPTIONS:\n");
    for (int i = 0; c->flags != NULL && c->flags[i].name != NULL; i++) {
        const struct flag *f = &c->flags[i];
        char               left[64];

        snprintf(left, sizeof(left), "--%s%s%s%s", f->name, f->alias != NULL ? strlen(f->alias) == 1 ? ", -" : ", --" : "",
                 f->alias != NULL ? f->alias : "", f->value ? " VALUE" : "");
        printf("   %-28s %s\n", left, f->help);
    }
    printf("   %-28s %s\n", "--help, -h", "show this text");
}

/* Commands under the words given: "ais bucket" lists the group. */
static int
help_group(int n, char **words)
{
    int shown = 0;

    for (size_t g = 0; g < NGROUPS; g++)
        for (unsigned i = 0; i < *groups[g].n; i++) {
            const struct cmd *c = &groups[g].cmds[i];
            bool              in = true;
            const char       *p = c->path;

            for (int k = 0; k < n && in; k++) {
                size_t w = strcspn(p, " ");

                in = strlen(words[k]) == w && strncmp(p, words[k], w) == 0;
                p += w;
                p += *p == ' ';
            }
            if (!in)
                continue;
            if (shown++ == 0)
                printf("USAGE:\n   ais COMMAND [OPTIONS] [ARGUMENTS]\n\nCOMMANDS:\n");
            printf("   %-24s %s\n", c->path, c->help);
        }
    if (shown > 0)
        printf("\n'ais COMMAND --help' explains a command. The cluster is AIS_ENDPOINT (now: %s).\n", api_endpoint());
    return shown;
}

static int
read_flags(struct args *a, int argc, char **argv)
{
    bool only_args = false;

    a->v = calloc((size_t)argc + 1, sizeof(*a->v));
    for (int i = 0; i < argc; i++) {
        const char *s = argv[i], *eq, *name;
        int         f;

        if (only_args || s[0] != '-' || s[1] == '\0') {
            a->v[a->n++] = s;
            continue;
        }
        if (strcmp(s, "--") == 0) {
            only_args = true;
            continue;
        }
        name = s + (s[1] == '-' ? 2 : 1);
        if (strcmp(name, "help") == 0 || strcmp(name, "h") == 0) {
            help_cmd(a->cmd);
            exit(0);
        }
        eq = strchr(name, '=');
        f = flag_index(a->cmd, name, eq == NULL ? strlen(name) : (size_t)(eq - name));
        if (f < 0)
            return usage_error(a, "flag %s is not defined", s);
        if (!a->cmd->flags[f].value) {
            if (eq != NULL && strcmp(eq, "=true") != 0 && strcmp(eq, "=false") != 0)
                return usage_error(a, "flag --%s takes no value", a->cmd->flags[f].name);
            a->flag[f] = eq != NULL && strcmp(eq, "=false") == 0 ? NULL : "";
        } else if (eq != NULL) {
            a->flag[f] = eq + 1;
        } else if (i + 1 < argc) {
            a->flag[f] = argv[++i];
        } else {
            return usage_error(a, "flag --%s needs a value", a->cmd->flags[f].name);
        }
    }
    if (a->n < a->cmd->min)
        return usage_error(a, "missing arguments: %s", a->cmd->args);
    if (a->cmd->max >= 0 && a->n > a->cmd->max)
        return usage_error(a, "too many arguments: \"%s\"", a->v[a->cmd->max]);
    return 0;
}

/* One word a line: what may come next. Used by the completion scripts. */
static int
complete(int n, char **words)
{
    int               used;
    const struct cmd *c = cmd_find(n, words, &used);

    for (size_t g = 0; g < NGROUPS; g++)
        for (unsigned i = 0; i < *groups[g].n; i++) {
            const char *p = groups[g].cmds[i].path;
            bool        in = true;

            for (int k = 0; k < n && in; k++) {
                size_t w = strcspn(p, " ");

                in = strlen(words[k]) == w && strncmp(p, words[k], w) == 0;
                p += w;
                p += *p == ' ';
            }
            if (in && *p != '\0')
                printf("%.*s\n", (int)strcspn(p, " "), p);
        }
    if (c != NULL)
        for (int i = 0; c->flags != NULL && c->flags[i].name != NULL; i++)
            printf("--%s\n", c->flags[i].name);
    return 0;
}

static int
completion_script(void)
{
    puts("# bash completion for ais; use: source <(ais completion)\n"
         "_ais() {\n"
         "    local words=(\"${COMP_WORDS[@]:1:COMP_CWORD-1}\")\n"
         "    COMPREPLY=($(compgen -W \"$(ais __complete \"${words[@]}\" 2>/dev/null | sort -u)\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
         "}\n"
         "complete -o default -F _ais ais");
    return 0;
}

int
main(int argc, char **argv)
{
    struct args a = { .n = 0 };
    int         used, rc;

    argc--;
    argv++;
    if (argc > 0 && strcmp(argv[0], "__complete") == 0)
        return complete(argc - 1, argv + 1);
    if (argc > 0 && strcmp(argv[0], "completion") == 0)
        return completion_script();
    if (argc == 0 || strcmp(argv[0], "help") == 0 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        if (argc > 1 && (a.cmd = cmd_find(argc - 1, argv + 1, &used)) != NULL)
            help_cmd(a.cmd);
        else
            help_group(argc > 1 ? argc - 1 : 0, argv + 1);
        return 0;
    }
    a.cmd = cmd_find(argc, argv, &used);
    if (a.cmd == NULL) {
        int words = 0;

        while (words < argc && argv[words][0] != '-')
            words++;
        if (words > 0 && help_group(words, argv) > 0)
            return words < argc ? 0 : 2;
        fprintf(stderr, "ais: unknown command \"%s\". See 'ais help'.\n", argv[0]);
        return 2;
    }
    rc = read_flags(&a, argc - used, argv + used);
    if (rc == 0)
        rc = a.cmd->fn(&a);
    free(a.v);
    return rc;
}
