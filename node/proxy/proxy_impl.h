/* SPDX-License-Identifier: Apache-2.0 */
/* Private to node/proxy: what its handlers share. */
#ifndef PROXY_PROXY_IMPL_H
#define PROXY_PROXY_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/hmap.h"
#include "core/node.h"
#include "core/role_types.h"
#include "lso/lso.h"

struct proxy {
    struct node    *n;
    pthread_mutex_t mtx;       /* protects summaries; leaf, never held across a park */
    struct hmap     summaries; /* by job id */
    struct reb_done *reb;      /* reb.c: who has finished the rebalance that runs; mtx */
    struct ic      *ic;        /* what is known of jobs: ic.h */
    _Atomic bool    membership; /* an administrator's change of it is under way */
    _Atomic bool    settling, settle_again; /* life.c: its fiber runs; and is to look once more */
};

static inline struct proxy *
proxy_of(struct node *n)
{
    return n->priv;
}

/* Access bits of a bucket (native-api.md 2.8). */
enum access {
    ACC_GET, ACC_HEAD_OBJ, ACC_PUT, ACC_APPEND, ACC_DELETE, ACC_MOVE, ACC_PROMOTE, ACC_UPDATE, ACC_HEAD_BCK, ACC_LIST,
    ACC_PATCH, ACC_SET_ACL, ACC_LIST_BCKS, ACC_SHOW, ACC_CREATE, ACC_DESTROY, ACC_MOVE_BCK, ACC_ADMIN
};
/* 0, or 403 with AIStore's text. */
int access_check(const struct bck *b, enum access a, struct err *e);

/* An action of {"action": ...}: what runs it, or the feature that is not there yet. */
struct action {
    const char *name;
    void      (*fn)(struct req *r, struct actmsg *m);
    const char *feature; /* 501 names it */
};
void act_dispatch(struct req *r, const struct action *t, unsigned n);

/* Has the cluster not started yet, wait_ns from now? Then the request has been answered: 503 without a body, as clients know it. */
bool still_starting(struct req *r, int64_t wait_ns);
#define BUCKETS_WAIT SEC_NS(1) /* requests about buckets wait that long */

/* What every live target answered to the same question, in map order; in the arena. -AIS_E_UNAVAIL when there is no target. */
int ask_targets(struct req *r, enum method m, struct str target, struct str body, size_t max_each, struct bcast **out,
                unsigned *n, struct err *e);
/*
 * Whom to ask about all objects of a bucket: the active targets, and while it is unsettled (rmd.h) those that may have some of them still.
 * One that is dead: -AIS_E_UNAVAIL with its name. In the arena.
 */
int bck_holders(struct node *n, const struct views *v, const struct bck *b, struct arena *a, struct bcast **out, unsigned *nout,
                struct err *e);
/* The first failure among the answers (a node_call failure or an HTTP status of 400 and more), with the target's words. */
int first_failure(struct bcast *b, unsigned n, struct err *e);

/* object.c */
void h_proxy_obj_redirect(struct req *r);
void h_proxy_obj_post(struct req *r);
/* bucket.c */
void put_bck_members(struct jw *w, const struct bck *b); /* name, provider, namespace: into an open object */
void h_proxy_bck_post(struct req *r);
void h_proxy_bck_delete(struct req *r);
void h_proxy_bck_patch(struct req *r);
void h_proxy_bck_head(struct req *r);
void h_proxy_bck_get(struct req *r);
void h_proxy_bck_put(struct req *r);
/* list.c */
void list_objects(struct req *r, struct str name, const struct json_t *value);
/* summary.c */
void summary_get(struct req *r, struct str name, const struct json_t *value);
void summary_head(struct req *r, const struct bck *b, struct str prefix, struct str uuid);
void summaries_free(struct proxy *p);
/* life.c */
void act_leave(struct req *r, struct actmsg *m);
void act_rm_unsafe(struct req *r, struct actmsg *m);
void act_stop_maintenance(struct req *r, struct actmsg *m);
void act_cluster_end(struct req *r, struct actmsg *m);
void h_proxy_join(struct req *r);
void h_proxy_daemon_delete(struct req *r);
void life_tick(void *arg); /* a fiber, for as long as the node lives; arg: the node */
/* cluster.c */
void h_proxy_cluster_get(struct req *r);
void h_proxy_cluster_put(struct req *r);
void h_proxy_cluster_put_verb(struct req *r);
void h_proxy_reverse(struct req *r);
/* job.c: PUT /v1/cluster {"action":"start"|"stop"}, GET /v1/cluster?what=... */
void act_job_start(struct req *r, struct actmsg *m);
void act_job_stop(struct req *r, struct actmsg *m);
void what_job_status(struct req *r);
void what_job_status_all(struct req *r);
void what_job_snaps(struct req *r);
void what_jobs_running(struct req *r);
/* reb.c */
struct reb_done *reb_done_new(void);
void             reb_done_free(struct reb_done *d);
void             h_proxy_reb_finished(struct req *r);
void h_proxy_downloads(struct req *r);
void h_proxy_dsorts(struct req *r);
/* easy.c */
void h_proxy_easy(struct req *r);
/* promote.c */
void h_proxy_promote(struct req *r);

#endif
