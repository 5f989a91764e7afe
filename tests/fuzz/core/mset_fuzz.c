/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>

#include "core/mset.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"
#include "codec/jw.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static struct str
text_of(const struct mset *m, enum mitem i, struct sbuf *b)
{
    struct jw w;

    sbuf_init(b, 16 << 20);
    jw_init(&w, b, 0);
    mset_item_json(m, i, &w);
    ASSERT(sbuf_ok(b));
    return sbuf_str(b);
}

/* Smap, BMD, RMD and configuration as a peer sends them: what was taken is written and read back as the same. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct mset *m = mset_new(conf_default()), *again = mset_new(conf_default());
    json_t      *j = NULL, *k = NULL;
    unsigned     have = 0;
    struct err   e;

    log_set_level(LOG_ERROR);
    err_clear(&e);
    if (json_read(str_from((const char *)p, n), &j, &e) == 0 && mset_from_json(m, j, &have, &e) == 0) {
        for (enum mitem i = MI_CONF; i < MI_COUNT; i++) {
            struct sbuf one, two;

            if (!(have & (1u << i)))
                continue;
            ASSERT(json_read(text_of(m, i, &one), &k, &e) == 0);
            ASSERT(mset_item_from_json(again, i, k, &e) == 0);
            ASSERT(str_eq(text_of(again, i, &two), sbuf_str(&one)));
            json_decref(k);
            sbuf_fini(&one);
            sbuf_fini(&two);
        }
    }
    json_decref(j);
    mset_put(m);
    mset_put(again);
    return 0;
}
