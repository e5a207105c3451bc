/* SPDX-License-Identifier: MIT */
/*
 * report_rows.c: finds lines and readable names for the places of a model, and adds up those that
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

static int locate(struct location *location, const struct place *place, struct source_lines *lines)
{
	const char *file = NULL;
	*location = (struct location){.offset = place->offset};
	if (place->file) {
		location->module = place->file->path;
		if (!source_lines_find(lines, place->file->path, place->file->build_id,
			place->offset, &file, &location->line) &&
		    place->symbol)
			location->offset -= place->symbol_offset;
	}
	if (file)
		location->file = strdup(file);
	if (place->symbol)
		location->function = demangle(place->symbol);
	if ((file && !location->file) || (place->symbol && !location->function))
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

static int make_code(struct report *report, struct source_lines *lines)
{
	size_t count = 0;
	for (const struct place *place = report->model->places; place; place = place->next)
		count += place->faults > 0;
	report->code = calloc(count + 1, sizeof(*report->code));
	if (!report->code)
		return -ENOMEM;
	for (const struct place *place = report->model->places; place; place = place->next) {
		if (place->faults == 0)
			continue;
		struct code_row *row = &report->code[report->code_count++];
		row->faults = place->faults;
		row->bytes = place->bytes;
		row->reads = place->reads;
		row->writes = place->writes;
		int result = locate(&row->location, place, lines);
		if (result < 0)
			return result;
	}
	qsort(report->code, count, sizeof(*report->code), by_code);
	size_t kept = 0;
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
static bool told_as_allocation(const struct trace_model *model, const struct origin *origin)
{
	if (strcmp(origin->source, "malloc-mmap") != 0)
		return false;
	for (const struct origin *other = model->origins; other; other = other->next)
		if (other->is_allocation && other->place == origin->place)
			return true;
	return false;
}

static int make_memory(struct report *report, struct source_lines *lines)
{
	size_t count = 0;
	for (const struct origin *origin = report->model->origins; origin; origin = origin->next)
		count++;
	report->memory = calloc(count + 1, sizeof(*report->memory));
	if (!report->memory)
		return -ENOMEM;
	for (const struct origin *origin = report->model->origins; origin; origin = origin->next) {
		if (told_as_allocation(report->model, origin))
			continue;
		struct memory_row *row = &report->memory[report->memory_count++];
		row->source = origin->source;
		row->count = origin->count;
		row->reserved = origin->reserved;
		row->touched = origin->touched;
		row->peak = origin->peak;
		int result = locate(&row->location, origin->place, lines);
		if (result < 0)
			return result;
	}
	count = report->memory_count;
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
	const struct trace_thread *a = *(const struct trace_thread *const *)left;
	const struct trace_thread *b = *(const struct trace_thread *const *)right;
	if (a->bytes != b->bytes)
		return a->bytes > b->bytes ? -1 : 1;
	if (a->pid != b->pid)
		return a->pid < b->pid ? -1 : 1;
	return (a->tid > b->tid) - (a->tid < b->tid);
}

static int make_threads(struct report *report)
{
	report->threads = calloc(report->model->thread_count + 1, sizeof(*report->threads));
	if (!report->threads)
		return -ENOMEM;
	for (const struct trace_thread *thread = report->model->threads; thread;
	     thread = thread->next)
		report->threads[report->thread_count++] = thread;
	qsort(report->threads, report->thread_count, sizeof(*report->threads), by_thread_bytes);
	return 0;
}

int report_make(struct report *report, const struct trace_model *model)
{
	*report = (struct report){.model = model};
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
