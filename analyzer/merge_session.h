/* SPDX-License-Identifier: MIT */
/*
 * merge_session.h: the first and the last line of a merged trace, and the clock that its parts have
 * in common.
 *
 * Traces of one machine since it was started have one clock: their times differ as their calendar
 * times do. Those of another machine, or of an earlier start, are put in their place by the
 * calendar. The common clock is that of the first trace named; no time of it is negative.
 */
#ifndef FAULTLINE_MERGE_SESSION_H
#define FAULTLINE_MERGE_SESSION_H

#include "filter.h"
#include "trace.h"
#include "trace_output.h"

struct merge_session;

/* NULL without memory. */
struct merge_session *merge_session_create(void);
void merge_session_destroy(struct merge_session *session);

/*
 * Adds a trace, whose first event, the session, is taken from it. 0; or negative errno after a
 * message, -EINVAL when it does not go together with the first one.
 */
int merge_session_add(struct merge_session *session, struct trace *trace, const char *path);

/* All are added. 0, or negative errno after a message. */
int merge_session_finish(struct merge_session *session, const struct filter *filter);

/* What is to be added to the times of the trace that was added as number `index`. */
int64_t merge_session_clock(const struct merge_session *session, size_t index);

/* Writes the first line. 0, or negative errno after a message. */
int merge_session_write(const struct merge_session *session, struct trace_output *output);

/* What the last line says. */
struct merge_totals {
	int64_t faults, regions, stacks, processes, lost;
	int64_t end_ns; /* when the last of the traces ended, by the common clock */
	size_t ended;	/* traces that have an `end` line */
};

void merge_totals_add(struct merge_totals *totals, const struct trace_event *event);

/* Adds an `end` line of a trace. */
void merge_totals_end(struct merge_totals *totals, const struct trace *trace,
    const struct trace_event *event, int64_t clock_ns);

/* Writes the last line. 0, or negative errno after a message. */
int merge_totals_write(const struct merge_totals *totals, const struct merge_session *session,
    struct trace_output *output);

#endif
