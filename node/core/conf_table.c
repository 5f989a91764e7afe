/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table engine of configuration and bucket properties: JSON in and out, `set` by dotted key, defaults, bounds.
 *
 * Texts of refusals are AIStore's, down to those of Go's number parser, because clients show and match them.
 *
 * Runs on: any thread. Pure; small allocations.
 */
#include "core/conf_impl.h"

#include <jansson.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/sbuf.h"
#include "base/units.h"
#include "codec/jw.h"

enum { KEY_MAX = 96 };

/* ---- one value ---- */

static void *
at(const struct field *f, void *base)
{
    return (char *)base + f->off;
}

static const void *
cat(const struct field *f, const void *base)
{
    return (const char *)base + f->off;
}

/* Every number as an int64_t; strings: their length. */
static int64_t
value_num(const struct field *f, const void *base)
{
    const void *p = cat(f, base);

    switch (f->type) {
    case F_BOOL:
        return *(const bool *)p;
    case F_INT:
    case F_I64S:
    case F_DUR:
        return *(const int64_t *)p;
    case F_U64:
    case F_U64S:
    case F_FEAT:
    case F_ACCESS:
    case F_SIZE:
    case F_SSIZE:
        return (int64_t) * (const uint64_t *)p;
    case F_CKSUM:
        return *(const enum cksum_type *)p;
    case F_PROV:
    case F_BPROV:
        return *(const enum provider *)p;
    case F_STR:
    case F_JSON:
    case F_HOLDER:
        return (int64_t)strlen(p);
    case F_LIST:
        break;
    }
    return 0;
}

static bool
is_zero(const struct field *f, const void *base)
{
    return value_num(f, base) == 0;
}

const char *
go_dur(int64_t ns, char out[48])
{
    size_t n = dur_format(ns, out);

    if (n > 0 && out[n - 1] == 'm')
        memcpy(out + n, "0s", 3);
    return out;
}

static void
size_text(const struct field *f, const void *base, char *out)
{
    uint64_t v = *(const uint64_t *)cat(f, base);

    if (f->type == F_SSIZE && (int64_t)v < 0)
        snprintf(out, UNITS_MAX, "%lldB", (long long)v);
    else
        size_format(v, out);
}

static void
value_json(const struct field *f, const void *base, struct jw *w)
{
    const void *p = cat(f, base);
    char        buf[UNITS_MAX];

    switch (f->type) {
    case F_BOOL:
        jw_bool(w, *(const bool *)p);
        return;
    case F_INT:
        jw_i64(w, *(const int64_t *)p);
        return;
    case F_U64:
        jw_u64(w, *(const uint64_t *)p);
        return;
    case F_I64S:
        jw_i64s(w, *(const int64_t *)p);
        return;
    case F_U64S:
    case F_FEAT:
    case F_ACCESS:
        jw_u64s(w, *(const uint64_t *)p);
        return;
    case F_DUR:
        dur_format(*(const int64_t *)p, buf);
        jw_strz(w, buf);
        return;
    case F_SIZE:
    case F_SSIZE:
        size_text(f, base, buf);
        jw_strz(w, buf);
        return;
    case F_CKSUM:
        jw_strz(w, cksum_name(*(const enum cksum_type *)p));
        return;
    case F_PROV:
        jw_strz(w, provider_name(*(const enum provider *)p));
        return;
    case F_BPROV:
        jw_strz(w, *((const bool *)p + sizeof(enum provider)) ? provider_name(*(const enum provider *)p) : "");
        return;
    case F_STR:
        jw_strz(w, p);
        return;
    case F_JSON:
    case F_HOLDER:
        jw_raw(w, str_z(p));
        return;
    case F_LIST:
        break;
    }
}

/* ---- refusals ---- */

/* As Go's %q, cut where it gets long. */
static void
put_quoted(struct sbuf *b, struct str s)
{
    json_quote(b, str_from(s.p, MIN(s.n, 200)));
}

/* msg with its places filled: {q} and {} by the text, {d} and {n} by the number. */
static int
complain(const struct field *f, struct str shown, int64_t num, struct err *e)
{
    struct sbuf b;
    char        buf[48];
    int         rc;

    sbuf_init(&b, sizeof(e->text));
    for (const char *p = f->msg; *p != '\0'; p++) {
        if (p[0] != '{') {
            sbuf_putc(&b, *p);
        } else if (p[1] == '}') {
            sbuf_puts(&b, shown);
            p += 1;
        } else {
            if (p[1] == 'q')
                put_quoted(&b, shown);
            else if (p[1] == 'd')
                sbuf_putz(&b, go_dur(num, buf));
            else
                sbuf_printf(&b, "%lld", (long long)num);
            p += 2;
        }
    }
    rc = err_set(e, AIS_E_BADREQ, "%s", b.p == NULL ? f->key : b.p);
    sbuf_fini(&b);
    return rc;
}

/* Which setting, and the text of Go's strconv for what is no number (or does not fit). */
static int
bad_number(const struct field *f, const char *func, struct str s, struct err *e)
{
    struct sbuf b;
    size_t      i = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0;
    bool        digits = s.n > i;

    for (; i < s.n; i++)
        digits = digits && s.p[i] >= '0' && s.p[i] <= '9';
    sbuf_init(&b, 600);
    put_quoted(&b, s);
    err_set(e, AIS_E_BADREQ, "%s: strconv.%s: parsing %s: %s", f->key, func, b.p == NULL ? "" : b.p,
            digits ? "value out of range" : "invalid syntax");
    sbuf_fini(&b);
    err_tcode(e, "NumError");
    return -AIS_E_BADREQ;
}

/* Which setting, and the texts of Go's time.ParseDuration. */
static int
bad_duration(const struct field *f, struct str s, struct err *e)
{
    static const char *const units[] = { "ns", "us", "\xc2\xb5s", "\xce\xbcs", "ms", "s", "m", "h" };
    struct str               rest = s, unit;
    struct sbuf              q;
    size_t                   n = 0;
    bool                     known = false;

    if (rest.n > 0 && (rest.p[0] == '-' || rest.p[0] == '+'))
        rest = str_from_off(rest, 1);
    while (n < rest.n && ((rest.p[n] >= '0' && rest.p[n] <= '9') || rest.p[n] == '.'))
        n++;
    unit = str_from_off(rest, n);
    for (size_t i = 0; i < unit.n; i++)
        if ((unit.p[i] >= '0' && unit.p[i] <= '9') || unit.p[i] == '.')
            unit.n = i;
    for (size_t i = 0; i < ARRAY_SIZE(units); i++)
        known = known || str_eqz(unit, units[i]);
    sbuf_init(&q, 600);
    put_quoted(&q, s);
    if (n > 0 && unit.n == 0)
        err_set(e, AIS_E_BADREQ, "time: missing unit in duration %s", q.p);
    else if (n > 0 && !known)
        err_set(e, AIS_E_BADREQ, "time: unknown unit \"%.*s\" in duration %s", (int)MIN(unit.n, 40), unit.p, q.p);
    else
        err_set(e, AIS_E_BADREQ, "time: invalid duration %s", q.p);
    err_wrap(e, "%s", f->key);
    sbuf_fini(&q);
    return -AIS_E_BADREQ;
}

static int
bad_cksum(struct str s, struct err *e)
{
    struct sbuf q;
    int         rc;

    sbuf_init(&q, 600);
    put_quoted(&q, s);
    rc = err_set(e, AIS_E_BADREQ,
                 "invalid checksum type %s (expecting [crc32c md5 sha256 sha512 xxhash xxhash2 none])", q.p);
    sbuf_fini(&q);
    return rc;
}

static int
unknown_key(struct str key, struct err *e)
{
    return err_set(e, AIS_E_BADREQ, "unknown property \"%.*s\"", (int)MIN(key.n, 200), key.p);
}

/* ---- text to value ---- */

/* AIStore's booleans in configuration: Go's, and yes/no, on/off; empty is false. */
static bool
bool_parse(struct str s, bool *out)
{
    static const char *const yes[] = { "true", "y", "yes", "on", "1", "t", "T", "TRUE", "True" };
    static const char *const no[] = { "", "false", "n", "no", "off", "0", "f", "F", "FALSE", "False" };

    for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
        if (str_eqz(s, yes[i])) {
            *out = true;
            return true;
        }
    for (size_t i = 0; i < ARRAY_SIZE(no); i++)
        if (str_eqz(s, no[i])) {
            *out = false;
            return true;
        }
    return false;
}

/* A decimal number, "none", or feature names separated by commas or spaces. */
static bool
features_parse(struct str s, uint64_t *out)
{
    struct str tok;
    uint64_t   v = 0;
    size_t     i;

    if (str_u64(s, out))
        return true;
    while (s.n > 0) {
        for (i = 0; i < s.n && s.p[i] != ',' && s.p[i] != ' '; i++)
            ;
        tok = str_from(s.p, i);
        s = str_from_off(s, i + 1);
        if (tok.n == 0 || str_eqz(tok, "none"))
            continue;
        for (i = 0; feature_name((unsigned)i) != NULL && !str_eqz(tok, feature_name((unsigned)i)); i++)
            ;
        if (feature_name((unsigned)i) == NULL)
            return false;
        v |= 1ULL << i;
    }
    *out = v;
    return true;
}

static bool
access_parse(struct str s, uint64_t *out)
{
    const uint64_t ro = 0x303, rw = ro | 0x3c;

    if (str_u64(s, out))
        return true;
    if (str_eqz(s, "ro"))
        *out = ro;
    else if (str_eqz(s, "rw"))
        *out = rw;
    else if (str_eqz(s, "su"))
        *out = UINT64_MAX;
    else
        return false;
    return true;
}

static bool
choice_ok(const char *choices, struct str s)
{
    struct str rest = str_z(choices), tok;

    if (s.n == 0)
        return true;
    while (str_split(&rest, '|', &tok))
        if (str_eq(tok, s))
            return true;
    return false;
}

static int
parse_size(const struct field *f, struct str s, uint64_t *out, struct err *e)
{
    struct str num = str_trim(s);
    int64_t    v;

    if (s.n == 0) {
        *out = 0;
        return 0;
    }
    if (size_parse(s, out) && *out <= INT64_MAX)
        return 0;
    if (num.n > 1 && (num.p[num.n - 1] == 'B' || num.p[num.n - 1] == 'b'))
        num.n--;
    if (!str_i64(num, &v))
        return bad_number(f, "ParseInt", num, e);
    *out = (uint64_t)v;
    if (v < 0 && f->type == F_SIZE)
        return f->msg != NULL ? complain(f, s, v, e)
                              : err_set(e, AIS_E_BADREQ, "invalid %s: %.*s", f->key, STR_FMT(s));
    return 0;
}

/* Anything that fits into 8 bytes. */
union scalar {
    bool            b;
    int64_t         i;
    uint64_t        u;
    enum cksum_type ck;
    enum provider   prov;
};

static int
parse_scalar(const struct field *f, struct str s, union scalar *v, struct err *e)
{
    switch (f->type) {
    case F_BOOL:
        return bool_parse(s, &v->b) ? 0 : bad_number(f, "ParseBool", s, e);
    case F_INT:
    case F_I64S:
        return str_i64(s, &v->i) ? 0 : bad_number(f, "ParseInt", s, e);
    case F_U64:
    case F_U64S:
        return str_u64(s, &v->u) ? 0 : bad_number(f, "ParseUint", s, e);
    case F_FEAT:
        return features_parse(s, &v->u) ? 0 : bad_number(f, "ParseUint", s, e);
    case F_ACCESS:
        return access_parse(s, &v->u) ? 0 : bad_number(f, "ParseUint", s, e);
    case F_DUR:
        return dur_parse(s, &v->i) ? 0 : bad_duration(f, s, e);
    case F_SIZE:
    case F_SSIZE:
        return parse_size(f, s, &v->u, e);
    case F_CKSUM:
        if (s.n == 0 && (f->flags & FF_ZERO)) {
            cksum_by_name(str_z(f->dflt), &v->ck);
            return 0;
        }
        return s.n > 0 && cksum_by_name(s, &v->ck) ? 0 : bad_cksum(s, e);
    case F_PROV:
    case F_BPROV:
        if (s.n == 0) {
            v->prov = PROV_AIS;
            return 0;
        }
        if (provider_by_name(s, &v->prov) && v->prov != PROV_HT)
            return 0;
        return err_set(e, AIS_E_BADPROVIDER,
                       "invalid backend provider \"%.*s\": must be one of [ais, aws (s3://), gcp (gs://), azure (az://), oci "
                       "(oc://)]",
                       (int)MIN(s.n, 40), s.p);
    case F_STR:
    case F_JSON:
    case F_LIST:
    case F_HOLDER:
        break;
    }
    return -AIS_E_INTERNAL;
}

static int
store_text(const struct field *f, void *base, struct str s, struct err *e)
{
    if (f->choices != NULL && !choice_ok(f->choices, s))
        return complain(f, s, 0, e);
    if (memchr(s.n > 0 ? s.p : "", '\0', s.n) != NULL)
        return err_set(e, AIS_E_BADREQ, "invalid value of \"%s\": NUL character", f->key);
    if (s.n >= f->size)
        return err_set(e, AIS_E_BADREQ, "invalid value of \"%s\": too long (%zu > %u)", f->key, s.n, f->size - 1);
    memset(at(f, base), 0, f->size);
    if (s.n > 0)
        memcpy(at(f, base), s.p, s.n);
    return 0;
}

static void
store_scalar(const struct field *f, void *base, const union scalar *v, bool empty)
{
    void *p = at(f, base);

    switch (f->type) {
    case F_BOOL:
        *(bool *)p = v->b;
        return;
    case F_CKSUM:
        *(enum cksum_type *)p = v->ck;
        return;
    case F_BPROV:
        *((bool *)p + sizeof(enum provider)) = !empty;
        *(enum provider *)p = v->prov;
        return;
    case F_PROV:
        *(enum provider *)p = v->prov;
        return;
    case F_INT:
    case F_I64S:
    case F_DUR:
        *(int64_t *)p = v->i;
        return;
    case F_U64:
    case F_U64S:
    case F_FEAT:
    case F_ACCESS:
    case F_SIZE:
    case F_SSIZE:
        *(uint64_t *)p = v->u;
        return;
    case F_STR:
    case F_JSON:
    case F_LIST:
    case F_HOLDER:
        return;
    }
}

/* ---- virtual rows: members of a JSON object kept as text ---- */

static const struct field *
holder_of(const struct table *t, const struct field *f)
{
    for (unsigned i = 0; i < t->n; i++)
        if (t->rows[i].type == F_HOLDER && t->rows[i].off == f->off)
            return &t->rows[i];
    ais_bug("row %s has no holder", f->key);
}

/* Key of a virtual row below its holder: "auth.*" and "auth.oidc.allowed_iss" give "oidc.allowed_iss". */
static const char *
below(const struct field *holder, const struct field *f)
{
    size_t n = strlen(holder->key);

    return f->key + (holder->key[n - 1] == '*' ? n - 1 : n + 1);
}

static json_t *
holder_load(const struct field *holder, const void *base)
{
    const char *text = cat(holder, base);
    json_t     *j = NULL;

    if (text[0] != '\0')
        j = json_loads(text, 0, NULL);
    return j != NULL ? j : json_object();
}

static json_t *
path_get(json_t *j, const char *path)
{
    struct str rest = str_z(path), tok;
    char       key[KEY_MAX];

    while (j != NULL && str_split(&rest, '.', &tok)) {
        str_copyz(tok, key, sizeof(key));
        j = json_object_get(j, key);
    }
    return j;
}

/* Takes v. Objects on the way are made. */
static void
path_put(json_t *j, const char *path, json_t *v)
{
    struct str rest = str_z(path), tok;
    char       key[KEY_MAX];

    while (str_split(&rest, '.', &tok)) {
        json_t *next;

        str_copyz(tok, key, sizeof(key));
        if (rest.p == NULL) {
            json_object_set_new(j, key, v);
            return;
        }
        next = json_object_get(j, key);
        if (!json_is_object(next)) {
            next = json_object();
            json_object_set_new(j, key, next);
        }
        j = next;
    }
}

/* Which sections of the document are open while members are written. */
struct open {
    char key[KEY_MAX]; /* "net.http." */
};

/* Close and open sections so that a member of key can be written; returns its own name. */
static const char *
open_for(struct open *o, const char *key, struct jw *w)
{
    const char *dot = strrchr(key, '.');
    size_t      n = dot == NULL ? 0 : (size_t)(dot - key) + 1, same = 0;

    for (size_t i = 0; i < n && o->key[i] == key[i] && key[i] != '\0'; i++)
        if (key[i] == '.')
            same = i + 1;
    for (size_t i = same; o->key[i] != '\0'; i++)
        if (o->key[i] == '.')
            jw_obj_end(w);
    memcpy(o->key, key, n);
    o->key[n] = '\0';
    while (same < n) {
        size_t len = strcspn(key + same, ".");

        jw_keys(w, str_from(key + same, len));
        jw_obj(w);
        same += len + 1;
    }
    return key + n;
}

static void
put_dump(struct jw *w, const json_t *v)
{
    char *s = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

    jw_raw(w, s == NULL ? STR_LIT("null") : str_z(s));
    free(s);
}

/* Write the holder's members in the order of the rows and keep the text. */
static int
holder_store(const struct table *t, const struct field *holder, void *base, json_t *j, struct err *e)
{
    struct open o = { "" };
    struct sbuf b;
    struct jw   w;
    int         rc = 0;

    sbuf_init(&b, 1 << 20);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    for (unsigned i = 0; i < t->n; i++) {
        const struct field *f = &t->rows[i];
        json_t             *v;

        if (!(f->flags & FF_VIRT) || f->off != holder->off)
            continue;
        v = path_get(j, below(holder, f));
        if (v == NULL)
            continue;
        jw_key(&w, open_for(&o, below(holder, f), &w));
        put_dump(&w, v);
    }
    open_for(&o, "", &w);
    jw_obj_end(&w);
    if (!sbuf_ok(&b) || b.n >= holder->size)
        rc = err_set(e, AIS_E_BADREQ, "configuration section \"%.*s\" is too long", (int)strcspn(holder->key, ".*"),
                     holder->key);
    else
        str_copyz(b.n == 2 ? STR_NULL : sbuf_str(&b), at(holder, base), holder->size);
    sbuf_fini(&b);
    return rc;
}

/* Takes v. */
static int
virt_put(const struct table *t, const struct field *f, void *base, json_t *v, struct err *e)
{
    const struct field *holder = holder_of(t, f);
    json_t             *j = holder_load(holder, base);
    int                 rc;

    path_put(j, below(holder, f), v);
    rc = holder_store(t, holder, base, j, e);
    json_decref(j);
    return rc;
}

/* "[a b]" or "a b" as a JSON array; "none" is empty. */
static json_t *
list_parse(struct str s)
{
    json_t    *a = json_array();
    struct str tok;

    if (s.n > 0 && s.p[0] == '[')
        s = str_from_off(s, 1);
    if (s.n > 0 && s.p[s.n - 1] == ']')
        s.n--;
    while (!str_eqz(s, "none") && str_split(&s, ' ', &tok))
        if (tok.n > 0)
            json_array_append_new(a, json_stringn(tok.p, tok.n));
    return a;
}

static int
virt_from_text(const struct table *t, const struct field *f, void *base, struct str s, struct err *e)
{
    union scalar v = { .u = 0 };
    char         buf[UNITS_MAX];
    json_t      *j;
    int          rc;

    if (!str_is_utf8(s))
        return err_set(e, AIS_E_BADREQ, "invalid value of \"%s\": not UTF-8", f->key);
    if (f->type == F_STR) {
        j = json_stringn(s.p == NULL ? "" : s.p, s.n);
    } else if (f->type == F_LIST) {
        j = list_parse(s);
    } else {
        rc = parse_scalar(f, s, &v, e);
        if (rc < 0)
            return rc;
        if (f->type == F_BOOL) {
            j = json_boolean(v.b);
        } else if (f->type == F_DUR) {
            dur_format(v.i, buf);
            j = json_string(buf);
        } else {
            j = json_integer(v.i);
        }
    }
    return virt_put(t, f, base, j, e);
}

/* ---- public: text and JSON in ---- */

static int
row_from_text(const struct table *t, const struct field *f, void *base, struct str s, struct err *e)
{
    union scalar v = { .u = 0 };
    int          rc;

    if (f->flags & FF_VIRT)
        return virt_from_text(t, f, base, s, e);
    if (f->type == F_STR)
        return store_text(f, base, s, e);
    rc = parse_scalar(f, s, &v, e);
    if (rc == 0)
        store_scalar(f, base, &v, s.n == 0);
    return rc;
}

static bool
is_number(enum ftype t)
{
    return t == F_INT || t == F_U64 || t == F_U64S || t == F_I64S || t == F_FEAT || t == F_ACCESS || t == F_SIZE ||
           t == F_SSIZE;
}

/* Keep the value's text as it is (F_JSON), or the array of a virtual F_LIST. */
static int
tree_from_json(const struct table *t, const struct field *f, void *base, const json_t *v, struct err *e)
{
    char *s;
    int   rc;

    if (f->type == F_LIST) {
        for (size_t i = 0; i < json_array_size(v); i++)
            if (!json_is_string(json_array_get(v, i)))
                return err_set(e, AIS_E_BADREQ, "invalid value of \"%s\": expecting an array of strings", f->key);
        return virt_put(t, f, base, json_deep_copy(v), e);
    }
    if (f->flags & FF_VIRT)
        return virt_put(t, f, base, json_deep_copy(v), e);
    s = json_dumps(v, JSON_COMPACT);
    rc = store_text(f, base, str_z(s), e);
    free(s);
    return rc;
}

static int
row_from_json(const struct table *t, const struct field *f, void *base, const json_t *v, struct err *e)
{
    static const char *const want[] = {
        [F_BOOL] = "true or false",   [F_INT] = "an integer",   [F_U64] = "an integer",   [F_U64S] = "an integer",
        [F_I64S] = "an integer",      [F_FEAT] = "an integer",  [F_ACCESS] = "an integer", [F_DUR] = "a duration such as \"10s\"",
        [F_SIZE] = "a size such as \"64MiB\"", [F_SSIZE] = "a size such as \"64MiB\"", [F_STR] = "a string",
        [F_CKSUM] = "a string",       [F_PROV] = "a string",    [F_BPROV] = "a string",   [F_JSON] = "an object",
        [F_LIST] = "an array of strings", [F_HOLDER] = "an object",
    };
    char buf[72];

    if ((f->type == F_JSON && json_is_object(v)) || (f->type == F_LIST && json_is_array(v)))
        return tree_from_json(t, f, base, v, e);
    if (f->type != F_JSON && f->type != F_LIST && json_is_string(v))
        return row_from_text(t, f, base, str_from(json_string_value(v), json_string_length(v)), e);
    if (f->type == F_BOOL && json_is_boolean(v))
        return row_from_text(t, f, base, json_is_true(v) ? STR_LIT("true") : STR_LIT("false"), e);
    if (json_is_integer(v) && (is_number(f->type) || (f->type == F_DUR && json_integer_value(v) == 0))) {
        snprintf(buf, sizeof(buf), "%lld", (long long)json_integer_value(v));
        return row_from_text(t, f, base, str_z(buf), e);
    }
    return err_set(e, AIS_E_BADREQ, "invalid value of \"%s\": expecting %s", f->key, want[f->type]);
}

/* Lower-case copy of key with former names replaced. False when it is longer than any key. */
static bool
canonical(const struct table *t, struct str key, char out[KEY_MAX])
{
    if (!str_copyz(key, out, KEY_MAX) || strlen(out) != key.n)
        return false;
    for (char *p = out; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p | 0x20);
    for (unsigned i = 0; i < t->naliases; i++) {
        size_t n = strlen(t->alias[i][0]);

        if (strncmp(out, t->alias[i][0], n) == 0 && (out[n] == '\0' || out[n] == '.')) {
            char rest[KEY_MAX];

            memcpy(rest, out + n, strlen(out + n) + 1);
            snprintf(out, KEY_MAX, "%s%s", t->alias[i][1], rest);
            break;
        }
    }
    return true;
}

static const struct field *
row_by_key(const struct table *t, const char *key)
{
    for (unsigned i = 0; i < t->n; i++)
        if (str_ieq(str_z(t->rows[i].key), str_z(key)))
            return &t->rows[i];
    return NULL;
}

const struct field *
rows_find(const struct table *t, struct str key)
{
    char k[KEY_MAX];

    return canonical(t, key, k) ? row_by_key(t, k) : NULL;
}

static bool
is_section(const struct table *t, const char *key)
{
    size_t n = strlen(key);

    for (unsigned i = 0; i < t->n; i++)
        if (strncmp(t->rows[i].key, key, n) == 0 && t->rows[i].key[n] == '.')
            return true;
    return false;
}

/* One member: a section is descended into, a row is set, null means "not given". */
static int
merge_member(const struct table *t, void *base, const char *key, json_t *v, bool strict, struct err *e)
{
    const struct field *f = row_by_key(t, key);
    const char         *name;
    json_t             *m;
    char                path[2 * KEY_MAX], k[KEY_MAX];
    int                 rc;

    if (json_is_null(v))
        return 0;
    if (is_section(t, key)) {
        if (!json_is_object(v))
            return err_set(e, AIS_E_BADREQ, "invalid value of \"%s\": expecting an object", key);
        json_object_foreach(v, name, m)
        {
            if ((size_t)snprintf(path, sizeof(path), "%s.%.100s", key, name) >= sizeof(path) ||
                !canonical(t, str_z(path), k)) {
                if (strict)
                    return unknown_key(str_z(name), e);
                continue;
            }
            rc = merge_member(t, base, k, m, strict, e);
            if (rc < 0)
                return rc;
        }
        return 0;
    }
    if (f == NULL || (strict && (f->flags & FF_NOSET)))
        return strict ? unknown_key(str_z(key), e) : 0;
    return row_from_json(t, f, base, v, e);
}

int
rows_merge(const struct table *t, void *base, const struct json_t *j, bool strict, struct err *e)
{
    union {
        const json_t *c;
        json_t       *m; /* jansson's iterator takes a non-const object although it only looks */
    } o = { .c = j };
    const char *name;
    json_t     *v;
    char        k[KEY_MAX];
    int         rc;

    if (!json_is_object(j))
        return err_set(e, AIS_E_BADREQ, "expecting a JSON object");
    json_object_foreach(o.m, name, v)
    {
        if (!canonical(t, str_z(name), k) || strchr(k, '.') != NULL) {
            if (strict)
                return unknown_key(str_z(name), e);
            continue;
        }
        rc = merge_member(t, base, k, v, strict, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int
rows_set(const struct table *t, void *base, struct str key, struct str value, struct err *e)
{
    const struct field *f;
    char                k[KEY_MAX];

    if (!canonical(t, key, k))
        return unknown_key(key, e);
    f = row_by_key(t, k);
    if (f == NULL || f->type == F_HOLDER || (f->flags & (FF_NOSET | FF_NODOT)))
        return unknown_key(str_z(k), e);
    if (f->flags & FF_RO)
        return err_set(e, AIS_E_BADREQ, "property \"%s\" is readonly", f->key);
    return row_from_text(t, f, base, value, e);
}

/* ---- public: defaults, bounds, JSON out ---- */

static void
row_default(const struct table *t, const struct field *f, void *base)
{
    struct err e;

    if (f->type == F_JSON)
        str_copyz(str_z(f->dflt), at(f, base), f->size);
    else if (row_from_text(t, f, base, str_z(f->dflt), &e) < 0)
        ais_bug("default of %s: %s", f->key, e.text);
}

void
rows_default(const struct table *t, void *base)
{
    for (unsigned i = 0; i < t->n; i++)
        if (t->rows[i].dflt != NULL && !(t->rows[i].flags & FF_VIRT))
            row_default(t, &t->rows[i], base);
}

void
rows_hydrate(const struct table *t, void *base)
{
    for (unsigned i = 0; i < t->n; i++) {
        const struct field *f = &t->rows[i];

        if ((f->flags & (FF_ZERO | FF_VIRT)) == FF_ZERO && f->type != F_CKSUM && is_zero(f, base))
            row_default(t, f, base);
    }
}

int
rows_check(const struct table *t, const void *base, const char *prefix, struct err *e)
{
    for (unsigned i = 0; i < t->n; i++) {
        const struct field *f = &t->rows[i];
        char                buf[UNITS_MAX];
        int64_t             v;

        if (f->min == f->max || (f->flags & FF_VIRT) || (prefix != NULL && strncmp(f->key, prefix, strlen(prefix)) != 0))
            continue;
        v = value_num(f, base);
        if (v >= f->min && v <= f->max)
            continue;
        if (f->type == F_DUR)
            dur_format(v, buf);
        else if (f->type == F_SIZE || f->type == F_SSIZE)
            size_text(f, base, buf);
        else
            snprintf(buf, sizeof(buf), "%lld", (long long)v);
        return complain(f, str_z(buf), v, e);
    }
    return 0;
}

void
rows_json(const struct table *t, const void *base, struct jw *w)
{
    struct open o = { "" };

    for (unsigned i = 0; i < t->n; i++) {
        const struct field *f = &t->rows[i];
        const char         *name;
        struct str          text;

        if (f->flags & FF_VIRT)
            continue;
        name = open_for(&o, f->key, w);
        if (((f->flags & FF_OMIT) || f->type == F_HOLDER) && is_zero(f, base))
            continue;
        if (name[0] == '*') { /* the members, without the braces */
            text = str_z(cat(f, base));
            jw_raw(w, str_from(text.p + 1, text.n - 2));
            continue;
        }
        jw_key(w, name);
        value_json(f, base, w);
    }
    open_for(&o, "", w);
}
