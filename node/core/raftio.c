/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The raft_io of libraft, and the filter between the network and libraft. What is done here and why: raftio.h.
 *
 * libraft never gets a callback from inside a call that it makes: finished requests wait in a list until raftio_flush.
 */
#include "core/raftio.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/run.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"
#include "codec/cksum.h"

#define SNAP_PAUSE SEC_NS(5)  /* after a snapshot that failed */
#define PART_BYTES (1u << 20) /* a long tail of the log travels in messages of about this size */

enum done_kind { DONE_SEND, DONE_APPEND, DONE_SNAP_PUT, DONE_SNAP_GET };

struct raftio_done {
    STAILQ_ENTRY(raftio_done) link;
    enum done_kind            kind;
    int                       status;
    void                     *req;
    void (*cb)(void);
    struct raft_snapshot     *snap;
};

static struct raftio *
io_of(const struct raft_io *io)
{
    return io->impl;
}

static struct raftio_done *
done_add(struct raftio *io, enum done_kind kind, void *req, void (*cb)(void), int status)
{
    struct raftio_done *d = xcalloc(1, sizeof(*d));

    d->kind = kind;
    d->req = req;
    d->cb = cb;
    d->status = status;
    STAILQ_INSERT_TAIL(&io->done, d, link);
    return d;
}

static void
done_run(struct raftio_done *d, int status)
{
    switch (d->kind) {
    case DONE_SEND:
        ((raft_io_send_cb)d->cb)(d->req, status);
        break;
    case DONE_APPEND:
        ((raft_io_append_cb)d->cb)(d->req, status);
        break;
    case DONE_SNAP_PUT:
        ((raft_io_snapshot_put_cb)d->cb)(d->req, status);
        break;
    case DONE_SNAP_GET:
        ((raft_io_snapshot_get_cb)d->cb)(d->req, d->snap, status);
        break;
    }
    free(d);
}

static int
code_to_raft(int rc)
{
    return rc == 0 ? 0 : rc == -AIS_E_NOSPACE ? RAFT_NOSPACE : rc == -AIS_E_CORRUPT ? RAFT_CORRUPT : RAFT_IOERR;
}

static void
io_broke(struct raftio *io, const char *what, int rc)
{
    if (io->broken == 0) {
        io->broken = rc;
        err_set(&io->err, -rc, "%s: %s", what, err_text(rc));
        log_error("metadata log", { "dir", LZ(io->log->dir) }, { "what", LZ(what) }, { "error", LZ(err_text(rc)) });
    }
}

/* --- libraft's log, which is public --- */
static size_t
log_len(const struct raft_log *l)
{
    return l->front <= l->back ? l->back - l->front : l->size - l->front + l->back;
}

uint64_t
raftio_term_of(const struct raft *r, uint64_t index)
{
    const struct raft_log *l = &r->log;

    if (index == 0)
        return 0;
    if (index == l->snapshot.last_index)
        return l->snapshot.last_term;
    if (index <= l->offset || index > l->offset + log_len(l))
        return 0;
    return l->entries[(l->front + (index - l->offset - 1)) % l->size].term;
}

static const struct raft_server *
server_of(const struct raft *r, uint64_t sid)
{
    unsigned i;

    for (i = 0; i < r->configuration.n; i++) {
        if (r->configuration.servers[i].id == sid)
            return &r->configuration.servers[i];
    }
    return NULL;
}

static unsigned
voters_of(const struct raft_configuration *c)
{
    unsigned i, n = 0;

    for (i = 0; i < c->n; i++)
        n += c->servers[i].role == RAFT_VOTER;
    return n;
}

/* --- disk --- */
static int
io_init(struct raft_io *rio, raft_id id, const char *address)
{
    (void)rio, (void)id, (void)address;
    return 0;
}

/* The only voter of its group is elected by starting, in a term of its own. */
static int
alone_term(struct raftio *io)
{
    struct raft_configuration c;
    struct raftlog           *l = io->log;
    bool                      alone;
    unsigned                  i;

    if (raftlog_conf(l, &c) == 0)
        return 0;
    for (i = 0, alone = voters_of(&c) == 1; i < c.n && alone; i++)
        alone = c.servers[i].role != RAFT_VOTER || c.servers[i].id == l->sid;
    raft_configuration_close(&c);
    return alone ? raftlog_vote(l, MAX(l->epoch, 1), l->term + 1, l->sid) : 0;
}

static int
io_load(struct raft_io *rio, raft_term *term, raft_id *voted_for, struct raft_snapshot **snapshot, raft_index *start,
        struct raft_entry *entries[], size_t *n)
{
    struct raftio *io = io_of(rio);
    size_t         i;
    int            rc;

    err_clear(&io->err);
    rc = raftlog_load(io->log, snapshot, start, entries, n, &io->err);
    if (rc < 0)
        return code_to_raft(rc);
    rc = alone_term(io);
    if (rc < 0) {
        for (i = 0; i < *n; i++)
            raft_free((*entries)[i].batch);
        raft_free(*entries);
        if (*snapshot != NULL) {
            raft_configuration_close(&(*snapshot)->configuration);
            raft_free((*snapshot)->bufs[0].base);
            raft_free((*snapshot)->bufs);
            raft_free(*snapshot);
        }
        err_set(&io->err, -rc, "%s/vote: %s", io->log->dir, err_text(rc));
        return code_to_raft(rc);
    }
    *term = io->log->term;
    *voted_for = io->log->voted;
    return 0;
}

static int
io_start(struct raft_io *rio, unsigned msecs, raft_io_tick_cb tick, raft_io_recv_cb recv)
{
    struct raftio *io = io_of(rio);

    (void)msecs;
    io->tick = tick;
    io->recv = recv;
    io->vote_after = io->now + io->timeout_ns;
    return 0;
}

static int
io_no_configuration(struct raft_io *rio, const struct raft_configuration *c)
{
    (void)rio, (void)c;
    return RAFT_INVALID; /* consensus.c makes and recovers groups on disk */
}

static int
vote_save(struct raftio *io, uint64_t term, uint64_t voted)
{
    int rc = raftlog_vote(io->log, io->log->epoch, term, voted);

    if (rc < 0)
        io_broke(io, "the vote cannot be written", rc);
    return code_to_raft(rc);
}

static int
io_set_term(struct raft_io *rio, raft_term term)
{
    return vote_save(io_of(rio), term, 0);
}

static int
io_set_vote(struct raft_io *rio, raft_id sid)
{
    return vote_save(io_of(rio), io_of(rio)->log->term, sid);
}

static int
io_append(struct raft_io *rio, struct raft_io_append *req, const struct raft_entry entries[], unsigned n, raft_io_append_cb cb)
{
    struct raftio *io = io_of(rio);
    /* Requests come in order, so this one begins where libraft's log without them ends. */
    uint64_t first = io->raft->log.offset + log_len(&io->raft->log) - n + 1;
    int      rc = raftlog_append(io->log, first, entries, n);

    if (rc < 0)
        io_broke(io, "entries cannot be appended", rc);
    done_add(io, DONE_APPEND, req, (void (*)(void))cb, 0);
    return 0;
}

/* libraft has forgotten the configuration before this one, or never knew it: put back what is right now. */
static void
conf_roll_back(struct raftio *io)
{
    struct raft              *r = io->raft;
    struct raft_configuration c;
    uint64_t                  index = raftlog_conf(io->log, &c);

    raft_configuration_close(&r->configuration);
    r->configuration = c;
    r->configuration_index = index;
    r->configuration_uncommitted_index = 0;
}

static int
io_truncate(struct raft_io *rio, raft_index index)
{
    struct raftio *io = io_of(rio);
    uint64_t       had = raftlog_conf(io->log, NULL);

    raftlog_truncate(io->log, index);
    if (had >= index)
        conf_roll_back(io);
    return 0;
}

void
raftio_snapshot_failed(struct raftio *io, int rc)
{
    io->snap_after = io->now + SNAP_PAUSE;
    log_error("metadata snapshot failed, the log goes on growing", { "dir", LZ(io->log->dir) }, { "error", LZ(err_text(rc)) });
}

static int
io_snapshot_put(struct raft_io *rio, unsigned trailing, struct raft_io_snapshot_put *req, const struct raft_snapshot *s,
                raft_io_snapshot_put_cb cb)
{
    struct raftio *io = io_of(rio);
    int            rc = raftlog_snap_put(io->log, s, trailing);

    if (rc < 0 && trailing == 0) /* libraft has thrown its log away already */
        io_broke(io, "a snapshot cannot be stored", rc);
    else if (rc < 0)
        raftio_snapshot_failed(io, rc);
    done_add(io, DONE_SNAP_PUT, req, (void (*)(void))cb, code_to_raft(rc));
    return 0;
}

static int
io_snapshot_get(struct raft_io *rio, struct raft_io_snapshot_get *req, raft_io_snapshot_get_cb cb)
{
    struct raftio        *io = io_of(rio);
    struct raft_snapshot *s = NULL;
    struct err            e;
    int                   rc;

    err_clear(&e);
    rc = raftlog_snap_get(io->log, &s, &e);
    if (rc < 0)
        log_error("metadata snapshot cannot be read", { "error", LZ(e.text) });
    done_add(io, DONE_SNAP_GET, req, (void (*)(void))cb, code_to_raft(rc))->snap = s;
    return 0;
}

static raft_time
io_time(struct raft_io *rio)
{
    return (raft_time)(io_of(rio)->now / NSEC_PER_MSEC);
}

static uint64_t
id_digest_of(const struct raft_server *s)
{
    const char *id = raftaddr_node(s->address);

    return hrw_digest(id, strlen(id));
}

/* Does a stand before b, of the proxies that could lead? AIStore's order: the greatest digest of the id is the next primary. */
static bool
goes_before(const struct raft_server *a, const struct raft_server *b)
{
    uint64_t x = id_digest_of(a), y = id_digest_of(b);

    return x != y ? x > y : a->id > b->id;
}

/*
 * When its turn is among the voters without that leader (0 = not known). Those that ask first ask in vain, for the others still believe in
 * the old leader; the one that completes a majority of doubters is elected: that is the turn of who AIStore would take. A witness is
 * always the first: it is never to be elected while there is a proxy.
 */
static unsigned
turn_of(const struct raft *r, uint64_t sid, uint64_t leader)
{
    const struct raft_server *self = server_of(r, sid);
    unsigned                  voters = 0, witnesses = 0, before = 0, wins;

    for (unsigned i = 0; self != NULL && i < r->configuration.n; i++) {
        const struct raft_server *s = &r->configuration.servers[i];

        if (s->role != RAFT_VOTER)
            continue;
        voters++;
        if (s == self || s->id == leader)
            continue;
        witnesses += raftaddr_witness(s->address);
        before += !raftaddr_witness(s->address) && goes_before(s, self);
    }
    if (self == NULL || raftaddr_witness(self->address))
        return 0;
    wins = MAX(voters / 2, witnesses) - witnesses; /* its place among the proxies */
    return witnesses + (before == 0 ? wins : before <= wins ? before - 1 : before);
}

static int
patience(struct raftio *io, uint64_t leader, int min, int max)
{
    int step = (max - min) * 15 / 100, jitter = MAX((max - min) / 10, 1);

    return MIN(min + (int)MIN(turn_of(io->raft, io->log->sid, leader), 5u) * step + (int)(rand_u64() % (uint64_t)jitter), max);
}

/* For how long a server waits for a leader. One after the other, so that two never stand at once: then nobody may win. */
static int
io_random(struct raft_io *rio, int min, int max)
{
    return patience(io_of(rio), 0, min, max);
}

/* libraft draws the time before it knows whom it follows. */
void
raftio_follow(struct raftio *io)
{
    struct raft *r = io->raft;
    uint64_t     leader = r->state == RAFT_FOLLOWER ? r->follower_state.current_leader.id : 0;

    if (leader != 0 && leader != io->follows)
        r->follower_state.randomized_election_timeout =
            (unsigned)patience(io, leader, (int)r->election_timeout, 2 * (int)r->election_timeout);
    io->follows = leader;
}

static void
io_close(struct raft_io *rio, raft_io_close_cb cb)
{
    struct raftio      *io = io_of(rio);
    struct raftio_done *d;

    while ((d = STAILQ_FIRST(&io->done)) != NULL) {
        STAILQ_REMOVE_HEAD(&io->done, link);
        if (d->cb == NULL) {
            free(d);
            continue;
        }
        if (d->kind == DONE_SNAP_GET && d->snap != NULL) {
            raft_configuration_close(&d->snap->configuration);
            raft_free(d->snap->bufs[0].base);
            raft_free(d->snap->bufs);
            raft_free(d->snap);
            d->snap = NULL;
        }
        done_run(d, RAFT_CANCELED);
    }
    cb(rio);
}

/* --- sending --- */
/* How many entries from `at` on fit in one message. */
static unsigned
part_take(const struct raft_append_entries *a, unsigned at)
{
    size_t   bytes = 0;
    unsigned k;

    for (k = at; k < a->n_entries; k++) {
        bytes += a->entries[k].buf.len;
        if (k > at && bytes > PART_BYTES)
            break;
    }
    return k - at;
}

static void
send_parts(struct raftio *io, struct raftwire *w, const char *node)
{
    unsigned at = 0, n;

    do {
        n = w->m.type == RAFT_IO_APPEND_ENTRIES ? part_take(&w->m.append_entries, at) : 0;
        sbuf_reset(&io->out);
        raftwire_put(&io->out, w, at, n);
        if (!sbuf_ok(&io->out)) {
            log_error("metadata message is too large", { "to", LZ(node) }, { "type", LU64(w->m.type) });
            sbuf_fini(&io->out);
            sbuf_init(&io->out, RAFTWIRE_MAX + RAFTWIRE_HEAD);
            return;
        }
        io->send(io->ctx, node, io->out.p, io->out.n);
        at += n;
    } while (w->m.type == RAFT_IO_APPEND_ENTRIES && at < w->m.append_entries.n_entries);
    if (io->out.cap > 2 * PART_BYTES) {
        sbuf_fini(&io->out);
        sbuf_init(&io->out, RAFTWIRE_MAX + RAFTWIRE_HEAD);
    }
}

static int
io_send(struct raft_io *rio, struct raft_io_send *req, const struct raft_message *m, raft_io_send_cb cb)
{
    struct raftio  *io = io_of(rio);
    struct raftwire w = { .epoch = io->log->epoch, .from = io->log->sid, .to = m->server_id, .m = *m };

    if (m->type == RAFT_IO_APPEND_ENTRIES || m->type == RAFT_IO_INSTALL_SNAPSHOT) {
        w.stamp = (uint64_t)io->now;
    } else if (m->type == RAFT_IO_APPEND_ENTRIES_RESULT) {
        struct raft_append_entries_result *a = &w.m.append_entries_result;

        if (io->append_end > 0 && a->rejected == 0)
            a->last_log_index = MIN(a->last_log_index, io->append_end);
        if (m->server_id == io->echo_from) {
            w.echo_term = io->echo_term;
            w.echo_stamp = io->echo_stamp;
        }
    } else if (m->type == RAFT_IO_REQUEST_VOTE) {
        w.m.request_vote.disrupt_leader = m->request_vote.disrupt_leader && io->disrupt_term > 0 &&
                                          m->request_vote.term == io->disrupt_term + 1;
    }
    if (strlen(m->server_address) > 2)
        send_parts(io, &w, raftaddr_node(m->server_address));
    done_add(io, DONE_SEND, req, (void (*)(void))cb, 0);
    return 0;
}

/* --- receiving --- */
/* Is the message from a server that this group knows, or may know? */
static bool
from_ok(struct raftio *io, const char *node, const struct raftwire *w)
{
    const struct raft_server *s = server_of(io->raft, w->from);

    return w->to == io->log->sid && w->from != io->log->sid && (s == NULL || strcmp(raftaddr_node(s->address), node) == 0);
}

/* A message of another recovery epoch is of another group; a server that never belonged to one takes over the leader's. */
static bool
epoch_ok(struct raftio *io, const struct raftwire *w)
{
    struct raftlog *l = io->log;

    if (w->epoch == l->epoch)
        return true;
    if (w->epoch == 0 || l->last > 0 || raftlog_conf(l, NULL) > 0 ||
        (w->m.type != RAFT_IO_APPEND_ENTRIES && w->m.type != RAFT_IO_INSTALL_SNAPSHOT))
        return false;
    return raftlog_vote(l, w->epoch, l->term, l->voted) == 0;
}

/* Two leaders of one term cannot be, and what libraft takes for granted about answers to pre-votes. */
static bool
sane(const struct raftio *io, const struct raftwire *w)
{
    const struct raft *r = io->raft;
    uint64_t           term = r->current_term;

    switch (w->m.type) {
    case RAFT_IO_APPEND_ENTRIES:
        return r->state != RAFT_LEADER || w->m.append_entries.term != term;
    case RAFT_IO_INSTALL_SNAPSHOT:
        return r->state != RAFT_LEADER || w->m.install_snapshot.term != term;
    case RAFT_IO_REQUEST_VOTE:
        return (io->now >= io->vote_after || w->m.request_vote.disrupt_leader) && w->m.request_vote.candidate_id == w->from;
    case RAFT_IO_REQUEST_VOTE_RESULT:
        return r->state != RAFT_CANDIDATE || !r->candidate_state.in_pre_vote || !w->m.request_vote_result.vote_granted ||
               w->m.request_vote_result.term <= term + 1;
    default:
        return true;
    }
}

/* Will entries be cut off? Then nothing may be under way to the disk, and the roll-back of a configuration is ours. */
static void
before_append(struct raftio *io, const struct raft_append_entries *a)
{
    struct raft *r = io->raft;
    unsigned     i;

    for (i = 0; i < a->n_entries; i++) {
        uint64_t index = a->prev_log_index + 1 + i, term = raftio_term_of(r, index);

        if (term == 0)
            return;
        if (term == a->entries[i].term)
            continue;
        raftio_flush(io);
        if (r->configuration_uncommitted_index >= index)
            r->configuration_uncommitted_index = 0;
        return;
    }
}

/* True: libraft would take a conflicting entry for the snapshot's, so the snapshot went to the disk and libraft starts again from it. */
static bool
snapshot_by_hand(struct raftio *io, const struct raft_install_snapshot *s)
{
    struct raft         *r = io->raft;
    uint64_t             term = raftio_term_of(r, s->last_index);
    struct raft_snapshot snap = { .index = s->last_index, .term = s->last_term, .configuration = s->conf,
                                  .configuration_index = s->conf_index, .n_bufs = 1 };
    struct raft_buffer   buf = s->data;
    int                  rc;

    raftio_flush(io);
    if (io->broken != 0 || s->term != r->current_term || s->last_index <= r->commit_index || term <= s->last_term)
        return io->broken != 0;
    snap.bufs = &buf;
    rc = raftlog_snap_put(io->log, &snap, 0);
    io->broken = rc < 0 ? rc : -AIS_E_AGAIN;
    return true;
}

static void
ack(struct raftio *io, const struct raftwire *w)
{
    unsigned i;

    if (io->raft->state != RAFT_LEADER || w->echo_term != io->raft->current_term || w->echo_stamp > (uint64_t)io->now)
        return;
    for (i = 0; i < io->nacks && io->acks[i].sid != w->from; i++)
        ;
    if (i == RAFT_SERVERS)
        return;
    if (i == io->nacks)
        io->acks[io->nacks++] = (struct raftio_ack){ .sid = w->from };
    io->acks[i].stamp = MAX(io->acks[i].stamp, w->echo_stamp);
}

static void
heed(struct raftio *io, const struct raftwire *w, uint64_t term)
{
    if (term < io->raft->current_term)
        return;
    if (io->echo_from != w->from || io->echo_term != term) {
        io->echo_from = w->from;
        io->echo_term = term;
        io->echo_stamp = 0;
    }
    io->echo_stamp = MAX(io->echo_stamp, w->stamp);
}

/* What has to be known before libraft answers. True: go on. */
static bool
prepare(struct raftio *io, struct raftwire *w)
{
    struct raft_message *m = &w->m;

    switch (m->type) {
    case RAFT_IO_APPEND_ENTRIES:
        if (m->append_entries.term >= io->raft->current_term)
            before_append(io, &m->append_entries);
        heed(io, w, m->append_entries.term);
        io->append_end = m->append_entries.prev_log_index + m->append_entries.n_entries;
        break;
    case RAFT_IO_INSTALL_SNAPSHOT:
        if (snapshot_by_hand(io, &m->install_snapshot))
            return false;
        heed(io, w, m->install_snapshot.term);
        break;
    case RAFT_IO_APPEND_ENTRIES_RESULT:
        ack(io, w);
        break;
    case RAFT_IO_TIMEOUT_NOW:
        if (m->timeout_now.term >= io->raft->current_term)
            io->disrupt_term = m->timeout_now.term;
        break;
    default:
        break;
    }
    return io->broken == 0;
}

static struct raft_server *
itself(struct raft *r, uint64_t sid)
{
    for (unsigned i = 0; i < r->configuration.n; i++)
        if (r->configuration.servers[i].id == sid)
            return &r->configuration.servers[i];
    return NULL;
}

/*
 * A request for a vote. libraft lets a server vote only when its own log says that it is a voter. The entry that makes it one may not have
 * come yet, and whoever wrote it counts it already and cannot be elected without its vote: then nobody ever would be. Such a server does
 * not notice either that its leader has gone. A vote changes nothing about configurations.
 */
static void
hear_candidate(struct raftio *io, struct raft_message *m)
{
    struct raft        *r = io->raft;
    struct raft_server *self = itself(r, io->log->sid);
    int                 role = self == NULL ? RAFT_VOTER : self->role;

    if (role == RAFT_VOTER) {
        io->recv(&io->io, m);
        return;
    }
    if (r->state == RAFT_FOLLOWER && io_time(&io->io) - r->election_timer_start >= r->election_timeout)
        r->follower_state.current_leader.id = 0;
    self->role = RAFT_VOTER;
    io->recv(&io->io, m);
    self->role = role;
}

void
raftio_recv(struct raftio *io, const char *from_node, struct raftwire *w)
{
    char addr[RAFT_ADDR_MAX + 3];

    if (io->raft->state == RAFT_UNAVAILABLE || strlen(from_node) > RAFT_ADDR_MAX - 2 || !from_ok(io, from_node, w) ||
        !epoch_ok(io, w) || !sane(io, w) || !prepare(io, w)) {
        raftwire_free(w);
        return;
    }
    snprintf(addr, sizeof(addr), "v:%s", from_node);
    w->m.server_id = w->from;
    w->m.server_address = addr;
    if (w->m.type == RAFT_IO_REQUEST_VOTE)
        hear_candidate(io, &w->m);
    else
        io->recv(&io->io, &w->m);
    io->append_end = 0;
}

void
raftio_flush(struct raftio *io)
{
    struct raftio_done *d;
    int                 rc;

    while (io->broken == 0 && (d = STAILQ_FIRST(&io->done)) != NULL) {
        if (d->kind == DONE_APPEND) {
            rc = raftlog_flush(io->log);
            if (rc < 0) {
                io_broke(io, "the log cannot be written", rc);
                return;
            }
        }
        STAILQ_REMOVE_HEAD(&io->done, link);
        if (d->cb != NULL)
            done_run(d, d->status);
        else
            free(d);
    }
}

/* --- leading --- */
void
raftio_lead(struct raftio *io)
{
    io->nacks = 0;
}

uint64_t
raftio_acked(const struct raftio *io, uint64_t sid)
{
    unsigned i;

    for (i = 0; i < io->nacks; i++) {
        if (io->acks[i].sid == sid)
            return io->acks[i].stamp;
    }
    return 0;
}

int64_t
raftio_lease(const struct raftio *io, int64_t lease_ns)
{
    const struct raft *r = io->raft;
    uint64_t           at[RAFT_SERVERS];
    unsigned           i, k, n = 0;

    if (r->state != RAFT_LEADER)
        return 0;
    for (i = 0; i < r->configuration.n; i++) { /* the voters' times, newest first */
        const struct raft_server *s = &r->configuration.servers[i];
        uint64_t                  t = s->id == io->log->sid ? (uint64_t)io->now : raftio_acked(io, s->id);

        if (s->role != RAFT_VOTER)
            continue;
        for (k = n++; k > 0 && at[k - 1] < t; k--)
            at[k] = at[k - 1];
        at[k] = t;
    }
    if (n == 1 && at[0] == (uint64_t)io->now)
        return INT64_MAX;
    return n > 0 && at[n / 2] > 0 ? (int64_t)at[n / 2] + lease_ns : 0;
}

void
raftio_conf_settled(struct raft *r)
{
    uint64_t at = r->configuration_uncommitted_index;

    if (at != 0 && (at <= r->last_applied || at > raft_last_index(r)))
        r->configuration_uncommitted_index = 0;
}

void
raftio_step_down(struct raftio *io)
{
    struct raft        *r = io->raft;
    struct raft_message m = { .type = RAFT_IO_APPEND_ENTRIES_RESULT, .server_id = io->log->sid, .server_address = "v:-" };

    m.append_entries_result.term = r->current_term + 1;
    io->recv(&io->io, &m);
}

/* --- life --- */
void
raftio_init(struct raftio *io, struct raft *r, struct raftlog *l)
{
    memset(io, 0, sizeof(*io));
    io->raft = r;
    io->log = l;
    STAILQ_INIT(&io->done);
    sbuf_init(&io->out, RAFTWIRE_MAX + RAFTWIRE_HEAD);
    io->io = (struct raft_io){ .version = 1, .impl = io, .init = io_init, .close = io_close, .load = io_load, .start = io_start,
                               .bootstrap = io_no_configuration, .recover = io_no_configuration, .set_term = io_set_term,
                               .set_vote = io_set_vote, .send = io_send, .append = io_append, .truncate = io_truncate,
                               .snapshot_put = io_snapshot_put, .snapshot_get = io_snapshot_get, .time = io_time,
                               .random = io_random };
}

void
raftio_fini(struct raftio *io)
{
    sbuf_fini(&io->out);
}
