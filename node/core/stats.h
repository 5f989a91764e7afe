/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters and gauges under AIStore's names: one table (stats.def) feeds node_stats, what=metrics and Prometheus.
 * jobs-and-services.md 9. Counters are per loop and summed when read: adding one is a plain increment.
 */
#ifndef CORE_STATS_H
#define CORE_STATS_H

#include <stdint.h>

#include "base/sbuf.h"
#include "run/run.h"

struct stats;
struct jw;
struct node;

enum stat_id {
#define S(sym, name, kind, prom, roles, help) sym,
#include "core/stats.def"
#undef S
    STAT_COUNT
};

int  stats_new(struct run *run, struct stats **out);
void stats_free(struct stats *s);
void stat_add(struct stats *s, enum stat_id id, uint64_t v); /* any thread; cheapest on a loop */
static inline void
stat_inc(struct stats *s, enum stat_id id)
{
    stat_add(s, id, 1);
}
uint64_t stat_get(struct stats *s, enum stat_id id);
void     stats_reset(struct stats *s, int errors_only);
void     stats_tracker_json(struct node *n, struct jw *w); /* {"get.n":12,...} */
void     stats_metrics_json(struct node *n, struct jw *w); /* what=metrics: name -> kind */
void     stats_prometheus(struct node *n, struct sbuf *out);

#endif
