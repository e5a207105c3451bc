/* SPDX-License-Identifier: MIT */
/*
 * diff.c: takes the numbers of each trace from the sections of its report, whose rows have cells by
 * key, and puts them beside those of the others. Only texts are kept of a trace that was read.
 */
#include "diff.h"

#include "diff_names.h"
#include "hash.h"
#include "message.h"
#include "report.h"
#include "trace_request.h"
#include "welch.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

const struct diff_list_kind diff_list_kinds[DIFF_LISTS] = {
    [DIFF_TOTAL] = {.key = "totals",
	.measures = {{"bytes", "touched", DIFF_BYTES}, {"peak_bytes", "at once", DIFF_BYTES},
	    {"reserved_bytes", "reserved", DIFF_BYTES}, {"faults", "faults", DIFF_COUNT},
	    {"duration_ns", "seconds", DIFF_NS}, {"lost", "lost", DIFF_COUNT}},
	.measure_count = 6},
    [DIFF_SOURCE] = {.key = "sources",
	.title = "Touched by source",
	.measures = {{"bytes", "touched", DIFF_BYTES}, {"faults", "faults", DIFF_COUNT},
	    {"reserved_bytes", "reserved", DIFF_BYTES}, {"regions", "regions", DIFF_COUNT}},
	.measure_count = 4},
    [DIFF_SITE] = {.key = "site",
	.title = "Code that touched more or less",
	.measures = {{"bytes", "touched", DIFF_BYTES}, {"faults", "faults", DIFF_COUNT}},
	.measure_count = 2},
    [DIFF_ALLOC] = {.key = "alloc",
	.title = "Memory by who asked for it",
	.measures = {{"reserved_bytes", "reserved", DIFF_BYTES},
	    {"touched_bytes", "touched", DIFF_BYTES}, {"untouched_bytes", "never", DIFF_BYTES},
	    {"count", "times", DIFF_COUNT}},
	.measure_count = 4},
};

struct diff *diff_create(size_t old_count, size_t new_count)
{
	struct diff *diff = calloc(1, sizeof(*diff));
	if (!diff)
		return NULL;
	diff->old_count = old_count;
	diff->run_count = old_count + new_count;
	diff->runs = calloc(diff->run_count, sizeof(*diff->runs));
	for (size_t i = 0; i < DIFF_LISTS; i++)
		diff->lists[i].kind = &diff_list_kinds[i];
	if (!diff->runs) {
		free(diff);
		return NULL;
	}
	return diff;
}

void diff_destroy(struct diff *diff)
{
	if (!diff)
		return;
	for (size_t i = 0; i < DIFF_LISTS; i++) {
		free(diff->lists[i].rows);
		hash_set_clear(&diff->lists[i].set);
	}
	string_table_clear(&diff->texts);
	arena_clear(&diff->arena);
	free(diff->runs);
	free(diff);
}

/* Takes the text over; of NULL NULL. False without memory. */
static bool keep_text(struct diff *diff, const char *text, const char **kept)
{
	int64_t number = text ? string_table_add(&diff->texts, text) : -1;
	*kept = number >= 0 ? diff->texts.texts[number] : NULL;
	return !text || number >= 0;
}

/* What names a row, as it is in every build. False without memory. */
static bool name_row(
    struct diff *diff, struct diff_row *key, const struct location *location, const char *source)
{
	char *function = NULL, *module = NULL;
	int length;
	if (location && location->function && !(function = strdup(location->function)))
		return false;
	if (location && location->module) {
		const char *name = diff_names_module(location->module, &length);
		module = strndup(name, (size_t)length);
	}
	if (function)
		diff_names_function(function);
	bool named = (module || !location || !location->module) &&
		     keep_text(diff, function, &key->function) &&
		     keep_text(diff, module, &key->module) && keep_text(diff, source, &key->source);
	free(function);
	free(module);
	return named;
}

static bool same_row(const void *item, const void *key)
{
	const struct diff_row *a = item, *b = key;
	return a->function == b->function && a->module == b->module && a->source == b->source;
}

/* The row of a place in code, of a source, or of both; NULL without memory. */
static struct diff_row *find_row(
    struct diff *diff, size_t list_index, const struct location *location, const char *source)
{
	struct diff_list *list = &diff->lists[list_index];
	struct diff_row key = {0};
	if (!name_row(diff, &key, location, source))
		return NULL;
	uint64_t hash = hash_pair(
	    (uintptr_t)key.function, hash_pair((uintptr_t)key.module, (uintptr_t)key.source));
	struct diff_row *row = hash_set_find(&list->set, hash, same_row, &key);
	if (row)
		return row;
	if (list->row_count == list->room) {
		size_t room = 2 * list->room + 64;
		struct diff_row **rows = reallocarray(list->rows, room, sizeof(struct diff_row *));
		if (!rows)
			return NULL;
		list->rows = rows;
		list->room = room;
	}
	row = arena_alloc(&diff->arena, sizeof(*row));
	size_t values = list->kind->measure_count * diff->run_count;
	if (!row || !(key.values = arena_alloc(&diff->arena, values * sizeof(*key.values))) ||
	    hash_set_add(&list->set, hash, row) < 0)
		return NULL;
	*row = key;
	list->rows[list->row_count++] = row;
	return row;
}

/* Adds a number of the run that is being read. */
static void add(const struct diff *diff, struct diff_row *row, size_t measure, uint64_t number)
{
	diff_values(diff, row, measure)[diff->added] += (double)number;
}

static int add_totals(struct diff *diff, const struct profile *profile)
{
	struct diff_row *row = find_row(diff, DIFF_TOTAL, NULL, NULL);
	uint64_t reserved = 0;
	if (!row)
		return -ENOMEM;
	for (size_t i = 0; i < profile->source_count; i++)
		reserved += profile->sources[i].reserved;
	/* in the order of the table above */
	const uint64_t numbers[] = {profile->sum.bytes, profile->peak_bytes, reserved,
	    profile->sum.faults, profile->duration_ns, profile->lost};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		add(diff, row, i, numbers[i]);
	return 0;
}

static int add_sources(struct diff *diff, const struct profile *profile)
{
	for (size_t i = 0; i < profile->source_count; i++) {
		const struct profile_source *source = &profile->sources[i];
		struct diff_row *row = find_row(diff, DIFF_SOURCE, NULL, source->name);
		if (!row)
			return -ENOMEM;
		const uint64_t numbers[] = {
		    source->sum.bytes, source->sum.faults, source->reserved, source->regions};
		for (size_t j = 0; j < sizeof(numbers) / sizeof(numbers[0]); j++)
			add(diff, row, j, numbers[j]);
	}
	return 0;
}

/* Adds one row of a report, by the keys of its columns. */
static int add_report_row(struct diff *diff, size_t list, const struct report_table *table,
    const struct report_row *cells)
{
	const struct report_table_kind *kind = table->kind;
	const struct location *location = NULL;
	const char *source = NULL;
	for (size_t i = 0; i < kind->column_count; i++) {
		if (kind->columns[i].kind == REPORT_FUNCTION ||
		    kind->columns[i].kind == REPORT_PLACE)
			location = cells->cells[i].location;
		else if (kind->columns[i].kind == REPORT_NAME)
			source = cells->cells[i].text;
	}
	struct diff_row *row = find_row(diff, list, location, source);
	if (!row)
		return -ENOMEM;
	const struct diff_list_kind *wanted = &diff_list_kinds[list];
	for (size_t i = 0; i < kind->column_count; i++)
		for (size_t j = 0; kind->columns[i].key && j < wanted->measure_count; j++)
			if (strcmp(kind->columns[i].key, wanted->measures[j].key) == 0)
				add(diff, row, j, cells->cells[i].number);
	return 0;
}

static int add_section(struct diff *diff, size_t list, const struct report_section *section,
    const struct report *report)
{
	struct report_table tables[REPORT_TABLES] = {{.kind = &section->tables[0]}};
	int result = section->fill(report, tables);
	for (size_t i = 0; result == 0 && i < tables[0].row_count; i++)
		result = add_report_row(diff, list, &tables[0], tables[0].rows[i]);
	report_table_free(&tables[0]);
	return result;
}

static int keep_session(struct diff *diff, const struct trace *trace, const char *path)
{
	const struct trace_session *session = trace_session_of(trace);
	struct diff_run *run = &diff->runs[diff->added];
	*run = (struct diff_run){
	    .path = path,
	    .page_size = session->page_size,
	    .granularity = session->granularity,
	    .is_cut = trace_is_cut(trace),
	};
	bool kept = keep_text(diff, session->command, &run->command) &&
		    keep_text(diff, session->time, &run->time) &&
		    keep_text(diff, session->mode, &run->mode) &&
		    keep_text(diff, session->capture, &run->capture);
	return kept ? 0 : -ENOMEM;
}

/* 0, -ENOMEM, or another negative errno: trace_error tells. */
static int read_trace(struct diff *diff, struct trace *trace, const char *path)
{
	/*
	 * Names come from the traces alone: what debug information is there today may belong to
	 * one side only, and names of inlined functions would then differ on that account.
	 */
	const struct location_request names = {.no_lines = true};
	const struct report_request request = {.limit = SIZE_MAX};
	struct profile *profile = profile_create(trace, 0);
	struct locations *locations = locations_create(&names);
	struct report report = {
	    .request = &request, .profile = profile, .locations = locations, .name = path};
	int result = profile && locations ? profile_read(profile, trace) : -ENOMEM;
	if (result == 0)
		result = keep_session(diff, trace, path);
	if (result == 0)
		result = add_totals(diff, profile);
	if (result == 0)
		result = add_sources(diff, profile);
	if (result == 0)
		result = add_section(diff, DIFF_SITE, &report_site, &report);
	if (result == 0)
		result = add_section(diff, DIFF_ALLOC, &report_alloc, &report);
	locations_destroy(locations);
	profile_destroy(profile);
	return result;
}

int diff_add(struct diff *diff, const char *path, const struct filter *filter)
{
	struct trace *trace = NULL;
	int result = trace_open(&trace, path, filter, 0);
	if (result == 0)
		result = read_trace(diff, trace, path);
	if (result == -ENOMEM)
		message("diff: out of memory");
	else if (result < 0)
		message("%s", trace_error(trace));
	if (result == 0) {
		trace_request_warn(trace, path);
		diff->added++;
	}
	trace_close(trace);
	return result;
}

struct diff_change diff_compare(const struct diff *diff, const double *values)
{
	const double *new = values + diff->old_count;
	size_t new_count = diff->run_count - diff->old_count;
	return (struct diff_change){
	    .old_mean = welch_mean(values, diff->old_count),
	    .new_mean = welch_mean(new, new_count),
	    .p = welch_p(values, diff->old_count, new, new_count),
	};
}

/* The largest change of its bytes. */
static double weight_of(const struct diff_list *list, const struct diff_row *row)
{
	double weight = 0;
	for (size_t i = 0; i < list->kind->measure_count; i++) {
		const struct diff_change *change = &row->changes[i];
		double size = fabs(change->new_mean - change->old_mean);
		if (list->kind->measures[i].unit == DIFF_BYTES && weight < size)
			weight = size;
	}
	return weight;
}

static int compare_texts(const char *a, const char *b)
{
	if (!a || !b)
		return (a == NULL) - (b == NULL);
	return strcmp(a, b);
}

static int compare_rows(const void *left, const void *right, void *context)
{
	const struct diff_row *a = *(const struct diff_row *const *)left;
	const struct diff_row *b = *(const struct diff_row *const *)right;
	double x = weight_of(context, a), y = weight_of(context, b);
	int order = (x < y) - (x > y);
	if (order == 0)
		order = compare_texts(a->function, b->function);
	if (order == 0)
		order = compare_texts(a->module, b->module);
	return order != 0 ? order : compare_texts(a->source, b->source);
}

void diff_finish(struct diff *diff)
{
	for (size_t i = 0; i < DIFF_LISTS; i++) {
		struct diff_list *list = &diff->lists[i];
		for (size_t j = 0; j < list->row_count; j++)
			for (size_t k = 0; k < list->kind->measure_count; k++)
				list->rows[j]->changes[k] =
				    diff_compare(diff, diff_values(diff, list->rows[j], k));
		if (list->row_count > 0)
			qsort_r(list->rows, list->row_count, sizeof(struct diff_row *),
			    compare_rows, list);
	}
}

bool diff_has_changed(const struct diff_list *list, const struct diff_row *row)
{
	bool changed = false;
	for (size_t i = 0; i < list->kind->measure_count; i++) {
		const struct diff_change *change = &row->changes[i];
		changed |=
		    change->old_mean < change->new_mean || change->old_mean > change->new_mean;
	}
	return changed;
}
