/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What commands ask the cluster for: JSON documents, nodes, pages of listings. All return 0 or a cli_exit with text.
 */
#ifndef CLI_API_H
#define CLI_API_H

#include <jansson.h>

#include "cli/cmd.h"
#include "cli/session.h"
#include "cli/uri.h"

static inline void
json_unref(json_t **j)
{
    json_decref(*j);
    *j = NULL;
}
#define auto_json __attribute__((cleanup(json_unref)))

/* The answer parsed; r (not NULL) keeps its text. */
int api_json(struct session *s, const struct http_req *q, struct http_resp *r, json_t **j, struct fault *f);
int api_get(struct session *s, const char *path, struct http_resp *r, json_t **j, struct fault *f);
/* {"action": name, "value": value}; value: JSON text or NULL. In mem. */
const char *api_action(struct arena *mem, const char *name, const char *value);
const char *api_bck_path(struct session *s, const struct uri *u);                 /* "/v1/buckets/B?..." */
const char *api_obj_path(struct session *s, const struct uri *u, struct str obj); /* "/v1/objects/B/obj?..." */
const char *api_uri(struct arena *mem, const struct uri *u);                      /* for people */

/* Members of answers: missing is 0 and "". */
uint64_t    get_u64(const json_t *o, const char *key);
const char *get_text(const json_t *o, const char *key);

/* --- nodes --- */
int api_smap(struct ctx *c, json_t **smap, struct fault *f);
/* "t[ID]", "p[ID]" or "ID" as people type it: the id, when the cluster knows it. is_target may be NULL. */
int api_node(struct ctx *c, const char *typed, const char **id, bool *is_target, struct fault *f);
/* A request to one node through the proxy; path begins with "daemon". */
int api_at_node(struct session *s, const char *id, struct http_req *q, const char *path, struct http_resp *r, struct fault *f);

/* --- listing --- */
#define LS_CACHED      (1u << 0)
#define LS_NAME_ONLY   (1u << 4)
#define LS_NAME_SIZE   (1u << 5)
#define LS_NO_RECURSE  (1u << 11)
#define LS_NO_DIRS     (1u << 13)
#define LS_ENT_DIR     (1u << 8) /* flags of an entry */
#define LS_ENT_CACHED  (1u << 6)
#define LS_ENT_CHUNKED (1u << 13)

struct lister {
    const struct uri *u;
    const char       *prefix, *props, *start_after;
    uint64_t          flags, page;
    char             *token, *uuid; /* heap */
    bool              done;
};
int  list_next(struct session *s, struct lister *l, json_t **page, struct fault *f);
void list_fini(struct lister *l);

#endif
