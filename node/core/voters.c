/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Voters: this node's server of the metadata log, the messages between servers, and on the primary the choice of who votes.
 *
 * Who votes (design.md 6): the electable proxies, three of them or five, those that are alive before others, those that vote already before
 * others. With two, a target is the third: a witness. A proxy that died is replaced when there is somebody to take its place; when there is
 * not, it stays, so that the group can be whole again. A node opens its server when the primary asks for it, and reports the server's id with
 * its keepalives; what has no id yet is waited for.
 *
 * Messages to a node wait in its box while one request with what came before is under way. Those that get lost are the log's business.
 *
 * Threads: any; mail_send on the consensus thread; requests on the control loop.
 */
#include <jansson.h>
#include <stdlib.h>

#include "core/core_impl.h"

#include "codec/jw.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"

#define MAIL_MAX     (256u << 20) /* waiting for one node */
#define MAIL_TIMEOUT SEC_NS(2)
#define MAIL_SLOW    (10u << 20)  /* and a second more for each so many bytes */
#define CANDS_MAX    64u          /* proxies looked at */

/* --- messages --- */
struct mailbox {
    TAILQ_ENTRY(mailbox) link;
    struct node *n;
    char         to[CONS_NODE_MAX];
    struct sbuf  waiting;
    bool         sending;
};

struct mailq {
    pthread_mutex_t mtx; /* protects the boxes */
    TAILQ_HEAD(, mailbox) boxes;
};

static struct mailbox *
box_of_locked(struct node *n, const char *to)
{
    struct mailq   *q = n->member->mail;
    struct mailbox *b;

    TAILQ_FOREACH(b, &q->boxes, link)
    {
        if (strcmp(b->to, to) == 0)
            return b;
    }
    b = xcalloc(1, sizeof(*b));
    b->n = n;
    str_copyz(str_z(to), b->to, sizeof(b->to));
    sbuf_init(&b->waiting, MAIL_MAX);
    TAILQ_INSERT_TAIL(&q->boxes, b, link);
    return b;
}

/* Where the node is by the map, or its copy of the arena. NULL: it is not in it. */
static const struct snode *
address_of(struct node *n, const char *id, struct arena *mem)
{
    struct snode       *to = arena_alloc(mem, sizeof(*to));
    const struct snode *s;
    struct views        v;

    views_get(n, &v);
    s = smap_find(v.smap, str_z(id));
    if (s != NULL && to != NULL)
        *to = *s;
    views_put(&v);
    return s != NULL ? to : NULL;
}

static void
mail_post(struct mailbox *b, const struct sbuf *text)
{
    struct arena       *mem = arena_new(8 * KIB, 1 * MIB);
    const struct snode *to = address_of(b->n, b->to, mem);
    struct hdr         *hdrs = arena_alloc(mem, sizeof(*hdrs) * (NODE_HDRS + 1));
    struct hc_req       q = { .method = M_POST, .target = STR_LIT("/v1/raft"), .body = sbuf_str(text) };
    struct hc_resp      resp;
    struct err          e;

    err_clear(&e);
    if (to != NULL && hdrs != NULL) {
        q.timeout_ns = MAIL_TIMEOUT + SEC_NS(1) * (int64_t)(text->n / MAIL_SLOW);
        q.base = str_z(to->control.url);
        q.peer = (void *)(uintptr_t)to;
        q.hdrs = hdrs;
        q.nhdrs = node_call_hdrs(b->n, mem, hdrs);
        hdrs[q.nhdrs++] = (struct hdr){ STR_LIT("Content-Type"), STR_LIT("application/octet-stream") };
        if (hc_call(b->n->hc, &q, mem, 64 * KIB, &resp, &e) < 0)
            log_debug("message to a voter is lost", { "to", LZ(b->to) }, { "error", LZ(e.text) });
    }
    arena_free(mem);
}

/* True: there was something to send. */
static bool
mail_take(struct mailbox *b, struct sbuf *text)
{
    struct mailq *q = b->n->member->mail;
    bool          any;

    sbuf_fini(text);
    sbuf_init(text, MAIL_MAX);
    MUST(pthread_mutex_lock(&q->mtx));
    any = b->waiting.n > 0 && !member_stopping(b->n);
    if (any) {
        *text = b->waiting;
        sbuf_init(&b->waiting, MAIL_MAX);
    } else {
        b->sending = false;
    }
    MUST(pthread_mutex_unlock(&q->mtx));
    return any;
}

static void
mail_fiber(void *arg)
{
    struct mailbox *b = arg;
    struct node    *n = b->n;
    struct sbuf     text;

    sbuf_init(&text, MAIL_MAX);
    while (mail_take(b, &text))
        mail_post(b, &text);
    sbuf_fini(&text);
    member_fiber_done(n);
}

static void
mail_send(void *node, const char *to, const void *p, size_t n)
{
    struct node    *nd = node;
    struct member  *m = nd->member;
    struct mailbox *b;
    bool            start = false;

    MUST(pthread_mutex_lock(&m->mail->mtx));
    b = box_of_locked(nd, to);
    sbuf_put(&b->waiting, p, n);
    if (!sbuf_ok(&b->waiting)) { /* it has not taken anything for long */
        sbuf_fini(&b->waiting);
        sbuf_init(&b->waiting, MAIL_MAX);
    }
    MUST(pthread_mutex_lock(&m->mtx));
    if (!b->sending && !m->stopping) {
        start = b->sending = true;
        atomic_fetch_add(&m->fibers, 1);
    }
    MUST(pthread_mutex_unlock(&m->mtx));
    if (start && fiber_spawn(m->loop, "voters", mail_fiber, b) < 0) {
        b->sending = false;
        atomic_fetch_sub(&m->fibers, 1);
    }
    MUST(pthread_mutex_unlock(&m->mail->mtx));
}

/* POST /v1/raft: for this node's server, whatever it says; a node that has none has nothing to say. */
void
h_node_raft(struct req *r)
{
    struct node *n = req_node(r);
    struct cons *c = n->cons;
    const char  *peer = auth_peer(r->conn);

    if (c != NULL && peer != NULL)
        cons_recv(c, peer, r->body.p, r->body.n);
    resp_empty(r, 204);
}

/* --- this node's server --- */
int
voter_open(struct node *n, bool begin, struct err *e)
{
    struct member   *m = n->member;
    auto_free char  *dir = xasprintf("%s/.ais.raft", nodecfg_confdir(n));
    struct cons_conf c = { .run = n->run, .dir = dir, .id = n->id, .bootstrap = begin, .witness = n->role == ROLE_TARGET,
                           .apply = cstate_apply, .snapshot = cstate_snapshot, .restore = cstate_restore, .node = n, .send = mail_send,
                           .clear = cstate_clear, .on_lead = primary_on_lead };
    struct cons     *cons = NULL;
    int              rc;

    ASSERT_MAY_BLOCK();
    if (m->mail == NULL) {
        m->mail = xcalloc(1, sizeof(*m->mail));
        MUST(pthread_mutex_init(&m->mail->mtx, NULL));
        TAILQ_INIT(&m->mail->boxes);
    }
    if (m->cstate == NULL)
        m->cstate = cstate_new();
    c.ctx = m->cstate;
    rc = cons_open(&c, &cons, e);
    if (rc < 0)
        return err_wrap(e, "metadata log");
    n->cons = cons;
    return 0;
}

bool
voter_follow_epoch(struct node *n)
{
    struct cons *c = n->cons;
    struct err   e;

    if (c == NULL || cons_passive(c) || cons_fence(c).epoch >= node_fence(n).epoch)
        return false;
    err_clear(&e);
    log_warn("the cluster was recovered: this node votes anew", { "epoch", LU64(node_fence(n).epoch) });
    if (cons_renew(c, STR_NULL, 0, &e) < 0)
        log_error("cannot vote", { "error", LZ(e.text) });
    return true;
}

void
voter_close(struct node *n)
{
    struct mailq   *q = n->member->mail;
    struct mailbox *b;

    cons_close(n->cons);
    n->cons = NULL;
    if (q == NULL)
        return;
    while ((b = TAILQ_FIRST(&q->boxes)) != NULL) {
        TAILQ_REMOVE(&q->boxes, b, link);
        sbuf_fini(&b->waiting);
        free(b);
    }
    pthread_mutex_destroy(&q->mtx);
    free(q);
    n->member->mail = NULL;
}

/* --- what nodes say about it --- */
void
voter_report(struct node *n, struct jw *w)
{
    struct cons *c = n->cons;

    if (c != NULL)
        jw_ku64s(w, "raft", cons_sid(c));
}

void
voter_asked_json(struct node *n, const char *id, struct jw *w)
{
    voters_review(n);
    if (peer_vote_asked(n, id))
        jw_kbool(w, "vote", true);
}

void
voter_learn(struct node *n, const json_t *j)
{
    if (n->cons == NULL && json_is_true(json_object_get(j, "vote")))
        atomic_store(&n->member->vote_asked, true);
}

/* --- who votes --- */
struct cand {
    const struct snode *sn;
    bool                dead, votes, first;
};

struct choice {
    struct cons_server now[CONS_VOTERS], s[CONS_VOTERS];
    unsigned           nnow, n;
    bool               missing; /* somebody has no server yet */
};

static const struct cons_server *
now_find(const struct choice *ch, const char *id)
{
    for (unsigned i = 0; i < ch->nnow; i++) {
        if (strcmp(ch->now[i].node, id) == 0)
            return &ch->now[i];
    }
    return NULL;
}

static int
cand_cmp(const void *a, const void *b)
{
    const struct cand *x = a, *y = b;

    if (x->first != y->first)
        return y->first - x->first;
    if (x->dead != y->dead)
        return x->dead - y->dead;
    if (x->votes != y->votes)
        return y->votes - x->votes;
    return strcmp(x->sn->id, y->sn->id);
}

static unsigned
cands_of(struct node *n, const struct smap *m, const struct choice *ch, const char *preferred, struct cand out[CANDS_MAX])
{
    unsigned k = 0;

    for (unsigned i = 0; i < m->nnodes && m->nodes[i].role == ROLE_PROXY && k < CANDS_MAX; i++) {
        const struct snode *s = &m->nodes[i];

        if (s->flags & (SNODE_NON_ELECTABLE | SNODE_MAINT | SNODE_DECOMM))
            continue;
        out[k++] = (struct cand){ .sn = s, .dead = s->flags & SNODE_DEAD, .votes = now_find(ch, s->id) != NULL,
                                  .first = strcmp(s->id, n->id) == 0 || strcmp(s->id, preferred) == 0 };
    }
    qsort(out, k, sizeof(out[0]), cand_cmp);
    return k;
}

/* The target that is witness, or is to be: the same one as long as it can be. */
static const struct snode *
witness_of(const struct smap *m, const struct choice *ch)
{
    const struct snode *best = NULL;

    for (unsigned i = 0; i < m->nactive; i++) {
        if (now_find(ch, m->active[i]->id) != NULL)
            return m->active[i];
        if (best == NULL)
            best = m->active[i];
    }
    return best;
}

/* Take it, with the id that its server has by its own word or, when it has not said it yet, by the group's. */
static void
take(struct node *n, struct choice *ch, const struct snode *s)
{
    const struct cons_server *was = now_find(ch, s->id);
    struct cons_server       *o = &ch->s[ch->n];
    bool                      self = strcmp(s->id, n->id) == 0;
    uint64_t                  sid = self ? cons_sid(n->cons) : peer_sid(n, s->id);

    if (!self)
        peer_ask_vote(n, s->id, true);
    if (sid == 0 && was != NULL)
        sid = was->sid;
    if (sid == 0) {
        ch->missing = true;
        return;
    }
    memset(o, 0, sizeof(*o));
    str_copyz(str_z(s->id), o->node, sizeof(o->node));
    o->sid = sid;
    o->witness = s->role == ROLE_TARGET;
    ch->n++;
}

/* How many of the proxies, best first; *witness: and a target. 0: nothing is to be changed. */
static unsigned
how_many(const struct cand *c, unsigned n, bool target, bool *witness)
{
    unsigned alive = 0;

    while (alive < n && !c[alive].dead)
        alive++;
    *witness = false;
    if (alive >= 3)
        return alive >= 5 ? 5 : 3;
    if (alive == 0)
        return 0;
    if (n > alive && alive == 1)
        *witness = c[alive].votes && target; /* it and one that is dead: they were two, or more */
    else
        *witness = alive == 2 && target;
    return *witness ? 2 : 1;
}

static void
choose(struct node *n, struct choice *ch)
{
    struct cand         c[CANDS_MAX];
    const struct snode *w;
    struct views        v;
    char                preferred[NODE_ID_MAX + 1];
    unsigned            k, want;
    bool                witness;

    MUST(pthread_mutex_lock(&n->member->mtx));
    memcpy(preferred, n->member->prefer, sizeof(preferred));
    MUST(pthread_mutex_unlock(&n->member->mtx));
    ch->nnow = cons_voters(n->cons, ch->now, CONS_VOTERS);
    views_get(n, &v);
    peer_ask_vote(n, NULL, false);
    k = cands_of(n, v.smap, ch, preferred, c);
    w = witness_of(v.smap, ch);
    want = how_many(c, k, w != NULL, &witness);
    for (unsigned i = 0; i < want; i++)
        take(n, ch, c[i].sn);
    if (witness)
        take(n, ch, w);
    views_put(&v);
}

void
voters_review(struct node *n)
{
    struct member *m = n->member;
    struct choice  ch;
    bool           same;

    if (!node_leads(n))
        return;
    memset(&ch, 0, sizeof(ch));
    choose(n, &ch);
    if (ch.missing || ch.n == 0)
        return;
    MUST(pthread_mutex_lock(&m->mtx));
    same = m->nwant == ch.n && memcmp(m->want, ch.s, sizeof(ch.s)) == 0;
    memcpy(m->want, ch.s, sizeof(ch.s));
    m->nwant = ch.n;
    MUST(pthread_mutex_unlock(&m->mtx));
    if (!same)
        cons_want(n->cons, ch.s, ch.n);
}
