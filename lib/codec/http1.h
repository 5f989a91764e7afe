/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 message heads and chunked bodies: bytes in, structures out. No I/O, no allocation.
 *
 * Strict: what could be read in two ways is refused (RFC 9112): Content-Length beside Transfer-Encoding, a second
 * Content-Length (even an equal one) or a list, obs-fold, bare LF, whitespace before the colon, NUL and control bytes, an HTTP
 * version other than 1.0/1.1, Transfer-Encoding other than exactly "chunked" or in 1.0, missing or repeated Host in 1.1, odd
 * bytes in Host, a fragment in the target.
 * All strs point into the caller's buffer (or to constants). A struct http1_head needs no initialisation. Threads: any.
 */
#ifndef CODEC_HTTP1_H
#define CODEC_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* clang-format off */
enum method { M_GET, M_HEAD, M_PUT, M_POST, M_DELETE, M_PATCH, M_OPTIONS, M_OTHER };
/* clang-format on */
const char *method_name(enum method m);

#define HTTP1_MAX_HDRS 128

struct hdr {
    struct str name, value; /* value trimmed */
};

enum http1_body { HTTP1_NONE, HTTP1_LENGTH, HTTP1_CHUNKED, HTTP1_TO_EOF /* responses only */ };

/* The headers that every request is asked for, found while parsing; absent = {NULL, 0}. */
struct http1_head {
    enum method     method;      /* requests */
    struct str      method_text;
    struct str      target;      /* requests: as sent, "/path?query" (absolute-form is reduced to it), "*" */
    int             status;      /* responses */
    struct str      reason;
    int             minor;       /* HTTP/1.minor */
    bool            keep_alive;  /* by version and Connection */
    bool            expect_100;
    enum http1_body body;
    uint64_t        content_length; /* of the field, 0 when absent; the body's when body is HTTP1_LENGTH (also for 0) */
    struct str      host, content_type, accept, range, user_agent, authorization;
    unsigned        nhdrs;
    struct hdr      hdrs[HTTP1_MAX_HDRS];
};

/*
 * Parse a request head at p. Returns the bytes used by the head (> 0), 0 when more bytes are needed, or a negative code:
 * -AIS_E_BADHTTP, -AIS_E_HEADTOOBIG (more than HTTP1_MAX_HDRS fields), -AIS_E_NOTIMPL (transfer coding). Restartable: the
 * caller passes the whole head again with more bytes; *scan (0 at first) remembers where the search for the end stopped.
 */
int http1_parse_req(const char *p, size_t n, size_t *scan, struct http1_head *h);
/* A response head; is_head: the request was HEAD (then there is no body). */
int http1_parse_resp(const char *p, size_t n, size_t *scan, bool is_head, struct http1_head *h);

/* First header of that name (case-insensitive) or {NULL,0}. */
struct str http1_hdr(const struct http1_head *h, struct str name);
/* Next one after index *it (start with 0); false at the end. For repeatable headers. */
bool http1_hdr_next(const struct http1_head *h, struct str name, unsigned *it, struct str *value);

/*
 * Chunked decoding, incremental and in place: http1_chunk_decode consumes bytes of p and moves body bytes to its front.
 * *used: input bytes consumed; *out: body bytes now at p[0..*out). Returns 1 when the last chunk and the trailers ended,
 * 0 for more input, or -AIS_E_BADHTTP. Chunk extensions are ignored, trailers dropped; both are bounded (4 KiB).
 */
struct http1_chunk {
    uint8_t  state;  /* all zero to begin with */
    uint8_t  digits; /* of the present chunk's size */
    uint32_t extra;  /* bytes of extensions and trailers seen in the whole body */
    uint64_t left;   /* bytes of the present chunk still to come */
};
int http1_chunk_decode(struct http1_chunk *c, char *p, size_t n, size_t *used, size_t *out);
/* "1a2b\r\n" into out[20]; the length. */
size_t http1_chunk_head(uint64_t n, char *out);

/*
 * Range header (native-api.md 4.2): one range only.
 * Returns 0 with [*off, *off + *len) inside size; -AIS_E_RANGE for unsatisfiable, malformed or several ranges.
 */
int http1_range(struct str value, uint64_t size, uint64_t *off, uint64_t *len);

/* Does a comma-separated list header contain the media type (parameters ignored, case-insensitive)? */
bool http1_accepts(struct str list, struct str media_type);
const char *http1_reason(int status);

#endif
