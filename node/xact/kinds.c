/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of jobs, and what an id looks like. Pure.
 *
 * Wire: jobs-and-services.md 1.1, 1.2
 */
#include "xact/xact.h"

#include "core/smap.h"

/* Access bits (native-api.md 2.8). */
#define ACCESS_RO    0x303u                /* GET, HEAD-OBJ, HEAD-BCK, LIST */
#define ACCESS_RW    (ACCESS_RO | 0x3cu)   /* and PUT, APPEND, DELETE, MOVE */
#define ACCESS_DEL   (1u << 4)
#define ACCESS_PROM  (1u << 6)
#define ACCESS_LIST  (1u << 9)
#define ACCESS_SUMM  (ACCESS_LIST | 1u << 8)
#define ACCESS_MOVEB (1u << 16)

#define ST   XF_STARTABLE
#define ID   XF_IDLES
#define CONF XF_CONFLICTS
#define ABT  XF_ABORT_REB
#define CAP  XF_CAP
#define MS   XF_METASYNC
#define IC   XF_IC_TERM

/* clang-format off */
const struct xdesc xact_table[X_NKINDS] = {
    [X_ELECTION]           = { "election",           "elect-primary",       XS_GLOBAL,     0,                               XP_USE,    0 },
    [X_REBALANCE]          = { "rebalance",          "rebalance",           XS_GLOBAL,     ST | MS | IC | XF_REBALANCE,     XP_ABORT,  0 },
    [X_ETL_INLINE]         = { "etl-inline",         "etl-inline",          XS_GLOBAL,     ABT | IC,                        XP_NEW,    0 },
    [X_LRU]                = { "lru",                "lru-eviction",        XS_GLOBAL_BCK, ST | IC,                         XP_USE,    0 },
    [X_CLEANUP]            = { "cleanup-store",      "cleanup",             XS_GLOBAL_BCK, ST | CONF | IC,                  XP_USE,    0 },
    [X_SUMMARY_BCK]        = { "summary-bck",        "summary",             XS_GLOBAL_BCK, 0,                               XP_NEW,    ACCESS_SUMM },
    [X_SUMMARY_SHARD]      = { "summary-shard",      "shard-summary",       XS_BCK,        0,                               XP_NEW,    ACCESS_SUMM },
    [X_RESILVER]           = { "resilver",           "resilver",            XS_TARGET,     ST | XF_RESILVER,                XP_ABORT,  0 },
    [X_RECHUNK]            = { "rechunk",            "rechunk",             XS_BCK,        ST | CONF | ABT | CAP | IC,      XP_REFUSE, 0 },
    [X_INDEX_SHARD]        = { "index-shard",        "shard-index",         XS_BCK,        CONF | IC,                       XP_REFUSE, 0 },
    [X_EC_GET]             = { "ec-get",             "ec-get",              XS_BCK,        ID,                              XP_USE,    0 },
    [X_EC_PUT]             = { "ec-put",             "ec-put",              XS_BCK,        ID | CAP,                        XP_USE,    0 },
    [X_EC_RESP]            = { "ec-resp",            "ec-resp",             XS_BCK,        ID,                              XP_USE,    0 },
    [X_PUT_COPIES]         = { "put-copies",         "put-copies",          XS_BCK,        ID | CAP,                        XP_USE,    0 },
    [X_ARCHIVE]            = { "archive",            "archive",             XS_BCK,        ID | CAP,                        XP_USE,    ACCESS_RW },
    [X_COPY_LISTRANGE]     = { "copy-listrange",     "copy-objects",        XS_BCK,        ID | CONF | ABT | CAP,           XP_USE,    ACCESS_RW },
    [X_ETL_LISTRANGE]      = { "etl-listrange",      "etl-objects",         XS_BCK,        ID | CONF | ABT | CAP,           XP_USE,    ACCESS_RW },
    [X_BLOB_DOWNLOAD]      = { "blob-download",      "blob-download",       XS_BCK,        ST | ABT | CAP,                  XP_NEW,    ACCESS_RW },
    [X_DOWNLOAD]           = { "download",           "download",            XS_GLOBAL,     ID | ABT | IC | XF_IC_PROG,      XP_USE,    ACCESS_RW },
    [X_DSORT]              = { "dsort",              "dsort",               XS_BCK,        CONF | ABT | CAP,                XP_NEW,    ACCESS_RW },
    [X_PROMOTE]            = { "promote",            "promote-files",       XS_BCK,        CAP | IC,                        XP_NEW,    ACCESS_PROM },
    [X_EVICT_LISTRANGE]    = { "evict-listrange",    "evict-objects",       XS_BCK,        CAP | IC,                        XP_NEW,    ACCESS_DEL },
    [X_EVICT_REMOTE_BCK]   = { "evict-remote-bck",   "evict-remote-bucket", XS_BCK,        CAP,                             XP_NEW,    ACCESS_DEL },
    [X_DELETE_LISTRANGE]   = { "delete-listrange",   "delete-objects",      XS_BCK,        CAP | IC,                        XP_NEW,    ACCESS_DEL },
    [X_PREFETCH_LISTRANGE] = { "prefetch-listrange", "prefetch-objects",    XS_BCK,        ST | CAP | IC,                   XP_NEW,    ACCESS_RW },
    [X_EC_ENCODE]          = { "ec-encode",          "ec-bucket",           XS_BCK,        ST | CONF | ABT | CAP | MS | IC, XP_REFUSE, ACCESS_RW },
    [X_MAKE_N_COPIES]      = { "make-n-copies",      "mirror",              XS_BCK,        ST | CAP | MS | IC,              XP_REFUSE, ACCESS_RW },
    [X_MOVE_BCK]           = { "move-bck",           "rename-bucket",       XS_BCK,        CONF | ABT | MS | IC | XF_REBALANCE, XP_REFUSE, ACCESS_MOVEB },
    [X_COPY_BCK]           = { "copy-bck",           "copy-bucket",         XS_BCK,        CONF | ABT | CAP | MS | IC,      XP_REFUSE, ACCESS_RW },
    [X_ETL_BCK]            = { "etl-bck",            "etl-bucket",          XS_BCK,        CONF | ABT | CAP | MS | IC,      XP_REFUSE, ACCESS_RW },
    [X_LIST]               = { "list",               "list",                XS_BCK,        ID | XF_QUIET,                   XP_NEW,    ACCESS_LIST },
    [X_GET_BATCH]          = { "get-batch",          "get-batch",           XS_GLOBAL_BCK, ID | CONF | ABT | XF_QUIET,      XP_NEW,    0 },
    [X_CREATE_INVENTORY]   = { "create-inventory",   "create-inventory",    XS_BCK,        CONF | ABT | IC,                 XP_REFUSE, 0 },
    [X_LOAD_LOM_CACHE]     = { "load-lom-cache",     "warm-up-metadata",    XS_BCK,        ST,                              XP_USE,    0 },
};
/* clang-format on */

bool
xkind_find(struct str name, enum xkind *out)
{
    for (unsigned k = 0; k < X_NKINDS; k++)
        if (str_eqz(name, xact_table[k].kind) || str_eqz(name, xact_table[k].display)) {
            *out = (enum xkind)k;
            return true;
        }
    return false;
}

bool
xid_rebalance(struct str id, uint64_t *rmd_version)
{
    return id.n > 1 && id.n < 24 && id.p[0] == 'g' && str_u64(str_from_off(id, 1), rmd_version);
}

bool
xid_valid(struct str id)
{
    uint64_t v;

    return xid_rebalance(id, &v) || (id.n < XID_MAX - 1 && uuid_valid(id));
}
