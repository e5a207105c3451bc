/* SPDX-License-Identifier: MIT */
/*
 * code_names.h: the frames of a trace in words: functions with their names demangled, source files
 * and lines, each looked up once. Both functions and frames are counted from 0, as they were first
 * asked for. Everything lives as long as the code_names, and the trace.
 */
#ifndef FAULTLINE_CODE_NAMES_H
#define FAULTLINE_CODE_NAMES_H

#include "locations.h"

struct code_names;

/* Functions that are alike are one. */
struct code_function {
	uint32_t index;
	/* FILE+0xOFFSET where it has no name, "[generated code]", "[truncated]", "[no stack]" */
	const char *name;
	const char *symbol;		 /* as in the file; NULL: it has none */
	const struct trace_file *module; /* NULL: none */
	const char *file;		 /* of the source; NULL: not known */
};

struct code_line {
	const struct code_function *function;
	int line; /* 0: not known */
};

/* What one trace_frame stands for: several functions where the compiler made them one. */
struct code_frame {
	uint32_t index;
	const struct trace_frame *frame; /* NULL: "no stack" */
	unsigned line_count;		 /* at least 1 */
	unsigned site;			 /* of the lines, the one that names the frame */
	const struct code_line *lines;	 /* innermost first; the last one is the frame's own */
};

/* NULL without memory. */
struct code_names *code_names_create(const struct location_request *request);
void code_names_destroy(struct code_names *names);

/* Of a frame, and of "no stack" (NULL). NULL without memory. */
const struct code_frame *code_names_frame(
    struct code_names *names, const struct trace_frame *frame);

/* The one that names a stack, see locations_site_frame; of no stack (NULL) the same as above. */
const struct code_frame *code_names_site(struct code_names *names, const struct trace_stack *stack);

/*
 * The frames of a stack, outermost first, `count` of them, in an array that is good until the next
 * call. Without a stack (NULL) it is one that says so. NULL without memory.
 */
const struct code_frame *const *code_names_stack(
    struct code_names *names, const struct trace_stack *stack, size_t *count);

/* So far. */
uint32_t code_names_function_count(const struct code_names *names);
uint32_t code_names_frame_count(const struct code_names *names);
const struct code_function *code_names_function_at(const struct code_names *names, uint32_t index);
const struct code_frame *code_names_frame_at(const struct code_names *names, uint32_t index);

/* The last part of a path. */
const char *code_base_name(const char *path);

#endif
