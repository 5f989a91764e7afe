/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of entries as a target writes it: each encoded once, for the client.
 *
 * The hot path of a listing: a record is built with plain stores in room that was reserved for its worst case; only a name (or
 * value) that needs escaping takes the slow road. Format: README.md; entries: native-api.md 3.9, "LsoRes / LsoEnt".
 */
#include "lso/lso.h"

#include "base/assert.h"
#include "base/units.h"
#include "base/util.h"
#include "codec/jw.h"
#include "lso/page_impl.h"

#define NUM_MAX 24 /* digits of a 64-bit number, quotes and a comma */

/* Is every byte printed by JSON as it is? 8 bytes at a time: control bytes, '"', '\\' and everything beyond ASCII say no. */
static bool
is_plain(struct str s)
{
    const uint64_t ones = 0x0101010101010101ULL, high = 0x8080808080808080ULL;
    uint64_t       v, bad = 0;
    size_t         i;

    for (i = 0; i + 8 <= s.n; i += 8) {
        memcpy(&v, s.p + i, 8);
        bad |= v | (v - ones * 0x20) | ((v ^ ones * '"') - ones) | ((v ^ ones * '\\') - ones);
    }
    for (; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || (unsigned char)s.p[i] >= 0x80 || s.p[i] == '"' || s.p[i] == '\\')
            return false;
    return (bad & high) == 0;
}

static char *
put(char *w, const char *p, size_t n)
{
    memcpy(w, p, n);
    return w + n;
}

#define PUT_LIT(w, s) put(w, "" s, sizeof(s) - 1)

static char *
put_u64(char *w, uint64_t v)
{
    char tmp[NUM_MAX], *t = tmp + sizeof(tmp);

    do {
        *--t = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    return put(w, t, (size_t)(tmp + sizeof(tmp) - t));
}

/* --- values common to both encodings --- */

static const char *const known_custom[] = { "source", "ETag", "LastModified", "Last-Modified", "crc32c", "md5", "version" };

static bool
custom_is_known(struct str k)
{
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(known_custom); i++)
        if (str_eqz(k, known_custom[i]))
            return true;
    return false;
}

static void
custom_put(struct sbuf *b, const struct kv *kv)
{
    if (b->n > 1)
        sbuf_putc(b, ' ');
    sbuf_puts(b, kv->k);
    sbuf_putc(b, ':');
    sbuf_puts(b, kv->v);
}

/* "[k1:v1 k2:v2]", the well-known keys first. */
static struct str
custom_text(struct lso_page *p, const struct lent *le)
{
    unsigned i, k;

    sbuf_reset(&p->tmp);
    sbuf_putc(&p->tmp, '[');
    for (k = 0; k < ARRAY_SIZE(known_custom); k++)
        for (i = 0; i < le->ncustom; i++)
            if (str_eqz(le->custom[i].k, known_custom[k]))
                custom_put(&p->tmp, &le->custom[i]);
    for (i = 0; i < le->ncustom; i++)
        if (!custom_is_known(le->custom[i].k) && !str_eqz(le->custom[i].k, "orig_fntl"))
            custom_put(&p->tmp, &le->custom[i]);
    sbuf_putc(&p->tmp, ']');
    return sbuf_ok(&p->tmp) ? sbuf_str(&p->tmp) : STR_NULL;
}

/* Access times of neighbours are often of one minute, which is all that the default format shows. */
static struct str
time_text(struct lso_page *p, int64_t ns)
{
    struct str fmt = p->ask->time_format;
    bool       dflt = fmt.n == 0 || str_eqz(fmt, "02 Jan 06 15:04 MST");
    int64_t    key = dflt ? ns / (60 * NSEC_PER_SEC) : ns;

    if (p->time_len == 0 || p->time_key != key) {
        p->time_len = dflt ? time_rfc822(ns, p->time) : time_go_layout(ns, fmt, p->time, sizeof(p->time));
        p->time_key = key;
    }
    return str_from(p->time, p->time_len);
}

/* What of an entry goes to the client: empty members are left out. */
struct ent {
    struct str name, cksum, atime, version, location, custom;
    uint64_t   size;
    uint32_t   copies;
    uint16_t   flags;
    bool       plain; /* the name needs no escaping */
};

static void
ent_fill(struct lso_page *p, const struct lent *le, struct str location, struct ent *t)
{
    uint32_t props = p->ask->props;

    t->name = le->name;
    t->flags = (uint16_t)(LSE_CACHED | (le->chunked ? LSE_CHUNKED : 0));
    if (p->ask->flags & LS_NAME_ONLY)
        return;
    if (props & LSP_SIZE)
        t->size = le->size;
    if ((props & LSP_CHECKSUM) != 0 && le->cksum.type != CKSUM_NONE)
        t->cksum = str_z(le->cksum.value);
    if (props & LSP_ATIME)
        t->atime = time_text(p, le->atime_ns);
    if (props & LSP_VERSION)
        t->version = le->version;
    if (props & LSP_LOCATION)
        t->location = location;
    if ((props & LSP_CUSTOM) != 0 && le->ncustom > 0)
        t->custom = custom_text(p, le);
    if (props & LSP_COPIES)
        t->copies = le->copies;
}

/* --- JSON --- */

/* Commit what stands before *w, quote s the careful way, go on with room for `rest` bytes behind it. */
static bool
quote_slow(struct sbuf *b, char **w, struct str s, size_t rest)
{
    sbuf_added(b, (size_t)(*w - (b->p + b->n)));
    json_quote(b, s);
    *w = sbuf_reserve(b, rest);
    return *w != NULL;
}

static bool
json_member(struct sbuf *b, char **w, const char *key, struct str v, size_t rest)
{
    if (v.n == 0)
        return true;
    *w = put(*w, key, strlen(key));
    if (!is_plain(v))
        return quote_slow(b, w, v, rest);
    *(*w)++ = '"';
    *w = put(*w, v.p, v.n);
    *(*w)++ = '"';
    return true;
}

/* `room`: bytes reserved at w for everything with plain strings. */
static bool
ent_json(struct sbuf *b, char **w, const struct ent *t, size_t room)
{
    *w = PUT_LIT(*w, "{\"name\":");
    if (t->plain) {
        *(*w)++ = '"';
        *w = put(*w, t->name.p, t->name.n);
        *(*w)++ = '"';
    } else if (!quote_slow(b, w, t->name, room)) {
        return false;
    }
    if (!json_member(b, w, ",\"checksum\":", t->cksum, room) || !json_member(b, w, ",\"atime\":", t->atime, room) ||
        !json_member(b, w, ",\"version\":", t->version, room) || !json_member(b, w, ",\"location\":", t->location, room) ||
        !json_member(b, w, ",\"custom-md\":", t->custom, room))
        return false;
    if (t->size > 0) {
        *w = PUT_LIT(*w, ",\"size\":\"");
        *w = put_u64(*w, t->size);
        *(*w)++ = '"';
    }
    if (t->copies > 0) {
        *w = PUT_LIT(*w, ",\"copies\":");
        *w = put_u64(*w, t->copies);
    }
    if (t->flags > 0) {
        *w = PUT_LIT(*w, ",\"flags\":");
        *w = put_u64(*w, t->flags);
    }
    *(*w)++ = '}';
    return true;
}

/* --- msgpack: the same forms as the original's encoder; k is the encoded key --- */

#define MP_KEY(w, k) PUT_LIT(w, k)

static char *
mp_text(char *w, struct str s)
{
    if (s.n < 32) {
        *w++ = (char)(0xa0 | s.n);
    } else if (s.n < 256) {
        *w++ = (char)0xd9;
        *w++ = (char)s.n;
    } else {
        *w++ = (char)0xda;
        be16_put(w, (uint16_t)s.n);
        w += 2;
    }
    return put(w, s.p, s.n);
}

static char *
mp_int(char *w, uint64_t v)
{
    if (v < 128) {
        *w++ = (char)v;
    } else if (v <= INT16_MAX) {
        *w++ = (char)0xd1;
        be16_put(w, (uint16_t)v);
        w += 2;
    } else if (v <= INT32_MAX) {
        *w++ = (char)0xd2;
        be32_put(w, (uint32_t)v);
        w += 4;
    } else {
        *w++ = (char)0xd3;
        be64_put(w, v);
        w += 8;
    }
    return w;
}

static char *
mp_uint16(char *w, uint16_t v)
{
    if (v < 128) {
        *w++ = (char)v;
    } else if (v < 256) {
        *w++ = (char)0xcc;
        *w++ = (char)v;
    } else {
        *w++ = (char)0xcd;
        be16_put(w, v);
        w += 2;
    }
    return w;
}

#define MP_MEMBER_STR(w, n, k, v) ((v).n > 0 ? ((n)++, (w) = mp_text(MP_KEY(w, k), v)) : (w))

static char *
ent_msgpack(char *w, const struct ent *t)
{
    char    *map = w++;
    unsigned n = 1;

    w = mp_text(MP_KEY(w, "\xa1n"), t->name);
    MP_MEMBER_STR(w, n, "\xa2" "cs", t->cksum);
    MP_MEMBER_STR(w, n, "\xa1" "a", t->atime);
    MP_MEMBER_STR(w, n, "\xa1" "v", t->version);
    MP_MEMBER_STR(w, n, "\xa1" "t", t->location);
    MP_MEMBER_STR(w, n, "\xa1" "m", t->custom);
    if (t->size > 0) {
        w = mp_int(MP_KEY(w, "\xa1" "s"), t->size);
        n++;
    }
    if (t->copies > 0) {
        w = mp_int(MP_KEY(w, "\xa1" "c"), t->copies);
        n++;
    }
    if (t->flags > 0) {
        w = mp_uint16(MP_KEY(w, "\xa1" "f"), t->flags);
        n++;
    }
    *map = (char)(0x80 | n);
    return w;
}

/* --- the page --- */

static void
page_begin(struct lso_page *p, struct sbuf *b, const struct lso_ask *ask, bool gens)
{
    const char head[PAGE_HEAD] = {
        PAGE_MAGIC[0], PAGE_MAGIC[1], PAGE_MAGIC[2], PAGE_MAGIC[3], (char)ask->msgpack, (char)gens,
    };

    *p = (struct lso_page){ .b = b, .ask = ask, .gens = gens };
    sbuf_init(&p->tmp, 8 * KIB);
    sbuf_put(b, head, sizeof(head));
}

void
lso_page_begin(struct lso_page *p, struct sbuf *b, const struct lso_ask *ask)
{
    page_begin(p, b, ask, false);
}

void
lso_page_begin_gens(struct lso_page *p, struct sbuf *b, const struct lso_ask *ask)
{
    page_begin(p, b, ask, true);
}

void
lso_page_gen(struct lso_page *p, const struct gen *g)
{
    be32_put(p->gen, g->epoch);
    be64_put(p->gen + 4, g->term);
    be64_put(p->gen + 12, g->smap_ver);
    be64_put(p->gen + 20, g->counter);
}

/* Where the name of msgpack's first member starts: map byte, key, length. */
static uint16_t
mp_name_off(struct str name)
{
    return name.n < 32 ? 4 : name.n < 256 ? 5 : 6;
}

static void
page_put(struct lso_page *p, struct ent *t)
{
    struct sbuf *b = p->b;
    size_t       at = b->n, room, ahead = 0, head = REC_HEAD + (p->gens ? LSO_GEN_BYTES : 0);
    uint16_t     off;
    char        *w;

    if (t->name.n >= NAME_AHEAD)
        return;
    t->plain = (t->flags & REC_TOMB) == 0 && (p->ask->msgpack || is_plain(t->name));
    if (!t->plain)
        ahead = t->name.n;
    room = head + 160 + 2 * t->name.n + t->cksum.n + t->atime.n + t->version.n + t->location.n + t->custom.n;
    w = sbuf_reserve(b, room);
    if (w == NULL)
        return;
    w = put(w + head, t->name.p, ahead);
    if (t->flags & REC_TOMB)
        ; /* nothing for the client */
    else if (p->ask->msgpack)
        w = ent_msgpack(w, t);
    else if (!ent_json(b, &w, t, room))
        return;
    sbuf_added(b, (size_t)(w - (b->p + b->n)));
    off = !t->plain ? NAME_AHEAD : p->ask->msgpack ? mp_name_off(t->name) : sizeof("{\"name\":\"") - 1;
    le32_put(b->p + at, (uint32_t)(b->n - at - 4));
    le16_put(b->p + at + 4, (uint16_t)t->name.n);
    le16_put(b->p + at + 6, off);
    le16_put(b->p + at + 8, t->flags);
    if (p->gens)
        memcpy(b->p + at + REC_HEAD, p->gen, LSO_GEN_BYTES);
    p->n++;
}

void
lso_page_ent(struct lso_page *p, const struct lent *le, struct str location)
{
    struct ent t = { .size = 0 };

    ent_fill(p, le, location, &t);
    page_put(p, &t);
}

void
lso_page_dir(struct lso_page *p, struct str name)
{
    struct ent t = { .name = name, .flags = LSE_DIR };

    memset(p->gen, 0, sizeof(p->gen));
    page_put(p, &t);
}

void
lso_page_tomb(struct lso_page *p, struct str name)
{
    struct ent t = { .name = name, .flags = REC_TOMB };

    ASSERT(p->gens);
    page_put(p, &t);
}

void
lso_page_end(struct lso_page *p, const struct lso_state *s)
{
    char tail[PAGE_TAIL] = { 0 };

    le32_put(tail, p->n);
    le32_put(tail + 4, s->flags);
    le64_put(tail + 8, s->smap_ver);
    le64_put(tail + 16, s->rmd_ver);
    tail[24] = (char)s->more;
    memcpy(tail + 28, PAGE_END, 4);
    sbuf_put(p->b, tail, sizeof(tail));
    sbuf_fini(&p->tmp);
}
