/* SPDX-License-Identifier: MIT */
/*
 * loop.h: the loop whose cost touch.c and floor.c measure: each page of fresh memory is written to
 * once, from a chain of functions deep enough that a stack is work to unwind; the chain branches,
 * so that there can be thousands of different stacks. Runs in the measured program, in its main
 * thread or in threads of its own. Included by one file of each program.
 */
#ifndef LOOP_H
#define LOOP_H

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	    4096u
#define THREADS_MAX 64u
#define NOINLINE    __attribute__((noinline, noclone))

/* Keeps a call from becoming a jump, and two calls from becoming one. */
#define AFTER_CALL(mark) __asm__ volatile("" ::"i"(mark) : "memory")

static void loop_fail(const char *what);

/* What a touch is: a write, or the kernel's, of a system call that fills the page. */
static int zeros_fd = -1;

static NOINLINE void touch_page(volatile char *page)
{
	if (zeros_fd < 0)
		*page = 1;
	else if (read(zeros_fd, (char *)page, PAGE) != PAGE)
		loop_fail("/dev/zero");
}

/* A frame of an ordinary size. Its two calls make two stacks; a chain of them makes many. */
#define LEVEL(name, next, bit)                                                                     \
	static NOINLINE void name(volatile char *page, size_t path)                                \
	{                                                                                          \
		volatile char local[64];                                                           \
                                                                                                   \
		local[0] = (char)path;                                                             \
		if (path >> (bit)&1) {                                                             \
			next(page, path);                                                          \
			AFTER_CALL(1);                                                             \
		} else {                                                                           \
			next(page, path + (size_t)(local[0] & 0));                                 \
			AFTER_CALL(2);                                                             \
		}                                                                                  \
	}

/* One with one call. */
#define STEP(name, next)                                                                           \
	static NOINLINE void name(volatile char *page, size_t path)                                \
	{                                                                                          \
		volatile char local[64];                                                           \
                                                                                                   \
		local[0] = (char)path;                                                             \
		next(page, path + (size_t)(local[0] & 0));                                         \
		AFTER_CALL(3);                                                                     \
	}

static NOINLINE void level_28(volatile char *page, size_t path)
{
	(void)path;
	touch_page(page);
	AFTER_CALL(4);
}

/* With touch_pages and touch_page 30 deep; 14 of them branch. */
LEVEL(level_27, level_28, 0)
STEP(level_26, level_27)
LEVEL(level_25, level_26, 1)
STEP(level_24, level_25)
LEVEL(level_23, level_24, 2)
STEP(level_22, level_23)
LEVEL(level_21, level_22, 3)
STEP(level_20, level_21)
LEVEL(level_19, level_20, 4)
STEP(level_18, level_19)
LEVEL(level_17, level_18, 5)
STEP(level_16, level_17)
LEVEL(level_15, level_16, 6)
STEP(level_14, level_15)
LEVEL(level_13, level_14, 7)
STEP(level_12, level_13)
LEVEL(level_11, level_12, 8)
STEP(level_10, level_11)
LEVEL(level_9, level_10, 9)
STEP(level_8, level_9)
LEVEL(level_7, level_8, 10)
STEP(level_6, level_7)
LEVEL(level_5, level_6, 11)
STEP(level_4, level_5)
LEVEL(level_3, level_4, 12)
STEP(level_2, level_3)
LEVEL(level_1, level_2, 13)

/* Different stacks, each met as often as any other; 1 to 2^14. */
static size_t loop_paths = 1;

static NOINLINE void touch_pages(volatile char *start, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		level_1(start + i * PAGE, i % loop_paths);
	AFTER_CALL(5);
}

static void loop_fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static struct loop {
	char *memory;
	size_t pages; /* of each thread */
	pthread_barrier_t start, end;
	unsigned passes;
} loop;

static void *loop_thread(void *memory)
{
	for (unsigned pass = 0; pass < loop.passes; pass++) {
		pthread_barrier_wait(&loop.start);
		touch_pages(memory, loop.pages);
		pthread_barrier_wait(&loop.end);
	}
	return NULL;
}

/*
 * Touches `pages` pages in all, `passes` times; between passes the memory is given back, which is
 * not measured. With one thread the main thread does it. `prepare` is called with the memory
 * before the first touch. Prints the nanoseconds that passed for each touch.
 */
static void loop_run(
    size_t pages, unsigned threads, unsigned passes, void (*prepare)(char *memory, size_t size))
{
	pthread_t ids[THREADS_MAX];
	double spent = 0;
	size_t size;

	loop.pages = pages / threads;
	loop.passes = passes;
	size = loop.pages * threads * PAGE;
	loop.memory = mmap(
	    NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (loop.memory == MAP_FAILED)
		loop_fail("mmap");
	/* A huge page would make hundreds of touches one. */
	if (madvise(loop.memory, size, MADV_NOHUGEPAGE) < 0 && errno != EINVAL)
		loop_fail("madvise");
	if (prepare)
		prepare(loop.memory, size);
	pthread_barrier_init(&loop.start, NULL, threads + 1);
	pthread_barrier_init(&loop.end, NULL, threads + 1);
	for (unsigned i = 0; threads > 1 && i < threads; i++)
		if (pthread_create(
			&ids[i], NULL, loop_thread, loop.memory + i * loop.pages * PAGE) != 0)
			loop_fail("pthread_create");
	for (unsigned pass = 0; pass < passes; pass++) {
		double before;

		if (pass && madvise(loop.memory, size, MADV_DONTNEED) < 0)
			loop_fail("madvise");
		if (threads > 1) {
			/* Taken first: a thread may run before this one does again. */
			before = now();
			pthread_barrier_wait(&loop.start);
			pthread_barrier_wait(&loop.end);
		} else {
			before = now();
			touch_pages(loop.memory, loop.pages);
		}
		spent += now() - before;
	}
	for (unsigned i = 0; threads > 1 && i < threads; i++)
		pthread_join(ids[i], NULL);
	printf("%.1f\n", spent / (double)(loop.pages * threads) / passes);
}

/* PAGES [THREADS [PASSES [PATHS | read]]] */
static void loop_arguments(
    int count, char **words, size_t *pages, unsigned *threads, unsigned *passes)
{
	*pages = count > 1 ? strtoul(words[1], NULL, 10) : 0;
	*threads = count > 2 ? (unsigned)strtoul(words[2], NULL, 10) : 1;
	*passes = count > 3 ? (unsigned)strtoul(words[3], NULL, 10) : 1;
	if (count > 4 && strcmp(words[4], "read") == 0) {
		zeros_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
		if (zeros_fd < 0)
			loop_fail("/dev/zero");
	} else if (count > 4) {
		loop_paths = strtoul(words[4], NULL, 10);
	}
	if (count > 5 || *threads < 1 || *threads > THREADS_MAX || *pages < *threads || !*passes ||
	    loop_paths < 1 || loop_paths > 1u << 14) {
		fprintf(stderr, "Usage: %s PAGES [THREADS [PASSES [PATHS | read]]]\n", words[0]);
		exit(2);
	}
}

#endif
