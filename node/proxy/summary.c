/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bucket summary: started by the first question, collected in the background, fetched by the next ones.
 *
 * A job is a fiber that asks the targets; its result waits here for ten minutes. Runs on: fibers. Parks.
 * Wire: GET /v1/buckets[/BUCKET] {"action":"summary-bck"}, HEAD ...?bsumm_remote (native-api.md 3.5, 3.8)
 */
#include <jansson.h>
#include <stdlib.h>

#include "base/util.h"
#include "codec/jw.h"
#include "proxy/proxy_impl.h"
#include "run/fiber.h"

#define KEEP_NS  SEC_NS(600)
#define KEEP_MAX 256 /* whoever asks and never fetches must not fill the memory */

struct summary {
    struct hnode node;
    char         id[16];
    struct node *n;
    char        *prefix;
    unsigned     nbcks;
    struct bck  *bcks;     /* identities; strings in `a` */
    struct arena *a;
    bool         done;
    int          rc;
    struct err   err;
    char        *json;     /* array of BsummResult */
    int64_t      at;       /* when it was done */
};

static void
summary_free(struct summary *s)
{
    arena_free(s->a);
    free(s->bcks);
    free(s->prefix);
    free(s->json);
    free(s);
}

void
summaries_free(struct proxy *p)
{
    struct hnode *n, *next;

    for (n = hmap_iter(&p->summaries, NULL); n != NULL; n = next) {
        next = hmap_iter(&p->summaries, n);
        summary_free(CONTAINER_OF(n, struct summary, node));
    }
    hmap_fini(&p->summaries);
}

static uint64_t
id_hash(struct str id)
{
    return hash_bytes(id.p, id.n, 3);
}

static struct summary *
find_locked(struct proxy *p, struct str id)
{
    uint64_t h = id_hash(id);

    for (struct hnode *n = hmap_first(&p->summaries, h); n != NULL; n = hmap_next_same(n, h))
        if (str_eqz(id, CONTAINER_OF(n, struct summary, node)->id))
            return CONTAINER_OF(n, struct summary, node);
    return NULL;
}

static void
forget_locked(struct proxy *p, struct summary *s)
{
    hmap_del(&p->summaries, &s->node);
    summary_free(s);
}

/* Results are kept for ten minutes, but no more than so many: the oldest make room. False: that many are at work. */
static bool
room_locked(struct proxy *p)
{
    struct summary *oldest = NULL;
    struct hnode   *n, *next;
    int64_t         now = clock_mono();

    for (n = hmap_iter(&p->summaries, NULL); n != NULL; n = next) {
        struct summary *s = CONTAINER_OF(n, struct summary, node);

        next = hmap_iter(&p->summaries, n);
        if (!s->done)
            continue;
        if (s->at + KEEP_NS < now)
            forget_locked(p, s);
        else if (oldest == NULL || s->at < oldest->at)
            oldest = s;
    }
    if (p->summaries.n < KEEP_MAX)
        return true;
    if (oldest != NULL)
        forget_locked(p, oldest);
    return oldest != NULL;
}

static void
put_result(struct jw *w, const struct bck *b, const struct lso_sum *t)
{
    jw_obj(w);
    put_bck_members(w, b);
    jw_key(w, "ObjCount");
    jw_obj(w);
    jw_ku64s(w, "obj_count_present", t->objects);
    jw_ku64s(w, "obj_count_remote", 0);
    jw_obj_end(w);
    jw_key(w, "ObjSize");
    jw_obj(w);
    jw_ku64(w, "obj_min_size", t->objects == 0 ? 0 : t->min_size);
    jw_ku64(w, "obj_avg_size", t->objects == 0 ? 0 : t->bytes / t->objects);
    jw_ku64(w, "obj_max_size", t->max_size);
    jw_obj_end(w);
    jw_key(w, "TotalSize");
    jw_obj(w);
    jw_ku64s(w, "size_on_disk", t->on_disk);
    jw_ku64s(w, "size_all_present_objs", t->bytes);
    jw_ku64s(w, "size_all_remote_objs", 0);
    jw_ku64s(w, "total_disks_size", t->capacity);
    jw_obj_end(w);
    jw_ku64(w, "used_pct", t->capacity == 0 ? 0 : t->on_disk * 100 / t->capacity);
    jw_kbool(w, "is_present", false);
    jw_obj_end(w);
}

/*
 * One bucket, over all targets. During a rebalance an object that is on its way counts twice, until its source has let go of it: as many
 * as a batch has (xact/rebalance.c), and what was overwritten while a former owner was away.
 */
static int
sum_bucket(struct summary *s, const struct views *v, const struct bck *b, struct lso_sum *t)
{
    struct arena *a = arena_new(4096, 8 * MIB);
    struct bcast *c = NULL;
    struct sbuf   path;
    unsigned      n = 0;
    int           rc = bck_holders(s->n, v, b, a, &c, &n, &s->err);

    *t = (struct lso_sum){ .min_size = UINT64_MAX };
    sbuf_init(&path, 64 * KIB);
    lso_path(&path, b, LSO_VERB_SUMMARY);
    if (rc == 0)
        rc = node_bcast(s->n, c, n, M_POST, sbuf_str(&path), str_z(s->prefix), a, 64 * KIB, v->conf->client.list_timeout);
    if (rc == 0)
        rc = first_failure(c, n, &s->err);
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        struct lso_sum one;

        rc = lso_sum_read(&one, c[i].resp.body, &s->err);
        if (rc < 0)
            break;
        t->objects += one.objects;
        t->bytes += one.bytes;
        t->on_disk += one.on_disk;
        t->capacity += one.capacity;
        t->max_size = MAX(t->max_size, one.max_size);
        if (one.objects > 0)
            t->min_size = MIN(t->min_size, one.min_size);
    }
    sbuf_fini(&path);
    arena_free(a);
    return rc;
}

static void
summary_fiber(void *arg)
{
    struct summary *s = arg;
    struct proxy   *p = proxy_of(s->n);
    struct views    v;
    struct sbuf     out;
    struct jw       w;
    int             rc = 0;

    views_get(s->n, &v);
    sbuf_init(&out, 64 * MIB);
    jw_init(&w, &out, 0);
    jw_arr(&w);
    for (unsigned i = 0; i < s->nbcks && rc == 0; i++) {
        struct lso_sum t;

        rc = sum_bucket(s, &v, &s->bcks[i], &t);
        if (rc == -AIS_E_NOBCK && s->nbcks > 1) { /* gone meanwhile */
            rc = 0;
            err_clear(&s->err);
            continue;
        }
        if (rc == 0)
            put_result(&w, &s->bcks[i], &t);
    }
    jw_arr_end(&w);
    views_put(&v);
    if (rc == 0 && !sbuf_ok(&out))
        rc = -AIS_E_TOOBIG;
    pthread_mutex_lock(&p->mtx);
    s->rc = rc;
    s->at = clock_mono();
    if (rc == 0) {
        s->json = out.p;
    } else {
        err_fill(&s->err, rc);
        sbuf_fini(&out);
    }
    s->done = true;
    pthread_mutex_unlock(&p->mtx);
}

static struct bck
copy_id(struct arena *a, const struct bck *b)
{
    struct bck c = *b;

    c.name = arena_str(a, b->name);
    c.ns_uuid = arena_str(a, b->ns_uuid);
    c.ns_name = arena_str(a, b->ns_name);
    return c;
}

/* Start a job over one bucket, or over all (of a provider). */
static int
summary_start(struct req *r, const struct bck *one, struct str prefix, char id[16])
{
    const struct bmd *m = req_views(r)->bmd;
    struct proxy     *p = proxy_of(req_node(r));
    struct summary   *s = xcalloc(1, sizeof(*s));
    enum provider     prov = PROV_AIS;
    struct str        v;
    bool              all = !req_query(r, STR_LIT("provider"), &v) || !provider_by_name(v, &prov);
    int               rc = 0;

    s->n = req_node(r);
    if (prefix.n > 0 && prefix.p[prefix.n - 1] == '*')
        prefix.n--;
    s->prefix = xstrndup(prefix.p == NULL ? "" : prefix.p, prefix.n);
    s->a = arena_new(1024, 64 * MIB);
    s->bcks = xcalloc(m->n + 1, sizeof(*s->bcks));
    if (one != NULL)
        s->bcks[s->nbcks++] = copy_id(s->a, one);
    for (unsigned i = 0; one == NULL && i < m->n; i++)
        if (all || m->sorted[i]->bck.provider == prov)
            s->bcks[s->nbcks++] = copy_id(s->a, &m->sorted[i]->bck);
    uuid_gen(s->id);
    memcpy(id, s->id, 16);
    pthread_mutex_lock(&p->mtx);
    if (room_locked(p))
        rc = fiber_spawn(loop_self(), "summary", summary_fiber, s); /* on this loop: it runs when this fiber parks */
    else
        rc = -AIS_E_OVERLOAD;
    if (rc == 0)
        hmap_add(&p->summaries, &s->node, id_hash(str_z(s->id)));
    else
        summary_free(s);
    pthread_mutex_unlock(&p->mtx);
    return rc;
}

/* 200 with the result in the arena, 202 while it runs, or an error. */
static int
summary_poll(struct req *r, struct str id, struct str *json, struct err *e)
{
    struct proxy   *p = proxy_of(req_node(r));
    struct summary *s;
    int             rc = 202;

    pthread_mutex_lock(&p->mtx);
    s = find_locked(p, id);
    if (s == NULL) {
        rc = err_set(e, AIS_E_NOXACT, "%s: summary-bck[%.*s] does not exist", req_node(r)->name, STR_FMT(id));
    } else if (s->done && s->rc < 0) {
        *e = s->err;
        rc = s->rc == -AIS_E_NOBCK ? (err_status(e, 410), s->rc) : s->rc;
    } else if (s->done) {
        *json = arena_str(r->arena, str_z(s->json));
        rc = json->p == NULL ? -AIS_E_TOOBIG : 200;
    }
    pthread_mutex_unlock(&p->mtx);
    return rc;
}

static struct str
member(const struct json_t *v, const char *key)
{
    const json_t *s = v == NULL ? NULL : json_get_fold(v, key);

    return s != NULL && json_is_string(s) ? str_from(json_string_value(s), json_string_length(s)) : STR_LIT("");
}

void
summary_get(struct req *r, struct str name, const struct json_t *value)
{
    struct str id = member(value, "uuid"), json = STR_NULL;
    struct err e = { .code = 0 };
    struct bck b;
    char       nid[16];
    int        rc = name.n > 0 ? req_bck(r, name, &b, NULL, &e) : 0;

    if (relay_to_primary(r)) /* where jobs are, so that the next question may come to any proxy */
        return;
    if (rc == -AIS_E_NOBCK && id.n > 0)
        err_status(&e, 410); /* it was there when the job began */
    if (rc == 0 && id.n == 0) {
        rc = summary_start(r, name.n > 0 ? &b : NULL, member(value, "prefix"), nid);
        if (rc == 0) {
            resp_send(r, 202, "text/plain; charset=utf-8", str_z(nid));
            return;
        }
    } else if (rc == 0) {
        rc = summary_poll(r, id, &json, &e);
    }
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        resp_send(r, rc, "text/plain; charset=utf-8", rc == 200 ? arena_printf(r->arena, "%.*s\n", STR_FMT(json))
                                                                : STR_LIT("[]"));
}

/* The one element of the array, as the answer to HEAD: only there AIStore says that the bucket is present. */
static struct str
head_summary(struct req *r, struct str json)
{
    const struct str absent = STR_LIT("\"is_present\":false}");

    if (json.n < absent.n + 2)
        return STR_NULL;
    return arena_printf(r->arena, "%.*s\"is_present\":true}", STR_FMT(str_from(json.p + 1, json.n - 2 - absent.n)));
}

void
summary_head(struct req *r, const struct bck *b, struct str prefix, struct str id)
{
    struct str json = STR_NULL;
    struct err e = { .code = 0 };
    char       nid[16];
    int        rc;

    if (id.n == 0) {
        rc = summary_start(r, b, prefix, nid);
        if (rc == 0) {
            resp_hdr(r, "Ais-Xaction-Id", str_z(nid));
            resp_empty(r, 202);
            return;
        }
    } else {
        rc = summary_poll(r, id, &json, &e);
    }
    if (rc < 0) {
        resp_err(r, rc, &e);
        return;
    }
    resp_hdr(r, "Ais-Xaction-Id", id);
    if (rc == 200)
        resp_hdr(r, "Ais-Bucket-Summ", head_summary(r, json));
    resp_empty(r, rc);
}
