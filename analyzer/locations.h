/* SPDX-License-Identifier: MIT */
/*
 * locations.h: frames as people know them: functions by their demangled names, source files and
 * lines, and the functions that the compiler has put into others as frames of their own. A file
 * that is not there any more, or has no debug information, costs detail and nothing else. What was
 * found of a frame is kept.
 *
 * Commands that show code have the options of `location_options`.
 */
#ifndef FAULTLINE_LOCATIONS_H
#define FAULTLINE_LOCATIONS_H

#include "arguments.h"
#include "trace.h"

/* For the `groups` of a command. */
extern const struct option_group location_options;

struct location_request {
	char sysroot[4096]; /* an absolute path; "": none */
	bool no_lines;	    /* neither files nor lines nor inlined functions */
};

/* 1 when the option that arguments_next has found is one of this table, 0 when not, or -EINVAL. */
int location_option(struct location_request *request, const struct arguments *arguments);

/* Strings belong to the locations, and are equal when their addresses are. */
struct location {
	const char *function; /* demangled, with its parameters; NULL: unnamed */
	const char *symbol;   /* the same as in the file; NULL: unnamed */
	const char *module;   /* path; NULL: generated code, or frames that are missing */
	uint64_t offset;  /* in the module: the function's start where it has a name and no line */
	const char *file; /* NULL: not known */
	int line;
	bool is_inlined;   /* into the location behind it */
	bool is_generated; /* at run time: in no file */
	bool is_runtime;   /* says how memory was touched and not why */
};

struct locations;

/* NULL without memory. */
struct locations *locations_create(const struct location_request *request);
void locations_destroy(struct locations *locations);

/*
 * Where a frame is, the innermost function first: at least one location; or NULL without memory.
 * A truncated stack's last frame has the function "[truncated]".
 */
const struct location *locations_of(
    struct locations *locations, const struct trace_frame *frame, size_t *count);

/* The one of them that names the frame: the innermost that is no runtime. NULL without memory. */
const struct location *locations_site(struct locations *locations, const struct trace_frame *frame);

/*
 * The frame that names a stack, as trace.h says of trace_stack's `site`; but a function whose name
 * only debug information knows needs no other to stand for it. NULL without memory.
 */
const struct trace_frame *locations_site_frame(
    struct locations *locations, const struct trace_stack *stack);

#endif
