/* SPDX-License-Identifier: Apache-2.0 */
/* The wire format of streams. Pure. Runs on: any thread. */
#include "core/strmwire.h"

#include <string.h>

#include "base/util.h"
#include "codec/cksum.h"

#define MAGIC    0x41695331u
#define CODE_MAX 24 /* of an error, on the wire */

/* What each type may have. */
static const struct {
    uint8_t  flags;
    uint32_t hmax, pmax;
} limits[] = {
    [STRM_OBJ] = { STRM_F_STREAMED | STRM_F_LZ4, STRM_HDR_MAX, STRM_SMALL },
    [STRM_DATA] = { STRM_F_LZ4 | STRM_F_SUM | STRM_F_LAST, 0, STRM_BLOCK_MAX },
    [STRM_ABORT] = { 0, 0, 0 },
    [STRM_FENCE] = { 0, 0, STRM_CTL_MAX },
    [STRM_BYE] = { 0, 0, 0 },
    [STRM_ACK] = { 0, 0, STRM_CTL_MAX },
};

void
strm_frame_put(const struct strm_frame *f, void *out)
{
    char *p = out;

    be32_put(p, MAGIC);
    p[4] = (char)f->type;
    p[5] = (char)f->flags;
    be16_put(p + 6, f->hlen);
    be64_put(p + 8, f->seq);
    if (f->flags & STRM_F_STREAMED) {
        be64_put(p + 16, f->size);
    } else {
        be32_put(p + 16, f->plen);
        be32_put(p + 20, f->rlen);
    }
    be64_put(p + 24, f->psum);
    be64_put(p + 32, xxh64(p, 32, 0));
}

static bool
lengths_ok(const struct strm_frame *f)
{
    uint32_t max = f->flags & (STRM_F_LZ4 | STRM_F_SUM) ? STRM_SMALL : limits[f->type].pmax;

    if (f->flags & STRM_F_LZ4)
        return f->plen > 0 && f->plen < f->rlen && f->rlen <= max;
    return f->plen == f->rlen && f->plen <= max;
}

int
strm_frame_get(const void *in, struct strm_frame *out)
{
    const char       *p = in;
    unsigned          type = (unsigned char)p[4];
    struct strm_frame f = { 0 };

    if (be32_get(p) != MAGIC || be64_get(p + 32) != xxh64(p, 32, 0) || type < STRM_OBJ || type > STRM_ACK)
        return -AIS_E_CORRUPT;
    f.type = (enum strm_type)type;
    f.flags = (uint8_t)p[5];
    f.hlen = be16_get(p + 6);
    f.seq = be64_get(p + 8);
    f.psum = be64_get(p + 24);
    if ((f.flags & ~limits[type].flags) != 0 || f.hlen > limits[type].hmax)
        return -AIS_E_CORRUPT;
    if (f.flags & STRM_F_STREAMED) {
        f.size = be64_get(p + 16);
        if (f.flags & STRM_F_LZ4) /* its blocks say it themselves */
            return -AIS_E_CORRUPT;
    } else {
        f.plen = be32_get(p + 16);
        f.rlen = be32_get(p + 20);
        f.size = type == STRM_OBJ ? f.rlen : 0;
        if (!lengths_ok(&f))
            return -AIS_E_CORRUPT;
    }
    *out = f;
    return 0;
}

void
strm_fence_put(const struct strm_fence *f, void *out)
{
    char *p = out;

    be32_put(p, f->f.epoch);
    be64_put(p + 4, f->f.term);
    be64_put(p + 12, f->smap);
}

int
strm_fence_get(struct str s, struct strm_fence *out)
{
    if (s.n != STRM_FENCE_LEN)
        return -AIS_E_CORRUPT;
    out->f.epoch = be32_get(s.p);
    out->f.term = be64_get(s.p + 4);
    out->smap = be64_get(s.p + 12);
    return 0;
}

void
strm_credit_put(const struct strm_credit *c, void *out)
{
    be64_put(out, c->objs);
    be64_put((char *)out + 8, c->bytes);
}

int
strm_credit_get(struct str *rest, struct strm_credit *out)
{
    if (rest->n < STRM_CREDIT_LEN)
        return -AIS_E_CORRUPT;
    out->objs = be64_get(rest->p);
    out->bytes = be64_get(rest->p + 8);
    *rest = str_from_off(*rest, STRM_CREDIT_LEN);
    return 0;
}

/* Codes are numbered by their place in a table that grows: on the wire they have names. */
static struct str
code_name(int rc)
{
    struct str name = rc == 0 ? STR_LIT("") : str_z(err_name(rc));

    if (str_starts(name, STR_LIT("AIS_E_")))
        name = str_from_off(name, 6);
    return name.n <= CODE_MAX ? name : STR_LIT("INTERNAL");
}

static int
code_by_name(struct str name)
{
    if (name.n == 0)
        return 0;
    for (int c = AIS_E_BASE + 1; c < AIS_E_END; c++)
        if (str_eq(name, code_name(-c)))
            return -c;
    return -AIS_E_INTERNAL;
}

size_t
strm_ack_put(const struct strm_ack *a, void *out)
{
    struct str name = code_name(a->rc);
    char      *p = out;

    be64_put(p, a->seq);
    p[8] = (char)name.n;
    be16_put(p + 9, (uint16_t)a->reply.n);
    p += 11;
    if (name.n > 0)
        p = mempcpy(p, name.p, name.n);
    if (a->reply.n > 0)
        p = mempcpy(p, a->reply.p, a->reply.n);
    return (size_t)(p - (char *)out);
}

int
strm_ack_get(struct str *rest, struct strm_ack *out)
{
    size_t n, m;

    if (rest->n == 0)
        return 0;
    if (rest->n < 11)
        return -AIS_E_CORRUPT;
    n = (unsigned char)rest->p[8];
    m = be16_get(rest->p + 9);
    if (n > CODE_MAX || m > STRM_REPLY_MAX || rest->n - 11 < n + m)
        return -AIS_E_CORRUPT;
    out->seq = be64_get(rest->p);
    out->rc = code_by_name(str_from(rest->p + 11, n));
    out->reply = str_from(rest->p + 11 + n, m);
    *rest = str_from_off(*rest, 11 + n + m);
    return 1;
}
