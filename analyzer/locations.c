/* SPDX-License-Identifier: MIT */
/*
 * locations.c: joins what the trace says of a frame with what debug information says.
 */
#include "locations.h"

#include "demangle.h"
#include "message.h"
#include "runtime_names.h"
#include "source_lines.h"
#include "text_pool.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct fl_option rows[] = {
    {.flag = "sysroot", .argument = "DIR", .help = "where the program's files are, if not at /"},
    {.flag = "no-lines", .help = "do not look for debug information: quicker"},
    {.flag = NULL},
};

const struct option_group location_options = {
    .title = "Names of functions, files and lines:",
    .rows = rows,
};

/* What is known of one frame. */
struct found {
	struct location *list; /* NULL: not asked yet */
	size_t count;
};

struct locations {
	struct source_lines *lines; /* NULL: with --no-lines */
	struct text_pool texts;
	struct arena arena;
	struct found *frames; /* by index */
	size_t room;
};

int location_option(struct location_request *request, const struct arguments *arguments)
{
	struct stat status;
	char path[PATH_MAX];
	if (arguments->option < rows || arguments->option >= rows + sizeof(rows) / sizeof(rows[0]))
		return 0;
	if (strcmp(arguments->option->flag, "no-lines") == 0) {
		request->no_lines = true;
		return 1;
	}
	/* a colon would end it in a list of folders */
	if (!realpath(arguments->value, path) || strchr(path, ':') || stat(path, &status) < 0 ||
	    !S_ISDIR(status.st_mode)) {
		message("%s: --sysroot=%s: must be a folder, without colons in its path",
		    arguments->command->name, arguments->value);
		return -EINVAL;
	}
	snprintf(request->sysroot, sizeof(request->sysroot), "%s", path);
	return 1;
}

struct locations *locations_create(const struct location_request *request)
{
	struct locations *locations = calloc(1, sizeof(*locations));
	if (!locations || request->no_lines)
		return locations;
	locations->lines =
	    source_lines_create(request->sysroot[0] != '\0' ? request->sysroot : NULL);
	if (!locations->lines) {
		free(locations);
		return NULL;
	}
	return locations;
}

void locations_destroy(struct locations *locations)
{
	if (!locations)
		return;
	source_lines_destroy(locations->lines);
	text_pool_clear(&locations->texts);
	arena_clear(&locations->arena);
	free(locations->frames);
	free(locations);
}

/* Sets symbol and function, demangled, in the pool; of NULL to NULL. False without memory. */
static bool set_name(struct locations *locations, const char *symbol, struct location *location)
{
	char *name = symbol ? demangle(symbol) : NULL;
	location->symbol = symbol ? text_pool_add(&locations->texts, symbol) : NULL;
	location->function = name ? text_pool_add(&locations->texts, name) : NULL;
	free(name);
	return !symbol || (location->symbol && location->function);
}

/* What the trace itself knows. False without memory. */
static bool fill_plain(struct locations *locations, const struct trace_frame *frame,
    const char *symbol, struct location *location)
{
	*location = (struct location){
	    .module = frame->file ? frame->file->path : NULL,
	    .offset = frame->offset,
	    .is_runtime = frame->is_runtime,
	    .is_generated = !frame->file && !frame->is_truncated,
	};
	if (frame->symbol)
		location->offset -= (uint64_t)frame->symbol_offset;
	if (!set_name(locations, symbol, location))
		return false;
	if (frame->is_truncated)
		location->function = "[truncated]";
	return true;
}

/*
 * The name of a function that others are inlined into, from the two that may be known. The trace's
 * is the public one ("read", not "__GI___libc_read") when it is of this very function: a stripped
 * file has only some names, and the nearest may be another's. Names with a dot are those of parts
 * and copies that the compiler made.
 */
static const char *outer_name(const struct source_line *line, const struct trace_frame *frame)
{
	if (!line->function)
		return frame->symbol;
	bool same = frame->symbol && line->start == frame->offset - (uint64_t)frame->symbol_offset;
	return same && !strchr(frame->symbol, '.') ? frame->symbol : line->function;
}

static int fill(struct locations *locations, const struct trace_frame *frame, struct found *found)
{
	struct source_line lines[SOURCE_LINES_MOST];
	const struct trace_file *file = frame->file;
	const char *symbol = frame->symbol;
	size_t count = 0;
	bool failed = false;
	if (file && locations->lines)
		count = source_lines_find(
		    locations->lines, file->path, file->build_id, frame->offset, lines);
	if (file && locations->lines && !symbol && count == 0)
		symbol = source_lines_symbol(
		    locations->lines, file->path, file->build_id, frame->offset);
	found->count = count > 0 ? count : 1;
	found->list = arena_alloc(&locations->arena, found->count * sizeof(*found->list));
	if (!found->list || !fill_plain(locations, frame, symbol, &found->list[found->count - 1]))
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		bool outermost = i + 1 == count;
		const char *name = lines[i].function;
		if (outermost)
			name = outer_name(&lines[i], frame);
		struct location *location = &found->list[i];
		*location = (struct location){
		    .module = file->path,
		    .offset = frame->offset,
		    .line = lines[i].line,
		    .is_inlined = !outermost,
		    .is_runtime = frame->is_runtime || (name && runtime_names_symbol(name)),
		};
		failed |= !set_name(locations, name, location);
		if (lines[i].file)
			location->file = text_pool_add(&locations->texts, lines[i].file);
		failed |= lines[i].file && !location->file;
		if (!location->file && frame->symbol)
			location->offset -= (uint64_t)frame->symbol_offset;
	}
	return failed ? -ENOMEM : 0;
}

static struct found *find(struct locations *locations, const struct trace_frame *frame)
{
	if (frame->index >= locations->room) {
		size_t room = locations->room > 0 ? locations->room : 256;
		while (room <= frame->index)
			room *= 2;
		struct found *grown = realloc(locations->frames, room * sizeof(*grown));
		if (!grown)
			return NULL;
		memset(grown + locations->room, 0, (room - locations->room) * sizeof(*grown));
		locations->frames = grown;
		locations->room = room;
	}
	struct found *found = &locations->frames[frame->index];
	if (!found->list && fill(locations, frame, found) < 0) {
		found->list = NULL;
		return NULL;
	}
	return found;
}

const struct location *locations_of(
    struct locations *locations, const struct trace_frame *frame, size_t *count)
{
	const struct found *found = find(locations, frame);
	*count = found ? found->count : 0;
	return found ? found->list : NULL;
}

const struct location *locations_site(struct locations *locations, const struct trace_frame *frame)
{
	const struct found *found = find(locations, frame);
	if (!found)
		return NULL;
	size_t i = 0;
	while (i + 1 < found->count && found->list[i].is_runtime)
		i++;
	/* all runtime: the innermost */
	return &found->list[found->list[i].is_runtime ? 0 : i];
}

const struct trace_frame *locations_site_frame(
    struct locations *locations, const struct trace_stack *stack)
{
	const struct trace_stack *at = stack;
	/* the first that is neither runtime nor generated code without a name */
	while (at && (at->frame->is_runtime || (!at->frame->file && !at->frame->symbol)))
		at = at->caller;
	if (!at || at->frame == stack->site)
		return stack->site;
	const struct location *location = locations_site(locations, at->frame);
	if (!location)
		return NULL;
	return location->function ? at->frame : stack->site;
}
