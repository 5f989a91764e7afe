/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change of the BMD means for the disks of a target: folders made, folders thrown away; again and again until it is done.
 *
 * The change itself is agreed and adopted whatever happens here. What fails is reported once, to whoever made the change and may take it back;
 * then it is tried again every two seconds as long as the newest BMD wants it. A process that dies in between finds out at its next start: it
 * makes what its BMD has, and throws away what is stamped with an id that its BMD does not have any more.
 *
 * Runs on: the adopter's fiber and one of its own, on the control loop. May park.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"
#include "run/fiber.h"
#include "target/target_impl.h"
#include "xact/xact.h"

#define RETRY_NS SEC_NS(2)

/* A bucket that is to go and did not go altogether. Those to be made are those of the BMD. */
struct going {
    struct going *next;
    struct bck    b;
    char          mem[];
};

/* In the other map, and the same bucket: one that was destroyed and made again has another id. */
static bool
bmd_has(const struct bmd *m, const struct bck *b)
{
    const struct bucket *k = m != NULL ? bmd_find(m, b) : NULL;

    return k != NULL && k->bck.bid == b->bid;
}

static struct going *
going_new(const struct bck *b)
{
    struct going *g = xcalloc(1, sizeof(*g) + b->name.n + b->ns_uuid.n + b->ns_name.n);
    struct str   *to[] = { &g->b.name, &g->b.ns_uuid, &g->b.ns_name };
    char         *at = g->mem;

    g->b = *b;
    for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
        struct str s = *to[i];

        *to[i] = str_from(at, s.n);
        if (s.n > 0)
            memcpy(at, s.p, s.n);
        at += s.n;
    }
    return g;
}

static int
destroy_one(struct node *n, const struct bck *b)
{
    char       name[BCK_DISPLAY_MAX];
    struct err e = { .code = 0 };
    int        rc = store_bck_destroy(n->store, b, &e);

    if (rc < 0)
        log_error("a bucket that was destroyed is not gone yet, will be tried again", { "bucket", LZ(bck_display(b, name)) },
                  { "error", LZ(e.text) });
    return rc;
}

static void
destroy_gone(struct node *n, const struct bmd *old, const struct bmd *nw)
{
    struct target *t = target_of(n);

    for (unsigned i = 0; i < old->n; i++) {
        const struct bck *b = &old->sorted[i]->bck;
        struct going     *g;

        if (bmd_has(nw, b))
            continue;
        (void)xreg_stop(n->jobs, &(struct xfilter){ .kind = X_ANY, .bck = b }, "bucket is gone");
        if (destroy_one(n, b) == 0)
            continue;
        g = going_new(b);
        g->next = t->going;
        t->going = g;
    }
}

/* Those that are new; all of them, whatever fails. Those that were known are looked at only when one of them is not whole. */
static int
make_new(struct node *n, const struct bmd *old, const struct bmd *nw, struct err *e)
{
    struct target *t = target_of(n);
    int            rc, first = 0;

    for (unsigned i = 0; i < nw->n; i++) {
        const struct bck *b = &nw->sorted[i]->bck;
        struct err        one = { .code = 0 };

        if (old != NULL && bmd_has(old, b))
            continue;
        rc = store_bck_create(n->store, b, &one);
        if (rc == 0)
            continue;
        t->unmade = true;
        if (first == 0 && e != NULL)
            *e = one;
        first = first < 0 ? first : rc;
    }
    return first;
}

static void
going_drop(struct target *t, struct going *g)
{
    struct going **at = &t->going;

    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    free(g);
}

/* True: nothing is left to be done. */
static bool
retry_round(struct node *n)
{
    struct target *t = target_of(n);
    struct going  *g, *next;
    struct views   v;
    struct err     e = { .code = 0 };

    for (g = t->going; g != NULL; g = next) { /* the adopter may put others in front meanwhile; only this fiber takes out */
        bool gone = store_bck_destroy(n->store, &g->b, NULL) == 0;

        next = g->next;
        if (!gone)
            continue;
        log_info("bucket is gone at last", { "bucket", LSTR(g->b.name) });
        going_drop(t, g);
    }
    if (t->unmade) {
        views_get(n, &v);
        t->unmade = false;
        if (make_new(n, NULL, v.bmd, &e) == 0)
            log_info("all buckets are made");
        views_put(&v);
    }
    return t->going == NULL && !t->unmade;
}

static void
retry_fiber(void *arg)
{
    struct node   *n = arg;
    struct target *t = target_of(n);
    int64_t        due = deadline_in(clock_mono(), RETRY_NS);

    while (!atomic_load(&t->stopping)) {
        if (fiber_sleep(MSEC_NS(100)) < 0)
            break;
        if (clock_mono() < due)
            continue;
        if (retry_round(n))
            break;
        due = deadline_in(clock_mono(), RETRY_NS);
    }
    atomic_store(&t->retrying, false);
}

static void
retry_start(struct node *n)
{
    struct target *t = target_of(n);

    if ((t->going == NULL && !t->unmade) || atomic_load(&t->stopping) || atomic_exchange(&t->retrying, true))
        return;
    if (fiber_spawn(run_loop(n->run, 0), "buckets", retry_fiber, n) < 0)
        atomic_store(&t->retrying, false);
}

int
bckwork_follow(struct node *n, const struct bmd *old, const struct bmd *nw, struct err *e)
{
    int rc;

    store_set_cluster(n->store, nw->uuid);
    FAIL_POINT("bmd.before", (void)0);
    destroy_gone(n, old, nw);
    FAIL_POINT("bmd.destroyed", (void)0);
    rc = make_new(n, old, nw, e);
    FAIL_POINT("bmd.made", (void)0);
    retry_start(n);
    return rc;
}

void
bckwork_stop(struct target *t)
{
    struct going *g;

    atomic_store(&t->stopping, true);
    while (atomic_load(&t->retrying))
        usleep(5000);
    while ((g = t->going) != NULL) {
        t->going = g->next;
        free(g);
    }
}
