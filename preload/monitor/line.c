/* SPDX-License-Identifier: MIT */
/*
 * line.c: the lines that come less often, by jansson; see line.h. Runs in the monitor's writer
 * thread; writes no file and keeps no state.
 */
#include "line.h"

#include "../options.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#ifndef FAULTLINE_VERSION
#define FAULTLINE_VERSION "0.1.0"
#endif

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* The word for an enumerator, or NULL (which leaves the key out) for one that is not known. */
#define WORD(table, index) ((size_t)(index) < COUNT(table) ? (table)[index] : NULL)

const char *const fl_function_names[FL_FUNCTION_COUNT] = {
    [FL_MALLOC] = "malloc",
    [FL_CALLOC] = "calloc",
    [FL_REALLOC] = "realloc",
    [FL_REALLOCARRAY] = "reallocarray",
    [FL_MEMALIGN] = "memalign",
    [FL_POSIX_MEMALIGN] = "posix_memalign",
    [FL_ALIGNED_ALLOC] = "aligned_alloc",
    [FL_VALLOC] = "valloc",
    [FL_PVALLOC] = "pvalloc",
};

static const char *const process_words[] = {
    [PROCESS_START] = "start",
    [PROCESS_FORK] = "fork",
    [PROCESS_EXEC] = "exec",
    [PROCESS_DETACH] = "detach",
    [PROCESS_EXIT] = "exit",
};
static const char *const memory_words[] = {
    [MEMORY_ANON] = "anon",
    [MEMORY_SHMEM] = "shmem",
    [MEMORY_HUGETLB] = "hugetlb",
};
static const char *const reason_words[] = {
    [REGION_END_UNMAP] = "unmap",
    [REGION_END_REPLACE] = "replace",
    [REGION_END_EXEC] = "exec",
    [REGION_END_EXIT] = "exit",
};
static const char *const lost_words[] = {
    [LOST_STACKS] = "stacks",
    [LOST_EVENTS] = "events",
    [LOST_LINES] = "lines",
};

/* An object in the making. After the first failure nothing more is added. */
struct object {
	json_t *json;
	bool failed;
};

static void set(struct object *object, const char *key, json_t *value)
{
	if (object->failed)
		json_decref(value);
	else if (json_object_set_new_nocheck(object->json, key, value))
		object->failed = true;
}

static struct object object_of_type(const char *type)
{
	struct object object = {.json = json_object()};

	object.failed = !object.json;
	if (type)
		set(&object, "type", json_string_nocheck(type));
	return object;
}

static json_t *finished(struct object object)
{
	if (!object.failed)
		return object.json;
	json_decref(object.json);
	return NULL;
}

/* Bytes of the UTF-8 sequence at `text`, 0 when it is not valid (RFC 3629, section 4). */
static size_t sequence_length(const unsigned char *text, size_t size)
{
	unsigned char first = text[0], low = 0x80, high = 0xbf;
	size_t length;

	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if (first == 0xe0)
		low = 0xa0; /* no overlong forms */
	if (first == 0xed)
		high = 0x9f; /* no surrogates */
	if (first == 0xf0)
		low = 0x90;
	if (first == 0xf4)
		high = 0x8f; /* nothing above U+10FFFF */
	if (size < length || text[1] < low || text[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	}
	return length;
}

/* A string of any bytes; those that are not UTF-8 are replaced. NULL when out of memory. */
static json_t *text_value(const char *bytes, size_t size)
{
	static const char replacement[3] = "\xef\xbf\xbd"; /* U+FFFD */
	json_t *value = json_stringn(bytes, size);
	char *clean, *at;

	if (value)
		return value;
	clean = at = malloc(size * sizeof(replacement) + 1);
	if (!clean)
		return NULL;
	while (size > 0) {
		size_t length = sequence_length((const unsigned char *)bytes, size);

		if (length > 0) {
			memcpy(at, bytes, length);
			at += length;
		} else {
			memcpy(at, replacement, sizeof(replacement));
			at += sizeof(replacement);
			length = 1;
		}
		bytes += length;
		size -= length;
	}
	value = json_stringn(clean, (size_t)(at - clean));
	free(clean);
	return value;
}

static void set_signed(struct object *object, const char *key, int64_t value)
{
	set(object, key, json_integer(value));
}

static void set_integer(struct object *object, const char *key, uint64_t value)
{
	set_signed(object, key, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

/* Leaves the key out when the value is 0, which stands for "none". */
static void set_some(struct object *object, const char *key, uint64_t value)
{
	if (value)
		set_integer(object, key, value);
}

static void set_address(struct object *object, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	set(object, key, json_string_nocheck(text));
}

/* Leaves the key out when there is no text. */
static void set_text(struct object *object, const char *key, const char *text, size_t size)
{
	if (text && size > 0)
		set(object, key, text_value(text, size));
}

static void set_string(struct object *object, const char *key, const char *text)
{
	set_text(object, key, text, text ? strlen(text) : 0);
}

static void set_thread(struct object *object, int32_t pid, int32_t tid)
{
	set_signed(object, "pid", pid);
	if (tid)
		set_signed(object, "tid", tid);
}

static void append(struct object *object, json_t *array, json_t *value)
{
	if (json_array_append_new(array, value))
		object->failed = true;
}

static json_t *line_process(const struct event_process *event)
{
	struct object object = object_of_type("process");
	const char *text = event->text, *end = text + event->text_size;
	bool exited = event->event == PROCESS_EXIT;
	size_t size;

	set_integer(&object, "ts", event->head.ts);
	set_signed(&object, "pid", event->pid);
	if (event->ppid)
		set_signed(&object, "ppid", event->ppid);
	if (event->inner_pid)
		set_signed(&object, "ns_pid", event->inner_pid);
	if (event->inner_pid)
		set_some(&object, "pid_ns", event->pid_namespace);
	set_string(&object, "event", WORD(process_words, event->event));
	if (event->exe_size > 0) {
		size = strnlen(text, (size_t)(end - text));
		set_text(&object, "exe", text, size);
		text += size < (size_t)(end - text) ? size + 1 : size;
	}
	if (event->argc > 0) {
		json_t *words = json_array();

		for (uint32_t i = 0; i < event->argc && text < end; i++) {
			size = strnlen(text, (size_t)(end - text));
			append(&object, words, text_value(text, size));
			text += size < (size_t)(end - text) ? size + 1 : size;
		}
		set(&object, "command", words);
	}
	if (exited && event->signal > 0)
		set_signed(&object, "signal", event->signal);
	else if (exited && event->status >= 0)
		set_signed(&object, "status", event->status);
	return finished(object);
}

static json_t *line_thread(const struct event_thread *event)
{
	struct object object = object_of_type("thread");

	set_integer(&object, "ts", event->head.ts);
	set_thread(&object, event->pid, event->tid);
	set_text(&object, "name", event->name, strnlen(event->name, sizeof(event->name)));
	if (event->group)
		set_signed(&object, "process", event->group);
	return finished(object);
}

static json_t *line_module(const struct event_module *event)
{
	struct object object = object_of_type("module");
	char build_id[2 * sizeof(event->build_id) + 1] = "";

	for (uint32_t i = 0; i < event->build_id_size && i < sizeof(event->build_id); i++)
		snprintf(build_id + 2 * i, 3, "%02x", event->build_id[i]);
	set_integer(&object, "id", event->id);
	set_signed(&object, "pid", event->pid);
	set_text(&object, "path", event->path, strnlen(event->path, event->path_size));
	set_string(&object, "build_id", build_id);
	set_address(&object, "start", event->start);
	set_address(&object, "end", event->end);
	set_integer(&object, "offset", event->offset);
	return finished(object);
}

json_t *line_frame(const struct event_stack *stack, const struct event_frame *frame,
    const struct line_names *names)
{
	struct object object = object_of_type(NULL);
	uint64_t symbol_offset = 0;
	const char *symbol;

	set_address(&object, "ip", frame->ip);
	if (frame->module) {
		set_integer(&object, "module", frame->module);
		set_address(&object, "offset", frame->offset);
	}
	symbol = names->name(names->context, stack, frame, &symbol_offset);
	if (symbol) {
		set_string(&object, "symbol", symbol);
		set_integer(&object, "symbol_offset", symbol_offset);
	}
	return finished(object);
}

static json_t *line_region(const struct event_region *event)
{
	struct object object = object_of_type("region");

	set_integer(&object, "id", event->id);
	set_integer(&object, "ts", event->head.ts);
	set_thread(&object, event->pid, event->tid);
	set_address(&object, "start", event->start);
	set_integer(&object, "size", event->size);
	set_string(&object, "source", WORD(fl_source_names, event->source));
	set_string(&object, "memory", WORD(memory_words, event->memory));
	set_some(&object, "page_size", event->page_size);
	if (event->prot >= 0)
		set_signed(&object, "prot", event->prot);
	if (event->flags >= 0)
		set_signed(&object, "flags", event->flags);
	set_some(&object, "stack", event->stack);
	return finished(object);
}

static json_t *line_region_end(const struct event_region_end *event)
{
	struct object object = object_of_type("region_end");

	set_integer(&object, "id", event->id);
	set_integer(&object, "ts", event->head.ts);
	set_signed(&object, "pid", event->pid);
	set_string(&object, "reason", WORD(reason_words, event->reason));
	if (event->partial) {
		set_address(&object, "start", event->start);
		set_integer(&object, "size", event->size);
	}
	return finished(object);
}

static json_t *line_remap(const struct event_remap *event)
{
	struct object object = object_of_type("remap");

	set_integer(&object, "ts", event->head.ts);
	set_thread(&object, event->pid, event->tid);
	set_some(&object, "region", event->region);
	set_address(&object, "from", event->from);
	set_address(&object, "to", event->to);
	set_integer(&object, "size", event->size);
	return finished(object);
}

static json_t *line_remove(const struct event_remove *event)
{
	struct object object = object_of_type("remove");

	set_integer(&object, "ts", event->head.ts);
	set_thread(&object, event->pid, event->tid);
	set_address(&object, "start", event->start);
	set_integer(&object, "size", event->size);
	if (event->lazy)
		set(&object, "lazy", json_true());
	return finished(object);
}

static json_t *lost_value(
    uint64_t ts, uint32_t what, uint64_t count, const char *why, size_t why_size)
{
	struct object object = object_of_type("lost");

	set_integer(&object, "ts", ts);
	set_string(&object, "what", WORD(lost_words, what));
	set_integer(&object, "count", count);
	set_text(&object, "why", why, why_size);
	return finished(object);
}

json_t *line_lost(uint64_t ts, enum lost_what what, uint64_t count, const char *why)
{
	return lost_value(ts, what, count, why, strlen(why));
}

json_t *line_of_event(const struct event *event)
{
	const struct event_lost *lost;

	switch (event->type) {
	case EVENT_PROCESS:
		return line_process((const struct event_process *)event);
	case EVENT_THREAD:
		return line_thread((const struct event_thread *)event);
	case EVENT_MODULE:
		return line_module((const struct event_module *)event);
	case EVENT_REGION:
		return line_region((const struct event_region *)event);
	case EVENT_REGION_END:
		return line_region_end((const struct event_region_end *)event);
	case EVENT_REMAP:
		return line_remap((const struct event_remap *)event);
	case EVENT_REMOVE:
		return line_remove((const struct event_remove *)event);
	case EVENT_LOST:
		lost = (const struct event_lost *)event;
		return lost_value(event->ts, lost->what, lost->count, lost->why,
		    strnlen(lost->why, lost->why_size));
	default:
		return NULL;
	}
}

static void set_words(struct object *object, const char *key, const char *const *words)
{
	json_t *array = json_array();

	for (; words && *words; words++)
		append(object, array, text_value(*words, strlen(*words)));
	set(object, key, array);
}

json_t *line_session(const struct writer_session *session, uint64_t ts)
{
	struct object object = object_of_type("session");
	struct utsname system;
	time_t now = time(NULL);
	struct tm utc;
	char text[32];

	uname(&system);
	gmtime_r(&now, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);

	/* output.c knows a trace by how this begins. */
	set_string(&object, "format", "faultline-trace");
	set_integer(&object, "version", 1);
	set_string(&object, "tool", "faultline " FAULTLINE_VERSION);
	set_string(&object, "time", text);
	set_integer(&object, "ts", ts);
	set_string(&object, "clock", "monotonic");
	set_signed(&object, "page_size", sysconf(_SC_PAGESIZE));
	set_string(&object, "kernel", system.release);
	set_string(&object, "machine", system.machine);
	set_signed(&object, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
	set_string(&object, "mode", session->mode);
	set_string(&object, "capture", session->capture);
	set_integer(&object, "granularity", session->granularity);
	if (session->delay_ns)
		set_integer(&object, "delay_ns", session->delay_ns);
	if (session->unprivileged)
		set(&object, "unprivileged", json_true());
	set_string(&object, "thp", session->thp);
	set_words(&object, "features", session->features);
	set_words(&object, "command", session->command);
	return finished(object);
}

json_t *line_end(const struct writer_totals *totals, uint64_t ts)
{
	struct object object = object_of_type("end");

	set_integer(&object, "ts", ts);
	set_integer(&object, "faults", totals->faults);
	set_integer(&object, "regions", totals->regions);
	set_integer(&object, "stacks", totals->stacks);
	set_integer(&object, "lost", totals->lost);
	set_integer(&object, "duration_ns", totals->duration_ns);
	set_integer(&object, "processes", totals->processes);
	if (totals->ended_by)
		set_string(&object, "ended_by", totals->ended_by);
	return finished(object);
}
