/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>

#include "core/conf.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/sbuf.h"
#include "base/util.h"
#include "codec/jw.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* A configuration that passed is still one when it is written and read. */
static void
survives(const struct cluster_conf *c)
{
    struct cluster_conf *back = conf_default();
    struct sbuf          b;
    struct jw            w;
    json_t              *j = NULL;
    struct err           e;

    err_clear(&e);
    sbuf_init(&b, 8 << 20);
    jw_init(&w, &b, 0);
    conf_json(c, &w);
    ASSERT(sbuf_ok(&b) && json_read(sbuf_str(&b), &j, &e) == 0);
    if (conf_merge_json(back, j, true, &e) < 0 || conf_validate(back, &e) < 0)
        ais_bug("what was valid is not any more: %s", e.text);
    json_decref(j);
    sbuf_fini(&b);
    conf_put(back);
}

/* First byte: '=' "key=value" lines as with set-config's query, 'i' a file, else JSON to set; bucket properties get the JSON, too. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct cluster_conf *c = conf_default();
    struct str           rest = str_from((const char *)p, n), line, key;
    struct bprops        props;
    json_t              *j = NULL;
    bool                 force = false;
    struct err           e;
    int                  rc = 0;

    log_set_level(LOG_ERROR);
    err_clear(&e);
    if (n > 0 && p[0] == '=') {
        rest = str_from_off(rest, 1);
        while (rc == 0 && str_split(&rest, '\n', &line)) {
            (void)conf_check_scope(line, true, true, &e);
            if (str_split(&line, '=', &key))
                rc = conf_set(c, key, line.p == NULL ? STR_LIT("") : line, &e);
        }
        if (rc == 0 && conf_validate(c, &e) == 0)
            survives(c);
    } else if (n > 0 && json_read(str_from_off(rest, 1), &j, &e) == 0) {
        bprops_default(&props, c, PROV_AIS);
        (void)bprops_set_json(&props, j, 10, &force, &e);
        (void)bprops_from_json(&props, j, &e);
        if (conf_merge_json(c, j, p[0] == 'i', &e) == 0 && conf_validate(c, &e) == 0)
            survives(c);
    }
    json_decref(j);
    conf_put(c);
    return 0;
}
