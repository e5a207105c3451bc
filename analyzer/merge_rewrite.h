/* SPDX-License-Identifier: MIT */
/*
 * merge_rewrite.h: lines of one of several traces, made fit to stand between those of the others:
 * identifiers that are unlike theirs, times of a common clock, and numbers of processes that are
 * nobody else's. No table of identifiers is needed: of N traces the one with index K takes
 * identifier I as I * N + K.
 */
#ifndef FAULTLINE_MERGE_REWRITE_H
#define FAULTLINE_MERGE_REWRITE_H

#include "id_map.h"
#include "trace.h"
#include "trace_output.h"

/* How one trace's lines change. */
struct merge_rewrite {
	int64_t trace_count, index; /* N and K */
	int64_t clock_ns;	    /* added to its times */
	struct id_map pids; /* new numbers, cast to pointers; those that stay are not in it */
};

/*
 * Writes an event of the trace. 0; -ERANGE for a number that leaves no room for the others' (the
 * caller says so); or another negative errno after a message.
 */
int merge_rewrite_event(const struct merge_rewrite *rewrite, const struct trace_event *event,
    struct trace_output *output);

/* Writes nothing, but says whether merge_rewrite_event can: not of types that it does not know. */
bool merge_rewrite_knows(const struct trace_event *event);

#endif
