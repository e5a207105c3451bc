/* SPDX-License-Identifier: MIT */
/*
 * trace_code.c: interns what the `module` and `stack` lines of a trace say, and decides which frame
 * names a stack.
 */
#include "trace_code.h"

#include "filter.h"
#include "hash.h"
#include "runtime_names.h"

#include <errno.h>
#include <stdlib.h>

void trace_code_clear(struct trace_code *code)
{
	hash_set_clear(&code->files);
	hash_set_clear(&code->frames);
	hash_set_clear(&code->stacks);
	free(code->stack_list);
	text_pool_clear(&code->texts);
	arena_clear(&code->arena);
	*code = (struct trace_code){0};
}

/* Texts of the pool are compared by address. */
static bool same_file(const void *item, const void *key)
{
	const struct trace_file *a = item, *b = key;
	return a->path == b->path && a->build_id == b->build_id;
}

const struct trace_file *trace_code_file(
    struct trace_code *code, const char *path, const char *build_id)
{
	struct trace_file wanted = {
	    .index = (uint32_t)code->files.count,
	    .path = text_pool_add(&code->texts, path),
	    .build_id = text_pool_add(&code->texts, build_id),
	};
	if (!wanted.path || !wanted.build_id)
		return NULL;
	uint64_t hash = hash_pair((uintptr_t)wanted.path, (uintptr_t)wanted.build_id);
	struct trace_file *file = hash_set_find(&code->files, hash, same_file, &wanted);
	if (file)
		return file;
	file = arena_alloc(&code->arena, sizeof(*file));
	if (!file || hash_set_add(&code->files, hash, file) < 0)
		return NULL;
	*file = wanted;
	file->is_runtime = runtime_names_file(path);
	return file;
}

static bool same_frame(const void *item, const void *key)
{
	const struct trace_frame *a = item, *b = key;
	return a->file == b->file && a->offset == b->offset && a->symbol == b->symbol &&
	       a->is_truncated == b->is_truncated;
}

const struct trace_frame *trace_code_frame(
    struct trace_code *code, const struct trace_frame *wanted)
{
	struct trace_frame key = *wanted;
	if (wanted->symbol && !(key.symbol = text_pool_add(&code->texts, wanted->symbol)))
		return NULL;
	uint64_t hash = hash_pair(
	    hash_pair((uintptr_t)key.file, key.offset), (uintptr_t)key.symbol ^ key.is_truncated);
	struct trace_frame *frame = hash_set_find(&code->frames, hash, same_frame, &key);
	if (frame)
		return frame;
	frame = arena_alloc(&code->arena, sizeof(*frame));
	if (!frame)
		return NULL;
	*frame = key;
	frame->index = (uint32_t)code->frames.count;
	frame->is_runtime =
	    (key.file && key.file->is_runtime) || (key.symbol && runtime_names_symbol(key.symbol));
	return hash_set_add(&code->frames, hash, frame) == 0 ? frame : NULL;
}

const struct trace_frame *trace_code_truncated(struct trace_code *code)
{
	if (!code->truncated)
		code->truncated =
		    trace_code_frame(code, &(struct trace_frame){.is_truncated = true});
	return code->truncated;
}

const struct trace_frame *trace_code_call(struct trace_code *code, const struct trace_frame *frame)
{
	/* code that was generated has no offset */
	if (!frame->file || frame->offset == 0)
		return frame;
	struct trace_frame call = *frame;
	call.offset--;
	if (call.symbol)
		call.symbol_offset--;
	return trace_code_frame(code, &call);
}

/*
 * The rule of trace.h, of a stack whose caller has been named already. With unnamed frames in
 * between, the caller's site is the named frame that stands for all of them.
 */
static void name_stack(struct trace_stack *stack)
{
	const struct trace_frame *frame = stack->frame;
	const struct trace_stack *caller = stack->caller;
	/* unnamed generated code says nothing: look further out */
	bool skipped = frame->is_runtime || (!frame->file && !frame->symbol);
	stack->site = frame;
	stack->has_site = !skipped || (caller && caller->has_site);
	if (skipped && stack->has_site)
		stack->site = caller->site;
	if (!skipped && !frame->symbol && caller && caller->frame->file == frame->file &&
	    !caller->frame->is_runtime && caller->site->symbol)
		stack->site = caller->site;
}

static bool same_stack(const void *item, const void *key)
{
	const struct trace_stack *a = item, *b = key;
	return a->frame == b->frame && a->caller == b->caller;
}

/* A place in the list for one more. 0 or -ENOMEM. */
static int make_room(struct trace_code *code)
{
	if (code->stacks.count < code->stack_room)
		return 0;
	size_t room = code->stack_room > 0 ? code->stack_room * 2 : 256;
	const struct trace_stack **list =
	    realloc(code->stack_list, room * sizeof(*code->stack_list));
	if (!list)
		return -ENOMEM;
	code->stack_list = list;
	code->stack_room = room;
	return 0;
}

const struct trace_stack *trace_code_stack(
    struct trace_code *code, const struct trace_frame *frame, const struct trace_stack *caller)
{
	struct trace_stack key = {.frame = frame, .caller = caller};
	uint64_t hash = hash_pair((uintptr_t)frame, (uintptr_t)caller);
	struct trace_stack *stack = hash_set_find(&code->stacks, hash, same_stack, &key);
	if (stack)
		return stack;
	stack = arena_alloc(&code->arena, sizeof(*stack));
	if (!stack || make_room(code) < 0)
		return NULL;
	*stack = key;
	stack->index = (uint32_t)code->stacks.count;
	stack->depth = caller ? caller->depth + 1 : 1;
	name_stack(stack);
	if (code->filter)
		stack->matches =
		    (caller && caller->matches) || filter_matches_frame(code->filter, frame);
	code->stack_list[stack->index] = stack;
	return hash_set_add(&code->stacks, hash, stack) == 0 ? stack : NULL;
}
