/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's list-objects message: read, default, refuse; and the question that goes to a target.
 *
 * Wire: native-api.md 3.9, "LsoMsg"; README.md.
 */
#include "lso/lso.h"

#include <jansson.h>
#include <math.h>

#include "base/util.h"
#include "codec/jw.h"
#include "codec/mp.h"
#include "codec/url.h"

#define ASK_VERSION 1
#define ASK_MEMBERS 8

/* clang-format off */
static const struct {
    struct str name;
    uint32_t   bit;
} props[] = {
    { { "name", 4 },     0 },
    { { "size", 4 },     LSP_SIZE },
    { { "version", 7 },  LSP_VERSION },
    { { "checksum", 8 }, LSP_CHECKSUM },
    { { "atime", 5 },    LSP_ATIME },
    { { "cached", 6 },   LSP_CACHED },
    { { "status", 6 },   LSP_STATUS },
    { { "copies", 6 },   LSP_COPIES },
    { { "ec", 2 },       LSP_EC },
    { { "custom", 6 },   LSP_CUSTOM },
    { { "location", 8 }, LSP_LOCATION },
    { { "chunked", 7 },  LSP_CHUNKED },
};
/* clang-format on */

/* A property that nobody knows is ignored, as the original does. */
static uint32_t
props_bits(struct str text)
{
    uint32_t   bits = 0;
    struct str tok;
    unsigned   i;

    while (str_split(&text, ',', &tok)) {
        tok = str_trim(tok);
        for (i = 0; i < ARRAY_SIZE(props); i++)
            if (str_eq(tok, props[i].name))
                bits |= props[i].bit;
    }
    return bits;
}

static struct str
member_str(const json_t *v)
{
    if (!json_is_string(v))
        return STR_NULL;
    return str_from(json_string_value(v), json_string_length(v));
}

/* The text clients see names the Go field, as its decoder does. */
static int
bad_member(struct err *e, const char *who, const char *field, const char *want)
{
    return err_set(e, AIS_E_BADREQ, "%s: failed to unmarshal list (map[string]interface {}), err: apc.LsoMsg.%s: %s", who,
                   field, want);
}

static int
read_strs(struct lso_msg *m, const json_t *value, const char *who, struct err *e)
{
    const struct {
        const char *key, *field;
        struct str *to;
    } strs[] = {
        { "props", "Props", &m->props_text },
        { "time_format", "TimeFormat", &m->time_format },
        { "prefix", "Prefix", &m->prefix },
        { "start_after", "StartAfter", &m->start_after },
        { "continuation_token", "ContinuationToken", &m->token },
        { "target", "SID", &m->sid },
    };
    const json_t *v;
    unsigned      i;

    for (i = 0; i < ARRAY_SIZE(strs); i++) {
        v = json_get_fold(value, strs[i].key);
        if (v == NULL || json_is_null(v))
            continue;
        if (!json_is_string(v))
            return bad_member(e, who, strs[i].field, "ReadString: expects \" or n");
        *strs[i].to = member_str(v);
    }
    return 0;
}

int
lso_msg_read(struct lso_msg *m, const struct json_t *value, const char *who, struct err *e)
{
    const json_t *v;
    struct str    s;
    uint64_t      page = 0;
    int           rc;

    *m = (struct lso_msg){ .flags = 0 };
    if (!json_is_object(value))
        return err_set(e, AIS_E_BADREQ, "%s: failed to unmarshal list, err: expecting an object", who);
    rc = read_strs(m, value, who, e);
    if (rc < 0)
        return rc;
    v = json_get_fold(value, "uuid");
    s = member_str(v);
    if ((v != NULL && !json_is_null(v) && !json_is_string(v)) || s.n >= sizeof(m->uuid))
        return bad_member(e, who, "UUID", "invalid UUID");
    str_copyz(s, m->uuid, sizeof(m->uuid));
    v = json_get_fold(value, "flags");
    s = member_str(v);
    if (v != NULL && !json_is_null(v) && !json_u64(v, &m->flags))
        return err_set(e, AIS_E_BADREQ,
                       "%s: failed to unmarshal list (map[string]interface {}), err: apc.LsoMsg.Flags: readUint64: unexpected "
                       "character: %.*s", who, (int)MIN(s.n, 64), s.n > 0 ? s.p : "");
    v = json_get_fold(value, "pagesize");
    if (v != NULL && !json_is_null(v) && !json_u64(v, &page))
        return bad_member(e, who, "PageSize", "invalid page size");
    m->pagesize = (uint32_t)MIN(page, LSO_PAGE_MAX);
    m->props = props_bits(m->props_text);
    if (m->prefix.n > 0 && m->prefix.p[m->prefix.n - 1] == '*')
        m->prefix.n--;
    return 0;
}

/* No component "." or "..", no "~/" in front: what could lead a walk astray. */
static bool
prefix_ok(struct str prefix)
{
    struct str rest = prefix, part;

    if (str_starts(prefix, STR_LIT("~/")))
        return false;
    while (str_split(&rest, '/', &part))
        if (str_eqz(part, ".") || str_eqz(part, ".."))
            return false;
    return prefix.n == 0 || memchr(prefix.p, '\0', prefix.n) == NULL;
}

#define NO_DIFF "cannot perform remote versions check (or diff vs remote bucket)"

static int
check_diff(const struct lso_msg *m, const struct bck *b, const char *display, struct err *e)
{
    if (bck_is_local(b))
        return err_set(e, AIS_E_BADREQ, NO_DIFF ": bucket %s does not provide remote versioning info", display);
    if ((m->flags & (LS_NAME_ONLY | LS_NAME_SIZE)) != 0 || (m->props & LSP_CUSTOM) == 0)
        return err_set(e, AIS_E_BADREQ, NO_DIFF " without listing \"custom\" (object property)");
    if (m->flags & LS_NOT_CACHED)
        return err_set(e, AIS_E_BADREQ, NO_DIFF " when apc.LsNotCached (CLI '--not-cached') is set");
    if (m->flags & LS_CACHED)
        return err_set(e, AIS_E_BADREQ, NO_DIFF " when apc.LsCached (CLI '--cached') is set");
    return 0;
}

static void
set_defaults(struct lso_msg *m)
{
    if (m->props_text.n == 0) {
        if (m->flags & LS_CACHED) {
            m->props |= LSP_SIZE | LSP_CHECKSUM | LSP_ATIME;
        } else {
            m->props |= LSP_SIZE | LSP_CACHED;
            m->flags |= LS_NAME_SIZE;
        }
    } else if (str_eqz(m->props_text, "name")) {
        m->flags |= LS_NAME_ONLY;
    } else if (str_eqz(m->props_text, "name,size")) {
        m->flags |= LS_NAME_SIZE;
    }
    if (m->flags & LS_ARCH_DIR)
        m->flags |= LS_CACHED;
    if (m->pagesize == 0)
        m->pagesize = LSO_PAGE_DFLT;
}

int
lso_msg_check(struct lso_msg *m, const struct bck *b, const char *display, struct err *e)
{
    int rc;

    if (!prefix_ok(m->prefix))
        return err_set(e, AIS_E_BADREQ, "bad list-objects request: invalid prefix \"%.*s\"", STR_FMT(m->prefix));
    if (m->flags & LS_DIFF) {
        rc = check_diff(m, b, display, e);
        if (rc < 0)
            return rc;
    }
    set_defaults(m);
    if (m->flags & LS_NOT_CACHED)
        return err_set(e, AIS_E_BADREQ, "%s is not a remote bucket - cannot list 'not cached' objects", display);
    if (m->flags & LS_ARCH_DIR)
        return err_set(e, AIS_E_NOTIMPL, "listing the content of archives is not implemented yet");
    if (m->flags & LS_NBI)
        return err_set(e, AIS_E_NOTIMPL, "bucket inventory is not implemented yet");
    return 0;
}

struct str
lso_msg_after(const struct lso_msg *m)
{
    return m->token.n > 0 ? m->token : m->start_after;
}

void
lso_ask_from(struct lso_ask *a, const struct lso_msg *m, bool msgpack)
{
    *a = (struct lso_ask){ .flags = (uint32_t)m->flags,
                           .props = m->props,
                           .max = m->pagesize,
                           .msgpack = msgpack,
                           .prefix = m->prefix,
                           .after = lso_msg_after(m),
                           .time_format = m->time_format };
}

void
lso_ask_encode(const struct lso_ask *a, struct sbuf *out)
{
    mp_arr(out, ASK_MEMBERS);
    mp_u64(out, ASK_VERSION);
    mp_u64(out, a->flags);
    mp_u64(out, a->props);
    mp_u64(out, a->max);
    mp_bool(out, a->msgpack);
    mp_bin(out, a->prefix);
    mp_bin(out, a->after);
    mp_bin(out, a->time_format);
}

int
lso_ask_decode(struct lso_ask *a, struct str body)
{
    struct mp_in in;
    uint64_t     version, flags, bits, max;
    uint32_t     n;

    if (body.n == 0) /* and perhaps no pointer */
        return -AIS_E_BADREQ;
    in = (struct mp_in){ (const unsigned char *)body.p, (const unsigned char *)body.p + body.n };
    if (mp_get_arr(&in, &n) < 0 || n != ASK_MEMBERS || mp_get_u64(&in, &version) < 0 || version != ASK_VERSION)
        return -AIS_E_BADREQ;
    if (mp_get_u64(&in, &flags) < 0 || mp_get_u64(&in, &bits) < 0 || mp_get_u64(&in, &max) < 0 ||
        mp_get_bool(&in, &a->msgpack) < 0 || mp_get_str(&in, &a->prefix) < 0 || mp_get_str(&in, &a->after) < 0 ||
        mp_get_str(&in, &a->time_format) < 0)
        return -AIS_E_BADREQ;
    if (max == 0 || max > LSO_PAGE_MAX || flags > UINT32_MAX || bits > UINT32_MAX || !prefix_ok(a->prefix))
        return -AIS_E_BADREQ;
    a->flags = (uint32_t)flags;
    a->props = (uint32_t)bits;
    a->max = (uint32_t)max;
    return 0;
}

/*
 * Names fall on targets like coins: a target's part of a page of w is w/n with deviation sqrt(w/n) or less, and four deviations are
 * rarely exceeded. Virtual directories are on every target: there each may have to fill the page.
 */
uint32_t
lso_share(const struct lso_msg *m, unsigned ntargets)
{
    double mean = (double)m->pagesize / (ntargets > 0 ? ntargets : 1), share = mean + 4 * sqrt(mean) + 16;

    if (ntargets <= 1 || (m->flags & LS_NO_RECURSION) != 0 || share >= m->pagesize)
        return m->pagesize;
    return (uint32_t)share;
}

void
lso_path(struct sbuf *out, const struct bck *b, const char *verb)
{
    sbuf_putz(out, "/v1/buckets/");
    url_encode_path(out, b->name);
    sbuf_printf(out, "/%s?provider=%s", verb, provider_name(b->provider));
    if (b->ns_uuid.n > 0 || b->ns_name.n > 0) {
        sbuf_putz(out, "&namespace=%40");
        url_encode_query(out, b->ns_uuid);
        sbuf_putz(out, "%23");
        url_encode_query(out, b->ns_name);
    }
}

/* --- summaries --- */

#define SUM_MEMBERS(X) X(objects) X(bytes) X(on_disk) X(min_size) X(max_size) X(capacity)

void
lso_sum_json(const struct lso_sum *s, struct sbuf *out)
{
    struct jw w;

    jw_init(&w, out, 0);
    jw_obj(&w);
#define X(m) jw_ku64s(&w, #m, s->m);
    SUM_MEMBERS(X)
#undef X
    jw_obj_end(&w);
}

int
lso_sum_read(struct lso_sum *s, struct str json, struct err *e)
{
    struct lso_sum got = { .objects = 0 };
    json_t        *root;
    bool           ok;
    int            rc;

    rc = json_read(json, &root, e);
    if (rc < 0)
        return rc;
#define X(m) &&json_u64(json_get_fold(root, #m), &got.m)
    ok = json_is_object(root) SUM_MEMBERS(X);
#undef X
    json_decref(root);
    if (!ok)
        return err_set(e, AIS_E_BADREQ, "malformed bucket summary of a target");
    *s = got;
    return 0;
}
