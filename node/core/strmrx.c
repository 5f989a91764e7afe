/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams, the receiving side: a handler that has taken its connection over reads frames; every object gets a fiber; a writer acknowledges
 * what they have finished, together.
 *
 * A small body is read into memory before its object begins, and counts against the credit in bytes until it is answered. A large body is
 * read by its object's fiber straight from the connection; the reader waits until it ended, or reads the rest away.
 *
 * Runs on: the connection's loop.
 */
#include "core/strm.h"

#include <stdio.h>

#include "core/strm_impl.h"

#include "base/assert.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"
#include "codec/cksum.h"
#include "codec/lz4f.h"

#define BUF        (256u << 10)
#define BODY_FIT   (64u << 10)  /* what is larger is read into its own memory, past the buffer */
#define OBJS       256          /* credits of a connection ... */
#define BYTES      (4u << 20)
#define OBJS_LOW   16           /* ... and when the node has granted BUDGET already */
#define BYTES_LOW  (2 * STRM_SMALL)
#define BUDGET     (128u << 20)
#define ACK_STALL  SEC_NS(10)
#define DRAIN_TIME SEC_NS(8)    /* for senders to come to an end when the node stops */

struct strm_rx;

/* An object. */
struct rx_obj {
    struct strm_in  in;
    struct strm_rx *rx;
    uint64_t        seq;
    unsigned        refs;  /* the reader's, and that of the function or the acknowledgement */
    bool            streamed, begun, answered;
    int             rc;
    char           *mem;   /* header, then a small body */
    size_t          at, len; /* small body: unread bytes are mem[at .. at+len) */
    uint64_t        charge;
    /* streamed */
    bool             ended; /* the reader may go on */
    bool             last, sum; /* of the present block */
    int              err;
    uint64_t         came;
    size_t           left;  /* of the block, or of what it was expanded to */
    uint64_t         psum;
    struct xxh64_run run;
    char            *big;   /* of an expanded block: unread bytes are big[STRM_SMALL - left ..) reckoned from its end */
    size_t           nbig;
    uint16_t         nreply;
    char             reply[STRM_REPLY_MAX];
    TAILQ_ENTRY(rx_obj) link;
};
TAILQ_HEAD(rxq, rx_obj);

struct strm_rx {
    struct node         *n;
    struct strms        *s;
    struct raw          *raw;
    struct strm_handler *h;
    char                 from[NODE_ID_MAX + 1];
    struct strm_fence    fence;  /* under which the sender sends */
    bool                 stale;  /* it is older than what this node knows */
    char                *buf, *packed; /* packed: STRM_SMALL, when needed */
    size_t               off, len;
    uint64_t             seq, bytes; /* of OBJ frames so far */
    struct strm_credit   window, done, told;
    unsigned             nlive;  /* objects with their function */
    struct waitq         turn;   /* the reader waits for a streamed body to end */
    struct waitq         say;    /* the acknowledger waits */
    struct rxq           live, acks; /* objects with their function; to be acknowledged */
    struct group         fns;
    int64_t              end_by; /* the node stops; 0 = it does not */
    bool                 bye_due, over;
    int                  lost; /* what made the connection of no use in the middle of a body; 0 = nothing */
    char                 out[STRM_FRAME + STRM_CTL_MAX];
};

/* --- objects and their answers --- */

static void
obj_put(struct rx_obj *x)
{
    if (--x->refs > 0)
        return;
    free(x->mem);
    free(x->big);
    free(x);
}

/* The object is done. Its memory but for the answer goes at once. */
static void
answer(struct rx_obj *x, int rc)
{
    struct strm_rx *rx = x->rx;

    x->rc = rc;
    x->answered = true;
    if (!x->streamed) {
        free(x->mem);
        x->mem = NULL;
    }
    rx->done.objs++;
    rx->done.bytes += x->charge;
    if (x->begun)
        TAILQ_REMOVE(&rx->live, x, link);
    TAILQ_INSERT_TAIL(&rx->acks, x, link);
    waitq_wake_all(&rx->say);
}

static int
obj_main(void *arg)
{
    struct rx_obj  *x = arg;
    struct strm_rx *rx = x->rx;
    void           *ctx = NULL;
    strm_recv_f    *fn = strm_handler_enter(rx->s, rx->h, &ctx);
    int             rc = -AIS_E_NOENT;

    if (fn != NULL) {
        rc = fn(&x->in, ctx);
        strm_handler_leave(rx->s, rx->h);
    }
    if (rc == 0)
        stat_inc(rx->n->stats, STAT_STREAM_IN_N);
    rx->nlive--;
    answer(x, MIN(rc, 0));
    waitq_wake_all(&rx->turn);
    return 0;
}

static void
obj_begin(struct rx_obj *x)
{
    struct strm_rx *rx = x->rx;

    if (rx->stale) {
        answer(x, -AIS_E_CONFLICT);
        return;
    }
    rx->nlive++;
    x->begun = true;
    TAILQ_INSERT_TAIL(&rx->live, x, link);
    if (group_start(&rx->fns, "strm-in", obj_main, x) == 0)
        return;
    rx->nlive--;
    answer(x, -AIS_E_OVERLOAD);
}

/* --- input --- */

static int
violation(struct strm_rx *rx, const char *what)
{
    log_warn("stream broken: the sender does not keep to the protocol", { "from", LZ(rx->from) }, { "stream", LZ(rx->h->name) },
             { "what", LZ(what) });
    return -AIS_E_CORRUPT;
}

/* Bytes for p, or an error; 0 = the sender ended. Knows what a drain is. */
static ssize_t
receive(struct strm_rx *rx, void *p, size_t n)
{
    for (;;) {
        int64_t deadline = deadline_in(clock_mono(), STRM_STALL);
        ssize_t k;

        if (rx->end_by != 0)
            deadline = MIN(deadline, rx->end_by);
        k = raw_recv(rx->raw, p, n, deadline);
        if (k > 0)
            rx->stale = fence_check(rx->n, rx->fence.f);
        if (k != -AIS_E_UNAVAIL)
            return k;
        rx->end_by = deadline_in(clock_mono(), DRAIN_TIME);
        rx->bye_due = true;
        waitq_wake_all(&rx->say);
    }
}

static int
fill(struct strm_rx *rx)
{
    ssize_t k;

    if (rx->len == 0)
        rx->off = 0;
    if (rx->off > 0 && rx->off + rx->len == BUF) {
        memmove(rx->buf, rx->buf + rx->off, rx->len);
        rx->off = 0;
    }
    k = receive(rx, rx->buf + rx->off + rx->len, BUF - rx->off - rx->len);
    if (k <= 0)
        return k < 0 ? (int)k : -AIS_E_CLOSED;
    rx->len += (size_t)k;
    return 0;
}

/* n bytes, at most what the buffer holds, at buf[off]. */
static int
need(struct strm_rx *rx, size_t n)
{
    while (rx->len < n) {
        int rc;

        if (rx->off + n > BUF) {
            memmove(rx->buf, rx->buf + rx->off, rx->len);
            rx->off = 0;
        }
        rc = fill(rx);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void
used(struct strm_rx *rx, size_t n)
{
    rx->off += n;
    rx->len -= n;
}

/* Exactly n bytes to p. */
static int
take(struct strm_rx *rx, char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = (ssize_t)MIN(n, rx->len);
        int     rc = 0;

        if (k > 0) {
            memcpy(p, rx->buf + rx->off, (size_t)k);
            used(rx, (size_t)k);
        } else if (n >= BODY_FIT) {
            k = receive(rx, p, n);
            rc = k < 0 ? (int)k : k == 0 ? -AIS_E_CLOSED : 0;
        } else {
            rc = fill(rx);
        }
        if (rc < 0)
            return rc;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

/* n bytes that nobody wants. */
static int
skip(struct strm_rx *rx, size_t n)
{
    while (n > 0) {
        size_t k = MIN(n, rx->len);
        int    rc = k == 0 ? fill(rx) : 0;

        if (rc < 0)
            return rc;
        used(rx, k);
        n -= k;
    }
    return 0;
}

static int
next_frame(struct strm_rx *rx, struct strm_frame *f)
{
    int rc = need(rx, STRM_FRAME);

    if (rc < 0)
        return rc;
    if (strm_frame_get(rx->buf + rx->off, f) < 0)
        return violation(rx, "not a frame");
    used(rx, STRM_FRAME);
    return 0;
}

/* --- streamed bodies: on the object's fiber --- */

/* The body is over, in whatever way: the reader may go on. */
static int
body_over(struct rx_obj *x, int rc)
{
    x->ended = true;
    if (x->err == 0)
        x->err = rc;
    waitq_wake_all(&x->rx->turn);
    return rc;
}

/* ... and what comes behind it makes no sense, or nothing does. */
static int
body_lost(struct rx_obj *x, int rc)
{
    x->rx->lost = rc;
    return body_over(x, rc);
}

static char *
small_buffer(char **slot)
{
    if (*slot == NULL)
        *slot = malloc(STRM_SMALL);
    return *slot;
}

/* A compressed block, whole. A damaged one leaves nothing to be read and an error for who asks. */
static int
block_expand(struct rx_obj *x, const struct strm_frame *f)
{
    struct strm_rx *rx = x->rx;
    int             rc;

    if (small_buffer(&rx->packed) == NULL || small_buffer(&x->big) == NULL)
        return -AIS_E_NOMEM;
    rc = take(rx, rx->packed, f->plen);
    if (rc < 0)
        return rc;
    x->nbig = f->rlen;
    if (((f->flags & STRM_F_SUM) && xxh64(rx->packed, f->plen, 0) != f->psum) ||
        lz4_block_decode(rx->packed, f->plen, x->big, f->rlen) < 0)
        x->err = -AIS_E_CKSUM;
    x->sum = false;
    return 0;
}

/* The next block of a streamed body. 0, or what ended the body. */
static int
next_block(struct rx_obj *x)
{
    struct strm_rx   *rx = x->rx;
    struct strm_frame f;
    int               rc = next_frame(rx, &f);

    if (rc < 0)
        return body_lost(x, rc);
    if (f.type == STRM_ABORT && f.seq == x->seq) {
        (void)body_over(x, -AIS_E_CANCELED);
        return 1;
    }
    if (f.type != STRM_DATA || f.seq != x->seq || (f.rlen == 0 && !(f.flags & STRM_F_LAST)))
        return body_lost(x, violation(rx, "something else than the rest of a body"));
    x->came += f.rlen;
    if (x->in.size != STRM_UNKNOWN && (x->came > x->in.size || (x->came == x->in.size) != ((f.flags & STRM_F_LAST) != 0)))
        return body_lost(x, violation(rx, "a body of another length than announced"));
    x->last = f.flags & STRM_F_LAST;
    x->left = f.rlen;
    x->nbig = 0;
    x->sum = f.flags & STRM_F_SUM;
    x->psum = f.psum;
    stat_add(rx->n->stats, STAT_STREAM_IN_SIZE, f.rlen);
    if (x->sum)
        xxh64_init(&x->run, 0);
    if (f.flags & STRM_F_LZ4) {
        rc = block_expand(x, &f);
        if (rc < 0)
            return body_lost(x, rc);
    }
    return 0;
}

/* n bytes of the block were read, or thrown away. */
static void
block_took(struct rx_obj *x, size_t n)
{
    x->left -= n;
    if (x->left > 0)
        return;
    if (x->sum && xxh64_final(&x->run) != x->psum && x->err == 0)
        x->err = -AIS_E_CKSUM;
    if (x->last && !x->ended)
        (void)body_over(x, 0);
}

static ssize_t
streamed_peek(struct rx_obj *x, const void **p)
{
    struct strm_rx *rx = x->rx;
    int             rc = 0;

    while (x->left == 0 && !x->ended && x->err == 0) {
        rc = next_block(x);
        if (rc == 0 && x->left == 0)
            block_took(x, 0); /* the empty last block of a body of unknown length */
    }
    if (x->err < 0)
        return x->err;
    if (x->left == 0)
        return 0;
    if (x->nbig > 0) {
        *p = x->big + x->nbig - x->left;
        return (ssize_t)x->left;
    }
    rc = rx->len == 0 ? fill(rx) : 0;
    if (rc < 0)
        return body_lost(x, rc);
    *p = rx->buf + rx->off;
    return (ssize_t)MIN(x->left, rx->len);
}

static void
streamed_consume(struct rx_obj *x, size_t n)
{
    struct strm_rx *rx = x->rx;

    ASSERT_CMP(n, <=, x->left, "zu");
    if (x->nbig == 0) {
        if (x->sum)
            xxh64_update(&x->run, rx->buf + rx->off, n);
        used(rx, n);
    }
    block_took(x, n);
}

/* Past the buffer. */
static ssize_t
streamed_direct(struct rx_obj *x, void *p, size_t n)
{
    ssize_t k = receive(x->rx, p, MIN(n, x->left));

    if (k <= 0)
        return body_lost(x, k < 0 ? (int)k : -AIS_E_CLOSED);
    if (x->sum)
        xxh64_update(&x->run, p, (size_t)k);
    block_took(x, (size_t)k);
    return k;
}

/* What its function left of a body. 0: the next frame can come. */
static int
read_away(struct rx_obj *x)
{
    while (!x->ended) {
        int rc;

        if (x->left == 0) {
            rc = next_block(x);
            if (rc == 0 && x->left == 0)
                block_took(x, 0);
        } else {
            rc = x->nbig > 0 ? 0 : skip(x->rx, x->left);
            x->sum = false;
            if (rc == 0)
                block_took(x, x->left);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- bodies, for the functions --- */

static struct rx_obj *
obj_of(struct strm_in *in)
{
    return CONTAINER_OF(in, struct rx_obj, in);
}

ssize_t
strm_peek(struct strm_in *in, const void **p)
{
    struct rx_obj *x = obj_of(in);

    if (x->streamed)
        return streamed_peek(x, p);
    *p = x->mem + x->at;
    return (ssize_t)x->len;
}

void
strm_consume(struct strm_in *in, size_t n)
{
    struct rx_obj *x = obj_of(in);

    if (x->streamed) {
        streamed_consume(x, n);
        return;
    }
    ASSERT_CMP(n, <=, x->len, "zu");
    x->at += n;
    x->len -= n;
}

ssize_t
strm_read(struct strm_in *in, void *p, size_t n)
{
    struct rx_obj *x = obj_of(in);
    const void    *at;
    ssize_t        k;

    if (x->streamed && x->left > 0 && x->err == 0 && x->nbig == 0 && x->rx->len == 0 && n >= BODY_FIT)
        return streamed_direct(x, p, n);
    k = strm_peek(in, &at);
    if (k <= 0)
        return k;
    k = (ssize_t)MIN((size_t)k, n);
    memcpy(p, at, (size_t)k);
    strm_consume(in, (size_t)k);
    return k;
}

int
strm_reply(struct strm_in *in, const void *p, size_t n)
{
    struct rx_obj *x = obj_of(in);

    if (n > sizeof(x->reply))
        return -AIS_E_TOOBIG;
    if (n > 0)
        memcpy(x->reply, p, n);
    x->nreply = (uint16_t)n;
    return 0;
}

/* --- frames: the reader --- */

static struct rx_obj *
obj_new(struct strm_rx *rx, const struct strm_frame *f)
{
    struct rx_obj *x = calloc(1, sizeof(*x));
    size_t         n = f->hlen + (size_t)f->rlen;

    if (x == NULL)
        return NULL;
    x->mem = malloc(MAX(n, (size_t)1));
    if (x->mem == NULL) {
        free(x);
        return NULL;
    }
    x->rx = rx;
    x->seq = f->seq;
    x->refs = 1;
    x->streamed = f->flags & STRM_F_STREAMED;
    x->charge = f->rlen;
    x->at = f->hlen;
    x->len = f->rlen;
    x->in = (struct strm_in){ .n = rx->n, .from = rx->from, .hdr = str_from(x->mem, f->hlen), .size = f->size };
    return x;
}

/* Header and payload of an OBJ frame. -AIS_E_CKSUM: damaged, but the connection is in step. */
static int
obj_load(struct rx_obj *x, const struct strm_frame *f)
{
    struct strm_rx *rx = x->rx;
    char           *body = x->mem + f->hlen;
    uint64_t        sum;
    int             rc;

    if (!(f->flags & STRM_F_LZ4)) {
        rc = take(rx, x->mem, f->hlen + (size_t)f->plen);
        return rc < 0 ? rc : xxh64(x->mem, f->hlen + (size_t)f->plen, 0) == f->psum ? 0 : -AIS_E_CKSUM;
    }
    rc = small_buffer(&rx->packed) == NULL ? -AIS_E_NOMEM : take(rx, x->mem, f->hlen);
    if (rc == 0)
        rc = take(rx, rx->packed, f->plen);
    if (rc < 0)
        return rc;
    xxh64_init(&x->run, 0);
    xxh64_update(&x->run, x->mem, f->hlen);
    xxh64_update(&x->run, rx->packed, f->plen);
    sum = xxh64_final(&x->run);
    return sum != f->psum || lz4_block_decode(rx->packed, f->plen, body, f->rlen) < 0 ? -AIS_E_CKSUM : 0;
}

/* Until the body of x has been read, by its function or by us. */
static int
await_body(struct rx_obj *x)
{
    struct strm_rx *rx = x->rx;
    int             rc;

    while (!x->ended && !x->answered) {
        rc = waitq_wait(&rx->turn, NO_DEADLINE);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
take_object(struct strm_rx *rx, const struct strm_frame *f)
{
    struct rx_obj *x;
    int            rc;

    if (f->seq != rx->seq)
        return violation(rx, "objects out of order");
    if (f->seq >= rx->told.objs || rx->bytes + f->rlen > rx->told.bytes)
        return violation(rx, "more than there was credit for");
    rx->seq++;
    rx->bytes += f->rlen;
    x = obj_new(rx, f);
    if (x == NULL)
        return -AIS_E_NOMEM;
    rc = obj_load(x, f);
    if (rc < 0 && rc != -AIS_E_CKSUM) {
        obj_put(x);
        return rc;
    }
    stat_add(rx->n->stats, STAT_STREAM_IN_SIZE, f->rlen);
    if (!x->streamed) {
        if (rc < 0)
            answer(x, rc);
        else
            obj_begin(x);
        return 0;
    }
    x->refs++;
    if (rc < 0)
        answer(x, rc);
    else
        obj_begin(x);
    rc = await_body(x);
    if (rc == 0)
        rc = read_away(x);
    obj_put(x);
    return rc < 0 ? rc : rx->lost;
}

static int
take_fence(struct strm_rx *rx, const struct strm_frame *f)
{
    struct str p;
    int        rc = need(rx, f->plen);

    if (rc < 0)
        return rc;
    p = str_from(rx->buf + rx->off, f->plen);
    if (xxh64(p.p, p.n, 0) != f->psum || strm_fence_get(p, &rx->fence) < 0)
        return violation(rx, "a damaged fence");
    used(rx, f->plen);
    rx->stale = fence_check(rx->n, rx->fence.f);
    return 0;
}

/* Frames until the sender says that it is done (0), or something goes wrong. */
static int
read_frames(struct strm_rx *rx)
{
    for (;;) {
        struct strm_frame f;
        int               rc = next_frame(rx, &f);

        if (rc == -AIS_E_TIMEOUT && rx->len == 0 && rx->nlive > 0 && rx->end_by == 0)
            continue; /* it waits for us */
        if (rc == 0 && f.type == STRM_BYE)
            return 0;
        if (rc == 0 && f.type == STRM_OBJ)
            rc = take_object(rx, &f);
        else if (rc == 0 && f.type == STRM_FENCE)
            rc = take_fence(rx, &f);
        else if (rc == 0)
            rc = violation(rx, "a frame out of place");
        if (rc < 0)
            return rc;
    }
}

/* --- acknowledgements --- */

static struct strm_credit
credit_now(const struct strm_rx *rx)
{
    return (struct strm_credit){ rx->done.objs + rx->window.objs, rx->done.bytes + rx->window.bytes };
}

/* So many answers as fit, behind the credit. */
static size_t
put_acks(struct strm_rx *rx)
{
    char          *p = rx->out + STRM_FRAME;
    size_t         n = STRM_CREDIT_LEN;
    struct rx_obj *x;

    rx->told = credit_now(rx);
    strm_credit_put(&rx->told, p);
    while ((x = TAILQ_FIRST(&rx->acks)) != NULL && n + STRM_ACK_MAX <= STRM_CTL_MAX) {
        struct strm_ack a = { .seq = x->seq, .rc = x->rc, .reply = str_from(x->reply, x->nreply) };

        n += strm_ack_put(&a, p + n);
        TAILQ_REMOVE(&rx->acks, x, link);
        obj_put(x);
    }
    return n;
}

static int
send_frame(struct strm_rx *rx, enum strm_type type, size_t n)
{
    struct strm_frame f = { .type = type, .plen = (uint32_t)n, .rlen = (uint32_t)n };
    struct iovec      iov = { rx->out, STRM_FRAME + n };

    f.psum = xxh64(rx->out + STRM_FRAME, n, 0);
    strm_frame_put(&f, rx->out);
    return raw_send(rx->raw, &iov, 1, false, ACK_STALL);
}

/* Something to say, or the time for a sign of life. */
static int
wait_to_say(struct strm_rx *rx)
{
    while (TAILQ_EMPTY(&rx->acks) && !rx->bye_due && !rx->over) {
        int rc = waitq_wait(&rx->say, deadline_in(clock_mono(), STRM_BEAT));

        if (rc == -AIS_E_TIMEOUT && rx->nlive > 0)
            return 0;
        if (rc < 0 && rc != -AIS_E_TIMEOUT)
            return rc;
    }
    fiber_yield(); /* commits end in groups: answer them together */
    return 0;
}

static int
acknowledge(void *arg)
{
    struct strm_rx *rx = arg;
    int             rc = send_frame(rx, STRM_ACK, put_acks(rx)); /* the first credit */

    while (rc == 0 && !(rx->over && TAILQ_EMPTY(&rx->acks))) {
        rc = wait_to_say(rx);
        if (rc == 0 && rx->bye_due) {
            rx->bye_due = false;
            rc = send_frame(rx, STRM_BYE, 0);
        }
        if (rc == 0 && !(rx->over && TAILQ_EMPTY(&rx->acks)))
            rc = send_frame(rx, STRM_ACK, put_acks(rx));
    }
    if (rc < 0)
        raw_break(rx->raw);
    return 0;
}

/* --- connections --- */

static void
grant(struct strm_rx *rx)
{
    bool low = atomic_fetch_add(&rx->s->granted, BYTES) + BYTES > BUDGET;

    rx->window = (struct strm_credit){ low ? OBJS_LOW : OBJS, low ? BYTES_LOW : BYTES };
    rx->told = credit_now(rx);
}

/* Serve the sender until one of us ends. */
static void
serve(struct strm_rx *rx)
{
    struct group out;

    grant(rx);
    group_init(&rx->fns, false);
    group_init(&out, false);
    if (group_start(&out, "strm-ack", acknowledge, rx) < 0 || read_frames(rx) < 0)
        raw_break(rx->raw); /* before the functions end, so that those that wait for the connection do */
    (void)group_wait(&rx->fns);
    rx->over = true;
    waitq_wake_all(&rx->say);
    (void)group_wait(&out);
    atomic_fetch_sub(&rx->s->granted, BYTES);
}

static void
rx_free(struct strm_rx *rx)
{
    struct rx_obj *x;

    TAILQ_CONCAT(&rx->acks, &rx->live, link); /* whose fibers were cancelled before they ran */
    while ((x = TAILQ_FIRST(&rx->acks)) != NULL) {
        TAILQ_REMOVE(&rx->acks, x, link);
        obj_put(x);
    }
    free(rx->packed);
    free(rx->buf);
    free(rx);
}

static struct strm_rx *
rx_new(struct req *r, struct strm_handler *h)
{
    struct strm_rx *rx = calloc(1, sizeof(*rx));

    if (rx == NULL)
        return NULL;
    rx->n = req_node(r);
    rx->s = rx->n->strms;
    rx->h = h;
    str_copyz(str_z(((struct caller *)r->user)->id), rx->from, sizeof(rx->from));
    if (!fence_parse(req_hdr(r, STR_LIT("Ais-Fence")), &rx->fence.f))
        rx->fence.f = node_fence(rx->n);
    waitq_init(&rx->turn);
    waitq_init(&rx->say);
    TAILQ_INIT(&rx->live);
    TAILQ_INIT(&rx->acks);
    rx->buf = malloc(BUF);
    if (rx->buf == NULL) {
        rx_free(rx);
        return NULL;
    }
    return rx;
}

void
h_node_stream(struct req *r)
{
    struct node         *n = req_node(r);
    struct strm_handler *h = strm_handler_find(n->strms, r->item[0]);
    struct strm_rx      *rx;
    struct err           e;
    int                  rc;

    err_clear(&e);
    if (h == NULL) {
        rc = err_set(&e, AIS_E_NOENT, "%s: nobody here takes streams of the name \"%.*s\"", n->name, STR_FMT(r->item[0]));
        resp_err(r, rc, &e);
        return;
    }
    rx = rx_new(r, h);
    rc = rx == NULL ? -AIS_E_NOMEM : resp_upgrade(r, STRM_PROTO, &rx->raw);
    if (rc < 0) {
        resp_err(r, rc, NULL);
    } else {
        views_put(req_views(r)); /* or an old map would be kept as long as the stream is */
        fiber_label("%s from %s", h->name, rx->from);
        serve(rx);
    }
    if (rx != NULL)
        rx_free(rx);
}
