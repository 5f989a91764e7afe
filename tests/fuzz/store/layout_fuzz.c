/* SPDX-License-Identifier: Apache-2.0 */
#include "store/layout.h"

#include "base/assert.h"
#include "base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Names that passed the front end's check (no "." or ".." component, UTF-8): their files lie below the bucket's directory. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct bck b = { .provider = PROV_AIS, .name = STR_LIT("b") };
    struct str name = str_from((const char *)p, n), back, rest = name, item;
    char       fqn[FQN_MAX], plain[FQN_MAX + 64];
    int        k;

    (void)layout_name_of_orig(name);
    (void)layout_is_long(name);
    if (n == 0 || n > OBJ_NAME_MAX || memchr(p, '\0', n) != NULL)
        return 0;
    while (str_split(&rest, '/', &item))
        if (str_eqz(item, ".") || str_eqz(item, ".."))
            return 0;
    if (layout_is_path(name)) {
        k = layout_obj("/mp", &b, CT_OBJ, name, fqn);
        if (k > 0) {
            ASSERT(strlen(fqn) == (size_t)k && str_starts(str_z(fqn), STR_LIT("/mp/@ais/b/%ob/")));
            ASSERT(str_ends(str_z(fqn), name));
        }
    }
    k = layout_long("/mp", &b, name, fqn, plain);
    ASSERT(k > 0 && layout_is_long(str_z(fqn)) && str_starts(str_z(fqn), STR_LIT("/mp/@ais/b/%ob/.x")));
    back = layout_name_of_orig(str_z(plain));
    ASSERT(str_eq(back, name));
    return 0;
}
