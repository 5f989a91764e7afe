/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams: many objects from one node to another over one connection, each acknowledged with what the receiver made of it.
 *
 * A stream has a name ("reb") and belongs to one loop and one peer: what a fiber sends with strm_send arrives, and is handed to the
 * receiver's function, in that order; the acknowledgements come as the receiver finishes, in any order. Many objects are under way at a
 * time, as many as the receiver gave credit for. Small ones leave together in few writes and are acknowledged together; large ones are
 * streamed, by sendfile where nothing has to look at the bytes.
 *
 * Nothing is sent without someone accounting for it: done is called exactly once for each object that strm_send took. When a connection
 * breaks, what was not acknowledged on it ends with -AIS_E_UNAVAIL: perhaps the receiver has it, perhaps not, so receivers must bear to
 * see an object again (generations). What had not begun to leave goes over the next connection, which is opened by itself. Connections
 * without work close after transport.idle_teardown.
 *
 * Every peer and name has connection, queue and credits of its own: one that is slow or dead stalls nobody but its own senders.
 *
 * Connections are authenticated both ways and run on the data network; the fence (epoch, term) is checked when one opens and for every
 * batch of frames. Wire format: strmwire.h.
 *
 * Runs on: fibers of any loop; what an object is sent from and acknowledged on is one loop. Calls park where it says so.
 */
#ifndef CORE_STRM_H
#define CORE_STRM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"
#include "core/smap_types.h"

struct node;

#define STRM_NAME_MAX  15           /* of a stream's name: letters, digits, '-' */
#define STRM_HDR_MAX   (16u << 10)  /* bytes of an object's header */
#define STRM_SMALL     (256u << 10) /* bodies up to this are one piece at the receiver */
#define STRM_REPLY_MAX 256          /* bytes a receiver may answer beside its status */
#define STRM_UNKNOWN   UINT64_MAX   /* a body that ends where its last piece ends */

/* --- sending --- */

/* A piece of a body: memory, or (mem NULL) a range of a file. */
struct strm_piece {
    const void *mem;
    int         fd;
    uint64_t    off, len;
};

struct strm_obj;
/*
 * The next piece of a body, for bodies that are not one piece: valid until the next call. len 0 = the body ends here. May park. A
 * negative return gives the object up: it ends with that code, the connection goes on.
 */
typedef int strm_next_f(struct strm_obj *o, struct strm_piece *out);
/*
 * The object is accounted for, and is the caller's again (it may be freed in here, or sent again). rc: what the receiver's function
 * returned; -AIS_E_UNAVAIL: unknown, send it again (the connection broke, could not be opened, or the receiver stops); -AIS_E_CONFLICT:
 * the receiver knows a newer term, try again when this node does; -AIS_E_NOENT: nobody handles the name there; -AIS_E_CKSUM: it arrived
 * damaged; -AIS_E_CANCELED; or what reading the body gave. reply: what the receiver answered beside it, valid during the call.
 * On the loop that sent it. Must not park.
 */
typedef void strm_done_f(struct strm_obj *o, int rc, struct str reply);

#define STRM_LZ4     1u /* compress on the wire what gets smaller */
#define STRM_OWN_SUM 2u /* the receiver verifies the body by itself, against a checksum in the header: files may go by sendfile, and no block
                         * of a large body has a sum. Small bodies and headers always have one */

/* An object to be sent: the caller's memory, header and body included, until done. Zero it, fill in the first part. */
struct strm_obj {
    struct str        hdr;   /* at most STRM_HDR_MAX; opaque here */
    uint64_t          size;  /* of the body; 0 = none; STRM_UNKNOWN only with next */
    struct strm_piece body;  /* all of it, when next is NULL; its len is not looked at */
    strm_next_f      *next;
    strm_done_f      *done;
    void             *ctx;   /* the caller's */
    unsigned          flags; /* STRM_* */

    /* from here on: strm.c's */
    struct strm_out *out;
    uint64_t         seq, charged;
    int              state, verdict;
    bool             nacked;
    char             answer[STRM_REPLY_MAX]; /* with an early verdict */
    uint16_t         nanswer;
    TAILQ_ENTRY(strm_obj) link;
};

/*
 * Give o to the stream `name` to node `to` (looked up again by its id when a connection is opened; copied). Parks while too much of this
 * stream waits already, at most until deadline. 0: taken, done will be called, perhaps before this returns. Otherwise it was not taken:
 * -AIS_E_TIMEOUT, -AIS_E_CANCELED, -AIS_E_INVAL, -AIS_E_TOOBIG; -AIS_E_UNAVAIL: the peer could not be reached a moment ago; with deadline 0,
 * which never parks: -AIS_E_AGAIN.
 */
int strm_send(struct node *n, const struct snode *to, const char *name, struct strm_obj *o, int64_t deadline);
/*
 * Take back what was sent: done comes with -AIS_E_CANCELED, at once for what waits or awaits its acknowledgement (the receiver may have it
 * all the same), soon for what is just being written. Same loop; o must not be done. Does not park.
 */
void strm_cancel(struct strm_obj *o);
/*
 * Send and wait for the acknowledgement: the code that done would get. o->done and o->ctx are used. reply, n: room for the answer, *n is
 * its length in the end; NULL: not wanted. When the deadline passes or the fiber is cancelled the object is cancelled. Parks.
 */
int strm_call(struct node *n, const struct snode *to, const char *name, struct strm_obj *o, void *reply, size_t *nreply, int64_t deadline);

/* --- receiving --- */

/* An object that comes in. Valid in the function; the loop of the connection. */
struct strm_in {
    struct node *n;
    const char  *from;  /* id of the sender, proved */
    struct str   hdr;
    uint64_t     size;  /* of the body; STRM_UNKNOWN possible */
    void        *priv;
};
/*
 * Take one object: on a fiber of its own; may park. The code it returns is the sender's acknowledgement, so it returns only when the object
 * is safe. Objects of a connection begin in order and are processed at the same time, as far as credits go, so that commits can share
 * a flush; but a large body is streamed, and what comes behind it waits until it is read. What is left of the body is skipped: a function that
 * knows early that it does not want the object returns at once, and the sender stops sending it.
 */
typedef int strm_recv_f(struct strm_in *in, void *ctx);

/* Body bytes: > 0, 0 = all of it was read and was whole; -AIS_E_CKSUM, -AIS_E_CLOSED (the sender is gone), -AIS_E_CANCELED (the sender gave
 * the object up), -AIS_E_TIMEOUT. After an error the object must not be kept. Park. */
ssize_t strm_read(struct strm_in *in, void *p, size_t n);
/* Borrow the next bytes without copying: valid until the next call for this object. 0 = end, as above. Then consume, at most so many. */
ssize_t strm_peek(struct strm_in *in, const void **p);
void    strm_consume(struct strm_in *in, size_t n);
/* Answer this beside the status; the last call counts. -AIS_E_TOOBIG. Does not park. */
int     strm_reply(struct strm_in *in, const void *p, size_t n);

/* Objects of streams `name` go to fn from now on. name: literal. -AIS_E_EXISTS, -AIS_E_OVERLOAD (too many names). Any thread. */
int  strm_handle(struct node *n, const char *name, strm_recv_f *fn, void *ctx);
/* No more: what comes is refused with -AIS_E_NOENT. Returns when fn has returned from every object it had. Parks. */
void strm_unhandle(struct node *n, const char *name);

#endif
