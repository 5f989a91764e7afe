/* SPDX-License-Identifier: Apache-2.0 */
/* Streams between two nodes: what arrives and what is answered; credits, order, damage, breaks, refusals, senders that misbehave. */
#include "unit.h"

#include <fcntl.h>

#include "base/failpoint.h"
#include "codec/cksum.h"
#include "core/strmtx.c"
#include "cluster.h"

#define FROM (c->node[1])
#define TO   (c->node[2])

static struct cluster *c;

/* --- objects whose receiver can check them --- */

struct meta {
    uint32_t num, what; /* what: a bit of those below */
    uint64_t size, seed;
};
#define W_REFUSE  1u /* the function returns at once */
#define W_REPLY   2u /* it answers its number */
#define W_WAIT    4u /* it waits for the gate */
#define W_UNKNOWN 8u
#define W_PLAIN   16u /* what LZ4 can do something with */

struct out {
    struct strm_obj o;
    struct meta     m;
    char           *mem;
    _Atomic uint64_t at; /* next */
    size_t          step;
    int             fd, fail; /* fail: what next returns in the middle */
    int             rc;
    uint32_t        reply;
    _Atomic bool    done;
};

static char
byte_at(const struct meta *m, uint64_t i)
{
    uint64_t z = (m->seed + i) * 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    return m->what & W_PLAIN ? (char)(i >> 10) : (char)(z >> 56);
}

static void
fill_bytes(const struct meta *m, char *p, uint64_t off, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = byte_at(m, off + i);
}

/* --- the receiver --- */

static _Atomic int      taken, wrong, errors, live, live_max, early;
static _Atomic uint32_t next_num;
static _Atomic bool     in_order = true, gate;
static _Atomic int64_t  came; /* body bytes that functions saw */

static void
sink_reset(void)
{
    taken = wrong = errors = live = live_max = early = 0;
    next_num = 0;
    in_order = true;
    gate = false;
    came = 0;
}

static int
sink_body(struct strm_in *in, const struct meta *m)
{
    char    *buf = xmalloc(100000);
    uint64_t at = 0;
    ssize_t  k;

    while ((k = at % 3 == 0 ? strm_read(in, buf, 100000) : strm_read(in, buf, 777)) > 0) {
        for (ssize_t i = 0; i < k; i++)
            wrong += buf[i] != byte_at(m, at + (uint64_t)i);
        at += (uint64_t)k;
        came += k;
    }
    free(buf);
    if (k == 0)
        wrong += at != m->size;
    return (int)k;
}

static int
sink(struct strm_in *in, void *ctx)
{
    struct meta m;
    int         rc = 0, now = ++live;

    (void)ctx;
    live_max = MAX((int)live_max, now);
    memcpy(&m, in->hdr.p, sizeof(m));
    wrong += in->hdr.n != sizeof(m) || strcmp(in->from, "target-node-1") != 0 || in->n != TO;
    wrong += in->size != (m.what & W_UNKNOWN ? STRM_UNKNOWN : m.size);
    if (m.num != next_num)
        in_order = false;
    next_num = m.num + 1;
    while ((m.what & W_WAIT) && !gate && rc == 0)
        rc = fiber_sleep(MSEC_NS(2));
    if (m.what & W_REPLY)
        wrong += strm_reply(in, &m.num, sizeof(m.num)) != 0;
    if (m.what & W_REFUSE) {
        early++;
        rc = -AIS_E_NOSPACE;
    }
    if (rc == 0)
        rc = sink_body(in, &m);
    taken += rc == 0;
    errors += rc != 0;
    live--;
    return rc;
}

/* Whatever comes. */
static int
drink(struct strm_in *in, void *ctx)
{
    char    buf[100];
    ssize_t k;

    (void)ctx;
    do {
        k = strm_read(in, buf, sizeof(buf));
    } while (k > 0);
    return (int)k;
}

/* --- the sender --- */

static void
on_done(struct strm_obj *o, int rc, struct str reply)
{
    struct out *x = CONTAINER_OF(o, struct out, o);

    x->rc = rc;
    if (reply.n == sizeof(x->reply))
        memcpy(&x->reply, reply.p, sizeof(x->reply));
    x->done = true;
}

static int
next_piece(struct strm_obj *o, struct strm_piece *p)
{
    struct out *x = CONTAINER_OF(o, struct out, o);
    size_t      n = (size_t)MIN((uint64_t)x->step, x->m.size - x->at);

    if (x->fail < 0 && x->at > 0)
        return x->fail;
    *p = (struct strm_piece){ .fd = -1 };
    if (n == 0)
        return 0;
    if (x->fd >= 0) {
        *p = (struct strm_piece){ .fd = x->fd, .off = x->at, .len = n };
    } else {
        fill_bytes(&x->m, x->mem, x->at, n);
        *p = (struct strm_piece){ .mem = x->mem, .fd = -1, .len = n };
    }
    x->at += n;
    return 0;
}

/* Memory in one piece. */
static struct out *
out_new(uint32_t num, uint64_t size, unsigned what, unsigned flags)
{
    struct out *x = xcalloc(1, sizeof(*x));

    x->m = (struct meta){ .num = num, .what = what, .size = size, .seed = num * 977 };
    x->fd = -1;
    x->mem = xmalloc(MAX(size, (uint64_t)1));
    fill_bytes(&x->m, x->mem, 0, size);
    x->o = (struct strm_obj){ .hdr = str_from((char *)&x->m, sizeof(x->m)), .size = size, .done = on_done, .flags = flags,
                              .body = { .mem = x->mem, .fd = -1 } };
    return x;
}

static struct out *
out_pieces(uint32_t num, uint64_t size, unsigned what, unsigned flags, size_t step)
{
    struct out *x = out_new(num, size, what, flags);

    x->step = step;
    x->o.next = next_piece;
    if (what & W_UNKNOWN)
        x->o.size = STRM_UNKNOWN;
    return x;
}

/* A file, in one piece or several. */
static struct out *
out_file(uint32_t num, uint64_t size, unsigned flags, size_t step)
{
    struct out *x = out_pieces(num, size, 0, flags, step);
    char        name[] = "/tmp/ais-strm-XXXXXX";

    x->fd = mkstemp(name);
    unlink(name);
    assert_true(write(x->fd, x->mem, size) == (ssize_t)size);
    x->o.body = (struct strm_piece){ .fd = x->fd };
    if (step == 0)
        x->o.next = NULL;
    return x;
}

static void
out_free(struct out *x)
{
    if (x->fd >= 0)
        close(x->fd);
    free(x->mem);
    free(x);
}

struct send {
    struct node *n;
    const char  *to, *name;
    struct out **x;
    unsigned     n_x;
    int64_t      wait;
    int          rc; /* of the last one */
};

static void
send_run(void *arg)
{
    struct send *s = arg;
    struct views v;
    struct snode to;

    views_get(s->n, &v);
    to = *smap_find(v.smap, str_z(s->to));
    views_put(&v);
    for (unsigned i = 0; i < s->n_x; i++)
        s->rc = strm_send(s->n, &to, s->name, &s->x[i]->o, s->wait == 0 ? 0 : deadline_in(clock_mono(), s->wait));
}

static int
send_to(const char *to, const char *name, struct out **x, unsigned n, int64_t wait)
{
    struct send s = { FROM, to, name, x, n, wait, 0 };

    on_fiber(FROM->run, 0, send_run, &s);
    return s.rc;
}

static int
send_all(struct out **x, unsigned n)
{
    return send_to("target-node-2", "test", x, n, SEC_NS(20));
}

/* Send and wait; the code of its end. */
static int
send_one(struct out *x)
{
    int rc;

    x->done = false;
    rc = send_all(&x, 1);
    if (rc == 0)
        WITHIN(x->done);
    return rc < 0 ? rc : x->rc;
}

static int
send_and_free(struct out *x)
{
    int rc = send_one(x);

    out_free(x);
    return rc;
}

static int
setup(void **state)
{
    (void)state;
    sink_reset();
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    return failpoint_compiled_in() ? failpoint_arm(STR_LIT("")) : 0;
}

/* --- what arrives --- */

static void
many_small_ones_arrive_in_order_and_are_answered(void **state)
{
    enum { N = 5000 };
    struct out **x = xcalloc(N, sizeof(*x));

    (void)state;
    for (unsigned i = 0; i < N; i++)
        x[i] = out_new(i, i * 37 % 5000, i % 10 == 9 ? W_REFUSE | W_REPLY : W_REPLY, 0);
    assert_int_equal(0, send_all(x, N));
    for (unsigned i = 0; i < N; i++) {
        WITHIN(x[i]->done);
        assert_int_equal(i % 10 == 9 ? -AIS_E_NOSPACE : 0, x[i]->rc);
        assert_int_equal(i, x[i]->reply);
        out_free(x[i]);
    }
    assert_int_equal(N - N / 10, taken);
    assert_int_equal(0, wrong);
    assert_true(in_order);
    free(x);
}

static void
bodies_of_every_kind_arrive_whole(void **state)
{
    static const uint64_t size[] = { 0, 1, 511, STRM_SMALL - 1, STRM_SMALL, STRM_SMALL + 1, 3 * STRM_SMALL, 9 * MIB + 5 };
    static const unsigned flags[] = { 0, STRM_LZ4, STRM_OWN_SUM, STRM_LZ4 | STRM_OWN_SUM };
    uint32_t              num = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(size); i++)
        for (size_t k = 0; k < ARRAY_SIZE(flags); k++) {
            assert_int_equal(0, send_and_free(out_new(num++, size[i], 0, flags[k])));
            assert_int_equal(0, send_and_free(out_new(num++, size[i], W_PLAIN, flags[k])));
            assert_int_equal(0, send_and_free(out_pieces(num++, size[i], 0, flags[k], 100001)));
            assert_int_equal(0, send_and_free(out_pieces(num++, size[i], W_UNKNOWN | W_PLAIN, flags[k], 300000)));
            assert_int_equal(0, send_and_free(out_file(num++, size[i], flags[k], 0)));
            assert_int_equal(0, send_and_free(out_file(num++, size[i], flags[k], 5 * MIB)));
        }
    assert_int_equal(num, taken);
    assert_int_equal(0, wrong);
    assert_true(in_order);
}

/* All at once: large ones between small ones. */
static void
large_and_small_mix(void **state)
{
    enum { N = 60 };
    struct out *x[N];

    (void)state;
    for (unsigned i = 0; i < N; i++)
        x[i] = i % 7 == 3 ? out_new(i, MIB + i, 0, i % 2 ? STRM_OWN_SUM : STRM_LZ4) : out_new(i, 3000 + i, W_PLAIN, STRM_LZ4);
    assert_int_equal(0, send_all(x, N));
    for (unsigned i = 0; i < N; i++) {
        WITHIN(x[i]->done);
        assert_int_equal(0, x[i]->rc);
        out_free(x[i]);
    }
    assert_int_equal(N, taken);
    assert_int_equal(0, wrong);
    assert_true(in_order);
}

static void
what_gets_smaller_is_sent_compressed(void **state)
{
    struct strm_tx tx = { 0 };
    struct out    *plain = out_new(0, 200000, W_PLAIN, STRM_LZ4), *dense = out_new(0, 200000, 0, STRM_LZ4);
    const char    *p;

    (void)state;
    assert_true(squeeze(&tx, &plain->o, plain->mem, 200000, &p) < 20000 && p == tx.packed);
    assert_int_equal(STRM_LZ4_MIN - 1, squeeze(&tx, &plain->o, plain->mem, STRM_LZ4_MIN - 1, &p));
    assert_int_equal(200000, squeeze(&tx, &dense->o, dense->mem, 200000, &p));
    assert_ptr_equal(dense->mem, p);
    plain->o.flags = 0;
    assert_int_equal(200000, squeeze(&tx, &plain->o, plain->mem, 200000, &p));
    free(tx.packed);
    out_free(plain);
    out_free(dense);
}

static void
who_does_not_want_an_object_does_not_get_all_of_it(void **state)
{
    struct out *x = out_pieces(0, 200 * MIB, W_REFUSE, 0, 100000);

    (void)state;
    assert_int_equal(-AIS_E_NOSPACE, send_one(x));
    assert_true(x->at < 150 * MIB);
    out_free(x);
    assert_int_equal(0, send_and_free(out_new(1, 1000, 0, 0))); /* the connection is in step */
    assert_int_equal(1, taken);
    assert_int_equal(0, wrong);
}

static void
a_body_that_cannot_be_read_ends_alone(void **state)
{
    struct out *large = out_pieces(0, 4 * MIB, 0, 0, 100000), *small = out_pieces(1, 5000, 0, 0, 1000), *cut = out_file(2, MIB, STRM_OWN_SUM, 0);

    (void)state;
    large->fail = small->fail = -AIS_E_IO;
    assert_int_equal(-AIS_E_IO, send_and_free(large));
    assert_int_equal(-AIS_E_IO, send_and_free(small));
    WITHIN(errors == 1); /* of the small one nothing was sent */
    assert_int_equal(0, ftruncate(cut->fd, 1000));
    assert_int_equal(-AIS_E_IO, send_and_free(cut));
    WITHIN(errors == 2);
    assert_int_equal(0, send_and_free(out_new(3, 10, 0, 0)));
    assert_int_equal(1, taken);
}

/* --- flow --- */

static void
more_than_the_credit_waits_and_senders_wait_for_room(void **state)
{
    enum { N = 2000 };
    struct out **x = xcalloc(N, sizeof(*x)), *late = out_new(N, 10, 0, 0);
    unsigned     k;

    (void)state;
    for (unsigned i = 0; i < N; i++)
        x[i] = out_new(i, 100, W_WAIT, 0);
    for (k = 0; k < N && send_to("target-node-2", "test", x + k, 1, 0) == 0; k++)
        ;
    assert_in_range(k, 1000, 1400); /* what waits, and what is under way */
    assert_int_equal(-AIS_E_AGAIN, send_to("target-node-2", "test", &late, 1, 0));
    assert_int_equal(-AIS_E_TIMEOUT, send_to("target-node-2", "test", &late, 1, MSEC_NS(50)));
    WITHIN(live == 256);
    gate = true;
    assert_int_equal(0, send_all(x + k, N - k));
    assert_int_equal(0, send_one(late));
    for (unsigned i = 0; i < N; i++) {
        WITHIN(x[i]->done);
        assert_int_equal(0, x[i]->rc);
        out_free(x[i]);
    }
    assert_int_equal(256, live_max);
    assert_true(in_order);
    out_free(late);
    free(x);
}

static void
bytes_have_a_credit_too(void **state)
{
    enum { N = 40 };
    struct out *x[N];

    (void)state;
    for (unsigned i = 0; i < N; i++)
        x[i] = out_new(i, STRM_SMALL, W_WAIT, 0);
    assert_int_equal(0, send_all(x, N));
    WITHIN(live == 16); /* 4 MiB */
    gate = true;
    for (unsigned i = 0; i < N; i++) {
        WITHIN(x[i]->done);
        assert_int_equal(0, x[i]->rc);
        out_free(x[i]);
    }
    assert_int_equal(16, live_max);
    assert_int_equal(0, wrong);
}

/* --- ends --- */

static struct snode
peer_of(struct node *n, const char *id)
{
    struct views v;
    struct snode s;

    views_get(n, &v);
    s = *smap_find(v.smap, str_z(id));
    views_put(&v);
    return s;
}

static void
nobody_handles_the_name(void **state)
{
    struct out *x = out_new(0, 10, 0, 0);

    (void)state;
    assert_int_equal(0, send_to("target-node-2", "other", &x, 1, SEC_NS(1)));
    WITHIN(x->done);
    assert_int_equal(-AIS_E_NOENT, x->rc);
    out_free(x);
}

static void
what_is_not_an_object_is_not_taken(void **state)
{
    struct out *x = out_new(0, 10, 0, 0);

    (void)state;
    assert_int_equal(-AIS_E_INVAL, send_to("target-node-2", "a-name-that-is-too-long", &x, 1, SEC_NS(1)));
    assert_int_equal(-AIS_E_INVAL, send_to("target-node-2", "", &x, 1, SEC_NS(1)));
    x->o.size = STRM_UNKNOWN;
    assert_int_equal(-AIS_E_INVAL, send_all(&x, 1));
    x->o.size = 10;
    x->o.hdr.n = STRM_HDR_MAX + 1;
    assert_int_equal(-AIS_E_TOOBIG, send_all(&x, 1));
    assert_false(x->done);
    out_free(x);
}

static void
cancel_run(void *arg)
{
    struct out **x = arg;

    for (; *x != NULL; x++)
        strm_cancel(&(*x)->o);
}

/* In the queue, under way, and being written. */
static void
what_is_taken_back_ends_and_the_rest_goes_on(void **state)
{
    enum { N = 300 };
    struct out *x[N], *back[4] = { 0 }, *large = out_pieces(N, 500 * MIB, W_WAIT, 0, 100000), *last = out_new(N + 1, 10, 0, 0);

    (void)state;
    for (unsigned i = 0; i < N; i++)
        x[i] = out_new(i, 100, W_WAIT, 0);
    assert_int_equal(0, send_all(x, N));
    WITHIN(live == 256);
    back[0] = x[10];
    back[1] = x[299];
    on_fiber(FROM->run, 0, cancel_run, back);
    assert_true(x[10]->done && x[299]->done);
    assert_int_equal(-AIS_E_CANCELED, x[10]->rc);
    assert_int_equal(-AIS_E_CANCELED, x[299]->rc);
    gate = true;
    for (unsigned i = 0; i < N; i++) {
        WITHIN(x[i]->done);
        assert_int_equal(i == 10 || i == 299 ? -AIS_E_CANCELED : 0, x[i]->rc);
        out_free(x[i]);
    }
    gate = false;
    assert_int_equal(0, send_all(&large, 1));
    WITHIN(large->at > 0 && live == 1);
    back[0] = large;
    back[1] = NULL;
    on_fiber(FROM->run, 0, cancel_run, back);
    gate = true;
    WITHIN(large->done);
    assert_int_equal(-AIS_E_CANCELED, large->rc);
    assert_int_equal(0, send_one(last));
    out_free(large);
    out_free(last);
    assert_int_equal(0, wrong);
}

struct call_arg {
    struct out *x;
    int64_t     wait;
    int         rc;
    uint32_t    reply;
    size_t      n;
};

static void
call_run(void *arg)
{
    struct call_arg *a = arg;
    struct snode     to = peer_of(FROM, "target-node-2");

    a->n = sizeof(a->reply);
    a->rc = strm_call(FROM, &to, "test", &a->x->o, &a->reply, &a->n, deadline_in(clock_mono(), a->wait));
}

static void
a_call_waits_for_the_answer_or_its_deadline(void **state)
{
    struct call_arg a = { .x = out_new(7, 1000, W_REPLY, 0), .wait = SEC_NS(10) }, b = { .x = out_new(8, 10, W_WAIT, 0), .wait = MSEC_NS(50) };

    (void)state;
    on_fiber(FROM->run, 0, call_run, &a);
    assert_int_equal(0, a.rc);
    assert_int_equal(sizeof(a.reply), a.n);
    assert_int_equal(7, a.reply);
    on_fiber(FROM->run, 0, call_run, &b);
    assert_int_equal(-AIS_E_TIMEOUT, b.rc);
    gate = true;
    WITHIN(live == 0);
    out_free(a.x);
    out_free(b.x);
}

static void
unhandle_run(void *arg)
{
    strm_unhandle(TO, arg);
}

static void
open_gate_soon(void *arg)
{
    (void)arg;
    (void)fiber_sleep(MSEC_NS(50));
    gate = true;
}

static void
a_name_is_given_up_when_its_function_has_returned(void **state)
{
    struct out *x = out_new(0, 10, W_WAIT, 0);

    (void)state;
    assert_int_equal(-AIS_E_EXISTS, strm_handle(TO, "test", sink, NULL));
    assert_int_equal(0, send_all(&x, 1));
    WITHIN(live == 1);
    assert_int_equal(0, fiber_spawn(run_loop(TO->run, 0), "gate", open_gate_soon, NULL));
    on_fiber(TO->run, 0, unhandle_run, (void *)(uintptr_t)"test");
    assert_int_equal(0, live);
    WITHIN(x->done);
    assert_int_equal(0, x->rc);
    out_free(x);
    assert_int_equal(-AIS_E_NOENT, send_and_free(out_new(1, 10, 0, 0)));
    assert_int_equal(-AIS_E_NOENT, send_and_free(out_new(2, 9 * MIB, 0, 0)));
    assert_int_equal(0, strm_handle(TO, "test", sink, NULL));
    assert_int_equal(0, send_and_free(out_new(3, 10, 0, 0)));
}

static void
a_connection_without_work_closes_and_opens_again(void **state)
{
    (void)state;
    assert_int_equal(0, send_and_free(out_new(0, 10, 0, 0)));
    WITHIN(atomic_load(&TO->strms->granted) == 0); /* idle_teardown: one second */
    assert_int_equal(0, send_and_free(out_new(1, 10, 0, 0)));
    assert_int_equal(2, taken);
}

/* --- faults --- */

static void
fail_at(const char *what)
{
    assert_int_equal(0, failpoint_arm(str_z(what)));
}

static void
damage_is_answered_and_hurts_nobody_else(void **state)
{
    (void)state;
    if (!failpoint_compiled_in())
        skip();
    for (unsigned i = 0; i < 4; i++) {
        fail_at("strm.tx.damage=0:1");
        assert_int_equal(-AIS_E_CKSUM, send_and_free(out_new(2 * i, i % 2 ? MIB : 5000, W_PLAIN, i / 2 ? STRM_LZ4 : 0)));
        assert_int_equal(0, send_and_free(out_new(2 * i + 1, i % 2 ? MIB : 5000, W_PLAIN, i / 2 ? STRM_LZ4 : 0)));
    }
    assert_int_equal(4, taken);
}

static void
a_broken_connection_fails_what_was_under_way_and_the_rest_goes_over_the_next(void **state)
{
    enum { N = 600 };
    struct out **x = xcalloc(N, sizeof(*x));
    unsigned     lost = 0;

    (void)state;
    if (!failpoint_compiled_in())
        skip();
    for (unsigned i = 0; i < N; i++)
        x[i] = out_new(i, i == 100 ? 2 * MIB : 100, W_WAIT, 0);
    fail_at("strm.tx.break=3:1");
    assert_int_equal(0, send_all(x, N));
    gate = true;
    for (unsigned i = 0; i < N; i++) {
        WITHIN(x[i]->done);
        assert_true(x[i]->rc == 0 || (x[i]->rc == -AIS_E_UNAVAIL && i <= 256));
        lost += x[i]->rc != 0;
        out_free(x[i]);
    }
    assert_true(lost > 0);
    assert_int_equal(0, wrong);
    free(x);
}

static void
a_peer_that_is_gone_fails_soon_and_stalls_nobody(void **state)
{
    enum { N = 100 };
    struct out *gone[N], *fine[N];

    (void)state;
    for (unsigned i = 0; i < N; i++) {
        gone[i] = out_new(i, 100000, 0, 0);
        fine[i] = out_new(i, 100000, 0, 0);
    }
    cl_down(c, 0);
    for (unsigned i = 0; i < N; i++) {
        int rc = send_to("proxy-node-0", "test", &gone[i], 1, SEC_NS(5));

        assert_true(rc == 0 || rc == -AIS_E_UNAVAIL);
        gone[i]->done = gone[i]->done || rc < 0;
        assert_int_equal(0, send_all(&fine[i], 1));
    }
    for (unsigned i = 0; i < N; i++) {
        WITHIN(fine[i]->done && gone[i]->done);
        assert_int_equal(0, fine[i]->rc);
        assert_true(gone[i]->rc == 0 || gone[i]->rc == -AIS_E_UNAVAIL);
        out_free(fine[i]);
        out_free(gone[i]);
    }
    assert_int_equal(N, taken);
    cl_up(c, 0);
    WITHIN(cl_is_up(c->node[0]));
}

/* --- senders that do not keep to the protocol --- */

struct bad {
    const char       *name;
    struct strm_frame f[3];
    unsigned          n;
    bool              junk; /* bytes that are no frame */
    /* filled in */
    int rc;
};

static int
put_frames(struct raw *w, const struct bad *b)
{
    char         buf[3 * STRM_FRAME + 64] = { 0 };
    struct iovec iov = { buf, 0 };

    for (unsigned i = 0; i < b->n; i++) {
        struct strm_frame f = b->f[i];

        f.psum = xxh64("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", f.hlen + f.plen, 0);
        strm_frame_put(&f, buf + iov.iov_len);
        iov.iov_len += STRM_FRAME + f.hlen + f.plen;
    }
    if (b->junk) {
        memset(buf, 'x', STRM_FRAME);
        iov.iov_len = STRM_FRAME;
    }
    return raw_send(w, &iov, 1, false, SEC_NS(5));
}

/* Send them by hand and see how the connection ends. */
static void
bad_run(void *arg)
{
    struct bad      *b = arg;
    struct arena    *a = arena_new(4096, 1 * MIB);
    struct strm_out *o = xcalloc(1, sizeof(*o));
    struct raw      *w = NULL;
    struct err       e;
    char             buf[1000];
    ssize_t          k;

    *o = (struct strm_out){ .n = FROM, .to = peer_of(FROM, "target-node-2"), .name = "test" };
    b->rc = tx_connect(o, a, &w, &e);
    if (b->rc == 0)
        b->rc = put_frames(w, b);
    if (b->rc == 0) {
        do {
            k = raw_recv(w, buf, sizeof(buf), deadline_in(clock_mono(), SEC_NS(5)));
        } while (k > 0);
        b->rc = (int)k;
    }
    raw_close(w);
    free(o);
    arena_free(a);
}

static void
a_sender_that_does_not_keep_to_the_protocol_is_cut_off(void **state)
{
#define OBJ_S(seq_, size_) { .type = STRM_OBJ, .flags = STRM_F_STREAMED, .hlen = 0, .seq = (seq_), .size = (size_) }
#define DATA(seq_, len_, last_) { .type = STRM_DATA, .seq = (seq_), .plen = (len_), .rlen = (len_), .flags = (last_) ? STRM_F_LAST : 0 }
    struct bad bad[] = {
        { .name = "junk", .junk = true },
        { .name = "out of order", .f = { { .type = STRM_OBJ, .seq = 1 } }, .n = 1 },
        { .name = "twice", .f = { { .type = STRM_OBJ, .seq = 0 }, { .type = STRM_OBJ, .seq = 0 } }, .n = 2 },
        { .name = "data of nothing", .f = { DATA(0, 5, true) }, .n = 1 },
        { .name = "an answer", .f = { { .type = STRM_ACK, .plen = 16, .rlen = 16 } }, .n = 1 },
        { .name = "a fence of another length", .f = { { .type = STRM_FENCE, .plen = 5, .rlen = 5 } }, .n = 1 },
        { .name = "too long", .f = { OBJ_S(0, 9), DATA(0, 10, true) }, .n = 2 },
        { .name = "too short", .f = { OBJ_S(0, 9), DATA(0, 8, true) }, .n = 2 },
        { .name = "no last block", .f = { OBJ_S(0, 9), DATA(0, 9, false) }, .n = 2 },
        { .name = "empty block", .f = { OBJ_S(0, 9), DATA(0, 0, false) }, .n = 2 },
        { .name = "an object inside", .f = { OBJ_S(0, 9), { .type = STRM_OBJ, .seq = 1 } }, .n = 2 },
        { .name = "another's data", .f = { OBJ_S(0, 9), DATA(1, 9, true) }, .n = 2 },
        { .name = "another's end", .f = { OBJ_S(0, 9), { .type = STRM_ABORT, .seq = 1 } }, .n = 2 },
    };

    (void)state;
    strm_handler_find(TO->strms, STR_LIT("test"))->fn = drink;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        on_fiber(FROM->run, 0, bad_run, &bad[i]);
        if (bad[i].rc != -AIS_E_CLOSED)
            fail_msg("%s: %d", bad[i].name, bad[i].rc);
    }
    strm_handler_find(TO->strms, STR_LIT("test"))->fn = sink;
    assert_int_equal(0, send_and_free(out_new(0, 10, 0, 0)));
}

/* --- terms, and the end of nodes --- */

static void
what_an_older_term_sends_is_refused(void **state)
{
    struct cons_fence f = node_fence(TO), ahead = { f.epoch, f.term + 1 };
    struct out       *x = out_new(1, 10, 0, 0);

    (void)state;
    assert_int_equal(0, send_and_free(out_new(0, 10, 0, 0)));
    fence_check(TO, ahead); /* it has heard of a newer one; the connection is open */
    assert_int_equal(-AIS_E_CONFLICT, send_one(x));
    assert_int_equal(1, taken);
    fence_check(FROM, ahead);
    assert_int_equal(0, send_one(x)); /* the next batch says so */
    assert_int_equal(2, taken);
    out_free(x);
}

static void
a_receiver_that_stops_answers_what_it_has(void **state)
{
    enum { N = 400 };
    struct out *x[N];
    unsigned    lost = 0;

    (void)state;
    for (unsigned i = 0; i < N; i++)
        x[i] = out_new(i, 100, W_WAIT, 0);
    assert_int_equal(0, send_all(x, N));
    WITHIN(live == 256);
    assert_int_equal(0, fiber_spawn(run_loop(FROM->run, 0), "gate", open_gate_soon, NULL));
    cl_down(c, 2);
    for (unsigned i = 0; i < N; i++) {
        WITHIN(x[i]->done);
        assert_int_equal(i < 256 ? 0 : -AIS_E_UNAVAIL, x[i]->rc);
        lost += x[i]->rc != 0;
        out_free(x[i]);
    }
    assert_int_equal(N - 256, lost);
    cl_up(c, 2);
    WITHIN(cl_is_up(TO) && cl_is_up(FROM));
    assert_int_equal(0, strm_handle(TO, "test", sink, NULL));
    sink_reset();
    WITHIN(send_and_free(out_new(0, 10, 0, 0)) == 0);
}

static void
a_sender_that_stops_accounts_for_everything(void **state)
{
    enum { N = 400 };
    struct out *x[N];

    (void)state;
    for (unsigned i = 0; i < N; i++)
        x[i] = out_new(i, i == 200 ? 20 * MIB : 100, W_WAIT, 0);
    assert_int_equal(0, send_all(x, N));
    WITHIN(live == 201);
    cl_down(c, 1);
    for (unsigned i = 0; i < N; i++) {
        assert_true(x[i]->done);
        assert_int_equal(-AIS_E_CANCELED, x[i]->rc);
        out_free(x[i]);
    }
    WITHIN(live == 0); /* they are told that it is gone */
    cl_up(c, 1);
    WITHIN(cl_is_up(FROM));
}

static int
cluster_up(void **state)
{
    (void)state;
    c = cl_new(",\"transport\":{\"idle_teardown\":\"1s\"}");
    return strm_handle(TO, "test", sink, NULL);
}

static int
cluster_down(void **state)
{
    (void)state;
    cl_free(c);
    return 0;
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(many_small_ones_arrive_in_order_and_are_answered),
        TEST(bodies_of_every_kind_arrive_whole),
        TEST(large_and_small_mix),
        TEST(what_gets_smaller_is_sent_compressed),
        TEST(who_does_not_want_an_object_does_not_get_all_of_it),
        TEST(a_body_that_cannot_be_read_ends_alone),
        TEST(more_than_the_credit_waits_and_senders_wait_for_room),
        TEST(bytes_have_a_credit_too),
        TEST(nobody_handles_the_name),
        TEST(what_is_not_an_object_is_not_taken),
        TEST(what_is_taken_back_ends_and_the_rest_goes_on),
        TEST(a_call_waits_for_the_answer_or_its_deadline),
        TEST(a_name_is_given_up_when_its_function_has_returned),
        TEST(a_connection_without_work_closes_and_opens_again),
        TEST(damage_is_answered_and_hurts_nobody_else),
        TEST(a_broken_connection_fails_what_was_under_way_and_the_rest_goes_over_the_next),
        TEST(a_peer_that_is_gone_fails_soon_and_stalls_nobody),
        TEST(a_sender_that_does_not_keep_to_the_protocol_is_cut_off),
        TEST(a_receiver_that_stops_answers_what_it_has),
        TEST(a_sender_that_stops_accounts_for_everything),
        TEST(what_an_older_term_sends_is_refused),
    };

    return cmocka_run_group_tests_name("strm", tests, cluster_up, cluster_down);
}
