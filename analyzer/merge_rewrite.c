/* SPDX-License-Identifier: MIT */
/*
 * merge_rewrite.c: changes numbers in lines: of faults in the recorder's own shape directly, of all
 * others by jansson. Keys that it does not know stay as they are.
 */
#include "merge_rewrite.h"

#include "message.h"

#include <errno.h>
#include <string.h>

/* An identifier that no other trace has. False when it would not fit. */
static bool rewrite_id(const struct merge_rewrite *rewrite, int64_t *id)
{
	return *id >= 0 && !__builtin_mul_overflow(*id, rewrite->trace_count, id) &&
	       !__builtin_add_overflow(*id, rewrite->index, id);
}

static void rewrite_pid(const struct merge_rewrite *rewrite, int64_t *pid)
{
	const void *other = id_map_get(&rewrite->pids, (uint64_t)*pid);
	if (other)
		*pid = (int64_t)(uintptr_t)other;
}

static bool rewrite_fault(const struct merge_rewrite *rewrite, struct fault_line *fault)
{
	rewrite_pid(rewrite, &fault->pid);
	return !__builtin_add_overflow(fault->ts, rewrite->clock_ns, &fault->ts) &&
	       rewrite_id(rewrite, &fault->region) && rewrite_id(rewrite, &fault->alloc) &&
	       rewrite_id(rewrite, &fault->stack) && rewrite_id(rewrite, &fault->epoch);
}

/* What the number of a key is. */
enum number { NUMBER_ID, NUMBER_PID, NUMBER_TIME };

/* Changes a key's number where it is there. 0, -ERANGE or -ENOMEM. */
static int rewrite_key(
    const struct merge_rewrite *rewrite, json_t *line, const char *key, enum number kind)
{
	json_t *value = json_object_get(line, key);
	bool fits = true;
	if (!json_is_integer(value))
		return 0;
	int64_t number = json_integer_value(value);
	switch (kind) {
	case NUMBER_ID:
		fits = rewrite_id(rewrite, &number);
		break;
	case NUMBER_PID:
		rewrite_pid(rewrite, &number);
		break;
	case NUMBER_TIME:
		fits = !__builtin_add_overflow(number, rewrite->clock_ns, &number);
		break;
	}
	return fits ? json_integer_set(value, number) : -ERANGE;
}

/* A process with another number is told by its own one, too. */
static int keep_own_pid(const struct merge_rewrite *rewrite, json_t *line)
{
	const json_t *pid = json_object_get(line, "pid");
	if (json_object_get(line, "ns_pid") || !json_is_integer(pid))
		return 0;
	int64_t own = json_integer_value(pid), other = own;
	rewrite_pid(rewrite, &other);
	if (own == other)
		return 0;
	return json_object_set_new(line, "ns_pid", json_integer(own)) < 0 ? -ENOMEM : 0;
}

/* 0, -ERANGE or -ENOMEM. */
static int rewrite_json(
    const struct merge_rewrite *rewrite, enum trace_event_type type, json_t *line)
{
	static const struct {
		const char *key;
		enum number kind;
	} numbers[] = {{"pid", NUMBER_PID}, {"ppid", NUMBER_PID}, {"ts", NUMBER_TIME},
	    {"id", NUMBER_ID}, {"stack", NUMBER_ID}, {"region", NUMBER_ID}, {"alloc", NUMBER_ID},
	    {"epoch", NUMBER_ID}};
	int result = type == TRACE_PROCESS ? keep_own_pid(rewrite, line) : 0;
	for (size_t i = 0; result == 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		result = rewrite_key(rewrite, line, numbers[i].key, numbers[i].kind);
	json_t *frames = json_object_get(line, "frames");
	for (size_t i = 0; result == 0 && i < json_array_size(frames); i++)
		result = rewrite_key(rewrite, json_array_get(frames, i), "module", NUMBER_ID);
	return result;
}

bool merge_rewrite_knows(const struct trace_event *event)
{
	return event->type != TRACE_UNKNOWN;
}

int merge_rewrite_event(const struct merge_rewrite *rewrite, const struct trace_event *event,
    struct trace_output *output)
{
	struct fault_line fault;
	char text[FAULT_LINE_MAX];
	if (event->type == TRACE_FAULT && fault_line_parse(event->text, event->text_size, &fault)) {
		if (!rewrite_fault(rewrite, &fault))
			return -ERANGE;
		return trace_output_line(output, text, fault_line_write(text, &fault));
	}
	json_t *line = json_loadb(event->text, event->text_size, 0, NULL);
	int result = line ? rewrite_json(rewrite, event->type, line) : -ENOMEM;
	if (result == -ENOMEM)
		message("merge: out of memory");
	if (result == 0)
		result = trace_output_json(output, line);
	json_decref(line);
	return result;
}
