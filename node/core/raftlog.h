/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of a voter: its identity and vote, its log, its snapshot. Private to core; raftio.c puts libraft on top.
 *
 * On disk (big-endian):
 *   vote          JSON {"format":2,"epoch","term","voted","raft","id"}: written whole before a term or vote is used. "raft" is the random
 *                 id that this directory has as a server: it goes with the directory, never with the node
 *   snap          "AISSNAP2", u64 index, u64 term, u64 index of the configuration, u32 bytes of it, u32 flags (1 = came from
 *                 another server), u64 bytes of data,
 *                 u64 XXH64(these 48 bytes + configuration + data), configuration (libraft's encoding), data
 *   log-<first>   "AISLOG02" u64 first index, then frames: u32 magic, u32 entries, u64 first index, u32 payload bytes,
 *                 u32 XXH64 (low half) of the 20 bytes before, u64 XXH64(these 24 bytes + payload),
 *                 payload: per entry u32 length, u16 type, u16 0, u64 term, bytes
 *   lock          held by the process that has the directory open
 *
 * Files only grow. A frame whose first index is not behind the last one replaces what was there from that index on.
 *
 * A frame that does not verify ends the log when it looks like a write that was cut short (never answered): the file ends inside it,
 * as its head says, or a whole sector of it was never written. It is cut off. Anything else is damage to something acknowledged: a
 * whole frame behind it, or a frame of full length with wrong bytes. Then the log refuses to open; so it does when the vote says that
 * there was a log and there is none, or when the directory is another node's.
 *
 * Threads: one at a time. All of it may block.
 */
#ifndef CORE_RAFTLOG_H
#define CORE_RAFTLOG_H

#include <raft.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/sbuf.h"

#define RAFTLOG_SNAP_BYTES (4u << 20) /* of log since the last snapshot: time for the next */

struct raftlog {
    char    *dir;
    char     id[64];
    int      lock_fd, fd;
    uint32_t epoch;             /* 0 = belongs to no group yet */
    uint64_t term, voted, sid;  /* sid: this server's raft id */
    struct raftlog_file *files; /* ascending; the last one is open as fd */
    size_t   nfiles;
    uint64_t off;               /* end of the last good frame of the open file */
    uint64_t reserved;          /* the file has blocks up to here */
    uint64_t last;              /* last index that is on disk or in the frames not yet flushed */
    uint64_t snap_index, snap_term;
    uint64_t grown;             /* bytes of log since the snapshot */
    struct raftlog_conf *confs; /* configurations in the log and the snapshot, ascending */
    size_t   nconfs;
    struct sbuf frames;         /* to be written by the next flush */
    bool     failed;            /* a flush failed: what is on disk is unknown, only a restart may find out */
};

/* Lock the directory and read vote and identity; both are made when the directory is new. -AIS_E_BUSY, -AIS_E_CONFLICT, -AIS_E_CORRUPT. */
int  raftlog_open(const char *dir, const char *id, struct raftlog **out, struct err *e);
void raftlog_close(struct raftlog *l);

/* The first entry of a new group: its configuration, in term 1 of epoch. Only in a directory that has no log. */
int  raftlog_bootstrap(struct raftlog *l, uint32_t epoch, const struct raft_configuration *c, struct err *e);
/*
 * Everything, for libraft, which owns it then. May be called again later: what was not flushed is forgotten. *snap NULL when there is none.
 */
int  raftlog_load(struct raftlog *l, struct raft_snapshot **snap, raft_index *start, struct raft_entry **entries, size_t *n,
                  struct err *e);
/* On disk when it returns. */
int  raftlog_vote(struct raftlog *l, uint32_t epoch, uint64_t term, uint64_t voted);

/* Entries from index `first` on, for the next flush; what was there from that index on is gone. */
int  raftlog_append(struct raftlog *l, uint64_t first, const struct raft_entry *entries, unsigned n);
/* Write and sync. On failure nothing of it is in the log; load again before going on. */
int  raftlog_flush(struct raftlog *l);
/* Make sure that n more bytes of entries will fit on the disk, as far as the file system can say. */
int  raftlog_reserve(struct raftlog *l, size_t n);
/* Forget entries from index on (on disk they stay until others take their place: harmless, they were never answered for). */
void raftlog_truncate(struct raftlog *l, uint64_t index);
/* The newest configuration that is in the log or the snapshot: 0 = none. Freshly decoded into *c unless NULL. */
uint64_t raftlog_conf(const struct raftlog *l, struct raft_configuration *c);

/* A snapshot, then what lies more than `trailing` entries before it goes; trailing 0: it replaces the whole log. */
int  raftlog_snap_put(struct raftlog *l, const struct raft_snapshot *s, unsigned trailing);
int  raftlog_snap_get(struct raftlog *l, struct raft_snapshot **out, struct err *e);

#endif
