/* SPDX-License-Identifier: MIT */
/*
 * perf_map.c: a perf map of any content, which grows once while it is read. The traced program
 * writes it, so it may hold anything.
 */
#include "perf_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64];

static void remove_file(void)
{
	unlink(path);
}

static void look_around(struct perf_map *map)
{
	uint64_t offset;
	const char *name;

	for (unsigned shift = 0; shift < 64; shift++) {
		name = perf_map_find(map, UINT64_C(1) << shift, &offset);
		if (name && strlen(name) == 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct perf_map *map = perf_map_create(getpid());
	FILE *file;

	if (!path[0]) {
		snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
		atexit(remove_file);
	}
	file = fopen(path, "we");
	fwrite(data, 1, size / 2, file);
	fflush(file);
	look_around(map);
	fwrite(data + size / 2, 1, size - size / 2, file);
	fclose(file);
	/* Looks again at once: what it does not find it looks for once in a millisecond. */
	usleep(1100);
	look_around(map);
	perf_map_destroy(map);
	return 0;
}
