/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a multipart upload: u32 length, u32 crc32c, payload; again and again. */
#include "store/uplog.h"

#include "base/err.h"
#include "base/util.h"

enum { HEAD_FIXED = 1 + 8 + 8 + 4, PART_FIXED = 1 + 4 + 8 + 1 + 1 };

void
uprec_encode(const struct uprec *r, struct sbuf *out)
{
    size_t at = out->n;
    char   fixed[32] = { 0 };

    sbuf_put(out, fixed, 8);
    fixed[0] = (char)r->kind;
    if (r->kind == UPREC_HEAD) {
        be64_put(fixed + 1, r->bid);
        be64_put(fixed + 9, (uint64_t)r->created_ns);
        be32_put(fixed + 17, (uint32_t)r->name.n);
        sbuf_put(out, fixed, HEAD_FIXED);
        sbuf_puts(out, r->name);
        sbuf_puts(out, r->custom);
    } else {
        be32_put(fixed + 1, r->num);
        be64_put(fixed + 5, r->size);
        fixed[13] = (char)r->cksum.type;
        fixed[14] = (char)strlen(r->cksum.value);
        sbuf_put(out, fixed, PART_FIXED);
        sbuf_putz(out, r->cksum.value);
        sbuf_puts(out, r->path);
    }
    if (!sbuf_ok(out))
        return;
    be32_put(out->p + at, (uint32_t)(out->n - at - 8));
    be32_put(out->p + at + 4, crc32c(0, out->p + at + 8, out->n - at - 8));
}

static bool
head_decode(struct str p, struct uprec *r)
{
    uint32_t n;

    if (p.n < HEAD_FIXED)
        return false;
    r->bid = be64_get(p.p + 1);
    r->created_ns = (int64_t)be64_get(p.p + 9);
    n = be32_get(p.p + 17);
    p = str_from_off(p, HEAD_FIXED);
    if (n == 0 || n > p.n)
        return false;
    r->name = str_from(p.p, n);
    r->custom = str_from_off(p, n);
    return true;
}

static bool
part_decode(struct str p, struct uprec *r)
{
    size_t k;

    if (p.n < PART_FIXED || (unsigned char)p.p[13] >= CKSUM_NTYPES)
        return false;
    r->num = be32_get(p.p + 1);
    r->size = be64_get(p.p + 5);
    r->cksum.type = (enum cksum_type)p.p[13];
    k = (unsigned char)p.p[14];
    p = str_from_off(p, PART_FIXED);
    if (k > p.n || !str_copyz(str_from(p.p, k), r->cksum.value, sizeof(r->cksum.value)))
        return false;
    r->path = str_from_off(p, k);
    return r->num >= 1 && r->num <= UFEST_MAX_CHUNKS && r->path.n > 0;
}

bool
uprec_next(struct str *in, struct uprec *r)
{
    uint32_t   n;
    struct str p;

    if (in->n < 8)
        return false;
    n = be32_get(in->p);
    if (n == 0 || n > in->n - 8 || crc32c(0, in->p + 8, n) != be32_get(in->p + 4))
        return false;
    p = str_from(in->p + 8, n);
    *r = (struct uprec){ .kind = (enum uprec_kind)p.p[0] };
    if (r->kind == UPREC_HEAD ? !head_decode(p, r) : r->kind != UPREC_PART || !part_decode(p, r))
        return false;
    *in = str_from_off(*in, 8 + (size_t)n);
    return true;
}
