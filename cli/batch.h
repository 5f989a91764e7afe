/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many small pieces of work by parallel workers, each with its own session; one progress line, one count of what failed.
 */
#ifndef CLI_BATCH_H
#define CLI_BATCH_H

#include "cli/api.h"
#include "cli/out.h"

/* A file and an object, or a part of them. */
struct item {
    const char *file; /* "-" = standard input or output */
    const char *name; /* object */
    int64_t     off, size; /* size -1 = unknown */
    unsigned    part;      /* of a multipart transfer, from 1; 0 = the whole */
};

struct batch {
    struct ctx     *c;
    struct uri      u;
    const char     *what; /* "PUT": for the progress line */
    int           (*fn)(struct batch *b, struct session *s, const struct item *it, struct fault *f);
    void           *arg;
    bool            stop_at_first; /* failure */
    bool            no_bar;        /* too small for a progress line */
    struct item    *v;
    size_t          n, cap;
    uint64_t        total; /* bytes known in advance */
    struct progress p;
    /* protected by p.mtx */
    size_t       next;
    struct tally tally;
    struct fault first;
};

void batch_add(struct batch *b, const struct item *it); /* strings are borrowed */
/* Run all; failures are printed as they happen (quiet: only the first is kept in b->first). Returns tally_exit(). */
int  batch_run(struct batch *b, bool quiet);
/* Count bytes towards the progress line. */
void batch_moved(struct batch *b, int64_t bytes);

#endif
