/* SPDX-License-Identifier: Apache-2.0 */
/* URLs: percent coding, queries, "http://host:port/path". Pure; threads: any. native-api.md 1.1. */
#ifndef CODEC_URL_H
#define CODEC_URL_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/sbuf.h"
#include "base/str.h"

/* Percent-decode into out (at least s.n bytes); plus: '+' is a space. Returns the length, or -1 for a malformed escape. */
ptrdiff_t url_decode(struct str s, bool plus, char *out);
/* Decoded copy in the arena; *out points into s when nothing is encoded. 0, -AIS_E_BADREQ, -AIS_E_TOOBIG. */
int url_decode_arena(struct arena *a, struct str s, bool plus, struct str *out);

/* Append percent-encoded: path keeps "/" and RFC 3986 pchar; query encodes as Go's url.QueryEscape does (space is '+'). */
void url_encode_path(struct sbuf *b, struct str s);
void url_encode_query(struct sbuf *b, struct str s);

/* Iterate "a=b&c" raw (still encoded): *rest is consumed. False at the end. Empty pairs are skipped. */
bool url_query_next(struct str *rest, struct str *key, struct str *val);

struct url {
    bool       https;
    struct str host;   /* without brackets for IPv6 */
    uint16_t   port;   /* default by scheme when absent */
    struct str path;   /* "/..." or empty */
    struct str query;
};
/* "http://h:8080/p?q" or, without a scheme, "h:8080". 0 or -AIS_E_INVAL. */
int url_parse(struct str s, struct url *u);

#endif
