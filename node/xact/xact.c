/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One job: its fibers and their end, abort, counters, progress, errors, and the Snap that says it all.
 *
 * Runs on: any thread; fibers where the header says that it parks. Wire: jobs-and-services.md 1.4, 1.6.
 */
#include <stdarg.h>
#include <stdio.h>

#include "xact/xact_impl.h"

#include "base/log.h"
#include "base/units.h"
#include "base/util.h"
#include "codec/jw.h"

#define SAMPLE_NS SEC_NS(1)
#define IDLE_SEEN SEC_NS(4) /* "is_idle" when nothing came for so long */

/* --- buckets --- */

void
xbck_set(struct xbck *x, const struct bck *b)
{
    *x = (struct xbck){ .set = b != NULL };
    if (b == NULL)
        return;
    x->b = *b;
    (void)str_copyz(b->name, x->name, sizeof(x->name));
    (void)str_copyz(b->ns_uuid, x->ns_uuid, sizeof(x->ns_uuid));
    (void)str_copyz(b->ns_name, x->ns_name, sizeof(x->ns_name));
    x->b.name = str_z(x->name);
    x->b.ns_uuid = str_z(x->ns_uuid);
    x->b.ns_name = str_z(x->ns_name);
}

bool
xbck_same(const struct bck *a, const struct bck *b)
{
    return a->provider == b->provider && str_eq(a->name, b->name) && str_eq(a->ns_uuid, b->ns_uuid) &&
           str_eq(a->ns_name, b->ns_name) && (a->bid == b->bid || a->bid == 0 || b->bid == 0);
}

void
xbck_json(struct jw *w, const struct bck *b)
{
    jw_obj(w);
    jw_kstr(w, "name", b == NULL ? STR_LIT("") : b->name);
    jw_kstrz(w, "provider", b == NULL ? "" : provider_name(b->provider));
    jw_key(w, "namespace");
    jw_obj(w);
    jw_kstr(w, "uuid", b == NULL ? STR_LIT("") : b->ns_uuid);
    jw_kstr(w, "name", b == NULL ? STR_LIT("") : b->ns_name);
    jw_obj_end(w);
    jw_obj_end(w);
}

/* --- references --- */

struct xact *
xact_ref(struct xact *x)
{
    CHECK(x, XACT_MAGIC);
    atomic_fetch_add(&x->refs, 1);
    return x;
}

void
xact_put(struct xact *x)
{
    if (x == NULL)
        return;
    CHECK(x, XACT_MAGIC);
    if (atomic_fetch_sub(&x->refs, 1) > 1)
        return;
    ASSERT(TAILQ_EMPTY(&x->fibers) && TAILQ_EMPTY(&x->waiters));
    for (unsigned i = 0; i < MIN(x->nerrs, XERRS_MAX); i++)
        free(x->errs[i]);
    MUST(pthread_mutex_destroy(&x->mtx));
    x->magic = 0;
    free(x);
}

/* --- facts --- */

const char *
xact_id(const struct xact *x)
{
    return x->id;
}

enum xkind
xact_kind(const struct xact *x)
{
    return x->kind;
}

const struct bck *
xact_bck(const struct xact *x)
{
    return x->bck.set ? &x->bck.b : NULL;
}

struct xreg *
xact_reg(const struct xact *x)
{
    return x->g;
}

bool
xact_aborted(const struct xact *x)
{
    return atomic_load(&x->aborted);
}

bool
xact_running(const struct xact *x)
{
    return atomic_load(&x->ended) == 0 && !xact_aborted(x);
}

const char *
xact_name(const struct xact *x, char out[XNAME_MAX])
{
    char b[BCK_DISPLAY_MAX];

    if (x->bck.set)
        snprintf(out, XNAME_MAX, "x-%s[%s]-%.150s", xact_desc(x)->kind, x->id, bck_display(&x->bck.b, b));
    else
        snprintf(out, XNAME_MAX, "x-%s[%s]", xact_desc(x)->kind, x->id);
    return out;
}

/* --- counters --- */

void
xact_count(struct xact *x, enum xcount what, uint64_t objs, uint64_t bytes)
{
    atomic_fetch_add_explicit(&x->objs[what], objs, memory_order_relaxed);
    atomic_fetch_add_explicit(&x->bytes[what], bytes, memory_order_relaxed);
}

void
xact_workers(struct xact *x, unsigned joggers, unsigned workers)
{
    atomic_store(&x->packed, (uint64_t)(joggers & 0x3ff) | (uint64_t)(workers & 0x3ff) << 10);
}

void
xact_total(struct xact *x, uint64_t objs, uint64_t bytes)
{
    atomic_store_explicit(&x->total_objs, objs, memory_order_relaxed);
    atomic_store_explicit(&x->total_bytes, bytes, memory_order_relaxed);
}

static void
sample_take(struct xact *x, int64_t now)
{
    struct xsample *s;

    pthread_mutex_lock(&x->mtx);
    s = &x->samples[x->nsamples++ % SAMPLES];
    s->at = now;
    s->objs = atomic_load(&x->done_objs);
    s->bytes = atomic_load(&x->done_bytes);
    pthread_mutex_unlock(&x->mtx);
}

void
xact_done(struct xact *x, uint64_t objs, uint64_t bytes)
{
    int64_t now = clock_mono(), last = atomic_load_explicit(&x->sampled, memory_order_relaxed);

    atomic_fetch_add_explicit(&x->done_objs, objs, memory_order_relaxed);
    atomic_fetch_add_explicit(&x->done_bytes, bytes, memory_order_relaxed);
    if (now - last >= SAMPLE_NS && atomic_compare_exchange_strong(&x->sampled, &last, now))
        sample_take(x, now);
}

void
xact_busy(struct xact *x)
{
    atomic_fetch_add(&x->busy, 1);
}

void
xact_unbusy(struct xact *x)
{
    atomic_store(&x->idle_since, clock_mono());
    ASSERT(atomic_fetch_sub(&x->busy, 1) > 0);
}

/* --- texts --- */

void
xact_ctlmsg(struct xact *x, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    pthread_mutex_lock(&x->mtx);
    vsnprintf(x->ctl, sizeof(x->ctl), fmt, ap);
    pthread_mutex_unlock(&x->mtx);
    va_end(ap);
}

static void
err_add_locked(struct xact *x, const char *text)
{
    unsigned kept = MIN(x->nerrs, XERRS_MAX);

    for (unsigned i = 0; i < kept; i++)
        if (strcmp(x->errs[i], text) == 0)
            return;
    if (kept < XERRS_MAX)
        x->errs[kept] = xstrdup(text);
    x->nerrs++;
}

void
xact_err(struct xact *x, int rc, const struct err *e)
{
    if (xact_aborted(x))
        return;
    pthread_mutex_lock(&x->mtx);
    err_add_locked(x, e != NULL && e->code != 0 && e->text[0] != '\0' ? e->text : err_text(rc));
    pthread_mutex_unlock(&x->mtx);
}

unsigned
xact_nerrs(const struct xact *x)
{
    struct xact *y = (struct xact *)(uintptr_t)x;
    unsigned     n;

    pthread_mutex_lock(&y->mtx);
    n = y->nerrs;
    pthread_mutex_unlock(&y->mtx);
    return n;
}

void
xact_err_text_locked(const struct xact *x, char *buf, size_t n)
{
    unsigned more = x->nerrs > 0 ? x->nerrs - 1 : 0;

    if (x->nerrs == 0)
        buf[0] = '\0';
    else if (more == 0)
        snprintf(buf, n, "%s", x->errs[0]);
    else
        snprintf(buf, n, "%s (and %u more error%s)", x->errs[0], more, more == 1 ? "" : "s");
}

/* --- waiting and being woken --- */

static void
wake_locked(struct xact *x)
{
    struct xwaiter *w;

    while ((w = TAILQ_FIRST(&x->waiters)) != NULL) {
        TAILQ_REMOVE(&x->waiters, w, link);
        w->link.tqe_prev = NULL;
        park_wake(&w->park, 0);
    }
}

/* Under x->mtx, which is released while parked. */
static int
wait_locked(struct xact *x, int64_t deadline)
{
    struct xwaiter w;
    int            rc;

    park_init(&w.park);
    TAILQ_INSERT_TAIL(&x->waiters, &w, link);
    pthread_mutex_unlock(&x->mtx);
    rc = park_wait(&w.park, deadline);
    pthread_mutex_lock(&x->mtx);
    if (w.link.tqe_prev != NULL)
        TAILQ_REMOVE(&x->waiters, &w, link);
    return rc;
}

int
xact_wait(struct xact *x, int64_t deadline)
{
    int rc = 0;

    ASSERT_MAY_PARK();
    pthread_mutex_lock(&x->mtx);
    while (rc == 0 && xact_running(x))
        rc = wait_locked(x, deadline);
    pthread_mutex_unlock(&x->mtx);
    return rc;
}

int
xact_wait_over(struct xact *x, int64_t deadline)
{
    int rc = 0;

    ASSERT_MAY_PARK();
    pthread_mutex_lock(&x->mtx);
    while (rc == 0 && atomic_load(&x->ended) == 0)
        rc = wait_locked(x, deadline);
    pthread_mutex_unlock(&x->mtx);
    return rc;
}

int
xact_sleep(struct xact *x, int64_t ns)
{
    int rc;

    if (xact_aborted(x))
        return -AIS_E_CANCELED;
    rc = fiber_sleep(ns);
    return rc == 0 && xact_aborted(x) ? -AIS_E_CANCELED : rc;
}

void
xact_join(struct xact *x)
{
    ASSERT_MAY_PARK();
    fiber_shield();
    pthread_mutex_lock(&x->mtx);
    while (x->nchildren > 0)
        (void)wait_locked(x, NO_DEADLINE);
    pthread_mutex_unlock(&x->mtx);
    fiber_unshield();
}

/* --- abort --- */

static void
xfiber_put(struct xfiber *f)
{
    struct xact *x = f->x;

    if (atomic_fetch_sub(&f->refs, 1) > 1)
        return;
    free(f);
    xact_put(x);
}

static void
cancel_msg(struct msg *m)
{
    struct xfiber *f = CONTAINER_OF(m, struct xfiber, msg);

    if (f->f != NULL)
        fiber_cancel(f->f);
    xfiber_put(f);
}

static void
cancel_fibers_locked(struct xact *x)
{
    struct xfiber *f;

    TAILQ_FOREACH(f, &x->fibers, link)
    {
        if (f->cancelling)
            continue;
        f->cancelling = true;
        atomic_fetch_add(&f->refs, 1);
        f->msg.fn = cancel_msg;
        loop_post(f->loop, &f->msg);
    }
}

bool
xact_abort(struct xact *x, const char *why)
{
    void (*fn)(struct xact *, void *) = NULL;
    void *arg = NULL;
    bool  first;

    CHECK(x, XACT_MAGIC);
    pthread_mutex_lock(&x->mtx);
    first = xact_running(x);
    if (first) {
        snprintf(x->abort_err, sizeof(x->abort_err), "%s", why == NULL || why[0] == '\0' ? XABORT_USER : why);
        atomic_store(&x->aborted, true);
        cancel_fibers_locked(x);
        wake_locked(x);
        fn = x->on_abort;
        arg = x->on_abort_arg;
    }
    pthread_mutex_unlock(&x->mtx);
    if (!first)
        return false;
    if (!(xact_desc(x)->flags & XF_QUIET))
        log_info("job aborted", { "job", LZ(x->id) }, { "kind", LZ(xact_desc(x)->kind) }, { "why", LZ(x->abort_err) });
    if (fn != NULL)
        fn(x, arg);
    return true;
}

void
xact_on_abort(struct xact *x, void (*fn)(struct xact *x, void *arg), void *arg)
{
    bool now;

    pthread_mutex_lock(&x->mtx);
    x->on_abort = fn;
    x->on_abort_arg = arg;
    now = xact_aborted(x);
    pthread_mutex_unlock(&x->mtx);
    if (now)
        fn(x, arg);
}

/* --- the end --- */

static void
log_end(const struct xact *x, const char *errtext)
{
    if (xact_desc(x)->flags & XF_QUIET)
        return;
    if (errtext[0] == '\0')
        log_info("job finished", { "job", LZ(x->id) }, { "kind", LZ(xact_desc(x)->kind) },
                 { "objects", LU64(atomic_load(&x->objs[XC_LOC])) }, { "bytes", LU64(atomic_load(&x->bytes[XC_LOC])) });
    else
        log_warn("job failed", { "job", LZ(x->id) }, { "kind", LZ(xact_desc(x)->kind) }, { "error", LZ(errtext) });
}

void
xact_end(struct xact *x, int rc, const struct err *e)
{
    char text[1200];
    bool first; /* an idle job may be ended by the registry and by its owner */

    CHECK(x, XACT_MAGIC);
    if (rc < 0)
        xact_err(x, rc, e);
    sample_take(x, clock_mono());
    pthread_mutex_lock(&x->mtx);
    first = atomic_load(&x->ended) == 0;
    if (first)
        atomic_store(&x->ended, clock_real());
    wake_locked(x);
    xact_err_text_locked(x, text, sizeof(text));
    pthread_mutex_unlock(&x->mtx);
    if (first && !xact_aborted(x))
        log_end(x, text);
    if (first)
        xact_tell_end(x);
    xact_put(x);
}

/* --- fibers --- */

static struct xfiber *
xfiber_new(struct xact *x, struct loop *l, xact_f *fn, void *arg, bool main)
{
    struct xfiber *f = xcalloc(1, sizeof(*f));

    f->x = xact_ref(x);
    f->loop = l;
    f->fn = fn;
    f->arg = arg;
    f->main = main;
    atomic_init(&f->refs, 1);
    pthread_mutex_lock(&x->mtx);
    TAILQ_INSERT_TAIL(&x->fibers, f, link);
    x->nchildren += !main;
    if (xact_aborted(x))
        cancel_fibers_locked(x);
    pthread_mutex_unlock(&x->mtx);
    return f;
}

/* Off the list; whoever joins is woken. The fiber's reference goes. */
static void
xfiber_over(struct xfiber *f)
{
    struct xact *x = f->x;

    pthread_mutex_lock(&x->mtx);
    TAILQ_REMOVE(&x->fibers, f, link);
    x->nchildren -= !f->main;
    wake_locked(x);
    pthread_mutex_unlock(&x->mtx);
    xfiber_put(f);
}

static int
xfiber_call(struct xfiber *f, struct err *e)
{
    int rc = -AIS_E_CANCELED;

    f->f = fiber_self();
    fiber_label("%s[%s]", xact_desc(f->x)->kind, f->x->id);
    if (!xact_aborted(f->x))
        rc = f->fn(f->x, f->arg, e);
    return rc;
}

static void
child_fiber(void *arg)
{
    struct xfiber *f = arg;
    struct err     e = { .code = 0 };
    int            rc = xfiber_call(f, &e);

    f->f = NULL;
    if (rc < 0 && rc != -AIS_E_CANCELED)
        xact_err(f->x, rc, &e);
    xfiber_over(f);
}

static void
main_fiber(void *arg)
{
    struct xfiber *f = arg;
    struct xact   *x = f->x;
    struct err     e = { .code = 0 };
    int            rc = xfiber_call(f, &e);

    xact_join(x);
    f->f = NULL;
    xact_end(x, rc, &e); /* f's own reference keeps x */
    xfiber_over(f);
}

static int
spawn(struct xact *x, struct loop *l, const char *name, xact_f *fn, void *arg, bool main)
{
    struct xfiber *f;
    int            rc;

    if (l == NULL)
        l = loop_self() != NULL ? loop_self() : run_loop(x->g->run, 0);
    f = xfiber_new(x, l, fn, arg, main);
    rc = fiber_spawn(l, name, main ? main_fiber : child_fiber, f);
    if (rc < 0)
        xfiber_over(f);
    return rc;
}

int
xact_go(struct xact *x, xact_f *fn, void *arg)
{
    int rc = spawn(x, NULL, "job", fn, arg, true);

    if (rc < 0)
        xact_end(x, rc, NULL);
    return rc;
}

int
xact_spawn(struct xact *x, struct loop *l, const char *name, xact_f *fn, void *arg)
{
    return spawn(x, l, name, fn, arg, false);
}

/* --- the Snap --- */

struct progress {
    uint64_t done, total, done_bytes, total_bytes;
    double   rate, rate_bytes; /* a second */
    int64_t  eta_ns;           /* -1 = not known */
};

static double
per_second(uint64_t now, uint64_t then, int64_t ns)
{
    return ns <= 0 || now < then ? 0 : (double)(now - then) * 1e9 / (double)ns;
}

static int64_t
eta(uint64_t done, uint64_t total, double rate)
{
    if (total == 0)
        return -1;
    if (done >= total)
        return 0;
    return rate <= 0 ? -1 : (int64_t)((double)(total - done) / rate * 1e9);
}

/* Rates are those of the last samples (some 15 s); of a finished job, over its whole life. Under x->mtx. */
static void
progress_locked(const struct xact *x, struct progress *p)
{
    int64_t        end = atomic_load(&x->ended), now = clock_mono(), span;
    struct xsample from = { .at = x->started_mono };

    p->done = atomic_load(&x->done_objs);
    p->done_bytes = atomic_load(&x->done_bytes);
    p->total = atomic_load(&x->total_objs);
    p->total_bytes = atomic_load(&x->total_bytes);
    if (end == 0 && x->nsamples > SAMPLES)
        from = x->samples[x->nsamples % SAMPLES];
    span = end != 0 ? end - x->started : now - from.at;
    p->rate = per_second(p->done, from.objs, span);
    p->rate_bytes = per_second(p->done_bytes, from.bytes, span);
    if (end != 0)
        p->eta_ns = 0;
    else if (p->total_bytes > 0)
        p->eta_ns = eta(p->done_bytes, p->total_bytes, p->rate_bytes);
    else
        p->eta_ns = eta(p->done, p->total, p->rate);
}

static void
put_ext(struct jw *w, const struct progress *p)
{
    jw_key(w, "ext");
    if (p->done == 0 && p->total == 0 && p->done_bytes == 0 && p->total_bytes == 0) {
        jw_null(w);
        return;
    }
    jw_obj(w);
    jw_ku64(w, "done", p->done);
    jw_ku64(w, "total", p->total);
    jw_ku64(w, "done-bytes", p->done_bytes);
    jw_ku64(w, "total-bytes", p->total_bytes);
    jw_ku64(w, "rate", (uint64_t)p->rate);
    jw_ku64(w, "rate-bytes", (uint64_t)p->rate_bytes);
    jw_ki64(w, "eta_ns", p->eta_ns);
    jw_obj_end(w);
}

static bool
is_idle(const struct xact *x)
{
    if (!(xact_desc(x)->flags & XF_IDLES))
        return !xact_running(x);
    return atomic_load(&x->busy) == 0 && clock_mono() - atomic_load(&x->idle_since) >= IDLE_SEEN;
}

static void
put_time(struct jw *w, const char *key, int64_t ns)
{
    char t[64];

    time_rfc3339(ns, t);
    jw_kstrz(w, key, t);
}

static void
put_stats(struct jw *w, const struct xact *x)
{
    static const char *const keys[3][2] = { [XC_LOC] = { "loc-objs", "loc-bytes" },
                                            [XC_OUT] = { "out-objs", "out-bytes" },
                                            [XC_IN] = { "in-objs", "in-bytes" } };

    jw_key(w, "stats");
    jw_obj(w);
    for (unsigned i = 0; i < 3; i++) {
        jw_ku64s(w, keys[i][0], atomic_load(&x->objs[i]));
        jw_ku64s(w, keys[i][1], atomic_load(&x->bytes[i]));
    }
    jw_obj_end(w);
}

void
xact_snap(struct xact *x, struct jw *w)
{
    const struct xbck *b[3] = { &x->bck, &x->src, &x->dst };
    const char *const  key[3] = { "bck", "src-bck", "dst-bck" };
    struct progress    p;
    char               errs[1200], abort_err[sizeof(x->abort_err)], ctl[XCTL_MAX];

    pthread_mutex_lock(&x->mtx);
    progress_locked(x, &p);
    xact_err_text_locked(x, errs, sizeof(errs));
    memcpy(abort_err, x->abort_err, sizeof(abort_err));
    memcpy(ctl, x->ctl, sizeof(ctl));
    pthread_mutex_unlock(&x->mtx);
    jw_obj(w);
    put_ext(w, &p);
    put_time(w, "start-time", x->started);
    put_time(w, "end-time", atomic_load(&x->ended));
    for (unsigned i = 0; i < 3; i++) {
        jw_key(w, key[i]);
        xbck_json(w, b[i]->set ? &b[i]->b : NULL);
    }
    jw_kstrz(w, "id", x->id);
    jw_kstrz(w, "kind", xact_desc(x)->kind);
    if (ctl[0] != '\0')
        jw_kstrz(w, "ctlmsg", ctl);
    jw_kstrz(w, "abort-err", abort_err);
    jw_kstrz(w, "err", errs);
    jw_ku64s(w, "glob.id", atomic_load(&x->packed));
    put_stats(w, x);
    jw_kbool(w, "aborted", xact_aborted(x));
    jw_kbool(w, "is_idle", is_idle(x));
    jw_obj_end(w);
}
