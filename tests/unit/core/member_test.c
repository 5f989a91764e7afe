/* SPDX-License-Identifier: Apache-2.0 */
/* Whole nodes in one process: start, join, metadata everywhere, restarts, and who is kept out. */
#include "unit.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "core/core_impl.h"
#include "core/lease.h"
#include "codec/jw.h"
#include "run/disk.h"
#include "base/assert.h"
#include "base/log.h"
#include "on_fiber.h"

#define KEY_A  "1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define KEY_B  "1:ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define NNODES 4

/* --- roles with nothing in them but hooks that count --- */
static _Atomic int  bmd_hooks;
static _Atomic bool bmd_refuse;
static _Atomic int  bmd_first; /* targets that got the buckets of a cluster without a predecessor */

static int
on_bmd(struct node *n, struct bmd *old, struct bmd *nw, struct err *e)
{
    atomic_fetch_add(&bmd_hooks, 1);
    if (n->role == ROLE_TARGET && old == NULL && nw->uuid[0] != '\0')
        atomic_fetch_add(&bmd_first, 1);
    if (n->role == ROLE_TARGET && atomic_load(&bmd_refuse) && nw->n > 0)
        return err_set(e, AIS_E_NOSPACE, "%s: no room for a bucket", n->name);
    return 0;
}

static const struct node_role proxy_impl = { .role = ROLE_PROXY };
static const struct node_role target_impl = { .role = ROLE_TARGET, .hooks = { .on_bmd = on_bmd } };

/* --- a cluster in a folder --- */
struct fixture {
    unsigned     level; /* of the programs that are started from now on; 0 = this one */
    char        *dir;
    uint16_t     port[NNODES][3];
    struct node *node[NNODES];
    struct err   err;
    int          rc;
};

static uint16_t
free_port(int *keep)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t          n = sizeof(a);

    *keep = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, bind(*keep, (struct sockaddr *)&a, sizeof(a)));
    assert_int_equal(0, getsockname(*keep, (struct sockaddr *)&a, &n));
    return ntohs(a.sin_port);
}

static void
file_write(const char *dir, const char *name, const char *text, mode_t mode)
{
    auto_free char *path = xasprintf("%s/%s", dir, name);
    FILE           *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    chmod(path, mode);
}

static void
node_files(struct fixture *f, int i, const char *key)
{
    auto_free char *d = xasprintf("%s/%d", f->dir, i);
    auto_free char *conf = xasprintf("{\"proxy\":{\"primary_url\":\"http://127.0.0.1:%u\",\"original_url\":\"\"},"
                                     "\"timeout\":{\"startup_time\":\"30s\"},\"versioning\":{\"enabled\":true}}", f->port[0][1]);
    auto_free char *local = xasprintf(
        "{\"confdir\":\"%s\",\"log_dir\":\"%s/log\",\"fspaths\":{},\"test_fspaths\":{\"root\":\"%s/data\",\"count\":1,\"instance\":%d},"
        "\"host_net\":{\"hostname\":\"127.0.0.1\",\"hostname_intra_control\":\"\",\"hostname_intra_data\":\"\",\"port\":\"%u\","
        "\"port_intra_control\":\"%u\",\"port_intra_data\":\"%u\"}}",
        d, d, f->dir, i, f->port[i][0], f->port[i][1], f->port[i][2]);

    mkdir(d, 0755);
    file_write(d, "ais.json", conf, 0644);
    file_write(d, "ais_local.json", local, 0644);
    if (key != NULL)
        file_write(d, ".ais.cluster_key", key, 0600);
}

/* The node as above with two given mountpaths. */
static void
node_files_two_disks(struct fixture *f, int i, const char *one, const char *two)
{
    auto_free char *d = xasprintf("%s/%d", f->dir, i);
    auto_free char *local = xasprintf(
        "{\"confdir\":\"%s\",\"log_dir\":\"%s/log\",\"fspaths\":{\"%s\":\"a\",\"%s\":\"a\"},\"test_fspaths\":{\"count\":0},"
        "\"host_net\":{\"hostname\":\"127.0.0.1\",\"hostname_intra_control\":\"127.0.0.1\",\"hostname_intra_data\":\"127.0.0.1\","
        "\"port\":\"%u\",\"port_intra_control\":\"%u\",\"port_intra_data\":\"%u\"}}",
        d, d, one, two, f->port[i][0], f->port[i][1], f->port[i][2]);

    file_write(d, "ais_local.json", local, 0644);
}

static int
node_up(struct fixture *f, int i)
{
    auto_free char  *config = xasprintf("%s/%d/ais.json", f->dir, i), *local = xasprintf("%s/%d/ais_local.json", f->dir, i);
    auto_free char  *id = xasprintf("%s-node-%d", i == 0 ? "proxy" : i == 3 ? "proxy" : "target", i);
    struct node_opts o = { .impl = i == 0 || i == 3 ? &proxy_impl : &target_impl, .config = config, .local_config = local,
                           .daemon_id = id, .nloops = 1, .level = f->level };

    err_clear(&f->err);
    return node_start(&o, &f->node[i], &f->err);
}

static void
node_down(struct fixture *f, int i)
{
    node_stop(f->node[i]);
    f->node[i] = NULL;
    log_open(&(struct log_conf){ .to_stderr = true });
}

static bool
has_flag(const struct node *n, unsigned flag)
{
    return (atomic_load(&n->flags) & flag) != 0;
}

static void
views_of(struct node *n, struct views *v)
{
    views_get(n, v);
}

static unsigned
buckets_of(struct node *n)
{
    struct views v;
    unsigned     nb;

    views_of(n, &v);
    nb = v.bmd->n;
    views_put(&v);
    return nb;
}

static unsigned
nodes_of(struct node *n)
{
    struct views v;
    unsigned     nn;

    views_of(n, &v);
    nn = v.smap->nnodes;
    views_put(&v);
    return nn;
}

static struct fixture *
fx_new(void)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    int             keep[NNODES * 3], k = 0;

    atomic_store(&bmd_refuse, false);
    f->dir = test_dir_new();
    for (int i = 0; i < NNODES; i++)
        for (int j = 0; j < 3; j++)
            f->port[i][j] = free_port(&keep[k++]);
    while (k > 0)
        close(keep[--k]);
    return f;
}

static void
fx_free(struct fixture *f)
{
    for (int i = NNODES - 1; i >= 0; i--)
        node_down(f, i);
    test_dir_free(f->dir);
    free(f);
}

/* One proxy, two targets, started. */
static struct fixture *
fx_cluster(void)
{
    struct fixture *f = fx_new();

    for (int i = 0; i < 3; i++) {
        node_files(f, i, KEY_A);
        if (node_up(f, i) < 0)
            fail_msg("node %d: %s", i, f->err.text);
    }
    for (int i = 0; i < 3; i++)
        WITHIN(has_flag(f->node[i], NODE_NODE_STARTED) && has_flag(f->node[i], NODE_CLUSTER_STARTED));
    for (int i = 0; i < 3; i++)
        WITHIN(nodes_of(f->node[i]) == 3);
    return f;
}

/* The primary's term, as nodes say it, plus some. */
static struct str
fence_text(struct fixture *f, unsigned plus, char text[48])
{
    struct cons_fence c = cons_fence(f->node[0]->cons);

    return str_from(text, (size_t)snprintf(text, 48, "%" PRIu32 ".%" PRIu64, c.epoch, c.term + plus));
}

/* --- changes, from a fiber of the node --- */
struct change {
    struct node *n;
    const char  *bucket;
    bool         destroy;
    int          rc;
    struct err   e;
};

static void
change_run(void *arg)
{
    struct change *c = arg;
    struct bck     b = { .provider = PROV_AIS, .name = str_z(c->bucket) };

    err_clear(&c->e);
    c->rc = c->destroy ? meta_bck_destroy(c->n, &b, &c->e) : meta_bck_create(c->n, &b, NULL, &c->e);
}

static void
remove_run(void *arg)
{
    struct change *c = arg;
    const struct str id = STR_LIT("target-node-2");

    err_clear(&c->e);
    c->rc = meta_nodes_remove(c->n, &id, 1, &c->e);
}

static int
bck_change(struct fixture *f, int node, const char *bucket, bool destroy)
{
    struct change c = { .n = f->node[node], .bucket = bucket, .destroy = destroy };

    on_fiber(c.n->run, 0, change_run, &c);
    f->err = c.e;
    return c.rc;
}

/* --- requests by hand, with or without authentication --- */
struct ask {
    struct node *via;  /* whose client is used */
    bool         plain;
    enum method  method;
    char         base[64];
    const char  *target, *body;
    struct hdr   hdrs[4];
    unsigned     nhdrs;
    int          rc, status;
    char         text[2048];
    struct err   e;
};

static void
ask_run(void *arg)
{
    struct ask    *q = arg;
    struct arena  *a = arena_new(4096, 4 << 20);
    struct hc_req  r = { .method = q->method, .base = str_z(q->base), .target = str_z(q->target), .body = str_z(q->body),
                         .hdrs = q->hdrs, .nhdrs = q->nhdrs, .timeout_ns = SEC_NS(5) };
    struct hc_resp resp;

    err_clear(&q->e);
    q->rc = hc_call(q->plain ? q->via->hc_plain : q->via->hc, &r, a, 1 << 20, &resp, &q->e);
    q->status = q->rc == 0 ? resp.status : 0;
    q->text[0] = '\0';
    if (q->rc == 0)
        str_copyz(resp.body, q->text, sizeof(q->text));
    arena_free(a);
}

static int
ask(struct fixture *f, struct ask *q, int node, int net)
{
    snprintf(q->base, sizeof(q->base), "http://127.0.0.1:%u", f->port[node][net]);
    on_fiber(q->via->run, 0, ask_run, q);
    return q->status;
}

/* --- tests --- */
static void
a_cluster_forms_and_everybody_sees_the_same(void **state)
{
    struct fixture *f = fx_cluster();
    struct views    v[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        views_of(f->node[i], &v[i]);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(v[0].smap->uuid, v[i].smap->uuid);
        assert_string_equal("proxy-node-0", v[i].smap->primary->id);
        assert_int_equal(2, v[i].smap->nactive);
    }
    for (int i = 0; i < 3; i++)
        views_put(&v[i]);
    fx_free(f);
}

static void
a_change_is_everywhere_when_the_call_returns(void **state)
{
    struct fixture *f = fx_cluster();
    char            name[16];

    (void)state;
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "b%d", i);
        assert_int_equal(0, bck_change(f, 0, name, false));
        for (int k = 0; k < 3; k++)
            assert_int_equal(i + 1, buckets_of(f->node[k]));
    }
    assert_int_equal(-AIS_E_BCKEXISTS, bck_change(f, 0, "b3", false));
    assert_int_equal(0, bck_change(f, 0, "b3", true));
    for (int k = 0; k < 3; k++)
        assert_int_equal(19, buckets_of(f->node[k]));
    assert_int_equal(-AIS_E_NOTPRIMARY, bck_change(f, 1, "b77", false));
    fx_free(f);
}

static void
a_bucket_that_a_target_cannot_make_is_undone(void **state)
{
    struct fixture *f = fx_cluster();

    (void)state;
    atomic_store(&bmd_refuse, true);
    assert_int_equal(-AIS_E_NOSPACE, bck_change(f, 0, "b", false));
    assert_non_null(strstr(f->err.text, "no room for a bucket"));
    atomic_store(&bmd_refuse, false);
    for (int k = 0; k < 3; k++)
        WITHIN(buckets_of(f->node[k]) == 0);
    assert_int_equal(0, bck_change(f, 0, "b", false));
    fx_free(f);
}

static void
metadata_survives_a_restart_of_everything(void **state)
{
    struct fixture   *f = fx_cluster();
    struct cons_fence before, after;

    (void)state;
    assert_int_equal(0, bck_change(f, 0, "kept", false));
    before = cons_fence(f->node[0]->cons);
    for (int i = 2; i >= 0; i--)
        node_down(f, i);
    for (int i = 2; i >= 0; i--) /* targets first: they wait for the primary */
        assert_int_equal(0, node_up(f, i));
    for (int i = 0; i < 3; i++) {
        WITHIN(has_flag(f->node[i], NODE_NODE_STARTED) && has_flag(f->node[i], NODE_CLUSTER_STARTED));
        assert_int_equal(1, buckets_of(f->node[i]));
    }
    after = cons_fence(f->node[0]->cons);
    assert_int_equal(before.epoch, after.epoch);
    assert_int_equal(before.term + 1, after.term);
    WITHIN(node_fence(f->node[1]).term == after.term);
    fx_free(f);
}

static void
a_node_that_was_away_catches_up(void **state)
{
    struct fixture *f = fx_cluster();

    (void)state;
    node_down(f, 2);
    assert_int_equal(0, bck_change(f, 0, "meanwhile", false));
    assert_int_equal(0, node_up(f, 2));
    WITHIN(has_flag(f->node[2], NODE_NODE_STARTED));
    assert_int_equal(1, buckets_of(f->node[2]));
    assert_int_equal(3, nodes_of(f->node[2]));
    fx_free(f);
}

static void
a_second_proxy_follows(void **state)
{
    struct fixture *f = fx_cluster();

    (void)state;
    node_files(f, 3, KEY_A);
    assert_int_equal(0, node_up(f, 3));
    WITHIN(has_flag(f->node[3], NODE_NODE_STARTED) && has_flag(f->node[3], NODE_CLUSTER_STARTED));
    assert_false(node_leads(f->node[3]));
    assert_int_equal(-AIS_E_NOTPRIMARY, bck_change(f, 3, "x", false));
    assert_int_equal(0, bck_change(f, 0, "x", false));
    assert_int_equal(1, buckets_of(f->node[3]));
    fx_free(f);
}

static unsigned
voters_of(struct node *n)
{
    struct cons_server s[CONS_VOTERS];
    struct cons       *c = n->cons;

    return c != NULL ? cons_voters(c, s, CONS_VOTERS) : 0;
}

/* Two proxies and, as witness, a target. The primary stops: the other one leads, with all that was agreed on; the first one comes back and follows. */
static void
another_proxy_takes_over_and_knows_everything(void **state)
{
    struct fixture *f = fx_cluster();

    (void)state;
    node_files(f, 3, KEY_A);
    assert_int_equal(0, node_up(f, 3));
    WITHIN(has_flag(f->node[3], NODE_NODE_STARTED) && voters_of(f->node[0]) == 3);
    assert_int_equal(0, bck_change(f, 0, "before", false));
    node_down(f, 0);
    WITHIN(node_leads(f->node[3]));
    assert_int_equal(1, buckets_of(f->node[3]));
    assert_int_equal(0, bck_change(f, 3, "after", false));
    for (int i = 1; i <= 3; i++)
        assert_int_equal(2, buckets_of(f->node[i]));
    assert_int_equal(0, node_up(f, 0));
    WITHIN(has_flag(f->node[0], NODE_NODE_STARTED) && buckets_of(f->node[0]) == 2);
    assert_false(node_leads(f->node[0]));
    assert_int_equal(-AIS_E_NOTPRIMARY, bck_change(f, 0, "x", false));
    WITHIN(lease_left(f->node[1]->lease, clock_mono()) > 0 && lease_left(f->node[2]->lease, clock_mono()) > 0);
    fx_free(f);
}

static void
a_node_with_another_key_stays_outside(void **state)
{
    struct fixture *f = fx_cluster();
    struct ask      q = { .method = M_GET, .target = "/v1/health" };

    (void)state;
    node_files(f, 3, KEY_B);
    assert_int_equal(0, node_up(f, 3));
    q.via = f->node[3];
    assert_int_equal(0, ask(f, &q, 0, 1));
    assert_int_equal(-AIS_E_UNAUTH, q.rc);
    assert_false(has_flag(f->node[3], NODE_NODE_STARTED));
    assert_int_equal(3, nodes_of(f->node[0]));
    fx_free(f);
}

static bool
was_refused(struct node *primary, const char *id)
{
    bool yes;

    pthread_mutex_lock(&primary->member->mtx);
    yes = strcmp(primary->member->refused_id, id) == 0;
    pthread_mutex_unlock(&primary->member->mtx);
    return yes;
}

static void
a_node_of_another_cluster_is_refused(void **state)
{
    struct fixture *f = fx_cluster();
    struct mset    *m = mset_new(conf_default());
    auto_free char *d = xasprintf("%s/3", f->dir);

    (void)state;
    node_files(f, 3, KEY_A);
    mset_set_smap(m, smap_new("cluster-of-others"));
    m->smap->version = 7;
    assert_int_equal(0, mset_store(m, MI_SMAP, d));
    mset_put(m);
    assert_int_equal(0, node_up(f, 3));
    WITHIN(was_refused(f->node[0], "proxy-node-3"));
    assert_false(has_flag(f->node[3], NODE_NODE_STARTED));
    assert_int_equal(3, nodes_of(f->node[0]));
    fx_free(f);
}

static void
outsiders_are_kept_out_of_internal_endpoints(void **state)
{
    static const struct {
        enum method method;
        const char *target;
    } internal[] = {
        { M_PUT, "/v1/metasync" },        { M_POST, "/v1/cluster/autoreg" },           { M_POST, "/v1/cluster/keepalive" },
        { M_PUT, "/v1/daemon" },          { M_PUT, "/v1/daemon/set-config?log.level=4" },
    };
    struct fixture *f = fx_cluster();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(internal); i++) {
        struct ask q = { .via = f->node[1], .plain = true, .method = internal[i].method, .target = internal[i].target, .body = "{}" };

        assert_int_equal(403, ask(f, &q, 0, 1));
        assert_int_equal(403, ask(f, &q, 2, 1));
    }
    fx_free(f);
}

static void
forged_caller_headers_are_refused(void **state)
{
    struct fixture *f = fx_cluster();
    struct ask      q = { .via = f->node[1], .plain = true, .method = M_GET, .target = "/v1/health", .nhdrs = 1,
                          .hdrs = { { STR_LIT("Ais-Caller-Id"), STR_LIT("proxy-node-0") } } };

    (void)state;
    assert_int_equal(403, ask(f, &q, 0, 0)); /* public */
    assert_int_equal(403, ask(f, &q, 2, 1)); /* control, no proof */
    q.plain = false;
    assert_int_equal(403, ask(f, &q, 2, 1)); /* proved to be somebody else */
    q.hdrs[0].value = STR_LIT("target-node-1");
    assert_int_equal(200, ask(f, &q, 2, 1));
    q.nhdrs = 0;
    q.plain = true;
    assert_int_equal(200, ask(f, &q, 0, 0));
    fx_free(f);
}

static void
an_older_term_is_refused(void **state)
{
    struct fixture *f = fx_cluster();
    struct ask      q = { .via = f->node[1], .method = M_PUT, .target = "/v1/daemon", .body = "{\"action\":\"reset-stats\",\"value\":false}",
                          .nhdrs = 1, .hdrs = { { STR_LIT("Ais-Fence"), STR_LIT("1.0") } } };
    char            now[48];

    (void)state;
    assert_int_equal(409, ask(f, &q, 2, 1));
    assert_non_null(strstr(q.text, "older term"));
    q.hdrs[0].value = fence_text(f, 0, now);
    assert_int_equal(200, ask(f, &q, 2, 1));
    q.target = "/v1/metasync"; /* and what an old primary would send */
    q.body = "{\"fence\":{\"epoch\":0,\"term\":99}}";
    assert_int_equal(409, ask(f, &q, 2, 1));
    fx_free(f);
}

/* Each row of the tables, of both roles: an older term, or none, is refused wherever it is not how a node that lags learns. */
static void
no_internal_route_takes_an_older_term(void **state)
{
    struct fixture *f = fx_cluster();
    unsigned        fenced = 0;

    (void)state;
    for (unsigned i = 0; i < node_common_nroutes; i++) {
        const struct route *t = &node_common_routes[i];
        struct ask          q = { .via = f->node[1], .method = t->method, .target = t->pattern, .body = "{}",
                                  .hdrs = { { STR_LIT("Ais-Fence"), STR_LIT("1.0") } } };

        if (!(t->flags & R_INTRA) || !(t->flags & R_CONTROL) || (t->flags & R_NOFENCE))
            continue;
        fenced++;
        q.nhdrs = 1;
        assert_int_equal(409, ask(f, &q, 2, 1));
        q.nhdrs = 0;
        assert_int_equal(400, ask(f, &q, 2, 1));
        assert_non_null(strstr(q.text, "says no term"));
    }
    assert_true(fenced >= 3);
    fx_free(f);
}

/* A primary that was deposed goes on for a while: nothing it says counts, neither its maps nor its leases. */
static void
a_deposed_primary_is_not_believed(void **state)
{
    struct fixture *f = fx_cluster();
    struct ask      q = { .via = f->node[1], .method = M_PUT, .target = "/v1/daemon", .body = "{\"action\":\"reset-stats\",\"value\":false}",
                          .nhdrs = 1, .hdrs = { { STR_LIT("Ais-Fence"), STR_LIT("1.7") } } };
    int64_t         left;

    (void)state;
    assert_int_equal(200, ask(f, &q, 2, 1)); /* somebody has heard of a newer term, and so has node 2 now */
    assert_int_equal(7, node_fence(f->node[2]).term);
    left = lease_left(f->node[2]->lease, clock_mono());
    assert_true(left > 0);
    (void)bck_change(f, 0, "b", false); /* the old one commits what it likes (alone it can), and pushes it */
    assert_int_equal(0, buckets_of(f->node[2]));
    WITHIN(lease_left(f->node[2]->lease, clock_mono()) <= 0); /* and its grants are worth nothing */
    assert_int_equal(0, buckets_of(f->node[2]));
    fx_free(f);
}

/* What a join or a keepalive was answered, taken over when a push has overtaken it. */
struct late {
    struct node *n;
    struct sbuf  text;
    struct cons_fence fence;
    int          rc;
};

static void
late_take(void *arg)
{
    struct late *l = arg;
    struct mset *cur = member_cur(l->n);
    struct jw    w;

    sbuf_init(&l->text, 1 * MIB);
    jw_init(&w, &l->text, 0);
    jw_obj(&w);
    msg_meta_json(l->n, &w, cur, ITEMS_ALL);
    jw_obj_end(&w);
    mset_put(cur);
}

static void
late_adopt(void *arg)
{
    struct late *l = arg;
    struct err   e;

    err_clear(&e);
    l->rc = msg_meta_adopt(l->n, sbuf_str(&l->text), 0, &e);
}

static void
an_answer_that_was_overtaken_does_not_take_a_node_back(void **state)
{
    struct fixture *f = fx_cluster();
    struct late     l = { .n = f->node[2] };
    char           *term;

    (void)state;
    on_fiber(l.n->run, 0, late_take, &l);
    assert_int_equal(0, bck_change(f, 0, "b", false));
    assert_int_equal(1, buckets_of(f->node[2]));
    on_fiber(l.n->run, 0, late_adopt, &l);
    assert_int_equal(0, l.rc);
    assert_int_equal(1, buckets_of(f->node[2]));
    /* The same from a later term is the truth: a cluster that was recovered from an older state. */
    term = strstr(l.text.p, "\"term\":");
    assert_non_null(term);
    term[7] = '9';
    on_fiber(l.n->run, 0, late_adopt, &l);
    assert_int_equal(0, l.rc);
    assert_int_equal(0, buckets_of(f->node[2]));
    sbuf_fini(&l.text);
    fx_free(f);
}

static bool
fence_file_says(struct fixture *f, int node, const char *text)
{
    auto_free char *path = xasprintf("%s/%d/.ais.fence", f->dir, node), *got = NULL;
    size_t          n = 0;

    return disk_read_file(path, 64, &got, &n) == 0 && n > 0 && str_eqz(str_from(got, n - 1), text);
}

static void
a_new_term_is_on_disk_everywhere_though_nothing_changed(void **state)
{
    struct fixture *f = fx_cluster();
    char            now[48], next[48];

    (void)state;
    (void)fence_text(f, 0, now);
    (void)fence_text(f, 1, next);
    WITHIN(fence_file_says(f, 2, now));
    node_down(f, 0);
    assert_int_equal(0, node_up(f, 0));
    for (int i = 0; i < 3; i++)
        WITHIN(fence_file_says(f, i, next));
    fx_free(f);
}

static void
a_fence_that_cannot_be_read_stops_the_start(void **state)
{
    struct fixture *f = fx_cluster();
    auto_free char *d = xasprintf("%s/2", f->dir);

    (void)state;
    node_down(f, 2);
    file_write(d, ".ais.fence", "zzz\n", 0640);
    assert_int_equal(-AIS_E_CORRUPT, node_up(f, 2));
    assert_non_null(strstr(f->err.text, ".ais.fence: not \"epoch.term\""));
    fx_free(f);
}

static bool
refusals(struct node *n)
{
    bool any;

    MUST(pthread_mutex_lock(&n->member->mtx));
    any = n->member->refused_at != 0;
    MUST(pthread_mutex_unlock(&n->member->mtx));
    return any;
}

/* Node 1's id on node 2's ports and disks: a copied machine. */
static int
node_up_as(struct fixture *f, int i, const char *id)
{
    auto_free char  *config = xasprintf("%s/%d/ais.json", f->dir, i), *local = xasprintf("%s/%d/ais_local.json", f->dir, i);
    struct node_opts o = { .impl = &target_impl, .config = config, .local_config = local, .daemon_id = id, .nloops = 1 };

    err_clear(&f->err);
    return node_start(&o, &f->node[i], &f->err);
}

static void
a_second_node_of_the_same_id_stays_outside(void **state)
{
    struct fixture *f = fx_new();
    struct views    v;

    (void)state;
    for (int i = 0; i < 3; i++)
        node_files(f, i, KEY_A);
    assert_int_equal(0, node_up(f, 0));
    assert_int_equal(0, node_up(f, 1));
    WITHIN(has_flag(f->node[1], NODE_NODE_STARTED) && has_flag(f->node[0], NODE_CLUSTER_STARTED));
    assert_int_equal(0, node_up_as(f, 2, "target-node-1"));
    WITHIN(refusals(f->node[0]));
    assert_false(has_flag(f->node[2], NODE_NODE_STARTED));
    views_of(f->node[0], &v);
    assert_int_equal(f->port[1][1], smap_find(v.smap, STR_LIT("target-node-1"))->control.port);
    views_put(&v);
    /* The first one goes: then it is a node that moved. */
    node_down(f, 1);
    WITHIN(has_flag(f->node[2], NODE_NODE_STARTED));
    views_of(f->node[0], &v);
    assert_int_equal(2, v.smap->nnodes);
    assert_int_equal(f->port[2][1], smap_find(v.smap, STR_LIT("target-node-1"))->control.port);
    views_put(&v);
    fx_free(f);
}

/* The address of the primary takes connections and says nothing. */
static void
a_node_that_waits_for_an_answer_stops_at_once(void **state)
{
    struct fixture    *f = fx_new();
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(f->port[0][1]) };
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct pollfd      pfd = { .fd = fd, .events = POLLIN };
    int64_t            t0;

    (void)state;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    assert_int_equal(0, bind(fd, (struct sockaddr *)&a, sizeof(a)));
    assert_int_equal(0, listen(fd, 16));
    node_files(f, 1, KEY_A);
    assert_int_equal(0, node_up(f, 1));
    WITHIN(poll(&pfd, 1, 0) == 1);
    t0 = clock_mono();
    node_down(f, 1);
    assert_in_range(clock_mono() - t0, 0, SEC_NS(1));
    close(fd);
    fx_free(f);
}

static void
settings_of_one_node_are_its_own_and_persist(void **state)
{
    struct fixture *f = fx_cluster();
    char            now[48];
    struct ask      q = { .via = f->node[1], .method = M_PUT, .target = "/v1/daemon/set-config?disk.iostat_time_long=4s",
                          .nhdrs = 1, .hdrs = { { STR_LIT("Ais-Fence"), fence_text(f, 0, now) } } };
    struct views    v;

    (void)state;
    assert_int_equal(200, ask(f, &q, 2, 1));
    views_of(f->node[2], &v);
    assert_int_equal(SEC_NS(4), v.conf->disk.iostat_time_long);
    views_put(&v);
    views_of(f->node[0], &v);
    assert_int_equal(SEC_NS(2), v.conf->disk.iostat_time_long);
    views_put(&v);
    node_down(f, 2);
    assert_int_equal(0, node_up(f, 2));
    WITHIN(has_flag(f->node[2], NODE_NODE_STARTED));
    views_of(f->node[2], &v);
    assert_int_equal(SEC_NS(4), v.conf->disk.iostat_time_long);
    views_put(&v);
    fx_free(f);
}

static void
a_configuration_directory_of_another_making_is_adopted(void **state)
{
    struct fixture *f = fx_new();
    auto_free char *d = xasprintf("%s/0", f->dir);
    struct mset    *m = mset_new(conf_default());
    struct bck      b = { .provider = PROV_AIS, .name = STR_LIT("old") };
    struct snode    self = { .role = ROLE_PROXY, .id = "proxy-node-0" };
    struct bprops   p;
    struct bmd     *bmd = bmd_new("go-cluster");
    struct views    v;
    uint64_t        bid;

    (void)state;
    node_files(f, 0, KEY_A);
    bprops_default(&p, m->conf, PROV_AIS);
    bmd->version = 41;
    mset_set_bmd(m, bmd_with_bucket(bmd, &b, &p, 1));
    bmd_put(bmd);
    bid = bmd_find(m->bmd, &b)->bck.bid;
    mset_set_smap(m, smap_new("go-cluster"));
    snode_finish(&self, false);
    mset_set_smap(m, smap_with_node(m->smap, &self));
    mset_set_smap(m, smap_with_primary(m->smap, STR_LIT("proxy-node-0")));
    m->conf->rebalance.enabled = false;
    m->conf->version = 9;
    for (int i = 0; i < MI_RMD; i++)
        assert_int_equal(0, mset_store(m, (enum mitem)i, d));
    mset_put(m);
    assert_int_equal(0, node_up(f, 0));
    views_of(f->node[0], &v);
    assert_string_equal("go-cluster", v.smap->uuid);
    assert_true(bid == bmd_find(v.bmd, &b)->bck.bid);
    assert_int_equal(42, v.bmd->version);
    assert_false(v.conf->rebalance.enabled);
    assert_true(v.conf->version > 9);
    assert_string_equal("proxy-node-0", v.smap->primary->id);
    views_put(&v);
    /* A target that joins has no metadata; its disks may have the bucket all the same, so it must not take it for a new one. */
    atomic_store(&bmd_first, 0);
    node_files(f, 1, KEY_A);
    assert_int_equal(0, node_up(f, 1));
    WITHIN(buckets_of(f->node[1]) == 1);
    assert_int_equal(1, atomic_load(&bmd_first));
    fx_free(f);
}

static unsigned
dead_of(struct node *n)
{
    struct views v;
    unsigned     nd;

    views_of(n, &v);
    nd = v.smap->ndead;
    views_put(&v);
    return nd;
}

static void
a_target_that_is_gone_is_marked_dead_and_comes_back_as_itself(void **state)
{
    struct fixture *f = fx_cluster();
    struct views    v;
    int64_t         t0;

    (void)state;
    assert_int_equal(0, bck_change(f, 0, "b", false));
    node_down(f, 2);
    t0 = clock_mono();
    for (int k = 0; k < 2; k++)
        WITHIN(dead_of(f->node[k]) == 1);
    assert_in_range(clock_mono() - t0, SEC_NS(2), SEC_NS(5)); /* not before its lease ran out, counted from its last keepalive */
    views_of(f->node[1], &v);
    assert_int_equal(1, v.smap->nactive);
    assert_int_equal(3, v.smap->nnodes);
    assert_int_equal(1, v.rmd->nchain);
    views_put(&v);
    WITHIN(lease_in_force(f->node[1]) > 0);
    assert_int_equal(0, node_up(f, 2));
    WITHIN(has_flag(f->node[2], NODE_NODE_STARTED));
    for (int k = 0; k < 3; k++)
        WITHIN(dead_of(f->node[k]) == 0);
    for (int k = 1; k < 3; k++) {
        struct err e = { .code = 0 };

        WITHIN(lease_check(f->node[k], &e) == 0);
    }
    fx_free(f);
}

static void
every_target_knows_the_map_in_force_soon_after_a_change(void **state)
{
    struct fixture *f = fx_cluster();
    struct views    v;
    uint64_t        version;
    int64_t         t0;

    (void)state;
    node_files(f, 3, KEY_A);
    assert_int_equal(0, node_up(f, 3)); /* changes the map */
    WITHIN(nodes_of(f->node[0]) == 4);
    t0 = clock_mono();
    views_of(f->node[0], &v);
    version = v.smap->version;
    views_put(&v);
    for (int k = 1; k < 3; k++)
        WITHIN(lease_in_force(f->node[k]) >= version);
    assert_in_range(clock_mono() - t0, 0, MSEC_NS(500)); /* and not by a keepalive only */
    fx_free(f);
}

static void
a_target_without_its_primary_stops_serving(void **state)
{
    struct fixture *f = fx_cluster();
    struct err      e = { .code = 0 };

    (void)state;
    assert_int_equal(0, lease_check(f->node[1], &e));
    node_down(f, 0);
    assert_int_equal(0, lease_check(f->node[1], &e));
    WITHIN(lease_check(f->node[1], &e) == -AIS_E_UNAVAIL);
    assert_int_equal(0, node_up(f, 0));
    WITHIN(lease_check(f->node[1], &e) == 0);
    fx_free(f);
}

static void
wipe(struct fixture *f, int i)
{
    auto_free char *d = xasprintf("%s/data/mp1/%d", f->dir, i);

    assert_int_equal(0, nftw(d, test_rm, 16, FTW_DEPTH | FTW_PHYS));
}

static void
a_target_whose_disks_were_wiped_is_refused_until_it_is_removed(void **state)
{
    struct fixture *f = fx_cluster();
    struct change   c = { .n = f->node[0] };

    (void)state;
    node_down(f, 2);
    wipe(f, 2);
    assert_int_equal(0, node_up(f, 2)); /* no bucket: nothing can be lost */
    WITHIN(has_flag(f->node[2], NODE_NODE_STARTED));
    assert_int_equal(0, bck_change(f, 0, "b", false));
    node_down(f, 2);
    wipe(f, 2);
    assert_int_equal(0, node_up(f, 2));
    WITHIN(was_refused(f->node[0], "target-node-2"));
    assert_false(has_flag(f->node[2], NODE_NODE_STARTED));
    on_fiber(c.n->run, 0, remove_run, &c);
    assert_int_equal(0, c.rc);
    WITHIN(has_flag(f->node[2], NODE_NODE_STARTED));
    WITHIN(nodes_of(f->node[1]) == 3 && dead_of(f->node[1]) == 0);
    fx_free(f);
}

static void
a_disk_of_another_life_stops_the_start(void **state)
{
    struct fixture *f = fx_cluster();
    auto_free char *one = xasprintf("%s/data/mp1/2", f->dir), *two = xasprintf("%s/other", f->dir);

    (void)state;
    node_down(f, 2);
    assert_int_equal(0, mkdir(two, 0755));
    assert_int_equal(0, setxattr(two, "user.ais.storage_id", "otherlife", 9, 0));
    node_files_two_disks(f, 2, one, two);
    assert_int_equal(-AIS_E_INVAL, node_up(f, 2));
    assert_non_null(strstr(f->err.text, "from another life of this target"));
    assert_int_equal(0, removexattr(two, "user.ais.storage_id")); /* one that is new is taken in */
    assert_int_equal(0, node_up(f, 2));
    WITHIN(has_flag(f->node[2], NODE_NODE_STARTED));
    fx_free(f);
}

static unsigned
level_of(struct node *n)
{
    struct views v;
    unsigned     level;

    views_get(n, &v);
    level = v.smap->level;
    views_put(&v);
    return level;
}

/* A rolling upgrade, node by node, and one node that is taken back to the version before, which is too late then. */
static void
a_cluster_goes_to_a_higher_level_when_its_last_node_has_it(void **state)
{
    struct fixture *f = fx_cluster();

    (void)state;
    assert_int_equal(FEATURE_LEVEL, level_of(f->node[0]));
    f->level = FEATURE_LEVEL + 1;
    for (int i = 2; i >= 0; i--) {
        assert_int_equal(FEATURE_LEVEL, level_of(f->node[i]));
        node_down(f, i);
        assert_int_equal(0, node_up(f, i));
        WITHIN(has_flag(f->node[i], NODE_NODE_STARTED));
    }
    for (int i = 0; i < 3; i++)
        WITHIN(level_of(f->node[i]) == FEATURE_LEVEL + 1);
    f->level = 0;
    node_down(f, 2);
    assert_int_equal(-AIS_E_CONFLICT, node_up(f, 2)); /* it knows from its own files */
    assert_non_null(strstr(f->err.text, "needs a newer version"));
    node_files(f, 3, KEY_A);
    assert_int_equal(0, node_up(f, 3)); /* it does not know, and is told */
    WITHIN(was_refused(f->node[0], "proxy-node-3"));
    assert_false(has_flag(f->node[3], NODE_NODE_STARTED));
    fx_free(f);
}

static void
a_target_of_another_cluster_is_refused(void **state)
{
    struct fixture *f = fx_cluster();
    auto_free char *d = xasprintf("%s/2", f->dir);
    struct mset    *m = mset_new(conf_default());

    (void)state;
    node_down(f, 2);
    mset_set_smap(m, smap_new("cluster-of-others"));
    m->smap->version = 7;
    assert_int_equal(0, mset_store(m, MI_SMAP, d));
    mset_put(m);
    assert_int_equal(0, node_up(f, 2));
    WITHIN(was_refused(f->node[0], "target-node-2"));
    assert_false(has_flag(f->node[2], NODE_NODE_STARTED));
    fx_free(f);
}

static void
a_lost_metadata_log_is_not_replaced_silently(void **state)
{
    struct fixture *f = fx_cluster();
    auto_free char *raft = xasprintf("%s/0/.ais.raft", f->dir);

    (void)state;
    assert_int_equal(0, bck_change(f, 0, "b", false));
    node_down(f, 0);
    assert_int_equal(0, nftw(raft, test_rm, 16, FTW_DEPTH | FTW_PHYS));
    assert_int_equal(-AIS_E_CONFLICT, node_up(f, 0)); /* in the same term that it had */
    assert_non_null(strstr(f->err.text, "recover the cluster explicitly"));
    assert_int_equal(-AIS_E_CONFLICT, node_up(f, 0)); /* and trying again does not help */
    fx_free(f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_forms_and_everybody_sees_the_same),
        cmocka_unit_test(a_change_is_everywhere_when_the_call_returns),
        cmocka_unit_test(a_bucket_that_a_target_cannot_make_is_undone),
        cmocka_unit_test(metadata_survives_a_restart_of_everything),
        cmocka_unit_test(a_node_that_was_away_catches_up),
        cmocka_unit_test(a_second_proxy_follows),
        cmocka_unit_test(another_proxy_takes_over_and_knows_everything),
        cmocka_unit_test(a_node_with_another_key_stays_outside),
        cmocka_unit_test(a_node_of_another_cluster_is_refused),
        cmocka_unit_test(outsiders_are_kept_out_of_internal_endpoints),
        cmocka_unit_test(forged_caller_headers_are_refused),
        cmocka_unit_test(an_older_term_is_refused),
        cmocka_unit_test(no_internal_route_takes_an_older_term),
        cmocka_unit_test(a_deposed_primary_is_not_believed),
        cmocka_unit_test(an_answer_that_was_overtaken_does_not_take_a_node_back),
        cmocka_unit_test(a_new_term_is_on_disk_everywhere_though_nothing_changed),
        cmocka_unit_test(a_fence_that_cannot_be_read_stops_the_start),
        cmocka_unit_test(a_second_node_of_the_same_id_stays_outside),
        cmocka_unit_test(a_node_that_waits_for_an_answer_stops_at_once),
        cmocka_unit_test(settings_of_one_node_are_its_own_and_persist),
        cmocka_unit_test(a_configuration_directory_of_another_making_is_adopted),
        cmocka_unit_test(a_lost_metadata_log_is_not_replaced_silently),
        cmocka_unit_test(a_target_that_is_gone_is_marked_dead_and_comes_back_as_itself),
        cmocka_unit_test(every_target_knows_the_map_in_force_soon_after_a_change),
        cmocka_unit_test(a_target_without_its_primary_stops_serving),
        cmocka_unit_test(a_target_whose_disks_were_wiped_is_refused_until_it_is_removed),
        cmocka_unit_test(a_disk_of_another_life_stops_the_start),
        cmocka_unit_test(a_cluster_goes_to_a_higher_level_when_its_last_node_has_it),
        cmocka_unit_test(a_target_of_another_cluster_is_refused),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
