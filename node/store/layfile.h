/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout file: which mountpaths a target has, in which state, and whether objects lie where they should.
 *
 * A copy on every mountpath (.ais.c/layout); the newest that is whole counts. A disk is known by the id that lies on it (.ais.c/id),
 * whatever device it is now and wherever the kernel finds it: a folder without that id is not the disk. README.md, "Layout file". Pure:
 * text in, text out; fuzzed.
 */
#ifndef STORE_LAYFILE_H
#define STORE_LAYFILE_H

#include <stdbool.h>

#include "base/sbuf.h"

#define LAY_MAX 128 /* entries */

/* clang-format off */
enum mp_mode { MP_ENABLED, MP_DISABLED, MP_DETACHED, MP_DISABLING, MP_DETACHING, MP_LOST, MP_NMODES };
/* clang-format on */

struct lay_entry {
    char         path[256], label[64], uuid[40], fs_id[40];
    enum mp_mode mode;
    bool         by_api; /* attached while the target ran: not in its configuration */
};
struct layfile {
    uint64_t         version;
    bool             scattered; /* a resilver is due */
    unsigned         n;
    struct lay_entry e[LAY_MAX];
};

void layfile_encode(const struct layfile *l, struct sbuf *out);
int  layfile_decode(struct str text, struct layfile *l); /* 0 or -AIS_E_CORRUPT */

#endif
