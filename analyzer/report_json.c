/* SPDX-License-Identifier: MIT */
/*
 * report_json.c: the report as one JSON object: the same content, sizes in bytes.
 */
#include "report.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

/* Appends to the array and takes the item over; NULL items stand for lack of memory. */
static int append(json_t *array, json_t *item)
{
	return json_array_append_new(array, item) < 0 ? -ENOMEM : 0;
}

/* Adds the location's keys; what is not known is left out. */
static int set_location(json_t *row, const struct location *location)
{
	char offset[32];
	snprintf(offset, sizeof(offset), "0x%llx", (unsigned long long)location->offset);
	json_t *keys = json_pack("{s:s*, s:s*, s:s*, s:s*}", "function", location->function,
	    "module", location->module, "offset", location->module ? offset : NULL, "file",
	    location->file);
	int result = keys ? json_object_update(row, keys) : -1;
	if (result == 0 && location->file)
		result = json_object_set_new(row, "line", json_integer(location->line));
	json_decref(keys);
	return result < 0 ? -ENOMEM : 0;
}

static int add_code(json_t *array, const struct report *report, size_t top)
{
	for (size_t i = 0; i < report->code_count && i < top; i++) {
		const struct code_row *row = &report->code[i];
		json_t *item = json_pack("{s:I, s:I, s:I, s:I}", "bytes", (json_int_t)row->bytes,
		    "faults", (json_int_t)row->faults, "reads", (json_int_t)row->reads, "writes",
		    (json_int_t)row->writes);
		if (append(array, item) < 0 || set_location(item, &row->location) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_memory(json_t *array, const struct report *report, size_t top)
{
	for (size_t i = 0; i < report->memory_count && i < top; i++) {
		const struct memory_row *row = &report->memory[i];
		json_t *item = json_pack("{s:s, s:I, s:I, s:I, s:I}", "source", row->source,
		    "count", (json_int_t)row->count, "reserved_bytes", (json_int_t)row->reserved,
		    "touched_bytes", (json_int_t)row->touched, "peak_bytes", (json_int_t)row->peak);
		if (append(array, item) < 0 || set_location(item, &row->location) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_threads(json_t *array, const struct report *report, size_t top)
{
	for (size_t i = 0; i < report->thread_count && i < top; i++) {
		const struct profile_thread *thread = report->threads[i];
		json_t *item = json_pack("{s:I, s:I, s:s, s:I, s:I}", "pid",
		    (json_int_t)thread->thread->process->pid, "tid",
		    (json_int_t)thread->thread->tid, "name", thread->thread->name, "faults",
		    (json_int_t)thread->sum.faults, "bytes", (json_int_t)thread->sum.bytes);
		if (append(array, item) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_losses(json_t *array, const struct profile *profile)
{
	for (size_t i = 0; i < profile->loss_count; i++) {
		const struct profile_loss *loss = &profile->losses[i];
		json_t *item = json_pack("{s:s, s:I, s:s}", "what", loss->what, "count",
		    (json_int_t)loss->count, "why", loss->why);
		if (append(array, item) < 0)
			return -ENOMEM;
	}
	return 0;
}

int report_json(const struct report *report, const char *name, size_t top)
{
	const struct profile *profile = report->profile;
	const struct trace_session *session = trace_session_of(profile->trace);
	json_t *code = json_array(), *memory = json_array();
	json_t *threads = json_array(), *losses = json_array();
	int result = code && memory && threads && losses ? 0 : -ENOMEM;
	if (result == 0)
		result = add_code(code, report, top);
	if (result == 0)
		result = add_memory(memory, report, top);
	if (result == 0)
		result = add_threads(threads, report, top);
	if (result == 0)
		result = add_losses(losses, profile);
	json_t *trace = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:b}", "name",
	    name, "command", session->command, "time", session->time, "kernel", session->kernel,
	    "machine", session->machine, "mode", session->mode, "capture", session->capture,
	    "page_size", (json_int_t)session->page_size, "granularity",
	    (json_int_t)session->granularity, "complete", !trace_is_cut(profile->trace));
	json_t *totals = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "faults",
	    (json_int_t)profile->sum.faults, "bytes", (json_int_t)profile->sum.bytes, "threads",
	    (json_int_t)report->thread_count, "processes", (json_int_t)report->process_count,
	    "lost", (json_int_t)profile->lost, "duration_ns", (json_int_t)profile->duration_ns);
	/* O does not steal: one way to free, whatever failed */
	json_t *root = json_pack("{s:O, s:O, s:O, s:O, s:O, s:O}", "trace", trace, "totals", totals,
	    "lost", losses, "code", code, "memory", memory, "threads", threads);
	if (result == 0 && root && json_dumpf(root, stdout, JSON_INDENT(2)) == 0)
		printf("\n");
	else
		result = -ENOMEM;
	json_decref(root);
	json_decref(trace);
	json_decref(totals);
	json_decref(losses);
	json_decref(code);
	json_decref(memory);
	json_decref(threads);
	return result;
}
