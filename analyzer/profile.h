/* SPDX-License-Identifier: MIT */
/*
 * profile.h: a trace added up, in one pass: what reports, pages and comparisons are made from. All
 * that filters kept of a trace is in it and nothing else.
 *
 *     struct profile *profile = profile_create(trace, 0);
 *     while ((result = trace_next(trace, &event)) > 0)
 *             result = profile_add(profile, &event);        or all of it: profile_read
 *
 * It may be looked at after any event, so that it serves for a trace that still grows. Pointers
 * into the trace (stacks, threads, processes) make it useless once the trace is closed. Memory
 * grows with stacks, threads, processes, live memory and, when they are asked for, regions.
 */
#ifndef FAULTLINE_PROFILE_H
#define FAULTLINE_PROFILE_H

#include "arena.h"
#include "hash_set.h"
#include "trace.h"

struct profile_sum {
	uint64_t faults;
	uint64_t bytes;		/* brought in: a page that came twice counts twice */
	uint64_t reads, writes; /* faults */
};

/* Memory of one source: regions, and what was touched of them. */
struct profile_source {
	const char *name;
	uint64_t regions, reserved; /* how many; bytes */
	struct profile_sum sum;
};

/*
 * Where memory was asked for: a stack of calls, and what was called. Of all the regions or
 * allocations that were ever made there:
 */
struct profile_origin {
	uint32_t index;			 /* in `origins` of the profile */
	const struct trace_stack *stack; /* NULL: not told */
	const char *source;		 /* "malloc", "calloc", "mmap", "brk", ... */
	bool is_allocation;		 /* of an allocation function, not a whole mapping */
	uint64_t count, freed;
	uint64_t reserved;     /* bytes */
	uint64_t touched;      /* bytes of them that were touched, each page once */
	uint64_t written;      /* bytes of the touched that were written */
	uint64_t present;      /* bytes of them that were there already, from an earlier use */
	uint64_t last_present; /* the same of the last allocation */
	uint64_t live;	       /* bytes reserved now */
	uint64_t peak;	       /* the most that were reserved at once */
	struct profile_sum sum;
	size_t source_index; /* of a mapping: of its profile_source */
};

struct profile_process {
	const struct trace_process *process;
	struct profile_sum sum;
	uint64_t regions, allocs; /* how many were made */
	struct page_set resident; /* pages touched and not given back */
	uint64_t resident_bytes, peak_bytes;
	int64_t peak_ns; /* when that was */
};

struct profile_thread {
	const struct trace_thread *thread;
	struct profile_sum sum;
	uint64_t own_bytes;    /* of sum.bytes: in memory that this thread asked for itself */
	uint64_t others_bytes; /* of sum.bytes: in memory that others asked for */
	uint64_t given_bytes;  /* of this thread's memory, touched by others */
};

/* How much one thread touched of the memory that another asked for. */
struct profile_share {
	const struct trace_thread *toucher, *owner;
	uint64_t faults, bytes;
};

/* With PROFILE_REGIONS. */
struct profile_region {
	int64_t id;
	const struct trace_process *process;
	const struct trace_thread *thread; /* NULL: not told */
	const struct trace_stack *stack;   /* NULL: not told */
	const char *source, *memory;
	uint64_t start, size, page_size; /* bytes */
	int64_t time_ns, end_ns;	 /* end_ns -1: it did not end */
	uint64_t touched, written;	 /* bytes, each page once */
	struct profile_sum sum;
	struct profile_origin *origin;
};

/* Time in pieces of equal length, which doubles when there would be too many. */
#define PROFILE_MOST_BUCKETS 512
struct profile_time {
	int64_t bucket_ns;
	size_t count; /* up to the last one with an event; bucket i begins at i * bucket_ns */
	struct profile_bucket {
		struct profile_sum sum;
		uint64_t resident_bytes; /* the most at once, of all processes */
	} buckets[PROFILE_MOST_BUCKETS];
};

struct profile_loss {
	const char *what, *why;
	uint64_t count;
};

enum { PROFILE_REGIONS = 1 };

/* Lists have no particular order. Read them, do not change them. */
struct profile {
	const struct trace *trace;
	unsigned flags;
	struct profile_sum sum;
	uint64_t resident_bytes, peak_bytes; /* of all processes at once */
	int64_t peak_ns;		     /* when that was */
	uint64_t duration_ns; /* of the recording; of a cut one, up to its last line */
	uint64_t lost;
	struct profile_loss *losses; /* those with the same words are one */
	size_t loss_count;
	struct profile_sum no_stack; /* of faults without a stack */
	struct profile_sum *stacks;  /* by index of trace_stack, without what it called */
	size_t stack_room;	     /* entries; those of later stacks are all zero */
	struct profile_source *sources;
	size_t source_count;
	struct profile_origin **origins;
	size_t origin_count;
	struct profile_thread *threads;	   /* by index of trace_thread */
	struct profile_process *processes; /* by index of trace_process */
	size_t thread_room, process_room;  /* entries; those without a thread or process are zero */
	struct profile_share **shares;
	size_t share_count;
	struct profile_region **regions; /* in the order of the trace */
	size_t region_count;
	struct profile_time time;

	/* profile.c's own */
	struct arena arena;
	struct hash_set origin_set, share_set;
	size_t origin_room, share_room, region_room, loss_room;
};

/* NULL without memory. The trace must live as long. */
struct profile *profile_create(const struct trace *trace, unsigned flags);
void profile_destroy(struct profile *profile);

/* Adds an event of the trace. 0 or -ENOMEM. */
int profile_add(struct profile *profile, const struct trace_event *event);

/* Reads the whole trace. 0, or negative errno: trace_error tells. */
int profile_read(struct profile *profile, struct trace *trace);

/*
 * By index of origin: is it of mappings that malloc made for one allocation each? Where allocations
 * are told, too, it would be told twice. To be freed; NULL without memory.
 */
bool *profile_told_origins(const struct profile *profile);

/* What the stack itself touched. */
const struct profile_sum *profile_of_stack(
    const struct profile *profile, const struct trace_stack *stack);

#endif
