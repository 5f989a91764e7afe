/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libraft's environment: disk (raftlog.h), messages (raftwire.h), time and randomness; and what libraft 0.15 does not have or does not
 * get right by itself. Private to core; consensus.c drives it.
 *
 * The lease of a leader. Every append that is sent carries the time of sending, every answer echoes the newest such time that the voter
 * heeded. A voter that heeded a leader at time t refuses its vote until t + the election timeout; so while a majority heeded messages
 * sent at t or later, nobody else is elected before t + that timeout, and the leader may act alone until a little earlier. A voter that
 * has just started does not know whom it heeded: it withholds its vote for one timeout. "Disrupt" votes, which a leader asks for when it
 * hands over, count only in the term that follows the one of the hand-over, whose leader has given up its lease for good; nobody can be
 * bound to an older one, so they are given at once.
 *
 * What is mended here (in libraft's terms):
 *  - an answer to an append never claims more than the append covered (an old tail behind it is not a match);
 *  - the first barrier of a leader is on its disk before it hears any answer, so that entries of old terms are not committed by counting;
 *  - a failed write closes libraft and starts it again from the disk: a leader that took back an entry that it had sent already would
 *    put another one at the same index in the same term;
 *  - configurations that are rolled back are looked up here: libraft forgets them with a snapshot and at a restart;
 *  - one that was not committed yet when a snapshot came does not block later ones for good;
 *  - a server that is a voter by an entry that it does not have yet votes all the same;
 *  - a group of one is elected in a new term at every start;
 *  - an entry of a higher term where a snapshot ends is not the snapshot's.
 *
 * Threads: one at a time, the consensus thread.
 */
#ifndef CORE_RAFTIO_H
#define CORE_RAFTIO_H

#include <sys/queue.h>

#include "core/raftlog.h"
#include "core/raftwire.h"

struct raftio_done;

struct raftio {
    struct raft_io  io;
    struct raft    *raft;
    struct raftlog *log;
    void           *ctx;
    void (*send)(void *ctx, const char *node_id, const void *p, size_t n); /* must not block */
    int64_t         now;        /* of this step: clock_mono, ns */
    int64_t         vote_after; /* no vote before */
    int64_t         snap_after; /* no snapshot before: one failed */
    int64_t         timeout_ns; /* the smallest election timeout */
    STAILQ_HEAD(, raftio_done) done; /* finished or to be flushed: their callbacks wait */
    int             broken;     /* a write failed (negative code), or the log was replaced: start again from the disk */
    struct err      err;        /* of the last load */
    raft_io_tick_cb tick;
    raft_io_recv_cb recv;
    uint64_t        echo_from, echo_term, echo_stamp; /* the newest leader's message that was heeded */
    uint64_t        append_end; /* while an append is delivered: the last index that it speaks of; else 0 */
    uint64_t        follows;      /* the leader that the patience of this follower was drawn for; 0 = none */
    uint64_t        disrupt_term; /* a leader handed over to this server in this term; 0 = never */
    struct raftio_ack {
        uint64_t sid, stamp;
    } acks[RAFT_SERVERS];       /* this term's answers, while leader */
    unsigned        nacks;
    struct sbuf     out;
};

void raftio_init(struct raftio *io, struct raft *r, struct raftlog *l);
void raftio_fini(struct raftio *io);
/* One message from a node: checked, and handed to libraft when it is for this server. Takes what w carries. */
void raftio_recv(struct raftio *io, const char *from_node, struct raftwire *w);
/* Write what libraft appended and call it back, until nothing is left. io->broken when it failed. */
void raftio_flush(struct raftio *io);
/* A snapshot of this server's own failed: not again at once. */
void raftio_snapshot_failed(struct raftio *io, int rc);
/* A follower's time until it stands for election, by the leader that it has now. Each step. */
void raftio_follow(struct raftio *io);
/* A new term of leadership: nobody answered yet. */
void raftio_lead(struct raftio *io);
/* Until when a majority is bound to this leader, as lease_ns says; 0 = it is not; INT64_MAX = it is the only voter. */
int64_t raftio_lease(const struct raftio *io, int64_t lease_ns);
uint64_t raftio_acked(const struct raftio *io, uint64_t sid); /* when the newest message that it heeded was sent; 0 = none */
/* What a snapshot has overtaken waits for no commit any more. */
void raftio_conf_settled(struct raft *r);
/* Give up leadership by going on to the next term. */
void raftio_step_down(struct raftio *io);
/* Term of the entry at index, as libraft's log has it; 0 = it has none. */
uint64_t raftio_term_of(const struct raft *r, uint64_t index);

/* Addresses of servers: "v:" or, for a witness, "w:", and the id of the node. */
#define raftaddr_node(addr)    ((addr) + 2)
#define raftaddr_witness(addr) ((addr)[0] == 'w')

#endif
