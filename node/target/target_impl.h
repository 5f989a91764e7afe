/* SPDX-License-Identifier: Apache-2.0 */
/* Private to node/target: what its handlers share. */
#ifndef TARGET_TARGET_IMPL_H
#define TARGET_TARGET_IMPL_H

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/assert.h"
#include "core/node.h"
#include "core/role_types.h"
#include "lso/lso.h"
#include "store/store.h"
#include "xact/move.h"

#define MAX_MPATHS 64

/* How a mountpath is called in locations, "t[id]:mp[/path, sda, hdd]": made when mountpaths change, read by listings. */
struct places {
    unsigned n;
    char     text[MAX_MPATHS][512];
};

struct diskstat;

struct target {
    struct node    *n;
    struct settler *settler;     /* settle.c */
    struct reb     *reb;         /* xact/rebalance.c */
    pthread_mutex_t mtx;         /* protects what follows; leaf, never held across a park */
    uint64_t        smap_ver;    /* of the map adopted last */
    struct places  *places;      /* replaced as a whole; old ones stay until stop, so that readers need no lock */
    struct places  *old[32];     /* mountpath changes are rare and few */
    unsigned        nold;
    struct diskstat *disks;      /* last sample of each disk */
    unsigned        ndisks;
    int64_t         sampled_mono;
    struct {
        uint64_t bid, smap_ver;
    } nofrags[32];               /* buckets of which nobody has fragments */
    struct going   *going;       /* buckets whose folders are still to be thrown away; control loop only */
    bool            unmade;      /* not all buckets have their folders; control loop only */
    _Atomic bool    retrying;    /* bckwork.c's fiber runs */
    _Atomic bool    settled, settling, stopping; /* frag.c's fiber was begun; it runs; it shall end */
};

static inline struct target *
target_of(struct node *n)
{
    return n->priv;
}

/* --- query.c: the request's query, read once --- */
struct objq {
    struct str pid, utm;             /* both non-empty: redirected by a proxy */
    struct str upload_id, part_num;
    struct str append_type, append_handle;
    struct str object_to, etl_name;
    struct str archpath, archmode, archregx;
    struct str presence, props;
    bool       skip_vc, latest, new_custom;
    bool       has_upload_id;
};
int objq_parse(struct req *r, struct objq *q, struct err *e); /* -AIS_E_BADREQ: over 100 parameters */

/*
 * What every object handler starts with: query, access (native-api.md 1.8), bucket, name. dir_ok: the name may end in '/'. Fills e
 * with AIStore's text.
 */
struct objreq {
    struct objq q;
    struct bck  b;
    struct str  name;
};
int  objreq_init(struct req *r, struct objreq *o, bool dir_ok, struct err *e);
/* The answer when that failed, or a commit did: an error, or whose the object is. */
void objreq_refuse(struct req *r, int rc, struct err *e);
bool req_is_intra(const struct req *r); /* an authenticated node of this cluster */
bool req_on_public(const struct req *r);
/* "ais://bucket/object" in the arena. */
struct str obj_display(struct req *r, const struct bck *b, struct str name);

/* --- belong.c: whose is it? --- */
/*
 * Wait, for a few seconds at most, until a client may be served here: the node has a lease, its map is in force, and the object is its own
 * by that. -AIS_E_NOTOWNER: another target's; -AIS_E_UNAVAIL. On success the request's views are those that say so. Nodes are not held up.
 */
int  belong_wait(struct req *r, struct str bck, struct str name, struct bck *b, struct err *e);
/* The same before a commit that comes long after the request began; its views stay what they were. */
int  belong_still(struct req *r, const struct bck *b, struct str name, struct err *e);
/* Send the client to whose it is. False: nobody's, or nobody else's; nothing was sent. */
bool belong_redirect(struct req *r);

/* --- attrs.c: object attributes in headers --- */
/* Headers of a PUT into *a (custom metadata in the arena). -AIS_E_BADREQ with AIStore's text. */
int  attrs_from_headers(struct req *r, struct put_attrs *a, struct err *e);
/* Custom metadata within the limits? display may be empty. */
int  custom_check(const struct kv *kv, unsigned n, struct err *e);
void cksum_to_headers(struct req *r, const struct cksum *c);
void custom_to_headers(struct req *r, const struct obj_info *oi, bool etag); /* etag: a custom ETag is the header ETag too */
/* Checksum (NULL: the object's), atime, version, custom metadata. */
void attrs_to_headers(struct req *r, const struct obj_info *oi, const struct cksum *cksum);
/* "t[id]:mp[...]" of a mountpath. */
struct str mpath_place(struct node *n, unsigned mpath);

/* --- the body of a request into a PUT --- */
int  body_to_put(struct req *r, struct put *p, uint64_t max, uint64_t *nbytes, struct err *e); /* at most max bytes of it */
/* Text of a checksum mismatch as clients know it: adds the object's name. */
void cksum_context(struct err *e, struct str display);
/* Count a failed operation. */
void count_error(struct node *n, int rc, enum stat_id err, enum stat_id io_err);

/* --- peer.c: copies, wherever they belong --- */
struct copier {
    struct node       *n;
    const struct smap *smap;  /* borrowed from the request */
    const struct rmd  *rmd;   /* of the same moment */
    struct arena      *arena; /* for what one copy needs */
};
struct copier copier_of(struct req *r);
/* Is this target the owner? *owner: who is; NULL when there is no active target. */
bool obj_is_mine(const struct copier *c, const struct bck *b, struct str name, const struct snode **owner);
/* Copy an open object under a name and bucket, on whichever target owns that; whole or not at all, replacing. May park. */
int  obj_copy_to(const struct copier *c, struct obj *o, const struct bck *b, struct str name, struct err *e);
/* The same for a file of `size` bytes. May park. */
int  file_copy_to(const struct copier *c, int fd, uint64_t size, const struct bck *b, struct str name, struct err *e);
/* Does the object exist, here or on its owner? 1, 0 or an error. May park. */
int  obj_exists(const struct copier *c, const struct bck *b, struct str name, struct err *e);

/* --- settle.c: objects that lie with former owners --- */
struct settler *settler_new(void);
void            settler_free(struct settler *s); /* NULL is fine */
/*
 * Before an object of this target's is read or changed in part: if a former owner has it, or a newer one, it comes here. 0: what is here is
 * the newest, or nothing is anywhere. -AIS_E_UNAVAIL: somebody who may have it cannot be asked. Free while nothing is unsettled. May park.
 */
int  obj_settle(const struct copier *c, const struct bck *b, struct str name, struct err *e);
/* The same, without bringing anything: does a former owner have a newer object than is here? *version: its number, 0 = none. May park. */
int  obj_look_away(const struct copier *c, const struct bck *b, struct str name, bool *there, uint64_t *version, struct err *e);
/* The object was deleted here: former owners shall forget what they have. May park. */
void obj_deleted_tell(const struct copier *c, const struct bck *b, struct str name);

/* --- frag.c: objects of AIStore's erasure coding --- */
/* obj_settle and obj_open; an erasure-coded object of ours that is missing is made again from slices or a replica, if they suffice. May park. */
int  obj_open_or_restore(struct req *r, const struct objreq *o, unsigned flags, struct obj **out, struct err *e);
/* 0: it is there now; -AIS_E_NOOBJ: nowhere; -AIS_E_UNAVAIL: who might have it does not answer. May park. */
int  frag_restore(const struct copier *c, const struct bck *b, struct str name, struct err *e);
/* The object was replaced or deleted: what other targets have of its earlier version goes. May park. */
void frag_outdated(struct req *r, const struct bck *b, struct str name);
/* In the answer to HEAD from a target: what it has of the object is outdated. May park. */
void frag_say(struct req *r, const struct objreq *o, bool exists);
/* Tell all owners what this target has fragments of, in the background, once. Any thread. */
void frag_settle(struct node *n);
void frag_stop(struct target *t); /* blocks */

/* --- bckwork.c --- */
/* Folders as nw wants them, seen from old. What fails is returned (the first of it) and tried again. May park. */
int  bckwork_follow(struct node *n, const struct bmd *old, const struct bmd *nw, struct err *e);
void bckwork_stop(struct target *t); /* blocks */

/* --- mpath.c --- */
int      places_refresh(struct target *t);
void     mpath_capacity_json(struct node *n, struct jw *w);
void     mpath_sysinfo_json(struct node *n, struct jw *w);
unsigned mpath_state_flags(struct node *n);

/* --- iostat.c --- */
/* Rates since the last call (at least half a second ago, else the last ones again); at most max disks. Blocks for two small reads. */
unsigned iostat_rates(struct target *t, struct diskrate *out, unsigned max);
bool     disk_rotational(const char *disk);

/* --- settle.c --- */
int moves_start(struct node *n); /* take what other targets send */

/* --- handlers --- */
handler_f h_target_obj_get, h_target_obj_head, h_target_obj_put, h_target_obj_delete, h_target_obj_post, h_target_obj_patch;
handler_f h_target_objs_post;
handler_f h_target_frag_get, h_target_frag_delete;
handler_f h_target_moves_get, h_target_moves_delete, h_target_moves_flush;
handler_f h_target_bck_list, h_target_bck_summary, h_target_bck_get, h_target_bck_head, h_target_bck_refuse;
handler_f h_target_promote;
handler_f h_target_daemon_get, h_target_mountpaths, h_target_xactions_get, h_target_xactions_put;
handler_f h_target_root;
/* PUT variants, called by h_target_obj_put with the request checked. */
void put_append(struct req *r, struct objreq *o);
void put_part(struct req *r, struct objreq *o);
/* POST and DELETE actions of multipart uploads. */
void act_mpt_upload(struct req *r, struct objreq *o, const struct actmsg *m);
void act_mpt_complete(struct req *r, struct objreq *o, const struct actmsg *m);
void act_mpt_abort(struct req *r, struct objreq *o);

#endif
