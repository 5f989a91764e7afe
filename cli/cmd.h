/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command framework: commands are rows of tables; words, flags, help, suggestions and completion all come from the rows.
 *
 * To add a command: write `int cmd_x(struct ctx *c)` in the group's file and a row in its table.
 */
#ifndef CLI_CMD_H
#define CLI_CMD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "cli/fault.h"

struct session;

struct flag {
    const char *name;  /* "prefix": --prefix VALUE or --prefix=VALUE */
    const char *alias; /* other names, separated by ',': one letter or long; NULL = none */
    const char *value; /* what the value is, and so how it is checked (flag_kinds in cmd.c); NULL = takes none */
    const char *help;
};

/* What arguments are, for completion. */
enum arg_kind { ARG_NONE, ARG_BUCKET, ARG_NODE, ARG_TARGET, ARG_FILE };

struct ctx;
struct cmd {
    const char        *path;  /* "bucket create" */
    const char        *alias; /* other spellings, separated by '|': "create|mb" */
    const char        *args;  /* "BUCKET [BUCKET...]" */
    const char        *help;  /* one line */
    const char        *more;  /* what --help says besides, with examples; NULL = nothing */
    const struct flag *flags; /* ends with a NULL name; NULL = none */
    int                min, max; /* positional arguments; max -1 = any number */
    int              (*fn)(struct ctx *c);
    enum arg_kind      kinds[2]; /* first argument, all others */
};

/* A table of commands. Several tables may have commands of one group: then only one of them has a help text. */
struct group {
    const char       *name;
    const char       *help; /* NULL = more of a group above */
    const struct cmd *cmds;
    const unsigned   *count;
};

#define MAX_FLAGS 40
#define MAX_DEPTH 4 /* words in a command's path */

/* One call of the program. */
struct ctx {
    const struct cmd *cmd;
    const char      **arg;
    int               nargs;
    const char       *flag[MAX_FLAGS]; /* value of cmd->flags[i], "" for a plain one, NULL = not given */
    bool              help;            /* --help */
    struct arena     *mem;             /* lives as long as the command */
    struct session   *s;
};

/* All commands; cmds.c. */
extern const struct group groups[];
extern const unsigned     ngroups;

#define FLAG_JSON     { "json", "j", NULL, "print JSON instead of a table" }
#define FLAG_NOHEAD   { "no-headers", "H", NULL, "print tables without their header line" }
#define FLAG_UNITS    { "units", NULL, "UNITS", "sizes as iec (KiB, MiB; the default), si (KB, MB) or raw (bytes)" }
#define FLAG_YES      { "yes", "y", NULL, "do not ask" }
#define FLAG_WORKERS  { "num-workers", "conc", "N", "parallel transfers (default: 10)" }
#define FLAG_PROGRESS { "progress", NULL, NULL, "show a progress bar, also when standard error is no terminal" }
#define FLAG_END      { NULL, NULL, NULL, NULL }

/* The longest row that the words begin with, and how many words it took; NULL when there is none. */
const struct cmd *cmd_find(int n, char *const *words, int *used);
/* Is this row's path, or an alias of it, inside the group of commands that the words name? Returns the rest of it, or NULL. */
const char *cmd_below(const struct cmd *c, int n, char *const *words);
const char *cmd_suggest(int n, char *const *words, int at); /* a word near words[at] that would be valid there; NULL */
const struct flag *flag_find(const struct cmd *c, struct str name, unsigned *i);

/* Flags and arguments behind the command's words. 0, or CLI_USAGE with text. Flags may stand anywhere; "--" ends them. */
int args_parse(struct ctx *c, int argc, char *const *argv, struct fault *f);

bool        flag_on(const struct ctx *c, const char *name);
const char *flag_str(const struct ctx *c, const char *name, const char *dflt);
uint64_t    flag_u64(const struct ctx *c, const char *name, uint64_t dflt);  /* value kind N or SIZE: checked by args_parse */
int64_t     flag_dur(const struct ctx *c, const char *name, int64_t dflt);   /* value kind TIME, in ns */

/* Print "Error: ..." and return the code. usage() adds where to read more. */
int cmd_fail(const struct ctx *c, const struct fault *f);
int usage(const struct ctx *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Ask on the terminal; true when --yes was given. Without a terminal: CLI_USAGE is printed and false comes back. */
bool confirm(const struct ctx *c, int *rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* help.c, complete.c */
void help_cmd(const struct cmd *c);
int  help_group(int n, char *const *words); /* number of commands shown */
void help_top(void);
int  cmd_complete(int n, char *const *words); /* "ais __complete ...": one candidate a line */

#endif
