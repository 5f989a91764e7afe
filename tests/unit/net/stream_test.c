/* SPDX-License-Identifier: Apache-2.0 */
/* Streams over a transport that does what a test tells it to. */
#include "unit_net.h"

#include <fcntl.h>

#include "net/stream.h"

/* The next results of the transport: > 0 bytes moved, or STREAM_WANT_*, or an error. The last one repeats. */
struct fake {
    const ssize_t *script;
    size_t         at, n;
    char           out[256];
    size_t         nout, calls;
    bool           more;
};

static struct run *run;

static ssize_t
next(struct stream *s)
{
    struct fake *f = s->priv;
    ssize_t      k = f->script[f->at];

    f->calls++;
    if (f->at + 1 < f->n)
        f->at++;
    if (k == STREAM_WANT_READ)
        s->readable = false;
    return k;
}

static ssize_t
fake_read(struct stream *s, void *p, size_t n)
{
    ssize_t k = next(s);

    if (k > 0)
        memset(p, 'r', (size_t)k);
    UNUSED(n);
    return k;
}

static ssize_t
fake_writev(struct stream *s, const struct iovec *iov, int n, bool more)
{
    struct fake *f = s->priv;
    ssize_t      k = next(s), left = k;

    f->more = more;
    for (int i = 0; i < n && left > 0; i++) {
        size_t part = MIN(iov[i].iov_len, (size_t)left);

        if (part > 0 && f->nout + part <= sizeof(f->out)) {
            memcpy(f->out + f->nout, iov[i].iov_base, part);
            f->nout += part;
        }
        left -= (ssize_t)part;
    }
    return k < 0 ? k : k - left;
}

static ssize_t
fake_sendfile(struct stream *s, int fd, uint64_t off, size_t len)
{
    ssize_t k = next(s);

    UNUSED(fd);
    UNUSED(off);
    return MIN(k, (ssize_t)len);
}

static void
fake_close(struct stream *s)
{
    UNUSED(s);
}

static const struct stream_ops fake_ops = { .read = fake_read, .writev = fake_writev, .sendfile = fake_sendfile, .close = fake_close };

#define FAKE(name, ...)                                                                                                \
    static const ssize_t name##_script[] = { __VA_ARGS__ };                                                            \
    struct fake          name##_fake = { .script = name##_script, .n = ARRAY_SIZE(name##_script) };                   \
    struct stream        name = { .ops = &fake_ops, .loop = loop_self(), .fd = -1, .priv = &name##_fake, .readable = true }

/* An event that happens while the fiber under test waits. */
struct event {
    struct timer   t;
    struct stream *s;
    unsigned       what;
};

static void
event_fires(struct timer *t)
{
    struct event *e = CONTAINER_OF(t, struct event, t);

    stream_happened(e->s, e->what);
}

static void
happens_soon(struct event *e, struct stream *s, unsigned what)
{
    *e = (struct event){ .t.fn = event_fires, .s = s, .what = what };
    timer_arm(loop_self(), &e->t, clock_mono() + MSEC_NS(5));
}

/* --- tests --- */

static void
pieces(struct arena *a)
{
    FAKE(s, 2, STREAM_WANT_WRITE, 3, 100);
    struct iovec iov[4] = { { (char[]){ "abc" }, 3 }, { NULL, 0 }, { (char[]){ "defg" }, 4 }, { NULL, 0 } };
    struct event e;

    UNUSED(a);
    happens_soon(&e, &s, IOW_WRITE);
    assert_int_equal(0, stream_send(&s, iov, 4, true, SEC_NS(5)));
    assert_int_equal(7, s_fake.nout);
    assert_memory_equal("abcdefg", s_fake.out, 7);
    assert_int_equal(7, s.sent);
    assert_true(s_fake.more);
    assert_int_equal(4, s_fake.calls);
}

static void
stalls(struct arena *a)
{
    FAKE(s, 1, STREAM_WANT_WRITE);
    FAKE(r, STREAM_WANT_READ);
    FAKE(b, -AIS_E_CLOSED);
    struct iovec iov = { (char[]){ "abc" }, 3 };
    char         c;

    UNUSED(a);
    assert_int_equal(-AIS_E_TIMEOUT, stream_send(&s, &iov, 1, false, MSEC_NS(5)));
    assert_null(s.wpark);
    assert_int_equal(-AIS_E_TIMEOUT, stream_recv(&r, &c, 1, clock_mono() + MSEC_NS(5)));
    assert_null(r.rpark);
    iov = (struct iovec){ (char[]){ "abc" }, 3 };
    assert_int_equal(-AIS_E_CLOSED, stream_send(&b, &iov, 1, false, SEC_NS(1)));
    assert_int_equal(0, b.sent);
}

static void
edges(struct arena *a)
{
    FAKE(s, STREAM_WANT_READ, 2, STREAM_WANT_READ, 0);
    struct event e;
    char         p[10];

    UNUSED(a);
    happens_soon(&e, &s, IOW_READ);
    assert_int_equal(2, stream_recv(&s, p, sizeof(p), NO_DEADLINE));
    assert_int_equal(STREAM_WANT_READ, stream_recv_now(&s, p, sizeof(p)));
    assert_int_equal(3, s_fake.calls);
    assert_int_equal(STREAM_WANT_READ, stream_recv_now(&s, p, sizeof(p)));
    assert_int_equal(3, s_fake.calls); /* no edge, no call */
    happens_soon(&e, &s, IOW_READ | IOW_HUP);
    assert_int_equal(0, stream_recv(&s, p, sizeof(p), NO_DEADLINE));
    /* after a hang-up nothing is waited for */
    s.readable = false;
    s_fake.at = 2;
    assert_int_equal(-AIS_E_CLOSED, stream_recv(&s, p, sizeof(p), NO_DEADLINE));
}

static void
files(struct arena *a)
{
    FAKE(s, 3, STREAM_WANT_WRITE, 10000);
    FAKE(cut, 3, 0);
    FAKE(copied, -AIS_E_UNSUPP, 100);
    struct event e;
    char         path[] = "/tmp/ais-stream-XXXXXX";
    int          fd = mkstemp(path);

    UNUSED(a);
    unlink(path);
    assert_int_equal(100, write(fd, (char[100]){ "file" }, 100));
    happens_soon(&e, &s, IOW_WRITE);
    assert_int_equal(0, stream_sendfile(&s, fd, 0, 100, false, SEC_NS(5)));
    assert_int_equal(100, s.sent);
    assert_int_equal(-AIS_E_IO, stream_sendfile(&cut, fd, 0, 100, false, SEC_NS(5)));
    assert_int_equal(0, stream_sendfile(&copied, fd, 0, 100, false, SEC_NS(5)));
    assert_memory_equal("file", copied_fake.out, 4);
    copied_fake.at = 0;
    assert_int_equal(-AIS_E_IO, stream_sendfile(&copied, fd, 50, 100, true, SEC_NS(5))); /* through memory: it is shorter */
    close(fd);
}

static _Atomic int others;

static void
other_main(void *arg)
{
    UNUSED(arg);
    others++;
}

/* However fast the peer is, the loop is not its own. */
static void
shares(struct arena *a)
{
    FAKE(in, 65536);
    FAKE(out, 65536);
    FAKE(file, 1 << 20);
    static char  buf[65536];
    struct iovec iov;
    int          fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

    UNUSED(a);
    others = 0;
    fiber_spawn(loop_self(), "other", other_main, NULL);
    for (int i = 0; i < 100; i++)
        assert_int_equal(65536, stream_recv(&in, buf, sizeof(buf), NO_DEADLINE));
    assert_int_equal(1, others);
    fiber_spawn(loop_self(), "other", other_main, NULL);
    for (int i = 0; i < 100; i++) {
        iov = (struct iovec){ buf, sizeof(buf) };
        assert_int_equal(0, stream_send(&out, &iov, 1, false, SEC_NS(5)));
    }
    assert_int_equal(2, others);
    fiber_spawn(loop_self(), "other", other_main, NULL);
    assert_int_equal(0, stream_sendfile(&file, fd, 0, 10 << 20, false, SEC_NS(5)));
    assert_int_equal(3, others);
    close(fd);
}

static void
what_is_sent_in_pieces_arrives_whole(void **state)
{
    UNUSED(state);
    on_fiber(run, pieces);
}

static void
waits_end_and_leave_nothing_behind(void **state)
{
    UNUSED(state);
    on_fiber(run, stalls);
}

static void
readiness_is_remembered(void **state)
{
    UNUSED(state);
    on_fiber(run, edges);
}

static void
files_go_by_the_transport_or_through_memory(void **state)
{
    UNUSED(state);
    on_fiber(run, files);
}

static void
a_fast_peer_does_not_keep_the_loop(void **state)
{
    UNUSED(state);
    on_fiber(run, shares);
}

static int
setup(void **state)
{
    struct run_conf c = { .nloops = 1, .tag = "test" };

    UNUSED(state);
    assert_int_equal(0, run_new(&c, &run));
    run_start(run);
    return 0;
}

static int
teardown(void **state)
{
    struct hclient_conf k = { .user_agent = "test" };
    struct hclient     *hc;

    UNUSED(state);
    assert_int_equal(0, hclient_new(run, &k, &hc));
    run_stop(run, SEC_NS(5));
    hclient_free(hc); /* and the pools that copying used */
    run_free(run);
    return 0;
}

int
main(void)
{
#define T(f) cmocka_unit_test(f)
    const struct CMUnitTest tests[] = {
        T(what_is_sent_in_pieces_arrives_whole),
        T(waits_end_and_leave_nothing_behind),
        T(readiness_is_remembered),
        T(files_go_by_the_transport_or_through_memory),
        T(a_fast_peer_does_not_keep_the_loop),
    };

    return cmocka_run_group_tests_name("stream", tests, setup, teardown);
}
