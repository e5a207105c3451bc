/* SPDX-License-Identifier: MIT */
/*
 * trace_model.c: takes each line of a trace and adds it up. Unknown types and keys are passed
 * over. Of faults nothing is kept but sums and, for live memory, a bit a page.
 */
#include "trace_model.h"

#include "trace_index.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A handler of one line type. 0 or negative errno, noted in the reader unless -ENOMEM. */
typedef int line_handler(
    struct trace_model *model, struct trace_reader *reader, const json_t *line);

/* A copy of a string of the line in place of *copy; "" when the key is not there. */
static int copy_string(
    struct trace_reader *reader, const json_t *line, const char *key, char **copy)
{
	const char *text = "";
	int result = trace_string(reader, line, key, false, &text);
	if (result < 0)
		return result;
	free(*copy);
	*copy = strdup(text);
	return *copy ? 0 : -ENOMEM;
}

/* The command's words with spaces between. */
static char *join_words(const json_t *words)
{
	size_t size = 1;
	for (size_t i = 0; i < json_array_size(words); i++)
		size += json_string_length(json_array_get(words, i)) + 1;
	char *joined = calloc(1, size);
	for (size_t i = 0; joined && i < json_array_size(words); i++) {
		const char *word = json_string_value(json_array_get(words, i));
		if (i > 0)
			strcat(joined, " ");
		strcat(joined, word ? word : "");
	}
	return joined;
}

static int take_session(struct trace_model *model, struct trace_reader *reader, const json_t *line)
{
	int64_t page_size = 4096, granularity = 0, ts = 0;
	int result = copy_string(reader, line, "time", &model->time);
	if (result >= 0)
		result = copy_string(reader, line, "kernel", &model->kernel);
	if (result >= 0)
		result = copy_string(reader, line, "machine", &model->machine);
	if (result >= 0)
		result = copy_string(reader, line, "mode", &model->mode);
	if (result >= 0)
		result = copy_string(reader, line, "capture", &model->capture);
	if (result >= 0)
		result = trace_integer(reader, line, "page_size", false, &page_size);
	if (result >= 0)
		result = trace_integer(reader, line, "granularity", false, &granularity);
	if (result >= 0)
		result = trace_integer(reader, line, "ts", false, &ts);
	if (result < 0)
		return result;
	if (page_size <= 0 || granularity < 0)
		return trace_reader_refuse(reader, "impossible page_size or granularity");
	model->page_size = (uint64_t)page_size;
	model->granularity = granularity > page_size ? (uint64_t)granularity : model->page_size;
	free(model->command);
	model->command = join_words(json_object_get(line, "command"));
	return model->command ? 0 : -ENOMEM;
}

static int take_process(struct trace_model *model, struct trace_reader *reader, const json_t *line)
{
	int64_t pid;
	int result = trace_integer(reader, line, "pid", true, &pid);
	if (result < 0)
		return result;
	result = id_map_put(&model->index->processes, (uint64_t)pid, model);
	model->process_count = model->index->processes.count;
	return result;
}

/* The thread, made if it is new; NULL without memory. */
static struct trace_thread *find_thread(struct trace_model *model, int64_t pid, int64_t tid)
{
	uint64_t id = (uint64_t)pid << 32 | (uint32_t)tid;
	struct trace_thread *thread = id_map_get(&model->index->threads, id);
	if (thread)
		return thread;
	thread = calloc(1, sizeof(*thread));
	if (!thread)
		return NULL;
	thread->pid = pid;
	thread->tid = tid;
	thread->name = strdup("");
	thread->next = model->threads;
	model->threads = thread;
	model->thread_count++;
	if (!thread->name || id_map_put(&model->index->threads, id, thread) < 0)
		return NULL;
	return thread;
}

static int read_thread(struct trace_model *model, struct trace_reader *reader, const json_t *line,
    struct trace_thread **thread)
{
	int64_t pid, tid;
	int result = trace_integer(reader, line, "pid", true, &pid);
	if (result >= 0)
		result = trace_integer(reader, line, "tid", true, &tid);
	if (result < 0)
		return result;
	*thread = find_thread(model, pid, tid);
	return *thread ? 0 : -ENOMEM;
}

static int take_thread(struct trace_model *model, struct trace_reader *reader, const json_t *line)
{
	struct trace_thread *thread;
	int result = read_thread(model, reader, line, &thread);
	return result < 0 ? result : copy_string(reader, line, "name", &thread->name);
}

/* The line's stack; NULL when it has none, or one that was not defined. 0 or negative errno. */
static int read_stack(struct trace_model *model, struct trace_reader *reader, const json_t *line,
    const struct stack_place **stack)
{
	int64_t id = 0;
	int result = trace_integer(reader, line, "stack", false, &id);
	*stack = NULL;
	if (result > 0) {
		*stack = id_map_get(&model->index->stacks, (uint64_t)id);
		if (!*stack)
			model->undefined++;
	}
	return result < 0 ? result : 0;
}

static int compare_words(const void *left, const void *right)
{
	return strcmp(left, right);
}

/* One copy of the word for all; NULL without memory. */
static const char *intern_word(struct trace_model *model, const char *word)
{
	char **found = tfind(word, &model->index->words, compare_words);
	if (found)
		return *found;
	struct trace_word *owned = calloc(1, sizeof(*owned) + strlen(word) + 1);
	if (!owned)
		return NULL;
	strcpy(owned->text, word);
	owned->next = model->words;
	model->words = owned;
	return tsearch(owned->text, &model->index->words, compare_words) ? owned->text : NULL;
}

static int compare_origins(const void *left, const void *right)
{
	const struct origin *a = left, *b = right;
	if (a->place != b->place)
		return (uintptr_t)a->place < (uintptr_t)b->place ? -1 : 1;
	if (a->is_allocation != b->is_allocation)
		return a->is_allocation ? -1 : 1;
	return strcmp(a->source, b->source);
}

static struct origin *intern_origin(
    struct trace_model *model, const struct place *place, const char *source, bool is_allocation)
{
	struct origin wanted = {.place = place, .source = source, .is_allocation = is_allocation};
	struct origin **found = tfind(&wanted, &model->index->origins, compare_origins);
	if (found)
		return *found;
	struct origin *origin = calloc(1, sizeof(*origin));
	if (!origin)
		return NULL;
	*origin = wanted;
	origin->next = model->origins;
	model->origins = origin;
	origin->source = intern_word(model, source);
	if (!origin->source || !tsearch(origin, &model->index->origins, compare_origins))
		return NULL;
	return origin;
}

static void release_span(void *value)
{
	struct span *span = value;
	if (span)
		touched_free(&span->touched);
	free(span);
}

/* A new region or allocation. */
static int add_span(struct trace_model *model, struct trace_reader *reader, const json_t *line,
    struct id_map *map, const char *source, const char *address_key, uint64_t page_bytes)
{
	int64_t id, size;
	uint64_t start;
	const struct stack_place *stack;
	int result = trace_integer(reader, line, "id", true, &id);
	if (result >= 0)
		result = trace_address(reader, line, address_key, true, &start);
	if (result >= 0)
		result = trace_integer(reader, line, "size", true, &size);
	if (result >= 0)
		result = read_stack(model, reader, line, &stack);
	if (result < 0)
		return result;
	if (size < 0)
		return trace_reader_refuse(reader, "\"size\" is negative");
	struct place *place = stack ? stack->allocating : trace_stack_none(model);
	if (!place)
		return -ENOMEM;
	struct span *span = calloc(1, sizeof(*span));
	if (!span)
		return -ENOMEM;
	span->origin = intern_origin(model, place, source, map == &model->index->allocs);
	touched_start(&span->touched, start, (uint64_t)size, page_bytes);
	release_span(id_map_remove(map, (uint64_t)id));
	if (!span->origin || id_map_put(map, (uint64_t)id, span) < 0) {
		release_span(span);
		return -ENOMEM;
	}
	struct origin *origin = span->origin;
	origin->count++;
	origin->reserved += (uint64_t)size;
	origin->live += (uint64_t)size;
	if (origin->live > origin->peak)
		origin->peak = origin->live;
	return 0;
}

static int take_region(struct trace_model *model, struct trace_reader *reader, const json_t *line)
{
	const char *source = "?";
	int64_t page_size = (int64_t)model->page_size;
	int result = trace_string(reader, line, "source", false, &source);
	if (result >= 0)
		result = trace_integer(reader, line, "page_size", false, &page_size);
	if (result < 0)
		return result;
	if (page_size <= 0)
		return trace_reader_refuse(reader, "impossible page_size");
	uint64_t unit = (uint64_t)page_size;
	if (unit < model->granularity)
		unit = model->granularity;
	return add_span(model, reader, line, &model->index->regions, source, "start", unit);
}

static int take_alloc(struct trace_model *model, struct trace_reader *reader, const json_t *line)
{
	const char *function = "?";
	int result = trace_string(reader, line, "func", false, &function);
	if (result < 0)
		return result;
	return add_span(
	    model, reader, line, &model->index->allocs, function, "addr", model->granularity);
}

/* The span ends; it is forgotten when RETIRING_SPANS others have ended. */
static void retire(struct trace_model *model, struct id_map *map, uint64_t id)
{
	struct trace_index *index = model->index;
	struct span *span = id_map_get(map, id);
	if (!span)
		return;
	uint64_t size = span->touched.size;
	span->origin->live -= size < span->origin->live ? size : span->origin->live;
	struct retiring *slot = &index->retiring[index->next_retiring++ % RETIRING_SPANS];
	if (slot->map)
		release_span(id_map_remove(slot->map, slot->id));
	*slot = (struct retiring){map, id};
}

static int take_region_end(
    struct trace_model *model, struct trace_reader *reader, const json_t *line)
{
	int64_t id, size;
	int result = trace_integer(reader, line, "id", true, &id);
	if (result >= 0)
		result = trace_integer(reader, line, "size", false, &size);
	if (result < 0)
		return result;
	if (result == 0)
		retire(model, &model->index->regions, (uint64_t)id);
	return 0;
}

static int take_free(struct trace_model *model, struct trace_reader *reader, const json_t *line)
{
	int64_t id;
	int result = trace_integer(reader, line, "alloc", true, &id);
	if (result < 0)
		return result;
	retire(model, &model->index->allocs, (uint64_t)id);
	return 0;
}

static int take_remap(struct trace_model *model, struct trace_reader *reader, const json_t *line)
{
	int64_t id, size;
	uint64_t to;
	int result = trace_integer(reader, line, "region", false, &id);
	if (result <= 0)
		return result;
	result = trace_integer(reader, line, "size", true, &size);
	if (result >= 0)
		result = trace_address(reader, line, "to", true, &to);
	if (result < 0)
		return result;
	struct span *span = id_map_get(&model->index->regions, (uint64_t)id);
	if (!span || size < 0)
		return 0;
	uint64_t before = span->touched.size;
	touched_move(&span->touched, to, (uint64_t)size);
	if (span->touched.size > before) {
		struct origin *origin = span->origin;
		origin->reserved += span->touched.size - before;
		origin->live += span->touched.size - before;
		if (origin->live > origin->peak)
			origin->peak = origin->live;
	}
	return 0;
}

/* The span that a fault's key names; NULL when it names none. 0 or negative errno. */
static int read_span(struct trace_model *model, struct trace_reader *reader, const json_t *line,
    const char *key, const struct id_map *map, struct span **span)
{
	int64_t id = 0;
	int result = trace_integer(reader, line, key, false, &id);
	*span = NULL;
	if (result > 0) {
		*span = id_map_get(map, (uint64_t)id);
		if (!*span)
			model->undefined++;
	}
	return result < 0 ? result : 0;
}

static int take_fault(struct trace_model *model, struct trace_reader *reader, const json_t *line)
{
	struct trace_thread *thread;
	struct span *region, *alloc;
	const struct stack_place *stack;
	uint64_t address;
	int64_t offset = 0;
	const char *access = "", *kind = "missing";
	int result = read_thread(model, reader, line, &thread);
	if (result >= 0)
		result = trace_address(reader, line, "addr", true, &address);
	if (result >= 0)
		result = trace_string(reader, line, "access", false, &access);
	if (result >= 0)
		result = trace_string(reader, line, "kind", false, &kind);
	if (result >= 0)
		result = read_span(model, reader, line, "region", &model->index->regions, &region);
	if (result >= 0)
		result = read_span(model, reader, line, "alloc", &model->index->allocs, &alloc);
	if (result >= 0)
		result = read_stack(model, reader, line, &stack);
	if (result >= 0)
		result = trace_integer(reader, line, "offset", false, &offset);
	if (result < 0)
		return result;
	struct place *place = stack ? stack->touching : trace_stack_none(model);
	if (!place)
		return -ENOMEM;

	uint64_t bytes = model->granularity;
	if (region) {
		/* the offset is right even where the region has moved since */
		uint64_t in_region =
		    result > 0 && offset >= 0 ? region->touched.start + (uint64_t)offset : address;
		uint64_t overlap = touched_overlap(&region->touched, in_region);
		if (overlap > 0)
			bytes = overlap;
		region->origin->touched += touched_add(&region->touched, in_region);
	}
	if (alloc)
		alloc->origin->touched += touched_add(&alloc->touched, address);
	/* only a missing page's fault brings memory in; the others find it there */
	if (strcmp(kind, "missing") != 0)
		bytes = 0;
	place->faults++;
	place->bytes += bytes;
	place->reads += strcmp(access, "read") == 0;
	place->writes += strcmp(access, "write") == 0;
	thread->faults++;
	thread->bytes += bytes;
	model->faults++;
	model->bytes += bytes;
	return 0;
}

static int take_lost(struct trace_model *model, struct trace_reader *reader, const json_t *line)
{
	int64_t count = 0;
	struct trace_loss *loss = calloc(1, sizeof(*loss));
	if (!loss)
		return -ENOMEM;
	loss->next = model->losses;
	model->losses = loss;
	int result = trace_integer(reader, line, "count", true, &count);
	if (result >= 0)
		result = copy_string(reader, line, "what", &loss->what);
	if (result >= 0)
		result = copy_string(reader, line, "why", &loss->why);
	loss->count = count > 0 ? (uint64_t)count : 0;
	model->lost += loss->count;
	return result < 0 ? result : 0;
}

static int take_end(struct trace_model *model, struct trace_reader *reader, const json_t *line)
{
	int64_t duration = 0;
	int result = trace_integer(reader, line, "duration_ns", false, &duration);
	if (result > 0 && duration >= 0)
		model->duration_ns = (uint64_t)duration;
	model->ended = true;
	return result < 0 ? result : 0;
}

static const struct {
	const char *type;
	line_handler *take;
} handlers[] = {
    {"fault", take_fault}, /* first: the most frequent by far */
    {"stack", trace_stack_add},
    {"alloc", take_alloc},
    {"free", take_free},
    {"region", take_region},
    {"region_end", take_region_end},
    {"remap", take_remap},
    {"module", trace_stack_module},
    {"thread", take_thread},
    {"process", take_process},
    {"lost", take_lost},
    {"session", take_session},
    {"end", take_end},
};

static void note_time(struct trace_index *index, const json_t *line)
{
	const json_t *ts = json_object_get(line, "ts");
	if (!json_is_integer(ts))
		return;
	int64_t value = json_integer_value(ts);
	if (index->first_ts == 0 || value < index->first_ts)
		index->first_ts = value;
	if (value > index->last_ts)
		index->last_ts = value;
}

static void keep(void *node)
{
	(void)node;
}

static void free_index(struct trace_index *index)
{
	if (!index)
		return;
	id_map_clear(&index->modules, NULL);
	id_map_clear(&index->stacks, free);
	id_map_clear(&index->regions, release_span);
	id_map_clear(&index->allocs, release_span);
	id_map_clear(&index->threads, NULL);
	id_map_clear(&index->processes, NULL);
	tdestroy(index->files, keep);
	tdestroy(index->places, keep);
	tdestroy(index->origins, keep);
	tdestroy(index->words, keep);
	free(index);
}

int trace_model_read(struct trace_model *model, struct trace_reader *reader)
{
	const json_t *line;
	const char *type;
	int result;
	model->index = calloc(1, sizeof(*model->index));
	if (!model->index)
		return trace_reader_refuse(reader, "out of memory");
	while ((result = trace_reader_next(reader, &line, &type)) > 0) {
		size_t i = 0, count = sizeof(handlers) / sizeof(handlers[0]);
		while (i < count && strcmp(handlers[i].type, type) != 0)
			i++;
		if (i == count)
			continue;
		result = handlers[i].take(model, reader, line);
		if (result < 0)
			break;
		note_time(model->index, line);
	}
	if (result == -ENOMEM)
		trace_reader_refuse(reader, "out of memory");
	model->cut = trace_reader_cut(reader);
	if (!model->ended)
		model->duration_ns = (uint64_t)(model->index->last_ts - model->index->first_ts);
	free_index(model->index);
	model->index = NULL;
	return result;
}

void trace_model_free(struct trace_model *model)
{
	for (struct module_file *file = model->files, *next; file; file = next) {
		next = file->next;
		free(file->path);
		free(file->build_id);
		free(file);
	}
	for (struct place *place = model->places, *next; place; place = next) {
		next = place->next;
		free(place->symbol);
		free(place);
	}
	for (struct origin *origin = model->origins, *next; origin; origin = next) {
		next = origin->next;
		free(origin);
	}
	for (struct trace_word *word = model->words, *next; word; word = next) {
		next = word->next;
		free(word);
	}
	for (struct trace_thread *thread = model->threads, *next; thread; thread = next) {
		next = thread->next;
		free(thread->name);
		free(thread);
	}
	for (struct trace_loss *loss = model->losses, *next; loss; loss = next) {
		next = loss->next;
		free(loss->what);
		free(loss->why);
		free(loss);
	}
	free(model->command);
	free(model->time);
	free(model->kernel);
	free(model->machine);
	free(model->mode);
	free(model->capture);
	*model = (struct trace_model){0};
}
