/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of metadata snapshots that belong together: what the state machine holds, what is sent to other nodes, and what each node
 * keeps on disk in AIStore's own files. Immutable once shared; counted. Private to core.
 *
 * Threads: any. Disk formats: internals.md 1.5.
 */
#ifndef CORE_MSET_H
#define CORE_MSET_H

#include <stdatomic.h>

#include "base/err.h"
#include "core/bmd.h"
#include "core/conf.h"
#include "core/rmd.h"
#include "core/smap.h"

struct jw;
struct json_t;

/* In the order in which a node adopts them. */
enum mitem { MI_CONF, MI_SMAP, MI_BMD, MI_RMD, MI_COUNT };
extern const char *const mitem_name[MI_COUNT]; /* "conf", "smap", ...: members of messages and of the log's snapshots */

struct mset {
    _Atomic unsigned     refs;
    struct cluster_conf *conf;
    struct smap         *smap;
    struct bmd          *bmd;
    struct rmd          *rmd;
    uint64_t             etlmd_version;
};

struct mset *mset_new(struct cluster_conf *conf); /* takes conf; the rest is empty, version 0 */
struct mset *mset_ref(struct mset *m);
void         mset_put(struct mset *m);         /* NULL is fine */
struct mset *mset_copy(const struct mset *m);  /* shares the snapshots; the caller may exchange them before it shares the copy */
uint64_t     mset_version(const struct mset *m, enum mitem i);
bool         mset_same_item(const struct mset *a, const struct mset *b, enum mitem i); /* the very same snapshot */
/* Exchange one snapshot of a copy that nobody else has: by another set's, or (takes) by a new one. */
void         mset_take_item(struct mset *m, enum mitem i, const struct mset *from);
void         mset_set_conf(struct mset *m, struct cluster_conf *c);
void         mset_set_smap(struct mset *m, struct smap *s);
void         mset_set_bmd(struct mset *m, struct bmd *b);
void         mset_set_rmd(struct mset *m, struct rmd *r);

void mset_item_json(const struct mset *m, enum mitem i, struct jw *w);
int  mset_item_from_json(struct mset *m, enum mitem i, const struct json_t *j, struct err *e);
/* {"conf":..,"smap":..,"bmd":..,"rmd":..}: members that are there replace those of *m; *have gets a bit for each. */
int  mset_from_json(struct mset *m, const struct json_t *j, unsigned *have, struct err *e);

/* Read what lies in confdir into *m; absent files are left out of *have. Damaged ones are an error and stay. May block. */
int mset_load(struct mset *m, const char *confdir, unsigned *have, struct err *e);
/* Write one snapshot whole: tmp, fsync, rename, fsync of the directory. May park. */
int mset_store(const struct mset *m, enum mitem i, const char *confdir);
/* A jsp file (".ais.override_config"): JSON text in and out. *out malloc'd; -AIS_E_NOENT. May park. */
int jsp_load(const char *path, char **out, size_t *n);
int jsp_store(const char *path, struct str json, uint32_t meta_version);
#define JSP_META_CONF 4u

#endif
