/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners; see listener.h. */
#include "proxy/listener.h"

#include <jansson.h>

#include "base/util.h"
#include "codec/jw.h"
#include "proxy/proxy_impl.h"

void
listener_free(struct listener *l)
{
    for (unsigned i = 0; i < l->nerrs; i++)
        free(l->errs[i]);
    free(l->srcs);
    free(l);
}

struct listener *
listener_new(const char *id, enum xkind kind, const char *cause, const struct bck *b, unsigned nsrcs)
{
    struct listener *l = xcalloc(1, sizeof(*l));

    (void)str_copyz(str_z(id), l->id, sizeof(l->id));
    (void)str_copyz(str_z(cause), l->cause, sizeof(l->cause));
    l->kind = kind;
    l->has_bck = b != NULL;
    if (b != NULL) {
        l->bck.provider = b->provider;
        (void)str_copyz(b->name, l->bck.name, sizeof(l->bck.name));
        (void)str_copyz(b->ns_uuid, l->bck.ns_uuid, sizeof(l->bck.ns_uuid));
        (void)str_copyz(b->ns_name, l->bck.ns_name, sizeof(l->bck.ns_name));
    }
    l->srcs = xcalloc(nsrcs + 1, sizeof(*l->srcs));
    return l;
}

void
listener_src_add(struct listener *l, struct str id, bool active)
{
    struct src *s = &l->srcs[l->nsrcs++];

    (void)str_copyz(id, s->id, sizeof(s->id));
    s->active = active;
    l->nactive += active;
}

struct src *
listener_src(struct listener *l, struct str id)
{
    for (unsigned i = 0; i < l->nsrcs; i++)
        if (str_eqz(id, l->srcs[i].id))
            return &l->srcs[i];
    return NULL;
}

void
listener_err(struct listener *l, struct str text)
{
    if (text.n == 0)
        return;
    for (unsigned i = 0; i < l->nerrs; i++)
        if (str_eqz(text, l->errs[i]))
            return;
    if (l->nerrs < LISTENER_ERRS)
        l->errs[l->nerrs++] = xstrndup(text.p, MIN(text.n, (size_t)1000));
}

static void
errs_text(const struct listener *l, struct sbuf *b)
{
    if (l->nerrs == 0)
        return;
    sbuf_putz(b, l->errs[0]);
    if (l->nerrs > 1)
        sbuf_printf(b, " (and %u more error%s)", l->nerrs - 1, l->nerrs == 2 ? "" : "s");
}

/* --- as JSON: between members --- */

void
listener_json(const struct listener *l, struct jw *w)
{
    jw_obj(w);
    jw_kstrz(w, "uuid", l->id);
    jw_kstrz(w, "kind", xact_table[l->kind].kind);
    jw_kstrz(w, "cause", l->cause);
    if (l->has_bck) {
        jw_key(w, "bck");
        jw_obj(w);
        put_bck_members(w, &(struct bck){ .provider = l->bck.provider,
                                          .name = str_z(l->bck.name),
                                          .ns_uuid = str_z(l->bck.ns_uuid),
                                          .ns_name = str_z(l->bck.ns_name) });
        jw_obj_end(w);
    }
    jw_key(w, "srcs");
    jw_arr(w);
    for (unsigned i = 0; i < l->nsrcs; i++)
        jw_strz(w, l->srcs[i].id);
    jw_arr_end(w);
    jw_key(w, "over");
    jw_arr(w);
    for (unsigned i = 0; i < l->nsrcs; i++)
        if (!l->srcs[i].active)
            jw_strz(w, l->srcs[i].id);
    jw_arr_end(w);
    jw_ki64(w, "end_time", l->ended);
    jw_kbool(w, "aborted", l->aborted);
    jw_key(w, "errs");
    jw_arr(w);
    for (unsigned i = 0; i < l->nerrs; i++)
        jw_strz(w, l->errs[i]);
    jw_arr_end(w);
    jw_obj_end(w);
}

struct listener *
listener_read(const json_t *j)
{
    const json_t    *srcs = json_object_get(j, "srcs"), *over = json_object_get(j, "over"), *errs = json_object_get(j, "errs");
    const json_t    *b = json_object_get(j, "bck");
    struct str       id = json_text(j, "uuid");
    char             idz[XID_MAX], cause[32] = "";
    enum xkind       kind;
    struct xmsg      m = { .has_bck = false };
    struct listener *l;
    struct src      *s;

    if (!xid_valid(id) || !str_copyz(id, idz, sizeof(idz)) || !xkind_find(json_text(j, "kind"), &kind) ||
        json_array_size(srcs) == 0)
        return NULL;
    (void)str_copyz(json_text(j, "cause"), cause, sizeof(cause));
    if (json_is_object(b)) {
        json_t *wrap = json_pack("{s:O}", "bck", b);

        if (xmsg_read(wrap, NULL, &m, NULL) < 0)
            m.has_bck = false;
        l = listener_new(idz, kind, cause, m.has_bck ? &m.bck : NULL, (unsigned)json_array_size(srcs));
        json_decref(wrap);
    } else {
        l = listener_new(idz, kind, cause, NULL, (unsigned)json_array_size(srcs));
    }
    for (size_t i = 0; i < json_array_size(srcs); i++)
        if (json_string_length(json_array_get(srcs, i)) > 0)
            listener_src_add(l, str_z(json_string_value(json_array_get(srcs, i))), true);
    if (l->nsrcs == 0) {
        listener_free(l);
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(over); i++) {
        s = listener_src(l, str_z(json_string_value(json_array_get(over, i))));
        if (s != NULL && s->active) {
            s->active = false;
            l->nactive--;
        }
    }
    for (size_t i = 0; i < json_array_size(errs); i++)
        listener_err(l, str_z(json_string_value(json_array_get(errs, i))));
    (void)json_i64(json_object_get(j, "end_time"), &l->ended);
    l->aborted = json_is_true(json_object_get(j, "aborted"));
    return l;
}

void
listener_status_json(const struct listener *l, struct jw *w)
{
    struct sbuf b;

    sbuf_init(&b, 8 * KIB);
    errs_text(l, &b);
    jw_obj(w);
    jw_kstrz(w, "kind", xact_table[l->kind].kind);
    jw_kstrz(w, "uuid", l->id);
    jw_kstr(w, "err", sbuf_str(&b));
    jw_ki64(w, "end_time", l->ended);
    jw_kbool(w, "aborted", l->aborted);
    jw_obj_end(w);
    sbuf_fini(&b);
}

bool
listener_matches(const struct listener *l, const struct xmsg *m)
{
    const struct bck *b = &m->bck;

    if (m->id.n > 0)
        return str_eqz(m->id, l->id);
    if (m->kind != X_ANY && m->kind != l->kind)
        return false;
    if (m->active == 1 && l->ended != 0)
        return false;
    return !m->has_bck || (l->has_bck && l->bck.provider == b->provider && str_eqz(b->name, l->bck.name) &&
                           str_eqz(b->ns_uuid, l->bck.ns_uuid) && str_eqz(b->ns_name, l->bck.ns_name));
}

void
listener_merge(struct listener *mine, const struct listener *theirs)
{
    for (unsigned i = 0; i < theirs->nsrcs; i++) {
        struct src *s = theirs->srcs[i].active ? NULL : listener_src(mine, str_z(theirs->srcs[i].id));

        if (s != NULL && s->active) {
            s->active = false;
            mine->nactive--;
        }
    }
    for (unsigned i = 0; i < theirs->nerrs; i++)
        listener_err(mine, str_z(theirs->errs[i]));
    mine->aborted |= theirs->aborted;
    if (mine->ended == 0)
        mine->ended = theirs->ended;
}
