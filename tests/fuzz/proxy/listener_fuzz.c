/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>

#include "base/assert.h"
#include "base/sbuf.h"
#include "codec/jw.h"
#include "proxy/listener.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* What another member says of a job; said again it means the same. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct listener *l = NULL, *again;
    json_t          *j = NULL;
    struct sbuf      out;
    struct jw        w;
    struct err       e = { .code = 0 };

    if (json_read(str_from((const char *)p, n), &j, &e) == 0)
        l = listener_read(j);
    json_decref(j);
    if (l == NULL)
        return 0;
    sbuf_init(&out, 16 << 20);
    jw_init(&w, &out, 0);
    listener_json(l, &w);
    ASSERT(json_read(sbuf_str(&out), &j, &e) == 0);
    again = listener_read(j);
    ASSERT(again != NULL);
    ASSERT_CMP(l->nsrcs, ==, again->nsrcs, "u");
    ASSERT_CMP(l->nactive, ==, again->nactive, "u");
    ASSERT_CMP(l->nerrs, ==, again->nerrs, "u");
    listener_merge(l, again);
    sbuf_reset(&out);
    jw_init(&w, &out, 0);
    listener_status_json(l, &w);
    listener_free(l);
    listener_free(again);
    json_decref(j);
    sbuf_fini(&out);
    return 0;
}
