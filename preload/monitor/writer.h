/* SPDX-License-Identifier: MIT */
/*
 * writer.h: the writer thread. It takes events from a bounded queue, names the frames, formats
 * the lines and writes them, so that neither a slow disk nor a large symbol table ever holds up
 * the service of a fault.
 *
 * One thread (the service thread) reserves and commits; the writer's own thread does the rest.
 * When the queue is full, writer_reserve waits: the program is slowed down, nothing is dropped
 * and memory stays bounded.
 */
#ifndef FAULTLINE_WRITER_H
#define FAULTLINE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer;

/* What the session line says; strings and vectors need only live during writer_create. */
struct writer_session {
	const char *mode, *capture, *thp; /* thp: the bracketed word of the kernel's setting */
	const char *const *features;	  /* NULL-terminated, as the trace spells them */
	const char *const *command;	  /* NULL-terminated */
	uint64_t granularity;		  /* bytes */
	uint64_t delay_ns;		  /* before tracing began */
	bool unprivileged;
};

struct writer_totals {
	uint64_t faults, regions, stacks, lost, bytes, duration_ns;
	uint32_t processes;
	const char *ended_by; /* what ended it before the programs did; NULL: nothing */
};

/*
 * Opens `path` for the trace (zstd when it ends in ".zst"). An existing file is replaced only
 * when it is empty or begins as a faultline trace. Nothing is written yet and no thread started.
 * 0, or a negative errno with one sentence for the user in `error` (which names the path, the
 * reason and the way out).
 */
int writer_create(struct writer **writer, const char *path, char *error, size_t error_size);

/* Writes the session line and starts the thread. 0 or negative errno. */
int writer_start(struct writer *writer, const struct writer_session *session);

/*
 * Room for one event of `size` bytes (rounded up to 8 by the callee; at most 1 MiB), 8-aligned,
 * with head.size set; waits while the queue is full. Fill it in and commit before reserving the
 * next. Never NULL.
 */
void *writer_reserve(struct writer *writer, uint32_t type, size_t size, uint64_t ts);
void writer_commit(struct writer *writer);

/*
 * A line that the user should see now (a full disk, say), once; NULL when there is none.
 * The string stays valid. Any thread.
 */
const char *writer_complaint(struct writer *writer);

/*
 * Writes what is queued and the `end` line, closes the file, stops the thread, fills in totals.
 * `ended_by` is what the end line tells, or NULL.
 * 0 or the negative errno of the first write that failed.
 */
int writer_finish(struct writer *writer, const char *ended_by, struct writer_totals *totals);

/* Frees everything; accepts NULL and a writer that was never started. */
void writer_destroy(struct writer *writer);

#endif
