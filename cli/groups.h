/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of commands, and commands that more than one group uses. */
#ifndef CLI_GROUPS_H
#define CLI_GROUPS_H

#include "cli/cmd.h"

#define DECLARE_GROUP(g)              \
    extern const struct cmd g##_cmds[]; \
    extern const unsigned   g##_ncmds

DECLARE_GROUP(bucket);
DECLARE_GROUP(ls);
DECLARE_GROUP(put);
DECLARE_GROUP(get);
DECLARE_GROUP(object);
DECLARE_GROUP(show);
DECLARE_GROUP(config);
DECLARE_GROUP(log);
DECLARE_GROUP(storage);
DECLARE_GROUP(job);
DECLARE_GROUP(cluster);
DECLARE_GROUP(rollback);
DECLARE_GROUP(misc);
DECLARE_GROUP(completion);

#define DEFINE_GROUP_SIZE(g) const unsigned g##_ncmds = sizeof(g##_cmds) / sizeof(g##_cmds[0])

struct uri;
int summary_print(struct ctx *c, const struct uri *u, const char *prefix); /* u NULL = all buckets */

#endif
