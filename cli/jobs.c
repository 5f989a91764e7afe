/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs as the cluster tells of them; see jobs.h. Wire: jobs-and-services.md 1. */
#include "cli/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "base/units.h"
#include "base/util.h"
#include "codec/jw.h"

/* --- names --- */

/* clang-format off */
const struct job_kind job_kinds[] = {
    { "archive",            "archive",             JK_IDLES },
    { "blob-download",      "blob-download",       JK_BUCKET | JK_STARTS },
    { "cleanup-store",      "cleanup",             JK_IC | JK_STARTS },
    { "copy-bck",           "copy-bucket",         JK_IC },
    { "copy-listrange",     "copy-objects",        JK_IDLES },
    { "create-inventory",   "create-inventory",    JK_IC },
    { "delete-listrange",   "delete-objects",      JK_IC },
    { "download",           "download",            JK_IC | JK_IDLES },
    { "dsort",              "dsort",               0 },
    { "ec-encode",          "ec-bucket",           JK_IC | JK_BUCKET },
    { "ec-get",             "ec-get",              JK_IDLES },
    { "ec-put",             "ec-put",              JK_IDLES },
    { "ec-resp",            "ec-resp",             JK_IDLES },
    { "election",           "elect-primary",       0 },
    { "etl-bck",            "etl-bucket",          JK_IC },
    { "etl-inline",         "etl-inline",          JK_IC },
    { "etl-listrange",      "etl-objects",         JK_IDLES },
    { "evict-listrange",    "evict-objects",       JK_IC },
    { "evict-remote-bck",   "evict-remote-bucket", 0 },
    { "get-batch",          "get-batch",           JK_IDLES },
    { "index-shard",        "shard-index",         JK_IC },
    { "list",               "list",                JK_IDLES },
    { "load-lom-cache",     "warm-up-metadata",    JK_BUCKET | JK_STARTS },
    { "lru",                "lru-eviction",        JK_IC | JK_STARTS },
    { "make-n-copies",      "mirror",              JK_IC | JK_BUCKET },
    { "move-bck",           "rename-bucket",       JK_IC },
    { "prefetch-listrange", "prefetch-objects",    JK_IC | JK_BUCKET | JK_STARTS },
    { "promote",            "promote-files",       JK_IC },
    { "put-copies",         "put-copies",          JK_IDLES },
    { "rebalance",          "rebalance",           JK_IC | JK_STARTS },
    { "rechunk",            "rechunk",             JK_IC | JK_BUCKET | JK_STARTS },
    { "resilver",           "resilver",            JK_STARTS },
    { "summary-bck",        "summary",             0 },
    { "summary-shard",      "shard-summary",       0 },
};
/* clang-format on */
const unsigned njob_kinds = ARRAY_SIZE(job_kinds);

const struct job_kind *
job_kind(const char *word)
{
    if (strcmp(word, "ls") == 0)
        word = "list";
    for (unsigned i = 0; i < njob_kinds; i++)
        if (strcmp(word, job_kinds[i].kind) == 0 || strcmp(word, job_kinds[i].name) == 0)
            return &job_kinds[i];
    return NULL;
}

/* "copy" begins "copy-bucket". */
static bool
begins(const char *name, const char *word)
{
    size_t n = strlen(word);

    return n > 0 && strncmp(name, word, n) == 0 && name[n] == '-';
}

bool
job_kind_is(const struct job_kind *k, const char *word)
{
    const struct job_kind *exact = job_kind(word);

    return exact != NULL ? exact == k : begins(k->name, word) || begins(k->kind, word);
}

unsigned
job_kinds_of(const char *word, const struct job_kind **first)
{
    unsigned n = 0;

    *first = NULL;
    for (unsigned i = 0; i < njob_kinds; i++)
        if (job_kind_is(&job_kinds[i], word) && n++ == 0)
            *first = &job_kinds[i];
    return n;
}

/* --- what is asked for --- */

static bool
is_node(struct ctx *c, const char *word)
{
    const char  *id;
    struct fault f;

    return (strchr(word, '[') != NULL || !str_starts(str_z(word), STR_LIT("g"))) && api_node(c, word, &id, NULL, &f) == CLI_OK;
}

static int
sel_add(struct ctx *c, struct job_sel *s, const char *word, struct fault *f)
{
    const struct job_kind *first;
    unsigned               n = job_kinds_of(word, &first);

    if (strstr(word, "://") != NULL) {
        s->has_bck = true;
        return uri_parse(word, URI_BUCKET, &s->bck, f);
    }
    if (n > 0 && s->word == NULL) {
        s->word = word;
        s->kind = n == 1 ? first : NULL;
        return CLI_OK;
    }
    if (s->node == NULL && is_node(c, word))
        return api_node(c, word, &s->node, NULL, f);
    if (s->id != NULL)
        return fault_set(f, CLI_USAGE, "\"%s\" is neither the name of a job, a job's id, a node nor a bucket", word);
    s->id = word;
    return CLI_OK;
}

int
job_sel_args(struct ctx *c, int from, struct job_sel *s, struct fault *f)
{
    for (int i = from; i < c->nargs; i++) {
        int rc = sel_add(c, s, c->arg[i], f);

        if (rc != CLI_OK)
            return rc;
    }
    return CLI_OK;
}

/* --- snapshots --- */

static const char *
query_body(struct ctx *c, const struct job_sel *s)
{
    struct sbuf b;
    struct jw   w;
    const char *text;

    sbuf_init(&b, 64 * KIB);
    jw_init(&w, &b, 0);
    jw_obj(&w);
    if (s->id != NULL)
        jw_kstrz(&w, "id", s->id);
    if (s->kind != NULL)
        jw_kstrz(&w, "kind", s->kind->kind);
    if (s->active && s->id == NULL)
        jw_kbool(&w, "show_active", true);
    if (s->has_bck) {
        jw_key(&w, "bck");
        jw_obj(&w);
        jw_kstr(&w, "name", s->bck.bucket);
        jw_kstrz(&w, "provider", s->bck.provider);
        jw_obj_end(&w);
    }
    jw_obj_end(&w);
    text = arena_strdup(c->mem, sbuf_str(&b));
    sbuf_fini(&b);
    return text;
}

static bool
wanted(const struct job_sel *s, const char *node, const json_t *snap)
{
    const struct job_kind *k = job_kind(get_text(snap, "kind"));

    if (s->node != NULL && strcmp(s->node, node) != 0)
        return false;
    if (s->has_bck && get_text(json_object_get(snap, "bck"), "name")[0] == '\0')
        return false;
    return s->word == NULL || s->kind != NULL || (k != NULL && job_kind_is(k, s->word));
}

static int
by_job(const void *a, const void *b)
{
    const struct job_snap *x = a, *y = b;
    int                    rc = strcmp(get_text(x->snap, "kind"), get_text(y->snap, "kind"));

    if (rc == 0)
        rc = strcmp(get_text(x->snap, "id"), get_text(y->snap, "id"));
    return rc != 0 ? rc : strcmp(x->node, y->node);
}

static int
youngest_first(const void *a, const void *b)
{
    return -strcmp(get_text(*(json_t *const *)a, "start-time"), get_text(*(json_t *const *)b, "start-time"));
}

/* When the job at place `top` of the youngest began; "" = all are wanted. A job counts once, with its first snapshot. */
static const char *
top_start(struct ctx *c, const struct jobs *j, uint64_t top)
{
    json_t **first = arena_alloc(c->mem, (j->n + 1) * sizeof(json_t *));
    size_t   n = 0;

    if (top == 0 || first == NULL)
        return "";
    for (size_t i = 0; i < j->n; i += jobs_span(j, i))
        first[n++] = j->v[i].snap;
    if (n <= top)
        return "";
    qsort(first, n, sizeof(json_t *), youngest_first);
    return get_text(first[top - 1], "start-time");
}

static void
keep_top(struct ctx *c, struct jobs *j, uint64_t top)
{
    const char *since = top_start(c, j, top);
    size_t      n = 0, span;

    for (size_t i = 0; i < j->n; i += span) {
        span = jobs_span(j, i);
        if (strcmp(get_text(j->v[i].snap, "start-time"), since) < 0)
            continue;
        memmove(&j->v[n], &j->v[i], span * sizeof(*j->v));
        n += span;
    }
    j->n = n;
}

/* The document as it was asked for. */
static void
rebuild(struct jobs *j)
{
    json_t *doc = json_object();
    const char *node;
    json_t     *snaps;

    json_object_foreach(j->doc, node, snaps)
        json_object_set_new(doc, node, json_array());
    for (size_t i = 0; i < j->n; i++)
        json_array_append(json_object_get(doc, j->v[i].node), j->v[i].snap);
    json_decref(j->doc);
    j->doc = doc;
}

int
jobs_ask(struct ctx *c, const struct job_sel *s, struct jobs *j, struct fault *f)
{
    auto_resp struct http_resp r = { .status = 0 };
    struct http_req            q = { .method = "GET", .path = "/v1/cluster?what=qryxstats", .body = query_body(c, s) };
    int                        rc = api_json(c->s, &q, &r, &j->doc, f);
    const char                *node;
    json_t                    *snaps, *snap;
    size_t                     i, max = 0;

    if (rc != CLI_OK)
        return rc;
    json_object_foreach(j->doc, node, snaps)
        max += json_array_size(snaps);
    j->v = arena_alloc(c->mem, (max + 1) * sizeof(*j->v));
    if (j->v == NULL)
        return fault_set(f, CLI_FAILED, "too many jobs: name a kind or an id");
    json_object_foreach(j->doc, node, snaps)
        json_array_foreach(snaps, i, snap)
            if (wanted(s, node, snap))
                j->v[j->n++] = (struct job_snap){ .node = arena_strdup(c->mem, str_z(node)), .snap = snap };
    qsort(j->v, j->n, sizeof(*j->v), by_job);
    keep_top(c, j, s->top);
    rebuild(j);
    return CLI_OK;
}

void
jobs_fini(struct jobs *j)
{
    json_decref(j->doc);
    j->doc = NULL;
}

void
jobs_json(const struct jobs *j)
{
    char *text = json_dumps(j->doc, JSON_COMPACT | JSON_PRESERVE_ORDER);

    json_print(str_z(text != NULL ? text : "{}"));
    free(text);
}

size_t
jobs_span(const struct jobs *j, size_t i)
{
    size_t k = i + 1;

    while (k < j->n && strcmp(get_text(j->v[k].snap, "id"), get_text(j->v[i].snap, "id")) == 0 &&
           strcmp(get_text(j->v[k].snap, "kind"), get_text(j->v[i].snap, "kind")) == 0)
        k++;
    return k - i;
}

/* --- one snapshot --- */

static bool
is_zero_time(const char *t)
{
    return t[0] == '\0' || strncmp(t, "0001-01-01", 10) == 0;
}

bool
snap_over(const json_t *snap)
{
    return !is_zero_time(get_text(snap, "end-time"));
}

bool
snap_aborted(const json_t *snap)
{
    return json_is_true(json_object_get(snap, "aborted"));
}

bool
snap_idle(const json_t *snap)
{
    return json_is_true(json_object_get(snap, "is_idle"));
}

const char *
snap_error(const json_t *snap)
{
    const char *abort_err = get_text(snap, "abort-err");

    return abort_err[0] != '\0' ? abort_err : get_text(snap, "err");
}

const char *
snap_state(struct ctx *c, const json_t *snap)
{
    const char *e = text_safe(c->mem, snap_error(snap));

    if (snap_aborted(snap))
        return e[0] != '\0' ? out_fmt(c, "Aborted: %.80s", e) : "Aborted";
    if (snap_over(snap))
        return e[0] != '\0' ? out_fmt(c, "Finished, errors: %.80s", e) : "Finished";
    return snap_idle(snap) ? "Idle" : "Running";
}

/* RFC 3339 in UTC to local time; today's without the date. */
const char *
snap_time(struct ctx *c, const json_t *snap, const char *key)
{
    const char *t = get_text(snap, key);
    struct tm   tm = { .tm_isdst = 0 }, local, today;
    time_t      at, now = time(NULL);
    char        buf[64];
    bool        is_today;

    if (is_zero_time(t) || strptime(t, "%Y-%m-%dT%H:%M:%S", &tm) == NULL)
        return "-";
    at = timegm(&tm);
    localtime_r(&at, &local);
    localtime_r(&now, &today);
    is_today = local.tm_year == today.tm_year && local.tm_yday == today.tm_yday;
    strftime(buf, sizeof(buf), is_today ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &local);
    return arena_strdup(c->mem, str_z(buf));
}

const char *
snap_bck(struct ctx *c, const json_t *snap, const char *key)
{
    const json_t *b = json_object_get(snap, key), *ns = json_object_get(b, "namespace");
    const char   *uuid = get_text(ns, "uuid"), *name = get_text(ns, "name");

    if (get_text(b, "name")[0] == '\0')
        return "-";
    return out_fmt(c, "%s://%s%s%s%s%s%s", uri_scheme(get_text(b, "provider")), uuid[0] != '\0' ? "@" : "", uuid,
                   name[0] != '\0' ? "#" : "", name, uuid[0] != '\0' || name[0] != '\0' ? "/" : "", get_text(b, "name"));
}

/* --- progress --- */

bool
jobs_progress(const struct job_snap *v, size_t n, struct job_progress *p)
{
    bool any = false;

    *p = (struct job_progress){ .eta_ns = -1 };
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_object_get(v[i].snap, "ext");
        json_int_t    eta = json_integer_value(json_object_get(x, "eta_ns"));

        if (!json_is_object(x) || json_object_get(x, "total") == NULL)
            continue;
        any = true;
        p->done += get_u64(x, "done");
        p->total += get_u64(x, "total");
        p->done_bytes += get_u64(x, "done-bytes");
        p->total_bytes += get_u64(x, "total-bytes");
        if (snap_over(v[i].snap))
            continue;
        p->rate += get_u64(x, "rate");
        p->rate_bytes += get_u64(x, "rate-bytes");
        p->eta_ns = MAX(p->eta_ns, (int64_t)eta); /* the slowest one decides */
    }
    return any;
}

static double
part_of(const struct job_progress *p)
{
    uint64_t done = p->total_bytes > 0 ? p->done_bytes : p->done, all = p->total_bytes > 0 ? p->total_bytes : p->total;

    return all == 0 ? 0 : MIN((double)done / (double)all, 1.0);
}

const char *
progress_bar(struct ctx *c, const struct job_progress *p)
{
    static const char bar[] = "==============================";
    double            part = part_of(p);
    char              dur[UNITS_MAX];
    const char       *text = "";

    if (p->total > 0 || p->total_bytes > 0)
        text = out_fmt(c, "[%-30.*s] %.0f%%  ", (int)(part * 30), bar, part * 100);
    text = out_fmt(c, "%s%s", text, out_u64(c, p->done));
    text = p->total > 0 ? out_fmt(c, "%s/%s objects", text, out_u64(c, p->total)) : out_fmt(c, "%s objects", text);
    if (p->done_bytes > 0 || p->total_bytes > 0)
        text = p->total_bytes > 0 ? out_fmt(c, "%s, %s/%s", text, out_size(c, p->done_bytes), out_size(c, p->total_bytes))
                                  : out_fmt(c, "%s, %s", text, out_size(c, p->done_bytes));
    if (p->rate > 0 || p->rate_bytes > 0)
        text = out_fmt(c, "%s, %s/s, %s/s", text, out_u64(c, p->rate), out_size(c, p->rate_bytes));
    if (p->eta_ns < 0)
        return text;
    dur_format((p->eta_ns + NSEC_PER_SEC - 1) / NSEC_PER_SEC * NSEC_PER_SEC, dur);
    return out_fmt(c, "%s, %s left", text, dur);
}
