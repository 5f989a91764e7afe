/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LZ4 in memory: one frame, whole, as AIStore puts it around metadata (jsp, chunk manifests); and bare blocks, for our own streams.
 *
 * Frames are written as the original writes them: independent blocks, content checksum. Threads: any; LZ4's contexts are heap.
 */
#ifndef CODEC_LZ4F_H
#define CODEC_LZ4F_H

#include "base/sbuf.h"
#include "base/str.h"

enum lz4f_block { LZ4F_BLOCK_64K = 4, LZ4F_BLOCK_4M = 7 };

/* Append the content of exactly one frame, at most max bytes. 0, -AIS_E_CORRUPT, -AIS_E_TOOBIG, -AIS_E_NOMEM. out is as before
 * when it fails. */
int lz4f_decode(struct str frame, size_t max, struct sbuf *out);
int lz4f_encode(struct str content, enum lz4f_block block, struct sbuf *out); /* 0, -AIS_E_TOOBIG, -AIS_E_NOMEM */

/* One block of at most cap bytes into out, n at most 1 MiB. 0: it does not fit, i.e. it is not worth it. */
size_t lz4_block_encode(const void *p, size_t n, void *out, size_t cap);
/* Exactly n bytes into out, or -AIS_E_CORRUPT. Trusts nothing. */
int    lz4_block_decode(const void *p, size_t len, void *out, size_t n);

#endif
