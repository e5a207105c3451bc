/* SPDX-License-Identifier: MIT */
/*
 * trace_model.h: what a report needs to know of a trace, gathered in one pass. Its size grows with
 * the places of the program and its live memory, not with the number of faults.
 *
 *   fault --- stack ---> place (code) ---> module file
 *     |
 *     +----- alloc or region ---> origin (place, and how: malloc, mmap, ...)
 *
 * A *place* stands for a stack: the innermost frame outside the C and C++ runtime (files and
 * symbols listed in trace_stack.c). When that has no name, the next outer named frame of the same
 * file stands for it, as long as no frame of another file or of the runtime lies between. A stack
 * that is all runtime is named by its innermost frame. `faultline report --help` says the same.
 */
#ifndef FAULTLINE_TRACE_MODEL_H
#define FAULTLINE_TRACE_MODEL_H

#include "id_map.h"
#include "touched.h"
#include "trace_reader.h"

#include <stdbool.h>
#include <stdint.h>

/* A program or library; the same file in several processes is one. */
struct module_file {
	struct module_file *next;
	char *path, *build_id; /* build_id: lower-case hex, "" when it has none */
};

struct place {
	struct place *next;
	struct module_file *file; /* NULL: generated code, or no stack at all */
	uint64_t offset;	  /* in the file's own numbering, of the instruction */
	char *symbol;		  /* as in the file, NULL: unnamed */
	uint64_t symbol_offset;	  /* from the symbol to `offset` */
	uint64_t faults, bytes, reads, writes;
};

/* Where memory was asked for. */
struct origin {
	struct origin *next;
	const struct place *place;
	const char *source; /* malloc, calloc, mmap, brk, ...; owned by the model */
	bool is_allocation; /* of an allocation function, not a whole mapping */
	uint64_t count;
	uint64_t reserved, touched; /* bytes, of all there were */
	uint64_t live, peak;	    /* bytes reserved at once: now, at most */
};

struct trace_thread {
	struct trace_thread *next;
	int64_t pid, tid;
	char *name; /* "" when none was told */
	uint64_t faults, bytes;
};

struct trace_loss {
	struct trace_loss *next;
	char *what, *why;
	uint64_t count;
};

/* A word that others point to. */
struct trace_word {
	struct trace_word *next;
	char text[];
};

struct trace_model {
	/* the session line; strings are never NULL */
	char *command, *time, *kernel, *machine, *mode, *capture;
	uint64_t page_size, granularity; /* bytes */

	struct module_file *files;
	struct place *places;
	struct origin *origins;
	struct trace_thread *threads;
	struct trace_loss *losses;
	struct trace_word *words;
	uint64_t faults, bytes, lost, duration_ns;
	uint64_t process_count, thread_count;
	uint64_t undefined; /* uses of identifiers that no line defines */
	bool ended;	    /* there was an `end` line */
	bool cut;	    /* the text stopped inside a line */

	struct trace_index *index; /* only while reading */
};

/* Reads a whole trace. 0, or a negative errno: trace_reader_error(reader) tells. */
int trace_model_read(struct trace_model *model, struct trace_reader *reader);

/* Frees what the model owns; a zeroed model is fine. */
void trace_model_free(struct trace_model *model);

#endif
