/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resilver: everything is brought to the mountpath that HRW says, and mountpaths that are to leave are emptied. README.md, "Resilver".
 *
 * One jogger a mountpath scans its rows in name order, batch by batch; helpers bring several objects at a time. When a batch is on
 * stable storage at home its sources go. Passes over all rows are made until one finds nothing but rows that passed before it began: those go, too.
 * Then nothing lies where it should not, and the target need not look for it any more.
 *
 * Runs on: threads of its own, at low priority; the caller's fiber only looks at them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/util.h"
#include "store/store_impl.h"

#define BATCH_ROWS  1000
#define BATCH_BYTES (256 * MIB) /* brought before the sources go: so much space may be taken twice */
#define INFLIGHT    4
#define INFLIGHT_MAX 16
#define LOOK_NS     MSEC_NS(50)
#define PASSES_MAX  8
#define CURSOR_NS   SEC_NS(1)

struct rsl {
    struct store    *s;
    unsigned         inflight;
    uint64_t         version; /* of the layout: another one now means that it is all for nothing */
    _Atomic bool     stop;
    _Atomic unsigned live;    /* joggers */
    _Atomic uint64_t total, seen, brought, bytes, failed;
    _Atomic uint64_t found;   /* in this pass: rows that were not where they should be, or could not be dealt with */
    unsigned         pass;
    pthread_mutex_t  mtx;     /* protects err, err_rc */
    int              err_rc;
    char             err[200];
};

struct item {
    struct str name;
    uint64_t   size;
    bool       away;   /* its row is not of the mountpath that HRW says */
    bool       passed; /* a row that is left over: it goes */
    int        rc;
};

struct jog;
struct helper {
    struct jog    *j;
    struct worker *w;
    struct wjob    job;
    struct homing  h;
};

/* One mountpath's. */
struct jog {
    struct rsl       *r;
    struct mpath     *m;
    struct worker    *w;
    struct wjob       job;
    unsigned          n;      /* helpers; the first one is the jogger itself */
    struct helper     helper[INFLIGHT_MAX];
    const struct bck *b;
    struct sbuf       rows;
    struct item      *items;
    unsigned          nitems;
    _Atomic unsigned  next, until; /* of items: to be taken by whoever is free */
    bool              leaving; /* what is done with them: brought or left */
    uint64_t          to;      /* mountpaths that got something */
    char              last[OBJ_NAME_MAX + 1];
    int64_t           cursor_at;
};

static bool
stopped(struct rsl *r)
{
    if (atomic_load(&r->s->lay_version) != r->version || atomic_load(&r->s->stopping))
        atomic_store(&r->stop, true);
    return atomic_load(&r->stop);
}

static void
note_failure(struct jog *j, const struct item *it)
{
    struct rsl *r = j->r;

    if (it->rc == -AIS_E_CANCELED)
        return;
    atomic_fetch_add(&r->failed, 1);
    pthread_mutex_lock(&r->mtx);
    r->err_rc = it->rc;
    snprintf(r->err, sizeof(r->err), "%.*s/%.100s on %.60s: %s", STR_FMT(j->b->name), it->name.p, j->m->path, err_text(it->rc));
    pthread_mutex_unlock(&r->mtx);
    log_warn("resilver: an object stays where it is", { "mountpath", LZ(j->m->path) }, { "bucket", LSTR(j->b->name) },
             { "object", LSTR(it->name) }, { "error", LZ(err_text(it->rc)) });
}

/* --- one item --- */

/* Is it still a note of what was brought elsewhere? */
static bool
still_passed(struct mpath *m, uint64_t bid, struct str name, struct sbuf *v)
{
    struct ientry en;

    sbuf_reset(v);
    return rows_get(m->rows, bid, name, v) == 0 && ientry_decode(v->p, v->n, &en) == 0 && row_state(&en) == OBJ_PASSED;
}

/* On the committer. */
static int
forget_rows(struct cjob *c)
{
    struct jog *j = c->arg;
    struct sbuf v;
    int         rc = 0;

    sbuf_init(&v, 128 * KIB);
    for (unsigned i = 0; rc == 0 && i < j->nitems; i++)
        if (j->items[i].passed && still_passed(c->m, j->b->bid, j->items[i].name, &v))
            rc = rows_del(c->m->rows, j->b->bid, j->items[i].name);
    sbuf_fini(&v);
    c->m->dirty = true;
    return rc;
}

static void
do_item(struct helper *hp, struct item *it)
{
    struct jog  *j = hp->j;
    struct nhold hold;
    bool         brought = false;
    int          rc = nlock(&j->r->s->names, j->b->bid, it->name, true, &hold);

    if (rc == 0) {
        if (j->leaving)
            rc = home_leave(&hp->h, j->b, it->name, j->m);
        else
            rc = home_bring(&hp->h, j->b, it->name, &brought);
        nunlock(&j->r->s->names, &hold);
    }
    it->rc = rc;
    if (brought && rc == 0)
        atomic_fetch_add(&j->r->brought, 1);
}

/* Take items until there are none. */
static void
do_share(struct helper *hp)
{
    struct jog *j = hp->j;
    unsigned    i;

    FAIL_POINT("resilver.slow", nanosleep(&(struct timespec){ .tv_nsec = MSEC_NS(200) }, NULL));
    while (!stopped(j->r) && (i = atomic_fetch_add(&j->next, 1)) < atomic_load(&j->until))
        if (!j->leaving || (j->items[i].rc == 0 && j->items[i].away))
            do_item(hp, &j->items[i]);
    atomic_fetch_add(&j->r->bytes, hp->h.bytes);
    hp->h.bytes = 0;
}

static void
helper_batch(void *ctx, struct wjobs *batch)
{
    struct wjob *w, *next;

    for (w = STAILQ_FIRST(batch); w != NULL; w = next) {
        next = STAILQ_NEXT(w, link);
        (void)setpriority(PRIO_PROCESS, 0, 10); /* this thread's */
        do_share(ctx);
        worker_done(w, 0);
    }
}

/* All helpers on items[from, until). */
static void
do_items(struct jog *j, unsigned from, unsigned until, bool leaving)
{
    struct park park[INFLIGHT_MAX];
    unsigned    helpers = MIN(j->n, until - from);

    j->leaving = leaving;
    atomic_store(&j->next, from);
    atomic_store(&j->until, until);
    for (unsigned i = 1; i < helpers; i++) {
        park_init(&park[i]);
        j->helper[i].job.park = &park[i];
        worker_submit(j->helper[i].w, &j->helper[i].job);
    }
    do_share(&j->helper[0]);
    for (unsigned i = 1; i < helpers; i++)
        (void)park_wait(&park[i], NO_DEADLINE);
    for (unsigned i = 0; i < helpers; i++) {
        j->to |= j->helper[i].h.to;
        j->helper[i].h.to = 0;
    }
}

/* --- batches --- */

/* What was brought is on stable storage, wherever it went. */
static int
flush_to(struct jog *j)
{
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < j->r->s->n; i++)
        if (j->to & 1ULL << i)
            rc = checkpoint_call(j->r->s->mpaths[i], checkpoint_run, NULL);
    FAIL_POINT("resilver.flushed", (void)0);
    if (rc == 0)
        j->to = 0;
    return rc;
}

static int
bring_and_leave(struct jog *j, unsigned from, unsigned until)
{
    int rc;

    do_items(j, from, until, false);
    if (stopped(j->r))
        return -AIS_E_CANCELED;
    if (bck_known(j->r->s, j->b->bid) == NULL)
        return -AIS_E_NOBCK;
    rc = flush_to(j);
    if (rc < 0)
        return rc;
    do_items(j, from, until, true);
    for (unsigned i = from; i < until; i++)
        if (j->items[i].rc < 0)
            note_failure(j, &j->items[i]);
    return stopped(j->r) ? -AIS_E_CANCELED : 0;
}

/* Pieces of the batch, so that not too much space is taken twice. */
static int
do_batch(struct jog *j)
{
    unsigned from = 0;
    uint64_t bytes = 0;
    int      rc = 0;

    for (unsigned i = 0; rc == 0 && i < j->nitems; i++) {
        bytes += j->items[i].size;
        if (bytes < BATCH_BYTES && i + 1 < j->nitems)
            continue;
        rc = bring_and_leave(j, from, i + 1);
        from = i + 1;
        bytes = 0;
    }
    return rc;
}

/* Rows that need something; those that passed before this pass began go at once. */
static int
read_items(struct jog *j)
{
    struct str    name, value;
    struct ientry en;
    bool          passed = false;
    unsigned      n = 0;
    int           rc = 0;

    j->nitems = 0;
    for (size_t at = 0; scan_row(&j->rows, &at, &name, &value); n++) {
        (void)str_copyz(name, j->last, sizeof(j->last));
        if (value.n == 0 || ientry_decode(value.p, value.n, &en) < 0)
            continue;
        if (row_state(&en) == OBJ_PASSED && j->r->pass > 0)
            j->items[j->nitems++] = (struct item){ .name = name, .passed = true };
        else if (home_needs(&j->helper[0].h, j->b, name, &en, j->m))
            j->items[j->nitems++] = (struct item){ .name = name, .size = en.size, .away = mpath_of(j->r->s, j->b, name) != j->m };
        else
            continue;
        passed |= j->items[j->nitems - 1].passed;
    }
    atomic_fetch_add(&j->r->seen, n);
    if (passed)
        rc = commit_fn(j->m, forget_rows, j);
    n = 0;
    for (unsigned i = 0; i < j->nitems; i++)
        if (!j->items[i].passed)
            j->items[n++] = j->items[i];
    j->nitems = n;
    atomic_fetch_add(&j->r->found, n);
    return rc;
}

static void cursor_save(struct jog *j);

static int
do_bucket(struct jog *j)
{
    bool     more = true;
    unsigned n;
    int      rc = 0;

    while (rc == 0 && more && !stopped(j->r)) {
        sbuf_reset(&j->rows);
        rc = rows_scan(j->m->rows, j->b->bid, STR_LIT(""), str_z(j->last), j->last[0] != '\0', BATCH_ROWS, &j->rows, &n, &more);
        if (rc == 0)
            rc = read_items(j);
        if (rc == 0)
            rc = do_batch(j);
        more &= n > 0;
        if (rc == 0)
            cursor_save(j);
    }
    return rc;
}

/* --- where it stands: a note on the mountpath, so that after a crash the first pass does not begin anew --- */

static void
cursor_path(const struct jog *j, char out[400])
{
    snprintf(out, 400, "%s/resilver", j->m->store_dir);
}

static void
cursor_save(struct jog *j)
{
    char           path[400], tmp[420], hex[2 * OBJ_NAME_MAX + 1];
    FILE          *f;
    int64_t        now = clock_mono();

    if (j->r->pass > 0 || now - j->cursor_at < CURSOR_NS)
        return;
    j->cursor_at = now;
    cursor_path(j, path);
    snprintf(tmp, sizeof(tmp), "%s.new", path);
    str_hex(j->last, strlen(j->last), hex);
    f = fopen(tmp, "we");
    if (f == NULL)
        return;
    fprintf(f, "%llu %llx %s\n", (unsigned long long)j->r->version, (unsigned long long)j->b->bid, hex);
    if (fclose(f) == 0)
        (void)rename(tmp, path);
}

/* Buckets before that one were looked through, and of it the names up to j->last. 0: begin at the beginning. */
static uint64_t
cursor_load(struct jog *j)
{
    char               path[400], *text, *hex;
    size_t             n;
    unsigned long long version, bid;
    int                at = 0;

    cursor_path(j, path);
    if (j->r->pass > 0 || file_slurp(path, 4 * OBJ_NAME_MAX, &text, &n) < 0)
        return 0;
    text[n] = '\0';
    if (sscanf(text, "%llu %llx %n", &version, &bid, &at) != 2 || at == 0 || (version != j->r->version && version + 1 != j->r->version))
        bid = 0; /* of another set of mountpaths; a restart writes the layout once */
    hex = text + at;
    hex[strcspn(hex, "\n")] = '\0';
    n = strlen(hex);
    j->last[0] = '\0';
    if (bid != 0 && n / 2 <= OBJ_NAME_MAX && n % 2 == 0 && str_unhex(str_from(hex, n), (unsigned char *)j->last, n / 2))
        j->last[n / 2] = '\0';
    else
        bid = 0;
    free(text);
    return bid;
}

/* --- a pass over one mountpath --- */

static int
cmp_bid(const void *a, const void *b)
{
    const struct bck *x = a, *y = b;

    return x->bid < y->bid ? -1 : x->bid > y->bid;
}

static int
do_mpath(struct jog *j)
{
    unsigned    n;
    struct bck *all = bcks_now(j->r->s, &n);
    uint64_t    from = cursor_load(j);
    int         rc = 0;

    qsort(all, n, sizeof(*all), cmp_bid);
    for (unsigned i = 0; rc == 0 && i < n && !stopped(j->r); i++) {
        j->b = bck_known(j->r->s, all[i].bid);
        if (all[i].bid != from)
            j->last[0] = '\0';
        if (j->b != NULL && all[i].bid >= from)
            rc = do_bucket(j);
        if (rc == 0 && j->b != NULL && j->r->pass == 0)
            rc = frag_home(&j->helper[0].h, j->b, j->m);
        if (rc < 0 && bck_known(j->r->s, all[i].bid) == NULL)
            rc = 0; /* it was destroyed meanwhile */
    }
    free(all);
    return rc;
}

static void
jog_batch(void *ctx, struct wjobs *batch)
{
    struct jog  *j = ctx;
    struct wjob *w = STAILQ_FIRST(batch);
    struct item  it = { .name = STR_LIT("") };
    struct bck   none = { .name = STR_LIT("") };

    (void)setpriority(PRIO_PROCESS, 0, 10);
    it.rc = do_mpath(j);
    if (it.rc < 0 && it.rc != -AIS_E_CANCELED) {
        if (j->b == NULL)
            j->b = &none;
        note_failure(j, &it);
        mpath_trouble(j->m, it.rc);
    }
    worker_done(w, 0);
    atomic_fetch_sub(&j->r->live, 1);
}

static struct jog *
jog_start(struct rsl *r, struct mpath *m)
{
    struct jog *j = xcalloc(1, sizeof(*j));
    int         rc = worker_new(r->s->run, "resilver", jog_batch, j, 0, &j->w);

    j->r = r;
    j->m = m;
    j->n = 1;
    j->items = xcalloc(BATCH_ROWS + 1, sizeof(*j->items));
    sbuf_init(&j->rows, 64 * MIB);
    while (rc == 0 && j->n < r->inflight && worker_new(r->s->run, "resilver", helper_batch, &j->helper[j->n], 0, &j->helper[j->n].w) == 0)
        j->n++;
    for (unsigned i = 0; i < j->n; i++) {
        j->helper[i].j = j;
        j->helper[i].h = (struct homing){ .s = r->s, .stop = &r->stop, .buf = xmalloc(HOME_BUF) };
    }
    if (rc < 0) { /* no thread: this mountpath was not looked through */
        atomic_fetch_add(&r->found, 1);
        atomic_fetch_add(&r->failed, 1);
        return j;
    }
    atomic_fetch_add(&r->live, 1);
    worker_submit(j->w, &j->job);
    return j;
}

static void
jog_end(struct jog *j)
{
    worker_free(j->w);
    for (unsigned i = 0; i < j->n; i++) {
        worker_free(j->helper[i].w);
        free(j->helper[i].h.buf);
    }
    sbuf_fini(&j->rows);
    free(j->items);
    free(j);
}

static void
jogs_end(void *arg)
{
    struct jog **j = arg;

    for (unsigned i = 0; i < MAX_MPATHS; i++)
        if (j[i] != NULL)
            jog_end(j[i]);
}

/* --- all of it --- */

static void
tell(const struct rsl *r, struct resilver_prog *p)
{
    *p = (struct resilver_prog){ .total = MAX(atomic_load(&r->total), atomic_load(&r->seen)), .seen = atomic_load(&r->seen),
                                 .brought = atomic_load(&r->brought), .bytes = atomic_load(&r->bytes), .failed = atomic_load(&r->failed) };
}

/* The fiber looks at the joggers; false: it was told to stop. */
static bool
watch(struct rsl *r, const struct resilver_args *a)
{
    struct resilver_prog p;
    bool                 asked = true;

    while (atomic_load(&r->live) > 0) {
        if (fiber_sleep(LOOK_NS) == -AIS_E_CANCELED)
            asked = false;
        tell(r, &p);
        if (asked && a->go_on != NULL)
            asked = a->go_on(a->ctx, &p);
        if (!asked) {
            atomic_store(&r->stop, true);
            fiber_shield(); /* they are threads: they end, soon, but they have to be waited for */
            while (atomic_load(&r->live) > 0)
                (void)fiber_sleep(MSEC_NS(2));
            fiber_unshield();
        }
    }
    return asked;
}

static void
count_blocking(void *arg)
{
    struct rsl *r = arg;

    for (unsigned i = 0; i < r->s->n; i++)
        if (mpath_readable(r->s->mpaths[i]))
            atomic_fetch_add(&r->total, index_count(r->s->mpaths[i]->index) + rows_count(r->s->mpaths[i]->rows));
}

static bool
one_pass(struct rsl *r, const struct resilver_args *a)
{
    struct jog *j[MAX_MPATHS] = { NULL };
    bool        asked;

    atomic_store(&r->found, 0);
    atomic_store(&r->failed, 0);
    if (r->pass > 0)
        atomic_fetch_add(&r->s->layout, 1); /* rows that passed go from now on: lists look at what is at home */
    for (unsigned i = 0; i < r->s->n; i++)
        if (mpath_readable(r->s->mpaths[i]))
            j[i] = jog_start(r, r->s->mpaths[i]);
    asked = watch(r, a);
    offload(jogs_end, j);
    return asked;
}

struct settling {
    struct rsl *r;
    int         rc;
};

/* Rows that are gone are gone for good before anybody relies on that. */
static void
settle_blocking(void *arg)
{
    struct settling *t = arg;
    struct store    *s = t->r->s;

    for (unsigned i = 0; t->rc == 0 && i < s->n; i++)
        if (mpath_readable(s->mpaths[i]))
            t->rc = checkpoint_call(s->mpaths[i], checkpoint_run, NULL);
    FAIL_POINT("resilver.settle", (void)0);
    if (t->rc == 0)
        t->rc = layout_settled(s, t->r->version);
}

static int
finish(struct rsl *r, struct err *e)
{
    struct settling t = { .r = r };

    if (atomic_load(&r->s->lay_version) != r->version)
        return err_set(e, AIS_E_AGAIN, "mountpaths have changed");
    if (atomic_load(&r->failed) > 0 || atomic_load(&r->found) > 0)
        return err_set(e, r->err_rc < 0 ? -r->err_rc : AIS_E_IO, "%llu objects stay where they are, the last one: %s",
                       (unsigned long long)atomic_load(&r->failed), r->err);
    offload(settle_blocking, &t);
    return t.rc < 0 ? err_set(e, -t.rc, "resilver: %s", err_text(t.rc)) : 0;
}

/* Before all buckets are told nothing would be found anywhere. */
static bool
all_known(const struct store *s)
{
    for (unsigned i = 0; i < s->n; i++)
        if (mpath_readable(s->mpaths[i]) && !atomic_load(&s->mpaths[i]->adopted))
            return false;
    return true;
}

bool
store_resilver_due(const struct store *s)
{
    return atomic_load(&s->scattered) && all_known(s);
}

int
store_resilver(struct store *s, const struct resilver_args *a, struct resilver_prog *out, struct err *e)
{
    struct rsl *r = xcalloc(1, sizeof(*r));
    bool        asked = true;
    int         rc;

    *out = (struct resilver_prog){ .total = 0 };
    if (!all_known(s) || atomic_exchange(&s->resilvering, true)) {
        free(r);
        return err_set(e, AIS_E_BUSY, all_known(s) ? "a resilver is running" : "the target is starting: not all buckets are known yet");
    }
    r->s = s;
    r->inflight = MIN(a->inflight > 0 ? a->inflight : INFLIGHT, INFLIGHT_MAX);
    r->version = atomic_load(&s->lay_version);
    MUST(pthread_mutex_init(&r->mtx, NULL));
    offload(count_blocking, r);
    do
        asked = one_pass(r, a);
    while (asked && ++r->pass < PASSES_MAX && (r->pass == 1 || atomic_load(&r->found) > atomic_load(&r->failed)) && !stopped(r));
    rc = asked ? finish(r, e) : err_set(e, AIS_E_CANCELED, "the resilver was stopped");
    tell(r, out);
    pthread_mutex_destroy(&r->mtx);
    free(r);
    atomic_store(&s->resilvering, false);
    return rc;
}
