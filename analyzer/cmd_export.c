/* SPDX-License-Identifier: MIT */
/*
 * cmd_export.c: `faultline export` writes a trace in the format of another tool.
 */
#include "code_names.h"
#include "export.h"
#include "export_output.h"
#include "message.h"
#include "trace_request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct fl_option export_options[] = {
    {.flag = "format",
	.letter = 'f',
	.argument = "FORMAT",
	.help = "what to write; one of those below"},
    {.flag = "output",
	.letter = 'o',
	.argument = "FILE",
	.help = "write to FILE, compressed if it ends in .zst",
	.shown_default = "standard output"},
    {.flag = "value",
	.argument = "VALUE",
	.help = "folded stacks count: touched, faults or allocated",
	.shown_default = "touched"},
    {.flag = NULL},
};

static const struct option_group *const groups[] = {&filter_options, &location_options, NULL};

struct choices {
	const struct export_format *format; /* NULL: not given */
	int value;			    /* enum export_value; -1: not given */
	const char *output;
	struct location_request locations;
};

/* Finds the word among names. Its index, or -EINVAL after a message that says what would be right.
 */
static int choose(const char *flag, const char *word, const char *(*name_of)(size_t index))
{
	const char *names[16];
	char list[256] = "";
	size_t count = 0, length = 0;
	for (; count < sizeof(names) / sizeof(names[0]) && name_of(count); count++) {
		names[count] = name_of(count);
		if (strcmp(names[count], word) == 0)
			return (int)count;
		length += (size_t)snprintf(list + length, sizeof(list) - length, "%s%s",
		    count > 0 ? ", " : "", names[count]);
	}
	const char *meant = closest_name(word, names, count);
	if (meant)
		message("export: --%s=%s: did you mean %s?", flag, word, meant);
	else
		message("export: --%s=%s: must be one of %s", flag, word, list);
	return -EINVAL;
}

/* One that is no filter. 0, or -EINVAL after a message. */
static int take_option(void *context, const struct arguments *arguments)
{
	struct choices *choices = context;
	const char *flag = arguments->option->flag;
	int taken = location_option(&choices->locations, arguments);
	if (taken != 0)
		return taken < 0 ? taken : 0;
	if (strcmp(flag, "output") == 0) {
		choices->output = arguments->value;
		return 0;
	}
	bool is_format = strcmp(flag, "format") == 0;
	int choice =
	    choose(flag, arguments->value, is_format ? export_format_name : export_value_name);
	if (choice < 0)
		return choice;
	if (is_format)
		choices->format = export_formats[choice];
	else
		choices->value = choice;
	return 0;
}

/* All arguments were read: do they go together? If not a message says why. */
static bool is_right(const struct choices *choices)
{
	bool to_stdout = !choices->output || strcmp(choices->output, "-") == 0;
	const struct export_format *format = choices->format;
	if (!format)
		message(
		    "export: which format? name one with --format; see faultline export --help");
	else if (choices->value >= 0 && !format->has_one_value)
		message("export: --value is for folded stacks; %s has all values", format->name);
	else if (format->is_binary && to_stdout && isatty(STDOUT_FILENO))
		message(
		    "export: %s is not for a terminal: name a file with --output", format->name);
	else
		return true;
	return false;
}

/* Hands the format all events. 0, or negative errno after a message. */
static int write_export(
    const struct export_format *format, const struct export_job *export, struct trace *trace)
{
	struct trace_event event;
	void *state = format->start(export);
	int result = state ? 0 : -ENOMEM, taken = result;
	while (taken == 0 && (result = trace_next(trace, &event)) > 0)
		taken = format->take(state, &event);
	if (result == 0 && taken == 0)
		taken = format->finish(state);
	if (state)
		format->destroy(state);
	if (taken < 0)
		message("export: %s", taken == -ENOMEM ? "out of memory" : strerror(-taken));
	else if (result < 0)
		message("%s", trace_error(trace));
	return taken < 0 ? taken : result;
}

/* 0, or negative errno after a message. */
static int export_trace(
    const struct choices *choices, const char *path, const struct filter *filter)
{
	struct trace *trace = NULL;
	struct export_output *output = NULL;
	struct code_names *names = code_names_create(&choices->locations);
	int result = names ? trace_open(&trace, path, filter, 0) : -ENOMEM;
	if (!names)
		message("export: out of memory");
	else if (result < 0)
		message("%s", trace_error(trace));
	if (result == 0)
		result = export_output_open(&output, "export", choices->output, path);
	if (result == 0) {
		struct export_job export = {
		    .out = export_output_file(output),
		    .trace = trace,
		    .names = names,
		    .value =
			choices->value >= 0 ? (enum export_value)choices->value : EXPORT_TOUCHED,
		};
		result = write_export(choices->format, &export, trace);
		if (export_output_close(output) < 0)
			result = -EIO;
	}
	if (result == 0)
		trace_request_warn(trace, path);
	trace_close(trace);
	code_names_destroy(names);
	return result;
}

static int run_export(const struct command *command, int argc, char **argv)
{
	struct choices choices = {.value = -1};
	struct trace_request request = {
	    .least = 1, .most = 1, .option = take_option, .context = &choices};
	int status = trace_request_read(&request, command, argc, argv);
	if (status < 0 && !is_right(&choices))
		status = command->usage_status;
	if (status < 0)
		status = export_trace(&choices, request.traces[0], request.filter) < 0
			     ? STATUS_FAILED
			     : STATUS_OK;
	trace_request_free(&request);
	return status;
}

static void print_formats(void)
{
	printf("Formats\n");
	for (const struct export_format *const *format = export_formats; *format; format++)
		printf("  %-12s %s\n", (*format)->name, (*format)->summary);
}

const struct command export_command = {
    .name = "export",
    .operands = "TRACE",
    .summary = "write a trace for flamegraph.pl, speedscope, Perfetto, pprof, ...",
    .print_table = print_formats,
    .details = "TRACE is a file, plain or zstd, or - for standard input.\n"
	       "\n"
	       "\"touched\" counts the bytes that faults brought in, by the stack that touched\n"
	       "them; \"faults\" the faults; \"allocated\" the bytes of the allocations that the\n"
	       "trace tells of, by the stack that asked for them. The sums are those of\n"
	       "faultline report --json.\n"
	       "\n"
	       "Exit status: 0; 1 when the trace cannot be read or the output not be written;\n"
	       "2 for wrong usage.\n",
    .options = export_options,
    .groups = groups,
    .operand = OPERAND_TRACE,
    .usage_status = STATUS_USAGE,
    .run = run_export,
};
