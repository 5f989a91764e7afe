/* SPDX-License-Identifier: Apache-2.0 */
/*
 * List-objects, the part that proxy and target share: the client's message, the question to a target, its page, the merge.
 *
 * The proxy asks every target for a page of entries that are already encoded for the client (JSON or msgpack); merging compares
 * names and copies bytes. Nothing here does I/O; threads: any; nothing parks. native-api.md 3.9; page format: README.md.
 */
#ifndef LSO_LSO_H
#define LSO_LSO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/sbuf.h"
#include "core/bck_types.h"
#include "store/store_types.h"

struct json_t;

/* LsoMsg.flags */
#define LS_CACHED       (1u << 0)
#define LS_MISSING      (1u << 1)
#define LS_DELETED      (1u << 2)
#define LS_ARCH_DIR     (1u << 3)
#define LS_NAME_ONLY    (1u << 4)
#define LS_NAME_SIZE    (1u << 5)
#define LS_BCK_PRESENT  (1u << 6)
#define LS_DONT_HEAD    (1u << 7)
#define LS_DONT_ADD     (1u << 8)
#define LS_NOT_CACHED   (1u << 9)
#define LS_NO_RECURSION (1u << 11)
#define LS_DIFF         (1u << 12)
#define LS_NO_DIRS      (1u << 13)
#define LS_IS_S3        (1u << 14)
#define LS_NBI          (1u << 15)

/* Flags of an entry: the low five bits are its status. */
#define LSE_STATUS      0x1fu
#define LSE_CACHED      (1u << 6)
#define LSE_IN_ARCH     (1u << 7)
#define LSE_DIR         (1u << 8)
#define LSE_ARCHIVE     (1u << 9)
#define LSE_VER_CHANGED (1u << 10)
#define LSE_VER_REMOVED (1u << 11)
#define LSE_CHUNKED     (1u << 13)

/* Properties asked for. */
#define LSP_SIZE     (1u << 0)
#define LSP_VERSION  (1u << 1)
#define LSP_CHECKSUM (1u << 2)
#define LSP_ATIME    (1u << 3)
#define LSP_CACHED   (1u << 4)
#define LSP_STATUS   (1u << 5)
#define LSP_COPIES   (1u << 6)
#define LSP_EC       (1u << 7)
#define LSP_CUSTOM   (1u << 8)
#define LSP_LOCATION (1u << 9)
#define LSP_CHUNKED  (1u << 10)

#define LSO_PAGE_DFLT 10000
#define LSO_PAGE_MAX  100000 /* entries of one page whatever the client asks; it gets a token and comes back */

/* --- the client's message --- */
struct lso_msg {
    char       uuid[40];    /* "" on the first page */
    uint64_t   flags;
    uint32_t   props;       /* LSP_* */
    uint32_t   pagesize;    /* 1..LSO_PAGE_MAX after lso_msg_check */
    struct str props_text;  /* as given; all strs are in the arena or borrowed from the JSON value */
    struct str prefix;      /* one trailing '*' stripped */
    struct str start_after, token, time_format, sid;
};
/* The value of {"action":"list"}. -AIS_E_BADREQ with AIStore's text; who: "p[id]", its prefix. */
int lso_msg_read(struct lso_msg *m, const struct json_t *value, const char *who, struct err *e);
/* Defaults, and what cannot be asked of this bucket (display: its "ais://b"). -AIS_E_BADREQ, -AIS_E_NOTIMPL. */
int lso_msg_check(struct lso_msg *m, const struct bck *b, const char *display, struct err *e);
/* The name after which the page starts: the token, or start_after on the first page. */
struct str lso_msg_after(const struct lso_msg *m);

/* --- proxy to target: POST on lso_path(b, "_list"), body lso_ask, answer a page --- */
struct lso_ask {
    uint32_t   flags, props;
    uint32_t   max;       /* entries */
    bool       msgpack;   /* encoding of the entries, else JSON */
    struct str prefix, after, time_format;
};
void lso_ask_from(struct lso_ask *a, const struct lso_msg *m, bool msgpack);
void lso_ask_encode(const struct lso_ask *a, struct sbuf *out);
int  lso_ask_decode(struct lso_ask *a, struct str body); /* strs point into body. 0, -AIS_E_BADREQ */
/* How many entries to ask of one of n targets so that the page rarely needs a second question. */
uint32_t lso_share(const struct lso_msg *m, unsigned ntargets);
/* "/v1/buckets/NAME/<verb>?provider=..&namespace=.." */
void lso_path(struct sbuf *out, const struct bck *b, const char *verb);
#define LSO_VERB_LIST    "_list"    /* answer: a page */
#define LSO_VERB_SUMMARY "_summary" /* POST, body: the prefix as it is; answer: JSON of struct lso_sum's members */

/* What one target answers to _summary. */
struct lso_sum {
    uint64_t objects, bytes, on_disk, min_size, max_size, capacity; /* capacity: bytes of its file systems */
};
void lso_sum_json(const struct lso_sum *s, struct sbuf *out);
int  lso_sum_read(struct lso_sum *s, struct str json, struct err *e);

/* --- a page, as the target writes it --- */
#define LSO_GEN_BYTES 28 /* a generation on the wire: its members big-endian, so that bytes compare as generations do */
struct lso_page {
    struct sbuf   *b;
    const struct lso_ask *ask;
    uint32_t       n;
    bool           gens;        /* records carry generations */
    char           gen[LSO_GEN_BYTES]; /* of the next entry */
    struct sbuf    tmp;         /* custom metadata being joined */
    int64_t        time_key;    /* what the formatted time below stands for */
    char           time[96];
    size_t         time_len;
};
void lso_page_begin(struct lso_page *p, struct sbuf *b, const struct lso_ask *ask);
/*
 * The same, for a bucket whose objects may lie with former owners (rmd.h): several targets may have an object, and the newest
 * generation counts, also when it is that of a deletion. Before each entry lso_page_gen says how new it is.
 */
void lso_page_begin_gens(struct lso_page *p, struct sbuf *b, const struct lso_ask *ask);
void lso_page_gen(struct lso_page *p, const struct gen *g);
void lso_page_tomb(struct lso_page *p, struct str name); /* the name was deleted; only in a page with generations */
/* location: "t[id]:mp[...]", used when asked for. sbuf_ok() of the buffer tells whether it fitted. */
void lso_page_ent(struct lso_page *p, const struct lent *le, struct str location);
void lso_page_dir(struct lso_page *p, struct str name); /* a virtual directory: the name ends in '/' */
/* What the target knew when the page began; more: there is something behind the last entry. */
struct lso_state {
    uint64_t smap_ver, rmd_ver;
    uint32_t flags; /* LsoRes.flags of this target */
    bool     more;
};
void lso_page_end(struct lso_page *p, const struct lso_state *s); /* must be called, also after a failure */

/* --- reading and merging pages --- */
struct lso_src {
    const unsigned char *p, *end; /* unread records */
    struct str name;              /* of the present record; points into the page */
    struct str ent;               /* its bytes for the client */
    const char *gen;              /* its generation, LSO_GEN_BYTES; zeros when the page has none */
    uint16_t   flags;             /* LSE_* */
    bool       valid;             /* there is a present record */
    bool       tomb;              /* it says that the name was deleted */
    bool       gens;
    struct lso_state state;
};
/* 0 or -AIS_E_BADREQ. The page's memory must live as long as the merge. */
int lso_src_open(struct lso_src *s, struct str page, bool msgpack);
int lso_src_next(struct lso_src *s); /* 0 or -AIS_E_BADREQ; s->valid tells whether there is one */

struct lso_merge {
    struct lso_src *src;  /* n of them, opened */
    unsigned        n;
    unsigned       *heap; /* n entries of memory */
    unsigned        nheap;
    bool            msgpack;
    uint32_t        max;  /* entries wanted */
    uint32_t        nout;
    struct str      last; /* name of the last entry given out: the token when the page is full */
    struct str      seen; /* name of the last record looked at, given out or not */
    struct sbuf    *out;  /* entries, one after the other (JSON: with commas between) */
};
void lso_merge_init(struct lso_merge *m, struct lso_src *src, unsigned *heap, unsigned n, bool msgpack, uint32_t max,
                    struct sbuf *out);
#define LSO_FULL (-1) /* max entries are out */
#define LSO_END  (-2) /* every source is at its end */
/*
 * Merge as far as the pages go, names ascending, one entry a name: that of the newest generation, then of the best status; none when
 * the newest is a deletion. Returns LSO_FULL, LSO_END, the index of a source that needs its next page (ask after m->src[i].name, open
 * it in place, call again), or a code below -AIS_E_BASE.
 */
int lso_merge_run(struct lso_merge *m);

/* The document around the entries: send head, entries, tail. n entries; token "" at the end of the listing. */
void lso_res_head(struct sbuf *out, bool msgpack, struct str uuid, struct str token, uint32_t n);
void lso_res_tail(struct sbuf *out, bool msgpack, uint32_t n, uint32_t flags);

#endif
