/* SPDX-License-Identifier: MIT */
/*
 * loop.h: the loop whose cost touch.c and floor.c measure: each page of fresh memory is written to
 * once, from a chain of functions deep enough that a stack is work to unwind. Runs in the measured
 * program, in its main thread or in threads of its own. Included by one file of each program.
 */
#ifndef LOOP_H
#define LOOP_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE	    4096u
#define THREADS_MAX 64u
#define NOINLINE    __attribute__((noinline, noclone))

/* Keeps a call from becoming a jump, and two calls from becoming one. */
#define AFTER_CALL(mark) __asm__ volatile("" ::"i"(mark) : "memory")

static NOINLINE void touch_page(volatile char *page)
{
	*page = 1;
}

/* A frame of an ordinary size. Its two calls make two stacks; a chain of them makes many. */
#define LEVEL(name, next, bit)                                                                     \
	static NOINLINE void name(volatile char *page, size_t i)                                   \
	{                                                                                          \
		volatile char local[64];                                                           \
                                                                                                   \
		local[0] = (char)i;                                                                \
		if (i >> (bit)&1) {                                                                \
			next(page, i);                                                             \
			AFTER_CALL(1);                                                             \
		} else {                                                                           \
			next(page, i + (size_t)(local[0] & 0));                                    \
			AFTER_CALL(2);                                                             \
		}                                                                                  \
	}

/* One with one call. */
#define STEP(name, next)                                                                           \
	static NOINLINE void name(volatile char *page, size_t i)                                   \
	{                                                                                          \
		volatile char local[64];                                                           \
                                                                                                   \
		local[0] = (char)i;                                                                \
		next(page, i + (size_t)(local[0] & 0));                                            \
		AFTER_CALL(3);                                                                     \
	}

static NOINLINE void level_14(volatile char *page, size_t i)
{
	(void)i;
	touch_page(page);
	AFTER_CALL(4);
}

LEVEL(level_13, level_14, 0)
STEP(level_12, level_13)
STEP(level_11, level_12)
STEP(level_10, level_11)
LEVEL(level_9, level_10, 1)
STEP(level_8, level_9)
STEP(level_7, level_8)
LEVEL(level_6, level_7, 2)
STEP(level_5, level_6)
STEP(level_4, level_5)
STEP(level_3, level_4)
LEVEL(level_2, level_3, 3)
STEP(level_1, level_2)

static NOINLINE void touch_pages(volatile char *start, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		level_1(start + i * PAGE, i);
	AFTER_CALL(5);
}

static void loop_fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static double loop_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
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
			before = loop_now();
			pthread_barrier_wait(&loop.start);
			pthread_barrier_wait(&loop.end);
		} else {
			before = loop_now();
			touch_pages(loop.memory, loop.pages);
		}
		spent += loop_now() - before;
	}
	for (unsigned i = 0; threads > 1 && i < threads; i++)
		pthread_join(ids[i], NULL);
	printf("%.1f\n", spent / (double)(loop.pages * threads) / passes);
}

/* PAGES [THREADS [PASSES]] */
static void loop_arguments(
    int count, char **words, size_t *pages, unsigned *threads, unsigned *passes)
{
	*pages = count > 1 ? strtoul(words[1], NULL, 10) : 0;
	*threads = count > 2 ? (unsigned)strtoul(words[2], NULL, 10) : 1;
	*passes = count > 3 ? (unsigned)strtoul(words[3], NULL, 10) : 1;
	if (count > 4 || *threads < 1 || *threads > THREADS_MAX || *pages < *threads || !*passes) {
		fprintf(stderr, "Usage: %s PAGES [THREADS [PASSES]]\n", words[0]);
		exit(2);
	}
}

#endif
