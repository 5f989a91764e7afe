/* SPDX-License-Identifier: Apache-2.0 */
/* Where files lie. Pure; any thread. */
#include "store/layout.h"

#include <openssl/sha.h>
#include <stdio.h>

#include "base/err.h"

const char *const ct_dirs[CT_NTYPES] = { "%ob", "%wk", "%ec", "%mt", "%ch", "%ut", "%ds", "%dw" };

int
layout_bck(const char *mpath, const struct bck *b, char out[FQN_MAX])
{
    int n;

    if (b->ns_uuid.n == 0 && b->ns_name.n == 0)
        n = snprintf(out, FQN_MAX, "%s/@%s/%.*s", mpath, provider_name(b->provider), STR_FMT(b->name));
    else
        n = snprintf(out, FQN_MAX, "%s/@%s/%s%.*s#%.*s/%.*s", mpath, provider_name(b->provider), b->ns_uuid.n > 0 ? "@" : "",
                     STR_FMT(b->ns_uuid), STR_FMT(b->ns_name), STR_FMT(b->name));
    return n < FQN_MAX ? n : -AIS_E_INVAL;
}

int
layout_ct(const char *mpath, const struct bck *b, enum ct ct, char out[FQN_MAX])
{
    int n = layout_bck(mpath, b, out);

    if (n < 0 || n + 5 > FQN_MAX)
        return -AIS_E_INVAL;
    return n + snprintf(out + n, (size_t)(FQN_MAX - n), "/%s", ct_dirs[ct]);
}

bool
layout_too_long(struct str name)
{
    ptrdiff_t slash;

    if (name.n <= 255)
        return false;
    slash = str_rchr(name, '/');
    return name.n > 3072 || name.n - (size_t)(slash + 1) > 255;
}

/* ".x" and 64 hex digits: what the files of long names are called. */
static bool
is_long_file(struct str s)
{
    unsigned char sum[SHA256_DIGEST_LENGTH];

    return s.n == 2 + 2 * sizeof(sum) && s.p[0] == '.' && s.p[1] == 'x' && str_unhex(str_from_off(s, 2), sum, sizeof(sum));
}

bool
layout_is_path(struct str name)
{
    struct str rest = name, item;

    if (name.n == 0 || layout_too_long(name) || is_long_file(name))
        return false;
    while (str_split(&rest, '/', &item))
        if (item.n == 0 || item.n > 255 || str_eqz(item, ".") || str_eqz(item, ".."))
            return false;
    return true;
}

int
layout_obj(const char *mpath, const struct bck *b, enum ct ct, struct str name, char out[FQN_MAX])
{
    int n = layout_ct(mpath, b, ct, out);

    if (n < 0 || !layout_is_path(name) || (size_t)n + name.n + 2 > FQN_MAX)
        return -AIS_E_INVAL;
    out[n++] = '/';
    memcpy(out + n, name.p, name.n);
    out[(size_t)n + name.n] = '\0';
    return n + (int)name.n;
}

int
layout_long(const char *mpath, const struct bck *b, struct str name, char out[FQN_MAX], char plain_fqn[FQN_MAX + 64])
{
    unsigned char sum[SHA256_DIGEST_LENGTH];
    char          hex[2 * SHA256_DIGEST_LENGTH + 1];
    int           n = layout_ct(mpath, b, CT_OBJ, out), m;

    if (n < 0)
        return n;
    m = snprintf(plain_fqn, FQN_MAX + 64, "%s/%.*s", out, STR_FMT(name));
    if (m >= FQN_MAX + 64 || n + 70 > FQN_MAX)
        return -AIS_E_INVAL;
    SHA256((const unsigned char *)plain_fqn, (size_t)m, sum);
    str_hex(sum, sizeof(sum), hex);
    return n + snprintf(out + n, (size_t)(FQN_MAX - n), "/.x%s", hex);
}

bool
layout_is_long(struct str fqn)
{
    return is_long_file(layout_name_of_orig(fqn));
}

static void
name_hash(struct str name, char hex[2 * SHA256_DIGEST_LENGTH + 1])
{
    unsigned char sum[SHA256_DIGEST_LENGTH];

    SHA256((const unsigned char *)name.p, name.n, sum);
    str_hex(sum, sizeof(sum), hex);
}

int
layout_aux(const char *mpath, const struct bck *b, enum ct ct, struct str name, bool hashed, char out[FQN_MAX])
{
    char hex[2 * SHA256_DIGEST_LENGTH + 1];
    int  n;

    if (!hashed)
        return layout_obj(mpath, b, ct, name, out);
    n = layout_ct(mpath, b, ct, out);
    if (n < 0 || n + 70 > FQN_MAX)
        return -AIS_E_INVAL;
    name_hash(name, hex);
    return n + snprintf(out + n, (size_t)(FQN_MAX - n), "/.x%s", hex);
}

/* name.suffix as a path, or with the hash of the name when that is none. */
static int
with_suffix(const char *mpath, const struct bck *b, enum ct ct, struct str name, const char *suffix, char out[FQN_MAX])
{
    bool hashed = !layout_is_path(name) || name.n - (size_t)(str_rchr(name, '/') + 1) + strlen(suffix) > 255;
    int  n = layout_aux(mpath, b, ct, name, hashed, out);

    if (n < 0 || (size_t)n + strlen(suffix) + 1 > FQN_MAX)
        return -AIS_E_INVAL;
    return n + snprintf(out + n, (size_t)(FQN_MAX - n), "%s", suffix);
}

int
layout_manifest(const char *mpath, const struct bck *b, struct str name, struct str upload, char out[FQN_MAX])
{
    char suffix[140];

    snprintf(suffix, sizeof(suffix), ".%.*s", STR_FMT(upload));
    return with_suffix(mpath, b, CT_UFEST, name, suffix, out);
}

int
layout_part(const char *mpath, const struct bck *b, struct str name, struct str upload, unsigned num, char out[FQN_MAX])
{
    char suffix[148];

    snprintf(suffix, sizeof(suffix), ".%.*s.%04u", STR_FMT(upload), num);
    return with_suffix(mpath, b, CT_CHUNK, name, suffix, out);
}

void
layout_name_sha(struct str name, unsigned char sha[32])
{
    SHA256((const unsigned char *)name.p, name.n, sha);
}

int
layout_side_of(const char *mpath, const struct bck *b, const unsigned char name_sha[32], uint64_t gen, char out[FQN_MAX])
{
    char hex[2 * SHA256_DIGEST_LENGTH + 1];
    int  n = layout_bck(mpath, b, out);

    if (n < 0 || n + 100 > FQN_MAX)
        return -AIS_E_INVAL;
    str_hex(name_sha, SHA256_DIGEST_LENGTH, hex);
    return n + snprintf(out + n, (size_t)(FQN_MAX - n), "/%s/%s.%llx", SIDE_DIR, hex, (unsigned long long)gen);
}

int
layout_side(const char *mpath, const struct bck *b, struct str name, uint64_t gen, char out[FQN_MAX])
{
    unsigned char sha[SHA256_DIGEST_LENGTH];

    layout_name_sha(name, sha);
    return layout_side_of(mpath, b, sha, gen, out);
}

struct str
layout_name_of_orig(struct str orig)
{
    ptrdiff_t i = str_find(orig, STR_LIT("/%ob/"));

    return i < 0 ? STR_NULL : str_from_off(orig, (size_t)i + 5);
}
