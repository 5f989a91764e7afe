/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One job as the information centre sees it: the targets that run it, which of them have ended, what went wrong. Private to the
 * information centre (ic.c), whose lock protects listeners. Pure.
 */
#ifndef PROXY_LISTENER_H
#define PROXY_LISTENER_H

#include "base/hmap.h"
#include "core/node.h"
#include "xact/msg.h"

#define LISTENER_ERRS 4

/* A target of a job. */
struct src {
    char    id[NODE_ID_MAX + 1];
    bool    active;      /* has not reported the end */
    int64_t heard;       /* mono; 0 = never */
};

struct lbck {
    enum provider provider;
    char          name[BCK_NAME_MAX + 1], ns_uuid[BCK_NAME_MAX + 1], ns_name[BCK_NAME_MAX + 1];
};

struct listener {
    struct hnode node;
    char         id[XID_MAX];
    enum xkind   kind;
    char         cause[32];
    bool         has_bck;
    struct lbck  bck;
    unsigned     nsrcs, nactive;
    struct src  *srcs;
    int64_t      added;    /* mono, here */
    int64_t      ended;    /* Unix ns; 0 = runs */
    int64_t      polled;   /* mono */
    bool         aborted;
    unsigned     nerrs;    /* at most LISTENER_ERRS are kept and counted, as AIStore does */
    char        *errs[LISTENER_ERRS];
};

struct listener *listener_new(const char *id, enum xkind kind, const char *cause, const struct bck *b, unsigned nsrcs);
void             listener_free(struct listener *l);
void             listener_src_add(struct listener *l, struct str id, bool active); /* at most nsrcs of them */
struct src      *listener_src(struct listener *l, struct str id);                  /* NULL */
void             listener_err(struct listener *l, struct str text);                /* "" is none; equal ones count once */
bool             listener_matches(const struct listener *l, const struct xmsg *m);

/* The Status (jobs-and-services.md 1.4). */
void             listener_status_json(const struct listener *l, struct jw *w);
/* Between members. listener_read: NULL when it is not one. */
void             listener_json(const struct listener *l, struct jw *w);
struct listener *listener_read(const struct json_t *j);
/* What another member knows of the same job: ends and errors that were not heard here. */
void             listener_merge(struct listener *mine, const struct listener *theirs);

#endif
