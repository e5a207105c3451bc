/* SPDX-License-Identifier: MIT */
/*
 * report.h: the rows of a report, made from a profile: places with the same function and line are
 * one row, sorted by memory. report_text.c and report_json.c print them.
 */
#ifndef FAULTLINE_REPORT_H
#define FAULTLINE_REPORT_H

#include "profile.h"

/* Where code is. Strings are borrowed from the trace, except those noted. */
struct location {
	char *function;	    /* demangled, owned; NULL: unnamed */
	const char *module; /* path, NULL: generated code or no stack */
	uint64_t offset; /* in the module: the function's start where it has a name and no line */
	char *file;	 /* owned; NULL: not known */
	int line;
};

struct code_row {
	struct location location;
	uint64_t faults, bytes, reads, writes;
};

struct memory_row {
	struct location location;
	const char *source;
	uint64_t count, reserved, touched, peak;
};

struct report {
	const struct profile *profile;
	struct code_row *code; /* most bytes first */
	size_t code_count;
	struct memory_row *memory; /* most reserved bytes first */
	size_t memory_count;
	const struct profile_thread **threads; /* most bytes first */
	size_t thread_count, process_count;
};

/* Makes the rows. The profile must live as long. 0 or -ENOMEM. */
int report_make(struct report *report, const struct profile *profile);
void report_free(struct report *report);

/* Print at most `top` rows of each table on standard output. report_json: 0 or -ENOMEM. */
int report_text(const struct report *report, const char *name, size_t top);
int report_json(const struct report *report, const char *name, size_t top);

#endif
