/* SPDX-License-Identifier: MIT */
/*
 * writer.c: see writer.h. Owns the queue, the text that is not yet in the file, and the totals.
 *
 * The service thread creates, starts, reserves, commits and finishes; all between start and
 * finish is done by a thread of our own, which has every signal blocked (a write beyond the file
 * size limit would raise SIGXFSZ and end the monitor). It may be slow: the queue is what keeps
 * the service of faults apart from it.
 *
 * After the first write that fails nothing more is written but, at the end, a `lost` line: a
 * trace with a hole in the middle would pass for a whole one.
 */
#include "writer.h"

#include "../output.h"
#include "line.h"
#include "names.h"
#include "queue.h"
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE_BYTES (8u << 20)

/*
 * The writer looks into the queue this often. Where it runs on the processor that the program has
 * just left, the program comes back to another address space's translations: on a virtual machine
 * that cost more than the lines did, at every look.
 */
#define NAP_NS 32000000u

/* Reading the clock for every line that comes often would cost as much as the line. */
#define LINES_BETWEEN_CLOCKS 64

struct counts {
	uint64_t faults, regions, stacks, bytes;
	uint64_t lines;
};

struct writer {
	struct queue *queue;
	struct output *output;
	struct names *names;
	struct line_stacks *stacks;
	char *path;
	pthread_t thread;
	bool started, finished;

	/* The rest is the writer thread's until it has been joined. */
	char *text; /* whole lines, not yet in the file */
	size_t used, capacity;
	uint64_t oldest;       /* when the first of them came; of no meaning while used is 0 */
	struct counts waiting; /* in text */
	struct counts written; /* in the file */

	uint64_t unwritten; /* lines that could not be written or made */
	uint64_t lost;	    /* as `lost` events told */
	uint32_t processes;
	uint64_t first_ts; /* of the first process, or of the session */
	bool process_seen;
	int failure; /* negative errno of the first write that failed */

	struct writer_totals totals;
	const char *ended_by;
	char complaint_text[1024];
	_Atomic(const char *) complaint;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static const char *frame_name(void *context, const struct event_stack *stack,
    const struct event_frame *frame, uint64_t *symbol_offset)
{
	return names_of_frame(context, stack, frame, symbol_offset);
}

int writer_create(struct writer **writer, const char *path, char *error, size_t error_size)
{
	struct writer *made = calloc(1, sizeof(*made));
	int result = -ENOMEM;

	if (!made)
		goto out;
	made->path = strdup(path);
	made->names = names_create();
	made->stacks =
	    line_stacks_create(&(struct line_names){.name = frame_name, .context = made->names});
	if (!made->path || !made->names || !made->stacks || queue_create(&made->queue, QUEUE_BYTES))
		goto out;
	result = output_open(&made->output, path, error, error_size);
	if (result)
		goto out_told;
	made->capacity = output_batch_bytes(made->output);
	made->text = malloc(made->capacity);
	if (!made->text) {
		result = -ENOMEM;
		goto out;
	}
	*writer = made;
	return 0;
out:
	snprintf(error, error_size, "cannot write the trace: there is no memory left");
out_told:
	writer_destroy(made);
	return result;
}

/* --- text on its way to the file --- */

/* What the user can do about it. */
static const char *advice(int code, bool compresses)
{
	switch (-code) {
	case ENOSPC:
	case EDQUOT:
		return compresses ? "make room, or use --output on another disk, and record again"
				  : "make room, or use --output on another disk or with a name "
				    "ending in .zst, and record again";
	case EFBIG:
		return "raise the limit with ulimit -f and record again";
	default:
		return "use --output with a file elsewhere and record again";
	}
}

static void complain(struct writer *writer)
{
	snprintf(writer->complaint_text, sizeof(writer->complaint_text),
	    "the trace '%.500s' ends after %llu faults: %s; what the program does from here on is "
	    "not recorded: %s",
	    writer->path, (unsigned long long)writer->written.faults, strerror(-writer->failure),
	    advice(writer->failure, output_compresses(writer->output)));
	for (char *at = writer->complaint_text; *at; at++) {
		if (iscntrl((unsigned char)*at))
			*at = '?';
	}
	atomic_store(&writer->complaint, writer->complaint_text);
}

static bool line_is(const char *line, size_t size, const char *type)
{
	static const char key[] = "{\"type\":\"";
	size_t length = strlen(type);

	return size > sizeof(key) + length && !memcmp(line + sizeof(key) - 1, type, length) &&
	       line[sizeof(key) - 1 + length] == '"';
}

/* What the first `size` bytes of the text hold, when not all of it could be written. */
static struct counts count_lines(const struct writer *writer, size_t size)
{
	const char *line = writer->text, *end = line + size;
	struct counts counts = {0};

	while (line < end) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		size_t length = newline ? (size_t)(newline + 1 - line) : (size_t)(end - line);

		counts.lines++;
		counts.faults += line_is(line, length, "fault");
		counts.regions += line_is(line, length, "region");
		counts.stacks += line_is(line, length, "stack");
		line += length;
	}
	/* Lines do not say it, but nearly always all faults bring in the same amount. */
	if (writer->waiting.faults > 0)
		counts.bytes = (uint64_t)((unsigned __int128)writer->waiting.bytes * counts.faults /
					  writer->waiting.faults);
	return counts;
}

static void add_counts(struct counts *sum, const struct counts *more)
{
	sum->faults += more->faults;
	sum->regions += more->regions;
	sum->stacks += more->stacks;
	sum->bytes += more->bytes;
	sum->lines += more->lines;
}

/* Empties the text into the file, or counts it as unwritten. */
static void flush(struct writer *writer)
{
	struct counts done = {0};
	size_t kept = 0;
	int result = writer->failure;

	if (writer->used == 0)
		return;
	if (!result) {
		result = output_write(writer->output, writer->text, writer->used, &kept);
		done = result ? count_lines(writer, kept) : writer->waiting;
		add_counts(&writer->written, &done);
	}
	writer->unwritten += writer->waiting.lines - done.lines;
	writer->waiting = (struct counts){0};
	writer->used = 0;
	if (result && !writer->failure) {
		writer->failure = result;
		complain(writer);
	}
	/* One long line must not hold its memory for ever. */
	if (writer->capacity > output_batch_bytes(writer->output)) {
		size_t usual = output_batch_bytes(writer->output);
		char *smaller = realloc(writer->text, usual);

		if (smaller) {
			writer->text = smaller;
			writer->capacity = usual;
		}
	}
}

/* Room for `size` more bytes of text, or NULL when there is no memory. */
static char *room(struct writer *writer, size_t size)
{
	if (size > writer->capacity - writer->used)
		flush(writer);
	if (size > writer->capacity) {
		char *larger = realloc(writer->text, size);

		if (!larger)
			return NULL;
		writer->text = larger;
		writer->capacity = size;
	}
	return writer->text + writer->used;
}

static void added(struct writer *writer, size_t size)
{
	if (writer->used == 0)
		writer->oldest = now_ns();
	writer->used += size;
	writer->waiting.lines++;
}

static void flush_when_due(struct writer *writer)
{
	if (writer->used > 0 && now_ns() - writer->oldest >= output_batch_ns(writer->output))
		flush(writer);
}

/* Takes over `json`, which is NULL when it could not be made. 0 or -ENOMEM. */
static int add_json(struct writer *writer, json_t *json)
{
	const size_t flags = JSON_COMPACT | JSON_PRESERVE_ORDER;
	size_t size = 0, free_bytes = writer->capacity - writer->used;
	char *at = writer->text + writer->used;
	int result = -ENOMEM;

	if (!json)
		goto out;
	size = json_dumpb(json, at, free_bytes, flags);
	if (size == 0)
		goto out;
	if (size + 1 > free_bytes) {
		at = room(writer, size + 1);
		if (!at || json_dumpb(json, at, size, flags) != size)
			goto out;
	}
	at[size] = '\n';
	added(writer, size + 1);
	result = 0;
out:
	json_decref(json);
	if (result)
		writer->unwritten++;
	return result;
}

/* --- events --- */

static bool comes_often(const struct event *event)
{
	return event->type == EVENT_FAULT || event->type == EVENT_ALLOC ||
	       event->type == EVENT_FREE;
}

static void take_often(struct writer *writer, const struct event *event)
{
	added(writer, line_often(room(writer, LINE_OFTEN_MAX), event));
	if (event->type == EVENT_FAULT) {
		writer->waiting.faults++;
		writer->waiting.bytes += ((const struct event_fault *)event)->bytes;
	}
}

static void take_process(struct writer *writer, const struct event_process *process)
{
	if (process->event != PROCESS_START && process->event != PROCESS_FORK)
		return;
	writer->processes++;
	if (!writer->process_seen) {
		writer->process_seen = true;
		writer->first_ts = process->head.ts;
	}
}

static void take_stack(struct writer *writer, const struct event_stack *event)
{
	size_t size = 0;
	const char *line = line_stack(writer->stacks, event, &size);
	char *at = line ? room(writer, size) : NULL;

	if (!at) {
		writer->unwritten++;
		return;
	}
	memcpy(at, line, size);
	added(writer, size);
	writer->waiting.stacks++;
}

static void take_event(struct writer *writer, const struct event *event)
{
	switch (event->type) {
	case EVENT_MODULE_END:
		names_remove_module(writer->names, ((const struct event_module *)event)->id);
		return;
	case EVENT_MODULE:
		names_add_module(writer->names, (const struct event_module *)event);
		break;
	case EVENT_PROCESS:
		take_process(writer, (const struct event_process *)event);
		break;
	case EVENT_LOST:
		writer->lost += ((const struct event_lost *)event)->count;
		break;
	default:
		break;
	}
	if (writer->failure) {
		writer->unwritten++;
		return;
	}
	if (comes_often(event)) {
		take_often(writer, event);
		return;
	}
	if (event->type == EVENT_STACK)
		take_stack(writer, (const struct event_stack *)event);
	else if (!add_json(writer, line_of_event(event)))
		writer->waiting.regions += event->type == EVENT_REGION;
}

static void drain(struct writer *writer)
{
	const struct event *event;
	unsigned often = 0;

	while ((event = queue_peek(writer->queue))) {
		/* Other lines take long enough to make, stacks above all. */
		bool look = !comes_often(event) || ++often % LINES_BETWEEN_CLOCKS == 0;

		take_event(writer, event);
		queue_pop(writer->queue);
		if (look)
			flush_when_due(writer);
	}
}

/* --- the end --- */

static void fill_totals(struct writer *writer, const struct counts *counts, uint64_t ts)
{
	writer->totals = (struct writer_totals){.faults = counts->faults,
	    .regions = counts->regions,
	    .stacks = counts->stacks,
	    .bytes = counts->bytes,
	    .lost = writer->lost + writer->unwritten,
	    .duration_ns = ts > writer->first_ts ? ts - writer->first_ts : 0,
	    .processes = writer->processes,
	    .ended_by = writer->ended_by};
}

/*
 * The last words of a trace that had to stop: what it lacks. It has no `end`, because it ends
 * before the program does. Where not even this fits the trace stays as it is.
 */
static void add_last_words(struct writer *writer, uint64_t ts)
{
	json_t *json = line_lost(ts, LOST_LINES, writer->unwritten, strerror(-writer->failure));
	size_t size = json ? json_dumpb(json, writer->text, writer->capacity, JSON_COMPACT) : 0;
	size_t kept;

	if (size > 0 && size < writer->capacity) {
		writer->text[size] = '\n';
		output_write(writer->output, writer->text, size + 1, &kept);
	}
	json_decref(json);
}

static void finish(struct writer *writer)
{
	struct counts all = writer->written;
	uint64_t ts = now_ns();

	if (!writer->failure && writer->unwritten > 0)
		add_json(writer, line_lost(ts, LOST_LINES, writer->unwritten, "no memory"));
	if (!writer->failure) {
		add_counts(&all, &writer->waiting);
		fill_totals(writer, &all, ts);
		add_json(writer, line_end(&writer->totals, ts));
		flush(writer);
	}
	if (writer->failure) {
		flush(writer); /* counts what came while the failing write was under way */
		add_last_words(writer, ts);
	}
	fill_totals(writer, &writer->written, ts);
}

static void *run(void *argument)
{
	struct writer *writer = argument;

	/* The session line at once, and as a frame of its own: it marks the file as a trace. */
	flush(writer);
	while (!queue_ended(writer->queue)) {
		drain(writer);
		flush_when_due(writer);
		queue_nap(writer->queue, NAP_NS);
	}
	finish(writer);
	return NULL;
}

/* --- the service thread's side --- */

int writer_start(struct writer *writer, const struct writer_session *session)
{
	sigset_t all, before;
	uint64_t ts = now_ns();
	int result = output_begin(writer->output);

	if (result)
		return result;
	writer->first_ts = ts;
	result = add_json(writer, line_session(session, ts));
	if (result)
		return result;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	result = -pthread_create(&writer->thread, NULL, run, writer);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (result)
		return result;
	pthread_setname_np(writer->thread, "writer");
	writer->started = true;
	return 0;
}

void *writer_reserve(struct writer *writer, uint32_t type, size_t size, uint64_t ts)
{
	struct event *event = queue_reserve(writer->queue, size);

	event->type = type;
	event->ts = ts;
	return event;
}

void writer_commit(struct writer *writer)
{
	queue_commit(writer->queue);
}

const char *writer_complaint(struct writer *writer)
{
	if (!atomic_load_explicit(&writer->complaint, memory_order_relaxed))
		return NULL;
	return atomic_exchange(&writer->complaint, NULL);
}

int writer_finish(struct writer *writer, const char *ended_by, struct writer_totals *totals)
{
	int result;

	if (writer->started && !writer->finished) {
		writer->ended_by = ended_by; /* the thread reads it after the queue's end */
		queue_close(writer->queue);
		pthread_join(writer->thread, NULL);
		writer->finished = true;
		result = output_close(writer->output);
		if (result && !writer->failure) {
			writer->failure = result;
			complain(writer);
		}
	}
	*totals = writer->totals;
	return writer->failure;
}

void writer_destroy(struct writer *writer)
{
	struct writer_totals totals;

	if (!writer)
		return;
	if (writer->started)
		writer_finish(writer, NULL, &totals);
	output_destroy(writer->output);
	queue_destroy(writer->queue);
	line_stacks_destroy(writer->stacks);
	names_destroy(writer->names);
	free(writer->text);
	free(writer->path);
	free(writer);
}
