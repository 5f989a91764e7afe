/* SPDX-License-Identifier: Apache-2.0 */
/* The same question to many nodes at once: see nodes.h. */
#include "cli/nodes.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "cli/batch.h"
#include "codec/jw.h"

struct asking {
    struct nodes *ns;
    const char   *path;
};

static int
ask_one(struct batch *b, struct session *s, const struct item *it, struct fault *f)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct asking             *a = b->arg;
    struct node_doc           *d = &a->ns->v[it->off];
    struct http_req            q = { .method = "GET" };
    int                        rc = api_at_node(s, d->id, &q, a->path, &r, f);

    if (rc == CLI_OK && json_read(sbuf_str(&r.body), &d->doc, NULL) < 0)
        rc = fault_set(f, CLI_FAILED, "%s answered something that is not JSON", d->name);
    d->f = *f;
    if (rc == CLI_OK)
        d->raw = str_z(xstrndup(r.body.p, r.body.n));
    return rc;
}

static void
add_nodes(struct ctx *c, struct nodes *ns, const char *map, bool target, const char *only)
{
    const char *primary = get_text(json_object_get(ns->smap, "proxy_si"), "daemon_id"), *id;
    json_t     *sn;

    json_object_foreach(json_object_get(ns->smap, map), id, sn)
    {
        struct node_doc *d = &ns->v[ns->n];

        if (only != NULL && strcmp(only, id) != 0)
            continue;
        d->id = arena_strdup(c->mem, str_z(id));
        d->url = arena_strdup(c->mem, str_z(get_text(json_object_get(sn, "public_net"), "direct_url")));
        d->target = target;
        d->primary = strcmp(id, primary) == 0;
        d->name = out_fmt(c, "%c[%s]%s", target ? 't' : 'p', id, d->primary ? "[P]" : "");
        ns->n++;
    }
}

int
nodes_ask(struct ctx *c, enum node_sel sel, const char *typed, const char *path, struct nodes *ns, struct fault *f)
{
    struct asking a = { .ns = ns, .path = path };
    struct batch  b = { .c = c, .what = "", .fn = ask_one, .arg = &a, .no_bar = true };
    const char   *only = NULL;
    bool          is_target = false;
    int           rc;

    if (typed != NULL && api_node(c, typed, &only, &is_target, f) != CLI_OK)
        return f->code;
    if (typed != NULL && ((sel == NODES_TARGETS && !is_target) || (sel == NODES_PROXIES && is_target)))
        return fault_set(f, CLI_USAGE, "\"%s\" is not a %s", typed, sel == NODES_TARGETS ? "target" : "proxy");
    rc = api_smap(c, &ns->smap, f);
    if (rc != CLI_OK)
        return rc;
    ns->v = xcalloc(json_object_size(json_object_get(ns->smap, "pmap")) + json_object_size(json_object_get(ns->smap, "tmap")) + 1,
                    sizeof(*ns->v));
    if (sel != NODES_TARGETS)
        add_nodes(c, ns, "pmap", false, only);
    if (sel != NODES_PROXIES)
        add_nodes(c, ns, "tmap", true, only);
    for (size_t i = 0; path != NULL && i < ns->n; i++)
        batch_add(&b, &(struct item){ .off = (int64_t)i });
    if (b.n > 0)
        (void)batch_run(&b, true);
    return atomic_load(&session_interrupted) ? fault_set(f, CLI_INTERRUPTED, "interrupted") : CLI_OK;
}

void
nodes_fini(struct nodes *ns)
{
    for (size_t i = 0; i < ns->n; i++) {
        json_decref(ns->v[i].doc);
        free((char *)(uintptr_t)ns->v[i].raw.p);
    }
    free(ns->v);
    json_decref(ns->smap);
    *ns = (struct nodes){ .n = 0 };
}

void
nodes_json(const struct nodes *ns)
{
    struct sbuf b;
    struct jw   w;

    sbuf_init(&b, 1 * GIB);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    for (size_t i = 0; i < ns->n; i++) {
        jw_key(&w, ns->v[i].id);
        if (ns->v[i].doc != NULL)
            jw_raw(&w, ns->v[i].raw);
        else
            jw_null(&w);
    }
    jw_obj_end(&w);
    json_print(sbuf_str(&b));
    sbuf_fini(&b);
}

int
nodes_exit(const struct nodes *ns)
{
    struct tally t = { .done = 0 };

    for (size_t i = 0; i < ns->n; i++) {
        tally_add(&t, ns->v[i].doc != NULL ? CLI_OK : CLI_UNREACHABLE);
        if (ns->v[i].doc == NULL)
            fprintf(stderr, "Error: %s: %s\n", ns->v[i].name, ns->v[i].f.text);
    }
    return tally_exit(&t);
}
