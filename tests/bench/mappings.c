/* SPDX-License-Identifier: MIT */
/*
 * mappings.c: COUNT times SIZE bytes are mapped, each page of them is written to, and they are
 * unmapped. Prints the nanoseconds of each time.
 */
#define _GNU_SOURCE

#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 4096u

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
		volatile char *memory =
		    mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory == MAP_FAILED)
			return 1;
		for (size_t at = 0; at < size; at += PAGE)
			memory[at] = 1;
		munmap((void *)memory, size);
	}
	printf("%.1f\n", (now() - start) / (double)count);
	return 0;
}
