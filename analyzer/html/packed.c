/* SPDX-License-Identifier: MIT */
/* packed.c: zlib compresses; the base64 is our own, for no library that is used here has it. */
#include "packed.h"

#include <stdlib.h>
#include <zlib.h>

struct packed {
	FILE *out;
	z_stream stream;
	unsigned char group[3]; /* that become four letters */
	unsigned group_size;
};

static void put_group(struct packed *packed)
{
	static const char letters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *byte = packed->group;
	unsigned size = packed->group_size;
	putc(letters[byte[0] >> 2], packed->out);
	putc(letters[(byte[0] & 3) << 4 | byte[1] >> 4], packed->out);
	putc(size > 1 ? letters[(byte[1] & 15) << 2 | byte[2] >> 6] : '=', packed->out);
	putc(size > 2 ? letters[byte[2] & 63] : '=', packed->out);
	packed->group_size = packed->group[1] = packed->group[2] = 0;
}

/* Compresses what the stream has been given. To memory that is there this cannot fail. */
static void deflate_all(struct packed *packed, int flush)
{
	unsigned char compressed[16384];
	do {
		packed->stream.next_out = compressed;
		packed->stream.avail_out = sizeof(compressed);
		deflate(&packed->stream, flush);
		for (const unsigned char *at = compressed; at < packed->stream.next_out; at++) {
			packed->group[packed->group_size++] = *at;
			if (packed->group_size == sizeof(packed->group))
				put_group(packed);
		}
	} while (packed->stream.avail_out == 0);
}

static ssize_t write_packed(void *cookie, const char *bytes, size_t size)
{
	struct packed *packed = cookie;
	packed->stream.next_in = (unsigned char *)bytes;
	packed->stream.avail_in = (uInt)size; /* texts of a page are short */
	deflate_all(packed, Z_NO_FLUSH);
	return (ssize_t)size;
}

static int close_packed(void *cookie)
{
	struct packed *packed = cookie;
	packed->stream.avail_in = 0;
	deflate_all(packed, Z_FINISH);
	if (packed->group_size > 0)
		put_group(packed);
	deflateEnd(&packed->stream);
	free(packed);
	return 0;
}

FILE *packed_open(FILE *out)
{
	struct packed *packed = calloc(1, sizeof(*packed));
	if (!packed)
		return NULL;
	packed->out = out;
	if (deflateInit(&packed->stream, Z_DEFAULT_COMPRESSION) != Z_OK) {
		free(packed);
		return NULL;
	}
	FILE *stream = fopencookie(
	    packed, "w", (cookie_io_functions_t){.write = write_packed, .close = close_packed});
	if (!stream)
		close_packed(packed);
	return stream;
}
