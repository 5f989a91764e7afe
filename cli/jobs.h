/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs as the cluster tells of them: which kinds there are, what one asks for, snapshots of all targets, and how they look.
 */
#ifndef CLI_JOBS_H
#define CLI_JOBS_H

#include "cli/api.h"
#include "cli/out.h"

/* --- names --- */
#define JK_IDLES   1u /* stays for a while without work: waiting for it is waiting until it idles */
#define JK_IC      2u /* its end is known to the information centre */
#define JK_BUCKET  4u /* starts with a bucket */
#define JK_STARTS  8u
struct job_kind {
    const char *kind, *name; /* on the wire; for people */
    unsigned    flags;
};
extern const struct job_kind job_kinds[];
extern const unsigned        njob_kinds;
/* By either name; NULL. */
const struct job_kind *job_kind(const char *word);
/* How many kinds the word names, by either name, or by the beginning of it ("copy", "ec"); the first one in *first. "ls" is "list". */
unsigned job_kinds_of(const char *word, const struct job_kind **first);
bool     job_kind_is(const struct job_kind *k, const char *word); /* is it one of those? */

/* --- what is asked for --- */
struct job_sel {
    const char            *word; /* name or beginning of names; NULL = any */
    const struct job_kind *kind; /* when it is one kind */
    const char            *id, *node;
    bool                   has_bck;
    struct uri             bck;
    bool                   active; /* only what runs */
    uint64_t               top;    /* so many, the youngest; 0 = all */
};
/* "[NAME] [JOB_ID] [NODE_ID] [BUCKET]" in any order. 0 or CLI_USAGE. */
int job_sel_args(struct ctx *c, int from, struct job_sel *s, struct fault *f);

/* --- snapshots --- */
struct job_snap {
    const char *node;
    json_t     *snap;
};
struct jobs {
    json_t          *doc; /* {"target": [snaps]}: only what was asked for */
    struct job_snap *v;   /* by kind, id, node; in the command's memory */
    size_t           n;
};
/* CLI_NOTFOUND: an id that no target knows. */
int  jobs_ask(struct ctx *c, const struct job_sel *s, struct jobs *j, struct fault *f);
void jobs_fini(struct jobs *j);
#define auto_jobs __attribute__((cleanup(jobs_fini)))
void jobs_json(const struct jobs *j);
/* The number of snaps from i on that are of the same job. */
size_t jobs_span(const struct jobs *j, size_t i);

bool        snap_over(const json_t *snap);
bool        snap_aborted(const json_t *snap);
bool        snap_idle(const json_t *snap);
const char *snap_error(const json_t *snap); /* "" = none */
const char *snap_state(struct ctx *c, const json_t *snap);
const char *snap_time(struct ctx *c, const json_t *snap, const char *key); /* local time; "-" = not yet */
const char *snap_bck(struct ctx *c, const json_t *snap, const char *key);

/* Until the job is over, or with no id until none of the kind runs; flags --timeout, --progress, --refresh. Prints; an exit code. (job.c) */
int job_wait(struct ctx *c, const struct job_sel *s);

/* How far a job is, over all its targets; false when they do not say. */
struct job_progress {
    uint64_t done, total, done_bytes, total_bytes, rate, rate_bytes;
    int64_t  eta_ns; /* -1 = not known */
};
bool        jobs_progress(const struct job_snap *v, size_t n, struct job_progress *p);
const char *progress_bar(struct ctx *c, const struct job_progress *p); /* "[====>    ] 45%  450/1000 objects ..." */

#endif
