/* SPDX-License-Identifier: MIT */
/*
 * truth.h: how a traced test program writes down what it does, for tests/check_trace.py to compare
 * with the trace. Lives in the traced program, in any of its threads and signal handlers.
 *
 * A function says TRACED() first; from then on a list of names that owes nothing to any unwinder
 * tells which functions are running, and leaving the function takes its name off again (and is in
 * the way of a tail call). Just before a touch the program notes it, with the name of the leaf
 * function that will do it; a note without any function says nothing of the stack. The notes stay
 * in this file's own arrays until truth_write. Those arrays are memory of the program too: their
 * pages fault, but are nobody's truth.
 */
#ifndef TRUTH_H
#define TRUTH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

/* A function that the compiler neither inlines, clones, nor looks into from its callers. */
#define NOINLINE      __attribute__((noinline, noclone, noipa))
#define UNUSED	      __attribute__((unused))
#define ALWAYS_INLINE inline __attribute__((always_inline))

#define PAGE		  ((size_t)4096)
#define TRUTH_MAX_TOUCHES (1u << 18)
#define TRUTH_MAX_FRAMES  (1u << 20)

struct truth_frame {
	const char *function;
	const struct truth_frame *caller;
};

/* What the memory is that a thread touches now. 0: not asserted. */
struct truth_place {
	const char *source; /* "mmap", or alternatives: "mmap|mremap" */
	const volatile void *region_start;
	size_t region_size;
	const volatile void *alloc_addr;
	size_t alloc_size;
	const struct truth_frame *alloc_top; /* who allocated */
	size_t page_size;
	const char *kind; /* NULL: "missing" */
};

struct truth_touch {
	const volatile void *addr;
	const char *access, *origin; /* NULL: either */
	const char *thread;	     /* NULL: any thread */
	const char *stranger;	     /* begins the name of one without a stack; NULL: none such */
	const struct truth_frame *top;
	struct truth_place place;
	pid_t pid, tid, own_pid;
	pid_t process; /* of the thread, when it reaches into another's memory; else 0 */
	bool exact;    /* addr is the byte itself, and not only its page */
};

/* Whose memory it is that this process touches, when it shares another's; 0: its own. */
static pid_t truth_memory_of;
/* It does not share it, but reaches into it from its own. */
static bool truth_reaches;

static struct truth_touch truth_touches[TRUTH_MAX_TOUCHES];
static struct truth_frame truth_frames[TRUTH_MAX_FRAMES];
static uint32_t truth_touch_count, truth_frame_count;

static __thread struct {
	const struct truth_frame *top;
	const char *name;
	pid_t tid;
	struct truth_place place;
} truth_self;

static pid_t truth_kept_pid; /* of a program that may not ask again; else 0 */

static UNUSED pid_t truth_own_pid(void)
{
	return truth_kept_pid ? truth_kept_pid : getpid();
}

/*
 * The ID by which the trace knows this process: that of the namespace that recording began in. A
 * test that leaves it says in TRUTH_PROC which descriptor has its /proc.
 */
static UNUSED pid_t truth_pid(void)
{
	const char *proc = truth_kept_pid ? NULL : getenv("TRUTH_PROC");
	char text[32] = "";

	return proc && readlinkat(atoi(proc), "self", text, sizeof(text) - 1) > 0 ? atoi(text)
										  : truth_own_pid();
}

static UNUSED void truth_fail(const char *what)
{
	perror(what);
	_exit(99);
}

static UNUSED const struct truth_frame *truth_push(
    const char *function, const struct truth_frame *caller)
{
	uint32_t i = __atomic_fetch_add(&truth_frame_count, 1, __ATOMIC_RELAXED);

	if (i >= TRUTH_MAX_FRAMES)
		truth_fail("too many function calls for truth.h");
	truth_frames[i].function = function;
	truth_frames[i].caller = caller;
	return &truth_frames[i];
}

static UNUSED const struct truth_frame *truth_enter(const char *function)
{
	const struct truth_frame *caller = truth_self.top;

	truth_self.top = truth_push(function, caller);
	return caller;
}

static UNUSED void truth_leave(const struct truth_frame **caller)
{
	truth_self.top = *caller;
}

#define TRACED()                                                                                   \
	const struct truth_frame *truth_caller __attribute__((cleanup(truth_leave), unused)) =     \
	    truth_enter(__func__)

/* Names the calling thread; each thread does this before its first noted touch. */
static UNUSED void truth_thread(const char *name)
{
	truth_self.name = name;
	truth_self.tid = gettid();
	truth_self.place.page_size = PAGE;
	if (pthread_setname_np(pthread_self(), name) != 0)
		truth_fail("pthread_setname_np");
}

/* Further touches of this thread are in this region; start and size may be unknown (0). */
static UNUSED void truth_region(const char *source, const volatile void *start, size_t size)
{
	truth_self.place = (struct truth_place){source, start, size, NULL, 0, NULL, PAGE, NULL};
}

/* Further touches in this region are faults of this kind. */
static UNUSED void truth_kind(const char *kind)
{
	truth_self.place.kind = kind;
}

/* As well they are in this allocation, which the calling function has made. */
static UNUSED void truth_alloc(const volatile void *addr, size_t size)
{
	truth_self.place.alloc_addr = addr;
	truth_self.place.alloc_size = size;
	truth_self.place.alloc_top = truth_self.top;
}

static UNUSED struct truth_touch *truth_note(
    const volatile void *addr, const char *access, const char *origin, const char *leaf)
{
	uint32_t i = __atomic_fetch_add(&truth_touch_count, 1, __ATOMIC_RELAXED);
	struct truth_touch *touch = &truth_touches[i];

	if (i >= TRUTH_MAX_TOUCHES)
		truth_fail("too many touches for truth.h");
	touch->addr = addr;
	touch->access = access;
	touch->origin = origin;
	touch->thread = truth_self.name;
	touch->top = leaf ? truth_push(leaf, truth_self.top) : truth_self.top;
	touch->place = truth_self.place;
	touch->pid = truth_memory_of ? truth_memory_of : truth_pid();
	touch->own_pid = truth_memory_of ? truth_memory_of : truth_own_pid();
	touch->tid = truth_self.tid;
	touch->process = truth_reaches ? getpid() : 0;
	touch->exact = true;
	return touch;
}

/* The function `leaf` is about to be the first to touch the byte at `addr`. */
static UNUSED void truth_exact(const volatile void *addr, const char *access, const char *leaf)
{
	truth_note(addr, access, "user", leaf);
}

/* As above, but somewhere in addr's page, and by the kernel or by libc for this function. */
static UNUSED void truth_page(
    const volatile void *addr, const char *access, const char *origin, const char *leaf)
{
	truth_note(addr, access, origin, leaf)->exact = false;
}

static UNUSED void truth_range(
    const volatile char *start, size_t size, const char *access, const char *origin)
{
	uintptr_t page = (uintptr_t)start / PAGE * PAGE;

	for (; page < (uintptr_t)start + size; page += PAGE)
		truth_page((const volatile char *)page, access, origin, NULL);
}

/*
 * The pages will be touched by a thread that runs nothing of this program: a worker of the
 * kernel's, or the first thread of another process. `name` begins its name; tid 0: a worker.
 */
static UNUSED void truth_strange(
    const volatile char *start, size_t size, const char *access, const char *name, pid_t tid)
{
	uintptr_t page = (uintptr_t)start / PAGE * PAGE;

	for (; page < (uintptr_t)start + size; page += PAGE) {
		struct truth_touch *touch =
		    truth_note((const volatile char *)page, access, "kernel", NULL);

		touch->thread = NULL;
		touch->top = NULL;
		touch->stranger = name;
		touch->tid = touch->process = tid;
		touch->exact = false;
	}
}

/* In a child after fork: the notes so far are the parent's. */
static UNUSED void truth_forked(void)
{
	truth_touch_count = 0;
	truth_self.tid = gettid();
}

static UNUSED void truth_write_functions(
    FILE *file, const char *key, const struct truth_frame *frame)
{
	const char *separator = "";

	fprintf(file, ",\"%s\":[", key);
	for (; frame; frame = frame->caller) {
		fprintf(file, "%s\"%s\"", separator, frame->function);
		separator = ",";
	}
	fputc(']', file);
}

static UNUSED void truth_write_one(FILE *file, const struct truth_touch *touch)
{
	const struct truth_place *place = &touch->place;

	fprintf(file, "{\"addr\":\"%p\",\"page_size\":%zu,\"exact\":%s,\"pid\":%d,\"own_pid\":%d",
	    touch->addr, place->page_size, touch->exact ? "true" : "false", touch->pid,
	    touch->own_pid);
	if (touch->thread || (touch->stranger && touch->tid))
		fprintf(file, ",\"tid\":%d", touch->tid);
	if (touch->thread)
		fprintf(file, ",\"thread\":\"%s\"", touch->thread);
	if (touch->process)
		fprintf(file, ",\"process\":%d", touch->process);
	if (touch->stranger)
		fprintf(file, ",\"stranger\":\"%s\"", touch->stranger);
	if (touch->access)
		fprintf(file, ",\"access\":\"%s\"", touch->access);
	if (touch->origin)
		fprintf(file, ",\"origin\":\"%s\"", touch->origin);
	fprintf(file, ",\"kind\":\"%s\"", place->kind ? place->kind : "missing");
	if (place->source)
		fprintf(file, ",\"source\":\"%s\"", place->source);
	if (place->region_start)
		fprintf(file, ",\"region_start\":\"%p\"", place->region_start);
	if (place->region_size)
		fprintf(file, ",\"region_size\":%zu", place->region_size);
	if (place->alloc_addr) {
		fprintf(file, ",\"alloc_addr\":\"%p\"", place->alloc_addr);
		truth_write_functions(file, "alloc_functions", place->alloc_top);
	}
	if (place->alloc_size)
		fprintf(file, ",\"alloc_size\":%zu", place->alloc_size);
	if (touch->top)
		truth_write_functions(file, "functions", touch->top);
	fputs("}\n", file);
}

static UNUSED void truth_write_all(FILE *file)
{
	for (uint32_t i = 0; i < truth_touch_count; i++)
		truth_write_one(file, &truth_touches[i]);
}

/* Adds the notes to the file, oldest first. `mode` as for fopen. No other thread runs; other
   processes may do the same at once. */
static UNUSED void truth_write(const char *path, const char *mode)
{
	FILE *file = fopen(path, mode);

	if (!file || flock(fileno(file), LOCK_EX) != 0)
		truth_fail(path);
	truth_write_all(file);
	if (fclose(file) != 0)
		truth_fail(path);
}

#endif
