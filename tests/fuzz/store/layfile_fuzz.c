/* SPDX-License-Identifier: Apache-2.0 */
/* The layout file: whatever lies on a disk, what is taken can be written and read again, and is the same. The checksum is put right. */
#include "store/layfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/util.h"
#include "codec/cksum.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct layfile *l = xcalloc(2, sizeof(*l));
    struct sbuf     in, out;
    char            end[20];

    if (n > 64 * KIB)
        n = 64 * KIB;
    (void)layfile_decode(str_from((const char *)p, n), &l[0]);
    sbuf_init(&in, MIB);
    sbuf_init(&out, MIB);
    sbuf_put(&in, p, n);
    snprintf(end, sizeof(end), "END %08x\n", crc32c(0, p, n));
    sbuf_putz(&in, end);
    if (layfile_decode(sbuf_str(&in), &l[0]) == 0) {
        ASSERT(l[0].n <= LAY_MAX);
        layfile_encode(&l[0], &out);
        ASSERT(sbuf_ok(&out) && layfile_decode(sbuf_str(&out), &l[1]) == 0);
        ASSERT(l[0].version == l[1].version && l[0].scattered == l[1].scattered && l[0].n == l[1].n);
        for (unsigned i = 0; i < l[0].n; i++) {
            const struct lay_entry *a = &l[0].e[i], *b = &l[1].e[i];

            ASSERT(a->mode == b->mode && a->by_api == b->by_api && strcmp(a->path, b->path) == 0 && strcmp(a->label, b->label) == 0 &&
                   strcmp(a->uuid, b->uuid) == 0 && strcmp(a->fs_id, b->fs_id) == 0);
        }
    }
    sbuf_fini(&in);
    sbuf_fini(&out);
    free(l);
    return 0;
}
