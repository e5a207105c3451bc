/* SPDX-License-Identifier: MIT */
/*
 * gzip_buffer.h: where protobuf-c packs messages to: what is appended is compressed and written.
 */
#ifndef FAULTLINE_GZIP_BUFFER_H
#define FAULTLINE_GZIP_BUFFER_H

#include <protobuf-c/protobuf-c.h>
#include <stdio.h>
#include <zlib.h>

struct gzip_buffer {
	ProtobufCBuffer base; /* for protobuf_c_message_pack_to_buffer */
	z_stream stream;
	FILE *out; /* errors stay in it */
};

/* 0 or -ENOMEM. */
int gzip_buffer_start(struct gzip_buffer *buffer, FILE *out);

/* Writes what is left, and frees what gzip_buffer_start made. */
void gzip_buffer_finish(struct gzip_buffer *buffer);

#endif
