/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of metadata snapshots: counting, JSON, and AIStore's jsp files in the configuration directory.
 *
 * The files are what Go AIStore reads and writes, so that a configuration directory can be adopted as it is.
 */
#include "core/mset.h"

#include <jansson.h>
#include <stdio.h>

#include "run/disk.h"
#include "codec/jsp.h"
#include "codec/jw.h"
#include "base/assert.h"
#include "base/util.h"

const char *const mitem_name[MI_COUNT] = { "conf", "smap", "bmd", "rmd" };

/* clang-format off */
static const struct {
    const char *file;
    uint32_t    meta_version;
} mitem_file[MI_COUNT] = {
    [MI_CONF] = { ".ais.conf", JSP_META_CONF },
    [MI_SMAP] = { ".ais.smap", 2 },
    [MI_BMD]  = { ".ais.bmd",  2 },
    [MI_RMD]  = { ".ais.rmd",  2 },
};
/* clang-format on */

#define JSP_FILE_MAX (80u << 20)

/* --- life --- */
struct mset *
mset_new(struct cluster_conf *conf)
{
    struct mset *m = xcalloc(1, sizeof(*m));

    atomic_init(&m->refs, 1);
    m->conf = conf;
    m->smap = smap_new("");
    m->bmd = bmd_new("");
    m->rmd = rmd_new("");
    return m;
}

struct mset *
mset_ref(struct mset *m)
{
    atomic_fetch_add(&m->refs, 1);
    return m;
}

void
mset_put(struct mset *m)
{
    if (m == NULL || atomic_fetch_sub(&m->refs, 1) != 1)
        return;
    conf_put(m->conf);
    smap_put(m->smap);
    bmd_put(m->bmd);
    rmd_put(m->rmd);
    free(m);
}

struct mset *
mset_copy(const struct mset *m)
{
    struct mset *c = xcalloc(1, sizeof(*c));

    atomic_init(&c->refs, 1);
    c->conf = conf_ref(m->conf);
    c->smap = smap_ref(m->smap);
    c->bmd = bmd_ref(m->bmd);
    c->rmd = rmd_ref(m->rmd);
    c->etlmd_version = m->etlmd_version;
    return c;
}

uint64_t
mset_version(const struct mset *m, enum mitem i)
{
    switch (i) {
    case MI_CONF:
        return m->conf->version;
    case MI_SMAP:
        return m->smap->version;
    case MI_BMD:
        return m->bmd->version;
    case MI_RMD:
        return m->rmd->version;
    case MI_COUNT:
        break;
    }
    ais_bug("no such item: %d", (int)i);
}

bool
mset_same_item(const struct mset *a, const struct mset *b, enum mitem i)
{
    switch (i) {
    case MI_CONF:
        return a->conf == b->conf;
    case MI_SMAP:
        return a->smap == b->smap;
    case MI_BMD:
        return a->bmd == b->bmd;
    case MI_RMD:
        return a->rmd == b->rmd;
    case MI_COUNT:
        break;
    }
    ais_bug("no such item: %d", (int)i);
}

void
mset_set_conf(struct mset *m, struct cluster_conf *c)
{
    conf_put(m->conf);
    m->conf = c;
}

void
mset_set_smap(struct mset *m, struct smap *s)
{
    smap_put(m->smap);
    m->smap = s;
}

void
mset_set_bmd(struct mset *m, struct bmd *b)
{
    bmd_put(m->bmd);
    m->bmd = b;
}

void
mset_set_rmd(struct mset *m, struct rmd *r)
{
    rmd_put(m->rmd);
    m->rmd = r;
}

void
mset_take_item(struct mset *m, enum mitem i, const struct mset *from)
{
    switch (i) {
    case MI_CONF:
        mset_set_conf(m, conf_ref(from->conf));
        return;
    case MI_SMAP:
        mset_set_smap(m, smap_ref(from->smap));
        return;
    case MI_BMD:
        mset_set_bmd(m, bmd_ref(from->bmd));
        return;
    case MI_RMD:
        mset_set_rmd(m, rmd_ref(from->rmd));
        return;
    case MI_COUNT:
        break;
    }
    ais_bug("no such item: %d", (int)i);
}

/* --- JSON --- */
void
mset_item_json(const struct mset *m, enum mitem i, struct jw *w)
{
    switch (i) {
    case MI_CONF:
        conf_json(m->conf, w);
        return;
    case MI_SMAP:
        smap_json(m->smap, w);
        return;
    case MI_BMD:
        bmd_json(m->bmd, w);
        return;
    case MI_RMD:
        rmd_json(m->rmd, w);
        return;
    case MI_COUNT:
        break;
    }
    ais_bug("no such item: %d", (int)i);
}

/* A configuration as it was stored: complete or sparse, on top of the defaults. */
static int
conf_from_json(const json_t *j, struct cluster_conf **out, struct err *e)
{
    struct cluster_conf *c = conf_default();
    int                  rc = conf_merge_json(c, j, true, e);

    if (rc < 0) {
        conf_put(c);
        return rc;
    }
    *out = c;
    return 0;
}

int
mset_item_from_json(struct mset *m, enum mitem i, const json_t *j, struct err *e)
{
    struct cluster_conf *conf = NULL;
    struct smap         *smap = NULL;
    struct bmd          *bmd = NULL;
    struct rmd          *rmd = NULL;
    int                  rc;

    switch (i) {
    case MI_CONF:
        rc = conf_from_json(j, &conf, e);
        if (rc == 0)
            mset_set_conf(m, conf);
        return rc;
    case MI_SMAP:
        rc = smap_from_json(j, &smap, e);
        if (rc == 0)
            mset_set_smap(m, smap);
        return rc;
    case MI_BMD:
        rc = bmd_from_json(j, &bmd, e);
        if (rc == 0)
            mset_set_bmd(m, bmd);
        return rc;
    case MI_RMD:
        rc = rmd_from_json(j, &rmd, e);
        if (rc == 0)
            mset_set_rmd(m, rmd);
        return rc;
    case MI_COUNT:
        break;
    }
    ais_bug("no such item: %d", (int)i);
}

int
mset_from_json(struct mset *m, const json_t *j, unsigned *have, struct err *e)
{
    uint64_t etlmd;
    int      i, rc;

    *have = 0;
    for (i = 0; i < MI_COUNT; i++) {
        const json_t *item = json_object_get(j, mitem_name[i]);

        if (!json_is_object(item))
            continue;
        rc = mset_item_from_json(m, (enum mitem)i, item, e);
        if (rc < 0)
            return err_wrap(e, "%s", mitem_name[i]);
        *have |= 1u << i;
    }
    if (json_u64(json_object_get(j, "etlmd"), &etlmd))
        m->etlmd_version = etlmd;
    return 0;
}

/* --- files --- */
int
jsp_load(const char *path, char **out, size_t *n)
{
    auto_free char *image = NULL;
    struct sbuf     json;
    uint32_t        meta;
    size_t          len = 0;
    int             rc;

    rc = disk_read_file(path, JSP_FILE_MAX, &image, &len);
    if (rc < 0)
        return rc;
    sbuf_init(&json, JSP_MAX_JSON);
    rc = jsp_decode(str_from(image, len), &meta, &json);
    if (rc < 0) {
        sbuf_fini(&json);
        return rc;
    }
    *out = json.p;
    *n = json.n;
    return 0;
}

int
jsp_store(const char *path, struct str json, uint32_t meta_version)
{
    struct sbuf image;
    int         rc;

    sbuf_init(&image, JSP_FILE_MAX);
    rc = jsp_encode(json, meta_version, &image);
    if (rc == 0)
        rc = sbuf_ok(&image) ? disk_write_file_atomic(path, image.p, image.n, 0640) : -AIS_E_NOMEM;
    sbuf_fini(&image);
    return rc;
}

static int
item_load(struct mset *m, enum mitem i, const char *path, struct err *e)
{
    auto_free char *text = NULL;
    json_t         *j = NULL;
    size_t          n = 0;
    int             rc;

    rc = jsp_load(path, &text, &n);
    if (rc < 0)
        return err_set(e, -rc, "%s: %s", path, err_text(rc));
    rc = json_read(str_from(text, n), &j, e);
    if (rc == 0)
        rc = mset_item_from_json(m, i, j, e);
    json_decref(j);
    return rc < 0 ? err_wrap(e, "%s", path) : 0;
}

int
mset_load(struct mset *m, const char *confdir, unsigned *have, struct err *e)
{
    int i, rc;

    *have = 0;
    for (i = 0; i < MI_COUNT; i++) {
        auto_free char *path = xasprintf("%s/%s", confdir, mitem_file[i].file);

        if (access(path, F_OK) < 0)
            continue;
        rc = item_load(m, (enum mitem)i, path, e);
        if (rc < 0)
            return rc;
        *have |= 1u << i;
    }
    return 0;
}

int
mset_store(const struct mset *m, enum mitem i, const char *confdir)
{
    auto_free char *path = xasprintf("%s/%s", confdir, mitem_file[i].file);
    struct sbuf     b;
    struct jw       w;
    int             rc;

    sbuf_init(&b, JSP_MAX_JSON);
    jw_init(&w, &b, 0);
    mset_item_json(m, i, &w);
    rc = sbuf_ok(&b) ? jsp_store(path, sbuf_str(&b), mitem_file[i].meta_version) : -AIS_E_TOOBIG;
    sbuf_fini(&b);
    return rc;
}
