/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>

#include "codec/jw.h"
#include "lso/lso.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const struct bck b = { .provider = PROV_AIS, .name = { "b", 1 } };
    struct str              text = str_from((const char *)p, n);
    struct lso_msg          m;
    struct lso_ask          a;
    struct lso_sum          s;
    struct sbuf             sb;
    json_t                 *j;

    (void)lso_ask_decode(&a, text);
    (void)lso_sum_read(&s, text, NULL);
    if (json_read(text, &j, NULL) < 0)
        return 0;
    if (lso_msg_read(&m, j, "p[x]", NULL) == 0 && lso_msg_check(&m, &b, "ais://b", NULL) == 0) {
        sbuf_init(&sb, 1 << 20);
        lso_ask_from(&a, &m, true);
        lso_ask_encode(&a, &sb);
        sbuf_fini(&sb);
    }
    json_decref(j);
    return 0;
}
