/* SPDX-License-Identifier: Apache-2.0 */
/* TLS by OpenSSL: contexts for listeners and clients, reloadable. kTLS is asked for, so that files can go by SSL_sendfile. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>

#include "base/err.h"

struct tls_ctx;

enum tls_client_auth { TLS_CLIENT_NONE = 0, TLS_CLIENT_REQUEST = 1, TLS_CLIENT_REQUIRE_ANY = 2, TLS_CLIENT_VERIFY_IF_GIVEN = 3,
                       TLS_CLIENT_REQUIRE_VERIFY = 4 }; /* numbers as Go's tls.ClientAuthType: net.http.client_auth_tls */

struct tls_conf {
    const char          *cert, *key; /* PEM files; may be NULL for clients */
    const char          *ca;         /* PEM file that peers are verified against; NULL = the system's */
    enum tls_client_auth client_auth;
    bool                 skip_verify; /* clients: do not verify the server */
};
int  tls_server_new(const struct tls_conf *c, struct tls_ctx **out, struct err *e); /* may block */
int  tls_client_new(const struct tls_conf *c, struct tls_ctx **out, struct err *e);
/* Read the same files again; new connections use the new certificate; on failure the old stays. May block. Any thread. */
int  tls_reload(struct tls_ctx *t, struct err *e);
void tls_free(struct tls_ctx *t);
/* Properties of the certificate for what=tls_certificate: "valid" "not_before" etc. as JSON object text. */
struct sbuf;
int  tls_cert_json(struct tls_ctx *t, struct sbuf *out);

#endif
