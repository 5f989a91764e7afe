/* SPDX-License-Identifier: Apache-2.0 */
/* All tables of commands, in the order in which help shows them. */
#include "base/util.h"
#include "cli/groups.h"

static const unsigned none; /* for a name whose commands stand in a table above */

/* clang-format off */
const struct group groups[] = {
    { "bucket",     "create, list, destroy buckets; their properties and sizes", bucket_cmds,     &bucket_ncmds },
    { "bucket",     NULL,                                                        ls_cmds,         &ls_ncmds },
    { "object",     "store, fetch, list, delete objects",                        put_cmds,        &put_ncmds },
    { "object",     NULL,                                                        get_cmds,        &get_ncmds },
    { "object",     NULL,                                                        object_cmds,     &object_ncmds },
    { "show",       "the cluster, its nodes, storage, configuration, buckets, objects", show_cmds, &show_ncmds },
    { "job",        "start, stop, show jobs, and wait for them",                 job_cmds,        &job_ncmds },
    { "config",     "show and change configuration",                             config_cmds,     &config_ncmds },
    { "log",        "show and fetch the nodes' logs",                            log_cmds,        &log_ncmds },
    { "storage",    "mountpaths, their space and their indexes",                 storage_cmds,    &storage_ncmds },
    { "cluster",    "health, primary, counters, shutdown",                       cluster_cmds,    &cluster_ncmds },
    { "advanced",   "what is rarely needed",                                     rollback_cmds,   &rollback_ncmds },
    { "version",    "versions of this program and of the cluster",               misc_cmds,       &misc_ncmds },
    { "search",     "find commands by a word",                                   NULL,            &none },
    { "alias",      "other spellings of commands",                               NULL,            &none },
    { "completion", "completion scripts for bash and zsh",                       completion_cmds, &completion_ncmds },
};
/* clang-format on */
const unsigned ngroups = ARRAY_SIZE(groups);
