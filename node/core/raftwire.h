/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raft messages as bytes: what one voter sends to another. Private to core; raftio.c uses it.
 *
 * Big-endian. A message is an envelope and a body; several may follow each other in one piece of bytes:
 *
 *   u32 magic, u8 version (1), u8 type, u16 0, u32 recovery epoch, u32 bytes of the body,
 *   u64 from, u64 to (raft ids), u64 stamp, u64 echo term, u64 echo stamp, u64 XXH64(all before it + body), body
 *
 *   1 append          u64 term, prev index, prev term, commit; u32 n; n entries of u32 length, u16 type, u16 0, u64 term, bytes
 *   2 append result   u64 term, rejected, last index
 *   3 vote            u64 term, candidate, last index, last term; u8 disrupt, u8 pre-vote
 *   4 vote result     u64 term; u8 granted, u8 pre-vote (0 not said, 1 yes, 2 no)
 *   5 snapshot        u64 term, last index, last term, configuration index; u32 length, configuration; u64 length, data
 *   6 timeout now     u64 term, last index, last term
 *
 * The stamp is the sender's clock when it sent an append or snapshot; an answer echoes the newest one that was heeded, with its term.
 * A leader's lease is counted from echoes (raftio.h), and no clock of another machine is ever compared with one's own.
 */
#ifndef CORE_RAFTWIRE_H
#define CORE_RAFTWIRE_H

#include <raft.h>

#include "base/sbuf.h"

#define RAFTWIRE_HEAD 64u
#define RAFTWIRE_MAX  (512u << 20) /* one message */
#define RAFT_SERVERS  32u          /* most servers in a configuration that is believed */
#define RAFT_ADDR_MAX 80u          /* most bytes of a server's address */

struct raftwire {
    uint32_t            epoch;
    uint64_t            from, to, stamp, echo_term, echo_stamp;
    struct raft_message m; /* server_id and server_address are not part of the wire */
};

/*
 * Append the message to *out. Entries: only the n from `at` on, with the indexes, term and commit index that such a part has by itself
 * (a long tail of the log is sent in several messages). out->failed when it does not fit.
 */
void raftwire_put(struct sbuf *out, const struct raftwire *w, unsigned at, unsigned n);
/* Bytes of the envelope and body at p; 0 when there is no whole message of this format. */
size_t raftwire_len(const char *p, size_t n);
/*
 * Decode one whole message. What it carries is raft_malloc'd, as libraft wants to own it; raftwire_free frees it when it goes nowhere.
 * -AIS_E_CORRUPT for anything that libraft must not see: it trusts its peers.
 */
int  raftwire_get(struct str s, struct raftwire *w);
void raftwire_free(struct raftwire *w);

/* A configuration in libraft's own encoding, checked. *c is initialised here. 0 or -AIS_E_CORRUPT. */
int raftconf_decode(struct str s, struct raft_configuration *c);
int raftconf_copy(const struct raft_configuration *from, struct raft_configuration *to); /* 0 or -AIS_E_NOMEM */

#endif
