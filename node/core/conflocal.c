/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of this node alone, on top of the cluster's configuration: persistent ones in AIStore's .ais.override_config, transient ones
 * in memory until the node stops.
 *
 * Whatever form a setting comes in, it is first applied to a copy of the configuration; what is kept is that copy's own JSON for the
 * members named, so that the layer is always well-formed.
 *
 * Runs on: fibers. May park.
 */
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "core/core_impl.h"

#include "codec/jw.h"
#include "codec/url.h"
#include "run/disk.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"

#define OVERRIDE_FILE ".ais.override_config"

static json_t *
conf_tree(const struct cluster_conf *c)
{
    struct sbuf b;
    struct jw   w;
    json_t     *j = NULL;

    sbuf_init(&b, 1 * MIB);
    jw_init(&w, &b, 0);
    conf_json(c, &w);
    if (sbuf_ok(&b))
        (void)json_read(sbuf_str(&b), &j, NULL);
    sbuf_fini(&b);
    return j;
}

/* May every leaf under `toset` be set here? key: the dotted path so far. */
static int
scope_check(const json_t *toset, const char *key, bool node_only, bool transient, struct err *e)
{
    const char *name;
    json_t     *v;
    int         rc = 0;

    if (!json_is_object(toset))
        return conf_check_scope(str_z(key), node_only, transient, e);
    json_object_foreach((json_t *)(uintptr_t)toset, name, v)
    {
        auto_free char *sub = key[0] == '\0' ? xstrdup(name) : xasprintf("%s.%s", key, name);

        rc = scope_check(v, sub, node_only, transient, e);
        if (rc < 0)
            break;
    }
    return rc;
}

/* Copy from tree into layer what toset names. */
static void
layer_fill(json_t *layer, const json_t *toset, const json_t *tree)
{
    const char *name;
    json_t     *v;

    json_object_foreach((json_t *)(uintptr_t)toset, name, v)
    {
        json_t *src = json_get_fold(tree, name);
        json_t *dst = json_object_get(layer, name);

        if (!json_is_object(v) || !json_is_object(src)) {
            json_object_set(layer, name, src != NULL ? src : v);
            continue;
        }
        if (!json_is_object(dst)) {
            dst = json_object();
            json_object_set_new(layer, name, dst);
        }
        layer_fill(dst, v, src);
    }
}

static int
override_store(struct node *n, const json_t *layer)
{
    auto_free char *path = xasprintf("%s/%s", nodecfg_confdir(n), OVERRIDE_FILE);
    auto_free char *text = json_dumps(layer, JSON_COMPACT);

    return text == NULL ? -AIS_E_NOMEM : jsp_store(path, str_z(text), JSP_META_CONF);
}

/* A new layer in place of the old one (taken). */
static void
layer_set(struct node *n, bool transient, json_t *layer)
{
    struct member *m = n->member;
    json_t       **slot = transient ? &m->conf_transient : &m->conf_override, *old;

    MUST(pthread_mutex_lock(&m->mtx));
    old = *slot;
    *slot = layer;
    MUST(pthread_mutex_unlock(&m->mtx));
    json_decref(old);
}

static json_t *
layer_copy(struct node *n, bool transient)
{
    struct member *m = n->member;
    json_t        *l;

    MUST(pthread_mutex_lock(&m->mtx));
    l = json_deep_copy(transient ? m->conf_transient : m->conf_override);
    MUST(pthread_mutex_unlock(&m->mtx));
    return l != NULL ? l : json_object();
}

int
conf_local_set(struct node *n, const json_t *toset, bool transient, bool node_only, struct err *e)
{
    struct mset         *cur = member_cur(n);
    struct cluster_conf *c = NULL, *eff;
    json_t              *tree = NULL, *layer = NULL;
    int                  rc = scope_check(toset, "", node_only, transient, e);

    if (rc < 0)
        goto out;
    eff = conf_effective(n, cur);
    c = conf_copy(eff);
    conf_put(eff);
    rc = conf_merge_json(c, toset, false, e);
    if (rc == 0)
        rc = conf_validate(c, e);
    if (rc < 0)
        goto out;
    tree = conf_tree(c);
    layer = layer_copy(n, transient);
    layer_fill(layer, toset, tree);
    rc = transient ? 0 : override_store(n, layer);
    if (rc < 0) {
        err_set(e, -rc, "%s: %s", OVERRIDE_FILE, err_text(rc));
        json_decref(layer);
        goto out;
    }
    layer_set(n, transient, layer);
    rc = adopt_conf_again(n);
out:
    conf_put(c);
    json_decref(tree);
    mset_put(cur);
    return rc;
}

int
conf_local_reset(struct node *n, struct err *e)
{
    auto_free char *path = xasprintf("%s/%s", nodecfg_confdir(n), OVERRIDE_FILE);
    int             rc = disk_unlink(path);

    if (rc < 0 && rc != -AIS_E_NOENT)
        return err_set(e, -rc, "%s: %s", path, err_text(rc));
    layer_set(n, false, NULL);
    layer_set(n, true, NULL);
    return adopt_conf_again(n);
}

void
conf_local_load(struct node *n)
{
    auto_free char *path = xasprintf("%s/%s", nodecfg_confdir(n), OVERRIDE_FILE), *text = NULL;
    json_t         *j = NULL;
    size_t          len = 0;
    struct err      e;
    int             rc = jsp_load(path, &text, &len);

    if (rc == -AIS_E_NOENT)
        return;
    err_clear(&e);
    if (rc == 0)
        rc = json_read(str_from(text, len), &j, &e);
    if (rc < 0 || !json_is_object(j)) {
        log_error("settings of this node alone cannot be read", { "file", LZ(path) }, { "error", LZ(err_text(rc)) });
        json_decref(j);
        return;
    }
    layer_set(n, false, j);
}

/* --- ?section.key=value&... --- */
static void
toset_put(json_t *root, struct str dotted, json_t *value)
{
    json_t    *at = root;
    struct str item;

    while (str_split(&dotted, '.', &item)) {
        json_t *next;

        if (dotted.p == NULL || dotted.n == 0) {
            json_object_setn_new(at, item.p, item.n, value);
            return;
        }
        next = json_object_getn(at, item.p, item.n);
        if (!json_is_object(next)) {
            next = json_object();
            json_object_setn_new(at, item.p, item.n, next);
        }
        at = next;
    }
    json_decref(value);
}

static json_t *
tree_get(const json_t *tree, struct str dotted)
{
    struct str item;
    char       key[128];

    while (tree != NULL && str_split(&dotted, '.', &item)) {
        if (!str_copyz(item, key, sizeof(key)))
            return NULL;
        tree = json_get_fold(tree, key);
    }
    return (json_t *)(uintptr_t)tree;
}

/* One pair: applied to *c, and into toset as c's JSON has it then. */
static int
toset_pair(struct cluster_conf *c, struct str key, struct str value, json_t *toset, struct err *e)
{
    json_t *tree, *v;
    int     rc = conf_set(c, key, value, e);

    if (rc < 0)
        return rc;
    tree = conf_tree(c);
    v = tree_get(tree, key);
    toset_put(toset, key, v != NULL ? json_incref(v) : json_stringn(value.p, value.n));
    json_decref(tree);
    return 0;
}

int
req_conf_toset(struct req *r, json_t **toset, bool *transient, struct err *e)
{
    struct cluster_conf *c = conf_copy(req_views(r)->conf);
    struct str           rest = r->query_raw, k, v;
    json_t              *out = json_object();
    unsigned             pairs = 0;
    int                  rc = 0;

    *transient = false;
    while (rc == 0 && rest.n > 0 && url_query_next(&rest, &k, &v)) {
        struct str key, value;
        char      *p;
        size_t     i;

        rc = url_decode_arena(r->arena, k, true, &key);
        if (rc == 0)
            rc = url_decode_arena(r->arena, v, true, &value);
        if (rc < 0)
            break;
        p = arena_strdup(r->arena, key);
        for (i = 0; p != NULL && i < key.n; i++)
            p[i] = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) : p[i];
        key.p = p;
        if (str_eqz(key, "transient"))
            *transient = str_query_bool(value);
        else if (p != NULL && (rc = toset_pair(c, key, value, out, e)) == 0)
            pairs++;
    }
    if (rc == 0 && pairs == 0)
        rc = err_set(e, AIS_E_BADREQ, "invalid query \"%.*s\": no configuration keys to set", STR_FMT(r->query_raw));
    conf_put(c);
    if (rc < 0) {
        json_decref(out);
        return err_fill(e, rc);
    }
    *toset = out;
    return 0;
}

int
conf_local_custom(struct node *n, const struct cluster_conf *base, const char *pairs, bool transient, struct err *e)
{
    struct cluster_conf *c = conf_copy(base);
    json_t              *layer = layer_copy(n, transient);
    struct str           rest = str_z(pairs), pair;
    int                  rc = 0;

    while (rc == 0 && rest.n > 0 && str_split(&rest, ',', &pair)) {
        ptrdiff_t eq = str_chr(pair, '=');

        if (pair.n == 0)
            continue;
        if (eq <= 0)
            rc = err_set(e, AIS_E_INVAL, "-config_custom: \"%.*s\" is not key=value", STR_FMT(pair));
        else
            rc = toset_pair(c, str_from(pair.p, (size_t)eq), str_from_off(pair, (size_t)eq + 1), layer, e);
    }
    if (rc == 0)
        rc = conf_validate(c, e);
    if (rc == 0 && !transient)
        rc = override_store(n, layer);
    conf_put(c);
    if (rc < 0) {
        json_decref(layer);
        return err_fill(e, rc);
    }
    layer_set(n, transient, layer);
    return 0;
}
