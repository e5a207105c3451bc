/* SPDX-License-Identifier: MIT */
/*
 * trace_private.h: what trace.c (opening, filtering, delivering) and trace_lines.c (the meaning of
 * each type of line) share. Not for commands.
 */
#ifndef FAULTLINE_TRACE_PRIVATE_H
#define FAULTLINE_TRACE_PRIVATE_H

#include "id_map.h"
#include "line_store.h"
#include "trace.h"
#include "trace_code.h"
#include "trace_reader.h"

/*
 * Regions and allocations are kept a little after their end: lines are nearly ordered, and a fault
 * may follow the line that frees its memory.
 */
#define RETIRING_SPANS 4096

/* A `module` line. */
struct module_line {
	const struct trace_file *file;
	int64_t text; /* where it is kept aside; -1: nowhere */
	bool kept;
};

/* A `stack` line: what its first frame means depends on who names it. */
struct stack_line {
	const struct trace_stack *touching; /* an instruction that touched memory */
	const struct trace_stack *calling;  /* a call, like the other frames; NULL: not asked yet */
	int64_t text;
	bool kept;
	uint32_t module_count; /* of `modules`, which are only noted when texts are kept */
	struct module_line **modules;
};

/*
 * An event about a thing that is not kept yet: delivered, in order, when the thing is. A list is
 * known by its last one, whose `next` is the first.
 */
struct trace_pending {
	struct trace_pending *next;
	struct trace_event event;
	int64_t text;
};

void trace_pending_free(struct trace_pending *last);

/* An event that waits to be delivered. */
struct trace_waiting {
	struct trace_event event;
	int64_t text; /* where its text is kept aside; -1: the event has it, or none */
};

struct trace {
	struct trace_reader *reader;
	const struct filter *filter; /* NULL: keeps all */
	bool keeps_text;
	struct trace_session session;
	struct trace_code code;
	struct arena arena;
	struct text_pool texts;
	struct id_map modules;	 /* struct module_line, in the arena */
	struct id_map stacks;	 /* struct stack_line, in the arena */
	struct id_map processes; /* struct trace_process, in the arena: the last one of a pid */
	struct id_map threads;	 /* struct trace_thread, in the arena */
	struct id_map regions, allocs; /* struct trace_region, trace_alloc: owned */
	struct trace_process **process_list;
	struct trace_thread **thread_list;
	uint32_t process_count, thread_count;
	size_t process_room, thread_room;
	struct trace_thread *last_thread; /* of the last fault: the next is likely its, too */
	struct retiring {
		struct id_map *map; /* NULL: free */
		uint64_t id;
	} retiring[RETIRING_SPANS];
	unsigned next_retiring;
	int64_t last_ns;
	uint64_t undefined;
	bool ended;

	struct line_store aside;
	struct trace_waiting *waiting;
	size_t waiting_count, waiting_room, next_waiting;
	char *text; /* of the event that waited, of text_room bytes */
	size_t text_room;
};

/* What trace_lines_take found besides the event itself. */
struct trace_meaning {
	struct module_line *module; /* of a `module` line */
	struct stack_line *stack;   /* of a `stack` line; of others, the stack that they name */
};

/* A line on its way to becoming an event. */
struct taking {
	struct trace *trace;
	struct trace_reader *reader;
	const struct trace_line *line;
	const json_t *json; /* the line's, or the session's */
	struct trace_event *event;
	struct trace_meaning *meaning;
};

/* trace_lines.c: all functions return 0 or negative errno, noted, unless they say something else.
 */

/* What a line means: changes the trace and fills *event, but for its text. */
int trace_lines_take(struct trace *trace, const struct trace_line *line, struct trace_event *event,
    struct trace_meaning *meaning);

/* Marks what a fault touched in its region and allocation, and notes what of that is new. */
int trace_lines_touch(struct trace *trace, struct trace_fault *fault);

/* trace_names.c */

/* Fills in the session from the first line. */
int trace_names_session(struct trace *trace, const json_t *json);
int taking_process(struct taking *taking);
int taking_thread(struct taking *taking);

/* The thread, made if it is new; NULL without memory. */
struct trace_thread *trace_find_thread(struct trace *trace, int64_t pid, int64_t tid);

/* The line's process, and its thread, NULL where the line has none. */
int taking_who(
    struct taking *taking, struct trace_process **process, const struct trace_thread **thread);

/* Is it a number that a process or thread can have? 1, or -EBADMSG. */
int taking_check_pid(struct taking *taking, const char *key, int64_t pid);

/* The pool's copy of a string of the line; of `otherwise` when the key is not there. */
int taking_text(struct taking *taking, const char *key, const char *otherwise, const char **text);

bool trace_is_page_size(int64_t size);
int taking_no_memory(struct taking *taking);

/* trace_stacks.c */

int taking_module(struct taking *taking);
int taking_stack(struct taking *taking);

/* The stack line of an identifier; NULL when there is none, which is counted. */
struct stack_line *trace_find_stack(struct trace *trace, int64_t id);

/* The stack that a region or allocation names; *stack is untouched when it names none. */
int taking_calling(struct taking *taking, const struct trace_stack **stack);

void trace_stacks_free(void *stack_line);

/* trace_spans.c */

int taking_region(struct taking *taking);
int taking_alloc(struct taking *taking);
int taking_free(struct taking *taking);
int taking_region_end(struct taking *taking);
int taking_remap(struct taking *taking);
int taking_remove(struct taking *taking);

void trace_spans_free_region(void *region);
void trace_spans_free_alloc(void *alloc);

#endif
