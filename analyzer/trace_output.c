/* SPDX-License-Identifier: MIT */
/*
 * trace_output.c: gathers lines into batches.
 */
#include "trace_output.h"

#include "../preload/output.h"
#include "message.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STDOUT_BATCH_BYTES (64u << 10)

struct trace_output {
	const char *command, *path; /* borrowed; path NULL: standard output */
	struct output *file;	    /* NULL: standard output */
	bool begun;
	int error;
	char *batch;
	size_t used, capacity, batch_bytes;
};

const struct fl_option trace_output_options[] = {
    {.flag = "output",
	.letter = 'o',
	.argument = "FILE",
	.help = "write to FILE, compressed if it ends in .zst",
	.shown_default = "standard output"},
    {.flag = NULL},
};

int trace_output_option(void *path, const struct arguments *arguments)
{
	*(const char **)path = arguments->value;
	return 0;
}

int trace_output_open(struct trace_output **result_output, const char *command, const char *path)
{
	char error[2048];
	struct trace_output *output = calloc(1, sizeof(*output));
	if (!output) {
		message("%s: out of memory", command);
		return -ENOMEM;
	}
	output->command = command;
	output->batch_bytes = STDOUT_BATCH_BYTES;
	if (path && strcmp(path, "-") != 0) {
		int result = output_open(&output->file, path, error, sizeof(error));
		if (result < 0) {
			message("%s: %s", command, error);
			free(output);
			return result;
		}
		output->path = path;
		output->batch_bytes = output_batch_bytes(output->file);
	}
	*result_output = output;
	return 0;
}

bool trace_output_is(const struct trace_output *output, const char *input_path)
{
	struct stat in, out;
	bool is_stdin = strcmp(input_path, "-") == 0;
	if ((is_stdin ? fstat(STDIN_FILENO, &in) : stat(input_path, &in)) < 0)
		return false;
	if ((output->path ? stat(output->path, &out) : fstat(STDOUT_FILENO, &out)) < 0)
		return false;
	if (!S_ISREG(in.st_mode) || in.st_dev != out.st_dev || in.st_ino != out.st_ino)
		return false;
	message("%s: \"%s\" is both read and written: choose another file with --output",
	    output->command, is_stdin ? "standard input" : input_path);
	return true;
}

static int write_stdout(const char *text, size_t size)
{
	while (size > 0) {
		ssize_t length = write(STDOUT_FILENO, text, size);
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return -errno;
		text += length;
		size -= (size_t)length;
	}
	return 0;
}

static int write_batch(struct trace_output *output)
{
	size_t kept;
	int result = 0;
	if (output->used == 0 || output->error < 0)
		return output->error;
	if (output->file && !output->begun)
		result = output_begin(output->file);
	output->begun = true;
	if (result == 0)
		result = output->file
			     ? output_write(output->file, output->batch, output->used, &kept)
			     : write_stdout(output->batch, output->used);
	output->used = 0;
	output->error = result;
	if (result < 0)
		message("%s: cannot write to %s%s%s: %s", output->command, output->path ? "\"" : "",
		    output->path ? output->path : "standard output", output->path ? "\"" : "",
		    strerror(-result));
	return result;
}

int trace_output_line(struct trace_output *output, const char *text, size_t size)
{
	if (output->used > 0 && output->used + size + 1 > output->batch_bytes) {
		int result = write_batch(output);
		if (result < 0)
			return result;
	}
	if (output->used + size + 1 > output->capacity) {
		size_t capacity = output->used + size + 1;
		if (capacity < output->batch_bytes)
			capacity = output->batch_bytes;
		char *larger = realloc(output->batch, capacity);
		if (!larger) {
			message("%s: out of memory", output->command);
			return -ENOMEM;
		}
		output->batch = larger;
		output->capacity = capacity;
	}
	memcpy(output->batch + output->used, text, size);
	output->used += size;
	output->batch[output->used++] = '\n';
	return 0;
}

int trace_output_json(struct trace_output *output, const json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT);
	if (!text) {
		message("%s: out of memory", output->command);
		return -ENOMEM;
	}
	int result = trace_output_line(output, text, strlen(text));
	free(text);
	return result;
}

int trace_output_close(struct trace_output *output)
{
	if (!output)
		return 0;
	int result = write_batch(output);
	/* where nothing was written, output_destroy removes the file again */
	if (output->file && output->begun) {
		int late = output_close(output->file);
		if (late < 0 && result == 0) {
			message("%s: cannot write to \"%s\": %s", output->command, output->path,
			    strerror(-late));
			result = late;
		}
	}
	output_destroy(output->file);
	free(output->batch);
	free(output);
	return result;
}
