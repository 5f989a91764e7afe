/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several servers of one group in one thread, on virtual time, under a seed: what a group promises when the network, the disks and the
 * processes do what they like. At every event of every run:
 *  - commands are applied in the same order everywhere, and a snapshot is a beginning of that order;
 *  - a term has one leader at most; two leases never overlap, though clocks differ by two percent;
 *  - a leader under its lease has everything that anybody has applied;
 * and at the end, when everything is whole again: one leader, all servers equal, what was answered is there once and in an order that
 * the proposers can explain, what was refused is not there.
 *
 * CONS_RIG_SEEDS=N (more seeds), CONS_RIG_SEED=S (this one only).
 */
#include "unit.h"

#include "run/offload.h"
#include "run/run.h"

static uint64_t rig_rand(void);
static void     rig_done(struct wjob *j, int rc);

#define rand_u64    rig_rand
#define worker_done rig_done
#include "core/raftlog.c"
#undef ENTRY_HEAD
#undef SNAP_HEAD
#include "core/raftio.c"
#include "core/consensus.c"
#undef rand_u64
#undef worker_done

#include "on_fiber.h"

#define HOSTS   5
#define PROPS   20000
#define TERMS   4096
#define DEFAULT 25

struct rig;

struct host {
    struct rig *rig;
    char        id[2];
    char       *dir;
    struct cons *c;
    bool        witness, told;
    int64_t     off, tick_at, stall; /* its clock; when it turns by itself; stopped until then */
    int         ppm;                 /* how wrong its clock runs */
    unsigned    n;                   /* commands applied */
    unsigned    restored;
    char        fail[32];            /* fail point of its next step */
    uint64_t    sid;
};

struct packet {
    TAILQ_ENTRY(packet) link;
    int64_t at;
    unsigned from, to;
    size_t   n;
    char     p[];
};

struct rprop {
    struct proposal p;
    struct err      e;
    char            cmd[16];
    unsigned        floor; /* it comes behind that many commands, which were answered before it was proposed */
    bool            done;
    int             rc;
};

struct rxfer {
    struct xfer x;
    struct err  e;
    bool        done;
    int         rc;
};

struct rig {
    uint64_t     rng;
    char        *dir;
    int64_t      now;
    struct host  host[HOSTS];
    unsigned     nhosts, snap_every;
    bool         cut[HOSTS][HOSTS];
    unsigned     loss, slow_ms; /* percent; most delay */
    TAILQ_HEAD(packets, packet) net;
    unsigned     want; /* bits of hosts */
    unsigned    *hist, nhist; /* all that was applied, in order */
    unsigned    *pos;         /* of a value in it, from 1; 0 = not there */
    unsigned     answered;    /* highest position that was answered */
    struct rprop *prop;
    unsigned     nprops;
    struct rxfer xfer;
    int8_t       leader_of[TERMS]; /* host + 1 */
    bool         wiped;
    uint64_t     led; /* times that somebody was told to lead */
};

static struct rig *rig; /* of the run; one at a time */

static uint64_t
rig_rand(void)
{
    uint64_t x = rig->rng;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    rig->rng = x;
    return x * 0x2545f4914f6cdd1dull;
}

static unsigned
roll(unsigned n)
{
    return (unsigned)((rig_rand() >> 20) % n);
}

static int64_t
clock_of(const struct host *h, int64_t t)
{
    return t + h->off + t / 1000000 * h->ppm;
}

/* --- the state machine: a list of numbers --- */
static void
know(unsigned at, unsigned v)
{
    assert_in_range(at, 0, rig->nhist);
    if (at < rig->nhist) {
        assert_int_equal(rig->hist[at], v);
        return;
    }
    rig->hist[rig->nhist++] = v;
    assert_int_equal(0, rig->pos[v]);
    rig->pos[v] = rig->nhist;
}

static int
list_apply(void *ctx, uint64_t index, struct str cmd, struct err *result)
{
    struct host *h = ctx;
    uint64_t     v;

    (void)index, (void)result;
    assert_true(str_u64(cmd, &v));
    know(h->n++, (unsigned)v);
    return 0;
}

static int
list_snapshot(void *ctx, char **json, size_t *n)
{
    struct host *h = ctx;
    struct sbuf  b;
    unsigned     i;

    sbuf_init(&b, 16 * MIB);
    for (i = 0; i < h->n; i++)
        sbuf_printf(&b, "%u,", rig->hist[i]);
    *json = xstrndup(b.p == NULL ? "" : b.p, b.n);
    *n = b.n;
    sbuf_fini(&b);
    return 0;
}

static void
list_clear(void *ctx)
{
    ((struct host *)ctx)->n = 0;
}

static int
list_restore(void *ctx, struct str json, struct err *e)
{
    struct host *h = ctx;
    const char  *p = json.p, *end = json.p + json.n;

    (void)e;
    h->restored++;
    for (h->n = 0; p < end; h->n++) {
        char *q;

        know(h->n, (unsigned)strtoul(p, &q, 10));
        p = q + 1;
    }
    return 0;
}

/* --- what a server says --- */
static void
rig_done(struct wjob *j, int rc)
{
    struct cjob *cj = (struct cjob *)j;

    if (cj->kind == CJ_RENEW)
        return;
    if (cj->kind == CJ_TRANSFER) {
        rig->xfer.done = true;
        rig->xfer.rc = rc;
    } else {
        struct rprop *p = (struct rprop *)cj;

        assert_false(p->done);
        p->done = true;
        p->rc = rc;
        if (rc == 0) {
            unsigned at = rig->pos[p - rig->prop];

            assert_in_range(at, p->floor + 1, rig->nhist);
            rig->answered = MAX(rig->answered, at);
        }
    }
}

static void
net_send(void *node, const char *to, const void *p, size_t n)
{
    struct host *h = node;
    unsigned     from = (unsigned)(h - rig->host), k = (unsigned)(to[0] - 'a'), copies;

    assert_in_range(k, 0, HOSTS - 1);
    if (k >= rig->nhosts || rig->cut[from][k] || roll(100) < rig->loss)
        return;
    for (copies = 1 + (rig->loss > 0 && roll(10) == 0); copies > 0; copies--) {
        struct packet *m = xmalloc(sizeof(*m) + n), *at;

        memset(m, 0, sizeof(*m));
        m->at = rig->now + 100000 + (int64_t)roll(rig->slow_ms * 1000u + 200) * 1000;
        m->from = from;
        m->to = k;
        m->n = n;
        memcpy(m->p, p, n);
        TAILQ_FOREACH_REVERSE(at, &rig->net, packets, link) {
            if (at->at <= m->at)
                break;
        }
        if (at != NULL)
            TAILQ_INSERT_AFTER(&rig->net, at, m, link);
        else
            TAILQ_INSERT_HEAD(&rig->net, m, link);
    }
}

static void
on_lead(void *node, bool leading, struct cons_fence fence)
{
    struct host *h = node;

    assert_true(leading != h->told);
    h->told = leading;
    if (!leading)
        return;
    assert_false(h->witness);
    assert_in_range(fence.term, 1, TERMS - 1);
    assert_int_equal(0, rig->leader_of[fence.term]);
    rig->leader_of[fence.term] = (int8_t)(h - rig->host + 1);
    rig->led++;
}

/* --- hosts --- */
static struct cons_server
server_at(const struct host *h)
{
    struct cons_server s = { .sid = h->sid, .witness = h->witness };

    memcpy(s.node, h->id, sizeof(h->id));
    return s;
}

static struct wish *
wish_of(void)
{
    struct wish *w = xcalloc(1, sizeof(*w));
    unsigned     i;

    w->j.kind = CJ_WANT;
    for (i = 0; i < rig->nhosts; i++) {
        if (rig->want & 1u << i)
            w->s[w->n++] = server_at(&rig->host[i]);
    }
    return w;
}

static void
host_step(struct host *h, struct cjob *j)
{
    struct wjobs batch;

    STAILQ_INIT(&batch);
    if (j != NULL)
        STAILQ_INSERT_TAIL(&batch, &j->job, link);
    if (h->fail[0] != '\0')
        assert_int_equal(0, failpoint_arm(str_z(h->fail)));
    cons_step(h->c, clock_of(h, rig->now), &batch);
    if (h->fail[0] != '\0')
        assert_int_equal(0, failpoint_arm(str_z("")));
    h->fail[0] = '\0';
}

static void
host_up(struct host *h, bool bootstrap)
{
    struct cons_conf c = { .dir = h->dir, .id = h->id, .bootstrap = bootstrap, .witness = h->witness, .snap_every = rig->snap_every,
                           .ctx = h, .apply = list_apply, .snapshot = list_snapshot, .restore = list_restore, .clear = list_clear, .node = h,
                           .send = net_send, .on_lead = on_lead };
    struct err       e;
    int              rc;

    err_clear(&e);
    h->n = 0;
    h->told = false;
    h->off = (int64_t)roll(1000000) * MSEC_NS(1);
    rc = cons_new(&c, clock_of(h, rig->now), &h->c, &e);
    if (rc < 0)
        fail_msg("%s does not open: %s", h->id, e.text);
    h->sid = cons_sid(h->c);
    h->tick_at = rig->now + TICK;
    h->stall = 0;
    if (rig->want != 0)
        host_step(h, &wish_of()->j);
}

static void
host_down(struct host *h)
{
    cons_end(h->c);
    h->c = NULL;
}

static bool
host_leads(const struct host *h)
{
    return h->c != NULL && atomic_load(&h->c->leader);
}

static struct host *
leader(void)
{
    unsigned i;

    for (i = 0; i < rig->nhosts; i++) {
        struct host *h = &rig->host[i];

        if (host_leads(h) && atomic_load(&h->c->lease) > clock_of(h, rig->now))
            return h;
    }
    return NULL;
}

static void
want(unsigned bits)
{
    unsigned i;

    rig->want = bits;
    for (i = 0; i < rig->nhosts; i++) {
        if (rig->host[i].c != NULL && rig->host[i].stall == 0)
            host_step(&rig->host[i], &wish_of()->j);
    }
}

static struct rprop *
propose(struct host *h)
{
    struct rprop *p = &rig->prop[++rig->nprops];

    assert_in_range(rig->nprops, 1, PROPS - 1);
    snprintf(p->cmd, sizeof(p->cmd), "%u", rig->nprops);
    p->p = (struct proposal){ .j.kind = CJ_PROPOSE, .cmd = str_z(p->cmd), .deadline = clock_of(h, rig->now) + SEC_NS(2), .e = &p->e };
    p->floor = rig->answered;
    if (host_leads(h)) {
        host_step(h, &p->p.j);
    } else {
        p->done = true;
        p->rc = -AIS_E_NOTPRIMARY;
    }
    return p;
}

static void
transfer(struct host *from, const char *to)
{
    struct rxfer *x = &rig->xfer;

    memset(x, 0, sizeof(*x));
    x->x = (struct xfer){ .j.kind = CJ_TRANSFER, .deadline = clock_of(from, rig->now) + SEC_NS(2), .e = &x->e };
    snprintf(x->x.node, sizeof(x->x.node), "%s", to);
    host_step(from, &x->x.j);
}

/* For whom a run failed to please. */
static void
tell(void)
{
    struct sbuf b;
    unsigned    i;

    sbuf_init(&b, MIB);
    for (i = 0; i < rig->nhosts; i++) {
        struct host *h = &rig->host[i];

        sbuf_reset(&b);
        if (h->c != NULL)
            cons_status(h->c, &b);
        print_error("%s n=%u of %u stall=%lld %.*s\n", h->id, h->n, rig->nhist, (long long)h->stall, (int)b.n, b.p);
    }
    sbuf_fini(&b);
}

/* --- time --- */
static void
check(void)
{
    unsigned i, leases = 0;

    for (i = 0; i < rig->nhosts; i++) {
        struct host *h = &rig->host[i];

        if (!host_leads(h) || atomic_load(&h->c->lease) <= clock_of(h, rig->now))
            continue;
        leases++;
        assert_int_equal(rig->nhist, h->n);
    }
    assert_in_range(leases, 0, 1);
}

static void
deliver(struct packet *m)
{
    struct host  *h = &rig->host[m->to];
    struct inmsg *in;

    if (h->c != NULL && !rig->cut[m->from][m->to]) {
        in = xcalloc(1, sizeof(*in) + m->n);
        in->j.kind = CJ_RECV;
        memcpy(in->from, rig->host[m->from].id, 2);
        in->n = m->n;
        memcpy(in->p, m->p, m->n);
        atomic_fetch_add(&h->c->inbox, m->n);
        host_step(h, &in->j);
    }
    free(m);
}

/* A stopped process hears what was sent to it when it goes on. */
static void
postpone(struct packet *m, int64_t until)
{
    struct packet *at;

    m->at = until;
    TAILQ_FOREACH_REVERSE(at, &rig->net, packets, link) {
        if (at->at <= until)
            break;
    }
    if (at != NULL)
        TAILQ_INSERT_AFTER(&rig->net, at, m, link);
    else
        TAILQ_INSERT_HEAD(&rig->net, m, link);
}

static struct host *
next_tick(void)
{
    struct host *best = NULL;
    unsigned     i;

    for (i = 0; i < rig->nhosts; i++) {
        struct host *h = &rig->host[i];

        if (h->c != NULL && (best == NULL || MAX(h->tick_at, h->stall) < MAX(best->tick_at, best->stall)))
            best = h;
    }
    return best;
}

/* Let time go by, event by event. */
static void
pass(int64_t ns)
{
    int64_t end = rig->now + ns;

    for (;;) {
        struct host *h = next_tick();
        struct packet  *m = TAILQ_FIRST(&rig->net);
        int64_t      tick = h != NULL ? MAX(h->tick_at, h->stall) : INT64_MAX, at = MIN(tick, m != NULL ? m->at : INT64_MAX);

        if (at > end)
            break;
        rig->now = MAX(rig->now, at);
        check();
        if (m != NULL && m->at <= tick) {
            TAILQ_REMOVE(&rig->net, m, link);
            if (rig->host[m->to].stall > rig->now)
                postpone(m, rig->host[m->to].stall);
            else
                deliver(m);
        } else {
            bool stopped = h->stall > 0; /* it missed what was wanted meanwhile */

            h->stall = 0;
            h->tick_at = rig->now + TICK + (int64_t)roll(1000) * 1000;
            host_step(h, stopped ? &wish_of()->j : NULL);
        }
        check();
    }
    rig->now = end;
    check();
}

#define UNTIL(cond, ns)                                                                                                \
    do {                                                                                                               \
        int64_t end_ = rig->now + (ns);                                                                                \
        while (!(cond) && rig->now < end_)                                                                             \
            pass(MSEC_NS(10));                                                                                         \
        if (!(cond))                                                                                                   \
            tell();                                                                                                    \
        assert_true(cond);                                                                                             \
    } while (0)

static void
rig_new(uint64_t seed, unsigned nhosts, int witness)
{
    unsigned i;

    rig = xcalloc(1, sizeof(*rig));
    rig->rng = seed * 0x9e3779b97f4a7c15ull + 1;
    rig->dir = test_dir_new();
    rig->now = SEC_NS(1000);
    rig->nhosts = nhosts;
    rig->snap_every = 40;
    rig->slow_ms = 1;
    rig->hist = xcalloc(PROPS, sizeof(*rig->hist));
    rig->pos = xcalloc(PROPS, sizeof(*rig->pos));
    rig->prop = xcalloc(PROPS, sizeof(*rig->prop));
    TAILQ_INIT(&rig->net);
    for (i = 0; i < nhosts; i++) {
        struct host *h = &rig->host[i];

        h->rig = rig;
        h->id[0] = (char)('a' + i);
        h->dir = xasprintf("%s/%s", rig->dir, h->id);
        h->witness = (int)i == witness;
        h->ppm = (int)roll(40000) - 20000;
    }
    for (i = 0; i < nhosts; i++)
        host_up(&rig->host[i], i == 0);
    want((1u << nhosts) - 1);
}

static void
rig_free(void)
{
    struct packet *m;
    unsigned    i;

    for (i = 0; i < rig->nhosts; i++) {
        if (rig->host[i].c != NULL)
            host_down(&rig->host[i]);
        free(rig->host[i].dir);
    }
    while ((m = TAILQ_FIRST(&rig->net)) != NULL) {
        TAILQ_REMOVE(&rig->net, m, link);
        free(m);
    }
    test_dir_free(rig->dir);
    free(rig->hist);
    free(rig->pos);
    free(rig->prop);
    free(rig);
    rig = NULL;
}

static unsigned
voters(void)
{
    struct host       *h = leader();
    struct cons_server s[CONS_VOTERS];

    return h != NULL ? cons_voters(h->c, s, CONS_VOTERS) : 0;
}

static bool
voter(unsigned k)
{
    struct cons_server s[CONS_VOTERS];
    unsigned           i, n = cons_voters(leader()->c, s, CONS_VOTERS);

    for (i = 0; i < n; i++) {
        if (s[i].sid == rig->host[k].sid)
            return true;
    }
    return false;
}

static void
isolate(unsigned k, bool in, bool out)
{
    unsigned i;

    for (i = 0; i < rig->nhosts; i++) {
        if (i != k) {
            rig->cut[i][k] |= in;
            rig->cut[k][i] |= out;
        }
    }
}

static void
heal(void)
{
    memset(rig->cut, 0, sizeof(rig->cut));
    rig->loss = 0;
    rig->slow_ms = 1;
}

static bool
all_equal(void)
{
    unsigned i;

    for (i = 0; i < rig->nhosts; i++) {
        struct host *h = &rig->host[i];

        if ((rig->want & 1u << i) && (h->c == NULL || h->n != rig->nhist))
            return false;
    }
    return leader() != NULL;
}

/* Propose until it is answered, as a client does. */
static void
work(int64_t ns)
{
    struct rprop *p = NULL;
    int64_t       end = rig->now + ns;

    while (rig->now < end) {
        if (p != NULL && p->done && p->rc == 0)
            return;
        if (leader() != NULL && (p == NULL || p->done))
            p = propose(leader());
        pass(MSEC_NS(5));
    }
    tell();
    fail_msg("nothing was agreed on in %lld ms", (long long)ns / NSEC_PER_MSEC);
}

/* --- scenarios --- */
static void
a_group_grows_to_those_that_are_wanted(void **state)
{
    (void)state;
    rig_new(1, 5, -1);
    UNTIL(voters() == 5, SEC_NS(10));
    work(SEC_NS(1));
    UNTIL(all_equal(), SEC_NS(1));
    want(7);
    UNTIL(voters() == 3, SEC_NS(10));
    want(1u << 3 | 1u << 4 | 1u << 2); /* without the one that leads: it hands over */
    UNTIL(voters() == 3 && leader() > &rig->host[1] && voter(2) && voter(3) && voter(4), SEC_NS(20));
    work(SEC_NS(3));
    rig_free();
}

static void
the_next_leader_is_there_within_three_seconds(void **state)
{
    unsigned seed;
    int64_t  worst = 0;

    (void)state;
    for (seed = 1; seed <= 20; seed++) {
        struct host *old;
        int64_t      t0;

        rig_new(seed, 3, -1);
        UNTIL(voters() == 3, SEC_NS(10));
        work(SEC_NS(1));
        old = leader();
        t0 = rig->now;
        if (seed % 2 == 0)
            host_down(old);
        else
            isolate((unsigned)(old - rig->host), true, true);
        UNTIL(leader() != NULL && leader() != old, SEC_NS(6));
        work(SEC_NS(1));
        worst = MAX(worst, rig->now - t0);
        if (seed % 2 == 0)
            host_up(old, false);
        heal();
        UNTIL(all_equal(), SEC_NS(3));
        assert_ptr_not_equal(old, leader()); /* who comes back does not push itself in */
        rig_free();
    }
    print_message("leader lost to first agreement, worst of 20: %lld ms\n", (long long)worst / NSEC_PER_MSEC);
    assert_in_range(worst, 1, SEC_NS(3));
}

static void
an_isolated_leader_stops_and_an_isolated_follower_disturbs_nobody(void **state)
{
    struct host *old;
    uint64_t     led;

    (void)state;
    rig_new(3, 3, -1);
    UNTIL(voters() == 3, SEC_NS(10));
    work(SEC_NS(1));
    old = leader();
    led = rig->led;
    isolate((unsigned)(old - rig->host + 1) % 3, true, false); /* sends, hears nothing */
    pass(SEC_NS(10));
    heal();
    pass(SEC_NS(3));
    assert_ptr_equal(old, leader());
    assert_int_equal(led, rig->led);
    isolate((unsigned)(old - rig->host), true, false); /* the leader is heard, but hears nobody */
    UNTIL(leader() != NULL && leader() != old, SEC_NS(6));
    heal();
    work(SEC_NS(1));
    UNTIL(all_equal(), SEC_NS(3));
    rig_free();
}

static void
who_was_away_for_long_gets_a_snapshot(void **state)
{
    struct host *h, *l;
    unsigned     i, restored;

    (void)state;
    rig_new(4, 3, -1);
    UNTIL(voters() == 3, SEC_NS(10));
    l = leader();
    h = &rig->host[(l - rig->host + 1) % 3];
    host_down(h);
    for (i = 0; i < 500; i++)
        work(SEC_NS(1));
    restored = h->restored;
    host_up(h, false);
    UNTIL(all_equal(), SEC_NS(5));
    assert_in_range(h->restored, restored + 1, restored + 3); /* its own, and the leader's */
    for (i = 0; i < 3; i++)
        host_down(&rig->host[i]);
    for (i = 0; i < 3; i++)
        host_up(&rig->host[i], false);
    UNTIL(all_equal(), SEC_NS(6));
    work(SEC_NS(1));
    rig_free();
}

static void
leadership_is_handed_over_when_asked(void **state)
{
    struct host *l, *to;

    (void)state;
    rig_new(5, 3, -1);
    UNTIL(voters() == 3, SEC_NS(10));
    l = leader();
    to = &rig->host[(l - rig->host + 2) % 3];
    transfer(l, to->id);
    UNTIL(rig->xfer.done, SEC_NS(1));
    assert_int_equal(0, rig->xfer.rc);
    UNTIL(leader() == to, MSEC_NS(500));
    work(SEC_NS(1));
    transfer(to, "z");
    assert_true(rig->xfer.done);
    assert_int_equal(-AIS_E_NONODE, rig->xfer.rc);
    host_down(l);
    pass(SEC_NS(2)); /* its silence is noticed */
    transfer(to, l->id);
    UNTIL(rig->xfer.done, SEC_NS(3));
    assert_int_equal(-AIS_E_TIMEOUT, rig->xfer.rc);
    work(SEC_NS(1)); /* nobody was lost by it */
    assert_ptr_equal(to, leader());
    rig_free();
}

static void
a_witness_votes_and_never_leads(void **state)
{
    (void)state;
    rig_new(6, 3, 2);
    UNTIL(voters() == 3, SEC_NS(10));
    work(SEC_NS(1));
    for (unsigned i = 0; i < 6; i++) {
        struct host *l = leader();

        host_down(l);
        UNTIL(leader() != NULL, SEC_NS(8));
        assert_ptr_not_equal(l, leader());
        work(SEC_NS(1));
        host_up(l, false);
        UNTIL(all_equal(), SEC_NS(3));
    }
    rig_free();
}

static void
a_wiped_voter_is_a_new_server(void **state)
{
    struct host *l, *h;
    uint64_t     was;

    (void)state;
    rig_new(7, 3, -1);
    UNTIL(voters() == 3, SEC_NS(10));
    work(SEC_NS(1));
    l = leader();
    h = &rig->host[(l - rig->host + 1) % 3];
    was = h->sid;
    host_down(h);
    nftw(h->dir, test_rm, 16, FTW_DEPTH | FTW_PHYS);
    host_up(h, false);
    assert_true(was != h->sid);
    pass(SEC_NS(1));
    assert_int_equal(0, h->n); /* nobody takes it for who it was */
    want(rig->want);
    UNTIL(voters() == 3 && all_equal(), SEC_NS(20));
    rig_free();
}

/* Does a server vote, as this one knows it? */
static bool
knows_voter(const struct host *h, uint64_t sid)
{
    const struct raft_configuration *c = &h->c->raft.configuration;

    for (unsigned i = 0; i < c->n; i++)
        if (c->servers[i].id == sid)
            return c->servers[i].role == RAFT_VOTER;
    return false;
}

/* The leader has written that the other is a voter, and goes before it could tell. Without that one it cannot come back. */
static void
a_voter_that_does_not_know_it_votes(void **state)
{
    struct host *l, *h;

    (void)state;
    rig_new(8, 2, -1);
    UNTIL(leader() != NULL, SEC_NS(2));
    l = leader();
    h = &rig->host[(l - rig->host + 1) % 2];
    for (unsigned i = 0; i < 100000 && !knows_voter(l, h->sid); i++)
        pass(20000);
    assert_true(knows_voter(l, h->sid));
    assert_false(knows_voter(h, h->sid));
    isolate(0, true, true);
    pass(SEC_NS(3)); /* what was on its way is lost */
    host_down(l);
    host_up(l, false);
    assert_true(knows_voter(l, h->sid));
    assert_false(knows_voter(h, h->sid));
    heal();
    UNTIL(leader() != NULL, SEC_NS(6));
    work(SEC_NS(2));
    UNTIL(voters() == 2 && all_equal(), SEC_NS(5));
    rig_free();
}

static int
renew(struct host *h, struct str state, uint32_t epoch)
{
    struct renew x = { .j.kind = CJ_RENEW, .state = state, .epoch = epoch };
    struct err   e;

    err_clear(&e);
    x.e = &e;
    h->told = false; /* in a new epoch terms begin again; the rig counts them by themselves */
    memset(rig->leader_of, 0, sizeof(rig->leader_of));
    host_step(h, &x.j);
    h->sid = cons_sid(h->c);
    return e.code;
}

/* Two of three are lost: the third goes on alone with what it has, and others come to it with empty logs, one from the epoch before. */
static void
a_lost_majority_is_recovered_in_a_new_epoch(void **state)
{
    struct host *h, *l;
    char        *text = NULL;
    size_t       n;
    unsigned     i, had;

    (void)state;
    rig_new(8, 3, -1);
    UNTIL(voters() == 3, SEC_NS(10));
    for (i = 0; i < 20; i++)
        work(SEC_NS(1));
    l = leader();
    h = &rig->host[(l - rig->host + 1) % 3];
    UNTIL(all_equal(), SEC_NS(3));
    for (i = 0; i < 3; i++) {
        if (&rig->host[i] != h)
            host_down(&rig->host[i]);
    }
    pass(SEC_NS(5));
    assert_null(leader());
    had = h->n;
    assert_int_equal(0, list_snapshot(h, &text, &n));
    rig->want = 0;
    assert_int_equal(0, renew(h, str_from(text, n), 2));
    free(text);
    UNTIL(leader() == h, SEC_NS(1));
    assert_int_equal(had, h->n);
    assert_int_equal(2, h->c->log->epoch);
    work(SEC_NS(1));
    host_up(l, false); /* with the log of the epoch before: nobody hears it */
    pass(SEC_NS(5));
    assert_ptr_equal(h, leader());
    assert_int_equal(0, renew(l, STR_NULL, 0));
    want(1u << (h - rig->host) | 1u << (l - rig->host));
    UNTIL(voters() == 2 && all_equal(), SEC_NS(10));
    work(SEC_NS(1));
    rig_free();
}

/* --- anything --- */
static void
nemesis_cut(void)
{
    unsigned i, j, side = roll(1u << rig->nhosts), kind = roll(4);

    heal();
    for (i = 0; i < rig->nhosts; i++) {
        for (j = 0; j < rig->nhosts; j++) {
            bool across = ((side >> i) & 1) != ((side >> j) & 1);

            if (kind == 0)
                rig->cut[i][j] = across;
            else if (kind == 1)
                rig->cut[i][j] = across && ((side >> i) & 1);
            else if (kind == 2)
                rig->cut[i][j] = i != j && roll(4) == 0;
        }
    }
    if (kind == 3 && leader() != NULL)
        isolate((unsigned)(leader() - rig->host), true, roll(2) == 0);
}

static void
nemesis_crash(struct host *h)
{
    if (h->c == NULL) {
        host_up(h, false);
        return;
    }
    host_down(h);
    if (roll(2) == 0)
        host_up(h, false);
}

static void
nemesis_disk(struct host *h)
{
    static const char *const points[] = { "cons.before_write=0:1", "cons.after_write=0:1", "cons.vote=0:1", "cons.snapshot=0:1",
                                          "cons.reserve=0:1" };

    if (failpoint_compiled_in())
        snprintf(h->fail, sizeof(h->fail), "%s", points[roll(ARRAY_SIZE(points))]);
}

/* A majority of those that are wanted stays wanted: nothing here may lose the group for good. */
static void
nemesis_want(void)
{
    unsigned bits = roll(1u << rig->nhosts);

    if (__builtin_popcount(bits) >= 3)
        want(bits);
    else
        want((1u << rig->nhosts) - 1);
}

/* One disk a run is lost: of a voter of a group of three or more that is whole. */
static void
nemesis_wipe(struct host *h)
{
    if (rig->wiped || voters() < 3 || h == leader() || h->c == NULL || rig->loss > 0 || leader()->c->changing ||
        leader()->c->raft.configuration_uncommitted_index != 0)
        return;
    rig->wiped = true;
    host_down(h);
    nftw(h->dir, test_rm, 16, FTW_DEPTH | FTW_PHYS);
    host_up(h, false);
    want(rig->want);
}

static void
nemesis(void)
{
    struct host *h = &rig->host[roll(rig->nhosts)], *l = leader();

    switch (roll(11)) {
    case 0:
    case 1:
        nemesis_cut();
        break;
    case 2:
        heal();
        break;
    case 3:
        nemesis_crash(h);
        break;
    case 4:
        if (l != NULL)
            nemesis_crash(l);
        break;
    case 5:
        if (l != NULL)
            h = l;
        if (h->c != NULL)
            h->stall = rig->now + (int64_t)roll(3000) * NSEC_PER_MSEC;
        break;
    case 6:
        nemesis_disk(l != NULL && roll(2) == 0 ? l : h);
        break;
    case 7:
        if (l != NULL && l->stall == 0 && l->c->xfer == NULL)
            transfer(l, h != l && roll(2) == 0 ? h->id : "");
        break;
    case 8:
        nemesis_want();
        break;
    case 9:
        rig->loss = roll(30);
        rig->slow_ms = 1 + roll(400);
        break;
    case 10:
        nemesis_wipe(h);
        break;
    }
}

static void
load(void)
{
    unsigned i, k;

    for (i = 0; i < rig->nhosts; i++) {
        if (!host_leads(&rig->host[i]) || rig->host[i].stall > rig->now)
            continue;
        for (k = roll(3); k > 0 && host_leads(&rig->host[i]); k--)
            propose(&rig->host[i]);
    }
}

static void
judge(void)
{
    unsigned i;

    for (i = 1; i <= rig->nprops; i++) {
        const struct rprop *p = &rig->prop[i];

        assert_true(p->done);
        if (p->rc == 0)
            assert_int_not_equal(0, rig->pos[i]);
        else if (p->rc != -AIS_E_TIMEOUT && p->rc != -AIS_E_CANCELED)
            assert_int_equal(0, rig->pos[i]);
    }
}

static void
storm(uint64_t seed)
{
    int64_t  end, next;
    unsigned i;

    rig_new(seed, 3 + (unsigned)seed % 3, seed % 4 == 3 ? 2 : -1);
    end = rig->now + SEC_NS(40);
    next = rig->now + SEC_NS(3);
    while (rig->now < end) {
        pass(MSEC_NS(20 + (int64_t)roll(60)));
        load();
        if (rig->now >= next) {
            nemesis();
            next = rig->now + MSEC_NS(200 + (int64_t)roll(2500));
        }
    }
    heal();
    for (i = 0; i < rig->nhosts; i++) {
        rig->host[i].fail[0] = '\0';
        if (rig->host[i].c == NULL)
            host_up(&rig->host[i], false);
    }
    want((1u << rig->nhosts) - 1);
    pass(SEC_NS(3)); /* whoever is stopped goes on */
    UNTIL(voters() == rig->nhosts && all_equal(), SEC_NS(40));
    work(SEC_NS(2));
    pass(SEC_NS(1));
    assert_true(all_equal());
    pass(UNKNOWN_MAX);
    judge();
    assert_true(rig->nhist > 20);
    rig_free();
}

static void
whatever_happens_what_was_answered_is_there(void **state)
{
    const char *only = getenv("CONS_RIG_SEED"), *more = getenv("CONS_RIG_SEEDS");
    uint64_t    from = only != NULL ? strtoull(only, NULL, 10) : 1, seed;
    uint64_t    count = only != NULL ? 1 : more != NULL ? strtoull(more, NULL, 10) : DEFAULT;

    (void)state;
    for (seed = from; seed < from + count; seed++) {
        print_message("CONS_RIG_SEED=%" PRIu64 "\n", seed); /* the last line before a failure */
        storm(seed);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_grows_to_those_that_are_wanted),
        cmocka_unit_test(the_next_leader_is_there_within_three_seconds),
        cmocka_unit_test(an_isolated_leader_stops_and_an_isolated_follower_disturbs_nobody),
        cmocka_unit_test(who_was_away_for_long_gets_a_snapshot),
        cmocka_unit_test(leadership_is_handed_over_when_asked),
        cmocka_unit_test(a_witness_votes_and_never_leads),
        cmocka_unit_test(a_wiped_voter_is_a_new_server),
        cmocka_unit_test(a_voter_that_does_not_know_it_votes),
        cmocka_unit_test(a_lost_majority_is_recovered_in_a_new_epoch),
        cmocka_unit_test(whatever_happens_what_was_answered_is_there),
    };

    struct log_conf log = { .dir = test_dir_new(), .name = "rig" };
    int             failed;

    if (getenv("CONS_RIG_LOG") == NULL) /* disks fail by the hundred */
        assert_int_equal(0, log_open(&log));
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    log_close();
    test_dir_free((char *)(uintptr_t)log.dir);
    return failed;
}
