/* SPDX-License-Identifier: MIT */
/*
 * firefox_tables.h: what all threads of a profile for the Firefox Profiler share: its tables of
 * strings, functions, frames, stacks and libraries, in which things name each other by their place.
 */
#ifndef FAULTLINE_FIREFOX_TABLES_H
#define FAULTLINE_FIREFOX_TABLES_H

#include "export.h"
#include "string_table.h"
#include "used_stacks.h"

#define FIREFOX_NO_STACK UINT32_MAX

struct firefox_tables {
	const struct export_job *export;
	struct used_stacks used; /* the stacks to tell of: used_stacks_add */
	bool has_stackless;	 /* something without a stack is told of, too */
	struct string_table strings, sources;
	uint32_t *nodes;     /* by the trace's stack: its place in the table of stacks */
	uint32_t node_count; /* of that table */
	uint32_t *rows;	     /* by code_frame: the place of its innermost line in that of frames */
	uint32_t *libraries; /* by the trace's file: its place in that of libraries */
	const struct trace_file **files; /* the libraries */
	uint32_t file_count;
};

/* JSON: the list of categories that frames are of. */
extern const char firefox_categories[];

/* All that is used is known: gives everything its place. 0 or -ENOMEM. */
int firefox_tables_settle(struct firefox_tables *tables);

/* The place of a used stack, once they are settled; of FIREFOX_NO_STACK for want of one. */
uint32_t firefox_tables_node(const struct firefox_tables *tables, uint32_t stack_index);

/* "libs":[...] */
void firefox_tables_put_libraries(const struct firefox_tables *tables);

/* "shared":{...}, last: strings that others added are in it. 0 or -ENOMEM. */
int firefox_tables_put_shared(struct firefox_tables *tables);

void firefox_tables_clear(struct firefox_tables *tables);

#endif
