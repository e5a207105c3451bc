/* SPDX-License-Identifier: MIT */
/*
 * trace_output.h: writes a trace, to standard output or to a file, compressed when its name ends in
 * .zst. A file is only replaced when it is a trace, and is whole lines whatever happens.
 */
#ifndef FAULTLINE_TRACE_OUTPUT_H
#define FAULTLINE_TRACE_OUTPUT_H

#include "arguments.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct trace_output;

/* For the `options` of a command that writes a trace: --output, the only one. */
extern const struct fl_option trace_output_options[];

/* Takes it. `path` is a const char **, for trace_output_open. Returns 0. */
int trace_output_option(void *path, const struct arguments *arguments);

/*
 * `path` NULL or "-": standard output. 0, or negative errno after a message that names `command`.
 * An existing file keeps its content until something is written.
 */
int trace_output_open(struct trace_output **output, const char *command, const char *path);

/* Is a file that is about to be read the one that is written? A message tells when it is. */
bool trace_output_is(const struct trace_output *output, const char *input_path);

/* Adds a line, without its newline. 0, or negative errno after a message. */
int trace_output_line(struct trace_output *output, const char *text, size_t size);
int trace_output_json(struct trace_output *output, const json_t *line);

/* Writes what is left and frees the output. 0, or negative errno after a message. NULL: 0. */
int trace_output_close(struct trace_output *output);

#endif
