/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes over a stream (strm.h): the wire format "ais-stream/1". Pure; fuzzed.
 *
 * A stream is opened with
 *
 *     GET /v1/stream/NAME    Connection: Upgrade    Upgrade: ais-stream/1    and the headers of every request between nodes
 *     101                    (404: nobody handles the name; 409: the sender's term is old; 503: the receiver starts or stops)
 *
 * on the data network, over a connection that authenticated itself (README.md, "Authentication"). From then on frames go both ways. A frame
 * is 40 bytes, then hlen bytes of header, then plen bytes of payload. Numbers are big-endian.
 *
 *      0  u32  "AiS1"
 *      4  u8   type
 *      5  u8   flags
 *      6  u16  hlen   bytes of an object's header (OBJ only), at most STRM_HDR_MAX
 *      8  u64  seq    which object: 0, 1, 2 ... in the order in which OBJ frames are sent on this connection
 *     16  u32  plen   payload bytes in this frame
 *     20  u32  rlen   payload bytes when expanded; equal to plen without LZ4
 *             (OBJ with STREAMED: no payload; 16..23 is a u64 instead, the size of the body, all ones = unknown)
 *     24  u64  psum   XXH64, seed 0, of header and payload as they are in the frame; of the header alone in OBJ with STREAMED; 0 in DATA
 *                     without SUM
 *     32  u64  hsum   XXH64, seed 0, of bytes 0..31
 *
 * Sender to receiver:
 *
 *     OBJ    an object. Payload: its whole body, at most STRM_SMALL expanded. STREAMED: the body follows in DATA frames
 *     DATA   bytes of a streamed body; only DATA and ABORT of the same seq come until LAST. LZ4 or SUM: at most STRM_SMALL expanded, else
 *            STRM_BLOCK_MAX. SUM: psum is there. LAST: the body ends with this frame
 *     ABORT  the body that is being streamed will not be completed
 *     FENCE  the sender has learnt: u32 epoch, u64 term, u64 Smap version. What follows is sent under these
 *     BYE    no object follows; the receiver answers what it has and ends
 *
 * Receiver to sender:
 *
 *     ACK    u64 OBJ frames, u64 payload bytes (expanded) of OBJ frames: how far the sender may go, counted from the opening, never falling;
 *            then for each object that is done: u64 seq, u8 n, u16 m, n bytes: name of the error (err.def, without "AIS_E_") or
 *            nothing for success, m bytes: the receiver's reply, at most STRM_REPLY_MAX. Without any: a sign of life, sent every
 *            STRM_BEAT while the receiver has something to do
 *     BYE    the receiver stops: send nothing new, it finishes what it has
 *
 * An object is answered once. It may be answered before its body has come; the sender then may ABORT the body.
 *
 * hsum wrong, an unknown type or flag, a length over its limit, an object out of order or beyond the credit: the connection is closed.
 * psum wrong: the object is answered with CKSUM and the connection goes on, for the next frame is where it should be.
 *
 *     4169 5331 01 00 0003 0000000000000000 00000002 00000002 psum hsum "hdr" "ab"       OBJ 0, header "hdr", body "ab"
 */
#ifndef CORE_STRMWIRE_H
#define CORE_STRMWIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "core/consensus.h"
#include "core/strm.h"

#define STRM_PROTO     "ais-stream/1"
#define STRM_FRAME     40           /* bytes before header and payload */
#define STRM_BLOCK_MAX (8u << 20)   /* of a DATA frame that needs no buffer */
#define STRM_CTL_MAX   (8u << 10)   /* payload of ACK and FENCE */

enum strm_type { STRM_OBJ = 1, STRM_DATA, STRM_ABORT, STRM_FENCE, STRM_BYE, STRM_ACK };

#define STRM_F_STREAMED 1u
#define STRM_F_LZ4      2u
#define STRM_F_SUM      4u
#define STRM_F_LAST     8u

struct strm_frame {
    enum strm_type type;
    uint8_t        flags;
    uint16_t       hlen;
    uint64_t       seq;
    uint32_t       plen, rlen; /* 0 with STRM_F_STREAMED */
    uint64_t       size;       /* of the body: OBJ only, its rlen without STRM_F_STREAMED */
    uint64_t       psum;
};

void strm_frame_put(const struct strm_frame *f, void *out); /* STRM_FRAME bytes */
/* STRM_FRAME bytes. 0, or -AIS_E_CORRUPT for whatever is not a frame of this version; nothing behind can be trusted then. */
int  strm_frame_get(const void *p, struct strm_frame *out);

struct strm_fence {
    struct cons_fence f;
    uint64_t          smap;
};
#define STRM_FENCE_LEN 20
void strm_fence_put(const struct strm_fence *f, void *out);
int  strm_fence_get(struct str p, struct strm_fence *out);

/* Acknowledgements: credits first, then so many entries as fit. */
struct strm_credit {
    uint64_t objs, bytes;
};
#define STRM_CREDIT_LEN 16
#define STRM_ACK_MAX    (11 + 32 + STRM_REPLY_MAX) /* of one entry */
struct strm_ack {
    uint64_t   seq;
    int        rc; /* 0 or -AIS_E_*: -AIS_E_INTERNAL for a name that this version does not know */
    struct str reply;
};
void   strm_credit_put(const struct strm_credit *c, void *out);
int    strm_credit_get(struct str *rest, struct strm_credit *out);
size_t strm_ack_put(const struct strm_ack *a, void *out); /* at most STRM_ACK_MAX; the length */
/* 1 = an entry, 0 = none is left, -AIS_E_CORRUPT. */
int    strm_ack_get(struct str *rest, struct strm_ack *out);

#endif
