/* SPDX-License-Identifier: MIT */
/*
 * trace_lines.c: what each type of line means. Identifiers become pointers; unknown keys are passed
 * over. Of a fault nothing is kept but, for its region and allocation, a bit a page.
 */
#include "trace_private.h"

#include <errno.h>
#include <string.h>

/*
 * The place of a fault in its region's own numbering, which is right even where the region has
 * moved; without a region, its address.
 */
static uint64_t place_of(const struct trace_fault *fault, const struct fault_line *line)
{
	if (fault->region && line->has & FAULT_HAS_OFFSET && line->offset >= 0)
		return fault->region->start + (uint64_t)line->offset;
	return fault->addr;
}

/* What the fault brought in: a page, or as much as is served at once, within its region. */
static void measure(
    const struct trace *trace, struct trace_fault *fault, const struct fault_line *line)
{
	const struct trace_region *region = fault->region;
	uint64_t unit = trace->session.granularity, place = place_of(fault, line);
	if (region && region->page_size > unit)
		unit = region->page_size;
	uint64_t from = place & ~(unit - 1);
	uint64_t to = from + unit < from ? UINT64_MAX : from + unit;
	uint64_t overlap = region ? touched_overlap(&region->touched, from, to) : 0;
	fault->range_size = to - from;
	if (overlap > 0) {
		fault->range_size = overlap;
		if (from < region->start)
			from = region->start;
	}
	fault->place = from;
	fault->from = fault->addr - (place - from);
	fault->bytes = fault->kind == FAULT_KIND_MISSING ? fault->range_size : 0;
}

static int touch(struct touched *touched, struct touched *written, uint64_t from, uint64_t to,
    bool is_written, struct trace_news *news)
{
	int result = touched_add(touched, from, to, &news->touched);
	if (result == 0 && is_written)
		result = touched_add(written, from, to, &news->written);
	return result;
}

int trace_lines_touch(struct trace *trace, struct trace_fault *fault)
{
	struct trace_region *region = fault->region;
	struct trace_alloc *alloc = fault->alloc;
	bool written =
	    fault->access == FAULT_ACCESS_WRITE || fault->kind == FAULT_KIND_WRITE_PROTECT;
	uint64_t place_end = fault->place + fault->range_size;
	uint64_t end = fault->from + fault->range_size;
	int result = 0;
	if (region)
		result = touch(&region->touched, &region->written, fault->place,
		    place_end < fault->place ? UINT64_MAX : place_end, written,
		    &fault->region_news);
	if (alloc && result == 0)
		result = touch(&alloc->touched, &alloc->written, fault->from,
		    end < fault->from ? UINT64_MAX : end, written, &fault->alloc_news);
	return result < 0 ? trace_reader_no_memory(trace->reader) : 0;
}

static int take_fault(struct taking *taking)
{
	struct trace *trace = taking->trace;
	const struct fault_line *line = &taking->line->fault;
	struct trace_fault *fault = &taking->event->fault;
	int result = taking_check_pid(taking, "pid", line->pid);
	if (result >= 0)
		result = taking_check_pid(taking, "tid", line->tid);
	if (result < 0)
		return result;
	struct trace_thread *thread = trace->last_thread;
	if (!thread || thread->tid != line->tid || thread->process->pid != line->pid ||
	    thread->process->ended_by[0] != '\0')
		thread = trace_find_thread(trace, line->pid, line->tid);
	if (!thread)
		return taking_no_memory(taking);
	trace->last_thread = thread;
	*fault = (struct trace_fault){
	    .thread = thread,
	    .addr = line->addr,
	    .access = line->access,
	    .kind = line->kind == FAULT_KIND_NONE ? FAULT_KIND_MISSING : line->kind,
	    .origin = line->origin,
	    .served = line->served,
	    .service_ns = line->service_ns,
	    .epoch = line->has & FAULT_HAS_EPOCH ? line->epoch : -1,
	};
	if (line->has & FAULT_HAS_REGION) {
		fault->region = id_map_get(&trace->regions, (uint64_t)line->region);
		trace->undefined += !fault->region;
	}
	if (line->has & FAULT_HAS_ALLOC) {
		fault->alloc = id_map_get(&trace->allocs, (uint64_t)line->alloc);
		trace->undefined += !fault->alloc;
	}
	if (line->has & FAULT_HAS_STACK) {
		taking->meaning->stack = trace_find_stack(trace, line->stack);
		fault->stack = taking->meaning->stack ? taking->meaning->stack->touching : NULL;
	}
	measure(trace, fault, line);
	return 0;
}

static int take_lost(struct taking *taking)
{
	struct trace_loss *loss = &taking->event->loss;
	int64_t count = 0;
	*loss = (struct trace_loss){0};
	int result = trace_integer(taking->reader, taking->json, "count", true, &count);
	if (result >= 0)
		result = taking_text(taking, "what", "", &loss->what);
	if (result >= 0)
		result = taking_text(taking, "why", "", &loss->why);
	loss->count = count > 0 ? (uint64_t)count : 0;
	return result;
}

static int take_end(struct taking *taking)
{
	int64_t duration = 0;
	int result = trace_integer(taking->reader, taking->json, "duration_ns", false, &duration);
	taking->event->end.duration_ns = duration > 0 ? (uint64_t)duration : 0;
	taking->trace->ended = true;
	return result < 0 ? result : 0;
}

static const struct {
	const char *type;
	enum trace_event_type event;
	int (*take)(struct taking *taking); /* NULL: nothing is known of it but its text */
} handlers[] = {
    {"fault", TRACE_FAULT, take_fault}, /* first: the most frequent by far */
    {"stack", TRACE_STACK, taking_stack},
    {"alloc", TRACE_ALLOC, taking_alloc},
    {"free", TRACE_FREE, taking_free},
    {"region", TRACE_REGION, taking_region},
    {"region_end", TRACE_REGION_END, taking_region_end},
    {"remap", TRACE_REMAP, taking_remap},
    {"remove", TRACE_REMOVE, taking_remove},
    {"module", TRACE_MODULE, taking_module},
    {"thread", TRACE_THREAD, taking_thread},
    {"process", TRACE_PROCESS, taking_process},
    {"lost", TRACE_LOST, take_lost},
    {"epoch", TRACE_EPOCH, NULL},
    {"end", TRACE_END, take_end},
    {"", TRACE_UNKNOWN, NULL},
};

/* The line's time since the session's, kept within what 63 bits hold; else that before it. */
static int64_t time_of(const struct trace *trace, const struct trace_line *line)
{
	int64_t ts, time_ns;
	if (!line->json) {
		ts = line->fault.ts;
	} else {
		const json_t *value = json_object_get(line->json, "ts");
		if (!json_is_integer(value))
			return trace->last_ns;
		ts = json_integer_value(value);
	}
	if (__builtin_sub_overflow(ts, trace->session.ts, &time_ns))
		return ts < 0 ? INT64_MIN : INT64_MAX;
	return time_ns;
}

int trace_lines_take(struct trace *trace, const struct trace_line *line, struct trace_event *event,
    struct trace_meaning *meaning)
{
	size_t i = 0, unknown = sizeof(handlers) / sizeof(handlers[0]) - 1;
	while (i < unknown && strcmp(handlers[i].type, line->type) != 0)
		i++;
	event->type = handlers[i].event;
	event->time_ns = trace->last_ns = time_of(trace, line);
	*meaning = (struct trace_meaning){0};
	if (!handlers[i].take)
		return 0;
	struct taking taking = {trace, trace->reader, line, line->json, event, meaning};
	return handlers[i].take(&taking);
}
