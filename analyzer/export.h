/* SPDX-License-Identifier: MIT */
/*
 * export.h: what a format of `faultline export` is. export.c holds the table of them; help, errors
 * and completion are printed from its rows. Each is written in export_<name>.c.
 */
#ifndef FAULTLINE_EXPORT_H
#define FAULTLINE_EXPORT_H

#include "trace.h"

#include <stdio.h>

struct code_names;

/* What a number of a stack counts. */
enum export_value { EXPORT_FAULTS, EXPORT_TOUCHED, EXPORT_ALLOCATED, EXPORT_VALUE_COUNT };

/* As --value takes them, and as the outputs name them; their units there. */
extern const char *const export_value_names[EXPORT_VALUE_COUNT];
extern const char *const export_value_units[EXPORT_VALUE_COUNT];

/* What every format has at hand; all of it is borrowed. */
struct export_job {
	FILE *out; /* errors stay in it, and are reported when it is closed */
	const struct trace *trace;
	struct code_names *names;
	enum export_value value; /* for formats with one number for each stack */
};

struct export_format {
	const char *name;
	const char *summary; /* half a line, for help */
	bool is_binary;
	bool has_one_value; /* --value chooses it */
	/* Its own state, which keeps `export`; NULL without memory. */
	void *(*start)(const struct export_job *export);
	/* One event of the trace. 0 or negative errno. */
	int (*take)(void *state, const struct trace_event *event);
	/* All events were taken. 0 or negative errno. */
	int (*finish)(void *state);
	void (*destroy)(void *state);
};

/*
 * The thread's name, or what stands for it where it has none, which is then in the buffer. NULL: a
 * thread that is not told.
 */
#define EXPORT_NAME_SIZE 32
const char *export_thread_name(const struct trace_thread *thread, char buffer[EXPORT_NAME_SIZE]);

/* When recording began: nanoseconds since 1970, UTC; 0 when the trace does not say. */
int64_t export_start_time(const struct trace_session *session);

extern const struct export_format folded_format, speedscope_format, chrome_format, firefox_format,
    pprof_format, csv_format;

/* Ended by NULL. */
extern const struct export_format *const export_formats[];

/* By index, NULL behind the last: for completion and messages. */
const char *export_format_name(size_t index);
const char *export_value_name(size_t index);

#endif
