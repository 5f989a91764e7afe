/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 heads, chunked bodies, ranges: what is understood, and that what has two readings is refused. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/http1.c"
#include "hex.h"

/* Every test parses a copy of exactly the right size on the heap, so that reading past the end shows under
 * AddressSanitizer. */
static int
parse_copy(const char *p, size_t n, struct http1_head *h, char **copy)
{
    size_t scan = 0;

    *copy = copy_of(p, n);
    return http1_parse_req(*copy, n, &scan, h);
}

static int
parse_code(const char *p, size_t n)
{
    struct http1_head h;
    char             *copy;
    int               rc = parse_copy(p, n, &h, &copy);

    free(copy);
    return rc;
}

#define PARSE(s) parse_code("" s, sizeof(s) - 1)

static void
a_plain_get_is_understood(void **state)
{
    static const char t[] = "GET /v1/objects/b/o?provider=ais HTTP/1.1\r\n"
                            "Host: 127.0.0.1:8080\r\n"
                            "User-Agent: aisloader/1.2\r\n"
                            "accept:  application/msgpack \t\r\n"
                            "Range:bytes=0-1\r\n"
                            "AUTHORIZATION: Bearer x\r\n"
                            "Content-Type:\r\n"
                            "X-Long-Value: 0123456789 0123456789 0123456789 \xc3\xbc \xff\r\n"
                            "\r\nnext";
    struct http1_head h;
    size_t            scan = 0;

    (void)state;
    memset(&h, 0xa5, sizeof(h)); /* nothing may depend on what was there */
    assert_int_equal(sizeof(t) - 1 - 4, http1_parse_req(t, sizeof(t) - 1, &scan, &h));
    assert_int_equal(M_GET, h.method);
    assert_str("GET", h.method_text);
    assert_str("/v1/objects/b/o?provider=ais", h.target);
    assert_int_equal(1, h.minor);
    assert_true(h.keep_alive);
    assert_false(h.expect_100);
    assert_int_equal(HTTP1_NONE, h.body);
    assert_int_equal(0, h.content_length);
    assert_str("127.0.0.1:8080", h.host);
    assert_str("aisloader/1.2", h.user_agent);
    assert_str("application/msgpack", h.accept);
    assert_str("bytes=0-1", h.range);
    assert_str("Bearer x", h.authorization);
    assert_str("", h.content_type);
    assert_non_null(h.content_type.p); /* there, and empty */
    assert_int_equal(7, h.nhdrs);
    assert_str("0123456789 0123456789 0123456789 \xc3\xbc \xff", http1_hdr(&h, STR_LIT("x-long-value")));
    assert_null(http1_hdr(&h, STR_LIT("absent")).p);
}

static void
methods_are_case_sensitive_and_others_are_tokens(void **state)
{
    static const struct {
        const char *text;
        enum method method;
    } cases[] = {
        { "GET", M_GET },        { "HEAD", M_HEAD },   { "PUT", M_PUT },         { "POST", M_POST },
        { "DELETE", M_DELETE },  { "PATCH", M_PATCH }, { "OPTIONS", M_OPTIONS }, { "get", M_OTHER },
        { "PROPFIND", M_OTHER }, { "GETT", M_OTHER },  { "Put", M_OTHER },       { "M-SEARCH", M_OTHER },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct http1_head h;
        size_t            scan = 0;
        char              t[128];
        int               n = snprintf(t, sizeof(t), "%s / HTTP/1.1\r\nHost: h\r\n\r\n", cases[i].text);

        assert_int_equal(n, http1_parse_req(t, (size_t)n, &scan, &h));
        assert_int_equal(cases[i].method, h.method);
        assert_str(cases[i].text, h.method_text);
        if (h.method != M_OTHER)
            assert_string_equal(cases[i].text, method_name(h.method));
    }
    assert_string_equal("OTHER", method_name(M_OTHER));
}

static void
what_can_be_read_in_two_ways_is_refused(void **state)
{
#define R "PUT / HTTP/1.1\r\nHost: h\r\n"
    static const struct {
        const char *what, *text;
        size_t      n;
        int         rc;
    } cases[] = {
#define C(what, t, rc) { what, t, sizeof(t) - 1, rc }
        C("length beside chunked", R "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", -AIS_E_BADHTTP),
        C("chunked beside length", R "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", -AIS_E_BADHTTP),
        C("two lengths", R "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", -AIS_E_BADHTTP),
        C("two equal lengths", R "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", -AIS_E_BADHTTP),
        C("list of lengths", R "Content-Length: 5, 5\r\n\r\n", -AIS_E_BADHTTP),
        C("length with plus", R "Content-Length: +5\r\n\r\n", -AIS_E_BADHTTP),
        C("negative length", R "Content-Length: -5\r\n\r\n", -AIS_E_BADHTTP),
        C("hex length", R "Content-Length: 0x5\r\n\r\n", -AIS_E_BADHTTP),
        C("length with blank inside", R "Content-Length: 5 5\r\n\r\n", -AIS_E_BADHTTP),
        C("empty length", R "Content-Length:\r\n\r\n", -AIS_E_BADHTTP),
        C("length over 63 bits", R "Content-Length: 9223372036854775808\r\n\r\n", -AIS_E_BADHTTP),
        C("length over 64 bits", R "Content-Length: 18446744073709551617\r\n\r\n", -AIS_E_BADHTTP),
        C("two transfer encodings", R "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
          -AIS_E_BADHTTP),
        C("other coding", R "Transfer-Encoding: gzip\r\n\r\n", -AIS_E_NOTIMPL),
        C("coding list", R "Transfer-Encoding: gzip, chunked\r\n\r\n", -AIS_E_NOTIMPL),
        C("chunked twice", R "Transfer-Encoding: chunked, chunked\r\n\r\n", -AIS_E_NOTIMPL),
        C("identity", R "Transfer-Encoding: identity\r\n\r\n", -AIS_E_NOTIMPL),
        C("chunked with a parameter", R "Transfer-Encoding: chunked;x\r\n\r\n", -AIS_E_NOTIMPL),
        C("vertical tab in coding",
          R "Transfer-Encoding: \x0b"
            "chunked\r\n\r\n",
          -AIS_E_BADHTTP),
        C("chunked in 1.0", "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", -AIS_E_BADHTTP),
        C("folded field", R "X: a\r\n b\r\n\r\n", -AIS_E_BADHTTP),
        C("folded by tab", R "X: a\r\n\tb\r\n\r\n", -AIS_E_BADHTTP),
        C("blank line of blanks", R " \r\n\r\n", -AIS_E_BADHTTP),
        C("bare LF after field", R "X: a\n\r\n", -AIS_E_BADHTTP),
        C("bare LF at the end", R "X: a\r\n\n", -AIS_E_BADHTTP),
        C("bare LF after request line", "GET / HTTP/1.1\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("bare CR in value", R "X: a\rb\r\n\r\n", -AIS_E_BADHTTP),
        C("CR CR LF", R "X: a\r\r\n\r\n", -AIS_E_BADHTTP),
        C("CR in place of empty line", R "\rX: a\r\n\r\n", -AIS_E_BADHTTP),
        C("blank before colon", R "X : a\r\n\r\n", -AIS_E_BADHTTP),
        C("tab before colon", R "X\t: a\r\n\r\n", -AIS_E_BADHTTP),
        C("length with blank before colon", R "Content-Length : 5\r\n\r\n", -AIS_E_BADHTTP),
        C("no colon", R "X\r\n\r\n", -AIS_E_BADHTTP),
        C("no name", R ": a\r\n\r\n", -AIS_E_BADHTTP),
        C("name with control", R "X\x01: a\r\n\r\n", -AIS_E_BADHTTP),
        C("name with UTF-8", R "X\xc3\xbc: a\r\n\r\n", -AIS_E_BADHTTP),
        C("name with parenthesis", R "X(: a\r\n\r\n", -AIS_E_BADHTTP),
        C("control in value", R "X: a\x01\r\n\r\n", -AIS_E_BADHTTP),
        C("DEL in value", R "X: a\x7f\r\n\r\n", -AIS_E_BADHTTP),
        C("NUL in value", R "X: a\0b\r\n\r\n", -AIS_E_BADHTTP),
        C("NUL deep in value", R "X: 0123456789abcdef0123456789abcdef\0\r\n\r\n", -AIS_E_BADHTTP),
        C("NUL in name", R "X\0: a\r\n\r\n", -AIS_E_BADHTTP),
        C("NUL in target", "GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("control in target", "GET /\x1b HTTP/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("fragment in target", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("blank in target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("two blanks", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("two blanks before version", "GET /  HTTP/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("blank behind version", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("tab in place of blank", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("leading blank", " GET / HTTP/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("HTTP/0.9", "GET /\r\n\r\n", -AIS_E_BADHTTP),
        C("HTTP/2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", -AIS_E_BADHTTP),
        C("HTTP/1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("HTTP/1.10", "GET / HTTP/1.10\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("lower case version", "GET / http/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("no host", "GET / HTTP/1.1\r\n\r\n", -AIS_E_BADHTTP),
        C("two hosts", "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("two hosts in 1.0", "GET / HTTP/1.0\r\nHost: h\r\nHost: i\r\n\r\n", -AIS_E_BADHTTP),
        C("blank in host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", -AIS_E_BADHTTP),
        C("user in host", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", -AIS_E_BADHTTP),
        C("path in host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", -AIS_E_BADHTTP),
        C("list in host", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", -AIS_E_BADHTTP),
        C("relative target", "GET a/b HTTP/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("authority target", "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("star for GET", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("absolute without host", "GET http:///p HTTP/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("absolute with user", "GET http://u@h/p HTTP/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("absolute without path but query", "GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("other scheme", "GET ftp://h/p HTTP/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("bare LF first", "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", -AIS_E_BADHTTP),
        C("TLS hello", "\x16\x03\x01\x02", -AIS_E_BADHTTP),
#undef C
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int rc = parse_code(cases[i].text, cases[i].n);

        if (rc != cases[i].rc)
            fail_msg("%s: %d", cases[i].what, rc);
    }
}

static void
what_is_unusual_but_clear_is_accepted(void **state)
{
    struct http1_head h;
    char             *copy;

    (void)state;
#define OK(t) assert_int_equal(sizeof(t) - 1, parse_copy(t, sizeof(t) - 1, &h, &copy))
    OK("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"); /* one empty line before */
    free(copy);
    OK("GET / HTTP/1.1\r\nHost:\r\n\r\n");
    assert_int_equal(0, h.host.n);
    free(copy);
    OK("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n");
    assert_str("[::1]:8080", h.host);
    free(copy);
    OK("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_str("*", h.target);
    free(copy);
    OK("GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(0, h.minor);
    free(copy);
    OK("GET /\xd0\xba HTTP/1.1\r\nHost: h\r\n\r\n"); /* UTF-8 that a client forgot to encode */
    assert_str("/\xd0\xba", h.target);
    free(copy);
    OK("GET / HTTP/1.1\r\nHost: h\r\nTRANSFER-ENCODING:\t Chunked \t\r\n\r\n");
    assert_int_equal(HTTP1_CHUNKED, h.body);
    free(copy);
    OK("DELETE /b HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n"); /* bodies on GET and DELETE are legal */
    assert_int_equal(HTTP1_LENGTH, h.body);
    assert_int_equal(12, h.content_length);
    free(copy);
    OK("PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(HTTP1_LENGTH, h.body);
    assert_int_equal(0, h.content_length);
    free(copy);
    OK("PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775807\r\n\r\n");
    assert_true(h.content_length == INT64_MAX);
    free(copy);
}

static void
an_absolute_target_is_reduced_and_names_the_host(void **state)
{
    struct http1_head h;
    char             *copy;

    (void)state;
    OK("GET http://a:81/p?q=http://x HTTP/1.1\r\nHost: b\r\n\r\n");
    assert_str("/p?q=http://x", h.target);
    assert_str("a:81", h.host);
    free(copy);
    OK("GET HTTPS://a HTTP/1.1\r\nHost: b\r\n\r\n");
    assert_str("/", h.target);
    assert_str("a", h.host);
    free(copy);
}

static void
the_connection_stays_open_by_version_and_field(void **state)
{
    static const struct {
        const char *text;
        bool        keep;
    } cases[] = {
        { "GET / HTTP/1.1\r\nHost: h\r\n\r\n", true },
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false },
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: TE, Close\r\n\r\n", false },
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, close\r\n\r\n", false },
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n", false },
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n\r\n", true },
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n", true },
        { "GET / HTTP/1.0\r\nHost: h\r\n\r\n", false },
        { "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct http1_head h;
        char             *copy;

        assert_true(parse_copy(cases[i].text, strlen(cases[i].text), &h, &copy) > 0);
        if (h.keep_alive != cases[i].keep)
            fail_msg("%s", cases[i].text);
        free(copy);
    }
}

static void
expect_100_is_seen_in_1_1_only(void **state)
{
    struct http1_head h;
    char             *copy;

    (void)state;
    OK("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n");
    assert_true(h.expect_100);
    free(copy);
    OK("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    assert_false(h.expect_100);
    free(copy);
    OK("PUT / HTTP/1.1\r\nHost: h\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n");
    assert_false(h.expect_100);
    free(copy);
}

static void
a_head_in_pieces_gives_the_same_as_a_whole_one(void **state)
{
    static const char t[] = "\r\nPUT /v1/objects/b/o HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX-A: b\r\n\r\nabc";
    size_t            whole = sizeof(t) - 4;
    struct http1_head h;

    (void)state;
    for (size_t step = 1; step < whole; step++) {
        size_t scan = 0;
        int    rc = 0;

        for (size_t n = 0; rc == 0; n += step) {
            size_t have = MIN(n, sizeof(t) - 1);
            char  *copy = malloc(have + 1); /* the buffer may move between calls */

            memcpy(copy, t, have);
            rc = http1_parse_req(copy, have, &scan, &h);
            assert_true(rc == 0 ? have < whole : have >= whole);
            if (rc > 0)
                assert_str("/v1/objects/b/o", h.target);
            free(copy);
        }
        assert_int_equal(whole, rc);
        assert_int_equal(3, h.content_length);
    }
}

static void
a_bare_LF_in_a_later_piece_is_refused_at_once(void **state)
{
    static const char t[] = "GET / HTTP/1.1\r\nHost: h\r\nX: y\nZ";
    struct http1_head h;
    size_t            scan = 0;

    (void)state;
    assert_int_equal(0, http1_parse_req(t, 28, &scan, &h));
    assert_int_equal(-AIS_E_BADHTTP, http1_parse_req(t, sizeof(t) - 1, &scan, &h));
}

static void
garbage_is_refused_before_the_head_is_complete(void **state)
{
    (void)state;
    assert_int_equal(-AIS_E_BADHTTP, PARSE("\x80\x81"));
    assert_int_equal(-AIS_E_BADHTTP, PARSE("GET / XTTP"));
    assert_int_equal(-AIS_E_BADHTTP, PARSE("GET / HTTP/1.1\r\nHost : "));
    assert_int_equal(0, PARSE("G"));
    assert_int_equal(0, PARSE(""));
    assert_int_equal(0, PARSE("GET / HT"));
}

static void
more_fields_than_fit_are_431(void **state)
{
    char              t[8192];
    struct http1_head h;
    size_t            n = 0, scan = 0;

    (void)state;
    n += (size_t)snprintf(t, sizeof(t), "GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 1; i < HTTP1_MAX_HDRS; i++)
        n += (size_t)snprintf(t + n, sizeof(t) - n, "X-%d: y\r\n", i);
    memcpy(t + n, "\r\n", 2);
    assert_int_equal(n + 2, http1_parse_req(t, n + 2, &scan, &h));
    assert_int_equal(HTTP1_MAX_HDRS, h.nhdrs);
    memcpy(t + n, "X: y\r\n\r\n", 8);
    scan = 0;
    assert_int_equal(-AIS_E_HEADTOOBIG, http1_parse_req(t, n + 8, &scan, &h));
}

static void
a_repeated_field_can_be_walked(void **state)
{
    static const char *const want[] = { "a", "b", "" };
    static const char        t[] = "GET / HTTP/1.1\r\nHost: h\r\nAis-Custom-Md: a\r\nX: y\r\nais-custom-md: b\r\n"
                                   "AIS-CUSTOM-MD:\r\n\r\n";
    struct http1_head        h;
    struct str               v;
    unsigned                 it = 0;
    size_t                   scan = 0;

    (void)state;
    assert_true(http1_parse_req(t, sizeof(t) - 1, &scan, &h) > 0);
    for (size_t i = 0; i < 3; i++) {
        assert_true(http1_hdr_next(&h, STR_LIT("Ais-Custom-Md"), &it, &v));
        assert_str(want[i], v);
    }
    assert_false(http1_hdr_next(&h, STR_LIT("Ais-Custom-Md"), &it, &v));
    assert_false(http1_hdr_next(&h, STR_LIT("Ais-Custom-Md"), &it, &v));
}

/* ---- responses ---- */

static int
parse_resp(const char *t, bool is_head, struct http1_head *h)
{
    size_t scan = 0;

    return http1_parse_resp(t, strlen(t), &scan, is_head, h);
}

static void
a_response_says_how_its_body_ends(void **state)
{
    static const struct {
        const char     *text;
        bool            is_head;
        int             status;
        enum http1_body body;
        bool            keep;
    } cases[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, 200, HTTP1_LENGTH, true },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, 200, HTTP1_NONE, true },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, 200, HTTP1_CHUNKED, true },
        { "HTTP/1.1 200 OK\r\n\r\n", false, 200, HTTP1_TO_EOF, false },
        { "HTTP/1.1 200 OK\r\n\r\n", true, 200, HTTP1_NONE, true },
        { "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false, 200, HTTP1_LENGTH, false },
        { "HTTP/1.1 204 No Content\r\n\r\n", false, 204, HTTP1_NONE, true },
        { "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, 304, HTTP1_NONE, true },
        { "HTTP/1.1 100 Continue\r\n\r\n", false, 100, HTTP1_NONE, true },
        { "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n", false, 101, HTTP1_NONE, true },
        { "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", false, 404, HTTP1_LENGTH, true },
        { "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", false, 404, HTTP1_LENGTH, true },
        { "HTTP/1.1 999 ?\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false, 999, HTTP1_LENGTH, false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct http1_head h;

        assert_int_equal(strlen(cases[i].text), parse_resp(cases[i].text, cases[i].is_head, &h));
        assert_int_equal(cases[i].status, h.status);
        if (h.body != cases[i].body || h.keep_alive != cases[i].keep)
            fail_msg("%s", cases[i].text);
    }
}

static void
the_length_of_a_HEAD_answer_is_kept(void **state)
{
    struct http1_head h;

    (void)state;
    assert_true(parse_resp("HTTP/1.1 200 Fine, thanks\r\nContent-Length: 123\r\n\r\n", true, &h) > 0);
    assert_int_equal(123, h.content_length);
    assert_str("Fine, thanks", h.reason);
}

static void
bad_responses_are_refused(void **state)
{
    static const struct {
        const char *text;
        int         rc;
    } cases[] = {
        { "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n", -AIS_E_BADHTTP },
        { "HTTP/1.1 20 OK\r\n\r\n", -AIS_E_BADHTTP },
        { "HTTP/1.1 2000 OK\r\n\r\n", -AIS_E_BADHTTP },
        { "HTTP/1.1 099 OK\r\n\r\n", -AIS_E_BADHTTP },
        { "HTTP/1.1 -20 OK\r\n\r\n", -AIS_E_BADHTTP },
        { "HTTP/2 200\r\n\r\n", -AIS_E_BADHTTP },
        { "HTTP/1.2 200 OK\r\n\r\n", -AIS_E_BADHTTP },
        { "ICY 200 OK\r\n\r\n", -AIS_E_BADHTTP },
        { "\r\nHTTP/1.1 200 OK\r\n\r\n", -AIS_E_BADHTTP },
        { "HTTP/1.1 200 O\x01K\r\n\r\n", -AIS_E_BADHTTP },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", -AIS_E_BADHTTP },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", -AIS_E_BADHTTP },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", -AIS_E_NOTIMPL },
        { "HTTP/1.1 200 O", 0 },
        { "HTTP/1.1 200 OK\r\nContent-Le", 0 },
        { "HT", 0 },
        { "", 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct http1_head h;

        if (parse_resp(cases[i].text, false, &h) != cases[i].rc)
            fail_msg("%s", cases[i].text);
    }
}

/* ---- chunked ---- */

/* Decode t in pieces of step bytes. The last return code; body and how much input was used. */
static int
dechunk(const char *t, size_t n, size_t step, char *body, size_t *blen, size_t *total)
{
    struct http1_chunk c = { .state = 0 };
    int                rc = 0;

    *blen = *total = 0;
    for (size_t i = 0; i < n && rc == 0; i += step) {
        size_t have = MIN(step, n - i), used, out;
        char  *copy = malloc(have);

        memcpy(copy, t + i, have);
        rc = http1_chunk_decode(&c, copy, have, &used, &out);
        assert_true(used <= have && out <= used);
        memcpy(body + *blen, copy, out);
        *blen += out;
        *total += used;
        free(copy);
        if (rc == 0)
            assert_int_equal(have, used);
    }
    return rc;
}

static void
a_chunked_body_is_the_same_however_it_is_cut(void **state)
{
    static const char t[] = "5\r\nhello\r\n"
                            "0A;name=value;q=\"x y\"\r\n0123456789\r\n"
                            "001\r\n!\r\n"
                            "0\r\nTrailer: x\r\nOther:\r\n\r\nGET /next";
    char              body[64];
    size_t            blen, total;

    (void)state;
    for (size_t step = 1; step <= sizeof(t) - 1; step++) {
        assert_int_equal(1, dechunk(t, sizeof(t) - 1, step, body, &blen, &total));
        assert_int_equal(sizeof(t) - 1 - 9, total);
        assert_int_equal(16, blen);
        assert_memory_equal("hello0123456789!", body, 16);
    }
}

static void
nothing_is_consumed_after_the_last_chunk(void **state)
{
    struct http1_chunk c = { .state = 0 };
    char               t[] = "0\r\n\r\n", more[] = "x";
    size_t             used, out;

    (void)state;
    assert_int_equal(1, http1_chunk_decode(&c, t, 5, &used, &out));
    assert_int_equal(1, http1_chunk_decode(&c, more, 1, &used, &out));
    assert_int_equal(0, used);
    assert_int_equal(0, out);
}

static void
bad_chunks_are_refused(void **state)
{
    static const char *const cases[] = {
        "\r\n",
        ";x\r\n",
        "g\r\n",
        "0x5\r\nhello\r\n",
        "-5\r\n",
        "+5\r\n",
        " 5\r\n",
        "5 \r\nhello\r\n",
        "5\t;x\r\n",
        "5\nhello\r\n",
        "5\rhello\r\n",
        "5;a\nhello\r\n",
        "5;a\x01\r\nhello\r\n",
        "5;a\rb\r\nhello\r\n",
        "5\r\nhello\n",
        "5\r\nhello!\r\n",
        "5\r\nhelloX\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "10000000000000000\r\n",          /* 65 bits */
        "8000000000000000\r\n",           /* the sign bit */
        "00000000000000005\r\nhello\r\n", /* 17 digits */
        "FFFFFFFFFFFFFFFFF\r\n",
        "0\r\n\n",
        "0\r\n\r\r\n",
        "0\r\n folded\r\n\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\nA: \x02\r\n\r\n",
    };
    char   body[64];
    size_t blen, total;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (size_t step = 1; step <= 32; step += 31)
            if (dechunk(cases[i], strlen(cases[i]), step, body, &blen, &total) != -AIS_E_BADHTTP)
                fail_msg("%s", cases[i]);
}

static void
a_chunk_of_63_bits_is_legal(void **state)
{
    struct http1_chunk c = { .state = 0 };
    char               t[] = "7fffffffffffffff\r\nab";
    size_t             used, out;

    (void)state;
    assert_int_equal(0, http1_chunk_decode(&c, t, sizeof(t) - 1, &used, &out));
    assert_int_equal(2, out);
    assert_true(c.left == (uint64_t)INT64_MAX - 2);
}

static void
extensions_and_trailers_are_bounded(void **state)
{
    static char t[16384], body[64];
    size_t      n, blen, total;

    (void)state;
    n = (size_t)snprintf(t, sizeof(t), "1;");
    memset(t + n, 'a', 5000);
    assert_int_equal(-AIS_E_BADHTTP, dechunk(t, n + 5000, sizeof(t), body, &blen, &total));
    n = (size_t)snprintf(t, sizeof(t), "0\r\nA:");
    memset(t + n, 'a', 5000);
    assert_int_equal(-AIS_E_BADHTTP, dechunk(t, n + 5000, sizeof(t), body, &blen, &total));
    for (n = 0; n < 10000;)
        n += (size_t)snprintf(t + n, sizeof(t) - n, "1;%0100d\r\nx\r\n", 0); /* many small ones are too much as well */
    assert_int_equal(-AIS_E_BADHTTP, dechunk(t, n, 1, body, &blen, &total));
}

static void
chunk_heads_are_shortest_hex(void **state)
{
    static const struct {
        uint64_t    n;
        const char *want;
    } cases[] = { { 0, "0\r\n" },
                  { 1, "1\r\n" },
                  { 15, "f\r\n" },
                  { 16, "10\r\n" },
                  { 0x1a2b, "1a2b\r\n" },
                  { 262144, "40000\r\n" },
                  { UINT64_MAX, "ffffffffffffffff\r\n" } };
    char out[20];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t n = http1_chunk_head(cases[i].n, out);

        assert_str(cases[i].want, str_from(out, n));
    }
}

/* ---- values ---- */

static void
ranges_resolve_against_the_size(void **state)
{
    static const struct {
        const char *value;
        uint64_t    size, off, len;
    } cases[] = {
        { "bytes=0-0", 100, 0, 1 },
        { "bytes=0-99", 100, 0, 100 },
        { "bytes=10-19", 100, 10, 10 },
        { "bytes=10-", 100, 10, 90 },
        { "bytes=99-", 100, 99, 1 },
        { "bytes=50-1000", 100, 50, 50 },
        { "bytes=-30", 100, 70, 30 },
        { "bytes=-500", 100, 0, 100 },
        { "Bytes= 5-6 ", 100, 5, 2 },
        { "bytes=0-18446744073709551615", 100, 0, 100 },
        { "bytes=0-99999999999999999999999", 100, 0, 100 },
        { "bytes=-99999999999999999999999", 100, 0, 100 },
        { "bytes=0-", UINT64_MAX, 0, UINT64_MAX },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t off, len;

        if (http1_range(str_z(cases[i].value), cases[i].size, &off, &len) != 0 || off != cases[i].off ||
            len != cases[i].len)
            fail_msg("%s", cases[i].value);
    }
}

static void
bad_several_and_unsatisfiable_ranges_are_416(void **state)
{
    static const char *const cases[] = {
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=-0",
        "bytes=a-b",
        "bytes=1",
        "bytes=5-4",
        "bytes=100-",
        "bytes=100-200",
        "bytes=0-1,3",
        "bytes=0-1,5-6",
        "bytes=0x1-2",
        "bytes=1 - 2",
        "bytes=--1",
        "bytes=1--2",
        "bytes=+1-2",
        "items=0-1",
        "0-1",
        "bytes=1-2-3",
        "bytes=99999999999999999999-",
    };
    uint64_t off, len;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (http1_range(str_z(cases[i]), 100, &off, &len) != -AIS_E_RANGE)
            fail_msg("%s", cases[i]);
    assert_int_equal(-AIS_E_RANGE, http1_range(STR_LIT("bytes=0-"), 0, &off, &len));
    assert_int_equal(-AIS_E_RANGE, http1_range(STR_LIT("bytes=-1"), 0, &off, &len));
}

static void
accept_lists_are_searched_by_media_type(void **state)
{
    (void)state;
    assert_true(http1_accepts(STR_LIT("application/msgpack"), STR_LIT("application/msgpack")));
    assert_true(http1_accepts(STR_LIT("a/b, Application/MsgPack ;q=0.5"), STR_LIT("application/msgpack")));
    assert_false(http1_accepts(STR_LIT("application/msgpackx, */*"), STR_LIT("application/msgpack")));
    assert_false(http1_accepts(STR_LIT(""), STR_LIT("application/msgpack")));
    assert_false(http1_accepts(STR_NULL, STR_LIT("application/msgpack")));
}

static void
reasons_are_those_go_sends(void **state)
{
    (void)state;
    assert_string_equal("OK", http1_reason(200));
    assert_string_equal("Moved Permanently", http1_reason(301));
    assert_string_equal("Requested Range Not Satisfiable", http1_reason(416));
    assert_string_equal("Unknown", http1_reason(299));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_get_is_understood),
        cmocka_unit_test(methods_are_case_sensitive_and_others_are_tokens),
        cmocka_unit_test(what_can_be_read_in_two_ways_is_refused),
        cmocka_unit_test(what_is_unusual_but_clear_is_accepted),
        cmocka_unit_test(an_absolute_target_is_reduced_and_names_the_host),
        cmocka_unit_test(the_connection_stays_open_by_version_and_field),
        cmocka_unit_test(expect_100_is_seen_in_1_1_only),
        cmocka_unit_test(a_head_in_pieces_gives_the_same_as_a_whole_one),
        cmocka_unit_test(a_bare_LF_in_a_later_piece_is_refused_at_once),
        cmocka_unit_test(garbage_is_refused_before_the_head_is_complete),
        cmocka_unit_test(more_fields_than_fit_are_431),
        cmocka_unit_test(a_repeated_field_can_be_walked),
        cmocka_unit_test(a_response_says_how_its_body_ends),
        cmocka_unit_test(the_length_of_a_HEAD_answer_is_kept),
        cmocka_unit_test(bad_responses_are_refused),
        cmocka_unit_test(a_chunked_body_is_the_same_however_it_is_cut),
        cmocka_unit_test(nothing_is_consumed_after_the_last_chunk),
        cmocka_unit_test(bad_chunks_are_refused),
        cmocka_unit_test(a_chunk_of_63_bits_is_legal),
        cmocka_unit_test(extensions_and_trailers_are_bounded),
        cmocka_unit_test(chunk_heads_are_shortest_hex),
        cmocka_unit_test(ranges_resolve_against_the_size),
        cmocka_unit_test(bad_several_and_unsatisfiable_ranges_are_416),
        cmocka_unit_test(accept_lists_are_searched_by_media_type),
        cmocka_unit_test(reasons_are_those_go_sends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
