/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How AIStore writes times, durations and sizes on the wire (native-api.md 2.1). Pure functions over buffers.
 *
 * Output buffers: at least UNITS_MAX bytes; results are NUL-terminated and the length is returned.
 */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define UNITS_MAX 48

/* Go's time.ParseDuration: "10s", "1h30m", "1.5h", "100ms", "-1m"; a bare "0". Result in nanoseconds. */
bool   dur_parse(struct str s, int64_t *ns);
/* Go syntax with AIStore's shortening: 60 s is "1m", 1 h is "1h0m", 150 s is "2m30s", 0 is "0s". */
size_t dur_format(int64_t ns, char *out);

/* "10MiB", "10mb", "10m", "1048576", "1.5GiB": every suffix is binary. */
bool   size_parse(struct str s, uint64_t *bytes);
/* "64MiB", "1GiB", "0B": AIStore's IEC form without decimals (floor of the unit by threshold, rounded). */
size_t size_format(uint64_t bytes, char *out);
/* For people: "1.50GiB", two decimals at most as AIStore's CLI prints sizes. */
size_t size_format_human(uint64_t bytes, char *out);

size_t time_http(int64_t unix_ns, char *out);     /* "Sun, 06 Nov 1994 08:49:37 GMT" */
size_t time_rfc822(int64_t unix_ns, char *out);   /* "02 Jan 06 15:04 UTC", Go's time.RFC822 */
size_t time_rfc3339(int64_t unix_ns, char *out);  /* with nanoseconds, "Z"; 0 is "0001-01-01T00:00:00Z" */
size_t time_datetime(int64_t unix_ns, char *out); /* "2026-08-01 10:00:00", Smap creation_time */
/* A Go time layout such as "02 Jan 06 15:04 MST" or RFC3339Nano; unknown pieces are copied. cap: bytes of out. */
size_t time_go_layout(int64_t unix_ns, struct str layout, char *out, size_t cap);

#endif
