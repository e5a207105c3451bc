/* SPDX-License-Identifier: MIT */
/*
 * export_output.c: a FILE whose bytes go through zstd, or not, to a descriptor.
 */
#include "export_output.h"

#include "message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define BUFFER_BYTES (256u << 10)

struct export_output {
	const char *command; /* borrowed */
	const char *path;    /* borrowed; NULL: standard output */
	int fd;
	FILE *file;
	ZSTD_CStream *encoder; /* NULL: not compressed */
	int error;	       /* the first one; 0: none */
};

static int write_all(struct export_output *output, const char *bytes, size_t size)
{
	while (size > 0 && output->error == 0) {
		ssize_t length = write(output->fd, bytes, size);
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0) {
			output->error = -errno;
			break;
		}
		bytes += length;
		size -= (size_t)length;
	}
	return output->error;
}

/* `how`: ZSTD_e_continue, or ZSTD_e_end for the last bytes. */
static int encode(
    struct export_output *output, const char *bytes, size_t size, ZSTD_EndDirective how)
{
	char encoded[16384];
	ZSTD_inBuffer in = {bytes, size, 0};
	size_t left;
	do {
		ZSTD_outBuffer out = {encoded, sizeof(encoded), 0};
		left = ZSTD_compressStream2(output->encoder, &out, &in, how);
		if (ZSTD_isError(left))
			output->error = -ENOMEM;
		if (write_all(output, encoded, out.pos) < 0)
			return output->error;
	} while (how == ZSTD_e_end ? left > 0 : in.pos < in.size);
	return 0;
}

/* For fopencookie(3). */
static ssize_t write_cookie(void *cookie, const char *bytes, size_t size)
{
	struct export_output *output = cookie;
	int result = output->encoder ? encode(output, bytes, size, ZSTD_e_continue)
				     : write_all(output, bytes, size);
	errno = -result;
	return result < 0 ? 0 : (ssize_t)size;
}

static bool is_compressed(const char *path)
{
	size_t length = strlen(path);
	return length > 4 && strcmp(path + length - 4, ".zst") == 0;
}

static bool same_file(int fd, const char *trace_path)
{
	struct stat in, out;
	int result =
	    strcmp(trace_path, "-") == 0 ? fstat(STDIN_FILENO, &in) : stat(trace_path, &in);
	return result == 0 && fstat(fd, &out) == 0 && S_ISREG(in.st_mode) &&
	       in.st_dev == out.st_dev && in.st_ino == out.st_ino;
}

/* Opens the file, and empties it once it is known not to be the trace. */
static int open_path(struct export_output *output, const char *trace_path)
{
	struct stat status;
	output->fd = open(output->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
	if (output->fd < 0)
		return -errno;
	if (same_file(output->fd, trace_path))
		return -ETXTBSY;
	if (fstat(output->fd, &status) == 0 && S_ISREG(status.st_mode) &&
	    ftruncate(output->fd, 0) < 0)
		return -errno;
	if (!is_compressed(output->path))
		return 0;
	output->encoder = ZSTD_createCStream();
	return output->encoder ? 0 : -ENOMEM;
}

static void destroy(struct export_output *output)
{
	if (output->fd > STDERR_FILENO)
		close(output->fd);
	ZSTD_freeCStream(output->encoder);
	free(output);
}

int export_output_open(struct export_output **result_output, const char *command, const char *path,
    const char *trace_path)
{
	static const cookie_io_functions_t functions = {.write = write_cookie};
	struct export_output *output = calloc(1, sizeof(*output));
	if (!output) {
		message("%s: out of memory", command);
		return -ENOMEM;
	}
	int result = 0;
	output->command = command;
	output->fd = STDOUT_FILENO;
	if (path && strcmp(path, "-") != 0) {
		output->path = path;
		result = open_path(output, trace_path);
	}
	if (result == 0) {
		output->file = fopencookie(output, "w", functions);
		if (!output->file)
			result = -ENOMEM;
	}
	if (result == -ETXTBSY)
		message("%s: \"%s\" is the trace itself: choose another file with --output",
		    command, path);
	else if (result < 0)
		message("%s: cannot write to \"%s\": %s", command, path ? path : "standard output",
		    strerror(-result));
	if (result < 0) {
		destroy(output);
		return result;
	}
	setvbuf(output->file, NULL, _IOFBF, BUFFER_BYTES);
	*result_output = output;
	return 0;
}

FILE *export_output_file(const struct export_output *output)
{
	return output->file;
}

int export_output_close(struct export_output *output)
{
	if (!output)
		return 0;
	bool failed = ferror(output->file);
	if (fclose(output->file) != 0)
		failed = true;
	if (!failed && output->encoder && encode(output, NULL, 0, ZSTD_e_end) < 0)
		failed = true;
	int result = output->error < 0 ? output->error : failed ? -EIO : 0;
	if (result < 0)
		message("%s: cannot write to %s%s%s: %s", output->command, output->path ? "\"" : "",
		    output->path ? output->path : "standard output", output->path ? "\"" : "",
		    strerror(-result));
	destroy(output);
	return result;
}
