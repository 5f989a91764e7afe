/* SPDX-License-Identifier: Apache-2.0 */
/* Names of buckets and objects: see uri.h. Wire: native-api.md 3.1. */
#include "cli/uri.h"

#include "base/util.h"
#include "codec/url.h"

/* clang-format off */
static const struct {
    const char *typed, *wire, *shown;
} providers[] = {
    { "ais",   "ais",   "ais" },
    { "s3",    "aws",   "s3"  },
    { "aws",   "aws",   "s3"  },
    { "gs",    "gcp",   "gs"  },
    { "gcp",   "gcp",   "gs"  },
    { "az",    "azure", "az"  },
    { "azure", "azure", "az"  },
    { "oc",    "oci",   "oc"  },
    { "oci",   "oci",   "oc"  },
};
/* clang-format on */

static const char *
provider_find(struct str typed)
{
    for (size_t i = 0; i < ARRAY_SIZE(providers); i++)
        if (str_eqz(typed, providers[i].typed))
            return providers[i].wire;
    return NULL;
}

const char *
uri_scheme(const char *provider)
{
    for (size_t i = 0; i < ARRAY_SIZE(providers); i++)
        if (strcmp(provider, providers[i].wire) == 0)
            return providers[i].shown;
    return provider;
}

const char *
uri_provider_only(const char *s)
{
    struct str t = str_z(s);

    if (str_ends(t, STR_LIT("://")))
        t.n -= 3;
    else if (str_ends(t, STR_LIT(":")))
        t.n -= 1;
    else
        return NULL; /* a bare word is a bucket */
    return provider_find(t);
}

/* "@uuid#name/" or "#name/" in front of the bucket. */
static int
take_ns(struct str *rest, struct uri *u, const char *whole, struct fault *f)
{
    ptrdiff_t slash;

    if (rest->n == 0 || (rest->p[0] != '@' && rest->p[0] != '#'))
        return CLI_OK;
    slash = str_chr(*rest, '/');
    if (slash < 0)
        return fault_set(f, CLI_USAGE, "\"%s\": a namespace must be followed by /BUCKET", whole);
    u->ns = str_from(rest->p, (size_t)slash);
    *rest = str_from_off(*rest, (size_t)slash + 1);
    return CLI_OK;
}

static int
check_want(struct uri *u, enum uri_want want, const char *whole, struct fault *f)
{
    switch (want) {
    case URI_BUCKET:
        if (u->object.n > 0)
            return fault_set(f, CLI_USAGE, "\"%s\" names an object: expecting a bucket", whole);
        break;
    case URI_OBJECT:
        if (u->object.n == 0)
            return fault_set(f, CLI_USAGE, "\"%s\" names no object: expecting BUCKET/OBJECT", whole);
        break;
    case URI_BUCKET_ANY:
        break;
    }
    return CLI_OK;
}

int
uri_parse(const char *s, enum uri_want want, struct uri *u, struct fault *f)
{
    struct str rest = str_z(s);
    ptrdiff_t  sep = str_find(rest, STR_LIT("://")), slash = str_chr(rest, '/');

    *u = (struct uri){ .provider = "ais" };
    if (sep >= 0 && sep < slash) {
        u->provider = provider_find(str_from(rest.p, (size_t)sep));
        if (u->provider == NULL)
            return fault_set(f, CLI_USAGE, "\"%s\": unknown provider \"%.*s\" (there are: ais, s3, gs, az, oc)", s, (int)sep, rest.p);
        rest = str_from_off(rest, (size_t)sep + 3);
    }
    if (take_ns(&rest, u, s, f) != CLI_OK)
        return CLI_USAGE;
    slash = str_chr(rest, '/');
    u->bucket = slash < 0 ? rest : str_from(rest.p, (size_t)slash);
    if (slash >= 0)
        u->object = str_from_off(rest, (size_t)slash + 1);
    if (u->bucket.n == 0)
        return fault_set(f, CLI_USAGE, "\"%s\" names no bucket: expecting ais://BUCKET or ais://BUCKET/OBJECT", s);
    return check_want(u, want, s, f);
}

void
uri_put_bucket(struct sbuf *b, const struct uri *u)
{
    sbuf_printf(b, "%s://%.*s%s%.*s", uri_scheme(u->provider), STR_FMT(u->ns), u->ns.n > 0 ? "/" : "", STR_FMT(u->bucket));
}

void
uri_put(struct sbuf *b, const struct uri *u)
{
    uri_put_bucket(b, u);
    if (u->object.n > 0) {
        sbuf_putc(b, '/');
        sbuf_puts(b, u->object);
    }
}

void
uri_put_path(struct sbuf *b, const char *verb, const struct uri *u, bool with_object)
{
    sbuf_printf(b, "/v1/%s/", verb);
    url_encode_path(b, u->bucket);
    if (with_object && u->object.n > 0) {
        sbuf_putc(b, '/');
        url_encode_path(b, u->object);
    }
    sbuf_printf(b, "?provider=%s", u->provider);
    if (u->ns.n > 0) {
        sbuf_putz(b, "&namespace=");
        url_encode_query(b, u->ns);
    }
}
