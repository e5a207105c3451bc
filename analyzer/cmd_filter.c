/* SPDX-License-Identifier: MIT */
/*
 * cmd_filter.c: `faultline filter` cuts a trace down to what the filters keep: still a valid trace.
 */
#include "message.h"
#include "trace_output.h"
#include "trace_request.h"

#include <errno.h>

static const struct option_group *const groups[] = {&filter_options, NULL};

/* What was written, for the totals of the last line. */
struct totals {
	json_int_t faults, regions, stacks, processes, lost;
};

static void count(struct totals *totals, const struct trace_event *event)
{
	totals->faults += event->type == TRACE_FAULT;
	totals->regions += event->type == TRACE_REGION;
	totals->stacks += event->type == TRACE_STACK;
	if (event->type == TRACE_LOST)
		totals->lost += (json_int_t)event->loss.count;
}

/* The session line says what it was filtered by, each time. */
static int write_session(
    struct trace_output *output, const struct filter *filter, const struct trace_event *event)
{
	json_t *line = json_loadb(event->text, event->text_size, 0, NULL);
	int result = line ? filter_note(filter, line) : -ENOMEM;
	if (result == 0)
		result = trace_output_json(output, line);
	else
		message("filter: out of memory");
	json_decref(line);
	return result;
}

static int write_end(
    struct trace_output *output, const struct totals *totals, const struct trace_event *event)
{
	json_t *line = json_loadb(event->text, event->text_size, 0, NULL);
	json_t *now = json_pack("{s:I, s:I, s:I, s:I, s:I}", "faults", totals->faults, "regions",
	    totals->regions, "stacks", totals->stacks, "lost", totals->lost, "processes",
	    totals->processes);
	int result = -ENOMEM;
	if (line && now && json_object_update(line, now) == 0)
		result = trace_output_json(output, line);
	else
		message("filter: out of memory");
	json_decref(line);
	json_decref(now);
	return result;
}

static json_int_t kept_processes(const struct trace *trace)
{
	json_int_t kept = 0;
	for (uint32_t i = 0; i < trace_process_count(trace); i++)
		kept += trace_process_at(trace, i)->kept;
	return kept;
}

/* 0, or negative errno after a message. */
static int copy(struct trace *trace, const struct filter *filter, struct trace_output *output)
{
	struct totals totals = {0};
	struct trace_event event;
	int result;
	while ((result = trace_next(trace, &event)) > 0) {
		count(&totals, &event);
		if (event.type == TRACE_SESSION) {
			result = write_session(output, filter, &event);
		} else if (event.type == TRACE_END) {
			totals.processes = kept_processes(trace);
			result = write_end(output, &totals, &event);
		} else {
			result = trace_output_line(output, event.text, event.text_size);
		}
		if (result < 0)
			return result;
	}
	if (result < 0)
		message("%s", trace_error(trace));
	return result;
}

/* 0, or negative errno after a message. */
static int filter_trace(const char *path, const struct filter *filter, const char *output_path)
{
	struct trace *trace = NULL;
	struct trace_output *output = NULL;
	int result = trace_open(&trace, path, filter, TRACE_KEEP_TEXT);
	if (result < 0)
		message("%s", trace_error(trace));
	if (result == 0)
		result = trace_output_open(&output, "filter", output_path);
	if (result == 0 && trace_output_is(output, path))
		result = -EINVAL;
	if (result == 0)
		result = copy(trace, filter, output);
	if (result == 0)
		trace_request_warn(trace, path);
	trace_close(trace);
	int late = trace_output_close(output);
	return result < 0 ? result : late;
}

static int run_filter(const struct command *command, int argc, char **argv)
{
	const char *output = NULL;
	struct trace_request request = {
	    .least = 1, .most = 1, .option = trace_output_option, .context = &output};
	int status = trace_request_read(&request, command, argc, argv);
	if (status < 0)
		status = filter_trace(request.traces[0], request.filter, output) < 0 ? STATUS_FAILED
										     : STATUS_OK;
	trace_request_free(&request);
	return status;
}

const struct command filter_command = {
    .name = "filter",
    .operands = "TRACE",
    .summary = "cut a trace down to what filters keep",
    .details = "TRACE is a file, plain or zstd, or - for standard input. What is written is a\n"
	       "trace again: with each fault that matches comes what it needs, its process,\n"
	       "thread, region, allocation and stack. A file that is there already is only\n"
	       "replaced when it is a trace.\n"
	       "\n"
	       "Exit status: 0; 1 when the trace cannot be read or written; 2 for wrong usage.\n",
    .options = trace_output_options,
    .groups = groups,
    .operand = OPERAND_TRACE,
    .usage_status = STATUS_USAGE,
    .run = run_filter,
};
