/* SPDX-License-Identifier: MIT */
/*
 * cmd_diff.c: `faultline diff` says what grew and what shrank from one build of a program to
 * another.
 */
#include "diff_output.h"
#include "message.h"
#include "trace_request.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_LIMIT 15
/* What Fisher proposed, and everybody took. */
#define DEFAULT_SIGNIFICANCE 0.05

static const struct fl_option diff_options[] = {
    {.flag = "fail-if",
	.argument = "CONDITION",
	.help = "exit with 3 when that grew: 'touched>+5%' (below)"},
    {.flag = "significance",
	.argument = "P",
	.shown_default = "0.05",
	.help = "with several runs: the largest p that is no chance"},
    {.flag = "limit",
	.letter = 'n',
	.argument = "N",
	.shown_default = "15",
	.help = "rows of each table; all: every row"},
    {.flag = "json", .help = "the same as JSON, sizes in bytes"},
    {.flag = "markdown", .help = "the same as Markdown, for a pull request"},
    {.flag = NULL},
};

static const struct option_group *const groups[] = {&filter_options, NULL};

/* What the command line says, but for filters and traces. */
struct own {
	struct diff_condition *conditions;
	size_t condition_count;
	double significance;
	size_t limit;
	bool json, markdown;
};

/* The traces of both sides. */
struct sides {
	char **paths; /* owned; the old ones first */
	size_t old_count, count;
};

static int take_condition(struct own *own, const char *text)
{
	struct diff_condition *grown =
	    realloc(own->conditions, (own->condition_count + 1) * sizeof(*grown));
	if (!grown) {
		message("diff: out of memory");
		return -ENOMEM;
	}
	own->conditions = grown;
	int result = diff_condition_parse(&grown[own->condition_count], text);
	own->condition_count += result == 0;
	return result;
}

static int take_significance(struct own *own, const char *value)
{
	char *end;
	own->significance = strtod(value, &end);
	if (strspn(value, "0123456789.") == strlen(value) && end != value && *end == '\0' &&
	    own->significance > 0 && own->significance <= 1)
		return 0;
	message("diff: --significance=%s: must be a number above 0, up to 1", value);
	return -EINVAL;
}

static int take_option(void *context, const struct arguments *arguments)
{
	struct own *own = context;
	const char *flag = arguments->option->flag;
	if (strcmp(flag, "fail-if") == 0)
		return take_condition(own, arguments->value);
	if (strcmp(flag, "significance") == 0)
		return take_significance(own, arguments->value);
	if (strcmp(flag, "limit") == 0)
		return arguments_limit(arguments, &own->limit);
	if (strcmp(flag, "json") == 0)
		own->json = true;
	else
		own->markdown = true;
	if (own->json && own->markdown) {
		message("diff: --json and --markdown do not go together");
		return -EINVAL;
	}
	return 0;
}

/* Adds the paths of a list with commas. 0, or negative errno after a message. */
static int add_side(struct sides *sides, const char *list)
{
	/* a file whose name has a comma is that file */
	bool is_one = access(list, F_OK) == 0;
	for (const char *at = list;; at++) {
		size_t length = is_one ? strlen(at) : strcspn(at, ",");
		char **grown = realloc(sides->paths, (sides->count + 1) * sizeof(*grown));
		if (grown)
			sides->paths = grown;
		char *path = grown ? strndup(at, length) : NULL;
		if (!path) {
			message("diff: out of memory");
			return -ENOMEM;
		}
		for (size_t i = 0; i < sides->count; i++)
			if (strcmp(path, "-") == 0 && strcmp(sides->paths[i], "-") == 0)
				length = 0;
		sides->paths[sides->count++] = path;
		if (length == 0) {
			message("diff: \"%s\": %s", list,
			    path[0] == '\0' ? "a name is missing beside a comma"
					    : "standard input is one trace only");
			return -EINVAL;
		}
		at += length;
		if (*at == '\0')
			return 0;
	}
}

static void free_sides(struct sides *sides)
{
	for (size_t i = 0; i < sides->count; i++)
		free(sides->paths[i]);
	free(sides->paths);
}

/* Says in what the runs were recorded differently, where numbers depend on it. */
static void warn_of_differences(const struct diff *diff)
{
	const struct diff_run *first = &diff->runs[0];
	for (size_t i = 1; i < diff->run_count; i++) {
		const struct diff_run *run = &diff->runs[i];
		const char *what = run->mode != first->mode		    ? "mode"
				   : run->capture != first->capture	    ? "capture"
				   : run->page_size != first->page_size	    ? "page size"
				   : run->granularity != first->granularity ? "granularity"
									    : NULL;
		if (what)
			message("warning: \"%s\" and \"%s\" were recorded with another %s: they "
				"compare badly",
			    trace_request_name(first->path), trace_request_name(run->path), what);
	}
}

/* Says what came of the conditions. 1 when one failed, 0, or -ENOMEM. */
static int judge(const struct diff_output *output)
{
	int failed = 0;
	for (size_t i = 0; i < output->condition_count; i++) {
		const struct diff_verdict *verdict = &output->verdicts[i];
		char *text = diff_describe(output, i);
		if (!text)
			return -ENOMEM;
		failed |= verdict->failed;
		if (verdict->failed)
			message("diff: failed: %s", text);
		else if (verdict->exceeded)
			message("diff: warning: exceeded, but that may be chance: %s", text);
		else if (verdict->row_count == 0)
			message("diff: warning: --fail-if=%s: neither side has any such",
			    output->conditions[i].text);
		free(text);
	}
	return failed;
}

/* 1 when a condition failed, 0, or -ENOMEM. */
static int print(const struct diff *diff, const struct own *own)
{
	struct diff_verdict *verdicts = calloc(own->condition_count + 1, sizeof(*verdicts));
	struct diff_output output = {
	    .diff = diff,
	    .conditions = own->conditions,
	    .verdicts = verdicts,
	    .condition_count = own->condition_count,
	    .limit = own->limit,
	    .has_p = diff->old_count > 1 && diff->run_count - diff->old_count > 1,
	};
	int result = verdicts ? 0 : -ENOMEM;
	for (size_t i = 0; result == 0 && i < own->condition_count; i++)
		result = diff_condition_check(
		    &own->conditions[i], diff, own->significance, &verdicts[i]);
	if (result == 0)
		result = own->json	 ? diff_print_json(&output)
			 : own->markdown ? diff_print_markdown(&output)
					 : diff_print_text(&output);
	if (result == 0)
		result = judge(&output);
	free(verdicts);
	return result;
}

static int compare(const struct sides *sides, const struct filter *filter, const struct own *own)
{
	struct diff *diff = diff_create(sides->old_count, sides->count - sides->old_count);
	int result = diff ? 0 : -ENOMEM;
	bool told = false;
	for (size_t i = 0; result == 0 && i < sides->count; i++) {
		result = diff_add(diff, sides->paths[i], filter);
		told = result < 0;
	}
	if (result == 0) {
		warn_of_differences(diff);
		diff_finish(diff);
		result = print(diff, own);
	}
	if (result == -ENOMEM && !told)
		message("diff: out of memory");
	diff_destroy(diff);
	if (result < 0 || finish_output() != STATUS_OK)
		return STATUS_FAILED;
	return result > 0 ? STATUS_GREW : STATUS_OK;
}

static int run_diff(const struct command *command, int argc, char **argv)
{
	struct own own = {.significance = DEFAULT_SIGNIFICANCE, .limit = DEFAULT_LIMIT};
	struct sides sides = {0};
	struct trace_request request = {
	    .least = 2, .most = 2, .option = take_option, .context = &own};
	int status = trace_request_read(&request, command, argc, argv);
	if (status < 0) {
		int result = add_side(&sides, request.traces[0]);
		sides.old_count = sides.count;
		if (result == 0)
			result = add_side(&sides, request.traces[1]);
		if (result == 0)
			status = compare(&sides, request.filter, &own);
		else
			status = result == -ENOMEM ? STATUS_FAILED : command->usage_status;
	}
	free_sides(&sides);
	free(own.conditions);
	trace_request_free(&request);
	return status;
}

const struct command diff_command = {
    .name = "diff",
    .operands = "OLD NEW",
    .summary = "what grew and shrank between two traces",
    .details = "OLD and NEW are each a trace, or several with commas between: runs of the same\n"
	       "program, whose means are compared. A trace is a file, plain or zstd; one may be\n"
	       "-, standard input. Code is matched by function and module, not by address: the\n"
	       "names are those in the traces, as with report --no-lines.\n"
	       "\n"
	       "With several runs a side, p is how likely such a difference is by chance\n"
	       "(Welch's t-test).\n"
	       "\n"
	       "Conditions are touched, peak, reserved, faults, site:GLOB, alloc:GLOB or\n"
	       "source:GLOB; then >+ and how much: percent (5%), bytes (512K, 1M, 2G) or faults.\n"
	       "GLOB names functions, or sources; what matches is added up. --fail-if may be\n"
	       "given several times.\n"
	       "\n"
	       "Exit status: 0; 1 when a trace cannot be read; 2 for wrong usage; 3 when a\n"
	       "condition of --fail-if is met.\n",
    .options = diff_options,
    .groups = groups,
    .operand = OPERAND_TRACE,
    .usage_status = STATUS_USAGE,
    .run = run_diff,
};
