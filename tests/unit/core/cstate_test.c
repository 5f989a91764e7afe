/* SPDX-License-Identifier: Apache-2.0 */
/* The state machine: what each command does, what it refuses, and that replicas agree. */
#include "unit.h"

#include "core/cstate.c"

#include "base/sbuf.h"

#define NODE(role, id, port)                                                                                           \
    "{\"daemon_type\":\"" role "\",\"daemon_id\":\"" id "\",\"public_net\":{\"node_ip_addr\":\"127.0.0.1\",\"daemon_port\":\"1" port  \
    "\",\"direct_url\":\"http://127.0.0.1:1" port "\"},\"intra_control_net\":{\"node_ip_addr\":\"127.0.0.1\",\"daemon_port\":\"2" port \
    "\",\"direct_url\":\"http://127.0.0.1:2" port "\"},\"intra_data_net\":{\"node_ip_addr\":\"127.0.0.1\",\"daemon_port\":\"3" port    \
    "\",\"direct_url\":\"http://127.0.0.1:3" port "\"}}"
#define INIT "{\"op\":\"init\",\"now\":1700000000000000000,\"uuid\":\"cluster-1\"}"
#define BCK(n) "\"bck\":{\"provider\":\"ais\",\"name\":\"" n "\"}"

static struct err err;

static int
apply(struct cstate *s, const char *cmd)
{
    err_clear(&err);
    return cstate_apply(s, 1, str_z(cmd), &err);
}

static struct cstate *
state_new(void)
{
    struct cstate *s = cstate_new();

    assert_int_equal(0, apply(s, INIT));
    return s;
}

static char *
state_text(struct cstate *s)
{
    char  *json = NULL;
    size_t n;

    assert_int_equal(0, cstate_snapshot(s, &json, &n));
    return json;
}

static struct cstate *
state_with_nodes(void)
{
    struct cstate *s = state_new();

    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("proxy", "proxy-01", "0001") "}"));
    assert_int_equal(0, apply(s, "{\"op\":\"primary\",\"id\":\"proxy-01\"}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("target", "target-1", "0002") "}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("target", "target-2", "0003") "}"));
    return s;
}

static void
a_cluster_begins_once(void **state)
{
    struct cstate *s = state_new();

    (void)state;
    assert_string_equal("cluster-1", s->cur->smap->uuid);
    assert_string_equal("cluster-1", s->cur->bmd->uuid);
    assert_string_equal("cluster-1", s->cur->conf->uuid);
    assert_string_equal("2023-11-14 22:13:20", s->cur->smap->created);
    assert_int_equal(1, s->cur->bmd->version);
    assert_int_equal(-AIS_E_CONFLICT, apply(s, INIT));
    cstate_free(s);
}

static void
the_primary_is_in_the_map_and_in_the_configuration(void **state)
{
    struct cstate *s = state_with_nodes();

    (void)state;
    assert_string_equal("proxy-01", s->cur->smap->primary->id);
    assert_string_equal("http://127.0.0.1:20001", s->cur->conf->proxy.primary_url);
    assert_int_equal(SNODE_IC, s->cur->smap->primary->flags);
    assert_int_equal(2, s->cur->smap->nactive);
    cstate_free(s);
}

static void
a_node_that_comes_back_unchanged_makes_no_version(void **state)
{
    struct cstate *s = state_with_nodes();
    uint64_t       v = s->cur->smap->version;

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("target", "target-1", "0002") "}"));
    assert_int_equal(v, s->cur->smap->version);
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("target", "target-1", "0009") "}"));
    assert_int_equal(v + 1, s->cur->smap->version);
    assert_int_equal(10009, smap_find(s->cur->smap, STR_LIT("target-1"))->pub.port);
    cstate_free(s);
}

static void
the_dead_are_marked_and_those_who_return_are_not(void **state)
{
    struct cstate      *s = state_with_nodes();
    uint64_t            v = s->cur->smap->version;
    const struct snode *n;
    char               *text;

    (void)state;
    assert_int_equal(-AIS_E_NONODE, apply(s, "{\"op\":\"node-dead\",\"id\":\"target-7\",\"now\":5}"));
    assert_int_equal(-AIS_E_BADREQ, apply(s, "{\"op\":\"node-dead\",\"id\":\"proxy-01\",\"now\":5}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-dead\",\"id\":\"target-1\",\"now\":1700000000000000005}"));
    assert_int_equal(v + 1, s->cur->smap->version);
    assert_int_equal(1, s->cur->smap->nactive);
    assert_int_equal(1, s->cur->smap->ndead);
    text = state_text(s);
    assert_non_null(strstr(text, "\"dead_since\":{\"target-1\":\"1700000000000000005\"}"));
    assert_int_equal(0, cstate_restore(s, str_z(text), &err));
    free(text);
    n = smap_find(s->cur->smap, STR_LIT("target-1"));
    assert_true(n->dead_since == 1700000000000000005);
    assert_int_equal(0, apply(s, "{\"op\":\"node-dead\",\"id\":\"target-1\",\"now\":9}")); /* twice is once */
    assert_int_equal(v + 1, s->cur->smap->version);
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("target", "target-1", "0009") "}")); /* it moved, and is dead still */
    n = smap_find(s->cur->smap, STR_LIT("target-1"));
    assert_true((n->flags & SNODE_DEAD) != 0 && n->dead_since == 1700000000000000005);
    assert_int_equal(-AIS_E_CONFLICT, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("target", "target-9", "0009") "}"));
    assert_non_null(strstr(err.text, "which is dead"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-alive\",\"id\":\"target-1\"}"));
    assert_int_equal(v + 3, s->cur->smap->version);
    assert_int_equal(2, s->cur->smap->nactive);
    assert_int_equal(0, smap_find(s->cur->smap, STR_LIT("target-1"))->dead_since);
    cstate_free(s);
}

/* A node of level 2 and one of 1: the cluster is at 1 until the last one, also an absent one, is at 2; then 1 is too low. */
static void
the_feature_level_is_that_of_the_oldest_node_and_never_goes_down(void **state)
{
    struct cstate *s = state_new();
    uint64_t       v;
    char          *text;

    (void)state;
    assert_int_equal(-AIS_E_BADREQ, apply(s, "{\"op\":\"level\",\"level\":1}")); /* nobody is there who could */
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"level\":2,\"node\":" NODE("proxy", "proxy-01", "0001") "}"));
    assert_int_equal(0, apply(s, "{\"op\":\"primary\",\"id\":\"proxy-01\"}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"level\":1,\"node\":" NODE("target", "target-1", "0002") "}"));
    assert_int_equal(0, s->cur->smap->level);
    assert_int_equal(-AIS_E_BADREQ, apply(s, "{\"op\":\"level\",\"level\":2}"));
    assert_string_equal("not all nodes have feature level 2: the lowest is 1", err.text);
    assert_int_equal(0, apply(s, "{\"op\":\"level\",\"level\":1}"));
    assert_int_equal(1, s->cur->smap->level);
    v = s->cur->smap->version;
    assert_int_equal(0, apply(s, "{\"op\":\"level\",\"level\":1}")); /* twice is once */
    assert_int_equal(v, s->cur->smap->version);
    /* one without any does not get in any more */
    assert_int_equal(-AIS_E_CONFLICT, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("target", "target-3", "0003") "}"));
    /* its absence does not count, its next version does */
    assert_int_equal(0, apply(s, "{\"op\":\"node-dead\",\"id\":\"target-1\",\"now\":5}"));
    assert_int_equal(-AIS_E_BADREQ, apply(s, "{\"op\":\"level\",\"level\":2}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"level\":2,\"node\":" NODE("target", "target-1", "0002") "}"));
    assert_int_equal(0, apply(s, "{\"op\":\"level\",\"level\":2}"));
    assert_int_equal(v + 3, s->cur->smap->version);
    /* a snapshot keeps it all */
    text = state_text(s);
    assert_non_null(strstr(text, "\"level\":2,\"levels\":{\"proxy-01\":2,\"target-1\":2}"));
    assert_int_equal(0, cstate_restore(s, str_z(text), &err));
    free(text);
    assert_int_equal(2, s->cur->smap->level);
    /* back to the version before: refused, and it says why */
    assert_int_equal(-AIS_E_CONFLICT, apply(s, "{\"op\":\"node-add\",\"level\":1,\"node\":" NODE("target", "target-1", "0002") "}"));
    assert_string_equal("t[target-1] runs a version of feature level 1, and the cluster is at level 2 already: it needs a newer version", err.text);
    cstate_free(s);
}

static void
who_says_that_it_stops_is_gone_at_once_and_maintenance_ends_with_it(void **state)
{
    struct cstate      *s = state_with_nodes();
    uint64_t            v = s->cur->smap->version;
    const struct snode *n;

    (void)state;
    assert_int_equal(-AIS_E_NONODE, apply(s, "{\"op\":\"node-left\",\"id\":\"target-7\",\"now\":5}"));
    assert_int_equal(-AIS_E_BADREQ, apply(s, "{\"op\":\"node-left\",\"id\":\"proxy-01\",\"now\":5}"));
    assert_int_equal(v, s->cur->smap->version);
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"ids\":[\"target-1\"],\"on\":true,\"rebalance\":false}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-left\",\"id\":\"target-1\",\"now\":5}"));
    n = smap_find(s->cur->smap, STR_LIT("target-1"));
    assert_int_equal(SNODE_DEAD, n->flags);
    assert_int_equal(5, n->dead_since);
    assert_int_equal(v + 2, s->cur->smap->version);
    assert_int_equal(0, apply(s, "{\"op\":\"node-left\",\"id\":\"target-1\",\"now\":6}")); /* twice is once */
    assert_int_equal(v + 2, s->cur->smap->version);
    assert_int_equal(0, apply(s, "{\"op\":\"node-alive\",\"id\":\"target-1\"}"));
    assert_int_equal(0, smap_find(s->cur->smap, STR_LIT("target-1"))->flags);
    /* one that was told to shut down, or is being decommissioned, stays what it is */
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"ids\":[\"target-1\"],\"on\":true,\"rebalance\":false,\"stop\":true}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-left\",\"id\":\"target-1\",\"now\":7}"));
    assert_int_equal(SNODE_DEAD | SNODE_MAINT | SNODE_STOP, smap_find(s->cur->smap, STR_LIT("target-1"))->flags);
    cstate_free(s);
}

static void
a_target_with_other_disks_is_refused_once_there_are_buckets(void **state)
{
    struct cstate *s = state_with_nodes();
    char          *text;

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"storage\":\"one\",\"node\":" NODE("target", "target-1", "0002") "}"));
    assert_string_equal("one", smap_find(s->cur->smap, STR_LIT("target-1"))->storage); /* it was not known before */
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"storage\":\"two\",\"node\":" NODE("target", "target-1", "0002") "}"));
    assert_int_equal(0, apply(s, "{\"op\":\"bck-create\"," BCK("b") ",\"now\":1}"));
    assert_int_equal(-AIS_E_CONFLICT, apply(s, "{\"op\":\"node-add\",\"storage\":\"one\",\"node\":" NODE("target", "target-1", "0002") "}"));
    assert_non_null(strstr(err.text, "t[target-1] has other disks than before (storage id \"one\", it was \"two\")"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("target", "target-1", "0002") "}")); /* an older version says nothing */
    text = state_text(s);
    assert_int_equal(0, cstate_restore(s, str_z(text), &err));
    free(text);
    assert_string_equal("two", smap_find(s->cur->smap, STR_LIT("target-1"))->storage);
    assert_int_equal(0, apply(s, "{\"op\":\"node-remove\",\"id\":\"target-1\"}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"storage\":\"one\",\"node\":" NODE("target", "target-1", "0002") "}"));
    cstate_free(s);
}

/* Its disk is lost, so is its id; it held nothing. While it is not known to be dead, and for a target, an administrator has to say so. */
static void
a_proxy_takes_the_place_of_its_dead_former_self(void **state)
{
    struct cstate *s = state_with_nodes();
    uint64_t       version;

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("proxy", "proxy-02", "0009") "}"));
    assert_int_equal(-AIS_E_CONFLICT, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("proxy", "proxy-03", "0009") "}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-dead\",\"id\":\"proxy-02\",\"now\":5}"));
    assert_int_equal(-AIS_E_CONFLICT, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("target", "target-3", "0009") "}"));
    version = s->cur->smap->version;
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("proxy", "proxy-03", "0009") "}"));
    assert_null(smap_find(s->cur->smap, STR_LIT("proxy-02")));
    assert_non_null(smap_find(s->cur->smap, STR_LIT("proxy-03")));
    assert_int_equal(version + 1, s->cur->smap->version);
    cstate_free(s);
}

static void
an_address_or_id_of_another_node_is_refused(void **state)
{
    struct cstate *s = state_with_nodes();

    (void)state;
    assert_int_equal(-AIS_E_CONFLICT, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("target", "target-9", "0002") "}"));
    assert_string_equal("t[target-9] cannot join at http://127.0.0.1:10002: the address belongs to t[target-1]", err.text);
    assert_int_equal(-AIS_E_CONFLICT, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("proxy", "target-1", "0008") "}"));
    cstate_free(s);
}

static void
maintenance_survives_a_restart_of_the_node(void **state)
{
    struct cstate *s = state_with_nodes();

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"node-flags\",\"id\":\"target-1\",\"set\":4}"));
    assert_int_equal(1, s->cur->smap->nactive);
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("target", "target-1", "0012") "}"));
    assert_int_equal(1, s->cur->smap->nactive);
    assert_int_equal(0, apply(s, "{\"op\":\"node-flags\",\"id\":\"target-1\",\"clear\":4}"));
    assert_int_equal(2, s->cur->smap->nactive);
    cstate_free(s);
}

static void
the_primary_cannot_be_removed_others_can(void **state)
{
    struct cstate *s = state_with_nodes();

    (void)state;
    assert_int_equal(-AIS_E_BADREQ, apply(s, "{\"op\":\"node-remove\",\"id\":\"proxy-01\"}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-remove\",\"id\":\"target-2\"}"));
    assert_int_equal(1, s->cur->smap->ntargets);
    assert_int_equal(-AIS_E_NONODE, apply(s, "{\"op\":\"node-remove\",\"id\":\"target-2\"}"));
    cstate_free(s);
}

static bool
is_ic(struct cstate *s, const char *id)
{
    return (smap_find(s->cur->smap, str_z(id))->flags & SNODE_IC) != 0;
}

static void
the_information_centre_is_three_proxies_with_the_primary(void **state)
{
    struct cstate *s = state_with_nodes();
    unsigned       ic = 0;

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("proxy", "proxy-00", "0020") "}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("proxy", "proxy-02", "0021") "}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("proxy", "proxy-03", "0022") "}"));
    for (unsigned i = 0; i < s->cur->smap->nproxies; i++)
        ic += (s->cur->smap->nodes[i].flags & SNODE_IC) != 0;
    assert_int_equal(3, ic);
    assert_true(is_ic(s, "proxy-01") && is_ic(s, "proxy-00") && is_ic(s, "proxy-02"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("proxy", "a-proxy0", "0023") "}"));
    assert_false(is_ic(s, "a-proxy0")); /* members stay, whoever comes first by name */
    assert_int_equal(0, apply(s, "{\"op\":\"node-dead\",\"id\":\"proxy-02\",\"now\":5}"));
    assert_false(is_ic(s, "proxy-02"));
    assert_true(is_ic(s, "a-proxy0")); /* somebody takes its place */
    assert_true(is_ic(s, "proxy-01") && is_ic(s, "proxy-00"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-alive\",\"id\":\"proxy-02\"}"));
    assert_false(is_ic(s, "proxy-02")); /* and keeps it */
    assert_int_equal(0, apply(s, "{\"op\":\"primary\",\"id\":\"proxy-03\"}"));
    assert_true(s->cur->smap->primary->flags & SNODE_IC);
    ic = 0;
    for (unsigned i = 0; i < s->cur->smap->nnodes; i++)
        ic += (s->cur->smap->nodes[i].flags & SNODE_IC) != 0;
    assert_int_equal(3, ic);
    assert_int_equal(-AIS_E_BADREQ, apply(s, "{\"op\":\"primary\",\"id\":\"target-1\"}"));
    cstate_free(s);
}

static void
a_bucket_is_created_once_and_its_id_is_never_used_again(void **state)
{
    struct cstate *s = state_with_nodes();
    struct bck     b = { .provider = PROV_AIS, .name = STR_LIT("nnn") };
    uint64_t       bid;

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"bck-create\",\"now\":5," BCK("nnn") "}"));
    bid = bmd_find(s->cur->bmd, &b)->bck.bid;
    assert_true(bid & BID_AIS);
    assert_int_equal(-AIS_E_BCKEXISTS, apply(s, "{\"op\":\"bck-create\"," BCK("nnn") "}"));
    assert_string_equal("bucket \"ais://nnn\" already exists", err.text);
    assert_int_equal(409, err.status);
    assert_int_equal(0, apply(s, "{\"op\":\"bck-destroy\"," BCK("nnn") "}"));
    assert_null(bmd_find(s->cur->bmd, &b));
    assert_int_equal(-AIS_E_NOBCK, apply(s, "{\"op\":\"bck-destroy\"," BCK("nnn") "}"));
    assert_string_equal("bucket \"ais://nnn\" does not exist", err.text);
    assert_int_equal(0, apply(s, "{\"op\":\"bck-create\",\"now\":6," BCK("nnn") "}"));
    assert_true(bmd_find(s->cur->bmd, &b)->bck.bid > bid);
    /* an undo means one creation, not the name */
    assert_int_equal(-AIS_E_NOBCK, apply(s, "{\"op\":\"bck-destroy\",\"created\":5," BCK("nnn") "}"));
    assert_non_null(bmd_find(s->cur->bmd, &b));
    assert_int_equal(0, apply(s, "{\"op\":\"bck-destroy\",\"created\":6," BCK("nnn") "}"));
    assert_null(bmd_find(s->cur->bmd, &b));
    cstate_free(s);
}

static void
bucket_props_are_set_validated_and_reset(void **state)
{
    struct cstate *s = state_with_nodes();
    struct bck     b = { .provider = PROV_AIS, .name = STR_LIT("nnn") };
    uint64_t       v, bid;

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"bck-create\",\"now\":5," BCK("nnn") ",\"props\":{\"checksum\":{\"type\":\"md5\"}}}"));
    assert_int_equal(CKSUM_MD5, bmd_find(s->cur->bmd, &b)->props.checksum.type);
    bid = bmd_find(s->cur->bmd, &b)->bck.bid;
    v = s->cur->bmd->version;
    assert_true(apply(s, "{\"op\":\"bck-set-props\"," BCK("nnn") ",\"props\":{\"checksum\":{\"type\":\"nonsense\"}}}") < 0);
    assert_int_equal(v, s->cur->bmd->version);
    assert_int_equal(0, apply(s, "{\"op\":\"bck-reset-props\"," BCK("nnn") "}"));
    assert_int_equal(CKSUM_XXHASH2, bmd_find(s->cur->bmd, &b)->props.checksum.type);
    assert_int_equal(bid, bmd_find(s->cur->bmd, &b)->bck.bid);
    assert_int_equal(v + 1, s->cur->bmd->version);
    cstate_free(s);
}

static void
configuration_changes_one_version_at_a_time(void **state)
{
    struct cstate *s = state_with_nodes();
    uint64_t       v = s->cur->conf->version;

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"conf-set\",\"now\":1,\"toset\":{\"rebalance\":{\"enabled\":false}}}"));
    assert_int_equal(v + 1, s->cur->conf->version);
    assert_false(s->cur->conf->rebalance.enabled);
    assert_true(apply(s, "{\"op\":\"conf-set\",\"now\":1,\"toset\":{\"timeout\":{\"max_keepalive\":\"nonsense\"}}}") < 0);
    assert_int_equal(v + 1, s->cur->conf->version);
    cstate_free(s);
}

/* --- nodes that leave and come back --- */
static uint64_t
flags_of(struct cstate *s, const char *id)
{
    return smap_find(s->cur->smap, str_z(id))->flags;
}

static struct cstate *
state_with_three_targets(void)
{
    struct cstate *s = state_with_nodes();

    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("target", "target-3", "0004") "}"));
    assert_int_equal(0, apply(s, "{\"op\":\"bck-create\",\"now\":5," BCK("nnn") "}"));
    return s;
}

static void
maintenance_without_rebalance_is_final_at_once_and_said_twice_changes_nothing(void **state)
{
    struct cstate *s = state_with_three_targets();
    uint64_t       v = s->cur->smap->version, rv;

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":true,\"ids\":[\"target-1\",\"target-2\"]}"));
    assert_int_equal(v + 1, s->cur->smap->version);
    assert_int_equal(SNODE_MAINT, flags_of(s, "target-1"));
    assert_int_equal(1, s->cur->smap->nactive);
    assert_int_equal(RMD_IDLE, s->cur->rmd->state);
    assert_int_equal(1, s->cur->rmd->nchain); /* and yet nobody forgets where the objects are */
    assert_true(rmd_names(s->cur->rmd, "target-1", 0));
    rv = s->cur->rmd->version;
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":true,\"ids\":[\"target-1\",\"target-2\"]}"));
    assert_int_equal(v + 1, s->cur->smap->version);
    assert_int_equal(rv, s->cur->rmd->version);
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":false,\"ids\":[\"target-1\",\"target-2\"]}"));
    assert_int_equal(3, s->cur->smap->nactive);
    v = s->cur->smap->version;
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":false,\"rebalance\":true,\"ids\":[\"target-1\"]}"));
    assert_int_equal(v, s->cur->smap->version);
    assert_int_equal(RMD_IDLE, s->cur->rmd->state);
    cstate_free(s);
}

static void
a_batch_that_names_one_wrong_node_changes_none(void **state)
{
    struct cstate *s = state_with_three_targets();
    uint64_t       v = s->cur->smap->version;

    (void)state;
    assert_int_equal(-AIS_E_NONODE, apply(s, "{\"op\":\"node-maint\",\"on\":true,\"ids\":[\"target-1\",\"target-9\"]}"));
    assert_int_equal(-AIS_E_BADREQ, apply(s, "{\"op\":\"node-maint\",\"on\":true,\"ids\":[\"target-1\",\"proxy-01\"]}"));
    assert_int_equal(v, s->cur->smap->version);
    assert_int_equal(0, flags_of(s, "target-1"));
    cstate_free(s);
}

static void
maintenance_with_rebalance_is_final_when_the_rebalance_is_done(void **state)
{
    struct cstate *s = state_with_three_targets();
    uint64_t       v;

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":true,\"rebalance\":true,\"ids\":[\"target-1\"]}"));
    assert_int_equal(SNODE_MAINT | SNODE_WAIT_REB, flags_of(s, "target-1"));
    assert_int_equal(RMD_RUNNING, s->cur->rmd->state);
    assert_int_equal(s->cur->rmd->version, s->cur->rmd->reb_id);
    assert_int_equal(s->cur->smap->version, s->cur->rmd->smap_ver);
    assert_int_equal(1, s->cur->rmd->nchain);
    v = s->cur->smap->version;
    assert_int_equal(0, apply(s, "{\"op\":\"reb-done\",\"reb\":99}")); /* another one */
    assert_int_equal(v, s->cur->smap->version);
    assert_int_equal(RMD_RUNNING, s->cur->rmd->state);
    assert_int_equal(0, apply(s, "{\"op\":\"reb-done\",\"reb\":2}"));
    assert_int_equal(SNODE_MAINT | SNODE_MAINT_POSTREB, flags_of(s, "target-1"));
    assert_int_equal(v + 1, s->cur->smap->version);
    assert_int_equal(RMD_IDLE, s->cur->rmd->state);
    assert_int_equal(0, s->cur->rmd->nchain);
    assert_int_equal(0, apply(s, "{\"op\":\"reb-done\",\"reb\":2}")); /* said twice */
    assert_int_equal(v + 1, s->cur->smap->version);

    /* back again: what is its own now comes to it */
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":false,\"rebalance\":true,\"ids\":[\"target-1\"]}"));
    assert_int_equal(0, flags_of(s, "target-1"));
    assert_int_equal(RMD_RUNNING, s->cur->rmd->state);
    assert_string_equal("target-1", s->cur->rmd->joined[0]);
    cstate_free(s);
}

static void
a_decommissioned_node_waits_for_its_rebalance_and_can_turn_back_until_then(void **state)
{
    struct cstate *s = state_with_three_targets();

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":true,\"decomm\":true,\"rm_data\":true,\"keep_conf\":true,"
                                 "\"rebalance\":true,\"ids\":[\"target-1\"]}"));
    assert_int_equal(SNODE_DECOMM | SNODE_WAIT_REB | SNODE_RM_DATA | SNODE_KEEP_CONF, flags_of(s, "target-1"));
    assert_int_equal(-AIS_E_BADREQ, apply(s, "{\"op\":\"node-maint\",\"on\":true,\"ids\":[\"target-1\"]}"));
    assert_int_equal(0, apply(s, "{\"op\":\"reb-abort\",\"reb\":2}"));
    assert_int_equal(RMD_ABORTED, s->cur->rmd->state);
    assert_true(flags_of(s, "target-1") & SNODE_WAIT_REB); /* its objects are not moved: it must stay */
    /* asked once more: the next rebalance */
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":true,\"decomm\":true,\"rebalance\":true,\"ids\":[\"target-1\"]}"));
    assert_int_equal(RMD_RUNNING, s->cur->rmd->state);
    assert_int_equal(0, apply(s, "{\"op\":\"reb-abort\",\"reb\":4}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":false,\"rebalance\":true,\"ids\":[\"target-1\"]}"));
    assert_int_equal(0, flags_of(s, "target-1"));
    assert_int_equal(3, s->cur->smap->nactive);

    /* and to the end */
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":true,\"decomm\":true,\"rebalance\":true,\"ids\":[\"target-1\"]}"));
    s->cur->rmd->reb_id = 77;
    assert_int_equal(0, apply(s, "{\"op\":\"reb-done\",\"reb\":77}"));
    assert_int_equal(SNODE_DECOMM, flags_of(s, "target-1"));
    assert_int_equal(-AIS_E_BADREQ, apply(s, "{\"op\":\"node-maint\",\"on\":false,\"ids\":[\"target-1\"]}"));
    assert_string_equal("t[target-1] is currently being decommissioned", err.text);
    assert_int_equal(0, apply(s, "{\"op\":\"node-remove\",\"ids\":[\"target-1\",\"target-9\"]}"));
    assert_null(smap_find(s->cur->smap, STR_LIT("target-1")));
    assert_int_equal(-AIS_E_NONODE, apply(s, "{\"op\":\"node-remove\",\"ids\":[\"target-1\"]}"));
    cstate_free(s);
}

static void
decommission_of_a_target_in_maintenance_moves_what_it_still_has(void **state)
{
    struct cstate *s = state_with_three_targets();

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":true,\"ids\":[\"target-1\"]}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":true,\"decomm\":true,\"rebalance\":true,\"ids\":[\"target-1\"]}"));
    assert_true(flags_of(s, "target-1") & SNODE_WAIT_REB);
    assert_int_equal(RMD_RUNNING, s->cur->rmd->state);
    cstate_free(s);
}

static void
the_dead_and_the_last_target_do_not_wait_for_a_rebalance(void **state)
{
    struct cstate *s = state_with_three_targets();

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"node-flags\",\"id\":\"target-1\",\"set\":65536}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":true,\"decomm\":true,\"rebalance\":true,\"ids\":[\"target-1\"]}"));
    assert_int_equal(SNODE_DECOMM | SNODE_DEAD, flags_of(s, "target-1"));
    assert_int_equal(RMD_IDLE, s->cur->rmd->state);
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":true,\"rebalance\":true,\"ids\":[\"target-2\",\"target-3\"]}"));
    assert_int_equal(0, s->cur->smap->nactive);
    assert_int_equal(SNODE_MAINT, flags_of(s, "target-3"));
    assert_int_equal(RMD_IDLE, s->cur->rmd->state);
    cstate_free(s);
}

/* target-3 is dead: the map that names it stays in the chain. That must not keep target-1, whose objects are moved, from leaving. */
static void
a_dead_target_does_not_hold_up_one_that_leaves(void **state)
{
    struct cstate *s = state_with_three_targets();

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":true,\"decomm\":true,\"rebalance\":true,\"ids\":[\"target-1\"]}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-flags\",\"id\":\"target-3\",\"set\":65536}"));
    assert_int_equal(RMD_RUNNING, s->cur->rmd->state);
    assert_int_equal(0, apply(s, "{\"op\":\"reb-done\",\"reb\":2}"));
    assert_true(s->cur->rmd->nchain > 0);
    assert_int_equal(SNODE_DECOMM, flags_of(s, "target-1"));
    cstate_free(s);
}

static void
a_target_that_left_after_the_rebalance_began_is_not_empty(void **state)
{
    struct cstate *s = state_with_three_targets();

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"reb-start\"}"));
    assert_int_equal(1, s->cur->rmd->reb_id);
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":true,\"ids\":[\"target-1\"]}"));
    assert_int_equal(0, apply(s, "{\"op\":\"reb-done\",\"reb\":1}"));
    assert_int_equal(SNODE_MAINT, flags_of(s, "target-1"));
    cstate_free(s);
}

static void
a_target_that_joins_a_running_cluster_is_given_what_is_its_own(void **state)
{
    struct cstate *s = state_with_three_targets();
    uint64_t       v;

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"rebalance\":true,\"node\":" NODE("target", "target-4", "0005") "}"));
    assert_int_equal(RMD_RUNNING, s->cur->rmd->state);
    assert_int_equal(s->cur->smap->version, s->cur->rmd->smap_ver);
    assert_string_equal("target-4", s->cur->rmd->joined[0]);
    v = s->cur->rmd->version;
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"rebalance\":true,\"node\":" NODE("target", "target-4", "0005") "}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"rebalance\":true,\"node\":" NODE("proxy", "proxy-02", "0006") "}"));
    assert_int_equal(v, s->cur->rmd->version);
    /* dead and back: likewise */
    assert_int_equal(0, apply(s, "{\"op\":\"reb-done\",\"reb\":2}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-flags\",\"id\":\"target-4\",\"set\":65536}"));
    assert_int_equal(RMD_IDLE, s->cur->rmd->state);
    assert_int_equal(0, apply(s, "{\"op\":\"node-flags\",\"rebalance\":true,\"id\":\"target-4\",\"clear\":65536}"));
    assert_int_equal(RMD_RUNNING, s->cur->rmd->state);
    /* not when the cluster's configuration says no */
    assert_int_equal(0, apply(s, "{\"op\":\"conf-set\",\"now\":1,\"toset\":{\"rebalance\":{\"enabled\":false}}}"));
    v = s->cur->rmd->reb_id;
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"rebalance\":true,\"node\":" NODE("target", "target-5", "0007") "}"));
    assert_int_equal(v, s->cur->rmd->reb_id);
    cstate_free(s);
}

static void
a_rebalance_is_started_by_hand_once_and_with_two_targets(void **state)
{
    struct cstate *s = state_with_three_targets();

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"reb-start\",\"bck\":\"ais/@#/nnn\",\"prefix\":\"a/\"}"));
    assert_true(str_eqz(s->cur->rmd->bck, "ais/@#/nnn"));
    assert_true(str_eqz(s->cur->rmd->prefix, "a/"));
    assert_int_equal(-AIS_E_BUSY, apply(s, "{\"op\":\"reb-start\"}"));
    assert_int_equal(0, apply(s, "{\"op\":\"reb-done\",\"reb\":1}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":true,\"ids\":[\"target-1\",\"target-2\"]}"));
    assert_int_equal(-AIS_E_BADREQ, apply(s, "{\"op\":\"reb-start\"}"));
    cstate_free(s);
}

/* A scope moves a part: whoever leaves still has the rest. */
static void
a_rebalance_of_one_bucket_empties_nobody(void **state)
{
    struct cstate *s = state_with_three_targets();

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"node-maint\",\"on\":true,\"ids\":[\"target-1\"]}"));
    assert_int_equal(0, apply(s, "{\"op\":\"reb-start\",\"bck\":\"ais/@#/nnn\"}"));
    assert_int_equal(0, apply(s, "{\"op\":\"reb-done\",\"reb\":2}"));
    assert_int_equal(SNODE_MAINT, flags_of(s, "target-1"));
    assert_int_equal(1, s->cur->rmd->nchain);
    cstate_free(s);
}

static void
a_dead_proxy_does_not_take_a_seat_in_the_information_centre(void **state)
{
    struct cstate *s = state_with_nodes();

    (void)state;
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("proxy", "proxy-00", "0020") "}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("proxy", "proxy-02", "0021") "}"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-add\",\"node\":" NODE("proxy", "proxy-03", "0022") "}"));
    assert_int_equal(0, flags_of(s, "proxy-03"));
    assert_int_equal(0, apply(s, "{\"op\":\"node-flags\",\"id\":\"proxy-00\",\"set\":65536}"));
    assert_int_equal(SNODE_DEAD, flags_of(s, "proxy-00"));
    assert_int_equal(SNODE_IC, flags_of(s, "proxy-03"));
    cstate_free(s);
}

static void
unknown_and_malformed_commands_are_refused(void **state)
{
    struct cstate *s = state_new();

    (void)state;
    assert_int_equal(-AIS_E_NOTIMPL, apply(s, "{\"op\":\"nonsense\"}"));
    assert_true(apply(s, "{\"op\":") < 0);
    assert_true(apply(s, "{\"op\":\"bck-create\"}") < 0);
    assert_true(apply(s, "{\"op\":\"node-add\",\"node\":{}}") < 0);
    /* found by fuzzing: a name that no snapshot could bring back */
    assert_int_equal(-AIS_E_BADREQ, apply(s, "{\"op\":\"bck-create\",\"now\":5,\"bck\":{\"provider\":\"ais\",\"name\":\"a b\"}}"));
    assert_int_equal(-AIS_E_BADREQ, apply(s, "{\"op\":\"bck-create\",\"now\":5,\"bck\":{\"provider\":\"ais\",\"name\":\"b\",\"ns_name\":\"|\"}}"));
    cstate_free(s);
}

/* Two replicas that apply the same log are equal byte for byte, and so is one that starts from a snapshot. */
static void
replicas_agree(void **state)
{
    static const char *const more[] = {
        "{\"op\":\"bck-create\",\"now\":7," BCK("a") "}",
        "{\"op\":\"bck-create\",\"now\":8,\"bck\":{\"provider\":\"ais\",\"name\":\"a\",\"ns_name\":\"ns\"}}",
        "{\"op\":\"bck-create\",\"now\":9," BCK("a") "}",
        "{\"op\":\"conf-set\",\"now\":10,\"toset\":{\"log\":{\"level\":\"4\"}}}",
        "{\"op\":\"bck-destroy\"," BCK("a") "}",
        "{\"op\":\"node-flags\",\"id\":\"target-2\",\"set\":4,\"clear\":0}",
    };
    struct cstate  *a = state_with_nodes(), *b = state_with_nodes(), *c = cstate_new();
    auto_free char *half = state_text(a), *ta = NULL, *tb = NULL, *tc = NULL;

    (void)state;
    assert_int_equal(0, cstate_restore(c, str_z(half), &err));
    for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
        int rc = apply(a, more[i]);

        assert_int_equal(rc, apply(b, more[i]));
        assert_int_equal(rc, apply(c, more[i]));
    }
    ta = state_text(a);
    tb = state_text(b);
    tc = state_text(c);
    assert_string_equal(ta, tb);
    assert_string_equal(ta, tc);
    cstate_free(a);
    cstate_free(b);
    cstate_free(c);
}

static void
a_snapshot_of_another_format_is_refused(void **state)
{
    struct cstate *s = cstate_new();

    (void)state;
    assert_int_equal(-AIS_E_CORRUPT, cstate_restore(s, STR_LIT("{\"format\":99}"), &err));
    assert_true(cstate_restore(s, STR_LIT("nonsense"), &err) < 0);
    cstate_free(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_begins_once),
        cmocka_unit_test(the_primary_is_in_the_map_and_in_the_configuration),
        cmocka_unit_test(a_node_that_comes_back_unchanged_makes_no_version),
        cmocka_unit_test(the_dead_are_marked_and_those_who_return_are_not),
        cmocka_unit_test(the_feature_level_is_that_of_the_oldest_node_and_never_goes_down),
        cmocka_unit_test(who_says_that_it_stops_is_gone_at_once_and_maintenance_ends_with_it),
        cmocka_unit_test(a_target_with_other_disks_is_refused_once_there_are_buckets),
        cmocka_unit_test(a_proxy_takes_the_place_of_its_dead_former_self),
        cmocka_unit_test(an_address_or_id_of_another_node_is_refused),
        cmocka_unit_test(maintenance_survives_a_restart_of_the_node),
        cmocka_unit_test(the_primary_cannot_be_removed_others_can),
        cmocka_unit_test(the_information_centre_is_three_proxies_with_the_primary),
        cmocka_unit_test(a_bucket_is_created_once_and_its_id_is_never_used_again),
        cmocka_unit_test(bucket_props_are_set_validated_and_reset),
        cmocka_unit_test(configuration_changes_one_version_at_a_time),
        cmocka_unit_test(maintenance_without_rebalance_is_final_at_once_and_said_twice_changes_nothing),
        cmocka_unit_test(a_batch_that_names_one_wrong_node_changes_none),
        cmocka_unit_test(maintenance_with_rebalance_is_final_when_the_rebalance_is_done),
        cmocka_unit_test(a_decommissioned_node_waits_for_its_rebalance_and_can_turn_back_until_then),
        cmocka_unit_test(decommission_of_a_target_in_maintenance_moves_what_it_still_has),
        cmocka_unit_test(the_dead_and_the_last_target_do_not_wait_for_a_rebalance),
        cmocka_unit_test(a_dead_target_does_not_hold_up_one_that_leaves),
        cmocka_unit_test(a_target_that_left_after_the_rebalance_began_is_not_empty),
        cmocka_unit_test(a_target_that_joins_a_running_cluster_is_given_what_is_its_own),
        cmocka_unit_test(a_rebalance_is_started_by_hand_once_and_with_two_targets),
        cmocka_unit_test(a_rebalance_of_one_bucket_empties_nobody),
        cmocka_unit_test(a_dead_proxy_does_not_take_a_seat_in_the_information_centre),
        cmocka_unit_test(unknown_and_malformed_commands_are_refused),
        cmocka_unit_test(replicas_agree),
        cmocka_unit_test(a_snapshot_of_another_format_is_refused),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
