/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A conversation with the cluster: one libcurl handle with its connections, and scratch memory. One owner; parallel workers have one
 * each.
 */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/sbuf.h"
#include "cli/fault.h"

struct session {
    void         *curl;
    struct arena *mem; /* main: the command's; a worker's is reset after each piece of work */
    int           last_status;
};

/* Once, before the first session: reads the environment. 0 or CLI_USAGE. */
int         session_env(struct fault *f);
void        session_env_fini(void);
const char *session_endpoint(void);
int         session_init(struct session *s, struct arena *mem, struct fault *f);
void        session_fini(struct session *s);

/* Set by SIGINT and SIGTERM: transfers end with CLI_INTERRUPTED, files that are not whole are removed. */
extern atomic_bool session_interrupted;

/* Where a request's body comes from, and where an answer's goes to. */
struct src {
    ptrdiff_t (*read)(void *ctx, char *p, size_t n); /* 0 at the end, -1 with errno */
    int       (*rewind)(void *ctx);                  /* to the beginning, for a redirect; -1 = cannot. NULL = never */
    void     *ctx;
    int64_t   size; /* -1 = unknown: sent in chunks */
};
struct sink {
    int (*write)(void *ctx, const char *p, size_t n); /* -1 with errno; only bodies of status 200 to 299 come here */
    void *ctx;
};

#define REQ_MAX_HDRS 8
struct http_req {
    const char        *method;
    const char        *path;              /* "/v1/..." with query, encoded */
    const char        *body;              /* JSON; NULL = none */
    const char        *hdr[REQ_MAX_HDRS]; /* "Name: value" */
    const struct src  *src;               /* instead of body */
    const struct sink *sink;              /* instead of resp.body */
};
struct http_resp {
    int         status;
    struct sbuf body, head; /* head: raw lines of the last answer */
};
#define auto_resp __attribute__((cleanup(http_resp_fini)))
void http_resp_fini(struct http_resp *r);

/* 0 for a status below 400; else a cli_exit with the cluster's own words. Redirects are followed with method and body. */
int http_do(struct session *s, const struct http_req *q, struct http_resp *r, struct fault *f);
/* Value of a header in the session's memory; NULL when absent. */
const char *http_hdr(struct session *s, const struct http_resp *r, const char *name);
/* The nth line of that name, 0 first. */
const char *http_hdr_nth(struct session *s, const struct http_resp *r, const char *name, unsigned nth);

#endif
