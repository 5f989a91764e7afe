/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing of what xact/msg.h describes. Pure. */
#include <jansson.h>
#include <stdio.h>

#include "xact/msg.h"
#include "xact/xact_impl.h"

#include "base/util.h"
#include "codec/jw.h"

#define BCKS_MAX 1000

/* A string member, its name in any case, as Go reads it. */
static struct str
text(const json_t *obj, const char *key)
{
    const json_t *v = json_get_fold(obj, key);

    return json_is_string(v) ? str_from(json_string_value(v), json_string_length(v)) : STR_LIT("");
}

static int
bck_read(const json_t *j, struct bck *b, struct err *e)
{
    const json_t *ns = json_get_fold(j, "namespace");
    struct str    prov = text(j, "provider");

    *b = (struct bck){ .name = text(j, "name") };
    if (prov.n > 0 && !provider_by_name(prov, &b->provider))
        return err_set(e, AIS_E_BADPROVIDER, "invalid backend provider \"%.*s\"", STR_FMT(prov));
    if (json_is_object(ns)) {
        b->ns_uuid = text(ns, "uuid");
        b->ns_name = text(ns, "name");
    }
    if (b->name.n == 0)
        return 0;
    return bck_name_check(b->name, e);
}

static int
bcks_read(const json_t *j, struct arena *a, struct xmsg *m, struct err *e)
{
    size_t n = json_array_size(j);
    int    rc = 0;

    if (n == 0)
        return 0;
    if (n > BCKS_MAX)
        return err_set(e, AIS_E_BADREQ, "too many buckets (%zu)", n);
    m->bcks = arena_zalloc(a, n * sizeof(*m->bcks));
    if (m->bcks == NULL)
        return err_set(e, AIS_E_NOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = bck_read(json_array_get(j, i), &m->bcks[m->nbcks], e);
        m->nbcks += m->bcks[m->nbcks].name.n > 0;
    }
    return rc;
}

static int
kind_read(struct str kind, struct xmsg *m, struct err *e)
{
    m->kind = X_ANY;
    if (kind.n == 0 || xkind_find(kind, &m->kind))
        return 0;
    return err_set(e, AIS_E_BADREQ, "invalid xaction (job) kind \"%.*s\"", STR_FMT(kind));
}

static int
flag_read(const json_t *v, const char *key)
{
    const json_t *b = json_get_fold(v, key);

    return json_is_boolean(b) ? json_is_true(b) : -1;
}

int
xmsg_read(const struct json_t *v, struct arena *a, struct xmsg *m, struct err *e)
{
    const json_t *b;
    uint64_t      flags = 0;
    int           rc;

    *m = (struct xmsg){ .kind = X_ANY, .active = -1 };
    if (v == NULL || json_is_null(v))
        return 0;
    if (!json_is_object(v))
        return err_set(e, AIS_E_BADREQ, "malformed job arguments: not an object");
    m->id = text(v, "id");
    m->node = text(v, "DaemonID");
    if (m->node.n == 0)
        m->node = text(v, "node");
    if (json_u64(json_get_fold(v, "flags"), &flags))
        m->flags = (uint32_t)flags;
    m->force = flag_read(v, "force") == 1;
    m->active = flag_read(v, "show_active");
    if (m->active < 0 && flag_read(v, "OnlyRunning") == 1)
        m->active = 1;
    rc = kind_read(text(v, "kind"), m, e);
    b = json_get_fold(v, "bck");
    if (rc == 0 && json_is_object(b)) {
        rc = bck_read(b, &m->bck, e);
        m->has_bck = m->bck.name.n > 0;
    }
    return rc < 0 ? rc : bcks_read(json_get_fold(v, "buckets"), a, m, e);
}

static void
put_bcks(const struct xmsg *m, struct jw *w, const char *bck, const char *bcks)
{
    if (m->has_bck) {
        jw_key(w, bck);
        xbck_json(w, &m->bck);
    }
    if (m->nbcks == 0)
        return;
    jw_key(w, bcks);
    jw_arr(w);
    for (unsigned i = 0; i < m->nbcks; i++)
        xbck_json(w, &m->bcks[i]);
    jw_arr_end(w);
}

static const char *
kind_text(const struct xmsg *m)
{
    return m->kind == X_ANY ? "" : xact_table[m->kind].kind;
}

void
xmsg_args_json(const struct xmsg *m, struct jw *w)
{
    jw_obj(w);
    jw_kstr(w, "ID", m->id);
    jw_kstrz(w, "Kind", kind_text(m));
    jw_kstr(w, "DaemonID", m->node);
    put_bcks(m, w, "Bck", "Buckets");
    jw_ku64(w, "flags", m->flags);
    jw_kbool(w, "Force", m->force);
    jw_obj_end(w);
}

void
xmsg_query_json(const struct xmsg *m, struct jw *w)
{
    jw_obj(w);
    jw_kstr(w, "id", m->id);
    jw_kstrz(w, "kind", kind_text(m));
    put_bcks(m, w, "bck", "buckets");
    if (m->active >= 0)
        jw_kbool(w, "show_active", m->active == 1);
    jw_obj_end(w);
}

const char *
xmsg_text(const struct xmsg *m, char *buf, size_t n)
{
    char        disp[BCK_DISPLAY_MAX];
    struct sbuf b;

    sbuf_init(&b, 4 * KIB);
    sbuf_printf(&b, "x-%s", kind_text(m));
    if (m->id.n > 0)
        sbuf_printf(&b, "[%.*s]", STR_FMT(m->id));
    if (m->has_bck)
        sbuf_printf(&b, "-%s", bck_display(&m->bck, disp));
    if (m->node.n > 0)
        sbuf_printf(&b, "-node[%.*s]", STR_FMT(m->node));
    if (m->active == 1)
        sbuf_putz(&b, "-only-running");
    (void)str_copyz(sbuf_str(&b), buf, n);
    sbuf_fini(&b);
    return buf;
}
