/* SPDX-License-Identifier: MIT */
/*
 * cmd_merge.c: `faultline merge` makes one trace of several: their events in the order of time,
 * each trace read once, side by side.
 */
#include "merge_rewrite.h"
#include "merge_session.h"
#include "message.h"
#include "trace_output.h"
#include "trace_request.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

/* The kernel's largest number of a process is 2^22 (PID_MAX_LIMIT): these are free for others. */
#define FIRST_FREE_PID ((4 << 20) + 1)

static const struct option_group *const groups[] = {&filter_options, NULL};

/* One of the traces. */
struct input {
	const char *path;
	struct trace *trace;
	struct merge_rewrite rewrite;
	struct trace_event event; /* the next one */
	bool has_event;
	int64_t time_ns;  /* the event's, by the common clock; never less than that before it */
	uint64_t unknown; /* lines that were left out */
};

/* Who has the number of a process, by the lines written so far. */
struct owner {
	size_t input;
	bool has_ended;
};

struct merge {
	struct input *inputs;
	size_t count;
	struct merge_session *session;
	struct trace_output *output;
	struct id_map owners; /* struct owner, owned */
	int64_t next_pid;
	struct merge_totals totals;
};

/* Reads the next event of a trace. 0, also at its end, or negative errno after a message. */
static int advance(struct input *input)
{
	int result = trace_next(input->trace, &input->event);
	if (result < 0)
		message("%s", trace_error(input->trace));
	input->has_event = result > 0;
	int64_t time_ns = input->event.time_ns;
	if (result > 0 &&
	    !__builtin_add_overflow(time_ns, trace_session_of(input->trace)->ts, &time_ns) &&
	    !__builtin_add_overflow(time_ns, input->rewrite.clock_ns, &time_ns) &&
	    time_ns > input->time_ns)
		input->time_ns = time_ns;
	return result < 0 ? result : 0;
}

/* The one whose event comes first; NULL when all have ended. */
static struct input *first_input(const struct merge *merge)
{
	struct input *first = NULL;
	for (size_t i = 0; i < merge->count; i++) {
		struct input *input = &merge->inputs[i];
		if (input->has_event && (!first || input->time_ns < first->time_ns))
			first = input;
	}
	return first;
}

/* The process that an event is about; NULL for none. */
static const struct trace_process *process_of(const struct trace_event *event)
{
	switch (event->type) {
	case TRACE_PROCESS:
		return event->process;
	case TRACE_THREAD:
		return event->thread->process;
	case TRACE_REGION:
		return event->region->process;
	case TRACE_ALLOC:
		return event->alloc->process;
	case TRACE_FAULT:
		return event->fault.thread->process;
	case TRACE_REGION_END:
	case TRACE_REMAP:
	case TRACE_REMOVE:
		return event->part.process;
	default:
		return NULL;
	}
}

/*
 * Sees to it that the number of a process is its own: of two that live at the same time in
 * different traces the second one gets another. 0 or -ENOMEM.
 */
static int claim_pid(struct merge *merge, size_t input, const struct trace_event *event,
    const struct trace_process *process)
{
	struct merge_rewrite *rewrite = &merge->inputs[input].rewrite;
	uint64_t pid = (uint64_t)process->pid;
	struct owner *owner = id_map_get(&merge->owners, pid);
	if (id_map_get(&rewrite->pids, pid))
		return 0;
	if (owner && owner->input != input && !owner->has_ended)
		return id_map_put(&rewrite->pids, pid, (void *)(uintptr_t)merge->next_pid++);
	if (!owner) {
		owner = calloc(1, sizeof(*owner));
		if (!owner || id_map_put(&merge->owners, pid, owner) < 0) {
			free(owner);
			return -ENOMEM;
		}
	}
	/* lines that come after an exit do not undo it */
	if (owner->input != input || event->type == TRACE_PROCESS)
		owner->has_ended = event->type == TRACE_PROCESS && process->ended_by[0] != '\0';
	owner->input = input;
	return 0;
}

static int write_event(struct merge *merge, struct input *input)
{
	const struct trace_event *event = &input->event;
	const struct trace_process *process = process_of(event);
	if (!merge_rewrite_knows(event)) {
		input->unknown++;
		return 0;
	}
	/* the merged trace has one first line and one last */
	if (event->type == TRACE_SESSION)
		return 0;
	merge_totals_add(&merge->totals, event);
	if (event->type == TRACE_END) {
		merge_totals_end(&merge->totals, input->trace, event, input->rewrite.clock_ns);
		return 0;
	}
	if (process && claim_pid(merge, (size_t)(input - merge->inputs), event, process) < 0) {
		message("merge: out of memory");
		return -ENOMEM;
	}
	int result = merge_rewrite_event(&input->rewrite, event, merge->output);
	if (result == -ERANGE) {
		trace_refuse(input->trace, "numbers so large that they leave no room for others");
		message("%s", trace_error(input->trace));
	}
	return result;
}

static int write_all(struct merge *merge)
{
	int result = merge_session_write(merge->session, merge->output);
	for (size_t i = 0; result == 0 && i < merge->count; i++) {
		merge->inputs[i].rewrite = (struct merge_rewrite){
		    .trace_count = (int64_t)merge->count,
		    .index = (int64_t)i,
		    .clock_ns = merge_session_clock(merge->session, i),
		};
		merge->inputs[i].time_ns = INT64_MIN;
		result = advance(&merge->inputs[i]);
	}
	for (struct input *input; result == 0 && (input = first_input(merge));) {
		result = write_event(merge, input);
		if (result == 0)
			result = advance(input);
	}
	if (result == 0 && merge->totals.ended == merge->count)
		result = merge_totals_write(&merge->totals, merge->session, merge->output);
	return result;
}

/* Opens the traces and puts their first lines together. 0 or negative errno after a message. */
static int open_all(struct merge *merge, const struct trace_request *request)
{
	for (size_t i = 0; i < merge->count; i++) {
		struct input *input = &merge->inputs[i];
		input->path = request->traces[i];
		int result =
		    trace_open(&input->trace, input->path, request->filter, TRACE_KEEP_TEXT);
		if (result < 0) {
			message("%s", trace_error(input->trace));
			return result;
		}
		if (trace_output_is(merge->output, input->path))
			return -EINVAL;
		result = merge_session_add(merge->session, input->trace, input->path);
		if (result < 0)
			return result;
	}
	return merge_session_finish(merge->session, request->filter);
}

static void warn(const struct input *input)
{
	trace_request_warn(input->trace, input->path);
	if (input->unknown > 0)
		message("warning: %llu lines of \"%s\" were left out: this faultline does not know "
			"their types",
		    (unsigned long long)input->unknown, trace_request_name(input->path));
}

static int merge_traces(const struct trace_request *request, const char *output)
{
	struct merge merge = {.count = request->trace_count, .next_pid = FIRST_FREE_PID};
	merge.inputs = calloc(merge.count, sizeof(*merge.inputs));
	merge.session = merge_session_create();
	int result = merge.inputs && merge.session ? 0 : -ENOMEM;
	if (result < 0)
		message("merge: out of memory");
	if (result == 0)
		result = trace_output_open(&merge.output, "merge", output);
	if (result == 0)
		result = open_all(&merge, request);
	if (result == 0)
		result = write_all(&merge);
	for (size_t i = 0; merge.inputs && i < merge.count; i++) {
		if (result == 0)
			warn(&merge.inputs[i]);
		id_map_clear(&merge.inputs[i].rewrite.pids, NULL);
		trace_close(merge.inputs[i].trace);
	}
	free(merge.inputs);
	merge_session_destroy(merge.session);
	id_map_clear(&merge.owners, free);
	int late = trace_output_close(merge.output);
	return result < 0 ? result : late;
}

static int run_merge(const struct command *command, int argc, char **argv)
{
	const char *output = NULL;
	struct trace_request request = {
	    .least = 2, .most = SIZE_MAX, .option = trace_output_option, .context = &output};
	int status = trace_request_read(&request, command, argc, argv);
	if (status < 0)
		status = merge_traces(&request, output) < 0 ? STATUS_FAILED : STATUS_OK;
	trace_request_free(&request);
	return status;
}

const struct command merge_command = {
    .name = "merge",
    .operands = "TRACE TRACE...",
    .summary = "make one trace of several",
    .details = "Each TRACE is a file, plain or zstd; one may be -, standard input. Events come\n"
	       "in the order of time. Traces of one machine, recorded since it was started,\n"
	       "have the same clock; those of others are put in their place by the calendar, to\n"
	       "the second. Of two processes with the same number that lived at the same time\n"
	       "one gets another number; its own is told as ns_pid.\n"
	       "\n"
	       "Filters are applied to each trace. A file that is there already is only replaced\n"
	       "when it is a trace.\n"
	       "\n"
	       "Exit status: 0; 1 when a trace cannot be read or written; 2 for wrong usage.\n",
    .options = trace_output_options,
    .groups = groups,
    .operand = OPERAND_TRACE,
    .usage_status = STATUS_USAGE,
    .run = run_merge,
};
