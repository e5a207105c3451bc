/* SPDX-License-Identifier: MIT */
/*
 * trace.c: opens a trace, asks the filters about each event, and delivers before an event what it
 * needs and what was passed over before.
 */
#include "trace_private.h"

#include "filter.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Notes that there is no memory; returns -ENOMEM. */
static int no_memory(struct trace *trace)
{
	return trace_reader_no_memory(trace->reader);
}

/*
 * Puts an event behind those that wait. Its text, or where it is kept aside, may be there or not.
 */
static int wait_event(struct trace *trace, const struct trace_event *event, int64_t text)
{
	if (trace->waiting_count == trace->waiting_room) {
		size_t room = trace->waiting_room > 0 ? trace->waiting_room * 2 : 16;
		struct trace_waiting *grown =
		    realloc(trace->waiting, room * sizeof(*trace->waiting));
		if (!grown)
			return no_memory(trace);
		trace->waiting = grown;
		trace->waiting_room = room;
	}
	trace->waiting[trace->waiting_count++] = (struct trace_waiting){*event, text};
	return 0;
}

/* Keeps the event's text aside. Its place in *text, or -1 when texts are not wanted. */
static int put_aside(struct trace *trace, const struct trace_event *event, int64_t *text)
{
	*text = -1;
	if (!trace->keeps_text)
		return 0;
	*text = line_store_put(&trace->aside, event->text, event->text_size);
	if (*text >= 0)
		return 0;
	return trace_reader_refuse(trace->reader, "cannot keep lines aside in a temporary file: %s",
	    strerror((int)-*text));
}

/* The text of an event that waited. */
static int fetch_text(struct trace *trace, struct trace_event *event, int64_t text)
{
	int64_t size = line_store_get(&trace->aside, text, &trace->text, &trace->text_room);
	if (size < 0)
		return trace_reader_refuse(trace->reader,
		    "cannot read lines back from a temporary file: %s", strerror((int)-size));
	event->text = trace->text;
	event->text_size = (size_t)size;
	return 0;
}

void trace_pending_free(struct trace_pending *last)
{
	struct trace_pending *pending = last ? last->next : NULL;
	if (last)
		last->next = NULL;
	for (struct trace_pending *next; pending; pending = next) {
		next = pending->next;
		free(pending);
	}
}

/* Adds an event to those that are delivered when what it is about is kept. */
static int pend(struct trace *trace, struct trace_pending **last, const struct trace_event *event)
{
	struct trace_pending *pending = malloc(sizeof(*pending));
	if (!pending)
		return no_memory(trace);
	*pending = (struct trace_pending){.event = *event};
	pending->event.text = NULL;
	pending->event.text_size = 0;
	int result = put_aside(trace, event, &pending->text);
	if (result < 0) {
		free(pending);
		return result;
	}
	pending->next = *last ? (*last)->next : pending;
	if (*last)
		(*last)->next = pending;
	*last = pending;
	return 0;
}

/* Delivers what a list has, and empties it. */
static int release(struct trace *trace, struct trace_pending **last)
{
	struct trace_pending *pending = *last ? (*last)->next : NULL;
	int result = 0;
	for (; pending && result == 0; pending = pending == *last ? NULL : pending->next)
		result = wait_event(trace, &pending->event, pending->text);
	trace_pending_free(*last);
	*last = NULL;
	return result;
}

static int need_process(struct trace *trace, const struct trace_process *needed)
{
	if (needed->kept)
		return 0;
	struct trace_process *process = trace->process_list[needed->index];
	process->kept = true;
	return release(trace, &process->pending);
}

static int need_thread(struct trace *trace, const struct trace_thread *needed)
{
	if (!needed || needed->kept)
		return 0;
	struct trace_thread *thread = trace->thread_list[needed->index];
	int result = need_process(trace, thread->process);
	thread->kept = true;
	return result == 0 ? release(trace, &thread->pending) : result;
}

/* Without texts, modules and stacks are no events. */
static int need_stack(struct trace *trace, struct stack_line *stack)
{
	if (!stack || stack->kept || !trace->keeps_text)
		return 0;
	stack->kept = true;
	struct trace_event event = {.type = TRACE_MODULE, .time_ns = trace->last_ns};
	for (uint32_t i = 0; i < stack->module_count; i++) {
		struct module_line *module = stack->modules[i];
		if (module->kept)
			continue;
		module->kept = true;
		int result = wait_event(trace, &event, module->text);
		if (result < 0)
			return result;
	}
	event.type = TRACE_STACK;
	return wait_event(trace, &event, stack->text);
}

/* Delivers the definition of a region or allocation, and what it needs itself. */
static int need_span(struct trace *trace, struct trace_definition *defined,
    const struct trace_process *process, const struct trace_thread *thread,
    const struct trace_event *event)
{
	if (defined->kept)
		return 0;
	defined->kept = true;
	int result = need_process(trace, process);
	if (result == 0)
		result = need_thread(trace, thread);
	if (result == 0)
		result = need_stack(trace, defined->stack);
	if (result == 0)
		result = wait_event(trace, event, defined->text);
	return result == 0 ? release(trace, &defined->pending) : result;
}

static int need_region(struct trace *trace, struct trace_region *region)
{
	struct trace_event event = {
	    .type = TRACE_REGION, .time_ns = region->time_ns, .region = region};
	return need_span(trace, &region->defined, region->process, region->thread, &event);
}

static int need_alloc(struct trace *trace, struct trace_alloc *alloc)
{
	struct trace_event event = {.type = TRACE_ALLOC, .time_ns = alloc->time_ns, .alloc = alloc};
	return need_span(trace, &alloc->defined, alloc->process, alloc->thread, &event);
}

static bool matches(
    const struct trace *trace, const struct trace_event *event, struct filter_subject subject)
{
	subject.time_ns = event->time_ns;
	if (subject.thread)
		subject.process = subject.thread->process;
	return filter_matches(trace->filter, &subject);
}

static int filter_process(struct trace *trace, const struct trace_event *event)
{
	struct trace_process *process = event->process;
	if (!process->kept && !matches(trace, event, (struct filter_subject){.process = process}))
		return pend(trace, &process->pending, event);
	int result = need_process(trace, process);
	return result == 0 ? wait_event(trace, event, -1) : result;
}

static int filter_thread(struct trace *trace, const struct trace_event *event)
{
	struct trace_thread *thread = event->thread;
	if (!thread->kept && !matches(trace, event, (struct filter_subject){.thread = thread})) {
		/* the last name is enough */
		trace_pending_free(thread->pending);
		thread->pending = NULL;
		return pend(trace, &thread->pending, event);
	}
	int result = need_thread(trace, thread);
	return result == 0 ? wait_event(trace, event, -1) : result;
}

/* The end of the range that begins at `start`, or the last address. */
static uint64_t end_of(uint64_t start, uint64_t size)
{
	return size > UINT64_MAX - start ? UINT64_MAX : start + size;
}

static int filter_region(struct trace *trace, const struct trace_event *event)
{
	struct trace_region *region = event->region;
	struct filter_subject subject = {
	    .process = region->process,
	    .thread = region->thread,
	    .region = region,
	    .from = region->start,
	    .to = end_of(region->start, region->size),
	    .matches_code = region->stack && region->stack->matches,
	};
	int result = put_aside(trace, event, &region->defined.text);
	if (result < 0 || !matches(trace, event, subject))
		return result;
	return need_region(trace, region);
}

static int filter_alloc(struct trace *trace, const struct trace_event *event)
{
	struct trace_alloc *alloc = event->alloc;
	struct filter_subject subject = {
	    .process = alloc->process,
	    .thread = alloc->thread,
	    .from = alloc->addr,
	    .to = end_of(alloc->addr, alloc->size),
	    .matches_code = alloc->stack && alloc->stack->matches,
	};
	int result = put_aside(trace, event, &alloc->defined.text);
	if (result < 0 || !matches(trace, event, subject))
		return result;
	return need_alloc(trace, alloc);
}

static int filter_fault(struct trace *trace, struct trace_event *event, struct stack_line *stack)
{
	struct trace_fault *fault = &event->fault;
	struct filter_subject subject = {
	    .thread = fault->thread,
	    .region = fault->region,
	    .from = fault->addr,
	    .to = end_of(fault->addr, 1),
	    .access = fault->access,
	    .kind = fault->kind,
	    .matches_code = fault->stack && fault->stack->matches,
	};
	if (!matches(trace, event, subject))
		return 0;
	int result = trace_lines_touch(trace, fault);
	if (result == 0)
		result = need_thread(trace, fault->thread);
	if (result == 0 && fault->region)
		result = need_region(trace, fault->region);
	if (result == 0 && fault->alloc)
		result = need_alloc(trace, fault->alloc);
	if (result == 0)
		result = need_stack(trace, stack);
	return result == 0 ? wait_event(trace, event, -1) : result;
}

/* Lets the event wait for delivery, behind what it needs; or keeps it aside, or drops it. */
static int filter_event(
    struct trace *trace, struct trace_event *event, const struct trace_meaning *meaning)
{
	struct trace_definition *about = NULL;
	switch (event->type) {
	case TRACE_PROCESS:
		return filter_process(trace, event);
	case TRACE_THREAD:
		return filter_thread(trace, event);
	case TRACE_MODULE:
		return put_aside(trace, event, &meaning->module->text);
	case TRACE_STACK:
		return put_aside(trace, event, &meaning->stack->text);
	case TRACE_REGION:
		return filter_region(trace, event);
	case TRACE_ALLOC:
		return filter_alloc(trace, event);
	case TRACE_FAULT:
		return filter_fault(trace, event, meaning->stack);
	case TRACE_REMOVE:
		return event->part.process->kept ? wait_event(trace, event, -1) : 0;
	case TRACE_REGION_END:
	case TRACE_REMAP:
		if (!event->part.region)
			return 0;
		about = &event->part.region->defined;
		break;
	case TRACE_FREE:
		if (!event->alloc)
			return 0;
		about = &event->alloc->defined;
		break;
	case TRACE_SESSION:
	case TRACE_EPOCH:
	case TRACE_LOST:
	case TRACE_END:
	case TRACE_UNKNOWN:
		break;
	}
	if (about && !about->kept)
		return pend(trace, &about->pending, event);
	return wait_event(trace, event, -1);
}

/* The next of those that wait, as long as there are any. 1, 0 or negative errno. */
static int next_waiting(struct trace *trace, struct trace_event *event)
{
	if (trace->next_waiting == trace->waiting_count) {
		trace->next_waiting = trace->waiting_count = 0;
		return 0;
	}
	const struct trace_waiting *waiting = &trace->waiting[trace->next_waiting++];
	*event = waiting->event;
	int result = waiting->text >= 0 ? fetch_text(trace, event, waiting->text) : 0;
	return result < 0 ? result : 1;
}

int trace_next(struct trace *trace, struct trace_event *event)
{
	for (;;) {
		struct trace_line line;
		struct trace_meaning meaning;
		int result = next_waiting(trace, event);
		if (result != 0)
			return result;
		result = trace_reader_next(trace->reader, &line);
		if (result <= 0)
			return result;
		event->text = line.text;
		event->text_size = line.size;
		result = trace_lines_take(trace, &line, event, &meaning);
		if (result < 0)
			return result;
		if (!trace->filter) {
			if (event->type == TRACE_FAULT)
				result = trace_lines_touch(trace, &event->fault);
			return result < 0 ? result : 1;
		}
		result = filter_event(trace, event, &meaning);
		if (result < 0)
			return result;
	}
}

/* The first line, which waits to be the first event. */
static int read_session(struct trace *trace)
{
	struct trace_line line;
	int result = trace_reader_next(trace->reader, &line);
	if (result < 0)
		return result;
	result = trace_names_session(trace, line.json);
	if (result < 0)
		return result;
	struct trace_event event = {
	    .type = TRACE_SESSION, .text = line.text, .text_size = line.size};
	return wait_event(trace, &event, -1);
}

int trace_open(
    struct trace **result_trace, const char *path, const struct filter *filter, unsigned flags)
{
	return trace_open_growing(result_trace, path, filter, flags, NULL);
}

int trace_open_growing(struct trace **result_trace, const char *path, const struct filter *filter,
    unsigned flags, const struct trace_growth *growth)
{
	struct trace *trace = calloc(1, sizeof(*trace));
	*result_trace = trace;
	if (!trace)
		return -ENOMEM;
	if (!filter_keeps_all(filter))
		trace->filter = trace->code.filter = filter;
	trace->keeps_text = flags & TRACE_KEEP_TEXT;
	int result = trace_reader_open(&trace->reader, path, growth);
	return result == 0 ? read_session(trace) : result;
}

void trace_close(struct trace *trace)
{
	if (!trace)
		return;
	trace_reader_close(trace->reader);
	for (uint32_t i = 0; i < trace->process_count; i++)
		trace_pending_free(trace->process_list[i]->pending);
	for (uint32_t i = 0; i < trace->thread_count; i++)
		trace_pending_free(trace->thread_list[i]->pending);
	id_map_clear(&trace->modules, NULL);
	id_map_clear(&trace->stacks, trace_stacks_free);
	id_map_clear(&trace->processes, NULL);
	id_map_clear(&trace->threads, NULL);
	id_map_clear(&trace->regions, trace_spans_free_region);
	id_map_clear(&trace->allocs, trace_spans_free_alloc);
	free(trace->process_list);
	free(trace->thread_list);
	trace_code_clear(&trace->code);
	text_pool_clear(&trace->texts);
	arena_clear(&trace->arena);
	line_store_clear(&trace->aside);
	free(trace->waiting);
	free(trace->text);
	free(trace);
}

const char *trace_error(const struct trace *trace)
{
	return trace_reader_error(trace ? trace->reader : NULL);
}

int trace_refuse(struct trace *trace, const char *format, ...)
{
	char reason[512];
	va_list values;
	va_start(values, format);
	vsnprintf(reason, sizeof(reason), format, values);
	va_end(values);
	return trace_reader_refuse(trace->reader, "%s", reason);
}

const struct trace_session *trace_session_of(const struct trace *trace)
{
	return &trace->session;
}

bool trace_is_cut(const struct trace *trace)
{
	return !trace->ended || trace_reader_cut(trace->reader);
}

uint64_t trace_undefined(const struct trace *trace)
{
	return trace->undefined;
}

uint32_t trace_stack_count(const struct trace *trace)
{
	return (uint32_t)trace->code.stacks.count;
}

uint32_t trace_frame_count(const struct trace *trace)
{
	return (uint32_t)trace->code.frames.count;
}

uint32_t trace_file_count(const struct trace *trace)
{
	return (uint32_t)trace->code.files.count;
}

uint32_t trace_process_count(const struct trace *trace)
{
	return trace->process_count;
}

uint32_t trace_thread_count(const struct trace *trace)
{
	return trace->thread_count;
}

const struct trace_stack *trace_stack_at(const struct trace *trace, uint32_t index)
{
	return trace->code.stack_list[index];
}

const struct trace_process *trace_process_at(const struct trace *trace, uint32_t index)
{
	return trace->process_list[index];
}

const struct trace_thread *trace_thread_at(const struct trace *trace, uint32_t index)
{
	return trace->thread_list[index];
}
