/* SPDX-License-Identifier: MIT */
/*
 * page.c: the data of the page as one JSON object. Tables are columns, which are shorter than rows;
 * model.js reads them. Times and page numbers of rows are told as differences to the row before.
 */
#include "page.h"

#include "packed.h"

#include "../export_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NAME_LIMIT 200 /* bytes of a name: longer ones lose their middle */

/* The assembled page, of which PAGE_DATA is replaced. */
#define PAGE_DATA "@data@"
__asm__(".section .rodata\n"
	".global page_text\n"
	"page_text: .incbin \"" PAGE_FILE "\"\n"
	".byte 0\n"
	".previous\n");
extern const char page_text[];

struct writer {
	FILE *out;
	bool comma;	    /* something stands before, on this level */
	uint64_t cut_names; /* lost their middle */
};

static void put_key(struct writer *writer, const char *key)
{
	fprintf(writer->out, "%s\n\"%s\":", writer->comma ? "," : "", key);
	writer->comma = true;
}

static void open_object(struct writer *writer, const char *key)
{
	put_key(writer, key);
	putc('{', writer->out);
	writer->comma = false;
}

static void close_object(struct writer *writer)
{
	putc('}', writer->out);
	writer->comma = true;
}

static void put_number(struct writer *writer, const char *key, uint64_t value)
{
	put_key(writer, key);
	fprintf(writer->out, "%" PRIu64, value);
}

/* How many bytes of the text are whole characters, of at most `limit`. */
static size_t whole_characters(const char *text, size_t limit)
{
	while (limit > 0 && ((unsigned char)text[limit] & 0xc0) == 0x80)
		limit--;
	return limit;
}

static void put_text(struct writer *writer, const char *text)
{
	char cut[NAME_LIMIT + 8];
	size_t size = strlen(text);
	if (size > NAME_LIMIT) {
		size_t head = whole_characters(text, NAME_LIMIT / 2);
		const char *tail = text + size - NAME_LIMIT / 2;
		while (((unsigned char)*tail & 0xc0) == 0x80)
			tail++;
		snprintf(cut, sizeof(cut), "%.*s\u2026%s", (int)head, text, tail);
		text = cut;
		writer->cut_names++;
	}
	export_json_text(writer->out, text);
}

static void put_member(struct writer *writer, const char *key, const char *text)
{
	put_key(writer, key);
	put_text(writer, text);
}

/* A column: `value` is an expression of `i`, the row. */
#define PUT_NUMBERS(writer, key, count, value)                                                     \
	do {                                                                                       \
		put_key(writer, key);                                                              \
		for (size_t i = 0; i < (count); i++)                                               \
			fprintf((writer)->out, "%c%" PRId64, i > 0 ? ',' : '[', (int64_t)(value)); \
		fputs((count) > 0 ? "]" : "[]", (writer)->out);                                    \
	} while (0)

/* The same of texts; NULL becomes null. */
#define PUT_TEXTS(writer, key, count, value)                                                       \
	do {                                                                                       \
		put_key(writer, key);                                                              \
		for (size_t i = 0; i < (count); i++) {                                             \
			const char *text = (value);                                                \
			putc(i > 0 ? ',' : '[', (writer)->out);                                    \
			if (text)                                                                  \
				put_text(writer, text);                                            \
			else                                                                       \
				fputs("null", (writer)->out);                                      \
		}                                                                                  \
		fputs((count) > 0 ? "]" : "[]", (writer)->out);                                    \
	} while (0)

static void put_trace(struct writer *writer, const struct profile *profile, const char *name)
{
	const struct trace_session *session = trace_session_of(profile->trace);
	open_object(writer, "trace");
	put_member(writer, "name", name);
	put_member(writer, "command", session->command);
	put_member(writer, "time", session->time);
	put_member(writer, "kernel", session->kernel);
	put_member(writer, "machine", session->machine);
	put_member(writer, "mode", session->mode);
	put_member(writer, "capture", session->capture);
	put_number(writer, "page_size", session->page_size);
	put_number(writer, "granularity", session->granularity);
	put_number(writer, "cut", trace_is_cut(profile->trace));
	close_object(writer);
}

static void put_totals(struct writer *writer, const struct profile *profile)
{
	uint64_t threads = 0, processes = 0;
	for (size_t i = 0; i < profile->thread_room; i++)
		threads += profile->threads[i].thread && profile->threads[i].thread->kept;
	for (size_t i = 0; i < profile->process_room; i++)
		processes += profile->processes[i].process && profile->processes[i].process->kept;
	open_object(writer, "totals");
	put_number(writer, "faults", profile->sum.faults);
	put_number(writer, "bytes", profile->sum.bytes);
	put_number(writer, "peak_bytes", profile->peak_bytes);
	put_number(writer, "duration_ns", profile->duration_ns);
	put_number(writer, "threads", threads);
	put_number(writer, "processes", processes);
	put_number(writer, "lost", profile->lost);
	close_object(writer);
	PUT_TEXTS(writer, "lost_what", profile->loss_count, profile->losses[i].what);
	PUT_TEXTS(writer, "lost_why", profile->loss_count, profile->losses[i].why);
	PUT_NUMBERS(writer, "lost_count", profile->loss_count, profile->losses[i].count);
}

/* Functions, the modules they are in, the tree of their calls, and sites. 0 or -ENOMEM. */
static int put_code(struct writer *writer, const struct page_places *places)
{
	const struct call_tree *tree = &places->tree;
	const struct page_site *sites = places->sites;
	struct numbering functions = {0}, modules = {0};
	const struct code_function *function;
	uint32_t number;
	int result = 0;
	for (uint32_t i = 1; i < tree->kept && result == 0; i++)
		result = numbering_of(&functions, tree->nodes[tree->order[i]].function, &number);
	for (uint32_t i = 0; i < places->site_count && result == 0; i++)
		if (sites[i].function)
			result = numbering_of(&functions, sites[i].function->index, &number);
	int64_t *module_of = calloc(functions.count + 1, sizeof(*module_of));
	const char **paths = calloc(functions.count + 1, sizeof(*paths));
	if (!module_of || !paths)
		result = -ENOMEM;
	for (uint32_t i = 0; i < functions.count && result == 0; i++) {
		function = code_names_function_at(places->names, functions.thing[i]);
		module_of[i] = -1;
		if (!function->module)
			continue;
		result = numbering_of(&modules, function->module->index, &number);
		module_of[i] = number;
		paths[number] = function->module->path;
	}
	if (result < 0)
		goto out;
	PUT_TEXTS(writer, "modules", modules.count, paths[i]);
	open_object(writer, "frames");
	PUT_TEXTS(writer, "name", functions.count,
	    code_names_function_at(places->names, functions.thing[i])->name);
	PUT_NUMBERS(writer, "module", functions.count, module_of[i]);
	close_object(writer);
	open_object(writer, "nodes");
	PUT_NUMBERS(writer, "parent", tree->kept,
	    i == 0 ? -1 : (int64_t)tree->nodes[tree->nodes[tree->order[i]].parent].place);
	PUT_NUMBERS(writer, "frame", tree->kept,
	    i == 0 ? -1 : (int64_t)functions.number[tree->nodes[tree->order[i]].function] - 1);
	close_object(writer);
	open_object(writer, "sites");
	PUT_NUMBERS(writer, "frame", places->site_count,
	    sites[i].function ? (int64_t)functions.number[sites[i].function->index] - 1 : -1);
	PUT_TEXTS(
	    writer, "file", places->site_count, sites[i].line > 0 ? sites[i].function->file : NULL);
	PUT_NUMBERS(writer, "line", places->site_count, sites[i].line);
	/* one that has no name is named by its offset already */
	PUT_NUMBERS(writer, "offset", places->site_count,
	    sites[i].function && sites[i].function->symbol && sites[i].line == 0
		? (int64_t)sites[i].offset
		: -1);
	close_object(writer);
out:
	numbering_free(&functions);
	numbering_free(&modules);
	free(module_of);
	free(paths);
	return result;
}

static void put_places(struct writer *writer, const struct page_places *places)
{
	const struct page_place *place = places->places;
	const struct page_origin *origin = places->origins;
	open_object(writer, "places");
	PUT_NUMBERS(writer, "node", places->place_count, places->tree.nodes[place[i].node].place);
	PUT_NUMBERS(writer, "site", places->place_count, place[i].site);
	close_object(writer);
	open_object(writer, "origins");
	PUT_NUMBERS(writer, "place", places->origin_count, origin[i].place);
	PUT_TEXTS(writer, "how", places->origin_count, origin[i].how);
	PUT_NUMBERS(writer, "allocation", places->origin_count, origin[i].is_allocation);
	PUT_NUMBERS(writer, "told", places->origin_count, origin[i].is_told);
	close_object(writer);
}

static void put_who(struct writer *writer, const struct page_data *data)
{
	const struct trace *trace = data->collection->profile->trace;
	const struct numbering *threads = &data->threads, *processes = &data->processes;
	open_object(writer, "processes");
	PUT_NUMBERS(
	    writer, "pid", processes->count, trace_process_at(trace, processes->thing[i])->pid);
	PUT_TEXTS(
	    writer, "name", processes->count, trace_process_at(trace, processes->thing[i])->exe);
	close_object(writer);
	open_object(writer, "threads");
	PUT_NUMBERS(writer, "tid", threads->count, trace_thread_at(trace, threads->thing[i])->tid);
	PUT_TEXTS(writer, "name", threads->count, trace_thread_at(trace, threads->thing[i])->name);
	PUT_NUMBERS(writer, "process", threads->count,
	    processes->number[trace_thread_at(trace, threads->thing[i])->process->index] - 1);
	close_object(writer);
}

/* Bytes, as far as they are not the usual ones of so many faults. */
static int64_t unusual_bytes(const struct page_data *data, uint64_t faults, uint64_t bytes)
{
	const struct trace *trace = data->collection->profile->trace;
	return (int64_t)(bytes - faults * trace_session_of(trace)->granularity);
}

static void put_time(struct writer *writer, const struct page_data *data, const struct tally *tally)
{
	uint64_t start = data->start_ns >> tally->step_shift;
	const struct tally_row *rows = tally->rows;
	put_number(writer, "step", 1ull << (tally->step_shift - data->shortest_shift));
	PUT_NUMBERS(writer, "time", tally->count,
	    rows[i].key.step - (i == 0 ? start : rows[i - 1].key.step));
}

static void put_counts(
    struct writer *writer, const struct page_data *data, const struct tally *tally)
{
	const struct tally_row *rows = tally->rows;
	put_time(writer, data, tally);
	PUT_NUMBERS(writer, "faults", tally->count, rows[i].count);
	PUT_NUMBERS(
	    writer, "bytes", tally->count, unusual_bytes(data, rows[i].count, rows[i].bytes));
	PUT_NUMBERS(writer, "thread", tally->count, (int64_t)rows[i].key.thread - 1);
}

static void put_tallies(struct writer *writer, const struct page_data *data)
{
	const struct tally *code = &data->collection->code;
	const struct tally *origins = &data->collection->origins;
	const struct tally *shares = &data->collection->shares;
	const struct tally *asked = &data->collection->asked;
	open_object(writer, "by_place");
	put_counts(writer, data, code);
	PUT_NUMBERS(writer, "place", code->count, code->rows[i].key.place);
	PUT_NUMBERS(writer, "source", code->count, code->rows[i].key.source);
	close_object(writer);
	open_object(writer, "by_origin");
	put_counts(writer, data, origins);
	PUT_NUMBERS(writer, "origin", origins->count, origins->rows[i].key.origin);
	close_object(writer);
	open_object(writer, "by_owner");
	put_counts(writer, data, shares);
	PUT_NUMBERS(writer, "owner", shares->count, (int64_t)shares->rows[i].key.owner - 1);
	close_object(writer);
	open_object(writer, "asked");
	put_time(writer, data, asked);
	PUT_NUMBERS(writer, "thread", asked->count, (int64_t)asked->rows[i].key.thread - 1);
	PUT_NUMBERS(writer, "origin", asked->count, asked->rows[i].key.origin);
	PUT_NUMBERS(writer, "count", asked->count, asked->rows[i].count);
	PUT_NUMBERS(writer, "reserved", asked->count, asked->rows[i].bytes);
	PUT_NUMBERS(writer, "touched", asked->count, asked->rows[i].touched);
	PUT_NUMBERS(writer, "present", asked->count, asked->rows[i].present);
	close_object(writer);
}

static void put_runs(struct writer *writer, const struct page_data *data)
{
	const struct runs *runs = &data->runs;
	const struct tally *map = &data->collection->map;
	const struct run *rows = runs->rows;
	uint64_t start = data->start_ns >> map->step_shift;
	open_object(writer, "runs");
	put_number(writer, "step", 1ull << (map->step_shift - data->shortest_shift));
	PUT_NUMBERS(writer, "time", runs->count,
	    rows[i].key.step - (i == 0 ? start : rows[i - 1].key.step));
	PUT_NUMBERS(writer, "page", runs->count, rows[i].page - (i > 0 ? rows[i - 1].page : 0));
	PUT_NUMBERS(writer, "pages", runs->count, rows[i].pages);
	PUT_NUMBERS(writer, "faults", runs->count, rows[i].faults);
	PUT_NUMBERS(
	    writer, "bytes", runs->count, unusual_bytes(data, rows[i].faults, rows[i].bytes));
	PUT_NUMBERS(writer, "thread", runs->count, (int64_t)rows[i].key.thread - 1);
	PUT_NUMBERS(writer, "place", runs->count, rows[i].key.place);
	PUT_NUMBERS(writer, "origin", runs->count, rows[i].key.origin);
	PUT_NUMBERS(writer, "source", runs->count, rows[i].key.source);
	PUT_NUMBERS(writer, "access", runs->count, rows[i].key.access);
	close_object(writer);
}

static void put_regions(struct writer *writer, const struct page_data *data)
{
	const struct profile *profile = data->collection->profile;
	uint64_t page_size = trace_session_of(profile->trace)->page_size;
	const struct profile_region **regions = data->regions;
	size_t count = data->region_count;
	open_object(writer, "regions");
	PUT_NUMBERS(
	    writer, "process", count, data->processes.number[regions[i]->process->index] - 1);
	PUT_NUMBERS(writer, "start", count, regions[i]->start / page_size);
	PUT_NUMBERS(writer, "pages", count,
	    (regions[i]->start % page_size + regions[i]->size + page_size - 1) / page_size);
	PUT_NUMBERS(writer, "source", count, regions[i]->origin->source_index + 1);
	PUT_NUMBERS(writer, "time", count,
	    (regions[i]->time_ns - (int64_t)data->start_ns) >> data->shortest_shift);
	close_object(writer);
}

/* Memory that was there, by the profile's own pieces of time. */
static void put_resident(struct writer *writer, const struct profile_time *time)
{
	open_object(writer, "resident");
	put_number(writer, "bucket_ns", (uint64_t)time->bucket_ns);
	PUT_NUMBERS(writer, "bytes", time->count, time->buckets[i].resident_bytes);
	close_object(writer);
}

/* What was put together. */
static void put_merged(struct writer *writer, const struct page_data *data)
{
	const struct collection *collection = data->collection;
	const struct call_tree *tree = &data->places.tree;
	open_object(writer, "merged");
	put_number(writer, "block_pages", 1ull << collection->map.block_shift);
	put_number(writer, "map_by_lead", collection->map.forgets);
	put_number(writer, "threads",
	    collection->code.forgets || collection->origins.forgets || collection->asked.forgets);
	put_number(writer, "runs_with_holes", data->runs.holes);
	put_number(writer, "branches", tree->cut);
	put_number(writer, "branch_faults", tree->cut_weight);
	put_number(writer, "tree_faults", tree->nodes[0].weight);
	put_number(writer, "sites", data->places.cut_sites);
	put_number(writer, "regions", data->region_total);
	put_number(writer, "names", writer->cut_names);
	close_object(writer);
}

static int put_data(
    FILE *out, const struct page_data *data, const char *name, const struct filter *filter)
{
	const struct profile *profile = data->collection->profile;
	struct writer writer = {.out = out};
	putc('{', out);
	put_trace(&writer, profile, name);
	put_totals(&writer, profile);
	size_t filter_count;
	const char *const *filters = filter_words(filter, &filter_count);
	PUT_TEXTS(&writer, "filters", filter_count, filters[i]);
	open_object(&writer, "time");
	put_number(&writer, "start_ns", data->start_ns);
	put_number(&writer, "step_ns", 1ull << data->shortest_shift);
	put_number(&writer, "steps", (data->end_ns - data->start_ns) >> data->shortest_shift);
	put_number(&writer, "snap", 1ull << (data->longest_shift - data->shortest_shift));
	close_object(&writer);
	PUT_TEXTS(&writer, "sources", profile->source_count + 1,
	    i == 0 ? "unknown" : profile->sources[i - 1].name);
	PUT_TEXTS(&writer, "accesses", FAULT_ACCESS_OTHER + 1, fault_access_words[i]);
	int result = put_code(&writer, &data->places);
	if (result < 0)
		return result;
	put_places(&writer, &data->places);
	put_who(&writer, data);
	put_tallies(&writer, data);
	put_runs(&writer, data);
	put_regions(&writer, data);
	put_resident(&writer, &profile->time);
	put_merged(&writer, data);
	putc('}', out);
	return 0;
}

int page_write(
    FILE *out, const struct page_data *data, const char *name, const struct filter *filter)
{
	const char *place = strstr(page_text, PAGE_DATA);
	fwrite(page_text, 1, (size_t)(place - page_text), out);
	FILE *packed = packed_open(out);
	if (!packed)
		return -ENOMEM;
	int result = put_data(packed, data, name, filter);
	fclose(packed);
	if (result == 0)
		fputs(place + strlen(PAGE_DATA), out);
	return result;
}
