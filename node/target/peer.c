/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects under another name, in another bucket, on another target: where a copy belongs there it is made.
 *
 * To another target it is an ordinary PUT over an authenticated node-to-node connection; attributes travel as headers, and the
 * receiver verifies the checksum before it commits.
 *
 * Runs on: the request's fiber. May park.
 */
#include <stdlib.h>

#include "base/util.h"
#include "run/disk.h"
#include "target/target_impl.h"

#define COPY_BUF   (256 * KIB)
#define STALL_NS   SEC_NS(60)
#define ERR_BODY   (16 * KIB)
#define ATTR_HDRS  2

struct copier
copier_of(struct req *r)
{
    return (struct copier){ .n = req_node(r), .smap = req_views(r)->smap, .rmd = req_views(r)->rmd, .arena = r->arena };
}

bool
obj_is_mine(const struct copier *c, const struct bck *b, struct str name, const struct snode **owner)
{
    *owner = smap_hrw(c->smap, bck_obj_digest(b, name));
    return *owner != NULL && strcmp((*owner)->id, c->n->id) == 0;
}

/* What is copied: an object or a plain file. */
struct source {
    struct obj *obj;
    int         fd;   /* when obj is NULL */
    uint64_t    size;
};

static int
source_piece(const struct source *s, uint64_t off, struct opiece *piece, struct err *e)
{
    if (s->obj != NULL)
        return obj_piece(s->obj, off, piece, e);
    *piece = (struct opiece){ .fd = s->fd, .off = off, .len = s->size - off };
    return 0;
}

static ssize_t
source_read(const struct source *s, void *p, size_t n, uint64_t off, struct err *e)
{
    ssize_t k;

    if (s->obj != NULL)
        return obj_read(s->obj, p, n, off, e);
    k = disk_pread(s->fd, p, n, off);
    return k < 0 ? err_set(e, (int)-k, "failed to read: %s", err_text((int)k)) : k;
}

static void
source_attrs(const struct source *s, struct put_attrs *a)
{
    const struct obj_info *oi;

    *a = (struct put_attrs){ .length = (int64_t)s->size };
    if (s->obj == NULL)
        return;
    oi = obj_info(s->obj);
    a->expect = oi->cksum;
    a->ncustom = oi->ncustom;
    a->custom = oi->custom;
}

/* --- here --- */

static int
copy_here(const struct copier *c, const struct source *s, const struct bck *b, struct str name, struct err *e)
{
    struct put_attrs a;
    struct put      *p;
    char            *buf;
    uint64_t         off = 0;
    ssize_t          k;
    int              rc;

    source_attrs(s, &a);
    rc = put_begin(c->n->store, b, name, &a, &p, e);
    if (rc < 0)
        return rc;
    buf = malloc(COPY_BUF);
    if (buf == NULL)
        rc = err_set(e, AIS_E_NOMEM, "no memory to copy an object");
    while (rc == 0 && off < s->size) {
        k = source_read(s, buf, (size_t)MIN(COPY_BUF, s->size - off), off, e);
        if (k <= 0)
            rc = k < 0 ? (int)k : err_set(e, AIS_E_IO, "the source ends early");
        else
            rc = put_write(p, buf, (size_t)k, e);
        off += k > 0 ? (uint64_t)k : 0;
    }
    free(buf);
    if (rc < 0) {
        put_abort(p);
        return rc;
    }
    return put_commit(p, NULL, e);
}

/* --- on another target --- */

static unsigned
source_hdrs(const struct copier *c, const struct source *s, struct hdr *h, unsigned n)
{
    struct put_attrs a;
    unsigned         i;

    source_attrs(s, &a);
    if (a.expect.type != CKSUM_NONE && a.expect.value[0] != '\0') {
        h[n++] = (struct hdr){ STR_LIT("Ais-Checksum-Type"), str_z(cksum_name(a.expect.type)) };
        h[n++] = (struct hdr){ STR_LIT("Ais-Checksum-Value"), arena_str(c->arena, str_z(a.expect.value)) };
    }
    for (i = 0; i < a.ncustom; i++)
        h[n++] = (struct hdr){ STR_LIT("Ais-Custom-Md"), arena_printf(c->arena, "%.*s=%.*s", STR_FMT(a.custom[i].k),
                                                                    STR_FMT(a.custom[i].v)) };
    return n;
}

static int
send_source(struct hcall *hc, const struct source *s, struct err *e)
{
    struct opiece piece;
    uint64_t      off = 0;
    int           rc = 0;

    while (rc == 0 && off < s->size) {
        rc = source_piece(s, off, &piece, e);
        if (rc < 0)
            return rc;
        rc = hc_file(hc, piece.fd, piece.off, piece.len);
        off += piece.len;
        obj_piece_done(&piece);
    }
    return rc;
}

/* The peer's answer: nothing on success, else its error document. */
static int
read_answer(struct hcall *hc, struct err *e)
{
    const struct http1_head *h;
    struct hc_resp           resp = { .status = 0 };
    char                    *buf;
    ssize_t                  k = 1;
    size_t                   n = 0;
    int                      rc;

    rc = hc_head(hc, &h);
    if (rc < 0)
        return rc;
    buf = xmalloc(ERR_BODY);
    while (k > 0 && n < ERR_BODY) {
        k = hc_read(hc, buf + n, ERR_BODY - n);
        n += k > 0 ? (size_t)k : 0;
    }
    resp.status = h->status;
    resp.body = str_from(buf, n);
    rc = h->status < 300 ? (int)MIN(k, 0) : node_peer_err(&resp, e);
    free(buf);
    return rc;
}

static int
copy_there(const struct copier *c, const struct source *s, const struct snode *to, const struct bck *b, struct str name, struct err *e)
{
    struct hdr   *h = arena_alloc(c->arena, (NODE_HDRS + ATTR_HDRS + LMETA_MAX_CUSTOM) * sizeof(*h));
    struct hc_req q = { .method = M_PUT, .timeout_ns = STALL_NS };
    struct hcall *hc = NULL;
    int           rc;

    q.target = obj_path(c->arena, "/v1/objects/", b, name);
    if (h == NULL || q.target.p == NULL)
        return err_set(e, AIS_E_NOMEM, "no memory to send an object");
    q.base = str_z(to->data.url[0] != '\0' ? to->data.url : to->control.url);
    q.hdrs = h;
    q.nhdrs = source_hdrs(c, s, h, node_call_hdrs(c->n, c->arena, h));
    q.length = (int64_t)s->size;
    q.peer = (void *)(uintptr_t)to;
    rc = hc_open(c->n->hc, &q, &hc, e);
    if (rc < 0)
        return rc;
    rc = send_source(hc, s, e);
    if (rc == 0 && s->size > 0)
        rc = hc_end_body(hc);
    if (rc == 0)
        rc = read_answer(hc, e);
    hc_close(hc);
    return rc < 0 ? err_fill(e, rc) : 0;
}

static int
copy_source(const struct copier *c, const struct source *s, const struct bck *b, struct str name, struct err *e)
{
    const struct snode *owner;

    if (obj_is_mine(c, b, name, &owner))
        return copy_here(c, s, b, name, e);
    if (owner == NULL)
        return err_set(e, AIS_E_UNAVAIL, "no active targets");
    return copy_there(c, s, owner, b, name, e);
}

int
obj_copy_to(const struct copier *c, struct obj *o, const struct bck *b, struct str name, struct err *e)
{
    struct source s = { .obj = o, .fd = -1, .size = obj_info(o)->size };

    return copy_source(c, &s, b, name, e);
}

int
file_copy_to(const struct copier *c, int fd, uint64_t size, const struct bck *b, struct str name, struct err *e)
{
    struct source s = { .fd = fd, .size = size };

    return copy_source(c, &s, b, name, e);
}

int
obj_exists(const struct copier *c, const struct bck *b, struct str name, struct err *e)
{
    const struct snode *owner;
    struct hc_resp      resp;
    struct obj         *obj = NULL;
    int                 rc;

    if (obj_is_mine(c, b, name, &owner)) {
        rc = obj_settle(c, b, name, e);
        if (rc == 0)
            rc = obj_open(c->n->store, b, name, OBJ_NO_FD | OBJ_NO_LRU, &obj, e);
        obj_close(obj);
    } else if (owner == NULL) {
        return err_set(e, AIS_E_UNAVAIL, "no active targets");
    } else {
        rc = node_call(c->n, owner, M_HEAD, obj_path(c->arena, "/v1/objects/", b, name), STR_NULL, c->arena, ERR_BODY, STALL_NS, &resp, e);
        if (rc < 0 && e->status == 404)
            rc = -AIS_E_NOOBJ;
    }
    if (rc == -AIS_E_NOOBJ)
        err_clear(e);
    return rc == 0 ? 1 : rc == -AIS_E_NOOBJ ? 0 : rc;
}
