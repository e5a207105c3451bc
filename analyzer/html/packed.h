/* SPDX-License-Identifier: MIT */
/* packed.h: bytes inside of a page. */
#ifndef FAULTLINE_PACKED_H
#define FAULTLINE_PACKED_H

#include <stddef.h>
#include <stdio.h>

/*
 * Writes the bytes compressed (zlib's format, RFC 1950) and in base64 (RFC 4648, section 4), on one
 * line without an end. 0 or -ENOMEM; errors of writing stay in `out`.
 */
int packed_write(FILE *out, const void *bytes, size_t size);

#endif
