/* SPDX-License-Identifier: MIT */
/*
 * trace_code.h: the files, frames and stacks of a trace, each kept once. Private to trace*.c.
 */
#ifndef FAULTLINE_TRACE_CODE_H
#define FAULTLINE_TRACE_CODE_H

#include "arena.h"
#include "hash_set.h"
#include "text_pool.h"
#include "trace.h"

/* A zeroed one is empty. */
struct trace_code {
	struct arena arena;
	struct text_pool texts;
	struct hash_set files, frames, stacks;
	const struct trace_stack **stack_list; /* by index */
	size_t stack_room;
	const struct trace_frame *truncated;
	const struct filter *filter; /* for trace_stack's `matches`; NULL: none */
};

void trace_code_clear(struct trace_code *code);

/* The one file of that path and build-id, made if it is new; NULL without memory. */
const struct trace_file *trace_code_file(
    struct trace_code *code, const char *path, const char *build_id);

/* The one frame like this, whose symbol is copied; NULL without memory. */
const struct trace_frame *trace_code_frame(
    struct trace_code *code, const struct trace_frame *wanted);

/* The frame that stands for those that are missing; NULL without memory. */
const struct trace_frame *trace_code_truncated(struct trace_code *code);

/* The frame of a call that returns to `frame`: its last byte; NULL without memory. */
const struct trace_frame *trace_code_call(struct trace_code *code, const struct trace_frame *frame);

/* The one stack of a frame and its caller's stack; NULL without memory. */
const struct trace_stack *trace_code_stack(
    struct trace_code *code, const struct trace_frame *frame, const struct trace_stack *caller);

#endif
