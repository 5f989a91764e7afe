/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where files lie: AIStore's directory layout below a mountpath. internals.md 1.1. Pure functions over buffers.
 */
#ifndef STORE_LAYOUT_H
#define STORE_LAYOUT_H

#include <stdbool.h>

#include "core/bck_types.h"

#define FQN_MAX 4096
#define SIDE_DIR  "%cs"       /* side records, in the bucket's directory beside AIStore's */
#define ORIG_NAME "orig_fntl" /* internal custom key of long names */

/* Content types: one directory each in every bucket. */
/* clang-format off */
enum ct { CT_OBJ, CT_WORK, CT_EC, CT_MT, CT_CHUNK, CT_UFEST, CT_DSORT, CT_DSORT_W, CT_NTYPES };
/* clang-format on */
extern const char *const ct_dirs[CT_NTYPES]; /* "%ob", "%wk", ... */

/* <mpath>/@ais[/ns]/<bucket>; the length, or -AIS_E_INVAL when it does not fit. */
int layout_bck(const char *mpath, const struct bck *b, char out[FQN_MAX]);
int layout_ct(const char *mpath, const struct bck *b, enum ct ct, char out[FQN_MAX]); /* .../%ob, no trailing slash */
/* The plain form of an object's file. -AIS_E_INVAL when the name cannot be a path: use layout_long. */
int layout_obj(const char *mpath, const struct bck *b, enum ct ct, struct str name, char out[FQN_MAX]);
/* Can the name be a path at all? Too long a component, "//", a leading or trailing slash: no. */
bool layout_is_path(struct str name);
/* AIStore's own rule: names that it would shorten (needed to find what it wrote). */
bool layout_too_long(struct str name);
/* The long-name form: .../%ob/.x<sha256 of the plain FQN>. plain_fqn receives what was hashed (it goes to "orig_fntl"). */
int layout_long(const char *mpath, const struct bck *b, struct str name, char out[FQN_MAX], char plain_fqn[FQN_MAX + 64]);
/* Is this path of the long-name form? */
bool layout_is_long(struct str fqn);
/* Files beside an object: by its name where that can be a path (and `hashed` is not asked for), else by the name's SHA-256. */
int layout_aux(const char *mpath, const struct bck *b, enum ct ct, struct str name, bool hashed, char out[FQN_MAX]);
/* The manifest of an upload before the next checkpoint gives it its place. */
int layout_manifest(const char *mpath, const struct bck *b, struct str name, struct str upload, char out[FQN_MAX]);
/* Part `num` of an upload. */
int layout_part(const char *mpath, const struct bck *b, struct str name, struct str upload, unsigned num, char out[FQN_MAX]);
/* The side record of one generation of an object; its directory lies in the bucket's. */
int layout_side(const char *mpath, const struct bck *b, struct str name, uint64_t gen, char out[FQN_MAX]);
int layout_side_of(const char *mpath, const struct bck *b, const unsigned char name_sha[32], uint64_t gen, char out[FQN_MAX]);
void layout_name_sha(struct str name, unsigned char sha[32]);
/* The object's name from an "orig_fntl" value; {NULL,0} when it is not one. */
struct str layout_name_of_orig(struct str orig_fntl);

#endif
