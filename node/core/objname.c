/* SPDX-License-Identifier: Apache-2.0 */
/* Which object names are allowed: native-api.md 1.1. Pure; any thread. */
#include "core/bmd.h"

#include <string.h>

int
obj_name_check(struct str name, bool allow_dir, struct err *e)
{
    struct str rest = name, item;

    if (name.n == 0)
        return err_set(e, AIS_E_INVAL, "object name is empty");
    if (name.n > OBJ_NAME_MAX)
        return err_set(e, AIS_E_INVAL, "object name is too long: %zu bytes (maximum %d)", name.n, OBJ_NAME_MAX);
    if (memchr(name.p, '\0', name.n) != NULL || !str_is_utf8(name))
        return err_set(e, AIS_E_INVAL, "object name is invalid: it must be UTF-8 without NUL");
    if (!allow_dir && name.p[name.n - 1] == '/')
        return err_set(e, AIS_E_INVAL, "invalid object name \"%.*s\"", STR_FMT(name));
    if (str_starts(name, STR_LIT("~/")))
        return err_set(e, AIS_E_INVAL, "invalid object name \"%.*s\"", STR_FMT(name));
    while (str_split(&rest, '/', &item))
        if (str_eqz(item, ".") || str_eqz(item, ".."))
            return err_set(e, AIS_E_INVAL, "invalid object name \"%.*s\"", STR_FMT(name));
    return 0;
}
