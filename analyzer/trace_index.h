/* SPDX-License-Identifier: MIT */
/*
 * trace_index.h: the tables that are needed while a trace is read, to be thrown away after it:
 * identifiers to things, and each distinct thing once. Private to trace_model.c and
 * trace_stack.c.
 */
#ifndef FAULTLINE_TRACE_INDEX_H
#define FAULTLINE_TRACE_INDEX_H

#include "trace_model.h"

/*
 * Spans are kept a little after their end: lines are nearly ordered, and a fault may follow the
 * line that frees its memory.
 */
#define RETIRING_SPANS 4096

/* A live region or allocation. */
struct span {
	struct origin *origin;
	struct touched touched;
};

struct trace_index {
	struct id_map modules;			/* struct module_file, borrowed from the model */
	struct id_map stacks;			/* struct stack_place */
	struct id_map regions, allocs;		/* struct span */
	struct id_map threads;			/* struct trace_thread, borrowed */
	struct id_map processes;		/* no values to free */
	void *files, *places, *origins, *words; /* trees of tsearch(3) */
	struct retiring {
		struct id_map *map; /* NULL: free */
		uint64_t id;
	} retiring[RETIRING_SPANS];
	unsigned next_retiring;
	struct place *no_stack;
	int64_t first_ts, last_ts;
};

/* What a stack stands for. */
struct stack_place {
	struct place *touching;	  /* its first frame is an instruction */
	struct place *allocating; /* its first frame is a call, too */
};

/* The `module` and `stack` lines. 0 or negative errno, noted in the reader. */
int trace_stack_module(struct trace_model *model, struct trace_reader *reader, const json_t *line);
int trace_stack_add(struct trace_model *model, struct trace_reader *reader, const json_t *line);

/* The place of "no stack", made when it is first needed; NULL without memory. */
struct place *trace_stack_none(struct trace_model *model);

#endif
