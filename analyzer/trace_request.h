/* SPDX-License-Identifier: MIT */
/*
 * trace_request.h: the command line of commands that read traces: operands that name them, filters,
 * and the command's own options.
 *
 *     struct trace_request request = {.least = 1, .most = 1, .option = take_option, .context =
 * &own}; int status = trace_request_read(&request, command, argc, argv); if (status < 0) {
 *             ... request.traces[0], request.filter ...
 *     }
 *     trace_request_free(&request);
 *     return status;
 */
#ifndef FAULTLINE_TRACE_REQUEST_H
#define FAULTLINE_TRACE_REQUEST_H

#include "arguments.h"
#include "filter.h"
#include "trace.h"

/* The first members are the command's to fill in. */
struct trace_request {
	size_t least, most; /* traces; most SIZE_MAX: any number */
	/* Takes an option that is no filter. 0, or negative errno after a message. */
	int (*option)(void *context, const struct arguments *arguments);
	void *context;

	struct filter *filter;
	const char **traces; /* the words are borrowed from argv */
	size_t trace_count;
};

/* Negative: go on. Else the exit status, all being said: help was wanted, or usage was wrong. */
int trace_request_read(
    struct trace_request *request, const struct command *command, int argc, char **argv);
void trace_request_free(struct trace_request *request);

/* What a message calls a trace: "standard input" for "-". */
const char *trace_request_name(const char *path);

/* Says, after all was read, what the numbers lack: the trace was cut, or refers to nothing. */
void trace_request_warn(const struct trace *trace, const char *path);

#endif
