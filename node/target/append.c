/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Append to an object, and flush what was appended.
 *
 * Runs on: the request's fiber. May park. Wire: native-api.md 4.5; golden/wire/append-*.
 */
#include <stdlib.h>

#include "target/target_impl.h"

static ssize_t
body_read(void *ctx, void *p, size_t n)
{
    return req_read(ctx, p, n);
}

static int
append_more(struct req *r, struct objreq *o, struct err *e)
{
    struct node *n = req_node(r);
    struct copier c = copier_of(r);
    char        *handle = NULL;
    int          rc = o->q.append_handle.n == 0 ? obj_settle(&c, &o->b, o->name, e) : 0;

    if (rc < 0)
        return rc;
    rc = append_data(n->store, &o->b, o->name, o->q.append_handle, body_read, r, &handle, e);
    if (rc < 0)
        return rc;
    resp_hdr(r, "Ais-Append-Handle", str_z(handle));
    free(handle);
    stat_inc(n->stats, STAT_APPEND_N);
    return 0;
}

static int
append_end(struct req *r, struct objreq *o, struct err *e)
{
    struct copier    c = copier_of(r);
    struct put_attrs a;
    int              rc;

    if (o->q.append_handle.n == 0)
        return err_set(e, AIS_E_BADREQ, "failed to finalize append-file operation: empty source in the handle");
    rc = attrs_from_headers(r, &a, e);
    if (rc < 0)
        return rc;
    rc = obj_settle(&c, &o->b, o->name, e); /* the version goes on */
    if (rc < 0)
        return rc;
    rc = append_flush(req_node(r)->store, &o->b, o->name, o->q.append_handle, &a.expect, e);
    cksum_context(e, obj_display(r, &o->b, o->name));
    if (rc == 0)
        frag_outdated(r, &o->b, o->name);
    return rc;
}

/* clang-format off */
static const struct {
    const char *type;
    int       (*fn)(struct req *r, struct objreq *o, struct err *e);
} append_types[] = {
    { "append", append_more },
    { "flush",  append_end },
};
/* clang-format on */

void
put_append(struct req *r, struct objreq *o)
{
    struct err e = { .code = 0 };
    unsigned   i;
    int        rc = 0;

    for (i = 0; i < sizeof(append_types) / sizeof(append_types[0]); i++)
        if (str_eqz(o->q.append_type, append_types[i].type))
            break;
    if (i == sizeof(append_types) / sizeof(append_types[0]))
        rc = err_set(&e, AIS_E_BADREQ,
                     "invalid operation \"%.*s\" (expecting either \"append\" or \"flush\") - check \"append_type\" query",
                     STR_FMT(o->q.append_type));
    else
        rc = append_types[i].fn(r, o, &e);
    if (rc < 0) {
        count_error(req_node(r), rc, STAT_ERR_APPEND_N, STAT_ERR_IO_PUT_N);
        return resp_err(r, rc, &e);
    }
    resp_empty(r, 200);
}
