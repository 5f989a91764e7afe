/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "KEY=VALUE KEY VALUE {json}": properties and configuration as people type them, and documents flattened for people to read. Pure.
 */
#ifndef CLI_KV_H
#define CLI_KV_H

#include <jansson.h>

#include "cli/fault.h"
#include "cli/out.h"

/*
 * Add n words to the object *o: "a.b=c" and "a.b" "c" become {"a":{"b":c}}, a word that begins with '{' is merged. Values that look
 * like numbers and booleans become such. typed=false keeps all values as strings and dots in keys (custom metadata).
 */
int kv_read(json_t *o, int n, const char *const *words, bool typed, struct fault *f);
/* "mirror.enabled=true mirror.copies=2" in one word, or JSON. */
int kv_read_line(json_t *o, const char *line, struct fault *f);
/* "access" (ro, rw, su) and "backend_bck" (gs://b, none) of bucket properties, as the wire wants them. */
int kv_bucket(json_t *o, struct fault *f);

/* Leaves of a document as rows "a.b" "value" below the given prefix ("a" and "a.b", not "ab"); "" = all. Returns the number of rows. */
size_t kv_rows(struct table *t, struct ctx *c, const json_t *doc, const char *below);
/* The node of the document that a dotted path leads to; NULL. Borrowed. */
json_t *kv_find(json_t *doc, const char *path);

#endif
