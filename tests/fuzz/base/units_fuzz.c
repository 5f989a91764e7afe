/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/units.h"
#include "base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* What is printed reads back as the same, up to what the form rounds. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct str s = str_from((const char *)p, n);
    char       out[UNITS_MAX], again[UNITS_MAX], *layout = malloc(n + 1);
    int64_t    ns = 0, back;
    uint64_t   bytes;
    double     f;

    if (dur_parse(s, &ns)) {
        ASSERT(dur_format(ns, out) < sizeof(out));
        ASSERT(dur_parse(str_z(out), &back));
        dur_format(back, again);
        ASSERT(strcmp(out, again) == 0);
    }
    if (size_parse(s, &bytes)) {
        ASSERT(size_format(bytes, out) < sizeof(out));
        ASSERT(size_format_human(bytes, out) < sizeof(out));
    }
    (void)str_f64(s, &f);
    if (n >= sizeof(ns))
        memcpy(&ns, p, sizeof(ns));
    ASSERT(time_http(ns, out) < sizeof(out));
    ASSERT(time_rfc3339(ns, out) < sizeof(out));
    ASSERT(time_go_layout(ns, s, layout, n + 1) <= n);
    free(layout);
    return 0;
}
