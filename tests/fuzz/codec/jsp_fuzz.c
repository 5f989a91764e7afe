/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/util.h"
#include "codec/jsp.h"
#include "codec/lz4f.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
same_again(struct str json, uint32_t version)
{
    struct sbuf image, back;
    uint32_t    v;

    sbuf_init(&image, 2 * JSP_MAX_JSON);
    sbuf_init(&back, JSP_MAX_JSON);
    ASSERT(jsp_encode(json, version, &image) == 0);
    ASSERT(jsp_decode(sbuf_str(&image), &v, &back) == 0 && v == version && str_eq(sbuf_str(&back), json));
    sbuf_fini(&image);
    sbuf_fini(&back);
}

/* The container of metadata files, and the LZ4 frame alone. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct str  s = str_from((const char *)p, n);
    struct sbuf json;
    uint32_t    version;

    sbuf_init(&json, 1 << 22);
    if (jsp_decode(s, &version, &json) == 0)
        same_again(sbuf_str(&json), version);
    sbuf_reset(&json);
    (void)lz4f_decode(s, 1 << 20, &json);
    ASSERT_CMP(json.n, <=, (size_t)1 << 20, "zu");
    sbuf_fini(&json);
    return 0;
}
