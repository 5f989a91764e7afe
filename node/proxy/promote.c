/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promote: files that the targets can see become objects.
 *
 * Two questions to the targets: first what they see at the source; then to store it. When all see the same, the source is shared
 * storage and each stores what it owns; otherwise each stores all that it sees, at the owners. Few files are stored before the answer,
 * which is empty then; more are a job, whose id is the answer.
 *
 * Runs on: the request's fiber. Parks.
 * Wire:    POST /v1/objects/BUCKET {"action":"promote"} (native-api.md 4.7); to targets: node/target/promote.c
 */
#include <jansson.h>

#include "base/util.h"
#include "codec/jw.h"
#include "proxy/ic.h"
#include "proxy/proxy_impl.h"

#define PROMOTE_ROOT "/var/lib/ais/promote"
#define ANSWER_MAX   (1 * MIB)
#define SYNC_MAX     16 /* files */

struct promote {
    struct req    *r;
    struct bck     b;
    struct str     src, obj, tid;
    bool           recursive, overwrite, delete_src, not_shared;
    struct bcast  *c;
    unsigned       n;
    uint64_t       total; /* files, of all targets */
    char           job[16];
};

static struct str
member(const json_t *v, const char *key)
{
    const json_t *s = v == NULL ? NULL : json_get_fold(v, key);

    return json_is_string(s) ? str_from(json_string_value(s), json_string_length(s)) : STR_NULL;
}

static bool
flag(const json_t *v, const char *key)
{
    return v != NULL && json_is_true(json_get_fold(v, key));
}

static bool
has_dots(struct str path)
{
    struct str item;

    while (str_split(&path, '/', &item))
        if (str_eqz(item, ".") || str_eqz(item, ".."))
            return true;
    return path.n > 0;
}

static int
bad_source(struct err *e, struct str src, const char *why)
{
    if (src.n == 0)
        err_set(e, AIS_E_BADREQ, "invalid promote source: %s", why);
    else
        err_set(e, AIS_E_BADREQ, "invalid promote source \"%.*s\": %s", STR_FMT(src), why);
    return err_tcode(e, "errInvalidPromoteSource");
}

static int
check_source(struct str src, struct err *e)
{
    if (src.n == 0)
        return bad_source(e, src, "pathname is empty");
    if (src.p[0] != '/')
        return bad_source(e, src, "must be an absolute path");
    if (has_dots(src))
        return bad_source(e, src, "must not contain '.' or '..' path elements");
    if (!str_eqz(src, PROMOTE_ROOT) && !str_starts(src, STR_LIT(PROMOTE_ROOT "/")))
        return bad_source(e, src, "must be under " PROMOTE_ROOT);
    return 0;
}

static int
promote_read(struct promote *p, const struct actmsg *m, struct err *e)
{
    struct str src = member(m->value, "src");

    if (m->name.n > 0 && src.n > 0 && !str_eq(m->name, src))
        return err_set(e, AIS_E_BADREQ, "conflicting promote source: \"%.*s\" vs \"%.*s\"", STR_FMT(m->name), STR_FMT(src));
    p->src = m->name.n > 0 ? m->name : src;
    p->obj = member(m->value, "obj");
    p->tid = member(m->value, "tid");
    p->recursive = flag(m->value, "rcr");
    p->overwrite = flag(m->value, "ovw");
    p->delete_src = flag(m->value, "dls");
    p->not_shared = flag(m->value, "notshr");
    if (has_dots(p->obj) || str_starts(p->obj, STR_LIT("~/")))
        return err_set(e, AIS_E_BADREQ, "object name or prefix: invalid prefix \"%.*s\"", STR_FMT(p->obj));
    return check_source(p->src, e);
}

static struct str
question(struct promote *p, bool probe, bool mine, const char *job, struct sbuf *b)
{
    struct jw w;

    sbuf_reset(b);
    jw_init(&w, b, 0);
    jw_obj(&w);
    jw_kstr(&w, "src", p->src);
    jw_kstr(&w, "obj", p->obj);
    jw_kbool(&w, "rcr", p->recursive);
    jw_kbool(&w, "ovw", p->overwrite);
    jw_kbool(&w, "dls", p->delete_src);
    jw_kbool(&w, "mine", mine);
    jw_kbool(&w, "probe", probe);
    jw_kstrz(&w, "job", job);
    jw_obj_end(&w);
    return sbuf_str(b);
}

/* Whom to ask: one target when the client names it, else all. */
static int
choose_targets(struct promote *p, struct err *e)
{
    const struct smap  *map = req_views(p->r)->smap;
    const struct snode *one = p->tid.n > 0 ? smap_find(map, p->tid) : NULL;

    if (p->tid.n > 0 && (one == NULL || one->role != ROLE_TARGET))
        return err_set(e, AIS_E_NONODE, "promote failure: %s: node %.*s does not exist", req_node(p->r)->name, STR_FMT(p->tid));
    p->c = arena_zalloc(p->r->arena, (map->nactive + 1) * sizeof(*p->c));
    if (p->c == NULL || (map->nactive == 0 && one == NULL))
        return err_set(e, AIS_E_UNAVAIL, "%s: no available targets", req_node(p->r)->name);
    if (one != NULL) {
        p->c[p->n++].to = one;
        return 0;
    }
    while (p->n < map->nactive) {
        p->c[p->n].to = map->active[p->n];
        p->n++;
    }
    return 0;
}

static int
ask(struct promote *p, struct str path, struct str body, struct err *e)
{
    int rc = node_bcast(req_node(p->r), p->c, p->n, M_POST, path, body, p->r->arena, ANSWER_MAX,
                        req_views(p->r)->conf->client.long_timeout);

    return rc < 0 ? rc : first_failure(p->c, p->n, e);
}

/* Keep those that see something. *shared: all of several see the same. */
static int
weigh_answers(struct promote *p, bool *shared, struct err *e)
{
    uint64_t files, names, files0 = 0, names0 = 0;
    unsigned i, found = 0;
    bool     same = true;
    json_t  *j;
    int      rc;

    for (i = 0; i < p->n; i++) {
        rc = json_read(p->c[i].resp.body, &j, e);
        if (rc < 0)
            return rc;
        if (!json_u64(json_get_fold(j, "files"), &files) || !json_u64(json_get_fold(j, "names"), &names))
            files = names = 0;
        if (flag(j, "found")) {
            same = same && (found == 0 || (files == files0 && names == names0));
            files0 = files;
            names0 = names;
            p->total += files;
            p->c[found++].to = p->c[i].to;
        }
        json_decref(j);
    }
    if (found == 0)
        return err_set(e, AIS_E_NOENT, "%s: promote source \"%.*s\" does not exist", req_node(p->r)->name, STR_FMT(p->src));
    *shared = same && found == p->n && found > 1 && !p->not_shared;
    if (*shared)
        p->total = files0;
    p->n = found;
    return 0;
}

/* The same as a job of those that see something. */
static int
promote_job(struct promote *p, struct str path, bool shared, struct sbuf *body, struct err *e)
{
    struct node         *n = req_node(p->r);
    const struct snode **to = arena_alloc(p->r->arena, (p->n + 1) * sizeof(struct snode *));
    int                  rc;

    if (to == NULL)
        return err_set(e, AIS_E_NOMEM, "out of memory");
    for (unsigned i = 0; i < p->n; i++)
        to[i] = p->c[i].to;
    uuid_gen(p->job);
    rc = ic_watch(n, p->job, X_PROMOTE, "", &p->b, to, p->n, e);
    if (rc == 0)
        rc = ask(p, path, question(p, false, shared, p->job, body), e);
    if (rc < 0)
        ic_stop_and_forget(n, p->job);
    return rc;
}

static int
promote(struct promote *p, struct err *e)
{
    struct sbuf path, body;
    bool        shared = false;
    int         rc;

    sbuf_init(&path, 64 * KIB);
    sbuf_init(&body, 64 * KIB);
    lso_path(&path, &p->b, "_promote");
    rc = choose_targets(p, e);
    if (rc == 0)
        rc = ask(p, sbuf_str(&path), question(p, true, false, "", &body), e);
    if (rc == 0)
        rc = weigh_answers(p, &shared, e);
    if (rc == 0 && p->total <= SYNC_MAX)
        rc = ask(p, sbuf_str(&path), question(p, false, shared, "", &body), e);
    else if (rc == 0)
        rc = promote_job(p, sbuf_str(&path), shared, &body, e);
    sbuf_fini(&body);
    sbuf_fini(&path);
    return rc;
}

static void
act_promote(struct req *r, struct actmsg *m)
{
    struct promote p = { .r = r };
    struct err     e = { .code = 0 };
    int            rc = req_bck(r, r->item[0], &p.b, NULL, &e);

    if (rc == 0)
        rc = access_check(&p.b, ACC_PROMOTE, &e);
    if (rc == 0)
        rc = promote_read(&p, m, &e);
    if (rc == 0)
        rc = promote(&p, &e);
    if (rc < 0)
        resp_err(r, rc, &e);
    else if (p.job[0] != '\0')
        ais_send_text(r, str_z(p.job));
    else
        resp_empty(r, 200);
}

/* From a remote bucket, as its name says; there are none yet. */
static void
act_blob_download(struct req *r, struct actmsg *m)
{
    struct err e = { .code = 0 };
    struct bck b;
    int        rc = req_bck(r, r->item[0], &b, NULL, &e);

    UNUSED(m);
    if (rc == 0 && bck_is_local(&b))
        rc = err_not_remote(&e, "blob-download", &b);
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        h_not_implemented(r, "blob download");
}

void
h_proxy_promote(struct req *r)
{
    static const struct action acts[] = {
        { "promote", act_promote, NULL },
        { "blob-download", act_blob_download, NULL },
    };

    act_dispatch(r, acts, ARRAY_SIZE(acts));
}
