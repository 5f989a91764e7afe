/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim: run clusters under the deterministic simulator, seed after seed, each in a process of its own.
 *
 *   sim [--seed N] [--count K] [--jobs J] [...]     see usage
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "cluster.h"

static struct {
    uint64_t seed;
    unsigned count, jobs, proxies, targets, mountpaths, seconds, faults, deeds;
    bool     trace, log, twice, scale;
} o = { .seed = 1, .count = 1, .jobs = 1, .proxies = 3, .targets = 4, .mountpaths = 2, .seconds = 10 };

struct result {
    uint64_t hash, steps, ops, ok;
    unsigned wrongs, starts;
    int64_t  virtual_ns;
};

static void
usage(FILE *f)
{
    fprintf(f, "sim: clusters under the deterministic simulator (lib/run/sim/README.md)\n\n"
               "  --seed N        first seed (1)              --count K      so many seeds (1)\n"
               "  --jobs J        at a time (1)               --seconds S    of faults, in virtual time (10)\n"
               "  --proxies P     (3)                         --targets T    (4)\n"
               "  --mountpaths M  a target (2)                --faults A,B   which (default: all that must be survived)\n"
               "  --deeds A,B     of an administrator (default: all)\n"
               "  --log           print what happens          --trace        print every event\n"
               "  --twice         run each seed twice: the same must happen\n"
               "  --scale         instead: traffic and map size while a cluster grows to T targets\n\nFaults:");
    for (unsigned i = 0; i < NFAULTS; i++)
        fprintf(f, " %s", fault_names[i]);
    fprintf(f, "\nDeeds:");
    for (unsigned i = 0; i < NDEEDS; i++)
        fprintf(f, " %s", deed_names[i]);
    fprintf(f, "\n");
}

/* --- one seed --- */

static void
hung(int sig)
{
    static const char text[] = "sim: this seed makes no progress in real time\n";

    UNUSED(sig);
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        _exit(4);
    _exit(4);
}

/* A private, empty memory file system at a path that is the same in every run. */
static void
private_root(void)
{
    (void)mkdir(SIM_ROOT, 0700);
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
        perror("sim: unshare: a mount namespace of its own is needed");
        _exit(77);
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || mount("sim", SIM_ROOT, "tmpfs", 0, "size=4g") != 0) {
        perror("sim: mount: a memory file system at " SIM_ROOT);
        _exit(77);
    }
}

static struct sim_conf
conf_of(uint64_t seed)
{
    /* The network and the machines of this seed: most are good, some are bad. */
    static const uint32_t windows[] = { 16 << 10, 64 << 10, 256 << 10, 256 << 10 };
    uint64_t              z = seed * 0x9e3779b97f4a7c15ULL;
    struct sim_conf       c = { .seed = seed, .trace = o.trace, .log = o.log, .root = SIM_ROOT };

    z ^= z >> 31;
    c.delay_min = 20000 + (int64_t)(z % 100000);
    c.delay_max = c.delay_min + (z >> 8 & 3) * 400000;
    c.slow_ppm = (z >> 10 & 3) == 0 ? 20000 : 1000;
    c.slow_max = MSEC_NS(1 << (z >> 12 & 7));
    c.loss_ppm = (z >> 16 & 3) == 0 ? 5000 : 0;
    c.reset_ppm = (z >> 18 & 3) == 0 ? 1000 : 0;
    c.window = windows[z >> 20 & 3];
    c.preempt_ppm = (z >> 22 & 3) * 20000;
    c.disk_max = 100000 << (z >> 24 & 3);
    c.flush_max = MSEC_NS(1 << (z >> 26 & 3));
    return c;
}

/* At most one node takes itself for the primary of a term. */
static void
primaries_check(void)
{
    for (unsigned a = 1; a <= cl.proxies; a++)
        for (unsigned b = a + 1; b <= cl.proxies; b++) {
            struct node *x = cl_node(a)->node, *y = cl_node(b)->node;

            if (x != NULL && y != NULL && x->cons != NULL && y->cons != NULL && cons_is_leader(x->cons) && cons_is_leader(y->cons) &&
                cons_fence(x->cons).term == cons_fence(y->cons).term && cons_fence(x->cons).epoch == cons_fence(y->cons).epoch)
                wrong("hosts %u and %u both lead term %llu", a, b, (unsigned long long)cons_fence(x->cons).term);
        }
}

static bool watching;

static void
watch_main(void *arg)
{
    UNUSED(arg);
    while (watching) {
        primaries_check();
        cl_supervise();
        (void)fiber_sleep(MSEC_NS(10));
    }
}

static void
scenario(struct result *r)
{
    struct cl_conf       cc = { .seed = o.seed, .proxies = o.proxies, .targets = o.targets, .mountpaths = o.mountpaths };
    struct workload_conf wc = { .clients = 5, .buckets = 2, .objects = 25, .churn = 3 };

    cc.targets++; /* one more that joins */
    cl_init(&cc);
    clients_init();
    if (o.scale) {
        scale_run(o.targets);
        return;
    }
    cl.targets--;
    for (unsigned h = 1; h <= cl_nodes(); h++)
        cl_start(h);
    if (!cl_ready(SEC_NS(60))) {
        wrong("the cluster does not start within 60 s");
        return;
    }
    sim_say("the cluster is ready");
    watching = true;
    clients_spawn(watch_main, NULL);
    if (!workload_start(&wc)) {
        wrong("buckets cannot be made in a healthy cluster");
        return;
    }
    operator_start(o.deeds);
    nemesis_run(o.faults, sim_now() + SEC_NS(o.seconds));
    operator_stop();
    if (!cl_ready(SEC_NS(90))) {
        wrong("the cluster is not whole again 90 s after the last fault");
        for (unsigned h = 1; h <= cl_nodes(); h++)
            if (cl_node(h)->failed)
                fprintf(stderr, "    host %u: %s\n", h, cl_node(h)->why);
    }
    workload_stop();
    sim_net_calm();
    operator_settle();
    workload_verify();
    watching = false;
    for (unsigned h = 1; h <= cl_nodes(); h++)
        r->starts += cl_node(h)->starts;
}

static void
run_seed(uint64_t seed, int out)
{
    struct sim_conf c;
    struct result   r = { 0 };
    struct rlimit   rl;

    o.seed = seed;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &rl);
    }
    private_root();
    signal(SIGALRM, hung);
    alarm(o.scale ? 1200 : 120);
    (void)setenv("AIS_DISK", "threads", 1);
    json_object_seed(1);
    c = conf_of(seed);
    sim_begin(&c);
    scenario(&r);
    r.hash = sim_hash();
    r.steps = sim_steps();
    r.virtual_ns = sim_now();
    r.wrongs = wrongs();
    r.ops = wstats.ops;
    r.ok = wstats.ok;
    sim_end();
    if (write(out, &r, sizeof(r)) != sizeof(r))
        _exit(5);
    _exit(0);
}

/* --- many seeds --- */

struct job {
    pid_t    pid;
    uint64_t seed;
    int      fd;
    bool     again;  /* the second run of this seed */
    uint64_t hash;   /* of the first */
};

static struct {
    unsigned done, failed, starts;
    uint64_t ops, ok, steps;
    int64_t  virtual_ns;
} total;

static void
job_start(struct job *j)
{
    int p[2];

    fflush(NULL);
    if (pipe(p) != 0 || (j->pid = fork()) < 0) {
        perror("sim");
        exit(2);
    }
    if (j->pid == 0) {
        close(p[0]);
        run_seed(j->seed, p[1]);
    }
    close(p[1]);
    j->fd = p[0];
}

/* As names_parse reads it. */
static void
names_print(const char *option, const char *const *names, unsigned n, unsigned bits)
{
    printf("%s%s", option, bits == 0 ? "none" : "");
    for (unsigned i = 0; i < n; i++)
        if (bits >> i & 1)
            printf("%s%s", names[i], bits >> i > 1 ? "," : "");
}

static bool
job_end(struct job *j, int status)
{
    struct result r = { 0 };
    bool          got = read(j->fd, &r, sizeof(r)) == sizeof(r), ok = got && status == 0 && r.wrongs == 0;

    close(j->fd);
    j->pid = 0;
    if (!got && WIFEXITED(status) && WEXITSTATUS(status) == 77)
        exit(77);
    if (!got)
        fprintf(stderr, "sim: seed %llu ended with status %x\n", (unsigned long long)j->seed, (unsigned)status);
    if (j->again && r.hash != j->hash) {
        fprintf(stderr, "sim: seed %llu: two runs differ: %016llx, then %016llx\n", (unsigned long long)j->seed,
                (unsigned long long)j->hash, (unsigned long long)r.hash);
        ok = false;
    }
    j->hash = r.hash;
    total.done++;
    total.ops += r.ops;
    total.ok += r.ok;
    total.steps += r.steps;
    total.starts += r.starts;
    total.virtual_ns += r.virtual_ns;
    if (!ok) {
        total.failed++;
        printf("not ok seed %llu: replay with: sim --seed %llu --proxies %u --targets %u --seconds %u --log", (unsigned long long)j->seed,
               (unsigned long long)j->seed, o.proxies, o.targets, o.seconds);
        names_print(" --faults ", fault_names, NFAULTS, o.faults);
        names_print(" --deeds ", deed_names, NDEEDS, o.deeds);
        printf("\n");
    }
    fflush(stdout);
    return ok;
}

static int
run_all(void)
{
    struct job      jobs[64] = { 0 };
    uint64_t        next = o.seed, end = o.seed + o.count;
    unsigned        live = 0, k;
    struct timespec t0, t1;

    clock_gettime(CLOCK_MONOTONIC, &t0);
    for (;;) {
        int   status;
        pid_t pid;

        for (k = 0; k < o.jobs && next < end; k++)
            if (jobs[k].pid == 0) {
                jobs[k] = (struct job){ .seed = next++ };
                job_start(&jobs[k]);
                live++;
            }
        if (live == 0)
            break;
        pid = wait(&status);
        for (k = 0; k < o.jobs; k++) {
            bool ok;

            if (jobs[k].pid != pid)
                continue;
            live--;
            ok = job_end(&jobs[k], status);
            if (ok && o.twice && !jobs[k].again) {
                jobs[k].again = true;
                job_start(&jobs[k]);
                live++;
            }
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &t1);
    printf("%s %u runs, %u failed, %llu operations (%llu answered), %u node starts, %.0f virtual s, %llu switches, %.1f s\n",
           total.failed == 0 ? "ok" : "not ok", total.done, total.failed, (unsigned long long)total.ops, (unsigned long long)total.ok,
           total.starts, (double)total.virtual_ns / 1e9, (unsigned long long)total.steps,
           (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9);
    return total.failed == 0 ? 0 : 1;
}

/* "a,b" into bits; "none" is none. */
static bool
names_parse(char *list, const char *const *names, unsigned n, unsigned *bits)
{
    unsigned i;

    *bits = 0;
    for (char *save = NULL, *z = strtok_r(list, ",", &save); z != NULL; z = strtok_r(NULL, ",", &save)) {
        for (i = 0; i < n && strcmp(z, names[i]) != 0; i++)
            ;
        if (i < n)
            *bits |= 1u << i;
        else if (strcmp(z, "none") != 0)
            return false;
    }
    return true;
}

int
main(int argc, char **argv)
{
    static const struct option opts[] = {
        { "seed", 1, NULL, 's' },    { "count", 1, NULL, 'c' },      { "jobs", 1, NULL, 'j' },   { "proxies", 1, NULL, 'p' },
        { "targets", 1, NULL, 't' }, { "mountpaths", 1, NULL, 'm' }, { "seconds", 1, NULL, 'S' }, { "faults", 1, NULL, 'f' },
        { "trace", 0, NULL, 'T' },   { "log", 0, NULL, 'l' },        { "twice", 0, NULL, '2' },  { "scale", 0, NULL, 'C' },
        { "help", 0, NULL, 'h' },    { "deeds", 1, NULL, 'd' },
        { NULL, 0, NULL, 0 },
    };
    int c;

    o.faults = ((1u << NFAULTS) - 1) & ~(1u << FAULT_EIO | 1u << FAULT_WIPE);
    o.deeds = (1u << NDEEDS) - 1;
    while ((c = getopt_long(argc, argv, "h", opts, NULL)) != -1) {
        unsigned *n = c == 'c'   ? &o.count
                      : c == 'j' ? &o.jobs
                      : c == 'p' ? &o.proxies
                      : c == 't' ? &o.targets
                      : c == 'm' ? &o.mountpaths
                      : c == 'S' ? &o.seconds
                                 : NULL;

        if (n != NULL)
            *n = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 's')
            o.seed = strtoull(optarg, NULL, 10);
        else if (c == 'T')
            o.trace = true;
        else if (c == 'l')
            o.log = true;
        else if (c == '2')
            o.twice = true;
        else if (c == 'C')
            o.scale = true;
        else if (c == 'f' ? !names_parse(optarg, fault_names, NFAULTS, &o.faults)
                          : c != 'd' || !names_parse(optarg, deed_names, NDEEDS, &o.deeds)) {
            usage(c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
    }
    if (o.proxies == 0 || o.targets == 0 || o.proxies + o.targets >= SIM_HOSTS || o.jobs == 0 || o.jobs > 64) {
        usage(stderr);
        return 2;
    }
    return run_all();
}
