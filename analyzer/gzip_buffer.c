/* SPDX-License-Identifier: MIT */
/*
 * gzip_buffer.c: a z_stream whose output goes to a FILE as soon as there is some. Deflating to
 * memory that is there cannot fail.
 */
#include "gzip_buffer.h"

#include <errno.h>
#include <string.h>

#define GZIP_FORMAT 16 /* added to the window bits: a gzip header instead of zlib's own */

static void deflate_all(struct gzip_buffer *buffer, int flush)
{
	unsigned char compressed[16384];
	do {
		buffer->stream.next_out = compressed;
		buffer->stream.avail_out = sizeof(compressed);
		deflate(&buffer->stream, flush);
		fwrite(compressed, 1, sizeof(compressed) - buffer->stream.avail_out, buffer->out);
	} while (buffer->stream.avail_out == 0);
}

static void append(ProtobufCBuffer *base, size_t size, const uint8_t *bytes)
{
	struct gzip_buffer *buffer = (struct gzip_buffer *)base;
	while (size > 0) {
		uInt part = size < 1u << 30 ? (uInt)size : 1u << 30;
		buffer->stream.next_in = (unsigned char *)bytes;
		buffer->stream.avail_in = part;
		deflate_all(buffer, Z_NO_FLUSH);
		bytes += part;
		size -= part;
	}
}

int gzip_buffer_start(struct gzip_buffer *buffer, FILE *out)
{
	*buffer = (struct gzip_buffer){.base = {append}, .out = out};
	return deflateInit2(&buffer->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
		   MAX_WBITS + GZIP_FORMAT, 8, Z_DEFAULT_STRATEGY) == Z_OK
		   ? 0
		   : -ENOMEM;
}

void gzip_buffer_finish(struct gzip_buffer *buffer)
{
	buffer->stream.avail_in = 0;
	deflate_all(buffer, Z_FINISH);
	deflateEnd(&buffer->stream);
}
