/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One node of the cluster: everything it owns hangs here; nothing is global, so that many nodes can live in one process.
 */
#ifndef CORE_NODE_H
#define CORE_NODE_H

#include <stdatomic.h>

#include "base/err.h"
#include "base/sbuf.h"
#include "core/bmd.h"
#include "core/conf.h"
#include "core/consensus.h"
#include "core/rmd.h"
#include "core/smap.h"
#include "core/stats.h"
#include "net/client.h"
#include "net/http.h"

struct store;
struct xreg;
struct strms;
struct node_role;

struct node {
    enum role           role;
    const struct node_role *impl;
    char                id[NODE_ID_MAX + 1];
    char                name[NODE_ID_MAX + 4]; /* "t[id]": log tag, error documents */
    struct run         *run;
    struct hclient     *hc;       /* node to node; authenticated */
    struct hclient     *hc_plain; /* unauthenticated: relays to another node's public network, discovery */
    struct http_server *srv_pub, *srv_control, *srv_data;
    struct store       *store;    /* targets */
    struct cons *_Atomic cons;    /* voters; set once, when the node becomes one */
    struct stats       *stats;
    struct local_conf   local;
    struct snode        self;     /* how this node is reached */
    int64_t             started_mono, started_real;
    _Atomic unsigned    flags;    /* NODE_* state bits as in NodeStateInfo.flags */
    struct auth        *auth;     /* cluster key */
    struct views_box   *views;    /* published snapshots */
    struct member      *member;   /* join, keepalive, metadata distribution */
    struct xreg        *jobs;     /* targets: their jobs (xact/xact.h) */
    struct lease       *lease;    /* leases of targets, the map in force: lease.h */
    struct strms       *strms;    /* streams of objects from and to other nodes: strm.h */
    struct tls_ctx     *tls_srv, *tls_pub, *tls_cli; /* NULL without https; tls_pub may equal tls_srv */
    struct route       *routes;   /* of the listeners: owned */
    bool                turning;  /* the loops run */
    bool                testing;  /* test_fspaths: a development cluster on one machine */
    bool                start_with_lost_mpath;
    bool                can_rebalance; /* this program runs and ends the rebalances that begin: set by the proxy's role at its start */
    void              (*ask_end)(void); /* node_opts.ask_end */
    _Atomic unsigned    ending;       /* END_*: how the primary told it to leave */
    const char         *deployment; /* "dev", "K8s", "linux" */
    _Atomic int64_t     cluster_mono; /* when the cluster counted as started; 0 = not yet */
    void               *priv;     /* of proxy/ or target/ */
};

/* State bits (native-api.md 5.6). */
#define NODE_CLUSTER_STARTED (1u << 1)
#define NODE_NODE_STARTED    (1u << 2)
#define NODE_REBALANCING     (1u << 3)
#define NODE_RESILVERING     (1u << 5)
#define NODE_OOS             (1u << 8)
#define NODE_MAINTENANCE     (1u << 10)
#define NODE_LOW_CAPACITY    (1u << 11)
#define NODE_DISK_FAULT      (1u << 13)

/*
 * The metadata snapshots a request works with: taken once, used to the end, put when the response is done (the admit and done
 * hooks do both). Any loop; cheap.
 */
struct views {
    struct smap         *smap;
    struct bmd          *bmd;
    struct cluster_conf *conf;
    struct rmd          *rmd;
    uint64_t             etlmd_version;
    struct vbox         *box; /* what holds them: core's */
};
void views_get(struct node *n, struct views *v);
void views_put(struct views *v);

bool node_is_primary(const struct node *n, const struct smap *m);
/* Newest recovery epoch and term that this node has seen: what generations of new commits carry. Any thread. */
struct cons_fence node_fence(struct node *n);

/* --- who calls --- */
struct caller {           /* r->user */
    struct views  v;
    bool          intra;  /* authenticated node of this cluster (mutual challenge on its connection) */
    char          id[NODE_ID_MAX + 1]; /* its id when intra */
};
static inline struct views *
req_views(struct req *r)
{
    return &((struct caller *)r->user)->v;
}
static inline struct node *
req_node(struct req *r)
{
    return r->ctx;
}

/*
 * Route flags above R_USER. A route exists on the networks named and nowhere else. A row with R_PUB and R_INTRA is open to clients on
 * the public network and to authenticated nodes only on the others.
 */
#define R_PUB     (R_USER << 0)
#define R_CONTROL (R_USER << 1)
#define R_DATA    (R_USER << 2)
#define R_INTRA   (R_USER << 3) /* on the control and data networks: from authenticated nodes of this cluster only */
#define R_EARLY   (R_USER << 4) /* also while the node is starting */
#define R_NOFENCE (R_USER << 5) /* how a node that lags learns: the sender's term may be older than ours */

/* --- AIStore's dialect of requests and answers (native-api.md 2) --- */
/* The error document: JSON body, or header Hdr-Error for HEAD. Installed as render_err. */
void ais_render_err(struct req *r, int rc, struct err *e);
/* Send finished JSON (a trailing newline is added; indented again for browsers). Takes nothing. */
bool req_is_browser(const struct req *r); /* a person looks: JSON is indented */
void ais_send_json(struct req *r, struct sbuf *json);
/* The answer to what=, built as JSON: in msgpack where the client accepts it and there is such a form (mpview.c). */
void ais_send_view(struct req *r, struct str what, struct sbuf *json);
void ais_send_text(struct req *r, struct str text); /* ids and the like: no newline */
/* {"action","name","value"}: value borrowed from *root, which the caller decrefs. Missing body: -AIS_E_BADREQ. */
struct actmsg {
    struct json_t *root;
    struct str     action, name;
    struct json_t *value; /* NULL when null or absent */
};
int  actmsg_read(struct req *r, struct actmsg *m, struct err *e);
void actmsg_free(struct actmsg *m);
/* ?provider= and ?namespace= with a name from the path: identity only, validated. */
int  req_bck_id(struct req *r, struct str name, struct bck *out, struct err *e);
/* The same, found in the BMD: AIStore's 404 otherwise. *bk may be NULL. */
int  req_bck(struct req *r, struct str name, struct bck *out, const struct bucket **bk, struct err *e);
/* "provider/@uuid#ns/bucket/object" as in bck_to and object_to. */
int  uname_parse(struct str uname, struct bck *b, struct str *object, struct err *e);
/* The text and 404 that clients match on: `bucket "ais://b" does not exist`. */
int  err_nobck(struct err *e, const struct bck *b);
int  err_noobj(struct req *r, struct err *e, const struct bck *b, struct str name);
/* Common handlers for roles that answer some `what` or action themselves and leave the rest to these. */
handler_f h_node_daemon_get, h_node_daemon_put, h_node_health;
/* Did the request come over the public network? Does not park. */
bool req_is_public(const struct req *r);
/* 501 with the feature's name. */
/* What is for remote buckets only: "what" (an action) on another kind is 400. */
int  err_not_remote(struct err *e, const char *what, const struct bck *b);
void h_not_implemented(struct req *r, const char *feature);

/* --- node to node --- */
/* One exchange with another node over its control network; method, target ("/v1/..."), JSON body or {NULL,0}. Errors that the
 * peer rendered come back in e with its status. The answer's body lands in the arena. May park. */
int node_call(struct node *n, const struct snode *to, enum method m, struct str target, struct str body, struct arena *a,
              size_t max_body, int64_t timeout_ns, struct hc_resp *out, struct err *e);
/* Headers that every request to another node carries (who calls, Smap version, fence), in the arena; for streaming calls through
 * n->hc, whose hc_req.peer is the struct snode called. Returns how many. */
#define NODE_HDRS 5
unsigned node_call_hdrs(struct node *n, struct arena *a, struct hdr out[NODE_HDRS]);
/* An error document of a peer into e, with its status, code and text. Returns the negative code. */
int node_peer_err(const struct hc_resp *resp, struct err *e);
/* The same to many at once; results in out[i].rc etc. */
struct bcast {
    const struct snode *to;
    int                 rc;
    struct err          err;
    struct hc_resp      resp;
};
int node_bcast(struct node *n, struct bcast *b, unsigned nb, enum method m, struct str target, struct str body,
               struct arena *a, size_t max_body, int64_t timeout_ns);

#endif
