/* SPDX-License-Identifier: MIT */
/*
 * report_rows.c: finds lines and readable names for the places of a profile, and adds up those that
 * come to the same.
 */
#include "report.h"

#include "demangle.h"
#include "source_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare_text(const char *a, const char *b)
{
	if (!a || !b)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

static int compare_locations(const struct location *a, const struct location *b)
{
	int order = compare_text(a->function, b->function);
	if (order == 0)
		order = compare_text(a->module, b->module);
	if (order == 0)
		order = compare_text(a->file, b->file);
	if (order == 0)
		order = (a->line > b->line) - (a->line < b->line);
	/* with a line the offset is only one of many */
	if (order == 0 && !a->file)
		order = (a->offset > b->offset) - (a->offset < b->offset);
	return order;
}

static int locate(
    struct location *location, const struct trace_frame *frame, struct source_lines *lines)
{
	const char *file = NULL;
	*location = (struct location){0};
	if (!frame)
		return 0;
	location->offset = frame->offset;
	if (frame->file) {
		location->module = frame->file->path;
		if (!source_lines_find(lines, frame->file->path, frame->file->build_id,
			frame->offset, &file, &location->line) &&
		    frame->symbol)
			location->offset -= frame->symbol_offset;
	}
	if (file)
		location->file = strdup(file);
	if (frame->symbol)
		location->function = demangle(frame->symbol);
	if ((file && !location->file) || (frame->symbol && !location->function))
		return -ENOMEM;
	return 0;
}

static void free_location(struct location *location)
{
	free(location->function);
	free(location->file);
}

static int by_code(const void *left, const void *right)
{
	const struct code_row *a = left, *b = right;
	return compare_locations(&a->location, &b->location);
}

static int by_code_bytes(const void *left, const void *right)
{
	const struct code_row *a = left, *b = right;
	if (a->bytes != b->bytes)
		return a->bytes > b->bytes ? -1 : 1;
	if (a->faults != b->faults)
		return a->faults > b->faults ? -1 : 1;
	return by_code(left, right);
}

/* Adds what the stacks touched to the frames that name them, by index of frame. */
static int sum_frames(const struct profile *profile, struct profile_sum **sums,
    const struct trace_frame ***frames, size_t *count)
{
	*count = trace_frame_count(profile->trace);
	*sums = calloc(*count + 1, sizeof(**sums));
	*frames = calloc(*count + 1, sizeof(**frames));
	if (!*sums || !*frames)
		return -ENOMEM;
	for (uint32_t i = 0; i < trace_stack_count(profile->trace); i++) {
		const struct trace_stack *stack = trace_stack_at(profile->trace, i);
		const struct profile_sum *own = profile_of_stack(profile, stack);
		struct profile_sum *sum = &(*sums)[stack->site->index];
		(*frames)[stack->site->index] = stack->site;
		sum->faults += own->faults;
		sum->bytes += own->bytes;
		sum->reads += own->reads;
		sum->writes += own->writes;
	}
	/* the last one is for faults without a stack */
	(*sums)[(*count)++] = profile->no_stack;
	return 0;
}

static int add_code(struct report *report, const struct profile_sum *sum,
    const struct trace_frame *frame, struct source_lines *lines)
{
	if (sum->faults == 0)
		return 0;
	struct code_row *row = &report->code[report->code_count++];
	row->faults = sum->faults;
	row->bytes = sum->bytes;
	row->reads = sum->reads;
	row->writes = sum->writes;
	return locate(&row->location, frame, lines);
}

static int make_code(struct report *report, struct source_lines *lines)
{
	struct profile_sum *sums = NULL;
	const struct trace_frame **frames = NULL;
	size_t count = 0, kept = 0;
	int result = sum_frames(report->profile, &sums, &frames, &count);
	report->code = calloc(count + 1, sizeof(*report->code));
	if (!report->code)
		result = -ENOMEM;
	for (size_t i = 0; i < count && result == 0; i++)
		result = add_code(report, &sums[i], frames[i], lines);
	free(sums);
	free(frames);
	if (result < 0)
		return result;
	count = report->code_count;
	qsort(report->code, count, sizeof(*report->code), by_code);
	for (size_t i = 0; i < count; i++) {
		struct code_row *row = &report->code[i], *last = &report->code[kept];
		if (kept == 0 || by_code(last - 1, row) != 0) {
			*last = *row;
			kept++;
			continue;
		}
		last--;
		last->faults += row->faults;
		last->bytes += row->bytes;
		last->reads += row->reads;
		last->writes += row->writes;
		free_location(&row->location);
	}
	report->code_count = kept;
	qsort(report->code, kept, sizeof(*report->code), by_code_bytes);
	return 0;
}

static int by_memory(const void *left, const void *right)
{
	const struct memory_row *a = left, *b = right;
	int order = compare_locations(&a->location, &b->location);
	return order != 0 ? order : strcmp(a->source, b->source);
}

static int by_memory_bytes(const void *left, const void *right)
{
	const struct memory_row *a = left, *b = right;
	if (a->reserved != b->reserved)
		return a->reserved > b->reserved ? -1 : 1;
	if (a->touched != b->touched)
		return a->touched > b->touched ? -1 : 1;
	return by_memory(left, right);
}

/* A mapping that malloc made for one allocation is told as that allocation. */
static bool told_as_allocation(const struct profile_origin *origin, const bool *allocates)
{
	return strcmp(origin->source, "malloc-mmap") == 0 && origin->stack &&
	       allocates[origin->stack->site->index];
}

static int make_memory(struct report *report, struct source_lines *lines)
{
	const struct profile *profile = report->profile;
	bool *allocates = calloc(trace_frame_count(profile->trace) + 1, sizeof(*allocates));
	report->memory = calloc(profile->origin_count + 1, sizeof(*report->memory));
	int result = allocates && report->memory ? 0 : -ENOMEM;
	for (size_t i = 0; result == 0 && i < profile->origin_count; i++) {
		const struct profile_origin *origin = profile->origins[i];
		if (origin->is_allocation && origin->stack)
			allocates[origin->stack->site->index] = true;
	}
	for (size_t i = 0; result == 0 && i < profile->origin_count; i++) {
		const struct profile_origin *origin = profile->origins[i];
		if (told_as_allocation(origin, allocates))
			continue;
		struct memory_row *row = &report->memory[report->memory_count++];
		row->source = origin->source;
		row->count = origin->count;
		row->reserved = origin->reserved;
		row->touched = origin->touched;
		row->peak = origin->peak;
		result = locate(&row->location, origin->stack ? origin->stack->site : NULL, lines);
	}
	free(allocates);
	if (result < 0)
		return result;
	size_t count = report->memory_count;
	qsort(report->memory, count, sizeof(*report->memory), by_memory);
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		struct memory_row *row = &report->memory[i], *last = &report->memory[kept];
		if (kept == 0 || by_memory(last - 1, row) != 0) {
			*last = *row;
			kept++;
			continue;
		}
		last--;
		last->count += row->count;
		last->reserved += row->reserved;
		last->touched += row->touched;
		last->peak += row->peak;
		free_location(&row->location);
	}
	report->memory_count = kept;
	qsort(report->memory, kept, sizeof(*report->memory), by_memory_bytes);
	return 0;
}

static int by_thread_bytes(const void *left, const void *right)
{
	const struct profile_thread *a = *(const struct profile_thread *const *)left;
	const struct profile_thread *b = *(const struct profile_thread *const *)right;
	if (a->sum.bytes != b->sum.bytes)
		return a->sum.bytes > b->sum.bytes ? -1 : 1;
	if (a->thread->process->pid != b->thread->process->pid)
		return a->thread->process->pid < b->thread->process->pid ? -1 : 1;
	return (a->thread->tid > b->thread->tid) - (a->thread->tid < b->thread->tid);
}

static int make_threads(struct report *report)
{
	const struct profile *profile = report->profile;
	report->threads = calloc(profile->thread_room + 1, sizeof(*report->threads));
	if (!report->threads)
		return -ENOMEM;
	for (size_t i = 0; i < profile->thread_room; i++)
		if (profile->threads[i].thread && profile->threads[i].thread->kept)
			report->threads[report->thread_count++] = &profile->threads[i];
	for (size_t i = 0; i < profile->process_room; i++)
		report->process_count +=
		    profile->processes[i].process && profile->processes[i].process->kept;
	qsort(report->threads, report->thread_count, sizeof(*report->threads), by_thread_bytes);
	return 0;
}

int report_make(struct report *report, const struct profile *profile)
{
	*report = (struct report){.profile = profile};
	struct source_lines *lines = source_lines_create();
	int result = lines ? 0 : -ENOMEM;
	if (result == 0)
		result = make_code(report, lines);
	if (result == 0)
		result = make_memory(report, lines);
	if (result == 0)
		result = make_threads(report);
	source_lines_destroy(lines);
	if (result < 0)
		report_free(report);
	return result;
}

void report_free(struct report *report)
{
	for (size_t i = 0; i < report->code_count; i++)
		free_location(&report->code[i].location);
	for (size_t i = 0; i < report->memory_count; i++)
		free_location(&report->memory[i].location);
	free(report->code);
	free(report->memory);
	free(report->threads);
	*report = (struct report){0};
}
