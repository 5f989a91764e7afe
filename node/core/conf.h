/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration and bucket properties: defaults, JSON in and out, validation, `set` by JSON and by dotted keys. Pure functions;
 * threads: any; none parks (files: conf_load_*, may block).
 *
 * Error texts are AIStore's where clients match on them (golden/wire/config-*, bucket-props-*).
 */
#ifndef CORE_CONF_H
#define CORE_CONF_H

#include "base/err.h"
#include "core/conf_types.h"

struct json_t;
struct jw;
struct sbuf;

struct cluster_conf *conf_default(void); /* new, one reference: every section hydrated */
struct cluster_conf *conf_copy(const struct cluster_conf *c);
struct cluster_conf *conf_ref(struct cluster_conf *c);
void                 conf_put(struct cluster_conf *c);

void conf_json(const struct cluster_conf *c, struct jw *w);        /* the whole object, golden key order */
/* For clients: a shared secret is shown as **********. conf_json, for state and files, has everything. */
void conf_json_public(const struct cluster_conf *c, struct jw *w);
void conf_json_members(const struct cluster_conf *c, struct jw *w); /* public members only, for what=config (7.6) */
/*
 * Merge a (partial) ClusterConfig or ConfigToSet into c; zeros become defaults where that is their meaning. Does not validate.
 * initial: from a file, where read-only members may appear and unknown ones are skipped; otherwise both are refused. On failure c
 * may be half changed: work on a conf_copy.
 */
int  conf_merge_json(struct cluster_conf *c, const struct json_t *j, bool initial, struct err *e);
/* "rebalance.enabled" = "false". Keys are matched as AIStore does, legacy names included. Call conf_validate when all are set. */
int  conf_set(struct cluster_conf *c, struct str dotted, struct str value, struct err *e);
int  conf_validate(const struct cluster_conf *c, struct err *e);
bool conf_has_backend(const struct cluster_conf *c, enum provider p); /* named in section "backend" */
/* May clients read at a target without a proxy's redirect? */
bool conf_direct_access(const struct cluster_conf *c);
/* May this dotted key (or section) be set for one node only / transiently? -AIS_E_* with AIStore's text otherwise. */
int  conf_check_scope(struct str dotted, bool node_only, bool transient, struct err *e);

/* Reference of all keys as a Markdown table. */
void conf_doc(struct sbuf *b);

int  local_conf_load(const char *path, struct local_conf *out, struct err *e); /* may block */
void local_conf_json_members(const struct local_conf *c, struct jw *w);

/* Bucket properties. */
void bprops_default(struct bprops *p, const struct cluster_conf *c, enum provider prov);
void bprops_json(const struct bprops *p, struct jw *w);
/* Apply a BpropsToSet to *p and validate; ntargets: active targets (EC needs D+P+1). *p untouched on failure. */
int  bprops_set_json(struct bprops *p, const struct json_t *toset, unsigned ntargets, bool *force, struct err *e);
int  bprops_from_json(struct bprops *p, const struct json_t *j, struct err *e); /* a stored BMD */
/* Settings of the data path from the properties. */
void bck_apply_props(struct bck *b, const struct bprops *p);

const char *feature_name(unsigned bit); /* NULL beyond the last */

#endif
