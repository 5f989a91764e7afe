/* SPDX-License-Identifier: Apache-2.0 */
/* Our own xattr and side records: coding only. */
#include "store/own.h"

#include "base/err.h"
#include "base/util.h"

enum { OWN_V1 = 1, OWN_V2 = 2, OWN_SIDE = 1, OWN_UPLOAD = 2 };
#define SIDE_MAGIC 0x41495353u /* "AISS" */
#define SIDE_HEAD  12

void
gen_pack(const struct gen *g, unsigned char out[GEN_BYTES])
{
    be32_put(out, g->epoch);
    be64_put(out + 4, g->term);
    be64_put(out + 12, g->smap_ver);
    be64_put(out + 20, g->counter);
}

void
gen_unpack(const void *p, struct gen *g)
{
    const unsigned char *b = p;

    *g = (struct gen){ .epoch = be32_get(b), .term = be64_get(b + 4), .smap_ver = be64_get(b + 12),
                       .counter = be64_get(b + 20) };
}

int
gen_cmp(const struct gen *a, const struct gen *b)
{
    if (a->epoch != b->epoch)
        return a->epoch < b->epoch ? -1 : 1;
    if (a->term != b->term)
        return a->term < b->term ? -1 : 1;
    if (a->smap_ver != b->smap_ver)
        return a->smap_ver < b->smap_ver ? -1 : 1;
    return a->counter < b->counter ? -1 : a->counter > b->counter;
}

size_t
own_encode(const struct own *o, unsigned char out[OWN_MAX])
{
    size_t n = 4 + GEN_BYTES;

    out[0] = OWN_V2;
    out[1] = (unsigned char)((o->side ? OWN_SIDE : 0) | (o->upload.n > 0 ? OWN_UPLOAD : 0));
    out[2] = out[3] = 0;
    gen_pack(&o->gen, out + 4);
    if (o->side) {
        be32_put(out + n, o->side_crc);
        memcpy(out + n + 4, o->side_name, sizeof(o->side_name));
        n += 4 + sizeof(o->side_name);
    }
    if (o->upload.n > 0) {
        size_t k = MIN(o->upload.n, (size_t)OWN_ID_MAX);

        out[n++] = (unsigned char)k;
        memcpy(out + n, o->upload.p, k);
        n += k;
    }
    return n;
}

int
own_decode(const void *p, size_t n, struct own *o)
{
    const unsigned char *b = p;
    size_t               at = 4 + GEN_BYTES;

    if (n < at || (b[0] != OWN_V1 && b[0] != OWN_V2) || (b[0] == OWN_V1 && n != at) || (b[1] & ~(OWN_SIDE | OWN_UPLOAD)))
        return -AIS_E_CORRUPT;
    *o = (struct own){ .side = b[0] == OWN_V2 && b[1] & OWN_SIDE, .upload = STR_LIT("") };
    gen_unpack(b + 4, &o->gen);
    if (o->side) {
        if (n < at + 4 + sizeof(o->side_name))
            return -AIS_E_CORRUPT;
        o->side_crc = be32_get(b + at);
        memcpy(o->side_name, b + at + 4, sizeof(o->side_name));
        at += 4 + sizeof(o->side_name);
    }
    if (b[0] == OWN_V2 && b[1] & OWN_UPLOAD) {
        if (n < at + 1 || b[at] == 0 || b[at] > OWN_ID_MAX || n < at + 1 + b[at])
            return -AIS_E_CORRUPT;
        o->upload = str_from((const char *)b + at + 1, b[at]);
        at += 1 + (size_t)b[at];
    }
    return at == n ? 0 : -AIS_E_CORRUPT;
}

/* --- side records: magic | crc32c of the rest | count, then (klen, vlen, key, value) each; all u32 --- */

void
side_encode(const struct kv *kv, unsigned n, struct sbuf *out)
{
    size_t at = out->n;
    char   head[SIDE_HEAD] = { 0 };

    be32_put(head, SIDE_MAGIC);
    be32_put(head + 8, n);
    sbuf_put(out, head, sizeof(head));
    for (unsigned i = 0; i < n; i++) {
        be32_put(head, (uint32_t)kv[i].k.n);
        be32_put(head + 4, (uint32_t)kv[i].v.n);
        sbuf_put(out, head, 8);
        sbuf_puts(out, kv[i].k);
        sbuf_puts(out, kv[i].v);
    }
    if (sbuf_ok(out))
        be32_put(out->p + at + 4, crc32c(0, out->p + at + 8, out->n - at - 8));
}

static bool
take(struct str *in, size_t n, struct str *out)
{
    if (n > in->n)
        return false;
    *out = str_from(in->p, n);
    *in = str_from_off(*in, n);
    return true;
}

int
side_decode(const void *p, size_t n, struct kv kv[LMETA_MAX_CUSTOM], unsigned *nkv)
{
    struct str in = str_from(p, n), head;
    uint32_t   count;

    if (!take(&in, SIDE_HEAD, &head) || be32_get(head.p) != SIDE_MAGIC ||
        be32_get(head.p + 4) != crc32c(0, head.p + 8, n - 8))
        return -AIS_E_CORRUPT;
    count = be32_get(head.p + 8);
    if (count > LMETA_MAX_CUSTOM)
        return -AIS_E_CORRUPT;
    for (uint32_t i = 0; i < count; i++)
        if (!take(&in, 8, &head) || !take(&in, be32_get(head.p), &kv[i].k) || !take(&in, be32_get(head.p + 4), &kv[i].v) ||
            kv[i].k.n == 0)
            return -AIS_E_CORRUPT;
    if (in.n != 0)
        return -AIS_E_CORRUPT;
    *nkv = count;
    return 0;
}
