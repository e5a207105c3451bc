/* SPDX-License-Identifier: MIT */
/* packed.h: bytes inside of a page. */
#ifndef FAULTLINE_PACKED_H
#define FAULTLINE_PACKED_H

#include <stdio.h>

/*
 * A stream whose bytes are written to `out` compressed (zlib's format, RFC 1950) and in base64
 * (RFC 4648, section 4), on one line that fclose completes but does not end. NULL: no memory.
 * Errors of writing stay in `out`.
 */
FILE *packed_open(FILE *out);

#endif
