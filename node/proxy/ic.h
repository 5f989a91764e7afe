/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The information centre: what the proxies that are its members know of jobs.
 *
 * A *listener* is one job with the targets that run it. Every member has all of them: who starts a job registers it with all members
 * first, the targets report to all, a new member fetches what the others have, and what nobody knows is asked of the targets. So any
 * member answers alone, and no change of the primary loses a job.
 *
 * Threads: any. The table's lock is a leaf, never held across a park. Wire: jobs-and-services.md 1.4, 1.7
 */
#ifndef PROXY_IC_H
#define PROXY_IC_H

#include "core/node.h"
#include "xact/msg.h"

struct ic;

struct ic *ic_new(struct node *n); /* starts its housekeeper; blocks */
void       ic_free(struct ic *ic); /* after the fibers ended; NULL is fine */

/* Is this proxy a member, by that map? */
bool ic_member(const struct node *n, const struct smap *m);

/*
 * A job is about to start on these targets: all members will know it when this returns, as far as they can be reached. b: its bucket,
 * may be NULL; cause: what made it start, "" = a user. From any proxy. Parks.
 */
int  ic_watch(struct node *n, const char *id, enum xkind kind, const char *cause, const struct bck *b, const struct snode *const *targets,
              unsigned ntargets, struct err *e);
/* It did not start after all, or is another one's id. Parks. */
void ic_unwatch(struct node *n, const char *id);
/* It did not start everywhere: stop it where it did, and forget it. Parks. */
void ic_stop_and_forget(struct node *n, const char *id);

/*
 * The Status (1.4) of one job as a JSON value: by id, or the running or else last one of a kind and bucket. Waits up to
 * timeout.cplane_operation for one that is not known yet. -AIS_E_NOENT. On a member. Parks.
 */
int  ic_status(struct node *n, const struct xmsg *m, struct jw *w, struct err *e);
/* All that match, as an array or null. refresh: what has not been heard of lately is asked of the targets; that parks. */
void ic_status_all(struct node *n, const struct xmsg *m, bool refresh, struct jw *w);
/* Does a job of the kind run? Its id, or false. */
bool ic_running(struct node *n, enum xkind kind, char id[XID_MAX]);

/* The map changed: who is gone will not report; a new member asks the others. Does not park. */
void ic_on_smap(struct node *n, const struct smap *old, const struct smap *nw);

handler_f h_proxy_ic_get, h_proxy_ic_post, h_proxy_notifs;

#endif
