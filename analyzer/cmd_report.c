/* SPDX-License-Identifier: MIT */
/*
 * cmd_report.c: `faultline report` reads a trace and says what touched which memory.
 */
#include "message.h"
#include "report.h"
#include "trace_request.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_TOP 15

static const struct option_group *const groups[] = {&filter_options, NULL};

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

static int take_option(void *context, const struct arguments *arguments)
{
	struct request *own = context;
	if (strcmp(arguments->option->flag, "top") == 0)
		return parse_top(arguments->value, &own->top);
	own->json = true;
	return 0;
}

static int report_trace(const struct trace_request *request, const struct request *own)
{
	const char *path = request->traces[0], *name = trace_request_name(path);
	struct trace *trace = NULL;
	struct profile *profile = NULL;
	struct report report = {0};
	int result = trace_open(&trace, path, request->filter, 0);
	if (result == 0)
		profile = profile_create(trace, 0);
	if (profile)
		result = profile_read(profile, trace);
	if (result < 0) {
		message("%s", trace_error(trace));
		goto out;
	}
	trace_request_warn(trace, path);
	result = profile ? report_make(&report, profile) : -ENOMEM;
	if (result == 0)
		result = own->json ? report_json(&report, name, own->top)
				   : report_text(&report, name, own->top);
	if (result < 0)
		message("report: out of memory");
out:
	report_free(&report);
	profile_destroy(profile);
	trace_close(trace);
	return result < 0 ? STATUS_FAILED : finish_output();
}

static int run_report(const struct command *command, int argc, char **argv)
{
	struct request own = {.top = DEFAULT_TOP};
	struct trace_request request = {
	    .least = 1, .most = 1, .option = take_option, .context = &own};
	int status = trace_request_read(&request, command, argc, argv);
	if (status < 0)
		status = report_trace(&request, &own);
	trace_request_free(&request);
	return status;
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
    .groups = groups,
    .operand = OPERAND_TRACE,
    .usage_status = STATUS_USAGE,
    .run = run_report,
};
