/* SPDX-License-Identifier: MIT */
/*
 * neighbours: what lies beside memory that is traced, and stays what it is.
 *
 *   neighbours WHAT TRUTH COUNT
 *
 * `above`: the memory above the stack of a thread that touches pages is touched by nobody.
 * `churn`: threads map where others' stacks were a moment ago, and the other way round.
 */
#include "notes.h"
#include "raw.h"

#include <errno.h>

#define STACK_PAGES ((size_t)16)
#define ABOVE_PAGES ((size_t)64)
#define MAKERS	    4
#define SHORT	    4

static size_t count;

static void start(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *to)
{
	errno = pthread_create(thread, attributes, run, to);
	if (errno)
		truth_fail("pthread_create");
}

static size_t result_of(pthread_t thread)
{
	void *result;

	errno = pthread_join(thread, &result);
	if (errno)
		truth_fail("pthread_join");
	return (size_t)result;
}

/* ---- above ---- */

static NOINLINE void *touch(void *number)
{
	truth_thread("below");
	return (void *)(uintptr_t)notes_live(8, (char)((size_t)number % 100 + 1));
}

static int above(void)
{
	unsigned char present[ABOVE_PAGES];
	size_t right = 0, touched = 0;

	for (size_t i = 0; i < count; i++) {
		char *stack = (char *)raw_call(SYS_mmap, 0, (STACK_PAGES + ABOVE_PAGES) * PAGE,
		    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		pthread_attr_t attributes;
		pthread_t thread;

		if (stack == MAP_FAILED)
			truth_fail("mmap");
		pthread_attr_init(&attributes);
		pthread_attr_setstack(&attributes, stack, STACK_PAGES * PAGE);
		start(&thread, &attributes, touch, (void *)i);
		right += result_of(thread);
		if (mincore(stack + STACK_PAGES * PAGE, ABOVE_PAGES * PAGE, present) != 0)
			truth_fail("mincore");
		for (size_t j = 0; j < ABOVE_PAGES; j++)
			touched += present[j] & 1;
	}
	printf("%zu of %zu were right, %zu pages above them were touched\n", right, count, touched);
	return 0;
}

/* ---- churn ---- */

static NOINLINE void *live_shortly(void *number)
{
	size_t value = (size_t)number % 100 + 1;

	truth_thread("short");
	return (void *)(uintptr_t)(notes_live(1 + value % 7, (char)value) &&
				   notes_live(40, (char)value));
}

static NOINLINE void *make(void *number)
{
	size_t right = 0;

	truth_thread("maker");
	for (size_t i = 0; i < count; i++) {
		pthread_t threads[SHORT];

		for (size_t j = 0; j < SHORT; j++)
			start(&threads[j], NULL, live_shortly, (void *)((size_t)number + i * j));
		right += notes_live(5, (char)(i % 100 + 1));
		for (size_t j = 0; j < SHORT; j++)
			right += result_of(threads[j]);
	}
	return (void *)right;
}

static int churn(void)
{
	pthread_t threads[MAKERS];
	size_t right = 0;

	for (size_t i = 0; i < MAKERS; i++)
		start(&threads[i], NULL, make, (void *)i);
	for (size_t i = 0; i < MAKERS; i++)
		right += result_of(threads[i]);
	printf("%zu of %zu lives were right\n", right, count * MAKERS * (SHORT + 1));
	return 0;
}

int main(int argc, char **argv)
{
	int status = 2;

	if (argc < 4)
		return 2;
	count = strtoul(argv[3], NULL, 10);
	truth_thread("neighbours");
	if (strcmp(argv[1], "above") == 0)
		status = above();
	else if (strcmp(argv[1], "churn") == 0)
		status = churn();
	truth_write(argv[2], "w");
	return status;
}
