/* SPDX-License-Identifier: MIT */
/*
 * line.h: an event as the line of JSON that the trace has for it. Keys come in the order of the
 * trace's description, "type" first; a key without a value is left out.
 *
 * Names and paths in Linux are bytes, JSON is UTF-8: every byte that is not part of valid UTF-8
 * becomes U+FFFD, so that a line is always valid. Such a name cannot be told from another one
 * that differs only there.
 *
 * Unsigned values above 2^63 - 1 are written as 2^63 - 1, the largest integer that readers (and
 * jansson) take; no size, time or identifier gets there. Addresses are strings and stay whole.
 *
 * Used by the writer thread only, and before it starts for the session line.
 */
#ifndef FAULTLINE_LINE_H
#define FAULTLINE_LINE_H

#include "../protocol.h"
#include "event.h"
#include "writer.h"
#include <jansson.h>
#include <stddef.h>

/* Spelled as in the trace; indexed by enum fl_function. */
extern const char *const fl_function_names[FL_FUNCTION_COUNT];

/*
 * Who knows the function of a frame: its name (valid until the next call) and how far into it
 * frame->ip lies, or NULL.
 */
struct line_names {
	const char *(*name)(void *context, const struct event_stack *stack,
	    const struct event_frame *frame, uint64_t *symbol_offset);
	void *context;
};

/* Bytes that a line of line_often may take, its newline included. */
#define LINE_OFTEN_MAX 640

/*
 * Writes the line of a fault, an allocation or a free, newline included and without a NUL, into
 * `buffer` of LINE_OFTEN_MAX bytes; returns its length. Allocates nothing: these come by the
 * million.
 */
size_t line_often(char *buffer, const struct event *event);

/* A frame of a stack as a new reference; NULL when there is no memory. */
json_t *line_frame(const struct event_stack *stack, const struct event_frame *frame,
    const struct line_names *names);

/* What makes the lines of stacks. Keeps the texts of frames that it has met, at most 4 MiB. */
struct line_stacks;

struct line_stacks *line_stacks_create(const struct line_names *names); /* NULL: no memory */
void line_stacks_destroy(struct line_stacks *stacks);			/* accepts NULL */

/*
 * The line of a stack, newline included and without a NUL; valid until the next call. NULL when
 * there is no memory.
 */
const char *line_stack(struct line_stacks *stacks, const struct event_stack *event, size_t *size);

/*
 * The line of any other event as a new reference. NULL when there is no memory, or for a type
 * that has no line here.
 */
json_t *line_of_event(const struct event *event);

/* The first line and the last. `ts` is now. New references, or NULL when there is no memory. */
json_t *line_session(const struct writer_session *session, uint64_t ts);
json_t *line_end(const struct writer_totals *totals, uint64_t ts);

/* A `lost` line of the writer's own. */
json_t *line_lost(uint64_t ts, enum lost_what what, uint64_t count, const char *why);

#endif
