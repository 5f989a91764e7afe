/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often clients may read, write and delete in a bucket: its property rate_limit.frontend, applied by proxies. native-api.md 3.5.
 *
 * A gate lets `burst_size` requests of a verb through at once and `max_tokens` in each interval, shared evenly among the proxies. One
 * atomic word a verb: the time at which all that was let through would be paid for (the generic cell rate algorithm). Any thread.
 */
#ifndef CORE_RATE_H
#define CORE_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/conf_types.h"

enum rate_verb { RATE_GET, RATE_PUT, RATE_DELETE, RATE_VERBS };

struct rate_gate;

struct rate_gate *rate_gate_new(const struct conf_rate_f *c); /* NULL: no limit */
void              rate_gate_free(struct rate_gate *g);
/* 0: pass; otherwise nanoseconds to wait before it makes sense to ask again. g may be NULL. */
int64_t rate_gate_pass(struct rate_gate *g, enum rate_verb v, int64_t now, unsigned proxies);

#endif
