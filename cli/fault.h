/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a command ends: exit codes, and a sentence for the person who typed it.
 *
 * Functions that can fail return 0 or one of enum cli_exit and put the sentence into a struct fault; the command prints it once.
 */
#ifndef CLI_FAULT_H
#define CLI_FAULT_H

/* Scripts test these (docs/cli.md, "Exit codes"): never renumber. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* the cluster refused, or a file here could not be read or written */
    CLI_USAGE = 2,       /* wrong command, flag or argument: nothing was sent */
    CLI_NOTFOUND = 3,    /* no such bucket, object, node or mountpath */
    CLI_UNREACHABLE = 4, /* nobody answers, or the cluster is not ready */
    CLI_PARTIAL = 5,     /* of several things some were done and some were not */
    CLI_INTERRUPTED = 130,
};

struct fault {
    int  code;
    char text[1400];
};

/* Both return the code, so that `return fault_set(f, CLI_USAGE, ...)` reads well. f may be NULL. */
int fault_set(struct fault *f, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int fault_errno(struct fault *f, const char *what); /* "what: No such file or directory", CLI_FAILED */
/* Print "Error: text" in one write, so that lines of parallel workers stay whole. Returns the code. */
int fault_print(const struct fault *f);

/* Several things done by one command: what the exit code is. */
struct tally {
    unsigned long done, failed;
    int           first; /* code of the first failure */
};
void tally_add(struct tally *t, int rc);
int  tally_exit(const struct tally *t); /* 0; the one code when nothing was done; CLI_PARTIAL */

#endif
