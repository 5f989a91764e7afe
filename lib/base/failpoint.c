/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fail points. A small fixed table under a mutex; while nothing is armed a hit costs one relaxed load.
 *
 * Runs on: any thread; blocks for the mutex only. style.md 9.
 */
#include "base/failpoint.h"

#include "base/err.h"

#ifndef AIS_FAIL_POINTS

bool
failpoint_hit(const char *name)
{
    (void)name;
    return false;
}

int
failpoint_error(int dflt)
{
    return dflt;
}

int
failpoint_arm(struct str spec)
{
    (void)spec;
    return -AIS_E_UNSUPP;
}

bool
failpoint_compiled_in(void)
{
    return false;
}

#else

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"

#define MAX_POINTS                  64
#define MAX_NAME                    40

struct point {
    char     name[MAX_NAME];
    uint64_t skip, times; /* still to be skipped; still to fire (when limited) */
    bool     limited, kill;
    int      code; /* positive AIS_E_*, 0 = the one in the code */
};

static pthread_mutex_t  lock = PTHREAD_MUTEX_INITIALIZER; /* protects points */
static struct point     points[MAX_POINTS];
static unsigned         npoints;
static _Atomic unsigned armed; /* npoints, for a look without the lock */
static pthread_once_t   env_once = PTHREAD_ONCE_INIT;

static _Thread_local int last_code; /* of the point that fired last on this thread */

static struct point *
find_locked(struct str name)
{
    for (unsigned i = 0; i < npoints; i++)
        if (str_eqz(name, points[i].name))
            return &points[i];
    return NULL;
}

/* "nospace" is AIS_E_NOSPACE. */
static int
code_by_word(struct str word)
{
    static const struct {
        const char *name;
        int         code;
    } codes[] = {
#define X(sym, status, tcode, text) { #sym, sym },
#include "base/err.def"
#undef X
    };

    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        if (str_ieq(str_z(codes[i].name + strlen("AIS_E_")), word))
            return codes[i].code;
    return 0;
}

/* One field of a value: "3", "kill", "nospace". Numbers are skip, then times. */
static int
parse_field(struct point *p, struct str f, unsigned *nnum)
{
    uint64_t v;

    if (str_u64(f, &v)) {
        if (*nnum == 2)
            return -AIS_E_INVAL;
        if ((*nnum)++ == 0) {
            p->skip = v;
        } else {
            p->times = v;
            p->limited = v > 0;
        }
        return 0;
    }
    if (str_eq(f, STR_LIT("kill"))) {
        p->kill = true;
        return 0;
    }
    p->code = code_by_word(f);
    return p->code == 0 ? -AIS_E_INVAL : 0;
}

static int
parse_item(struct str item, struct point *p)
{
    struct str name, field;
    unsigned   nnum = 0;
    int        rc;

    *p = (struct point){ .times = 0 };
    if (!str_split(&item, '=', &name) || name.n == 0 || item.n == 0 || !str_copyz(name, p->name, sizeof(p->name)))
        return -AIS_E_INVAL;
    while (str_split(&item, ':', &field)) {
        rc = parse_field(p, field, &nnum);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
arm(struct str spec)
{
    struct point parsed[MAX_POINTS], *p;
    unsigned     n = 0;
    struct str   item;
    int          rc = 0;

    if (spec.n == 0)
        spec = STR_NULL; /* no item, where str_split() would see an empty one */
    while (str_split(&spec, ',', &item)) {
        if (n == MAX_POINTS)
            return -AIS_E_INVAL;
        rc = parse_item(str_trim(item), &parsed[n]);
        if (rc < 0)
            return rc;
        n++;
    }
    MUST(pthread_mutex_lock(&lock));
    if (n == 0)
        npoints = 0;
    for (unsigned i = 0; i < n && rc == 0; i++) {
        p = find_locked(str_z(parsed[i].name));
        if (p == NULL && npoints < MAX_POINTS)
            p = &points[npoints++];
        if (p != NULL)
            *p = parsed[i];
        else
            rc = -AIS_E_INVAL;
    }
    atomic_store(&armed, npoints);
    MUST(pthread_mutex_unlock(&lock));
    return rc;
}

static void
arm_from_env(void)
{
    const char *z = getenv("AIS_FAIL");

    if (z != NULL && *z != '\0' && arm(str_z(z)) < 0)
        log_error("bad fail points", { "AIS_FAIL", LZ(z) });
}

int
failpoint_arm(struct str spec)
{
    MUST(pthread_once(&env_once, arm_from_env));
    return arm(spec);
}

bool
failpoint_hit(const char *name)
{
    struct point *p;
    bool          due = false, die = false;

    MUST(pthread_once(&env_once, arm_from_env));
    if (atomic_load_explicit(&armed, memory_order_relaxed) == 0)
        return false;
    MUST(pthread_mutex_lock(&lock));
    p = find_locked(str_z(name));
    if (p != NULL && p->skip > 0) {
        p->skip--;
    } else if (p != NULL && (!p->limited || p->times > 0)) {
        if (p->limited)
            p->times--;
        due = true;
        die = p->kill;
        last_code = p->code;
    }
    MUST(pthread_mutex_unlock(&lock));
    if (die)
        kill(getpid(), SIGKILL);
    return due;
}

int
failpoint_error(int dflt)
{
    return last_code != 0 ? -last_code : dflt;
}

bool
failpoint_compiled_in(void)
{
    return true;
}

#endif
