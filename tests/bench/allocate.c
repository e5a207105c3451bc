/* SPDX-License-Identifier: MIT */
/*
 * allocate.c: malloc and free of blocks of MIN to MAX bytes, some dozens of them alive at a time,
 * in a heap that has grown to its size before the clock starts. Prints the nanoseconds of a pair,
 * and how many new pages were touched meanwhile, which should be none.
 */
#include "clock.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define ALIVE 32u
#define SEED  UINT64_C(88172645463325252)

static void *blocks[ALIVE];

/* xorshift64, G. Marsaglia 2003 */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void churn(size_t count, size_t min, size_t max)
{
	uint64_t state = SEED;

	for (size_t i = 0; i < count; i++) {
		uint64_t random = next_random(&state);
		void **block = &blocks[random % ALIVE];

		free(*block);
		*block = malloc(min + (random >> 8) % (max - min + 1));
		if (!*block)
			exit(1);
	}
	for (size_t i = 0; i < ALIVE; i++) {
		free(blocks[i]);
		blocks[i] = NULL;
	}
}

int main(int argc, char **argv)
{
	size_t count = argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
	size_t min = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
	size_t max = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
	struct rusage before, after;
	double start, spent;

	if (!count || max < min) {
		fprintf(stderr, "Usage: %s COUNT MIN MAX\n", argv[0]);
		return 2;
	}
	/* A heap that shrinks would grow again, over new pages. */
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	mallopt(M_MMAP_THRESHOLD, 256 << 20);
	churn(count, min, max);
	getrusage(RUSAGE_SELF, &before);
	start = now();
	churn(count, min, max);
	spent = now() - start;
	getrusage(RUSAGE_SELF, &after);
	printf("%.1f %ld\n", spent / (double)count, after.ru_minflt - before.ru_minflt);
	return 0;
}
