/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects on their way from one target to another: what travels with the content, sending, and taking them in.
 *
 * A move keeps everything that the object is: generation, version, times, checksum, custom metadata. How it lies on disk (chunks, copies)
 * is the receiver's matter. The newest generation wins; that the receiver has it, or something newer, is the acknowledgement.
 *
 * Runs on: fibers; calls may park. Wire, between targets only:
 *     streams "move-0" ... (core/strm.h)          header: move_head, body: the content. 0: it is here, or something newer
 *     GET    /v1/moves/BUCKET/OBJECT?than=GEN     200, Ais-Move-State: newer, the same body; or none, same, older, tomb without a body
 *     GET    ...&state=1                          headers only: Ais-Move-State, Ais-Move-Gen, Ais-Version
 *     DELETE /v1/moves/BUCKET/OBJECT?gen=GEN      what is older than that goes, a tombstone stays
 *     PUT    /v1/moves                            200 when all that was acknowledged is on stable storage
 * Each waits until the receiver knows the sender's cluster map. GEN: 56 hexadecimal digits.
 */
#ifndef XACT_MOVE_H
#define XACT_MOVE_H

#include "base/arena.h"
#include "base/sbuf.h"
#include "core/node.h"
#include "store/store.h"

#define MOVE_STREAMS   8            /* at most so many connections for large objects between a loop and a peer */
#define MOVE_REC_MAX   (128u << 10) /* bytes of a record */
#define MOVE_STATE_HDR "Ais-Move-State"
#define MOVE_GEN_HDR   "Ais-Move-Gen"
#define MOVE_STALL_NS  SEC_NS(60)

/* What travels with the content. Strings are borrowed. */
struct move {
    struct gen      gen;
    uint64_t        bid, size;
    int64_t         mtime_ns, atime_ns;
    struct cksum    cksum;
    struct str      name, version;
    unsigned        ncustom;
    const struct kv *custom;
};
void move_of_obj(const struct bck *b, struct str name, const struct obj_info *oi, struct move *m);
void move_encode(const struct move *m, struct sbuf *out);
/* kv: memory for the custom metadata. 0 or -AIS_E_BADREQ. */
int  move_decode(struct str rec, struct move *m, struct kv kv[LMETA_MAX_CUSTOM]);

/* Header of an object on a stream: msgpack [1, Smap version, provider, namespace uuid, namespace name, bucket, record]. */
struct move_head {
    uint64_t   smap_ver; /* what the sender knows */
    struct bck b;        /* identity only; borrowed */
    struct str rec;      /* empty: it did not fit; it is the beginning of the body, behind a u32 with its length */
};
void move_head_encode(const struct move_head *h, struct sbuf *out);
int  move_head_decode(struct str s, struct move_head *h); /* 0 or -AIS_E_BADREQ */
extern const char *const move_streams[MOVE_STREAMS];

#define GEN_HEX 56
void gen_to_hex(const struct gen *g, char out[GEN_HEX + 1]);
bool gen_from_hex(struct str hex, struct gen *g);
int  gen_order(const struct gen *a, const struct gen *b); /* < 0, 0, > 0 */

/* "/v1/objects/" or another prefix, bucket, name and the bucket's identity as a request target; {NULL,0} without memory. */
struct str obj_path(struct arena *a, const char *prefix, const struct bck *b, struct str name);
/* For the store, ctx is the struct node: -AIS_E_CONFLICT while the object belongs here, so that the source of a move may not go. */
int move_may_go(void *ctx, const struct bck *b, struct str name);

/*
 * Take an object in; the content comes from rd. 0: it is here now; 1: something as new or newer was here already. -AIS_E_UNAVAIL: this
 * target is not, or not any more, the owner: then it is not to be relied upon.
 */
typedef ssize_t move_read_f(void *ctx, void *p, size_t n); /* > 0, 0 at the end, or an error */
int move_receive(struct node *n, const struct bck *b, const struct move *m, move_read_f *rd, void *ctx, struct err *e);

/* Send an open object to another target; 0 when it is safe there (after a move_flush: even from a power cut). */
int move_send(struct node *n, const struct snode *to, const struct bck *b, struct str name, struct obj *o, struct err *e);
/* Tell another target that the name was deleted at that generation. */
int move_tomb(struct node *n, const struct snode *to, const struct bck *b, struct str name, const struct gen *g, struct arena *a, struct err *e);
int move_flush(struct node *n, const struct snode *to, struct arena *a, struct err *e);

#endif
