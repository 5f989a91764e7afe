/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a target tells of its jobs: to the information centre that one has ended or how far it is, to the store that capacity changed.
 *
 * Runs on: fibers of the first loop, started here. They park.
 * Wire:    POST /v1/notifs/finished, /v1/notifs/progress (jobs-and-services.md 1.7)
 */
#include "xact/xact_impl.h"

#include "base/log.h"
#include "base/util.h"
#include "codec/jw.h"
#include "core/conf.h"
#include "core/node.h"
#include "store/store.h"

#define TRIES     3
#define RETRY_NS  MSEC_NS(300)
#define BODY_MAX  (256 * KIB)

static void
b64(struct sbuf *out, struct str in)
{
    static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < in.n; i += 3) {
        uint32_t v = (uint32_t)(unsigned char)in.p[i] << 16;

        v |= i + 1 < in.n ? (uint32_t)(unsigned char)in.p[i + 1] << 8 : 0;
        v |= i + 2 < in.n ? (unsigned char)in.p[i + 2] : 0;
        sbuf_putc(out, abc[v >> 18]);
        sbuf_putc(out, abc[v >> 12 & 63]);
        sbuf_putc(out, i + 1 < in.n ? abc[v >> 6 & 63] : '=');
        sbuf_putc(out, i + 2 < in.n ? abc[v & 63] : '=');
    }
}

/* NotifMsg: "message" is the Snap, base64. */
static void
put_msg(struct xact *x, const char *node_id, struct sbuf *out)
{
    struct sbuf snap, text;
    struct jw   w;
    char        err[1200];

    sbuf_init(&snap, BODY_MAX);
    sbuf_init(&text, BODY_MAX);
    jw_init(&w, &snap, 0);
    xact_snap(x, &w);
    b64(&text, sbuf_str(&snap));
    pthread_mutex_lock(&x->mtx);
    if (xact_aborted(x))
        (void)str_copyz(str_z(x->abort_err), err, sizeof(err));
    else
        xact_err_text_locked(x, err, sizeof(err));
    pthread_mutex_unlock(&x->mtx);
    jw_init(&w, out, 0);
    jw_obj(&w);
    jw_kstrz(&w, "uuid", x->id);
    jw_kstrz(&w, "node_id", node_id);
    jw_kstrz(&w, "kind", xact_desc(x)->kind);
    jw_kstrz(&w, "err", err);
    jw_kstr(&w, "message", sbuf_str(&text));
    jw_kbool(&w, "aborted", xact_aborted(x));
    jw_obj_end(&w);
    sbuf_fini(&snap);
    sbuf_fini(&text);
}

/* Was not heard, rather than refused. */
static bool
unheard(int rc)
{
    return rc == -AIS_E_PEER || rc == -AIS_E_TIMEOUT || rc == -AIS_E_CLOSED || rc == -AIS_E_UNAVAIL;
}

/* POST to all members of the information centre; again to those that could not be reached. They poll, too: what is lost is only late. */
static void
tell(struct node *n, const char *target, struct str body)
{
    struct arena *a = arena_new(4 * KIB, 1 * MIB);
    struct views  v;
    struct bcast *c;
    unsigned      nc = 0;

    views_get(n, &v);
    c = arena_zalloc(a, (v.smap->nnodes + 1) * sizeof(*c));
    for (unsigned i = 0; c != NULL && i < v.smap->nnodes; i++)
        if (v.smap->nodes[i].role == ROLE_PROXY && (v.smap->nodes[i].flags & SNODE_IC))
            c[nc++].to = &v.smap->nodes[i];
    for (unsigned t = 0; t < TRIES && nc > 0; t++) {
        unsigned left = 0;

        if (t > 0 && fiber_sleep(RETRY_NS) < 0)
            break;
        (void)node_bcast(n, c, nc, M_POST, str_z(target), body, a, 16 * KIB, v.conf->timeout.cplane_operation);
        for (unsigned i = 0; i < nc; i++)
            if (unheard(c[i].rc))
                c[left++] = (struct bcast){ .to = c[i].to };
        nc = left;
    }
    if (nc > 0)
        log_debug("information centre not told", { "of", LZ(target) }, { "proxy", LZ(c[0].to->id) });
    views_put(&v);
    arena_free(a);
}

static void
tell_state(struct xact *x, const char *target)
{
    struct sbuf body;

    sbuf_init(&body, BODY_MAX);
    put_msg(x, x->g->n->id, &body);
    tell(x->g->n, target, sbuf_str(&body));
    sbuf_fini(&body);
}

static void
begin_fiber(void *arg)
{
    struct xact *x = arg;
    struct sbuf  body;

    sbuf_init(&body, BODY_MAX);
    sbuf_printf(&body, "{\"action\":\"reg-global-xaction\",\"value\":{\"uuid\":\"%s\",\"kind\":\"%s\",\"srcs\":[\"%s\"]}}", x->id,
                xact_desc(x)->kind, x->g->n->id);
    tell(x->g->n, "/v1/ic", sbuf_str(&body));
    if (atomic_load(&x->ended) != 0) /* its end was told to nobody who knew it */
        tell_state(x, "/v1/notifs/finished");
    sbuf_fini(&body);
    xact_put(x);
}

static void
end_fiber(void *arg)
{
    struct xact *x = arg;
    unsigned     flags = xact_desc(x)->flags;

    if ((flags & XF_CAP) && x->g->n->store != NULL)
        (void)store_cap_refresh(x->g->n->store);
    if (flags & XF_IC)
        tell_state(x, "/v1/notifs/finished");
    xact_put(x);
}

static void
progress_fiber(void *arg)
{
    struct xact *x = arg;

    tell_state(x, "/v1/notifs/progress");
    xact_put(x);
}

void
xact_tell_end(struct xact *x)
{
    if (x->g->n == NULL || !(xact_desc(x)->flags & (XF_IC | XF_CAP)))
        return;
    if (fiber_spawn(run_loop(x->g->run, 0), "job end", end_fiber, xact_ref(x)) < 0)
        xact_put(x);
}

void
xact_tell_begin(struct xact *x)
{
    if (fiber_spawn(run_loop(x->g->run, 0), "job begin", begin_fiber, xact_ref(x)) < 0)
        xact_put(x);
}

void
xact_tell_progress(struct xact *x)
{
    int64_t      now = clock_mono(), last = atomic_load(&x->reported), every;
    struct views v;

    if (x->g->n == NULL)
        return;
    views_get(x->g->n, &v);
    every = v.conf->periodic.notif_time;
    views_put(&v);
    if (now - last < every)
        return;
    atomic_store(&x->reported, now);
    if (fiber_spawn(run_loop(x->g->run, 0), "job progress", progress_fiber, xact_ref(x)) < 0)
        xact_put(x);
}
