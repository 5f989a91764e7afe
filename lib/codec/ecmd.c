/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EC metadata of Go AIStore (%mt).
 *
 *     u32 1 | i64 generation | i64 size | u16 data | u16 parity | u16 slice | u8 is_copy | str full replica |
 *     str checksum | str version | str checksum type | str slice checksum | i32 count, (str node, u16 slice)* |
 *     u64 XXH64(all before, seed);  str = u32 length and bytes
 *
 * Runs on: any thread; pure. internals.md 1.4.
 */
#include "codec/lmeta.h"

#include "base/err.h"
#include "base/util.h"
#include "codec/unpack.h"

enum { ECMD_VERSION = 1, NODE_MIN_BYTES = 4 + 2 };

static struct str
get_str(struct unpack *in)
{
    return unpack_bytes(in, unpack_u32(in));
}

static int
get_nodes(struct arena *mem, struct unpack *in, struct ecmd *m)
{
    m->nnodes = unpack_u32(in);
    if (!unpack_ok(in) || m->nnodes > unpack_left(in) / NODE_MIN_BYTES)
        return -AIS_E_CORRUPT;
    m->nodes = arena_alloc(mem, m->nnodes * sizeof(*m->nodes));
    if (m->nodes == NULL)
        return -AIS_E_TOOBIG;
    for (unsigned i = 0; i < m->nnodes; i++) {
        m->nodes[i].id = get_str(in);
        m->nodes[i].slice = unpack_u16(in);
    }
    return unpack_ok(in) && unpack_left(in) == 0 ? 0 : -AIS_E_CORRUPT;
}

int
ecmd_decode(struct arena *mem, const void *p, size_t n, struct ecmd *m)
{
    const char   *b = p;
    struct unpack in;
    struct ecmd   v = { .nnodes = 0 };
    int           rc;

    if (n < 8 || be64_get(b + n - 8) != xxh64(b, n - 8, AIS_HASH_SEED))
        return -AIS_E_CORRUPT;
    in = unpack_of(str_from(b, n - 8));
    v.version = unpack_u32(&in);
    v.generation = (int64_t)unpack_u64(&in);
    v.size = (int64_t)unpack_u64(&in);
    v.data = unpack_u16(&in);
    v.parity = unpack_u16(&in);
    v.slice_id = unpack_u16(&in);
    v.is_copy = unpack_u8(&in) != 0;
    v.full_replica = get_str(&in);
    v.obj_cksum = get_str(&in);
    v.obj_version = get_str(&in);
    v.cksum_type = get_str(&in);
    v.slice_cksum = get_str(&in);
    if (!unpack_ok(&in) || v.version != ECMD_VERSION || v.size < 0)
        return -AIS_E_CORRUPT;
    rc = get_nodes(mem, &in, &v);
    if (rc < 0)
        return rc;
    *m = v;
    return 0;
}

/* --- encoding --- */

static void
put_num(struct sbuf *b, uint64_t v, unsigned n)
{
    unsigned char be[8];

    be64_put(be, v);
    sbuf_put(b, be + 8 - n, n);
}

static void
put_str(struct sbuf *b, struct str s)
{
    put_num(b, s.n, 4);
    sbuf_puts(b, s);
}

int
ecmd_encode(const struct ecmd *m, struct sbuf *out)
{
    size_t start = out->n;

    put_num(out, ECMD_VERSION, 4);
    put_num(out, (uint64_t)m->generation, 8);
    put_num(out, (uint64_t)m->size, 8);
    put_num(out, m->data, 2);
    put_num(out, m->parity, 2);
    put_num(out, m->slice_id, 2);
    put_num(out, m->is_copy, 1);
    put_str(out, m->full_replica);
    put_str(out, m->obj_cksum);
    put_str(out, m->obj_version);
    put_str(out, m->cksum_type);
    put_str(out, m->slice_cksum);
    put_num(out, m->nnodes, 4);
    for (unsigned i = 0; i < m->nnodes; i++) {
        put_str(out, m->nodes[i].id);
        put_num(out, m->nodes[i].slice, 2);
    }
    if (!sbuf_ok(out))
        return -AIS_E_NOMEM;
    put_num(out, xxh64(out->p + start, out->n - start, AIS_HASH_SEED), 8);
    return sbuf_ok(out) ? 0 : -AIS_E_NOMEM;
}
