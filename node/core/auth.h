/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is a node of this cluster: the cluster key and the mutual challenge on every node-to-node connection. Private to core.
 *
 * README.md, "Authentication", has the exchange. What it is worth: whoever lacks the key can neither pose as a node nor learn anything
 * that helps to. What it is not: encryption or integrity of what follows on the connection; that is TLS's (net.http.use_https).
 */
#ifndef CORE_AUTH_H
#define CORE_AUTH_H

#include <stdbool.h>

#include "net/client.h"
#include "net/http.h"
#include "core/smap_types.h"

struct auth;
struct node;

#define AUTH_KEY_LEN  32
#define AUTH_KEYS_MAX 8

/* Read <confdir>/.ais.cluster_key: lines "version:64 hex digits". No file: loopback only. May block. */
int  auth_new(const char *confdir, const char *self_id, struct auth **out, struct err *e);
void auth_free(struct auth *a);
bool auth_keyless(const struct auth *a); /* this node talks to nodes on the same machine only */

/* For hclient_conf.on_connect; ctx is the struct auth, hc_peer() the struct snode that should answer. May park. */
int auth_connect(void *ctx, struct hcall *raw, struct err *e);
/* Server side: POST /v1/auth/hello, POST /v1/auth/prove. */
handler_f h_auth_hello, h_auth_prove;
/* For http_conf.conn_closed. */
void auth_conn_closed(void *conn_user);
/* Id of the authenticated node on this connection; NULL when there is none. */
const char *auth_peer(const struct conn *c);

#endif
