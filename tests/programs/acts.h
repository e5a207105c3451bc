/* SPDX-License-Identifier: MIT */
/*
 * acts.h: how a traced test program changes its memory and writes down what it did, for
 * tests/check_acts.py to compare with the trace: each call that succeeded, each touch of a page and
 * whether the page was in memory before, by mincore(2). Lives in the traced program, in any of its
 * threads; what two threads do to one page must be in an order of its own.
 *
 * Each call is made in the way that acts_by says. What lies in nobody's memory is not written down
 * either: a test keeps to places of its own, see acts_arena.
 */
#ifndef ACTS_H
#define ACTS_H

#include "raw.h"
#include "truth.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <time.h>

#define ACTS_MAX	(1u << 17)
#define ACTS_PAGES_ONCE 512

enum acts_by { ACTS_LIBC, ACTS_SYSCALL, ACTS_RAW };
static const char *const acts_ways[] = {"libc", "syscall", "raw"};

struct act {
	const char *what, *detail; /* of what kind it is; "" where there is but one */
	const volatile void *start, *to;
	size_t size, new_size;
	int prot, flags;
	enum acts_by by;
	pid_t pid, tid;
	bool missing; /* the page was not in memory before */
};

static struct act acts_done[ACTS_MAX];
static uint32_t acts_count;
static __thread enum acts_by acts_by;
static __thread sigjmp_buf acts_back;
static __thread volatile sig_atomic_t acts_ready; /* acts_back is set */

static UNUSED struct act *acts_note(
    const char *what, const char *detail, const volatile void *start, size_t size)
{
	uint32_t i = __atomic_fetch_add(&acts_count, 1, __ATOMIC_RELAXED);
	struct act *act = &acts_done[i];

	if (i >= ACTS_MAX)
		truth_fail("too many acts for acts.h");
	*act = (struct act){.what = what,
	    .detail = detail,
	    .start = start,
	    .size = size,
	    .by = acts_by,
	    .pid = getpid(),
	    .tid = gettid()};
	return act;
}

/* ---- calls ---- */

static UNUSED long acts_call(long number, long a, long b, long c, long d, long e, long f)
{
	return acts_by == ACTS_SYSCALL ? syscall(number, a, b, c, d, e, f)
				       : raw_call(number, a, b, c, d, e, f);
}

/* `detail`: "anon", "shared", "memfd", or "other" for what is not traced. MAP_FAILED with errno. */
static UNUSED char *acts_map(
    const char *detail, char *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	struct act *act;
	void *got = acts_by == ACTS_LIBC ? mmap(at, size, prot, flags, fd, offset)
					 : (void *)acts_call(SYS_mmap, (long)at, (long)size, prot,
					       flags, fd, offset);

	if (got == MAP_FAILED)
		return got;
	act = acts_note("map", detail, got, size);
	act->prot = prot;
	act->flags = flags;
	return got;
}

static UNUSED int acts_unmap(char *at, size_t size)
{
	int result = acts_by == ACTS_LIBC
			 ? munmap(at, size)
			 : (int)acts_call(SYS_munmap, (long)at, (long)size, 0, 0, 0, 0);

	if (result == 0)
		acts_note("unmap", "", at, size);
	return result;
}

static UNUSED char *acts_remap(char *old, size_t old_size, size_t size, int flags, char *to)
{
	struct act *act;
	void *got = acts_by == ACTS_LIBC ? mremap(old, old_size, size, flags, to)
					 : (void *)acts_call(SYS_mremap, (long)old, (long)old_size,
					       (long)size, flags, (long)to, 0);

	if (got == MAP_FAILED)
		return got;
	act = acts_note("remap", "", old, old_size);
	act->to = got;
	act->new_size = size;
	act->flags = flags;
	return got;
}

static UNUSED int acts_protect(char *at, size_t size, int prot)
{
	return acts_by == ACTS_LIBC
		   ? mprotect(at, size, prot)
		   : (int)acts_call(SYS_mprotect, (long)at, (long)size, prot, 0, 0, 0);
}

/* "-": not mapped; "1": in memory; "0": not. Of each page; for at most ACTS_PAGES_ONCE of them. */
static UNUSED void acts_look(const char *at, size_t pages, char *present)
{
	for (size_t i = 0; i < pages; i++) {
		unsigned char in = 0;

		present[i] =
		    raw_call(SYS_mincore, (long)(at + i * PAGE), PAGE, (long)&in, 0, 0, 0) == 0
			? (char)('0' + (in & 1))
			: '-';
	}
	present[pages] = '\0';
}

static UNUSED struct act *acts_note_touch(
    const volatile char *at, const char *access, bool missing, bool by_kernel)
{
	struct act *act = acts_note("touch", access, at, 1);

	act->missing = missing;
	act->flags = by_kernel;
	return act;
}

static UNUSED int acts_advise(char *at, size_t size, const char *name, int advice)
{
	int result = acts_by == ACTS_LIBC
			 ? madvise(at, size, advice)
			 : (int)acts_call(SYS_madvise, (long)at, (long)size, advice, 0, 0, 0);

	/* A range with holes is dealt with, and then the holes are told of. */
	acts_note("advise", name, at, size)->flags = result == 0 || errno == ENOMEM;
	return result;
}

/* After a call by which the kernel touched each page; `before`: what acts_look said before it. */
static UNUSED void acts_note_touched(
    const char *at, size_t pages, const char *before, const char *access)
{
	for (size_t i = 0; i < pages; i++)
		acts_note_touch(at + i * PAGE, access, before[i] == '0', true);
}

/* ---- touches ---- */

static UNUSED void acts_on_signal(int number, siginfo_t *info, void *context)
{
	(void)info, (void)context;
	if (!acts_ready)
		_exit(98);
	acts_ready = 0;
	siglongjmp(acts_back, number);
}

static UNUSED void acts_start(void)
{
	struct sigaction action = {.sa_sigaction = acts_on_signal, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

/* 'S' or 'B': a signal that says that this may not be; else '1' when the page was in memory, '0'
   when not. *value: what was read, or is written. */
static UNUSED char acts_touch(char *at, bool write, char *value)
{
	char present[2];
	int number;

	acts_look((char *)((uintptr_t)at / PAGE * PAGE), 1, present);
	number = sigsetjmp(acts_back, 1);
	if (number)
		return number == SIGBUS ? 'B' : 'S';
	acts_ready = 1;
	if (write)
		*(volatile char *)at = *value;
	else
		*value = *(volatile char *)at;
	acts_ready = 0;
	acts_note_touch(at, write ? "write" : "read", present[0] == '0', false);
	return present[0];
}

/* ---- what was mapped by the instruction itself ---- */

static UNUSED bool acts_is_traced(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "libfaultline.so");
}

/* Whether the mapping at `at` is registered, by its flags in smaps: "um". */
static UNUSED bool acts_is_registered(const char *at)
{
	char *line = NULL;
	size_t room = 0, from, end;
	bool here = false, registered = false;
	FILE *file = fopen("/proc/self/smaps", "re");

	if (!file)
		truth_fail("smaps");
	while (getline(&line, &room, file) > 0)
		if (sscanf(line, "%zx-%zx ", &from, &end) == 2)
			here = (size_t)at >= from && (size_t)at < end;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			registered = strstr(line, " um") != NULL;
	free(line);
	fclose(file);
	return registered;
}

/* The kernel tells of such a mapping a little late: waits until then, where it is traced at all. */
static UNUSED void acts_settle(const char *at)
{
	const struct timespec nap = {.tv_nsec = 5000000};

	while (acts_is_traced() && !acts_is_registered(at))
		nanosleep(&nap, NULL);
}

/* ---- children ---- */

/* In a child after fork: the acts so far are the parent's. */
static UNUSED void acts_forked(void)
{
	acts_count = 0;
}

/* In the parent, which changes nothing until the child has ended. */
static UNUSED void acts_note_child(pid_t pid)
{
	acts_note("fork", "", NULL, 0)->to = (const volatile void *)(uintptr_t)pid;
}

/* ---- places ---- */

/*
 * So many pages at a place where nobody else maps, below where the kernel looks first: the same in
 * each run. `number` tells arenas apart. They are not mapped.
 */
static UNUSED char *acts_arena(size_t number)
{
	return (char *)((uintptr_t)0x100000000000 + number * 0x1000000000);
}

/* The place is the arena's: checks of it are complete. */
static UNUSED void acts_own(const char *arena, size_t pages)
{
	acts_note("arena", "", arena, pages * PAGE);
}

/* ---- writing ---- */

/* Adds the acts to the file, oldest first. No other thread runs; other processes may do the same.
 */
static UNUSED void acts_write(const char *path, const char *mode)
{
	FILE *file = fopen(path, mode);

	if (!file || flock(fileno(file), LOCK_EX) != 0)
		truth_fail(path);
	for (uint32_t i = 0; i < acts_count; i++) {
		const struct act *a = &acts_done[i];

		fprintf(file,
		    "{\"what\":\"%s\",\"detail\":\"%s\",\"start\":%zu,\"size\":%zu,\"to\":%zu,"
		    "\"new_size\":%zu,\"prot\":%d,\"flags\":%d,\"by\":\"%s\",\"pid\":%d,"
		    "\"tid\":%d,\"missing\":%s}\n",
		    a->what, a->detail, (size_t)a->start, a->size, (size_t)a->to, a->new_size,
		    a->prot, a->flags, acts_ways[a->by], a->pid, a->tid,
		    a->missing ? "true" : "false");
	}
	if (fclose(file) != 0)
		truth_fail(path);
}

/* ---- programs ---- */

/* What a call returned, to be printed. */
static UNUSED const char *acts_outcome(bool good)
{
	return good ? "done" : strerrorname_np(errno);
}

/* What a program can be asked to do; the last one has no name. */
struct acts_work {
	const char *name;
	int (*function)(void);
};

/* Does what is called so, and writes the acts to the file. The program's exit status. */
static UNUSED int acts_run(const struct acts_work *works, const char *name, const char *path)
{
	int status = 2;

	acts_start();
	fclose(fopen(path, "w"));
	for (; works->name; works++)
		if (strcmp(works->name, name) == 0)
			status = works->function();
	acts_write(path, "a");
	return status;
}

#endif
