/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primary's part of a rebalance: targets say that they have finished, and when all that are alive have, it is over.
 *
 * Targets say it again every second while the metadata says "running": what is counted here is lost with a primary, and its successor soon
 * knows as much.
 *
 * Runs on: fibers. May park. Wire: POST /v1/rebalance {"reb":N,"errors":E}, between nodes only.
 */
#include <jansson.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"
#include "codec/jw.h"
#include "core/meta.h"
#include "core/smap.h"
#include "proxy/proxy_impl.h"

struct finisher {
    char     id[NODE_ID_MAX + 1];
    uint64_t errors;
};

struct reb_done {
    uint64_t         reb;    /* of which rebalance */
    bool             ending; /* somebody is changing the metadata */
    unsigned         n, cap;
    struct finisher *f;
};

struct reb_done *
reb_done_new(void)
{
    return xcalloc(1, sizeof(struct reb_done));
}

void
reb_done_free(struct reb_done *d)
{
    free(d->f);
    free(d);
}

static struct finisher *
find(struct reb_done *d, const char *id)
{
    for (unsigned i = 0; i < d->n; i++)
        if (strcmp(d->f[i].id, id) == 0)
            return &d->f[i];
    return NULL;
}

static void
note(struct reb_done *d, uint64_t reb, const char *id, uint64_t errors)
{
    struct finisher *f;

    if (d->reb != reb) {
        d->reb = reb;
        d->n = 0;
    }
    f = find(d, id);
    if (f == NULL) {
        if (d->n == d->cap) {
            d->cap = MAX(16u, 2 * d->cap);
            d->f = xrealloc(d->f, d->cap * sizeof(*d->f));
        }
        f = &d->f[d->n++];
        str_copyz(str_z(id), f->id, sizeof(f->id));
    }
    f->errors = errors;
}

/* Every target that is alive takes part, also one that only has things to give away. */
static bool
all_finished(struct reb_done *d, const struct smap *m, uint64_t *errors)
{
    *errors = 0;
    for (unsigned i = 0; i < m->nnodes; i++) {
        const struct snode    *t = &m->nodes[i];
        const struct finisher *f = t->role == ROLE_TARGET ? find(d, t->id) : NULL;

        if (t->role != ROLE_TARGET || (t->flags & SNODE_DEAD))
            continue;
        if (f == NULL)
            return false;
        *errors += f->errors;
    }
    return true;
}

/* True: this one is to end it. */
static bool
finished(struct proxy *p, const struct views *v, const char *id, uint64_t reb, uint64_t nerrs, uint64_t *errors)
{
    bool end = false;

    MUST(pthread_mutex_lock(&p->mtx));
    if (v->rmd->state == RMD_RUNNING && v->rmd->reb_id == reb) {
        note(p->reb, reb, id, nerrs);
        end = !p->reb->ending && all_finished(p->reb, v->smap, errors);
        p->reb->ending |= end;
    }
    MUST(pthread_mutex_unlock(&p->mtx));
    return end;
}

static void
end_it(struct node *n, uint64_t reb, uint64_t errors)
{
    struct proxy *p = proxy_of(n);
    struct err    e = { .code = 0 };
    int           rc;

    if (errors > 0)
        log_error("a rebalance leaves objects where they were", { "id", LU64(reb) }, { "objects", LU64(errors) });
    rc = meta_reb_end(n, reb, errors > 0, &e);
    if (rc < 0)
        log_warn("the end of a rebalance is not agreed yet", { "id", LU64(reb) }, { "error", LZ(e.text) });
    MUST(pthread_mutex_lock(&p->mtx));
    p->reb->ending = false;
    MUST(pthread_mutex_unlock(&p->mtx));
}

/* POST /v1/rebalance */
void
h_proxy_reb_finished(struct req *r)
{
    struct node   *n = req_node(r);
    struct caller *c = r->user;
    struct err     e = { .code = 0 };
    json_t        *j = NULL;
    uint64_t       reb = 0, nerrs = 0, errors = 0;
    int            rc = json_read(r->body, &j, &e);

    if (rc == 0 && (!json_u64(json_object_get(j, "reb"), &reb) || !json_u64(json_object_get(j, "errors"), &nerrs)))
        rc = err_set(&e, AIS_E_BADREQ, "malformed end of a rebalance");
    json_decref(j);
    if (rc == 0 && !node_is_primary(n, c->v.smap))
        rc = err_set(&e, AIS_E_NOTPRIMARY, "%s is not primary", n->name);
    if (rc < 0)
        return resp_err(r, rc, &e);
    if (finished(proxy_of(n), &c->v, c->id, reb, nerrs, &errors))
        end_it(n, reb, errors);
    resp_empty(r, 200);
}
