/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of a mountpath: one checksummed group of records before the files of the group get their names.
 *
 * It is a row of segments, one an epoch (README.md, "Journal"). Coding is pure and fuzzed; the rest runs on the committer and on the
 * checkpoint thread, which takes a segment over when the epoch is closed. Blocks.
 */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include "base/err.h"
#include "base/sbuf.h"
#include "store/store_types.h"

/* clang-format off */
enum jop {
    JOP_PUT = 1, /* the name gets new content; with a body: it can be made again from the record */
    JOP_DELETE,  /* the name goes */
    JOP_SYNC,    /* look at the file: the row follows it */
    JOP_MOVED,   /* the object goes, its row (`meta`) stays as a stub */
    JOP_NOPS
};
/* clang-format on */

struct jrec {
    enum jop   op;
    bool       has_body;
    uint64_t   bid;
    struct gen gen;
    struct str name;
    struct str prev;            /* base name, in the bucket's work directory, of the predecessor; "" = none */
    struct str meta, own, body; /* xattrs and content, when has_body; MOVED: meta is the row */
};

void jrec_encode(const struct jrec *r, struct sbuf *out);
/* Take one record off the front. 0 or -AIS_E_CORRUPT; strs point into the bytes. */
int  jrec_decode(struct str *in, struct jrec *r);

/* A group: head, then records. Begin in an empty buffer, append records, end. */
#define JGROUP_HEAD 32
void jgroup_begin(struct sbuf *out);
void jgroup_end(struct sbuf *out, uint64_t segment, uint64_t salt);
/* The group at the front of *in, if it is whole and of this segment: its records. false: the segment ends here, or has a gap. */
bool jgroup_next(struct str *in, uint64_t segment, struct str *records);
/*
 * Behind what is not a whole group: move *in to the next one. The bytes before it may be a client's, who would like us to take a part of
 * them for a group: the salt, which clients do not know, tells. false: there is none.
 */
bool jgroup_resync(struct str *in, uint64_t segment, uint64_t salt);

struct jseg {
    int      fd;
    uint64_t nr;
    uint64_t at; /* bytes written */
    bool     named; /* its name is on stable storage */
};
struct journal {
    char        dir[300];
    struct jseg seg;       /* being written */
    uint64_t    salt;      /* of groups; the same for the mountpath's life, and no client's to know */
    uint64_t    prealloc;  /* bytes reserved for each segment, so that DELETE works on a full disk */
    uint64_t   *old;       /* numbers of segments found at the start, ascending */
    unsigned    nold;
};
int      journal_open(const char *dir, uint64_t fs_bytes, struct journal *j, struct err *e);
void     journal_close(struct journal *j);
int      journal_append(struct journal *j, const struct sbuf *group);
int      journal_flush(struct journal *j); /* what was appended is on stable storage, and will be found */
/* Close the present segment (to *out) and begin the next. On failure nothing has changed. */
int      journal_rotate(struct journal *j, struct jseg *out);
void     journal_release(struct journal *j, struct jseg *s); /* no longer needed: reused or removed */
/* All bytes of an old segment (malloc'd). */
int      journal_read(const struct journal *j, uint64_t nr, char **p, size_t *n);
void     journal_forget_old(struct journal *j); /* they are folded in: removed */

#endif
