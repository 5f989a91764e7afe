/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AIStore's container for cluster metadata files.
 *
 *     "aistore" | u8 3 | u32 meta-version | u32 flags | u64 XXH64(text, seed 0) if flag 2 | text, LZ4 frame if flag 1
 *
 * The text is the JSON and a '\n'.
 *
 * Runs on: any thread; LZ4 contexts come from the heap. internals.md 1.5.
 */
#include "codec/jsp.h"

#include "base/err.h"
#include "base/util.h"
#include "codec/cksum.h"
#include "codec/lz4f.h"

enum { JSP_VERSION = 3, JSP_LZ4 = 1, JSP_CKSUM = 2, JSP_HEAD = 16 };

static const char signature[7] = { 'a', 'i', 's', 't', 'o', 'r', 'e' };

int
jsp_decode(struct str image, uint32_t *meta_version, struct sbuf *json)
{
    size_t   off = JSP_HEAD, start = json->n;
    uint32_t flags, version;
    uint64_t sum = 0;
    int      rc;

    if (image.n < JSP_HEAD || memcmp(image.p, signature, sizeof(signature)) != 0 || image.p[7] != JSP_VERSION)
        return -AIS_E_CORRUPT;
    version = be32_get(image.p + 8);
    flags = be32_get(image.p + 12);
    if ((flags & ~(uint32_t)(JSP_LZ4 | JSP_CKSUM)) != 0)
        return -AIS_E_CORRUPT;
    if (flags & JSP_CKSUM) {
        if (image.n < JSP_HEAD + 8)
            return -AIS_E_CORRUPT;
        sum = be64_get(image.p + JSP_HEAD);
        off += 8;
    }
    image = str_from_off(image, off);
    if (flags & JSP_LZ4) {
        rc = lz4f_decode(image, JSP_MAX_JSON, json);
        if (rc < 0)
            return rc;
    } else {
        if (image.n > JSP_MAX_JSON)
            return -AIS_E_TOOBIG;
        sbuf_puts(json, image);
        if (!sbuf_ok(json))
            return -AIS_E_TOOBIG;
    }
    if ((flags & JSP_CKSUM) && xxh64(json->p + start, json->n - start, 0) != sum) {
        json->n = start;
        return -AIS_E_CORRUPT;
    }
    if (json->n > start && json->p[json->n - 1] == '\n')
        json->p[--json->n] = '\0';
    *meta_version = version;
    return 0;
}

int
jsp_encode(struct str json, uint32_t meta_version, struct sbuf *image)
{
    unsigned char head[JSP_HEAD + 8];
    struct sbuf   text;
    int           rc;

    if (json.n >= JSP_MAX_JSON)
        return -AIS_E_TOOBIG;
    sbuf_init(&text, json.n + 1);
    sbuf_puts(&text, json);
    sbuf_putc(&text, '\n');
    if (!sbuf_ok(&text)) {
        rc = -AIS_E_NOMEM;
        goto out;
    }
    memcpy(head, signature, sizeof(signature));
    head[7] = JSP_VERSION;
    be32_put(head + 8, meta_version);
    be32_put(head + 12, JSP_LZ4 | JSP_CKSUM);
    be64_put(head + 16, xxh64(text.p, text.n, 0));
    sbuf_put(image, head, sizeof(head));
    rc = lz4f_encode(sbuf_str(&text), LZ4F_BLOCK_64K, image);
out:
    sbuf_fini(&text);
    return rc;
}
