/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: who handles which name. Sending is in strmtx.c, receiving in strmrx.c. Runs on: any thread. */
#include "core/strm.h"

#include "core/strm_impl.h"

#include "base/assert.h"
#include "base/util.h"

void
strms_init(struct node *n)
{
    struct strms *s = xcalloc(1, sizeof(*s));

    s->n = n;
    MUST(pthread_mutex_init(&s->mtx, NULL));
    s->loops = xcalloc(run_nloops(n->run), sizeof(*s->loops));
    n->strms = s;
}

void
strms_fini(struct node *n)
{
    struct strms *s = n->strms;

    if (s == NULL)
        return;
    for (unsigned i = 0; i < run_nloops(n->run); i++)
        strm_outs_free(&s->loops[i]);
    pthread_mutex_destroy(&s->mtx);
    free(s->loops);
    free(s);
    n->strms = NULL;
}

static struct strm_handler *
find_locked(struct strms *s, struct str name)
{
    for (unsigned i = 0; i < s->nnames; i++)
        if (str_eqz(name, s->names[i].name))
            return &s->names[i];
    return NULL;
}

struct strm_handler *
strm_handler_find(struct strms *s, struct str name)
{
    struct strm_handler *h;

    MUST(pthread_mutex_lock(&s->mtx));
    h = find_locked(s, name);
    MUST(pthread_mutex_unlock(&s->mtx));
    return h;
}

strm_recv_f *
strm_handler_enter(struct strms *s, struct strm_handler *h, void **ctx)
{
    strm_recv_f *fn;

    MUST(pthread_mutex_lock(&s->mtx));
    fn = h->fn;
    *ctx = h->ctx;
    h->busy += fn != NULL;
    MUST(pthread_mutex_unlock(&s->mtx));
    return fn;
}

void
strm_handler_leave(struct strms *s, struct strm_handler *h)
{
    MUST(pthread_mutex_lock(&s->mtx));
    ASSERT(h->busy > 0);
    if (--h->busy == 0 && h->idle != NULL) {
        (void)park_wake(h->idle, 0);
        h->idle = NULL;
    }
    MUST(pthread_mutex_unlock(&s->mtx));
}

int
strm_handle(struct node *n, const char *name, strm_recv_f *fn, void *ctx)
{
    struct strms        *s = n->strms;
    struct strm_handler *h;
    int                  rc = 0;

    ASSERT(strlen(name) <= STRM_NAME_MAX && fn != NULL);
    MUST(pthread_mutex_lock(&s->mtx));
    h = find_locked(s, str_z(name));
    if (h == NULL && s->nnames < STRM_NAMES)
        h = &s->names[s->nnames++];
    if (h == NULL) {
        rc = -AIS_E_OVERLOAD;
    } else if (h->fn != NULL || h->busy > 0) {
        rc = -AIS_E_EXISTS;
    } else {
        h->name = name;
        h->fn = fn;
        h->ctx = ctx;
    }
    MUST(pthread_mutex_unlock(&s->mtx));
    return rc;
}

void
strm_unhandle(struct node *n, const char *name)
{
    struct strms        *s = n->strms;
    struct strm_handler *h;
    struct park          p;
    bool                 wait = false;

    ASSERT_MAY_PARK();
    park_init(&p);
    MUST(pthread_mutex_lock(&s->mtx));
    h = find_locked(s, str_z(name));
    if (h != NULL) {
        h->fn = NULL;
        wait = h->busy > 0;
        ASSERT(h->idle == NULL);
        h->idle = wait ? &p : NULL;
    }
    MUST(pthread_mutex_unlock(&s->mtx));
    if (!wait)
        return;
    fiber_shield();
    (void)park_wait(&p, NO_DEADLINE);
    fiber_unshield();
}
