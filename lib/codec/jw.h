/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON writer: text is built straight into an sbuf, commas by itself, no tree. Reading JSON is jansson's.
 *
 * As Go's encoder with HTML escaping off: UTF-8 passes through, invalid bytes become U+FFFD, control bytes are \u00XX.
 */
#ifndef CODEC_JW_H
#define CODEC_JW_H

#include <stdint.h>

#include "base/sbuf.h"

struct jw {
    struct sbuf *b;
    unsigned     depth;
    unsigned     indent; /* spaces a level; 0 = compact */
    bool         comma;  /* something was written at this level */
    bool         after_key;
};

void jw_init(struct jw *w, struct sbuf *b, unsigned indent);
void jw_obj(struct jw *w);      /* { */
void jw_obj_end(struct jw *w);  /* } */
void jw_arr(struct jw *w);      /* [ */
void jw_arr_end(struct jw *w);  /* ] */
void jw_key(struct jw *w, const char *key);
void jw_keys(struct jw *w, struct str key);
void jw_str(struct jw *w, struct str s);
void jw_strz(struct jw *w, const char *z);
void jw_u64(struct jw *w, uint64_t v);
void jw_i64(struct jw *w, int64_t v);
void jw_u64s(struct jw *w, uint64_t v); /* "123": AIStore's 64-bit integers in strings */
void jw_i64s(struct jw *w, int64_t v);
void jw_f64(struct jw *w, double v);    /* shortest form that reads back, as Go prints float64 */
void jw_bool(struct jw *w, bool v);
void jw_null(struct jw *w);
void jw_raw(struct jw *w, struct str json); /* a finished value */

/* key and value in one call */
#define jw_kstr(w, k, v)  (jw_key(w, k), jw_str(w, v))
#define jw_kstrz(w, k, v) (jw_key(w, k), jw_strz(w, v))
#define jw_ku64(w, k, v)  (jw_key(w, k), jw_u64(w, v))
#define jw_ki64(w, k, v)  (jw_key(w, k), jw_i64(w, v))
#define jw_ku64s(w, k, v) (jw_key(w, k), jw_u64s(w, v))
#define jw_ki64s(w, k, v) (jw_key(w, k), jw_i64s(w, v))
#define jw_kf64(w, k, v)  (jw_key(w, k), jw_f64(w, v))
#define jw_kbool(w, k, v) (jw_key(w, k), jw_bool(w, v))

/* Append s as a quoted JSON string (for hot paths that build entries themselves). */
void json_quote(struct sbuf *b, struct str s);

/* The same JSON for people, `width` blanks a level, as Go prints it. text: one valid value without blanks between its tokens. */
void json_indent(struct str text, unsigned width, struct sbuf *out);

/*
 * Reading: jansson with our limits (depth, duplicate keys refused, no NUL in keys). *root is new (json_decref by the caller).
 * Any value may stand at the top. Integers from 2^63 to 2^64-1 (id_digest of an Snode), which jansson cannot hold, become
 * strings of their digits: read 64-bit members with json_u64/json_i64. 0, -AIS_E_BADREQ with text and position in e, or
 * -AIS_E_NOMEM.
 */
struct json_t;
struct err;
#define JSON_MAX_DEPTH 128
int json_read(struct str text, struct json_t **root, struct err *e);
/* Member by name, exact first, then ASCII case-insensitively (Go's decoder does so; native-api.md 0). NULL when absent. */
struct json_t *json_get_fold(const struct json_t *obj, const char *key);
/* A 64-bit integer as AIStore writes them, a number or a string of digits. False (out untouched) for anything else and NULL. */
bool json_u64(const struct json_t *v, uint64_t *out);
/* Member `key` of an object when it is a string (borrowed), else {NULL,0}. */
struct str json_text(const struct json_t *obj, const char *key);
bool json_i64(const struct json_t *v, int64_t *out);

#endif
