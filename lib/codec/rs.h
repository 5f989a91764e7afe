/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reed-Solomon codes over GF(2^8), polynomial 0x11D, with the systematic Vandermonde matrix: rows 0 to data - 1 are the data slices
 * themselves. That is how Go AIStore makes its slices (internals.md 6). Pure; any thread.
 */
#ifndef CODEC_RS_H
#define CODEC_RS_H

#include <stddef.h>
#include <stdint.h>

#define RS_MAX 64 /* slices of one object, data and parity together */

/* The matrix, data + parity rows of data coefficients. -AIS_E_INVAL when there are no data slices or too many in all. */
int rs_matrix(unsigned data, unsigned parity, uint8_t m[RS_MAX * RS_MAX]);

/*
 * coef[i]: what slice have[i] contributes to slice `want` (both 0-based; have: `data` different slices, any of them). Every slice,
 * data or parity, is a combination of any `data` others. -AIS_E_INVAL for numbers out of range or given twice.
 */
int rs_row(unsigned data, unsigned parity, const uint8_t *have, unsigned want, uint8_t coef[RS_MAX]);

/* out[k] = sum of coef[i] * src[i][k]: n sources of len bytes; len below 2 GiB. */
void rs_combine(const uint8_t *coef, unsigned n, uint8_t *const *src, size_t len, uint8_t *out);

#endif
