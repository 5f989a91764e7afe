/* SPDX-License-Identifier: Apache-2.0 */
/* What a real AIStore answered (tests/golden/wire): bodies and headers of the last response in a recording. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The last response of the recording: status line, headers, blank line, body. malloc'd. */
static inline char *
golden_response(const char *name)
{
    char   path[512], *text = calloc(1, 1 << 20), *p, *last = NULL;
    FILE  *f;
    size_t n;

    snprintf(path, sizeof(path), AIS_GOLDEN_DIR "/wire/%s.txt", name);
    f = fopen(path, "r");
    assert_non_null(f);
    n = fread(text, 1, (1 << 20) - 1, f);
    fclose(f);
    assert_true(n > 0 && n < (1 << 20) - 1);
    for (p = text; (p = strstr(p, "<<<\n")) != NULL; p += 4)
        last = p + 4;
    assert_non_null(last);
    memmove(text, last, strlen(last) + 1);
    return text;
}

/* A header's value, malloc'd. */
static inline char *
golden_header(const char *name, const char *header)
{
    char  *text = golden_response(name), key[80], *p, *v;
    size_t n;

    snprintf(key, sizeof(key), "\n%s: ", header);
    p = strstr(text, key);
    assert_non_null(p);
    p += strlen(key);
    n = strcspn(p, "\r\n");
    v = strndup(p, n);
    free(text);
    return v;
}

/* The body as JSON; numbers above 2^63 as they are read by json_read(). The caller decrefs. */
static inline json_t *
golden_json(const char *name)
{
    char        *text = golden_response(name), *body = strstr(text, "\n\n");
    json_error_t e;
    json_t      *j;

    assert_non_null(body);
    j = json_loads(body, JSON_REJECT_DUPLICATES, &e);
    if (j == NULL)
        fail_msg("%s: %s", name, e.text);
    free(text);
    return j;
}

#endif
