/* SPDX-License-Identifier: MIT */
/*
 * trace.h: a trace as a sequence of events, one pass, in which identifiers are resolved to what
 * they stand for, and which filters (filter.h) have gone through. Every command that reads traces
 * gets them from here:
 *
 *     struct trace *trace;
 *     struct trace_event event;
 *     result = trace_open(&trace, path, filter, 0);
 *     while (result == 0 && (result = trace_next(trace, &event)) > 0)
 *             if (event.type == TRACE_FAULT)
 *                     ... event.fault.thread->tid, event.fault.stack->frame->symbol ...
 *     if (result < 0)
 *             message("%s", trace_error(trace));
 *     trace_close(trace);
 *
 * (trace_read in profile.h does that for commands that want sums.) Memory grows with the distinct
 * stacks, processes, threads and live regions and allocations, never with the number of faults.
 *
 * Things of a trace are structs that live until trace_close, except regions and allocations: those
 * are forgotten some time after their end. Each kind has an `index`, counted from 0 without gaps,
 * by which a command can keep its own sums in an array, and regions and allocations have `data`,
 * which is the command's alone. Strings are UTF-8, never NULL unless said, and come from the
 * traced program: escape them for whatever they are printed to.
 *
 * Without filters every line becomes an event, in the order of the file. With filters an event is
 * delivered when it matches itself (filter.h says what that means for each type) or when one that
 * is delivered needs it: a fault's process, thread, region, allocation, stack and that one's
 * modules come before it, if they have not come before, so that the lines delivered make a valid
 * trace again. What speaks of a thing (`free`, `region_end`, `remap`, an exit) is delivered when
 * the thing was.
 */
#ifndef FAULTLINE_TRACE_H
#define FAULTLINE_TRACE_H

#include "fault_line.h"
#include "touched.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct filter;
struct trace;
struct trace_growth; /* trace_input.h */

/* The session line. */
struct trace_session {
	const char *command; /* its words, with spaces between */
	const char *tool, *time, *kernel, *machine, *mode, *capture;
	uint64_t page_size;   /* bytes, a power of two */
	uint64_t granularity; /* bytes that a fault brings in, at least a page; a power of two */
	int64_t cpus;	      /* 0: not told */
	int64_t ts;	      /* the clock when recording began; times below are relative to it */
};

/* A program or library; the same file in several processes is one. */
struct trace_file {
	uint32_t index;
	const char *path;
	const char *build_id; /* lower-case hex, "" when it has none */
	bool is_runtime;      /* libc and its like, see trace_site */
};

/* A place in code; places that are alike are one. */
struct trace_frame {
	uint32_t index;
	const struct trace_file *file; /* NULL: generated code */
	uint64_t
	    offset; /* in the file's own numbering, of the instruction; of a call, its last byte */
	const char *symbol; /* as in the file, mangled; NULL: unnamed */
	int64_t
	    symbol_offset; /* from the symbol to `offset`; -1 where a call returns to its start */
	bool is_runtime;
	bool is_truncated; /* stands for the frames that a truncated stack lacks */
};

/* No stack is deeper: the recorder's limit is an eighth of it. */
#define TRACE_MOST_FRAMES 4096

/*
 * A stack of calls: its innermost frame, and the stack of its caller. Stacks that are alike are one
 * (whichever process they were seen in), and those with common callers share them: together they
 * are the tree of calls. A caller's index is lower than that of the stacks it called. "No stack" is
 * NULL.
 */
struct trace_stack {
	uint32_t index;
	uint32_t depth; /* frames, this one included */
	const struct trace_frame *frame;
	const struct trace_stack *caller; /* NULL: the outermost */
	/*
	 * The frame that names the stack when one has to: the innermost one outside the runtime
	 * (files and symbols listed in runtime_names.c). When that has no name, the next
	 * outer named frame of the same file stands for it, as long as no frame of another file or
	 * of the runtime lies between. A stack that is all runtime is named by its innermost frame.
	 */
	const struct trace_frame *site;
	bool has_site; /* it is not all runtime */
	bool matches;  /* --symbol and --module, where given */
};

struct trace_process {
	uint32_t index;
	int64_t pid, ppid;	       /* ppid 0: not told */
	int64_t ns_pid;		       /* its own view where that is another, else 0 */
	const char *exe;	       /* the last one: exec replaces it */
	const char *command;	       /* words with spaces between */
	int64_t start_ns, end_ns;      /* when it was first seen; when it ended, -1 when not told */
	int64_t status, signal;	       /* of its end, -1 when not told */
	const char *ended_by;	       /* "exit", "detach", or "" */
	bool kept;		       /* by the filters, so far */
	struct trace_pending *pending; /* trace.c's own */
};

struct trace_thread {
	uint32_t index;
	struct trace_process *process;
	int64_t tid;
	const char *name;	       /* the last one, "" when none was told */
	bool kept;		       /* by the filters, so far */
	bool name_matches;	       /* --thread-name, where given */
	struct trace_pending *pending; /* trace.c's own */
};

/* Of a thing that filters may keep. */
struct trace_definition {
	bool kept;
	int64_t text;		  /* where its line is kept aside; -1: nowhere */
	struct stack_line *stack; /* NULL: none */
	struct trace_pending *pending;
};

struct trace_region {
	int64_t id;
	const struct trace_process *process;
	const struct trace_thread *thread; /* who asked for it; NULL: not told */
	int64_t time_ns;
	uint64_t start, size; /* bytes; where it was made */
	uint64_t now;	      /* where it is, as far as it moved as a whole */
	const char *source;   /* "mmap", "brk", ...; "?" when not told */
	const char *memory;
	uint64_t page_size;		 /* bytes */
	int64_t prot, flags;		 /* -1: not told */
	const struct trace_stack *stack; /* of the call that made it */
	struct touched touched, written; /* pages in the numbering of `start` */
	void *data;			 /* the command's, NULL at first; not freed */
	struct trace_definition defined; /* trace.c's own */
};

struct trace_alloc {
	int64_t id;
	const struct trace_process *process;
	const struct trace_thread *thread; /* who made it; NULL: not told */
	int64_t time_ns;
	uint64_t addr, size; /* bytes */
	const char *func;    /* "malloc", ...; "?" when not told */
	const struct trace_stack *stack;
	struct touched touched, written;
	void *data;			 /* the command's, NULL at first; not freed */
	struct trace_definition defined; /* trace.c's own */
};

struct trace_fault {
	struct trace_thread *thread; /* its process: thread->process */
	uint64_t addr;
	enum touch_access access;
	enum touch_kind kind; /* FAULT_KIND_MISSING when the line does not say */
	enum touch_origin origin;
	enum touch_served served;
	struct trace_region *region; /* NULL: none, or not known any more */
	struct trace_alloc *alloc;
	const struct trace_stack *stack; /* the innermost frame is what touched the memory */
	uint64_t from,
	    bytes; /* the memory that it brought in; 0 bytes when that was there before */
	uint64_t place,
	    range_size; /* trace.c's own: the same in the region's numbering, there or not */
	struct trace_news {
		uint64_t touched, written; /* bytes that were not so before */
	} region_news, alloc_news;
	int64_t service_ns; /* 0: not told */
	int64_t epoch;	    /* -1: none */
};

enum trace_event_type {
	TRACE_SESSION,	  /* trace_session_of */
	TRACE_PROCESS,	  /* process: it began, changed or ended */
	TRACE_THREAD,	  /* thread: new, or renamed */
	TRACE_MODULE,	  /* only its text */
	TRACE_STACK,	  /* only its text */
	TRACE_REGION,	  /* region */
	TRACE_REGION_END, /* part: a region, or a part of one, is gone */
	TRACE_REMAP,	  /* part and `to`: a part of a region has moved */
	TRACE_REMOVE,	  /* part: memory was given back; its region is not told */
	TRACE_ALLOC,	  /* alloc */
	TRACE_FREE,	  /* alloc */
	TRACE_FAULT,	  /* fault */
	TRACE_EPOCH,	  /* only its text */
	TRACE_LOST,	  /* loss */
	TRACE_END,	  /* end */
	TRACE_UNKNOWN,	  /* a type of a later version: only its text */
};

struct trace_part {
	struct trace_process *process;
	struct trace_region *region; /* NULL: not told, or not known any more */
	uint64_t start, size;	     /* bytes */
	uint64_t to;		     /* TRACE_REMAP: where it is now */
};

struct trace_loss {
	const char *what, *why;
	uint64_t count;
};

struct trace_end {
	uint64_t duration_ns;
};

struct trace_event {
	enum trace_event_type type;
	int64_t time_ns;  /* since the session line; of lines without a time, that of the last with
			     one */
	const char *text; /* the line as it stood, without newline and NUL; see TRACE_KEEP_TEXT */
	size_t text_size;
	union {
		struct trace_process *process;
		struct trace_thread *thread;
		struct trace_region *region;
		struct trace_alloc *alloc;
		struct trace_part part;
		struct trace_fault fault;
		struct trace_loss loss;
		struct trace_end end;
	};
};

/*
 * TRACE_KEEP_TEXT: the caller wants each event's text. With a filter, lines whose use is not known
 * yet are then kept aside, which takes memory and, when there are many, a temporary file; without
 * it events that are delivered late have no text (NULL), and module and stack lines are no events.
 */
enum { TRACE_KEEP_TEXT = 1 };

/*
 * Opens `path` ("-": standard input) and reads its first line. The filter may be NULL and must live
 * as long as the trace. 0 or negative errno; *trace is set in either case, and to be closed.
 */
int trace_open(struct trace **trace, const char *path, const struct filter *filter, unsigned flags);

/* The same of a trace that is being recorded: `growth`, which must live as long, waits for more. */
int trace_open_growing(struct trace **trace, const char *path, const struct filter *filter,
    unsigned flags, const struct trace_growth *growth);
void trace_close(struct trace *trace);

/* The next event. 1, 0 at the end, or negative errno. */
int trace_next(struct trace *trace, struct trace_event *event);

/* What went wrong, with file name and line number. */
const char *trace_error(const struct trace *trace);

/* Notes what is wrong with the present line, as "FILE:LINE: REASON"; returns -EBADMSG. */
int trace_refuse(struct trace *trace, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

const struct trace_session *trace_session_of(const struct trace *trace);

/* At the end: the trace has no `end` line, or stops in a line. */
bool trace_is_cut(const struct trace *trace);

/* So far: uses of identifiers that no earlier line defines. */
uint64_t trace_undefined(const struct trace *trace);

/* How many there are so far; each index is below. */
uint32_t trace_stack_count(const struct trace *trace);
uint32_t trace_frame_count(const struct trace *trace);
uint32_t trace_file_count(const struct trace *trace);
uint32_t trace_process_count(const struct trace *trace);
uint32_t trace_thread_count(const struct trace *trace);

/* By index. */
const struct trace_stack *trace_stack_at(const struct trace *trace, uint32_t index);
const struct trace_process *trace_process_at(const struct trace *trace, uint32_t index);
const struct trace_thread *trace_thread_at(const struct trace *trace, uint32_t index);

#endif
