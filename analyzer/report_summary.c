/* SPDX-License-Identifier: MIT */
/*
 * report_summary.c: what a report begins with: what ran, how long, and what it comes to.
 */
#include "report.h"

#include "table.h"
#include "utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1024.0 * 1024.0)

/* A line "name  value", cut to the width. */
static int print_fact(const char *name, const char *value)
{
	struct table table = {
	    .column_count = 2, .columns = {{name, COLUMN_NUMBER}, {"", COLUMN_NAME}}};
	/* the titles are the line: a table without rows */
	int result = table_add(&table, "%s", value);
	if (result == 0) {
		table.columns[1].title = table.cells[0];
		size_t cells = table.cell_count;
		table.cell_count = 0;
		table_print(&table, table_output_width());
		table.cell_count = cells;
	}
	table_free(&table);
	return result;
}

/* Does the environment (as setlocale(3) reads it) say that letters beyond ASCII can be shown? */
static bool shows_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);
		if (value && value[0] != '\0')
			return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
	}
	return false;
}

/*
 * How fast memory was touched over time: a letter for each piece of time, as many as the width has
 * room for. Pieces differ by one bucket, so that each is told as its mean.
 */
static void print_sparkline(const struct profile *profile)
{
	static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const ascii[] = {" ", ".", ":", "-", "=", "+", "*", "#", "@"};
	static const char name[] = "over time  ";
	const char *const *letters = shows_utf8() ? blocks : ascii;
	const struct profile_time *time = &profile->time;
	size_t count = table_output_width() - strlen(name), shown = 0;
	double means[PROFILE_MOST_BUCKETS], largest = 0;
	if (count > time->count)
		count = time->count;
	for (size_t i = 0; i < count; i++) {
		size_t first = i * time->count / count, end = (i + 1) * time->count / count;
		uint64_t bytes = 0;
		for (size_t bucket = first; bucket < end; bucket++)
			bytes += time->buckets[bucket].sum.bytes;
		means[i] = (double)bytes / (double)(end - first);
		largest = means[i] > largest ? means[i] : largest;
		shown = bytes > 0 ? i + 1 : shown;
	}
	if (shown == 0)
		return;
	printf("%s", name);
	for (size_t i = 0; i < shown; i++) {
		size_t level = (size_t)(means[i] / largest * 8 + 0.5);
		fputs(letters[means[i] > 0 && level == 0 ? 1 : level], stdout);
	}
	printf("\n");
}

struct counts {
	size_t threads, processes;
};

static struct counts count_kept(const struct profile *profile)
{
	struct counts counts = {0};
	for (size_t i = 0; i < profile->thread_room; i++)
		counts.threads += profile->threads[i].thread && profile->threads[i].thread->kept;
	for (size_t i = 0; i < profile->process_room; i++)
		counts.processes +=
		    profile->processes[i].process && profile->processes[i].process->kept;
	return counts;
}

static int compare_sources(const void *left, const void *right)
{
	const struct profile_source *a = left, *b = right;
	if (a->sum.bytes != b->sum.bytes)
		return a->sum.bytes < b->sum.bytes ? 1 : -1;
	if (a->reserved != b->reserved)
		return a->reserved < b->reserved ? 1 : -1;
	return strcmp(a->name, b->name);
}

/* A copy of the sources, most touched first; NULL without memory. */
static struct profile_source *sorted_sources(const struct profile *profile)
{
	struct profile_source *sources = calloc(profile->source_count + 1, sizeof(*sources));
	if (!sources)
		return NULL;
	for (size_t i = 0; i < profile->source_count; i++)
		sources[i] = profile->sources[i];
	qsort(sources, profile->source_count, sizeof(*sources), compare_sources);
	return sources;
}

static int print_sources(const struct profile *profile)
{
	struct table table = {
	    .column_count = 6,
	    .columns = {{"MiB", COLUMN_NUMBER}, {"%", COLUMN_NUMBER}, {"faults", COLUMN_NUMBER},
		{"reserved", COLUMN_NUMBER}, {"regions", COLUMN_NUMBER}, {"source", COLUMN_NAME}},
	};
	struct profile_source *sources = sorted_sources(profile);
	int result = sources ? 0 : -ENOMEM;
	for (size_t i = 0; result == 0 && i < profile->source_count; i++) {
		const struct profile_source *source = &sources[i];
		double all = (double)profile->sum.bytes;
		if (table_add(&table, "%.2f", (double)source->sum.bytes / MIB) < 0 ||
		    table_add(&table, "%.1f",
			all > 0 ? 100 * (double)source->sum.bytes / all : 0.0) < 0 ||
		    table_add(&table, "%llu", (unsigned long long)source->sum.faults) < 0 ||
		    table_add(&table, "%.2f", (double)source->reserved / MIB) < 0 ||
		    table_add(&table, "%llu", (unsigned long long)source->regions) < 0 ||
		    table_add(&table, "%s", source->name) < 0)
			result = -ENOMEM;
	}
	if (result == 0 && profile->source_count > 0) {
		printf("\n");
		table_print(&table, table_output_width());
	}
	table_free(&table);
	free(sources);
	return result;
}

static const char *plural(size_t count, const char *many)
{
	return count == 1 ? "" : many;
}

static void print_totals(const struct profile *profile)
{
	struct counts counts = count_kept(profile);
	printf("\n%10.2f MiB in %llu faults, %.2f s\n", (double)profile->sum.bytes / MIB,
	    (unsigned long long)profile->sum.faults, (double)profile->duration_ns / 1e9);
	printf("%10.2f MiB at once at most, after %.2f s\n", (double)profile->peak_bytes / MIB,
	    (double)profile->peak_ns / 1e9);
	printf("%10zu thread%s in %zu process%s\n", counts.threads, plural(counts.threads, "s"),
	    counts.processes, plural(counts.processes, "es"));
	printf("%10llu lost\n", (unsigned long long)profile->lost);
}

int report_summary_print(const struct report *report)
{
	const struct profile *profile = report->profile;
	const struct trace_session *session = trace_session_of(profile->trace);
	char text[512];
	int result = print_fact("command  ", session->command);
	if (result == 0)
		result = print_fact("trace    ", report->name);
	snprintf(text, sizeof(text), "%s, Linux %s, %s", session->time, session->kernel,
	    session->machine);
	if (result == 0)
		result = print_fact("recorded ", text);
	snprintf(text, sizeof(text), "%s, stacks by %s", session->mode, session->capture);
	if (result == 0)
		result = print_fact("mode     ", text);
	print_sparkline(profile);
	print_totals(profile);
	for (size_t i = 0; result == 0 && i < profile->loss_count; i++) {
		const struct profile_loss *loss = &profile->losses[i];
		snprintf(text, sizeof(text), "%llu %s: %s", (unsigned long long)loss->count,
		    loss->what, loss->why);
		result = print_fact("   lost", text);
	}
	return result == 0 ? print_sources(profile) : result;
}

/* Takes the item over. */
static int append(json_t *array, json_t *item)
{
	return json_array_append_new(array, item) < 0 ? -ENOMEM : 0;
}

static int add_sources(json_t *array, const struct profile *profile)
{
	struct profile_source *sources = sorted_sources(profile);
	int result = sources ? 0 : -ENOMEM;
	for (size_t i = 0; result == 0 && i < profile->source_count; i++) {
		const struct profile_source *source = &sources[i];
		result = append(array,
		    json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "source", source->name,
			"bytes", (json_int_t)source->sum.bytes, "faults",
			(json_int_t)source->sum.faults, "reads", (json_int_t)source->sum.reads,
			"writes", (json_int_t)source->sum.writes, "reserved_bytes",
			(json_int_t)source->reserved, "regions", (json_int_t)source->regions));
	}
	free(sources);
	return result;
}

static int add_losses(json_t *array, const struct profile *profile)
{
	int result = 0;
	for (size_t i = 0; result == 0 && i < profile->loss_count; i++) {
		const struct profile_loss *loss = &profile->losses[i];
		result = append(array, json_pack("{s:s, s:I, s:s}", "what", loss->what, "count",
					   (json_int_t)loss->count, "why", loss->why));
	}
	return result;
}

static json_t *trace_json(const struct report *report)
{
	const struct trace *trace = report->profile->trace;
	const struct trace_session *session = trace_session_of(trace);
	return json_pack("{s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:b}", "name",
	    utf8_json(report->name), "command", session->command, "time", session->time, "kernel",
	    session->kernel, "machine", session->machine, "mode", session->mode, "capture",
	    session->capture, "page_size", (json_int_t)session->page_size, "granularity",
	    (json_int_t)session->granularity, "complete", !trace_is_cut(trace));
}

static json_t *totals_json(const struct profile *profile)
{
	struct counts counts = count_kept(profile);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "faults",
	    (json_int_t)profile->sum.faults, "bytes", (json_int_t)profile->sum.bytes, "reads",
	    (json_int_t)profile->sum.reads, "writes", (json_int_t)profile->sum.writes, "peak_bytes",
	    (json_int_t)profile->peak_bytes, "peak_ns", (json_int_t)profile->peak_ns, "threads",
	    (json_int_t)counts.threads, "processes", (json_int_t)counts.processes, "lost",
	    (json_int_t)profile->lost, "duration_ns", (json_int_t)profile->duration_ns);
}

int report_summary_json(const struct report *report, json_t *root)
{
	json_t *sources = json_array(), *losses = json_array();
	int result = sources && losses ? 0 : -ENOMEM;
	if (result == 0)
		result = add_sources(sources, report->profile);
	if (result == 0)
		result = add_losses(losses, report->profile);
	/* each takes its value over, NULL or not */
	if (json_object_set_new(root, "trace", trace_json(report)) < 0)
		result = -ENOMEM;
	if (json_object_set_new(root, "totals", totals_json(report->profile)) < 0)
		result = -ENOMEM;
	if (json_object_set_new(root, "lost", losses) < 0)
		result = -ENOMEM;
	if (json_object_set_new(root, "sources", sources) < 0)
		result = -ENOMEM;
	return result;
}
