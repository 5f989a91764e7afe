/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "store/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Groups and records, also without the frame's checksum; what was decoded encodes to the same bytes. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct str  in = str_from((const char *)p, n), records = in;
    struct sbuf out;
    struct jrec r;

    (void)jgroup_next(&in, 1, &records);
    in = str_from((const char *)p, n);
    if (jgroup_resync(&in, 1, 0))
        ASSERT(in.n < n && jgroup_next(&in, 1, &records));
    records = str_from((const char *)p, n);
    sbuf_init(&out, 1 << 20);
    while (records.n > 0) {
        const char *at = records.p;

        if (jrec_decode(&records, &r) < 0)
            break;
        sbuf_reset(&out);
        jrec_encode(&r, &out);
        ASSERT(str_eq(sbuf_str(&out), str_from(at, (size_t)(records.p - at))));
    }
    sbuf_fini(&out);
    return 0;
}
