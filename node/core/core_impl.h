/* SPDX-License-Identifier: Apache-2.0 */
/* Private to core: what its files share of a living node. */
#ifndef CORE_IMPL_H
#define CORE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "run/fiber.h"
#include "core/auth.h"
#include "core/cstate.h"
#include "core/meta.h"
#include "core/mset.h"
#include "core/role_types.h"

extern const char NET_PUBLIC[], NET_CONTROL[], NET_DATA[]; /* names of the listeners; compared by address */

/* --- views.c --- */
int  views_init(struct node *n, const struct mset *m, struct cluster_conf *conf); /* before the loops turn; takes conf */
void views_fini(struct node *n);                                                   /* after they stopped */
/* Every loop sees the new set when this returns. conf (taken): as effective on this node. On a fiber; parks. */
void views_publish(struct node *n, const struct mset *m, struct cluster_conf *conf);

/* --- meta.c, adopt.c, member.c, peers.c --- */
struct adopt_req;
struct peer;

struct member {
    struct node     *n;
    struct loop     *loop; /* the control loop: adopter, pushers, join, keepalive run here */
    struct mset     *cur;  /* adopted; exchanged by the adopter only, under mtx */
    struct cons_fence from[MI_COUNT]; /* the term in which each item of cur was adopted; the adopter's own */
    struct meta_hooks hooks;

    pthread_mutex_t   mtx; /* protects what follows, and cur */
    struct cons_fence fence;                    /* newest seen */
    TAILQ_HEAD(, adopt_req) adopts;
    struct park      *adopt_park;               /* the adopter waits */
    bool              stopping;

    /* primary: who is to be told, and who has been */
    TAILQ_HEAD(peerq, peer) peers;
    uint64_t          seq;                      /* of adopted sets */
    int64_t           run_ns, tick_at;          /* the running clock, and when it was moved on last */
    TAILQ_HEAD(, sync_wait) waits;
    int64_t           last_join;                /* clock_mono of the last autoreg */
    int64_t           refused_at;               /* the last refusal that was logged, and whose */
    char              refused_id[NODE_ID_MAX + 1];

    /* configuration of this node alone, on top of the cluster's */
    struct json_t    *conf_override, *conf_transient;

    _Atomic unsigned  fibers; /* background fibers of this module alive */
    struct fiber     *joiner; /* the one that joins and keeps alive; control loop only */
    bool              catching_up; /* a fiber adopts what a keepalive was answered; control loop only */
    unsigned          dirty;  /* items to be persisted; control loop only */
    _Atomic bool      dirty_fence;
    struct waitq      persist_q, naps;          /* control loop only */

    /* voters.c, primary.c: proxies that may lead, and a target that is witness */
    struct cstate    *cstate;                   /* what the log says; before n->cons is there */
    struct mailq     *mail;                     /* messages of the log to other voters */
    _Atomic bool      vote_asked;               /* the primary wants this node to be a voter */
    bool              lead_told;                /* under mtx: the log says that this node leads ... */
    struct cons_fence lead;                     /* under mtx: ... or led last, in this term; epoch 0 = never */
    _Atomic bool      leads;                    /* and it has adopted what it leads with: it is primary */
    struct fmutex     lead_mtx;                 /* control loop: one turn of events at a time */
    bool              acting;                   /* lead_mtx: this node is primary, or about to be, in acting_term */
    uint64_t          acting_term;
    bool              adopted, watching;        /* lead_mtx: a first set was adopted; control loop: startup_watch runs */
    struct mset      *boot;                     /* what a new log begins with, and which items of it; NULL = not new */
    unsigned          boot_have;
    char              prefer[NODE_ID_MAX + 1];  /* under mtx: the proxy that is to be primary next */
    struct cons_server want[CONS_VOTERS];       /* under mtx: what the log was told last */
    unsigned          nwant;
    unsigned          ntargets;
    bool              skip_startup;
    _Atomic bool      standby;                  /* not a member: waits for an administrator */
    char              primary_ep[300];          /* env AIS_PRIMARY_EP */
};

int  member_new(struct node *n, const struct node_opts *o, struct mset *m, struct cons_fence f);
void member_free(struct node *n);
/* Adopter and persister. The loops turn. */
void member_start(struct node *n);
void member_stop(struct node *n); /* blocks until its fibers ended */
struct mset *member_cur(struct node *n); /* one reference */
/* A background fiber of the module on the control loop. */
void member_fiber(struct node *n, const char *name, fiber_f *fn);
void member_fiber_done(struct node *n);
/* Run fn on a fiber of the control loop and wait for it. From a thread that may block. */
void fiber_call(struct node *n, const char *name, void (*fn)(struct node *n, void *arg), void *arg);
bool member_stopping(struct node *n);
/* Sleep on the control loop; ends early when the node stops. */
void member_nap(struct node *n, int64_t ns);

/* Is this node primary? Cheap; any thread. Not for ever: what matters is checked by the log, by fences and by leases. */
bool node_leads(const struct node *n);
/* Does it lead so surely that it may grant leases and judge others? */
bool node_may_grant(const struct node *n);

/* Fence: is (f) older than what this node knows? Newer ones are learnt. */
bool              fence_check(struct node *n, struct cons_fence f);
bool              fence_parse(struct str s, struct cons_fence *out);

/*
 * Adopt what is newer in m, which is the state of term f: hooks, publication, persistence, in one order for the whole node. In one term
 * versions only rise; what a newer term says replaces what an older one said, whatever the versions. So an answer that was overtaken
 * by a push does not take the node back. adopt_first announces the set of the start: hooks get old = NULL. May park; not cancellable.
 */
#define ITEMS_ALL ((1u << MI_COUNT) - 1) /* items: a bit for each that m speaks of */
int adopt(struct node *n, struct mset *m, unsigned items, struct cons_fence f, struct err *e);
int adopt_first(struct node *n, struct mset *m, struct err *e);
/* The effective configuration changed for this node alone: publish again. May park. */
int adopt_conf_again(struct node *n);
int ask_primary(struct node *n, const char *url, struct arena *mem, struct snode *to, char uuid[40], struct err *e);
struct cluster_conf *conf_effective(struct node *n, const struct mset *m); /* new */

/* Primary: bring every node to what is adopted here; wait for those that can be reached, at most timeout.max_keepalive. */
void peers_sync(struct node *n, struct err *refused);
void peers_update(struct node *n); /* the map changed: control loop */
void peers_kick(struct node *n);   /* something newer: control loop */
void peers_announce(struct node *n); /* the cluster's state changed, its metadata did not: tell everybody. Control loop */
void peers_cancel(struct node *n); /* pushes under way end early. Control loop */
void peers_free(struct node *n);
void peers_reset(struct node *n);  /* this node is primary from now on, and knows nothing of the others. Control loop */
/* said: the message, for what it reports of leases. Any thread. */
void peer_heard(struct node *n, struct str id, const uint64_t vers[MI_COUNT], const struct json_t *said);
unsigned peers_missing(struct node *n); /* targets of the map that have not been heard from since start */
void peers_tick(void *arg);        /* fiber: silence, probes, leases that run out */
void peers_judge(void *arg);       /* fiber: marks the dead, and those that are back */

/* Join and keepalive of everybody but the primary: a fiber. */
void join_loop(void *arg);
/* --- primary.c --- */
/*
 * Open this node's server of the metadata log, if it has one or may lead; begin a cluster if it may; and when this node leads at once be
 * primary before this returns. stored, have: what lies in the configuration directory, for a log that is new. Blocks.
 */
int  primary_start(struct node *n, struct mset *stored, unsigned have, struct err *e);
/* cons_conf.on_lead; and what it starts, when n->cons was not there yet. Any thread. */
void primary_on_lead(void *node, bool leading, struct cons_fence fence);
void primary_kick(struct node *n);
/* This node stops: somebody else shall lead. Blocks. */
void primary_leave(struct node *n);
struct cons_fence primary_fence(struct node *n); /* of the newest term in which this node led */

/* --- voters.c --- */
int  voter_open(struct node *n, bool begin, struct err *e); /* blocks */
void voter_close(struct node *n);                           /* after the loops stopped; blocks */
/* Choose the voters there should be, and say so to the log. While this node is primary; any thread. */
void voters_review(struct node *n);
/* In what a node says of itself, and in what it is told. */
void voter_report(struct node *n, struct jw *w);
void voter_asked_json(struct node *n, const char *id, struct jw *w);
void voter_learn(struct node *n, const struct json_t *j);
/* What peers report: 0 = nothing yet. The peer is marked as wanted (ask). */
void peer_left(struct node *n, struct str id, bool left); /* it says that it stops; false: it has joined again */
uint64_t peer_sid(struct node *n, const char *id);
void     peer_ask_vote(struct node *n, const char *id, bool ask);
bool     peer_vote_asked(struct node *n, const char *id);
handler_f h_node_raft;
/* Is this node's log of a recovery epoch that is over? It is put aside then. True: it was. May park. */
bool voter_follow_epoch(struct node *n);

/* --- recover.c --- */
handler_f h_node_metadata, h_node_recover;

/* What a node says of itself when it joins: {"si":Snode, "storage", "level"}; the last two into an open object. */
void member_more_json(const struct snode *s, struct jw *w);
int  member_from_json(const struct json_t *j, struct snode *out, struct err *e);
bool url_is_self(const struct node *n, struct str url);

/* Messages about metadata: metasync, and the answers of join and keepalive. */
void msg_meta_json(struct node *n, struct jw *w, const struct mset *m, unsigned items);
/* asked_at: when this node asked for what it is told, 0 = it did not. May park. */
int  msg_meta_adopt(struct node *n, struct str body, int64_t asked_at, struct err *e);
int  msg_lease_learn(struct node *n, const struct json_t *j, int64_t asked_at, struct err *e);
void msg_versions_json(struct jw *w, const struct mset *m);
void msg_versions_read(const struct json_t *j, uint64_t vers[MI_COUNT]);

/* meta.c */
/* Marked as dead, or as alive again; everybody that is up knows it when this returns. May park. */
int meta_node_dead(struct node *n, struct str id, bool dead, struct err *e);
int meta_init(struct node *n, const char *uuid, const struct mset *from, unsigned have, struct err *e); /* into the log only */
int meta_level(struct node *n, unsigned level, struct err *e);
int meta_primary(struct node *n, struct str id, struct err *e);

/* conflocal.c: settings of this node alone. node_only: asked for by a client for this node, so cluster-wide sections are refused. */
int  conf_local_set(struct node *n, const struct json_t *toset, bool transient, bool node_only, struct err *e);
int  conf_local_reset(struct node *n, struct err *e);
void conf_local_load(struct node *n); /* blocks */
/* -config_custom: "k=v,k=v". Blocks. */
int  conf_local_custom(struct node *n, const struct cluster_conf *base, const char *pairs, bool transient, struct err *e);

/* Handlers. */
handler_f h_node_join;
handler_f h_node_metasync, h_node_autoreg, h_node_keepalive;
handler_f h_node_daemon_setconf, h_node_metrics, h_node_fibers, h_node_failpoints;
void      h_node_log(struct req *r); /* what=log */
handler_f h_node_not_found;

/* --- leave.c: actions of PUT /v1/daemon --- */
int act_node_shutdown(struct req *r, const struct actmsg *m, struct err *e);
int act_node_decommission(struct req *r, const struct actmsg *m, struct err *e);
int act_node_maintenance(struct req *r, const struct actmsg *m, struct err *e);
int act_node_removed(struct req *r, const struct actmsg *m, struct err *e);

/* --- nodecfg.c --- */
int  nodecfg_id(struct node *n, const struct node_opts *o, struct err *e);       /* blocks */
static inline unsigned
node_level(const struct node_opts *o)
{
    return o->level != 0 ? o->level : FEATURE_LEVEL;
}
int  nodecfg_storage(struct node *n, struct err *e);                             /* blocks: n->self.storage */
int  nodecfg_net(struct node *n, const struct node_opts *o, struct err *e);      /* blocks: fills n->self */
int  nodecfg_fspaths(struct node *n, struct err *e);                             /* blocks: test_fspaths made and filled in */
bool nodecfg_is_self(const struct node *n, struct str host, uint16_t port);
void nodecfg_bind(const struct node *n, char pub[64], char control[64], char data[64]);
const char *nodecfg_confdir(const struct node *n);
int  mkdir_all(const char *path);

/* --- strm.c --- */
void strms_init(struct node *n); /* before the loops turn */
void strms_fini(struct node *n); /* after they stopped */
handler_f h_node_stream;

/* --- sysinfo.c --- */
void sysinfo_json_members(struct node *n, struct jw *w); /* may block: offload it */
void node_info_json(struct node *n, struct jw *w);       /* NodeStateInfo */
unsigned node_state_flags(struct node *n);

/* mpview.c: the msgpack form of node_stats, node_status and disk, made of the JSON form. */
bool mpview_has(struct str what);
int  mpview_encode(struct str what, struct str json, struct sbuf *out, struct err *e);

#endif
