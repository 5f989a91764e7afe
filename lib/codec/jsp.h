/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AIStore's container for cluster metadata files: signature, meta-version, flags, checksum, JSON, optionally one LZ4 frame.
 * internals.md 1.5. Reading refuses what does not verify and never touches the file.
 */
#ifndef CODEC_JSP_H
#define CODEC_JSP_H

#include <stdint.h>

#include "base/sbuf.h"
#include "base/str.h"

#define JSP_MAX_JSON (64u << 20)

/* Unpack a file image into json (the text without trailing newline is appended). 0, -AIS_E_CORRUPT, -AIS_E_TOOBIG. */
int jsp_decode(struct str image, uint32_t *meta_version, struct sbuf *json);
/* Pack: LZ4 frame and checksum, as AIStore writes them. 0, -AIS_E_TOOBIG, -AIS_E_NOMEM. */
int jsp_encode(struct str json, uint32_t meta_version, struct sbuf *image);

#endif
