/* SPDX-License-Identifier: MIT */
/*
 * memory_counter.c: a profile counts; what it said last is kept by process.
 */
#include "memory_counter.h"

#include "profile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct memory_counter {
	struct profile *profile;
	uint64_t *told; /* by process, bytes */
	size_t told_room;
};

struct memory_counter *memory_counter_create(const struct trace *trace)
{
	struct memory_counter *counter = calloc(1, sizeof(*counter));
	if (!counter)
		return NULL;
	counter->profile = profile_create(trace, 0);
	if (counter->profile)
		return counter;
	free(counter);
	return NULL;
}

void memory_counter_destroy(struct memory_counter *counter)
{
	if (!counter)
		return;
	profile_destroy(counter->profile);
	free(counter->told);
	free(counter);
}

/* The process whose memory an event may change, NULL: none. */
static const struct trace_process *process_of(const struct trace_event *event)
{
	switch (event->type) {
	case TRACE_PROCESS:
		return event->process;
	case TRACE_REGION_END:
	case TRACE_REMAP:
	case TRACE_REMOVE:
		return event->part.process;
	case TRACE_FAULT:
		return event->fault.thread->process;
	default:
		return NULL;
	}
}

static int make_room(struct memory_counter *counter, uint32_t process)
{
	if (process < counter->told_room)
		return 0;
	size_t room = 2 * ((size_t)process + 8);
	uint64_t *grown = reallocarray(counter->told, room, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memset(grown + counter->told_room, 0, (room - counter->told_room) * sizeof(*grown));
	counter->told = grown;
	counter->told_room = room;
	return 0;
}

int memory_counter_take(
    struct memory_counter *counter, const struct trace_event *event, struct memory_change *change)
{
	const struct trace_process *process = process_of(event);
	int result = profile_add(counter->profile, event);
	*change = (struct memory_change){0};
	if (result < 0 || !process || process->index >= counter->profile->process_room)
		return result;
	uint64_t now = counter->profile->processes[process->index].resident_bytes;
	result = make_room(counter, process->index);
	if (result < 0 || now == counter->told[process->index])
		return result;
	*change = (struct memory_change){process, counter->told[process->index], now};
	counter->told[process->index] = now;
	return 0;
}
