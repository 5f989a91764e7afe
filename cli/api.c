/* SPDX-License-Identifier: Apache-2.0 */
/* What commands ask the cluster for: see api.h. Wire: native-api.md 2.2, 3.9, 5. */
#include "cli/api.h"

#include "base/util.h"
#include "codec/jw.h"
#include "codec/url.h"

#define PATH_MAX_BYTES (64 * KIB)

int
api_json(struct session *s, const struct http_req *q, struct http_resp *r, json_t **j, struct fault *f)
{
    int rc = http_do(s, q, r, f);

    if (rc != CLI_OK)
        return rc;
    if (json_read(sbuf_str(&r->body), j, NULL) < 0)
        return fault_set(f, CLI_FAILED, "%s answered something that is not JSON: is an AIStore proxy there?", session_endpoint());
    return CLI_OK;
}

int
api_get(struct session *s, const char *path, struct http_resp *r, json_t **j, struct fault *f)
{
    return api_json(s, &(struct http_req){ .method = "GET", .path = path }, r, j, f);
}

/* The buffer's text in the arena; the buffer is freed. */
static const char *
keep(struct arena *mem, struct sbuf *b)
{
    const char *p = arena_strdup(mem, sbuf_str(b));

    sbuf_fini(b);
    return p;
}

const char *
api_action(struct arena *mem, const char *name, const char *value)
{
    struct sbuf b;
    struct jw   w;

    sbuf_init(&b, 16 * MIB);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    jw_kstrz(&w, "action", name);
    jw_key(&w, "value");
    if (value != NULL)
        jw_raw(&w, str_z(value));
    else
        jw_null(&w);
    jw_obj_end(&w);
    return keep(mem, &b);
}

const char *
api_bck_path(struct session *s, const struct uri *u)
{
    struct sbuf b;

    sbuf_init(&b, PATH_MAX_BYTES);
    uri_put_path(&b, "buckets", u, false);
    return keep(s->mem, &b);
}

const char *
api_obj_path(struct session *s, const struct uri *u, struct str obj)
{
    struct uri  o = *u;
    struct sbuf b;

    o.object = obj;
    sbuf_init(&b, PATH_MAX_BYTES);
    uri_put_path(&b, "objects", &o, true);
    return keep(s->mem, &b);
}

const char *
api_uri(struct arena *mem, const struct uri *u)
{
    struct sbuf b;

    sbuf_init(&b, PATH_MAX_BYTES);
    uri_put(&b, u);
    return keep(mem, &b);
}

uint64_t
get_u64(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    uint64_t      n = 0;

    if (json_is_real(v))
        return (uint64_t)json_real_value(v);
    return json_u64(v, &n) ? n : 0;
}

const char *
get_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s != NULL ? s : "";
}

/* --- nodes --- */

int
api_smap(struct ctx *c, json_t **smap, struct fault *f)
{
    auto_resp struct http_resp r = { .status = 0 };

    return api_get(c->s, "/v1/daemon?what=smap", &r, smap, f);
}

/* Also for "t[ID]": the part between brackets. */
static const char *
bare_id(struct arena *mem, const char *typed)
{
    const char *open = strchr(typed, '['), *id = open != NULL ? open + 1 : typed;

    return arena_strdup(mem, str_from(id, strcspn(id, "]")));
}

int
api_node(struct ctx *c, const char *typed, const char **id, bool *is_target, struct fault *f)
{
    auto_json json_t *m = NULL;
    bool              target, proxy;
    int               rc;

    *id = bare_id(c->mem, typed);
    rc = api_smap(c, &m, f);
    if (rc != CLI_OK)
        return rc;
    target = json_object_get(json_object_get(m, "tmap"), *id) != NULL;
    proxy = json_object_get(json_object_get(m, "pmap"), *id) != NULL;
    if (is_target != NULL)
        *is_target = target;
    if (target || proxy)
        return CLI_OK;
    return fault_set(f, CLI_NOTFOUND, "node \"%s\" is not in the cluster ('ais show cluster' lists them)", typed);
}

int
api_at_node(struct session *s, const char *id, struct http_req *q, const char *path, struct http_resp *r, struct fault *f)
{
    unsigned i = 0;

    while (q->hdr[i] != NULL)
        i++;
    q->hdr[i] = arena_printf(s->mem, "Ais-Node-Id: %s", id).p;
    q->path = arena_printf(s->mem, "/v1/reverse/%s", path).p;
    return http_do(s, q, r, f);
}

/* --- listing --- */

static void
list_msg(struct sbuf *b, const struct lister *l)
{
    struct jw w;

    jw_init(&w, b, 0);
    jw_obj(&w);
    jw_kstrz(&w, "uuid", l->uuid != NULL ? l->uuid : "");
    jw_kstrz(&w, "props", l->props);
    jw_kstrz(&w, "prefix", l->prefix != NULL ? l->prefix : "");
    if (l->start_after != NULL)
        jw_kstrz(&w, "start_after", l->start_after);
    jw_kstrz(&w, "continuation_token", l->token != NULL ? l->token : "");
    jw_ku64s(&w, "flags", l->flags);
    jw_ku64(&w, "pagesize", l->page);
    jw_obj_end(&w);
}

int
list_next(struct session *s, struct lister *l, json_t **page, struct fault *f)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct http_req            q = { .method = "GET", .path = api_bck_path(s, l->u), .hdr = { "Accept: application/json" } };
    struct sbuf                msg;
    int                        rc;

    sbuf_init(&msg, 1 * MIB);
    list_msg(&msg, l);
    q.body = api_action(s->mem, "list", sbuf_ok(&msg) ? msg.p : NULL);
    sbuf_fini(&msg);
    rc = api_json(s, &q, &r, page, f);
    if (rc != CLI_OK)
        return rc;
    free(l->token);
    free(l->uuid);
    l->token = xstrdup(get_text(*page, "continuation_token"));
    l->uuid = xstrdup(get_text(*page, "uuid"));
    l->done = l->token[0] == '\0';
    return CLI_OK;
}

void
list_fini(struct lister *l)
{
    free(l->token);
    free(l->uuid);
    l->token = l->uuid = NULL;
}
