/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a page, for its writer and its reader. README.md, "Page format". */
#ifndef LSO_PAGE_IMPL_H
#define LSO_PAGE_IMPL_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define PAGE_MAGIC   "LSO1"
#define PAGE_END     "END1"
#define PAGE_HEAD    8  /* magic, encoding, 3 zero */
#define PAGE_TAIL    16 /* count, flags, more, 3 zero, end mark */
#define REC_HEAD     10 /* length of the rest, length of the name, its place, flags */
#define NAME_AHEAD   0xffffu

static inline void
le16_put(void *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, sizeof(v));
}

static inline void
le32_put(void *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof(v));
}

static inline uint16_t
le16_get(const void *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return le16toh(v);
}

static inline uint32_t
le32_get(const void *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

#endif
