/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aisnode: one node of a cluster, proxy or target. Flags and environment as AIStore's (kubernetes.md 4.4).
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/role_types.h"
#include "core/version.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"

enum flag_kind { FLAG_STR, FLAG_BOOL, FLAG_UINT };

struct args {
    const char *role;
    bool        help;
    struct node_opts o;
};

/* clang-format off */
static const struct flag {
    const char    *name;
    enum flag_kind kind;
    size_t         off;
    const char    *arg, *text;
} flags[] = {
    { "role",          FLAG_STR,  offsetof(struct args, role),            "proxy|target", "what this node is (required)" },
    { "config",        FLAG_STR,  offsetof(struct args, o.config),        "FILE", "cluster configuration, JSON; used until the node has stored its own" },
    { "local_config",  FLAG_STR,  offsetof(struct args, o.local_config),  "FILE", "this node's directories, addresses and mountpaths, JSON" },
    { "daemon_id",     FLAG_STR,  offsetof(struct args, o.daemon_id),     "ID",   "node id; otherwise AIS_DAEMON_ID, the disks, or a new one" },
    { "config_custom", FLAG_STR,  offsetof(struct args, o.config_custom), "K=V,...", "configuration of this node alone, on top of the cluster's" },
    { "transient",     FLAG_BOOL, offsetof(struct args, o.transient),     "",     "do not store -config_custom" },
    { "ntargets",      FLAG_UINT, offsetof(struct args, o.ntargets),      "N",    "primary: the cluster counts as started with so many targets" },
    { "skip_startup",  FLAG_BOOL, offsetof(struct args, o.skip_startup),  "",     "primary: do not wait for targets" },
    { "standby",       FLAG_BOOL, offsetof(struct args, o.standby),       "",     "do not join by itself; wait for an administrator" },
    { "loopback",      FLAG_BOOL, offsetof(struct args, o.loopback),      "",     "use this machine's loopback address where none is configured" },
    { "start_with_lost_mountpath", FLAG_BOOL, offsetof(struct args, o.start_with_lost_mountpath), "", "target: start although a mountpath is missing" },
    { "loops",         FLAG_UINT, offsetof(struct args, o.nloops),        "N",    "event loops; one per CPU unless given" },
    { "h",             FLAG_BOOL, offsetof(struct args, help),            "",     "this text" },
};
/* clang-format on */

static void
usage(FILE *f)
{
    size_t i;

    fprintf(f, "aisnode %s: one node of an AIStore cluster\n\n"
               "  aisnode -role=proxy|target -config=ais.json -local_config=ais_local.json [flags]\n"
               "  aisnode version\n"
               "  aisnode settings     every setting of the cluster configuration, with defaults and bounds\n\n",
            ais_version());
    for (i = 0; i < ARRAY_SIZE(flags); i++) {
        char head[64];

        snprintf(head, sizeof(head), "-%s%s%s", flags[i].name, flags[i].arg[0] != '\0' ? "=" : "", flags[i].arg);
        fprintf(f, "  %-28s %s\n", head, flags[i].text);
    }
    fprintf(f, "\nA flag may also be written --flag, and its value as the next word.\n"
               "\nThe first start of a cluster needs a proxy whose own address is \"proxy.primary_url\" in the cluster configuration\n"
               "(or AIS_PRIMARY_EP in the environment); all other nodes find it through the same setting.\n"
               "Nodes on different machines need the same key in <confdir>/.ais.cluster_key, mode 0600:\n"
               "  echo \"1:$(openssl rand -hex 32)\" > .ais.cluster_key\n"
               "Without it a node talks to nodes on its own machine only.\n"
               "\nExample of a local configuration:\n"
               "  {\"confdir\": \"/etc/ais\", \"log_dir\": \"/var/log/ais\", \"fspaths\": {\"/ais/1\": \"\"},\n"
               "   \"test_fspaths\": {\"root\": \"\", \"count\": 0, \"instance\": 0},\n"
               "   \"host_net\": {\"hostname\": \"\", \"hostname_intra_control\": \"\", \"hostname_intra_data\": \"\",\n"
               "                \"port\": \"51081\", \"port_intra_control\": \"51082\", \"port_intra_data\": \"51083\"}}\n");
}

static int
flag_set(struct args *a, const struct flag *f, const char *value)
{
    void    *p = (char *)a + f->off;
    uint64_t u;

    switch (f->kind) {
    case FLAG_STR:
        *(const char **)p = value;
        return 0;
    case FLAG_BOOL:
        *(bool *)p = value == NULL || str_query_bool(str_z(value));
        return 0;
    case FLAG_UINT:
        if (!str_u64(str_z(value), &u) || u > 1000000) {
            fprintf(stderr, "aisnode: -%s: \"%s\" is not a number\n", f->name, value);
            return -1;
        }
        *(unsigned *)p = (unsigned)u;
        return 0;
    }
    return -1;
}

/* Takes one flag, perhaps with the next word. Returns how many words were used, or -1. */
static int
flag_parse(struct args *a, int argc, char **argv, int i)
{
    const char *word = argv[i] + 1, *value;
    struct str  name;
    ptrdiff_t   eq;
    size_t      k;

    if (*word == '-')
        word++;
    eq = str_chr(str_z(word), '=');
    name = eq < 0 ? str_z(word) : str_from(word, (size_t)eq);
    value = eq < 0 ? NULL : word + eq + 1;
    if (str_eqz(name, "help"))
        name = STR_LIT("h");
    for (k = 0; k < ARRAY_SIZE(flags) && !str_eqz(name, flags[k].name); k++)
        ;
    if (k == ARRAY_SIZE(flags)) {
        fprintf(stderr, "aisnode: unknown flag %s (see aisnode -h)\n", argv[i]);
        return -1;
    }
    if (value != NULL || flags[k].kind == FLAG_BOOL)
        return flag_set(a, &flags[k], value) < 0 ? -1 : 1;
    if (i + 1 >= argc) {
        fprintf(stderr, "aisnode: flag -%s needs a value\n", flags[k].name);
        return -1;
    }
    return flag_set(a, &flags[k], argv[i + 1]) < 0 ? -1 : 2;
}

/* Every setting of the cluster as a Markdown table: docs/configuration.md. */
static void
settings_print(void)
{
    struct sbuf b;

    sbuf_init(&b, 1 * MIB);
    conf_doc(&b);
    printf("%.*s", STR_FMT(sbuf_str(&b)));
    sbuf_fini(&b);
}

static int
args_parse(struct args *a, int argc, char **argv)
{
    int i, used;

    for (i = 1; i < argc; i += used) {
        if (strcmp(argv[i], "version") == 0) {
            printf("%s (built %s)\n", ais_version(), ais_build_time());
            return 1;
        }
        if (strcmp(argv[i], "settings") == 0) {
            settings_print();
            return 1;
        }
        if (argv[i][0] != '-') {
            fprintf(stderr, "aisnode: unexpected word \"%s\" (see aisnode -h)\n", argv[i]);
            return -1;
        }
        used = flag_parse(a, argc, argv, i);
        if (used < 0)
            return -1;
    }
    if (a->help || argc == 1) {
        usage(stdout);
        return a->help ? 1 : -1;
    }
    if (a->role != NULL && strcmp(a->role, "proxy") == 0)
        a->o.impl = &proxy_role;
    else if (a->role != NULL && strcmp(a->role, "target") == 0)
        a->o.impl = &target_role;
    if (a->o.impl == NULL) {
        fprintf(stderr, "aisnode: -role=proxy or -role=target is required (see aisnode -h)\n");
        return -1;
    }
    if (a->o.config == NULL || a->o.local_config == NULL) {
        fprintf(stderr, "aisnode: -config and -local_config are required (see aisnode -h)\n");
        return -1;
    }
    return 0;
}

/* As many descriptors as we may have; few heaps, so that idle threads do not each keep one. */
static void
limits_set(void)
{
    struct rlimit rl;

    if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < rl.rlim_max) {
        rl.rlim_cur = rl.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &rl);
    }
#ifdef M_ARENA_MAX
    mallopt(M_ARENA_MAX, 2);
#endif
}

/* The node wants to end: as if somebody had asked the process to. */
static void
ask_end(void)
{
    (void)kill(getpid(), SIGTERM);
}

static void
wait_for_end(const sigset_t *wait)
{
    int sig;

    do {
        if (sigwait(wait, &sig) != 0)
            continue;
        if (sig == SIGHUP)
            (void)log_rotate();
        else
            log_info("signal", { "name", LZ(strsignal(sig)) });
    } while (sig == SIGHUP);
}

/* One life of the node. 0: it ended; 1: it was decommissioned and stays up, to live again without a cluster; negative: it could not. */
static int
live(struct node_opts *o, const sigset_t *wait)
{
    static char  id[NODE_ID_MAX + 1];
    struct node *n = NULL;
    struct wipe *wipe;
    struct err   e;
    bool         again;
    int          rc;

    err_clear(&e);
    rc = node_start(o, &n, &e);
    if (rc < 0) {
        log_error("cannot start", { "error", LZ(e.text) });
        fprintf(stderr, "aisnode: cannot start: %s\n", e.text);
        return rc;
    }
    wait_for_end(wait);
    wipe = wipe_plan(n, o);
    again = wipe != NULL && (node_ending(n) & END_STAY_UP);
    str_copyz(str_z(n->id), id, sizeof(id));
    node_leave(n);
    if (!node_stop(n))
        _exit(1); /* threads are still at work: no destructors */
    wipe_run(wipe);
    o->daemon_id = id; /* in its next life it is the same node */
    o->standby = true;
    return again;
}

int
main(int argc, char **argv)
{
    struct args a = { 0 };
    sigset_t    wait;
    int         rc = args_parse(&a, argc, argv);

    if (rc != 0)
        return rc < 0 ? 2 : 0;
    a.o.ask_end = ask_end;
    limits_set();
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&wait);
    sigaddset(&wait, SIGTERM);
    sigaddset(&wait, SIGINT);
    sigaddset(&wait, SIGHUP);
    MUST(pthread_sigmask(SIG_BLOCK, &wait, NULL)); /* threads inherit it */

    do {
        rc = live(&a.o, &wait);
        log_close();
    } while (rc > 0);
    return rc < 0 ? 1 : 0;
}
