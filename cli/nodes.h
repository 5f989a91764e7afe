/* SPDX-License-Identifier: Apache-2.0 */
/* The same question to many nodes at once. */
#ifndef CLI_NODES_H
#define CLI_NODES_H

#include "cli/api.h"
#include "cli/out.h"

enum node_sel { NODES_ALL, NODES_PROXIES, NODES_TARGETS };

struct node_doc {
    const char *id, *url; /* in the command's memory */
    const char *name;     /* "p[ID][P]", "t[ID]" */
    bool        target, primary;
    json_t     *doc; /* the answer; NULL when there was none */
    struct str  raw; /* its text */
    struct fault f;  /* why not */
};
struct nodes {
    json_t          *smap;
    struct node_doc *v;
    size_t           n;
};

/*
 * Ask the nodes of a kind, or one (typed: as api_node takes it; NULL = all of the kind): GET /v1/reverse/PATH. PATH NULL asks for
 * nothing but the map. A node that does not answer is no fault; its doc is NULL.
 */
int  nodes_ask(struct ctx *c, enum node_sel sel, const char *typed, const char *path, struct nodes *ns, struct fault *f);
void nodes_fini(struct nodes *ns);
#define auto_nodes __attribute__((cleanup(nodes_fini)))
/* {"ID": document or null, ...} */
void nodes_json(const struct nodes *ns);
/* CLI_PARTIAL or CLI_UNREACHABLE when some, or all, did not answer; says which on standard error. */
int nodes_exit(const struct nodes *ns);

#endif
