/* SPDX-License-Identifier: MIT */
/*
 * code_names.c: a list of functions, found by their hash, and one of frames, found by the index
 * that the trace gave them.
 */
#include "code_names.h"

#include "arena.h"
#include "hash.h"
#include "hash_set.h"
#include "text_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct list {
	const void **items;
	uint32_t count;
	size_t room;
};

struct code_names {
	struct arena arena;
	struct text_pool texts;
	struct locations *locations;
	struct hash_set function_set;
	struct list functions, frames;
	struct list by_index; /* frames by the index of the trace's; NULL: not asked yet */
	struct list path;     /* of the last code_names_stack */
	const struct code_frame *no_stack;
};

struct code_names *code_names_create(const struct location_request *request)
{
	struct code_names *names = calloc(1, sizeof(*names));
	if (!names)
		return NULL;
	names->locations = locations_create(request);
	if (names->locations)
		return names;
	free(names);
	return NULL;
}

void code_names_destroy(struct code_names *names)
{
	if (!names)
		return;
	locations_destroy(names->locations);
	arena_clear(&names->arena);
	text_pool_clear(&names->texts);
	hash_set_clear(&names->function_set);
	free(names->functions.items);
	free(names->frames.items);
	free(names->by_index.items);
	free(names->path.items);
	free(names);
}

/* Makes room for `room` items; new ones are NULL. False without memory. */
static bool reserve(struct list *list, size_t room)
{
	if (room <= list->room)
		return true;
	if (room < 2 * list->room)
		room = 2 * list->room;
	const void **items = reallocarray(list->items, room, sizeof(const void *));
	if (!items)
		return false;
	memset(items + list->room, 0, (room - list->room) * sizeof(*items));
	list->items = items;
	list->room = room;
	return true;
}

static bool equal_functions(const void *item, const void *key)
{
	const struct code_function *a = item, *b = key;
	return a->name == b->name && a->symbol == b->symbol && a->module == b->module &&
	       a->file == b->file;
}

/* The one function like this, whose strings are in the pool; NULL without memory. */
static const struct code_function *intern(
    struct code_names *names, const struct code_function *wanted)
{
	uint64_t hash = hash_pair(hash_pair((uintptr_t)wanted->name, (uintptr_t)wanted->symbol),
	    hash_pair((uintptr_t)wanted->module, (uintptr_t)wanted->file));
	struct code_function *function =
	    hash_set_find(&names->function_set, hash, equal_functions, wanted);
	if (function)
		return function;
	function = arena_alloc(&names->arena, sizeof(*function));
	if (!function || !reserve(&names->functions, (size_t)names->functions.count + 1) ||
	    hash_set_add(&names->function_set, hash, function) < 0)
		return NULL;
	*function = *wanted;
	function->index = names->functions.count++;
	names->functions.items[function->index] = function;
	return function;
}

const char *code_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* The name of code that has no symbol; NULL without memory. */
static const char *name_unnamed(struct code_names *names, const struct trace_frame *frame)
{
	char name[4096];
	if (!frame)
		return text_pool_add(&names->texts, "[no stack]");
	if (frame->is_truncated)
		return text_pool_add(&names->texts, "[truncated]");
	if (!frame->file)
		return text_pool_add(&names->texts, "[generated code]");
	snprintf(name, sizeof(name), "%s+0x%llx", code_base_name(frame->file->path),
	    (unsigned long long)frame->offset);
	return text_pool_add(&names->texts, name);
}

/* The function at one place of a frame; NULL without memory. */
static const struct code_function *function_of(
    struct code_names *names, const struct trace_frame *frame, const struct location *location)
{
	struct code_function function = {
	    .name = location ? location->function : NULL,
	    .symbol = location ? location->symbol : NULL,
	    .module = frame ? frame->file : NULL,
	    .file = location ? location->file : NULL,
	};
	if (!function.name)
		function.name = name_unnamed(names, frame);
	return function.name ? intern(names, &function) : NULL;
}

static const struct code_frame *make(struct code_names *names, const struct trace_frame *frame)
{
	size_t count = 1;
	const struct location *list = NULL, *site = NULL;
	if (frame) {
		list = locations_of(names->locations, frame, &count);
		site = locations_site(names->locations, frame);
		if (!list || !site)
			return NULL;
	}
	struct code_frame *made = arena_alloc(&names->arena, sizeof(*made));
	struct code_line *lines = arena_alloc(&names->arena, count * sizeof(*lines));
	if (!made || !lines || !reserve(&names->frames, (size_t)names->frames.count + 1))
		return NULL;
	for (size_t i = 0; i < count; i++) {
		lines[i].function = function_of(names, frame, list ? &list[i] : NULL);
		lines[i].line = list ? list[i].line : 0;
		if (!lines[i].function)
			return NULL;
	}
	*made = (struct code_frame){
	    .index = names->frames.count++,
	    .frame = frame,
	    .line_count = (unsigned)count,
	    .site = site ? (unsigned)(site - list) : 0,
	    .lines = lines,
	};
	names->frames.items[made->index] = made;
	return made;
}

const struct code_frame *code_names_frame(struct code_names *names, const struct trace_frame *frame)
{
	if (!frame) {
		if (!names->no_stack)
			names->no_stack = make(names, NULL);
		return names->no_stack;
	}
	if (!reserve(&names->by_index, (size_t)frame->index + 1))
		return NULL;
	const void **known = &names->by_index.items[frame->index];
	if (!*known)
		*known = make(names, frame);
	return *known;
}

const struct code_frame *code_names_site(struct code_names *names, const struct trace_stack *stack)
{
	if (!stack)
		return code_names_frame(names, NULL);
	const struct trace_frame *frame = locations_site_frame(names->locations, stack);
	return frame ? code_names_frame(names, frame) : NULL;
}

const struct code_frame *const *code_names_stack(
    struct code_names *names, const struct trace_stack *stack, size_t *count)
{
	*count = stack ? stack->depth : 1;
	if (!reserve(&names->path, *count))
		return NULL;
	for (size_t i = *count; i-- > 0; stack = stack ? stack->caller : NULL) {
		names->path.items[i] = code_names_frame(names, stack ? stack->frame : NULL);
		if (!names->path.items[i])
			return NULL;
	}
	return (const struct code_frame *const *)names->path.items;
}

uint32_t code_names_function_count(const struct code_names *names)
{
	return names->functions.count;
}

uint32_t code_names_frame_count(const struct code_names *names)
{
	return names->frames.count;
}

const struct code_function *code_names_function_at(const struct code_names *names, uint32_t index)
{
	return names->functions.items[index];
}

const struct code_frame *code_names_frame_at(const struct code_names *names, uint32_t index)
{
	return names->frames.items[index];
}
