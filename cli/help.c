/* SPDX-License-Identifier: Apache-2.0 */
/* Help: of a command, of a group of commands, of the program. Everything comes from the tables. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "cli/cmd.h"

/* Text with line breaks, every line indented. */
static void
put_block(const char *text)
{
    struct str rest = str_z(text), line;

    while (str_split(&rest, '\n', &line))
        printf("%s%.*s\n", line.n > 0 ? "   " : "", STR_FMT(line));
}

static void
put_aliases(const struct cmd *c)
{
    struct str rest = str_z(c->alias), one;

    if (c->alias == NULL)
        return;
    printf("\nALSO:\n");
    while (str_split(&rest, '|', &one))
        printf("   ais %.*s\n", STR_FMT(one));
}

static void
put_flag(const struct flag *f)
{
    struct str rest = str_z(f->alias), one;
    char       left[80];
    int        n = snprintf(left, sizeof(left), "--%s", f->name);

    while (str_split(&rest, ',', &one))
        n += snprintf(left + n, sizeof(left) - (size_t)n, ", %s%.*s", one.n == 1 ? "-" : "--", STR_FMT(one));
    if (f->value != NULL)
        snprintf(left + n, sizeof(left) - (size_t)n, " %s", f->value);
    printf("   %-30s %s\n", left, f->help);
}

void
help_cmd(const struct cmd *c)
{
    printf("NAME:\n   ais %s - %s\n\nUSAGE:\n   ais %s %s%s[options]\n", c->path, c->help, c->path, c->args,
           c->args[0] != '\0' ? " " : "");
    put_aliases(c);
    if (c->more != NULL) {
        printf("\n");
        put_block(c->more);
    }
    printf("\nOPTIONS:\n");
    for (const struct flag *f = c->flags; f != NULL && f->name != NULL; f++)
        put_flag(f);
    put_flag(&(struct flag){ "help", "h", NULL, "show this text" });
}

/* The first example of a group's help: a line of some command's text that begins with "ais ". */
static void
put_examples(int n, char *const *words)
{
    int shown = 0;

    for (unsigned g = 0; g < ngroups; g++)
        for (unsigned i = 0; i < *groups[g].count; i++) {
            const struct cmd *c = &groups[g].cmds[i];
            struct str        rest = str_z(c->more), line;

            if (c->more == NULL || cmd_below(c, n, words) == NULL)
                continue;
            while (str_split(&rest, '\n', &line)) {
                line = str_trim(line);
                if (!str_starts(line, STR_LIT("ais ")) && str_find(line, STR_LIT("| ais ")) < 0)
                    continue;
                if (shown++ == 0)
                    printf("\nEXAMPLES:\n");
                printf("   %.*s\n", STR_FMT(line));
                break;
            }
        }
}

static const char *
group_help(const char *name)
{
    for (unsigned g = 0; g < ngroups; g++)
        if (groups[g].help != NULL && strcmp(groups[g].name, name) == 0)
            return groups[g].help;
    return "commands";
}

int
help_group(int n, char *const *words)
{
    int shown = 0;

    for (unsigned g = 0; g < ngroups; g++)
        for (unsigned i = 0; i < *groups[g].count; i++) {
            const struct cmd *c = &groups[g].cmds[i];

            if (cmd_below(c, n, words) == NULL)
                continue;
            if (shown++ == 0) {
                printf("NAME:\n   ais");
                for (int k = 0; k < n; k++)
                    printf(" %s", words[k]);
                printf(" - %s\n\nCOMMANDS:\n", group_help(words[0]));
            }
            printf("   %-34s %s\n", c->path, c->help);
        }
    if (shown == 0)
        return 0;
    put_examples(n, words);
    printf("\n'ais COMMAND --help' explains a command and its options.\n");
    return shown;
}

static void
put_shortcuts(void)
{
    printf("\nSHORTCUTS:\n");
    for (unsigned g = 0; g < ngroups; g++)
        for (unsigned i = 0; i < *groups[g].count; i++) {
            struct str rest = str_z(groups[g].cmds[i].alias), one;

            while (groups[g].cmds[i].alias != NULL && str_split(&rest, '|', &one))
                if (str_chr(one, ' ') < 0)
                    printf("   %-12.*s = %s\n", STR_FMT(one), groups[g].cmds[i].path);
        }
}

void
help_top(void)
{
    printf("NAME:\n   ais - the command line of an AIStore cluster\n\n"
           "USAGE:\n   ais COMMAND [arguments] [options]\n\nCOMMANDS:\n");
    for (unsigned g = 0; g < ngroups; g++)
        if (groups[g].help != NULL)
            printf("   %-12s %s\n", groups[g].name, groups[g].help);
    put_shortcuts();
    printf("\nFIRST STEPS:\n"
           "   ais show cluster                      who is there\n"
           "   ais create ais://data                 make a bucket\n"
           "   ais put README.md ais://data          store a file\n"
           "   ais ls ais://data                     see what is in it\n"
           "   ais get ais://data/README.md -        read it back\n"
           "   ais bucket --help                     commands of a group; 'ais put --help': of one command\n"
           "\nENVIRONMENT:\n"
           "   AIS_ENDPOINT            the cluster: any of its proxies (default: http://localhost:8080)\n"
           "   AIS_AUTHN_TOKEN         token to present; AIS_AUTHN_TOKEN_FILE: a file with it\n"
           "   AIS_CLIENT_CA           certificates to trust; AIS_SKIP_VERIFY_CRT=true: trust any\n"
           "   AIS_CRT, AIS_CRT_KEY    this client's own certificate and key\n"
           "\nEXIT CODES:\n"
           "   0 done   1 failed   2 wrong usage   3 not found   4 cluster unreachable   5 done in part   130 interrupted\n");
}
