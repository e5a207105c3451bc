/* SPDX-License-Identifier: MIT */
/*
 * races: several threads touch the same pages at the same time, each its own byte. Every page is
 * touched first by one of them, and no byte may be lost.
 *
 *   races TRUTH PAGES
 */
#include "touch.h"

#define THREADS 4
#define BATCH	16

static volatile char *memory, *shared;
static size_t pages;
static pthread_barrier_t barrier;

static NOINLINE void race_write(volatile char *p)
{
	*p = (char)((uintptr_t)p % 127 + 1);
}

static NOINLINE void race_batch(size_t first, size_t mine)
{
	TRACED();
	for (size_t i = first; i < first + BATCH && i < pages; i++) {
		race_write(memory + i * PAGE + mine);
		race_write(shared + i * PAGE + mine);
	}
}

static NOINLINE void *racer(void *number)
{
	TRACED();
	for (size_t i = 0; i < pages; i += BATCH) {
		pthread_barrier_wait(&barrier);
		race_batch(i, (size_t)number * 8 + 16);
	}
	return NULL;
}

static void note(volatile char *p)
{
	const struct truth_frame *top = truth_push("race_batch", truth_push("racer", NULL));
	struct truth_touch *touch;

	truth_region("mmap", p, 0);
	for (size_t i = 0; i < pages; i++) {
		touch = truth_note(p + i * PAGE, "write", "user", NULL);
		touch->top = truth_push("race_write", top);
		touch->thread = NULL;
		touch->exact = false;
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	size_t wrong = 0;

	if (argc < 3)
		return 2;
	pages = strtoul(argv[2], NULL, 10);
	memory = touch_map(pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	shared = touch_map(pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, racer, (void *)i) != 0)
			truth_fail("pthread_create");
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < pages * THREADS; i++) {
		size_t at = i / THREADS * PAGE + i % THREADS * 8 + 16;

		wrong += memory[at] != (char)((uintptr_t)(memory + at) % 127 + 1);
		wrong += shared[at] != (char)((uintptr_t)(shared + at) % 127 + 1);
	}
	note(memory);
	note(shared);
	truth_write(argv[1], "w");
	printf("races: %zu bytes wrong\n", wrong);
	return wrong != 0;
}
