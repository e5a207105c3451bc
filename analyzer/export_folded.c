/* SPDX-License-Identifier: MIT */
/*
 * export_folded.c: folded stacks as Brendan Gregg's flamegraph.pl takes them, one a line, outermost
 * frame first: THREAD;FRAME;FRAME VALUE.
 */
#include "code_names.h"
#include "export_sums.h"
#include "export_text.h"
#include "string_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct folded {
	const struct export_job *export;
	struct export_sums sums;
	/* Stacks that differ in the places of calls only are one line. */
	struct string_table lines;
	uint64_t *values; /* by line */
	size_t value_room;
};

static void *start(const struct export_job *export)
{
	struct folded *folded = calloc(1, sizeof(*folded));
	if (folded)
		folded->export = export;
	return folded;
}

static int take(void *state, const struct trace_event *event)
{
	struct folded *folded = state;
	return export_sums_take(&folded->sums, event);
}

/* THREAD;FRAME;FRAME, to be freed; NULL without memory. */
static char *fold(const struct export_job *export, const struct export_sum *sum)
{
	char name[EXPORT_NAME_SIZE], *text = NULL;
	size_t count, size;
	const struct code_frame *const *frames =
	    code_names_stack(export->names, sum->stack, &count);
	FILE *memory = frames ? open_memstream(&text, &size) : NULL;
	if (!memory)
		return NULL;
	export_folded_text(memory, export_thread_name(sum->thread, name));
	for (size_t i = 0; i < count; i++)
		for (unsigned j = frames[i]->line_count; j-- > 0;) {
			putc_unlocked(';', memory);
			export_folded_text(memory, frames[i]->lines[j].function->name);
		}
	bool failed = ferror(memory);
	if (fclose(memory) == 0 && !failed)
		return text;
	free(text);
	return NULL;
}

/* Adds to the line of the sum's stack. 0 or -ENOMEM. */
static int add(struct folded *folded, const struct export_sum *sum)
{
	char *text = fold(folded->export, sum);
	int64_t line = text ? string_table_add(&folded->lines, text) : -ENOMEM;
	free(text);
	if (line < 0)
		return -ENOMEM;
	if ((size_t)line >= folded->value_room) {
		size_t room = 2 * folded->value_room + 256;
		uint64_t *values = reallocarray(folded->values, room, sizeof(*values));
		if (!values)
			return -ENOMEM;
		memset(
		    values + folded->value_room, 0, (room - folded->value_room) * sizeof(*values));
		folded->values = values;
		folded->value_room = room;
	}
	folded->values[line] += sum->values[folded->export->value];
	return 0;
}

static int finish(void *state)
{
	struct folded *folded = state;
	for (const struct export_sum *sum = folded->sums.first; sum; sum = sum->next)
		if (sum->values[folded->export->value] > 0 && add(folded, sum) < 0)
			return -ENOMEM;
	for (size_t i = 0; i < folded->lines.count; i++)
		fprintf(folded->export->out, "%s %llu\n", folded->lines.texts[i],
		    (unsigned long long)folded->values[i]);
	return 0;
}

static void destroy(void *state)
{
	struct folded *folded = state;
	export_sums_clear(&folded->sums);
	string_table_clear(&folded->lines);
	free(folded->values);
	free(folded);
}

const struct export_format folded_format = {
    .name = "folded",
    .summary = "folded stacks for flamegraph.pl, inferno, speedscope",
    .has_one_value = true,
    .start = start,
    .take = take,
    .finish = finish,
    .destroy = destroy,
};
