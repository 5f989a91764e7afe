/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>

#include "base/assert.h"
#include "base/sbuf.h"
#include "codec/jw.h"
#include "xact/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* What a client says about jobs; what is passed on reads back as the same. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena *a = arena_new(4096, 1 << 20);
    struct xmsg   m, again;
    json_t       *j = NULL, *k = NULL;
    struct sbuf   out;
    struct jw     w;
    struct err    e = { .code = 0 };
    char          text[64];

    sbuf_init(&out, 4 << 20);
    if (json_read(str_from((const char *)p, n), &j, &e) == 0 && xmsg_read(j, a, &m, &e) == 0) {
        jw_init(&w, &out, 0);
        xmsg_args_json(&m, &w);
        ASSERT(json_read(sbuf_str(&out), &k, &e) == 0);
        ASSERT(xmsg_read(k, a, &again, &e) == 0);
        ASSERT_CMP(m.nbcks, ==, again.nbcks, "u");
        ASSERT(m.kind == again.kind && m.has_bck == again.has_bck && m.flags == again.flags && m.force == again.force);
        (void)xmsg_text(&m, text, sizeof(text));
        (void)xid_valid(m.id);
    }
    json_decref(k);
    json_decref(j);
    sbuf_fini(&out);
    arena_free(a);
    return 0;
}
