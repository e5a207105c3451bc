/* SPDX-License-Identifier: MIT */
/* maps.h: a process's mappings as /proc/PID/maps shows them (proc_pid_maps(5)). */
#ifndef FAULTLINE_MAPS_H
#define FAULTLINE_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mapping {
	uint64_t start, end, offset, inode;
	uint32_t device_major, device_minor;
	int prot; /* PROT_READ | ... */
	bool shared;
	const char *path; /* "" for anonymous memory; valid during the call only */
};

/* Calls `take` for each mapping in order until it returns false. 0 or negative errno. */
int maps_read(pid_t pid, bool (*take)(void *context, const struct mapping *mapping), void *context);

/* The mapping that holds `address`, or else the next one; its path is in `path` where that is not
   NULL, else "". 0, -ENOENT when there is none, or another negative errno. */
#define MAPS_PATH 256u
int maps_at(pid_t pid, uint64_t address, struct mapping *mapping, char path[MAPS_PATH]);

/* The page size of the mapping that holds `start`, as smaps tells it; 0 when there is none. */
uint64_t maps_page_size(pid_t pid, uint64_t start);

#endif
