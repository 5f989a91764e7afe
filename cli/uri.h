/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "PROVIDER://[@UUID][#NAMESPACE/]BUCKET[/OBJECT]" as people type it. Pure functions over the argument's own bytes.
 */
#ifndef CLI_URI_H
#define CLI_URI_H

#include "base/sbuf.h"
#include "base/str.h"
#include "cli/fault.h"

struct uri {
    const char *provider; /* as on the wire: "ais", "aws", ...; never NULL after uri_parse */
    struct str  ns;       /* "@uuid#name", without the bucket; empty = global */
    struct str  bucket;
    struct str  object; /* empty = none; everything behind the bucket's slash, also "a//b" or "/x" */
};

enum uri_want {
    URI_BUCKET,     /* exactly a bucket; one trailing slash is forgiven */
    URI_OBJECT,     /* bucket and object */
    URI_BUCKET_ANY, /* a bucket, maybe with an object or a prefix */
};

/* 0 or CLI_USAGE with text. Without "://" the provider is ais. */
int uri_parse(const char *s, enum uri_want want, struct uri *u, struct fault *f);
/* "ais:", "ais://", "s3" ...: a provider and nothing else. NULL when it is not one. */
const char *uri_provider_only(const char *s);
/* "s3" for "aws": how people see it. */
const char *uri_scheme(const char *provider);

void uri_put_bucket(struct sbuf *b, const struct uri *u); /* "ais://b", "ais://@u#n/b" */
void uri_put(struct sbuf *b, const struct uri *u);        /* with the object */
/* "/v1/VERB/BUCKET[/OBJECT]?provider=ais[&namespace=...]", encoded; the object only when with_object. */
void uri_put_path(struct sbuf *b, const char *verb, const struct uri *u, bool with_object);

#endif
