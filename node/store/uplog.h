/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a multipart upload: what it is of, and each part that was acknowledged. README.md, "Uploads". Pure; fuzzed.
 */
#ifndef STORE_UPLOG_H
#define STORE_UPLOG_H

#include "base/sbuf.h"
#include "store/store_types.h"

/* clang-format off */
enum uprec_kind { UPREC_HEAD = 1, UPREC_PART = 2 };
/* clang-format on */

struct uprec {
    enum uprec_kind kind;
    /* head */
    uint64_t     bid;
    int64_t      created_ns;
    struct str   name;
    struct str   custom; /* a side record (own.h) */
    /* part */
    uint32_t     num;
    uint64_t     size;
    struct cksum cksum;
    struct str   path;
};

void uprec_encode(const struct uprec *r, struct sbuf *out);
/* Take the record at the front of *in: false at the end, also when what follows is torn. Strs point into the bytes. */
bool uprec_next(struct str *in, struct uprec *r);

#endif
