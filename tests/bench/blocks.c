/* SPDX-License-Identifier: MIT */
/*
 * blocks.c: COUNT blocks of SIZE bytes are allocated, and each is written to once. None is freed.
 * Prints the nanoseconds of each.
 */
#include "clock.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	size_t count = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
	size_t size = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	double start = now();

	if (!count || !size) {
		fprintf(stderr, "Usage: %s COUNT SIZE\n", argv[0]);
		return 2;
	}
	for (size_t i = 0; i < count; i++) {
		volatile char *block = malloc(size);

		if (!block)
			return 1;
		*block = 1;
	}
	printf("%.1f\n", (now() - start) / (double)count);
	return 0;
}
