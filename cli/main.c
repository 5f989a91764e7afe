/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ais: the command line of an AIStore cluster.
 *
 * Finds the command that the words name, reads its flags and runs it. Exit codes: fault.h.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "cli/cmd.h"
#include "cli/session.h"

#define MEM_FIRST (64 * KIB)
#define MEM_MAX   (16 * GIB) /* names of the objects of a large bucket */

static void
on_signal(int sig)
{
    UNUSED(sig);
    atomic_store(&session_interrupted, true);
}

/* The first signal ends transfers in order; a second one ends the program. */
static void
catch_signals(void)
{
    struct sigaction sa = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
}

static int
words_before_flags(int argc, char **argv)
{
    int n = 0;

    while (n < argc && argv[n][0] != '-')
        n++;
    return n;
}

static int
unknown(int argc, char **argv)
{
    int         n = words_before_flags(argc, argv), at = 0, used;
    const char *near;

    /* How many of the words still lead somewhere? */
    while (at < n) {
        bool known = cmd_find(at + 1, argv, &used) != NULL && used == at + 1;

        for (unsigned g = 0; g < ngroups && !known; g++)
            for (unsigned i = 0; i < *groups[g].count && !known; i++)
                known = cmd_below(&groups[g].cmds[i], at + 1, argv) != NULL;
        if (!known)
            break;
        at++;
    }
    if (at == n) {
        fprintf(stderr, "Error: \"ais");
        for (int i = 0; i < n; i++)
            fprintf(stderr, " %s", argv[i]);
        fprintf(stderr, "\" needs another word. See 'ais");
        for (int i = 0; i < n; i++)
            fprintf(stderr, " %s", argv[i]);
        fprintf(stderr, " --help'.\n");
        return CLI_USAGE;
    }
    near = cmd_suggest(n, argv, at);
    fprintf(stderr, "Error: unknown command \"%s\"", argv[at]);
    if (near != NULL)
        fprintf(stderr, ": did you mean \"%s\"?\n", near);
    else
        fprintf(stderr, ". See 'ais help'%s\n", at > 0 ? ", or this group's --help." : ".");
    return CLI_USAGE;
}

static int
help(int n, char **words)
{
    int               used;
    const struct cmd *c = cmd_find(n, words, &used);

    if (n == 0) {
        help_top();
        return CLI_OK;
    }
    if (c != NULL && used == n) {
        help_cmd(c);
        return CLI_OK;
    }
    return help_group(n, words) > 0 ? CLI_OK : unknown(n, words);
}

static bool
is_help(const char *s)
{
    return strcmp(s, "--help") == 0 || strcmp(s, "-h") == 0;
}

static int
run(struct ctx *c)
{
    struct session s;
    struct fault   f;
    int            rc;

    rc = session_env(&f);
    if (rc == CLI_OK)
        rc = session_init(&s, c->mem, &f);
    if (rc != CLI_OK) {
        session_env_fini();
        return fault_print(&f);
    }
    c->s = &s;
    catch_signals();
    rc = c->cmd->fn(c);
    session_fini(&s);
    session_env_fini();
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "Error: cannot write to standard output\n");
        rc = rc == CLI_OK ? CLI_FAILED : rc;
    }
    return rc;
}

static int
dispatch(int argc, char **argv)
{
    struct ctx   c = { .nargs = 0 };
    struct fault f;
    int          used, n = words_before_flags(argc, argv), rc;

    c.cmd = cmd_find(argc, argv, &used);
    /* "ais bucket --help" is about a group; so is "ais show cluster --help" about a command. */
    if (c.cmd == NULL) {
        if (n < argc && is_help(argv[n]))
            return help(n, argv);
        if (n > 0 && n == argc && help_group(n, argv) > 0)
            return CLI_USAGE;
        return unknown(argc, argv);
    }
    c.mem = arena_new(MEM_FIRST, MEM_MAX);
    if (args_parse(&c, argc - used, argv + used, &f) != CLI_OK)
        rc = cmd_fail(&c, &f);
    else if (c.help) {
        help_cmd(c.cmd);
        rc = CLI_OK;
    } else
        rc = run(&c);
    arena_free(c.mem);
    return rc;
}

int
main(int argc, char **argv)
{
    char  word[] = "version";
    char *version[] = { word };

    argc--;
    argv++;
    if (argc == 0 || is_help(argv[0]))
        return help(0, NULL);
    if (strcmp(argv[0], "help") == 0)
        return help(words_before_flags(argc - 1, argv + 1), argv + 1);
    if (strcmp(argv[0], "--version") == 0 || strcmp(argv[0], "-v") == 0)
        return dispatch(1, version);
    if (strcmp(argv[0], "__complete") == 0)
        return cmd_complete(argc - 1, argv + 1);
    if (argv[0][0] == '-') {
        fprintf(stderr, "Error: unknown flag %s: a command comes first. See 'ais help'.\n", argv[0]);
        return CLI_USAGE;
    }
    return dispatch(argc, argv);
}
