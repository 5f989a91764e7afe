/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long-name keys: names made from the input are put into a real index and an overlay; a scan gives them back in byte order, each once,
 * also from any name on, whatever their lengths.
 */
#include <ftw.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/util.h"
#include "store/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static struct index *ix;

static int
rm_one(const char *path, const struct stat *s, int t, struct FTW *f)
{
    UNUSED(s);
    UNUSED(t);
    UNUSED(f);
    return remove(path);
}

static char dir[] = "/tmp/ais-index-fuzz-XXXXXX";

static void
clean(void)
{
    index_close(ix);
    (void)nftw(dir, rm_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void
index_once(void)
{
    struct err e;
    bool       fresh;

    if (ix != NULL)
        return;
    ASSERT(mkdtemp(dir) != NULL);
    ASSERT(index_open(dir, &ix, &fresh, &e) == 0);
    atexit(clean);
}

/* A pair of bytes is a name: a letter, and how often (in steps that meet the ends of keys). */
static struct str
name_of(const uint8_t *p, char *buf)
{
    static const uint16_t len[] = { 1, 2, 255, 489, 490, 491, 492, 979, 980, 981, 1470, 1471, 2940, 3000, 3071, 3072 };
    size_t                n = len[p[1] & 15];

    memset(buf, 'a' + (p[0] & 3), n);
    buf[n - 1] = (char)('a' + (p[0] >> 2 & 3));
    buf[n / 2] = (char)(p[0] & 0x10 ? 0x7f : 'b');
    return str_from(buf, n);
}

static unsigned
walk(struct rows *r, struct str from, bool after, unsigned max)
{
    char       *last = malloc(4096);
    struct sbuf out;
    unsigned    total = 0, n;
    bool        more = true;

    sbuf_init(&out, 64 << 20);
    memcpy(last, from.p, from.n);
    while (more) {
        struct str name, value, prev = str_from(last, from.n);
        size_t     at = 0;

        sbuf_reset(&out);
        ASSERT(rows_scan(r, 5, STR_LIT(""), from, after, max, &out, &n, &more) == 0);
        ASSERT(n > 0 || !more);
        while (scan_row(&out, &at, &name, &value)) {
            ASSERT(!after || str_cmp(name, prev) > 0);
            prev = name;
            after = true;
            total += value.n > 0;
        }
        memmove(last, prev.p, prev.n);
        from = str_from(last, prev.n);
    }
    sbuf_fini(&out);
    free(last);
    return total;
}

static void
forget(void)
{
    struct index_txn *t;
    bool              left = true;

    while (left) {
        ASSERT(index_begin(ix, &t) == 0);
        ASSERT(index_del_some(t, 5, 7, &left) == 0);
        ASSERT(index_commit(t) == 0);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct ientry e;
    char                *buf = malloc(4096);
    struct rows         *r;
    unsigned             all;
    bool                 fold = n > 0 && (p[0] & 1);

    index_once();
    r = rows_new(ix);
    e.version = STR_LIT("");
    n = MIN(n, (size_t)64);
    for (size_t i = 1; i + 1 < n; i += 2) {
        struct str name = name_of(p + i, buf);

        ASSERT((p[i + 1] & 0x80 ? rows_del(r, 5, name) : rows_put(r, 5, name, &e)) == 0);
        if (fold && i > n / 2) {
            rows_freeze(r);
            ASSERT(rows_fold(r, NULL, 0) == 0);
            rows_thaw(r);
            fold = false;
        }
    }
    all = walk(r, STR_LIT(""), false, 1000);
    ASSERT_CMP(walk(r, STR_LIT(""), false, 3), ==, all, "u");
    if (n >= 3)
        (void)walk(r, name_of(p + 1, buf), (p[0] & 2) != 0, 2);
    rows_free(r);
    forget();
    free(buf);
    return 0;
}
