/* SPDX-License-Identifier: MIT */
/*
 * cmd_report.c: `faultline report` reads a trace and says what touched which memory.
 */
#include "arguments.h"
#include "message.h"
#include "report.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_TOP 15

static const struct fl_option report_options[] = {
    {.flag = "json", .help = "the same as JSON, sizes in bytes"},
    {.flag = "top",
	.letter = 'n',
	.argument = "N",
	.shown_default = "15",
	.help = "rows of each table; all: every row"},
    {.flag = NULL},
};

struct request {
	bool json;
	size_t top;
	const char *trace;
};

/* 0 or -EINVAL after a message. */
static int parse_top(const char *value, size_t *top)
{
	char *end;
	errno = 0;
	unsigned long number = strtoul(value, &end, 10);
	if (strcmp(value, "all") == 0) {
		*top = SIZE_MAX;
		return 0;
	}
	if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || number == 0) {
		message("report: --top=%s: must be a number from 1, or all", value);
		return -EINVAL;
	}
	*top = number;
	return 0;
}

/* 0; -EINVAL after a message; 1: help wanted. */
static int read_request(
    struct request *request, const struct command *command, int argc, char **argv)
{
	struct arguments arguments;
	arguments_start(&arguments, command, argc, argv);
	for (;;) {
		switch (arguments_next(&arguments)) {
		case ARGUMENT_HELP:
			return 1;
		case ARGUMENT_WRONG:
			return -EINVAL;
		case ARGUMENT_OPTION:
			if (strcmp(arguments.option->flag, "json") == 0)
				request->json = true;
			else if (parse_top(arguments.value, &request->top) < 0)
				return -EINVAL;
			break;
		case ARGUMENT_OPERAND:
			if (request->trace) {
				message("report: one trace at a time: \"%s\" is the second",
				    arguments.value);
				return -EINVAL;
			}
			request->trace = arguments.value;
			break;
		case ARGUMENT_END:
			if (request->trace)
				return 0;
			message("report: which trace? usage: faultline report [OPTIONS] %s",
			    command->operands);
			return -EINVAL;
		}
	}
}

/* What the numbers lack, before they are printed. */
static void warn(const struct trace_model *model, const char *name)
{
	if (!model->ended || model->cut)
		message("warning: \"%s\" is cut: the recording did not end properly; what is there "
			"was read",
		    name);
	if (model->undefined > 0)
		message("warning: \"%s\" uses %llu identifiers that it does not define", name,
		    (unsigned long long)model->undefined);
}

static int run_report(const struct command *command, int argc, char **argv)
{
	struct request request = {.top = DEFAULT_TOP};
	int wanted = read_request(&request, command, argc, argv);
	if (wanted != 0)
		return wanted > 0 ? command_help(command) : command->usage_status;

	struct trace_reader *reader = NULL;
	struct trace_model model = {0};
	struct report report = {0};
	const char *name = strcmp(request.trace, "-") == 0 ? "standard input" : request.trace;
	int result = trace_reader_open(&reader, request.trace);
	if (result == 0)
		result = trace_model_read(&model, reader);
	if (result < 0) {
		message("%s", trace_reader_error(reader));
		goto out;
	}
	trace_reader_close(reader);
	reader = NULL;
	warn(&model, name);
	result = report_make(&report, &model);
	if (result == 0)
		result = request.json ? report_json(&report, name, request.top)
				      : report_text(&report, name, request.top);
	if (result < 0)
		message("report: out of memory");
out:
	trace_reader_close(reader);
	report_free(&report);
	trace_model_free(&model);
	return result < 0 ? STATUS_FAILED : finish_output();
}

const struct command report_command = {
    .name = "report",
    .operands = "TRACE",
    .summary = "what touched which memory, as text or JSON",
    .details = "TRACE is a file, plain or zstd, or - for standard input.\n"
	       "\n"
	       "Code is named by one frame of each stack: the innermost one outside the C and\n"
	       "C++ runtime. That is libc, the loader, libpthread, libm, libstdc++, libc++,\n"
	       "libgcc_s, the vdso, the shim, the allocators jemalloc, tcmalloc and mimalloc,\n"
	       "and the namespaces std and __gnu_cxx wherever they are. When that frame has no\n"
	       "name, the next outer named frame of the same file stands for it, as long as no\n"
	       "other file lies between; else the file and the offset in it. A stack that is\n"
	       "all runtime is named by its innermost frame. Source files and lines come from\n"
	       "debug information.\n"
	       "\n"
	       "MiB counts the pages that faults brought in. In the table of memory, \"reserved\"\n"
	       "adds up all that was ever asked for at a place, and \"touched\" the pages of it\n"
	       "that were faulted in, each once. Memory that an allocator hands out again was\n"
	       "touched before and is not faulted again. Rows of a heap (brk, arena) contain\n"
	       "the allocations that are listed by themselves.\n"
	       "\n"
	       "Exit status: 0; 1 when the trace cannot be read; 2 for wrong usage.\n",
    .options = report_options,
    .operand = OPERAND_TRACE,
    .usage_status = STATUS_USAGE,
    .run = run_report,
};
