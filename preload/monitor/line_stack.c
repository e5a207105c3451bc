/* SPDX-License-Identifier: MIT */
/*
 * line_stack.c: the lines of stacks, put together from the texts of their frames; see line.h. Many
 * stacks are made of few frames, and a frame costs jansson and the symbol table some microseconds:
 * 10,000 stacks of 30 frames took the writer half a second, which is a processor that the program
 * did not have. Runs in the monitor's writer thread.
 */
#include "line.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES	   8192u /* texts that are kept; a power of two */
#define FRAME_MOST 512u	 /* bytes; a longer text is not kept, so that they stay below 4 MiB */
#define HEAD_MOST  64u	 /* of what comes before the frames, and behind them */

struct frame_text {
	struct event_frame frame;
	uint32_t size;
	char *json; /* NULL: none here */
};

struct line_stacks {
	struct line_names names;
	struct frame_text frames[FRAMES]; /* each at its frame's only place */
	char *line;
	size_t used, room;
};

struct line_stacks *line_stacks_create(const struct line_names *names)
{
	struct line_stacks *stacks = calloc(1, sizeof(*stacks));

	if (stacks)
		stacks->names = *names;
	return stacks;
}

void line_stacks_destroy(struct line_stacks *stacks)
{
	if (!stacks)
		return;
	for (uint32_t i = 0; i < FRAMES; i++)
		free(stacks->frames[i].json);
	free(stacks->line);
	free(stacks);
}

/* `size` bytes more at the end of the line, not yet filled in; NULL: no memory. */
static char *more(struct line_stacks *stacks, size_t size)
{
	size_t room = stacks->room ? stacks->room : 4096;
	char *line;

	while (room - stacks->used < size)
		room *= 2;
	if (room != stacks->room) {
		line = realloc(stacks->line, room);
		if (!line)
			return NULL;
		stacks->line = line;
		stacks->room = room;
	}
	stacks->used += size;
	return stacks->line + stacks->used - size;
}

static bool append(struct line_stacks *stacks, const char *bytes, size_t size)
{
	char *at = more(stacks, size);

	if (at)
		memcpy(at, bytes, size);
	return at;
}

static struct frame_text *place_of(struct line_stacks *stacks, const struct event_frame *frame)
{
	uint64_t hash = (frame->ip ^ (uint64_t)frame->module << 48 ^ frame->exact) *
			UINT64_C(0x9e3779b97f4a7c15);

	return &stacks->frames[hash >> 32 & (FRAMES - 1)];
}

static bool is_same(const struct event_frame *one, const struct event_frame *other)
{
	return one->ip == other->ip && one->offset == other->offset &&
	       one->module == other->module && one->exact == other->exact;
}

/* The names of generated code change; a module's do not. */
static bool append_frame(
    struct line_stacks *stacks, const struct event_stack *event, const struct event_frame *frame)
{
	struct frame_text *kept = frame->module ? place_of(stacks, frame) : NULL;
	json_t *json;
	size_t size;
	char *text;
	bool done;

	if (kept && kept->json && is_same(&kept->frame, frame))
		return append(stacks, kept->json, kept->size);
	json = line_frame(event, frame, &stacks->names);
	text = json ? json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
	json_decref(json);
	if (!text)
		return false;
	size = strlen(text);
	done = append(stacks, text, size);
	if (!kept || size > FRAME_MOST) {
		free(text);
		return done;
	}
	free(kept->json);
	*kept = (struct frame_text){*frame, (uint32_t)size, text};
	return done;
}

const char *line_stack(struct line_stacks *stacks, const struct event_stack *event, size_t *size)
{
	char text[HEAD_MOST];
	int length = snprintf(
	    text, sizeof(text), "{\"type\":\"stack\",\"id\":%" PRIu32 ",\"frames\":[", event->id);

	stacks->used = 0;
	if (!append(stacks, text, (size_t)length))
		return NULL;
	for (uint32_t i = 0; i < event->count; i++)
		if ((i && !append(stacks, ",", 1)) ||
		    !append_frame(stacks, event, &event->frames[i]))
			return NULL;
	length =
	    snprintf(text, sizeof(text), "]%s}\n", event->truncated ? ",\"truncated\":true" : "");
	if (!append(stacks, text, (size_t)length))
		return NULL;
	*size = stacks->used;
	return stacks->line;
}
