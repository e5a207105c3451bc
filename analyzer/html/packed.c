/* SPDX-License-Identifier: MIT */
/* packed.c: zlib compresses; the base64 is our own, for no library that is used here has it. */
#include "packed.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

static void put_base64(FILE *out, const unsigned char *bytes, size_t size)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i;
		unsigned group = (unsigned)bytes[i] << 16;
		if (left > 1)
			group |= (unsigned)bytes[i + 1] << 8;
		if (left > 2)
			group |= bytes[i + 2];
		putc(digits[group >> 18], out);
		putc(digits[group >> 12 & 63], out);
		putc(left > 1 ? digits[group >> 6 & 63] : '=', out);
		putc(left > 2 ? digits[group & 63] : '=', out);
	}
}

int packed_write(FILE *out, const void *bytes, size_t size)
{
	uLongf packed_size = compressBound(size);
	unsigned char *packed = malloc(packed_size);
	if (!packed)
		return -ENOMEM;
	int result = compress(packed, &packed_size, bytes, size) == Z_OK ? 0 : -ENOMEM;
	if (result == 0)
		put_base64(out, packed, packed_size);
	free(packed);
	return result;
}
