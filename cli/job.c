/* SPDX-License-Identifier: Apache-2.0 */
/* ais show job, show rebalance, job start|stop|wait. Wire: jobs-and-services.md 1.3 to 1.5. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/units.h"
#include "base/util.h"
#include "cli/groups.h"
#include "cli/jobs.h"
#include "codec/jw.h"

#define ARGS_ANY     "[NAME] [JOB_ID] [NODE_ID] [BUCKET]"
#define POLL_MIN_NS  MSEC_NS(200)
#define POLL_MAX_NS  SEC_NS(2)
#define REFRESH_MIN  MSEC_NS(200)

static void
pause_ns(int64_t ns)
{
    const struct timespec ts = { .tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC };

    if (!atomic_load(&session_interrupted))
        nanosleep(&ts, NULL); /* a signal ends it */
}

/* --- tables --- */

struct sums {
    uint64_t objs[3], bytes[3]; /* done here, sent, received */
};

static void
sums_add(struct sums *s, const json_t *snap)
{
    static const char *const keys[3][2] = { { "loc-objs", "loc-bytes" }, { "out-objs", "out-bytes" }, { "in-objs", "in-bytes" } };
    const json_t            *st = json_object_get(snap, "stats");

    for (unsigned i = 0; i < 3; i++) {
        s->objs[i] += get_u64(st, keys[i][0]);
        s->bytes[i] += get_u64(st, keys[i][1]);
    }
}

static const char *
num(struct ctx *c, uint64_t v)
{
    return v == 0 ? "-" : out_u64(c, v);
}

static const char *
size(struct ctx *c, uint64_t v)
{
    return v == 0 ? "-" : out_size(c, v);
}

/* What a job works on decides about the columns: nothing, a bucket, or two. */
enum shape { SHAPE_PLAIN, SHAPE_BUCKET, SHAPE_FROM_TO };

static enum shape
shape_of(const struct job_snap *v, size_t n)
{
    enum shape s = SHAPE_PLAIN;

    for (size_t i = 0; i < n; i++) {
        if (get_text(json_object_get(v[i].snap, "src-bck"), "name")[0] != '\0')
            return SHAPE_FROM_TO;
        if (get_text(json_object_get(v[i].snap, "bck"), "name")[0] != '\0')
            s = SHAPE_BUCKET;
    }
    return s;
}

static void
job_header(struct table *t, struct ctx *c, enum shape s)
{
    switch (s) {
    case SHAPE_PLAIN:
        TABLE(t, c, "NODE", "ID", "KIND", "OBJECTS", "BYTES", "START", "END", "STATE");
        break;
    case SHAPE_BUCKET:
        TABLE(t, c, "NODE", "ID", "KIND", "BUCKET", "OBJECTS", "BYTES", "START", "END", "STATE");
        break;
    case SHAPE_FROM_TO:
        TABLE(t, c, "NODE", "ID", "KIND", "SRC BUCKET", "DST BUCKET", "OBJECTS", "BYTES", "START", "END", "STATE");
        break;
    }
}

static void
job_row(struct table *t, struct ctx *c, enum shape s, const struct job_snap *j)
{
    const char *cell[10];
    unsigned    n = 0;
    struct sums sum = { .objs = { 0 } };

    sums_add(&sum, j->snap);
    cell[n++] = j->node;
    cell[n++] = get_text(j->snap, "id");
    cell[n++] = get_text(j->snap, "kind");
    if (s == SHAPE_FROM_TO) {
        cell[n++] = snap_bck(c, j->snap, "src-bck");
        cell[n++] = snap_bck(c, j->snap, "dst-bck");
    } else if (s == SHAPE_BUCKET) {
        cell[n++] = snap_bck(c, j->snap, "bck");
    }
    cell[n++] = num(c, sum.objs[0]);
    cell[n++] = size(c, sum.bytes[0]);
    cell[n++] = snap_time(c, j->snap, "start-time");
    cell[n++] = snap_time(c, j->snap, "end-time");
    cell[n++] = snap_state(c, j->snap);
    table_row(t, cell);
}

static void
job_totals(struct table *t, struct ctx *c, enum shape s, const struct sums *sum)
{
    const char *cell[10] = { "Total:", "", "", "", "", "", "", "", "", "" };
    unsigned    at = 3 + (unsigned)s;

    cell[at] = num(c, sum->objs[0]);
    cell[at + 1] = size(c, sum->bytes[0]);
    table_row(t, cell);
}

/* Rebalance: what each target has sent and received. */
static void
reb_table(struct ctx *c, const struct job_snap *v, size_t n)
{
    struct table t;
    struct sums  all = { .objs = { 0 } };

    TABLE(&t, c, "REB ID", "NODE", "TX OBJECTS", "TX BYTES", "RX OBJECTS", "RX BYTES", "START", "END", "STATE");
    for (size_t i = 0; i < n; i++) {
        struct sums s = { .objs = { 0 } };

        sums_add(&s, v[i].snap);
        sums_add(&all, v[i].snap);
        ROW(&t, get_text(v[i].snap, "id"), v[i].node, num(c, s.objs[1]), size(c, s.bytes[1]), num(c, s.objs[2]), size(c, s.bytes[2]),
            snap_time(c, v[i].snap, "start-time"), snap_time(c, v[i].snap, "end-time"), snap_state(c, v[i].snap));
    }
    if (n > 1)
        ROW(&t, "Total:", "", num(c, all.objs[1]), size(c, all.bytes[1]), num(c, all.objs[2]), size(c, all.bytes[2]), "", "", "");
    table_print(&t);
}

static void
plain_table(struct ctx *c, const struct job_snap *v, size_t n)
{
    enum shape   s = shape_of(v, n);
    struct sums  all = { .objs = { 0 } };
    struct table t;

    job_header(&t, c, s);
    for (size_t i = 0; i < n; i++) {
        job_row(&t, c, s, &v[i]);
        sums_add(&all, v[i].snap);
    }
    if (n > 1)
        job_totals(&t, c, s, &all);
    table_print(&t);
}

static bool
any_running(const struct job_snap *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!snap_over(v[i].snap) && !snap_aborted(v[i].snap))
            return true;
    return false;
}

/* "copy-bucket[ID] (what it is about)", its table, and how far it is. */
static void
job_print(struct ctx *c, const struct job_snap *v, size_t n)
{
    const struct job_kind *k = job_kind(get_text(v[0].snap, "kind"));
    const char            *ctl = text_safe(c->mem, get_text(v[0].snap, "ctlmsg"));
    struct job_progress    p;

    if (!flag_on(c, "no-headers"))
        printf("%s[%s]%s%s%s\n", k != NULL ? k->name : get_text(v[0].snap, "kind"), get_text(v[0].snap, "id"),
               ctl[0] != '\0' ? " (ctl: " : "", ctl, ctl[0] != '\0' ? ")" : "");
    if (k != NULL && strcmp(k->kind, "rebalance") == 0)
        reb_table(c, v, n);
    else
        plain_table(c, v, n);
    if (any_running(v, n) && jobs_progress(v, n, &p))
        printf("%s\n", progress_bar(c, &p));
}

static void
jobs_print(struct ctx *c, const struct jobs *j)
{
    size_t span;

    for (size_t i = 0; i < j->n; i += span) {
        span = jobs_span(j, i);
        if (i > 0)
            printf("\n");
        job_print(c, &j->v[i], span);
    }
}

/* --- show --- */

static const struct flag show_flags[] = {
    { "all", "a", NULL, "also what has finished" },
    { "top", NULL, "N", "only the N that began last" },
    { "refresh", NULL, "TIME", "show it again after each TIME, until it is over or Ctrl-C" },
    { "count", NULL, "N", "with --refresh: so many times" },
    FLAG_UNITS,
    FLAG_NOHEAD,
    FLAG_JSON,
    FLAG_END,
};

/* Show it as often as asked for. once: shows, and says with `more` whether there will be something to see later. */
static int
repeat(struct ctx *c, int (*once)(struct ctx *c, const struct job_sel *s, bool *more), const struct job_sel *s)
{
    int64_t  every = flag_dur(c, "refresh", 0);
    uint64_t count = flag_u64(c, "count", UINT64_MAX);
    bool     more = true;
    int      rc = once(c, s, &more);

    while (rc == CLI_OK && every > 0 && more && --count > 0 && !atomic_load(&session_interrupted)) {
        fflush(stdout);
        pause_ns(MAX(every, REFRESH_MIN));
        if (!flag_on(c, "json"))
            printf("\n");
        rc = once(c, s, &more);
    }
    return rc;
}

static int
show_jobs_once(struct ctx *c, const struct job_sel *s, bool *more)
{
    auto_jobs struct jobs j = { .doc = NULL };
    struct fault          f;

    if (jobs_ask(c, s, &j, &f) != CLI_OK)
        return cmd_fail(c, &f);
    *more = s->id == NULL || any_running(j.v, j.n);
    if (flag_on(c, "json"))
        jobs_json(&j);
    else if (j.n > 0)
        jobs_print(c, &j);
    else
        printf("No %s%s%sjobs%s\n", s->active ? "running " : "", s->word != NULL ? s->word : "", s->word != NULL ? " " : "",
               s->active ? " (--all shows finished ones, too)" : "");
    return CLI_OK;
}

static int
cmd_show_job(struct ctx *c)
{
    struct job_sel s = { .active = !flag_on(c, "all"), .top = flag_u64(c, "top", 0) };
    struct fault   f;

    if (job_sel_args(c, 0, &s, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (s.id != NULL)
        s.active = false;
    return repeat(c, show_jobs_once, &s);
}

/* The youngest rebalance, unless all are wanted. */
static size_t
last_rebalance(const struct jobs *j)
{
    uint64_t best = 0, v;
    size_t   at = 0, span;

    for (size_t i = 0; i < j->n; i += span) {
        span = jobs_span(j, i);
        if (str_u64(str_from_off(str_z(get_text(j->v[i].snap, "id")), 1), &v) && v >= best) {
            best = v;
            at = i;
        }
    }
    return at;
}

static int
show_reb_once(struct ctx *c, const struct job_sel *s, bool *more)
{
    auto_jobs struct jobs j = { .doc = NULL };
    struct job_sel        any = *s;
    struct fault          f;
    size_t                at, n;

    any.active = false;
    if (jobs_ask(c, &any, &j, &f) != CLI_OK)
        return cmd_fail(c, &f);
    *more = false;
    if (flag_on(c, "json")) {
        jobs_json(&j);
        *more = any_running(j.v, j.n);
        return CLI_OK;
    }
    if (j.n == 0) {
        printf("There has been no rebalance\n");
        return CLI_OK;
    }
    if (flag_on(c, "all")) {
        jobs_print(c, &j);
        *more = any_running(j.v, j.n);
        return CLI_OK;
    }
    at = last_rebalance(&j);
    n = jobs_span(&j, at);
    job_print(c, &j.v[at], n);
    *more = any_running(&j.v[at], n);
    return CLI_OK;
}

static int
cmd_show_rebalance(struct ctx *c)
{
    struct job_sel s = { .kind = job_kind("rebalance"), .word = "rebalance" };
    struct fault   f;

    if (job_sel_args(c, 0, &s, &f) != CLI_OK)
        return cmd_fail(c, &f);
    return repeat(c, show_reb_once, &s);
}

/* --- wait --- */

struct waiting {
    struct ctx    *c;
    struct job_sel s;
    int64_t        until;
    unsigned       idle;      /* polls in a row that saw it idle */
    bool           seen;
    bool           bar, drawn; /* a progress line on the terminal */
    json_t        *status;
};

static void
bar_draw(struct waiting *w, const struct jobs *j)
{
    struct job_progress p;

    if (!w->bar || !jobs_progress(j->v, j->n, &p))
        return;
    fprintf(stderr, "\r\033[K%s", progress_bar(w->c, &p));
    fflush(stderr);
    w->drawn = true;
}

/* What ended it: 0, or a fault with the job's own words. */
static int
verdict(const struct waiting *w, bool aborted, const char *error, struct fault *f)
{
    if (aborted)
        return fault_set(f, CLI_FAILED, "%s[%s] was aborted%s%s", w->s.kind->name, w->s.id, error[0] != '\0' ? ": " : "", error);
    if (error[0] != '\0')
        return fault_set(f, CLI_FAILED, "%s[%s] finished with errors: %s", w->s.kind->name, w->s.id, error);
    return CLI_OK;
}

/* One look at a job of the information centre. 1: not over yet. */
static int
look_status(struct waiting *w, struct fault *f)
{
    auto_resp struct http_resp r = { .status = 0 };
    auto_json json_t          *st = NULL;
    struct http_req            q = { .method = "GET", .path = "/v1/cluster?what=status" };
    int                        rc;

    q.body = out_fmt(w->c, "{\"id\":\"%s\",\"kind\":\"%s\"}", w->s.id, w->s.kind->kind);
    rc = api_json(w->c->s, &q, &r, &st, f);
    if (rc != CLI_OK)
        return rc;
    if (get_u64(st, "end_time") == 0)
        return -1;
    return verdict(w, snap_aborted(st), arena_strdup(w->c->mem, str_z(get_text(st, "err"))), f);
}

/* ... at the snapshots of one that is not. */
static int
look_snaps(struct waiting *w, const struct jobs *j, struct fault *f)
{
    bool all_idle = true, all_over = true;

    for (size_t i = 0; i < j->n; i++) {
        const json_t *s = j->v[i].snap;

        if (snap_aborted(s))
            return verdict(w, true, arena_strdup(w->c->mem, str_z(snap_error(s))), f);
        all_over = all_over && snap_over(s);
        all_idle = all_idle && (snap_over(s) || snap_idle(s));
    }
    w->idle = all_idle ? w->idle + 1 : 0;
    if (j->n == 0 || !(all_over || ((w->s.kind->flags & JK_IDLES) && w->idle >= 2)))
        return -1;
    return verdict(w, false, arena_strdup(w->c->mem, str_z(snap_error(j->v[0].snap))), f);
}

static int
look_job(struct waiting *w, struct fault *f)
{
    auto_jobs struct jobs j = { .doc = NULL };
    bool                  ic = (w->s.kind->flags & (JK_IC | JK_IDLES)) == JK_IC;
    int                   rc = CLI_OK;

    if (!ic || w->bar) {
        rc = jobs_ask(w->c, &w->s, &j, f);
        bar_draw(w, &j);
    }
    if (ic)
        return look_status(w, f);
    return rc != CLI_OK ? rc : look_snaps(w, &j, f);
}

/* All of a kind: until none runs. */
static int
look_kind(struct waiting *w, struct fault *f)
{
    auto_jobs struct jobs j = { .doc = NULL };
    int                   rc = jobs_ask(w->c, &w->s, &j, f);
    bool                  busy = false;

    if (rc != CLI_OK)
        return rc;
    for (size_t i = 0; i < j.n; i++)
        busy = busy || !(w->s.kind != NULL && (w->s.kind->flags & JK_IDLES) && snap_idle(j.v[i].snap));
    bar_draw(w, &j);
    w->idle = busy ? 0 : w->idle + 1;
    return w->idle >= 2 ? CLI_OK : -1;
}

/* An id alone: which kind is it? */
static int
learn_kind(struct waiting *w, struct fault *f)
{
    auto_jobs struct jobs      j = { .doc = NULL };
    auto_resp struct http_resp r = { .status = 0 };
    auto_json json_t          *st = NULL;
    struct http_req            q = { .method = "GET", .path = "/v1/cluster?what=status" };
    const char                *kind = "";
    int                        rc = jobs_ask(w->c, &w->s, &j, f);

    if (rc == CLI_OK && j.n > 0) {
        kind = get_text(j.v[0].snap, "kind");
    } else if (rc == CLI_OK || rc == CLI_NOTFOUND) { /* it may be over and forgotten there, or not have begun */
        q.body = out_fmt(w->c, "{\"id\":\"%s\"}", w->s.id);
        rc = api_json(w->c->s, &q, &r, &st, f);
        kind = get_text(st, "kind");
    }
    if (rc != CLI_OK)
        return rc;
    w->s.kind = job_kind(kind);
    return w->s.kind != NULL ? CLI_OK : fault_set(f, CLI_FAILED, "job %s is of an unknown kind \"%s\"", w->s.id, kind);
}

static int
wait_loop(struct waiting *w, struct fault *f)
{
    int64_t poll = POLL_MIN_NS;
    int     rc;

    for (;;) {
        rc = w->s.id != NULL ? look_job(w, f) : look_kind(w, f);
        if (rc != -1)
            break;
        if (atomic_load(&session_interrupted))
            return fault_set(f, CLI_INTERRUPTED, "interrupted; the job goes on");
        if (now_ns() >= w->until)
            return fault_set(f, CLI_FAILED, "timed out; the job goes on");
        pause_ns(MIN(poll, MAX(w->until - now_ns(), 0)));
        poll = MIN(poll * 3 / 2, flag_dur(w->c, "refresh", POLL_MAX_NS));
    }
    return rc;
}

int
job_wait(struct ctx *c, const struct job_sel *s)
{
    int64_t        timeout = flag_dur(c, "timeout", 0);
    struct waiting w = { .c = c, .s = *s, .until = timeout > 0 ? now_ns() + timeout : INT64_MAX };
    struct fault   f = { .code = CLI_OK };
    int            rc = CLI_OK;

    w.bar = flag_on(c, "progress") || isatty(STDERR_FILENO);
    if (s->id != NULL && s->kind == NULL)
        rc = learn_kind(&w, &f);
    if (rc == CLI_OK)
        rc = wait_loop(&w, &f);
    if (w.drawn)
        fputc('\n', stderr);
    if (rc != CLI_OK)
        return cmd_fail(c, &f);
    if (s->id != NULL)
        printf("%s[%s] is done\n", w.s.kind->name, s->id);
    else
        printf("no %s job runs\n", s->word != NULL ? s->word : "other");
    return CLI_OK;
}

static const struct flag wait_flags[] = {
    { "timeout", NULL, "TIME", "wait no longer than that (default: as long as it takes)" },
    { "refresh", NULL, "TIME", "look at least that often" },
    FLAG_PROGRESS,
    FLAG_UNITS,
    FLAG_END,
};

static int
cmd_wait(struct ctx *c)
{
    struct job_sel s = { .active = true };
    struct fault   f;

    if (job_sel_args(c, 0, &s, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (s.id != NULL)
        s.active = false;
    return job_wait(c, &s);
}

/* --- start --- */

static const struct flag start_flags[] = {
    { "prefix", NULL, "PREFIX", "rebalance: only objects whose names begin with it (with a bucket)" },
    { "buckets", NULL, "LIST", "lru, cleanup: only these buckets, separated by commas" },
    { "force", "f", NULL, "lru: also buckets that do not have it enabled (with --buckets)" },
    { "cleanup", NULL, NULL, "rebalance: remove what does not belong where it lies" },
    { "rm-zero-size", NULL, NULL, "cleanup: also objects of size zero" },
    { "keep-misplaced", NULL, NULL, "cleanup: leave objects that are not where they belong" },
    { "wait", NULL, NULL, "wait until it is over" },
    { "timeout", NULL, "TIME", "with --wait: no longer than that" },
    FLAG_PROGRESS,
    FLAG_UNITS,
    FLAG_JSON,
    FLAG_END,
};

static const struct {
    const char *flag;
    unsigned    bit;
} start_bits[] = { { "rm-zero-size", 1 }, { "keep-misplaced", 8 }, { "cleanup", 16 } };

static void
put_bck(struct jw *w, const struct uri *u)
{
    struct str ns = u->ns, uuid = STR_LIT(""), name = STR_LIT("");
    ptrdiff_t  hash = str_chr(ns, '#');

    if (ns.n > 0 && ns.p[0] == '@')
        uuid = str_from(ns.p + 1, (hash < 0 ? ns.n : (size_t)hash) - 1);
    if (hash >= 0)
        name = str_from_off(ns, (size_t)hash + 1);
    jw_obj(w);
    jw_kstr(w, "name", u->bucket);
    jw_kstrz(w, "provider", u->provider);
    jw_key(w, "namespace");
    jw_obj(w);
    jw_kstr(w, "uuid", uuid);
    jw_kstr(w, "name", name);
    jw_obj_end(w);
    jw_obj_end(w);
}

static int
put_buckets(struct ctx *c, struct jw *w, struct fault *f)
{
    struct str rest = str_z(flag_str(c, "buckets", NULL)), one;
    struct uri u;

    if (rest.p == NULL)
        return CLI_OK;
    jw_key(w, "Buckets");
    jw_arr(w);
    while (str_split(&rest, ',', &one)) {
        if (uri_parse(arena_strdup(c->mem, str_trim(one)), URI_BUCKET, &u, f) != CLI_OK)
            return f->code;
        put_bck(w, &u);
    }
    jw_arr_end(w);
    return CLI_OK;
}

static uint64_t
flag_bits(const struct ctx *c)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < ARRAY_SIZE(start_bits); i++)
        if (flag_on(c, start_bits[i].flag))
            bits |= start_bits[i].bit;
    return bits;
}

/* {"action","name","value": ArgsMsg} */
static const char *
job_action(struct ctx *c, const char *action, const struct job_sel *s, struct fault *f)
{
    struct sbuf b;
    struct jw   w;
    const char *text;
    int         rc;

    sbuf_init(&b, 1 * MIB);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    jw_kstrz(&w, "action", action);
    if (flag_find(c->cmd, STR_LIT("prefix"), &(unsigned){ 0 }) != NULL)
        jw_kstrz(&w, "name", flag_str(c, "prefix", ""));
    jw_key(&w, "value");
    jw_obj(&w);
    if (s->id != NULL)
        jw_kstrz(&w, "ID", s->id);
    jw_kstrz(&w, "Kind", s->kind != NULL ? s->kind->kind : "");
    if (s->node != NULL)
        jw_kstrz(&w, "DaemonID", s->node);
    if (s->has_bck) {
        jw_key(&w, "Bck");
        put_bck(&w, &s->bck);
    }
    rc = flag_find(c->cmd, STR_LIT("buckets"), &(unsigned){ 0 }) != NULL ? put_buckets(c, &w, f) : CLI_OK;
    if (strcmp(action, "start") == 0)
        jw_ku64(&w, "flags", flag_bits(c));
    jw_kbool(&w, "Force", flag_on(c, "force"));
    jw_obj_end(&w);
    jw_obj_end(&w);
    text = rc == CLI_OK ? arena_strdup(c->mem, sbuf_str(&b)) : NULL;
    sbuf_fini(&b);
    return text;
}

static int
start(struct ctx *c, struct job_sel *s)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct http_req            q = { .method = "PUT", .path = "/v1/cluster" };
    struct fault               f;

    q.body = job_action(c, "start", s, &f);
    if (q.body == NULL || http_do(c->s, &q, &r, &f) != CLI_OK)
        return cmd_fail(c, &f);
    s->id = arena_strdup(c->mem, str_trim(sbuf_str(&r.body)));
    if (flag_on(c, "json"))
        printf("{\n    \"kind\": \"%s\",\n    \"id\": \"%s\"\n}\n", s->kind->kind, s->id);
    else if (!flag_on(c, "wait"))
        printf("Started %s[%s]. To monitor the progress, run 'ais show job %s'\n", s->kind->name, s->id, s->id);
    fflush(stdout);
    return flag_on(c, "wait") ? job_wait(c, s) : CLI_OK;
}

/* The kind is the last word of the command's path, or its first argument. */
static int
cmd_start(struct ctx *c)
{
    const char    *word = strrchr(c->cmd->path, ' ') + 1;
    bool           generic = strcmp(word, "start") == 0;
    struct job_sel s = { .word = NULL };
    struct fault   f;

    if (generic)
        word = c->arg[0];
    s.kind = job_kind(word);
    if (s.kind == NULL && job_kinds_of(word, &s.kind) != 1)
        return usage(c, "\"%s\" is not one kind of job", word);
    s.word = s.kind->kind;
    if (job_sel_args(c, generic ? 1 : 0, &s, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (s.id != NULL)
        return usage(c, "\"%s\" is neither a bucket nor a node", s.id);
    if ((s.kind->flags & JK_BUCKET) && !s.has_bck)
        return usage(c, "%s needs a bucket", s.kind->name);
    if (strcmp(s.kind->kind, "resilver") == 0 && s.node == NULL)
        return usage(c, "resilver needs a target");
    return start(c, &s);
}

/* --- stop --- */

static const struct flag stop_flags[] = {
    { "all", NULL, NULL, "all jobs that run" },
    { "force", "f", NULL, "also a rebalance that empties a leaving target" },
    FLAG_YES,
    FLAG_END,
};

static int
stop_one(struct ctx *c, const struct job_sel *s)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct http_req            q = { .method = "PUT", .path = "/v1/cluster" };
    struct fault               f;

    q.body = job_action(c, "stop", s, &f);
    if (http_do(c->s, &q, &r, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (s->id != NULL)
        printf("stopped %s\n", s->id);
    else
        printf("stopped all %s jobs\n", s->kind->name);
    return CLI_OK;
}

/* Every kind that the word names; NULL = all that run. */
static int
stop_kinds(struct ctx *c, const struct job_sel *s)
{
    auto_jobs struct jobs j = { .doc = NULL };
    struct job_sel        run = *s, one = *s;
    struct tally          t = { .done = 0 };
    struct fault          f;
    size_t                span;

    run.active = true;
    if (s->kind != NULL)
        return stop_one(c, s);
    if (jobs_ask(c, &run, &j, &f) != CLI_OK)
        return cmd_fail(c, &f);
    for (size_t i = 0; i < j.n; i += span) {
        span = jobs_span(&j, i);
        one.id = arena_strdup(c->mem, str_z(get_text(j.v[i].snap, "id")));
        tally_add(&t, stop_one(c, &one));
    }
    if (j.n == 0)
        printf("nothing to stop\n");
    return tally_exit(&t);
}

static int
cmd_stop(struct ctx *c)
{
    struct job_sel s = { .active = true };
    struct fault   f;
    int            rc;

    if (job_sel_args(c, 0, &s, &f) != CLI_OK)
        return cmd_fail(c, &f);
    if (s.id != NULL)
        return stop_one(c, &s);
    if (s.word == NULL && !flag_on(c, "all"))
        return usage(c, "name a job, its id, or --all");
    if (!confirm(c, &rc, "Stop all %s%sjobs", s.word != NULL ? s.word : "", s.word != NULL ? " " : ""))
        return rc;
    return stop_kinds(c, &s);
}

/* clang-format off */
const struct cmd job_cmds[] = {
    { "show job", "job show|show jobs", ARGS_ANY, "jobs that run, or ran",
      "A name may be cut at a dash: \"copy\" is copy-bucket and copy-objects.\n"
      "Examples:\n"
      "   ais show job\n"
      "   ais show job --all --top 5\n"
      "   ais show job rebalance --refresh 5s\n"
      "   ais show job lru ais://b",
      show_flags, 0, 4, cmd_show_job, { ARG_NONE, ARG_NONE } },
    { "show rebalance", NULL, "[REB_ID] [NODE_ID]", "the last rebalance: what each target has sent and received, and what is left",
      "Examples:\n"
      "   ais show rebalance --refresh 2s\n"
      "   ais show rebalance g21",
      show_flags, 0, 2, cmd_show_rebalance, { ARG_NONE, ARG_NONE } },
    { "job start", "start", "NAME [TARGET_ID|BUCKET]", "start a job",
      "Examples:\n"
      "   ais job start lru --buckets ais://a,ais://b\n"
      "   ais job start resilver t[abc] --wait",
      start_flags, 1, 3, cmd_start, { ARG_NONE, ARG_BUCKET } },
    { "job start rebalance", "start rebalance|cluster rebalance", "[BUCKET]", "move objects to where the present map wants them",
      "Example:\n"
      "   ais job start rebalance ais://b --prefix images/ --wait",
      start_flags, 0, 1, cmd_start, { ARG_BUCKET, ARG_NONE } },
    { "job start resilver", "start resilver", "TARGET_ID", "move objects to where a target's present mountpaths want them", NULL,
      start_flags, 1, 1, cmd_start, { ARG_TARGET, ARG_NONE } },
    { "job start lru", "start lru", "[BUCKET]", "evict what was not read for long, where disks are too full", NULL,
      start_flags, 0, 1, cmd_start, { ARG_BUCKET, ARG_NONE } },
    { "job start cleanup", "start cleanup|storage cleanup", "[BUCKET]", "remove what was left behind", NULL,
      start_flags, 0, 1, cmd_start, { ARG_BUCKET, ARG_NONE } },
    { "job stop", "stop", "[NAME] [JOB_ID] [BUCKET]", "stop a job, or all of a kind",
      "Examples:\n"
      "   ais job stop g7\n"
      "   ais job stop copy --yes",
      stop_flags, 0, 3, cmd_stop, { ARG_NONE, ARG_NONE } },
    { "job wait", "wait", "[NAME] [JOB_ID] [BUCKET]", "wait until a job is over, or until none of a kind runs",
      "Exit code 1: it was aborted, had errors, or --timeout was too short.\n"
      "Example:\n"
      "   ais job wait rebalance --timeout 10m",
      wait_flags, 1, 3, cmd_wait, { ARG_NONE, ARG_NONE } },
};
/* clang-format on */
DEFINE_GROUP_SIZE(job);
