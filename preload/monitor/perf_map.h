/* SPDX-License-Identifier: MIT */
/*
 * perf_map.h: names of generated code, from the perf-PID.map files that just-in-time compilers
 * write (linux/tools/perf/Documentation/jit-interface.txt): "start size name" a line, numbers
 * in hex. Used by the writer thread only.
 */
#ifndef FAULTLINE_PERF_MAP_H
#define FAULTLINE_PERF_MAP_H

#include <stdint.h>
#include <sys/types.h>

struct perf_map;

struct perf_map *perf_map_create(pid_t pid);	  /* NULL: no memory */
void perf_map_destroy(struct perf_map *perf_map); /* accepts NULL */
pid_t perf_map_pid(const struct perf_map *perf_map);

/*
 * The function that holds `ip` and how far into it that is; NULL when none does. What the file
 * has gained since is read first, at the latest a tenth of a second after it was written; of two
 * entries that overlap the later one holds. The name is valid until the next call.
 */
const char *perf_map_find(struct perf_map *perf_map, uint64_t ip, uint64_t *symbol_offset);

#endif
