/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values: see kv.h. */
#include "cli/kv.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/util.h"
#include "cli/uri.h"
#include "codec/jw.h"

/* --- reading --- */

static json_t *
value_of(const char *val, bool typed)
{
    char     *end;
    long long n;

    if (!typed)
        return json_string(val);
    if (strcmp(val, "true") == 0 || strcmp(val, "on") == 0)
        return json_true();
    if (strcmp(val, "false") == 0 || strcmp(val, "off") == 0)
        return json_false();
    n = strtoll(val, &end, 10);
    if (val[0] != '\0' && *end == '\0' && strlen(val) < 19) /* longer ones are 64-bit flags: digits in a string */
        return json_integer(n);
    return json_string(val);
}

static int
set_at(json_t *o, struct str key, const char *val, bool typed, struct fault *f)
{
    struct str rest = key, part;
    ptrdiff_t  dot;
    char       name[256];

    while (typed && (dot = str_chr(rest, '.')) >= 0) {
        json_t *sub;

        part = str_from(rest.p, (size_t)dot);
        rest = str_from_off(rest, (size_t)dot + 1);
        if (part.n == 0 || rest.n == 0 || !str_copyz(part, name, sizeof(name)))
            return fault_set(f, CLI_USAGE, "\"%.*s\" is not the name of a property", STR_FMT(key));
        sub = json_object_get(o, name);
        if (!json_is_object(sub)) {
            sub = json_object();
            json_object_set_new(o, name, sub);
        }
        o = sub;
    }
    if (rest.n == 0 || !str_copyz(rest, name, sizeof(name)))
        return fault_set(f, CLI_USAGE, "\"%.*s\" is not the name of a property", STR_FMT(key));
    json_object_set_new(o, name, value_of(val, typed));
    return CLI_OK;
}

static int
merge_json(json_t *o, const char *text, struct fault *f)
{
    struct err e = { .code = 0 };
    json_t    *j = NULL;

    if (json_read(str_z(text), &j, &e) < 0)
        return fault_set(f, CLI_USAGE, "not valid JSON: %s", e.text);
    json_object_update_recursive(o, j);
    json_decref(j);
    return CLI_OK;
}

int
kv_read(json_t *o, int n, const char *const *words, bool typed, struct fault *f)
{
    int rc = CLI_OK;

    for (int i = 0; i < n && rc == CLI_OK; i++) {
        const char *eq = strchr(words[i], '=');

        if (words[i][0] == '{')
            rc = merge_json(o, words[i], f);
        else if (eq != NULL)
            rc = set_at(o, str_from(words[i], (size_t)(eq - words[i])), eq + 1, typed, f);
        else if (i + 1 < n) {
            rc = set_at(o, str_z(words[i]), words[i + 1], typed, f);
            i++;
        } else
            rc = fault_set(f, CLI_USAGE, "\"%s\": expecting KEY=VALUE, KEY VALUE or JSON", words[i]);
    }
    return rc;
}

int
kv_read_line(json_t *o, const char *line, struct fault *f)
{
    struct str rest = str_z(line), w;
    int        rc = CLI_OK;

    if (str_trim(rest).n > 0 && str_trim(rest).p[0] == '{')
        return merge_json(o, line, f);
    while (rc == CLI_OK && str_split(&rest, ' ', &w)) {
        auto_free char *word = xstrndup(w.n > 0 ? w.p : "", w.n);
        const char     *one = word;

        if (w.n > 0)
            rc = kv_read(o, 1, &one, true, f);
    }
    return rc;
}

/* clang-format off */
static const struct {
    const char *typed, *wire;
} access_words[] = {
    { "ro", "771" },                  /* GET, HEAD-OBJECT, HEAD-BUCKET, LIST-OBJECTS */
    { "rw", "831" },                  /* and PUT, APPEND, DELETE-OBJECT, MOVE-OBJECT */
    { "su", "18446744073709551615" }, /* everything, also what comes later */
};
/* clang-format on */

/* 64-bit flags travel in strings. */
static void
as_digits(json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    char          digits[24];

    if (!json_is_integer(v))
        return;
    snprintf(digits, sizeof(digits), "%lld", (long long)json_integer_value(v));
    json_object_set_new(o, key, json_string(digits));
}

static int
backend_of(json_t *o, struct fault *f)
{
    const char *typed = json_string_value(json_object_get(o, "backend_bck"));
    struct uri  u;

    if (typed == NULL)
        return CLI_OK;
    if (typed[0] == '\0' || strcmp(typed, "none") == 0) {
        json_object_set_new(o, "backend_bck", json_pack("{s:s,s:s}", "name", "", "provider", ""));
        return CLI_OK;
    }
    if (uri_parse(typed, URI_BUCKET, &u, f) != CLI_OK)
        return CLI_USAGE;
    json_object_set_new(o, "backend_bck", json_pack("{s:s%,s:s}", "name", u.bucket.p, u.bucket.n, "provider", u.provider));
    return CLI_OK;
}

int
kv_bucket(json_t *o, struct fault *f)
{
    const char *acc = json_string_value(json_object_get(o, "access"));

    for (size_t i = 0; acc != NULL && i < ARRAY_SIZE(access_words); i++)
        if (strcmp(acc, access_words[i].typed) == 0) {
            json_object_set_new(o, "access", json_string(access_words[i].wire));
            break;
        }
    as_digits(o, "access");
    as_digits(o, "features");
    return backend_of(o, f);
}

/* --- showing --- */

static bool
is_below(const char *name, const char *below)
{
    size_t n = strlen(below);

    return strncmp(name, below, n) == 0 && (n == 0 || below[n - 1] == '.' || name[n] == '\0' || name[n] == '.');
}

static const char *
leaf_text(struct ctx *c, const json_t *v)
{
    auto_free char *s = NULL;

    if (json_is_string(v))
        return arena_strdup(c->mem, str_z(json_string_value(v)));
    s = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    return arena_strdup(c->mem, str_z(s));
}

static size_t
rows_of(struct table *t, struct ctx *c, const char *prefix, const json_t *doc, const char *below)
{
    const char *k;
    json_t     *v, *o = json_incref((json_t *)(uintptr_t)doc);
    size_t      n = 0;

    json_object_foreach(o, k, v)
    {
        const char *name = out_fmt(c, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", k);

        if (json_is_object(v) && json_object_size(v) > 0) {
            n += rows_of(t, c, name, v, below);
        } else if (is_below(name, below)) {
            ROW(t, name, leaf_text(c, v));
            n++;
        }
    }
    json_decref(o);
    return n;
}

size_t
kv_rows(struct table *t, struct ctx *c, const json_t *doc, const char *below)
{
    return rows_of(t, c, "", doc, below);
}

json_t *
kv_find(json_t *doc, const char *path)
{
    struct str rest = str_z(path), part;
    char       name[256];

    while (doc != NULL && str_split(&rest, '.', &part))
        doc = str_copyz(part, name, sizeof(name)) ? json_object_get(doc, name) : NULL;
    return doc;
}
