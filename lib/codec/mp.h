/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msgpack: a writer into an sbuf with the shortest forms, and a bounded reader. native-api.md 2.9.
 */
#ifndef CODEC_MP_H
#define CODEC_MP_H

#include <stdint.h>

#include "base/sbuf.h"

void mp_map(struct sbuf *b, uint32_t n);
void mp_arr(struct sbuf *b, uint32_t n);
void mp_str(struct sbuf *b, struct str s);
void mp_strz(struct sbuf *b, const char *z);
void mp_bin(struct sbuf *b, struct str s);
void mp_u64(struct sbuf *b, uint64_t v);
void mp_i64(struct sbuf *b, int64_t v);
void mp_bool(struct sbuf *b, bool v);
void mp_f64(struct sbuf *b, double v);
void mp_nil(struct sbuf *b);

/* Reader: a cursor over bytes. Every function returns 0 or -AIS_E_BADREQ (wrong type, truncated) and then moves nothing. */
struct mp_in {
    const unsigned char *p, *end;
};
enum mp_type { MP_NIL, MP_BOOL, MP_INT, MP_FLOAT, MP_STR, MP_BIN, MP_ARR, MP_MAP, MP_EXT, MP_END };
enum mp_type mp_peek(const struct mp_in *in);
int mp_get_map(struct mp_in *in, uint32_t *n);
int mp_get_arr(struct mp_in *in, uint32_t *n); /* nil counts as an empty array */
int mp_get_str(struct mp_in *in, struct str *s); /* str or bin */
int mp_get_i64(struct mp_in *in, int64_t *v);
int mp_get_u64(struct mp_in *in, uint64_t *v);
int mp_get_bool(struct mp_in *in, bool *v);
int mp_get_f64(struct mp_in *in, double *v);
int mp_skip(struct mp_in *in); /* one value of any type; nesting bounded (32) */

#endif
