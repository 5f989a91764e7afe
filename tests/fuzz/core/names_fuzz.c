/* SPDX-License-Identifier: Apache-2.0 */
#include "core/node.h"

#include "base/assert.h"
#include "base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Unames, namespaces, bucket and object names: what passes cannot leave its place. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct str s = str_from((const char *)p, n), object, uuid, name, rest, item;
    struct bck b;
    struct err e;
    char       display[BCK_DISPLAY_MAX];

    err_clear(&e);
    if (uname_parse(s, &b, &object, &e) == 0) {
        ASSERT(b.name.n > 0 && b.name.n <= BCK_NAME_MAX && memchr(b.name.p, '/', b.name.n) == NULL);
        ASSERT(strlen(bck_display(&b, display)) < sizeof(display));
        (void)bck_obj_digest(&b, object);
    }
    ns_parse(s, &uuid, &name);
    ASSERT(uuid.n + name.n <= n);
    (void)bck_ns_check(uuid, name, &e);
    if (obj_name_check(s, p != NULL && n % 2 == 0, &e) == 0) {
        ASSERT(n > 0 && n <= OBJ_NAME_MAX && memchr(p, '\0', n) == NULL && str_is_utf8(s));
        rest = s;
        while (str_split(&rest, '/', &item))
            ASSERT(!str_eqz(item, "..") && !str_eqz(item, "."));
    }
    if (bck_name_check(s, &e) == 0)
        ASSERT(n > 0 && n <= BCK_NAME_MAX && memchr(p, '/', n) == NULL && !str_eqz(s, "..") && !str_eqz(s, "."));
    (void)node_id_valid(s);
    (void)uuid_valid(s);
    return 0;
}
