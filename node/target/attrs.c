/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Object attributes in headers, in both directions, and what PUT variants share.
 *
 * Runs on: the request's fiber. Wire: native-api.md 2.5, 4.1, 4.2.
 */
#include "base/util.h"
#include "net/http.h"
#include "target/target_impl.h"

#define CUSTOM_MAX 2048 /* keys and values of one object's custom metadata */
#define SEPARATOR  "\xe3/\xbd"

static bool
has_reserved(struct str s)
{
    return s.n > 0 && (memchr(s.p, 0x01, s.n) != NULL || str_find(s, STR_LIT(SEPARATOR)) >= 0);
}

int
custom_check(const struct kv *kv, unsigned n, struct err *e)
{
    size_t   total = 0;
    unsigned i;

    for (i = 0; i < n; i++) {
        total += kv[i].k.n + kv[i].v.n;
        if (kv[i].k.n == 0)
            return err_set(e, AIS_E_BADREQ, "custom metadata: empty key (value=\"%.*s\")", STR_FMT(kv[i].v));
        if (has_reserved(kv[i].k) || has_reserved(kv[i].v))
            return err_set(e, AIS_E_BADREQ, "custom metadata '\"%.*s\"=\"%.*s\"': key or value contains reserved symbol",
                           STR_FMT(kv[i].k), STR_FMT(kv[i].v));
        if (total > CUSTOM_MAX)
            return err_set(e, AIS_E_BADREQ, "custom metadata: total size %zu exceeds max %d bytes", total, CUSTOM_MAX);
    }
    return 0;
}

/* A later line with the same key replaces. */
static unsigned
kv_set(struct kv *kv, unsigned n, struct str k, struct str v)
{
    unsigned i;

    for (i = 0; i < n && !str_eq(kv[i].k, k); i++)
        ;
    kv[i] = (struct kv){ k, v };
    return i == n ? n + 1 : n;
}

static int
custom_from_headers(struct req *r, struct put_attrs *a, struct err *e)
{
    const struct str name = STR_LIT("Ais-Custom-Md");
    struct kv       *kv = NULL;
    struct str       line;
    unsigned         it = 0, n = 0;
    ptrdiff_t        eq;

    while (http1_hdr_next(r->head, name, &it, &line)) {
        eq = str_chr(line, '=');
        if (eq < 0)
            return err_set(e, AIS_E_BADREQ, "custom metadata: invalid format \"%.*s\" (expecting key=value)", STR_FMT(line));
        if (kv == NULL)
            kv = arena_alloc(r->arena, LMETA_MAX_CUSTOM * sizeof(*kv));
        if (kv == NULL || n == LMETA_MAX_CUSTOM)
            return err_set(e, AIS_E_BADREQ, "custom metadata: more than %d keys", LMETA_MAX_CUSTOM);
        n = kv_set(kv, n, str_from(line.p, (size_t)eq), str_from_off(line, (size_t)eq + 1));
    }
    a->custom = kv;
    a->ncustom = n;
    return custom_check(kv, n, e);
}

static int
cksum_from_headers(struct req *r, struct cksum *c, struct err *e)
{
    struct str type = req_hdr(r, STR_LIT("Ais-Checksum-Type")), value = req_hdr(r, STR_LIT("Ais-Checksum-Value"));

    c->type = CKSUM_NONE;
    c->value[0] = '\0';
    if (type.n == 0 || value.n == 0)
        return 0;
    if (!cksum_by_name(type, &c->type))
        return err_set(e, AIS_E_BADREQ, "invalid checksum type \"%.*s\"", STR_FMT(type));
    if (c->type != CKSUM_NONE && !str_copyz(value, c->value, sizeof(c->value)))
        return err_set(e, AIS_E_BADREQ, "invalid checksum value");
    return 0;
}

int
attrs_from_headers(struct req *r, struct put_attrs *a, struct err *e)
{
    struct str s;
    int        rc;

    *a = (struct put_attrs){ .length = req_content_length(r) };
    rc = cksum_from_headers(r, &a->expect, e);
    if (rc < 0)
        return rc;
    s = req_hdr(r, STR_LIT("Ais-Atime"));
    if (s.n > 0 && !str_i64(s, &a->atime_ns))
        return err_set(e, AIS_E_BADREQ, "invalid Ais-Atime \"%.*s\"", STR_FMT(s));
    a->version = req_hdr(r, STR_LIT("Ais-Version"));
    return custom_from_headers(r, a, e);
}

void
custom_to_headers(struct req *r, const struct obj_info *oi, bool etag)
{
    unsigned i;

    for (i = 0; i < oi->ncustom; i++) {
        resp_hdrf(r, "Ais-Custom-Md", "%.*s=%.*s", STR_FMT(oi->custom[i].k), STR_FMT(oi->custom[i].v));
        if (etag && str_eqz(oi->custom[i].k, "ETag"))
            resp_hdr(r, "ETag", oi->custom[i].v);
    }
}

void
cksum_to_headers(struct req *r, const struct cksum *c)
{
    if (c->type == CKSUM_NONE || c->value[0] == '\0')
        return;
    resp_hdr(r, "Ais-Checksum-Type", str_z(cksum_name(c->type)));
    resp_hdr(r, "Ais-Checksum-Value", str_z(c->value));
}

void
attrs_to_headers(struct req *r, const struct obj_info *oi, const struct cksum *cksum)
{
    cksum_to_headers(r, cksum != NULL ? cksum : &oi->cksum);
    if (obj_info_atime(oi) != 0)
        resp_hdr_u64(r, "Ais-Atime", (uint64_t)obj_info_atime(oi));
    if (oi->version.n > 0)
        resp_hdr(r, "Ais-Version", oi->version);
    custom_to_headers(r, oi, true);
}

struct str
mpath_place(struct node *n, unsigned mpath)
{
    const struct places *p = __atomic_load_n(&target_of(n)->places, __ATOMIC_ACQUIRE);

    return p != NULL && mpath < p->n ? str_z(p->text[mpath]) : STR_NULL;
}

/* The body goes from the connection's buffer to the writer: no copy between. */
int
body_to_put(struct req *r, struct put *p, uint64_t max, uint64_t *nbytes, struct err *e)
{
    const void *data;
    ssize_t     k;
    int         rc;

    *nbytes = 0;
    while (*nbytes < max) {
        k = req_peek(r, &data);
        if (k < 0)
            return err_set(e, (int)-k, "failed to receive the body: %s", err_text((int)k));
        if (k == 0)
            return 0;
        k = (ssize_t)MIN((uint64_t)k, max - *nbytes);
        rc = put_write(p, data, (size_t)k, e);
        if (rc < 0)
            return rc;
        req_consume(r, (size_t)k);
        *nbytes += (uint64_t)k;
    }
    return 0;
}

void
cksum_context(struct err *e, struct str display)
{
    struct str text = str_z(e->text);
    char       was[sizeof(e->text)];

    if (e->code != AIS_E_CKSUM || str_find(text, STR_LIT("(context: ")) >= 0)
        return;
    str_copyz(text, was, sizeof(was));
    snprintf(e->text, sizeof(e->text), "%s%.400s (context: %.*s)",
             str_starts(text, STR_LIT("BAD DATA CHECKSUM")) ? "" : "BAD DATA CHECKSUM: ", was, STR_FMT(display));
}

void
count_error(struct node *n, int rc, enum stat_id err, enum stat_id io_err)
{
    stat_inc(n->stats, err);
    if (rc == -AIS_E_IO || rc == -AIS_E_READONLY || rc == -AIS_E_CORRUPT)
        stat_inc(n->stats, io_err);
}
