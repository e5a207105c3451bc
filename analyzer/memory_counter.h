/* SPDX-License-Identifier: MIT */
/*
 * memory_counter.h: the memory of each process that is touched and not given back, whenever it
 * changes.
 */
#ifndef FAULTLINE_MEMORY_COUNTER_H
#define FAULTLINE_MEMORY_COUNTER_H

#include "trace.h"

struct memory_counter;

/* What an event has changed. */
struct memory_change {
	const struct trace_process *process; /* NULL: nothing has changed */
	uint64_t before, now;		     /* bytes */
};

/* NULL without memory. */
struct memory_counter *memory_counter_create(const struct trace *trace);
void memory_counter_destroy(struct memory_counter *counter);

/* Takes every event of the trace. 0 or -ENOMEM. */
int memory_counter_take(
    struct memory_counter *counter, const struct trace_event *event, struct memory_change *change);

#endif
