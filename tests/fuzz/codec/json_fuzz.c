/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/util.h"
#include "codec/jw.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Any text is read or refused; any bytes, quoted, are JSON. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct str  s = str_from((const char *)p, n);
    json_t     *j = NULL;
    struct sbuf b, ind;
    struct err  e;
    uint64_t    u;
    int64_t     i;

    err_clear(&e);
    sbuf_init(&b, 8 * n + 64);
    sbuf_init(&ind, 1 << 20);
    if (json_read(s, &j, &e) == 0) {
        char *dump = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);

        (void)json_u64(j, &u);
        (void)json_i64(j, &i);
        (void)json_get_fold(j, "ACTION");
        if (dump != NULL)
            json_indent(str_z(dump), 4, &ind);
        free(dump);
        json_decref(j);
        j = NULL;
    } else {
        ASSERT(j == NULL && e.text[0] != '\0');
    }
    json_quote(&b, s);
    ASSERT(sbuf_ok(&b));
    if (memchr(p, '\0', n) == NULL) {
        ASSERT(json_read(sbuf_str(&b), &j, &e) == 0 && json_is_string(j));
        json_decref(j);
    }
    sbuf_fini(&ind);
    sbuf_fini(&b);
    return 0;
}
