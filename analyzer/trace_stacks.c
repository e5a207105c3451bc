/* SPDX-License-Identifier: MIT */
/*
 * trace_stacks.c: the `module` and `stack` lines of a trace.
 */
#include "trace_private.h"

#include <errno.h>
#include <stdlib.h>

void trace_stacks_free(void *stack_line)
{
	struct stack_line *freed = stack_line;
	if (freed)
		free(freed->modules);
	free(freed);
}

int taking_module(struct taking *taking)
{
	struct trace *trace = taking->trace;
	int64_t id;
	const char *path, *build_id = "";
	int result = trace_integer(taking->reader, taking->json, "id", true, &id);
	if (result > 0)
		result = trace_string(taking->reader, taking->json, "path", true, &path);
	if (result > 0)
		result = trace_string(taking->reader, taking->json, "build_id", false, &build_id);
	if (result < 0)
		return result;
	struct module_line *module = arena_alloc(&trace->arena, sizeof(*module));
	const struct trace_file *file = trace_code_file(&trace->code, path, build_id);
	if (!module || !file || id_map_put(&trace->modules, (uint64_t)id, module) < 0)
		return taking_no_memory(taking);
	*module = (struct module_line){.file = file, .text = -1};
	taking->meaning->module = module;
	return 0;
}

/* The frame that an object of a stack line describes; its module, NULL without one. */
static int take_frame(struct taking *taking, const json_t *object, const struct trace_frame **frame,
    struct module_line **module)
{
	struct trace *trace = taking->trace;
	struct trace_reader *reader = taking->reader;
	struct trace_frame wanted = {0};
	int64_t id = 0, symbol_offset = 0;
	*module = NULL;
	if (!json_is_object(object))
		return trace_reader_refuse(reader, "a frame is not an object");
	int result = trace_integer(reader, object, "module", false, &id);
	if (result > 0) {
		*module = id_map_get(&trace->modules, (uint64_t)id);
		trace->undefined += !*module;
		wanted.file = *module ? (*module)->file : NULL;
	}
	if (result >= 0)
		result = trace_address(reader, object, "offset", false, &wanted.offset);
	if (result >= 0)
		result = trace_string(reader, object, "symbol", false, &wanted.symbol);
	if (result >= 0)
		result = trace_integer(reader, object, "symbol_offset", false, &symbol_offset);
	if (result < 0)
		return result;
	/* code that was generated is only told apart by its name */
	if (!wanted.file)
		wanted.offset = 0;
	else if (wanted.symbol && symbol_offset > 0)
		wanted.symbol_offset = symbol_offset;
	*frame = trace_code_frame(&trace->code, &wanted);
	return *frame ? 0 : taking_no_memory(taking);
}

/* Notes that the stack needs the module, once. */
static int note_module(struct taking *taking, struct stack_line *stack, struct module_line *module)
{
	for (uint32_t i = 0; i < stack->module_count; i++)
		if (stack->modules[i] == module)
			return 0;
	struct module_line **modules =
	    realloc(stack->modules, (stack->module_count + 1) * sizeof(*modules));
	if (!modules)
		return taking_no_memory(taking);
	stack->modules = modules;
	stack->modules[stack->module_count++] = module;
	return 0;
}

/* The stack of the frames, from the outermost on. */
static int take_frames(struct taking *taking, const json_t *frames, struct stack_line *line)
{
	struct trace_code *code = &taking->trace->code;
	bool notes_modules = taking->trace->filter && taking->trace->keeps_text;
	const struct trace_stack *stack = NULL;
	if (json_is_true(json_object_get(taking->json, "truncated"))) {
		const struct trace_frame *truncated = trace_code_truncated(code);
		stack = truncated ? trace_code_stack(code, truncated, NULL) : NULL;
		if (!stack)
			return taking_no_memory(taking);
	}
	for (size_t i = json_array_size(frames); i-- > 0;) {
		const struct trace_frame *frame = NULL;
		struct module_line *module;
		int result = take_frame(taking, json_array_get(frames, i), &frame, &module);
		if (result == 0 && module && notes_modules)
			result = note_module(taking, line, module);
		if (result < 0)
			return result;
		if (i > 0)
			frame = trace_code_call(code, frame);
		stack = frame ? trace_code_stack(code, frame, stack) : NULL;
		if (!stack)
			return taking_no_memory(taking);
	}
	line->touching = stack;
	return 0;
}

int taking_stack(struct taking *taking)
{
	struct trace *trace = taking->trace;
	int64_t id;
	int result = trace_integer(taking->reader, taking->json, "id", true, &id);
	if (result < 0)
		return result;
	const json_t *frames = json_object_get(taking->json, "frames");
	if (!json_is_array(frames))
		return trace_reader_refuse(taking->reader, "\"frames\" is not an array");
	if (json_array_size(frames) > TRACE_MOST_FRAMES)
		return trace_reader_refuse(
		    taking->reader, "a stack of more than %d frames", TRACE_MOST_FRAMES);
	struct stack_line *line = calloc(1, sizeof(*line));
	if (!line)
		return taking_no_memory(taking);
	line->text = -1;
	result = take_frames(taking, frames, line);
	if (result == 0 && id_map_get(&trace->stacks, (uint64_t)id)) {
		/* others may point to the one before */
		struct stack_line *before = id_map_get(&trace->stacks, (uint64_t)id);
		free(before->modules);
		*before = *line;
		free(line);
		line = before;
	} else if (result == 0 && id_map_put(&trace->stacks, (uint64_t)id, line) < 0) {
		result = taking_no_memory(taking);
	}
	if (result < 0) {
		trace_stacks_free(line);
		return result;
	}
	taking->meaning->stack = line;
	return 0;
}

struct stack_line *trace_find_stack(struct trace *trace, int64_t id)
{
	struct stack_line *line = id_map_get(&trace->stacks, (uint64_t)id);
	trace->undefined += !line;
	return line;
}

int taking_calling(struct taking *taking, const struct trace_stack **stack)
{
	struct trace_code *code = &taking->trace->code;
	int64_t id;
	int result = trace_integer(taking->reader, taking->json, "stack", false, &id);
	if (result <= 0)
		return result;
	struct stack_line *line = trace_find_stack(taking->trace, id);
	taking->meaning->stack = line;
	if (line && line->touching && !line->calling) {
		const struct trace_frame *call = trace_code_call(code, line->touching->frame);
		if (call)
			line->calling = trace_code_stack(code, call, line->touching->caller);
		if (!line->calling)
			return taking_no_memory(taking);
	}
	*stack = line ? line->calling : NULL;
	return 0;
}
