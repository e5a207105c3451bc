/* SPDX-License-Identifier: MIT */
/*
 * filter.h: which part of a trace a command looks at. The options are one table, shared by all
 * commands that read traces and described in faultline-filters(7).
 *
 *     struct filter *filter = filter_create();
 *     ... case ARGUMENT_OPTION:
 *             taken = filter_option(filter, &arguments);
 *             if (taken < 0) return -EINVAL;       wrong value, message printed
 *             if (taken == 0) ...                  an option of the command's own
 *     trace_open(&trace, path, filter, 0);
 *
 * Something matches when it matches every kind of filter that was given, and one of the values of
 * each. What it has not got (an allocation has no kind; a fault may have no stack) does not match.
 */
#ifndef FAULTLINE_FILTER_H
#define FAULTLINE_FILTER_H

#include "arguments.h"
#include "trace.h"

#include <jansson.h>

/* For the `groups` of a command. */
extern const struct option_group filter_options;

/* One that keeps everything; NULL without memory. */
struct filter *filter_create(void);
void filter_destroy(struct filter *filter);

/*
 * Takes the option that arguments_next has just found. 1 when it was one of this table, 0 when not,
 * -EINVAL after a message, -ENOMEM after a message.
 */
int filter_option(struct filter *filter, const struct arguments *arguments);

/* All options are taken: can anything match? 0, or -EINVAL after a message for `command`. */
int filter_finish(const struct filter *filter, const char *command);

/* Does it keep everything? NULL does. */
bool filter_keeps_all(const struct filter *filter);

/* The options given, as typed ("--pid=7"); `count` of them. Owned by the filter. */
const char *const *filter_words(const struct filter *filter, size_t *count);

/* Adds them to the "filters" of a session line, behind those of earlier times. 0 or -ENOMEM. */
int filter_note(const struct filter *filter, json_t *session);

/* What is asked about. What it has not got is NULL, or 0 where that is said. */
struct filter_subject {
	const struct trace_process *process;
	const struct trace_thread *thread;
	const struct trace_region *region;
	int64_t time_ns;
	uint64_t from, to; /* addresses, `to` not included; both 0: none */
	enum touch_access access;
	enum touch_kind kind;
	bool matches_code; /* trace_stack's `matches`; false without a stack */
};

bool filter_matches(const struct filter *filter, const struct filter_subject *subject);

/* For what is asked once and kept: a frame against --symbol and --module, a name of a thread. */
bool filter_matches_frame(const struct filter *filter, const struct trace_frame *frame);
bool filter_matches_name(const struct filter *filter, const char *thread_name);

#endif
