/* SPDX-License-Identifier: Apache-2.0 */
#include "core/cstate.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* One command a line. Whatever they are: a replica that starts from the snapshot is the same. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const char init[] = "{\"op\":\"init\",\"now\":1,\"uuid\":\"cluster-1\"}";
    struct cstate          *a = cstate_new(), *b = cstate_new();
    struct str              rest = str_from((const char *)p, n), line;
    char                   *x = NULL, *y = NULL;
    size_t                  nx = 0, ny = 0;
    struct err              e;

    log_set_level(LOG_ERROR);
    err_clear(&e);
    (void)cstate_apply(a, 1, str_z(init), &e);
    while (n > 0 && str_split(&rest, '\n', &line))
        (void)cstate_apply(a, 1, line, &e);
    if (cstate_snapshot(a, &x, &nx) == 0) {
        ASSERT(cstate_restore(b, str_from(x, nx), &e) == 0);
        ASSERT(cstate_snapshot(b, &y, &ny) == 0);
        ASSERT(nx == ny && memcmp(x, y, nx) == 0);
    }
    free(x);
    free(y);
    cstate_free(a);
    cstate_free(b);
    return 0;
}
