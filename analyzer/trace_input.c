/* SPDX-License-Identifier: MIT */
/*
 * trace_input.c: reads files and decompresses them in pieces; memory does not depend on their
 * size. Used by the analyzer's commands, one thread.
 */
#include "trace_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

#define READ_BYTES (256u << 10)

struct trace_input {
	int fd;
	const struct trace_growth *growth; /* NULL: none */
	off_t size;			   /* of the file, 0: not known */
	off_t position;
	ZSTD_DStream *decoder; /* NULL: plain */
	bool in_frame;	       /* the decoder waits for more of a frame */
	bool holds_text;       /* the decoder may have text that did not fit */
	bool at_end;	       /* of the file */
	size_t start, end;     /* what is left in the buffer */
	char buffer[READ_BYTES];
};

/* Reads behind what is left, as read(2). */
static ssize_t read_once(struct trace_input *input)
{
	ssize_t length;
	do
		length = read(input->fd, input->buffer + input->end, READ_BYTES - input->end);
	while (length < 0 && errno == EINTR);
	return length;
}

/* Was the file emptied, to be written anew? */
static bool has_shrunk(const struct trace_input *input)
{
	struct stat status;
	return fstat(input->fd, &status) == 0 && S_ISREG(status.st_mode) &&
	       status.st_size < input->position;
}

/* Reads more behind what is left. 0 or negative errno. */
static int fill(struct trace_input *input)
{
	const struct trace_growth *growth = input->growth;
	if (input->start == input->end)
		input->start = input->end = 0;
	ssize_t length = read_once(input);
	while (length == 0 && growth && growth->wait(growth->context)) {
		if (has_shrunk(input))
			return -ESTALE;
		length = read_once(input);
	}
	if (length < 0)
		return -errno;
	if (length == 0)
		input->at_end = true;
	input->end += (size_t)length;
	input->position += length;
	return 0;
}

/* zstd's frame header, or that of a frame to skip (RFC 8878, 3.1). */
static bool is_compressed(const unsigned char *bytes)
{
	static const unsigned char magic[] = {0x28, 0xb5, 0x2f, 0xfd};
	static const unsigned char skippable[] = {0x2a, 0x4d, 0x18};
	return memcmp(bytes, magic, 4) == 0 ||
	       ((bytes[0] & 0xf0) == 0x50 && memcmp(bytes + 1, skippable, 3) == 0);
}

int trace_input_open(
    struct trace_input **result_input, const char *path, const struct trace_growth *growth)
{
	struct trace_input *input = malloc(sizeof(*input));
	if (!input)
		return -ENOMEM;
	memset(input, 0, offsetof(struct trace_input, buffer));
	int result = 0;
	input->growth = growth;
	input->fd =
	    strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (input->fd < 0) {
		result = -errno;
		goto out;
	}
	struct stat status;
	if (fstat(input->fd, &status) == 0 && S_ISREG(status.st_mode))
		input->size = status.st_size;
	/* a pipe may hand over less than four bytes at first */
	while (result == 0 && !input->at_end && input->end < 4)
		result = fill(input);
	if (result == 0 && input->end >= 4 && is_compressed((const unsigned char *)input->buffer)) {
		input->decoder = ZSTD_createDStream();
		if (!input->decoder || ZSTD_isError(ZSTD_DCtx_setParameter(input->decoder,
					   ZSTD_d_windowLogMax, TRACE_INPUT_WINDOW_LOG)))
			result = -ENOMEM;
	}
out:
	if (result < 0)
		trace_input_close(input);
	else
		*result_input = input;
	return result;
}

void trace_input_close(struct trace_input *input)
{
	if (!input)
		return;
	if (input->fd > STDIN_FILENO)
		close(input->fd);
	ZSTD_freeDStream(input->decoder);
	free(input);
}

static int errno_of(size_t failure)
{
	switch (ZSTD_getErrorCode(failure)) {
	case ZSTD_error_frameParameter_windowTooLarge:
		return -EFBIG;
	case ZSTD_error_memory_allocation:
		return -ENOMEM;
	default:
		return -EBADMSG;
	}
}

static ssize_t decompress(struct trace_input *input, char *buffer, size_t size)
{
	ZSTD_outBuffer out = {buffer, size, 0};
	while (out.pos == 0) {
		if (input->start == input->end && !input->at_end && !input->holds_text) {
			int result = fill(input);
			if (result < 0)
				return result;
		}
		ZSTD_inBuffer in = {input->buffer, input->end, input->start};
		/* at the end it may still hold text that did not fit before */
		if (in.pos == in.size && input->at_end && !input->in_frame)
			return 0;
		size_t left = ZSTD_decompressStream(input->decoder, &out, &in);
		input->start = in.pos;
		if (ZSTD_isError(left))
			return errno_of(left);
		input->in_frame = left != 0;
		input->holds_text = out.pos == out.size;
		if (in.pos == in.size && input->at_end && out.pos == 0)
			return 0;
	}
	return (ssize_t)out.pos;
}

ssize_t trace_input_read(struct trace_input *input, char *buffer, size_t size)
{
	if (input->decoder)
		return decompress(input, buffer, size);
	if (input->start == input->end && !input->at_end) {
		int result = fill(input);
		if (result < 0)
			return result;
	}
	size_t length = input->end - input->start;
	if (length > size)
		length = size;
	memcpy(buffer, input->buffer + input->start, length);
	input->start += length;
	return (ssize_t)length;
}

bool trace_input_cut(const struct trace_input *input)
{
	return input->in_frame;
}

int trace_input_percent(const struct trace_input *input)
{
	return input->size > 0 ? (int)(input->position * 100 / input->size) : -1;
}
