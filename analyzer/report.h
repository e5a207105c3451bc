/* SPDX-License-Identifier: MIT */
/*
 * report.h: a report is a summary and sections. Each section but the tree of calls is one table or
 * two, whose columns say what they are, so that sorting, cutting, printing for people and as JSON
 * are written once (report_table.c). To add a section: its struct report_section, and a row in
 * report.c.
 */
#ifndef FAULTLINE_REPORT_H
#define FAULTLINE_REPORT_H

#include "locations.h"
#include "profile.h"

#include <jansson.h>

struct report_request {
	unsigned sections;  /* bits 1 << index in report_sections */
	const char *sort;   /* key of a column; NULL: each table's first */
	size_t limit;	    /* rows; SIZE_MAX: all; 0: not told */
	double min_percent; /* of all bytes; negative: not told */
	bool upwards;	    /* the tree of calls begins with what touched memory */
	bool json;
};

/* What a section needs to know. */
struct report {
	const struct report_request *request;
	const struct profile *profile;
	struct locations *locations;
	const char *name; /* of the trace */
};

enum report_kind {
	REPORT_BYTES,	 /* number: for people in MiB */
	REPORT_PERCENT,	 /* number: bytes, for people in percent of all */
	REPORT_COUNT,	 /* number */
	REPORT_ID,	 /* number, signed: of a process, a thread */
	REPORT_NS,	 /* number: for people in seconds */
	REPORT_ADDRESS,	 /* number */
	REPORT_NAME,	 /* text */
	REPORT_BAR,	 /* number: for people a bar, against the largest of the column */
	REPORT_PLACE,	 /* location: for people in one column, in JSON several keys */
	REPORT_FUNCTION, /* location, for people: the first half */
	REPORT_WHERE,	 /* location, for people: the second half */
};

/* `title` NULL: not shown to people. `key` NULL: not in the JSON, and nothing to sort by. */
struct report_column {
	const char *key, *title;
	enum report_kind kind;
};

/* What is not known is REPORT_UNKNOWN or NULL, and left out. */
#define REPORT_UNKNOWN UINT64_MAX
union report_cell {
	uint64_t number;
	const char *text; /* borrowed */
	const struct location *location;
};

struct report_row {
	uint64_t weight; /* bytes, for --min-percent */
	uint32_t order;	 /* as it was added: what is equal stays in that order */
	union report_cell cells[];
};

struct report_table_kind {
	const char *key, *title;
	const struct report_column *columns; /* column_count of them */
	size_t column_count;
	const char
	    *sort;    /* key of the column that rows are sorted by, most first; NULL: as added */
	size_t limit; /* rows, where the request says nothing */
};

struct report_table {
	const struct report_table_kind *kind;
	struct report_row **rows;
	size_t row_count, row_room;
	size_t all_count; /* rows before --limit and --min-percent */
	struct arena arena;
};

#define REPORT_TABLES 2

struct report_section {
	const char *name;				/* as --by has it */
	struct report_table_kind tables[REPORT_TABLES]; /* a key NULL: none */
	/* Adds the rows to the tables. 0 or -ENOMEM. NULL: this is the tree of calls. */
	int (*fill)(const struct report *report, struct report_table *tables);
};

extern const struct report_section report_site, report_stack, report_alloc, report_region,
    report_thread, report_process, report_time;

/* In the order in which they are printed, ended by NULL. */
extern const struct report_section *const report_sections[];

/* A new row, zeroed, with its weight; NULL without memory. */
struct report_row *report_table_row(struct report_table *table, uint64_t weight);

/* Sorts and cuts the table as the request says. */
void report_table_arrange(struct report_table *table, const struct report *report);

/* Prints it, or makes it an array of objects (NULL without memory). 0 or -ENOMEM. */
int report_table_print(const struct report_table *table, const struct report *report);
json_t *report_table_json(const struct report_table *table);
void report_table_free(struct report_table *table);

/* The place that names a stack. NULL without memory. */
const struct location *report_locate_stack(
    struct locations *locations, const struct trace_stack *stack);

/* The name for people, with parameters. */
const char *report_function_name(const struct location *location);

/* "file:line", "module+0x...", or nothing, for people; written to `text` where it must be. */
const char *report_where(const struct location *location, char *text, size_t size);

/* Sets the keys of a location that are known. 0 or -ENOMEM. */
int report_set_location(json_t *object, const struct location *location);

/* The tree of calls: see report_stack.c. 0 or -ENOMEM. */
int report_stack_print(const struct report *report);
json_t *report_stack_json(const struct report *report);

/* The first part. 0 or -ENOMEM; NULL without memory. */
int report_summary_print(const struct report *report);
int report_summary_json(const struct report *report, json_t *root);

/* Prints all that was asked for on standard output. 0 or -ENOMEM. */
int report_print(const struct report *report);

#endif
