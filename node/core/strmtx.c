/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams, the sending side: a queue for each peer and name on each loop, and, while there is something to do, a connection with two
 * fibers: the writer puts frames together and sends them, the reader takes acknowledgements.
 *
 *     strm_send --> queue --writer, as credit allows--> flight --acknowledged--> done
 *                     |                                   |
 *                     `-- cannot be opened: UNAVAIL        `-- connection broke: UNAVAIL; the queue goes over the next connection
 *
 * Frames of small objects gather in the cork buffer, which leaves when it is full or nothing else waits. What an object's memory is needed
 * for ends there; the object itself waits for its acknowledgement in flight[], by number.
 *
 * Runs on: the loop of the senders; nothing here is shared with another one.
 */
#include "core/strm.h"

#include <stdio.h>
#include <sys/stat.h>

#include "core/strm_impl.h"

#include "base/assert.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"
#include "codec/cksum.h"
#include "codec/lz4f.h"
#include "run/disk.h"

#define FLIGHT_MAX  1024
#define QUEUE_MAX   1024u             /* when transport.burst_buffer is not set */
#define CORK_FULL   (64u << 10)
#define CORK_CAP    (CORK_FULL + STRM_FRAME + STRM_HDR_MAX + STRM_SMALL)
#define FILE_BLOCK  (4u << 20)        /* of DATA frames by sendfile or from memory */
#define IN_CAP      (STRM_FRAME + STRM_CTL_MAX)
#define TICK        SEC_NS(1)
#define OPEN_TIME   SEC_NS(5)
#define END_TIME    SEC_NS(5)         /* for the receiver to end, after we did */
#define CANCEL_TIME SEC_NS(2)         /* for the writer to notice that the object is not wanted any more, before the connection goes */
#define RETRY_AFTER MSEC_NS(300)      /* a peer that could not be reached is not tried again sooner */

enum obj_state { OBJ_IDLE, OBJ_QUEUED, OBJ_WRITING, OBJ_FLIGHT };

/* A connection. */
struct strm_tx {
    struct strm_out   *o;
    struct raw        *raw;
    struct waitq       work;     /* the writer waits: for objects, credit, the end */
    struct strm_obj   *flight[FLIGHT_MAX]; /* by seq */
    unsigned           nflight;
    struct strm_obj   *cur;      /* being written */
    uint64_t           seq, bytes; /* so far */
    struct strm_credit credit;
    struct strm_fence  fence;    /* what the receiver was told */
    int64_t            heard;    /* when something came, or the wait for it began */
    int64_t            unwanted; /* since when cur is not wanted any more; 0 = it is */
    int64_t            end_by;   /* we have ended our side */
    bool               bye;      /* the receiver takes nothing new */
    bool               over;     /* it broke, or the receiver ended it */
    bool               useful;   /* something was acknowledged */
    char              *cork;
    size_t             ncork;
    char              *block, *packed; /* STRM_SMALL each, when needed */
    size_t             nin;
    char               in[IN_CAP];
};

TAILQ_HEAD(objq, strm_obj);

/* Where objects of one name for one peer wait; there as long as it has something to do. */
struct strm_out {
    unsigned magic;
#define STRM_OUT_MAGIC 0x57a30a7eu
    struct hnode      node;
    struct strm_loop *home;
    struct node      *n;
    struct snode      to;
    char              name[STRM_NAME_MAX + 1];
    struct objq       queue;
    unsigned          nqueued, waiting; /* objects; senders that wait for room */
    struct waitq      space;
    struct strm_tx   *tx;      /* NULL: not connected */
    bool              running; /* has a fiber */
    int64_t           failed;  /* when the peer could not be reached; 0 = it could, or nobody tried */
};

/* --- objects --- */

static void
obj_done(struct strm_obj *x, int rc, struct str reply)
{
    strm_done_f *done = x->done;

    x->state = OBJ_IDLE;
    x->out = NULL;
    done(x, rc, reply);
}

static void
obj_failed(struct strm_obj *x, int rc)
{
    obj_done(x, rc, STR_LIT(""));
}

/* It was answered, or given up, before it was written to its end. */
static void
obj_verdict(struct strm_obj *x, int rc, struct str reply)
{
    x->nacked = true;
    x->verdict = rc;
    x->nanswer = (uint16_t)MIN(reply.n, sizeof(x->answer));
    if (x->nanswer > 0)
        memcpy(x->answer, reply.p, x->nanswer);
}

static void
obj_done_early(struct strm_obj *x)
{
    obj_done(x, x->verdict, str_from(x->answer, x->nanswer));
}

static bool
obj_is_small(const struct strm_obj *x)
{
    return x->size <= STRM_SMALL;
}

static void
queue_fail(struct strm_out *o, int rc)
{
    struct strm_obj *x;

    while ((x = TAILQ_FIRST(&o->queue)) != NULL) {
        TAILQ_REMOVE(&o->queue, x, link);
        o->nqueued--;
        obj_failed(x, rc);
    }
}

/* --- acknowledgements: the reader --- */

static struct strm_obj **
flight_slot(struct strm_tx *c, uint64_t seq)
{
    return &c->flight[seq % FLIGHT_MAX];
}

static int
take_ack(struct strm_tx *c, const struct strm_ack *a)
{
    struct strm_obj **slot = flight_slot(c, a->seq), *x = *slot;

    if (a->seq >= c->seq)
        return -AIS_E_CORRUPT; /* for what was never sent */
    c->useful = true;
    if (c->cur != NULL && c->cur->seq == a->seq && c->cur->state == OBJ_WRITING) {
        if (!c->cur->nacked)
            obj_verdict(c->cur, a->rc, a->reply);
        return 0;
    }
    if (x == NULL || x->seq != a->seq)
        return 0; /* cancelled meanwhile */
    *slot = NULL;
    c->nflight--;
    obj_done(x, a->rc, a->reply);
    return 0;
}

static int
take_acks(struct strm_tx *c, struct str p)
{
    struct strm_credit credit;
    struct strm_ack    a;
    int                rc = strm_credit_get(&p, &credit);

    if (rc < 0 || credit.objs < c->credit.objs || credit.bytes < c->credit.bytes)
        return -AIS_E_CORRUPT;
    c->credit = credit;
    for (rc = strm_ack_get(&p, &a); rc == 1; rc = strm_ack_get(&p, &a))
        if (take_ack(c, &a) < 0)
            return -AIS_E_CORRUPT;
    return rc;
}

/* One frame at p, n bytes of which are there. The bytes used, 0 = more are needed, or an error. */
static int
take_frame(struct strm_tx *c, const char *p, size_t n)
{
    struct strm_frame f;
    struct str        payload;

    if (n < STRM_FRAME)
        return 0;
    if (strm_frame_get(p, &f) < 0 || (f.type != STRM_ACK && f.type != STRM_BYE))
        return -AIS_E_CORRUPT;
    if (n < STRM_FRAME + (size_t)f.plen)
        return 0;
    payload = str_from(p + STRM_FRAME, f.plen);
    if (xxh64(payload.p, payload.n, 0) != f.psum)
        return -AIS_E_CORRUPT;
    if (f.type == STRM_BYE)
        c->bye = true;
    else if (take_acks(c, payload) < 0)
        return -AIS_E_CORRUPT;
    return (int)(STRM_FRAME + f.plen);
}

static int
take_input(struct strm_tx *c)
{
    size_t at = 0;
    int    k = 0;

    while (at < c->nin && (k = take_frame(c, c->in + at, c->nin - at)) > 0)
        at += (size_t)k;
    c->nin -= at;
    memmove(c->in, c->in + at, c->nin);
    return MIN(k, 0);
}

/* Nothing came for a second: is that all right? */
static bool
still_good(const struct strm_tx *c)
{
    int64_t now = clock_mono();
    bool    busy = c->nflight > 0 || c->cur != NULL || !TAILQ_EMPTY(&c->o->queue);

    if (c->end_by != 0 && now > c->end_by)
        return false;
    if (c->unwanted != 0 && now - c->unwanted > CANCEL_TIME)
        return false;
    return !busy || now - c->heard < STRM_DEAD;
}

static int
tx_reader(void *arg)
{
    struct strm_tx *c = arg;
    ssize_t         k;
    int             rc = 0;

    do {
        k = raw_recv(c->raw, c->in + c->nin, sizeof(c->in) - c->nin, deadline_in(clock_mono(), TICK));
        if (k > 0) {
            c->heard = clock_mono();
            c->nin += (size_t)k;
            rc = take_input(c);
            waitq_wake_all(&c->work);
        }
    } while (rc == 0 && (k > 0 || (k == -AIS_E_TIMEOUT && still_good(c))));
    if (rc < 0)
        log_warn("stream broken: the receiver's frames make no sense", { "to", LZ(c->o->to.name) }, { "stream", LZ(c->o->name) });
    else if (k == -AIS_E_TIMEOUT && c->end_by == 0)
        log_warn("stream broken: no sign of life", { "to", LZ(c->o->to.name) }, { "stream", LZ(c->o->name) });
    c->over = true;
    if (c->end_by == 0 || k != 0)
        raw_break(c->raw);
    waitq_wake_all(&c->work);
    return 0;
}

/* --- frames: the writer --- */

static int
flush_with(struct strm_tx *c, const void *p, size_t n, bool more)
{
    struct iovec iov[2] = { { c->cork, c->ncork }, { (void *)(uintptr_t)p, n } };
    int          rc = raw_send(c->raw, iov, 2, more, NO_DEADLINE); /* the reader sees to it that this ends */

    c->ncork = 0;
    return rc;
}

/* Room for a frame's head, and n bytes, in the cork. */
static char *
cork_room(struct strm_tx *c, size_t n)
{
    ASSERT(c->ncork + STRM_FRAME + n <= CORK_CAP);
    return c->cork + c->ncork;
}

static void
cork_frame(struct strm_tx *c, const struct strm_frame *f, size_t n)
{
    strm_frame_put(f, c->cork + c->ncork);
    c->ncork += STRM_FRAME + n;
}

/* What this node knows of the cluster, when it is something new: at the start of a batch. */
static void
cork_fence(struct strm_tx *c)
{
    struct strm_frame f = { .type = STRM_FENCE, .plen = STRM_FENCE_LEN, .rlen = STRM_FENCE_LEN };
    struct strm_fence now = { .f = node_fence(c->o->n) };
    struct views      v;
    char             *p;

    views_get(c->o->n, &v);
    now.smap = v.smap->version;
    views_put(&v);
    if (now.smap == c->fence.smap && now.f.epoch == c->fence.f.epoch && now.f.term == c->fence.f.term)
        return;
    c->fence = now;
    p = cork_room(c, STRM_FENCE_LEN) + STRM_FRAME;
    strm_fence_put(&now, p);
    f.psum = xxh64(p, STRM_FENCE_LEN, 0);
    cork_frame(c, &f, STRM_FENCE_LEN);
}

static char *
small_buffer(char **slot)
{
    if (*slot == NULL)
        *slot = malloc(STRM_SMALL);
    return *slot;
}

/* n bytes at p, in place. The bytes that remain; n when it is not worth it. */
static size_t
squeeze(struct strm_tx *c, const struct strm_obj *x, const char *p, size_t n, const char **out)
{
    size_t k = 0;

    *out = p;
    if ((x->flags & STRM_LZ4) && n >= STRM_LZ4_MIN && small_buffer(&c->packed) != NULL)
        k = lz4_block_encode(p, n, c->packed, n - 1);
    if (k == 0)
        return n;
    *out = c->packed;
    return k;
}

/* --- bodies --- */

struct body {
    struct strm_obj  *x;
    struct strm_piece p;  /* what is left of the present piece */
    uint64_t          at; /* bytes taken so far */
    bool              started;
};

/* Make b->p a piece with something in it; its len 0 = the end. */
static int
body_piece(struct body *b)
{
    struct strm_obj *x = b->x;
    int              rc = 0;

    if (b->p.len > 0 || (x->next == NULL && b->started))
        return 0;
    b->started = true;
    if (x->next == NULL) {
        b->p = x->body;
        b->p.len = x->size;
    } else if (b->at < x->size) {
        rc = x->next(x, &b->p);
    }
    if (rc == 0 && b->p.len > 0 && x->size != STRM_UNKNOWN && b->p.len > x->size - b->at)
        rc = -AIS_E_INVAL; /* more than was announced */
    return rc;
}

static void
body_took(struct body *b, uint64_t n)
{
    b->at += n;
    b->p.off += n;
    b->p.len -= n;
    if (b->p.mem != NULL) {
        b->p.mem = (const char *)b->p.mem + n;
        b->p.off = 0;
    }
}

/* At most n bytes of the present piece to `to`. */
static ssize_t
body_copy(struct body *b, char *to, size_t n)
{
    ssize_t k = (ssize_t)MIN((uint64_t)n, b->p.len);

    if (b->p.mem != NULL)
        memcpy(to, b->p.mem, (size_t)k);
    else
        k = disk_pread(b->p.fd, to, (size_t)k, b->p.off);
    if (k == 0)
        return -AIS_E_IO; /* the file is shorter than its metadata says */
    if (k > 0)
        body_took(b, (uint64_t)k);
    return k;
}

/* The whole of a small body. */
static int
body_gather(struct strm_obj *x, char *to)
{
    struct body b = { .x = x };

    while (b.at < x->size) {
        int     rc = body_piece(&b);
        ssize_t k;

        if (rc == 0 && b.p.len == 0)
            rc = -AIS_E_IO; /* less than was announced */
        if (rc < 0)
            return rc;
        k = body_copy(&b, to + b.at, x->size - b.at);
        if (k < 0)
            return (int)k;
    }
    return 0;
}

/* --- small objects --- */

static void
sent(struct strm_tx *c, struct strm_obj *x)
{
    struct stats *s = c->o->n->stats;

    stat_inc(s, STAT_STREAM_OUT_N);
    x->state = OBJ_FLIGHT;
    c->nflight++;
    *flight_slot(c, x->seq) = x;
}

static void
write_small(struct strm_tx *c, struct strm_obj *x)
{
    struct strm_frame f = { .type = STRM_OBJ, .hlen = (uint16_t)x->hdr.n, .seq = c->seq, .rlen = (uint32_t)x->size };
    char             *p = cork_room(c, x->hdr.n + x->size) + STRM_FRAME;
    const char       *body;
    int               rc;

    if (x->hdr.n > 0)
        memcpy(p, x->hdr.p, x->hdr.n);
    rc = body_gather(x, p + x->hdr.n);
    c->cur = NULL;
    c->unwanted = 0;
    if (x->nacked || rc < 0) { /* nothing of it has left, nor will */
        if (x->nacked)
            obj_done_early(x);
        else
            obj_failed(x, rc);
        return;
    }
    f.plen = (uint32_t)squeeze(c, x, p + x->hdr.n, x->size, &body);
    if (f.plen < f.rlen) {
        f.flags |= STRM_F_LZ4;
        memcpy(p + x->hdr.n, body, f.plen);
    }
    f.psum = xxh64(p, x->hdr.n + f.plen, 0);
    FAIL_POINT("strm.tx.damage", p[0] ^= 1);
    cork_frame(c, &f, x->hdr.n + f.plen);
    x->seq = c->seq++;
    c->bytes += x->size;
    stat_add(c->o->n->stats, STAT_STREAM_OUT_SIZE, x->size);
    sent(c, x);
}

/* --- large objects --- */

/* A frame of a body whose bytes nobody looks at. */
static int
write_block_blind(struct strm_tx *c, struct body *b)
{
    struct strm_frame f = { .type = STRM_DATA, .seq = b->x->seq };
    int               rc;

    f.plen = f.rlen = (uint32_t)MIN(b->p.len, (uint64_t)FILE_BLOCK);
    if (b->at + f.plen == b->x->size)
        f.flags |= STRM_F_LAST;
    cork_frame(c, &f, 0);
    if (b->p.mem != NULL) {
        rc = flush_with(c, b->p.mem, f.plen, false);
    } else {
        rc = flush_with(c, NULL, 0, true);
        if (rc == 0)
            rc = raw_file(c->raw, b->p.fd, b->p.off, f.plen, NO_DEADLINE);
    }
    body_took(b, f.plen);
    return rc;
}

/* A frame with a sum, and perhaps compressed. *source: what reading the body gave, when that went wrong. */
static int
write_block_summed(struct strm_tx *c, struct body *b, int *source)
{
    struct strm_frame f = { .type = STRM_DATA, .flags = STRM_F_SUM, .seq = b->x->seq };
    const char       *p = b->p.mem, *out;
    ssize_t           k = (ssize_t)MIN(b->p.len, (uint64_t)STRM_SMALL);

    if (p != NULL)
        body_took(b, (uint64_t)k);
    else if ((p = small_buffer(&c->block)) == NULL)
        k = -AIS_E_NOMEM;
    else
        k = body_copy(b, c->block, STRM_SMALL);
    if (k < 0) {
        *source = (int)k;
        return 0;
    }
    f.rlen = (uint32_t)k;
    f.plen = (uint32_t)squeeze(c, b->x, p, (size_t)k, &out);
    f.flags |= (f.plen < f.rlen ? STRM_F_LZ4 : 0) | (b->at == b->x->size ? STRM_F_LAST : 0);
    f.psum = xxh64(out, f.plen, 0);
    FAIL_POINT("strm.tx.damage", f.psum ^= 1);
    cork_frame(c, &f, 0);
    return flush_with(c, out, f.plen, false);
}

/* A promise of bytes that a file has not cannot be taken back in the middle of a frame. */
static int
file_has(const struct strm_piece *p)
{
    struct stat st;
    int         rc = disk_fstat(p->fd, &st);

    return rc < 0 ? rc : (uint64_t)st.st_size < p->off + p->len ? -AIS_E_IO : 0;
}

static bool
by_sendfile(const struct strm_obj *x)
{
    return (x->flags & (STRM_OWN_SUM | STRM_LZ4)) == STRM_OWN_SUM;
}

/* All frames of a body but the last one of unknown size. *source as above. */
static int
write_blocks(struct strm_tx *c, struct body *b, int *source)
{
    int rc = 0;

    while (rc == 0 && *source == 0 && !b->x->nacked) {
        bool fresh = b->p.len == 0;

        *source = body_piece(b);
        if (*source == 0 && b->p.len == 0)
            return 0;
        if (*source == 0 && fresh && b->p.mem == NULL && by_sendfile(b->x))
            *source = file_has(&b->p);
        if (*source < 0)
            return 0;
        rc = by_sendfile(b->x) ? write_block_blind(c, b) : write_block_summed(c, b, source);
        FAIL_POINT("strm.tx.break", raw_break(c->raw));
    }
    return rc;
}

static int
write_large(struct strm_tx *c, struct strm_obj *x)
{
    struct strm_frame f = { .type = STRM_OBJ, .flags = STRM_F_STREAMED, .hlen = (uint16_t)x->hdr.n, .seq = c->seq, .size = x->size };
    struct body       b = { .x = x };
    char             *p = cork_room(c, x->hdr.n) + STRM_FRAME;
    int               source = 0, rc;

    if (x->hdr.n > 0)
        memcpy(p, x->hdr.p, x->hdr.n);
    f.psum = xxh64(p, x->hdr.n, 0);
    cork_frame(c, &f, x->hdr.n);
    x->seq = c->seq++;
    rc = write_blocks(c, &b, &source);
    stat_add(c->o->n->stats, STAT_STREAM_OUT_SIZE, b.at);
    if (rc < 0)
        return rc; /* it stays c->cur: the end of the connection is its end */
    if (source == 0 && !x->nacked && x->size != STRM_UNKNOWN && b.at < x->size)
        source = -AIS_E_IO; /* less than was announced */
    f = (struct strm_frame){ .type = STRM_DATA, .flags = STRM_F_LAST, .seq = x->seq };
    if (source < 0 || (x->nacked && b.at != x->size))
        f = (struct strm_frame){ .type = STRM_ABORT, .seq = x->seq };
    if (f.type == STRM_ABORT || x->size == STRM_UNKNOWN)
        cork_frame(c, &f, 0);
    c->cur = NULL;
    c->unwanted = 0;
    if (x->nacked)
        obj_done_early(x);
    else if (source < 0)
        obj_failed(x, source);
    else
        sent(c, x);
    return 0;
}

/* --- the writer's loop --- */

static bool
credit_for(struct strm_tx *c, const struct strm_obj *x)
{
    FAIL_POINT("strm.tx.greedy", return true);
    return c->seq < c->credit.objs && *flight_slot(c, c->seq) == NULL &&
           (!obj_is_small(x) || c->bytes + x->size <= c->credit.bytes);
}

static int
write_next(struct strm_tx *c, struct strm_obj *x)
{
    struct strm_out *o = c->o;
    int              rc = 0;

    if (c->nflight == 0)
        c->heard = clock_mono();
    if (c->ncork == 0)
        cork_fence(c);
    TAILQ_REMOVE(&o->queue, x, link);
    o->nqueued--;
    x->state = OBJ_WRITING;
    x->seq = UINT64_MAX;
    c->cur = x;
    c->unwanted = 0;
    (void)waitq_wake_one(&o->space);
    if (obj_is_small(x))
        write_small(c, x);
    else
        rc = write_large(c, x);
    return rc == 0 && c->ncork >= CORK_FULL ? flush_with(c, NULL, 0, false) : rc;
}

/* Nothing can be written now. 1 = go on, 0 = it is over, in order. */
static int
write_wait(struct strm_tx *c, int64_t idle_since)
{
    struct strm_out *o = c->o;
    bool             idle = TAILQ_EMPTY(&o->queue) && c->nflight == 0;
    struct views     v;
    int64_t          teardown;
    int              rc;

    if (c->bye && c->nflight == 0)
        return 0;
    views_get(o->n, &v);
    teardown = v.conf->transport.idle_teardown;
    views_put(&v);
    rc = waitq_wait(&c->work, idle ? deadline_in(idle_since, teardown) : NO_DEADLINE);
    if (rc == -AIS_E_TIMEOUT)
        return TAILQ_EMPTY(&o->queue) && c->nflight == 0 ? 0 : 1;
    return rc < 0 ? rc : 1;
}

static int
write_loop(struct strm_tx *c)
{
    struct strm_out *o = c->o;
    int64_t          busy = loop_now();
    bool             yielded = false;
    int              rc = 1;

    while (rc > 0 && !c->over) {
        struct strm_obj *x = TAILQ_FIRST(&o->queue);
        bool             idle = x == NULL && c->nflight == 0;

        if (x != NULL && !c->bye && credit_for(c, x)) {
            rc = write_next(c, x) < 0 ? -AIS_E_CLOSED : 1;
            yielded = false;
        } else if (c->ncork > 0 && x == NULL && !yielded) {
            fiber_yield(); /* who is about to send more does it now */
            yielded = true;
        } else if (c->ncork > 0) {
            rc = flush_with(c, NULL, 0, false) < 0 ? -AIS_E_CLOSED : 1;
            yielded = false;
        } else {
            rc = write_wait(c, busy);
        }
        if (!idle)
            busy = loop_now();
    }
    return c->over ? -AIS_E_CLOSED : rc;
}

/* --- connections --- */

static void
tx_free(struct strm_tx *c)
{
    raw_close(c->raw);
    free(c->cork);
    free(c->block);
    free(c->packed);
    free(c);
}

/* What the receiver may have or not. */
static void
fail_unacknowledged(struct strm_tx *c, int rc)
{
    struct strm_obj *x = c->cur;

    for (uint64_t seq = c->seq > FLIGHT_MAX ? c->seq - FLIGHT_MAX : 0; seq < c->seq && c->nflight > 0; seq++) {
        struct strm_obj **slot = flight_slot(c, seq), *f = *slot;

        if (f == NULL || f->seq != seq)
            continue;
        *slot = NULL;
        c->nflight--;
        obj_failed(f, rc);
    }
    c->cur = NULL;
    if (x != NULL && x->nacked)
        obj_done_early(x);
    else if (x != NULL)
        obj_failed(x, rc);
}

/* The map may know another address by now than when the first object was sent. */
static void
look_up(struct strm_out *o)
{
    struct views        v;
    const struct snode *s;

    views_get(o->n, &v);
    s = smap_find(v.smap, str_z(o->to.id));
    if (s != NULL)
        o->to = *s;
    views_put(&v);
}

static int
tx_connect(struct strm_out *o, struct arena *a, struct raw **out, struct err *e)
{
    struct hdr     hdrs[NODE_HDRS];
    struct hc_req  q = { .hdrs = hdrs, .timeout_ns = OPEN_TIME };
    struct hc_resp resp;
    struct snode  *peer = arena_alloc(a, sizeof(*peer));
    int            rc;

    if (peer == NULL)
        return -AIS_E_NOMEM;
    look_up(o);
    *peer = o->to;
    q.base = str_z(peer->data.url[0] != '\0' ? peer->data.url : peer->control.url);
    q.target = arena_printf(a, "/v1/stream/%s", o->name);
    q.peer = peer;
    q.nhdrs = node_call_hdrs(o->n, a, hdrs);
    rc = hc_upgrade(o->n->hc, &q, STRM_PROTO, a, 64 * KIB, &resp, out, e);
    if (rc < 0)
        return rc == -AIS_E_CANCELED ? rc : -AIS_E_UNAVAIL;
    return *out != NULL ? 0 : node_peer_err(&resp, e);
}

static int
tx_open(struct strm_out *o, struct strm_tx **out)
{
    struct arena      *a = arena_new(4 * KIB, 256 * KIB);
    struct strm_fence  fence = { .f = node_fence(o->n) };
    struct raw        *raw = NULL;
    struct strm_tx    *c;
    struct err         e;
    int                rc;

    err_clear(&e);
    rc = tx_connect(o, a, &raw, &e);
    if (rc < 0 && rc != -AIS_E_CANCELED)
        log_warn("stream cannot be opened", { "to", LZ(o->to.name) }, { "stream", LZ(o->name) }, { "error", LZ(e.text) });
    arena_free(a);
    if (rc < 0)
        return rc;
    c = calloc(1, sizeof(*c));
    if (c == NULL) {
        raw_close(raw);
        return -AIS_E_NOMEM;
    }
    c->o = o;
    c->raw = raw;
    c->fence = fence;
    c->heard = clock_mono();
    waitq_init(&c->work);
    c->cork = malloc(CORK_CAP);
    if (c->cork == NULL) {
        tx_free(c);
        return -AIS_E_NOMEM;
    }
    *out = c;
    return 0;
}

/* Say that no more comes, and let the receiver end. */
static void
tx_bye(struct strm_tx *c)
{
    struct strm_frame f = { .type = STRM_BYE };

    f.psum = xxh64("", 0, 0);
    cork_frame(c, &f, 0);
    c->end_by = deadline_in(clock_mono(), END_TIME);
    if (flush_with(c, NULL, 0, false) < 0)
        raw_break(c->raw);
    else
        raw_end(c->raw);
}

static void
tx_run(struct strm_tx *c)
{
    struct group g;

    group_init(&g, false);
    if (group_start(&g, "strm-ack", tx_reader, c) < 0 || write_loop(c) < 0)
        raw_break(c->raw);
    else
        tx_bye(c);
    (void)group_wait(&g);
}

static void
out_free_if_unused(struct strm_out *o)
{
    if (o->running || o->nqueued > 0 || o->waiting > 0 || o->failed != 0) /* so as to remember that */
        return;
    ASSERT(o->tx == NULL);
    hmap_del(&o->home->outs, &o->node);
    o->magic = 0;
    free(o);
}

static void
out_main(void *arg)
{
    struct strm_out *o = arg;
    int              rc = 0;

    CHECK(o, STRM_OUT_MAGIC);
    fiber_label("%s to %s", o->name, o->to.name);
    while (rc == 0 && !TAILQ_EMPTY(&o->queue)) {
        struct strm_tx *c = NULL;

        rc = tx_open(o, &c);
        if (rc < 0)
            break;
        o->tx = c;
        tx_run(c);
        rc = fiber_cancelled() ? -AIS_E_CANCELED : c->end_by == 0 && !c->useful ? -AIS_E_UNAVAIL : 0;
        fail_unacknowledged(c, fiber_cancelled() ? -AIS_E_CANCELED : -AIS_E_UNAVAIL);
        o->tx = NULL;
        tx_free(c);
    }
    o->failed = rc < 0 ? clock_mono() : 0;
    o->running = false;
    if (rc < 0)
        queue_fail(o, rc);
    waitq_wake_all(&o->space);
    out_free_if_unused(o);
}

/* --- what callers use --- */

static struct strm_out *
out_get(struct node *n, const struct snode *to, const char *name)
{
    struct strm_loop *l = &n->strms->loops[loop_index(loop_self())];
    uint64_t          h = hash_bytes(name, strlen(name), hash_bytes(to->id, strlen(to->id), 0));
    struct strm_out  *o;

    for (struct hnode *i = hmap_first(&l->outs, h); i != NULL; i = hmap_next_same(i, h)) {
        o = CONTAINER_OF(i, struct strm_out, node);
        if (strcmp(o->to.id, to->id) == 0 && strcmp(o->name, name) == 0)
            return o;
    }
    o = xcalloc(1, sizeof(*o));
    o->magic = STRM_OUT_MAGIC;
    o->home = l;
    o->n = n;
    o->to = *to;
    str_copyz(str_z(name), o->name, sizeof(o->name));
    TAILQ_INIT(&o->queue);
    waitq_init(&o->space);
    hmap_add(&l->outs, &o->node, h);
    return o;
}

static int
obj_check(const struct strm_obj *x, const char *name)
{
    if (name[0] == '\0' || strlen(name) > STRM_NAME_MAX || x->done == NULL || x->state != OBJ_IDLE)
        return -AIS_E_INVAL;
    if (x->size == STRM_UNKNOWN && x->next == NULL)
        return -AIS_E_INVAL;
    return x->hdr.n > STRM_HDR_MAX ? -AIS_E_TOOBIG : 0;
}

static unsigned
queue_max(struct node *n)
{
    struct views v;
    int64_t      max;

    views_get(n, &v);
    max = v.conf->transport.burst_buffer;
    views_put(&v);
    return max > 0 ? (unsigned)max : QUEUE_MAX;
}

/* Room in the queue, and a peer that is worth asking. */
static int
out_admit(struct strm_out *o, int64_t deadline)
{
    for (;;) {
        int rc;

        if (!o->running && o->failed != 0 && clock_mono() - o->failed < RETRY_AFTER)
            return -AIS_E_UNAVAIL;
        if (o->nqueued < queue_max(o->n))
            return 0;
        if (deadline == 0)
            return -AIS_E_AGAIN;
        o->waiting++;
        rc = waitq_wait(&o->space, deadline);
        o->waiting--;
        if (rc < 0)
            return rc;
    }
}

/* Its fiber, when it has none, and somebody to see what was queued. */
static int
out_kick(struct strm_out *o)
{
    struct strm_tx *c = o->tx;
    int             rc;

    if (c != NULL && c->nflight == 0 && c->cur == NULL && o->nqueued == 1)
        c->heard = clock_mono(); /* until now there was nothing to be heard */
    if (c != NULL)
        waitq_wake_all(&c->work);
    if (o->running)
        return 0;
    rc = fiber_spawn(loop_self(), "strm-out", out_main, o);
    o->running = rc == 0;
    return rc;
}

int
strm_send(struct node *n, const struct snode *to, const char *name, struct strm_obj *x, int64_t deadline)
{
    struct strm_out *o;
    int              rc = obj_check(x, name);

    ASSERT_MAY_PARK();
    if (rc < 0)
        return rc;
    o = out_get(n, to, name);
    rc = out_admit(o, deadline);
    if (rc == 0) {
        x->out = o;
        x->state = OBJ_QUEUED;
        x->nacked = false;
        TAILQ_INSERT_TAIL(&o->queue, x, link);
        o->nqueued++;
        rc = out_kick(o);
        if (rc < 0) {
            TAILQ_REMOVE(&o->queue, x, link);
            o->nqueued--;
            x->state = OBJ_IDLE;
        }
    }
    if (rc < 0)
        out_free_if_unused(o);
    return rc;
}

void
strm_cancel(struct strm_obj *x)
{
    struct strm_out *o = x->out;
    struct strm_tx  *c;

    ASSERT(o != NULL && o->magic == STRM_OUT_MAGIC);
    c = o->tx;
    switch ((enum obj_state)x->state) {
    case OBJ_QUEUED:
        TAILQ_REMOVE(&o->queue, x, link);
        o->nqueued--;
        (void)waitq_wake_one(&o->space);
        obj_failed(x, -AIS_E_CANCELED);
        return;
    case OBJ_WRITING: /* the writer sees it at the end of the block */
        if (!x->nacked)
            obj_verdict(x, -AIS_E_CANCELED, STR_LIT(""));
        c->unwanted = clock_mono();
        return;
    case OBJ_FLIGHT:
        *flight_slot(c, x->seq) = NULL;
        c->nflight--;
        waitq_wake_all(&c->work);
        obj_failed(x, -AIS_E_CANCELED);
        return;
    case OBJ_IDLE:
        break;
    }
    ais_bug("an object is cancelled that was not sent");
}

struct call {
    struct waitq q;
    bool         done;
    int          rc;
    void        *reply;
    size_t      *nreply;
};

static void
call_done(struct strm_obj *x, int rc, struct str reply)
{
    struct call *c = x->ctx;

    c->done = true;
    c->rc = rc;
    if (c->reply != NULL) {
        *c->nreply = MIN(*c->nreply, reply.n);
        if (*c->nreply > 0)
            memcpy(c->reply, reply.p, *c->nreply);
    }
    waitq_wake_all(&c->q);
}

int
strm_call(struct node *n, const struct snode *to, const char *name, struct strm_obj *x, void *reply, size_t *nreply, int64_t deadline)
{
    struct call c = { .reply = reply, .nreply = nreply };
    int         rc;

    waitq_init(&c.q);
    x->done = call_done;
    x->ctx = &c;
    rc = strm_send(n, to, name, x, deadline);
    if (rc < 0)
        return rc;
    while (!c.done && rc == 0)
        rc = waitq_wait(&c.q, deadline);
    if (c.done)
        return c.rc;
    strm_cancel(x);
    fiber_shield();
    while (!c.done)
        (void)waitq_wait(&c.q, NO_DEADLINE);
    fiber_unshield();
    return c.rc == -AIS_E_CANCELED ? rc : c.rc;
}

void
strm_outs_free(struct strm_loop *l)
{
    struct hnode *i, *next;

    for (i = hmap_iter(&l->outs, NULL); i != NULL; i = next) {
        next = hmap_iter(&l->outs, i);
        free(CONTAINER_OF(i, struct strm_out, node));
    }
    hmap_fini(&l->outs);
}
