/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which function starts which kind of job on a target. A new job adds a row here.
 *
 * Runs on: the request's fiber. May park. Wire: jobs-and-services.md 1.3
 */
#include "xact/jobs.h"

#include "base/util.h"
#include "core/node.h"

#define DEDICATED "initiating \"%s\" must be done via a separate documented API"

/* clang-format off */
static const struct {
    xstart_f   *fn;
    const char *refuse; /* 400: not by this call; %s = the kind */
} starts[X_NKINDS] = {
    [X_LRU]             = { .fn = lru_start },
    [X_CLEANUP]         = { .fn = cleanup_start },
    [X_RESILVER]        = { .fn = resilver_start },
    [X_PUT_COPIES]      = { .refuse = "cannot start \"%s\" (is driven by PUTs into a mirrored bucket)" },
    [X_DOWNLOAD]        = { .refuse = DEDICATED },
    [X_EVICT_LISTRANGE] = { .refuse = DEDICATED },
    [X_DELETE_LISTRANGE] = { .refuse = DEDICATED },
    [X_MAKE_N_COPIES]   = { .refuse = DEDICATED },
    [X_EC_ENCODE]       = { .refuse = DEDICATED },
};
/* clang-format on */

/* The texts are constants of the table. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static int
refuse(enum xkind k, struct err *e)
{
    return err_set(e, AIS_E_BADREQ, starts[k].refuse, xact_table[k].kind);
}
#pragma GCC diagnostic pop

static int
cannot(enum xkind k, struct err *e)
{
    return err_set(e, AIS_E_UNSUPP, "cannot start xaction %s - operation not supported", xact_table[k].kind);
}

int
xact_start(struct node *n, const struct xmsg *m, const struct bck *b, struct str name, char id[XID_MAX], struct err *e)
{
    const struct xstart s = { .msg = m, .bck = b, .name = name };

    if (m->kind == X_ANY)
        return err_set(e, AIS_E_BADREQ, "unspecified (empty) xaction kind");
    if (xact_table[m->kind].scope == XS_BCK && b == NULL)
        return err_set(e, AIS_E_BADREQ, "xaction \"%s\" requires a bucket to start", xact_table[m->kind].kind);
    if (starts[m->kind].fn != NULL)
        return starts[m->kind].fn(n, &s, id, e);
    if (starts[m->kind].refuse != NULL)
        return refuse(m->kind, e);
    if (!(xact_table[m->kind].flags & XF_STARTABLE))
        return cannot(m->kind, e);
    return err_set(e, AIS_E_NOTIMPL, "job \"%s\" is not implemented yet", xact_table[m->kind].kind);
}
