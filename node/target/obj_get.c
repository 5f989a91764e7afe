/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Object GET on a target: whole or one range.
 *
 * The handle pins the version that was found; its pieces leave by sendfile. Once the head is out a failure can only cut the
 * connection, so everything that may fail for a reason worth telling comes before.
 *
 * Runs on: the request's fiber. May park. Wire: native-api.md 4.2; golden/wire/object-get*, object-range-*.
 */
#include "base/util.h"
#include "run/fiber.h"
#include "target/target_impl.h"

#define HASH_STEP (128 * KIB) /* bytes hashed between two turns of the loop */

struct range {
    uint64_t off, len;
    bool     part; /* of the object: 206 */
};

/* Why http1_range() refused, in AIStore's words. */
static int
range_error(struct req *r, struct str text, uint64_t size, struct str display, struct err *e)
{
    const struct str bytes = STR_LIT("bytes=");
    struct str       spec, start;
    uint64_t         first;
    ptrdiff_t        dash;

    if (!str_starts(text, bytes)) {
        err_set(e, AIS_E_RANGE, "read range \"%.*s\" is invalid (prefix)", STR_FMT(text));
        return err_tcode(e, "");
    }
    spec = str_from_off(text, bytes.n);
    if (str_chr(spec, ',') >= 0) {
        err_set(e, AIS_E_RANGE, "cannot multi-range read %.*s - operation not supported", STR_FMT(display));
        return err_tcode(e, "ErrUnsupp");
    }
    dash = str_chr(spec, '-');
    if (dash < 0) {
        err_set(e, AIS_E_RANGE, "read range \"%.*s\" is invalid (-)", STR_FMT(text));
        return err_tcode(e, "");
    }
    start = str_trim(str_from(spec.p, (size_t)dash));
    if (start.n == 0) {
        err_set(e, AIS_E_RANGE, "read range \"%.*s\" is invalid as per RFC 7233 Section 2.1", STR_FMT(spec));
        return err_tcode(e, "");
    }
    if (!str_u64(start, &first) || first < size) {
        err_set(e, AIS_E_RANGE, "read range \"%.*s\" is invalid (%s)", STR_FMT(spec), str_u64(start, &first) ? "end" : "start");
        return err_tcode(e, "");
    }
    resp_hdrf(r, "Content-Range", "bytes */%" PRIu64, size);
    return err_set(e, AIS_E_RANGE, "size=%" PRIu64 ": not satisfiable range [%.*s]", size, STR_FMT(spec));
}

static int
range_find(struct req *r, const struct objreq *o, uint64_t size, struct range *g, struct err *e)
{
    struct str text = r->head->range;

    *g = (struct range){ .off = 0, .len = size };
    if (text.n == 0)
        return 0;
    if (http1_range(text, size, &g->off, &g->len) < 0)
        return range_error(r, text, size, obj_display(r, &o->b, o->name), e);
    g->part = true;
    return 0;
}

/* enable_read_range: the checksum of the range, by the bucket's type. Turns the loop between steps. */
static int
range_cksum(struct req *r, struct obj *obj, enum cksum_type type, const struct range *g, struct cksum *out, struct err *e)
{
    struct cksum_run run;
    uint64_t         done = 0;
    char            *buf = arena_alloc(r->arena, HASH_STEP);
    ssize_t          k;
    int              rc;

    if (buf == NULL)
        return err_set(e, AIS_E_NOMEM, "no memory to checksum a range");
    rc = cksum_init(&run, type);
    if (rc < 0)
        return err_fill(e, rc);
    while (done < g->len) {
        k = obj_read(obj, buf, (size_t)MIN(g->len - done, HASH_STEP), g->off + done, e);
        if (k <= 0) {
            rc = k < 0 ? (int)k : err_set(e, AIS_E_IO, "the object ends early");
            goto out;
        }
        cksum_update(&run, buf, (size_t)k);
        done += (uint64_t)k;
        fiber_yield();
    }
    cksum_final(&run, out);
out:
    cksum_fini(&run);
    return rc;
}

static int
send_pieces(struct req *r, struct obj *obj, const struct range *g, struct err *e)
{
    uint64_t      off = g->off, end = g->off + g->len, len;
    struct opiece piece;
    int           rc;

    while (off < end) {
        rc = obj_piece(obj, off, &piece, e);
        if (rc < 0)
            return rc;
        len = MIN(piece.len, end - off);
        rc = resp_file(r, piece.fd, piece.off, len);
        obj_piece_done(&piece);
        if (rc < 0)
            return rc;
        off += len;
    }
    return resp_end(r);
}

static void
get_headers(struct req *r, const struct obj_info *oi, const struct range *g, const struct cksum *cksum)
{
    attrs_to_headers(r, oi, cksum);
    resp_hdr(r, "Content-Type", STR_LIT("application/octet-stream"));
    if (g->part) {
        resp_hdr(r, "Accept-Ranges", STR_LIT("bytes"));
        resp_hdrf(r, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, g->off, g->off + g->len - 1, oi->size);
    }
}

/* An open object to the client. */
static int
get_send(struct req *r, const struct objreq *o, struct obj *obj, struct range *g, struct err *e)
{
    const struct obj_info *oi = obj_info(obj);
    struct cksum           sum = { .type = CKSUM_NONE };
    const struct cksum    *use = NULL;
    int                    rc;

    if (o->b.validate_warm_get && !g->part) {
        rc = obj_verify(obj, e);
        if (rc < 0)
            return rc;
    }
    rc = range_find(r, o, oi->size, g, e);
    if (rc < 0)
        return rc;
    if (g->part && o->b.range_cksum && o->b.cksum != CKSUM_NONE) {
        rc = range_cksum(r, obj, o->b.cksum, g, &sum, e);
        if (rc < 0)
            return rc;
        use = &sum;
    }
    get_headers(r, oi, g, use);
    rc = resp_start(r, g->part ? 206 : 200, (int64_t)g->len);
    return rc < 0 ? rc : send_pieces(r, obj, g, e);
}

/* What other issues bring: refused by name, before the object is looked at. */
static const char *
get_feature(struct req *r, const struct objreq *o)
{
    if (o->q.etl_name.n > 0)
        return "inline transformation (etl_name)";
    if (o->q.archpath.n > 0 || o->q.archmode.n > 0)
        return "reading from archives (archpath, archmode)";
    if (str_query_bool(req_hdr(r, STR_LIT("Ais-Blob-Download"))))
        return "blob download";
    return NULL;
}

void
h_target_obj_get(struct req *r)
{
    struct node  *n = req_node(r);
    struct objreq o;
    struct range  g = { .off = 0 };
    struct obj   *obj = NULL;
    struct err    e = { .code = 0 };
    int64_t       took;
    int           rc;

    rc = objreq_init(r, &o, false, &e);
    if (rc < 0)
        return objreq_refuse(r, rc, &e);
    if (str_query_bool(req_hdr(r, STR_LIT("Ais-Blob-Download"))) && bck_is_local(&o.b))
        return resp_err(r, err_not_remote(&e, "blob-download", &o.b), &e);
    if (get_feature(r, &o) != NULL)
        return h_not_implemented(r, get_feature(r, &o));
    rc = obj_open_or_restore(r, &o, 0, &obj, &e);
    if (rc == 0)
        rc = get_send(r, &o, obj, &g, &e);
    else if (rc == -AIS_E_NOOBJ)
        err_noobj(r, &e, &o.b, o.name);
    if (rc < 0) {
        if (rc != -AIS_E_NOOBJ)
            count_error(n, rc, STAT_ERR_GET_N, STAT_ERR_IO_GET_N);
        resp_err(r, rc, &e);
    } else {
        took = clock_mono() - r->start;
        stat_inc(n->stats, STAT_GET_N);
        stat_add(n->stats, STAT_GET_SIZE, g.len);
        stat_add(n->stats, STAT_GET_NS_TOTAL, (uint64_t)took);
    }
    obj_close(obj);
}
