/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that leave HTTP: after "101 Switching Protocols" both sides speak something else on them (RFC 9110, 7.8).
 *
 * A server's handler takes the connection over with resp_upgrade and has it until it returns; a client gets it from hc_upgrade and has it
 * until raw_close. Over TCP, TLS or memory alike. What came behind the head already is not lost.
 *
 * One fiber may read while another one writes. All of them are on the connection's loop; those that a handler starts end before it does.
 * Deadlines and cancellation are as everywhere; a client that resets the connection cancels the handler's fiber, one that ends its side
 * is seen by who reads.
 */
#ifndef NET_UPGRADE_H
#define NET_UPGRADE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "net/client.h"
#include "net/http.h"

struct raw;

/* Does the request ask for this protocol (the whole token, any case)? Does not park. */
bool req_wants_upgrade(const struct req *r, const char *proto);
/*
 * Answer 101 with the headers set so far and take the connection over. Otherwise nothing was answered yet: -AIS_E_BADREQ (not asked for,
 * HTTP/1.0, or a body), -AIS_E_UNAVAIL (the server drains), -AIS_E_CLOSED. The connection closes when the handler returns. Parks.
 */
int resp_upgrade(struct req *r, const char *proto, struct raw **out);

/*
 * GET q->target, asking for the protocol. 101: *out is the connection. Any other answer: *out is NULL and it is in *resp, as with
 * hc_call. The connection does not go back to the pool. Parks.
 */
int hc_upgrade(struct hclient *hc, const struct hc_req *q, const char *proto, struct arena *a, size_t max_body, struct hc_resp *resp,
               struct raw **out, struct err *e);

/* Bytes (> 0), 0 at the end, -AIS_E_CLOSED, -AIS_E_TIMEOUT, -AIS_E_CANCELED. When the server drains, the next call that finds nothing
 * returns -AIS_E_UNAVAIL, once: a hint to come to an end. */
ssize_t raw_recv(struct raw *w, void *p, size_t n, int64_t deadline);
/* The same without waiting: -AIS_E_AGAIN when there is nothing now. */
ssize_t raw_recv_now(struct raw *w, void *p, size_t n);
/* All of it or an error; iov is changed. more: something follows at once. stall_ns: longest time without progress. */
int     raw_send(struct raw *w, struct iovec *iov, int n, bool more, int64_t stall_ns);
/* A range of a file, by sendfile where the connection allows. -AIS_E_IO when the file is shorter: then the stream is out of step. */
int     raw_file(struct raw *w, int fd, uint64_t off, uint64_t len, int64_t stall_ns);
/* End our side in order; the other one may go on. */
void    raw_end(struct raw *w);
/* It is of no use any more: who reads or writes, now or later, gets -AIS_E_CLOSED. The peer sees a reset. Does not park. */
void    raw_break(struct raw *w);
/* Clients: done with it. Nobody may be reading or writing. NULL is fine. */
void    raw_close(struct raw *w);

#endif
