/* SPDX-License-Identifier: Apache-2.0 */
/* Bucket metadata: every bucket of the cluster with its properties. Immutable, counted. native-api.md 7.3. */
#ifndef CORE_BMD_H
#define CORE_BMD_H

#include <stdatomic.h>

#include "base/err.h"
#include "base/hmap.h"
#include "core/conf_types.h"

struct json_t;
struct jw;

struct bucket {
    uint64_t      hash;     /* of the identity */
    struct bck    bck;      /* names point into this bucket */
    struct bprops props;
    char          name[BCK_NAME_MAX + 1], ns_uuid[BCK_NAME_MAX + 1], ns_name[BCK_NAME_MAX + 1];
    char         *head_json; /* Bprops JSON for HEAD, built once */
    struct rate_gate *rate;  /* of clients' requests; NULL = no limit */
    _Atomic unsigned refs;   /* shared between BMD versions */
};

struct bmd {
    _Atomic unsigned refs;
    uint64_t         version;
    char             uuid[40];
    struct bucket  **sorted;             /* by provider, namespace, name */
    struct bucket  **by_name, **by_bid; /* open-addressed, mask + 1 slots */
    unsigned         n, mask;
};

struct bmd    *bmd_new(const char *uuid); /* version 1, as a new cluster's; no buckets */
struct bmd    *bmd_ref(struct bmd *m);
void           bmd_put(struct bmd *m);
/* By identity (provider, namespace, name of *b); NULL when absent. */
const struct bucket *bmd_find(const struct bmd *m, const struct bck *b);
const struct bucket *bmd_find_bid(const struct bmd *m, uint64_t bid);
void           bmd_json(const struct bmd *m, struct jw *w);
int            bmd_from_json(const struct json_t *j, struct bmd **out, struct err *e);
/* Builders: copies with a change, version + 1 (a new bucket's id is the version before, bit 63 set for ais://). */
struct bmd    *bmd_with_bucket(const struct bmd *m, const struct bck *id, const struct bprops *p, int64_t now);
struct bmd    *bmd_without_bucket(const struct bmd *m, const struct bck *id);
struct bmd    *bmd_with_props(const struct bmd *m, const struct bck *id, const struct bprops *p);

/* "ais://b", "s3://b", "ais://@uuid#ns/b": display form into out[BCK_DISPLAY_MAX]. */
#define BCK_DISPLAY_MAX 256
const char *bck_display(const struct bck *b, char out[BCK_DISPLAY_MAX]);
int  bck_name_check(struct str name, struct err *e);
/* Object names, native-api.md 1.1: UTF-8, at most OBJ_NAME_MAX bytes, no "." or ".." component. allow_dir: a trailing '/' is
 * tolerated (HEAD, prefixes). Pure. */
int  obj_name_check(struct str name, bool allow_dir, struct err *e);
/* Both parts of a namespace. */
int  bck_ns_check(struct str uuid, struct str ns_name, struct err *e);
/* "@uuid#name", "uuid#name", "@uuid", "#name", "@#", "": the parts, borrowed from s. */
void ns_parse(struct str s, struct str *uuid, struct str *name);

#endif
