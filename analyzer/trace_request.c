/* SPDX-License-Identifier: MIT */
/*
 * trace_request.c: parses the arguments, tells what is wrong with them.
 */
#include "trace_request.h"

#include "message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *trace_request_name(const char *path)
{
	return strcmp(path, "-") == 0 ? "standard input" : path;
}

static int take_trace(struct trace_request *request, const struct arguments *arguments)
{
	const char *command = arguments->command->name;
	if (request->trace_count == request->most) {
		message("%s: %s: \"%s\" is one too many", command,
		    request->most == 1 ? "one trace at a time" : "two traces at a time",
		    arguments->value);
		return -EINVAL;
	}
	for (size_t i = 0; i < request->trace_count; i++) {
		if (strcmp(arguments->value, "-") == 0 && strcmp(request->traces[i], "-") == 0) {
			message("%s: standard input is one trace only", command);
			return -EINVAL;
		}
	}
	const char **grown =
	    realloc(request->traces, (request->trace_count + 1) * sizeof(*request->traces));
	if (!grown) {
		message("%s: out of memory", command);
		return -ENOMEM;
	}
	request->traces = grown;
	request->traces[request->trace_count++] = arguments->value;
	return 0;
}

static int take_option(struct trace_request *request, const struct arguments *arguments)
{
	int taken = filter_option(request->filter, arguments);
	return taken == 0 ? request->option(request->context, arguments) : taken;
}

int trace_request_read(
    struct trace_request *request, const struct command *command, int argc, char **argv)
{
	struct arguments arguments;
	int result = 0;
	request->filter = filter_create();
	if (!request->filter) {
		message("%s: out of memory", command->name);
		return STATUS_FAILED;
	}
	arguments_start(&arguments, command, argc, argv);
	while (result >= 0) {
		switch (arguments_next(&arguments)) {
		case ARGUMENT_HELP:
			return command_help(command);
		case ARGUMENT_WRONG:
			return command->usage_status;
		case ARGUMENT_OPTION:
			result = take_option(request, &arguments);
			break;
		case ARGUMENT_OPERAND:
			result = take_trace(request, &arguments);
			break;
		case ARGUMENT_END:
			if (filter_finish(request->filter, command->name) < 0)
				return command->usage_status;
			if (request->trace_count >= request->least)
				return -1;
			message("%s: which trace%s? usage: faultline %s [OPTIONS] %s",
			    command->name, request->least > 1 ? "s" : "", command->name,
			    command->operands);
			return command->usage_status;
		}
	}
	return result == -ENOMEM ? STATUS_FAILED : command->usage_status;
}

void trace_request_free(struct trace_request *request)
{
	filter_destroy(request->filter);
	free(request->traces);
}

void trace_request_warn(const struct trace *trace, const char *path)
{
	const char *name = trace_request_name(path);
	if (trace_is_cut(trace))
		message("warning: \"%s\" is cut: the recording did not end properly; what is there "
			"was read",
		    name);
	if (trace_undefined(trace) > 0)
		message("warning: \"%s\" uses %llu identifiers that it does not define", name,
		    (unsigned long long)trace_undefined(trace));
}
