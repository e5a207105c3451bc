/* SPDX-License-Identifier: MIT */
/*
 * trace_stack.c: modules and stacks of a trace. Of each stack only its place is kept: the frame
 * that a report names.
 */
#include "trace_index.h"

#include <errno.h>
#include <fnmatch.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* Files whose frames say how memory was touched, not why. */
static const char *const runtime_files[] = {"libc.so*", "libc-2.*", "ld-linux*", "ld-2.*",
    "libpthread*.so*", "libm.so*", "libm-2.*", "libstdc++.so*", "libc++.so*", "libc++abi.so*",
    "libgcc_s.so*", "libfaultline.so*", "libjemalloc.so*", "libtcmalloc*.so*", "libmimalloc.so*",
    "[[]vdso]"};

/* Mangled names of std::, __gnu_cxx::, and operators new and delete (Itanium C++ ABI, 5.1). */
static const char *const runtime_symbols[] = {
    "_ZNS", "_ZNKS", "_ZS", "_ZN9__gnu_cxx", "_ZNK9__gnu_cxx", "_Znw", "_Zna", "_Zdl", "_Zda"};

static bool is_runtime(const struct module_file *file, const char *symbol)
{
	if (file) {
		const char *slash = strrchr(file->path, '/');
		const char *base = slash ? slash + 1 : file->path;
		for (size_t i = 0; i < sizeof(runtime_files) / sizeof(runtime_files[0]); i++)
			if (fnmatch(runtime_files[i], base, 0) == 0)
				return true;
	}
	for (size_t i = 0; symbol && i < sizeof(runtime_symbols) / sizeof(runtime_symbols[0]); i++)
		if (strncmp(symbol, runtime_symbols[i], strlen(runtime_symbols[i])) == 0)
			return true;
	return false;
}

static int compare_files(const void *left, const void *right)
{
	const struct module_file *a = left, *b = right;
	int order = strcmp(a->path, b->path);
	return order != 0 ? order : strcmp(a->build_id, b->build_id);
}

int trace_stack_module(struct trace_model *model, struct trace_reader *reader, const json_t *line)
{
	struct trace_index *index = model->index;
	int64_t id;
	const char *path, *build_id = "";
	int result = trace_integer(reader, line, "id", true, &id);
	if (result > 0)
		result = trace_string(reader, line, "path", true, &path);
	if (result > 0)
		result = trace_string(reader, line, "build_id", false, &build_id);
	if (result < 0)
		return result;
	struct module_file key = {.path = (char *)path, .build_id = (char *)build_id};
	struct module_file **found = tfind(&key, &index->files, compare_files);
	struct module_file *file = found ? *found : NULL;
	if (!file) {
		file = calloc(1, sizeof(*file));
		if (!file)
			return -ENOMEM;
		/* in the list first: it is the list that frees */
		file->next = model->files;
		model->files = file;
		file->path = strdup(path);
		file->build_id = strdup(build_id);
		if (!file->path || !file->build_id || !tsearch(file, &index->files, compare_files))
			return -ENOMEM;
	}
	return id_map_put(&index->modules, (uint64_t)id, file);
}

static int compare_places(const void *left, const void *right)
{
	const struct place *a = left, *b = right;
	if (a->file != b->file)
		return (uintptr_t)a->file < (uintptr_t)b->file ? -1 : 1;
	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	if (!a->symbol || !b->symbol)
		return (a->symbol != NULL) - (b->symbol != NULL);
	return strcmp(a->symbol, b->symbol);
}

/* The one place like `wanted`, made if it is new; NULL without memory. Copies the symbol. */
static struct place *intern_place(struct trace_model *model, const struct place *wanted)
{
	struct place **found = tfind(wanted, &model->index->places, compare_places);
	if (found)
		return *found;
	struct place *place = calloc(1, sizeof(*place));
	if (!place)
		return NULL;
	*place = *wanted;
	place->symbol = NULL;
	place->next = model->places;
	model->places = place;
	if (wanted->symbol && !(place->symbol = strdup(wanted->symbol)))
		return NULL;
	return tsearch(place, &model->index->places, compare_places) ? place : NULL;
}

struct place *trace_stack_none(struct trace_model *model)
{
	struct trace_index *index = model->index;
	if (!index->no_stack)
		index->no_stack = intern_place(model, &(struct place){0});
	return index->no_stack;
}

/* A frame as the line tells it; the symbol is borrowed from the line. */
struct frame {
	struct module_file *file;
	const char *symbol; /* NULL: unnamed */
	uint64_t offset;
	int64_t symbol_offset;
};

static int read_frame(struct trace_model *model, struct trace_reader *reader, const json_t *object,
    struct frame *frame)
{
	int64_t module = 0;
	*frame = (struct frame){0};
	if (!json_is_object(object))
		return trace_reader_refuse(reader, "a frame is not an object");
	int result = trace_integer(reader, object, "module", false, &module);
	if (result > 0) {
		frame->file = id_map_get(&model->index->modules, (uint64_t)module);
		if (!frame->file)
			model->undefined++;
	}
	if (result >= 0)
		result = trace_address(reader, object, "offset", false, &frame->offset);
	if (result >= 0)
		result = trace_string(reader, object, "symbol", false, &frame->symbol);
	if (result >= 0)
		result =
		    trace_integer(reader, object, "symbol_offset", false, &frame->symbol_offset);
	/* code that was generated is only told apart by its name */
	if (!frame->file)
		frame->offset = 0;
	return result < 0 ? result : 0;
}

/* Chooses the frame by the rule in trace_model.h. 0 or -EBADMSG, noted. */
static int choose_frame(struct trace_model *model, struct trace_reader *reader,
    const json_t *frames, struct frame *chosen, size_t *chosen_index)
{
	bool found = false;
	size_t count = json_array_size(frames);
	for (size_t i = 0; i < count; i++) {
		struct frame frame;
		int result = read_frame(model, reader, json_array_get(frames, i), &frame);
		if (result < 0)
			return result;
		if (i == 0) {
			*chosen = frame;
			*chosen_index = 0;
		}
		if (found && frame.file != chosen->file)
			return 0;
		/* unnamed generated code says nothing: look further out */
		if (is_runtime(frame.file, frame.symbol) || (!frame.file && !frame.symbol)) {
			if (found)
				return 0;
			continue;
		}
		if (!found || frame.symbol) {
			*chosen = frame;
			*chosen_index = i;
		}
		found = true;
		if (frame.symbol)
			return 0;
	}
	return 0;
}

/* The place of a frame; a call's instruction lies before its return address. */
static struct place *place_of(struct trace_model *model, const struct frame *frame, bool call)
{
	struct place place = {.file = frame->file, .symbol = (char *)frame->symbol};
	uint64_t back = call && frame->offset > 0 ? 1 : 0;
	place.offset = frame->offset - back;
	if (frame->symbol && frame->file)
		place.symbol_offset = (uint64_t)frame->symbol_offset - back;
	return intern_place(model, &place);
}

int trace_stack_add(struct trace_model *model, struct trace_reader *reader, const json_t *line)
{
	int64_t id;
	int result = trace_integer(reader, line, "id", true, &id);
	if (result < 0)
		return result;
	const json_t *frames = json_object_get(line, "frames");
	if (!json_is_array(frames))
		return trace_reader_refuse(reader, "\"frames\" is not an array");
	struct frame frame = {0};
	size_t index = 0;
	result = choose_frame(model, reader, frames, &frame, &index);
	if (result < 0)
		return result;
	struct stack_place *stack = id_map_get(&model->index->stacks, (uint64_t)id);
	if (!stack) {
		stack = calloc(1, sizeof(*stack));
		if (!stack)
			return -ENOMEM;
		result = id_map_put(&model->index->stacks, (uint64_t)id, stack);
		if (result < 0) {
			free(stack);
			return result;
		}
	}
	stack->touching = place_of(model, &frame, index > 0);
	stack->allocating = place_of(model, &frame, true);
	return stack->touching && stack->allocating ? 0 : -ENOMEM;
}
