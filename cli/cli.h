/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `ais` command line: a table of commands, one connection to the cluster, and what commands print with.
 *
 * A program of its own: it blocks, uses libcurl for HTTP and ends with an exit code: 0 done, 1 failed, 2 wrong usage.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json_t;

/* --- commands --- */
struct flag {
    const char *name;  /* "prefix": --prefix VALUE or --prefix=VALUE */
    const char *alias; /* one letter or another long name; NULL = none */
    bool        value; /* takes a value */
    const char *help;
};

struct args {
    int          n;
    const char **v;        /* positional */
    const char  *flag[32]; /* value of cmd->flags[i] ("" for a plain one); NULL = not given */
    const struct cmd *cmd;
};

struct cmd {
    const char        *path;  /* "bucket create" */
    const char        *alias; /* other spellings, separated by '|': "create|mb" */
    const char        *args;  /* "BUCKET [BUCKET...]" */
    const char        *help;  /* one line */
    const char        *more;  /* what --help says besides; NULL = nothing */
    const struct flag *flags; /* ends with a NULL name */
    int                min, max; /* positional arguments; max -1 = any number */
    int              (*fn)(const struct args *a);
};

bool        arg_has(const struct args *a, const char *flag);
const char *arg_get(const struct args *a, const char *flag, const char *dflt);
uint64_t    arg_u64(const struct args *a, const char *flag, uint64_t dflt); /* exits with a message when it is no number */
bool        arg_json(const struct args *a);
_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int         fail(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* prints, returns 1 */
int         usage_error(const struct args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* returns 2 */

extern const struct cmd cmds_bucket[], cmds_object[], cmds_show[], cmds_cluster[];
extern const unsigned   ncmds_bucket, ncmds_object, ncmds_show, ncmds_cluster;

#define FLAG_JSON { "json", "j", false, "print JSON" }
#define FLAG_END  { NULL, NULL, false, NULL }

/* --- the cluster --- */
struct buf {
    char  *p;
    size_t n, cap;
};
void buf_free(struct buf *b);
void buf_add(struct buf *b, const void *p, size_t n);

struct api_req {
    const char *method;      /* "GET" ... */
    char       *path;        /* "/v1/..." with query, encoded; freed by the call */
    const char *body;        /* JSON or NULL */
    const char *hdrs[8];     /* "Name: value"; NULL ends */
    /* streaming, instead of body and resp.body */
    FILE       *in;          /* upload from here */
    int64_t     in_size;     /* -1 = unknown */
    FILE       *out;         /* download to here */
    void      (*progress)(void *ctx, uint64_t bytes); /* bytes moved since the last call */
    void       *ctx;
};
struct api_resp {
    int        status;       /* 0 = no answer */
    struct buf body, head;   /* head: raw header lines of the last answer */
    char       err[600];     /* the cluster's own words for status >= 400, or libcurl's */
};
/* 0 for a status below 400; else -1 with resp->err. Follows redirects with method and body. Thread-safe. */
int         api_call(const struct api_req *q, struct api_resp *resp);
void        api_resp_free(struct api_resp *r);
/* Value of a header in r->head; NULL when absent. Static per thread. */
const char *api_hdr(const struct api_resp *r, const char *name);
const char *api_endpoint(void);
/* The answer as JSON, or exit with the error. */
struct json_t *api_json(const struct api_req *q);
char       *path_fmt(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* malloc'd */
char       *enc(const char *s, bool slash_ok); /* percent-encoded, malloc'd (leaks: the process is short) */

/* "ais://bucket/object" or "bucket/object": parts are malloc'd; object "" when absent. */
struct uri {
    char *provider, *bucket, *object, *ns;
};
bool uri_parse(const char *s, struct uri *u); /* prints what is wrong */
/* "/v1/buckets/B?provider=..": verb is "buckets" or "objects"; extra: more query or NULL. */
char *uri_path(const struct uri *u, const char *verb, const char *extra);

/* --- printing --- */
struct table {
    int    cols, rows, cap;
    char **cell;
};
void table_init(struct table *t, int cols, ...); /* headers: const char * each */
void table_row(struct table *t, ...);            /* cols strings; copied */
void table_print(const struct table *t);
const char *human(uint64_t bytes);               /* "1.50GiB"; rotating static buffers */
const char *fmt_u64(uint64_t v);
void        print_json(const struct json_t *j);
uint64_t    json_num(const struct json_t *o, const char *key); /* number or number in a string; 0 when absent */
const char *json_text(const struct json_t *o, const char *key);

/* A progress line on standard error, when that is a terminal. Thread-safe. */
struct progress {
    const char *what;
    uint64_t    bytes, total, items, all_items;
    double      t0;
    bool        tty;
};
void   progress_begin(struct progress *p, const char *what, uint64_t total_bytes, uint64_t all_items);
void   progress_add(struct progress *p, uint64_t bytes, uint64_t items);
void   progress_end(struct progress *p);
double now_s(void);

/* --- shared by commands --- */
struct json_t *get_smap(void);                              /* or exit with the error */
struct json_t *node_get(const char *id, const char *what);
int            list_buckets(const struct args *a, const char *provider); /* "" = all */
int            bucket_summary(const struct args *a);
int            bucket_props_show(const struct args *a);

#endif
