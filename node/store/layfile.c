/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout file: coding.
 *
 *     AISLAYOUT 1 <version> settled|scattered
 *     <mode> conf|api <uuid|-> <fs id|-> <label, hex|-> <path, hex>
 *     ...
 *     END <CRC32C of all before, 8 hex digits>
 */
#include "store/layfile.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/util.h"
#include "codec/cksum.h"

static const char *const modes[MP_NMODES] = { "enabled", "disabled", "detached", "disabling", "detaching", "lost" };

static void
put_hex(struct sbuf *out, const char *z)
{
    char hex[2 * 256 + 1];

    str_hex(z, strlen(z), hex);
    sbuf_putz(out, z[0] == '\0' ? "-" : hex);
}

static void
put_word(struct sbuf *out, const char *z)
{
    sbuf_putz(out, z[0] == '\0' ? "-" : z);
    sbuf_putc(out, ' ');
}

void
layfile_encode(const struct layfile *l, struct sbuf *out)
{
    char line[80];

    snprintf(line, sizeof(line), "AISLAYOUT 1 %llu %s\n", (unsigned long long)l->version, l->scattered ? "scattered" : "settled");
    sbuf_putz(out, line);
    for (unsigned i = 0; i < l->n; i++) {
        const struct lay_entry *e = &l->e[i];

        put_word(out, modes[e->mode]);
        put_word(out, e->by_api ? "api" : "conf");
        put_word(out, e->uuid);
        put_word(out, e->fs_id);
        put_hex(out, e->label);
        sbuf_putc(out, ' ');
        put_hex(out, e->path);
        sbuf_putc(out, '\n');
    }
    if (!sbuf_ok(out))
        return;
    snprintf(line, sizeof(line), "END %08x\n", crc32c(0, out->p, out->n));
    sbuf_putz(out, line);
}

static bool
take(struct str *line, struct str *word)
{
    return str_split(line, ' ', word) && word->n > 0;
}

/* Printable ASCII. */
static bool
take_word(struct str *line, char *to, size_t cap)
{
    struct str w;

    if (!take(line, &w))
        return false;
    for (size_t i = 0; i < w.n; i++)
        if (w.p[i] <= ' ' || w.p[i] > '~')
            return false;
    return str_copyz(str_eqz(w, "-") ? STR_LIT("") : w, to, cap);
}

static bool
take_hex(struct str *line, char *to, size_t cap)
{
    struct str w;

    if (!take(line, &w))
        return false;
    to[0] = '\0';
    if (str_eqz(w, "-"))
        return true;
    if (w.n % 2 != 0 || w.n / 2 >= cap || !str_unhex(w, (unsigned char *)to, w.n / 2))
        return false;
    to[w.n / 2] = '\0';
    return strlen(to) == w.n / 2;
}

static bool
take_entry(struct str line, struct lay_entry *e)
{
    struct str w;
    unsigned   i = 0;

    if (!take(&line, &w))
        return false;
    while (i < MP_NMODES && !str_eqz(w, modes[i]))
        i++;
    e->mode = (enum mp_mode)i;
    if (i == MP_NMODES || !take(&line, &w) || (!str_eqz(w, "api") && !str_eqz(w, "conf")))
        return false;
    e->by_api = str_eqz(w, "api");
    return take_word(&line, e->uuid, sizeof(e->uuid)) && take_word(&line, e->fs_id, sizeof(e->fs_id)) &&
           take_hex(&line, e->label, sizeof(e->label)) && take_hex(&line, e->path, sizeof(e->path)) && e->path[0] == '/' &&
           line.n == 0;
}

static bool
take_head(struct str line, struct layfile *l)
{
    struct str w;

    if (!take(&line, &w) || !str_eqz(w, "AISLAYOUT") || !take(&line, &w) || !str_eqz(w, "1") || !take(&line, &w) ||
        !str_u64(w, &l->version) || !take(&line, &w) || line.n != 0)
        return false;
    l->scattered = str_eqz(w, "scattered");
    return l->scattered || str_eqz(w, "settled");
}

/* The last line, and does it agree with what is before? That is left in *text. */
static bool
take_end(struct str *text)
{
    char   end[20];
    size_t n = 13; /* "END " and 8 digits and the newline */

    if (text->n < n)
        return false;
    snprintf(end, sizeof(end), "END %08x\n", crc32c(0, text->p, text->n - n));
    if (memcmp(text->p + text->n - n, end, n) != 0)
        return false;
    text->n -= n;
    return true;
}

int
layfile_decode(struct str text, struct layfile *l)
{
    struct str line;

    if (!take_end(&text) || !str_split(&text, '\n', &line) || !take_head(line, l))
        return -AIS_E_CORRUPT;
    l->n = 0;
    while (text.n > 0 && str_split(&text, '\n', &line)) {
        if (line.n == 0 && text.n == 0)
            break;
        if (l->n == LAY_MAX || !take_entry(line, &l->e[l->n]))
            return -AIS_E_CORRUPT;
        l->n++;
    }
    return 0;
}
