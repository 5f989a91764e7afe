/* SPDX-License-Identifier: Apache-2.0 */
/* Limits on how often clients may use a bucket; see rate.h. */
#include "core/rate.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/str.h"
#include "base/util.h"

struct rate_gate {
    int64_t         step[RATE_VERBS]; /* ns a request costs, were there one proxy */
    int64_t         burst;            /* requests at once */
    _Atomic int64_t paid[RATE_VERBS]; /* until then */
};

/* "get:200 put:100": the tokens of one verb, or dflt. The text has been checked when it was set. */
static int64_t
verb_tokens(struct str list, const char *verb, int64_t dflt)
{
    struct str tok;
    ptrdiff_t  colon;
    uint64_t   v;

    while (str_split(&list, ' ', &tok)) {
        colon = str_chr(tok, ':');
        if (colon > 0 && str_ieq(str_from(tok.p, (size_t)colon), str_z(verb)) &&
            str_u64(str_trim(str_from_off(tok, (size_t)colon + 1)), &v) && v > 0 && v <= INT32_MAX)
            return (int64_t)v;
    }
    return dflt;
}

struct rate_gate *
rate_gate_new(const struct conf_rate_f *c)
{
    static const char *const verbs[RATE_VERBS] = { "get", "put", "delete" };
    struct rate_gate        *g;

    if (!c->enabled || c->max_tokens <= 0 || c->interval <= 0)
        return NULL;
    g = xcalloc(1, sizeof(*g));
    g->burst = MAX(c->burst_size, 1);
    for (unsigned i = 0; i < RATE_VERBS; i++)
        g->step[i] = c->interval / verb_tokens(str_z(c->per_op), verbs[i], c->max_tokens);
    return g;
}

void
rate_gate_free(struct rate_gate *g)
{
    free(g);
}

int64_t
rate_gate_pass(struct rate_gate *g, enum rate_verb v, int64_t now, unsigned proxies)
{
    int64_t paid, from, step;

    if (g == NULL)
        return 0;
    step = g->step[v] * MAX(proxies, 1u);
    paid = atomic_load_explicit(&g->paid[v], memory_order_relaxed);
    do {
        from = MAX(paid, now);
        if (from - now > step * (g->burst - 1))
            return from - now - step * (g->burst - 1);
    } while (!atomic_compare_exchange_weak_explicit(&g->paid[v], &paid, from + step, memory_order_relaxed, memory_order_relaxed));
    return 0;
}
