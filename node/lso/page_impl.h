/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a page, for its writer and its reader. README.md, "Page format". */
#ifndef LSO_PAGE_IMPL_H
#define LSO_PAGE_IMPL_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define PAGE_MAGIC   "LSO2"
#define PAGE_END     "END2"
#define PAGE_HEAD    8  /* magic, encoding, are there generations, 2 zero */
#define PAGE_TAIL    32 /* count, flags, Smap and RMD version, more, 3 zero, end mark */
#define REC_HEAD     10 /* length of the rest, length of the name, its place, flags */
#define NAME_AHEAD   0xffffu
#define REC_TOMB     0x8000u /* in the record's flags, never in the entry's: the name was deleted at this generation */

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

static inline void
le64_put(void *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof(v));
}

static inline uint64_t
le64_get(const void *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return le64toh(v);
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
